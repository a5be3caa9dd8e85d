"""Kernels of detection: index sets of nodes, coupled pairs of sets, and rows united from sets.

A *set* holds the inputs that a node depends on.  Set ``s < num_inputs`` is the input ``s`` alone; the others lie one
behind the other in a *pool*, number ``s`` from ``set_start[s - num_inputs]`` to ``set_start[s - num_inputs + 1]``,
without repetition.  ``place`` tells what is known of each node: ``-s - 1`` if it has the set ``s``, else the stamp of
the traversal that met it last.

An edge is live if it carries a first partial that may be nonzero.  A node without any flag is constant; one with second
partials alone (``x * y`` at the origin, masked) has an empty set but still matters to the Hessian.

Memory is touched as little as possible: on fresh memory a page fault costs as much as a hundred visits of nodes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel
from sct_opt.ops import AFFINE, BLACKBOX, FLAG_A, FLAG_AA, FLAG_AB, FLAG_B, FLAG_BB, SELECT

Array = np.ndarray[Any, Any]

_FIRST = FLAG_A | FLAG_B

_SMALL_SET = 16  # sets at least this long are compared with earlier ones, to be stored and worked through once
_CHEAP = 32  # a shared node with at most so many nodes below it is traversed again rather than given a set


@kernel
def repropagate(
    opcode: Array, arg0: Array, arg1: Array, row_ptr: Array, row_arg: Array, flags: Array, num_inputs: int
) -> None:
    """Clear in place the flags of partials whose argument no longer depends on an input after masking."""
    for i in range(num_inputs, opcode.size):
        if flags[i] == 0:
            continue
        code = opcode[i]
        if code == AFFINE or code == BLACKBOX:
            depends = False
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                if flags[row_arg[k]]:
                    depends = True
                    break
            if not depends:
                flags[i] = 0
        else:
            a = arg0[i]
            b = arg1[i]
            if code == SELECT:
                k = row_ptr[a]
                a = row_arg[k + 1]
                b = row_arg[k + 2]
            if flags[a] == 0:
                flags[i] &= ~np.uint8(FLAG_A | FLAG_AA | FLAG_AB)
            if flags[b] == 0:
                flags[i] &= ~np.uint8(FLAG_B | FLAG_BB | FLAG_AB)


@kernel
def _sort(values: Array, lo: int, hi: int, mark: Array, stamp: int) -> None:
    """Sort ``values[lo:hi]``, which are distinct and just those marked with the stamp.

    By scanning the range that they span where they fill it well, else by Shell's method.
    """
    length = hi - lo
    smallest = largest = values[lo]
    ascending = True
    for k in range(lo + 1, hi):
        v = values[k]
        if v < largest:
            ascending = False
            smallest = min(smallest, v)
        else:
            largest = v
    if ascending:
        return
    if largest - smallest < 8 * length:
        k = lo
        for v in range(smallest, largest + 1):
            if mark[v] == stamp:
                values[k] = v
                k += 1
        return
    gap = 1
    while gap < length // 5:
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


@kernel
def reach(
    first: int,
    stamp: int,
    opcode: Array,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    flags: Array,
    num_inputs: int,
    roots: Array,
    optional: Array,
    as_rows: bool,
    place: Array,
    set_start: Array,
    set_mark: Array,
    pool: Array,
    table: Array,
    stack: Array,
    budget: int,
    optional_entries: int,
) -> tuple[int, int, int, int]:
    """Find the sets of nodes, one traversal each; set ``num_inputs + r`` belongs to root ``r``.

    A traversal stops at nodes that have a set, so roots are best given deeper ones first.  All is done in one function,
    because passing arrays to another costs more than visiting a node.

    Args:
        first: root to begin with.
        stamp: the last stamp used.
        opcode: see `Tape`.
        arg0: see `Tape`.
        arg1: see `Tape`.
        row_ptr: see `Tape`.
        row_arg: see `Tape`.
        flags: see `Tape.edge_flags`.
        num_inputs: number of inputs.
        roots: node ids.
        optional: roots to be left out when ``optional_entries`` are spent; empty if there are none.
        as_rows: sort each set and keep all in the pool, which then holds the rows of a Jacobian; otherwise sets equal to
            an earlier one are not stored again.
        place: zeros at first.
        set_start: where each set starts in the pool; written.
        set_mark: zeros at first, one for each root.
        pool: written.
        table: zeros at first, for the hash table of sets; its length is a power of two.  Unused with ``as_rows``.
        stack: room for every node.
        budget: arguments that may be looked at.
        optional_entries: pool entries that optional roots may take.

    Returns:
        The root at which the pool was full or the budget spent, if any, the last stamp, and the numbers of arguments
        looked at and of elements copied.
    """
    visits = 0
    copied = 0
    filled = set_start[first]
    for r in range(first, roots.size):
        root = roots[r]
        if visits > budget:
            return r, stamp, visits, copied
        set_start[r + 1] = filled
        if not flags[root] & _FIRST:
            place[root] = -(num_inputs + r) - 1
            continue
        if optional.size > 0 and optional[r] and optional_entries <= 0:
            continue
        stamp += 1
        start = filled
        # The root goes on the stack even if it is an input or has a set already, as an output repeated.
        stack[0] = root
        top = 1
        if root < num_inputs:
            top = 0
            if filled + 1 > pool.size:
                return r, stamp, visits, copied
            pool[filled] = root
            filled += 1
        elif place[root] >= 0:
            place[root] = stamp
        while top:
            top -= 1
            i = stack[top]
            p = place[i]
            if p < 0:
                if -p - 1 < num_inputs:
                    lo = 0
                    hi = 1
                else:
                    lo = set_start[-p - 1 - num_inputs]
                    hi = set_start[-p - num_inputs]
                if filled + hi - lo > pool.size:
                    return r, stamp, visits, copied
                copied += hi - lo
                for k in range(lo, hi):
                    j = pool[k] if -p - 1 >= num_inputs else -p - 1
                    if place[j] != stamp:
                        place[j] = stamp
                        pool[filled] = j
                        filled += 1
                continue
            code = opcode[i]
            nary = code == AFFINE or code == BLACKBOX
            a = arg0[i]
            b = arg1[i]
            lo = 0
            hi = 2
            if nary:
                lo = row_ptr[a]
                hi = row_ptr[a + 1]
            else:
                if code == SELECT:
                    lo = row_ptr[a]
                    a = row_arg[lo + 1]
                    b = row_arg[lo + 2]
                lo = 0 if flags[i] & FLAG_A else 1
                hi = 2 if flags[i] & FLAG_B else 1
            if filled + hi - lo > pool.size:
                return r, stamp, visits, copied
            visits += hi - lo
            for k in range(lo, hi):
                if nary:
                    c = row_arg[k]
                    if flags[c] == 0:
                        continue
                else:
                    c = a if k == 0 else b
                p = place[c]
                if p < 0:
                    s = -p - 1
                    if s >= num_inputs:
                        if set_mark[s - num_inputs] != stamp:
                            set_mark[s - num_inputs] = stamp
                            stack[top] = c
                            top += 1
                        continue
                    c = s
                    p = place[c]
                if p != stamp:
                    place[c] = stamp
                    if c < num_inputs:
                        pool[filled] = c
                        filled += 1
                    else:
                        stack[top] = c
                        top += 1
        length = filled - start
        known = -place[root] - 1 if place[root] < 0 else -1
        if root >= num_inputs and known < 0:
            known = num_inputs + r
            if length == 1:
                known = pool[start]
            elif length >= _SMALL_SET and not as_rows:
                copied += length
                known = num_inputs + _equal_earlier(pool, start, filled, r, set_start, table, place, stamp)
            place[root] = -known - 1
            if optional.size > 0 and optional[r]:
                optional_entries -= length
        if as_rows:
            if length > 24:
                _sort(pool, start, filled, place, stamp)
            else:
                for k in range(start + 1, filled):
                    j = pool[k]
                    m = k
                    while m > start and pool[m - 1] > j:
                        pool[m] = pool[m - 1]
                        m -= 1
                    pool[m] = j
        elif known != num_inputs + r:
            filled = start
        set_start[r + 1] = filled
    return roots.size, stamp, visits, copied


@kernel
def _equal_earlier(
    pool: Array, lo: int, hi: int, number: int, set_start: Array, table: Array, place: Array, stamp: int
) -> int:
    """Number of the earlier set equal to ``pool[lo:hi]``, else ``number``, which is noted in the hash table.

    The table holds numbers plus one, zero where it is empty.
    """
    key = np.uint64(hi - lo)
    for k in range(lo, hi):
        h = np.uint64(pool[k] + 1) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(29)
        key += h * np.uint64(0xBF58476D1CE4E5B9)  # a sum, so that the order of the elements does not matter
    key ^= key >> np.uint64(32)
    slot = np.int64(key & np.uint64(table.size - 1))
    while table[slot] > 0:
        s = table[slot] - 1
        if set_start[s + 1] - set_start[s] == hi - lo:
            equal = True
            for k in range(set_start[s], set_start[s + 1]):
                if place[pool[k]] != stamp:
                    equal = False
                    break
            if equal:
                return int(s)
        slot = (slot + 1) & (table.size - 1)
    table[slot] = number + 1
    return number


@kernel
def with_joins(
    opcode: Array,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    flags: Array,
    num_inputs: int,
    roots: Array,
) -> tuple[Array, Array]:
    """The roots and the nodes shared between them that are worth a set, in the order of the tape.

    Traversals of two roots meet at *joins*, nodes reached from several roots or joins.  Those with little below them
    are traversed again instead.

    Returns:
        The nodes, and which of them are not roots.
    """
    size = opcode.size
    is_root = np.zeros(size, dtype=np.bool_)
    for k in range(roots.size):
        is_root[roots[k]] = True
    # Per node the only root or join that it is reached from; itself if it is one of these; -1 if none.
    owner = np.full(size, -1, dtype=np.int32)
    count = 0
    for i in range(size - 1, num_inputs - 1, -1):
        if is_root[i]:
            owner[i] = i
        o = owner[i]
        if o < 0:
            continue
        if o == i:
            count += 1
        code = opcode[i]
        if code == AFFINE or code == BLACKBOX:
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                c = row_arg[k]
                if flags[c] and owner[c] != o:
                    owner[c] = o if owner[c] < 0 else c
            continue
        a = arg0[i]
        b = arg1[i]
        if code == SELECT:
            k = row_ptr[a]
            a = row_arg[k + 1]
            b = row_arg[k + 2]
        if flags[i] & FLAG_A and owner[a] != o:
            owner[a] = o if owner[a] < 0 else a
        if flags[i] & FLAG_B and owner[b] != o:
            owner[b] = o if owner[b] < 0 else b
    # Visits that a traversal from each node makes at most.
    cost = np.ones(size, dtype=np.int64)
    nodes = np.empty(count, dtype=np.int32)
    optional = np.empty(count, dtype=np.bool_)
    count = 0
    for i in range(num_inputs, size):
        if owner[i] < 0:
            continue
        total = 1
        code = opcode[i]
        if code == AFFINE or code == BLACKBOX:
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                c = row_arg[k]
                if flags[c]:
                    total += cost[c]
        else:
            a = arg0[i]
            b = arg1[i]
            if code == SELECT:
                k = row_ptr[a]
                a = row_arg[k + 1]
                b = row_arg[k + 2]
            if flags[i] & FLAG_A:
                total += cost[a]
            if flags[i] & FLAG_B and a != b:
                total += cost[b]
        if is_root[i] or (owner[i] == i and total > _CHEAP):
            nodes[count] = i
            optional[count] = not is_root[i]
            count += 1
            total = min(total, num_inputs)
        cost[i] = min(total, 1 << 40)
    return nodes[:count], optional[:count]


@kernel
def unite(
    row_ptr: Array, row_set: Array, num_columns: int, set_start: Array, pool: Array, limit: int
) -> tuple[Array, Array, int]:
    """Unite each row's sets into sorted columns.

    Args:
        row_ptr: where each row starts in ``row_set``.
        row_set: set indices, repetition allowed.
        num_columns: number of inputs.
        set_start: see `reach`.
        pool: see `reach`.
        limit: number of entries at which to give up.

    Returns:
        The rows in compressed form, ``indptr`` and ``indices``, and the work done; ``indptr`` is empty if the limit
        was passed.
    """
    num_rows = row_ptr.size - 1
    indptr = np.zeros(num_rows + 1, dtype=np.int32)
    mark = np.full(num_columns, -1, dtype=np.int32)
    seen = np.full(set_start.size, -1, dtype=np.int32)
    bound = 0
    for k in range(row_set.size):
        s = row_set[k]
        bound += 1 if s < num_columns else set_start[s - num_columns + 1] - set_start[s - num_columns]
    # What is not written takes no memory.
    indices = np.empty(min(bound, limit + num_columns), dtype=np.int32)
    filled = 0
    work = 0
    for r in range(num_rows):
        start = filled
        for k in range(row_ptr[r], row_ptr[r + 1]):
            s = row_set[k]
            work += 1
            if s < num_columns:
                if mark[s] != r:
                    mark[s] = r
                    indices[filled] = s
                    filled += 1
                continue
            if seen[s - num_columns] == r:
                continue
            seen[s - num_columns] = r
            work += set_start[s - num_columns + 1] - set_start[s - num_columns]
            for t in range(set_start[s - num_columns], set_start[s - num_columns + 1]):
                j = pool[t]
                if mark[j] != r:
                    mark[j] = r
                    indices[filled] = j
                    filled += 1
            if filled - start == num_columns:
                break
        if filled > limit:
            return np.zeros(0, dtype=np.int32), indices[:0], work
        if filled - start > 24:
            _sort(indices, start, filled, mark, r)
        else:
            for k in range(start + 1, filled):
                j = indices[k]
                m = k
                while m > start and indices[m - 1] > j:
                    indices[m] = indices[m - 1]
                    m -= 1
                indices[m] = j
        indptr[r + 1] = filled
    if 2 * filled < indices.size:
        return indptr, indices[:filled].copy(), work
    return indptr, indices[:filled], work
