"""CasADi's Opti stacks: simple bounds, scales, parameters, names from source lines, solutions written back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import casadi
import numpy as np

from sct_opt.adapters.casadi.problem import Problem, element_names, vector
from sct_opt.errors import ModelError, ProblemError
from sct_opt.nlp import NLP
from sct_opt.tape import Tape, TapeBuilder

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Scales:
    """Opti's linear scales: what the solver sees is ``(x - offset) / x_scale``, ``f / f_scale``, ``g / g_scale``."""

    x: Array
    offset: Array
    f: float
    g: Array


class OptiModel:
    """An Opti stack, read: the problem it would hand to a solver, and the way back.

    Like Opti itself, the solver sees scaled variables.  Rows of constraints that are one variable become bounds of
    that variable (`bound_variable`), so the problem has fewer constraints than the stack.

    Args:
        stack: the stack; what is read is what its own ``solve`` would see.

    Raises:
        ModelError: something that IPOPT cannot solve or that is not a constraint.
        ProblemError: no variables, a parameter without value.

    >>> opti = casadi.Opti()
    >>> x = opti.variable(2)
    >>> opti.minimize(casadi.sumsqr(x - 2))
    >>> opti.subject_to(x <= 1)
    >>> nlp = OptiModel(opti).nlp()
    >>> nlp.n, nlp.m, nlp.ub.tolist()
    (2, 0, [1.0, 1.0])
    """

    def __init__(self, stack: casadi.Opti) -> None:
        self.stack = stack
        # shares the stack's contents; `stack.advanced` would copy them
        advanced = casadi.OptiAdvanced(stack)
        try:
            if advanced.problem_dirty():
                advanced.bake()
        except RuntimeError as error:
            raise ProblemError(f"the Opti stack is not a problem yet: {str(error).strip().splitlines()[-1]}") from error
        self.advanced = advanced
        if advanced.nx == 0:
            raise ProblemError(
                "the problem has no variables: no variable of the Opti stack occurs in its objective or constraints"
            )
        self._check_kinds()
        self.problem = Problem(
            advanced.x, advanced.p, casadi.MX(advanced.f) if advanced.f.numel() else casadi.MX(0.0), advanced.g
        )
        self.scales = Scales(
            np.array(advanced.x_linear_scale).ravel(),
            np.array(advanced.x_linear_scale_offset).ravel(),
            float(advanced.f_linear_scale),
            np.array(advanced.g_linear_scale).ravel(),
        )
        self._bounds = casadi.Function(
            "bounds", [advanced.p], [casadi.densify(advanced.lbg), casadi.densify(advanced.ubg)]
        )
        self._last: tuple[Array, Array, Array] | None = None
        self.tape, self.bound_variable = self._trace()
        self.rows = np.flatnonzero(self.bound_variable < 0)

    def _check_kinds(self) -> None:
        for symbol in self.advanced.active_symvar(casadi.OPTI_VAR):
            if self.advanced.get_meta(symbol).domain != casadi.OPTI_DOMAIN_REAL:
                raise ModelError(
                    f"IPOPT has no integer variables: {self.advanced.describe(symbol)}; drop set_domain or use another solver"
                )
        for constraint in self.advanced.constraints():
            kind = self.advanced.get_meta_con(constraint).type
            if kind in (casadi.OPTI_UNKNOWN, casadi.OPTI_PSD):
                what = (
                    "a matrix inequality; for elementwise bounds write subject_to(vec(A) >= b)"
                    if kind == casadi.OPTI_PSD
                    else "neither ==, <= nor >="
                )
                raise ModelError(f"constraint {constraint} is {what}: {self.advanced.describe(constraint)}")

    def _trace(self) -> tuple[Tape, Array]:
        """The tape without the rows that are bounds, and for each row the variable it bounds or -1."""
        builder = TapeBuilder()
        inputs = builder.inputs(self.problem.x.numel())
        p = builder.parameter_block(np.zeros(self.problem.p.numel()))
        x = inputs
        scales = self.scales
        ones = np.ones(inputs.size, dtype=np.int64)
        if (scales.x != 1.0).any() or (scales.offset != 0.0).any():
            x = builder.affine(ones, inputs, scales.x, scales.offset)
        f, g = self.problem.emit(builder, x, p)
        variable = np.full(max(int(x.max(initial=0)), int(g.max(initial=0))) + 1, -1, dtype=np.int64)
        variable[x] = np.arange(x.size)
        bound_variable = np.where(g >= 0, variable[np.maximum(g, 0)], -1)
        g, g_scale = g[bound_variable < 0], scales.g[bound_variable < 0]
        if scales.f != 1.0:
            f = builder.affine(np.ones(1, dtype=np.int64), f, np.array([1.0 / scales.f]), np.zeros(1))
        if (g_scale != 1.0).any():
            g = builder.affine(np.ones(g.size, dtype=np.int64), g, 1.0 / g_scale, np.zeros(g.size))
        return builder.freeze(np.concatenate([f, g])), bound_variable

    @property
    def stale(self) -> bool:
        """Whether variables, objective or constraints of the stack have changed since it was read."""
        return bool(self.advanced.problem_dirty())

    # -- numbers -----------------------------------------------------------------------------------------------

    def parameter_values(self, p: Any = None) -> Array:
        """Values of the parameters as set in the stack, or those given; all of them finite."""
        if p is not None:
            return vector(p, int(self.problem.p.numel()), "p", 0.0, "p")
        values = [np.zeros(0)]
        for symbol, value in zip(
            self.advanced.active_symvar(casadi.OPTI_PAR), self.advanced.active_values(casadi.OPTI_PAR), strict=True
        ):
            numbers = value.full().ravel(order="F")
            if not np.isfinite(numbers).all():
                raise ProblemError(
                    f"a parameter has no value, or one that is not finite; call set_value: {self.advanced.describe(symbol)}"
                )
            values.append(numbers)
        return np.concatenate(values)

    def bounds(self, p: Array) -> tuple[Array, Array, Array, Array]:
        """Bounds of the scaled variables and of the scaled remaining constraints at these parameters."""
        lower, upper = self._row_bounds(p)
        scales = self.scales
        low, high = np.full(scales.x.size, -np.inf), np.full(scales.x.size, np.inf)
        simple = np.flatnonzero(self.bound_variable >= 0)
        variable = self.bound_variable[simple]
        scaled_low, scaled_high = self._scaled_bounds(simple, lower, upper)
        np.maximum.at(low, variable, scaled_low)
        np.minimum.at(high, variable, scaled_high)
        rows = self.rows
        return low, high, lower[rows] / scales.g[rows], upper[rows] / scales.g[rows]

    def _row_bounds(self, p: Array) -> tuple[Array, Array]:
        """Bounds of all rows of the stack at these parameters; the last ones are kept."""
        if self._last is None or not np.array_equal(self._last[0], p):
            lower, upper = (part.full().ravel() for part in self._bounds(p))
            self._last = (p.copy(), lower, upper)
        return self._last[1:]

    def _scaled_bounds(self, simple: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
        variable = self.bound_variable[simple]
        scale, offset = self.scales.x[variable], self.scales.offset[variable]
        one, other = (lower[simple] - offset) / scale, (upper[simple] - offset) / scale
        return np.where(scale > 0, one, other), np.where(scale > 0, other, one)

    def nlp(self, x0: Any = None, p: Any = None) -> NLP:
        """The problem at the stack's values, or with another start or other parameters."""
        values = self.parameter_values(p)
        low, high, lower, upper = self.bounds(values)
        nlp = NLP(
            self.tape,
            self.start(x0),
            low,
            high,
            lower,
            upper,
            variable_names=self.variable_names,
            constraint_names=lambda: [self.row_name(int(row)) for row in self.rows],
            parameter_names=lambda: element_names(self.problem.p, "p"),
            load_solution=lambda result: self.load(result, values),
        )
        nlp.parameters = values
        return nlp

    def update(self, nlp: NLP, x0: Any = None, p: Any = None) -> None:
        """Bring a problem that `nlp` made to the stack's present values, or to another start or other parameters."""
        values = self.parameter_values(p)
        nlp.lb, nlp.ub, nlp.cl, nlp.cu = self.bounds(values)
        nlp.parameters = values
        nlp.x0 = self.start(x0)
        nlp.load_solution = lambda result: self.load(result, values)

    def multipliers(self) -> tuple[Array, Array, Array]:
        """The stack's initial multipliers for the problem: of the constraints and of lower and upper bounds."""
        values = [value.full().ravel(order="F") for value in self.advanced.active_values(casadi.OPTI_DUAL_G)]
        scaled = np.concatenate([*values, np.zeros(0)]) * self.scales.g / self.scales.f
        simple = np.flatnonzero(self.bound_variable >= 0)
        variable = self.bound_variable[simple]
        lam_x = np.zeros(self.scales.x.size)
        np.add.at(lam_x, variable, scaled[simple] * self.scales.x[variable] / self.scales.g[simple])
        return scaled[self.rows], np.maximum(-lam_x, 0.0), np.maximum(lam_x, 0.0)

    def start(self, x0: Any = None) -> Array:
        """The stack's initial values, or those given, scaled."""
        if x0 is None:
            values = [value.full().ravel(order="F") for value in self.advanced.active_values(casadi.OPTI_VAR)]
            start = np.concatenate(values)
        else:
            start = vector(x0, int(self.problem.x.numel()), "x0", 0.0, "x")
        scaled: Array = (start - self.scales.offset) / self.scales.x
        return scaled

    # -- names -------------------------------------------------------------------------------------------------

    def variable_names(self) -> list[str]:
        """Python names of the variables where the source line tells them, else Opti's own."""
        symbols = self.advanced.active_symvar(casadi.OPTI_VAR)
        guesses = [_assigned_name(self.advanced.describe(symbol)) for symbol in symbols]
        names: list[str] = []
        for symbol, guess in zip(symbols, guesses, strict=True):
            stem = guess if guess and guesses.count(guess) == 1 else str(symbol.name())
            names += [name.replace(str(symbol.name()), stem, 1) for name in element_names(symbol, stem)]
        return names

    def row_name(self, row: int) -> str:
        """A constraint row's index, and file, line and source of the ``subject_to`` that it comes from."""
        lines = [line.strip() for line in str(self.advanced.g_describe(row)).splitlines()]
        place = lines[0].rpartition("called from ")[2] if "called from " in lines[0] else ""
        source = f": {lines[1]}" if len(lines) > 1 and not lines[1].startswith("At nonzero") else ""
        return f"g[{row}] ({place}{source})" if place else f"g[{row}]"

    # -- the way back --------------------------------------------------------------------------------------------

    def load(self, result: Any, p: Array) -> None:
        """Write a solution into the stack, so that ``opti.value`` and ``opti.debug.value`` see it.

        Args:
            result: what a solver returned for `nlp`.
            p: the parameters it was solved with.

        Raises:
            ModelError: the stack has got other variables or constraints since it was read.
        """
        if self.stale:
            raise ModelError("the Opti stack has changed since it was converted; convert it again with from_casadi")
        x, lam_g = result.x, self.row_multipliers(result, p)
        lam_x = result.upper_multipliers - result.lower_multipliers
        self.advanced.res(
            {"x": casadi.DM(x), "f": casadi.DM(float(result.fun)), "lam_g": casadi.DM(lam_g), "lam_x": casadi.DM(lam_x)}
        )

    def row_multipliers(self, result: Any, p: Array) -> Array:
        """Multipliers of all rows of the stack (scaled): a bound's multiplier goes to the row that gave the tightest bound."""
        multipliers = np.zeros(self.bound_variable.size)
        multipliers[self.rows] = result.constraint_multipliers
        simple = np.flatnonzero(self.bound_variable >= 0)
        lower, upper = self._row_bounds(p)
        low, high, _, _ = self.bounds(p)
        row_low, row_high = self._scaled_bounds(simple, lower, upper)
        lam_x = result.upper_multipliers - result.lower_multipliers
        variable = self.bound_variable[simple]
        factor = self.scales.g[simple] / self.scales.x[variable]
        for side, mine, tightest in ((1.0, row_high, high), (-1.0, row_low, low)):
            active = np.flatnonzero((mine == tightest[variable]) & np.isfinite(mine) & (side * lam_x[variable] > 0.0))
            _, first = np.unique(variable[active], return_index=True)
            chosen = active[first]
            multipliers[simple[chosen]] += lam_x[variable[chosen]] * factor[chosen]
        return multipliers


def _assigned_name(description: str) -> str | None:
    """The ``name`` of a source line ``name = opti.variable(…)``, if the line has just one."""
    found = re.findall(r"([A-Za-z_][\w.]*)\s*=\s*[\w.]+\.variable\(", description)
    return found[0] if len(found) == 1 else None
