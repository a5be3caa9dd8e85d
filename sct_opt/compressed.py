"""Exact sparse derivatives of one tape by coloring and sweeps: pattern, coloring, seeds, decompression.

Griewank and Walther, *Evaluating Derivatives* (2nd ed., 2008), chapters 3 (forward and reverse), 5 (second order by
forward over reverse) and 8 (compressed Jacobians and Hessians).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sct_opt.detection import hessian_pattern, jacobian_pattern
from sct_opt.errors import ShapeError
from sct_opt.pattern import SparsityPattern
from sct_opt.sweeps import Sweeps
from sct_opt.tape import Tape

if TYPE_CHECKING:
    from sct_opt.coloring import ColoringResult

Array = np.ndarray[Any, Any]


class CompressedDerivatives:
    """Values and derivatives of the outputs of a tape by coloring and sweeps.

    Patterns and colorings are found at first use.  The Lagrangian is never built: its Hessian is that of
    ``weights @ outputs``, the weights being adjoint seeds.

    Args:
        tape: the tape.
        jacobian_pattern: pattern of the Jacobian if it is already known (``num_outputs x num_inputs``).
        hessian_pattern: pattern of the Hessian of any weighted sum of the outputs, full symmetric.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(3)
    >>> product = builder.binary(OPCODE["mul"], x[:2], x[1:])
    >>> d = CompressedDerivatives(builder.freeze(product))
    >>> point = np.array([1.0, 2.0, 3.0])
    >>> d.values(point).tolist(), d.jacobian_values(point).tolist()
    ([2.0, 6.0], [2.0, 1.0, 3.0, 2.0])
    >>> d.hessian_lower_pattern.nnz, d.hessian_values(point, np.array([1.0, 10.0])).tolist()
    (2, [1.0, 10.0])
    """

    def __init__(
        self,
        tape: Tape,
        jacobian_pattern: SparsityPattern | None = None,
        hessian_pattern: SparsityPattern | None = None,
    ) -> None:
        self.tape = tape
        if jacobian_pattern is not None:
            self.__dict__["jacobian_pattern"] = jacobian_pattern
        if hessian_pattern is not None:
            self.__dict__["hessian_pattern"] = hessian_pattern

    @cached_property
    def _sweeps(self) -> Sweeps:
        return Sweeps(self.tape)

    @property
    def parameters(self) -> Array:
        """Values of the parameters; change them in place or assign, the next evaluation sees it."""
        return self._sweeps.parameters

    @parameters.setter
    def parameters(self, values: Array) -> None:
        self._sweeps.parameters[:] = values

    # -- structure ---------------------------------------------------------------------------------------------

    @cached_property
    def jacobian_pattern(self) -> SparsityPattern:
        """Global pattern of the Jacobian, ``num_outputs x num_inputs``."""
        return jacobian_pattern(self.tape)

    @cached_property
    def hessian_pattern(self) -> SparsityPattern:
        """Global pattern of the Hessian of any weighted sum of the outputs, full symmetric."""
        return hessian_pattern(self.tape)

    @cached_property
    def hessian_lower_pattern(self) -> SparsityPattern:
        """Lower triangle of `hessian_pattern`, diagonal included."""
        return self.hessian_pattern.lower_triangle()

    @cached_property
    def jacobian_coloring(self) -> ColoringResult:
        """Coloring that compresses the Jacobian, by columns or rows, whichever promises the cheaper sweeps."""
        from sct_opt.coloring import color  # noqa: PLC0415 - not needed where all structure repeats

        return color(self.jacobian_pattern, partition="auto")

    @cached_property
    def hessian_coloring(self) -> ColoringResult:
        """Star coloring that compresses the Hessian."""
        from sct_opt.coloring import color  # noqa: PLC0415

        return color(self.hessian_pattern, structure="symmetric")

    def report(self) -> str:
        """Size and colors, which are found if they are not known yet."""
        size, jacobian, hessian = self.tape.size, self.jacobian_coloring.num_colors, self.hessian_coloring.num_colors
        return (
            f"compressed form: {self.tape.num_outputs} outputs, {size} nodes, "
            f"{jacobian} colors of the Jacobian ({size * jacobian} operations), "
            f"{hessian} colors of the Hessian ({2 * size * hessian} operations)"
        )

    # -- evaluation ----------------------------------------------------------------------------------------------

    def values(self, x: Array) -> Array:
        """Outputs at ``x``, shape ``(num_outputs,)``."""
        return self._sweeps.outputs(x)

    def jvp(self, x: Array, v: Array) -> Array:
        """Jacobian times ``v``, shape ``(num_outputs,)``."""
        return self._sweeps.tangents(x, _column(v, self.tape.num_inputs, "v"))[:, 0]

    def vjp(self, x: Array, w: Array) -> Array:
        """Transposed Jacobian times ``w``, shape ``(num_inputs,)``."""
        return self._sweeps.adjoints(x, _column(w, self.tape.num_outputs, "w"))[:, 0]

    def hvp(self, x: Array, weights: Array, v: Array) -> Array:
        """Hessian of ``weights @ outputs`` times ``v``, shape ``(num_inputs,)``."""
        weights = _column(weights, self.tape.num_outputs, "weights")[:, 0]
        return self._sweeps.second_order(x, weights, _column(v, self.tape.num_inputs, "v"))[:, 0]

    def jacobian_values(self, x: Array) -> Array:
        """Values of the Jacobian in the CSR order of `jacobian_pattern`."""
        (by_row, by_column), (flat, rows, columns) = self._jacobian_seeds, self._jacobian_buffers
        if rows.size:
            self._sweeps.adjoints(x, by_row, out=rows.T)
        if columns.size:
            self._sweeps.tangents(x, by_column, out=columns)
        return self.jacobian_coloring.decompress_flat(flat)

    def hessian_values(self, x: Array, weights: Array) -> Array:
        """Values of the Hessian of ``weights @ outputs`` in the CSR order of `hessian_lower_pattern`."""
        weights = _column(weights, self.tape.num_outputs, "weights")[:, 0]
        compressed = self._sweeps.second_order(x, weights, self._hessian_seed, out=self._hessian_buffer)
        return self.hessian_coloring.decompress_flat(compressed.ravel(), lower=True)

    @cached_property
    def _jacobian_buffers(self) -> tuple[Array, Array, Array]:
        """Room for the compressed Jacobian, and in it the part by rows (colors x inputs) and by columns (outputs x colors)."""
        by_row, by_column = self._jacobian_seeds
        rows, columns = (by_row.shape[1], self.tape.num_inputs), (self.tape.num_outputs, by_column.shape[1])
        flat = np.zeros(rows[0] * rows[1] + columns[0] * columns[1])
        return flat, flat[: rows[0] * rows[1]].reshape(rows), flat[rows[0] * rows[1] :].reshape(columns)

    @cached_property
    def _hessian_buffer(self) -> Array:
        return np.zeros(self._hessian_seed.shape)

    @cached_property
    def _jacobian_seeds(self) -> tuple[Array, Array]:
        """Seeds of the reverse and of the forward sweep; one of them has no lanes unless the coloring is bidirectional."""
        coloring = self.jacobian_coloring
        return _seed(coloring.row_colors, self.tape.num_outputs), _seed(coloring.column_colors, self.tape.num_inputs)

    @cached_property
    def _hessian_seed(self) -> Array:
        return _seed(self.hessian_coloring.column_colors, self.tape.num_inputs)


def _seed(colors: Array | None, size: int) -> Array:
    """0/1 matrix with a one in each row at its color; neutral rows (-1) are zero."""
    if colors is None:
        return np.zeros((size, 0))
    seed = np.zeros((size, int(colors.max(initial=-1)) + 1))
    rows = np.flatnonzero(colors >= 0)
    seed[rows, colors[rows]] = 1.0
    return seed


def _column(values: Array, size: int, name: str) -> Array:
    array = np.asarray(values, dtype=float)
    if array.shape != (size,):
        raise ShapeError(f"{name} has shape {array.shape}, expected ({size},)")
    return array[:, None]
