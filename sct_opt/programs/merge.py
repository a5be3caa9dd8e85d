"""Operations that a tape holds several times, made one.

A model written one interval at a time evaluates the dynamics at a point for the interval before and again for the one
behind.  Written with arrays, or after merging, they are there once, and the engine finds the same programs either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.ops import AFFINE, BLACKBOX, SELECT
from sct_opt.programs import merge_kernels as kernels
from sct_opt.programs.split import WORTH_SHARING, operation_weights
from sct_opt.tape import CallSite, Tape

Array = np.ndarray[Any, Any]

WORTH_MERGING = 0.15
"""Share of repeated work from which on it is merged; chance repetitions only tie roots together."""

SMALL_TAPE = 300_000
"""Nodes up to which the share is counted, in a few milliseconds; beyond it is estimated."""

SAMPLES, SAMPLE_OUTPUTS, SAMPLE_NODES = 3, 64, 16_384


def merged(tape: Tape) -> Tape:
    """The tape with equal operations merged, if there are many.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(100)
    >>> left, right = builder.unary(OPCODE["sin"], x[:-1]), builder.unary(OPCODE["sin"], x[1:])
    >>> tape = builder.freeze(builder.binary(OPCODE["add"], left, right))
    >>> tape.size, merged(tape).size
    (397, 299)
    """
    operations = tape.size - tape.first_operation
    if operations == 0 or (operations > SMALL_TAPE and _sampled_share(tape) < WORTH_MERGING):
        return tape
    nodes = np.arange(tape.num_inputs + tape.num_parameters, tape.size, dtype=np.int32)
    share, equal, cost = _numbered(tape, nodes)
    if share < WORTH_MERGING:
        return tape
    # What is cheap stays where it is needed: as a value of its own it would only be a term with many targets.
    own = np.where((equal > 0) & (cost >= WORTH_SHARING), equal - 1, np.arange(tape.size, dtype=np.int32))
    held = np.isin(tape.opcode, (AFFINE, SELECT, BLACKBOX))
    held[: tape.first_operation] = True  # what these hold is not a node
    changed = Tape(
        tape.opcode,
        np.where(held, tape.arg0, own[np.where(held, 0, tape.arg0)]).astype(np.int32),
        np.where(held, tape.arg1, own[np.where(held, 0, tape.arg1)]).astype(np.int32),
        tape.num_inputs,
        tape.parameters,
        tape.constants,
        tape.row_ptr,
        own[tape.row_arg].astype(np.int32),
        tape.row_coef,
        tape.row_const,
        own[tape.outputs].astype(np.int32),
        tuple(CallSite(site.function, own[site.args], site.first) for site in tape.sites),
        tape.sources,
    )
    return changed.restrict(slice(None))


def _sampled_share(tape: Tape) -> float:
    """Share of repeated work below some outputs in a row, at the start, in the middle and at the end."""
    shares = []
    for k in range(SAMPLES):
        first = (tape.num_outputs - SAMPLE_OUTPUTS) * k // (SAMPLES - 1)
        roots = tape.outputs[max(0, first) : max(0, first) + SAMPLE_OUTPUTS]
        nodes = kernels.cones(
            tape.opcode,
            tape.arg0,
            tape.arg1,
            tape.row_ptr,
            tape.row_arg,
            tape.first_operation,
            roots,
            SAMPLE_NODES,
            np.zeros(tape.size, dtype=bool),
        )
        shares.append(_numbered(tape, nodes)[0])
    return max(shares)


def _numbered(tape: Tape, nodes: Array) -> tuple[float, Array, Array]:
    """Share of repeated work, one more than the representative by node, and cost by node."""
    equal, cost = np.zeros(tape.size, dtype=np.int32), np.zeros(tape.size, dtype=np.int32)
    total, repeated = kernels.number_values(
        nodes,
        tape.opcode,
        tape.arg0,
        tape.arg1,
        tape.row_ptr,
        tape.row_arg,
        tape.row_coef.view(np.int64),
        tape.row_const.view(np.int64),
        tape.constants.view(np.int64),
        tape.num_inputs + tape.num_parameters,
        tape.first_operation,
        operation_weights(),
        equal,
        cost,
        np.full(1 << int(2 * nodes.size).bit_length(), -1, dtype=np.int32),
    )
    return repeated / max(1, total), equal, cost
