"""External grey-box blocks of PyNumero: functions outside Pyomo with derivatives of their own, as black-box nodes.

A grey-box block stands for the equations ``residual(inputs) = 0`` and ``outputs(inputs) = output variables``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sct_opt.errors import EvaluationError, ModelError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class GreyBoxRow:
    """An equation of a grey-box block where lists of constraints need an entry.

    Attributes:
        name: the block's name and the equation's.
        expr: what messages show as its expression.
    """

    name: str
    expr: str


class _Scatter:
    """Sums the entries of coordinate matrices of one structure into the sorted order of their distinct places."""

    def __init__(self, rows: Array, cols: Array, width: int) -> None:
        keys, self._place = np.unique(np.asarray(rows, dtype=np.int64) * max(width, 1) + cols, return_inverse=True)
        self.rows: Array = keys // max(width, 1)
        self.cols: Array = keys % max(width, 1)

    def __call__(self, values: Array) -> Array:
        return np.bincount(self._place, weights=values, minlength=self.rows.size)


class GreyBox:
    """The functions of one grey-box block; a `BlackBox` whose outputs are the residuals, then the outputs.

    Args:
        block: an ExternalGreyBoxBlock.

    Raises:
        ModelError: the block has no external model, or brings its own objective.
    """

    def __init__(self, block: Any) -> None:
        self._model = model = block.get_external_model()
        self.name = str(block.name)
        if model is None:
            raise ModelError(
                f"grey-box block {self.name!r} has no external model; give it one with set_external_model(...)"
            )
        if getattr(model, "has_objective", bool)():
            raise ModelError(
                f"grey-box block {self.name!r} brings its own objective; give that as an output, and use the output in an Objective"
            )
        self.inputs = list(block.inputs.values())
        self.outputs = list(block.outputs.values()) if block.outputs is not None else []
        self.num_residuals = int(model.n_equality_constraints())
        self.num_outputs = self.num_residuals + int(model.n_outputs())
        names = [*model.equality_constraint_names(), *model.output_names()]
        self.rows = [
            GreyBoxRow(f"{self.name}.{name}", f"equation {name} of grey-box block {self.name}") for name in names
        ]
        self._set([0.0 if v.value is None else v.value for v in self.inputs])
        parts = self._jacobian_parts()
        self._jacobian = _Scatter(
            np.concatenate([rows for rows, _, _ in parts]),
            np.concatenate([cols for _, cols, _ in parts]),
            len(self.inputs),
        )
        self.jacobian_rows, self.jacobian_cols = self._jacobian.rows, self._jacobian.cols
        self._second_order = all(hasattr(model, name) for _, name, count in self._hessians() if count)
        if self._second_order:
            structure = self._hessian_parts(np.ones(self.num_outputs))
            rows, cols = (np.concatenate([part[k] for part in structure]) for k in (0, 1))
            self._hessian = _Scatter(np.maximum(rows, cols), np.minimum(rows, cols), len(self.inputs))
        else:  # everything may depend on everything: only a quasi-Newton method can be used
            self._hessian = _Scatter(*np.tril_indices(len(self.inputs)), len(self.inputs))
        self.hessian_rows, self.hessian_cols = self._hessian.rows, self._hessian.cols

    def _set(self, inputs: Any) -> None:
        self._model.set_input_values(np.asarray(inputs, dtype=float))

    def _pieces(self, residuals: Callable[[], Any], outputs: Callable[[], Any]) -> list[Any]:
        return ([residuals()] if self.num_residuals else []) + (
            [outputs()] if self.num_outputs > self.num_residuals else []
        )

    def _jacobian_parts(self) -> list[tuple[Array, Array, Array]]:
        model = self._model
        matrices = self._pieces(model.evaluate_jacobian_equality_constraints, model.evaluate_jacobian_outputs)
        shifts = self._pieces(lambda: 0, lambda: self.num_residuals)
        return [(m.row + shift, m.col, m.data) for m, shift in zip((m.tocoo() for m in matrices), shifts, strict=True)]

    def _hessians(self) -> list[tuple[str, str, int]]:
        return [
            ("set_equality_constraint_multipliers", "evaluate_hessian_equality_constraints", self.num_residuals),
            ("set_output_constraint_multipliers", "evaluate_hessian_outputs", self.num_outputs - self.num_residuals),
        ]

    def _hessian_parts(self, weights: Array) -> list[tuple[Array, Array, Array]]:
        parts, first = [], 0
        for setter, evaluate, count in self._hessians():
            if count:
                getattr(self._model, setter)(weights[first : first + count])
                matrix = getattr(self._model, evaluate)().tocoo()
                parts.append((matrix.row, matrix.col, matrix.data))
            first += count
        return parts

    def value(self, args: Array) -> Array:
        """Residuals and outputs."""
        self._set(args)
        return np.concatenate(
            self._pieces(self._model.evaluate_equality_constraints, self._model.evaluate_outputs)
        ).astype(float)

    def jacobian(self, args: Array) -> Array:
        """The Jacobian's entries by rows."""
        self._set(args)
        return self._jacobian(np.concatenate([data for _, _, data in self._jacobian_parts()]))

    def hessian(self, args: Array, weights: Array) -> Array:
        """The weighted Hessian's lower triangle by rows."""
        if not self._second_order:
            raise EvaluationError(
                f"grey-box block {self.name!r} has no Hessians; give its model evaluate_hessian_..., or solve with the option "
                "hessian_approximation='limited-memory'"
            )
        self._set(args)
        return self._hessian(
            np.concatenate([data for _, _, data in self._hessian_parts(np.asarray(weights, dtype=float))])
        )


def grey_box_blocks(model: Any) -> list[Any]:
    """The active grey-box blocks of a model.

    Args:
        model: a ConcreteModel or Block.
    """
    found: list[Any] = []
    for block in model.block_data_objects(active=True):
        for ctype in block.collect_ctypes(active=True, descend_into=False):
            # By name: PyNumero is not imported unless the model has done so.
            if ctype.__name__ == "ExternalGreyBoxBlock":
                found += block.component_data_objects(ctype, active=True, descend_into=False)
    return found
