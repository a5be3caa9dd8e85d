"""Bad input at every front door: the error says what happened, where in the user's code, and what to do instead."""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Callable
from typing import Any

import casadi
import numpy as np
import pyomo.environ as pyo
import pytest

import sct_opt as so
from sct_opt.errors import (
    EvaluationError,
    MissingDependencyError,
    MissingPrimalError,
    ModelError,
    ProblemError,
    ShapeError,
    TracingError,
    UnsupportedOperatorError,
)

HERE = re.escape(__file__)
START = np.array([1.0, 2.0, 3.0])
BUFFER = np.zeros(3)


def square(x: Any) -> Any:
    return x @ x


# -- functions that cannot be traced soundly -------------------------------------------------------------------------------


def branch(x: Any) -> Any:
    return x[0] if x[0] > 0 else x[1]


def branch_on_array(x: Any) -> Any:
    return x[0] if (x > 0).all() else x[1]


def loop(x: Any) -> Any:
    total = x[0]
    while total < 10.0:
        total = total * x[1]
    return total


def smallest(x: Any) -> Any:
    return sorted(x)[0]


def chained(x: Any) -> Any:
    return x[0] if -1 < x[0] < 1 else x[1]


def asserted(x: Any) -> Any:
    assert np.all(x > -100)
    return x[0]


def through_float(x: Any) -> Any:
    return float(x[0]) * x[1]


def through_numpy_float(x: Any) -> Any:
    return np.float64(x[0]) * x[1]


def through_text(x: Any) -> Any:
    return "%g" % x[0]  # noqa: UP031 - the old way asks for a float


def through_complex(x: Any) -> Any:
    return complex(x[0]).real


def integer_index(x: Any) -> Any:
    return START[int(x[0])] * x[1]


def traced_index(x: Any) -> Any:
    return x[operator.index(x[0])]


def range_of_it(x: Any) -> Any:
    return sum(k * x[1] for k in range(x[0]))


def filled_from_outside(x: Any) -> Any:
    BUFFER[0] = x[0]
    return BUFFER.sum()


def masked(x: Any) -> Any:
    return x[x > 0.0][0]


def ordered(x: Any) -> Any:
    return x[np.argmax(x)]


BRANCH, NUMBER, INTEGER = (
    r"so\.where\(condition, a, b\)",
    r"drop float|np\.\* functions|np\.zeros_like",
    r"so\.where|np\.interp",
)
UNSOUND = [
    (branch, BRANCH),
    (branch_on_array, BRANCH),
    (loop, BRANCH),
    (smallest, r"np\.minimum"),
    (chained, BRANCH),
    (asserted, BRANCH),
    (through_float, NUMBER),
    (through_numpy_float, NUMBER),
    (through_text, NUMBER),
    (through_complex, NUMBER),
    (integer_index, INTEGER),
    (traced_index, INTEGER),
    (range_of_it, INTEGER),
    (filled_from_outside, "the buffer holds plain floats"),
    (masked, r"np\.where|np\.sum"),
    (ordered, "so.where"),
]
DOORS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "jacobian_sparsity": lambda f: so.jacobian_sparsity(f, START),
    "hessian_sparsity": lambda f: so.hessian_sparsity(f, START),
    "SparseJacobian": lambda f: so.SparseJacobian(f, START),
    "SparseHessian": lambda f: so.SparseHessian(f, START),
    "objective": lambda f: so.from_callables(f, START),
    "constraint": lambda f: so.from_callables(square, START, f, constraint_bounds=(0, 1)),
    "minimize": lambda f: so.minimize(f, START),
    "minimize, constraint": lambda f: so.minimize(square, START, constraints={"type": "eq", "fun": f}),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("function", "mend"), UNSOUND, ids=[f.__name__ for f, _ in UNSOUND])
def test_values_that_do_not_exist_while_tracing(function: Callable[[Any], Any], mend: str, door: str) -> None:
    with pytest.raises(TracingError, match=rf"(?s)at {HERE}:\d+ in {function.__name__}: .*mend: .*({mend})") as caught:
        DOORS[door](function)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, so.SctOptError)


def test_the_line_is_that_of_the_innermost_user_function() -> None:
    def outer(x: Any) -> Any:
        return branch(x * 2.0) + 1.0

    with pytest.raises(MissingPrimalError, match=rf"{HERE}:\d+ in branch: `return x\[0\] if x\[0\] > 0 else x\[1\]`"):
        so.jacobian_sparsity(outer, START)


