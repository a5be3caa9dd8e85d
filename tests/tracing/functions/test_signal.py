"""Tests of `sct_opt.tracing.functions.signal`: convolutions, filters, quadrature."""

import numpy as np
import pytest
import scipy.integrate as ig
import scipy.ndimage as nd
import scipy.signal as sg

from tests.tracing.check import assert_traces

K = np.array([1.0, -2.0, 0.5])
K4 = np.array([1.0, -2.0, 0.5, 3.0])
K2 = np.arange(4.0).reshape(2, 2) - 1

LINEAR = {
    "conv": lambda x: [
        sg.convolve(x, K),
        sg.convolve(x, K, "same"),
        sg.convolve(K, x, "valid"),
        sg.fftconvolve(x, K4, mode="same"),
        sg.convolve(x.reshape(2, 3), K2),
        sg.convolve2d(x.reshape(2, 3), K2, mode="same"),
        sg.convolve(x, x),
    ],
    "corr": lambda x: [
        sg.correlate(x, K),
        sg.correlate(x, K4, "same"),
        sg.correlate(K, x, "valid"),
        np.correlate(x, K),
        np.correlate(K, x, "full"),
        np.convolve(x, K, "same"),
        np.convolve(K4, x, "same"),
        np.convolve(x, x[:2], "valid"),
    ],
    "lfilter": lambda x: [sg.lfilter([1.0, 0.5], [1.0, -0.3], x), sg.detrend(x), sg.detrend(x, type="constant")],
    "nd": lambda x: [
        nd.convolve(x, K),
        nd.correlate(x, K4, mode="wrap"),
        nd.convolve(x, K4, mode="nearest"),
        nd.convolve1d(x.reshape(2, 3), K, axis=1, mode="constant"),
        nd.correlate(x.reshape(3, 2), K2, mode="mirror"),
        nd.convolve(x.reshape(3, 2), K2),
    ],
    "ig": lambda x: [
        ig.trapezoid(x),
        ig.simpson(x),
        ig.simpson(x[:5], x=np.array([0, 1.0, 2.5, 3, 5])),
        ig.cumulative_trapezoid(x, initial=0),
        np.trapezoid(x, np.arange(6.0) ** 2),
        np.trapezoid(x.reshape(2, 3), dx=0.1, axis=0),
        ig.romb(x[:5]),
    ],
}


@pytest.mark.parametrize("name", LINEAR)
def test_signal(name):
    assert_traces(LINEAR[name], np.zeros(6), rtol=1e-9)
