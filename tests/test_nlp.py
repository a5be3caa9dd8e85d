"""The nonlinear program: cyipopt's callbacks against hand-written derivatives, parameters, and bad input."""

import numpy as np
import pytest

from sct_opt.errors import ProblemError, ShapeError
from sct_opt.nlp import NLP
from sct_opt.ops import OPCODE
from sct_opt.tape import Tape, TapeBuilder

X0 = np.array([1.0, 5.0, 5.0, 1.0])


def hs071_tape() -> Tape:
    """Tape of Hock and Schittkowski's problem 71: x0 x3 (x0 + x1 + x2) + x2, x0 x1 x2 x3, sum of squares."""
    builder = TapeBuilder()
    x = builder.inputs(4)

    def mul(a, b):
        return builder.emit2(OPCODE["mul"], a, b)

    total = int(builder.affine(np.array([3]), x[:3], np.ones(3), np.zeros(1))[0])
    objective = builder.emit2(OPCODE["add"], mul(mul(int(x[0]), int(x[3])), total), int(x[2]))
    product = mul(mul(int(x[0]), int(x[1])), mul(int(x[2]), int(x[3])))
    squares = builder.unary(OPCODE["square"], x)
    sum_of_squares = int(builder.affine(np.array([4]), squares, np.ones(4), np.zeros(1))[0])
    return builder.freeze([objective, product, sum_of_squares])


def hs071(**kwargs) -> NLP:
    return NLP(hs071_tape(), X0, 1.0, 5.0, [25.0, 40.0], [np.inf, 40.0], **kwargs)


def weighted_tape() -> Tape:
    """Objective p0 * x0**2 + p1 * x1**2 + p2, one constraint x0 + p0 * x1."""
    builder = TapeBuilder()
    x = builder.inputs(2)
    p = builder.parameter_block(np.array([1.0, 2.0, 3.0]))
    squares = builder.binary(OPCODE["mul"], p[:2], builder.unary(OPCODE["square"], x))
    objective = builder.affine(np.array([3]), np.append(squares, p[2]), np.ones(3), np.zeros(1))
    constraint = builder.binary(OPCODE["add"], x[:1], builder.binary(OPCODE["mul"], p[:1], x[1:]))
    return builder.freeze(np.append(objective, constraint))


def test_hs071_functions_and_first_derivatives():
    nlp = hs071()
    x = np.array([1.5, 4.0, 3.0, 2.0])
    assert (nlp.n, nlp.m) == (4, 2)
    assert nlp.objective(x) == pytest.approx(1.5 * 2.0 * 8.5 + 3.0)
    np.testing.assert_allclose(nlp.gradient(x), [2 * (2 * 1.5 + 4 + 3), 3.0, 3.0 + 1, 1.5 * 8.5])
    np.testing.assert_allclose(nlp.constraints(x), [36.0, 1.5**2 + 16 + 9 + 4])
    rows, cols = nlp.jacobianstructure()
    dense = np.zeros((2, 4))
    dense[rows, cols] = nlp.jacobian(x)
    np.testing.assert_allclose(dense, [[24.0, 9.0, 12.0, 18.0], [3.0, 8.0, 6.0, 4.0]])
    assert nlp.jacobian_pattern.shape == (2, 4)


def test_hs071_hessian_is_the_lower_triangle_of_the_lagrangian():
    nlp = hs071()
    a, b, c, d = x = np.array([1.5, 4.0, 3.0, 2.0])
    sigma, lam, mu = 0.7, -1.3, 2.1
    objective = np.array([[2 * d, d, d, 2 * a + b + c], [d, 0, 0, a], [d, 0, 0, a], [2 * a + b + c, a, a, 0]])
    product = np.array(
        [[0, c * d, b * d, b * c], [c * d, 0, a * d, a * c], [b * d, a * d, 0, a * b], [b * c, a * c, a * b, 0]]
    )
    rows, cols = nlp.hessianstructure()
    assert (rows >= cols).all()
    dense = np.zeros((4, 4))
    dense[rows, cols] = nlp.hessian(x, [lam, mu], sigma)
    np.testing.assert_allclose(dense, np.tril(sigma * objective + lam * product + mu * 2 * np.eye(4)), atol=1e-12)
    assert nlp.hessian_pattern.shape == (4, 4)
    assert nlp.hessian_pattern.is_symmetric()


