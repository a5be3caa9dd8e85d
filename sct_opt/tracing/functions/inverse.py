"""Determinants, inverses and solutions of linear systems, with the zeros that structure gives.

Constant zeros of a matrix count: what the inverse or the determinant of a triangular, diagonal or block matrix does not
couple stays apart in the patterns.

Formulas: M. B. Giles, *Collected matrix derivative results for forward and reverse mode algorithmic differentiation* (2008).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.tape import Array
from sct_opt.tracing.array import traced
from sct_opt.tracing.base import TracedBase, builder_of, ids_of, implements
from sct_opt.tracing.blackbox import Dense, live_arguments
from sct_opt.tracing.functions.algebra import plain
from sct_opt.tracing.location import where
from sct_opt.tracing.scalar import TracedScalar
from sct_opt.tracing.ufuncs import as_traced

# -- structure --


def structure(ids: Array, builder: Any) -> Array:
    """Which entries of a matrix are not constant zeros."""
    nonzero = ids >= 0
    known = ~nonzero
    nonzero[known] = builder.constant_value(ids[known]) != 0.0
    return nonzero


def closure(graph: Array) -> Array:
    """Reflexive transitive closure of a boolean matrix."""
    reach = graph | np.eye(graph.shape[0], dtype=bool)
    while True:
        further = reach @ reach
        if (further == reach).all():
            return reach
        reach = further


def _matching(nonzero: Array) -> Array:
    """Row of each column such that the permuted diagonal is structurally nonzero.

    Raises:
        LinAlgError: there is none: the matrix is singular whatever the values.
    """
    from scipy.sparse import csr_array  # noqa: PLC0415 - scipy.sparse is slow to import
    from scipy.sparse.csgraph import maximum_bipartite_matching  # noqa: PLC0415

    rows = maximum_bipartite_matching(csr_array(nonzero), perm_type="row")
    if (rows < 0).any():
        raise np.linalg.LinAlgError(f"structurally singular matrix\n  at {where()}")
    return np.asarray(rows)


def _inverse_structure(nonzero: Array) -> Array:
    """Which entries of the inverse may be nonzero (Gilbert, Predicting structure in sparse matrix computations, 1994)."""
    rows = _matching(nonzero)
    inverse = np.zeros_like(nonzero)
    inverse[:, rows] = closure(nonzero[rows])
    return inverse


def square(a: Any, name: str) -> Any:
    """A traced square matrix or stack of these."""
    a = as_traced(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"{name} needs square matrices, not shape {a.shape}\n  at {where()}")
    return a


def stacked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Apply a function of one matrix to each of a stack."""

    @functools.wraps(function)
    def apply(a: Any, *args: Any, **kwargs: Any) -> Any:
        a = as_traced(a)
        if a.ndim == 2:
            return function(a, *args, **kwargs)
        results = [apply(part, *args, **kwargs) for part in a]
        if isinstance(results[0], tuple):
            return (
                type(results[0])(*(np.stack(parts) for parts in zip(*results, strict=True)))
                if hasattr(results[0], "_fields")
                else tuple(np.stack(parts) for parts in zip(*results, strict=True))
            )
        return np.stack(results)

    return apply


def filled(fixed: Array, live: Array, args: Array, n: int) -> Array:
    """A matrix from its constants and the values of its other entries."""
    values = fixed.copy()
    values[live] = args
    return values.reshape(-1, n)


# -- determinants --


def _blocks(nonzero: Array) -> tuple[Array, list[Array]]:
    """The permutation of rows to a nonzero diagonal, and the index sets of the irreducible diagonal blocks."""
    from scipy.sparse import csr_array  # noqa: PLC0415
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    rows = _matching(nonzero)
    count, label = connected_components(csr_array(nonzero[rows]), connection="strong")
    return rows, [np.flatnonzero(label == k) for k in range(count)]


def _parity(rows: Array) -> float:
    sign, seen = 1.0, np.zeros(rows.size, dtype=bool)
    for start in range(rows.size):
        length, k = 0, start
        while not seen[k]:
            seen[k] = True
            k = rows[k]
            length += 1
        if length and length % 2 == 0:
            sign = -sign
    return sign


