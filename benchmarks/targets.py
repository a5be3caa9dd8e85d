"""What the project aims at in speed and memory, measured: `python benchmarks/run.py --targets`.

Ratios are taken within one process, absolute times are those of the machine at hand: the aims were set on two cores of
an AMD EPYC with AVX-512.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import save, shown, slope
from rich.console import Console
from rich.table import Table

Record = dict[str, Any]
Measured = dict[str, Record]

LINEAR = 1.25
"""Exponent of cost against size that counts as linear: larger arrays fit into slower caches."""

COMPARISONS: dict[str, tuple[str, int, str]] = {
    "LV": ("luksan-vlcek", 100_000, "sct_opt;CasADi MX;PyOptInterface;C by hand;C by hand, libmvec"),
    "LV 1e3": ("luksan-vlcek", 1_000, "sct_opt"),
    "LV 1e6": ("luksan-vlcek", 1_000_000, "sct_opt"),
    "cart-pole": ("cart-pole", 10_000, "sct_opt;sct_opt, loops;CasADi MX, map;CasADi SX, loops;PyOptInterface"),
    "Hermite–Simpson": (
        "hermite-simpson",
        1_000,
        "sct_opt;sct_opt, loops;CasADi MX, map;CasADi SX, loops;PyOptInterface",
    ),
    "OPF 1354": ("opf", 1354, "sct_opt;CasADi MX;PyOptInterface"),
    "OPF 2869": ("opf", 2869, "sct_opt;CasADi MX;PyOptInterface"),
    "Brusselator": ("brusselator", 300, "sct_opt;CasADi SX;PyOptInterface;C by hand"),
    "HS071": ("hs071", 4, "sct_opt"),
    "cart-pole 20": ("cart-pole", 20, "sct_opt"),
    "Brusselator pattern": ("detect-brusselator", 192, "sct_opt;CasADi SX;CasADi MX;JAX + asdex"),
    "Brusselator pattern 1000": ("detect-brusselator", 1_000, "sct_opt"),
    "Rosenbrock": ("detect-rosenbrock", 100_000, "sct_opt;CasADi MX;JAX + asdex"),
    "loop": ("detect-scalar-loop", 100_000, "sct_opt;sct_opt, trace only;CasADi SX, build only"),
    "squares 1e5": ("detect-sum-of-squares", 100_000, "sct_opt"),
    "squares 1e6": ("detect-sum-of-squares", 1_000_000, "sct_opt"),
    "arrow": ("detect-arrow", 100_000, "sct_opt"),
    "dense rows": ("detect-dense-rows", 100_000, "sct_opt"),
    "bundle adjustment": ("detect-bundle-adjustment", 100_000, "sct_opt"),
    "convolution 28": ("detect-convolution", 28, "sct_opt"),
    "convolution 128": ("detect-convolution", 128, "sct_opt"),
}
"""Problem, size and sides of each comparison that targets look at."""


@dataclass(frozen=True)
class Target:
    """An aim.

    Attributes:
        area: the part of the package.
        what: what is measured.
        limit: the value aimed at.
        measure: the value, from the records.
        unit: "s", "x" (a ratio), "" (a plain number), "MiB" or "bytes".
        exactly: whether the limit must be hit rather than not exceeded.
    """

    area: str
    what: str
    limit: float
    measure: Callable[[Measured], float]
    unit: str = "s"
    exactly: bool = False


def _row(records: Measured, key: str, side: str = "sct_opt") -> Record:
    for row in records[key]["rows"]:
        if row["side"] == side:
            found: Record = row
            return found
    raise KeyError(f"{side} did not take part in {key}")


def _value(key: str, metric: str, side: str = "sct_opt") -> Callable[[Measured], float]:
    return lambda records: _row(records, key, side)[metric]


def _ratio(key: str, metric: str, peer: str, side: str = "sct_opt") -> Callable[[Measured], float]:
    return lambda records: _row(records, key, side)[metric] / _row(records, key, peer)[metric]


def _stages(key: str) -> Callable[[Measured], float]:
    return lambda records: sum(_row(records, key)["stages"].values())


def _exponent(small: str, large: str, metric: str, scale: float) -> Callable[[Measured], float]:
    """Exponent of cost against size, the problems' sizes being `scale` times apart."""
    return lambda records: slope([(1.0, _row(records, small)[metric]), (scale, _row(records, large)[metric])])


