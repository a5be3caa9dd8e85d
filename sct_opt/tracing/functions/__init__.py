"""Implementations of NumPy's functions for traced arguments, one module per family; importing registers them."""

from sct_opt.tracing.functions import (
    algebra,
    calculus,
    creation,
    factorisation,
    fourier,
    interpolation,
    inverse,
    linalg,
    polynomial,
    reduction,
    scipy_linalg,
    selection,
    shape,
    signal,
    special,
    statistics,
)

__all__ = [
    "algebra",
    "calculus",
    "creation",
    "factorisation",
    "fourier",
    "interpolation",
    "inverse",
    "linalg",
    "polynomial",
    "reduction",
    "scipy_linalg",
    "selection",
    "shape",
    "signal",
    "special",
    "statistics",
]
