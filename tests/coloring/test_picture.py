"""Tests of `sct_opt.coloring.picture`."""

import matplotlib as mpl
import numpy as np
import pytest

from sct_opt.coloring import color
from sct_opt.pattern import SparsityPattern
from tests.coloring import oracles

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    mpl.pyplot.close("all")


def drawn_colors(ax):
    pixels = ax.images[0].get_array().reshape(-1, 3)
    return {tuple(pixel) for pixel in pixels.tolist()} - {(255, 255, 255)}


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({}, [(9, 9), (9, 9)]),
        ({"partition": "row"}, [(9, 9), (9, 9)]),
        ({"structure": "symmetric"}, [(9, 9), (9, 2)]),
        ({"structure": "symmetric", "decompression": "substitution"}, [(9, 9), (9, 2)]),
        ({"partition": "bidirectional"}, [(9, 9), (9, 2), (1, 9)]),
    ],
)
def test_pattern_and_compressed_matrices_side_by_side(options, shapes):
    coloring = color(oracles.arrow(9), **options)
    figure = coloring.plot()
    assert [ax.images[0].get_array().shape[:2] for ax in figure.axes] == shapes
    palette = drawn_colors(figure.axes[0])
    assert len(palette) == coloring.num_colors
    for ax in figure.axes[1:]:
        assert drawn_colors(ax) <= palette | {(170, 170, 170)}


def test_patterns_are_drawn_in_the_colors_of_a_coloring():
    coloring = color(oracles.band(6, 1))
    ax = coloring.pattern.plot(coloring=coloring)
    assert len(drawn_colors(ax)) == 3


def test_large_and_empty_patterns():
    n = 100_000
    pattern = SparsityPattern.from_coo(np.arange(n), np.arange(n), (n, n))
    assert len(color(pattern).plot().axes) == 2
    assert len(color(SparsityPattern.from_coo([], [], (3, 3))).plot().axes) == 1
