"""What became of the comparisons: tables in the terminal, JSON, charts, the page in the docs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Record = dict[str, Any]

METRICS = {
    "set-up": "set-up",
    "J": "Jacobian",
    "H": "Hessian",
    "pattern": "pattern detection",
    "process": "whole process",
    "CPU": "its CPU time",
}
"""Metrics of rows, and what charts call them."""

_BEGIN, _END = "<!-- results: begin -->", "<!-- results: end -->"
_COLORS = {
    "sct_opt": "#c1272d",
    "casadi": "#3d6fb4",
    "jax": "#7a9e3f",
    "poi": "#e08e2b",
    "numpy": "#777777",
    "c": "#222222",
    "differences": "#aaaaaa",
}


def seconds(value: float | None) -> str:
    """A time in the unit that suits it, three digits.

    Args:
        value: seconds, None if not measured.

    Returns:
        The text.
    """
    if value is None or not math.isfinite(value):
        return "–"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale or unit == "µs":
            scaled = value / scale
            return f"{scaled:.{max(0, 2 - math.floor(math.log10(max(scaled, 1e-3))))}f} {unit}"
    raise AssertionError


def shown(value: float | None, unit: str) -> str:
    """A value of a target with its unit."""
    if value is None:
        return "not measured"
    if unit == "s":
        return seconds(value)
    if unit == "x":
        return f"{value:.2f}x"
    number = f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"
    return f"{number} {unit}".strip()


def ratio(row: Record, reference: Record, metric: str) -> str:
    """How many times the reference's time a row takes."""
    if metric not in row or not reference.get(metric):
        return ""
    value = row[metric] / reference[metric]
    return f"{value:.2f}x" if value < 10 else f"{value:,.0f}x"


def _metrics(record: Record) -> list[str]:
    return [metric for metric in METRICS if any(metric in row for row in record["rows"])]


def _cells(record: Record) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a record's table: times, and ratios to the first row."""
    metrics = _metrics(record)
    header = ["side", *(part for metric in metrics for part in (METRICS[metric], "ratio"))]
    reference = record["rows"][0] if record["rows"] else {}
    lines = [
        [
            row["side"],
            *(part for metric in metrics for part in (seconds(row.get(metric)), ratio(row, reference, metric))),
        ]
        for row in record["rows"]
    ]
    return header, lines


def _subtitle(record: Record) -> str:
    row = record["rows"][0] if record["rows"] else {}
    parts = [f"{key} {row[key]:,}" for key in ("n", "m", "nnz J", "nnz H", "nodes", "nnz") if row.get(key) is not None]
    parts += [f"{stage} {seconds(value)}" for stage, value in row.get("stages", {}).items()]
    return ", ".join(parts)


def show(console: Console, record: Record) -> None:
    """Print a record as a table.

    Args:
        console: where to.
        record: what to.
    """
    if "error" in record:
        console.print(f"[red]{escape(record['title'])} failed:[/] {escape(' '.join(record['error']))}")
        return
    header, lines = _cells(record)
    table = Table(title=record["title"], title_justify="left", caption=_subtitle(record), caption_justify="left")
    table.add_column(header[0])
    for name in header[1:]:
        table.add_column(name, justify="right")
    for line in lines:
        table.add_row(*(escape(cell) for cell in line))
    console.print(table)
    for row in record["rows"]:
        if "note" in row:
            console.print(f"  [yellow]{escape(row['side'])}:[/] {escape(row['note'])}", soft_wrap=True)
    for side, reason in record.get("skipped", {}).items():
        console.print(f"  [dim]{escape(side)}: {escape(reason)}[/]", soft_wrap=True)


# -- files -------------------------------------------------------------------------------------------------------------


def save(record: Record, folder: Path, kind: str) -> None:
    """Write a record as JSON, replacing an earlier one of the same problem, size and kind."""
    record["kind"] = kind
    (folder / f"{kind}-{record['problem']}-{record['size']}.json").write_text(json.dumps(record, indent=1) + "\n")


def load(folder: Path) -> list[Record]:
    """All records in a directory that did not fail."""
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*-*.json"))]
    return [record for record in records if "error" not in record and record["rows"]]


