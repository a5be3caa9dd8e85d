"""Greedy coloring: from a graph and an order to a color for each vertex."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring import greedy_kernels
from sct_opt.coloring.graph import Adjacency, Graph, Ints
from sct_opt.errors import ColoringError

_MASK_BYTES = 2**29  # memory for the color sets of a star coloring, beyond which lists take their place


def color_side(
    vertices: Adjacency,
    n_others: int,
    order: Ints,
    forced: Ints | None = None,
    what: str = "column",
    ignored: NDArray[np.bool_] | None = None,
) -> Ints:
    """Color the columns (or rows) of a matrix so that those with a common row (or column) differ.

    Partial distance-2 coloring, Algorithm 3.2 of Gebremedhin, Manne and Pothen, "What color is your Jacobian?" (2005).

    Args:
        vertices: For each column the rows of its entries (or the other way round).
        n_others: Number of rows (or columns).
        order: The order to color in; vertices that it leaves out stay without a color.
        forced: Colors that are given, -1 where free.
        what: What the vertices are, for messages.
        ignored: Rows (or columns) that vertices of one color may share.

    Returns:
        One color per vertex.

    Raises:
        ColoringError: If two forced colors clash.
    """
    given = _no_forced(vertices[0].size - 1) if forced is None else forced
    skipped = np.zeros(n_others, bool) if ignored is None else ignored
    colors, clash = greedy_kernels.distance2_coloring(*vertices, skipped, order, given)
    if clash >= 0:
        mine = vertices[1][vertices[0][clash] : vertices[0][clash + 1]]
        owner = np.repeat(np.arange(given.size), np.diff(vertices[0]))
        rivals = owner[np.isin(vertices[1], mine)]
        rival = int(rivals[(rivals != clash) & (given[rivals] == given[clash])][0])
        other = {"column": "row", "row": "column"}[what]
        raise ColoringError(
            f"forced colors clash: {what}s {min(rival, clash)} and {max(rival, clash)} both have color {given[clash]} "
            f"and entries in a common {other}; free one of them with -1"
        )
    result: Ints = colors
    return result


def color_stars(graph: Graph, order: Ints, forced: Ints | None = None, limit: int | None = None) -> Ints | None:
    """Color a graph for direct decompression: every path on four vertices has at least three colors.

    Star coloring, Algorithm 4.1 of Gebremedhin, Tarafdar, Manne and Pothen, "New acyclic and star coloring algorithms
    with application to computing Hessians" (2007).

    Args:
        graph: The graph; if it is augmented, its two sides have separate palettes.
        order: The order to color in.
        forced: Colors that are given, -1 where free.
        limit: Number of colors of one palette beyond which to give up (roughly).

    Returns:
        One color per vertex, or None if the limit was exceeded.

    Raises:
        ColoringError: If forced colors clash.
    """
    n = graph.n_vertices
    given = _no_forced(n) if forced is None else forced
    order = _forced_first(order, given)
    colors = np.full(n, -1, np.int32)
    sets = [np.zeros(n, np.uint64) for _ in range(3)]
    words, done = 1, 0
    while True:
        last_met = np.full(64 * words, -1, np.int32)
        done, color = greedy_kernels.star_coloring(
            graph.indptr, graph.indices, order, given, graph.two_sided, done, colors, *sets, last_met
        )
        if done == n:
            return colors
        if color < 0:
            _raise_clash(graph, int(order[done]), given)
        if limit is not None and 64 * words >= limit:
            return None
        wider = max(2 * words, color // 64 + 1)
        if 24 * n * wider > _MASK_BYTES:
            break
        for k in range(3):
            wide = np.zeros((n, wider), np.uint64)
            wide[:, :words] = sets[k].reshape(n, words)
            sets[k] = wide.ravel()
        words = wider
    colors, clash = greedy_kernels.star_coloring_with_lists(graph.indptr, graph.indices, order, given, graph.two_sided)
    if clash >= 0:
        _raise_clash(graph, clash, given)
    result: Ints = colors
    return result


def color_trees(graph: Graph, order: Ints, forced: Ints | None = None, limit: int | None = None) -> Ints | None:
    """Color a graph for decompression by substitution: every cycle has at least three colors.

    Acyclic coloring, Algorithm 3.1 of Gebremedhin, Tarafdar, Manne and Pothen (2007).  If the order shows the graph to
    be chordal, coloring neighbors differently is enough, and quicker.

    Args:
        graph: The graph; if it is augmented, its two sides have separate palettes.
        order: The order to color in.
        forced: Colors that are given, -1 where free.
        limit: Number of colors of one palette beyond which to give up (roughly).

    Returns:
        One color per vertex, or None if the limit was exceeded.

    Raises:
        ColoringError: If forced colors clash.
    """
    if forced is None and not graph.two_sided:
        colors, perfect = greedy_kernels.chordal_coloring(graph.indptr, graph.indices, order)
        if perfect:
            chordal: Ints = colors
            return chordal
    given = _no_forced(graph.n_vertices) if forced is None else forced
    most = graph.n_vertices if limit is None else limit
    colors, clash = greedy_kernels.acyclic_coloring(
        graph.indptr, graph.indices, _forced_first(order, given), given, graph.two_sided, most
    )
    if clash >= 0:
        _raise_clash(graph, clash, given)
    result: Ints | None = None if clash == -2 else colors
    return result


def improved(
    color: Callable[[Ints], Ints | None],
    orders: Iterable[Ints],
    count: Callable[[Ints], int],
    bound: int,
    rounds: int,
    known: Ints | None = None,
) -> Ints:
    """Color in several orders and keep the first result with the fewest colors.

    After the orders come rounds of iterated greedy coloring: taking the vertices color group by color group never needs
    more colors for a one-sided coloring, and often fewer (Culberson, "Iterated greedy graph coloring and the difficulty
    landscape", 1992).

    Args:
        color: Colors in an order; may give up and return None if `known` colors are given.
        orders: The orders.
        count: Number of colors of a result.
        bound: A lower bound; reaching it ends the search.
        rounds: Number of rounds of improvement.
        known: Colors to start from, which are kept unless better ones are found.

    Returns:
        The best colors.
    """
    best = known
    for order in orders:
        colors = color(order)
        if best is None or (colors is not None and count(colors) < count(best)):
            best = colors
        if best is not None and count(best) <= bound:
            return best
    assert best is not None
    rng = np.random.default_rng(0)
    current = best
    for step in range(rounds):
        sizes = np.bincount(current + 1)
        ranks = [np.arange(sizes.size)[::-1], np.argsort(np.argsort(-sizes)), rng.permutation(sizes.size)][step % 3]
        colors = color(np.argsort(ranks[current + 1], kind="stable").astype(np.int32))
        current = best if colors is None else colors
        if count(current) < count(best):
            best = current
        if count(best) <= bound:
            break
    return best


def _no_forced(n: int) -> Ints:
    return np.full(n, -1, np.int32)


def _forced_first(order: Ints, forced: Ints) -> Ints:
    """Put vertices with given colors first, so that the others can make room for them."""
    return np.concatenate([order[forced[order] >= 0], order[forced[order] < 0]])


def _raise_clash(graph: Graph, vertex: int, forced: Ints) -> None:
    def name(v: int) -> str:
        return f"column {v}" if v < graph.n_columns else f"row {v - graph.n_columns}"

    near = graph.indices[graph.indptr[vertex] : graph.indptr[vertex + 1]]
    rivals = near[(near != vertex) & (forced[near] == forced[vertex])]
    if graph.two_sided or rivals.size == 0:
        second = np.unique(np.concatenate([graph.indices[graph.indptr[w] : graph.indptr[w + 1]] for w in near]))
        rivals = second[(second != vertex) & (forced[second] == forced[vertex])]
    raise ColoringError(
        f"forced colors clash: {name(vertex)} cannot have color {forced[vertex]} beside {name(int(rivals[0]))}, "
        "because some entry could not be recovered then; free one of them with -1"
    )
