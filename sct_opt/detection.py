"""Detection: Jacobian and Hessian patterns of a tape, for all inputs or at a point.

Patterns are read off the frozen tape.  The Jacobian's rows are what each output reaches through partials that may be
nonzero.  The Hessian, of any weighted sum of the outputs and so of every Lagrangian, is the union over the live
nonlinear nodes of products of their arguments' index sets; only those arguments get a set, and equal sets are stored
once.  Cost is that of reading the tape and writing the pattern wherever sets are shared or small.

A local pattern is the global one with partials masked that the values at a point show to be zero.  `local_flags` gives
the masked flags; both pattern functions take them.

References:
    Griewank, Walther, *Evaluating Derivatives*, 2nd ed. 2008, section 7.1 (index domains and nonlinear interaction
    domains); Gower, Mello, *A new framework for the computation of Hessians*, 2012 (adjoints of live nonlinear nodes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from sct_opt import coupling_kernels, detection_kernels
from sct_opt.errors import PatternError, ShapeError, TracingError
from sct_opt.ops import (
    BLACKBOX,
    FLAG_A,
    FLAG_AA,
    FLAG_AB,
    FLAG_B,
    FLAG_BB,
    OPS,
    SELECT,
    Expression,
    array_function,
)
from sct_opt.pattern import SparsityPattern
from sct_opt.tape import ConstantsPolicy, Tape

Array = np.ndarray[Any, Any]
Branches = Literal["raise", "explore"]
Masking = Literal["sct", "piecewise", "all"]
Nodes = tuple[Array, Array, Array, Array, Array, Array, int]

MAX_ENTRIES = 500_000_000
"""Structural nonzeros beyond which detection gives up: the pattern alone would take two gigabytes."""

_OPTIONAL_ENTRIES = 1 << 25  # set entries that nodes shared between roots may take
_UNLIMITED = 1 << 62
_ALL_BITS = FLAG_A | FLAG_B | FLAG_AA | FLAG_AB | FLAG_BB


@dataclass(frozen=True, slots=True)
class TracerSparsityDetector:
    """Detects global patterns: valid for every input.

    Args:
        constants: ``"exact"`` drops entries that a constant makes zero (``0*x``, ``x**0``, zeros of a constant
            matrix); ``"conservative"`` keeps them, as SparseConnectivityTracer.jl does.
        branches: what becomes of ``if`` and ``while`` on values that depend on x.  ``"raise"``: an error that names the
            line.  ``"explore"``: the function runs once for every path through its branches, and the patterns are united.
        max_paths: with ``branches="explore"``, more paths than that are refused.

    Raises:
        TracingError: unknown policy.

    >>> TracerSparsityDetector()
    TracerSparsityDetector(constants='exact', branches='raise', max_paths=256)
    """

    constants: ConstantsPolicy = "exact"
    branches: Branches = "raise"
    max_paths: int = 256

    def __post_init__(self) -> None:
        _check_choice("constants", self.constants, ConstantsPolicy)
        _check_choice("branches", self.branches, Branches)
        if self.max_paths < 1:
            raise TracingError(f"max_paths={self.max_paths} allows no path; give at least 1")


@dataclass(frozen=True, slots=True)
class TracerLocalSparsityDetector:
    """Detects local patterns: valid at the given input, where comparisons have an answer and branches are taken.

    Args:
        masking: which partials that are zero at the input are left out.  ``"sct"``: those of piecewise operators
            (``max``, ``mod``, a branch not taken) and of products and quotients with an exactly zero factor, the rules
            of SparseConnectivityTracer.jl.  ``"piecewise"``: piecewise operators only, which is robust at inputs that
            happen to hold zeros.  ``"all"``: every partial that is zero there.
        constants: as for `TracerSparsityDetector`.

    Raises:
        TracingError: unknown masking or policy.

    >>> TracerLocalSparsityDetector(masking="piecewise")
    TracerLocalSparsityDetector(masking='piecewise', constants='exact')
    """

    masking: Masking = "sct"
    constants: ConstantsPolicy = "exact"

    def __post_init__(self) -> None:
        _check_choice("masking", self.masking, Masking)
        _check_choice("constants", self.constants, ConstantsPolicy)


def _check_choice(name: str, value: object, choices: Any) -> None:
    if value not in get_args(choices):
        allowed = ", ".join(map(repr, get_args(choices)))
        raise TracingError(f"{name}={value!r} is not known; use one of {allowed}")


def jacobian_pattern(tape: Tape, flags: Array | None = None) -> SparsityPattern:
    """The pattern of the Jacobian of the outputs.

    Args:
        tape: the frozen tape.
        flags: flags of each node's partials, by default ``tape.edge_flags()``; see `local_flags`.

    Returns:
        A pattern of shape ``(num_outputs, num_inputs)``.

    Raises:
        PatternError: the pattern would not fit into memory.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(3)
    >>> y = builder.binary(OPCODE["mul"], x[:2], x[1:])
    >>> jacobian_pattern(builder.freeze(y)).toarray().astype(int)
    array([[1, 1, 0],
           [0, 1, 1]])
    """
    nodes = _nodes(tape, flags)
    place, indptr, indices = _reach(tape, nodes, tape.outputs, as_rows=True)
    if indptr.size <= tape.num_outputs:  # too much is shared between outputs to visit it again for each
        depends = (nodes[5][tape.outputs] & (FLAG_A | FLAG_B)) != 0
        ids = tape.outputs[depends]
        place, set_start, pool = _reach(tape, nodes, np.unique(ids[ids >= tape.num_inputs]), as_rows=False)
        row_ptr = np.zeros(tape.num_outputs + 1, dtype=np.int64)
        np.cumsum(depends, out=row_ptr[1:])
        row_set = np.where(ids < tape.num_inputs, ids, -place[ids] - 1).astype(np.int32)
        indptr, indices, _ = detection_kernels.unite(row_ptr, row_set, tape.num_inputs, set_start, pool, MAX_ENTRIES)
        if indptr.size == 0:
            raise _too_many_entries(f"the {tape.num_outputs} outputs depend on most of the {tape.num_inputs} inputs")
    return SparsityPattern((tape.num_outputs, tape.num_inputs), indptr, indices)


def _reach(tape: Tape, nodes: Nodes, roots: Array, as_rows: bool) -> tuple[Array, Array, Array]:
    """Sets of the roots: place of each node, start of each set, pool.

    First each root is traversed for itself, stopping at sets already known.  That is all when subexpressions are small
    or rarely shared.  Where it costs more than a few visits per node of the tape, nodes that are shared between roots
    and have much below them are given sets too, so that what lies below is visited once.  Rows are given up there.
    """
    optional = np.zeros(0, dtype=bool)
    place = np.zeros(tape.size, dtype=np.int32)
    set_start = np.zeros(roots.size + 1, dtype=np.int32)
    set_mark = np.zeros(roots.size, dtype=np.int32)
    pool = np.empty((8 if as_rows else 4) * roots.size + 1024, dtype=np.int32)
    table = np.zeros(1 << (2 * roots.size).bit_length(), dtype=np.int32)
    stack = np.empty(tape.size + 1, dtype=np.int32)
    budget, optional_entries = 4 * (tape.size + tape.row_arg.size) + 1024, 0
    done, stamp = 0, 0
    while True:
        done, stamp, visits, _ = detection_kernels.reach(
            done,
            stamp,
            *nodes,
            roots,
            optional,
            as_rows,
            place,
            set_start,
            set_mark,
            pool,
            table,
            stack,
            budget,
            optional_entries,
        )
        budget -= visits
        filled = int(set_start[done])
        if done == roots.size:
            return place, set_start, pool[:filled] if 2 * filled > pool.size else pool[:filled].copy()
        if budget < 0:
            if as_rows:
                return place, set_start[:0], pool[:0]
            roots, optional = detection_kernels.with_joins(*nodes, roots)
            place[:] = 0
            set_start, set_mark = np.zeros(roots.size + 1, dtype=np.int32), np.zeros(roots.size, dtype=np.int32)
            table = np.zeros(1 << (2 * roots.size).bit_length(), dtype=np.int32)
            budget, optional_entries = _UNLIMITED, _OPTIONAL_ENTRIES
            done, stamp = 0, 0
        elif filled + tape.num_inputs > MAX_ENTRIES:
            node = int(roots[done])
            raise _too_many_entries(
                f"the {tape.num_inputs} inputs that the results up to operation {node - tape.first_operation} "
                f"({OPS[tape.opcode[node]].name!r}) depend on take {filled} entries alone"
            )
        else:
            larger = np.empty(2 * pool.size, dtype=np.int32)
            larger[:filled] = pool[:filled]
            pool = larger


def hessian_pattern(tape: Tape, flags: Array | None = None) -> SparsityPattern:
    """The pattern of the Hessian of any weighted sum of the outputs, such as a Lagrangian.

    Args:
        tape: the frozen tape.
        flags: flags of each node's partials, by default ``tape.edge_flags()``; see `local_flags`.

    Returns:
        The symmetric pattern of shape ``(num_inputs, num_inputs)``, both triangles.

    Raises:
        PatternError: the pattern would not fit into memory; names the operator that couples most inputs.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(3)
    >>> y = builder.binary(OPCODE["mul"], x[:2], x[1:])
    >>> hessian_pattern(builder.freeze(y)).toarray().astype(int)
    array([[0, 1, 0],
           [1, 0, 1],
           [0, 1, 0]])
    """
    n = tape.num_inputs
    nodes = _nodes(tape, flags)
    sites = _sites(tape)
    nothing = np.zeros(0, dtype=np.int32)
    pairs, state = coupling_kernels.couplings(*nodes, tape.outputs, *sites, nothing, nothing, nothing)
    roots = np.flatnonzero(state[n:] & coupling_kernels.WANTED).astype(np.int32) + np.int32(n)
    place, set_start, pool = _reach(tape, nodes, roots, as_rows=False)
    sets, elements, most, *largest = coupling_kernels.set_pairs(pairs, n, place, set_start)
    if most > 16 * (tape.size + n):
        # Large sets: leave out what others contain, and do not work through the same pair twice.
        pairs, _ = coupling_kernels.couplings(*nodes, tape.outputs, *sites, place, set_start, pool)
        pairs = _distinct_pairs(pairs, coupling_kernels.set_pairs(pairs, n, place, set_start)[0])
        sets, elements, most, *largest = coupling_kernels.set_pairs(pairs, n, place, set_start)
    indptr = nothing
    if largest[1] * largest[2] <= MAX_ENTRIES and elements <= 4 * MAX_ENTRIES:
        row_ptr, row_set = coupling_kernels.incidence(sets, n, set_start, pool, elements)
        indptr, indices, _ = detection_kernels.unite(row_ptr, row_set, n, set_start, pool, MAX_ENTRIES)
    if indptr.size == 0:
        raise _too_many_entries(_cause(tape, nodes[5], pairs, *largest))
    return SparsityPattern((n, n), indptr, indices)


def _distinct_pairs(pairs: Array, sets: Array) -> Array:
    """One pair of nodes for each pair of sets."""
    ordered = np.sort(sets.reshape(-1, 2), axis=1).astype(np.int64)
    _, keep = np.unique((ordered[:, 1] << 32) | ordered[:, 0], return_index=True)
    return np.ascontiguousarray(pairs.reshape(-1, 2)[keep]).ravel()


def local_flags(tape: Tape, values: Array, masking: Masking = "sct") -> Array:
    """Flags of each node's partials, without those that the values at a point show to be zero.

    Args:
        tape: the frozen tape.
        values: values of all nodes at the point, shape ``(tape.size,)``.
        masking: see `TracerLocalSparsityDetector`.  Selects keep the branch that their condition takes under any of
            the three.

    Returns:
        Flags like ``tape.edge_flags()``, for `jacobian_pattern` and `hessian_pattern`.

    Raises:
        ShapeError: not one value per node.
        TracingError: unknown masking.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(2)
    >>> tape = builder.freeze(builder.binary(OPCODE["max"], x[:1], x[1:]))
    >>> jacobian_pattern(tape, local_flags(tape, np.array([1.0, 2.0, 2.0]))).toarray().astype(int)
    array([[0, 1]])
    """
    _check_choice("masking", masking, Masking)
    values = np.asarray(values, dtype=float)
    if values.shape != (tape.size,):
        raise ShapeError(
            f"local detection needs one value per node, shape ({tape.size},), not {values.shape}; evaluate all nodes of this tape"
        )
    flags = tape.edge_flags()
    for code in np.unique(tape.opcode[tape.first_operation :]).tolist():
        if code == SELECT:
            nodes = np.flatnonzero(tape.opcode == code)
            condition = values[tape.row_arg[tape.row_ptr[tape.arg0[nodes]]]]
            flags[nodes] &= np.where(condition != 0.0, FLAG_A, FLAG_B).astype(np.uint8)
            continue
        rules = list(_zero_rules(code, masking))
        if not rules:
            continue
        nodes = np.flatnonzero(tape.opcode == code)
        arity = OPS[code].arity
        args = [values[tape.arg0[nodes]], values[tape.arg1[nodes]]][:arity]
        for bit, expression, keeps_if_true in rules:
            number = np.broadcast_to(array_function(expression, arity)(*args, values[nodes]), nodes.shape)
            keep = number.astype(bool) if keeps_if_true else number != 0.0
            flags[nodes] &= np.where(keep, _ALL_BITS, _ALL_BITS & ~bit).astype(np.uint8)
    detection_kernels.repropagate(*_nodes(tape, flags))
    return flags


def _zero_rules(code: int, masking: Masking) -> Iterator[tuple[int, str, bool]]:
    """Flag bit, expression and whether the expression is a condition (else: a partial) of what masking looks at."""
    op = OPS[code]

    def rules(
        expressions: tuple[Expression, ...], bits: tuple[int, ...], condition: bool
    ) -> Iterator[tuple[int, str, bool]]:
        for expression, bit in zip(expressions, bits, strict=False):
            if expression is not None:
                yield bit, expression, condition

    yield from rules(op.piecewise, (FLAG_A, FLAG_B), True)
    if masking == "sct":
        yield from rules(op.factor, (FLAG_A, FLAG_B), True)
    elif masking == "all":
        yield from rules(op.d, (FLAG_A, FLAG_B), False)
        yield from rules(op.dd, (FLAG_AA,) if op.arity == 1 else (FLAG_AA, FLAG_AB, FLAG_BB), False)


def _nodes(tape: Tape, flags: Array | None) -> Nodes:
    """What most kernels take: the tape's nodes, their flags and the number of inputs."""
    if flags is None:
        flags = tape.edge_flags()
    elif flags.shape != (tape.size,) or flags.dtype != np.uint8:
        raise ShapeError(
            f"flags must be uint8 of shape ({tape.size},), not {flags.dtype} of shape {flags.shape}; "
            "use local_flags of this tape"
        )
    return tape.opcode, tape.arg0, tape.arg1, tape.row_ptr, tape.row_arg, flags, tape.num_inputs


