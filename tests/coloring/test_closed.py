"""Tests of `sct_opt.coloring.closed`: closed forms are valid, optimal, and found where they should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sct_opt.coloring import closed, color
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles


def rectangular_band(m, n, lower, upper):
    offset = np.subtract.outer(np.arange(m), np.arange(n))
    return (offset <= lower) & (-offset <= upper)


def blocks(heights, widths):
    dense = np.zeros((sum(heights), sum(widths)), bool)
    i = j = 0
    for height, width in zip(heights, widths, strict=True):
        dense[i : i + height, j : j + width] = True
        i, j = i + height, j + width
    return dense


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 4), st.integers(0, 4), st.sampled_from(["column", "row"]))
def test_bands_of_any_shape(m, n, lower, upper, partition):
    dense = rectangular_band(m, n, lower, upper)
    colors = closed.one_sided(SparsityPattern.from_matrix(dense), partition)
    greedy = color(dense, partition=partition, closed_forms=False, postprocess=False)
    if colors is not None:
        assert oracles.distinct_within_rows(dense if partition == "column" else dense.T, colors)
        assert colors.max(initial=-1) + 1 == greedy.num_colors
    else:
        assert dense.sum(axis=1 if partition == "column" else 0).max() < lower + upper + 1


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=5), st.data())
def test_dense_blocks(sizes, data):
    dense = blocks([height for height, _ in sizes], [width for _, width in sizes])
    dense = dense[data.draw(st.permutations(range(len(dense))))]
    pattern = SparsityPattern.from_matrix(dense)
    for partition, side in (("column", dense), ("row", dense.T)):
        colors = closed.one_sided(pattern, partition)
        assert colors is not None
        assert oracles.distinct_within_rows(side, colors)
        assert colors.max(initial=-1) + 1 == max(1, side.sum(axis=1).max(initial=0)) or colors.size == 0


@given(oracles.symmetric_patterns, st.sampled_from(["direct", "substitution"]))
def test_symmetric_closed_forms_are_valid_and_optimal(dense, decompression):
    colors = closed.symmetric(SparsityPattern.from_matrix(dense), decompression)
    if colors is None:
        return
    valid = oracles.is_star_coloring if decompression == "direct" else oracles.is_acyclic_coloring
    assert valid(dense, colors)
    if len(dense) <= 5:
        fewest = oracles.fewest_colors(len(dense), lambda tried: valid(dense, tried))
        assert colors.max(initial=-1) + 1 == fewest


@pytest.mark.parametrize(
    ("dense", "decompression", "count"),
    [
        (np.eye(5), "direct", 1),
        (np.ones((4, 4)), "direct", 4),
        (blocks([2, 3, 1], [2, 3, 1]), "direct", 3),
        (blocks([2, 3, 1], [2, 3, 1]), "substitution", 3),
        (oracles.band(9, 2), "substitution", 3),
        (oracles.band(9, 2), "direct", None),
        (np.eye(4)[::-1], "direct", None),
        (oracles.arrow(4), "direct", None),
    ],
)
def test_symmetric_structures_are_recognized(dense, decompression, count):
    colors = closed.symmetric(SparsityPattern.from_matrix(dense), decompression)
    assert (None if colors is None else colors.max() + 1) == count


def test_other_patterns_have_no_closed_form():
    assert closed.one_sided(SparsityPattern.from_matrix(oracles.grid(3)), "column") is None
    assert closed.one_sided(SparsityPattern.from_matrix([[1, 1, 0], [0, 1, 1], [1, 0, 1]]), "column") is None


def test_closed_forms_can_be_switched_off():
    dense = oracles.band(40, 3)[:, np.random.default_rng(0).permutation(40)]
    assert color(np.eye(9), closed_forms=False).num_colors == 1
    assert color(dense).num_colors == color(dense, closed_forms=False).num_colors
