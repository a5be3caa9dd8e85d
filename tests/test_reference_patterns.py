"""Patterns that SparseConnectivityTracer.jl and its peers test, through the public interface; expected ones are literal.

Patterns are written row by row, ``110;001``.  Items are numbered in the order of the operator survey that they come
from: Jacobians (1-22 global, 23-32 local), Hessians (33-49 global, 50-54 local), arrays and whole problems (55-65).
"""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.special

import sct_opt as so
from sct_opt.ops import UFUNC

LOCAL = so.TracerLocalSparsityDetector()
CONSERVATIVE = so.TracerSparsityDetector(constants="conservative")


def rows(pattern: so.SparsityPattern) -> str:
    return ";".join("".join(map(str, row)) for row in pattern.toarray().astype(int).tolist())


def jacobian(f, x, detector=None) -> str:
    return rows(so.jacobian_sparsity(f, np.ones(x) if isinstance(x, int) else np.array(x, dtype=float), detector))


def hessian(f, x, detector=None) -> so.SparsityPattern:
    return so.hessian_sparsity(f, np.ones(x) if isinstance(x, int) else np.array(x, dtype=float), detector)


def upper(pattern: so.SparsityPattern) -> set[tuple[int, int]]:
    """Entries on and above the diagonal; below it the pattern must mirror them."""
    assert pattern.is_symmetric()
    return {(i, j) for i, j in zip(*(index.tolist() for index in pattern.coo()), strict=True) if i <= j}


def product(x, i, j):
    return x[i] * x[j]


# -- 1-22: Jacobians, global ---------------------------------------------------------------------------------------------

E = math.e
JACOBIAN_GLOBAL = {
    "1 readme": (lambda x: [x[0] ** 2, 2 * x[0] * x[1] ** 2, np.sin(x[2])], 3, "100;110;001"),
    "2 identity": (lambda x: x, 1, "1"),
    "2 constant": (lambda x: 1.0, 1, "0"),
    "3 roundings": (lambda x: [x[0] * x[1], np.ceil(x[0] * x[1]), x[0] * np.round(x[1])], 2, "11;00;10"),
    "4 not": (lambda x: np.logical_not(x), 1, "0"),
    "5 sincos": (lambda x: [np.sin(x[0]), np.cos(x[0])], 1, "1;1"),
    "6 x^(2/3)": (lambda x: x ** (2 / 3), 1, "1"),
    "6 (2/3)^x": (lambda x: (2 / 3) ** x, 1, "1"),
    "6 x^e": (lambda x: x**E, 1, "1"),
    "6 e^x": (lambda x: E**x, 1, "1"),
    "7 zero(x)^(2/3)": (lambda x: np.zeros_like(x) ** (2 / 3), 1, "0"),
    "7 e^zero(x)": (lambda x: E ** np.zeros_like(x), 1, "0"),
    "8 round to digits": (lambda x: np.round(x, 3), 1, "0"),
    "8 to integers": (lambda x: x.astype(int), 1, "1"),
    "8 to half precision": (lambda x: x.astype(np.float16), 1, "1"),
    "9 clip(x, 0, 1)": (lambda x: np.clip(x, 0, 1), 1, "1"),
    "10 clip(x0, x1, 1)": (lambda x: np.clip(x[0], x[1], 1), 2, "11"),
    "11 clip(x0, x1, x2)": (lambda x: np.clip(x[0], x[1], x[2]), 3, "111"),
    "12 fma": (lambda x: x[0] * x[1] + x[2], 3, "111"),
    "12 fma with a constant": (lambda x: 1 * x[0] + x[1], 2, "11"),
    "13 random like x": (lambda x: [random.Random(0).random() for _ in x], 1, "0"),
    "13 ones like x": (lambda x: np.ones_like(x), 1, "0"),
    "14 dot": (lambda x: np.dot(x[:2], x[3:5]), 5, "11011"),
    "16 where": (lambda x: np.where(x[1] < x[2], x[0] + x[1], x[2] * x[3]), 4, "1111"),
    "16 where, constant else": (lambda x: np.where(x[1] < x[2], x[0] + x[1], 1.0), 4, "1100"),
    "16 where, constant then": (lambda x: np.where(x[1] < x[2], 1.0, x[2] * x[3]), 4, "0011"),
    "16 ifelse": (lambda x: so.ifelse(x[1] < x[2], x[0] + x[1], x[2] * x[3]), 4, "1111"),
    "17 infinite outside": (lambda x: (x[0] <= 0) * np.inf + np.sin(x[0]) + np.log(abs(x[0])), 1, "1"),
    "19 list of scalars": (
        lambda x: [x[i + 1] ** 2 - x[i] ** 2 + x[6 - 2 - i] ** 2 - x[6 - 1 - i] ** 2 for i in range(5)],
        6,
        "110011;011110;001100;011110;110011",
    ),
    "20 0*x": (lambda x: 0 * x, 1, "0"),
    "20 x*0": (lambda x: x * 0, 1, "0"),
}