def _bytes_per_node(records: Measured) -> float:
    added = (records["LV 1e6"]["peak MiB"] - records["LV 1e3"]["peak MiB"]) * 2**20
    return added / _row(records, "LV 1e6")["nodes"]


def _process(side: str) -> Callable[[Measured], float]:
    return _value("cold", "process", side)


def _targets() -> list[Target]:
    pipeline = [
        Target("pipeline", "import sct_opt", 0.2, lambda records: records["single"]["import"]),
        Target("pipeline", "import sct_opt, then its functions", 0.2, lambda records: records["single"]["functions"]),
        Target("pipeline", "Lukšan–Vlček 1e5: trace + detect + color", 1.5, _stages("LV")),
        Target("pipeline", "Lukšan–Vlček 1e5: entries of J", 299_994, _value("LV", "nnz J"), "", True),
        Target("pipeline", "Lukšan–Vlček 1e5: entries of lower H", 199_999, _value("LV", "nnz H"), "", True),
        Target("pipeline", "Lukšan–Vlček 1e5: iterations of IPOPT", 6, _value("cold", "iterations"), "", True),
        Target(
            "pipeline", "Lukšan–Vlček 1e5: whole process / CasADi MX", 1.5, _ratio("cold", "process", "CasADi MX"), "x"
        ),
        Target(
            "pipeline",
            "compiling all kernels of the demo, CPU time",
            60.0,
            lambda records: records["single"]["compile"],
        ),
    ]
    tracer = [
        Target("tracer", "Brusselator N=192: trace + pattern", 0.060, _value("Brusselator pattern", "pattern")),
        Target("tracer", "Brusselator N=192: / CasADi MX", 60 / 175, _ratio("Brusselator pattern", "pattern", "CasADi MX"), "x"),
        Target(
            "tracer", "Brusselator to N=1000: exponent", LINEAR,
            _exponent("Brusselator pattern", "Brusselator pattern 1000", "pattern", (1000 / 192) ** 2), "",
        ),
        Target("tracer", "scalar loop of 1e5 operations: trace", 0.1, _value("loop", "pattern", "sct_opt, trace only")),
        Target(
            "tracer", "scalar loop of 1e5 operations: trace / CasADi SX building it", 0.2,
            _ratio("loop", "pattern", "CasADi SX, build only", "sct_opt, trace only"), "x",
        ),
        Target("tracer", "Rosenbrock Hessian 1e5: trace + pattern", 0.060, _value("Rosenbrock", "pattern")),
        Target("tracer", "sum of squares to 1e6: exponent", LINEAR, _exponent("squares 1e5", "squares 1e6", "pattern", 10), ""),
        *(
            Target("tracer", f"{name}, 1e5 variables: trace + pattern", 5.0, _value(name, "pattern"))
            for name in ("arrow", "dense rows", "bundle adjustment")
        ),
        *(
            Target("tracer", f"{name}, 1e5 variables: peak memory", 2048, lambda records, name=name: records[name]["peak MiB"], "MiB")
            for name in ("arrow", "dense rows", "bundle adjustment")
        ),
        Target("tracer", "convolution 28 x 28 x 3", 0.010, _value("convolution 28", "pattern")),
        Target("tracer", "convolution 128 x 128 x 3", 0.3, _value("convolution 128", "pattern")),
    ]  # fmt: skip
    engine = []
    for metric in ("J", "H"):
        engine += [
            Target(
                "engine",
                f"Lukšan–Vlček 1e5: {metric} / PyOptInterface",
                0.25,
                _ratio("LV", metric, "PyOptInterface"),
                "x",
            ),
            Target("engine", f"Lukšan–Vlček 1e5: {metric} / C with libm", 1.0, _ratio("LV", metric, "C by hand"), "x"),
            Target(
                "engine",
                f"Lukšan–Vlček 1e5: {metric} / C with libmvec (hope)",
                3.0,
                _ratio("LV", metric, "C by hand, libmvec"),
                "x",
            ),
        ]
    engine += [
        Target("engine", "Lukšan–Vlček 1e5: trace to ready", 0.25, _value("LV", "set-up")),
        Target(
            "engine",
            "Lukšan–Vlček 1e5: whole process / CasADi MX",
            1.6 / 2.06,
            _ratio("cold", "process", "CasADi MX"),
            "x",
        ),
        Target(
            "engine",
            "Lukšan–Vlček 1e5: whole process through IPOPT's C interface / CasADi MX",
            1.6 / 2.06,
            _ratio("cold", "process", "CasADi MX", "sct_opt, C interface"),
            "x",
        ),
        Target("engine", "Lukšan–Vlček 1e6: peak memory", 8192, lambda records: records["LV 1e6"]["peak MiB"], "MiB"),
        *(
            Target(
                "engine",
                f"Lukšan–Vlček 1e5 to 1e6: exponent of {metric}",
                LINEAR,
                _exponent("LV", "LV 1e6", metric, 10),
                "",
            )
            for metric in ("set-up", "J", "H")
        ),
        Target("engine", "peak memory per node of the tape, Lukšan–Vlček 1e6", 150, _bytes_per_node, "bytes"),
    ]
    for key, casadi in (
        ("cart-pole", "CasADi MX, map"),
        ("Hermite–Simpson", "CasADi MX, map"),
        ("OPF 1354", "CasADi MX"),
        ("OPF 2869", "CasADi MX"),
    ):
        engine += [
            Target("engine", f"{key}: {metric} / PyOptInterface", 0.7, _ratio(key, metric, "PyOptInterface"), "x")
            for metric in ("J", "H")
        ]
        engine.append(Target("engine", f"{key}: set-up / {casadi}", 1.0, _ratio(key, "set-up", casadi), "x"))
        if casadi.endswith("map"):
            engine.append(
                Target(
                    "engine",
                    f"{key}, loops: set-up / CasADi SX, loops",
                    0.5,
                    _ratio(key, "set-up", "CasADi SX, loops", "sct_opt, loops"),
                    "x",
                )
            )
            engine += [
                Target(
                    "engine",
                    f"{key}: {metric} of loops / of arrays",
                    1.25,
                    _ratio(key, metric, "sct_opt", "sct_opt, loops"),
                    "x",
                )
                for metric in ("J", "H")
            ]
    engine.append(Target("engine", "Brusselator N=300: J", 0.5e-3, _value("Brusselator", "J")))
    for key in ("HS071", "cart-pole 20"):
        engine += [Target("engine", f"{key}: {metric} callback", 5e-6, _value(key, metric)) for metric in ("J", "H")]
        engine.append(
            Target(
                "engine",
                f"{key}: second solve / IPOPT's own time",
                2.0,
                lambda records, key=key: records["again"][key],
                "x",
            )
        )
    return pipeline + tracer + engine


