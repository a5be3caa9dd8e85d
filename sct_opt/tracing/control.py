"""Choices and barriers that work inside and outside of tracing: ``where``, ``ifelse``, ``ignore_derivatives``."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.ops import OPCODE
from sct_opt.tracing.base import TracedBase, find_builder
from sct_opt.tracing.ufuncs import as_traced, emit_unary


def where(condition: Any, a: Any, b: Any) -> Any:
    """``a`` where the condition holds, else ``b``, entry by entry.

    A global trace keeps both branches, a local one the branch taken; on plain numbers this is `numpy.where`.

    Args:
        condition: truth values.
        a: values where the condition holds.
        b: values elsewhere.

    Returns:
        An array, a number or a traced value, of the broadcast shape.

    >>> where(np.array([1.0, -1.0]) > 0.0, 2.0, 3.0)
    array([2., 3.])
    """
    if find_builder(a) is None and find_builder(b) is None and find_builder(condition) is None:
        return np.where(condition, a, b)[()]
    return np.where(as_traced(condition, find_builder(condition) or find_builder(a) or find_builder(b)), a, b)


def ifelse(condition: Any, a: Any, b: Any) -> Any:
    """The same as `where`, under the name that SparseConnectivityTracer.jl gives it.

    Args:
        condition: truth value or values.
        a: value where the condition holds.
        b: value elsewhere.

    Returns:
        An array, a number or a traced value.

    >>> float(ifelse(1.0 < 2.0, 5.0, 6.0))
    5.0
    """
    return where(condition, a, b)


def ignore_derivatives(x: Any) -> Any:
    """The value of ``x`` without its derivatives: patterns and derivatives treat it as constant.

    Args:
        x: anything; outside of tracing it is returned unchanged.

    Returns:
        ``x``, or traced values that depend on nothing.

    >>> ignore_derivatives(3.0)
    3.0
    """
    if isinstance(x, (list, tuple)):
        return type(x)(ignore_derivatives(item) for item in x)
    if find_builder(x) is None:
        return x
    return emit_unary(OPCODE["stop"], x if isinstance(x, TracedBase) else as_traced(x))
