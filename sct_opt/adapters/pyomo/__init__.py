"""Pyomo models: `from_pyomo` turns a ConcreteModel into an NLP, without the AMPL solver library."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from typing import Any

from sct_opt.adapters.pyomo.model import Translation, translate
from sct_opt.adapters.pyomo.solution import load_solution, scaling
from sct_opt.nlp import NLP

__all__ = ["from_pyomo"]


def from_pyomo(model: Any) -> NLP:
    """The NLP of a Pyomo model.

    Variables are those that occur in active constraints or in the objective, in the order of their declaration.  Mutable
    Params and fixed variables become parameters of the NLP.  A variable without a value starts at zero or at
    the bound nearest to it.  Units are not looked at: the solver sees magnitudes.  A suffix ``scaling_factor`` becomes
    the NLP's scaling, which IPOPT uses unless its option ``nlp_scaling_method`` says otherwise.

    Args:
        model: A ConcreteModel, or a Block of one.

    Returns:
        The NLP; `sct_opt.solve` loads its solution back into the model.

    Raises:
        ModelError: The model cannot be solved as it is; the message names the component and the mend.
        UnsupportedOperatorError: An expression is of a kind that the operator table does not cover.

    Examples:
        >>> import pyomo.environ as pyo
        >>> model = pyo.ConcreteModel()
        >>> model.x = pyo.Var([1, 2], bounds=(0, 4), initialize=1)
        >>> model.cost = pyo.Objective(expr=(model.x[1] - 3) ** 2 + pyo.exp(model.x[2]))
        >>> model.mix = pyo.Constraint(expr=model.x[1] * model.x[2] >= 1)
        >>> nlp = from_pyomo(model)
        >>> nlp.variable_names, nlp.constraint_names
        (['x[1]', 'x[2]'], ['mix'])
        >>> nlp.constraints([2.0, 3.0]), nlp.jacobian([2.0, 3.0])
        (array([6.]), array([3., 2.]))
    """
    return build(model)[0]


def build(model: Any, free: Iterable[Any] = ()) -> tuple[NLP, Translation]:
    """The NLP of a Pyomo model, and the translation that connects the two.

    Args:
        model: A ConcreteModel, or a Block of one.
        free: Variables that stay variables of the NLP though they are fixed now.
    """
    start = time.perf_counter()
    translation = translate(model, free)
    lower, upper = translation.variable_bounds()
    nlp = NLP(
        translation.tape,
        translation.start(),
        lower,
        upper,
        translation.cl,
        translation.cu,
        variable_names=lambda: [v.name for v in translation.variables],
        constraint_names=lambda: [c.name for c in translation.constraints],
        parameter_names=lambda: [p.name for p in translation.parameters],
        maximize=translation.maximize,
        load_solution=functools.partial(load_solution, translation),
    )
    nlp.scaling = scaling(translation)
    nlp.timings["trace"] = time.perf_counter() - start
    return nlp, translation
