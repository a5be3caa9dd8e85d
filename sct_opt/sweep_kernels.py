"""Kernels of the sweeps: value, first and second partials, tangents and adjoints of all nodes of a tape.

`linearise` holds one ``switch`` over all rows of the operator table.  Its source is written from the table, so that
an operator exists in one place.

Products of a partial with a zero tangent or adjoint are zero even where the partial is infinite or NaN: in a
compressed sweep a lane may carry nothing through a node whose partial is not finite, and must not be spoilt by it.
"""

from __future__ import annotations

import ast
import functools
import math
from typing import Any

import numpy as np

from sct_opt import special_kernels
from sct_opt.kernel import Kernel, Late, kernel
from sct_opt.ops import AFFINE, BLACKBOX, FIRST_SPECIAL, FLAG_A, FLAG_B, NAMED_CONSTANTS, OPS, SELECT

Array = np.ndarray[Any, Any]

# Names that expressions of the table may use and that Numba compiles directly.
_NATIVE: dict[str, Any] = {name: getattr(math, name) for name in dir(math) if not name.startswith("_")}
_NATIVE |= {
    # math's own go through 64-bit integers, which hold neither NaN nor numbers from 2**63 on
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "cbrt": np.cbrt,
    "exp2": np.exp2,
    "rint": np.rint,
    "sign": np.sign,
    "remainder": np.remainder,
    "log2": np.log2,
    "fmod": np.fmod,
}


def _make_call_row() -> Any:
    from sct_opt import kernel_compiler  # noqa: PLC0415 - imports Numba

    return kernel_compiler.call_row


_call_row = Late("call_row", _make_call_row)
"""Calls a row of `sct_opt.special_kernels` at its address."""


def _linearise_source() -> str:
    lines = [
        "def linearise(opcode, arg0, arg1, row_ptr, row_arg, row_coef, row_const, addresses, v, p, h, order, start, stop):",
        "    for i in range(start, stop):",
        "        code = opcode[i]",
        f"        if code == {AFFINE}:",
        "            r = arg0[i]",
        "            total = row_const[r]",
        "            for k in range(row_ptr[r], row_ptr[r + 1]):",
        "                total += row_coef[k] * v[row_arg[k]]",
        "            v[i] = total",
        "            continue",
        f"        if code == {SELECT}:",
        "            k = row_ptr[arg0[i]]",
        "            v[i] = v[row_arg[k + 1]] if v[row_arg[k]] != 0.0 else v[row_arg[k + 2]]",
        "            continue",
        "        a = v[arg0[i]]",
        "        b = v[arg1[i]]",
    ]
    word = "if"
    for code, op in enumerate(OPS[:FIRST_SPECIAL]):
        if op.arity not in (1, 2):
            continue
        lines.append(f"        {word} code == {code}:")
        lines.append(f"            v_ = {op.value}".replace("v_", "value"))
        lines.append("            v[i] = value")
        word = "elif"
        if all(partial is None for partial in (*op.d, *op.dd)):
            continue
        lines.append("            if order > 0:")
        lines += [f"                p[i, {k}] = {_with_value(e)}" for k, e in enumerate(op.d) if e]
        if any(op.dd):
            columns = (0,) if op.arity == 1 else (0, 1, 2)
            lines.append("                if order > 1:")
            lines += [
                f"                    h[i, {k}] = {_with_value(e)}" for k, e in zip(columns, op.dd, strict=True) if e
            ]
    lines += [
        f"        elif code >= {FIRST_SPECIAL}:",
        f"            address = addresses[code - {FIRST_SPECIAL}]",
        "            value = _call_row(address, a, b, 0.0, 0)",
        "            v[i] = value",
        "            if order > 0:",
        "                for k in range(2):",
        "                    p[i, k] = _call_row(address, a, b, value, 1 + k)",
        "            if order > 1:",
        "                for k in range(3):",
        "                    h[i, k] = _call_row(address, a, b, value, 3 + k)",
    ]
    return "\n".join(lines) + "\n"


