"""Tests of `sct_opt.tracing.array` and the functions of NumPy that core models need."""

import copy
import functools
import itertools
import operator

import numpy as np
import pytest
import scipy.sparse as sp

import sct_opt.tracing as so
from sct_opt.errors import MissingPrimalError, TracingError, UnsupportedOperatorError
from sct_opt.tracing import trace_function
from tests import tape_oracle as oracle
from tests.tracing.check import assert_traces

RNG = np.random.default_rng(7)
M34 = RNG.normal(size=(3, 4)) * (RNG.random((3, 4)) > 0.4)
M43 = RNG.normal(size=(4, 3))
V3 = RNG.normal(size=3)
V4 = RNG.normal(size=4)


def assigned(x):
    y = np.zeros_like(x)
    y[0] = x[1] * 2
    y[1:3] = x[:2] ** 2
    y[[3, 4]] = x[[0, 1]]
    y[np.array([False] * 5 + [True])] = x[5] * x[0]
    y[-1] += 1.0
    return y


def viewed(x):
    y = x.copy()
    part = y[1:4]
    part[:] = 3.0 * part
    part += x[:3]
    y[0] -= 2
    y[4:] *= x[4:]
    y[5] /= 2.0
    return y


def mutated(x):
    x[0] = x[1] * x[2]
    x[3:] = 0.0
    return x * 2


