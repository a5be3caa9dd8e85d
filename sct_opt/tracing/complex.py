"""`TracedComplex`: a pair of real traced arrays, for complex intermediates with real results.

A spectrum's power, a transfer function's modulus or a rotation by ``exp(1j * x)`` are real functions of real inputs
that pass through complex numbers.  Functions that return complex numbers are refused: return real and imaginary parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.tracing.base import COMPLEX, TracedBase, builder_of, find_builder
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.ufuncs import as_traced

Parts = tuple[Any, Any]


class TracedComplex:
    """A complex traced array or number.

    Args:
        real: real part, traced or plain.
        imag: imaginary part, of the same shape.
    """

    __slots__ = ("imag", "real")
    __array_priority__ = 2000.0
    dtype = np.dtype(np.complex128)

    def __init__(self, real: Any, imag: Any) -> None:
        self.real = real
        self.imag = imag

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape as in NumPy."""
        return np.shape(self.real)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def T(self) -> TracedComplex:
        """Transpose."""
        transposed: Any = np.transpose(self)
        return transposed  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"TracedComplex(shape={self.shape})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """The numbers, if they are constant."""
        return np.asarray(np.asarray(self.real, dtype=float) + 1j * np.asarray(self.imag, dtype=float), dtype=dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "reduce" and ufunc.__name__ == "add":
            return _each_part(np.add.reduce, *inputs, **kwargs)
        if method != "__call__" or kwargs.pop("out", None) is not None:
            raise unsupported(f"numpy.{ufunc.__name__}.{method} of complex traced values")
        return evaluate(ufunc.__name__, inputs)

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return call_function(function, args, kwargs)

    def __getitem__(self, key: Any) -> TracedComplex:
        return TracedComplex(self.real[key], self.imag[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        real, imag = parts(value)
        self.real[key] = real
        self.imag[key] = imag

    def __abs__(self) -> Any:
        return np.absolute(self)

    def __neg__(self) -> Any:
        return np.negative(self)

    def __pos__(self) -> TracedComplex:
        return self

    def __bool__(self) -> bool:
        return bool(np.not_equal(self, 0.0))

    def __complex__(self) -> complex:
        return complex(float(self.real), float(self.imag))

    def conj(self) -> Any:
        """Complex conjugate."""
        return np.conjugate(self)

    conjugate = conj

    def reshape(self, *shape: Any) -> TracedComplex:
        """As `numpy.ndarray.reshape`."""
        return TracedComplex(self.real.reshape(*shape), self.imag.reshape(*shape))

    def flatten(self) -> TracedComplex:
        """As `numpy.ndarray.flatten`."""
        return TracedComplex(self.real.flatten(), self.imag.flatten())

    def copy(self) -> TracedComplex:
        """A copy."""
        return TracedComplex(np.copy(self.real), np.copy(self.imag))

    def astype(self, dtype: Any, **kwargs: Any) -> TracedComplex:
        """Itself for complex dtypes; dropping the imaginary part is refused."""
        if np.dtype(dtype).kind != "c":
            raise unsupported("astype from complex to real", "take z.real or abs(z)")
        return self


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: TracedComplex, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__doc__ = f"As `numpy.{name}`."
    return method


for _name in (
    "sum",
    "mean",
    "ravel",
    "squeeze",
    "transpose",
    "dot",
    "cumsum",
    "repeat",
    "take",
    "diagonal",
    "trace",
    "prod",
):
    setattr(TracedComplex, _name, _method(_name))
_OPERATORS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "pow": np.power,
    "matmul": np.matmul,
}
for _name, _ufunc in _OPERATORS.items():
    setattr(TracedComplex, f"__{_name}__", lambda self, other, _ufunc=_ufunc: _ufunc(self, other))
    setattr(TracedComplex, f"__r{_name}__", lambda self, other, _ufunc=_ufunc: _ufunc(other, self))
for _name, _ufunc in {"eq": np.equal, "ne": np.not_equal}.items():
    setattr(TracedComplex, f"__{_name}__", lambda self, other, _ufunc=_ufunc: _ufunc(self, other))
TracedComplex.__hash__ = object.__hash__  # type: ignore[method-assign]


def parts(value: Any) -> Parts:
    """Real and imaginary part of any operand."""
    if isinstance(value, TracedComplex):
        return value.real, value.imag
    if isinstance(value, TracedBase):
        return value, 0.0
    if isinstance(value, (list, tuple)) and any(isinstance(item, TracedComplex) for item in value):
        pairs = [parts(item) for item in value]
        return np.stack([np.add(r, 0.0) for r, _ in pairs]), np.stack(
            [np.broadcast_to(i, np.shape(r)) for r, i in pairs]
        )
    if find_builder(value) is not None:
        return as_traced(value), 0.0
    array = np.asarray(value)
    return (array.real, array.imag) if array.dtype.kind == "c" else (array, 0.0)


def _both(value: Any) -> Parts:
    """Parts of equal shapes."""
    real, imag = parts(value)
    return real, imag if np.shape(imag) == np.shape(real) else np.broadcast_to(imag, np.shape(real))


# -- ufuncs ----------------------------------------------------------------------------------------------------------


def _multiply(a: Parts, b: Parts) -> Parts:
    return np.multiply(a[0], b[0]) - np.multiply(a[1], b[1]), np.multiply(a[0], b[1]) + np.multiply(a[1], b[0])


def _divide(a: Parts, b: Parts) -> Parts:
    size = np.square(b[0]) + np.square(b[1])
    real, imag = _multiply(a, (b[0], np.negative(b[1])))
    return real / size, imag / size


def _power(a: Parts, b: Parts) -> Parts:
    exponent = b[0] if isinstance(b[0], np.ndarray) and b[0].ndim == 0 and not np.any(b[1]) else None
    if exponent is not None and float(exponent) == int(exponent):
        n = int(exponent)
        if n == 0:
            return np.ones_like(a[0]), np.zeros_like(a[0])
        base, result = a, a
        for _ in range(abs(n) - 1):
            result = _multiply(result, base)
        return result if n > 0 else _divide((np.ones_like(a[0]), 0.0), result)
    return _exp(_multiply(_log(a), b))


def _exp(a: Parts) -> Parts:
    size = np.exp(a[0])
    return size * np.cos(a[1]), size * np.sin(a[1])


def _log(a: Parts) -> Parts:
    return 0.5 * np.log(np.square(a[0]) + np.square(a[1])), np.arctan2(a[1], a[0])


def _sqrt(a: Parts) -> Parts:
    return _exp(_multiply(_log(a), (0.5, 0.0)))


def _matmul(a: Parts, b: Parts) -> Parts:
    def product(left: Any, right: Any) -> Any:
        return 0.0 if np.ndim(left) == 0 or np.ndim(right) == 0 else np.matmul(left, right)

    return product(a[0], b[0]) - product(a[1], b[1]), product(a[0], b[1]) + product(a[1], b[0])


_COMPLEX: dict[str, Callable[..., Parts]] = {
    "add": lambda a, b: (np.add(a[0], b[0]), np.add(a[1], b[1])),
    "subtract": lambda a, b: (np.subtract(a[0], b[0]), np.subtract(a[1], b[1])),
    "multiply": _multiply,
    "divide": _divide,
    "power": _power,
    "matmul": _matmul,
    "negative": lambda a: (np.negative(a[0]), np.negative(a[1])),
    "positive": lambda a: a,
    "conjugate": lambda a: (a[0], np.negative(a[1])),
    "square": lambda a: _multiply(a, a),
    "reciprocal": lambda a: _divide((1.0, 0.0), a),
    "exp": _exp,
    "log": _log,
    "sqrt": _sqrt,
    "sin": lambda a: (np.sin(a[0]) * np.cosh(a[1]), np.cos(a[0]) * np.sinh(a[1])),
    "cos": lambda a: (np.cos(a[0]) * np.cosh(a[1]), np.negative(np.sin(a[0]) * np.sinh(a[1]))),
    "sinh": lambda a: (np.sinh(a[0]) * np.cos(a[1]), np.cosh(a[0]) * np.sin(a[1])),
    "cosh": lambda a: (np.cosh(a[0]) * np.cos(a[1]), np.sinh(a[0]) * np.sin(a[1])),
}
_REAL: dict[str, Callable[..., Any]] = {
    "absolute": lambda a: np.hypot(a[0], a[1]),
    "equal": lambda a, b: np.logical_and(np.equal(a[0], b[0]), np.equal(a[1], b[1])),
    "not_equal": lambda a, b: np.logical_or(np.not_equal(a[0], b[0]), np.not_equal(a[1], b[1])),
    "isnan": lambda a: np.logical_or(np.isnan(a[0]), np.isnan(a[1])),
    "isfinite": lambda a: np.logical_and(np.isfinite(a[0]), np.isfinite(a[1])),
}


def evaluate(name: str, inputs: tuple[Any, ...]) -> Any:
    """A ufunc on operands of which one at least is complex."""
    pairs = [parts(value) for value in inputs]
    if name in _REAL:
        return _REAL[name](*(_both(value) for value in inputs))
    if name not in _COMPLEX:
        raise unsupported(f"numpy.{name} of complex traced values", "work on z.real and z.imag")
    real, imag = _COMPLEX[name](*pairs)
    shape = np.broadcast_shapes(np.shape(real), np.shape(imag))
    builder = builder_of(*(part for pair in pairs for part in pair))
    return TracedComplex(
        as_traced(np.broadcast_to(real, shape), builder), as_traced(np.broadcast_to(imag, shape), builder)
    )


def call_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A NumPy function on operands of which one at least is complex."""
    name = function.__name__
    if name in FUNCTIONS:
        return FUNCTIONS[name](*args, **kwargs)
    if name in _LINEAR:
        return _each_part(function, *args, **kwargs)
    raise unsupported(f"numpy.{name} of complex traced values", "work on z.real and z.imag")


