"""Trace a function and compare the tape with plain NumPy."""

from __future__ import annotations

import numpy as np

from sct_opt.tracing import trace_function
from tests import tape_oracle as oracle


def assert_traces(f, x, *, shape=True, derivatives=True, rtol=1e-12, seed=0, positive=False):
    """Value, first derivative and pattern of the traced tape against the plain function at signed points."""
    x = np.asarray(x, dtype=float)
    traced = trace_function(f, x)
    rng = np.random.default_rng(seed)
    for _ in range(2):
        point = rng.uniform(-2.0, 2.0, x.shape)
        if positive:
            point = np.abs(point) + 0.1
        with np.errstate(all="ignore"):
            expected = f(point.copy())
        if shape and not isinstance(expected, (list, tuple)):
            assert traced.output_shape == np.shape(expected)
        flat = oracle.flatten(expected)
        np.testing.assert_allclose(oracle.evaluate(traced.tape, point), flat, rtol=rtol, atol=1e-12)
        if derivatives:
            exact = oracle.jacobian(traced.tape, point)
            with np.errstate(all="ignore"):
                numeric = oracle.numeric_jacobian(f, point)
            np.testing.assert_allclose(
                exact, numeric, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(numeric).max(initial=0.0))
            )
            pattern = oracle.jacobian_pattern(traced.tape)
            assert not (~pattern & (np.abs(numeric) > 1e-4)).any()
    local = trace_function(f, point, local=True)
    np.testing.assert_allclose(oracle.evaluate(local.tape, point), flat, rtol=rtol, atol=1e-12)
    return traced
