"""Problems written as NumPy functions: called once with traced arrays, never again.

Objective and constraints are traced by one builder, so that what they share is one part of one tape.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sct_opt.errors import ProblemError, ShapeError
from sct_opt.nlp import NLP
from sct_opt.parameters import indexed_names
from sct_opt.tape import TapeBuilder
from sct_opt.tracing import call_traced, make_inputs, make_parameters
from sct_opt.tracing.provenance import SourceBuilder
from sct_opt.tracing.trace import shaped_output_ids

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class ConstraintBlock:
    """One constraint function and its bounds, which broadcast to what it returns.

    Attributes:
        function: Called with x (and the parameters, if there are any); returns a scalar, an array or a list.
        bounds: A pair (lower, upper) or an object with ``lb`` and ``ub``; None if they are given for all blocks at once.
    """

    function: Callable[..., Any]
    bounds: Any = None


def from_callables(
    objective: Callable[..., Any],
    x0: ArrayLike,
    constraints: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
    bounds: Any = None,
    constraint_bounds: Any = None,
    parameters: Mapping[str, ArrayLike] | ArrayLike | None = None,
    *,
    provenance: bool = False,
) -> NLP:
    """Make a nonlinear program of NumPy functions: minimize objective(x) subject to bounds on constraints(x) and x.

    Args:
        objective: Function of x, or of x and p if there are parameters; returns a scalar.
        x0: Where to start, of any shape; the functions get x in this shape, and results list it in C order.
        constraints: Function that returns a scalar, an array or a list, or several functions, whose results are joined.
        bounds: Of the variables: ``(lower, upper)``, each a scalar or an array that broadcasts to x0's shape, None or
            infinite where there is none; or a `scipy.optimize.Bounds`.
        constraint_bounds: Of the constraints, in the same forms; ``(0, 0)`` for equalities.  Must be given if there
            are constraints.
        parameters: Numbers that may change between solves without tracing again: a mapping of names to numbers or
            arrays, or an array.  The functions get them as second argument, in the same form.
        provenance: Remember which line each operation comes from, for `sct_opt.explain`; makes tracing slower.

    Returns:
        The problem; ``nlp.parameters`` changes its parameters.

    Raises:
        ShapeError: If the objective is not a scalar, or bounds do not fit.
        ProblemError: If there are no variables, bounds are missing, crossed or NaN, or the start is not finite.
        TracingError: If a function cannot be traced soundly.

    Examples:
        >>> nlp = from_callables(
        ...     lambda x, p: p["weight"] * x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        ...     x0=[1.0, 5.0, 5.0, 1.0],
        ...     constraints=lambda x, p: [np.prod(x), np.sum(x**2)],
        ...     bounds=(1, 5),
        ...     constraint_bounds=([25, 40], [np.inf, 40]),
        ...     parameters={"weight": 1.0},
        ... )
        >>> nlp
        NLP(minimize, 4 variables, 2 constraints (1 of them equalities), 1 parameter)
        >>> nlp.objective(nlp.x0)
        16.0
        >>> nlp.parameters["weight"] = 2.0
        >>> nlp.objective(nlp.x0)
        27.0
    """
    functions = [] if constraints is None else [constraints] if callable(constraints) else list(constraints)
    if functions and constraint_bounds is None:
        raise ProblemError(
            "constraint_bounds is missing: give (lower, upper), for example (0, 0) for g(x) = 0 or (0, np.inf) for g(x) >= 0"
        )
    if not functions and constraint_bounds is not None:
        raise ProblemError("constraint_bounds are given, but no constraints")
    return assemble(
        objective,
        x0,
        [ConstraintBlock(function) for function in functions],
        bounds,
        constraint_bounds,
        parameters,
        SourceBuilder() if provenance else None,
    )


def assemble(
    objective: Callable[..., Any],
    x0: ArrayLike,
    blocks: Sequence[ConstraintBlock],
    bounds: Any = None,
    constraint_bounds: Any = None,
    parameters: Mapping[str, ArrayLike] | ArrayLike | None = None,
    builder: TapeBuilder | None = None,
) -> NLP:
    """Trace an objective and blocks of constraints into one problem.

    Args:
        objective: As for `from_callables`.
        x0: As for `from_callables`.
        blocks: The constraint functions, each with its own bounds unless `constraint_bounds` holds them all.
        bounds: As for `from_callables`.
        constraint_bounds: As for `from_callables`.
        parameters: As for `from_callables`.
        builder: Where to emit to, a new builder if None.

    Returns:
        The problem.
    """
    clock = time.perf_counter()
    start = _start(x0)
    builder = TapeBuilder() if builder is None else builder
    inputs = make_inputs(builder, start)
    arguments, parameter_names = _traced_parameters(builder, parameters)

    def call(function: Callable[..., Any], what: str) -> tuple[Array, tuple[int, ...]]:
        if not callable(function):
            raise ProblemError(f"{what} must be a function, not {type(function).__name__}")
        # Each function gets an x of its own: it may assign into it.
        result = call_traced(builder, function, inputs.copy() if start.ndim else inputs.item(), *arguments)
        ids, shape, _ = shaped_output_ids(builder, result, what, function)
        return ids, shape

    outputs, shape = call(objective, "the objective")
    if shape not in ((), (1,)):
        raise ShapeError(
            f"the objective {place(objective)} returned shape {shape}, but must return a scalar; sum it up or return one entry"
        )
    names: list[tuple[str, tuple[int, ...]]] = []
    lower, upper = [np.zeros(0)], [np.zeros(0)]
    all_ids = [outputs]
    for block in blocks:
        ids, shape = call(block.function, "a constraint function")
        all_ids.append(ids)
        names.append((_constraint_name(block.function, [name for name, _ in names]), shape))
        if block.bounds is not None:
            low, high = both_bounds(block.bounds, shape, f"of the constraint function {place(block.function)}")
            lower.append(low)
            upper.append(high)
    tape = builder.freeze(np.concatenate(all_ids))
    if constraint_bounds is not None:
        shape = names[0][1] if len(names) == 1 else (tape.num_outputs - 1,)
        cl, cu = both_bounds(constraint_bounds, shape, "of the constraints")
    else:
        cl, cu = np.concatenate(lower), np.concatenate(upper)
    lb, ub = both_bounds(bounds, start.shape, "of the variables")
    nlp = NLP(
        tape,
        start.ravel(),
        lb,
        ub,
        cl,
        cu,
        variable_names=None if start.ndim == 1 else lambda: list(indexed_names("x", start.shape)),
        constraint_names=lambda: [entry for name, shape in names for entry in indexed_names(name, shape)],
        parameter_names=parameter_names,
    )
    nlp.timings["trace"] = time.perf_counter() - clock
    return nlp


def both_bounds(bounds: Any, shape: tuple[int, ...], whose: str) -> tuple[Array, Array]:
    """Lower and upper bounds as flat arrays.

    Args:
        bounds: A pair (lower, upper), an object with ``lb`` and ``ub``, or None.
        shape: What they broadcast to.
        whose: Whose bounds they are, for messages.

    Returns:
        Two arrays; infinite where there is no bound.

    Raises:
        ShapeError: If they are not a pair, or do not fit `shape`.

    >>> both_bounds((0, [None, 2.0]), (2,), "of x")
    (array([0., 0.]), array([inf,  2.]))
    """
    if bounds is None:
        pair: Any = (None, None)
    elif hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        pair = (bounds.lb, bounds.ub)
    elif isinstance(bounds, (tuple, list, np.ndarray)) and len(bounds) == 2:
        pair = bounds
    else:
        pairs = isinstance(bounds, (tuple, list, np.ndarray)) and all(np.size(entry) == 2 for entry in bounds)
        mend = (
            "turn a list of (lower, upper) pairs, one per entry, into two lists with tuple(zip(*bounds))"
            if pairs
            else "give a pair (lower, upper)"
        )
        raise ShapeError(
            f"the bounds {whose} must be (lower, upper), each a scalar or an array, but are {bounds!r:.80}; {mend}"
        )
    return _side(pair[0], -np.inf, shape, f"the lower bound {whose}"), _side(
        pair[1], np.inf, shape, f"the upper bound {whose}"
    )


def _side(value: Any, free: float, shape: tuple[int, ...], what: str) -> Array:
    entries = np.asarray(free if value is None else value)
    try:
        if entries.dtype == object:
            entries = np.array([free if entry is None else float(entry) for entry in entries.flat]).reshape(
                entries.shape
            )
        array = entries.astype(float)
    except (TypeError, ValueError):
        raise ShapeError(f"{what} must hold numbers, but is {value!r:.80}") from None
    size = int(np.prod(shape, dtype=int))
    if array.size == size and array.shape != shape:
        array = array.reshape(shape)
    try:
        return np.array(np.broadcast_to(array, shape)).ravel()
    except ValueError:
        raise ShapeError(
            f"{what} has shape {array.shape}, which does not fit shape {shape}; pass a scalar or that shape"
        ) from None


def _start(x0: ArrayLike) -> Array:
    try:
        start = np.array([] if x0 is None else x0, dtype=float)
    except (TypeError, ValueError):
        raise ProblemError(f"the start x0 must be an array of numbers, but is {x0!r:.80}") from None
    if start.size == 0:
        raise ProblemError("the problem has no variables: x0 is empty; give a start with one number per variable")
    return start


def _traced_parameters(
    builder: TapeBuilder, parameters: Mapping[str, ArrayLike] | ArrayLike | None
) -> tuple[tuple[Any, ...], dict[str, tuple[int, ...]] | None]:
    if parameters is None:
        return (), None
    if isinstance(parameters, Mapping):
        arrays = {name: np.array(value, dtype=float) for name, value in parameters.items()}
        return ({name: make_parameters(builder, array) for name, array in arrays.items()},), {
            name: array.shape for name, array in arrays.items()
        }
    array = np.array(parameters, dtype=float)
    return (make_parameters(builder, array),), {"p": array.shape}


def _constraint_name(function: Callable[..., Any], taken: Sequence[str]) -> str:
    own = getattr(function, "__name__", "g")
    name = own if own.isidentifier() else "g"
    return name if name not in taken else f"{name}_{len(taken)}"


def place(function: Callable[..., Any]) -> str:
    """Name and place of a function for messages.

    Args:
        function: Any callable.

    Returns:
        Its name, with file and line if it is written in Python.

    >>> place(np.sin)
    "'sin'"
    """
    function = inspect.unwrap(function)
    function = function.func if isinstance(function, functools.partial) else function
    name = getattr(function, "__name__", type(function).__name__)
    code = getattr(function, "__code__", None) or getattr(getattr(function, "__call__", None), "__code__", None)  # noqa: B004 - whose code, not whether
    return f"{name!r}" if code is None else f"{name!r} ({code.co_filename}:{code.co_firstlineno})"
