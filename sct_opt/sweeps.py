"""Sweeps over a frozen tape: values, tangents, adjoints and their directional derivatives.

`Sweeps` holds a tape's workspace.  It linearises at a point once and answers every further question at that point from
the stored partials; lanes (the columns of a seed matrix) go through a sweep together.  Black-box calls are evaluated in
Python between the stretches of nodes that the kernels run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt import sweep_kernels as kernels
from sct_opt.errors import ShapeError
from sct_opt.kernel import Bound, Kernel
from sct_opt.tape import CallSite, Tape

Array = np.ndarray[Any, Any]

LANE_BYTES = 1 << 26
"""Memory that one sweep's lanes may take, and keep; more lanes go in several sweeps."""


def evaluate_nodes(tape: Tape, x: Array, parameters: Array | None = None) -> Array:
    """Values of all nodes of a tape at ``x``.

    Args:
        tape: a frozen tape.
        x: values of the inputs, shape ``(num_inputs,)``.
        parameters: values of the parameters; the tape's own if None.

    Returns:
        Array of shape ``(tape.size,)``.

    >>> from sct_opt.ops import OPCODE
    >>> from sct_opt.tape import TapeBuilder
    >>> builder = TapeBuilder()
    >>> tape = builder.freeze(builder.unary(OPCODE["square"], builder.inputs(2)))
    >>> evaluate_nodes(tape, np.array([2.0, 3.0])).tolist()
    [2.0, 3.0, 4.0, 9.0]
    """
    sweeps = Sweeps(tape)
    if parameters is not None:
        sweeps.parameters[:] = parameters
    return sweeps.linearise(x, order=0)


