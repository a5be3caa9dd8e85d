"""CasADi's matrix instructions to blocks of nodes.

An MX function is walked instruction by instruction; each matrix is an array of node ids of shape ``(instances,
nonzeros)``, and each operation appends whole arrays of nodes.  A ``map`` over n instances walks the mapped function once
with n instances.  Operations on positions alone (slices, concatenation, transposes …) cost no node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import casadi
import numpy as np

from sct_opt.adapters.casadi import positions, sx
from sct_opt.adapters.casadi.blackbox import FunctionBox, LinearSolve
from sct_opt.errors import ModelError
from sct_opt.ops import OPCODE
from sct_opt.tape import TapeBuilder

Array = np.ndarray[Any, Any]

_SPLITS = ("HORZSPLIT", "VERTSPLIT", "DIAGSPLIT")
_SAME_NONZEROS = frozenset(["RESHAPE", "SPARSITY_CAST", "ASSIGN", "LIFT", "PRINTME", "MONITOR", "ASSERTION", "DUMP"])
_MAPS = ("Map", "ThreadMap", "OmpMap")


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction whose work slots are replaced by numbers of values, each written once; ``key`` is that of like calls."""

    name: str
    expression: Any
    inputs: list[int]
    outputs: list[int]
    key: Any


def _read_steps(function: casadi.Function) -> tuple[list[_Step], list[list[int]], list[list[int]]]:
    """Instructions, their numbers by stage, and for each output the values that it consists of.

    A stage is how many calls lie on the longest way to an instruction.
    """
    names = sx.operation_names()
    writer, depth = {-1: -1}, [0]  # depth's last entry is that of value -1, the empty matrix
    steps: list[_Step] = []
    stages: list[list[int]] = [[]]
    results: list[list[int]] = [[-1] for _ in range(function.n_out())]
    for k in range(function.n_instructions()):
        name = names[function.instruction_id(k)]
        inputs = [] if name == "INPUT" else [writer[slot] for slot in function.instruction_input(k)]
        if name == "OUTPUT":
            results[function.instruction_output(k)[0]] += inputs
            continue
        expression = function.instruction_MX(k)
        stage = max((depth[value] for value in inputs), default=0)
        key = None
        if name == "CALL":
            key = expression.which_function().__hash__()
        elif name == "SOLVE":
            matrix = expression.dep(1).sparsity()
            key = (matrix.size1(), tuple(matrix.find()), expression.size2(), bool(expression.info()["tr"]))
        slots = function.instruction_output(k)
        first = len(depth) - 1
        depth[-1:] = [stage + (key is not None)] * len(slots) + [0]
        outputs = list(range(first, first + len(slots)))
        writer.update((slot, value) for slot, value in zip(slots, outputs, strict=True) if slot >= 0)
        while stage >= len(stages):
            stages.append([])
        stages[stage].append(len(steps))
        steps.append(_Step(name, expression, inputs, outputs, key))
    return steps, stages, results


