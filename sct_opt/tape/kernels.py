"""Kernels of the tape: dead-node elimination and renumbering."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel
from sct_opt.ops import (
    AFFINE,
    BLACKBOX,
    CONSTANT,
    FLAG_A,
    FLAG_AA,
    FLAG_AB,
    FLAG_B,
    FLAG_BB,
    INPUT,
    OPS,
    PARAMETER,
    SELECT,
)

Array = np.ndarray[Any, Any]


# How the arguments of an operator are held: none, one id, two ids, a row of the side arrays, a row of a call site.
_LEAF, _ONE, _TWO, _ROW, _SITE = range(5)
KIND = np.array([{0: _LEAF, 1: _ONE, 2: _TWO, -1: _ROW}[op.arity] for op in OPS], dtype=np.uint8)
KIND[BLACKBOX] = _SITE


@kernel
def mark_outputs(outputs: Array, live: Array, constant_live: Array) -> None:
    """Mark the outputs' nodes and constants (negative ids)."""
    for k in range(outputs.size):
        if outputs[k] >= 0:
            live[outputs[k]] = True
        else:
            constant_live[-outputs[k] - 1] = True


@kernel
def mark_live(
    opcode: Array,
    arg0: Array,
    arg1: Array,
    first: int,
    row_ptr: Array,
    row_arg: Array,
    site_ptr: Array,
    site_arg: Array,
    site_block: Array,
    kind: Array,
    live: Array,
    constant_live: Array,
) -> tuple[int, int, int]:
    """Mark what live nodes of a piece of the tape need; count its live operations, rows, terms.

    The piece holds the nodes from ``first`` on; those behind have been through.  The flags come zeroed: NumPy asks the system
    for large pages.
    """
    operations = 0
    rows = 0
    terms = 0
    for p in range(opcode.size - 1, -1, -1):
        if not live[first + p]:
            continue
        held = kind[opcode[p]]
        if held == _LEAF:
            continue
        operations += 1
        if held <= _TWO:
            a = arg0[p]
            if a >= 0:
                live[a] = True
            else:
                constant_live[-a - 1] = True
            if held == _TWO:
                b = arg1[p]
                if b >= 0:
                    live[b] = True
                else:
                    constant_live[-b - 1] = True
            continue
        rows += 1
        for k in range(row_ptr[arg0[p]], row_ptr[arg0[p] + 1]):
            terms += 1
            if held == _SITE:
                continue
            a = row_arg[k]
            if a >= 0:
                live[a] = True
            else:
                constant_live[-a - 1] = True
        if held == _SITE:
            site = arg1[p]
            # All outputs of one call stay together: they are evaluated by one call.  Later ones have been passed.
            for k in range(site_block[site, 0], site_block[site, 1]):
                if k > first + p and not live[k]:
                    operations += 1
                    rows += 1
                    terms += row_ptr[arg0[k - first] + 1] - row_ptr[arg0[k - first]]
                live[k] = True
            for k in range(site_ptr[site], site_ptr[site + 1]):
                a = site_arg[k]
                if a >= 0:
                    live[a] = True
                else:
                    constant_live[-a - 1] = True
    return operations, rows, terms


@kernel
def thawed_ids(ids: Array, first_constant: int, first_operation: int, out: Array) -> None:
    """Ids of a frozen tape as a builder has them: constants negative, operations right behind the parameters."""
    shift = first_operation - first_constant
    for k in range(ids.size):
        i = ids[k]
        if i < first_constant:
            out[k] = i
        elif i < first_operation:
            out[k] = first_constant - i - 1
        else:
            out[k] = i - shift


@kernel
def thawed_arguments(
    opcode: Array,
    arg0: Array,
    arg1: Array,
    kind: Array,
    first_constant: int,
    first_operation: int,
    out0: Array,
    out1: Array,
) -> None:
    """Arguments of a frozen tape's operations as a builder has them; rows and call sites stay."""
    shift = first_operation - first_constant
    for i in range(first_operation, opcode.size):
        a = arg0[i]
        b = arg1[i]
        if kind[opcode[i]] <= _TWO:
            if a >= first_constant:
                a = a - shift if a >= first_operation else first_constant - a - 1
            if b >= first_constant:
                b = b - shift if b >= first_operation else first_constant - b - 1
        out0[i - shift] = a
        out1[i - shift] = b


