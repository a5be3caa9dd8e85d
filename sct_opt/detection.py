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
Masking = Literal["sct", "piecewise", "all"]

MAX_ENTRIES = 500_000_000
"""Structural nonzeros beyond which detection gives up: the pattern alone would take two gigabytes."""

_ALL_BITS = FLAG_A | FLAG_B | FLAG_AA | FLAG_AB | FLAG_BB


@dataclass(frozen=True, slots=True)
class TracerSparsityDetector:
    """Detects global patterns: valid for every input.

    Args:
        constants: ``"exact"`` drops entries that a constant makes zero (``0*x``, ``x**0``, zeros of a constant
            matrix); ``"conservative"`` keeps them, as SparseConnectivityTracer.jl does.

    Raises:
        TracingError: unknown policy.

    >>> TracerSparsityDetector()
    TracerSparsityDetector(constants='exact')
    """

    constants: ConstantsPolicy = "exact"

    def __post_init__(self) -> None:
        _check_choice("constants", self.constants, ConstantsPolicy)


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

    >>> from sct_opt.tape import TapeBuilder, OPCODE
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(3)
    >>> y = builder.binary(OPCODE["mul"], x[:2], x[1:])
    >>> jacobian_pattern(builder.freeze(y)).toarray().astype(int)
    array([[1, 1, 0],
           [0, 1, 1]])
    """
    from sct_opt import detection_kernels as kernels  # noqa: PLC0415 - Numba is imported at first use

    graph = _graph(tape, flags)
    flags = graph[-1]
    wanted = np.zeros(tape.size, dtype=np.uint8)
    wanted[tape.outputs] = (flags[tape.outputs] & (FLAG_A | FLAG_B)) != 0
    node_set, set_start, pool, _, failed = kernels.reach(graph, tape.num_inputs, wanted, MAX_ENTRIES + tape.num_inputs)
    if failed >= 0:
        raise _too_many_reached(tape, failed, "Jacobian")
    sets = np.where(wanted[tape.outputs] != 0, node_set[tape.outputs], -1)
    row_ptr = np.zeros(sets.size + 1, dtype=np.int64)
    np.cumsum(sets >= 0, out=row_ptr[1:])
    row_set = sets[sets >= 0].astype(np.int32)
    indptr, indices, entries = kernels.unite(row_ptr, row_set, set_start, pool, tape.num_inputs, MAX_ENTRIES)
    if indptr.size == 0:
        raise _too_many_entries(
            "Jacobian",
            f"its {tape.num_outputs} outputs depend on more than {entries // tape.num_outputs} inputs each on average",
        )
    return SparsityPattern((tape.num_outputs, tape.num_inputs), indptr, indices)


def hessian_pattern(tape: Tape, flags: Array | None = None) -> SparsityPattern:
    """The pattern of the Hessian of any weighted sum of the outputs, such as a Lagrangian.

    Args:
        tape: the frozen tape.
        flags: flags of each node's partials, by default ``tape.edge_flags()``; see `local_flags`.

    Returns:
        The symmetric pattern of shape ``(num_inputs, num_inputs)``, both triangles.

    Raises:
        PatternError: the pattern would not fit into memory; names the operator that couples most inputs.

    >>> from sct_opt.tape import TapeBuilder, OPCODE
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(3)
    >>> y = builder.binary(OPCODE["mul"], x[:2], x[1:])
    >>> hessian_pattern(builder.freeze(y)).toarray().astype(int)
    array([[0, 1, 0],
           [1, 0, 1],
           [0, 1, 0]])
    """
    from sct_opt import detection_kernels as kernels  # noqa: PLC0415 - Numba is imported at first use

    n = tape.num_inputs
    graph = _graph(tape, flags)
    rep = kernels.representatives(graph, n)
    sites = _sites(tape)
    nothing = np.zeros(0, dtype=np.int32)
    no_sets = np.zeros(0, dtype=np.int64)
    first, second = kernels.couplings(graph, n, tape.outputs, rep, *sites, nothing, no_sets, nothing)
    wanted = np.zeros(tape.size, dtype=np.uint8)
    wanted[first] = 1
    wanted[second] = 1
    node_set, set_start, pool, _, failed = kernels.reach(graph, n, wanted, MAX_ENTRIES + n)
    if failed >= 0:
        raise _too_many_reached(tape, failed, "Hessian")
    first, second = kernels.couplings(graph, n, tape.outputs, rep, *sites, node_set, set_start, pool)
    first_set, second_set = node_set[first], node_set[second]
    lengths = np.diff(set_start)
    sums = lengths[first_set] + np.where(first_set == second_set, 0, lengths[second_set])
    if sums.sum() > 8 * (first.size + n):  # large sets: the same pair of them must not be worked through twice
        keys = (np.maximum(first_set, second_set).astype(np.int64) << 32) | np.minimum(first_set, second_set)
        _, keep = np.unique(keys, return_index=True)
        first, second, first_set, second_set = first[keep], second[keep], first_set[keep], second_set[keep]
    entries = lengths[first_set] * lengths[second_set]
    if entries.max(initial=0) > MAX_ENTRIES:
        raise _too_many_entries(
            "Hessian", _cause(tape, graph, rep, first, second, lengths[node_set[first]], lengths[node_set[second]])
        )
    row_ptr, row_set = kernels.incidence(first_set, second_set, set_start, pool, n)
    indptr, indices, _ = kernels.unite(row_ptr, row_set, set_start, pool, n, MAX_ENTRIES)
    if indptr.size == 0:
        raise _too_many_entries(
            "Hessian", _cause(tape, graph, rep, first, second, lengths[node_set[first]], lengths[node_set[second]])
        )
    return SparsityPattern((n, n), indptr, indices)


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

    >>> from sct_opt.tape import TapeBuilder, OPCODE
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(2)
    >>> tape = builder.freeze(builder.binary(OPCODE["max"], x[:1], x[1:]))
    >>> jacobian_pattern(tape, local_flags(tape, np.array([1.0, 2.0, 2.0]))).toarray().astype(int)
    array([[0, 1]])
    """
    from sct_opt import detection_kernels as kernels  # noqa: PLC0415 - Numba is imported at first use

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
    kernels.repropagate(_graph(tape, flags), tape.num_inputs)
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


