"""A solution written back into the Pyomo model that it belongs to.

Multipliers get the signs that the ipopt executable writes through the AMPL interface (AmplTNLP.cpp): ``-lambda``,
``z_L`` and ``-z_U`` for a minimization, the opposite for a maximization.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyomo.core.base.suffix import (
    Suffix,
    SuffixFinder,
    active_export_suffix_generator,
    active_import_suffix_generator,
)
from pyomo.core.staleflag import StaleFlagManager

from sct_opt.adapters.pyomo.greybox import GreyBoxRow
from sct_opt.adapters.pyomo.model import Translation
from sct_opt.nlp import Scaling

Array = np.ndarray[Any, Any]

SCALING = "scaling_factor"
"""Name of the suffix that holds scaling factors."""


def load_solution(translation: Translation, result: Any) -> None:
    """Set the model's variables, and fill its import suffixes.

    Args:
        translation: the solved model.
        result: what the solver returned.
    """
    load_variables(translation, result.x)
    for name, suffix in active_import_suffix_generator(translation.model):
        entries = suffix_values(translation, result, name)
        if entries is None:
            continue
        suffix.clear()
        components, numbers = entries
        suffix.update(zip(components, numbers.tolist(), strict=True))


def load_variables(translation: Translation, x: Array) -> None:
    """Set the values of the model's variables; all others become stale."""
    StaleFlagManager.mark_all_as_stale(delayed=True)
    for variable, number in zip(translation.variables, x.tolist(), strict=True):
        if not variable.fixed:
            variable.set_value(number, skip_validation=True)
    StaleFlagManager.mark_all_as_stale(delayed=True)


def suffix_values(translation: Translation, result: Any, name: str) -> tuple[list[Any], Array] | None:
    """Components and values of one of the suffixes ``dual``, ``rc``, ``ipopt_zL_out`` and ``ipopt_zU_out``; None for others."""
    sign = -1.0 if translation.maximize else 1.0
    if name == "dual":
        # Rows of grey-box blocks come last; no component of the model stands for them.
        constraints = [c for c in translation.constraints if not isinstance(c, GreyBoxRow)]
        return constraints, -sign * result.constraint_multipliers[: len(constraints)]
    lower, upper = sign * result.lower_multipliers, -sign * result.upper_multipliers
    if name == "ipopt_zL_out":
        return translation.variables, lower
    if name == "ipopt_zU_out":
        return translation.variables, upper
    if name == "rc":
        # The bound that is active has the larger multiplier.
        return translation.variables, np.where(np.abs(upper) > np.abs(lower), upper, lower)
    return None


def start_multipliers(translation: Translation) -> tuple[Array, Array, Array]:
    """Multipliers to start from: the suffixes ``dual``, ``ipopt_zL_in`` and ``ipopt_zU_in`` where the model has them.

    Args:
        translation: the model.

    Returns:
        Multipliers of the constraints, of the lower and of the upper bounds; zero where a suffix says nothing.
    """
    sign = -1.0 if translation.maximize else 1.0
    suffixes = dict(active_export_suffix_generator(translation.model))

    def read(name: str, components: list[Any]) -> Array:
        suffix = suffixes.get(name, {})
        return np.array([0.0 if isinstance(c, GreyBoxRow) else suffix.get(c, 0.0) for c in components], dtype=float)

    constraint = -sign * read("dual", translation.constraints)
    lower = sign * read("ipopt_zL_in", translation.variables)
    upper = -sign * read("ipopt_zU_in", translation.variables)
    return constraint, np.maximum(lower, 0.0), np.maximum(upper, 0.0)


def scaling(translation: Translation) -> Scaling | None:
    """The model's scaling factors: its suffixes ``scaling_factor``, those of inner blocks first; None without such a suffix.

    Args:
        translation: the model.
    """
    model = translation.model
    if not any(suffix.local_name == SCALING for suffix in model.component_objects(Suffix, active=True)):
        return None
    find = SuffixFinder(SCALING, 1.0, model).find

    def read(components: list[Any]) -> Array:
        return np.array([1.0 if isinstance(c, GreyBoxRow) else float(find(c)) for c in components])

    objective = 1.0 if translation.objective is None else float(find(translation.objective))
    return Scaling(objective, read(translation.variables), read(translation.constraints))
