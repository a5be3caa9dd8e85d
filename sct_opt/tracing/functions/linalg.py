"""Norms, powers of matrices, and the rest of ``numpy.linalg``."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sct_opt.tracing.base import implements
from sct_opt.tracing.functions.factorisation import singular_values
from sct_opt.tracing.functions.inverse import square
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.ufuncs import as_traced


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A norm of vectors or matrices."""
    x = as_traced(x)
    if axis is None:
        if ord is None or x.ndim == 1:
            result = _vector_norm(np.ravel(x), ord, -1, False)
            return np.reshape(result, (1,) * x.ndim) if keepdims else result
        axis = tuple(range(x.ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    if ord in (None, "fro"):
        return np.sqrt(np.sum(np.square(x), axis=axes, keepdims=keepdims))
    row, col = (k % x.ndim for k in axes)
    if ord in (1, -1, np.inf, -np.inf):
        summed, chosen = (row, col) if abs(ord) == 1 else (col, row)
        sums = np.sum(np.absolute(x), axis=summed, keepdims=True)
        result = (np.max if ord > 0 else np.min)(sums, axis=chosen, keepdims=True)
    elif ord in (2, -2, "nuc"):
        values = singular_values(np.moveaxis(x, (row, col), (-2, -1)))
        reduce: Any = {2: np.max, -2: np.min, "nuc": np.sum}[ord]
        result = np.expand_dims(reduce(values, axis=-1), (row, col))
    else:
        raise ValueError("Invalid norm order for matrices.")
    return result if keepdims else np.squeeze(result, axis=(row, col))


def _vector_norm(x: Any, order: Any, axis: int, keepdims: bool) -> Any:
    if order is None or order == 2:
        return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))
    if order in (np.inf, -np.inf):
        return (np.max if order > 0 else np.min)(np.absolute(x), axis=axis, keepdims=keepdims)
    if order == 0:
        return np.sum(np.where(np.not_equal(x, 0.0), 1.0, 0.0), axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(np.absolute(x), axis=axis, keepdims=keepdims)
    return np.power(np.sum(np.power(np.absolute(x), order), axis=axis, keepdims=keepdims), 1.0 / order)


@implements(np.linalg.vector_norm)
def _array_api_vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    return norm(np.ravel(x) if axis is None else x, ord, axis, keepdims)


@implements(np.linalg.matrix_norm)
def _matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.matrix_power)
def _matrix_power(a: Any, n: Any) -> Any:
    a = square(a, "matrix_power")
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1]), a.shape).copy()
    base = np.linalg.inv(a) if n < 0 else a
    result, n = None, abs(int(n))
    while n:
        if n & 1:
            result = base if result is None else np.matmul(result, base)
        n >>= 1
        base = np.matmul(base, base) if n else base
    return result


@implements(np.linalg.multi_dot)
def _multi_dot(arrays: Any, out: Any = None) -> Any:
    return functools.reduce(np.dot, arrays)


@implements(np.linalg.cond)
def _cond(x: Any, p: Any = None) -> Any:
    if p in (None, 2, -2):
        values = singular_values(as_traced(x))
        largest, smallest = np.max(values, axis=-1), np.min(values, axis=-1)
        return smallest / largest if p == -2 else largest / smallest
    return norm(x, p, (-2, -1)) * norm(np.linalg.inv(x), p, (-2, -1))


for _name in ("eig", "matrix_rank", "tensorinv", "tensorsolve"):

    def _refuse(*args: Any, _name: str = _name, **kwargs: Any) -> Any:
        raise unsupported(
            f"numpy.linalg.{_name}",
            "use solve, inv, eigvalsh, eigh, svdvals, qr or cholesky, or wrap the function with so.custom_op",
        )

    implements(getattr(np.linalg, _name))(_refuse)


@implements(np.linalg.matrix_transpose)
def _matrix_transpose(a: Any, /) -> Any:
    return np.swapaxes(a, -1, -2)


for _name in ("diagonal", "trace", "outer", "cross", "matmul", "tensordot", "vecdot"):

    def _same(*args: Any, _name: str = _name, **kwargs: Any) -> Any:
        if _name in ("diagonal", "trace"):
            kwargs = {"axis1": -2, "axis2": -1, **kwargs}
        return getattr(np, _name)(*args, **kwargs)

    implements(getattr(np.linalg, _name))(_same)
