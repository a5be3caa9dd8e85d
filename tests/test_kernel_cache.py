"""A cold kernel cache is announced once; a warm one is not mentioned."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sct_opt import kernel_cache

SCRIPT = "import numpy as np, sct_opt as so; so.jacobian_sparsity(lambda x: x[1:] * x[:-1], np.ones(3))"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(kernel_cache, "_announced", False)
    (tmp_path / "__pycache__").mkdir()
    return tmp_path / "some_kernels.py"


def test_cold_kernels_are_announced_once(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="sct_opt"):
        kernel_cache.announce(str(module))
        kernel_cache.announce(str(module.with_name("other_kernels.py")))
    assert [record.getMessage() for record in caplog.records] == [
        "sct_opt compiles its kernels at their first use, once for this machine; that takes about half a minute."
    ]


@pytest.mark.parametrize("place", ["__pycache__", "user/numba/x_1"])
def test_cached_kernels_are_not_mentioned(module: Path, place: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = module.parent / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "some_kernels.first-10.py311.nbi").touch()
    kernel_cache.announce(str(module))
    assert not caplog.records


def test_a_chosen_directory_is_the_only_one(module: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    assert [directory for directory, _ in kernel_cache.cache_directories(module)] == [tmp_path / "chosen"]


def test_a_process_with_an_empty_cache_says_so_and_the_next_one_does_not(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        ).stderr
        for _ in range(2)
    ]
    assert said[0].startswith("sct_opt compiles its kernels")
    assert said[0].count("compiles its kernels") == 1
    assert said[1] == ""
