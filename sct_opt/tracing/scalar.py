"""`TracedScalar`: one traced number, the light class that scalar loops run through.

Its arithmetic bypasses NumPy: an operation appends three integers to the builder's list and makes one small object.
Operands that are not plain Python numbers take the way of NumPy's ufunc, which ends in `sct_opt.tracing.ufuncs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.ops import OPCODE, OPS
from sct_opt.tape import Array, TapeBuilder
from sct_opt.tracing.base import BOOL, FLOAT, INT, TracedBase, plain_number
from sct_opt.tracing.location import foreign, missing_primal


class TracedScalar(TracedBase):
    """One traced number.

    Args:
        builder: the builder of the trace.
        id: node id.
    """

    __slots__ = ("builder", "id")

    shape: tuple[int, ...] = ()
    ndim = 0
    size = 1

    def __init__(self, builder: TapeBuilder, id: int) -> None:
        self.builder = builder
        self.id = id

    @property
    def ids(self) -> Array:
        """The id as a 0-d array."""
        return np.array(self.id, dtype=np.int32)

    def __repr__(self) -> str:
        return (
            f"TracedScalar(node {self.id})"
            if self.id >= 0
            else f"TracedScalar({self.builder.constant_value(self.id)!r})"
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        # np.sin(x[i]) and np.float64(2.0) * x[i] in loops: as directly as Python's own operators
        code = CODES.get(ufunc)
        if code is not None and method == "__call__" and not kwargs:
            builder = self.builder
            if len(inputs) == 1:
                if type(self) is TracedScalar:
                    return TracedScalar(builder, builder.emit1(code, self.id))
            else:
                a, b = inputs
                if type(a) is TracedScalar:
                    if isinstance(b, (float, int)):
                        return TracedScalar(builder, builder.emit_right(code, self.id, b))
                elif type(b) is TracedScalar and isinstance(a, (float, int)):
                    return TracedScalar(builder, builder.emit_left(code, a, self.id))
        return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)

    # -- numbers that do not exist while tracing ---------------------------------------------------------------------

    def __bool__(self) -> bool:
        return plain_number(self, "bool") != 0.0

    def __float__(self) -> float:
        return plain_number(self, "float")

    def __int__(self) -> int:
        return int(plain_number(self, "int"))

    def __index__(self) -> int:
        if self.kind == FLOAT:
            raise missing_primal("index", self.builder.local)
        return int(plain_number(self, "int"))

    def __complex__(self) -> complex:
        return complex(plain_number(self, "complex"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if dtype is None or np.dtype(dtype) != object:
            if self.id < 0:
                return np.array(self.builder.constant_value(self.id), dtype=dtype or self.dtype)
            if dtype is not None:
                raise missing_primal("float", self.builder.local)
        array = np.empty((), dtype=object)
        array[()] = self
        return array

    # -- arithmetic that is no row of the table ---------------------------------------------------------------------

    def __pos__(self) -> TracedScalar:
        return self

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self, digits or 0)

    def __floor__(self) -> Any:
        return np.floor(self)

    def __ceil__(self) -> Any:
        return np.ceil(self)

    def __trunc__(self) -> Any:
        return np.trunc(self)

    __hash__ = object.__hash__

    # -- what NumPy's own scalars have ----------------------------------------------------------------------------

    @property
    def T(self) -> TracedScalar:
        """Itself."""
        return self

    @property
    def real(self) -> TracedScalar:
        """Itself."""
        return self

    @property
    def imag(self) -> float:
        """Zero."""
        return 0.0

    def item(self, *index: int) -> TracedScalar:
        """Itself."""
        return self

    def copy(self) -> TracedScalar:
        """Itself: scalars do not change."""
        return self

    def conjugate(self) -> TracedScalar:
        """Itself."""
        return self

    conj = conjugate
    tolist = item
    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> TracedScalar:
        return self

    def astype(self, dtype: Any, **kwargs: Any) -> Any:
        """Conversion to float (itself), int (truncation) or bool (unequal to zero)."""
        return np.astype(self, dtype)  # type: ignore[call-overload]

    def is_integer(self) -> Any:
        """Whether the value is whole."""
        return np.equal(np.floor(self), self)


class TracedBool(TracedScalar):
    """A traced truth value, as comparisons give it: 1.0 or 0.0."""

    __slots__ = ()
    kind = BOOL

    def __and__(self, other: Any) -> Any:
        return np.logical_and(self, other)

    def __or__(self, other: Any) -> Any:
        return np.logical_or(self, other)

    def __xor__(self, other: Any) -> Any:
        return np.logical_xor(self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Any:
        return np.logical_not(self)


class TracedInt(TracedScalar):
    """A traced whole number."""

    __slots__ = ()
    kind = INT


# Smooth ufuncs that are one row; the others need the care of `sct_opt.tracing.ufuncs`.
CODES: dict[np.ufunc, int] = {
    getattr(np, name): code
    for code, op in enumerate(OPS)
    for name in op.numpy
    if all(op.d) and op.name not in ("min", "max")
}

SCALARS: dict[str, type[TracedScalar]] = {FLOAT: TracedScalar, BOOL: TracedBool, INT: TracedInt}


def scalar(builder: TapeBuilder, id: int, kind: str = FLOAT) -> TracedScalar:
    """The traced scalar of a kind."""
    return SCALARS[kind](builder, id)


def _arithmetic(name: str, ufunc: np.ufunc) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The two methods of a Python operator: traced on the left, traced on the right."""
    code = OPCODE[name]

    def forward(self: TracedScalar, other: Any) -> Any:
        kind = type(other)
        builder = self.builder
        if kind is TracedScalar:
            if other.builder is not builder:
                raise foreign()
            return TracedScalar(builder, builder.emit2(code, self.id, other.id))
        if kind is float or kind is int:
            return TracedScalar(builder, builder.emit_right(code, self.id, other))
        return ufunc(self, other)

    def reflected(self: TracedScalar, other: Any) -> Any:
        kind = type(other)
        if kind is float or kind is int:
            builder = self.builder
            return TracedScalar(builder, builder.emit_left(code, other, self.id))
        return ufunc(other, self)

    return forward, reflected


