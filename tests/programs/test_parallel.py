"""Instances that run at the same time never add to the same entry, and nothing is left out or done twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sct_opt.derivatives import Derivatives
from sct_opt.programs import EngineOptions, parallel
from sct_opt.programs.parallel import Adds, available, schedule
from tests.programs.problems import cart_pole, diffusion, luksan_vlcek, luksan_vlcek_loop
from tests.programs.test_engine import assert_same


def adds(positions: np.ndarray, width: int = 4, work: int = 10**7) -> Adds:
    """A kernel whose instances add to the given positions, one row per instance; -1 for nothing."""
    return Adds(
        len(positions), width, work, np.where(positions < 0, 5000, positions).T.astype(np.int32).copy(), 5000, False
    )


@st.composite
def kernels(draw: st.DrawFn) -> list[tuple[np.ndarray, int]]:
    """Kernels whose instances come roughly in the order of what they add to."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        count = draw(st.integers(1, 400))
        first = np.arange(count) * draw(st.integers(0, 3)) + draw(st.integers(0, 200))
        if draw(st.booleans()):
            first = first % 150  # around a circle
        positions = first[:, None] + rng.integers(0, draw(st.integers(1, 12)), (count, 3))
        positions[rng.random((count, 3)) < 0.2] = -1
        found.append((positions, draw(st.sampled_from([1, 2, 4, 8]))))
    return found


@settings(max_examples=400)
@given(kernels(), st.integers(2, 5))
def test_parts_are_disjoint_and_complete(found: list[tuple[np.ndarray, int]], threads: int) -> None:
    result = schedule([adds(positions, width) for positions, width in found], threads)
    if result is None:
        return
    parts, seams = result
    touched: list[set[int]] = []
    for part in parts:
        mine: set[int] = set()
        for (positions, width), (start, stop) in zip(found, part, strict=True):
            assert start == stop or stop - start >= width, "a vector would reach back behind the range"
            mine |= set(positions[start:stop].ravel().tolist())
        touched.append(mine - {-1})
    for k, mine in enumerate(touched):
        assert not any(mine & other for other in touched[k + 1 :])
    for k, (positions, width) in enumerate(found):
        ranges = sorted([part[k] for part in parts if part[k][0] < part[k][1]] + list(seams[k]))
        assert [i for start, stop in ranges for i in range(start, stop)] == list(range(len(positions)))
        assert all(stop >= width for _, stop in ranges)


def test_instances_that_add_nothing_are_cut_evenly() -> None:
    nothing = np.full((1000, 2), -1)
    assert schedule([adds(nothing, 8)], 4) == ([[(0, 248)], [(248, 496)], [(496, 744)], [(744, 1000)]], [[]])


@pytest.mark.parametrize(
    ("kernel", "threads"),
    [
        (adds(np.arange(100)[:, None], work=10), 2),  # too little work
        (adds(np.arange(100)[:, None]), 1),
        (adds(np.random.default_rng(0).integers(0, 300, (1000, 1))), 2),  # in no order
        (Adds(100, 4, 10**7, np.zeros((1, 100), np.int32), 1, True), 2),  # a sum of all
    ],
)
def test_one_thread_does_best(kernel: Adds, threads: int) -> None:
    assert schedule([kernel], threads) is None


def test_no_more_threads_than_there_is_work_for() -> None:
    kernel = adds(np.arange(1000)[:, None], work=3 * parallel.WORTH_A_THREAD)
    result = schedule([kernel], 8)
    assert result is not None
    assert len(result[0]) == 3


PROBLEMS = {
    "luksan-vlcek": luksan_vlcek(203),
    "luksan-vlcek loop": luksan_vlcek_loop(150),
    "trapezoids": cart_pole(203),
    "hermite-simpson": cart_pole(202, hermite_simpson=True),
    "diffusion": diffusion(15),
}


@pytest.mark.parametrize("threads", [2, 3, 4])
@pytest.mark.parametrize("name", PROBLEMS)
def test_threads_change_nothing(name: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(parallel, "MAX_SEAM", 1.0)
    tape, x = PROBLEMS[name]
    d = Derivatives(tape, options=EngineOptions(mode="programs", threads=threads))
    assert_same(d, x)
    used = [runner._code.parts for runner in d._runners.values() if runner is not None and runner._code is not None]
    assert max(used) > 1
    weights = np.cos(np.arange(tape.num_outputs))
    first = d.hessian_values(x, weights)
    for _ in range(20):
        np.testing.assert_array_equal(d.hessian_values(x, weights), first)


def test_nonfinite_values_are_seen_in_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WORTH_A_THREAD", 1)
    tape, x = PROBLEMS["luksan-vlcek"]
    d = Derivatives(tape, options=EngineOptions(threads=4))
    for k in range(0, 203, 25):
        y = x.copy()
        y[k] = 800.0  # the exponential overflows
        _, finite = d._engine.jacobian_task(1, tape.num_outputs)(y)  # type: ignore[union-attr]
        assert not finite


def test_how_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCT_OPT_NUM_THREADS", "3")
    assert available() == 3
    for nonsense in ("", "0", "many"):
        monkeypatch.setenv("SCT_OPT_NUM_THREADS", nonsense)
        assert available() >= 1
