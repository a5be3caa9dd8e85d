"""AC optimal power flow of a PGLib case as a Pyomo model: from the model object to IPOPT's first iteration.

Compares sct_opt with the way over a .nl file: Pyomo's writer, then CasADi's importer (and ``nlpsol`` if wanted).  The formulation is the
polar one of the Rosetta benchmarks of optimal power flow (rosetta-opf).  Run it with the path of a case file::

    python benchmarks/pyomo_opf.py pglib_opf_case1354_pegase.m [--copies 7] [--nlpsol] [--solve]

``--copies`` puts independent copies of the grid into one model, for a larger model of the same kind.
"""

from __future__ import annotations

import argparse
import gc
import math
import re
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyomo.environ as pyo


def read_case(path: Path) -> dict[str, Any]:
    """The matrices of a MATPOWER case file."""
    text = re.sub(r"%.*", "", path.read_text())
    case: dict[str, Any] = {"baseMVA": float(re.search(r"mpc\.baseMVA\s*=\s*([\d.]+)", text)[1])}  # type: ignore[index]
    for name in ("bus", "gen", "branch", "gencost"):
        body = re.search(rf"mpc\.{name}\s*=\s*\[(.*?)\]", text, re.DOTALL)[1]  # type: ignore[index]
        case[name] = [[float(number) for number in row.split()] for row in body.split(";") if row.strip()]
    return case


def add_grid(model: Any, case: dict[str, Any]) -> Any:
    """Add variables and constraints of one grid to a block; returns the cost expression."""
    base = case["baseMVA"]
    buses = {int(row[0]): row for row in case["bus"] if int(row[1]) != 4}
    generators = {
        k: (row, cost)
        for k, (row, cost) in enumerate(zip(case["gen"], case["gencost"], strict=True))
        if row[7] > 0 and int(row[0]) in buses
    }
    branches = {
        k: row for k, row in enumerate(case["branch"]) if row[10] > 0 and int(row[0]) in buses and int(row[1]) in buses
    }
    at_bus: dict[int, list[int]] = defaultdict(list)
    for k, (row, _) in generators.items():
        at_bus[int(row[0])].append(k)
    arcs = [(k, int(row[0]), int(row[1])) for k, row in branches.items()]
    arcs += [(k, j, i) for k, i, j in arcs]
    leaving: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for arc in arcs:
        leaving[arc[1]].append(arc)
    rate = {k: row[5] / base if row[5] > 0 else 1e3 for k, row in branches.items()}

    model.va = pyo.Var(buses, initialize=0.0)
    model.vm = pyo.Var(buses, initialize=1.0, bounds=lambda m, i: (buses[i][12], buses[i][11]))

    def output(low: int, high: int) -> Any:
        limits = {k: (row[low] / base, row[high] / base) for k, (row, _) in generators.items()}
        start = {k: min(max(0.0, lower), upper) for k, (lower, upper) in limits.items()}
        return pyo.Var(generators, initialize=start, bounds=limits)

    model.pg, model.qg = output(9, 8), output(4, 3)
    model.p = pyo.Var(arcs, initialize=0.0, bounds=lambda m, k, i, j: (-rate[k], rate[k]))
    model.q = pyo.Var(arcs, initialize=0.0, bounds=lambda m, k, i, j: (-rate[k], rate[k]))
    reference = [i for i, row in buses.items() if int(row[1]) == 3]
    model.reference = pyo.Constraint(reference, rule=lambda m, i: m.va[i] == 0)

    def balance(m: Any, i: int, flow: Any, generation: Any, demand: float, shunt: float) -> Any:
        out = sum(flow[arc] for arc in leaving[i])
        return out == sum(generation[k] for k in at_bus[i]) - demand - shunt * m.vm[i] ** 2

    model.p_balance = pyo.Constraint(
        buses, rule=lambda m, i: balance(m, i, m.p, m.pg, buses[i][2] / base, buses[i][4] / base)
    )
    model.q_balance = pyo.Constraint(
        buses, rule=lambda m, i: balance(m, i, m.q, m.qg, buses[i][3] / base, -buses[i][5] / base)
    )

    constants = {}
    for k, row in branches.items():
        r, x, charging = row[2], row[3], row[4]
        g, b = r / (r * r + x * x), -x / (r * r + x * x)
        ratio = row[8] or 1.0
        shift = math.radians(row[9])
        constants[k] = (g, b, charging / 2, ratio * math.cos(shift), ratio * math.sin(shift), ratio**2)

    def flow(m: Any, k: int, i: int, j: int, kind: str) -> Any:
        g, b, c, tr, ti, tm = constants[k]
        forward = int(branches[k][0]) == i and (k, i, j) in forward_arcs
        angle = m.va[i] - m.va[j]
        vv = m.vm[i] * m.vm[j]
        if forward:
            along, across, own = (-g * tr + b * ti) / tm, (-b * tr - g * ti) / tm, 1 / tm
        else:
            along, across, own = (-g * tr - b * ti) / tm, (-b * tr + g * ti) / tm, 1.0
        if kind == "p":
            return m.p[k, i, j] == own * g * m.vm[i] ** 2 + along * (vv * pyo.cos(angle)) + across * (
                vv * pyo.sin(angle)
            )
        return m.q[k, i, j] == -own * (b + c) * m.vm[i] ** 2 - across * (vv * pyo.cos(angle)) + along * (
            vv * pyo.sin(angle)
        )

    forward_arcs = set(arcs[: len(branches)])
    model.p_flow = pyo.Constraint(arcs, rule=lambda m, k, i, j: flow(m, k, i, j, "p"))
    model.q_flow = pyo.Constraint(arcs, rule=lambda m, k, i, j: flow(m, k, i, j, "q"))
    model.angle = pyo.Constraint(
        arcs[: len(branches)],
        rule=lambda m, k, i, j: (math.radians(branches[k][11]), m.va[i] - m.va[j], math.radians(branches[k][12])),
    )
    model.thermal = pyo.Constraint(arcs, rule=lambda m, k, i, j: m.p[k, i, j] ** 2 + m.q[k, i, j] ** 2 <= rate[k] ** 2)

    def cost(k: int) -> Any:
        _, row = generators[k]
        coefficients = row[4 : 4 + int(row[3])]
        power = base * model.pg[k]
        return sum(c * power**e for c, e in zip(coefficients, range(len(coefficients) - 1, -1, -1), strict=True))

    return sum(cost(k) for k in generators)


