"""Any CasADi function to nodes of the tape, by the cheaper of two ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import casadi
import numpy as np

from sct_opt.adapters.casadi import sx
from sct_opt.adapters.casadi.mx import Walker
from sct_opt.tape import TapeBuilder

Array = np.ndarray[Any, Any]

# A matrix instruction takes as long to walk as dozens of scalar ones take to read.  So programs written element by
# element are expanded to scalar instructions: those with many instructions for their size, and no large intermediates.
_MANY_INSTRUCTIONS = 100
_INSTRUCTIONS_PER_ELEMENT = 0.3
_WORK_PER_INSTRUCTION = 20


def _element_by_element(function: casadi.Function) -> bool:
    count = function.n_instructions() if function.is_a("MXFunction") else 0
    return bool(
        count > _MANY_INSTRUCTIONS
        and count > _INSTRUCTIONS_PER_ELEMENT * (function.nnz_in() + function.nnz_out())
        and function.sz_w() < _WORK_PER_INSTRUCTION * count
    )


def emit(builder: TapeBuilder, function: casadi.Function, arguments: Sequence[Array]) -> list[Array]:
    """Append the nodes of a function.

    Args:
        builder: where to append.
        function: any function.
        arguments: node ids of the structural nonzeros of each input.

    Returns:
        Node ids of the structural nonzeros of each output.

    Raises:
        UnsupportedOperatorError: an operation that cannot be written as nodes.
        ModelError: a constant that is not a number, or a function that CasADi cannot differentiate.

    >>> builder = TapeBuilder()
    >>> x = casadi.MX.sym("x", 2)
    >>> (y,) = emit(builder, casadi.Function("f", [x], [casadi.dot(x, x)]), [builder.inputs(2)])
    >>> builder.freeze(y).size
    5
    """
    if function.is_a("SXFunction"):
        return sx.emit(builder, function, arguments)
    if _element_by_element(function):
        try:
            expanded = function.expand()
        except RuntimeError:  # CasADi cannot write it in scalar instructions
            pass
        else:
            return sx.emit(builder, expanded, arguments)
    return [ids[0] for ids in Walker(builder).function(function, [ids[None, :] for ids in arguments])]
