"""Sparse derivatives against dense ones in plain Python, whatever the coloring and the evaluation mode."""

from __future__ import annotations

import copy
import pickle
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings

from sct_opt.derivatives import Derivatives
from sct_opt.errors import ShapeError
from sct_opt.ops import OPCODE
from sct_opt.pattern import SparsityPattern
from sct_opt.programs import EngineOptions, Mode
from sct_opt.tape import TapeBuilder
from tests.random_tapes import Program, derivatives, programs

TOLERANCE = {"rtol": 1e-8, "atol": 1e-8}


def dense(pattern: SparsityPattern, values: np.ndarray) -> np.ndarray:
    return sp.csr_array((values, pattern.indices, pattern.indptr), shape=pattern.shape).toarray()


@settings(max_examples=100, deadline=None)
@given(programs())
def test_all_derivatives_match_the_oracle(program: Program) -> None:
    tape, x = program.tape, program.x
    values, jacobian, hessians = derivatives(tape, x)
    d = Derivatives(tape)
    rng = np.random.default_rng(1)
    v, w = rng.standard_normal(tape.num_inputs), rng.standard_normal(tape.num_outputs)
    hessian = np.tensordot(w, hessians, axes=1)
    np.testing.assert_allclose(d.values(x), values, **TOLERANCE)
    np.testing.assert_allclose(d.jvp(x, v), jacobian @ v, **TOLERANCE)
    np.testing.assert_allclose(d.vjp(x, w), jacobian.T @ w, **TOLERANCE)
    np.testing.assert_allclose(d.hvp(x, w, v), hessian @ v, **TOLERANCE)
    np.testing.assert_allclose(dense(d.jacobian_pattern, d.jacobian_values(x)), jacobian, **TOLERANCE)
    np.testing.assert_allclose(dense(d.hessian_lower_pattern, d.hessian_values(x, w)), np.tril(hessian), **TOLERANCE)


def arrow(n: int) -> Derivatives:
    """Outputs sum(x**2) and x[i]**2 + x[0]: a dense row and a dense column."""
    builder = TapeBuilder()
    x = builder.inputs(n)
    squares = builder.unary(OPCODE["square"], x)
    total = builder.affine(np.array([n]), squares, np.ones(n), np.zeros(1))
    return Derivatives(builder.freeze(np.concatenate([total, builder.binary(OPCODE["add"], squares[1:], x[:1])])))


def test_arrow_jacobian_takes_few_sweeps() -> None:
    d = arrow(50)
    assert d.jacobian_coloring.num_colors <= 4
    x = np.linspace(-1.0, 1.0, 50)
    expected = np.vstack([2 * x, np.hstack([np.ones((49, 1)), np.diag(2 * x[1:])])])
    np.testing.assert_allclose(dense(d.jacobian_pattern, d.jacobian_values(x)), expected, rtol=1e-14)


def test_given_patterns_are_used() -> None:
    builder = TapeBuilder()
    x = builder.inputs(2)
    full = SparsityPattern.from_matrix(np.ones((2, 2)))
    d = Derivatives(builder.freeze(builder.unary(OPCODE["square"], x)), jacobian_pattern=full, hessian_pattern=full)
    assert d.jacobian_pattern is full
    assert d.jacobian_values(np.array([1.0, 2.0])).tolist() == [2.0, 0.0, 0.0, 4.0]
    assert d.hessian_values(np.ones(2), np.array([1.0, 3.0])).tolist() == [2.0, 0.0, 6.0]


def test_parameters_take_effect_at_the_next_evaluation() -> None:
    builder = TapeBuilder()
    x = builder.inputs(1)
    p = builder.parameter_block(np.array([2.0]))
    d = Derivatives(builder.freeze(builder.binary(OPCODE["mul"], p, builder.unary(OPCODE["square"], x))))
    point = np.array([3.0])
    assert d.jacobian_values(point).tolist() == [12.0]
    d.parameters[0] = 5.0
    assert d.jacobian_values(point).tolist() == [30.0]
    assert d.hessian_values(point, np.ones(1)).tolist() == [10.0]
    d.parameters = np.array([-1.0])
    assert d.values(point).tolist() == [-9.0]


def test_results_belong_to_the_caller() -> None:
    d = arrow(4)
    first = d.jacobian_values(np.ones(4))
    kept = first.copy()
    d.jacobian_values(2 * np.ones(4))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(("call", "name"), [("jvp", "v"), ("vjp", "w")])
