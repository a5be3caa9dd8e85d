"""IPOPT for Pyomo models, without executables, .nl files or the AMPL solver library.

Importing this module registers the solver in both of Pyomo's factories::

    import pyomo.environ as pyo
    import sct_opt.pyomo

    pyo.SolverFactory("sct_opt").solve(model, tee=True, options={"tol": 1e-10})

Keep the solver object to solve a model repeatedly: values, bounds, mutable Params and fixed variables may change without
anything being translated, detected or compiled again.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pyomo.common.collections import ComponentMap
from pyomo.common.tee import TeeStream, capture_output
from pyomo.common.timing import HierarchicalTimer
from pyomo.contrib.solver.common.base import Availability, LegacySolverWrapper, SolverBase
from pyomo.contrib.solver.common.config import SolverConfig
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import Results, SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.solution_loader import SolutionLoader
from pyomo.contrib.solver.common.util import NoDualsError, NoOptimalSolutionError, NoReducedCostsError, NoSolutionError
from pyomo.core.staleflag import StaleFlagManager

from sct_opt.adapters.pyomo import build
from sct_opt.adapters.pyomo.diagnosis import Report, diagnose, with_expression, worst_violations
from sct_opt.adapters.pyomo.model import TriviallyInfeasibleError
from sct_opt.adapters.pyomo.session import Session
from sct_opt.adapters.pyomo.solution import load_variables, start_multipliers, suffix_values
from sct_opt.errors import EvaluationError
from sct_opt.solvers import ipopt

if TYPE_CHECKING:
    from sct_opt.adapters.pyomo.model import Translation
    from sct_opt.adapters.pyomo.pynumero import PyomoNLP
    from sct_opt.nlp import NLP
    from sct_opt.solvers.result import Result

__all__ = ["PyomoNLP", "Report", "SctOpt", "SctOptSolutionLoader", "report"]


def __getattr__(name: str) -> Any:
    # PyNumero is imported only for those who use it.
    if name == "PyomoNLP":
        return importlib.import_module("sct_opt.adapters.pyomo.pynumero").PyomoNLP
    raise AttributeError(f"module 'sct_opt.pyomo' has no attribute {name!r}")


# IPOPT's codes in Pyomo's words, as the ipopt executable's exit codes are read.
_TERMINATION = {
    0: (TerminationCondition.convergenceCriteriaSatisfied, SolutionStatus.optimal),
    1: (TerminationCondition.convergenceCriteriaSatisfied, SolutionStatus.optimal),
    2: (TerminationCondition.locallyInfeasible, SolutionStatus.infeasible),
    3: (TerminationCondition.minStepLength, SolutionStatus.unknown),
    4: (TerminationCondition.unbounded, SolutionStatus.unknown),
    5: (TerminationCondition.interrupted, SolutionStatus.unknown),
    6: (TerminationCondition.convergenceCriteriaSatisfied, SolutionStatus.optimal),
    -1: (TerminationCondition.iterationLimit, SolutionStatus.unknown),
    -4: (TerminationCondition.maxTimeLimit, SolutionStatus.unknown),
    -5: (TerminationCondition.maxTimeLimit, SolutionStatus.unknown),
}
_ERROR = (TerminationCondition.error, SolutionStatus.unknown)
# Violation up to which a point that is not optimal counts as feasible: IPOPT's own constr_viol_tol.
_FEASIBLE = 1e-4
_LOG_LEVEL = 5


class SctOptSolutionLoader(SolutionLoader):  # type: ignore[misc]
    """A solution that can be loaded into its model, or looked at.

    Multipliers have the signs that the ipopt executable gives them.

    Args:
        translation: The solved model.
        result: What IPOPT returned.
    """

    def __init__(self, translation: Translation, result: Result) -> None:
        self._pyomo_model = translation.model
        self._translation = translation
        self._result = result

    def get_number_of_solutions(self) -> int:
        """One if there is a point, zero if not."""
        return int(bool(np.isfinite(self._result.x).all()))

    def load_vars(self, vars_to_load: Sequence[Any] | None = None) -> None:
        """Set variables of the model.

        Args:
            vars_to_load: The variables to set; all if None.
        """
        if vars_to_load is None:
            load_variables(self._translation, self._result.x)
        else:
            super().load_vars(vars_to_load)

    def get_vars(self, vars_to_load: Sequence[Any] | None = None) -> Mapping[Any, float]:
        """Values of variables by variable.

        Args:
            vars_to_load: The variables asked for; all of the problem if None.
        """
        if not self.get_number_of_solutions():
            raise NoSolutionError
        return _selected(self._translation.variables, self._result.x, vars_to_load, lambda v: v.value)

    def get_duals(self, cons_to_load: Sequence[Any] | None = None) -> dict[Any, float]:
        """Multipliers of constraints by constraint.

        Args:
            cons_to_load: The constraints asked for; all of the problem if None.
        """
        values = suffix_values(self._translation, self._result, "dual")
        if values is None:
            raise NoDualsError
        return dict(_selected(*values, cons_to_load, lambda c: 0.0))

    def get_reduced_costs(self, vars_to_load: Sequence[Any] | None = None) -> Mapping[Any, float]:
        """Reduced costs of variables: the multiplier of the bound that is active.

        Args:
            vars_to_load: The variables asked for; all of the problem if None.
        """
        values = suffix_values(self._translation, self._result, "rc")
        if values is None:
            raise NoReducedCostsError
        return _selected(*values, vars_to_load, lambda v: 0.0)

    def load_import_suffixes(self) -> None:
        """Fill the model's import suffixes: dual, rc, ipopt_zL_out and ipopt_zU_out."""
        for name, suffix in self._collect_and_clear_import_suffixes().items():
            values = suffix_values(self._translation, self._result, name)
            if values is not None:
                suffix.update(zip(values[0], values[1].tolist(), strict=True))


