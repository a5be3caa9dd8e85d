"""Solving a model again: what changed in it decides what is done again.

New values, bounds, parameters and fixed variables only change numbers of the NLP; new or replaced expressions,
another objective, and constraints or blocks that were added, removed or (de)activated need a new translation.  All of
this is found by comparing with what was there at the last solve: users change their model as they always do.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from pyomo.core.base.block import Block
from pyomo.core.base.constraint import Constraint
from pyomo.core.base.expression import Expression
from pyomo.core.base.objective import Objective

from sct_opt.adapters.pyomo.greybox import grey_box_blocks
from sct_opt.adapters.pyomo.model import Translation
from sct_opt.adapters.pyomo.solution import scaling
from sct_opt.nlp import NLP


class Session:
    """A model together with its NLP, kept between solves.

    Args:
        build: translates a model, given the fixed variables that are to be variables of the NLP.

    Attributes:
        nlp: the NLP of the last `update`.
        translation: what connects it with the model.
        translations: how often the model has been translated.
    """

    nlp: NLP
    translation: Translation

    def __init__(self, build: Any) -> None:
        self._build = build
        self._model: Any = None
        self._snapshot: list[Any] = []
        self._free: list[Any] = []
        self.translations = 0

    def update(self, model: Any) -> NLP:
        """The NLP of a model as it is now.

        Args:
            model: the model; the same object as before, or another one.

        Returns:
            The NLP, the same object as long as only numbers changed.
        """
        if self._model is not model:
            self._free = []
        elif self._same(_snapshot(model)):
            freed = [p for p in self.translation.parameters if p.is_variable_type() and not p.fixed]
            if not freed:
                self._refresh()
                return self.nlp
            # Variables that go from fixed to free are likely to go back: from now on they are variables of the NLP.
            self._free += freed
        self.nlp, self.translation = self._build(model, self._free)
        self.translations += 1
        self._model, self._snapshot = model, _snapshot(model)
        return self.nlp

    def _same(self, snapshot: list[Any]) -> bool:
        return len(snapshot) == len(self._snapshot) and all(map(operator.is_, snapshot, self._snapshot))

    def _refresh(self) -> None:
        """Bring the numbers of the NLP up to date."""
        translation, nlp = self.translation, self.nlp
        nlp.lb, nlp.ub = translation.variable_bounds()
        nlp.x0 = translation.start()
        nlp.scaling = scaling(translation)
        if translation.changing:
            nlp.cl, nlp.cu = translation.constraint_bounds()
        if translation.parameters:
            nlp.parameters = translation.parameter_values()
        translation.check()


def _snapshot(model: Any) -> list[Any]:
    """Everything whose replacement changes the tape, as one flat list to be compared by identity."""
    found: list[Any] = []
    for block in model.block_data_objects(active=True, descend_into=Block):
        found.append(block)
        for component in block.component_objects(Constraint, active=True, descend_into=False):
            data = component._data.values() if component.is_indexed() else (component,)
            found.append(component)
            found += _expressions(data)
        for component in block.component_objects(Objective, active=True, descend_into=False):
            for objective in component.values():
                if objective.active:
                    found += (
                        objective,
                        objective.sense,
                        objective.expr if objective.expr is None else objective.args[0],
                    )
        for component in block.component_objects(Expression, descend_into=False):
            found += [expression.args[0] for expression in component.values()]
    for block in grey_box_blocks(model):
        found += (block, block.get_external_model())
    return found


def _expressions(constraints: Iterable[Any]) -> list[Any]:
    # A data object that was deactivated shows as None, a removed one shifts the rest.
    return [c._expr if c._active else None for c in constraints]
