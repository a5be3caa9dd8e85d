"""Classical optimal control, geometry, process and power problems with published or analytic optima."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyomo.environ as pyo
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar, Integral

Check = Callable[..., Any]


def discretised(model: Any, elements: int, points: int = 3, scheme: str = "LAGRANGE-RADAU") -> Any:
    pyo.TransformationFactory("dae.collocation").apply_to(model, nfe=elements, ncp=points, scheme=scheme)
    return model


# -- optimal control, through pyomo.dae --------------------------------------------------------------------------------


def horizon(length: float = 1.0, states: int = 1, start: float = 0.0) -> Any:
    model = pyo.ConcreteModel()
    model.t = ContinuousSet(bounds=(0, length))
    model.s = pyo.RangeSet(states)
    model.x = pyo.Var(model.s, model.t, initialize=start)
    model.u = pyo.Var(model.t, initialize=0.0)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    return model


def test_double_integrator_of_least_energy(solve_and_check: Check) -> None:
    m = horizon(states=3)
    m.position = pyo.Constraint(m.t, rule=lambda m, t: m.dx[1, t] == m.x[2, t])
    m.speed = pyo.Constraint(m.t, rule=lambda m, t: m.dx[2, t] == m.u[t])
    m.energy = pyo.Constraint(m.t, rule=lambda m, t: m.dx[3, t] == m.u[t] ** 2)
    m.ends = pyo.ConstraintList()
    for constraint in (m.x[1, 0] == 0, m.x[2, 0] == 0, m.x[3, 0] == 0, m.x[1, 1] == 1, m.x[2, 1] == 0):
        m.ends.add(constraint)
    m.o = pyo.Objective(expr=m.x[3, 1])
    solve_and_check(discretised(m, 20), 12.0, tolerance=1e-4)


def test_integral_of_a_tracking_error(solve_and_check: Check) -> None:
    m = horizon(length=2.0)
    m.ode = pyo.Constraint(m.t, rule=lambda m, t: m.dx[1, t] == m.u[t])
    m.cost = Integral(m.t, wrt=m.t, rule=lambda m, t: (m.x[1, t] - t) ** 2)
    m.o = pyo.Objective(expr=m.cost + 1.0)
    solve_and_check(discretised(m, 10), 1.0)


def test_bryson_and_denham(solve_and_check: Check) -> None:
    m = horizon(states=3)
    m.position = pyo.Constraint(m.t, rule=lambda m, t: m.dx[1, t] == m.x[2, t])
    m.speed = pyo.Constraint(m.t, rule=lambda m, t: m.dx[2, t] == m.u[t])
    m.energy = pyo.Constraint(m.t, rule=lambda m, t: m.dx[3, t] == m.u[t] ** 2 / 2)
    m.wall = pyo.Constraint(m.t, rule=lambda m, t: m.x[1, t] <= 1 / 9)
    m.ends = pyo.ConstraintList()
    for constraint in (m.x[1, 0] == 0, m.x[2, 0] == 1, m.x[3, 0] == 0, m.x[1, 1] == 0, m.x[2, 1] == -1):
        m.ends.add(constraint)
    m.o = pyo.Objective(expr=m.x[3, 1])
    solve_and_check(discretised(m, 30), 4.0, tolerance=1e-3)


def test_luus_quadratic_growth(solve_and_check: Check) -> None:
    m = horizon(states=2)
    m.state = pyo.Constraint(m.t, rule=lambda m, t: m.dx[1, t] == m.u[t])
    m.cost = pyo.Constraint(m.t, rule=lambda m, t: m.dx[2, t] == m.x[1, t] ** 2 + m.u[t] ** 2)
    m.x[1, 0].fix(1.0)
    m.x[2, 0].fix(0.0)
    m.o = pyo.Objective(expr=m.x[2, 1])
    solve_and_check(discretised(m, 10), math.tanh(1.0), tolerance=1e-6)


def test_batch_reactor_temperature(solve_and_check: Check) -> None:
    m = horizon(states=2, start=0.5)
    m.u.setlb(298.0)
    m.u.setub(398.0)
    m.k1 = pyo.Expression(m.t, rule=lambda m, t: 4000 * pyo.exp(-2500 / m.u[t]))
    m.k2 = pyo.Expression(m.t, rule=lambda m, t: 620000 * pyo.exp(-5000 / m.u[t]))
    m.a = pyo.Constraint(m.t, rule=lambda m, t: m.dx[1, t] == -m.k1[t] * m.x[1, t] ** 2)
    m.b = pyo.Constraint(m.t, rule=lambda m, t: m.dx[2, t] == m.k1[t] * m.x[1, t] ** 2 - m.k2[t] * m.x[2, t])
    m.x[1, 0].fix(1.0)
    m.x[2, 0].fix(0.0)
    m.o = pyo.Objective(expr=m.x[2, 1], sense=pyo.maximize)
    discretised(m, 20)
    for t in m.t:
        m.u[t].value = 330.0
    solve_and_check(m, 0.610775, tolerance=1e-4)


def test_brachistochrone(solve_and_check: Check) -> None:
    m = horizon(states=3)
    m.final = pyo.Var(initialize=1.0, bounds=(0.1, 10))
    m.right = pyo.Constraint(m.t, rule=lambda m, t: m.dx[1, t] == m.final * m.x[3, t] * pyo.sin(m.u[t]))
    m.down = pyo.Constraint(m.t, rule=lambda m, t: m.dx[2, t] == m.final * m.x[3, t] * pyo.cos(m.u[t]))
    m.speed = pyo.Constraint(m.t, rule=lambda m, t: m.dx[3, t] == m.final * 9.81 * pyo.cos(m.u[t]))
    for s in (1, 2, 3):
        m.x[s, 0].fix(0.0)
    m.x[1, 1].fix(2.0)
    m.x[2, 1].fix(2.0)
    m.o = pyo.Objective(expr=m.final)
    discretised(m, 30)
    for t in m.t:
        m.x[1, t].set_value(2 * t)
        m.x[2, t].set_value(2 * t)
        m.x[3, t].set_value(6 * t)
        m.u[t].set_value(t)
    # A cycloid through (2, 2): angle a with (a - sin a) = (1 - cos a), radius 2 / (1 - cos a), time a sqrt(r / g).
    low, high = 1.0, 4.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if middle - math.sin(middle) < 1 - math.cos(middle) else (low, middle)
    solve_and_check(m, low * math.sqrt(2 / (1 - math.cos(low)) / 9.81), tolerance=1e-4)


def test_backward_differences(solve_and_check: Check) -> None:
    m = horizon()
    m.ode = pyo.Constraint(m.t, rule=lambda m, t: pyo.Constraint.Skip if t == 0 else m.dx[1, t] == -m.x[1, t])
    m.x[1, 0].fix(1.0)
    m.o = pyo.Objective(expr=(m.x[1, 1] - 3) ** 2 + m.u[1] ** 2)
    pyo.TransformationFactory("dae.finite_difference").apply_to(m, nfe=20, scheme="BACKWARD")
    solve_and_check(m, (1.05**-20 - 3) ** 2)


# -- COPS and other geometry -----------------------------------------------------------------------------------------------


def test_particle_steering(solve_and_check: Check) -> None:
    """COPS problem 'steering': Dolan, More and Munson, ANL/MCS-TM-273 (2004)."""
    n, a = 100, 100.0
    m = pyo.ConcreteModel()
    m.i = pyo.RangeSet(0, n)
    m.y = pyo.Var(range(4), m.i, initialize=lambda m, s, i: 5 * i / n if s == 1 else 45 * i / n if s == 2 else 0.0)
    m.u = pyo.Var(m.i, bounds=(-math.pi / 2, math.pi / 2), initialize=0.0)
    m.tf = pyo.Var(bounds=(0, None), initialize=1.0)

    def slope(m: Any, s: int, i: int) -> Any:
        return (m.y[2, i], m.y[3, i], a * pyo.cos(m.u[i]), a * pyo.sin(m.u[i]))[s]

    m.rows = pyo.Constraint(
        range(4),
        range(n),
        rule=lambda m, s, i: m.y[s, i + 1] == m.y[s, i] + 0.5 * m.tf / n * (slope(m, s, i) + slope(m, s, i + 1)),
    )
    for s in range(4):
        m.y[s, 0].fix(0.0)
    for s, end in ((1, 5.0), (2, 45.0), (3, 0.0)):
        m.y[s, n].fix(end)
    m.o = pyo.Objective(expr=m.tf)
    solve_and_check(m, 0.554577, tolerance=3e-5)


def test_hanging_chain(solve_and_check: Check) -> None:
    """COPS problem 'chain': a chain of length 4 between heights 1 and 3 over a span of 1."""
    n, a, b, length = 200, 1.0, 3.0, 4.0
    m = pyo.ConcreteModel()
    m.i = pyo.RangeSet(0, n)
    lowest = 0.25

    def height(m: Any, i: int) -> float:
        return 4 * abs(b - a) * i / n * (0.5 * i / n - lowest) + a

    m.x = pyo.Var(m.i, initialize=height)
    m.u = pyo.Var(m.i, initialize=lambda m, i: 4 * abs(b - a) * (i / n - lowest))
    m.slope = pyo.Constraint(range(n), rule=lambda m, j: m.x[j + 1] == m.x[j] + 0.5 / n * (m.u[j] + m.u[j + 1]))

    def trapezoid(term: Any) -> Any:
        return sum(0.5 / n * (term(i) + term(i + 1)) for i in range(n))

    m.length = pyo.Constraint(expr=trapezoid(lambda i: pyo.sqrt(1 + m.u[i] ** 2)) == length)
    m.x[0].fix(a)
    m.x[n].fix(b)
    m.o = pyo.Objective(expr=trapezoid(lambda i: m.x[i] * pyo.sqrt(1 + m.u[i] ** 2)))
    solve_and_check(m, 5.0687, tolerance=1e-3)


def test_thomson_electrons(solve_and_check: Check) -> None:
    """Twelve electrons on a sphere form an icosahedron; Thomson's problem, COPS 'elec'."""
    n = 12
    m = pyo.ConcreteModel()
    golden = (1 + math.sqrt(5)) / 2

    def start(m: Any, i: int, k: int) -> float:
        height = 1 - 2 * (i + 0.5) / n
        angle = 2 * math.pi * i / golden
        radius = math.sqrt(1 - height**2)
        return (radius * math.cos(angle), radius * math.sin(angle), height)[k]

    m.p = pyo.Var(range(n), range(3), initialize=start)
    m.sphere = pyo.Constraint(range(n), rule=lambda m, i: sum(m.p[i, k] ** 2 for k in range(3)) == 1)
    m.o = pyo.Objective(
        expr=sum(1 / pyo.sqrt(sum((m.p[i, k] - m.p[j, k]) ** 2 for k in range(3))) for i in range(n) for j in range(i))
    )
    solve_and_check(m, 49.165253058)


