"""Products with a large sum, written as sums of products.

The cost of a control problem with free final time is a step length times a sum over all points.  As it stands this is
one huge nonlinear term; multiplied out it is separable.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.ops import AFFINE, OPCODE
from sct_opt.programs import split_kernels as kernels
from sct_opt.programs.split import Walkable, walkable
from sct_opt.tape import CallSite, Tape

Array = np.ndarray[Any, Any]

MAX_FACTOR = 40
"""Operations of a factor that may be repeated in each product."""

MANY_ADDENDS = 24
MAX_PRODUCTS = 64
"""Products that are multiplied out; a tape with more of them is left as it is."""

_MUL, _DIV, _RECIPROCAL = OPCODE["mul"], OPCODE["div"], OPCODE["reciprocal"]


def distributed(tape: Tape) -> Walkable:
    """The tape, walkable, with products of small factors and large sums multiplied out.

    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(1000)
    >>> total = builder.affine([999], builder.unary(OPCODE["sin"], x[1:]), np.ones(999), [0.0])
    >>> tape = builder.freeze(builder.binary(OPCODE["mul"], x[:1], total))
    >>> walk = distributed(tape)
    >>> int((tape.opcode == OPCODE["mul"]).sum()), int((walk.tape.opcode == OPCODE["mul"]).sum())
    (1, 999)
    """
    walk = walkable(tape)
    linear, addends, tree = walk.linear, walk.addends, walk.tree
    large = np.flatnonzero((tree > 2 * MANY_ADDENDS) & (linear == 0))
    products = large[(tape.opcode[large] == _MUL) | (tape.opcode[large] == _DIV)]
    chosen = []
    for i in products.tolist():
        left, right = int(tape.arg0[i]), int(tape.arg1[i])
        for total, factor in ((left, right), (right, left)):
            if linear[total] and addends[total] > MANY_ADDENDS and tree[factor] <= MAX_FACTOR:
                if tape.opcode[i] == _MUL or total == left:
                    chosen.append((i, total, factor))
                break
    if not chosen or len(chosen) > MAX_PRODUCTS:
        return walk
    return walkable(_multiplied_out(walk, chosen))


def _multiplied_out(walk: Walkable, chosen: list[tuple[int, int, int]]) -> Tape:
    tape = walk.tape
    seen, coef = np.zeros(tape.size, dtype=np.int32), np.zeros(tape.size)
    expanded, terms = np.empty(tape.size, dtype=np.int32), np.empty(tape.size, dtype=np.int32)
    sums = []
    inserted = np.zeros(tape.size, dtype=np.int64)
    for stamp, (i, total, _) in enumerate(chosen):
        count, _, constant = kernels.linear_form(
            *walk.structure,
            *walk.rows,
            tape.constants,
            tape.num_inputs + tape.num_parameters,
            tape.first_operation,
            walk.linear,
            walk.tree,
            total,
            kernels.MAX_ADDEND_SIZE,
            stamp + 1,
            seen,
            coef,
            expanded,
            terms,
        )
        sums.append((terms[:count].copy(), coef[terms[:count]].copy(), float(constant)))
        # one node more for a constant addend of a quotient
        inserted[i] = count + (constant != 0.0 and tape.opcode[i] == _DIV)
    new_id = (np.arange(tape.size) + np.cumsum(inserted)).astype(np.int32)
    size = tape.size + int(inserted.sum())
    opcode = np.empty(size, dtype=np.uint8)
    arg0, arg1 = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.int32)
    nary = np.isin(tape.opcode, kernels.NARY)
    nary[: tape.first_operation] = True
    opcode[new_id] = tape.opcode
    arg0[new_id] = np.where(nary, tape.arg0, new_id[np.where(nary, 0, tape.arg0)])
    arg1[new_id] = np.where(nary, tape.arg1, new_id[np.where(nary, 0, tape.arg1)])
    lengths, row_arg, row_coef, row_const = [], [new_id[tape.row_arg]], [tape.row_coef], [tape.row_const]
    for k, ((i, _, factor), (addends, coefs, constant)) in enumerate(zip(chosen, sums, strict=True)):
        first = int(new_id[i] - inserted[i])
        new = np.arange(first, first + addends.size)
        opcode[new] = tape.opcode[i]
        swap = tape.opcode[i] == _MUL
        arg0[new], arg1[new] = (new_id[factor], new_id[addends]) if swap else (new_id[addends], new_id[factor])
        if constant != 0.0:
            extra = new_id[factor]
            if not swap:
                extra = first + addends.size
                opcode[extra], arg0[extra], arg1[extra] = _RECIPROCAL, new_id[factor], new_id[factor]
            new, coefs = np.append(new, extra), np.append(coefs, constant)
        opcode[new_id[i]], arg0[new_id[i]], arg1[new_id[i]] = AFFINE, tape.row_const.size + k, 0
        lengths.append(new.size)
        row_arg.append(new.astype(np.int32))
        row_coef.append(coefs)
        row_const.append(np.zeros(1))
    row_ptr = np.concatenate([tape.row_ptr, tape.row_ptr[-1] + np.cumsum(lengths)])
    sites = tuple(CallSite(site.function, new_id[site.args], int(new_id[site.first])) for site in tape.sites)
    changed = Tape(
        opcode,
        arg0,
        arg1,
        tape.num_inputs,
        tape.parameters,
        tape.constants,
        row_ptr,
        np.concatenate(row_arg),
        np.concatenate(row_coef),
        np.concatenate(row_const),
        new_id[tape.outputs],
        sites,
    )
    return changed.restrict(slice(None))
