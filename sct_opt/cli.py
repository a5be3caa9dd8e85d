"""The command line: `sct-opt install-ipopt`, `doctor`, `demo`, `bench`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import sct_opt
from sct_opt.errors import SctOptError

if TYPE_CHECKING:
    from sct_opt.solvers.doctor import Check

_MARKS = {"ok": "[green]ok[/]", "note": "[dim]note[/]", "optional": "[yellow]missing[/]", "missing": "[red]missing[/]"}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(sct_opt.__version__, prog_name="sct-opt")
def main() -> None:
    """Sparsity detection, coloring and exact sparse derivatives; NumPy, Pyomo and CasADi models solved with IPOPT."""


@main.command("install-ipopt")
@click.option("--force", is_flag=True, help="Build cyipopt again even if it works.")
@click.option(
    "--source",
    type=click.Choice(["auto", "conda", "system", "casadi"]),
    default="auto",
    show_default=True,
    help="Which IPOPT to build against; auto takes conda's, else a recent one of the system, else CasADi's.",
)
@click.option(
    "--constraint",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    help="A pip constraints file that pins the versions installed.",
)
def install_ipopt_command(
    force: bool, source: Literal["auto", "conda", "system", "casadi"], constraint: Path | None
) -> None:
    """Make IPOPT work in this environment: build cyipopt if it does not work yet."""
    from sct_opt.solvers.install import install_ipopt  # noqa: PLC0415 - only this command needs it

    console = _console()
    try:
        with console.status("looking for a cyipopt that works …") as status:

            def report(step: str) -> None:
                console.print(f"[dim]-[/] {escape(step)}", soft_wrap=True)
                status.update(f"{escape(step)} …")

            found = install_ipopt(force=force, wanted=source, constraint=constraint, report=report)
    except SctOptError as error:
        console.print("[red]IPOPT is not installed.[/]")
        console.print(str(error), markup=False, soft_wrap=True)
        sys.exit(1)
    if found.built_against is None:
        console.print("[green]cyipopt works already:[/] nothing to do (--force builds it again)")
    else:
        console.print(f"[green]cyipopt works[/], built against {found.built_against}")
    console.print(f"  cyipopt {found.cyipopt}, IPOPT {found.ipopt}", soft_wrap=True)
    if found.library:
        console.print(f"  {found.library}", markup=False, soft_wrap=True)


@main.command()
@click.option(
    "--strict", is_flag=True, help="Exit with 1 if an optional part (IPOPT, Pyomo, CasADi, matplotlib) is missing too."
)
def doctor(strict: bool) -> None:
    """Report versions, IPOPT, linear solvers and compiled kernels, and what mends what is missing.

    The exit code is 1 if something that the package needs is missing, with --strict also if an optional part is.
    """
    from sct_opt.solvers.doctor import examine  # noqa: PLC0415 - only this command needs it

    console = _console()
    checks = []
    with console.status("examining …") as status:
        for check in examine():
            checks.append(check)
            status.update(f"examining … {check.name}")
    console.print(_table(checks))
    mends = [check for check in checks if check.mend]
    if mends:
        console.print("\nWhat mends it:")
        for check in mends:
            console.print(f"  {check.name}: [bold]{escape(check.mend)}[/]", soft_wrap=True)
    states = {check.state for check in checks}
    sys.exit(1 if "missing" in states or (strict and "optional" in states) else 0)


def _console() -> Console:
    """Return a console that is wide enough for tables where the output goes into a file or a log."""
    narrow = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=140 if narrow else None)


def _table(checks: list[Check]) -> Table:
    """Return the doctor's report as a table."""
    table = Table(title=f"sct_opt {sct_opt.__version__}", title_justify="left")
    table.add_column("part")
    table.add_column("state")
    table.add_column("found", overflow="fold")
    for check in checks:
        table.add_row(escape(check.name), _MARKS[check.state], escape(check.value))
    return table


@main.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Directory for the figures.",
)
@click.option("--quick", is_flag=True, help="Small problems only.")
def demo(output: Path, quick: bool) -> None:
    """Solve problems from NumPy, Pyomo and CasADi; print a table and draw patterns and trajectories."""
    import sct_opt.demo  # noqa: PLC0415 - the demo imports every optional dependency

    try:
        sys.exit(sct_opt.demo.run(output, quick, _console()))
    except SctOptError as error:
        raise click.ClickException(str(error)) from error


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Run the side-by-side benchmarks of a checkout; arguments go to benchmarks/run.py."""
    runner = Path(sct_opt.__file__).parents[1] / "benchmarks" / "run.py"
    if not runner.exists():
        raise click.ClickException(
            f"The benchmarks are not installed with the package (no {runner}): clone the repository and run `make bench` there."
        )
    sys.exit(subprocess.run([sys.executable, str(runner), *arguments], cwd=runner.parents[1]).returncode)
