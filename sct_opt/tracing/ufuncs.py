"""NumPy's ufunc protocol: calls, reductions, accumulations and outer products of traced operands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.errors import TracingError
from sct_opt.ops import OPCODE, OPS, UFUNC
from sct_opt.tape import Array, TapeBuilder
from sct_opt.tracing.array import Traced, plain_key, traced
from sct_opt.tracing.base import (
    ASSIGN,
    BOOL,
    COMPLEX,
    FLOAT,
    INT,
    UFUNC_METHODS,
    ComplexOperandError,
    TracedBase,
    builder_of,
    ids_of,
    kind_of,
)
from sct_opt.tracing.location import missing_primal, unsupported, where
from sct_opt.tracing.scalar import TracedScalar

# The opcodes whose results are truth values, and those that keep whole numbers whole.
_TRUTH = {
    OPCODE[name]
    for name in ("lt", "le", "gt", "ge", "eq", "ne", "logical_and", "logical_or", "logical_xor", "logical_not")
}
_WHOLE = {
    OPCODE[name]
    for name in (
        "add",
        "sub",
        "mul",
        "neg",
        "abs",
        "square",
        "min",
        "max",
        "fmin",
        "fmax",
        "mod",
        "fmod",
        "floor_divide",
        "sign",
        "pow",
        "floor",
        "ceil",
        "trunc",
        "rint",
    )
}
_CONSTANT = {code for code, op in enumerate(OPS) if op.arity > 0 and not any(op.d)}
"""Opcodes whose partials are all structurally zero: local traces answer them with plain numbers."""

_REMEMBERED = 4  # comparisons of arrays

SPECIAL: dict[str, Callable[..., Any]] = {}
"""Ufuncs that are not one row of the operator table."""


def special(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what a ufunc without a row of its own means."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            SPECIAL[name] = function
        return function

    return register


def finish(builder: TapeBuilder, ids: Array, code: int, kind: str = FLOAT) -> Any:
    """Wrap the result of an operator; a local trace knows the value of what has no derivatives."""
    kind = BOOL if code in _TRUTH else kind
    if builder.local and code in _CONSTANT:
        values = builder.value(ids)
        values = values.astype(bool) if kind == BOOL else values.astype(np.int64) if kind == INT else values
        return values[()]
    return traced(builder, ids, kind)


def emit_unary(code: int, a: TracedBase) -> Any:
    """One row of the table on a traced operand."""
    builder = a.builder
    kind = INT if code in _WHOLE and a.kind != FLOAT else FLOAT
    if isinstance(a, TracedScalar):
        return finish(builder, np.array(builder.emit1(code, a.id), dtype=np.int32), code, kind)
    return finish(builder, builder.unary(code, ids_of(builder, a)), code, kind)


def emit_binary(code: int, a: Any, b: Any) -> Any:
    """One row of the table on two operands, at least one of them traced."""
    builder = a.builder if isinstance(a, TracedBase) else b.builder if isinstance(b, TracedBase) else builder_of(a, b)
    ids_a, ids_b = ids_of(builder, a), ids_of(builder, b)
    kind = FLOAT
    if code in _WHOLE and FLOAT not in (kinds := {kind_of(a), kind_of(b)}):
        kind = INT
        if kinds == {BOOL} and code in _OF_TRUTH:
            code, kind = _OF_TRUTH[code], BOOL
    if ids_a.ndim == 0 and ids_b.ndim == 0:
        return finish(builder, np.array(builder.emit2(code, ids_a.item(), ids_b.item()), dtype=np.int32), code, kind)
    key = (code, ids_a.shape, ids_a.tobytes(), ids_b.shape, ids_b.tobytes()) if code in _TRUTH else None
    if key in builder.comparisons:
        return finish(builder, builder.comparisons[key].copy(), code, kind)
    try:
        ids = builder.binary(code, ids_a, ids_b)
    except ValueError:
        raise ValueError(
            f"operands could not be broadcast together with shapes {ids_a.shape} {ids_b.shape}\n  at {where()}"
        ) from None
    if key is not None:
        while len(builder.comparisons) >= _REMEMBERED:
            builder.comparisons.pop(next(iter(builder.comparisons)))
        builder.comparisons[key] = ids.copy()
    return finish(builder, ids, code, kind)


# What NumPy's + and * and their like mean between truth values.
_OF_TRUTH = {
    OPCODE["add"]: OPCODE["logical_or"],
    OPCODE["mul"]: OPCODE["logical_and"],
    OPCODE["max"]: OPCODE["logical_or"],
    OPCODE["min"]: OPCODE["logical_and"],
}


def _evaluate(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    name = ufunc.__name__
    rule = SPECIAL.get(name)
    if rule is not None:
        return rule(*inputs)
    code = UFUNC.get(name)
    if code is None and set("".join(ufunc.types)) <= set("O->"):
        # np.frompyfunc: a Python function of single numbers
        return _of_objects(ufunc, inputs)
    if code is None or OPS[code].arity != len(inputs):
        raise unsupported(f"{'scipy.special' if not hasattr(np, name) else 'numpy'}.{name}")
    if len(inputs) == 1:
        value = inputs[0]
        return emit_unary(code, value if isinstance(value, TracedBase) else as_traced(value))
    return emit_binary(code, *inputs)


def _of_objects(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    builder = builder_of(*inputs)
    result = ufunc(*(np.asarray(value, dtype=object) for value in inputs))
    return (
        tuple(as_traced(part, builder) for part in result) if isinstance(result, tuple) else as_traced(result, builder)
    )


def as_traced(value: Any, builder: TapeBuilder | None = None) -> Any:
    """Any operand as a traced value of the same shape."""
    builder = builder or builder_of(value)
    return value if isinstance(value, TracedBase) else traced(builder, ids_of(builder, value), kind_of(value))


def assign(target: Any, result: Any, mask: Any = True) -> Any:
    """Write a result into ``out=``, where the mask says so."""
    if not isinstance(target, Traced):
        raise missing_primal("array")
    if mask is not True:
        result = np.where(mask, result, target)
    target[...] = result
    return target


def call(
    ufunc: np.ufunc,
    *inputs: Any,
    out: Any = None,
    where: Any = True,
    dtype: Any = None,
    casting: Any = None,
    order: Any = None,
    subok: Any = None,
    **kwargs: Any,
) -> Any:
    """``ufunc(*inputs)``."""
    if kwargs:
        raise unsupported(f"{ufunc.__name__} with {', '.join(kwargs)}=")
    try:
        result = _evaluate(ufunc, inputs)
    except ComplexOperandError:
        if out is not None:
            raise
        return COMPLEX["ufunc"](ufunc.__name__, inputs)
    if dtype is not None and kind_of(result) != np.dtype(dtype).kind:
        result = np.astype(result, dtype)
    if out is None:
        if where is not True:
            raise TracingError(
                f"{ufunc.__name__}(…, where=…) without out= leaves entries undefined\n  at {where_place()}\n  mend: use np.where(condition, value, other)"
            )
        return result
    targets = out if isinstance(out, tuple) else (out,)
    results = result if isinstance(result, tuple) else (result,)
    done = tuple(
        value if target is None else assign(target, value, where)
        for target, value in zip(targets, results, strict=True)
    )
    return done if len(done) > 1 else done[0]


def where_place() -> str:
    """The user's place, under a name that the ``where=`` arguments of ufuncs do not hide."""
    return where()


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    for one in axes:
        if not -ndim <= one < ndim:
            raise np.exceptions.AxisError(one, ndim)
    return tuple(int(one) % ndim for one in axes)


