"""IPOPT's options: values become the types that IPOPT wants, mistakes are named."""

import numpy as np
import pytest

from sct_opt.errors import SolverError
from sct_opt.solvers.options import CHOICES, INTEGER, REAL, TEXT, YES_NO, coerced


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_iter", 5, 5),
        ("max_iter", 5.0, 5),
        ("max_iter", np.int64(7), 7),
        ("max_iter", "12", 12),
        ("tol", 1, 1.0),
        ("tol", np.float32(0.5), 0.5),
        ("tol", np.int32(2), 2.0),
        ("tol", "1e-6", 1e-6),
        ("tol", np.array(1e-3), 1e-3),
        ("print_user_options", True, "yes"),
        ("print_user_options", np.False_, "no"),
        ("print_user_options", "YES", "yes"),
        ("print_user_options", 0, "no"),
        ("hessian_approximation", "Limited-Memory", "limited-memory"),
        ("output_file", "Log.txt", "Log.txt"),
        ("some_option_of_tomorrow", np.int16(3), 3),
        ("some_option_of_tomorrow", np.float64(3.0), 3.0),
        ("some_option_of_tomorrow", True, "yes"),
        ("some_option_of_tomorrow", "word", "word"),
    ],
)
def test_coercion(name, value, expected):
    result = coerced(name, value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_iter", 2.5, "'max_iter' is an integer, but was given 2.5"),
        ("max_iter", True, "'max_iter' is an integer, but was given True"),
        ("tol", "small", "'tol' is a number, but was given 'small'"),
        ("tol", float("nan"), "'tol' is a number"),
        ("mu_strategy", "clever", "'mu_strategy' is one of monotone, adaptive, but was given 'clever'"),
        ("sb", 2, "'sb' is one of yes, no, but was given 2"),
    ],
)
def test_values_that_do_not_fit(name, value, message):
    with pytest.raises(SolverError, match=message):
        coerced(name, value)


def test_the_tables_are_disjoint():
    tables = [INTEGER, REAL, YES_NO, TEXT, frozenset(CHOICES)]
    assert len(frozenset().union(*tables)) == sum(map(len, tables))
