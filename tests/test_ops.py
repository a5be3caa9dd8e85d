"""Every row of the operator table proves itself: partials against differences at signed points, in NumPy and in Numba."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from sct_opt import sweep_kernels
from sct_opt.errors import UnsupportedOperatorError
from sct_opt.ops import (
    FIRST_SPECIAL,
    FLAG_A,
    FLAG_AA,
    FLAG_AB,
    FLAG_B,
    FLAG_BB,
    OPCODE,
    OPS,
    UFUNC,
    Op,
    array_function,
    opcode,
    structural_flags,
)
from sct_opt.sweeps import Sweeps
from sct_opt.tape import TapeBuilder

ROWS = [pytest.param(op, id=op.name) for op in OPS if op.arity in (1, 2)]
# "stop" passes the value on and hides the derivative on purpose.
DIFFERENTIABLE = [row for row in ROWS if row.id != "stop"]
STEP = 1e-5


def signed_points(op: Op, count: int = 60) -> list[np.ndarray]:
    """Random signed arguments at which the row's value is finite in a neighbourhood, of several magnitudes."""
    rng = np.random.default_rng(OPCODE[op.name])
    scales = np.array([0.4, 1.5, 4.0])
    points = rng.uniform(-1.0, 1.0, size=(op.arity, 4000)) * rng.choice(scales, size=4000)
    keep = np.ones(4000, dtype=bool)
    for shift in (-2 * STEP, 0.0, 2 * STEP):
        keep &= np.isfinite(op.evaluate(*(points + shift)))
    # Away from the singular points of derivatives, where differences say nothing.
    keep &= (np.abs(points) > 0.05).all(axis=0)
    kept = points[:, keep][:, :count]
    assert kept.shape[1] >= 20, f"no points in the domain of {op.name}"
    return list(kept)


def value_and_partials(
    op: Op, args: list[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray | None], list[np.ndarray | None]]:
    value = op.evaluate(*args)

    def partial(expression: str | None) -> np.ndarray | None:
        return (
            None
            if expression is None
            else np.broadcast_to(array_function(expression, op.arity)(*args, value), value.shape)
        )

    return value, [partial(e) for e in op.d], [partial(e) for e in op.dd]


def shifted(args: list[np.ndarray], k: int, step: float) -> list[np.ndarray]:
    return [a + step if j == k else a for j, a in enumerate(args)]


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_first_partials_match_differences(op: Op) -> None:
    args = signed_points(op)
    value, first, _ = value_and_partials(op, args)
    for k in range(op.arity):
        if op.name in ("powc", "cpow") and first[k] is None:
            continue  # that argument never depends on x
        plus, minus = op.evaluate(*shifted(args, k, STEP)), op.evaluate(*shifted(args, k, -STEP))
        difference = (plus - minus) / (2 * STEP)
        # No jump, kink or pole inside or close to the stencil.
        wider = (op.evaluate(*shifted(args, k, 2 * STEP)) - op.evaluate(*shifted(args, k, -2 * STEP))) / (4 * STEP)
        smooth = np.abs(plus - 2 * value + minus) < 1e-3 * (1 + np.abs(value))
        smooth &= np.abs(wider - difference) < 1e-4 * (1 + np.abs(difference))
        expected = np.zeros_like(value) if first[k] is None else first[k]
        assert smooth.mean() > 0.8
        np.testing.assert_allclose(expected[smooth], difference[smooth], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("op", ROWS)
def test_second_partials_match_differences(op: Op) -> None:
    args = signed_points(op)
    _, first, second = value_and_partials(op, args)
    pairs = [(0, 0)] if op.arity == 1 else [(0, 0), (0, 1), (1, 1)]
    for (j, k), expected in zip(pairs, second, strict=True):
        if first[j] is None:
            assert expected is None
            continue
        plus = np.asarray(value_and_partials(op, shifted(args, k, STEP))[1][j])
        minus = np.asarray(value_and_partials(op, shifted(args, k, -STEP))[1][j])
        smooth = np.abs(plus - minus) < 1e-3 * (1 + np.abs(plus))
        if (op.name == "powc" and k == 1) or (op.name == "cpow" and k == 0):
            continue
        numbers = np.zeros_like(args[0]) if expected is None else expected
        np.testing.assert_allclose(numbers[smooth], ((plus - minus) / (2 * STEP))[smooth], rtol=5e-5, atol=5e-5)


@pytest.mark.parametrize("op", ROWS)
def test_compiled_sweep_equals_the_numpy_reading(op: Op) -> None:
    args = signed_points(op, count=20)
    value, first, second = value_and_partials(op, args)
    builder = TapeBuilder()
    x = builder.inputs(op.arity * 20).reshape(op.arity, 20)
    code = OPCODE[op.name]
    y = builder.unary(code, x[0]) if op.arity == 1 else builder.binary(code, x[0], x[1])
    sweeps = Sweeps(builder.freeze(y))
    values = sweeps.linearise(np.concatenate(args), order=2)
    np.testing.assert_allclose(values[sweeps.tape.outputs], value, rtol=1e-13, atol=1e-300)
    for k, expected in enumerate(first):
        if expected is not None:
            np.testing.assert_allclose(sweeps._partials[sweeps.tape.outputs, k], expected, rtol=1e-12, atol=1e-300)
    for k, expected in enumerate(second):
        if expected is not None:
            np.testing.assert_allclose(sweeps._second[sweeps.tape.outputs, k], expected, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in OPS if op.numpy])
