"""The door to the package: from a pattern and a problem to a coloring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import ArrayLike

from sct_opt.coloring import closed
from sct_opt.coloring.bound import bidirectional_bound, symmetric_bound
from sct_opt.coloring.graph import Graph, Ints, adjacency_graph, augmented_graph, narrow, transposed
from sct_opt.coloring.greedy import color_side, color_stars, color_trees, improved
from sct_opt.coloring.neutral import without_unused_colors
from sct_opt.coloring.optimal import optimal_graph, optimal_side
from sct_opt.coloring.order import OrderLike, graph_order, is_cheap, needs_others, one_sided_order, resolve_orders
from sct_opt.coloring.result import ColoringResult, Decompression, Partition, Structure
from sct_opt.coloring.split import split_coloring
from sct_opt.errors import ColoringError, ShapeError
from sct_opt.pattern import SparsityPattern

_HOPELESS = 4  # a bicoloring is given up when it takes this many times the colors of one that is known
_SMALL = 100_000  # entries of a pattern for which order="best" tries the costliest orders, too
_PROOF_NODES = 300_000  # search nodes of order="optimal": some seconds
_POLISH_NODES = 5_000  # and of the last step of order="best", for patterns with at most...
_POLISH_SIZE = 64  # ...so many vertices

Forced = ArrayLike | tuple[ArrayLike, ArrayLike] | None


def color(
    pattern: Any,
    structure: Structure = "nonsymmetric",
    partition: Partition | str = "column",
    decompression: Decompression = "direct",
    order: OrderLike = "natural",
    postprocess: bool = True,
    *,
    forced_colors: Forced = None,
    closed_forms: bool = True,
    seed: int = 0,
    reverse_cost: float = 2.0,
) -> ColoringResult:
    """Color the rows or columns of a sparse matrix, so that few compressed columns or rows hold all its entries.

    Args:
        pattern: A `SparsityPattern`, SciPy sparse matrix or dense array.
        structure: ``"nonsymmetric"`` (Jacobians) or ``"symmetric"`` (Hessians).
        partition: What is compressed: ``"column"``, ``"row"`` or ``"bidirectional"`` (both); ``"auto"`` takes what
            costs the least when a row color costs `reverse_cost` column colors. Symmetric matrices are compressed by
            columns.
        decompression: ``"direct"`` reads every entry off; ``"substitution"`` needs fewer colors and solves for the
            entries one after the other (symmetric and bidirectional problems only).
        order: Order of the greedy algorithm: ``"natural"``, ``"largest_first"``, ``"smallest_last"``,
            ``"incidence_degree"``, ``"dynamic_largest_first"``, ``"random"`` or ``"perfect_elimination"`` (optimal for
            chordal graphs); a list of them, of which the best is kept; ``"best"`` (several, and improvement after that);
            an array with every vertex once; or ``"optimal"``, an exact search for small patterns.
        postprocess: Make colors neutral that decompression does not need, and for bidirectional problems also try to
            split off heavy rows or columns.
        forced_colors: Colors that are given, -1 where free: one array, or a pair (rows, columns) for bidirectional
            problems.
        closed_forms: Write down colorings of diagonal, banded, block-diagonal and dense patterns where that is optimal.
        seed: Seed of the random order.
        reverse_cost: Cost of a row color (a reverse sweep) in column colors (forward sweeps), for ``"auto"``.

    Returns:
        The coloring.

    Raises:
        ColoringError: If the problem makes no sense, the pattern is not symmetric although it should be, or forced
            colors clash.

    Examples:
        >>> import numpy as np
        >>> import sct_opt as so
        >>> arrow = np.eye(100)
        >>> arrow[0, :] = arrow[:, 0] = 1
        >>> so.color(arrow)
        ColoringResult(nonsymmetric, column, direct: 100 colors for 100×100)
        >>> so.color(arrow, partition="bidirectional")
        ColoringResult(nonsymmetric, bidirectional, direct: 3 colors (2 column, 1 row) for 100×100)
        >>> so.color(arrow, structure="symmetric")
        ColoringResult(symmetric, column, direct: 2 colors for 100×100)
    """
    matrix_pattern = SparsityPattern.from_matrix(pattern)
    _require_choice("structure", structure, get_args(Structure))
    _require_choice("partition", partition, (*get_args(Partition), "auto"))
    _require_choice("decompression", decompression, get_args(Decompression))
    if structure == "symmetric":
        if partition not in {"column", "auto"}:
            raise ColoringError(
                f'symmetric matrices are compressed by columns, not partition={partition!r}; use structure="nonsymmetric" '
                "to ignore the symmetry"
            )
        partition = "column"
    elif decompression == "substitution" and partition in {"column", "row"}:
        raise ColoringError(
            f"partition={partition!r} of a nonsymmetric matrix is always decompressed directly; substitution needs "
            'partition="bidirectional" or structure="symmetric"'
        )
    task = _Task(matrix_pattern, decompression, order, postprocess, closed_forms, seed)
    if partition == "auto":
        return task.cheapest(reverse_cost, forced_colors)
    return task.solve(structure, cast(Partition, partition), forced_colors)


class _Task:
    """A pattern to be colored and how."""

    def __init__(
        self,
        pattern: SparsityPattern,
        decompression: Decompression,
        order: OrderLike,
        postprocess: bool,
        closed_forms: bool,
        seed: int,
    ) -> None:
        self.pattern = pattern
        self.decompression: Decompression = decompression
        self.order = order
        self.optimal = isinstance(order, str) and order == "optimal"
        self.thorough = self.optimal or (isinstance(order, str) and order == "best")
        self.orders = resolve_orders("best" if self.optimal else order)
        self.rounds = 12 if self.thorough else 0
        self.postprocess = postprocess
        self.closed_forms = closed_forms and not isinstance(order, np.ndarray)
        self.seed = seed

    def solve(self, structure: Structure, partition: Partition, forced_colors: Forced) -> ColoringResult:
        """Color for one partition."""
        forced = self._checked_forced(structure, partition, forced_colors)
        decompression = self.decompression
        m, n = self.pattern.shape
        rows, columns = np.full(m, -1, np.int32), np.full(n, -1, np.int32)
        if structure == "symmetric":
            columns = self._symmetric(forced)
        elif partition == "bidirectional":
            rows, columns = self._bidirectional(forced)
        else:
            decompression = "direct"
            if partition == "column":
                columns = self._one_sided("column", forced)
            else:
                rows = self._one_sided("row", forced)
        return ColoringResult(self.pattern, structure, partition, decompression, rows, columns)

    def cheapest(self, reverse_cost: float, forced_colors: Forced) -> ColoringResult:
        """Color for every partition and keep the one whose sweeps cost the least; columns win ties."""
        if forced_colors is not None:
            raise ColoringError('forced_colors need a partition; choose one instead of "auto"')

        def cost(coloring: ColoringResult) -> float:
            return coloring.num_column_colors + reverse_cost * coloring.num_row_colors

        row_lengths, column_lengths = _lengths(self.pattern)
        best = self.solve("nonsymmetric", "column", None)
        bounds: dict[Partition, float] = {
            "row": reverse_cost * int(column_lengths.max(initial=0)),
            "bidirectional": bidirectional_bound(row_lengths, column_lengths, reverse_cost),
        }
        for partition, bound in bounds.items():
            if bound < cost(best):
                best = min(best, self.solve("nonsymmetric", partition, None), key=cost)
        return best

    def _one_sided(self, partition: Partition, forced: Ints | None) -> Ints:
        pattern = self.pattern
        if forced is None and self.closed_forms:
            colors = closed.one_sided(pattern, partition)
            if colors is not None:
                return self._without_empty(partition, colors)
        by_rows = narrow(pattern)
        if partition == "row" and not any(needs_others(order) for order in self.orders) and not self.thorough:
            by_columns = np.zeros(pattern.shape[1] + 1, np.int32), by_rows[1][:0]  # no need to look at the columns
        else:
            by_columns = transposed(pattern)[:2]
        vertices, others = (by_columns, by_rows) if partition == "column" else (by_rows, by_columns)
        n_others = others[0].size - 1
        bound = int(np.diff(others[0]).max(initial=0))
        colors = improved(
            partial(color_side, vertices, n_others, forced=forced, what=partition),
            (
                one_sided_order(order, vertices, others, self.seed)
                for order in self.orders
                if not self.thorough or is_cheap(order, others) or self.pattern.nnz < _SMALL
            ),
            _count,
            bound,
            self.rounds,
        )
        if forced is not None:
            return colors
        if self._searches(colors.size):
            colors = self._proven(*optimal_side(vertices, others, colors, self._nodes))
        return self._without_empty(partition, colors)

    def _searches(self, size: int) -> bool:
        return self.optimal or (self.thorough and size <= _POLISH_SIZE)

    @property
    def _nodes(self) -> int:
        if self.optimal:
            return _PROOF_NODES
        return (
            _POLISH_NODES if self.decompression == "direct" else _POLISH_NODES // 10
        )  # whose nodes take ten times as long

    def _proven(self, colors: Ints, proven: bool) -> Ints:
        if self.optimal and not proven:
            raise ColoringError(
                f"the exact search found no proof within {_PROOF_NODES} steps; this pattern of shape {self.pattern.shape} "
                'is too hard for order="optimal", use order="best"'
            )
        return colors

    def _without_empty(self, partition: Partition, colors: Ints) -> Ints:
        """Columns without entries need no color."""
        if not self.postprocess or self.pattern.nnz > 0:
            return colors
        return np.full_like(colors, -1)

    def _symmetric(self, forced: Ints | None) -> Ints:
        graph = adjacency_graph(self.pattern)
        if forced is None and self.closed_forms:
            colors = closed.symmetric(self.pattern, self.decompression)
            if colors is not None:
                return without_unused_colors(graph, colors, self.decompression) if self.postprocess else colors
        bound = symmetric_bound(graph)
        return self._searched(graph, forced, self._colored(graph, forced, _count, bound), bound)

    def _searched(self, graph: Graph, forced: Ints | None, colors: Ints, bound: int) -> Ints:
        if forced is not None or not self._searches(graph.n_vertices):
            return colors
        return self._proven(*optimal_graph(graph, colors, self.decompression, self.postprocess, bound, self._nodes))

    def _bidirectional(self, forced: Ints | None) -> tuple[Ints, Ints]:
        n = self.pattern.shape[1]

        def count(colors: Ints) -> int:
            return _count(colors[:n]) + _count(colors[n:])

        graph = augmented_graph(self.pattern)
        bound = int(bidirectional_bound(*_lengths(self.pattern)))
        split = None
        if self.postprocess and forced is None:
            split = split_coloring(graph, [order for order in self.orders if isinstance(order, str)], self.seed)
        colors = self._searched(graph, forced, self._colored(graph, forced, count, bound, split), bound)
        return colors[n:], colors[:n]

    def _colored(
        self, graph: Graph, forced: Ints | None, count: Callable[[Ints], int], bound: int, known: Ints | None = None
    ) -> Ints:
        method = color_stars if self.decompression == "direct" else color_trees
        limit = None if known is None else _HOPELESS * count(known)

        def attempt(order: Ints) -> Ints | None:
            colors = method(graph, order, forced, limit)
            if colors is not None and self.postprocess and forced is None:
                return without_unused_colors(graph, colors, self.decompression)
            return colors

        if known is not None and count(known) <= bound:
            return known
        orders = (graph_order(order, graph, self.seed) for order in self.orders)
        return improved(attempt, orders, count, bound, self.rounds, known)

    def _checked_forced(self, structure: Structure, partition: Partition, forced_colors: Forced) -> Ints | None:
        """One array over the vertices of the graph."""
        if forced_colors is None:
            return None
        m, n = self.pattern.shape
        if partition == "bidirectional":
            row_part, column_part = cast(Sequence[ArrayLike], forced_colors)
            parts, lengths = [np.asarray(column_part), np.asarray(row_part)], [n, m]
        else:
            parts, lengths = [np.asarray(forced_colors)], [m if partition == "row" else n]
        for given, length in zip(parts, lengths, strict=True):
            if given.shape != (length,):
                raise ShapeError(f"forced_colors has shape {given.shape}, but {length} colors are needed")
            if given.size and (given.dtype.kind not in "iu" or given.min() < -1 or given.max() >= length):
                raise ColoringError(f"forced colors are integers from 0 to {length - 1}, or -1 where free")
        return np.concatenate(parts).astype(np.int32)


def _lengths(pattern: SparsityPattern) -> tuple[Ints, Ints]:
    """Number of entries in each row and in each column."""
    columns = np.bincount(pattern.indices, minlength=pattern.shape[1]).astype(np.int32)
    return np.diff(pattern.indptr).astype(np.int32), columns


def _count(colors: Ints) -> int:
    return int(colors.max(initial=-1)) + 1


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ColoringError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")