@pytest.mark.parametrize("item", JACOBIAN_GLOBAL)
def test_global_jacobian(item: str) -> None:
    f, x, expected = JACOBIAN_GLOBAL[item]
    assert jacobian(f, x) == expected


@pytest.mark.parametrize(
    "f",
    [lambda x: 0 * x, lambda x: x * 0, lambda x: x**0, lambda x: 0 * x[0], lambda x: np.zeros((1, 1)) @ x],
    ids=["0*x", "x*0", "x**0", "0*x[0]", "zeros @ x"],
)
def test_20_zero_factors_count_under_the_conservative_policy(f) -> None:
    assert jacobian(f, 1) == "0"
    assert jacobian(f, 1, CONSERVATIVE) == "1"


PREDICATES = {
    "iseven": lambda x: x % 2 == 0,
    "isodd": lambda x: x % 2 == 1,
    "isfinite": np.isfinite,
    "isinf": np.isinf,
    "isnan": np.isnan,
    "isinteger": lambda x: x == np.floor(x),
    "isone": lambda x: x == 1,
    "iszero": lambda x: x == 0,
    "nonnegative": lambda x: x >= 0,
}


@pytest.mark.parametrize("name", PREDICATES)
def test_15_predicates_have_no_truth_value_globally(name: str) -> None:
    def f(x):
        return x[0] if PREDICATES[name](x[0]) else 2 * x[0]

    with pytest.raises(TypeError):
        so.jacobian_sparsity(f, np.ones(1))
    assert jacobian(f, 1, LOCAL) == "1"


def test_18_branches_raise_globally() -> None:
    with pytest.raises(TypeError):
        so.jacobian_sparsity(lambda x: x[0] if x[0] > x[1] else x[1], np.ones(2))


def test_21_buffers_may_be_longer_than_what_is_written() -> None:
    def f(y, x):
        for i in range(len(x) - 1):
            y[i] = x[i + 1] - x[i]

    pattern = so.jacobian_sparsity(f, np.ones(4), out=np.zeros(4))
    assert rows(pattern) == "1100;0110;0011;0000"


def test_22_differences_in_and_out_of_place() -> None:
    def f(y, x):
        y[:] = x[1:] - x[:-1]

    x = np.random.default_rng(0).random(10)
    outside = so.jacobian_sparsity(np.diff, x)
    assert outside.nnz == 18
    assert so.jacobian_sparsity(f, x, out=np.zeros(9)) == outside


# -- 23-32: Jacobians, local ---------------------------------------------------------------------------------------------


def branch(x):
    return x[2] if x[0] > x[1] else x[3]


def relu(x):
    return np.maximum(x, 0)


