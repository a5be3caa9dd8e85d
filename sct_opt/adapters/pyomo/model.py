"""From the components of a Pyomo model to an NLP.

Reads what is active in the model, hands its expressions to the reader and the emitter, and keeps the lists that
connect NLP indices with Pyomo components: the solution goes back through them, and changed values come in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pyomo.common.errors import InfeasibleConstraintException
from pyomo.common.gc_manager import PauseGC
from pyomo.core.base.block import Block
from pyomo.core.base.constraint import Constraint
from pyomo.core.base.objective import Objective, maximize
from pyomo.core.base.var import Var
from pyomo.core.expr.numvalue import value
from pyomo.core.expr.relational_expr import EqualityExpression, InequalityExpression

from sct_opt.adapters.pyomo.components import check_components
from sct_opt.adapters.pyomo.emission import emit
from sct_opt.adapters.pyomo.expressions import LEAF_BITS, LEAF_MASK, VAR, Reader, describe
from sct_opt.adapters.pyomo.greybox import GreyBox, grey_box_blocks
from sct_opt.adapters.pyomo.matcher import Hint
from sct_opt.errors import ModelError
from sct_opt.tape import Tape, TapeBuilder

Array = np.ndarray[Any, Any]

# A constraint without variables may be violated by this much, relative to its bound where that is larger than one.
_TRIVIAL_TOLERANCE = 1e-8
_NUMBERS = (float, int)


class TriviallyInfeasibleError(ModelError, InfeasibleConstraintException):  # type: ignore[misc]
    """A model that cannot have a solution: without any variable in it, a constraint or bound is violated."""


@dataclass(slots=True)
class _Bounds:
    """Bounds of constraint rows; those made of mutable parameters are kept as expressions too."""

    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    changing: list[tuple[int, Any, Any]] = field(default_factory=list)

    def add(self, component: Any, lower: Any, upper: Any) -> None:
        if not ((lower is None or lower.__class__ in _NUMBERS) and (upper is None or upper.__class__ in _NUMBERS)):
            self.changing.append((len(self.lower), lower, upper))
        self.lower.append(_bound(component, lower, -np.inf))
        self.upper.append(_bound(component, upper, np.inf))


@dataclass(slots=True)
class Translation:
    """A Pyomo model as tape, with the components behind its rows and columns.

    Attributes:
        model: the Pyomo model or block.
        tape: outputs are the objective (negated when it is maximised), then the constraints.
        variables: Var data of each input.
        constraints: Constraint data of each row, or the `GreyBoxRow` of an equation of a grey-box block.
        trivial: active constraints that hold no variable, with their bounds; they are checked, not solved.
        objective: the active Objective, or None for a feasibility problem.
        parameters: mutable Param data and fixed Var data of each tape parameter.
        cl, cu: bounds of the constraints.
        changing: (row, lower, upper) of constraint bounds that are expressions.
        structures: number of expressions of each distinct structure with the name of one, largest first.
    """

    model: Any
    tape: Tape
    variables: list[Any]
    constraints: list[Any]
    trivial: list[Any]
    objective: Any
    parameters: list[Any]
    cl: Array
    cu: Array
    changing: list[tuple[int, Any, Any]]
    structures: list[tuple[int, str]]

    @property
    def maximize(self) -> bool:
        """Whether the objective is maximised."""
        return self.objective is not None and self.objective.sense == maximize

    def start(self) -> Array:
        """The variables' values; one without a value starts at zero, or at the bound nearest to zero."""
        lower, upper = self.variable_bounds()
        given = np.array([v._value for v in self.variables], dtype=float)  # None becomes NaN
        return np.where(np.isnan(given), np.clip(0.0, lower, upper), given)

    def variable_bounds(self) -> tuple[Array, Array]:
        """Current bounds; those of a variable that was fixed after translation are its value."""
        lower, upper = _declared_bounds(self.variables)
        for i, fixed in enumerate([v._fixed for v in self.variables]):
            if fixed:
                number = parameter_value(self.variables[i])
                _check_fixed(self.variables[i], number, lower[i], upper[i])
                lower[i] = upper[i] = number
        return lower, upper

    def constraint_bounds(self) -> tuple[Array, Array]:
        """Current bounds of the constraints."""
        for row, low, high in self.changing:
            self.cl[row] = _bound(self.constraints[row], low, -np.inf)
            self.cu[row] = _bound(self.constraints[row], high, np.inf)
        return self.cl.copy(), self.cu.copy()

    def parameter_values(self) -> Array:
        """Current values of the tape's parameters."""
        return parameter_values(self.parameters)

    def check(self) -> None:
        """Check what the NLP does not hold: constraints without variables, values of fixed variables, domains.

        Raises:
            TriviallyInfeasibleError: A constraint or bound is violated whatever the variables are.
            ModelError: A variable is integer or binary.
        """
        _check_trivial(self.trivial)
        _check_continuous(self.variables)
        fixed = [
            (p, number)
            for p, number in zip(self.parameters, self.parameter_values().tolist(), strict=True)
            if p.is_variable_type()
        ]
        if fixed:
            bounds = _declared_bounds([p for p, _ in fixed])
            for (variable, number), low, high in zip(fixed, *(b.tolist() for b in bounds), strict=True):
                _check_fixed(variable, number, low, high)


