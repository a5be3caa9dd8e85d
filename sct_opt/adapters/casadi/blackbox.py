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
        self._unchecked: casadi.Function | None = _directional(y, z)
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
        """Values aligned to ``jacobian_rows``, ``jacobian_cols``.

        Raises:
            ModelError: CasADi's pattern misses entries, found by a directional derivative at the first point.
        """
        values = self._jacobian(args)[self._jacobian_order]
        if self._unchecked is not None and np.isfinite(values).all():
            self._check(args, values)
        return values

    def _check(self, args: Array, values: Array) -> None:
        """Compare the Jacobian of the first instance with a directional derivative, which needs no pattern."""
        assert self._unchecked is not None
        count = self._unchecked.nnz_in(0)
        mine = self.jacobian_rows < self._unchecked.nnz_out(0)
        rows, cols, values = self.jacobian_rows[mine], self.jacobian_cols[mine], values[mine]
        direction = np.random.default_rng(0).uniform(0.5, 1.5, count)
        truth = np.array(self._unchecked(args[:count], direction)).ravel()
        product = np.bincount(rows, weights=values * direction[cols], minlength=truth.size)
        size = np.bincount(rows, weights=np.abs(values), minlength=truth.size) + np.abs(truth)
        wrong = np.abs(product - truth) > 1e-3 * size + 1e-6  # finite differences and integrators are rough
        if np.isfinite(truth).all():
            self._unchecked = None
            if wrong.any():
                raise ModelError(
                    f"CasADi's Jacobian of function {self.name!r} misses entries in output {int(wrong.argmax())}: its sparsity pattern is "
                    "wrong; hide the function in a casadi.Callback that implements get_jacobian, or give it dense arguments"
                )

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
        instances: so many systems at once; their arguments and solutions follow each other.

    >>> box = LinearSolve(casadi.Sparsity.dense(2, 2), 1, False)
    >>> box.value(np.array([2.0, 9.0, 1.0, 0.0, 0.0, 3.0]))
    array([2., 3.])
    """

    def __init__(self, sparsity: casadi.Sparsity, columns: int, transposed: bool, instances: int = 1) -> None:
        self.name = "solve"
        n = self.size = sparsity.size1()
        self.columns = columns
        self.instances = instances
        rows, cols = (np.array(part, dtype=np.int64) for part in sparsity.get_triplet())
        self._rows, self._cols = (cols, rows) if transposed else (rows, cols)
        outputs, inputs = n * columns, n * columns + rows.size
        self.num_outputs = outputs * instances
        right = np.arange(outputs).reshape(columns, n)
        matrix = np.arange(outputs, inputs)
        # output (i, r) depends on column r of B and on all of A
        own = np.repeat(np.concatenate([right, np.broadcast_to(matrix, (columns, rows.size))], axis=1), n, axis=0)
        self.jacobian_rows = _repeated(np.repeat(np.arange(outputs), own.shape[1]), instances, outputs)
        self.jacobian_cols = _repeated(own.ravel(), instances, inputs)
        # A with B, then the lower triangle of A with A
        self._lower = np.tril_indices(rows.size)
        first = np.concatenate([np.repeat(matrix, outputs), matrix[self._lower[0]]])
        second = np.concatenate([np.tile(np.arange(outputs), rows.size), matrix[self._lower[1]]])
        self.hessian_rows, self.hessian_cols = _repeated(first, instances, inputs), _repeated(second, instances, inputs)

    def _inverse(self, args: Array) -> tuple[Array, Array]:
        """Inverse matrices and solutions; both of shape ``(instances, size, …)``."""
        args = args.reshape(self.instances, -1)
        count = self.size * self.columns
        matrix = np.zeros((self.instances, self.size, self.size))
        matrix[:, self._rows, self._cols] = args[:, count:]
        try:
            inverse = np.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            inverse = np.full_like(matrix, np.nan)
        return inverse, inverse @ self._by_column(args[:, :count])

    def _by_column(self, values: Array) -> Array:
        return values.reshape(self.instances, self.columns, self.size).transpose(0, 2, 1)

    def value(self, args: Array) -> Array:
        """The solutions, column by column."""
        solution: Array = self._inverse(args)[1].transpose(0, 2, 1).ravel()
        return solution

    def jacobian(self, args: Array) -> Array:
        """Values aligned to ``jacobian_rows``, ``jacobian_cols``."""
        inverse, x = self._inverse(args)
        by_matrix = -inverse[:, None, :, self._rows] * x.transpose(0, 2, 1)[:, :, None, self._cols]
        by_right = np.broadcast_to(inverse[:, None], (self.instances, self.columns, self.size, self.size))
        return np.concatenate([by_right, by_matrix], axis=3).ravel()

    def hessian(self, args: Array, weights: Array) -> Array:
        """Lower triangle of the Hessian of ``weights @ outputs``."""
        inverse, x = self._inverse(args)
        adjoint = inverse.transpose(0, 2, 1) @ self._by_column(weights)
        rows, cols = self._rows, self._cols
        mixed = -adjoint[:, rows, :, None] * inverse[:, cols, None, :]
        # sum over right-hand sides of L[k] N[l, m] X[n] for entries (k, l) and (m, n)
        both = (adjoint[:, rows] @ x[:, cols].transpose(0, 2, 1)) * inverse[:, cols][:, :, rows]
        between = (both + both.transpose(0, 2, 1))[:, self._lower[0], self._lower[1]]
        return np.concatenate([mixed.reshape(self.instances, -1), between], axis=1).ravel()


def _directional(y: casadi.MX, z: casadi.MX) -> casadi.Function | None:
    v = casadi.MX.sym("v", z.numel())
    try:
        return casadi.Function("directional", [z, v], [casadi.densify(casadi.jtimes(y, z, v))])
    except RuntimeError:  # it has a Jacobian of its own and no directional derivatives
        return None


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
