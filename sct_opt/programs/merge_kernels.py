"""Kernels that find nodes which are the same operation on the same arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel
from sct_opt.ops import AFFINE, BLACKBOX, SELECT
from sct_opt.programs.split_kernels import ADD, MUL, SATURATED, heapsort

Array = np.ndarray[Any, Any]


@kernel
def _first(equal: Array, i: int) -> int:
    """The representative of a node."""
    return equal[i] - 1 if equal[i] > 0 else i


@kernel
def _key(
    i: int,
    code: int,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    coef: Array,
    const: Array,
    bits: Array,
    constant: int,
    equal: Array,
) -> np.uint64:
    """Hash of an operation on the representatives of its arguments, or of a constant."""
    h = (np.uint64(14695981039346656037) ^ np.uint64(code)) * np.uint64(1099511628211)
    if constant >= 0:
        h = (h ^ np.uint64(bits[constant])) * np.uint64(1099511628211)
    elif code == AFFINE or code == SELECT:
        for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
            h = (h ^ np.uint64(_first(equal, row_arg[k]))) * np.uint64(1099511628211)
            h ^= h >> np.uint64(29)
            if code == AFFINE:
                h = (h ^ np.uint64(coef[k])) * np.uint64(1099511628211)
                h ^= h >> np.uint64(31)
        if code == AFFINE:
            h = (h ^ np.uint64(const[arg0[i]])) * np.uint64(1099511628211)
    else:
        a, b = _first(equal, arg0[i]), _first(equal, arg1[i])
        if (code == ADD or code == MUL) and a > b:
            a, b = b, a
        h = (h ^ np.uint64(a)) * np.uint64(1099511628211)
        h ^= h >> np.uint64(29)
        h = (h ^ np.uint64(b)) * np.uint64(1099511628211)
    return h ^ (h >> np.uint64(32))


@kernel
def _same(
    i: int,
    j: int,
    code: int,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    coef: Array,
    const: Array,
    equal: Array,
) -> bool:
    """Whether two operations with this opcode have the same arguments; numbers are compared bit by bit."""
    if code == AFFINE or code == SELECT:
        first, other = row_ptr[arg0[i]], row_ptr[arg0[j]]
        n = row_ptr[arg0[i] + 1] - first
        if row_ptr[arg0[j] + 1] - other != n or (code == AFFINE and const[arg0[i]] != const[arg0[j]]):
            return False
        for k in range(n):
            if _first(equal, row_arg[first + k]) != _first(equal, row_arg[other + k]) or (
                code == AFFINE and coef[first + k] != coef[other + k]
            ):
                return False
        return True
    a, b = _first(equal, arg0[i]), _first(equal, arg1[i])
    c, d = _first(equal, arg0[j]), _first(equal, arg1[j])
    return (a == c and b == d) or ((code == ADD or code == MUL) and a == d and b == c)


@kernel
def number_values(
    nodes: Array,
    opcode: Array,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    coef: Array,
    const: Array,
    bits: Array,
    first_constant: int,
    first_operation: int,
    weight_by_code: Array,
    equal: Array,
    cost: Array,
    table: Array,
) -> tuple[int, int]:
    """Give each of the nodes, which come in ascending order, the first of them with the same value.

    Coefficients ``coef``, constants ``const`` of affine nodes and constants of the tape, ``bits``, come as integers.
    ``equal[i]`` becomes one more than the representative of node ``i``; it comes zeroed, which stands for the node itself.
    ``cost`` becomes the weight of a node's expression written out as a tree; it comes zeroed.  ``table`` is filled with -1
    and a power of two longer than twice the nodes.

    Returns:
        The weight of all nodes, and of those that are there already.
    """
    mask = np.uint64(table.size - 1)
    total = 0
    repeated = 0
    for k in range(nodes.size):
        i = nodes[k]
        code = opcode[i]
        weight = weight_by_code[code]
        total += weight
        if i >= first_operation:
            nary = code == AFFINE or code == SELECT or code == BLACKBOX
            first = row_ptr[arg0[i]] if nary else 0
            last = row_ptr[arg0[i] + 1] if nary else (1 if arg0[i] == arg1[i] else 2)
            cost[i] = weight
            for q in range(first, last):
                a = row_arg[q] if nary else (arg0[i] if q == 0 else arg1[i])
                cost[i] = min(cost[i] + cost[a], SATURATED)
        if code == BLACKBOX:
            continue
        constant = i - first_constant if i < first_operation else -1
        slot = _key(i, code, arg0, arg1, row_ptr, row_arg, coef, const, bits, constant, equal) & mask
        while True:
            j = table[slot]
            if j < 0:
                table[slot] = i
                equal[i] = i + 1
                break
            if opcode[j] == code and (
                bits[j - first_constant] == bits[constant]
                if constant >= 0
                else _same(i, j, code, arg0, arg1, row_ptr, row_arg, coef, const, equal)
            ):
                equal[i] = j + 1
                repeated += weight
                break
            slot = (slot + np.uint64(1)) & mask
    return total, repeated


@kernel
def cones(
    opcode: Array,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    first_operation: int,
    roots: Array,
    limit: int,
    seen: Array,
) -> Array:
    """Operations below the roots and themselves, ascending; at most ``limit``.  ``seen`` comes zeroed."""
    found = np.empty(limit, dtype=np.int32)
    count = 0
    for k in range(roots.size):
        i = roots[k]
        if i >= first_operation and not seen[i] and count < limit:
            seen[i] = True
            found[count] = i
            count += 1
    done = 0
    while done < count:
        i = found[done]
        done += 1
        nary = opcode[i] == AFFINE or opcode[i] == SELECT or opcode[i] == BLACKBOX
        first = row_ptr[arg0[i]] if nary else 0
        last = row_ptr[arg0[i] + 1] if nary else 2
        for k in range(first, last):
            a = row_arg[k] if nary else (arg0[i] if k == 0 else arg1[i])
            if a >= first_operation and not seen[a] and count < limit:
                seen[a] = True
                found[count] = a
                count += 1
    heapsort(found[:count])
    return found[:count]