def gathered(ids: Array, axis: Any) -> tuple[Array, tuple[int, ...]]:
    """Move the reduced axes to the end and flatten them; also the shape with these axes kept as ones."""
    axes = _axes(axis, ids.ndim)
    rest = [k for k in range(ids.ndim) if k not in axes]
    kept = tuple(1 if k in axes else n for k, n in enumerate(ids.shape))
    moved = ids.transpose(rest + list(axes))
    return moved.reshape([ids.shape[k] for k in rest] + [int(np.prod([ids.shape[k] for k in axes], dtype=int))]), kept


def weighted_sum(builder: TapeBuilder, ids: Array, coefs: Any = 1.0, consts: Any = 0.0) -> Array:
    """Affine nodes over the last axis: ``consts + sum(coefs * ids)``; the operands broadcast."""
    coefs = np.asarray(coefs, dtype=float)
    shape = np.broadcast_shapes(ids.shape, coefs.shape)
    ids = np.broadcast_to(ids, shape)
    outer = shape[:-1]
    count = int(np.prod(outer, dtype=int))
    return builder.affine(
        np.full(count, shape[-1], dtype=np.int64),
        ids.ravel(),
        np.broadcast_to(coefs, shape).ravel(),
        np.broadcast_to(np.asarray(consts, dtype=float), outer).ravel(),
    ).reshape(outer)


