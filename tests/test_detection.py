"""Detection: exact expectations, a set-propagating oracle, numerical nonzeros, and cost counted as work."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings

from sct_opt import detection
from sct_opt.detection import (
    TracerLocalSparsityDetector,
    TracerSparsityDetector,
    hessian_pattern,
    jacobian_pattern,
    local_flags,
)
from sct_opt.errors import PatternError, ShapeError, TracingError
from sct_opt.ops import AFFINE, BLACKBOX, OPCODE, OPS, SELECT, array_function
from sct_opt.tape import Tape, TapeBuilder
from tests.random_tapes import Program, Surface, derivatives, evaluate, node_args, programs

MASKINGS = ("sct", "piecewise", "all")


class Oracle:
    """Index sets and index pairs of every node, carried forward in Python sets: no adjoints, no shared sets."""

    def __init__(self, tape: Tape, x: np.ndarray | None = None, masking: str | None = None) -> None:
        self.tape = tape
        self.values = None if x is None else evaluate(tape, x)
        self.masking = masking
        self.gradient = [{j} for j in range(tape.num_inputs)]
        self.hessian: list[set[tuple[int, int]]] = [set() for _ in range(tape.num_inputs)]
        for i in range(tape.num_inputs, tape.size):
            first, pairs = self.edges(i)
            self.gradient.append(set().union(*(self.gradient[a] for a in first)))
            couplings = set().union(*(self.hessian[a] for a in first))
            for a, b in pairs:
                couplings |= set(itertools.product(self.gradient[a], self.gradient[b]))
                couplings |= set(itertools.product(self.gradient[b], self.gradient[a]))
            self.hessian.append(couplings)

    def edges(self, i: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Arguments with a first partial, and pairs of arguments with a second partial."""
        tape, code, args = self.tape, self.tape.opcode[i], node_args(self.tape, i)
        if code == AFFINE or not args:
            return args, []
        if code == SELECT:
            if self.values is None:
                return args[1:], []
            return [args[1] if self.values[args[0]] != 0.0 else args[2]], []
        if code == BLACKBOX:
            site = tape.sites[tape.arg1[i]]
            depends = any(self.gradient[a] or self.hessian[a] for a in args)
            rows, cols = site.args[site.function.hessian_rows], site.args[site.function.hessian_cols]
            return args, list(zip(rows.tolist(), cols.tolist(), strict=True)) if depends else []
        op = OPS[code]
        which = [(0, 0)] if op.arity == 1 else [(0, 0), (0, 1), (1, 1)]
        first = [a for k, a in enumerate(args) if op.d[k] is not None and self.kept(i, k, op.d[k])]
        pairs = [
            (args[k], args[l])
            for (k, l), text in zip(which, op.dd, strict=True)
            if text is not None and self.kept(i, None, text)
        ]
        return first, pairs

    def kept(self, i: int, k: int | None, partial: str) -> bool:
        """Whether masking leaves the first partial by argument ``k``, or a second partial (``k`` is None)."""
        if self.values is None:
            return True
        op = OPS[self.tape.opcode[i]]
        args = (*self.values[node_args(self.tape, i)], self.values[i])
        conditions = []
        if k is not None and op.piecewise:
            conditions.append(op.piecewise[k])
        if k is not None and op.factor and self.masking == "sct":
            conditions.append(op.factor[k])
        if any(text and not array_function(text, op.arity)(*args) for text in conditions):
            return False
        return self.masking != "all" or array_function(partial, op.arity)(*args) != 0.0

    def jacobian_array(self) -> np.ndarray:
        out = np.zeros((self.tape.num_outputs, self.tape.num_inputs), dtype=bool)
        for row, i in zip(out, self.tape.outputs, strict=True):
            row[list(self.gradient[i])] = True
        return out

    def hessian_array(self) -> np.ndarray:
        out = np.zeros((self.tape.num_inputs, self.tape.num_inputs), dtype=bool)
        for i in self.tape.outputs:
            for j, k in self.hessian[i]:
                out[j, k] = True
        return out