COMPLEX["ufunc"] = evaluate
COMPLEX["function"] = call_function

# -- functions -------------------------------------------------------------------------------------------------------

_LINEAR = frozenset(
    [
        "sum",
        "mean",
        "reshape",
        "ravel",
        "transpose",
        "squeeze",
        "expand_dims",
        "roll",
        "flip",
        "fliplr",
        "flipud",
        "moveaxis",
        "swapaxes",
        "take",
        "repeat",
        "tile",
        "broadcast_to",
        "diagonal",
        "trace",
        "cumsum",
        "diff",
        "pad",
        "concatenate",
        "stack",
        "hstack",
        "vstack",
        "column_stack",
        "split",
        "array_split",
        "copy",
        "tril",
        "triu",
        "trapezoid",
        "diag",
        "append",
        "rollaxis",
        "rot90",
        "average",
    ]
)
"""Functions of one operand that act on real and imaginary part alike."""


def _each_part(function: Callable[..., Any], array: Any, *args: Any, **kwargs: Any) -> Any:
    if isinstance(array, (list, tuple)):
        pairs = [_both(item) for item in array]
        real, imag = function([r for r, _ in pairs], *args, **kwargs), function([i for _, i in pairs], *args, **kwargs)
    else:
        pair = _both(array)
        real, imag = function(pair[0], *args, **kwargs), function(pair[1], *args, **kwargs)
    if isinstance(real, (list, tuple)):
        return [TracedComplex(r, i) for r, i in zip(real, imag, strict=True)]
    return TracedComplex(real, imag)


