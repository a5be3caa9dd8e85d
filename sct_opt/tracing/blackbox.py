"""Functions evaluated by NumPy or SciPy as a whole, with their derivatives: what tapes hold as call sites.

`Elementwise` maps each element of its arguments alone, so that its Jacobian and Hessian are diagonal blocks;
`Dense` couples all arguments, unless a pattern says otherwise.  Where no formula for a derivative is given, it is a
five-point central difference (step ``1e-3 * (1 + |x|)``) of the next lower one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sct_opt.tape import Array
from sct_opt.tracing.array import traced
from sct_opt.tracing.base import TracedBase, builder_of, ids_of

Partial = Callable[..., Any] | None
"""A partial derivative as function of the arguments, or None if it is structurally zero."""

_WEIGHTS = ((-2, 1.0 / 12.0), (-1, -8.0 / 12.0), (1, 8.0 / 12.0), (2, -1.0 / 12.0))


def difference(function: Callable[..., Any], k: int) -> Callable[..., Any]:
    """The partial derivative of a vectorised function in its k-th argument, by central differences."""

    def partial(*args: Array) -> Array:
        step = 1e-3 * (1.0 + np.abs(args[k]))
        moved = list(args)
        total: Any = 0.0
        for shift, weight in _WEIGHTS:
            moved[k] = args[k] + shift * step
            total = total + weight * np.asarray(function(*moved))
        return np.asarray(total / step)

    return partial


class Elementwise:
    """A function of some numbers that gives some numbers, applied to each of ``count`` elements.

    Args:
        name: shown in messages.
        count: number of elements.
        outputs: functions of the arguments, one for each output.
        partials: for each output, its first partials by argument; None is structurally zero.
        seconds: for each output, its second partials as rows of the lower triangle: ``[[aa], [ba, bb], …]``.
    """

    def __init__(
        self,
        name: str,
        count: int,
        outputs: Sequence[Callable[..., Any]],
        partials: Sequence[Sequence[Partial]],
        seconds: Sequence[Sequence[Sequence[Partial]]],
    ) -> None:
        self.name = name
        self.count = count
        self.outputs = outputs
        self.arity = len(partials[0])
        self.num_outputs = count * len(outputs)
        self._partials = [(o, k, p) for o, row in enumerate(partials) for k, p in enumerate(row) if p is not None]
        self._seconds: dict[tuple[int, int], list[tuple[int, Callable[..., Any]]]] = {}
        for o, triangle in enumerate(seconds):
            for j, row in enumerate(triangle):
                for k, second in enumerate(row):
                    if second is not None:
                        self._seconds.setdefault((j, k), []).append((o, second))
        each = np.arange(count)
        rows = np.concatenate([o * count + each for o, _, _ in self._partials] or [each[:0]])
        cols = np.concatenate([k * count + each for _, k, _ in self._partials] or [each[:0]])
        self._order = np.lexsort((cols, rows))
        self.jacobian_rows, self.jacobian_cols = rows[self._order], cols[self._order]
        self.hessian_rows = np.concatenate([j * count + each for j, _ in self._seconds] or [each[:0]])
        self.hessian_cols = np.concatenate([k * count + each for _, k in self._seconds] or [each[:0]])

    def _whole(self, function: Callable[..., Any], args: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(function(*args.reshape(self.arity, self.count)), dtype=float), self.count)

    def value(self, args: Array) -> Array:
        """Outputs: the first one for all elements, then the second one, and so on."""
        return np.concatenate([self._whole(function, args) for function in self.outputs])

    def jacobian(self, args: Array) -> Array:
        """First partials in the order of ``jacobian_rows``."""
        if not self._partials:
            return np.zeros(0)
        return np.concatenate([self._whole(partial, args) for _, _, partial in self._partials])[self._order]

    def hessian(self, args: Array, weights: Array) -> Array:
        """Weighted second partials in the order of ``hessian_rows``."""
        if not self._seconds:
            return np.zeros(0)
        shares = weights.reshape(-1, self.count)
        return np.concatenate(
            [sum(shares[o] * self._whole(second, args) for o, second in terms) for terms in self._seconds.values()]
        )


def call_elementwise(
    name: str,
    args: Sequence[Any],
    outputs: Sequence[Callable[..., Any]],
    partials: Sequence[Sequence[Partial | str]],
    seconds: Sequence[Sequence[Sequence[Partial | str]]] | None = None,
) -> list[Any]:
    """Call a vectorised function of broadcast arguments, some of them traced, element by element.

    Args:
        name: shown in messages.
        args: traced and constant operands.
        outputs: functions of all arguments.
        partials: for each output its partials by argument, ``"numerical"`` for differences.
        seconds: for each output the lower triangle of second partials; None for differences of the first ones.

    Returns:
        One traced array for each output.
    """
    builder = builder_of(*args)
    ids = np.broadcast_arrays(*(ids_of(builder, arg) for arg in args))
    live = [k for k, part in enumerate(ids) if part.size and part.max() >= 0]
    shape, count = ids[0].shape, ids[0].size
    fixed = {k: builder.constant_value(part.ravel()) for k, part in enumerate(ids) if k not in live}

    def of_live(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Array) -> Any:
            values = dict(zip(live, given, strict=True))
            return function(*(values[k] if k in values else fixed[k] for k in range(len(ids))))

        return call

    def first(o: int, k: int) -> Partial:
        partial = partials[o][k]
        if partial is None:
            return None
        return of_live(difference(outputs[o], k) if isinstance(partial, str) else partial)

    def second(o: int, j: int, k: int) -> Partial:
        given = None if seconds is None else seconds[o][j][k]
        if callable(given):
            return of_live(given)
        lower, upper = partials[o][k], partials[o][j]
        if lower is None or upper is None or (seconds is not None and given is None):
            return None
        # the difference of a formula where there is one, else of a difference
        if callable(upper):
            return of_live(difference(upper, k))
        return of_live(difference(lower if callable(lower) else difference(outputs[o], k), j))

    if not live:
        values = [np.asarray(function(*(fixed[k] for k in range(len(ids))))) for function in outputs]
        return [traced(builder, builder.constants(value.reshape(shape))) for value in values]
    function = Elementwise(
        name,
        count,
        [of_live(output) for output in outputs],
        [[first(o, k) for k in live] for o in range(len(outputs))],
        [[[second(o, j, k) for k in live if k <= j] for j in live] for o in range(len(outputs))],
    )
    result = builder.call(function, np.stack([ids[k].ravel() for k in live]))
    return [traced(builder, part.reshape(shape)) for part in result.reshape(len(outputs), count)]


class Dense:
    """A function of some numbers that gives some numbers, all of them coupled.

    Args:
        name: shown in messages.
        function: outputs as a function of all arguments.
        jacobian: matrix of first partials, outputs by arguments.
        num_args: number of arguments.
        num_outputs: number of outputs.
        hessian: second partials of ``weights @ outputs`` as a matrix; None for differences of the Jacobian.
        jacobian_pattern: boolean matrix; None if everything depends on everything.
        hessian_pattern: boolean matrix; None if all arguments are coupled.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[Array], Array],
        jacobian: Callable[[Array], Array],
        num_args: int,
        num_outputs: int,
        hessian: Callable[[Array, Array], Array] | None = None,
        jacobian_pattern: Array | None = None,
        hessian_pattern: Array | None = None,
    ) -> None:
        self.name = name
        self.num_outputs = num_outputs
        self._function, self._jacobian, self._hessian = function, jacobian, hessian
        dense = np.ones((num_outputs, num_args), dtype=bool) if jacobian_pattern is None else jacobian_pattern
        self.jacobian_rows, self.jacobian_cols = np.nonzero(dense)
        coupled = np.ones((num_args, num_args), dtype=bool) if hessian_pattern is None else hessian_pattern
        self.hessian_rows, self.hessian_cols = np.nonzero(np.tril(coupled | coupled.T))

    def _safely(self, function: Callable[..., Array], shape: tuple[int, ...], *args: Array) -> Array:
        try:
            with np.errstate(all="ignore"):
                return np.asarray(function(*args), dtype=float).reshape(shape)
        except np.linalg.LinAlgError:
            # singular, or not converged: no value here, which solvers answer by a shorter step
            return np.full(shape, np.nan)

    def value(self, args: Array) -> Array:
        """Outputs."""
        return self._safely(self._function, (self.num_outputs,), args)

    def jacobian(self, args: Array) -> Array:
        """First partials in the order of ``jacobian_rows``."""
        return self._safely(self._jacobian, (self.num_outputs, args.size), args)[self.jacobian_rows, self.jacobian_cols]

    def hessian(self, args: Array, weights: Array) -> Array:
        """Weighted second partials in the order of ``hessian_rows``."""
        if self._hessian is not None:
            matrix = self._safely(self._hessian, (args.size, args.size), args, weights)
        else:
            matrix = np.zeros((args.size, args.size))
            for k in range(args.size):
                step = 1e-3 * (1.0 + abs(args[k]))
                for shift, weight in _WEIGHTS:
                    moved = args.copy()
                    moved[k] += shift * step
                    gradient = weights @ self._safely(self._jacobian, (self.num_outputs, args.size), moved)
                    matrix[k] += weight / step * gradient
            matrix = 0.5 * (matrix + matrix.T)
        return matrix[self.hessian_rows, self.hessian_cols]


def live_arguments(value: TracedBase) -> tuple[Array, Array, Array]:
    """Where the ids of an array are not constants: flat positions, the ids there, and the whole with constants filled in."""
    ids = ids_of(value.builder, value).ravel()
    live = np.flatnonzero(ids >= 0)
    fixed = np.zeros(ids.size)
    known = ids < 0
    fixed[known] = value.builder.constant_value(ids[known])
    return live, ids[live], fixed
