"""Solve again and again: parameters change without tracing, detecting or coloring anything again."""

import numpy as np

import sct_opt as so


def objective(x, p):
    """A chain of springs between the wells of a double-well potential."""
    return p["stiffness"] * np.sum((x[1:] - x[:-1]) ** 2) + np.sum((x**2 - 1.0) ** 2) + (x[0] - p["target"]) ** 2


nlp = so.from_callables(
    objective, np.linspace(-1.0, 1.0, 100), bounds=(-2.0, 2.0), parameters={"stiffness": 5.0, "target": -1.0}
)
result = so.solve(nlp)
for target in (-1.5, -2.0, -2.5):
    nlp.parameters["target"] = target
    result = so.solve(nlp, x0=result.x)
    print(f"target {target}: f = {result.fun:.6f} after {result.nit} iterations")
