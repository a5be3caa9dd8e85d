"""Finding an IPOPT and building cyipopt against it: the decisions, without building anything."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from sct_opt.errors import SctOptError, SolverError
from sct_opt.solvers import install
from sct_opt.solvers.install import IpoptSource


@pytest.fixture
def steps() -> list[str]:
    return []


@pytest.fixture
def casadi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that looks like CasADi in the site-packages of this Python."""
    directory = tmp_path / "site packages" / "casadi"
    headers = directory / "include" / "coin-or"
    headers.mkdir(parents=True)
    (headers / "IpStdCInterface.h").touch()
    (headers / "IpoptConfig.h").write_text('#define IPOPT_VERSION "3.14.99"\n#define IPOPT_VERSION_MAJOR 3\n')
    (directory / "libipopt.so").touch()
    monkeypatch.setattr(install, "find_casadi", lambda: directory)
    return directory


def pretend_pkg_config(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> None:
    """Let pkg-config exist and answer the given questions."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        answer = answers.get(command[1])
        return subprocess.CompletedProcess(command, 0 if answer is not None else 1, stdout=f"{answer}\n", stderr="")

    monkeypatch.setattr(install, "find_pkg_config", lambda: "/usr/bin/pkg-config")
    monkeypatch.setattr(subprocess, "run", run)


def pretend_conda(prefix: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> Path:
    """Let this Python belong to a conda environment with an IPOPT."""
    (prefix / "conda-meta").mkdir(parents=True)
    description = prefix / "lib" / "pkgconfig" / "ipopt.pc"
    description.parent.mkdir(parents=True)
    description.write_text(f"Name: IPOPT\nVersion: {version}\nLibs: -L{prefix}/lib -lipopt\n")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    return description


def pretend_package(monkeypatch: pytest.MonkeyPatch, name: str, there: bool) -> None:
    """Let a package be installed or not."""
    find_spec = importlib.util.find_spec
    some = importlib.util.find_spec("json")
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda asked, package=None: (some if there else None) if asked == name else find_spec(asked, package),
    )


# Finding


def test_recent_system_ipopt_is_taken(monkeypatch: pytest.MonkeyPatch, steps: list[str]) -> None:
    pretend_pkg_config(monkeypatch, {"--modversion": "3.14.12", "--variable=libdir": "/usr/lib/x86_64-linux-gnu"})
    assert install.find_ipopt(report=steps.append) == IpoptSource("system", "3.14.12")
    assert steps == []


def test_system_ipopt_outside_the_loaders_path_needs_a_run_path(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pkg_config(monkeypatch, {"--modversion": "3.14.12", "--variable=libdir": "/opt/ipopt/lib"})
    assert install.find_ipopt("system").library_dir == Path("/opt/ipopt/lib")


def test_old_system_ipopt_is_named_but_not_taken(monkeypatch: pytest.MonkeyPatch, steps: list[str]) -> None:
    pretend_pkg_config(monkeypatch, {"--modversion": "3.11.9", "--variable=libdir": "/usr/lib"})
    assert install.find_ipopt(report=steps.append) == IpoptSource("casadi")
    assert steps == ["found the system's IPOPT 3.11.9, which is older than 3.14: not used"]


def test_old_system_ipopt_is_taken_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pkg_config(monkeypatch, {"--modversion": "3.11.9", "--variable=libdir": "/usr/lib"})
    assert install.find_ipopt("system") == IpoptSource("system", "3.11.9")


def test_conda_comes_before_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pkg_config(monkeypatch, {"--modversion": "3.14.12", "--variable=libdir": "/usr/lib"})
    description = pretend_conda(tmp_path, monkeypatch, "3.14.17")
    assert install.find_ipopt() == IpoptSource("conda", "3.14.17", description.parent, tmp_path / "lib")


def test_casadi_is_taken_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pkg_config(monkeypatch, {})
    assert install.find_ipopt() == IpoptSource("casadi")


def test_casadi_is_taken_without_pkg_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "find_pkg_config", lambda: None)
    assert install.find_ipopt() == IpoptSource("casadi")


@pytest.mark.parametrize(("wanted", "mend"), [("conda", "conda install"), ("system", "coinor-libipopt-dev")])
def test_wanted_ipopt_that_is_not_there(wanted: install.Kind, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pkg_config(monkeypatch, {})
    with pytest.raises(SolverError, match=mend):
        install.find_ipopt(wanted)


def test_pkg_config_of_the_environment_is_found_when_it_is_not_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert install.find_pkg_config() is None
    tool = tmp_path / "pkg-config"
    tool.touch(mode=0o755)
    assert install.find_pkg_config() == str(tool)


def test_this_casadi_has_an_ipopt_to_link_with() -> None:
    directory = install.find_casadi()
    assert directory.name == "casadi"
    assert install.release(install.casadi_version(directory)) >= install.OLDEST_IPOPT


def test_casadi_without_ipopt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "casadi"
    package.mkdir()
    (package / "__init__.py").touch()
    spec = importlib.util.spec_from_file_location("casadi", package / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(SolverError, match="no IPOPT to link with"):
        install.find_casadi()


def test_casadi_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SolverError, match="pip install 'casadi"):
        install.find_casadi()


# The environment of the build


def test_build_against_casadi(casadi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PKG_CONFIG_PATH", "/mine")
    monkeypatch.setenv("LDFLAGS", "-O1")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(casadi.parent))
    monkeypatch.setattr(sys, "platform", "linux")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environ = install.build_environment(IpoptSource("casadi"), scratch)
    link = scratch / "casadi"
    assert link.resolve() == casadi.resolve()
    assert (scratch / "ipopt.pc").read_text() == (
        "Name: ipopt\n"
        "Description: IPOPT of CasADi's wheel\n"
        "Version: 3.14.99\n"
        f"Cflags: -I{link}/include/coin-or\n"
        f"Libs: -L{link} -lipopt\n"
    )
    assert environ["PKG_CONFIG_PATH"] == f"{scratch}{os.pathsep}/mine"
    assert environ["LDFLAGS"] == f"-L{link} '-Wl,-rpath,$ORIGIN/../casadi' -O1"


def test_pkg_config_reads_the_generated_file(casadi: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    tool = install.find_pkg_config()
    assert tool is not None
    answer = subprocess.run(
        [tool, "--libs", "--cflags", "ipopt"],
        capture_output=True,
        text=True,
        check=True,
        env=install.build_environment(IpoptSource("casadi"), scratch),
    )
    assert set(answer.stdout.split()) == {f"-I{scratch}/casadi/include/coin-or", f"-L{scratch}/casadi", "-lipopt"}


def test_run_path_is_absolute_outside_of_site_packages(tmp_path: Path) -> None:
    assert install.run_path(tmp_path / "casadi") == str(tmp_path / "casadi")


def test_run_path_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert install.run_path(Path(sysconfig.get_path("platlib")) / "casadi") == "@loader_path/../casadi"


def test_build_against_conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PKG_CONFIG_PATH", raising=False)
    monkeypatch.delenv("LDFLAGS", raising=False)
    source = IpoptSource("conda", "3.14.17", Path("/conda/lib/pkgconfig"), Path("/conda/lib"))
    environ = install.build_environment(source, tmp_path)
    assert environ["PKG_CONFIG_PATH"] == "/conda/lib/pkgconfig"
    assert environ["LDFLAGS"] == "-Wl,-rpath,/conda/lib"
    assert list(tmp_path.iterdir()) == []


# What can go wrong


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -pthread")
    with pytest.raises(SolverError, match=r"no C compiler \(no-such-compiler\).*build-essential"):
        install.check_compiler()


def test_no_python_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(SolverError, match="python3-dev"):
        install.check_compiler()


def test_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SolverError, match="conda install -c conda-forge cyipopt"):
        install.check_platform()


@pytest.mark.parametrize("works", [True, False])
def test_no_pip(works: bool, monkeypatch: pytest.MonkeyPatch, steps: list[str]) -> None:
    pretend_package(monkeypatch, "pip", there=False)
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0 if works else 1, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    if works:
        install.check_pip(steps.append)
    else:
        with pytest.raises(SolverError, match="uv pip install pip"):
            install.check_pip(steps.append)
    assert commands == [[sys.executable, "-m", "ensurepip", "--upgrade"]]
    assert len(steps) == 1


@pytest.mark.parametrize(
    ("log", "mend"),
    [
        ("error: externally-managed-environment", "python3 -m venv"),
        (
            "WARNING: Retrying … NameResolutionError(…)\nERROR: No matching distribution found for cyipopt",
            "PIP_FIND_LINKS",
        ),
        ("ERROR: No matching distribution found for cyipopt", "pip config list"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("OSError: [Errno 13] Permission denied: '/usr/lib'", "cannot be written"),
        ("x.c:1:10: fatal error: Python.h: No such file or directory", "python3-dev"),
        ("undefined reference to `CreateIpoptProblem'", "--source casadi"),
    ],
)
def test_failure_is_explained(log: str, mend: str) -> None:
    message = install.explain_failure("Building cyipopt", log)
    assert message.startswith("Building cyipopt failed. ")
    assert mend in message
    assert message.endswith(log)


def test_only_the_end_of_a_log_is_shown() -> None:
    message = install.explain_failure("Building cyipopt", "\n".join(f"line {i}" for i in range(1000)))
    assert "line 999" in message
    assert "line 900" not in message


def test_failing_pip_raises_with_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "collect2: error: ld", None)
    )
    with pytest.raises(SctOptError, match=r"Building cyipopt failed[\s\S]*collect2: error: ld"):
        install.pip(["install", "cyipopt"], "Building cyipopt")


def test_pip_runs_in_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", None)

    monkeypatch.setattr(subprocess, "run", run)
    install.pip(["install", "cyipopt"], "Building cyipopt")
    assert commands[0][:3] == [sys.executable, "-m", "pip"]
    assert commands[0][-2:] == ["install", "cyipopt"]


# The probe


def test_probe_solves_with_the_installed_ipopt() -> None:
    answer = install.probe()
    assert answer["solved"]
    assert install.release(answer["ipopt"]) >= install.OLDEST_IPOPT


def test_probe_says_what_an_unknown_linear_solver_does() -> None:
    answer = install.probe("no-such-solver")
    assert not answer["solved"]
    assert "TypeError" in answer["error"]


def test_probe_survives_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = tmp_path / "crash.py"
    crash.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setattr(install, "PROBE", crash)
    assert install.probe() == {"solved": False, "error": "the process crashed (signal 9)"}


def test_probe_passes_on_the_last_line_of_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('libfoo.so: cannot open')\n")
    monkeypatch.setattr(install, "PROBE", broken)
    assert install.probe() == {"solved": False, "error": "libfoo.so: cannot open"}


# The whole command


@pytest.fixture
def pip_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """Record what pip is asked instead of asking it."""
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(
        install, "pip", lambda arguments, what, environ=None: calls.append((list(arguments), dict(environ or {})))
    )
    return calls


def test_nothing_is_done_where_cyipopt_works(
    pip_calls: list[tuple[list[str], dict[str, str]]], steps: list[str]
) -> None:
    found = install.install_ipopt(report=steps.append)
    assert found.built_against is None
    assert found.cyipopt.startswith("1.7")
    assert (pip_calls, steps) == ([], [])


def test_forced_build_against_casadi(
    casadi: Path, pip_calls: list[tuple[list[str], dict[str, str]]], steps: list[str], tmp_path: Path
) -> None:
    pins = tmp_path / "constraints.txt"
    found = install.install_ipopt(force=True, wanted="casadi", constraint=pins, report=steps.append)
    assert found.built_against == IpoptSource("casadi", "3.14.99", library_dir=casadi)
    (tools, _), (build, environ) = pip_calls
    assert tools[:3] == ["install", "--constraint", str(pins)]
    assert install.CASADI in tools
    assert any(tool.startswith("cython") for tool in tools)
    assert build[:3] == ["install", "--constraint", str(pins)]
    assert build[-1] == install.CYIPOPT
    assert {"--no-build-isolation", "--no-cache-dir", "--no-binary"} < set(build)
    assert "casadi" in environ["LDFLAGS"]
    assert not Path(environ["PKG_CONFIG_PATH"].split(os.pathsep)[0]).exists()
    assert steps[-2:] == ["building cyipopt against CasADi's IPOPT 3.14.99", "solving a tiny problem"]


def test_system_ipopt_needs_no_casadi(
    pip_calls: list[tuple[list[str], dict[str, str]]], steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "find_system", lambda: IpoptSource("system", "3.14.12"))
    install.install_ipopt(wanted="system", report=steps.append)
    assert install.CASADI not in pip_calls[0][0]


def test_missing_pkg_config_is_installed(
    pip_calls: list[tuple[list[str], dict[str, str]]], steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "find_pkg_config", lambda: None)
    install.install_ipopt(force=True, report=steps.append)
    assert install.PKGCONF in pip_calls[0][0]


def test_broken_cyipopt_is_built_again(
    pip_calls: list[tuple[list[str], dict[str, str]]], steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(
        [
            {"solved": False, "error": "ImportError: libipopt.so.3"},
            {"solved": True, "cyipopt": "1.7.0", "ipopt": "3.14.19", "library": None},
        ]
    )
    monkeypatch.setattr(install, "probe", lambda: next(answers))
    found = install.install_ipopt(report=steps.append)
    assert found.built_against is not None
    assert steps[0] == "cyipopt is installed but does not work: building it again"
    assert len(pip_calls) == 2


def test_build_that_does_not_work_is_an_error(
    pip_calls: list[tuple[list[str], dict[str, str]]], steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "probe", lambda: {"solved": False, "error": "the process crashed (signal 11)"})
    with pytest.raises(SolverError, match=r"does not work: the process crashed \(signal 11\).*sct-opt doctor"):
        install.install_ipopt(force=True, report=steps.append)
    assert len(pip_calls) == 2