JACOBIAN_LOCAL = {
    "23 product at (1, 1)": (lambda x: product(x, 0, 1), (1, 1), "11"),
    "23 product at (1, 0)": (lambda x: product(x, 0, 1), (1, 0), "01"),
    "23 product at (0, 1)": (lambda x: product(x, 0, 1), (0, 1), "10"),
    "23 product at (0, 0)": (lambda x: product(x, 0, 1), (0, 0), "00"),
    "24 quotient at (1, 1)": (lambda x: x[0] / x[1], (1, 1), "11"),
    "24 quotient at (0, 0)": (lambda x: x[0] / x[1], (0, 0), "10"),
    "25 max at (1, 2)": (lambda x: np.maximum(x[0], x[1]), (1, 2), "01"),
    "25 max at (2, 1)": (lambda x: np.maximum(x[0], x[1]), (2, 1), "10"),
    "25 max at (1, 1)": (lambda x: np.maximum(x[0], x[1]), (1, 1), "11"),
    "25 min at (1, 2)": (lambda x: np.minimum(x[0], x[1]), (1, 2), "10"),
    "25 min at (2, 1)": (lambda x: np.minimum(x[0], x[1]), (2, 1), "01"),
    "25 min at (1, 1)": (lambda x: np.minimum(x[0], x[1]), (1, 1), "11"),
    "26 branch at (1, 2, 3, 4)": (branch, (1, 2, 3, 4), "0001"),
    "26 branch at (2, 1, 3, 4)": (branch, (2, 1, 3, 4), "0010"),
    "28 clip(x, 0, 1) inside": (lambda x: np.clip(x, 0, 1), (0.5,), "1"),
    "28 clip(x, 0, 1) outside": (lambda x: np.clip(x, 0, 1), (-0.5,), "0"),
    "28 clip(x0, x1, 1)": (lambda x: np.clip(x[0], x[1], 1), (0.5, 0.6), "01"),
    "28 clip(x0, x1, x2)": (lambda x: np.clip(x[0], x[1], x[2]), (0.5, 0, 0.4), "001"),
    "29 fma at (1, 0, 0)": (lambda x: x[0] * x[1] + x[2], (1, 0, 0), "011"),
    "29 fma at (0, 0, 0)": (lambda x: x[0] * x[1] + x[2], (0, 0, 0), "001"),
    "30 logdet": (lambda x: np.linalg.slogdet(x)[1], ((1, -1), (2, 2)), "1111"),
    "30 log of det": (lambda x: np.log(np.linalg.det(x)), ((1, -1), (2, 2)), "1111"),
    "31 dot": (lambda x: np.dot(x[:2], x[3:5]), (0, 1, 0, 1, 0), "10001"),
    "32 relu": (relu, (-1,), "0"),
    "32 relu6": (lambda x: np.minimum(relu(x), 6), (7,), "0"),
    "32 trelu": (lambda x: np.where(x > 1, x, 0), (0.9,), "0"),
    "32 hardswish": (lambda x: x * np.clip(x + 3, 0, 6) / 6, (-5,), "0"),
    "32 hardsigmoid": (lambda x: np.clip((x + 3) / 6, 0, 1), (4,), "0"),
    "32 hardtanh": (lambda x: np.clip(x, -1, 1), (2,), "0"),
    "32 softshrink": (lambda x: np.sign(x) * relu(abs(x) - 0.5), (0,), "0"),
    # a false negative upstream: the slope by the divisor is 1 where the signs differ
    "mod with signs that differ": (lambda x: np.mod(x[0], x[1]), (-0.5, 1), "11"),
}


@pytest.mark.parametrize("item", JACOBIAN_LOCAL)
def test_local_jacobian(item: str) -> None:
    f, x, expected = JACOBIAN_LOCAL[item]
    assert jacobian(f, x, LOCAL) == expected


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.float16, np.float32, np.float64, float, int, bool])
@pytest.mark.parametrize(
    ("compare", "below", "tie", "above"),
    [
        (lambda a, b: a >= b, "01", "10", "10"),
        (lambda a, b: a <= b, "10", "10", "01"),
        (lambda a, b: a == b, "01", "10", "01"),
        (lambda a, b: a != b, "10", "01", "10"),
        (lambda a, b: a > b, "01", "01", "10"),
        (lambda a, b: a < b, "10", "01", "01"),
    ],
    ids=[">=", "<=", "==", "!=", ">", "<"],
)
def test_27_comparisons_with_constants(compare, below: str, tie: str, above: str, dtype) -> None:
    one = dtype(1)
    for value, expected in ((0.5, below), (1.0, tie), (1.5, above)):
        assert jacobian(lambda x: x[0] if compare(x[0], one) else x[1], (value, 3), LOCAL) == expected
        mirrored = jacobian(lambda x: x[0] if compare(one, x[0]) else x[1], (2 - value, 3), LOCAL)
        assert mirrored == expected


@pytest.mark.parametrize(
    ("compare", "tie"), [(lambda a, b: a >= b, "10"), (lambda a, b: a <= b, "10"), (lambda a, b: a == b, "10")]
)
def test_27_comparisons_of_two_traced_values(compare, tie: str) -> None:
    assert jacobian(lambda x: x[0] if compare(x[0], x[1]) else x[1], (1, 1), LOCAL) == tie


