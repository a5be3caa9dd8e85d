"""Merging equal operations changes neither values nor patterns, and makes models alike however they were written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from sct_opt.custom import custom_op
from sct_opt.derivatives import Derivatives
from sct_opt.detection import hessian_pattern, jacobian_pattern
from sct_opt.ops import AFFINE, OPCODE
from sct_opt.programs import EngineOptions, merge, merge_kernels
from sct_opt.programs.cluster import discover
from sct_opt.programs.merge import merged
from sct_opt.tape import Tape, TapeBuilder
from tests.programs.problems import luksan_vlcek, traced
from tests.programs.test_engine import assert_same
from tests.random_tapes import Program, evaluate, programs


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merge whatever is equal."""
    monkeypatch.setattr(merge, "WORTH_MERGING", 0.0)
    monkeypatch.setattr(merge, "WORTH_SHARING", 0)


@pytest.mark.usefixtures("always")
@settings(max_examples=150)
@given(programs())
def test_merged_tapes_mean_the_same(program: Program) -> None:
    tape = merged(program.tape)
    assert tape.size <= program.tape.size
    expected = evaluate(program.tape, program.x)[program.tape.outputs]
    np.testing.assert_array_equal(evaluate(tape, program.x)[tape.outputs], expected)
    assert jacobian_pattern(tape) == jacobian_pattern(program.tape)
    assert hessian_pattern(tape) == hessian_pattern(program.tape)


@pytest.mark.usefixtures("always")
@settings(max_examples=60)
@given(programs())
def test_derivatives_after_merging(program: Program) -> None:
    assert_same(Derivatives(program.tape, options=EngineOptions(mode="programs")), program.x, 1e-10)


def twice(emit: Any) -> Tape:
    """A tape whose two outputs are built by the same calls, one after the other."""
    builder = TapeBuilder()
    x = builder.inputs(3)
    return builder.freeze(np.concatenate([np.atleast_1d(emit(builder, x)) for _ in range(2)]))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    "emit",
    [
        lambda b, x: b.unary(OPCODE["sin"], x[:1]),
        lambda b, x: b.binary(OPCODE["mul"], x[:1], x[1:2]),
        lambda b, x: b.binary(OPCODE["pow"], x[:1], b.constants(np.array([2.5]))),
        lambda b, x: b.affine([3], x, [1.0, 2.0, 3.0], [4.0]),
        lambda b, x: b.select(b.binary(OPCODE["lt"], x[:1], x[1:2]), x[1:2], x[2:]),
    ],
)
def test_equal_operations_become_one(emit: Any) -> None:
    tape = merged(twice(emit))
    assert tape.outputs[0] == tape.outputs[1]


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        (
            lambda b, x: b.binary(OPCODE["add"], x[:1], x[1:2]),
            lambda b, x: b.binary(OPCODE["add"], x[1:2], x[:1]),
            True,
        ),
        (
            lambda b, x: b.binary(OPCODE["sub"], x[:1], x[1:2]),
            lambda b, x: b.binary(OPCODE["sub"], x[1:2], x[:1]),
            False,
        ),
        (
            lambda b, x: b.affine([2], x[:2], [1.0, 2.0], [0.0]),
            lambda b, x: b.affine([2], x[:2], [1.0, 2.5], [0.0]),
            False,
        ),
        (
            lambda b, x: b.affine([2], x[:2], [1.0, 2.0], [0.0]),
            lambda b, x: b.affine([2], x[:2], [1.0, 2.0], [1.0]),
            False,
        ),
        (
            lambda b, x: b.affine([2], x[:2], [1.0, 2.0], [0.0]),
            lambda b, x: b.affine([3], x, [1.0, 2.0, 3.0], [0.0]),
            False,
        ),
        (lambda b, x: b.unary(OPCODE["sin"], x[:1]), lambda b, x: b.unary(OPCODE["cos"], x[:1]), False),
        (
            lambda b, x: b.binary(OPCODE["copysign"], x[:1], b.constants(np.array([0.0]))),
            lambda b, x: b.binary(OPCODE["copysign"], x[:1], b.constants(np.array([-0.0]))),
            False,
        ),
    ],
)
def test_what_is_equal(first: Any, second: Any, equal: bool) -> None:
    builder = TapeBuilder()
    x = builder.inputs(3)
    tape = merged(builder.freeze(np.concatenate([first(builder, x), second(builder, x)])))
    assert (tape.outputs[0] == tape.outputs[1]) == equal