def _product(function: Callable[..., Any]) -> Callable[..., Any]:
    """A bilinear function of two operands."""

    def apply(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
        (ar, ai), (br, bi) = _both(a), _both(b)
        if function.__name__ == "vdot":
            ai = np.negative(ai)
        real = function(ar, br, *args, **kwargs) - function(ai, bi, *args, **kwargs)
        return TracedComplex(real, function(ar, bi, *args, **kwargs) + function(ai, br, *args, **kwargs))

    return apply


def _einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:
    if len(operands) == 1:
        return _each_part(lambda part: np.einsum(subscripts, part), operands[0])
    if len(operands) != 2:
        raise unsupported("numpy.einsum of more than two complex operands", "contract two at a time")
    return _product(lambda a, b: np.einsum(subscripts, a, b))(*operands)


def _angle(z: Any, deg: bool = False) -> Any:
    real, imag = _both(z)
    angle = np.arctan2(imag, real)
    return np.degrees(angle) if deg else angle


def _norm(z: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return np.linalg.norm(np.absolute(z), ord, axis, keepdims)


def _where(condition: Any, a: Any, b: Any) -> Any:
    (ar, ai), (br, bi) = _both(a), _both(b)
    return TracedComplex(np.where(condition, ar, br), np.where(condition, ai, bi))


def _prod(z: Any, axis: Any = None, **kwargs: Any) -> Any:
    z = np.ravel(z) if axis is None else np.moveaxis(z, axis, 0)
    result = z[0]
    for k in range(1, len(z)):
        result = result * z[k]
    return result


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "real": lambda z: z.real,
    "imag": lambda z: z.imag,
    "angle": _angle,
    "norm": _norm,
    "where": _where,
    "prod": _prod,
    "iscomplexobj": lambda z: True,
    "isrealobj": lambda z: False,
    "shape": lambda z: z.shape,
    "ndim": lambda z: z.ndim,
    "size": lambda z, axis=None: z.size if axis is None else z.shape[axis],
    "dot": _product(np.dot),
    "vdot": _product(np.vdot),
    "inner": _product(np.inner),
    "outer": _product(np.outer),
    "tensordot": _product(np.tensordot),
    "kron": _product(np.kron),
    "einsum": _einsum,
    "zeros_like": lambda z, **kwargs: TracedComplex(np.zeros_like(z.real), np.zeros_like(z.real)),
    "real_if_close": lambda z, tol=100: z,
}
