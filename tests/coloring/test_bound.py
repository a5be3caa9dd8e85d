"""Tests of `sct_opt.coloring.bound`: no coloring needs fewer colors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sct_opt.coloring import color
from sct_opt.coloring.bound import bidirectional_bound, symmetric_bound
from sct_opt.coloring.graph import adjacency_graph
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles


@given(oracles.symmetric_patterns, st.sampled_from(["direct", "substitution"]))
def test_symmetric_bound(dense, decompression):
    bound = symmetric_bound(adjacency_graph(SparsityPattern.from_matrix(dense)))
    assert 0 <= bound <= color(dense, "symmetric", decompression=decompression).num_colors


@given(oracles.dense_patterns, st.sampled_from(["direct", "substitution"]), st.sampled_from([0.5, 1.0, 2.0]))
def test_bidirectional_bound(dense, decompression, row_cost):
    bound = bidirectional_bound(dense.sum(axis=1).astype(np.int32), dense.sum(axis=0).astype(np.int32), row_cost)
    coloring = color(dense, partition="bidirectional", decompression=decompression)
    assert 0 <= bound <= coloring.num_column_colors + row_cost * coloring.num_row_colors


@pytest.mark.parametrize(("n", "half"), [(50, 1), (80, 3)])
def test_bounds_of_bands_are_nearly_sharp(n, half):
    lengths = oracles.band(n, half).sum(axis=0).astype(np.int32)
    assert bidirectional_bound(lengths, lengths, 2.0) == 2 * half + 1
    assert symmetric_bound(adjacency_graph(SparsityPattern.from_matrix(oracles.band(n, half)))) == half + 1
