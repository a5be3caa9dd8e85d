"""Random programs over the whole operator table, and a slow, obviously correct evaluation of their derivatives.

`random_program` emits through every path of `TapeBuilder`: scalars, blocks, instruction lists, affine rows, selects and
black-box calls.  It keeps only operations whose value and partials are finite and moderate at the program's own signed
point, so that derivatives there can be compared to rounding error.  `programs` is the hypothesis strategy.

`evaluate` and `derivatives` walk a tape node by node in Python with dense gradients and Hessians: the independent route
that sweeps, detection and coloring are tested against.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from sct_opt.ops import AFFINE, BLACKBOX, CONSTANT, INPUT, OPCODE, OPS, PARAMETER, SELECT, array_function
from sct_opt.tape import Tape, TapeBuilder

Array = np.ndarray[Any, Any]

LIMIT = 20.0  # largest value or partial of a node in a random program
SPECIAL = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0)  # numbers at which rules of operators switch, and ties are likely
# Partials that are central differences carry rounding noise of their own, which no two evaluation orders share.
EXACT = [code for code, op in enumerate(OPS) if not any("e-3 * (1.0 + fabs(" in e for e in (*op.d, *op.dd) if e)]
UNARY = [code for code in EXACT if OPS[code].arity == 1]
BINARY = [code for code in EXACT if OPS[code].arity == 2 and OPS[code].name not in ("powc", "cpow")]
LIKELY = {
    "add": 4.0,
    "sub": 3.0,
    "mul": 6.0,
    "div": 3.0,
    "pow": 3.0,
    "min": 2.0,
    "max": 2.0,
    "sin": 2.0,
    "exp": 2.0,
    "square": 3.0,
}
POW, POWC, CPOW = OPCODE["pow"], OPCODE["powc"], OPCODE["cpow"]


def _weights(codes: list[int]) -> Array:
    """Probabilities of operators: those without derivatives come seldom, or they would cut most programs short."""
    weights = np.array([LIKELY.get(OPS[code].name, 1.0 if any(OPS[code].d) else 0.3) for code in codes])
    return weights / weights.sum()


UNARY_WEIGHTS, BINARY_WEIGHTS = _weights(UNARY), _weights(BINARY)


@dataclass(frozen=True)
class Program:
    """A tape and a point at which all its nodes are finite."""

    tape: Tape
    x: Array


@dataclass(frozen=True)
class Surface:
    """A black box with outputs ``a0 * a1``, ``sin(a_last) + 3 a0`` and a constant."""

    num_args: int
    name: str = "surface"
    num_outputs: int = 3
    jacobian_rows: Array = field(init=False)
    jacobian_cols: Array = field(init=False)
    hessian_rows: Array = field(init=False)
    hessian_cols: Array = field(init=False)

    def __post_init__(self) -> None:
        last = self.num_args - 1
        for name, indices in (
            ("jacobian_rows", [0, 0, 1, 1]),
            ("jacobian_cols", [0, 1, 0, last]),
            ("hessian_rows", [1, last]),
            ("hessian_cols", [0, last]),
        ):
            object.__setattr__(self, name, np.array(indices, dtype=np.int64))

    def value(self, args: Array) -> Array:
        return np.array([args[0] * args[1], np.sin(args[-1]) + 3 * args[0], 7.0])

    def jacobian(self, args: Array) -> Array:
        return np.array([args[1], args[0], 3.0, np.cos(args[-1])])

    def hessian(self, args: Array, weights: Array) -> Array:
        return np.array([weights[0], -weights[1] * np.sin(args[-1])])


class _Generator:
    """Emits random operations and knows the value of every id."""

    def __init__(self, rng: np.random.Generator, num_inputs: int, num_parameters: int, policy: Any) -> None:
        self.rng = rng
        self.builder = TapeBuilder(policy)
        self.value: dict[int, float] = {}
        self.pool: list[int] = []
        self.x = self.numbers(num_inputs)
        self.keep(self.builder.inputs(num_inputs), self.x)
        if num_parameters:
            parameters = self.numbers(num_parameters)
            self.keep(self.builder.parameter_block(parameters), parameters)

    def numbers(self, count: int) -> Array:
        signed = self.rng.normal(scale=1.5, size=count)
        return np.where(self.rng.random(count) < 0.3, self.rng.choice(SPECIAL, size=count), signed)

    def keep(self, ids: Any, values: Any) -> None:
        for i, v in zip(np.ravel(ids).tolist(), np.ravel(values).tolist(), strict=True):
            self.value.setdefault(i, v)
            self.pool.append(i)

    def operand(self) -> int:
        """A recent node, any node, or a constant."""
        draw = self.rng.random()
        if draw < 0.12:
            number = float(self.numbers(1)[0])
            i = self.builder.constant(number)
            self.value[i] = number
            return i
        recent = self.pool[-6:] if draw < 0.6 else self.pool
        return int(recent[self.rng.integers(len(recent))])

    def fits(self, code: int, *args: int) -> float | None:
        """The value of an operation, or None where a value or partial is not finite and moderate."""
        if code == POW and (args[0] < 0 or args[1] < 0):
            code = POWC if args[1] < 0 else CPOW
        op = OPS[code]
        a = [np.float64(self.value[i]) for i in args]
        v = op.evaluate(*a)
        partials = [array_function(text, op.arity)(*a, v) for text in (*op.d, *op.dd) if text]
        numbers = np.array([v, *partials], dtype=float)
        return float(v) if np.isfinite(numbers).all() and np.abs(numbers).max() <= LIMIT else None

    def draw(self) -> tuple[int, tuple[int, ...], float] | None:
        """A one- or two-argument operation that fits."""
        for _ in range(20):
            if self.rng.random() < 0.4:
                code, args = int(self.rng.choice(UNARY, p=UNARY_WEIGHTS)), (self.operand(),)
            else:
                code, args = int(self.rng.choice(BINARY, p=BINARY_WEIGHTS)), (self.operand(), self.operand())
            v = self.fits(code, *args)
            if v is not None:
                return code, args, v
        return None

    def scalar(self) -> None:
        drawn = self.draw()
        if drawn is not None:
            code, args, v = drawn
            self.keep(self.builder.emit1(code, *args) if len(args) == 1 else self.builder.emit2(code, *args), v)

    def block(self) -> None:
        drawn = self.draw()
        if drawn is None:
            return
        code, args, _ = drawn
        more = [tuple(self.operand() for _ in args) for _ in range(3)]
        rows = [args, *(row for row in more if self.fits(code, *row) is not None)]
        values = [self.fits(code, *row) for row in rows]
        columns = [np.array(column, dtype=np.int32) for column in zip(*rows, strict=True)]
        self.keep(self.builder.unary(code, *columns) if len(args) == 1 else self.builder.binary(code, *columns), values)

    def instructions(self) -> None:
        """A list whose later instructions use earlier ones."""
        first = self.builder.size
        codes: list[int] = []
        args: list[tuple[int, int]] = []
        for _ in range(int(self.rng.integers(1, 5))):
            drawn = self.draw()
            if drawn is None or max(drawn[1]) < 0:
                continue
            code, operands, v = drawn
            self.keep(first + len(codes), v)
            codes.append(code)
            args.append((operands[0], operands[-1]))
        if codes:
            columns = np.array(args, dtype=np.int32)
            self.builder.nodes(np.array(codes), columns[:, 0], columns[:, 1])

    def affine(self) -> None:
        lengths = self.rng.integers(0, 6, size=int(self.rng.integers(1, 4)))
        args = np.array([self.operand() for _ in range(lengths.sum())], dtype=np.int32)
        coefs = self.numbers(args.size) / 2
        consts = self.numbers(lengths.size)
        row = np.repeat(np.arange(lengths.size), lengths)
        values = consts + np.bincount(
            row, [c * self.value[int(i)] for i, c in zip(args, coefs, strict=True)], lengths.size
        )
        if np.abs(values).max() <= LIMIT:
            self.keep(self.builder.affine(lengths, args, coefs, consts), values)

    def select(self) -> None:
        rows = np.array(
            [[self.operand() for _ in range(3)] for _ in range(int(self.rng.integers(1, 4)))], dtype=np.int32
        )
        values = [self.value[int(a if self.value[int(c)] != 0.0 else b)] for c, a, b in rows]
        self.keep(self.builder.select(*rows.T), values)

    def call(self) -> None:
        function = Surface(int(self.rng.integers(2, 5)))
        args = np.array([self.operand() for _ in range(function.num_args)], dtype=np.int32)
        values = function.value(np.array([self.value[int(i)] for i in args]))
        if np.abs(values).max() <= LIMIT:
            self.keep(self.builder.call(function, args), values)


def random_program(
    seed: int,
    size: int = 20,
    num_inputs: int = 5,
    num_outputs: int = 3,
    num_parameters: int = 2,
    policy: str = "exact",
    black_boxes: bool = True,
) -> Program:
    """A random program of about ``size`` emitted operations; outputs may repeat, or be leaves."""
    generator = _Generator(np.random.default_rng(seed), num_inputs, num_parameters, policy)
    steps = (
        [generator.scalar] * 6 + [generator.block] * 3 + [generator.instructions, generator.affine, generator.select]
    )
    if black_boxes:
        steps.append(generator.call)
    for _ in range(size):
        steps[generator.rng.integers(len(steps))]()
    recent = generator.pool[-3 * num_outputs :]
    outputs = [int(i) for i in generator.rng.choice(recent, size=num_outputs)]
    return Program(generator.builder.freeze(outputs), generator.x)


def programs(black_boxes: bool = True) -> st.SearchStrategy[Program]:
    """Hypothesis strategy of random programs; sizes shrink, the seed decides the rest."""
    return st.builds(
        random_program,
        seed=st.integers(0, 2**32 - 1),
        size=st.integers(1, 40),
        num_inputs=st.integers(1, 6),
        num_outputs=st.integers(1, 4),
        num_parameters=st.integers(0, 2),
        policy=st.sampled_from(["exact", "conservative"]),
        black_boxes=st.just(black_boxes),
    )


def node_args(tape: Tape, i: int) -> list[int]:
    """Argument ids of a node; of a black-box output the arguments it depends on, in the order of its Jacobian row."""
    code = tape.opcode[i]
    if code in (INPUT, PARAMETER, CONSTANT):
        return []
    if code in (AFFINE, SELECT, BLACKBOX):
        row = int(tape.arg0[i])
        return tape.row_arg[tape.row_ptr[row] : tape.row_ptr[row + 1]].tolist()
    return [int(tape.arg0[i]), int(tape.arg1[i])][: OPS[code].arity]


def evaluate(tape: Tape, x: Array, parameters: Array | None = None) -> Array:
    """Values of all nodes."""
    values = np.concatenate(
        [
            x,
            tape.parameters if parameters is None else parameters,
            tape.constants,
            np.zeros(tape.size - tape.first_operation),
        ]
    )
    for i in range(tape.first_operation, tape.size):
        code, args = tape.opcode[i], node_args(tape, i)
        if code == AFFINE:
            row = int(tape.arg0[i])
            coefs = tape.row_coef[tape.row_ptr[row] : tape.row_ptr[row + 1]]
            values[i] = tape.row_const[row] + coefs @ values[args]
        elif code == SELECT:
            values[i] = values[args[1]] if values[args[0]] != 0.0 else values[args[2]]
        elif code == BLACKBOX:
            site = tape.sites[tape.arg1[i]]
            values[i] = site.function.value(values[site.args])[i - site.first]
        else:
            values[i] = OPS[code].evaluate(*values[args])
    return values


def derivatives(tape: Tape, x: Array, parameters: Array | None = None) -> tuple[Array, Array, Array]:
    """Outputs ``(m,)``, their Jacobian ``(m, n)`` and their Hessians ``(m, n, n)``, by dense forward propagation."""
    n = tape.num_inputs
    values = evaluate(tape, x, parameters)
    gradient = np.zeros((tape.size, n))
    hessian = np.zeros((tape.size, n, n))
    gradient[:n] = np.eye(n)
    for i in range(tape.first_operation, tape.size):
        args, first, second = _partials(tape, i, values)
        g, h = gradient[args], hessian[args]
        gradient[i] = first @ g
        hessian[i] = np.tensordot(first, h, axes=1) + g.T @ second @ g
    return values[tape.outputs], gradient[tape.outputs], hessian[tape.outputs]


def _partials(tape: Tape, i: int, values: Array) -> tuple[list[int], Array, Array]:
    """Arguments of a node, its first partials and its matrix of second partials."""
    code, args = tape.opcode[i], node_args(tape, i)
    second = np.zeros((len(args), len(args)))
    row = int(tape.arg0[i])
    if code == AFFINE:
        return args, tape.row_coef[tape.row_ptr[row] : tape.row_ptr[row + 1]], second
    if code == SELECT:
        return args, np.array([0.0, 1.0, 0.0] if values[args[0]] != 0.0 else [0.0, 0.0, 1.0]), second
    if code == BLACKBOX:
        site = tape.sites[tape.arg1[i]]
        function, a, k = site.function, values[site.args], i - site.first
        first = np.zeros(a.size)
        np.add.at(
            first,
            function.jacobian_cols[function.jacobian_rows == k],
            function.jacobian(a)[function.jacobian_rows == k],
        )
        second = np.zeros((a.size, a.size))
        entries = function.hessian(a, np.eye(function.num_outputs)[k])
        second[function.hessian_rows, function.hessian_cols] = entries
        second[function.hessian_cols, function.hessian_rows] = entries
        return site.args.tolist(), first, second
    op = OPS[code]
    a = values[args]
    first = np.array([_number(text, op.arity, a, values[i]) for text in op.d])
    entries = [_number(text, op.arity, a, values[i]) for text in op.dd]
    if op.arity == 1:
        return args, first, np.array([entries])
    aa, ab, bb = entries
    return args, first, np.array([[aa, ab], [ab, bb]])


def _number(text: str | None, arity: int, args: Array, value: float) -> float:
    return 0.0 if text is None else float(array_function(text, arity)(*args, value))
