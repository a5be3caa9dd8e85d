"""Clusters of roots that share work, and programs: clusters that are the same expressions over other indices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sct_opt.ops import AFFINE, CONSTANT, INPUT, OPS, PARAMETER, SELECT
from sct_opt.programs import cluster_kernels, table_kernels, walk_kernels
from sct_opt.programs.distribute import distributed
from sct_opt.programs.merge import merged
from sct_opt.programs.split import MAX_CONE, MAX_TARGETS, Split, Walkable, operation_weights, split_outputs
from sct_opt.tape import Tape

Array = np.ndarray[Any, Any]

MERGE_LIMIT = 400
"""Operations that a cluster of several roots may have."""

MAX_CLUSTER_ROOTS = 64
MAX_SHARING = 40
"""Nodes that more roots than this reach are evaluated in each cluster rather than tying all of them together."""

FEW_INSTANCES = 6
MANY_PROGRAMS = 24
"""More programs than this with fewer than ``FEW_INSTANCES`` instances each: sums are taken apart to find what repeats."""

_ROOT = 256


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a program: operator, local numbers of its arguments; leaves and affine nodes know their columns."""

    code: int
    args: tuple[int, ...] = ()
    column: int = -1


@dataclass(frozen=True)
class Program:
    """The same expressions over many index sets.

    Attributes:
        nodes: the expressions, arguments first.
        roots: node of each root.
        widths: how many targets each root has.
        inputs: node ids of the inputs, ``(slots, instances)``.
        parameters: indices of the parameters, ``(parameter slots, instances)``.
        numbers: constants and coefficients, ``(number slots, instances)``.
        target_row: outputs that the roots are added to, ``(sum(widths), instances)``; the number of outputs is a dummy.
        target_coef: with which coefficient.
        root_ids: index of each root in the split, ``(roots, instances)``.
    """

    nodes: tuple[Node, ...]
    roots: tuple[int, ...]
    widths: tuple[int, ...]
    inputs: Array
    parameters: Array
    numbers: Array
    target_row: Array
    target_coef: Array
    root_ids: Array

    @property
    def instances(self) -> int:
        """How often the program occurs."""
        return int(self.root_ids.shape[1])

    @cached_property
    def operations(self) -> int:
        """Number of operations of one instance."""
        return sum(node.code not in (INPUT, PARAMETER, CONSTANT) for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found in a tape.

    Attributes:
        tape: the tape.
        split: its outputs as sums.
        programs: programs with their instances, by falling number of instances.
        leftover: indices of the roots that no program evaluates.
        total_nodes: operations of all instances; over those of the tape this is the cost of duplication.
    """

    tape: Tape
    split: Split
    programs: tuple[Program, ...]
    leftover: Array
    total_nodes: int


def discover(tape: Tape) -> Discovery:
    """Find the programs of a tape.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(100)
    >>> products = builder.binary(OPCODE["mul"], x[1:], builder.unary(OPCODE["sin"], x[:-1]))
    >>> found = discover(builder.freeze(products))
    >>> [(p.instances, p.inputs.shape[0]) for p in found.programs]
    [(99, 2)]
    """
    walk = distributed(merged(tape))
    walked = _walked(walk, split_outputs(walk))
    odd = walked.odd_roots()
    if odd.size:
        walked = _walked(walk, split_outputs(walk, odd))
    return walked.discovery()


@dataclass(frozen=True, slots=True)
class _Walked:
    """Clusters after the walk; see `walk_kernels.walk` for the arrays.

    Attributes:
        order: roots, cluster by cluster.
        cluster_ptr: where each cluster begins.
        linear: by node, whether it is linear in its arguments.
        leftover: roots too large for programs.
    """

    tape: Tape
    linear: Array
    split: Split
    order: Array
    cluster_ptr: Array
    leftover: Array
    program: Array
    tokens: Array
    token_ptr: Array
    sources: tuple[Array, Array, Array]
    shape: Array
    begin: Array

    def odd_roots(self) -> Array:
        """Linear roots of programs with few instances, if there are many that have hardly one.

        Sums of differing numbers of terms, such as balances at the nodes of a network, are to be taken apart: their
        terms repeat though they do not.
        """
        counts = np.bincount(self.program, minlength=self.token_ptr.size - 1)
        if np.count_nonzero(counts < FEW_INSTANCES) <= MANY_PROGRAMS:
            return np.zeros(0, dtype=np.int32)
        odd = counts < max(FEW_INSTANCES, int(counts.max()) // 10)
        roots = self.split.roots[self.order[np.repeat(odd[self.program], np.diff(self.cluster_ptr))]]
        found: Array = roots[self.linear[roots] == 1]
        return found

    def discovery(self) -> Discovery:
        """Tables of all programs."""
        by_program = np.argsort(self.program, kind="stable")
        bounds = np.concatenate([[0], np.cumsum(np.bincount(self.program, minlength=self.token_ptr.size - 1))])
        targets = _Targets(self.split, self.tape.num_outputs)
        begins = [self.begin[:, k].copy() for k in range(3)]
        programs = []
        total = 0
        for p in range(self.token_ptr.size - 1):
            instances = by_program[bounds[p] : bounds[p + 1]]
            nodes, roots, widths = _decoded(self.tokens[self.token_ptr[p] : self.token_ptr[p + 1]].tolist())
            root_ids = np.ascontiguousarray(
                self.order[self.cluster_ptr[instances][None, :] + np.arange(len(roots))[:, None]]
            )
            inputs, parameters, numbers = (
                table_kernels.columns(source, begins[k], instances, int(self.shape[p, k]))
                for k, source in enumerate(self.sources)
            )
            target_row, target_coef = targets.tables(root_ids, widths)
            found = Program(nodes, roots, widths, inputs, parameters, numbers, target_row, target_coef, root_ids)
            total += found.operations * found.instances
            programs.append(found)
        programs.sort(key=lambda found: -found.instances)
        return Discovery(self.tape, self.split, tuple(programs), self.leftover, total)


def _walked(walk: Walkable, split: Split) -> _Walked:
    """Cluster the roots of a split and walk the clusters."""
    tape = walk.tape
    if walk.forest:
        sizes = np.where(split.roots < tape.first_operation, 0, walk.tree[split.roots])
    else:
        sizes = cluster_kernels.cone_sizes(*walk.structure, split.roots, tape.first_operation, MAX_CONE)
    counts = np.bincount(split.target_root, minlength=split.roots.size)
    small = (sizes <= MAX_CONE) & (counts <= MAX_TARGETS)
    label = _labels(walk, split, small)
    members = np.flatnonzero(small)
    order = members[np.argsort(label[members], kind="stable")].astype(np.int32)
    by_label = label[order]
    first = np.flatnonzero(by_label[1:] != by_label[:-1]) + 1
    cluster_ptr = np.concatenate([[0], first, [order.size]] if order.size else [[0]]).astype(np.int64)
    program, tokens, token_ptr, inputs, parameters, numbers, shape, begin = walk_kernels.walk(
        *walk.structure,
        *walk.rows,
        tape.constants,
        tape.num_inputs,
        tape.num_inputs + tape.num_parameters,
        tape.first_operation,
        split.roots,
        _widths(counts, split.dissolved),
        cluster_ptr,
        order,
        np.array([op.arity for op in OPS], dtype=np.int32),
    )
    leftover = np.flatnonzero(~small)
    return _Walked(
        tape,
        walk.linear,
        split,
        order,
        cluster_ptr,
        leftover,
        program,
        tokens,
        token_ptr,
        (inputs, parameters, numbers),
        shape,
        begin,
    )


def _labels(walk: Walkable, split: Split, small: Array) -> Array:
    """The first root of each root's cluster."""
    if walk.forest or split.roots.size < 2:
        return np.arange(split.roots.size, dtype=np.int32)
    return cluster_kernels.cluster(  # type: ignore[no-any-return]
        *walk.structure,
        split.roots,
        small,
        walk.linear,
        operation_weights(),
        walk.tape.first_operation,
        MAX_CONE,
        MERGE_LIMIT,
        MAX_CLUSTER_ROOTS,
        MAX_SHARING,
    )


def _widths(counts: Array, dissolved: Array) -> Array:
    """Number of targets that a program provides for: rounded up, so that boundary instances have the same structure."""
    rounded = np.array([1, 1, 2, *[4] * 2, *[8] * 4, *[16] * 8], dtype=np.int32)
    widths = rounded[np.minimum(counts, MAX_TARGETS)]
    return np.where(dissolved, np.maximum(widths, 2), widths).astype(np.int32)


class _Targets:
    """Targets of the roots, sorted by root."""

    def __init__(self, split: Split, dummy: int) -> None:
        counts = np.bincount(split.target_root, minlength=split.roots.size)
        order = np.argsort(split.target_root, kind="stable")
        self.row = np.append(split.target_row[order], np.int32(dummy)).astype(np.int32)
        self.coef = np.append(split.target_coef[order], 1.0)
        self.counts = counts
        self.first = np.cumsum(counts) - counts

    def tables(self, root_ids: Array, widths: tuple[int, ...]) -> tuple[Array, Array]:
        """Rows and coefficients, one table row per target; a missing target repeats the first one's coefficient."""
        rows, coefs = [], []
        for ids, width in zip(root_ids, widths, strict=True):
            first, count = self.first[ids], self.counts[ids]
            for k in range(width):
                there = first + k
                rows.append(self.row[np.where(k < count, there, self.row.size - 1)])
                coefs.append(self.coef[np.where(k < count, there, first)])
        return np.array(rows), np.array(coefs)


def _decoded(tokens: list[int]) -> tuple[tuple[Node, ...], tuple[int, ...], tuple[int, ...]]:
    """Nodes, roots and widths from the tokens of a walk."""
    nodes: list[Node] = []
    roots: list[int] = []
    widths: list[int] = []
    columns = {INPUT: 0, PARAMETER: 0, CONSTANT: 0}
    position = 0
    while position < len(tokens):
        code = tokens[position]
        position += 1
        if code >= _ROOT:
            roots.append(tokens[position])
            widths.append(code - _ROOT)
            position += 1
        elif code in columns:
            nodes.append(Node(code, (), columns[code]))
            columns[code] += 1
        elif code in (AFFINE, SELECT):
            count = tokens[position]
            args = tuple(tokens[position + 1 : position + 1 + count])
            position += 1 + count
            nodes.append(Node(code, args, columns[CONSTANT] if code == AFFINE else -1))
            if code == AFFINE:
                columns[CONSTANT] += count + 1
        else:
            count = OPS[code].arity
            nodes.append(Node(code, tuple(tokens[position : position + count])))
            position += count
    return tuple(nodes), tuple(roots), tuple(widths)
