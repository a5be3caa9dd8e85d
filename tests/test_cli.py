"""The command line, through click's own test runner."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import sct_opt
from sct_opt.cli import main
from sct_opt.errors import ModelError, SolverError
from sct_opt.solvers import doctor, install
from sct_opt.solvers.doctor import Check
from sct_opt.solvers.install import Installation, IpoptSource


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner()


def test_version(runner: CliRunner) -> None:
    assert runner.invoke(main, ["--version"]).output == f"sct-opt, version {sct_opt.__version__}\n"


def test_help_names_every_command(runner: CliRunner) -> None:
    output = runner.invoke(main, ["--help"]).output
    assert all(name in output for name in ("install-ipopt", "doctor", "demo", "bench"))


def test_module_runs_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "sct_opt", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"sct-opt, version {sct_opt.__version__}\n"


# install-ipopt


def test_install_where_it_works_already(runner: CliRunner) -> None:
    result = runner.invoke(main, ["install-ipopt"])
    assert result.exit_code == 0
    assert "cyipopt works already" in result.output
    assert "IPOPT 3." in result.output


def test_install_reports_its_steps(runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.touch()
    asked: dict[str, object] = {}

    def pretend(**options: object) -> Installation:
        asked.update(options)
        options["report"]("building [x] against it")  # type: ignore[operator]
        return Installation("1.7.0", "3.14.19", "/lib/libipopt.so.3", IpoptSource("casadi", "3.14.19"))

    monkeypatch.setattr(install, "install_ipopt", pretend)
    result = runner.invoke(main, ["install-ipopt", "--force", "--source", "casadi", "--constraint", str(pins)])
    assert result.exit_code == 0
    assert "- building [x] against it" in result.output
    assert "cyipopt works, built against CasADi's IPOPT 3.14.19" in result.output
    assert "/lib/libipopt.so.3" in result.output
    del asked["report"]
    assert asked == {"force": True, "wanted": "casadi", "constraint": pins.resolve()}


def test_failed_install_ends_with_1_and_the_reason(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def pretend(**_: object) -> Installation:
        raise SolverError("There is no C compiler (gcc): [install] one.")

    monkeypatch.setattr(install, "install_ipopt", pretend)
    result = runner.invoke(main, ["install-ipopt"])
    assert result.exit_code == 1
    assert "There is no C compiler (gcc): [install] one." in result.output


# doctor


def test_doctor_on_this_environment(runner: CliRunner) -> None:
    result = runner.invoke(main, ["doctor", "--strict"])
    assert result.exit_code == 0, result.output
    assert all(name in result.output for name in ("numba", "cyipopt", "mumps", "kernels"))


@pytest.mark.parametrize(
    ("state", "options", "code"),
    [
        ("ok", ["--strict"], 0),
        ("note", ["--strict"], 0),
        ("optional", [], 0),
        ("optional", ["--strict"], 1),
        ("missing", [], 1),
    ],
)
def test_exit_code_of_doctor(
    state: doctor.State, options: list[str], code: int, runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def examine() -> Iterator[Check]:
        yield Check("a part", "found [so]", state, "pip install 'sct-opt[part]'")

    monkeypatch.setattr(doctor, "examine", examine)
    result = runner.invoke(main, ["doctor", *options])
    assert result.exit_code == code
    assert "found [so]" in result.output
    assert "a part: pip install 'sct-opt[part]'" in result.output


# demo and bench


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A demo that only records how it is called."""
    module = types.ModuleType("sct_opt.demo")
    module.calls = []  # type: ignore[attr-defined]

    def run(output: Path, quick: bool, console: object) -> int:
        module.calls.append((output, quick))  # type: ignore[attr-defined]
        return 3

    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sct_opt.demo", module)
    monkeypatch.setattr(sct_opt, "demo", module, raising=False)
    return module


def test_demo_defaults(runner: CliRunner, demo: types.ModuleType) -> None:
    result = runner.invoke(main, ["demo"])
    assert result.exit_code == 3
    assert demo.calls == [(Path("demo-output"), False)]


def test_demo_options(runner: CliRunner, demo: types.ModuleType, tmp_path: Path) -> None:
    runner.invoke(main, ["demo", "--quick", "--output", str(tmp_path)])
    assert demo.calls == [(tmp_path, True)]


def test_demo_error_is_a_message(runner: CliRunner, demo: types.ModuleType) -> None:
    def run(output: Path, quick: bool, console: object) -> int:
        raise ModelError("constraint `c[1]` has no body")

    demo.run = run
    result = runner.invoke(main, ["demo"])
    assert result.exit_code == 1
    assert result.output == "Error: constraint `c[1]` has no body\n"


def test_bench_passes_its_arguments_on(runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "benchmarks" / "run.py"
    script.parent.mkdir()
    script.write_text("import pathlib, sys\npathlib.Path('seen').write_text(repr(sys.argv[1:]))\nsys.exit(7)\n")
    monkeypatch.setattr(sct_opt, "__file__", str(tmp_path / "sct_opt" / "__init__.py"))
    result = runner.invoke(main, ["bench", "--only", "cartpole", "-n", "3", "--help"])
    assert result.exit_code == 7
    assert (tmp_path / "seen").read_text() == "['--only', 'cartpole', '-n', '3', '--help']"


def test_bench_outside_of_a_checkout(runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sct_opt, "__file__", str(tmp_path / "sct_opt" / "__init__.py"))
    result = runner.invoke(main, ["bench"])
    assert result.exit_code == 1
    assert "clone the repository" in result.output
