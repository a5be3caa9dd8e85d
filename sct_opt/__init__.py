"""Sparsity detection, coloring and exact sparse derivatives for NumPy, Pyomo and CasADi models.

Everything public is here and imported when it is first used, so that ``import sct_opt`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sct_opt.adapters.callables import from_callables as from_callables
    from sct_opt.adapters.casadi import from_casadi as from_casadi
    from sct_opt.adapters.pyomo import from_pyomo as from_pyomo
    from sct_opt.api import SparseHessian as SparseHessian
    from sct_opt.api import SparseJacobian as SparseJacobian
    from sct_opt.api import hessian_sparsity as hessian_sparsity
    from sct_opt.api import jacobian_sparsity as jacobian_sparsity
    from sct_opt.api import minimize as minimize
    from sct_opt.api import solve as solve
    from sct_opt.coloring import color as color
    from sct_opt.custom import custom_op as custom_op
    from sct_opt.detection import TracerLocalSparsityDetector as TracerLocalSparsityDetector
    from sct_opt.detection import TracerSparsityDetector as TracerSparsityDetector
    from sct_opt.errors import SctOptError as SctOptError
    from sct_opt.explanation import explain as explain
    from sct_opt.nlp import NLP as NLP
    from sct_opt.pattern import SparsityPattern as SparsityPattern
    from sct_opt.programs import EngineOptions as EngineOptions
    from sct_opt.tracing import ifelse as ifelse
    from sct_opt.tracing import ignore_derivatives as ignore_derivatives
    from sct_opt.tracing import where as where

__version__ = "0.1.0"

_HOME = {
    "EngineOptions": "sct_opt.programs",
    "NLP": "sct_opt.nlp",
    "SctOptError": "sct_opt.errors",
    "SparseHessian": "sct_opt.api",
    "SparseJacobian": "sct_opt.api",
    "SparsityPattern": "sct_opt.pattern",
    "TracerLocalSparsityDetector": "sct_opt.detection",
    "TracerSparsityDetector": "sct_opt.detection",
    "color": "sct_opt.coloring",
    "custom_op": "sct_opt.custom",
    "explain": "sct_opt.explanation",
    "from_callables": "sct_opt.adapters.callables",
    "from_casadi": "sct_opt.adapters.casadi",
    "from_pyomo": "sct_opt.adapters.pyomo",
    "hessian_sparsity": "sct_opt.api",
    "ifelse": "sct_opt.tracing",
    "ignore_derivatives": "sct_opt.tracing",
    "jacobian_sparsity": "sct_opt.api",
    "minimize": "sct_opt.api",
    "solve": "sct_opt.api",
    "where": "sct_opt.tracing",
}
# Doors for users of these tools; they import them, so they open only on demand.
_DOORS = ("casadi", "pyomo")

__all__ = [
    "NLP",
    "EngineOptions",
    "SctOptError",
    "SparseHessian",
    "SparseJacobian",
    "SparsityPattern",
    "TracerLocalSparsityDetector",
    "TracerSparsityDetector",
    "color",
    "custom_op",
    "explain",
    "from_callables",
    "from_casadi",
    "from_pyomo",
    "hessian_sparsity",
    "ifelse",
    "ignore_derivatives",
    "jacobian_sparsity",
    "minimize",
    "solve",
    "where",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    if name in _DOORS:
        return importlib.import_module(f"sct_opt.{name}")
    raise AttributeError(f"module 'sct_opt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_DOORS])
