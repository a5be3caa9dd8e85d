"""Bidirectional coloring by splitting off heavy rows or columns.

Dense rows are read from row groups, and what is left is colored by columns (or the other way round).  Pure column and
pure row colorings are the two ends of the scale, so the best split never needs more colors than either.  The idea of
covering entries by rows or columns is that of Coleman and Verma, "The efficient computation of sparse Jacobian matrices
using automatic differentiation" (1998); here the cover is by a degree threshold, found by trying the most promising.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring import graph_kernels
from sct_opt.coloring.graph import Adjacency, Graph, Ints
from sct_opt.coloring.greedy import color_side
from sct_opt.coloring.order import is_cheap, one_sided_order

_LEFT_OUT = {"dynamic_largest_first"}  # as costly as smallest last and no better
_TRIES = 3  # thresholds tried beside that of the pure coloring


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """Lines (rows, say) that may be split off, those that cross them, and the orders to color both in."""

    lines: Adjacency
    crossing: Adjacency
    line_order: Ints
    crossing_order: Ints


def split_coloring(graph: Graph, orders: Iterable[str], seed: int) -> Ints:
    """Color heavy rows by rows and the rest by columns, or heavy columns by columns and the rest by rows.

    Args:
        graph: The augmented graph of a matrix.
        orders: Orders to try for both sides, besides the natural one; costly ones are left out.
        seed: Seed of the random order.

    Returns:
        Column colors and row colors, -1 where neutral; every entry can be read off directly.
    """
    n = graph.n_columns
    nnz = graph.indices.size // 2
    columns = graph.indptr[: n + 1], graph.indices[:nnz] - np.int32(n)
    rows = graph.indptr[n:] - np.int32(nnz), graph.indices[nnz:]
    best = np.full(graph.n_vertices, -1, np.int32)
    fewest = graph.n_vertices + 1
    for order in dict.fromkeys(["natural", *orders]):
        if order in _LEFT_OUT or not (is_cheap(order, rows) and is_cheap(order, columns)):
            continue
        row_order = one_sided_order(order, rows, columns, seed)
        column_order = one_sided_order(order, columns, rows, seed)
        row_colors, column_colors, count = _best_split(_Side(rows, columns, row_order, column_order), fewest)
        if count < fewest:
            best, fewest = np.concatenate([column_colors, row_colors]), count
        column_colors, row_colors, count = _best_split(_Side(columns, rows, column_order, row_order), fewest)
        if count < fewest:
            best, fewest = np.concatenate([column_colors, row_colors]), count
    return best


def _best_split(side: _Side, limit: int) -> tuple[Ints, Ints, int]:
    """Find the degree above which lines are colored as lines, and not by what crosses them.

    Returns colors of the lines and of what crosses them and their number, if that is below `limit`.
    """
    degrees = np.diff(side.lines[0])
    n_lines, n_crossing = degrees.size, side.crossing[0].size - 1
    best = np.full(n_lines, -1, np.int32), np.full(n_crossing, -1, np.int32), limit
    for threshold, bound in _promising(side, degrees):
        if bound >= best[2]:
            continue
        heavy = degrees > threshold
        line_colors = color_side(side.lines, n_crossing, side.line_order[heavy[side.line_order]])
        if threshold > 0:
            crossing_colors = color_side(side.crossing, n_lines, side.crossing_order, ignored=heavy)
        else:
            crossing_colors = np.full(n_crossing, -1, np.int32)
        count = _count(line_colors) + _count(crossing_colors)
        if count < best[2]:
            best = line_colors, crossing_colors, count
    return best


def _promising(side: _Side, degrees: Ints) -> list[tuple[int, int]]:
    """Thresholds with lower bounds on the number of colors: that of the pure coloring, then those with least bounds.

    Entries of a line that is not split off need a color each, and so do heavy entries within one crossing line.
    """
    if degrees.size == 0:
        return []
    by_degree: NDArray[np.int32] = np.argsort(-degrees, kind="stable").astype(np.int32)
    lengths = graph_kernels.crossing_lengths(*side.lines, by_degree, side.crossing[0].size - 1)
    sorted_degrees = degrees[by_degree]
    last = np.flatnonzero(np.append(sorted_degrees[1:] != sorted_degrees[:-1], True))  # of each degree
    thresholds = np.append(sorted_degrees[last[:-1] + 1], 0)
    bounds = thresholds + lengths[last]
    chosen = np.argsort(bounds, kind="stable")[:_TRIES]
    highest = int(sorted_degrees[0])
    return [(highest, highest), *((int(thresholds[k]), int(bounds[k])) for k in chosen)]


def _count(colors: Ints) -> int:
    return int(colors.max(initial=-1)) + 1
