"""What a model may contain: components that the translation does not know are named, with the way to be rid of them."""

from __future__ import annotations

from typing import Any

from pyomo.core.base.block import Block
from pyomo.core.base.component import ActiveComponent

from sct_opt.errors import ModelError

_KNOWN = {
    "Block", "Objective", "Constraint", "Var", "Param", "Expression", "ExternalFunction", "Set", "RangeSet", "SetOf", "Port", "Suffix",
    "BuildCheck", "BuildAction", "Reference", "BooleanVar", "IndexedComponent", "ConstraintList", "VarList", "ObjectiveList", "ExternalGreyBoxBlock",
}  # fmt: skip

_MEND = {
    "Disjunct": "apply TransformationFactory('gdp.bigm') (or 'gdp.hull'), then 'core.relax_integer_vars'",
    "Disjunction": "apply TransformationFactory('gdp.bigm') (or 'gdp.hull'), then 'core.relax_integer_vars'",
    "Complementarity": "apply TransformationFactory('mpec.simple_nonlinear')",
    "LogicalConstraint": "apply TransformationFactory('core.logical_to_linear'), then 'core.relax_integer_vars'",
    "SOSConstraint": "write it with continuous constraints; IPOPT does not branch",
    "Arc": "apply TransformationFactory('network.expand_arcs')",
    "DerivativeVar": "discretise the model with TransformationFactory('dae.collocation') or TransformationFactory('dae.finite_difference')",
    "Integral": "discretise the model with TransformationFactory('dae.collocation') or TransformationFactory('dae.finite_difference')",
    "Piecewise": "rebuild it with pw_repn that needs no discrete variables, or transform it",
    "PiecewiseLinearFunction": "apply one of the TransformationFactory('contrib.piecewise....') transformations",
}


def check_components(model: Any) -> None:
    """Check that all active components of a model can be translated.

    Raises:
        ModelError: naming the components and what to do about them.
    """
    if not hasattr(model, "component_data_objects") or not hasattr(model, "is_constructed"):
        raise ModelError(f"expected a Pyomo ConcreteModel or Block, got {type(model).__name__}")
    if not model.is_constructed():
        raise ModelError(
            f"model {model.name!r} is abstract; call model.create_instance(data) and solve what it returns"
        )
    unknown: dict[str, list[str]] = {}
    for block in model.block_data_objects(active=True, descend_into=Block):
        for ctype in block.collect_ctypes(active=None, descend_into=False):
            name = ctype.__name__
            if name in _KNOWN:
                continue
            for component in block.component_objects(ctype, descend_into=False):
                if name == "ContinuousSet":
                    continue
                if name in ("DerivativeVar", "Integral") or (
                    isinstance(component, ActiveComponent) and component.active
                ):
                    unknown.setdefault(name, []).append(component.name)
    if not unknown:
        return
    lines = []
    for name, members in unknown.items():
        listed = ", ".join(repr(m) for m in members[:10]) + (", ..." if len(members) > 10 else "")
        lines.append(f"{name} {listed}: {_MEND.get(name, 'transform it to constraints first, or deactivate it')}")
    raise ModelError(
        f"model {model.name!r} holds active components that cannot be solved as they are.\n" + "\n".join(lines)
    )
