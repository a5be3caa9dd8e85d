"""What makes ordinary NumPy code traceable unchanged: stand-ins for some functions while a function is traced.

``out = np.zeros(m); out[i] = x[0]`` needs a buffer that can hold traced values, ``np.array([x[0], x[1]])`` an array
of them, and ``math.sin(x[0])`` a sine that knows them; NumPy and math offer no protocol for these.  So, while a trace
runs, the functions below are replaced in their modules and wherever the user's modules hold them by name
(``from math import sin``).  A stand-in does what the original does unless the call comes from user code of the tracing
thread (constructors) or has a traced argument (all others).  The originals come back when the last trace ends.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sys
import sysconfig
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sct_opt.tape import TapeBuilder
from sct_opt.tracing.array import Traced
from sct_opt.tracing.base import FLOAT, TracedBase, find_builder, kind_of
from sct_opt.tracing.callsite import calls_by_name
from sct_opt.tracing.functions.creation import buffer
from sct_opt.tracing.location import INSIDE
from sct_opt.tracing.ufuncs import as_traced

_LOCK = threading.RLock()


class _Active(threading.local):
    """The builders of the traces that run in this thread, innermost last."""

    def __init__(self) -> None:
        self.builders: list[TapeBuilder] = []


_ACTIVE = _Active()


def _builder_for_caller() -> TapeBuilder | None:
    """The running trace if the stand-in was called by user code of its thread."""
    if not _ACTIVE.builders:
        return None
    frame = sys._getframe(2)
    if frame.f_code.co_filename.startswith(INSIDE) or not calls_by_name(frame, *_constructors()):
        return None
    return _ACTIVE.builders[-1]


@functools.cache
def _constructors() -> tuple[frozenset[str], frozenset[int]]:
    """Names and ids of the stand-ins that depend on who calls them."""
    found = [(name, stand_in) for owner, name, stand_in in _STAND_INS if owner is np]
    return frozenset(name for name, _ in found), frozenset(id(stand_in) for _, stand_in in found)


def _is_floating(dtype: Any) -> bool:
    return dtype is None or np.dtype(dtype).kind in "fO"


def _filled(original: Callable[..., Any], value: float) -> Callable[..., Any]:
    @functools.wraps(original)
    def create(shape: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        if _is_floating(dtype) and (builder := _builder_for_caller()) is not None:
            return buffer(builder, shape, value)
        return original(shape, dtype, *args, **kwargs) if dtype is not None else original(shape, *args, **kwargs)

    return create


def _full(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def full(shape: Any, fill_value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        builder = _builder_for_caller()
        if (
            builder is not None
            and _is_floating(dtype)
            and (dtype is not None or kind_of(fill_value) == FLOAT or find_builder(fill_value))
        ):
            return buffer(builder, shape, fill_value)
        return original(shape, fill_value, dtype, *args, **kwargs)

    return full


def _matrix(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def create(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if result.dtype.kind == "f" and (builder := _builder_for_caller()) is not None:
            return buffer(builder, result.shape, result)
        return result

    return create


def _like(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def like(prototype: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(prototype, *args, **kwargs)
        if (
            isinstance(result, np.ndarray)
            and result.dtype.kind in "fO"
            and (builder := _builder_for_caller()) is not None
        ):
            return buffer(builder, result.shape, result)
        return result

    return like


def _conversion(original: Callable[..., Any], copy: bool) -> Callable[..., Any]:
    @functools.wraps(original)
    def convert(value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype != object:
            return original(value, dtype, *args, **kwargs)
        builder = find_builder(value)
        if builder is None or _builder_for_caller() is None or (dtype is not None and np.dtype(dtype) == object):
            return original(value, dtype, *args, **kwargs)
        array = as_traced(value, builder)
        if dtype is not None:
            array = np.astype(array, dtype, copy=copy)
        elif copy and kwargs.get("copy", True):
            array = array.copy()
        if isinstance(array, TracedBase) and not isinstance(array, Traced):
            array = Traced(builder, array.ids, array.kind)  # type: ignore[attr-defined]
        missing = kwargs.get("ndmin", 0) - array.ndim
        return array.reshape((1,) * missing + array.shape) if missing > 0 else array

    return convert


def _from_iterator(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def fromiter(values: Any, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        items = list(values)
        builder = find_builder(items)
        return original(iter(items), dtype, *args, **kwargs) if builder is None else as_traced(items, builder)

    return fromiter


def _isscalar(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def isscalar(element: Any) -> bool:
        return bool(original(element)) or (
            isinstance(element, TracedBase) and not isinstance(element, Traced) and _builder_for_caller() is not None
        )

    return isscalar


def by_arguments(original: Callable[..., Any], implementation: Callable[..., Any]) -> Callable[..., Any]:
    """A stand-in that turns to the implementation if an argument is traced."""

    @functools.wraps(original)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            if isinstance(value, TracedBase) or (
                isinstance(value, (list, tuple, np.ndarray)) and find_builder(value) is not None
            ):
                return implementation(*args, **kwargs)
        return original(*args, **kwargs)

    return dispatch


# -- math ------------------------------------------------------------------------------------------------------------


def _log(x: Any, base: Any = None) -> Any:
    return np.log(x) if base is None else np.log(x) / np.log(base)


def _special(name: str) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        import scipy.special  # noqa: PLC0415 - heavy, and needed by few

        return getattr(scipy.special, name)(*args)

    return call


def _ieee_remainder(x: Any, y: Any) -> Any:
    return x - y * np.rint(np.divide(x, y))


def _sumprod(p: Any, q: Any) -> Any:
    return sum(a * b for a, b in zip(p, q, strict=True))


def _math_isclose(a: Any, b: Any, *, rel_tol: float = 1e-9, abs_tol: float = 0.0) -> Any:
    return np.less_equal(
        np.absolute(np.subtract(a, b)), np.maximum(rel_tol * np.maximum(np.absolute(a), np.absolute(b)), abs_tol)
    )


_MATH: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(np, name)
        for name in [
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "exp",
            "expm1",
            "log10",
            "log2",
            "log1p",
            "sqrt",
            "fabs",
            "floor",
            "ceil",
            "trunc",
            "fmod",
            "copysign",
            "degrees",
            "radians",
            "isnan",
            "isinf",
            "isfinite",
            "modf",
            "frexp",
            "ldexp",
        ]
    },
    **{name: getattr(np, f"arc{name[1:]}") for name in ["asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2"]},
    "log": _log,
    "cbrt": np.cbrt,
    "exp2": np.exp2,
    "pow": np.power,
    "hypot": lambda *args: functools.reduce(np.hypot, args),
    "erf": _special("erf"),
    "erfc": _special("erfc"),
    "gamma": _special("gamma"),
    "lgamma": _special("gammaln"),
    "fsum": sum,
    "prod": lambda values, start=1: functools.reduce(lambda a, b: a * b, values, start),
    "dist": lambda p, q: np.sqrt(sum((a - b) ** 2 for a, b in zip(p, q, strict=True))),
    "sumprod": _sumprod,
    "remainder": _ieee_remainder,
    "isclose": _math_isclose,
}


def untraced(owner: Any, name: str) -> Callable[..., Any]:
    """The original of a method that has a stand-in."""
    method = getattr(owner, name)
    return getattr(method, "__wrapped__", method)  # type: ignore[no-any-return]


def _numpy_stand_ins() -> Iterator[tuple[Any, str, Callable[..., Any]]]:
    for name, value in (("zeros", 0.0), ("empty", 0.0), ("ones", 1.0)):
        yield np, name, _filled(getattr(np, name), value)
    yield np, "full", _full(np.full)
    yield np, "eye", _matrix(np.eye)
    yield np, "identity", _matrix(np.identity)
    for name in ("zeros_like", "empty_like", "ones_like", "full_like"):
        yield np, name, _like(getattr(np, name))
    for name in ("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"):
        yield np, name, _conversion(getattr(np, name), copy=name == "array")
    yield np, "fromiter", _from_iterator(np.fromiter)
    yield np, "isscalar", _isscalar(np.isscalar)
    for name, implementation in _MATH.items():
        if hasattr(math, name):
            yield math, name, by_arguments(getattr(math, name), implementation)


_STAND_INS = list(_numpy_stand_ins())
"""Module or class, attribute, stand-in."""

_SITE_PACKAGES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class _Installed:
    """What is replaced at the moment, and how often it was asked for."""

    def __init__(self) -> None:
        self.depth = 0
        self.undo: list[Callable[[], None]] = []
        self.by_id: dict[int, Callable[..., Any]] = {}

    def enter(self) -> None:
        self.depth += 1
        if self.depth > 1:
            return
        from sct_opt.tracing import scipy_functions  # noqa: PLC0415 - it registers with this module

        for owner, name, stand_in in [*_STAND_INS, *scipy_functions.stand_ins()]:
            original = vars(owner).get(name)
            if original is None or original is stand_in:
                continue
            self.by_id[id(original)] = stand_in
            setattr(owner, name, stand_in)
            self.undo.append(functools.partial(setattr, owner, name, original))
        for name in sys.modules.keys() - _FOREIGN:
            module = sys.modules[name]
            if isinstance(module, types.ModuleType) and _is_users(module):
                self.rebind(vars(module))
            else:
                _FOREIGN.add(name)

    def rebind(self, names: dict[str, Any]) -> None:
        """Replace the originals that a namespace holds by name."""
        by_id = self.by_id
        found = [(name, value) for name, value in list(names.items()) if id(value) in by_id]
        for name, value in found:
            names[name] = by_id[id(value)]
            self.undo.append(functools.partial(names.__setitem__, name, value))

    def rebind_cells(self, function: Any) -> None:
        """Replace the originals that a function closes over."""
        for cell in getattr(function, "__closure__", None) or ():
            try:
                value = cell.cell_contents
            except ValueError:  # not yet filled
                continue
            if id(value) in self.by_id:
                cell.cell_contents = self.by_id[id(value)]
                self.undo.append(functools.partial(setattr, cell, "cell_contents", value))
            elif isinstance(value, types.FunctionType) and value.__globals__ is not function.__globals__:
                self.rebind(value.__globals__)

    def leave(self) -> None:
        self.depth -= 1
        if self.depth == 0:
            for undo in reversed(self.undo):
                undo()
            self.undo.clear()
            self.by_id.clear()


_FOREIGN: set[str] = set()
"""Names of loaded modules that are not the user's."""


