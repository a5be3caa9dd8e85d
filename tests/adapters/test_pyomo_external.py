"""Functions compiled for AMPL, loaded without the AMPL solver library."""

from __future__ import annotations

import math
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

import sct_opt.pyomo  # noqa: F401  (registers the solver)
from sct_opt.adapters.pyomo import from_pyomo

# The part of AMPL's calling convention that is needed: arguments, derivatives, Hessian by columns of the upper triangle.
SOURCE = r"""
#include <math.h>
typedef struct {
    int n, nr, *at;
    double *ra;
    const char **sa;
    double *derivs, *hes;
} Arguments;
typedef struct Exports Exports;
struct Exports {
    void *std_err;
    void (*add_function)(const char *, double (*)(Arguments *), int, int, void *, Exports *);
};

/* scale(unit) * x * x * sin(y), where the unit is a string that may stand anywhere among the arguments */
static double product(Arguments *a)
{
    double scale = a->sa[0][0] == 'k' ? 1000.0 : 1.0;
    double x = a->ra[0], y = a->ra[1];
    if (a->derivs) {
        a->derivs[0] = scale * 2 * x * sin(y);
        a->derivs[1] = scale * x * x * cos(y);
    }
    if (a->hes) {
        a->hes[0] = scale * 2 * sin(y);
        a->hes[1] = scale * 2 * x * cos(y);
        a->hes[2] = -scale * x * x * sin(y);
    }
    return scale * x * x * sin(y);
}

void funcadd_ASL(Exports *exports)
{
    exports->add_function("product", product, 1, 3, 0, exports);
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ampl")
    source, target = folder / "product.c", folder / "product.so"
    source.write_text(SOURCE)
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    subprocess.run([compiler[0], "-shared", "-fPIC", "-o", str(target), str(source), "-lm"], check=True)
    return target


def model_with(library: Path, unit_first: bool) -> Any:
    model = pyo.ConcreteModel()
    model.x = pyo.Var([1, 2, 3], initialize={1: 0.5, 2: 0.8, 3: 1.1}, bounds=(0.1, 1.4))
    model.product = pyo.ExternalFunction(library=str(library), function="product")

    def call(x: Any, y: Any, unit: str) -> Any:
        return model.product(unit, x, y) if unit_first else model.product(x, unit, y)

    model.c = pyo.Constraint([1, 2], rule=lambda m, i: call(m.x[i], m.x[i + 1] + 0.1, "k") <= 100 * i)
    model.o = pyo.Objective(expr=call(model.x[1], 0.7, "one") - model.x[1] - model.x[2] - model.x[3])
    return model


@pytest.mark.parametrize("unit_first", [True, False])
def test_ampl_function(library: Path, unit_first: bool) -> None:
    nlp = from_pyomo(model_with(library, unit_first))
    x = np.array([0.5, 0.8, 1.1])
    np.testing.assert_allclose(nlp.constraints(x), [250 * math.sin(0.9), 640 * math.sin(1.2)])
    assert nlp.objective(x) == pytest.approx(0.25 * math.sin(0.7) - x.sum())
    np.testing.assert_allclose(nlp.gradient(x), [math.sin(0.7) - 1, -1, -1])
    jacobian = np.zeros((2, 3))
    jacobian[nlp.jacobianstructure()] = nlp.jacobian(x)
    expected = [[1000 * math.sin(0.9), 250 * math.cos(0.9), 0], [0, 1600 * math.sin(1.2), 640 * math.cos(1.2)]]
    np.testing.assert_allclose(jacobian, expected)
    hessian = np.zeros((3, 3))
    hessian[nlp.hessianstructure()] = nlp.hessian(x, np.array([0.0, 2.0]), 3.0)
    expected = np.zeros((3, 3))
    expected[0, 0] = 6 * math.sin(0.7)
    expected[1, 1], expected[2, 1], expected[2, 2] = 4000 * math.sin(1.2), 3200 * math.cos(1.2), -1280 * math.sin(1.2)
    np.testing.assert_allclose(hessian, expected)


def test_solved_as_if_written_out(library: Path) -> None:
    model = model_with(library, unit_first=False)
    pyo.SolverFactory("sct_opt").solve(model, options={"tol": 1e-9})
    plain = pyo.ConcreteModel()
    plain.x = pyo.Var([1, 2, 3], initialize={1: 0.5, 2: 0.8, 3: 1.1}, bounds=(0.1, 1.4))
    plain.c = pyo.Constraint([1, 2], rule=lambda m, i: 1000 * m.x[i] ** 2 * pyo.sin(m.x[i + 1] + 0.1) <= 100 * i)
    plain.o = pyo.Objective(expr=plain.x[1] ** 2 * math.sin(0.7) - plain.x[1] - plain.x[2] - plain.x[3])
    pyo.SolverFactory("sct_opt").solve(plain, options={"tol": 1e-9})
    assert [model.x[i].value for i in (1, 2, 3)] == pytest.approx([plain.x[i].value for i in (1, 2, 3)], rel=1e-6)
