"""Branches followed both ways: patterns of all paths united, or a refusal."""

from __future__ import annotations

import numpy as np
import pytest

import sct_opt as so
from sct_opt.errors import MissingPrimalError, ShapeError, TracingError

EXPLORE = so.TracerSparsityDetector(branches="explore", max_paths=32)


def dense(f, x, detector=EXPLORE) -> list[list[int]]:
    return so.jacobian_sparsity(f, x, detector).toarray().astype(int).tolist()


def piecewise(x):
    if x[0] > 0:
        if x[1] < x[2]:
            return x[0]
        return x[1]
    return x[3] ** 2


def test_all_paths_are_united() -> None:
    assert dense(piecewise, np.ones(4)) == [[1, 1, 0, 1]]
    assert so.hessian_sparsity(piecewise, np.ones(4), EXPLORE).nnz == 1


def test_default_is_to_raise() -> None:
    with pytest.raises(MissingPrimalError, match="if x\\[0\\] > 0"):
        so.jacobian_sparsity(piecewise, np.ones(4))


def test_the_union_covers_every_local_pattern() -> None:
    everywhere = so.jacobian_sparsity(piecewise, np.ones(4), EXPLORE).toarray()
    rng = np.random.default_rng(0)
    for _ in range(20):
        local = so.jacobian_sparsity(piecewise, rng.standard_normal(4), so.TracerLocalSparsityDetector()).toarray()
        assert (local <= everywhere).all()


def test_loops_on_traced_conditions_are_refused_beyond_the_bound() -> None:
    def newton(x):
        y = x[0]
        while y * y > x[1]:
            y = 0.5 * (y + x[1] / y)
        return y

    with pytest.raises(TracingError, match=r"more than 32 paths[\s\S]*test_paths.py:\d+[\s\S]*max_paths"):
        so.jacobian_sparsity(newton, np.ones(2), EXPLORE)


def test_paths_that_raise_have_no_output() -> None:
    def guarded(x):
        if x[0] < 0:
            raise ValueError("negative")
        return x[0] * x[1]

    assert dense(guarded, np.ones(2)) == [[1, 1]]

    def never(x):
        if x[0] < 0:
            raise ValueError("negative")
        raise KeyError("positive")

    with pytest.raises((ValueError, KeyError)):
        so.jacobian_sparsity(never, np.ones(2), EXPLORE)


def test_errors_of_tracing_are_not_swallowed() -> None:
    def converts(x):
        return x[1] if x[0] > 0 else float(x[0].__float__())

    with pytest.raises(TracingError):
        so.jacobian_sparsity(converts, np.ones(2), EXPLORE)


def test_different_numbers_of_outputs_are_refused() -> None:
    with pytest.raises(ShapeError, match="different numbers of outputs"):
        so.jacobian_sparsity(lambda x: [x[0]] if x[0] > 0 else [x[0], x[1]], np.ones(2), EXPLORE)


def test_sorting_networks_written_with_branches() -> None:
    def bubble(x):
        y = [x[0], x[1], x[2]]
        for last in (2, 1):
            for k in range(last):
                if y[k] > y[k + 1]:
                    y[k], y[k + 1] = y[k + 1], y[k]
        return y

    assert dense(bubble, np.ones(3)) == [[1, 1, 1]] * 3


def test_bad_choices_are_named() -> None:
    with pytest.raises(TracingError, match="branches='both'"):
        so.TracerSparsityDetector(branches="both")
    with pytest.raises(TracingError, match="max_paths=0"):
        so.TracerSparsityDetector(max_paths=0)
