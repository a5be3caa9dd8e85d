"""Functions that cannot be traced, as operators with a pattern and derivatives of their own.

Compiled code, table look-ups and simulators are evaluated as they are; only their pattern and, if there are any, their
derivatives are told to the tape.  Without derivatives they are differenced over a colored pattern: Curtis, Powell and
Reid, *On the estimation of sparse Jacobian matrices* (1974), for the Jacobian, Powell and Toint, *On the estimation of
sparse Hessian matrices* (1979), for the Hessian.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from sct_opt.coloring import color
from sct_opt.errors import EvaluationError, PatternError, ShapeError
from sct_opt.pattern import SparsityPattern
from sct_opt.tracing.array import traced
from sct_opt.tracing.base import find_builder, ids_of

Array = np.ndarray[Any, Any]
Derivatives = Callable[[Array], Any] | Sequence[Callable[..., Any] | None] | None

FIRST_STEP = float(np.finfo(float).eps ** (1 / 3))
"""Relative step of central differences of values: truncation and rounding error balance at about 1e-10."""

SECOND_STEP = float(np.finfo(float).eps ** (1 / 4))
"""Relative step where differences are differenced once more: about 1e-7."""


def custom_op(
    fun: Callable[[Array], Any],
    pattern: Any = None,
    derivatives: Derivatives = None,
    *,
    shape: int | tuple[int, ...] | None = None,
    hessian_pattern: Any = None,
) -> Callable[[Any], Any]:
    """Make an operator of a function that cannot be traced.

    Args:
        fun: The function of one array; it is called with plain numbers, with arrays of the shape that the operator is
            called with, and returns an array or a number.
        pattern: Pattern of its Jacobian, outputs × inputs, both flattened in C order; anything that
            `SparsityPattern.from_matrix` takes. None: every output depends on every input; `shape` is needed then.
        derivatives: ``jacobian(x)``, or a pair of it and ``hessian(x, weights)``, the Hessian of ``weights @ outputs``;
            both return dense or SciPy sparse matrices. What is missing is replaced by central differences over the colored
            pattern, accurate to about 1e-10 (Jacobian), 1e-10 (Hessian from a given Jacobian) or 1e-6 (Hessian from
            values) relative to the scale of the function.
        shape: Shape of the output; by default one-dimensional with as many entries as `pattern` has rows.
        hessian_pattern: Pattern of the Hessian of any weighted sum of outputs; by default all pairs of inputs that
            some output depends on together.

    Returns:
        The operator: a function that accepts traced arrays, and plain ones as `fun` does.

    Raises:
        ShapeError: If neither pattern nor shape says how many outputs there are, or they disagree.
        PatternError: At evaluation, if the function has a derivative that the pattern leaves out.

    Examples:
        >>> import numpy as np
        >>> import sct_opt as so
        >>> table = lambda x: np.array([float(v) ** 2 for v in x])  # cannot be traced
        >>> squares = so.custom_op(table, pattern=np.eye(3))
        >>> J = so.SparseJacobian(lambda x: np.sin(x) * squares(x), np.ones(3))
        >>> J.pattern.nnz, np.allclose(J([1.0, 2.0, 3.0]).diagonal(), [2.2232443, 1.9726023, -8.0632526])
        (3, True)
    """
    known = None if pattern is None else SparsityPattern.from_matrix(pattern)
    coupled = None if hessian_pattern is None else SparsityPattern.from_matrix(hessian_pattern)
    if known is None and shape is None:
        raise ShapeError("custom_op cannot know how many outputs there are; give the Jacobian's pattern or shape=…")
    out_shape = (known.shape[0],) if shape is None and known is not None else _as_shape(shape)
    size = int(np.prod(out_shape, dtype=int))
    if known is not None and known.shape[0] != size:
        raise ShapeError(f"the pattern has {known.shape[0]} rows, but shape={shape} has {size} entries")
    jacobian, hessian = (*derivatives, None, None)[:2] if isinstance(derivatives, Sequence) else (derivatives, None)
    name = getattr(fun, "__name__", type(fun).__name__)

    def operator(x: Any) -> Any:
        builder = find_builder(x)
        if builder is None:
            return fun(x)
        ids = ids_of(builder, x)
        matrix = SparsityPattern.from_matrix(np.ones((size, ids.size))) if known is None else known
        if matrix.shape[1] != ids.size:
            raise ShapeError(f"{name} got {ids.size} numbers, but its pattern has {matrix.shape[1]} columns")
        box = _CustomOp(name, fun, jacobian, hessian, ids.shape, matrix, coupled)
        return traced(builder, builder.call(box, ids.ravel()).reshape(out_shape))

    operator.__name__ = name
    operator.__doc__ = fun.__doc__
    return operator


def _as_shape(shape: int | tuple[int, ...] | None) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape or ())


class _CustomOp:
    """The black box on the tape; see `sct_opt.tape.BlackBox`."""

    def __init__(
        self,
        name: str,
        fun: Callable[[Array], Any],
        jacobian: Callable[[Array], Any] | None,
        hessian: Callable[[Array, Array], Any] | None,
        shape: tuple[int, ...],
        pattern: SparsityPattern,
        hessian_pattern: SparsityPattern | None,
    ) -> None:
        self.name = name
        self.num_outputs = pattern.shape[0]
        self.pattern = pattern
        if hessian_pattern is None:
            rows = pattern.tocsr().astype(np.int64)
            hessian_pattern = SparsityPattern.from_matrix(rows.T @ rows)
        if hessian_pattern.shape != (pattern.shape[1], pattern.shape[1]) or not hessian_pattern.is_symmetric():
            raise ShapeError(
                f"the Hessian pattern of {name} must be symmetric with {pattern.shape[1]} rows, but has shape {hessian_pattern.shape}"
            )
        self.hessian_pattern = hessian_pattern
        self.jacobian_rows, self.jacobian_cols = pattern.coo()
        self.hessian_rows, self.hessian_cols = hessian_pattern.lower_triangle().coo()
        self._fun, self._jacobian, self._hessian, self._shape = fun, jacobian, hessian, shape
        self._checked = jacobian is not None

    def value(self, args: Array) -> Array:
        """Outputs."""
        result = np.asarray(self._fun(args.reshape(self._shape).copy()), dtype=float)
        if result.size != self.num_outputs:
            raise ShapeError(f"{self.name} returned {result.size} numbers, but was announced with {self.num_outputs}")
        return result.ravel()

    def jacobian(self, args: Array) -> Array:
        """Jacobian in the order of ``jacobian_rows``."""
        if self._jacobian is not None:
            given = self._jacobian(args.reshape(self._shape).copy())
            return self._entries("Jacobian", given, self.pattern, self.jacobian_rows, self.jacobian_cols)
        entries = self._differenced(args, FIRST_STEP)
        if not self._checked:
            self._check(args, entries)
            self._checked = True
        return entries

    def hessian(self, args: Array, weights: Array) -> Array:
        """Lower triangle of the weighted Hessian in the order of ``hessian_rows``."""
        if self._hessian is not None:
            given = self._hessian(args.reshape(self._shape).copy(), weights.copy())
            return self._entries("Hessian", given, self.hessian_pattern, self.hessian_rows, self.hessian_cols)

        def gradient(point: Array) -> Array:
            entries = self.jacobian(point) if self._jacobian is not None else self._differenced(point, SECOND_STEP)
            return np.bincount(self.jacobian_cols, weights=entries * weights[self.jacobian_rows], minlength=args.size)

        step = (FIRST_STEP if self._jacobian is not None else SECOND_STEP) * (1.0 + np.abs(args))
        compressed = _central(gradient, args, step, self._hessian_seed, args.size)
        values: Array = self._hessian_coloring.decompress_values(compressed, lower=True)
        return values

    def _differenced(self, args: Array, relative_step: float) -> Array:
        compressed = _central(
            self.value, args, relative_step * (1.0 + np.abs(args)), self._jacobian_seed, self.num_outputs
        )
        values: Array = self._jacobian_coloring.decompress_values(compressed)
        return values

    @cached_property
    def _jacobian_coloring(self) -> Any:
        return color(self.pattern, partition="column")

    @cached_property
    def _hessian_coloring(self) -> Any:
        return color(self.hessian_pattern, structure="symmetric")

    @cached_property
    def _jacobian_seed(self) -> Array:
        return np.asarray(self._jacobian_coloring.seed(), dtype=float)

    @cached_property
    def _hessian_seed(self) -> Array:
        return np.asarray(self._hessian_coloring.seed(), dtype=float)

    def _check(self, args: Array, entries: Array) -> None:
        """Compare the Jacobian along a random direction with a difference along it: an entry left out shows."""
        direction = np.random.default_rng(0).choice([-1.0, 1.0], size=args.size) * (1.0 + np.abs(args))
        along = (self.value(args + FIRST_STEP * direction) - self.value(args - FIRST_STEP * direction)) / (
            2 * FIRST_STEP
        )
        assembled = np.bincount(
            self.jacobian_rows, weights=entries * direction[self.jacobian_cols], minlength=self.num_outputs
        )
        scale = np.bincount(
            self.jacobian_rows, weights=np.abs(entries * direction[self.jacobian_cols]), minlength=self.num_outputs
        )
        wrong = np.flatnonzero(np.abs(along - assembled) > 1e-3 * (np.abs(along) + scale) + 1e-6)
        if wrong.size:
            raise PatternError(
                f"output {wrong[0]} of {self.name} depends on more inputs than its pattern says; complete the pattern, or "
                "leave it out and give shape=… to have every output depend on every input"
            )

    def _entries(self, what: str, given: Any, pattern: SparsityPattern, rows: Array, cols: Array) -> Array:
        sparse = bool(sp.issparse(given))
        matrix: Any = given.tocsr() if sparse else np.atleast_2d(np.asarray(given, dtype=float))
        found = matrix.tocoo() if sparse else sp.coo_array(matrix)
        shape = matrix.shape
        if shape != pattern.shape:
            raise ShapeError(f"the {what} of {self.name} has shape {shape}, expected {pattern.shape}")
        nonzero = found.data != 0.0
        keys = found.row[nonzero].astype(np.int64) * shape[1] + found.col[nonzero]
        known_rows, known_cols = pattern.coo()
        outside = np.flatnonzero(~np.isin(keys, known_rows.astype(np.int64) * shape[1] + known_cols))
        if outside.size:
            i, j = divmod(int(keys[outside[0]]), shape[1])
            raise PatternError(
                f"the {what} of {self.name} has a nonzero at ({i}, {j}), which its pattern leaves out; complete the pattern"
            )
        values = np.asarray(matrix[rows, cols], dtype=float).ravel()
        if values.size != rows.size:
            raise EvaluationError(f"the {what} of {self.name} could not be read")
        return values


def _central(function: Callable[[Array], Array], x: Array, steps: Array, seed: Array, size: int) -> Array:
    """Central differences of a function along the columns of a 0/1 seed, one step length for each column."""
    compressed = np.empty((size, seed.shape[1]))
    for k in range(seed.shape[1]):
        group = seed[:, k] != 0.0
        step = float(np.median(steps[group])) if group.any() else 1.0
        ahead, behind = x + step * seed[:, k], x - step * seed[:, k]
        compressed[:, k] = (function(ahead) - function(behind)) / (2.0 * step)
    return compressed
