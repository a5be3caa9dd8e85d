"""Coloring on large patterns: times and color counts, beside ColPack where it is installed.

Run ``python benchmarks/coloring.py`` (a few minutes) or ``python benchmarks/coloring.py --quick`` (some seconds).
ColPack is a C++ library; where its headers are found (Debian: ``apt install libcolpack-dev``) the driver in
``benchmarks/colpack`` is compiled and run on the same patterns, one thread, timing what is timed here: from a pattern in
memory to colors, order included.  Compiled code of both is warm; times are processor time, the best of some runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import sct_opt as so
from sct_opt.pattern import SparsityPattern

PROBLEMS = {
    "column": {},
    "star": {"structure": "symmetric"},
    "acyclic": {"structure": "symmetric", "decompression": "substitution"},
    "bidirectional": {"partition": "bidirectional"},
}
ORDERS = {
    "natural": "NATURAL",
    "largest_first": "LARGEST_FIRST",
    "smallest_last": "SMALLEST_LAST",
    "incidence_degree": "INCIDENCE_DEGREE",
    "dynamic_largest_first": "DYNAMIC_LARGEST_FIRST",
}
NOT_IN_COLPACK = {("column", "dynamic_largest_first")}  # it colors in natural order
COLPACK_SECONDS = 300


def band(n: int, half: int, dense: int = 0, shuffled: bool = False) -> SparsityPattern:
    """Band of half width `half` with `dense` full rows and columns, optionally permuted."""
    rows = np.repeat(np.arange(n), 2 * half + 1)
    cols = rows + np.tile(np.arange(-half, half + 1), n)
    inside = (cols >= 0) & (cols < n)
    lines = np.arange(dense) * n // max(dense, 1)
    full, every = np.repeat(lines, n), np.tile(np.arange(n), dense)
    rows = np.concatenate([rows[inside], full, every])
    cols = np.concatenate([cols[inside], every, full])
    if shuffled:
        shuffle = np.random.default_rng(0).permutation(n)
        rows, cols = shuffle[rows], shuffle[cols]
    return SparsityPattern.from_coo(rows, cols, (n, n))


def scattered(n: int, pairs: int) -> SparsityPattern:
    """Random symmetric pattern with a full diagonal."""
    rng = np.random.default_rng(0)
    i, j, diagonal = rng.integers(0, n, pairs), rng.integers(0, n, pairs), np.arange(n)
    return SparsityPattern.from_coo(np.concatenate([i, j, diagonal]), np.concatenate([j, i, diagonal]), (n, n))


def grid(k: int) -> SparsityPattern:
    """Five-point stencil on a k x k grid."""
    node = np.arange(k * k).reshape(k, k)
    pairs = [(node, node), (node[1:], node[:-1]), (node[:, 1:], node[:, :-1])]
    i = np.concatenate([a.ravel() for a, _ in pairs])
    j = np.concatenate([b.ravel() for _, b in pairs])
    return SparsityPattern.from_coo(np.concatenate([i, j]), np.concatenate([j, i]), (k * k, k * k))


def power_network(buses: int) -> SparsityPattern:
    """Angles and voltages of a network like a power grid: a tree with local chords, two variables a bus."""
    rng = np.random.default_rng(0)
    child = np.arange(1, buses)
    parent = np.maximum(0, child - rng.geometric(0.05, buses - 1))
    near = np.clip(child + rng.integers(-30, 31, buses - 1), 0, buses - 1)[: buses // 2]
    i = np.concatenate([np.arange(buses), child, child[: buses // 2]])
    j = np.concatenate([np.arange(buses), parent, near])
    i, j = np.concatenate([i, j]), np.concatenate([j, i])
    rows = np.concatenate([2 * i + a for a in (0, 1) for _ in (0, 1)])
    cols = np.concatenate([2 * j + b for _ in (0, 1) for b in (0, 1)])
    return SparsityPattern.from_coo(rows, cols, (2 * buses, 2 * buses))


def collocation(intervals: int) -> SparsityPattern:
    """Lagrangian Hessian of a collocation problem whose last variable, the final time, meets everything."""
    width = 5
    n = intervals * width + 1
    block = np.arange(n - 1) // width * width
    rows = np.concatenate([np.repeat(np.arange(n - 1), width), np.full(n, n - 1), np.arange(n)])
    cols = np.concatenate([(block[:, None] + np.arange(width)).ravel(), np.arange(n), np.full(n, n - 1)])
    return SparsityPattern.from_coo(rows, cols, (n, n))


def best_of(work: Callable[[], Any], runs: int = 5) -> tuple[float, Any]:
    """Shortest time of some runs, and what the last one returned."""
    shortest, result = np.inf, None
    for _ in range(runs):
        start = time.process_time()
        result = work()
        shortest = min(shortest, time.process_time() - start)
    return shortest, result


def warm() -> None:
    """Compile every kernel."""
    small = scattered(60, 120)
    for options in PROBLEMS.values():
        so.color(small, order="best", closed_forms=False, **options)
    so.color(small, **PROBLEMS["acyclic"], order="perfect_elimination")


class ColPack:
    """ColPack, driven by a program that is compiled on the spot."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("c++") or shutil.which("g++")
        source = Path(__file__).parent / "colpack" / "driver.cpp"
        self.folder, self.driver = folder, folder / "driver"
        command = [str(compiler), "-O3", "-fopenmp", "-o", str(self.driver), str(source), "-lColPack"]
        self.found = compiler is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0

    def run(self, pattern: SparsityPattern, problem: str, order: str, runs: int) -> tuple[int, float] | None:
        """Number of colors and seconds, None if it takes too long."""
        path = self.folder / "pattern.bin"
        with path.open("wb") as file:
            np.array([*pattern.shape, pattern.nnz], np.int64).tofile(file)
            pattern.indptr.astype(np.int32).tofile(file)
            pattern.indices.astype(np.int32).tofile(file)
        command = [str(self.driver), str(path), *[problem, ORDERS[order]] * runs]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=COLPACK_SECONDS,
                check=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
            return None
        lines = [line.split() for line in done.stdout.splitlines()]
        return int(lines[0][2]), min(float(line[3]) for line in lines)


