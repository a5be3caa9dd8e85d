"""The solver as Pyomo's factories hand it out."""

from __future__ import annotations

import io
import math
from typing import Any

import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.util import NoOptimalSolutionError, NoSolutionError
from pyomo.gdp import Disjunct, Disjunction
from pyomo.mpec import Complementarity, complements
from pyomo.network import Arc, Port
from pyomo.opt import SolverStatus

import sct_opt as so
from sct_opt.errors import EvaluationError, ModelError
from sct_opt.pyomo import SctOpt, report


def hs071() -> Any:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(4), bounds=(1, 5), initialize={0: 1, 1: 5, 2: 5, 3: 1})
    model.radius = pyo.Param(initialize=40.0, mutable=True)
    model.o = pyo.Objective(expr=model.x[0] * model.x[3] * (model.x[0] + model.x[1] + model.x[2]) + model.x[2])
    model.product = pyo.Constraint(expr=model.x[0] * model.x[1] * model.x[2] * model.x[3] >= 25)
    model.sphere = pyo.Constraint(expr=sum(model.x[i] ** 2 for i in range(4)) == model.radius)
    return model


OPTIMUM = 17.0140171402


def test_registered_in_both_factories() -> None:
    assert isinstance(NewSolverFactory("sct_opt"), SctOpt)
    legacy = pyo.SolverFactory("sct_opt")
    assert legacy.available()
    assert legacy.version() >= (3, 14)
    assert legacy.warm_start_capable()


def test_legacy_interface() -> None:
    model = hs071()
    results = pyo.SolverFactory("sct_opt").solve(model, options={"tol": 1e-9}, timelimit=100)
    pyo.assert_optimal_termination(results)
    assert results.solver.status == SolverStatus.ok
    assert pyo.value(model.o) == pytest.approx(OPTIMUM, rel=1e-8)
    assert not any(v.stale for v in model.x.values())


def test_new_interface() -> None:
    model = hs071()
    solver = NewSolverFactory("sct_opt")
    solver.config.solver_options["tol"] = 1e-10
    results = solver.solve(model)
    assert results.termination_condition is TerminationCondition.convergenceCriteriaSatisfied
    assert results.solution_status is SolutionStatus.optimal
    assert results.incumbent_objective == pytest.approx(OPTIMUM, rel=1e-9)
    assert results.solver_name == "sct_opt"
    assert results.extra_info.iteration_count < 20
    assert results.timing_info.wall_time > 0
    assert "ipopt" in str(results.timing_info.timer)


def test_solution_without_loading() -> None:
    model = hs071()
    solver = NewSolverFactory("sct_opt")
    results = solver.solve(model, load_solutions=False)
    assert model.x[1].value == 5
    loader = results.solution_loader
    assert loader.get_number_of_solutions() == 1
    assert loader.get_vars()[model.x[1]] == pytest.approx(4.743, abs=1e-3)
    assert set(loader.get_vars([model.x[2]]).values()) == {loader.get_vars()[model.x[2]]}
    assert loader.get_duals()[model.sphere] == pytest.approx(-0.16146857, abs=1e-6)
    assert loader.get_duals([model.product])[model.product] == pytest.approx(0.55229366, abs=1e-6)
    assert loader.get_reduced_costs()[model.x[0]] == pytest.approx(1.0878712, abs=1e-6)
    loader.load_vars([model.x[2]])
    assert (model.x[1].value, round(model.x[2].value, 3)) == (5, 3.821)
    loader.load_solution()
    assert model.x[1].value == pytest.approx(4.743, abs=1e-3)


def test_legacy_results_hold_the_solution_when_it_is_not_loaded() -> None:
    model = hs071()
    results = pyo.SolverFactory("sct_opt").solve(model, load_solutions=False)
    assert model.x[1].value == 5
    assert len(results.solution) == 1


