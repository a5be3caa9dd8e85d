"""Numba kernels of detection: index sets of nodes, coupled pairs of sets, and rows united from sets.

A *set* holds the inputs that a node depends on.  Sets live one behind the other in a *pool*; set ``s`` is
``pool[set_start[s]:set_start[s + 1]]``, unsorted, without repetition.  Sets ``0 … num_inputs-1`` are the inputs
themselves.  A *graph* is the tuple ``(opcode, arg0, arg1, row_ptr, row_arg, flags)`` of a tape and its edge flags; an
edge is live if it carries a first partial that may be nonzero.  A node without any flag is constant; one with second
partials alone (``x * y`` at the origin, masked) has an empty set but still matters to the Hessian.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from sct_opt.ops import AFFINE, BLACKBOX, CONSTANT, FLAG_A, FLAG_AA, FLAG_AB, FLAG_B, FLAG_BB, PARAMETER, SELECT

Array = np.ndarray[Any, Any]
Graph = tuple[Array, Array, Array, Array, Array, Array]

_FIRST = FLAG_A | FLAG_B
_SECOND = FLAG_AA | FLAG_AB | FLAG_BB

# States of a node in `couplings`.
_LIVE = 1  # an adjoint reaches it
_COVERED = 2  # its set lies within a set whose inputs are all coupled with one another
_CLIQUE = 4  # the inputs of its set are to be coupled with one another

_SMALL_SET = 16  # sets at least this long are compared with earlier ones, to be stored and worked through once
_CHEAP = 32  # a shared node with at most so many nodes below it is traversed again rather than given a set
_OPTIONAL_ENTRIES = 1 << 25  # pool entries spent on shared nodes at most, or 32 per node of the tape if that is more
_SUBSET_CHECK = 256  # products of two sets at least this large are examined for one set lying within the other


@njit(cache=True, nogil=True)
def repropagate(graph: Graph, num_inputs: int) -> None:
    """Clear in place the flags of partials whose argument no longer depends on an input after masking."""
    opcode, arg0, arg1, row_ptr, row_arg, flags = graph
    for i in range(num_inputs, opcode.size):
        code = opcode[i]
        if code == PARAMETER or code == CONSTANT or flags[i] == 0:
            continue
        if code == AFFINE or code == BLACKBOX:
            depends = False
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                if flags[row_arg[k]]:
                    depends = True
                    break
            if not depends:
                flags[i] = 0
        else:
            a, b = arg0[i], arg1[i]
            if code == SELECT:
                a, b = row_arg[row_ptr[arg0[i]] + 1], row_arg[row_ptr[arg0[i]] + 2]
            if flags[a] == 0:
                flags[i] &= ~np.uint8(FLAG_A | FLAG_AA | FLAG_AB)
            if flags[b] == 0:
                flags[i] &= ~np.uint8(FLAG_B | FLAG_BB | FLAG_AB)


@njit(cache=True, nogil=True)
def _operands(i: int, code: int, graph: Graph) -> tuple[int, int]:
    """The arguments behind bits A and B of a node that is neither affine nor black box; -1 if the edge is not live."""
    _, arg0, arg1, row_ptr, row_arg, flags = graph
    f = flags[i]
    a = np.int64(arg0[i])
    b = np.int64(arg1[i])
    if code == SELECT:
        k = row_ptr[a]
        a = np.int64(row_arg[k + 1])
        b = np.int64(row_arg[k + 2])
    return (a if f & FLAG_A else -1), (b if f & FLAG_B else -1)


@njit(cache=True, nogil=True)
def representatives(graph: Graph, num_inputs: int) -> Array:
    """Per node, the deepest node below it that is known to have the same set."""
    opcode, arg0, _, row_ptr, row_arg, flags = graph
    rep = np.empty(opcode.size, dtype=np.int32)
    for i in range(opcode.size):
        rep[i] = i
        if i < num_inputs or not flags[i] & _FIRST:
            continue
        code = opcode[i]
        if code == AFFINE or code == BLACKBOX:
            common = -1
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                c = row_arg[k]
                if flags[c]:
                    if common < 0:
                        common = rep[c]
                    elif common != rep[c]:
                        common = -1
                        break
            if common >= 0:
                rep[i] = common
        else:
            a, b = _operands(i, code, graph)
            if b < 0 or (a >= 0 and rep[a] == rep[b]):
                rep[i] = rep[a]
            elif a < 0:
                rep[i] = rep[b]
    return rep


@njit(cache=True, nogil=True)
def _collect(
    root: int,
    stamp: int,
    graph: Graph,
    num_inputs: int,
    node_set: Array,
    set_start: Array,
    pool: Array,
    filled: int,
    mark: Array,
    stack: Array,
) -> tuple[Array, int, int]:
    """Append the inputs below ``root`` to the pool; returns the pool, its new fill and the number of visits.

    The traversal stops at nodes that have a set.  ``mark`` holds the stamp of the traversal that met a node last.
    """
    opcode, arg0, _, row_ptr, row_arg, flags = graph
    work = 0
    stack[0] = root
    mark[root] = stamp
    top = 1
    while top:
        top -= 1
        i = np.int64(stack[top])
        work += 1
        known = node_set[i]
        code = opcode[i]
        lo = np.int64(0)
        hi = np.int64(2)
        nary = code == AFFINE or code == BLACKBOX
        if known >= 0:
            lo, hi = set_start[known], set_start[known + 1]
        elif nary:
            lo, hi = row_ptr[arg0[i]], row_ptr[arg0[i] + 1]
        if filled + hi - lo > pool.size:
            grown = np.empty(2 * (filled + hi - lo), dtype=np.int32)
            grown[:filled] = pool[:filled]
            pool = grown
        if known >= 0:
            work += hi - lo
            for k in range(lo, hi):
                j = pool[k]
                if mark[j] != stamp:
                    mark[j] = stamp
                    pool[filled] = j
                    filled += 1
        elif nary:
            work += hi - lo
            for k in range(lo, hi):
                c = row_arg[k]
                if mark[c] != stamp and flags[c]:
                    mark[c] = stamp
                    if c < num_inputs:
                        pool[filled] = c
                        filled += 1
                    else:
                        stack[top] = c
                        top += 1
        else:
            a, b = _operands(i, code, graph)
            # The second argument goes on the stack first, so that inputs come out roughly in ascending order.
            if b >= num_inputs and mark[b] != stamp:
                mark[b] = stamp
                stack[top] = b
                top += 1
            if a >= num_inputs and mark[a] != stamp:
                mark[a] = stamp
                stack[top] = a
                top += 1
            if 0 <= a < num_inputs and mark[a] != stamp:
                mark[a] = stamp
                pool[filled] = a
                filled += 1
            if 0 <= b < num_inputs and mark[b] != stamp:
                mark[b] = stamp
                pool[filled] = b
                filled += 1
    return pool, filled, work


@njit(cache=True, nogil=True)
def _equal_earlier(
    pool: Array, lo: int, hi: int, set_start: Array, table: Array, mark: Array, stamp: int
) -> tuple[int, int]:
    """The earlier set equal to ``pool[lo:hi]`` or -1, and the slot of the hash table where it is or belongs."""
    key = np.uint64(hi - lo)
    for k in range(lo, hi):
        h = np.uint64(pool[k] + 1) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(29)
        key += h * np.uint64(0xBF58476D1CE4E5B9)  # a sum, so that the order of the elements does not matter
    key ^= key >> np.uint64(32)
    slot = np.int64(key & np.uint64(table.size - 1))
    while table[slot] >= 0:
        s = table[slot]
        if set_start[s + 1] - set_start[s] == hi - lo:
            equal = True
            for k in range(set_start[s], set_start[s + 1]):
                if mark[pool[k]] != stamp:
                    equal = False
                    break
            if equal:
                return np.int64(s), slot
        slot = (slot + 1) & (table.size - 1)
    return np.int64(-1), slot


@njit(cache=True, nogil=True)
def _joins(graph: Graph, num_inputs: int, wanted: Array, node_set: Array) -> Array:
    """Per node, the only wanted node or join that it is reached from; itself if it is one of these; -1 if none.

    A join is reached from several.  Traversals of different wanted nodes meet nowhere except below joins.
    """
    opcode, arg0, _, row_ptr, row_arg, flags = graph
    owner = np.full(opcode.size, -1, dtype=np.int32)
    for i in range(opcode.size - 1, num_inputs - 1, -1):
        if node_set[i] >= 0:
            continue
        if wanted[i]:
            owner[i] = i
        o = owner[i]
        if o < 0:
            continue
        code = opcode[i]
        if code == AFFINE or code == BLACKBOX:
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                c = row_arg[k]
                if flags[c] and owner[c] != o:
                    owner[c] = o if owner[c] < 0 else c
        else:
            a, b = _operands(i, code, graph)
            if a >= 0 and owner[a] != o:
                owner[a] = o if owner[a] < 0 else a
            if b >= 0 and owner[b] != o:
                owner[b] = o if owner[b] < 0 else b
    return owner


@njit(cache=True, nogil=True)
def _traversal_cost(i: int, graph: Graph, cost: Array) -> int:
    """Upper bound of the visits that a traversal from node ``i`` makes, from those of its arguments."""
    opcode, arg0, _, row_ptr, row_arg, flags = graph
    total = np.int64(1)
    code = opcode[i]
    if code == AFFINE or code == BLACKBOX:
        for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
            if flags[row_arg[k]]:
                total += cost[row_arg[k]]
    else:
        a, b = _operands(i, code, graph)
        if a >= 0:
            total += cost[a]
        if b >= 0 and b != a:
            total += cost[b]
    return min(total, np.int64(1) << 40)


@njit(cache=True, nogil=True)
def reach(graph: Graph, num_inputs: int, wanted: Array, limit: int) -> tuple[Array, Array, Array, int, int]:
    """Sets of the wanted nodes.

    First each wanted node is traversed for itself, deeper ones first, stopping at sets already known.  That is all
    when subexpressions are small or rarely shared.  Where it costs more than a few visits per node of the tape, shared
    nodes with much below them are given sets too, so that what lies below is visited once.

    Args:
        graph: tape arrays and edge flags.
        num_inputs: number of inputs.
        wanted: per node, whether its set is needed.
        limit: number of pool entries at which to give up.

    Returns:
        Set of each node (-1 if it has none), start of each set, pool, work done, and the node at which the limit was
        passed (-1 if it was not).
    """
    opcode = graph[0]
    size = opcode.size
    node_set = np.full(size, -1, dtype=np.int32)
    count = 0
    for i in range(num_inputs, size):
        count += wanted[i]
    capacity = num_inputs + count + 1
    set_start = np.empty(capacity, dtype=np.int64)
    pool = np.empty(num_inputs + 8 * count + 64, dtype=np.int32)
    for j in range(num_inputs):
        node_set[j] = j
        set_start[j] = j
        pool[j] = j
    set_start[num_inputs] = num_inputs
    slots = 64
    while slots < 2 * count:
        slots *= 2
    table = np.full(slots, -1, dtype=np.int32)
    in_table = 0
    mark = np.zeros(size, dtype=np.int32)
    stack = np.empty(size + 1, dtype=np.int32)
    num_sets = num_inputs
    filled = num_inputs
    work = 0
    stamp = 0
    optional = 0
    joined = False
    cost = np.empty(0, dtype=np.int64)
    owner = np.empty(0, dtype=np.int32)
    i = num_inputs
    while i < size:
        if not joined and work > 4 * size + 1024:
            joined = True
            owner = _joins(graph, num_inputs, wanted, node_set)
            cost = np.ones(size, dtype=np.int64)
            i = num_inputs
        needed = wanted[i] and node_set[i] < 0
        if joined:
            if node_set[i] >= 0:
                cost[i] = 1 + set_start[node_set[i] + 1] - set_start[node_set[i]]
            elif owner[i] >= 0:
                cost[i] = _traversal_cost(i, graph, cost)
                if owner[i] == i and cost[i] > _CHEAP and optional < max(_OPTIONAL_ENTRIES, 32 * size):
                    needed = True
        if needed:
            stamp += 1
            start = filled
            pool, filled, visits = _collect(i, stamp, graph, num_inputs, node_set, set_start, pool, filled, mark, stack)
            work += visits
            if filled > limit:
                return node_set, set_start[: num_sets + 1], pool[:filled], work, i
            length = filled - start
            known = np.int64(-1)
            if length == 1:
                known = np.int64(pool[start])
            elif length >= _SMALL_SET:
                work += length
                known, slot = _equal_earlier(pool, start, filled, set_start, table, mark, stamp)
                if known < 0 and 2 * in_table < slots:
                    table[slot] = num_sets
                    in_table += 1
            if known >= 0:
                node_set[i] = known
                filled = start
            else:
                if not wanted[i]:
                    optional += length
                if num_sets + 2 > set_start.size:
                    grown = np.empty(2 * set_start.size + 2, dtype=np.int64)
                    grown[: num_sets + 1] = set_start[: num_sets + 1]
                    set_start = grown
                node_set[i] = num_sets
                num_sets += 1
                set_start[num_sets] = filled
            if joined:
                cost[i] = 1 + length
        i += 1
    return node_set, set_start[: num_sets + 1], pool[:filled], work, np.int64(-1)


@njit(cache=True, nogil=True)
def _is_subset(small: int, large: int, set_start: Array, pool: Array, mark: Array, stamp: int) -> bool:
    for k in range(set_start[large], set_start[large + 1]):
        mark[pool[k]] = stamp
    for k in range(set_start[small], set_start[small + 1]):
        if mark[pool[k]] != stamp:
            return False
    return True


@njit(cache=True, nogil=True)
def couplings(
    graph: Graph,
    num_inputs: int,
    outputs: Array,
    rep: Array,
    site_first: Array,
    site_outputs: Array,
    site_ptr: Array,
    site_a: Array,
    site_b: Array,
    node_set: Array,
    set_start: Array,
    pool: Array,
) -> tuple[Array, Array]:
    """Pairs of nodes whose sets are coupled by second partials, from the outputs down to the inputs.

    A node is live if an adjoint reaches it.  A live nonlinear node couples the sets of its arguments.  Where all of a
    set is coupled with itself (``exp(s)`` for example), whatever is computed below adds nothing, so nodes below are
    *covered* and skipped: a long nonlinear recursion costs its outermost set and not one per step.

    The kernel runs twice: without sets (``set_start`` empty) to learn which sets are needed, then with them, when a
    set found to lie within its partner covers what is below it as well.

    Args:
        graph: tape arrays and edge flags.
        num_inputs: number of inputs.
        outputs: node ids of the outputs.
        rep: see `representatives`.
        site_first: first output node of each black-box call.
        site_outputs: number of outputs of each call.
        site_ptr: where each call starts in ``site_a`` and ``site_b``.
        site_a: first argument node of each structural nonzero of a call's Hessian.
        site_b: second argument node of each.
        node_set: see `reach`.
        set_start: see `reach`; empty in the first run.
        pool: see `reach`.

    Returns:
        Nodes ``a`` and ``b`` of each pair of coupled sets; ``a == b`` couples a set with itself.
    """
    opcode, arg0, arg1, row_ptr, row_arg, flags = graph
    with_sets = set_start.size > 0
    state = np.zeros(opcode.size, dtype=np.uint8)
    mark = np.zeros(num_inputs if with_sets else 0, dtype=np.int32)
    stamp = 0
    first = np.empty(256, dtype=np.int32)
    second = np.empty(256, dtype=np.int32)
    count = 0
    for k in range(outputs.size):
        if flags[outputs[k]]:
            state[outputs[k]] = _LIVE
    for i in range(opcode.size - 1, -1, -1):
        s = state[i]
        if s == 0 and opcode[i] != BLACKBOX:  # a call's first output stands for the others
            continue
        if count + 2 > first.size:
            first = np.concatenate((first, first))
            second = np.concatenate((second, second))
        if s & _CLIQUE and not s & _COVERED:
            first[count] = i
            second[count] = i
            count += 1
            s |= _COVERED
        if i < num_inputs:
            continue
        code = opcode[i]
        f = flags[i]
        inherited = s & (_LIVE | _COVERED)
        if code == AFFINE or code == BLACKBOX:
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                if flags[row_arg[k]]:
                    state[row_arg[k]] |= inherited
            if code == AFFINE:
                continue
            site = arg1[i]
            if site_first[site] != i:
                continue
            # All outputs of the call have been seen: they follow its first one.
            live = (s & _LIVE) != 0
            for k in range(i + 1, i + site_outputs[site]):
                live |= (state[k] & _LIVE) != 0
            if not live:
                continue
            for k in range(site_ptr[site], site_ptr[site + 1]):
                a, b = site_a[k], site_b[k]
                if not (flags[a] and flags[b]):
                    continue
                if rep[a] == rep[b]:
                    state[rep[a]] |= _CLIQUE
                else:
                    if count + 2 > first.size:
                        first = np.concatenate((first, first))
                        second = np.concatenate((second, second))
                    first[count] = rep[a]
                    second[count] = rep[b]
                    count += 1
            continue
        a, b = _operands(i, code, graph)
        if a >= 0:
            state[a] |= inherited
        if b >= 0:
            state[b] |= inherited
        if not (s & _LIVE and f & _SECOND):
            continue
        # An argument's set lies within this node's only if its first partial is live too, which masking may undo.
        if f & FLAG_AA and not (s & _COVERED and a >= 0):
            state[rep[arg0[i]]] |= _CLIQUE
        if f & FLAG_BB and not (s & _COVERED and b >= 0):
            state[rep[arg1[i]]] |= _CLIQUE
        if f & FLAG_AB and not (s & _COVERED and a >= 0 and b >= 0):
            ra, rb = rep[arg0[i]], rep[arg1[i]]
            if ra == rb:
                state[ra] |= _CLIQUE
                continue
            if with_sets:
                sa, sb = node_set[ra], node_set[rb]
                la, lb = set_start[sa + 1] - set_start[sa], set_start[sb + 1] - set_start[sb]
                if sa == sb:
                    state[max(ra, rb)] |= _CLIQUE
                    state[min(ra, rb)] |= _COVERED
                    continue
                if la * lb > _SUBSET_CHECK:
                    stamp += 1
                    if la <= lb and _is_subset(sa, sb, set_start, pool, mark, stamp):
                        state[ra] |= _COVERED
                    elif lb < la and _is_subset(sb, sa, set_start, pool, mark, stamp):
                        state[rb] |= _COVERED
            first[count] = ra
            second[count] = rb
            count += 1
    return first[:count], second[:count]


@njit(cache=True, nogil=True)
def incidence(first: Array, second: Array, set_start: Array, pool: Array, num_inputs: int) -> tuple[Array, Array]:
    """Per input, the sets that it is coupled with, as rows of sets for `unite`."""
    ptr = np.zeros(num_inputs + 1, dtype=np.int64)
    for p in range(first.size):
        a, b = first[p], second[p]
        for k in range(set_start[a], set_start[a + 1]):
            ptr[pool[k] + 1] += 1
        if a != b:
            for k in range(set_start[b], set_start[b + 1]):
                ptr[pool[k] + 1] += 1
    for j in range(num_inputs):
        ptr[j + 1] += ptr[j]
    sets = np.empty(ptr[num_inputs], dtype=np.int32)
    position = ptr[:num_inputs].copy()
    for p in range(first.size):
        a, b = first[p], second[p]
        for k in range(set_start[a], set_start[a + 1]):
            sets[position[pool[k]]] = b
            position[pool[k]] += 1
        if a != b:
            for k in range(set_start[b], set_start[b + 1]):
                sets[position[pool[k]]] = a
                position[pool[k]] += 1
    return ptr, sets


@njit(cache=True, nogil=True)
def _sort(values: Array, lo: int, hi: int, mark: Array, stamp: int) -> None:
    """Sort ``values[lo:hi]``, distinct: by scanning the range they span where they fill it well, else by Shell's method."""
    length = hi - lo
    smallest = largest = values[lo]
    ascending = True
    for k in range(lo + 1, hi):
        v = values[k]
        if v < largest:
            ascending = False
            if v < smallest:
                smallest = v
        else:
            largest = v
    if ascending:
        return
    if length > 24 and np.int64(largest) - smallest < 8 * length:
        for k in range(lo, hi):
            mark[values[k]] = stamp
        k = lo
        for v in range(smallest, largest + 1):
            if mark[v] == stamp:
                values[k] = v
                k += 1
        return
    gap = 1
    while length > 24 and gap < length // 5:
        gap = 3 * gap + 1
    while gap > 0:
        for k in range(lo + gap, hi):
            v = values[k]
            m = k
            while m >= lo + gap and values[m - gap] > v:
                values[m] = values[m - gap]
                m -= gap
            values[m] = v
        gap //= 3


