"""The examination of an installation: this one, and pretended broken ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from sct_opt import machine_code
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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCT_OPT_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_kernels_not_compiled(cache: Path) -> None:
    check = doctor.check_kernels()
    assert check.value.startswith(f"none compiled yet in {cache}")
    assert (check.state, check.mend) == ("note", "sct-opt demo --quick")


def test_kernels_compiled(cache: Path) -> None:
    machine_code.write("kernels", "first-0", {}, bytes(2_000_000))
    machine_code.write("kernels", "second-0", {}, bytes(1_000_000))
    assert doctor.check_kernels() == Check("kernels", f"2 compiled, 3.0 MB in {cache / 'kernels'}")