def test_signs_for_a_maximization() -> None:
    model = pyo.ConcreteModel()
    model.x, model.y = pyo.Var(bounds=(0, 3), initialize=1), pyo.Var(bounds=(1, None), initialize=2)
    model.o = pyo.Objective(expr=2 * model.x - model.y**2 + 5 * model.x, sense=pyo.maximize)
    model.c = pyo.Constraint(expr=model.x + model.y <= 3.5)
    for name in ("dual", "ipopt_zL_out", "ipopt_zU_out", "rc"):
        setattr(model, name, pyo.Suffix(direction=pyo.Suffix.IMPORT))
    pyo.SolverFactory("sct_opt").solve(model)
    assert (model.x.value, model.y.value) == (pytest.approx(2.5), pytest.approx(1.0))
    assert model.dual[model.c] == pytest.approx(7.0, rel=1e-5)
    assert model.ipopt_zL_out[model.y] == pytest.approx(-9.0, rel=1e-5)
    assert model.rc[model.y] == pytest.approx(-9.0, rel=1e-5)
    assert model.ipopt_zU_out[model.x] >= 0


def test_log_goes_where_tee_says() -> None:
    stream = io.StringIO()
    results = NewSolverFactory("sct_opt").solve(hs071(), tee=stream)
    assert "EXIT: Optimal Solution Found." in stream.getvalue()
    assert "EXIT: Optimal Solution Found." in results.solver_log
    assert NewSolverFactory("sct_opt").solve(hs071()).solver_log == ""
    assert (
        "Number of Iterations"
        in NewSolverFactory("sct_opt").solve(hs071(), solver_options={"print_level": 5}).solver_log
    )


def test_warm_start_from_suffixes() -> None:
    model = hs071()
    for name in ("ipopt_zL_out", "ipopt_zU_out"):
        setattr(model, name, pyo.Suffix(direction=pyo.Suffix.IMPORT))
    for name in ("ipopt_zL_in", "ipopt_zU_in"):
        setattr(model, name, pyo.Suffix(direction=pyo.Suffix.EXPORT))
    model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT_EXPORT)
    solver = NewSolverFactory("sct_opt")
    cold = solver.solve(model).extra_info.iteration_count
    model.ipopt_zL_in.update(model.ipopt_zL_out)
    model.ipopt_zU_in.update(model.ipopt_zU_out)
    warm = solver.solve(model, solver_options={"warm_start_init_point": "yes"}).extra_info.iteration_count
    assert warm <= 3 < cold


# -- solving again -------------------------------------------------------------------------------------------------------


def test_changed_numbers_need_no_new_translation() -> None:
    model = hs071()
    solver = pyo.SolverFactory("sct_opt")

    def optimum() -> float:
        pyo.assert_optimal_termination(solver.solve(model))
        fresh = model.clone()
        pyo.assert_optimal_termination(pyo.SolverFactory("sct_opt").solve(fresh))
        assert pyo.value(model.o) == pytest.approx(pyo.value(fresh.o), rel=1e-6)
        return float(pyo.value(model.o))

    first = optimum()
    model.radius = 45.0
    assert optimum() != pytest.approx(first, rel=1e-3)
    model.x[1].setub(4.5)
    optimum()
    model.x[2].fix(3.5)
    optimum()
    model.x[2].fix(3.6)
    optimum()
    model.x[2].unfix()
    model.x[1].setub(5)
    model.radius = 40.0
    assert optimum() == pytest.approx(first, rel=1e-6)
    assert solver.translations == 1


def test_unfixing_what_was_fixed_at_first_is_translated_once() -> None:
    model = hs071()
    model.x[3].fix(1.5)
    solver = NewSolverFactory("sct_opt")
    solver.solve(model)
    for _ in range(3):
        model.x[3].unfix()
        assert solver.solve(model).incumbent_objective == pytest.approx(OPTIMUM, rel=1e-7)
        model.x[3].fix(1.5)
        assert solver.solve(model).incumbent_objective > OPTIMUM
    assert solver.translations == 2


