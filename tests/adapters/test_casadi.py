"""CasADi problems and Opti stacks: what becomes of them, and what is said of those that make no sense."""

from __future__ import annotations

import casadi
import numpy as np
import pytest

import sct_opt as so
from sct_opt.adapters.casadi import from_casadi
from sct_opt.errors import ModelError, ProblemError, ShapeError

QUIET = ({"print_time": 0}, {"print_level": 0, "sb": "yes"})


def rosenbrock(kind):
    x = kind.sym("x", 2)
    return {"x": x, "f": (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, "g": x[0] * x[1]}


@pytest.mark.parametrize("kind", [casadi.SX, casadi.MX])
def test_dictionary_solved_as_nlpsol_does(kind):
    bounds = {"x0": [0.5, 0.5], "lbx": -1, "ubx": [0.7, np.inf], "lbg": 0, "ubg": 0.4}
    reference = casadi.nlpsol(
        "S", "ipopt", rosenbrock(kind), {"print_time": 0, "ipopt.print_level": 0, "ipopt.sb": "yes"}
    )(**bounds)
    result = so.solve(rosenbrock(kind), **{k: v for k, v in bounds.items() if k != "x0"}, x0=np.array(bounds["x0"]))
    np.testing.assert_allclose(result.x, np.array(reference["x"]).ravel(), rtol=1e-6)
    np.testing.assert_allclose(result.constraint_multipliers, np.array(reference["lam_g"]).ravel(), atol=1e-6)
    np.testing.assert_allclose(
        result.upper_multipliers - result.lower_multipliers, np.array(reference["lam_x"]).ravel(), atol=1e-6
    )


def test_defaults_are_those_of_nlpsol():
    nlp = from_casadi({"x": casadi.SX.sym("x", 2)})
    assert (nlp.n, nlp.m, nlp.objective(nlp.x0)) == (2, 0, 0.0)
    assert nlp.x0.tolist() == [0, 0]
    assert np.isinf(nlp.lb).all()
    assert np.isinf(nlp.ub).all()


def test_matrices_count_column_by_column():
    x = casadi.MX.sym("m", 2, 3)
    nlp = from_casadi(
        {"x": x, "f": casadi.sumsqr(x), "g": casadi.mtimes(x.T, x)},
        x0=np.arange(6.0).reshape(2, 3),
        lbx=casadi.DM([[1, 2, 3], [4, 5, 6]]) - 10,
    )
    assert (nlp.n, nlp.m) == (6, 9)
    assert nlp.x0.tolist() == [0, 3, 1, 4, 2, 5]
    assert nlp.lb.tolist() == [-9, -6, -8, -5, -7, -4]
    assert nlp.variable_names[:3] == ["m[0,0]", "m[1,0]", "m[0,1]"]
    assert nlp.constraint_names[3] == "g[0,1]"
    point = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(nlp.constraints(nlp.x0), (point.T @ point).ravel(order="F"))


@pytest.mark.parametrize("kind", [casadi.SX, casadi.MX])
def test_sparse_variables_and_constraints_count_all_elements(kind):
    x = kind.sym("x", casadi.Sparsity.lower(2))
    nlp = from_casadi({"x": x, "f": casadi.sumsqr(x), "g": x * x})
    assert (nlp.n, nlp.m) == (4, 4)
    np.testing.assert_allclose(nlp.constraints(np.array([1.0, 2.0, 3.0, 4.0])), [1, 4, 0, 16])
    assert nlp.jacobian_pattern.nnz == 3


def test_parameters_change_without_conversion():
    x, p = casadi.SX.sym("x"), casadi.SX.sym("p", 2)
    nlp = from_casadi({"x": x, "f": (x - p[0]) ** 2 * p[1], "p": p}, p=[3.0, 2.0])
    assert nlp.objective(np.zeros(1)) == 18.0
    nlp.parameters["p[0]"] = 1.0
    assert nlp.objective(np.zeros(1)) == 2.0


def test_symbol_names():
    x, y = casadi.MX.sym("x", 2), casadi.MX.sym("y")
    assert from_casadi({"x": casadi.vertcat(x, y), "f": y}).variable_names == ["x[0]", "x[1]", "y"]
    a, b = casadi.SX.sym("a"), casadi.SX.sym("b", 2)
    assert from_casadi({"x": casadi.vertcat(a, b), "f": a}).variable_names == ["a", "b[0]", "b[1]"]


def test_functions_that_casadi_cannot_expand():
    x = casadi.MX.sym("x", 3)
    nlp = from_casadi({"x": x, "f": casadi.logsumexp(x), "g": casadi.solve(casadi.diag(x + 3), x)})
    assert nlp.jacobian_pattern.nnz != 0
    np.testing.assert_allclose(nlp.objective(np.zeros(3)), np.log(3.0))


X, M = casadi.SX.sym("x", 2), casadi.MX.sym("m", 2)
FREE = casadi.SX.sym("free")
BAD = {
    "two objectives": (
        lambda: from_casadi({"x": X, "f": X}),
        ShapeError,
        r"objective f has to be one number, got shape \(2, 1\)",
    ),
    "mixed": (lambda: from_casadi({"x": X, "f": M[0]}), ModelError, "SX and MX.*x is SX, f is MX"),
    "free SX": (lambda: from_casadi({"x": X, "f": FREE * X[0]}), ModelError, "symbols free occur"),
    "free MX": (lambda: from_casadi({"x": M, "f": casadi.MX.sym("r") * M[0]}), ModelError, "symbols r occur"),
    "no p": (
        lambda: from_casadi({"x": X, "f": X[0] * FREE, "p": FREE}),
        ProblemError,
        r"1 parameters \(free\) but no values",
    ),
    "short p": (
        lambda: from_casadi({"x": M[0] * 1, "f": 0, "p": M}, p=[1, 2, 3]),
        ModelError,
        "x has to consist of symbols",
    ),
    "p size": (
        lambda: from_casadi({"x": X, "f": 0, "p": casadi.SX.sym("p", 3)}, p=[1, 2]),
        ShapeError,
        "p has 2 entries, but p has 3",
    ),
    "p nan": (lambda: from_casadi({"x": X, "f": 0, "p": FREE}, p=np.nan), ProblemError, "parameter free is nan"),
    "x0 size": (lambda: from_casadi({"x": X, "f": 0}, x0=[1, 2, 3]), ShapeError, "x0 has 3 entries, but x has 2"),
    "x0 text": (lambda: from_casadi({"x": X, "f": 0}, x0="a"), ShapeError, "x0 is not numeric"),
    "x0 nan": (lambda: from_casadi({"x": X, "f": 0}, x0=[1, np.nan]), ProblemError, r"nan at variable 'x\[1\]'"),
    "lbg size": (
        lambda: from_casadi({"x": X, "f": 0, "g": X}, lbg=[1, 2, 3]),
        ShapeError,
        "lbg has 3 entries, but g has 2",
    ),
    "crossed": (lambda: from_casadi({"x": X, "f": 0}, lbx=1, ubx=0), ProblemError, r"'x\[0\]' are crossed"),
    "empty x": (lambda: from_casadi({"x": casadi.SX(0, 1), "f": 0}), ProblemError, "no variables: x is empty"),
    "no x": (lambda: from_casadi({"f": 0}), ProblemError, "no variables"),
    "numeric x": (lambda: from_casadi({"x": 3.0, "f": 0}), ModelError, "x has to be a symbol"),
    "expression x": (lambda: from_casadi({"x": 2 * X, "f": 0}), ModelError, "x has to consist of symbols"),
    "unknown key": (lambda: from_casadi({"x": X, "f": 0, "h": 0}), ModelError, "unknown entry 'h'"),
    "no model": (lambda: from_casadi(3), ModelError, "got int"),
    "text f": (lambda: from_casadi({"x": X, "f": "a"}), ModelError, "f is not a CasADi expression: str"),
    "nan": (lambda: from_casadi({"x": X, "f": X[0] + float("nan")}), ModelError, "not a number"),
    "empty Opti": (lambda: from_casadi(casadi.Opti()), ProblemError, "not a problem yet|no variables"),
    "Opti with bounds": (lambda: from_casadi(casadi.Opti(), lbx=0), ModelError, "lbx does not go with an Opti"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_models_are_refused(case):
    make, error, message = BAD[case]
    with pytest.raises(error, match=message):
        make()


def small_stack():
    opti = casadi.Opti()
    x = opti.variable(3)
    y = opti.variable()
    p = opti.parameter(2)
    opti.minimize(casadi.sumsqr(x - casadi.DM([3, -1, 2])) + 0.1 * p[0] * (y - 4) ** 2)
    rows = [x >= 0, opti.bounded(-1, y, p[1]), x[0] + x[1] == 1, y <= 5, x[2] == 0.3, x[0] * y >= 0.2]
    opti.set_value(p, [1, 2])
    opti.set_initial(x, 1)
    opti.solver("ipopt", *QUIET)
    return opti, x, y, p, rows


def compare_with_own_solver(opti, expressions, rows):
    own = opti.copy()
    own.solver("ipopt", *QUIET)
    solution = own.solve()
    result = so.solve(opti)
    assert result.success
    for expression in expressions:
        np.testing.assert_allclose(opti.value(expression), solution.value(expression), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(opti.debug.value(expression), solution.value(expression), rtol=1e-6, atol=1e-6)
    for row in rows:
        np.testing.assert_allclose(opti.value(opti.dual(row)), solution.value(own.dual(row)), rtol=1e-5, atol=1e-5)


def test_opti_bounds_are_bounds_and_the_solution_goes_back():
    opti, x, y, _, rows = small_stack()
    opti.subject_to(rows)
    nlp = from_casadi(opti)
    assert (nlp.n, nlp.m) == (4, 2)
    assert nlp.lb.tolist() == [0, 0, 0.3, -1]
    assert nlp.ub.tolist() == [np.inf, np.inf, 0.3, 2]
    assert nlp.variable_names == ["x[0]", "x[1]", "x[2]", "y"]
    assert nlp.constraint_names[0].startswith("g[4] (")
    assert "subject_to(rows)" in nlp.constraint_names[0]
    compare_with_own_solver(opti, [x, y, opti.f], rows)


def test_opti_scales():
    opti, x, y, _, rows = small_stack()
    for row, scale in zip(rows, (1, 1, 3, 1, 2, 1), strict=True):
        opti.subject_to(row, scale)
    opti.set_linear_scale(y, -10.0, 1.0)
    opti.set_linear_scale(x, [1.0, 2.0, 3.0], 0.5)
    nlp = from_casadi(opti)
    np.testing.assert_allclose(nlp.lb, [-0.5, -0.25, -0.2 / 3, -0.1])
    np.testing.assert_allclose(nlp.x0, [0.5, 0.25, 0.5 / 3, 0.1])
    compare_with_own_solver(opti, [x, y, opti.f], rows)


def test_opti_start_and_parameters_may_be_given():
    opti, _, _, _, rows = small_stack()
    opti.subject_to(rows)
    nlp = from_casadi(opti, x0=[1, 2, 3, 4], p=[1, 7])
    assert nlp.x0.tolist() == [1, 2, 3, 4]
    assert nlp.ub[3] == 5.0
    assert list(nlp.parameters) == [1, 7]


def test_stack_can_be_changed_and_solved_again_after_loading():
    opti, x, _, _, rows = small_stack()
    opti.subject_to(rows)
    so.solve(opti)
    opti.subject_to(x[1] >= 0.25)
    so.solve(opti)
    np.testing.assert_allclose(opti.value(x), [0.75, 0.25, 0.3], atol=1e-6)
    np.testing.assert_allclose(opti.solve().value(x), [0.75, 0.25, 0.3], atol=1e-6)


def test_solution_of_an_older_stack_is_not_loaded():
    opti, x, _, _, rows = small_stack()
    opti.subject_to(rows)
    nlp = from_casadi(opti)
    opti.subject_to(casadi.sumsqr(x) <= 9)
    with pytest.raises(ModelError, match="has changed since"):
        so.solve(nlp)


def test_bad_stacks_are_refused():
    opti = casadi.Opti()
    x, p = opti.variable(2, 2), opti.parameter()
    opti.minimize(casadi.sumsqr(x) * p)
    with pytest.raises(ProblemError, match=r"call set_value: Opti parameter .*test_casadi\.py"):
        from_casadi(opti)
    opti.set_value(p, 1)
    opti.subject_to(x >= 0)
    with pytest.raises(
        ModelError, match=r"matrix inequality; for elementwise bounds write subject_to\(vec\(A\) >= b\)"
    ):
        from_casadi(opti)
    opti.subject_to()
    opti.set_domain(x, "integer")
    with pytest.raises(ModelError, match="no integer variables"):
        from_casadi(opti)
