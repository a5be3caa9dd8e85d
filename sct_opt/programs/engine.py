"""The engine of one tape: programs compiled to machine code, and the compressed form for what does not repeat."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from sct_opt.kernel import address
from sct_opt.pattern import SparsityPattern
from sct_opt.programs import table_kernels
from sct_opt.programs.cluster import Discovery, Program, discover
from sct_opt.programs.codegen import Compiled, target
from sct_opt.programs.derive import TooLargeError
from sct_opt.programs.leftover import Compressed, Leftover, restricted_inputs, with_outputs
from sct_opt.programs.options import EngineOptions
from sct_opt.programs.parallel import available
from sct_opt.programs.plan import (
    Assembly,
    Block,
    Contribution,
    Task,
    assemble_hessian,
    assemble_jacobian,
    jacobian_slots,
    make_task,
)
from sct_opt.tape import Tape

Array = np.ndarray[Any, Any]
MAX_OPERATIONS = 4000
"""Operations of all programs together that mode ``"auto"`` compiles; compiling takes about 0.2 ms each."""

MAX_LONE_OPERATIONS = 1500
LONE = 4
"""The same for programs of no more instances than this, which gain little."""

MAX_EXPRESSIONS = 20_000
MAX_LONE_EXPRESSIONS = 6_000
"""Nodes that the graph of a program's values and derivatives may have, and that of a lone program."""

CERTAINLY_SMALL = 40
"""Operations and inputs up to which a program's derivatives cannot be too large."""

SMALL = 4096
"""Numbers up to which arguments and results go through buffers whose addresses are known."""


class Runner:
    """A compiled task.

    Args:
        task: what to evaluate.
        num_inputs: length of ``x``.
        num_weights: number of outputs, the length of the weights.
        parameters: the parameters, changed in place by their owner.
        options: libm throughout or not, and how many threads.
    """

    def __init__(
        self, task: Task, num_inputs: int, num_weights: int, parameters: Array, options: EngineOptions
    ) -> None:
        self.task = task
        start = time.perf_counter()
        threads = available() if options.threads is None else options.threads
        self._code = Compiled(task.kernels, options.strict, threads) if task.kernels else None
        self.seconds = time.perf_counter() - start
        work, parts = (self._code.work, self._code.parts) if self._code is not None else (0, 1)
        self.work = f"work {work} for {task.size} entries in {parts} thread{'s' if parts > 1 else ''}"
        self._parameters = parameters
        self._p = address(parameters)
        # One weight more than there are outputs: that of missing targets.
        self._weights = np.zeros(num_weights + 1)
        self._w = address(self._weights)
        self._small = num_inputs <= SMALL and task.size <= SMALL
        self._x_buffer = np.zeros(num_inputs if self._small else 0)
        self._out_buffer = np.zeros(task.size + 1 if self._small else 0)
        self._x, self._out = address(self._x_buffer), address(self._out_buffer)
        self._linear: Callable[[], None] | None = None
        if task.linear is not None and self._small:
            self._linear = table_kernels.add_row_products.bind(*task.linear, self._x_buffer, self._out_buffer)
        for kernel in task.kernels:
            _check_bounds(kernel.tables, num_inputs, parameters.size, num_weights, task.size)

    def __call__(self, x: Array, weights: Array | None = None, keep: bool = False) -> tuple[Array, bool]:
        """The result, and whether all of what the kernels wrote is finite.

        Args:
            x: the point.
            weights: of the outputs, for a Hessian.
            keep: return a buffer of this runner, which the next call overwrites, rather than an array of its own.
        """
        if weights is not None:
            self._weights[:-1] = weights
        return self._small_result(x, keep) if self._small else self._large_result(x, keep)

    def _small_result(self, x: Array, keep: bool) -> tuple[Array, bool]:
        """Through buffers whose addresses are known."""
        task, code, out = self.task, self._code, self._out_buffer
        if task.template is not None:
            out[:] = task.template
        self._x_buffer[:] = x
        finite = code is None or code.run(code.context, self._x, self._p, self._w, self._out) == 0
        if self._linear is not None:
            self._linear()
        return out[:-1] if keep else out[:-1].copy(), finite

    def _large_result(self, x: Array, keep: bool) -> tuple[Array, bool]:
        task, code = self.task, self._code
        if keep and self._out_buffer.size == 0:
            self._out_buffer = np.empty(task.size + 1)
        if keep or task.template is None:
            out = self._out_buffer if keep else np.empty(task.size + 1)
            if task.template is not None:
                out[:] = task.template
        else:
            out = task.template.copy()
        x = np.ascontiguousarray(x)
        finite = code is None or code.run(code.context, address(x), self._p, self._w, address(out)) == 0
        if task.linear is not None:
            table_kernels.add_row_products(*task.linear, x, out)
        return out[:-1], finite


