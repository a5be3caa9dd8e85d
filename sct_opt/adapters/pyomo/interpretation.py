"""The value of a structure at given leaves: one interpreter, for one item or for many at once.

Values on the interpreter's stack are numbers or affine forms, so that linear expressions become single affine nodes however
they are written.  What the items are, scalars or arrays over many items, only the emitters know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from sct_opt.adapters.pyomo.expressions import (
    BINARY,
    DIV,
    KIND_BITS,
    KIND_MASK,
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
)
from sct_opt.ops import OPCODE, OPS
from sct_opt.tape import TapeBuilder

Array = np.ndarray[Any, Any]

# Scalar affine forms with at most this many terms are emitted as plain additions.
_SHORT_FORM = 3

_MUL, _ADD, _SUB, _DIV, _POW, _POWC = (OPCODE[name] for name in ("mul", "add", "sub", "div", "pow", "powc"))
_ZERO, _ONE = 0.0, 1.0
_MONOMIAL_TOKENS = (MONOMIAL_VAR, MONOMIAL_PARAM)


class Form:
    """An affine form: constant plus coefficients times nodes; numbers and ids are scalars, or arrays over items."""

    __slots__ = ("args", "coefs", "const")

    def __init__(self, const: Any, coefs: list[Any], args: list[Any]) -> None:
        self.const = const
        self.coefs = coefs
        self.args = args

    def scaled(self, factor: Any) -> Form:
        """This form times a number, in place."""
        self.const = self.const * factor
        self.coefs = [factor if c is _ONE else c * factor for c in self.coefs]
        return self

    def add(self, other: Any) -> Form:
        """This form plus a number or a form, in place."""
        if isinstance(other, Form):
            self.const = self.const + other.const
            self.coefs += other.coefs
            self.args += other.args
        else:
            self.const = self.const + other
        return self


class Emitter(Protocol):
    """Where one interpretation of a structure puts its nodes; ids and numbers are scalars or arrays."""

    def constant(self, number: Any) -> Any:
        """The node of a number."""

    def unary(self, code: int, a: Any) -> Any:
        """The node of a one-argument operation."""

    def binary(self, code: int, a: Any, b: Any) -> Any:
        """The node of a two-argument operation."""

    def affine(self, form: Form) -> Any:
        """The node of an affine form."""

    def select(self, condition: Any, a: Any, b: Any) -> Any:
        """The node of a choice between two nodes."""

    def call(self, function: Any, args: list[Any]) -> Any:
        """The node of a black-box function's output."""

    def is_parameter(self, a: Any) -> bool:
        """Whether a node is a parameter."""


class ScalarEmitter:
    """Emits the nodes of one item."""

    def __init__(self, builder: TapeBuilder) -> None:
        self._builder = builder
        self._leaves = range(builder.num_inputs, builder.num_inputs + len(builder.parameters))
        self.constant = builder.constant
        self.unary = builder.emit1
        self.binary = builder.emit2

    def affine(self, form: Form) -> int:
        """The node of an affine form."""
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
        """The node of a choice between two nodes."""
        return int(self._builder.select(np.array([condition]), np.array([a]), np.array([b]))[0])

    def call(self, function: Any, args: list[int]) -> int:
        """The node of a black-box function's output."""
        return int(self._builder.call(function, np.array(args, dtype=np.int32))[0])

    def is_parameter(self, a: int) -> bool:
        """Whether a node is a parameter."""
        return a in self._leaves


class BlockEmitter:
    """Emits the nodes of many items of one structure, operation by operation."""

    def __init__(self, builder: TapeBuilder, count: int) -> None:
        self._builder = builder
        self._count = count
        self._first = builder.num_inputs
        self._last = self._first + len(builder.parameters)

    def constant(self, number: Any) -> Array:
        """The node of a number."""
        number = np.broadcast_to(np.asarray(number, dtype=float), (self._count,))
        if number[0] == number[-1] and (number == number[0]).all():
            return np.full(self._count, self._builder.constant(float(number[0])), dtype=np.int32)
        return self._builder.constants(number)

    def unary(self, code: int, a: Array) -> Array:
        """The node of a one-argument operation."""
        return self._builder.unary(code, a)

    def binary(self, code: int, a: Array, b: Array) -> Array:
        """The node of a two-argument operation."""
        return self._builder.binary(code, a, b)

    def affine(self, form: Form) -> Array:
        """The node of an affine form."""
        count, width = self._count, len(form.args)
        args = np.stack(form.args, axis=1).ravel()
        coefs = np.empty((count, width))
        for k, coef in enumerate(form.coefs):
            coefs[:, k] = coef
        return self._builder.affine(np.full(count, width), args, coefs.ravel(), np.broadcast_to(form.const, (count,)))

    def select(self, condition: Array, a: Array, b: Array) -> Array:
        """The node of a choice between two nodes."""
        return self._builder.select(condition, a, b)

    def call(self, function: Any, args: list[Array]) -> Array:
        """The node of a black-box function's output."""
        rows = np.stack(args, axis=1)
        return np.array([self._builder.call(function, row)[0] for row in rows], dtype=np.int32)

    def is_parameter(self, a: Array) -> bool:
        """Whether a node is a parameter."""
        return bool(((a >= self._first) & (a < self._last)).all())


