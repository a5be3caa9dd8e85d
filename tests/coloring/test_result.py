"""Tests of `sct_opt.coloring.result`: seeds, compression and decompression of every kind."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sct_opt.coloring import ColoringResult, color
from sct_opt.errors import ColoringError, ShapeError
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles

ONE_SIDED = [{}, {"partition": "row"}]
SYMMETRIC = [{"structure": "symmetric"}, {"structure": "symmetric", "decompression": "substitution"}]
BIDIRECTIONAL = [
    {"partition": "bidirectional"},
    {"partition": "bidirectional", "decompression": "substitution"},
]
PROBLEMS = ONE_SIDED + SYMMETRIC + BIDIRECTIONAL


def random_matrix(problem, seed=0, shape=(12, 12), density=0.25, dtype=float):
    rng = np.random.default_rng(seed)
    dense = rng.uniform(1, 2, shape) * (rng.random(shape) < density)
    if problem in SYMMETRIC:
        dense = dense + dense.T
    return (dense * 10).astype(dtype) if np.dtype(dtype).kind in "iu" else dense.astype(dtype)


@given(oracles.square_patterns, st.sampled_from(PROBLEMS), st.integers(0, 10), st.booleans())
def test_round_trip_of_random_values(dense, problem, seed, postprocess):
    values = np.random.default_rng(seed).uniform(1, 2, dense.shape)
    matrix = np.where(dense, values, 0.0)
    if problem in SYMMETRIC:
        matrix = matrix + matrix.T
    coloring = color(matrix, postprocess=postprocess, **problem)
    recovered = coloring.decompress(coloring.compress(matrix)).toarray()
    if coloring.decompression == "direct":
        np.testing.assert_array_equal(recovered, matrix)
    else:
        np.testing.assert_allclose(recovered, matrix, rtol=1e-10)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_compression_is_the_product_with_the_seed(problem):
    matrix = random_matrix(problem)
    coloring = color(matrix, **problem)
    for given_matrix in (matrix, sp.csr_array(matrix), sp.csc_matrix(matrix), sp.coo_array(matrix)):
        compressed = coloring.compress(given_matrix)
        if coloring.partition == "column":
            np.testing.assert_allclose(compressed, matrix @ coloring.seed())
        elif coloring.partition == "row":
            np.testing.assert_allclose(compressed, coloring.seed() @ matrix)
        else:
            row_seed, column_seed = coloring.seed()
            np.testing.assert_allclose(compressed[0], row_seed @ matrix)
            np.testing.assert_allclose(compressed[1], matrix @ column_seed)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16", "i1", "i4", "i8", "u2", "g", "O"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_dtypes_are_preserved(problem, dtype):
    matrix = random_matrix(problem, density=0.15).astype(dtype)
    coloring = color(matrix != 0, **problem)
    compressed = coloring.compress(matrix)
    for part in compressed if isinstance(compressed, tuple) else (compressed,):
        assert part.dtype == matrix.dtype
    values = coloring.decompress_values(compressed)
    assert values.dtype == matrix.dtype
    expected = matrix[coloring.pattern.coo()]
    if coloring.decompression == "direct" or matrix.dtype.kind in "iu":
        np.testing.assert_array_equal(values, expected)
    else:
        np.testing.assert_allclose(
            values.astype(complex), expected.astype(complex), rtol=2e-2 if dtype == "f2" else 1e-5
        )


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
def test_decompression_into_given_matrices(problem, format):
    matrix = random_matrix(problem)
    coloring = color(matrix, **problem)
    compressed = coloring.compress(matrix)
    out = sp.coo_array(matrix).asformat(format, copy=True)
    out.data[:] = -1
    data = out.data
    assert coloring.decompress(compressed, out) is out
    assert out.data is data
    np.testing.assert_allclose(out.toarray(), matrix, rtol=1e-10)
    fresh = coloring.decompress(compressed, format=format)
    assert fresh.format == format
    np.testing.assert_allclose(fresh.toarray(), matrix, rtol=1e-10)


@pytest.mark.parametrize("problem", SYMMETRIC, ids=str)
def test_lower_triangle(problem):
    matrix = random_matrix(problem)
    coloring = color(matrix, **problem)
    compressed = coloring.compress(matrix)
    lower = coloring.decompress(compressed, lower=True)
    np.testing.assert_allclose(lower.toarray(), np.tril(matrix), rtol=1e-10)
    values = coloring.decompress_values(compressed, lower=True)
    np.testing.assert_array_equal(values, lower.data)
    out = np.empty_like(values)
    assert coloring.decompress_values(compressed, out, lower=True) is out
    np.testing.assert_array_equal(out, values)
    into = sp.csc_array(np.tril(matrix))
    np.testing.assert_allclose(coloring.decompress(compressed, into, lower=True).toarray(), np.tril(matrix), rtol=1e-10)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_decompression_into_dense_arrays(problem):
    matrix = random_matrix(problem)
    coloring = color(matrix, **problem)
    out = np.full(matrix.shape, 9.0)
    assert coloring.decompress(coloring.compress(matrix), out) is out
    np.testing.assert_allclose(out, matrix, rtol=1e-10)
    np.testing.assert_allclose(coloring.decompress(coloring.compress(matrix), format="dense"), matrix, rtol=1e-10)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_one_color_at_a_time(problem, lower):
    matrix = random_matrix(problem)
    coloring = color(matrix, **problem)
    compressed = coloring.compress(matrix)
    if coloring.partition == "column":
        columns = list(compressed.T)
    elif coloring.partition == "row":
        columns = list(compressed)
    else:
        columns = [*compressed[1].T, *compressed[0]]
    assert len(columns) == coloring.num_colors
    expected = coloring.decompress_values(compressed, lower=lower)
    out = np.zeros_like(expected)
    for number, column in enumerate(columns):
        assert coloring.decompress_color(column, number, out, lower=lower) is out
    np.testing.assert_allclose(out, expected, rtol=1e-10)


@pytest.mark.parametrize("problem", [*ONE_SIDED, SYMMETRIC[0], BIDIRECTIONAL[0]], ids=str)
def test_gather_index(problem):
    matrix = random_matrix(problem)
    coloring = color(matrix, **problem)
    compressed = coloring.compress(matrix)
    parts = compressed if isinstance(compressed, tuple) else (compressed,)
    flat = np.concatenate([part.ravel() for part in parts])
    np.testing.assert_array_equal(flat[coloring.gather_index], matrix[coloring.pattern.coo()])


def test_substitution_has_no_gather_index():
    coloring = color(oracles.band(5, 1), "symmetric", decompression="substitution")
    with pytest.raises(ColoringError, match="not a gather"):
        _ = coloring.gather_index


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_groups_hold_each_colored_line_once(problem):
    coloring = color(random_matrix(problem, 3), **problem)
    for colors, groups, count in (
        (coloring.column_colors, coloring.column_groups, coloring.num_column_colors),
        (coloring.row_colors, coloring.row_groups, coloring.num_row_colors),
    ):
        assert len(groups) == count
        assert all(group.size for group in groups)
        for number, group in enumerate(groups):
            np.testing.assert_array_equal(np.flatnonzero(colors == number), group)
    assert coloring.num_colors == coloring.num_column_colors + coloring.num_row_colors


def test_substitution_stays_accurate_along_long_paths():
    n = 20_000  # one tree of n - 1 edges, solved from both ends
    rng = np.random.default_rng(0)
    off, main = rng.uniform(1, 2, n - 1), rng.uniform(1, 2, n)
    matrix = sp.diags_array([off, main, off], offsets=[-1, 0, 1]).tocsr()
    coloring = color(matrix, "symmetric", decompression="substitution")
    assert coloring.num_colors == 2
    recovered = coloring.decompress(coloring.compress(matrix))
    np.testing.assert_allclose(recovered.data, matrix.data, rtol=1e-10)


def test_shapes_are_checked():
    coloring = color(oracles.band(5, 1))
    with pytest.raises(ShapeError, match=r"shape \(5, 2\), but the coloring asks for \(5, 3\)"):
        coloring.decompress_values(np.ones((5, 2)))
    with pytest.raises(ShapeError, match="the pattern"):
        coloring.compress(np.ones((5, 4)))
    with pytest.raises(ShapeError, match="out has shape"):
        coloring.decompress(np.ones((5, 3)), np.ones((4, 4)))
    both = color(oracles.arrow(5), partition="bidirectional")
    with pytest.raises(ShapeError, match="asks for"):
        both.decompress_values((np.ones((2, 5)), np.ones((5, 2))))
    with pytest.raises(ShapeError, match="needs 5 values"):
        coloring.decompress_color(np.ones(4), 0, np.zeros(13))
    with pytest.raises(ColoringError, match="no color 3"):
        coloring.decompress_color(np.ones(5), 3, np.zeros(13))


def test_matrices_to_fill_must_have_the_entries_of_the_pattern():
    coloring = color(oracles.band(3, 1))
    with pytest.raises(ColoringError, match="exactly the entries"):
        coloring.decompress(np.ones((3, 3)), sp.csr_array(np.eye(3)))
    with pytest.raises(ColoringError, match="format 'lil'"):
        coloring.decompress(np.ones((3, 3)), sp.lil_array(oracles.band(3, 1).astype(float)))


def test_constructor_checks_what_it_is_given():
    pattern = SparsityPattern.from_matrix(np.eye(2))
    made = ColoringResult(pattern, "nonsymmetric", "column", "direct", [5, 5], [0, 0])
    np.testing.assert_array_equal(made.row_colors, [-1, -1])
    assert made.num_colors == 1
    assert made.verify()
    with pytest.raises(ShapeError, match="column_colors has shape"):
        ColoringResult(pattern, "nonsymmetric", "column", "direct", [0, 0], [0])
    with pytest.raises(ColoringError, match="-1 for neutral"):
        ColoringResult(pattern, "nonsymmetric", "column", "direct", [0, 0], [0, -2])


def test_repr_counts_colors():
    assert repr(color(np.eye(3))) == "ColoringResult(nonsymmetric, column, direct: 1 colors for 3×3)"
