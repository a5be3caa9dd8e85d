"""Choices entry by entry: where, select, piecewise, clip, and what asks for the order of traced values."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.errors import TracingError
from sct_opt.tape import Array
from sct_opt.tracing.array import traced
from sct_opt.tracing.base import (
    BOOL,
    FLOAT,
    INT,
    TracedBase,
    builder_of,
    find_builder,
    ids_of,
    implements,
    kind_of,
    only_defaults,
)
from sct_opt.tracing.location import missing_primal, unsupported, where
from sct_opt.tracing.ufuncs import as_traced, assign, gathered


@implements(np.where)
def _where(condition: Any, /, *branches: Any) -> Any:
    if not branches:
        return np.nonzero(condition)
    a, b = branches
    builder = builder_of(condition, a, b)
    kinds = {kind_of(a), kind_of(b)}
    kind = FLOAT if FLOAT in kinds else INT if INT in kinds else BOOL
    if isinstance(condition, TracedBase) and builder.local:
        condition = builder.value(ids_of(builder, condition)) != 0.0
    if not isinstance(condition, TracedBase):
        plain = np.asarray(condition)
        if plain.dtype != object:
            return traced(builder, np.asarray(np.where(plain, ids_of(builder, a), ids_of(builder, b))), kind)
    return traced(builder, builder.select(ids_of(builder, condition), ids_of(builder, a), ids_of(builder, b)), kind)


@implements(np.select)
def _select(conditions: Any, choices: Any, default: Any = 0.0) -> Any:
    result = default
    for condition, choice in zip(reversed(list(conditions)), reversed(list(choices)), strict=True):
        result = np.where(condition, choice, result)
    return result


@implements(np.piecewise)
def _piecewise(x: Any, conditions: Any, functions: Any, *args: Any, **kwargs: Any) -> Any:
    conditions = (
        list(conditions) if isinstance(conditions, (list, tuple)) or np.ndim(conditions) > np.ndim(x) else [conditions]
    )
    functions = list(functions)
    values = [f(x, *args, **kwargs) if callable(f) else f for f in functions]
    default = values.pop() if len(values) == len(conditions) + 1 else 0.0
    # the last condition that holds wins
    result = default
    for condition, value in zip(conditions, values, strict=True):
        result = np.where(condition, value, result)
    return as_traced(np.broadcast_to(result, np.shape(x)), builder_of(x, result)).copy()


@implements(np.choose)
def _choose(index: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    builder = builder_of(index, *choices)
    if isinstance(index, TracedBase):
        result: Any = choices[-1]
        for k in range(len(choices) - 2, -1, -1):
            chosen: Any = index == k  # type: ignore[comparison-overlap]
            result = np.where(chosen, choices[k], result)
        return result
    return traced(builder, np.choose(index, [ids_of(builder, c) for c in choices], mode=mode))  # type: ignore[call-overload]


@implements(np.clip)
def _clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None, **kwargs: Any
) -> Any:
    low, high = (
        value if value is not None and value is not np._NoValue else other
        for value, other in ((a_min, min), (a_max, max))
    )
    result = a
    if low is not None and low is not np._NoValue:
        result = np.maximum(result, low)
    if high is not None and high is not np._NoValue:
        result = np.minimum(result, high)
    if result is a:
        result = as_traced(a, builder_of(a, out)).copy()
    return result if out is None else assign(out, result)


def _order(name: str) -> Any:
    def refuse(array: Any, *args: Any, **kwargs: Any) -> Any:
        builder = builder_of(array, *args)
        operands = [array, *args]
        traced_ids = [ids_of(builder, value) for value in operands if find_builder(value) is not None]
        if builder.local or all((ids < 0).all() for ids in traced_ids):
            plain = [
                value if find_builder(value) is None else builder.value(ids_of(builder, value)) for value in operands
            ]
            return getattr(np, name)(*plain, **kwargs)
        raise TracingError(
            f"np.{name} depends on the order or the values of traced numbers\n  at {where()}\n"
            "  mend: use max, min, sort or so.where on the values themselves, or detect at one point with so.TracerLocalSparsityDetector()"
        )

    return refuse


for _name in (
    "argmax",
    "argmin",
    "argsort",
    "nanargmax",
    "nanargmin",
    "argpartition",
    "searchsorted",
    "digitize",
    "nonzero",
    "argwhere",
    "flatnonzero",
    "lexsort",
    "unique",
    "histogram",
    "bincount",
    "count_nonzero",
    "allclose",
    "array_equal",
    "array_equiv",
):
    implements(getattr(np, _name))(_order(_name))


@implements(np.isclose)
def _isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    return np.less_equal(np.absolute(np.subtract(a, b)), np.add(atol, np.multiply(rtol, np.absolute(b))))


@implements(np.iscomplex)
def _iscomplex(a: Any) -> Array:
    return np.zeros(as_traced(a).shape, dtype=bool)


@implements(np.isreal)
def _isreal(a: Any) -> Array:
    return np.ones(as_traced(a).shape, dtype=bool)


@implements(np.isposinf)
def _isposinf(a: Any, out: Any = None) -> Any:
    return np.equal(a, np.inf)


@implements(np.isneginf)
def _isneginf(a: Any, out: Any = None) -> Any:
    return np.equal(a, -np.inf)


def _sorting_network(count: int) -> list[tuple[list[int], list[int]]]:
    """Batcher's odd-even merge sort (Knuth, TAOCP 3, algorithm 5.2.2M) as layers of independent comparisons."""
    layers = []
    top = 1 << max(0, (count - 1).bit_length() - 1)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            low = [i for i in range(count - d) if i & p == r]
            layers.append((low, [i + d for i in low]))
            d, q, r = q - p, q // 2, p
        p //= 2
    return layers


