"""The suffix scaling_factor becomes the NLP's scaling, wherever in the model it stands."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest

import sct_opt as so
import sct_opt.pyomo


def model() -> pyo.ConcreteModel:
    m = pyo.ConcreteModel()
    m.x = pyo.Var([1, 2], initialize=1.0)
    m.inner = pyo.Block()
    m.inner.sphere = pyo.Constraint(expr=m.x[1] ** 2 + m.x[2] ** 2 == 2)
    m.cost = pyo.Objective(expr=m.x[1] + 3 * m.x[2])
    return m


def test_factors_are_read_from_all_blocks() -> None:
    m = model()
    assert so.from_pyomo(m).scaling is None
    m.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    m.scaling_factor[m.x[2]] = 4.0
    m.scaling_factor[m.cost] = 0.5
    m.inner.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    m.inner.scaling_factor[m.inner.sphere] = 10.0
    scaling = so.from_pyomo(m).scaling
    assert scaling is not None
    assert scaling.objective == 0.5
    assert scaling.variables is not None
    assert scaling.variables.tolist() == [1.0, 4.0]
    assert scaling.constraints is not None
    assert scaling.constraints.tolist() == [10.0]


@pytest.mark.parametrize("options", [{}, {"nlp_scaling_method": "none"}])
def test_solutions_and_duals_are_in_the_models_units(options: dict[str, str]) -> None:
    m = model()
    m.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    solver = pyo.SolverFactory("sct_opt")
    solver.solve(m, options=options)
    expected = [pyo.value(m.x[1]), pyo.value(m.x[2]), m.dual[m.inner.sphere]]
    m.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    m.scaling_factor[m.x[2]] = 4.0
    m.scaling_factor[m.inner.sphere] = 100.0
    m.x[1].value = m.x[2].value = 1.0
    solver.solve(m, options=options)
    np.testing.assert_allclose([pyo.value(m.x[1]), pyo.value(m.x[2]), m.dual[m.inner.sphere]], expected, rtol=1e-6)
