"""Products with large sums, multiplied out, must stay what they were."""

from __future__ import annotations

import numpy as np
import pytest

from sct_opt.compressed import CompressedDerivatives
from sct_opt.derivatives import Derivatives
from sct_opt.ops import OPCODE
from sct_opt.programs.distribute import distributed
from sct_opt.tape import Tape, TapeBuilder
from tests.programs.problems import cart_pole
from tests.random_tapes import Surface, evaluate


def product(code: str, swap: bool, constant: float, black_box: bool = False) -> Tape:
    """``sin(x0) * (constant + sum of squares)`` or its quotient, seen through a further nonlinear output."""
    builder = TapeBuilder()
    x = builder.inputs(60)
    addends = builder.unary(OPCODE["square"], x[1:])
    if black_box:
        addends = np.append(addends, builder.call(Surface(2), x[:2])[0])
    lengths = np.array([addends.size])
    total = builder.affine(lengths, addends, np.linspace(1.0, 2.0, addends.size), np.array([constant]))
    factor = builder.emit1(OPCODE["sin"], int(x[0]))
    pair = (factor, int(total[0])) if swap else (int(total[0]), factor)
    node = builder.emit2(OPCODE[code], *pair)
    after = builder.emit2(OPCODE["add"], builder.emit1(OPCODE["cos"], int(x[3])), node)
    return builder.freeze([node, after, int(x[5])])


@pytest.mark.parametrize("code", ["mul", "div"])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("constant", [0.0, 3.0])
@pytest.mark.parametrize("black_box", [False, True])
def test_values_and_derivatives_stay(code: str, swap: bool, constant: float, black_box: bool) -> None:
    tape = product(code, swap, constant, black_box)
    x = np.linspace(0.3, 1.4, 60)
    changed = distributed(tape).tape
    assert (changed.size > tape.size) == (code == "mul" or not swap)
    np.testing.assert_allclose(evaluate(changed, x)[changed.outputs], evaluate(tape, x)[tape.outputs], rtol=1e-13)
    d, reference = Derivatives(tape), CompressedDerivatives(tape)
    assert d.jacobian_pattern == reference.jacobian_pattern
    assert d.hessian_pattern == reference.hessian_pattern
    w = np.array([0.7, -1.1, 2.0])
    np.testing.assert_allclose(d.jacobian_values(x), reference.jacobian_values(x), rtol=1e-12)
    np.testing.assert_allclose(d.hessian_values(x, w), reference.hessian_values(x, w), rtol=1e-12, atol=1e-13)


def test_the_cost_of_a_problem_with_free_time_becomes_separable() -> None:
    tape, _ = cart_pole(300, free_time=True)
    d = Derivatives(tape)
    assert " 0 terms in compressed form" in d.report()
    assert "300 x 6 operations, 3 inputs" in d.report() or "300 x 7 operations, 3 inputs" in d.report()


def test_small_products_stay() -> None:
    builder = TapeBuilder()
    x = builder.inputs(4)
    total = builder.affine(np.array([3]), builder.unary(OPCODE["square"], x[1:]), np.ones(3), np.zeros(1))
    tape = builder.freeze(builder.binary(OPCODE["mul"], x[:1], total))
    assert distributed(tape).tape is tape
