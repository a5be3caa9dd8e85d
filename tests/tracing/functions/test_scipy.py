"""Tests of SciPy's sparse matrices, distributions and distances, and of polynomials."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
import scipy.sparse.linalg as spl
import scipy.spatial.distance as sd
import scipy.stats as st

from sct_opt.errors import TracingError
from sct_opt.tracing import trace_function
from tests.tracing.check import assert_traces

A = sp.csr_array(np.array([[1.0, 0, 2], [0, 3.0, 0], [4, 0, 5]]))
M = sp.csr_matrix(A)
P = np.arange(6.0)

FUNCTIONS = {
    "matrix classes": lambda x: [M * x[:3], x[:3] * M, M @ x[:3], M.dot(x[:3]), M.T * x[3:], (2 * M) * x[:3]],
    "array classes": lambda x: [
        A @ x[:3],
        x[:3] @ A,
        A @ (A.T @ x[:3]),
        A.dot(x[:3]),
        sp.kron(A, A) @ np.tile(x[:3], 3),
    ],
    "operators": lambda x: [spl.aslinearoperator(A) @ x[:3], spl.aslinearoperator(A).matvec(x[3:])],
    "diagonals": lambda x: [
        sp.diags(np.zeros(3) + 2) @ x[:3],
        sp.diags_array([np.ones(2), np.ones(3)], offsets=[1, 0]) @ x[:3],
    ],
    "normal": lambda x: [
        st.norm.logpdf(x),
        st.norm.cdf(x, loc=x[0]),
        st.norm.pdf(x, scale=2.0),
        st.norm(1.0, 2.0).logcdf(x),
    ],
    "distributions": lambda x: [
        st.gamma.logpdf(x**2 + 0.1, 2.5),
        st.expon.sf(x),
        st.beta.pdf(1 / (1 + np.exp(-x)), 2.0, 3.0),
        st.norm.ppf(1 / (1 + np.exp(-x))),
        st.lognorm.logpdf(x**2 + 0.1, 0.7),
        st.uniform.cdf(x, -1.0, 4.0),
        st.t.logpdf(x, 4.0),
        st.laplace.logpdf(x),
        st.logistic.cdf(x),
    ],
    "distances": lambda x: [
        sd.cdist(x.reshape(3, 2), np.ones((2, 2))),
        sd.pdist(x.reshape(3, 2), "sqeuclidean"),
        sd.pdist(x.reshape(2, 3), "cityblock"),
        sd.euclidean(x[:3], x[3:]),
    ],
    "test functions": lambda x: scipy.optimize.rosen(x),
    "polynomials": lambda x: [
        np.polyval(np.polyfit(P, x, 2), 1.5),
        np.vander(x, 3),
        np.vander(x[:2], 4, increasing=True),
        np.polyint(x[:3], k=1.0),
        np.polyadd(x[:2], x[2:5]),
        np.poly1d([1.0, 2.0, 3.0])(x),
        np.polynomial.chebyshev.chebval(x, [1.0, 2.0, 3.0]),
        np.polynomial.Polynomial([1.0, 2.0, 3.0])(x),
    ],
    "grids": lambda x: [
        np.linspace(x[0], x[1], 5),
        np.linspace(0, x[1], 4, endpoint=False),
        np.logspace(0, x[0], 3),
        np.linspace(x[:2], 1.0, 3),
    ],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_scipy(name):
    assert_traces(FUNCTIONS[name], np.zeros(6), rtol=1e-9, shape=False)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: A.multiply(x),
        lambda x: A * x[0],
        lambda x: sp.diags(x),
        lambda x: sd.pdist(x.reshape(3, 1), "cosine"),
        lambda x: np.polyfit(x, x, 1),
    ],
)
def test_refusals_name_the_place(f):
    with pytest.raises(TracingError, match=r"test_scipy\.py"):
        trace_function(f, np.zeros(3))
