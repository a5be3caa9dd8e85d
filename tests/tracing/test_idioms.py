"""Tests of `sct_opt.tracing.idioms`: code that knows nothing of tracing."""

import dataclasses
import functools
import math
import operator
import threading
from math import exp as expo
from math import sin

import numba
import numpy as np
import pytest
from numpy import array, empty, zeros
from scipy.integrate import fixed_quad, trapezoid

import sct_opt.tracing as so
from sct_opt.errors import MissingPrimalError, TracingError
from sct_opt.tape import TapeBuilder
from sct_opt.tracing import Traced, trace_function
from tests import tape_oracle as oracle
from tests.tracing.check import assert_traces


def filled_zeros(x):
    out = np.zeros(3)
    for i in range(3):
        out[i] = x[i] * x[i + 1]
    return out


def filled_by_name(x):
    out = empty(4)
    out[:] = x[:4]
    first = zeros((2, 2))
    first[0] = x[:2]
    first[1, 1] += x[2]
    return out.sum() + first


def filled_others(x):
    ones = np.ones(3)
    ones[1:] *= x[:2]
    full = np.full((2, 2), 0.5)
    full[0, 1] = x[3]
    like = np.zeros_like(np.arange(3.0))
    like[2] = x[4]
    eye = np.eye(3)
    eye[0, 2] = x[5]
    return [ones, full, like, eye @ x[:3]]


def matrix_built_in_place(x):
    a = np.zeros((6, 6))
    for i in range(6):
        a[i, i] = 2.0
        if i:
            a[i, i - 1] = -1.0
    return a @ x


def math_functions(x):
    return [
        math.sin(x[0]) + sin(x[1]) + expo(x[2]),
        math.sqrt(x[3] ** 2 + 1),
        math.hypot(x[0], x[1], x[2]),
        math.atan2(x[0], x[1]),
        math.pow(x[4], 2),
        math.log(x[5] ** 2 + 1, 2),
        math.floor(x[0]) * x[1],
        math.fsum([x[0], x[1]]),
        math.prod([x[0], x[1]]),
        math.fabs(x[2]),
        math.dist(x[:2], x[2:4]),
        math.degrees(x[3]),
        math.erf(x[4]),
    ]


@dataclasses.dataclass
class Model:
    mass: float
    gains: dict

    def __call__(self, x):
        return self.mass * x + self.gains["k"] * np.roll(x, 1)


def filled_by_out(x):
    out = np.zeros(3)
    np.take(x, [0, 1, 2], out=out)
    other = np.zeros(3)
    np.mean(x.reshape(2, 3), axis=0, out=other)
    plain = np.zeros(2) * x[0]
    np.take(np.arange(4.0), [1, 2], out=plain)
    return [out, other, plain]


def flat_assignment(x):
    y = x.reshape(2, 3) * 2
    y.flat[4] = x[0]
    return [y, list(y.T.flat)]


def softened(x):
    return float(x) if isinstance(x, str) else np.tanh(x)


class Holder:
    def method(self, x):
        out = zeros(2)
        out[0] = sin(x[0])
        out[1] = x[1]
        return out


def closure():
    from math import cos  # noqa: PLC0415 - held in a closure on purpose

    def f(x):
        return [cos(v) for v in x]

    return f


