"""Bidirectional coloring by splitting off heavy rows or columns.

Dense rows are read from row groups, and what is left is colored by columns (or the other way round).  Pure column and
pure row colorings are the two ends of the scale, so the best split never needs more colors than either.  The idea of
covering entries by rows or columns is that of Coleman and Verma, "The efficient computation of sparse Jacobian matrices
using automatic differentiation" (1998); here the cover is by a degree threshold, found by trying.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring.graph import Adjacency, Ints, narrow, transposed
from sct_opt.coloring.greedy import color_side
from sct_opt.coloring.order import one_sided_order
from sct_opt.pattern import SparsityPattern

_CANDIDATES = 24


def split_coloring(pattern: SparsityPattern, order: str, seed: int, row_cost: float = 1.0) -> tuple[Ints, Ints]:
    """Color heavy rows by rows and the rest by columns, or heavy columns by columns and the rest by rows.

    Args:
        pattern: The pattern.
        order: Order for both sides.
        seed: Seed of the random order.
        row_cost: Cost of a row color in column colors.

    Returns:
        Row colors and column colors, -1 where neutral; every entry can be read off directly.
    """
    by_rows = narrow(pattern)
    column_indptr, column_indices, _ = transposed(pattern)
    by_columns = column_indptr, column_indices
    rows, columns, cost = _best_split(by_rows, by_columns, order, seed, (row_cost, 1.0), np.inf)
    other_columns, other_rows, other_cost = _best_split(by_columns, by_rows, order, seed, (1.0, row_cost), cost)
    return (other_rows, other_columns) if other_cost < cost else (rows, columns)


def _best_split(
    lines: Adjacency, crossing: Adjacency, order: str, seed: int, costs: tuple[float, float], limit: float
) -> tuple[Ints, Ints, float]:
    """Find the degree above which lines (say, rows) are colored as lines, and not by what crosses them."""
    degrees = np.diff(lines[0])
    line_cost, crossing_cost = costs
    n_lines, n_crossing = degrees.size, crossing[0].size - 1
    best = np.full(n_lines, -1, np.int32), np.full(n_crossing, -1, np.int32), limit
    for threshold in _thresholds(degrees):
        heavy = degrees > threshold
        # Lines that are not split off, and heavy entries within one crossing line, need a color each.
        bound = threshold * crossing_cost + _longest(crossing, heavy) * line_cost
        if bound >= best[2]:
            continue
        line_colors = _color_part(lines, heavy, n_crossing, order, seed)
        crossing_part = _restricted(crossing, ~heavy)
        crossing_colors = _color_part(crossing_part, np.diff(crossing_part[0]) > 0, n_lines, order, seed)
        cost = _count(line_colors) * line_cost + _count(crossing_colors) * crossing_cost
        if cost < best[2]:
            best = line_colors, crossing_colors, cost
    return best


def _thresholds(degrees: Ints) -> NDArray[np.int64]:
    """Degrees to split at, densest where few lines are split off."""
    distinct = np.unique(np.append(degrees[degrees > 0], 0))[::-1]
    if distinct.size <= _CANDIDATES:
        return distinct.astype(np.int64)
    picks = np.unique(np.geomspace(1, distinct.size, _CANDIDATES).astype(np.int64)) - 1
    return distinct[picks].astype(np.int64)


def _longest(lines: Adjacency, kept: NDArray[np.bool_]) -> int:
    """Largest number of kept entries in one line."""
    total = np.concatenate([[0], np.cumsum(kept[lines[1]])])
    return int(np.diff(total[lines[0]]).max(initial=0))


def _restricted(lines: Adjacency, kept: NDArray[np.bool_]) -> Adjacency:
    """Lines with only the kept entries."""
    keep = kept[lines[1]]
    total = np.concatenate([[0], np.cumsum(keep)])
    return total[lines[0]].astype(np.int32), lines[1][keep]


def _color_part(lines: Adjacency, chosen: NDArray[np.bool_], n_others: int, order: str, seed: int) -> Ints:
    """Color the chosen lines; the others stay neutral."""
    colors = np.full(chosen.size, -1, np.int32)
    which = np.flatnonzero(chosen)
    if which.size == 0:
        return colors
    lengths = np.diff(lines[0])[which]
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    entries = np.repeat(lines[0][which] - indptr[:-1], lengths) + np.arange(indptr[-1], dtype=np.int32)
    part = indptr, lines[1][entries]
    others = _flipped(part, n_others)
    colors[which] = color_side(part, n_others, one_sided_order(order, part, others, seed))
    return colors


def _flipped(lines: Adjacency, n_others: int) -> Adjacency:
    from sct_opt.coloring import kernels  # noqa: PLC0415 - numba is slow to import

    indptr, indices, _ = kernels.transpose(*lines, n_others)
    return indptr, indices


def _count(colors: Ints) -> int:
    return int(colors.max(initial=-1)) + 1
