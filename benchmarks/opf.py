"""AC optimal power flow in polar coordinates, as the rosetta-opf comparison formulates it.

Data are the MATPOWER files of PGLib-OPF (https://github.com/power-grid-lib/pglib-opf), read from the directory that
``--data`` or the environment variable PGLIB names.  The variables are angles, magnitudes, active and reactive
generation, active and reactive flow at the first and at the second end of each branch.
"""

from __future__ import annotations

import functools
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from frontends import nlp_of_pyomo
from problem import Array, Family, Problem, Variant


@dataclass(frozen=True)
class Network:
    """A case in per unit; indices count from 0.

    Attributes:
        reference: index of the reference bus.
        demand: active and reactive demand of each bus.
        shunt: conductance and susceptance of each bus.
        magnitude: bounds of each bus's voltage magnitude.
        generator_bus: bus of each generator.
        active: bounds of each generator's active power.
        reactive: bounds of each generator's reactive power.
        cost: quadratic, linear and constant coefficient of each generator.
        first: first bus of each branch.
        second: second bus of each branch.
        rating: largest apparent power of each branch.
        angle: bounds of each branch's angle difference.
        own_first: (active, reactive) coefficient of the squared magnitude at the first end.
        own_second: the same at the second end.
        cross_first: coefficients of product times cosine and product times sine at the first end.
        cross_second: the same at the second end.
    """

    reference: int
    demand: Array
    shunt: Array
    magnitude: Array
    generator_bus: Array
    active: Array
    reactive: Array
    cost: Array
    first: Array
    second: Array
    rating: Array
    angle: Array
    own_first: Array
    own_second: Array
    cross_first: Array
    cross_second: Array

    @functools.cached_property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of buses, generators and branches."""
        return self.demand.shape[1], self.generator_bus.size, self.first.size

    @functools.cached_property
    def incidence(self) -> tuple[Any, Any, Any]:
        """Sparse 0/1 matrices: generators at buses, first ends at buses, second ends at buses."""
        import scipy.sparse as sp  # noqa: PLC0415

        buses = self.sizes[0]

        def at(where: Array) -> Any:
            return sp.csr_array((np.ones(where.size), (where, np.arange(where.size))), shape=(buses, where.size))

        return at(self.generator_bus), at(self.first), at(self.second)


Network.__hash__ = object.__hash__  # type: ignore[method-assign] # networks are cached by identity


@functools.cache
def network(buses: int) -> Network:
    """Read the case with so many buses.

    Args:
        buses: as in the file's name.

    Returns:
        The network.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    folder = os.environ.get("PGLIB")
    found = sorted(Path(folder).glob(f"pglib_opf_case{buses}_*.m")) if folder else []
    if not found:
        raise FileNotFoundError(f"no PGLib-OPF case with {buses} buses: name their directory with --data or PGLIB")
    text = found[0].read_text()
    base = float(re.search(r"mpc\.baseMVA\s*=\s*([\d.]+)", text)[1])  # type: ignore[index]
    bus, generator, costs, branch = (_table(text, name) for name in ("bus", "gen", "gencost", "branch"))
    in_service = generator[:, 7] > 0
    generator, costs, branch = generator[in_service], costs[in_service], branch[branch[:, 10] > 0]
    place = {int(number): k for k, number in enumerate(bus[:, 0])}
    index = np.vectorize(place.__getitem__, otypes=[int])
    y = 1.0 / (branch[:, 2] + 1j * branch[:, 3])
    g, b, charging = y.real, y.imag, 0.5 * branch[:, 4]
    tap = np.where(branch[:, 8] == 0.0, 1.0, branch[:, 8])
    shift = np.deg2rad(branch[:, 9])
    tr, ti, squared = tap * np.cos(shift), tap * np.sin(shift), tap**2
    # Cosine's coefficient in the active flow is minus the sine's in the reactive flow, and the other way round.
    return Network(
        reference=int(np.flatnonzero(bus[:, 1] == 3)[0]),
        demand=bus[:, 2:4].T / base,
        shunt=bus[:, 4:6].T / base,
        magnitude=bus[:, [12, 11]].T,
        generator_bus=index(generator[:, 0]),
        active=generator[:, [9, 8]].T / base,
        reactive=generator[:, [4, 3]].T / base,
        cost=costs[:, 4:7].T * np.array([[base**2], [base], [1.0]]),
        first=index(branch[:, 0]),
        second=index(branch[:, 1]),
        rating=branch[:, 5] / base,
        angle=np.deg2rad(branch[:, 11:13].T),
        own_first=np.array([g / squared, -(b + charging) / squared]),
        own_second=np.array([g, -(b + charging)]),
        cross_first=np.array([(-g * tr + b * ti) / squared, (-b * tr - g * ti) / squared]),
        cross_second=np.array([(-g * tr - b * ti) / squared, (-b * tr + g * ti) / squared]),
    )


