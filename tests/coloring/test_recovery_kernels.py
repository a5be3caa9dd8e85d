"""Tests of `sct_opt.coloring.recovery_kernels` against plain Python."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sct_opt.coloring import recovery_kernels
from sct_opt.coloring.graph import adjacency_graph
from sct_opt.coloring.greedy import color_trees
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles


def test_substitute_runs_without_the_compiler():
    path = adjacency_graph(SparsityPattern.from_matrix(oracles.band(4, 1) & ~np.eye(4, dtype=bool)))
    colors = np.array([0, 1, 0, 1], np.int32)
    solved, giver, taker, n_totals = recovery_kernels.peel(path.indptr, path.indices, path.mirror, colors)
    compressed = np.array([[0, 2], [5, 0], [0, 7], [4, 0]])  # entries 2, 3 and 4 along the path
    rows = np.repeat(np.arange(4), np.diff(path.indptr))
    source = rows[solved] * 2 + colors[path.indices[solved]]
    for run in (recovery_kernels.substitute, recovery_kernels.substitute.function):
        values = np.zeros(6, int)
        run(compressed.ravel(), source, giver, taker, solved, path.mirror[solved], np.zeros(n_totals, int), values)
        np.testing.assert_array_equal(values, [2, 2, 3, 3, 4, 4])


@given(oracles.dense_patterns, st.data())
def test_lone_entries(dense, data):
    n = dense.shape[1]
    colors = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=n, max_size=n)), np.int32)
    pattern = SparsityPattern.from_matrix(dense)
    alone = recovery_kernels.lone_entries(pattern.indptr, pattern.indices, colors)
    expected = [
        colors[j] >= 0 and (colors[dense[i]] == colors[j]).sum() == 1 for i, j in zip(*pattern.coo(), strict=True)
    ]
    np.testing.assert_array_equal(alone, np.array(expected, bool))


@given(oracles.symmetric_patterns)
def test_peel_solves_acyclic_colorings_and_stops_at_cycles(dense):
    graph = adjacency_graph(SparsityPattern.from_matrix(dense))
    colors = color_trees(graph, np.arange(len(dense), dtype=np.int32))
    solved, _, _, _ = recovery_kernels.peel(graph.indptr, graph.indices, graph.mirror, colors)
    found = set(solved) | set(graph.mirror[solved])
    assert found == set(range(graph.indices.size))
    assert solved.size == (dense.sum() + np.trace(dense)) // 2


def test_peel_stops_at_a_two_colored_cycle():
    cycle = np.array([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]], bool)
    graph = adjacency_graph(SparsityPattern.from_matrix(cycle))
    colors = np.array([0, 1, 0, 1], np.int32)
    assert recovery_kernels.peel(graph.indptr, graph.indices, graph.mirror, colors)[0].size == 0