def test_largest_small_hexagon(solve_and_check: Check) -> None:
    """The hexagon of diameter one with the largest area (Graham 1975): 0.674981; COPS 'polygon'."""
    n = 6
    m = pyo.ConcreteModel()
    m.r = pyo.Var(range(n), bounds=(0, 1), initialize=lambda m, i: 4 * (i + 1) * (n - i) / (n + 1) ** 2)
    m.theta = pyo.Var(range(n), bounds=(0, math.pi), initialize=lambda m, i: math.pi * (i + 1) / n)
    m.r[n - 1].fix(0.0)
    m.theta[n - 1].fix(math.pi)
    m.pairs = pyo.Set(initialize=[(i, j) for i in range(n - 1) for j in range(i + 1, n - 1)])
    m.near = pyo.Constraint(
        m.pairs,
        rule=lambda m, i, j: m.r[i] ** 2 + m.r[j] ** 2 - 2 * m.r[i] * m.r[j] * pyo.cos(m.theta[j] - m.theta[i]) <= 1,
    )
    m.ordered = pyo.Constraint(range(n - 1), rule=lambda m, i: m.theta[i] <= m.theta[i + 1])
    m.o = pyo.Objective(
        expr=0.5 * sum(m.r[i + 1] * m.r[i] * pyo.sin(m.theta[i + 1] - m.theta[i]) for i in range(n - 1)),
        sense=pyo.maximize,
    )
    solve_and_check(m, 0.674981, tolerance=2e-6)