def _table(text: str, name: str) -> Array:
    body = re.search(rf"mpc\.{name}\s*=\s*\[(.*?)\];", text, re.DOTALL)[1]  # type: ignore[index]
    rows = [line.partition("%")[0].replace(";", " ").split() for line in body.splitlines()]
    return np.array([[float(entry) for entry in row] for row in rows if row])


def start(case: Network) -> Array:
    """Flat start."""
    buses, generators, branches = case.sizes
    return np.concatenate([np.zeros(buses), np.ones(buses), np.zeros(2 * generators + 4 * branches)])


def bounds(case: Network) -> tuple[Array, Array, Array, Array]:
    """Bounds of variables and of constraints."""
    buses, _, branches = case.sizes
    free, flow = np.full(buses, np.inf), np.tile(case.rating, 4)
    lower = np.concatenate([-free, case.magnitude[0], case.active[0], case.reactive[0], -flow])
    upper = np.concatenate([free, case.magnitude[1], case.active[1], case.reactive[1], flow])
    equalities = np.zeros(1 + 2 * buses + 4 * branches)
    below = np.concatenate([equalities, case.angle[0], np.full(2 * branches, -np.inf)])
    above = np.concatenate([equalities, case.angle[1], np.tile(case.rating**2, 2)])
    return lower, upper, below, above


# -- array-coded -------------------------------------------------------------------------------------------------------


def split(case: Network, x: Any) -> list[Any]:
    """Angles, magnitudes, generation (active, reactive), active flows (first, second), reactive flows."""
    buses, generators, branches = case.sizes
    widths = [buses, buses, generators, generators, branches, branches, branches, branches]
    ends = np.cumsum(widths).tolist()
    return [x[end - width : end] for width, end in zip(widths, ends, strict=True)]


def objective(case: Network, xp: Any, x: Any) -> Any:
    """Cost of the active generation."""
    pg = split(case, x)[2]
    return xp.sum(case.cost[0] * pg**2 + case.cost[1] * pg + case.cost[2])


def constraints(case: Network, xp: Any, x: Any, gather: Any = None, product: Any = None) -> Any:
    """Reference angle, balances, flows, angle differences, ratings.

    Args:
        case: the network.
        xp: NumPy or what stands in for it.
        x: the variables.
        gather: takes entries of a vector; indexing by default.
        product: constant sparse matrix times vector; the operator by default.
    """
    gather = gather or (lambda vector, index: vector[index])
    product = product or (lambda matrix, vector: matrix @ vector)
    va, vm, pg, qg, p1, p2, q1, q2 = split(case, x)
    generators, firsts, seconds = case.incidence
    v1, v2 = gather(vm, case.first), gather(vm, case.second)
    difference = gather(va, case.first) - gather(va, case.second)
    cosine, sine = v1 * v2 * xp.cos(difference), v1 * v2 * xp.sin(difference)
    a1, b1 = case.cross_first
    a2, b2 = case.cross_second
    return xp.concatenate(
        [
            va[case.reference : case.reference + 1],
            product(firsts, p1)
            + product(seconds, p2)
            - product(generators, pg)
            + case.demand[0]
            + case.shunt[0] * vm**2,
            product(firsts, q1)
            + product(seconds, q2)
            - product(generators, qg)
            + case.demand[1]
            - case.shunt[1] * vm**2,
            p1 - case.own_first[0] * v1**2 - a1 * cosine - b1 * sine,
            q1 - case.own_first[1] * v1**2 + b1 * cosine - a1 * sine,
            p2 - case.own_second[0] * v2**2 - a2 * cosine + b2 * sine,
            q2 - case.own_second[1] * v2**2 + b2 * cosine + a2 * sine,
            difference,
            p1**2 + q1**2,
            p2**2 + q2**2,
        ]
    )


def nlp(case: Network) -> Any:
    """The problem in NumPy."""
    import sct_opt as so  # noqa: PLC0415

    lower, upper, below, above = bounds(case)
    return so.from_callables(
        functools.partial(objective, case, np),
        start(case),
        functools.partial(constraints, case, np),
        bounds=(lower, upper),
        constraint_bounds=(below, above),
    )


