"""Scalar expressions of one program as a hash-consed graph: equal expressions are one node.

Expressions of the operator table are inserted from their syntax trees.  Simplifications keep IEEE results, signs of zeros
included: multiplications by one, additions of -0.0, double negations, arithmetic among literals; whole powers become
products.  What multiplies a literal zero is kept, since it may be infinite; it is `derive` that knows which zeros
are structural.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Container
from typing import Any

import numpy as np

from sct_opt.ops import NAMED_CONSTANTS, array_function

LEAVES = ("x", "p", "w", "d")
"""Kinds of leaves: input, parameter, weight and number columns of a program."""

COMPARISONS = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
BOOLEAN = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"})
MAX_WHOLE_POWER = 64

_ARITHMETIC = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}


class Graph:
    """Nodes are tuples ``(name, *arguments)``; arguments are node numbers, of leaves the column, of literals the value.

    >>> graph = Graph()
    >>> x = graph.leaf("x", 0)
    >>> graph.mul(graph.literal(1.0), x) == x, graph.add(x, x) == graph.add(x, x)
    (True, True)
    """

    def __init__(self) -> None:
        self.nodes: list[tuple[Any, ...]] = []
        self._numbers: dict[Any, int] = {}
        self.conditional: set[int] = set()
        """Nodes that a condition may make exactly zero; what they multiply may then be anything."""

    def _node(self, key: Any, node: tuple[Any, ...]) -> int:
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.nodes)
            self.nodes.append(node)
        return found

    def leaf(self, kind: str, column: int) -> int:
        """A column of inputs, parameters, weights or numbers."""
        return self._node((kind, column), (kind, column))

    def literal(self, value: float) -> int:
        """A number."""
        return self._node(("lit", value.hex()), ("lit", value))

    def number(self, i: int) -> float | None:
        """The value of a literal, None for anything else."""
        node = self.nodes[i]
        return node[1] if node[0] == "lit" else None

    def operation(self, name: str, *args: int) -> int:
        """An operation without simplification."""
        key = (name, *args)
        return self._node(key, key)

    # -- arithmetic --------------------------------------------------------------------------------------------

    def add(self, a: int, b: int) -> int:
        """Sum."""
        u, v = self.number(a), self.number(b)
        if u is not None and v is not None:
            return self.literal(u + v)
        # adding +0.0 turns -0.0 into +0.0, which atan2 and quotients tell apart
        if u == 0.0 and math.copysign(1.0, u) < 0.0:
            return b
        if v == 0.0 and math.copysign(1.0, v) < 0.0:
            return a
        if self.nodes[b][0] == "neg":
            return self.sub(a, self.nodes[b][1])
        if self.nodes[a][0] == "neg":
            return self.sub(b, self.nodes[a][1])
        return self.operation("add", min(a, b), max(a, b))

    def sub(self, a: int, b: int) -> int:
        """Difference."""
        u, v = self.number(a), self.number(b)
        if u is not None and v is not None:
            return self.literal(u - v)
        if v == 0.0 and math.copysign(1.0, v) > 0.0:
            return a
        if u == 0.0 and math.copysign(1.0, u) < 0.0:
            return self.neg(b)
        if self.nodes[b][0] == "neg":
            return self.add(a, self.nodes[b][1])
        return self.operation("sub", a, b)

    def neg(self, a: int) -> int:
        """Negative."""
        u = self.number(a)
        if u is not None:
            return self.literal(-u)
        node = self.nodes[a]
        if node[0] == "neg":
            return int(node[1])
        return self.operation("neg", a)

    def mul(self, a: int, b: int) -> int:
        """Product."""
        u, v = self.number(a), self.number(b)
        if u is not None and v is not None:
            return self.literal(u * v)
        if v is not None:
            a, b, u, v = b, a, v, u
        if u == 1.0:
            return b
        if u == -1.0:
            return self.neg(b)
        first, second = self.nodes[a], self.nodes[b]
        if u is None and first[0] == "neg":
            return self.neg(self.mul(first[1], b))
        if second[0] == "neg":
            return self.mul(self.literal(-u), second[1]) if u is not None else self.neg(self.mul(a, second[1]))
        return self.operation("mul", min(a, b), max(a, b))

    def div(self, a: int, b: int) -> int:
        """Quotient."""
        u, v = self.number(a), self.number(b)
        if u is not None and v is not None:
            with np.errstate(all="ignore"):
                return self.literal(float(np.float64(u) / np.float64(v)))
        if v is not None and v != 0.0 and math.isfinite(v) and abs(math.frexp(v)[0]) == 0.5 and abs(v) > 1e-300:
            return self.mul(a, self.literal(1.0 / v))
        if self.nodes[a][0] == "neg":
            return self.neg(self.div(self.nodes[a][1], b))
        return self.operation("div", a, b)

    def pow(self, a: int, b: int) -> int:
        """Power; whole exponents become products."""
        v = self.number(b)
        if v is not None and self.number(a) is None:
            if v == 0.0:
                return self.literal(1.0)
            if v == 1.0:
                return a
            if v == 2.0:
                return self.mul(a, a)
            if v == -1.0:
                return self.div(self.literal(1.0), a)
            if v == int(v) if math.isfinite(v) else False:
                if 0 < v <= MAX_WHOLE_POWER:
                    return self._whole_power(a, int(v))
                if 0 < -v <= MAX_WHOLE_POWER:
                    return self.div(self.literal(1.0), self._whole_power(a, int(-v)))
        elif v is not None:
            return self.literal(float(np.float64(self.number(a)) ** np.float64(v)))
        return self.operation("pow", a, b)

    def _whole_power(self, a: int, n: int) -> int:
        if n == 1:
            return a
        half = self._whole_power(a, n // 2)
        square = self.mul(half, half)
        return self.mul(square, a) if n % 2 else square

    def call(self, name: str, *args: int) -> int:
        """A function by its C name."""
        numbers = [self.number(a) for a in args]
        if all(number is not None for number in numbers):
            letters = "ab"[: len(args)]
            value = array_function(f"{name}({', '.join(letters)})", len(args))(*map(np.float64, numbers))
            return self.literal(float(value))
        return self.operation(name, *args)

    def row(self, code: int, which: int, a: int, b: int, v: int) -> int:
        """Value (0), first (1, 2) or second partial (3, 4, 5) of a special function, whose row is compiled as a whole."""
        return self.operation(f"row:{code}:{which}", a, b, v)

    def select(self, condition: int, a: int, b: int) -> int:
        """``a`` where the condition holds, else ``b``."""
        if a == b:
            return a
        number = self.number(condition)
        if number is not None:
            return a if number else b
        return self.operation("select", condition, a, b)

    def compare(self, name: str, a: int, b: int) -> int:
        """A comparison."""
        u, v = self.number(a), self.number(b)
        if u is not None and v is not None:
            return self.literal(
                float({"lt": u < v, "le": u <= v, "gt": u > v, "ge": u >= v, "eq": u == v, "ne": u != v}[name])
            )
        node = self.nodes[a]
        if (
            name == "ne"
            and v == 0.0
            and node[0] == "select"
            and (self.number(node[2]), self.number(node[3])) == (1.0, 0.0)
        ):
            return int(node[1])  # a truth value made a number and tested again
        return self.operation(name, a, b)

    def connect(self, name: str, *args: int) -> int:
        """``and``, ``or``, ``not`` of conditions; literals stand for truth values."""
        numbers = [self.number(a) for a in args]
        if name == "not":
            return self.literal(float(not numbers[0])) if numbers[0] is not None else self.operation("not", *args)
        absorbing = name == "or"
        if any(number is not None and bool(number) == absorbing for number in numbers):
            return self.literal(float(absorbing))
        rest = [a for a, number in zip(args, numbers, strict=True) if number is None]
        if not rest:
            return self.literal(float(not absorbing))
        return functools.reduce(lambda left, right: self.operation(name, left, right), rest)

    # -- what derivatives need -----------------------------------------------------------------------------------

    def product(self, adjoint: int, partial: int) -> int:
        """Adjoint times partial, where an adjoint that a condition made zero wins over a partial that is not finite."""
        zero = self.literal(0.0)
        if adjoint == zero or partial == zero:
            return zero
        node = self.nodes[partial]
        if node[0] == "select" and zero in node[2:]:
            # 1 or 0, or something or 0, by a condition
            condition, a, b = node[1:]
            a, b = (zero if branch == zero else self.product(adjoint, branch) for branch in (a, b))
            out = self.select(condition, a, b)
            self.conditional.add(out)
            return out
        number = self.number(partial)
        out = self.mul(adjoint, partial)
        if adjoint in self.conditional:
            if number is None or not math.isfinite(number):
                out = self.select(self.compare("ne", adjoint, zero), out, zero)
            self.conditional.add(out)
        return out

    def total(self, a: int, b: int) -> int:
        """Sum of adjoints."""
        zero = self.literal(0.0)
        if a == zero:
            return b
        if b == zero:
            return a
        out = self.add(a, b)
        if a in self.conditional and b in self.conditional:
            self.conditional.add(out)
        return out

    # -- expressions of the operator table -------------------------------------------------------------------------

    def expression(self, text: str, **names: int) -> int:
        """Insert an expression of the operator table.

        Args:
            text: the expression.
            **names: nodes of ``a``, ``b`` and ``v``.
        """
        return self._insert(_parsed(text), names)

    def _insert(self, tree: ast.expr, names: dict[str, int]) -> int:
        match tree:
            case ast.Name(id=name):
                return names[name] if name in names else self.literal(NAMED_CONSTANTS[name])
            case ast.Constant(value=value):
                return self.literal(float(value))  # type: ignore[arg-type]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.neg(self._insert(operand, names))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.connect("not", self._insert(operand, names))
            case ast.BinOp(left=left, op=op, right=right):
                return int(getattr(self, _ARITHMETIC[type(op)])(self._insert(left, names), self._insert(right, names)))
            case ast.BoolOp(op=op, values=values):
                return self.connect(
                    "and" if isinstance(op, ast.And) else "or", *(self._insert(value, names) for value in values)
                )
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.select(self._insert(test, names), self._insert(body, names), self._insert(orelse, names))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                a, b = self._insert(left, names), self._insert(right, names)
                if isinstance(op, ast.NotEq) and (self._is_truth(a) or self._is_truth(b)):
                    return self.connect(
                        "or",
                        self.connect("and", a, self.connect("not", b)),
                        self.connect("and", self.connect("not", a), b),
                    )
                return self.compare(COMPARISONS[type(op)], a, b)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.call(name, *(self._insert(argument, names) for argument in args))
        raise NotImplementedError(f"expression of the operator table: {ast.unparse(tree)}")

    def _is_truth(self, a: int) -> bool:
        return self.nodes[a][0] in BOOLEAN

    def reachable_from(self, output: int, done: Container[int]) -> list[int]:
        """The nodes below one node and itself, arguments first, without those that are done."""
        order: list[int] = []
        seen: set[int] = set()
        stack = [(output, False)]
        while stack:
            i, finished = stack.pop()
            if finished:
                order.append(i)
                continue
            if i in seen or i in done:
                continue
            seen.add(i)
            stack.append((i, True))
            node = self.nodes[i]
            if node[0] not in LEAVES and node[0] != "lit":
                stack.extend((a, False) for a in reversed(node[1:]))
        return order


@functools.cache
def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body
