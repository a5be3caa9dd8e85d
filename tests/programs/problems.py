"""Tapes with repeated structure: Lukšan–Vlček, cart-pole by trapezoids and by Hermite–Simpson, a diffusion, a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.tape import Tape, TapeBuilder
from sct_opt.tracing import make_inputs, output_ids

Array = np.ndarray[Any, Any]


def traced(functions: list[Callable[[Any], Any]], x0: Array) -> Tape:
    builder = TapeBuilder()
    x = make_inputs(builder, x0)
    return builder.freeze(np.concatenate([np.ravel(output_ids(builder, f(x.copy()))) for f in functions]))


def luksan_vlcek(n: int) -> tuple[Tape, Array]:
    def objective(x: Any) -> Any:
        return np.sum(100 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1) ** 2)

    def constraints(x: Any) -> Any:
        a, b, c = x[:-2], x[1:-1], x[2:]
        return 3 * b**3 + 2 * c - 5 + np.sin(b - c) * np.sin(b + c) + 4 * b - a * np.exp(a - b) - 3

    x0 = np.where(np.arange(n) % 2 == 0, -1.2, 1.0) + 0.1 * np.sin(np.arange(n))
    return traced([objective, constraints], x0), x0


def luksan_vlcek_loop(n: int) -> tuple[Tape, Array]:
    def objective(x: Any) -> Any:
        total = 0.0
        for i in range(n - 1):
            total += 100 * (x[i] ** 2 - x[i + 1]) ** 2 + (x[i] - 1) ** 2
        return total

    def constraints(x: Any) -> list[Any]:
        rows = []
        for i in range(n - 2):
            a, b, c = x[i], x[i + 1], x[i + 2]
            rows.append(3 * b**3 + 2 * c - 5 + np.sin(b - c) * np.sin(b + c) + 4 * b - a * np.exp(a - b) - 3)
        return rows

    x0 = luksan_vlcek(n)[1]
    return traced([objective, constraints], x0), x0


def cart_pole(intervals: int, free_time: bool = False, hermite_simpson: bool = False) -> tuple[Tape, Array]:
    count = intervals + 1
    size = 5 * count + free_time
    x0 = 0.3 * np.random.default_rng(0).standard_normal(size)
    x0[-1] = 2.0

    def acceleration(angle: Any, speed: Any, force: Any) -> tuple[Any, Any]:
        s, c = np.sin(angle), np.cos(angle)
        mass = 1.0 + 0.3 * (1 - c * c)
        a = (0.15 * s * speed**2 + force + 2.943 * c * s) / mass
        b = -(0.15 * c * s * speed**2 + force * c + 12.753 * s) / (0.5 * mass)
        return a, b

    def parts(z: Any) -> tuple[Any, Any, Any]:
        step = (z[size - 1] if free_time else 2.0) / intervals
        return z[: 4 * count].reshape(count, 4), z[4 * count : 5 * count], step

    def defects(z: Any) -> Any:
        x, u, h = parts(z)
        slope = [x[:, 2], x[:, 3], *acceleration(x[:, 1], x[:, 3], u)]
        if not hermite_simpson:
            rows = [x[1:, k] - x[:-1, k] - 0.5 * h * (slope[k][1:] + slope[k][:-1]) for k in range(4)]
            return np.stack(rows, axis=1)
        middle = [0.5 * (x[1:, k] + x[:-1, k]) + h / 8 * (slope[k][:-1] - slope[k][1:]) for k in range(4)]
        inner = [middle[2], middle[3], *acceleration(middle[1], middle[3], 0.5 * (u[1:] + u[:-1]))]
        rows = [x[1:, k] - x[:-1, k] - h / 6 * (slope[k][1:] + 4 * inner[k] + slope[k][:-1]) for k in range(4)]
        return np.stack(rows, axis=1)

    def effort(z: Any) -> Any:
        _, u, h = parts(z)
        return 0.5 * h * np.sum(u[1:] ** 2 + u[:-1] ** 2)

    return traced([effort, defects], x0), x0


def diffusion(n: int) -> tuple[Tape, Array]:
    def residuals(z: Any) -> Any:
        u, v = z[: n * n].reshape(n, n), z[n * n :].reshape(n, n)

        def spread(w: Any) -> Any:
            return 10 * (np.roll(w, 1, 0) + np.roll(w, -1, 0) + np.roll(w, 1, 1) + np.roll(w, -1, 1) - 4 * w)

        reaction = u**2 * v
        return np.concatenate([(1 + reaction - 4.4 * u + spread(u)).ravel(), (3.4 * u - reaction + spread(v)).ravel()])

    x0 = np.random.default_rng(0).random(2 * n * n) + 0.5
    return traced([residuals], x0), x0
