"""Tests of `sct_opt.coloring.neutral`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sct_opt.coloring.graph import adjacency_graph, augmented_graph
from sct_opt.coloring.greedy import color_stars, color_trees
from sct_opt.coloring.neutral import without_unused_colors
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles

METHODS = {"direct": color_stars, "substitution": color_trees}


@given(oracles.symmetric_patterns, st.sampled_from(["direct", "substitution"]))
def test_symmetric_entries_stay_recoverable(dense, decompression):
    graph = adjacency_graph(SparsityPattern.from_matrix(dense))
    colors = METHODS[decompression](graph, np.arange(len(dense), dtype=np.int32))
    fewer = without_unused_colors(graph, colors, decompression)
    assert set(fewer[fewer >= 0]) == set(range(fewer.max(initial=-1) + 1))
    assert (fewer[np.diag(dense)] >= 0).all()
    nothing = np.full(len(dense), -1)
    if decompression == "direct":
        assert oracles.alone_somewhere(dense, None, fewer, symmetric=True)
    else:
        assert oracles.determined(dense, nothing, fewer, symmetric=True)


@given(oracles.dense_patterns, st.sampled_from(["direct", "substitution"]))
def test_entries_stay_recoverable_in_both_directions(dense, decompression):
    m, n = dense.shape
    graph = augmented_graph(SparsityPattern.from_matrix(dense))
    colors = METHODS[decompression](graph, np.arange(m + n, dtype=np.int32))
    fewer = without_unused_colors(graph, colors, decompression)
    for side in (fewer[:n], fewer[n:]):
        assert set(side[side >= 0]) == set(range(side.max(initial=-1) + 1))
    check = oracles.alone_somewhere if decompression == "direct" else oracles.determined
    assert check(dense, fewer[n:], fewer[:n])


@pytest.mark.parametrize("decompression", ["direct", "substitution"])
def test_one_end_of_single_edges_is_enough(decompression):
    pairs = np.kron(np.eye(3, dtype=bool), np.array([[0, 1], [1, 0]], bool))
    graph = adjacency_graph(SparsityPattern.from_matrix(pairs))
    colors = np.array([0, 1, 0, 1, 1, 0], np.int32)
    fewer = without_unused_colors(graph, colors, decompression)
    assert fewer.max() == 0
    assert (fewer >= 0).sum() == 3


def test_full_diagonals_need_every_color():
    graph = adjacency_graph(SparsityPattern.from_matrix(oracles.band(6, 2)))
    colors = color_stars(graph, np.arange(6, dtype=np.int32))
    assert without_unused_colors(graph, colors, "direct") is colors
