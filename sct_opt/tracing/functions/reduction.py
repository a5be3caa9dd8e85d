"""Sums, products, extrema, moments and running totals."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.tracing.array import traced
from sct_opt.tracing.base import BOOL, TracedBase, builder_of, ids_of, implements, only_defaults
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.ufuncs import as_traced, assign, gathered, weighted_sum


def _given(value: Any) -> Any:
    """None for an argument that was not given."""
    return None if value is np._NoValue else value


def _reduction(function: Any, ufunc: np.ufunc) -> None:
    @implements(function)
    def reduce(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        a = as_traced(a, builder_of(a, where, initial))
        return ufunc.reduce(
            a,
            axis=axis,
            out=out,
            keepdims=_given(keepdims) or False,
            initial=_given(initial),
            where=True if _given(where) is None else where,
        )


_reduction(np.sum, np.add)
_reduction(np.prod, np.multiply)


def _extremum(function: Any, ufunc: np.ufunc) -> None:
    # max and min have no dtype argument in third place
    @implements(function)
    def reduce(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True
    ) -> Any:
        a = as_traced(a, builder_of(a, initial, where))
        return ufunc.reduce(
            a,
            axis=axis,
            out=out,
            keepdims=_given(keepdims) or False,
            initial=_given(initial),
            where=True if _given(where) is None else where,
        )


_ufunc: Any
for _name, _ufunc in (("max", np.maximum), ("min", np.minimum), ("amax", np.maximum), ("amin", np.minimum)):
    _extremum(getattr(np, _name), _ufunc)


def _truth(function: Any, ufunc: np.ufunc) -> None:
    @implements(function)
    def reduce(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
        a = as_traced(a, builder_of(a, where))
        condition = a if a.kind == BOOL else np.not_equal(a, 0.0)
        return ufunc.reduce(
            condition,
            axis=axis,
            out=out,
            keepdims=_given(keepdims) or False,
            where=True if _given(where) is None else where,
        )


_truth(np.all, np.logical_and)
_truth(np.any, np.logical_or)


@implements(np.ptp)
def _ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    keepdims = _given(keepdims) or False
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


def _count(a: Any, axis: Any, where: Any) -> Any:
    shape = np.shape(a)
    if where is True or where is np._NoValue:
        axes = range(len(shape)) if axis is None else [axis] if isinstance(axis, (int, np.integer)) else axis
        return int(np.prod([shape[k] for k in axes], dtype=int))
    return np.sum(np.where(where, np.ones(shape), 0.0), axis=axis)


@implements(np.mean)
def _mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    keepdims = _given(keepdims) or False
    array = as_traced(a, builder_of(a, where))
    count = _count(array, axis, where)
    if where is True or where is np._NoValue:
        ids, kept = gathered(ids_of(array.builder, array), axis)
        mean = weighted_sum(array.builder, ids, 1.0 / count if count else np.nan)
        result = traced(array.builder, mean.reshape(kept) if keepdims else mean)
    else:
        result = np.sum(array, axis=axis, keepdims=keepdims, where=where) / (
            np.reshape(count, np.shape(np.sum(array, axis=axis, keepdims=True))) if keepdims else count
        )
    return result if out is None else assign(out, result)


@implements(np.var)
def _var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    keepdims = _given(keepdims) or False
    where = True if _given(where) is None else where
    ddof = ddof if _given(correction) is None else correction
    array = as_traced(a, builder_of(a, where))
    center = np.mean(array, axis=axis, keepdims=True, where=where) if _given(mean) is None else mean
    squares = np.sum(np.square(array - center), axis=axis, keepdims=keepdims, where=where)
    result = squares / (_count(array, axis, where) - ddof)
    return result if out is None else assign(out, result)


@implements(np.std)
def _std(a: Any, *args: Any, **kwargs: Any) -> Any:
    out = kwargs.pop("out", None)
    result = np.sqrt(np.var(a, *args, **kwargs))
    return result if out is None else assign(out, result)


@implements(np.average)
def _average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    keepdims = _given(keepdims) or False
    array = as_traced(a, builder_of(a, weights))
    if weights is None:
        result = np.mean(array, axis=axis, keepdims=keepdims)
        total: Any = np.full(result.shape, float(array.size / max(1, result.size)))
    else:
        if np.shape(weights) != array.shape:
            shape = [1] * array.ndim
            shape[axis] = -1
            weights = np.reshape(weights, shape)
        weights = np.broadcast_to(weights, array.shape)
        total = np.sum(weights, axis=axis, keepdims=keepdims)
        if isinstance(weights, TracedBase):
            result = np.sum(array * weights, axis=axis, keepdims=keepdims) / total
        else:
            scale = np.sum(weights, axis=axis, keepdims=True)
            result = np.sum(array * (weights / scale), axis=axis, keepdims=keepdims)
    return (result, total) if returned else result


def _running(function: Any, ufunc: np.ufunc) -> None:
    @implements(function)
    def accumulate(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
        array = as_traced(a)
        if axis is None:
            array, axis = np.ravel(array), 0
        return ufunc.accumulate(np.atleast_1d(array), axis=axis, out=out)


_running(np.cumsum, np.add)
_running(np.cumprod, np.multiply)


def _cumulative(function: Any, ufunc: np.ufunc, start: float) -> None:
    @implements(function)
    def accumulate(
        x: Any, /, *, axis: int | None = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Any:
        if axis is None:
            axis = 0
        result = ufunc.accumulate(x, axis=axis)
        if include_initial:
            shape = list(np.shape(x))
            shape[axis] = 1
            result = np.concatenate([np.full(shape, start), result], axis=axis)
        return result


for _name, _ufunc, _start in (("cumulative_sum", np.add, 0.0), ("cumulative_prod", np.multiply, 1.0)):
    if hasattr(np, _name):
        _cumulative(getattr(np, _name), _ufunc, _start)


def _ignoring_nan(name: str, plain: Any, filling: float) -> None:
    """A nan-function: NaN entries are replaced by the value that does not count."""

    @implements(getattr(np, name))
    def apply(a: Any, axis: Any = None, **kwargs: Any) -> Any:
        return plain(
            np.where(np.isnan(a), filling, a), axis=axis, **{k: v for k, v in kwargs.items() if v is not np._NoValue}
        )


for _name, _plain, _filling in (
    ("nansum", np.sum, 0.0),
    ("nanprod", np.prod, 1.0),
    ("nancumsum", np.cumsum, 0.0),
    ("nancumprod", np.cumprod, 1.0),
):
    _ignoring_nan(_name, _plain, _filling)


@implements(np.nanmax)
def _nanmax(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **kwargs: Any) -> Any:
    only_defaults("numpy.nanmax", kwargs)
    return np.fmax.reduce(as_traced(a), axis=axis, keepdims=_given(keepdims) or False)


@implements(np.nanmin)
def _nanmin(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **kwargs: Any) -> Any:
    only_defaults("numpy.nanmin", kwargs)
    return np.fmin.reduce(as_traced(a), axis=axis, keepdims=_given(keepdims) or False)


def _known(a: Any) -> Any:
    return np.logical_not(np.isnan(a))


@implements(np.nanmean)
def _nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **kwargs: Any) -> Any:
    only_defaults("numpy.nanmean", kwargs)
    keepdims = _given(keepdims) or False
    count = np.sum(np.where(_known(a), 1.0, 0.0), axis=axis, keepdims=keepdims)
    return np.nansum(a, axis=axis, keepdims=keepdims) / count


@implements(np.nanvar)
def _nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False, **kwargs: Any
) -> Any:
    only_defaults("numpy.nanvar", kwargs)
    keepdims = _given(keepdims) or False
    known = _known(a)
    distance = np.where(known, a - np.nanmean(a, axis=axis, keepdims=True), 0.0)
    count = np.sum(np.where(known, 1.0, 0.0), axis=axis, keepdims=keepdims)
    return np.sum(np.square(distance), axis=axis, keepdims=keepdims) / (count - ddof)


@implements(np.nanstd)
def _nanstd(a: Any, *args: Any, **kwargs: Any) -> Any:
    return np.sqrt(np.nanvar(a, *args, **kwargs))


@implements(np.diff)
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    array = as_traced(a, builder_of(a, prepend, append))
    parts = []
    for extra in (prepend, array, append):
        if _given(extra) is None:
            continue
        if np.ndim(extra) == 0 and extra is not array:
            shape = list(array.shape)
            shape[axis] = 1
            extra = np.broadcast_to(extra, shape)
        parts.append(extra)
    result = np.concatenate(parts, axis=axis) if len(parts) > 1 else array
    for _ in range(n):
        after, before = [slice(None)] * result.ndim, [slice(None)] * result.ndim
        after[axis], before[axis] = slice(1, None), slice(None, -1)
        result = result[tuple(after)] - result[tuple(before)]
    return result


@implements(np.ediff1d)
def _ediff1d(a: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    parts = [part for part in (to_begin, np.diff(np.ravel(a)), to_end) if part is not None]
    return np.concatenate([np.ravel(part) for part in parts])


@implements(np.cov)
def _cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    if fweights is not None or aweights is not None:
        raise unsupported("numpy.cov with weights")
    x = np.atleast_2d(as_traced(m, builder_of(m, y)))
    x = x if rowvar or np.ndim(m) == 1 else x.T
    if y is not None:
        other = np.atleast_2d(y)
        x = np.concatenate([x, other if rowvar or np.ndim(y) == 1 else other.T], axis=0)
    centered = x - np.mean(x, axis=1, keepdims=True)
    freedom = x.shape[1] - ((0 if bias else 1) if ddof is None else ddof)
    return np.squeeze(np.matmul(centered, centered.T) / freedom)


@implements(np.corrcoef)
def _corrcoef(x: Any, y: Any = None, rowvar: bool = True, **kwargs: Any) -> Any:
    covariance = np.cov(x, y, rowvar)
    deviation = np.sqrt(np.diag(covariance))
    return np.clip(covariance / deviation[:, None] / deviation[None, :], -1.0, 1.0)


@implements(np.apply_along_axis)
def _apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    moved = np.moveaxis(as_traced(arr), axis, -1)
    outer = moved.shape[:-1]
    results = [func1d(row, *args, **kwargs) for row in moved.reshape(-1, moved.shape[-1])]
    stacked = np.stack([as_traced(result, moved.builder) for result in results])
    shaped = stacked.reshape(outer + stacked.shape[1:])
    return np.moveaxis(
        shaped, range(len(outer), shaped.ndim), range(axis % moved.ndim, axis % moved.ndim + shaped.ndim - len(outer))
    )


@implements(np.apply_over_axes)
def _apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    for axis in np.atleast_1d(axes):
        result = func(a, int(axis))
        a = result if np.ndim(result) == np.ndim(a) else np.expand_dims(result, int(axis))
    return a
