"""Solving with IPOPT: optima, results, options, callbacks, and what happens when something goes wrong."""

import signal
import subprocess
import sys
import threading
import traceback

import cyipopt
import numpy as np
import pytest

from sct_opt.adapters.callables import from_callables
from sct_opt.errors import EvaluationError, MissingDependencyError, ProblemError, ShapeError, SolverError
from sct_opt.nlp import NLP
from sct_opt.ops import OPCODE
from sct_opt.solvers.ipopt import STATUS, Iteration, solve
from sct_opt.tape import TapeBuilder


def hs071() -> NLP:
    return from_callables(
        lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        [1.0, 5.0, 5.0, 1.0],
        constraints=lambda x: [x[0] * x[1] * x[2] * x[3], np.sum(x**2)],
        bounds=(1, 5),
        constraint_bounds=([25, 40], [np.inf, 40]),
    )


class Opaque:
    """A function sin(x) + x**2 of one argument that raises what it is told to at its k-th value."""

    name = "opaque"
    num_outputs = 1
    jacobian_rows = jacobian_cols = hessian_rows = hessian_cols = np.zeros(1, dtype=np.int64)

    def __init__(self, error: BaseException | None = None, at: int = 3) -> None:
        self.error = error
        self.at = at
        self.calls = 0

    def value(self, args):
        self.calls += 1
        if self.error is not None and self.calls >= self.at:
            raise self.error
        return np.array([np.sin(args[0]) + args[0] ** 2])

    def jacobian(self, args):
        return np.array([np.cos(args[0]) + 2 * args[0]])

    def hessian(self, args, weights):
        return weights * (2 - np.sin(args[0]))


def with_function(function: Opaque) -> NLP:
    builder = TapeBuilder()
    return NLP(builder.freeze(builder.call(function, builder.inputs(1))), [5.0])


# -- results ---------------------------------------------------------------------------------------------------


def test_hs071():
    result = solve(hs071())
    assert result.success
    assert result.status == 0
    assert result.message == "Optimal solution found."
    assert result.fun == pytest.approx(17.0140173, abs=1e-6)
    np.testing.assert_allclose(result.x, [1.0, 4.7429994, 3.8211503, 1.3794082], atol=1e-6)
    assert result.nit < 20
    assert (result.nfev, result.njev, result.nhev) == (result.nit + 1, result.nit + 2, result.nit)
    assert result.constraint_violation < 1e-6
    np.testing.assert_allclose(result.constraints, [25, 40], atol=1e-6)


def test_multipliers_satisfy_the_kkt_conditions():
    nlp = hs071()
    result = solve(nlp, options={"tol": 1e-10})
    jacobian = np.zeros((2, 4))
    jacobian[nlp.jacobianstructure()] = nlp.jacobian(result.x)
    residual = (
        nlp.gradient(result.x)
        + result.constraint_multipliers @ jacobian
        - result.lower_multipliers
        + result.upper_multipliers
    )
    np.testing.assert_allclose(residual, 0, atol=1e-7)
    assert (result.lower_multipliers >= 0).all()
    assert result.lower_multipliers[0] > 1.0


def test_timings_name_every_stage():
    result = solve(hs071(), callback=lambda iteration: None)
    timings = result.timings
    assert set(timings) == {"setup", "solve", "objective", "gradient", "constraints", "jacobian", "hessian", "callback"}
    assert min(timings.values()) > 0
    parts = ("objective", "gradient", "constraints", "jacobian", "hessian", "callback")
    assert sum(timings[part] for part in parts) <= timings["solve"]


def test_maximization_reports_the_objective_as_the_user_wrote_it():
    builder = TapeBuilder()
    x = builder.inputs(1)
    distance = builder.unary(OPCODE["square"], builder.affine(np.ones(1, int), x, np.ones(1), np.array([-2.0])))
    negated = builder.affine(np.ones(1, int), distance, np.ones(1), np.array([-7.0]))
    nlp = NLP(builder.freeze(negated), [0.0], maximize=True)
    seen = []
    result = solve(nlp, callback=lambda iteration: seen.append(iteration.objective))
    assert result.fun == pytest.approx(7.0)
    assert result.x == pytest.approx([2.0])
    assert seen[0] == pytest.approx(3.0)


def test_start_given_to_solve_wins():
    nlp = from_callables(lambda x: np.cos(x[0]), [1.0])
    assert solve(nlp).x == pytest.approx([np.pi])
    assert solve(nlp, [9.0]).x == pytest.approx([3 * np.pi])
    assert nlp.x0.tolist() == [1.0]


