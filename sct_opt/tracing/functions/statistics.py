"""``scipy.stats`` distributions and ``scipy.spatial`` distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.tracing.base import builder_of, only_defaults
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.stand_ins import replaces
from sct_opt.tracing.ufuncs import as_traced


def _distribution(name: str, outside: tuple[float, float], density: bool, of_probability: bool = False) -> None:
    """A method of a continuous distribution, by the private method that SciPy computes it with inside the support.

    Args:
        name: the method.
        outside: values left and right of the support.
        density: the scale divides it, or its logarithm is subtracted.
        of_probability: the argument is a probability and the result is moved and scaled.
    """

    def apply(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        shapes, loc, scale = self._parse_args(*args, **kwargs)
        builder = builder_of(x, loc, scale, *shapes)
        inner: Callable[..., Any] = getattr(self, f"_{name}")
        if of_probability:
            return np.add(np.multiply(inner(as_traced(x, builder), *shapes), scale), loc)
        z = as_traced(np.divide(np.subtract(x, loc), scale), builder)
        low, high = self._get_support(*shapes)
        value = inner(z, *shapes)
        if density:
            value = value - np.log(scale) if name.startswith("log") else value / scale
        if np.isfinite(np.asarray(high, dtype=float)).all():
            value = np.where(np.greater(z, high), outside[1], value)
        if np.isfinite(np.asarray(low, dtype=float)).all():
            value = np.where(np.less(z, low), outside[0], value)
        return value

    replaces("scipy.stats", f"rv_continuous.{name}")(apply)


_INF = float("inf")
_distribution("pdf", (0.0, 0.0), density=True)
_distribution("logpdf", (-_INF, -_INF), density=True)
_distribution("cdf", (0.0, 1.0), density=False)
_distribution("logcdf", (-_INF, 0.0), density=False)
_distribution("sf", (1.0, 0.0), density=False)
_distribution("logsf", (0.0, -_INF), density=False)
_distribution("ppf", (0.0, 0.0), density=False, of_probability=True)
_distribution("isf", (0.0, 0.0), density=False, of_probability=True)

_METRICS: dict[str, Callable[[Any], Any]] = {
    "euclidean": lambda d: np.sqrt(np.sum(np.square(d), axis=-1)),
    "sqeuclidean": lambda d: np.sum(np.square(d), axis=-1),
    "cityblock": lambda d: np.sum(np.absolute(d), axis=-1),
    "chebyshev": lambda d: np.max(np.absolute(d), axis=-1),
}


def _metric(metric: Any) -> Callable[[Any], Any]:
    if metric not in _METRICS:
        raise unsupported(
            f"scipy.spatial.distance with metric={metric!r}",
            f"use one of {sorted(_METRICS)}, or write the distance with NumPy",
        )
    return _METRICS[metric]


@replaces("scipy.spatial.distance", "cdist")
def _cdist(a: Any, b: Any, metric: Any = "euclidean", **kwargs: Any) -> Any:
    only_defaults("scipy.spatial.distance.cdist", kwargs)
    builder = builder_of(a, b)
    return _metric(metric)(as_traced(a, builder)[:, None, :] - as_traced(b, builder)[None, :, :])


@replaces("scipy.spatial.distance", "pdist")
def _pdist(x: Any, metric: Any = "euclidean", **kwargs: Any) -> Any:
    only_defaults("scipy.spatial.distance.pdist", kwargs)
    x = as_traced(x)
    first, second = np.triu_indices(x.shape[0], 1)
    return _metric(metric)(x[first] - x[second])


@replaces("scipy._lib.array_api_extra", "apply_where")
def _apply_where(
    cond: Any,
    args: Any,
    f1: Callable[..., Any],
    f2: Any = None,
    /,
    *,
    fill_value: Any = None,
    kwargs: Any = None,
    xp: Any = None,
) -> Any:
    """What SciPy's densities choose their formulas with; both are traced."""
    operands = args if isinstance(args, (list, tuple)) else (args,)
    keywords = kwargs or {}
    otherwise = fill_value if f2 is None else f2(*operands, **keywords)
    return np.where(cond, f1(*operands, **keywords), otherwise)