def emit(builder: TapeBuilder, name: str, *args: int) -> int:
    return builder.emit1(OPCODE[name], *args) if len(args) == 1 else builder.emit2(OPCODE[name], *args)


def total(builder: TapeBuilder, ids: np.ndarray) -> np.ndarray:
    """The sum of nodes as one affine node."""
    return builder.affine(np.array([ids.size]), ids, np.ones(ids.size), np.zeros(1))


def rows(pattern: detection.SparsityPattern) -> str:
    """A pattern in the notation of the reference tables: ``100;110``."""
    return ";".join("".join(map(str, row)) for row in pattern.toarray().astype(int).tolist())


def work(tape: Tape, which: str) -> int:
    """Steps that detection takes: arguments looked at, entries of sets copied and pairs of them united."""
    from sct_opt import coupling_kernels, detection_kernels  # noqa: PLC0415

    counted = []

    def counting(kernel, steps):
        def call(*args):
            result = kernel(*args)
            counted.append(steps(args, result))
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            detection_kernels,
            "reach",
            counting(detection_kernels.reach, lambda args, result: int(result[2] + result[3])),
        )
        patch.setattr(
            detection_kernels, "unite", counting(detection_kernels.unite, lambda args, result: int(result[2]))
        )
        patch.setattr(
            coupling_kernels, "couplings", counting(coupling_kernels.couplings, lambda args, result: result[0].size)
        )
        (jacobian_pattern if which == "jacobian" else hessian_pattern)(tape)
    return sum(counted)


