"""CasADi's scalar instructions to nodes of the tape, in bulk.

CasADi gives instructions one at a time (about 2.5 µs each), but prints all of them at once in 0.4 µs each.  The
printed listing is therefore read first: lines of equal shape are the same operation, whose meaning is asked of CasADi
for one line of each shape, and a sample of lines is compared with what CasADi says of them.  If anything disagrees,
the instructions are read one at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import casadi
import numpy as np

from sct_opt.adapters.casadi import kernels
from sct_opt.adapters.casadi.blackbox import FunctionBox
from sct_opt.errors import ModelError, UnsupportedOperatorError
from sct_opt.ops import OPCODE
from sct_opt.tape import TapeBuilder

Array = np.ndarray[Any, Any]

# CasADi's names of scalar operations -> names in the operator table.
TABLE_NAME: dict[str, str] = {
    "ADD": "add",
    "SUB": "sub",
    "MUL": "mul",
    "DIV": "div",
    "NEG": "neg",
    "EXP": "exp",
    "LOG": "log",
    "POW": "pow",
    "CONSTPOW": "powc",
    "SQRT": "sqrt",
    "SQ": "square",
    "TWICE": "add",  # of the argument with itself
    "SIN": "sin",
    "COS": "cos",
    "TAN": "tan",
    "ASIN": "asin",
    "ACOS": "acos",
    "ATAN": "atan",
    "LT": "lt",
    "LE": "le",
    "EQ": "eq",
    "NE": "ne",
    "NOT": "logical_not",
    "AND": "logical_and",
    "OR": "logical_or",
    "FLOOR": "floor",
    "CEIL": "ceil",
    "FMOD": "fmod",
    "FABS": "abs",
    "SIGN": "sign",
    "COPYSIGN": "copysign",
    "ERF": "erf",
    "FMIN": "fmin",
    "FMAX": "fmax",
    "INV": "reciprocal",
    "SINH": "sinh",
    "COSH": "cosh",
    "TANH": "tanh",
    "ASINH": "asinh",
    "ACOSH": "acosh",
    "ATANH": "atanh",
    "ATAN2": "atan2",
    "EXPM1": "expm1",
    "LOG1P": "log1p",
    "HYPOT": "hypot",
}
ALIASES = ("ASSIGN", "LIFT", "PRINTME", "MONITOR", "ASSERTION")
"""Operations whose value is their first argument's."""
SPECIAL = {"IF_ELSE_ZERO": 2, "REMAINDER": 2, "ERFINV": 1}
"""Operations that become several nodes or a node with more than two arguments, and their number of arguments."""

ONE_ARGUMENT = frozenset(
    [
        "NEG",
        "EXP",
        "LOG",
        "SQRT",
        "SQ",
        "SIN",
        "COS",
        "TAN",
        "ASIN",
        "ACOS",
        "ATAN",
        "NOT",
        "FLOOR",
        "CEIL",
        "FABS",
        "SIGN",
        "ERF",
        "INV",
        "SINH",
        "COSH",
        "TANH",
        "ASINH",
        "ACOSH",
        "ATANH",
        "EXPM1",
        "LOG1P",
        "TWICE",
    ]
)
_LEAF, _ONE, _TWO, _OUTPUT, _CALL, _ALIAS, _SPECIAL_TWO, _SPECIAL_ONE = range(8)
_CONSTANT_SHAPE = 1


@functools.cache
def operation_names() -> dict[int, str]:
    """CasADi's operation names (without ``OP_``) by number; numbers change between versions of CasADi."""
    return {getattr(casadi, name): name[3:] for name in dir(casadi) if name.startswith("OP_")}


@dataclass(frozen=True, slots=True)
class Listing:
    """The instructions of an SX function: operation, result slot, argument slots (or input and output positions)."""

    operation: Array
    out: Array
    in0: Array
    in1: Array
    slots: int


def read_instructions(function: casadi.Function) -> Listing:
    """All instructions of an SX function, by the printed listing if it can be trusted, else one at a time.

    >>> x = casadi.SX.sym("x", 2)
    >>> listing = read_instructions(casadi.Function("f", [x], [x[0] * x[1]]))
    >>> [operation_names()[int(k)] for k in listing.operation]
    ['INPUT', 'INPUT', 'MUL', 'OUTPUT']
    """
    if function.n_instructions() < 200:
        return _read_each(function)
    return _read_printed(function) or _read_each(function)


