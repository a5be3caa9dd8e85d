"""The demo runs, draws, and its reference optima are those of other derivatives on the same discretisation."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from sct_opt.demo import models, run

OPTIONS = {"ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": 0, "ipopt.tol": 1e-10}
REFERENCE = {problem.key: problem.reference for problem in models.problems(quick=True)}


def solve_with_casadi(nlp: dict[str, Any], **bounds: Any) -> float:
    solver = ca.nlpsol("reference", "ipopt", nlp, OPTIONS)
    solution = solver(**bounds)
    assert solver.stats()["success"]
    return float(solution["f"])


def solve_nl_file(model: Any, folder: Path) -> float:
    """A Pyomo model through its .nl file, CasADi's importer and CasADi's derivatives."""
    path = folder / "model.nl"
    model.write(str(path), format="nl")
    problem = ca.NlpBuilder()
    problem.import_nl(str(path))
    nlp = {"x": ca.veccat(*problem.x), "f": problem.f, "g": ca.veccat(*problem.g)}
    return solve_with_casadi(
        nlp, x0=problem.x_init, lbx=problem.x_lb, ubx=problem.x_ub, lbg=problem.g_lb, ubg=problem.g_ub
    )


def test_demo_solves_every_problem_and_writes_pictures(tmp_path: Path) -> None:
    printed = io.StringIO()
    assert run(tmp_path, quick=True, console=Console(file=printed, width=80)) == 0
    text = printed.getvalue()
    assert "reached their reference optimum" in text
    assert "…" not in text, "the tables fit 80 columns"
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert {
        "chain.png",
        "jacobson-lele-trajectory.png",
        "van-der-pol-trajectory.png",
        "luksan-vlcek-patterns.png",
    } <= set(pictures)
    assert len(pictures) == 10
    for name in pictures:
        pixels = imread(tmp_path / name)[..., :3]
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10, f"{name} is blank"


def test_failure_to_reach_the_reference_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = models.Problem("HS071 with a wrong reference", "hs071", models.hs071, 16.0)
    monkeypatch.setattr("sct_opt.demo.runner.problems", lambda quick: [wrong])
    printed = io.StringIO()
    assert run(tmp_path, quick=True, console=Console(file=printed, width=100)) == 1
    assert "expected 16" in printed.getvalue()


def test_reference_of_van_der_pol() -> None:
    model = models.van_der_pol_model()
    assert solve_with_casadi(model.pop("nlp"), **model) == pytest.approx(REFERENCE["van-der-pol"], rel=1e-8)


def test_reference_of_jacobson_lele(tmp_path: Path) -> None:
    assert solve_nl_file(models.jacobson_lele_model(), tmp_path) == pytest.approx(REFERENCE["jacobson-lele"], rel=1e-8)


def test_reference_of_the_chain(tmp_path: Path) -> None:
    # written once more, in plain CasADi
    size, step = models.CHAIN_INTERVALS + 1, 1.0 / models.CHAIN_INTERVALS
    z = ca.SX.sym("z", 2 * size)
    x, u = z[:size], z[size:]
    weight = np.full(size, step)
    weight[[0, -1]] /= 2
    arc = ca.sqrt(1 + u**2)
    g = ca.vertcat(x[1:] - x[:-1] - step * (u[1:] + u[:-1]) / 2, ca.dot(weight, arc), x[0], x[-1])
    target = [*np.zeros(size - 1), models.CHAIN_LENGTH, models.CHAIN_LEFT, models.CHAIN_RIGHT]
    optimum = solve_with_casadi({"x": z, "f": ca.dot(weight, x * arc), "g": g}, x0=1.0, lbg=target, ubg=target)
    for key in ("chain-numpy", "chain-pyomo", "chain-casadi"):
        assert optimum == pytest.approx(REFERENCE[key], rel=1e-8)
    assert optimum == pytest.approx(5.06891, abs=1e-5)  # as COPS gives it


def test_reference_of_luksan_vlcek() -> None:
    n = 1000
    x = ca.MX.sym("x", n)
    f = ca.sum1(100 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1) ** 2)
    a, b, c = x[:-2], x[1:-1], x[2:]
    g = 3 * b**3 + 2 * c - 5 + ca.sin(b - c) * ca.sin(b + c) + 4 * b - a * ca.exp(a - b) - 3
    x0 = np.where(np.arange(n) % 2 == 0, -1.2, 1.0)
    assert solve_with_casadi({"x": x, "f": f, "g": g}, x0=x0, lbg=0, ubg=0) == pytest.approx(
        REFERENCE["luksan-vlcek"], rel=1e-8
    )