def node_of(value: Any, emit: Emitter) -> Any:
    """The node id of a number or form."""
    if not isinstance(value, Form):
        return emit.constant(value)
    if len(value.args) == 1 and isinstance(value.const, float) and value.const == 0.0:
        coef = value.coefs[0]
        return value.args[0] if coef is _ONE else emit.binary(_MUL, emit.constant(coef), value.args[0])
    return emit.affine(value)


def _leaf(node: Any) -> Form:
    return Form(_ZERO, [_ONE], [node])


def interpret(
    tokens: Sequence[int], leaves: Sequence[Any], numbers: Sequence[Any], calls: Sequence[Any], emit: Emitter
) -> Any:
    """The value of a structure at the given leaves: a number or a form."""
    stack: list[Any] = []
    push, pop = stack.append, stack.pop
    next_leaf, next_number = len(leaves), len(numbers)

    def node() -> Any:
        return node_of(pop(), emit)

    def nodes(count: int) -> list[Any]:
        values = stack[-count:]
        del stack[-count:]
        return [node_of(value, emit) for value in values]

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
            push(Form(_ZERO, [numbers[next_number]], [leaves[next_leaf]]))
        elif kind == SUM:
            count = token >> KIND_BITS
            terms = stack[-count:]
            del stack[-count:]
            total = Form(_ZERO, [], [])
            for term in terms:
                total.add(term)
            push(total if total.args else total.const)
        elif kind == SUB:
            right, left = pop(), pop()
            right = right.scaled(-1.0) if isinstance(right, Form) else -right
            push(
                left.add(right)
                if isinstance(left, Form)
                else right.add(left)
                if isinstance(right, Form)
                else left + right
            )
        elif kind == NEG:
            value = pop()
            push(value.scaled(-1.0) if isinstance(value, Form) else -value)
        elif kind == MUL:
            right, left = pop(), pop()
            if not isinstance(left, Form):
                push(right.scaled(left) if isinstance(right, Form) else left * right)
            elif not isinstance(right, Form):
                push(left.scaled(right))
            else:
                push(_product(left, right, emit))
        elif kind == DIV:
            right, left = pop(), pop()
            if isinstance(right, Form):
                push(_leaf(emit.binary(_DIV, node_of(left, emit), node_of(right, emit))))
            elif np.any(np.asarray(right) == 0.0):
                raise ZeroDivisionError
            else:
                push(left.scaled(1.0 / right) if isinstance(left, Form) else left / right)
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


def _product(left: Form, right: Form, emit: Emitter) -> Form:
    """The product of two forms; a numerical factor of either is kept outside."""
    factor = _ONE
    operands = []
    for form in (left, right):
        if len(form.args) == 1 and form.const is _ZERO and form.coefs[0] is not _ONE:
            factor = factor * form.coefs[0]
            form = _leaf(form.args[0])
        operands.append(node_of(form, emit))
    return Form(_ZERO, [factor], [emit.binary(_MUL, *operands)])


def _power(base: Any, exponent: Any, emit: Emitter) -> Any:
    if not isinstance(base, Form) and not isinstance(exponent, Form):
        with np.errstate(all="ignore"):
            return (
                np.power(base, exponent, dtype=float)
                if isinstance(base, np.ndarray) or isinstance(exponent, np.ndarray)
                else float(np.power(float(base), float(exponent)))
            )
    b = node_of(exponent, emit)
    # The exponent is a parameter: no logarithm of the base, which may be negative.
    code = _POWC if isinstance(exponent, Form) and emit.is_parameter(b) else _POW
    return _leaf(emit.binary(code, node_of(base, emit), b))


def _apply(code: int, operands: list[Any], emit: Emitter) -> Any:
    if not any(isinstance(operand, Form) for operand in operands):
        result = OPS[code].evaluate(*operands)
        return result if isinstance(result, np.ndarray) and result.ndim else float(result)
    ids = [node_of(operand, emit) for operand in operands]
    return _leaf(emit.unary(code, *ids) if len(ids) == 1 else emit.binary(code, *ids))
