"""Structures and leaves emitted into a tape.

Each structure is interpreted once for all of its items (`sct_opt.adapters.pyomo.interpretation`): with NumPy arrays over
the items where there are many, with plain numbers where there are few.  The outermost affine forms of the objective and
the constraints are emitted together at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sct_opt.adapters.pyomo.expressions import (
    KIND_MASK,
    LEAF_BITS,
    MONOMIAL_PARAM,
    MONOMIAL_VAR,
    REF,
    VAR,
    Reader,
    Structure,
    describe,
)
from sct_opt.adapters.pyomo.interpretation import BlockEmitter, Emitter, Form, ScalarEmitter, interpret, node_of
from sct_opt.errors import ModelError
from sct_opt.tape import TapeBuilder

Array = np.ndarray[Any, Any]

# From this many items on a structure is emitted with arrays.
MANY = 8

_MONOMIAL_TOKENS = (MONOMIAL_VAR, MONOMIAL_PARAM)


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
    scalar = ScalarEmitter(builder)
    for part in _parts(reader, rows):
        structure = part.structure
        items = np.array(structure.items)[part.rows]
        leaves, numbers, item_varies[items] = _columns(
            reader, structure, part, items, inputs, parameters, item_node, item_varies
        )
        output = rows[items]
        if items.size >= MANY:
            value = _guarded(
                structure, list(leaves.T), list(numbers.T), reader, items, BlockEmitter(builder, items.size)
            )
            if output[0] < 0:
                item_node[items] = node_of(value, BlockEmitter(builder, items.size))
                continue
            varies[output] = item_varies[items]
            if not isinstance(value, Form):
                const[output] = value
                continue
            const[output] = value.const
            for coef, arg in zip(value.coefs, value.args, strict=True):
                collected.add(output, arg, np.broadcast_to(coef, (items.size,)))
            continue
        for k, (item, row) in enumerate(zip(items.tolist(), output.tolist(), strict=True)):
            value = _guarded(structure, leaves[k].tolist(), numbers[k].tolist(), reader, items[k : k + 1], scalar)
            if row < 0:
                item_node[item] = node_of(value, scalar)
                continue
            varies[row] = item_varies[item]
            if not isinstance(value, Form):
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
    structure: Structure, leaves: Sequence[Any], numbers: Sequence[Any], reader: Reader, items: Array, emitter: Emitter
) -> Any:
    try:
        return interpret(structure.tokens, leaves, numbers, reader.calls, emitter)
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
        interpret(
            structure.tokens,
            [0] * len(leaves),
            [float(np.ravel(n)[k % np.size(n)]) for n in numbers],
            reader.calls,
            ScalarEmitter(scratch),
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
