"""Tests of `sct_opt.tracing.functions.interpolation`: NumPy's and SciPy's interpolants."""

import numpy as np
import pytest
import scipy.interpolate as si

from sct_opt.errors import UnsupportedOperatorError
from sct_opt.tracing import trace_function
from tests.tracing.check import assert_traces

g = np.linspace(-3, 3, 7)
v = np.sin(g)
cs = si.CubicSpline(g, v)
cs2 = si.CubicSpline(g, np.stack([v, v**2], 1))
pc = si.PchipInterpolator(g, v)
bs = si.make_interp_spline(g, v)
i1 = si.interp1d(g, v)
i3 = si.interp1d(g, v, kind="cubic")
us = si.UnivariateSpline(g, v, s=0)
ak = si.Akima1DInterpolator(g, v)
rg = si.RegularGridInterpolator((g, g), np.outer(v, v + 1))
bc = si.BarycentricInterpolator(g, v)

INTERPOLANTS = {
    "interp": lambda x: np.interp(x, g, v),
    "interp lr": lambda x: np.interp(x, g[2:5], v[2:5], left=-1.0, right=x[0]),
    "fp": lambda x: np.interp(np.linspace(-2, 2, 5), g[:6], x),
    "both": lambda x: np.interp(x[0], g[:6], x),
    "grid": lambda x: np.interp(x[:2], np.cumsum(x**2 + 0.1) - 3, x),
    "cs": lambda x: cs(x),
    "cs1": lambda x: cs(x, 1),
    "pc": lambda x: pc(x),
    "bs": lambda x: bs(x),
    "cs2": lambda x: cs2(x),
    "i1": lambda x: i1(x),
    "i3": lambda x: i3(x),
    "us": lambda x: us(x),
    "ak": lambda x: ak(x),
    "rg": lambda x: rg(x.reshape(3, 2)),
    "bc": lambda x: bc(x),
    "deriv": lambda x: cs.derivative()(x[0]),
    "period": lambda x: np.interp(x, g[:-1], v[:-1], period=6.0),
}


T = np.linspace(0.2, 4.5, 4)
INTERPOLANTS |= {
    "spline through traced": lambda x: si.CubicSpline(np.arange(6.0), x)(T),
    "its derivative": lambda x: si.CubicSpline(np.arange(6.0), x, bc_type="natural").derivative()(T),
    "its integral": lambda x: si.CubicSpline(np.arange(6.0), x).integrate(0.5, 3.0),
    "at traced points": lambda x: si.make_interp_spline(np.arange(6.0) - 3, x)(x[:3]),
    "of rows": lambda x: si.make_interp_spline(np.arange(3.0), x.reshape(3, 2), k=2)(np.array([0.5, 1.5])),
}


@pytest.mark.parametrize("name", INTERPOLANTS)
def test_interpolation(name):
    assert_traces(INTERPOLANTS[name], np.zeros(6), rtol=1e-12, seed=3)


def test_interpolants_that_are_not_linear_in_the_values_are_refused():
    with pytest.raises(UnsupportedOperatorError, match=r"(?s)Pchip.*test_interpolation\.py.*CubicSpline"):
        trace_function(lambda x: si.PchipInterpolator(np.arange(4.0), x)(1.5), np.zeros(4))