def translate(model: Any, free: Iterable[Any] = ()) -> Translation:
    """Translate a Pyomo model to a tape.

    Args:
        model: a ConcreteModel or Block.
        free: variables that become inputs of the tape though they are fixed now.

    Returns:
        The tape and the components behind its rows and columns.

    Raises:
        ModelError: the model cannot be solved as it is; the message names the component and the mend.
    """
    check_components(model)
    with PauseGC():
        return _translate(model, free)


def _translate(model: Any, free: Iterable[Any]) -> Translation:
    reader = Reader(free=[id(v) for v in free])
    objective = _objective(model)
    roots = [reader.item(0.0 if objective is None else objective.expr, model if objective is None else objective)]
    constraints: list[Any] = []
    bounds = _Bounds()
    hints: dict[str, Hint] = {}
    for component in model.component_objects(Constraint, active=True, descend_into=True):
        # Blocks made by one rule hold components of one name.
        hint = hints.setdefault(component.local_name, Hint())
        for constraint in component.values():
            if not constraint.active:
                continue
            lower, left, right, upper = _sides(constraint)
            if _absent(lower, -np.inf) and _absent(upper, np.inf):
                continue
            bounds.add(constraint, lower, upper)
            constraints.append(constraint)
            roots.append(reader.constraint(left, right, constraint, hint))
    boxes = [GreyBox(block) for block in grey_box_blocks(model)]
    box_leaves = [[reader.leaf(v, v) for v in (*box.inputs, *box.outputs)] for box in boxes]
    reader.read()
    if not reader.variables:
        what = (
            "all variables in its active constraints and objective are fixed"
            if reader.parameters
            else "no active constraint or objective holds a variable"
        )
        raise ModelError(f"model {model.name!r} has nothing to solve for: {what}; unfix or use at least one")
    order = _declaration_order(model, reader.variables)
    variables = [reader.variables[k] for k in order]

    builder = TapeBuilder()
    position = np.empty(order.size, dtype=np.int32)
    position[order] = builder.inputs(order.size)
    parameters = builder.parameter_block(parameter_values(reader.parameters))
    rows = np.full(len(reader.owners), -1, dtype=np.int64)
    rows[roots] = np.arange(len(roots))
    sign = [0] if objective is not None and objective.sense == maximize else []
    emitted = emit(reader, builder, position, parameters, rows, negate=sign)

    structures = sorted(
        ((len(s.items), reader.owners[s.items[0]].name) for s in reader.structures.values()), key=lambda pair: -pair[0]
    )
    # The leaves are as large as the tape: they go before it is frozen.
    reader.structures.clear()

    keep = emitted.varies[1:]
    trivial = []
    if not keep.all():
        trivial = [constraints[k] for k in np.flatnonzero(~keep)]
        kept_row = np.cumsum(keep) - 1
        bounds.changing = [(int(kept_row[row]), low, high) for row, low, high in bounds.changing if keep[row]]
        constraints = [constraints[k] for k in np.flatnonzero(keep)]
    outputs = [emitted.outputs[:1], emitted.outputs[1:][keep]]
    cl, cu = np.array(bounds.lower, dtype=float)[keep], np.array(bounds.upper, dtype=float)[keep]
    for box, leaves in zip(boxes, box_leaves, strict=True):
        nodes = np.array(
            [(position if code & LEAF_MASK == VAR else parameters)[code >> LEAF_BITS] for code in leaves],
            dtype=np.int32,
        )
        outputs.append(_emit_grey_box(builder, box, nodes))
        constraints = [*constraints, *box.rows]
    zeros = np.zeros(sum(box.num_outputs for box in boxes))
    translation = Translation(
        model=model,
        tape=builder.freeze(np.concatenate(outputs)),
        variables=variables,
        constraints=constraints,
        trivial=trivial,
        objective=objective,
        parameters=reader.parameters,
        cl=np.concatenate((cl, zeros)),
        cu=np.concatenate((cu, zeros)),
        changing=bounds.changing,
        structures=structures,
    )
    translation.check()
    return translation