def tree(builder: TapeBuilder, code: int, ids: Array) -> Array:
    """Combine the entries along the last axis by an associative operator, pairwise, so that the depth is logarithmic."""
    while ids.shape[-1] > 1:
        half = ids.shape[-1] // 2
        paired = builder.binary(code, ids[..., 0 : 2 * half : 2], ids[..., 1 : 2 * half : 2])
        ids = np.concatenate([paired, ids[..., 2 * half :]], axis=-1)
    return ids[..., 0]


_IDENTITY = {
    "add": 0.0,
    "multiply": 1.0,
    "logical_and": 1.0,
    "logical_or": 0.0,
    "logical_xor": 0.0,
    "logaddexp": -np.inf,
    "hypot": 0.0,
    "bitwise_and": 1.0,
    "bitwise_or": 0.0,
}
_ASSOCIATIVE = {
    "multiply",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "logical_and",
    "logical_or",
    "logical_xor",
    "logaddexp",
    "logaddexp2",
    "hypot",
}


def reduce(
    ufunc: np.ufunc,
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    """``ufunc.reduce``; axis None reduces all axes."""
    if initial is np._NoValue:
        initial = None
    builder = builder_of(array, where, initial)
    name = ufunc.__name__
    kind = kind_of(array)
    name = (
        {"bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_xor": "logical_xor"}.get(name, name)
        if kind == BOOL
        else name
    )
    code = UFUNC.get(name)
    if code is None or OPS[code].arity != 2:
        raise unsupported(f"{name}.reduce")
    source = ids_of(builder, array)
    if where is not True and where is not np._NoValue:
        if name not in _IDENTITY and initial is None:
            raise ValueError(
                f"reduction operation '{name}' does not have an identity, so to use a where mask one has to specify 'initial'"
            )
        source = ids_of(
            builder, np.where(where, as_traced(array, builder), _IDENTITY[name] if initial is None else initial)
        )
    ids, kept = gathered(source, axis)
    if initial is not None:
        first = np.broadcast_to(ids_of(builder, initial)[..., None], (*ids.shape[:-1], 1))
        ids = np.concatenate([first, ids], axis=-1)
    if ids.shape[-1] == 0:
        if name not in _IDENTITY:
            raise ValueError(f"zero-size array to reduction operation {name} which has no identity")
        result = np.full(ids.shape[:-1], builder.constant(_IDENTITY[name]), dtype=np.int32)
    elif name == "add":
        result = weighted_sum(builder, ids)
        kind = INT if kind != FLOAT else FLOAT
    elif name in _ASSOCIATIVE:
        result = tree(builder, code, ids).copy()
        kind = kind if code in _WHOLE else BOOL if code in _TRUTH else FLOAT
    else:
        result = functools.reduce(
            lambda total, k: builder.binary(code, total, ids[..., k]), range(1, ids.shape[-1]), ids[..., 0]
        )
    wrapped = finish(builder, result.reshape(kept) if keepdims is True else result, code, kind)
    return wrapped if out is None else assign(out[0] if isinstance(out, tuple) else out, wrapped)


def accumulate(ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    """``ufunc.accumulate``: a chain of nodes along the axis, linear in its length."""
    builder = builder_of(array)
    name = ufunc.__name__
    code = UFUNC.get(name)
    if code is None or OPS[code].arity != 2:
        raise unsupported(f"{name}.accumulate")
    ids = np.moveaxis(ids_of(builder, array), axis, 0)
    length = ids.shape[0]
    if length > 1 and ids.size == length and (ids >= 0).all() and not (builder.local and code in _CONSTANT):
        flat = ids.ravel()
        values = ufunc.accumulate(builder.value(flat))[1:] if builder.local else None
        new = np.arange(builder.size, builder.size + length - 1, dtype=np.int32)
        chain = builder.nodes(
            np.full(length - 1, code, dtype=np.uint8), np.concatenate([flat[:1], new[:-1]]), flat[1:], values
        )
        result = np.concatenate([flat[:1], chain]).reshape(ids.shape)
    else:
        result = ids.copy()
        for k in range(1, length):
            result[k] = builder.binary(code, result[k - 1 : k], ids[k : k + 1])[0]
    kind = kind_of(array)
    wrapped = finish(
        builder,
        np.moveaxis(result, 0, axis),
        code,
        INT if kind == BOOL and name == "add" else kind if code in _WHOLE else FLOAT,
    )
    return wrapped if out is None else assign(out[0] if isinstance(out, tuple) else out, wrapped)


def outer(ufunc: np.ufunc, a: Any, b: Any, **kwargs: Any) -> Any:
    """``ufunc.outer``."""
    a, b = (value if isinstance(value, TracedBase) else np.asarray(value) for value in (a, b))
    return call(ufunc, a.reshape(a.shape + (1,) * b.ndim) if b.ndim else a, b, **kwargs)


def at(ufunc: np.ufunc, array: Any, index: Any, *operands: Any) -> None:
    """``ufunc.at``: unbuffered in-place operation, entry by entry."""
    if not isinstance(array, Traced):
        raise missing_primal("array")
    position = np.arange(array.size).reshape(array.shape)[plain_key(index)]
    flat = array.ravel() if array.ids.flags.c_contiguous else array.flatten()
    values = [np.broadcast_to(ids_of(array.builder, operand), position.shape).ravel() for operand in operands]
    for k, i in enumerate(position.ravel().tolist()):
        flat[i] = call(ufunc, flat[i], *(TracedScalar(array.builder, int(v[k])) for v in values))
    array.ids[...] = flat.ids.reshape(array.shape)


def reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    """``ufunc.reduceat``."""
    moved = np.moveaxis(array, axis, 0)
    bounds = [int(i) for i in indices]
    ends = [*bounds[1:], len(moved)]
    parts = [reduce(ufunc, moved[i:j]) if i < j else moved[i] for i, j in zip(bounds, ends, strict=True)]
    return np.moveaxis(np.stack(parts), 0, axis)


ASSIGN["out"] = assign
UFUNC_METHODS.update(
    {"__call__": call, "reduce": reduce, "accumulate": accumulate, "outer": outer, "at": at, "reduceat": reduceat}
)


# -- ufuncs that are not one row -----------------------------------------------------------------------------------


@special("positive", "conjugate")
def _itself(a: Any) -> Any:
    return as_traced(a).copy()


@special("bitwise_and", "bitwise_or", "bitwise_xor", "invert")
def _refuse_bits(*operands: Any) -> Any:
    raise unsupported("a bitwise operation", "compare first: (x > 0) & (y > 0) combines conditions")


def _logical(name: str, logical: Any) -> None:
    def operate(*operands: Any) -> Any:
        if any(kind_of(operand) != BOOL for operand in operands):
            return _refuse_bits(*operands)
        return logical(*operands)

    SPECIAL[name] = operate


for _bitwise, _ufunc in {
    "bitwise_and": np.logical_and,
    "bitwise_or": np.logical_or,
    "bitwise_xor": np.logical_xor,
    "invert": np.logical_not,
}.items():
    _logical(_bitwise, _ufunc)


@special("deg2rad", "radians")
def _radians(a: Any) -> Any:
    return np.multiply(a, np.pi / 180.0)


@special("rad2deg", "degrees")
def _degrees(a: Any) -> Any:
    return np.multiply(a, 180.0 / np.pi)


@special("isnan")
def _isnan(a: Any) -> Any:
    return np.not_equal(a, a)


@special("isfinite")
def _isfinite(a: Any) -> Any:
    return np.less(np.absolute(a), np.inf)


@special("isinf")
def _isinf(a: Any) -> Any:
    return np.equal(np.absolute(a), np.inf)


@special("signbit")
def _signbit(a: Any) -> Any:
    return np.less(np.copysign(1.0, a), 0.0)


@special("heaviside")
def _heaviside(a: Any, at_zero: Any) -> Any:
    return np.where(np.less(a, 0.0), 0.0, np.where(np.equal(a, 0.0), at_zero, 1.0))


@special("modf")
def _modf(a: Any) -> Any:
    whole = np.trunc(a)
    return np.subtract(a, whole), whole


@special("divmod")
def _divmod(a: Any, b: Any) -> Any:
    return np.floor_divide(a, b), np.remainder(a, b)


@special("ldexp")
def _ldexp(a: Any, b: Any) -> Any:
    return np.multiply(a, np.exp2(b))


@special("nextafter")
def _nextafter(a: Any, b: Any) -> Any:
    return as_traced(a, builder_of(a, b)).copy()


@special("spacing")
def _spacing(a: Any) -> Any:
    raise unsupported("numpy.spacing", "use np.finfo(float).eps times a scale")


@special("frexp")
def _frexp(a: Any) -> Any:
    exponent = np.floor(np.log2(np.absolute(a))) + 1.0
    return np.multiply(a, np.exp2(-exponent)), exponent
