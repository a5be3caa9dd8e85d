"""Differences, quadrature, convolution and interpolation on grids."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.tracing.base import TracedBase, builder_of, implements
from sct_opt.tracing.ufuncs import as_traced


@implements(np.trapezoid)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = np.moveaxis(as_traced(y, builder_of(y, x, dx)), axis, -1)
    width = dx if x is None else np.diff(x) if np.ndim(x) == 1 else np.diff(np.moveaxis(x, axis, -1), axis=-1)
    return np.sum(width * (y[..., 1:] + y[..., :-1]) * 0.5, axis=-1)


@implements(np.convolve)
def _convolve(a: Any, v: Any, mode: str = "full") -> Any:
    a, v = (
        value
        if isinstance(value, TracedBase)
        else np.asarray(value)
        if builder_of_or_none(value) is None
        else as_traced(value)
        for value in (a, v)
    )
    if np.size(a) < np.size(v):
        a, v = v, a
    n, k = np.size(a), np.size(v)
    padded = np.concatenate([np.zeros(k - 1), np.ravel(a), np.zeros(k - 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, k)
    full = np.matmul(windows, np.flip(np.ravel(v)))
    if mode == "full":
        return full
    if mode == "valid":
        return full[k - 1 : n]
    start = (k - 1) // 2
    return full[start : start + n]


def builder_of_or_none(value: Any) -> Any:
    """The builder of a value, None for a constant."""
    from sct_opt.tracing.base import find_builder  # noqa: PLC0415

    return find_builder(value)


@implements(np.correlate)
def _correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    if np.size(a) < np.size(v):
        return np.flip(np.correlate(v, a, mode))
    return np.convolve(a, np.flip(v), mode)


@implements(np.gradient)
def _gradient(f: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    f = as_traced(f, builder_of(f, *spacing))
    axes = range(f.ndim) if axis is None else [axis] if isinstance(axis, (int, np.integer)) else axis
    axes = [int(k) % f.ndim for k in axes]
    steps: list[Any] = (
        [1.0] * len(axes) if not spacing else list(spacing) * len(axes) if len(spacing) == 1 else list(spacing)
    )
    results = [_gradient_along(f, step, int(k), edge_order) for step, k in zip(steps, axes, strict=True)]
    return results[0] if len(results) == 1 else tuple(results)


def _gradient_along(f: Any, step: Any, axis: int, edge_order: int) -> Any:
    y = np.moveaxis(f, axis, 0)
    n = y.shape[0]
    if n < edge_order + 1:
        raise ValueError(
            f"shape of array too small for a gradient: {n} points along axis {axis}, at least {edge_order + 1} needed"
        )
    h = np.diff(step) if np.ndim(step) == 1 else np.ones(n - 1) * step
    uniform = np.ndim(step) == 0
    column = np.reshape(h, (n - 1,) + (1,) * (y.ndim - 1))
    before, after = column[:-1], column[1:]
    if uniform:
        inner = (y[2:] - y[:-2]) / (2.0 * step)
    else:
        inner = (
            -after / (before * (before + after)) * y[:-2]
            + (after - before) / (before * after) * y[1:-1]
            + before / (after * (before + after)) * y[2:]
        )
    if edge_order == 1:
        first, last = (y[1] - y[0]) / h[0], (y[-1] - y[-2]) / h[-1]
    else:
        first = _edge(y[0], y[1], y[2], h[0], h[1])
        last = -_edge(y[-1], y[-2], y[-3], h[-1], h[-2])
    return np.moveaxis(
        np.concatenate(
            [
                first[None] if np.ndim(first) else np.reshape(first, (1,)),
                inner,
                last[None] if np.ndim(last) else np.reshape(last, (1,)),
            ]
        ),
        0,
        axis,
    )


def _edge(y0: Any, y1: Any, y2: Any, h1: Any, h2: Any) -> Any:
    """Second-order one-sided difference."""
    return -(2.0 * h1 + h2) / (h1 * (h1 + h2)) * y0 + (h1 + h2) / (h1 * h2) * y1 - h1 / (h2 * (h1 + h2)) * y2


@implements(np.sinc)
def _sinc(x: Any) -> Any:
    y = np.multiply(np.pi, x)
    near = np.less(np.absolute(y), 0.5)
    # Near zero the quotient's derivatives cancel, so there is the series of sin(y) / y.
    square = np.square(y)
    series: Any = 1.0
    for n in range(16, 1, -2):
        series = 1.0 - series * square / (n * (n + 1.0))
    return np.where(near, series, np.sin(y) / np.where(near, 1.0, y))


@implements(np.round, np.around)
def _round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    if decimals == 0:
        return np.rint(a)
    scale = 10.0 ** abs(decimals)
    return np.rint(np.multiply(a, scale)) / scale if decimals > 0 else np.rint(np.divide(a, scale)) * scale


@implements(np.fix)
def _fix(a: Any, out: Any = None) -> Any:
    return np.trunc(a)


@implements(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    return np.where(np.less(z, 0.0), 180.0 if deg else np.pi, 0.0)


@implements(np.unwrap)
def _unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * np.pi) -> Any:
    moved = np.moveaxis(as_traced(p), axis, -1)
    jump = np.diff(moved, axis=-1)
    half = period / 2
    wrapped = np.remainder(jump + half, period) - half
    wrapped = np.where(np.logical_and(np.equal(wrapped, -half), np.greater(jump, 0.0)), half, wrapped)
    correction = np.where(np.less(np.absolute(jump), half if discont is None else discont), 0.0, wrapped - jump)
    return np.moveaxis(
        np.concatenate([moved[..., :1], moved[..., 1:] + np.cumsum(correction, axis=-1)], axis=-1), -1, axis
    )


@implements(np.i0)
def _i0(x: Any) -> Any:
    import scipy.special  # noqa: PLC0415

    return scipy.special.i0(x)
