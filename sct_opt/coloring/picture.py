"""Pictures of colorings: the colored pattern with the compressed matrix beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sct_opt.coloring.graph import Ints
from sct_opt.coloring.result import ColoringResult
from sct_opt.pattern import draw_entries, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_coloring(coloring: ColoringResult) -> Figure:
    """Draw a pattern in the colors its entries are read from, beside what is left of it when it is compressed.

    Entries of the compressed matrices that no entry is read from alone, but that are filled, are gray.

    Args:
        coloring: The coloring.

    Returns:
        The Matplotlib figure.

    Raises:
        MissingDependencyError: If Matplotlib is not installed.
    """
    pattern = coloring.pattern
    rows, cols = pattern.coo()
    m, n = pattern.shape
    parts = 1 + (coloring.num_column_colors > 0) + (coloring.num_row_colors > 0)
    figure, axes = new_figure(parts)
    draw_entries(axes[0], pattern.shape, rows, cols, coloring.entry_colors)
    axes[0].set_title(f"{m}×{n} pattern, {pattern.nnz} entries")
    beside = iter(axes[1:])
    offset = coloring.num_column_colors
    if coloring.num_column_colors:
        ax = next(beside)
        kept, color = _kept(coloring.column_colors[cols], coloring.entry_colors, 0)
        draw_entries(ax, (m, coloring.num_column_colors), rows[kept], coloring.column_colors[cols[kept]], color)
        ax.set_title(f"{coloring.num_column_colors} compressed columns")
        ax.set_aspect("auto")
    if coloring.num_row_colors:
        ax = next(beside)
        kept, color = _kept(coloring.row_colors[rows], coloring.entry_colors, offset)
        draw_entries(ax, (coloring.num_row_colors, n), coloring.row_colors[rows[kept]], cols[kept], color)
        ax.set_title(f"{coloring.num_row_colors} compressed rows")
        ax.set_aspect("auto")
    return figure


def _kept(group: Ints, entry_colors: Ints, offset: int) -> tuple[Ints, Ints]:
    """Entries that a compressed matrix holds, those that are not read from it first, and what color they are drawn in."""
    held = np.flatnonzero(group >= 0)
    read = entry_colors[held] == group[held] + offset
    order = np.concatenate([held[~read], held[read]])
    color = np.where(entry_colors[order] == group[order] + offset, entry_colors[order], -1)
    return order.astype(np.int32), color.astype(np.int32)
