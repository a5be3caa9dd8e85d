"""Swing-up of a pole on a cart (Kelly, *An introduction to trajectory optimization*, SIAM Review 59, 2017).

Four states and a control at the nodes of a uniform grid, trapezoidal or Hermite–Simpson collocation (compressed form,
with a control of its own at each midpoint).  A node is position, angle, their rates, force; nodes are contiguous in x.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from frontends import nlp_of_pyomo
from problem import Array, Family, Problem, Variant

DURATION, DISTANCE, CART, POLE, LENGTH, GRAVITY, FORCE = 2.0, 1.0, 1.0, 0.3, 0.5, 9.81, 20.0


def rates(xp: Any, angle: Any, speed: Any, spin: Any, force: Any) -> tuple[Any, Any, Any, Any]:
    """Rates of the four states."""
    s, c = xp.sin(angle), xp.cos(angle)
    inertia = CART + POLE * (1.0 - c * c)
    acceleration = (LENGTH * POLE * s * spin**2 + force + POLE * GRAVITY * c * s) / inertia
    spinning_up = -(LENGTH * POLE * c * s * spin**2 + force * c + (CART + POLE) * GRAVITY * s) / (LENGTH * inertia)
    return speed, spin, acceleration, spinning_up


# -- array-coded: `table` holds one row per component, one column per node --------------------------------------------


def trapezoidal(xp: Any, table: Any, step: float) -> list[Any]:
    """Defects of the trapezoidal rule, one row per state."""
    slopes = rates(xp, table[1, :], table[2, :], table[3, :], table[4, :])
    defects = []
    for k in range(4):
        state, slope = table[k, :], slopes[k]
        defects.append(state[1:] - state[:-1] - 0.5 * step * (slope[1:] + slope[:-1]))
    return defects


def hermite_simpson(xp: Any, table: Any, middle: Any, step: float) -> list[Any]:
    """Defects of the Hermite–Simpson rule, one row per state; `middle` holds the controls at midpoints."""
    slopes = rates(xp, table[1, :], table[2, :], table[3, :], table[4, :])
    between = []
    for k in range(4):
        state, slope = table[k, :], slopes[k]
        between.append(0.5 * (state[:-1] + state[1:]) + step / 8.0 * (slope[:-1] - slope[1:]))
    inner = rates(xp, between[1], between[2], between[3], middle)
    defects = []
    for k in range(4):
        state, slope = table[k, :], slopes[k]
        defects.append(state[1:] - state[:-1] - step / 6.0 * (slope[:-1] + 4.0 * inner[k] + slope[1:]))
    return defects


class Functions:
    """Objective and constraints of either rule for NumPy and JAX, array-coded."""

    def __init__(self, intervals: int, simpson: bool) -> None:
        self.intervals, self.simpson, self.step = intervals, simpson, DURATION / intervals

    def _split(self, x: Any) -> tuple[Any, Any]:
        nodes = 5 * (self.intervals + 1)
        return x[:nodes].reshape(self.intervals + 1, 5).T, x[nodes:]

    def objective(self, xp: Any, x: Any) -> Any:
        """Integral of the squared force, by the rule of the collocation."""
        table, middle = self._split(x)
        force = table[4]
        if self.simpson:
            return self.step / 6.0 * (xp.sum(force[:-1] ** 2) + 4.0 * xp.sum(middle**2) + xp.sum(force[1:] ** 2))
        return 0.5 * self.step * (xp.sum(force[:-1] ** 2) + xp.sum(force[1:] ** 2))

    def constraints(self, xp: Any, x: Any) -> Any:
        """Defects, those of an interval contiguous."""
        table, middle = self._split(x)
        defects = hermite_simpson(xp, table, middle, self.step) if self.simpson else trapezoidal(xp, table, self.step)
        return xp.stack(defects, axis=1).ravel()


# -- loop-coded: the same for one interval at a time -------------------------------------------------------------------


def interval_defects(xp: Any, left: Any, right: Any, middle: Any, step: float) -> list[Any]:
    """Defects of one interval between two nodes; trapezoidal if there is no control in the middle."""
    a, b = rates(xp, *left[1:]), rates(xp, *right[1:])
    if middle is None:
        return [right[k] - left[k] - 0.5 * step * (b[k] + a[k]) for k in range(4)]
    between = [0.5 * (left[k] + right[k]) + step / 8.0 * (a[k] - b[k]) for k in range(4)]
    inner = rates(xp, *between[1:], middle)
    return [right[k] - left[k] - step / 6.0 * (a[k] + 4.0 * inner[k] + b[k]) for k in range(4)]


class Loops:
    """Objective and constraints in plain Python loops over scalars."""

    def __init__(self, intervals: int, simpson: bool) -> None:
        self.intervals, self.simpson, self.step = intervals, simpson, DURATION / intervals

    def interval(self, x: Any, k: int) -> tuple[list[Any], list[Any], Any]:
        """Both nodes of an interval and the control between them."""
        left = [x[5 * k + i] for i in range(5)]
        right = [x[5 * k + 5 + i] for i in range(5)]
        return left, right, x[5 * (self.intervals + 1) + k] if self.simpson else None

    def objective(self, x: Any) -> Any:
        """Integral of the squared force."""
        total: Any = 0.0
        for k in range(self.intervals):
            total = total + self.cost(*self.interval(x, k))
        return total

    def cost(self, left: Any, right: Any, middle: Any) -> Any:
        """The part of one interval."""
        if middle is None:
            return 0.5 * self.step * (left[4] ** 2 + right[4] ** 2)
        return self.step / 6.0 * (left[4] ** 2 + 4.0 * middle**2 + right[4] ** 2)

    def constraints(self, xp: Any, x: Any) -> list[Any]:
        """Defects, those of an interval contiguous."""
        defects = []
        for k in range(self.intervals):
            defects.extend(interval_defects(xp, *self.interval(x, k), self.step))
        return defects


# -- the models --------------------------------------------------------------------------------------------------------


def start(intervals: int, simpson: bool) -> Array:
    """States on the straight line from start to end, no force."""
    table = np.zeros((intervals + 1, 5))
    table[:, 0] = np.linspace(0.0, DISTANCE, intervals + 1)
    table[:, 1] = np.linspace(0.0, math.pi, intervals + 1)
    return np.concatenate([table.ravel(), np.zeros(intervals if simpson else 0)])


def bounds(intervals: int, simpson: bool) -> tuple[Array, Array]:
    """Bounds on position and force; both ends at rest, the pole hanging at first and upright at last."""
    upper = np.tile([2.0 * DISTANCE, np.inf, np.inf, np.inf, FORCE], (intervals + 1, 1))
    lower = -upper
    lower[0, :4] = upper[0, :4] = 0.0
    lower[-1, :4] = upper[-1, :4] = [DISTANCE, math.pi, 0.0, 0.0]
    middle = np.full(intervals if simpson else 0, FORCE)
    return np.concatenate([lower.ravel(), -middle]), np.concatenate([upper.ravel(), middle])


def nlp(intervals: int, simpson: bool, loops: bool = False) -> Any:
    """The problem from NumPy functions, array-coded or loop-coded."""
    import sct_opt as so  # noqa: PLC0415

    coded: Any = Loops(intervals, simpson) if loops else Functions(intervals, simpson)
    objective = coded.objective if loops else functools.partial(coded.objective, np)
    return so.from_callables(
        objective,
        start(intervals, simpson),
        functools.partial(coded.constraints, np),
        bounds=bounds(intervals, simpson),
        constraint_bounds=(0.0, 0.0),
    )


def pyomo_model(intervals: int, simpson: bool) -> Any:
    """The problem as a Pyomo model with indexed variables and rules."""
    import pyomo.environ as pyo  # noqa: PLC0415

    coded, (lower, upper), x0 = Loops(intervals, simpson), bounds(intervals, simpson), start(intervals, simpson)
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(x0.size), initialize=lambda m, i: x0[i])
    for i in range(x0.size):
        m.x[i].setlb(None if np.isinf(lower[i]) else float(lower[i]))
        m.x[i].setub(None if np.isinf(upper[i]) else float(upper[i]))
    m.objective = pyo.Objective(expr=sum(coded.cost(*coded.interval(m.x, k)) for k in range(intervals)))
    m.defects = pyo.ConstraintList()
    for k in range(intervals):
        for defect in interval_defects(pyo, *coded.interval(m.x, k), coded.step):
            m.defects.add(defect == 0.0)
    return m


def casadi(kind: str, intervals: int, simpson: bool) -> dict[str, Any]:
    """The problem in CasADi: SX elementwise, MX with the dynamics mapped over the nodes."""
    import casadi as ca  # noqa: PLC0415
    from frontends import casadi_namespace  # noqa: PLC0415

    xp, step, nodes = casadi_namespace(), DURATION / intervals, 5 * (intervals + 1)
    x = getattr(ca, kind).sym("x", nodes + (intervals if simpson else 0))
    table, middle = ca.reshape(x[:nodes], 5, intervals + 1), x[nodes:].T
    node = ca.SX.sym("node", 5)
    dynamics = ca.Function("dynamics", [node], [ca.vertcat(*rates(xp, node[1], node[2], node[3], node[4]))])

    def slopes(points: Any) -> Any:
        if kind == "SX":
            return ca.vertcat(*rates(xp, points[1, :], points[2, :], points[3, :], points[4, :]))
        return dynamics.map(points.shape[1])(points)

    states, rate, force = table[:4, :], slopes(table), table[4, :]
    left, right = states[:, :-1], states[:, 1:]
    if simpson:
        between = 0.5 * (left + right) + step / 8.0 * (rate[:, :-1] - rate[:, 1:])
        inner = slopes(ca.vertcat(between, middle))
        defects = right - left - step / 6.0 * (rate[:, :-1] + 4.0 * inner + rate[:, 1:])
        cost = step / 6.0 * (ca.sumsqr(force[:-1]) + 4.0 * ca.sumsqr(middle) + ca.sumsqr(force[1:]))
    else:
        defects = right - left - 0.5 * step * (rate[:, 1:] + rate[:, :-1])
        cost = 0.5 * step * (ca.sumsqr(force[:-1]) + ca.sumsqr(force[1:]))
    return {"x": x, "f": cost, "g": ca.vec(defects)}


def casadi_loops(kind: str, intervals: int, simpson: bool) -> dict[str, Any]:
    """The problem in CasADi in plain Python loops, the way most models are written."""
    import casadi as ca  # noqa: PLC0415
    from frontends import casadi_namespace  # noqa: PLC0415

    coded = Loops(intervals, simpson)
    x = getattr(ca, kind).sym("x", start(intervals, simpson).size)
    return {"x": x, "f": coded.objective(x), "g": ca.vertcat(*coded.constraints(casadi_namespace(), x))}


def poi(intervals: int, simpson: bool) -> Any:
    """The problem in PyOptInterface, one graph per interval."""
    import pyoptinterface as poi  # noqa: PLC0415
    from pyoptinterface import ipopt, nl  # noqa: PLC0415

    coded, (lower, upper) = Loops(intervals, simpson), bounds(intervals, simpson)
    model = ipopt.Model()
    x = [
        model.add_variable(lb=low, ub=high, start=value)
        for low, high, value in zip(lower.tolist(), upper.tolist(), start(intervals, simpson).tolist(), strict=True)
    ]
    for k in range(intervals):
        left, right, middle = coded.interval(x, k)
        with nl.graph():
            for defect in interval_defects(nl, left, right, middle, coded.step):
                model.add_nl_constraint(defect, poi.Eq, 0.0)
        with nl.graph():
            model.add_nl_objective(coded.cost(left, right, middle))
    return model


def _problem(intervals: int, simpson: bool) -> Problem:
    rule = "Hermite–Simpson" if simpson else "trapezoidal"
    coded, (lower, upper) = Functions(intervals, simpson), bounds(intervals, simpson)

    def from_mx() -> Any:
        import sct_opt as so  # noqa: PLC0415

        return so.from_casadi(
            casadi("MX", intervals, simpson), x0=start(intervals, simpson), lbx=lower, ubx=upper, lbg=0, ubg=0
        )

    return Problem(
        f"Cart-pole, {rule}, N = {intervals:,}",
        start(intervals, simpson),
        [
            Variant("sct_opt", "sct_opt", lambda: nlp(intervals, simpson)),
            Variant("sct_opt, loops", "sct_opt", lambda: nlp(intervals, simpson, loops=True), source="loop"),
            Variant("sct_opt, CasADi MX model", "sct_opt", from_mx),
            Variant(
                "sct_opt, Pyomo model",
                "sct_opt",
                lambda: nlp_of_pyomo(lambda: pyomo_model(intervals, simpson)),
                source="loop",
            ),
            Variant("CasADi SX", "casadi", lambda: casadi("SX", intervals, simpson)),
            Variant("CasADi MX, map", "casadi", lambda: casadi("MX", intervals, simpson)),
            Variant(
                "CasADi SX, loops", "casadi", lambda: casadi_loops("SX", intervals, simpson), limit=2_000, source="loop"
            ),
            Variant(
                "CasADi MX, loops", "casadi", lambda: casadi_loops("MX", intervals, simpson), limit=1_000, source="loop"
            ),
            Variant("JAX + asdex", "jax", lambda: (coded.objective, coded.constraints)),
            Variant("PyOptInterface", "poi", lambda: poi(intervals, simpson), source="loop"),
        ],
        lower=lower,
        upper=upper,
    )


TRAPEZOIDAL = Family(
    lambda intervals: _problem(intervals, simpson=False),
    size=10_000,
    quick=50,
    sizes=(100, 1_000, 10_000, 100_000),
    what="N",
    cold=1_000,
)
HERMITE_SIMPSON = Family(
    lambda intervals: _problem(intervals, simpson=True), size=1_000, quick=20, sizes=(100, 1_000, 10_000), what="N"
)
