"""Stand-ins for NumPy's constructors answer user code only, not compiled code that user code calls."""

from __future__ import annotations

import numpy as np
import pytest
from numpy import zeros as blank

import sct_opt as so

X = np.ones(3)


def nnz(f) -> int:
    return so.jacobian_sparsity(f, X).nnz


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.random(n),
        lambda rng, n: rng.standard_normal(n),
        lambda rng, n: rng.integers(0, 9, n),
        lambda rng, n: rng.permutation(n),
        lambda rng, n: rng.choice(np.arange(5.0), n),
        lambda rng, n: np.random.RandomState(0).rand(n),
    ],
)
def test_random_numbers_are_plain_arrays_inside_a_trace(draw) -> None:
    assert nnz(lambda x: x * (1.0 + draw(np.random.default_rng(0), 3))) == 3


def test_random_numbers_beside_a_buffer_of_ones_own() -> None:
    def f(x):
        draw = np.random.default_rng(0).random
        out = np.empty(3)
        noise = 1.0 + draw(3)
        for k in range(3):
            out[k] = noise[k] * x[k]
        return out

    assert nnz(f) == 3


def test_constructors_by_every_name() -> None:
    empty = np.empty

    def f(x):
        a = blank(3)
        b = empty(3)
        c = np.zeros(
            3,
        )
        rows = [np.ones(1) for _ in range(3)]
        for k in range(3):
            a[k], b[k], c[k] = x[k], x[k], x[k]
            rows[k][0] = x[k]
        return a + b + c + np.concatenate(rows)

    assert nnz(f) == 3


def test_code_without_source() -> None:
    namespace = {"np": np}
    exec("def f(x):\n    y = np.zeros(3)\n    y[1] = x[1]\n    return y", namespace)
    assert nnz(namespace["f"]) == 1


def test_sorting_and_linear_algebra_of_plain_numbers() -> None:
    matrix = np.random.default_rng(0).random((3, 3))
    assert nnz(lambda x: np.linalg.solve(matrix, np.sort(matrix)[:, 0]) * x + np.fft.fft(matrix[0]).real) == 3
