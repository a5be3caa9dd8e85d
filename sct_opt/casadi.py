"""IPOPT for CasADi users without CasADi's derivative construction: change one import and keep everything else.

    from sct_opt.casadi import nlpsol, solve

    solver = nlpsol("solver", "ipopt", {"x": x, "p": p, "f": f, "g": g}, {"ipopt.print_level": 0})
    result = solver(x0=0, p=[1, 2], lbg=0, ubg=0)      # result["x"], result["lam_g"], solver.stats()

    solution = solve(opti)                             # solution.value(x); opti.value(x) works as well

Problem objects keep everything that does not depend on numbers: later calls with other bounds, parameters or starts
convert, detect and color nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import casadi
import numpy as np

from sct_opt.adapters.casadi import OptiModel
from sct_opt.adapters.casadi.dialect import (
    HONOURED,
    IGNORED,
    LIMITS,
    PLAIN_WARM_START,
    History,
    split_options,
    statistics,
)
from sct_opt.adapters.casadi.functions import FunctionDerivatives, function
from sct_opt.adapters.casadi.problem import element_names, read_dictionary, vector
from sct_opt.derivatives import Derivatives
from sct_opt.errors import ModelError, ShapeError, SolverError
from sct_opt.nlp import NLP
from sct_opt.solvers import ipopt
from sct_opt.tape import Tape

__all__ = ["FunctionDerivatives", "NlpSolver", "OptiSolution", "function", "nlpsol", "solve"]

Array = np.ndarray[Any, Any]

_INPUTS = ("x0", "p", "lbx", "ubx", "lbg", "ubg", "lam_x0", "lam_g0")
_OUTPUTS = ("x", "f", "g", "lam_x", "lam_g", "lam_p")
_DEFAULTS = {
    "x0": 0.0,
    "p": 0.0,
    "lbx": -np.inf,
    "ubx": np.inf,
    "lbg": -np.inf,
    "ubg": np.inf,
    "lam_x0": 0.0,
    "lam_g0": 0.0,
}


def nlpsol(name: str, *problem_and_options: Any) -> NlpSolver:
    """A solver with the call, the results and the statistics of ``casadi.nlpsol(name, "ipopt", problem, options)``.

    Args:
        name: name of the solver.
        problem_and_options: the problem, a dictionary with ``x``, ``f``, ``g``, ``p`` or a function ``(x, p) -> (f, g)``, and
            after it CasADi's options; ``"ipopt"`` may stand before the problem as it does with CasADi.

    Returns:
        The solver; call it as CasADi's.

    Raises:
        SolverError: another solver than IPOPT, or an unknown option.
        ModelError: something in the problem cannot be converted.

    >>> x = casadi.SX.sym("x", 2)
    >>> solver = nlpsol("S", "ipopt", {"x": x, "f": casadi.sumsqr(x - 1), "g": x[0] + x[1]}, {"ipopt.print_level": 0})
    >>> result = solver(x0=0, lbg=0, ubg=1)
    >>> np.array(result["x"]).ravel().round(6).tolist(), solver.stats()["return_status"]
    ([0.5, 0.5], 'Solve_Succeeded')
    """
    rest = list(problem_and_options)
    if rest and isinstance(rest[0], str):
        plugin = rest.pop(0)
        if plugin != "ipopt":
            raise SolverError(
                f"sct_opt solves with IPOPT only, not with {plugin!r}; write nlpsol({name!r}, 'ipopt', …) or use casadi.nlpsol"
            )
    if not 1 <= len(rest) <= 2:
        raise ModelError("nlpsol takes a name, a problem and options: nlpsol('solver', {'x': x, 'f': f, 'g': g}, {})")
    return NlpSolver(name, rest[0], rest[1] if len(rest) > 1 else {})


class NlpSolver:
    """What `nlpsol` returns.

    Args:
        name: name of the solver.
        problem: dictionary of expressions or a function ``(x, p) -> (f, g)``.
        options: CasADi's options.
    """

    def __init__(self, name: str, problem: Any, options: Mapping[str, Any]) -> None:
        self._name = name
        if isinstance(problem, casadi.Function):
            problem = _expressions(problem)
        self._problem = read_dictionary(problem)
        self._options, self._ipopt_options = split_options(options)
        x, p, g = self._problem.x, self._problem.p, self._problem.g
        self._sizes = {
            "x0": x.shape,
            "p": p.shape,
            "lbx": x.shape,
            "ubx": x.shape,
            "lbg": g.shape,
            "ubg": g.shape,
            "lam_x0": x.shape,
            "lam_g0": g.shape,
        }
        self._out_shapes = {
            "x": x.shape,
            "f": (1, 1),
            "g": g.shape,
            "lam_x": x.shape,
            "lam_g": g.shape,
            "lam_p": p.shape,
        }
        started = time.perf_counter()
        self.nlp = NLP(
            self._problem.tape(np.zeros(p.numel())),
            0.0,
            constraint_names=lambda: element_names(g, "g", symbolic=False),
            variable_names=lambda: element_names(x, "x"),
            parameter_names=lambda: element_names(p, "p"),
        )
        self.nlp.timings["trace"] = time.perf_counter() - started
        self._sensitivity = parameter_sensitivity(self.nlp.tape) if p.numel() else None
        self._stats: dict[str, Any] = {}

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Solve; arguments and results are CasADi's: named give a dictionary, positional a tuple.

        Raises:
            SolverError: the solver failed and the option ``error_on_fail`` is set.
            ShapeError: an argument that does not fit.
            ModelError: symbolic arguments.
        """
        if len(args) > len(_INPUTS):
            raise ShapeError(f"the solver takes {len(_INPUTS)} arguments ({', '.join(_INPUTS)}), got {len(args)}")
        unknown = sorted(set(named) - set(_INPUTS))
        if unknown:
            raise ShapeError(f"unknown argument {unknown[0]!r}; the solver takes {', '.join(_INPUTS)}")
        given = dict(zip(_INPUTS, args, strict=False)) | named
        results = self._solve(self._numbers(given))
        return tuple(results[name] for name in _OUTPUTS) if args else results

    def _numbers(self, given: Mapping[str, Any]) -> dict[str, Array]:
        numbers = {}
        for name, default in _DEFAULTS.items():
            value = given.get(name)
            if isinstance(value, casadi.MX | casadi.SX):
                raise ModelError(
                    f"{name} is symbolic: this solver is called with numbers; to embed a solver in expressions use casadi.nlpsol"
                )
            rows, columns = self._sizes[name]
            target = {"x0": "x", "lbx": "x", "ubx": "x", "lam_x0": "x", "p": "p"}.get(name, "g")
            numbers[name] = vector(value, rows * columns, name, default, target)
        return numbers

    def _solve(self, numbers: dict[str, Array]) -> dict[str, casadi.DM]:
        nlp = self.nlp
        nlp.x0, nlp.lb, nlp.ub, nlp.cl, nlp.cu = (numbers[name] for name in ("x0", "lbx", "ubx", "lbg", "ubg"))
        if self._sensitivity is not None:
            nlp.parameters = numbers["p"]
        warm, options = None, self._ipopt_options
        if options.get("warm_start_init_point") == "yes":
            warm = (numbers["lam_g0"], np.maximum(-numbers["lam_x0"], 0.0), np.maximum(numbers["lam_x0"], 0.0))
            options = PLAIN_WARM_START | options
        history = History(self._iteration_callback(), int(self._options.get("iteration_callback_step", 1)))
        result = ipopt.solve(nlp, None, options, history, warm)
        self._stats = statistics(result, history)
        if self._options.get("error_on_fail") and not result.success:
            raise SolverError(f"the solver {self._name!r} failed with {self._stats['return_status']}: {result.message}")
        lam_p = np.zeros(0)
        if self._sensitivity is not None:
            seed = np.concatenate([[1.0], result.constraint_multipliers])
            lam_p = -self._sensitivity.vjp(np.concatenate([result.x, numbers["p"]]), seed)[nlp.n :]
        values = (
            result.x,
            result.fun,
            result.constraints,
            result.upper_multipliers - result.lower_multipliers,
            result.constraint_multipliers,
            lam_p,
        )
        return {name: _matrix(value, self._out_shapes[name]) for name, value in zip(_OUTPUTS, values, strict=True)}

    def _iteration_callback(self) -> Callable[[ipopt.Iteration], Any] | None:
        callback = self._options.get("iteration_callback")
        if not isinstance(callback, casadi.Function):
            return callback
        ignore = bool(self._options.get("iteration_callback_ignore_errors", False))

        def call(iteration: ipopt.Iteration) -> bool:
            x = self.nlp.x0 if iteration.x is None else iteration.x
            lam_x, lam_g = np.zeros(self.nlp.n), np.zeros(self.nlp.m)
            if iteration.constraint_multipliers is not None:
                lam_g = iteration.constraint_multipliers
            if iteration.lower_multipliers is not None and iteration.upper_multipliers is not None:
                lam_x = iteration.upper_multipliers - iteration.lower_multipliers
            # The parameters' multipliers take another derivative, which nobody pays for at every iteration.
            lam_p = np.zeros(len(self.nlp.parameters))
            values = (x, iteration.objective, self.nlp.constraints(x), lam_x, lam_g, lam_p)
            try:
                status = callback(
                    *(_matrix(value, self._out_shapes[name]) for name, value in zip(_OUTPUTS, values, strict=True))
                )
            except RuntimeError:
                if ignore:
                    return True
                raise
            return not int(casadi.DM(status))

        return call

    def stats(self) -> dict[str, Any]:
        """Statistics of the last solve under CasADi's keys, and IPOPT's sentence under ``message``."""
        if not self._stats:
            raise SolverError("there are no statistics before the first solve")
        return self._stats

    def name(self) -> str:
        """The solver's name."""
        return self._name

    def name_in(self) -> list[str]:
        """Names of the arguments, in order."""
        return list(_INPUTS)

    def name_out(self) -> list[str]:
        """Names of the results, in order."""
        return list(_OUTPUTS)

    def size_in(self, name: str | int) -> tuple[int, int]:
        """Shape of an argument, by name or position."""
        shape: tuple[int, int] = self._sizes[_INPUTS[name] if isinstance(name, int) else name]
        return shape

    def size_out(self, name: str | int) -> tuple[int, int]:
        """Shape of a result, by name or position."""
        shape: tuple[int, int] = self._out_shapes[_OUTPUTS[name] if isinstance(name, int) else name]
        return shape

    def oracle(self) -> casadi.Function:
        """The problem's function ``(x, p) -> (f, g)``."""
        problem = self._problem
        return casadi.Function("nlp", [problem.x, problem.p], [problem.f, problem.g], ["x", "p"], ["f", "g"])

    def __repr__(self) -> str:
        return f"{self._name}:({', '.join(_INPUTS)})->({', '.join(_OUTPUTS)}) {self.nlp!r}"