def test_parameters_change_between_solves():
    nlp = from_callables(lambda x, p: np.sum((x - p["target"]) ** 2), np.zeros(2), parameters={"target": [1.0, 2.0]})
    np.testing.assert_allclose(solve(nlp).x, [1.0, 2.0])
    nlp.parameters["target"] = [-3.0, 4.0]
    np.testing.assert_allclose(solve(nlp).x, [-3.0, 4.0])


def test_bounds_change_between_solves():
    nlp = from_callables(lambda x: np.sum((x - 3) ** 2), np.zeros(2))
    np.testing.assert_allclose(solve(nlp).x, [3.0, 3.0])
    nlp.ub[0] = 1.0
    np.testing.assert_allclose(solve(nlp).x, [1.0, 3.0], atol=1e-6)


def test_warm_start_needs_fewer_iterations():
    nlp = hs071()
    cold = solve(nlp)
    warm = solve(nlp, cold.x, multipliers=cold)
    assert warm.success
    assert warm.nit < cold.nit / 2
    assert warm.fun == pytest.approx(cold.fun, abs=1e-6)
    triple = (cold.constraint_multipliers, cold.lower_multipliers, cold.upper_multipliers)
    assert solve(nlp, cold.x, multipliers=triple).nit == warm.nit


def test_warm_start_options_can_be_overridden():
    nlp = hs071()
    cold = solve(nlp)
    overridden = solve(nlp, cold.x, options={"warm_start_init_point": False}, multipliers=cold)
    assert overridden.nit > solve(nlp, cold.x, multipliers=cold).nit


def test_multipliers_that_do_not_fit():
    nlp = hs071()
    with pytest.raises(ShapeError, match="lower_multipliers has 3 entries, expected 4"):
        solve(nlp, multipliers=([0, 0], [0, 0, 0], None))
    with pytest.raises(ShapeError, match=r"constraint_multipliers\[1\] is not finite"):
        solve(nlp, multipliers=([0, np.nan], None, None))
    with pytest.raises(ShapeError, match="an earlier result or a triple"):
        solve(nlp, multipliers=3)


# -- problems at the edge -----------------------------------------------------------------------------------------


def test_without_constraints():
    result = solve(from_callables(lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, [-1.2, 1.0]))
    np.testing.assert_allclose(result.x, 1.0, atol=1e-6)
    assert result.constraint_multipliers.shape == (0,)


def test_all_variables_fixed():
    feasible = from_callables(lambda x: np.sum(x**2), [0.0, 0.0], bounds=([1, 2], [1, 2]))
    result = solve(feasible)
    assert result.success
    assert result.fun == 5.0
    assert result.x.tolist() == [1.0, 2.0]
    infeasible = from_callables(lambda x: x[0], [0.0], lambda x: x[0], ([1], [1]), (3, 4))
    result = solve(infeasible)
    assert not result.success
    assert result.status == 2
    assert result.constraint_violation == pytest.approx(2.0)


def test_a_fixed_variable_among_free_ones():
    result = solve(from_callables(lambda x: np.sum((x - 3) ** 2), [0.0, 0.0], bounds=([1, None], [1, None])))
    np.testing.assert_allclose(result.x, [1.0, 3.0])


def test_square_system():
    result = solve(
        from_callables(lambda x: 0.0, [1.0, 1.0], lambda x: [x[0] ** 2 + x[1] ** 2 - 4, x[0] - x[1]], None, (0, 0))
    )
    assert result.success
    np.testing.assert_allclose(result.x, np.sqrt(2.0))


def test_too_few_degrees_of_freedom():
    result = solve(from_callables(lambda x: x[0], [1.0], lambda x: [x[0] - 1, x[0] ** 2 - 2], None, (0, 0)))
    assert not result.success
    assert result.status == -10
    assert "There are 2 equalities and 1 variables that are not fixed" in result.message


def test_infeasible_problem():
    result = solve(from_callables(lambda x: x[0], [1.0, 1.0], lambda x: np.sum(x**2), None, (-2, -1)))
    assert not result.success
    assert result.status == 2
    assert "infeasibility" in result.message


def test_limits_end_a_solve_without_success():
    result = solve(hs071(), options={"max_iter": 3})
    assert not result.success
    assert (result.status, result.nit) == (-1, 3)
    result = solve(hs071(), options={"max_wall_time": 1e-9})
    assert not result.success
    assert result.status == -5


def test_acceptable_counts_as_success():
    result = solve(hs071(), options={"tol": 1e-30, "acceptable_tol": 1e-3, "acceptable_iter": 1})
    assert result.success
    assert result.status == 1


