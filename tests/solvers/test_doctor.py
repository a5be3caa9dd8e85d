"""The examination of an installation: this one, and pretended broken ones."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from sct_opt.solvers import doctor
from sct_opt.solvers.doctor import Check


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let packages be missing."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, package=None: None if name in names else find_spec(name, package)
    )


def test_this_environment_is_complete() -> None:
    checks = {check.name: check for check in doctor.examine()}
    assert {check.name for check in checks.values() if check.state in ("optional", "missing")} == set()
    assert "mumps" in checks["linear solvers"].value.split(", ")
    assert checks["IPOPT"].value.startswith("3.")
    assert {"Python", "platform", "sct_opt", *doctor.NEEDED, *doctor.OPTIONAL, "kernels"} <= set(checks)


def test_missing_packages_come_with_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "pyomo", "casadi", "cyipopt", "matplotlib", "numba")
    checks = {check.name: check for check in doctor.check_packages()}
    assert checks["pyomo"] == Check("pyomo", "not installed", "optional", "pip install 'sct-opt[pyomo]'")
    assert checks["cyipopt"].mend == "sct-opt install-ipopt"
    assert checks["numba"].state == "missing"


def test_ipopt_without_cyipopt(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "cyipopt")
    assert [(check.name, check.state) for check in doctor.check_ipopt()] == [("IPOPT", "optional")]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"solved": False, "error": "the process crashed (signal 11)"}, "does not load: the process crashed"),
        ({"solved": False, "ipopt": "3.14.19", "status": -199}, "status -199"),
    ],
)
def test_broken_cyipopt(answer: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe", lambda *_: answer)
    (check,) = doctor.check_ipopt()
    assert said in check.value
    assert check.mend == "sct-opt install-ipopt --force"


def test_hsl_that_loads_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe", lambda name, environ=None: {"solved": name in ("mumps", "ma57")})
    assert list(doctor.check_linear_solvers()) == [Check("linear solvers", "mumps, ma57")]


def test_spral_that_needs_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe", lambda name, environ=None: {"solved": environ is not None or name == "mumps"})
    checks = {check.name: check for check in doctor.check_linear_solvers()}
    assert checks["SPRAL"].mend == "export OMP_CANCELLATION=TRUE OMP_PROC_BIND=TRUE"
    assert checks["linear solvers"].value == "mumps"
    assert checks["HSL"].state == "note"


def test_no_linear_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe", lambda name, environ=None: {"solved": False})
    check = next(doctor.check_linear_solvers())
    assert (check.value, check.state) == ("none works", "optional")


KERNELS = """
from numba import njit


@njit(cache=True)
def first(x: float) -> float:
    return x + 1.0


@njit(cache=True)
def second(x: float) -> float:
    return first(x)


def plain() -> None: ...
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    source = tmp_path / "package" / "part" / "kernels.py"
    source.parent.mkdir(parents=True)
    source.write_text(KERNELS)
    return tmp_path / "package"


def test_kernels_not_compiled(package: Path) -> None:
    check = doctor.check_kernels(package)
    assert check.value.startswith("0 of 2 compiled and cached")
    assert check.mend == "sct-opt demo --quick"


@pytest.mark.parametrize("chosen", [False, True])
def test_kernels_compiled_and_changed_since(
    chosen: bool, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = package / "part" / "kernels.py"
    directory = package / "part" / "__pycache__"
    if chosen:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
        directory = tmp_path / "chosen" / "part_0123"
    directory.mkdir(parents=True)
    for _, pattern in doctor.kernel_cache_patterns(package):
        (directory / pattern.replace("*", "")).touch()
    assert doctor.check_kernels(package) == Check("kernels", "2 of 2 compiled and cached")
    later = source.stat().st_mtime + 10
    os.utime(source, (later, later))
    assert doctor.check_kernels(package).value.startswith("0 of 2")


def test_cache_patterns_are_those_that_numba_writes(package: Path) -> None:
    source = package / "part" / "kernels.py"
    spec = importlib.util.spec_from_file_location("kernels", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.second(1.0) == 2.0
    assert doctor.check_kernels(package).value == "2 of 2 compiled and cached"


def test_package_without_kernels(tmp_path: Path) -> None:
    assert doctor.check_kernels(tmp_path).value == "none found"