def _sites(tape: Tape) -> tuple[Array, Array, Array, Array, Array]:
    """Black-box calls as arrays: first output, number of outputs, and argument nodes of each entry of their Hessians."""
    sites = tape.sites
    empty = np.zeros(0, dtype=np.int32)
    ptr = np.zeros(len(sites) + 1, dtype=np.int64)
    np.cumsum([site.function.hessian_rows.size for site in sites], out=ptr[1:])
    return (
        np.array([site.first for site in sites], dtype=np.int32),
        np.array([site.function.num_outputs for site in sites], dtype=np.int32),
        ptr,
        np.concatenate([empty, *(site.args[site.function.hessian_rows] for site in sites)]),
        np.concatenate([empty, *(site.args[site.function.hessian_cols] for site in sites)]),
    )


def _too_many_entries(why: str) -> PatternError:
    return PatternError(
        f"the pattern would have more than {MAX_ENTRIES} structural nonzeros, too many to hold: {why}. "
        "Introduce variables for intermediate results, with one equality constraint each, so that the coupling becomes sparse"
    )


def _cause(tape: Tape, flags: Array, pairs: Array, position: int, size_a: int, size_b: int) -> str:
    """Name the operator that couples the sets of two nodes."""
    a, b = pairs[position : position + 2].tolist()
    nonlinear = np.flatnonzero(flags & (FLAG_AA | FLAG_AB | FLAG_BB))
    arg0, arg1 = tape.arg0[nonlinear], tape.arg1[nonlinear]
    either = ((arg0 == a) | (arg1 == a)) if a == b else ((arg0 == a) & (arg1 == b)) | ((arg0 == b) & (arg1 == a))
    name = OPS[tape.opcode[nonlinear[either][0]] if either.any() else BLACKBOX].name
    return f"operator {name!r} couples {size_a} variables with {size_b}"
