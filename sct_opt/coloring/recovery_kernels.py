"""Compiled loops that find entries in compressed matrices.

All graphs come as compressed adjacency lists with 32-bit indices, so every kernel is compiled for one signature.
Colors are counted from 0; -1 is a vertex without a color (not colored yet, or neutral).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sct_opt.kernel import kernel

Ints = NDArray[np.int32]


@kernel
def lone_entries(indptr: Ints, indices: Ints, colors: Ints) -> NDArray[np.bool_]:
    """Mark each entry (i, j) whose row i holds no second entry with the color of column j, which is not neutral.

    Such an entry stands alone in the compressed matrix and can be read off.
    """
    n_colors = 0
    for j in range(colors.size):
        n_colors = max(n_colors, colors[j] + 1)
    seen = np.full(n_colors, -1, np.int32)
    where = np.empty(n_colors, np.int32)
    alone = np.zeros(indices.size, np.bool_)
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            c = colors[indices[p]]
            if c < 0:
                continue
            if seen[c] == i:
                alone[where[c]] = False
            else:
                seen[c] = i
                where[c] = p
                alone[p] = True
    return alone


@kernel
def peel(indptr: Ints, indices: Ints, mirror: Ints, colors: Ints) -> tuple[Ints, Ints, Ints, int]:
    """Find an order in which the entries of a symmetric matrix follow from its compressed columns by substitution.

    The compressed matrix holds one equation per row i and color c: the sum of the entries (i, j) with j of color c.  An
    equation with one unknown left gives that entry, which then leaves the equation of its mirror image (j, i).  On an
    acyclic coloring this works off the two-colored trees from their leaves, as in Gebremedhin, Pothen, Tarafdar and
    Walther, "Efficient computation of sparse Hessians using coloring and automatic differentiation" (2009), Section 4.

    Returns the positions of the solved entries in order of solution, the sums that each has to be corrected by and
    that it adds to (-1: none), and the number of sums.
    """
    n = indptr.size - 1
    n_colors = 0
    for v in range(n):
        n_colors = max(n_colors, colors[v] + 1)
    seen = np.full(n_colors, -1, np.int32)
    number = np.empty(n_colors, np.int32)
    equation = np.full(indices.size, -1, np.int32)
    unknowns = np.zeros(indices.size, np.int32)
    combined = np.zeros(indices.size, np.int32)  # exclusive or of the unknowns: the last one when one is left
    equations = 0
    for v in range(n):
        for p in range(indptr[v], indptr[v + 1]):
            c = colors[indices[p]]
            if c < 0:
                continue
            if seen[c] != v:
                seen[c] = v
                number[c] = equations
                equations += 1
            e = number[c]
            equation[p] = e
            unknowns[e] += 1
            combined[e] ^= p
    queue = np.empty(equations, np.int32)
    ready = 0
    for e in range(equations):
        if unknowns[e] == 1:
            queue[ready] = e
            ready += 1
    solved = np.empty(equations, np.int32)
    giver = np.empty(equations, np.int32)
    taker = np.empty(equations, np.int32)
    total_of = np.full(equations, -1, np.int32)
    steps = 0
    totals = 0
    head = 0
    while head < ready:
        e = queue[head]
        head += 1
        if unknowns[e] == 0:
            continue
        p = combined[e]
        unknowns[e] = 0
        solved[steps] = p
        giver[steps] = e
        taker[steps] = -1
        other = equation[mirror[p]]
        if other >= 0 and unknowns[other] > 0:
            unknowns[other] -= 1
            combined[other] ^= mirror[p]
            taker[steps] = other
            if unknowns[other] == 1:
                queue[ready] = other
                ready += 1
        steps += 1
    for s in range(steps):  # sums are kept only for equations that are used later
        total_of[giver[s]] = -2
    for s in range(steps):
        if taker[s] >= 0:
            if total_of[taker[s]] == -2:
                total_of[taker[s]] = totals
                totals += 1
            taker[s] = total_of[taker[s]]
    for s in range(steps):
        giver[s] = max(total_of[giver[s]], -1)
    return solved[:steps], giver[:steps], taker[:steps], totals


@kernel
def substitute(compressed, source, giver, taker, place, mirror_place, totals, values):  # type: ignore[no-untyped-def]
    """Solve the equations in the order that `peel` found; works for every kind of number."""
    for s in range(source.size):
        value = compressed[source[s]]
        if giver[s] >= 0:
            value = value - totals[giver[s]]
        if taker[s] >= 0:
            totals[taker[s]] += value
        if place[s] >= 0:
            values[place[s]] = value
        if mirror_place[s] >= 0:
            values[mirror_place[s]] = value
