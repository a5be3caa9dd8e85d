"""Problems from NumPy functions: shapes, bounds, parameters, names, and messages about bad input."""

import functools
import math

import numpy as np
import pytest
from scipy.optimize import Bounds

from sct_opt.adapters.callables import from_callables
from sct_opt.errors import MissingPrimalError, ProblemError, ShapeError, TracingError


def luksan_vlcek(n):
    """Lukšan and Vlček's problem 5.1 in array slices."""

    def objective(x):
        return np.sum(100 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1) ** 2)

    def constraints(x):
        a, b, c = x[:-2], x[1:-1], x[2:]
        return 3 * b**3 + 2 * c - 5 + np.sin(b - c) * np.sin(b + c) + 4 * b - a * np.exp(a - b) - 3

    return from_callables(objective, np.where(np.arange(n) % 2, 1.0, -1.2), constraints, constraint_bounds=(0, 0))


def test_luksan_vlcek_has_the_published_structure():
    n = 50
    nlp = luksan_vlcek(n)
    assert (nlp.n, nlp.m) == (n, n - 2)
    assert nlp.jacobian_pattern.nnz == 3 * (n - 2)
    assert len(nlp.hessianstructure()[0]) == 2 * n - 1
    rng = np.random.default_rng(1)
    x, step = rng.normal(size=n), 1e-6
    direction = rng.normal(size=n)
    slope = (nlp.objective(x + step * direction) - nlp.objective(x - step * direction)) / (2 * step)
    assert nlp.gradient(x) @ direction == pytest.approx(slope, rel=1e-6)


def test_functions_get_x_in_the_shape_of_x0():
    shapes = []

    def objective(x):
        shapes.append(x.shape)
        return np.sum(x[0] * x[1])

    def constraints(x):
        shapes.append(x.shape)
        return x.T @ np.array([1.0, 2.0])

    nlp = from_callables(objective, np.arange(6).reshape(2, 3), constraints, ([[0], [-1]], [[5, 6, 7]]), (0, [1, 2, 3]))
    assert shapes == [(2, 3), (2, 3)]
    assert (nlp.n, nlp.m) == (6, 3)
    assert nlp.objective(np.arange(6.0)) == 0 * 3 + 1 * 4 + 2 * 5
    np.testing.assert_allclose(nlp.constraints(np.arange(6.0)), [6.0, 9.0, 12.0])
    assert nlp.lb.tolist() == [0, 0, 0, -1, -1, -1]
    assert nlp.ub.tolist() == [5, 6, 7, 5, 6, 7]
    assert nlp.cu.tolist() == [1, 2, 3]
    assert nlp.variable_names == ["x[0,0]", "x[0,1]", "x[0,2]", "x[1,0]", "x[1,1]", "x[1,2]"]


def test_a_scalar_variable():
    nlp = from_callables(lambda x: (x - 2) ** 2, 1.0, lambda x: x**3, (0, 5), (0, 9))
    assert nlp.variable_names == ["x"]
    assert nlp.gradient([3.0]).tolist() == [2.0]
    assert nlp.jacobian([3.0]).tolist() == [27.0]


def test_several_constraint_functions_are_joined_and_named():
    def mass(x):
        return x[0] + x[1]

    def energy(x):
        return x[:2] * x[1:]

    functions = [
        mass,
        energy,
        lambda x: [x[0], 3.0, x[2] ** 2],
        lambda x: np.sum(x),
        functools.partial(lambda k, x: k * x[0], 2.0),
    ]
    nlp = from_callables(lambda x: x[2], np.ones(3), functions, constraint_bounds=(-1, np.inf))
    assert nlp.constraint_names == ["mass", "energy[0]", "energy[1]", "g[0]", "g[1]", "g[2]", "g_3", "g_4"]
    np.testing.assert_allclose(nlp.constraints([1.0, 2.0, 3.0]), [3, 2, 6, 1, 3, 9, 6, 2])


