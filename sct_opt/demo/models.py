"""The demo's problems, each written as a user of its front end would write it, with a reference optimum.

References: HS071 is problem 71 of Hock and Schittkowski (1981).  The hanging chain is problem 4 of Dolan, Moré and
Munson, *Benchmarking optimization software with COPS 3.0* (2004).  The state-constrained problem is that of Jacobson
and Lele (1969).  Problem 5.1 of Lukšan and Vlček, *Sparse and partially separable test problems* (1999).  Where the
optimum depends on the discretisation, the reference is IPOPT's on the same discretisation with derivatives that do
not come from this package (CasADi's, for Pyomo through its .nl file); ``tests/demo`` recomputes each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sct_opt import from_callables, from_casadi, from_pyomo

if TYPE_CHECKING:
    from sct_opt.nlp import NLP

Array = np.ndarray[Any, Any]


Curves = dict[str, tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class Model:
    """A problem with the way to draw its solution.

    Attributes:
        nlp: the problem.
        curves: the solution's curves by label, ``(abscissa, ordinate)``, from the solution vector; None if there is nothing to draw.
    """

    nlp: NLP
    curves: Callable[[Array], Curves] | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of the demo.

    Attributes:
        name: shown in the table.
        key: name of the figures' files.
        build: makes the model.
        reference: the objective at the optimum.
    """

    name: str
    key: str
    build: Callable[[], Model]
    reference: float


def hs071() -> Model:
    """HS071 as two NumPy functions."""

    def objective(x: Array) -> Any:
        return x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2]

    def constraints(x: Array) -> list[Any]:
        return [x[0] * x[1] * x[2] * x[3], x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + x[3] ** 2]

    return Model(
        from_callables(
            objective,
            [1.0, 5.0, 5.0, 1.0],
            constraints,
            bounds=(1.0, 5.0),
            constraint_bounds=([25.0, 40.0], [np.inf, 40.0]),
        )
    )


def luksan_vlcek(n: int) -> Model:
    """Lukšan–Vlček 5.1 in NumPy slices."""

    def objective(x: Array) -> Any:
        return np.sum(100.0 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1.0) ** 2)

    def constraints(x: Array) -> Any:
        a, b, c = x[:-2], x[1:-1], x[2:]
        return 3.0 * b**3 + 2.0 * c - 5.0 + np.sin(b - c) * np.sin(b + c) + 4.0 * b - a * np.exp(a - b) - 3.0

    x0 = np.where(np.arange(n) % 2 == 0, -1.2, 1.0)
    return Model(from_callables(objective, x0, constraints, constraint_bounds=(0.0, 0.0)))


PYOMO_FINITE_ELEMENTS = 20
PYOMO_COLLOCATION_POINTS = 3


def jacobson_lele_model() -> Any:
    """The state-constrained optimal control problem of Jacobson and Lele as a discretised pyomo.dae model."""
    import pyomo.dae as dae  # noqa: PLC0415
    import pyomo.environ as pyo  # noqa: PLC0415

    m = pyo.ConcreteModel("Jacobson-Lele")
    m.t = dae.ContinuousSet(bounds=(0.0, 1.0))
    m.position = pyo.Var(m.t, initialize=0.0)
    m.speed = pyo.Var(m.t, initialize=-1.0)
    m.cost = pyo.Var(m.t, initialize=0.0)
    m.force = pyo.Var(m.t, initialize=0.0)
    m.dposition = dae.DerivativeVar(m.position, wrt=m.t)
    m.dspeed = dae.DerivativeVar(m.speed, wrt=m.t)
    m.dcost = dae.DerivativeVar(m.cost, wrt=m.t)
    m.position_ode = pyo.Constraint(m.t, rule=lambda m, t: m.dposition[t] == m.speed[t])
    m.speed_ode = pyo.Constraint(m.t, rule=lambda m, t: m.dspeed[t] == -m.speed[t] + m.force[t])
    m.cost_ode = pyo.Constraint(
        m.t, rule=lambda m, t: m.dcost[t] == m.position[t] ** 2 + m.speed[t] ** 2 + 0.005 * m.force[t] ** 2
    )
    m.ceiling = pyo.Constraint(m.t, rule=lambda m, t: m.speed[t] - 8.0 * (t - 0.5) ** 2 + 0.5 <= 0.0)
    m.start = pyo.ConstraintList()
    m.start.add(m.position[0] == 0.0)
    m.start.add(m.speed[0] == -1.0)
    m.start.add(m.cost[0] == 0.0)
    m.objective = pyo.Objective(expr=m.cost[1.0])
    discretizer = pyo.TransformationFactory("dae.collocation")
    discretizer.apply_to(m, nfe=PYOMO_FINITE_ELEMENTS, ncp=PYOMO_COLLOCATION_POINTS, scheme="LAGRANGE-RADAU")
    discretizer.reduce_collocation_points(m, var=m.force, ncp=1, contset=m.t)
    return m


