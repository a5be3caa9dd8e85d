"""Derivative expressions of a program: gradients by reverse sweep, Hessians by edge pushing.

Griewank and Walther, *Evaluating Derivatives* (2nd ed., 2008), chapter 3; Gower and Mello, *A new framework for the
computation of Hessians*, Optimization Methods and Software 27 (2012), Algorithm 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable

from sct_opt.ops import (
    AFFINE,
    CONSTANT,
    FIRST_SPECIAL,
    FLAG_A,
    FLAG_AA,
    FLAG_AB,
    FLAG_B,
    FLAG_BB,
    INPUT,
    OPS,
    PARAMETER,
    SELECT,
    structural_flags,
)
from sct_opt.programs.cluster import Program
from sct_opt.programs.graph import Graph

_LEAF = (INPUT, PARAMETER, CONSTANT)


class TooLargeError(Exception):
    """The expressions of a program outgrow what is worth compiling."""


class Expressions:
    """Values and derivatives of a program's roots as nodes of a graph.

    Args:
        program: the program.
        literals: value of each number column that is the same for all instances, else None.
        limit: number of graph nodes beyond which to give up with `TooLargeError`.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.programs.cluster import discover
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(2)
    >>> tape = builder.freeze(builder.binary(OPCODE["mul"], x[:1], builder.unary(OPCODE["sin"], x[1:])))
    >>> expressions = Expressions(discover(tape).programs[0], [])
    >>> sorted(expressions.hessian([expressions.graph.leaf("w", 0)]))
    [(1, 0), (1, 1)]
    """

    def __init__(self, program: Program, literals: list[float | None], limit: int = 20000) -> None:
        self.program = program
        self.graph = Graph()
        self.limit = limit
        self._literals = literals
        self._numbers = 0
        self.values: list[int] = []
        for node in program.nodes:
            self.values.append(self._value(node.code, node.args, node.column))
        self.slots = {i: node.column for i, node in enumerate(program.nodes) if node.code == INPUT}
        self.varies = _varying(program)

    @property
    def roots(self) -> list[int]:
        """Values of the roots."""
        return [self.values[root] for root in self.program.roots]

    def _number(self, column: int) -> int:
        value = self._literals[column]
        return self.graph.leaf("d", column) if value is None else self.graph.literal(value)

    def _value(self, code: int, args: tuple[int, ...], column: int) -> int:
        graph = self.graph
        if code == INPUT:
            return graph.leaf("x", column)
        if code == PARAMETER:
            return graph.leaf("p", column)
        if code == CONSTANT:
            return self._number(column)
        values = [self.values[a] for a in args]
        if code == AFFINE:
            total = self._number(column + len(args))
            for k, value in enumerate(values):
                total = graph.add(total, graph.mul(self._number(column + k), value))
            return total
        if code == SELECT:
            return graph.select(graph.compare("ne", values[0], graph.literal(0.0)), values[1], values[2])
        if code >= FIRST_SPECIAL:
            return graph.row(code, 0, values[0], values[-1], graph.literal(0.0))
        return graph.expression(OPS[code].value, **dict(zip("ab", values, strict=False)))

    def _partials(self, i: int) -> dict[int, int]:
        """Partials of a node by argument, without those that are structurally zero."""
        node, graph = self.program.nodes[i], self.graph
        partials: dict[int, int] = {}

        def put(a: int, partial: int) -> None:
            if self.varies[a]:
                partials[a] = graph.add(partials[a], partial) if a in partials else partial

        if node.code == AFFINE:
            for k, a in enumerate(node.args):
                put(a, self._number(node.column + k))
        elif node.code == SELECT:
            condition = graph.compare("ne", self.values[node.args[0]], graph.literal(0.0))
            one, zero = graph.literal(1.0), graph.literal(0.0)
            if node.args[1] == node.args[2]:
                put(node.args[1], one)
            else:
                put(node.args[1], graph.select(condition, one, zero))
                put(node.args[2], graph.select(condition, zero, one))
        else:
            for k, (a, text) in enumerate(zip(node.args, OPS[node.code].d, strict=True)):
                if text is not None and self.varies[a]:
                    put(a, self._table(i, text, 1 + k))
        return partials

    def _second_partials(self, i: int) -> list[tuple[int, int, int]]:
        """Second partials of a node: pairs of arguments, equal ones merged."""
        node = self.program.nodes[i]
        if node.code in (AFFINE, SELECT):
            return []
        texts = OPS[node.code].dd
        pairs = [(0, 0)] if len(node.args) == 1 else [(0, 0), (0, 1), (1, 1)]
        found: dict[tuple[int, int], int] = {}
        for (first, second), text in zip(pairs, texts, strict=True):
            a, b = node.args[first], node.args[second]
            if text is None or not self.varies[a] or not self.varies[b]:
                continue
            value = self._table(i, text, 3 + first + second)
            if first != second and a == b:
                value = self.graph.mul(self.graph.literal(2.0), value)
            key = (max(a, b), min(a, b))
            found[key] = self.graph.add(found[key], value) if key in found else value
        return [(a, b, value) for (a, b), value in found.items()]

    def _table(self, i: int, text: str, which: int) -> int:
        """A partial from the operator table; special functions bring theirs compiled, by number."""
        node = self.program.nodes[i]
        values = [self.values[a] for a in node.args]
        if node.code >= FIRST_SPECIAL:
            return self.graph.row(node.code, which, values[0], values[-1], self.values[i])
        return self.graph.expression(text, v=self.values[i], **dict(zip("ab", values, strict=False)))

    def gradient(self, root: int) -> dict[int, int]:
        """Partials of one root by input slot."""
        graph = self.graph
        adjoint = {self.program.roots[root]: graph.literal(1.0)}
        gradient: dict[int, int] = {}
        for i in range(self.program.roots[root], -1, -1):
            if i not in adjoint or not self.varies[i]:
                continue
            w = adjoint[i]
            if i in self.slots:
                gradient[self.slots[i]] = w
                continue
            for a, partial in self._partials(i).items():
                term = graph.product(w, partial)
                adjoint[a] = graph.total(adjoint[a], term) if a in adjoint else term
            self._check()
        return gradient

    def hessian(self, weights: Iterable[int]) -> dict[tuple[int, int], int]:
        """Second partials of the weighted sum of the roots, by pairs of slots with the larger first."""
        graph = self.graph
        adjoint: dict[int, int] = {}
        for root, w in zip(self.program.roots, weights, strict=True):
            adjoint[root] = graph.total(adjoint[root], w) if root in adjoint else w
        edges: dict[int, dict[int, int]] = {}

        def put(a: int, b: int, value: int) -> None:
            if value == graph.literal(0.0):
                return
            row = edges.setdefault(a, {})
            row[b] = graph.total(row[b], value) if b in row else value
            if a != b:
                edges.setdefault(b, {})[a] = row[b]

        for i in range(len(self.program.nodes) - 1, -1, -1):
            if i in self.slots or not self.varies[i]:
                continue
            pending = edges.pop(i, {})
            if i not in adjoint and not pending:
                continue
            partials = self._partials(i)
            for p, value in pending.items():
                if p == i:
                    ordered = list(partials.items())
                    for k, (a, d) in enumerate(ordered):
                        pushed = graph.product(value, d)
                        for b, e in ordered[: k + 1]:
                            put(a, b, graph.product(pushed, e))
                else:
                    del edges[p][i]
                    for a, d in partials.items():
                        pushed = graph.product(value, d)
                        if a == p:
                            put(
                                p,
                                p,
                                graph.mul(graph.literal(2.0), pushed)
                                if pushed not in graph.conditional
                                else graph.product(pushed, graph.literal(2.0)),
                            )
                        else:
                            put(a, p, pushed)
            if i in adjoint:
                w = adjoint[i]
                for a, b, second in self._second_partials(i):
                    put(a, b, graph.product(w, second))
                for a, d in partials.items():
                    term = graph.product(w, d)
                    adjoint[a] = graph.total(adjoint[a], term) if a in adjoint else term
            self._check()
        found: dict[tuple[int, int], int] = {}
        for i, row in edges.items():
            for p, value in row.items():
                s, q = self.slots[i], self.slots[p]
                found[max(s, q), min(s, q)] = value
        return found

    def _check(self) -> None:
        if len(self.graph.nodes) > self.limit:
            raise TooLargeError


def _varying(program: Program) -> list[bool]:
    """Whether each node depends on an input through partials that are not structurally zero."""
    return [mask != 0 for mask in _dependence(program)[0]]


def _dependence(program: Program) -> tuple[list[int], list[int]]:
    """Per node the set of slots it depends on, as a bit mask, and its flags."""
    by_code = structural_flags().tolist()
    masks: list[int] = []
    flags: list[int] = []
    for node in program.nodes:
        bits, mask = 0, 0
        if node.code == INPUT:
            bits, mask = FLAG_A, 1 << node.column
        elif node.code == AFFINE:
            for a in node.args:
                mask |= masks[a]
            bits = FLAG_A if mask else 0
        elif node.code == SELECT:
            _, a, b = node.args
            bits = (FLAG_A if masks[a] else 0) | (FLAG_B if masks[b] else 0)
            mask = masks[a] | masks[b]
        elif node.code not in _LEAF:
            bits = by_code[node.code]
            a, b = node.args[0], node.args[-1]
            if not masks[a]:
                bits &= ~(FLAG_A | FLAG_AA | FLAG_AB)
            if not masks[b]:
                bits &= ~(FLAG_B | FLAG_BB | FLAG_AB)
            mask = (masks[a] if bits & FLAG_A else 0) | (masks[b] if bits & FLAG_B else 0)
        masks.append(mask)
        flags.append(bits)
    return masks, flags


def structure(program: Program) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The structural nonzeros of a program, by the rules of detection.

    Returns:
        Jacobian: pairs (root, slot); Hessian of any weighted sum of the roots: pairs of slots, the larger first.
    """
    masks, flags = _dependence(program)
    jacobian = [(k, slot) for k, root in enumerate(program.roots) for slot in _bits(masks[root])]
    live = [False] * len(program.nodes)
    for root in program.roots:
        live[root] = True
    related: dict[int, int] = {}

    def relate(left: int, right: int) -> None:
        for slot in _bits(left):
            related[slot] = related.get(slot, 0) | right

    for i in range(len(program.nodes) - 1, -1, -1):
        node = program.nodes[i]
        if not live[i] or node.code in _LEAF:
            continue
        if node.code == AFFINE:
            for a in node.args:
                live[a] = True
            continue
        a, b = (node.args[1], node.args[2]) if node.code == SELECT else (node.args[0], node.args[-1])
        live[a] |= bool(flags[i] & FLAG_A)
        live[b] |= bool(flags[i] & FLAG_B)
        if flags[i] & FLAG_AA:
            relate(masks[a], masks[a])
        if flags[i] & FLAG_AB:
            relate(masks[a], masks[b])
            relate(masks[b], masks[a])
        if flags[i] & FLAG_BB:
            relate(masks[b], masks[b])
    hessian = sorted({(max(i, j), min(i, j)) for i, mask in related.items() for j in _bits(mask)})
    return jacobian, hessian


def _bits(mask: int) -> list[int]:
    return [k for k in range(mask.bit_length()) if mask >> k & 1]
