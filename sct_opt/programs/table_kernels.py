"""Kernels on tables: columns of instances, sparse assembly, sources of entries, sparse products."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel

Array = np.ndarray[Any, Any]


@kernel
def columns(source: Array, begin: Array, instances: Array, width: int) -> Array:
    """Table of one program: ``out[slot, k]`` from what lies ``slot`` behind the beginning of instance ``k``."""
    out = np.empty((width, instances.size), dtype=source.dtype)
    for k in range(instances.size):
        first = begin[instances[k]]
        for s in range(width):
            out[s, k] = source[first + s]
    return out


@kernel
def strides(table: Array) -> Array:
    """Per row of an integer table the constant difference of its entries, or -1 where there is none (or it falls)."""
    out = np.zeros(table.shape[0], dtype=np.int64)
    for s in range(table.shape[0]):
        if table.shape[1] < 2:
            continue
        step = np.int64(table[s, 1]) - np.int64(table[s, 0])
        out[s] = step
        if step < 0:
            out[s] = -1
            continue
        for k in range(2, table.shape[1]):
            if np.int64(table[s, k]) - np.int64(table[s, k - 1]) != step:
                out[s] = -1
                break
    return out


@kernel
def uniform(table: Array) -> Array:
    """Per row of a table of numbers whether all are the same bit by bit."""
    out = np.ones(table.shape[0], dtype=np.bool_)
    bits = table.view(np.int64)
    for s in range(table.shape[0]):
        for k in range(1, table.shape[1]):
            if bits[s, k] != bits[s, 0]:
                out[s] = False
                break
    return out


@kernel
def assemble(rows: Array, cols: Array, num_rows: int, num_cols: int) -> tuple[Array, Array, Array]:
    """Sorted unique sparse rows from coordinates, and the position of each coordinate among them.

    Coordinates of row ``num_rows`` stand for nothing; their position is the number of entries.
    """
    size = rows.size
    start = np.zeros(num_cols + 1, dtype=np.int64)
    for k in range(size):
        start[cols[k] + 1] += 1
    for c in range(num_cols):
        start[c + 1] += start[c]
    by_col = np.empty(size, dtype=np.int32)
    for k in range(size):
        c = cols[k]
        by_col[start[c]] = k
        start[c] += 1
    begin = np.zeros(num_rows + 2, dtype=np.int64)
    for k in range(size):
        begin[rows[k] + 1] += 1
    for r in range(num_rows + 1):
        begin[r + 1] += begin[r]
    order = np.empty(size, dtype=np.int32)
    place = begin[:-1].copy()
    for q in range(size):
        k = by_col[q]
        order[place[rows[k]]] = k
        place[rows[k]] += 1
    position = np.empty(size, dtype=np.int32)
    indptr = np.zeros(num_rows + 1, dtype=np.int32)
    indices = np.empty(begin[num_rows], dtype=np.int32)
    count = 0
    for r in range(num_rows):
        last = -1
        for q in range(begin[r], begin[r + 1]):
            k = order[q]
            if cols[k] != last:
                last = cols[k]
                indices[count] = last
                count += 1
            position[k] = count - 1
        indptr[r + 1] = count
    for q in range(begin[num_rows], size):
        position[order[q]] = count
    return indptr, indices[:count].copy(), position


@kernel
def count_sources(positions: Array, counts: Array) -> None:
    """Count into ``counts`` how many sources each position has."""
    for e in range(positions.shape[0]):
        for k in range(positions.shape[1]):
            counts[positions[e, k]] += 1


@kernel
def lone(positions: Array, counts: Array, dummy: int) -> Array:
    """Per row of a table of positions whether all of them have this one source."""
    out = np.ones(positions.shape[0], dtype=np.bool_)
    for e in range(positions.shape[0]):
        for k in range(positions.shape[1]):
            p = positions[e, k]
            if p != dummy and counts[p] != 1:
                out[e] = False
                break
    return out


@kernel
def scatter_add(out: Array, position: Array, coef: Array, source: Array, values: Array) -> None:
    """Add ``coef * values[source]`` at the positions."""
    for k in range(position.size):
        out[position[k]] += coef[k] * values[source[k]]


@kernel
def add_row_products(indptr: Array, indices: Array, values: Array, x: Array, out: Array) -> None:
    """Add sparse matrix times vector."""
    for r in range(indptr.size - 1):
        for k in range(indptr[r], indptr[r + 1]):
            out[r] += values[k] * x[indices[k]]


@kernel
def row_products(indptr: Array, indices: Array, values: Array, x: Array, out: Array) -> None:
    """Sparse matrix times vector."""
    for r in range(indptr.size - 1):
        total = 0.0
        for k in range(indptr[r], indptr[r + 1]):
            total += values[k] * x[indices[k]]
        out[r] = total


@kernel
def symmetric_products(indptr: Array, indices: Array, values: Array, v: Array, out: Array) -> None:
    """Symmetric matrix, given by its lower triangle, times vector."""
    out[:] = 0.0
    for r in range(indptr.size - 1):
        for k in range(indptr[r], indptr[r + 1]):
            c = indices[k]
            out[r] += values[k] * v[c]
            if c != r:
                out[c] += values[k] * v[r]


@kernel
def column_products(indptr: Array, indices: Array, values: Array, w: Array, out: Array) -> None:
    """Transposed sparse matrix times vector; rows of weight zero count for nothing."""
    out[:] = 0.0
    for r in range(indptr.size - 1):
        weight = w[r]
        if weight != 0.0:
            for k in range(indptr[r], indptr[r + 1]):
                out[indices[k]] += weight * values[k]
