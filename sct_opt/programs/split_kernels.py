"""Kernels that split the outputs of a tape into a linear part and roots.

They walk a tape as its ``opcode`` and the arguments of node ``i``, ``args[ptr[i] : ptr[i + 1]]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel
from sct_opt.ops import AFFINE, BLACKBOX, CONSTANT, INPUT, OPCODE, PARAMETER, SELECT

Array = np.ndarray[Any, Any]

ADD, SUB, NEG, MUL, DIV = (OPCODE[name] for name in ("add", "sub", "neg", "mul", "div"))
NARY = (AFFINE, SELECT, BLACKBOX)
SATURATED = 1 << 28
MAX_ADDENDS = 24
"""Nonlinear terms that an output may have to be evaluated as a whole."""
MAX_ADDEND_SIZE = 40
"""Operations of a linear expression that is not taken apart further."""


@kernel
def arguments(
    opcode: Array, arg0: Array, arg1: Array, row_ptr: Array, row_arg: Array, arity: Array
) -> tuple[Array, Array]:
    """Arguments of all nodes, whatever their arity, as one list and where each node's begin."""
    size = opcode.size
    ptr = np.empty(size + 1, dtype=np.int32)
    ptr[0] = 0
    for i in range(size):
        n = arity[opcode[i]]
        ptr[i + 1] = ptr[i] + (n if n >= 0 else row_ptr[arg0[i] + 1] - row_ptr[arg0[i]])
    args = np.empty(ptr[size], dtype=np.int32)
    for i in range(size):
        n = arity[opcode[i]]
        k = ptr[i]
        if n < 0:
            first = row_ptr[arg0[i]]
            for j in range(ptr[i + 1] - k):
                args[k + j] = row_arg[first + j]
        elif n > 0:
            args[k] = arg0[i]
            if n > 1:
                args[k + 1] = arg1[i]
    return ptr, args


@kernel
def properties(
    opcode: Array, ptr: Array, args: Array, outputs: Array, first_operation: int, weight_by_code: Array
) -> tuple[Array, Array, Array, Array, Array, Array, bool]:
    """What splitting asks about each node.

    Returns:
        ``linear``: 1 if the node is linear in its arguments with constant coefficients, 2 if it is even linear in the
        inputs; ``addends``: nonlinear terms of a linear node, at most 255; ``tree``: operations of the expression
        written out as a tree; ``cost``: the same, weighted;
        ``inner``: an argument, through linear nodes, of a nonlinear node; ``several``: more than one way leads up;
        and whether no operation at all is used twice.
    """
    size = opcode.size
    linear = np.zeros(size, dtype=np.uint8)
    tree = np.zeros(size, dtype=np.int32)
    cost = np.zeros(size, dtype=np.int32)
    uses = np.zeros(size, dtype=np.uint8)
    addends = np.zeros(size, dtype=np.uint8)
    for i in range(first_operation, size):
        code = opcode[i]
        n = ptr[i + 1] - ptr[i]
        total = 1
        weighted = weight_by_code[code]
        purely = True
        for j in range(n):
            a = args[ptr[i] + j]
            total = min(total + tree[a], SATURATED)
            weighted = min(weighted + cost[a], SATURATED)
            if uses[a] < 2:
                uses[a] += 1
            if linear[a] != 2 if a >= first_operation else opcode[a] == PARAMETER:
                purely = False
        if code == ADD or code == SUB or code == NEG or code == AFFINE:
            linear[i] = 2 if purely else 1
        elif code == MUL:
            if (opcode[args[ptr[i]]] == CONSTANT) != (opcode[args[ptr[i] + 1]] == CONSTANT):
                linear[i] = 2 if purely else 1
        elif code == DIV and opcode[args[ptr[i] + 1]] == CONSTANT and opcode[args[ptr[i]]] != CONSTANT:
            linear[i] = 2 if purely else 1
        addends[i] = 1
        if linear[i] != 0:
            terms = 0
            for j in range(n):
                terms += addends[args[ptr[i] + j]]
            addends[i] = min(255, terms)
        if code == BLACKBOX:
            total = SATURATED
        tree[i] = total
        cost[i] = weighted
    for k in range(outputs.size):
        if uses[outputs[k]] < 2:
            uses[outputs[k]] += 1
    forest = True
    for i in range(first_operation, size):
        if uses[i] > 1:
            forest = False
            break
    inner = np.zeros(size, dtype=np.bool_)
    several = np.zeros(size, dtype=np.bool_)
    if forest:
        return linear, addends, tree, cost, inner, several, forest
    for i in range(size - 1, first_operation - 1, -1):
        several[i] = several[i] or uses[i] > 1
        for k in range(ptr[i], ptr[i + 1]):
            a = args[k]
            if linear[i] == 0 or inner[i]:
                inner[a] = True
            if linear[i] != 0 and several[i]:
                several[a] = True
    return linear, addends, tree, cost, inner, several, forest