def _cofactors(a: Array) -> Array:
    """D det / d a, of singular matrices too."""
    u, s, vt = np.linalg.svd(a)
    others = np.array([np.prod(np.delete(s, k)) for k in range(s.size)])
    return np.asarray(np.linalg.det(u) * np.linalg.det(vt) * (u * others) @ vt)


def _second_minors(a: Array, live: Array) -> Array:
    """Second derivatives of the determinant: minors of two rows and two columns."""
    n = a.shape[0]
    count = live.size
    out = np.zeros((count, count))
    for j in range(count):
        p, q = divmod(int(live[j]), n)
        for k in range(j):
            r, s = divmod(int(live[k]), n)
            if p == r or q == s:
                continue
            rest = np.delete(np.delete(a, [p, r], axis=0), [q, s], axis=1)
            sign = (-1.0) ** (p + q + r + s) * (1.0 if (p < r) == (q < s) else -1.0)
            out[j, k] = out[k, j] = sign * (np.linalg.det(rest) if n > 2 else 1.0)
    return out


def _block_determinant(block: Any) -> Any:
    if block.shape[0] == 1:
        return block[0, 0]
    n = block.shape[0]
    live, ids, fixed = live_arguments(block)
    if not live.size:
        return float(np.linalg.det(fixed.reshape(n, n)))
    function = Dense(
        "numpy.linalg.det",
        lambda args: np.array([np.linalg.det(filled(fixed, live, args, n))]),
        lambda args: _cofactors(filled(fixed, live, args, n)).ravel()[live][None],
        live.size,
        1,
        lambda args, weights: weights[0] * _second_minors(filled(fixed, live, args, n), live),
    )
    return TracedScalar(block.builder, block.builder.call(function, ids).item())


@implements(np.linalg.det)
@stacked
def _det(a: Any) -> Any:
    a = square(a, "det")
    try:
        rows, blocks = _blocks(structure(ids_of(a.builder, a), a.builder))
    except np.linalg.LinAlgError:
        return traced(a.builder, np.array(a.builder.constant(0.0), dtype=np.int32))
    permuted = a[rows]
    return functools.reduce(
        np.multiply, [_block_determinant(permuted[np.ix_(block, block)]) for block in blocks], _parity(rows)
    )


def _log_determinant(block: Any) -> tuple[Any, Any]:
    if block.shape[0] == 1:
        return np.sign(block[0, 0]), np.log(np.absolute(block[0, 0]))
    n = block.shape[0]
    live, ids, fixed = live_arguments(block)

    def hessian(args: Array, weights: Array) -> Array:
        inverse = np.linalg.inv(filled(fixed, live, args, n))
        rows, cols = np.divmod(live, n)
        return np.asarray(-weights[1] * inverse[np.ix_(cols, rows)] * inverse[np.ix_(cols, rows)].T)

    def jacobian(args: Array) -> Array:
        gradient = np.linalg.inv(filled(fixed, live, args, n)).T.ravel()[live]
        return np.stack([np.zeros_like(gradient), gradient])

    pattern = np.zeros((2, live.size), dtype=bool)
    pattern[1] = True
    function = Dense(
        "numpy.linalg.slogdet",
        lambda args: np.array(np.linalg.slogdet(filled(fixed, live, args, n))),
        jacobian,
        live.size,
        2,
        hessian,
        pattern,
    )
    sign, log = block.builder.call(function, ids)
    return traced(block.builder, sign), traced(block.builder, log)


@implements(np.linalg.slogdet)
@stacked
def _slogdet(a: Any) -> Any:
    a = square(a, "slogdet")
    rows, blocks = _blocks(structure(ids_of(a.builder, a), a.builder))
    permuted = a[rows]
    parts = [_log_determinant(permuted[np.ix_(block, block)]) for block in blocks]
    sign = functools.reduce(np.multiply, [part[0] for part in parts], _parity(rows))
    result_type = type(np.linalg.slogdet(np.eye(1)))
    return result_type(sign, functools.reduce(np.add, [part[1] for part in parts]))


# -- inverse and solve --


