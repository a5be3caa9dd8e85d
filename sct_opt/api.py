"""What users call: patterns and sparse derivatives of plain functions, and solving problems of any origin."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike

from sct_opt.adapters.callables import ConstraintBlock, assemble, both_bounds, place
from sct_opt.derivatives import Derivatives
from sct_opt.detection import (
    TracerLocalSparsityDetector,
    TracerSparsityDetector,
    hessian_pattern,
    jacobian_pattern,
    local_flags,
)
from sct_opt.errors import ProblemError, ShapeError
from sct_opt.nlp import NLP
from sct_opt.pattern import SparsityPattern
from sct_opt.programs import EngineOptions
from sct_opt.solvers import ipopt
from sct_opt.solvers.backend import Backend
from sct_opt.solvers.result import Result
from sct_opt.sweeps import evaluate_nodes
from sct_opt.tracing import trace_function
from sct_opt.tracing.paths import follow_paths

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from sct_opt.coloring import ColoringResult
    from sct_opt.tape import Tape

Array = np.ndarray[Any, Any]
Detector = TracerSparsityDetector | TracerLocalSparsityDetector


def jacobian_sparsity(
    f: Callable[..., Any], x: ArrayLike, detector: Detector | None = None, out: ArrayLike | None = None
) -> SparsityPattern:
    """Pattern of the Jacobian of a function.

    Args:
        f: ``f(x)`` returns a scalar, an array of any shape or a list; ``f(y, x)`` fills y if `out` is given.
        x: An input of the right shape; its values matter to local detection only.
        detector: `TracerSparsityDetector` (the default) for the pattern that holds at every x,
            `TracerLocalSparsityDetector` for the one at this x.
        out: For functions that fill an array: an array of that shape.

    Returns:
        The pattern, with outputs and inputs flattened in C order.

    Raises:
        TracingError: If the function cannot be traced soundly.

    Examples:
        >>> print(jacobian_sparsity(lambda x: [x[0] ** 2, 2 * x[0] * x[1] ** 2, np.sin(x[2])], np.ones(3)))
        3×3 SparsityPattern with 4 structural nonzeros
        ⎡⠓⠄⎤
    """
    return _united(jacobian_pattern(tape, flags) for tape, flags in _traces(f, x, detector, out))


def hessian_sparsity(f: Callable[..., Any], x: ArrayLike, detector: Detector | None = None) -> SparsityPattern:
    """Pattern of the Hessian of a scalar function.

    Args:
        f: Function of x that returns a scalar.
        x: An input of the right shape; its values matter to local detection only.
        detector: As for `jacobian_sparsity`.

    Returns:
        The pattern, symmetric, with inputs flattened in C order.

    Raises:
        ShapeError: If the function does not return a scalar.
        TracingError: If it cannot be traced soundly.

    Examples:
        >>> hessian_sparsity(lambda x: x[0] + x[1] * x[2] + 1 / x[3] + x[4], np.ones(5)).nnz
        3
        >>> f = lambda x: np.where(x[1] < x[2], x[0] ** x[1], x[2] * x[3])
        >>> hessian_sparsity(f, [1.0, 3.0, 2.0, 4.0], TracerLocalSparsityDetector()).coo()
        (array([2, 3], dtype=int32), array([3, 2], dtype=int32))
    """
    traces = _traces(f, x, detector)
    for tape, _ in traces:
        _require_scalar(tape, f)
    return _united(hessian_pattern(tape, flags) for tape, flags in traces)


def _traces(
    f: Callable[..., Any], x: ArrayLike, detector: Detector | None, out: ArrayLike | None = None
) -> list[tuple[Tape, Array | None]]:
    """The tapes of a function, one unless branches are explored, with their edge flags if the detector is a local one."""
    point = _point(x)
    buffer = None if out is None else np.asarray(out, dtype=float)
    detector = TracerSparsityDetector() if detector is None else detector
    if isinstance(detector, TracerLocalSparsityDetector):
        tape = trace_function(f, point, constants=detector.constants, local=True, out=buffer).tape
        return [(tape, local_flags(tape, evaluate_nodes(tape, point.ravel()), masking=detector.masking))]
    if not isinstance(detector, TracerSparsityDetector):
        raise ProblemError(
            f"detector must be a TracerSparsityDetector or a TracerLocalSparsityDetector, not {detector!r:.80}"
        )
    if detector.branches == "explore":
        tapes = follow_paths(
            lambda builder: trace_function(f, point, out=buffer, builder=builder).tape,
            detector.constants,
            detector.max_paths,
        )
        if len({tape.num_outputs for tape in tapes}) > 1:
            raise ShapeError(f"the function {place(f)} returns different numbers of outputs on different branches")
        return [(tape, None) for tape in tapes]
    return [(trace_function(f, point, constants=detector.constants, out=buffer).tape, None)]


def _united(patterns: Iterable[SparsityPattern]) -> SparsityPattern:
    return functools.reduce(SparsityPattern.union, patterns)


def _point(x: ArrayLike) -> Array:
    if x is None:
        raise ShapeError("x is None; give an array of the function's input shape, np.zeros(n) for n inputs")
    try:
        return np.array(x, dtype=float)
    except (TypeError, ValueError):
        raise ShapeError(f"x must be an array of numbers, not {x!r:.80}") from None


def _require_scalar(tape: Tape, f: Callable[..., Any]) -> None:
    if tape.num_outputs != 1:
        raise ShapeError(
            f"the function {place(f)} returns {tape.num_outputs} numbers, but a Hessian needs a scalar; sum them up or weight them"
        )


@final
class SparseJacobian:
    """Jacobian of a function as a SciPy sparse array, exact, by compressed sweeps over the function's tape.

    Args:
        f: Function of x (and `args`); returns a scalar, an array of any shape or a list.
        x: An input of the right shape.
        args: Further arguments of the function, constants to the trace.
        engine: How derivatives are evaluated, by predicted cost if None.

    Examples:
        >>> J = SparseJacobian(lambda x: x[1:] * x[:-1], np.ones(4))
        >>> J(np.arange(4.0)).toarray()
        array([[1., 0., 0., 0.],
               [0., 2., 1., 0.],
               [0., 0., 3., 2.]])
        >>> J.coloring.num_colors
        2
    """

    def __init__(
        self, f: Callable[..., Any], x: ArrayLike, args: tuple[Any, ...] = (), engine: EngineOptions | None = None
    ) -> None:
        point = _point(x)
        self.shape = point.shape
        self._derivatives = Derivatives(trace_function(f, point, args=args).tape, options=engine)

    @property
    def pattern(self) -> SparsityPattern:
        """Pattern of the Jacobian."""
        return self._derivatives.jacobian_pattern

    @property
    def coloring(self) -> ColoringResult:
        """Coloring that compresses the Jacobian."""
        return self._derivatives.jacobian_coloring

    def __call__(self, x: ArrayLike) -> csr_array:
        """The Jacobian at `x`, with every structural nonzero stored."""
        return _sparse(self.pattern, self._derivatives.jacobian_values(_flat(x, self.shape)))

    def jvp(self, x: ArrayLike, v: ArrayLike) -> Array:
        """Jacobian at `x` times a vector."""
        return self._derivatives.jvp(_flat(x, self.shape), np.ravel(np.asarray(v, dtype=float)))

    def vjp(self, x: ArrayLike, w: ArrayLike) -> Array:
        """Transposed Jacobian at `x` times a vector."""
        return self._derivatives.vjp(_flat(x, self.shape), np.ravel(np.asarray(w, dtype=float)))

    def __repr__(self) -> str:
        return (
            f"SparseJacobian({self._derivatives.tape.num_outputs} outputs, {self._derivatives.tape.num_inputs} inputs)"
        )


@final
class SparseHessian:
    """Hessian of a scalar function as a SciPy sparse array, exact, by compressed sweeps over the function's tape.

    Args:
        f: Function of x (and `args`) that returns a scalar.
        x: An input of the right shape.
        args: Further arguments of the function, constants to the trace.
        engine: How derivatives are evaluated, by predicted cost if None.

    Examples:
        >>> H = SparseHessian(lambda x: np.sum(x[1:] * x[:-1] ** 2), np.ones(3))
        >>> H([1.0, 2.0, 3.0]).toarray()
        array([[4., 2., 0.],
               [2., 6., 4.],
               [0., 4., 0.]])
        >>> H.gradient([1.0, 2.0, 3.0]), H.hvp([1.0, 2.0, 3.0], [1.0, 0.0, 0.0])
        (array([ 4., 13.,  4.]), array([4., 2., 0.]))
    """

    def __init__(
        self, f: Callable[..., Any], x: ArrayLike, args: tuple[Any, ...] = (), engine: EngineOptions | None = None
    ) -> None:
        point = _point(x)
        self.shape = point.shape
        self._derivatives = Derivatives(trace_function(f, point, args=args).tape, options=engine)
        _require_scalar(self._derivatives.tape, f)

    @property
    def pattern(self) -> SparsityPattern:
        """Pattern of the Hessian, both triangles."""
        return self._derivatives.hessian_pattern

    @property
    def coloring(self) -> ColoringResult:
        """Star coloring that compresses the Hessian."""
        return self._derivatives.hessian_coloring

    @functools.cached_property
    def _from_lower(self) -> Array:
        """For each entry of the full pattern, where the lower triangle holds it."""
        rows, cols = (index.astype(np.int64) for index in self.pattern.coo())
        lower_rows, lower_cols = (index.astype(np.int64) for index in self._derivatives.hessian_lower_pattern.coo())
        n = self.pattern.shape[0]
        return np.searchsorted(lower_rows * n + lower_cols, np.maximum(rows, cols) * n + np.minimum(rows, cols))

    def __call__(self, x: ArrayLike) -> csr_array:
        """The Hessian at `x`, both triangles, with every structural nonzero stored."""
        return _sparse(
            self.pattern, self._derivatives.hessian_values(_flat(x, self.shape), np.ones(1))[self._from_lower]
        )

    def gradient(self, x: ArrayLike) -> Array:
        """Gradient at `x`, flat."""
        return self._derivatives.vjp(_flat(x, self.shape), np.ones(1))

    def hvp(self, x: ArrayLike, v: ArrayLike) -> Array:
        """Hessian at `x` times a vector."""
        return self._derivatives.hvp(_flat(x, self.shape), np.ones(1), np.ravel(np.asarray(v, dtype=float)))

    def __repr__(self) -> str:
        return f"SparseHessian({self._derivatives.tape.num_inputs} inputs)"


def _flat(x: ArrayLike, shape: tuple[int, ...]) -> Array:
    point = np.asarray(x, dtype=float)
    if point.shape != shape and point.shape != (int(np.prod(shape, dtype=int)),):
        raise ShapeError(f"x has shape {point.shape}, but the function was traced with shape {shape}; pass that shape")
    return point.ravel()


def _sparse(pattern: SparsityPattern, values: Array) -> csr_array:
    from scipy.sparse import csr_array  # noqa: PLC0415 - keeps `import sct_opt` quick

    # The pattern's arrays are read-only and shared; a result that a user edits needs its own.
    return csr_array((values, pattern.indices.copy(), pattern.indptr.copy()), shape=pattern.shape)


# -- solving -------------------------------------------------------------------------------------------------------


def solve(
    problem: Any,
    x0: ArrayLike | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callable[[ipopt.Iteration], Any] | None = None,
    multipliers: Any = None,
    backend: Backend = "cyipopt",
    **model_options: Any,
) -> Result:
    """Solve a problem with IPOPT and write the solution back into the model that it came from.

    Args:
        problem: An `NLP`, a Pyomo model, a `casadi.Opti`, or a mapping of CasADi expressions as `casadi.nlpsol` takes.
        x0: Where to start; the problem's own start if None.
        options: IPOPT's options, such as ``{"print_level": 5, "tol": 1e-10, "max_wall_time": 60}``.
        callback: Called with a `sct_opt.solvers.ipopt.Iteration` once per iteration; returning False stops.
        multipliers: For a warm start: an earlier result or ``(constraint, lower, upper)`` multipliers.
        backend: What hands the problem to IPOPT: ``"cyipopt"``, or ``"ctypes"``, which copies derivatives faster (large problems).
        model_options: What else the model's adapter takes, such as ``p`` and ``lbx`` of `from_casadi`.

    Returns:
        SciPy's OptimizeResult, as `sct_opt.solvers.ipopt.solve` describes it.

    Raises:
        ProblemError: If this is no problem that anything here can solve.
        SctOptError: As the adapters and the solver say.

    Examples:
        >>> from sct_opt import from_callables
        >>> rosenbrock = from_callables(lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), np.zeros(10))
        >>> result = solve(rosenbrock)
        >>> result.message, result.x.round(6).tolist()
        ('Optimal solution found.', [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """
    nlp = _problem(problem, model_options)
    result = ipopt.solve(nlp, x0, options, callback, multipliers, backend)
    if nlp.load_solution is not None:
        nlp.load_solution(result)
    return result


def _problem(problem: Any, model_options: dict[str, Any]) -> NLP:
    if isinstance(problem, NLP):
        if model_options:
            raise ProblemError(f"{', '.join(model_options)}: only models take these, an NLP is complete already")
        return problem
    # Asked by name: a model of a tool exists only if the tool is imported.
    origins = {parent.__module__.partition(".")[0] for parent in type(problem).__mro__}
    if isinstance(problem, Mapping):
        origins |= {type(value).__module__.partition(".")[0] for value in problem.values()}
    if "pyomo" in origins:
        from sct_opt.adapters.pyomo import from_pyomo  # noqa: PLC0415 - optional dependency

        return from_pyomo(problem, **model_options)
    if "casadi" in origins:
        from sct_opt.adapters.casadi import from_casadi  # noqa: PLC0415 - optional dependency

        return from_casadi(problem, **model_options)
    hint = "; for a plain function use so.minimize or so.from_callables" if callable(problem) else ""
    raise ProblemError(
        f"cannot solve {type(problem).__name__} objects: give an NLP, a Pyomo model, a casadi.Opti or a CasADi nlpsol dict{hint}"
    )


_SCIPY_OPTIONS = {"maxiter": "max_iter", "ftol": "tol", "gtol": "tol"}


def minimize(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: tuple[Any, ...] = (),
    bounds: Any = None,
    constraints: Any = (),
    options: Mapping[str, Any] | None = None,
    callback: Callable[..., Any] | None = None,
    tol: float | None = None,
    *,
    method: Any = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
) -> Result:
    """Minimize a scalar function, called as `scipy.optimize.minimize` is, with exact sparse derivatives and IPOPT.

    Args:
        fun: ``fun(x, *args)`` returns a scalar.
        x0: Where to start, of any shape; `fun` gets x in this shape.
        args: Further arguments of `fun`; one that is not a tuple counts as one argument.
        bounds: A `scipy.optimize.Bounds`, or one pair (lower, upper) per variable, None where there is none.
        constraints: SciPy's `NonlinearConstraint`, `LinearConstraint` or mapping with ``type``, ``fun`` and ``args``, or
            a sequence of these.  Their derivatives (``jac``, ``hess``) are not needed and not looked at.
        options: ``maxiter``, ``disp``, ``ftol``, ``gtol``, and every option of IPOPT under its own name.
        callback: As SciPy calls it: ``callback(xk)``, or ``callback(intermediate_result)`` by that name with ``x`` and
            ``fun``; stops the solve by raising StopIteration.
        tol: IPOPT's ``tol``.
        method: Accepted for calls written for SciPy, as are the following, and not looked at: the method is IPOPT.
        jac: Not looked at: derivatives are exact, and found here. ``jac=True``, a function that returns its gradient
            too, is refused.
        hess: Not looked at.
        hessp: Not looked at.

    Returns:
        The result, as `sct_opt.solvers.ipopt.solve` describes it; ``x`` is flat.

    Raises:
        ShapeError: If `fun` does not return a scalar, or bounds do not fit.
        ProblemError: If a constraint is of an unknown kind, or the problem makes no sense.
        TracingError: If a function cannot be traced soundly.

    Examples:
        >>> result = minimize(
        ...     lambda x: (x[0] - 1) ** 2 + (x[1] - 2.5) ** 2,
        ...     x0=[2, 0],
        ...     bounds=[(0, None), (0, None)],
        ...     constraints=[{"type": "ineq", "fun": lambda x: 2 + 2 * x[1] - x[0]}, {"type": "ineq", "fun": lambda x: 6 - x[0] - 2 * x[1]}],
        ... )
        >>> result.success, result.x.round(4).tolist()
        (True, [1.0, 2.5])
    """
    if jac is True:
        raise ProblemError(
            "jac=True says that fun returns its gradient too; give a function of the value alone, the gradient is found here"
        )
    arguments = args if isinstance(args, tuple) else (args,)
    start = np.atleast_1d(np.asarray(x0, dtype=float))
    constraints = () if constraints is None else constraints
    given = [constraints] if _is_constraint(constraints) or callable(constraints) else list(constraints)
    blocks = [_block(constraint) for constraint in given]
    nlp = assemble(_with_args(fun, arguments), start, blocks, _variable_bounds(bounds, start))
    ipopt_options: dict[str, Any] = {} if tol is None else {"tol": tol}
    for name, value in (options or {}).items():
        if name == "disp":
            ipopt_options.setdefault("print_level", 5 if value is True else int(value))
        else:
            ipopt_options[_SCIPY_OPTIONS.get(name, name)] = value
    return ipopt.solve(nlp, None, ipopt_options, None if callback is None else _scipy_callback(callback))


def _with_args(function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    if not args:
        return function

    @functools.wraps(function)  # messages and constraint names speak of the user's function
    def call(x: Any) -> Any:
        return function(x, *args)

    return call


def _is_constraint(constraint: Any) -> bool:
    return isinstance(constraint, Mapping) or (hasattr(constraint, "lb") and hasattr(constraint, "ub"))


def _block(constraint: Any) -> ConstraintBlock:
    if isinstance(constraint, Mapping):
        kind, fun = str(constraint.get("type", "")).lower(), constraint.get("fun")
        if kind not in ("eq", "ineq") or not callable(fun):
            raise ProblemError(
                f"a constraint mapping needs 'type' ('eq' or 'ineq') and 'fun' (a function), but has {dict(constraint)!r:.120}"
            )
        args = constraint.get("args", ())
        return ConstraintBlock(
            _with_args(fun, args if isinstance(args, tuple) else (args,)), (0.0, 0.0 if kind == "eq" else np.inf)
        )
    if _is_constraint(constraint) and callable(getattr(constraint, "fun", None)):
        return ConstraintBlock(constraint.fun, constraint)
    if _is_constraint(constraint) and hasattr(constraint, "A"):
        matrix = constraint.A

        def linear(x: Any) -> Any:
            return matrix @ x.ravel()

        return ConstraintBlock(linear, constraint)
    raise ProblemError(
        f"cannot read the constraint {constraint!r:.120}; give NonlinearConstraint, LinearConstraint or {{'type': 'eq' or 'ineq', 'fun': …}}"
    )


def _variable_bounds(bounds: Any, start: Array) -> Any:
    """SciPy's bounds as a pair of arrays."""
    if bounds is None or (hasattr(bounds, "lb") and hasattr(bounds, "ub")):
        return bounds
    pairs: Sequence[Any] = list(bounds)
    if len(pairs) != start.size or any(np.size(pair) != 2 for pair in pairs):
        raise ShapeError(
            f"bounds must be one pair (lower, upper) per variable, so {start.size} of them, or a scipy.optimize.Bounds"
        )
    return both_bounds(([pair[0] for pair in pairs], [pair[1] for pair in pairs]), (start.size,), "of the variables")


def _scipy_callback(callback: Callable[..., Any]) -> Callable[[ipopt.Iteration], None]:
    """A callback for iterations that calls one written for SciPy."""
    try:
        names = list(inspect.signature(callback).parameters)
    except (TypeError, ValueError):  # builtins tell no signature
        names = []

    def report(iteration: ipopt.Iteration) -> None:
        if names == ["intermediate_result"]:
            callback(intermediate_result=Result(x=iteration.x, fun=iteration.objective, nit=iteration.iteration))
        else:
            callback(iteration.x)

    return report
