"""The Brusselator: two species reacting and diffusing on a periodic square; Jacobian of its right-hand side."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from problem import Array, Family, Problem, Variant

ALPHA, A, B = 10.0, 3.4, 1.0


def _bump(size: int) -> Array:
    grid = np.linspace(0.0, 1.0, size)
    return np.where((grid[:, None] - 0.3) ** 2 + (grid - 0.6) ** 2 <= 0.01, 5.0, 0.0)


def right_hand_side(size: int, xp: Any, x: Any) -> Any:
    """Rates of both species, each a square, one after the other."""
    u, v = x.reshape(2, size, size)
    diffusion = ALPHA * (size - 1) ** 2

    def laplacian(c: Any) -> Any:
        return xp.roll(c, 1, 0) + xp.roll(c, -1, 0) + xp.roll(c, 1, 1) + xp.roll(c, -1, 1) - 4.0 * c

    product = u**2 * v
    du = B + product - (A + 1.0) * u + diffusion * laplacian(u) + _bump(size)
    dv = A * u - product + diffusion * laplacian(v)
    return xp.stack([du, dv]).ravel()


def casadi_function(kind: str, size: int) -> tuple[Any, Any]:
    """Input and rates in CasADi, the squares transposed to its column-major order."""
    import casadi as ca  # noqa: PLC0415

    x = getattr(ca, kind).sym("x", 2 * size * size)
    u = ca.reshape(x[: size * size], size, size).T
    v = ca.reshape(x[size * size :], size, size).T
    diffusion = ALPHA * (size - 1) ** 2

    def laplacian(c: Any) -> Any:
        down, up = ca.vertcat(c[-1, :], c[:-1, :]), ca.vertcat(c[1:, :], c[0, :])
        right, left = ca.horzcat(c[:, -1], c[:, :-1]), ca.horzcat(c[:, 1:], c[:, 0])
        return down + up + right + left - 4.0 * c

    product = u**2 * v
    du = B + product - (A + 1.0) * u + diffusion * laplacian(u) + _bump(size)
    dv = A * u - product + diffusion * laplacian(v)
    return x, ca.vertcat(ca.vec(du.T), ca.vec(dv.T))


def start(size: int) -> Array:
    """The customary initial state."""
    grid = np.linspace(0.0, 1.0, size)
    u = np.tile(22.0 * (grid * (1.0 - grid)) ** 1.5, (size, 1))
    v = np.tile(27.0 * (grid * (1.0 - grid)) ** 1.5, (size, 1)).T
    return np.concatenate([u.ravel(), v.ravel()])


def nlp(size: int) -> Any:
    """The steady state as a feasibility problem, so that the Jacobian is evaluated as IPOPT would."""
    import sct_opt as so  # noqa: PLC0415

    return so.from_callables(
        lambda x: 0.0, start(size), functools.partial(right_hand_side, size, np), constraint_bounds=(0.0, 0.0)
    )


def _casadi(kind: str, size: int) -> dict[str, Any]:
    x, rates = casadi_function(kind, size)
    return {"x": x, "f": 0, "g": rates}


def poi(size: int) -> Any:
    """The steady state in PyOptInterface, one graph per cell."""
    import pyoptinterface as poi  # noqa: PLC0415
    from pyoptinterface import ipopt, nl  # noqa: PLC0415

    model = ipopt.Model()
    x = [model.add_variable(start=value) for value in start(size).tolist()]
    bump, cells, diffusion = _bump(size), size * size, ALPHA * (size - 1) ** 2
    for species in range(2):
        for i in range(size):
            for j in range(size):
                here = i * size + j
                neighbours = [
                    (i - 1) % size * size + j,
                    (i + 1) % size * size + j,
                    i * size + (j - 1) % size,
                    i * size + (j + 1) % size,
                ]
                u, v = x[here], x[cells + here]
                a, b, c, d = (x[species * cells + k] for k in neighbours)
                with nl.graph():
                    spread = diffusion * (a + b + c + d - 4.0 * (v if species else u))
                    if species:
                        rate = A * u - u * u * v + spread
                    else:
                        rate = B + u * u * v - (A + 1.0) * u + spread + float(bump[i, j])
                    model.add_nl_constraint(rate, poi.Eq, 0.0)
    return model


def _entries(size: int) -> tuple[Array, Array]:
    cells = size * size
    grid = np.arange(cells).reshape(size, size)
    shifted = [np.roll(grid, shift, axis) for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1))]
    own = np.stack([grid, *shifted], axis=-1).reshape(cells, 5)
    u = np.column_stack([own, grid.ravel() + cells])
    v = np.column_stack([own + cells, grid.ravel()])
    return np.repeat(np.arange(2 * cells), 6), np.concatenate([u, v]).ravel()


def _differences(size: int) -> tuple[Any, Any]:
    import scipy.sparse as sp  # noqa: PLC0415

    rows, cols = _entries(size)
    pattern = sp.coo_array((np.ones(rows.size), (rows, cols)), shape=(2 * size**2, 2 * size**2))
    return functools.partial(right_hand_side, size, np), pattern


def problem(size: int) -> Problem:
    """The problem on `size` times `size` cells."""
    rates = functools.partial(right_hand_side, size)
    return Problem(
        f"Brusselator, N = {size}",
        start(size),
        [
            Variant("sct_opt", "sct_opt", lambda: nlp(size)),
            Variant("CasADi SX", "casadi", lambda: _casadi("SX", size)),
            Variant("CasADi MX", "casadi", lambda: _casadi("MX", size)),
            Variant("JAX + asdex", "jax", lambda: (None, rates)),
            Variant("PyOptInterface", "poi", lambda: poi(size), source="loop"),
            Variant("NumPy differences", "differences", lambda: _differences(size)),
            Variant("C by hand", "c", lambda: ("brusselator", (), size, _entries(size), _entries(0))),
        ],
        hessian=False,
    )


def _traced(size: int) -> int:
    import sct_opt as so  # noqa: PLC0415

    return so.jacobian_sparsity(functools.partial(right_hand_side, size, np), np.zeros(2 * size * size)).nnz


def _casadi_pattern(kind: str, size: int) -> int:
    import casadi as ca  # noqa: PLC0415

    x, rates = casadi_function(kind, size)
    return ca.Function("f", [x], [rates]).jac_sparsity(0, 0).nnz()


def _asdex_pattern(size: int) -> int:
    import asdex  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415

    return asdex.jacobian_sparsity(functools.partial(right_hand_side, size, jnp), jnp.zeros(2 * size * size)).nnz


def detection(size: int) -> Problem:
    """Detecting the Jacobian's pattern, from the function to the pattern."""
    return Problem(
        f"Brusselator pattern, N = {size}",
        start(size),
        [
            Variant("sct_opt", "sct_opt", lambda: lambda: _traced(size)),
            Variant("CasADi SX", "casadi", lambda: lambda: _casadi_pattern("SX", size)),
            Variant("CasADi MX", "casadi", lambda: lambda: _casadi_pattern("MX", size)),
            Variant("JAX + asdex", "jax", lambda: lambda: _asdex_pattern(size)),
        ],
        detection=True,
    )


FAMILY = Family(problem, size=300, quick=12, sizes=(50, 100, 300), what="N")
DETECTION = Family(detection, size=192, quick=12, sizes=(96, 192, 500, 1_000), what="N")