@pytest.mark.parametrize(
    "function", [branch, branch_on_array, loop, smallest, chained, asserted, integer_index, masked, ordered]
)
def test_what_needs_a_point_works_at_a_point(function: Callable[[Any], Any]) -> None:
    assert so.jacobian_sparsity(function, START, so.TracerLocalSparsityDetector()).nnz > 0


@pytest.mark.parametrize("function", [through_float, through_numpy_float, filled_from_outside])
def test_dropping_derivatives_is_refused_at_a_point_too(function: Callable[[Any], Any]) -> None:
    with pytest.raises(MissingPrimalError, match=rf"(?s)at {HERE}:\d+ .*so\.ignore_derivatives"):
        so.jacobian_sparsity(function, START, so.TracerLocalSparsityDetector())


def test_math_functions_and_float_buffers_made_inside_need_no_mending() -> None:
    def ordinary(x: Any) -> Any:
        y = np.zeros(2)
        y[0] = math.sin(x[0]) * math.sqrt(x[1])
        y[1] = math.hypot(x[1], x[2])
        return y

    np.testing.assert_array_equal(so.jacobian_sparsity(ordinary, START).toarray(), [[1, 1, 0], [0, 1, 1]])


def penalised(x: Any) -> Any:
    try:
        return float(x[0]) ** 2
    except TypeError:
        return 1e10


def guarded(x: Any) -> Any:
    try:
        return np.linalg.cholesky(x) if x[0] > 0 else x[1]
    except Exception:
        return 1e10


@pytest.mark.parametrize("function", [penalised, guarded])
@pytest.mark.parametrize("door", DOORS)
def test_errors_of_tracing_that_the_function_catches_come_out(function: Callable[[Any], Any], door: str) -> None:
    with pytest.raises(
        TracingError, match=rf"(?s)at {HERE}:\d+ in {function.__name__}: .*caught this error and went on.*`except`"
    ):
        DOORS[door](function)


def test_exceptions_of_its_own_may_be_caught() -> None:
    def own(x: Any) -> Any:
        try:
            raise ValueError("no")
        except ValueError:
            return x[0] * x[1]

    assert so.jacobian_sparsity(own, START).nnz == 2
    with pytest.raises(MissingPrimalError):
        so.jacobian_sparsity(branch, START)
    assert so.jacobian_sparsity(own, START).nnz == 2  # nothing is left of the error


# -- results ---------------------------------------------------------------------------------------------------------------

