"""Optimal colorings of small patterns by exact branch and bound.

Each search starts from a coloring that is known and looks for one with a color less, until there is none.  The problem
is NP-hard, so the number of search nodes is limited.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sct_opt.coloring.graph import Adjacency, Graph, Ints


class _BudgetError(Exception):
    """The search has used up its nodes."""


def optimal_side(vertices: Adjacency, others: Adjacency, colors: Ints, budget: int) -> tuple[Ints, bool]:
    """Color one side of a bipartite graph with as few colors as possible.

    The branching rule, most constrained vertex first, is DSATUR of Brélaz, "New methods to color the vertices of a
    graph" (1979).

    Args:
        vertices: Adjacency lists of the side to be colored.
        others: Adjacency lists of the other side.
        colors: A coloring to improve on.
        budget: Limit on the number of search nodes.

    Returns:
        The best coloring found and whether it is proven to be optimal.
    """
    n = colors.size
    bound = int(np.diff(others[0]).max(initial=0))
    conflicts: list[set[int]] = [set() for _ in range(n)]
    for w in range(others[0].size - 1):
        line = others[1][others[0][w] : others[0][w + 1]].tolist()
        for v in line:
            conflicts[v].update(line)
    for v in range(n):
        conflicts[v].discard(v)
    clique = _large_clique(conflicts)
    search = _DistinctSearch(conflicts, clique, budget)
    return _descend(colors, int(colors.max(initial=-1)) + 1, max(bound, len(clique)), search.solve)


def optimal_graph(
    graph: Graph, colors: Ints, decompression: str, neutral: bool, bound: int, budget: int
) -> tuple[Ints, bool]:
    """Color a symmetric matrix, or rows and columns at once, with as few colors as possible.

    Args:
        graph: The graph.
        colors: A coloring to improve on.
        decompression: ``"direct"`` or ``"substitution"``.
        neutral: Whether vertices may stay without a color.
        bound: A lower bound on the number of colors.
        budget: Limit on the number of search nodes.

    Returns:
        The best coloring found and whether it is proven to be optimal.
    """
    search = _RecoverySearch(graph, decompression, neutral, budget)
    return _descend(colors, search.count(colors), bound, search.solve)


def _descend(colors: Ints, count: int, bound: int, solve) -> tuple[Ints, bool]:  # type: ignore[no-untyped-def]
    """Ask for one color less until that is impossible."""
    while count > bound:
        try:
            better = solve(count - 1)
        except _BudgetError:
            return colors, False
        if better is None:
            break
        colors = np.array(better, np.int32)
        count -= 1
    return colors, True


def _large_clique(conflicts: list[set[int]]) -> list[int]:
    """A clique found greedily from each vertex: its members need a color each."""
    best: list[int] = []
    for start in range(len(conflicts)):
        clique, candidates = [start], conflicts[start]
        while candidates:
            v = max(candidates, key=lambda x: (len(conflicts[x] & candidates), -x))
            clique.append(v)
            candidates = candidates & conflicts[v]
        if len(clique) > len(best):
            best = clique
    return best


class _DistinctSearch:
    """Search for a coloring in which vertices that conflict differ."""

    def __init__(self, conflicts: list[set[int]], clique: list[int], budget: int) -> None:
        self.conflicts = conflicts
        self.clique = clique
        self.nodes_left = budget

    def solve(self, n_colors: int) -> list[int] | None:
        """Return colors below `n_colors`, or None if there are none."""
        if len(self.clique) > n_colors:
            return None
        n = len(self.conflicts)
        self.colors = [-1] * n
        self.blocked = [[0] * n_colors for _ in range(n)]
        self.saturation = [0] * n
        for color, v in enumerate(self.clique):
            self._place(v, color)
        return self.colors if self._extend(n - len(self.clique), len(self.clique), n_colors) else None

    def _place(self, v: int, color: int) -> None:
        self.colors[v] = color
        for w in self.conflicts[v]:
            self.blocked[w][color] += 1
            self.saturation[w] += self.blocked[w][color] == 1

    def _unplace(self, v: int) -> None:
        color, self.colors[v] = self.colors[v], -1
        for w in self.conflicts[v]:
            self.blocked[w][color] -= 1
            self.saturation[w] -= self.blocked[w][color] == 0

    def _extend(self, left: int, used: int, n_colors: int) -> bool:
        if left == 0:
            return True
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise _BudgetError
        free = [v for v, color in enumerate(self.colors) if color < 0]
        v = max(free, key=lambda x: (self.saturation[x], len(self.conflicts[x])))
        for color in range(min(used + 1, n_colors)):
            if not self.blocked[v][color]:
                self._place(v, color)
                if self._extend(left - 1, max(used, color + 1), n_colors):
                    return True
                self._unplace(v)
        return False


class _RecoverySearch:
    """Search for colors from which every entry can be recovered.

    An entry between two colored vertices that cannot be recovered will not become so when more vertices are colored, so
    partial colorings are cut off as soon as that happens.
    """

    def __init__(self, graph: Graph, decompression: str, neutral: bool, budget: int) -> None:
        self.near = [graph.indices[graph.indptr[v] : graph.indptr[v + 1]].tolist() for v in range(graph.n_vertices)]
        self.n_columns = graph.n_columns
        self.two_sided = graph.two_sided
        self.direct = decompression == "direct"
        self.neutral = neutral
        self.nodes_left = budget
        self.order = _connected_order(self.near)

    def count(self, colors: Ints) -> int:
        """Number of column colors and row colors."""
        n = self.n_columns
        return int(colors[:n].max(initial=-1)) + 1 + int(colors[n:].max(initial=-1)) + 1

    def solve(self, n_colors: int) -> list[int] | None:
        """Return a coloring with at most `n_colors` column and row colors, or None if there is none."""
        n = len(self.near)
        self.n_colors = n_colors
        self.colors: list[int | None] = [None] * n
        self.met = [[0] * n_colors for _ in range(n)]  # neighbors of each color
        if not self._extend(0, 0, 0):
            return None
        return [color if color is not None else -1 for color in self.colors]

    def _extend(self, depth: int, used_columns: int, used_rows: int) -> bool:
        if depth == len(self.order):
            return True
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise _BudgetError
        v = self.order[depth]
        is_row = v >= self.n_columns
        used = used_rows if is_row else used_columns
        fresh = used_columns + used_rows < self.n_colors
        for color in self._choices(v, used + fresh):
            self.colors[v] = color
            if color >= 0:
                for w in self.near[v]:
                    self.met[w][color] += 1
            if self._recoverable(v):
                wider = max(used, color + 1)
                if self._extend(depth + 1, used_columns if is_row else wider, wider if is_row else used_rows):
                    return True
            if color >= 0:
                for w in self.near[v]:
                    self.met[w][color] -= 1
            self.colors[v] = None
        return False

    def _choices(self, v: int, limit: int) -> Iterator[int]:
        yield from range(limit)
        if self.neutral and v not in self.near[v]:
            yield -1

    def _recoverable(self, v: int) -> bool:
        color = self.colors[v]
        if not self.direct:
            # If the new entries stand alone next to v, nothing that could be solved before is touched.
            if color is not None and color >= 0 and all(self.met[w][color] == 1 for w in self.near[v]):
                return True
            return self._peels(v)
        for w in self.near[v]:
            if self.colors[w] is None:
                continue
            if not self._readable(v, w):
                return False
            if color is not None and color >= 0 and self.met[w][color] > 1:
                for x in self.near[w]:
                    if self.colors[x] == color and self._same_side(x, v) and not self._readable(w, x):
                        return False
        return True

    def _same_side(self, v: int, w: int) -> bool:
        return (v < self.n_columns) == (w < self.n_columns)

    def _readable(self, v: int, w: int) -> bool:
        at_v, at_w = self.colors[w], self.colors[v]
        assert at_v is not None
        assert at_w is not None
        return (at_v >= 0 and self.met[v][at_v] == 1) or (at_w >= 0 and self.met[w][at_w] == 1)

    def _peels(self, start: int) -> bool:
        """Whether the entries between colored vertices connected to one of them follow from each other."""
        equations: dict[tuple[int, int], set[tuple[int, int]]] = {}
        stack, seen = [start], {start}
        unknown = set()
        while stack:
            v = stack.pop()
            for w in self.near[v]:
                color = self.colors[w]
                if color is None:
                    continue
                entry = (min(v, w), max(v, w))
                unknown.add(entry)
                if color >= 0:
                    equations.setdefault((v, color), set()).add(entry)
                if w not in seen:
                    seen.add(w)
                    stack.append(w)
        ready = [key for key, terms in equations.items() if len(terms) == 1]
        while ready:
            terms = equations[ready.pop()]
            if len(terms) != 1:
                continue
            entry = next(iter(terms))
            unknown.discard(entry)
            for v, w in (entry, entry[::-1]):
                color = self.colors[w]
                assert color is not None
                if color >= 0 and entry in equations[v, color]:
                    equations[v, color].discard(entry)
                    if len(equations[v, color]) == 1:
                        ready.append((v, color))
        return not unknown


def _connected_order(near: list[list[int]]) -> list[int]:
    """Vertices with many neighbors first, then those with most neighbors before them."""
    placed: list[int] = []
    score: NDArray[np.int64] = np.zeros(len(near), np.int64)
    left = set(range(len(near)))
    while left:
        v = max(left, key=lambda x: (score[x], len(near[x]), -x))
        left.remove(v)
        placed.append(v)
        for w in near[v]:
            score[w] += 1
    return placed
