"""One nonlinear program, whichever front end it came from, as IPOPT wants to see it.

    minimize f(x)   subject to   cl <= g(x) <= cu,   lb <= x <= ub

`NLP` sits between the adapters, which make it from a tape, and the solvers, which see nothing else.  Its methods are
the callbacks of cyipopt's ``problem_obj``; the Lagrangian is ``objective_factor * f + multipliers @ g``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, final, overload

import numpy as np
from numpy.typing import ArrayLike

from sct_opt.derivatives import Derivatives, Part
from sct_opt.errors import ProblemError, ShapeError
from sct_opt.ops import AFFINE, BLACKBOX, OPS, SELECT
from sct_opt.parameters import Names, Parameters, indexed_names
from sct_opt.pattern import SparsityPattern
from sct_opt.programs import EngineOptions
from sct_opt.sweeps import evaluate_nodes
from sct_opt.tape import Tape

Array = np.ndarray[Any, Any]

_D = TypeVar("_D", Derivatives, Part)

_SHOWN = 6  # variables that a message lists before it says "and so on"


class _Vector:
    """An array attribute of fixed length that broadcasts what is assigned to it."""

    def __init__(self, length: str, what: str, default: float) -> None:
        self.length = length
        self.what = what
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = "_" + name

    @overload
    def __get__(self, nlp: None, owner: type) -> _Vector: ...
    @overload
    def __get__(self, nlp: NLP, owner: type) -> Array: ...
    def __get__(self, nlp: NLP | None, owner: type) -> Array | _Vector:
        return self if nlp is None else nlp.__dict__[self.name]

    def __set__(self, nlp: NLP, value: ArrayLike | None) -> None:
        size = getattr(nlp, self.length)
        array = np.asarray(self.default if value is None else value, dtype=float)
        if array.ndim > 1 and array.size == size:
            array = array.ravel()
        if array.shape not in ((), (1,), (size,)):
            raise ShapeError(
                f"{self.what} has shape {array.shape}, but the problem has {size}; pass a scalar or shape ({size},)"
            )
        nlp.__dict__[self.name] = np.array(np.broadcast_to(array, (size,)))


@dataclass(frozen=True, slots=True)
class Scaling:
    """Factors by which a solver may multiply a problem internally; results are always in the problem's own units.

    Attributes:
        objective: Factor of the objective.
        variables: Factors of the variables, shape ``(n,)``; None for ones.
        constraints: Factors of the constraints, shape ``(m,)``; None for ones.
    """

    objective: float = 1.0
    variables: Array | None = None
    constraints: Array | None = None


@final
class NLP:
    """A nonlinear program with exact sparse derivatives; an object that `cyipopt.Problem` takes as ``problem_obj``.

    Patterns and colorings are found at first use, or all at once by `prepare`.  ``x0``, ``lb``, ``ub``, ``cl``, ``cu``
    and ``parameters`` may be changed between evaluations and solves, in place or by assignment (which broadcasts);
    nothing is traced again.

    Args:
        tape: Its outputs are the objective and then the constraints.
        x0: Where solvers start.
        lb: Lower bounds of the variables, scalar or one each; None or ``-inf`` where free.
        ub: Upper bounds of the variables.
        cl: Lower bounds of the constraints.
        cu: Upper bounds of the constraints; equal to `cl` for equalities.
        variable_names: One name per variable, or a function that gives them when they are needed.
        constraint_names: One name per constraint, likewise.
        parameter_names: One name per parameter, likewise, or a mapping of names to shapes.
        maximize: The problem was a maximization: the tape's objective is the negated one, and results flip it back.
        load_solution: Writes a result back into the model that the problem came from.
        scaling: Set this attribute to a `Scaling` to have IPOPT use it in place of scaling of its own.

    Raises:
        ShapeError: If an array fits neither the variables nor the constraints.
        ProblemError: If the problem has no variables, or as `check` says.

    Examples:
        >>> from sct_opt.ops import OPCODE
        >>> from sct_opt.tape import TapeBuilder
        >>> builder = TapeBuilder()
        >>> x = builder.inputs(2)
        >>> square = builder.unary(OPCODE["square"], x)
        >>> product = builder.binary(OPCODE["mul"], x[:1], x[1:])
        >>> nlp = NLP(builder.freeze([square[0], product[0]]), [3.0, 2.0], 0.0, None, 1.0, np.inf)
        >>> nlp
        NLP(minimize, 2 variables, 1 constraint)
        >>> nlp.objective(nlp.x0), nlp.gradient(nlp.x0), nlp.jacobian(nlp.x0)
        (9.0, array([6., 0.]), array([2., 3.]))
        >>> nlp.hessianstructure()
        (array([0, 1], dtype=int32), array([0, 0], dtype=int32))
    """

    x0 = _Vector("n", "x0", np.nan)
    lb = _Vector("n", "the lower bound lb", -np.inf)
    ub = _Vector("n", "the upper bound ub", np.inf)
    cl = _Vector("m", "the constraints' lower bound cl", -np.inf)
    cu = _Vector("m", "the constraints' upper bound cu", np.inf)

    def __init__(
        self,
        tape: Tape,
        x0: ArrayLike,
        lb: ArrayLike | None = None,
        ub: ArrayLike | None = None,
        cl: ArrayLike | None = None,
        cu: ArrayLike | None = None,
        *,
        variable_names: Names = None,
        constraint_names: Names = None,
        parameter_names: Names | Mapping[str, tuple[int, ...]] = None,
        maximize: bool = False,
        load_solution: Callable[[Any], None] | None = None,
    ) -> None:
        if tape.num_inputs == 0:
            raise ProblemError("the problem has no variables; nothing is left to optimize")
        if tape.num_outputs == 0:
            raise ProblemError("the problem has no objective; give one, a constant will do to find a feasible point")
        self.tape = tape
        self.n = tape.num_inputs
        self.m = tape.num_outputs - 1
        self.maximize = maximize
        self.load_solution = load_solution
        self.scaling: Scaling | None = None
        self.timings: dict[str, float] = {}
        self._names = {"variable": variable_names, "constraint": constraint_names}
        self._parameters = Parameters(tape.parameters, parameter_names)
        self._engine = EngineOptions()
        self.x0, self.lb, self.ub, self.cl, self.cu = x0, lb, ub, cl, cu
        self.check()

    def check(self) -> None:
        """Make sure that start, bounds and parameters make sense; solvers call this before they start.

        Raises:
            ProblemError: If the start is not finite, a bound is NaN or on the wrong side of infinity, bounds are
                crossed, or a parameter is NaN; the message names the variable, constraint or parameter.
        """
        self.check_start(self.x0)
        for what, lower, upper, name in (
            ("variable", self.lb, self.ub, self.variable_name),
            ("constraint", self.cl, self.cu, self.constraint_name),
        ):
            for side, bound, wrong in (("lower", lower, np.inf), ("upper", upper, -np.inf)):
                bad = np.isnan(bound) | (bound == wrong)
                if bad.any():
                    i = int(bad.argmax())
                    raise ProblemError(
                        f"the {side} bound of {what} {name(i)!r} is {bound[i]}; use {-wrong} where there is none"
                    )
            crossed = lower > upper
            if crossed.any():
                i = int(crossed.argmax())
                raise ProblemError(
                    f"the bounds of {what} {name(i)!r} are crossed: lower {lower[i]:.6g} > upper {upper[i]:.6g}"
                )
        missing = np.isnan(self._parameters.values)
        if missing.any():
            raise ProblemError(
                f"parameter {self._parameters.names[int(missing.argmax())]!r} is nan; set nlp.parameters before solving"
            )

    def check_start(self, x0: Array) -> None:
        """Make sure that a start is finite.

        Args:
            x0: The start, shape ``(n,)``.

        Raises:
            ProblemError: If it is not; the message names the variable.
        """
        bad = ~np.isfinite(x0)
        if bad.any():
            i = int(bad.argmax())
            raise ProblemError(f"the start x0 is {x0[i]} at variable {self.variable_name(i)!r}; give a finite value")

    # -- parts ---------------------------------------------------------------------------------------------------

    # The programs that repeated expressions become are found once, for all outputs together.
    @cached_property
    def _objective(self) -> Part:
        return self._lagrangian.part(0, 1)

    @cached_property
    def _constraints(self) -> Part:
        return self._lagrangian.part(1, self.m + 1)

    @cached_property
    def _lagrangian(self) -> Derivatives:
        return Derivatives(self.tape, options=self._engine)

    @property
    def engine(self) -> EngineOptions:
        """How derivatives are evaluated; assign `EngineOptions` to choose, and programs are found anew."""
        return self._engine

    @engine.setter
    def engine(self, options: EngineOptions) -> None:
        if not isinstance(options, EngineOptions):
            raise ProblemError(f"engine must be sct_opt.EngineOptions, not {options!r:.80}")
        self._engine = options
        for part in ("_objective", "_constraints", "_lagrangian"):
            self.__dict__.pop(part, None)

    def _current(self, derivatives: _D) -> _D:
        if self._parameters.values.size:
            derivatives.parameters = self._parameters.values
        return derivatives

    @property
    def parameters(self) -> Parameters:
        """The parameters, by position or name; a change takes effect at the next evaluation."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: ArrayLike | Mapping[str, ArrayLike]) -> None:
        if isinstance(values, Mapping):
            for name, value in values.items():
                self._parameters[name] = value
            return
        array = np.asarray(values, dtype=float)
        if array.shape not in ((), self._parameters.values.shape):
            raise ShapeError(f"parameters have shape {array.shape}, expected {self._parameters.values.shape}")
        self._parameters.values[:] = array

    @property
    def variable_names(self) -> list[str]:
        """One name per variable."""
        return self._resolved("variable", self.n, "x")

    @property
    def constraint_names(self) -> list[str]:
        """One name per constraint."""
        return self._resolved("constraint", self.m, "g")

    def _resolved(self, kind: str, size: int, letter: str) -> list[str]:
        names = self._names[kind]
        names = list(names() if callable(names) else indexed_names(letter, (size,)) if names is None else names)
        if len(names) != size:
            raise ShapeError(f"there are {len(names)} {kind} names for {size} {kind}s; give one each")
        self._names[kind] = names
        return names

    def variable_name(self, i: int) -> str:
        """Name of variable `i`."""
        return f"x[{i}]" if self._names["variable"] is None else self.variable_names[i]

    def constraint_name(self, i: int) -> str:
        """Name of constraint `i`."""
        return f"g[{i}]" if self._names["constraint"] is None else self.constraint_names[i]

    @property
    def jacobian_pattern(self) -> SparsityPattern:
        """Pattern of the constraints' Jacobian, ``m x n``."""
        return self._constraints.jacobian_pattern

    @property
    def hessian_pattern(self) -> SparsityPattern:
        """Pattern of the Lagrangian's Hessian, ``n x n``, both triangles."""
        return self._lagrangian.hessian_pattern

    @property
    def jacobian_coloring(self) -> Any:
        """Coloring that compresses the constraints' Jacobian."""
        return self._constraints.jacobian_coloring

    @property
    def hessian_coloring(self) -> Any:
        """Coloring that compresses the Lagrangian's Hessian."""
        return self._lagrangian.hessian_coloring

    def prepare(self, hessian: bool = True) -> dict[str, float]:
        """Find patterns, and colorings if derivatives need them, now rather than at the first evaluation.

        Args:
            hessian: Whether the Hessian's are wanted too.

        Returns:
            `timings`: seconds for ``detect`` and ``color``, and for ``trace`` if an adapter measured it.
        """
        start = time.perf_counter()
        self._constraints.jacobian_pattern  # noqa: B018 - found at first use
        if hessian:
            self._lagrangian.hessian_lower_pattern  # noqa: B018
        found = time.perf_counter()
        if not self._lagrangian.has_programs:
            self._constraints.jacobian_coloring  # noqa: B018
            if hessian:
                self._lagrangian.hessian_coloring  # noqa: B018
        for stage, seconds in (("detect", found - start), ("color", time.perf_counter() - found)):
            self.timings[stage] = self.timings.get(stage, 0.0) + seconds
        return self.timings

    def report(self) -> str:
        """What evaluates the derivatives: programs, their instances, what is left to colorings and sweeps.

        >>> import numpy as np
        >>> from sct_opt.adapters.callables import from_callables
        >>> print(from_callables(lambda x: np.sum(np.sin(x[1:] * x[:-1])), np.ones(100)).report())
        1 programs for 99 terms, 0 terms in compressed form; ...
        """
        return self._lagrangian.report()

    # -- cyipopt's protocol ----------------------------------------------------------------------------------------

    def objective(self, x: ArrayLike) -> float:
        """Objective at `x`; the negated one if the problem is a maximization."""
        return float(self._current(self._objective).values(self._point(x))[0])

    def gradient(self, x: ArrayLike) -> Array:
        """Gradient of `objective`, dense, shape ``(n,)``."""
        return self._current(self._objective).vjp(self._point(x), _ONE)

    def constraints(self, x: ArrayLike) -> Array:
        """Constraints at `x`, shape ``(m,)``."""
        return self._current(self._constraints).values(self._point(x))

    def jacobianstructure(self) -> tuple[Array, Array]:
        """Rows and columns of the Jacobian's structural nonzeros."""
        return self.jacobian_pattern.coo()

    def jacobian(self, x: ArrayLike) -> Array:
        """Values of the constraints' Jacobian at `x`, in the order of `jacobianstructure`."""
        x = self._point(x)
        return self._current(self._constraints).jacobian_values(x) if self.m else np.zeros(0)

    def hessianstructure(self) -> tuple[Array, Array]:
        """Rows and columns of the Lagrangian's Hessian, lower triangle."""
        return self._lagrangian.hessian_lower_pattern.coo()

    def hessian(self, x: ArrayLike, lagrange: ArrayLike, obj_factor: float) -> Array:
        """Values of the Hessian of ``obj_factor * objective + lagrange @ constraints``, in the order of `hessianstructure`."""
        multipliers = np.asarray(lagrange, dtype=float)
        if multipliers.shape != (self.m,):
            raise ShapeError(
                f"the multipliers have shape {multipliers.shape}, but the problem has {self.m} constraints; pass shape ({self.m},)"
            )
        return self._current(self._lagrangian).lagrangian_hessian_values(self._point(x), obj_factor, multipliers)

    def _point(self, x: ArrayLike) -> Array:
        point = np.asarray(x, dtype=float)
        if point.shape != (self.n,):
            if point.size != self.n:
                raise ShapeError(
                    f"x has shape {point.shape}, but the problem has {self.n} variables; pass shape ({self.n},)"
                )
            point = point.ravel()
        return point

    # -- messages ------------------------------------------------------------------------------------------------

    def explain_values(self, x: Array) -> str | None:
        """Say which of the objective and the constraints is not finite at `x`, and why.

        Args:
            x: The point.

        Returns:
            A sentence without its full stop; None if all are finite.
        """
        for derivatives in (self._objective, self._constraints):
            values = self._current(derivatives).values(x)
            i = _first_nonfinite(values)
            if i is not None:
                name = "the objective" if derivatives is self._objective else f"constraint {self.constraint_name(i)!r}"
                pattern = derivatives.jacobian_pattern
                columns = pattern.indices[pattern.indptr[i] : pattern.indptr[i + 1]]
                return f"{name} is {values[i]}{_culprit(derivatives, x, i)}, where {self._listed(columns, x)}"
        return None

    def explain_derivatives(self, x: Array, lagrange: Array | None = None, obj_factor: float = 1.0) -> str | None:
        """Say which first derivative, or with multipliers which second derivative, is not finite at `x`.

        Args:
            x: The point.
            lagrange: Multipliers, to look at the Lagrangian's Hessian instead of gradient and Jacobian.
            obj_factor: Factor of the objective in the Lagrangian.

        Returns:
            A sentence without its full stop; None if all are finite.
        """
        if lagrange is not None:
            values = self.hessian(x, lagrange, obj_factor)
            k = _first_nonfinite(values)
            if k is None:
                return None
            i, j = (int(index[k]) for index in self.hessianstructure())
            pair = (
                f"{self.variable_name(i)!r} and {self.variable_name(j)!r}"
                if i != j
                else f"{self.variable_name(i)!r} twice"
            )
            return f"the Lagrangian's second derivative by {pair} is {values[k]}, where {self._listed(np.unique([i, j]), x)}"
        values = self.gradient(x)
        k = _first_nonfinite(values)
        if k is not None:
            return f"the objective's derivative by {self.variable_name(k)!r} is {values[k]}, where {self._listed(np.array([k]), x)}"
        values = self.jacobian(x)
        k = _first_nonfinite(values)
        if k is None:
            return None
        i, j = (int(index[k]) for index in self.jacobianstructure())
        return f"the derivative of constraint {self.constraint_name(i)!r} by {self.variable_name(j)!r} is {values[k]}, where {self._listed(np.array([j]), x)}"

    def _listed(self, columns: Array, x: Array) -> str:
        shown = ", ".join(f"{self.variable_name(int(j))} = {x[j]:.6g}" for j in columns[:_SHOWN])
        return (shown or "it depends on no variable") + (
            f" and {columns.size - _SHOWN} more" if columns.size > _SHOWN else ""
        )

    def __repr__(self) -> str:
        parts = ["maximize" if self.maximize else "minimize", _counted(self.n, "variable")]
        if self.m:
            equalities = int((self.cl == self.cu).sum())
            parts.append(_counted(self.m, "constraint") + (f" ({equalities} of them equalities)" if equalities else ""))
        if len(self._parameters):
            parts.append(_counted(len(self._parameters), "parameter"))
        return f"NLP({', '.join(parts)})"


