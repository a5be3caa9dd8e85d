"""Find an IPOPT and build cyipopt against it.

cyipopt is published as source only and needs an IPOPT with headers.  A conda or system IPOPT is used where there is
a recent one; otherwise the IPOPT inside CasADi's wheel, which comes with headers, MUMPS, SPRAL and OpenBLAS, so that a
C compiler is all that a machine has to bring.  Nothing here imports cyipopt or CasADi.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sct_opt.errors import SolverError

CYIPOPT = "cyipopt>=1.7,<1.8"
CASADI = "casadi>=3.8,<3.9"
BUILD_TOOLS = ("cython>=3,<4", "numpy>=2,<3", "setuptools>=68", "wheel>=0.43")
PKGCONF = "pkgconf>=2,<4"

OLDEST_IPOPT = (3, 14)
"""The first release whose iterates can be read from a callback."""

Kind = Literal["conda", "system", "casadi"]
Report = Callable[[str], None]

PROBE = Path(__file__).with_name("probe.py")
TAIL = 25


@dataclass(frozen=True, slots=True)
class IpoptSource:
    """Where an IPOPT to build against comes from.

    `kind` is ``"conda"``, ``"system"`` or ``"casadi"``; `version` is None as long as it is not known, `pkg_config_path`
    the directory of its ``ipopt.pc`` where that is not on pkg-config's own path, `library_dir` the directory that the
    built module must find at run time where the loader does not look there by itself.
    """

    kind: Kind
    version: str | None = None
    pkg_config_path: Path | None = None
    library_dir: Path | None = None

    def __str__(self) -> str:
        """Say it in words.

        >>> print(IpoptSource("system", "3.14.17"))
        the system's IPOPT 3.14.17
        """
        owner = {"conda": "conda's", "system": "the system's", "casadi": "CasADi's"}[self.kind]
        return f"{owner} IPOPT {self.version}" if self.version else f"{owner} IPOPT"


@dataclass(frozen=True, slots=True)
class Installation:
    """A cyipopt that works: its version, IPOPT's, the library's file, and the source if it was built just now."""

    cyipopt: str
    ipopt: str
    library: str | None
    built_against: IpoptSource | None = None


def probe(linear_solver: str | None = None, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Solve a tiny problem with cyipopt in a process of its own.

    Args:
        linear_solver: IPOPT's name of a linear solver, or None for the default.
        environ: Environment of the process, or None for this one's.

    Returns:
        The answer of the probe: ``solved`` always, ``cyipopt``, ``ipopt`` and ``library`` if cyipopt loads, and
        ``error`` in words if something failed before or while solving.
    """
    command = [sys.executable, "-P", str(PROBE), *([linear_solver] if linear_solver else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, env=environ)
    except subprocess.TimeoutExpired:
        return {"solved": False, "error": "no answer within two minutes"}
    # Not always the last line: IPOPT's own output may leave its buffer when the process ends.
    said = next((line for line in reversed(done.stdout.splitlines()) if line.startswith('{"')), None)
    if said is not None:
        answer: dict[str, Any] = json.loads(said)
        return answer
    if done.returncode < 0:
        return {"solved": False, "error": f"the process crashed (signal {-done.returncode})"}
    return {"solved": False, "error": last_lines(done.stderr, 1) or f"exit code {done.returncode}"}


def working_installation() -> Installation | None:
    """Return the cyipopt that is installed and solves the tiny problem, or None."""
    if importlib.util.find_spec("cyipopt") is None:
        return None
    answer = probe()
    if not answer["solved"]:
        return None
    return Installation(answer["cyipopt"], answer["ipopt"], answer["library"])


def find_pkg_config() -> str | None:
    """Return the path of ``pkg-config``: the machine's, or the one of the PyPI package pkgconf."""
    return shutil.which("pkg-config") or shutil.which("pkg-config", path=sysconfig.get_path("scripts"))


def find_conda() -> IpoptSource | None:
    """Return the IPOPT of the conda environment that this Python belongs to, if there is one."""
    for prefix in dict.fromkeys([sys.prefix, sys.base_prefix]):
        root = Path(prefix)
        description = root / "lib" / "pkgconfig" / "ipopt.pc"
        if (root / "conda-meta").is_dir() and description.exists():
            return IpoptSource("conda", read_version(description), description.parent, root / "lib")
    return None


def find_system() -> IpoptSource | None:
    """Return the IPOPT that pkg-config knows, if there is one."""
    tool = find_pkg_config()
    if tool is None:
        return None

    def ask(*question: str) -> str | None:
        done = subprocess.run([tool, *question, "ipopt"], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    version = ask("--modversion")
    if version is None:
        return None
    library_dir = ask("--variable=libdir")
    standard = not library_dir or library_dir.startswith(("/usr/lib", "/lib"))
    return IpoptSource("system", version, library_dir=None if standard else Path(str(library_dir)))


def find_ipopt(wanted: Kind | Literal["auto"] = "auto", report: Report = print) -> IpoptSource:
    """Choose the IPOPT to build cyipopt against.

    Args:
        wanted: ``"auto"`` takes conda's, else the system's if it is recent enough, else CasADi's.
        report: Called with a sentence for what is found and not taken.

    Returns:
        The source.

    Raises:
        SolverError: If the wanted one is not there.

    >>> find_ipopt("casadi")
    IpoptSource(kind='casadi', version=None, pkg_config_path=None, library_dir=None)
    """
    if wanted == "casadi":
        return IpoptSource("casadi")
    finders: dict[str, Callable[[], IpoptSource | None]] = {"conda": find_conda, "system": find_system}
    for kind, find in finders.items():
        if wanted not in ("auto", kind):
            continue
        source = find()
        if source is None:
            continue
        if wanted == "auto" and release(source.version) < OLDEST_IPOPT:
            report(f"found {source}, which is older than {'.'.join(map(str, OLDEST_IPOPT))}: not used")
            continue
        return source
    if wanted == "auto":
        return IpoptSource("casadi")
    mend = {
        "conda": "run `conda install -c conda-forge ipopt` in this environment",
        "system": "install it with its headers (Debian, Ubuntu: `apt install coinor-libipopt-dev pkg-config`) or put "
        "the directory of its ipopt.pc on PKG_CONFIG_PATH",
    }[wanted]
    raise SolverError(f"There is no {wanted} IPOPT with an ipopt.pc: {mend}, or leave out `--source {wanted}`.")


def release(version: str | None) -> tuple[int, ...]:
    """Return the leading numbers of a version.

    >>> release("3.14.19"), release("3.14.4rc1"), release(None)
    ((3, 14, 19), (3, 14), ())
    """
    numbers: list[int] = []
    for part in (version or "").split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def read_version(description: Path) -> str | None:
    """Return the version that a ``.pc`` file states."""
    for line in description.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "Version":
            return value.strip()
    return None


def find_casadi() -> Path:
    """Return CasADi's directory, which holds an IPOPT with headers.

    Raises:
        SolverError: If CasADi is missing or its wheel has no IPOPT to link with.
    """
    importlib.invalidate_caches()
    spec = importlib.util.find_spec("casadi")
    if spec is None or spec.origin is None:
        raise SolverError(f"CasADi is not installed: run `pip install '{CASADI}'`.")
    directory = Path(spec.origin).parent
    headers = directory / "include" / "coin-or" / "IpStdCInterface.h"
    libraries = [directory / "libipopt.so", directory / "libipopt.dylib"]
    if not headers.exists() or not any(library.exists() for library in libraries):
        raise SolverError(
            f"CasADi in {directory} has no IPOPT to link with (looked for {headers.name} and libipopt): "
            "install CasADi from its PyPI wheel (`pip install --force-reinstall casadi`), or an IPOPT of conda or the system."
        )
    return directory


def casadi_version(directory: Path) -> str | None:
    """Return the version of the IPOPT in CasADi's directory, read from its headers."""
    for name in ("IpoptConfig.h", "config_ipopt.h"):
        header = directory / "include" / "coin-or" / name
        if header.exists():
            for line in header.read_text(errors="replace").splitlines():
                if line.startswith("#define IPOPT_VERSION "):
                    return line.split('"')[1]
    return None


def pc_file(directory: Path, version: str | None) -> str:
    """Return an ``ipopt.pc`` for the IPOPT in CasADi's directory.

    >>> print(pc_file(Path("/site/casadi"), "3.14.19"))
    Name: ipopt
    Description: IPOPT of CasADi's wheel
    Version: 3.14.19
    Cflags: -I/site/casadi/include/coin-or
    Libs: -L/site/casadi -lipopt
    """
    return (
        "Name: ipopt\n"
        "Description: IPOPT of CasADi's wheel\n"
        f"Version: {version or 'unknown'}\n"
        f"Cflags: -I{directory.as_posix()}/include/coin-or\n"
        f"Libs: -L{directory.as_posix()} -lipopt\n"
    )


def run_path(directory: Path) -> str:
    """Return how a module in ``<site-packages>/cyipopt`` finds a library directory at run time.

    Relative where the directory is a neighbour in the same site-packages, so that the environment can move.
    """
    if directory.parent.resolve() == Path(sysconfig.get_path("platlib")).resolve():
        origin = "@loader_path" if sys.platform == "darwin" else "$ORIGIN"
        return f"{origin}/../{directory.name}"
    return str(directory)


def build_environment(source: IpoptSource, scratch: Path) -> dict[str, str]:
    """Return the environment in which pip builds cyipopt against a source.

    Args:
        source: The IPOPT to build against.
        scratch: A directory that lives as long as the build; CasADi's ``ipopt.pc`` is written there.
    """
    environ = dict(os.environ)

    def prepend(name: str, value: str, separator: str) -> None:
        environ[name] = f"{value}{separator}{environ[name]}" if environ.get(name) else value

    tool = find_pkg_config()
    if tool is not None:
        prepend("PATH", str(Path(tool).parent), os.pathsep)
    if source.kind == "casadi":
        casadi = find_casadi()
        # cyipopt splits pkg-config's answer at blanks: a link from the scratch directory keeps them out of the paths.
        link = scratch / "casadi"
        link.symlink_to(casadi, target_is_directory=True)
        (scratch / "ipopt.pc").write_text(pc_file(link, casadi_version(casadi)))
        prepend("PKG_CONFIG_PATH", str(scratch), os.pathsep)
        prepend("LDFLAGS", shlex.join([f"-L{link}", f"-Wl,-rpath,{run_path(casadi)}"]), " ")
    else:
        if source.pkg_config_path is not None:
            prepend("PKG_CONFIG_PATH", str(source.pkg_config_path), os.pathsep)
        if source.library_dir is not None:
            prepend("LDFLAGS", shlex.quote(f"-Wl,-rpath,{source.library_dir}"), " ")
    return environ


def pip(arguments: Sequence[str], what: str, environ: Mapping[str, str] | None = None) -> None:
    """Run pip in the running environment.

    Args:
        arguments: Arguments of ``pip``.
        what: What is being done, for the error message.
        environ: Environment of the process, or None for this one's.

    Raises:
        SolverError: If pip fails: with the cause and its mend if that can be told from the log, else the log's end.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environ
    )
    if done.returncode != 0:
        raise SolverError(explain_failure(what, done.stdout))


_CAUSES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("externally-managed-environment",),
        "This Python belongs to the operating system, which does not let pip install into it: make an environment "
        "(`python3 -m venv .venv`), install sct-opt there and run its `sct-opt install-ipopt`.",
    ),
    (
        ("No space left on device",),
        "The disk is full: free about 500 MB (TMPDIR says where pip builds) and run the command again.",
    ),
    (
        ("Permission denied", "Read-only file system"),
        "The environment cannot be written: make one of your own (`python3 -m venv .venv`), install sct-opt there and "
        "run its `sct-opt install-ipopt`.",
    ),
    (
        (
            "NewConnectionError",
            "ConnectTimeoutError",
            "ProxyError",
            "NameResolutionError",
            "Temporary failure in name resolution",
            "CERTIFICATE_VERIFY_FAILED",
            "ReadTimeoutError",
            "Connection refused",
        ),
        "The package index cannot be reached: check the network (behind a proxy set HTTPS_PROXY, behind an own "
        "certificate set PIP_CERT).  Without a network, run `pip download --no-binary cyipopt --no-deps cyipopt` and "
        "`pip download casadi cython setuptools wheel pkgconf` where there is one, copy the files here, and set "
        "PIP_NO_INDEX=1 and PIP_FIND_LINKS=<their directory>.",
    ),
    (
        ("No matching distribution found", "Could not find a version that satisfies"),
        "The package index has no file that fits this Python and machine, or pip's settings keep it from being found: "
        "compare `pip config list`, and upgrade pip (`python -m pip install --upgrade pip`).",
    ),
    (
        ("Python.h: No such file", "'Python.h' file not found"),
        "Python's headers are missing (Debian, Ubuntu: `apt install python3-dev`; Fedora: `dnf install python3-devel`).",
    ),
    (
        ("linux/limits.h", "stdlib.h: No such file", "stdio.h: No such file", "limits.h: No such file"),
        "The C library's headers are missing (Debian, Ubuntu: `apt install build-essential`).",
    ),
)


def explain_failure(what: str, log: str) -> str:
    r"""Return the message for a failed run of pip: what failed, why, what to do, and the end of its log.

    >>> print(explain_failure("Building cyipopt", "…\nfatal error: Python.h: No such file or directory"))
    Building cyipopt failed. Python's headers are missing (Debian, Ubuntu: `apt install python3-dev`; Fedora: ...
    """
    reason = next((mend for signs, mend in _CAUSES if any(sign in log for sign in signs)), None)
    if reason is None:
        reason = (
            "If the compiler or the linker stopped, its message is below; `sct-opt install-ipopt --source casadi` "
            "builds against the IPOPT in CasADi's wheel, and `conda install -c conda-forge cyipopt` needs no compiler."
        )
    return f"{what} failed. {reason}\nThe end of pip's log:\n{last_lines(log, TAIL)}"


def last_lines(text: str, count: int) -> str:
    r"""Return the last lines that are not blank.

    >>> last_lines("one\ntwo\n\nthree\n", 2)
    'two\nthree'
    """
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-count:])


def check_platform() -> None:
    """Raise SolverError where pip cannot build cyipopt at all."""
    if sys.platform == "win32":
        raise SolverError(
            "cyipopt cannot be built here: on Windows run `conda install -c conda-forge cyipopt` in a conda environment."
        )


def check_pip(report: Report) -> None:
    """Make sure that there is a pip, installing the one that comes with Python if need be."""
    if importlib.util.find_spec("pip") is not None:
        return
    report("there is no pip in this environment: installing the one that comes with Python")
    done = subprocess.run([sys.executable, "-m", "ensurepip", "--upgrade"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SolverError(
            "There is no pip in this environment, and ensurepip cannot install one: run `uv pip install pip` in an "
            "environment of uv, or install it (Debian, Ubuntu: `apt install python3-pip python3-venv`)."
        )


def check_compiler() -> str:
    """Return the C compiler that the build will use.

    Raises:
        SolverError: If there is none, or Python's headers are missing.
    """
    configured = os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc")
    program = shlex.split(configured)[0]
    path = shutil.which(program)
    if path is None:
        raise SolverError(
            f"There is no C compiler ({program}), and cyipopt has to be compiled: install one (Debian, Ubuntu: "
            "`apt install build-essential`; Fedora: `dnf install gcc`; macOS: `xcode-select --install`), or name yours "
            "in the environment variable CC."
        )
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        raise SolverError(
            f"Python's headers are missing ({header}): install them (Debian, Ubuntu: `apt install python3-dev`; "
            "Fedora: `dnf install python3-devel`)."
        )
    return path


def install_ipopt(
    *,
    force: bool = False,
    wanted: Kind | Literal["auto"] = "auto",
    constraint: Path | None = None,
    report: Report = print,
) -> Installation:
    """Make cyipopt work in the running environment.

    Does nothing if it works already, unless told to build again or against a certain IPOPT.

    Args:
        force: Build again even if cyipopt works.
        wanted: Which IPOPT to build against: ``"auto"`` chooses as `find_ipopt` says, any other builds anew.
        constraint: A pip constraints file that pins the versions of everything that is installed.
        report: Called with a short sentence at every step.

    Returns:
        What works now.

    Raises:
        SolverError: If it cannot be made to work: with the reason and the mend.
    """
    if not force and wanted == "auto":
        existing = working_installation()
        if existing is not None:
            return existing
        if importlib.util.find_spec("cyipopt") is not None:
            report("cyipopt is installed but does not work: building it again")
    check_platform()
    check_pip(report)
    compiler = check_compiler()
    report(f"C compiler: {compiler}")
    source = find_ipopt(wanted, report)
    pins = ["--constraint", str(constraint)] if constraint is not None else []

    needed = [*BUILD_TOOLS, *([PKGCONF] if find_pkg_config() is None else [])]
    if source.kind == "casadi":
        report("no conda or system IPOPT in use: taking the one in CasADi's wheel")
        needed.append(CASADI)
    report("installing what the build needs: " + ", ".join(needed))
    pip(["install", *pins, *needed], "Installing what cyipopt's build needs")
    if source.kind == "casadi":
        casadi = find_casadi()
        source = IpoptSource("casadi", casadi_version(casadi), library_dir=casadi)

    report(f"building cyipopt against {source}")
    with tempfile.TemporaryDirectory(prefix="sct-opt-") as scratch:
        # Without the last three, pip may reuse a wheel that was linked to another IPOPT.
        options = ["--no-build-isolation", "--no-deps", "--no-cache-dir", "--force-reinstall", "--no-binary", "cyipopt"]
        pip(
            ["install", *pins, *options, CYIPOPT],
            f"Building cyipopt against {source}",
            build_environment(source, Path(scratch)),
        )

    report("solving a tiny problem")
    answer = probe()
    if not answer["solved"]:
        problem = answer.get("error") or f"IPOPT ended with status {answer.get('status')}"
        raise SolverError(
            f"cyipopt was built against {source} but does not work: {problem}.  Run `sct-opt install-ipopt --force "
            "--source casadi` to build against the IPOPT in CasADi's wheel, or `sct-opt doctor` for the versions found."
        )
    return Installation(answer["cyipopt"], answer["ipopt"], answer["library"], source)