RESULTS = {
    "None": (None, "return statement"),
    "text": ("text", "return a number"),
    "mapping": ({"a": 1.0}, "return a number"),
    "function": (square, "return a number"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", RESULTS)
def test_results_that_are_no_numbers(name: str, door: str) -> None:
    result, mend = RESULTS[name]

    def wrong(x: Any) -> Any:
        return result

    with pytest.raises(TracingError, match=rf"(?s)wrong \({HERE}:\d+\) returned .*mend: .*{mend}"):
        DOORS[door](wrong)


@pytest.mark.parametrize("door", ["hessian_sparsity", "SparseHessian", "objective", "minimize"])
@pytest.mark.parametrize(
    "function", [lambda x: x, lambda x: [x[0], x[1]], lambda x: x[:0]], ids=["array", "list", "empty"]
)
def test_results_that_are_no_scalar(function: Callable[[Any], Any], door: str) -> None:
    with pytest.raises(
        ShapeError, match=rf"{HERE}:\d+\).*(returns|returned) .*scalar; sum it up|{HERE}:\d+\).*scalar; sum them up"
    ):
        DOORS[door](function)


# -- numbers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_starts_that_are_not_finite(value: float) -> None:
    start = [1.0, value, 3.0]
    for ask in (
        lambda: so.from_callables(square, start),
        lambda: so.minimize(square, start),
        lambda: so.solve(so.from_callables(square, START), x0=start),
    ):
        with pytest.raises(ProblemError, match=rf"start x0 is {value} at variable 'x\[1\]'; give a finite value"):
            ask()


def test_starts_where_a_function_is_undefined() -> None:
    with pytest.raises(
        EvaluationError,
        match=r"at the start, the objective is -inf: log\(0\) is -inf, where x\[0\] = 0.*start elsewhere",
    ):
        so.minimize(lambda x: np.sum(np.log(x)), [0.0, 1.0])


@pytest.mark.parametrize("bounds", [([0, 2, 0], [1, 1, 1]), [(0, 1), (2, 1), (0, 1)]], ids=["pair", "pairs"])
def test_crossed_bounds_name_the_variable(bounds: Any) -> None:
    ask = (
        (lambda: so.minimize(square, START, bounds=bounds))
        if isinstance(bounds, list)
        else (lambda: so.from_callables(square, START, bounds=bounds))
    )
    with pytest.raises(ProblemError, match=r"bounds of variable 'x\[1\]' are crossed: lower 2 > upper 1"):
        ask()


def test_crossed_constraint_bounds_name_the_constraint() -> None:
    with pytest.raises(ProblemError, match=r"bounds of constraint 'balance\[2\]' are crossed: lower 3 > upper 1"):
        so.from_callables(square, START, _balance, constraint_bounds=([0, 0, 3], 1))


def _balance(x: Any) -> Any:
    return x


_balance.__name__ = "balance"


@pytest.mark.parametrize("start", [[], None, np.zeros((0, 3))])
def test_problems_without_variables(start: Any) -> None:
    with pytest.raises(ProblemError, match="no variables: x0 is empty; give a start"):
        so.from_callables(square, start)


@pytest.mark.parametrize("x", [None, "abc", [1j], [[1.0], [2.0, 3.0]]])
@pytest.mark.parametrize("door", [so.jacobian_sparsity, so.hessian_sparsity, so.SparseJacobian, so.SparseHessian])
def test_inputs_that_are_no_arrays(x: Any, door: Callable[..., Any]) -> None:
    with pytest.raises(ShapeError, match=r"x must be an array of numbers|x is None; give an array"):
        door(square, x)


def test_empty_arrays_are_fine_where_they_make_sense() -> None:
    assert so.jacobian_sparsity(lambda x: x[:0], START).shape == (0, 3)
    assert so.SparseJacobian(lambda x: [1.0, 2.0], [])([]).shape == (2, 0)
    assert so.SparseHessian(lambda x: 3.0, np.zeros(0))([]).shape == (0, 0)
    assert so.color(so.jacobian_sparsity(lambda x: x, [])).num_colors == 0


# -- solving ---------------------------------------------------------------------------------------------------------------


def test_constraints_without_any_derivative_can_be_solved() -> None:
    result = so.minimize(square, START, constraints={"type": "ineq", "fun": lambda x: [1.0, 2.0]})
    assert result.success
    np.testing.assert_allclose(result.x, 0.0, atol=1e-8)


@pytest.mark.parametrize("constraints", [square, [square], [{"type": "le", "fun": square}], [{"fun": square}], [3]])
def test_constraints_that_cannot_be_read(constraints: Any) -> None:
    with pytest.raises(ProblemError, match=r"'type' \('eq' or 'ineq'\)|'eq' or 'ineq', 'fun'"):
        so.minimize(square, START, constraints=constraints)


def test_missing_cyipopt_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cyipopt", None)  # importing it fails
    with pytest.raises(MissingDependencyError, match=r"needs cyipopt.*`sct-opt install-ipopt` installs it"):
        so.minimize(square, START)


# -- models ----------------------------------------------------------------------------------------------------------------


def _model() -> Any:
    model = pyo.ConcreteModel()
    model.x = pyo.Var([1, 2], initialize=1.0)
    model.cost = pyo.Objective(expr=model.x[1] ** 2 + model.x[2] ** 2)
    return model


def test_unknown_pyomo_components_name_the_component_and_the_mend() -> None:
    model = _model()
    model.choice = pyo.SOSConstraint(var=model.x, sos=1)
    with pytest.raises(ModelError, match="SOSConstraint 'choice': write it with continuous constraints"):
        so.solve(model)


def test_unknown_pyomo_expressions_name_the_component() -> None:
    model = _model()
    node = pyo.sin(model.x[1])
    node._name = "besselj"
    node._fcn = None
    model.balance = pyo.Constraint(expr=node + model.x[2] == 1)
    with pytest.raises(UnsupportedOperatorError, match=r"(?s)besselj.*'balance'|'balance'.*besselj"):
        so.solve(model)


def test_casadi_functions_that_cannot_be_expanded_name_the_function_and_the_mend() -> None:
    class Mystery(casadi.Callback):
        def __init__(self) -> None:
            casadi.Callback.__init__(self)
            self.construct("mystery", {})

        def get_n_in(self) -> int:
            return 1

        def get_n_out(self) -> int:
            return 1

        def eval(self, arguments: Any) -> Any:
            return [arguments[0] ** 2]

    mystery = Mystery()
    x = casadi.MX.sym("x")
    with pytest.raises(ModelError, match=r"'mystery'.*implement get_jacobian.*enable_fd=True"):
        so.solve({"x": x, "f": mystery(x)})