class Walker:
    """Walks functions into one builder; black boxes are made once per function.

    Args:
        builder: where nodes go.
    """

    def __init__(self, builder: TapeBuilder) -> None:
        self.builder = builder
        self.boxes: dict[Any, FunctionBox] = {}

    def function(self, function: casadi.Function, args: Sequence[Array]) -> list[Array]:
        """Append a function of any class.

        Args:
            function: the function.
            args: for each input, node ids of shape ``(instances, nonzeros)``; instances may be 1 for inputs that are the same for all.

        Returns:
            For each output node ids of shape ``(instances, nonzeros)``.
        """
        kind = function.class_name()
        if kind == "SXFunction":
            return self._scalar_function(function, args)
        if kind == "MXFunction":
            return self._matrix_function(function, args)
        if kind in _MAPS:
            return self._map(function, args)
        if kind == "Switch":
            info = function.info()
            if not (info["project_in"] or info["project_out"]):
                return self._switch(info["f"], info["f_def"], args)
        ids = _beside(args)
        instances = max((part.shape[0] for part in args), default=1)
        results = self.builder.call(self._box_of(function, instances), ids.ravel()).reshape(instances, -1)
        return np.split(results, np.cumsum([function.nnz_out(i) for i in range(function.n_out())])[:-1], axis=1)

    # -- functions ---------------------------------------------------------------------------------------------

    def _matrix_function(self, function: casadi.Function, args: Sequence[Array]) -> list[Array]:
        """Walk an MX function stage by stage: calls that do not wait for each other are made as instances of one."""
        steps, stages, results = _read_steps(function)
        values: dict[int, Array] = {-1: np.zeros((1, 0), dtype=np.int32)}
        for stage in stages:
            calls: dict[Any, list[_Step]] = {}
            for step in (steps[k] for k in stage):
                if step.key is not None:
                    calls.setdefault(step.key, []).append(step)
                elif step.name == "INPUT":
                    info = step.expression.info()
                    start = info["offset"]
                    values[step.outputs[0]] = args[info["ind"]][:, start : start + step.expression.nnz()]
                else:
                    ids = self._apply(step.name, step.expression, [values[k] for k in step.inputs])
                    values.update(zip(step.outputs, ids, strict=True))
            for group in calls.values():
                for step, ids in zip(group, self._calls(group, values), strict=True):
                    values.update(zip(step.outputs, ids, strict=True))
        return [_beside([values[k] for k in parts]) for parts in results]

    def _calls(self, group: list[_Step], values: dict[int, Array]) -> list[list[Array]]:
        """Outputs of calls of one function, one list for each call."""
        expression = group[0].expression
        called = expression.which_function() if group[0].name == "CALL" else None
        instances = max((values[k].shape[0] for step in group for k in step.inputs), default=1)
        count = len(group)
        stacked = []
        for parts in zip(*([values[k] for k in step.inputs] for step in group), strict=True):
            whole = parts if count == 1 else [np.broadcast_to(part, (instances, part.shape[1])) for part in parts]
            stacked.append(np.concatenate(whole))
        results = self._solves(expression, stacked) if called is None else self.function(called, stacked)
        if count == 1:
            return [results]
        wide = [np.broadcast_to(ids, (count * instances, ids.shape[1])) for ids in results]
        return [[ids[k * instances : (k + 1) * instances] for ids in wide] for k in range(count)]

    def _solves(self, expression: casadi.MX, args: Sequence[Array]) -> list[Array]:
        # not left to CasADi, whose Jacobian pattern of a solve with a sparse matrix misses entries
        ids = _beside(args)
        box = LinearSolve(expression.dep(1).sparsity(), expression.size2(), bool(expression.info()["tr"]), ids.shape[0])
        return [self.builder.call(box, ids.ravel()).reshape(ids.shape[0], -1)]

    def _scalar_function(self, function: casadi.Function, args: Sequence[Array]) -> list[Array]:
        instances = max((ids.shape[0] for ids in args), default=1)
        if instances == 1:
            return [ids[None, :] for ids in sx.emit(self.builder, function, [ids[0] for ids in args])]
        names = sx.operation_names()
        listing = sx.read_instructions(function)
        zero = np.full(1, self.builder.constant(0.0), dtype=np.int32)
        outputs = [[zero] * function.nnz_out(i) for i in range(function.n_out())]
        slots: dict[int, Array] = {}
        elements = function.instructions_sx()
        for k, (operation, out, in0, in1) in enumerate(
            zip(
                listing.operation.tolist(),
                listing.out.tolist(),
                listing.in0.tolist(),
                listing.in1.tolist(),
                strict=True,
            )
        ):
            name = names[operation]
            if name == "INPUT":
                slots[out] = args[in0][:, in1]
            elif name == "OUTPUT":
                outputs[out][in1] = slots[in0]
            elif name == "CONST":
                slots[out] = self._constants(np.array([function.instruction_constant(k)]))
            elif name == "CALL":
                called = elements[k].which_function()
                ids = _beside(
                    [slots[slot][:, None] if slot >= 0 else zero[None, :] for slot in function.instruction_input(k)]
                )
                results = self.function(
                    called, np.split(ids, np.cumsum([called.nnz_in(i) for i in range(called.n_in())])[:-1], axis=1)
                )
                slots.update(zip(function.instruction_output(k), _beside(results).T, strict=True))
            else:
                slots[out] = self._elementwise(name, slots[in0], slots[in1] if in1 >= 0 else zero)
        return [
            _beside([ids[:, None] for ids in columns]) if columns else np.zeros((1, 0), dtype=np.int32)
            for columns in outputs
        ]

    def _map(self, function: casadi.Function, args: Sequence[Array]) -> list[Array]:
        info = function.info()
        mapped, count = info["f"], int(info["n"])
        instances = max((ids.shape[0] for ids in args), default=1)
        inner = [np.broadcast_to(ids, (instances, ids.shape[1])).reshape(instances * count, -1) for ids in args]
        results = self.function(mapped, inner)
        return [np.broadcast_to(ids, (instances * count, ids.shape[1])).reshape(instances, -1) for ids in results]

    def _switch(self, cases: Sequence[casadi.Function], default: casadi.Function, args: Sequence[Array]) -> list[Array]:
        index = self.builder.unary(OPCODE["trunc"], args[0])
        results = self.function(default, args[1:])
        for k, case in enumerate(cases):
            taken = self.builder.binary(
                OPCODE["eq"], index, np.full((1, 1), self.builder.constant(float(k)), dtype=np.int32)
            )
            results = [
                self.builder.select(taken, new, old)
                for new, old in zip(self.function(case, args[1:]), results, strict=True)
            ]
        return results

    def _box_of(self, function: casadi.Function, instances: int) -> FunctionBox:
        key = (function.__hash__(), instances)
        if key not in self.boxes:
            self.boxes[key] = FunctionBox(function, instances)
        return self.boxes[key]

    def _opaque(self, expression: casadi.MX, values: Sequence[Array]) -> list[Array]:
        """An operation that is evaluated by CasADi: a function of its arguments alone is cut out of the graph."""
        deps = [expression.dep(i) for i in range(expression.n_dep())]
        symbols = [casadi.MX.sym(f"a{i}", dep.sparsity()) for i, dep in enumerate(deps)]
        name = sx.operation_names()[expression.op()].lower()
        (cut,) = casadi.graph_substitute([expression], deps, symbols)
        ids = _beside(values)
        box = FunctionBox(casadi.Function(name, symbols, [cut]), ids.shape[0])
        return [self.builder.call(box, ids.ravel()).reshape(ids.shape[0], -1)]

    # -- one instruction ---------------------------------------------------------------------------------------

    def _apply(self, name: str, expression: casadi.MX, values: list[Array]) -> list[Array]:
        if name == "CALL":
            return self.function(expression.which_function(), values)
        if name == "CONST":
            return [self._constants(np.array(expression.to_DM().nonzeros(), dtype=float))[None, :]]
        if name in _SAME_NONZEROS:
            return [values[0]]
        if name in sx.TABLE_NAME or name in sx.SPECIAL:
            return [self._elementwise(name, values[0], values[1] if len(values) > 1 else values[0])]
        if name in _SPLITS:
            # parts of a split are consecutive in storage: CasADi splits matrices by columns, or along the diagonal
            return np.split(values[0], expression.info()["offset"][1:-1], axis=1)
        if name in _MATRIX:
            return [_MATRIX[name](self, expression, values)]
        return self._opaque(expression, values)

    def _constants(self, values: Array) -> Array:
        if np.isnan(values).any():
            raise ModelError(
                "a constant of the CasADi expression is not a number (nan); look for 0/0 or inf-inf in the data that the model was built from"
            )
        return self.builder.constants(values)

    def _elementwise(self, name: str, a: Array, b: Array) -> Array:
        builder = self.builder
        if name in sx.ALIASES:
            return a
        if name == "IF_ELSE_ZERO":
            return builder.select(a, b, np.full((1,) * b.ndim, builder.constant(0.0), dtype=np.int32))
        if name == "REMAINDER":
            return sx.emit_remainder(builder, *np.broadcast_arrays(a, b))
        if name == "ERFINV":
            return sx.emit_erfinv(builder, a.ravel()).reshape(a.shape)
        if name == "TWICE":
            return builder.binary(OPCODE["mul"], np.full((1,) * a.ndim, builder.constant(2.0), dtype=np.int32), a)
        code = OPCODE["pow" if name == "CONSTPOW" and b.max(initial=-1) < 0 else sx.TABLE_NAME[name]]
        return builder.unary(code, a) if name in sx.ONE_ARGUMENT else builder.binary(code, a, b)

    # -- sums and products ---------------------------------------------------------------------------------------

    def sums(self, place: Array, count: int, terms: Array, coefs: Array, base: Array | None = None) -> Array:
        """Sums of terms with coefficients.

        Args:
            place: which of the ``count`` sums each term belongs to.
            count: number of sums per instance.
            terms: node ids of shape ``(instances, place.size)``.
            coefs: coefficients, likewise.
            base: node ids to which the sums are added, shape ``(instances, count)``.
        """
        if base is not None:
            instances = max(terms.shape[0], base.shape[0])
            place = np.concatenate([np.arange(count), place])
            terms = _beside([base, terms])
            coefs = np.concatenate(
                [np.ones((instances, count)), np.broadcast_to(coefs, (instances, coefs.shape[1]))], axis=1
            )
        order = np.argsort(place, kind="stable")
        instances = terms.shape[0]
        lengths = np.tile(np.bincount(place, minlength=count), instances)
        coefs = np.broadcast_to(coefs, terms.shape)[:, order]
        return self.builder.affine(lengths, terms[:, order].ravel(), coefs.ravel(), np.zeros(lengths.size)).reshape(
            instances, count
        )

    def products(self, a: Array, b: Array) -> tuple[Array, Array]:
        """Terms ``a * b`` as ids and coefficients: a constant factor becomes the coefficient."""
        for factor, other in ((a, b), (b, a)):
            if factor.max(initial=-1) < 0:
                coefs = np.asarray(self.builder.constant_value(factor))
                shape = np.broadcast_shapes(coefs.shape, other.shape)
                return np.broadcast_to(other, shape), np.broadcast_to(coefs, shape)
        same = a.shape == b.shape and bool((a == b).all())
        terms = self.builder.unary(OPCODE["square"], a) if same else self.builder.binary(OPCODE["mul"], a, b)
        return terms, np.ones(terms.shape)

    def reduce(self, name: str, values: Array) -> Array:
        """Combine all nonzeros of each instance by a binary operation, as a balanced tree."""
        code = OPCODE[name]
        while values.shape[1] > 1:
            half = values.shape[1] // 2
            rest = values[:, 2 * half :]
            values = _beside([self.builder.binary(code, values[:, :half], values[:, half : 2 * half]), rest])
        return values