# -- 33-49: Hessians, global ---------------------------------------------------------------------------------------------


def foo(x):
    return x[0] + x[1] * x[2] + 1 / x[3] + x[4]


def shifted_clip(x):
    return np.clip(x[0], x[1], x[2])


def dead_end(x):
    z = x[0] * x[1]
    np.sin(z)
    return x[2] * x[3]


def selected(x):
    return np.where(x[1] < x[2], x[0] ** x[1], x[2] * x[3])


ALL_PAIRS = {(i, j) for i in range(4) for j in range(i, 4)}
HESSIAN_GLOBAL = {
    "33 x": (lambda x: x[0], 1, set()),
    "33 1*x": (lambda x: 1 * x[0], 1, set()),
    "33 sqrt": (lambda x: np.sqrt(x[0]), 1, {(0, 0)}),
    "33 sign": (lambda x: np.sign(x[0]), 1, set()),
    "34 cubes of differences": (
        lambda x: np.sum(np.diff(x) ** 3),
        4,
        {(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3)},
    ),
    "35 square of another precision": (lambda x: x[0].astype(np.float32) ** 2, 1, {(0, 0)}),
    "36 clip(x, 0, 1)": (lambda x: np.clip(x[0], 0, 1), 1, set()),
    "36 clip(x0, x1, 1)": (lambda x: np.clip(x[0], x[1], 1), 2, set()),
    "36 clip(x0, x1, x2)": (shifted_clip, 3, set()),
    "37 x0 * clip": (lambda x: x[0] * shifted_clip(x), 3, {(0, 0), (0, 1), (0, 2)}),
    "37 x2 * clip": (lambda x: x[2] * shifted_clip(x), 3, {(0, 2), (1, 2), (2, 2)}),
    "38 quotients": (lambda x: x[0] / x[1] + x[2] / 1 + 1 / x[3], 4, {(0, 1), (1, 1), (3, 3)}),
    "39 products": (lambda x: x[0] * x[1] + x[2] * 1 + 1 * x[3], 4, {(0, 1)}),
    "40 product of products": (lambda x: (x[0] * x[1]) * (x[2] * x[3]), 4, {(i, j) for i, j in ALL_PAIRS if i != j}),
    "41 product of sums": (lambda x: (x[0] + x[1]) * (x[2] + x[3]), 4, {(0, 2), (0, 3), (1, 2), (1, 3)}),
    "42 square of the sum": (lambda x: np.sum(x) ** 2, 4, ALL_PAIRS),
    "42 reciprocal of the sum": (lambda x: 1 / np.sum(x), 4, ALL_PAIRS),
    "43 affine": (lambda x: 2 * x[0] - x[1] / 3 + np.sum(x) + 5, 4, set()),
    "44 foo": (foo, 5, {(1, 2), (3, 3)}),
    "44 foo + x1^x4": (lambda x: foo(x) + x[1] ** x[4], 5, {(1, 2), (3, 3), (1, 1), (1, 4), (4, 4)}),
    "45 copysign": (lambda x: np.copysign(x[0] * x[1], x[2] * x[3]), 4, {(0, 1)}),
    "46 floor_divide": (lambda x: (x[0] * x[1]) // (x[2] * x[3]), 4, set()),
    "47 dead end": (dead_end, 4, {(2, 3)}),
    "48 where": (selected, 4, {(0, 0), (0, 1), (1, 1), (2, 3)}),
    "49 0*x^2": (lambda x: 0 * x[0] ** 2, 1, set()),
    # upstream's default sets are shared, so that sin(y) adds (0, 0) and (1, 1) to y's
    "aliased sets": (lambda x: (lambda y: (np.sin(y), y)[1])(x[0] * x[1]), 2, {(0, 1)}),
    "abs (CasADi: dense)": (lambda x: np.sum(abs(x)), 4, set()),
    "max(x0, x1) * x2 (CasADi: 8 entries)": (lambda x: np.maximum(x[0], x[1]) * x[2], 3, {(0, 2), (1, 2)}),
}


@pytest.mark.parametrize("item", HESSIAN_GLOBAL)
def test_global_hessian(item: str) -> None:
    f, x, expected = HESSIAN_GLOBAL[item]
    assert upper(hessian(f, x)) == expected


def test_49_zero_factor_counts_under_the_conservative_policy() -> None:
    assert upper(hessian(lambda x: 0 * x[0] ** 2, 1, CONSERVATIVE)) == {(0, 0)}
    assert upper(hessian(lambda x: 1 * x[0] ** 1, 1, CONSERVATIVE)) == {(0, 0)}
    assert upper(hessian(lambda x: 1 * x[0] ** 1, 1)) == set()


# -- 50-54: Hessians, local ----------------------------------------------------------------------------------------------


def with_max(x):
    return x[0] + x[1] * x[2] + 1 / x[3] + x[1] * np.maximum(x[0], x[4])


def elu(x):
    return np.where(x > 0, x, np.exp(x) - 1)


def celu(x):
    return np.maximum(x, 0) + np.minimum(0, 2 * (np.exp(x / 2) - 1))


def selu(x):
    return 1.05 * np.where(x > 0, x, 1.67 * np.exp(x) - 1.67)


def sum_times_clip(x):
    return np.sum(x) * np.clip(x[0], x[1], 1)


HESSIAN_LOCAL = {
    "50 second wins": (with_max, (1, 3, 5, 1, 2), {(1, 2), (1, 4), (3, 3)}),
    "50 first wins": (with_max, (4, 3, 5, 1, 2), {(0, 1), (1, 2), (3, 3)}),
    "51 then": (lambda x: so.where(x[1] < x[2], x[0] * x[1], x[2] * x[3]), (1, 2, 3, 4), {(0, 1)}),
    "51 else": (lambda x: so.where(x[1] < x[2], x[0] * x[1], x[2] * x[3]), (1, 3, 2, 4), {(2, 3)}),
    "51 power": (selected, (1, 2, 3, 4), {(0, 0), (0, 1), (1, 1)}),
    "52 clip above its bound": (sum_times_clip, (0.5, 0), {(0, 0), (0, 1)}),
    "52 clip at its bound": (sum_times_clip, (0.5, 0.6), {(0, 1), (1, 1)}),
    "53 elu(-1)": (lambda x: elu(x[0]), (-1,), {(0, 0)}),
    "53 elu(1)": (lambda x: elu(x[0]), (1,), set()),
    "53 celu(-1)": (lambda x: celu(x[0]), (-1,), {(0, 0)}),
    "53 celu(1)": (lambda x: celu(x[0]), (1,), set()),
    "53 selu(-1)": (lambda x: selu(x[0]), (-1,), {(0, 0)}),
    "53 selu(1)": (lambda x: selu(x[0]), (1,), set()),
}


@pytest.mark.parametrize("item", HESSIAN_LOCAL)
def test_local_hessian(item: str) -> None:
    f, x, expected = HESSIAN_LOCAL[item]
    assert upper(hessian(f, x, LOCAL)) == expected


def test_54_roundings_are_plain_numbers_locally() -> None:
    def f(x):
        return x[int(np.floor(x[0]))] * x[int(np.sign(x[1]))]

    assert jacobian(f, (2.5, 3.0, 4.0), LOCAL) == "011"


# -- 55-61: linear algebra -----------------------------------------------------------------------------------------------

SQUARE = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 5.0]])
ONES_9 = ";".join(["1" * 9] * 9)