def test_bounds_in_every_form():
    def lower_and_upper(bounds):
        nlp = from_callables(np.sum, np.ones(3), bounds=bounds)
        return nlp.lb.tolist(), nlp.ub.tolist()

    inf = np.inf
    assert lower_and_upper(None) == ([-inf] * 3, [inf] * 3)
    assert lower_and_upper((0, None)) == ([0.0] * 3, [inf] * 3)
    assert lower_and_upper([None, [1, 2, 3]]) == ([-inf] * 3, [1.0, 2.0, 3.0])
    assert lower_and_upper(([0, None, -inf], 7)) == ([0.0, -inf, -inf], [7.0] * 3)
    assert lower_and_upper(Bounds([0, 1, 2], 8)) == ([0.0, 1.0, 2.0], [8.0] * 3)
    assert lower_and_upper(np.array([[0, 1, 2], [3, 4, 5]])) == ([0.0, 1.0, 2.0], [3.0, 4.0, 5.0])


def test_parameters_as_mapping_array_and_number():
    nlp = from_callables(
        lambda x, p: p["k"] * np.sum(p["A"] @ x),
        np.ones(2),
        lambda x, p: x - p["A"][0],
        constraint_bounds=(0, 1),
        parameters={"k": 2, "A": np.array([[1.0, 2.0], [3.0, 4.0]])},
    )
    assert nlp.objective([1.0, 1.0]) == 20.0
    nlp.parameters["k"] = 3.0
    nlp.parameters["A"] = np.eye(2)
    assert nlp.objective([1.0, 1.0]) == 6.0
    assert nlp.constraints([1.0, 1.0]).tolist() == [0.0, 1.0]
    assert nlp.parameters.names == ["k", "A[0,0]", "A[0,1]", "A[1,0]", "A[1,1]"]
    array = from_callables(lambda x, p: np.sum(p * x), np.ones(2), parameters=[1.0, 2.0])
    array.parameters[1] = 5.0
    assert array.objective([1.0, 1.0]) == 6.0
    number = from_callables(lambda x, p: p * x[0], np.ones(1), parameters=4.0)
    number.parameters["p"] = 5.0
    assert number.objective([1.0]) == 5.0


def test_assignment_into_x_stays_inside_the_function():
    def objective(x):
        x[0] = 3.0
        return np.sum(x)

    nlp = from_callables(objective, np.ones(2), lambda x: x[0], constraint_bounds=(0, 1))
    assert nlp.objective([1.0, 1.0]) == 4.0
    assert nlp.constraints([1.0, 1.0]).tolist() == [1.0]


def test_what_objective_and_constraints_share_is_traced_by_one_builder():
    nlp = from_callables(lambda x: np.sum(x**2), np.ones(3), lambda x: np.exp(x), constraint_bounds=(0, 1))
    assert nlp.tape.num_inputs == 3
    assert nlp.tape.num_outputs == 4


def test_trace_time_is_reported():
    assert luksan_vlcek(10).timings["trace"] > 0


def test_an_objective_of_one_entry_is_a_scalar():
    assert from_callables(lambda x: x[:1] ** 2, np.ones(2)).objective([3.0, 0.0]) == 9.0
    assert from_callables(lambda x: [x[0]], np.ones(2)).objective([3.0, 0.0]) == 3.0
    assert from_callables(lambda x: 7.0, np.ones(2)).objective([3.0, 0.0]) == 7.0


# -- bad input ----------------------------------------------------------------------------------------------------


def not_scalar(x):
    return x**2


def returns_nothing(x):
    x.sum()


def branches(x):
    return x[0] if x[0] > 0 else -x[0]


def test_objective_that_is_no_scalar_names_the_function_and_its_place():
    with pytest.raises(
        ShapeError,
        match=r"the objective 'not_scalar' \(.*test_callables\.py:\d+\) returned shape \(3,\), but must return a scalar",
    ):
        from_callables(not_scalar, np.ones(3))


def test_functions_that_return_nothing():
    with pytest.raises(TracingError, match=r"the objective returns_nothing \(.*test_callables\.py:\d+\) returned None"):
        from_callables(returns_nothing, np.ones(3))
    with pytest.raises(TracingError, match=r"constraint function returns_nothing .* returned None"):
        from_callables(np.sum, np.ones(3), returns_nothing, constraint_bounds=(0, 0))