def casadi(kind: str, case: Network) -> dict[str, Any]:
    """The problem in CasADi's vectors."""
    import casadi as ca  # noqa: PLC0415
    from frontends import casadi_namespace  # noqa: PLC0415

    x, xp = getattr(ca, kind).sym("x", start(case).size), casadi_namespace()
    g = constraints(
        case,
        xp,
        x,
        gather=lambda vector, index: vector[index.tolist()],
        product=lambda matrix, vector: ca.mtimes(ca.DM(matrix.tocsc()), vector),
    )
    return {"x": x, "f": objective(case, xp, x), "g": g}


def jax_functions(case: Network) -> tuple[Any, Any]:
    """The problem for JAX, with sums over incident branches as scatters."""

    def product(matrix: Any, vector: Any) -> Any:
        import jax.numpy as jnp  # noqa: PLC0415

        rows = matrix.tocoo()
        return jnp.zeros(matrix.shape[0]).at[rows.row].add(vector[rows.col])

    return functools.partial(objective, case), functools.partial(constraints, case, product=product)


# -- loop-coded --------------------------------------------------------------------------------------------------------


def incident(case: Network) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
    """Generators, first ends and second ends at each bus."""
    lists: tuple[list[list[int]], ...] = tuple([[] for _ in range(case.sizes[0])] for _ in range(3))
    for at, where in zip(lists, (case.generator_bus, case.first, case.second), strict=True):
        for k, bus in enumerate(where.tolist()):
            at[bus].append(k)
    return lists[0], lists[1], lists[2]


def flow(case: Network, xp: Any, k: int, which: int, v1: Any, v2: Any, difference: Any) -> Any:
    """Active or reactive flow at an end of branch `k`: active first, reactive first, active second, reactive second."""
    second, reactive = divmod(which, 2)
    own = float((case.own_second if second else case.own_first)[reactive, k])
    a, b = (case.cross_second if second else case.cross_first)[:, k].tolist()
    if reactive:
        a, b = -b, a
    if second:
        b = -b  # the sine is that of the opposite difference
    return own * (v2 if second else v1) ** 2 + a * (v1 * v2 * xp.cos(difference)) + b * (v1 * v2 * xp.sin(difference))


def pyomo_model(case: Network) -> Any:
    """The problem as a Pyomo model."""
    import pyomo.environ as pyo  # noqa: PLC0415

    logging.getLogger("pyomo").setLevel(logging.ERROR)  # the flat start is outside of some bounds
    buses, generators, branches = case.sizes
    m = pyo.ConcreteModel()

    def limits(table: Array) -> Any:
        return lambda m, k: (float(table[0, k]), float(table[1, k]))

    m.va = pyo.Var(range(buses), initialize=0.0)
    m.vm = pyo.Var(range(buses), initialize=1.0, bounds=limits(case.magnitude))
    m.pg = pyo.Var(range(generators), initialize=0.0, bounds=limits(case.active))
    m.qg = pyo.Var(range(generators), initialize=0.0, bounds=limits(case.reactive))
    rating = limits(np.array([-case.rating, case.rating]))
    m.p1, m.p2, m.q1, m.q2 = (pyo.Var(range(branches), initialize=0.0, bounds=rating) for _ in range(4))
    cost, first, second = case.cost.tolist(), case.first.tolist(), case.second.tolist()
    m.cost = pyo.Objective(
        expr=sum(cost[0][k] * m.pg[k] ** 2 + cost[1][k] * m.pg[k] + cost[2][k] for k in range(generators))
    )
    m.reference = pyo.Constraint(expr=m.va[case.reference] == 0.0)
    at_bus, leaving, entering = incident(case)

    def balance(p1: Any, p2: Any, pg: Any, demand: list[float], shunt: list[float]) -> Any:
        def rule(m: Any, k: int) -> Any:
            leaves = sum(p1[i] for i in leaving[k]) + sum(p2[i] for i in entering[k])
            return leaves - sum(pg[i] for i in at_bus[k]) + demand[k] + shunt[k] * m.vm[k] ** 2 == 0.0

        return pyo.Constraint(range(buses), rule=rule)

    m.active_balance = balance(m.p1, m.p2, m.pg, case.demand[0].tolist(), case.shunt[0].tolist())
    m.reactive_balance = balance(m.q1, m.q2, m.qg, case.demand[1].tolist(), (-case.shunt[1]).tolist())

    def defined(variable: Any, which: int) -> Any:
        def rule(m: Any, k: int) -> Any:
            i, j = first[k], second[k]
            return variable[k] - flow(case, pyo, k, which, m.vm[i], m.vm[j], m.va[i] - m.va[j]) == 0.0

        return pyo.Constraint(range(branches), rule=rule)

    m.active_first, m.reactive_first = defined(m.p1, 0), defined(m.q1, 1)
    m.active_second, m.reactive_second = defined(m.p2, 2), defined(m.q2, 3)
    low, high = case.angle.tolist()
    m.angle = pyo.Constraint(range(branches), rule=lambda m, k: (low[k], m.va[first[k]] - m.va[second[k]], high[k]))
    squared = (case.rating**2).tolist()
    m.rating_first = pyo.Constraint(range(branches), rule=lambda m, k: m.p1[k] ** 2 + m.q1[k] ** 2 <= squared[k])
    m.rating_second = pyo.Constraint(range(branches), rule=lambda m, k: m.p2[k] ** 2 + m.q2[k] ** 2 <= squared[k])
    return m


