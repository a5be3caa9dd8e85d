"""Random NumPy programs: values, patterns and derivatives of their traces against plain NumPy and a second exact route.

``pytest -m sweep`` runs ten thousand of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from sct_opt.api import SparseJacobian, hessian_sparsity, jacobian_sparsity
from sct_opt.derivatives import Derivatives
from sct_opt.detection import (
    TracerLocalSparsityDetector,
    TracerSparsityDetector,
    hessian_pattern,
    jacobian_pattern,
    local_flags,
)
from sct_opt.errors import MissingPrimalError
from sct_opt.ops import OPCODE
from sct_opt.pattern import SparsityPattern
from sct_opt.programs import EngineOptions, Mode
from sct_opt.sweeps import evaluate_nodes
from sct_opt.tape import Tape
from sct_opt.tracing import trace_function
from tests import random_tapes
from tests.properties.numpy_programs import SHAPES, NumpyProgram, numpy_program, numpy_programs
from tests.tape_oracle import flatten

Array = np.ndarray[Any, Any]
MASKINGS = ("sct", "piecewise", "all")
ROUNDING = 1e-13
MODES: tuple[Mode, ...] = ("compressed", "programs")


def plain(program: NumpyProgram, x: Array) -> Array:
    """The program's outputs in plain NumPy, flat."""
    with np.errstate(all="ignore"):
        return flatten(program.function(x.reshape(program.x.shape).copy() if program.x.ndim else x.ravel()[0]))


def differences(f: Any, x: Array, step: float) -> Array:
    """Jacobian by central differences, extrapolated once."""
    columns = []
    for j in range(x.size):
        slope = []
        for h in (step, step / 2):
            up, down = x.copy(), x.copy()
            up[j] += h
            down[j] -= h
            slope.append((f(up) - f(down)) / (up[j] - down[j]))
        columns.append((4 * slope[1] - slope[0]) / 3)
    return np.stack(columns, axis=-1) if columns else np.zeros((f(x).size, 0))


def assert_slopes(exact: Array, f: Any, x: Array, tolerance: float) -> None:
    """Exact derivatives agree with differences, up to what differences of two step sizes leave open."""
    with np.errstate(all="ignore"):
        coarse, fine = differences(f, x, 1e-3), differences(f, x, 2.5e-4)
    known = np.isfinite(coarse) & np.isfinite(fine) & np.isfinite(exact)
    allowed = tolerance * (1.0 + np.abs(exact)) + 20.0 * np.abs(fine - coarse)
    wrong = known & ~(np.abs(exact - fine) <= allowed)
    if wrong.any():  # jumps may lie so close that only tiny steps stay between them
        tiny = differences(f, x, 1e-8)
        wrong &= ~(np.abs(exact - tiny) <= 1e-4 * (1.0 + np.abs(exact)))
    assert not wrong.any(), f"at {np.argwhere(wrong).tolist()}: {exact[wrong]} but differences give {fine[wrong]}"


def points(program: NumpyProgram) -> list[Array]:
    """The program's own signed point and others where it is finite, flat."""
    return [x.ravel() for x in (program.x, *program.elsewhere)]


def check_values(program: NumpyProgram, tape: Tape) -> None:
    for x in points(program):
        expected = plain(program, x)
        found = evaluate_nodes(tape, x)[tape.outputs]
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11 * (1.0 + np.abs(expected).max(initial=0.0)))


def check_patterns(program: NumpyProgram, tape: Tape) -> None:
    """What changes when an input changes a little is in the pattern, to the last bit, at any point.

    A step function (``//``, ``floor``) changes without having a slope: there the tape must know that the value depends.
    """
    jacobian, hessian = jacobian_pattern(tape).toarray(), hessian_pattern(tape).toarray()
    known = jacobian | step_dependences(tape)
    assert (hessian == hessian.T).all()
    weights = np.random.default_rng(0).normal(size=tape.num_outputs)
    derivatives = Derivatives(tape)
    for x in points(program):
        for j in range(x.size):
            near = x.copy()
            near[j] += 1e-6 * (1.0 + abs(x[j]))
            changed = [_differ(plain(program, x + d), plain(program, near + d)) for d in (0.0, 1e-3)]
            missed = changed[0] & changed[1] & ~known[:, j]
            assert not missed.any(), f"output {missed.argmax()} depends on input {j}"
            changed = [
                _differ(derivatives.vjp(x + d, weights), derivatives.vjp(near + d, weights)) for d in (0.0, 1e-3)
            ]
            missed = changed[0] & changed[1] & ~hessian[:, j]
            assert not missed.any(), f"the slope of input {missed.argmax()} depends on input {j}"


STEPS = [OPCODE[name] for name in ("floor_divide", "floor", "ceil", "rint", "trunc")]


def step_dependences(tape: Tape) -> Array:
    """Outputs by inputs: whether the value depends on the input by way of a step function."""
    depends = np.eye(tape.size, tape.num_inputs, dtype=bool)
    steps = np.zeros_like(depends)
    for i in range(tape.first_operation, tape.size):
        args = random_tapes.node_args(tape, i)
        depends[i] = depends[args].any(axis=0)
        steps[i] = depends[i] if tape.opcode[i] in STEPS else steps[args].any(axis=0)
    found: Array = steps[tape.outputs]
    return found


