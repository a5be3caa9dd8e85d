"""Values of the compiled sweep at infinities, NaN, signed zeros, huge and tiny numbers: those of the ufuncs themselves.

Solvers step into such points; a NaN that turns into a number there hides that a step left the domain.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from sct_opt.derivatives import Derivatives
from sct_opt.ops import OPS, Op
from sct_opt.programs import EngineOptions, Mode
from sct_opt.tracing import trace_function

EXTREMES = [np.nan, np.inf, -np.inf, 1e20, -1e30, 1e308, -1e308, 1e-320, -1e-320, 710.0, -750.0]
NUMBERS = np.array([*EXTREMES, 0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 0.5, -0.5, 1.5, 3.0, -2.0, 0.1, -0.3])
UNARY = [(op, name) for op in OPS if op.arity == 1 for name in op.numpy + op.special]
BINARY = [(op, name) for op in OPS if op.arity == 2 for name in op.numpy]


def _ufunc(name: str) -> np.ufunc:
    return getattr(np, name, None) or getattr(scipy.special, name)


@pytest.mark.parametrize(("op", "name"), UNARY, ids=[name for _, name in UNARY])
def test_one_argument(op: Op, name: str) -> None:
    ufunc = _ufunc(name)
    with np.errstate(all="ignore"):
        expected = ufunc(NUMBERS).astype(float)
        found = Derivatives(trace_function(lambda x: ufunc(x), NUMBERS).tape).values(NUMBERS)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(("op", "name"), BINARY, ids=[name for _, name in BINARY])
def test_two_arguments(op: Op, name: str) -> None:
    ufunc = _ufunc(name)
    a, b = (grid.ravel() for grid in np.meshgrid(NUMBERS, NUMBERS))
    if name == "floor_divide":  # by infinity: NumPy's answers, -1 among them, depend on the sign of zero
        a, b = a[~np.isinf(b)], b[~np.isinf(b)]
    x = np.concatenate([a, b])
    with np.errstate(all="ignore"):
        expected = ufunc(a, b).astype(float)
        found = Derivatives(trace_function(lambda x: ufunc(x[: a.size], x[a.size :]), x).tape).values(x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("mode", ["compressed", "programs"])
@pytest.mark.parametrize(
    ("exponent", "slope", "curvature"), [(0.0, 0.0, 0.0), (1.0, 1.0, 0.0), (2.0, 0.0, 2.0), (3.0, 0.0, 0.0)]
)
def test_powers_of_zero_whose_exponent_is_a_parameter(
    exponent: float, slope: float, curvature: float, mode: Mode
) -> None:
    tape = trace_function(lambda x, p: x**p, np.ones(1), parameters=[exponent]).tape
    derivatives = Derivatives(tape, options=EngineOptions(mode=mode))
    assert derivatives.jacobian_values(np.zeros(1)) == [slope]
    assert derivatives.hessian_values(np.zeros(1), np.ones(1)) == [curvature]


@pytest.mark.parametrize("mode", ["compressed", "programs"])
def test_powers_of_zero_whose_exponent_varies(mode: Mode) -> None:
    derivatives = Derivatives(
        trace_function(lambda x: x[:1] ** x[1:], np.ones(2)).tape, options=EngineOptions(mode=mode)
    )
    x = np.array([0.0, 3.0])
    assert derivatives.jacobian_values(x).tolist() == [0.0, 0.0]
    assert derivatives.hessian_values(x, np.ones(1)).tolist() == [0.0, 0.0, 0.0]
