"""Tests of `sct_opt.tracing.complex` and of Fourier transforms: complex intermediates, real results."""

import numpy as np
import pytest
import scipy.fft as sf
import scipy.sparse as sp

from sct_opt.errors import TracingError
from sct_opt.tracing import trace_function
from tests.tracing.check import assert_traces

COMPLEX = {
    "power": lambda x: np.abs(np.fft.fft(x)) ** 2,
    "rfft": lambda x: [
        np.fft.rfft(x).real,
        np.fft.rfft(x).imag,
        np.fft.irfft(np.fft.rfft(x)),
        np.fft.ifft(np.fft.fft(x)).real,
        np.fft.fft(x, 8).imag,
        np.fft.fft(x, 4).real,
    ],
    "nd": lambda x: [
        np.abs(np.fft.fft2(x.reshape(2, 3))),
        np.fft.irfft2(np.fft.rfft2(x.reshape(3, 2))).ravel(),
        np.fft.fftn(x.reshape(3, 2)).real,
        np.fft.irfftn(np.fft.rfftn(x.reshape(3, 2)), s=(3, 2), axes=(0, 1)),
        np.fft.fft(x.reshape(3, 2), axis=0, norm="ortho").imag,
    ],
    "filter": lambda x: np.fft.ifft(np.fft.fft(x) * np.exp(-0.1 * np.fft.fftfreq(6) ** 2)).real,
    "rot": lambda x: [
        np.exp(1j * x).real,
        (np.exp(1j * x) * (1 + 2j)).imag,
        np.abs(1 / (1 + 1j * x)),
        np.angle(1 + 1j * x),
        ((x + 1j) ** 2).real,
        np.sqrt(x + 1j).imag,
        np.log(2 + 1j * x).real,
    ],
    "sum": lambda x: [
        np.sum(np.exp(1j * x)).real,
        abs(np.sum(np.exp(1j * x))),
        np.abs(np.dot(np.exp(1j * np.arange(6)), x)),
        np.vdot(1j * x, x * (1 + 1j)).real,
        np.linalg.norm(1j * x + x[::-1]),
    ],
    "scalar": lambda x: [
        abs(complex(1, 2) * x[0]),
        (x[0] + 1j * x[1]).real,
        ((x[0] + 1j * x[1]) * (x[2] - 1j * x[3])).imag,
        abs(1 / (1j * x[0] + 2)),
    ],
    "matrix": lambda x: [
        ((np.arange(4).reshape(2, 2) * 1j + 1) @ x[:2]).imag,
        np.abs((x[:4].reshape(2, 2) * 1j) @ (1 + 1j * x[:2])),
        np.einsum("ij,j->i", x[:4].reshape(2, 2) * (1 + 1j), x[:2]).real,
    ],
    "move": lambda x: [
        np.roll(np.fft.fft(x), 1).imag,
        np.fft.fftshift(np.fft.fft(x)).imag,
        np.fft.fft(x)[1:3].real,
        np.fft.fft(x).conj().imag,
        np.concatenate([1j * x, x]).imag,
        np.where(x > 0, 1j * x, x).imag,
        (1j * x).prod().real,
        (1j * x).mean().imag,
    ],
    "dct": lambda x: [sf.dct(x), sf.idst(x, type=1), sf.dct(x.reshape(2, 3), axis=0, norm="ortho"), sf.rfft(x).real],
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex(name):
    assert_traces(COMPLEX[name], np.zeros(6), rtol=1e-9)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.fft.fft(x),
        lambda x: 1j * x[0],
        lambda x: [x[0], 1j * x[1]],
        lambda x: sp.csr_array(1j * np.eye(2)) @ x,
        lambda x: np.maximum(1j * x, 0.0),
        lambda x: np.sort(1j * x).real,
        lambda x: x.astype(complex).astype(float),
    ],
)
def test_refusals(f):
    with pytest.raises(TracingError):
        trace_function(f, np.zeros(2))
