"""The operator table: one row per scalar operator, read by every part of the package.

A row gives an operator's value and its first and second partials as Python expressions in the arguments ``a`` and
``b`` and the value ``v``.  Expressions, not functions, because three readers need them: NumPy evaluates them on whole
arrays (`Op.evaluate`), the Numba sweeps get them as source inside one ``switch`` over opcodes, and the program
compiler walks them as syntax trees.  ``None`` as a partial means *structurally zero*; pattern flags are derived
from the partials and so cannot contradict them.

Local rules (which arguments count at a given point) come in two kinds: ``piecewise`` rules belong to operators that
are pieced together from branches (``min``, ``max``, ``mod``); ``factor`` rules to products and quotients whose
factor is exactly zero.  Both are conditions in ``a``, ``b`` and ``v`` under which the argument's entry is kept.

Names are those of C's ``math.h`` where it has one.  To add an operator, add a row: ``docs/add-an-operator.md``.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sct_opt import special, special_rows
from sct_opt.errors import UnsupportedOperatorError

Expression = str | None


@dataclass(frozen=True, slots=True)
class Op:
    """One operator.

    Attributes:
        name: canonical (C) name.
        arity: number of arguments, 1 or 2; 0 for leaves and -1 for n-ary structural nodes.
        value: expression of the value in ``a``, ``b``.
        d: first partials by argument; ``None`` is structurally zero.
        dd: second partials, ``(aa,)`` or ``(aa, ab, bb)``; ``None`` is structurally zero.
        numpy: names of NumPy ufuncs that mean this operator.
        special: names of ``scipy.special`` ufuncs that mean this operator.
        piecewise: per argument, the condition under which a piecewise operator really depends on it at a point.
        factor: per argument, the condition under which the other factor of a product or quotient is nonzero.
    """

    name: str
    arity: int
    value: str = ""
    d: tuple[Expression, ...] = ()
    dd: tuple[Expression, ...] = ()
    numpy: tuple[str, ...] = ()
    special: tuple[str, ...] = ()
    piecewise: tuple[Expression, ...] = field(default=())
    factor: tuple[Expression, ...] = field(default=())

    @property
    def evaluate(self) -> Callable[..., Any]:
        """The value as a vectorised NumPy function of the arguments."""
        return array_function(self.value, self.arity)


_Z1: tuple[Expression, ...] = (None,)
_Z2: tuple[Expression, ...] = (None, None)
_Z3: tuple[Expression, ...] = (None, None, None)


def _zero(name: str, arity: int, value: str, *numpy: str) -> Op:
    """A row whose partials are all structurally zero."""
    return Op(name, arity, value, _Z1 if arity == 1 else _Z2, _Z1 if arity == 1 else _Z3, numpy)


_STRUCTURAL = (
    Op("input", 0),
    Op("parameter", 0),
    Op("constant", 0),
    Op("affine", -1),  # sum of coefficient times argument, plus a constant
    Op("select", -1),  # (condition, value where true, value where false)
    Op("blackbox", -1),  # one output of a function evaluated in Python, see tape.BlackBox
)

_UNARY = (
    Op("neg", 1, "-a", ("-1.0",), _Z1, ("negative",)),
    # The slope at 0 is taken as +1 or -1, never 0, so that a local pattern keeps |x| at the kink.
    Op("abs", 1, "fabs(a)", ("copysign(1.0, a)",), _Z1, ("absolute", "fabs")),
    Op("square", 1, "a * a", ("2.0 * a",), ("2.0",), ("square",)),
    Op("sqrt", 1, "sqrt(a)", ("0.5 / v",), ("-0.25 / (v * a)",), ("sqrt",)),
    Op("cbrt", 1, "cbrt(a)", ("1.0 / (3.0 * v * v)",), ("-2.0 / (9.0 * v * v * a)",), ("cbrt",), ("cbrt",)),
    Op("reciprocal", 1, "1.0 / a", ("-v * v",), ("2.0 * v * v * v",), ("reciprocal",)),
    Op("exp", 1, "exp(a)", ("v",), ("v",), ("exp",)),
    Op("exp2", 1, "exp2(a)", ("LN2 * v",), ("LN2 * LN2 * v",), ("exp2",), ("exp2",)),
    Op("exp10", 1, "10.0 ** a", ("LN10 * v",), ("LN10 * LN10 * v",), (), ("exp10",)),
    Op("expm1", 1, "expm1(a)", ("exp(a)",), ("exp(a)",), ("expm1",), ("expm1",)),
    Op("log", 1, "log(a)", ("1.0 / a",), ("-1.0 / (a * a)",), ("log",)),
    Op("log2", 1, "log2(a)", ("1.0 / (LN2 * a)",), ("-1.0 / (LN2 * a * a)",), ("log2",)),
    Op("log10", 1, "log10(a)", ("1.0 / (LN10 * a)",), ("-1.0 / (LN10 * a * a)",), ("log10",)),
    Op("log1p", 1, "log1p(a)", ("1.0 / (1.0 + a)",), ("-1.0 / ((1.0 + a) * (1.0 + a))",), ("log1p",), ("log1p",)),
    Op("sin", 1, "sin(a)", ("cos(a)",), ("-v",), ("sin",)),
    Op("cos", 1, "cos(a)", ("-sin(a)",), ("-v",), ("cos",)),
    Op("tan", 1, "tan(a)", ("1.0 + v * v",), ("2.0 * v * (1.0 + v * v)",), ("tan",)),
    Op("asin", 1, "asin(a)", ("1.0 / sqrt(1.0 - a * a)",), ("a / (sqrt(1.0 - a * a) * (1.0 - a * a))",), ("arcsin",)),
    Op("acos", 1, "acos(a)", ("-1.0 / sqrt(1.0 - a * a)",), ("-a / (sqrt(1.0 - a * a) * (1.0 - a * a))",), ("arccos",)),
    Op("atan", 1, "atan(a)", ("1.0 / (1.0 + a * a)",), ("-2.0 * a / ((1.0 + a * a) * (1.0 + a * a))",), ("arctan",)),
    Op("sinh", 1, "sinh(a)", ("cosh(a)",), ("v",), ("sinh",)),
    Op("cosh", 1, "cosh(a)", ("sinh(a)",), ("v",), ("cosh",)),
    Op("tanh", 1, "tanh(a)", ("1.0 - v * v",), ("-2.0 * v * (1.0 - v * v)",), ("tanh",)),
    Op(
        "asinh",
        1,
        "asinh(a)",
        ("1.0 / sqrt(1.0 + a * a)",),
        ("-a / (sqrt(1.0 + a * a) * (1.0 + a * a))",),
        ("arcsinh",),
    ),
    Op(
        "acosh",
        1,
        "acosh(a)",
        ("1.0 / sqrt(a * a - 1.0)",),
        ("-a / (sqrt(a * a - 1.0) * (a * a - 1.0))",),
        ("arccosh",),
    ),
    Op("atanh", 1, "atanh(a)", ("1.0 / (1.0 - a * a)",), ("2.0 * a / ((1.0 - a * a) * (1.0 - a * a))",), ("arctanh",)),
    Op(
        "erf",
        1,
        "erf(a)",
        ("TWO_OVER_SQRT_PI * exp(-a * a)",),
        ("-2.0 * TWO_OVER_SQRT_PI * a * exp(-a * a)",),
        (),
        ("erf",),
    ),
    Op(
        "erfc",
        1,
        "erfc(a)",
        ("-TWO_OVER_SQRT_PI * exp(-a * a)",),
        ("2.0 * TWO_OVER_SQRT_PI * a * exp(-a * a)",),
        (),
        ("erfc",),
    ),
    _zero("sign", 1, "sign(a)", "sign"),
    _zero("floor", 1, "floor(a)", "floor"),
    _zero("ceil", 1, "ceil(a)", "ceil"),
    _zero("rint", 1, "rint(a)", "rint"),
    _zero("trunc", 1, "trunc(a)", "trunc"),
    # What ``ignore_derivatives`` leaves of a value.
    _zero("stop", 1, "a"),
    # Conversion to integers: the slope is zero, but the entry is kept in patterns, as SparseConnectivityTracer.jl
    # keeps that of ``Int(x)``.
    Op("to_int", 1, "trunc(a)", ("0.0",), _Z1),
    _zero("logical_not", 1, "1.0 if a == 0.0 else 0.0", "logical_not"),
)

_R2 = "(a * a + b * b)"
_BINARY = (
    Op("add", 2, "a + b", ("1.0", "1.0"), _Z3, ("add",)),
    Op("sub", 2, "a - b", ("1.0", "-1.0"), _Z3, ("subtract",)),
    Op("mul", 2, "a * b", ("b", "a"), (None, "1.0", None), ("multiply",), factor=("b != 0.0", "a != 0.0")),
    Op(
        "div",
        2,
        "a / b",
        ("1.0 / b", "-v / b"),
        (None, "-1.0 / (b * b)", "2.0 * v / (b * b)"),
        ("divide",),
        factor=(None, "a != 0.0"),
    ),
    Op(
        "pow",
        2,
        "a ** b",
        ("0.0 if b == 0.0 else b * a ** (b - 1.0)", "0.0 if a == 0.0 else v * log(a)"),
        (
            "0.0 if b == 0.0 or b == 1.0 else b * (b - 1.0) * a ** (b - 2.0)",
            "0.0 if a == 0.0 and b > 1.0 else a ** (b - 1.0) * (1.0 + b * log(a))",
            "0.0 if a == 0.0 else v * log(a) * log(a)",
        ),
        ("power", "float_power"),
    ),
    # The exponent does not depend on x: no logarithm of the base, which may be negative.
    Op(
        "powc",
        2,
        "a ** b",
        ("0.0 if b == 0.0 else b * a ** (b - 1.0)", None),
        ("0.0 if b == 0.0 or b == 1.0 else b * (b - 1.0) * a ** (b - 2.0)", None, None),
    ),
    # The base does not depend on x.
    Op(
        "cpow",
        2,
        "a ** b",
        (None, "0.0 if a == 0.0 else v * log(a)"),
        (None, None, "0.0 if a == 0.0 else v * log(a) * log(a)"),
    ),
    Op(
        "hypot",
        2,
        "hypot(a, b)",
        ("a / v", "b / v"),
        ("b * b / (v * v * v)", "-a * b / (v * v * v)", "a * a / (v * v * v)"),
        ("hypot",),
    ),
    Op(
        "atan2",
        2,
        "atan2(a, b)",
        (f"b / {_R2}", f"-a / {_R2}"),
        (f"-2.0 * a * b / ({_R2} * {_R2})", f"(a * a - b * b) / ({_R2} * {_R2})", f"2.0 * a * b / ({_R2} * {_R2})"),
        ("arctan2",),
    ),
    Op(
        "logaddexp",
        2,
        "a + LN2 if a == b else (a if a > b else b) + log1p(exp(-fabs(a - b)))",
        ("exp(a - v)", "exp(b - v)"),
        ("exp(a - v) * exp(b - v)", "-exp(a - v) * exp(b - v)", "exp(a - v) * exp(b - v)"),
        ("logaddexp",),
    ),
    Op(
        "logaddexp2",
        2,
        "a + 1.0 if a == b else (a if a > b else b) + log1p(exp2(-fabs(a - b))) / LN2",
        ("exp2(a - v)", "exp2(b - v)"),
        ("LN2 * exp2(a - v) * exp2(b - v)", "-LN2 * exp2(a - v) * exp2(b - v)", "LN2 * exp2(a - v) * exp2(b - v)"),
        ("logaddexp2",),
    ),
    # Ties: the slope is that of the first argument; a local pattern keeps both.
    Op(
        "min",
        2,
        "a if a <= b or a != a else b",
        ("1.0 if a <= b else 0.0", "0.0 if a <= b else 1.0"),
        _Z3,
        ("minimum",),
        piecewise=("not (b < a)", "not (a < b)"),
    ),
    Op(
        "max",
        2,
        "a if a >= b or a != a else b",
        ("1.0 if a >= b else 0.0", "0.0 if a >= b else 1.0"),
        _Z3,
        ("maximum",),
        piecewise=("not (a < b)", "not (b < a)"),
    ),
    # fmin and fmax: NaN loses.
    Op(
        "fmin",
        2,
        "a if a <= b or b != b else b",
        ("1.0 if a <= b or b != b else 0.0", "0.0 if a <= b or b != b else 1.0"),
        _Z3,
        ("fmin",),
        piecewise=("not (b < a)", "not (a < b)"),
    ),
    Op(
        "fmax",
        2,
        "a if a >= b or b != b else b",
        ("1.0 if a >= b or b != b else 0.0", "0.0 if a >= b or b != b else 1.0"),
        _Z3,
        ("fmax",),
        piecewise=("not (a < b)", "not (b < a)"),
    ),
    # The sign of mod is the divisor's (Python), that of fmod the dividend's (C).
    Op(
        "mod",
        2,
        "remainder(a, b)",
        ("1.0", "-floor(a / b)"),
        _Z3,
        ("remainder",),
        piecewise=(None, "floor(a / b) != 0.0"),
    ),
    Op("fmod", 2, "fmod(a, b)", ("1.0", "-trunc(a / b)"), _Z3, ("fmod",), piecewise=(None, "trunc(a / b) != 0.0")),
    Op("copysign", 2, "copysign(a, b)", ("copysign(1.0, a) * copysign(1.0, b)", None), _Z3, ("copysign",)),
    # Not floor(a / b), which rounding can lift to the next whole number: 1 // 0.1 is 9.
    _zero(
        "floor_divide",
        2,
        "copysign(rint((a - remainder(a, b)) / b), a / b) if b != 0.0 and b - b == 0.0 else floor(a / b)",
        "floor_divide",
    ),
    _zero("lt", 2, "1.0 if a < b else 0.0", "less"),
    _zero("le", 2, "1.0 if a <= b else 0.0", "less_equal"),
    _zero("gt", 2, "1.0 if a > b else 0.0", "greater"),
    _zero("ge", 2, "1.0 if a >= b else 0.0", "greater_equal"),
    _zero("eq", 2, "1.0 if a == b else 0.0", "equal"),
    _zero("ne", 2, "1.0 if a != b else 0.0", "not_equal"),
    _zero("logical_and", 2, "1.0 if (a != 0.0 and b != 0.0) else 0.0", "logical_and"),
    _zero("logical_or", 2, "1.0 if (a != 0.0 or b != 0.0) else 0.0", "logical_or"),
    _zero("logical_xor", 2, "1.0 if (a != 0.0) != (b != 0.0) else 0.0", "logical_xor"),
)

OPS: tuple[Op, ...] = (
    _STRUCTURAL
    + _UNARY
    + _BINARY
    + tuple(Op(name, arity, value, d, dd, special=names) for name, arity, value, d, dd, names in special_rows.ROWS)
)
"""All operators; an opcode is the index of a row."""

FIRST_SPECIAL = len(OPS) - len(special_rows.ROWS)
"""Opcode of the first row of `sct_opt.special_rows`; these rows are compiled one by one, see `sct_opt.special_kernels`."""

OPCODE: dict[str, int] = {op.name: code for code, op in enumerate(OPS)}
"""Opcode by canonical name."""

UFUNC: dict[str, int] = {name: code for code, op in enumerate(OPS) for name in op.numpy + op.special}
"""Opcode by the name of the NumPy or scipy.special ufunc."""

INPUT, PARAMETER, CONSTANT, AFFINE, SELECT, BLACKBOX = range(len(_STRUCTURAL))

NAMED_CONSTANTS: dict[str, float] = {
    "LN2": math.log(2.0),
    "LN10": math.log(10.0),
    "TWO_OVER_SQRT_PI": 2.0 / math.sqrt(math.pi),
    "PI": math.pi,
    **special_rows.CONSTANTS,
}
"""Numbers that expressions may name."""

# Where the NumPy name of a function used in expressions differs from its C name.
_NUMPY_NAME = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "atan2": "arctan2",
}

# Bits of the per-opcode flags that `structural_flags` returns and that detection and sweeps share.
FLAG_A, FLAG_B, FLAG_AA, FLAG_AB, FLAG_BB = 1, 2, 4, 8, 16


def opcode(name: str) -> int:
    """The opcode of a canonical operator name.

    Raises:
        UnsupportedOperatorError: no row has that name.

    >>> OPS[opcode("sin")].d
    ('cos(a)',)
    """
    try:
        return OPCODE[name]
    except KeyError:
        raise UnsupportedOperatorError(
            f"operator {name!r} is not in the operator table; add a row to sct_opt/ops.py or write it with "
            "operators that are"
        ) from None


def structural_flags() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Per opcode, which partials may be nonzero: bits ``FLAG_A … FLAG_BB``.

    >>> flags = structural_flags()
    >>> int(flags[opcode("mul")]) == FLAG_A | FLAG_B | FLAG_AB
    True
    """
    flags = np.zeros(len(OPS), dtype=np.uint8)
    for code, op in enumerate(OPS):
        bits = (FLAG_A, FLAG_B)
        for bit, partial in zip(bits, op.d, strict=False):
            flags[code] |= bit if partial is not None else 0
        bits2 = (FLAG_AA,) if op.arity == 1 else (FLAG_AA, FLAG_AB, FLAG_BB)
        for bit, partial in zip(bits2, op.dd, strict=False):
            flags[code] |= bit if partial is not None else 0
    return flags


