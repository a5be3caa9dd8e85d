"""Outputs as sums: a linear part with constant coefficients, and roots, the nonlinear terms that programs evaluate.

``output[r] = constant[r] + sum coef * x[input] + sum coef * value(root)``.

Separable sums so come apart into their addends, and a term that several outputs add is evaluated once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sct_opt.ops import OPS
from sct_opt.programs import dissolve_kernels
from sct_opt.programs import split_kernels as kernels
from sct_opt.tape import Tape

Array = np.ndarray[Any, Any]

MAX_CONE = 512
"""Operations that one root may have; larger ones are evaluated in compressed form."""

MAX_TARGETS = 16
"""Outputs that one root may be added to; for more it is evaluated once more, up to ``MAX_COPIES`` times."""

MAX_COPIES = 4
"""Beyond that its values go through the compressed form's scatter."""

WORTH_SHARING = 8
"""Weighted operations from which on a term shared by several outputs is made a root of its own."""

MAX_GROUP = 400
"""Operations of units that share terms up to which a cluster is left to evaluate these terms once."""

_CHEAP = {
    "add",
    "sub",
    "neg",
    "mul",
    "square",
    "abs",
    "min",
    "max",
    "sign",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
    "affine",
    "select",
}
_MEDIUM = {"div", "sqrt", "reciprocal", "floor", "ceil", "rint", "trunc", "powc"}


def operation_weights() -> Array:
    """Rough cost of each operator in multiplications."""
    weights = np.zeros(len(OPS), dtype=np.int32)
    for code, op in enumerate(OPS):
        if op.arity != 0:
            weights[code] = 1 if op.name in _CHEAP else 4 if op.name in _MEDIUM else 10
    return weights


@dataclass(frozen=True, slots=True)
class Split:
    """The outputs of a tape as sums.

    Attributes:
        roots: node ids of the terms.
        dissolved: whether a root is one of several terms that an output was dissolved into.
        target_root, target_row, target_coef: output ``row`` contains ``coef * root``.
        linear_row, linear_input, linear_coef: output ``row`` contains ``coef * x[input]``.
        constant: by output.
    """

    roots: Array
    dissolved: Array
    target_root: Array
    target_row: Array
    target_coef: Array
    linear_row: Array
    linear_input: Array
    linear_coef: Array
    constant: Array


@dataclass(frozen=True, slots=True)
class Walkable:
    """A tape and the arguments of its nodes in one list, which is what the kernels walk.

    Attributes:
        tape: the tape.
        ptr: where each node's arguments begin in ``args``.
        args: node ids.
        linear: 1 for nodes linear in their arguments with constant coefficients, 2 for those linear in the inputs.
        addends: nonlinear terms of a linear node, at most 255.
        tree: operations of a node's expression written out as a tree.
        cost: the same, weighted.
        inner: whether a nonlinear node needs this one, through linear nodes or not.
        several: whether more than one way leads up.
        forest: no operation is used twice.
    """

    tape: Tape
    ptr: Array
    args: Array
    linear: Array
    addends: Array
    tree: Array
    cost: Array
    inner: Array
    several: Array
    forest: bool

    @property
    def structure(self) -> tuple[Array, Array, Array]:
        """Opcodes and arguments."""
        return self.tape.opcode, self.ptr, self.args

    @property
    def rows(self) -> tuple[Array, Array, Array, Array]:
        """Side arrays of affine nodes."""
        return self.tape.arg0, self.tape.row_ptr, self.tape.row_coef, self.tape.row_const


def walkable(tape: Tape) -> Walkable:
    """List the arguments of all nodes and find out what splitting asks about each."""
    arity = np.array([op.arity for op in OPS], dtype=np.int8)
    ptr, args = kernels.arguments(tape.opcode, tape.arg0, tape.arg1, tape.row_ptr, tape.row_arg, arity)
    found = kernels.properties(tape.opcode, ptr, args, tape.outputs, tape.first_operation, operation_weights())
    return Walkable(tape, ptr, args, *found)


def split_outputs(walk: Walkable, forced: Array | None = None) -> Split:
    """Split the outputs of a tape into a linear part and roots.

    Args:
        walk: the tape.
        forced: linear nodes that are to be taken apart even if they are small.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(3)
    >>> total = builder.affine([3], builder.unary(OPCODE["sin"], x), [1.0, 1.0, 2.0], [5.0])
    >>> split = split_outputs(walkable(builder.freeze([int(total[0]), int(x[1])])))
    >>> split.roots.size, split.linear_input.tolist()
    (1, [1])
    """
    tape = walk.tape
    first_constant = tape.num_inputs + tape.num_parameters
    units, *rest = kernels.split(
        *walk.structure,
        *walk.rows,
        tape.constants,
        tape.outputs,
        tape.num_inputs,
        first_constant,
        tape.first_operation,
        walk.linear,
        walk.addends,
        walk.tree,
        MAX_CONE - 1,
    )
    dissolved = np.zeros(units.size, dtype=bool)
    shared = not walk.forest and dissolve_kernels.any_addend_shared(
        walk.linear, walk.cost, walk.inner, walk.several, WORTH_SHARING
    )
    if shared or forced is not None:
        marked = np.zeros(tape.size, dtype=bool)
        if forced is not None:
            marked[forced] = True
        units, dissolved, *rest = dissolve_kernels.dissolve(
            *walk.structure,
            *walk.rows,
            tape.constants,
            tape.num_inputs,
            first_constant,
            tape.first_operation,
            walk.linear,
            walk.tree,
            walk.cost,
            walk.inner,
            marked,
            MAX_CONE - 1,
            MAX_TARGETS,
            WORTH_SHARING,
            MAX_GROUP,
            units,
            *rest,
        )
    target_root, target_row, target_coef, linear_row, linear_input, linear_coef, constant = rest
    copied, target_root = _copied(units.size, target_root)
    return Split(
        units[copied],
        dissolved[copied] != 0,
        target_root,
        target_row,
        target_coef,
        linear_row,
        linear_input,
        linear_coef,
        constant,
    )


def _copied(num_roots: int, target_root: Array) -> tuple[Array, Array]:
    """Roots, those with more than ``MAX_TARGETS`` targets several times, and the root of each target among them."""
    counts = np.bincount(target_root, minlength=num_roots)
    large = counts[target_root] > MAX_TARGETS
    large &= counts[target_root] <= MAX_COPIES * MAX_TARGETS
    if not large.any():
        return np.arange(num_roots), target_root
    targets = np.flatnonzero(large)
    targets = targets[np.argsort(target_root[targets], kind="stable")]
    roots = target_root[targets]
    starts = np.flatnonzero(np.append(True, roots[1:] != roots[:-1]))
    rank = np.arange(targets.size) - np.repeat(starts, np.diff(np.append(starts, targets.size)))
    # Each run of MAX_TARGETS targets but the first gets a copy of the root.
    begins = (rank % MAX_TARGETS == 0) & (rank > 0)
    copy = num_roots - 1 + np.cumsum(begins)
    changed = target_root.copy()
    changed[targets] = np.where(rank < MAX_TARGETS, roots, copy)
    return np.concatenate([np.arange(num_roots), roots[begins]]), changed