def _expressions(oracle: casadi.Function) -> dict[str, Any]:
    names = {"x", "p", "f", "g"}
    wrong = sorted({*oracle.name_in(), *oracle.name_out()} - names)
    if wrong or "x" not in oracle.name_in():
        raise ModelError(f"a problem function has inputs x and p and outputs f and g by name; got {oracle}")
    kind = casadi.SX if oracle.is_a("SXFunction") else casadi.MX
    symbols = {name: kind.sym(name, oracle.sparsity_in(name)) for name in oracle.name_in()}
    return {**symbols, **oracle.call(symbols)}


def parameter_sensitivity(tape: Tape) -> Derivatives:
    """Derivatives with respect to inputs and parameters: the tape with its parameters as further inputs."""
    opcode = tape.opcode.copy()
    opcode[tape.num_inputs : tape.num_inputs + tape.num_parameters] = opcode[0]
    return Derivatives(
        replace(tape, opcode=opcode, num_inputs=tape.num_inputs + tape.num_parameters, parameters=np.zeros(0))
    )


def _matrix(values: Any, shape: tuple[int, int]) -> casadi.DM:
    return casadi.DM(np.asarray(values, dtype=float).reshape(shape, order="F"))


# -- Opti ----------------------------------------------------------------------------------------------------------


