"""The benchmarks run: contenders agree, missing ones are reported, results and the page are written."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import sct_opt as so

Importer = Callable[[str], ModuleType]
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(*arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / "run.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "140"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Importer]:
    """Imports modules of the benchmarks, which run as scripts and import each other by plain names."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def test_comparison_of_derivatives(tmp_path: Path) -> None:
    shown = run(
        "luksan-vlcek",
        "--size",
        "50",
        "--peers",
        "sct_opt,casadi,numpy,differences",
        "--quick",
        "--output",
        str(tmp_path),
    )
    record = json.loads((tmp_path / "comparison-luksan-vlcek-50.json").read_text())
    rows = {row["side"]: row for row in record["rows"]}
    assert list(rows) == ["sct_opt", "CasADi SX", "CasADi MX", "NumPy by hand", "NumPy differences"]
    assert rows["sct_opt"]["nnz J"] == 3 * 48
    assert rows["sct_opt"]["nnz H"] == 99
    for side in ("sct_opt", "CasADi SX", "CasADi MX"):
        assert {"set-up", "J", "H"} <= rows[side].keys()
        assert side in shown
    assert {path.name for path in tmp_path.glob("*.svg")} == {
        "benchmarks-set-up.svg",
        "benchmarks-j.svg",
        "benchmarks-h.svg",
    }
    assert (tmp_path / "benchmarks-j.png").stat().st_size > 1000


def test_comparison_of_front_ends(tmp_path: Path) -> None:
    run("cart-pole", "--size", "4", "--peers", "sct_opt,casadi", "--quick", "--output", str(tmp_path))
    record = json.loads((tmp_path / "comparison-cart-pole-4.json").read_text())
    assert [row["side"] for row in record["rows"] if row["peer"] == "sct_opt"] == [
        "sct_opt",
        "sct_opt, loops",
        "sct_opt, CasADi MX model",
        "sct_opt, Pyomo model",
    ]
    assert all(row["nnz J"] == 22 * 4 for row in record["rows"] if row["peer"] == "sct_opt")


def test_comparison_of_detection(tmp_path: Path) -> None:
    run("detect-rosenbrock", "--size", "30", "--peers", "sct_opt,casadi", "--quick", "--output", str(tmp_path))
    record = json.loads((tmp_path / "comparison-detect-rosenbrock-30.json").read_text())
    assert [row["nnz"] for row in record["rows"]] == [88, 88, 88]


@pytest.mark.parametrize("side", ["sct_opt", "CasADi MX", "NumPy by hand"])
def test_whole_process(side: str) -> None:
    command = [sys.executable, str(BENCHMARKS / "cold.py"), side, "luksan-vlcek", "20"]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert answer["objective"] == pytest.approx(6.2324586324)


