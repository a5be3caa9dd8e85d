"""What programs do not evaluate: roots as outputs of a tape of their own, in compressed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sct_opt.ops import OPS
from sct_opt.pattern import SparsityPattern
from sct_opt.tape import CallSite, Tape

Array = np.ndarray[Any, Any]


class Compressed(Protocol):
    """Derivatives of a tape in compressed form, by coloring and sweeps."""

    @property
    def parameters(self) -> Array:
        """Values of the parameters, to be changed in place."""

    @property
    def jacobian_pattern(self) -> SparsityPattern:
        """Pattern of the Jacobian."""

    @property
    def hessian_lower_pattern(self) -> SparsityPattern:
        """Lower triangle of the pattern of the Hessian of any weighted sum of the outputs."""

    def values(self, x: Array) -> Array:
        """Outputs."""

    def jacobian_values(self, x: Array) -> Array:
        """Jacobian in CSR order."""

    def hessian_values(self, x: Array, weights: Array) -> Array:
        """Lower triangle of the Hessian in CSR order."""

    def report(self) -> str:
        """Size and colors."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Roots that no program evaluates, as outputs of a tape of their own.

    Attributes:
        derivatives: of that tape.
        inputs: which inputs of the whole tape it has.
        output, row, coef: targets, sorted by output: whole output ``row`` contains ``coef * output``.
    """

    derivatives: Compressed
    inputs: Array
    output: Array
    row: Array
    coef: Array

    def expanded(self, entry_output: Array) -> tuple[Array, Array, Array]:
        """For entries of the leftover's outputs: which entry, whole row and coefficient, once per target."""
        counts = np.bincount(self.output, minlength=int(self.output.max(initial=-1)) + 1)
        first = np.cumsum(counts) - counts
        times = counts[entry_output]
        entry = np.repeat(np.arange(entry_output.size), times)
        within = np.arange(entry.size) - np.repeat(np.cumsum(times) - times, times)
        there = first[entry_output[entry]] + within
        return entry, self.row[there], self.coef[there]


def with_outputs(tape: Tape, nodes: Array) -> Tape:
    """The tape of other outputs, given as node ids, without what they do not need."""
    changed = Tape(
        tape.opcode, tape.arg0, tape.arg1, tape.num_inputs, tape.parameters, tape.constants,
        tape.row_ptr, tape.row_arg, tape.row_coef, tape.row_const, nodes.astype(np.int32), tape.sites,
    )  # fmt: skip
    return changed.restrict(slice(None))


def restricted_inputs(tape: Tape) -> tuple[Tape, Array]:
    """The tape with only those inputs that something uses, and which these are.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(4)
    >>> tape, inputs = restricted_inputs(builder.freeze(builder.unary(OPCODE["sin"], x[2:3])))
    >>> tape.num_inputs, inputs.tolist()
    (1, [2])
    """
    nary = np.array([op.arity < 0 for op in OPS])[tape.opcode]
    plain = ~nary
    plain[: tape.first_operation] = False
    used = np.zeros(tape.size, dtype=bool)
    for ids in (tape.arg0[plain], tape.arg1[plain], tape.row_arg, tape.outputs, *(site.args for site in tape.sites)):
        used[ids] = True
    inputs = np.flatnonzero(used[: tape.num_inputs])
    dropped = tape.num_inputs - inputs.size
    new_id = (np.arange(tape.size) - dropped).astype(np.int32)
    new_id[inputs] = np.arange(inputs.size)
    keep = np.concatenate([inputs, np.arange(tape.num_inputs, tape.size)])
    arg0 = np.where(plain, new_id[np.where(plain, tape.arg0, 0)], tape.arg0)[keep].astype(np.int32)
    arg1 = np.where(plain, new_id[np.where(plain, tape.arg1, 0)], tape.arg1)[keep].astype(np.int32)
    sites = tuple(CallSite(site.function, new_id[site.args], site.first - dropped) for site in tape.sites)
    smaller = Tape(
        tape.opcode[keep], arg0, arg1, inputs.size, tape.parameters, tape.constants,
        tape.row_ptr, new_id[tape.row_arg], tape.row_coef, tape.row_const, new_id[tape.outputs], sites,
    )  # fmt: skip
    return smaller, inputs