def sorted_ids(array: Any, axis: int) -> Array:
    """Sorted values along an axis: a network of minima and maxima, or at a point simply the order there."""
    builder = array.builder
    ids = np.array(np.moveaxis(ids_of(builder, array), axis, -1))
    if builder.local or (ids < 0).all():
        return np.take_along_axis(ids, np.argsort(builder.value(ids), axis=-1, kind="stable"), axis=-1)
    from sct_opt.ops import OPCODE  # noqa: PLC0415

    for low, high in _sorting_network(ids.shape[-1]):
        a, b = ids[..., low], ids[..., high]
        ids[..., low], ids[..., high] = builder.binary(OPCODE["min"], a, b), builder.binary(OPCODE["max"], a, b)
    return ids


@implements(np.sort)
def _sort(a: Any, axis: int | None = -1, **kwargs: Any) -> Any:
    array = as_traced(a)
    if axis is None:
        array, axis = np.ravel(array), -1
    return traced(array.builder, np.moveaxis(sorted_ids(array, axis), -1, axis), array.kind)


@implements(np.partition)
def _partition(a: Any, kth: Any, axis: int | None = -1, **kwargs: Any) -> Any:
    return np.sort(a, axis=axis)


@implements(np.median)
def _median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    return np.quantile(a, 0.5, axis=axis, keepdims=keepdims)


@implements(np.quantile)
def _quantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    **kwargs: Any,
) -> Any:
    only_defaults("numpy.quantile", kwargs)
    if isinstance(q, TracedBase):
        raise missing_primal("float")
    if method != "linear":
        raise unsupported(f"numpy.quantile with method={method!r}")
    array = as_traced(a)
    ids, kept = gathered(ids_of(array.builder, array), axis)
    in_order: Any = traced(array.builder, sorted_ids(traced(array.builder, ids), -1))
    position = np.asarray(q, dtype=float) * (ids.shape[-1] - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, ids.shape[-1] - 1)
    share = position - low
    result = np.moveaxis(
        in_order[..., low] * (1.0 - share) + in_order[..., high] * share,
        range(ids.ndim - 1, ids.ndim - 1 + position.ndim),
        range(position.ndim),
    )
    return result.reshape(position.shape + kept) if keepdims else result


@implements(np.percentile)
def _percentile(a: Any, q: Any, *args: Any, **kwargs: Any) -> Any:
    return np.quantile(a, np.asarray(q) / 100.0, *args, **kwargs)