def jacobson_lele() -> Model:
    """The Jacobson–Lele problem; its curves are read from the Pyomo model, into which the solution is written back."""
    model = jacobson_lele_model()

    def curves(x: Array) -> Curves:
        t = np.array(sorted(model.t))
        drawn = {"position": model.position, "speed": model.speed, "force": model.force}
        return {
            name: (t, np.array([variable[time].value for time in sorted(model.t)])) for name, variable in drawn.items()
        }

    return Model(from_pyomo(model), curves)


VAN_DER_POL_INTERVALS = 40
VAN_DER_POL_HORIZON = 10.0


def van_der_pol_model() -> dict[str, Any]:
    """The controlled Van der Pol oscillator by direct collocation (Legendre points, degree 3) in CasADi SX.

    Returns:
        The nlpsol dictionary with its bounds and start: keys ``nlp``, ``x0``, ``lbx``, ``ubx``, ``lbg``, ``ubg``.
    """
    import casadi as ca  # noqa: PLC0415

    degree, intervals, step = 3, VAN_DER_POL_INTERVALS, VAN_DER_POL_HORIZON / VAN_DER_POL_INTERVALS
    C, D, B = ca.collocation_coeff(ca.collocation_points(degree, "legendre"))
    x1, x2, u = ca.SX.sym("x1"), ca.SX.sym("x2"), ca.SX.sym("u")
    state = ca.vertcat(x1, x2)
    rate = ca.vertcat((1 - x2**2) * x1 - x2 + u, x1)
    dynamics = ca.Function("dynamics", [state, u], [rate, x1**2 + x2**2 + u**2])

    w: list[Any] = []
    g: list[Any] = []
    lbx: list[float] = []
    ubx: list[float] = []
    cost = 0

    def variable(name: str, size: int, low: list[float], high: list[float]) -> Any:
        v = ca.SX.sym(name, size)
        w.append(v)
        lbx.extend(low)
        ubx.extend(high)
        return v

    xk = variable("x_0", 2, [0.0, 1.0], [0.0, 1.0])
    for k in range(intervals):
        uk = variable(f"u_{k}", 1, [-1.0], [1.0])
        points = ca.horzcat(*(variable(f"x_{k}_{j}", 2, [-0.25, -np.inf], [np.inf, np.inf]) for j in range(degree)))
        slopes, integrands = zip(*(dynamics(points[:, j], uk) for j in range(degree)), strict=True)
        nodes = ca.horzcat(xk, points)
        g.append(ca.vec(step * ca.horzcat(*slopes) - nodes @ C))
        cost += step * (ca.horzcat(*integrands) @ B)
        end = nodes @ D
        xk = variable(f"x_{k + 1}", 2, [-0.25, -np.inf], [np.inf, np.inf])
        g.append(end - xk)
    nlp = {"x": ca.vertcat(*w), "f": cost, "g": ca.vertcat(*g)}
    return {"nlp": nlp, "x0": 0.0, "lbx": lbx, "ubx": ubx, "lbg": 0.0, "ubg": 0.0}


def van_der_pol() -> Model:
    """The Van der Pol problem from its CasADi dictionary."""
    model = van_der_pol_model()
    stride = 2 + 1 + 2 * 3  # state, control, states at the collocation points
    t = np.linspace(0.0, VAN_DER_POL_HORIZON, VAN_DER_POL_INTERVALS + 1)
    return Model(
        from_casadi(model.pop("nlp"), **model),
        lambda x: {"x1": (t, x[0::stride]), "x2": (t, x[1::stride]), "u": (t[:-1], x[2::stride])},
    )


CHAIN_INTERVALS = 200
CHAIN_LENGTH, CHAIN_LEFT, CHAIN_RIGHT = 4.0, 1.0, 3.0


def _chain_start() -> Array:
    grid = np.linspace(0.0, 1.0, CHAIN_INTERVALS + 1)
    height = 4.0 * abs(CHAIN_RIGHT - CHAIN_LEFT) * grid * (0.5 * grid - 0.25) + CHAIN_LEFT
    slope = 4.0 * abs(CHAIN_RIGHT - CHAIN_LEFT) * (grid - 0.25)
    return np.concatenate([height, slope])


