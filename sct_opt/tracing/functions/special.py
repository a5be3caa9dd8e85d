"""Special functions that are not one row of the operator table: several outputs, three arguments, Python functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.ops import OPCODE
from sct_opt.tape import Array
from sct_opt.tracing.base import builder_of, find_builder
from sct_opt.tracing.blackbox import call_elementwise
from sct_opt.tracing.location import missing_primal, unsupported
from sct_opt.tracing.stand_ins import replaces
from sct_opt.tracing.ufuncs import as_traced, emit_unary, special


def _scipy(name: str) -> Callable[..., Any]:
    import scipy.special  # noqa: PLC0415 - the user's function comes from there, so it is loaded

    found = getattr(scipy.special, name, None)
    return found or getattr(scipy.special._ufuncs, name)  # type: ignore[no-any-return]


def _output(name: str, k: int) -> Callable[..., Any]:
    return lambda *args: _scipy(name)(*args)[k]


# -- one argument, several outputs -----------------------------------------------------------------------------------


def _several(name: str, partials: list[Callable[[Array], Array]], seconds: list[Callable[[Array], Array]]) -> None:
    def apply(x: Any) -> Any:
        outputs = [_output(name, k) for k in range(len(partials))]
        return tuple(
            call_elementwise(f"scipy.special.{name}", [x], outputs, [[p] for p in partials], [[[s]] for s in seconds])
        )

    special(name)(apply)


def _airy(k: int) -> Callable[[Array], Array]:
    return lambda x: _scipy("airy")(x)[k]


_several(
    "airy",
    [_airy(1), lambda x: x * _airy(0)(x), _airy(3), lambda x: x * _airy(2)(x)],
    [
        lambda x: x * _airy(0)(x),
        lambda x: _airy(0)(x) + x * _airy(1)(x),
        lambda x: x * _airy(2)(x),
        lambda x: _airy(2)(x) + x * _airy(3)(x),
    ],
)
_several(
    "sici",
    [lambda x: np.sinc(x / np.pi), lambda x: np.cos(x) / x],
    [lambda x: (np.cos(x) - np.sinc(x / np.pi)) / x, lambda x: -(np.sin(x) + np.cos(x) / x) / x],
)
_several(
    "shichi",
    [lambda x: np.sinh(x) / x, lambda x: np.cosh(x) / x],
    [lambda x: (np.cosh(x) - np.sinh(x) / x) / x, lambda x: (np.sinh(x) - np.cosh(x) / x) / x],
)
_several(
    "fresnel",
    [lambda x: np.sin(0.5 * np.pi * x * x), lambda x: np.cos(0.5 * np.pi * x * x)],
    [lambda x: np.pi * x * np.cos(0.5 * np.pi * x * x), lambda x: -np.pi * x * np.sin(0.5 * np.pi * x * x)],
)


@special("airye")
def _airye(x: Any) -> Any:
    ai, aip, bi, bip = _scipy("airy")(x)
    growth = 2.0 / 3.0 * np.power(np.maximum(x, 0.0), 1.5)
    return ai * np.exp(growth), aip * np.exp(growth), bi * np.exp(-growth), bip * np.exp(-growth)


@special(
    "itairy",
    "ellipj",
    "kelvin",
    "itj0y0",
    "iti0k0",
    "modfresnelm",
    "modfresnelp",
    "pbdv",
    "pbvv",
    "pbwa",
    "wofz",
    "lambertw",
)
def _refuse(*args: Any) -> Any:
    raise unsupported("a scipy.special function without real derivatives")


# -- shape parameters, evaluated element by element ------------------------------------------------------------------

_NUMERICAL = "numerical"


def _shaped(name: str, last: Callable[..., Array] | str, second: Callable[..., Array] | None = None) -> None:
    """A ufunc of shape parameters and one variable, the last argument, whose derivative has a formula."""

    def apply(*args: Any) -> Any:
        n = len(args)
        partials: list[Any] = [_NUMERICAL] * (n - 1) + [last]
        triangle: list[list[Any]] = [[_NUMERICAL] * (j + 1) for j in range(n)]
        if second is not None:
            triangle[-1][-1] = second
        return call_elementwise(f"scipy.special.{name}", args, [_scipy(name)], [partials], [triangle])[0]

    special(name)(apply)


def _beta_density(a: Array, b: Array, x: Array) -> Array:
    special_functions = _scipy("xlogy"), _scipy("xlog1py"), _scipy("betaln")
    xlogy, xlog1py, betaln = special_functions
    return np.asarray(np.exp(xlogy(a - 1.0, x) + xlog1py(b - 1.0, -x) - betaln(a, b)))


_shaped("betainc", _beta_density, lambda a, b, x: _beta_density(a, b, x) * ((a - 1.0) / x - (b - 1.0) / (1.0 - x)))
_shaped(
    "betaincc",
    lambda a, b, x: -_beta_density(a, b, x),
    lambda a, b, x: -_beta_density(a, b, x) * ((a - 1.0) / x - (b - 1.0) / (1.0 - x)),
)
_shaped("betaincinv", lambda a, b, y: 1.0 / _beta_density(a, b, _scipy("betaincinv")(a, b, y)))
_shaped("betainccinv", lambda a, b, y: -1.0 / _beta_density(a, b, _scipy("betainccinv")(a, b, y)))
_shaped(
    "hyp0f1", lambda v, z: _scipy("hyp0f1")(v + 1.0, z) / v, lambda v, z: _scipy("hyp0f1")(v + 2.0, z) / (v * (v + 1.0))
)
_shaped(
    "hyp1f1",
    lambda a, b, x: a / b * _scipy("hyp1f1")(a + 1.0, b + 1.0, x),
    lambda a, b, x: a * (a + 1.0) / (b * (b + 1.0)) * _scipy("hyp1f1")(a + 2.0, b + 2.0, x),
)
_shaped(
    "hyp2f1",
    lambda a, b, c, x: a * b / c * _scipy("hyp2f1")(a + 1.0, b + 1.0, c + 1.0, x),
    lambda a, b, c, x: a * (a + 1.0) * b * (b + 1.0) / (c * (c + 1.0)) * _scipy("hyp2f1")(a + 2.0, b + 2.0, c + 2.0, x),
)
_shaped(
    "hyperu",
    lambda a, b, x: -a * _scipy("hyperu")(a + 1.0, b + 1.0, x),
    lambda a, b, x: a * (a + 1.0) * _scipy("hyperu")(a + 2.0, b + 2.0, x),
)
for _name in (
    "stdtr",
    "stdtrit",
    "fdtr",
    "fdtrc",
    "fdtri",
    "struve",
    "modstruve",
    "agm",
    "voigt_profile",
    "log_wright_bessel",
    "wright_bessel",
):
    _shaped(_name, _NUMERICAL)
_shaped(
    "_zeta",
    lambda x, q: -x * _scipy("_zeta")(x + 1.0, q),
    lambda x, q: x * (x + 1.0) * _scipy("_zeta")(x + 2.0, q),
)
for _name in (
    "_riemann_zeta",
    "zetac",
    "kolmogorov",
    "kolmogi",
    "ber",
    "bei",
    "ker",
    "kei",
    "itstruve0",
    "it2struve0",
    "itmodstruve0",
):
    _shaped(_name, _NUMERICAL)


# -- compositions ----------------------------------------------------------------------------------------------------


@special("round")
def _round(x: Any) -> Any:
    return np.rint(x)


@special("gammasgn")
def _gammasgn(x: Any) -> Any:
    return np.where(np.greater(x, 0.0), 1.0, np.where(np.equal(np.remainder(np.floor(x), 2.0), 0.0), 1.0, -1.0))


@special("boxcox1p")
def _boxcox1p(x: Any, power: Any) -> Any:
    return _scipy("boxcox")(np.add(x, 1.0), power)


@special("inv_boxcox")
def _inv_boxcox(y: Any, power: Any) -> Any:
    if find_builder(power) is None and np.ndim(power) == 0 and power == 0:
        return np.exp(y)
    return np.power(np.add(np.multiply(y, power), 1.0), np.divide(1.0, power))


@special("inv_boxcox1p")
def _inv_boxcox1p(y: Any, power: Any) -> Any:
    return _inv_boxcox(y, power) - 1.0


@special("chdtr")
def _chdtr(v: Any, x: Any) -> Any:
    return _scipy("gammainc")(np.multiply(v, 0.5), np.multiply(x, 0.5))


@special("chdtrc")
def _chdtrc(v: Any, x: Any) -> Any:
    return _scipy("gammaincc")(np.multiply(v, 0.5), np.multiply(x, 0.5))


@special("gdtr")
def _gdtr(a: Any, b: Any, x: Any) -> Any:
    return _scipy("gammainc")(b, np.multiply(a, x))


@special("gdtrc")
def _gdtrc(a: Any, b: Any, x: Any) -> Any:
    return _scipy("gammaincc")(b, np.multiply(a, x))


# The ufuncs behind scipy.stats.beta.


@special("_beta_pdf")
def _beta_pdf(x: Any, a: Any, b: Any) -> Any:
    log = _scipy("xlogy")(np.subtract(a, 1.0), x) + _scipy("xlog1py")(np.subtract(b, 1.0), np.negative(x))
    return np.exp(log - _scipy("betaln")(a, b))


@special("_beta_ppf")
def _beta_ppf(p: Any, a: Any, b: Any) -> Any:
    return _scipy("betaincinv")(a, b, p)


@special("_beta_isf")
def _beta_isf(p: Any, a: Any, b: Any) -> Any:
    return _scipy("betainccinv")(a, b, p)


@special("pdtr")
def _pdtr(k: Any, m: Any) -> Any:
    return _scipy("gammaincc")(np.add(np.floor(k), 1.0), m)


@special("pdtrc")
def _pdtrc(k: Any, m: Any) -> Any:
    return _scipy("gammainc")(np.add(np.floor(k), 1.0), m)


def _recurrence(name: str, first: Callable[[Any], Any], step: Callable[[int, Any, Any, Any], Any]) -> None:
    """An orthogonal polynomial of constant degree, by its three-term recurrence."""

    def apply(n: Any, x: Any) -> Any:
        if find_builder(n) is not None or np.ndim(n) != 0 or n != int(n):
            raise unsupported(f"scipy.special.{name} of a degree that is no single whole number")
        before: Any = np.ones_like(as_traced(x))
        now = first(x)
        if n == 0:
            return before
        for k in range(1, int(n)):
            before, now = now, step(k, x, now, before)
        return now

    special(name)(apply)


_recurrence("eval_legendre", lambda x: np.multiply(x, 1.0), lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1))
_recurrence("eval_chebyt", lambda x: np.multiply(x, 1.0), lambda k, x, p, q: 2.0 * x * p - q)
_recurrence("eval_chebyu", lambda x: np.multiply(x, 2.0), lambda k, x, p, q: 2.0 * x * p - q)
_recurrence("eval_hermite", lambda x: np.multiply(x, 2.0), lambda k, x, p, q: 2.0 * x * p - 2.0 * k * q)
_recurrence("eval_hermitenorm", lambda x: np.multiply(x, 1.0), lambda k, x, p, q: x * p - k * q)
_recurrence("eval_laguerre", lambda x: np.subtract(1.0, x), lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1))


# -- Python functions of scipy.special -------------------------------------------------------------------------------


@replaces("scipy.special", "logsumexp")
def _logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    if return_sign:
        raise unsupported("scipy.special.logsumexp with return_sign=True")
    array = as_traced(a, builder_of(a, b))
    # The shift keeps exp from overflowing and cancels in every derivative: it is a number like any other.
    shift = emit_unary(OPCODE["stop"], as_traced(np.max(array, axis=axis, keepdims=True)))
    terms = np.exp(array - shift)
    total = np.log(np.sum(terms if b is None else np.multiply(b, terms), axis=axis, keepdims=keepdims))
    return total + (shift if keepdims else np.reshape(shift, np.shape(total)))


@replaces("scipy.special", "softmax")
def _softmax(x: Any, axis: Any = None) -> Any:
    return np.exp(_log_softmax(x, axis))


@replaces("scipy.special", "log_softmax")
def _log_softmax(x: Any, axis: Any = None) -> Any:
    return np.subtract(x, _logsumexp(x, axis, keepdims=True))


@replaces("scipy.special", "polygamma")
def _polygamma(n: Any, x: Any) -> Any:
    if find_builder(n) is not None:
        raise missing_primal("int")
    rows = {0: "digamma", 1: "trigamma", 2: "tetragamma"}
    order = np.asarray(n)
    if order.ndim == 0 and int(order) in rows:
        return emit_unary(OPCODE[rows[int(order)]], as_traced(x))
    function = _scipy("polygamma")
    original = getattr(function, "__wrapped__", function)
    (result,) = call_elementwise(
        "scipy.special.polygamma",
        [order, x],
        [lambda k, t: original(k.astype(int), t)],
        [[None, lambda k, t: original(k.astype(int) + 1, t)]],
        [[[None], [None, lambda k, t: original(k.astype(int) + 2, t)]]],
    )
    return result


@replaces("scipy.special", "multigammaln")
def _multigammaln(a: Any, d: Any) -> Any:
    total = sum(_scipy("gammaln")(np.subtract(a, 0.5 * j)) for j in range(int(d)))
    return total + 0.25 * d * (d - 1) * math.log(math.pi)


@replaces("scipy.special", "factorial")
def _factorial(n: Any, exact: bool = False, **kwargs: Any) -> Any:
    return _scipy("gamma")(np.add(n, 1.0))


@replaces("scipy.special", "comb")
def _comb(n: Any, k: Any, *args: Any, **kwargs: Any) -> Any:
    if kwargs.get("repetition"):
        return _scipy("binom")(np.subtract(np.add(n, k), 1.0), k)
    return _scipy("binom")(n, k)


@replaces("scipy.special", "perm")
def _perm(n: Any, k: Any, exact: bool = False) -> Any:
    return _scipy("poch")(np.add(np.subtract(n, k), 1.0), k)


@replaces("scipy.special", "sinc")
def _sinc(x: Any) -> Any:
    return np.sinc(x)


@replaces("scipy.special", "diric")
def _diric(x: Any, n: Any) -> Any:
    half = np.multiply(x, 0.5)
    at_zero = np.equal(np.sin(half), 0.0)
    return np.where(at_zero, np.cos(half * (n - 1)), np.sin(half * n) / (n * np.where(at_zero, 1.0, np.sin(half))))


def _spherical(name: str, cylindrical: str, scale: float) -> None:
    @replaces("scipy.special", name)
    def apply(n: Any, z: Any, derivative: bool = False) -> Any:
        def at(order: Any) -> Any:
            return np.sqrt(np.divide(scale, z)) * _scipy(cylindrical)(np.add(order, 0.5), z)

        if not derivative:
            return at(n)
        # f_n' = -+f_{n+1} + n/z f_n   (DLMF 10.51.2 and 10.51.5)
        sign = 1.0 if cylindrical == "iv" else -1.0
        return sign * at(np.add(n, 1)) + np.divide(n, z) * at(n)


for _name, _cylindrical in (
    ("spherical_jn", "jv"),
    ("spherical_yn", "yv"),
    ("spherical_in", "iv"),
    ("spherical_kn", "kv"),
):
    _spherical(_name, _cylindrical, math.pi / 2.0)


def _whole_order(name: str, real_order: str) -> None:
    """SciPy cuts the order of these functions to a whole number; only an order that is whole means the same here."""

    @special(name)
    def apply(n: Any, x: Any) -> Any:
        order = None if find_builder(n) is not None else np.asarray(n, dtype=float)
        if order is None or not (order == np.trunc(order)).all():
            raise unsupported(
                f"scipy.special.{name} of an order that is not a whole number",
                f"use scipy.special.{real_order}, which takes real orders",
            )
        return _scipy(real_order)(order, x)


_whole_order("yn", "yv")
_whole_order("kn", "kv")
