"""IPOPT through cyipopt: an NLP in, SciPy's `OptimizeResult` out.

cyipopt keeps an exception that a callback raises, goes on with whatever is in memory, and raises it again from every
later solve.  `_Callbacks` therefore keeps exceptions itself, refuses all further evaluations so that IPOPT gives up, and
`solve` raises the original one; every solve makes a problem object of its own.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sct_opt import memory
from sct_opt.errors import EvaluationError, ShapeError, SolverError
from sct_opt.nlp import NLP, Scaling
from sct_opt.solvers.backend import Backend, backend_classes
from sct_opt.solvers.options import set_option
from sct_opt.solvers.result import Result

Array = np.ndarray[Any, Any]

STATUS: dict[int, tuple[bool, str]] = {
    0: (True, "Optimal solution found."),
    1: (True, "Solved to acceptable level: the tolerances of the acceptable_... options are met, not tol."),
    2: (False, "Converged to a point of local infeasibility; the problem may have no feasible point."),
    3: (False, "The search direction became too small; the point may still be good."),
    4: (False, "The iterates diverge; the objective may be unbounded."),
    5: (False, "Stopped by the callback."),
    6: (True, "Feasible point of a square problem found."),
    -1: (False, "Maximum number of iterations reached (option max_iter)."),
    -2: (False, "The restoration phase failed: no point with less infeasibility was found."),
    -3: (False, "The search direction could not be computed."),
    -4: (False, "Maximum CPU time reached (option max_cpu_time)."),
    -5: (False, "Maximum wall time reached (option max_wall_time)."),
    -10: (False, "Too few degrees of freedom: more equality constraints than free variables."),
    -11: (False, "IPOPT takes the problem definition for invalid."),
    -12: (False, "IPOPT refuses an option at the start of the solve."),
    -13: (False, "A function value or derivative is not finite, and the algorithm cannot step around it."),
    -100: (False, "Unrecoverable exception inside IPOPT."),
    -101: (False, "Foreign exception inside IPOPT."),
    -102: (False, "IPOPT ran out of memory."),
    -199: (False, "Internal error of IPOPT."),
}
"""IPOPT's return codes: whether they count as success, and what they mean."""

_USER_STOP, _TOO_FEW_FREEDOMS, _INVALID_OPTION, _INVALID_NUMBER = 5, -10, -12, -13

# A point with multipliers is close to the solution: start there rather than push it away from its bounds.
_WARM_START: dict[str, Any] = {
    "warm_start_init_point": "yes",
    "warm_start_bound_push": 1e-9,
    "warm_start_bound_frac": 1e-9,
    "warm_start_slack_bound_push": 1e-9,
    "warm_start_slack_bound_frac": 1e-9,
    "warm_start_mult_bound_push": 1e-9,
    "mu_init": 1e-6,
}


@dataclass(frozen=True, slots=True)
class Iteration:
    """What a callback learns about an iteration; the numbers are those of IPOPT's output.

    Attributes:
        iteration: Number of the iteration, from 0.
        objective: Objective in the user's sense (not negated for maximization).
        inf_pr: Largest constraint violation, scaled as IPOPT scales.
        inf_du: Largest dual infeasibility.
        mu: Barrier parameter.
        step_norm: Largest component of the step.
        regularization: What was added to the Hessian's diagonal; 0 if nothing.
        alpha_du: Dual step length.
        alpha_pr: Primal step length.
        line_search_trials: Number of backtracking steps.
        restoration: Whether IPOPT is in its restoration phase.
        x: The iterate; None where this IPOPT does not hand it out, and so for the multipliers.
        constraint_multipliers: Multipliers of the constraints, of the minimized Lagrangian.
        lower_multipliers: Multipliers of the lower bounds.
        upper_multipliers: Multipliers of the upper bounds.
    """

    iteration: int
    objective: float
    inf_pr: float
    inf_du: float
    mu: float
    step_norm: float
    regularization: float
    alpha_du: float
    alpha_pr: float
    line_search_trials: int
    restoration: bool
    x: Array | None = None
    constraint_multipliers: Array | None = None
    lower_multipliers: Array | None = None
    upper_multipliers: Array | None = None