def test_derivatives_agree_with_central_differences():
    nlp = hs071()
    rng = np.random.default_rng(0)
    x, multipliers, step = rng.uniform(1, 5, 4), rng.normal(size=2), 1e-5
    lagrangian_gradient = np.zeros((4, 4))
    jacobian = np.zeros((2, 4))
    rows, cols = nlp.jacobianstructure()

    def gradient(point):
        dense = np.zeros((2, 4))
        dense[rows, cols] = nlp.jacobian(point)
        return 0.5 * nlp.gradient(point) + multipliers @ dense

    for j, direction in enumerate(step * np.eye(4)):
        jacobian[:, j] = (nlp.constraints(x + direction) - nlp.constraints(x - direction)) / (2 * step)
        lagrangian_gradient[j] = (gradient(x + direction) - gradient(x - direction)) / (2 * step)
    np.testing.assert_allclose(nlp.jacobian(x), jacobian[rows, cols], rtol=1e-7)
    np.testing.assert_allclose(
        nlp.hessian(x, multipliers, 0.5), lagrangian_gradient[nlp.hessianstructure()], rtol=1e-7, atol=1e-7
    )


def test_without_constraints():
    builder = TapeBuilder()
    x = builder.inputs(3)
    squares = builder.unary(OPCODE["square"], x[:2])
    nlp = NLP(builder.freeze(builder.affine(np.array([2]), squares, np.ones(2), np.zeros(1))), np.ones(3))
    assert nlp.m == 0
    assert nlp.constraints(nlp.x0).shape == (0,)
    assert nlp.jacobian(nlp.x0).shape == (0,)
    assert nlp.jacobian_pattern.shape == (0, 3)
    assert [index.size for index in nlp.jacobianstructure()] == [0, 0]
    np.testing.assert_allclose(nlp.hessian(nlp.x0, [], 3.0), [6.0, 6.0])
    assert nlp.constraint_names == []
    assert np.isneginf(nlp.lb).all()
    assert np.isposinf(nlp.ub).all()


def test_parameters_change_values_and_derivatives_without_retracing():
    nlp = NLP(weighted_tape(), [1.0, 1.0], cl=0, cu=0, parameter_names={"w": (2,), "shift": ()})
    x = np.array([2.0, 3.0])
    assert nlp.objective(x) == 4 + 18 + 3
    np.testing.assert_allclose(nlp.jacobian(x), [1.0, 1.0])
    nlp.parameters["w"] = [5.0, 7.0]
    nlp.parameters["shift"] = -1.0
    assert nlp.objective(x) == 20 + 63 - 1
    np.testing.assert_allclose(nlp.gradient(x), [20.0, 42.0])
    np.testing.assert_allclose(nlp.constraints(x), [17.0])
    np.testing.assert_allclose(nlp.jacobian(x), [1.0, 5.0])
    np.testing.assert_allclose(nlp.hessian(x, [1.0], 1.0), [10.0, 14.0])
    nlp.parameters["w[1]"] = 0.5
    assert nlp.objective(x) == 20 + 4.5 - 1
    nlp.parameters[2] = 0.0
    assert nlp.objective(x) == 24.5
    nlp.parameters.values[:] = 1.0
    assert nlp.objective(x) == 14.0
    nlp.parameters = {"shift": 8.0}
    assert nlp.objective(x) == 21.0
    nlp.parameters = [0.0, 0.0, 4.0]
    assert nlp.objective(x) == 4.0
    np.testing.assert_array_equal(np.asarray(nlp.parameters), [0.0, 0.0, 4.0])
    assert nlp.tape.parameters.tolist() == [1.0, 2.0, 3.0]