def deep_tape(seed: int, num_inputs: int, steps: int, window: int, num_outputs: int, nonlinear: float) -> Tape:
    """A tape whose nodes share much of what lies below them; structure only, its values overflow."""
    rng = np.random.default_rng(seed)
    builder = TapeBuilder()
    ids = builder.inputs(num_inputs).tolist()
    for _ in range(steps):
        pool = ids[-window:] if rng.random() < 0.8 else ids
        a, b, c, d = (int(i) for i in rng.choice(pool, size=4))
        draw = rng.random()
        if draw < 0.1:
            terms = np.array([a, b, c, d], dtype=np.int32)
            ids += builder.affine(np.array([4]), terms, np.ones(4), np.zeros(1)).tolist()
        elif draw < 0.15:
            ids += builder.select(np.array([a]), np.array([b]), np.array([c])).tolist()
        elif draw < 0.15 + nonlinear:
            ids.append(emit(builder, "sin", a) if rng.random() < 0.3 else emit(builder, "mul", a, b))
        else:
            ids.append(emit(builder, str(rng.choice(["add", "sub", "min"])), a, b))
    return builder.freeze(rng.choice(ids[-steps // 2 :], size=num_outputs))


# -- random programs ---------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(programs())
def test_global_patterns_are_those_of_the_oracle(program: Program) -> None:
    oracle = Oracle(program.tape)
    np.testing.assert_array_equal(jacobian_pattern(program.tape).toarray(), oracle.jacobian_array())
    np.testing.assert_array_equal(hessian_pattern(program.tape).toarray(), oracle.hessian_array())


@pytest.mark.parametrize("masking", MASKINGS)
@settings(max_examples=200, deadline=None)
@given(program=programs())
def test_local_patterns_are_those_of_the_oracle(masking: str, program: Program) -> None:
    oracle = Oracle(program.tape, program.x, masking)
    flags = local_flags(program.tape, oracle.values, masking)
    np.testing.assert_array_equal(jacobian_pattern(program.tape, flags).toarray(), oracle.jacobian_array())
    np.testing.assert_array_equal(hessian_pattern(program.tape, flags).toarray(), oracle.hessian_array())


@settings(max_examples=300, deadline=None)
@given(programs())
def test_no_numerical_nonzero_is_missed(program: Program) -> None:
    tape, x = program.tape, program.x
    _, jacobian, hessians = derivatives(tape, x)
    values = evaluate(tape, x)
    whole = (jacobian_pattern(tape).toarray(), hessian_pattern(tape).toarray())
    for flags in (None, *(local_flags(tape, values, masking) for masking in MASKINGS)):
        jacobian_found = jacobian_pattern(tape, flags).toarray()
        hessian_found = hessian_pattern(tape, flags).toarray()
        assert not jacobian[~jacobian_found].any()
        assert not hessians[:, ~hessian_found].any()
        assert (hessian_found == hessian_found.T).all()
        assert not (jacobian_found & ~whole[0]).any()
        assert not (hessian_found & ~whole[1]).any()


@pytest.mark.parametrize("optional_entries", [1 << 25, 100])
@pytest.mark.parametrize(
    ("num_inputs", "steps", "window", "num_outputs", "nonlinear"),
    [(60, 300, 8, 30, 0.02), (30, 1000, 40, 300, 0.1), (100, 1500, 300, 400, 0.01), (100, 1000, 8, 1, 0.3)],
)
def test_shared_subexpressions(
    num_inputs: int, steps: int, window: int, num_outputs: int, nonlinear: float, optional_entries: int, monkeypatch
) -> None:
    monkeypatch.setattr(detection, "_OPTIONAL_ENTRIES", optional_entries)
    for seed in range(3):
        tape = deep_tape(seed, num_inputs, steps, window, num_outputs, nonlinear)
        oracle = Oracle(tape)
        np.testing.assert_array_equal(jacobian_pattern(tape).toarray(), oracle.jacobian_array())
        np.testing.assert_array_equal(hessian_pattern(tape).toarray(), oracle.hessian_array())


# -- exact expectations --------------------------------------------------------------------------------------------------


def test_jacobian_of_products_and_roundings() -> None:
    builder = TapeBuilder()
    x = builder.inputs(2).tolist()
    product = emit(builder, "mul", *x)
    tape = builder.freeze(
        [product, emit(builder, "ceil", product), emit(builder, "mul", x[0], emit(builder, "rint", x[1]))]
    )
    assert rows(jacobian_pattern(tape)) == "11;00;10"


def test_outputs_may_be_leaves_and_repeat() -> None:
    builder = TapeBuilder()
    x = builder.inputs(2).tolist()
    square = emit(builder, "square", x[0])
    tape = builder.freeze([x[1], square, builder.constant(3.0), builder.parameter(2.0), square, x[1]])
    assert rows(jacobian_pattern(tape)) == "01;10;00;00;10;01"
    assert rows(hessian_pattern(tape)) == "10;00"


@pytest.mark.parametrize(("outputs", "inputs"), [(0, 3), (2, 0), (0, 0)])
def test_empty_patterns(outputs: int, inputs: int) -> None:
    builder = TapeBuilder()
    builder.inputs(inputs)
    tape = builder.freeze([builder.constant(1.0)] * outputs)
    assert jacobian_pattern(tape).shape == (outputs, inputs)
    assert jacobian_pattern(tape).nnz == 0
    assert hessian_pattern(tape).shape == (inputs, inputs)
    assert hessian_pattern(tape).nnz == 0


def test_hessian_unites_all_outputs() -> None:
    builder = TapeBuilder()
    x = builder.inputs(3).tolist()
    tape = builder.freeze([emit(builder, "mul", x[0], x[1]), emit(builder, "exp", x[2]), x[0]])
    assert rows(hessian_pattern(tape)) == "010;100;001"


def test_hessian_of_quotients() -> None:
    builder = TapeBuilder()
    x = builder.inputs(4).tolist()
    terms = [
        emit(builder, "div", x[0], x[1]),
        emit(builder, "div", x[2], builder.constant(1.0)),
        emit(builder, "reciprocal", x[3]),
    ]
    tape = builder.freeze(total(builder, np.array(terms, dtype=np.int32)))
    assert rows(hessian_pattern(tape)) == "0100;1100;0000;0001"


def test_hessian_of_nested_products() -> None:
    builder = TapeBuilder()
    x = builder.inputs(4).tolist()
    pairs = [emit(builder, "mul", *x[:2]), emit(builder, "mul", *x[2:])]
    assert rows(hessian_pattern(builder.freeze([emit(builder, "mul", *pairs)]))) == "0111;1011;1101;1110"
    sums = [emit(builder, "add", *x[:2]), emit(builder, "add", *x[2:])]
    assert rows(hessian_pattern(builder.freeze([emit(builder, "mul", *sums)]))) == "0011;0011;1100;1100"
    assert rows(hessian_pattern(builder.freeze([emit(builder, "copysign", *pairs)]))) == "0100;1000;0000;0000"
    assert rows(hessian_pattern(builder.freeze([emit(builder, "floor_divide", *pairs)]))) == "0000;0000;0000;0000"


def test_dead_ends_do_not_count() -> None:
    builder = TapeBuilder()
    x = builder.inputs(4).tolist()
    dead = emit(builder, "mul", x[0], x[1])
    emit(builder, "exp", dead)
    tape = builder.freeze([emit(builder, "mul", x[2], x[3]), emit(builder, "sign", dead)])
    assert rows(hessian_pattern(tape)) == "0000;0000;0001;0010"


def test_sets_are_not_changed_by_what_uses_them() -> None:
    # SparseConnectivityTracer.jl's shared dictionaries let z = sin(y) add to the Hessian of y.
    builder = TapeBuilder()
    x = builder.inputs(2).tolist()
    y = emit(builder, "mul", *x)
    emit(builder, "sin", y)
    assert rows(hessian_pattern(builder.freeze([y]))) == "01;10"


@pytest.mark.parametrize("name", ["exp", "reciprocal", "square"])
def test_function_of_a_sum_is_dense(name: str) -> None:
    builder = TapeBuilder()
    x = builder.inputs(40)
    tape = builder.freeze([emit(builder, name, int(total(builder, x)[0]))])
    assert hessian_pattern(tape).toarray().all()


def test_select_keeps_both_branches_and_not_the_condition() -> None:
    builder = TapeBuilder()
    x = builder.inputs(5)
    tape = builder.freeze(
        builder.select(
            x[4:], builder.binary(OPCODE["pow"], x[:1], x[1:2]), builder.binary(OPCODE["mul"], x[2:3], x[3:4])
        )
    )
    assert rows(jacobian_pattern(tape)) == "11110"
    assert rows(hessian_pattern(tape)) == "11000;11000;00010;00100;00000"
    for condition, taken in ((1.0, "11000;11000;00000;00000;00000"), (0.0, "00000;00000;00010;00100;00000")):
        flags = local_flags(tape, evaluate(tape, np.array([2.0, 3.0, 4.0, 5.0, condition])), "piecewise")
        assert rows(hessian_pattern(tape, flags)) == taken


@pytest.mark.parametrize(
    ("name", "point", "expected"),
    [
        ("mul", (1, 1), "11"),
        ("mul", (1, 0), "01"),
        ("mul", (0, 1), "10"),
        ("mul", (0, 0), "00"),
        ("div", (1, 1), "11"),
        ("div", (0, 1), "10"),
        ("max", (1, 2), "01"),
        ("max", (2, 1), "10"),
        ("max", (1, 1), "11"),
        ("min", (1, 2), "10"),
        ("min", (2, 1), "01"),
        ("min", (1, 1), "11"),
        ("mod", (-0.5, 1), "11"),  # upstream's rule misses the second entry: the signs differ
        ("mod", (0.5, 1), "10"),
        ("fmod", (-0.5, 1), "10"),
        ("fmod", (2.5, -1), "11"),
    ],
)
def test_local_jacobian(name: str, point: tuple[float, float], expected: str) -> None:
    builder = TapeBuilder()
    x = builder.inputs(2)
    tape = builder.freeze(builder.binary(OPCODE[name], x[:1], x[1:]))
    assert rows(jacobian_pattern(tape, local_flags(tape, evaluate(tape, np.array(point, dtype=float))))) == expected


def test_local_hessian_keeps_the_cross_term_of_a_product_of_zeros() -> None:
    builder = TapeBuilder()
    x = builder.inputs(2).tolist()
    tape = builder.freeze([emit(builder, "mul", emit(builder, "mul", *x), builder.constant(3.0))])
    flags = local_flags(tape, evaluate(tape, np.zeros(2)))
    assert rows(jacobian_pattern(tape, flags)) == "00"
    assert rows(hessian_pattern(tape, flags)) == "01;10"


def test_maskings_differ_at_a_coincidental_zero() -> None:
    builder = TapeBuilder()
    x = builder.inputs(2).tolist()
    tape = builder.freeze([emit(builder, "square", x[0]), emit(builder, "mul", *x)])
    values = evaluate(tape, np.array([0.0, 1.0]))
    found = {masking: rows(jacobian_pattern(tape, local_flags(tape, values, masking))) for masking in MASKINGS}
    assert found == {"sct": "10;10", "piecewise": "10;11", "all": "00;10"}
    assert rows(hessian_pattern(tape, local_flags(tape, values, "all"))) == "11;10"


def test_black_box_with_dead_first_output() -> None:
    builder = TapeBuilder()
    x = builder.inputs(3)
    call = builder.call(Surface(3), x)
    tape = builder.freeze(call[1:])
    assert rows(jacobian_pattern(tape)) == "101;000"
    # the Hessian of a call is known for all its outputs together
    assert rows(hessian_pattern(tape)) == "010;100;001"


def test_long_rows_are_sorted() -> None:
    rng = np.random.default_rng(0)
    builder = TapeBuilder()
    x = builder.inputs(100_000)
    dense, sparse = rng.permutation(x)[:90_000], rng.permutation(x)[:300]
    tape = builder.freeze(np.concatenate([total(builder, dense), total(builder, sparse)]))
    pattern = jacobian_pattern(tape)
    np.testing.assert_array_equal(pattern.indices, np.concatenate([np.sort(dense), np.sort(sparse)]))


# -- cost ----------------------------------------------------------------------------------------------------------------


def sum_of_squares(n: int) -> Tape:
    builder = TapeBuilder()
    return builder.freeze(total(builder, builder.unary(OPCODE["square"], builder.inputs(n))))


def chain_of_squares(n: int) -> Tape:
    builder = TapeBuilder()
    x = builder.inputs(n).tolist()
    s = emit(builder, "square", x[0])
    for j in x[1:]:
        s = emit(builder, "add", s, emit(builder, "square", j))
    return builder.freeze([s])


def arrow(n: int) -> Tape:
    builder = TapeBuilder()
    x = builder.inputs(n)
    hub = np.broadcast_to(x[:1], n - 1)
    spokes = builder.binary(OPCODE["mul"], x[1:], hub)
    return builder.freeze(np.concatenate([total(builder, builder.unary(OPCODE["square"], x)), spokes]))


def shared_state(n: int) -> Tape:
    """Every output uses the last state of one long recursion."""
    builder = TapeBuilder()
    x = builder.inputs(n)
    s = int(x[0])
    for _ in range(n):
        s = emit(builder, "min", s, emit(builder, "abs", s))
    return builder.freeze(builder.binary(OPCODE["mul"], x, np.full(n, s)))


@pytest.mark.parametrize("which", ["jacobian", "hessian"])
@pytest.mark.parametrize("model", [sum_of_squares, chain_of_squares, arrow, shared_state])
def test_work_grows_linearly(model, which: str) -> None:
    small, large = work(model(500), which), work(model(4000), which)
    assert large <= 16 * small  # 8, or twice that where the pool grows at one size and not at the other
    assert large <= 50 * 4000


@pytest.mark.parametrize("wrap", ["sin", "exp"])
def test_nonlinear_recursion_costs_its_pattern(wrap: str) -> None:
    # The n-by-n Hessian is dense; a product of sets for every step would make this cubic.
    def recursion(n: int) -> Tape:
        builder = TapeBuilder()
        x = builder.inputs(n).tolist()
        s = x[0]
        for j in x[1:]:
            s = emit(builder, wrap, emit(builder, "add", s, j))
        return builder.freeze([s])

    def logistic(n: int) -> Tape:
        builder = TapeBuilder()
        x = builder.inputs(n).tolist()
        s = x[0]
        for j in x[1:]:
            s = emit(builder, "mul", s, emit(builder, "sub", j, s))
        return builder.freeze([s])

    assert work(recursion(400), "hessian") <= 3 * 400**2
    assert work(logistic(400), "hessian") <= 10 * 400**2
    assert hessian_pattern(recursion(50)).toarray().all()
    assert hessian_pattern(logistic(50)).toarray().sum() == 50**2 - 1


def test_dense_residuals_are_coupled_once() -> None:
    rng = np.random.default_rng(1)
    builder = TapeBuilder()
    x = builder.inputs(100)
    residuals = np.concatenate([total(builder, rng.permutation(x)) for _ in range(200)])
    tape = builder.freeze(total(builder, builder.unary(OPCODE["square"], residuals)))
    assert hessian_pattern(tape).nnz == 100**2
    assert work(tape, "hessian") <= 100_000  # 200 * 100**2 pairs otherwise


# -- bad input -----------------------------------------------------------------------------------------------------------


def test_detectors_check_their_options() -> None:
    with pytest.raises(TracingError, match="constants='sloppy' is not known; use one of 'exact', 'conservative'"):
        TracerSparsityDetector(constants="sloppy")
    with pytest.raises(TracingError, match="masking='none' is not known; use one of 'sct', 'piecewise', 'all'"):
        TracerLocalSparsityDetector(masking="none")
    with pytest.raises(TracingError, match="constants="):
        TracerLocalSparsityDetector(constants=None)
    assert TracerLocalSparsityDetector() == TracerLocalSparsityDetector("sct", "exact")


def test_flags_and_values_must_belong_to_the_tape() -> None:
    tape = sum_of_squares(3)
    with pytest.raises(ShapeError, match=r"one value per node, shape \(7,\), not \(3,\)"):
        local_flags(tape, np.zeros(3))
    with pytest.raises(ShapeError, match="flags must be uint8"):
        jacobian_pattern(tape, np.zeros(7))
    with pytest.raises(TracingError, match="masking='everything'"):
        local_flags(tape, np.zeros(7), "everything")


def test_patterns_too_large_name_their_cause(monkeypatch) -> None:
    monkeypatch.setattr(detection, "MAX_ENTRIES", 2000)
    builder = TapeBuilder()
    x = builder.inputs(100)
    whole = total(builder, x)
    with pytest.raises(PatternError, match="operator 'exp' couples 100 variables with 100"):
        hessian_pattern(builder.freeze(builder.unary(OPCODE["exp"], whole)))
    halves = [total(builder, x[:50]), total(builder, x[50:])]
    with pytest.raises(PatternError, match="operator 'mul' couples 50 variables with 50"):
        hessian_pattern(builder.freeze(builder.binary(OPCODE["mul"], *halves)))
    call = builder.call(Surface(2), np.concatenate(halves))
    with pytest.raises(PatternError, match="operator 'blackbox' couples 50 variables with 50"):
        hessian_pattern(builder.freeze(call))
    dense = builder.affine(np.full(100, 100), np.tile(x, 100), np.ones(10_000), np.ones(100))
    with pytest.raises(PatternError, match=r"more than 2000 structural nonzeros.*take"):
        jacobian_pattern(builder.freeze(dense))
