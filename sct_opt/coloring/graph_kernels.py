"""Compiled loops that turn, measure and order graphs.

All graphs come as compressed adjacency lists with 32-bit indices, so every kernel is compiled for one signature.
Colors are counted from 0; -1 is a vertex without a color (not colored yet, or neutral).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sct_opt.kernel import kernel

Ints = NDArray[np.int32]


@kernel
def transpose(indptr: Ints, indices: Ints, n_cols: int) -> tuple[Ints, Ints, Ints]:
    """Transpose compressed rows by counting; the third array holds, for each entry, its place in the transpose."""
    n_rows = indptr.size - 1
    start = np.zeros(n_cols + 1, np.int32)
    for p in range(indices.size):
        start[indices[p] + 1] += 1
    for j in range(n_cols):
        start[j + 1] += start[j]
    cursor = start[:-1].copy()
    rows = np.empty(indices.size, np.int32)
    place = np.empty(indices.size, np.int32)
    for i in range(n_rows):
        for p in range(indptr[i], indptr[i + 1]):
            q = cursor[indices[p]]
            cursor[indices[p]] = q + 1
            rows[q] = i
            place[p] = q
    return start, rows, place


@kernel
def neighbor_degrees(indptr: Ints, indices: Ints, other_indptr: Ints, other_indices: Ints) -> Ints:
    """Number of vertices that share a neighbor with each vertex of one side of a bipartite graph."""
    n = indptr.size - 1
    met = np.full(n, -1, np.int32)
    degrees = np.zeros(n, np.int32)
    for v in range(n):
        met[v] = v
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            for q in range(other_indptr[w], other_indptr[w + 1]):
                if met[other_indices[q]] != v:
                    met[other_indices[q]] = v
                    degrees[v] += 1
    return degrees


@kernel
def crossing_lengths(indptr: Ints, indices: Ints, order: Ints, n_others: int) -> Ints:
    """Largest number of entries in one crossing line when only the first, first two, ... lines of an order are kept."""
    counts = np.zeros(n_others, np.int32)
    lengths = np.empty(order.size, np.int32)
    longest = 0
    for k in range(order.size):
        for p in range(indptr[order[k]], indptr[order[k] + 1]):
            counts[indices[p]] += 1
            longest = max(longest, counts[indices[p]])
        lengths[k] = longest
    return lengths


@kernel
def dynamic_order(
    indptr: Ints,
    indices: Ints,
    other_indptr: Ints,
    other_indices: Ints,
    degrees: Ints,
    initial: Ints,
    largest: bool,
    growing: bool,
) -> Ints:
    """Order vertices by a degree that changes while they are taken out one by one.

    Section 5 of Gebremedhin, Nguyen, Patwary and Pothen, "ColPack: software for graph coloring and related problems in
    scientific computing" (2013).  Taking the `largest` with `growing` degrees (number of neighbors taken out) is
    incidence degree, with shrinking ones (number left) dynamic largest first; the smallest left, reversed, is
    smallest last.  Neighbors are those of a graph, or, if `other_indptr` is not empty, vertices that share a neighbor.
    Ties are broken as ColPack does: vertices enter the buckets in the `initial` order, the last of a bucket is taken, and
    the last fills the gap of one that leaves.
    """
    n = indptr.size - 1
    two_steps = other_indptr.size > 0
    highest = 0
    for v in range(n):
        highest = max(highest, degrees[v])
    last = np.full(highest + 2, -1, np.int32)  # last of each bucket, a doubly linked list
    # Four numbers a vertex, side by side in memory: the vertex that last met it, its degree (-1: taken out), and the
    # vertices before and after it in its bucket.
    node = np.full(4 * n, -1, np.int32)
    for k in range(n):
        v = initial[k]
        d = 0 if growing else degrees[v]
        node[4 * v + 1] = d
        node[4 * v + 2] = last[d]
        if last[d] >= 0:
            node[4 * last[d] + 3] = v
        last[d] = v
    order = np.empty(n, np.int32)
    d = highest if largest else 0
    for k in range(n):
        while last[d] < 0:
            d += -1 if largest else 1
        v = last[d]
        last[d] = node[4 * v + 2]
        if last[d] >= 0:
            node[4 * last[d] + 3] = -1
        node[4 * v + 1] = -1
        order[k] = v
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            begin, end = (other_indptr[w], other_indptr[w + 1]) if two_steps else (p, p + 1)
            for q in range(begin, end):
                x = other_indices[q] if two_steps else w
                at = 4 * x
                old = node[at + 1]
                if node[at] == v or old < 0:
                    continue
                node[at] = v
                new = old + 1 if growing else old - 1
                tail = last[old]
                last[old] = node[4 * tail + 2]
                if last[old] >= 0:
                    node[4 * last[old] + 3] = -1
                if tail != x:
                    before, after = node[at + 2], node[at + 3]
                    node[4 * tail + 2] = before
                    node[4 * tail + 3] = after
                    if before >= 0:
                        node[4 * before + 3] = tail
                    if after >= 0:
                        node[4 * after + 2] = tail
                    if last[old] == x:
                        last[old] = tail
                node[at + 1] = new
                node[at + 2] = last[new]
                node[at + 3] = -1
                if last[new] >= 0:
                    node[4 * last[new] + 3] = x
                last[new] = x
        d = min(d + 1, highest) if largest else max(d - 1, 0)
    return order