def _comparison(ufunc: np.ufunc) -> Callable[..., Any]:
    def compare(self: TracedScalar, other: Any) -> Any:
        if other is None or isinstance(other, str):
            return NotImplemented
        return ufunc(self, other)

    return compare


def _function(name: str, ufunc: np.ufunc) -> Callable[..., Any]:
    """The method by which np.sin of an object array reaches its elements."""
    code = OPCODE[name]

    def method(self: TracedScalar) -> Any:
        builder = self.builder
        return TracedScalar(builder, builder.emit1(code, self.id))

    def through_numpy(self: TracedScalar, *others: Any) -> Any:
        return ufunc(self, *others)

    op = OPS[code]
    # Piecewise constant results are plain numbers in local traces: the ufunc sees to that.
    return method if op.arity == 1 and op.d[0] is not None else through_numpy


_ufunc: Any
_PYTHON_OPERATORS = {
    "add": ("add", np.add),
    "sub": ("sub", np.subtract),
    "mul": ("mul", np.multiply),
    "truediv": ("div", np.divide),
    "pow": ("pow", np.power),
}
for _name, (_row, _ufunc) in _PYTHON_OPERATORS.items():
    _forward, _reflected = _arithmetic(_row, _ufunc)
    setattr(TracedScalar, f"__{_name}__", _forward)
    setattr(TracedScalar, f"__r{_name}__", _reflected)
for _name, _ufunc in (("floordiv", np.floor_divide), ("mod", np.remainder), ("matmul", np.matmul)):
    setattr(TracedScalar, f"__{_name}__", lambda self, other, _ufunc=_ufunc: _ufunc(self, other))
    setattr(TracedScalar, f"__r{_name}__", lambda self, other, _ufunc=_ufunc: _ufunc(other, self))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    _ufunc = {
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
        "eq": np.equal,
        "ne": np.not_equal,
    }[_name]
    setattr(TracedScalar, f"__{_name}__", _comparison(_ufunc))
for _name, _row in (("neg", "neg"), ("abs", "abs")):
    setattr(TracedScalar, f"__{_name}__", _function(_row, getattr(np, {"neg": "negative", "abs": "absolute"}[_name])))
for _op in OPS:
    for _name in _op.numpy:
        if not hasattr(TracedScalar, _name):
            setattr(TracedScalar, _name, _function(_op.name, getattr(np, _name)))
