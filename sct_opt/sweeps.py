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
from sct_opt.tape import CallSite, Tape

Array = np.ndarray[Any, Any]

LANE_BYTES = 1 << 26
"""Memory that one sweep's lanes may take; more lanes go in several sweeps."""


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
        self._partials = np.zeros((0, 2))
        self._second = np.zeros((0, 3))
        self._row_coef = tape.row_coef.copy() if tape.sites else tape.row_coef
        self._order = -1
        self._segments = _segments(tape)

    @property
    def _structure(self) -> tuple[Array, ...]:
        tape = self.tape
        return tape.opcode, tape.arg0, tape.arg1, tape.row_ptr, tape.row_arg, self._row_coef

    def linearise(self, x: Array, order: int) -> Array:
        """Values of all nodes at ``x``, and their partials up to ``order``; nothing is redone at an unchanged point."""
        tape = self.tape
        x = np.asarray(x, dtype=float)
        if x.shape != (tape.num_inputs,):
            raise ShapeError(
                f"x has shape {x.shape}, but the function was traced with {tape.num_inputs} inputs; pass shape ({tape.num_inputs},)"
            )
        leaves = self._values[: tape.num_inputs + tape.num_parameters]
        point = np.concatenate([x, self.parameters]) if self.parameters.size else x
        if order <= self._order and np.array_equal(leaves, point):
            return self._values
        self._order = -1
        leaves[:] = point
        if order > 0 and self._partials.shape[0] == 0:
            self._partials = np.zeros((tape.size, 2))
        if order > 1 and self._second.shape[0] == 0:
            self._second = np.zeros((tape.size, 3))
        for start, stop, site in self._segments:
            if site is None:
                kernels.linearise()(
                    *self._structure,
                    tape.row_const,
                    self._addresses,
                    self._values,
                    self._partials,
                    self._second,
                    start,
                    stop,
                    order,
                )
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
        return self.linearise(x, order=0)[self.tape.outputs]

    def tangents(self, x: Array, seed: Array) -> Array:
        """Jacobian times seed: ``(num_inputs, lanes)`` to ``(num_outputs, lanes)``."""
        self.linearise(x, order=1)
        out = np.empty((self.tape.num_outputs, seed.shape[1]))
        for lanes in self._lane_chunks(seed.shape[1], arrays=1):
            out[:, lanes] = self._forward(seed[:, lanes])[self.tape.outputs]
        return out

    def adjoints(self, x: Array, seed: Array) -> Array:
        """Transposed Jacobian times seed: ``(num_outputs, lanes)`` to ``(num_inputs, lanes)``."""
        tape = self.tape
        self.linearise(x, order=1)
        out = np.empty((tape.num_inputs, seed.shape[1]))
        for lanes in self._lane_chunks(seed.shape[1], arrays=1):
            w = np.zeros((tape.size, seed[:, lanes].shape[1]))
            np.add.at(w, tape.outputs, seed[:, lanes])
            for start, stop, _ in reversed(self._segments):
                kernels.reverse(*self._structure, self._values, self._partials, self.flags, w, start, stop)
            out[:, lanes] = w[: tape.num_inputs]
        return out

    def second_order(self, x: Array, weights: Array, seed: Array) -> Array:
        """Hessian of ``weights @ outputs`` times seed, by forward over reverse: ``(num_inputs, lanes)`` to the same."""
        tape = self.tape
        self.linearise(x, order=2)
        out = np.empty(seed.shape)
        for lanes in self._lane_chunks(seed.shape[1], arrays=2):
            t = self._forward(seed[:, lanes])
            w = np.zeros(tape.size)
            np.add.at(w, tape.outputs, weights)
            s = np.zeros(t.shape)
            for start, stop, site in reversed(self._segments):
                adjoints = w[start:stop].copy() if site is not None else None
                kernels.second_reverse(
                    *self._structure, self._values, self._partials, self._second, self.flags, t, w, s, start, stop
                )
                if site is not None and adjoints is not None and adjoints.any():
                    _second_order_call(site, self._values[site.args], adjoints, t, s)
            out[:, lanes] = s[: tape.num_inputs]
        return out

    def _forward(self, seed: Array) -> Array:
        tape = self.tape
        t = np.empty((tape.size, seed.shape[1]))
        t[: tape.num_inputs] = seed
        t[tape.num_inputs : tape.first_operation] = 0.0
        for start, stop, _ in self._segments:
            kernels.forward(*self._structure, self._values, self._partials, self.flags, t, start, stop)
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
