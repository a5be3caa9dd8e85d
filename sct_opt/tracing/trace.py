"""Trace a Python function: make traced arguments, call it, take the node ids of what it returns."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sct_opt.errors import MissingPrimalError, ShapeError, TracingError
from sct_opt.tape import Array, ConstantsPolicy, Tape, TapeBuilder
from sct_opt.tracing.array import Traced
from sct_opt.tracing.base import TracedBase, ids_of
from sct_opt.tracing.complex import TracedComplex
from sct_opt.tracing.location import INSIDE, RAISED
from sct_opt.tracing.selected import Selected, shape_error
from sct_opt.tracing.stand_ins import tracing


@dataclass(frozen=True, slots=True)
class TracedFunction:
    """A function on a tape.

    Attributes:
        tape: its outputs are the function's, flattened in C order and concatenated in the order returned.
        input_shape: shape of ``x``.
        output_shape: shape of what was returned; for several outputs of unequal shapes, of the concatenation.
        output_shapes: shapes of the single outputs if the function returned a tuple.
    """

    tape: Tape
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...] = field(default=())


def make_inputs(builder: TapeBuilder, x: Any) -> Traced:
    """Append the inputs of a trace: a traced array of the shape of ``x``.

    To call several functions with the same inputs, give each its own ``.copy()``: a function may assign into its argument.

    Args:
        builder: where to emit.
        x: numbers, whose values count in local mode only.
    """
    values = np.asarray(x, dtype=float)
    return Traced(builder, builder.inputs(values.size, values.ravel()).reshape(values.shape))


def make_parameters(builder: TapeBuilder, values: Any) -> Any:
    """Append parameters: a traced array of the shape of ``values``; dicts, lists of arrays and tuples keep their structure.

    Args:
        builder: where to emit.
        values: default values.
    """
    if isinstance(values, Mapping):
        return {name: make_parameters(builder, value) for name, value in values.items()}
    if isinstance(values, tuple):
        return tuple(make_parameters(builder, value) for value in values)
    array = np.asarray(values, dtype=float)
    traced = Traced(builder, builder.parameter_block(array.ravel()).reshape(array.shape))
    return traced if array.ndim else traced.item()


def call_traced(builder: TapeBuilder, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function with traced arguments, in such a way that ordinary NumPy code works unchanged.

    Args:
        builder: the builder of the trace.
        function: what to call.
        args: positional arguments, traced or not.
        kwargs: keyword arguments.

    Returns:
        What the function returned; `output_ids` takes it from there.

    Raises:
        MissingPrimalError: a traced value was used as an index of a plain array, besides what the function raises.
        TracingError: the function caught an error of tracing and went on.
    """
    before = len(RAISED.errors)
    with tracing(builder, function):
        try:
            result = function(*args, **kwargs)
            if len(RAISED.errors) > before:
                caught = RAISED.errors[before]
                raise type(caught)(
                    f"{caught}\n  The function caught this error and went on, so that what it returned may lack dependences;\n"
                    "  besides mending the line, let its `except` name the exceptions that it is meant for"
                ) from caught
            return result
        except IndexError as error:
            if not str(error).startswith(("only integers, slices", "arrays used as indices must be")):
                raise
            # NumPy asked a traced value for its integer, and drops the answer
            last = _users_frame(error)
            raise MissingPrimalError(
                f"an index is not an integer: {error}\n  at {last.filename}:{last.lineno} in {last.name}: `{last.line}`\n"
                "  mend: if the index depends on x, choose with so.where or interpolate with np.interp; at one point, detect with so.TracerLocalSparsityDetector()"
            ) from error
        except TypeError as error:
            if "which has no callable" not in str(error):
                raise
            # a ufunc met a list in which numbers and traced values are mixed, and went through it as objects
            last = _users_frame(error)
            raise TracingError(
                f"an array of Python objects holds traced values beside plain numbers: {error}\n"
                f"  at {last.filename}:{last.lineno} in {last.name}: `{last.line}`\n"
                "  mend: make arrays of lists with np.array or np.stack before they are joined or computed with"
            ) from error
        finally:
            del RAISED.errors[before:]


