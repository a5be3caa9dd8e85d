"""`Traced`: a traced array, a wrapper around an integer array of node ids.

Indexing, assignment and everything that only moves entries about is the same NumPy operation on the ids and emits no
node.  A slice shares memory with its array just as NumPy's does, so writing through a view works.  Everything that
computes goes through NumPy's protocols to `sct_opt.tracing.ufuncs` and `sct_opt.tracing.functions`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sct_opt.errors import TracingError
from sct_opt.tape import Array, TapeBuilder
from sct_opt.tracing.base import BOOL, FLOAT, TracedBase, find_builder, ids_of, kind_of
from sct_opt.tracing.location import missing_primal, unsupported, where
from sct_opt.tracing.scalar import SCALARS, TracedScalar
from sct_opt.tracing.selected import Selected, shape_error


class Traced(TracedBase):
    """A traced array.

    Args:
        builder: the builder of the trace.
        ids: node ids, int32; the array is not copied.
        kind: what plain NumPy's dtype would be: float, bool or int.
    """

    __slots__ = ("builder", "ids", "kind")

    def __init__(self, builder: TapeBuilder, ids: Array, kind: str = FLOAT) -> None:
        self.builder = builder
        self.ids = ids
        self.kind = kind

    # -- what it looks like ------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape as in NumPy."""
        shape: tuple[int, ...] = self.ids.shape
        return shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.ids.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.ids.size

    @property
    def T(self) -> Traced:
        """Transpose, a view."""
        return Traced(self.builder, self.ids.T, self.kind)

    @property
    def mT(self) -> Traced:
        """Transpose of the last two axes, a view."""
        return Traced(self.builder, self.ids.mT, self.kind)

    @property
    def real(self) -> Traced:
        """Itself."""
        return self

    @property
    def imag(self) -> Array:
        """Zeros."""
        return np.zeros(self.shape)

    @property
    def flat(self) -> Traced:
        """The entries in C order; assigning to them writes into this array."""
        return _Flat(self)

    @flat.setter
    def flat(self, value: Any) -> None:
        _Flat(self)[...] = value

    @property
    def nbytes(self) -> int:
        """What plain NumPy would say."""
        return self.ids.size * self.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """What plain NumPy would say."""
        return self.dtype.itemsize

    def __repr__(self) -> str:
        return f"Traced(shape={self.shape}, nodes={np.array2string(self.ids, threshold=8)})"

    def __len__(self) -> int:
        return len(self.ids)

    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(np.ndarray, name):
            raise unsupported(f"ndarray.{name}")
        raise AttributeError(f"a traced array has no attribute {name!r}")

    # -- numbers that do not exist while tracing ---------------------------------------------------------------------

    def _only(self) -> TracedScalar:
        if self.ids.size != 1:
            raise TracingError(
                f"an array of shape {self.shape} stands where one number or truth value is needed\n  at {where()}\n"
                "  mend: reduce it first (sum, max, all, any …) or index one entry"
            )
        return SCALARS[self.kind](self.builder, self.ids.item())

    def __bool__(self) -> bool:
        return bool(self._only())

    def __float__(self) -> float:
        return float(self._only())

    def __int__(self) -> int:
        return int(self._only())

    def __index__(self) -> int:
        return self._only().__index__()

    def __complex__(self) -> complex:
        return complex(self._only())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if _asked_by_sparse():
            # A 0-d object array makes scipy.sparse return NotImplemented, so that Python asks __rmatmul__ next.
            scalar = np.empty((), dtype=object)
            scalar[()] = self
            return scalar
        if dtype is None or np.dtype(dtype) != object:
            if (self.ids < 0).all():
                return np.array(self.builder.constant_value(self.ids), dtype=dtype or self.dtype)
            if dtype is not None:
                raise missing_primal("array", self.builder.local)
        _refuse_sparse()
        array = np.empty(self.ids.size, dtype=object)
        make, builder = SCALARS[self.kind], self.builder
        array[:] = [make(builder, i) for i in self.ids.ravel().tolist()]
        return array.reshape(self.shape)

    # -- indexing and assignment -------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        ids = self.ids
        if type(key) is int and ids.ndim == 1:
            if self.kind == FLOAT:
                try:
                    return TracedScalar(self.builder, ids.item(key))
                except IndexError:
                    raise IndexError(f"index {key} is out of bounds for axis 0 with size {ids.size}") from None
        elif isinstance(key, TracedBase) and key.kind == BOOL and key.shape == ids.shape and not _is_known(key):
            # copies: NumPy's selection does not follow later changes either
            return Selected(self.copy(), key.copy())  # type: ignore[attr-defined]
        elif type(key) is not slice:
            key = plain_key(key)
        part = ids[key]
        if isinstance(part, np.ndarray):
            return Traced(self.builder, part, self.kind)
        return SCALARS[self.kind](self.builder, int(part))

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(value) is TracedScalar and type(key) is int and self.kind == FLOAT and value.builder is self.builder:
            self.ids[key] = value.id
            return
        if self.kind != FLOAT and kind_of(value) != self.kind:
            given: Any = value if isinstance(value, TracedBase) else np.asarray(value)
            value = np.astype(given, self.dtype)
        if isinstance(key, TracedBase) and key.kind == BOOL and not _is_known(key):
            # x[condition] = value keeps its shape, so it is a choice entry by entry
            if isinstance(value, Selected):
                if not np.array_equal(value.condition.ids, key.ids):  # type: ignore[attr-defined]
                    raise shape_error()
                value = value.values
            elif np.ndim(value) > 0:
                raise shape_error()
            self.ids[...] = np.where(key, value, self).ids  # type: ignore[call-overload]
            return
        self.ids[plain_key(key)] = ids_of(self.builder, value)

    def __iter__(self) -> Iterator[Any]:
        if self.ids.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        builder, kind = self.builder, self.kind
        if self.ids.ndim == 1:
            make = SCALARS[kind]
            return iter([make(builder, i) for i in self.ids.tolist()])
        return (Traced(builder, row, kind) for row in self.ids)

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(np.equal(self, value)))

    def item(self, *index: Any) -> TracedScalar:
        """One entry as a traced scalar."""
        return SCALARS[self.kind](self.builder, self.ids.item(*index))

    def tolist(self) -> Any:
        """Nested lists of traced scalars."""
        return self.__array__(object).tolist()

    # -- methods that only move entries about ------------------------------------------------------------------------

    def _same(self, ids: Array) -> Traced:
        return Traced(self.builder, ids, self.kind)

    def reshape(self, *shape: Any, order: Any = "C", copy: bool | None = None) -> Traced:
        """As `numpy.ndarray.reshape`."""
        return self._same(self.ids.reshape(*shape, order=order))

    def transpose(self, *axes: Any) -> Traced:
        """As `numpy.ndarray.transpose`."""
        return self._same(self.ids.transpose(*axes))

    def swapaxes(self, axis1: int, axis2: int) -> Traced:
        """As `numpy.ndarray.swapaxes`."""
        return self._same(self.ids.swapaxes(axis1, axis2))

    def ravel(self, order: Any = "C") -> Traced:
        """As `numpy.ndarray.ravel`."""
        return self._same(self.ids.ravel(order))

    def flatten(self, order: Any = "C") -> Traced:
        """As `numpy.ndarray.flatten`."""
        return self._same(self.ids.flatten(order))

    def copy(self, order: Any = "C") -> Traced:
        """As `numpy.ndarray.copy`."""
        return self._same(self.ids.copy(order))

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Traced:
        return self.copy()

    def view(self, *args: Any) -> Traced:
        """A view of the whole array."""
        if args and args[0] is not np.ndarray and np.dtype(args[0]) != self.dtype:
            raise unsupported(f"ndarray.view({args[0]})", "convert with astype")
        return self._same(self.ids.view())

    def fill(self, value: Any) -> None:
        """As `numpy.ndarray.fill`."""
        self[...] = value

    def conj(self) -> Traced:
        """Itself."""
        return self

    conjugate = conj

    def astype(self, dtype: Any, *args: Any, copy: bool = True, **kwargs: Any) -> Any:
        """As `numpy.ndarray.astype`; to int truncates, to bool compares with zero."""
        return np.astype(self, dtype, copy=copy)  # type: ignore[call-overload]

    def itemset(self, *args: Any) -> None:
        """Assign one entry."""
        self[
            np.unravel_index(args[0], self.shape)
            if len(args) == 2 and isinstance(args[0], int)
            else args[0]
            if len(args) == 2
            else ()
        ] = args[-1]

    def sort(self, axis: int = -1, **kwargs: Any) -> None:
        """Sort in place."""
        self[...] = np.sort(self, axis=axis)


