"""What is to be evaluated: from programs and assembled patterns to kernels, constant entries and what is left over.

A task is one of values, Jacobian and Hessian of a range of outputs.  Each entry of its result is the sum of a constant
and of contributions of program instances; where an instance is the only source it stores, else it adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sct_opt.ops import OPS, array_function
from sct_opt.programs import table_kernels
from sct_opt.programs.cluster import Discovery, Program
from sct_opt.programs.codegen import Kernel, Output
from sct_opt.programs.derive import Expressions, structure

Array = np.ndarray[Any, Any]


class Block:
    """A program with its expressions and number tables.

    Args:
        program: the program.
        limit: nodes that the graph of its expressions may have.
    """

    def __init__(self, program: Program, limit: int = 20_000) -> None:
        self.program = program
        self.jacobian_entries, self.hessian_entries = structure(program)
        same = table_kernels.uniform(program.numbers)
        same_coef = table_kernels.uniform(program.target_coef)
        literals: list[float | None] = [
            float(row[0]) if s else None for row, s in zip(program.numbers, same, strict=True)
        ]
        self.expressions = Expressions(program, literals, limit)
        self.graph = self.expressions.graph
        # Numbers of the program in front, coefficients of targets behind, without what became a literal.
        columns = [program.numbers[k] for k in range(len(same)) if not same[k]]
        self._data_column = {k: n for n, k in enumerate(k for k in range(len(same)) if not same[k])}
        self.coefficients: list[int] = []
        for k in range(len(same_coef)):
            if same_coef[k]:
                self.coefficients.append(self.graph.literal(float(program.target_coef[k, 0])))
            else:
                self.coefficients.append(self.graph.leaf("d", program.numbers.shape[0] + k))
                self._data_column[program.numbers.shape[0] + k] = len(columns)
                columns.append(program.target_coef[k])
        self.data = np.array(columns).reshape(len(columns), program.instances)
        self.targets = np.concatenate([[0], np.cumsum(program.widths)]).tolist()
        self._gradients: dict[int, dict[int, int]] = {}
        self._hessian: dict[tuple[int, int], int] | None = None
        self._dynamic: list[bool] = []

    def gradient(self, root: int) -> dict[int, int]:
        """Partials of a root by slot."""
        if root not in self._gradients:
            self._gradients[root] = self.expressions.gradient(root)
        return self._gradients[root]

    def hessian(self) -> dict[tuple[int, int], int]:
        """Second partials of the weighted sum of the roots by pairs of slots."""
        if self._hessian is None:
            graph = self.graph
            weights = []
            for root in range(len(self.program.roots)):
                total = graph.literal(0.0)
                for t in range(self.targets[root], self.targets[root + 1]):
                    total = graph.add(total, graph.mul(self.coefficients[t], graph.leaf("w", t)))
                weights.append(total)
            self._hessian = self.expressions.hessian(weights)
        return self._hessian

    def is_constant(self, node: int) -> bool:
        """Whether an expression depends on numbers only."""
        for i in range(len(self._dynamic), len(self.graph.nodes)):
            name, *args = self.graph.nodes[i]
            self._dynamic.append(
                name in ("x", "p", "w") or (name not in ("d", "lit") and any(self._dynamic[a] for a in args))
            )
        return not self._dynamic[node]

    def constant(self, node: int) -> Array:
        """Values of a constant expression for all instances."""
        values: dict[int, Any] = {}
        for i in self.graph.reachable_from(node, ()):
            name, *args = self.graph.nodes[i]
            if name == "lit":
                values[i] = args[0]
            elif name == "d":
                values[i] = self.data[self._data_column[args[0]]]
            else:
                values[i] = _evaluate(name, [values[a] for a in args])
        return np.broadcast_to(np.asarray(values[node], dtype=float), (self.program.instances,))

    def kernel(self, outputs: list[Output], check: bool, nowhere: int) -> Kernel:
        """A kernel of this program; the position ``nowhere`` stands for nothing."""
        tables = {"x": self.program.inputs, "p": self.program.parameters, "w": self.program.target_row, "d": self.data}
        return Kernel(self.graph, self.program.instances, outputs, tables, self._data_column, check, nowhere)


_PRIMITIVES = {
    "add": "a + b", "sub": "a - b", "mul": "a * b", "div": "a / b", "neg": "-a", "pow": "a ** b",
    "lt": "a < b", "le": "a <= b", "gt": "a > b", "ge": "a >= b", "eq": "a == b", "ne": "a != b",
    "and": "a and b", "or": "a or b", "not": "not a",
}  # fmt: skip


def _evaluate(name: str, args: list[Any]) -> Any:
    if name == "select":
        return np.where(*args)
    if name.startswith("row:"):
        code, which = map(int, name.split(":")[1:])
        op = OPS[code]
        texts = (op.value, op.d[0], op.d[-1], op.dd[0], op.dd[len(op.dd) // 2], op.dd[-1])
        return array_function(texts[which] or "0.0 * a", op.arity)(*args[: op.arity], args[2])
    letters = "ab"[: len(args)]
    return array_function(_PRIMITIVES.get(name, f"{name}({', '.join(letters)})"), len(args))(*args)


@dataclass(slots=True)
class Task:
    """Kernels that fill one result, and what they do not fill.

    Attributes:
        size: length of the result; one more element is there for contributions to nothing.
        template: what the result holds before the kernels run; None if they store every element.
        kernels: what to run.
        leftover: scatter of what the compressed form gives: position, coefficient, index in its result.
        linear: sparse rows times ``x`` to be added, of values.
    """

    size: int
    template: Array | None
    kernels: list[Kernel] = field(default_factory=list)
    leftover: tuple[Array, Array, Array] | None = None
    linear: tuple[Array, Array, Array] | None = None


@dataclass(frozen=True, slots=True)
class Contribution:
    """An expression of a block and where its values go."""

    block: Block
    node: int
    positions: Array


def make_task(
    size: int,
    contributions: list[Contribution],
    constants: list[tuple[Array, Array]],
    leftover: tuple[Array, Array, Array] | None,
    check: bool,
) -> Task:
    """Decide what is stored, what added, and what is constant.

    Args:
        size: length of the result; position ``size`` stands for nothing.
        contributions: expressions and positions.
        constants: positions and values known already.
        leftover: scatter from the compressed form.
        check: report values that are not finite.
    """
    template = np.zeros(size + 1)
    counts = np.zeros(size + 1, dtype=np.int32)
    for positions, values in constants:
        np.add.at(template, positions, values)
        table_kernels.count_sources(positions[None, :], counts)
    if leftover is not None:
        table_kernels.count_sources(leftover[0][None, :], counts)
    dynamic: dict[int, tuple[Block, list[Contribution]]] = {}
    for item in contributions:
        table_kernels.count_sources(item.positions[None, :], counts)
        if item.block.is_constant(item.node):
            np.add.at(template, item.positions, item.block.constant(item.node))
        else:
            dynamic.setdefault(id(item.block), (item.block, []))[1].append(item)
    template[size] = 0.0
    stored = 0
    kernels = []
    for block, items in dynamic.values():
        alone = table_kernels.lone(np.array([item.positions for item in items]), counts, size)
        outputs = [Output(item.node, item.positions, not lone) for item, lone in zip(items, alone, strict=True)]
        stored += sum(
            int(np.count_nonzero(item.positions != size)) for item, lone in zip(items, alone, strict=True) if lone
        )
        kernels.append(block.kernel(outputs, check, size))
    return Task(size, None if stored == size else template, kernels, leftover)


@dataclass(frozen=True, slots=True)
class Assembly:
    """A pattern and where each contribution to its values goes.

    Attributes:
        indptr: sparse rows.
        indices: columns.
        positions: per block, ``(entries, instances)``.
        linear: positions of linear entries.
        leftover: positions of what the compressed form contributes.
    """

    indptr: Array
    indices: Array
    positions: list[Array]
    linear: Array
    leftover: Array


def jacobian_slots(block: Block) -> Iterator[tuple[int, int, int]]:
    """Root, target and slot of each Jacobian entry of a block, in the order of its positions."""
    for root, slot in block.jacobian_entries:
        for t in range(block.targets[root], block.targets[root + 1]):
            yield root, t, slot


def assemble_jacobian(found: Discovery, blocks: list[Block], leftover: tuple[Array, Array]) -> Assembly:
    """The pattern of the Jacobian from those of programs, linear entries and leftovers (rows, columns)."""
    split, tape = found.split, found.tape
    pieces = []
    for block in blocks:
        entries = list(jacobian_slots(block))
        rows = block.program.target_row[_indices(t for _, t, _ in entries)]
        cols = block.program.inputs[_indices(slot for _, _, slot in entries)]
        pieces.append((rows, cols))
    return _assembled(pieces, (split.linear_row, split.linear_input), leftover, tape.num_outputs, tape.num_inputs)


def _indices(numbers: Iterable[int]) -> Array:
    return np.array(list(numbers), dtype=np.int64)


def assemble_hessian(found: Discovery, blocks: list[Block], leftover: tuple[Array, Array]) -> Assembly:
    """The lower triangle of the pattern of the Hessian of weighted sums of the outputs."""
    pieces = []
    nothing = np.zeros(0, dtype=np.int32)
    for block in blocks:
        first = block.program.inputs[_indices(i for i, _ in block.hessian_entries)]
        second = block.program.inputs[_indices(j for _, j in block.hessian_entries)]
        pieces.append((np.maximum(first, second), np.minimum(first, second)))
    return _assembled(pieces, (nothing, nothing), leftover, found.tape.num_inputs, found.tape.num_inputs)


def _assembled(
    pieces: list[tuple[Array, Array]],
    linear: tuple[Array, Array],
    leftover: tuple[Array, Array],
    num_rows: int,
    num_cols: int,
) -> Assembly:
    rows, cols = (
        np.concatenate([*(piece[k].ravel() for piece in pieces), linear[k], leftover[k]]).astype(np.int32, copy=False)
        for k in (0, 1)
    )
    indptr, indices, position = table_kernels.assemble(rows, cols, num_rows, num_cols)
    positions = []
    first = 0
    for piece, _ in pieces:
        positions.append(position[first : first + piece.size].reshape(piece.shape))
        first += piece.size
    middle = first + linear[0].size
    return Assembly(indptr, indices, positions, position[first:middle], position[middle:])