def _is_users(module: types.ModuleType) -> bool:
    # vars: modules that load lazily would do so if asked for an attribute
    file = vars(module).get("__file__")
    if file is None:
        return vars(module).get("__name__") == "__main__"
    return file.endswith(".py") and not file.startswith(INSIDE) and not file.startswith(_SITE_PACKAGES)


_INSTALLED = _Installed()


@contextlib.contextmanager
def tracing(builder: TapeBuilder, *functions: Any) -> Iterator[None]:
    """Let unchanged NumPy code run traced in this thread until the block ends.

    Args:
        builder: the builder of the trace.
        functions: the functions to be traced, whose modules may hold NumPy's and math's functions by name.
    """
    with _LOCK:
        _INSTALLED.enter()
        for function in functions:
            plain = _underlying(function)
            if plain is not None:
                _INSTALLED.rebind(plain.__globals__)
                _INSTALLED.rebind_cells(plain)
    _ACTIVE.builders.append(builder)
    try:
        yield
    finally:
        _ACTIVE.builders.pop()
        with _LOCK:
            _INSTALLED.leave()


def _underlying(function: Any) -> types.FunctionType | None:
    """The Python function behind methods, partials, decorated functions and callable objects."""
    for _ in range(20):
        if isinstance(function, types.FunctionType):
            wrapped = getattr(function, "__wrapped__", None)
            if wrapped is None:
                return function
            function = wrapped
        elif isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        else:
            function = getattr(type(function), "__call__", None) if function is not None else None  # noqa: B004 - its function is wanted
    return None