def _check_bounds(tables: dict[str, Array], num_inputs: int, num_parameters: int, num_weights: int, size: int) -> None:
    """Machine code does not look where it reads and writes; so look once before."""
    limits = {"x": num_inputs, "p": num_parameters, "w": num_weights + 1, "position": size + 1}
    for name, limit in limits.items():
        table = tables[name]
        if table.size and (int(table.min()) < 0 or int(table.max()) >= limit):
            raise AssertionError(f"table {name!r} of a program reaches beyond its {limit} entries")


class Engine:
    """Values and derivatives of a tape's outputs by programs.

    Args:
        tape: the tape.
        compressed: makes the compressed form of a tape, for what does not repeat.
        parameters: values of the parameters, which their owner changes in place.
        options: what to compile and how to run it.
    """

    def __init__(
        self,
        tape: Tape,
        compressed: Callable[[Tape], Compressed],
        parameters: Array,
        options: EngineOptions | None = None,
    ) -> None:
        self.tape = tape
        self.options = EngineOptions() if options is None else options
        self.parameters = parameters
        self._make_compressed = compressed
        self.seconds: dict[str, float] = {}
        self.work: dict[str, str] = {}
        start = time.perf_counter()
        self.found: Discovery = discover(tape)
        self._choose()
        self.seconds["discover"] = time.perf_counter() - start

    def _choose(self) -> None:
        """Compile those programs first that have most instances, as long as compiling takes no more than a second or so."""
        chosen, rest = [], [self.found.leftover]
        self.refused: list[tuple[Program, str]] = []
        operations = 0
        lone = 0
        for program in self.found.programs:
            operations += program.operations
            lone += program.operations if program.instances <= LONE else 0
            fits = operations <= MAX_OPERATIONS and (program.instances > LONE or lone <= MAX_LONE_OPERATIONS)
            if target() is None:
                reason = "no compiler"
            elif not fits and self.options.mode != "programs":
                reason = "takes longer to compile than it saves"
            elif (block := self._block(program)) is None:
                reason = "its derivatives are too large to compile"
            else:
                chosen.append(block)
                continue
            rest.append(program.root_ids.ravel())
            self.refused.append((program, reason))
        self.blocks = chosen
        self._leftover_roots = np.concatenate(rest)

    def _block(self, program: Program) -> Block | None:
        """A program ready to be compiled; None if its derivatives are too large to be worth it."""
        block = Block(program, MAX_LONE_EXPRESSIONS if program.instances <= LONE else MAX_EXPRESSIONS)
        if program.operations > CERTAINLY_SMALL or program.inputs.shape[0] > CERTAINLY_SMALL:
            try:
                block.hessian()
                for root in range(len(program.roots)):
                    block.gradient(root)
            except TooLargeError:
                return None
        return block

    @cached_property
    def leftover(self) -> Leftover | None:
        """What programs do not evaluate, in compressed form."""
        if self._leftover_roots.size == 0:
            return None
        split = self.found.split
        index = np.full(split.roots.size, -1, dtype=np.int64)
        index[self._leftover_roots] = np.arange(self._leftover_roots.size)
        mine = np.flatnonzero(index[split.target_root] >= 0)
        output = index[split.target_root[mine]]
        order = np.argsort(output, kind="stable")
        tape, inputs = restricted_inputs(with_outputs(self.found.tape, split.roots[self._leftover_roots]))
        return Leftover(
            self._make_compressed(tape),
            inputs,
            output[order],
            split.target_row[mine][order],
            split.target_coef[mine][order],
        )

    # -- patterns ------------------------------------------------------------------------------------------------

    @cached_property
    def _jacobian(self) -> Assembly:
        start = time.perf_counter()
        nothing = np.zeros(0, dtype=np.int32)
        rows, cols = nothing, nothing
        if self.leftover is not None:
            output, column = self.leftover.derivatives.jacobian_pattern.coo()
            entry, rows, _ = self.leftover.expanded(output)
            cols = self.leftover.inputs[column[entry]]
        out = assemble_jacobian(self.found, self.blocks, (rows, cols))
        self.seconds["jacobian pattern"] = time.perf_counter() - start
        return out

    @cached_property
    def _hessian(self) -> Assembly:
        start = time.perf_counter()
        nothing = np.zeros(0, dtype=np.int32)
        rows, cols = nothing, nothing
        if self.leftover is not None:
            i, j = self.leftover.derivatives.hessian_lower_pattern.coo()
            i, j = self.leftover.inputs[i], self.leftover.inputs[j]
            rows, cols = np.maximum(i, j), np.minimum(i, j)
        out = assemble_hessian(self.found, self.blocks, (rows, cols))
        self.seconds["hessian pattern"] = time.perf_counter() - start
        return out

    @cached_property
    def jacobian_pattern(self) -> SparsityPattern:
        """Pattern of the Jacobian of all outputs."""
        return SparsityPattern(
            (self.tape.num_outputs, self.tape.num_inputs), self._jacobian.indptr, self._jacobian.indices
        )

    @cached_property
    def hessian_lower_pattern(self) -> SparsityPattern:
        """Lower triangle of the pattern of the Hessian of any weighted sum of the outputs."""
        return SparsityPattern((self.tape.num_inputs,) * 2, self._hessian.indptr, self._hessian.indices)

    # -- tasks ---------------------------------------------------------------------------------------------------

    def values_task(self, start: int, stop: int) -> Runner:
        """Outputs ``start … stop-1``."""
        size = stop - start
        split = self.found.split
        contributions = []
        for block in self.blocks:
            for root, node in enumerate(block.expressions.roots):
                for t in range(block.targets[root], block.targets[root + 1]):
                    positions = _moved(block.program.target_row[t], start, stop)
                    if positions is not None:
                        contributions.append(
                            Contribution(block, block.graph.mul(block.coefficients[t], node), positions)
                        )
        constants = [(np.arange(size, dtype=np.int32), split.constant[start:stop])]
        leftover = None
        if self.leftover is not None:
            part = self.leftover
            keep = (part.row >= start) & (part.row < stop)
            leftover = ((part.row[keep] - start).astype(np.int32), part.coef[keep], part.output[keep])
        mine = np.flatnonzero((split.linear_row >= start) & (split.linear_row < stop))
        rows = split.linear_row[mine] - start
        if mine.size:
            constants.append((rows.astype(np.int32), np.zeros(mine.size)))
        task = make_task(size, contributions, constants, leftover, check=False)
        if mine.size:
            order = np.argsort(rows, kind="stable")
            indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=size))])
            task.linear = (indptr, split.linear_input[mine][order], split.linear_coef[mine][order])
        return self._runner("values", task, start, stop)

    def jacobian_task(self, start: int, stop: int) -> Runner:
        """Values of the Jacobian's rows ``start … stop-1`` in CSR order."""
        assembly, split = self._jacobian, self.found.split
        first, last = int(assembly.indptr[start]), int(assembly.indptr[stop])
        contributions = []
        for block, table in zip(self.blocks, assembly.positions, strict=True):
            for (root, t, slot), row in zip(jacobian_slots(block), table, strict=True):
                positions = _moved(row, first, last)
                if positions is None:
                    continue
                node = block.gradient(root).get(slot)
                if node is not None:
                    contributions.append(Contribution(block, block.graph.mul(block.coefficients[t], node), positions))
        linear = (assembly.linear >= first) & (assembly.linear < last)
        constants = [(assembly.linear[linear] - np.int32(first), split.linear_coef[linear])]
        leftover = None
        if self.leftover is not None:
            entry, _, coef = self.leftover.expanded(self.leftover.derivatives.jacobian_pattern.coo()[0])
            keep = (assembly.leftover >= first) & (assembly.leftover < last)
            leftover = (assembly.leftover[keep] - np.int32(first), coef[keep], entry[keep])
        task = make_task(last - first, contributions, constants, leftover, check=True)
        return self._runner("jacobian", task, start, stop)

    def hessian_task(self) -> Runner:
        """Values of the lower triangle of the Hessian of a weighted sum of the outputs in CSR order."""
        assembly = self._hessian
        size = int(assembly.indices.size)
        contributions = []
        for block, table in zip(self.blocks, assembly.positions, strict=True):
            found = block.hessian()
            contributions += [
                Contribution(block, found[pair], row)
                for pair, row in zip(block.hessian_entries, table, strict=True)
                if pair in found
            ]
        leftover = None
        if self.leftover is not None:
            count = assembly.leftover.size
            leftover = (assembly.leftover, np.ones(count), np.arange(count))
        task = make_task(size, contributions, [], leftover, check=True)
        return self._runner("hessian", task, 0, self.tape.num_outputs)

    def add_leftover(self, task: Task, out: Array, evaluate: Callable[[Compressed, Array], Array], x: Array) -> None:
        """Add what the compressed form contributes to a result."""
        part = self._current_leftover()
        assert part is not None
        assert task.leftover is not None
        table_kernels.scatter_add(out, *task.leftover, evaluate(part.derivatives, x[part.inputs]))

    def add_leftover_hessian(self, task: Task, out: Array, x: Array, weights: Array) -> None:
        """Add the Hessian of the leftover roots; a root's weight is that of its targets."""
        part = self._current_leftover()
        assert part is not None
        own = np.bincount(part.output, weights=part.coef * weights[part.row], minlength=self._leftover_roots.size)
        self.add_leftover(task, out, lambda derivatives, point: derivatives.hessian_values(point, own), x)

    def _current_leftover(self) -> Leftover | None:
        part = self.leftover
        if part is not None and self.parameters.size:
            part.derivatives.parameters[:] = self.parameters
        return part

    def report(self) -> str:
        """Programs and what evaluates each, the compressed form of the rest, and the work of what has been compiled."""
        nodes = self.tape.size - self.tape.first_operation
        lines = [
            f"{len(self.blocks)} programs for {sum(block.program.root_ids.size for block in self.blocks)} terms, "
            f"{self._leftover_roots.size} terms in compressed form; {self.found.total_nodes / max(1, nodes):.2f} operations evaluated per operation of the tape"
        ]
        lines += [
            f"  {_size(block.program)}, {len(block.jacobian_entries)} first and {len(block.hessian_entries)} second partials: {_cost(block)}"
            for block in self.blocks
        ]
        lines += [f"  {_size(program)}: compressed, {reason}" for program, reason in self.refused]
        if self.leftover is not None:
            lines.append(f"  {self.leftover.derivatives.report()}")
        lines += [f"  {name}: {work}" for name, work in self.work.items()]
        lines.append("  " + ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in self.seconds.items()))
        return "\n".join(lines)

    def _runner(self, what: str, task: Task, start: int, stop: int) -> Runner:
        runner = Runner(task, self.tape.num_inputs, self.tape.num_outputs, self.parameters, self.options)
        self.seconds[f"compile {what}"] = self.seconds.get(f"compile {what}", 0.0) + runner.seconds
        self.work[f"{what} of {stop - start} outputs from {start} on"] = runner.work
        return runner


def _size(program: Program) -> str:
    return f"{program.instances} x {program.operations} operations, {program.inputs.shape[0]} inputs, {len(program.roots)} roots"


def _cost(block: Block) -> str:
    """What is done with a block, and what the choice goes by besides the operations to compile."""
    return f"compiled, {block.program.operations * block.program.instances} operations for values"


def _moved(positions: Array, first: int, last: int) -> Array | None:
    """Positions counted from ``first``; those outside of the range stand for nothing.  None if all are outside."""
    inside = (positions >= first) & (positions < last)
    if inside.all():
        return positions - np.int32(first) if first else positions
    if not inside.any():
        return None
    return np.where(inside, positions - np.int32(first), np.int32(last - first))