def test_every_status_has_a_message():
    assert all(message.endswith(".") for _, message in STATUS.values())
    assert {status for status, (success, _) in STATUS.items() if success} == {0, 1, 6}


# -- options ------------------------------------------------------------------------------------------------------


def test_options_are_coerced():
    result = solve(hs071(), options={"max_iter": np.int64(2), "tol": 1, "print_timing_statistics": False})
    assert result.nit <= 2


def test_limited_memory_hessian_needs_no_second_derivatives():
    nlp = hs071()
    result = solve(nlp, options={"hessian_approximation": "limited-memory"})
    assert result.success
    assert result.fun == pytest.approx(17.0140173, abs=1e-6)
    assert result.nhev == 0


def test_unknown_option_names_close_matches(capfd):
    with pytest.raises(SolverError, match=r"no option 'max_iters'.*did you mean 'max_iter'"):
        solve(hs071(), options={"max_iters": 5})
    with pytest.raises(SolverError, match=r"no option 'xyz'.*listed at"):
        solve(hs071(), options={"xyz": "5"})


def test_option_out_of_range():
    with pytest.raises(SolverError, match="refuses -1 for its option 'tol'"):
        solve(hs071(), options={"tol": -1})


def test_linear_solver_that_is_not_there():
    with pytest.raises(SolverError, match=r"linear solver 'ma27' may be missing: `sct-opt doctor`"):
        solve(hs071(), options={"linear_solver": "ma27", "hsllib": "libnothing.so"})


