"""A double integrator brought to rest with least effort, as a pyomo.dae model; the optimum of the continuous problem is 12."""

import pyomo.dae as dae
import pyomo.environ as pyo

import sct_opt.pyomo  # noqa: F401 - registers the solver

m = pyo.ConcreteModel()
m.t = dae.ContinuousSet(bounds=(0.0, 1.0))
m.x, m.v, m.effort = (pyo.Var(m.t, initialize=0.0) for _ in range(3))
m.u = pyo.Var(m.t, initialize=0.0)
m.dx, m.dv, m.de = (dae.DerivativeVar(y, wrt=m.t) for y in (m.x, m.v, m.effort))
m.position = pyo.Constraint(m.t, rule=lambda m, t: m.dx[t] == m.v[t])
m.speed = pyo.Constraint(m.t, rule=lambda m, t: m.dv[t] == m.u[t])
m.cost = pyo.Constraint(m.t, rule=lambda m, t: m.de[t] == m.u[t] ** 2)
for variable, start in ((m.x, 0.0), (m.v, 0.0), (m.effort, 0.0)):
    variable[0.0].fix(start)
m.x[1.0].fix(1.0)
m.v[1.0].fix(0.0)
m.objective = pyo.Objective(expr=m.effort[1.0])
pyo.TransformationFactory("dae.collocation").apply_to(m, nfe=5, ncp=3, scheme="LAGRANGE-RADAU")

pyo.SolverFactory("sct_opt").solve(m)
print(f"effort {pyo.value(m.effort[1.0]):.6f}, speed half way {pyo.value(m.v[0.4]):.4f} at t = 0.4")