def _one_instruction(function: casadi.Function, k: int) -> tuple[int, int, int, int]:
    operation = function.instruction_id(k)
    if operation == casadi.OP_CALL:
        return operation, -1, -1, -1
    inputs, outputs = function.instruction_input(k), function.instruction_output(k)
    if operation == casadi.OP_OUTPUT:  # read in0, write to position (out, in1)
        return operation, outputs[0], inputs[0], outputs[1]
    return operation, outputs[0], inputs[0] if inputs else -1, inputs[1] if len(inputs) > 1 else -1


def _read_each(function: casadi.Function) -> Listing:
    rows = [_one_instruction(function, k) for k in range(function.n_instructions())]
    table = np.array(rows, dtype=np.int32).reshape(-1, 4)
    return _listing(table, int(function.sz_w()) + 1)


def _printed(function: casadi.Function) -> str:
    return str(function.str(True))


def _read_printed(function: casadi.Function) -> Listing | None:
    count = function.n_instructions()
    printed = _printed(function)
    start = printed.find("Algorithm:\n")
    if start < 0:
        return None
    text = np.frombuffer((printed[start + len("Algorithm:\n") :] + "\n").encode(), dtype=np.uint8)
    shapes, numbers, lines = kernels.read_listing(text, count)
    if lines != count:
        return None
    kinds, first, kind = np.unique(shapes, return_index=True, return_inverse=True)
    operation = np.empty(kinds.size, dtype=np.int32)
    for j, k in enumerate(first):
        operation[j] = casadi.OP_CONST if kinds[j] == _CONSTANT_SHAPE else function.instruction_id(int(k))
    table = np.empty((count, 4), dtype=np.int32)
    table[:, 0] = operation[kind]
    table[:, 1:] = numbers
    is_output = table[:, 0] == casadi.OP_OUTPUT
    table[is_output, 1:] = numbers[is_output][:, [0, 2, 1]]
    table[table[:, 0] == casadi.OP_CALL, 1:] = -1
    checked = {*first.tolist(), *np.linspace(0, count - 1, 200).astype(int).tolist()}
    if any(_one_instruction(function, k) != tuple(table[k].tolist()) for k in checked):
        return None
    return _listing(table, max(int(function.sz_w()), int(numbers.max())) + 1)


def _listing(table: Array, slots: int) -> Listing:
    operation, out, in0, in1 = (np.ascontiguousarray(column) for column in table.T)
    return Listing(operation, out, in0, in1, slots)


def emit(builder: TapeBuilder, function: casadi.Function, arguments: Sequence[Array]) -> list[Array]:
    """Append the nodes of an SX function.

    Args:
        builder: where to append.
        function: an SX function.
        arguments: node ids of the structural nonzeros of each input.

    Returns:
        Node ids of the structural nonzeros of each output.

    Raises:
        UnsupportedOperatorError: an instruction that the operator table does not cover.
        ModelError: a constant that is not a number.
    """
    listing = read_instructions(function)
    count = listing.operation.size
    kind, code = _classify(listing.operation, function)
    calls = np.flatnonzero(kind == _CALL)
    call_in = [function.instruction_input(int(k)) for k in calls]
    call_out = [function.instruction_output(int(k)) for k in calls]
    in_ptr, flat_in = _flat(call_in)
    out_ptr, flat_out = _flat(call_out)
    arg0, arg1, call_args, stage = kernels.rename(
        kind, listing.out, listing.in0, listing.in1, listing.slots, in_ptr, flat_in, out_ptr, flat_out
    )

    # one more entry at the end, which arguments that do not exist (-1) read
    node = np.zeros(count + flat_out.size + 1, dtype=np.int32)
    starts = np.cumsum([0] + [ids.size for ids in arguments])
    inputs = np.concatenate([*arguments, np.zeros(0, dtype=np.int32)]).astype(np.int32)
    is_input = listing.operation == casadi.OP_INPUT
    node[:count][is_input] = inputs[starts[listing.in0[is_input]] + listing.in1[is_input]]
    constants = np.flatnonzero(listing.operation == casadi.OP_CONST)
    values = np.array([function.instruction_constant(int(k)) for k in constants], dtype=float)
    if np.isnan(values).any():
        raise ModelError(
            "a constant of the CasADi expression is not a number (nan); look for 0/0 or inf-inf in the data that the model was built from"
        )
    node[constants] = builder.constants(values)

    elements: Any = function.instructions_sx() if calls.size else None
    called = [elements[int(k)].which_function() for k in calls]
    plain = (kind == _ONE) | (kind == _TWO)
    for level in range(int(stage.max(initial=0)) + 1):
        order = np.flatnonzero(plain & (stage[:count] == level)).astype(np.int64)
        codes, out0, out1 = (
            np.empty(order.size, dtype=np.uint8),
            np.empty(order.size, dtype=np.int32),
            np.empty(order.size, dtype=np.int32),
        )
        kernels.number_stage(order, arg0, arg1, node, builder.size, code, kind == _TWO, codes, out0, out1)
        if order.size:
            builder.nodes(codes, out0, out1)
        for operation, _ in _present(SPECIAL, listing.operation):
            chosen = np.flatnonzero((listing.operation == operation) & (stage[:count] == level + 1))
            if chosen.size:
                node[chosen] = _emit_special(builder, operation, node[arg0[chosen]], node[arg1[chosen]])
        groups: dict[int, list[int]] = {}
        for j in np.flatnonzero(stage[calls] == level).tolist():
            groups.setdefault(called[j].__hash__(), []).append(j)
        for members in groups.values():
            # independent calls of one function are evaluated at once
            args = np.stack([call_args[in_ptr[j] : in_ptr[j + 1]] for j in members])
            ids = np.where(args >= 0, node[args], builder.constant(0.0)).astype(np.int32)
            results = builder.call(FunctionBox(called[members[0]], len(members)), ids.ravel())
            for j, result in zip(members, results.reshape(len(members), -1), strict=True):
                node[count + out_ptr[j] : count + out_ptr[j + 1]] = result
    return _collect(builder, function, listing, node, arg0)


