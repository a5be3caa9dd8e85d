"""Cholesky factors, eigenvalues, singular values and least squares.

`cholesky` is traced operation by operation; second derivatives of eigenvalues of symmetric matrices are exact, those of
eigenvectors, singular values and pseudoinverses are differences of exact first ones (`sct_opt.tracing.blackbox`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.tape import Array
from sct_opt.tracing.array import traced
from sct_opt.tracing.base import implements
from sct_opt.tracing.blackbox import Dense, live_arguments
from sct_opt.tracing.functions.algebra import plain
from sct_opt.tracing.functions.inverse import filled, square, stacked
from sct_opt.tracing.location import unsupported
from sct_opt.tracing.ufuncs import as_traced


@implements(np.linalg.cholesky)
@stacked
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """The Cholesky factor, column by column."""
    a = square(a, "cholesky")
    if upper:
        return cholesky(a.T).T
    n = a.shape[0]
    factor = np.zeros_like(a)
    for j in range(n):
        column = a[j:, j]
        if j:
            column = column - np.matmul(factor[j:, :j], factor[j, :j])
        pivot = np.sqrt(column[0])
        factor[j, j] = pivot
        factor[j + 1 :, j] = column[1:] / pivot
    return factor


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """The QR factorisation by Householder reflections, with LAPACK's signs (Golub and Van Loan, algorithm 5.2.1)."""
    if mode not in ("reduced", "complete", "r"):
        raise unsupported(f"numpy.linalg.qr with mode={mode!r}")
    a = as_traced(a)
    if a.ndim != 2:
        raise unsupported("numpy.linalg.qr of a stack of matrices", "loop over the matrices")
    m, n = a.shape
    r, q = a.copy(), np.zeros_like(a, shape=(m, m))
    np.fill_diagonal(q, 1.0)
    # a single last entry is left as it is
    for k in range(min(m - 1, n)):
        column = r[k:, k]
        pivot = -np.copysign(np.sqrt(np.sum(np.square(column))), column[0])
        v = column.copy()
        v[0] = v[0] - pivot
        scaled = v * (2.0 / np.sum(np.square(v)))
        r[k:, k:] = r[k:, k:] - np.outer(scaled, np.matmul(v, r[k:, k:]))
        q[:, k:] = q[:, k:] - np.outer(np.matmul(q[:, k:], v), scaled)
        r[k, k] = pivot
        r[k + 1 :, k] = 0.0
    size = m if mode == "complete" else min(m, n)
    upper = np.triu(r[:size])
    return upper if mode == "r" else type(np.linalg.qr(np.eye(1)))(q[:, :size], upper)


def _spectral(
    a: Any,
    name: str,
    value: Callable[[Array], Array],
    gradients: Callable[[Array], Array],
    count: int,
    hessian: Callable[[Array, Array], Array] | None = None,
) -> Any:
    """Numbers of one matrix that depend on all its entries: ``gradients`` gives their derivatives, ``(count, m, n)``."""
    live, ids, fixed = live_arguments(a)
    n = a.shape[1]
    function = Dense(
        name,
        lambda args: value(filled(fixed, live, args, n)),
        lambda args: gradients(filled(fixed, live, args, n)).reshape(count, -1)[:, live],
        live.size,
        count,
        None
        if hessian is None
        else lambda args, weights: hessian(filled(fixed, live, args, n), weights)[np.ix_(live, live)],
    )
    return traced(a.builder, a.builder.call(function, ids))


@implements(np.linalg.svdvals)
@stacked
def singular_values(a: Any) -> Any:
    """Singular values, in descending order."""

    def gradients(matrix: Array) -> Array:
        u, _, vt = np.linalg.svd(matrix, full_matrices=False)
        return np.asarray(np.einsum("ik,kj->kij", u, vt))

    return _spectral(a, "numpy.linalg.svdvals", lambda m: np.linalg.svd(m, compute_uv=False), gradients, min(a.shape))


