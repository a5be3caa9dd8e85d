"""Problem 5.1 of Lukšan and Vlček, *Sparse and partially separable test problems* (1999), in array slices."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from problem import Array, Family, Problem, Variant


def objective(xp: Any, x: Any) -> Any:
    """The chained Rosenbrock function."""
    return xp.sum(100.0 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1.0) ** 2)


def constraints(xp: Any, x: Any) -> Any:
    """One equality for each three variables in a row."""
    a, b, c = x[:-2], x[1:-1], x[2:]
    return 3.0 * b**3 + 2.0 * c - 5.0 + xp.sin(b - c) * xp.sin(b + c) + 4.0 * b - a * xp.exp(a - b) - 3.0


def start(n: int) -> Array:
    """The customary start."""
    return np.where(np.arange(n) % 2 == 0, -1.2, 1.0)


def nlp(n: int) -> Any:
    """The problem in NumPy slices."""
    import sct_opt as so  # noqa: PLC0415

    return so.from_callables(
        functools.partial(objective, np), start(n), functools.partial(constraints, np), constraint_bounds=(0.0, 0.0)
    )


def casadi(kind: str, n: int) -> dict[str, Any]:
    """The problem in CasADi's slices."""
    import casadi as ca  # noqa: PLC0415
    from frontends import casadi_namespace  # noqa: PLC0415

    x = getattr(ca, kind).sym("x", n)
    xp = casadi_namespace()
    return {"x": x, "f": objective(xp, x), "g": constraints(xp, x)}


def poi(n: int) -> Any:
    """The problem in PyOptInterface's scalars, one graph per term."""
    import pyoptinterface as poi  # noqa: PLC0415
    from pyoptinterface import ipopt, nl  # noqa: PLC0415

    model = ipopt.Model()
    x = [model.add_variable(start=value) for value in start(n).tolist()]
    for i in range(n - 1):
        with nl.graph():
            model.add_nl_objective(100.0 * (x[i] * x[i] - x[i + 1]) ** 2 + (x[i] - 1.0) ** 2)
    for i in range(n - 2):
        a, b, c = x[i : i + 3]
        with nl.graph():
            model.add_nl_constraint(
                3.0 * b**3 + 2.0 * c - 5.0 + nl.sin(b - c) * nl.sin(b + c) + 4.0 * b - a * nl.exp(a - b) - 3.0,
                poi.Eq,
                0.0,
            )
    return model


class ByHand:
    """cyipopt's callbacks with derivatives written by hand in NumPy."""

    def __init__(self, n: int) -> None:
        self.n, self.m = n, n - 2
        self.jacobian_entries = jacobian_entries(n)
        self.hessian_entries = hessian_entries(n)

    def objective(self, x: Array) -> float:
        """The objective."""
        return float(objective(np, x))

    def gradient(self, x: Array) -> Array:
        """Its gradient."""
        residual = x[:-1] ** 2 - x[1:]
        gradient = np.zeros(self.n)
        gradient[:-1] = 400.0 * residual * x[:-1] + 2.0 * (x[:-1] - 1.0)
        gradient[1:] -= 200.0 * residual
        return gradient

    def constraints(self, x: Array) -> Array:
        """The constraints."""
        return constraints(np, x)

    def jacobianstructure(self) -> tuple[Array, Array]:
        """Rows and columns of the Jacobian."""
        return self.jacobian_entries

    def jacobian(self, x: Array) -> Array:
        """Values of the Jacobian."""
        a, b, c = x[:-2], x[1:-1], x[2:]
        power = np.exp(a - b)
        first, second = np.cos(b - c) * np.sin(b + c), np.sin(b - c) * np.cos(b + c)
        values = np.empty((self.m, 3))
        values[:, 0] = -(1.0 + a) * power
        values[:, 1] = 9.0 * b**2 + first + second + 4.0 + a * power
        values[:, 2] = 2.0 - first + second
        return values.ravel()

    def hessianstructure(self) -> tuple[Array, Array]:
        """Rows and columns of the Hessian's lower triangle."""
        return self.hessian_entries

    def hessian(self, x: Array, lagrange: Array, obj_factor: float) -> Array:
        """Values of the Hessian."""
        a, b, c = x[:-2], x[1:-1], x[2:]
        power = lagrange * np.exp(a - b)
        both, neither = lagrange * np.cos(b - c) * np.cos(b + c), lagrange * np.sin(b - c) * np.sin(b + c)
        diagonal, below = np.zeros(self.n), obj_factor * -400.0 * x[:-1]
        diagonal[:-1] = obj_factor * (1200.0 * x[:-1] ** 2 - 400.0 * x[1:] + 2.0)
        diagonal[1:] += obj_factor * 200.0
        diagonal[:-2] -= (2.0 + a) * power
        below[:-1] += (1.0 + a) * power
        diagonal[1:-1] += 18.0 * lagrange * b + 2.0 * (both - neither) - a * power
        diagonal[2:] -= 2.0 * (both + neither)
        values = np.empty(2 * self.n - 1)
        values[::2], values[1::2] = diagonal, below
        return values


def jacobian_entries(n: int) -> tuple[Array, Array]:
    """Rows and columns of the Jacobian."""
    rows = np.repeat(np.arange(n - 2), 3)
    return rows, rows + np.tile([0, 1, 2], n - 2)


def hessian_entries(n: int) -> tuple[Array, Array]:
    """Rows and columns of the Hessian's lower triangle."""
    rows = (np.arange(2 * n - 1) + 1) // 2
    return rows, np.arange(2 * n - 1) // 2


def _differences(n: int) -> tuple[Any, Any]:
    import scipy.sparse as sp  # noqa: PLC0415

    entries = jacobian_entries(n)
    return functools.partial(constraints, np), sp.coo_array((np.ones(entries[0].size), entries), shape=(n - 2, n))


def problem(n: int) -> Problem:
    """The problem with `n` variables."""

    def c(*flags: str) -> tuple[Any, ...]:
        return "luksan_vlcek", flags, n, jacobian_entries(n), hessian_entries(n)

    return Problem(
        f"Lukšan–Vlček, n = {n:,}",
        start(n),
        [
            Variant("sct_opt", "sct_opt", lambda: nlp(n)),
            Variant("CasADi SX", "casadi", lambda: casadi("SX", n), limit=20_000),
            Variant("CasADi MX", "casadi", lambda: casadi("MX", n)),
            Variant("JAX + asdex", "jax", lambda: (objective, constraints)),
            Variant("PyOptInterface", "poi", lambda: poi(n), source="loop"),
            Variant("NumPy by hand", "numpy", lambda: ByHand(n)),
            Variant("NumPy differences", "differences", lambda: _differences(n)),
            Variant("C by hand", "c", c),
            Variant("C by hand, libmvec", "c", lambda: c("-ffast-math")),
        ],
    )


FAMILY = Family(problem, size=100_000, quick=1_000, sizes=(1_000, 10_000, 100_000, 1_000_000), cold=100_000)
