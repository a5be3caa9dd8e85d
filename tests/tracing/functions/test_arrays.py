"""Tests of the array surface: every function against plain NumPy, by family."""

import numpy as np
import pytest
import scipy.sparse as sp

import sct_opt.tracing as so
from sct_opt.errors import MissingPrimalError, TracingError
from sct_opt.tracing import trace_function
from tests import tape_oracle as oracle
from tests.tracing.check import assert_traces

A = np.random.default_rng(2).normal(size=(3, 4))
B = np.random.default_rng(3).normal(size=(4, 2))
V = np.array([1.0, -2.0, 0.5])


def grid(x):
    return x.reshape(3, 4)


def placed(x):
    y = x.copy()
    np.put(y, [0, 3], [x[1], 2.0])
    np.place(y, np.arange(12) > 9, [7.0])
    np.putmask(y, np.arange(12) == 5, x[::-1])
    np.copyto(y[1:3], x[4:6])
    z = grid(y).copy()
    np.fill_diagonal(z, x[0])
    np.put_along_axis(z, np.array([[3], [2], [1]]), x[:3, None], axis=1)
    return z


def chosen(x):
    y = x.copy()
    y[x > 0] = 0.5 * x[x.size - 1]
    y[y < -1] *= 3
    y[y > 1] = y[y > 1] ** 2 - 1.0
    return np.append(y, [np.sum(x[x > 0] ** 2), x[x < 0].mean(), np.max(x[x < 1])])


