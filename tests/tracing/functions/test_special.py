"""Tests of `sct_opt.tracing.functions.special`, and of the rows that scipy.special's ufuncs reach."""

import numpy as np
import pytest
import scipy.special as sp

from tests.tracing.check import assert_traces

SPECIAL = {
    "airy": lambda x: sp.airy(x),
    "airye": lambda x: sp.airye(np.abs(x) + 0.1),
    "sici": lambda x: sp.sici(np.abs(x) + 0.1),
    "shichi": lambda x: sp.shichi(np.abs(x) + 0.1),
    "fresnel": lambda x: sp.fresnel(x),
    "betainc": lambda x: sp.betainc(2.0, 3.5, sp.expit(x)),
    "betainc abx": lambda x: sp.betainc(x[0] ** 2 + 0.5, x[1] ** 2 + 0.5, sp.expit(x)),
    "hyp": lambda x: [sp.hyp1f1(1.0, 2.0, x), sp.hyp2f1(0.5, 0.7, 1.2, np.tanh(x) / 2), sp.hyp0f1(1.5, x)],
    "stdtr": lambda x: [sp.stdtr(3.0, x), sp.zeta(x**2 + 1.5, 1.0)],
    "gammasgn": lambda x: sp.gammasgn(x) * x,
    "boxcox": lambda x: [sp.boxcox1p(x**2, 0.5), sp.inv_boxcox(np.abs(x), 0.5), sp.chdtr(3.0, x**2)],
    "poly": lambda x: [
        sp.eval_legendre(4, x),
        sp.eval_chebyt(5, x),
        sp.eval_hermite(3, x),
        sp.eval_laguerre(3, x),
        sp.eval_chebyu(0, x) + 0 * x,
    ],
    "lse": lambda x: [
        sp.logsumexp(x),
        sp.softmax(x),
        sp.log_softmax(x.reshape(2, 3), axis=1),
        sp.logsumexp(x, b=np.arange(6.0)),
    ],
    "polygamma": lambda x: [
        sp.polygamma(1, np.abs(x) + 0.2),
        sp.polygamma(5, np.abs(x) + 2),
        sp.digamma(np.abs(x) + 1),
    ],
    "comb": lambda x: [
        sp.comb(np.abs(x) + 4, 2),
        sp.factorial(np.abs(x)),
        sp.perm(np.abs(x) + 3, 2),
        sp.multigammaln(np.abs(x[0]) + 3, 3),
    ],
    "spher": lambda x: [
        sp.spherical_jn(1, np.abs(x) + 0.2),
        sp.spherical_in(0, np.abs(x) + 0.2, derivative=True),
        sp.spherical_yn(2, np.abs(x) + 0.5, True),
    ],
    "diric": lambda x: sp.diric(x, 5),
    "rows": lambda x: [
        sp.gamma(x**2 + 1),
        sp.erf(x),
        sp.ndtr(x),
        sp.jv(1, x),
        sp.xlogy(x, x**2 + 1),
        sp.entr(x**2),
        sp.expit(x[0]),
        sp.i0(x),
        sp.huber(1.0, x),
        sp.kn(2, np.abs(x) + 0.1),
    ],
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special(name):
    assert_traces(SPECIAL[name], np.zeros(6), rtol=1e-9, seed=3)
