"""Kernels that take apart units which share nonlinear terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel
from sct_opt.programs.split_kernels import grown, linear_form

Array = np.ndarray[Any, Any]


@kernel
def any_addend_shared(linear: Array, cost: Array, inner: Array, several: Array, worth: int) -> bool:
    """Whether some nonlinear term may be an addend of several units."""
    for i in range(linear.size):
        if several[i] and linear[i] == 0 and not inner[i] and cost[i] >= worth:
            return True
    return False


@kernel
def _leader(parent: Array, u: int) -> int:
    """The leader of a group of units, to which the way becomes shorter."""
    while parent[u] != u:
        parent[u] = parent[parent[u]]
        u = parent[u]
    return u


@kernel
def dissolve(
    opcode: Array,
    ptr: Array,
    args: Array,
    arg0: Array,
    row_ptr: Array,
    row_coef: Array,
    row_const: Array,
    constants: Array,
    num_inputs: int,
    first_constant: int,
    first_operation: int,
    linear: Array,
    tree: Array,
    cost: Array,
    inner: Array,
    forced: Array,
    cap: int,
    max_targets: int,
    worth: int,
    max_group: int,
    units: Array,
    target_unit: Array,
    target_row: Array,
    target_coef: Array,
    linear_row: Array,
    linear_input: Array,
    linear_coef: Array,
    constant: Array,
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array, Array]:
    """Dissolve units that share nonlinear addends into terms.

    A nonlinear term that several units contain as a plain addend, and that nothing needs in its inside, becomes a root of
    its own with several targets; what contains it is dissolved into all of its terms.  Not so if the units that share such
    terms are a group of at most ``max_group`` operations: they will be one cluster, which evaluates them once anyway.  Units
    that are forced are dissolved in any case.

    Returns:
        Roots (node ids), whether each stems from dissolving, targets (root, row, coef), linear entries (row, input,
        coef), constants by row.
    """
    size = opcode.size
    num_units = units.size
    num_targets = target_unit.size
    num_linear = linear_row.size
    seen = np.zeros(size, dtype=np.int32)
    coef = np.empty(size)
    expanded = np.empty(size, dtype=np.int32)
    terms = np.empty(size, dtype=np.int32)
    stamp = 0
    count = np.zeros(size, dtype=np.int32)
    budget = 40 * size + 1000000
    unit_ptr = np.zeros(num_units + 1, dtype=np.int64)
    unit_terms = np.empty(4 * num_units + 16, dtype=np.int32)
    for u in range(num_units):
        unit_ptr[u + 1] = unit_ptr[u]
        i = units[u]
        if i < first_operation or linear[i] == 0:
            count[i] += 1
        elif tree[i] <= 64 * cap and budget > 0:
            stamp += 1
            found, work, _ = linear_form(
                opcode,
                ptr,
                args,
                arg0,
                row_ptr,
                row_coef,
                row_const,
                constants,
                first_constant,
                first_operation,
                linear,
                tree,
                i,
                0,
                stamp,
                seen,
                coef,
                expanded,
                terms,
            )
            budget -= work + found
            unit_terms = grown(unit_terms, unit_ptr[u] + found)
            for k in range(found):
                count[terms[k]] += 1
                unit_terms[unit_ptr[u] + k] = terms[k]
            unit_ptr[u + 1] += found
    # Units that share a term worth a root of its own form groups.
    parent = np.empty(num_units, dtype=np.int32)
    weight = np.empty(num_units, dtype=np.int64)
    holder = np.empty(size, dtype=np.int32)
    for u in range(num_units):
        parent[u] = u
        weight[u] = tree[units[u]]
        for k in range(unit_ptr[u], unit_ptr[u + 1]):
            holder[unit_terms[k]] = u
    for u in range(num_units):
        for k in range(unit_ptr[u], unit_ptr[u + 1]):
            a = unit_terms[k]
            if a >= first_operation and 2 <= count[a] <= max_targets and not inner[a] and cost[a] >= worth:
                p, q = _leader(parent, u), _leader(parent, holder[a])
                if p != q:
                    parent[q] = p
                    weight[p] += weight[q]
    start = np.zeros(num_units + 1, dtype=np.int64)
    for q in range(num_targets):
        start[target_unit[q] + 1] += 1
    for u in range(num_units):
        start[u + 1] += start[u]
    by_unit = np.empty(num_targets, dtype=np.int32)
    place = start[:-1].copy()
    for q in range(num_targets):
        by_unit[place[target_unit[q]]] = q
        place[target_unit[q]] += 1
    roots = np.empty(num_units + 16, dtype=np.int32)
    flags = np.empty(num_units + 16, dtype=np.int32)
    num_roots = 0
    root_of = np.empty(size, dtype=np.int32)
    root_of[:] = -1
    out_root = np.empty(num_targets + 16, dtype=np.int32)
    out_row = np.empty(num_targets + 16, dtype=np.int32)
    out_coef = np.empty(num_targets + 16)
    num_out = 0
    budget = 40 * size + 1000000
    for u in range(num_units):
        i = units[u]
        first, position = start[u], start[u + 1]
        found = 0
        apart = False
        shift = 0.0
        if i >= first_operation and linear[i] == 1 and tree[i] <= 64 * cap and budget > 0:
            stamp += 1
            found, work, shift = linear_form(
                opcode,
                ptr,
                args,
                arg0,
                row_ptr,
                row_coef,
                row_const,
                constants,
                first_constant,
                first_operation,
                linear,
                tree,
                i,
                0,
                stamp,
                seen,
                coef,
                expanded,
                terms,
            )
            budget -= work + found
            apart = forced[i]
            large = weight[_leader(parent, u)] > max_group
            for k in range(found):
                a = terms[k]
                if (
                    large
                    and a >= first_operation
                    and 2 <= count[a] <= max_targets
                    and not inner[a]
                    and cost[a] >= worth
                ):
                    apart = True
        elif count[i] >= 2:
            apart = True
        if not apart or found == 0:
            found = 1
            terms[0] = i
            coef[i] = 1.0
            shift = 0.0
        more = found * (position - first)
        roots = grown(roots, num_roots + found)
        flags = grown(flags, num_roots + found)
        out_root = grown(out_root, num_out + more)
        out_row = grown(out_row, num_out + more)
        out_coef = grown(out_coef, num_out + more)
        linear_row = grown(linear_row, num_linear + more)
        linear_input = grown(linear_input, num_linear + more)
        linear_coef = grown(linear_coef, num_linear + more)
        for q in range(first, position):
            row = target_row[by_unit[q]]
            factor = target_coef[by_unit[q]]
            constant[row] += factor * shift
            for k in range(found):
                a = terms[k]
                if a < num_inputs:
                    linear_row[num_linear], linear_input[num_linear], linear_coef[num_linear] = row, a, factor * coef[a]
                    num_linear += 1
                    continue
                if root_of[a] < 0:
                    root_of[a] = num_roots
                    roots[num_roots] = a
                    flags[num_roots] = apart
                    num_roots += 1
                elif apart:
                    flags[root_of[a]] = True
                out_root[num_out], out_row[num_out], out_coef[num_out] = root_of[a], row, factor * coef[a]
                num_out += 1
    return (
        roots[:num_roots],
        flags[:num_roots],
        out_root[:num_out],
        out_row[:num_out],
        out_coef[:num_out],
        linear_row[:num_linear],
        linear_input[:num_linear],
        linear_coef[:num_linear],
        constant,
    )
