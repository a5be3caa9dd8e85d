"""Exact sparse derivatives of one tape: by programs where structure repeats, in compressed form elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sct_opt.compressed import CompressedDerivatives
from sct_opt.errors import ShapeError
from sct_opt.kernel import Bound, Kernel
from sct_opt.machine_code import UnavailableError
from sct_opt.pattern import SparsityPattern
from sct_opt.programs import table_kernels
from sct_opt.programs.derive import TooLargeError
from sct_opt.programs.engine import Engine, Runner
from sct_opt.programs.options import EngineOptions
from sct_opt.tape import Tape

if TYPE_CHECKING:
    from sct_opt.coloring import ColoringResult

Array = np.ndarray[Any, Any]


class Derivatives:
    """Values and derivatives of the outputs of a tape.

    Repeated structure is evaluated by programs (see `sct_opt.programs`), the rest in compressed form
    (`CompressedDerivatives`).  Where a program's Jacobian or Hessian has a value that is not finite, the whole is
    evaluated again in compressed form, whose sweeps keep infinities and NaNs to the entries that they belong to.

    Everything is prepared at first use.  The Lagrangian is never built: its Hessian is that of ``weights @ outputs``.

    Args:
        tape: the tape.
        jacobian_pattern: pattern of the Jacobian if it is already known (``num_outputs x num_inputs``).
        hessian_pattern: pattern of the Hessian of any weighted sum of the outputs, full symmetric.
        options: what to compile and how to run it, by predicted cost if None.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> x = builder.inputs(3)
    >>> product = builder.binary(OPCODE["mul"], x[:2], x[1:])
    >>> d = Derivatives(builder.freeze(product))
    >>> point = np.array([1.0, 2.0, 3.0])
    >>> d.values(point).tolist(), d.jacobian_values(point).tolist()
    ([2.0, 6.0], [2.0, 1.0, 3.0, 2.0])
    >>> d.hessian_lower_pattern.nnz, d.hessian_values(point, np.array([1.0, 10.0])).tolist()
    (2, [1.0, 10.0])
    """

    def __init__(
        self,
        tape: Tape,
        jacobian_pattern: SparsityPattern | None = None,
        hessian_pattern: SparsityPattern | None = None,
        options: EngineOptions | None = None,
    ) -> None:
        self.tape = tape
        self.options = EngineOptions() if options is None else options
        self._parameters = tape.parameters.copy()
        self._given = (jacobian_pattern, hessian_pattern)
        self.lock = threading.RLock()  # evaluations share buffers
        self._weights = np.zeros(tape.num_outputs)
        self._runners: dict[tuple[int, int, bool] | None, Runner | None] = {}
        self._row_parts: dict[tuple[int, int], tuple[Array, Array]] = {}
        self._products: dict[tuple[Kernel, int], tuple[Bound, Array, Array]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies find and compile anew: machine code is bound to the buffers of its owner."""
        return _restored, (self.tape, *self._given, self.options, self._parameters)

    @cached_property
    def _compressed(self) -> CompressedDerivatives:
        return CompressedDerivatives(self.tape, *self._given)

    @cached_property
    def _engine(self) -> Engine | None:
        """The programs; None if there are none, and everything is evaluated in compressed form."""
        if self.options.mode == "compressed":
            return None
        engine = Engine(self.tape, CompressedDerivatives, self._parameters, self.options)
        return engine if engine.blocks or engine.leftover is None else None

    @property
    def has_programs(self) -> bool:
        """Whether programs evaluate these derivatives, or part of them."""
        return self._engine is not None

    def part(self, start: int, stop: int) -> Part:
        """Outputs ``start … stop-1`` with the same interface."""
        return Part(self, start, stop)

    @property
    def parameters(self) -> Array:
        """Values of the parameters; change them in place or assign, the next evaluation sees it."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: Array) -> None:
        self._parameters[:] = values

    def report(self) -> str:
        """What evaluates these derivatives: programs, their instances, what is left to the compressed form."""
        if self._engine is None:
            return self._compressed.report()
        return self._engine.report()

    # -- structure ---------------------------------------------------------------------------------------------

    @cached_property
    def jacobian_pattern(self) -> SparsityPattern:
        """Global pattern of the Jacobian, ``num_outputs x num_inputs``."""
        if self._given[0] is not None:
            return self._given[0]
        return self._compressed.jacobian_pattern if self._engine is None else self._engine.jacobian_pattern

    @cached_property
    def hessian_pattern(self) -> SparsityPattern:
        """Global pattern of the Hessian of any weighted sum of the outputs, full symmetric."""
        if self._given[1] is not None:
            return self._given[1]
        if self._engine is None:
            return self._compressed.hessian_pattern
        lower = self._engine.hessian_lower_pattern
        return lower.union(lower.T)

    @cached_property
    def hessian_lower_pattern(self) -> SparsityPattern:
        """Lower triangle of `hessian_pattern`, diagonal included."""
        if self._given[1] is None and self._engine is not None:
            return self._engine.hessian_lower_pattern
        return self._compressed.hessian_lower_pattern

    @property
    def jacobian_coloring(self) -> ColoringResult:
        """Coloring that compresses the Jacobian; needed only where no programs are found."""
        return self._compressed.jacobian_coloring

    @property
    def hessian_coloring(self) -> ColoringResult:
        """Star coloring that compresses the Hessian; needed only where no programs are found."""
        return self._compressed.hessian_coloring

    # -- evaluation ----------------------------------------------------------------------------------------------

    def values(self, x: Array, start: int = 0, stop: int | None = None) -> Array:
        """Outputs ``start … stop-1`` at ``x``, all of them by default."""
        with self.lock:
            x, start, stop = self._point(x), start, self.tape.num_outputs if stop is None else stop
            engine = self._engine
            if engine is None:
                return self._swept.values(x)[start:stop]
            runner = self._runner((start, stop, False), lambda: engine.values_task(start, stop))
            if runner is None:
                return self._swept.values(x)[start:stop]
            out, _ = runner(x)
            if runner.task.leftover is not None:
                engine.add_leftover(runner.task, out, lambda part, point: part.values(point), x)
            return out

    def jacobian_values(self, x: Array, start: int = 0, stop: int | None = None) -> Array:
        """Values of rows ``start … stop-1`` of the Jacobian in the CSR order of `jacobian_pattern`."""
        with self.lock:
            x, start, stop = self._point(x), start, self.tape.num_outputs if stop is None else stop
            values = self._jacobian_by_programs(x, start, stop)
            if values is None:
                indptr = self._compressed.jacobian_pattern.indptr
                return self._swept.jacobian_values(x)[indptr[start] : indptr[stop]]
            return values

    def _jacobian_by_programs(self, x: Array, start: int, stop: int, keep: bool = False) -> Array | None:
        """These values if programs evaluate them and they are finite; ``keep`` as of `Runner`."""
        if not self._programs_fit(0):
            return None
        engine = self._engine
        assert engine is not None
        runner = self._runner((start, stop, True), lambda: engine.jacobian_task(start, stop))
        if runner is None:
            return None
        out, finite = runner(x, keep=keep)
        if not finite:
            return None
        if runner.task.leftover is not None:
            engine.add_leftover(runner.task, out, lambda part, point: part.jacobian_values(point), x)
        return out

    def hessian_values(self, x: Array, weights: Array) -> Array:
        """Values of the Hessian of ``weights @ outputs`` in the CSR order of `hessian_lower_pattern`."""
        with self.lock:
            x, weights = self._point(x), _vector(weights, self.tape.num_outputs, "weights")
            values = self._hessian_by_programs(x, weights)
            return self._swept.hessian_values(x, weights) if values is None else values

    def lagrangian_hessian_values(self, x: Array, first: float, others: Array) -> Array:
        """As `hessian_values`, with the weight of the first output and those of the others."""
        x = self._point(x)
        with self.lock:
            self._weights[0] = first
            self._weights[1:] = others
            values = self._hessian_by_programs(x, self._weights)
            return self._swept.hessian_values(x, self._weights) if values is None else values

    def _hessian_by_programs(self, x: Array, weights: Array, keep: bool = False) -> Array | None:
        """These values if programs evaluate them and they are finite; ``keep`` as of `Runner`."""
        if not self._programs_fit(1):
            return None
        engine = self._engine
        assert engine is not None
        runner = self._runner(None, engine.hessian_task)
        if runner is None:
            return None
        out, finite = runner(x, weights, keep=keep)
        if not finite:
            return None
        if runner.task.leftover is not None:
            engine.add_leftover_hessian(runner.task, out, x, weights)
        return out

    def jvp(self, x: Array, v: Array, start: int = 0, stop: int | None = None) -> Array:
        """Rows ``start … stop-1`` of the Jacobian times ``v``."""
        with self.lock:
            x, v, stop = (
                self._point(x),
                _vector(v, self.tape.num_inputs, "v"),
                self.tape.num_outputs if stop is None else stop,
            )
            values = self._jacobian_by_programs(x, start, stop, keep=True)
            if values is None or not _finite(values):
                return self._swept.jvp(x, v)[start:stop]
            return self._product(table_kernels.row_products, self._rows(start, stop), values, v, stop - start)

    def vjp(self, x: Array, w: Array, start: int = 0, stop: int | None = None) -> Array:
        """Transposed rows ``start … stop-1`` of the Jacobian times ``w``, shape ``(num_inputs,)``."""
        with self.lock:
            x, stop = self._point(x), self.tape.num_outputs if stop is None else stop
            w = _vector(w, stop - start, "w")
            values = self._jacobian_by_programs(x, start, stop, keep=True)
            if values is None or not _finite(values):
                if w.size < self.tape.num_outputs:
                    w = np.concatenate([np.zeros(start), w, np.zeros(self.tape.num_outputs - stop)])
                return self._swept.vjp(x, w)
            return self._product(
                table_kernels.column_products, self._rows(start, stop), values, w, self.tape.num_inputs
            )

    def _product(self, kernel: Kernel, rows: tuple[Array, Array], values: Array, v: Array, size: int) -> Array:
        """A product with a sparse matrix whose values are in a runner's buffer, so that addresses are known."""
        key = kernel, id(rows[1])
        found = self._products.get(key)
        if found is None:
            given, out = np.empty(v.size), np.empty(size)
            found = self._products[key] = kernel.bind(*rows, values, given, out), given, out
        run, given, out = found
        given[:] = v
        run()
        return out.copy()

    def _rows(self, start: int, stop: int) -> tuple[Array, Array]:
        """Pointers and columns of some rows of the Jacobian."""
        found = self._row_parts.get((start, stop))
        if found is None:
            pattern = self.jacobian_pattern
            first, last = pattern.indptr[start], pattern.indptr[stop]
            found = self._row_parts[start, stop] = pattern.indptr[start : stop + 1] - first, pattern.indices[first:last]
        return found

    def hvp(self, x: Array, weights: Array, v: Array) -> Array:
        """Hessian of ``weights @ outputs`` times ``v``, shape ``(num_inputs,)``."""
        with self.lock:
            x, v = self._point(x), _vector(v, self.tape.num_inputs, "v")
            weights = _vector(weights, self.tape.num_outputs, "weights")
            values = self._hessian_by_programs(x, weights, keep=True)
            if values is None or not _finite(values):
                return self._swept.hvp(x, weights, v)
            lower = self.hessian_lower_pattern
            return self._product(table_kernels.symmetric_products, (lower.indptr, lower.indices), values, v, v.size)

    def _runner(self, key: tuple[int, int, bool] | None, make: Callable[[], Runner]) -> Runner | None:
        """The compiled task of this key (None is the Hessian); None if it cannot be compiled."""
        if key not in self._runners:
            try:
                self._runners[key] = make()
            except (TooLargeError, UnavailableError):
                self._runners[key] = None
        return self._runners[key]

    @property
    def _swept(self) -> CompressedDerivatives:
        """The compressed form, at the present parameters."""
        compressed = self._compressed
        if self._parameters.size:
            compressed.parameters[:] = self._parameters
        return compressed

    def _programs_fit(self, which: int) -> bool:
        """Whether there are programs, and a pattern that was given from outside is that of the programs."""
        if self._engine is None:
            return False
        given = self._given[which]
        if given is None:
            return True
        if which not in self._fits:
            self._fits[which] = (
                given == self._engine.jacobian_pattern
                if which == 0
                else given.lower_triangle() == self._engine.hessian_lower_pattern
            )
        return self._fits[which]

    @cached_property
    def _fits(self) -> dict[int, bool]:
        return {}

    def _point(self, x: Array) -> Array:
        return _vector(x, self.tape.num_inputs, "x")