ONE_D = {
    "arithmetic": lambda x: 2 * x + x / 3.0 - x * x[0] + 1 / (x**2 + 1) - (-x) + (+x),
    "powers": lambda x: [x**2, x**3, x**0, x**1, 2.0**x, abs(x) ** 0.5, (x * x + 0.5) ** x],
    "numpy scalars": lambda x: np.float64(2) * x + x[0] * np.float32(0.5) + np.int64(3) - x[1],
    "array left": lambda x: np.arange(6.0) * x + np.ones(6) - np.arange(6.0) / (x**2 + 1),
    "assignment": assigned,
    "views": viewed,
    "mutation": mutated,
    "reshape": lambda x: x.reshape(2, 3).T @ x.reshape(2, 3),
    "roll": lambda x: np.roll(x, 1) * np.roll(x, -2),
    "stack": lambda x: np.stack([x, x**2, np.ones(6)], axis=1),
    "concatenate": lambda x: np.concatenate([x[2:], [1.0, x[0]], x[:1] * 3]),
    "hstack": lambda x: np.hstack([x[0], x, 2.0]),
    "vstack": lambda x: np.vstack([x, x[::-1]]),
    "sum": lambda x: [np.sum(x), x.sum(), sum(x), x.reshape(2, 3).sum(axis=0), x.reshape(2, 3).sum(1, keepdims=True)],
    "mean": lambda x: [x.mean(), np.mean(x.reshape(2, 3), axis=1)],
    "var": lambda x: [np.var(x), np.std(x), x.var(ddof=1), np.var(x.reshape(2, 3), axis=0)],
    "prod": lambda x: [np.prod(x), x.reshape(3, 2).prod(axis=1)],
    "extrema": lambda x: [
        np.max(x),
        x.min(),
        np.max(x.reshape(2, 3), axis=0),
        np.ptp(x),
        np.maximum(x, 0.1),
        np.fmin(x, x[::-1]),
    ],
    "running": lambda x: [
        np.cumsum(x),
        np.cumprod(x),
        np.cumsum(x.reshape(2, 3), axis=1),
        np.cumsum(x.reshape(2, 3), axis=0),
    ],
    "diff": lambda x: [
        np.diff(x),
        np.diff(x, 2),
        np.diff(x.reshape(2, 3), axis=0),
        np.diff(x, prepend=0.0, append=x[0]),
    ],
    "dot": lambda x: [
        np.dot(x[:3], x[3:]),
        x @ x,
        x[:3].dot(V3),
        np.dot(M43, x[:3]),
        np.vdot(x, x),
        np.inner(x[:4], V4),
    ],
    "matmul constant": lambda x: [
        M34 @ x[:4],
        x[:3] @ M34,
        x[:4].T @ M43,
        M43 @ x.reshape(3, 2),
        x.reshape(2, 3) @ M34,
    ],
    "matmul traced": lambda x: [
        x.reshape(2, 3) @ x.reshape(3, 2),
        x[:3] @ x.reshape(3, 2),
        np.matmul(x.reshape(2, 3), x[3:]),
    ],
    "sparse": lambda x: [
        sp.csr_array(M34) @ x[:4],
        sp.csc_matrix(M34) @ x[:4],
        x[:3] @ sp.coo_array(M34),
        sp.csr_array(M43) @ x.reshape(3, 2),
        x.reshape(2, 3) @ sp.csr_matrix(M34),
        sp.csr_array(M34).dot(x[:4]),
    ],
    "where": lambda x: [np.where(x > 0, x**2, -x), so.where(x < x[::-1], x, 2 * x), so.ifelse(x[0] > x[1], x[2], x[3])],
    "conditions": lambda x: (
        np.where((x > 0) & (x < 1) | ~(x > -1), x, x * 2) + (x > 0) * x + (x <= 0.5).astype(float) * x
    ),
    "clip": lambda x: [np.clip(x, -0.5, 0.5), x.clip(x[0], None), np.clip(x[0], 0.0, 1.0)],
    "unary": lambda x: [
        np.sin(x),
        np.cos(x),
        np.exp(x),
        np.tanh(x),
        np.arctan(x),
        np.sqrt(abs(x)),
        np.log1p(x**2),
        np.cbrt(x),
        np.square(x),
        np.expm1(x),
        np.arcsinh(x),
    ],
    "binary": lambda x: [np.arctan2(x, x[::-1]), np.hypot(x, 1.0), np.logaddexp(x, x[0]), np.copysign(x, x[::-1])],
    "degrees": lambda x: [np.deg2rad(x), np.degrees(x), np.positive(x), np.conjugate(x)],
    "iteration": lambda x: [a * b for a, b in itertools.pairwise(x)],
    "enumerate": lambda x: sum(i * v**2 for i, v in enumerate(x)),
    "reduce": lambda x: functools.reduce(operator.mul, x),
    "object array": lambda x: np.sin(np.array([x[0], x[1] * 2])).sum() * np.array([x[2], 1.0], dtype=object),
    "builtins": lambda x: [abs(x[0]), pow(x[1], 2), divmod(x[0], 1.0)[1], round(x[0]), x[0] // 0.3, x[1] % 0.7],
    "scalar reflected": lambda x: [2 - x[0], 2 / (x[0] ** 2 + 1), 3 ** x[1], 1 + x[2], 2 * x[3], -x[4], np.pi * x[5]],
    "broadcast": lambda x: x[:, None] * x[None, :3] + np.broadcast_to(x[0], (6, 3)),
    "likes": lambda x: np.ones_like(x) * x + np.full_like(x, 2.0) + np.full_like(x, x[0]) + np.empty_like(x) * 0,
    "take": lambda x: [np.take(x, [0, 2]), x.take([[1], [3]]), x[[0, 1, 1]], x[np.arange(6) % 2 == 0]],
    "out": lambda x: np.add(x, 1.0, out=np.empty_like(x)) + np.sin(x, out=x.copy()),
    "copy": lambda x: [copy.copy(x) + 1, copy.deepcopy(x) * 2, x.flatten(), x.ravel(), x[0].copy()],
    "ufunc methods": lambda x: [
        np.add.reduce(x),
        np.multiply.accumulate(x),
        np.add.outer(x[:2], x[2:]),
        np.maximum.reduce(x),
        np.subtract.reduce(x),
        np.multiply.outer(x[:2], V3),
    ],
    "where argument": lambda x: np.sum(x, where=np.arange(6) > 2) + np.sum(x * x, where=x > 0),
    "constant output": lambda x: np.arange(3.0),
    "scalar output": lambda x: x[0] * x[1],
    "tuple output": lambda x: (x[:2], x[3], 4.0),
    "nested list": lambda x: [[x[0], x[1]], [2.0, x[2] * x[3]]],
    "at": lambda x: functools.reduce(lambda y, _: (np.add.at(y, [0, 0, 1], x[:3]), y)[1], [0], x * 2),
    "divmod": lambda x: np.modf(x * 1.5)[0] + np.divmod(x, 0.7)[1],
    "floats": lambda x: [np.floor(x) * x, np.sign(x) * x, np.rint(x) + x, np.trunc(x) * x, np.heaviside(x, 0.5) * x],
    "isfinite": lambda x: (
        np.where(np.isfinite(x) & ~np.isnan(x) & ~np.isinf(x), x, 0.0)
        + np.nan_to_num(x)
        + np.nan_to_num(x / 0.0, nan=1.0, posinf=2.0, neginf=x[0])
    ),
}


@pytest.mark.parametrize("name", ONE_D)
def test_one_dimensional(name):
    f = ONE_D[name]
    derivatives = name not in ("isfinite",)
    assert_traces(lambda x: f(x.copy() if isinstance(x, np.ndarray) else x), np.zeros(6), derivatives=derivatives)


def test_two_dimensional_input():
    assert_traces(lambda u: np.roll(u, 1, 0) * u[:, ::-1] + u.mean(axis=0), np.zeros((3, 4)))


def test_scalar_input():
    traced = assert_traces(lambda x: x * x + np.sin(x), np.array(0.0))
    assert traced.input_shape == ()
    assert traced.output_shape == ()


def test_mutation_does_not_change_the_inputs():
    tape = trace_function(mutated, np.zeros(6)).tape
    np.testing.assert_array_equal(oracle.evaluate(tape, np.arange(1.0, 7.0)), [12, 4, 6, 0, 0, 0])


def test_assignment_after_use_keeps_what_was_computed():
    def f(x):
        y = x.copy()
        z = np.sin(y)
        total = y.sum()
        y[:] = 0.0
        return np.concatenate([z, [total]])

    assert_traces(f, np.zeros(3))


def test_in_place_function_fills_out():
    def f(y, x):
        y[:-1] = np.diff(x)

    traced = trace_function(f, np.zeros(4), out=np.full(4, 9.0))
    assert traced.output_shape == (4,)
    np.testing.assert_array_equal(oracle.evaluate(traced.tape, [0.0, 1.0, 3.0, 6.0]), [1, 2, 3, 9])


def test_parameters_come_second_and_have_no_derivatives():
    traced = trace_function(lambda x, p: x * p["a"] + p["b"], np.zeros(2), parameters={"a": [1.0, 2.0], "b": 5.0})
    assert traced.tape.num_parameters == 3
    np.testing.assert_array_equal(oracle.evaluate(traced.tape, [1.0, 1.0]), [6, 7])
    np.testing.assert_array_equal(oracle.evaluate(traced.tape, [1.0, 1.0], [3.0, 4.0, 0.0]), [3, 4])


def test_args_and_kwargs_are_passed_on():
    traced = trace_function(lambda x, a, b=0: x * a + b, np.zeros(2), args=(3.0,), kwargs={"b": 1.0})
    np.testing.assert_array_equal(oracle.evaluate(traced.tape, [1.0, 2.0]), [4, 7])


def test_nonfinite_start_is_fine_globally():
    assert trace_function(lambda x: x * 2, [np.nan, np.inf]).tape.num_outputs == 2


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "returned None"),
        ("text", "returned str"),
        ({"a": 1}, "returned dict"),
        (sp.csr_array(np.eye(2)), "scipy.sparse"),
        ([1.0, None], "returned None"),
        (np.array(["a"]), "number is needed"),
        (1j, "number is needed|complex"),
    ],
)
def test_bad_outputs(result, message):
    with pytest.raises(TracingError, match=message):
        trace_function(lambda x: result, np.zeros(2))