def draw(records: list[Record], folder: Path) -> None:
    """Draw one chart per metric, a panel per problem, as PNG and SVG; and cost against size.

    Args:
        records: what `load` returned.
        folder: where to.
    """
    import matplotlib  # noqa: PLC0415

    matplotlib.use("Agg")
    largest: dict[tuple[str, str], Record] = {}
    for record in records:
        key = record["kind"], record["problem"]
        if record["kind"] != "slopes" and record["size"] >= largest.get(key, record)["size"]:
            largest[key] = record
    for metric, title in METRICS.items():
        if metric == "CPU":  # the table has it; a chart would look like that of the whole process
            continue
        compared = [record for record in largest.values() if sum(metric in row for row in record["rows"]) > 1]
        if compared:
            _bars(compared, metric, title, folder)
    if any(record["kind"] == "slopes" for record in records):
        _slopes([record for record in records if record["kind"] == "slopes"], folder)


def _bars(records: list[Record], metric: str, title: str, folder: Path) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    columns = min(len(records), 3)
    lines = math.ceil(len(records) / columns)
    height = 0.25 * max(sum(metric in row for row in record["rows"]) for record in records) + 0.8
    figure, axes = plt.subplots(
        lines, columns, figsize=(5.2 * columns, height * lines + 0.4), squeeze=False, layout="constrained"
    )
    for axis, record in zip(axes.flat, records, strict=False):
        rows = [row for row in record["rows"] if metric in row][::-1]
        times = [row[metric] for row in rows]
        axis.barh([row["side"] for row in rows], times, color=[_COLORS[row["peer"]] for row in rows])
        axis.set_xscale("log")
        axis.set_xlim(min(times) / 2.5, max(times) * 8)
        for k, value in enumerate(times):
            axis.text(value * 1.08, k, seconds(value), va="center", fontsize=8)
        axis.set_title(record["title"].removesuffix(", whole process"), fontsize=10, loc="left")
        axis.tick_params(labelsize=8)
        axis.tick_params(axis="x", which="minor", labelbottom=False)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlabel("seconds", fontsize=8)
    for axis in axes.flat[len(records) :]:
        axis.set_axis_off()
    figure.suptitle(f"{title[0].upper()}{title[1:]}: shorter is better, logarithmic", fontsize=12)
    _write(figure, folder, f"benchmarks-{metric.lower()}")


def _write(figure: Any, folder: Path, name: str) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    for suffix in ("png", "svg"):
        figure.savefig(folder / f"{name}.{suffix}", dpi=130, metadata={"Date": None} if suffix == "svg" else None)
    plt.close(figure)


def slope(points: list[tuple[float, float]]) -> float:
    """Exponent of cost against size between the two largest sizes; 1 is linear.

    Args:
        points: pairs of size and seconds.

    Returns:
        The exponent; NaN for less than two points.
    """
    if len(points) < 2:
        return math.nan
    (small, before), (large, after) = sorted(points)[-2:]
    return math.log(after / before) / math.log(large / small)


