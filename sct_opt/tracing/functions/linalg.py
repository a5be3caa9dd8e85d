"""Linear algebra: norms by their formulas, factorisations and solves as functions evaluated by LAPACK.

Constant zeros of a matrix count: what the inverse, the exponential or the determinant of a triangular, diagonal or
block matrix does not couple stays apart in the patterns.  First and second derivatives of det, slogdet, inv, solve and
eigvalsh are exact; second derivatives of expm, pinv and singular values are differences of exact first ones
(`sct_opt.tracing.blackbox`); cholesky is traced operation by operation.

Formulas: M. B. Giles, Collected matrix derivative results for forward and reverse mode algorithmic differentiation, 2008.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.tape import Array
from sct_opt.tracing.array import Traced, traced
from sct_opt.tracing.base import TracedBase, builder_of, ids_of, implements
from sct_opt.tracing.blackbox import Dense, live_arguments
from sct_opt.tracing.functions.algebra import plain
from sct_opt.tracing.location import unsupported, where
from sct_opt.tracing.scipy_functions import replaces
from sct_opt.tracing.ufuncs import as_traced

# -- norms -----------------------------------------------------------------------------------------------------------


@implements(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = as_traced(x)
    if axis is None:
        if ord is None or x.ndim == 1:
            result = _vector_norm(np.ravel(x), ord, -1, False)
            return np.reshape(result, (1,) * x.ndim) if keepdims else result
        axis = tuple(range(x.ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    if ord in (None, "fro"):
        return np.sqrt(np.sum(np.square(x), axis=axes, keepdims=keepdims))
    row, col = (k % x.ndim for k in axes)
    if ord in (1, -1, np.inf, -np.inf):
        summed, chosen = (row, col) if abs(ord) == 1 else (col, row)
        sums = np.sum(np.absolute(x), axis=summed, keepdims=True)
        result = (np.max if ord > 0 else np.min)(sums, axis=chosen, keepdims=True)
    elif ord in (2, -2, "nuc"):
        values = _singular_values(np.moveaxis(x, (row, col), (-2, -1)))
        reduce = {2: np.max, -2: np.min, "nuc": np.sum}[ord]
        result = np.expand_dims(reduce(values, axis=-1), (row, col))
    else:
        raise ValueError("Invalid norm order for matrices.")
    return result if keepdims else np.squeeze(result, axis=(row, col))


def _vector_norm(x: Any, order: Any, axis: int, keepdims: bool) -> Any:
    if order is None or order == 2:
        return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))
    if order in (np.inf, -np.inf):
        return (np.max if order > 0 else np.min)(np.absolute(x), axis=axis, keepdims=keepdims)
    if order == 0:
        return np.sum(np.where(np.not_equal(x, 0.0), 1.0, 0.0), axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(np.absolute(x), axis=axis, keepdims=keepdims)
    return np.power(np.sum(np.power(np.absolute(x), order), axis=axis, keepdims=keepdims), 1.0 / order)


@implements(np.linalg.vector_norm)
def _array_api_vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    return _norm(np.ravel(x) if axis is None else x, ord, axis, keepdims)


@implements(np.linalg.matrix_norm)
def _matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return _norm(x, ord, (-2, -1), keepdims)


# -- structure -------------------------------------------------------------------------------------------------------


def _structure(ids: Array, builder: Any) -> Array:
    """Which entries of a matrix are not constant zeros."""
    nonzero = ids >= 0
    known = ~nonzero
    nonzero[known] = builder.constant_value(ids[known]) != 0.0
    return nonzero


def _closure(graph: Array) -> Array:
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
    inverse[:, rows] = _closure(nonzero[rows])
    return inverse


def _square(a: Any, name: str) -> Any:
    a = as_traced(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"{name} needs square matrices, not shape {a.shape}\n  at {where()}")
    return a


def _stacked(function: Callable[..., Any]) -> Callable[..., Any]:
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


def _filled(fixed: Array, live: Array, args: Array, n: int) -> Array:
    values = fixed.copy()
    values[live] = args
    return values.reshape(-1, n)


# -- determinants ----------------------------------------------------------------------------------------------------


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
        lambda args: np.array([np.linalg.det(_filled(fixed, live, args, n))]),
        lambda args: _cofactors(_filled(fixed, live, args, n)).ravel()[live][None],
        live.size,
        1,
        lambda args, weights: weights[0] * _second_minors(_filled(fixed, live, args, n), live),
    )
    return traced(block.builder, block.builder.call(function, ids))[0]


@implements(np.linalg.det)
@_stacked
def _det(a: Any) -> Any:
    a = _square(a, "det")
    try:
        rows, blocks = _blocks(_structure(ids_of(a.builder, a), a.builder))
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
        inverse = np.linalg.inv(_filled(fixed, live, args, n))
        rows, cols = np.divmod(live, n)
        return np.asarray(-weights[1] * inverse[np.ix_(cols, rows)] * inverse[np.ix_(cols, rows)].T)

    def jacobian(args: Array) -> Array:
        gradient = np.linalg.inv(_filled(fixed, live, args, n)).T.ravel()[live]
        return np.stack([np.zeros_like(gradient), gradient])

    pattern = np.zeros((2, live.size), dtype=bool)
    pattern[1] = True
    function = Dense(
        "numpy.linalg.slogdet",
        lambda args: np.array(np.linalg.slogdet(_filled(fixed, live, args, n))),
        jacobian,
        live.size,
        2,
        hessian,
        pattern,
    )
    sign, log = block.builder.call(function, ids)
    return traced(block.builder, sign), traced(block.builder, log)


@implements(np.linalg.slogdet)
@_stacked
def _slogdet(a: Any) -> Any:
    a = _square(a, "slogdet")
    rows, blocks = _blocks(_structure(ids_of(a.builder, a), a.builder))
    permuted = a[rows]
    parts = [_log_determinant(permuted[np.ix_(block, block)]) for block in blocks]
    sign = functools.reduce(np.multiply, [part[0] for part in parts], _parity(rows))
    result_type = type(np.linalg.slogdet(np.eye(1)))
    return result_type(sign, functools.reduce(np.add, [part[1] for part in parts]))


# -- inverse and solve -----------------------------------------------------------------------------------------------


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
    reach = _inverse_structure(_structure(ids_of(builder, a), builder))
    solution = reach @ _structure(ids_of(builder, b), builder)
    pa, qa = np.divmod(live_a, n)
    pb, cb = np.divmod(live_b, width)
    rows, cols = np.nonzero(solution)

    def unpack(args: Array) -> tuple[Array, Array]:
        return _filled(fixed_a, live_a, args[: live_a.size], n), _filled(fixed_b, live_b, args[live_a.size :], width)

    def value(args: Array) -> Array:
        matrix, right = unpack(args)
        return np.asarray(np.linalg.solve(matrix, right)[rows, cols])

    def jacobian(args: Array) -> Array:
        matrix, right = unpack(args)
        inverse = np.linalg.inv(matrix)
        x = inverse @ right
        return np.concatenate(
            [-inverse[np.ix_(rows, pa)] * x[qa][:, cols].T, inverse[np.ix_(rows, pb)] * (cb[None, :] == cols[:, None])],
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

    jacobian_pattern = np.concatenate(
        [reach[np.ix_(rows, pa)] & solution[qa][:, cols].T, reach[np.ix_(rows, pb)] & (cb[None, :] == cols[:, None])],
        axis=1,
    )
    aa = reach[np.ix_(qa, pa)] & solution[qa].any(axis=1)[None, :]
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
@_stacked
def _inv(a: Any) -> Any:
    a = _square(a, "inv")
    return _solve_matrix(a, np.eye(a.shape[0]))


@implements(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    a, b = (
        value if isinstance(value, TracedBase) or plain(value) is None else np.asarray(value, dtype=float)
        for value in (a, b)
    )
    if np.ndim(a) > 2:
        return np.stack(
            [
                _solve(matrix, b if np.ndim(b) <= 1 else right)
                for matrix, right in zip(a, b if np.ndim(b) > 1 else [b] * len(a), strict=True)
            ]
        )
    if np.shape(a)[0] != np.shape(a)[1] or np.shape(a)[0] != np.shape(b)[0]:
        raise np.linalg.LinAlgError(f"solve: shapes {np.shape(a)} and {np.shape(b)} do not fit\n  at {where()}")
    if np.ndim(b) == 1:
        return _solve_matrix(a, np.reshape(b, (-1, 1)))[:, 0]
    return _solve_matrix(a, b)


@implements(np.linalg.matrix_power)
def _matrix_power(a: Any, n: Any) -> Any:
    a = _square(a, "matrix_power")
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1]), a.shape).copy()
    base = np.linalg.inv(a) if n < 0 else a
    result, n = None, abs(int(n))
    while n:
        if n & 1:
            result = base if result is None else np.matmul(result, base)
        n >>= 1
        base = np.matmul(base, base) if n else base
    return result


@implements(np.linalg.multi_dot)
def _multi_dot(arrays: Any, out: Any = None) -> Any:
    return functools.reduce(np.dot, arrays)


@implements(np.linalg.cond)
def _cond(x: Any, p: Any = None) -> Any:
    if p in (None, 2, -2):
        values = _singular_values(as_traced(x))
        largest, smallest = np.max(values, axis=-1), np.min(values, axis=-1)
        return smallest / largest if p == -2 else largest / smallest
    return _norm(x, p, (-2, -1)) * _norm(np.linalg.inv(x), p, (-2, -1))


# -- factorisations --------------------------------------------------------------------------------------------------


@implements(np.linalg.cholesky)
@_stacked
def _cholesky(a: Any, /, *, upper: bool = False) -> Any:
    a = _square(a, "cholesky")
    if upper:
        return _cholesky(a.T).T
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
        lambda args: value(_filled(fixed, live, args, n)),
        lambda args: gradients(_filled(fixed, live, args, n)).reshape(count, -1)[:, live],
        live.size,
        count,
        None
        if hessian is None
        else lambda args, weights: hessian(_filled(fixed, live, args, n), weights)[np.ix_(live, live)],
    )
    return traced(a.builder, a.builder.call(function, ids))


@implements(np.linalg.svdvals)
@_stacked
def _singular_values(a: Any) -> Any:
    def gradients(matrix: Array) -> Array:
        u, _, vt = np.linalg.svd(matrix, full_matrices=False)
        return np.einsum("ik,kj->kij", u, vt)

    return _spectral(a, "numpy.linalg.svdvals", lambda m: np.linalg.svd(m, compute_uv=False), gradients, min(a.shape))


@implements(np.linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    if compute_uv:
        raise unsupported(
            "numpy.linalg.svd with compute_uv=True",
            "singular vectors are defined up to sign only; use compute_uv=False, or eigh",
        )
    return _singular_values(a)


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
@_stacked
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:
    a = _square(a, "eigvalsh")
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
@_stacked
def _eigh(a: Any, UPLO: str = "L") -> Any:
    a = _square(a, "eigh")
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
@_stacked
def _pinv(a: Any, *args: Any, **kwargs: Any) -> Any:
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
def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    matrix = plain(a)
    solution = np.matmul(np.linalg.pinv(a if matrix is None else matrix), b)
    m, n = np.shape(a)
    residuals = np.sum(np.square(np.subtract(b, np.matmul(a, solution))), axis=0)
    values = _singular_values(as_traced(a)) if matrix is None else np.linalg.svd(matrix, compute_uv=False)
    return solution, np.atleast_1d(residuals) if m > n else np.zeros(0), min(m, n), values


@implements(np.linalg.eigvals)
@_stacked
def _eigvals(a: Any) -> Any:
    a = _square(a, "eigvals")
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


for _name in ("eig", "qr", "matrix_rank", "tensorinv", "tensorsolve"):

    def _refuse(*args: Any, _name: str = _name, **kwargs: Any) -> Any:
        raise unsupported(
            f"numpy.linalg.{_name}",
            "use solve, inv, eigvalsh, eigh, svdvals or cholesky, or wrap the function with so.custom_op",
        )

    implements(getattr(np.linalg, _name))(_refuse)


@implements(np.linalg.matrix_transpose)
def _matrix_transpose(a: Any, /) -> Any:
    return np.swapaxes(a, -1, -2)


for _name in ("diagonal", "trace", "outer", "cross", "matmul", "tensordot", "vecdot"):

    def _same(*args: Any, _name: str = _name, **kwargs: Any) -> Any:
        if _name in ("diagonal", "trace"):
            kwargs = {"axis1": -2, "axis2": -1, **kwargs}
        return getattr(np, _name)(*args, **kwargs)

    implements(getattr(np.linalg, _name))(_same)


# -- scipy.linalg ----------------------------------------------------------------------------------------------------


@replaces("scipy.linalg", "det")
def _scipy_det(a: Any, *args: Any, **kwargs: Any) -> Any:
    return np.linalg.det(a)


@replaces("scipy.linalg", "inv")
def _scipy_inv(a: Any, *args: Any, **kwargs: Any) -> Any:
    return _inv(a)


@replaces("scipy.linalg", "norm")
def _scipy_norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> Any:
    return _norm(a, ord, axis, keepdims)


@replaces("scipy.linalg", "solve")
def _scipy_solve(
    a: Any, b: Any, lower: bool = False, *args: Any, assume_a: Any = None, transposed: bool = False, **kwargs: Any
) -> Any:
    if assume_a in ("pos", "sym", "her", "symmetric", "hermitian", "positive definite"):
        a = _symmetrised(a, lower)
    return _solve(np.transpose(a) if transposed else a, b)


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
    return _solve(triangle.T if trans in (1, "T", 2, "C") else triangle, b)


@replaces("scipy.linalg", "cholesky")
def _scipy_cholesky(a: Any, lower: bool = False, *args: Any, **kwargs: Any) -> Any:
    return _cholesky(a) if lower else _cholesky(np.transpose(a)).T


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
    return _eigvalsh(a, "L" if lower else "U")


@replaces("scipy.linalg", "eigh")
def _scipy_eigh(a: Any, b: Any = None, *, lower: bool = True, eigvals_only: bool = False, **kwargs: Any) -> Any:
    if eigvals_only:
        return _scipy_eigvalsh(a, b, lower)
    if b is not None:
        raise unsupported("scipy.linalg.eigh of a pencil", "reduce it to a standard problem with cholesky")
    return tuple(_eigh(a, "L" if lower else "U"))


@replaces("scipy.linalg", "svdvals")
def _scipy_svdvals(a: Any, *args: Any, **kwargs: Any) -> Any:
    return _singular_values(a)


@replaces("scipy.linalg", "pinv")
def _scipy_pinv(a: Any, *args: Any, **kwargs: Any) -> Any:
    return _pinv(a)


@replaces("scipy.linalg", "lstsq")
def _scipy_lstsq(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
    return _lstsq(a, b)


@replaces("scipy.linalg", "expm")
@_stacked
def _expm(a: Any) -> Any:
    import scipy.linalg  # noqa: PLC0415 - loaded, the user calls it

    from sct_opt.tracing.idioms import untraced  # noqa: PLC0415 - idioms imports the stand-ins

    a = _square(a, "expm")
    n = a.shape[0]
    expm = untraced(scipy.linalg, "expm")
    reach = _closure(_structure(ids_of(a.builder, a), a.builder))
    rows, cols = np.nonzero(reach)
    live, ids, fixed = live_arguments(a)
    p, q = np.divmod(live, n)

    def jacobian(args: Array) -> Array:
        matrix = _filled(fixed, live, args, n)
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
        lambda args: expm(_filled(fixed, live, args, n))[rows, cols],
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
    parts = [np.atleast_2d(as_traced(part, builder)) for part in arrays]
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

        from sct_opt.tracing.idioms import untraced  # noqa: PLC0415

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
    return _solve(a.toarray(), b)
