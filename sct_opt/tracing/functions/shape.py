"""Functions that only move entries about: the same NumPy function applied to the node ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from sct_opt.tape import Array, TapeBuilder
from sct_opt.tracing.array import Traced, plain_key, traced
from sct_opt.tracing.base import BOOL, FLOAT, INT, TracedBase, builder_of, ids_of, implements, kind_of
from sct_opt.tracing.location import missing_primal
from sct_opt.tracing.ufuncs import as_traced, assign


def _common_kind(values: Iterable[Any]) -> str:
    kinds = {kind_of(value) for value in values}
    return FLOAT if FLOAT in kinds or not kinds else INT if INT in kinds else BOOL


def _wrap(builder: TapeBuilder, result: Any, kind: str, zero: int = 0) -> Any:
    if isinstance(result, (list, tuple)):
        return type(result)(_wrap(builder, part, kind, zero) for part in result)
    return traced(builder, np.asarray(result) + np.int32(zero) if zero else np.asarray(result), kind)


# The array is the first argument; the rest says how to move.
_FIRST = [
    "reshape",
    "transpose",
    "ravel",
    "roll",
    "rollaxis",
    "moveaxis",
    "swapaxes",
    "flip",
    "fliplr",
    "flipud",
    "rot90",
    "squeeze",
    "expand_dims",
    "broadcast_to",
    "repeat",
    "tile",
    "take",
    "diagonal",
    "delete",
    "split",
    "array_split",
    "hsplit",
    "vsplit",
    "dsplit",
    "permute_dims",
    "matrix_transpose",
    "unstack",
    "resize",
]
# As before, but the function fills up with zeros: ids are shifted so that 0 is the id of the constant zero.
_FIRST_WITH_ZEROS = ["diag", "diagflat", "tril", "triu"]
# All positional arguments are arrays.
_EACH = ["atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "meshgrid"]
# The first argument is a sequence of arrays.
_SEQUENCE = ["concatenate", "stack", "vstack", "hstack", "dstack", "column_stack"]


def _first(function: Callable[..., Any], with_zeros: bool) -> None:
    def apply(array: Any, *args: Any, **kwargs: Any) -> Any:
        array = as_traced(array, builder_of(array, *args))
        args = tuple(plain_key(arg) for arg in args)
        builder = array.builder
        zero = builder.constant(0.0) if with_zeros else 0
        kwargs.pop("out", None)
        return _wrap(
            builder, function(array.ids - np.int32(zero) if zero else array.ids, *args, **kwargs), array.kind, zero
        )

    implements(function)(apply)


def _each(function: Callable[..., Any]) -> None:
    def apply(*arrays: Any, **kwargs: Any) -> Any:
        builder = builder_of(*arrays)
        return _wrap(builder, function(*(ids_of(builder, a) for a in arrays), **kwargs), _common_kind(arrays))

    implements(function)(apply)


def _sequence(function: Callable[..., Any]) -> None:
    def apply(arrays: Any, *args: Any, out: Any = None, dtype: Any = None, casting: Any = None, **kwargs: Any) -> Any:
        arrays = list(arrays)
        builder = builder_of(*arrays)
        kind = _common_kind(arrays)
        result = _wrap(builder, function([ids_of(builder, a) for a in arrays], *args, **kwargs), kind)
        return result if out is None else assign(out, result)

    implements(function)(apply)


for _name in _FIRST:
    if hasattr(np, _name):
        _first(getattr(np, _name), with_zeros=False)
for _name in _FIRST_WITH_ZEROS:
    _first(getattr(np, _name), with_zeros=True)
for _name in _EACH:
    _each(getattr(np, _name))
for _name in _SEQUENCE:
    _sequence(getattr(np, _name))


@implements(np.append)
def _append(array: Any, values: Any, axis: int | None = None) -> Any:
    if axis is None:
        return np.concatenate([np.ravel(array), np.ravel(values)])
    return np.concatenate([array, values], axis=axis)


@implements(np.insert)
def _insert(array: Any, index: Any, values: Any, axis: int | None = None) -> Any:
    builder = builder_of(array, values)
    return traced(
        builder,
        np.insert(ids_of(builder, array), plain_key(index), ids_of(builder, values), axis=axis),
        _common_kind([array]),
    )


@implements(np.block)
def _block(arrays: Any) -> Any:
    builder = builder_of(arrays)

    def convert(part: Any) -> Any:
        return [convert(item) for item in part] if isinstance(part, list) else ids_of(builder, part)

    return traced(builder, np.block(convert(arrays)))


@implements(np.compress)
def _compress(condition: Any, array: Any, axis: int | None = None, out: Any = None) -> Any:
    array = as_traced(array, builder_of(condition, array))
    return array._same(np.compress(plain_key(condition), array.ids, axis=axis))


@implements(np.extract)
def _extract(condition: Any, array: Any) -> Any:
    array = as_traced(array, builder_of(condition, array))
    return array._same(np.extract(plain_key(condition), array.ids))


@implements(np.take_along_axis)
def _take_along_axis(array: Any, indices: Any, axis: int | None = -1) -> Any:
    array = as_traced(array, builder_of(array, indices))
    return array._same(np.take_along_axis(array.ids, plain_key(indices), axis=axis))


@implements(np.put_along_axis)
def _put_along_axis(array: Any, indices: Any, values: Any, axis: int | None) -> None:
    array = _writable(array)
    np.put_along_axis(array.ids, plain_key(indices), ids_of(array.builder, values), axis=axis)


def _writable(array: Any) -> Traced:
    if not isinstance(array, Traced):
        raise missing_primal("array")
    return array


@implements(np.copyto)
def _copyto(target: Any, source: Any, casting: Any = None, where: Any = True) -> None:
    assign(target, source, where)


@implements(np.put)
def _put(array: Any, index: Any, values: Any, mode: Any = "raise") -> None:
    array = _writable(array)
    np.put(array.ids, plain_key(index), ids_of(array.builder, values), mode=mode)


@implements(np.place)
def _place(array: Any, mask: Any, values: Any) -> None:
    array = _writable(array)
    np.place(array.ids, plain_key(mask), ids_of(array.builder, values).ravel())


@implements(np.putmask)
def _putmask(array: Any, mask: Any, values: Any) -> None:
    array = _writable(array)
    if isinstance(mask, TracedBase) and not array.builder.local:
        assign(array, values, mask)
    else:
        np.putmask(array.ids, plain_key(mask), ids_of(array.builder, values))


@implements(np.fill_diagonal)
def _fill_diagonal(array: Any, values: Any, wrap: bool = False) -> None:
    array = _writable(array)
    np.fill_diagonal(array.ids, ids_of(array.builder, values), wrap=wrap)


@implements(np.pad)
def _pad(array: Any, pad_width: Any, mode: str = "constant", **kwargs: Any) -> Any:
    builder = builder_of(array, *kwargs.values())
    array = as_traced(array, builder)
    if mode == "constant":
        filled: Array = ids_of(builder, kwargs.get("constant_values", 0.0))
        return array._same(np.pad(array.ids, pad_width, mode="constant", constant_values=filled))
    if mode in ("edge", "reflect", "symmetric", "wrap") and kwargs.get("reflect_type", "even") == "even":
        return array._same(np.pad(array.ids, pad_width, mode=mode, **kwargs))  # type: ignore[call-overload]
    if mode == "empty":
        return array._same(np.pad(array.ids, pad_width, constant_values=builder.constant(0.0)))
    from sct_opt.tracing.location import unsupported  # noqa: PLC0415

    raise unsupported(f"numpy.pad with mode={mode!r}", "pad with np.concatenate of the computed borders")


@implements(np.lib.stride_tricks.sliding_window_view)
def _sliding_window_view(array: Any, window_shape: Any, axis: Any = None, **kwargs: Any) -> Any:
    return array._same(np.lib.stride_tricks.sliding_window_view(array.ids, window_shape, axis=axis))


@implements(np.shape)
def _shape(array: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = ids_of(builder_of(array), array).shape
    return shape


@implements(np.ndim)
def _ndim(array: Any) -> int:
    return ids_of(builder_of(array), array).ndim


@implements(np.size)
def _size(array: Any, axis: int | None = None) -> int:
    return np.size(ids_of(builder_of(array), array), axis)


@implements(np.copy)
def _copy(array: Any, order: Any = "K", subok: bool = False) -> Any:
    return as_traced(array).copy()


@implements(np.may_share_memory, np.shares_memory)
def _share_memory(a: Any, b: Any, *args: Any, **kwargs: Any) -> bool:
    return np.may_share_memory(getattr(a, "ids", a), getattr(b, "ids", b))
