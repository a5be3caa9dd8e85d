"""Rows of the operator table for special functions.

Expressions may name any real function of ``scipy.special`` of one or two arguments and the polygamma functions of
`sct_opt.special`.

Where no formula for a partial exists (the order of a Bessel function, the shape of an incomplete gamma function), the
expression is a five-point central difference with the step ``1e-3 * (1 + |argument|)``: relative error near 1e-11 for
first partials, 1e-9 for second ones, away from the function's singular points.

Formulas: NIST Digital Library of Mathematical Functions, chapters 5 to 8, 10 and 19.
"""

from __future__ import annotations

import math

Expression = str | None
Row = tuple[str, int, str, tuple[Expression, ...], tuple[Expression, ...], tuple[str, ...]]
"""Name, arity, value, first partials, second partials, names of scipy.special ufuncs."""


def _shifted(value: str, name: str, steps: int) -> str:
    """The expression with an argument moved by a number of steps."""
    return "(" + value.replace(f"${name}", f"({name} + {steps}.0e-3 * (1.0 + fabs({name})))") + ")"


def _difference(value: str, name: str) -> str:
    """Five-point first difference in an argument, which the expression spells ``$a`` or ``$b``."""
    at = {k: _shifted(value, name, k) for k in (-2, -1, 1, 2)}
    text = f"({at[-2]} - 8.0 * {at[-1]} + 8.0 * {at[1]} - {at[2]}) / (12.0e-3 * (1.0 + fabs({name})))"
    return text.replace("$a", "a").replace("$b", "b")


def _second_difference(value: str, name: str) -> str:
    """Five-point second difference in an argument."""
    at = {k: _shifted(value, name, k) for k in (-2, -1, 0, 1, 2)}
    text = f"(-{at[-2]} + 16.0 * {at[-1]} - 30.0 * {at[0]} + 16.0 * {at[1]} - {at[2]}) / (12.0e-6 * (1.0 + fabs({name})) * (1.0 + fabs({name})))"
    return text.replace("$a", "a").replace("$b", "b")


