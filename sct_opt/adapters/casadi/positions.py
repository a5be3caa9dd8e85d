"""Where structural nonzeros go: index arithmetic for CasADi's matrix operations.

CasADi stores the nonzeros of a matrix column by column.  Every function here answers with positions among the
nonzeros of its arguments; values never appear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import casadi
import numpy as np

Array = np.ndarray[Any, Any]


def triplet(sparsity: casadi.Sparsity) -> tuple[Array, Array]:
    """Row and column of each nonzero in storage order."""
    rows, columns = sparsity.get_triplet()
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)


def storage_order(rows: Array, columns: Array) -> Array:
    """The order that sorts nonzeros column by column."""
    return np.lexsort((rows, columns))


def transpose(sparsity: casadi.Sparsity) -> Array:
    """Nonzeros of the transposed matrix, as positions in the matrix.

    >>> transpose(casadi.Sparsity.dense(2, 3)).tolist()
    [0, 2, 4, 1, 3, 5]
    """
    rows, columns = triplet(sparsity)
    return storage_order(columns, rows)


def stack(sparsities: Sequence[casadi.Sparsity], vertical: bool, horizontal: bool) -> Array:
    """Nonzeros of the matrices put below (and beside) each other, as positions in the list of all their nonzeros.

    >>> stack([casadi.Sparsity.dense(1, 2), casadi.Sparsity.dense(2, 2)], True, False).tolist()
    [0, 2, 3, 1, 4, 5]
    """
    all_rows, all_columns = [], []
    row, column = 0, 0
    for sparsity in sparsities:
        rows, columns = triplet(sparsity)
        all_rows.append(rows + row)
        all_columns.append(columns + column)
        row += sparsity.size1() if vertical else 0
        column += sparsity.size2() if horizontal else 0
    return storage_order(np.concatenate(all_rows), np.concatenate(all_columns))


def project(source: casadi.Sparsity, target: casadi.Sparsity) -> Array:
    """For each nonzero of the target its position in the source, or -1 where the source is structurally zero.

    >>> project(casadi.Sparsity.diag(2), casadi.Sparsity.dense(2, 2)).tolist()
    [0, -1, -1, 1]
    """
    height = source.size1()
    rows, columns = triplet(source)
    have = columns * height + rows
    rows, columns = triplet(target)
    want = columns * height + rows
    place = np.searchsorted(have, want)
    place[place == have.size] = 0
    found = have[place] == want if have.size else np.zeros(want.size, dtype=bool)
    return np.where(found, place, -1)


def product(x: casadi.Sparsity, y: casadi.Sparsity, z: casadi.Sparsity) -> tuple[Array, Array, Array]:
    """Terms of a matrix product: position in x, in y, and in the result z; terms outside z's pattern are left out."""
    x_rows, x_columns = triplet(x)
    y_rows, y_columns = triplet(y)
    start = np.searchsorted(x_columns, np.arange(x.size2() + 1))
    lengths = start[y_rows + 1] - start[y_rows]
    y_place = np.repeat(np.arange(y_rows.size), lengths)
    x_place = np.repeat(start[y_rows] - np.cumsum(lengths) + lengths, lengths) + np.arange(int(lengths.sum()))
    return _into(z, x_rows[x_place], y_columns[y_place], x_place, y_place)


def _into(
    z: casadi.Sparsity, rows: Array, columns: Array, x_place: Array, y_place: Array
) -> tuple[Array, Array, Array]:
    z_rows, z_columns = triplet(z)
    have, want = z_columns * z.size1() + z_rows, columns * z.size1() + rows
    place = np.searchsorted(have, want)
    place[place == have.size] = 0
    inside = have[place] == want if have.size else np.zeros(want.size, dtype=bool)
    return x_place[inside], y_place[inside], place[inside]


def outer(x: casadi.Sparsity, y: casadi.Sparsity, z: casadi.Sparsity) -> tuple[Array, Array, Array]:
    """Terms of ``x @ y.T`` for column vectors, as `product`."""
    x_rows, _ = triplet(x)
    y_rows, _ = triplet(y)
    x_place, y_place = np.repeat(np.arange(x_rows.size), y_rows.size), np.tile(np.arange(y_rows.size), x_rows.size)
    return _into(z, x_rows[x_place], y_rows[y_place], x_place, y_place)


def kronecker(x: casadi.Sparsity, y: casadi.Sparsity) -> tuple[Array, Array]:
    """For each nonzero of the Kronecker product its factors' positions."""
    x_rows, x_columns = triplet(x)
    y_rows, y_columns = triplet(y)
    x_place, y_place = np.repeat(np.arange(x_rows.size), y_rows.size), np.tile(np.arange(y_rows.size), x_rows.size)
    order = storage_order(
        x_rows[x_place] * y.size1() + y_rows[y_place], x_columns[x_place] * y.size2() + y_columns[y_place]
    )
    return x_place[order], y_place[order]


def selection(info: dict[str, Any]) -> Array:
    """Positions that a get- or set-nonzeros operation names: a list, a slice, or a slice within a slice.

    >>> selection({"outer": {"start": 0, "stop": 8, "step": 4}, "inner": {"start": 0, "stop": 2, "step": 1}}).tolist()
    [0, 1, 4, 5]
    """
    if "nz" in info:
        return np.array(info["nz"], dtype=np.int64)
    if "slice" in info:
        return _range(info["slice"])
    return (_range(info["outer"])[:, None] + _range(info["inner"])[None, :]).ravel()


def _range(part: dict[str, int]) -> Array:
    return np.arange(part["start"], part["stop"], part["step"], dtype=np.int64)
