"""Interpolation: NumPy's and SciPy's interpolants at traced points, and linear interpolation of traced values."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.tape import Array
from sct_opt.tracing.array import traced
from sct_opt.tracing.base import builder_of, ids_of, implements
from sct_opt.tracing.blackbox import call_elementwise
from sct_opt.tracing.functions.algebra import plain
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.stand_ins import replaces, untraced
from sct_opt.tracing.ufuncs import as_traced, weighted_sum


@implements(np.interp)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    if period is not None:
        order = np.argsort(plain(xp) % period)
        base = np.asarray(plain(xp) % period)[order]
        values = np.asarray(fp)[order] if plain(fp) is not None else as_traced(fp)[order]
        base = np.concatenate([base[-1:] - period, base, base[:1] + period])
        return _interp(np.remainder(x, period), base, np.concatenate([values[-1:], values, values[:1]]))
    points, grid, values = plain(x), plain(xp), plain(fp)
    if grid is None:
        return _ramps(x, xp, fp, left, right)
    if points is not None:
        return _at_known_points(points, grid, fp, left, right)
    if values is None:
        hats = np.stack([_hat(x, grid, k) for k in range(grid.size)], axis=-1)
        result = np.sum(hats * as_traced(fp), axis=-1)
        return _beyond(result, x, grid, fp, left, right)
    (result,) = call_elementwise(
        "np.interp",
        [x],
        [lambda t: np.interp(t, grid, values)],
        [[lambda t: _slope(t, grid, values)]],
        [[[None]]],
    )
    return _beyond(result, x, grid, fp, left, right)


def _slope(t: Array, grid: Array, values: Array) -> Array:
    slopes = np.concatenate([[0.0], np.diff(values) / np.diff(grid), [0.0]])
    return np.asarray(slopes[np.searchsorted(grid, t, side="right")])


def _hat(x: Any, grid: Array, k: int) -> Any:
    unit = np.zeros(grid.size)
    unit[k] = 1.0
    return call_elementwise(
        "np.interp", [x], [lambda t: np.interp(t, grid, unit)], [[lambda t: _slope(t, grid, unit)]], [[[None]]]
    )[0]


def _beyond(result: Any, x: Any, xp: Any, fp: Any, left: Any, right: Any) -> Any:
    if left is not None:
        result = np.where(np.less(x, xp[0]), left, result)
    if right is not None:
        result = np.where(np.greater(x, xp[-1]), right, result)
    return result


def _at_known_points(points: Array, grid: Array, fp: Any, left: Any, right: Any) -> Any:
    builder = builder_of(fp, left, right)
    ids = ids_of(builder, fp)
    high = np.clip(np.searchsorted(grid, points, side="right"), 1, grid.size - 1)
    share = np.clip((points - grid[high - 1]) / (grid[high] - grid[high - 1]), 0.0, 1.0)
    out = weighted_sum(builder, np.stack([ids[high - 1], ids[high]], axis=-1), np.stack([1.0 - share, share], axis=-1))
    return _beyond(traced(builder, out), points, grid, fp, left, right)


def _ramps(x: Any, xp: Any, fp: Any, left: Any, right: Any) -> Any:
    """A traced grid: the first value and one ramp for each interval."""
    builder = builder_of(xp, x, fp)
    grid, values = as_traced(xp, builder), as_traced(fp, builder)
    widths = grid[1:] - grid[:-1]
    slopes = (values[1:] - values[:-1]) / widths
    climbed = np.clip(np.subtract(np.expand_dims(as_traced(x, builder), -1), grid[:-1]), 0.0, widths)
    return _beyond(values[0] + np.sum(slopes * climbed, axis=-1), x, grid, values, left, right)


# -- scipy.interpolate -------------------------------------------------------------------------------------------


def _spline(self: Any, x: Any, nu: int = 0, *args: Any, **kwargs: Any) -> Any:
    """A piecewise polynomial at traced points; its derivatives are those that SciPy computes."""
    evaluate = untraced(type(self), "__call__")
    sample = np.asarray(evaluate(self, 0.5 * (_start(self) + _end(self)), nu, *args, **kwargs))
    parts = sample.shape

    def at(order: int, k: int) -> Any:
        return lambda t: np.asarray(evaluate(self, t, nu + order, *args, **kwargs)).reshape(t.size, -1)[:, k]

    count = int(np.prod(parts, dtype=int))
    results = call_elementwise(
        f"scipy.interpolate.{type(self).__name__}",
        [x],
        [at(0, k) for k in range(count)],
        [[at(1, k)] for k in range(count)],
        [[[at(2, k)]] for k in range(count)],
    )
    if not parts:
        return results[0]
    stacked = np.stack(results, axis=-1)
    return np.reshape(stacked, np.shape(x) + parts)


def _start(spline: Any) -> float:
    return float(getattr(spline, "x", getattr(spline, "t", [0.0]))[0])


def _end(spline: Any) -> float:
    return float(getattr(spline, "x", getattr(spline, "t", [0.0]))[-1])


replaces("scipy.interpolate", "PPoly.__call__", "BSpline.__call__", "BPoly.__call__")(_spline)
replaces("scipy.interpolate._interpolate", "_PPolyBase.__call__")(_spline)


def _by_differences(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """An interpolant without derivatives of its own: differences within the interval."""
    evaluate = untraced(type(self), "__call__")

    def value(t: Array) -> Array:
        return np.asarray(evaluate(self, t, *args, **kwargs))

    def slope(t: Array) -> Array:
        step = 1e-7 * (1.0 + np.abs(t))
        return np.asarray((value(t + step) - value(t)) / step)

    linear = getattr(self, "_kind", None) in ("linear", "slinear", "nearest", "zero", "previous", "next")
    (result,) = call_elementwise(
        f"scipy.interpolate.{type(self).__name__}",
        [x],
        [value],
        [[slope if linear else "numerical"]],
        [[[None]]] if linear else None,
    )
    return result


replaces("scipy.interpolate._polyint", "_Interpolator1D.__call__")(_by_differences)


def _fitted(self: Any, x: Any, nu: int = 0, ext: Any = None) -> Any:
    evaluate = untraced(type(self), "__call__")
    (result,) = call_elementwise(
        f"scipy.interpolate.{type(self).__name__}",
        [x],
        [lambda t: evaluate(self, t, nu, ext)],
        [[lambda t: evaluate(self, t, nu + 1, ext)]],
        [[[lambda t: evaluate(self, t, nu + 2, ext)]]],
    )
    return result


replaces("scipy.interpolate", "UnivariateSpline.__call__")(_fitted)


def _grid(self: Any, xi: Any, method: Any = None, *, nu: Any = None) -> Any:
    evaluate = untraced(type(self), "__call__")
    parts = list(xi) if isinstance(xi, tuple) else list(np.moveaxis(as_traced(xi), -1, 0))
    linear = (method or self.method) in ("linear", "nearest")

    def value(*coordinates: Array) -> Array:
        return np.asarray(evaluate(self, np.stack(coordinates, axis=-1), method))

    def slope(k: int) -> Any:
        def partial(*coordinates: Array) -> Array:
            moved = list(coordinates)
            step = 1e-7 * (1.0 + np.abs(coordinates[k]))
            # to the side that stays inside the grid
            step = np.where(coordinates[k] + step > self.grid[k][-1], -step, step)
            moved[k] = coordinates[k] + step
            return np.asarray((value(*moved) - value(*coordinates)) / step)

        return partial

    n = len(parts)
    # Multilinear: linear in each coordinate, products across them.
    seconds = [[[None if j == k else "numerical" for k in range(j + 1)] for j in range(n)]] if linear else None
    (result,) = call_elementwise(
        "scipy.interpolate.RegularGridInterpolator",
        parts,
        [value],
        [[slope(k) if linear else "numerical" for k in range(n)]],
        seconds,
    )
    return result


replaces("scipy.interpolate", "RegularGridInterpolator.__call__")(_grid)


class SplineOfTraced:
    """A spline through traced values: linear in them, with the splines through unit vectors as coefficients.

    Args:
        basis: the interpolant of the identity matrix.
        values: traced values at the knots, first axis along the knots.
    """

    def __init__(self, basis: Any, values: Any) -> None:
        self.basis = basis
        self.values = values

    def __call__(self, x: Any, nu: int = 0, *args: Any, **kwargs: Any) -> Any:
        """The spline or a derivative of it, at constant or traced points."""
        evaluate = untraced(type(self.basis), "__call__")
        points = plain(x)
        weights = (
            _spline(self.basis, x, nu, *args, **kwargs)
            if points is None
            else evaluate(self.basis, points, nu, *args, **kwargs)
        )
        return np.tensordot(weights, self.values, axes=1)

    def derivative(self, nu: int = 1) -> SplineOfTraced:
        """Its derivative."""
        return SplineOfTraced(self.basis.derivative(nu), self.values)

    def antiderivative(self, nu: int = 1) -> SplineOfTraced:
        """Its antiderivative."""
        return SplineOfTraced(self.basis.antiderivative(nu), self.values)

    def integrate(self, a: Any, b: Any, **kwargs: Any) -> Any:
        """Its integral between constant or traced bounds."""
        whole = self.antiderivative()
        return whole(b) - whole(a)


def _through_traced(name: str) -> None:
    @replaces("scipy.interpolate", name)
    def make(x: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        import scipy.interpolate  # noqa: PLC0415 - loaded, the user calls it

        knots = plain(x)
        if knots is None or kwargs.get("axis", 0) != 0:
            raise unsupported(
                f"scipy.interpolate.{name} with traced knots or another axis", "move the axis to the front"
            )
        y = as_traced(y).copy()
        return SplineOfTraced(untraced(scipy.interpolate, name)(knots, np.eye(knots.size), *args, **kwargs), y)


for _name in ("CubicSpline", "make_interp_spline"):
    _through_traced(_name)


def _not_linear(name: str) -> None:
    @replaces("scipy.interpolate", name)
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise unsupported(
            f"scipy.interpolate.{name} through traced values",
            "use CubicSpline or make_interp_spline, which are linear in the values, or np.interp",
        )


for _name in ("PchipInterpolator", "Akima1DInterpolator", "interp1d", "UnivariateSpline", "RegularGridInterpolator"):
    _not_linear(_name)