class _Flat(Traced):
    """The entries of an array in C order, which are a copy unless they lie so in memory: writing goes to the array too.

    Args:
        owner: the array.
    """

    __slots__ = ("owner",)

    def __init__(self, owner: Traced) -> None:
        super().__init__(owner.builder, owner.ids.ravel(), owner.kind)
        self.owner = owner

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return part.copy() if isinstance(part, Traced) else part

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.owner.ids[...] = self.ids.reshape(self.owner.shape)


def _asked_by_sparse() -> bool:
    """Whether a scipy.sparse operator is trying to convert the other operand."""
    frame = sys._getframe(2)
    if frame.f_globals.get("__name__") == "sct_opt.tracing.idioms" and frame.f_back is not None:
        frame = frame.f_back  # the stand-in of np.asanyarray
    return frame.f_code.co_name in ("_matmul_dispatch", "_rmatmul_dispatch") and frame.f_globals.get(
        "__name__", ""
    ).startswith("scipy.sparse")


def _refuse_sparse() -> None:
    """Raise if a sparse matrix is being made of traced values."""
    frame = sys._getframe(2)
    if frame.f_globals.get("__name__") == "sct_opt.tracing.idioms" and frame.f_back is not None:
        frame = frame.f_back
    if frame.f_globals.get("__name__", "").startswith("scipy.sparse"):
        raise unsupported(
            "a scipy.sparse matrix of traced values",
            "multiply without forming it: np.bincount-like sums are y = np.zeros_like(x); np.add.at(y, rows, data * v[cols])",
        )