def _differ(a: Array, b: Array) -> Array:
    return np.isfinite(a) & np.isfinite(b) & (a != b)


def check_local(program: NumpyProgram, tape: Tape) -> None:
    """Local patterns hold all nonzeros at their point, and nothing that the global ones do not hold."""
    x = program.x.ravel()
    _, jacobian, hessians = random_tapes.derivatives(tape, x)
    whole = jacobian_pattern(tape).toarray(), hessian_pattern(tape).toarray()
    values = evaluate_nodes(tape, x)
    try:
        traced_locally = trace_function(program.function, program.x, local=True).tape
    except MissingPrimalError:  # a copy of what is a plain array at the point, filled with what depends on x
        traced_locally = tape
    np.testing.assert_allclose(
        evaluate_nodes(traced_locally, x)[traced_locally.outputs], values[tape.outputs], rtol=1e-12, atol=1e-12
    )
    for masking in MASKINGS:
        for candidate in (tape, traced_locally):
            flags = local_flags(candidate, evaluate_nodes(candidate, x), masking)
            found = jacobian_pattern(candidate, flags).toarray(), hessian_pattern(candidate, flags).toarray()
            # Not exactly zero: x / (3 * x) has a slope of rounding error, and so have its ties.
            assert not (np.abs(np.nan_to_num(jacobian)[~found[0]]) > ROUNDING).any()
            assert not (np.abs(np.nan_to_num(hessians)[:, ~found[1]]) > ROUNDING).any()
            assert not (found[0] & ~whole[0]).any()
            assert not (found[1] & ~whole[1]).any()


def check_derivatives(program: NumpyProgram, tape: Tape) -> None:
    x = program.x.ravel()
    weights = np.random.default_rng(1).normal(size=tape.num_outputs)
    values, exact, exact_second = random_tapes.derivatives(tape, x)
    second = np.tensordot(weights, exact_second, axes=1)
    for mode in MODES:
        derivatives = Derivatives(tape, options=EngineOptions(mode=mode))
        jacobian = dense(derivatives.jacobian_pattern, derivatives.jacobian_values(x))
        lower = dense(derivatives.hessian_lower_pattern, derivatives.hessian_values(x, weights))
        hessian = lower + np.tril(lower, -1).T
        _assert_close(derivatives.values(x), values)
        _assert_close(jacobian, exact)
        _assert_close(hessian, second)
        _assert_close(derivatives.vjp(x, weights), weights @ exact)
    jacobian = SparseJacobian(program.function, program.x)(program.x).toarray()
    assert_slopes(jacobian, lambda at: plain(program, at), x, 1e-6)
    assert_slopes(hessian, lambda at: derivatives.vjp(at, weights), x, 1e-6)


def dense(pattern: SparsityPattern, values: Array) -> Array:
    out = np.zeros(pattern.shape)
    out[pattern.coo()] = values
    return out


def _assert_close(found: Array, expected: Array) -> None:
    known = np.isfinite(expected)
    scale = 1.0 + np.abs(expected[known]).max(initial=0.0)
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-8, atol=1e-9 * scale)


@np.errstate(all="ignore")
def check(program: NumpyProgram) -> None:
    tape = trace_function(program.function, program.x).tape
    check_values(program, tape)
    check_patterns(program, tape)
    check_local(program, tape)
    check_derivatives(program, tape)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(numpy_programs())
def test_random_numpy_programs(program: NumpyProgram) -> None:
    check(program)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(numpy_programs())
def test_detectors_nest(program: NumpyProgram) -> None:
    """Conservative constants keep more, exact ones less, local detection least."""
    detectors = (TracerSparsityDetector("conservative"), TracerSparsityDetector(), TracerLocalSparsityDetector())
    patterns = [jacobian_sparsity(program.function, program.x, detector).toarray() for detector in detectors]
    assert (patterns[0] >= patterns[1]).all()
    assert (patterns[1] >= patterns[2]).all()
    total = [
        hessian_sparsity(lambda x: _sum(program.function(x)), program.x, detector).toarray() for detector in detectors
    ]
    assert (total[0] >= total[1]).all()
    assert (total[1] >= total[2]).all()


def _sum(result: Any) -> Any:
    return sum(map(_sum, result), 0.0) if isinstance(result, (list, tuple)) else np.sum(result)


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy, for what some programs do
@pytest.mark.filterwarnings("ignore:floating point number truncated:RuntimeWarning")  # orders of special functions
@pytest.mark.parametrize("block", range(100))
def test_ten_thousand_programs(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        program = numpy_program(seed, size=2 + seed % 17, shape=SHAPES[seed % len(SHAPES)], outputs=1 + seed % 3)
        try:
            check(program)
        except Exception as error:
            error.add_note(f"in program {seed}: {program}")
            raise
