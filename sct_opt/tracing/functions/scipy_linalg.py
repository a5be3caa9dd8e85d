"""``scipy.linalg``: the same functions under other names, the matrix exponential, matrices made of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.tape import Array
from sct_opt.tracing.array import Traced, traced
from sct_opt.tracing.base import builder_of, ids_of
from sct_opt.tracing.blackbox import Dense, live_arguments
from sct_opt.tracing.functions.factorisation import cholesky, eigh, eigvalsh, lstsq, pinv, qr, singular_values
from sct_opt.tracing.functions.inverse import closure, filled, inv, solve, square, stacked, structure
from sct_opt.tracing.functions.linalg import norm
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.stand_ins import replaces, untraced
from sct_opt.tracing.ufuncs import as_traced


@replaces("scipy.linalg", "det")
def _scipy_det(a: Any, *args: Any, **kwargs: Any) -> Any:
    return np.linalg.det(a)


@replaces("scipy.linalg", "inv")
def _scipy_inv(a: Any, *args: Any, **kwargs: Any) -> Any:
    return inv(a)


@replaces("scipy.linalg", "norm")
def _scipy_norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> Any:
    return norm(a, ord, axis, keepdims)


@replaces("scipy.linalg", "solve")
def _scipy_solve(
    a: Any, b: Any, lower: bool = False, *args: Any, assume_a: Any = None, transposed: bool = False, **kwargs: Any
) -> Any:
    if assume_a in ("pos", "sym", "her", "symmetric", "hermitian", "positive definite"):
        a = _symmetrised(a, lower)
    return solve(np.transpose(a) if transposed else a, b)


def _symmetrised(a: Any, lower: bool) -> Any:
    half = np.tril(a) if lower else np.transpose(np.triu(a))
    return half + np.transpose(np.tril(half, -1))


@replaces("scipy.linalg", "solve_triangular")
def _solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, *args: Any, **kwargs: Any
) -> Any:
    a = as_traced(a, builder_of(a, b))
    triangle = np.tril(a) if lower else np.triu(a)
    if unit_diagonal:
        triangle = triangle.copy()
        np.fill_diagonal(triangle, 1.0)
    return solve(triangle.T if trans in (1, "T", 2, "C") else triangle, b)


@replaces("scipy.linalg", "cholesky")
def _scipy_cholesky(a: Any, lower: bool = False, *args: Any, **kwargs: Any) -> Any:
    return cholesky(a) if lower else cholesky(np.transpose(a)).T


@replaces("scipy.linalg", "cho_factor")
def _cho_factor(a: Any, lower: bool = False, *args: Any, **kwargs: Any) -> Any:
    return _scipy_cholesky(a, lower), lower


@replaces("scipy.linalg", "cho_solve")
def _cho_solve(factor: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
    triangle, lower = factor
    triangle = triangle if lower else np.transpose(triangle)
    return _solve_triangular(np.transpose(triangle), _solve_triangular(triangle, b, lower=True), lower=False)


@replaces("scipy.linalg", "eigvalsh")
def _scipy_eigvalsh(a: Any, b: Any = None, lower: bool = True, **kwargs: Any) -> Any:
    if b is not None:
        raise unsupported("scipy.linalg.eigvalsh of a pencil", "reduce it to a standard problem with cholesky")
    return eigvalsh(a, "L" if lower else "U")


@replaces("scipy.linalg", "eigh")
def _scipy_eigh(a: Any, b: Any = None, *, lower: bool = True, eigvals_only: bool = False, **kwargs: Any) -> Any:
    if eigvals_only:
        return _scipy_eigvalsh(a, b, lower)
    if b is not None:
        raise unsupported("scipy.linalg.eigh of a pencil", "reduce it to a standard problem with cholesky")
    return tuple(eigh(a, "L" if lower else "U"))


@replaces("scipy.linalg", "qr")
def _scipy_qr(
    a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", pivoting: bool = False, *args: Any
) -> Any:
    if pivoting:
        raise unsupported("scipy.linalg.qr with pivoting=True")
    return qr(a, {"full": "complete", "economic": "reduced"}.get(mode, mode))


@replaces("scipy.linalg", "svdvals")
def _scipy_svdvals(a: Any, *args: Any, **kwargs: Any) -> Any:
    return singular_values(a)


@replaces("scipy.linalg", "pinv")
def _scipy_pinv(a: Any, *args: Any, **kwargs: Any) -> Any:
    return pinv(a)


@replaces("scipy.linalg", "lstsq")
def _scipy_lstsq(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
    return lstsq(a, b)


@replaces("scipy.linalg", "expm")
@stacked
def _expm(a: Any) -> Any:
    import scipy.linalg  # noqa: PLC0415 - loaded, the user calls it

    a = square(a, "expm")
    n = a.shape[0]
    expm = untraced(scipy.linalg, "expm")
    reach = closure(structure(ids_of(a.builder, a), a.builder))
    rows, cols = np.nonzero(reach)
    live, ids, fixed = live_arguments(a)
    p, q = np.divmod(live, n)

    def jacobian(args: Array) -> Array:
        matrix = filled(fixed, live, args, n)
        out = np.zeros((rows.size, live.size))
        for k in range(live.size):
            # the derivative in a direction is the upper right block of the exponential of [[A, E], [0, A]]
            double = np.zeros((2 * n, 2 * n))
            double[:n, :n] = double[n:, n:] = matrix
            double[p[k], n + q[k]] = 1.0
            out[:, k] = expm(double)[:n, n:][rows, cols]
        return out

    jacobian_pattern = reach[np.ix_(rows, p)] & reach[np.ix_(q, cols)].T
    coupled = reach[np.ix_(q, p)]
    function = Dense(
        "scipy.linalg.expm",
        lambda args: expm(filled(fixed, live, args, n))[rows, cols],
        jacobian,
        live.size,
        rows.size,
        None,
        jacobian_pattern,
        coupled | coupled.T,
    )
    out = np.full((n, n), a.builder.constant(0.0), dtype=np.int32)
    out[rows, cols] = a.builder.call(function, ids)
    return Traced(a.builder, out)


@replaces("scipy.linalg", "block_diag")
def _block_diag(*arrays: Any) -> Any:
    builder = builder_of(*arrays)
    parts: list[Any] = [np.atleast_2d(as_traced(part, builder)) for part in arrays]
    out = np.full(
        (sum(p.shape[0] for p in parts), sum(p.shape[1] for p in parts)), builder.constant(0.0), dtype=np.int32
    )
    row = col = 0
    for part in parts:
        out[row : row + part.shape[0], col : col + part.shape[1]] = part.ids
        row, col = row + part.shape[0], col + part.shape[1]
    return Traced(builder, out)


def _structured(name: str) -> None:
    """Matrices made of the entries of vectors: the same function on the node ids."""

    @replaces("scipy.linalg", name)
    def apply(*vectors: Any) -> Any:
        import scipy.linalg  # noqa: PLC0415

        builder = builder_of(*vectors)
        ids = [ids_of(builder, vector) for vector in vectors]
        if name == "hankel" and len(ids) == 1:
            # hankel fills up with zeros
            ids.append(np.full(ids[0].shape, builder.constant(0.0), dtype=np.int32))
        return traced(builder, np.asarray(untraced(scipy.linalg, name)(*ids), dtype=np.int32))


for _name in ("toeplitz", "circulant", "hankel"):
    _structured(_name)


@replaces("scipy.sparse.linalg", "spsolve")
def _spsolve(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
    """A constant sparse matrix: the solution is linear in b."""
    return solve(a.toarray(), b)