def poi(case: Network) -> Any:
    """The problem in PyOptInterface: quadratic and linear parts as such, one graph per branch."""
    import pyoptinterface as poi  # noqa: PLC0415
    from pyoptinterface import ipopt, nl  # noqa: PLC0415

    model = ipopt.Model()
    lower, upper, _, _ = bounds(case)
    x = [
        model.add_variable(lb=low, ub=high, start=value)
        for low, high, value in zip(lower.tolist(), upper.tolist(), start(case).tolist(), strict=True)
    ]
    va, vm, pg, qg, p1, p2, q1, q2 = split(case, x)
    _, generators, branches = case.sizes
    cost = poi.ExprBuilder()
    for k in range(generators):
        c2, c1, c0 = case.cost[:, k].tolist()
        cost += c2 * pg[k] * pg[k] + c1 * pg[k] + c0
    model.set_objective(cost)
    model.add_linear_constraint(1.0 * va[case.reference], poi.Eq, 0.0)
    lists = incident(case)
    for flow_first, flow_second, generation, demand, shunt in (
        (p1, p2, pg, case.demand[0].tolist(), case.shunt[0].tolist()),
        (q1, q2, qg, case.demand[1].tolist(), (-case.shunt[1]).tolist()),
    ):
        for k, (at_bus, leaving, entering) in enumerate(zip(*lists, strict=True)):
            balance = poi.ExprBuilder()
            for i in leaving:
                balance += flow_first[i]
            for i in entering:
                balance += flow_second[i]
            for i in at_bus:
                balance -= generation[i]
            if shunt[k]:
                balance += shunt[k] * vm[k] * vm[k]
                model.add_quadratic_constraint(balance, poi.Eq, -demand[k])
            else:
                model.add_linear_constraint(balance, poi.Eq, -demand[k])
    for k in range(branches):
        i, j = int(case.first[k]), int(case.second[k])
        with nl.graph():
            for which, variable in enumerate((p1[k], q1[k], p2[k], q2[k])):
                model.add_nl_constraint(variable - flow(case, nl, k, which, vm[i], vm[j], va[i] - va[j]), poi.Eq, 0.0)
        model.add_linear_constraint(va[i] - va[j], (float(case.angle[0, k]), float(case.angle[1, k])))
        rating = float(case.rating[k]) ** 2
        model.add_quadratic_constraint(p1[k] * p1[k] + q1[k] * q1[k], poi.Leq, rating)
        model.add_quadratic_constraint(p2[k] * p2[k] + q2[k] * q2[k], poi.Leq, rating)
    return model


def problem(buses: int) -> Problem:
    """The PGLib case with so many buses."""
    case = network(buses)
    lower, upper, below, above = bounds(case)

    return Problem(
        f"AC-OPF, {buses} buses",
        start(case),
        [
            Variant("sct_opt", "sct_opt", lambda: nlp(case)),
            Variant("sct_opt, Pyomo model", "sct_opt", lambda: nlp_of_pyomo(lambda: pyomo_model(case)), source="loop"),
            Variant("CasADi SX", "casadi", lambda: casadi("SX", case)),
            Variant("CasADi MX", "casadi", lambda: casadi("MX", case)),
            Variant("JAX + asdex", "jax", lambda: jax_functions(case)),
            Variant("PyOptInterface", "poi", lambda: poi(case), source="loop"),
        ],
        lower=lower,
        upper=upper,
        constraints_lower=below,
        constraints_upper=above,
    )


FAMILY = Family(problem, size=1354, quick=14, sizes=(14, 118, 1354, 2869), what="buses", cold=1354)
