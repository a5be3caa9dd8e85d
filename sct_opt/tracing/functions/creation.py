"""Arrays made in the likeness of traced ones, and conversions of kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.ops import OPCODE
from sct_opt.tape import TapeBuilder
from sct_opt.tracing.array import Traced
from sct_opt.tracing.base import BOOL, FLOAT, INT, builder_of, ids_of, implements
from sct_opt.tracing.complex import TracedComplex
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.ufuncs import as_traced, assign, emit_unary


def kind_of_dtype(dtype: Any) -> str:
    """The kind of traced values that stands for a dtype."""
    code = np.dtype(dtype).kind
    if code in "fO":
        return FLOAT
    if code == "b":
        return BOOL
    if code in "iu":
        return INT
    raise unsupported(f"dtype {np.dtype(dtype)}", "use real floating-point numbers")


def buffer(builder: TapeBuilder, shape: Any, value: Any = 0.0, dtype: Any = None) -> Traced:
    """A traced buffer, filled with a value, that traced values can be assigned into."""
    kind = FLOAT if dtype is None else kind_of_dtype(dtype)
    ids = np.empty(shape, dtype=np.int32)
    ids[...] = ids_of(builder, value)
    return Traced(builder, ids, kind)


def _likeness(default: float) -> Any:
    def like(
        prototype: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, **kwargs: Any
    ) -> Any:
        array = as_traced(prototype)
        return buffer(array.builder, array.shape if shape is None else shape, default, dtype or array.dtype)

    return like


implements(np.zeros_like)(_likeness(0.0))
implements(np.empty_like)(_likeness(0.0))
implements(np.ones_like)(_likeness(1.0))


@implements(np.full_like)
def _full_like(
    prototype: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    **kwargs: Any,
) -> Any:
    builder = builder_of(prototype, fill_value)
    array = as_traced(prototype, builder)
    return buffer(builder, array.shape if shape is None else shape, fill_value, dtype or array.dtype)


@implements(np.full)
def _full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", **kwargs: Any) -> Any:
    return buffer(builder_of(fill_value), shape, fill_value, dtype)


@implements(np.zeros, np.empty)
def _zeros(shape: Any, dtype: Any = None, order: Any = "C", like: Any = None, **kwargs: Any) -> Any:
    return buffer(builder_of(like), shape, 0.0, dtype)


@implements(np.ones)
def _ones(shape: Any, dtype: Any = None, order: Any = "C", like: Any = None, **kwargs: Any) -> Any:
    return buffer(builder_of(like), shape, 1.0, dtype)


@implements(np.array, np.asarray, np.ascontiguousarray, np.asanyarray)
def _array(
    value: Any, dtype: Any = None, *args: Any, like: Any = None, copy: bool = True, ndmin: int = 0, **kwargs: Any
) -> Any:
    array = as_traced(value, builder_of(like, value))
    result = array if dtype is None else np.astype(array, dtype)
    result = result.copy() if copy else result
    return result.reshape((1,) * (ndmin - result.ndim) + result.shape) if result.ndim < ndmin else result


@implements(np.astype)
def _astype(array: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    array = as_traced(array)
    if np.dtype(dtype).kind == "c":
        return TracedComplex(array.copy(), np.zeros_like(array))
    kind = kind_of_dtype(dtype)
    if kind == array.kind:
        return array.copy() if copy else array
    if kind == BOOL:
        return np.not_equal(array, 0.0)
    if kind == FLOAT or array.kind == BOOL:
        from sct_opt.tracing.array import traced  # noqa: PLC0415

        return traced(array.builder, ids_of(array.builder, array).copy(), kind)
    if array.builder.local:
        return array.builder.value(ids_of(array.builder, array)).astype(dtype)[()]
    result = emit_unary(OPCODE["to_int"], array)
    return Traced(array.builder, result.ids, INT) if isinstance(result, Traced) else result


@implements(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    largest = np.finfo(float).max
    above, below = largest if posinf is None else posinf, -largest if neginf is None else neginf
    result = np.where(np.isnan(x), nan, np.where(np.equal(x, np.inf), above, np.where(np.equal(x, -np.inf), below, x)))
    return result if copy else assign(as_traced(x), result)


@implements(np.real, np.real_if_close)
def _real(array: Any, *args: Any, **kwargs: Any) -> Any:
    return as_traced(array)


@implements(np.imag)
def _imag(array: Any) -> Any:
    return np.zeros(as_traced(array).shape)


@implements(np.iscomplexobj)
def _iscomplexobj(array: Any) -> bool:
    return False


@implements(np.isrealobj)
def _isrealobj(array: Any) -> bool:
    return True


@implements(np.result_type, np.common_type, np.min_scalar_type)
def _result_type(*values: Any) -> Any:
    plain = [v.dtype if hasattr(v, "dtype") and hasattr(v, "builder") else v for v in values]
    return np.result_type(*plain)


@implements(np.can_cast)
def _can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return np.can_cast(getattr(from_, "dtype", from_), to, casting)


@implements(np.array_repr, np.array_str, np.array2string)
def _show(array: Any, *args: Any, **kwargs: Any) -> str:
    return repr(array)
