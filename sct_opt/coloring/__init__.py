"""Coloring of sparsity patterns: how few sweeps a sparse derivative costs.

`color` takes any sparse matrix; it returns a `ColoringResult` with the colors, seeds, compression and decompression.
"""

from sct_opt.coloring.interface import color
from sct_opt.coloring.result import ColoringResult

__all__ = ["ColoringResult", "color"]
