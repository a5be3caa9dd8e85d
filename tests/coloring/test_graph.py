"""Tests of `sct_opt.coloring.graph`."""

import numpy as np
import pytest
from hypothesis import given

from sct_opt.coloring.graph import adjacency_graph, augmented_graph, narrow
from sct_opt.errors import ColoringError
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles


def entries(graph):
    owners = np.repeat(np.arange(graph.n_vertices), np.diff(graph.indptr))
    return list(zip(owners.tolist(), graph.indices.tolist(), strict=True))


def assert_mirrored(graph):
    edges = entries(graph)
    for position, (v, w) in enumerate(edges):
        assert edges[graph.mirror[position]] == (w, v)


@given(oracles.symmetric_patterns)
def test_adjacency_graph(dense):
    graph = adjacency_graph(SparsityPattern.from_matrix(dense))
    assert set(entries(graph)) == set(zip(*np.nonzero(dense), strict=True))
    assert_mirrored(graph)
    off_diagonal = dense.copy()
    np.fill_diagonal(off_diagonal, False)
    np.testing.assert_array_equal(graph.degrees, off_diagonal.sum(axis=1))


@given(oracles.dense_patterns)
def test_augmented_graph(dense):
    m, n = dense.shape
    graph = augmented_graph(SparsityPattern.from_matrix(dense))
    block = np.block([[np.zeros((n, n), bool), dense.T], [dense, np.zeros((m, m), bool)]])
    assert set(entries(graph)) == set(zip(*np.nonzero(block), strict=True))
    assert_mirrored(graph)
    np.testing.assert_array_equal(graph.degrees, block.sum(axis=1))


def test_wide_indices_are_refused():
    with pytest.raises(ColoringError, match="too large to color"):
        narrow(SparsityPattern.from_coo([0], [2**33], (1, 2**34)))