IDIOMS = {
    "zeros": filled_zeros,
    "imported by name": filled_by_name,
    "other buffers": filled_others,
    "constant matrix": matrix_built_in_place,
    "math": math_functions,
    "array of scalars": lambda x: np.array([x[0], 2.0, x[1] * x[2]]),
    "named array of scalars": lambda x: array([[x[0], 1], [x[1], x[2]]]) @ x[:2],
    "asarray": lambda x: np.asarray(x, dtype=float) * np.ascontiguousarray(x),
    "atleast": lambda x: np.atleast_1d(x[0]) * np.atleast_2d(x),
    "list comprehension": lambda x: [v**2 for v in x],
    "builtins": lambda x: [sum(x), abs(x[0]), pow(x[1], 3), sum([x[0], x[1]], start=1.0)],
    "max and min": lambda x: [
        max(x[0], x[1]),
        min(x),
        max(v * 2 for v in x),
        max([x[0], 0.5], default=1.0),
        max(1, 2) * x[0],
    ],
    "generators": lambda x: [math.fsum(v**2 for v in x), math.prod(map(abs, x)), sum(v for v in x)],
    "format": lambda x: [x[0] * len(f"{x[0]:.3f}{x}") * 0 + x[1]],
    "out arguments": lambda x: [
        np.sum(x.reshape(2, 3), axis=0, out=np.empty(3)),
        np.take(x, [0, 1], None, np.zeros(2)),
        np.round(x, 0, np.zeros(6)) + x,
        np.concatenate([x, x], out=np.zeros(12)),
        np.cumsum(x, out=np.zeros(6)),
        np.clip(x, -1.0, 1.0, out=np.zeros(6)),
    ],
    "filled by out": filled_by_out,
    "reduce": lambda x: functools.reduce(lambda a, b: a * 0.5 + b, x),
    "accumulate": lambda x: list(np.array([x[0], x[1]]) * 3),
    "vectorize": lambda x: np.vectorize(lambda v, w: v * w + 1)(x, 2.0),
    "vectorize types": lambda x: np.vectorize(lambda v, w: math.sin(v) * w, otypes=[float])(x[:, None], w=x[:2]),
    "vectorize pairs": lambda x: np.vectorize(lambda v: (v, v**2))(x),
    "quadrature": lambda x: [fixed_quad(lambda t: np.exp(-x[0] * t), 0.0, 1.0, n=4)[0], trapezoid(x)],
    "flat": flat_assignment,
    "dataclass": Model(2.0, {"k": 0.5}),
    "partial": functools.partial(lambda a, x: a * x, 3.0),
    "method": Holder().method,
    "closure": closure(),
    "helper": lambda x: softened(x),
    "float64 left": lambda x: np.float64(2) * x[0] + np.float64(3) * x,
    "in place": lambda x: functools.reduce(lambda y, k: operator.iadd(y, k * x), range(3), np.zeros(6)),
    "object array": lambda x: np.array([x[0], x[1]], dtype=object) * 2,
    "fromiter": lambda x: np.fromiter((v * 2 for v in x), float),
    "append": lambda x: np.append(np.append([], x[0]), x[1:] * 2),
    "mixed list": lambda x: np.concatenate([[x[0]], np.zeros(2), x[1:3]]),
    "dict": lambda x: list({"a": x[0], "b": x[1] ** 2}.values()),
    "unpacking": lambda x: (lambda a, b, *rest: a * b + rest[-1])(*x),
    "sorted by constant": lambda x: [v for _, v in sorted(zip([3, 1, 2], x[:3], strict=True), key=lambda p: p[0])],
    "isscalar": lambda x: [v if np.isscalar(v) else np.sum(v) for v in (x[0], x[1:])],
}


@pytest.mark.parametrize("name", IDIOMS)
def test_idiom(name):
    f = IDIOMS[name]
    assert_traces(f, np.zeros(6), shape=name not in ("vectorize",))


def test_originals_come_back():
    originals = np.zeros, np.array, math.sin, sin, zeros

    def fails(x):
        raise KeyError("user's own")

    with pytest.raises(KeyError, match="user's own"):
        trace_function(fails, np.zeros(2))
    trace_function(filled_by_name, np.zeros(6))
    assert (np.zeros, np.array, math.sin, sin, zeros) == originals
    assert type(np.zeros(2)) is np.ndarray


def test_other_threads_see_plain_arrays():
    seen = []

    def f(x):
        worker = threading.Thread(target=lambda: seen.append((type(np.zeros(2)), math.sin(0.0))))
        worker.start()
        worker.join()
        return x

    trace_function(f, np.zeros(2))
    assert seen == [(np.ndarray, 0.0)]


def test_nested_traces():
    def f(x):
        inner = trace_function(filled_zeros, np.zeros(4)).tape.num_outputs
        out = np.zeros(2)
        out[0] = x[0] * inner
        return out

    traced = trace_function(f, np.zeros(2))
    np.testing.assert_array_equal(oracle.evaluate(traced.tape, [2.0, 1.0]), [6, 0])


def test_integer_arrays_stay_plain():
    def f(x):
        index = np.zeros(2, dtype=int)
        index[1] = 2
        assert isinstance(index, np.ndarray)
        return x[index] * np.arange(2)[index[:1]]

    assert_traces(f, np.zeros(3))


def test_constant_buffers_serve_as_numbers():
    def f(x):
        weights = np.zeros(3)
        weights[1] = 2.0
        assert float(weights[1]) == 2.0
        assert weights[1] > 1.0
        inverse = np.linalg.inv(np.eye(3) * 2)
        return inverse @ (weights * x)

    assert_traces(f, np.zeros(3))


def test_outer_buffer_names_place_and_mend():
    out = np.zeros(3)

    def f(x):
        out[0] = x[0]
        return out

    with pytest.raises(MissingPrimalError, match=r"(?s)test_idioms\.py:\d+.*zeros_like"):
        trace_function(f, np.zeros(3))

    def g(x):
        out[:] = x
        return out

    with pytest.raises(MissingPrimalError, match=r"(?s)test_idioms\.py:\d+.*zeros_like"):
        trace_function(g, np.zeros(3))


