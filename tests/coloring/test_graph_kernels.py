"""Tests of `sct_opt.coloring.graph_kernels` against plain Python."""

import numpy as np
from hypothesis import given

from sct_opt.coloring import graph_kernels
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles


def lists(dense):
    pattern = SparsityPattern.from_matrix(dense)
    return pattern.indptr, pattern.indices


@given(oracles.dense_patterns)
def test_transpose(dense):
    indptr, indices, place = graph_kernels.transpose(*lists(dense), dense.shape[1])
    np.testing.assert_array_equal(indptr, lists(dense.T)[0])
    np.testing.assert_array_equal(indices, lists(dense.T)[1])
    rows = SparsityPattern.from_matrix(dense).coo()[0]
    np.testing.assert_array_equal(indices[place], rows)


@given(oracles.dense_patterns)
def test_neighbor_degrees(dense):
    conflicts = (dense.T.astype(int) @ dense.astype(int)) > 0
    np.fill_diagonal(conflicts, False)
    degrees = graph_kernels.neighbor_degrees(*lists(dense.T), *lists(dense))
    np.testing.assert_array_equal(degrees, conflicts.sum(axis=0))


@given(oracles.dense_patterns)
def test_crossing_lengths(dense):
    order = np.arange(len(dense), dtype=np.int32)
    lengths = graph_kernels.crossing_lengths(*lists(dense), order, dense.shape[1])
    expected = [dense[: k + 1].sum(axis=0).max(initial=0) for k in range(len(dense))]
    np.testing.assert_array_equal(lengths, expected)