# -- processes ---------------------------------------------------------------------------------------------------------------


def test_alkylation(solve_and_check: Check) -> None:
    """Bracken and McCormick's alkylation process, Hock and Schittkowski 114."""
    start = (1745, 12000, 110, 3048, 1974, 89.2, 92.8, 8, 3.6, 145)
    lower = (1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 85, 90, 3, 1.2, 145)
    upper = (2000, 16000, 120, 5000, 2000, 93, 95, 12, 4, 162)
    m = pyo.ConcreteModel()
    m.x = x = pyo.Var(
        range(1, 11), initialize=lambda m, i: start[i - 1], bounds=lambda m, i: (lower[i - 1], upper[i - 1])
    )
    a, b = 0.99, 0.9
    g1 = 35.82 - 0.222 * x[10] - b * x[9]
    g2 = -133 + 3 * x[7] - a * x[10]
    g5 = 1.12 * x[1] + 0.13167 * x[1] * x[8] - 0.00667 * x[1] * x[8] ** 2 - a * x[4]
    g6 = 57.425 + 1.098 * x[8] - 0.038 * x[8] ** 2 + 0.325 * x[6] - a * x[7]
    m.rows = pyo.ConstraintList()
    for row in (
        g1 >= 0,
        g2 >= 0,
        -g1 + x[9] * (1 / b - b) >= 0,
        -g2 + (1 / a - a) * x[10] >= 0,
        g5 >= 0,
        g6 >= 0,
        -g5 + (1 / a - a) * x[4] >= 0,
        -g6 + (1 / a - a) * x[7] >= 0,
        1.22 * x[4] - x[1] - x[5] == 0,
        98000 * x[3] / (x[4] * x[9] + 1000 * x[3]) - x[6] == 0,
        (x[2] + x[5]) / x[1] - x[8] == 0,
    ):
        m.rows.add(row)
    m.o = pyo.Objective(expr=5.04 * x[1] + 0.035 * x[2] + 10 * x[3] + 3.36 * x[5] - 0.063 * x[4] * x[7])
    solve_and_check(m, -1768.80696, tolerance=1e-5)