def solve(
    nlp: NLP,
    x0: ArrayLike | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callable[[Iteration], Any] | None = None,
    multipliers: Any = None,
    backend: Backend = "cyipopt",
) -> Result:
    """Solve a nonlinear program with IPOPT.

    Args:
        nlp: The problem.
        x0: Where to start; the problem's own start if None.
        options: IPOPT's options; numbers, bools and strings become what IPOPT wants.  ``print_level`` is 0 unless given;
            ``max_wall_time`` limits the seconds.
        callback: Called with an `Iteration` once per iteration; stops the solve by returning False or raising
            StopIteration.  Any other exception ends the solve and comes out of here.
        multipliers: For a warm start, an earlier result or ``(constraint, lower, upper)`` multipliers; also sets IPOPT's
            warm-start options where `options` does not.
        backend: What hands the problem to IPOPT: ``"cyipopt"``, or ``"ctypes"``, which drives the same library through its C
            interface and copies derivatives faster; it pays from about 1e5 nonzeros on.

    Returns:
        A result with ``x``, ``fun`` (in the user's sense), ``success``, ``status`` (IPOPT's code), ``message``, ``nit``,
        ``nfev``, ``njev``, ``nhev``, ``constraints`` (their values), ``constraint_violation`` (the largest, bounds
        included), ``constraint_multipliers``, ``lower_multipliers`` and ``upper_multipliers`` (of the variables' bounds;
        all three belong to the minimized Lagrangian ``f + constraint_multipliers @ g - lower_multipliers @ x +
        upper_multipliers @ x``) and ``timings`` in seconds: ``setup``, ``solve`` (IPOPT with all it calls) and, within
        it, each kind of callback.  ``success`` includes "solved to acceptable level" (status 1).

    Raises:
        MissingDependencyError: If cyipopt is not installed.
        SolverError: If IPOPT knows no such option or refuses its value.
        ProblemError: If start, bounds or parameters make no sense.
        EvaluationError: If objective, constraints or derivatives are not finite at the start, once IPOPT has moved it
            inside the bounds.
        KeyboardInterrupt: On Ctrl-C, as soon as IPOPT has stopped; its attribute ``result`` holds the last iterate.

    Examples:
        >>> from sct_opt.adapters.callables import from_callables
        >>> nlp = from_callables(lambda x: (x[0] - 1) ** 2 + x[1] ** 2, [3.0, 2.0], bounds=(0.5, None))
        >>> result = solve(nlp)
        >>> result.success, result.x.round(6).tolist(), round(result.fun, 6)
        (True, [1.0, 0.5], 0.25)
    """
    with memory.kept(nlp.n + nlp.m, release=True):
        return _solve(nlp, x0, options, callback, multipliers, backend)


def _solve(
    nlp: NLP,
    x0: ArrayLike | None,
    options: Mapping[str, Any] | None,
    callback: Callable[[Iteration], Any] | None,
    multipliers: Any,
    backend: Backend,
) -> Result:
    make_problem, evaluation_error = backend_classes(backend)
    clock = time.perf_counter()
    nlp.check()
    start = nlp.x0 if x0 is None else np.array(x0, dtype=float).ravel()
    if start.shape != (nlp.n,):
        raise ShapeError(f"x0 has {start.size} entries, but the problem has {nlp.n} variables")
    nlp.check_start(start)
    warm = None if multipliers is None else _multipliers(nlp, multipliers)
    # `sb` keeps IPOPT from printing its banner.
    scaled = {} if nlp.scaling is None else {"nlp_scaling_method": "user-scaling"}
    settings = {"print_level": 0, "sb": "yes"} | (_WARM_START if warm else {}) | scaled | dict(options or {})
    exact = str(settings.get("hessian_approximation", "exact")).lower() != "limited-memory"
    nlp.prepare(hessian=exact)
    callbacks = _Callbacks(nlp, callback, evaluation_error, exact)
    problem = make_problem(n=nlp.n, m=nlp.m, problem_obj=callbacks, lb=nlp.lb, ub=nlp.ub, cl=nlp.cl, cu=nlp.cu)
    callbacks.problem = problem
    if nlp.scaling is not None:
        _scale(problem, nlp, nlp.scaling)
    for name, value in settings.items():
        set_option(problem, name, value)
    began = time.perf_counter()
    try:
        with _interrupts(callbacks):
            x, info = problem.solve(start, *(warm or ()))
    except KeyboardInterrupt as error:  # struck where only cyipopt could catch it
        callbacks.error = callbacks.error or error
        x, info = start if callbacks.last_x is None else callbacks.last_x, {}
    finally:
        ended = time.perf_counter()
        callbacks.problem = None
        problem.close()
    timings = {"setup": began - clock, "solve": ended - began} | callbacks.seconds
    result = _result(nlp, callbacks, x, info, timings)
    if isinstance(callbacks.error, KeyboardInterrupt):
        callbacks.error.__dict__["result"] = result
        callbacks.error.add_note("IPOPT was interrupted; the last iterate is in this exception's attribute `result`.")
    if callbacks.error is not None:
        raise callbacks.error
    if result["status"] == _INVALID_NUMBER and callbacks.iterations < 0:
        raise EvaluationError(
            f"{callbacks.nonfinite_sentence() or result['message']}; start elsewhere, or bound the variables so that all is defined there"
        )
    if result["status"] == _INVALID_OPTION:
        solver = (options or {}).get("linear_solver")
        hint = (
            f"The linear solver {solver!r} may be missing: `sct-opt doctor` tells which there are."
            if solver
            else "Solve with print_level 5 to see which."
        )
        raise SolverError(f"{result['message']} {hint}")
    return result


