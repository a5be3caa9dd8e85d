"""CasADi functions that cannot be written as instructions: integrators, root finders, callbacks, lookup tables.

Such a call becomes a black-box node of the tape, with CasADi's own sparse Jacobian and Hessian.
"""

from __future__ import annotations

from typing import Any

import casadi
import numpy as np

from sct_opt.errors import ModelError

Array = np.ndarray[Any, Any]


class FunctionBox:
    """A `casadi.Function` as a `sct_opt.tape.BlackBox` of the nonzeros of all its inputs and outputs.

    Args:
        function: any CasADi function that CasADi can differentiate twice.
        instances: evaluate so many calls at once; their arguments and results follow each other.

    Raises:
        ModelError: CasADi cannot differentiate the function.

    >>> x = casadi.MX.sym("x", 2)
    >>> box = FunctionBox(casadi.Function("f", [x], [x[0] * x[1]]))
    >>> box.value(np.array([2.0, 3.0])), box.jacobian(np.array([2.0, 3.0]))
    (array([6.]), array([3., 2.]))
    """

    def __init__(self, function: casadi.Function, instances: int = 1) -> None:
        self.name = str(function.name())
        self.function = function
        z = casadi.MX.sym("z", function.nnz_in())
        args, first = [], 0
        for i in range(function.n_in()):
            count = function.nnz_in(i)
            args.append(casadi.MX(function.sparsity_in(i), z[first : first + count]))
            first += count
        results = function.call(args)
        y = casadi.vertcat(*[casadi.vec(casadi.MX(result).nz[:]) for result in results])
        inputs, outputs = int(z.numel()), int(y.numel())
        self.num_outputs = outputs * instances
        self._value = _Buffered(casadi.Function("value", [z], [y]), instances)
        try:
            jacobian = casadi.jacobian(y, z)
        except RuntimeError as error:
            raise _no_derivative(self.name, "first", error) from error
        rows, cols = (np.array(part, dtype=np.int64) for part in jacobian.sparsity().get_triplet())
        order = np.lexsort((cols, rows))
        self._jacobian_order = _repeated(order, instances, order.size)
        self.jacobian_rows = _repeated(rows[order], instances, outputs)
        self.jacobian_cols = _repeated(cols[order], instances, inputs)
        self._jacobian = _Buffered(casadi.Function("jacobian", [z], [jacobian]), instances)
        weights = casadi.MX.sym("w", outputs)
        try:
            hessian = casadi.tril(casadi.jacobian(casadi.jtimes(y, z, weights, True), z))
            self._hessian = _Buffered(casadi.Function("hessian", [z, weights], [hessian]), instances)
        except RuntimeError as error:
            raise _no_derivative(self.name, "second", error) from error
        rows, cols = (np.array(part, dtype=np.int64) for part in hessian.sparsity().get_triplet())
        self.hessian_rows, self.hessian_cols = _repeated(rows, instances, inputs), _repeated(cols, instances, inputs)

    def value(self, args: Array) -> Array:
        """All outputs' nonzeros."""
        return self._value(args)

    def jacobian(self, args: Array) -> Array:
        """Values aligned to ``jacobian_rows``, ``jacobian_cols``."""
        return self._jacobian(args)[self._jacobian_order]

    def hessian(self, args: Array, weights: Array) -> Array:
        """Lower triangle of the Hessian of ``weights @ outputs``."""
        return self._hessian(args, weights)