SHAPE = {
    "reshape": lambda x: [
        grid(x).reshape(4, -1),
        x.reshape((2, 6), order="F"),
        np.reshape(x, (6, 2)),
        grid(x).T.ravel(),
        grid(x).flatten("F"),
    ],
    "axes": lambda x: [
        np.transpose(x.reshape(2, 3, 2), (2, 0, 1)),
        np.moveaxis(grid(x), 0, 1),
        np.swapaxes(grid(x), 0, 1),
        np.rollaxis(grid(x), 1),
        np.matrix_transpose(grid(x)),
        grid(x).mT,
    ],
    "dimensions": lambda x: [
        np.expand_dims(x, 1),
        np.squeeze(x[None]),
        x[:, None],
        x[None, ..., None],
        np.atleast_3d(x),
    ],
    "flip": lambda x: [
        np.flip(x),
        np.flip(grid(x), 1),
        np.fliplr(grid(x)),
        np.flipud(grid(x)),
        np.rot90(grid(x)),
        x[::-2],
    ],
    "roll": lambda x: [np.roll(grid(x), (1, 2), (0, 1)), np.roll(grid(x), 5)],
    "repeat": lambda x: [
        np.repeat(x, 2),
        np.repeat(grid(x), [1, 0, 2], axis=0),
        np.tile(x, 2),
        np.tile(grid(x), (2, 1)),
        np.broadcast_to(x, (2, 12)),
        np.resize(x, 5),
    ],
    "join": lambda x: [
        np.concatenate([grid(x), A], axis=1),
        np.stack([x, x]),
        np.vstack([grid(x), A]),
        np.hstack([x, 1.0]),
        np.dstack([x, x]),
        np.column_stack([x, x * x]),
        np.append(x, 1.0),
        np.append(grid(x), A, axis=0),
        np.block([[grid(x), A], [A, grid(x)]]),
    ],
    "split": lambda x: [
        *np.split(x, 3),
        *np.array_split(x, 5),
        *np.hsplit(grid(x), 2),
        *np.vsplit(grid(x), 3),
        *np.split(grid(x), [1, 2], axis=1),
    ],
    "edit": lambda x: [
        np.insert(x, 2, 5.0),
        np.insert(x, [1, 3], x[:2]),
        np.delete(x, 1),
        np.delete(grid(x), [0, 2], axis=0),
        np.compress([True, False, True], x),
        np.extract(np.arange(12) % 3 == 0, x),
    ],
    "take": lambda x: [
        np.take(grid(x), [0, 2], axis=1),
        np.take_along_axis(grid(x), np.array([[3], [2], [1]]), 1),
        grid(x)[[0, 1], [2, 3]],
        grid(x)[np.ix_([0, 2], [1, 3])],
        grid(x)[:, -1],
        grid(x)[1],
        x[np.array([[0, 1], [2, 3]])],
        grid(x)[grid(np.arange(12)) > 6],
    ],
    "diagonals": lambda x: [
        np.diag(x[:3]),
        np.diag(grid(x)),
        np.diag(x[:3], 1),
        np.diagonal(grid(x), 1),
        np.diagflat(x[:2]),
        np.tril(grid(x)),
        np.triu(grid(x), 1),
        np.trace(grid(x)),
        grid(x).trace(1),
    ],
    "pad": lambda x: [
        np.pad(x, 2),
        np.pad(grid(x), ((1, 0), (0, 2)), constant_values=3.0),
        np.pad(x, 3, mode="wrap"),
        np.pad(x, 2, mode="edge"),
        np.pad(x, 2, mode="reflect"),
        np.pad(x, 2, mode="symmetric"),
        np.pad(x, (1, 0), constant_values=x[3]),
    ],
    "windows": lambda x: [
        np.lib.stride_tricks.sliding_window_view(x, 3).sum(axis=1),
        np.lib.stride_tricks.sliding_window_view(grid(x), (2, 2)) ** 2,
    ],
    "meshgrid": lambda x: [
        *np.meshgrid(x[:3], x[3:5]),
        *np.meshgrid(x[:2], V, indexing="ij"),
        *np.broadcast_arrays(x[:, None], x[:2]),
    ],
    "place": placed,
    "masked assignment": chosen,
    "queries": lambda x: [
        np.shape(x)[0] * x[0],
        np.ndim(x) * x[1],
        np.size(x) * x[2],
        len(grid(x)) * x[3],
        x.nbytes * x[0],
        x.itemsize * x[1],
    ],
    "iterate": lambda x: (
        [row.sum() for row in grid(x)] + [v * 2 for v in x.flat] + [v for _, v in np.ndenumerate(grid(x))]
    ),
}
ALGEBRA = {
    "einsum": lambda x: [
        np.einsum("ij,jk->ik", grid(x), B),
        np.einsum("ij,ij", grid(x), A),
        np.einsum("ij->ji", grid(x)),
        np.einsum("ii->i", x[:9].reshape(3, 3)),
        np.einsum("ij->", grid(x)),
        np.einsum("i,j->ij", x[:2], x[2:5]),
        np.einsum("ij,jk,k->i", grid(x), B, x[:2]),
        np.einsum("...j,j->...", grid(x), x[:4]),
        np.einsum("bij,bjk->bik", x.reshape(3, 2, 2), x.reshape(3, 2, 2)),
        np.einsum("ii", x[:4].reshape(2, 2)),
    ],
    "einsum lists": lambda x: [np.einsum(grid(x), [0, 1], B, [1, 2], [0, 2]), np.einsum(x, [0], x, [0])],
    "einsum implicit": lambda x: [
        np.einsum("ij,jk", grid(x), B),
        np.einsum("ba", grid(x)),
        np.einsum("i,i", x, x),
        np.einsum("i...->...", grid(x)),
    ],
    "tensordot": lambda x: [
        np.tensordot(grid(x), B, 1),
        np.tensordot(grid(x), A, 2),
        np.tensordot(A, grid(x), axes=([0, 1], [0, 1])),
        np.tensordot(x.reshape(2, 3, 2), x.reshape(3, 2, 2), axes=([1, 0], [0, 2])),
        np.tensordot(x[:2], x[:3], 0),
    ],
    "products": lambda x: [
        np.outer(x[:3], V),
        np.kron(x[:2], V),
        np.kron(grid(x), B),
        np.kron(A[:2, :2], x[:4].reshape(2, 2)),
        np.inner(grid(x), A),
        np.vdot(grid(x), A),
        np.cross(x[:3], V),
        np.cross(grid(x)[:, :3], A[:, :3]),
        np.cross(x[:3], x[3:6]),
        np.linalg.multi_dot([A.T, grid(x), B]),
    ],
    "matmul": lambda x: [
        np.matmul(x.reshape(3, 2, 2), np.eye(2) * 2),
        np.matmul(B.T, x.reshape(3, 4, 1)),
        x.reshape(3, 2, 2) @ x[:2],
        np.matmul(np.stack([B, B]), x.reshape(2, 2, 3)),
        np.vecdot(grid(x), A),
        np.dot(grid(x), 2.0),
        np.dot(x.reshape(2, 3, 2), np.ones((3, 2, 4))),
        np.matmul(x.reshape(3, 2, 2), np.stack([np.eye(2)] * 3) * 2),
    ],
    "polynomial": lambda x: [
        np.polyval(x[:3], x[3:]),
        np.polyval([1.0, 2.0], x),
        np.polyder(x[:4]),
        np.convolve(x[:4], V),
        np.polymul(x[:3], x[3:6]),
        np.polynomial.polynomial.polyval(x[0], x[:3]),
    ],
}
REDUCTION = {
    "sums": lambda x: [
        np.sum(grid(x), axis=(0, 1)),
        np.sum(grid(x), axis=0, keepdims=True),
        np.sum(x, initial=3.0),
        np.average(x, weights=np.arange(12.0) + 1),
        np.average(grid(x), axis=1, weights=x[:4] ** 2 + 1),
        np.count_nonzero(V) * x[0],
        np.add.reduceat(x, [0, 3, 7]),
    ],
    "products": lambda x: [
        np.prod(grid(x), axis=1),
        np.cumprod(grid(x), axis=1),
        x.prod(),
        np.prod(x[:3], initial=2.0),
    ],
    "extrema": lambda x: [
        np.max(x),
        np.min(grid(x), axis=1, keepdims=True),
        np.max(x, initial=0.0),
        np.amax(grid(x), 0),
        np.ptp(grid(x), axis=0),
        np.max(x, where=np.arange(12) > 4, initial=-5.0),
        np.maximum.accumulate(x),
        np.fmax.reduce(x),
        np.logaddexp.reduce(x),
    ],
    "moments": lambda x: [
        np.var(grid(x), axis=1, ddof=1),
        np.std(x),
        np.mean(x, where=np.arange(12) > 3),
        np.cov(grid(x)),
        np.corrcoef(grid(x)),
    ],
    "running": lambda x: [
        np.cumsum(grid(x), axis=0),
        np.cumsum(x),
        np.cumulative_sum(x, include_initial=True),
        np.diff(grid(x), axis=1, n=2),
        np.ediff1d(x, to_end=x[0]),
    ],
    "nan": lambda x: [
        np.nansum(np.where(np.arange(12) > 5, x, np.nan)),
        np.nanmean(np.where(np.arange(12) > 5, x, np.nan)),
        np.nanmax(np.where(np.arange(12) > 5, x, np.nan)),
        np.nanmin(x),
        np.nanstd(np.where(np.arange(12) > 5, x, np.nan)),
        np.nanprod(x),
        np.nancumsum(x),
    ],
    "order": lambda x: [
        np.sort(x),
        np.sort(grid(x), axis=0),
        np.median(x),
        np.median(grid(x), axis=1),
        np.quantile(x, [0.1, 0.7]),
        np.percentile(grid(x), 30, axis=0),
        np.partition(x, 3)[:4].sum(),
    ],
    "truth": lambda x: [
        np.where(np.all(x > -5), x, 0.0),
        np.where((grid(x) > 0).any(axis=1), x[:3], 1.0),
        np.any(x > 5) * x[0],
        np.all(x < 5) * x[0],
        (x > 0).sum() * x[0],
        np.isclose(x, x) * x,
    ],
}
SELECTION = {
    "select": lambda x: [
        np.select([x < -1, x < 1], [x * 2, x**2], default=0.5),
        np.select([x > 0], [x]),
        np.piecewise(x, [x < 0, x >= 0], [lambda v: -v, lambda v: v * v]),
        np.piecewise(x, [x > 1], [2.0, lambda v: v]),
    ],
    "choose": lambda x: [np.choose(np.arange(12) % 2, [x, -x]), np.choose((x > 0).astype(int), [x, x * x])],
    "clip": lambda x: [np.clip(x, -1.0, 1.0), np.clip(x, None, x[0]), x.clip(min=0.0), np.clip(grid(x), A, A + 1)],
    "where": lambda x: [
        np.where(grid(x) > 0, grid(x), x[:4]),
        np.where(np.arange(12) > 5, x, 0),
        so.where(x[0] > 0, x[1], 2.0),
        np.where([x[0] > 0, True], x[:2], 0.0),
    ],
    "rounding": lambda x: [
        np.round(x, 1) * x,
        np.fix(x) + x,
        np.around(x * 10, -1) + x,
        np.trunc(x) * x,
        x.round() * x,
    ],
}
CALCULUS = {
    "gradient": lambda x: [
        np.gradient(x),
        np.gradient(x, 0.5),
        np.gradient(x, np.arange(12.0) ** 1.5),
        np.gradient(x, edge_order=2),
        *np.gradient(grid(x)),
        np.gradient(grid(x), axis=1),
        np.gradient(x[:4], np.cumsum(x[4:8] ** 2 + 1)),
        np.gradient(x, np.arange(12.0) ** 1.2, edge_order=2),
    ],
    "integrals": lambda x: [np.trapezoid(x), np.trapezoid(grid(x), dx=0.5, axis=0), np.trapezoid(x, np.cumsum(x**2))],
    "various": lambda x: [
        np.sinc(x),
        np.unwrap(x * 3),
        np.angle(x) * x,
        np.i0(x),
        np.nan_to_num(x),
        np.real(x),
        np.imag(x) + x[0],
    ],
    "along axis": lambda x: [
        np.apply_along_axis(lambda v: v.sum() * v[0], 1, grid(x)),
        np.apply_along_axis(np.cumsum, 0, grid(x)),
        np.apply_over_axes(np.sum, grid(x), [0, 1]),
    ],
}
ALL = {
    f"{family}: {name}": f
    for family, table in [
        ("shape", SHAPE),
        ("algebra", ALGEBRA),
        ("reduction", REDUCTION),
        ("selection", SELECTION),
        ("calculus", CALCULUS),
    ]
    for name, f in table.items()
}


