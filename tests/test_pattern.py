"""Tests of `sct_opt.pattern`: every constructor against dense arrays, display, files, pictures."""

import matplotlib as mpl
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import least_squares

from sct_opt.errors import PatternError, ShapeError
from sct_opt.pattern import SparsityPattern

mpl.use("Agg")

dense_patterns = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9))


@given(dense_patterns, st.randoms(use_true_random=False))
def test_from_coo_sorts_and_deduplicates(dense, random):
    entries = list(zip(*np.nonzero(dense), strict=True)) * 2
    random.shuffle(entries)
    rows, cols = np.array(entries, int).reshape(-1, 2).T
    pattern = SparsityPattern.from_coo(rows, cols, dense.shape)
    np.testing.assert_array_equal(pattern.toarray(), dense)
    assert pattern.nnz == dense.sum()
    assert pattern.indptr.dtype == pattern.indices.dtype == np.int32
    rows, cols = pattern.coo()
    np.testing.assert_array_equal((rows, cols), np.nonzero(dense))


@given(dense_patterns)
def test_conversions_agree_with_scipy(dense):
    pattern = SparsityPattern.from_matrix(dense)
    for converted in (pattern.tocsr(), pattern.tocsc(), pattern.tocoo()):
        assert converted.dtype == bool
        np.testing.assert_array_equal(converted.toarray(), dense)
    np.testing.assert_array_equal(pattern.T.toarray(), dense.T)
    np.testing.assert_array_equal(pattern.lower_triangle().toarray(), np.tril(dense))
    assert pattern == pattern.T.T
    assert hash(pattern.T.T) == hash(pattern)


@given(dense_patterns)
def test_union_and_symmetry(dense):
    pattern = SparsityPattern.from_matrix(dense)
    assert pattern.is_symmetric() == (dense.shape[0] == dense.shape[1] and bool((dense == dense.T).all()))
    assert pattern.union(pattern) == pattern
    if dense.shape[0] == dense.shape[1]:
        assert pattern.union(pattern.T).is_symmetric()
        np.testing.assert_array_equal(pattern.union(pattern.T).toarray(), dense | dense.T)


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
def test_from_matrix_keeps_explicit_zeros_of_every_format(format):
    matrix = sp.coo_array(([0.0, 1.0, 2.0], ([0, 1, 2], [0, 1, 2])), shape=(3, 3)).asformat(format)
    if format in {"lil", "dok"}:  # these constructors drop zeros themselves
        assert SparsityPattern.from_matrix(matrix).nnz >= 2
    else:
        assert SparsityPattern.from_matrix(matrix) == SparsityPattern.from_matrix(np.eye(3))


def test_from_matrix_accepts_spmatrix_lists_and_patterns():
    expected = SparsityPattern.from_coo([0, 1], [1, 0], (2, 2))
    assert SparsityPattern.from_matrix(sp.csr_matrix([[0, 1], [1, 0]])) == expected
    assert SparsityPattern.from_matrix([[0, 1], [1, 0]]) == expected
    assert SparsityPattern.from_matrix(expected) is expected
    assert SparsityPattern.from_matrix([[0.0, np.nan]]).nnz == 1


def test_from_csr_sorts_only_where_needed():
    pattern = SparsityPattern.from_csr([0, 3, 3, 4], [2, 0, 2, 1], (3, 3))
    np.testing.assert_array_equal(pattern.toarray(), [[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    indices = np.array([0, 2, 1], np.int32)
    pattern = SparsityPattern.from_csr([0, 2, 2, 3], indices, (3, 3))
    indices[0] = 1  # the pattern owns a copy
    assert pattern.indices[0] == 0


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0)])
def test_empty_shapes(shape):
    pattern = SparsityPattern.from_coo([], [], shape)
    assert pattern.shape == shape
    assert pattern.nnz == 0
    assert pattern.T.shape == shape[::-1]
    assert pattern.tocsr().shape == shape
    assert pattern.toarray().shape == shape
    assert pattern.lower_triangle() == pattern
    assert str(pattern) == f"{shape[0]}×{shape[1]} SparsityPattern with 0 structural nonzeros"
    pattern.plot()


def test_is_immutable():
    pattern = SparsityPattern.from_matrix(np.eye(3))
    with pytest.raises(ValueError, match="read-only"):
        pattern.indices[0] = 1
    with pytest.raises(AttributeError):
        pattern.shape = (1, 1)


def test_equality_is_structural():
    a = SparsityPattern.from_coo([0], [0], (2, 2))
    assert a == SparsityPattern.from_matrix([[5, 0], [0, 0]])
    assert a != SparsityPattern.from_coo([0], [1], (2, 2))
    assert a != SparsityPattern.from_coo([0], [0], (2, 3))
    assert a != "pattern"
    assert len({a, SparsityPattern.from_coo([0, 0], [0, 0], (2, 2))}) == 1


