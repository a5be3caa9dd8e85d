"""The public functions: patterns, sparse derivatives, `solve` for every kind of problem, `minimize` as SciPy has it."""

import casadi
import numpy as np
import pyomo.environ as pyo
import pytest
import scipy.optimize
import scipy.sparse

import sct_opt as so
from sct_opt.errors import MissingPrimalError, ProblemError, ShapeError, TracingError


def pairs(pattern):
    return sorted(zip(*(index.tolist() for index in pattern.coo()), strict=True))


# -- patterns ----------------------------------------------------------------------------------------------------


def test_jacobian_sparsity():
    pattern = so.jacobian_sparsity(lambda x: [x[0] ** 2, 2 * x[0] * x[1] ** 2, np.sin(x[2])], np.ones(3))
    assert pairs(pattern) == [(0, 0), (1, 0), (1, 1), (2, 2)]
    assert pattern.shape == (3, 3)


def test_jacobian_of_arrays_is_flattened_in_c_order():
    pattern = so.jacobian_sparsity(lambda x: x.T * 2.0, np.ones((2, 3)))
    assert pairs(pattern) == [(0, 0), (1, 3), (2, 1), (3, 4), (4, 2), (5, 5)]
    assert so.jacobian_sparsity(lambda x: x**2, 3.0).shape == (1, 1)


def test_jacobian_of_a_function_that_fills_its_output():
    def fill(y, x):
        y[0] = x[1]
        y[2] = x[0] * x[1]

    pattern = so.jacobian_sparsity(fill, np.ones(2), so.TracerSparsityDetector(), out=np.zeros(3))
    assert pairs(pattern) == [(0, 1), (2, 0), (2, 1)]
    assert pattern.shape == (3, 2)


def test_hessian_sparsity():
    assert pairs(so.hessian_sparsity(lambda x: x[0] + x[1] * x[2] + 1 / x[3] + x[4], np.ones(5))) == [
        (1, 2),
        (2, 1),
        (3, 3),
    ]
    assert so.hessian_sparsity(lambda x: x[0] + x[1] * x[2] + 1 / x[3] + x[4] + x[1] ** x[4], np.ones(5)).nnz == 7


def test_constants_policy():
    assert so.jacobian_sparsity(lambda x: 0 * x, np.ones(2)).nnz == 0
    assert (
        so.jacobian_sparsity(lambda x: 0 * x, np.ones(2), so.TracerSparsityDetector(constants="conservative")).nnz == 2
    )


