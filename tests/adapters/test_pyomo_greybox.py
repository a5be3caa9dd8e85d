"""Grey-box blocks: equations evaluated outside Pyomo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.pynumero.interfaces.external_grey_box import ExternalGreyBoxBlock, ExternalGreyBoxModel
from scipy.sparse import coo_matrix

from sct_opt.adapters.pyomo import from_pyomo
from sct_opt.errors import EvaluationError, ModelError
from sct_opt.pyomo import SctOpt


class Disc(ExternalGreyBoxModel):
    """Residual ``a**2 + b**2 - 1`` and output ``a * b``."""

    def input_names(self) -> list[str]:
        return ["a", "b"]

    def equality_constraint_names(self) -> list[str]:
        return ["circle"]

    def output_names(self) -> list[str]:
        return ["product"]

    def set_input_values(self, input_values: Any) -> None:
        self.x = np.array(input_values)

    def evaluate_equality_constraints(self) -> Any:
        return np.array([self.x @ self.x - 1])

    def evaluate_outputs(self) -> Any:
        return np.array([self.x[0] * self.x[1]])

    def evaluate_jacobian_equality_constraints(self) -> Any:
        return coo_matrix((2 * self.x[::-1], ([0, 0], [1, 0])), shape=(1, 2))

    def evaluate_jacobian_outputs(self) -> Any:
        return coo_matrix((self.x[::-1], ([0, 0], [0, 1])), shape=(1, 2))


class SmoothDisc(Disc):
    def set_equality_constraint_multipliers(self, eq_con_multiplier_values: Any) -> None:
        self.residual_weight = eq_con_multiplier_values[0]

    def set_output_constraint_multipliers(self, output_con_multiplier_values: Any) -> None:
        self.output_weight = output_con_multiplier_values[0]

    def evaluate_hessian_equality_constraints(self) -> Any:
        return coo_matrix((2 * self.residual_weight * np.ones(2), ([0, 1], [0, 1])), shape=(2, 2))

    def evaluate_hessian_outputs(self) -> Any:
        return coo_matrix(([self.output_weight], ([1], [0])), shape=(2, 2))


def model_with(box: Any) -> Any:
    model = pyo.ConcreteModel()
    model.box = ExternalGreyBoxBlock(external_model=box)
    model.box.inputs["a"].value = 0.6
    model.box.inputs["b"].value = 0.2
    model.c = pyo.Constraint(expr=model.box.inputs["a"] >= 0.1)
    model.o = pyo.Objective(expr=model.box.outputs["product"], sense=pyo.maximize)
    model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    return model


def test_rows_and_derivatives() -> None:
    nlp = from_pyomo(model_with(SmoothDisc()))
    assert nlp.variable_names == ["box.inputs[a]", "box.inputs[b]", "box.outputs[product]"]
    assert nlp.constraint_names == ["c", "box.circle", "box.product"]
    x = [0.5, 2.0, 3.0]
    np.testing.assert_allclose(nlp.constraints(x), [0.5, 3.25, -2.0])
    jacobian = np.zeros((3, 3))
    jacobian[nlp.jacobianstructure()] = nlp.jacobian(x)
    np.testing.assert_allclose(jacobian, [[1, 0, 0], [1, 4, 0], [2, 0.5, -1]])
    hessian = np.zeros((3, 3))
    hessian[nlp.hessianstructure()] = nlp.hessian(x, np.array([5.0, 3.0, 7.0]), 1.0)
    np.testing.assert_allclose(hessian, [[6, 0, 0], [7, 6, 0], [0, 0, 0]])


def test_solution() -> None:
    model = model_with(SmoothDisc())
    SctOpt().solve(model)
    assert model.box.outputs["product"].value == pytest.approx(0.5)
    assert model.box.inputs["a"].value == pytest.approx(np.sqrt(0.5))
    assert list(model.dual) == [model.c]


def test_fixed_inputs() -> None:
    model = model_with(SmoothDisc())
    model.c.deactivate()
    model.box.inputs["a"].fix(0.6)
    SctOpt().solve(model)
    assert model.box.outputs["product"].value == pytest.approx(0.48)


def test_without_hessian() -> None:
    model = model_with(Disc())
    with pytest.raises(EvaluationError, match=r"grey-box block 'box' has no Hessians.*limited-memory"):
        SctOpt().solve(model)
    SctOpt().solve(model, solver_options={"hessian_approximation": "limited-memory"})
    assert model.box.outputs["product"].value == pytest.approx(0.5)


def test_without_model() -> None:
    model = pyo.ConcreteModel()
    model.box = ExternalGreyBoxBlock()
    model.box.set_external_model(None)
    with pytest.raises(ModelError, match="grey-box block 'box' has no external model"):
        from_pyomo(model)