GLOBAL_ERRORS = {
    "if": (lambda x: x if x[0] > 0 else -x, MissingPrimalError, r"so\.where"),
    "and": (lambda x: x[0] and x[1], MissingPrimalError, r"so\.where"),
    "sorted": (lambda x: sorted(x), MissingPrimalError, r"np\.maximum"),
    "float": (lambda x: float(x[0]), MissingPrimalError, "float"),
    "int": (lambda x: int(x[0]), MissingPrimalError, "integer"),
    "range": (lambda x: list(range(x[0])), MissingPrimalError, "integer"),
    "index": (lambda x: V3[x[0]], MissingPrimalError, "integer"),
    "traced index": (lambda x: x[x[0].astype(int)], MissingPrimalError, "integer"),
    "slice": (lambda x: x[: x[0]], MissingPrimalError, "integer"),
    "mask": (lambda x: x[x > 0] * x[:2], TracingError, "shape would depend"),
    "argmax": (lambda x: np.argmax(x), TracingError, "argmax"),
    "nonzero": (lambda x: np.where(x > 0), TracingError, "nonzero"),
    "unknown": (lambda x: np.poly(x), UnsupportedOperatorError, r"poly"),
    "array truth": (lambda x: bool(x > 0), TracingError, "any"),
    "bits": (lambda x: x.astype(int) & 1, UnsupportedOperatorError, "bitwise"),
    "attribute": (lambda x: x.tobytes(), UnsupportedOperatorError, "tobytes"),
    "shapes": (lambda x: x + x[:1].repeat(2), ValueError, "broadcast"),
    "complex": (lambda x: complex(x[0]), MissingPrimalError, "complex"),
}


