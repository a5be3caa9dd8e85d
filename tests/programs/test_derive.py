"""Structure and expressions of single programs; values are tested through the engine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from sct_opt.detection import hessian_pattern, jacobian_pattern
from sct_opt.ops import OPCODE
from sct_opt.programs.cluster import discover
from sct_opt.programs.derive import Expressions, TooLargeError, structure
from sct_opt.tape import Tape, TapeBuilder
from tests.random_tapes import Program, programs


def single(code: str, *constants: float) -> Tape:
    builder = TapeBuilder()
    x = builder.inputs(2 - len(constants))
    ids = [*x.tolist(), *(builder.constant(c) for c in constants)]
    return builder.freeze([builder.emit2(OPCODE[code], *ids)])


def test_only_structural_nonzeros_have_expressions() -> None:
    program = discover(single("atan2")).programs[0]
    expressions = Expressions(program, [])
    assert sorted(expressions.gradient(0)) == [0, 1]
    assert sorted(expressions.hessian([expressions.graph.leaf("w", 0)])) == [(0, 0), (1, 0), (1, 1)]
    product = Expressions(discover(single("mul")).programs[0], [])
    assert sorted(product.hessian([product.graph.leaf("w", 0)])) == [(1, 0)]


def test_whole_powers_need_no_pow() -> None:
    program = discover(single("powc", 3.0)).programs[0]
    expressions = Expressions(program, [3.0])
    expressions.gradient(0)
    expressions.hessian([expressions.graph.leaf("w", 0)])
    assert not any(node[0] == "pow" for node in expressions.graph.nodes)


def test_expressions_that_outgrow_the_limit_raise() -> None:
    program = discover(single("atan2")).programs[0]
    with pytest.raises(TooLargeError):
        Expressions(program, [], limit=3).gradient(0)


@settings(max_examples=150, deadline=None)
@given(programs(black_boxes=False))
def test_patterns_of_programs_are_those_of_detection(drawn: Program) -> None:
    tape = drawn.tape
    found = discover(tape)
    jacobian = np.zeros((tape.num_outputs, tape.num_inputs), dtype=bool)
    hessian = np.zeros((tape.num_inputs, tape.num_inputs), dtype=bool)
    jacobian[found.split.linear_row, found.split.linear_input] = True
    for program in found.programs:
        first, second = structure(program)
        starts = np.cumsum([0, *program.widths])
        for root, slot in first:
            for row in program.target_row[starts[root] : starts[root + 1]]:
                there = row < tape.num_outputs
                jacobian[row[there], program.inputs[slot][there]] = True
        for i, j in second:
            hessian[program.inputs[i], program.inputs[j]] = True
            hessian[program.inputs[j], program.inputs[i]] = True
    if found.leftover.size == 0:
        np.testing.assert_array_equal(jacobian, jacobian_pattern(tape).toarray())
        np.testing.assert_array_equal(hessian, hessian_pattern(tape).toarray())
