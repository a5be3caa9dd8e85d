"""Convolutions, filters, quadrature and other SciPy functions that are linear in the traced values."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.tracing.base import builder_of
from sct_opt.tracing.functions.algebra import plain
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.stand_ins import replaces, untraced
from sct_opt.tracing.ufuncs import as_traced


@replaces("scipy.signal", "convolve", "fftconvolve", "oaconvolve")
@replaces("scipy.signal", "convolve2d")
def _convolve(in1: Any, in2: Any, mode: str = "full", *args: Any, **kwargs: Any) -> Any:
    """Convolution in any number of dimensions: one shifted copy of the one operand for each entry of the other."""
    if (
        kwargs.get("boundary", "fill") != "fill"
        or kwargs.get("fillvalue", 0)
        or any(args[1:])
        or kwargs.get("axes") is not None
        or (args and args[0] not in ("fill", "auto", "direct", "fft"))
    ):
        raise unsupported(
            "scipy.signal.convolve2d with a boundary", "pad the input with np.pad and convolve with mode='valid'"
        )
    builder = builder_of(in1, in2)
    a, v = as_traced(in1, builder), as_traced(in2, builder)
    if mode == "valid" and any(n < k for n, k in zip(a.shape, v.shape, strict=True)):
        a, v = v, a
    padded = np.pad(a, [(k - 1, k - 1) for k in v.shape])
    windows = np.lib.stride_tricks.sliding_window_view(padded, v.shape)
    kernel = plain(v)
    weights = np.flip(kernel if kernel is not None else v)
    full = np.tensordot(windows, weights, axes=v.ndim)
    if mode == "full":
        return full
    size = [n - k + 1 for n, k in zip(a.shape, v.shape, strict=True)] if mode == "valid" else list(np.shape(in1))
    start = [(n - m) // 2 for n, m in zip(np.shape(full), size, strict=True)]
    return full[tuple(slice(s, s + m) for s, m in zip(start, size, strict=True))]


@replaces("scipy.signal", "correlate", "correlate2d")
def _correlate(in1: Any, in2: Any, mode: str = "full", *args: Any, **kwargs: Any) -> Any:
    return _convolve(in1, np.flip(as_traced(in2, builder_of(in1, in2))), mode, *args, **kwargs)


@replaces("scipy.signal", "lfilter")
def _lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    if zi is not None:
        raise unsupported("scipy.signal.lfilter with zi=")
    builder = builder_of(b, a, x)
    b, a = np.ravel(as_traced(b, builder)), np.ravel(as_traced(a, builder))
    y = np.moveaxis(as_traced(x, builder), axis, 0)
    out: list[Any] = []
    for n in range(y.shape[0]):
        total: Any = sum(b[k] * y[n - k] for k in range(min(b.size, n + 1)))
        total = total - sum(a[k] * out[n - k] for k in range(1, min(a.size, n + 1)))
        out.append(total / a[0])
    return np.moveaxis(np.stack(out), 0, axis)


@replaces("scipy.signal", "detrend")
def _detrend(data: Any, axis: int = -1, type: str = "linear", *args: Any, **kwargs: Any) -> Any:
    if any(np.size(b) and np.any(b) for b in (*args[:1], kwargs.get("bp", 0))):
        raise unsupported("scipy.signal.detrend with break points", "detrend the pieces")
    if type == "constant":
        return data - np.mean(data, axis=axis, keepdims=True)
    moved = np.moveaxis(as_traced(data), axis, -1)
    n = moved.shape[-1]
    basis = np.stack([np.ones(n), np.arange(n) / max(n - 1, 1)], axis=1)
    projector = np.eye(n) - basis @ np.linalg.pinv(basis)
    return np.moveaxis(np.matmul(moved, projector), -1, axis)


def _ndimage(flip: bool) -> Any:
    modes = {
        "reflect": "symmetric",
        "mirror": "reflect",
        "nearest": "edge",
        "wrap": "wrap",
        "constant": "constant",
        "grid-wrap": "wrap",
    }

    def apply(
        input: Any,
        weights: Any,
        output: Any = None,
        mode: str = "reflect",
        cval: float = 0.0,
        origin: int = 0,
        **kwargs: Any,
    ) -> Any:
        if output is not None or origin or kwargs.get("axes") is not None:
            raise unsupported("scipy.ndimage with output=, origin= or axes=")
        builder = builder_of(input, weights)
        kernel = plain(weights)
        kernel = as_traced(weights, builder) if kernel is None else kernel
        kernel = np.flip(kernel) if flip else kernel
        # an even kernel's center is right of the middle, for a convolution left of it
        before = [k // 2 - (1 if flip and k % 2 == 0 else 0) for k in kernel.shape]
        widths = [(s, k - 1 - s) for s, k in zip(before, kernel.shape, strict=True)]
        options = {"constant_values": cval} if mode == "constant" else {}
        padded = np.pad(as_traced(input, builder), widths, mode=modes[mode], **options)  # type: ignore[call-overload]
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
        return np.tensordot(windows, kernel, axes=kernel.ndim)

    return apply


replaces("scipy.ndimage", "correlate")(_ndimage(flip=False))
replaces("scipy.ndimage", "convolve")(_ndimage(flip=True))


def _along_axis(flip: bool) -> Any:
    whole = _ndimage(flip)

    def apply(input: Any, weights: Any, axis: int = -1, *args: Any, **kwargs: Any) -> Any:
        ndim = np.ndim(input)
        shape = [1] * ndim
        shape[axis] = -1
        return whole(input, np.reshape(weights, shape), *args, **kwargs)

    return apply


replaces("scipy.ndimage", "correlate1d")(_along_axis(flip=False))
replaces("scipy.ndimage", "convolve1d")(_along_axis(flip=True))


# -- scipy.integrate -------------------------------------------------------------------------------------------------


@replaces("scipy.integrate", "trapezoid")
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    return np.trapezoid(as_traced(y, builder_of(y, x, dx)), x, dx, axis)


@replaces("scipy.integrate", "cumulative_trapezoid")
def _cumulative_trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None) -> Any:
    y = np.moveaxis(as_traced(y, builder_of(y, x, dx)), axis, -1)
    width = dx if x is None else np.diff(x) if np.ndim(x) == 1 else np.diff(np.moveaxis(x, axis, -1), axis=-1)
    result = np.cumsum(width * (y[..., 1:] + y[..., :-1]) * 0.5, axis=-1)
    if initial is not None:
        result = np.concatenate([np.full((*result.shape[:-1], 1), initial), result], axis=-1)
    return np.moveaxis(result, -1, axis)


@replaces("scipy.integrate", "simpson")
def _simpson(y: Any, x: Any = None, *, dx: Any = 1.0, axis: int = -1) -> Any:
    y = np.moveaxis(as_traced(y, builder_of(y, x, dx)), axis, -1)
    points = np.arange(y.shape[-1]) * dx if x is None else plain(x)
    if points is None or np.ndim(points) != 1 or plain(dx) is None:
        raise unsupported("scipy.integrate.simpson over traced points", "use np.trapezoid")
    import scipy.integrate  # noqa: PLC0415 - loaded, the user calls it

    # linear in y: its weights are what it gives for unit vectors
    weights = untraced(scipy.integrate, "simpson")(np.eye(y.shape[-1]), x=points, axis=-1)
    return np.matmul(y, weights)


@replaces("scipy.integrate", "romb")
def _romb(y: Any, dx: Any = 1.0, axis: int = -1, show: bool = False) -> Any:
    import scipy.integrate  # noqa: PLC0415

    y = np.moveaxis(as_traced(y, builder_of(y, dx)), axis, -1)
    return np.matmul(y, untraced(scipy.integrate, "romb")(np.eye(y.shape[-1]), axis=-1)) * dx
