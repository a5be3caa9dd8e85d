"""Products of arrays: dot, matmul, einsum and their like, with constant (dense or sparse) and traced factors.

A product with a constant matrix is one affine node per entry of the result; its zeros cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.ops import OPCODE
from sct_opt.tape import Array, TapeBuilder
from sct_opt.tracing.array import Traced, traced
from sct_opt.tracing.base import (
    ComplexOperandError,
    TracedBase,
    builder_of,
    constants_only,
    ids_of,
    implements,
    node_ids,
)
from sct_opt.tracing.location import unsupported, where
from sct_opt.tracing.stand_ins import replaces, untraced
from sct_opt.tracing.ufuncs import as_traced, assign, special, weighted_sum

_MUL = OPCODE["mul"]


def plain(value: Any) -> Any:
    """A constant operand as an array of numbers, None if it depends on anything."""
    if isinstance(value, TracedBase):
        ids = node_ids(value)
        return value.builder.constant_value(ids) if ids.size == 0 or ids.max() < 0 else None
    array = np.asarray(value)
    if array.dtype == object:
        if any(isinstance(item, TracedBase) and node_ids(item).max(initial=-1) >= 0 for item in array.flat):
            return None
        try:
            return array.astype(float)
        except TypeError:
            return None
    if array.dtype.kind == "c" and array.imag.any():
        raise ComplexOperandError(
            f"complex numbers stand where real ones are needed\n  at {where()}\n  mend: take real and imaginary parts"
        )
    return (array.real if array.dtype.kind == "c" else array).astype(float, copy=False)


def rows_times(builder: TapeBuilder, indptr: Array, indices: Array, data: Array, ids: Array) -> Array:
    """Affine nodes of a CSR matrix times the ids ``(k, n)``, shape ``(m, n)``."""
    count = ids.shape[1]
    lengths = np.diff(indptr)
    out = builder.affine(
        np.tile(lengths, count), ids[indices].T.ravel(), np.tile(data, count), np.zeros(lengths.size * count)
    )
    return out.reshape(count, lengths.size).T


def _dense_times(builder: TapeBuilder, matrix: Array, ids: Array) -> Array:
    if builder.policy == "exact":
        rows, cols = np.nonzero(matrix)
        data = matrix[rows, cols]
    else:
        rows, cols = (index.ravel() for index in np.indices(matrix.shape))
        data = matrix.ravel()
    indptr = np.zeros(matrix.shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=matrix.shape[0]), out=indptr[1:])
    return rows_times(builder, indptr, cols, data, ids)


def _matrix_product(builder: TapeBuilder, a: Any, b: Any) -> Array:
    """Ids of the product of two matrices, stacks of matrices allowed; a constant factor comes as numbers."""
    a_plain, b_plain = plain(a), plain(b)
    if a_plain is not None and a_plain.ndim == 2:
        ids = ids_of(builder, b)
        if ids.ndim == 2:
            return _dense_times(builder, a_plain, ids)
    if b_plain is not None and b_plain.ndim == 2:
        ids = ids_of(builder, a)
        flat = ids.reshape(-1, ids.shape[-1])
        return _dense_times(builder, b_plain.T, flat.T).T.reshape(*ids.shape[:-1], b_plain.shape[1])
    if a_plain is not None:
        return weighted_sum(builder, np.swapaxes(ids_of(builder, b), -1, -2)[..., None, :, :], a_plain[..., :, None, :])
    if b_plain is not None:
        return weighted_sum(builder, ids_of(builder, a)[..., :, None, :], np.swapaxes(b_plain, -1, -2)[..., None, :, :])
    return product_sum(
        builder, ids_of(builder, a)[..., :, None, :], np.swapaxes(ids_of(builder, b), -1, -2)[..., None, :, :]
    )


def product_sum(builder: TapeBuilder, a: Array, b: Array) -> Array:
    """Sum over the last axis of the products of two broadcast arrays of ids."""
    return weighted_sum(builder, builder.binary(_MUL, a, b))


def _check(a: tuple[int, ...], b: tuple[int, ...], inner: tuple[int, int]) -> None:
    if inner[0] != inner[1]:
        raise ValueError(
            f"shapes {a} and {b} do not fit for a matrix product: {inner[0]} is not {inner[1]}\n  at {where()}"
        )


@special("matmul")
def matmul(a: Any, b: Any) -> Any:
    """``a @ b``."""
    if _is_sparse(a) or _is_sparse(b):
        return sparse_matmul(a, b)
    shape_a, shape_b = np.shape(a), np.shape(b)
    if not shape_a or not shape_b:
        raise ValueError(f"matmul: a scalar operand is not allowed, use * instead\n  at {where()}")
    _check(shape_a, shape_b, (shape_a[-1], shape_b[-2] if len(shape_b) > 1 else shape_b[0]))
    builder = builder_of(a, b)
    left = np.reshape(_operand(a), (1, -1)) if len(shape_a) == 1 else _operand(a)
    right = np.reshape(_operand(b), (-1, 1)) if len(shape_b) == 1 else _operand(b)
    ids = _matrix_product(builder, left, right)
    if len(shape_a) == 1:
        ids = ids[..., 0, :]
    if len(shape_b) == 1:
        ids = ids[..., 0]
    return traced(builder, ids)


def _operand(value: Any) -> Any:
    return (
        value
        if isinstance(value, (TracedBase, np.ndarray))
        else as_traced(value)
        if plain(value) is None
        else np.asarray(value)
    )


def _is_sparse(value: Any) -> bool:
    return type(value).__module__.startswith("scipy.sparse")


def sparse_matmul(a: Any, b: Any) -> Any:
    """A scipy.sparse matrix on either side of ``@``: only its stored entries count."""
    if _is_sparse(b):
        array = as_traced(a)
        transposed = sparse_matmul(b.T, array.T if array.ndim > 1 else array)
        return transposed.T if array.ndim > 1 else transposed
    matrix = a.tocsr() if a.ndim == 2 else a.reshape(1, -1).tocsr()
    matrix.sort_indices()
    if matrix.dtype.kind == "c":
        raise ComplexOperandError(
            f"a complex scipy.sparse matrix cannot multiply traced values\n  at {where()}\n  mend: multiply with A.real and A.imag"
        )
    array = as_traced(b)
    _check(a.shape, array.shape, (matrix.shape[1], array.shape[0]))
    ids = ids_of(array.builder, array)
    out = rows_times(array.builder, matrix.indptr, matrix.indices, matrix.data, ids.reshape(ids.shape[0], -1))
    out = out.reshape(matrix.shape[0], *ids.shape[1:])
    return traced(array.builder, out[0] if a.ndim == 1 else out)


@implements(np.dot)
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    if _is_sparse(a) or _is_sparse(b):
        return sparse_matmul(a, b)
    shape_a, shape_b = np.shape(a), np.shape(b)
    if not shape_a or not shape_b:
        result = np.multiply(a, b)
    elif len(shape_b) <= 2:
        result = matmul(a, b)
    else:
        result = np.tensordot(a, b, axes=(-1, -2))
    return result if out is None else assign(out, result)


@implements(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return matmul(np.ravel(_operand(a)), np.ravel(_operand(b)))


@implements(np.inner)
def _inner(a: Any, b: Any) -> Any:
    if not np.shape(a) or not np.shape(b):
        return np.multiply(a, b)
    return np.tensordot(a, b, axes=(-1, -1))


@implements(np.outer)
def _outer(a: Any, b: Any, out: Any = None) -> Any:
    result = np.multiply(np.ravel(_operand(a))[:, None], np.ravel(_operand(b))[None, :])
    return result if out is None else assign(out, result)


@special("vecdot")
def _vecdot(a: Any, b: Any) -> Any:
    return np.sum(np.multiply(a, b), axis=-1)


@special("matvec")
def _matvec(a: Any, b: Any) -> Any:
    return matmul(a, _operand(b)[..., None])[..., 0]


@special("vecmat")
def _vecmat(a: Any, b: Any) -> Any:
    return matmul(_operand(a)[..., None, :], b)[..., 0, :]


@implements(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = _operand(a), _operand(b)
    if isinstance(axes, (int, np.integer)):
        axes_a, axes_b = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        axes_a, axes_b = ([int(part)] if isinstance(part, (int, np.integer)) else list(part) for part in axes)
    axes_a, axes_b = [k % a.ndim for k in axes_a], [k % b.ndim for k in axes_b]
    rest_a = [k for k in range(a.ndim) if k not in axes_a]
    rest_b = [k for k in range(b.ndim) if k not in axes_b]
    inner_a, inner_b = [a.shape[k] for k in axes_a], [b.shape[k] for k in axes_b]
    if inner_a != inner_b:
        raise ValueError(f"shape-mismatch for sum: axes of lengths {inner_a} and {inner_b}\n  at {where()}")
    size = int(np.prod(inner_a, dtype=int))
    left = np.transpose(a, rest_a + axes_a).reshape(-1, size)
    right = np.transpose(b, axes_b + rest_b).reshape(size, -1)
    return np.reshape(matmul(left, right), [a.shape[k] for k in rest_a] + [b.shape[k] for k in rest_b])


def _parse(subscripts: str, operands: list[Any]) -> tuple[list[str], str]:
    """Index letters of each operand and of the result, the ellipsis spelt out."""
    text = subscripts.replace(" ", "")
    inputs, _, output = text.partition("->")
    parts = inputs.split(",")
    if len(parts) != len(operands):
        raise ValueError(f"einsum: {len(parts)} subscripts for {len(operands)} operands")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in text]
    width = max(
        (np.ndim(op) - len(part.replace("...", "")) for part, op in zip(parts, operands, strict=True) if "..." in part),
        default=0,
    )
    dots = "".join(spare[:width])
    spelt = []
    for part, operand in zip(parts, operands, strict=True):
        missing = np.ndim(operand) - len(part.replace("...", ""))
        spelt.append(part.replace("...", dots[width - missing :] if "..." in part else ""))
    if "->" not in text:
        letters = "".join(spelt)
        output = dots + "".join(sorted(c for c in set(letters) - set(dots) if letters.count(c) == 1))
    return spelt, output.replace("...", dots)


def _subscripts_of_lists(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Operands and index lists in turn, as subscripts in a string."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def spelt(indices: Any) -> str:
        return "".join("..." if index is Ellipsis else letters[index] for index in indices)

    operands, lists = args[0 : 2 * (len(args) // 2) : 2], args[1::2]
    text = ",".join(spelt(indices) for indices in lists)
    return (text + "->" + spelt(args[-1]) if len(args) % 2 else text, *operands)


def _diagonals(operand: Any, letters: str) -> tuple[Any, str]:
    """Take the diagonal of repeated indices."""
    for c in dict.fromkeys(letters):
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            operand = np.diagonal(operand, axis1=i, axis2=j)
            letters = letters[:i] + letters[i + 1 : j] + letters[j + 1 :] + c
    return operand, letters


@implements(np.einsum)
def _einsum(*args: Any, out: Any = None, **kwargs: Any) -> Any:
    if not isinstance(args[0], str):
        args = _subscripts_of_lists(args)
    operands = [_operand(value) for value in args[1:]]
    spelt, output = _parse(args[0], operands)
    terms = [_diagonals(operand, letters) for operand, letters in zip(operands, spelt, strict=True)]
    while len(terms) > 1:
        # constants first, then the pair whose product is smallest
        sizes = {c: n for operand, letters in terms for c, n in zip(letters, operand.shape, strict=True) if n != 1} | {}
        pairs = [(i, j) for i in range(len(terms)) for j in range(i + 1, len(terms))]

        def cost(
            pair: tuple[int, int], terms: list[tuple[Any, str]] = terms, sizes: dict[str, int] = sizes
        ) -> tuple[bool, float]:
            (a, letters_a), (b, letters_b) = terms[pair[0]], terms[pair[1]]
            both_plain = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
            return not both_plain, float(np.prod([float(sizes.get(c, 1)) for c in set(letters_a + letters_b)]))

        i, j = min(pairs, key=cost)
        second, first = terms.pop(j), terms.pop(i)
        needed = set(output).union(*(letters for _, letters in terms))
        terms.append(_contract(*first, *second, needed))
    operand, letters = terms[0]
    summed = tuple(k for k, c in enumerate(letters) if c not in output)
    operand = np.sum(operand, axis=summed) if summed else operand
    letters = "".join(c for c in letters if c in output)
    result = np.transpose(operand, [letters.index(c) for c in output]) if operand.ndim else operand
    return result if out is None else assign(out, result)


def _contract(a: Any, letters_a: str, b: Any, letters_b: str, needed: set[str]) -> tuple[Any, str]:
    """The product of two operands, summed over the indices that nothing else needs."""
    a, letters_a = _sum_private(a, letters_a, set(letters_b) | needed)
    b, letters_b = _sum_private(b, letters_b, set(letters_a) | needed)
    summed = [c for c in letters_a if c in letters_b and c not in needed]
    batch = [c for c in letters_a if c in letters_b and c in needed]
    rest_a = [c for c in letters_a if c not in letters_b]
    rest_b = [c for c in letters_b if c not in letters_a]
    a = np.transpose(a, [letters_a.index(c) for c in batch + rest_a + summed]) if a.ndim else a
    b = np.transpose(b, [letters_b.index(c) for c in batch + summed + rest_b]) if b.ndim else b
    shape_a, shape_b = np.shape(a), np.shape(b)
    k, n = len(batch), len(summed)
    inner = np.broadcast_shapes(shape_a[len(shape_a) - n :], shape_b[k : k + n])
    a = np.broadcast_to(a, shape_a[: len(shape_a) - n] + inner)
    b = np.broadcast_to(b, shape_b[:k] + inner + shape_b[k + n :])
    size = int(np.prod(inner, dtype=int))
    flat_a = np.reshape(a, (*shape_a[:k], int(np.prod(shape_a[k : len(shape_a) - n], dtype=int)), size))
    flat_b = np.reshape(b, (*shape_b[:k], size, int(np.prod(shape_b[k + n :], dtype=int))))
    product = np.matmul(flat_a, flat_b)
    outer = product.shape[: len(product.shape) - 2]
    return np.reshape(product, outer + shape_a[k : len(shape_a) - n] + shape_b[k + n :]), "".join(
        batch + rest_a + rest_b
    )


def _sum_private(operand: Any, letters: str, used: set[str]) -> tuple[Any, str]:
    """Sum over the indices that only this operand has."""
    axes = tuple(k for k, c in enumerate(letters) if c not in used)
    return (np.sum(operand, axis=axes), "".join(c for c in letters if c in used)) if axes else (operand, letters)


@implements(np.einsum_path)
def _einsum_path(*args: Any, **kwargs: Any) -> Any:
    return ["einsum_path"], ""


@implements(np.kron)
def _kron(a: Any, b: Any) -> Any:
    a, b = _operand(a), _operand(b)
    ndim = max(a.ndim, b.ndim)
    a, b = a.reshape((1,) * (ndim - a.ndim) + a.shape), b.reshape((1,) * (ndim - b.ndim) + b.shape)
    left = a.reshape(tuple(n for size in a.shape for n in (size, 1)))
    right = b.reshape(tuple(n for size in b.shape for n in (1, size)))
    return np.multiply(left, right).reshape(tuple(m * n for m, n in zip(a.shape, b.shape, strict=True)))


@implements(np.trace)
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    result = np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)
    return result if out is None else assign(out, result)


@implements(np.cross)
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(_operand(a), axisa, -1), np.moveaxis(_operand(b), axisb, -1)
    size_a, size_b = a.shape[-1], b.shape[-1]
    if size_a == size_b == 2:
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    if not {size_a, size_b} <= {2, 3}:
        raise ValueError(f"incompatible dimensions for cross product (must be 2 or 3, are {size_a} and {size_b})")
    a0, a1, a2 = a[..., 0], a[..., 1], a[..., 2] if size_a == 3 else 0.0
    b0, b1, b2 = b[..., 0], b[..., 1], b[..., 2] if size_b == 3 else 0.0
    parts = np.broadcast_arrays(a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0)
    return np.moveaxis(np.stack(parts, axis=-1), -1, axisc)


def _beside_sparse(dense: Callable[..., Any], name: str) -> None:
    """Python's operator with a scipy.sparse matrix on the other side, which knows nothing of traced arrays."""

    def forward(self: Traced, other: Any) -> Any:
        return sparse_matmul(self, other) if _multiplies(other, name) else dense(self, other)

    def reflected(self: Traced, other: Any) -> Any:
        return sparse_matmul(other, self) if _multiplies(other, name) else dense(other, self)

    setattr(Traced, f"__{name}__", forward)
    setattr(Traced, f"__r{name}__", reflected)


