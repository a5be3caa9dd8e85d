"""Rows of special functions as C functions, compiled one by one when a tape needs them.

Most tapes hold none of them, and a switch over all would take Numba many seconds to compile.
"""

from __future__ import annotations

import ast
import functools
import math
from typing import Any

from sct_opt import machine_code, special
from sct_opt.kernel import Late, kernel, scalar_function
from sct_opt.ops import NAMED_CONSTANTS, Op, called_names

_polygamma = kernel(special._polygamma)

_NATIVE = {
    name: getattr(math, name)
    for name in ("fabs", "floor", "copysign", "exp", "log", "log1p", "sqrt", "sin", "cos", "erf")
}


@functools.cache
def _function(name: str, arity: int) -> Any:
    """What a name in an expression calls: Numba's own function, a polygamma function or a symbol of SciPy."""
    if name in _NATIVE:
        return _NATIVE[name]
    if name in special.OWN:
        order = list(special.OWN).index(name) + 1
        return kernel(lambda x: _polygamma(order, x))
    # A symbol, not an address, which changes from process to process.
    symbol = f"sct_opt_special_{name}"
    machine_code.define_symbol(symbol, special.address(name))

    def make() -> Any:
        from sct_opt import kernel_compiler  # noqa: PLC0415 - imports Numba

        return kernel_compiler.external_function(symbol, arity)

    return Late(symbol, make)


def _arities(op: Op) -> dict[str, int]:
    return {
        node.func.id: len(node.args)
        for text in (op.value, *op.d, *op.dd)
        if text
        for node in ast.walk(ast.parse(text, mode="eval"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def _source(op: Op) -> str:
    lines = [f"def row_{op.name}(a, b, v, which):", "    if which == 0:", f"        return {op.value}"]
    columns = (1, 2)[: op.arity] + ((3,) if op.arity == 1 else (3, 4, 5))
    for column, expression in zip(columns, (*op.d, *op.dd), strict=True):
        if expression is not None:
            lines += [f"    if which == {column}:", f"        return {expression}"]
    return "\n".join([*lines, "    return 0.0", ""])


@functools.cache
def row_address(op: Op) -> int:
    """Address of ``double row(double a, double b, double v, int64 which)`` of one operator.

    ``which`` asks for the value (0), the first partials (1, 2) or the second ones (3, 4, 5), which may use the value ``v``.
    """
    arities = _arities(op)
    namespace: dict[str, Any] = {
        **NAMED_CONSTANTS,
        **{called: _function(called, arities[called]) for called in called_names(op)},
        "__name__": __name__,
    }
    exec(_source(op), namespace)
    return scalar_function(namespace[f"row_{op.name}"])
