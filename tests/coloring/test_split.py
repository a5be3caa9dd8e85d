"""Tests of `sct_opt.coloring.split`."""

from hypothesis import given

from sct_opt.coloring import color
from sct_opt.coloring.graph import augmented_graph
from sct_opt.coloring.split import split_coloring
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles


def split(dense, orders=()):
    colors = split_coloring(augmented_graph(SparsityPattern.from_matrix(dense)), orders, 0)
    n = dense.shape[1]
    return colors[n:], colors[:n]


@given(oracles.dense_patterns)
def test_splits_show_every_entry_with_no_more_colors_than_one_side(dense):
    rows, columns = split(dense, ["largest_first", "smallest_last"])
    assert oracles.alone_somewhere(dense, rows, columns)
    one_sided = (color(dense, partition=side, closed_forms=False).num_colors for side in ("column", "row"))
    assert rows.max(initial=-1) + columns.max(initial=-1) + 2 <= min(one_sided)


def test_dense_rows_and_columns_are_split_off():
    rows, columns = split(oracles.arrow(50))
    assert rows.max() + columns.max() + 2 == 3
    band = oracles.band(60, 1)
    band[::20] = True
    rows, columns = split(band)
    assert (rows.max() + 1, columns.max() + 1) == (3, 3)
    rows, columns = split(band.T)  # dense columns need a column color each, and are no trouble to the others
    assert rows.max(initial=-1) + columns.max(initial=-1) + 2 == 6