def _users_frame(error: Exception) -> traceback.FrameSummary:
    """Where in the user's code an error came up."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame for frame in reversed(frames) if not frame.filename.startswith(INSIDE)), frames[-1])


def output_ids(
    builder: TapeBuilder, result: Any, what: str = "the function", function: Callable[..., Any] | None = None
) -> Array:
    """Node ids of what a traced function returned, flattened.

    Args:
        builder: the builder of the trace.
        result: traced values, numbers, arrays, nested lists of these.
        what: what to call the function in messages: ``"the objective"``.
        function: the function, whose name and place messages give.

    Raises:
        TracingError: the result is None, or nothing that can be computed with.
    """
    return shaped_output_ids(builder, result, what, function)[0]


def shaped_output_ids(
    builder: TapeBuilder, result: Any, what: str = "the function", function: Callable[..., Any] | None = None
) -> tuple[Array, tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """As `output_ids`, with the shape of the result and, for tuples, the shapes of its parts."""
    place = _place(what, function)
    if result is None:
        raise TracingError(
            f"{place} returned None\n  mend: end it with a return statement; a function f(y, x) that fills y is traced with out=y"
        )
    if isinstance(result, TracedComplex) or (isinstance(result, (complex, np.complexfloating)) and result.imag):
        raise TracingError(
            f"{place} returned complex numbers\n  mend: return abs(z), z.real, or np.concatenate([z.real, z.imag])"
        )
    if isinstance(result, Selected):
        raise shape_error()
    if isinstance(result, (str, bytes, Mapping, set)) or callable(result):
        raise TracingError(
            f"{place} returned {type(result).__name__}, not numbers\n  mend: return a number, an array, or a list or tuple of these"
        )
    if type(result).__module__.startswith("scipy.sparse"):
        raise TracingError(
            f"{place} returned a scipy.sparse {type(result).__name__}\n  mend: return result.data for its stored entries, or result.toarray()"
        )
    if isinstance(result, (list, tuple)):
        parts = [shaped_output_ids(builder, part, what, function) for part in result]
        shapes = tuple(shape for _, shape, _ in parts)
        flat = np.concatenate([ids for ids, _, _ in parts]) if parts else np.zeros(0, dtype=np.int32)
        same = len(set(shapes)) == 1
        return flat, (len(parts), *shapes[0]) if same else (flat.size,), shapes if isinstance(result, tuple) else ()
    try:
        ids = ids_of(builder, result)
    except TracingError as error:
        raise type(error)(f"{place} returned something that cannot be used: {error}") from error
    return ids.ravel(), ids.shape, ()


def _place(what: str, function: Callable[..., Any] | None) -> str:
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", None) or (type(function).__name__ if function is not None else "")
    named = f"{what} {name}".strip() if name else what
    return f"{named} ({code.co_filename}:{code.co_firstlineno})" if code is not None else named


def trace_function(
    f: Callable[..., Any],
    x: Any,
    *,
    constants: ConstantsPolicy = "exact",
    local: bool = False,
    out: Any = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    parameters: Any = None,
    builder: TapeBuilder | None = None,
) -> TracedFunction:
    """Trace ``f(x, *args, **kwargs)``, or ``f(out, x, *args, **kwargs)`` if it fills ``out``.

    Args:
        f: the function.
        x: where its argument's shape is taken from, and in local mode its value.
        constants: what becomes of zero factors, see `TapeBuilder`.
        local: let comparisons follow the branch taken at ``x``.
        out: an array to be filled; only its shape and values are used.
        args: further positional arguments, passed unchanged.
        kwargs: keyword arguments, passed unchanged.
        parameters: numbers that may change later without a new trace; passed traced, right after ``x``.
        builder: a builder to emit into, in place of a new one of the given policy and mode.

    Returns:
        The tape and the shapes.

    Raises:
        TracingError: the function cannot be traced soundly; the message names the line and the mend.

    >>> traced = trace_function(lambda x: x[1:] * x[:-1], np.zeros(3))
    >>> traced.output_shape, traced.tape.num_outputs
    ((2,), 2)
    """
    try:
        values = np.asarray(x, dtype=float)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"x is not an array of real numbers: {error}") from error
    builder = TapeBuilder(constants, local) if builder is None else builder
    inputs = make_inputs(builder, values)
    positional: tuple[Any, ...] = (inputs.copy() if values.ndim else inputs.item(),)
    if parameters is not None:
        positional += (make_parameters(builder, parameters),)
    if out is None:
        result = call_traced(builder, f, *positional, *args, **(kwargs or {}))
    else:
        result = Traced(builder, np.array(ids_of(builder, np.asarray(out, dtype=float))))
        call_traced(builder, f, result, *positional, *args, **(kwargs or {}))
    ids, shape, shapes = shaped_output_ids(builder, result, function=f)
    return TracedFunction(builder.freeze(ids), values.shape, shape, shapes)


def is_traced(value: Any) -> bool:
    """Whether a value is a traced scalar or array."""
    return isinstance(value, TracedBase)