def _emit_grey_box(builder: TapeBuilder, box: GreyBox, nodes: Array) -> Array:
    """The rows of a grey-box block: residuals, and outputs minus the variables that they are to equal."""
    count = len(box.inputs)
    values = builder.call(box, nodes[:count])
    outputs = values[box.num_residuals :]
    pairs = np.stack((outputs, nodes[count:]), axis=1).ravel()
    differences = builder.affine(
        np.full(outputs.size, 2), pairs, np.tile([1.0, -1.0], outputs.size), np.zeros(outputs.size)
    )
    return np.concatenate((values[: box.num_residuals], differences))


def _objective(model: Any) -> Any:
    active = list(model.component_data_objects(Objective, active=True, descend_into=True))
    if len(active) > 1:
        names = ", ".join(repr(o.name) for o in active[:10])
        raise ModelError(f"model {model.name!r} has {len(active)} active objectives ({names}); deactivate all but one")
    if not active:
        return None
    if active[0].expr is None:
        raise ModelError(f"Objective {active[0].name!r} has no expression; give it one or deactivate it")
    return active[0]


def _sides(constraint: Any) -> tuple[Any, Any, Any, Any]:
    """Lower bound, body, what is subtracted from it if anything, and upper bound.

    Like ``to_bounded_expression``, but builds no new expressions.
    """
    expression = constraint.expr
    kind = expression.__class__
    if kind is EqualityExpression or kind is InequalityExpression:
        left, right = expression._args_
        equality = kind is EqualityExpression
        if right.__class__ in _NUMBERS or not _varies(right):
            return (right if equality else None), left, None, right
        if not _varies(left):
            return left, right, None, (left if equality else None)
        return (0.0 if equality else None), left, right, 0.0
    try:
        lower, body, upper = constraint.to_bounded_expression()
    except ValueError as error:
        raise ModelError(str(error)) from error
    return lower, body, None, upper


def _absent(bound: Any, infinity: float) -> bool:
    return bound is None or (bound.__class__ in _NUMBERS and bound == infinity)


def _varies(expression: Any) -> bool:
    potentially = getattr(expression, "is_potentially_variable", None)
    return potentially is not None and bool(potentially())


def _declared_bounds(variables: list[Any]) -> tuple[Array, Array]:
    """Bounds and domains of variables, fixed or not."""
    # The slots behind the properties: reading those of a large model through the properties takes longer than
    # all else that a repeated solve needs.
    lows, highs, domains = [v._lb for v in variables], [v._ub for v in variables], [v._domain for v in variables]
    lower, upper = _numbers(variables, lows, -np.inf), _numbers(variables, highs, np.inf)
    domain_bounds = {id(domain): domain.bounds() for domain in {id(d): d for d in domains}.values()}
    if any(bounds != (None, None) for bounds in domain_bounds.values()):
        pairs = [domain_bounds[id(domain)] for domain in domains]
        lower = np.maximum(lower, [-np.inf if low is None else low for low, _ in pairs])
        upper = np.minimum(upper, [np.inf if high is None else high for _, high in pairs])
    return lower, upper


def _check_fixed(variable: Any, number: float, low: float, high: float) -> None:
    if low - number > _TRIVIAL_TOLERANCE or number - high > _TRIVIAL_TOLERANCE:
        raise TriviallyInfeasibleError(
            f"{describe(variable)} is fixed to {number}, outside its bounds {low} and {high}; correct the value or the bounds"
        )


