"""Special functions as the operator table's expressions call them, in NumPy and in compiled kernels.

SciPy has most of them in ``scipy.special.cython_special``, whose C functions `sct_opt.special_kernels` calls; the
polygamma functions, which that module lacks, are defined here.
"""

from __future__ import annotations

import ctypes
import functools
import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SHADOWED = frozenset({"i0"})
"""Names that NumPy has too, as slow Python functions."""


# -- polygamma functions -------------------------------------------------------------------------------------------

# Bernoulli numbers B_2, B_4, … of the asymptotic series (DLMF 5.15.8).
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)


def _polygamma(n: int, x: float) -> float:
    """``psi^(n)(x)`` for n from 1 to 4: reflection for x < 0, recurrence up to x >= 12, then the asymptotic series."""
    if math.isnan(x):
        return math.nan
    if x <= 0.0 and x == math.floor(x):
        return math.inf
    sign = 1.0 if n % 2 else -1.0
    reflected = 0.0
    if x < 0.0:
        # psi^(n)(x) = (-1)^n psi^(n)(1 - x) - d^n/dx^n pi cot(pi x)   (DLMF 5.15.6)
        c = 1.0 / math.tan(math.pi * x)
        s = 1.0 + c * c
        if n == 1:
            reflected = s
        elif n == 2:
            reflected = -2.0 * c * s
        elif n == 3:
            reflected = 2.0 * s * (s + 2.0 * c * c)
        else:
            reflected = -8.0 * c * s * (2.0 * s + c * c)
        reflected *= math.pi ** (n + 1)
        x = 1.0 - x
        # together with the sign of psi^(n) for positive arguments
        sign = -1.0
    factorial = 1.0  # not math.gamma, which Numba takes from a library of its own
    for k in range(2, n + 1):
        factorial *= k
    total = 0.0
    while x < 12.0:
        total += factorial / x ** (n + 1)
        x += 1.0
    total += factorial / n / x**n + factorial / (2.0 * x ** (n + 1))
    # B_2k (2k + n - 1)! / ((2k)! x^(2k + n))
    ratio = factorial * (n + 1) / 2.0
    power = x ** (n + 2)
    k = 1
    for bernoulli in _BERNOULLI:
        total += bernoulli * ratio / power
        ratio *= (2 * k + n) * (2 * k + n + 1) / ((2 * k + 1) * (2 * k + 2))
        power *= x * x
        k += 1
    return sign * total + reflected


def trigamma(x: float) -> float:
    """The second derivative of the logarithm of the gamma function.

    >>> round(trigamma(1.0) - math.pi**2 / 6, 12)
    0.0
    """
    return _polygamma(1, x)


def tetragamma(x: float) -> float:
    """The third derivative of the logarithm of the gamma function."""
    return _polygamma(2, x)


def pentagamma(x: float) -> float:
    """The fourth derivative of the logarithm of the gamma function."""
    return _polygamma(3, x)


def hexagamma(x: float) -> float:
    """The fifth derivative of the logarithm of the gamma function."""
    return _polygamma(4, x)


OWN = {function.__name__: function for function in (trigamma, tetragamma, pentagamma, hexagamma)}
"""Functions that SciPy's compiled interface lacks."""


# -- how expressions call them -------------------------------------------------------------------------------------


@functools.cache
def array_function(name: str) -> Any:
    """A special function on NumPy arrays."""
    if name in OWN:
        return np.vectorize(OWN[name], otypes=[float])
    import scipy.special  # noqa: PLC0415 - importing it takes longer than importing sct_opt

    return getattr(scipy.special, name)


def cython_name(name: str) -> str:
    """The name in ``scipy.special.cython_special`` of the version that takes and returns doubles."""
    from scipy.special import cython_special  # noqa: PLC0415

    capsules: dict[str, Any] = dict(cython_special.__pyx_capi__)
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    for candidate in (
        name,
        *(f"__pyx_fuse_{k}{name}" for k in range(3)),
        *(f"__pyx_fuse_{j}_{k}{name}" for j in range(3) for k in range(2)),
    ):
        if candidate in capsules:
            arguments = (
                get_name(capsules[candidate])
                .decode()
                .replace("int __pyx_skip_dispatch", "")
                .replace("double", "")
                .strip(" (),")
            )
            if not arguments.replace(",", "").replace(" ", "").strip("()"):
                return candidate
    raise LookupError(f"scipy.special.cython_special has no real function {name}")


@functools.cache
def address(name: str) -> int:
    """Address of SciPy's C function ``double f(double)`` or ``double f(double, double)`` of a name used in expressions."""
    from scipy.special import cython_special  # noqa: PLC0415

    capsules: dict[str, Any] = dict(cython_special.__pyx_capi__)
    capsule = capsules[cython_name(name)]
    get_name, get_pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(get_pointer(capsule, get_name(capsule)))