def test_haverly_pooling(solve_and_check: Check) -> None:
    """Haverly's first pooling problem; the best profit is 400."""
    m = pyo.ConcreteModel()
    m.flow = pyo.Var(["A", "B", "Px", "Py", "Cx", "Cy"], bounds=(0, 300), initialize=50)
    m.sulfur = pyo.Var(bounds=(1, 3), initialize=1.2)
    f = m.flow
    m.pool = pyo.Constraint(expr=f["A"] + f["B"] == f["Px"] + f["Py"])
    m.quality = pyo.Constraint(expr=3 * f["A"] + f["B"] == m.sulfur * (f["Px"] + f["Py"]))
    m.x = pyo.Constraint(expr=m.sulfur * f["Px"] + 2 * f["Cx"] <= 2.5 * (f["Px"] + f["Cx"]))
    m.y = pyo.Constraint(expr=m.sulfur * f["Py"] + 2 * f["Cy"] <= 1.5 * (f["Py"] + f["Cy"]))
    m.demand_x = pyo.Constraint(expr=f["Px"] + f["Cx"] <= 100)
    m.demand_y = pyo.Constraint(expr=f["Py"] + f["Cy"] <= 200)
    m.profit = pyo.Objective(
        expr=9 * (f["Px"] + f["Cx"]) + 15 * (f["Py"] + f["Cy"]) - 6 * f["A"] - 16 * f["B"] - 10 * (f["Cx"] + f["Cy"]),
        sense=pyo.maximize,
    )
    solve_and_check(m, 400.0, tolerance=1e-5)


def test_two_reactors_in_series(solve_and_check: Check) -> None:
    """Reaction A to B to C in two stirred tanks (Ryoo and Sahinidis 1995): the largest outlet of B is 0.388811."""
    k = (0.09755988, 0.09658428, 0.0391908, 0.03527172)  # A in 1 and 2, B in 1 and 2
    m = pyo.ConcreteModel()
    m.a = pyo.Var([1, 2], bounds=(0, 1), initialize={1: 0.75, 2: 0.4})
    m.b = pyo.Var([1, 2], bounds=(0, 1), initialize={1: 0.2, 2: 0.4})
    m.v = pyo.Var([1, 2], bounds=(1e-5, 16), initialize={1: 3.0, 2: 5.0})
    m.a1 = pyo.Constraint(expr=m.a[1] + k[0] * m.a[1] * m.v[1] == 1)
    m.a2 = pyo.Constraint(expr=m.a[2] - m.a[1] + k[1] * m.a[2] * m.v[2] == 0)
    m.b1 = pyo.Constraint(expr=m.b[1] + m.a[1] + k[2] * m.b[1] * m.v[1] == 1)
    m.b2 = pyo.Constraint(expr=m.b[2] - m.b[1] + m.a[2] - m.a[1] + k[3] * m.b[2] * m.v[2] == 0)
    m.size = pyo.Constraint(expr=m.v[1] ** 0.5 + m.v[2] ** 0.5 <= 4)
    m.o = pyo.Objective(expr=-m.b[2])
    solve_and_check(m, -0.388811, tolerance=3e-5)