def check(console: Console, output: Path) -> int:
    """Measure everything, print and write the table.

    Args:
        console: where to print.
        output: directory for ``targets.json``.

    Returns:
        1 if a target is not met, else 0.
    """
    from run import Settings, cold_runs, facts, in_process  # noqa: PLC0415 - run imports this module

    records: Measured = {}
    folder = output / "targets"
    folder.mkdir(exist_ok=True)
    for key, (name, size, sides) in COMPARISONS.items():
        if name == "opf" and "PGLIB" not in os.environ:
            console.print(f"[dim]{key}: left out, it needs the PGLib-OPF case files: --data DIRECTORY[/]")
            continue
        began = time.perf_counter()
        with console.status(f"{key} …"):
            record = in_process(name, size, Settings(sides=tuple(sides.split(";"))))
        if "error" in record:
            console.print(f"[red]{key}:[/] {' '.join(record['error'])}", soft_wrap=True)
            continue
        records[key] = record
        save(record, folder, "comparison")
        console.print(f"[dim]{key}: {time.perf_counter() - began:.0f} s[/]")
    with console.status("whole processes …"):
        records["cold"] = cold_runs("luksan-vlcek", 100_000, Settings(sides=("sct_opt", "CasADi MX")))
        records["again"] = {"HS071": _second_solve("hs071", 4), "cart-pole 20": _second_solve("cart-pole", 20)}
        records["single"] = {
            "import": _import_time(),
            "functions": _import_time("sct_opt.from_callables, sct_opt.solve, sct_opt.jacobian_sparsity"),
            "compile": _compile_time(),
        }
    lines = []
    for target in _targets():
        try:
            value = float(target.measure(records))
        except (KeyError, IndexError):
            value = math.nan
        met = None if math.isnan(value) else value == target.limit if target.exactly else value <= target.limit
        lines.append(
            {
                "area": target.area,
                "what": target.what,
                "target": target.limit,
                "measured": None if met is None else value,
                "unit": target.unit,
                "met": met,
            }
        )
    _print(console, lines)
    (output / "targets.json").write_text(json.dumps(facts() | {"targets": lines}, indent=1) + "\n")
    return int(any(line["met"] is False for line in lines))


