"""Graphs of a pattern: what the coloring algorithms see of a matrix.

A symmetric matrix is a graph with one vertex per column.  A nonsymmetric matrix is a bipartite graph of columns and
rows; written as the symmetric matrix ``[[0, Aᵀ], [A, 0]]`` it lets the symmetric algorithms color both sides at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring import graph_kernels
from sct_opt.errors import ColoringError
from sct_opt.pattern import SparsityPattern

Ints = NDArray[np.int32]
Adjacency = tuple[Ints, Ints]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Compressed adjacency lists of the rows and columns of a symmetric or augmented matrix.

    Attributes:
        indptr: Where the neighbors of each vertex start.
        indices: The neighbors; a vertex with a diagonal entry lists itself.
        mirror: For each position (v, w) the position of (w, v).
        n_columns: Vertices below this number are columns; in an augmented graph the rows follow.
        two_sided: Whether this is the augmented graph of a nonsymmetric matrix.
    """

    indptr: Ints
    indices: Ints
    mirror: Ints
    n_columns: int
    two_sided: bool

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""
        return self.indptr.size - 1

    @property
    def degrees(self) -> Ints:
        """Number of neighbors of each vertex, itself not counted."""
        degrees = np.diff(self.indptr)
        if not self.two_sided:
            own = np.repeat(np.arange(self.n_vertices, dtype=np.int32), degrees)
            degrees[own[own == self.indices]] -= 1
        return degrees


def narrow(pattern: SparsityPattern) -> Adjacency:
    """The arrays of a pattern as the 32-bit integers that the kernels are compiled for."""
    if pattern.indices.dtype != np.int32 or 2 * pattern.nnz + sum(pattern.shape) >= 2**31:
        raise ColoringError(f"a pattern of shape {pattern.shape} with {pattern.nnz} entries is too large to color")
    return pattern.indptr.astype(np.int32, copy=False), pattern.indices.astype(np.int32, copy=False)


def transposed(pattern: SparsityPattern) -> tuple[Ints, Ints, Ints]:
    """Adjacency lists of the columns, and for each entry its place in them."""
    result: tuple[Ints, Ints, Ints] = graph_kernels.transpose(*narrow(pattern), pattern.shape[1])
    return result


def adjacency_graph(pattern: SparsityPattern) -> Graph:
    """The graph of a symmetric matrix.

    Raises:
        ColoringError: If the pattern is not symmetric; names an entry without its mirror image.
    """
    require_symmetric(pattern)
    indptr, indices = narrow(pattern)
    other_indptr, other_indices, mirror = transposed(pattern)
    if not (np.array_equal(indptr, other_indptr) and np.array_equal(indices, other_indices)):
        entries, mirrored = _keys(*pattern.coo()), _keys(*pattern.coo()[::-1])
        lonely = int(np.setdiff1d(entries, mirrored)[0])
        i, j = lonely >> 32, lonely & 0xFFFFFFFF
        raise ColoringError(
            f"the pattern is not symmetric: entry ({i}, {j}) has no mirror image ({j}, {i}); "
            'unite it with its transpose, pattern.union(pattern.T), or use structure="nonsymmetric"'
        )
    return Graph(indptr, indices, mirror, pattern.shape[1], two_sided=False)


def require_symmetric(pattern: SparsityPattern) -> None:
    """Raise unless the pattern is square, as every symmetric one is."""
    if pattern.shape[0] != pattern.shape[1]:
        raise ColoringError(
            f'a pattern of shape {pattern.shape} is not symmetric; use structure="nonsymmetric" for Jacobians'
        )


def augmented_graph(pattern: SparsityPattern) -> Graph:
    """The bipartite graph of the columns (first) and rows of a matrix."""
    n = pattern.shape[1]
    indptr, indices = narrow(pattern)
    column_indptr, column_indices, place = transposed(pattern)
    nnz = np.int32(pattern.nnz)
    back = np.empty_like(place)
    back[place] = np.arange(nnz, 2 * nnz, dtype=np.int32)
    return Graph(
        np.concatenate([column_indptr, indptr[1:] + nnz]),
        np.concatenate([column_indices + np.int32(n), indices]),
        np.concatenate([back, place]),
        n,
        two_sided=True,
    )


def _keys(rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.int64]:
    keys: NDArray[np.int64] = rows.astype(np.int64) << 32 | cols
    return keys