def test_values_are_those_of_numpy(op: Op) -> None:
    args = signed_points(op)
    for name in op.numpy:
        np.testing.assert_allclose(op.evaluate(*args), getattr(np, name)(*args).astype(float), rtol=1e-14)


@pytest.mark.parametrize("op", ROWS)
def test_flags_follow_the_partials(op: Op) -> None:
    flags = structural_flags()[OPCODE[op.name]]
    assert [bool(flags & FLAG_A), bool(flags & FLAG_B)][: op.arity] == [e is not None for e in op.d]
    bits = (FLAG_AA,) if op.arity == 1 else (FLAG_AA, FLAG_AB, FLAG_BB)
    assert [bool(flags & bit) for bit in bits] == [e is not None for e in op.dd]


def test_local_rules_keep_both_at_a_tie_and_drop_the_strict_loser() -> None:
    low, high = (array_function(e, 2) for e in OPS[OPCODE["max"]].piecewise if e)
    assert [bool(low(1.0, 2.0)), bool(high(1.0, 2.0))] == [False, True]
    assert [bool(low(1.0, 1.0)), bool(high(1.0, 1.0))] == [True, True]


def test_local_mod_rule_holds_for_opposite_signs() -> None:
    rule = OPS[OPCODE["mod"]].piecewise[1]
    assert rule is not None
    assert bool(array_function(rule, 2)(-0.5, 1.0))  # -0.5 mod 1 = 0.5 = -0.5 + 1*1: depends on the divisor
    assert not bool(array_function(rule, 2)(0.5, 1.0))


def test_every_ufunc_name_exists() -> None:
    for name in UFUNC:
        assert hasattr(np, name) or hasattr(scipy.special, name), name


def test_opcodes_fit_a_byte_and_names_are_unique() -> None:
    assert len(OPS) <= 255
    assert len(OPCODE) == len(OPS)


def test_unknown_operator_names_the_mend() -> None:
    with pytest.raises(UnsupportedOperatorError, match="add a row"):
        opcode("frobnicate")


def test_rows_of_special_functions_have_addresses() -> None:
    used = [OPCODE["sin"], OPCODE["gammaln"], OPCODE["jv"]]
    addresses = sweep_kernels.row_addresses(np.array(used, dtype=np.uint8))
    assert np.flatnonzero(addresses).tolist() == [OPCODE["gammaln"] - FIRST_SPECIAL, OPCODE["jv"] - FIRST_SPECIAL]
