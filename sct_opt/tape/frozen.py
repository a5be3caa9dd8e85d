"""The frozen tape: every model's functions as one list of scalar nodes in topological order.

Layout: inputs, then parameters, then constants, then operations.  Operations with one or two arguments hold the
arguments' node ids in ``arg0`` and ``arg1``.  n-ary nodes hold in ``arg0`` the index of a row of the CSR side arrays
``row_ptr``, ``row_arg``, ``row_coef``, ``row_const``: an affine node is ``row_const + sum(row_coef * row_arg)``, a
select node has the three arguments condition, then, else; a black-box node is one output of a call site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from sct_opt.ops import (
    BLACKBOX,
    CONSTANT,
    INPUT,
    PARAMETER,
    structural_flags,
)
from sct_opt.tape import kernels

Array = np.ndarray[Any, Any]
ConstantsPolicy = Literal["exact", "conservative"]


class BlackBox(Protocol):
    """A function of several numbers that is evaluated in Python and brings its own derivatives.

    Attributes:
        name: shown in messages.
        num_outputs: number of outputs.
        jacobian_rows: output index of each structural nonzero of the Jacobian, sorted by row, then column.
        jacobian_cols: argument index of each.
        hessian_rows: argument index of each structural nonzero of the lower triangle of the Hessian of any weighted sum of outputs.
        hessian_cols: the other argument's index, ``hessian_rows >= hessian_cols``.
    """

    name: str
    num_outputs: int
    jacobian_rows: Array
    jacobian_cols: Array
    hessian_rows: Array
    hessian_cols: Array

    def value(self, args: Array) -> Array:
        """Outputs at ``args``, shape ``(num_outputs,)``."""

    def jacobian(self, args: Array) -> Array:
        """Jacobian values aligned to ``jacobian_rows``, ``jacobian_cols``."""

    def hessian(self, args: Array, weights: Array) -> Array:
        """Lower-triangle values of the Hessian of ``weights @ outputs``, aligned to ``hessian_rows``."""


@dataclass(frozen=True, slots=True)
class CallSite:
    """One call of a `BlackBox`: its arguments' node ids and the id of its first output node."""

    function: BlackBox
    args: Array
    first: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the nodes of a tape come from in the user's code; only tapes that were asked to remember it have this.

    Attributes:
        index: for each node its place, an index into ``places``, or -1; int32.
        places: ``file:line in function: code``.
    """

    index: Array
    places: tuple[str, ...]

    def of(self, node: int) -> str:
        """The place of a node, empty if unknown."""
        return self.places[self.index[node]] if self.index[node] >= 0 else ""


@dataclass(frozen=True, slots=True)
class Tape:
    """A frozen tape.

    Attributes:
        opcode: operator of each node, uint8 of shape ``(size,)``.
        arg0: first argument's node id, or the row of an n-ary node; int32.
        arg1: second argument's node id; equal to ``arg0`` for one-argument nodes; for black-box nodes the call site.
        num_inputs: inputs are nodes ``0 … num_inputs-1``.
        parameters: default values of the parameters, the nodes that follow the inputs.
        constants: values of the constant nodes, which follow the parameters.
        row_ptr, row_arg, row_coef, row_const: side arrays of n-ary nodes.
        outputs: node ids of the outputs, int32.
        sites: calls of black-box functions in the order of their nodes.
        sources: where nodes come from, if that was recorded.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(2)
    >>> y = builder.binary(OPCODE["mul"], x[:1], x[1:])
    >>> tape = builder.freeze(y)
    >>> tape.size, tape.num_inputs, tape.outputs.tolist()
    (3, 2, [2])
    """

    opcode: Array
    arg0: Array
    arg1: Array
    num_inputs: int
    parameters: Array
    constants: Array
    row_ptr: Array
    row_arg: Array
    row_coef: Array
    row_const: Array
    outputs: Array
    sites: tuple[CallSite, ...] = ()
    sources: Sources | None = None

    @property
    def size(self) -> int:
        """Number of nodes."""
        return int(self.opcode.size)

    @property
    def num_parameters(self) -> int:
        """Number of parameters."""
        return int(self.parameters.size)

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return int(self.outputs.size)

    @property
    def first_operation(self) -> int:
        """Id of the first node that is not a leaf."""
        return self.num_inputs + int(self.parameters.size) + int(self.constants.size)

    def edge_flags(self) -> Array:
        """Per node, which partials may be nonzero: bits ``FLAG_A`` and ``FLAG_B`` (first), ``FLAG_AA`` … (second).

        A bit is set only if the argument depends on an input through nonzero partials, so a node that depends on no
        input has neither bit A nor B.  Inputs have bit A.  Affine and black-box nodes have bit A if any argument depends on
        an input; a select node has bit A for its first branch and B for its second.
        """
        flags: Array = kernels.edge_flags(
            self.opcode, self.arg0, self.arg1, self.row_ptr, self.row_arg, structural_flags(), self.num_inputs
        )
        return flags

    def restrict(self, outputs: Sequence[int] | Array | slice) -> Tape:
        """The tape of some of the outputs: same inputs and parameters, only the nodes that these outputs need.

        Args:
            outputs: indices into ``outputs``, or a slice.
        """
        first_constant, first_operation = self.num_inputs + self.num_parameters, self.first_operation
        shift = first_operation - first_constant

        def moved(ids: Array) -> Array:
            out = np.empty(ids.size, dtype=np.int32)
            kernels.thawed_ids(ids, first_constant, first_operation, out)
            return out

        def kept(array: Array) -> Array:
            return np.concatenate([array[:first_constant], array[first_operation:]])

        arg0, arg1 = np.empty(self.size - shift, dtype=np.int32), np.empty(self.size - shift, dtype=np.int32)
        arg0[:first_constant] = arg1[:first_constant] = np.r_[0 : self.num_inputs, 0 : self.num_parameters]
        kernels.thawed_arguments(
            self.opcode, self.arg0, self.arg1, kernels.KIND, first_constant, first_operation, arg0, arg1
        )
        sites = [CallSite(s.function, moved(s.args), s.first - shift) for s in self.sites]
        sources = None if self.sources is None else Sources(kept(self.sources.index), self.sources.places)
        return compacted(
            [(kept(self.opcode), arg0, arg1)],
            self.row_ptr,
            moved(self.row_arg),
            self.row_coef,
            self.row_const,
            self.constants,
            self.num_inputs,
            self.parameters,
            sites,
            moved(self.outputs[outputs]),
            sources,
        )


def compacted(
    pieces: Sequence[tuple[Array, Array, Array]],
    row_ptr: Array,
    row_arg: Array,
    row_coef: Array,
    row_const: Array,
    constants: Array,
    num_inputs: int,
    parameters: Array,
    sites: Sequence[CallSite],
    outputs: Array,
    sources: Sources | None = None,
) -> Tape:
    """Drop dead nodes and put leaves first; constants come as negative ids, and nodes in pieces (opcode, arg0, arg1)."""
    site_ptr = np.zeros(len(sites) + 1, dtype=np.int64)
    np.cumsum([s.args.size for s in sites], out=site_ptr[1:])
    site_arg = np.concatenate([s.args for s in sites]).astype(np.int32) if sites else np.zeros(0, dtype=np.int32)
    blocks = np.array([[s.first, s.first + s.function.num_outputs] for s in sites], dtype=np.int64).reshape(-1, 2)
    starts = np.concatenate([[0], np.cumsum([piece[0].size for piece in pieces], dtype=np.int64)])
    count = int(starts[-1])
    live = np.zeros(count, dtype=bool)
    constant_live = np.zeros(constants.size, dtype=bool)
    kernels.mark_outputs(outputs, live, constant_live)
    operations = rows = terms = 0
    for piece, first in zip(reversed(pieces), reversed(starts[:-1]), strict=True):
        found = kernels.mark_live(
            *piece, first, row_ptr, row_arg, site_ptr, site_arg, blocks, kernels.KIND, live, constant_live
        )
        operations, rows, terms = operations + found[0], rows + found[1], terms + found[2]
    used = constants[constant_live]
    first_constant = num_inputs + parameters.size
    first_operation = first_constant + used.size
    size = first_operation + operations
    new_constant = np.where(constant_live, first_constant - 1 + np.cumsum(constant_live), -1).astype(np.int32)
    new_id = np.empty(count, dtype=np.int32)
    code = np.empty(size, dtype=np.uint8)
    out0, out1 = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.int32)
    out0[:first_operation] = 0
    out1[:first_operation] = 0
    ptr, args = np.empty(rows + 1, dtype=np.int64), np.empty(terms, dtype=np.int32)
    coefs, consts = np.empty(terms), np.empty(rows)
    ptr[0] = 0
    place = first_operation, 0, 0
    for piece, first in zip(pieces, starts, strict=False):
        place = kernels.compact(
            *piece,
            first,
            row_ptr,
            row_arg,
            row_coef,
            row_const,
            live,
            kernels.KIND,
            new_constant,
            num_inputs,
            *place,
            new_id,
            code,
            out0,
            out1,
            ptr,
            args,
            coefs,
            consts,
        )
    code[:num_inputs] = INPUT
    code[num_inputs : num_inputs + parameters.size] = PARAMETER
    code[num_inputs + parameters.size : first_operation] = CONSTANT
    live_sites: list[CallSite] = []
    site_index = np.full(len(sites), -1, dtype=np.int32)
    for k, site in enumerate(sites):
        if live[site.first]:
            site_index[k] = len(live_sites)
            live_sites.append(
                CallSite(site.function, kernels.translate(site.args, new_id, new_constant), int(new_id[site.first]))
            )
    if sites:
        is_blackbox = code == BLACKBOX
        out1[is_blackbox] = site_index[out1[is_blackbox]]
    if sources is not None:
        moved = new_id >= first_operation
        index = np.full(size, -1, dtype=np.int32)
        index[new_id[moved]] = sources.index[moved]
        sources = Sources(index, sources.places)
    new_outputs = kernels.translate(outputs, new_id, new_constant)
    return Tape(
        code,
        out0,
        out1,
        num_inputs,
        parameters,
        used,
        ptr,
        args,
        coefs,
        consts,
        new_outputs,
        tuple(live_sites),
        sources,
    )
