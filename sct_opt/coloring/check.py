"""Verification of colorings, whoever made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring.graph import Ints
from sct_opt.errors import ColoringError

if TYPE_CHECKING:
    from sct_opt.coloring.result import ColoringResult

TOLERANCE = 1e-10  # relative error that substitution may have on random values between 1 and 2


def verify_coloring(coloring: ColoringResult, seed: int = 0) -> None:
    """Check that every entry can be recovered, by structure and by a round trip of random values.

    A one-sided coloring has to be structurally orthogonal (lines of one color share no crossing line); a symmetric or
    bidirectional one has to show every entry alone in some group (direct) or allow an order of substitution.

    Args:
        coloring: The coloring.
        seed: Seed of the random values.

    Raises:
        ColoringError: If an entry cannot be recovered; names the two columns or rows that clash.
    """
    pattern = coloring.pattern
    rows, cols = pattern.coo()
    if coloring.structure == "nonsymmetric" and coloring.partition != "bidirectional":
        if coloring.partition == "column":
            _require_orthogonal("column", "row", cols, rows, coloring.column_colors)
        else:
            _require_orthogonal("row", "column", rows, cols, coloring.row_colors)
    recovery = coloring.recovery  # raises if some entry is lost
    assert recovery.entry_colors.size == pattern.nnz

    values = np.random.default_rng(seed).uniform(1.0, 2.0, pattern.nnz)
    if coloring.structure == "symmetric":
        assert coloring.graph is not None
        values = np.maximum(values, values[coloring.graph.mirror])
    matrix = pattern.tocsr().astype(float)
    matrix.data[:] = values
    recovered = coloring.decompress_values(coloring.compress(matrix))
    allowed = 0.0 if coloring.decompression == "direct" else TOLERANCE
    error = np.abs(recovered - values) / values
    if error.max(initial=0.0) > allowed:
        worst = int(error.argmax())
        raise ColoringError(
            f"entry ({rows[worst]}, {cols[worst]}) comes back as {recovered[worst]} instead of {values[worst]}; "
            f"a relative error of {allowed} is allowed"
        )


def _require_orthogonal(
    what: str, crossing: str, lines: NDArray[np.signedinteger], crossed: NDArray[np.signedinteger], colors: Ints
) -> None:
    """Raise if two lines of one color have entries in the same crossing line, or a line with entries has no color."""
    bare = np.flatnonzero(colors[lines] < 0)
    if bare.size:
        raise ColoringError(f"{what} {lines[bare[0]]} has entries but no color")
    key = crossed.astype(np.int64) * (int(colors.max(initial=0)) + 1) + colors[lines]
    by_key = np.argsort(key, kind="stable")
    equal = np.flatnonzero(key[by_key[1:]] == key[by_key[:-1]])
    if equal.size:
        first, second = by_key[equal[0]], by_key[equal[0] + 1]
        raise ColoringError(
            f"{what}s {lines[first]} and {lines[second]} both have color {colors[lines[first]]} "
            f"and an entry in {crossing} {crossed[first]}"
        )
