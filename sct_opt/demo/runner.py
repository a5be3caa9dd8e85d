"""Solve the demo's problems one after the other, print a table and write the figures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sct_opt import solve
from sct_opt.demo.figures import draw_chains, draw_curves, draw_patterns
from sct_opt.demo.models import Curves, Problem, problems
from sct_opt.nlp import NLP

TOLERANCE = 1e-6
"""Relative difference to the reference objective up to which a problem counts as solved."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the table shows of one problem; times in seconds."""

    problem: Problem
    nlp: NLP
    x: np.ndarray
    curves: Curves | None
    trace: float
    detect: float
    color: float
    solve: float
    iterations: int
    objective: float
    success: bool

    @property
    def difference(self) -> float:
        """Relative difference of the objective to the reference."""
        return abs(self.objective / self.problem.reference - 1.0)

    @property
    def good(self) -> bool:
        """Whether the reference optimum was reached."""
        return self.success and self.difference <= TOLERANCE


def run(output: Path, quick: bool, console: Console) -> int:
    """Run the demo.

    Args:
        output: folder for the figures; made if missing.
        quick: take the small version of the largest problem.
        console: where to print.

    Returns:
        0 if every problem reached its reference optimum, else 1.
    """
    output.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    todo = problems(quick)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(todo))
        for problem in todo:
            progress.update(task, description=problem.name)
            outcomes.append(_solve(problem))
            progress.advance(task)
        progress.update(task, description="Drawing")
        figures = _draw(outcomes, output)
    for table in _tables(outcomes):
        console.print(table)
    for figure in figures:
        console.print(f"figure: {figure}", highlight=False, soft_wrap=True)
    failed = [o for o in outcomes if not o.good]
    for outcome in failed:
        console.print(
            f"[bold red]{outcome.problem.name}: objective {outcome.objective:.9g}, expected {outcome.problem.reference:.9g}[/]"
        )
    if not failed:
        console.print(
            f"[green]All {len(outcomes)} problems reached their reference optimum within {TOLERANCE:g} relative.[/]"
        )
    return 1 if failed else 0


def _solve(problem: Problem) -> Outcome:
    start = time.perf_counter()
    model = problem.build()
    traced = time.perf_counter()
    prepare = model.nlp.prepare()
    ready = time.perf_counter()
    # Repeated structure needs no coloring; the table and the pictures show it all the same.
    for coloring in ("jacobian_coloring", "hessian_coloring"):
        getattr(model.nlp, coloring)
    colored = time.perf_counter() - ready + prepare["color"]
    ready = time.perf_counter()
    result = solve(model.nlp)
    solved = time.perf_counter()
    curves = model.curves(result.x) if model.curves else None
    return Outcome(
        problem,
        model.nlp,
        result.x,
        curves,
        traced - start,
        prepare["detect"],
        colored,
        solved - ready,
        int(result.nit),
        float(result.fun),
        bool(result.success),
    )


def _tables(outcomes: list[Outcome]) -> list[Table]:
    """Two tables that fit a terminal of 80 columns: structure, then times and results."""
    structure = Table(
        title="Structure",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        caption="nnz H counts the lower triangle.",
    )
    structure.add_column("problem", no_wrap=True)
    for heading in ("n", "m", "nnz J", "nnz H", "colors J", "H"):
        structure.add_column(heading, justify="right")
    results = Table(
        title="Seconds and results",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        caption="off by: relative to the reference optimum. The first problem of each front end pays for loading it and the kernels.",
    )
    results.add_column("problem", no_wrap=True)
    for heading in ("trace", "detect", "color", "solve", "iter.", "objective", "off by"):
        results.add_column(heading, justify="right")
    for o in outcomes:
        lower = o.nlp.hessianstructure()[0].size
        colors = o.nlp.jacobian_coloring.num_colors, o.nlp.hessian_coloring.num_colors
        counts = (o.nlp.n, o.nlp.m, o.nlp.jacobian_pattern.nnz, lower, *colors)
        structure.add_row(o.problem.name, *(f"{count:,}" for count in counts))
        times = [f"{seconds:.2f}" for seconds in (o.trace, o.detect, o.color, o.solve)]
        style = "green" if o.good else "red"
        results.add_row(
            o.problem.key, *times, str(o.iterations), f"[{style}]{o.objective:.8g}[/]", f"{o.difference:.0e}"
        )
    return [structure, results]


def _draw(outcomes: list[Outcome], output: Path) -> list[Path]:
    figures = [draw_patterns(o.problem.name, o.nlp, output / f"{o.problem.key}-patterns.png") for o in outcomes]
    chains = {o.problem.name: o.curves for o in outcomes if o.curves and o.problem.key.startswith("chain-")}
    if chains:
        figures.append(draw_chains(chains, output / "chain.png"))
    figures += [
        draw_curves(o.problem.name, o.curves, output / f"{o.problem.key}-trajectory.png")
        for o in outcomes
        if o.curves and not o.problem.key.startswith("chain-")
    ]
    return figures
