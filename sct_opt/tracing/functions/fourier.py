"""Discrete Fourier transforms of traced arrays: products with constant matrices along an axis.

Real transforms couple every entry with every frequency, so that the Jacobian is dense and the matrix costs no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.tape import Array
from sct_opt.tracing.base import implements
from sct_opt.tracing.complex import FUNCTIONS as COMPLEX_FUNCTIONS
from sct_opt.tracing.complex import TracedComplex, parts
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.stand_ins import replaces, untraced
from sct_opt.tracing.ufuncs import as_traced

_ONE_DIMENSIONAL = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")


def _apply(matrix: Array, part: Any, axis: int) -> Any:
    return np.moveaxis(np.matmul(np.moveaxis(part, axis, -1), matrix.T), -1, axis)


def _fitted(part: Any, n: int, axis: int) -> Any:
    """Cut or fill up with zeros to a length."""
    size = np.shape(part)[axis]
    if n <= size:
        return np.take(part, np.arange(n), axis=axis)
    widths = [(0, 0)] * np.ndim(part)
    widths[axis] = (0, n - size)
    return np.pad(part, widths)


def _transform(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def apply(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, *args: Any, **kwargs: Any) -> Any:
        real, imag = parts(a)
        size = np.shape(real)[axis]
        returns_real = name in ("irfft", "hfft")
        length = n if n is not None else (2 * (size - 1) if returns_real else size)
        used = length // 2 + 1 if returns_real else length
        # linear over the reals: its matrices are what it gives for units and for imaginary units
        of_real = original(np.eye(used), length, -1, norm).T
        real = _fitted(as_traced(real), used, axis)
        if isinstance(imag, float):
            result_real: Any = _apply(of_real.real, real, axis)
            result_imag: Any = None if returns_real else _apply(of_real.imag, real, axis)
        else:
            if name in ("rfft", "ihfft"):
                raise TypeError(f"{name} needs real input")
            of_imag = original(1j * np.eye(used), length, -1, norm).T
            imag = _fitted(imag, used, axis)
            result_real = _apply(of_real.real, real, axis) + _apply(of_imag.real, imag, axis)
            result_imag = None if returns_real else _apply(of_real.imag, real, axis) + _apply(of_imag.imag, imag, axis)
        return result_real if returns_real else TracedComplex(result_real, result_imag)

    return apply


def _several_axes(name: str, inner: str, last: str, default: Any) -> Callable[..., Any]:
    """A transform over several axes, the last one first for real input and last for real output."""

    def apply(a: Any, s: Any = None, axes: Any = default, norm: str | None = None, *args: Any, **kwargs: Any) -> Any:
        ndim = np.ndim(parts(a)[0])
        axes = (
            list(axes)
            if axes is not None
            else list(range(ndim if s is None else -len(s), 0 if s is not None else ndim))
        )
        axes = axes or list(range(ndim))
        lengths = [None] * len(axes) if s is None else list(s)
        steps = list(zip(axes, lengths, strict=True))
        order = (
            [(last, steps[-1]), *((inner, step) for step in steps[:-1])]
            if name.startswith("r")
            else [*((inner, step) for step in steps[:-1]), (last, steps[-1])]
        )
        for function, (axis, n) in order:
            a = getattr(np.fft, function)(a, n, axis, norm)
        return a

    return apply


def _register(name: str, implementation: Callable[..., Any]) -> None:
    implements(getattr(np.fft, name))(implementation)
    COMPLEX_FUNCTIONS[name] = implementation
    replaces("scipy.fft", name)(implementation)


for _name in _ONE_DIMENSIONAL:
    _register(_name, _transform(_name, getattr(np.fft, _name)))
for _suffix, _default in (("2", (-2, -1)), ("n", None)):
    for _name in ("fft", "ifft"):
        _register(_name + _suffix, _several_axes(_name, _name, _name, _default))
    _register("rfft" + _suffix, _several_axes("rfft", "fft", "rfft", _default))
    _register("irfft" + _suffix, _several_axes("irfft", "ifft", "irfft", _default))


def _shift(sign: int) -> Callable[..., Any]:
    def apply(x: Any, axes: Any = None) -> Any:
        shape = np.shape(x)
        axes = range(len(shape)) if axes is None else [axes] if isinstance(axes, (int, np.integer)) else axes
        for axis in axes:
            x = np.roll(x, shape[axis] // 2 if sign > 0 else -(shape[axis] // 2), axis)
        return x

    return apply


_register("fftshift", _shift(1))
_register("ifftshift", _shift(-1))


def _real_matrix(name: str) -> None:
    """Cosine and sine transforms."""

    @replaces("scipy.fft", name)
    def apply(
        x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        import scipy.fft  # noqa: PLC0415 - loaded, the user calls it

        if isinstance(x, TracedComplex):
            raise unsupported(f"scipy.fft.{name} of complex traced values")
        x = as_traced(x)
        length = x.shape[axis] if n is None else n
        matrix = untraced(scipy.fft, name)(
            np.eye(length), type, None, -1, norm, orthogonalize=kwargs.get("orthogonalize")
        ).T
        return _apply(matrix, _fitted(x, length, axis), axis)


for _name in ("dct", "idct", "dst", "idst"):
    _real_matrix(_name)