def _polynomial(coefficients: list[float], variable: str) -> str:
    """Horner's scheme, lowest power first."""
    text = repr(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        text = f"({c!r} + {variable} * {text})"
    return text


_PHI = "exp(-0.5 * a * a) / SQRT_2PI"  # density of the normal distribution

# K(m) = pi/2 sum c_n m^n and E(m) = pi/2 (1 - sum c_n m^n / (2n - 1)); near m = 0 the closed formulas cancel.
_C = [1.0]
for _n in range(1, 14):
    _C.append(_C[-1] * ((2 * _n - 1) / (2 * _n)) ** 2)
_HALF_PI = math.pi / 2.0
_K1 = _polynomial([_HALF_PI * n * _C[n] for n in range(1, 12)], "$m")
_K2 = _polynomial([_HALF_PI * n * (n - 1) * _C[n] for n in range(2, 13)], "$m")
_E1 = _polynomial([-_HALF_PI * n * _C[n] / (2 * n - 1) for n in range(1, 12)], "a")
_E2 = _polynomial([-_HALF_PI * n * (n - 1) * _C[n] / (2 * n - 1) for n in range(2, 13)], "a")


def _elliptic_k(m: str, p: str, value: str, sign: str) -> tuple[str, str]:
    """First and second derivative of K with m + p = 1, in the argument that the sign says."""
    k1 = f"((ellipe({m}) - {p} * {value}) / (2.0 * {m} * {p}))"
    k2 = f"(0.25 * {value} - ({p} - {m}) * {k1}) / ({m} * {p})"
    near = f"fabs({m}) < 0.03"
    return f"{sign}({_K1.replace('$m', m)} if {near} else {k1})", f"{_K2.replace('$m', m)} if {near} else {k2}"


_K_D, _K_DD = _elliptic_k("a", "(1.0 - a)", "v", "")
_KM1_D, _KM1_DD = _elliptic_k("(1.0 - a)", "a", "v", "-")
_ELLIPE_D = f"{_E1} if fabs(a) < 0.03 else (v - ellipk(a)) / (2.0 * a)"
_ELLIPE_DD = f"{_E2} if fabs(a) < 0.03 else -((v - ellipk(a)) / (2.0 * a) + (v - (1.0 - a) * ellipk(a)) / (2.0 * a * (1.0 - a))) / (2.0 * a)"

# (exp(a) - 1) / a and the dilogarithm's log(a) / (1 - a), by their series where the formulas cancel.
_EXPREL1 = _polynomial([n / math.factorial(n + 1) for n in range(1, 16)], "a")
_EXPREL2 = _polynomial([n * (n - 1) / math.factorial(n + 1) for n in range(2, 17)], "a")
_EXPREL_D = "(exp(a) - v) / a"
_SPENCE1 = _polynomial([(-1.0) ** n / (n + 1) for n in range(20)], "(a - 1.0)")
_SPENCE2 = _polynomial([(-1.0) ** (n + 2) * (n + 1) / (n + 2) for n in range(20)], "(a - 1.0)")

_ONE: tuple[Row, ...] = (
    ("gamma", 1, "gamma(a)", ("v * psi(a)",), ("v * (psi(a) * psi(a) + trigamma(a))",), ("gamma",)),
    ("gammaln", 1, "gammaln(a)", ("psi(a)",), ("trigamma(a)",), ("gammaln",)),
    ("loggamma", 1, "loggamma(a)", ("psi(a)",), ("trigamma(a)",), ("loggamma",)),
    ("rgamma", 1, "rgamma(a)", ("-v * psi(a)",), ("v * (psi(a) * psi(a) - trigamma(a))",), ("rgamma",)),
    ("digamma", 1, "psi(a)", ("trigamma(a)",), ("tetragamma(a)",), ("psi", "digamma")),
    ("trigamma", 1, "trigamma(a)", ("tetragamma(a)",), ("pentagamma(a)",), ()),
    ("tetragamma", 1, "tetragamma(a)", ("pentagamma(a)",), ("hexagamma(a)",), ()),
    (
        "erfcx",
        1,
        "erfcx(a)",
        ("2.0 * a * v - TWO_OVER_SQRT_PI",),
        ("2.0 * v + 2.0 * a * (2.0 * a * v - TWO_OVER_SQRT_PI)",),
        ("erfcx",),
    ),
    ("erfi", 1, "erfi(a)", ("TWO_OVER_SQRT_PI * exp(a * a)",), ("2.0 * TWO_OVER_SQRT_PI * a * exp(a * a)",), ("erfi",)),
    ("erfinv", 1, "erfinv(a)", ("exp(v * v) / TWO_OVER_SQRT_PI",), ("0.5 * PI * v * exp(2.0 * v * v)",), ("erfinv",)),
    (
        "erfcinv",
        1,
        "erfcinv(a)",
        ("-exp(v * v) / TWO_OVER_SQRT_PI",),
        ("0.5 * PI * v * exp(2.0 * v * v)",),
        ("erfcinv",),
    ),
    ("dawsn", 1, "dawsn(a)", ("1.0 - 2.0 * a * v",), ("-2.0 * v - 2.0 * a * (1.0 - 2.0 * a * v)",), ("dawsn",)),
    ("ndtr", 1, "ndtr(a)", (_PHI,), (f"-a * {_PHI}",), ("ndtr",)),
    (
        "log_ndtr",
        1,
        "log_ndtr(a)",
        ("exp(-0.5 * a * a - v) / SQRT_2PI",),
        ("-exp(-0.5 * a * a - v) / SQRT_2PI * (a + exp(-0.5 * a * a - v) / SQRT_2PI)",),
        ("log_ndtr",),
    ),
    ("ndtri", 1, "ndtri(a)", ("SQRT_2PI * exp(0.5 * v * v)",), ("SQRT_2PI * SQRT_2PI * v * exp(v * v)",), ("ndtri",)),
    (
        "ndtri_exp",
        1,
        "ndtri_exp(a)",
        ("SQRT_2PI * exp(0.5 * v * v + a)",),
        ("SQRT_2PI * exp(0.5 * v * v + a) * (1.0 + v * SQRT_2PI * exp(0.5 * v * v + a))",),
        ("ndtri_exp",),
    ),
    ("expi", 1, "expi(a)", ("exp(a) / a",), ("exp(a) * (a - 1.0) / (a * a)",), ("expi",)),
    ("exp1", 1, "exp1(a)", ("-exp(-a) / a",), ("exp(-a) * (a + 1.0) / (a * a)",), ("exp1",)),
    (
        "exprel",
        1,
        "exprel(a)",
        (f"{_EXPREL1} if fabs(a) < 0.5 else {_EXPREL_D}",),
        (f"{_EXPREL2} if fabs(a) < 0.5 else (exp(a) - 2.0 * {_EXPREL_D}) / a",),
        ("exprel",),
    ),
    (
        "spence",
        1,
        "spence(a)",
        (f"-{_SPENCE1} if fabs(a - 1.0) < 0.15 else log(a) / (1.0 - a)",),
        (f"{_SPENCE2} if fabs(a - 1.0) < 0.15 else ((1.0 - a) / a + log(a)) / ((1.0 - a) * (1.0 - a))",),
        ("spence",),
    ),
    ("j0", 1, "j0(a)", ("-j1(a)",), ("0.5 * (jv(2.0, a) - v)",), ("j0",)),
    ("j1", 1, "j1(a)", ("0.5 * (j0(a) - jv(2.0, a))",), ("0.25 * (jv(3.0, a) - 3.0 * v)",), ("j1",)),
    ("y0", 1, "y0(a)", ("-y1(a)",), ("0.5 * (yv(2.0, a) - v)",), ("y0",)),
    ("y1", 1, "y1(a)", ("0.5 * (y0(a) - yv(2.0, a))",), ("0.25 * (yv(3.0, a) - 3.0 * v)",), ("y1",)),
    ("i0", 1, "i0(a)", ("i1(a)",), ("0.5 * (v + iv(2.0, a))",), ("i0",)),
    ("i1", 1, "i1(a)", ("0.5 * (i0(a) + iv(2.0, a))",), ("0.25 * (3.0 * v + iv(3.0, a))",), ("i1",)),
    (
        "i0e",
        1,
        "i0e(a)",
        ("i1e(a) - copysign(v, a)",),
        ("1.5 * v + 0.5 * ive(2.0, a) - 2.0 * copysign(1.0, a) * i1e(a)",),
        ("i0e",),
    ),
    (
        "i1e",
        1,
        "i1e(a)",
        ("0.5 * (i0e(a) + ive(2.0, a)) - copysign(1.0, a) * v",),
        ("0.25 * (7.0 * v + ive(3.0, a)) - copysign(i0e(a) + ive(2.0, a), a)",),
        ("i1e",),
    ),
    ("k0", 1, "k0(a)", ("-k1(a)",), ("0.5 * (v + kv(2.0, a))",), ("k0",)),
    ("k1", 1, "k1(a)", ("-0.5 * (k0(a) + kv(2.0, a))",), ("0.25 * (3.0 * v + kv(3.0, a))",), ("k1",)),
    ("k0e", 1, "k0e(a)", ("v - k1e(a)",), ("1.5 * v + 0.5 * kve(2.0, a) - 2.0 * k1e(a)",), ("k0e",)),
    (
        "k1e",
        1,
        "k1e(a)",
        ("v - 0.5 * (k0e(a) + kve(2.0, a))",),
        ("0.25 * (7.0 * v + kve(3.0, a)) - k0e(a) - kve(2.0, a)",),
        ("k1e",),
    ),
    ("ellipk", 1, "ellipk(a)", (_K_D,), (_K_DD,), ("ellipk",)),
    ("ellipkm1", 1, "ellipkm1(a)", (_KM1_D,), (_KM1_DD,), ("ellipkm1",)),
    ("ellipe", 1, "ellipe(a)", (_ELLIPE_D,), (_ELLIPE_DD,), ("ellipe",)),
    ("entr", 1, "entr(a)", ("-log(a) - 1.0",), ("-1.0 / a",), ("entr",)),
    ("expit", 1, "expit(a)", ("v * expit(-a)",), ("v * expit(-a) * (1.0 - 2.0 * v)",), ("expit",)),
    (
        "logit",
        1,
        "logit(a)",
        ("1.0 / (a * (1.0 - a))",),
        ("(2.0 * a - 1.0) / (a * a * (1.0 - a) * (1.0 - a))",),
        ("logit",),
    ),
    ("log_expit", 1, "log_expit(a)", ("expit(-a)",), ("-expit(a) * expit(-a)",), ("log_expit",)),
    (
        "softplus",
        1,
        "(a if a > 0.0 else 0.0) + log1p(exp(-fabs(a)))",
        ("expit(a)",),
        ("expit(a) * expit(-a)",),
        ("softplus",),
    ),
    ("cosm1", 1, "cosm1(a)", ("-sin(a)",), ("-cos(a)",), ("cosm1",)),
    ("sindg", 1, "sindg(a)", ("RADIAN * cosdg(a)",), ("-RADIAN * RADIAN * v",), ("sindg",)),
    ("cosdg", 1, "cosdg(a)", ("-RADIAN * sindg(a)",), ("-RADIAN * RADIAN * v",), ("cosdg",)),
    ("tandg", 1, "tandg(a)", ("RADIAN * (1.0 + v * v)",), ("2.0 * RADIAN * RADIAN * v * (1.0 + v * v)",), ("tandg",)),
    ("cotdg", 1, "cotdg(a)", ("-RADIAN * (1.0 + v * v)",), ("2.0 * RADIAN * RADIAN * v * (1.0 + v * v)",), ("cotdg",)),
    (
        "wrightomega",
        1,
        "wrightomega(a)",
        ("v / (1.0 + v)",),
        ("v / ((1.0 + v) * (1.0 + v) * (1.0 + v))",),
        ("wrightomega",),
    ),
)

_S = "sqrt(1.0 + b * b / (a * a))"
_Q = "(b * b / (a * a))"
_OWEN = "exp(-0.5 * a * a * (1.0 + b * b)) / TWO_PI"
_DENSITY = "exp(-b + (a - 1.0) * log(b) - gammaln(a))"
_INVERSE = "exp(v - (a - 1.0) * log(v) + gammaln(a))"
_BINOM_A = "(psi(a + 1.0) - psi(a - b + 1.0))"
_BINOM_B = "(psi(a - b + 1.0) - psi(b + 1.0))"
_BETA_A, _BETA_B = "(psi(a) - psi(a + b))", "(psi(b) - psi(a + b))"


def _bessel(name: str, first: str, second: str, *special: str) -> Row:
    """A row of order a and argument b; the partials in the argument have formulas, those in the order have none."""
    value = f"{name}(a, b)"
    mixed = first.replace("(a", "($a")
    return (
        name,
        2,
        value,
        (_difference(f"{name}($a, b)", "a"), first),
        (_second_difference(f"{name}($a, b)", "a"), _difference(mixed, "a"), second),
        special,
    )


def _incomplete(name: str, sign: str) -> Row:
    """A regularised incomplete gamma function of shape a and argument b."""
    return (
        name,
        2,
        f"{name}(a, b)",
        (_difference(f"{name}($a, b)", "a"), f"{sign}{_DENSITY}"),
        (
            _second_difference(f"{name}($a, b)", "a"),
            f"{sign}{_DENSITY} * (log(b) - psi(a))",
            f"{sign}{_DENSITY} * ((a - 1.0) / b - 1.0)",
        ),
        (name,),
    )


def _incomplete_inverse(name: str, sign: str) -> Row:
    """Its inverse: shape a, probability b."""
    density = f"{_INVERSE}".replace("v", f"{name}($a, b)").replace("(a", "($a").replace("gammaln(a)", "gammaln($a)")
    return (
        name,
        2,
        f"{name}(a, b)",
        (_difference(f"{name}($a, b)", "a"), f"{sign}{_INVERSE}"),
        (
            _second_difference(f"{name}($a, b)", "a"),
            _difference(f"{sign}{density}", "a"),
            f"{_INVERSE} * {_INVERSE} * (1.0 - (a - 1.0) / v)",
        ),
        (name,),
    )


def _numerical_in_b(name: str, d: str, dd: str) -> Row:
    """A row whose first argument's partials have formulas, which spell the second argument ``$b``."""
    plain = (d.replace("$b", "b"), dd.replace("$b", "b"))
    return (
        name,
        2,
        f"{name}(a, b)",
        (plain[0], _difference(f"{name}(a, $b)", "b")),
        (plain[1], _difference(d, "b"), _second_difference(f"{name}(a, $b)", "b")),
        (name,),
    )


_ROOT = "sqrt(1.0 - $b * sin(a) * sin(a))"
_E1N = "(expn({n}, b) if {n} >= 0.0 else exp(-b) * (1.0 + b) / (b * b) if {n} > -1.5 else exp(-b) * (2.0 + b * (2.0 + b)) / (b * b * b))"

_TWO: tuple[Row, ...] = (
    (
        "beta",
        2,
        "beta(a, b)",
        (f"v * {_BETA_A}", f"v * {_BETA_B}"),
        (
            f"v * ({_BETA_A} * {_BETA_A} + trigamma(a) - trigamma(a + b))",
            f"v * ({_BETA_A} * {_BETA_B} - trigamma(a + b))",
            f"v * ({_BETA_B} * {_BETA_B} + trigamma(b) - trigamma(a + b))",
        ),
        ("beta",),
    ),
    (
        "betaln",
        2,
        "betaln(a, b)",
        (_BETA_A, _BETA_B),
        ("trigamma(a) - trigamma(a + b)", "-trigamma(a + b)", "trigamma(b) - trigamma(a + b)"),
        ("betaln",),
    ),
    (
        "binom",
        2,
        "binom(a, b)",
        (f"v * {_BINOM_A}", f"v * {_BINOM_B}"),
        (
            f"v * ({_BINOM_A} * {_BINOM_A} + trigamma(a + 1.0) - trigamma(a - b + 1.0))",
            f"v * ({_BINOM_A} * {_BINOM_B} + trigamma(a - b + 1.0))",
            f"v * ({_BINOM_B} * {_BINOM_B} - trigamma(a - b + 1.0) - trigamma(b + 1.0))",
        ),
        ("binom",),
    ),
    (
        "poch",
        2,
        "poch(a, b)",
        ("v * (psi(a + b) - psi(a))", "v * psi(a + b)"),
        (
            "v * ((psi(a + b) - psi(a)) * (psi(a + b) - psi(a)) + trigamma(a + b) - trigamma(a))",
            "v * ((psi(a + b) - psi(a)) * psi(a + b) + trigamma(a + b))",
            "v * (psi(a + b) * psi(a + b) + trigamma(a + b))",
        ),
        ("poch",),
    ),
    ("xlogy", 2, "xlogy(a, b)", ("log(b)", "a / b"), (None, "1.0 / b", "-a / (b * b)"), ("xlogy",)),
    (
        "xlog1py",
        2,
        "xlog1py(a, b)",
        ("log1p(b)", "a / (1.0 + b)"),
        (None, "1.0 / (1.0 + b)", "-a / ((1.0 + b) * (1.0 + b))"),
        ("xlog1py",),
    ),
    (
        "rel_entr",
        2,
        "rel_entr(a, b)",
        ("log(a / b) + 1.0", "-a / b"),
        ("1.0 / a", "-1.0 / b", "a / (b * b)"),
        ("rel_entr",),
    ),
    ("kl_div", 2, "kl_div(a, b)", ("log(a / b)", "1.0 - a / b"), ("1.0 / a", "-1.0 / b", "a / (b * b)"), ("kl_div",)),
    # huber(delta, r) and its smooth form
    (
        "huber",
        2,
        "huber(a, b)",
        ("0.0 if fabs(b) <= a else fabs(b) - a", "b if fabs(b) <= a else copysign(a, b)"),
        ("0.0 if fabs(b) <= a else -1.0", "0.0 if fabs(b) <= a else copysign(1.0, b)", "1.0 if fabs(b) <= a else 0.0"),
        ("huber",),
    ),
    (
        "pseudo_huber",
        2,
        "pseudo_huber(a, b)",
        (f"2.0 * a * ({_S} - 1.0) - b * b / (a * {_S})", f"b / {_S}"),
        (
            f"2.0 * ({_S} - 1.0) - {_Q} / {_S} - {_Q} * {_Q} / ({_S} * {_S} * {_S})",
            f"{_Q} * b / (a * {_S} * {_S} * {_S})",
            f"1.0 / ({_S} * {_S} * {_S})",
        ),
        ("pseudo_huber",),
    ),
    (
        "owens_t",
        2,
        "owens_t(a, b)",
        ("-0.5 * exp(-0.5 * a * a) * erf(a * b / SQRT_2) / SQRT_2PI", f"{_OWEN} / (1.0 + b * b)"),
        (
            f"0.5 * a * exp(-0.5 * a * a) * erf(a * b / SQRT_2) / SQRT_2PI - b * {_OWEN}",
            f"-a * {_OWEN}",
            f"-{_OWEN} / (1.0 + b * b) * (a * a * b + 2.0 * b / (1.0 + b * b))",
        ),
        ("owens_t",),
    ),
    (
        "powm1",
        2,
        "powm1(a, b)",
        ("b * a ** (b - 1.0)", "(1.0 + v) * log(a)"),
        ("b * (b - 1.0) * a ** (b - 2.0)", "a ** (b - 1.0) * (1.0 + b * log(a))", "(1.0 + v) * log(a) * log(a)"),
        ("powm1",),
    ),
    _numerical_in_b("boxcox", "a ** ($b - 1.0)", "($b - 1.0) * a ** ($b - 2.0)"),
    _numerical_in_b("ellipkinc", f"1.0 / {_ROOT}", f"$b * sin(a) * cos(a) / ({_ROOT} * {_ROOT} * {_ROOT})"),
    _numerical_in_b("ellipeinc", _ROOT, f"-$b * sin(a) * cos(a) / {_ROOT}"),
    # SciPy cuts the order to a whole number, toward zero.
    (
        "expn",
        2,
        "expn(copysign(floor(fabs(a)), a), b)",
        (None, "-" + _E1N.format(n="(copysign(floor(fabs(a)), a) - 1.0)")),
        (None, None, _E1N.format(n="(copysign(floor(fabs(a)), a) - 2.0)")),
        ("expn",),
    ),
    _incomplete("gammainc", ""),
    _incomplete("gammaincc", "-"),
    _incomplete_inverse("gammaincinv", ""),
    _incomplete_inverse("gammainccinv", "-"),
    _bessel(
        "jv",
        "0.5 * (jv(a - 1.0, b) - jv(a + 1.0, b))",
        "0.25 * (jv(a - 2.0, b) - 2.0 * v + jv(a + 2.0, b))",
        "jv",
        "jn",
        "jve",
    ),
    _bessel(
        "yv",
        "0.5 * (yv(a - 1.0, b) - yv(a + 1.0, b))",
        "0.25 * (yv(a - 2.0, b) - 2.0 * v + yv(a + 2.0, b))",
        "yv",
        "yve",
    ),
    _bessel(
        "iv", "0.5 * (iv(a - 1.0, b) + iv(a + 1.0, b))", "0.25 * (iv(a - 2.0, b) + 2.0 * v + iv(a + 2.0, b))", "iv"
    ),
    _bessel(
        "kv",
        "-0.5 * (kv(a - 1.0, b) + kv(a + 1.0, b))",
        "0.25 * (kv(a - 2.0, b) + 2.0 * v + kv(a + 2.0, b))",
        "kv",
    ),
    _bessel(
        "ive",
        "0.5 * (ive(a - 1.0, b) + ive(a + 1.0, b)) - copysign(1.0, b) * ive(a, b)",
        "0.25 * (ive(a - 2.0, b) + 6.0 * v + ive(a + 2.0, b)) - copysign(1.0, b) * (ive(a - 1.0, b) + ive(a + 1.0, b))",
        "ive",
    ),
    _bessel(
        "kve",
        "kve(a, b) - 0.5 * (kve(a - 1.0, b) + kve(a + 1.0, b))",
        "0.25 * (kve(a - 2.0, b) + 6.0 * v + kve(a + 2.0, b)) - kve(a - 1.0, b) - kve(a + 1.0, b)",
        "kve",
    ),
)

ROWS: tuple[Row, ...] = _ONE + _TWO
"""Rows of the operator table, see `sct_opt.ops.Op`."""

CONSTANTS: dict[str, float] = {
    "SQRT_2": math.sqrt(2.0),
    "SQRT_2PI": math.sqrt(2.0 * math.pi),
    "TWO_PI": 2.0 * math.pi,
    "RADIAN": math.pi / 180.0,
}
"""Numbers that these rows name."""
