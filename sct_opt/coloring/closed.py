"""Closed forms: colorings of diagonal, banded, block-diagonal and dense patterns, written down without a search.

They are used only where a lower bound shows them to be optimal, and need no compiled code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring.graph import Ints
from sct_opt.pattern import SparsityPattern


def one_sided(pattern: SparsityPattern, partition: str) -> Ints | None:
    """Color the columns (or rows) of a banded, block-diagonal or dense pattern.

    Within a band of `w` diagonals, columns `w` apart share no row, so ``j mod w`` is a coloring; it is optimal if some
    row is full within the band, because the columns of one row must all differ.

    Args:
        pattern: The pattern.
        partition: ``"column"`` or ``"row"``.

    Returns:
        Optimal colors, or None if the pattern has no such structure.

    >>> import numpy as np
    >>> one_sided(SparsityPattern.from_matrix(np.tri(4, 4, 1) - np.tri(4, 4, -2)), "column")
    array([0, 1, 2, 0], dtype=int32)
    """
    n = pattern.shape[1] if partition == "column" else pattern.shape[0]
    if pattern.nnz == 0:
        return np.zeros(n, np.int32)
    rows, cols = pattern.coo()
    longest = int((np.diff(pattern.indptr) if partition == "column" else np.bincount(cols)).max())
    if longest == n:
        return np.arange(n, dtype=np.int32)
    offsets = cols - rows
    width = int(offsets.max()) - int(offsets.min()) + 1
    if longest == width:
        return np.arange(n, dtype=np.int32) % np.int32(width)
    starts = _dense_blocks(pattern)
    if starts is None:
        return None
    block_of_row, first_column = starts
    if partition == "column":
        colors = np.zeros(n, np.int32)
        colors[cols] = cols - first_column[rows]
        return colors
    by_block = np.argsort(block_of_row, kind="stable")
    first_row = np.searchsorted(block_of_row[by_block], block_of_row[by_block])
    colors = np.empty(n, np.int32)
    colors[by_block] = np.arange(n) - first_row
    colors[block_of_row < 0] = 0
    return colors


def symmetric(pattern: SparsityPattern, decompression: str) -> Ints | None:
    """Color the columns of a symmetric diagonal, block-diagonal, dense or (for substitution) banded pattern.

    Args:
        pattern: A symmetric pattern.
        decompression: ``"direct"`` or ``"substitution"``.

    Returns:
        Optimal colors, or None if the pattern has no such structure.

    >>> import numpy as np
    >>> symmetric(SparsityPattern.from_matrix(np.tri(5, 5, 1) - np.tri(5, 5, -2)), "substitution")
    array([0, 1, 0, 1, 0], dtype=int32)
    """
    n = pattern.shape[1]
    if pattern.nnz == 0:
        return np.zeros(n, np.int32)
    rows, cols = pattern.coo()
    half = int(np.abs(cols - rows).max())
    if half == 0:
        return np.zeros(n, np.int32)
    full_band = pattern.nnz == n * (2 * half + 1) - half * (half + 1)
    if full_band and decompression == "substitution":
        # Two colors meet in a path only, and the half + 1 columns of a clique must differ.
        return np.arange(n, dtype=np.int32) % np.int32(half + 1)
    blocks = _dense_blocks(pattern)
    if blocks is None:
        return None
    block_of_row, first_column = blocks
    used = np.flatnonzero(block_of_row >= 0)
    offset = used - first_column[used]
    if not ((offset >= 0) & (offset < np.diff(pattern.indptr)[used])).all():
        return None  # the blocks are full, but do not lie on the diagonal
    colors = np.zeros(n, np.int32)
    colors[cols] = cols - first_column[rows]
    return colors


def _disjoint_or_equal(ranges: NDArray[np.int64]) -> bool:
    """Whether each range of columns (first and last in one integer) is equal to the next or shares no column with it."""
    begin, end = ranges >> 32, ranges & 0xFFFFFFFF
    equal = ranges[1:] == ranges[:-1]
    return bool((equal | (begin[1:] > end[:-1]) | (end[1:] < begin[:-1])).all())


def _dense_blocks(pattern: SparsityPattern) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Block number (-1: empty row) and first column of each row, if rows fill disjoint ranges of columns.

    >>> _dense_blocks(SparsityPattern.from_matrix([[1, 1, 0], [0, 0, 1], [1, 1, 0]]))
    (array([0, 2, 0]), array([0, 2, 0]))
    """
    lengths = np.diff(pattern.indptr)
    used = lengths > 0
    first = np.zeros(pattern.shape[0], np.int64)
    first[used] = pattern.indices[pattern.indptr[:-1][used]]
    last = pattern.indices[pattern.indptr[1:][used] - 1]
    if not (last - first[used] + 1 == lengths[used]).all():
        return None
    ranges = first[used] << 32 | last
    if not _disjoint_or_equal(ranges):  # a quick look at neighbors saves sorting most of the time
        return None
    ranges.sort()
    if not _disjoint_or_equal(ranges):
        return None
    return np.where(used, first, -1), first