def test_functions_that_cannot_be_traced_name_the_line_and_the_mend():
    with pytest.raises(MissingPrimalError, match=r"test_callables\.py:\d+ in branches") as caught:
        from_callables(branches, np.ones(2))
    assert "so.where" in str(caught.value)
    with pytest.raises(MissingPrimalError, match=r"test_callables\.py:\d+"):
        from_callables(lambda x: float(x[0]), np.ones(2))


def test_math_functions_and_buffers_of_unchanged_code_are_traced():
    def loop(x):
        y = np.zeros(2)
        y[0] = math.sin(x[0])
        y[1] += x[1]
        return y

    nlp = from_callables(lambda x: math.exp(x[0]), np.ones(2), loop, constraint_bounds=(0, 0))
    assert nlp.objective(np.zeros(2)) == 1.0
    assert nlp.jacobian(np.zeros(2)).tolist() == [1.0, 1.0]


def test_filling_a_float_buffer_names_the_mend():
    def fill(x):
        y = np.array([0.0, 0.0])
        y[0] = x[0]
        return y

    with pytest.raises(MissingPrimalError, match=r"np\.zeros_like"):
        from_callables(np.sum, np.ones(2), fill, constraint_bounds=(0, 0))


def test_things_that_are_no_functions():
    with pytest.raises(ProblemError, match="the objective must be a function, not float"):
        from_callables(1.0, np.ones(2))
    with pytest.raises(ProblemError, match="a constraint function must be a function, not int"):
        from_callables(np.sum, np.ones(2), [1], constraint_bounds=(0, 0))


def test_missing_and_superfluous_constraint_bounds():
    with pytest.raises(
        ProblemError, match=r"constraint_bounds is missing: give \(lower, upper\), for example \(0, 0\)"
    ):
        from_callables(np.sum, np.ones(2), np.sum)
    with pytest.raises(ProblemError, match="constraint_bounds are given, but no constraints"):
        from_callables(np.sum, np.ones(2), constraint_bounds=(0, 0))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(0, 1), (0, 1), (0, 1)], r"must be \(lower, upper\).*tuple\(zip\(\*bounds\)\)"),
        (5, r"must be \(lower, upper\).*give a pair"),
        (([0, 1], None), r"the lower bound of the variables has shape \(2,\), which does not fit shape \(3,\)"),
        ((0, "high"), "the upper bound of the variables must hold numbers, but is 'high'"),
    ],
)
def test_bounds_that_do_not_fit(bounds, message):
    with pytest.raises(ShapeError, match=message):
        from_callables(np.sum, np.ones(3), bounds=bounds)


def test_constraint_bounds_that_do_not_fit():
    with pytest.raises(
        ShapeError, match=r"the upper bound of the constraints has shape \(2,\), which does not fit shape \(3,\)"
    ):
        from_callables(np.sum, np.ones(3), lambda x: x, constraint_bounds=(0, [1, 2]))


def test_crossed_bounds_and_bad_starts_name_the_variable():
    with pytest.raises(ProblemError, match=r"bounds of variable 'x\[1\]' are crossed"):
        from_callables(np.sum, np.ones(2), bounds=([0, 3], 2))
    with pytest.raises(ProblemError, match=r"bounds of constraint 'not_scalar\[1\]' are crossed"):
        from_callables(np.sum, np.ones(2), not_scalar, constraint_bounds=([0, 3], 2))
    with pytest.raises(ProblemError, match=r"the start x0 is nan at variable 'x\[0,1\]'"):
        from_callables(np.sum, [[1.0, np.nan]])


def test_empty_and_senseless_starts():
    with pytest.raises(ProblemError, match="no variables"):
        from_callables(np.sum, [])
    with pytest.raises(ProblemError, match="x0 must be an array of numbers"):
        from_callables(np.sum, "start")
    with pytest.raises(ProblemError, match="no variables"):
        from_callables(np.sum, None)