def diagonal_of(x):
    return np.diag(np.diag(x))


def test_55_determinant() -> None:
    assert jacobian(np.linalg.det, SQUARE) == "1" * 9
    assert rows(hessian(np.linalg.det, SQUARE)) == ONES_9
    assert upper(hessian(lambda x: np.linalg.det(diagonal_of(x)), SQUARE)) == {(0, 4), (0, 8), (4, 8)}


@pytest.mark.parametrize("order", [1, np.inf])
def test_56_polyhedral_norms_are_piecewise_linear(order: float) -> None:
    assert jacobian(lambda x: np.linalg.norm(x, order), 4) == "1111"
    assert hessian(lambda x: np.linalg.norm(x, order), 4).nnz == 0


@pytest.mark.parametrize("order", [None, 2, 3])
def test_56_smooth_norms_are_dense(order: float | None) -> None:
    assert jacobian(lambda x: np.linalg.norm(x, order), 4) == "1111"
    assert upper(hessian(lambda x: np.linalg.norm(x, order), 4)) == ALL_PAIRS


def test_57_sign_of_the_determinant() -> None:
    assert jacobian(lambda x: np.linalg.slogdet(x)[0], SQUARE) == "0" * 9
    assert jacobian(lambda x: np.linalg.slogdet(x)[1], SQUARE) == "1" * 9


