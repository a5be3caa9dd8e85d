"""Pyomo's external functions as black-box nodes with their own derivatives.

Functions written in Python and functions compiled for AMPL answer the same question: value, gradient and Hessian at
given arguments.  The compiled ones are loaded through Pyomo itself; the AMPL solver library is not needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.errors import EvaluationError, ModelError

Array = np.ndarray[Any, Any]


class ExternalCall:
    """One external function with its constant arguments (strings and identifiers) filled in; a `BlackBox`.

    Args:
        function: the Pyomo component.
        constants: constant arguments by position.
        num_args: number of all arguments.
    """

    num_outputs = 1

    def __init__(self, function: Any, constants: dict[int, Any], num_args: int) -> None:
        self.name = str(function.name)
        self._function = function
        self._constants = constants
        self._positions = np.array([k for k in range(num_args) if k not in constants], dtype=np.int64)
        self._num_args = num_args
        self.num_arguments = self._positions.size
        if getattr(function, "_fgh", True) is None and function._grad is None:
            raise ModelError(
                f"ExternalFunction {self.name!r} has no gradient, so IPOPT cannot use it; declare it as ExternalFunction(function, gradient, hessian) "
                "or ExternalFunction(fgh=...)"
            )
        size = self._positions.size
        self.jacobian_rows: Array = np.zeros(size, dtype=np.int64)
        self.jacobian_cols: Array = np.arange(size)
        self.hessian_rows, self.hessian_cols = np.tril_indices(size)
        rows, cols = self._positions[self.hessian_rows], self._positions[self.hessian_cols]
        # Pyomo stores the upper triangle by columns.
        self._hessian_entries = cols + rows * (rows + 1) // 2

    def _evaluate(self, args: Array, order: int) -> Any:
        full: list[Any] = [self._constants.get(k) for k in range(self._num_args)]
        for position, number in zip(self._positions.tolist(), np.asarray(args, dtype=float).tolist(), strict=True):
            full[position] = number
        return self._function.evaluate_fgh(full, fgh=order)

    def value(self, args: Array) -> Array:
        """The value, shape ``(1,)``."""
        return np.array([self._evaluate(args, 0)[0]], dtype=float)

    def jacobian(self, args: Array) -> Array:
        """The gradient with respect to the arguments that are not constant."""
        return np.asarray(self._evaluate(args, 1)[1], dtype=float)[self._positions]

    def hessian(self, args: Array, weights: Array) -> Array:
        """The weighted Hessian's lower triangle by rows."""
        if getattr(self._function, "_fgh", True) is None and self._function._hess is None:
            raise EvaluationError(
                f"ExternalFunction {self.name!r} has no Hessian; give one, or solve with the option hessian_approximation='limited-memory'"
            )
        return float(weights[0]) * np.asarray(self._evaluate(args, 2)[2], dtype=float)[self._hessian_entries]
