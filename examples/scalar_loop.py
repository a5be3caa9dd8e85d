"""Unchanged loop code: a hanging cable of springs, written with buffers, `math` functions and in-place sums."""

import math

import numpy as np

import sct_opt as so

LINKS, STIFFNESS, WEIGHT, SPAN = 40, 50.0, 1.0, 3.0


def energy(z):
    nodes = np.zeros((LINKS + 1, 2))
    nodes[-1, 0] = SPAN
    nodes[1:-1] = z.reshape(LINKS - 1, 2)
    total = 0.0
    for k in range(LINKS):
        dx, dy = nodes[k + 1] - nodes[k]
        total += 0.5 * STIFFNESS * (math.sqrt(dx * dx + dy * dy) - SPAN / LINKS) ** 2
        total += 0.5 * WEIGHT * (nodes[k, 1] + nodes[k + 1, 1]) / LINKS
    return total


start = np.column_stack([np.linspace(0.0, SPAN, LINKS + 1)[1:-1], -0.1 * np.ones(LINKS - 1)]).ravel()
result = so.minimize(energy, start)
print(f"{result.message} energy {result.fun:.6f}, lowest point {result.x[1::2].min():.4f}")