def make_model(case: dict[str, Any], copies: int) -> Any:
    """One model of some independent copies of a grid."""
    model = pyo.ConcreteModel()
    model.grid = pyo.Block(range(copies))
    model.cost = pyo.Objective(expr=sum(add_grid(model.grid[k], case) for k in range(copies)))
    return model


def resident() -> float:
    """Largest memory of the process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def sct_opt_side(model: Any) -> dict[str, float]:
    """Seconds from the model to IPOPT's first iteration through sct_opt."""
    from sct_opt.adapters.pyomo import from_pyomo  # noqa: PLC0415
    from sct_opt.solvers.ipopt import solve  # noqa: PLC0415

    gc.collect()
    start = time.perf_counter()
    nlp = from_pyomo(model)
    read = time.perf_counter()
    nlp.prepare()
    prepared = time.perf_counter()
    memory = resident()
    first: list[float] = []
    solve(nlp, options={"max_iter": 0}, callback=lambda iteration: first.append(time.perf_counter()))
    return {"read": read - start, "prepare": prepared - read, "total": first[0] - start, "memory": memory}


def nl_side(model: Any, nlpsol: bool) -> dict[str, float]:
    """Seconds to write a .nl file and read it with CasADi, and if wanted on to IPOPT's first iteration."""
    import casadi  # noqa: PLC0415

    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        name = str(Path(folder) / "model.nl")
        start = time.perf_counter()
        model.write(name)
        written = time.perf_counter()
        builder = casadi.NlpBuilder()
        builder.import_nl(name)
        read = time.perf_counter()
        seconds = {"write": written - start, "import": read - written, "total": read - start}
        if not nlpsol:
            return seconds
        problem = {"x": casadi.vertcat(*builder.x), "f": builder.f, "g": casadi.vertcat(*builder.g)}
        solver = casadi.nlpsol(
            "solver",
            "ipopt",
            problem,
            {"ipopt.max_iter": 0, "ipopt.print_level": 0, "print_time": 0, "error_on_fail": False},
        )
        solver(x0=builder.x_init, lbx=builder.x_lb, ubx=builder.x_ub, lbg=builder.g_lb, ubg=builder.g_ub)
        return seconds | {"to first iteration": time.perf_counter() - start}


def main() -> None:
    """Read the command line, time both sides and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path, help="a PGLib case file (.m)")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--nlpsol", action="store_true", help="go on to CasADi's nlpsol, which takes long")
    parser.add_argument("--solve", action="store_true", help="solve to the end as well")
    args = parser.parse_args()
    case = read_case(args.case)
    # Import and compile what there is to import and compile.
    small = pyo.ConcreteModel()
    small.x = pyo.Var([1, 2], initialize=1.0)
    small.c = pyo.Constraint(expr=small.x[1] * pyo.sin(small.x[2]) == 1)
    small.o = pyo.Objective(expr=small.x[1] ** 2)
    sct_opt_side(small)
    nl_side(small, nlpsol=True)
    before = resident()
    start = time.perf_counter()
    model = make_model(case, args.copies)
    print(f"Pyomo model of {args.copies} x {args.case.stem}: built in {time.perf_counter() - start:.2f} s")
    built = resident()
    import sct_opt.pyomo  # noqa: F401, PLC0415  (registers the solver)

    sides = {"sct_opt": sct_opt_side, ".nl + CasADi": lambda model: nl_side(model, args.nlpsol)}
    total = {}
    for name, side in sides.items():
        runs = [side(model) for _ in range(args.repeat)]
        if name == "sct_opt":
            # Later runs find the process as large as IPOPT has left it.
            first, *_ = [run.pop("memory") for run in runs]
            memory = (first - before) / max(built - before, 1.0)
        best = min(runs, key=lambda run: run["total"])
        total[name] = best["total"]
        print(f"{name:<14}" + "   ".join(f"{what}: {seconds:.3f} s" for what, seconds in best.items()))
    print(f"ratio of the totals: {total['sct_opt'] / total['.nl + CasADi']:.3f}")
    print(f"peak memory up to the start of IPOPT: {memory:.2f} times the model's own {built - before:.0f} MB")
    if args.solve:
        solver = pyo.SolverFactory("sct_opt")
        start = time.perf_counter()
        solver.solve(model, tee=False)
        print(f"solved in {time.perf_counter() - start:.2f} s, objective {pyo.value(model.cost):.2f}")
        start = time.perf_counter()
        nlp = solver._session.update(model)
        print(
            f"update for another solve: {1e3 * (time.perf_counter() - start):.1f} ms for {nlp.n} variables, {nlp.m} constraints"
        )


if __name__ == "__main__":
    main()