@pytest.mark.parametrize("name", ALL)
def test_function(name):
    assert_traces(ALL[name], np.zeros(12), rtol=1e-10, derivatives=name != "calculus: various")


def test_selection_is_a_copy():
    def f(x):
        condition = x > 0
        selected = x[condition]
        condition[:] = False
        x[:] = 0.0
        return selected.sum()

    assert_traces(lambda x: f(x.copy()), np.zeros(5))


def test_sorting_networks_sort():
    for n in range(1, 20):
        tape = trace_function(np.sort, np.zeros(n)).tape
        x = np.random.default_rng(n).normal(size=n)
        np.testing.assert_array_equal(oracle.evaluate(tape, x), np.sort(x))


def test_moving_entries_costs_no_node():
    def f(x):
        rolled = np.roll(x.reshape(3, 4).T, 1, axis=0).ravel()
        return np.concatenate([rolled, np.pad(x, 2)[1:4], np.tril(x.reshape(3, 4)).ravel()])

    tape = trace_function(f, np.zeros(12)).tape
    assert tape.size - tape.first_operation == 0


def test_constant_zeros_cost_no_term():
    tape = trace_function(lambda x: np.diag([1.0, 2.0, 3.0]) @ x, np.zeros(3)).tape
    assert tape.row_arg.size <= 3


