"""CasADi models: ``nlpsol`` dictionaries in SX or MX and Opti stacks become an `sct_opt.nlp.NLP`.

The door is `from_casadi`.  Flow: `problem` and `opti` check a model and bring it to one CasADi function; `emit` writes that
function's instructions onto the tape, by `sx` (scalar instructions, in bulk) and `blackbox` (what has to stay opaque).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import casadi
import numpy as np

from sct_opt.adapters.casadi.opti import OptiModel
from sct_opt.adapters.casadi.problem import element_names, parameter_values, read_dictionary, vector
from sct_opt.errors import ModelError
from sct_opt.nlp import NLP

__all__ = ["OptiModel", "from_casadi"]


def from_casadi(
    model: Any,
    x0: Any = None,
    p: Any = None,
    lbx: Any = None,
    ubx: Any = None,
    lbg: Any = None,
    ubg: Any = None,
) -> NLP:
    """The problem of a CasADi ``nlpsol`` dictionary or Opti stack.

    Matrix-valued variables and constraints count in CasADi's column-major order, sparse ones by all their elements.
    Everything that CasADi lets one leave out has CasADi's default: no objective is 0, bounds are infinite, the start is 0.

    Args:
        model: ``{"x": …, "f": …, "g": …, "p": …}`` in SX or MX, or a `casadi.Opti`.  With Opti, rows such as ``x >= 0`` become
            bounds of variables, and start, parameters and bounds come from the stack.
        x0: start.
        p: values of the parameters.
        lbx: lower bounds of the variables.
        ubx: upper bounds of the variables.
        lbg: lower bounds of the constraints.
        ubg: upper bounds of the constraints.

    Returns:
        The problem; for Opti, solving it with `sct_opt.solve` loads the solution into the stack.

    Raises:
        ModelError: something in the model cannot be converted; the message names it.
        ShapeError: start, parameters or bounds that do not fit.
        ProblemError: no variables, parameters without values.

    >>> x = casadi.SX.sym("x", 2)
    >>> nlp = from_casadi({"x": x, "f": (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, "g": x[0] * x[1]}, x0=[0.5, 0.5], lbg=0, ubg=1)
    >>> nlp.n, nlp.m, nlp.objective(np.array([1.0, 2.0]))
    (2, 1, 100.0)
    >>> nlp.variable_names
    ['x[0]', 'x[1]']
    """
    if isinstance(model, casadi.Opti):
        given = {"lbx": lbx, "ubx": ubx, "lbg": lbg, "ubg": ubg}
        wrong = [name for name, value in given.items() if value is not None]
        if wrong:
            raise ModelError(
                f"{wrong[0]} does not go with an Opti stack, which has its own bounds; write them with subject_to"
            )
        return OptiModel(model).nlp(x0, p)
    if not isinstance(model, Mapping):
        raise ModelError(f"expected a dictionary with x, f, g, p or a casadi.Opti, got {type(model).__name__}")
    problem = read_dictionary(model)
    values = parameter_values(p, problem.p)
    tape = problem.tape(values)
    n, m = int(problem.x.numel()), int(problem.g.numel())
    return NLP(
        tape,
        vector(x0, n, "x0", 0.0, "x"),
        vector(lbx, n, "lbx", -np.inf, "x"),
        vector(ubx, n, "ubx", np.inf, "x"),
        vector(lbg, m, "lbg", -np.inf, "g"),
        vector(ubg, m, "ubg", np.inf, "g"),
        variable_names=lambda: element_names(problem.x, "x"),
        constraint_names=lambda: element_names(problem.g, "g", symbolic=False),
        parameter_names=lambda: element_names(problem.p, "p"),
    )