def test_local_detection():
    def f(x):
        return so.where(x[1] < x[2], x[0] ** x[1], x[2] * x[3])

    local = so.TracerLocalSparsityDetector()
    assert pairs(so.hessian_sparsity(f, [1.0, 2.0, 3.0, 4.0], local)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert pairs(so.hessian_sparsity(f, [1.0, 3.0, 2.0, 4.0], local)) == [(2, 3), (3, 2)]
    assert pairs(so.jacobian_sparsity(f, [1.0, 3.0, 2.0, 4.0], local)) == [(0, 2), (0, 3)]
    assert so.hessian_sparsity(f, np.ones(4)).nnz == 6


def test_local_detection_follows_control_flow():
    def f(x):
        return x[0] * x[1] if x[0] > x[1] else np.sin(x[2])

    local = so.TracerLocalSparsityDetector()
    assert pairs(so.jacobian_sparsity(f, [2.0, 1.0, 1.0], local)) == [(0, 0), (0, 1)]
    assert pairs(so.hessian_sparsity(f, [1.0, 2.0, 1.0], local)) == [(2, 2)]
    with pytest.raises(MissingPrimalError, match=r"so\.where"):
        so.jacobian_sparsity(f, np.ones(3))


def test_local_masking_in_arrays():
    pattern = so.jacobian_sparsity(
        lambda x: np.maximum(x[:2], x[2:]), [1.0, 5.0, 2.0, 3.0], so.TracerLocalSparsityDetector()
    )
    assert pairs(pattern) == [(0, 2), (1, 1)]


def test_ignore_derivatives():
    assert pairs(so.jacobian_sparsity(lambda x: so.ignore_derivatives(x[0]) * x[1], np.ones(2))) == [(0, 1)]


def test_hessian_needs_a_scalar():
    with pytest.raises(
        ShapeError, match=r"'<lambda>' \(.*test_api\.py:\d+\) returns 2 numbers, but a Hessian needs a scalar"
    ):
        so.hessian_sparsity(lambda x: x**2, np.ones(2))
    with pytest.raises(ShapeError, match="returns 2 numbers"):
        so.SparseHessian(lambda x: x**2, np.ones(2))


def test_bad_arguments_of_detection():
    with pytest.raises(ProblemError, match="detector must be a TracerSparsityDetector"):
        so.jacobian_sparsity(np.sin, np.ones(2), "global")
    with pytest.raises(ShapeError, match="x must be an array of numbers"):
        so.jacobian_sparsity(np.sin, "x")
    with pytest.raises(TracingError, match="returned None"):
        so.jacobian_sparsity(lambda x: None, np.ones(2))


# -- sparse derivatives ---------------------------------------------------------------------------------------------


def test_sparse_jacobian():
    def f(x):
        return np.sin(x[:, 1:]) * x[:, :-1] ** 2

    rng = np.random.default_rng(2)
    x, v, w = rng.normal(size=(3, 4)), rng.normal(size=12), rng.normal(size=9)
    jacobian = so.SparseJacobian(f, x)
    matrix = jacobian(x)
    assert isinstance(matrix, scipy.sparse.csr_array)
    assert matrix.shape == (9, 12)
    assert matrix.nnz == jacobian.pattern.nnz == 18
    step = 1e-6
    reference = np.stack(
        [(f(x + step * e.reshape(3, 4)) - f(x - step * e.reshape(3, 4))).ravel() / (2 * step) for e in np.eye(12)],
        axis=1,
    )
    np.testing.assert_allclose(matrix.toarray(), reference, atol=1e-8)
    np.testing.assert_allclose(jacobian.jvp(x, v), matrix @ v)
    np.testing.assert_allclose(jacobian.vjp(x, w.reshape(3, 3)), matrix.T @ w)
    np.testing.assert_array_equal(jacobian(x.ravel()).toarray(), matrix.toarray())
    assert jacobian.coloring.num_colors == 2
    assert repr(jacobian) == "SparseJacobian(9 outputs, 12 inputs)"


def test_results_do_not_share_memory_with_the_pattern():
    jacobian = so.SparseJacobian(lambda x: x**2, np.ones(3))
    matrix = jacobian([1.0, 2.0, 3.0])
    matrix.data[:] = 0.0
    matrix.indices[:] = 0
    assert jacobian([1.0, 2.0, 3.0]).toarray().tolist() == np.diag([2.0, 4.0, 6.0]).tolist()


def test_sparse_hessian():
    def f(x):
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    rng = np.random.default_rng(3)
    x, v = rng.normal(size=20), rng.normal(size=20)
    hessian = so.SparseHessian(f, x)
    matrix = hessian(x)
    assert isinstance(matrix, scipy.sparse.csr_array)
    np.testing.assert_allclose(matrix.toarray(), scipy.optimize.rosen_hess(x))
    np.testing.assert_allclose(hessian.gradient(x), scipy.optimize.rosen_der(x))
    np.testing.assert_allclose(hessian.hvp(x, v), matrix @ v)
    assert matrix.nnz == hessian.pattern.nnz == 58
    assert hessian.coloring.num_colors == 3


def test_extra_arguments():
    assert so.SparseJacobian(lambda x, k: k * x, np.ones(2), args=(3.0,))(np.ones(2)).toarray().tolist() == [
        [3.0, 0.0],
        [0.0, 3.0],
    ]
    assert so.SparseHessian(lambda x, k: k * x[0] ** 2, np.ones(1), args=(3.0,))([1.0]).toarray().tolist() == [[6.0]]


def test_points_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match=r"x has shape \(4,\), but the function was traced with shape \(3,\)"):
        so.SparseJacobian(np.sin, np.ones(3))(np.ones(4))


# -- solve -------------------------------------------------------------------------------------------------------------


def test_solve_an_nlp():
    nlp = so.from_callables(lambda x: np.sum((x - 1) ** 2), np.zeros(3))
    result = so.solve(nlp, options={"tol": 1e-9})
    assert isinstance(result, scipy.optimize.OptimizeResult)
    np.testing.assert_allclose(result.x, 1.0)
    with pytest.raises(ProblemError, match="lbx: only models take these"):
        so.solve(nlp, lbx=0)


def test_solve_writes_the_solution_back():
    loaded = []
    nlp = so.from_callables(lambda x: (x[0] - 1) ** 2, [0.0])
    nlp.load_solution = loaded.append
    result = so.solve(nlp)
    assert loaded == [result]


def test_solve_a_pyomo_model():
    model = pyo.ConcreteModel()
    model.x = pyo.Var(initialize=1.0)
    model.y = pyo.Var(initialize=1.0, bounds=(0, None))
    model.circle = pyo.Constraint(expr=model.x**2 + model.y**2 == 2)
    model.objective = pyo.Objective(expr=model.x + model.y, sense=pyo.maximize)
    result = so.solve(model)
    assert result.success
    assert result.fun == pytest.approx(2.0)
    assert pyo.value(model.x) == pytest.approx(1.0)


def test_solve_a_casadi_dict():
    x = casadi.SX.sym("x", 2)
    result = so.solve({"x": x, "f": (x[0] - 1) ** 2 + (x[1] - 2) ** 2, "g": x[0] + x[1]}, lbg=4, ubg=4)
    assert result.success
    np.testing.assert_allclose(result.x, [1.5, 2.5])


def test_solve_an_opti():
    opti = casadi.Opti()
    x = opti.variable(2)
    opti.minimize(casadi.sumsqr(x - 1))
    opti.subject_to(x[0] + x[1] == 4)
    result = so.solve(opti)
    assert result.success
    np.testing.assert_allclose(result.x, 2.0)