def test_huge_shapes_use_wide_indices():
    n = 2**33
    pattern = SparsityPattern.from_coo([1, 0, 1, 1], [n - 1, 3, 2, n - 1], (2, n))
    assert pattern.indices.dtype == np.int64
    np.testing.assert_array_equal(pattern.indices, [3, 2, n - 1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 1], [0], (2, 2)), ShapeError, "2 row indices but 1 column"),
        (([0], [2], (2, 2)), PatternError, r"column index 2 lies outside 0\.\.1"),
        (([-1], [0], (2, 2)), PatternError, "row index -1"),
        (([0.0], [0], (2, 2)), PatternError, "must be integers"),
        (([0], [0], (2, 2, 2)), ShapeError, "pair"),
        (([], [], (2, -2)), ShapeError, "negative"),
    ],
)
def test_from_coo_names_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        SparsityPattern.from_coo(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (([0, 1], [0], (2, 2)), ShapeError),
        (([0, 2, 1], [0], (2, 2)), PatternError),
        (([0, 1, 2], [0], (2, 2)), PatternError),
        (([1, 1, 1], [0], (2, 2)), PatternError),
    ],
)
def test_from_csr_names_what_is_wrong(arguments, error):
    with pytest.raises(error):
        SparsityPattern.from_csr(*arguments)


def test_from_matrix_rejects_other_dimensions():
    with pytest.raises(ShapeError, match="two-dimensional"):
        SparsityPattern.from_matrix(np.ones(3))
    with pytest.raises(ShapeError, match="two-dimensional"):
        SparsityPattern.from_matrix(sp.coo_array(np.ones(3)))
    with pytest.raises(ShapeError, match="unite"):
        SparsityPattern.from_matrix(np.eye(2)).union(SparsityPattern.from_matrix(np.eye(3)))


def test_braille_of_small_patterns_is_exact():
    lines = str(SparsityPattern.from_matrix(np.eye(6))).splitlines()
    assert lines == ["6×6 SparsityPattern with 6 structural nonzeros", "⎡⠑⢄⠀⎤", "⎣⠀⠀⠑⎦"]


@pytest.mark.parametrize("shape", [(10**6, 10**6), (10**6, 3), (3, 10**6), (161, 161)])
def test_braille_of_large_patterns_fits(shape):
    diagonal = np.arange(min(shape))
    lines = str(SparsityPattern.from_coo(diagonal, diagonal, shape)).splitlines()[1:]
    assert len(lines) <= 40
    assert all(len(line) == len(lines[0]) <= 82 for line in lines)
    assert any(ord(char) > 0x2800 for char in lines[0])


@given(dense_patterns)
def test_save_and_load(tmp_path_factory, dense):
    path = tmp_path_factory.mktemp("pattern") / "pattern.npz"
    pattern = SparsityPattern.from_matrix(dense)
    pattern.save(path)
    assert SparsityPattern.load(path) == pattern


def test_load_rejects_other_files(tmp_path):
    np.savez(tmp_path / "other.npz", x=1)
    (tmp_path / "text.npz").write_text("no pattern")
    np.save(tmp_path / "array.npy", np.ones(2))
    for name in ("other.npz", "text.npz", "array.npy"):
        with pytest.raises(PatternError, match="does not hold a pattern"):
            SparsityPattern.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        SparsityPattern.load(tmp_path / "missing.npz")


def test_plot_draws_one_image_in_matrix_coordinates():
    rng = np.random.default_rng(0)
    n = 10**6
    pattern = SparsityPattern.from_coo(rng.integers(0, n, n), rng.integers(0, n, n), (n, n))
    axes = pattern.plot(coloring=pattern.indices % 7)
    (image,) = axes.images
    assert image.get_array().shape == (1200, 1200, 3)
    assert tuple(image.get_extent()) == (-0.5, n - 0.5, n - 0.5, -0.5)
    mpl.pyplot.close(axes.figure)


def test_plot_colors_entries():
    pattern = SparsityPattern.from_matrix(np.eye(3))
    image = pattern.plot(coloring=[0, 1, -1]).images[0].get_array()
    assert len(np.unique(image.reshape(-1, 3), axis=0)) == 4
    assert tuple(image[2, 2]) == (170, 170, 170)
    with pytest.raises(ShapeError, match="color this pattern"):
        pattern.plot(coloring=[0, 1])
    mpl.pyplot.close("all")


def test_scipy_takes_a_pattern_for_an_array():
    pattern = SparsityPattern.from_coo([0, 0, 1], [0, 1, 1], (2, 2))
    np.testing.assert_array_equal(np.asarray(pattern), [[True, True], [False, True]])
    assert np.asarray(pattern, dtype=float).dtype == float
    assert sp.csr_array(pattern).nnz == 3
    result = least_squares(lambda x: [x[0] * x[1] - 1.0, x[1] - 2.0], [1.0, 1.0], jac_sparsity=pattern)
    np.testing.assert_allclose(result.x, [0.5, 2.0])


def test_huge_patterns_do_not_become_dense_unasked():
    pattern = SparsityPattern.from_coo([0], [0], (100_000, 100_000))
    with pytest.raises(PatternError, match=r"pass pattern\.tocsr\(\)"):
        np.asarray(pattern)
    with pytest.raises(ValueError, match="ask for a copy"):
        np.array(SparsityPattern.from_coo([0], [0], (1, 1)), copy=False)