def _print(console: Console, lines: list[Record]) -> None:
    table = Table("area", "what", title="Targets", title_justify="left")
    table.add_column("target", justify="right")
    table.add_column("measured", justify="right")
    table.add_column("")
    for line in lines:
        mark = {True: "[green]met[/]", False: "[red]not met[/]", None: "[dim]?[/]"}[line["met"]]
        table.add_row(
            line["area"], line["what"], shown(line["target"], line["unit"]), shown(line["measured"], line["unit"]), mark
        )
    console.print(table)
    console.print(f"{sum(line['met'] is True for line in lines)} of {len(lines)} met")


def _timed(command: list[str], **environment: str) -> tuple[float, float]:
    """Seconds that a command takes, and those of processor time."""
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | environment)
    passed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return passed, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def _import_time(names: str = "") -> float:
    """What `import sct_opt`, and the first look at `names` of it, add to the interpreter's start."""
    code = "import sct_opt; " + names
    bare = min(_timed([sys.executable, "-c", ""])[0] for _ in range(5))
    return min(_timed([sys.executable, "-c", code])[0] for _ in range(5)) - bare


def _compile_time() -> float:
    """Processor time that an empty kernel cache adds to the demo."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sct_opt", "demo", "--quick", "--output", folder]
        cache = str(Path(folder) / "kernels")
        return _timed(command, SCT_OPT_CACHE_DIR=cache)[1] - _timed(command, SCT_OPT_CACHE_DIR=cache)[1]


def _second_solve(name: str, size: int) -> float:
    """Time of solving the same NLP again, in multiples of what IPOPT itself takes."""
    done = subprocess.run([sys.executable, __file__, name, str(size)], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def _solve_repeatedly(name: str, size: int) -> float:
    from families import family  # noqa: PLC0415

    import sct_opt as so  # noqa: PLC0415

    nlp = family(name).build(size).variants[0].build()
    so.solve(nlp)
    best = math.inf
    for _ in range(20):
        start = time.perf_counter()
        timings = so.solve(nlp).timings
        whole = time.perf_counter() - start
        callbacks = sum(value for kind, value in timings.items() if kind not in ("setup", "solve"))
        best = min(best, whole / (timings["solve"] - callbacks))
    return best


if __name__ == "__main__":
    print(_solve_repeatedly(sys.argv[1], int(sys.argv[2])))
