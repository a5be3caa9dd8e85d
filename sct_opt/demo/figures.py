"""The demo's figures, as PNG files: patterns with their colors, and trajectories."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sct_opt.demo.models import Curves
from sct_opt.nlp import NLP


def _save(figure: Figure, path: Path) -> Path:
    FigureCanvasAgg(figure).print_png(str(path))
    return path


def draw_patterns(name: str, nlp: NLP, path: Path) -> Path:
    """Jacobian and Hessian patterns side by side, each entry in the color of its column or row."""
    figure = Figure(figsize=(10.0, 5.0), dpi=120, layout="constrained")
    figure.suptitle(name)
    left, right = figure.subplots(1, 2)
    nlp.jacobian_pattern.plot(ax=left, coloring=nlp.jacobian_coloring)
    left.set_title(f"Jacobian of the constraints: {nlp.jacobian_pattern.nnz:,} entries, {nlp.jacobian_coloring.num_colors} colors")
    nlp.hessian_pattern.plot(ax=right, coloring=nlp.hessian_coloring)
    right.set_title(f"Hessian of the Lagrangian: {nlp.hessian_pattern.nnz:,} entries, {nlp.hessian_coloring.num_colors} colors")
    for axes in (left, right):
        axes.title.set_fontsize(9)
    return _save(figure, path)


def draw_curves(name: str, curves: Curves, path: Path) -> Path:
    """States and controls over time."""
    figure = Figure(figsize=(7.0, 4.0), dpi=120, layout="constrained")
    axes = figure.subplots()
    for label, (t, y) in curves.items():
        axes.plot(t, y, label=label, drawstyle="steps-post" if label in ("u", "force") else "default")
    axes.set_xlabel("time")
    axes.set_title(name)
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