@kernel
def translate(ids: Array, new_id: Array, new_constant: Array) -> Array:
    """Old ids (constants negative) to new ones."""
    out = np.empty(ids.size, dtype=np.int32)
    for k in range(ids.size):
        out[k] = new_id[ids[k]] if ids[k] >= 0 else new_constant[-ids[k] - 1]
    return out


@kernel
def compact(
    opcode: Array,
    arg0: Array,
    arg1: Array,
    first: int,
    row_ptr: Array,
    row_arg: Array,
    row_coef: Array,
    row_const: Array,
    live: Array,
    kind: Array,
    new_constant: Array,
    num_inputs: int,
    j: int,
    r: int,
    t: int,
    new_id: Array,
    out_code: Array,
    out0: Array,
    out1: Array,
    out_ptr: Array,
    out_arg: Array,
    out_coef: Array,
    out_const: Array,
) -> tuple[int, int, int]:
    """Write the live nodes of a piece of the tape under new ids: inputs, parameters, constants, operations in their old order.

    The piece holds the nodes from ``first`` on.  ``j``, ``r`` and ``t`` are the next free node, row and term; returns them.
    """
    for p in range(opcode.size):
        i = first + p
        code = opcode[p]
        held = kind[code]
        if held == _LEAF:
            new_id[i] = arg0[p] if code == INPUT else num_inputs + arg0[p]
            continue
        if not live[i]:
            new_id[i] = -1
            continue
        out_code[j] = code
        a = arg0[p]
        if held <= _TWO:
            a = new_id[a] if a >= 0 else new_constant[-a - 1]
            out0[j] = a
            out1[j] = a
            if held == _TWO:
                b = arg1[p]
                out1[j] = new_id[b] if b >= 0 else new_constant[-b - 1]
        else:
            out0[j] = r
            out1[j] = arg1[p]
            for k in range(row_ptr[a], row_ptr[a + 1]):
                b = row_arg[k]
                out_arg[t] = new_id[b] if b >= 0 else new_constant[-b - 1]
                out_coef[t] = row_coef[k]
                t += 1
            out_const[r] = row_const[a]
            r += 1
            out_ptr[r] = t
        new_id[i] = j
        j += 1
    return j, r, t


@kernel
def edge_flags(
    opcode: Array, arg0: Array, arg1: Array, row_ptr: Array, row_arg: Array, by_opcode: Array, num_inputs: int
) -> Array:
    """Flags of each node's partials, cleared where the argument does not depend on an input."""
    flags = np.zeros(opcode.size, dtype=np.uint8)
    flags[:num_inputs] = FLAG_A
    for i in range(num_inputs, opcode.size):
        code = opcode[i]
        if code == PARAMETER or code == CONSTANT:
            continue
        if code == AFFINE or code == BLACKBOX:
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                if flags[row_arg[k]] & (FLAG_A | FLAG_B):
                    flags[i] = FLAG_A
                    break
        elif code == SELECT:
            # the condition contributes nothing; bit A is the first branch, bit B the second
            k = row_ptr[arg0[i]]
            if flags[row_arg[k + 1]] & (FLAG_A | FLAG_B):
                flags[i] |= FLAG_A
            if flags[row_arg[k + 2]] & (FLAG_A | FLAG_B):
                flags[i] |= FLAG_B
        else:
            bits = by_opcode[code]
            if not flags[arg0[i]] & (FLAG_A | FLAG_B):
                bits &= ~np.uint8(FLAG_A | FLAG_AA | FLAG_AB)
            if not flags[arg1[i]] & (FLAG_A | FLAG_B):
                bits &= ~np.uint8(FLAG_B | FLAG_BB | FLAG_AB)
            flags[i] = bits
    return flags
