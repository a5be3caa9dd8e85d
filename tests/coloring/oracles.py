"""Slow oracles and pattern families for the tests of coloring; they share no code with the package."""

import itertools

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

dense_patterns = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=8))
square_patterns = st.integers(0, 8).flatmap(lambda n: hnp.arrays(bool, (n, n)))
symmetric_patterns = square_patterns.map(lambda dense: dense | dense.T)


def distinct_within_rows(dense, colors):
    """Columns with an entry in a common row have different colors, and none is neutral."""
    for row in dense:
        used = colors[row]
        if (used < 0).any() or len(set(used.tolist())) < used.size:
            return False
    return True


def is_star_coloring(dense, colors):
    """Neighbors differ and no path on four vertices has only two colors."""
    edges = [(i, j) for i, j in zip(*np.nonzero(dense), strict=True) if i != j]
    if any(colors[i] == colors[j] for i, j in edges):
        return False
    return not any(
        colors[a] == colors[c] and colors[b] == colors[d] and dense[b, c] and len({a, b, c, d}) == 4
        for (a, b), (c, d) in itertools.product(edges, edges)
    )


def is_acyclic_coloring(dense, colors):
    """Neighbors differ and no cycle has only two colors."""
    edges = [(i, j) for i, j in zip(*np.nonzero(dense), strict=True) if i > j]
    if any(colors[i] == colors[j] for i, j in edges):
        return False
    for pair in itertools.combinations(sorted(set(colors.tolist())), 2):
        tree = list(range(len(dense)))
        for i, j in edges:
            if {int(colors[i]), int(colors[j])} == set(pair):
                if tree[i] == tree[j]:
                    return False
                tree = [tree[i] if t == tree[j] else t for t in tree]
    return True


def alone_somewhere(dense, row_colors, column_colors, symmetric=False):
    """Every entry is the only one of some color in its row or column."""
    for i, j in zip(*np.nonzero(dense), strict=True):
        by_column = column_colors[j] >= 0 and (column_colors[dense[i]] == column_colors[j]).sum() == 1
        if symmetric:
            other = column_colors[i] >= 0 and (column_colors[dense[j]] == column_colors[i]).sum() == 1
        else:
            other = row_colors[i] >= 0 and (row_colors[dense[:, j]] == row_colors[i]).sum() == 1
        if not (by_column or other):
            return False
    return True


def determined(dense, row_colors, column_colors, symmetric=False):
    """The compressed entries are linear equations with one solution."""
    number = {}
    for i, j in zip(*np.nonzero(dense), strict=True):
        number.setdefault((min(i, j), max(i, j)) if symmetric else (i, j), len(number))
    equations = [np.zeros(len(number))]
    for lines, colors, flip in ((dense, column_colors, False), (dense.T, row_colors, True)):
        for i, line in enumerate(lines):
            for color in range(colors.max(initial=-1) + 1):
                equation = np.zeros(len(number))
                for j in np.flatnonzero(line & (colors == color)):
                    key = (j, i) if flip else (i, j)
                    equation[number[tuple(sorted(key)) if symmetric else key]] = 1
                equations.append(equation)
    return not number or np.linalg.matrix_rank(np.array(equations)) == len(number)


def fewest_colors(n, valid):
    """Smallest number of colors of a valid coloring of n vertices, by trying all colorings."""
    for count in range(n + 1):
        for colors in itertools.product(range(count), repeat=n):
            if valid(np.array(colors, int)):
                return count
    raise AssertionError("different colors for all are always valid")


def band(n, half):
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= half


def arrow(n):
    dense = np.eye(n, dtype=bool)
    dense[0] = dense[:, 0] = True
    return dense


def grid(k):
    line = band(k, 1)
    return np.kron(np.eye(k, dtype=bool), line) | np.kron(line, np.eye(k, dtype=bool))


def random_symmetric(n, p, seed):
    dense = np.random.default_rng(seed).random((n, n)) < p
    return dense | dense.T | np.eye(n, dtype=bool)


def collocation(intervals, states, controls):
    """Jacobian of the defects of a trapezoidal rule: each interval sees its states and controls and the next ones."""
    width = states + controls
    dense = np.zeros((intervals * states, (intervals + 1) * width), bool)
    for k in range(intervals):
        dense[k * states : (k + 1) * states, k * width : (k + 2) * width] = True
    return dense


def power_flow(buses, chords, seed):
    """Jacobian of power balances on a ring with chords: each bus sees angle and voltage of itself and its neighbors."""
    rng = np.random.default_rng(seed)
    network = np.eye(buses, dtype=bool)
    network[np.arange(buses), (np.arange(buses) + 1) % buses] = True
    network[rng.integers(0, buses, chords), rng.integers(0, buses, chords)] = True
    return np.kron(network | network.T, np.ones((2, 2), bool))


def frame(m, n):
    """First and last row and column."""
    dense = np.zeros((m, n), bool)
    dense[:, [0, -1]] = dense[[0, -1]] = True
    return dense


SYMMETRIC_FAMILIES = {
    **{f"band {n} {h}": band(n, h) for n, h in [(6, 1), (9, 2), (12, 3)]},
    **{f"arrow {n}": arrow(n) for n in (5, 9)},
    **{f"grid {k}": grid(k) for k in (2, 3)},
    **{f"random {n} {p}": random_symmetric(n, p, n) for n in (7, 9, 11) for p in (0.1, 0.25, 0.4)},
    "power flow": power_flow(5, 1, 0),
}
FAMILIES = {
    **SYMMETRIC_FAMILIES,
    "collocation": collocation(3, 2, 1),
    "wide random": np.random.default_rng(1).random((6, 12)) < 0.2,
    "tall random": np.random.default_rng(2).random((12, 6)) < 0.2,
}

# Figures 4.1 and 6.1 of Gebremedhin, Manne and Pothen, "What color is your Jacobian?" (2005); the second is also
# Figures 1 and 4 of "Efficient computation of sparse Hessians using coloring and automatic differentiation" (2009).
WHAT_FIGURE_41 = np.array(
    [[int(digit) for digit in row] for row in ["110000", "111011", "011100", "001101", "010010", "010101"]], bool
)
WHAT_FIGURE_61 = np.array(
    [
        [int(digit) for digit in row]
        for row in [
            "1100001000",
            "1110100000",
            "0111010000",
            "0011000001",
            "0100110100",
            "0010110010",
            "1000001100",
            "0000101110",
            "0000010111",
            "0001000011",
        ]
    ],
    bool,
)
