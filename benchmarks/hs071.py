"""Problem 71 of Hock and Schittkowski (1981): so small that only the overhead of a call shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from problem import Family, Problem, Variant

START = np.array([1.0, 5.0, 5.0, 1.0])


def objective(xp: Any, x: Any) -> Any:
    """The objective, for every contender."""
    return x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2]


def constraints(xp: Any, x: Any) -> Any:
    """The product and the sum of squares."""
    return xp.stack([x[0] * x[1] * x[2] * x[3], x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + x[3] ** 2])


def nlp() -> Any:
    """The problem in NumPy."""
    import sct_opt as so  # noqa: PLC0415

    return so.from_callables(
        lambda x: objective(np, x),
        START,
        lambda x: constraints(np, x),
        bounds=(1.0, 5.0),
        constraint_bounds=([25.0, 40.0], [np.inf, 40.0]),
    )


def casadi(kind: str) -> dict[str, Any]:
    """The problem in CasADi."""
    import casadi as ca  # noqa: PLC0415

    x = getattr(ca, kind).sym("x", 4)
    return {"x": x, "f": objective(None, x), "g": ca.vertcat(x[0] * x[1] * x[2] * x[3], ca.sumsqr(x))}


def poi() -> Any:
    """The problem in PyOptInterface."""
    import pyoptinterface as poi  # noqa: PLC0415
    from pyoptinterface import ipopt, nl  # noqa: PLC0415

    model = ipopt.Model()
    x = [model.add_variable(lb=1.0, ub=5.0, start=value) for value in START.tolist()]
    with nl.graph():
        model.add_nl_objective(objective(nl, x))
    with nl.graph():
        model.add_nl_constraint(x[0] * x[1] * x[2] * x[3], poi.Geq, 25.0)
    with nl.graph():
        model.add_nl_constraint(x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + x[3] ** 2, poi.Eq, 40.0)
    return model


def problem(size: int) -> Problem:
    """The problem; it has one size."""
    return Problem(
        "HS071",
        START,
        [
            Variant("sct_opt", "sct_opt", nlp),
            Variant("CasADi SX", "casadi", lambda: casadi("SX")),
            Variant("CasADi MX", "casadi", lambda: casadi("MX")),
            Variant("JAX + asdex", "jax", lambda: (objective, constraints)),
            Variant("PyOptInterface", "poi", poi),
        ],
        lower=1.0,
        upper=5.0,
        constraints_lower=np.array([25.0, 40.0]),
        constraints_upper=np.array([np.inf, 40.0]),
    )


FAMILY = Family(problem, size=4, quick=4)