def _selected(components: Sequence[Any], values: Any, wanted: Sequence[Any] | None, other: Any) -> Mapping[Any, float]:
    found: Mapping[Any, float] = ComponentMap(zip(components, values.tolist(), strict=True))
    if wanted is not None:
        found = ComponentMap((c, found[c] if c in found else other(c)) for c in wanted)
    return found


class SctOpt(SolverBase):  # type: ignore[misc]
    """IPOPT through sct_opt for Pyomo models; also ``pyo.SolverFactory("sct_opt")``.

    Its configuration is Pyomo's `SolverConfig`; ``solver_options`` are IPOPT's options.  With the option
    ``warm_start_init_point`` set to ``"yes"`` multipliers are read from the suffixes ``dual``, ``ipopt_zL_in`` and
    ``ipopt_zU_in``.

    Examples:
        >>> import pyomo.environ as pyo
        >>> model = pyo.ConcreteModel()
        >>> model.x = pyo.Var(bounds=(0, None), initialize=1)
        >>> model.target = pyo.Param(initialize=3, mutable=True)
        >>> model.cost = pyo.Objective(expr=(model.x - model.target) ** 2)
        >>> solver = SctOpt()
        >>> solver.solve(model).solution_status.name
        'optimal'
        >>> model.target.set_value(5)
        >>> round(solver.solve(model).incumbent_objective, 6), round(model.x.value, 6)
        (0.0, 5.0)
    """

    name = "sct_opt"
    CONFIG = SolverConfig()

    def __init__(self, **kwds: Any) -> None:
        super().__init__(**kwds)
        self._session = Session(build)

    def available(self) -> Availability:
        """Whether cyipopt can be imported."""
        return Availability.NotFound if self.version() is None else Availability.FullLicense

    def version(self) -> tuple[int, ...] | None:
        """IPOPT's version; None if cyipopt cannot be imported."""
        try:
            version: tuple[int, ...] = importlib.import_module("cyipopt").IPOPT_VERSION
        except ImportError:
            return None
        return version

    @property
    def translations(self) -> int:
        """How often this solver has translated a model; re-solves with changed numbers do not count."""
        return self._session.translations

    def solve(self, model: Any, **kwds: Any) -> Results:
        """Solve a model.

        Args:
            model: A ConcreteModel or Block.
            kwds: Entries of the configuration that hold for this solve only.

        Returns:
            Pyomo's results; ``extra_info`` holds the iteration count, IPOPT's message and the seconds spent in its callbacks.

        Raises:
            ModelError: The model cannot be solved as it is.
            EvaluationError: A function is undefined at the start.
            NoOptimalSolutionError: No optimum was found, and the configuration does not say to go on.
        """
        start = time.perf_counter()
        results = Results()
        results.timing_info.start_timestamp = datetime.datetime.now(datetime.UTC)
        config = self.config(value=kwds, preserve_implicit=True)
        timer = config.timer = config.timer or HierarchicalTimer()
        results.solver_config, results.solver_name, results.solver_version = config, self.name, self.version()
        StaleFlagManager.mark_all_as_stale()
        try:
            with _timed(timer, "translate"):
                nlp = self._session.update(model)
        except TriviallyInfeasibleError as error:
            return self._infeasible(results, config, error)
        translation = self._session.translation
        with _timed(timer, "prepare"):
            nlp.prepare()
        options = _options(config)
        warm = start_multipliers(translation) if options.get("warm_start_init_point") == "yes" else None
        with _timed(timer, "ipopt"), _log(config, options) as log:
            try:
                result = ipopt.solve(nlp, options=options, multipliers=warm)
            except EvaluationError as error:
                raise with_expression(error, translation) from None
        results.solver_log = log.getvalue()
        self._fill(results, nlp, translation, result)
        if config.raise_exception_on_nonoptimal_result and results.solution_status != SolutionStatus.optimal:
            raise NoOptimalSolutionError(
                f"{NoOptimalSolutionError.default_message} IPOPT says: {results.extra_info.solver_message}"
            )
        if config.load_solutions:
            with _timed(timer, "load"):
                results.solution_loader.load_solution()
        results.timing_info.timer = timer
        results.timing_info.wall_time = time.perf_counter() - start
        return results

    @staticmethod
    def _infeasible(results: Results, config: Any, error: TriviallyInfeasibleError) -> Results:
        results.termination_condition = TerminationCondition.provenInfeasible
        results.solution_status = SolutionStatus.noSolution
        results.extra_info.iteration_count = 0
        results.extra_info.solver_message = str(error)
        if config.raise_exception_on_nonoptimal_result:
            raise NoOptimalSolutionError(f"{NoOptimalSolutionError.default_message} {error}") from error
        if config.load_solutions:
            raise NoSolutionError(f"{NoSolutionError.default_message} {error}") from error
        results.timing_info.timer = config.timer
        return results

    @staticmethod
    def _fill(results: Results, nlp: NLP, translation: Translation, result: Result) -> None:
        condition, status = _TERMINATION.get(result.status, _ERROR)
        if status is SolutionStatus.unknown and result.constraint_violation <= _FEASIBLE:
            status = SolutionStatus.feasible
        results.termination_condition, results.solution_status = condition, status
        results.solution_loader = SctOptSolutionLoader(translation, result)
        if status in (SolutionStatus.optimal, SolutionStatus.feasible):
            results.incumbent_objective = float(result.fun)
        results.extra_info.iteration_count = int(result.nit)
        results.extra_info.return_code = int(result.status)
        violations = (
            ""
            if status in (SolutionStatus.optimal, SolutionStatus.feasible)
            else worst_violations(nlp, translation, result)
        )
        results.extra_info.solver_message = f"{result.message} {violations}".strip()
        results.extra_info.constraint_violation = float(result.constraint_violation)
        results.extra_info.callback_seconds = dict(result.timings)


