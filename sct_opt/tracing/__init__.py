"""Operator-overloading tracers: run a NumPy function once and write what it does onto a tape."""

from sct_opt.tracing import functions, idioms
from sct_opt.tracing.array import Traced
from sct_opt.tracing.control import ifelse, ignore_derivatives, where
from sct_opt.tracing.scalar import TracedScalar
from sct_opt.tracing.stand_ins import tracing
from sct_opt.tracing.trace import (
    TracedFunction,
    call_traced,
    is_traced,
    make_inputs,
    make_parameters,
    output_ids,
    trace_function,
)

__all__ = [
    "Traced",
    "TracedFunction",
    "TracedScalar",
    "call_traced",
    "functions",
    "idioms",
    "ifelse",
    "ignore_derivatives",
    "is_traced",
    "make_inputs",
    "make_parameters",
    "output_ids",
    "trace_function",
    "tracing",
    "where",
]
