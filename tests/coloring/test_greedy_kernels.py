"""Tests of `sct_opt.coloring.greedy_kernels` against plain Python."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sct_opt.coloring import greedy_kernels
from sct_opt.coloring.graph import adjacency_graph, augmented_graph
from sct_opt.coloring.greedy import color_stars, color_trees
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles


def lists(dense):
    pattern = SparsityPattern.from_matrix(dense)
    return pattern.indptr, pattern.indices


def greedy(n, order, valid):
    """First color that keeps the colors so far valid, for one vertex after the other."""
    colors = np.full(n, -1)
    for v in order:
        colors[v] = 0
        while not valid(colors):
            colors[v] += 1
    return colors


def test_lowest_zero():
    for bit in range(64):
        assert greedy_kernels.lowest_zero(np.uint64(2**bit - 1)) == bit
        assert greedy_kernels.lowest_zero(np.uint64(2**64 - 1 - 2**bit)) == bit


@given(oracles.dense_patterns, st.randoms(use_true_random=False))
def test_distance2_coloring_is_greedy(dense, random):
    n = dense.shape[1]
    order = list(range(n))
    random.shuffle(order)

    def valid(colors):
        return all(len(set(used := [c for c in colors[row] if c >= 0])) == len(used) for row in dense)

    free = np.full(n, -1, np.int32)
    skipped = np.zeros(len(dense), bool)
    colors, clash = greedy_kernels.distance2_coloring(*lists(dense.T), skipped, np.array(order, np.int32), free)
    assert clash == -1
    np.testing.assert_array_equal(colors, greedy(n, order, valid))


def test_distance2_coloring_goes_beyond_one_word():
    n = 150
    free = np.full(n, -1, np.int32)
    skipped = np.zeros(n, bool)
    order = np.random.default_rng(0).permutation(n).astype(np.int32)
    colors, _ = greedy_kernels.distance2_coloring(*lists(np.ones((n, n))), skipped, order, free)
    np.testing.assert_array_equal(colors[order], np.arange(n))
    forced = free.copy()
    forced[order[0]] = 140
    colors, _ = greedy_kernels.distance2_coloring(*lists(np.ones((n, n))), skipped, order, forced)
    assert colors[order[0]] == 140
    assert sorted(colors) == list(range(n))
    forced[order[1]] = 140
    assert greedy_kernels.distance2_coloring(*lists(np.ones((n, n))), skipped, order, forced)[1] in order[:2]


@given(oracles.symmetric_patterns, st.randoms(use_true_random=False))
def test_star_coloring_is_greedy(dense, random):
    n = len(dense)
    order = list(range(n))
    random.shuffle(order)

    def valid(colors):
        some = colors >= 0
        return oracles.is_star_coloring(dense[np.ix_(some, some)], colors[some])

    graph = adjacency_graph(SparsityPattern.from_matrix(dense))
    np.testing.assert_array_equal(color_stars(graph, np.array(order, np.int32)), greedy(n, order, valid))


@given(oracles.symmetric_patterns, st.randoms(use_true_random=False))
def test_acyclic_coloring_is_greedy(dense, random):
    n = len(dense)
    order = list(range(n))
    random.shuffle(order)

    def valid(colors):
        some = colors >= 0
        return oracles.is_acyclic_coloring(dense[np.ix_(some, some)], colors[some])

    graph = adjacency_graph(SparsityPattern.from_matrix(dense))
    np.testing.assert_array_equal(color_trees(graph, np.array(order, np.int32)), greedy(n, order, valid))


@given(oracles.dense_patterns, st.booleans(), st.randoms(use_true_random=False))
def test_lists_and_masks_find_the_same_stars(dense, two_sided, random):
    if two_sided:
        graph = augmented_graph(SparsityPattern.from_matrix(dense))
    else:
        square = dense[: min(dense.shape), : min(dense.shape)]
        graph = adjacency_graph(SparsityPattern.from_matrix(square | square.T))
    order = list(range(graph.n_vertices))
    random.shuffle(order)
    order = np.array(order, np.int32)
    free = np.full(graph.n_vertices, -1, np.int32)
    colors, clash = greedy_kernels.star_coloring_with_lists(graph.indptr, graph.indices, order, free, two_sided)
    assert clash == -1
    np.testing.assert_array_equal(colors, color_stars(graph, order))


def test_star_coloring_widens_its_masks_and_changes_to_lists(monkeypatch):
    n = 150
    clique = adjacency_graph(SparsityPattern.from_matrix(np.ones((n, n))))
    order = np.arange(n, dtype=np.int32)
    np.testing.assert_array_equal(color_stars(clique, order), order)
    assert color_stars(clique, order, limit=64) is None
    monkeypatch.setattr("sct_opt.coloring.greedy._MASK_BYTES", 0)
    np.testing.assert_array_equal(color_stars(clique, order), order)


@given(oracles.symmetric_patterns, st.randoms(use_true_random=False))
def test_chordal_coloring_recognizes_perfect_orders(dense, random):
    n = len(dense)
    order = list(range(n))
    random.shuffle(order)
    rank = np.argsort(order)
    earlier = [[w for w in range(n) if dense[v, w] and rank[w] < rank[v]] for v in range(n)]
    perfect = all(dense[a, b] for near in earlier for a in near for b in near if a != b)
    colors, found = greedy_kernels.chordal_coloring(*lists(dense), np.array(order, np.int32))
    assert found == perfect
    if perfect:
        assert oracles.is_acyclic_coloring(dense, colors)
        assert colors.max(initial=-1) + 1 == max((len(near) + 1 for near in earlier), default=0)
    else:
        assert (colors == -1).all()