@implements(np.linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    if compute_uv:
        raise unsupported(
            "numpy.linalg.svd with compute_uv=True",
            "singular vectors are defined up to sign only; use compute_uv=False, or eigh",
        )
    return singular_values(a)


def _lower(matrix: Array, uplo: str) -> Array:
    """The symmetric matrix that LAPACK reads from one triangle."""
    half = np.tril(matrix) if uplo == "L" else np.triu(matrix).T
    return np.asarray(half + np.tril(half, -1).T)


def _onto_triangle(symmetric: Array, uplo: str) -> Array:
    """The derivative in the entries of that triangle from the one in a symmetric matrix's entries."""
    doubled = symmetric + np.swapaxes(symmetric, -1, -2)
    n = symmetric.shape[-1]
    strict = np.tril(doubled, -1) if uplo == "L" else np.triu(doubled, 1)
    return np.asarray(strict + symmetric * np.eye(n))


@implements(np.linalg.eigvalsh)
@stacked
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of a symmetric matrix, of which one triangle is read."""
    a = square(a, "eigvalsh")
    n = a.shape[0]

    def gradients(matrix: Array) -> Array:
        _, vectors = np.linalg.eigh(_lower(matrix, UPLO))
        return _onto_triangle(np.einsum("ik,jk->kij", vectors, vectors), UPLO)

    def hessian(matrix: Array, weights: Array) -> Array:
        values, vectors = np.linalg.eigh(_lower(matrix, UPLO))
        out = np.zeros((n * n, n * n))
        for i in range(n):
            for j in range(i):
                # d2 lambda_i = 2 sum_j (v_i . dA v_j)^2 / (lambda_i - lambda_j)
                factor = 2.0 * (weights[i] - weights[j]) / (values[i] - values[j])
                form = _onto_triangle(
                    0.5 * (np.outer(vectors[:, i], vectors[:, j]) + np.outer(vectors[:, j], vectors[:, i])), UPLO
                ).ravel()
                out += factor * np.outer(form, form)
        return out

    triangle = np.where(np.tri(n, dtype=bool) if UPLO == "L" else np.tri(n, dtype=bool).T, a, 0.0)
    return _spectral(
        triangle, "numpy.linalg.eigvalsh", lambda m: np.linalg.eigvalsh(_lower(m, UPLO)), gradients, n, hessian
    )


@implements(np.linalg.eigh)
@stacked
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues and eigenvectors of a symmetric matrix, for simple eigenvalues."""
    a = square(a, "eigh")
    n = a.shape[0]

    def value(matrix: Array) -> Array:
        values, vectors = np.linalg.eigh(_lower(matrix, UPLO))
        return np.concatenate([values, vectors.ravel()])

    def gradients(matrix: Array) -> Array:
        values, vectors = np.linalg.eigh(_lower(matrix, UPLO))
        of_values = np.einsum("ik,jk->kij", vectors, vectors)
        with np.errstate(divide="ignore"):
            gaps = 1.0 / (values[None, :] - values[:, None])
        np.fill_diagonal(gaps, 0.0)
        # dv_k = sum_l v_l (v_l . dA v_k) / (lambda_k - lambda_l)
        of_vectors = np.einsum("al,lk,il,jk->akij", vectors, gaps, vectors, vectors)
        return _onto_triangle(np.concatenate([of_values, of_vectors.reshape(n * n, n, n)]), UPLO)

    triangle = np.where(np.tri(n, dtype=bool) if UPLO == "L" else np.tri(n, dtype=bool).T, a, 0.0)
    both = _spectral(triangle, "numpy.linalg.eigh", value, gradients, n + n * n)
    return type(np.linalg.eigh(np.eye(1)))(both[:n], np.reshape(both[n:], (n, n)))


@implements(np.linalg.pinv)
@stacked
def pinv(a: Any, *args: Any, **kwargs: Any) -> Any:
    """The pseudoinverse, where the rank does not change."""
    m, n = a.shape

    def gradients(matrix: Array) -> Array:
        p = np.linalg.pinv(matrix)
        left, right = np.eye(n) - p @ matrix, np.eye(m) - matrix @ p
        # Golub and Pereyra 1973, constant rank
        return np.asarray(
            -np.einsum("ri,js->rsij", p, p)
            + np.einsum("rj,is->rsij", p @ p.T, right)
            + np.einsum("rj,is->rsij", left, p.T @ p)
        ).reshape(n * m, m, n)

    return np.reshape(_spectral(a, "numpy.linalg.pinv", lambda x: np.linalg.pinv(x).ravel(), gradients, n * m), (n, m))


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """Least squares by the pseudoinverse."""
    matrix = plain(a)
    solution = np.matmul(np.linalg.pinv(a if matrix is None else matrix), b)
    m, n = np.shape(a)
    residuals = np.sum(np.square(np.subtract(b, np.matmul(a, solution))), axis=0)
    values = singular_values(as_traced(a)) if matrix is None else np.linalg.svd(matrix, compute_uv=False)
    return solution, np.atleast_1d(residuals) if m > n else np.zeros(0), min(m, n), values


@implements(np.linalg.eigvals)
@stacked
def _eigvals(a: Any) -> Any:
    a = square(a, "eigvals")
    n = a.shape[0]

    def sorted_system(matrix: Array) -> tuple[Array, Array, Array]:
        values, right = np.linalg.eig(matrix)
        if np.iscomplexobj(values) and np.abs(values.imag).max() > 0.0:
            return np.full(n, np.nan), np.eye(n), np.eye(n)
        return values.real, right.real, np.linalg.inv(right.real)

    return _spectral(
        a,
        "numpy.linalg.eigvals",
        lambda matrix: sorted_system(matrix)[0],
        lambda matrix: (lambda system: np.einsum("ki,jk->kij", system[2], system[1]))(sorted_system(matrix)),
        n,
    )
