"""Machine code for every operator, every vector width and any number of instances, at ordinary and special values."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sct_opt.compressed import CompressedDerivatives
from sct_opt.derivatives import Derivatives
from sct_opt.ops import FIRST_SPECIAL, OPCODE, OPS
from sct_opt.programs import EngineOptions, codegen
from sct_opt.tape import Tape, TapeBuilder
from tests.programs.problems import cart_pole, luksan_vlcek

SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-300, 1e300, -1e300, 1e5, 710.0, -745.0, 1e22, np.inf, -np.inf, np.nan]
)
OPERATORS = [code for code, op in enumerate(OPS[:FIRST_SPECIAL]) if op.arity in (1, 2)]


def elementwise(code: int) -> tuple[Tape, np.ndarray]:
    """An operator at all (pairs of) special values."""
    arity = OPS[code].arity
    columns = [SPECIAL] if arity == 1 else [grid.ravel() for grid in np.meshgrid(SPECIAL, SPECIAL)]
    builder = TapeBuilder("conservative")
    ids = [builder.inputs(columns[0].size) for _ in columns]
    nodes = builder.unary(code, ids[0]) if arity == 1 else builder.nodes(np.full(ids[0].size, code), *ids)
    return builder.freeze(nodes), np.concatenate(columns)


def agree(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=2e-15 * 8, atol=0.0)


@pytest.mark.parametrize("code", OPERATORS, ids=lambda code: OPS[code].name)
@pytest.mark.parametrize("strict", [False, True])
def test_operators_give_numpys_values_at_special_points(code: int, strict: bool) -> None:
    tape, x = elementwise(code)
    columns = x.reshape(OPS[code].arity, -1)
    with np.errstate(all="ignore"):
        expected = np.asarray(OPS[code].evaluate(*columns), dtype=float)
    agree(Derivatives(tape, options=EngineOptions(mode="programs", strict=strict)).values(x), expected)


@pytest.mark.parametrize("code", OPERATORS, ids=lambda code: OPS[code].name)
def test_partials_at_special_points_are_those_of_the_sweeps(code: int) -> None:
    tape, x = elementwise(code)
    d, reference = Derivatives(tape, options=EngineOptions(mode="programs")), CompressedDerivatives(tape)
    w = np.ones(tape.num_outputs)
    agree(d.jacobian_values(x), reference.jacobian_values(x))
    agree(d.hessian_values(x, w), reference.hessian_values(x, w))


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("vector_math", [False, True])
def test_any_width_and_any_number_of_instances(width: int, vector_math: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = codegen.target()
    assert machine is not None
    if width > machine.width:
        width = machine.width
    functions = machine.vector_functions if vector_math else {}
    monkeypatch.setattr(
        codegen, "target", lambda: dataclasses.replace(machine, width=width, vector_functions=functions)
    )
    for tape, x in [luksan_vlcek(n) for n in (3, 4, 6, 9, 10, 11, 19, 40)] + [cart_pole(n) for n in (1, 2, 5, 9)]:
        d, reference = Derivatives(tape, options=EngineOptions(mode="programs")), CompressedDerivatives(tape)
        w = np.random.default_rng(0).standard_normal(tape.num_outputs)
        np.testing.assert_allclose(d.values(x), reference.values(x), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(d.jacobian_values(x), reference.jacobian_values(x), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(d.hessian_values(x, w), reference.hessian_values(x, w), rtol=1e-12, atol=1e-12)


def test_optimised_code_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    tape, x = cart_pole(40, free_time=True, hermite_simpson=True)
    plain = Derivatives(tape, options=EngineOptions(mode="programs")).jacobian_values(x)
    monkeypatch.setattr(codegen, "QUICK_WORK", 0)
    np.testing.assert_allclose(
        Derivatives(tape, options=EngineOptions(mode="programs")).jacobian_values(x), plain, rtol=1e-14, atol=1e-15
    )


def test_special_functions_are_called_lane_by_lane() -> None:
    builder = TapeBuilder()
    x = builder.inputs(11)
    tape = builder.freeze(builder.binary(OPCODE["mul"], builder.unary(OPCODE["gammaln"], x), x))
    point = np.linspace(0.5, 6.0, 11)
    d, reference = Derivatives(tape, options=EngineOptions(mode="programs")), CompressedDerivatives(tape)
    assert "1 programs" in d.report()
    np.testing.assert_allclose(d.jacobian_values(point), reference.jacobian_values(point), rtol=1e-14)
    np.testing.assert_allclose(
        d.hessian_values(point, np.ones(11)), reference.hessian_values(point, np.ones(11)), rtol=1e-14
    )


def test_without_a_compiler_everything_is_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    from sct_opt.programs import engine  # noqa: PLC0415

    monkeypatch.setattr(engine, "target", lambda: None)
    tape, x = luksan_vlcek(12)
    d, reference = Derivatives(tape), CompressedDerivatives(tape)
    assert d.report().startswith("compressed")
    np.testing.assert_array_equal(d.jacobian_values(x), reference.jacobian_values(x))


def test_a_function_that_this_machine_lacks_leaves_the_task_to_the_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = codegen.target()
    assert machine is not None

    def missing(name: str) -> str:
        raise codegen.UnavailableError(name)

    monkeypatch.setattr(codegen, "target", lambda: dataclasses.replace(machine, vector_functions={}))
    monkeypatch.setattr(codegen, "_scalar_symbol", missing)
    tape, x = luksan_vlcek(12)
    np.testing.assert_allclose(
        Derivatives(tape).jacobian_values(x), CompressedDerivatives(tape).jacobian_values(x), rtol=1e-13
    )