def _scale(problem: Any, nlp: NLP, scaling: Scaling) -> None:
    factors: list[Array | None] = []
    for what, given, size in (("variables", scaling.variables, nlp.n), ("constraints", scaling.constraints, nlp.m)):
        array = None if given is None else np.ascontiguousarray(given, dtype=float).ravel()
        if array is not None and (array.shape != (size,) or not (np.isfinite(array) & (array > 0.0)).all()):
            raise ShapeError(f"the scaling of the {what} must be {size} positive numbers")
        factors.append(array)
    problem.set_problem_scaling(float(scaling.objective), *factors)


@contextmanager
def _interrupts(callbacks: _Callbacks) -> Iterator[None]:
    """Let Ctrl-C raise inside functions and callbacks only; elsewhere it is kept until IPOPT next asks for something.

    Raised between callbacks, it would be caught by cyipopt, which then lets IPOPT compute on with unset memory.
    """
    in_charge = threading.current_thread() is threading.main_thread()
    if not in_charge or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def keep_or_raise(number: int, frame: FrameType | None) -> None:
        if callbacks.inside:
            raise KeyboardInterrupt
        callbacks.error = callbacks.error or KeyboardInterrupt()

    signal.signal(signal.SIGINT, keep_or_raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Callbacks:
    """What cyipopt sees of a problem: its callbacks, timed and counted, with exceptions kept until IPOPT has stopped."""

    def __init__(
        self, nlp: NLP, callback: Callable[[Iteration], Any] | None, evaluation_error: type[Exception], exact: bool
    ) -> None:
        self.nlp = nlp
        self.callback = callback
        self.evaluation_error = evaluation_error
        self.problem: Any = None
        self.error: BaseException | None = None
        self.inside = False
        self.iterations = -1
        self.last_x: Array | None = None
        self.nonfinite: tuple[Any, ...] | None = None
        self.calls = dict.fromkeys(("objective", "gradient", "constraints", "jacobian", "hessian", "callback"), 0)
        self.seconds = dict.fromkeys(self.calls, 0.0)
        # Without them cyipopt lets IPOPT approximate the Hessian.
        self.hessianstructure = nlp.hessianstructure if exact else None
        self.hessian = self._hessian if exact else None

        # IPOPT refuses constraints whose Jacobian has no entry at all; then one explicit zero stands in.
        self.lone_zero = nlp.m > 0 and nlp.jacobian_pattern.nnz == 0

    def jacobianstructure(self) -> tuple[Array, Array]:
        if self.lone_zero:
            return np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int32)
        return self.nlp.jacobianstructure()

    def _evaluated(self, kind: str, *args: Any) -> Any:
        if self.error is not None:
            raise self.evaluation_error
        start = time.perf_counter()
        try:
            self.inside = True
            values = getattr(self.nlp, kind)(*args)
        except BaseException as error:
            self.error = error
            raise self.evaluation_error from None
        finally:
            self.inside = False
            self.calls[kind] += 1
            self.seconds[kind] += time.perf_counter() - start
        return values

    def objective(self, x: Array) -> float:
        value: float = self._evaluated("objective", x)
        if not np.isfinite(value):  # IPOPT shortens the step
            self.nonfinite = (x,)
        return value

    def constraints(self, x: Array) -> Array:
        values: Array = self._evaluated("constraints", x)
        if not _finite(values):
            self.nonfinite = (x,)
        return values

    def gradient(self, x: Array) -> Array:
        self.last_x = x
        return self._derivative("gradient", x)

    def jacobian(self, x: Array) -> Array:
        values = self._derivative("jacobian", x)
        return np.zeros(1) if self.lone_zero else values

    def _hessian(self, x: Array, lagrange: Array, obj_factor: float) -> Array:
        return self._derivative("hessian", x, lagrange, obj_factor)

    def _derivative(self, kind: str, *args: Any) -> Array:
        values: Array = self._evaluated(kind, *args)
        if not _finite(values):
            # IPOPT would compute on with NaN; refused, it leaves out scaling before the start and stops afterwards.
            self.nonfinite = args
            raise self.evaluation_error
        return values

    def intermediate(
        self,
        alg_mod: int,
        iter_count: int,
        obj_value: float,
        inf_pr: float,
        inf_du: float,
        mu: float,
        d_norm: float,
        regularization_size: float,
        alpha_du: float,
        alpha_pr: float,
        ls_trials: int,
    ) -> bool:
        self.iterations = iter_count
        if self.error is not None:
            return False
        if self.callback is None:
            return True
        start = time.perf_counter()
        sense = -1.0 if self.nlp.maximize else 1.0
        try:
            self.inside = True
            report = Iteration(
                iter_count,
                sense * obj_value,
                inf_pr,
                inf_du,
                mu,
                d_norm,
                regularization_size,
                alpha_du,
                alpha_pr,
                ls_trials,
                alg_mod == 1,
                *self._iterate(),
            )
            answer = self.callback(report)
        except StopIteration:
            return False
        except BaseException as error:
            self.error = error
            return False
        finally:
            self.inside = False
            self.calls["callback"] += 1
            self.seconds["callback"] += time.perf_counter() - start
        return not (isinstance(answer, (bool, np.bool_)) and not answer)

    def _iterate(self) -> tuple[Array, ...]:
        try:
            iterate = self.problem.get_current_iterate()
        except RuntimeError:  # IPOPT before 3.14 cannot tell
            return ()
        return iterate["x"], iterate["mult_g"], iterate["mult_x_L"], iterate["mult_x_U"]

    def nonfinite_sentence(self) -> str | None:
        """What was not finite when IPOPT last met something that was not."""
        if self.nonfinite is None:
            return None
        x = self.nonfinite[0]
        sentence = self.nlp.explain_values(x) or self.nlp.explain_derivatives(*self.nonfinite)
        if sentence is None:
            return None
        place = "at the start" if self.iterations < 0 else f"after iteration {self.iterations}"
        return f"{place}, {sentence}"


