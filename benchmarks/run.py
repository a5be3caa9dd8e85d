"""Side-by-side benchmarks: `python benchmarks/run.py [PROBLEM ...]`, or `sct-opt bench` from anywhere.

Each comparison is one process of its own, in which every contender is set up, checked against the others, warmed and
timed one after the other; cold runs are one process per contender, timed from outside.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click
import report
from families import COLD, GROUPS, NAMES, family
from measure import compare
from problem import PEERS, Problem
from rich.console import Console

HERE = Path(__file__).parent
Record = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How a comparison is run.

    Attributes:
        peers: the contenders wanted; all that are installed if empty.
        sides: names of variants wanted; all of the contenders if empty.
        budget: seconds per timing.
    """

    peers: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()
    budget: float = 1.0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("problems", nargs=-1)
@click.option("--size", "sizes", type=int, multiple=True, help="Size of the problems; several give cost against size.")
@click.option("--peers", default="", help=f"Only these contenders, separated by commas: {', '.join(PEERS)}.")
@click.option("--quick", is_flag=True, help="Small sizes and short timings.")
@click.option("--slopes", is_flag=True, help="Each problem at all its sizes, sct_opt only: cost against size.")
@click.option("--cold", is_flag=True, help="Also whole processes, from nothing to a solution.")
@click.option(
    "--targets", "check_targets", is_flag=True, help="Measure what the project aims at; print target, measured, met."
)
@click.option(
    "--write-docs", is_flag=True, help="Write the results that are in the output directory into docs/benchmarks.md."
)
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False), help="Directory of PGLib-OPF case files; default $PGLIB."
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=HERE / "results",
    help="Directory for results.",
)
@click.option(
    "--one", type=click.Path(path_type=Path), hidden=True, help="Compare in this process and write a record here."
)
@click.option("--sides", default="", hidden=True, help="Names of variants, separated by semicolons.")
@click.option("--budget", type=float, default=1.0, hidden=True)
def main(
    problems: tuple[str, ...],
    sizes: tuple[int, ...],
    peers: str,
    quick: bool,
    slopes: bool,
    cold: bool,
    check_targets: bool,
    write_docs: bool,
    data: str | None,
    output: Path,
    one: Path | None,
    sides: str,
    budget: float,
) -> None:
    """Compare derivatives, set-up and pattern detection with other tools.

    PROBLEM is one of the problems or groups named below; all of them if none is given.
    """
    if data:
        os.environ["PGLIB"] = data
    settings = Settings(_listed(peers, ","), _listed(sides, ";"), 0.05 if quick else budget)
    unknown = set(settings.peers) - set(PEERS)
    if unknown:
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: give some of {', '.join(PEERS)}", param_hint="--peers")
    if one is not None:
        one.write_text(json.dumps(_measured(problems[0], sizes[0], settings)))
        return
    names = [name for given in problems or ("derivatives", "detection") for name in _named(given)]
    console = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140)
    output.mkdir(parents=True, exist_ok=True)
    if check_targets:
        import targets  # noqa: PLC0415 - only this option needs it

        sys.exit(targets.check(console, output))
    if write_docs and not problems:
        report.write_docs(output, HERE.parent / "docs")
        console.print("wrote docs/benchmarks.md")
        return
    failed = False
    for name in names:
        if name == "opf" and "PGLIB" not in os.environ:
            console.print("[dim]opf: left out, it needs the PGLib-OPF case files: --data DIRECTORY[/]")
            continue
        known = family(name)
        if slopes:  # one way to write the problem says it all; others take minutes at the largest sizes
            settings = Settings(("sct_opt",), (known.build(known.quick).variants[0].name,), settings.budget)
        for size in sizes or (known.sizes if slopes else ((known.quick,) if quick else (known.size,))):
            with console.status(f"{name}, {known.what} = {size:,} …"):
                record = in_process(name, size, settings)
            failed |= "error" in record
            report.show(console, record)
            report.save(record, output, "slopes" if slopes else "comparison")
            if cold and name in COLD and not slopes:
                with console.status(f"{name}, cold runs …"):
                    record = cold_runs(name, sizes[0] if sizes else known.quick if quick else known.cold, settings)
                report.show(console, record)
                report.save(record, output, "cold")
    report.draw(report.load(output), output)
    console.print(f"[dim]results and charts are in {output}[/]", soft_wrap=True)
    if write_docs:
        report.write_docs(output, HERE.parent / "docs")
    sys.exit(failed)


