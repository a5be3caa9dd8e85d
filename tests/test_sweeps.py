"""Sweeps against dense forward propagation in plain Python, and what infinities do to their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sct_opt import sweeps as sweeps_module
from sct_opt.errors import ShapeError
from sct_opt.ops import OPCODE
from sct_opt.sweeps import Sweeps, evaluate_nodes
from sct_opt.tape import Tape, TapeBuilder
from tests.random_tapes import Program, derivatives, evaluate, programs

TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}


@settings(max_examples=150, deadline=None)
@given(programs())
def test_values_tangents_adjoints_and_second_order_match_the_oracle(program: Program) -> None:
    tape, x = program.tape, program.x
    values, jacobian, hessians = derivatives(tape, x)
    sweeps = Sweeps(tape)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(tape.num_outputs)
    seed = rng.standard_normal((tape.num_inputs, 3))
    np.testing.assert_allclose(evaluate_nodes(tape, x), evaluate(tape, x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(sweeps.outputs(x), values, **TOLERANCE)
    np.testing.assert_allclose(sweeps.tangents(x, seed), jacobian @ seed, **TOLERANCE)
    np.testing.assert_allclose(sweeps.adjoints(x, np.eye(tape.num_outputs)), jacobian.T, **TOLERANCE)
    expected = np.tensordot(weights, hessians, axes=1) @ seed
    np.testing.assert_allclose(sweeps.second_order(x, weights, seed), expected, **TOLERANCE)


@settings(max_examples=20, deadline=None)
@given(programs(), st.integers(1, 3))
def test_lanes_in_several_sweeps_give_the_same(program: Program, lanes_at_once: int) -> None:
    tape, x = program.tape, program.x
    weights = np.ones(tape.num_outputs)
    expected = Sweeps(tape).second_order(x, weights, np.eye(tape.num_inputs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps_module, "LANE_BYTES", 16 * tape.size * lanes_at_once)
        split = Sweeps(tape).second_order(x, weights, np.eye(tape.num_inputs))
    np.testing.assert_array_equal(split, expected)


def quotient_of_parameters() -> tuple[TapeBuilder, Tape]:
    builder = TapeBuilder()
    x = builder.inputs(1)
    p = builder.parameter_block(np.array([2.0]))
    return builder, builder.freeze(builder.binary(OPCODE["div"], x, p))


def test_parameters_change_without_a_new_trace() -> None:
    _, tape = quotient_of_parameters()
    sweeps = Sweeps(tape)
    x = np.array([6.0])
    assert sweeps.outputs(x) == [3.0]
    assert sweeps.tangents(x, np.ones((1, 1))) == [[0.5]]
    sweeps.parameters[0] = 3.0
    assert sweeps.outputs(x) == [2.0]
    assert sweeps.tangents(x, np.ones((1, 1))) == pytest.approx(1 / 3)
    assert tape.parameters[0] == 2.0, "the tape itself does not change"


def test_an_infinite_partial_spoils_only_its_own_entry() -> None:
    builder = TapeBuilder()
    x = builder.inputs(2)
    root = builder.unary(OPCODE["sqrt"], x[:1])
    y = builder.binary(OPCODE["add"], root, builder.unary(OPCODE["square"], x[1:]))
    sweeps = Sweeps(builder.freeze(y))
    point = np.array([0.0, 3.0])
    np.testing.assert_array_equal(sweeps.tangents(point, np.eye(2)), [[np.inf, 6.0]])
    np.testing.assert_array_equal(sweeps.adjoints(point, np.ones((1, 1))), [[np.inf], [6.0]])
    np.testing.assert_array_equal(sweeps.second_order(point, np.ones(1), np.eye(2)), [[-np.inf, 0.0], [0.0, 2.0]])
    np.testing.assert_array_equal(sweeps.second_order(point, np.zeros(1), np.eye(2)), np.zeros((2, 2)))


def test_a_derivative_of_the_logarithm_in_a_dead_branch_does_no_harm() -> None:
    builder = TapeBuilder()
    x = builder.inputs(1)
    positive = builder.binary(OPCODE["gt"], x, np.array(builder.constant(0.0)))
    y = builder.select(positive, builder.unary(OPCODE["log"], x), x)
    sweeps = Sweeps(builder.freeze(y))
    assert sweeps.outputs(np.array([-2.0])) == [-2.0]
    assert sweeps.tangents(np.array([-2.0]), np.ones((1, 1))) == [[1.0]]
    assert sweeps.adjoints(np.array([-2.0]), np.ones((1, 1))) == [[1.0]]


def test_points_are_told_apart_and_nan_is_never_taken_for_known() -> None:
    builder = TapeBuilder()
    sweeps = Sweeps(builder.freeze(builder.unary(OPCODE["square"], builder.inputs(1))))
    assert sweeps.outputs(np.array([2.0])) == [4.0]
    assert np.isnan(sweeps.outputs(np.array([np.nan]))).all()
    assert np.isnan(sweeps.outputs(np.array([np.nan]))).all()
    assert sweeps.outputs(np.array([3.0])) == [9.0]


def test_wrong_shape_is_refused() -> None:
    _, tape = quotient_of_parameters()
    with pytest.raises(ShapeError, match="traced with 1 inputs"):
        Sweeps(tape).outputs(np.zeros(2))


def test_no_outputs_and_no_inputs() -> None:
    builder = TapeBuilder()
    builder.inputs(2)
    sweeps = Sweeps(builder.freeze([]))
    assert sweeps.outputs(np.zeros(2)).shape == (0,)
    assert sweeps.tangents(np.zeros(2), np.eye(2)).shape == (0, 2)
    assert sweeps.adjoints(np.zeros(2), np.zeros((0, 1))).tolist() == [[0.0], [0.0]]
    empty = TapeBuilder()
    assert Sweeps(empty.freeze([empty.constant(4.0)])).outputs(np.zeros(0)).tolist() == [4.0]
