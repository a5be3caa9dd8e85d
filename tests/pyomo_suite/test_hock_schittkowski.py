"""Problems of Hock and Schittkowski, Test Examples for Nonlinear Programming Codes (1981), with their published optima."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log, pi, sqrt
from typing import Any

import pyomo.environ as pyo
import pytest
from pyomo.environ import cos, exp, sin

PROBLEMS: dict[int, tuple[Callable[[], Any], float]] = {}


def variables(start: Sequence[float], lower: Any = None, upper: Any = None) -> tuple[Any, Any]:
    """A model with variables x[1], x[2], ...; scalar bounds hold for all of them."""

    def bound(given: Any, i: int) -> Any:
        return given[i - 1] if isinstance(given, tuple) else given

    model = pyo.ConcreteModel()
    model.x = pyo.Var(
        range(1, len(start) + 1),
        initialize=lambda m, i: start[i - 1],
        bounds=lambda m, i: (bound(lower, i), bound(upper, i)),
    )
    return model, model.x


def problem(number: int, optimum: float) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def register(make: Callable[[], Any]) -> Callable[[], Any]:
        PROBLEMS[number] = make, optimum
        return make

    return register


def finish(model: Any, objective: Any, *constraints: Any) -> Any:
    model.objective = pyo.Objective(expr=objective)
    model.constraints = pyo.ConstraintList()
    for constraint in constraints:
        model.constraints.add(constraint)
    return model


def rosenbrock(x: Any) -> Any:
    return 100 * (x[2] - x[1] ** 2) ** 2 + (1 - x[1]) ** 2


@problem(1, 0.0)
def hs1() -> Any:
    m, x = variables([-2, 1], (None, -1.5))
    return finish(m, rosenbrock(x))


@problem(2, 0.0504261879)
def hs2() -> Any:
    m, x = variables([1.3, 1.7], (None, 1.5))
    return finish(m, rosenbrock(x))


@problem(4, 8 / 3)
def hs4() -> Any:
    m, x = variables([1.125, 0.125], (1, 0))
    return finish(m, (x[1] + 1) ** 3 / 3 + x[2])


@problem(5, -sqrt(3) / 2 - pi / 3)
def hs5() -> Any:
    m, x = variables([0, 0], (-1.5, -3), (4, 3))
    return finish(m, sin(x[1] + x[2]) + (x[1] - x[2]) ** 2 - 1.5 * x[1] + 2.5 * x[2] + 1)


@problem(6, 0.0)
def hs6() -> Any:
    m, x = variables([-1.2, 1])
    return finish(m, (1 - x[1]) ** 2, 10 * (x[2] - x[1] ** 2) == 0)


@problem(7, -sqrt(3))
def hs7() -> Any:
    m, x = variables([2, 2])
    return finish(m, pyo.log(1 + x[1] ** 2) - x[2], (1 + x[1] ** 2) ** 2 + x[2] ** 2 == 4)


@problem(8, -1.0)
def hs8() -> Any:
    m, x = variables([2, 1])
    return finish(m, -1.0, x[1] ** 2 + x[2] ** 2 == 25, x[1] * x[2] == 9)


@problem(9, -0.5)
def hs9() -> Any:
    m, x = variables([0, 0])
    return finish(m, sin(pi * x[1] / 12) * cos(pi * x[2] / 16), 4 * x[1] - 3 * x[2] == 0)


@problem(10, -1.0)
def hs10() -> Any:
    m, x = variables([-10, 10])
    return finish(m, x[1] - x[2], -3 * x[1] ** 2 + 2 * x[1] * x[2] - x[2] ** 2 + 1 >= 0)


@problem(11, -8.498464223)
def hs11() -> Any:
    m, x = variables([4.9, 0.1])
    return finish(m, (x[1] - 5) ** 2 + x[2] ** 2 - 25, -(x[1] ** 2) + x[2] >= 0)


@problem(12, -30.0)
def hs12() -> Any:
    m, x = variables([0, 0])
    return finish(
        m, 0.5 * x[1] ** 2 + x[2] ** 2 - x[1] * x[2] - 7 * x[1] - 7 * x[2], 25 - 4 * x[1] ** 2 - x[2] ** 2 >= 0
    )


@problem(14, 9 - 2.875 * sqrt(7))
def hs14() -> Any:
    m, x = variables([2, 2])
    return finish(m, (x[1] - 2) ** 2 + (x[2] - 1) ** 2, 1 - 0.25 * x[1] ** 2 - x[2] ** 2 >= 0, x[1] - 2 * x[2] + 1 == 0)


@problem(16, 0.25)
def hs16() -> Any:
    m, x = variables([0.4, 0.2], (-0.5, None), (0.5, 1))
    return finish(m, rosenbrock(x), x[1] + x[2] ** 2 >= 0, x[1] ** 2 + x[2] >= 0)


@problem(18, 5.0)
def hs18() -> Any:
    m, x = variables([2, 2], (2, 0), 50)
    return finish(m, 0.01 * x[1] ** 2 + x[2] ** 2, x[1] * x[2] >= 25, x[1] ** 2 + x[2] ** 2 >= 25)


@problem(19, -6961.81381)
def hs19() -> Any:
    m, x = variables([20.1, 5.84], (13, 0), 100)
    return finish(
        m,
        (x[1] - 10) ** 3 + (x[2] - 20) ** 3,
        (x[1] - 5) ** 2 + (x[2] - 5) ** 2 >= 100,
        (x[2] - 5) ** 2 + (x[1] - 6) ** 2 <= 82.81,
    )


@problem(21, -99.96)
def hs21() -> Any:
    m, x = variables([-1, -1], (2, -50), 50)
    return finish(m, 0.01 * x[1] ** 2 + x[2] ** 2 - 100, 10 * x[1] - x[2] >= 10)


@problem(22, 1.0)
def hs22() -> Any:
    m, x = variables([2, 2])
    return finish(m, (x[1] - 2) ** 2 + (x[2] - 1) ** 2, x[1] + x[2] <= 2, -(x[1] ** 2) + x[2] >= 0)


@problem(23, 2.0)
def hs23() -> Any:
    m, x = variables([3, 1], -50, 50)
    square = x[1] ** 2 + x[2] ** 2
    return finish(
        m,
        square,
        x[1] + x[2] >= 1,
        square >= 1,
        9 * x[1] ** 2 + x[2] ** 2 >= 9,
        x[1] ** 2 - x[2] >= 0,
        x[2] ** 2 - x[1] >= 0,
    )


@problem(24, -1.0)
def hs24() -> Any:
    m, x = variables([1, 0.5], 0)
    return finish(
        m,
        ((x[1] - 3) ** 2 - 9) * x[2] ** 3 / (27 * sqrt(3)),
        x[1] / sqrt(3) - x[2] >= 0,
        x[1] + sqrt(3) * x[2] >= 0,
        -x[1] - sqrt(3) * x[2] + 6 >= 0,
    )


@problem(27, 0.04)
def hs27() -> Any:
    m, x = variables([2, 2, 2])
    return finish(m, 0.01 * (x[1] - 1) ** 2 + (x[2] - x[1] ** 2) ** 2, x[1] + x[3] ** 2 + 1 == 0)


@problem(28, 0.0)
def hs28() -> Any:
    m, x = variables([-4, 1, 1])
    return finish(m, (x[1] + x[2]) ** 2 + (x[2] + x[3]) ** 2, x[1] + 2 * x[2] + 3 * x[3] == 1)


@problem(29, -16 * sqrt(2))
def hs29() -> Any:
    m, x = variables([1, 1, 1])
    return finish(m, -x[1] * x[2] * x[3], x[1] ** 2 + 2 * x[2] ** 2 + 4 * x[3] ** 2 <= 48)


@problem(31, 6.0)
def hs31() -> Any:
    m, x = variables([1, 1, 1], (-10, 1, -10), (10, 10, 1))
    return finish(m, 9 * x[1] ** 2 + x[2] ** 2 + 9 * x[3] ** 2, x[1] * x[2] >= 1)


@problem(32, 1.0)
def hs32() -> Any:
    m, x = variables([0.1, 0.7, 0.2], 0)
    return finish(
        m,
        (x[1] + 3 * x[2] + x[3]) ** 2 + 4 * (x[1] - x[2]) ** 2,
        6 * x[2] + 4 * x[3] - x[1] ** 3 - 3 >= 0,
        x[1] + x[2] + x[3] == 1,
    )


@problem(34, -log(log(10)))
def hs34() -> Any:
    m, x = variables([0, 1.05, 2.9], 0, (100, 100, 10))
    return finish(m, -x[1], x[2] >= exp(x[1]), x[3] >= exp(x[2]))


@problem(35, 1 / 9)
def hs35() -> Any:
    m, x = variables([0.5, 0.5, 0.5], 0)
    quadratic = 2 * x[1] ** 2 + 2 * x[2] ** 2 + x[3] ** 2 + 2 * x[1] * x[2] + 2 * x[1] * x[3]
    return finish(m, 9 - 8 * x[1] - 6 * x[2] - 4 * x[3] + quadratic, x[1] + x[2] + 2 * x[3] <= 3)


@problem(37, -3456.0)
def hs37() -> Any:
    m, x = variables([10, 10, 10], 0, 42)
    return finish(m, -x[1] * x[2] * x[3], pyo.inequality(0, x[1] + 2 * x[2] + 2 * x[3], 72))


@problem(39, -1.0)
def hs39() -> Any:
    m, x = variables([2, 2, 2, 2])
    return finish(m, -x[1], x[2] - x[1] ** 3 - x[3] ** 2 == 0, x[1] ** 2 - x[2] - x[4] ** 2 == 0)


@problem(40, -0.25)
def hs40() -> Any:
    m, x = variables([0.8, 0.8, 0.8, 0.8])
    return finish(
        m, -x[1] * x[2] * x[3] * x[4], x[1] ** 3 + x[2] ** 2 == 1, x[1] ** 2 * x[4] == x[3], x[4] ** 2 == x[2]
    )


@problem(42, 28 - 10 * sqrt(2))
def hs42() -> Any:
    m, x = variables([1, 1, 1, 1])
    return finish(m, sum((x[i] - i) ** 2 for i in range(1, 5)), x[1] == 2, x[3] ** 2 + x[4] ** 2 == 2)


@problem(43, -44.0)
def hs43() -> Any:
    m, x = variables([0, 0, 0, 0])
    return finish(
        m,
        x[1] ** 2 + x[2] ** 2 + 2 * x[3] ** 2 + x[4] ** 2 - 5 * x[1] - 5 * x[2] - 21 * x[3] + 7 * x[4],
        8 - x[1] ** 2 - x[2] ** 2 - x[3] ** 2 - x[4] ** 2 - x[1] + x[2] - x[3] + x[4] >= 0,
        10 - x[1] ** 2 - 2 * x[2] ** 2 - x[3] ** 2 - 2 * x[4] ** 2 + x[1] + x[4] >= 0,
        5 - 2 * x[1] ** 2 - x[2] ** 2 - x[3] ** 2 - 2 * x[1] + x[2] + x[4] >= 0,
    )


def pentagon(x: Any) -> tuple[Any, ...]:
    return x[1] + 3 * x[2] == 0, x[3] + x[4] - 2 * x[5] == 0, x[2] - x[5] == 0


@problem(52, 1859 / 349)
def hs52() -> Any:
    m, x = variables([2] * 5)
    return finish(m, (4 * x[1] - x[2]) ** 2 + (x[2] + x[3] - 2) ** 2 + (x[4] - 1) ** 2 + (x[5] - 1) ** 2, *pentagon(x))


@problem(53, 176 / 43)
def hs53() -> Any:
    m, x = variables([2] * 5, -10, 10)
    return finish(m, (x[1] - x[2]) ** 2 + (x[2] + x[3] - 2) ** 2 + (x[4] - 1) ** 2 + (x[5] - 1) ** 2, *pentagon(x))


@problem(60, 0.03256820025)
def hs60() -> Any:
    m, x = variables([2, 2, 2], -10, 10)
    return finish(
        m,
        (x[1] - 1) ** 2 + (x[1] - x[2]) ** 2 + (x[2] - x[3]) ** 4,
        x[1] * (1 + x[2] ** 2) + x[3] ** 4 - 4 - 3 * sqrt(2) == 0,
    )


@problem(63, 961.7151721)
def hs63() -> Any:
    m, x = variables([2, 2, 2], 0)
    return finish(
        m,
        1000 - x[1] ** 2 - 2 * x[2] ** 2 - x[3] ** 2 - x[1] * x[2] - x[1] * x[3],
        8 * x[1] + 14 * x[2] + 7 * x[3] == 56,
        x[1] ** 2 + x[2] ** 2 + x[3] ** 2 == 25,
    )


@problem(64, 6299.842428)
def hs64() -> Any:
    m, x = variables([1, 1, 1], 1e-5)
    return finish(
        m,
        5 * x[1] + 50000 / x[1] + 20 * x[2] + 72000 / x[2] + 10 * x[3] + 144000 / x[3],
        4 / x[1] + 32 / x[2] + 120 / x[3] <= 1,
    )


@problem(65, 0.9535288567)
def hs65() -> Any:
    m, x = variables([-5, 5, 0], (-4.5, -4.5, -5), (4.5, 4.5, 5))
    return finish(
        m, (x[1] - x[2]) ** 2 + (x[1] + x[2] - 10) ** 2 / 9 + (x[3] - 5) ** 2, x[1] ** 2 + x[2] ** 2 + x[3] ** 2 <= 48
    )


@problem(66, 0.5181632741)
def hs66() -> Any:
    m, x = variables([0, 1.05, 2.9], 0, (100, 100, 10))
    return finish(m, 0.2 * x[3] - 0.8 * x[1], x[2] >= exp(x[1]), x[3] >= exp(x[2]))


@problem(71, 17.0140173)
def hs71() -> Any:
    m, x = variables([1, 5, 5, 1], 1, 5)
    return finish(
        m,
        x[1] * x[4] * (x[1] + x[2] + x[3]) + x[3],
        x[1] * x[2] * x[3] * x[4] >= 25,
        sum(x[i] ** 2 for i in range(1, 5)) == 40,
    )


@problem(76, -4.681818181)
def hs76() -> Any:
    m, x = variables([0.5] * 4, 0)
    quadratic = x[1] ** 2 + 0.5 * x[2] ** 2 + x[3] ** 2 + 0.5 * x[4] ** 2 - x[1] * x[3] + x[3] * x[4]
    return finish(
        m,
        quadratic - x[1] - 3 * x[2] + x[3] - x[4],
        x[1] + 2 * x[2] + x[3] + x[4] <= 5,
        3 * x[1] + x[2] + 2 * x[3] - x[4] <= 4,
        x[2] + 4 * x[3] >= 1.5,
    )


@problem(77, 0.24150513)
def hs77() -> Any:
    m, x = variables([2] * 5)
    return finish(
        m,
        (x[1] - 1) ** 2 + (x[1] - x[2]) ** 2 + (x[3] - 1) ** 2 + (x[4] - 1) ** 4 + (x[5] - 1) ** 6,
        x[1] ** 2 * x[4] + sin(x[4] - x[5]) == 2 * sqrt(2),
        x[2] + x[3] ** 4 * x[4] ** 2 == 8 + sqrt(2),
    )


def powell(x: Any) -> tuple[Any, ...]:
    return (sum(x[i] ** 2 for i in range(1, 6)) == 10, x[2] * x[3] == 5 * x[4] * x[5], x[1] ** 3 + x[2] ** 3 == -1)


@problem(78, -2.91970041)
def hs78() -> Any:
    m, x = variables([-2, 1.5, 2, -1, -1])
    return finish(m, pyo.prod(x[i] for i in range(1, 6)), *powell(x))


@problem(80, 0.0539498478)
def hs80() -> Any:
    m, x = variables([-2, 2, 2, -1, -1], (-2.3, -2.3, -3.2, -3.2, -3.2), (2.3, 2.3, 3.2, 3.2, 3.2))
    return finish(m, exp(pyo.prod(x[i] for i in range(1, 6))), *powell(x))


@problem(100, 680.6300573)
def hs100() -> Any:
    m, x = variables([1, 2, 0, 4, 0, 1, 1])
    objective = (
        (x[1] - 10) ** 2
        + 5 * (x[2] - 12) ** 2
        + x[3] ** 4
        + 3 * (x[4] - 11) ** 2
        + 10 * x[5] ** 6
        + 7 * x[6] ** 2
        + x[7] ** 4
        - 4 * x[6] * x[7]
        - 10 * x[6]
        - 8 * x[7]
    )
    return finish(
        m,
        objective,
        127 - 2 * x[1] ** 2 - 3 * x[2] ** 4 - x[3] - 4 * x[4] ** 2 - 5 * x[5] >= 0,
        282 - 7 * x[1] - 3 * x[2] - 10 * x[3] ** 2 - x[4] + x[5] >= 0,
        196 - 23 * x[1] - x[2] ** 2 - 6 * x[6] ** 2 + 8 * x[7] >= 0,
        -4 * x[1] ** 2 - x[2] ** 2 + 3 * x[1] * x[2] - 2 * x[3] ** 2 - 5 * x[6] + 11 * x[7] >= 0,
    )


@problem(106, 7049.248)
def hs106() -> Any:
    m, x = variables(
        [5000, 5000, 5000, 200, 350, 150, 225, 425], (100, 1000, 1000) + (10,) * 5, (10000,) * 3 + (1000,) * 5
    )
    return finish(
        m,
        x[1] + x[2] + x[3],
        0.0025 * (x[4] + x[6]) <= 1,
        0.0025 * (x[5] + x[7] - x[4]) <= 1,
        0.01 * (x[8] - x[5]) <= 1,
        x[1] * x[6] - 833.33252 * x[4] - 100 * x[1] + 83333.333 >= 0,
        x[2] * x[7] - 1250 * x[5] - x[2] * x[4] + 1250 * x[4] >= 0,
        x[3] * x[8] - 1250000 - x[3] * x[5] + 2500 * x[5] >= 0,
    )


@problem(112, -47.76109)
def hs112() -> Any:
    c = (-6.089, -17.164, -34.054, -5.914, -24.721, -14.986, -24.1, -10.708, -26.662, -22.179)
    m, x = variables([0.1] * 10, 1e-6)
    total = sum(x[i] for i in range(1, 11))
    return finish(
        m,
        sum(x[i] * (c[i - 1] + pyo.log(x[i] / total)) for i in range(1, 11)),
        x[1] + 2 * x[2] + 2 * x[3] + x[6] + x[10] == 2,
        x[4] + 2 * x[5] + x[6] + x[7] == 1,
        x[3] + x[7] + x[8] + 2 * x[9] + x[10] == 1,
    )


@problem(113, 24.3062091)
def hs113() -> Any:
    m, x = variables([2, 3, 5, 5, 1, 2, 7, 3, 6, 10])
    objective = x[1] ** 2 + x[2] ** 2 + x[1] * x[2] - 14 * x[1] - 16 * x[2] + (x[3] - 10) ** 2 + 4 * (x[4] - 5) ** 2
    objective += (x[5] - 3) ** 2 + 2 * (x[6] - 1) ** 2 + 5 * x[7] ** 2 + 7 * (x[8] - 11) ** 2 + 2 * (x[9] - 10) ** 2
    return finish(
        m,
        objective + (x[10] - 7) ** 2 + 45,
        105 - 4 * x[1] - 5 * x[2] + 3 * x[7] - 9 * x[8] >= 0,
        -10 * x[1] + 8 * x[2] + 17 * x[7] - 2 * x[8] >= 0,
        8 * x[1] - 2 * x[2] - 5 * x[9] + 2 * x[10] + 12 >= 0,
        -3 * (x[1] - 2) ** 2 - 4 * (x[2] - 3) ** 2 - 2 * x[3] ** 2 + 7 * x[4] + 120 >= 0,
        -5 * x[1] ** 2 - 8 * x[2] - (x[3] - 6) ** 2 + 2 * x[4] + 40 >= 0,
        -0.5 * (x[1] - 8) ** 2 - 2 * (x[2] - 4) ** 2 - 3 * x[5] ** 2 + x[6] + 30 >= 0,
        -(x[1] ** 2) - 2 * (x[2] - 2) ** 2 + 2 * x[1] * x[2] - 14 * x[5] + 6 * x[6] >= 0,
        3 * x[1] - 6 * x[2] - 12 * (x[9] - 8) ** 2 + 7 * x[10] >= 0,
    )


@pytest.mark.parametrize("number", sorted(PROBLEMS))
def test_published_optimum(number: int, solve_and_check: Callable[..., Any]) -> None:
    make, optimum = PROBLEMS[number]
    solve_and_check(make(), optimum)