class LegacySctOpt(LegacySolverWrapper, SctOpt):  # type: ignore[misc]
    """The solver as ``pyo.SolverFactory`` hands it out."""

    def warm_start_capable(self) -> bool:
        """Variables always start at their values."""
        return True


SolverFactory.register("sct_opt", doc="IPOPT with exact sparse derivatives from sct_opt; needs no ASL")(
    SctOpt, LegacySctOpt
)


def report(model: Any) -> Report:
    """What a model amounts to as an NLP, and what is remarkable about it at its current point.

    Args:
        model: A ConcreteModel or Block.

    Returns:
        Sizes, structures and patterns, and constraints and variables that deserve a look; print it.

    Raises:
        ModelError: The model cannot be solved as it is.

    Examples:
        >>> import pyomo.environ as pyo
        >>> model = pyo.ConcreteModel()
        >>> model.x = pyo.Var([1, 2], bounds=(0, 4), initialize=0)
        >>> model.mix = pyo.Constraint(expr=model.x[1] + model.x[2] == 1)
        >>> model.again = pyo.Constraint(expr=2 * model.x[1] + 2 * model.x[2] == 2)
        >>> found = report(model)
        >>> found.infeasible, found.dependent
        ([('again', 2.0), ('mix', 1.0)], ['again'])
    """
    return diagnose(*build(model))


def _options(config: Any) -> dict[str, Any]:
    options = dict(config.solver_options.value())
    if config.time_limit is not None:
        options["max_wall_time"] = config.time_limit
    return options


@contextlib.contextmanager
def _timed(timer: HierarchicalTimer, name: str) -> Iterator[None]:
    timer.start(name)
    try:
        yield
    finally:
        timer.stop(name)


@contextlib.contextmanager
def _log(config: Any, options: dict[str, Any]) -> Iterator[io.StringIO]:
    """IPOPT's output while the block runs; it is not even produced unless somebody wants it."""
    log = io.StringIO()
    if not config.tee and "print_level" not in options:
        yield log
        return
    options.setdefault("print_level", _LOG_LEVEL)
    options.setdefault("sb", "no")
    with capture_output(TeeStream(log, *config.tee), capture_fd=True):
        yield log
