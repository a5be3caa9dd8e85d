"""A model in plain Python loops over ``x[i]``, the way people write them first: neighbours coupled within a band."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from problem import Array, Family, Problem, Variant

REACH = 7  # variables that a term may couple: i, ..., i + REACH - 1
STRIDE = 10  # variables per constraint


def pair(xp: Any, a: Any, b: Any) -> Any:
    """Cost of two neighbours."""
    return (a * b - 1.0) ** 2 + xp.cos(a - b)


def objective(xp: Any, x: Any, n: int) -> Any:
    """All pairs of neighbours, in a double loop."""
    total: Any = 0.0
    for i in range(n):
        for j in range(i + 1, min(i + REACH, n)):
            total = total + pair(xp, x[i], x[j])
    return total


def constraint(x: Any, k: int) -> Any:
    """One ball constraint."""
    radius: Any = 0.0
    for j in range(REACH):
        radius = radius + x[STRIDE * k + j] ** 2
    return radius


def constraints(x: Any, n: int) -> list[Any]:
    """The ball constraints, in a double loop."""
    return [constraint(x, k) for k in range(n // STRIDE)]


def start(n: int) -> Array:
    """Somewhere inside the balls."""
    return 0.5 + 0.1 * np.sin(np.arange(n))


def nlp(n: int) -> Any:
    """The problem as Python loops."""
    import sct_opt as so  # noqa: PLC0415

    return so.from_callables(
        lambda x: objective(np, x, n), start(n), lambda x: constraints(x, n), constraint_bounds=(-np.inf, 5.0)
    )


def casadi_loops(kind: str, n: int) -> dict[str, Any]:
    """The same loops in CasADi."""
    import casadi as ca  # noqa: PLC0415

    x = getattr(ca, kind).sym("x", n)
    return {"x": x, "f": objective(ca, x, n), "g": ca.vertcat(*constraints(x, n))}


def array_objective(xp: Any, x: Any, n: int) -> Any:
    """The objective by diagonals."""
    return sum(xp.sum(pair(xp, x[: n - shift], x[shift:])) for shift in range(1, REACH))


def casadi_arrays(n: int) -> dict[str, Any]:
    """The problem in CasADi's MX by diagonals, which its users must find themselves."""
    import casadi as ca  # noqa: PLC0415
    from frontends import casadi_namespace  # noqa: PLC0415

    x = ca.MX.sym("x", n)
    table = ca.reshape(x[: n // STRIDE * STRIDE], STRIDE, n // STRIDE)[:REACH, :]
    return {"x": x, "f": array_objective(casadi_namespace(), x, n), "g": ca.sum1(table**2).T}


def array_constraints(xp: Any, x: Any, n: int) -> Any:
    """The constraints by rows of a table."""
    return xp.sum(x[: n // STRIDE * STRIDE].reshape(n // STRIDE, STRIDE)[:, :REACH] ** 2, axis=1)


def poi(n: int) -> Any:
    """The problem in PyOptInterface, one graph per term."""
    from pyoptinterface import ipopt, nl  # noqa: PLC0415

    model = ipopt.Model()
    x = [model.add_variable(start=value) for value in start(n).tolist()]
    for i in range(n):
        for j in range(i + 1, min(i + REACH, n)):
            with nl.graph():
                model.add_nl_objective(pair(nl, x[i], x[j]))
    for k in range(n // STRIDE):
        with nl.graph():
            model.add_nl_constraint(
                sum((x[STRIDE * k + j] ** 2 for j in range(1, REACH)), x[STRIDE * k] ** 2), (-1e20, 5.0)
            )
    return model


def problem(n: int) -> Problem:
    """The problem with `n` variables."""
    return Problem(
        f"Scalar loops, n = {n:,}",
        start(n),
        [
            Variant("sct_opt, loops", "sct_opt", lambda: nlp(n), source="loop"),
            Variant("CasADi SX, loops", "casadi", lambda: casadi_loops("SX", n), source="loop"),
            Variant("CasADi MX, loops", "casadi", lambda: casadi_loops("MX", n), limit=1_000, source="loop"),
            Variant("CasADi MX, arrays", "casadi", lambda: casadi_arrays(n)),
            Variant(
                "JAX + asdex, arrays",
                "jax",
                lambda: (
                    functools.partial(_swapped, array_objective, n),
                    functools.partial(_swapped, array_constraints, n),
                ),
            ),
            Variant("PyOptInterface", "poi", lambda: poi(n), source="loop"),
        ],
        constraints_lower=-np.inf,
        constraints_upper=5.0,
    )


def _swapped(function: Any, n: int, xp: Any, x: Any) -> Any:
    return function(xp, x, n)


# -- tracing alone -----------------------------------------------------------------------------------------------------


def recurrence(xp: Any, x: Any, operations: int) -> list[Any]:
    """About `operations` scalar operations: five for each result."""
    return [x[i] * xp.sin(x[i + 1]) + (x[i + 2] - 2.0) / x[i] for i in range(operations // 5)]


def _traced(operations: int) -> int:
    import sct_opt as so  # noqa: PLC0415

    return so.jacobian_sparsity(lambda x: recurrence(np, x, operations), np.ones(operations // 5 + 2)).nnz


def _trace_only(operations: int) -> None:
    from sct_opt.tracing import trace_function  # noqa: PLC0415

    trace_function(lambda x: recurrence(np, x, operations), np.ones(operations // 5 + 2))


def _casadi_pattern(kind: str, operations: int, build_only: bool = False) -> int | None:
    import casadi as ca  # noqa: PLC0415

    x = getattr(ca, kind).sym("x", operations // 5 + 2)
    result = ca.vertcat(*recurrence(ca, x, operations))
    return None if build_only else ca.Function("f", [x], [result]).jac_sparsity(0, 0).nnz()


def detection(operations: int) -> Problem:
    """Tracing and detecting a scalar loop of so many operations."""
    return Problem(
        f"Scalar loop pattern, {operations:,} operations",
        np.ones(operations // 5 + 2),
        [
            Variant("sct_opt", "sct_opt", lambda: lambda: _traced(operations), source="loop"),
            Variant("sct_opt, trace only", "sct_opt", lambda: lambda: _trace_only(operations), source="loop"),
            Variant("CasADi SX", "casadi", lambda: lambda: _casadi_pattern("SX", operations), source="loop"),
            Variant(
                "CasADi SX, build only",
                "casadi",
                lambda: lambda: _casadi_pattern("SX", operations, True),
                source="loop",
            ),
            Variant("CasADi MX", "casadi", lambda: lambda: _casadi_pattern("MX", operations), source="loop"),
        ],
        detection=True,
    )


FAMILY = Family(problem, size=10_000, quick=200, sizes=(1_000, 10_000, 30_000), cold=10_000)
DETECTION = Family(detection, size=100_000, quick=1_000, sizes=(10_000, 100_000, 1_000_000), what="operations")