def test_wrong_shapes_are_named(call: str, name: str) -> None:
    d = arrow(4)
    with pytest.raises(ShapeError, match=f"{name} has shape"):
        getattr(d, call)(np.ones(4), np.ones(7))


def test_empty_problem() -> None:
    builder = TapeBuilder()
    builder.inputs(3)
    d = Derivatives(builder.freeze([]))
    assert d.jacobian_pattern.shape == (0, 3)
    assert d.jacobian_values(np.zeros(3)).shape == (0,)
    assert d.hessian_values(np.zeros(3), np.zeros(0)).shape == (0,)


def allocated(call: Callable[[], Any]) -> int:
    """Most bytes that a call holds at a time, beyond those of its result."""
    tracemalloc.start()
    result = call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak - np.asarray(result).nbytes


@pytest.mark.parametrize("mode", ["programs", "compressed"])
def test_evaluations_allocate_nothing_but_their_results(mode: Mode) -> None:
    n = 20_000
    builder = TapeBuilder()
    x = builder.inputs(n)
    product = builder.binary(OPCODE["mul"], builder.unary(OPCODE["sin"], x[:-1]), x[1:])
    d = Derivatives(builder.freeze(product), options=EngineOptions(mode=mode))
    weights, v = np.ones(n - 1), np.ones(n)
    calls = {
        "values": lambda y: d.values(y),
        "jacobian": lambda y: d.jacobian_values(y),
        "hessian": lambda y: d.hessian_values(y, weights),
        "jvp": lambda y: d.jvp(y, v),
        "vjp": lambda y: d.vjp(y, weights),
        "hvp": lambda y: d.hvp(y, weights, v),
    }
    points = iter([np.full(n, 0.1 * k) for k in range(4 * len(calls))])
    for name, call in calls.items():
        call(next(points))
        call(next(points))
        point = next(points)
        assert allocated(lambda call=call, point=point: call(point)) < 8_000, name


@pytest.mark.parametrize("mode", ["programs", "compressed"])
def test_results_of_earlier_calls_stay_as_they_are(mode: Mode) -> None:
    builder = TapeBuilder()
    x = builder.inputs(50)
    product = builder.binary(OPCODE["mul"], builder.unary(OPCODE["sin"], x[:-1]), x[1:])
    d = Derivatives(builder.freeze(product), options=EngineOptions(mode=mode))
    weights, v = np.ones(49), np.ones(50)
    for call in (
        d.values,
        d.jacobian_values,
        lambda y: d.hessian_values(y, weights),
        lambda y: d.jvp(y, v),
        lambda y: d.vjp(y, weights),
        lambda y: d.hvp(y, weights, v),
    ):
        first = call(np.full(50, 0.3))
        kept = first.copy()
        call(np.full(50, 0.7))
        np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("mode", ["programs", "compressed"])
def test_threads_may_share_derivatives(mode: Mode) -> None:
    builder = TapeBuilder()
    x = builder.inputs(400)
    product = builder.binary(OPCODE["mul"], builder.unary(OPCODE["sin"], x[:-1]), x[1:])
    d = Derivatives(builder.freeze(product), options=EngineOptions(mode=mode))
    weights, v = np.ones(399), np.ones(400)
    points = [np.full(400, 0.1), np.full(400, 0.9)]
    calls = [
        d.values,
        d.jacobian_values,
        lambda y: d.hessian_values(y, weights),
        lambda y: d.jvp(y, v),
        lambda y: d.vjp(y, weights),
        lambda y: d.hvp(y, weights, v),
    ]
    expected = [[call(y) for call in calls] for y in points]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(100):
            for call, right in zip(calls, expected[k], strict=True):
                if not np.array_equal(call(points[k]), right):
                    wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
def test_copies_after_use(duplicate: Callable[[Derivatives], Derivatives]) -> None:
    builder = TapeBuilder()
    x, p = builder.inputs(20), builder.parameter_block(np.ones(20))
    d = Derivatives(builder.freeze(builder.binary(OPCODE["mul"], builder.unary(OPCODE["sin"], x), p)))
    point = np.linspace(0.1, 1.0, 20)
    d.parameters = np.arange(20.0)
    expected = d.jacobian_values(point)
    other = duplicate(d)
    d.parameters = np.zeros(20)
    np.testing.assert_array_equal(other.jacobian_values(point), expected)
    assert not d.jacobian_values(point).any()
