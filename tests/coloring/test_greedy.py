"""Tests of `sct_opt.coloring.greedy`: limits and the search over orders."""

import numpy as np

from sct_opt.coloring.graph import adjacency_graph, augmented_graph
from sct_opt.coloring.greedy import color_side, color_stars, color_trees, improved
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles


def test_limits_end_hopeless_colorings():
    pattern = SparsityPattern.from_matrix(oracles.arrow(300))
    graph = augmented_graph(pattern)
    order = np.arange(600, dtype=np.int32)
    assert color_stars(graph, order).max() >= 250
    assert color_stars(graph, order, limit=10) is None
    assert color_trees(graph, order, limit=1) is None


def test_improved_keeps_the_best_and_stops_at_the_bound():
    tried = []

    def attempt(order):
        tried.append(order)
        return {0: np.array([0, 1, 2]), 1: np.array([0, 1, 0]), 2: np.array([0, 0, 0])}[int(order[0])]

    def count(colors):
        return int(colors.max()) + 1

    orders = [np.array([k, 0, 0], np.int32) for k in range(3)]
    assert count(improved(attempt, orders, count, bound=1, rounds=0)) == 1
    tried.clear()
    assert count(improved(attempt, orders, count, bound=2, rounds=0)) == 2
    assert len(tried) == 2
    known = np.array([0, 0, 0])
    assert improved(lambda order: None, orders, count, bound=0, rounds=3, known=known) is known


def test_rounds_of_improvement_never_lose_a_color():
    dense = oracles.random_symmetric(60, 0.08, 1)
    graph = adjacency_graph(SparsityPattern.from_matrix(dense))
    natural = np.arange(60, dtype=np.int32)

    def count(colors):
        return int(colors.max()) + 1

    plain = color_stars(graph, natural)
    better = improved(lambda order: color_stars(graph, order), [natural], count, 1, 12)
    assert count(better) <= count(plain)
    assert oracles.is_star_coloring(dense, better)


def test_sides_can_be_colored_in_part():
    dense = np.array([[1, 1, 1, 0], [0, 1, 1, 1]], bool)
    columns = SparsityPattern.from_matrix(dense.T)
    vertices = columns.indptr, columns.indices
    colors = color_side(vertices, 2, np.array([1, 2], np.int32))
    np.testing.assert_array_equal(colors, [-1, 0, 1, -1])
    colors = color_side(vertices, 2, np.arange(4, dtype=np.int32), ignored=np.array([True, False]))
    np.testing.assert_array_equal(colors, [0, 0, 1, 2])
