"""Sparsity patterns: which entries of a matrix may be nonzero.

A `SparsityPattern` is what detection hands to coloring and what coloring hands to decompression: the compressed sparse
row indices of a matrix without its values.  It is immutable, so tapes, problems and colorings can share one.
"""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sct_opt.errors import MissingDependencyError, PatternError, ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from scipy.sparse import coo_array, csc_array, csr_array

Indices = NDArray[np.signedinteger[Any]]

_DENSE_LIMIT = 1 << 26  # entries up to which a pattern becomes a dense array unasked
_INT32_MAX = np.iinfo(np.int32).max
_PICTURE_ROWS, _PICTURE_COLUMNS = 40, 80  # characters of the braille picture
_PLOT_PIXELS = 1200  # cells per side of an image, beyond which several matrix entries share a cell


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SparsityPattern:
    """The structural nonzeros of a matrix, in compressed sparse row form.

    Use `from_coo`, `from_csr` or `from_matrix` to make one: they check, sort and deduplicate.  The constructor itself
    takes arrays that are canonical already (sorted, unique column indices per row) and makes them read-only.

    Args:
        shape: Number of rows and columns.
        indptr: Where each row starts in `indices`; length ``rows + 1``.
        indices: Column of each structural nonzero, ascending within a row.

    Examples:
        >>> from sct_opt.pattern import SparsityPattern
        >>> pattern = SparsityPattern.from_coo([0, 0, 1, 2], [0, 1, 1, 2], (3, 3))
        >>> pattern
        SparsityPattern(shape=(3, 3), nnz=4)
        >>> pattern.toarray().astype(int)
        array([[1, 1, 0],
               [0, 1, 0],
               [0, 0, 1]])
        >>> print(pattern)
        3×3 SparsityPattern with 4 structural nonzeros
        ⎡⠙⠄⎤
    """

    shape: tuple[int, int]
    indptr: Indices
    indices: Indices

    def __post_init__(self) -> None:
        self.indptr.flags.writeable = False
        self.indices.flags.writeable = False

    @classmethod
    def from_coo(cls, rows: ArrayLike, cols: ArrayLike, shape: Sequence[int]) -> SparsityPattern:
        """Build a pattern from row and column indices in any order, duplicates allowed.

        Args:
            rows: Row of each entry.
            cols: Column of each entry.
            shape: Number of rows and columns.

        Returns:
            The pattern with sorted and unique entries.

        Raises:
            ShapeError: If `rows` and `cols` differ in length or `shape` is not a pair of nonnegative integers.
            PatternError: If an index lies outside `shape` or is not an integer.

        >>> SparsityPattern.from_coo([1, 0, 1], [2, 0, 2], (2, 3)).nnz
        2
        """
        n_rows, n_cols = _checked_shape(shape)
        r, c = _checked_indices(rows, n_rows, "row"), _checked_indices(cols, n_cols, "column")
        if r.size != c.size:
            raise ShapeError(f"got {r.size} row indices but {c.size} column indices; give one of each per entry")
        if max(n_rows, n_cols) <= _INT32_MAX:
            # One 64-bit key per entry: NumPy sorts those with vector instructions, faster than a counting sort.
            key = r.astype(np.int64)
            key <<= 32
            key |= c
            if key.size > 1 and not (key[1:] > key[:-1]).all():
                key.sort()
                key = key[_first_of_run(key)]
            r, c = key >> 32, (key & _INT32_MAX).astype(np.int32)
        else:
            by_row = np.lexsort((c, r))
            r, c = r[by_row], c[by_row]
            keep = _first_of_run(r) | _first_of_run(c)
            r, c = r[keep], c[keep]
        indptr = np.zeros(n_rows + 1, np.int64)
        np.cumsum(np.bincount(r, minlength=n_rows), out=indptr[1:])
        return cls((n_rows, n_cols), *_narrowed(indptr, c, n_cols))

    @classmethod
    def from_csr(cls, indptr: ArrayLike, indices: ArrayLike, shape: Sequence[int]) -> SparsityPattern:
        """Build a pattern from compressed sparse rows; columns may be unsorted or repeated within a row.

        Args:
            indptr: Where each row starts in `indices`.
            indices: Column of each entry.
            shape: Number of rows and columns.

        Returns:
            The pattern; it owns copies of the arrays.

        Raises:
            ShapeError: If `indptr` has not one entry more than there are rows.
            PatternError: If `indptr` decreases or does not span `indices`, or a column lies outside `shape`.

        >>> SparsityPattern.from_csr([0, 2, 3], [1, 0, 2], (2, 3)).indices
        array([0, 1, 2], dtype=int32)
        """
        n_rows, n_cols = _checked_shape(shape)
        columns = _checked_indices(indices, n_cols, "column")
        starts = np.asarray(indptr)
        if starts.shape != (n_rows + 1,):
            raise ShapeError(f"indptr has shape {starts.shape}, but {n_rows} rows need shape ({n_rows + 1},)")
        counts = np.diff(starts)
        if starts[0] != 0 or starts[-1] != columns.size or (counts < 0).any():
            raise PatternError(f"indptr must rise from 0 to the number of indices, {columns.size}, without falling")
        ascending = columns[1:] > columns[:-1]
        inner = starts[1:-1]
        ascending[inner[(inner > 0) & (inner < columns.size)] - 1] = True  # the first entry of a row is free
        if not ascending.all():
            return cls.from_coo(np.repeat(np.arange(n_rows), counts), columns, shape)
        return cls((n_rows, n_cols), *_narrowed(starts, columns, n_cols, copy=True))

    @classmethod
    def from_matrix(cls, matrix: Any) -> SparsityPattern:
        """Take the pattern of a SciPy sparse matrix, a dense array or another pattern.

        Entries that a sparse matrix stores are structural even where their value is zero; of a dense array those
        entries count that differ from zero.

        Args:
            matrix: A SciPy sparse array or matrix of any format, a two-dimensional array, or a `SparsityPattern`.

        Returns:
            The pattern (the same object if `matrix` is a pattern already).

        Raises:
            ShapeError: If `matrix` is not two-dimensional.

        >>> SparsityPattern.from_matrix([[1.0, 0.0], [0.0, 2.0]]).coo()
        (array([0, 1], dtype=int32), array([0, 1], dtype=int32))
        """
        if isinstance(matrix, SparsityPattern):
            return matrix
        sparse = sys.modules.get("scipy.sparse")  # without it imported nobody can hold a sparse matrix
        if sparse is not None and sparse.issparse(matrix):
            if matrix.ndim != 2:
                raise ShapeError(f"a pattern is two-dimensional, but the matrix has shape {matrix.shape}")
            if matrix.format == "csr":
                return cls.from_csr(matrix.indptr, matrix.indices, matrix.shape)
            if matrix.format == "dia":  # its tocoo() would drop stored zeros
                matrix = sparse.dia_array((np.ones_like(matrix.data), matrix.offsets), shape=matrix.shape)
            coo = matrix.tocoo()
            return cls.from_coo(coo.row, coo.col, coo.shape)
        dense = np.asarray(matrix)
        if dense.ndim != 2:
            raise ShapeError(f"a pattern is two-dimensional, but the matrix has shape {dense.shape}")
        rows, cols = np.nonzero(dense)
        return cls.from_coo(rows, cols, dense.shape)

    @property
    def nnz(self) -> int:
        """Number of structural nonzeros."""
        return self.indices.size

    @property
    def T(self) -> SparsityPattern:
        """The pattern of the transposed matrix."""
        rows, cols = self.coo()
        return SparsityPattern.from_coo(cols, rows, self.shape[::-1])

    def coo(self) -> tuple[Indices, Indices]:
        """Row and column of every structural nonzero, in row order.

        Returns:
            Two arrays of length `nnz`; the second is `indices` itself.

        >>> SparsityPattern.from_matrix([[0, 1], [1, 1]]).coo()
        (array([0, 1, 1], dtype=int32), array([1, 0, 1], dtype=int32))
        """
        rows = np.repeat(np.arange(self.shape[0], dtype=self.indices.dtype), np.diff(self.indptr))
        return rows, self.indices

    def lower_triangle(self) -> SparsityPattern:
        """The entries on and below the diagonal.

        Returns:
            A pattern of the same shape.

        >>> SparsityPattern.from_matrix([[1, 1], [1, 0]]).lower_triangle().coo()
        (array([0, 1], dtype=int32), array([0, 0], dtype=int32))
        """
        rows, cols = self.coo()
        keep = cols <= rows
        return SparsityPattern.from_coo(rows[keep], cols[keep], self.shape)

    def union(self, other: SparsityPattern) -> SparsityPattern:
        """The entries that are structural in this pattern or in another of the same shape.

        Args:
            other: The other pattern.

        Returns:
            The union.

        Raises:
            ShapeError: If the shapes differ.

        >>> a, b = SparsityPattern.from_matrix([[1, 0]]), SparsityPattern.from_matrix([[0, 1]])
        >>> a.union(b).nnz
        2
        """
        if self.shape != other.shape:
            raise ShapeError(f"cannot unite patterns of shapes {self.shape} and {other.shape}")
        (rows, cols), (more_rows, more_cols) = self.coo(), other.coo()
        return SparsityPattern.from_coo(np.append(rows, more_rows), np.append(cols, more_cols), self.shape)

    def is_symmetric(self) -> bool:
        """Whether the pattern is square and equal to its transpose.

        >>> SparsityPattern.from_matrix([[0, 1], [1, 1]]).is_symmetric()
        True
        """
        return self.shape[0] == self.shape[1] and self == self.T

    def tocsr(self) -> csr_array:
        """The pattern as a SciPy CSR array of ``True``.

        >>> SparsityPattern.from_matrix([[0, 1]]).tocsr().dtype
        dtype('bool')
        """
        from scipy.sparse import csr_array  # noqa: PLC0415 - keeps `import sct_opt` quick

        return csr_array((np.ones(self.nnz, bool), self.indices.copy(), self.indptr.copy()), shape=self.shape)

    def tocsc(self) -> csc_array:
        """The pattern as a SciPy CSC array of ``True``."""
        return self.tocsr().tocsc()

    def tocoo(self) -> coo_array:
        """The pattern as a SciPy COO array of ``True``, in row order."""
        return self.tocsr().tocoo()

    def toarray(self) -> NDArray[np.bool_]:
        """The pattern as a dense boolean array."""
        dense = np.zeros(self.shape, bool)
        dense[self.coo()] = True
        return dense

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """The dense array, for functions that take anything array-like, such as SciPy's ``jac_sparsity`` arguments."""
        if copy is False:
            raise ValueError("a SparsityPattern holds no dense array to share; ask for a copy")
        if self.shape[0] * self.shape[1] > _DENSE_LIMIT:
            raise PatternError(
                f"a dense array of shape {self.shape} was asked for; pass pattern.tocsr(), or call toarray() if you mean it"
            )
        return self.toarray().astype(dtype or bool, copy=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the pattern to a NumPy ``.npz`` file.

        Args:
            path: Where to write; NumPy appends ``.npz`` if it is missing.

        >>> import tempfile, os
        >>> pattern = SparsityPattern.from_matrix([[0, 1]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pattern.save(os.path.join(folder, "pattern.npz"))
        ...     SparsityPattern.load(os.path.join(folder, "pattern.npz")) == pattern
        True
        """
        np.savez_compressed(path, shape=np.array(self.shape), indptr=self.indptr, indices=self.indices)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SparsityPattern:
        """Read a pattern that `save` wrote.

        Args:
            path: The ``.npz`` file.

        Returns:
            The pattern.

        Raises:
            PatternError: If the file does not hold a pattern.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls.from_csr(file["indptr"], file["indices"], file["shape"])
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise PatternError(f"{os.fspath(path)} does not hold a pattern written by SparsityPattern.save") from error

    def plot(self, ax: Axes | None = None, coloring: Any = None) -> Axes:
        """Draw the pattern as an image, its entries in the colors of a coloring.

        Large patterns are drawn at reduced resolution: a cell shows one of the entries that fall into it.

        Args:
            ax: Matplotlib axes to draw into; new ones if None.
            coloring: A coloring of this pattern (anything with `entry_colors`), or an array with one color per
                structural nonzero in row order.

        Returns:
            The axes.

        Raises:
            ShapeError: If the coloring belongs to a pattern with another number of entries.
            MissingDependencyError: If Matplotlib is not installed.
        """
        colors = np.zeros(self.nnz, np.int64) if coloring is None else np.asarray(_entry_colors(coloring))
        if colors.shape != (self.nnz,):
            raise ShapeError(f"the coloring has {colors.size} entries, but the pattern {self.nnz}; color this pattern")
        if ax is None:
            (ax,) = new_figure(1)[1]
        rows, cols = self.coo()
        draw_entries(ax, self.shape, rows, cols, colors)
        return ax

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparsityPattern):
            return NotImplemented
        return (
            self.shape == other.shape
            and np.array_equal(self.indptr, other.indptr)
            and np.array_equal(self.indices, other.indices)
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.indptr.tobytes(), self.indices.tobytes()))

    def __repr__(self) -> str:
        return f"SparsityPattern(shape={self.shape}, nnz={self.nnz})"

    def __str__(self) -> str:
        entries = "1 structural nonzero" if self.nnz == 1 else f"{self.nnz} structural nonzeros"
        header = f"{self.shape[0]}×{self.shape[1]} SparsityPattern with {entries}"
        return "\n".join([header, *_braille(self)])


def new_figure(n_axes: int) -> tuple[Figure, list[Axes]]:
    """Make a Matplotlib figure with axes side by side.

    Args:
        n_axes: Number of axes.

    Returns:
        The figure and its axes.

    Raises:
        MissingDependencyError: If Matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot  # noqa: PLC0415 - optional and slow to import
    except ImportError as error:
        raise MissingDependencyError("drawing needs Matplotlib: pip install matplotlib") from error
    figure, axes = pyplot.subplots(1, n_axes, squeeze=False, layout="constrained")
    return figure, list(axes[0])


def draw_entries(ax: Axes, shape: tuple[int, int], rows: Indices, cols: Indices, colors: Indices) -> None:
    """Draw matrix entries into Matplotlib axes as one image, whatever their number.

    Args:
        ax: Where to draw.
        shape: Number of rows and columns of the matrix.
        rows: Row of each entry.
        cols: Column of each entry.
        colors: Color number of each entry; 0, 1, 2… are told apart, -1 is gray.
    """
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - optional and slow to import

    height, width = (max(1, min(length, _PLOT_PIXELS)) for length in shape)
    image = np.full((height, width, 3), 255, np.uint8)
    y = rows.astype(np.int64) * height // max(1, shape[0])
    x = cols.astype(np.int64) * width // max(1, shape[1])
    image[y, x] = _palette(int(colors.max(initial=0)) + 1)[colors]
    extent = (-0.5, max(1, shape[1]) - 0.5, max(1, shape[0]) - 0.5, -0.5)
    ax.imshow(image, extent=extent, interpolation="nearest", aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))


def _palette(n_colors: int) -> NDArray[np.uint8]:
    """Colors as RGB rows, with gray appended so that index -1 finds it; hues advance by the golden section."""
    hue = (0.61 + 0.618033988749895 * np.arange(n_colors)) % 1.0
    level = 0.45 + 0.3 * (np.arange(n_colors) // 7 % 2)
    angle = 2 * np.pi * (hue[:, None] - np.array([0.0, 1 / 3, 2 / 3]))
    rgb = level[:, None] * (1 + 0.7 * np.cos(angle)) * 255
    return np.vstack([np.clip(rgb, 0, 255), [[170, 170, 170]]]).astype(np.uint8)


def _entry_colors(coloring: Any) -> Any:
    return getattr(coloring, "entry_colors", coloring)


def _checked_shape(shape: Sequence[int]) -> tuple[int, int]:
    try:
        n_rows, n_cols = (int(length) for length in shape)
    except (TypeError, ValueError):
        raise ShapeError(f"shape must be a pair (rows, columns), not {shape!r}") from None
    if n_rows < 0 or n_cols < 0:
        raise ShapeError(f"shape must not be negative, but is {(n_rows, n_cols)}")
    return n_rows, n_cols


def _checked_indices(values: ArrayLike, limit: int, what: str) -> Indices:
    indices = np.asarray(values).ravel()
    if indices.size == 0:
        return np.zeros(0, np.int32)
    if indices.dtype.kind not in "iu":
        raise PatternError(f"{what} indices must be integers, not {indices.dtype}")
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high >= limit:
        raise PatternError(f"{what} index {low if low < 0 else high} lies outside 0..{limit - 1}")
    return indices


def _first_of_run(values: Indices) -> NDArray[np.bool_]:
    """Mark the entries of an array that differ from their predecessor."""
    first = np.ones(values.size, bool)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    return first


def _narrowed(indptr: Indices, indices: Indices, n_cols: int, copy: bool = False) -> tuple[Indices, Indices]:
    """Use 32-bit indices wherever they suffice, so that compiled code meets one type only."""
    dtype = np.int32 if max(indices.size, n_cols, indptr.size) <= _INT32_MAX else np.int64
    return indptr.astype(dtype, copy=copy), indices.astype(dtype, copy=copy)


def _braille(pattern: SparsityPattern) -> list[str]:
    """Draw with braille characters of 4 x 2 dots, scaled down with the aspect ratio kept where it does not fit."""
    n_rows, n_cols = pattern.shape
    if n_rows == 0 or n_cols == 0:
        return []
    scale = min(1.0, 4 * _PICTURE_ROWS / n_rows, 2 * _PICTURE_COLUMNS / n_cols)
    height, width = max(1, int(n_rows * scale)), max(1, int(n_cols * scale))
    rows, cols = pattern.coo()
    y = rows.astype(np.int64) * height // n_rows
    x = cols.astype(np.int64) * width // n_cols
    dots = np.zeros((-(-height // 4) * 4, -(-width // 2) * 2), np.int64)
    dots[y, x] = 1
    bit = np.array([[0, 3], [1, 4], [2, 5], [6, 7]])  # Unicode's numbering of the dots
    cells = dots.reshape(dots.shape[0] // 4, 4, dots.shape[1] // 2, 2) << bit[:, None, :]
    lines = ["".join(chr(0x2800 + code) for code in line) for line in cells.sum(axis=(1, 3))]
    if len(lines) == 1:
        return [f"⎡{lines[0]}⎤"]
    return [f"⎡{lines[0]}⎤", *(f"⎢{line}⎥" for line in lines[1:-1]), f"⎣{lines[-1]}⎦"]
