"""Polynomials and grids: values, products, fits, Vandermonde matrices, traced end points."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.tracing.base import builder_of, implements
from sct_opt.tracing.functions.algebra import plain
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.ufuncs import as_traced


@implements(np.polyval)
def _polyval(p: Any, x: Any) -> Any:
    if isinstance(p, np.poly1d):
        p = p.coeffs
    builder_of(p, x)
    result: Any = 0.0
    for coefficient in p:
        result = np.add(np.multiply(result, x), coefficient)
    return result


@implements(np.polyder)
def _polyder(p: Any, m: int = 1) -> Any:
    p = as_traced(p)
    for _ in range(m):
        p = p[:-1] * np.arange(p.size - 1, 0, -1)
    return p


@implements(np.polyint)
def _polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    p = as_traced(p, builder_of(p, k))
    constants = np.broadcast_to(0.0 if k is None else k, (m,))
    for j in range(m):
        p = np.append(p / np.arange(p.size, 0, -1), constants[j])
    return p


@implements(np.polymul)
def _polymul(a: Any, b: Any) -> Any:
    return np.convolve(a, b)


@implements(np.polyadd)
def _polyadd(a: Any, b: Any) -> Any:
    a, b = as_traced(a, builder_of(a, b)), as_traced(b, builder_of(a, b))
    size = max(a.size, b.size)
    return np.pad(a, (size - a.size, 0)) + np.pad(b, (size - b.size, 0))


@implements(np.polyfit)
def _polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    points, weights = plain(x), 1.0 if w is None else plain(w)
    if points is None or weights is None or full or cov:
        raise unsupported("numpy.polyfit of traced points or weights, or with full= or cov=")
    # linear in y: its matrix is what it makes of unit vectors
    matrix = np.polyfit(points, np.eye(points.size), deg, rcond, w=w)
    return np.matmul(matrix, y)


@implements(np.vander)
def _vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    x = as_traced(x)
    count = x.size if N is None else N
    powers = [np.ones_like(x)]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    return np.stack(powers[:count] if increasing else powers[:count][::-1], axis=1)


@implements(np.linspace)
def _linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    **kwargs: Any,
) -> Any:
    share = np.linspace(0.0, 1.0, num, endpoint)
    span = np.subtract(stop, start)
    shape = (num,) + (1,) * np.ndim(span)
    grid = np.moveaxis(
        np.multiply(1.0 - share.reshape(shape), start) + np.multiply(share.reshape(shape), stop), 0, axis
    )
    return (grid, span / max(1, num - 1 if endpoint else num)) if retstep else grid


@implements(np.logspace)
def _logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    return np.power(base, _linspace(start, stop, num, endpoint, axis=axis))


@implements(np.geomspace)
def _geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    return np.multiply(start, np.power(np.divide(stop, start), np.linspace(0.0, 1.0, num, endpoint)))