def test_structural_changes_are_noticed() -> None:
    model = hs071()
    model.extra = pyo.Constraint(expr=model.x[0] + model.x[1] <= 4)
    model.e = pyo.Expression(expr=model.x[0])
    model.named = pyo.Constraint(expr=model.e <= 5)
    solver = NewSolverFactory("sct_opt")
    changes = [
        lambda: model.extra.deactivate(),
        lambda: model.extra.activate(),
        lambda: model.extra.set_value(model.x[0] + model.x[1] <= 4.5),
        lambda: model.e.set_value(model.x[0] ** 2),
        lambda: model.o.set_value(model.x[0] ** 2 + model.x[3]),
        lambda: model.add_component("more", pyo.Constraint(expr=model.x[2] >= 2)),
        lambda: model.del_component("more"),
        lambda: setattr(model.o, "sense", pyo.maximize),
    ]
    solver.solve(model)
    for count, change in enumerate(changes, start=2):
        change()
        results = solver.solve(model)
        assert solver.translations == count
        fresh = NewSolverFactory("sct_opt").solve(model.clone())
        assert results.incumbent_objective == pytest.approx(fresh.incumbent_objective, rel=1e-5)
    solver.solve(hs071())
    assert solver.translations == len(changes) + 2


def test_wrong_numbers_are_noticed_when_solving_again() -> None:
    model = hs071()
    model.k = pyo.Param(initialize=1.0, mutable=True)
    model.f = pyo.Var(initialize=1.0)
    model.f.fix()
    model.trivial = pyo.Constraint(expr=model.f * model.k <= 2)
    solver = NewSolverFactory("sct_opt")
    solver.solve(model)
    model.k = 3.0
    with pytest.raises(NoOptimalSolutionError, match="Constraint 'trivial' holds no free variable and is violated"):
        solver.solve(model)
    results = solver.solve(model, raise_exception_on_nonoptimal_result=False, load_solutions=False)
    assert results.termination_condition is TerminationCondition.provenInfeasible
    assert results.solution_status is SolutionStatus.noSolution
    with pytest.raises(NoSolutionError, match="Constraint 'trivial'"):
        solver.solve(model, raise_exception_on_nonoptimal_result=False)
    model.k = 1.0
    model.f.setub(0.5)
    with pytest.raises(NoOptimalSolutionError, match=r"Var 'f' is fixed to 1\.0, outside its bounds"):
        solver.solve(model)
    model.f.setub(None)
    model.x[3].setub(1.3)
    model.x[3].fix(1.4)
    with pytest.raises(NoOptimalSolutionError, match=r"Var 'x\[3\]' is fixed to 1.4, outside its bounds 1.0 and 1.3"):
        solver.solve(model)
    model.x[3].unfix()
    model.x[0].domain = pyo.Integers
    with pytest.raises(ModelError, match="integer or binary"):
        solver.solve(model)


# -- when there is no optimum -----------------------------------------------------------------------------------------------


def infeasible() -> Any:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(initialize=1.0)
    model.c = pyo.Constraint(expr=model.x**2 <= -1)
    model.o = pyo.Objective(expr=model.x)
    return model


def test_infeasible() -> None:
    with pytest.raises(NoOptimalSolutionError, match=r"local infeasibility.*Violated most: c by 1"):
        NewSolverFactory("sct_opt").solve(infeasible())
    results = NewSolverFactory("sct_opt").solve(
        infeasible(), raise_exception_on_nonoptimal_result=False, load_solutions=False
    )
    assert results.termination_condition is TerminationCondition.locallyInfeasible
    assert results.solution_status is SolutionStatus.infeasible
    assert results.incumbent_objective is None
    legacy = pyo.SolverFactory("sct_opt").solve(infeasible())
    assert legacy.solver.termination_condition == pyo.TerminationCondition.infeasible


def test_unbounded() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(initialize=1.0)
    model.o = pyo.Objective(expr=-model.x)
    results = NewSolverFactory("sct_opt").solve(model, raise_exception_on_nonoptimal_result=False)
    assert results.termination_condition is TerminationCondition.unbounded


