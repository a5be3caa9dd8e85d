"""What makes ordinary NumPy code traceable unchanged: stand-ins for some functions while a function is traced.

``out = np.zeros(m); out[i] = x[0]`` needs a buffer that can hold traced values, ``np.array([x[0], x[1]])`` an array
of them, and ``math.sin(x[0])`` a sine that knows them; NumPy and math offer no protocol for these.  So, while a trace
runs, `sct_opt.tracing.stand_ins` replaces the functions below.  A stand-in does what the original does unless the call
comes from user code of the tracing thread (constructors) or has a traced argument (all others).
"""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sct_opt.tracing.array import Traced
from sct_opt.tracing.base import FLOAT, FUNCTIONS, TracedBase, find_builder, kind_of
from sct_opt.tracing.functions.creation import buffer
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.scalar import CODES, TracedScalar
from sct_opt.tracing.stand_ins import STAND_INS, builder_for_caller, by_arguments
from sct_opt.tracing.ufuncs import as_traced


def _is_floating(dtype: Any) -> bool:
    return dtype is None or np.dtype(dtype).kind in "fO"


def _filled(original: Callable[..., Any], value: float) -> Callable[..., Any]:
    @functools.wraps(original)
    def create(shape: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        if _is_floating(dtype) and (builder := builder_for_caller()) is not None:
            return buffer(builder, shape, value)
        return original(shape, dtype, *args, **kwargs) if dtype is not None else original(shape, *args, **kwargs)

    return create


def _full(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def full(shape: Any, fill_value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        builder = builder_for_caller()
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
        if result.dtype.kind == "f" and (builder := builder_for_caller()) is not None:
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
            and (builder := builder_for_caller()) is not None
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
        if builder is None or builder_for_caller() is None or (dtype is not None and np.dtype(dtype) == object):
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
            isinstance(element, TracedBase) and not isinstance(element, Traced) and builder_for_caller() is not None
        )

    return isscalar


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


# -- builtins --------------------------------------------------------------------------------------------------------


def _extremum(ufunc: np.ufunc) -> Callable[..., Any]:
    """``max`` and ``min`` of traced values: nodes, as comparisons have no answer."""

    def choose(*args: Any, key: Any = None, default: Any = None) -> Any:
        if key is not None:
            raise unsupported("max or min of traced values with key=", "write it with np.where")
        values = list(args[0]) if len(args) == 1 else list(args)
        return functools.reduce(ufunc, values) if values else default

    return choose


def _vectorized(self: Any, *args: Any, **kwargs: Any) -> Any:
    """``np.vectorize``: the function of single numbers, called for each of the broadcast arguments."""
    if self.signature is not None or self.excluded:
        raise unsupported(
            "numpy.vectorize with signature= or excluded=", "loop over the entries, or broadcast with NumPy functions"
        )
    names = list(kwargs)
    arrays = np.broadcast_arrays(*(np.asarray(value, dtype=object) for value in (*args, *kwargs.values())))
    results = [
        self.pyfunc(*row[: len(args)], **dict(zip(names, row[len(args) :], strict=True)))
        for row in zip(*(array.ravel().tolist() for array in arrays), strict=True)
    ]
    shape = arrays[0].shape
    if results and isinstance(results[0], tuple):
        return tuple(np.reshape(list(part), shape) for part in zip(*results, strict=True))
    return np.reshape(results, shape)


# -- lists of traced values --------------------------------------------------------------------------------------


def _with_arrays(args: Any) -> list[Any]:
    """The arguments with traced arrays in place of lists that hold traced values: NumPy would make object arrays."""
    return [
        as_traced(value)
        if isinstance(value, (list, tuple, np.ndarray))
        and (not isinstance(value, np.ndarray) or value.dtype == object)
        and find_builder(value) is not None
        else value
        for value in args
    ]


class UfuncStandIn:
    """A ufunc that takes lists of traced values too; everything else is the ufunc's own.

    Args:
        original: the ufunc.
    """

    def __init__(self, original: np.ufunc) -> None:
        self.__wrapped__ = original
        self.__name__ = original.__name__
        self.__doc__ = original.__doc__
        self._code = CODES.get(original) if original.nin == 1 else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As the ufunc."""
        if len(args) == 1 and not kwargs and type(args[0]) is TracedScalar and self._code is not None:
            # np.sin(x[i]) in a loop: NumPy's way to a traced scalar takes a microsecond
            builder = args[0].builder
            return TracedScalar(builder, builder.emit1(self._code, args[0].id))
        for value in args:
            if type(value) in (list, tuple):
                return self.__wrapped__(*_with_arrays(args), **kwargs)
        return self.__wrapped__(*args, **kwargs)

    def reduce(self, array: Any, *args: Any, **kwargs: Any) -> Any:
        """As `numpy.ufunc.reduce`."""
        return self.__wrapped__.reduce(*_with_arrays([array]), *args, **kwargs)

    def accumulate(self, array: Any, *args: Any, **kwargs: Any) -> Any:
        """As `numpy.ufunc.accumulate`."""
        return self.__wrapped__.accumulate(*_with_arrays([array]), *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)


@functools.cache
def _ufunc_stand_in(original: np.ufunc) -> UfuncStandIn:
    return UfuncStandIn(original)


def _taking_lists(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def apply(*args: Any, **kwargs: Any) -> Any:
        return original(*_with_arrays(args), **kwargs)

    return apply


_OF_ARRAYS = (
    "sum",
    "prod",
    "max",
    "min",
    "amax",
    "amin",
    "mean",
    "average",
    "median",
    "std",
    "var",
    "ptp",
    "sort",
    "quantile",
    "percentile",
    "cumsum",
    "cumprod",
    "nansum",
    "nanmax",
    "nanmin",
    "nanmean",
    "nanstd",
    "nanvar",
    "trapezoid",
    "gradient",
    "convolve",
    "correlate",
    "interp",
    "dot",
    "inner",
    "outer",
    "kron",
    "cross",
    "vdot",
    "tensordot",
    "where",
    "clip",
    "any",
    "all",
    "argmax",
    "argmin",
    "round",
    "around",
    "cov",
    "corrcoef",
    "polyval",
    "diff",
    "diag",
    "tril",
    "triu",
    "roll",
    "flip",
    "tile",
    "repeat",
    "reshape",
    "transpose",
    "ravel",
    "take",
    "pad",
)
"""Functions of NumPy that are often given lists."""


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
    # not dir(np): asking for the submodules that it names would load them
    for name, value in list(vars(np).items()):
        if isinstance(value, np.ufunc):
            yield np, name, _ufunc_stand_in(value)
    for name in _OF_ARRAYS:
        yield np, name, _taking_lists(getattr(np, name))
    for function in FUNCTIONS:
        # multi_dot takes a list of matrices
        if (
            getattr(function, "__module__", "") == "numpy.linalg"
            and hasattr(np.linalg, function.__name__)
            and function is not np.linalg.multi_dot
        ):
            yield np.linalg, function.__name__, _taking_lists(function)
    yield np.vectorize, "__call__", by_arguments(np.vectorize.__call__, _vectorized)
    yield builtins, "max", by_arguments(max, _extremum(np.maximum))
    yield builtins, "min", by_arguments(min, _extremum(np.minimum))
    for name, implementation in _MATH.items():
        if hasattr(math, name):
            yield math, name, by_arguments(getattr(math, name), implementation)


STAND_INS.extend(_numpy_stand_ins())
