"""Orders in which greedy algorithms take the vertices; the number of colors depends on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring import graph_kernels
from sct_opt.coloring.graph import Adjacency, Graph, Ints
from sct_opt.errors import ColoringError

ORDERS = (
    "natural",
    "largest_first",
    "smallest_last",
    "incidence_degree",
    "dynamic_largest_first",
    "random",
    "perfect_elimination",
)
BEST = ("natural", "largest_first", "smallest_last", "incidence_degree", "dynamic_largest_first", "random")

_CHEAP_STEPS = 64  # steps per entry that looking for common neighbors may take without being asked for

OrderLike = str | NDArray[np.integer] | Sequence[str]


def resolve_orders(order: OrderLike) -> tuple[str | Ints, ...]:
    """Spell out what the `order` argument of `sct_opt.color` stands for.

    Args:
        order: A name, ``"best"``, a list of names, or an array that lists every vertex once.

    Returns:
        The orders to try.

    Raises:
        ColoringError: If a name is unknown or the list is empty.

    >>> resolve_orders(["natural", "random"])
    ('natural', 'random')
    """
    if isinstance(order, np.ndarray):
        return (order.astype(np.int32),)
    names = (order,) if isinstance(order, str) else tuple(order)
    if "best" in names:
        names = tuple(dict.fromkeys(name for given in names for name in (BEST if given == "best" else (given,))))
    if not names:
        raise ColoringError('order is empty; give at least one name, or "best"')
    for name in names:
        if name not in ORDERS:
            raise ColoringError(f"there is no order {name!r}; choose one of {', '.join((*ORDERS, 'best', 'optimal'))}")
    return names


def needs_others(order: str | Ints) -> bool:
    """Whether an order of one side of a bipartite graph depends on the entries."""
    return isinstance(order, str) and order not in {"natural", "random"}


def is_cheap(order: str | Ints, others: Adjacency) -> bool:
    """Whether ordering one side of a bipartite graph takes little more than reading it.

    Orders by degree look at every pair of entries in a common line, which takes long if there are dense ones.

    Args:
        order: Name of the order, or the order itself.
        others: Adjacency lists of the side that is not ordered.

    Returns:
        True, unless the order is by degree and the lines are long.
    """
    if not needs_others(order):
        return True
    lengths = np.diff(others[0]).astype(np.int64)
    return bool((lengths**2).sum() <= _CHEAP_STEPS * lengths.sum())


def one_sided_order(order: str | Ints, vertices: Adjacency, others: Adjacency, seed: int) -> Ints:
    """Order one side of a bipartite graph by the vertices that share a neighbor.

    Args:
        order: Name of the order, or the order itself.
        vertices: Adjacency lists of the side to be colored.
        others: Adjacency lists of the other side.
        seed: Seed of the random order.

    Returns:
        Every vertex once.
    """
    n = vertices[0].size - 1
    if not isinstance(order, str):
        return _checked(order, n)
    if order == "natural":
        return np.arange(n, dtype=np.int32)
    if order == "random":
        return _shuffled(n, seed)
    return _by_degree(order, vertices, others, graph_kernels.neighbor_degrees(*vertices, *others))


def graph_order(order: str | Ints, graph: Graph, seed: int) -> Ints:
    """Order the vertices of a graph by their neighbors.

    Args:
        order: Name of the order, or the order itself.
        graph: The graph.
        seed: Seed of the random order.

    Returns:
        Every vertex once.
    """
    if not isinstance(order, str):
        return _checked(order, graph.n_vertices)
    if order == "natural":
        return np.arange(graph.n_vertices, dtype=np.int32)
    if order == "random":
        return _shuffled(graph.n_vertices, seed)
    nothing = np.zeros(0, np.int32)
    return _by_degree(order, (graph.indptr, graph.indices), (nothing, nothing), graph.degrees)


def _by_degree(order: str, vertices: Adjacency, others: Adjacency, degrees: Ints) -> Ints:
    if order == "largest_first":
        return np.argsort(-degrees, kind="stable").astype(np.int32)
    # The order of incidence degree visits a chordal graph in a perfect elimination order, reversed: it is the maximum
    # cardinality search of Tarjan and Yannakakis (1984).
    largest = order != "smallest_last"
    growing = order in {"incidence_degree", "perfect_elimination"}
    initial = np.arange(degrees.size, dtype=np.int32)
    if growing and others[0].size == 0 and initial.size:  # all degrees start as zero: begin with a large neighborhood
        highest = int(degrees.argmax())
        initial[[highest, -1]] = initial[[-1, highest]]
    taken: Ints = graph_kernels.dynamic_order(*vertices, *others, degrees, initial, largest, growing)
    return taken if largest else taken[::-1].copy()


def _shuffled(n: int, seed: int) -> Ints:
    return np.random.default_rng(seed).permutation(n).astype(np.int32)


def _checked(order: Ints, n: int) -> Ints:
    if order.shape != (n,) or not np.array_equal(np.sort(order), np.arange(n)):
        raise ColoringError(f"an order given as an array must list every vertex 0..{n - 1} once")
    return order