@pytest.mark.parametrize(
    ("options", "condition"),
    [
        ({"max_iter": 1}, TerminationCondition.iterationLimit),
        ({"max_wall_time": 1e-6}, TerminationCondition.maxTimeLimit),
    ],
)
def test_limits(options: dict[str, Any], condition: TerminationCondition) -> None:
    results = NewSolverFactory("sct_opt").solve(
        hs071(), solver_options=options, raise_exception_on_nonoptimal_result=False
    )
    assert results.termination_condition is condition


def test_time_limit_is_an_option() -> None:
    solver = NewSolverFactory("sct_opt")
    results = solver.solve(hs071(), time_limit=1e-6, raise_exception_on_nonoptimal_result=False)
    assert results.termination_condition is TerminationCondition.maxTimeLimit


def test_no_point_no_solution() -> None:
    loader = NewSolverFactory("sct_opt").solve(hs071(), load_solutions=False).solution_loader
    loader._result.x[:] = math.nan
    assert loader.get_number_of_solutions() == 0
    with pytest.raises(NoSolutionError):
        loader.get_vars()


def test_undefined_start_is_named_with_its_expression() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var([1, 2, 3], initialize={1: 1.0, 2: 1.0, 3: -0.1})
    model.c = pyo.Constraint([1, 2, 3], rule=lambda m, i: pyo.log(m.x[i]) + m.x[1] >= -3)
    model.o = pyo.Objective(expr=sum(model.x[i] ** 2 for i in (1, 2, 3)))
    with pytest.raises(
        EvaluationError, match=r"(?s)constraint 'c\[3\]'.*log\(-0.1\).*x\[3\] = -0.1.*c\[3\]: .*log\(x\[3\]\) \+ x\[1\]"
    ):
        pyo.SolverFactory("sct_opt").solve(model)
    found = report(model)
    assert len(found.undefined) == 1
    assert found.undefined[0].startswith("c[3]:")


# -- report -----------------------------------------------------------------------------------------------------------------


def test_report() -> None:
    model = hs071()
    model.x[0].value = 1
    model.flat = pyo.Constraint(expr=pyo.Expr_if(model.x[0] >= 2, 1, 2) <= 3)
    found = report(model)
    assert found.sizes["variables"] == 4
    assert found.sizes["constraints"] == 3
    assert found.sizes["of these equalities"] == 1
    assert [name for name, _ in found.infeasible] == ["sphere"]
    assert found.infeasible[0][1] == pytest.approx(12)
    assert dict(found.at_bounds) == {"x[0]": 1, "x[1]": 5, "x[2]": 5, "x[3]": 1}
    assert found.empty == ["flat"]
    assert found.dependent == []
    text = str(found)
    assert "variables" in text
    assert "sphere: by 12" in text
    assert "Hessian of the Lagrangian" in text


def test_report_finds_dependent_equalities() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(3), initialize=1.0)
    model.c = pyo.Constraint(range(3), rule=lambda m, i: sum((i + 1) * m.x[k] for k in range(i, 3)) == i)
    model.same = pyo.Constraint(expr=model.x[0] + model.x[1] == 1 - model.x[2])
    model.o = pyo.Objective(expr=model.x[0] ** 2)
    assert report(model).dependent == ["same"]
    model.same.deactivate()
    assert report(model).dependent == []
    model.c[1].set_value(3 * model.x[0] + 3 * model.x[1] + 3 * model.x[2] == 1)
    assert len(report(model).dependent) == 1


# -- other packages of Pyomo, after their transformations ------------------------------------------------------------------------


def solved(model: Any) -> Any:
    pyo.assert_optimal_termination(pyo.SolverFactory("sct_opt").solve(model, options={"tol": 1e-9}))
    return model


def test_options_on_the_solver_object() -> None:
    solver = pyo.SolverFactory("sct_opt")
    solver.options["max_iter"] = 1
    results = solver.solve(hs071())
    assert results.solver.termination_condition == pyo.TerminationCondition.maxIterations


