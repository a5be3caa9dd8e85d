"""PyNumero's algorithms on models evaluated by sct_opt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.pynumero.algorithms.solvers.cyipopt_solver import CyIpoptSolver
from pyomo.contrib.pynumero.algorithms.solvers.scipy_solvers import FsolveNlpSolver
from pyomo.contrib.pynumero.interfaces.cyipopt_interface import CyIpoptNLP
from pyomo.contrib.pynumero.interfaces.nlp_projections import ProjectedNLP

from sct_opt.adapters.pyomo.pynumero import PyomoNLP
from sct_opt.errors import ModelError, ShapeError


def hs071() -> Any:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(4), bounds=(1, 5), initialize={0: 1, 1: 5, 2: 5, 3: 1})
    model.o = pyo.Objective(expr=model.x[0] * model.x[3] * (model.x[0] + model.x[1] + model.x[2]) + model.x[2])
    model.product = pyo.Constraint(expr=model.x[0] * model.x[1] * model.x[2] * model.x[3] >= 25)
    model.sphere = pyo.Constraint(expr=sum(model.x[i] ** 2 for i in range(4)) == 40)
    return model


def test_sizes_and_parts() -> None:
    nlp = PyomoNLP(hs071())
    assert (nlp.n_primals(), nlp.n_constraints(), nlp.n_eq_constraints(), nlp.n_ineq_constraints()) == (4, 2, 1, 1)
    assert (nlp.nnz_jacobian(), nlp.nnz_jacobian_eq(), nlp.nnz_jacobian_ineq(), nlp.nnz_hessian_lag()) == (8, 4, 4, 16)
    assert nlp.equality_constraint_names() == ["sphere"]
    assert nlp.inequality_constraint_names() == ["product"]
    x = np.array([1.0, 2.0, 3.0, 4.0])
    nlp.set_primals(x)
    np.testing.assert_array_equal(nlp.evaluate_constraints(), [24, -10])
    np.testing.assert_array_equal(nlp.evaluate_eq_constraints(), [-10])
    np.testing.assert_array_equal(nlp.constraints_lb(), [25, 0])
    np.testing.assert_array_equal(nlp.evaluate_jacobian_eq().toarray(), [2 * x])
    out = nlp.evaluate_jacobian_ineq()
    out.data[:] = 0
    nlp.evaluate_jacobian_ineq(out=out)
    np.testing.assert_allclose(out.toarray(), [24 / x])
    nlp.set_duals_eq(np.array([3.0]))
    nlp.set_duals_ineq(np.array([-2.0]))
    nlp.set_obj_factor(0.0)
    hessian = 6 * np.eye(4) - 2 * (24 / np.outer(x, x)) * (1 - np.eye(4))
    np.testing.assert_allclose(nlp.evaluate_hessian_lag().toarray(), hessian)
    np.testing.assert_array_equal(nlp.get_duals(), [-2, 3])
    with pytest.raises(ShapeError, match="expected"):
        nlp.evaluate_jacobian(out=out)


def test_parts_by_component() -> None:
    model = hs071()
    nlp = PyomoNLP(model)
    part = nlp.extract_submatrix_jacobian([model.x[2], model.x[0]], [model.sphere])
    np.testing.assert_array_equal(part.toarray(), [[10, 2]])
    assert nlp.extract_submatrix_hessian_lag([model.x[0]], [model.x[3], model.x[1]]).shape == (1, 2)
    assert nlp.get_constraint_indices([model.sphere]) == [1]
    model.y = pyo.Var()
    with pytest.raises(ModelError, match="'y' are not part of the problem"):
        nlp.get_primal_indices([model.y])


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("primals", 4),
        ("duals", 2),
        ("constraints", 2),
        ("eq_constraints", 1),
        ("duals_eq", 1),
        ("ineq_constraints", 1),
        ("duals_ineq", 1),
    ],
)
def test_new_vectors(kind: str, size: int) -> None:
    assert PyomoNLP(hs071()).create_new_vector(kind).shape == (size,)


def test_unknown_vector() -> None:
    with pytest.raises(ShapeError, match="no vectors of type 'slacks'"):
        PyomoNLP(hs071()).create_new_vector("slacks")


def test_scaling_suffix() -> None:
    model = hs071()
    assert PyomoNLP(model).get_primals_scaling() is None
    model.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    model.scaling_factor[model.x[1]] = 10.0
    model.scaling_factor[model.sphere] = 0.1
    nlp = PyomoNLP(model)
    np.testing.assert_array_equal(nlp.get_primals_scaling(), [1, 10, 1, 1])
    np.testing.assert_array_equal(nlp.get_constraints_scaling(), [1, 0.1])
    np.testing.assert_array_equal(nlp.get_eq_constraints_scaling(), [0.1])
    np.testing.assert_array_equal(nlp.get_ineq_constraints_scaling(), [1])
    assert nlp.get_obj_scaling() == 1.0


def test_pynumero_ipopt() -> None:
    model = hs071()
    nlp = PyomoNLP(model)
    x, info = CyIpoptSolver(CyIpoptNLP(nlp), options={"print_level": 0}).solve()
    assert info["obj_val"] == pytest.approx(17.0140171, rel=1e-8)
    nlp.set_primals(x)
    nlp.load_state_into_pyomo()
    assert pyo.value(model.o) == pytest.approx(17.0140171, rel=1e-8)


def test_pynumero_square_solver_and_projection() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var([1, 2], initialize=1.0)
    model.c = pyo.Constraint(expr=model.x[1] ** 2 + model.x[2] == 3)
    model.d = pyo.Constraint(expr=pyo.exp(model.x[2]) * model.x[1] == 1)
    model.o = pyo.Objective(expr=0.0)
    nlp = PyomoNLP(model)
    projected = ProjectedNLP(nlp, ["x[2]", "x[1]"])
    np.testing.assert_array_equal(projected.evaluate_jacobian().toarray(), nlp.evaluate_jacobian().toarray()[:, ::-1])
    FsolveNlpSolver(nlp).solve()
    np.testing.assert_allclose(nlp.evaluate_eq_constraints(), 0, atol=1e-9)
