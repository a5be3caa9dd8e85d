"""Lower bounds on the number of colors, which end a search early.

A row with d entries yields at most min(d, c) equations when its entries are spread over c colors, and there must be as
many equations as unknown entries, whether they are read off or substituted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring.graph import Graph, Ints


def symmetric_bound(graph: Graph) -> int:
    """Least number of colors with enough equations for the entries of a symmetric matrix.

    Args:
        graph: Its graph.

    Returns:
        The bound.
    """
    lengths = np.diff(graph.indptr)
    diagonal = graph.indices.size - int(graph.degrees.sum())
    unknowns = diagonal + (graph.indices.size - diagonal) // 2
    return int(np.searchsorted(_equations(lengths), unknowns))


def bidirectional_bound(row_lengths: Ints, column_lengths: Ints, row_cost: float = 1.0) -> float:
    """Least cost of row and column colors with enough equations for the entries of a matrix.

    Args:
        row_lengths: Number of entries in each row.
        column_lengths: Number of entries in each column.
        row_cost: Cost of a row color in column colors.

    Returns:
        The bound.

    >>> bidirectional_bound(np.full(9, 3, np.int32), np.full(9, 3, np.int32))
    3.0
    """
    by_columns, by_rows = _equations(row_lengths), _equations(column_lengths)
    missing = np.maximum(int(row_lengths.sum()) - by_columns, 0)
    n_rows = np.searchsorted(by_rows, missing)
    return float((np.arange(by_columns.size) + row_cost * n_rows).min())


def _equations(lengths: Ints) -> NDArray[np.int64]:
    """Sum of min(length, c) over all lines, for every number of colors c from 0 on."""
    longer = lengths.size - np.cumsum(np.bincount(lengths, minlength=1))  # lines longer than c
    return np.concatenate([[0], np.cumsum(longer[:-1])])
