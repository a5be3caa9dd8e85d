"""What front ends emit into: nodes as they come, folded and simplified, until the tape is frozen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sct_opt.errors import ShapeError, TracingError
from sct_opt.ops import (
    AFFINE,
    BLACKBOX,
    INPUT,
    OPCODE,
    OPS,
    PARAMETER,
    SELECT,
    array_function,
    scalar_function,
)
from sct_opt.tape.frozen import Array, BlackBox, CallSite, ConstantsPolicy, Sources, Tape, compacted

MAX_NODES = np.iinfo(np.int32).max
PIECE = 1 << 16
"""Nodes from which on a block is compacted by itself; smaller ones are joined first."""

# What a binary operation with a constant operand really is: value of the constant -> the other operand ("same"), a
# constant, or a one-argument operator on the other operand.
_SIMPLER_LEFT: dict[int, dict[float, str | float]] = {
    OPCODE["add"]: {0.0: "same"},
    OPCODE["sub"]: {0.0: "neg"},
    OPCODE["mul"]: {0.0: 0.0, 1.0: "same", -1.0: "neg"},
    OPCODE["div"]: {0.0: 0.0, 1.0: "reciprocal"},
    OPCODE["pow"]: {1.0: 1.0},
}
_SIMPLER_RIGHT: dict[int, dict[float, str | float]] = {
    OPCODE["add"]: {0.0: "same"},
    OPCODE["sub"]: {0.0: "same"},
    OPCODE["mul"]: {0.0: 0.0, 1.0: "same", -1.0: "neg"},
    OPCODE["div"]: {1.0: "same", -1.0: "neg"},
    OPCODE["pow"]: {0.0: 1.0, 1.0: "same", 2.0: "square", -1.0: "reciprocal", 0.5: "sqrt"},
}
_POW, _POWC, _CPOW = OPCODE["pow"], OPCODE["powc"], OPCODE["cpow"]


@dataclass(slots=True)
class _Rows:
    """CSR side arrays of n-ary nodes while they grow."""

    count: int = 0
    lengths: list[Array] = field(default_factory=list)
    args: list[Array] = field(default_factory=list)
    coefs: list[Array] = field(default_factory=list)
    consts: list[Array] = field(default_factory=list)

    def append(self, lengths: Array, args: Array, coefs: Array, consts: Array) -> Array:
        """Add rows and return their indices."""
        self.lengths.append(lengths)
        self.args.append(args)
        self.coefs.append(coefs)
        self.consts.append(consts)
        first, self.count = self.count, self.count + lengths.size
        return np.arange(first, self.count, dtype=np.int32)


class TapeBuilder:
    """Where front ends emit nodes.

    Node ids are nonnegative; a negative id ``-k-1`` is constant number ``k``, so whether an operand is a constant
    shows in its sign.  Operations on constants alone are folded at once.

    Args:
        constants: ``"exact"`` drops what a constant factor or exponent makes zero (``0*x``, ``x**0``);
            ``"conservative"`` keeps it, as SparseConnectivityTracer.jl does.
        local: keep every node's value at the given inputs, so that comparisons of traced values can be answered.
    """

    __slots__ = (
        "_blocks",
        "_constant_id",
        "_constants",
        "_constants_size",
        "_pending",
        "_rows",
        "_sites",
        "_values",
        "comparisons",
        "local",
        "num_inputs",
        "parameters",
        "policy",
        "size",
    )

    def __init__(self, constants: ConstantsPolicy = "exact", local: bool = False) -> None:
        self.policy = constants
        self.local = local
        self.size = 0
        self.num_inputs = 0
        self.parameters: list[float] = []
        self._blocks: list[tuple[Array, Array, Array]] = []
        self._pending: list[int] = []
        self._constants = np.zeros(64)
        self._constants_size = 0
        self._constant_id: dict[float | str, int] = {}
        self._rows = _Rows()
        self._sites: list[CallSite] = []
        # The latest comparisons of arrays: ``y[y > 1] = y[y > 1] ** 2`` writes one condition twice.
        self.comparisons: dict[tuple[Any, ...], Array] = {}
        self._values = np.zeros(64)

    # -- leaves ------------------------------------------------------------------------------------------------

    def inputs(self, count: int, values: Array | None = None) -> Array:
        """Append ``count`` inputs; ``values`` are their primal values in local mode."""
        index = np.arange(self.num_inputs, self.num_inputs + count, dtype=np.int32)
        self.num_inputs += count
        return self._append(INPUT, index, index, values)

    def parameter(self, value: float) -> int:
        """Append one parameter with its default value."""
        return int(self.parameter_block(np.array([value]))[0])

    def parameter_block(self, values: Array) -> Array:
        """Append parameters with their default values."""
        index = np.arange(len(self.parameters), len(self.parameters) + values.size, dtype=np.int32)
        self.parameters.extend(float(v) for v in values.ravel())
        return self._append(PARAMETER, index, index, np.asarray(values, dtype=float).ravel())

    def constant(self, value: float) -> int:
        """Id of a constant (negative); equal numbers share one."""
        # 0.0 and -0.0 are one key but two constants
        key = value if value else str(float(value))
        found = self._constant_id.get(key)
        if found is None:
            found = self._constant_id[key] = int(self.constants(np.array([value]))[0])
        return found

    def constants(self, values: Array) -> Array:
        """Ids of an array of constants, of the same shape."""
        values = np.asarray(values, dtype=float)
        first, self._constants_size = self._constants_size, self._constants_size + values.size
        if self._constants_size > self._constants.size:
            grown = np.zeros(2 * self._constants_size)
            grown[:first] = self._constants[:first]
            self._constants = grown
        self._constants[first : self._constants_size] = values.ravel()
        return np.arange(-first - 1, -self._constants_size - 1, -1, dtype=np.int32).reshape(values.shape)

    def constant_value(self, ids: Array | int) -> Any:
        """Values of constant ids."""
        return (
            self._constants[-np.asarray(ids) - 1] if isinstance(ids, np.ndarray) else float(self._constants[-ids - 1])
        )

    def value(self, ids: Array) -> Array:
        """Values of nodes in local mode (constants in any mode), of the shape of ``ids``."""
        ids = np.asarray(ids)
        is_constant = ids < 0
        if is_constant.all():
            return np.asarray(self._constants[-ids - 1])
        return np.where(
            is_constant,
            self._constants[np.where(is_constant, -ids - 1, 0)],
            self._values[np.where(is_constant, 0, ids)],
        )

    # -- scalar operations (the fast path of loops) --------------------------------------------------------------

    def emit1(self, code: int, a: int) -> int:
        """Append one one-argument node and return its id."""
        if a < 0:
            return self.constant(float(OPS[code].evaluate(self.constant_value(a))))
        i = self.size
        if self.local:
            self._keep_value(i, scalar_function(OPS[code].value, 1)(self._values.item(a)))
        self._pending += (code, a, a)
        self.size = i + 1
        return i

    def emit2(self, code: int, a: int, b: int) -> int:
        """Append one two-argument node and return its id."""
        if b < 0:
            return self.emit_right(code, a, self._constants.item(-b - 1))
        if a < 0:
            return self.emit_left(code, self._constants.item(-a - 1), b)
        i = self.size
        if self.local:
            self._keep_value(i, scalar_function(OPS[code].value, 2)(self._values.item(a), self._values.item(b)))
        self._pending += (code, a, b)
        self.size = i + 1
        return i

    def emit_right(self, code: int, a: int, number: float) -> int:
        """Append one two-argument node whose second argument is a number."""
        if a < 0:
            return self.constant(float(OPS[code].evaluate(self.constant_value(a), number)))
        rules = _SIMPLER_RIGHT.get(code)
        if rules and number in rules and self.policy == "exact":
            return self._simplified(rules[number], a)
        if code == _POW:
            code = _POWC
        i = self.size
        if self.local:
            self._keep_value(i, scalar_function(OPS[code].value, 2)(self._values.item(a), number))
        self._pending += (code, a, self.constant(number))
        self.size = i + 1
        return i

    def emit_left(self, code: int, number: float, b: int) -> int:
        """Append one two-argument node whose first argument is a number."""
        if b < 0:
            return self.constant(float(OPS[code].evaluate(number, self.constant_value(b))))
        rules = _SIMPLER_LEFT.get(code)
        if rules and number in rules and self.policy == "exact":
            return self._simplified(rules[number], b)
        if code == _POW:
            code = _CPOW
        i = self.size
        if self.local:
            self._keep_value(i, scalar_function(OPS[code].value, 2)(number, self._values.item(b)))
        self._pending += (code, self.constant(number), b)
        self.size = i + 1
        return i

    def _simplified(self, simpler: str | float, other: int) -> int:
        if simpler == "same":
            return other
        return self.emit1(OPCODE[simpler], other) if isinstance(simpler, str) else self.constant(simpler)

    # -- block operations ------------------------------------------------------------------------------------------

    def unary(self, code: int, a: Array) -> Array:
        """Append a one-argument node for each id of ``a``; same shape."""
        constant = a < 0
        if constant.any():
            out = np.empty(a.shape, dtype=np.int32)
            out[constant] = self.constants(OPS[code].evaluate(self.constant_value(a[constant])))
            out[~constant] = self.unary(code, a[~constant])
            return out
        # a copy: the caller may go on to assign into ``a``
        flat = np.array(a, dtype=np.int32).ravel()
        return self._append(code, flat, flat).reshape(a.shape)

    def binary(self, code: int, a: Array, b: Array) -> Array:
        """Append a two-argument node for each pair of ids; ``a`` and ``b`` broadcast."""
        if a.size == 1 and b.size > 1 and a.ndim <= b.ndim and (only := a.item()) < 0 and b.min() >= 0:
            return self._binary_with_number(code, 0, only, b)
        if b.size == 1 and a.size > 1 and b.ndim <= a.ndim and (only := b.item()) < 0 and a.min() >= 0:
            return self._binary_with_number(code, 1, only, a)
        a, b = np.broadcast_arrays(a, b)
        if a.size and (a.min() < 0 or b.min() < 0):
            return self._binary_with_constants(code, a, b)
        return self._append(code, np.array(a, dtype=np.int32).ravel(), np.array(b, dtype=np.int32).ravel()).reshape(
            a.shape
        )

    def _binary_with_number(self, code: int, side: int, constant: int, ids: Array) -> Array:
        """One constant on the given side, an array without constants on the other."""
        rules = (_SIMPLER_RIGHT if side else _SIMPLER_LEFT).get(code)
        if rules and self.policy == "exact":
            simpler = rules.get(self._constants.item(-constant - 1))
            if simpler == "same":
                return np.array(ids, dtype=np.int32)
            if isinstance(simpler, str):
                return self.unary(OPCODE[simpler], ids)
            if simpler is not None:
                return np.full(ids.shape, self.constant(simpler), dtype=np.int32)
        if code == _POW:
            code = _POWC if side else _CPOW
        flat = np.array(ids, dtype=np.int32).ravel()
        number = np.full(flat.size, constant, dtype=np.int32)
        return self._append(code, *((flat, number) if side else (number, flat))).reshape(ids.shape)

    def _binary_with_constants(self, code: int, a: Array, b: Array) -> Array:
        out = np.empty(a.shape, dtype=np.int32)
        left, right = a < 0, b < 0
        rest = np.ones(a.shape, dtype=bool)
        folded = left & right
        if folded.any():
            out[folded] = self.constants(
                OPS[code].evaluate(self.constant_value(a[folded]), self.constant_value(b[folded]))
            )
            rest &= ~folded
        for side, constant, ids, other in ((0, left, a, b), (1, right, b, a)):
            one_sided = constant & rest
            if not one_sided.any():
                continue
            if self.policy == "exact":
                numbers = np.where(one_sided, self._constants[np.where(constant, -ids - 1, 0)], np.nan)
                for number, simpler in (_SIMPLER_RIGHT if side else _SIMPLER_LEFT).get(code, {}).items():
                    mask = numbers == number
                    if not mask.any():
                        continue
                    rest &= ~mask
                    if simpler == "same":
                        out[mask] = other[mask]
                    elif isinstance(simpler, str):
                        out[mask] = self.unary(OPCODE[simpler], other[mask])
                    else:
                        out[mask] = self.constant(simpler)
            if code == _POW and (constant & rest).any():
                mask = constant & rest
                out[mask] = self._append(_POWC if side else _CPOW, a[mask].astype(np.int32), b[mask].astype(np.int32))
                rest &= ~mask
        if rest.all():
            return self._append(code, np.array(a, dtype=np.int32).ravel(), np.array(b, dtype=np.int32).ravel()).reshape(
                a.shape
            )
        if rest.any():
            out[rest] = self._append(code, a[rest].astype(np.int32), b[rest].astype(np.int32))
        return out

    def nodes(self, codes: Array, arg0: Array, arg1: Array, values: Array | None = None) -> Array:
        """Append many one- and two-argument nodes whose arguments may be among themselves.

        For front ends that hold a whole instruction list.  Arguments count from the builder's id space: the k-th new
        node has id ``size + k``, constants are negative ids.  No simplification is made here, except that a power
        with a constant exponent or base becomes the operator meant for it.  Local mode needs the nodes' ``values``.
        """
        codes = np.asarray(codes, dtype=np.uint8)
        power = codes == _POW
        if power.any():
            codes = np.where(power & (arg1 < 0), _POWC, np.where(power & (arg0 < 0), _CPOW, codes)).astype(np.uint8)
        if self.local and values is None:
            raise TracingError(
                "instruction lists cannot be traced locally; trace globally and evaluate the pattern at x instead"
            )
        first = self._advance(codes.size)
        self._blocks.append((codes, np.array(arg0, dtype=np.int32), np.array(arg1, dtype=np.int32)))
        if values is not None and self.local:
            self._keep_values(first, values)
        return np.arange(first, self.size, dtype=np.int32)

    # -- n-ary nodes ---------------------------------------------------------------------------------------------

    def affine(self, lengths: Array, args: Array, coefs: Array, consts: Array) -> Array:
        """Append affine nodes ``consts[r] + sum(coefs * args)``, row ``r`` having ``lengths[r]`` terms.

        Constant arguments are folded into the constant; zero coefficients are dropped under the exact policy.  A row
        without terms becomes a constant, a row that is one argument times one plus zero is that argument.
        """
        # copies: the caller may go on to change what it passed
        lengths = np.array(lengths, dtype=np.int64)
        args = np.array(args, dtype=np.int32)
        coefs = np.array(coefs, dtype=float)
        consts = np.array(consts, dtype=float)
        if lengths.sum() != args.size or args.size != coefs.size or lengths.size != consts.size:
            raise ShapeError(
                f"affine rows do not fit: {lengths.sum()} terms announced, {args.size} arguments, {coefs.size} coefficients, {consts.size} constants"
            )
        drop = args < 0
        if drop.any():
            row = np.repeat(np.arange(lengths.size), lengths)
            np.add.at(consts, row[drop], coefs[drop] * self.constant_value(args[drop]))
        if self.policy == "exact":
            drop = drop | (coefs == 0.0)
        if drop.any():
            row = np.repeat(np.arange(lengths.size), lengths)
            lengths = lengths - np.bincount(row[drop], minlength=lengths.size)
            args, coefs = args[~drop], coefs[~drop]
        starts = np.cumsum(lengths) - lengths
        single = lengths == 1
        same = np.zeros(lengths.size, dtype=bool)
        same[single] = (coefs[starts[single]] == 1.0) & (consts[single] == 0.0)
        empty = lengths == 0
        real = ~(same | empty)
        if real.all():
            rows = self._rows.append(lengths, args, coefs, consts)
            return self._append_rows(AFFINE, rows)
        out = np.empty(lengths.size, dtype=np.int32)
        out[empty] = self.constants(consts[empty])
        out[same] = args[starts[same]]
        keep = np.repeat(real, lengths)
        out[real] = self._append_rows(AFFINE, self._rows.append(lengths[real], args[keep], coefs[keep], consts[real]))
        return out

    def select(self, condition: Array, a: Array, b: Array) -> Array:
        """Append ``a where condition else b``; a constant condition picks its branch at once."""
        condition, a, b = np.broadcast_arrays(condition, a, b)
        known = condition < 0
        out = np.empty(condition.shape, dtype=np.int32)
        truth = self.constant_value(condition[known]) != 0.0
        out[known] = np.where(truth, a[known], b[known])
        same = ~known & (a == b)
        out[same] = a[same]
        rest = ~known & ~same
        count = int(rest.sum())
        if count:
            args = np.stack([condition[rest], a[rest], b[rest]], axis=1).ravel().astype(np.int32)
            rows = self._rows.append(np.full(count, 3, dtype=np.int64), args, np.zeros(3 * count), np.zeros(count))
            out[rest] = self._append_rows(SELECT, rows)
        return out

    def call(self, function: BlackBox, args: Array) -> Array:
        """Append the outputs of one call of a black-box function."""
        args = np.array(args, dtype=np.int32).ravel()
        if function.num_outputs == 0:
            return np.zeros(0, dtype=np.int32)
        counts = np.bincount(function.jacobian_rows, minlength=function.num_outputs).astype(np.int64)
        rows = self._rows.append(
            counts,
            args[function.jacobian_cols].astype(np.int32),
            np.zeros(function.jacobian_cols.size),
            np.zeros(function.num_outputs),
        )
        site = np.full(function.num_outputs, len(self._sites), dtype=np.int32)
        self._sites.append(CallSite(function, args, self.size))
        values = np.asarray(function.value(self.value(args)), dtype=float).ravel() if self.local else None
        return self._append(BLACKBOX, rows, site, values)

    # -- storage ---------------------------------------------------------------------------------------------------

    def _advance(self, count: int) -> int:
        """Reserve ids for a block that follows whatever scalars are pending."""
        if self._pending:
            block = np.array(self._pending, dtype=np.int32).reshape(-1, 3)
            self._blocks.append(
                (block[:, 0].astype(np.uint8), np.ascontiguousarray(block[:, 1]), np.ascontiguousarray(block[:, 2]))
            )
            self._pending = []
        first, self.size = self.size, self.size + count
        if self.size > MAX_NODES:
            raise TracingError(
                f"the tape would have {self.size} nodes, more than {MAX_NODES}; split the function or coarsen the model"
            )
        return first

    def _append(self, code: int, a: Array, b: Array, values: Array | None = None) -> Array:
        first = self._advance(a.size)
        self._blocks.append((np.full(a.size, code, dtype=np.uint8), a, b))
        if self.local:
            op = OPS[code]
            if values is None:
                operands = (self.value(a),) if op.arity == 1 else (self.value(a), self.value(b))
                values = array_function(op.value, op.arity)(*operands)
            self._keep_values(first, values)
        return np.arange(first, self.size, dtype=np.int32)

    def _append_rows(self, code: int, rows: Array) -> Array:
        values: Array | None = None
        if self.local:
            lengths, args, coefs, consts = (
                self._rows.lengths[-1],
                self._rows.args[-1],
                self._rows.coefs[-1],
                self._rows.consts[-1],
            )
            numbers = self.value(args)
            if code == AFFINE:
                row = np.repeat(np.arange(lengths.size), lengths)
                values = consts + np.bincount(row, weights=coefs * numbers, minlength=lengths.size)
            else:
                condition, a, b = numbers.reshape(-1, 3).T
                values = np.where(condition != 0.0, a, b)
        return self._append(code, rows, np.zeros(rows.size, dtype=np.int32), values)

    def _keep_value(self, i: int, value: float) -> None:
        if i >= self._values.size:
            self._values = np.concatenate([self._values, np.zeros(self._values.size)])
        self._values[i] = value

    def _keep_values(self, first: int, values: Array) -> None:
        if self.size > self._values.size:
            grown = np.zeros(2 * self.size)
            grown[:first] = self._values[:first]
            self._values = grown
        self._values[first : self.size] = values

    def sources(self) -> Sources | None:
        """Where the nodes come from, if the builder keeps that."""
        return None

    def truth(self, node: int) -> bool | None:
        """The truth value that a branch on a node that depends on inputs takes, None if it has none.

        Args:
            node: id of the node; its value is known in local mode only.
        """
        return bool(self.value(np.array(node)) != 0.0) if self.local else None

    def freeze(self, outputs: Iterable[int] | Array) -> Tape:
        """The frozen tape of the given output ids, without the nodes that no output needs."""
        out = np.asarray(list(outputs) if not isinstance(outputs, np.ndarray) else outputs, dtype=np.int32).ravel()
        self._advance(0)
        empty_int = np.zeros(0, dtype=np.int32)
        rows = self._rows
        row_ptr = np.zeros(rows.count + 1, dtype=np.int64)
        if rows.count:
            np.cumsum(np.concatenate(rows.lengths), out=row_ptr[1:])
        row_arg, row_coef, row_const = (
            (np.concatenate(rows.args), np.concatenate(rows.coefs), np.concatenate(rows.consts))
            if rows.count
            else (empty_int, np.zeros(0), np.zeros(0))
        )
        return compacted(
            _pieces(self._blocks),
            row_ptr,
            row_arg.astype(np.int32),
            row_coef,
            row_const,
            self._constants[: self._constants_size].copy(),
            self.num_inputs,
            np.array(self.parameters, dtype=float),
            self._sites,
            out,
            self.sources(),
        )


def _pieces(blocks: list[tuple[Array, Array, Array]]) -> list[tuple[Array, Array, Array]]:
    """The blocks as they are where they are long, small ones joined."""
    pieces: list[tuple[Array, Array, Array]] = []
    group: list[tuple[Array, Array, Array]] = []
    size = 0
    for k, block in enumerate(blocks):
        group.append(block)
        size += block[0].size
        if size >= PIECE or k == len(blocks) - 1:
            codes, arg0, arg1 = (
                parts[0] if len(group) == 1 else np.concatenate(parts) for parts in zip(*group, strict=True)
            )
            pieces.append((codes, arg0, arg1))
            group, size = [], 0
    return pieces