@pytest.mark.parametrize("function", [np.linalg.inv, scipy.linalg.expm], ids=["inv", "expm"])
def test_58_functions_of_diagonal_matrices(function) -> None:
    assert upper(hessian(lambda x: np.sum(function(np.diag(x))), 3)) == {(0, 0), (1, 1), (2, 2)}


def test_58_matrix_powers() -> None:
    assert jacobian(lambda x: np.linalg.matrix_power(x, 0), SQUARE) == ";".join(["0" * 9] * 9)
    assert jacobian(lambda x: np.linalg.matrix_power(x, 3), SQUARE) == ONES_9
    assert rows(hessian(lambda x: np.sum(np.linalg.matrix_power(x, 3)), SQUARE)) == ONES_9


def test_59_matrix_products() -> None:
    matrix, vector = np.arange(1.0, 7.0).reshape(2, 3), np.arange(1.0, 4.0)
    assert jacobian(lambda a: a @ vector, matrix) == "111000;000111"
    assert jacobian(lambda v: matrix @ v, vector) == "111;111"
    assert jacobian(lambda z: z[:6].reshape(2, 3) @ z[6:], 9) == "111000111;000111111"
    with pytest.raises(ValueError, match=r"matmul|shape|dimension|align"):
        so.jacobian_sparsity(lambda a: a @ np.ones(2), matrix)


def test_59_zeros_of_constant_matrices_drop_out() -> None:
    band = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 2.0]])
    for matrix in (band, scipy.sparse.csr_array(band), scipy.sparse.coo_matrix(band)):
        assert jacobian(lambda x, matrix=matrix: matrix @ x, 3) == "110;011"


def test_60_solutions_depend_on_everything() -> None:
    right = np.ones(3)
    assert jacobian(lambda a: np.linalg.solve(a, right), SQUARE) == ";".join(["1" * 9] * 3)
    assert jacobian(lambda b: np.linalg.solve(SQUARE, b), 3) == "111;111;111"
    assert jacobian(np.linalg.inv, SQUARE) == ONES_9
    # NumPy reads the lower triangle only
    assert jacobian(np.linalg.eigvalsh, SQUARE) == ";".join(["100110111"] * 3)


def test_60_cholesky_factor() -> None:
    # The last entry depends on all that is read, the lower triangle; the strict upper triangle of the factor is zero.
    pattern = so.jacobian_sparsity(np.linalg.cholesky, SQUARE).toarray()
    lower = np.tril(np.ones((3, 3), dtype=bool)).ravel()
    assert pattern[8, lower].all()
    assert not pattern[~lower].any()


def test_61_containers_keep_entries_whose_value_is_zero() -> None:
    zeros = np.zeros(3)
    assert jacobian(lambda x: np.diag(x) @ np.ones(3), zeros, LOCAL) == "100;010;001"
    assert jacobian(lambda x: np.array([x[0], 0.0, x[2]], dtype=object).sum(), zeros, LOCAL) == "101"
    assert jacobian(lambda x: x[np.nonzero(np.array([1, 0, 1]))[0]], zeros, LOCAL) == "100;001"


# -- 62-65: whole functions ----------------------------------------------------------------------------------------------


def brusselator(z, n: int):
    u, v = z[:, :, 0], z[:, :, 1]

    def laplacian(w):
        return np.roll(w, 1, 0) + np.roll(w, -1, 0) + np.roll(w, 1, 1) + np.roll(w, -1, 1) - 4 * w

    scale = 10.0 * (n - 1) ** 2
    du = 1 + u**2 * v - 4.4 * u + scale * laplacian(u)
    dv = 3.4 * u - u**2 * v + scale * laplacian(v)
    return np.stack([du, dv], axis=-1)


