"""Expressions as graphs: simplifications, and every expression of the operator table inserted as literals."""

from __future__ import annotations

import numpy as np
import pytest

from sct_opt.ops import FIRST_SPECIAL, OPS, array_function
from sct_opt.programs.graph import Graph


def test_equal_expressions_are_one_node() -> None:
    graph = Graph()
    x, y = graph.leaf("x", 0), graph.leaf("x", 1)
    assert graph.add(x, y) == graph.add(y, x)
    assert graph.mul(x, y) == graph.mul(y, x)
    assert graph.sub(x, y) != graph.sub(y, x)
    assert graph.call("sin", x) == graph.expression("sin(a)", a=x)


def test_simplifications() -> None:
    graph = Graph()
    x = graph.leaf("x", 0)
    one, zero = graph.literal(1.0), graph.literal(0.0)
    assert graph.mul(one, x) == x
    assert graph.add(x, graph.literal(-0.0)) == x
    assert graph.nodes[graph.add(x, zero)][0] == "add"  # -0.0 + 0.0 is 0.0
    assert graph.neg(graph.neg(x)) == x
    assert graph.sub(graph.literal(-0.0), x) == graph.neg(x)
    assert graph.mul(graph.neg(x), graph.neg(x)) == graph.mul(x, x)
    assert graph.pow(x, graph.literal(2.0)) == graph.mul(x, x)
    assert graph.pow(x, one) == x
    assert graph.nodes[graph.div(x, graph.literal(4.0))][0] == "mul"
    assert graph.nodes[graph.div(x, graph.literal(3.0))][0] == "div"
    assert graph.nodes[graph.mul(zero, x)][0] == "mul"  # 0 * inf is not 0
    truth = graph.select(graph.compare("lt", x, one), one, zero)
    assert graph.nodes[graph.compare("ne", truth, zero)][0] == "lt"


def test_a_zero_adjoint_is_structural_and_a_conditional_one_is_guarded() -> None:
    graph = Graph()
    x, w = graph.leaf("x", 0), graph.leaf("w", 0)
    zero = graph.literal(0.0)
    assert graph.product(zero, x) == zero
    branch = graph.select(graph.compare("lt", x, zero), graph.literal(1.0), zero)
    taken = graph.product(w, branch)
    assert graph.nodes[taken][0] == "select"
    assert graph.nodes[graph.product(taken, graph.call("log", x))][0] == "select"


@pytest.mark.parametrize("op", [op for op in OPS[:FIRST_SPECIAL] if op.arity in (1, 2)], ids=lambda op: op.name)
def test_expressions_of_the_table_fold_to_their_values(op) -> None:  # type: ignore[no-untyped-def]
    for a, b in ((0.7, 0.4), (0.3, -1.5), (1.5, 2.0)):
        graph = Graph()
        args = (np.float64(a), np.float64(b))[: op.arity]
        v = op.evaluate(*args)
        for text in (op.value, *op.d, *op.dd):
            if text is None:
                continue
            names = {"a": graph.literal(a), "b": graph.literal(b), "v": graph.literal(float(v))}
            found = graph.number(graph.expression(text, **names))
            expected = array_function(text, op.arity)(*args, v) if text != op.value else v
            np.testing.assert_allclose(found, float(expected), rtol=1e-14)
