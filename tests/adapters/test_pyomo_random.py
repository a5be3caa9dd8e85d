"""Random expressions against Pyomo's own evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyomo.core.expr.numeric_expr import MaxExpression, MinExpression
from pyomo.core.expr.relational_expr import InequalityExpression

from sct_opt.adapters.pyomo import build
from sct_opt.adapters.pyomo.emission import MANY

# An expression as nested tuples: an operation on (subtrees and) the leaves of instance i of a model.
LEAVES = st.one_of(
    st.tuples(st.just("x"), st.integers(0, 2)),
    st.tuples(st.just("p"), st.integers(0, 1)),
    st.just(("fixed",)),
    st.tuples(st.just("e"), st.integers(0, 1)),
    st.tuples(st.just("number"), st.sampled_from([-2.0, -1, 0, 0.5, 1, 2, 3])),
)
UNARY = {
    "sin": pyo.sin,
    "exp": lambda a: pyo.exp(0.3 * pyo.sin(a)),
    "tanh": pyo.tanh,
    "neg": lambda a: -a,
    "abs": abs,
    "square": lambda a: a**2,
    "cube": lambda a: a**3,
    "root": lambda a: pyo.sqrt(a**2 + 1),
    "log": lambda a: pyo.log(2 + pyo.cos(a)),
}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (1.5 + b**2),
    "pow": lambda a, b: (a**2 + 0.5) ** (0.1 * b),
    "max": lambda a, b: MaxExpression([a, b]),
    "min": lambda a, b: MinExpression([a, b]),
    "if": lambda a, b: pyo.Expr_if(InequalityExpression((a, b), False), a + 1, b * 2),
}
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(sorted(UNARY)), inner),
        st.tuples(st.sampled_from(sorted(BINARY)), inner, inner),
        st.tuples(st.just("sum"), st.lists(inner, min_size=1, max_size=16)),
    ),
    max_leaves=25,
)


def grown(model: Any, i: int, tree: Any) -> Any:
    kind, *args = tree
    if kind == "x":
        return model.x[i, args[0]]
    if kind == "p":
        return model.p[args[0]]
    if kind == "fixed":
        return model.fixed
    if kind == "e":
        return model.e[i, args[0]]
    if kind == "number":
        return args[0]
    if kind == "sum":
        return sum((k % 3 - 1) * grown(model, i, arg) for k, arg in enumerate(args[0]))
    operands = [grown(model, i, arg) for arg in args]
    return UNARY[kind](*operands) if kind in UNARY else BINARY[kind](*operands)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(trees=st.lists(TREES, min_size=1, max_size=3), many=st.booleans())
def test_values(trees: list[Any], many: bool) -> None:
    count = MANY + 1 if many else 2
    model = pyo.ConcreteModel()
    rng = np.random.default_rng(len(str(trees)))
    model.x = pyo.Var(range(count), range(3), initialize=lambda m, i, k: rng.uniform(-1.5, 1.5))
    model.fixed = pyo.Var(initialize=0.7)
    model.fixed.fix()
    model.p = pyo.Param(range(2), initialize={0: 1.2, 1: -0.4}, mutable=True)
    model.e = pyo.Expression(range(count), range(2), rule=lambda m, i, k: m.x[i, 0] * m.x[i, 1] if k else m.x[i, 2] - 1)
    model.c = pyo.Constraint(
        range(count), range(len(trees)), rule=lambda m, i, k: (-1e9, grown(m, i, trees[k]) + m.x[i, 0], 1e9)
    )
    nlp, translation = build(model)
    x = np.array([v.value for v in translation.variables])
    expected = [pyo.value(c.body) for c in translation.constraints]
    np.testing.assert_allclose(nlp.constraints(x), expected, rtol=1e-10, atol=1e-10)