def _collect(
    builder: TapeBuilder, function: casadi.Function, listing: Listing, node: Array, arg0: Array
) -> list[Array]:
    is_output = listing.operation == casadi.OP_OUTPUT
    results = []
    for i in range(function.n_out()):
        ids = np.full(function.nnz_out(i), builder.constant(0.0), dtype=np.int32)
        mine = is_output & (listing.out == i)
        ids[listing.in1[mine]] = node[arg0[np.flatnonzero(mine)]]
        results.append(ids)
    return results


def _present(names: dict[str, int], operation: Array) -> list[tuple[int, str]]:
    numbers = {getattr(casadi, "OP_" + name): name for name in names}
    return [(number, name) for number, name in numbers.items() if (operation == number).any()]


def _flat(lists: list[list[int]]) -> tuple[Array, Array]:
    pointers = np.zeros(len(lists) + 1, dtype=np.int64)
    np.cumsum([len(entries) for entries in lists], out=pointers[1:])
    return pointers, np.array([entry for entries in lists for entry in entries], dtype=np.int64)


def _classify(operation: Array, function: casadi.Function) -> tuple[Array, Array]:
    """Kind and opcode of each instruction."""
    size = int(operation.max(initial=0)) + 1
    kind, code = np.zeros(size, dtype=np.int8), np.zeros(size, dtype=np.uint8)
    names = operation_names()
    for number in np.unique(operation).tolist():
        name = names[number]
        if name in ("INPUT", "CONST"):
            kind[number] = _LEAF
        elif name == "OUTPUT":
            kind[number] = _OUTPUT
        elif name == "CALL":
            kind[number] = _CALL
        elif name in ALIASES:
            kind[number] = _ALIAS
        elif name in SPECIAL:
            kind[number] = _SPECIAL_TWO if SPECIAL[name] == 2 else _SPECIAL_ONE
        elif name in TABLE_NAME:
            kind[number], code[number] = _ONE if name in ONE_ARGUMENT else _TWO, OPCODE[TABLE_NAME[name]]
        else:
            raise UnsupportedOperatorError(
                f"CasADi operation OP_{name} in function {function.name()!r} is not in the operator table; write it with operations "
                "that are (see sct_opt/ops.py) or hide it in a casadi.Callback"
            )
    return kind[operation], code[operation]


def _emit_special(builder: TapeBuilder, operation: int, a: Array, b: Array) -> Array:
    if operation == casadi.OP_IF_ELSE_ZERO:
        return builder.select(a, b, np.full(b.shape, builder.constant(0.0), dtype=np.int32))
    if operation == casadi.OP_REMAINDER:
        return emit_remainder(builder, a, b)
    return emit_erfinv(builder, a)


def emit_remainder(builder: TapeBuilder, a: Array, b: Array) -> Array:
    """C's remainder: the quotient is rounded to the nearest integer, half to even."""
    quotient = builder.unary(OPCODE["rint"], builder.binary(OPCODE["div"], a, b))
    return builder.binary(OPCODE["sub"], a, builder.binary(OPCODE["mul"], quotient, b))


@functools.cache
def _erfinv_box() -> FunctionBox:
    x = casadi.MX.sym("x")
    return FunctionBox(casadi.Function("erfinv", [x], [casadi.erfinv(x)]))


def emit_erfinv(builder: TapeBuilder, a: Array) -> Array:
    """The inverse error function, which has no row in the operator table."""
    return np.concatenate([builder.call(_erfinv_box(), a[k : k + 1]) for k in range(a.size)])