@pytest.mark.parametrize("name", GLOBAL_ERRORS)
def test_errors_name_place_and_mend(name):
    f, kind, message = GLOBAL_ERRORS[name]
    with pytest.raises(kind, match=message) as caught:
        trace_function(f, np.zeros(3))
    if name != "shapes":
        assert "test_array.py:" in str(caught.value)


def test_leaked_value_of_another_trace():
    kept = []
    trace_function(lambda x: kept.append(x) or x, np.zeros(3))
    with pytest.raises(TracingError, match="another trace"):
        trace_function(lambda x: x * kept[0], np.zeros(3))
    with pytest.raises(TracingError, match="another trace"):
        trace_function(lambda x: x[0] * kept[0][0], np.zeros(3))
    with pytest.raises(TracingError, match="another trace"):
        trace_function(lambda x: kept[0], np.zeros(3))


def test_local_mode_follows_the_branch_taken():
    def f(x):
        total = 0.0
        for k in range(int(x[3])):
            total = total + x[k] if x[k] > 0 else total - 2 * x[k]
        return total if total > 0 else x[:1]

    traced = trace_function(f, [1.0, -3.0, 2.0, 2.0], local=True)
    pattern = oracle.jacobian_pattern(traced.tape)
    np.testing.assert_array_equal(pattern, [[True, True, False, False]])


def test_local_masks_indices_and_order():
    def f(x):
        i = int(np.argmax(x))
        return np.concatenate([x[x > 0], [x[i], x[np.floor(x[0]).astype(int)]], np.sort(x)[:1]])

    traced = trace_function(f, [1.0, -1.0, 2.0], local=True)
    np.testing.assert_array_equal(oracle.evaluate(traced.tape, [1.0, -1.0, 2.0]), [1, 2, 2, -1, -1])
    assert traced.output_shape == (5,)


def test_local_mode_still_refuses_to_drop_derivatives():
    with pytest.raises(MissingPrimalError, match="ignore_derivatives"):
        trace_function(lambda x: float(x[0]), [1.0], local=True)
    traced = trace_function(lambda x: float(so.ignore_derivatives(x[0])) * x, [2.0], local=True)
    assert not np.any(traced.tape.constants != 2.0)


def test_ignore_derivatives():
    traced = trace_function(lambda x: so.ignore_derivatives(x) * x, np.zeros(2))
    np.testing.assert_allclose(oracle.jacobian(traced.tape, [3.0, 4.0]), np.diag([3.0, 4.0]))
    assert so.ignore_derivatives(2.5) == 2.5


def test_where_outside_of_tracing():
    np.testing.assert_array_equal(so.where(np.array([True, False]), 1.0, [2.0, 3.0]), [1.0, 3.0])


def test_conservative_constants_keep_zero_factors():
    f = lambda x: 0 * x + np.zeros((2, 2)) @ x  # noqa: E731
    assert not oracle.jacobian_pattern(trace_function(f, np.ones(2)).tape).any()
    assert oracle.jacobian_pattern(trace_function(f, np.ones(2), constants="conservative").tape).all()


def test_sparse_matrix_costs_its_entries():
    matrix = sp.eye_array(50, format="csr") + sp.eye_array(50, k=1, format="csr")
    tape = trace_function(lambda x: matrix @ x, np.zeros(50)).tape
    assert tape.row_arg.size == 98  # the last row is its argument
