"""The engine against the compressed form and plain Python: random tapes, known problems, parts, parameters, infinities."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings

from sct_opt.compressed import CompressedDerivatives
from sct_opt.derivatives import Derivatives
from sct_opt.ops import OPCODE
from sct_opt.programs import EngineOptions, Mode
from sct_opt.programs import engine as engine_module
from sct_opt.tape import Tape, TapeBuilder
from tests.programs.problems import cart_pole, diffusion, luksan_vlcek, luksan_vlcek_loop
from tests.random_tapes import Program, programs

PROBLEMS = {
    "luksan-vlcek": luksan_vlcek(60),
    "luksan-vlcek loop": luksan_vlcek_loop(60),
    "trapezoids": cart_pole(15),
    "trapezoids, free time": cart_pole(15, free_time=True),
    "hermite-simpson": cart_pole(15, hermite_simpson=True),
    "hermite-simpson, free time": cart_pole(200, free_time=True, hermite_simpson=True),
    "diffusion": diffusion(7),
}


def assert_same(d: Derivatives, x: np.ndarray, tolerance: float = 1e-12) -> None:
    reference = CompressedDerivatives(d.tape)
    if d.tape.num_parameters:
        reference.parameters[:] = d.parameters
    rng = np.random.default_rng(1)
    w, v = rng.standard_normal(d.tape.num_outputs), rng.standard_normal(d.tape.num_inputs)
    assert d.jacobian_pattern == reference.jacobian_pattern
    assert d.hessian_pattern == reference.hessian_pattern
    assert d.hessian_lower_pattern == reference.hessian_lower_pattern
    for found, expected in (
        (d.values(x), reference.values(x)),
        (d.jacobian_values(x), reference.jacobian_values(x)),
        (d.hessian_values(x, w), reference.hessian_values(x, w)),
        (d.vjp(x, w), reference.vjp(x, w)),
        (d.jvp(x, v), reference.jvp(x, v)),
        (d.hvp(x, w, v), reference.hvp(x, w, v)),
    ):
        scale = 1.0 + np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)
    # no task may have fallen back to the sweeps unnoticed
    assert all(runner is not None for runner in d._runners.values())


@settings(max_examples=100, deadline=None)
@given(programs())
def test_random_programs(program: Program) -> None:
    assert_same(Derivatives(program.tape, options=EngineOptions(mode="programs")), program.x, 1e-11)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("strict", [False, True])
def test_problems(name: str, strict: bool) -> None:
    tape, x = PROBLEMS[name]
    assert_same(Derivatives(tape, options=EngineOptions(mode="programs", strict=strict)), x)


def test_parts_are_rows_of_the_whole() -> None:
    tape, x = PROBLEMS["trapezoids"]
    d = Derivatives(tape)
    indptr = d.jacobian_pattern.indptr
    for start, stop in ((0, 1), (1, tape.num_outputs), (3, 17), (5, 5)):
        np.testing.assert_allclose(d.values(x, start, stop), d.values(x)[start:stop], rtol=1e-15)
        whole = d.jacobian_values(x)[indptr[start] : indptr[stop]]
        np.testing.assert_allclose(d.jacobian_values(x, start, stop), whole, rtol=1e-15)


@pytest.mark.parametrize("mode", ["auto", "compressed"])
def test_a_part_has_the_interface_of_the_whole(mode: Mode) -> None:
    tape, x = PROBLEMS["trapezoids"]
    whole = Derivatives(tape, options=EngineOptions(mode=mode))
    for start, stop in ((0, 1), (1, tape.num_outputs), (4, 4)):
        part, alone = whole.part(start, stop), CompressedDerivatives(tape.restrict(slice(start, stop)))
        assert part.jacobian_pattern == alone.jacobian_pattern
        assert part.tape.num_outputs == stop - start
        assert part.jacobian_coloring.num_colors == alone.jacobian_coloring.num_colors
        w, v = np.linspace(1.0, 2.0, stop - start), np.linspace(-1.0, 1.0, tape.num_inputs)
        for found, expected in (
            (part.values(x), alone.values(x)),
            (part.jacobian_values(x), alone.jacobian_values(x)),
            (part.vjp(x, w), alone.vjp(x, w)),
            (part.jvp(x, v), alone.jvp(x, v)),
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_parts_share_parameters_and_keep_infinities_in_place() -> None:
    tape, x = with_parameters(8)
    whole = Derivatives(tape)
    part = whole.part(1, 5)
    part.parameters = np.full(8, 3.0)
    np.testing.assert_allclose(part.values(x), whole.values(x)[1:5])
    assert whole.parameters[0] == 3.0
    builder = TapeBuilder()
    logs = builder.unary(OPCODE["log"], builder.inputs(6))
    part = Derivatives(builder.freeze(logs)).part(1, 4)
    point = np.array([1.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    alone = CompressedDerivatives(part.tape)
    np.testing.assert_array_equal(
        part.vjp(point, np.array([0.0, 1.0, 1.0])), alone.vjp(point, np.array([0.0, 1.0, 1.0]))
    )
    np.testing.assert_array_equal(part.jvp(point, np.eye(6)[2]), alone.jvp(point, np.eye(6)[2]))


def test_results_are_the_callers_own() -> None:
    for size in (60, 6000):
        tape, x = luksan_vlcek(size)
        d = Derivatives(tape)
        first = d.jacobian_values(x)
        kept = first.copy()
        d.jacobian_values(x + 1.0)
        np.testing.assert_array_equal(first, kept)


def test_arguments_of_any_layout() -> None:
    tape, x = PROBLEMS["luksan-vlcek"]
    d = Derivatives(tape)
    spread = np.zeros((x.size, 2))
    spread[:, 0] = x
    np.testing.assert_array_equal(d.jacobian_values(spread[:, 0]), d.jacobian_values(x))
    large, y = luksan_vlcek(6000)
    d = Derivatives(large)
    spread = np.zeros((y.size, 2))
    spread[:, 0] = y
    np.testing.assert_array_equal(d.values(spread[:, 0]), d.values(y))


def with_parameters(count: int) -> tuple[Tape, np.ndarray]:
    """Outputs ``sin(p[i] * x[i]) + p[0] * x[i]**2``, ``p[1]`` and ``x[0] + p[2]``."""
    builder = TapeBuilder()
    x = builder.inputs(count)
    p = builder.parameter_block(np.linspace(1.0, 2.0, count))
    waves = builder.unary(OPCODE["sin"], builder.binary(OPCODE["mul"], p, x))
    bowls = builder.binary(OPCODE["mul"], p[:1], builder.unary(OPCODE["square"], x))
    shifted = builder.binary(OPCODE["add"], x[:1], p[2:3])
    tape = builder.freeze(np.concatenate([builder.binary(OPCODE["add"], waves, bowls), p[1:2], shifted]))
    return tape, np.linspace(-1.0, 1.0, count)


def test_parameters_take_effect() -> None:
    tape, x = with_parameters(20)
    d = Derivatives(tape, options=EngineOptions(mode="programs"))
    assert_same(d, x)
    d.parameters[:] = np.linspace(3.0, 4.0, 20)
    assert_same(d, x)
    assert d.values(x)[20] == d.parameters[1]


def test_programs_and_leftovers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_OPERATIONS", 40)
    tape, x = cart_pole(200, free_time=True)
    d = Derivatives(tape)
    assert " 0 terms in compressed form" not in d.report()
    assert d._engine is not None
    assert_same(d, x)
    tape, x = with_parameters(30)
    monkeypatch.setattr(engine_module, "MAX_OPERATIONS", 0)
    d = Derivatives(tape)
    d.parameters[:] = 1.5
    assert_same(d, x)


def test_untaken_branches_do_not_spoil_derivatives() -> None:
    builder = TapeBuilder()
    x = builder.inputs(9)
    positive = builder.binary(OPCODE["gt"], x, np.array(builder.constant(0.0)))
    root = builder.binary(OPCODE["mul"], builder.unary(OPCODE["sqrt"], x), x)
    tape = builder.freeze(builder.select(positive, root, builder.unary(OPCODE["square"], x)))
    point = np.linspace(-2.0, 2.0, 9)
    d = Derivatives(tape, options=EngineOptions(mode="programs"))
    d.jacobian_values(point)
    raw, finite = d._runners[0, 9, True](point)
    assert finite
    np.testing.assert_allclose(raw, np.where(point > 0, 1.5 * np.sqrt(np.abs(point)), 2 * point), atol=1e-15)
    d.hessian_values(point, np.ones(9))
    assert d._runners[None](point, np.ones(9))[1]
    assert_same(d, point)


def test_infinities_stay_where_they_belong() -> None:
    builder = TapeBuilder()
    x = builder.inputs(12)
    tape = builder.freeze(builder.binary(OPCODE["mul"], builder.unary(OPCODE["log"], x[:-1]), x[1:]))
    d = Derivatives(tape, options=EngineOptions(mode="programs"))
    point = np.ones(12)
    point[5] = 0.0
    weights = np.ones(11)
    weights[5] = 0.0
    assert np.isfinite(d.hessian_values(point, weights)).all()
    assert_same(d, point)
    assert np.isinf(d.jacobian_values(point)).sum() == 2


def test_a_given_pattern_that_is_larger_is_respected() -> None:
    from sct_opt.pattern import SparsityPattern  # noqa: PLC0415

    tape, x = luksan_vlcek(5)
    full = SparsityPattern.from_matrix(np.ones((tape.num_outputs, 5)))
    d = Derivatives(tape, jacobian_pattern=full)
    reference = Derivatives(tape)
    dense = np.zeros((tape.num_outputs, 5))
    dense[reference.jacobian_pattern.coo()] = reference.jacobian_values(x)
    np.testing.assert_allclose(d.jacobian_values(x), dense.ravel(), rtol=1e-13, atol=1e-13)


def test_linear_outputs_need_no_code() -> None:
    builder = TapeBuilder()
    x = builder.inputs(6)
    rows = builder.affine(np.array([3, 2]), x[:5], np.arange(1.0, 6.0), np.array([0.5, 0.0]))
    tape = builder.freeze(np.concatenate([rows, x[5:], builder.binary(OPCODE["sub"], x[:2], x[2:4])]))
    d = Derivatives(tape)
    assert "0 programs" in d.report()
    assert_same(d, np.linspace(1.0, 2.0, 6))


def test_machine_code_is_freed() -> None:
    tape, x = PROBLEMS["trapezoids"]
    d = Derivatives(tape)
    d.hessian_values(x, np.ones(tape.num_outputs))
    runner = d._runners[None]
    assert runner is not None
    code = weakref.ref(runner._code._code)
    del d, runner
    gc.collect()
    assert code() is None


def test_report_names_programs() -> None:
    d = Derivatives(PROBLEMS["luksan-vlcek"][0])
    assert "59 x 7 operations" in d.report()
    assert (
        Derivatives(PROBLEMS["luksan-vlcek"][0], options=EngineOptions(mode="compressed"))
        .report()
        .startswith("compressed")
    )


def test_a_dense_coupling_is_left_to_the_sweeps() -> None:
    builder = TapeBuilder()
    x = builder.inputs(150)
    total = builder.affine(np.array([150]), x, np.linspace(1.0, 2.0, 150), np.zeros(1))
    tape = builder.freeze(np.concatenate([builder.unary(OPCODE["sin"], total), builder.unary(OPCODE["exp"], x)]))
    d = Derivatives(tape)
    assert "1 programs for 150 terms, 1 terms in compressed form" in d.report()
    assert_same(d, np.linspace(-0.1, 0.1, 150))
