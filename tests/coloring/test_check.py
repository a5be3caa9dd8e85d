"""Tests of `sct_opt.coloring.check`: what verify accepts and how it names what clashes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sct_opt.coloring import ColoringResult
from sct_opt.errors import ColoringError
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles


def coloring_of(dense, structure, partition, decompression, rows, columns):
    return ColoringResult(SparsityPattern.from_matrix(dense), structure, partition, decompression, rows, columns)


def verdict(coloring):
    try:
        return coloring.verify()
    except ColoringError:
        return False


def some_colors(n):
    return st.lists(st.integers(-1, 2), min_size=n, max_size=n).map(lambda colors: np.array(colors, int))


@given(oracles.dense_patterns, st.data())
def test_one_sided_verdicts_agree_with_the_oracle(dense, data):
    columns = data.draw(some_colors(dense.shape[1]))
    made = coloring_of(dense, "nonsymmetric", "column", "direct", np.zeros(len(dense)), columns)
    assert verdict(made) == oracles.distinct_within_rows(dense, columns)
    flipped = coloring_of(dense.T, "nonsymmetric", "row", "direct", columns, np.zeros(len(dense)))
    assert verdict(flipped) == oracles.distinct_within_rows(dense, columns)


@given(oracles.symmetric_patterns, st.data())
def test_symmetric_verdicts_agree_with_the_oracle(dense, data):
    columns = data.draw(some_colors(len(dense)))
    nothing = np.full(len(dense), -1)
    direct = coloring_of(dense, "symmetric", "column", "direct", nothing, columns)
    assert verdict(direct) == oracles.alone_somewhere(dense, None, columns, symmetric=True)
    substitution = coloring_of(dense, "symmetric", "column", "substitution", nothing, columns)
    if verdict(substitution):
        assert oracles.determined(dense, nothing, columns, symmetric=True)
    if (columns >= 0).all() and oracles.is_acyclic_coloring(dense, columns):
        assert verdict(substitution)
    if verdict(direct):
        assert verdict(substitution)


@given(oracles.dense_patterns, st.data())
def test_bidirectional_verdicts_agree_with_the_oracle(dense, data):
    rows, columns = (data.draw(some_colors(length)) for length in dense.shape)
    direct = coloring_of(dense, "nonsymmetric", "bidirectional", "direct", rows, columns)
    assert verdict(direct) == oracles.alone_somewhere(dense, rows, columns)
    substitution = coloring_of(dense, "nonsymmetric", "bidirectional", "substitution", rows, columns)
    if verdict(substitution):
        assert oracles.determined(dense, rows, columns)
    if verdict(direct):
        assert verdict(substitution)


def test_exhaustive_star_and_acyclic_verdicts_of_a_cycle():
    cycle = oracles.band(5, 1)
    cycle[0, 4] = cycle[4, 0] = True
    nothing = np.full(5, -1)
    for colors in map(np.array, itertools.product(range(3), repeat=5)):
        direct = coloring_of(cycle, "symmetric", "column", "direct", nothing, colors)
        assert verdict(direct) == oracles.is_star_coloring(cycle, colors)
        substitution = coloring_of(cycle, "symmetric", "column", "substitution", nothing, colors)
        assert verdict(substitution) == oracles.is_acyclic_coloring(cycle, colors)


BAND = oracles.band(4, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("nonsymmetric", "column", "direct", [0] * 4, [0, 1, 0, 1]),
            r"columns 0 and 2 both have color 0 and an entry in row 1",
        ),
        (("nonsymmetric", "column", "direct", [0] * 4, [0, 1, 2, -1]), "column 3 has entries but no color"),
        (
            ("nonsymmetric", "row", "direct", [0, 1, 0, 1], [0] * 4),
            "rows 0 and 2 both have color 0 and an entry in column 1",
        ),
        (
            ("symmetric", "column", "direct", [0] * 4, [0, 1, 0, 1]),
            r"entry \(1, 2\) .* columns 2 and 0 both have color 0",
        ),
        (("symmetric", "column", "substitution", [0] * 4, [0, 0, 1, 2]), r"entry \(0, 0\) .* columns 0 and 1 both"),
        (("symmetric", "column", "direct", [0] * 4, [-1, 0, 1, 2]), r"entry \(0, 0\) .* column 0 has no color"),
        (
            ("nonsymmetric", "bidirectional", "direct", [0, -1, -1, -1], [0, 0, 1, 2]),
            r"entry \(1, 0\) .* columns 0 and 1 both have color 0 and an entry in row 1, and row 1 has no color",
        ),
        (
            ("nonsymmetric", "bidirectional", "substitution", [-1] * 4, [-1] * 4),
            "column 0 has no color, and row 0 has no",
        ),
    ],
)
def test_clashes_are_named(arguments, message):
    with pytest.raises(ColoringError, match=message):
        coloring_of(BAND, *arguments).verify()


def test_round_trip_catches_a_wrong_recovery(monkeypatch):
    made = coloring_of(BAND, "nonsymmetric", "column", "direct", [0] * 4, [0, 1, 2, 0])
    made.gather_index[3] += 1
    with pytest.raises(ColoringError, match=r"entry \(1, 1\) comes back as"):
        made.verify()
