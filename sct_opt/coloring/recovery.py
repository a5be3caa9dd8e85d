"""Recovery: where each entry of a matrix is found in its compressed form.

Only the pattern and the colors are needed, so colorings from any source (greedy, optimal, given by the user) are
recovered, and checked, by the same code.  A neutral color (-1) is a row or column that is not compressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring import recovery_kernels
from sct_opt.coloring.graph import Graph, Ints
from sct_opt.errors import ColoringError
from sct_opt.pattern import SparsityPattern


@dataclass(frozen=True, slots=True, eq=False)
class Gather:
    """Direct decompression: ``values = B.ravel()[index]``.

    Attributes:
        index: Place of each entry, in row order of the pattern, in the raveled compressed matrix.
        entry_colors: Color that each entry is read from; row colors are counted after the column colors.
    """

    index: NDArray[np.intp]
    entry_colors: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Substitution:
    """Decompression by substitution: entries in an order in which each follows from the ones before.

    Attributes:
        source: Place in the raveled compressed matrix that each step starts from.
        giver: Sum of earlier entries to subtract, or -1.
        taker: Sum that the entry is added to, or -1.
        place: Position of the entry in the pattern.
        mirror_place: Position of its mirror image, or -1.
        n_totals: Number of sums.
        entry_colors: Color that each entry is read from; row colors are counted after the column colors.
    """

    source: NDArray[np.intp]
    giver: Ints
    taker: Ints
    place: Ints
    mirror_place: Ints
    n_totals: int
    entry_colors: Ints


@dataclass(frozen=True)
class Recovery:
    """Ways to recover the entries of a pattern from its compressed columns and rows.

    Args:
        pattern: The pattern.
        column_colors: Color of each column.
        row_colors: Color of each row.
        graph: The graph of the symmetric matrix, or the augmented graph if both rows and columns are compressed; None if
            the matrix is nonsymmetric and only one side is compressed.
    """

    pattern: SparsityPattern
    column_colors: Ints
    row_colors: Ints
    graph: Graph | None

    @cached_property
    def n_column_colors(self) -> int:
        """Number of column colors."""
        return int(self.column_colors.max(initial=-1)) + 1

    @cached_property
    def n_row_colors(self) -> int:
        """Number of row colors."""
        return int(self.row_colors.max(initial=-1)) + 1

    def gather(self) -> Gather:
        """Find each entry alone in the compressed matrices.

        Raises:
            ColoringError: If some entry stands alone nowhere; names the two columns or rows that clash.
        """
        rows, cols = self.pattern.coo()
        n = self.pattern.shape[1]
        if self.graph is None:
            # A row of the compressed columns is read by the row's own entries; likewise for columns of compressed rows.
            by_row = self.n_row_colors > 0
            colors, lines = (self.row_colors, rows) if by_row else (self.column_colors, cols)
            color = colors[lines]
            if (color < 0).any():
                self._raise_unreadable(int(np.argmax(color < 0)))
            index = color.astype(np.intp) * n + cols if by_row else rows.astype(np.intp) * self.n_column_colors + color
            return Gather(index, color)
        graph = self.graph
        if graph.two_sided:
            colors = np.concatenate([self.column_colors, self.row_colors])
            alone = recovery_kernels.lone_entries(graph.indptr, graph.indices, colors)
            by_column = alone[self.pattern.nnz :]
            by_row_alone = alone[graph.mirror[self.pattern.nnz :]]
            row_color = self.row_colors[rows]
            second = row_color.astype(np.intp) * n + cols
            second_color = row_color + np.int32(self.n_column_colors)
            offset = self.n_row_colors * n
        else:
            by_column = recovery_kernels.lone_entries(graph.indptr, graph.indices, self.column_colors)
            by_row_alone = by_column[graph.mirror]
            second_color = self.column_colors[rows]
            second = cols.astype(np.intp) * self.n_column_colors + second_color
            offset = 0
        readable = by_column | by_row_alone
        if not readable.all():
            self._raise_unreadable(int(np.argmin(readable)))
        first_color = self.column_colors[cols]
        first = rows.astype(np.intp) * self.n_column_colors + first_color + offset
        return Gather(np.where(by_column, first, second), np.where(by_column, first_color, second_color))

    def substitution(self) -> Substitution:
        """Find an order in which the entries follow from each other.

        Raises:
            ColoringError: If there is none; names two columns or rows that clash.
        """
        assert self.graph is not None
        graph, nnz, n = self.graph, self.pattern.nnz, self.pattern.shape[1]
        colors = np.concatenate([self.column_colors, self.row_colors]) if graph.two_sided else self.column_colors
        solved, giver, taker, n_totals = recovery_kernels.peel(graph.indptr, graph.indices, graph.mirror, colors)
        entry_colors = np.full(nnz, -1, np.int32)
        color = colors[graph.indices[solved]]
        vertex = np.searchsorted(graph.indptr, solved, side="right") - 1
        if graph.two_sided:
            by_row = solved < nnz  # equations of the columns are sums over rows of one color
            place = np.where(by_row, graph.mirror[solved], solved) - np.int32(nnz)
            mirror_place = np.full_like(place, -1)
            source = np.where(
                by_row,
                color.astype(np.intp) * n + vertex,
                self.n_row_colors * n + (vertex - n) * self.n_column_colors + color,
            )
            entry_colors[place] = np.where(by_row, color + self.n_column_colors, color)
        else:
            place, mirror_place = solved, graph.mirror[solved]
            source = vertex * self.n_column_colors + color
            entry_colors[place] = entry_colors[mirror_place] = color
        if (entry_colors < 0).any():
            self._raise_unreadable(int(np.argmax(entry_colors < 0)))
        return Substitution(source, giver, taker, place, mirror_place, n_totals, entry_colors)

    def _raise_unreadable(self, position: int) -> None:
        """Name the lines that hide an entry: in its row by equal column colors, in its column by equal row colors."""
        rows, cols = self.pattern.coo()
        i, j = int(rows[position]), int(cols[position])
        symmetric = self.graph is not None and not self.graph.two_sided
        reasons = []
        if self.column_colors[j] < 0:
            reasons.append(f"column {j} has no color")
        else:
            reasons += self._rivals("column", j, cols[rows == i], self.column_colors, f"row {i}")
        if symmetric:
            if self.column_colors[i] < 0:
                reasons.append(f"column {i} has no color")
            else:
                reasons += self._rivals("column", i, cols[rows == j], self.column_colors, f"row {j}")
        elif self.row_colors[i] < 0:
            reasons.append(f"row {i} has no color")
        else:
            reasons += self._rivals("row", i, rows[cols == j], self.row_colors, f"column {j}")
        raise ColoringError(f"entry ({i}, {j}) cannot be recovered: " + ", and ".join(dict.fromkeys(reasons)))

    @staticmethod
    def _rivals(what: str, line: int, lines: NDArray[Any], colors: Ints, where: str) -> list[str]:
        rivals = lines[(colors[lines] == colors[line]) & (lines != line)]
        if rivals.size == 0:
            return []
        return [f"{what}s {line} and {int(rivals[0])} both have color {colors[line]} and an entry in {where}"]
