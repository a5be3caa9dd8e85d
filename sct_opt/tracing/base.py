"""What traced scalars and arrays share: NumPy's protocols and the conversion of any operand to node ids.

`TracedBase` receives NumPy's ufunc and function calls and looks their implementations up in `UFUNC_METHODS` and
`FUNCTIONS`, which the modules of `sct_opt.tracing.functions` fill.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from sct_opt.errors import TracingError
from sct_opt.tape import Array, TapeBuilder
from sct_opt.tracing.location import foreign, missing_primal, unsupported, where

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""Implementations of NumPy functions for traced arguments."""

UFUNC_METHODS: dict[str, Callable[..., Any]] = {}
"""Implementations of ``ufunc.__call__``, ``reduce``, ``accumulate``, ``outer``, ``at``, ``reduceat``."""

FLOAT, BOOL, INT = "f", "b", "i"
"""Kinds of traced values, which decide what ``&`` and indexing mean; a value is a float in every case."""

DTYPES = {FLOAT: np.dtype(np.float64), BOOL: np.dtype(np.bool_), INT: np.dtype(np.int64)}


class ComplexOperandError(TracingError):
    """A complex number met a traced value; ufuncs answer it by going on with real and imaginary parts."""


COMPLEX: dict[str, Callable[..., Any]] = {}
"""How a ``ufunc`` or a ``function`` goes on with complex operands; `sct_opt.tracing.complex` registers it."""

ASSIGN: dict[str, Callable[..., Any]] = {}
"""How results are written into ``out``; `sct_opt.tracing.ufuncs` registers it."""

_F = TypeVar("_F", bound=Callable[..., Any])


def implements(*functions: Any) -> Callable[[_F], _F]:
    """Register the implementation of NumPy functions."""

    def register(implementation: _F) -> _F:
        for function in functions:
            FUNCTIONS[function] = implementation
        return implementation

    return register


class TracedBase:
    """Base of `TracedScalar` and `Traced`."""

    __slots__ = ()

    __array_priority__ = 1000.0
    builder: TapeBuilder
    shape: Any
    kind: Any = FLOAT

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that plain NumPy would have here."""
        return DTYPES[self.kind]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return UFUNC_METHODS[method](ufunc, *inputs, **kwargs)

    def __format__(self, spec: str) -> str:
        # there is no number to show, and nobody should fail for printing
        return repr(self)

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        position = _out_position(function)
        if kwargs.get("out") is not None:
            target = kwargs["out"]
            kwargs = {name: value for name, value in kwargs.items() if name != "out"}
        elif position is not None and len(args) > position and args[position] is not None:
            target = args[position]
            args = (*args[:position], None, *args[position + 1 :])
        else:
            return self._call_function(function, args, kwargs)
        if isinstance(target, tuple):
            (target,) = target
        traced = find_builder([*args, *kwargs.values()]) is not None
        return ASSIGN["out"](
            target, self._call_function(function, args, kwargs) if traced else function(*args, **kwargs)
        )

    def _call_function(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        implementation = FUNCTIONS.get(function)
        if implementation is None:
            plain_args, plain_kwargs = constants_only(args), constants_only(kwargs)
            if plain_args is not None and plain_kwargs is not None:
                return function(*plain_args, **plain_kwargs)
            module = getattr(function, "__module__", "numpy")
            raise unsupported(f"{module}.{getattr(function, '__name__', function)}")
        try:
            return implementation(*args, **kwargs)
        except ComplexOperandError:
            return COMPLEX["function"](function, args, kwargs)


@functools.cache
def _out_position(function: Any) -> int | None:
    """Where a NumPy function takes ``out`` among its positional arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names.index("out") if "out" in names else None


def only_defaults(name: str, given: dict[str, Any]) -> None:
    """Refuse arguments that an implementation does not know, instead of ignoring them.

    Args:
        name: of the function.
        given: keyword arguments; those that are None or NumPy's mark for not given are fine.
    """
    meant = sorted(
        key for key, value in given.items() if value is not None and value is not np._NoValue and value is not True
    )
    if meant:
        raise unsupported(f"{name} with {', '.join(meant)}=")


def constants_only(value: Any) -> Any:
    """The argument with constants in place of traced values, None if one of these is no constant."""
    if isinstance(value, TracedBase):
        ids = node_ids(value)
        return None if ids.size and ids.max() >= 0 else np.asarray(value)
    if isinstance(value, (list, tuple)):
        parts = [constants_only(item) for item in value]
        return (
            None
            if any(p is None and item is not None for p, item in zip(parts, value, strict=True))
            else type(value)(parts)
        )
    if isinstance(value, dict):
        values = {key: constants_only(item) for key, item in value.items()}
        return None if any(v is None and value[key] is not None for key, v in values.items()) else values
    return value


def node_ids(value: Any) -> Array:
    """The ids of a traced value, as an array."""
    ids: Array = value.ids
    return ids


