"""Pyomo models against Pyomo's own values and derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.core.base import constraint as constraint_module
from pyomo.core.base.units_container import _PyomoUnit
from pyomo.core.expr.calculus.derivatives import Modes, differentiate
from pyomo.core.expr.logical_expr import AtLeastExpression
from pyomo.core.expr.numeric_expr import (
    DivisionExpression,
    MaxExpression,
    MinExpression,
    ProductExpression,
    UnaryFunctionExpression,
)
from pyomo.dae import ContinuousSet, DerivativeVar, Integral
from pyomo.gdp import Disjunct, Disjunction
from pyomo.mpec import Complementarity, complements

from sct_opt.adapters.pyomo import build, from_pyomo, matcher
from sct_opt.adapters.pyomo.emission import MANY
from sct_opt.adapters.pyomo.matcher import LONG_SUM, OFTEN
from sct_opt.errors import ModelError, UnsupportedOperatorError
from sct_opt.ops import OPCODE


def point(nlp: Any, seed: int = 0) -> np.ndarray:
    lower, upper = np.maximum(nlp.lb, 0.2), np.minimum(nlp.ub, 0.9)
    return lower + (upper - lower) * np.random.default_rng(seed).random(nlp.n)


def check_against_pyomo(model: Any, x: np.ndarray | None = None, second: bool = True) -> Any:
    """Values and first derivatives as Pyomo computes them, second derivatives by differences of first ones."""
    nlp, translation = build(model)
    x = point(nlp) if x is None else x
    for variable, number in zip(translation.variables, x.tolist(), strict=True):
        variable.set_value(number, skip_validation=True)
    sign = -1.0 if nlp.maximize else 1.0
    bodies = [c.body for c in translation.constraints]
    objective = translation.objective.expr if translation.objective is not None else 0.0
    np.testing.assert_allclose(nlp.objective(x), sign * pyo.value(objective), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(nlp.constraints(x), [pyo.value(b) for b in bodies], rtol=1e-12, atol=1e-12)

    def gradient(expression: Any) -> np.ndarray:
        if expression.__class__ in (int, float) or expression is None:
            return np.zeros(nlp.n)
        return np.array(
            differentiate(expression, wrt_list=translation.variables, mode=Modes.reverse_numeric), dtype=float
        )

    np.testing.assert_allclose(nlp.gradient(x), sign * gradient(objective), rtol=1e-9, atol=1e-9)
    jacobian = np.zeros((nlp.m, nlp.n))
    jacobian[nlp.jacobianstructure()] = nlp.jacobian(x)
    np.testing.assert_allclose(
        jacobian, np.array([gradient(b) for b in bodies]).reshape(nlp.m, nlp.n), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(nlp.cl, [-np.inf if c.lb is None else c.lb for c in translation.constraints])
    np.testing.assert_allclose(nlp.cu, [np.inf if c.ub is None else c.ub for c in translation.constraints])
    if second:
        check_second(nlp, x)
    return nlp


def check_second(nlp: Any, x: np.ndarray) -> None:
    weights = np.random.default_rng(1).standard_normal(nlp.m)
    hessian = np.zeros((nlp.n, nlp.n))
    rows, cols = nlp.hessianstructure()
    hessian[rows, cols] = nlp.hessian(x, weights, 0.7)
    hessian[cols, rows] = hessian[rows, cols]

    def gradient(y: np.ndarray) -> np.ndarray:
        jacobian = np.zeros((nlp.m, nlp.n))
        jacobian[nlp.jacobianstructure()] = nlp.jacobian(y)
        return 0.7 * nlp.gradient(y) + weights @ jacobian

    step = 1e-6
    for i in range(nlp.n):
        e = np.zeros(nlp.n)
        e[i] = step
        column = (gradient(x + e) - gradient(x - e)) / (2 * step)
        np.testing.assert_allclose(hessian[:, i], column, rtol=2e-5, atol=2e-5)


def model_with(count: int = 3) -> Any:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(count), initialize=0.5)
    return model


# -- every kind of expression --------------------------------------------------------------------------------------

INTRINSIC = [
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "asin",
    "acos",
    "atan",
    "asinh",
    "atanh",
    "exp",
    "log",
    "log10",
    "sqrt",
]

EXPRESSIONS: dict[str, Callable[[Any, Any], Any]] = {
    "number": lambda m, x: x[0] + 4.0,
    "sum": lambda m, x: x[0] + x[1] + x[2] - 3,
    "linear": lambda m, x: 2 * x[0] - x[1] + 0 * x[2] + 7,
    "linear of linear": lambda m, x: 2 * (3 * x[0] - (x[1] - 5) * 4) / 3 + x[2],
    "repeated variable": lambda m, x: x[0] + 2 * x[0] - x[1] * x[1],
    "negation": lambda m, x: -(x[0] * x[1]) - pyo.sin(-x[2]),
    "product": lambda m, x: 3 * x[0] * x[1] * (2 * x[2]),
    "division": lambda m, x: x[0] / x[1] + 1 / x[2] + x[0] / 4,
    "division by linear": lambda m, x: (x[0] + 1) / (2 * x[1] + x[2] + 3),
    "square": lambda m, x: x[0] ** 2 + (x[1] - x[2]) ** 2,
    "powers": lambda m, x: x[0] ** 3 + x[1] ** -1 + x[2] ** 0.5 + x[0] ** 1.7 + x[1] ** 1,
    "power of variables": lambda m, x: x[0] ** x[1] + 2 ** x[2],
    "abs": lambda m, x: abs(x[0] - 2) * x[1],
    "conditional": lambda m, x: pyo.Expr_if(x[0] >= 0.5, x[0] ** 2 + x[1], pyo.sin(x[1])),
    "conditional strict": lambda m, x: pyo.Expr_if(x[0] < x[1], x[0] * x[1], x[2] ** 2),
    "conditional equal": lambda m, x: pyo.Expr_if(x[0] == x[1], x[0], x[2] ** 2),
    "conditional range": lambda m, x: pyo.Expr_if(pyo.inequality(0.1, x[0], 0.8), x[0] ** 2, x[1] ** 2),
    "conditional strict range": lambda m, x: pyo.Expr_if(
        pyo.inequality(0.8, x[0], 0.9, strict=True), x[0] ** 2, x[1] ** 2
    ),
    "conditional and": lambda m, x: pyo.Expr_if(pyo.land(x[0] >= 0.1, x[1] >= 0.1), x[0] * x[2], x[1] ** 2),
    "conditional or": lambda m, x: pyo.Expr_if(pyo.lor(x[0] >= 5, x[1] >= 0.1), x[0] * x[2], x[1] ** 2),
    "conditional not": lambda m, x: pyo.Expr_if(pyo.lnot(x[0] >= 5), x[0] * x[2], x[1] ** 2),
    "conditional xor": lambda m, x: pyo.Expr_if(pyo.xor(x[0] >= 5, x[1] >= 0.1), x[0] * x[2], x[1] ** 2),
    "conditional implies": lambda m, x: pyo.Expr_if(pyo.implies(x[0] >= 0.1, x[1] >= 5), x[0] * x[2], x[1] ** 2),
    "conditional equivalent": lambda m, x: pyo.Expr_if(pyo.equivalent(x[0] >= 0.1, x[1] >= 5), x[0] * x[2], x[1] ** 2),
    "constant conditional": lambda m, x: pyo.Expr_if(m.p >= 1, x[0] ** 2, x[1]),
    "mutable parameter": lambda m, x: m.p * x[0] + x[1] * m.p * x[2] + m.p**2 * pyo.sin(m.p * x[0]),
    "parameter power": lambda m, x: x[0] ** m.p + m.p ** x[1],
    "parameter expression": lambda m, x: (m.p + 2 * m.q[1]) * x[0] / (m.p * m.q[2]) + pyo.exp(m.p) * x[1],
    "immutable parameter": lambda m, x: m.r * x[0] * x[1] + m.r,
    "fixed variable": lambda m, x: m.fixed * x[0] + x[1] ** m.fixed + pyo.log(m.fixed) + m.fixed / x[2],
    "named expression": lambda m, x: m.e * x[2] + m.e**2 + pyo.sin(m.e),
    "nested named expression": lambda m, x: m.ee[1] * m.ee[2] + m.e,
    "number in a named expression": lambda m, x: m.five * x[0] ** m.five,
    "zero times nonlinear": lambda m, x: 0 * pyo.exp(x[0]) + x[1] * x[2],
    "long sum": lambda m, x: sum(k * pyo.sin(k * x[k % 3]) + x[k % 3] for k in range(LONG_SUM + 5)),
    "long sum inside": lambda m, x: pyo.exp(-sum((x[k % 3] - k / 9) ** 2 for k in range(LONG_SUM + 5))),
    "quicksum": lambda m, x: pyo.quicksum(k * x[k] for k in range(3)) + pyo.prod(x[k] for k in range(3)),
    "sum product": lambda m, x: pyo.sum_product(m.q, {1: x[0], 2: x[1]}, index=[1, 2]),
}
EXPRESSIONS |= {
    name: (lambda f: lambda m, x: f(x[0] * 0.9) + 2 * f(x[1] * x[2]))(getattr(pyo, name)) for name in INTRINSIC
}
EXPRESSIONS["acosh"] = lambda m, x: pyo.acosh(x[0] + 2)
NOT_DIFFERENTIATED_BY_PYOMO = ("conditional", "constant conditional", "acosh", "asinh", "atanh", "cosh", "sinh", "tanh")


def battery(build_expression: Callable[[Any, Any], Any], count: int) -> Any:
    model = model_with(3 * count)
    model.p = pyo.Param(initialize=1.3, mutable=True)
    model.q = pyo.Param([1, 2], initialize={1: 0.7, 2: 2.1}, mutable=True)
    model.r = pyo.Param(initialize=0.4)
    model.fixed = pyo.Var(initialize=1.9)
    model.fixed.fix()
    model.e = pyo.Expression(expr=model.x[0] * model.x[1] + 1)
    model.ee = pyo.Expression([1, 2], rule=lambda m, i: i * m.e**2 - m.x[2])
    model.five = pyo.Expression(expr=5)
    model.c = pyo.Constraint(
        range(count), rule=lambda m, i: build_expression(m, [m.x[3 * i + k] for k in range(3)]) <= 10.0
    )
    model.o = pyo.Objective(
        expr=sum((i + 1) * build_expression(model, [model.x[3 * i + k] for k in range(3)]) for i in range(count))
    )
    return model


@pytest.mark.parametrize("count", [1, MANY + 1])
@pytest.mark.parametrize("name", sorted(EXPRESSIONS))
def test_expression(name: str, count: int) -> None:
    model = battery(EXPRESSIONS[name], count)
    if not name.startswith(NOT_DIFFERENTIATED_BY_PYOMO):
        check_against_pyomo(model)
        return
    nlp, translation = build(model)
    x = point(nlp)
    for variable, number in zip(translation.variables, x.tolist(), strict=True):
        variable.set_value(number)
    np.testing.assert_allclose(nlp.constraints(x), [pyo.value(c.body) for c in translation.constraints], rtol=1e-12)
    for i, variable in enumerate(translation.variables[:3]):
        numbers = []
        for step in (1e-6, -2e-6):
            variable.set_value(variable.value + step)
            numbers.append(pyo.value(model.o))
        variable.set_value(x[i])
        np.testing.assert_allclose(nlp.gradient(x)[i], (numbers[0] - numbers[1]) / 2e-6, rtol=1e-5, atol=1e-6)
    check_second(nlp, x)


@pytest.mark.parametrize("count", [1, MANY + 1])
@pytest.mark.parametrize("name", ["ceil", "floor"])
def test_step_functions_have_values_and_no_slope(name: str, count: int) -> None:
    nlp, translation = build(battery(lambda m, x: getattr(pyo, name)(3 * x[0]) + x[1] + x[2], count))
    x = point(nlp)
    for variable, number in zip(translation.variables, x.tolist(), strict=True):
        variable.set_value(number)
    np.testing.assert_allclose(nlp.constraints(x), [pyo.value(c.body) for c in translation.constraints])
    assert nlp.jacobian_pattern.nnz == 2 * count


@pytest.mark.parametrize("count", [1, MANY + 1])
def test_maximum_and_minimum(count: int) -> None:
    model = battery(lambda m, x: MaxExpression([x[0], x[1], 0.5]) * x[2] - MinExpression([x[0] ** 2, x[2]]), count)
    nlp, _translation = build(model)
    x = point(nlp)
    y = x.reshape(-1, 3)
    expected = np.maximum(np.maximum(y[:, 0], y[:, 1]), 0.5) * y[:, 2] - np.minimum(y[:, 0] ** 2, y[:, 2])
    np.testing.assert_allclose(nlp.constraints(x), expected)
    check_second(nlp, x)


def test_alike_but_not_equal_constraints_are_told_apart() -> None:
    model = model_with(30)

    def rule(m: Any, i: int) -> Any:
        if i % 3 == 0:
            return m.x[i] * m.x[i + 1] <= 1
        if i % 3 == 1:
            return m.x[i] * m.x[i] <= 1
        return m.x[i] / m.x[i + 1] + i * m.x[0] ** (i % 4) <= 1

    model.c = pyo.Constraint(range(29), rule=rule)
    model.o = pyo.Objective(expr=sum(model.x[i] ** 2 for i in range(30)))
    check_against_pyomo(model)


def test_expressions_of_any_depth() -> None:
    model = model_with(1)
    expression = model.x[0]
    for _ in range(20000):
        expression = pyo.sin(expression) * 1.0001
    model.c = pyo.Constraint(expr=expression <= 1)
    model.chain = pyo.Expression(range(3000))
    model.chain[0] = model.x[0]
    for k in range(1, 3000):
        model.chain[k] = pyo.cos(model.chain[k - 1])
    model.o = pyo.Objective(expr=model.chain[2999])
    nlp = from_pyomo(model)
    expected = 0.5
    for _ in range(2999):
        expected = math.cos(expected)
    assert nlp.objective([0.5]) == pytest.approx(expected, abs=1e-15)


def test_shared_expressions_are_emitted_once() -> None:
    model = model_with(2)
    model.e = pyo.Expression(expr=pyo.exp(model.x[0] * model.x[1]))
    model.c = pyo.Constraint(range(50), rule=lambda m, i: m.e * (i + 1) <= 1)
    model.o = pyo.Objective(expr=model.e)
    nlp = check_against_pyomo(model)
    assert int((nlp.tape.opcode == OPCODE["exp"]).sum()) == 1


# -- models ----------------------------------------------------------------------------------------------------------


def test_variables_in_order_of_declaration_and_only_those_in_use() -> None:
    model = pyo.ConcreteModel()
    model.a = pyo.Var()
    model.unused = pyo.Var()
    model.b = pyo.Block()
    model.b.y = pyo.Var([3, 1, 2], initialize=2, bounds=(1, None))
    model.z = pyo.Var(within=pyo.NonNegativeReals, bounds=(None, 7))
    model.b.c = pyo.Constraint([1, 2], rule=lambda b, i: model.z + b.y[i] * b.y[3] <= i)
    model.off = pyo.Constraint(expr=model.unused == 1)
    model.off.deactivate()
    model.ref = pyo.Reference(model.b.y[:])
    model.o = pyo.Objective(expr=model.a + model.ref[1] ** 2)
    nlp = from_pyomo(model)
    assert nlp.variable_names == ["a", "z", "b.y[3]", "b.y[1]", "b.y[2]"]
    assert nlp.constraint_names == ["b.c[1]", "b.c[2]"]
    np.testing.assert_array_equal(nlp.lb, [-np.inf, 0, 1, 1, 1])
    np.testing.assert_array_equal(nlp.ub, [np.inf, 7, np.inf, np.inf, np.inf])
    np.testing.assert_array_equal(nlp.x0, [0, 0, 2, 2, 2])


def test_variable_without_value_starts_at_the_bound_nearest_to_zero() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var([1, 2, 3], bounds={1: (2, 5), 2: (-5, -3), 3: (-1, 1)})
    model.o = pyo.Objective(expr=sum(model.x[i] ** 2 for i in (1, 2, 3)))
    np.testing.assert_array_equal(from_pyomo(model).x0, [2, -3, 0])


@pytest.mark.parametrize("count", [1, MANY + 2])
def test_kinds_of_constraints(count: int) -> None:
    model = model_with(count + 1)
    model.p = pyo.Param(initialize=2.5, mutable=True)
    model.equality = pyo.Constraint(range(count), rule=lambda m, i: m.x[i] ** 2 == 3)
    model.sides = pyo.Constraint(range(count), rule=lambda m, i: m.x[i] ** 2 == pyo.exp(m.x[i + 1]))
    model.lower = pyo.Constraint(range(count), rule=lambda m, i: m.x[i] * m.x[i + 1] >= 1)
    model.greater = pyo.Constraint(range(count), rule=lambda m, i: m.x[i] >= 2 * m.x[i + 1] + 1)
    model.ranged = pyo.Constraint(range(count), rule=lambda m, i: (-1, pyo.sin(m.x[i]), m.p))
    model.tuples = pyo.Constraint(range(count), rule=lambda m, i: (None, m.x[i], 4))
    model.parameter = pyo.Constraint(range(count), rule=lambda m, i: m.x[i] * m.p <= m.p + i)
    model.free = pyo.Constraint(expr=(None, model.x[0] ** 2, float("inf")))
    model.rows = pyo.ConstraintList()
    model.rows.add(model.x[0] + model.x[1] == 1)
    model.o = pyo.Objective(expr=sum(model.x[i] ** 4 for i in range(count + 1)))
    nlp = check_against_pyomo(model)
    assert nlp.m == 7 * count + 1


def test_maximize_negates_the_tape() -> None:
    model = model_with(2)
    model.o = pyo.Objective(expr=1 - (model.x[0] - 1) ** 2 - model.x[1] ** 2, sense=pyo.maximize)
    nlp = check_against_pyomo(model)
    assert nlp.maximize
    assert nlp.objective([0.0, 0.0]) == 0.0


def test_no_objective_is_a_feasibility_problem() -> None:
    model = model_with(2)
    model.c = pyo.Constraint(expr=model.x[0] * model.x[1] == 1)
    nlp = check_against_pyomo(model)
    np.testing.assert_array_equal(nlp.gradient([1.0, 2.0]), [0, 0])


def test_parameters_change_without_retracing() -> None:
    model = model_with(2)
    model.p = pyo.Param([1, 2], initialize={1: 2.0, 2: 3.0}, mutable=True)
    model.k = pyo.Var(initialize=4.0)
    model.k.fix()
    model.c = pyo.Constraint(expr=model.p[1] * model.x[0] + model.p[2] ** 2 * model.x[1] * model.k <= 1)
    model.o = pyo.Objective(expr=model.p[1] * model.x[0])
    nlp, translation = build(model)
    assert sorted(nlp.parameters.names) == ["k", "p[1]", "p[2]"]
    np.testing.assert_allclose(nlp.constraints([1.0, 1.0]), [2 + 36])
    model.p[1] = 5.0
    model.k.fix(2.0)
    nlp.parameters = translation.parameter_values()
    np.testing.assert_allclose(nlp.constraints([1.0, 1.0]), [5 + 18])
    assert nlp.objective([1.0, 1.0]) == 5.0


def test_fixed_variables_can_be_kept_as_variables() -> None:
    model = model_with(2)
    model.x[0].fix(3.0)
    model.o = pyo.Objective(expr=model.x[0] * model.x[1] ** 2)
    assert from_pyomo(model).variable_names == ["x[1]"]
    nlp, _ = build(model, free=[model.x[0]])
    assert nlp.variable_names == ["x[0]", "x[1]"]
    assert nlp.lb[0] == nlp.ub[0] == 3.0


def test_constraints_without_variables_are_checked_and_left_out() -> None:
    model = model_with(3)
    model.p = pyo.Param(initialize=1.0, mutable=True)
    model.x[0].fix(1.0)
    model.c = pyo.Constraint([0, 1], rule=lambda m, i: m.x[i] ** 2 <= m.p + 1)
    model.o = pyo.Objective(expr=model.x[1] + model.x[2])
    nlp, translation = build(model)
    assert nlp.constraint_names == ["c[1]"]
    assert [row for row, *_ in translation.changing] == [0]
    model.x[0].fix(3.0)
    with pytest.raises(ModelError, match=r"Constraint 'c\[0\]' holds no free variable and is violated: its value is 9"):
        from_pyomo(model)


def test_sub_block_is_a_model() -> None:
    model = model_with(2)
    model.b = pyo.Block([1, 2])
    for i in (1, 2):
        model.b[i].y = pyo.Var(initialize=i)
        model.b[i].c = pyo.Constraint(expr=model.b[i].y * model.x[0] == i)
    nlp = from_pyomo(model.b[2])
    assert nlp.constraint_names == ["b[2].c"]
    assert set(nlp.variable_names) == {"b[2].y", "x[0]"}


def test_templatized_constraints() -> None:
    model = pyo.ConcreteModel()
    model.t = pyo.RangeSet(1, 12)
    model.x = pyo.Var(model.t, initialize=0.4)
    before = constraint_module.TEMPLATIZE_CONSTRAINTS
    constraint_module.TEMPLATIZE_CONSTRAINTS = True
    try:
        model.c = pyo.Constraint(model.t, rule=lambda m, t: pyo.sin(m.x[t]) * m.x[t] <= 1)
    finally:
        constraint_module.TEMPLATIZE_CONSTRAINTS = before
    model.o = pyo.Objective(expr=sum(model.x[t] ** 2 for t in model.t))
    check_against_pyomo(model)


@pytest.mark.parametrize("transformation", ["dae.collocation", "dae.finite_difference"])
def test_differential_equations(transformation: str) -> None:
    model = pyo.ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.x = pyo.Var(model.t, initialize=0.7)
    model.u = pyo.Var(model.t, initialize=0.1, bounds=(-1, 1))
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.ode = pyo.Constraint(model.t, rule=lambda m, t: m.dx[t] == -(m.x[t] ** 2) + m.u[t] * pyo.exp(-m.x[t]))
    model.start = pyo.Constraint(expr=model.x[0] == 1)
    model.cost = Integral(model.t, wrt=model.t, rule=lambda m, t: m.x[t] ** 2 + m.u[t] ** 2)
    model.o = pyo.Objective(expr=model.cost)
    with pytest.raises(ModelError, match=r"DerivativeVar 'dx'.*dae"):
        from_pyomo(model)
    options = {"nfe": 4, "ncp": 3} if transformation == "dae.collocation" else {"nfe": 12}
    pyo.TransformationFactory(transformation).apply_to(model, **options)
    nlp = check_against_pyomo(model)
    assert len(nlp.x0) > 30


def test_units_are_magnitudes() -> None:
    metre = _PyomoUnit(object(), object())
    model = pyo.ConcreteModel()
    model.x = pyo.Var(initialize=2.0)
    model.o = pyo.Objective(expr=model.x**2 / metre)
    assert from_pyomo(model).objective([3.0]) == 9.0


# -- external functions ------------------------------------------------------------------------------------------------


def two_argument_function(args: list[float], fgh: int, fixed: Any) -> tuple[float, list[float], list[float]]:
    x, y = args
    return (
        x**2 * math.sin(y),
        [2 * x * math.sin(y), x**2 * math.cos(y)],
        [2 * math.sin(y), 2 * x * math.cos(y), -(x**2) * math.sin(y)],
    )


@pytest.mark.parametrize("count", [1, MANY + 1])
def test_external_functions(count: int) -> None:
    model = model_with(3 * count)
    model.f = pyo.ExternalFunction(fgh=two_argument_function)
    model.g = pyo.ExternalFunction(
        lambda x: x**3, lambda args, fixed: [3 * args[0] ** 2], lambda args, fixed: [6 * args[0]]
    )
    model.c = pyo.Constraint(
        range(count), rule=lambda m, i: m.f(m.x[3 * i] * m.x[3 * i + 1], m.x[3 * i + 2]) + m.g(m.x[3 * i]) <= i
    )
    model.o = pyo.Objective(expr=model.g(model.x[0]) + model.f(2.0, model.x[1]))
    nlp, _translation = build(model)
    x = point(nlp)
    y = x.reshape(-1, 3)
    np.testing.assert_allclose(nlp.constraints(x), (y[:, 0] * y[:, 1]) ** 2 * np.sin(y[:, 2]) + y[:, 0] ** 3)
    assert nlp.objective(x) == pytest.approx(x[0] ** 3 + 4 * math.sin(x[1]))
    gradient = np.zeros(nlp.n)
    gradient[:2] = 3 * x[0] ** 2, 4 * math.cos(x[1])
    np.testing.assert_allclose(nlp.gradient(x), gradient)
    check_second(nlp, x)


def test_external_function_without_gradient() -> None:
    model = model_with(1)
    model.f = pyo.ExternalFunction(lambda x: x**3)
    model.o = pyo.Objective(expr=model.f(model.x[0]))
    with pytest.raises(ModelError, match="ExternalFunction 'f' has no gradient"):
        from_pyomo(model)


# -- bad models ----------------------------------------------------------------------------------------------------------


def bad(change: Callable[[Any], Any]) -> Any:
    model = model_with(3)
    model.p = pyo.Param(mutable=True)
    model.o = pyo.Objective(expr=model.x[0] ** 2 + model.x[1])
    change(model)
    return model


def two_objectives(model: Any) -> None:
    model.second = pyo.Objective(expr=model.x[2])


def integers(model: Any) -> None:
    model.i = pyo.Var([1, 2], within=pyo.Binary)
    model.c = pyo.Constraint(expr=model.i[1] + model.i[2] * model.x[0] <= 1)


def disjunction(model: Any) -> None:
    model.d = Disjunct([1, 2])
    model.choice = Disjunction(expr=[model.d[1], model.d[2]])


def complementarity(model: Any) -> None:
    model.kkt = Complementarity(expr=complements(model.x[0] >= 0, model.x[1] >= 0))


def all_fixed(model: Any) -> None:
    model.x.fix(1.0)


def parameter_without_value(model: Any) -> None:
    model.c = pyo.Constraint(expr=model.p * model.x[0] <= 1)


def bound_without_value(model: Any) -> None:
    model.c = pyo.Constraint(expr=model.x[0] * model.x[1] <= model.p)


def fixed_without_value(model: Any) -> None:
    model.y = pyo.Var()
    model.y.fixed = True
    model.c = pyo.Constraint(expr=model.y * model.x[0] <= 1)


def expression_without_value(model: Any) -> None:
    model.e = pyo.Expression()
    model.c = pyo.Constraint(expr=model.e * model.x[0] <= 1)


def expression_of_itself(model: Any) -> None:
    model.e = pyo.Expression(expr=model.x[0])
    model.f = pyo.Expression(expr=model.e + 1)
    model.e.expr = model.f * model.x[0]
    model.c = pyo.Constraint(expr=model.e <= 1)


def not_a_number(model: Any) -> None:
    model.c = pyo.Constraint([1, 2], rule=lambda m, i: float("nan" if i == 2 else 1) * m.x[0] ** 2 <= 1)


def zero_divisor(model: Any) -> None:
    model.e = pyo.Expression(range(MANY + 2), rule=lambda m, i: i - 3)
    model.c = pyo.Constraint(range(MANY + 2), rule=lambda m, i: DivisionExpression((m.x[0], i - 3)) <= 1)


def infinite_bound(model: Any) -> None:
    model.x[1].setlb(float("inf"))


def whole_component(model: Any) -> None:
    model.c = pyo.Constraint(expr=ProductExpression((model.x[0], model.x)) <= 1)


def unknown_function(model: Any) -> None:
    model.c = pyo.Constraint(expr=UnaryFunctionExpression((model.x[0],), "zeta", math.gamma) <= 1)


def unknown_expression(model: Any) -> None:
    model.c = pyo.Constraint(
        [7], rule=lambda m, i: pyo.Expr_if(AtLeastExpression([1, m.x[0] >= 1, m.x[1] >= 1]), m.x[0], 1) <= 1
    )


BAD: list[tuple[Callable[[Any], None], type[Exception], str]] = [
    (two_objectives, ModelError, r"2 active objectives \('o', 'second'\); deactivate"),
    (integers, ModelError, r"2 variables are integer or binary \('i\[1\]', 'i\[2\]'\).*core.relax_integer_vars"),
    (disjunction, ModelError, r"Disjunct 'd'.*gdp.bigm"),
    (complementarity, ModelError, r"Complementarity 'kkt': apply TransformationFactory\('mpec"),
    (all_fixed, ModelError, "all variables .* are fixed; unfix"),
    (parameter_without_value, ModelError, "Param 'p' has no numerical value.*set it before solving"),
    (bound_without_value, ModelError, "Constraint 'c' has a bound without a value, p"),
    (fixed_without_value, ModelError, "Constraint 'c' uses variable 'y', which is fixed but has no value"),
    (expression_without_value, ModelError, "Constraint 'c' uses Expression 'e', which has no value"),
    (expression_of_itself, ModelError, "Expression '[ef]' refers to itself"),
    (not_a_number, ModelError, r"Constraint 'c\[2\]' contains a number that is not finite"),
    (zero_divisor, ModelError, r"Constraint 'c\[3\]' divides by a constant that is zero"),
    (infinite_bound, ModelError, r"Var 'x\[1\]' has the bound inf, which no value can satisfy"),
    (whole_component, ModelError, "Constraint 'c' .*'x'"),
    (
        unknown_function,
        UnsupportedOperatorError,
        "Constraint 'c' contains function 'zeta', which has no row in the operator table",
    ),
    (unknown_expression, UnsupportedOperatorError, r"Constraint 'c\[7\]' contains AtLeastExpression"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD, ids=[change.__name__ for change, *_ in BAD])
def test_bad_models_are_named(change: Callable[[Any], None], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match="(?s)" + message):
        from_pyomo(bad(change))


def test_abstract_models_and_strangers() -> None:
    with pytest.raises(ModelError, match="create_instance"):
        from_pyomo(pyo.AbstractModel())
    with pytest.raises(ModelError, match="expected a Pyomo ConcreteModel or Block, got dict"):
        from_pyomo({})
    with pytest.raises(ModelError, match="no active constraint or objective holds a variable"):
        from_pyomo(pyo.ConcreteModel())


# -- readers of one structure ------------------------------------------------------------------------------------------------


def mixed_model(count: int) -> Any:
    """Many constraints of a few structures, with fixed variables, parameters and shared expressions among the leaves."""
    model = model_with(count + 2)
    model.p = pyo.Param(range(count), initialize=lambda m, i: i / 7, mutable=True)
    model.e = pyo.Expression(range(count), rule=lambda m, i: pyo.exp(m.x[i] - m.p[i]))
    model.x[5].fix(0.3)
    model.x[count // 2].fix(0.4)

    def rule(m: Any, i: int) -> Any:
        if i % 11 == 3:
            return m.x[i] / m.x[i + 1] == m.p[i]
        if i % 11 == 4:
            return pyo.cos(m.x[i]) * m.x[i + 1] <= 3
        if i % 11 == 5:
            return m.x[i] * (2 if i % 2 else m.p[i]) + m.e[i] * m.x[0] >= m.x[i + 1] ** (2 + i % 2)
        if i % 11 == 6:
            return sum(pyo.sin(k * m.x[i]) for k in range(LONG_SUM + 2)) <= m.x[i + 1]
        return i * m.x[i] ** 2 - pyo.sin(m.x[i + 1] - m.e[i]) * m.p[i] + 3 * m.x[i + 2] - m.x[0] == m.x[i + 2] * m.e[i]

    model.c = pyo.Constraint(range(count), rule=rule)
    model.b = pyo.Block(range(count))
    for i in range(count):
        model.b[i].y = pyo.Var(initialize=0.1)
        model.b[i].c = pyo.Constraint(expr=model.b[i].y * model.x[i] == 1 + pyo.tanh(model.x[i + 1]))
    model.o = pyo.Objective(expr=sum(i * (model.x[i] - model.x[i + 1] ** 2) ** 2 for i in range(count)))
    return model


def test_compiled_readers_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mixed_model(3 * OFTEN)
    fast = from_pyomo(model)
    monkeypatch.setattr(matcher, "OFTEN", 10**9)
    slow = from_pyomo(model)
    assert fast.variable_names == slow.variable_names
    assert fast.parameters.names == slow.parameters.names
    for name in (
        "opcode",
        "arg0",
        "arg1",
        "row_ptr",
        "row_arg",
        "row_coef",
        "row_const",
        "constants",
        "outputs",
        "parameters",
    ):
        np.testing.assert_array_equal(getattr(fast.tape, name), getattr(slow.tape, name))


@pytest.mark.parametrize("usual", range(6))
def test_compiled_readers_refuse_what_differs(usual: int) -> None:
    count = OFTEN + 60
    model = model_with(count + 1)

    def rule(m: Any, i: int) -> Any:
        x, y = m.x[i], m.x[i + 1]
        others = [
            pyo.cos(2 * x) + x * y**2 + 3,
            pyo.sin(2 * x) + x / y**2 + 3,
            pyo.sin(2 * x) + x * y**2 + y,
            pyo.sin(2 * x) + x * y**2,
            pyo.sin(x * x) + x * y**2 + 3,
            pyo.sin(2 * x) + x * y**x + 3,
        ]
        return others[usual if i <= OFTEN else i % len(others)] <= 1

    model.c = pyo.Constraint(range(count), rule=rule)
    nlp, translation = build(model)
    x = point(nlp)
    for variable, number in zip(translation.variables, x.tolist(), strict=True):
        variable.set_value(number)
    np.testing.assert_allclose(nlp.constraints(x), [pyo.value(c.body) for c in translation.constraints], rtol=1e-13)