def _with_value(expression: str) -> str:
    tree = ast.parse(expression, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "v":
            node.id = "value"
    return ast.unparse(tree)


@functools.cache
def linearise() -> Kernel:
    """The kernel of values and partials; see `_linearise_source` for its arguments."""
    namespace: dict[str, Any] = {**_NATIVE, **NAMED_CONSTANTS, "_call_row": _call_row, "__name__": __name__}
    exec(_linearise_source(), namespace)
    return kernel(namespace["linearise"])


def row_addresses(opcode: Array) -> Array:
    """Addresses of the rows of special functions among the operators, counted from the first such row."""
    addresses = np.zeros(len(OPS) - FIRST_SPECIAL, dtype=np.int64)
    present = np.flatnonzero(np.bincount(opcode, minlength=len(OPS)))
    for code in present[present >= FIRST_SPECIAL]:
        addresses[code - FIRST_SPECIAL] = special_kernels.row_address(OPS[code])
    return addresses


@kernel
def forward(
    opcode: Array,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    row_coef: Array,
    v: Array,
    p: Array,
    flags: Array,
    t: Array,
    start: int,
    stop: int,
) -> None:
    """Tangents ``t`` (nodes x lanes) of the nodes ``start … stop-1`` from those before them."""
    lanes = t.shape[1]
    for i in range(start, stop):
        bits = flags[i] & (FLAG_A | FLAG_B)
        for k in range(lanes):
            t[i, k] = 0.0
        if bits == 0:
            continue
        code = opcode[i]
        if code == AFFINE or code == BLACKBOX:
            for j in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                c = row_coef[j]
                a = row_arg[j]
                for k in range(lanes):
                    if t[a, k] != 0.0:
                        t[i, k] += c * t[a, k]
        elif code == SELECT:
            j = row_ptr[arg0[i]]
            a = row_arg[j + 1] if v[row_arg[j]] != 0.0 else row_arg[j + 2]
            for k in range(lanes):
                t[i, k] = t[a, k]
        else:
            if bits & FLAG_A:
                c = p[i, 0]
                a = arg0[i]
                for k in range(lanes):
                    t[i, k] = c * t[a, k] if t[a, k] != 0.0 else 0.0
            if bits & FLAG_B:
                c = p[i, 1]
                a = arg1[i]
                for k in range(lanes):
                    t[i, k] += c * t[a, k] if t[a, k] != 0.0 else 0.0


@kernel
def reverse(
    opcode: Array,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    row_coef: Array,
    v: Array,
    p: Array,
    flags: Array,
    w: Array,
    start: int,
    stop: int,
) -> None:
    """Pass the adjoints ``w`` (nodes x lanes) of the nodes ``start … stop-1`` on to their arguments, and clear them."""
    lanes = w.shape[1]
    for i in range(stop - 1, start - 1, -1):
        bits = flags[i] & (FLAG_A | FLAG_B)
        if bits:
            code = opcode[i]
            if code == AFFINE or code == BLACKBOX:
                for j in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                    c = row_coef[j]
                    a = row_arg[j]
                    for k in range(lanes):
                        if w[i, k] != 0.0:
                            w[a, k] += c * w[i, k]
            elif code == SELECT:
                j = row_ptr[arg0[i]]
                a = row_arg[j + 1] if v[row_arg[j]] != 0.0 else row_arg[j + 2]
                for k in range(lanes):
                    w[a, k] += w[i, k]
            else:
                if bits & FLAG_A:
                    c = p[i, 0]
                    a = arg0[i]
                    for k in range(lanes):
                        w[a, k] += c * w[i, k] if w[i, k] != 0.0 else 0.0
                if bits & FLAG_B:
                    c = p[i, 1]
                    a = arg1[i]
                    for k in range(lanes):
                        w[a, k] += c * w[i, k] if w[i, k] != 0.0 else 0.0
        for k in range(lanes):
            w[i, k] = 0.0


@kernel
def second_reverse(
    opcode: Array,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    row_coef: Array,
    v: Array,
    p: Array,
    h: Array,
    flags: Array,
    t: Array,
    w: Array,
    s: Array,
    start: int,
    stop: int,
) -> None:
    """Pass adjoints ``w`` (nodes) and their directional derivatives ``s`` (nodes x lanes) on to the arguments; clear them."""
    lanes = s.shape[1]
    for i in range(stop - 1, start - 1, -1):
        bits = flags[i]
        weight = w[i]
        w[i] = 0.0
        if bits & (FLAG_A | FLAG_B):
            code = opcode[i]
            if code == AFFINE or code == BLACKBOX:
                for j in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                    c = row_coef[j]
                    a = row_arg[j]
                    if weight != 0.0:
                        w[a] += c * weight
                    for k in range(lanes):
                        if s[i, k] != 0.0:
                            s[a, k] += c * s[i, k]
            elif code == SELECT:
                j = row_ptr[arg0[i]]
                a = row_arg[j + 1] if v[row_arg[j]] != 0.0 else row_arg[j + 2]
                w[a] += weight
                for k in range(lanes):
                    s[a, k] += s[i, k]
            else:
                a = arg0[i]
                b = arg1[i]
                if bits & FLAG_A:
                    c = p[i, 0]
                    if weight != 0.0:
                        w[a] += c * weight
                    for k in range(lanes):
                        s[a, k] += c * s[i, k] if s[i, k] != 0.0 else 0.0
                if bits & FLAG_B:
                    c = p[i, 1]
                    if weight != 0.0:
                        w[b] += c * weight
                    for k in range(lanes):
                        s[b, k] += c * s[i, k] if s[i, k] != 0.0 else 0.0
                if weight != 0.0 and bits > (FLAG_A | FLAG_B):
                    if bits & 4:
                        c = weight * h[i, 0]
                        for k in range(lanes):
                            s[a, k] += c * t[a, k] if t[a, k] != 0.0 else 0.0
                    if bits & 8:
                        c = weight * h[i, 1]
                        for k in range(lanes):
                            s[a, k] += c * t[b, k] if t[b, k] != 0.0 else 0.0
                            s[b, k] += c * t[a, k] if t[a, k] != 0.0 else 0.0
                    if bits & 16:
                        c = weight * h[i, 2]
                        for k in range(lanes):
                            s[b, k] += c * t[b, k] if t[b, k] != 0.0 else 0.0
        for k in range(lanes):
            s[i, k] = 0.0


@kernel
def add_rows(out: Array, places: Array, rows: Array) -> None:
    """Add each row at its place."""
    for i in range(places.size):
        for k in range(rows.shape[1]):
            out[places[i], k] += rows[i, k]