@pytest.mark.usefixtures("always")
def test_black_boxes_stay_apart_and_see_merged_arguments() -> None:
    square = custom_op(lambda a: a**2, np.eye(1), (lambda a: np.diag(2 * a), lambda a, w: np.diag(2 * w)))

    def f(x: Any) -> Any:
        return np.concatenate([square(np.sin(x)) + square(np.sin(x)), np.sin(x)])

    tape = traced([f], np.array([0.3]))
    found = merged(tape)
    assert len(found.sites) == 2
    assert found.sites[0].args.tolist() == found.sites[1].args.tolist()
    np.testing.assert_allclose(
        Derivatives(found).values(np.array([0.3])), [2 * np.sin(0.3) ** 2, np.sin(0.3)], rtol=1e-14
    )


def interval_by_interval(x: Any) -> list[Any]:
    def slope(a: Any, b: Any) -> Any:
        return np.sin(a) * np.exp(b) / (1 + a**2)

    return [x[i + 1] - x[i] - slope(x[i + 1], x[i + 41]) - slope(x[i], x[i + 40]) for i in range(39)]


def at_once(x: Any) -> Any:
    a, b = x[:40], x[40:]
    slope = np.sin(a) * np.exp(b) / (1 + a**2)
    return a[1:] - a[:-1] - slope[1:] - slope[:-1]


def test_loops_and_arrays_are_the_same_programs() -> None:
    x0 = np.linspace(0.1, 1.0, 80)
    found = [discover(traced([f], x0)) for f in (interval_by_interval, at_once)]
    shapes = [[(p.instances, p.inputs.shape[0], p.operations) for p in d.programs] for d in found]
    assert shapes[0] == shapes[1] == [(40, 2, 6)]
    assert_same(Derivatives(traced([interval_by_interval], x0), options=EngineOptions(mode="programs")), x0)


def test_chance_repetitions_are_left_alone() -> None:
    tape, _ = luksan_vlcek(200)  # x[i] - x[i + 1] is there twice
    assert merged(tape) is tape


def test_large_tapes_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "SMALL_TAPE", 0)
    tape, _ = luksan_vlcek(400)
    assert merged(tape) is tape
    x0 = np.linspace(0.1, 1.0, 80)
    tape = traced([interval_by_interval], x0)
    assert merged(tape).size < tape.size


def test_a_root_with_many_targets_is_evaluated_several_times() -> None:
    def f(x: Any) -> list[Any]:
        shared = [np.sin(x[i]) * x[i + 1] for i in range(30)]
        return [shared[i] * 2 + np.exp(x[k]) + x[i] for i in range(30) for k in range(40)]

    x0 = np.linspace(0.1, 1.0, 40)
    d = Derivatives(traced([f], x0), options=EngineOptions(mode="programs"))
    assert " 0 terms in compressed form" in d.report()
    assert_same(d, x0)


def test_rows_with_the_same_arguments_have_different_hashes() -> None:
    """Equal hashes would make this quadratic: millions of comparisons."""
    n = 3000
    builder = TapeBuilder()
    x = builder.inputs(2)
    coefs = np.random.default_rng(0).standard_normal(2 * n)
    sums = builder.affine(np.full(n, 2), np.tile(x, n), coefs, np.zeros(n))
    tape = builder.freeze(builder.unary(OPCODE["exp"], sums))
    args = (tape.opcode, tape.arg0, tape.arg1, tape.row_ptr, tape.row_arg, tape.row_coef.view(np.int64))
    equal = np.zeros(tape.size, dtype=np.int32)
    keys = {
        int(merge_kernels._key(i, AFFINE, *args[1:], tape.row_const.view(np.int64), np.zeros(0, np.int64), -1, equal))
        for i in range(tape.first_operation, tape.first_operation + n)
    }
    assert len(keys) == n