def test_convolution_layer_pattern():
    kernel = np.arange(1.0, 55.0).reshape(3, 3, 3, 2)

    def layer(x):
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))
        return np.einsum("ijcab,abco->ijo", windows, kernel)

    tape = trace_function(layer, np.zeros((28, 28, 3))).tape
    assert tape.num_outputs == 1352
    assert tape.num_inputs == 2352
    assert tape.row_arg.size == 36504


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda x: np.nanmean(x, where=[True, False, True]), TracingError),
        (lambda x: np.quantile(x, 0.5, weights=V, method="inverted_cdf"), TracingError),
        (lambda x: np.argsort(x), TracingError),
        (lambda x: np.unique(x), TracingError),
        (lambda x: np.searchsorted(V, x), TracingError),
        (lambda x: np.quantile(V, x[0]), MissingPrimalError),
        (lambda x: np.pad(x, 1, mode="mean"), TracingError),
        (lambda x: x[x > 0], TracingError),
        (lambda x: x[x > 0][0], TracingError),
        (lambda x: x[x > 0] + x[:2], TracingError),
        (lambda x: x[x > 0] + x[x > 1], TracingError),
        (lambda x: sp.csr_array((x, ([0, 1, 2], [0, 1, 2]))) @ x, TracingError),
    ],
)
def test_refusals_name_the_place(f, error):
    with pytest.raises(error, match=r"test_arrays\.py"):
        trace_function(f, np.zeros(3))