@pytest.mark.parametrize("order", ["C", "F"])
def test_62_brusselator(order: str) -> None:
    n = 6

    def f(x):
        # column-major as upstream, or row-major
        z = x.reshape(n, n, 2) if order == "C" else x.reshape(2, n, n).transpose(2, 1, 0)
        out = brusselator(z, n)
        return out.ravel() if order == "C" else out.transpose(2, 1, 0).ravel()

    index = np.arange(2 * n * n).reshape((n, n, 2), order=order)
    expected = np.zeros((2 * n * n, 2 * n * n), dtype=bool)
    for i in range(n):
        for j in range(n):
            for k in range(2):
                row = index[i, j, k]
                for di, dj in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
                    expected[row, index[(i + di) % n, (j + dj) % n, k]] = True
                expected[row, index[i, j, 1 - k]] = True
    pattern = so.jacobian_sparsity(f, np.ones(2 * n * n))
    assert pattern.shape == (72, 72)
    assert pattern.nnz == 432
    np.testing.assert_array_equal(pattern.toarray(), expected)


def convolution(image, weights):
    """Valid convolution of channels x height x width with weights of channels x 2 x 2."""
    out = 0
    for channel in range(weights.shape[0]):
        for i in range(2):
            for j in range(2):
                out = out + weights[channel, i, j] * image[channel, i : i + 2, j : j + 2]
    return out


def test_63_convolution() -> None:
    weights = np.ones((2, 2, 2))
    expected = "110110000110110000;011011000011011000;000110110000110110;000011011000011011"
    assert jacobian(lambda x: convolution(x, weights), np.ones((2, 3, 3))) == expected
    image = -np.ones((2, 3, 3))
    image[0, 0, 0] = 100.0
    zero = "0" * 18
    assert jacobian(lambda x: relu(convolution(x, weights)), image, LOCAL) == f"110110000110110000;{zero};{zero};{zero}"
    assert jacobian(lambda x: relu(convolution(x, weights)), image) == expected


INTEGER_ORDER = ("expn",)


def numerical_flags(function, arity: int) -> tuple[list[bool], list[bool]]:
    """Whether first and second partials differ from zero, by differences at signed points; kinks and jumps are rare."""
    rng = np.random.default_rng(12)
    points = rng.uniform(-3, 3, size=(arity, 400))
    h = 1e-4
    with np.errstate(all="ignore"):

        def at(*steps: float):
            return np.asarray(function(*(p + s * h for p, s in zip(points, steps, strict=True))), dtype=float)

        def often(values) -> bool:
            scale = 1 + np.abs(at(*[0] * arity))
            good = np.isfinite(values) & (np.abs(at(*[0] * arity)) < 1e3)
            return bool((np.abs(values / scale)[good] > 1e-6).sum() >= 0.04 * values.size)

        unit = np.eye(arity)
        first = [often((at(*e) - at(*-e)) / (2 * h)) for e in unit]
        second = [
            often((at(*(a + b)) - at(*(a - b)) - at(*(b - a)) + at(*-(a + b))) / (4 * h * h))
            for i, a in enumerate(unit)
            for b in unit[i:]
        ]
    return first, second


@pytest.mark.parametrize("name", sorted(UFUNC))
def test_64_classification_of_every_function(name: str) -> None:
    ufunc = next(
        f
        for f in (getattr(np, name, None), getattr(scipy.special, name, None))
        if callable(f) and hasattr(f, "__name__")
    )
    arity = getattr(ufunc, "nin", 1)
    function = ufunc
    if name in INTEGER_ORDER:
        arity = 1

        def function(x):
            return ufunc(2, x)

    first, second = numerical_flags(function, arity)
    found = jacobian(lambda x: function(*(x[k] for k in range(arity))), arity)
    assert found == "".join(str(int(flag)) for flag in first)
    pairs = [(i, j) for i in range(arity) for j in range(i, arity)]
    assert upper(hessian(lambda x: function(*(x[k] for k in range(arity))), arity)) == {
        pair for pair, flag in zip(pairs, second, strict=True) if flag
    }


