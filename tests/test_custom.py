"""Functions that cannot be traced: given derivatives, differences over colored patterns, and patterns that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import sct_opt as so
from sct_opt.errors import PatternError, ShapeError

X = np.array([0.5, -1.2, 2.0, 0.3])


def opaque(x: np.ndarray) -> np.ndarray:
    """Neighbours multiplied and fed to a sine, in a way that only numbers survive."""
    values = [float(v) for v in x]
    return np.array([np.sin(values[k] * values[k + 1]) for k in range(len(values) - 1)])


BAND = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])


def jacobian(x: np.ndarray) -> sp.csr_array:
    c = np.cos(x[:-1] * x[1:])
    return sp.csr_array(sp.diags_array([c * x[1:], c * x[:-1]], offsets=[0, 1], shape=(3, 4)))


def hessian(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.zeros((4, 4))
    for k, w in enumerate(weights):
        a, b = x[k], x[k + 1]
        s, c = np.sin(a * b), np.cos(a * b)
        total[k : k + 2, k : k + 2] += w * np.array([[-s * b * b, c - s * a * b], [c - s * a * b, -s * a * a]])
    return total


def traceable(x: np.ndarray) -> np.ndarray:
    return np.sin(x[:-1] * x[1:])


@pytest.mark.parametrize(
    ("derivatives", "first", "second"),
    [(None, 1e-8, 1e-5), (jacobian, 1e-14, 1e-8), ((jacobian, hessian), 1e-14, 1e-13)],
    ids=["differences", "jacobian", "both"],
)
def test_derivatives_are_those_of_the_traced_function(derivatives, first: float, second: float) -> None:
    op = so.custom_op(opaque, pattern=BAND, derivatives=derivatives)
    inner = np.array([1.0, -2.0, 0.7])

    def outer(function):
        return lambda x: np.sum(inner * np.exp(function(x * x[::-1])))

    got, expected = so.SparseHessian(outer(op), X), so.SparseHessian(outer(traceable), X)
    np.testing.assert_allclose(got.gradient(X), expected.gradient(X), rtol=first, atol=first)
    np.testing.assert_allclose(got(X).toarray(), expected(X).toarray(), rtol=second, atol=second)
    J = so.SparseJacobian(op, X)
    assert J.pattern.toarray().astype(int).tolist() == BAND.tolist()
    np.testing.assert_allclose(J(X).toarray(), so.SparseJacobian(traceable, X)(X).toarray(), rtol=first, atol=first)


def test_plain_numbers_pass_through() -> None:
    np.testing.assert_array_equal(so.custom_op(opaque, pattern=BAND)(X), opaque(X))


def test_coloring_saves_evaluations() -> None:
    calls = []

    def counted(x: np.ndarray) -> np.ndarray:
        calls.append(1)
        return np.array([float(v) ** 2 for v in x])

    n = 200
    J = so.SparseJacobian(so.custom_op(counted, pattern=sp.eye_array(n)), np.ones(n))
    J(np.ones(n))
    calls.clear()
    np.testing.assert_allclose(J(np.full(n, 3.0)).diagonal(), 6.0, rtol=1e-9)
    assert len(calls) <= 4


def test_two_dimensional_input_and_scalar_output() -> None:
    op = so.custom_op(lambda x: float(x[0, 0]) * float(x[1, 1]), shape=())
    pattern = so.hessian_sparsity(lambda x: op(x) + x[0, 1] ** 2, np.ones((2, 2)))
    assert pattern.nnz == 16, "without a pattern all inputs are coupled"
    H = so.SparseHessian(op, np.ones((2, 2)))
    np.testing.assert_allclose(H(np.arange(4.0).reshape(2, 2)).toarray()[0, 3], 1.0, atol=1e-6)


def test_a_pattern_that_misses_an_entry_is_found_out() -> None:
    J = so.SparseJacobian(so.custom_op(opaque, pattern=np.eye(3, 4)), X)
    with pytest.raises(PatternError, match="output 0 of opaque depends on more inputs"):
        J(X)
    J = so.SparseJacobian(so.custom_op(opaque, pattern=np.eye(3, 4), derivatives=jacobian), X)
    with pytest.raises(PatternError, match=r"nonzero at \(0, 1\)"):
        J(X)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="give the Jacobian's pattern or shape"):
        so.custom_op(opaque)
    with pytest.raises(ShapeError, match="3 rows, but shape=5"):
        so.custom_op(opaque, pattern=BAND, shape=5)
    with pytest.raises(ShapeError, match="opaque got 6 numbers"):
        so.jacobian_sparsity(so.custom_op(opaque, pattern=BAND), np.ones(6))
    with pytest.raises(ShapeError, match="returned 3 numbers, but was announced with 2"):
        so.SparseJacobian(so.custom_op(opaque, shape=2), X)(X)
    with pytest.raises(ShapeError, match="expected"):
        so.SparseJacobian(so.custom_op(opaque, pattern=BAND, derivatives=lambda x: np.eye(2)), X)(X)
    with pytest.raises(ShapeError, match="must be symmetric"):
        so.jacobian_sparsity(so.custom_op(opaque, pattern=BAND, hessian_pattern=np.eye(2)), X)


def test_in_a_problem_solved_by_ipopt() -> None:
    table = so.custom_op(lambda x: np.array([float(v) ** 2 for v in x]), pattern=np.eye(3))
    result = so.minimize(lambda x: np.sum(table(x - 2.0)), np.zeros(3), bounds=[(None, 1.0), (None, None), (3.0, None)])
    assert result.success
    np.testing.assert_allclose(result.x, [1.0, 2.0, 3.0], atol=1e-6)
