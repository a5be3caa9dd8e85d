"""What is refused names the place in the user's code and the mend, and what is accepted instead works."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import sct_opt as so
from sct_opt.errors import ProblemError, TracingError, UnsupportedOperatorError


@pytest.mark.parametrize(("name", "real_order"), [("kn", "kv"), ("yn", "yv")])
def test_bessel_functions_of_whole_order(name: str, real_order: str) -> None:
    whole, real = getattr(scipy.special, name), getattr(scipy.special, real_order)
    x = np.array([1.5, 2.5])
    got = so.SparseJacobian(lambda x: whole(2, x), x)
    np.testing.assert_allclose(got(x).toarray(), so.SparseJacobian(lambda x: real(2.0, x), x)(x).toarray())
    for order in (1.5, None):
        with pytest.raises(
            UnsupportedOperatorError, match=rf"test_refusals\.py:\d+[\s\S]*scipy\.special\.{real_order}"
        ):
            so.jacobian_sparsity(lambda x, order=order: whole(x[0] if order is None else order, x), x)


def test_lists_of_numbers_and_traced_values_joined_as_objects() -> None:
    with pytest.raises(TracingError, match=r"test_refusals\.py:\d+[\s\S]*np\.array or np\.stack"):
        so.jacobian_sparsity(lambda x: np.sin(np.concatenate([[0.0], [x[0]]])), np.ones(2))
    assert so.jacobian_sparsity(lambda x: np.sin(np.array([0.0, x[0]])), np.ones(2)).nnz == 1


def test_type_errors_of_the_users_own_come_through() -> None:
    with pytest.raises(TypeError, match="mine"):
        so.jacobian_sparsity(lambda x: (_ for _ in ()).throw(TypeError("mine")), np.ones(2))


def test_minimize_takes_calls_written_for_scipy() -> None:
    result = so.minimize(lambda x: np.sum((x - 1) ** 2), np.zeros(2), method="SLSQP", jac=lambda x: 2 * (x - 1))
    np.testing.assert_allclose(result.x, 1.0)
    with pytest.raises(ProblemError, match="jac=True"):
        so.minimize(lambda x: (x[0] ** 2, 2 * x), np.zeros(1), jac=True)
