"""Tests of `sct_opt.tracing.functions.linalg`: values, first and second derivatives, structural zeros."""

import numpy as np
import pytest
import scipy.linalg as sl
import scipy.sparse as sp
import scipy.sparse.linalg as spl

from sct_opt.derivatives import Derivatives
from sct_opt.detection import hessian_pattern, jacobian_pattern
from sct_opt.errors import UnsupportedOperatorError
from sct_opt.tracing import trace_function
from tests.tracing.check import assert_traces

C = np.random.default_rng(1).normal(size=(3, 3)) + 3 * np.eye(3)
B = np.arange(6.0).reshape(3, 2)


def M(x):
    return x.reshape(3, 3) + 3 * np.eye(3)


def S(x):
    m = x.reshape(3, 3)
    return m + m.T


def P(x):
    m = x.reshape(3, 3)
    return m @ m.T + np.eye(3)


def tri(x):
    return np.tril(x.reshape(3, 3)) + 2 * np.eye(3)


def blk(x):
    a = np.zeros((4, 4))
    a[:2, :2] = x[:4].reshape(2, 2)
    a[2:, 2:] = x[4:8].reshape(2, 2)
    return a + 3 * np.eye(4)


ALGEBRA = {
    "qr": lambda x: [
        *np.linalg.qr(x.reshape(3, 3)),
        *np.linalg.qr(x[:6].reshape(3, 2)),
        *np.linalg.qr(x[:6].reshape(2, 3)),
        *np.linalg.qr(x[:6].reshape(3, 2), mode="complete"),
        np.linalg.qr(M(x), mode="r"),
        *sl.qr(M(x)),
    ],
    "norms": lambda x: [
        np.linalg.norm(x),
        np.linalg.norm(x, 1),
        np.linalg.norm(x, np.inf),
        np.linalg.norm(x, -np.inf),
        np.linalg.norm(x, 3),
        np.linalg.norm(x, 0) + x[0],
        np.linalg.norm(x.reshape(3, 3), axis=1),
        np.linalg.norm(x.reshape(3, 3), axis=0, keepdims=True),
    ],
    "mnorms": lambda x: [np.linalg.norm(x.reshape(3, 3), o) for o in ("fro", 1, -1, np.inf, -np.inf, 2, -2, "nuc")],
    "det": lambda x: [
        np.linalg.det(M(x)),
        np.linalg.det(tri(x)),
        np.linalg.det(blk(x)),
        np.linalg.det(x[:4].reshape(2, 2)),
        np.linalg.det(M(x)[[1, 0, 2]]),
    ],
    "slogdet": lambda x: [*np.linalg.slogdet(M(x)), *np.linalg.slogdet(tri(x))],
    "inv": lambda x: [
        np.linalg.inv(M(x)),
        np.linalg.inv(tri(x)),
        np.linalg.inv(blk(x)),
        np.linalg.inv(np.diag(x[:3] + 3)),
    ],
    "solve": lambda x: [
        np.linalg.solve(M(x), x[:3]),
        np.linalg.solve(C, x[:3]),
        np.linalg.solve(M(x), B),
        np.linalg.solve(C, x.reshape(3, 3)),
        np.linalg.solve(tri(x), x[3:6]),
    ],
    "power": lambda x: [
        np.linalg.matrix_power(M(x), 3),
        np.linalg.matrix_power(M(x), -2),
        np.linalg.matrix_power(M(x), 0) + 0 * x[0],
        np.linalg.multi_dot([M(x), C, x[:3]]),
    ],
    "chol": lambda x: [np.linalg.cholesky(P(x)), sl.cholesky(P(x)), sl.cho_solve(sl.cho_factor(P(x)), x[:3])],
    "svd": lambda x: [
        np.linalg.svd(x.reshape(3, 3), compute_uv=False),
        np.linalg.svdvals(x[:6].reshape(3, 2)),
        np.linalg.cond(M(x)),
        np.linalg.cond(M(x), 1),
    ],
    "eigvalsh": lambda x: [
        np.linalg.eigvalsh(S(x)),
        np.linalg.eigvalsh(x.reshape(3, 3)),
        np.linalg.eigvalsh(x.reshape(3, 3), UPLO="U"),
    ],
    "eigh": lambda x: [*np.linalg.eigh(S(x))],
    "pinv": lambda x: [
        np.linalg.pinv(x[:6].reshape(3, 2)),
        np.linalg.pinv(x[:6].reshape(2, 3)),
        np.linalg.lstsq(x[:6].reshape(3, 2), x[6:9], rcond=None)[0],
        np.linalg.lstsq(B, x[:3], rcond=None)[1],
    ],
    "eigvals": lambda x: np.linalg.eigvals(tri(x) + np.diag([0, 30.0, 60.0])),
    "expm": lambda x: [sl.expm(x.reshape(3, 3)), sl.expm(np.diag(x[:2])), sl.expm(tri(x))],
    "scipy": lambda x: [
        sl.inv(M(x)),
        sl.det(M(x)),
        sl.norm(x),
        sl.solve(M(x), x[:3]),
        sl.solve(P(x), x[:3], assume_a="pos"),
        sl.solve_triangular(tri(x), x[:3], lower=True),
        sl.solve_triangular(tri(x), x[:3], lower=True, trans="T"),
        sl.solve_triangular(tri(x), x[:3], lower=True, unit_diagonal=True),
        sl.eigvalsh(S(x)),
        sl.svdvals(M(x)),
        sl.pinv(M(x)),
    ],
    "struct": lambda x: [
        sl.block_diag(x[:2], C, x[:4].reshape(2, 2)),
        sl.toeplitz(x[:3]),
        sl.toeplitz(x[:3], x[3:6]),
        sl.circulant(x),
        sl.hankel(x[:3]),
    ],
    "spsolve": lambda x: [spl.spsolve(sp.csc_array(C), x[:3])],
    "stack": lambda x: [
        np.linalg.inv(np.stack([M(x), M(2 * x)])),
        np.linalg.det(np.stack([M(x), M(2 * x)])),
        np.linalg.slogdet(np.stack([M(x), M(2 * x)])).logabsdet,
        np.linalg.solve(np.stack([M(x), M(2 * x)]), np.stack([B, B])),
    ],
}