class LinearSolve:
    """Solutions ``X`` of ``A @ X = B`` as a black box of B's and A's nonzeros, with derivatives in closed form.

    With ``N = A^-1``: ``dX = N (dB - dA X)``; for weights W and ``L = N.T W``, the second derivative of ``sum(W * X)`` along
    (dA, dB) and (dA', dB') is ``sum(L * (dA N dA' X + dA' N dA X - dA N dB' - dA' N dB))``.  The pattern takes N to be full.

    Args:
        sparsity: pattern of the matrix as stored.
        columns: number of right-hand sides.
        transposed: solve with the transposed matrix.

    >>> box = LinearSolve(casadi.Sparsity.dense(2, 2), 1, False)
    >>> box.value(np.array([2.0, 9.0, 1.0, 0.0, 0.0, 3.0]))
    array([2., 3.])
    """

    def __init__(self, sparsity: casadi.Sparsity, columns: int, transposed: bool) -> None:
        self.name = "solve"
        n = self.size = sparsity.size1()
        self.columns = columns
        rows, cols = (np.array(part, dtype=np.int64) for part in sparsity.get_triplet())
        self._rows, self._cols = (cols, rows) if transposed else (rows, cols)
        self.num_outputs = n * columns
        right = np.arange(n * columns).reshape(columns, n)
        matrix = n * columns + np.arange(rows.size)
        # output (i, r) depends on column r of B and on all of A
        own = np.repeat(np.concatenate([right, np.broadcast_to(matrix, (columns, rows.size))], axis=1), n, axis=0)
        self.jacobian_rows = np.repeat(np.arange(self.num_outputs), own.shape[1])
        self.jacobian_cols = own.ravel()
        # A with B, then the lower triangle of A with A
        self._lower = np.tril_indices(rows.size)
        self.hessian_rows = np.concatenate([np.repeat(matrix, n * columns), matrix[self._lower[0]]])
        self.hessian_cols = np.concatenate([np.tile(np.arange(n * columns), rows.size), matrix[self._lower[1]]])

    def _inverse(self, args: Array) -> tuple[Array, Array]:
        count = self.num_outputs
        matrix = np.zeros((self.size, self.size))
        matrix[self._rows, self._cols] = args[count:]
        try:
            inverse = np.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            inverse = np.full_like(matrix, np.nan)
        return inverse, inverse @ args[:count].reshape(self.columns, self.size).T

    def value(self, args: Array) -> Array:
        """The solutions, column by column."""
        solution: Array = self._inverse(args)[1].T.ravel()
        return solution

    def jacobian(self, args: Array) -> Array:
        """Values aligned to ``jacobian_rows``, ``jacobian_cols``."""
        inverse, x = self._inverse(args)
        parts = [
            np.concatenate([inverse, -inverse[:, self._rows] * x[self._cols, r]], axis=1) for r in range(self.columns)
        ]
        return np.concatenate(parts).ravel()

    def hessian(self, args: Array, weights: Array) -> Array:
        """Lower triangle of the Hessian of ``weights @ outputs``."""
        inverse, x = self._inverse(args)
        adjoint = inverse.T @ weights.reshape(self.columns, self.size).T
        rows, cols = self._rows, self._cols
        mixed = -adjoint.T[None, :, :][:, :, rows].transpose(2, 1, 0) * inverse[cols][:, None, :]
        between = inverse[cols][:, rows]  # N[l, m] for entries (k, l) and (m, n)
        both = adjoint[rows] @ x[cols].T * between  # sum over right-hand sides of L[k] N[l, m] X[n]
        return np.concatenate([mixed.ravel(), (both + both.T)[self._lower]])


def _repeated(positions: Array, instances: int, stride: int) -> Array:
    return (np.arange(instances)[:, None] * stride + positions[None, :]).ravel()


class _Buffered:
    """A one-output CasADi function called through CasADi's memory buffers: microseconds instead of tens of them.

    The last result is kept: IPOPT asks for values and derivatives at the same point one after the other.
    """

    def __init__(self, function: casadi.Function, instances: int) -> None:
        self.function = function if instances == 1 else function.map(instances)
        self._args = [np.full(self.function.nnz_in(i), np.nan) for i in range(self.function.n_in())]
        self._result = np.zeros(self.function.nnz_out(0))
        self._buffer, self._evaluate = self.function.buffer()
        for i, arg in enumerate(self._args):
            self._buffer.set_arg(i, arg.data)
        self._buffer.set_res(0, self._result.data)

    def __call__(self, *args: Array) -> Array:
        if not all(np.array_equal(mine, given) for mine, given in zip(self._args, args, strict=True)):
            self._compute(args)
        return self._result.copy()

    def _compute(self, args: tuple[Array, ...]) -> None:
        for mine, given in zip(self._args, args, strict=True):
            mine[:] = given
        try:
            self._evaluate()
        except RuntimeError:
            failed = True  # an integrator that gave up, say; CasADi has printed why
        else:
            failed = bool(self._buffer.ret())
        if failed:  # as with CasADi's own solvers: not a number, so IPOPT shortens its step
            self._result[:] = np.nan


def _no_derivative(name: str, which: str, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines()[-1]
    return ModelError(
        f"CasADi cannot give the {which} derivative of function {name!r}: {reason}; "
        "for a Callback implement get_jacobian, or create the function with the option enable_fd=True"
    )