@functools.cache
def called_names(op: Op) -> frozenset[str]:
    """Names of the functions that an operator's expressions call.

    >>> sorted(called_names(OPS[opcode("tan")])), sorted(called_names(OPS[opcode("cos")]))
    (['tan'], ['cos', 'sin'])
    """
    return frozenset(
        node.func.id
        for text in (op.value, *op.d, *op.dd)
        if text
        for node in ast.walk(ast.parse(text, mode="eval"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )


class _Vectorise(ast.NodeTransformer):
    """Turn scalar Python conditions into their elementwise NumPy form."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return _call("where", node.test, node.body, node.orelse)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        name = "logical_and" if isinstance(node.op, ast.And) else "logical_or"
        return functools.reduce(lambda left, right: _call(name, left, right), node.values)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return _call("logical_not", node.operand) if isinstance(node.op, ast.Not) else node


def _call(name: str, *args: ast.expr) -> ast.expr:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=list(args), keywords=[])


@functools.cache
def _numpy_namespace() -> dict[str, Any]:
    names = {
        node.id
        for op in OPS
        for text in (op.value, *op.d, *op.dd, *op.piecewise, *op.factor)
        if text
        for node in ast.walk(ast.parse(text, mode="eval"))
        if isinstance(node, ast.Name)
    } - {"a", "b", "v"}
    namespace: dict[str, Any] = {
        name: getattr(np, name) for name in ("where", "logical_and", "logical_or", "logical_not")
    }
    for name in names:
        if name in NAMED_CONSTANTS:
            namespace[name] = NAMED_CONSTANTS[name]
        elif hasattr(np, _NUMPY_NAME.get(name, name)) and name not in special.SHADOWED:
            namespace[name] = getattr(np, _NUMPY_NAME.get(name, name))
        else:
            namespace[name] = _special(name)
    return namespace


def _special(name: str) -> Callable[..., Any]:
    """A scipy.special function, looked up at its first call: importing it takes longer than importing sct_opt."""

    def call(*args: Any) -> Any:
        return special.array_function(name)(*args)

    return call


@functools.cache
def array_function(expression: str, arity: int) -> Callable[..., Any]:
    """Compile an expression of the table to a NumPy function of ``(a,)`` or ``(a, b)``, and ``v`` if it needs it.

    >>> array_function("1.0 if a < b else 0.0", 2)(np.array([1.0, 3.0]), 2.0)
    array([1., 0.])
    """
    tree = ast.fix_missing_locations(_Vectorise().visit(ast.parse(expression, mode="eval")))
    code = compile(tree, f"<operator table: {expression}>", "eval")
    namespace = _numpy_namespace()
    names = ("a", "b")[:arity]

    def evaluate(*args: Any) -> Any:
        local = dict(zip((*names, "v"), args, strict=False))
        with np.errstate(all="ignore"):
            return eval(code, namespace, local)

    return evaluate


@functools.cache
def scalar_function(expression: str, arity: int) -> Callable[..., float]:
    """Compile an expression of the table to a function of floats, for traces that need values node by node.

    >>> scalar_function("a / b", 2)(1.0, 0.0)
    inf
    """
    code = compile(expression, f"<operator table: {expression}>", "eval")
    # math.remainder is IEEE's, another function than the divisor's-sign remainder of the table
    namespace = {
        name: value if name == "remainder" else getattr(math, name, value) for name, value in _numpy_namespace().items()
    }
    whole_array = array_function(expression, arity)
    names = ("a", "b")[:arity]

    def evaluate(*args: float) -> float:
        try:
            value = eval(code, namespace, dict(zip(names, args, strict=True)))
        except (ArithmeticError, ValueError):
            # NumPy's answer at a pole or outside the domain: inf or nan instead of an exception
            value = whole_array(*map(np.float64, args))
        return math.nan if isinstance(value, complex) else float(value)

    return evaluate
