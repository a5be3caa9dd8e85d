"""Tests of `sct_opt.coloring.recovery`: where entries are found, and in which order they are substituted."""

import numpy as np
from hypothesis import given

from sct_opt.coloring import color
from sct_opt.coloring.recovery import Gather, Substitution
from tests.coloring import oracles


@given(oracles.dense_patterns)
def test_one_sided_entries_are_read_from_their_own_color(dense):
    columns, rows = color(dense), color(dense, partition="row")
    i, j = np.nonzero(dense)
    np.testing.assert_array_equal(columns.entry_colors, columns.column_colors[j])
    np.testing.assert_array_equal(columns.gather_index, i * columns.num_colors + columns.column_colors[j])
    np.testing.assert_array_equal(rows.entry_colors, rows.row_colors[i])
    np.testing.assert_array_equal(rows.gather_index, rows.row_colors[i] * dense.shape[1] + j)


@given(oracles.symmetric_patterns)
def test_mirror_images_are_read_from_the_same_place_or_from_both(dense):
    coloring = color(dense, "symmetric")
    assert isinstance(coloring.recovery, Gather)
    i, j = np.nonzero(dense)
    for line, other, read in zip(i, j, coloring.entry_colors, strict=True):
        assert read in {coloring.column_colors[line], coloring.column_colors[other]}


@given(oracles.symmetric_patterns)
def test_every_entry_is_substituted_once_and_after_what_it_needs(dense):
    coloring = color(dense, "symmetric", decompression="substitution")
    steps = coloring.recovery
    assert isinstance(steps, Substitution)
    filled = np.concatenate([steps.place, steps.mirror_place[steps.mirror_place != steps.place]])
    assert sorted(filled) == list(range(coloring.pattern.nnz))
    used = set()
    for giver, taker in zip(steps.giver, steps.taker, strict=True):
        assert taker not in used  # nothing is added to a sum that has been used
        used |= {giver} - {-1}
    assert used == set(range(steps.n_totals))