def test_piecewise() -> None:
    model = pyo.ConcreteModel()
    model.x, model.y = pyo.Var(bounds=(0, 3), initialize=1.5), pyo.Var()
    model.pw = pyo.Piecewise(model.y, model.x, pw_pts=[0, 1, 3], f_rule=[0, 1, 5], pw_constr_type="LB")
    model.o = pyo.Objective(expr=model.y + (model.x - 2) ** 2)
    assert solved(model).x.value == pytest.approx(1.0, abs=1e-3)
    model.del_component("pw")
    model.pw = pyo.Piecewise(model.y, model.x, pw_pts=[0, 1, 3], f_rule=[0, 3, 4], pw_constr_type="LB")
    with pytest.raises(ModelError, match=r"SOSConstraint 'pw.SOS2_sosconstraint'"):
        solved(model)


@pytest.mark.parametrize("transformation", ["gdp.bigm", "gdp.hull"])
def test_disjunction(transformation: str) -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 10), initialize=1)
    model.d = Disjunct([1, 2])
    model.d[1].c = pyo.Constraint(expr=model.x <= 3)
    model.d[2].c = pyo.Constraint(expr=model.x >= 5)
    model.either = Disjunction(expr=[model.d[1], model.d[2]])
    model.o = pyo.Objective(expr=(model.x - 4.5) ** 2)
    pyo.TransformationFactory(transformation).apply_to(model)
    with pytest.raises(ModelError, match="integer or binary"):
        solved(model)
    model.d[1].binary_indicator_var.fix(1)
    model.d[2].binary_indicator_var.fix(0)
    assert solved(model).x.value == pytest.approx(3.0)
    model.d[1].binary_indicator_var.unfix()
    model.d[2].binary_indicator_var.unfix()
    pyo.TransformationFactory("core.relax_integer_vars").apply_to(model)
    assert solved(model).x.value == pytest.approx(4.5)


def test_complementarity() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var([1, 2], initialize=1)
    model.either = Complementarity(expr=complements(model.x[1] >= 0, model.x[2] >= 0))
    model.o = pyo.Objective(expr=(model.x[1] - 1) ** 2 + (model.x[2] - 2) ** 2)
    pyo.TransformationFactory("mpec.simple_nonlinear").apply_to(model)
    solved(model)
    assert [model.x[i].value for i in (1, 2)] == pytest.approx([0, 2], abs=1e-4)


def test_network() -> None:
    model = pyo.ConcreteModel()
    model.a, model.b = pyo.Var(initialize=1), pyo.Var(initialize=2)
    model.source, model.sink = Port(initialize={"flow": model.a}), Port(initialize={"flow": model.b})
    model.pipe = Arc(source=model.source, destination=model.sink)
    model.o = pyo.Objective(expr=(model.a - 1) ** 2 + (model.b - 3) ** 2)
    with pytest.raises(ModelError, match=r"Arc 'pipe': apply TransformationFactory\('network.expand_arcs'\)"):
        solved(model)
    pyo.TransformationFactory("network.expand_arcs").apply_to(model)
    assert solved(model).a.value == pytest.approx(2.0)


def test_references_and_abstract_models() -> None:
    abstract = pyo.AbstractModel()
    abstract.i = pyo.RangeSet(3)
    abstract.b = pyo.Block(abstract.i, rule=lambda b, i: b.add_component("x", pyo.Var(initialize=i)))
    model = abstract.create_instance()
    model.all = pyo.Reference(model.b[:].x)
    model.o = pyo.Objective(expr=sum((model.all[i] - i**2) ** 2 for i in model.i))
    solved(model)
    assert [model.b[i].x.value for i in model.i] == pytest.approx([1, 4, 9])


def test_models_through_the_public_function() -> None:
    model = hs071()
    model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    result = so.solve(model)
    assert result.fun == pytest.approx(OPTIMUM, rel=1e-7)
    assert pyo.value(model.o) == pytest.approx(OPTIMUM, rel=1e-7)
    assert model.dual[model.product] == pytest.approx(0.55229366, abs=1e-5)
