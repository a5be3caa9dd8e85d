"""Compiled loops of the greedy coloring algorithms.

All graphs come as compressed adjacency lists with 32-bit indices, so every kernel is compiled for one signature.
Colors are counted from 0; -1 is a vertex without a color (not colored yet, or neutral).

Sets of colors are bit masks.  A vertex then meets the colors around a neighbor as one machine word per 64 colors, where
the textbook algorithms walk over the neighbors of the neighbor: a dense row or column (a hub) costs its length once
instead of its length squared, and the colors that come out are the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sct_opt.kernel import kernel

Ints = NDArray[np.int32]
Words = NDArray[np.uint64]


@kernel
def lowest_zero(word: np.uint64) -> int:
    """Position of the lowest zero bit of a word that is not all ones."""
    rest = ~word
    position = 0
    for width in (32, 16, 8, 4, 2, 1):
        if rest & ((np.uint64(1) << np.uint64(width)) - np.uint64(1)) == np.uint64(0):
            rest >>= np.uint64(width)
            position += width
    return position


@kernel
def distance2_coloring(
    indptr: Ints, indices: Ints, ignored: NDArray[np.bool_], order: Ints, forced: Ints
) -> tuple[Ints, int]:
    """Color one side of a bipartite graph so that vertices with a common neighbor differ.

    Partial distance-2 coloring, Algorithm 3.2 of Gebremedhin, Manne and Pothen, "What color is your Jacobian?" (2005).
    The greedy choice is made for 64 colors at a time: whether a vertex fits into one of them depends only on vertices
    that got one of them, so vertices that fit nowhere wait for the next 64 and nothing else changes.

    Vertices outside `order` get no color, and common neighbors that are `ignored` do not count.

    Returns the colors and -1, or the vertex whose forced color clashes.
    """
    n = indptr.size - 1
    colors = np.full(n, -1, np.int32)
    waiting = order.copy()
    used = np.zeros(ignored.size, np.uint64)
    full = ~np.uint64(0)
    base = 0
    any_forced = False
    for v in range(n):
        if forced[v] >= 0:
            any_forced = True
    while waiting.size > 0:
        if any_forced:
            for v in range(n):
                if base <= forced[v] < base + 64:
                    bit = np.uint64(1) << np.uint64(forced[v] - base)
                    for p in range(indptr[v], indptr[v + 1]):
                        if used[indices[p]] & bit:
                            return colors, v
                        if not ignored[indices[p]]:
                            used[indices[p]] |= bit
                    colors[v] = forced[v]
        left = 0
        for k in range(waiting.size):
            v = waiting[k]
            if forced[v] >= 0:
                if forced[v] >= base + 64:
                    waiting[left] = v
                    left += 1
                continue
            taken = np.uint64(0)
            for p in range(indptr[v], indptr[v + 1]):
                taken |= used[indices[p]]
                if taken == full:
                    break
            if taken == full:
                waiting[left] = v
                left += 1
                continue
            c = lowest_zero(taken)
            bit = np.uint64(1) << np.uint64(c)
            for p in range(indptr[v], indptr[v + 1]):
                if not ignored[indices[p]]:
                    used[indices[p]] |= bit
            colors[v] = base + c
        waiting = waiting[:left]
        base += 64
        if left * 8 < used.size:
            for k in range(left):
                for p in range(indptr[waiting[k]], indptr[waiting[k] + 1]):
                    used[indices[p]] = np.uint64(0)
        else:
            used[:] = np.uint64(0)
    return colors, -1


@kernel
def star_coloring(
    indptr: Ints,
    indices: Ints,
    order: Ints,
    forced: Ints,
    two_sided: bool,
    start: int,
    colors: Ints,
    once: Words,
    twice: Words,
    hubs: Words,
    last_met: Ints,
) -> tuple[int, int]:
    """Color a graph so that neighbors differ and every path on four vertices has at least three colors.

    Star coloring, Algorithm 4.1 of Gebremedhin, Tarafdar, Manne and Pothen, "New acyclic and star coloring algorithms
    with application to computing Hessians" (2007).  Three color sets per vertex replace the walk over neighbors of
    neighbors: colors met `once` or more around it, colors met `twice` or more, and colors of the `hubs` of the stars
    that it is a spoke of.  With `two_sided` the graph is bipartite and its sides have palettes of their own
    (bicoloring), so that neighbors need not differ.

    The sets have a fixed width.  Returns the position in `order` where the work stopped and the color that did not fit
    (-1 if the forced color there clashes); the caller widens the sets and goes on from `start`.
    """
    n = colors.size
    words = once.size // max(n, 1)
    full = ~np.uint64(0)
    taken = np.zeros(words, np.uint64)
    for k in range(start, n):
        v = order[k]
        # Stamps 2v and 2v + 1: this color was met once or again around v.
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            c = colors[w]
            if c >= 0 and w != v:
                last_met[c] = 2 * v + (last_met[c] >> 1 == v)
        for q in range(words):
            taken[q] = np.uint64(0)
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            c = colors[w]
            if c < 0 or w == v:
                continue
            if not two_sided:
                taken[c >> 6] |= np.uint64(1) << np.uint64(c & 63)
            if last_met[c] == 2 * v + 1:  # v becomes a hub over w: nobody else next to w may have the color of v
                for q in range(words):
                    taken[q] |= once[w * words + q]
            else:  # w may be a spoke: v may not have a color of its hubs
                for q in range(words):
                    taken[q] |= hubs[w * words + q]
        chosen = 64 * words
        if forced[v] >= 0:
            chosen = forced[v]
            if chosen < 64 * words and taken[chosen >> 6] & (np.uint64(1) << np.uint64(chosen & 63)):
                return k, -1
        else:
            for q in range(words):
                if taken[q] != full:
                    chosen = 64 * q + lowest_zero(taken[q])
                    break
        if chosen >= 64 * words:
            return k, chosen
        colors[v] = chosen
        block = chosen >> 6
        bit = np.uint64(1) << np.uint64(chosen & 63)
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            c = colors[w]
            if c < 0 or w == v:
                continue
            c_block = c >> 6
            c_bit = np.uint64(1) << np.uint64(c & 63)
            once[v * words + c_block] |= c_bit
            if last_met[c] == 2 * v + 1:
                twice[v * words + c_block] |= c_bit
                hubs[w * words + block] |= bit
            at_w = w * words + block
            if not once[at_w] & bit:
                once[at_w] |= bit
            else:
                hubs[v * words + c_block] |= c_bit
                if not twice[at_w] & bit:
                    twice[at_w] |= bit
                    for q in range(indptr[w], indptr[w + 1]):  # the other spoke, which did not know its hub yet
                        x = indices[q]
                        if x != v and x != w and colors[x] == chosen:
                            hubs[x * words + c_block] |= c_bit
                            break
    return n, 0


@kernel
def star_coloring_with_lists(
    indptr: Ints, indices: Ints, order: Ints, forced: Ints, two_sided: bool
) -> tuple[Ints, int]:
    """Find the colors that `star_coloring` finds, with lists of colors in place of bit masks.

    The lists take memory in proportion to the entries, however many colors there are, but are slower.

    Returns the colors and -1, or the vertex whose forced color clashes.
    """
    n = indptr.size - 1
    colors = np.full(n, -1, np.int32)
    taken = np.full(n + 1, -1, np.int32)  # the vertex that may not have this color
    place = np.empty(n + 1, np.int32)  # where the current vertex lists this color...
    placed = np.full(n + 1, -1, np.int32)  # ...if this is the current vertex
    listed = np.zeros(n, np.int32)
    near_color = np.empty(indices.size, np.int32)  # colors around each vertex, each once
    near_first = np.empty(indices.size, np.int32)  # the neighbor of this color, -1 if there are several
    hubs_listed = np.zeros(n, np.int32)
    hub_color = np.empty(indices.size, np.int32)  # colors of the hubs that each vertex is a spoke of
    for k in range(n):
        v = order[k]
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            c = colors[w]
            if c < 0 or w == v:
                continue
            if not two_sided:
                taken[c] = v
            if placed[c] == v:
                near_first[place[c]] = -1
            else:
                placed[c] = v
                place[c] = indptr[v] + listed[v]
                near_color[place[c]] = c
                near_first[place[c]] = w
                listed[v] += 1
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            if colors[w] < 0 or w == v:
                continue
            if near_first[place[colors[w]]] < 0:
                for q in range(indptr[w], indptr[w] + listed[w]):
                    taken[near_color[q]] = v
            else:
                for q in range(indptr[w], indptr[w] + hubs_listed[w]):
                    taken[hub_color[q]] = v
        if forced[v] >= 0:
            chosen = forced[v]
            if taken[chosen] == v:
                return colors, v
        else:
            chosen = 0
            while taken[chosen] == v:
                chosen += 1
        colors[v] = chosen
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            c = colors[w]
            if c < 0 or w == v:
                continue
            if near_first[place[c]] < 0:
                hub_color[indptr[w] + hubs_listed[w]] = chosen
                hubs_listed[w] += 1
            at_w = indptr[w]
            end = at_w + listed[w]
            while at_w < end and near_color[at_w] != chosen:
                at_w += 1
            if at_w == end:
                near_color[end] = chosen
                near_first[end] = v
                listed[w] += 1
                continue
            hub_color[indptr[v] + hubs_listed[v]] = c
            hubs_listed[v] += 1
            x = near_first[at_w]
            if x >= 0:
                near_first[at_w] = -1
                hub_color[indptr[x] + hubs_listed[x]] = c
                hubs_listed[x] += 1
    return colors, -1


@kernel
def acyclic_coloring(
    indptr: Ints, indices: Ints, order: Ints, forced: Ints, two_sided: bool, limit: int
) -> tuple[Ints, int]:
    """Color a graph so that neighbors differ and every cycle has at least three colors.

    Acyclic coloring, Algorithm 3.1 of Gebremedhin, Tarafdar, Manne and Pothen (2007).  The edges between two colors form
    trees, kept in a disjoint-set forest.  All edges from a vertex to neighbors of one color lie in one tree, so each
    vertex lists its trees by color and a hub is as cheap to meet as it has colors around it.

    Returns the colors and -1, or the vertex whose forced color clashes, or -2 if `limit` colors are not enough.
    """
    n = indptr.size - 1
    colors = np.full(n, -1, np.int32)
    taken = np.full(n + 1, -1, np.int32)  # the vertex that may not have this color
    place = np.empty(n + 1, np.int32)  # where the current vertex lists the tree of this color...
    placed = np.full(n + 1, -1, np.int32)  # ...if this is the current vertex
    listed = np.zeros(n, np.int32)
    tree_color = np.empty(indices.size, np.int32)
    tree_of = np.empty(indices.size, np.int32)
    parent = np.empty(indices.size // 2 + 1, np.int32)
    visited = np.full(parent.size, -1, np.int32)
    trees = 0
    for k in range(n):
        v = order[k]
        if not two_sided:
            for p in range(indptr[v], indptr[v + 1]):
                w = indices[p]
                if colors[w] >= 0 and w != v:
                    taken[colors[w]] = v
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            if colors[w] < 0 or w == v:
                continue
            for q in range(indptr[w], indptr[w] + listed[w]):
                if taken[tree_color[q]] != v:
                    root = find_root(parent, tree_of[q])
                    tree_of[q] = root
                    if visited[root] == v:  # v would join two branches of the tree
                        taken[tree_color[q]] = v
                    else:
                        visited[root] = v
        if forced[v] >= 0:
            chosen = forced[v]
            if taken[chosen] == v:
                return colors, v
        else:
            chosen = 0
            while taken[chosen] == v:
                chosen += 1
            if chosen >= limit:
                return colors, -2
        colors[v] = chosen
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            c = colors[w]
            if c < 0 or w == v:
                continue
            at_w = indptr[w]
            end = at_w + listed[w]
            while at_w < end and tree_color[at_w] != chosen:
                at_w += 1
            if placed[c] == v:
                at_v = place[c]
                if at_w < end:
                    a, b = find_root(parent, tree_of[at_v]), find_root(parent, tree_of[at_w])
                    parent[max(a, b)] = min(a, b)
                    continue
                tree = tree_of[at_v]
            else:
                if at_w < end:
                    tree = tree_of[at_w]
                else:
                    tree = trees
                    parent[tree] = tree
                    trees += 1
                placed[c] = v
                place[c] = indptr[v] + listed[v]
                tree_color[place[c]] = c
                tree_of[place[c]] = tree
                listed[v] += 1
            if at_w == end:
                tree_color[end] = chosen
                tree_of[end] = tree
                listed[w] += 1
    return colors, -1


@kernel
def find_root(parent: Ints, tree: int) -> int:
    """Root of a tree in a disjoint-set forest, halving the path on the way."""
    while parent[tree] != tree:
        parent[tree] = parent[parent[tree]]
        tree = parent[tree]
    return tree


@kernel
def chordal_coloring(indptr: Ints, indices: Ints, order: Ints) -> tuple[Ints, bool]:
    """Color a chordal graph so that neighbors differ, if `order` is the reverse of a perfect elimination order.

    Such an order is one in which the earlier neighbors of every vertex are neighbors of each other; greedy coloring
    is then optimal, and acyclic without further ado, because a cycle of two colors would have a chord.  The test is
    that of Tarjan and Yannakakis, "Simple linear-time algorithms to test chordality of graphs" (1984).

    Returns the colors and whether the order passed the test; the colors are all -1 if not.
    """
    n = indptr.size - 1
    colors = np.full(n, -1, np.int32)
    rank = np.empty(n, np.int32)
    for k in range(n):
        rank[order[k]] = k
    latest = np.full(n, -1, np.int32)
    start = np.zeros(n + 1, np.int32)
    for v in range(n):
        for p in range(indptr[v], indptr[v + 1]):
            w = indices[p]
            if rank[w] < rank[v] and (latest[v] < 0 or rank[w] > rank[latest[v]]):
                latest[v] = w
        if latest[v] >= 0:
            start[latest[v] + 1] += 1
    for v in range(n):
        start[v + 1] += start[v]
    children = np.empty(start[n], np.int32)
    cursor = start[:-1].copy()
    for v in range(n):
        if latest[v] >= 0:
            children[cursor[latest[v]]] = v
            cursor[latest[v]] += 1
    near = np.full(n, -1, np.int32)
    for u in range(n):
        if start[u] == start[u + 1]:
            continue
        for p in range(indptr[u], indptr[u + 1]):
            near[indices[p]] = u
        near[u] = u
        for q in range(start[u], start[u + 1]):
            v = children[q]
            for p in range(indptr[v], indptr[v + 1]):
                if rank[indices[p]] < rank[v] and near[indices[p]] != u:
                    return colors, False
    taken = np.full(n + 1, -1, np.int32)
    for k in range(n):
        v = order[k]
        for p in range(indptr[v], indptr[v + 1]):
            if colors[indices[p]] >= 0:
                taken[colors[indices[p]]] = v
        chosen = 0
        while taken[chosen] == v:
            chosen += 1
        colors[v] = chosen
    return colors, True
