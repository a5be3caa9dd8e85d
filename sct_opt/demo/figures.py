"""The demo's figures, as PNG files: patterns with their colors, and trajectories."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sct_opt.coloring import ColoringResult
from sct_opt.demo.models import Curves
from sct_opt.nlp import NLP
from sct_opt.pattern import SparsityPattern

MOST_DRAWN, LEADING = 800, 40
"""Patterns with more rows or columns than the first are drawn as a leading block of the second."""

CONTROLS = {"u": "steps-post", "force": "steps-pre"}
"""Controls are constant over an interval: their value belongs to its start or to its end."""


def _save(figure: Figure, path: Path) -> Path:
    FigureCanvasAgg(figure)
    figure.savefig(path)
    return path


def draw_patterns(name: str, nlp: NLP, path: Path) -> Path:
    """Jacobian and Hessian patterns side by side, each entry in the color of its column or row."""
    figure = Figure(figsize=(10.0, 5.2), dpi=120, layout="constrained")
    figure.suptitle(name)
    titles = "Jacobian of the constraints", "Hessian of the Lagrangian"
    patterns = (nlp.jacobian_pattern, nlp.jacobian_coloring), (nlp.hessian_pattern, nlp.hessian_coloring)
    for axes, title, (pattern, coloring) in zip(figure.subplots(1, 2), titles, patterns, strict=True):
        shown = ""
        if max(pattern.shape) <= MOST_DRAWN:
            pattern.plot(ax=axes, coloring=coloring)
        else:
            _leading_block(pattern, coloring, axes)
            shown = f"\nleading {LEADING} rows and columns of {pattern.shape[0]:,} × {pattern.shape[1]:,}"
        axes.set_title(f"{title}: {pattern.nnz:,} entries, {coloring.num_colors} colors{shown}", fontsize=9)
    return _save(figure, path)


def _leading_block(pattern: SparsityPattern, coloring: ColoringResult, axes: Axes) -> None:
    rows, cols = pattern.coo()
    inside = (rows < LEADING) & (cols < LEADING)
    block = SparsityPattern.from_coo(rows[inside], cols[inside], (LEADING, LEADING))
    block.plot(ax=axes, coloring=coloring.entry_colors[inside])


def draw_curves(name: str, curves: Curves, path: Path) -> Path:
    """States above, controls below, over time."""
    figure = Figure(figsize=(7.0, 5.0), dpi=120, layout="constrained")
    figure.suptitle(name)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for label, (t, y) in curves.items():
        if label in CONTROLS:
            below.plot(t, y, label=label, drawstyle=CONTROLS[label], color="C3")
        else:
            above.plot(t, y, label=label)
    below.set_xlabel("time")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return _save(figure, path)


def draw_chains(chains: dict[str, Curves], path: Path) -> Path:
    """The hanging chain from each front end in one picture: the curves lie on each other."""
    figure = Figure(figsize=(7.0, 4.0), dpi=120, layout="constrained")
    axes = figure.subplots()
    for width, (name, curves) in zip((7.0, 4.0, 1.5), chains.items(), strict=False):
        for x, y in curves.values():
            axes.plot(x, y, label=name, linewidth=width)
    axes.set_xlabel("horizontal position")
    axes.set_ylabel("height")
    axes.set_title("Hanging chain: one model, three front ends")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return _save(figure, path)