def builder_of(*values: Any) -> TapeBuilder:
    """The builder of the first traced value among the arguments, looked for in lists and object arrays too.

    Raises:
        TracingError: nothing is traced.
    """
    for value in values:
        found = find_builder(value)
        if found is not None:
            return found
    raise TracingError(f"no traced value among the arguments\n  at {where()}")


def find_builder(value: Any) -> TapeBuilder | None:
    """The builder of a traced value or of the first one in a container, None if there is none."""
    if isinstance(value, TracedBase):
        return value.builder
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype == object):
        for item in value if isinstance(value, (list, tuple)) else value.flat:
            found = find_builder(item)
            if found is not None:
                return found
    return None


def ids_of(builder: TapeBuilder, value: Any) -> Array:
    """Node ids of anything that NumPy would take as an operand.

    Args:
        builder: the builder of the trace.
        value: traced value, number, array, or nested list of these.

    Raises:
        TracingError: ``value`` is of another trace, or is nothing that can be computed with.
    """
    if isinstance(value, TracedBase):
        if value.builder is not builder:
            raise foreign()
        return node_ids(value)
    if isinstance(value, (float, int, np.floating, np.integer, np.bool_)):
        return np.array(builder.constant(float(value)), dtype=np.int32)
    if isinstance(value, (list, tuple)):
        parts = [ids_of(builder, item) for item in value]
        if not parts:
            return np.zeros(0, dtype=np.int32)
        if any(part.shape != parts[0].shape for part in parts):
            raise TracingError(
                f"a nested list of unequal lengths {sorted({p.shape for p in parts})} is not an array\n  at {where()}\n  mend: join the parts with np.concatenate or np.hstack"
            )
        return np.stack(parts)
    return _ids_of_array(builder, value)


def _ids_of_array(builder: TapeBuilder, value: Any) -> Array:
    if (
        getattr(value, "dtype", None) == np.complex128
        and hasattr(value, "imag")
        and not isinstance(value, (np.ndarray, np.generic))
    ):
        raise ComplexOperandError(
            f"complex traced values stand where real ones are needed\n  at {where()}\n  mend: take z.real, z.imag or abs(z)"
        )
    if type(value).__module__.startswith("scipy.sparse"):
        raise TracingError(
            f"a scipy.sparse {type(value).__name__} stands where an array is needed\n  at {where()}\n  mend: multiply with A @ x, or convert with A.toarray()"
        )
    array = np.asarray(value)
    if array.dtype == object:
        ids = np.empty(array.size, dtype=np.int32)
        for k, item in enumerate(array.flat):
            if item is None or isinstance(item, (str, bytes, dict, set)) or (item is value):
                raise TracingError(f"{_shown(item)} stands where a number is needed\n  at {where()}")
            part = ids_of(builder, item)
            if part.size != 1:
                raise TracingError(
                    f"an object array holds an array of shape {part.shape}\n  at {where()}\n  mend: use np.stack or np.concatenate"
                )
            ids[k] = part.item()
        return ids.reshape(array.shape)
    if array.dtype.kind == "c":
        if array.imag.any():
            raise ComplexOperandError(
                f"complex numbers stand where real ones are needed\n  at {where()}\n  mend: take the real and imaginary part, or abs"
            )
        array = array.real
    if array.dtype.kind not in "fiub":
        raise TracingError(f"{_shown(value)} stands where a number is needed\n  at {where()}")
    if array.size > 1 and array.strides.count(0) == array.ndim:
        return np.broadcast_to(np.array(builder.constant(float(array.flat[0])), dtype=np.int32), array.shape)
    return builder.constants(array.astype(float, copy=False))


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:57] + '...'}"


def kind_of(value: Any) -> str:
    """The kind, float, bool or int, of an operand."""
    if isinstance(value, TracedBase):
        return str(value.kind)
    if isinstance(value, (float, np.floating)):
        return FLOAT
    if isinstance(value, (bool, np.bool_)):
        return BOOL
    if isinstance(value, (int, np.integer)):
        return INT
    if isinstance(value, (list, tuple)):
        kinds = {kind_of(item) for item in value}
        return FLOAT if FLOAT in kinds or not kinds else INT if INT in kinds else BOOL
    dtype = getattr(value, "dtype", None)
    code = getattr(dtype, "kind", "f")
    if code == "O":
        kinds = {kind_of(item) for item in value.flat}
        return FLOAT if FLOAT in kinds or not kinds else INT if INT in kinds else BOOL
    return BOOL if code == "b" else INT if code in "iu" else FLOAT


def plain_number(value: Any, needed: str) -> float:
    """The number behind a traced scalar if it does not depend on x, else the error that says what to do.

    Constants have a value in every mode; the truth value and the integer part have no derivatives, so that local
    traces know them too.
    """
    builder: TapeBuilder = value.builder
    i = int(node_ids(value))
    if i < 0:
        return float(builder.constant_value(i))
    if needed == "bool" and (truth := builder.truth(i)) is not None:
        return float(truth)
    if builder.local and needed == "int":
        return float(builder.value(np.array(i)))
    raise missing_primal(needed, builder.local)