def _listed(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def _named(given: str) -> list[str]:
    if given in GROUPS:
        return GROUPS[given]
    if given not in NAMES:
        raise click.BadParameter(f"{given} is none of {', '.join([*GROUPS, *NAMES])}", param_hint="PROBLEM")
    return [given]


def in_process(name: str, size: int, settings: Settings) -> Record:
    """Compare the contenders of one problem in a process of its own.

    Args:
        name: the problem's.
        size: its size.
        settings: who takes part, and how long.

    Returns:
        The record; with the key ``error`` if it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        command = [sys.executable, str(HERE / "run.py"), name, "--size", str(size), "--one", str(path)]
        command += [
            "--peers",
            ",".join(settings.peers),
            "--sides",
            ";".join(settings.sides),
            "--budget",
            str(settings.budget),
        ]
        # One thread each: what peers use, JAX apart.
        environment = {"SCT_OPT_NUM_THREADS": "1"} | os.environ
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode == 0:
            record: Record = json.loads(path.read_text())
            return record
    return {
        "problem": name,
        "size": size,
        "title": f"{name} {size}",
        "rows": [],
        "error": done.stderr.strip().splitlines()[-1:],
    }


def _measured(name: str, size: int, settings: Settings) -> Record:
    known = family(name)
    problem = known.build(size)
    names, skipped = chosen(problem, size, settings)
    rows = compare(problem, names, settings.budget) if names else []
    return facts() | {
        "problem": name,
        "size": size,
        "what": known.what,
        "title": problem.title,
        "rows": rows,
        "skipped": skipped,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def chosen(problem: Problem, size: int, settings: Settings) -> tuple[list[str], dict[str, str]]:
    """The variants to run, and why the others are not."""
    from sides import installed  # noqa: PLC0415 - it imports SciPy

    names, skipped = [], {}
    for variant in problem.variants:
        if settings.peers and variant.peer not in settings.peers:
            continue
        if settings.sides and variant.name not in settings.sides:
            continue
        if not installed(variant.peer):
            skipped[variant.name] = "not installed"
        elif size > variant.limit and variant.name not in settings.sides:
            skipped[variant.name] = f"takes minutes at this size; it takes part up to {variant.limit:,.0f}"
        else:
            names.append(variant.name)
    return names, skipped


def cold_runs(name: str, size: int, settings: Settings, repeat: int = 3) -> Record:
    """Time whole processes of each contender, from the interpreter's start to the solution.

    Args:
        name: the problem's.
        size: its size.
        settings: who takes part.
        repeat: how many runs of each; the shortest counts.

    Returns:
        The record.
    """
    from cold import SOLVE  # noqa: PLC0415

    problem = family(name).build(size)
    names, skipped = chosen(problem, size, settings)
    rows: list[Record] = []
    for turn in range(repeat):  # contenders take turns, as in comparisons
        place = 0
        for side in names:
            variant = problem.variant(side)
            if variant.peer not in SOLVE:
                continue
            if turn == 0:
                rows.append({"side": side, "peer": variant.peer, "source": variant.source})
            _best(rows[place], _cold(side, name, size))
            place += 1
            if variant.peer == "sct_opt" and place == 1:
                if turn == 0:
                    rows.append({"side": f"{side}, C interface", "peer": "sct_opt", "source": variant.source})
                    with tempfile.TemporaryDirectory() as folder:
                        row = _cold(side, name, size, SCT_OPT_CACHE_DIR=folder)
                    rows.append(row | {"side": f"{side}, no kernels cached", "peer": "sct_opt"})
                _best(rows[place], _cold(side, name, size, "ctypes"))
                place += 2
    objectives = [row["objective"] for row in rows if "objective" in row]
    for row in rows:
        if "objective" in row and abs(row["objective"] - objectives[0]) > 1e-6 * max(1.0, abs(objectives[0])):
            row["note"] = f"objective {row['objective']:.8g} instead of {objectives[0]:.8g}"
    title = problem.title + ", whole process"
    return facts() | {"problem": name, "size": size, "title": title, "rows": rows, "skipped": skipped}


def _cold(side: str, name: str, size: int, *backend: str, **environment: str) -> Record:
    """Run a whole process once; the time of all its threads is that of a machine with nothing else to do."""
    command = [sys.executable, str(HERE / "cold.py"), side, name, str(size), *backend]
    # Whoever installs a package has its bytecode on disk, ours too.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=inherited | environment)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        return {"note": (done.stderr.strip().splitlines() or ["failed"])[-1]}
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    answer: Record = json.loads(done.stdout.strip().splitlines()[-1])
    return {"process": seconds, "CPU": cpu} | answer


def _best(row: Record, new: Record) -> None:
    """Take over a run, with the shorter ones of both runs' times."""
    shortest = {key: min(row[key], new[key]) for key in ("process", "CPU") if key in row and key in new}
    row |= new | shortest


def facts() -> Record:
    """Machine, versions and date."""
    versions = {}
    for package in ("numpy", "numba", "casadi", "jax", "asdex", "pyoptinterface", "pyomo", "cyipopt"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "date": date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
        "versions": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main.epilog = f"Groups: {', '.join(GROUPS)}. Problems: {', '.join(NAMES)}."
    main()
