"""Machine code: compiled, loaded, kept on disk, and refused where it is not whole or lacks a symbol."""

from __future__ import annotations

import ctypes
import logging
import os
from pathlib import Path

import pytest

from sct_opt import machine_code
from sct_opt.machine_code import UnavailableError

TWICE = "define double @twice(double %x) {\n  %y = fadd double %x, %x\n  ret double %y\n}\n"
CALLS_SIN = "declare double @sin(double)\n" + TWICE.replace("fadd double %x, %x", "call double @sin(double %x)")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCT_OPT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def called(code: machine_code.Code, x: float) -> float:
    return float(ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(code.address("twice"))(x))


def test_assembly_runs() -> None:
    assert called(machine_code.Code(machine_code.compile_assembly(TWICE, 0)), 1.5) == 3.0


def test_externals_are_found() -> None:
    assert called(machine_code.Code(machine_code.compile_assembly(CALLS_SIN, 2), ["sin"]), 0.0) == 0.0


def test_a_missing_external_is_refused_before_it_is_linked() -> None:
    data = machine_code.compile_assembly(CALLS_SIN.replace("sin", "no_such_function"), 0)
    with pytest.raises(UnavailableError, match="no function 'no_such_function'"):
        machine_code.Code(data, ["no_such_function"])


def test_bad_assembly_is_refused() -> None:
    with pytest.raises(UnavailableError, match="LLVM refused"):
        machine_code.compile_assembly("define nonsense", 0)


def test_without_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_code, "host", lambda: None)
    with pytest.raises(UnavailableError, match="llvmlite"):
        machine_code.compile_assembly(TWICE, 0)


def test_what_is_written_is_read(cache: Path) -> None:
    assert machine_code.read("kernels", "a") is None
    machine_code.write("kernels", "a", {"returns": ["int64"]}, b"code\nmore")
    assert machine_code.read("kernels", "a") == ({"returns": ["int64"]}, b"code\nmore")
    assert [file.name for file in (cache / "kernels").iterdir()] == ["a"]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:35], lambda data: data + b"x", lambda data: b""]
)
def test_damaged_files_are_not_read(cache: Path, damage: object) -> None:
    machine_code.write("kernels", "a", {}, b"code")
    file = cache / "kernels" / "a"
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    assert machine_code.read("kernels", "a") is None


def test_the_oldest_files_go_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_code, "MAX_STORED", 4)
    for k in range(4):
        machine_code.write("programs", str(k), {}, b"")
        os.utime(cache / "programs" / str(k), (k, k))
    machine_code.read("programs", "0")
    machine_code.write("programs", "4", {}, b"")
    assert sorted(file.name for file in (cache / "programs").iterdir()) == ["0", "4"]


def test_a_folder_that_cannot_be_written_is_mentioned_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCT_OPT_CACHE_DIR", str(tmp_path / "file"))
    machine_code._say_once.cache_clear()
    with caplog.at_level(logging.WARNING, logger="sct_opt"):
        assert called(machine_code.program(TWICE, 0, []), 1.0) == 2.0
        machine_code.write("programs", "a", {}, b"")
        machine_code.write("programs", "b", {}, b"")
    (record,) = caplog.records
    assert "set SCT_OPT_CACHE_DIR to a folder where it can" in record.getMessage()


def test_nobodys_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SCT_OPT_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", home)
    assert machine_code.read("programs", "a") is None
    machine_code.write("programs", "a", {}, b"")


def test_where_code_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_code.directory() == tmp_path / "cache"
    monkeypatch.delenv("SCT_OPT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr("sys.platform", "linux")
    assert machine_code.directory() == tmp_path / "user" / "sct_opt"
    monkeypatch.setattr("sys.platform", "darwin")
    assert machine_code.directory().parts[-3:] == ("Library", "Caches", "sct_opt")


def test_a_digest_tells_parts_apart() -> None:
    assert machine_code.digest("ab", "c") != machine_code.digest("a", "bc") != machine_code.digest("abc")
    assert machine_code.digest("ab", "c") == machine_code.digest(b"ab", b"c")


def test_programs_come_from_disk_the_second_time(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_code, "WORTH_KEEPING", 0.0)
    assert called(machine_code.program(TWICE, 0, []), 4.0) == 8.0
    monkeypatch.setattr(machine_code, "compile_assembly", lambda text, optimise: pytest.fail("compiled again"))
    assert called(machine_code.program(TWICE, 0, []), 4.0) == 8.0


def test_programs_compiled_in_no_time_are_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_code, "WORTH_KEEPING", 1e9)
    machine_code.program(TWICE, 0, [])
    assert not (cache / "programs").exists()