class Sweeps:
    """Workspace of one tape.

    Args:
        tape: the tape to interpret.

    Attributes:
        parameters: current parameter values; change them in place, the next evaluation sees it.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.parameters = tape.parameters.copy()
        self.flags = tape.edge_flags()
        self._addresses = kernels.row_addresses(tape.opcode)
        self._values = np.zeros(tape.size)
        self._values[tape.num_inputs + tape.num_parameters : tape.first_operation] = tape.constants
        self._point = self._values[: tape.num_inputs]
        self._present = self._values[tape.num_inputs : tape.num_inputs + tape.num_parameters]
        self._outputs = tape.outputs.astype(np.intp)
        self._same = np.zeros(max(tape.num_inputs, tape.num_parameters), dtype=bool)
        self._partials = np.zeros((0, 2))
        self._second = np.zeros((0, 3))
        self._row_coef = tape.row_coef.copy() if tape.sites else tape.row_coef
        self._order = -1
        self._segments = _segments(tape)
        self._buffers: dict[str, Array] = {}
        self._bound: dict[tuple[Kernel, int, int], Bound] = {}

    @property
    def _structure(self) -> tuple[Array, ...]:
        tape = self.tape
        return tape.opcode, tape.arg0, tape.arg1, tape.row_ptr, tape.row_arg, self._row_coef

    def _lanes(self, name: str, width: int) -> Array:
        """A buffer of one number per node and lane; it stays, so that evaluations allocate nothing."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < self.tape.size * width:
            buffer = self._buffers[name] = np.empty(self.tape.size * width)
            self._bound.clear()
        return buffer[: self.tape.size * width].reshape(self.tape.size, width)

    def _run(self, kernel: Kernel, key: int, *args: Any) -> None:
        """Run a kernel whose arguments are the same whenever the key and the last two of them, the nodes, are."""
        found = self._bound.get((kernel, key, args[-2]))
        if found is None:
            found = self._bound[kernel, key, args[-2]] = kernel.bind(*args)
        found()

    def _unchanged(self, kept: Array, given: Array) -> bool:
        same = self._same[: kept.size]
        np.equal(kept, given, out=same)
        return bool(same.all())

    def linearise(self, x: Array, order: int) -> Array:
        """Values of all nodes at ``x``, and their partials up to ``order``; nothing is redone at an unchanged point."""
        tape = self.tape
        x = np.asarray(x, dtype=float)
        if x.shape != (tape.num_inputs,):
            raise ShapeError(
                f"x has shape {x.shape}, but the function was traced with {tape.num_inputs} inputs; pass shape ({tape.num_inputs},)"
            )
        if order <= self._order and self._unchanged(self._point, x) and self._unchanged(self._present, self.parameters):
            return self._values
        self._order = -1
        self._point[:] = x
        self._present[:] = self.parameters
        if order > 0 and self._partials.shape[0] == 0:
            self._partials = np.zeros((tape.size, 2))
        if order > 1 and self._second.shape[0] == 0:
            self._second = np.zeros((tape.size, 3))
        for start, stop, site in self._segments:
            if site is None:
                self._run(
                    kernels.linearise(), order, *self._structure, tape.row_const, self._addresses,
                    self._values, self._partials, self._second, order, start, stop,
                )  # fmt: skip
            else:
                self._linearise_call(site, start, stop, order)
        self._order = order
        return self._values

    def _linearise_call(self, site: CallSite, start: int, stop: int, order: int) -> None:
        args = self._values[site.args]
        self._values[start:stop] = site.function.value(args)
        if order > 0:
            first = self.tape.row_ptr[self.tape.arg0[start]]
            last = self.tape.row_ptr[self.tape.arg0[stop - 1] + 1]
            self._row_coef[first:last] = site.function.jacobian(args)

    def outputs(self, x: Array) -> Array:
        """Values of the outputs at ``x``."""
        return np.take(self.linearise(x, order=0), self._outputs, mode="clip")

    def tangents(self, x: Array, seed: Array, out: Array | None = None) -> Array:
        """Jacobian times seed: ``(num_inputs, lanes)`` to ``(num_outputs, lanes)``, written to ``out`` if given."""
        self.linearise(x, order=1)
        out = np.empty((self.tape.num_outputs, seed.shape[1])) if out is None else out
        for lanes in self._lane_chunks(seed.shape[1], arrays=1):
            t = self._forward(seed[:, lanes])
            # The indices are valid; "raise" would buffer the output.
            np.take(t, self._outputs, axis=0, out=out[:, lanes], mode="clip")
        return out

    def adjoints(self, x: Array, seed: Array, out: Array | None = None) -> Array:
        """Transposed Jacobian times seed: ``(num_outputs, lanes)`` to ``(num_inputs, lanes)``, written to ``out`` if given."""
        tape = self.tape
        self.linearise(x, order=1)
        out = np.empty((tape.num_inputs, seed.shape[1])) if out is None else out
        for lanes in self._lane_chunks(seed.shape[1], arrays=1):
            part = seed[:, lanes]
            w = self._lanes("s", part.shape[1])
            w.fill(0.0)
            kernels.add_rows(w, tape.outputs, np.ascontiguousarray(part))
            for start, stop, _ in reversed(self._segments):
                self._run(
                    kernels.reverse,
                    w.shape[1],
                    *self._structure,
                    self._values,
                    self._partials,
                    self.flags,
                    w,
                    start,
                    stop,
                )
            out[:, lanes] = w[: tape.num_inputs]
        return out

    def second_order(self, x: Array, weights: Array, seed: Array, out: Array | None = None) -> Array:
        """Hessian of ``weights @ outputs`` times seed, by forward over reverse: ``(num_inputs, lanes)`` to the same."""
        tape = self.tape
        self.linearise(x, order=2)
        out = np.empty(seed.shape) if out is None else out
        for lanes in self._lane_chunks(seed.shape[1], arrays=2):
            t = self._forward(seed[:, lanes])
            w, s = self._lanes("w", 1), self._lanes("s", t.shape[1])
            w.fill(0.0)
            s.fill(0.0)
            kernels.add_rows(w, tape.outputs, np.ascontiguousarray(weights)[:, None])
            for start, stop, site in reversed(self._segments):
                adjoints = w[start:stop, 0].copy() if site is not None else None
                self._run(
                    kernels.second_reverse, t.shape[1], *self._structure, self._values, self._partials, self._second,
                    self.flags, t, w[:, 0], s, start, stop,
                )  # fmt: skip
                if site is not None and adjoints is not None and adjoints.any():
                    _second_order_call(site, self._values[site.args], adjoints, t, s)
            out[:, lanes] = s[: tape.num_inputs]
        return out

    def _forward(self, seed: Array) -> Array:
        tape = self.tape
        t = self._lanes("t", seed.shape[1])
        t[: tape.num_inputs] = seed
        t[tape.num_inputs : tape.first_operation] = 0.0
        for start, stop, _ in self._segments:
            self._run(
                kernels.forward, t.shape[1], *self._structure, self._values, self._partials, self.flags, t, start, stop
            )
        return t

    def _lane_chunks(self, lanes: int, arrays: int) -> list[slice]:
        width = max(1, min(lanes, LANE_BYTES // (8 * arrays * max(1, self.tape.size))))
        return [slice(k, min(k + width, lanes)) for k in range(0, lanes, width)]


def _second_order_call(site: CallSite, args: Array, adjoints: Array, t: Array, s: Array) -> None:
    rows, cols = site.args[site.function.hessian_rows], site.args[site.function.hessian_cols]
    values = np.asarray(site.function.hessian(args, adjoints), dtype=float)[:, None]
    np.add.at(s, rows, np.where(t[cols] != 0.0, values * t[cols], 0.0))
    off_diagonal = site.function.hessian_rows != site.function.hessian_cols
    rows, cols, values = rows[off_diagonal], cols[off_diagonal], values[off_diagonal]
    np.add.at(s, cols, np.where(t[rows] != 0.0, values * t[rows], 0.0))


def _segments(tape: Tape) -> list[tuple[int, int, CallSite | None]]:
    """Stretches of nodes between black-box calls, and the calls' own nodes, in order."""
    segments: list[tuple[int, int, CallSite | None]] = []
    start = tape.first_operation
    for site in tape.sites:
        segments.append((start, site.first, None))
        start = site.first + site.function.num_outputs
        segments.append((site.first, start, site))
    segments.append((start, tape.size, None))
    return [segment for segment in segments if segment[0] < segment[1]]