def _multiplies(other: Any, name: str) -> bool:
    # * of the matrix classes is the matrix product, of the array classes it is entry by entry
    return _is_sparse(other) and (name == "matmul" or (hasattr(other, "getformat") and other.ndim == 2))


_beside_sparse(np.matmul, "matmul")
_beside_sparse(np.multiply, "mul")


@replaces("scipy.sparse.linalg", "LinearOperator.matvec", "LinearOperator.matmat", "LinearOperator.dot")
@replaces("scipy.sparse.linalg", "LinearOperator.__matmul__", "LinearOperator.__mul__", "LinearOperator.__call__")
def _linear_operator(self: Any, x: Any) -> Any:
    """A linear operator is the matrix that it makes of the identity."""
    x = as_traced(x)
    if x.ndim == 0:
        raise unsupported("a LinearOperator times a traced number", "multiply its result")
    matrix = untraced(type(self), "matmat")(self, np.eye(self.shape[1]))
    return matmul(np.asarray(matrix, dtype=float), x)


def _constant_diagonals(name: str) -> None:
    @replaces("scipy.sparse", name)
    def apply(diagonals: Any, *args: Any, **kwargs: Any) -> Any:
        import scipy.sparse  # noqa: PLC0415 - loaded, the user calls it

        plain_diagonals = constants_only(diagonals)
        if plain_diagonals is None:
            raise unsupported(f"scipy.sparse.{name} of traced diagonals", "add the products of shifted arrays")
        return untraced(scipy.sparse, name)(plain_diagonals, *args, **kwargs)


for _name in ("diags", "diags_array", "spdiags"):
    _constant_diagonals(_name)
