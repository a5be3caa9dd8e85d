"""Which instances of kernels may run at the same time.

Where an instance is the only source of an entry it stores, and it does not matter who runs beside it.  Entries that several
instances add to are what threads must not share.  So the instances of each kernel are cut into parts of one length, and those
that add to an entry of another part run when all parts are done: the seams.  In models over time or space these are a
handful beside each cut; where they are more nothing runs at the same time.  Which sum is taken in which order depends on the
cuts alone, so results are reproducible.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sct_opt.programs import parallel_kernels

Array = np.ndarray[Any, Any]

WORTH_A_THREAD = 500_000
"""Work per evaluation that each thread must have: 100 to 170 us; below twice that, starting a thread and the other core's
caches eat up the gain."""

MAX_THREADS = 8
MAX_SEAM = 0.1
"""Share of the work that may be left to seams."""

LIGHT = 0.01
"""Share of the work up to which a kernel is not worth cutting."""

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Adds:
    """What a kernel adds to.

    Attributes:
        instances: number of instances.
        width: instances that are evaluated together.
        work: instructions per evaluation.
        positions: where they add to, one row per result and one column per instance.
        nowhere: the position that stands for nothing.
        total: whether all instances add to one position.
    """

    instances: int
    width: int
    work: int
    positions: Array
    nowhere: int
    total: bool


def available() -> int:
    """Threads that evaluations may use: ``SCT_OPT_NUM_THREADS``, or as many as there are processors for this process."""
    chosen = os.environ.get("SCT_OPT_NUM_THREADS", "")
    if chosen.isdigit() and int(chosen) > 0:
        return int(chosen)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def schedule(kernels: Sequence[Adds], threads: int) -> tuple[list[list[Range]], list[list[Range]]] | None:
    """Ranges of instances that can run at the same time, and what has to run after them.

    Args:
        kernels: what they add to.
        threads: how many at most.

    Returns:
        For each part the ranges of all kernels, and for each kernel the ranges of its seams; None if one thread does best.

    >>> first = np.arange(64, dtype=np.int32)
    >>> schedule([Adds(64, 2, 10**6, np.array([first, first + 1]), 65, False)], 2)
    ([[(0, 30)], [(34, 64)]], [[(30, 34)]])
    """
    work = sum(kernel.work for kernel in kernels)
    parts = min(threads, MAX_THREADS, work // WORTH_A_THREAD)
    if parts < 2 or any(kernel.total for kernel in kernels):
        return None
    chosen: list[Adds] = []
    found: list[list[Range]] = []
    after = 0
    tried_work = 0.0
    for kernel in sorted(kernels, key=lambda kernel: -kernel.work):
        # A light kernel whose instances come in another order would make seams of the heavy ones: it runs after them.
        tried = _cut([*chosen, kernel], parts) if kernel.work > LIGHT * work or kernel.positions.size == 0 else None
        if tried is not None and tried[1] + after <= MAX_SEAM * work:
            chosen, (found, tried_work) = [*chosen, kernel], tried
        else:
            after += kernel.work
            if after > MAX_SEAM * work:
                return None
    if not chosen or tried_work + after > MAX_SEAM * work:
        return None
    place = {id(kernel): k for k, kernel in enumerate(chosen)}
    ranges: list[list[Range]] = [[] for _ in range(parts)]
    seams: list[list[Range]] = []
    for kernel in kernels:
        bounds = found[place[id(kernel)]] if id(kernel) in place else None
        for part in range(parts):
            ranges[part].append((0, 0) if bounds is None else bounds[part])
        seams.append([(0, kernel.instances)] if bounds is None else _between(bounds, kernel.instances))
    return ranges, seams


def _cut(kernels: Sequence[Adds], parts: int) -> tuple[list[list[Range]], float] | None:
    """Each kernel's range in each part, and the work that is left to seams; None if parts would overlap."""
    cuts = [
        np.array(
            [kernel.instances * j // parts // kernel.width * kernel.width for j in range(parts)] + [kernel.instances]
        )
        for kernel in kernels
    ]
    owner = np.zeros(max(kernel.nowhere for kernel in kernels) + 1, dtype=np.int8)
    for kernel, own in zip(kernels, cuts, strict=True):
        parallel_kernels.claim(kernel.positions, kernel.nowhere, own, owner)
    found: list[list[Range]] = []
    left_over = 0.0
    for kernel, own in zip(kernels, cuts, strict=True):
        count, width = kernel.instances, kernel.width
        begin, end = own.copy(), own.copy()
        parallel_kernels.seams(kernel.positions, kernel.nowhere, own, owner, begin, end)
        # Vectors at the end of a range reach back where its length is no multiple of their width: not into another part.
        reaches_end = begin[-1] < count
        begin, end = begin // width * width, np.minimum(-(-end // width) * width, count)
        if count - end[-2] < width:
            begin[-1] = end[-2]
        elif not reaches_end:
            begin[-1] = count
        if (begin[1:] < end[:-1]).any():
            return None
        found.append([(int(start), int(stop)) for start, stop in zip(end[:-1], begin[1:], strict=True)])
        left_over += kernel.work * (1.0 - float((begin[1:] - end[:-1]).sum()) / count)
    return found, left_over


def _between(bounds: list[Range], count: int) -> list[Range]:
    """What is in none of the ranges."""
    edges = [0, *(edge for bound in bounds for edge in bound), count]
    return [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]