def _beside(parts: Sequence[Array]) -> Array:
    """Nonzeros of several matrices in one array, instances broadcast."""
    parts = [part for part in parts if part.shape[1]] or list(parts[:1])
    if len(parts) == 1:
        return parts[0]
    instances = max(part.shape[0] for part in parts)
    return np.concatenate([np.broadcast_to(part, (instances, part.shape[1])) for part in parts], axis=1)


def _sparsities(expression: casadi.MX) -> list[casadi.Sparsity]:
    return [expression.dep(i).sparsity() for i in range(expression.n_dep())]


def _vertcat(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    if expression.size2() == 1:
        return _beside(values)
    return _beside(values)[:, positions.stack(_sparsities(expression), vertical=True, horizontal=False)]


def _transpose(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    return values[0][:, positions.transpose(expression.dep(0).sparsity())]


def _with_zeros(walker: Walker, ids: Array, place: Array) -> Array:
    picked = ids[:, np.maximum(place, 0)] if ids.shape[1] else np.zeros((ids.shape[0], place.size), dtype=np.int32)
    if (place < 0).any():
        picked[:, place < 0] = walker.builder.constant(0.0)
    return picked


def _project(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    return _with_zeros(walker, values[0], positions.project(expression.dep(0).sparsity(), expression.sparsity()))


def _get_nonzeros(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    return _with_zeros(walker, values[0], positions.selection(expression.info()))


def _set_nonzeros(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    base, new = values
    place = positions.selection(expression.info())
    inside = place >= 0
    instances = max(base.shape[0], new.shape[0])
    out = np.array(np.broadcast_to(base, (instances, base.shape[1])))
    out[:, place[inside]] = np.broadcast_to(new, (instances, new.shape[1]))[:, inside]
    return out


def _add_nonzeros(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    base, new = values
    place = positions.selection(expression.info())
    inside = place >= 0
    terms = new[:, inside]
    return walker.sums(place[inside], base.shape[1], terms, np.ones(terms.shape), base)


def _multiply(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    z, x, y = _sparsities(expression)
    x_place, y_place, place = positions.product(x, y, z)
    return walker.sums(place, z.nnz(), *walker.products(values[1][:, x_place], values[2][:, y_place]), values[0])


def _dot(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    return walker.sums(np.zeros(values[0].shape[1], dtype=np.int64), 1, *walker.products(values[0], values[1]))


def _bilinear(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    a, x, y = _sparsities(expression)
    rows, columns = positions.triplet(a)
    x_at, y_at = (
        _with_zeros(walker, values[1], positions.project(x, casadi.Sparsity.dense(*x.shape))),
        _with_zeros(walker, values[2], positions.project(y, casadi.Sparsity.dense(*y.shape))),
    )
    terms, coefs = walker.products(x_at[:, rows], y_at[:, columns])
    if values[0].max(initial=-1) < 0:
        coefs = coefs * walker.builder.constant_value(values[0])
    else:
        terms = walker.builder.binary(OPCODE["mul"], terms, values[0])
    return walker.sums(np.zeros(rows.size, dtype=np.int64), 1, terms, coefs)


def _rank_one(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    a, _, x, y = _sparsities(expression)
    x_place, y_place, place = positions.outer(x, y, a)
    terms, coefs = walker.products(values[2][:, x_place], values[3][:, y_place])
    if values[1].max(initial=-1) < 0:
        coefs = coefs * walker.builder.constant_value(values[1])
    else:
        terms = walker.builder.binary(OPCODE["mul"], terms, values[1])
    return walker.sums(place, a.nnz(), terms, coefs, values[0])


def _kronecker(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    x_place, y_place = positions.kronecker(*_sparsities(expression))
    return walker.builder.binary(OPCODE["mul"], values[0][:, x_place], values[1][:, y_place])


def _repeat(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    return np.tile(values[0], (1, expression.nnz() // max(values[0].shape[1], 1)))


def _repeat_sum(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    count = expression.nnz()
    return walker.sums(np.arange(values[0].shape[1]) % max(count, 1), count, values[0], np.ones(values[0].shape))


def _norm_1(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    terms = walker.builder.unary(OPCODE["abs"], values[0])
    return walker.sums(np.zeros(terms.shape[1], dtype=np.int64), 1, terms, np.ones(terms.shape))


def _norm_2(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    terms = walker.builder.unary(OPCODE["square"], values[0])
    return walker.builder.unary(
        OPCODE["sqrt"], walker.sums(np.zeros(terms.shape[1], dtype=np.int64), 1, terms, np.ones(terms.shape))
    )


def _norm_infinity(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
    return walker.reduce("fmax", walker.builder.unary(OPCODE["abs"], values[0]))


def _reduction(name: str) -> Callable[[Walker, casadi.MX, list[Array]], Array]:
    def apply(walker: Walker, expression: casadi.MX, values: list[Array]) -> Array:
        return walker.reduce(name, values[0])

    return apply


_MATRIX: dict[str, Callable[[Walker, casadi.MX, list[Array]], Array]] = {
    "HORZCAT": lambda walker, expression, values: _beside(values),
    "DIAGCAT": lambda walker, expression, values: _beside(values),
    "VERTCAT": _vertcat,
    "TRANSPOSE": _transpose,
    "PROJECT": _project,
    "GETNONZEROS": _get_nonzeros,
    "SETNONZEROS": _set_nonzeros,
    "ADDNONZEROS": _add_nonzeros,
    "MTIMES": _multiply,
    "DOT": _dot,
    "BILIN": _bilinear,
    "RANK1": _rank_one,
    "KRON": _kronecker,
    "HORZREPMAT": _repeat,
    "HORZREPSUM": _repeat_sum,
    "NORM1": _norm_1,
    "NORMF": _norm_2,
    "NORM2": _norm_2,
    "NORMINF": _norm_infinity,
    "MMIN": _reduction("fmin"),
    "MMAX": _reduction("fmax"),
    "LOGSUMEXP": _reduction("logaddexp"),
}