def _solve_matrix(a: Any, b: Any) -> Any:
    """``inv(a) @ b`` for a traced or constant matrix and a traced or constant right-hand side, both 2-D."""
    builder = builder_of(a, b)
    a, b = as_traced(a, builder), as_traced(b, builder)
    n, width = b.shape
    live_a, ids_a, fixed_a = live_arguments(a)
    if not live_a.size:
        inverse = np.where(_inverse_structure(fixed_a.reshape(n, n) != 0.0), np.linalg.inv(fixed_a.reshape(n, n)), 0.0)
        return np.matmul(inverse, b)
    live_b, ids_b, fixed_b = live_arguments(b)
    reach = _inverse_structure(structure(ids_of(builder, a), builder))
    solution = reach @ structure(ids_of(builder, b), builder)
    pa, qa = np.divmod(live_a, n)
    pb, cb = np.divmod(live_b, width)
    rows, cols = np.nonzero(solution)
    same_column: Array = np.asarray(cols[:, None] == cb[None, :])

    def unpack(args: Array) -> tuple[Array, Array]:
        return filled(fixed_a, live_a, args[: live_a.size], n), filled(fixed_b, live_b, args[live_a.size :], width)

    def value(args: Array) -> Array:
        matrix, right = unpack(args)
        return np.asarray(np.linalg.solve(matrix, right)[rows, cols])

    def jacobian(args: Array) -> Array:
        matrix, right = unpack(args)
        inverse = np.linalg.inv(matrix)
        x = inverse @ right
        return np.concatenate(
            [-inverse[np.ix_(rows, pa)] * x[qa][:, cols].T, inverse[np.ix_(rows, pb)] * same_column],
            axis=1,
        )

    def hessian(args: Array, weights: Array) -> Array:
        matrix, right = unpack(args)
        inverse = np.linalg.inv(matrix)
        x = inverse @ right
        spread = np.zeros((n, width))
        spread[rows, cols] = weights
        adjoint = inverse.T @ spread
        # d2 sum(W * X) = 2 W . inv dA inv dA X - 2 W . inv dA inv dB
        coupled = adjoint @ x.T
        aa = inverse[np.ix_(qa, pa)] * coupled[np.ix_(pa, qa)]
        ab = -inverse[np.ix_(qa, pb)] * adjoint[np.ix_(pa, cb)]
        return np.block([[aa + aa.T, ab], [ab.T, np.zeros((pb.size, pb.size))]])

    coupled_columns: Array = np.asarray(solution[qa].any(axis=1))
    jacobian_pattern = np.concatenate(
        [reach[np.ix_(rows, pa)] & solution[qa][:, cols].T, reach[np.ix_(rows, pb)] & same_column],
        axis=1,
    )
    aa = reach[np.ix_(qa, pa)] & coupled_columns[None, :]
    ab = reach[np.ix_(qa, pb)]
    hessian_pattern = np.block([[aa | aa.T, ab], [ab.T, np.zeros((pb.size, pb.size), dtype=bool)]])
    function = Dense(
        "numpy.linalg.solve",
        value,
        jacobian,
        live_a.size + live_b.size,
        rows.size,
        hessian,
        jacobian_pattern,
        hessian_pattern,
    )
    out = np.full((n, width), builder.constant(0.0), dtype=np.int32)
    out[rows, cols] = builder.call(function, np.concatenate([ids_a, ids_b]))
    return traced(builder, out)


@implements(np.linalg.inv)
@stacked
def inv(a: Any) -> Any:
    """The inverse."""
    a = square(a, "inv")
    return _solve_matrix(a, np.eye(a.shape[0]))


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """The solution of linear systems."""
    a, b = (
        value if isinstance(value, TracedBase) or plain(value) is None else np.asarray(value, dtype=float)
        for value in (a, b)
    )
    if np.ndim(a) > 2:
        return np.stack(
            [
                solve(matrix, b if np.ndim(b) <= 1 else right)
                for matrix, right in zip(a, b if np.ndim(b) > 1 else [b] * len(a), strict=True)
            ]
        )
    if np.shape(a)[0] != np.shape(a)[1] or np.shape(a)[0] != np.shape(b)[0]:
        raise np.linalg.LinAlgError(f"solve: shapes {np.shape(a)} and {np.shape(b)} do not fit\n  at {where()}")
    if np.ndim(b) == 1:
        return _solve_matrix(a, np.reshape(b, (-1, 1)))[:, 0]
    return _solve_matrix(a, b)
