"""Tests of `sct_opt.coloring.order`: what each order promises, step by step on dense matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sct_opt.coloring.graph import adjacency_graph, augmented_graph
from sct_opt.coloring.order import ORDERS, graph_order, is_cheap, one_sided_order, resolve_orders
from sct_opt.errors import ColoringError
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles


def assert_order_keeps_its_promise(name, order, near):
    """Check the rule of an order for every vertex; `near` is a boolean matrix of neighbors."""
    n = len(near)
    assert sorted(order) == list(range(n))
    degrees = near.sum(axis=1)
    if name == "natural":
        assert list(order) == list(range(n))
    for k, v in enumerate(order):
        before, after = order[:k], order[k:]
        if name == "largest_first":
            assert all(degrees[v] >= degrees[w] for w in after)
        elif name == "smallest_last":  # least neighbors among those that remain
            remaining = order[: k + 1]
            assert all(near[v, remaining].sum() <= near[w, remaining].sum() for w in remaining)
        elif name in {"incidence_degree", "perfect_elimination"}:  # most neighbors among those ordered
            assert all(near[v, before].sum() >= near[w, before].sum() for w in after)
        elif name == "dynamic_largest_first":  # most neighbors among those that remain
            assert all(near[v, after].sum() >= near[w, after].sum() for w in after)


@given(oracles.symmetric_patterns, st.sampled_from(ORDERS))
def test_orders_of_symmetric_patterns(dense, name):
    order = graph_order(name, adjacency_graph(SparsityPattern.from_matrix(dense)), 0)
    near = dense.copy()
    np.fill_diagonal(near, False)
    assert_order_keeps_its_promise(name, order, near)


@given(oracles.dense_patterns, st.sampled_from(ORDERS))
def test_orders_of_augmented_patterns(dense, name):
    m, n = dense.shape
    order = graph_order(name, augmented_graph(SparsityPattern.from_matrix(dense)), 0)
    near = np.block([[np.zeros((n, n), bool), dense.T], [dense, np.zeros((m, m), bool)]])
    assert_order_keeps_its_promise(name, order, near)


@given(oracles.dense_patterns, st.sampled_from(ORDERS))
def test_orders_of_columns(dense, name):
    rows, columns = SparsityPattern.from_matrix(dense), SparsityPattern.from_matrix(dense.T)
    order = one_sided_order(name, (columns.indptr, columns.indices), (rows.indptr, rows.indices), 0)
    near = (dense.T.astype(int) @ dense.astype(int)) > 0
    np.fill_diagonal(near, False)
    assert_order_keeps_its_promise(name, order, near)


def test_random_orders_follow_the_seed():
    graph = adjacency_graph(SparsityPattern.from_matrix(np.eye(50)))
    first, again, other = (graph_order("random", graph, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_orders_are_resolved():
    assert resolve_orders("natural") == ("natural",)
    assert len(resolve_orders("best")) == 6
    assert resolve_orders(["best", "perfect_elimination"])[-1] == "perfect_elimination"
    (given_order,) = resolve_orders(np.array([1, 0]))
    assert given_order.dtype == np.int32
    with pytest.raises(ColoringError, match="no order 'nowhere'"):
        resolve_orders(["natural", "nowhere"])


def test_given_orders_must_list_every_vertex():
    graph = adjacency_graph(SparsityPattern.from_matrix(np.eye(3)))
    with pytest.raises(ColoringError, match="every vertex"):
        graph_order(np.array([0, 1], np.int32), graph, 0)


def test_orders_by_degree_are_costly_with_dense_lines():
    n = 1000
    rows = SparsityPattern.from_matrix(oracles.arrow(n))
    assert not is_cheap("smallest_last", (rows.indptr, rows.indices))
    assert is_cheap("natural", (rows.indptr, rows.indices))
    sparse = SparsityPattern.from_matrix(oracles.band(n, 2))
    assert is_cheap("smallest_last", (sparse.indptr, sparse.indices))
