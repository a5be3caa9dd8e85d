"""Postprocessing: give the neutral color to rows and columns whose color no entry is read from.

As in Section 6.2 of Gebremedhin, Manne and Pothen (2005), colors of the end vertices of stars and trees are not needed.
Which end of a single edge is needed can be chosen; the choice made here is a small vertex cover of the colors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring import recovery_kernels
from sct_opt.coloring.graph import Graph, Ints


def without_unused_colors(graph: Graph, colors: Ints, decompression: str) -> Ints:
    """Make unused colors neutral and renumber the others.

    Args:
        graph: The graph.
        colors: A star coloring (direct) or acyclic coloring (substitution) of its vertices.
        decompression: ``"direct"`` or ``"substitution"``.

    Returns:
        The new colors, -1 where neutral.
    """
    if colors.size == 0:
        return colors
    # Rows and columns of an augmented graph have palettes of their own: tell them apart while counting.
    palette = colors.copy()
    n_column_colors = int(colors[: graph.n_columns].max(initial=-1)) + 1
    if graph.two_sided:
        palette[graph.n_columns :] += np.int32(n_column_colors)
    needed = np.zeros(int(palette.max()) + 1, bool)
    owner = np.repeat(np.arange(graph.n_vertices, dtype=np.int32), np.diff(graph.indptr))
    here, there = palette[graph.indices], palette[owner]  # colors that an entry and its mirror image are read from
    diagonal = owner == graph.indices
    needed[here[diagonal]] = True
    alone = recovery_kernels.lone_entries(graph.indptr, graph.indices, colors)
    mirror_alone = alone[graph.mirror]
    free = alone & mirror_alone & ~diagonal
    if decompression == "direct":
        needed[here[alone & ~mirror_alone]] = True
    else:
        solved = recovery_kernels.peel(graph.indptr, graph.indices, graph.mirror, colors)[0]
        needed[here[solved[~free[solved]]]] = True
    free &= ~(needed[here] | needed[there])
    choices = np.unique(here[free].astype(np.int64) * needed.size + there[free])
    needed[_cover(choices // needed.size, choices % needed.size)] = True
    if needed.all():
        return colors
    number = np.where(needed, np.cumsum(needed) - 1, -1).astype(np.int32)
    number[n_column_colors:][needed[n_column_colors:]] -= np.int32(needed[:n_column_colors].sum())
    return number[palette]


def _cover(ends: NDArray[np.int64], other_ends: NDArray[np.int64]) -> list[int]:
    """Choose colors greedily so that every pair has one that is chosen; the pairs are listed both ways."""
    chosen: list[int] = []
    while ends.size:
        color = int(np.bincount(ends).argmax())
        chosen.append(color)
        keep = (ends != color) & (other_ends != color)
        ends, other_ends = ends[keep], other_ends[keep]
    return chosen
