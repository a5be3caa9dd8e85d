"""Structures and leaves emitted into a tape.

Each structure is interpreted once for all of its items (`_interpret`): with NumPy arrays over the items where there
are many, with plain numbers where there are few.  Values on the interpreter's stack are numbers or affine forms, so
that linear expressions become single affine nodes however they are written; the outermost affine forms of the
objective and the constraints are emitted together at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sct_opt.adapters.pyomo.expressions import (
    BINARY,
    DIV,
    KIND_BITS,
    KIND_MASK,
    LEAF_BITS,
    MONOMIAL_PARAM,
    MONOMIAL_VAR,
    MUL,
    NARY,
    NARY_BITS,
    NEG,
    NUM,
    POW,
    RANGE,
    REF,
    SELECT,
    SUB,
    SUM,
    UNARY,
    VAR,
    Reader,
    Structure,
    describe,
)
from sct_opt.errors import ModelError
from sct_opt.ops import OPCODE, OPS
from sct_opt.tape import TapeBuilder

Array = np.ndarray[Any, Any]

# From this many items on a structure is emitted with arrays.
MANY = 8
# Scalar affine forms with at most this many terms are emitted as plain additions.
_SHORT_FORM = 3

_MUL, _ADD, _SUB, _DIV, _POW, _POWC = (OPCODE[name] for name in ("mul", "add", "sub", "div", "pow", "powc"))
_ZERO, _ONE = 0.0, 1.0
_MONOMIAL_TOKENS = (MONOMIAL_VAR, MONOMIAL_PARAM)


class _Form:
    """An affine form: constant plus coefficients times nodes; numbers and ids are scalars, or arrays over items."""

    __slots__ = ("args", "coefs", "const")

    def __init__(self, const: Any, coefs: list[Any], args: list[Any]) -> None:
        self.const = const
        self.coefs = coefs
        self.args = args

    def scaled(self, factor: Any) -> _Form:
        self.const = self.const * factor
        self.coefs = [factor if c is _ONE else c * factor for c in self.coefs]
        return self

    def add(self, other: Any) -> _Form:
        if isinstance(other, _Form):
            self.const = self.const + other.const
            self.coefs += other.coefs
            self.args += other.args
        else:
            self.const = self.const + other
        return self


class _Emitter(Protocol):
    """Where one interpretation of a structure puts its nodes; ids and numbers are scalars or arrays."""

    def constant(self, number: Any) -> Any: ...
    def unary(self, code: int, a: Any) -> Any: ...
    def binary(self, code: int, a: Any, b: Any) -> Any: ...
    def affine(self, form: _Form) -> Any: ...
    def select(self, condition: Any, a: Any, b: Any) -> Any: ...
    def call(self, function: Any, args: list[Any]) -> Any: ...
    def is_parameter(self, a: Any) -> bool: ...


class _ScalarEmitter:
    """Emits the nodes of one item."""

    def __init__(self, builder: TapeBuilder) -> None:
        self._builder = builder
        self._leaves = range(builder.num_inputs, builder.num_inputs + len(builder.parameters))
        self.constant = builder.constant
        self.unary = builder.emit1
        self.binary = builder.emit2

    def affine(self, form: _Form) -> int:
        builder = self._builder
        if len(form.args) > _SHORT_FORM:
            return int(
                builder.affine(
                    np.array([len(form.args)]),
                    np.array(form.args),
                    np.array(form.coefs, dtype=float),
                    np.array([form.const]),
                )[0]
            )
        total: int | None = None
        for coef, arg in zip(form.coefs, form.args, strict=True):
            if coef == 0.0:
                continue
            if coef == -1.0 and total is not None:
                total = builder.emit2(_SUB, total, arg)
                continue
            term = builder.emit2(_MUL, builder.constant(float(coef)), arg)
            total = term if total is None else builder.emit2(_ADD, total, term)
        constant = builder.constant(float(form.const))
        return constant if total is None else builder.emit2(_ADD, total, constant)

    def select(self, condition: int, a: int, b: int) -> int:
        return int(self._builder.select(np.array([condition]), np.array([a]), np.array([b]))[0])

    def call(self, function: Any, args: list[int]) -> int:
        return int(self._builder.call(function, np.array(args, dtype=np.int32))[0])

    def is_parameter(self, a: int) -> bool:
        return a in self._leaves


class _BlockEmitter:
    """Emits the nodes of many items of one structure, operation by operation."""

    def __init__(self, builder: TapeBuilder, count: int) -> None:
        self._builder = builder
        self._count = count
        self._first = builder.num_inputs
        self._last = self._first + len(builder.parameters)

    def constant(self, number: Any) -> Array:
        number = np.broadcast_to(np.asarray(number, dtype=float), (self._count,))
        if number[0] == number[-1] and (number == number[0]).all():
            return np.full(self._count, self._builder.constant(float(number[0])), dtype=np.int32)
        return self._builder.constants(number)

    def unary(self, code: int, a: Array) -> Array:
        return self._builder.unary(code, a)

    def binary(self, code: int, a: Array, b: Array) -> Array:
        return self._builder.binary(code, a, b)

    def affine(self, form: _Form) -> Array:
        count, width = self._count, len(form.args)
        args = np.stack(form.args, axis=1).ravel()
        coefs = np.empty((count, width))
        for k, coef in enumerate(form.coefs):
            coefs[:, k] = coef
        return self._builder.affine(np.full(count, width), args, coefs.ravel(), np.broadcast_to(form.const, (count,)))

    def select(self, condition: Array, a: Array, b: Array) -> Array:
        return self._builder.select(condition, a, b)

    def call(self, function: Any, args: list[Array]) -> Array:
        rows = np.stack(args, axis=1)
        return np.array([self._builder.call(function, row)[0] for row in rows], dtype=np.int32)

    def is_parameter(self, a: Array) -> bool:
        return bool(((a >= self._first) & (a < self._last)).all())


def _node(value: Any, emit: _Emitter) -> Any:
    """The node id of a number or form."""
    if not isinstance(value, _Form):
        return emit.constant(value)
    if len(value.args) == 1 and isinstance(value.const, float) and value.const == 0.0:
        coef = value.coefs[0]
        return value.args[0] if coef is _ONE else emit.binary(_MUL, emit.constant(coef), value.args[0])
    return emit.affine(value)


def _leaf(node: Any) -> _Form:
    return _Form(_ZERO, [_ONE], [node])


def _interpret(
    tokens: Sequence[int], leaves: Sequence[Any], numbers: Sequence[Any], calls: Sequence[Any], emit: _Emitter
) -> Any:
    """The value of a structure at the given leaves: a number or a form."""
    stack: list[Any] = []
    push, pop = stack.append, stack.pop
    next_leaf, next_number = len(leaves), len(numbers)

    def node() -> Any:
        return _node(pop(), emit)

    def nodes(count: int) -> list[Any]:
        values = stack[-count:]
        del stack[-count:]
        return [_node(value, emit) for value in values]

    for token in reversed(tokens):
        kind = token & KIND_MASK
        if kind <= REF:
            next_leaf -= 1
            push(_leaf(leaves[next_leaf]))
        elif kind == NUM:
            next_number -= 1
            push(numbers[next_number])
        elif kind in _MONOMIAL_TOKENS:
            next_leaf -= 1
            next_number -= 1
            push(_Form(_ZERO, [numbers[next_number]], [leaves[next_leaf]]))
        elif kind == SUM:
            count = token >> KIND_BITS
            terms = stack[-count:]
            del stack[-count:]
            total = _Form(_ZERO, [], [])
            for term in terms:
                total.add(term)
            push(total if total.args else total.const)
        elif kind == SUB:
            right, left = pop(), pop()
            right = right.scaled(-1.0) if isinstance(right, _Form) else -right
            push(
                left.add(right)
                if isinstance(left, _Form)
                else right.add(left)
                if isinstance(right, _Form)
                else left + right
            )
        elif kind == NEG:
            value = pop()
            push(value.scaled(-1.0) if isinstance(value, _Form) else -value)
        elif kind == MUL:
            right, left = pop(), pop()
            if not isinstance(left, _Form):
                push(right.scaled(left) if isinstance(right, _Form) else left * right)
            elif not isinstance(right, _Form):
                push(left.scaled(right))
            else:
                push(_product(left, right, emit))
        elif kind == DIV:
            right, left = pop(), pop()
            if isinstance(right, _Form):
                push(_leaf(emit.binary(_DIV, _node(left, emit), _node(right, emit))))
            elif np.any(np.asarray(right) == 0.0):
                raise ZeroDivisionError
            else:
                push(left.scaled(1.0 / right) if isinstance(left, _Form) else left / right)
        elif kind == POW:
            right, left = pop(), pop()
            push(_power(left, right, emit))
        elif kind == UNARY:
            push(_apply(token >> KIND_BITS, [pop()], emit))
        elif kind == BINARY:
            right, left = pop(), pop()
            push(_apply(token >> KIND_BITS, [left, right], emit))
        elif kind == NARY:
            values = nodes(token >> NARY_BITS)
            code = (token >> KIND_BITS) & KIND_MASK
            result = values[0]
            for value in values[1:]:
                result = emit.binary(code, result, value)
            push(_leaf(result))
        elif kind == RANGE:
            low, body, high = nodes(3)
            strict = token >> KIND_BITS
            first = emit.binary(OPCODE["lt" if strict & 2 else "le"], low, body)
            second = emit.binary(OPCODE["lt" if strict & 1 else "le"], body, high)
            push(_leaf(emit.binary(OPCODE["logical_and"], first, second)))
        elif kind == SELECT:
            push(_leaf(emit.select(*nodes(3))))
        else:
            function = calls[token >> KIND_BITS]
            push(_leaf(emit.call(function, nodes(function.num_arguments))))
    return pop()


def _product(left: _Form, right: _Form, emit: _Emitter) -> _Form:
    """The product of two forms; a numerical factor of either is kept outside."""
    factor = _ONE
    operands = []
    for form in (left, right):
        if len(form.args) == 1 and form.const is _ZERO and form.coefs[0] is not _ONE:
            factor = factor * form.coefs[0]
            form = _leaf(form.args[0])
        operands.append(_node(form, emit))
    return _Form(_ZERO, [factor], [emit.binary(_MUL, *operands)])


def _power(base: Any, exponent: Any, emit: _Emitter) -> Any:
    if not isinstance(base, _Form) and not isinstance(exponent, _Form):
        with np.errstate(all="ignore"):
            return (
                np.power(base, exponent, dtype=float)
                if isinstance(base, np.ndarray) or isinstance(exponent, np.ndarray)
                else float(np.power(float(base), float(exponent)))
            )
    b = _node(exponent, emit)
    # The exponent is a parameter: no logarithm of the base, which may be negative.
    code = _POWC if isinstance(exponent, _Form) and emit.is_parameter(b) else _POW
    return _leaf(emit.binary(code, _node(base, emit), b))


def _apply(code: int, operands: list[Any], emit: _Emitter) -> Any:
    if not any(isinstance(operand, _Form) for operand in operands):
        result = OPS[code].evaluate(*operands)
        return result if isinstance(result, np.ndarray) and result.ndim else float(result)
    ids = [_node(operand, emit) for operand in operands]
    return _leaf(emit.unary(code, *ids) if len(ids) == 1 else emit.binary(code, *ids))


@dataclass(frozen=True, slots=True)
class _Part:
    """Items of one structure that can be emitted together: they refer only to items that are known by then."""

    structure: Structure
    rows: Array
    level: int


class _Rows:
    """The affine forms of the outputs, collected for one call of the builder."""

    def __init__(self) -> None:
        self.rows: list[Array] = []
        self.args: list[Array] = []
        self.coefs: list[Array] = []

    def add(self, rows: Array, args: Any, coefs: Any) -> None:
        self.rows.append(rows)
        self.args.append(args)
        self.coefs.append(coefs)


@dataclass(frozen=True, slots=True)
class Emitted:
    """What `emit` made.

    Attributes:
        outputs: node id of each row.
        varies: per row, whether it depends on a variable.
    """

    outputs: Array
    varies: Array


def emit(
    reader: Reader, builder: TapeBuilder, inputs: Array, parameters: Array, rows: Array, negate: Sequence[int] = ()
) -> Emitted:
    """Emit everything that a reader has read.

    Args:
        reader: structures and leaves.
        builder: receives the nodes; its inputs and parameters are there already.
        inputs: node id of each of the reader's variables.
        parameters: node id of each of the reader's parameters.
        rows: per item, the output that it is, or -1.
        negate: outputs whose sign is turned around.

    Returns:
        The output nodes and which of them depend on a variable.

    Raises:
        ModelError: an expression refers to itself, or holds a number that is not finite.
    """
    count = int(rows.max()) + 1 if rows.size else 0
    item_node = np.zeros(rows.size, dtype=np.int32)
    item_varies = np.zeros(rows.size, dtype=bool)
    const = np.zeros(count)
    varies = np.zeros(count, dtype=bool)
    collected = _Rows()
    scalars: tuple[list[int], list[int], list[float]] = ([], [], [])
    scalar = _ScalarEmitter(builder)
    for part in _parts(reader, rows):
        structure = part.structure
        items = np.array(structure.items)[part.rows]
        leaves, numbers, item_varies[items] = _columns(
            reader, structure, part, items, inputs, parameters, item_node, item_varies
        )
        output = rows[items]
        if items.size >= MANY:
            value = _guarded(
                structure, list(leaves.T), list(numbers.T), reader, items, _BlockEmitter(builder, items.size)
            )
            if output[0] < 0:
                item_node[items] = _node(value, _BlockEmitter(builder, items.size))
                continue
            varies[output] = item_varies[items]
            if not isinstance(value, _Form):
                const[output] = value
                continue
            const[output] = value.const
            for coef, arg in zip(value.coefs, value.args, strict=True):
                collected.add(output, arg, np.broadcast_to(coef, (items.size,)))
            continue
        for k, (item, row) in enumerate(zip(items.tolist(), output.tolist(), strict=True)):
            value = _guarded(structure, leaves[k].tolist(), numbers[k].tolist(), reader, items[k : k + 1], scalar)
            if row < 0:
                item_node[item] = _node(value, scalar)
                continue
            varies[row] = item_varies[item]
            if not isinstance(value, _Form):
                const[row] = value
                continue
            const[row] = value.const
            scalars[0].extend([row] * len(value.args))
            scalars[1].extend(value.args)
            scalars[2].extend(value.coefs)
    collected.add(
        np.array(scalars[0], dtype=np.int64), np.array(scalars[1], dtype=np.int32), np.array(scalars[2], dtype=float)
    )
    row = np.concatenate(collected.rows)
    order = np.argsort(row, kind="stable")
    args = np.concatenate(collected.args)[order]
    coefs = np.concatenate(collected.coefs)[order]
    lengths = np.bincount(row, minlength=count)
    sign = np.ones(count)
    sign[list(negate)] = -1.0
    outputs = builder.affine(lengths, args, coefs * np.repeat(sign, lengths), const * sign)
    return Emitted(outputs, varies)


def _guarded(
    structure: Structure, leaves: Sequence[Any], numbers: Sequence[Any], reader: Reader, items: Array, emitter: _Emitter
) -> Any:
    try:
        return _interpret(structure.tokens, leaves, numbers, reader.calls, emitter)
    except ZeroDivisionError:
        # Which of the items it was shows when each is looked at alone.
        culprit = next(
            (i for k, i in enumerate(items) if _divides_by_zero(structure, k, leaves, numbers, reader)), items[0]
        )
        raise ModelError(
            f"{describe(reader.owners[culprit])} divides by a constant that is zero; correct the data that it is made of"
        ) from None


def _divides_by_zero(
    structure: Structure, k: int, leaves: Sequence[Any], numbers: Sequence[Any], reader: Reader
) -> bool:
    scratch = TapeBuilder()
    scratch.inputs(1)
    try:
        _interpret(
            structure.tokens,
            [0] * len(leaves),
            [float(np.ravel(n)[k % np.size(n)]) for n in numbers],
            reader.calls,
            _ScalarEmitter(scratch),
        )
    except ZeroDivisionError:
        return True
    return False


def _columns(
    reader: Reader,
    structure: Structure,
    part: _Part,
    items: Array,
    inputs: Array,
    parameters: Array,
    item_node: Array,
    item_varies: Array,
) -> tuple[Array, Array, Array]:
    """Node ids of the leaves, numbers, and whether each item depends on a variable; one row per item."""
    tokens = structure.tokens
    count = len(structure.items)
    codes = np.array(structure.leaves, dtype=np.int64).reshape(count, -1)[part.rows] >> LEAF_BITS
    try:
        numbers = np.array(structure.numbers, dtype=float).reshape(count, -1)[part.rows]
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{describe(reader.owners[items[0]])}, or an expression of the same structure, contains something that is not a real number: {error}"
        ) from error
    if not np.isfinite(numbers).all():
        bad = items[~np.isfinite(numbers).all(axis=1)][0]
        raise ModelError(
            f"{describe(reader.owners[bad])} contains a number that is not finite; correct the data that it is made of"
        )
    leaf_kinds = [
        kind - MONOMIAL_VAR if kind in _MONOMIAL_TOKENS else kind
        for kind in (token & KIND_MASK for token in tokens)
        if kind <= REF or kind in _MONOMIAL_TOKENS
    ]
    nodes = np.empty(codes.shape, dtype=np.int32)
    varies = np.full(items.size, VAR in leaf_kinds)
    for k, kind in enumerate(leaf_kinds):
        column = codes[:, k]
        if kind == REF:
            nodes[:, k] = item_node[column]
            varies |= item_varies[column]
        else:
            nodes[:, k] = (inputs if kind == VAR else parameters)[column]
    return nodes, numbers, varies


def _parts(reader: Reader, rows: Array) -> list[_Part]:
    """The structures in an order in which every item comes after those that it refers to; outputs apart from the rest."""
    structures = list(reader.structures.values())
    references: dict[int, list[int]] = {}
    for structure in structures:
        kinds = [token & KIND_MASK for token in structure.tokens]
        if REF not in kinds:
            continue
        leaf_kinds = np.array([kind for kind in kinds if kind <= REF or kind in _MONOMIAL_TOKENS])
        codes = (
            np.array(structure.leaves, dtype=np.int64).reshape(len(structure.items), -1)[:, leaf_kinds == REF]
            >> LEAF_BITS
        )
        references.update(zip(structure.items, codes.tolist(), strict=True))
    level = np.zeros(rows.size, dtype=np.int64)
    for item, depth in _levels(references, reader).items():
        level[item] = depth
    parts = []
    for structure in structures:
        levels = 2 * level[structure.items] + (rows[structure.items] >= 0)
        parts += [_Part(structure, np.flatnonzero(levels == depth), int(depth)) for depth in np.unique(levels)]
    parts.sort(key=lambda part: part.level)
    return parts


def _levels(references: dict[int, list[int]], reader: Reader) -> dict[int, int]:
    """Per item that refers to others, the length of the longest chain of references below it."""
    level: dict[int, int] = {}
    open_items: set[int] = set()
    for start in references:
        stack = [start]
        while stack:
            item = stack[-1]
            if item in level:
                stack.pop()
                continue
            waiting = [r for r in references[item] if r in references and r not in level]
            if not waiting:
                level[item] = 1 + max((level.get(r, 0) for r in references[item]), default=0)
                open_items.discard(item)
                stack.pop()
                continue
            if item in open_items:
                raise ModelError(f"{describe(reader.owners[item])} refers to itself; break the cycle of Expressions")
            open_items.add(item)
            stack += waiting
    return level
