"""The C interface behaves as cyipopt does: results, multipliers, stops, exceptions, options."""

from __future__ import annotations

import numpy as np
import pytest

import sct_opt as so
from sct_opt.demo.models import hs071, luksan_vlcek
from sct_opt.errors import EvaluationError, MissingDependencyError, ShapeError, SolverError
from sct_opt.nlp import Scaling
from sct_opt.solvers import capi
from sct_opt.solvers.ipopt import Iteration, solve


def both(nlp: so.NLP, **how):
    return solve(nlp, **how), solve(nlp, backend="ctypes", **how)


@pytest.mark.parametrize("build", [lambda: hs071().nlp, lambda: luksan_vlcek(200).nlp], ids=["hs071", "luksan-vlcek"])
def test_same_iterates_and_multipliers(build) -> None:
    seen: list[list[Iteration]] = [[], []]
    nlp = build()
    first = solve(nlp, callback=seen[0].append)
    second = solve(nlp, callback=seen[1].append, backend="ctypes")
    assert first.nit == second.nit
    for name in ("x", "fun", "constraints", "constraint_multipliers", "lower_multipliers", "upper_multipliers"):
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    for name in ("x", "constraint_multipliers", "lower_multipliers", "upper_multipliers"):
        iterates = [np.array([getattr(iteration, name) for iteration in run]) for run in seen]
        np.testing.assert_array_equal(*iterates, err_msg=name)
        np.testing.assert_array_equal(iterates[0][-1], first[name], err_msg=name)


def test_without_constraints_and_with_limited_memory() -> None:
    nlp = so.from_callables(lambda x: np.sum((x[1:] - x[:-1] ** 2) ** 2) + (1 - x[0]) ** 2, np.zeros(3))
    for options in ({}, {"hessian_approximation": "limited-memory"}):
        first, second = both(nlp, options=options)
        assert second.success
        np.testing.assert_array_equal(first.x, second.x)


def test_warm_start() -> None:
    nlp = hs071().nlp
    cold = solve(nlp, backend="ctypes")
    warm = solve(nlp, x0=cold.x, multipliers=cold, backend="ctypes")
    assert warm.success
    assert warm.nit < cold.nit


def test_callback_stops() -> None:
    result = solve(hs071().nlp, callback=lambda it: it.iteration < 3, backend="ctypes")
    assert (result.status, result.nit, result.success) == (5, 3, False)


def test_exceptions_come_out_with_their_own_traceback_and_leave_nothing_behind() -> None:
    calls = []

    def fails(x):
        calls.append(1)
        if len(calls) > 3:
            raise ZeroDivisionError("in the simulator")
        return float(x[0]) ** 2

    nlp = so.from_callables(lambda x: so.custom_op(fails, shape=())(x) + np.sum(x**2), np.ones(2))
    for _ in range(2):
        calls.clear()
        with pytest.raises(ZeroDivisionError, match="in the simulator"):
            solve(nlp, backend="ctypes")
    assert solve(hs071().nlp, backend="ctypes").success


def test_a_callback_that_raises() -> None:
    def callback(iteration) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        solve(hs071().nlp, callback=callback, backend="ctypes")


def test_options_are_checked_alike() -> None:
    nlp = hs071().nlp
    with pytest.raises(SolverError, match="did you mean 'max_iter'"):
        solve(nlp, options={"max_itr": 5}, backend="ctypes")
    assert solve(nlp, options={"max_iter": np.int64(2), "tol": 1}, backend="ctypes").status in (-1, 0, 1)
    with pytest.raises(SolverError, match="no back end 'pipe'"):
        solve(nlp, backend="pipe")


def test_undefined_start_is_named() -> None:
    nlp = so.from_callables(lambda x: np.log(x[0]) + x[1] ** 2, [-1.0, 1.0])
    with pytest.raises(EvaluationError, match="log"):
        solve(nlp, backend="ctypes")


def test_fixed_variables_and_infinite_bounds() -> None:
    nlp = so.from_callables(
        lambda x: np.sum((x - 3.0) ** 2), np.zeros(3), bounds=([1.0, -np.inf, 0.0], [1.0, np.inf, 2.0])
    )
    first, second = both(nlp)
    np.testing.assert_allclose(second.x, [1.0, 3.0, 2.0], atol=1e-6)
    np.testing.assert_array_equal(first.x, second.x)


def test_no_library_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capi, "_candidates", list)
    capi.library.cache_clear()
    with pytest.raises(MissingDependencyError, match="install-ipopt"):
        capi.library()
    monkeypatch.undo()
    capi.library.cache_clear()
    assert capi.library() is capi.library()


def test_casadi_brings_a_library_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    files = capi._candidates()
    assert any("libipopt" in file for file in files)
    assert capi._opened(files[0]) is not None
    assert capi._opened(__file__) is None


@pytest.mark.parametrize("backend", ["cyipopt", "ctypes"])
def test_scaling_changes_the_path_and_not_the_solution(backend: str) -> None:
    nlp = luksan_vlcek(50).nlp
    plain = solve(nlp, backend=backend, options={"nlp_scaling_method": "none"})
    nlp.scaling = Scaling(0.01, np.linspace(1.0, 5.0, nlp.n), np.full(nlp.m, 10.0))
    residuals: list[float] = []
    scaled = solve(nlp, backend=backend, callback=lambda it: residuals.append(it.inf_du))
    unscaled: list[float] = []
    off = solve(
        nlp,
        backend=backend,
        options={"nlp_scaling_method": "none"},
        callback=lambda it: unscaled.append(it.inf_du),
    )
    assert residuals[0] != unscaled[0], "the factors reached IPOPT"
    for result in (scaled, off):
        np.testing.assert_allclose(result.x, plain.x, atol=1e-6)
        np.testing.assert_allclose(result.constraint_multipliers, plain.constraint_multipliers, atol=1e-5)
    nlp.scaling = Scaling(variables=np.zeros(nlp.n))
    with pytest.raises(ShapeError, match="scaling of the variables must be 50 positive numbers"):
        solve(nlp, backend=backend)
