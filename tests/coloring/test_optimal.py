"""Tests of `sct_opt.coloring.optimal` against the trial of all colorings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sct_opt.coloring import color
from tests.coloring import oracles

small = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5))
small_symmetric = st.integers(0, 5).flatmap(lambda n: hnp.arrays(bool, (n, n))).map(lambda dense: dense | dense.T)
tiny = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=3))


@given(small)
def test_columns(dense):
    optimum = color(dense, order="optimal", closed_forms=False, postprocess=False).num_colors
    assert optimum == oracles.fewest_colors(dense.shape[1], lambda colors: oracles.distinct_within_rows(dense, colors))


@settings(max_examples=60)
@given(small_symmetric, st.sampled_from(["direct", "substitution"]))
def test_symmetric_with_full_diagonal(dense, decompression):
    np.fill_diagonal(dense, True)
    valid = oracles.is_star_coloring if decompression == "direct" else oracles.is_acyclic_coloring
    optimum = color(dense, "symmetric", decompression=decompression, order="optimal").num_colors
    assert optimum == oracles.fewest_colors(len(dense), lambda colors: valid(dense, colors))


@settings(max_examples=60)
@given(tiny)
def test_both_directions(dense):
    m, n = dense.shape

    def valid(colors):  # 0 is neutral here, so that the oracle's count is one too high
        return oracles.alone_somewhere(dense, colors[:m] - 1, colors[m:] - 1)

    def cost(colors):
        return len(set(colors[:m]) - {0}) + len(set(colors[m:]) - {0})

    fewest = min(
        cost(colors)
        for colors in (np.array(index) for index in np.ndindex((*[m + 1] * m, *[n + 1] * n)))
        if valid(colors)
    )
    assert color(dense, partition="bidirectional", order="optimal").num_colors == fewest


@pytest.mark.parametrize(("n", "p"), [(12, 0.2), (16, 0.15), (20, 0.1)])
def test_larger_searches_end_and_verify(n, p):
    dense = oracles.random_symmetric(n, p, n)
    for options in ({}, {"structure": "symmetric"}, {"structure": "symmetric", "decompression": "substitution"}):
        optimal = color(dense, order="optimal", **options)
        assert optimal.verify()
        assert (
            optimal.num_colors
            <= color(dense, order=["natural", "largest_first", "smallest_last"], **options).num_colors
        )