def _graph(tape: Tape, flags: Array | None) -> tuple[Array, Array, Array, Array, Array, Array]:
    """What the kernels take; see there."""
    if flags is None:
        flags = tape.edge_flags()
    elif flags.shape != (tape.size,) or flags.dtype != np.uint8:
        raise ShapeError(
            f"flags must be uint8 of shape ({tape.size},), not {flags.dtype} of shape {flags.shape}; use local_flags of this tape"
        )
    return tape.opcode, tape.arg0, tape.arg1, tape.row_ptr, tape.row_arg, flags


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


def _too_many_entries(what: str, why: str) -> PatternError:
    return PatternError(
        f"the {what} has more than {MAX_ENTRIES} structural nonzeros, too many to hold: {why}. "
        "Introduce variables for intermediate results, with one equality constraint each, so that the coupling becomes sparse"
    )


def _too_many_reached(tape: Tape, node: int, what: str) -> PatternError:
    return _too_many_entries(
        what,
        f"the dependence on {tape.num_inputs} inputs of the results up to operation {node - tape.first_operation} "
        f"({OPS[tape.opcode[node]].name!r}) takes as many entries alone",
    )


def _cause(
    tape: Tape, graph: tuple[Array, ...], rep: Array, first: Array, second: Array, size_a: Array, size_b: Array
) -> str:
    """Name the operator that couples most inputs."""
    worst = int(np.argmax(size_a * size_b))
    pair = {int(first[worst]), int(second[worst])}
    flags = graph[-1]
    nonlinear = np.flatnonzero(flags & (FLAG_AA | FLAG_AB | FLAG_BB))
    arguments = zip(rep[tape.arg0[nonlinear]].tolist(), rep[tape.arg1[nonlinear]].tolist(), strict=True)
    name = next(
        (OPS[tape.opcode[i]].name for i, ab in zip(nonlinear.tolist(), arguments, strict=True) if pair <= set(ab)),
        OPS[BLACKBOX].name,
    )
    return f"operator {name!r} couples {size_a[worst]} variables with {size_b[worst]}"