class Part:
    """Some consecutive outputs of `Derivatives`, with the same interface; programs are found once for the whole.

    Args:
        whole: derivatives of all outputs.
        start: first output.
        stop: the output behind the last one.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> whole = Derivatives(builder.freeze(builder.unary(OPCODE["square"], builder.inputs(3))))
    >>> part = Part(whole, 1, 3)
    >>> part.jacobian_pattern.coo(), part.jacobian_values(np.array([1.0, 2.0, 3.0])).tolist()
    ((array([0, 1], dtype=int32), array([1, 2], dtype=int32)), [4.0, 6.0])
    """

    def __init__(self, whole: Derivatives, start: int, stop: int) -> None:
        self.whole = whole
        self.start = start
        self.stop = stop

    @cached_property
    def tape(self) -> Tape:
        """The tape of these outputs alone."""
        return self.whole.tape.restrict(slice(self.start, self.stop))

    @cached_property
    def _compressed(self) -> CompressedDerivatives:
        return CompressedDerivatives(self.tape)

    @property
    def _swept(self) -> CompressedDerivatives:
        if self.whole.parameters.size:
            self._compressed.parameters[:] = self.whole.parameters
        return self._compressed

    @property
    def parameters(self) -> Array:
        """The parameters of the whole."""
        return self.whole.parameters

    @parameters.setter
    def parameters(self, values: Array) -> None:
        self.whole.parameters = values

    @cached_property
    def jacobian_pattern(self) -> SparsityPattern:
        """These rows of the whole's Jacobian."""
        if not self.whole.has_programs:
            return self._compressed.jacobian_pattern
        pattern = self.whole.jacobian_pattern
        first, last = pattern.indptr[self.start], pattern.indptr[self.stop]
        indptr = pattern.indptr[self.start : self.stop + 1] - first
        return SparsityPattern((self.stop - self.start, pattern.shape[1]), indptr, pattern.indices[first:last])

    @property
    def jacobian_coloring(self) -> ColoringResult:
        """Coloring that compresses these rows."""
        return self._compressed.jacobian_coloring

    def values(self, x: Array) -> Array:
        """These outputs at ``x``."""
        if self.whole.has_programs:
            return self.whole.values(x, self.start, self.stop)
        with self.whole.lock:
            return self._swept.values(x)

    def jacobian_values(self, x: Array) -> Array:
        """Values of these rows in the CSR order of `jacobian_pattern`."""
        if self.whole.has_programs:
            return self.whole.jacobian_values(x, self.start, self.stop)
        with self.whole.lock:
            return self._swept.jacobian_values(x)

    def vjp(self, x: Array, w: Array) -> Array:
        """Transposed Jacobian times ``w``."""
        if self.whole.has_programs:
            return self.whole.vjp(x, w, self.start, self.stop)
        with self.whole.lock:
            return self._swept.vjp(x, w)

    def jvp(self, x: Array, v: Array) -> Array:
        """Jacobian times ``v``."""
        if self.whole.has_programs:
            return self.whole.jvp(x, v, self.start, self.stop)
        with self.whole.lock:
            return self._swept.jvp(x, v)


def _restored(tape: Tape, *others: Any) -> Derivatives:
    *given, parameters = others
    out = Derivatives(tape, *given)
    out.parameters = parameters
    return out


def _finite(values: Array) -> bool:
    """Whether all are finite, without an array of answers; both extremes are NaN if any entry is."""
    return values.size == 0 or bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def _vector(values: Array, size: int, name: str) -> Array:
    array = np.asarray(values, dtype=float)
    if array.shape != (size,):
        raise ShapeError(f"{name} has shape {array.shape}, expected ({size},)")
    return array
