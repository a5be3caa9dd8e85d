"""Timing of callables, and the comparison of a problem's contenders within one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from problem import Array, Problem

BY_HAND = ("numpy", "c", "differences")  # what was set up by a person has no time of set-up
ROUNDS = 3  # contenders take turns, so that none has the machine at its busiest to itself
PATIENCE = 20.0  # seconds of set-up beyond which once is enough


@dataclass
class Evaluators:
    """Derivatives of a problem as one contender computes them.

    Attributes:
        jacobian: evaluates the constraints' Jacobian at a point; what it returns is only timed.
        hessian: evaluates the Lagrangian's Hessian at a point and multipliers; None if the problem has no Hessian.
        jacobian_product: the Jacobian at a point times a vector, to compare contenders.
        hessian_product: the Hessian at a point and multipliers times a vector.
        constraint_order: the contender numbers the constraints in an order of its own.
        tolerance: relative difference from the reference that is allowed.
        facts: what else a table should tell.
    """

    jacobian: Callable[[Array], Any] | None = None
    hessian: Callable[[Array, Array], Any] | None = None
    jacobian_product: Callable[[Array, Array], Array] | None = None
    hessian_product: Callable[[Array, Array, Array], Array] | None = None
    constraint_order: bool = False
    tolerance: float = 1e-8
    facts: dict[str, Any] | None = None


def best_time(call: Callable[..., Any], x: Array, *args: Any, budget: float = 1.0, least: int = 3) -> float:
    """Shortest time of ``call(point, *args)`` at changing points near `x`, after one call to warm up."""
    rng = np.random.default_rng(0)
    call(x, *args)
    best, spent, count = np.inf, 0.0, 0
    while count < least or (spent < budget and count < 20_000):
        point = x * (1.0 + 1e-6 * rng.random())
        start = time.perf_counter()
        call(point, *args)
        seconds = time.perf_counter() - start
        best, spent, count = min(best, seconds), spent + seconds, count + 1
    return float(best)


def timed_builds(
    build: Callable[[], Any], budget: float, least: int = 2, patience: float = PATIENCE
) -> tuple[float, Any]:
    """Shortest time of `build`, the first call being there to warm up, and what it returned."""
    best, spent, count, built = np.inf, 0.0, 0, None
    while count < least or (spent < budget and count < 50):
        built = None  # frees the last one outside the timing
        start = time.perf_counter()
        built = build()
        seconds = time.perf_counter() - start
        best, spent, count = min(best, seconds), spent + seconds, count + 1
        if seconds > patience:
            break
    return best, built


def compare(problem: Problem, names: list[str], budget: float = 1.0) -> list[dict[str, Any]]:
    """Set up and time contenders in this process; check that they agree with the first.

    Args:
        problem: the problem.
        names: which of its variants.
        budget: seconds to spend on each timing.

    Returns:
        One row per variant: ``side``, ``peer``, and seconds ``set-up``, ``J`` and ``H``, or ``pattern``.

    Raises:
        ArithmeticError: if a contender computes something else.
    """
    return (_compare_detection if problem.detection else _compare_derivatives)(problem, names, budget)


def _compare_detection(problem: Problem, names: list[str], budget: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for turn in range(ROUNDS):
        for k, name in enumerate(names):
            variant = problem.variant(name)
            if turn and rows[k]["pattern"] > PATIENCE:
                continue
            seconds, nonzeros = timed_builds(variant.build(), budget / ROUNDS)
            if turn:
                rows[k]["pattern"] = min(rows[k]["pattern"], seconds)
                continue
            rows.append(
                {"side": name, "peer": variant.peer, "source": variant.source, "pattern": seconds, "nnz": nonzeros}
            )
            expected = rows[0]["nnz"]
            if nonzeros is not None and expected is not None and nonzeros != expected:
                rows[k]["note"] = f"{nonzeros:,} structural nonzeros, {names[0]} has {expected:,}"
    return rows


def _compare_derivatives(problem: Problem, names: list[str], budget: float) -> list[dict[str, Any]]:
    from sides import evaluators  # noqa: PLC0415 - it imports the contenders

    rng = np.random.default_rng(1)
    x = problem.x0 + 0.1 * rng.standard_normal(problem.x0.size)
    direction = rng.standard_normal(x.size)
    multipliers: Array | None = None
    reference: dict[str, Array] = {}
    rows: list[dict[str, Any]] = []
    timed: list[tuple[dict[str, Any], str, Callable[..., Any], tuple[Array, ...]]] = []
    for name in names:
        variant = problem.variant(name)
        # The first set-up of sct_opt may compile kernels that later ones find in the cache.
        patience = np.inf if variant.peer == "sct_opt" else PATIENCE
        seconds, side = timed_builds(
            lambda variant=variant: evaluators(variant, problem),
            budget,
            patience=patience,  # type: ignore[misc]
        )
        row: dict[str, Any] = {"side": name, "peer": variant.peer, "source": variant.source}
        if variant.peer not in BY_HAND:
            row["set-up"] = seconds
        row |= side.facts or {}
        if "Pyomo" in row.get("stages", {}):
            row["note"] = f"of its set-up, {row['stages']['Pyomo']:.2g} s are Pyomo building the model"
        order = slice(None)
        if side.jacobian_product is not None:
            product = side.jacobian_product(x, direction)
            if multipliers is None:
                multipliers = rng.standard_normal(product.size)
            elif side.constraint_order and "J" in reference:
                order = np.empty(product.size, dtype=int)
                order[np.argsort(reference["J"])] = np.argsort(product)
                product = product[order]
            _check(name, "J", product, reference, side.tolerance)
        if multipliers is None:
            multipliers = np.zeros(0)
        own = np.empty_like(multipliers)
        own[order] = multipliers
        if side.hessian_product is not None and problem.hessian:
            _check(name, "H", side.hessian_product(x, own, direction), reference, side.tolerance)
        rows.append(row)
        timed += [(row, "J", side.jacobian, ())] if side.jacobian is not None else []
        timed += [(row, "H", side.hessian, (own,))] if side.hessian is not None and problem.hessian else []
    for _ in range(ROUNDS):
        for row, metric, call, arguments in timed:
            row[metric] = min(row.get(metric, np.inf), best_time(call, x, *arguments, budget=budget / ROUNDS))
    return rows


def _check(name: str, what: str, product: Array, reference: dict[str, Array], tolerance: float) -> None:
    expected = reference.setdefault(what, product)
    difference = np.abs(product - expected).max(initial=0.0) / max(np.abs(expected).max(initial=0.0), 1e-300)
    if not difference <= tolerance:
        raise ArithmeticError(f"{name}: {what} times a vector differs from the reference by {difference:.1e} relative")