PROBLEMS = {
    # name: objective, constraints, Jacobian of the constraints, upper triangle of the Lagrangian's Hessian
    "HS071": (
        lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        lambda x: [x[0] * x[1] * x[2] * x[3], np.sum(x**2)],
        4,
        "1111;1111",
        ALL_PAIRS,
    ),
    "HS035": (
        lambda x: (
            9
            - 8 * x[0]
            - 6 * x[1]
            - 4 * x[2]
            + 2 * x[0] ** 2
            + 2 * x[1] ** 2
            + x[2] ** 2
            + 2 * x[0] * x[1]
            + 2 * x[0] * x[2]
        ),
        lambda x: [3 - x[0] - x[1] - 2 * x[2]],
        3,
        "111",
        {(0, 0), (0, 1), (0, 2), (1, 1), (2, 2)},
    ),
    "HS043": (
        lambda x: x[0] ** 2 + x[1] ** 2 + 2 * x[2] ** 2 + x[3] ** 2 - 5 * x[0] - 5 * x[1] - 21 * x[2] + 7 * x[3],
        lambda x: [8 - np.sum(x**2) - x[0] + x[1], 5 - 2 * x[0] ** 2 - x[1] ** 2 - x[2] ** 2 - 2 * x[0] + x[1] + x[3]],
        4,
        "1111;1111",
        {(0, 0), (1, 1), (2, 2), (3, 3)},
    ),
    "HS079": (
        lambda x: (x[0] - 1) ** 2 + (x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 2 + (x[2] - x[3]) ** 4 + (x[3] - x[4]) ** 4,
        lambda x: [x[0] + x[1] ** 2 + x[2] ** 3, x[1] - x[2] ** 2 + x[3], x[0] * x[4]],
        5,
        "11100;01110;10001",
        {(0, 0), (0, 1), (0, 4), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 4), (4, 4)},
    ),
    "HS100": (
        lambda x: (
            (x[0] - 10) ** 2
            + 5 * (x[1] - 12) ** 2
            + x[2] ** 4
            + 3 * (x[3] - 11) ** 2
            + 10 * x[4] ** 6
            + 7 * x[5] ** 2
            + x[6] ** 4
            - 4 * x[5] * x[6]
            - 10 * x[5]
            - 8 * x[6]
        ),
        lambda x: [
            127 - 2 * x[0] ** 2 - 3 * x[1] ** 4 - x[2] - 4 * x[3] ** 2 - 5 * x[4],
            282 - 7 * x[0] - 3 * x[1] - 10 * x[2] ** 2 - x[3] + x[4],
            196 - 23 * x[0] - x[1] ** 2 - 6 * x[5] ** 2 + 8 * x[6],
            -4 * x[0] ** 2 - x[1] ** 2 + 3 * x[0] * x[1] - 2 * x[2] ** 2 - 5 * x[5] + 11 * x[6],
        ],
        7,
        "1111100;1111100;1100011;1110011",
        {(i, i) for i in range(7)} | {(0, 1), (5, 6)},
    ),
    "Lukšan-Vlček 5.1": (
        lambda x: np.sum(100 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1) ** 2),
        lambda x: (
            3 * x[1:-1] ** 3
            + 2 * x[2:]
            - 5
            + np.sin(x[1:-1] - x[2:]) * np.sin(x[1:-1] + x[2:])
            + 4 * x[1:-1]
            - x[:-2] * np.exp(x[:-2] - x[1:-1])
            - 3
        ),
        5,
        "11100;01110;00111",
        {(i, i) for i in range(5)} | {(i, i + 1) for i in range(4)},
    ),
    "chained Rosenbrock with products": (
        lambda x: np.sum((1 - x[:-1]) ** 2) + 100 * np.sum((x[1:] - x[:-1] ** 2) ** 2),
        lambda x: [x[0] * x[2] * x[4], x[1] / x[3]],
        5,
        "10101;01010",
        {(i, i) for i in range(5)} | {(i, i + 1) for i in range(4)} | {(0, 2), (0, 4), (2, 4), (1, 3)},
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_65_problems(name: str) -> None:
    objective, constraints, n, expected_jacobian, expected_hessian = PROBLEMS[name]
    x = np.linspace(0.3, 1.7, n)
    nlp = so.from_callables(objective, x, constraints, constraint_bounds=(0.0, 0.0))
    assert rows(nlp.jacobian_pattern) == expected_jacobian
    assert upper(nlp.hessian_pattern) == expected_hessian
    assert jacobian(constraints, n) == expected_jacobian
