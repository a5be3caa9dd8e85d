"""nlpsol and solve against CasADi's own on problems of many kinds, and everything around a solve."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import casadi
import numpy as np
import pytest

from sct_opt.casadi import function, nlpsol, solve
from sct_opt.errors import EvaluationError, ModelError, ShapeError, SolverError

_SPEC = importlib.util.spec_from_file_location("casadi_problems", Path(__file__).with_name("casadi_problems.py"))
problems = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(problems)

QUIET = {"print_time": 0, "ipopt.print_level": 0, "ipopt.sb": "yes", "ipopt.tol": 1e-10}


def close(mine, reference, tolerance):
    mine, reference = np.array(mine), np.array(reference)
    assert mine.shape == reference.shape
    np.testing.assert_allclose(mine, reference, atol=tolerance * (1 + np.abs(reference).max(initial=0)), rtol=0)


@pytest.mark.parametrize("name", problems.DICTIONARIES)
def test_nlpsol_gives_what_casadi_gives(name):
    problem, numbers = problems.DICTIONARIES[name]()
    theirs = casadi.nlpsol("S", "ipopt", problem, QUIET)
    mine = nlpsol("S", "ipopt", problem, QUIET)
    reference, result = theirs(**numbers), mine(**numbers)
    assert mine.stats()["return_status"] == theirs.stats()["return_status"] == "Solve_Succeeded"
    assert set(result) == set(reference)
    for key in ("x", "f", "g"):
        close(result[key], reference[key], 1e-6)
    for key in ("lam_x", "lam_g", "lam_p"):
        close(result[key], reference[key], 1e-5)


@pytest.mark.parametrize("name", problems.STACKS)
def test_opti_gives_what_casadi_gives(name):
    opti, expressions, rows = problems.STACKS[name]()
    own = opti.copy()
    own.solver("ipopt", {"print_time": 0}, {"print_level": 0, "sb": "yes", "tol": 1e-10})
    reference = own.solve()
    solution = solve(opti, {"ipopt.tol": 1e-10, "ipopt.print_level": 0, "ipopt.sb": "yes"})
    for expression in [*expressions, opti.f]:
        close(solution.value(expression), reference.value(expression), 1e-6)
        close(opti.value(expression), reference.value(expression), 1e-6)
        close(opti.debug.value(expression), reference.value(expression), 1e-6)
    for row in rows:
        close(solution.dual(row), reference.value(own.dual(row)), 1e-5)


def test_there_are_many_problems():
    assert len(problems.DICTIONARIES) + len(problems.STACKS) >= 30


def parametric():
    x, p = casadi.MX.sym("x", 2, 2), casadi.MX.sym("p", 2)
    return {
        "x": casadi.vec(x),
        "p": p,
        "f": casadi.sumsqr(x - p[0]) + p[1] * x[0, 0] * x[1, 1],
        "g": casadi.vec(casadi.mtimes(x, casadi.DM([1, 2]))),
    }


def test_bounds_parameters_and_starts_change_without_conversion(monkeypatch):
    theirs, mine = casadi.nlpsol("S", "ipopt", parametric(), QUIET), nlpsol("S", parametric(), QUIET)
    monkeypatch.setattr("sct_opt.adapters.casadi.problem.emit", None)
    for k in range(4):
        numbers = {"x0": k, "p": [1 + k, 0.1 * k], "lbx": -k, "ubx": [1, 2, 3, 4], "lbg": [-np.inf, 0], "ubg": 3 + k}
        reference, result = theirs(**numbers), mine(**numbers)
        for key, value in reference.items():
            close(result[key], value, 1e-6)


@pytest.mark.parametrize(
    "start",
    [
        [1, 2, 3, 4],
        (1, 2, 3, 4),
        casadi.DM([1, 2, 3, 4]),
        np.arange(1, 5),
        np.arange(1.0, 5.0)[:, None],
        np.arange(1.0, 5.0)[None, :],
    ],
    ids=["list", "tuple", "DM", "integers", "column", "row"],
)
def test_arguments_of_many_types(start):
    solver = nlpsol("S", parametric(), QUIET | {"ipopt.max_iter": 0})
    np.testing.assert_allclose(np.array(solver(x0=start, p=np.int64(1), ubx=casadi.DM(9))["x"]).ravel(), [1, 2, 3, 4])


def test_everything_may_be_fixed():
    x = casadi.SX.sym("x", 2)
    solver = nlpsol("S", {"x": x, "f": casadi.sumsqr(x)}, QUIET)
    assert np.array(solver(lbx=1, ubx=1)["x"]).ravel().tolist() == [1, 1]


def test_positional_call_gives_a_tuple():
    mine = nlpsol("S", parametric(), QUIET)
    named = mine(x0=1, p=[1, 0])
    for value, key in zip(mine(1, [1, 0]), ("x", "f", "g", "lam_x", "lam_g", "lam_p"), strict=True):
        close(value, named[key], 0)


def test_statistics_have_casadis_keys():
    theirs, mine = casadi.nlpsol("S", "ipopt", parametric(), QUIET), nlpsol("S", "ipopt", parametric(), QUIET)
    theirs(p=1)
    mine(p=1)
    assert set(theirs.stats()) <= set(mine.stats())
    assert set(theirs.stats()["iterations"]) <= set(mine.stats()["iterations"])
    assert mine.stats()["iter_count"] == theirs.stats()["iter_count"] == len(mine.stats()["iterations"]["obj"]) - 1
    np.testing.assert_allclose(mine.stats()["iterations"]["obj"], theirs.stats()["iterations"]["obj"])
    assert mine.stats()["n_call_nlp_hess_l"] == theirs.stats()["n_call_nlp_hess_l"]
    assert mine.stats()["unified_return_status"] == "SOLVER_RET_SUCCESS"


def test_solver_describes_itself():
    solver = nlpsol("S", "ipopt", parametric(), {"ipopt": {"print_level": 0}})
    theirs = casadi.nlpsol("S", "ipopt", parametric(), QUIET)
    assert solver.name() == "S"
    assert solver.name_in() == theirs.name_in()
    assert solver.name_out() == theirs.name_out()
    assert [solver.size_in(name) for name in solver.name_in()] == [theirs.size_in(name) for name in theirs.name_in()]
    assert [solver.size_out(k) for k in range(6)] == [theirs.size_out(k) for k in range(6)]
    assert solver.oracle().name_out() == ["f", "g"]
    assert "4 variables" in repr(solver)
    with pytest.raises(SolverError, match="before the first solve"):
        solver.stats()


@pytest.mark.parametrize("expand", [True, False])
def test_functions_are_problems_too(expand):
    p = parametric()
    oracle = casadi.Function("nlp", [p["x"], p["p"]], [p["f"], p["g"]], ["x", "p"], ["f", "g"])
    oracle = oracle.expand() if expand else oracle
    close(
        nlpsol("S", "ipopt", oracle, QUIET)(p=[1, 0.5])["x"],
        casadi.nlpsol("S", "ipopt", oracle, QUIET)(p=[1, 0.5])["x"],
        1e-6,
    )
    with pytest.raises(ModelError, match="inputs x and p and outputs f and g"):
        nlpsol("S", casadi.Function("h", [p["x"]], [p["x"]]))


def test_matrix_variables_and_sparse_constraints_keep_their_shape():
    x = casadi.SX.sym("x", 2, 2)
    result = nlpsol("S", "ipopt", {"x": x, "f": casadi.sumsqr(x - 1), "g": casadi.diag(casadi.diag(x))}, QUIET)(ubg=0.5)
    close(result["x"], [[0.5, 1], [1, 0.5]], 1e-6)
    assert result["g"].shape == result["lam_g"].shape == result["x"].shape


def test_warm_start_takes_fewer_iterations():
    problem, numbers = problems.cart_pole(casadi.SX)
    cold = nlpsol("S", problem, QUIET)
    first = cold(**numbers)
    warm = nlpsol(
        "S",
        problem,
        QUIET
        | {
            "ipopt.warm_start_init_point": "yes",
            "ipopt.mu_init": 1e-8,
            "ipopt.warm_start_bound_push": 1e-9,
            "ipopt.warm_start_mult_bound_push": 1e-9,
        },
    )
    again = warm(**numbers | {"x0": first["x"], "lam_x0": first["lam_x"], "lam_g0": first["lam_g"]})
    assert warm.stats()["iter_count"] < cold.stats()["iter_count"] / 3
    close(again["x"], first["x"], 1e-6)


class Watcher(casadi.Callback):
    def __init__(self, n, m, stop_after=10**6):
        casadi.Callback.__init__(self)
        self.n, self.m, self.stop_after, self.seen = n, m, stop_after, []
        self.construct("watcher", {})

    def get_n_in(self):
        return casadi.nlpsol_n_out()

    def get_n_out(self):
        return 1

    def get_sparsity_in(self, i):
        name = casadi.nlpsol_out(i)
        size = {"x": self.n, "lam_x": self.n, "g": self.m, "lam_g": self.m, "f": 1}.get(name, 0)
        return casadi.Sparsity.dense(size, 1) if size else casadi.Sparsity(0, 0)

    def eval(self, arg):
        self.seen.append(float(arg[1]))
        return [int(len(self.seen) >= self.stop_after)]


def test_iteration_callback_of_casadi():
    problem, numbers = problems.hs071(casadi.SX)
    watcher = Watcher(4, 2)
    solver = nlpsol("S", problem, QUIET | {"iteration_callback": watcher})
    solver(**numbers)
    np.testing.assert_allclose(watcher.seen, solver.stats()["iterations"]["obj"])
    assert solver.stats()["n_call_callback_fun"] == len(watcher.seen)
    solver = nlpsol("S", problem, QUIET | {"iteration_callback": Watcher(4, 2, stop_after=3)})
    solver(**numbers)
    assert solver.stats()["return_status"] == "User_Requested_Stop"
    assert solver.stats()["iter_count"] == 2


def test_iteration_callback_in_python_and_its_step():
    problem, numbers = problems.hs071(casadi.SX)
    seen = []
    nlpsol(
        "S", problem, QUIET | {"iteration_callback": lambda it: seen.append(it.iteration), "iteration_callback_step": 3}
    )(**numbers)
    assert seen == [0, 3, 6, 9]


def test_failure_is_returned_or_raised():
    x = casadi.SX.sym("x")
    problem, numbers = {"x": x, "f": x, "g": x**2}, {"lbg": -2, "ubg": -1, "x0": 1}
    solver = nlpsol("S", "ipopt", problem, QUIET)
    solver(**numbers)
    assert solver.stats()["success"] is False
    assert solver.stats()["return_status"] == "Infeasible_Problem_Detected"
    with pytest.raises(SolverError, match="Infeasible_Problem_Detected"):
        nlpsol("S", "ipopt", problem, QUIET | {"error_on_fail": True})(**numbers)


class SquareRoot(casadi.Callback):
    def __init__(self):
        casadi.Callback.__init__(self)
        self.construct("root", {"enable_fd": True})

    def eval(self, arg):
        if float(arg[0]) < 0:
            raise ValueError("negative")
        return [casadi.sqrt(arg[0])]


def test_steps_into_failing_functions_are_shortened(capfd):
    root, x = SquareRoot(), casadi.MX.sym("x")
    solver = nlpsol(
        "S", {"x": x, "f": x**2 - root(x)}, QUIET | {"ipopt.hessian_approximation": "limited-memory", "ipopt.tol": 1e-6}
    )
    result = solver(x0=9.0)
    capfd.readouterr()
    assert solver.stats()["success"]
    np.testing.assert_allclose(float(result["x"]), 0.25 ** (2 / 3), rtol=1e-4)


def test_undefined_start_is_named():
    x = casadi.SX.sym("x", 2)
    with pytest.raises(EvaluationError, match=r"g\[1\]"):
        nlpsol("S", {"x": x, "f": casadi.sumsqr(x), "g": casadi.vertcat(x[0], casadi.log(x[1]))}, QUIET)(x0=-1)


BAD_CALLS = {
    "plugin": (lambda: nlpsol("S", "sqpmethod", parametric()), SolverError, "IPOPT only, not with 'sqpmethod'"),
    "option": (
        lambda: nlpsol("S", parametric(), {"max_iter": 5}),
        SolverError,
        "unknown option 'max_iter'; .*'ipopt.max_iter'",
    ),
    "integers": (lambda: nlpsol("S", parametric(), {"discrete": [0, 1, 0, 0]}), SolverError, "no integer variables"),
    "nothing": (lambda: nlpsol("S"), ModelError, "nlpsol takes a name, a problem and options"),
    "argument": (lambda: nlpsol("S", parametric(), QUIET)(y0=1), ShapeError, "unknown argument 'y0'"),
    "too many": (lambda: nlpsol("S", parametric(), QUIET)(*range(9)), ShapeError, "takes 8 arguments"),
    "shape": (lambda: nlpsol("S", parametric(), QUIET)(lbx=[1, 2, 3]), ShapeError, "lbx has 3 entries, but x has 4"),
    "symbol": (lambda: nlpsol("S", parametric(), QUIET)(x0=casadi.MX.sym("z", 4)), ModelError, "x0 is symbolic"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_calls_are_refused(case):
    call, error, message = BAD_CALLS[case]
    with pytest.raises(error, match=message):
        call()


# -- Opti --------------------------------------------------------------------------------------------------------------

SILENT = {"print_level": 0, "sb": "yes"}


def regulator():
    opti = casadi.Opti()
    x, u, start = opti.variable(2, 6), opti.variable(1, 5), opti.parameter(2)
    opti.minimize(casadi.sumsqr(x) + 0.1 * casadi.sumsqr(u))
    row = x[:, 0] == start
    opti.subject_to(row)
    for k in range(5):
        opti.subject_to(x[:, k + 1] == x[:, k] + 0.2 * casadi.vertcat(x[1, k], casadi.sin(x[0, k]) + u[k]))
    opti.subject_to(opti.bounded(-1, u, 1))
    return opti, x, u, start, row


def test_receding_horizon_keeps_what_does_not_change(monkeypatch):
    opti, x, _u, start, _ = regulator()
    own, _ = opti.copy(), opti.solver("ipopt", {"print_time": 0}, SILENT)
    own.solver("ipopt", {"print_time": 0}, SILENT)
    state = np.array([1.0, 0.0])
    for step in range(4):
        for stack in (opti, own):
            stack.set_value(start, state)
        solution, reference = solve(opti, SILENT), own.solve()
        close(solution.value(x), reference.value(x), 1e-6)
        opti.set_initial(solution.value_variables())
        own.set_initial(reference.value_variables())
        state = np.array(solution.value(x))[:, 1]
        if step == 0:
            monkeypatch.setattr("sct_opt.adapters.casadi.problem.emit", None)


def test_changed_stacks_are_converted_again():
    opti, x, _u, start, _ = regulator()
    opti.set_value(start, [1, 0])
    solve(opti, SILENT)
    opti.subject_to(x[0, 5] == 1.2)
    close(solve(opti, SILENT).value(x[0, 5]), 1.2, 1e-6)
    opti.minimize(-x[1, 5])
    assert solve(opti, SILENT).value(x[1, 5]) > 0


def test_opti_warm_start_uses_its_multipliers():
    opti, _x, _u, start, _ = regulator()
    opti.set_value(start, [1, 0.5])
    first = solve(opti, SILENT)
    opti.set_initial(first.value_variables())
    opti.set_initial(opti.lam_g, first.value(opti.lam_g))
    warm = solve(
        opti,
        SILENT
        | {
            "warm_start_init_point": "yes",
            "mu_init": 1e-8,
            "warm_start_bound_push": 1e-9,
            "warm_start_mult_bound_push": 1e-9,
        },
    )
    assert warm.stats()["iter_count"] <= 2 < first.stats()["iter_count"]


def test_failed_stacks_keep_their_last_iterate():
    opti = casadi.Opti()
    x = opti.variable()
    opti.minimize(x)
    opti.subject_to(x**2 <= -1)
    opti.set_initial(x, 1)
    with pytest.raises(SolverError, match=r"Infeasible.*opti\.debug\.value"):
        solve(opti, SILENT)
    assert abs(opti.debug.value(x)) < 1


def test_limits_may_be_accepted():
    opti, _x, _, start, _ = regulator()
    opti.set_value(start, [1, 0])
    with pytest.raises(SolverError, match="Maximum_Iterations_Exceeded"):
        solve(opti, SILENT | {"max_iter": 1})
    assert (
        solve(opti, SILENT | {"max_iter": 1}, accept_limit=True).stats()["unified_return_status"]
        == "SOLVER_RET_LIMITED"
    )


def test_solutions_outlive_the_next_solve():
    opti, x, _, start, row = regulator()
    opti.set_value(start, [1, 0])
    first = solve(opti, SILENT)
    opti.set_value(start, [0.5, 0])
    solve(opti, SILENT)
    close(first.value(x[0, 0]), 1.0, 1e-6)
    close(opti.value(x[0, 0]), 0.5, 1e-6)
    assert len(first.value_parameters()) == 1
    assert first.dual(row).shape == (2,)


def test_undefined_constraint_names_its_source_line():
    opti = casadi.Opti()
    x = opti.variable(2)
    opti.minimize(casadi.sumsqr(x))
    opti.subject_to(casadi.log(x[0]) >= -5)
    opti.set_initial(x, -1)
    with pytest.raises(EvaluationError, match=r"test_casadi\.py:\d+.*: opti\.subject_to\(casadi\.log"):
        solve(opti, SILENT)


# -- functions -----------------------------------------------------------------------------------------------------------


def test_function_derivatives():
    x, y = casadi.MX.sym("x", 2, 2), casadi.MX.sym("y", casadi.Sparsity.lower(2))
    f = casadi.Function("f", [x, y], [casadi.mtimes(x, y), casadi.sumsqr(y)])
    d = function(f)
    rng = np.random.default_rng(0)
    a, b, w = rng.standard_normal((2, 2)), np.tril(rng.standard_normal((2, 2))), rng.standard_normal(5)
    reference = [np.array(part) for part in f.call([a, b])]
    np.testing.assert_allclose(d.values(a, b), np.append(reference[0].ravel(order="F"), reference[1]))
    jacobian = np.array(
        casadi.DM(casadi.blockcat([[f.jacobian()(a, b, 0, 0)[2 * i + j] for j in range(2)] for i in range(2)]))
    )
    np.testing.assert_allclose(d.jacobian(a, b).toarray(), jacobian)
    v = rng.standard_normal(8)
    np.testing.assert_allclose(d.jvp(a, b, v=v), jacobian @ v)
    np.testing.assert_allclose(d.vjp(a, b, w=w), jacobian.T @ w)
    h = d.hessian(a, b, weights=w).toarray()
    np.testing.assert_allclose(h, h.T)
    step = 1e-6
    moved = d.vjp(a, b + np.array([[step, 0], [0, 0]]), w=w)
    np.testing.assert_allclose(h[:, 4], (moved - jacobian.T @ w) / step, atol=1e-4)
    with pytest.raises(ShapeError, match="takes 2 arguments, got 1"):
        d.values(a)


def test_patterns_are_tighter_than_casadis():
    x = casadi.SX.sym("x", 4)
    f = casadi.Function(
        "f",
        [x],
        [
            casadi.fabs(x[0])
            + casadi.fmax(x[1], x[2])
            + casadi.copysign(x[3], x[0])
            + x[0] * casadi.sign(x[1])
            + casadi.floor(x[2])
        ],
    )
    assert function(f).hessian_pattern.nnz == 0
    assert f.jacobian().jacobian().sparsity_out(0).nnz() > 0