def curves(records: list[Record]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Pairs of unknowns and seconds of sct_opt by problem and metric."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for record in records:
        row = record["rows"][0]
        scale = row.get("n", record["size"] ** 2 if record["problem"] in _SQUARES else record["size"])
        for metric in METRICS:
            if metric in row:
                found.setdefault((record["problem"], metric), []).append((scale, row[metric]))
    return {key: sorted(points) for key, points in found.items()}


_SQUARES = ("detect-brusselator", "detect-convolution")  # their size is that of a side


def _slopes(records: list[Record], folder: Path) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    found = curves(records)
    metrics = [metric for metric in METRICS if any(key[1] == metric for key in found)]
    figure, axes = plt.subplots(1, len(metrics), figsize=(5.2 * len(metrics), 4.2), squeeze=False, layout="constrained")
    for axis, metric in zip(axes.flat, metrics, strict=True):
        for (problem, what), points in found.items():
            if what == metric:
                label = f"{problem} ({slope(points):.2f})" if len(points) > 1 else problem
                axis.loglog(*zip(*points, strict=True), "o-", ms=3.5, label=label)
        axis.set_title(METRICS[metric], fontsize=10, loc="left")
        axis.set_xlabel("variables", fontsize=8)
        axis.set_ylabel("seconds", fontsize=8)
        axis.legend(fontsize=7, title="exponent at the end", title_fontsize=7)
        axis.grid(alpha=0.3)
    figure.suptitle("sct_opt: cost against size")
    _write(figure, folder, "benchmarks-slopes")


# -- docs --------------------------------------------------------------------------------------------------------------


def write_docs(folder: Path, docs: Path) -> None:
    """Replace the results in ``docs/benchmarks.md`` and its charts.

    Args:
        folder: the directory of results.
        docs: the directory of the documentation.
    """
    records, aims = load(folder), folder / "targets.json"
    figures = docs / "figures"
    figures.mkdir(exist_ok=True)
    draw(records, figures)
    page = docs / "benchmarks.md"
    before, _, rest = page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(
        f"{before}{_BEGIN}\n\n{_results(records, figures)}{_aims(json.loads(aims.read_text())) if aims.exists() else ''}\n{_END}{after}"
    )


def _results(records: list[Record], figures: Path) -> str:
    dates = sorted({record["date"] for record in records})
    machines = sorted({record["machine"] for record in records})
    versions = ", ".join(f"{name} {version}" for name, version in records[-1]["versions"].items())
    parts = [f"Measured {' and '.join(dates)} on {'; '.join(machines)}.\nVersions: {versions}.\n"]
    for kind, title in (("comparison", "Side by side"), ("cold", "Whole processes")):
        shown = [record for record in records if record["kind"] == kind]
        if shown:
            parts.append(f"### {title}\n")
            parts += [_markdown(record) for record in shown]
    parts.append(_defeats([record for record in records if record["kind"] != "slopes"]))
    found = curves([record for record in records if record["kind"] == "slopes"])
    if found:
        parts.append("### Cost against size\n\nExponent between the two largest sizes, sct_opt; 1 is linear.\n")
        lines = ["| problem | metric | sizes | seconds | exponent |", "|---|---|---|---|---|"]
        for (problem, metric), points in found.items():
            sizes, times = zip(*points, strict=True)
            lines.append(
                f"| {problem} | {METRICS[metric]} | {', '.join(f'{size:,}' for size in sizes)} | {', '.join(map(seconds, times))} | {slope(points):.2f} |"
            )
        parts.append("\n".join(lines) + "\n\n![Cost against size](figures/benchmarks-slopes.svg)\n")
    parts.append("### Charts\n")
    parts += [
        f"![{title}](figures/benchmarks-{metric.lower()}.svg)\n"
        for metric, title in METRICS.items()
        if (figures / f"benchmarks-{metric.lower()}.svg").exists()
    ]
    return "\n".join(parts)


def _markdown(record: Record) -> str:
    header, lines = _cells(record)
    table = [f"| {' | '.join(header)} |", f"|---{'|---:' * (len(header) - 1)}|"]
    table += [f"| {' | '.join(line)} |" for line in lines]
    notes = [f"{row['side']}: {row['note']}." for row in record["rows"] if "note" in row]
    notes += [f"{side}: {reason}." for side, reason in record.get("skipped", {}).items()]
    subtitle = _subtitle(record)
    return "\n".join(
        [
            f"**{record['title']}**" + (f" ({subtitle})" if subtitle else ""),
            "",
            *table,
            "",
            *(f"{note}\n" for note in notes),
        ]
    )


def _defeats(records: list[Record]) -> str:
    """Where another tool is faster than sct_opt, hand-written code aside."""
    lines = []
    for record in records:
        ours = next((row for row in record["rows"] if row["peer"] == "sct_opt"), {})
        for metric in _metrics(record):
            faster = [
                f"{row['side']} ({seconds(row[metric])} against {seconds(ours[metric])})"
                for row in record["rows"]
                if row["peer"] not in ("sct_opt", "numpy", "c")
                and metric in row
                and metric in ours
                and row[metric] < ours[metric]
            ]
            if faster:
                lines.append(
                    f"- {record['title'].removesuffix(', whole process')}, {METRICS[metric]}: {', '.join(faster)}"
                )
    head = "### Where another tool is faster\n\nHand-written derivatives aside.\n\n"
    return head + ("\n".join(lines) if lines else "Nowhere in these comparisons.") + "\n"


def _aims(measured: Record) -> str:
    """The table of targets."""
    lines = [
        f"\n### Targets\n\nMeasured {measured['date']} on {measured['machine']}; the limits were set before anything was built.\n",
        "| area | what | target | measured | |",
        "|---|---|---:|---:|---|",
    ]
    for line in measured["targets"]:
        mark = {True: "met", False: "**not met**", None: "not measured"}[line["met"]]
        values = " | ".join(shown(line[key], line["unit"]) for key in ("target", "measured"))
        lines.append(f"| {line['area']} | {line['what']} | {values} | {mark} |")
    return "\n".join(lines) + "\n"