def test_optimal_reactor_design(solve_and_check: Check) -> None:
    """The stirred tank of Pyomo's own introduction: residence time for the most of product B."""
    k1, k2, k3, feed = 5 / 6, 5 / 3, 1 / 6000, 10000.0
    m = pyo.ConcreteModel()
    m.sv = pyo.Var(initialize=1.0, bounds=(0, None))
    m.c = pyo.Var(["a", "b", "c", "d"], initialize={"a": 2000, "b": 2000, "c": 2000, "d": 1000}, bounds=(0, None))
    m.a = pyo.Constraint(expr=m.sv * (feed - m.c["a"]) - k1 * m.c["a"] - 2 * k3 * m.c["a"] ** 2 == 0)
    m.b = pyo.Constraint(expr=-m.sv * m.c["b"] + k1 * m.c["a"] - k2 * m.c["b"] == 0)
    m.cc = pyo.Constraint(expr=-m.sv * m.c["c"] + k2 * m.c["b"] == 0)
    m.d = pyo.Constraint(expr=-m.sv * m.c["d"] + k3 * m.c["a"] ** 2 == 0)
    m.o = pyo.Objective(expr=m.c["b"], sense=pyo.maximize)
    solve_and_check(m, 1072.4372, tolerance=1e-6)


# -- power -----------------------------------------------------------------------------------------------------------------


def dispatch(losses: bool) -> Any:
    """Wood and Wollenberg, Power Generation, Operation and Control, examples 3A and 3C: three units, 850 MW."""
    cost = {1: (561, 7.92, 0.001562), 2: (310, 7.85, 0.00194), 3: (78, 7.97, 0.00482)}
    limits = {1: (150, 600), 2: (100, 400), 3: (50, 200)}
    m = pyo.ConcreteModel()
    m.p = pyo.Var([1, 2, 3], bounds=limits, initialize=200)
    loss = 0.00003 * m.p[1] ** 2 + 0.00009 * m.p[2] ** 2 + 0.00012 * m.p[3] ** 2 if losses else 0
    m.balance = pyo.Constraint(expr=m.p[1] + m.p[2] + m.p[3] == 850 + loss)
    m.o = pyo.Objective(expr=sum(c0 + c1 * m.p[i] + c2 * m.p[i] ** 2 for i, (c0, c1, c2) in cost.items()))
    return m


def test_economic_dispatch(solve_and_check: Check) -> None:
    m = dispatch(losses=False)
    solve_and_check(m, 8194.356, tolerance=1e-6)
    assert m.dual[m.balance] == pytest.approx(9.148, abs=1e-3)
    assert [round(m.p[i].value, 1) for i in (1, 2, 3)] == [393.2, 334.6, 122.2]


def test_economic_dispatch_with_losses(solve_and_check: Check) -> None:
    m = dispatch(losses=True)
    solve_and_check(m, 8344.593, tolerance=1e-6)
    assert m.dual[m.balance] == pytest.approx(9.5284, abs=1e-3)


@pytest.mark.parametrize("resistance", [0.01, 0.05])
def test_largest_power_over_a_line(resistance: float, solve_and_check: Check) -> None:
    """Most power to a load at a free voltage: matched load, |V|^2 (|z| - r) / (2 x^2) for unity power factor."""
    reactance = 0.1
    m = pyo.ConcreteModel()
    m.e, m.f = pyo.Var(initialize=0.8), pyo.Var(initialize=-0.3)
    m.p = pyo.Var(initialize=1.0)
    z2 = resistance**2 + reactance**2
    g, b = resistance / z2, -reactance / z2
    # Power that arrives at the load's bus e + jf from a source at 1 + j0.
    m.arriving = pyo.Constraint(expr=m.p == -g * (m.e**2 + m.f**2 - m.e) - b * m.f)
    m.reactive = pyo.Constraint(expr=b * (m.e**2 + m.f**2 - m.e) - g * m.f == 0)
    m.o = pyo.Objective(expr=m.p, sense=pyo.maximize)
    solve_and_check(m, (math.sqrt(z2) - resistance) / (2 * reactance**2))
