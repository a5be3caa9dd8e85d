"""Kernels that find entries to which instances of several parts add."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel

Array = np.ndarray[Any, Any]

SEVERAL = -1


@kernel
def claim(positions: Array, nowhere: int, cuts: Array, owner: Array) -> None:
    """Note which part adds to each position: the part's number from 1 on, or ``SEVERAL``.

    Part ``p`` has the instances ``cuts[p] … cuts[p + 1] - 1``; ``owner`` comes zeroed.
    """
    for e in range(positions.shape[0]):
        for p in range(cuts.size - 1):
            for k in range(cuts[p], cuts[p + 1]):
                q = positions[e, k]
                if q == nowhere or owner[q] == p + 1:
                    continue
                owner[q] = p + 1 if owner[q] == 0 else SEVERAL


@kernel
def seams(positions: Array, nowhere: int, cuts: Array, owner: Array, begin: Array, end: Array) -> None:
    """Widen the seams so that they hold all instances that add to a position of several parts.

    An instance goes to the nearer end of its part; the seam there becomes ``begin[j] … end[j] - 1``.
    """
    for e in range(positions.shape[0]):
        for p in range(cuts.size - 1):
            for k in range(cuts[p], cuts[p + 1]):
                q = positions[e, k]
                if q != nowhere and owner[q] == SEVERAL:
                    j = p if 2 * k < cuts[p] + cuts[p + 1] else p + 1
                    begin[j] = min(begin[j], k)
                    end[j] = max(end[j], k + 1)
