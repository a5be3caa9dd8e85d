"""Splitting must not change what the outputs are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from sct_opt.ops import OPCODE
from sct_opt.programs.split import Split, split_outputs, walkable
from sct_opt.tape import Tape, TapeBuilder
from tests.programs.problems import cart_pole, luksan_vlcek
from tests.random_tapes import Program, evaluate, programs


def recombined(tape: Tape, split: Split, x: np.ndarray) -> np.ndarray:
    nodes = evaluate(tape, x)
    out = split.constant.copy()
    np.add.at(out, split.linear_row, split.linear_coef * x[split.linear_input])
    np.add.at(out, split.target_row, split.target_coef * nodes[split.roots[split.target_root]])
    return out


@settings(max_examples=150, deadline=None)
@given(programs())
def test_outputs_are_the_sums_they_were_split_into(program: Program) -> None:
    split = split_outputs(walkable(program.tape))
    expected = evaluate(program.tape, program.x)[program.tape.outputs]
    np.testing.assert_allclose(recombined(program.tape, split, program.x), expected, rtol=1e-12, atol=1e-12)


def test_a_separable_sum_comes_apart() -> None:
    tape, x = luksan_vlcek(200)
    split = split_outputs(walkable(tape))
    assert np.count_nonzero(split.target_row == 0) == 199
    np.testing.assert_allclose(recombined(tape, split, x), evaluate(tape, x)[tape.outputs], rtol=1e-13)


def test_a_chain_of_additions_comes_apart_into_its_addends() -> None:
    builder = TapeBuilder()
    x = builder.inputs(60).tolist()
    total = builder.emit1(OPCODE["sin"], x[0])
    for i in x[1:]:
        total = builder.emit2(OPCODE["add"], total, builder.emit1(OPCODE["sin"], i))
    tape = builder.freeze([total])
    split = split_outputs(walkable(tape))
    assert split.roots.size == 60
    assert set(tape.opcode[split.roots].tolist()) == {OPCODE["sin"]}


def test_terms_that_several_outputs_add_are_evaluated_once() -> None:
    tape, x = cart_pole(30)
    split = split_outputs(walkable(tape))
    counts = np.bincount(split.target_root)
    accelerations = counts[split.dissolved]
    assert sorted(set(accelerations.tolist())) == [1, 2]
    assert np.count_nonzero(accelerations == 2) == 2 * 29
    np.testing.assert_allclose(recombined(tape, split, x), evaluate(tape, x)[tape.outputs], rtol=1e-12, atol=1e-14)


def test_long_linear_recursions_are_not_expanded_without_bound() -> None:
    builder = TapeBuilder()
    x = builder.inputs(1).tolist()[0]
    state = x
    outputs = []
    for _ in range(20000):
        state = builder.emit2(OPCODE["add"], builder.emit_right(OPCODE["mul"], state, 0.5), x)
        outputs.append(state)
    tape = builder.freeze(outputs)
    split = split_outputs(walkable(tape))
    point = np.array([2.0])
    np.testing.assert_allclose(recombined(tape, split, point), evaluate(tape, point)[tape.outputs], rtol=1e-12)