def solve(
    opti: casadi.Opti,
    options: Mapping[str, Any] | None = None,
    callback: Callable[[ipopt.Iteration], Any] | None = None,
    accept_limit: bool = False,
) -> OptiSolution:
    """Solve an Opti stack and load the solution into it, as its own ``solve`` does.

    The stack's values, initial guesses and parameters are read at each call.  What does not depend on them is kept with the
    stack until its variables, objective or constraints change.

    Args:
        opti: the stack.
        options: CasADi's and IPOPT's options, the latter with or without the prefix ``ipopt.``.
        callback: called with a `sct_opt.solvers.ipopt.Iteration` once per iteration; returning False stops.
        accept_limit: return normally if a limit on iterations or time stopped the solver, as ``solve_limited`` does.

    Returns:
        The solution; ``opti.value`` and ``opti.debug.value`` work as well.

    Raises:
        SolverError: the solver did not succeed; its last iterate is in ``opti.debug.value``.
        ModelError: something in the stack cannot be converted.
        ProblemError: no variables, parameters without value.

    >>> opti = casadi.Opti()
    >>> x = opti.variable(2)
    >>> opti.minimize(casadi.sumsqr(x - 2))
    >>> row = x[0] <= 1
    >>> opti.subject_to(row)
    >>> solution = solve(opti, {"print_level": 0})
    >>> solution.value(x).round(6).tolist(), round(solution.dual(row), 6), opti.value(x).round(6).tolist()
    ([1.0, 2.0], 2.0, [1.0, 2.0])
    """
    kept = getattr(opti, "_sct_opt", None)
    if kept is None or kept[0].stale:
        model = OptiModel(opti)
        kept = opti._sct_opt = (model, model.nlp())
    else:
        kept[0].update(kept[1])
    model, nlp = kept
    plain = {
        name: value
        for name, value in (options or {}).items()
        if name not in IGNORED | HONOURED and not name.startswith("ipopt.")
    }
    prefixed = {name: value for name, value in (options or {}).items() if name not in plain}
    own, solver = split_options(prefixed)
    solver |= plain
    warm = None
    if solver.get("warm_start_init_point") == "yes":
        warm, solver = model.multipliers(), PLAIN_WARM_START | solver
    history = History(callback or own.get("iteration_callback"), int(own.get("iteration_callback_step", 1)))
    result = ipopt.solve(nlp, None, solver, history, warm)
    if nlp.load_solution is not None:
        nlp.load_solution(result)
    solution = OptiSolution(opti, result, statistics(result, history))
    if not (result.success or (accept_limit and result.status in LIMITS)):
        raise SolverError(
            f"the solver failed with {solution.stats()['return_status']}: {result.message} "
            f"The last iterate is in the stack, see opti.debug.value{'; accept_limit=True takes it as a solution' if result.status in LIMITS else ''}"
        )
    return solution


class OptiSolution:
    """A solved Opti stack, to be used like CasADi's ``OptiSol``.

    Args:
        opti: the stack, whose values stay those of its latest solution.
        result: SciPy's OptimizeResult of the (scaled) problem.
        stats: statistics under CasADi's keys.
    """

    def __init__(self, opti: casadi.Opti, result: Any, stats: dict[str, Any]) -> None:
        self.opti = opti.copy()
        self.result = result
        self._stats = stats

    def value(self, expression: Any, values: Any = ()) -> Any:
        """An expression's value at the solution."""
        return self.opti.value(expression, list(values))

    def dual(self, constraint: casadi.MX) -> Any:
        """A constraint's multiplier, with CasADi's signs."""
        return self.opti.value(self.opti.dual(constraint))

    def value_variables(self) -> Any:
        """Assignments of all variables, for ``opti.set_initial``."""
        return self.opti.value_variables()

    def value_parameters(self) -> Any:
        """Assignments of all parameters."""
        return self.opti.value_parameters()

    def stats(self) -> dict[str, Any]:
        """Statistics under CasADi's keys."""
        return self._stats