def _numbers(variables: list[Any], bounds: list[Any], unbounded: float) -> Array:
    """Bounds of variables as numbers."""
    numbers = [unbounded if bound is None else bound for bound in bounds]
    if not all(number.__class__ in _NUMBERS for number in numbers):
        numbers = [
            number if number.__class__ in _NUMBERS else bound_value(variable, number, unbounded)
            for variable, number in zip(variables, numbers, strict=True)
        ]
    result = np.array(numbers, dtype=float)
    wrong = np.isnan(result) | (result == -unbounded)
    if wrong.any():
        bound_value(variables[int(wrong.argmax())], float(result[wrong][0]), unbounded)
    return result


def _bound(component: Any, bound: Any, unbounded: float) -> float:
    if bound is None:
        return unbounded
    # Zero is by far the most frequent bound; the comparison is false for NaN.
    if bound.__class__ in _NUMBERS and -np.inf < bound < np.inf:
        return float(bound)
    return bound_value(component, bound, unbounded)


def bound_value(component: Any, bound: Any, unbounded: float) -> float:
    """The number that a bound stands for; ``unbounded`` for the infinity that means none."""
    try:
        number = float(value(bound))
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"{describe(component)} has a bound without a value, {bound}: {error}; give every Param in it a value"
        ) from error
    if number != unbounded and not np.isfinite(number):
        raise ModelError(
            f"{describe(component)} has the bound {number}, which no value can satisfy; correct the data that it is made of"
        )
    return number


def parameter_values(components: list[Any]) -> Array:
    """The current values of mutable Params and fixed Vars."""
    try:
        values = np.array([c._value for c in components], dtype=float)
    except (TypeError, ValueError):  # one is an expression, or missing
        values = np.full(len(components), np.nan)
    if not np.isfinite(values).all():
        values = np.array([parameter_value(c) for c in components], dtype=float)
    return values


def parameter_value(component: Any) -> float:
    """The current value of a mutable Param or a fixed Var."""
    try:
        number = component.value
        if number is None:
            raise ValueError("it is None")
        number = float(value(number))
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"{describe(component)} has no numerical value: {' '.join(str(error).split())}; set it before solving"
        ) from error
    if not np.isfinite(number):
        raise ModelError(f"{describe(component)} has the value {number}; only finite numbers can be used")
    return number


def _declaration_order(model: Any, variables: list[Any]) -> Array:
    """Indices of the variables in the order of their declaration in the model; strangers come last."""
    rank: dict[int, int] = {}
    for component in _var_components(model):
        for data in component.values():
            rank.setdefault(id(data), len(rank))
    last = len(rank)
    return np.argsort([rank.get(id(v), last) for v in variables], kind="stable")


def _var_components(model: Any) -> Iterator[Any]:
    for block in model.block_data_objects(active=None, descend_into=Block):
        yield from block.component_objects(Var, descend_into=False)


def _check_continuous(variables: list[Any]) -> None:
    """Check that no variable is integer or binary.

    Raises:
        ModelError: naming those that are.
    """
    discrete_domains = {id(v._domain): v for v in variables}
    discrete_domains = {domain: v for domain, v in discrete_domains.items() if not v.is_continuous()}
    discrete = [v for v in variables if id(v._domain) in discrete_domains and not v._fixed] if discrete_domains else []
    if discrete:
        names = ", ".join(repr(v.name) for v in discrete[:10]) + (", ..." if len(discrete) > 10 else "")
        raise ModelError(
            f"{len(discrete)} variables are integer or binary ({names}) and IPOPT solves continuous problems only; "
            "fix them, or relax them with TransformationFactory('core.relax_integer_vars').apply_to(model)"
        )


def _check_trivial(constraints: list[Any]) -> None:
    """Check constraints that hold no variable.

    Raises:
        TriviallyInfeasibleError: one is violated.
    """
    for constraint in constraints:
        body = value(constraint.body)
        low, high = constraint.lb, constraint.ub
        for bound, excess in (
            (low, low - body if low is not None else 0.0),
            (high, body - high if high is not None else 0.0),
        ):
            if bound is not None and not excess <= _TRIVIAL_TOLERANCE * max(1.0, abs(bound)):
                raise TriviallyInfeasibleError(
                    f"{describe(constraint)} holds no free variable and is violated: its value is {body}, its bounds are {low} and {high}; "
                    "unfix a variable in it, correct the fixed values, or deactivate it"
                )