@njit(cache=True, nogil=True)
def unite(
    row_ptr: Array, row_set: Array, set_start: Array, pool: Array, num_columns: int, limit: int
) -> tuple[Array, Array, int]:
    """Unite each row's sets into sorted columns.

    Args:
        row_ptr: where each row starts in ``row_set``.
        row_set: set indices, repetition allowed.
        set_start: see `reach`.
        pool: see `reach`.
        num_columns: number of inputs.
        limit: number of entries at which to give up.

    Returns:
        The rows in compressed form, ``indptr`` and ``indices``, and the work done; ``indptr`` is empty if the limit
        was passed.
    """
    num_rows = row_ptr.size - 1
    indptr = np.zeros(num_rows + 1, dtype=np.int32)
    mark = np.full(num_columns, -1, dtype=np.int32)
    seen = np.full(set_start.size, -1, dtype=np.int32)
    bound = np.int64(0)
    for k in range(row_set.size):
        bound += set_start[row_set[k] + 1] - set_start[row_set[k]]
    indices = np.empty(min(bound, np.int64(1) << 24), dtype=np.int32)
    filled = np.int64(0)
    for r in range(num_rows):
        start = filled
        if filled + num_columns > indices.size:
            bound = np.int64(0)
            for k in range(row_ptr[r], row_ptr[r + 1]):
                bound += set_start[row_set[k] + 1] - set_start[row_set[k]]
            bound = min(bound, num_columns)
            if filled + bound > indices.size:
                grown = np.empty(2 * (filled + bound), dtype=np.int32)
                grown[:filled] = indices[:filled]
                indices = grown
        for k in range(row_ptr[r], row_ptr[r + 1]):
            s = row_set[k]
            if seen[s] == r:
                continue
            seen[s] = r
            for t in range(set_start[s], set_start[s + 1]):
                j = pool[t]
                if mark[j] != r:
                    mark[j] = r
                    indices[filled] = j
                    filled += 1
            if filled - start == num_columns:
                break
        if filled > limit:
            return np.zeros(0, dtype=np.int32), indices[:0], filled
        if filled - start > 1:
            _sort(indices, start, filled, mark, r)
        indptr[r + 1] = filled
    return indptr, indices[:filled].copy(), filled
