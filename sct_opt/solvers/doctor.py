"""Examine an installation: what is there, what works, and the one command that mends what does not.

Everything that may crash or take long to import runs in a process of its own, see `sct_opt.solvers.probe`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sct_opt.machine_code import directory
from sct_opt.solvers.install import probe

State = Literal["ok", "note", "optional", "missing"]

NEEDED = ("numpy", "scipy", "numba", "click", "rich")
OPTIONAL = {
    "pyomo": "pip install 'sct-opt[pyomo]'",
    "casadi": "pip install 'sct-opt[casadi]'",
    "cyipopt": "sct-opt install-ipopt",
    "matplotlib": "pip install 'sct-opt[plot]'",
}
LINEAR_SOLVERS = ("mumps", "spral", "ma27", "ma57", "ma77", "ma86", "ma97", "pardiso", "pardisomkl", "wsmp")
HSL = frozenset({"ma27", "ma57", "ma77", "ma86", "ma97"})

SPRAL_ENVIRONMENT = {"OMP_CANCELLATION": "TRUE", "OMP_PROC_BIND": "TRUE"}
"""What some builds of SPRAL need in the environment."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report.

    `state` is ``"ok"``, ``"note"`` (worth knowing, nothing to mend), ``"optional"`` (an optional part is missing) or
    ``"missing"`` (a needed part is); `mend` is the command that mends it, empty where there is nothing to mend.
    """

    name: str
    value: str
    state: State = "ok"
    mend: str = ""


def examine() -> Iterator[Check]:
    """Examine the running environment.

    Yields:
        One `Check` after the other, as soon as each is known.
    """
    yield Check("Python", f"{platform.python_version()} ({sys.executable})")
    yield Check("platform", platform.platform())
    yield from check_packages()
    yield from check_ipopt()
    yield check_kernels()


def check_packages() -> Iterator[Check]:
    """Yield the versions of the package, of what it needs and of what it can use."""
    for name in ("sct_opt", *NEEDED, *OPTIONAL):
        optional = name in OPTIONAL
        if importlib.util.find_spec(name) is None:
            mend = OPTIONAL.get(name, "pip install --force-reinstall sct-opt")
            yield Check(name, "not installed", "optional" if optional else "missing", mend)
        else:
            yield Check(name, installed_version(name))


def installed_version(name: str) -> str:
    """Return the version of an installed distribution.

    >>> installed_version("no-such-package")
    'version unknown'
    """
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "version unknown"


def check_ipopt() -> Iterator[Check]:
    """Yield IPOPT's version and file, and the linear solvers with which it solves a tiny problem."""
    if importlib.util.find_spec("cyipopt") is None:
        yield Check("IPOPT", "needs cyipopt", "optional")
        return
    answer = probe()
    if "ipopt" not in answer:
        yield Check("IPOPT", f"cyipopt does not load: {answer['error']}", "optional", "sct-opt install-ipopt --force")
        return
    if not answer["solved"]:
        reason = answer.get("error") or f"status {answer.get('status')}"
        value = f"{answer['ipopt']}, but it does not solve a tiny problem ({reason})"
        yield Check("IPOPT", value, "optional", "sct-opt install-ipopt --force")
        return
    yield Check("IPOPT", answer["ipopt"])
    yield Check("IPOPT library", answer["library"] or "file unknown on this platform")
    yield from check_linear_solvers()


def check_linear_solvers() -> Iterator[Check]:
    """Yield which linear solvers work, found by solving a tiny problem with each."""
    working: list[str] = []
    for name in LINEAR_SOLVERS:
        if probe(name)["solved"]:
            working.append(name)
        elif name == "spral" and probe(name, {**os.environ, **SPRAL_ENVIRONMENT})["solved"]:
            settings = " ".join(f"{key}={value}" for key, value in SPRAL_ENVIRONMENT.items())
            yield Check("SPRAL", "works only with OpenMP settings in the environment", "note", f"export {settings}")
    if working:
        yield Check("linear solvers", ", ".join(working))
    else:
        yield Check("linear solvers", "none works", "optional", "sct-opt install-ipopt --force --source casadi")
    if not HSL.intersection(working):
        value = (
            "not found: put libhsl on the loader's path, or its file into the IPOPT option hsllib "
            "(licence: licences.stfc.ac.uk/product/coin-hsl)"
        )
        yield Check("HSL", value, "note")


def check_kernels() -> Check:
    """Say how many compiled kernels are kept, and where."""
    folder: Path | str = "the user's cache directory"
    try:
        folder = directory() / "kernels"
        sizes = [entry.stat().st_size for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except (OSError, RuntimeError):
        sizes = []
    if not sizes:
        return Check(
            "kernels", f"none compiled yet in {folder}; they are at their first use", "note", "sct-opt demo --quick"
        )
    return Check("kernels", f"{len(sizes)} compiled, {sum(sizes) / 1e6:.1f} MB in {folder}")
