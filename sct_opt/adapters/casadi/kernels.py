"""Kernels of the CasADi adapter: reading an instruction listing and renaming work slots."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel

Array = np.ndarray[Any, Any]

_AT, _OPEN, _NEWLINE, _ZERO, _NINE = ord("@"), ord("["), ord("\n"), ord("0"), ord("9")
_EQUAL, _MINUS, _DOT = ord("="), ord("-"), ord(".")
CONSTANT_SHAPE = np.uint64(1)


@kernel
def read_listing(text: Array, count: int) -> tuple[Array, Array, int]:
    """Read lines like ``@3 = (@1*@2);``: each line's shape (a hash of its text without the numbers) and its numbers.

    Numbers count that follow ``@`` or ``[``; at most three a line are kept.  A line that assigns a literal number has the
    shape ``CONSTANT_SHAPE`` whatever the number is.

    Returns:
        shapes, numbers of shape ``(count, 3)``, and the number of lines found.
    """
    shapes = np.zeros(count, dtype=np.uint64)
    numbers = np.full((count, 3), -1, dtype=np.int32)
    line = 0
    position = 0
    while position < text.size and line < count:
        value_hash = np.uint64(14695981039346656037)
        found = 0
        previous = np.uint8(0)
        literal = False
        while position < text.size and text[position] != _NEWLINE:
            c = text[position]
            if _ZERO <= c <= _NINE and (previous == _AT or previous == _OPEN):
                number = 0
                while _ZERO <= text[position] <= _NINE:
                    number = number * 10 + (text[position] - _ZERO)
                    position += 1
                if found < 3:
                    numbers[line, found] = number
                found += 1
                previous = np.uint8(_ZERO)
                continue
            if c != 32:
                if previous == _EQUAL and (_ZERO <= c <= _NINE or c == _MINUS or c == _DOT) and found == 1:
                    literal = True
                previous = c
            value_hash = (value_hash ^ np.uint64(c)) * np.uint64(1099511628211)
            position += 1
        position += 1
        shapes[line] = CONSTANT_SHAPE if literal else value_hash | np.uint64(2)
        line += 1
    return shapes, numbers, line


@kernel
def rename(
    kind: Array,
    out: Array,
    in0: Array,
    in1: Array,
    slots: int,
    call_ptr: Array,
    call_in: Array,
    call_out_ptr: Array,
    call_out: Array,
) -> tuple[Array, Array, Array, Array]:
    """Replace work slots, which CasADi reuses, by the number of the instruction that wrote them last.

    Kinds: 0 leaf (writes ``out``), 1 one argument, 2 two arguments, 3 output (reads ``in0``), 4 call, 5 alias of its
    argument, 6 and 7 two and one arguments, but no plain node of the tape.  Results of calls are numbered from
    ``count`` upwards, in order.

    Returns:
        first and second argument as instruction numbers, the calls' arguments likewise, and for each value its stage: how
        many instructions of kind 4, 6 and 7 lie on the longest way to it.
    """
    count = kind.size
    writer = np.full(slots, -1, dtype=np.int32)
    arg0 = np.full(count, -1, dtype=np.int32)
    arg1 = np.full(count, -1, dtype=np.int32)
    call_args = np.full(call_in.size, -1, dtype=np.int32)
    stage = np.zeros(count + call_out.size, dtype=np.int32)
    call = 0
    for k in range(count):
        what = kind[k]
        if what == 0:
            writer[out[k]] = k
        elif what == 4:
            deepest = 0
            for t in range(call_ptr[call], call_ptr[call + 1]):
                if call_in[t] >= 0:
                    call_args[t] = writer[call_in[t]]
                    deepest = max(deepest, stage[call_args[t]])
            stage[k] = deepest
            for t in range(call_out_ptr[call], call_out_ptr[call + 1]):
                stage[count + t] = deepest + 1
                if call_out[t] >= 0:
                    writer[call_out[t]] = count + t
            call += 1
        elif what == 5:
            writer[out[k]] = writer[in0[k]]
        else:
            arg0[k] = writer[in0[k]]
            deepest = stage[arg0[k]]
            if what == 2 or what == 6:
                arg1[k] = writer[in1[k]]
                deepest = max(deepest, stage[arg1[k]])
            stage[k] = deepest + 1 if what >= 6 else deepest
            if what != 3:
                writer[out[k]] = k
    return arg0, arg1, call_args, stage


@kernel
def number_stage(
    order: Array,
    arg0: Array,
    arg1: Array,
    node: Array,
    first: int,
    codes: Array,
    two: Array,
    out_code: Array,
    out0: Array,
    out1: Array,
) -> None:
    """Give the instructions of one stage their node ids, from ``first`` on, and write their arguments' ids."""
    for k in range(order.size):
        i = order[k]
        node[i] = first + k
        out_code[k] = codes[i]
        out0[k] = node[arg0[i]]
        out1[k] = node[arg1[i]] if two[i] else out0[k]
