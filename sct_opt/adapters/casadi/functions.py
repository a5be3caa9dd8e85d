"""Sparse derivatives of CasADi functions."""

from __future__ import annotations

from typing import Any

import casadi
import numpy as np

from sct_opt.adapters.casadi.emit import emit
from sct_opt.adapters.casadi.problem import structural, vector
from sct_opt.derivatives import Derivatives
from sct_opt.errors import ShapeError
from sct_opt.pattern import SparsityPattern
from sct_opt.tape import TapeBuilder

Array = np.ndarray[Any, Any]


def function(f: casadi.Function) -> FunctionDerivatives:
    """Sparse Jacobian and Hessian of any CasADi function, with patterns tighter than CasADi's where that is possible.

    >>> x = casadi.SX.sym("x", 3)
    >>> d = function(casadi.Function("f", [x], [x[0] * casadi.fabs(x[1]), casadi.floor(x[2])]))
    >>> d.jacobian_pattern.nnz, d.hessian_pattern.nnz
    (2, 2)
    >>> d.jacobian([2.0, -3.0, 0.5]).toarray()
    array([[ 3., -2.,  0.],
           [ 0.,  0.,  0.]])
    """
    return FunctionDerivatives(f)


class FunctionDerivatives:
    """Derivatives of all elements of a CasADi function's outputs by all elements of its inputs, column by column.

    Args:
        f: the function.
    """

    def __init__(self, f: casadi.Function) -> None:
        self.function = f
        builder = TapeBuilder()
        inputs = [builder.inputs(f.numel_in(i)) for i in range(f.n_in())]
        results = emit(builder, f, [ids[_places(f.sparsity_in(i))] for i, ids in enumerate(inputs)])
        outputs = []
        for i, ids in enumerate(results):
            full = np.full(f.numel_out(i), builder.constant(0.0), dtype=np.int32)
            full[_places(f.sparsity_out(i))] = ids
            outputs.append(full)
        self._derivatives = Derivatives(builder.freeze(np.concatenate([*outputs, np.zeros(0, dtype=np.int32)])))

    def _point(self, args: tuple[Any, ...]) -> Array:
        if len(args) != self.function.n_in():
            raise ShapeError(
                f"function {self.function.name()!r} takes {self.function.n_in()} arguments, got {len(args)}"
            )
        parts = [
            vector(arg, self.function.numel_in(i), f"argument {i}", 0.0, self.function.name_in(i))
            for i, arg in enumerate(args)
        ]
        return np.concatenate([*parts, np.zeros(0)])

    @property
    def jacobian_pattern(self) -> SparsityPattern:
        """Pattern of the Jacobian."""
        return self._derivatives.jacobian_pattern

    @property
    def hessian_pattern(self) -> SparsityPattern:
        """Pattern of the Hessian of any weighted sum of the outputs, both triangles."""
        return self._derivatives.hessian_pattern

    def values(self, *args: Any) -> Array:
        """All outputs in one vector."""
        return self._derivatives.values(self._point(args))

    def jacobian(self, *args: Any) -> Any:
        """The Jacobian as a SciPy sparse array."""
        pattern = self.jacobian_pattern
        return _sparse(pattern, self._derivatives.jacobian_values(self._point(args)))

    def hessian(self, *args: Any, weights: Any = 1.0) -> Any:
        """The Hessian of ``weights @ outputs`` as a SciPy sparse array, both triangles."""
        point = self._point(args)
        w = vector(weights, self._derivatives.tape.num_outputs, "weights", 1.0, "the outputs")
        lower = _sparse(self._derivatives.hessian_lower_pattern, self._derivatives.hessian_values(point, w))
        return (lower + _strict_lower(lower).T).tocsr()

    def jvp(self, *args: Any, v: Any) -> Array:
        """Jacobian times a vector."""
        return self._derivatives.jvp(self._point(args), np.asarray(v, dtype=float))

    def vjp(self, *args: Any, w: Any) -> Array:
        """Transposed Jacobian times a vector."""
        return self._derivatives.vjp(self._point(args), np.asarray(w, dtype=float))


def _places(sparsity: casadi.Sparsity) -> Array:
    return structural(casadi.DM(sparsity))


def _sparse(pattern: SparsityPattern, values: Array) -> Any:
    from scipy.sparse import csr_array  # noqa: PLC0415 - keeps the import quick

    return csr_array((values, pattern.indices.copy(), pattern.indptr.copy()), shape=pattern.shape)


def _strict_lower(matrix: Any) -> Any:
    from scipy.sparse import tril  # noqa: PLC0415 - keeps the import quick

    return tril(matrix, -1)
