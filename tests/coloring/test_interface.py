"""Tests of `sct_opt.coloring.interface`: problems, orders and color counts, against slow oracles."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import sct_opt as so
from sct_opt.coloring import color
from sct_opt.coloring.order import ORDERS
from sct_opt.errors import ColoringError, ShapeError
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles

orders = st.sampled_from([*ORDERS, "best", ["natural", "random"]])
flags = st.booleans()


@given(oracles.dense_patterns, st.sampled_from(["column", "row"]), orders, flags, flags)
def test_one_sided_colorings_are_structurally_orthogonal(dense, partition, order, postprocess, closed_forms):
    coloring = color(dense, partition=partition, order=order, postprocess=postprocess, closed_forms=closed_forms)
    if partition == "column":
        assert oracles.distinct_within_rows(dense, coloring.column_colors)
        assert (coloring.row_colors == -1).all()
    else:
        assert oracles.distinct_within_rows(dense.T, coloring.row_colors)
        assert (coloring.column_colors == -1).all()
    assert coloring.verify()


@given(oracles.symmetric_patterns, orders, flags, flags)
def test_symmetric_direct_colorings_are_star_colorings(dense, order, postprocess, closed_forms):
    coloring = color(dense, "symmetric", order=order, postprocess=postprocess, closed_forms=closed_forms)
    if not postprocess and order != "best":
        assert oracles.is_star_coloring(dense, coloring.column_colors)
    assert oracles.alone_somewhere(dense, None, coloring.column_colors, symmetric=True)
    assert coloring.verify()


@given(oracles.symmetric_patterns, orders, flags, flags)
def test_symmetric_substitution_colorings_are_acyclic(dense, order, postprocess, closed_forms):
    coloring = color(
        dense, "symmetric", "column", "substitution", order=order, postprocess=postprocess, closed_forms=closed_forms
    )
    if not postprocess and order != "best":
        assert oracles.is_acyclic_coloring(dense, coloring.column_colors)
    assert oracles.determined(dense, coloring.row_colors, coloring.column_colors, symmetric=True)
    assert coloring.verify()


@given(oracles.dense_patterns, orders, flags)
def test_bidirectional_direct_colorings_show_every_entry(dense, order, postprocess):
    coloring = color(dense, partition="bidirectional", order=order, postprocess=postprocess)
    assert oracles.alone_somewhere(dense, coloring.row_colors, coloring.column_colors)
    assert coloring.verify()
    if postprocess:
        assert coloring.num_colors <= min(color(dense, partition=side).num_colors for side in ("column", "row"))


@given(oracles.dense_patterns, orders, flags)
def test_bidirectional_substitution_colorings_determine_every_entry(dense, order, postprocess):
    coloring = color(
        dense, partition="bidirectional", decompression="substitution", order=order, postprocess=postprocess
    )
    assert oracles.determined(dense, coloring.row_colors, coloring.column_colors)
    assert coloring.verify()


PROBLEMS = {
    "column": {},
    "row": {"partition": "row"},
    "bidirectional": {"partition": "bidirectional"},
    "bidirectional substitution": {"partition": "bidirectional", "decompression": "substitution"},
}
SYMMETRIC_PROBLEMS = {
    "star": {"structure": "symmetric"},
    "acyclic": {"structure": "symmetric", "decompression": "substitution"},
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("family", oracles.FAMILIES)
def test_families_reach_the_optimum(family, problem):
    dense, options = oracles.FAMILIES[family], PROBLEMS[problem]
    best = color(dense, order="best", **options)
    assert best.num_colors <= color(dense, **options).num_colors
    if problem in {"column", "row"} or sum(dense.shape) <= 14:
        assert best.num_colors == color(dense, order="optimal", **options).num_colors


@pytest.mark.parametrize("problem", SYMMETRIC_PROBLEMS)
@pytest.mark.parametrize("family", oracles.SYMMETRIC_FAMILIES)
def test_symmetric_families_reach_the_optimum(family, problem):
    dense, options = oracles.SYMMETRIC_FAMILIES[family], SYMMETRIC_PROBLEMS[problem]
    best = color(dense, order="best", **options)
    assert best.num_colors <= color(dense, **options).num_colors
    assert best.num_colors == color(dense, order="optimal", **options).num_colors


def test_figures_of_the_papers():
    star_41 = color(oracles.WHAT_FIGURE_41, "symmetric")
    np.testing.assert_array_equal(star_41.column_colors + 1, [1, 2, 1, 3, 1, 1])
    star_61 = color(oracles.WHAT_FIGURE_61, "symmetric")
    np.testing.assert_array_equal(star_61.column_colors + 1, [1, 2, 1, 3, 1, 4, 3, 5, 1, 2])
    acyclic_61 = color(oracles.WHAT_FIGURE_61, "symmetric", decompression="substitution")
    np.testing.assert_array_equal(acyclic_61.column_colors + 1, [1, 2, 1, 2, 1, 3, 2, 3, 2, 1])


@pytest.mark.parametrize(("nonzeros_per_row", "star", "acyclic"), [(10, 11, 6), (20, 21, 11)])
@pytest.mark.parametrize("closed_forms", [True, False])
def test_banded_symmetric_tables(nonzeros_per_row, star, acyclic, closed_forms):
    n, half = 5000, nonzeros_per_row // 2
    rows = np.repeat(np.arange(n), 2 * half + 1)
    cols = rows + np.tile(np.arange(-half, half + 1), n)
    inside = (cols >= 0) & (cols < n)
    pattern = SparsityPattern.from_coo(rows[inside], cols[inside], (n, n))
    assert color(pattern, "symmetric", closed_forms=closed_forms).num_colors == star
    substituted = color(pattern, "symmetric", decompression="substitution", closed_forms=closed_forms)
    assert substituted.num_colors == acyclic


@pytest.mark.parametrize("decompression", ["direct", "substitution"])
def test_small_bidirectional_examples(decompression):
    def count(dense, **options):
        return color(dense, partition="bidirectional", decompression=decompression, **options).num_colors

    anti_diagonal = np.eye(4, dtype=bool)[::-1]
    assert count(anti_diagonal, postprocess=False) == 2
    assert count(anti_diagonal) == 1
    assert count(oracles.frame(10, 20)) == 4
    assert count(oracles.frame(4, 6), order="optimal") == 4
    assert count(np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]])) == 3


@pytest.mark.parametrize("seed", range(5))
def test_postprocessing_saves_colors_of_the_frame(seed):
    options = {"partition": "bidirectional", "order": "random", "seed": seed}
    assert color(oracles.frame(10, 20), postprocess=False, **options).num_colors in {5, 6}
    assert color(oracles.frame(10, 20), **options).num_colors == 4


def test_arrow_jacobian_needs_three_colors_in_both_directions():
    pattern = so.color(oracles.arrow(1000), partition="bidirectional")
    assert pattern.num_colors == 3
    assert color(oracles.arrow(1000)).num_colors == 1000
    assert color(oracles.arrow(1000), partition="auto").num_colors == 3
    assert color(oracles.arrow(1000), "symmetric").num_colors == 2


def test_dense_lines_do_not_make_star_coloring_quadratic():
    n, half = 100_000, 5
    rows = np.repeat(np.arange(n), 2 * half + 1)
    cols = rows + np.tile(np.arange(-half, half + 1), n)
    inside = (cols >= 0) & (cols < n)
    rows, cols = rows[inside], cols[inside]
    for line in range(0, n, n // 5):
        rows = np.concatenate([rows, np.full(n, line), np.arange(n)])
        cols = np.concatenate([cols, np.arange(n), np.full(n, line)])
    pattern = SparsityPattern.from_coo(rows, cols, (n, n))
    assert color(pattern, "symmetric").num_colors == 16
    assert color(pattern, partition="auto").num_colors == 21


def test_perfect_elimination_of_a_permuted_band():
    n, half = 2000, 40
    shuffled = np.random.default_rng(0).permutation(n)
    rows = np.repeat(np.arange(n), 2 * half + 1)
    cols = rows + np.tile(np.arange(-half, half + 1), n)
    inside = (cols >= 0) & (cols < n)
    pattern = SparsityPattern.from_coo(shuffled[rows[inside]], shuffled[cols[inside]], (n, n))
    options = {"structure": "symmetric", "decompression": "substitution"}
    assert color(pattern, order="perfect_elimination", **options).num_colors == half + 1
    assert color(pattern, order="natural", **options).num_colors > half + 1
    assert color(pattern, order="perfect_elimination").num_colors == 2 * half + 1


def test_auto_weighs_forward_against_reverse_sweeps():
    tall = np.ones((6, 2))
    assert color(tall, partition="auto").partition == "column"
    wide = np.ones((2, 6))
    assert color(wide, partition="auto").partition == "row"
    assert color(wide, partition="auto", reverse_cost=4.0).partition == "column"
    assert color(oracles.arrow(30), partition="auto").partition == "bidirectional"
    assert color(oracles.band(9, 1), "symmetric", partition="auto").partition == "column"


def test_any_sparse_matrix_is_taken():
    matrix = sp.random_array((20, 30), density=0.1, rng=np.random.default_rng(0))
    expected = color(SparsityPattern.from_matrix(matrix)).column_colors
    for given_matrix in (matrix.tocsr(), matrix.tocsc(), sp.csr_matrix(matrix), matrix.toarray()):
        np.testing.assert_array_equal(color(given_matrix).column_colors, expected)


@given(oracles.dense_patterns, st.data())
def test_forced_colors_are_kept(dense, data):
    complete = color(dense, postprocess=False, closed_forms=False).column_colors
    free = data.draw(st.lists(st.booleans(), min_size=complete.size, max_size=complete.size))
    forced = np.where(np.array(free, bool), -1, complete)
    coloring = color(dense, forced_colors=forced)
    np.testing.assert_array_equal(coloring.column_colors[forced >= 0], forced[forced >= 0])
    assert oracles.distinct_within_rows(dense, coloring.column_colors)


@given(oracles.symmetric_patterns, st.sampled_from(["direct", "substitution"]), st.data())
def test_forced_colors_of_symmetric_patterns_are_kept(dense, decompression, data):
    options = {"structure": "symmetric", "decompression": decompression}
    complete = color(dense, postprocess=False, **options).column_colors
    free = data.draw(st.lists(st.booleans(), min_size=complete.size, max_size=complete.size))
    forced = np.where(np.array(free, bool), -1, complete)
    coloring = color(dense, forced_colors=forced, **options)
    np.testing.assert_array_equal(coloring.column_colors[forced >= 0], forced[forced >= 0])
    assert coloring.verify()


def test_forced_colors_in_both_directions():
    forced = (np.array([2, -1, -1]), np.array([-1, 1, -1]))
    coloring = color(oracles.arrow(3), partition="bidirectional", forced_colors=forced)
    assert coloring.row_colors[0] == 2
    assert coloring.column_colors[1] == 1
    assert coloring.verify()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forced_colors": [0, 0, -1]}, "columns 0 and 1 both have color 0"),
        ({"forced_colors": [0, 0, -1], "partition": "row"}, "rows 0 and 1 both have color 0"),
        ({"forced_colors": [0, 0, -1], "structure": "symmetric"}, "column 1 .* color 0 beside column 0"),
        ({"forced_colors": [1, 1, 0], "structure": "symmetric", "decompression": "substitution"}, "column 1"),
        ({"forced_colors": [0, 1, 9]}, "from 0 to 2"),
        ({"forced_colors": [0, 1, 1], "partition": "auto"}, "choose one"),
    ],
)
def test_forced_colors_that_clash_are_named(options, message):
    with pytest.raises(ColoringError, match=message):
        color(oracles.band(3, 1), **options)


def test_forced_colors_need_the_right_shape():
    with pytest.raises(ShapeError, match="3 colors are needed"):
        color(oracles.band(3, 1), forced_colors=[0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"structure": "triangular"}, "structure='triangular' is not one of"),
        ({"partition": "diagonal"}, "partition='diagonal'"),
        ({"decompression": "magic"}, "decompression='magic'"),
        ({"order": "alphabetical"}, "no order 'alphabetical'"),
        ({"order": []}, "order is empty"),
        ({"order": np.array([0, 0, 1])}, "every vertex"),
        ({"structure": "symmetric", "partition": "row"}, "compressed by columns"),
        ({"decompression": "substitution"}, "always decompressed directly"),
    ],
)
def test_problems_that_make_no_sense_are_named(options, message):
    with pytest.raises(ColoringError, match=message):
        color(oracles.band(3, 1), **options)


def test_symmetric_problems_need_symmetric_patterns():
    with pytest.raises(ColoringError, match=r"entry \(0, 2\) has no mirror image \(2, 0\)"):
        color([[1, 0, 1], [0, 1, 0], [0, 0, 1]], "symmetric")
    with pytest.raises(ColoringError, match=r"shape \(2, 3\) is not symmetric"):
        color(np.ones((2, 3)), "symmetric")


def test_orders_are_deterministic_and_lists_keep_the_best():
    dense = oracles.random_symmetric(40, 0.1, 3)
    first, second = (color(dense, order="random", seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.column_colors, second.column_colors)
    names = ["natural", "largest_first", "smallest_last"]
    single = [color(dense, order=name).num_colors for name in names]
    assert color(dense, order=names).num_colors == min(single)
    given_order = color(dense, order=np.arange(40)[::-1])
    assert given_order.verify()


def test_exact_search_gives_up_on_large_patterns(monkeypatch):
    monkeypatch.setattr("sct_opt.coloring.interface._PROOF_NODES", 5)
    with pytest.raises(ColoringError, match="no proof within"):
        color(oracles.random_symmetric(30, 0.2, 0), "symmetric", order="optimal")


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 3)])
@pytest.mark.parametrize("partition", ["column", "row", "bidirectional", "auto"])
def test_empty_patterns_need_no_colors(shape, partition):
    coloring = color(SparsityPattern.from_coo([], [], shape), partition=partition)
    assert coloring.num_colors == 0
    assert coloring.verify()


def test_every_option_of_a_small_pattern():
    dense = oracles.grid(3)
    for order, postprocess, closed_forms in itertools.product(ORDERS, (True, False), (True, False)):
        for options in ({}, {"structure": "symmetric"}, {"structure": "symmetric", "decompression": "substitution"}):
            coloring = color(dense, order=order, postprocess=postprocess, closed_forms=closed_forms, **options)
            assert coloring.verify()