def chain_numpy() -> Model:
    """The hanging chain in NumPy: heights and slopes on a grid, trapezoidal rule."""
    size, step = CHAIN_INTERVALS + 1, 1.0 / CHAIN_INTERVALS

    def trapezoid(y: Any) -> Any:
        return step * (np.sum(y) - 0.5 * (y[0] + y[-1]))

    def objective(z: Array) -> Any:
        x, u = z[:size], z[size:]
        return trapezoid(x * np.sqrt(1.0 + u**2))

    def constraints(z: Array) -> Any:
        x, u = z[:size], z[size:]
        defects = x[1:] - x[:-1] - 0.5 * step * (u[1:] + u[:-1])
        return np.concatenate([defects, [trapezoid(np.sqrt(1.0 + u**2))]])

    bounds = np.full(2 * size, -np.inf), np.full(2 * size, np.inf)
    for k, value in ((0, CHAIN_LEFT), (size - 1, CHAIN_RIGHT)):
        bounds[0][k] = bounds[1][k] = value
    target = np.zeros(CHAIN_INTERVALS + 1)
    target[-1] = CHAIN_LENGTH
    return Model(
        from_callables(objective, _chain_start(), constraints, bounds=bounds, constraint_bounds=(target, target)),
        _chain_curves,
    )


def chain_pyomo() -> Model:
    """The same chain as a Pyomo model."""
    import pyomo.environ as pyo  # noqa: PLC0415

    size, step, start = CHAIN_INTERVALS + 1, 1.0 / CHAIN_INTERVALS, _chain_start()
    m = pyo.ConcreteModel("chain")
    m.nodes = pyo.RangeSet(0, size - 1)
    m.x = pyo.Var(m.nodes, initialize=lambda m, k: start[k])
    m.u = pyo.Var(m.nodes, initialize=lambda m, k: start[size + k])
    m.weight = pyo.Param(m.nodes, initialize=lambda m, k: 0.5 * step if k in (0, size - 1) else step)
    m.x[0].fix(CHAIN_LEFT)
    m.x[size - 1].fix(CHAIN_RIGHT)
    m.objective = pyo.Objective(expr=sum(m.weight[k] * m.x[k] * pyo.sqrt(1.0 + m.u[k] ** 2) for k in m.nodes))
    m.defect = pyo.Constraint(
        m.nodes,
        rule=lambda m, k: pyo.Constraint.Skip if k == 0 else m.x[k] - m.x[k - 1] == 0.5 * step * (m.u[k] + m.u[k - 1]),
    )
    m.length = pyo.Constraint(expr=sum(m.weight[k] * pyo.sqrt(1.0 + m.u[k] ** 2) for k in m.nodes) == CHAIN_LENGTH)
    return Model(from_pyomo(m), lambda x: _chain_curves(np.array([m.x[k].value for k in m.nodes])))


def chain_casadi() -> Model:
    """The same chain with CasADi's Opti."""
    import casadi as ca  # noqa: PLC0415

    size, step, start = CHAIN_INTERVALS + 1, 1.0 / CHAIN_INTERVALS, _chain_start()
    opti = ca.Opti()
    x, u = opti.variable(size), opti.variable(size)
    weight = np.full(size, step)
    weight[[0, -1]] = 0.5 * step
    arc = ca.sqrt(1.0 + u**2)
    opti.minimize(ca.dot(weight, x * arc))
    opti.subject_to(x[1:] - x[:-1] == 0.5 * step * (u[1:] + u[:-1]))
    opti.subject_to(ca.dot(weight, arc) == CHAIN_LENGTH)
    opti.subject_to(x[0] == CHAIN_LEFT)
    opti.subject_to(x[-1] == CHAIN_RIGHT)
    opti.set_initial(x, start[:size])
    opti.set_initial(u, start[size:])
    return Model(from_casadi(opti), _chain_curves)


def _chain_curves(x: Array) -> Curves:
    return {"height": (np.linspace(0.0, 1.0, CHAIN_INTERVALS + 1), x[: CHAIN_INTERVALS + 1])}


def problems(quick: bool) -> list[Problem]:
    """The demo's problems; ``quick`` takes Lukšan–Vlček with a thousand variables instead of a hundred thousand."""
    n = 1_000 if quick else 100_000
    return [
        Problem("HS071 (NumPy)", "hs071", hs071, 17.0140172891),
        Problem("Jacobson–Lele (pyomo.dae)", "jacobson-lele", jacobson_lele, 0.1724611989974938),
        Problem("Van der Pol (CasADi SX)", "van-der-pol", van_der_pol, 3.647184675099391),
        Problem(f"Lukšan–Vlček {n:,} (NumPy)", "luksan-vlcek", lambda: luksan_vlcek(n), 6.2324586324379885),
        Problem("Hanging chain (NumPy)", "chain-numpy", chain_numpy, 5.068917341793172),
        Problem("Hanging chain (Pyomo)", "chain-pyomo", chain_pyomo, 5.068917341793172),
        Problem("Hanging chain (CasADi Opti)", "chain-casadi", chain_casadi, 5.068917341793172),
    ]