@pytest.mark.parametrize("problem", [None, 3.0, {}, {"f": 1.0}])
def test_things_that_are_no_problems(problem):
    with pytest.raises(ProblemError, match="give an NLP, a Pyomo model"):
        so.solve(problem)
    with pytest.raises(ProblemError, match=r"for a plain function use so\.minimize"):
        so.solve(np.sum)


# -- minimize ------------------------------------------------------------------------------------------------------------


def rosen(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_minimize_unconstrained():
    result = so.minimize(rosen, np.zeros(6))
    assert result.success
    np.testing.assert_allclose(result.x, 1.0, atol=1e-6)


def test_minimize_passes_arguments():
    assert so.minimize(lambda x, a, b: (a * x[0] - b) ** 2, [0.0], args=(2.0, 6.0)).x == pytest.approx([3.0])
    assert so.minimize(lambda x, a: (x[0] - a) ** 2, 0.0, args=2.0).x == pytest.approx([2.0])


@pytest.mark.parametrize(
    "bounds", [[(0, 0.5), (None, None), (2, None)], scipy.optimize.Bounds([0, -np.inf, 2], [0.5, np.inf, np.inf])]
)
def test_minimize_takes_scipys_bounds(bounds):
    result = so.minimize(lambda x: np.sum((x - 1) ** 2), np.zeros(3), bounds=bounds)
    np.testing.assert_allclose(result.x, [0.5, 1.0, 2.0], atol=1e-6)


def constraint_forms():
    matrix = np.array([[1.0, 1.0]])

    def total(x, target):
        return x[0] + x[1] - target

    return {
        "mapping": {"type": "eq", "fun": total, "args": (3.0,), "jac": None},
        "list of mappings": [{"type": "eq", "fun": total, "args": (3.0,)}, {"type": "ineq", "fun": lambda x: x[0]}],
        "nonlinear": scipy.optimize.NonlinearConstraint(lambda x: x[0] + x[1], 3, 3),
        "linear": scipy.optimize.LinearConstraint(matrix, 3, 3),
        "sparse linear": scipy.optimize.LinearConstraint(scipy.sparse.csr_array(matrix), 3, 3),
        "mixed": (scipy.optimize.LinearConstraint(matrix, -np.inf, 3), {"type": "ineq", "fun": total, "args": (3.0,)}),
    }


@pytest.mark.parametrize("form", constraint_forms())
def test_minimize_takes_scipys_constraints(form):
    result = so.minimize(lambda x: np.sum(x**2), [1.0, 0.0], constraints=constraint_forms()[form])
    assert result.success
    np.testing.assert_allclose(result.x, 1.5, atol=1e-6)


def test_minimize_agrees_with_scipy():
    product = scipy.optimize.NonlinearConstraint(lambda x: x[0] * x[1] * x[2] * x[3], 25, np.inf)
    squares = scipy.optimize.NonlinearConstraint(lambda x: np.sum(x**2), 40, 40)

    def f(x):
        return x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2]

    arguments = {"x0": np.array([1.0, 5.0, 5.0, 1.0]), "bounds": [(1, 5)] * 4, "constraints": [product, squares]}
    ours = so.minimize(f, **arguments)
    theirs = scipy.optimize.minimize(f, **arguments, method="SLSQP")
    assert ours.fun == pytest.approx(theirs.fun, abs=1e-5) == pytest.approx(17.0140173, abs=1e-5)
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-4)


def test_minimize_options_by_scipys_names(capfd):
    result = so.minimize(rosen, np.zeros(6), options={"maxiter": 2, "disp": False}, tol=1e-3)
    assert (result.status, result.nit) == (-1, 2)
    loose = so.minimize(rosen, np.zeros(6), options={"ftol": 1e-1})
    assert loose.nit <= so.minimize(rosen, np.zeros(6), options={"max_iter": 100}).nit


def test_minimize_callbacks():
    points, results = [], []
    result = so.minimize(rosen, np.zeros(4), callback=points.append)
    assert len(points) == result.nit + 1
    np.testing.assert_allclose(points[-1], result.x)

    def by_name(intermediate_result):
        results.append(intermediate_result.fun)
        if len(results) == 3:
            raise StopIteration

    assert so.minimize(rosen, np.zeros(4), callback=by_name).status == 5
    assert results[0] == pytest.approx(rosen(np.zeros(4)))


def test_minimize_bad_input():
    with pytest.raises(ShapeError, match="bounds must be one pair"):
        so.minimize(rosen, np.zeros(3), bounds=[(0, 1)])
    with pytest.raises(ProblemError, match="a constraint mapping needs 'type'"):
        so.minimize(rosen, np.zeros(3), constraints={"type": "equality", "fun": np.sum})
    with pytest.raises(ProblemError, match="cannot read the constraint"):
        so.minimize(rosen, np.zeros(3), constraints=[3.0])
    with pytest.raises(ShapeError, match=r"the objective 'test_minimize_bad_input\.<locals>|the objective '<lambda>'"):
        so.minimize(lambda x, a: a * x, np.zeros(3), args=(2.0,))
