"""Building and freezing tapes: folding, simplification under both policies, dead nodes, restriction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from sct_opt.errors import ShapeError, TracingError
from sct_opt.ops import AFFINE, BLACKBOX, FLAG_A, FLAG_AB, FLAG_B, OPCODE, OPS
from sct_opt.tape import TapeBuilder
from tests.random_tapes import Program, Surface, evaluate, programs

ADD, SUB, MUL, DIV, POW = (OPCODE[name] for name in ("add", "sub", "mul", "div", "pow"))


def names(tape) -> list[str]:
    return [OPS[code].name for code in tape.opcode[tape.first_operation :]]


@pytest.mark.parametrize(
    ("code", "side", "number", "expected"),
    [
        (MUL, 0, 0.0, "constant"),
        (MUL, 1, 1.0, "same"),
        (MUL, 0, -1.0, "neg"),
        (ADD, 1, 0.0, "same"),
        (SUB, 0, 0.0, "neg"),
        (DIV, 0, 1.0, "reciprocal"),
        (DIV, 1, 2.0, "div"),
        (POW, 1, 0.0, "constant"),
        (POW, 1, 1.0, "same"),
        (POW, 1, 2.0, "square"),
        (POW, 1, 3.0, "powc"),
        (POW, 0, 3.0, "cpow"),
    ],
)
def test_simplification_is_the_same_for_scalars_and_blocks(code: int, side: int, number: float, expected: str) -> None:
    for block in (False, True):
        builder = TapeBuilder()
        x = builder.inputs(1)
        constant = builder.constant(number)
        if block:
            pair = [x, np.array([constant], dtype=np.int32)]
            (out,) = builder.binary(code, *(pair if side else pair[::-1]))
        else:
            pair = [int(x[0]), constant]
            out = builder.emit2(code, *(pair if side else pair[::-1]))
        tape = builder.freeze([out])
        if expected == "same":
            assert tape.outputs.tolist() == [0]
        elif expected == "constant":
            assert names(tape) == []
            assert tape.outputs[0] == tape.num_inputs
        else:
            assert names(tape) == [expected]


def test_conservative_policy_keeps_what_a_zero_factor_hides() -> None:
    builder = TapeBuilder(constants="conservative")
    x = builder.inputs(1)
    zero = np.array(builder.constant(0.0))
    outputs = np.concatenate([builder.binary(MUL, zero, x), builder.binary(POW, x, zero)])
    assert names(builder.freeze(outputs)) == ["mul", "powc"]


def test_blocks_of_mixed_constants_fold_entry_by_entry() -> None:
    builder = TapeBuilder()
    x = builder.inputs(3)
    mixed = np.concatenate([x[:1], builder.constants(np.array([0.0, 5.0]))])
    out = builder.binary(MUL, mixed, np.concatenate([x[1:2], x[2:], builder.constants(np.array([2.0]))]))
    tape = builder.freeze(out)
    np.testing.assert_array_equal(evaluate(tape, np.array([2.0, 3.0, 4.0]))[tape.outputs], [6.0, 0.0, 10.0])
    assert names(tape) == ["mul"]


def test_signed_zeros_stay_apart() -> None:
    builder = TapeBuilder()
    assert builder.constant(0.0) != builder.constant(-0.0)
    assert builder.constant(2.0) == builder.constant(2.0)


def test_freeze_drops_what_no_output_needs_and_keeps_all_leaves() -> None:
    builder = TapeBuilder()
    x = builder.inputs(3)
    builder.parameter(1.5)
    builder.unary(OPCODE["sin"], x)
    kept = builder.unary(OPCODE["cos"], x[1:2])
    tape = builder.freeze(kept)
    assert (tape.num_inputs, tape.num_parameters, names(tape)) == (3, 1, ["cos"])


def test_affine_rows_fold_constants_and_drop_zero_coefficients() -> None:
    builder = TapeBuilder()
    x = builder.inputs(2)
    two = builder.constant(2.0)
    args = np.array([x[0], two, x[1], x[0], x[1], two], dtype=np.int32)
    rows = builder.affine(
        np.array([3, 1, 1, 1]), args, np.array([3.0, 5.0, 0.0, 1.0, 4.0, 7.0]), np.array([1.0, 0.0, 0.0, 0.0])
    )
    tape = builder.freeze(rows)
    np.testing.assert_array_equal(evaluate(tape, np.array([10.0, 20.0]))[tape.outputs], [41.0, 10.0, 80.0, 14.0])
    assert names(tape) == ["affine", "affine"]
    assert tape.row_arg.size == 2


def test_affine_rows_that_do_not_fit_are_refused() -> None:
    builder = TapeBuilder()
    with pytest.raises(ShapeError, match="affine rows do not fit"):
        builder.affine(np.array([2]), builder.inputs(1), np.ones(1), np.zeros(1))


def test_select_with_a_known_condition_is_its_branch() -> None:
    builder = TapeBuilder()
    x = builder.inputs(2)
    condition = builder.constants(np.array([1.0, 0.0]))
    out = builder.select(condition, x[:1], x[1:])
    assert builder.freeze(out).outputs.tolist() == [0, 1]


def test_outputs_of_one_black_box_stay_together() -> None:
    builder = TapeBuilder()
    x = builder.inputs(3)
    builder.unary(OPCODE["sin"], x)
    out = builder.call(Surface(3), x)
    tape = builder.freeze(out[1:2])
    assert (tape.opcode == BLACKBOX).sum() == 3
    assert len(tape.sites) == 1
    assert tape.outputs[0] == tape.sites[0].first + 1
    assert builder.freeze(x).sites == ()


def test_a_call_without_outputs_leaves_nothing() -> None:
    class Nothing(Surface):
        num_outputs = 0

    builder = TapeBuilder()
    x = builder.inputs(2)
    nothing = Nothing(2)
    object.__setattr__(nothing, "num_outputs", 0)
    assert builder.call(nothing, x).shape == (0,)
    assert builder.freeze(x).sites == ()


@settings(max_examples=60, deadline=None)
@given(programs())
def test_restriction_evaluates_like_the_whole(program: Program) -> None:
    tape, x = program.tape, program.x
    whole = evaluate(tape, x)[tape.outputs]
    for chosen in ([0], slice(1, None), list(range(tape.num_outputs))[::-1], []):
        part = tape.restrict(chosen)
        np.testing.assert_array_equal(evaluate(part, x)[part.outputs], whole[chosen])
        assert part.size <= tape.size
        assert (part.num_inputs, part.num_parameters) == (tape.num_inputs, tape.num_parameters)


@settings(max_examples=60, deadline=None)
@given(programs())
def test_arguments_precede_their_users_and_leaves_come_first(program: Program) -> None:
    tape = program.tape
    operations = np.arange(tape.first_operation, tape.size)
    plain = operations[np.isin(tape.opcode[operations], [c for c, op in enumerate(OPS) if op.arity in (1, 2)])]
    assert (tape.arg0[plain] < plain).all()
    assert (tape.arg1[plain] < plain).all()
    for i in operations[tape.opcode[operations] == AFFINE]:
        row = tape.arg0[i]
        assert (tape.row_arg[tape.row_ptr[row] : tape.row_ptr[row + 1]] < i).all()


def test_edge_flags_ignore_arguments_without_inputs() -> None:
    builder = TapeBuilder()
    x = builder.inputs(2)
    p = builder.parameter_block(np.array([3.0]))
    out = np.concatenate([builder.binary(MUL, x[:1], p), builder.binary(MUL, x[:1], x[1:])])
    tape = builder.freeze(out)
    assert tape.edge_flags()[tape.outputs].tolist() == [FLAG_A, FLAG_A | FLAG_B | FLAG_AB]


def test_local_builder_knows_every_value() -> None:
    builder = TapeBuilder(local=True)
    x = builder.inputs(2, np.array([2.0, 3.0]))
    product = builder.binary(MUL, x[:1], x[1:])
    total = builder.affine(np.array([2]), np.concatenate([product, x[:1]]), np.array([1.0, 10.0]), np.ones(1))
    branch = builder.select(builder.binary(OPCODE["lt"], x[:1], x[1:]), total, product)
    assert builder.value(np.concatenate([product, total, branch])).tolist() == [6.0, 27.0, 27.0]
    assert builder.value(np.array(builder.emit2(ADD, int(x[0]), builder.constant(1.0)))) == 3.0


def test_instruction_lists_are_global_only() -> None:
    with pytest.raises(TracingError, match="cannot be traced locally"):
        TapeBuilder(local=True).nodes(np.array([ADD]), np.array([0]), np.array([0]))