def test_float_names_mend():
    with pytest.raises(MissingPrimalError, match=r"(?s)test_idioms\.py:\d+.*drop float"):
        trace_function(lambda x: float(x[0]), np.zeros(3))


def test_index_of_plain_array():
    table = np.arange(5.0)
    with pytest.raises(MissingPrimalError, match=r"(?s)test_idioms\.py:\d+.*np\.interp"):
        trace_function(lambda x: table[x[0]], np.zeros(3))
    traced = trace_function(lambda x: table[int(x[0])] * x, [2.0], local=True)
    np.testing.assert_array_equal(oracle.evaluate(traced.tape, [2.0]), [4.0])


def test_without_the_context_nothing_is_replaced():
    builder = TapeBuilder()
    x = so.make_inputs(builder, np.zeros(2))
    assert isinstance(np.zeros(2), np.ndarray)
    with so.tracing(builder):
        assert isinstance(np.zeros(2), Traced)
    with pytest.raises(TracingError):
        np.zeros(2)[0] = x[0]


LISTS = {
    "extrema": lambda x: [
        np.max([x[0], x[1], 0.5]),
        np.min((x[0], x[2])),
        np.maximum.reduce([x[:3], x[3:], np.zeros(3)]),
    ],
    "moments": lambda x: [np.mean([x[0], x[1], 3.0]), np.std([x[0], x[1]]), np.median([x[0], x[1], x[2]])],
    "ufuncs": lambda x: [np.sqrt([x[0] ** 2, 1.0]), np.exp([x[0], x[1]]), np.hypot([x[0], 1.0], [x[1], 2.0])],
    "algebra": lambda x: [np.linalg.solve([[2.0, 1.0], [1.0, 3.0]], [x[0], x[1]]), np.linalg.norm([x[0], x[1]])],
    "products": lambda x: [np.dot([x[0], x[1]], [1.0, 2.0]), np.cross([x[0], x[1], x[2]], [1.0, 2.0, 3.0])],
    "joins": lambda x: [np.concatenate(([x[0]], [x[1], 2.0])), np.hstack((x[0], x[1])), np.r_[x[:2], 1.0], np.c_[x, x]],
    "frompyfunc": lambda x: np.frompyfunc(lambda a: a * 2, 1, 1)(x),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_traced_values(name):
    assert_traces(LISTS[name], np.zeros(6), shape=False)


def test_numba_knows_the_stand_ins():
    @numba.njit
    def weights(n):
        return np.sqrt(np.ones(n)) * math.exp(0.0)

    traced = trace_function(lambda x: weights(3) * x, np.zeros(3))
    np.testing.assert_array_equal(oracle.evaluate(traced.tape, [1.0, 2.0, 3.0]), [1, 2, 3])
    assert weights(2).sum() == 2.0


def test_assignment_to_flat_where_it_is_no_view():
    def f(x):
        x.reshape(2, 2).T.flat[1] = x[0]
        return x

    np.testing.assert_array_equal(
        oracle.evaluate(trace_function(f, np.zeros(4)).tape, [1.0, 2.0, 3.0, 4.0]), [1, 2, 1, 4]
    )


def test_empty_input():
    traced = trace_function(lambda x: np.concatenate([x * 2, [np.sum(x), np.prod(x)]]), np.zeros(0))
    np.testing.assert_array_equal(oracle.evaluate(traced.tape, np.zeros(0)), [0.0, 1.0])


def test_traces_in_several_threads():
    def model(x):
        out = np.zeros(200)
        for i in range(200):
            out[i] = math.sin(x[i]) * max(x[i], 0.0)
        return out

    tapes = []
    workers = [
        threading.Thread(target=lambda: tapes.append(trace_function(model, np.zeros(200)).tape)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [tape.num_outputs for tape in tapes] == [200] * 4
    x = np.linspace(-1.0, 1.0, 200)
    for tape in tapes:
        np.testing.assert_allclose(oracle.evaluate(tape, x), np.sin(x) * np.maximum(x, 0.0))
    assert type(np.zeros(1)) is np.ndarray
    assert math.sin is sin


def test_functions_of_single_numbers_take_as_many_as_numpy_says():
    with pytest.raises((TypeError, ValueError)):
        trace_function(lambda x: np.add(x[0]), np.ones(2))
    assert_traces(lambda x: np.sin(x[0]) + np.add(x[0], x[1]), np.ones(2))
