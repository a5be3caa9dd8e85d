"""Solve a Pyomo model and check optimum and multipliers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

import sct_opt.pyomo
from sct_opt.adapters.pyomo import build


@pytest.fixture(scope="session")
def solve_and_check() -> Callable[..., Any]:
    assert sct_opt.pyomo.SctOpt().available()
    return _solve_and_check


def _solve_and_check(model: Any, optimum: float, tolerance: float = 1e-6, options: dict[str, Any] | None = None) -> Any:
    """Compare the objective with the published optimum, the suffixes with the KKT conditions and the executable's signs."""
    for name in ("dual", "rc", "ipopt_zL_out", "ipopt_zU_out"):
        setattr(model, name, pyo.Suffix(direction=pyo.Suffix.IMPORT))
    solver = pyo.SolverFactory("sct_opt")
    results = solver.solve(model, options={"tol": 1e-9, "max_iter": 500} | (options or {}))
    pyo.assert_optimal_termination(results)
    (objective,) = model.component_data_objects(pyo.Objective, active=True)
    assert pyo.value(objective) == pytest.approx(optimum, rel=tolerance, abs=tolerance)
    check_multipliers(model)
    return solver


def check_multipliers(model: Any) -> None:
    nlp, translation = build(model)
    sign = -1.0 if nlp.maximize else 1.0
    x = np.array([v.value for v in translation.variables])
    dual = np.array([model.dual[c] for c in translation.constraints])
    lower = np.array([model.ipopt_zL_out[v] for v in translation.variables])
    upper = np.array([model.ipopt_zU_out[v] for v in translation.variables])
    jacobian = np.zeros((nlp.m, nlp.n))
    jacobian[nlp.jacobianstructure()] = nlp.jacobian(x)
    scale = max(1.0, float(np.abs(dual).max(initial=0.0)), float(np.abs(lower).max()), float(np.abs(upper).max()))
    # nlp.gradient is that of the minimised objective.
    residual = sign * nlp.gradient(x) - jacobian.T @ dual - lower - upper
    assert np.abs(residual).max() <= 1e-6 * scale
    assert (sign * lower >= 0).all()
    assert (sign * upper <= 0).all()
    values = nlp.constraints(x)
    inequality = nlp.cl < nlp.cu
    slack = 1e-5 * np.maximum(1.0, np.abs(values))
    inactive_low = inequality & (values > nlp.cl + slack)
    inactive_high = inequality & (values < nlp.cu - slack)
    assert (sign * dual[inactive_high] >= -1e-4 * scale).all()
    assert (sign * dual[inactive_low] <= 1e-4 * scale).all()
    reduced = np.array([model.rc[v] for v in translation.variables])
    np.testing.assert_array_equal(reduced, np.where(np.abs(upper) > np.abs(lower), upper, lower))