@kernel
def cone_size(
    opcode: Array,
    ptr: Array,
    args: Array,
    root: int,
    first_operation: int,
    limit: int,
    stamp: int,
    seen: Array,
    stack: Array,
) -> int:
    """Number of operations below a node and itself; ``limit + 1`` if there are more, or a black box."""
    if root < first_operation:
        return 0
    top = 0
    stack[0] = root
    seen[root] = stamp
    count = 0
    while top >= 0:
        i = stack[top]
        top -= 1
        count += 1
        if count > limit or opcode[i] == BLACKBOX:
            return limit + 1
        n = ptr[i + 1] - ptr[i]
        if top + n >= stack.size:
            return limit + 1
        for j in range(n):
            a = args[ptr[i] + j]
            if a >= first_operation and seen[a] != stamp:
                seen[a] = stamp
                top += 1
                stack[top] = a
    return count


@kernel
def heapsort(a: Array) -> None:
    """Sort in place; NumPy's sorts take Numba seconds to compile.  Arrays in order already are left at once."""
    n = a.size
    k = 1
    while k < n and a[k - 1] <= a[k]:
        k += 1
    if k >= n:
        return
    for begin in range(n // 2 - 1, -n, -1):
        # first build the heap, then take its largest element n - 1 times
        stop = n
        i = begin
        if begin < 0:
            stop = n + begin
            a[0], a[stop] = a[stop], a[0]
            i = 0
        value = a[i]
        while 2 * i + 1 < stop:
            child = 2 * i + 1
            if child + 1 < stop and a[child + 1] > a[child]:
                child += 1
            if a[child] <= value:
                break
            a[i] = a[child]
            i = child
        a[i] = value


@kernel
def linear_form(
    opcode: Array,
    ptr: Array,
    args: Array,
    arg0: Array,
    row_ptr: Array,
    row_coef: Array,
    row_const: Array,
    constants: Array,
    first_constant: int,
    first_operation: int,
    linear: Array,
    tree: Array,
    root: int,
    cap: int,
    stamp: int,
    seen: Array,
    coef: Array,
    expanded: Array,
    terms: Array,
) -> tuple[int, int, float]:
    """Write a linear node as a constant plus a weighted sum of other nodes.

    With ``cap`` 0 all linear nodes below are dissolved; else those of more than ``cap`` operations, and the partial
    sums of a chain of additions, so that a sum comes apart into its addends.  Coefficients are left in ``coef[term]``.

    Returns:
        Number of terms (in ``terms``), number of nodes dissolved, and the constant.
    """
    count = 1
    expanded[0] = root
    seen[root] = stamp
    done = 0
    while done < count:
        i = expanded[done]
        done += 1
        n = ptr[i + 1] - ptr[i]
        for j in range(n):
            a = args[ptr[i] + j]
            if a < first_operation or linear[a] == 0 or seen[a] == stamp:
                continue
            dissolve = cap == 0 or tree[a] > cap
            if (
                not dissolve
                and n == 2
                and (opcode[i] == ADD or opcode[i] == SUB)
                and (opcode[a] == ADD or opcode[a] == SUB)
            ):
                other = args[ptr[i] + 1 - j]
                dissolve = tree[a] > 2 * tree[other]
            if dissolve:
                seen[a] = stamp
                expanded[count] = a
                count += 1
    order = expanded[:count]
    heapsort(order)
    found = 0
    constant = 0.0
    for k in range(count):
        coef[order[k]] = 0.0
    coef[root] = 1.0
    for k in range(count - 1, -1, -1):
        i = order[k]
        c = coef[i]
        code = opcode[i]
        n = ptr[i + 1] - ptr[i]
        if code == AFFINE:
            constant += c * row_const[arg0[i]]
        for j in range(n):
            a = args[ptr[i] + j]
            if code == AFFINE:
                d = c * row_coef[row_ptr[arg0[i]] + j]
            elif code == NEG or (code == SUB and j == 1):
                d = -c
            elif code == MUL:
                other = args[ptr[i] + 1 - j]
                if opcode[a] == CONSTANT:
                    continue
                d = c * constants[other - first_constant]
            elif code == DIV:
                if j == 1:
                    continue
                d = c / constants[args[ptr[i] + 1] - first_constant]
            else:
                d = c
            if opcode[a] == CONSTANT:
                constant += d * constants[a - first_constant]
            elif seen[a] == -stamp or (a >= first_operation and linear[a] != 0 and seen[a] == stamp):
                coef[a] += d
            else:
                seen[a] = -stamp
                coef[a] = d
                terms[found] = a
                found += 1
    heapsort(terms[:found])
    return found, count, constant


@kernel
def grown(array: Array, needed: int) -> Array:
    """The array itself or a longer copy."""
    if needed <= array.size:
        return array
    out = np.empty(max(needed, 2 * array.size), dtype=array.dtype)
    for k in range(array.size):
        out[k] = array[k]
    return out


@kernel
def split(
    opcode: Array,
    ptr: Array,
    args: Array,
    arg0: Array,
    row_ptr: Array,
    row_coef: Array,
    row_const: Array,
    constants: Array,
    outputs: Array,
    num_inputs: int,
    first_constant: int,
    first_operation: int,
    linear: Array,
    addends: Array,
    tree: Array,
    cap: int,
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array]:
    """Split the outputs: ``output[r] = constant[r] + sum coef * input + sum coef * unit``.

    An output whose expression is small is one unit.  A large sum comes apart into its addends.

    Returns:
        Units (node ids), targets (unit, row, coef), linear entries (row, input, coef), constants by row.
    """
    size = opcode.size
    rows = outputs.size
    seen = np.zeros(size, dtype=np.int32)
    stack = np.empty(16 * cap + 1024, dtype=np.int32)
    coef = np.empty(size)
    expanded = np.empty(size, dtype=np.int32)
    terms = np.empty(size, dtype=np.int32)
    unit_of = np.empty(size, dtype=np.int32)
    unit_of[:] = -1
    units = np.empty(1024, dtype=np.int32)
    num_units = 0
    target_unit = np.empty(1024, dtype=np.int32)
    target_row = np.empty(1024, dtype=np.int32)
    target_coef = np.empty(1024)
    num_targets = 0
    linear_row = np.empty(1024, dtype=np.int32)
    linear_input = np.empty(1024, dtype=np.int32)
    linear_coef = np.empty(1024)
    num_linear = 0
    constant = np.zeros(rows)
    stamp = 0
    budget = 40 * size + 1000000
    for r in range(rows):
        root = outputs[r]
        code = opcode[root]
        if code == CONSTANT:
            constant[r] = constants[root - first_constant]
            continue
        whole = True
        if code != INPUT and root >= first_operation and linear[root] != 0 and budget > 0:
            whole = linear[root] == 1
            if whole and addends[root] > MAX_ADDENDS:
                whole = False
            if whole and tree[root] > cap:
                stamp += 1
                whole = cone_size(opcode, ptr, args, root, first_operation, cap, stamp, seen, stack) <= cap
                budget -= cap
        if code == INPUT:
            linear_row = grown(linear_row, num_linear + 1)
            linear_input = grown(linear_input, num_linear + 1)
            linear_coef = grown(linear_coef, num_linear + 1)
            linear_row[num_linear], linear_input[num_linear], linear_coef[num_linear] = r, root, 1.0
            num_linear += 1
            continue
        if whole:
            found = 1
            terms[0] = root
            coef[root] = 1.0
        else:
            stamp += 1
            found, work, constant[r] = linear_form(
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
                root,
                0 if linear[root] == 2 else MAX_ADDEND_SIZE,
                stamp,
                seen,
                coef,
                expanded,
                terms,
            )
            budget -= work + found
        target_unit = grown(target_unit, num_targets + found)
        target_row = grown(target_row, num_targets + found)
        target_coef = grown(target_coef, num_targets + found)
        linear_row = grown(linear_row, num_linear + found)
        linear_input = grown(linear_input, num_linear + found)
        linear_coef = grown(linear_coef, num_linear + found)
        for k in range(found):
            a = terms[k]
            if a < num_inputs:
                linear_row[num_linear], linear_input[num_linear], linear_coef[num_linear] = r, a, coef[a]
                num_linear += 1
                continue
            if unit_of[a] < 0:
                units = grown(units, num_units + 1)
                unit_of[a] = num_units
                units[num_units] = a
                num_units += 1
            target_unit[num_targets], target_row[num_targets], target_coef[num_targets] = unit_of[a], r, coef[a]
            num_targets += 1

    return (
        units[:num_units],
        target_unit[:num_targets],
        target_row[:num_targets],
        target_coef[:num_targets],
        linear_row[:num_linear],
        linear_input[:num_linear],
        linear_coef[:num_linear],
        constant,
    )