def _finite(values: Array) -> bool:
    # The sum is finite unless an entry is not, or it overflows: then look at all of them.
    return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


def _result(nlp: NLP, callbacks: _Callbacks, x: Array, info: Mapping[str, Any], timings: dict[str, float]) -> Result:
    status = int(info.get("status", _USER_STOP))
    success, message = STATUS.get(status, (False, f"IPOPT returned the unknown status {status}."))
    if callbacks.error is not None:
        success, message = (
            False,
            "Interrupted." if isinstance(callbacks.error, KeyboardInterrupt) else "Stopped by an exception.",
        )
    elif status == _TOO_FEW_FREEDOMS:
        free, equalities = int((nlp.lb < nlp.ub).sum()), int((nlp.cl == nlp.cu).sum())
        message += f" There are {equalities} equalities and {free} variables that are not fixed; free some, or drop equalities."
    elif status == _INVALID_NUMBER and callbacks.iterations >= 0:
        sentence = callbacks.nonfinite_sentence()
        message += f" It happened {sentence}." if sentence else ""
    objective = info.get("obj_val", np.nan)
    values = info.get("g", np.full(nlp.m, np.nan))
    violations = [nlp.lb - x, x - nlp.ub, nlp.cl - values, values - nlp.cu]
    nothing = {"mult_g": np.zeros(nlp.m), "mult_x_L": np.zeros(nlp.n), "mult_x_U": np.zeros(nlp.n)}
    multipliers = {name: info.get(name, default) for name, default in nothing.items()}
    return Result(
        x=x,
        fun=-objective if nlp.maximize else objective,
        success=success,
        status=status,
        message=message,
        nit=max(callbacks.iterations, 0),
        nfev=callbacks.calls["objective"],
        njev=callbacks.calls["gradient"],
        nhev=callbacks.calls["hessian"],
        constraints=values,
        constraint_violation=max(float(v.max(initial=0.0)) for v in violations),
        constraint_multipliers=multipliers["mult_g"],
        lower_multipliers=multipliers["mult_x_L"],
        upper_multipliers=multipliers["mult_x_U"],
        timings=timings,
    )


def _multipliers(nlp: NLP, given: Any) -> tuple[Array, Array, Array]:
    """Constraint, lower and upper multipliers from a result, a mapping or a triple, checked."""
    names = ("constraint_multipliers", "lower_multipliers", "upper_multipliers")
    if isinstance(given, Mapping):
        given = [given.get(name) for name in names]
    if not isinstance(given, Sequence) or len(given) != len(names):
        raise ShapeError(
            "multipliers must be an earlier result or a triple: of the constraints, of the lower and of the upper bounds"
        )
    arrays = []
    for name, values, size in zip(names, given, (nlp.m, nlp.n, nlp.n), strict=True):
        array = np.zeros(size) if values is None else np.array(values, dtype=float).ravel()
        if array.shape != (size,):
            raise ShapeError(f"{name} has {array.size} entries, expected {size}")
        if not np.isfinite(array).all():
            raise ShapeError(
                f"{name}[{int((~np.isfinite(array)).argmax())}] is not finite; warm starts need finite multipliers"
            )
        arrays.append(array)
    return arrays[0], arrays[1], arrays[2]