def _is_known(condition: Any) -> bool:
    """Whether truth values are numbers: constant, or known because the trace is local."""
    return bool(condition.builder.local or (condition.ids < 0).all())


def plain_key(key: Any) -> Any:
    """An index without traced parts; the error names the place if it has any."""
    if isinstance(key, tuple):
        return tuple(plain_key(part) for part in key)
    if isinstance(key, TracedBase):
        ids = key.ids  # type: ignore[attr-defined]
        if key.kind != FLOAT and _is_known(key):
            return key.builder.value(ids).astype(bool if key.kind == BOOL else np.int64)
        if key.kind == BOOL:
            raise shape_error()
        raise missing_primal("index", key.builder.local)
    if isinstance(key, list) and find_builder(key) is not None:
        raise missing_primal("index")
    if isinstance(key, slice) and any(isinstance(part, TracedBase) for part in (key.start, key.stop, key.step)):
        raise missing_primal("index")
    if isinstance(key, np.ndarray) and key.dtype.kind == "f":
        raise IndexError("arrays used as indices must be of integer (or boolean) type")
    return key


def traced(builder: TapeBuilder, ids: Array, kind: str = FLOAT) -> Traced | TracedScalar:
    """Wrap ids: an array, or a scalar if they are 0-d."""
    if ids.ndim == 0:
        return SCALARS[kind](builder, ids.item())
    return Traced(builder, ids, kind)


def _in_place(ufunc: np.ufunc) -> Callable[..., Any]:
    def operate(self: Traced, other: Any) -> Traced:
        result = ufunc(self, other)
        ids = ids_of(self.builder, result)
        if np.broadcast_shapes(self.shape, ids.shape) != self.shape:
            raise ValueError(
                f"non-broadcastable output operand with shape {self.shape} doesn't match the broadcast shape {ids.shape}"
            )
        self.ids[...] = ids
        return self

    return operate


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: TracedBase, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"As `numpy.{name}`."
    return method


_BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "matmul": np.matmul,
    "divmod": np.divmod,
}
_LOGICAL = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
_COMPARISONS = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
_METHODS = [
    "sum",
    "prod",
    "mean",
    "std",
    "var",
    "max",
    "min",
    "argmax",
    "argmin",
    "argsort",
    "argpartition",
    "any",
    "all",
    "cumsum",
    "cumprod",
    "clip",
    "round",
    "dot",
    "repeat",
    "take",
    "squeeze",
    "trace",
    "diagonal",
    "searchsorted",
    "nonzero",
    "compress",
    "choose",
    "put",
    "ptp",
]

for _name, _ufunc in (_BINARY | _LOGICAL).items():
    setattr(Traced, f"__{_name}__", lambda self, other, _ufunc=_ufunc: _ufunc(self, other))
    setattr(Traced, f"__r{_name}__", lambda self, other, _ufunc=_ufunc: _ufunc(other, self))
    if _name != "divmod":
        setattr(Traced, f"__i{_name}__", _in_place(_ufunc))
for _name, _ufunc in _COMPARISONS.items():
    setattr(
        Traced,
        f"__{_name}__",
        lambda self, other, _ufunc=_ufunc: (
            NotImplemented if other is None or isinstance(other, str) else _ufunc(self, other)
        ),
    )
for _name, _ufunc in {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}.items():
    setattr(Traced, f"__{_name}__", lambda self, _ufunc=_ufunc: _ufunc(self))
for _name in _METHODS:
    setattr(Traced, _name, _method(_name))
    if not hasattr(TracedScalar, _name):
        setattr(TracedScalar, _name, _method(_name))
setattr(TracedScalar, "flatten", lambda self: Traced(self.builder, self.ids.reshape(1), self.kind))  # noqa: B010
setattr(TracedScalar, "ravel", TracedScalar.flatten)  # type: ignore[attr-defined] # noqa: B010
setattr(TracedScalar, "reshape", lambda self, *shape, **_: traced(self.builder, self.ids.reshape(*shape), self.kind))  # noqa: B010
