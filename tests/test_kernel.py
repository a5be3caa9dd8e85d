"""Kernels: any argument, any result, the same as the Python function; compiled once, and loaded without Numba after that."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sct_opt import kernel as kernel_module
from sct_opt import machine_code
from sct_opt.kernel import Kernel, kernel

Array = np.ndarray[Any, Any]

SCRIPT = """
import sys, numpy as np, sct_opt as so
pattern = so.jacobian_sparsity(lambda x: x[1:] * x[:-1], np.ones(3))
print(pattern.nnz, "numba" in sys.modules)
"""

SHIFT = 3


@kernel
def shifted(a: Array) -> Array:
    out = np.empty(a.size, dtype=np.int32)
    for k in range(a.size):
        out[k] = a[k] + SHIFT
    return out


@kernel
def everything(a: Array, b: Array, number: float, flag: bool, big: int, count: int) -> tuple[Any, ...]:
    moved = shifted(a)
    for i in range(b.shape[0]):
        for j in range(b.shape[1]):
            b[i, j] += number if flag else -number
    return moved[:2], b.shape[1], np.sqrt(number), flag, big, np.zeros((2, count), dtype=np.bool_), count > 2


@kernel
def nothing(a: Array) -> None:
    a[0] = 7.0


@kernel
def large(size: int) -> Array:
    return np.ones(size)


def test_arguments_and_results_of_all_kinds() -> None:
    a, b = np.arange(4, dtype=np.int32), np.ones((2, 3))
    moved, width, root, flag, big, table, more = everything(a, b, 2.25, False, np.uint64(2**64 - 1), 3)
    assert moved.dtype == np.int32
    assert moved.tolist() == [3, 4]
    assert (width, root, flag, big, more) == (3, 1.5, False, 2**64 - 1, True)
    assert [type(value) for value in (width, root, flag, more)] == [int, float, bool, bool]
    assert table.dtype == np.bool_
    assert table.shape == (2, 3)
    assert not table.any()
    assert (b == -1.25).all()


def test_kernels_without_results_work_in_place() -> None:
    a = np.zeros(2)
    assert nothing(a) is None
    assert a.tolist() == [7.0, 0.0]


def test_empty_and_read_only_arrays() -> None:
    fixed = np.arange(3, dtype=np.int32)
    fixed.flags.writeable = False
    assert shifted(fixed).tolist() == [3, 4, 5]
    assert shifted(np.zeros(0, dtype=np.int32)).shape == (0,)


def test_numbers_of_any_type() -> None:
    for size in (2, np.int64(2), np.int32(2), np.uint8(2)):
        assert large(size).size == int(size)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (np.ones((4, 4))[:, 1], "C-contiguous"),
        (np.ones(4, dtype=np.dtype(float).newbyteorder()), "byte order"),
        ([1.0], "not list"),
        ("a", "not str"),
    ],
)
def test_other_arguments_are_refused(argument: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        nothing(argument)


def test_bound_kernels_see_what_arrays_hold_now() -> None:
    a = np.arange(3, dtype=np.int32)
    run = shifted.bind(a)
    first = run()
    a[:] = 10
    assert run().tolist() == [13, 13, 13]
    assert first.tolist() == [3, 4, 5]


def test_results_live_as_long_as_anyone_looks_at_them() -> None:
    before = resident()
    for _ in range(200):
        part = large(1_000_000)[500_000:]
        gc.collect(0)
    assert part.sum() == 500_000  # it outlives the array that it is a view of
    assert resident() - before < 200e6  # of 1600 MB


@kernel
def tail(a: Array) -> Array:
    return a[1:]


def test_results_that_are_arguments_keep_them_alive() -> None:
    parts = [tail(np.full(1000, float(k))) for k in range(50)]
    assert all((part == k).all() for k, part in enumerate(parts))
    a = np.zeros(3)
    part = tail(a)
    a[2] = 5.0
    assert part.tolist() == [0.0, 5.0]


@kernel
def halves(size: int) -> tuple[Array, Array]:
    out = np.arange(size)
    return out[: size // 2], out[size // 2 :]


def test_results_may_share_memory() -> None:
    first, second = halves(10)
    del first
    other = halves(10)
    assert second.tolist() == [5, 6, 7, 8, 9]
    assert other[0].tolist() == [0, 1, 2, 3, 4]


def resident() -> int:
    return (
        int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if sys.platform == "linux"
        else 0
    )


def test_running_out_of_memory_is_an_error() -> None:
    with pytest.raises(MemoryError, match="kernel 'large' ran out of memory"):
        large(1 << 58)


def test_bound_calls_allocate_nothing() -> None:
    a = np.zeros(100)
    run = nothing.bind(a)
    run()
    tracemalloc.start()
    for _ in range(100):
        run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000


def copied(function: Any, **changed: Any) -> Kernel:
    """The same function with other globals."""
    namespace = {**function.__globals__, **changed}
    return Kernel(type(function)(function.__code__, namespace, function.__name__, None, function.__closure__))


def test_a_fingerprint_changes_with_all_that_a_kernel_is_made_of() -> None:
    same = copied(everything.function)
    assert same.fingerprint == everything.fingerprint
    other = copied(shifted.function, SHIFT=4)
    assert other.fingerprint != shifted.fingerprint
    assert copied(everything.function, shifted=other).fingerprint != everything.fingerprint
    assert (
        copied(shifted.function, SHIFT=np.array([3])).fingerprint
        != copied(shifted.function, SHIFT=np.array([4])).fingerprint
    )
    with pytest.raises(TypeError, match="fingerprint"):
        _ = copied(shifted.function, SHIFT=[3]).fingerprint


def test_functions_inside_kernels_are_refused() -> None:
    with pytest.raises(TypeError, match="holds a function"):
        kernel(lambda a: list((lambda c: c)(a)))(np.zeros(1))


def test_a_changed_constant_is_a_new_kernel() -> None:
    assert copied(shifted.function, SHIFT=4)(np.zeros(1, dtype=np.int32)).tolist() == [4]


def test_code_that_lacks_a_symbol_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCT_OPT_CACHE_DIR", str(tmp_path))
    copied(nothing.function)(np.zeros(1))
    (file,) = (tmp_path / "kernels").iterdir()
    found = machine_code.read("kernels", file.name)
    assert found is not None
    header, data = found
    machine_code.write("kernels", file.name, {**header, "externals": ["no_such_symbol"]}, data)
    copied(nothing.function)(np.zeros(1))
    again = machine_code.read("kernels", file.name)
    assert again is not None
    assert again[0] == header


def test_compiling_is_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    kernel_module.announce.cache_clear()
    with caplog.at_level(logging.WARNING, logger="sct_opt"):
        kernel_module.announce()
        kernel_module.announce()
    assert [record.getMessage() for record in caplog.records] == [
        "sct_opt compiles its kernels at their first use, once for this machine; that takes about half a minute."
    ]


def test_only_a_process_with_an_empty_cache_compiles(tmp_path: Path) -> None:
    environment = {**os.environ, "SCT_OPT_CACHE_DIR": str(tmp_path)}
    runs = [
        subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [run.stdout.split() for run in runs] == [["4", "True"], ["4", "False"]]
    assert runs[0].stderr.startswith("sct_opt compiles its kernels")
    assert runs[0].stderr.count("compiles its kernels") == 1
    assert runs[1].stderr == ""


def test_kernels_compiled_inside_a_trace_see_numpy_itself(tmp_path: Path) -> None:
    script = """
import numpy as np, sct_opt as so
from numpy import zeros
def outer(x):
    inner = so.jacobian_sparsity(lambda y: y[1:] * y[:-1], np.ones(3))
    y = zeros(3)
    y[:] = x * inner.nnz
    z = np.zeros(3)
    z[1:] = y[:-1]
    return z
print(so.jacobian_sparsity(outer, np.ones(3)).nnz)
"""
    environment = {**os.environ, "SCT_OPT_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2"]


def test_switching_numba_off_does_not_concern_kernels(tmp_path: Path) -> None:
    environment = {**os.environ, "SCT_OPT_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "True"]


def test_an_interrupted_or_foreign_cache_does_no_harm(tmp_path: Path) -> None:
    environment = {**os.environ, "SCT_OPT_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True, capture_output=True)
    for file in (tmp_path / "kernels").iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "True"]
