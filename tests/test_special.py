"""Tests of `sct_opt.special` and its rows: polygamma functions against mpmath, rows against scipy.special."""

import ctypes
import subprocess
import sys

import mpmath
import numpy as np
import pytest
import scipy.special

from sct_opt import special
from sct_opt.ops import FIRST_SPECIAL, OPCODE, OPS, array_function, called_names

# Where a function is real, for those that are not real everywhere.
DOMAINS = {
    "erfinv": (-0.99, 0.99),
    "erfcinv": (0.01, 1.99),
    "ndtri": (0.01, 0.99),
    "ndtri_exp": (-4.0, -0.01),
    "ellipk": (-3.0, 0.9),
    "ellipkm1": (0.05, 3.0),
    "ellipe": (-3.0, 0.9),
    "logit": (0.05, 0.95),
}


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("x", [-7.3, -0.4, 0.02, 0.5, 1.0, 3.7, 11.9, 40.0, 1e4])
def test_polygamma(n, x):
    function = list(special.OWN.values())[n - 1]
    expected = mpmath.polygamma(n, x) if x > 0 else mpmath.diff(mpmath.digamma, x, n)
    assert function(x) == pytest.approx(float(expected), rel=2e-12)


def test_polygamma_at_poles_and_nan():
    assert special.trigamma(-2.0) == np.inf
    assert np.isnan(special.trigamma(np.nan))


@pytest.mark.parametrize(
    "op", [pytest.param(op, id=op.name) for op in OPS[FIRST_SPECIAL:] if op.special and op.arity == 1]
)
def test_values_and_partials_of_one_argument(op):
    low, high = DOMAINS.get(op.name, (0.1, 4.0))
    x = np.random.default_rng(0).uniform(low, high, 20)
    value = op.evaluate(x)
    for name in op.special:
        np.testing.assert_allclose(value, getattr(scipy.special, name)(x), rtol=1e-13)


@pytest.mark.parametrize("name", ["ellipk", "ellipe", "exprel", "spence", "gammaln", "erfcx", "expi", "dawsn"])
def test_partials_against_mpmath(name):
    op = OPS[OPCODE[name]]
    exact = {
        "ellipk": mpmath.ellipk,
        "ellipe": mpmath.ellipe,
        "exprel": lambda x: mpmath.expm1(x) / x,
        "spence": lambda x: mpmath.polylog(2, 1 - x),
        "gammaln": mpmath.loggamma,
        "erfcx": lambda x: mpmath.exp(x * x) * mpmath.erfc(x),
        "expi": mpmath.ei,
        "dawsn": lambda x: mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(-x * x) * mpmath.erfi(x),
    }[name]
    with mpmath.workdps(40):
        for x in (0.004, 0.029, 0.031, 0.3, 0.7, 0.86, 0.95):
            value = op.evaluate(x)
            first, second = (float(array_function(e, 1)(x, value)) for e in (op.d[0], op.dd[0]))
            point = mpmath.mpf(x)
            assert first == pytest.approx(float(mpmath.re(mpmath.diff(exact, point, 1))), rel=1e-11)
            assert second == pytest.approx(float(mpmath.re(mpmath.diff(exact, point, 2))), rel=1e-9)


def test_every_function_has_a_compiled_form():
    native = {"exp", "log", "log1p", "sqrt", "sin", "cos", "fabs", "floor", "copysign", "erf"}
    names = {name for op in OPS[FIRST_SPECIAL:] for name in called_names(op)} - native - set(special.OWN)
    for name in names:
        assert special.address(name)
    j0 = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(special.address("j0"))
    assert j0(1.5) == scipy.special.j0(1.5)


def test_unknown_function():
    with pytest.raises(LookupError, match="frobnicate"):
        special.cython_name("frobnicate")


def test_orders_of_the_exponential_integral_are_cut_toward_zero() -> None:
    whole = np.array([0.0, 0.0, 1.0, 2.0])
    code = OPCODE["expn"]
    x = np.array([0.8, 0.9, 1.0, 1.1])
    for order in (whole, whole + np.array([-0.6, 0.4, 0.7, 0.5])):
        np.testing.assert_allclose(OPS[code].evaluate(order, x), scipy.special.expn(whole, x), rtol=1e-14)


def test_special_functions_need_no_numba_once_they_are_compiled():
    script = (
        "import sys, numpy as np, scipy.special, sct_opt as so\n"
        "so.SparseJacobian(lambda x: scipy.special.gammaln(x), np.ones(3))(np.ones(3))\n"
        "print('numba' in sys.modules)"
    )
    said = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert said[1].strip() == "False"