_ONE = np.ones(1)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _first_nonfinite(values: Array) -> int | None:
    bad = ~np.isfinite(values)
    return int(bad.argmax()) if bad.any() else None


def _culprit(derivatives: Part, x: Array, output: int) -> str:
    """The operation behind a non-finite output whose own arguments are finite, such as ``: log(-0.1) is nan``."""
    tape = derivatives.tape
    values = evaluate_nodes(tape, x, derivatives.parameters)
    node = int(tape.outputs[output])
    while node >= tape.first_operation:
        code = int(tape.opcode[node])
        if code in (AFFINE, SELECT):
            row = int(tape.arg0[node])
            args = tape.row_arg[tape.row_ptr[row] : tape.row_ptr[row + 1]]
        elif code == BLACKBOX:
            args = tape.sites[int(tape.arg1[node])].args
        else:
            args = np.array([tape.arg0[node], tape.arg1[node]][: OPS[code].arity])
        bad = args[~np.isfinite(values[args])]
        if bad.size == 0:
            name = tape.sites[int(tape.arg1[node])].function.name if code == BLACKBOX else OPS[code].name
            shown = ", ".join(f"{values[a]:.6g}" for a in args[:_SHOWN]) + (", …" if args.size > _SHOWN else "")
            return f": {name}({shown}) is {values[node]}"
        node = int(bad[0])
    return ""