def test_parameters_by_plain_names_and_without():
    nlp = NLP(weighted_tape(), [1.0, 1.0], cl=0, cu=0, parameter_names=lambda: ["a", "b", "c"])
    assert nlp.parameters["b"] == 2.0
    assert nlp.parameters.names == ["a", "b", "c"]
    assert repr(nlp.parameters) == "Parameters(a=1.0, b=2.0, c=3.0)"
    with pytest.raises(ProblemError, match=r"no parameter 'd'; it has 'a', 'b', 'c'"):
        nlp.parameters["d"] = 1.0
    unnamed = NLP(weighted_tape(), [1.0, 1.0], cl=0, cu=0)
    assert unnamed.parameters.names == ["p[0]", "p[1]", "p[2]"]
    with pytest.raises(ShapeError, match=r"parameters have shape \(2,\), expected \(3,\)"):
        unnamed.parameters = [1.0, 2.0]
    with pytest.raises(ShapeError, match=r"parameter 'p' has shape \(3,\), but was given shape \(4,\)"):
        unnamed.parameters["p"] = np.zeros(4)


def test_bounds_broadcast_and_can_be_changed():
    nlp = hs071()
    assert nlp.lb.tolist() == [1.0] * 4
    nlp.lb[2] = 2.0
    nlp.ub = 4.5
    nlp.x0 = [1, 2, 3, 4]
    assert nlp.lb.tolist() == [1, 1, 2, 1]
    assert nlp.ub.tolist() == [4.5] * 4
    assert nlp.x0.dtype == float
    nlp.check()
    nlp.ub[1] = 0.0
    with pytest.raises(ProblemError, match=r"bounds of variable 'x\[1\]' are crossed: lower 1 > upper 0"):
        nlp.check()


def test_the_problem_owns_its_arrays():
    lower = np.ones(4)
    nlp = NLP(hs071_tape(), X0, lower, 5.0, 0.0, 50.0)
    lower[:] = -1.0
    assert nlp.lb.tolist() == [1.0] * 4


def test_names_given_lazily_are_made_once_and_only_when_needed():
    calls = []

    def names():
        calls.append(1)
        return ["a", "b", "c", "d"]

    nlp = hs071(variable_names=names, constraint_names=["product", "squares"])
    nlp.objective(X0)
    nlp.prepare()
    assert calls == []
    assert nlp.variable_names == ["a", "b", "c", "d"]
    assert nlp.variable_name(2) == "c"
    assert calls == [1]
    assert nlp.constraint_names == ["product", "squares"]
    assert hs071().variable_names == ["x[0]", "x[1]", "x[2]", "x[3]"]
    assert hs071().constraint_names == ["g[0]", "g[1]"]


def test_wrong_number_of_names():
    with pytest.raises(ShapeError, match="there are 3 variable names for 4 variables"):
        _ = hs071(variable_names=["a", "b", "c"]).variable_names


def test_prepare_reports_timings():
    nlp = hs071()
    nlp.timings["trace"] = 0.5
    timings = nlp.prepare()
    assert set(timings) == {"trace", "detect", "color"}
    assert min(timings.values()) > 0
    assert nlp.prepare() is nlp.timings