def test_it_is_quiet_unless_asked(capfd):
    solve(hs071())
    assert capfd.readouterr().out == ""
    script = (
        "import numpy as np, sct_opt as so\n"
        "so.solve(so.from_callables(lambda x: np.sum((x - 1) ** 2), np.zeros(2)), options={'print_level': 5})"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "EXIT: Optimal Solution Found." in output
    assert "Eclipse Public License" not in output


# -- callbacks and exceptions ---------------------------------------------------------------------------------------


def test_callback_sees_every_iteration():
    seen: list[Iteration] = []
    result = solve(hs071(), callback=seen.append)
    assert [iteration.iteration for iteration in seen] == list(range(result.nit + 1))
    assert seen[-1].x == pytest.approx(result.x, abs=1e-6)
    assert seen[-1].objective == pytest.approx(result.fun)
    assert seen[-1].inf_pr < 1e-6 < seen[0].inf_pr
    assert not seen[0].restoration


@pytest.mark.parametrize("answer", [False, np.False_])
def test_callback_stops_by_returning_false(answer):
    seen = []

    def callback(iteration):
        seen.append(iteration.x)
        return answer if iteration.iteration == 3 else None

    result = solve(hs071(), callback=callback)
    assert not result.success
    assert (result.status, result.nit) == (5, 3)
    assert result.message == "Stopped by the callback."
    np.testing.assert_allclose(result.x, seen[-1])


def test_callback_stops_by_stop_iteration():
    def callback(iteration):
        if iteration.iteration == 2:
            raise StopIteration

    result = solve(hs071(), callback=callback)
    assert (result.status, result.nit, len(result.x)) == (5, 2, 4)


def test_exception_in_a_callback_comes_out_with_its_traceback():
    def callback(iteration):
        if iteration.iteration == 2:
            raise ZeroDivisionError("mine")

    nlp = hs071()
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        solve(nlp, callback=callback)
    assert "callback" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert caught.value.__context__ is None
    assert solve(nlp).success


def test_exceptions_of_functions_come_out_at_once_and_do_not_come_back():
    function = Opaque(KeyError("sensor"), at=3)
    nlp = with_function(function)
    with pytest.raises(KeyError, match="sensor") as caught:
        solve(nlp)
    assert function.calls == 3
    assert "value" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    function.error = OSError("other")
    with pytest.raises(OSError, match="other"):
        solve(nlp)
    function.error = None
    result = solve(nlp)
    assert result.success
    assert np.cos(result.x[0]) + 2 * result.x[0] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("at", range(1, 12))
def test_an_exception_at_any_evaluation_comes_out(at):
    function = Opaque(LookupError(f"call {at}"), at)
    with pytest.raises(LookupError, match=f"call {at}"):
        solve(with_function(function))
    assert function.calls == at


def test_keyboard_interrupt_in_a_callback_keeps_the_last_iterate():
    def callback(iteration):
        if iteration.iteration == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        solve(hs071(), callback=callback)
    result = caught.value.result
    assert not result.success
    assert result.message == "Interrupted."
    assert result.nit == 3
    assert result.x == pytest.approx([1.0, 4.74, 3.82, 1.38], abs=0.2)


def test_keyboard_interrupt_in_a_function_keeps_the_last_iterate():
    function = Opaque(KeyboardInterrupt(), at=6)
    with pytest.raises(KeyboardInterrupt) as caught:
        solve(with_function(function))
    assert caught.value.result.x.shape == (1,)
    assert np.isfinite(caught.value.result.x).all()
    assert function.calls == 6


def test_keyboard_interrupt_between_two_functions_is_kept_for_ipopt(monkeypatch):
    nlp = hs071()
    gradient = NLP.gradient

    class Interrupting(float):
        """A number that is struck by Ctrl-C while it is looked at, after the function has returned it."""

        def __float__(self):
            signal.raise_signal(signal.SIGINT)
            return super().__float__()

    calls = []

    def objective(self, x):
        calls.append(x)
        return Interrupting(17.0) if len(calls) == 3 else float(gradient(self, x) @ x)

    monkeypatch.setattr(NLP, "objective", objective)
    with pytest.raises(KeyboardInterrupt) as caught:
        solve(nlp)
    assert len(calls) == 3
    assert caught.value.result.message == "Interrupted."
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_can_solve():
    results = []
    thread = threading.Thread(target=lambda: results.append(solve(hs071())))
    thread.start()
    thread.join()
    assert results[0].success


# -- bad numbers ------------------------------------------------------------------------------------------------------


def test_non_finite_start_is_refused_by_name():
    with pytest.raises(ProblemError, match=r"the start x0 is nan at variable 'x\[2\]'"):
        solve(hs071(), [1.0, 1.0, np.nan, 1.0])
    with pytest.raises(ShapeError, match="x0 has 3 entries, but the problem has 4 variables"):
        solve(hs071(), [1.0, 1.0, 1.0])


def test_undefined_objective_at_the_start():
    nlp = from_callables(lambda x: np.log(x[0] - 2) + x[1] ** 2, [1.0, 1.0])
    with pytest.raises(
        EvaluationError,
        match=r"at the start, the objective is nan: log\(-1\) is nan, where x\[0\] = 1, x\[1\] = 1; start elsewhere",
    ):
        solve(nlp)


def test_undefined_constraint_at_the_start():
    def balance(x):
        return [x[0] + x[1], np.sqrt(x[1] - 3.0)]

    nlp = from_callables(lambda x: np.sum(x**2), [1.0, 1.0], balance, None, (0, 9))
    with pytest.raises(EvaluationError, match=r"constraint 'balance\[1\]' is nan: sqrt\(-2\) is nan, where x\[1\] = 1"):
        solve(nlp)


def test_undefined_derivative_at_the_start():
    nlp = from_callables(lambda x: np.sqrt(x[0]) + x[1] ** 2, [0.0, 1.0])
    with pytest.raises(EvaluationError, match=r"the objective's derivative by 'x\[0\]' is inf, where x\[0\] = 0"):
        solve(nlp)


def test_a_start_on_a_bound_is_fine_where_ipopt_moves_it_inside():
    nlp = from_callables(lambda x: x[0] - np.log(x[0]), [0.0], bounds=(0, None))
    assert solve(nlp).x == pytest.approx([1.0])


def test_steps_into_undefined_regions_are_shortened():
    nlp = from_callables(lambda x: 10 * x[0] - np.log(x[0]), [5.0])
    result = solve(nlp)
    assert result.success
    assert result.x == pytest.approx([0.1])


def test_undefined_derivatives_on_the_way_end_the_solve_with_a_name():
    class Spoiled(Opaque):
        def jacobian(self, args):
            return super().jacobian(args) if args[0] > 1.0 else np.array([np.nan])

    result = solve(with_function(Spoiled()))
    assert not result.success
    assert result.status == -13
    assert "after iteration" in result.message
    assert "the objective's derivative by 'x[0]' is nan, where x[0] = " in result.message


# -- the dependency -------------------------------------------------------------------------------------------------------


def test_missing_cyipopt_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "cyipopt", None)  # importing it fails
    with pytest.raises(MissingDependencyError, match=r"`sct-opt install-ipopt` installs it"):
        solve(hs071())


def test_the_problem_is_a_cyipopt_problem_object():
    nlp = hs071()
    problem = cyipopt.Problem(n=nlp.n, m=nlp.m, problem_obj=nlp, lb=nlp.lb, ub=nlp.ub, cl=nlp.cl, cu=nlp.cu)
    problem.add_option("print_level", 0)
    problem.add_option("sb", "yes")
    _, info = problem.solve(nlp.x0)
    assert info["obj_val"] == pytest.approx(17.0140173, abs=1e-6)