@pytest.mark.parametrize("name", ALGEBRA)
def test_linalg(name):
    assert_traces(ALGEBRA[name], np.zeros(9), rtol=1e-8, seed=3)


@pytest.mark.parametrize("name", ALGEBRA)
def test_second_derivatives(name):
    tape = trace_function(ALGEBRA[name], np.zeros(9)).tape
    derivatives = Derivatives(tape)
    rng = np.random.default_rng(5)
    x, v, w = rng.uniform(-1.5, 1.5, 9), rng.normal(size=9), rng.normal(size=tape.num_outputs)
    step = 1e-5
    numeric = (derivatives.vjp(x + step * v, w) - derivatives.vjp(x - step * v, w)) / (2 * step)
    np.testing.assert_allclose(
        derivatives.hvp(x, w, v), numeric, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(numeric).max())
    )
    full = hessian_pattern(tape).toarray().astype(bool)
    for k in range(9):
        unit = np.eye(9)[k]
        column = derivatives.vjp(x + step * unit, w) - derivatives.vjp(x - step * unit, w)
        assert not (~full[:, k] & (np.abs(column) / (2 * step) > 1e-6)).any()


def patterns(f, n):
    tape = trace_function(f, np.zeros(n)).tape
    return jacobian_pattern(tape).toarray().astype(int), hessian_pattern(tape).toarray().astype(int)


def test_determinant_patterns():
    jacobian, hessian = patterns(lambda x: np.linalg.det(x.reshape(3, 3)), 9)
    assert jacobian.all()
    assert hessian.all()
    _, hessian = patterns(lambda x: np.linalg.det(np.diag(x)), 3)
    np.testing.assert_array_equal(hessian, 1 - np.eye(3))


def test_inverse_keeps_structure():
    jacobian, hessian = patterns(lambda x: np.linalg.inv(np.diag(x)), 3)
    assert jacobian.sum() == 3
    np.testing.assert_array_equal(hessian, np.eye(3))
    jacobian, _ = patterns(lambda x: np.linalg.inv(np.tril(x.reshape(2, 2))), 4)
    np.testing.assert_array_equal(jacobian, [[1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 1], [0, 0, 0, 1]])


def test_exponential_of_a_diagonal_matrix():
    jacobian, hessian = patterns(lambda x: sl.expm(np.diag(x)), 3)
    assert jacobian.sum() == 3
    np.testing.assert_array_equal(hessian, np.eye(3))


def test_norm_patterns():
    assert not patterns(lambda x: np.linalg.norm(x, 1), 4)[1].any()
    assert not patterns(lambda x: np.linalg.norm(x, np.inf), 4)[1].any()
    assert patterns(np.linalg.norm, 4)[1].all()
    assert not patterns(lambda x: np.linalg.slogdet(x.reshape(2, 2))[0], 4)[0].any()


def test_matrix_powers():
    assert not patterns(lambda x: np.linalg.matrix_power(x.reshape(2, 2), 0), 4)[0].any()
    assert patterns(lambda x: np.linalg.matrix_power(x.reshape(2, 2), 3), 4)[0].all()


def test_structurally_singular_matrix_is_refused():
    with pytest.raises(np.linalg.LinAlgError, match=r"test_linalg\.py"):
        trace_function(lambda x: np.linalg.inv(np.outer([1.0, 0.0], [1.0, 0.0]) * x[0]), np.zeros(1))


def test_singular_point_gives_nan_instead_of_an_exception():
    derivatives = Derivatives(trace_function(lambda x: np.linalg.inv(x.reshape(2, 2)), np.zeros(4)).tape)
    assert np.isnan(derivatives.values(np.ones(4))).all()


def test_unsupported_factorisation_names_place_and_mend():
    with pytest.raises(UnsupportedOperatorError, match=r"(?s)linalg\.eig.*test_linalg\.py.*custom_op"):
        trace_function(lambda x: np.linalg.eig(x.reshape(2, 2)), np.zeros(4))