def test_repr_says_what_it_is():
    assert repr(hs071()) == "NLP(minimize, 4 variables, 2 constraints (1 of them equalities))"
    assert (
        repr(NLP(weighted_tape(), [0, 0], cl=0, cu=1, maximize=True))
        == "NLP(maximize, 2 variables, 1 constraint, 3 parameters)"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x0": [1.0, np.nan, 1.0, 1.0]}, r"the start x0 is nan at variable 'x\[1\]'; give a finite value"),
        ({"x0": [1.0, 1.0, np.inf, 1.0]}, r"the start x0 is inf at variable 'x\[2\]'"),
        ({"lb": [0, 0, 6, 0]}, r"the bounds of variable 'x\[2\]' are crossed: lower 6 > upper 5"),
        ({"ub": [5, np.nan, 5, 5]}, r"the upper bound of variable 'x\[1\]' is nan; use inf where there is none"),
        ({"lb": np.inf}, r"the lower bound of variable 'x\[0\]' is inf; use -inf where there is none"),
        ({"cl": [0.0, 41.0]}, r"the bounds of constraint 'g\[1\]' are crossed: lower 41 > upper 40"),
        ({"cu": [np.nan, 40.0]}, r"the upper bound of constraint 'g\[0\]' is nan"),
    ],
)
def test_senseless_numbers_are_refused_by_name(change, message):
    numbers = {"x0": X0, "lb": 1.0, "ub": 5.0, "cl": [25.0, 40.0], "cu": [np.inf, 40.0]} | change
    with pytest.raises(ProblemError, match=message):
        NLP(hs071_tape(), **numbers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x0": np.zeros(3)}, r"x0 has shape \(3,\), but the problem has 4"),
        ({"lb": np.zeros(2)}, r"the lower bound lb has shape \(2,\)"),
        ({"cu": np.zeros(3)}, r"the constraints' upper bound cu has shape \(3,\), but the problem has 2"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ShapeError, match=message):
        NLP(hs071_tape(), **({"x0": X0} | change))


def test_empty_problems_are_refused():
    builder = TapeBuilder()
    with pytest.raises(ProblemError, match="no variables"):
        NLP(builder.freeze([builder.constant(1.0)]), [])
    builder = TapeBuilder()
    builder.inputs(1)
    with pytest.raises(ProblemError, match="no objective"):
        NLP(builder.freeze([]), [1.0])


def test_missing_parameter_is_refused_by_name():
    nlp = NLP(weighted_tape(), [1.0, 1.0], cl=0, cu=0, parameter_names=["a", "b", "c"])
    nlp.parameters["b"] = np.nan
    with pytest.raises(ProblemError, match="parameter 'b' is nan"):
        nlp.check()


def test_points_and_multipliers_of_wrong_shape_are_refused():
    nlp = hs071()
    with pytest.raises(ShapeError, match=r"x has shape \(3,\), but the problem has 4 variables"):
        nlp.objective(np.zeros(3))
    with pytest.raises(ShapeError, match=r"the multipliers have shape \(1,\), but the problem has 2 constraints"):
        nlp.hessian(X0, [1.0], 1.0)
    assert nlp.objective(X0.reshape(2, 2)) == 16.0


def test_explanations_of_values_name_constraint_operation_and_variables():
    builder = TapeBuilder()
    x = builder.inputs(3)
    difference = builder.binary(OPCODE["sub"], x[:1], x[1:2])
    log = builder.unary(OPCODE["log"], difference)
    scaled = builder.affine(np.array([1]), log, np.array([2.0]), np.ones(1))
    tape = builder.freeze([x[2], x[0], scaled[0]])
    nlp = NLP(tape, [1.0, 0.5, 0.0], cl=0, cu=0, constraint_names=["first", "balance"])
    assert nlp.explain_values(nlp.x0) is None
    assert nlp.explain_values(np.array([1.0, 1.5, 0.0])) == (
        "constraint 'balance' is nan: log(-0.5) is nan, where x[0] = 1, x[1] = 1.5"
    )


def test_explanations_of_derivatives_name_both_sides():
    builder = TapeBuilder()
    x = builder.inputs(2)
    root = builder.unary(OPCODE["sqrt"], x)
    nlp = NLP(builder.freeze([root[0], root[1]]), [1.0, 1.0], cl=0, cu=1, variable_names=["u", "v"])
    assert nlp.explain_derivatives(nlp.x0) is None
    assert nlp.explain_derivatives(nlp.x0, np.ones(1)) is None
    assert nlp.explain_derivatives(np.array([0.0, 1.0])) == "the objective's derivative by 'u' is inf, where u = 0"
    assert nlp.explain_derivatives(np.array([1.0, 0.0])) == (
        "the derivative of constraint 'g[0]' by 'v' is inf, where v = 0"
    )
    sentence = nlp.explain_derivatives(np.array([1.0, 0.0]), np.ones(1))
    assert sentence is not None
    assert sentence.startswith("the Lagrangian's second derivative by 'v' twice is -inf")