def headline_cases(quick: bool) -> Iterator[tuple[str, SparsityPattern, dict[str, Any]]]:
    """What the documentation promises."""
    n = 10_000 if quick else 100_000
    arrow = band(1000, 0, dense=1)
    yield "arrow 1000, bidirectional", arrow, {"partition": "bidirectional"}
    dense_lines = band(n, 5, dense=5)
    yield f"band(5) + 5 dense lines {n:.0e}, star", dense_lines, {"structure": "symmetric"}
    yield f"band(5) + 5 dense lines {n:.0e}, auto", dense_lines, {"partition": "auto"}
    size, half = (2000, 40) if quick else (10_000, 200)
    substitution = {"structure": "symmetric", "decompression": "substitution"}
    permuted = band(size, half, shuffled=True)
    yield (
        f"permuted band {size} x {2 * half}, elimination order",
        permuted,
        {**substitution, "order": "perfect_elimination"},
    )
    for name, pattern in (("diagonal", band(10 * n, 0)), ("band(2)", band(10 * n, 2))):
        yield f"{name} {10 * n:.0e}, column", pattern, {}
        yield f"{name} {10 * n:.0e}, star", pattern, {"structure": "symmetric"}
        yield f"{name} {10 * n:.0e}, acyclic", pattern, substitution


def colpack_cases(quick: bool) -> Iterator[tuple[str, SparsityPattern, list[str]]]:
    """Patterns of 1e4 to 1e7 entries, all symmetric, and the problems that make sense for them."""
    every = ["column", "star", "acyclic", "bidirectional"]
    yield "random 1e3", scattered(1000, 5000), every
    yield "power network 1e3", power_network(1000), every
    if quick:
        return
    yield "grid 300 x 300", grid(300), every
    yield "band(5) 1e5", band(100_000, 5), every
    yield "random 1e5", scattered(100_000, 500_000), every
    yield "power network 5e4", power_network(50_000), every
    yield "collocation 2e3 + final time", collocation(2000), ["star", "acyclic"]
    yield "permuted band 1e4 x 100", band(10_000, 50, shuffled=True), ["column", "star", "acyclic"]
    yield "grid 1400 x 1400", grid(1400), ["column", "star", "acyclic"]


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small patterns only")
    quick = parser.parse_args().quick
    warm()
    print("| case | entries | colors | seconds |\n|---|---|---|---|")
    for name, pattern, options in headline_cases(quick):
        seconds, coloring = best_of(lambda: so.color(pattern, **options))  # noqa: B023 - called at once
        print(f"| {name} | {pattern.nnz} | {coloring.num_colors} | {seconds:.4f} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        colpack = ColPack(Path(folder))
        if not colpack.found:
            print("\nColPack not found (Debian: apt install libcolpack-dev): no comparison.")
        print(
            "\n| pattern | entries | problem | order | colors | ColPack | seconds | ColPack | ratio |\n"
            + "|---" * 9
            + "|"
        )
        for name, pattern, problems in colpack_cases(quick):
            runs = 3 if pattern.nnz < 500_000 else 1
            for problem in problems:
                options = PROBLEMS[problem]
                for order in ORDERS:
                    if (problem, order) in NOT_IN_COLPACK:
                        continue
                    seconds, coloring = best_of(
                        lambda: so.color(pattern, order=order, closed_forms=False, **options),  # noqa: B023
                        runs,
                    )
                    peer = colpack.run(pattern, problem, order, runs) if colpack.found else None
                    theirs, time_taken, ratio = ("–",) * 3
                    if peer is not None:
                        theirs, time_taken, ratio = f"{peer[0]}", f"{peer[1]:.4f}", f"{seconds / peer[1]:.2f}"
                    print(
                        f"| {name} | {pattern.nnz} | {problem} | {order} | {coloring.num_colors} | {theirs} "
                        f"| {seconds:.4f} | {time_taken} | {ratio} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
