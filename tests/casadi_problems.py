"""CasADi problems in the ways people write them: dictionaries in SX and MX with their numbers, and Opti stacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np

Problem = tuple[dict[str, Any], dict[str, Any]]


# -- small textbook problems -----------------------------------------------------------------------------------------


def rosenbrock_in_disc() -> Problem:
    x = ca.SX.sym("x", 2)
    return {"x": x, "f": (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, "g": ca.sumsqr(x)}, {"x0": [-1, 1], "ubg": 1}


def rosenbrock_chain_mx() -> Problem:
    x = ca.MX.sym("x", 12)
    return {"x": x, "f": ca.sumsqr(1 - x[:-1]) + 100 * ca.sumsqr(x[1:] - x[:-1] ** 2)}, {
        "x0": 0.5,
        "lbx": -2,
        "ubx": 0.9,
    }


def hs071(kind: Any) -> Problem:
    x = kind.sym("x", 4)
    f = x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2]
    g = ca.vertcat(x[0] * x[1] * x[2] * x[3], ca.sumsqr(x))
    return {"x": x, "f": f, "g": g}, {"x0": [1, 5, 5, 1], "lbx": 1, "ubx": 5, "lbg": [25, 40], "ubg": [np.inf, 40]}


def hs071_with_parameters() -> Problem:
    problem, numbers = hs071(ca.MX)
    p = ca.MX.sym("p", 2)
    problem["g"] = problem["g"] - p
    problem["p"] = p
    return problem, numbers | {"p": [25, 40], "lbg": 0, "ubg": [np.inf, 0]}


def luksan_vlcek(kind: Any) -> Problem:
    n = 30
    x = kind.sym("x", n)
    f = 0
    for i in range(n // 2):
        f += 100 * (x[2 * i] ** 2 - x[2 * i + 1]) ** 2 + (x[2 * i] - 1) ** 2
    g = [
        3 * x[i + 1] ** 3
        + 2 * x[i + 2]
        - 5
        + ca.sin(x[i + 1] - x[i + 2]) * ca.sin(x[i + 1] + x[i + 2])
        + 4 * x[i + 1]
        - x[i] * ca.exp(x[i] - x[i + 1])
        - 3
        for i in range(n - 2)
    ]
    return {"x": x, "f": f, "g": ca.vertcat(*g)}, {"x0": np.tile([-1.2, 1.0], n // 2), "lbg": 0, "ubg": 0}


def circles_in_a_square() -> Problem:
    c, r = ca.MX.sym("c", 2, 4), ca.MX.sym("r")
    pairs = [(i, j) for i in range(4) for j in range(i)]
    apart = [ca.sumsqr(c[:, i] - c[:, j]) - 4 * r**2 for i, j in pairs]
    walls = ca.vertcat(ca.vec(c) - r, 1 - r - ca.vec(c))
    start = np.array([[0.2, 0.3], [0.8, 0.25], [0.25, 0.8], [0.75, 0.7]]).ravel()
    return {"x": ca.vertcat(ca.vec(c), r), "f": -r, "g": ca.vertcat(*apart, walls)}, {
        "x0": np.append(start, 0.1),
        "lbg": 0,
    }


def portfolio() -> Problem:
    rng = np.random.default_rng(1)
    n = 8
    factor, mean = rng.standard_normal((n, 3)), rng.uniform(0.5, 1.5, n)
    covariance = ca.DM(factor @ factor.T + np.diag(rng.uniform(0.1, 0.5, n)))
    w = ca.MX.sym("w", n)
    return {"x": w, "f": ca.bilin(covariance, w, w) - 0.5 * ca.dot(ca.DM(mean), w), "g": ca.sum1(w)}, {
        "x0": 1 / n,
        "lbx": 0,
        "ubx": 0.4,
        "lbg": 1,
        "ubg": 1,
    }


def logistic_regression() -> Problem:
    rng = np.random.default_rng(2)
    data, labels = ca.DM(rng.standard_normal((30, 3))), ca.DM(np.sign(rng.standard_normal(30)))
    w = ca.MX.sym("w", 3)
    margins = labels * ca.mtimes(data, w)
    losses = [ca.logsumexp(ca.vertcat(0, -margins[i])) for i in range(30)]
    return {"x": w, "f": ca.sum1(ca.vertcat(*losses)) + 0.1 * ca.sumsqr(w)}, {"x0": 0}


def procrustes() -> Problem:
    rng = np.random.default_rng(3)
    a, b = ca.DM(rng.standard_normal((5, 3))), ca.DM(rng.standard_normal((5, 3)))
    r = ca.MX.sym("r", 3, 3)
    lower = ca.Sparsity.lower(3).find()
    gram = ca.mtimes(r.T, r) - ca.DM.eye(3)
    return {"x": ca.vec(r), "f": ca.sumsqr(ca.mtimes(a, r) - b), "g": ca.vec(gram)[lower]}, {
        "x0": np.eye(3).ravel(),
        "lbg": 0,
        "ubg": 0,
    }


def truss_with_linear_solve() -> Problem:
    a = ca.MX.sym("a", 3)
    stiffness = ca.MX(ca.DM.eye(2)) * 0.1
    for k, angle in enumerate((0.0, np.pi / 3, np.pi / 2)):
        direction = ca.DM([np.cos(angle), np.sin(angle)])
        stiffness = ca.rank1(stiffness, a[k], direction, direction)
    load = ca.DM([1.0, 0.5])
    displacement = ca.solve(stiffness, load)
    return {"x": a, "f": ca.sum1(a), "g": ca.dot(load, displacement)}, {"x0": 1, "lbx": 1e-3, "ubg": 1.0}


def robot_arm() -> Problem:
    q = ca.SX.sym("q", 3)
    angle = ca.cumsum(q)
    tip = ca.vertcat(ca.sum1(ca.cos(angle)), ca.sum1(ca.sin(angle)))
    return {"x": q, "f": ca.sumsqr(q), "g": ca.vertcat(tip, ca.atan2(tip[1], tip[0] + 1))}, {
        "x0": 0.5,
        "lbg": [1.0, 1.5, -1],
        "ubg": [1.0, 1.5, 1],
    }


def feasibility() -> Problem:
    x = ca.SX.sym("x", 3)
    return {"x": x, "g": ca.vertcat(ca.sumsqr(x), x[0] * x[1] * x[2])}, {
        "x0": [1, 1.2, 0.9],
        "lbg": [3, 0.9],
        "ubg": [3, 0.9],
        "lbx": [0, 1.1, 0],
        "ubx": [5, 1.1, 5],
    }


def fixed_variables() -> Problem:
    x = ca.MX.sym("x", 5)
    return {"x": x, "f": ca.sumsqr(x - 2) + ca.exp(x[0] * x[4]), "g": ca.sum1(x)}, {
        "x0": 0,
        "lbx": [-9, 1, -9, -9, 0.5],
        "ubx": [9, 1, 9, 9, 0.5],
        "lbg": 2,
        "ubg": 7,
    }


def tabulated_cost() -> Problem:
    grid = np.linspace(-4, 4, 17)
    table = ca.interpolant("table", "bspline", [grid], np.cos(grid) + 0.1 * grid**2)
    plane = ca.interpolant("plane", "bspline", [grid, grid], np.add.outer(np.sin(grid), 0.1 * grid**2).ravel(order="F"))
    x = ca.MX.sym("x", 2)
    return {"x": x, "f": table(x[0]) + plane(x) + 0.05 * x[0] * x[1], "g": x[0] + x[1]}, {
        "x0": [2.0, 0.5],
        "lbg": 0,
        "ubg": 3,
        "lbx": -3.5,
        "ubx": 3.5,
    }


def implicit_equilibrium() -> Problem:
    z, q = ca.SX.sym("z"), ca.SX.sym("q")
    root = ca.rootfinder("root", "newton", {"x": z, "p": q, "g": z + 0.3 * ca.sin(z) - q})
    x = ca.MX.sym("x", 2)
    state = ca.vertcat(root(x0=0, p=x[0])["x"], root(x0=0, p=x[1])["x"])
    return {"x": x, "f": ca.sumsqr(x - 1), "g": ca.sum1(state)}, {"x0": 0.5, "lbg": 1, "ubg": 1}


def friction() -> Problem:
    x = ca.MX.sym("x", 6)
    steps = x[1:] - x[:-1]
    smooth = ca.if_else(ca.fabs(steps) > 0.5, ca.fabs(steps) - 0.25, steps**2)
    return {"x": x, "f": ca.sum1(smooth) + 0.3 * ca.sumsqr(x[2] - 1.7), "g": x[0] + x[5]}, {
        "x0": np.linspace(0, 1, 6),
        "lbx": [0.1, *[-5] * 5],
        "ubx": 5,
        "lbg": -1,
        "ubg": 1,
    }


def three_bus_power_flow() -> Problem:
    conductance = np.array([[2.0, -1, -1], [-1, 2.5, -1.5], [-1, -1.5, 2.5]])
    susceptance = -10 * conductance
    v, a, gen, q = ca.SX.sym("v", 3), ca.SX.sym("a", 3), ca.SX.sym("gen", 2), ca.SX.sym("q", 3)
    balance = []
    for i in range(3):
        active = sum(
            v[i] * v[j] * (conductance[i, j] * ca.cos(a[i] - a[j]) + susceptance[i, j] * ca.sin(a[i] - a[j]))
            for j in range(3)
        )
        reactive = sum(
            v[i] * v[j] * (conductance[i, j] * ca.sin(a[i] - a[j]) - susceptance[i, j] * ca.cos(a[i] - a[j]))
            for j in range(3)
        )
        balance += [active - (gen[i] if i < 2 else -1.5), reactive - q[i]]
    cost = 0.1 * gen[0] ** 2 + gen[0] + 0.05 * gen[1] ** 2 + 1.2 * gen[1]
    low = [0.95] * 3 + [0, -1, -1] + [0, 0] + [-1, -1, -0.3]
    high = [1.05] * 3 + [0, 1, 1] + [2, 2] + [1, 1, -0.3]
    return {"x": ca.vertcat(v, a, gen, q), "f": cost, "g": ca.vertcat(*balance)}, {
        "x0": [1, 1, 1, 0, 0, 0, 0.8, 0.8, 0, 0, -0.3],
        "lbx": low,
        "ubx": high,
        "lbg": 0,
        "ubg": 0,
    }


def exponential_fit() -> Problem:
    t = np.linspace(0, 3, 25)
    data = 2 * np.exp(-1.3 * t) + 0.5 + 0.01 * np.random.default_rng(4).standard_normal(25)
    theta = ca.SX.sym("theta", 3)
    return {"x": theta, "f": ca.sumsqr(theta[0] * ca.exp(-theta[1] * t) + theta[2] - data)}, {
        "x0": [1, 1, 0],
        "lbx": 0,
        "ubx": 10,
    }


# -- optimal control ---------------------------------------------------------------------------------------------------


def van_der_pol(kind: Any = ca.SX) -> ca.Function:
    x, u = kind.sym("x", 2), kind.sym("u")
    rhs = ca.vertcat((1 - x[1] ** 2) * x[0] - x[1] + u, x[0])
    return ca.Function("ode", [x, u], [rhs, ca.sumsqr(x) + u**2], ["x", "u"], ["xdot", "L"])


def runge_kutta(ode: ca.Function, h: float, steps: int = 2, kind: Any = ca.MX) -> ca.Function:
    x0, u = kind.sym("x0", ode.size1_in(0)), kind.sym("u", ode.size1_in(1))
    x, q = x0, 0
    for _ in range(steps):
        k1, q1 = ode(x, u)
        k2, q2 = ode(x + h / 2 * k1, u)
        k3, q3 = ode(x + h / 2 * k2, u)
        k4, q4 = ode(x + h * k3, u)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        q = q + h / 6 * (q1 + 2 * q2 + 2 * q3 + q4)
    return ca.Function("step", [x0, u], [x, q], ["x0", "u"], ["xf", "qf"])


def multiple_shooting(n: int = 10, kind: Any = ca.MX, step: ca.Function | None = None) -> Problem:
    step = step or runge_kutta(van_der_pol(), 10 / n / 2)
    states = [kind.sym(f"x{k}", 2) for k in range(n + 1)]
    controls = [kind.sym(f"u{k}") for k in range(n)]
    f, g = 0, []
    for k in range(n):
        end, cost = step(states[k], controls[k])
        g.append(end - states[k + 1])
        f += cost
    w, low, high = [], [], []
    for k in range(n):
        w += [states[k], controls[k]]
        low += [0 if k == 0 else -0.25, 1 if k == 0 else -np.inf, -1]
        high += [0 if k == 0 else np.inf, 1 if k == 0 else np.inf, 1]
    w.append(states[n])
    return {"x": ca.vertcat(*w), "f": f, "g": ca.vertcat(*g)}, {
        "x0": 0,
        "lbx": [*low, -0.25, -np.inf],
        "ubx": [*high, np.inf, np.inf],
        "lbg": 0,
        "ubg": 0,
    }


def multiple_shooting_map(n: int = 10, parallel: str = "serial") -> Problem:
    step = runge_kutta(van_der_pol(), 10 / n / 2).map(n, parallel)
    x, u = ca.MX.sym("x", 2, n + 1), ca.MX.sym("u", 1, n)
    end, cost = step(x[:, :-1], u)
    low, high = np.full((2, n + 1), -np.inf), np.full((2, n + 1), np.inf)
    low[0] = -0.25
    low[:, 0] = high[:, 0] = [0, 1]
    return (
        {"x": ca.veccat(x, u), "f": ca.sum2(cost), "g": ca.vec(end - x[:, 1:])},
        {
            "x0": 0,
            "lbx": np.append(low.ravel(order="F"), -np.ones(n)),
            "ubx": np.append(high.ravel(order="F"), np.ones(n)),
            "lbg": 0,
            "ubg": 0,
        },
    )


def single_shooting(n: int = 10) -> Problem:
    x0, u = ca.MX([0, 1]), ca.MX.sym("u", 1, n)
    step = runge_kutta(van_der_pol(), 10 / n / 2)
    # CasADi's accumulation passes the first output on: the state
    ends, cost = step.mapaccum("chain", n)(x0, u)
    return {"x": ca.vec(u), "f": ca.sum2(cost), "g": ends[0, :].T}, {"x0": 0, "lbx": -1, "ubx": 1, "lbg": -0.25}


def shooting_with_integrator(plugin: str, n: int = 4, **options: Any) -> Problem:
    x, u = ca.SX.sym("x", 2), ca.SX.sym("u")
    rhs, cost = van_der_pol()(x, u)
    integrator = ca.integrator("integrator", plugin, {"x": x, "p": u, "ode": rhs, "quad": cost}, 0, 4 / n, options)
    x0, v = ca.MX.sym("x0", 2), ca.MX.sym("v")
    end = integrator(x0=x0, p=v)
    return multiple_shooting(n, step=ca.Function("step", [x0, v], [end["xf"], end["qf"]]))


def collocation(kind: Any, n: int = 6, d: int = 3) -> Problem:
    tau = ca.collocation_points(d, "legendre")
    c, end, b = ca.collocation_coeff(tau)
    ode, h = van_der_pol(), 6 / n
    w, low, high, start, g, f = [], [], [], [], [], 0
    state = kind.sym("x0", 2)
    w, low, high, start = [state], [0, 1], [0, 1], [0, 1]
    for k in range(n):
        u = kind.sym(f"u{k}")
        points = [kind.sym(f"x{k}_{j}", 2) for j in range(d)]
        w += [u, *points]
        low += [-1] + [-0.25, -np.inf] * d
        high += [1] + [np.inf] * 2 * d
        start += [0] + [0, 0] * d
        all_points = ca.horzcat(state, *points)
        slopes = ca.mtimes(all_points, c)
        for j in range(d):
            rhs, cost = ode(points[j], u)
            g.append(slopes[:, j] - h * rhs)
            f += h * b[j] * cost
        final = ca.mtimes(all_points, end)
        state = kind.sym(f"x{k + 1}", 2)
        w.append(state)
        low += [-0.25, -np.inf]
        high += [np.inf, np.inf]
        start += [0, 0]
        g.append(final - state)
    return {"x": ca.vertcat(*w), "f": f, "g": ca.vertcat(*g)}, {
        "x0": start,
        "lbx": low,
        "ubx": high,
        "lbg": 0,
        "ubg": 0,
    }


def cart_pole(kind: Any, n: int = 15) -> Problem:
    h, length, cart, pole, gravity = 2.0 / n, 0.5, 1.0, 0.3, 9.81

    def rhs(x: Any, u: Any) -> Any:
        s, c = ca.sin(x[1]), ca.cos(x[1])
        a = (length * pole * s * x[3] ** 2 + u + pole * gravity * c * s) / (cart + pole * (1 - c**2))
        b = -(length * pole * c * s * x[3] ** 2 + u * c + (cart + pole) * gravity * s) / (
            length * cart + length * pole * (1 - c**2)
        )
        return ca.vertcat(x[2], x[3], a, b)

    xs, us = [kind.sym(f"x{k}", 4) for k in range(n + 1)], [kind.sym(f"u{k}") for k in range(n + 1)]
    fs = [rhs(x, u) for x, u in zip(xs, us, strict=True)]
    g = [xs[k + 1] - xs[k] - h / 2 * (fs[k] + fs[k + 1]) for k in range(n)]
    f = sum(h / 2 * (us[k] ** 2 + us[k + 1] ** 2) for k in range(n))
    low, high = np.tile([-2, -10, -20, -20, -40], (n + 1, 1)), np.tile([2, 10, 20, 20, 40], (n + 1, 1))
    low[0, :4] = high[0, :4] = 0
    low[n, :4] = high[n, :4] = [1, np.pi, 0, 0]
    guess = np.zeros((n + 1, 5))
    guess[:, 0], guess[:, 1] = np.linspace(0, 1, n + 1), np.linspace(0, np.pi, n + 1)
    w = ca.vertcat(*[part for pair in zip(xs, us, strict=True) for part in pair])
    return {"x": w, "f": f, "g": ca.vertcat(*g)}, {
        "x0": guess.ravel(),
        "lbx": low.ravel(),
        "ubx": high.ravel(),
        "lbg": 0,
        "ubg": 0,
    }


def kinetics_estimation() -> Problem:
    x, k = ca.SX.sym("x", 2), ca.SX.sym("k", 2)
    ode = ca.Function("ode", [x, k], [ca.vertcat(-k[0] * x[0], k[0] * x[0] - k[1] * x[1]), 0])
    step = runge_kutta(ode, 0.25)
    n = 8
    truth = np.array([1.0, 0.0])
    data = [truth]
    for _ in range(n):
        data.append(np.array(step(data[-1], [1.0, 0.4])[0]).ravel())
    data = np.array(data).T + 0.01 * np.random.default_rng(5).standard_normal((2, n + 1))
    rates, states = ca.MX.sym("k", 2), ca.MX.sym("x", 2, n + 1)
    ends = step.map(n)(states[:, :-1], ca.repmat(rates, 1, n))[0]
    return {"x": ca.veccat(rates, states), "f": ca.sumsqr(states - data), "g": ca.vec(ends - states[:, 1:])}, {
        "x0": 0.5,
        "lbx": 0,
        "ubx": 5,
        "lbg": 0,
        "ubg": 0,
    }


DICTIONARIES: dict[str, Callable[[], Problem]] = {
    "rosenbrock in a disc, SX": rosenbrock_in_disc,
    "rosenbrock chain, MX": rosenbrock_chain_mx,
    "HS071, SX": lambda: hs071(ca.SX),
    "HS071, MX": lambda: hs071(ca.MX),
    "HS071 with parameters": hs071_with_parameters,
    "Luksan-Vlcek, SX": lambda: luksan_vlcek(ca.SX),
    "Luksan-Vlcek, MX": lambda: luksan_vlcek(ca.MX),
    "circles in a square": circles_in_a_square,
    "portfolio": portfolio,
    "logistic regression": logistic_regression,
    "procrustes": procrustes,
    "truss with linear solve": truss_with_linear_solve,
    "robot arm": robot_arm,
    "feasibility": feasibility,
    "fixed variables": fixed_variables,
    "tabulated cost": tabulated_cost,
    "implicit equilibrium": implicit_equilibrium,
    "friction": friction,
    "three-bus power flow": three_bus_power_flow,
    "exponential fit": exponential_fit,
    "multiple shooting, MX": multiple_shooting,
    "multiple shooting, SX": lambda: multiple_shooting(kind=ca.SX),
    "multiple shooting, map": multiple_shooting_map,
    "multiple shooting, thread map": lambda: multiple_shooting_map(parallel="thread"),
    "single shooting": single_shooting,
    "shooting with cvodes": lambda: shooting_with_integrator("cvodes", abstol=1e-10, reltol=1e-10),
    "shooting with rk": lambda: shooting_with_integrator("rk"),
    "shooting with collocation integrator": lambda: shooting_with_integrator(
        "collocation", rootfinder="newton", number_of_finite_elements=4
    ),
    "collocation, SX": lambda: collocation(ca.SX),
    "collocation, MX": lambda: collocation(ca.MX),
    "cart-pole, SX": lambda: cart_pole(ca.SX),
    "cart-pole, MX": lambda: cart_pole(ca.MX),
    "kinetics estimation": kinetics_estimation,
}


# -- Opti stacks: each returns the stack, expressions to compare, and constraints whose multipliers to compare ----------

Stack = tuple[ca.Opti, list[Any], list[Any]]


def race_car() -> Stack:
    n = 12
    opti = ca.Opti()
    x, u, t = opti.variable(2, n + 1), opti.variable(1, n), opti.variable()
    pos, speed = x[0, :], x[1, :]
    opti.minimize(t)
    s, v = ca.MX.sym("s", 2), ca.MX.sym("v", 2)
    step = runge_kutta(ca.Function("ode", [s, v], [ca.vertcat(s[1], v[0] - s[1]) * v[1], 0]), 1 / n, 1)
    gaps = [x[:, k + 1] == step(x[:, k], ca.vertcat(u[k], t))[0] for k in range(n)]
    limit = speed <= 1 - ca.sin(2 * ca.pi * pos) / 2
    bounds = [opti.bounded(0, u, 1), pos[0] == 0, speed[0] == 0, pos[-1] == 1, t >= 0]
    opti.subject_to(gaps)
    opti.subject_to(limit)
    opti.subject_to(bounds)
    opti.set_initial(speed, 1)
    opti.set_initial(t, 1)
    return opti, [x, u, t], [*gaps, limit, *bounds]


def bryson_denham() -> Stack:
    n = 20
    opti = ca.Opti()
    x, u = opti.variable(2, n + 1), opti.variable(1, n)
    h = 1 / n
    gaps = [x[:, k + 1] == x[:, k] + h * ca.vertcat(x[1, k] + h / 2 * u[k], u[k]) for k in range(n)]
    rows = [*gaps, x[0, :] <= 1 / 9, x[:, 0] == ca.DM([0, 1]), x[:, -1] == ca.DM([0, -1])]
    opti.minimize(h / 2 * ca.sumsqr(u))
    opti.subject_to(rows)
    return opti, [x, u], rows


def minimum_time() -> Stack:
    n = 15
    opti = ca.Opti()
    x, u, t = opti.variable(2, n + 1), opti.variable(n), opti.variable()
    distance = opti.parameter()
    gaps = [x[:, k + 1] == x[:, k] + t / n * ca.vertcat(x[1, k] + t / n / 2 * u[k], u[k]) for k in range(n)]
    rows = [*gaps, opti.bounded(-1, u, 0.5), x[:, 0] == 0, x[0, n] == distance, x[1, n] == 0, t >= 0.1]
    opti.minimize(t)
    opti.subject_to(rows)
    opti.set_value(distance, 3.0)
    opti.set_initial(t, 3)
    opti.set_initial(x[1, :], 1)
    return opti, [x, u, t], rows


def hanging_chain() -> Stack:
    n = 12
    opti = ca.Opti()
    p = opti.variable(2, n)
    rows = [ca.vec(p[1, :] - ca.cos(0.1 * p[0, :])) >= 0.2, p[:, 0] == ca.DM([-2, 1.5]), p[:, -1] == ca.DM([2, 1.5])]
    opti.minimize(20 * ca.sumsqr(p[:, 1:] - p[:, :-1]) + 9.81 * 0.4 * ca.sum2(p[1, :]))
    opti.subject_to(rows)
    opti.set_initial(p[0, :], np.linspace(-2, 2, n))
    opti.set_initial(p[1, :], 1.5)
    return opti, [p], rows


def moving_horizon_estimation() -> Stack:
    n, rng = 10, np.random.default_rng(6)
    step = runge_kutta(van_der_pol(), 0.1, 1)
    truth = [np.array([0.5, 1.0])]
    for _ in range(n):
        truth.append(np.array(step(truth[-1], 0.1)[0]).ravel())
    opti = ca.Opti()
    x, w = opti.variable(2, n + 1), opti.variable(2, n)
    data, prior = opti.parameter(1, n + 1), opti.parameter(2)
    gaps = x[:, 1:] == step.map(n)(x[:, :-1], 0.1 * ca.DM.ones(1, n))[0] + w
    rows = [gaps, opti.bounded(-0.2, ca.vec(w), 0.2)]
    opti.minimize(100 * ca.sumsqr(x[0, :] - data) + 10 * ca.sumsqr(w) + ca.sumsqr(x[:, 0] - prior))
    opti.subject_to(rows)
    opti.set_value(data, np.array(truth)[:, :1].T + 0.05 * rng.standard_normal((1, n + 1)))
    opti.set_value(prior, [0.4, 0.9])
    return opti, [x, w], rows


def planar_quadrotor() -> Stack:
    n = 12
    opti = ca.Opti()
    x, u = opti.variable(6, n + 1), opti.variable(2, n)
    s, v = ca.MX.sym("s", 6), ca.MX.sym("v", 2)
    thrust = v[0] + v[1]
    rhs = ca.vertcat(s[3:], -thrust * ca.sin(s[2]), thrust * ca.cos(s[2]) - 9.81, 10 * (v[0] - v[1]))
    step = runge_kutta(ca.Function("ode", [s, v], [rhs, ca.sumsqr(v - 4.905)]), 1.5 / n, 1)
    ends, cost = step.map(n)(x[:, :-1], u)
    rows = [
        ca.vec(x[:, 1:]) == ca.vec(ends),
        opti.bounded(0, ca.vec(u), 15),
        x[:, 0] == 0,
        x[:, n] == ca.DM([1, 1, 0, 0, 0, 0]),
    ]
    avoid = (x[0, :] - 0.6) ** 2 + (x[1, :] - 0.3) ** 2 >= 0.04
    opti.minimize(1.5 / n * ca.sum2(cost))
    opti.subject_to(rows)
    opti.subject_to(avoid)
    opti.set_initial(u, 4.905)
    opti.set_initial(x[0, :], np.linspace(0, 1, n + 1))
    opti.set_initial(x[1, :], np.linspace(0, 1, n + 1))
    return opti, [x, u], [*rows, avoid]


def scaled_tank() -> Stack:
    n = 8
    opti = ca.Opti()
    level, flow = opti.variable(n + 1), opti.variable(n)
    opti.set_linear_scale(level, 100.0, 50.0)
    opti.set_linear_scale(flow, 0.01)
    rows = [level[k + 1] == level[k] + 1000 * (flow[k] - 0.001 * ca.sqrt(level[k] + 1)) for k in range(n)]
    bounds = [opti.bounded(20, level, 90), flow >= 0, level[0] == 30, level[n] >= 80]
    opti.minimize(1e4 * ca.sumsqr(flow), 10.0)
    for row in rows:
        opti.subject_to(row, 100.0)
    opti.subject_to(bounds)
    opti.set_initial(level, 50)
    return opti, [level, flow], [*rows, *bounds]


STACKS: dict[str, Callable[[], Stack]] = {
    "race car": race_car,
    "Bryson-Denham": bryson_denham,
    "minimum time": minimum_time,
    "hanging chain": hanging_chain,
    "moving-horizon estimation": moving_horizon_estimation,
    "planar quadrotor": planar_quadrotor,
    "scaled tank": scaled_tank,
}
