"""The result of a coloring: colors, seeds, compression and decompression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sct_opt.coloring import recovery_kernels
from sct_opt.coloring.graph import Graph, Ints, adjacency_graph, augmented_graph
from sct_opt.coloring.recovery import Gather, Recovery, Substitution
from sct_opt.errors import ColoringError, ShapeError
from sct_opt.pattern import SparsityPattern

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Structure = Literal["nonsymmetric", "symmetric"]
Partition = Literal["column", "row", "bidirectional"]
Decompression = Literal["direct", "substitution"]
Compressed = NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]

_COMPILED = "fdFDilq"  # number types that the substitution kernel is compiled for


@dataclass(frozen=True, eq=False, repr=False)
class ColoringResult:
    """Colors of the rows and columns of a pattern, and how they compress and decompress matrices.

    Colors are counted from 0; -1 is neutral: that row or column is in no group.  Compressed matrices are, for a pattern
    of shape (m, n): ``B = A @ seed`` of shape (m, num_colors) for a column partition, ``B = seed @ A`` of shape
    (num_colors, n) for a row partition, and the pair ``(B_row, B_column)`` of both for a bidirectional one.

    `sct_opt.color` makes colorings; the constructor serves those made elsewhere (`verify` checks them).

    Args:
        pattern: The pattern that is colored.
        structure: ``"nonsymmetric"`` or ``"symmetric"``.
        partition: ``"column"``, ``"row"`` or ``"bidirectional"``.
        decompression: ``"direct"`` or ``"substitution"``.
        row_colors: Color of each row.
        column_colors: Color of each column.

    Examples:
        >>> import numpy as np
        >>> from sct_opt.coloring import color
        >>> A = np.array([[1, 0, 2], [0, 3, 4], [5, 0, 0]])
        >>> coloring = color(A)
        >>> coloring.column_colors
        array([0, 0, 1], dtype=int32)
        >>> B = coloring.compress(A)
        >>> B
        array([[1, 2],
               [3, 4],
               [5, 0]])
        >>> coloring.decompress(B).toarray()
        array([[1, 0, 2],
               [0, 3, 4],
               [5, 0, 0]])
    """

    pattern: SparsityPattern
    structure: Structure
    partition: Partition
    decompression: Decompression
    row_colors: Ints
    column_colors: Ints

    def __post_init__(self) -> None:
        for what, length in zip(("row", "column"), self.pattern.shape, strict=True):
            colors = np.array(getattr(self, f"{what}_colors"), np.int32)
            if colors.shape != (length,):
                raise ShapeError(f"{what}_colors has shape {colors.shape}, but the pattern has {length} {what}s")
            if colors.min(initial=0) < -1:
                raise ColoringError(f"{what}_colors holds {colors.min()}; colors are 0, 1, 2… or -1 for neutral")
            if self.partition == {"row": "column", "column": "row"}[what]:
                colors[:] = -1
            colors.flags.writeable = False
            object.__setattr__(self, f"{what}_colors", colors)

    @cached_property
    def num_column_colors(self) -> int:
        """Number of column colors."""
        return int(self.column_colors.max(initial=-1)) + 1

    @cached_property
    def num_row_colors(self) -> int:
        """Number of row colors."""
        return int(self.row_colors.max(initial=-1)) + 1

    @property
    def num_colors(self) -> int:
        """Number of column and row colors: of derivative sweeps that the matrix costs."""
        return self.num_column_colors + self.num_row_colors

    @property
    def column_groups(self) -> tuple[NDArray[np.intp], ...]:
        """The columns of each column color."""
        return _groups(self.column_colors, self.num_column_colors)

    @property
    def row_groups(self) -> tuple[NDArray[np.intp], ...]:
        """The rows of each row color."""
        return _groups(self.row_colors, self.num_row_colors)

    @cached_property
    def graph(self) -> Graph | None:
        """The graph that was colored: of the symmetric matrix or of rows and columns; None for a one-sided coloring."""
        if self.structure == "symmetric":
            return adjacency_graph(self.pattern)
        return augmented_graph(self.pattern) if self.partition == "bidirectional" else None

    @cached_property
    def recovery(self) -> Gather | Substitution:
        """Where, and for substitution in which order, entries are found in the compressed matrix.

        Raises:
            ColoringError: If some entry cannot be recovered.
        """
        recovery = Recovery(self.pattern, self.column_colors, self.row_colors, self.graph)
        return recovery.gather() if self.decompression == "direct" else recovery.substitution()

    @property
    def gather_index(self) -> NDArray[np.intp]:
        """Places of the entries in the compressed matrix: ``values = B.ravel()[gather_index]``, in row order.

        Of a bidirectional coloring, B is ``B_row.ravel()`` followed by ``B_column.ravel()``.

        Raises:
            ColoringError: If the entries are recovered by substitution.
        """
        if not isinstance(self.recovery, Gather):
            raise ColoringError(
                "decompression by substitution is not a gather; use decompress_values, or color with "
                'decompression="direct"'
            )
        return self.recovery.index

    @cached_property
    def lower_gather_index(self) -> NDArray[np.intp]:
        """The `gather_index` of the entries on and below the diagonal only."""
        return self.gather_index[self.lower_positions]

    @property
    def entry_colors(self) -> Ints:
        """Color that each entry is read from, in row order; row colors are counted after the column colors."""
        return self.recovery.entry_colors

    @cached_property
    def lower_positions(self) -> NDArray[np.intp]:
        """Positions, among the entries in row order, of those on and below the diagonal."""
        rows, cols = self.pattern.coo()
        return np.flatnonzero(cols <= rows)

    def seed(self, dtype: DTypeLike = np.float64) -> Any:
        """The seed matrix of zeros and ones.

        Args:
            dtype: Type of its entries.

        Returns:
            Of shape (n, num_colors) for a column partition and (num_colors, m) for a row partition; for a bidirectional
            one the pair (row seed, column seed) of both.

        >>> from sct_opt.coloring import color
        >>> color([[1, 0, 2], [0, 3, 4]]).seed()
        array([[1., 0.],
               [1., 0.],
               [0., 1.]])
        """
        rows = _seed(self.row_colors, self.num_row_colors, dtype).T
        columns = _seed(self.column_colors, self.num_column_colors, dtype)
        return {"column": columns, "row": rows, "bidirectional": (rows, columns)}[self.partition]

    def compress(self, matrix: Any) -> Any:
        """Compress a matrix of this pattern: add up the columns, or rows, of each color.

        Args:
            matrix: A dense array or SciPy sparse matrix.

        Returns:
            The dense compressed matrix, of the same dtype; for a bidirectional partition the pair (B_row, B_column).

        Raises:
            ShapeError: If the matrix does not have the shape of the pattern.
        """
        from scipy.sparse import csr_array, issparse  # noqa: PLC0415 - keeps `import sct_opt` quick

        sparse = issparse(matrix)
        A: Any = matrix if sparse else np.asarray(matrix)
        if A.shape != self.pattern.shape:
            raise ShapeError(f"the matrix has shape {A.shape}, but the pattern {self.pattern.shape}")

        def columns(A: Any, colors: Ints, n_colors: int) -> NDArray[Any]:
            used = np.flatnonzero(colors >= 0)
            ones = np.ones(used.size, A.dtype)
            if sparse:
                seed = csr_array((ones, (used, colors[used])), shape=(colors.size, n_colors))
                product: NDArray[Any] = (csr_array(A) @ seed).toarray()
                return product.astype(A.dtype, copy=False)
            B = np.zeros((A.shape[0], n_colors), A.dtype)
            for color, group in enumerate(_groups(colors, n_colors)):
                np.add.reduce(A[:, group], axis=1, out=B[:, color])
            return B

        by_columns = columns(A, self.column_colors, self.num_column_colors)
        by_rows = np.ascontiguousarray(columns(A.T, self.row_colors, self.num_row_colors).T)
        return {"column": by_columns, "row": by_rows, "bidirectional": (by_rows, by_columns)}[self.partition]

    def decompress_values(
        self, compressed: Any, out: NDArray[Any] | None = None, *, lower: bool = False
    ) -> NDArray[Any]:
        """Recover the values of the entries from a compressed matrix.

        Args:
            compressed: What `compress` gives: an array, or the pair (B_row, B_column).
            out: Where to write; of the dtype of `compressed`.
            lower: Only the entries on and below the diagonal.

        Returns:
            The values, in row order of the pattern (or of ``pattern.lower_triangle()``).

        Raises:
            ShapeError: If the compressed matrix does not have the shape that the coloring asks for.

        >>> from sct_opt.coloring import color
        >>> coloring = color([[1, 1], [1, 1]], structure="symmetric")
        >>> coloring.decompress_values([[1.0, 2.0], [2.0, 3.0]])
        array([1., 2., 2., 3.])
        >>> coloring.decompress_values([[1.0, 2.0], [2.0, 3.0]], lower=True)
        array([1., 2., 3.])
        """
        return self.decompress_flat(self._flat(compressed), out, lower=lower)

    def decompress_flat(
        self, flat: NDArray[Any], out: NDArray[Any] | None = None, *, lower: bool = False
    ) -> NDArray[Any]:
        """As `decompress_values`, from the raveled compressed matrix, or from both behind each other, without a check."""
        recovery = self.recovery
        if isinstance(recovery, Gather):
            index = self.lower_gather_index if lower else recovery.index
            return np.take(flat, index, out=out, mode="clip")  # the indices are valid; "raise" would buffer the output
        values = _substituted(recovery, flat, self.pattern.nnz)
        if lower:
            values = values[self.lower_positions]
        if out is None:
            return values
        out[...] = values
        return out

    def decompress(self, compressed: Any, out: Any = None, *, format: str = "csr", lower: bool = False) -> Any:
        """Recover a matrix from its compressed form.

        Args:
            compressed: What `compress` gives: an array, or the pair (B_row, B_column).
            out: A SciPy CSR, CSC or COO matrix with exactly the entries of the pattern, whose data is overwritten, or a
                dense array; a new matrix if None.
            format: Format of a new matrix: ``"csr"``, ``"csc"``, ``"coo"`` or ``"dense"``.
            lower: Only the entries on and below the diagonal (those of `out`, too).

        Returns:
            `out` or the new matrix.

        Raises:
            ShapeError: If the compressed matrix does not have the shape that the coloring asks for.
            ColoringError: If `out` does not have the entries of the pattern.
        """
        from scipy.sparse import csr_array  # noqa: PLC0415 - keeps `import sct_opt` quick

        values = self.decompress_values(compressed, lower=lower)
        pattern = self.pattern.lower_triangle() if lower else self.pattern
        if out is None:
            matrix: Any = csr_array((values, pattern.indices.copy(), pattern.indptr.copy()), shape=pattern.shape)
            return matrix.toarray() if format == "dense" else matrix.asformat(format)
        if isinstance(out, np.ndarray):
            if out.shape != pattern.shape:
                raise ShapeError(f"out has shape {out.shape}, but the pattern {pattern.shape}")
            out[...] = 0
            out[pattern.coo()] = values
            return out
        coo = out.tocoo()
        keys, own = (r.astype(np.int64) * pattern.shape[1] + c for r, c in ((coo.row, coo.col), pattern.coo()))
        by_key = np.argsort(keys, kind="stable")
        if out.shape != pattern.shape or not np.array_equal(keys[by_key], own):
            raise ColoringError("out must hold exactly the entries of the pattern; leave it out to get a new matrix")
        data = out.data if out.format in {"csr", "csc", "coo"} else None
        if data is None:
            raise ColoringError(f"out has format {out.format!r}; use CSR, CSC, COO or a dense array")
        data[by_key] = values
        return out

    def decompress_color(
        self, column: ArrayLike, color: int, out: NDArray[Any], *, lower: bool = False
    ) -> NDArray[Any]:
        """Recover what one color contributes, so that sweeps can be run one at a time.

        With direct decompression the entries that are read from this color are written.  With substitution an entry may
        depend on several colors; contributions are then added, so `out` has to start as zeros.

        Args:
            column: The column of the compressed matrix (row, for a row color) of this color.
            color: The color; row colors of a bidirectional coloring are counted after the column colors.
            out: Values of the entries in row order of the pattern (or of its lower triangle).
            lower: Only the entries on and below the diagonal.

        Returns:
            `out`.

        Raises:
            ColoringError: If there is no such color.
            ShapeError: If `column` does not have the right length.
        """
        if not 0 <= color < self.num_colors:
            raise ColoringError(f"there is no color {color}; colors are 0..{self.num_colors - 1}")
        row_color = color - self.num_column_colors
        given = np.asarray(column)
        length = self.pattern.shape[0 if row_color < 0 else 1]
        if given.shape != (length,):
            raise ShapeError(f"color {color} needs {length} values, but got an array of shape {given.shape}")
        recovery = self.recovery
        if isinstance(recovery, Gather):
            entries = self.lower_positions if lower else np.arange(self.pattern.nnz)
            mine = np.flatnonzero(recovery.entry_colors[entries] == color)
            index = recovery.index[entries[mine]]
            if row_color >= 0:
                out[mine] = given[index - row_color * self.pattern.shape[1]]
            else:
                skipped = self.num_row_colors * self.pattern.shape[1]
                out[mine] = given[(index - skipped) // self.num_column_colors]
            return out
        B_row = np.zeros((self.num_row_colors, self.pattern.shape[1]), given.dtype)
        B_column = np.zeros((self.pattern.shape[0], self.num_column_colors), given.dtype)
        if row_color >= 0:
            B_row[row_color] = given
        else:
            B_column[:, color] = given
        values = _substituted(recovery, np.concatenate([B_row.ravel(), B_column.ravel()]), self.pattern.nnz)
        out += values[self.lower_positions] if lower else values
        return out

    def verify(self, seed: int = 0) -> bool:
        """Check the coloring: structure first, then a round trip of random values.

        Args:
            seed: Seed of the random values.

        Returns:
            True.

        Raises:
            ColoringError: If an entry cannot be recovered; names the two columns or rows that clash.
        """
        from sct_opt.coloring.check import verify_coloring  # noqa: PLC0415 - only needed here

        verify_coloring(self, seed)
        return True

    def plot(self) -> Figure:
        """Draw the pattern in the colors of the coloring, with the compressed matrix beside it.

        Returns:
            The Matplotlib figure.

        Raises:
            MissingDependencyError: If Matplotlib is not installed.
        """
        from sct_opt.coloring.picture import draw_coloring  # noqa: PLC0415 - only needed here

        return draw_coloring(self)

    def _flat(self, compressed: Any) -> NDArray[Any]:
        """Ravel a compressed matrix after checking its shape."""
        m, n = self.pattern.shape
        row_shape, column_shape = (self.num_row_colors, n), (m, self.num_column_colors)
        if self.partition == "bidirectional":
            B_row, B_column = (np.asarray(part) for part in compressed)
            if B_row.shape != row_shape or B_column.shape != column_shape:
                raise ShapeError(
                    f"the compressed matrices have shapes {B_row.shape} and {B_column.shape}, "
                    f"but the coloring asks for {row_shape} and {column_shape}"
                )
            return np.concatenate([B_row.ravel(), B_column.ravel()])
        B = np.asarray(compressed)
        shape = column_shape if self.partition == "column" else row_shape
        if B.shape != shape:
            raise ShapeError(f"the compressed matrix has shape {B.shape}, but the coloring asks for {shape}")
        return B.ravel()

    def __repr__(self) -> str:
        counts = {
            "column": "",
            "row": "",
            "bidirectional": f" ({self.num_column_colors} column, {self.num_row_colors} row)",
        }
        return (
            f"ColoringResult({self.structure}, {self.partition}, {self.decompression}: {self.num_colors} colors"
            f"{counts[self.partition]} for {self.pattern.shape[0]}×{self.pattern.shape[1]})"
        )


def _groups(colors: Ints, n_colors: int) -> tuple[NDArray[np.intp], ...]:
    members = np.argsort(colors, kind="stable")
    return tuple(np.split(members, np.searchsorted(colors[members], np.arange(n_colors))))[1:]


def _seed(colors: Ints, n_colors: int, dtype: DTypeLike) -> NDArray[Any]:
    seed = np.zeros((colors.size, n_colors), dtype)
    used = np.flatnonzero(colors >= 0)
    seed[used, colors[used]] = 1
    return seed


def _substituted(steps: Substitution, flat: NDArray[Any], nnz: int) -> NDArray[Any]:
    # Python runs the same code for numbers that the compiler does not know, and narrow ones are widened on the way.
    wide = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.int64}
    kind = flat.dtype.kind
    work = (
        flat if flat.dtype.char in _COMPILED or flat.dtype.itemsize > 8 or kind not in wide else flat.astype(wide[kind])
    )
    run = recovery_kernels.substitute if work.dtype.char in _COMPILED else recovery_kernels.substitute.function
    values = np.empty(nnz, work.dtype)
    totals = np.zeros(steps.n_totals, work.dtype)
    run(work, steps.source, steps.giver, steps.taker, steps.place, steps.mirror_place, totals, values)
    return values.astype(flat.dtype, copy=False)