def test_unknown_names_are_refused() -> None:
    for arguments, message in (
        (["no-such-problem"], "luksan-vlcek"),
        (["hs071", "--peers", "nobody"], "pyoptinterface"),
    ):
        done = subprocess.run(
            [sys.executable, str(BENCHMARKS / "run.py"), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert message in done.stderr.replace("poi", "pyoptinterface")


def test_missing_peer_is_reported(module: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    run = module("run")
    monkeypatch.setitem(module("problem").PEERS, "jax", "no_module_of_this_name")
    names, skipped = run.chosen(module("hs071").problem(4), 4, run.Settings(peers=("sct_opt", "jax")))
    assert names == ["sct_opt"]
    assert skipped == {"JAX + asdex": "not installed"}


def test_contender_that_computes_something_else_is_found(module: Importer) -> None:
    problems, model = module("problem"), module("luksan_vlcek")

    class Wrong(model.ByHand):
        def hessian(self, x: Any, lagrange: Any, obj_factor: float) -> Any:
            return super().hessian(x, lagrange, obj_factor) + 1e-3

    variants = [
        problems.Variant("sct_opt", "sct_opt", lambda: model.nlp(10)),
        problems.Variant("wrong", "numpy", lambda: Wrong(10)),
    ]
    with pytest.raises(ArithmeticError, match="wrong: H"):
        module("measure").compare(problems.Problem("", model.start(10), variants), ["sct_opt", "wrong"], budget=0.0)


def test_power_flow_reads_case_files(module: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pglib_opf_case2_toy.m").write_text(
        "mpc.baseMVA = 100.0;\n"
        "mpc.bus = [\n 1 3 0 0 0 0 1 1 0 1 1 1.1 0.9;\n 7 1 50 10 0 5 1 1 0 1 1 1.1 0.9;\n];\n"
        "mpc.gen = [\n 1 0 0 60 -60 1 100 1 200 0; % one\n];\n"
        "mpc.gencost = [\n 2 0 0 3 0.01 10 1;\n];\n"
        "mpc.branch = [\n 1 7 0.01 0.1 0.02 100 100 100 0 0 1 -30 30;\n];\n"
    )
    monkeypatch.setenv("PGLIB", str(tmp_path))
    two = module("opf").problem(2)
    compared = module("measure").compare(two, ["sct_opt", "sct_opt, Pyomo model", "CasADi MX"], budget=0.0)
    assert [row.get("n") for row in compared[:2]] == [10, 10]
    result = so.solve(two.variants[0].build())
    assert result.success
    # What the line loses is generated too, at little more than 10 $/MWh.
    assert 501.0 < result.fun - 25.0 < 540.0


def test_page_gets_the_results(module: Importer, tmp_path: Path) -> None:
    report = module("report")
    facts = {"date": "2026-01-01", "machine": "a machine", "versions": {"numpy": "2"}}
    rows = [
        {"side": "sct_opt", "peer": "sct_opt", "set-up": 2e-3, "J": 1e-3, "n": 5},
        {"side": "CasADi SX", "peer": "casadi", "set-up": 1.0, "J": 0.5e-3},
    ]
    record = facts | {"problem": "p", "size": 5, "title": "P, n = 5", "rows": rows, "skipped": {"JAX": "not installed"}}
    report.save(record, tmp_path, "comparison")
    page = tmp_path / "benchmarks.md"
    page.write_text("before\n<!-- results: begin -->\nold\n<!-- results: end -->\nafter\n")
    aims = [{"area": "engine", "what": "a ratio", "target": 0.5, "measured": 0.75, "unit": "x", "met": False}]
    (tmp_path / "targets.json").write_text(json.dumps(facts | {"targets": aims}))
    report.write_docs(tmp_path, tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| CasADi SX | 1.00 s | 500x | 500 µs | 0.50x |" in text
    assert "P, n = 5, Jacobian: CasADi SX (500 µs against 1.00 ms)" in text
    assert "JAX: not installed." in text
    assert "| engine | a ratio | 0.50x | 0.75x | **not met** |" in text
    assert (tmp_path / "figures" / "benchmarks-j.svg").exists()
    assert np.isclose(report.slope([(10, 1.0), (1000, 100.0)]), 1.0)


def test_targets_look_at_comparisons_that_are_made(module: Importer) -> None:
    targets = module("targets")
    rows = [
        {"side": side, "set-up": 1.0, "J": 1.0, "H": 1.0, "pattern": 1.0, "process": 1.0, "iterations": 6, "nodes": 1}
        | {"nnz J": 1, "nnz H": 1, "stages": {"trace": 1.0}}
        for _, _, sides in targets.COMPARISONS.values()
        for side in (*sides.split(";"), "sct_opt, C interface")
    ]
    records = {key: {"rows": rows, "peak MiB": 1.0} for key in [*targets.COMPARISONS, "cold"]}
    records["again"] = {"HS071": 1.0, "cart-pole 20": 1.0}
    records["single"] = {"import": 0.1, "functions": 0.2, "compile": 1.0}
    values = [float(target.measure(records)) for target in targets._targets()]
    assert np.isfinite(values).all()
    assert all(name in module("families").NAMES for name, _, _ in targets.COMPARISONS.values())
