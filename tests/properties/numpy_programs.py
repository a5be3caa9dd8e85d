"""Random programs written as plain NumPy functions, over the operator table and the surface of arrays.

A program is the source of an ordinary function ``f(x)``: statements drawn at random and kept if plain NumPy gives them
finite, moderate values at the program's own signed point.  It knows nothing of tracing, so what NumPy computes is the
truth that traces, patterns and derivatives are compared with.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse
import scipy.special
from hypothesis import strategies as st

import sct_opt as so
from sct_opt.ops import OPS
from sct_opt.tracing.base import FUNCTIONS

Array = np.ndarray[Any, Any]

LIMIT = 50.0  # largest value in a random program
LARGEST = 100  # largest size of an array

ORDERS = ("kn", "yn")  # SciPy cuts their order down to a whole number
UNARY = [f"np.{name}" for op in OPS if op.arity == 1 for name in op.numpy]
BINARY = [f"np.{name}" for op in OPS if op.arity == 2 for name in op.numpy]
SPECIAL_UNARY = [
    f"special.{name}" for op in OPS if op.arity == 1 for name in op.special if hasattr(scipy.special, name)
]
SPECIAL_BINARY = [
    f"special.{name}"
    for op in OPS
    if op.arity == 2
    for name in op.special
    if hasattr(scipy.special, name) and name not in ORDERS
]
TRUTH = {
    f"np.{name}"
    for name in [
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "equal",
        "not_equal",
        "logical_and",
        "logical_or",
        "logical_xor",
        "logical_not",
    ]
}
LIKELY = ["np.add", "np.subtract", "np.multiply", "np.divide", "np.power", "np.minimum", "np.maximum", "np.hypot"]
INSIDE_DOMAIN = {
    "np.sqrt": "np.abs({}) + 0.3",
    "np.log": "np.square({}) + 0.5",
    "np.log2": "np.abs({}) + 0.4",
    "np.log10": "np.exp(0.2 * {})",
    "np.log1p": "np.abs({})",
    "np.arcsin": "0.9 * np.tanh({})",
    "np.arccos": "0.8 * np.sin({})",
    "np.arctanh": "0.7 * np.cos({})",
    "np.arccosh": "1.2 + np.square({})",
    "np.reciprocal": "1.5 + np.square({})",
    "np.exp": "0.3 * {}",
    "special.gamma": "1.0 + np.abs({})",
    "special.gammaln": "0.6 + np.abs({})",
    "special.ndtri": "0.5 + 0.4 * np.tanh({})",
    "special.logit": "0.5 + 0.4 * np.sin({})",
}


@dataclass(frozen=True)
class NumpyProgram:
    """A plain function, the point at which it was drawn, and its source to show when a test fails."""

    function: Callable[[Array], Any] = field(repr=False)
    x: Array
    source: str
    elsewhere: list[Array] = field(repr=False)  # other points at which every statement is finite

    def __repr__(self) -> str:
        return f"NumpyProgram at x = {self.x!r}\n{self.source}"


class _Writer:
    """Draws statements and keeps the values that plain NumPy gives them."""

    def __init__(self, seed: int, shape: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(seed)
        self.x = self.numbers(shape)
        self.namespace: dict[str, Any] = {
            "np": np,
            "math": math,
            "special": scipy.special,
            "sparse": scipy.sparse,
            "so": so,
        }
        self.before: list[str] = []  # constants, outside of the function
        self.body: list[str] = []
        self.elsewhere = [self.x + self.numbers(shape) / 10, self.numbers(shape)]
        self.values: dict[str, Any] = {"x": self.x.copy() if shape else self.x[()]}
        self.other_values: list[dict[str, Any]] = [{"x": x.copy() if shape else x[()]} for x in self.elsewhere]

    # -- random choices ----------------------------------------------------------------------------------------------

    def numbers(self, shape: tuple[int, ...]) -> Array:
        return self.rng.normal(scale=1.5, size=shape)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def below(self, bound: int, least: int = 0) -> int:
        return int(self.rng.integers(least, bound))

    def one_of(self, options: Any) -> Any:
        options = list(options)
        return options[self.below(len(options))]

    # -- operands ----------------------------------------------------------------------------------------------------

    def constant(self, value: Any) -> str:
        """A constant of the module."""
        name = f"c{len(self.before)}"
        self.namespace[name] = value
        shown = (
            f"sparse.csr_array({value.toarray().tolist()})"
            if scipy.sparse.issparse(value)
            else f"np.array({value.tolist()}).reshape({value.shape})"
        )
        self.before.append(f"{name} = {shown}")
        return name

    def numbers_named(self, shape: tuple[int, ...], zeros: float = 0.3) -> str:
        values = self.numbers(shape).round(2)
        return self.constant(
            np.where(self.rng.random(shape) < zeros, self.rng.choice([0.0, 0.0, 1.0, -1.0, 2.0], size=shape), values)
        )

    def names(self, ndim: int | None = None, least: int = 0) -> list[str]:
        fitting = [
            name for name, v in self.values.items() if (ndim is None or np.ndim(v) == ndim) and np.size(v) >= least
        ]
        return fitting[-6:] + fitting

    def any(self, least: int = 0) -> str | None:
        names = self.names(None, least)
        return self.one_of(names) if names else None

    def of_rank(self, ndim: int, least: int = 1) -> str | None:
        names = self.names(ndim, least)
        return self.one_of(names) if names else None

    def scalar(self) -> str:
        """A number: a 0-d value, an entry, or a literal."""
        draw = self.rng.random()
        if draw < 0.15:
            return repr(float(self.numbers(()).round(2)))
        name = self.any(1) or "1.0"
        shape = np.shape(self.values.get(name, 1.0))
        index = ", ".join(str(self.below(n, -n)) for n in shape)
        return f"{name}[{index}]" if shape else name

    def partner(self, name: str) -> str:
        """An operand that broadcasts with another one."""
        shape = np.shape(self.values[name])
        draw = self.rng.random()
        if draw < 0.25:
            return self.numbers_named(shape if self.chance(0.7) else shape[-1:])
        if draw < 0.45:
            return self.scalar()
        fitting = [other for other in self.names() if _broadcasts(shape, np.shape(self.values[other]))]
        return self.one_of(fitting)

    def axis(self, name: str) -> int:
        return self.below(np.ndim(self.values[name]))

    # -- statements --------------------------------------------------------------------------------------------------

    def statement(self) -> None:
        lines = self.one_of(STATEMENTS)(self)
        if not lines:
            return
        name = f"v{len(self.body)}"
        text = "\n".join(line.replace("$", name) for line in ([f"$ = {lines}"] if isinstance(lines, str) else lines))
        changed = self.run(text, self.values)
        if changed is None or not _moderate(changed[name]):
            return
        if any(np.shape(changed[key]) != np.shape(value) for key, value in self.values.items()):
            return
        self.body.append(text)
        self.values = {key: changed[key] for key in [*self.values, name]}
        for k in reversed(range(len(self.elsewhere))):
            changed = self.run(text, self.other_values[k])
            if changed is None or not _finite(changed[name]):
                del self.elsewhere[k], self.other_values[k]
            else:
                self.other_values[k] = {key: changed[key] for key in self.values}

    def run(self, text: str, values: dict[str, Any]) -> dict[str, Any] | None:
        """What plain NumPy makes of the values, None if it refuses."""
        values = copy.deepcopy(values)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(text, self.namespace, values)
        except (ValueError, IndexError, TypeError, ArithmeticError):
            return None  # a domain error of math, shapes that do not fit
        return values

    def outputs(self, count: int) -> str:
        names = [self.one_of(self.names()[-5:] or self.names()) for _ in range(count)]
        return names[0] if count == 1 else f"[{', '.join(names)}]" if self.chance(0.5) else f"({', '.join(names)},)"

    def source(self, count: int) -> str:
        body = "\n".join(self.body).split("\n") if self.body else []
        head = "\n".join(self.before)
        return (
            f"{head}\ndef f(x):\n" + "".join(f"    {line}\n" for line in body) + f"    return {self.outputs(count)}\n"
        )


def _finite(value: Any) -> bool:
    """Finite, and free of negative zeros: ``0 * x`` is plain zero in a trace, as ``-0`` and ``0`` have one derivative."""
    array = np.asarray(value)
    return bool(
        array.dtype.kind in "fib" and np.isfinite(array).all() and not (np.signbit(array * 1.0) & (array == 0)).any()
    )


def _moderate(value: Any) -> bool:
    array = np.asarray(value)
    return array.size <= LARGEST and _finite(array) and np.abs(array * 1.0).max(initial=0.0) <= LIMIT


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        return int(np.prod(np.broadcast_shapes(a, b))) <= LARGEST
    except ValueError:
        return False


def _unary(w: _Writer) -> str | None:
    function, a = w.one_of(UNARY if w.chance(0.8) else SPECIAL_UNARY), w.any()
    inside = INSIDE_DOMAIN.get(function, "{}") if w.chance(0.7) else "{}"
    result = f"{function}({inside.format(a)})"
    return f"np.where({result}, {a}, {w.partner(a)})" if function in TRUTH else result


def _binary(w: _Writer) -> str | None:
    draw = w.rng.random()
    function, a = w.one_of(LIKELY if draw < 0.5 else BINARY if draw < 0.9 else SPECIAL_BINARY), w.any()
    left, right = (a, w.partner(a)) if w.chance(0.5) else (w.partner(a), a)
    if function == "np.power" and w.chance(0.7):
        left = f"(np.abs({left}) + 0.5)"
    result = f"{function}({left}, {right})"
    return f"np.where({result}, {a}, {w.partner(a)})" if function in TRUTH else result


def _operator(w: _Writer) -> str:
    a = w.any()
    operator = w.one_of(["+", "-", "*", "*", "/", "**", "//", "%"])
    if operator in ("//", "%"):
        # A small divisor makes a sawtooth finer than any step of differences.
        return f"{a} {operator} (0.3 + np.abs({w.partner(a)}))"
    return f"{a} {operator} {w.partner(a) if w.chance(0.7) else w.one_of(['2', '3.0', '-1', '0.5', '0', '1'])}"


def _formula(w: _Writer) -> str:
    a, b = w.any(), w.scalar()
    return w.one_of(
        [
            f"({a} - {b}) ** 2 + {w.scalar()} * {a}",
            f"np.sin({a} * {b}) / (2.0 + np.cos({a}))",
            f"np.exp(-np.square({a})) * {w.partner(a)}",
            f"{a} * {b} * {w.scalar()}",
            f"1.0 / (1.0 + np.exp(-{a}))",
            f"np.sqrt({a} ** 2 + {w.partner(a)} ** 2 + 0.1)",
            f"np.log1p(np.exp({a} * 0.5)) - {b}",
            f"np.tanh({a}) ** 3",
            f"abs({a}) ** 1.5",
        ]
    )


def _index(w: _Writer) -> str | None:
    a = w.any(1)
    if a is None or np.ndim(w.values[a]) == 0:
        return None
    shape = np.shape(w.values[a])
    n, k = shape[0], w.below(shape[0])
    choices = [
        "[1:]",
        "[::-1]",
        "[::2]",
        "[..., None]",
        "[None]",
        f"[{k}]",
        f"[{k - n}]",
        "[...]",
        ".T",
        ".ravel()",
        "[0:0]",
    ]
    choices += [
        f"[{[w.below(n) for _ in range(3)]}]",
        f"[np.array({(w.rng.random(n) < 0.6).tolist()})]",
        f"[{k}:{k + 2}]",
    ]
    if len(shape) == 2:
        choices += [
            f"[:, {w.below(shape[1])}]",
            "[1:, ::-1]",
            f"[[{k}, {k}], [0, {shape[1] - 1}]]",
            ".reshape(-1)",
            ".flatten()",
        ]
    return a + w.one_of(choices)


def _move(w: _Writer) -> str | None:
    a = w.any(1)
    if a is None or np.ndim(w.values[a]) == 0:
        return None
    k = w.axis(a)
    return w.one_of(
        [
            f"np.roll({a}, {w.below(4, -3)})",
            f"np.roll({a}, 1, axis={k})",
            f"np.flip({a})",
            f"np.tile({a}, 2)",
            f"np.repeat({a}, 2, axis={k})",
            f"np.take({a}, [0, -1], axis={k})",
            f"np.broadcast_to({a}, (2,) + {a}.shape) * {w.scalar()}",
            f"np.pad({a}, 1, constant_values={w.scalar()})",
            f"np.pad({a}, 1, mode='edge')",
            f"np.moveaxis({a}, {k}, 0)",
            f"np.diag(np.ravel({a})[:4])",
            f"np.delete({a}, 0, axis={k})",
            f"np.insert(np.ravel({a}), 1, {w.scalar()})",
            f"np.append({a}, {w.scalar()})",
            f"np.squeeze({a}) + 0.0",
            f"np.expand_dims({a}, 0)",
            f"np.rot90(np.atleast_2d({a}))",
            f"np.triu(np.outer({a}, {a}))",
            f"np.lib.stride_tricks.sliding_window_view(np.ravel({a}), 2)",
            f"np.array_split(np.ravel({a}), 2)[{w.below(2)}]",
        ]
    )


def _join(w: _Writer) -> str | None:
    a, b = w.of_rank(1), w.of_rank(1)
    if a is None or b is None:
        return None
    same = [name for name in w.names() if np.shape(w.values[name]) == np.shape(w.values[a])]
    c = w.one_of(same)
    return w.one_of(
        [
            f"np.concatenate([{a}, {b}])",
            f"np.concatenate([{a}, np.array([{w.scalar()}, {w.scalar()}]), {b}])",
            f"np.hstack([{w.scalar()}, {a}])",
            f"np.stack([{a}, {c}])",
            f"np.stack([{a}, {c}, {w.numbers_named(np.shape(w.values[a]))}], axis=-1)",
            f"np.vstack([{a}, {c}])",
            f"np.column_stack([{a}, {c}])",
            f"np.array([{w.scalar()}, {w.scalar()}, {w.scalar()}])",
            f"np.array([[{w.scalar()}, {w.scalar()}], [{w.scalar()}, 1.0]])",
            f"np.block([[np.atleast_2d({a})], [np.atleast_2d({c})]])",
            f"np.meshgrid({a}, {b})[{w.below(2)}]",
        ]
    )


def _reduce(w: _Writer) -> str | None:
    a = w.any(1)
    if a is None or np.ndim(w.values[a]) == 0:
        return None
    axis = w.one_of(["", "", f"axis={w.axis(a)}", "axis=-1", f"axis={w.axis(a)}, keepdims=True"])
    function = w.one_of(
        [
            "sum",
            "sum",
            "mean",
            "max",
            "min",
            "prod",
            "var",
            "std",
            "ptp",
            "median",
            "amax",
            "nansum",
            "nanmax",
            "nanmean",
        ]
    )
    if function in ("sum", "mean") and w.chance(0.2):
        return f"np.{function}({a}, where={w.constant(w.rng.random(np.shape(w.values[a])) < 0.7)})"
    if function == "std":
        return f"np.std(np.append({a}, [0.3, 7.0]))"
    return f"np.{function}({a}{', ' if axis else ''}{axis})"


def _accumulate(w: _Writer) -> str | None:
    a = w.any(2)
    if a is None or np.ndim(w.values[a]) == 0:
        return None
    k = w.axis(a)
    return w.one_of(
        [
            f"np.cumsum({a}, axis={k})",
            f"np.cumsum({a})",
            f"np.cumprod(np.tanh({a}), axis={k})",
            f"np.diff({a}, axis={k})",
            f"np.diff({a}, n=2, axis=-1)",
            f"np.diff(np.ravel({a}), prepend={w.scalar()})",
            f"np.maximum.accumulate({a}, axis={k})",
            f"np.add.reduce({a}, axis={k})",
            f"np.logaddexp.reduce({a}, axis={k})",
            f"np.hypot.reduce(np.ravel({a}))",
            f"np.subtract.outer(np.ravel({a})[:3], np.ravel({a})[-2:])",
            f"np.add.reduceat(np.ravel({a}), [0, 1])",
            f"np.gradient(np.ravel({a}))",
            f"np.trapezoid({a}, dx=0.5, axis={k})",
            f"np.convolve(np.ravel({a})[:6], [1.0, -2.0, 0.5], mode='{w.one_of(['full', 'same', 'valid'])}')",
            f"np.sort({a}, axis={k})",
            f"np.quantile({a}, 0.3)",
            f"np.polyval([0.5, -1.0, 2.0], {a})",
            f"np.cross(np.ravel({a})[:3], [1.0, -1.0, 2.0])",
            f"np.unwrap(np.ravel({a}))",
            f"np.sinc(0.3 * {a})",
            f"np.average({a}, weights={w.constant(w.rng.random(np.shape(w.values[a])) + 0.1)})",
        ]
    )


def _product(w: _Writer) -> str | None:
    a = w.of_rank(1, 1)
    if a is None:
        return None
    n = np.size(w.values[a])
    rows = w.below(5, 1)
    m = w.of_rank(2, 1)
    choices = [
        f"{w.numbers_named((rows, n), 0.6)} @ {a}",
        f"{a} @ {w.numbers_named((n, rows), 0.6)}",
        f"np.dot({a}, {w.numbers_named((n,))})",
        f"{w.constant(scipy.sparse.csr_array(np.where(w.rng.random((rows, n)) < 0.4, w.numbers((rows, n)).round(2), 0.0)))} @ {a}",
        f"np.outer({a}, {w.of_rank(1)})",
        f"{a} @ {a}",
        f"np.vdot({a}, np.cos({a}))",
        f"np.inner({a}, {w.numbers_named((2, n))})",
        f"np.kron({a}, {w.numbers_named((2,), 0.1)})",
        f"np.einsum('i,ij,j->j', {a}, {w.numbers_named((n, n), 0.6)}, {a})",
        f"np.einsum('i,i', {a}, {a})",
        f"np.tensordot({a}, {w.numbers_named((n, 2))}, axes=(0, 0))",
    ]
    if np.linalg.norm in FUNCTIONS:
        choices += [f"np.linalg.norm({a})", f"np.linalg.norm({a}, 1)"]
    if m is not None:
        shape = np.shape(w.values[m])
        choices += [
            f"{m} @ {m}.T",
            f"np.trace({m})",
            f"{m} @ {w.numbers_named((shape[1], 2), 0.5)}",
            f"{w.numbers_named((2, shape[0]), 0.5)} @ {m}",
        ]
        choices += [f"np.einsum('ij,ij->i', {m}, {m})", f"np.einsum('ij->ji', {m})", f"np.diagonal({m}) * 2.0"]
        if np.linalg.solve in FUNCTIONS and shape[0] == shape[1] and shape[0] <= 3:
            choices += [
                f"np.linalg.solve({m} + 6.0 * np.eye({shape[0]}), {w.numbers_named(shape[:1])})",
                f"np.linalg.det({m})",
                f"np.linalg.inv({m} + 6.0 * np.eye({shape[0]}))",
            ]
    return w.one_of(choices)


def _choose(w: _Writer) -> str:
    a = w.any()
    b = w.partner(a)
    return w.one_of(
        [
            f"np.where({a} < {b}, {a}, {w.partner(a)})",
            f"so.where({a} > {w.scalar()}, np.sin({a}), {b})",
            f"so.ifelse({w.scalar()} > 0.0, {a}, {b})",
            f"np.where(({a} > -1.0) & ({a} < 1.0) | ~({a} < {b}), {a} ** 2, {w.scalar()})",
            f"np.clip({a}, -1.0, {w.scalar()})",
            f"np.clip({a}, -0.5, None)",
            f"np.select([{a} < -1.0, {a} < 0.5], [{a} * 2.0, {w.scalar()}], {a} ** 2)",
            f"np.piecewise(np.ravel({a}), [np.ravel({a}) < 0.0, np.ravel({a}) >= 0.0], [lambda u: u ** 2, lambda u: np.sin(u)])",
            f"np.maximum({a}, 0.0) + np.minimum({b}, 0.3)",
            f"np.heaviside({a}, 0.5) * {a}",
            f"np.where({w.constant(w.rng.random(np.shape(w.values[a])) < 0.5)}, {a}, {b})",
            f"{a} * ({a} > 0.2)",
            f"np.abs({a}) + np.copysign({a}, {b})",
            f"np.floor({a}) * {a} + np.round({a}, 1)",
            f"np.asarray({a}).astype(int) * {b}",
            f"np.nan_to_num({a})",
        ]
    )


def _assign(w: _Writer) -> list[str] | None:
    a = w.of_rank(1, 2)
    if a is None:
        return None
    n = np.size(w.values[a])
    k = w.below(n)
    return w.one_of(
        [
            [f"$ = np.zeros({n + 1})", f"$[1:] = {a}", f"$[0] = {w.scalar()}"],
            [f"$ = np.empty((2, {n}))", f"$[0] = {a}", f"$[1, ::-1] = {a} ** 2"],
            [f"$ = np.array({a})", f"$[{k}] *= {w.scalar()}", "$[::2] += 1.5"],
            [f"$ = {a}.copy()", f"$[{k}:] -= {a}[: {n - k}]"],
            [f"$ = np.zeros_like({a})", f"np.add.at($, {[w.below(n) for _ in range(3)]}, {w.scalar()})"],
            [f"$ = np.ones({n})", f"for i in range(1, {n}):", f"    $[i] = $[i - 1] * 0.5 + {a}[i] * {a}[i - 1]"],
            [f"$ = {a} * 1.0", "part = $[1:]", "part *= 2.0", f"part[0] = {w.scalar()}"],
            [f"$ = np.eye({n})", f"$[0] = {a}", f"$[:, {k}] += {a}", f"$ = $ @ {a}"],
            [f"$ = {a} + 0.0", f"$[[0, {k}]] = $[[{k}, 0]]"],
            [f"$ = np.full({n}, 0.25)", f"$ += {a}", "$ **= 2"],
            [f"$ = np.zeros(({n}, 2))", f"$.T.flat[:{n}] = {a}", f"$.ravel()[-1] = {w.scalar()}"],
            [f"$ = np.zeros({n})", f"np.put($, [0, {k}], {a}[:2])", "np.multiply($, 3.0, out=$)"],
            [f"{a}[{k}] = {w.scalar()}", f"$ = {a} * 1.0"],
            [f"$ = np.zeros(({n}, {n}))", f"np.fill_diagonal($, {a})", "$ = $.sum(axis=0)"],
        ]
    )


def _python(w: _Writer) -> list[str] | str | None:
    a = w.of_rank(1, 1)
    if a is None:
        return None
    return w.one_of(
        [
            f"sum({a})",
            f"sum(u * u for u in {a})",
            f"np.array([math.sin(u) * v for u, v in zip({a}, {a}[::-1])])",
            f"math.sqrt(1.0 + {w.scalar()} ** 2) + math.exp(0.1 * {w.scalar()})",
            f"math.atan2({w.scalar()}, {w.scalar()})",
            f"np.array([u ** k for k, u in enumerate({a})])",
            f"np.array([abs(u) + (u - 0.5) ** 3 for u in {a}])",
            f"np.stack([{w.scalar()} * {a}, {a} / 3.0]).sum(axis=0)",
            ["$ = 0.0", f"for u in {a}:", "    $ = 0.5 * $ * u + u"],
            ["$ = 1.0", f"for k in range({np.size(w.values[a])}):", f"    $ = $ + {a}[k] * {a}[k - 1] / (k + 1)"],
            ["$ = []", f"for u in {a}:", "    $.append(u * ($[-1] if $ else 1.0))", "$ = np.array($)"],
            [f"$ = {w.scalar()}", "for _ in range(3):", "    $ = $ - ($ * $ - 2.0) / (3.0 + $ * $)"],
        ]
    )


STATEMENTS: list[Callable[[_Writer], str | list[str] | None]] = [
    *[_unary] * 4,
    *[_binary] * 5,
    *[_operator] * 4,
    *[_formula] * 2,
    *[_index] * 3,
    *[_move] * 2,
    *[_join] * 2,
    *[_reduce] * 2,
    *[_accumulate] * 2,
    *[_product] * 3,
    *[_choose] * 3,
    *[_assign] * 3,
    *[_python] * 2,
]
SHAPES = [(), (1,), (2,), (3,), (4,), (5,), (7,), (2, 3), (3, 1), (1, 4), (2, 2), (0,), (16,), (4, 5)]


def numpy_program(seed: int, size: int = 12, shape: tuple[int, ...] = (4,), outputs: int = 2) -> NumpyProgram:
    """A random program of at most ``size`` statements; outputs may repeat, or be the input."""
    writer = _Writer(seed, shape)
    for _ in range(size):
        writer.statement()
    source = writer.source(outputs)
    exec(compile(source, f"<program {seed}>", "exec"), writer.namespace)
    return NumpyProgram(writer.namespace["f"], writer.x, source, writer.elsewhere)


def numpy_programs() -> st.SearchStrategy[NumpyProgram]:
    """Hypothesis strategy of random programs; sizes shrink, the seed decides the rest."""
    return st.builds(
        numpy_program,
        seed=st.integers(0, 2**32 - 1),
        size=st.integers(0, 18),
        shape=st.sampled_from(SHAPES),
        outputs=st.integers(1, 3),
    )
