"""What shares memory in NumPy shares it in a trace, and what is a copy there is a copy here.

Each expression is followed by a write into its source or its result; the trace must then hold what plain NumPy holds.
A copy that is secretly a view loses entries of patterns: ``y = np.nan_to_num(x); y[0] = 0`` would erase ``x[0]``.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from sct_opt.api import SparseHessian
from sct_opt.errors import UnsupportedOperatorError
from sct_opt.tracing import trace_function
from tests import tape_oracle as oracle

EXPRESSIONS = """
+y; y * 1; 1 * y; y + 0; 0 + y; y - 0; y / 1; y ** 1; np.power(y, 1); np.multiply(y, 1); np.positive(y); np.abs(y)
np.asarray(y); np.array(y); np.asanyarray(y); np.ascontiguousarray(y); np.asfortranarray(y); np.copy(y); y.copy(); y.view()
y[:]; y[...]; y[None]; y[::-1]; y[[0, 1, 2]]; y[np.array([True, True, False])]; y.flat[:2]; y.astype(float)
y.astype(float, copy=False); np.astype(y, float); np.astype(y, float, copy=False); y.conj(); np.conjugate(y); y.real
np.real(y); np.real_if_close(y); np.nan_to_num(y); np.nan_to_num(y, copy=False); y.T; y.ravel(); y.flatten()
y.reshape(1, 3); np.ravel(y); np.reshape(y, (3, 1)); np.transpose(y); np.squeeze(y[None]); np.piecewise(y, [y > 0.0], [1.0, 2.0]); np.swapaxes(y[None], 0, 1)
np.moveaxis(y[None], 0, 1); np.permute_dims(y); np.matrix_transpose(y[None]); np.atleast_1d(y); np.atleast_2d(y)
np.atleast_3d(y); np.expand_dims(y, 0); np.broadcast_to(y, (2, 3)); np.flip(y); np.flipud(y); np.fliplr(y[None])
np.rot90(y[None]); np.lib.stride_tricks.sliding_window_view(y, 2); np.split(y, 1)[0]; np.array_split(y, 2)[0]
np.diagonal(np.diag(y)); np.diag(y); np.tril(y); np.triu(y); np.roll(y, 0); np.roll(y, 1); np.tile(y, 1)
np.repeat(y, 1); np.take(y, [0, 1]); np.delete(y, 0); np.insert(y, 0, 5.0); np.append(y, []); np.resize(y, (3,))
np.pad(y, 0); np.concatenate([y]); np.stack([y]); np.hstack([y]); np.vstack([y]); np.column_stack([y]); np.block([y])
np.compress([True] * 3, y); np.extract([True] * 3, y); np.take_along_axis(y, np.array([0, 1, 2]), 0)
np.where(True, y, 0.0); np.where([True, True, False], y, 1.0); np.select([[True] * 3], [y]); np.choose([0, 0, 0], [y])
np.clip(y, -9, 9); np.clip(y, None, None); np.maximum(y, -np.inf); np.round(y); np.fix(y); np.sort(y)
np.partition(y, 0); np.diff(y, n=0); np.diff(y); np.ediff1d(y); np.cumsum(y); np.cumulative_sum(y); np.nancumsum(y)
np.add.accumulate(y); np.sum(y[None], axis=0); np.prod(y[None], axis=0); np.mean(y[None], axis=0)
np.max(y[None], axis=0); np.nanmax(y[None], axis=0); np.nansum(y[None], axis=0); np.median(y[None], axis=0)
np.minimum.reduce(y[None]); y.sum(keepdims=True); y.max(keepdims=True); y.mean(keepdims=True); y.round(); y.squeeze()
np.eye(3) @ y; np.dot(np.eye(3), y); np.einsum("i,i->i", y, np.ones(3)); np.kron(y, 1.0); np.outer(y, 1.0)
np.inner(y, 1.0); np.convolve(y, [1.0]); np.polyval([1.0, 0.0], y); np.gradient(y); np.unwrap(y); np.trim_zeros(y)
np.array(y).T.flat; np.array(np.broadcast_to(y, (2, 3))).T.flat
"""
WRITES = {
    "into the result": "r[...] = 7.0",
    "into the source": "y[...] = 7.0",
    "into an entry": "y[1] = x[0] * x[2]",
    "by an operator": "r += 1.0",
    "through flat": "r.flat[0] = x[1]",
}


def _function(expression: str, write: str) -> Callable[[np.ndarray], np.ndarray]:
    namespace = {"np": np}
    lines = [
        "def f(x):",
        "    y = np.array(x)",
        f"    r = {expression}",
        f"    {write}",
        "    return np.concatenate([np.ravel(y), np.ravel(r)])",
    ]
    exec("\n".join(lines), namespace)
    return namespace["f"]


@pytest.mark.parametrize(
    "expression", [e.strip() for line in EXPRESSIONS.split("\n") for e in line.split(";") if e.strip()]
)
def test_memory_is_shared_as_in_numpy(expression: str) -> None:
    x = np.array([1.5, -0.5, 2.5])
    for write in WRITES.values():
        f = _function(expression, write)
        try:
            expected = f(x)
        except (ValueError, TypeError, AttributeError):  # read-only views; flat iterators
            continue
        try:
            tape = trace_function(f, x).tape
        except UnsupportedOperatorError:
            assert expression == "np.trim_zeros(y)"  # how many entries there are depends on their values
            continue
        np.testing.assert_allclose(oracle.evaluate(tape, x), expected, rtol=1e-14, err_msg=f"{expression}; {write}")


def test_flat_writes_through_where_it_is_no_view() -> None:
    def f(x: np.ndarray) -> np.ndarray:
        y = np.zeros((2, 3))
        y.T.flat[1:4] = x
        z = np.zeros((2, 2))
        z.flat = x[:2].repeat(2)
        return np.concatenate([y.ravel(), z.ravel()])

    x = np.array([1.5, -0.5, 2.5])
    np.testing.assert_array_equal(oracle.evaluate(trace_function(f, x).tape, x), f(x))


def test_nan_to_num_replaces_what_is_not_finite() -> None:
    tape = trace_function(
        lambda x: [np.nan_to_num(x / 0.0), np.nan_to_num(x * x, nan=5.0, posinf=2.0, neginf=-2.0)], np.zeros(3)
    ).tape
    for x in (np.array([1.5, -0.5, 0.0]), np.array([np.inf, np.nan, -np.inf])):
        with np.errstate(all="ignore"):
            expected = [np.nan_to_num(x / 0.0), np.nan_to_num(x * x, nan=5.0, posinf=2.0, neginf=-2.0)]
        np.testing.assert_array_equal(oracle.evaluate(tape, x), np.concatenate(expected))


def test_sinc_has_its_derivatives_at_and_near_zero() -> None:
    hessian = SparseHessian(lambda x: np.sum(np.sinc(x)), np.zeros(1))
    for point in (0.0, 1e-9, 0.1, 0.159, 0.16, -0.7):
        y = mpmath.mpf(point)
        first, second = (float(mpmath.diff(lambda t: mpmath.sincpi(t), y, k)) for k in (1, 2))
        np.testing.assert_allclose(hessian.gradient([point]), first, atol=1e-14)
        np.testing.assert_allclose(hessian([point]).toarray(), [[second]], atol=1e-13)
