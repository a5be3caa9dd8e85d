"""Stand-ins for SciPy functions that offer no protocol to array-likes, see `sct_opt.tracing.idioms`.

Only modules that are loaded already are touched: a function that the user calls comes from a loaded module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

_IMPLEMENTATIONS: dict[tuple[str, str], Callable[..., Any]] = {}
"""Implementations by module and name, which may be ``Class.method``."""

_MADE: dict[tuple[str, str], tuple[Any, str, Callable[..., Any]]] = {}


def replaces(module: str, *names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the traced form of SciPy functions."""

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            _IMPLEMENTATIONS[module, name] = implementation
        return implementation

    return register


def stand_ins() -> list[tuple[Any, str, Callable[..., Any]]]:
    """Owner, attribute and stand-in of every function whose module is loaded."""
    from sct_opt.tracing.idioms import by_arguments  # noqa: PLC0415 - it imports this module

    for (module_name, path), implementation in _IMPLEMENTATIONS.items():
        key = (module_name, path)
        module = sys.modules.get(module_name)
        if module is None or key in _MADE:
            continue
        owner: Any = module
        *classes, name = path.split(".")
        for part in classes:
            owner = getattr(owner, part, None)
        original = None if owner is None else vars(owner).get(name)
        if original is not None:
            _MADE[key] = owner, name, by_arguments(original, implementation)
    return list(_MADE.values())
