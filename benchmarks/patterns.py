"""Patterns that are hard on a detector: Hessians of long sums, convolutions, dense rows, bundle adjustment."""

from __future__ import annotations

from typing import Any

import numpy as np
from problem import Array, Family, Problem, Variant


def _hessian_variants(f: Any, n: int) -> list[Variant]:
    """Detecting the Hessian pattern of ``f(xp, x)``."""

    def traced() -> int:
        import sct_opt as so  # noqa: PLC0415

        return so.hessian_sparsity(lambda x: f(np, x), np.ones(n)).nnz

    def casadi(kind: str) -> int:
        import casadi as ca  # noqa: PLC0415
        from frontends import casadi_namespace  # noqa: PLC0415

        x = getattr(ca, kind).sym("x", n)
        gradient = ca.gradient(f(casadi_namespace(), x), x)
        return ca.Function("gradient", [x], [gradient]).jac_sparsity(0, 0).nnz()

    def asdex() -> int:
        import asdex  # noqa: PLC0415
        import jax.numpy as jnp  # noqa: PLC0415

        return asdex.hessian_sparsity(lambda x: f(jnp, x), jnp.ones(n)).nnz

    return [
        Variant("sct_opt", "sct_opt", lambda: traced),
        Variant("CasADi SX", "casadi", lambda: lambda: casadi("SX")),
        Variant("CasADi MX", "casadi", lambda: lambda: casadi("MX")),
        Variant("JAX + asdex", "jax", lambda: asdex),
    ]


def rosenbrock(n: int) -> Problem:
    """Hessian pattern of the chained Rosenbrock function."""

    def f(xp: Any, x: Any) -> Any:
        return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    return Problem(f"Rosenbrock Hessian pattern, n = {n:,}", np.ones(n), _hessian_variants(f, n), detection=True)


def sum_of_squares(n: int) -> Problem:
    """Hessian pattern of a sum of squares: linear, or quadratic where sets are carried through the sum."""

    def f(xp: Any, x: Any) -> Any:
        return xp.sum(x**2)

    return Problem(f"Sum of squares Hessian pattern, n = {n:,}", np.ones(n), _hessian_variants(f, n), detection=True)


def _traced_only(title: str, n: int, detect: Any) -> Problem:
    return Problem(title, np.ones(n), [Variant("sct_opt", "sct_opt", lambda: detect)], detection=True)


def arrow(n: int) -> Problem:
    """Hessian pattern of an arrow: every variable coupled with the first."""

    def f(xp: Any, x: Any) -> Any:
        return xp.sum((x[1:] - x[0]) ** 2 * x[0])

    return Problem(f"Arrow Hessian pattern, n = {n:,}", np.ones(n), _hessian_variants(f, n), detection=True)


def dense_rows(n: int) -> Problem:
    """Jacobian pattern of a band with five dense rows."""

    def f(x: Array) -> Any:
        dense = [np.sum(x ** (k + 2)) for k in range(5)]
        return np.concatenate([np.sin(x[1:]) * x[:-1], dense])

    def detect() -> int:
        import sct_opt as so  # noqa: PLC0415

        return so.jacobian_sparsity(f, np.ones(n)).nnz

    return _traced_only(f"Band and 5 dense rows, Jacobian pattern, n = {n:,}", n, detect)


def bundle_adjustment(n: int) -> Problem:
    """Hessian pattern of a bundle adjustment with about `n` variables: each point seen by four of n / 1000 cameras."""
    cameras = max(n // 1_000, 4)
    points = (n - 9 * cameras) // 3
    rng = np.random.default_rng(0)
    seen = rng.integers(cameras, size=4 * points)
    point = np.repeat(np.arange(points), 4)
    observed = rng.standard_normal((2, 4 * points))

    def f(x: Array) -> Any:
        camera, place = x[: 9 * cameras].reshape(cameras, 9)[seen].T, x[9 * cameras :].reshape(points, 3)[point].T
        r, t, focal, k1, k2 = camera[:3], camera[3:6], camera[6], camera[7], camera[8]
        turned = [
            place[0] + r[1] * place[2] - r[2] * place[1] + t[0],
            place[1] + r[2] * place[0] - r[0] * place[2] + t[1],
            place[2] + r[0] * place[1] - r[1] * place[0] + t[2],
        ]
        u, v = -turned[0] / turned[2], -turned[1] / turned[2]
        square = u * u + v * v
        scale = focal * (1.0 + k1 * square + k2 * square**2)
        return np.sum((scale * u - observed[0]) ** 2 + (scale * v - observed[1]) ** 2)

    def detect() -> int:
        import sct_opt as so  # noqa: PLC0415

        return so.hessian_sparsity(f, np.ones(9 * cameras + 3 * points)).nnz

    return _traced_only(f"Bundle adjustment Hessian pattern, n = {n:,}", n, detect)


def convolution(size: int) -> Problem:
    """Jacobian pattern of a convolution layer: an image of three channels, 3 x 3 filters to two channels."""
    weights = np.random.default_rng(0).standard_normal((2, 3, 3, 3))

    def layer(xp: Any, image: Any) -> Any:
        inner = size - 2
        result = 0.0
        for channel in range(3):
            for i in range(3):
                for j in range(3):
                    part = image[i : i + inner, j : j + inner, channel]
                    result = result + weights[:, channel, i, j][:, None, None] * part[None]
        return result

    def traced() -> int:
        import sct_opt as so  # noqa: PLC0415

        return so.jacobian_sparsity(lambda x: layer(np, x), np.ones((size, size, 3))).nnz

    def asdex() -> int:
        import asdex  # noqa: PLC0415
        import jax.numpy as jnp  # noqa: PLC0415

        return asdex.jacobian_sparsity(lambda x: layer(jnp, x), jnp.ones((size, size, 3))).nnz

    variants = [Variant("sct_opt", "sct_opt", lambda: traced), Variant("JAX + asdex", "jax", lambda: asdex)]
    return Problem(f"Convolution pattern, {size} x {size} x 3", np.ones(3 * size * size), variants, detection=True)


ROSENBROCK = Family(rosenbrock, size=100_000, quick=1_000, sizes=(10_000, 100_000, 1_000_000))
SUM_OF_SQUARES = Family(sum_of_squares, size=1_000_000, quick=1_000, sizes=(10_000, 100_000, 1_000_000))
ARROW = Family(arrow, size=100_000, quick=1_000, sizes=(10_000, 100_000, 1_000_000))
DENSE_ROWS = Family(dense_rows, size=100_000, quick=1_000, sizes=(10_000, 100_000, 1_000_000))
BUNDLE_ADJUSTMENT = Family(bundle_adjustment, size=100_000, quick=5_000, sizes=(10_000, 100_000, 1_000_000))
CONVOLUTION = Family(convolution, size=128, quick=28, sizes=(28, 64, 128, 256), what="pixels across")
