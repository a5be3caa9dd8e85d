"""One process from nothing to a solution: `python benchmarks/cold.py SIDE PROBLEM SIZE [BACKEND]`, timed from outside.

Prints the objective, the iterations and the seconds that passed inside as JSON.  SIDE is a variant's name, BACKEND what hands
sct_opt's problem to IPOPT.
"""

import time

_BEGAN = time.perf_counter()

import functools  # noqa: E402 - the clock starts before anything is imported
import json  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from families import family  # noqa: E402
from problem import Problem  # noqa: E402

Answer = tuple[float, int | None]


def _sct_opt(build: Any, problem: Problem) -> Answer:
    import sct_opt as so  # noqa: PLC0415

    result = so.solve(build(), **({"backend": sys.argv[4]} if len(sys.argv) > 4 else {}))
    return float(result.fun), int(result.nit)


def _casadi(build: Any, problem: Problem) -> Answer:
    import casadi as ca  # noqa: PLC0415

    solver = ca.nlpsol("solver", "ipopt", build(), {"ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": 0})
    solution = solver(
        x0=problem.x0,
        lbx=problem.lower,
        ubx=problem.upper,
        lbg=problem.constraints_lower,
        ubg=problem.constraints_upper,
    )
    return float(solution["f"]), int(solver.stats()["iter_count"])


def _poi(build: Any, problem: Problem) -> Answer:
    import pyoptinterface as poi  # noqa: PLC0415
    from frontends import ipopt_library  # noqa: PLC0415
    from pyoptinterface import ipopt  # noqa: PLC0415

    ipopt.load_library(ipopt_library())
    model = build()
    model.set_model_attribute(poi.ModelAttribute.Silent, True)
    model.set_raw_parameter("sb", "yes")
    model.optimize()
    return float(model.get_model_attribute(poi.ModelAttribute.ObjectiveValue)), None


class _Callbacks:
    """cyipopt's callbacks, counting iterations."""

    iterations = 0

    def intermediate(self, alg_mod: int, iter_count: int, *progress: float) -> bool:
        self.iterations = iter_count
        return True


class _JaxCallbacks(_Callbacks):
    """Jitted JAX functions and asdex's compressed derivatives behind cyipopt's protocol."""

    def __init__(self, functions: Any, x0: Any) -> None:
        import asdex  # noqa: PLC0415
        import jax  # noqa: PLC0415
        import jax.numpy as jnp  # noqa: PLC0415

        jax.config.update("jax_enable_x64", True)
        f, g = (functools.partial(function, jnp) for function in functions)
        point = jnp.asarray(x0)

        def lagrangian(x: Any, multipliers: Any, factor: Any) -> Any:
            return factor * f(x) + jnp.vdot(multipliers, g(x))

        example = jnp.ones(jax.eval_shape(g, point).shape)
        jacobian_pattern = asdex.jacobian_coloring(g, point)
        hessian_pattern = asdex.hessian_coloring(lagrangian, point, example, 1.0)
        self._jacobian = jax.jit(asdex.jacobian_from_coloring(g, jacobian_pattern))
        self._hessian = jax.jit(asdex.hessian_from_coloring(lagrangian, hessian_pattern))
        self._f, self._gradient, self._g = jax.jit(f), jax.jit(jax.grad(f)), jax.jit(g)
        self.m = example.size
        self._jacobian_entries = np.asarray(self._jacobian(point).indices).T
        rows, cols = np.asarray(self._hessian(point, example, 1.0).indices).T
        self._lower = rows >= cols
        self._hessian_entries = rows[self._lower], cols[self._lower]

    def objective(self, x: Any) -> float:
        return float(self._f(x))

    def gradient(self, x: Any) -> Any:
        return np.asarray(self._gradient(x))

    def constraints(self, x: Any) -> Any:
        return np.asarray(self._g(x))

    def jacobianstructure(self) -> Any:
        return self._jacobian_entries

    def jacobian(self, x: Any) -> Any:
        return np.asarray(self._jacobian(x).data)

    def hessianstructure(self) -> Any:
        return self._hessian_entries

    def hessian(self, x: Any, lagrange: Any, obj_factor: float) -> Any:
        return np.asarray(self._hessian(x, lagrange, obj_factor).data)[self._lower]


def _through_cyipopt(callbacks: Any, problem: Problem) -> Answer:
    import cyipopt  # noqa: PLC0415

    n, m = problem.x0.size, callbacks.m
    solver = cyipopt.Problem(
        n=n,
        m=m,
        problem_obj=callbacks,
        lb=np.broadcast_to(problem.lower, n),
        ub=np.broadcast_to(problem.upper, n),
        cl=np.broadcast_to(problem.constraints_lower, m),
        cu=np.broadcast_to(problem.constraints_upper, m),
    )
    solver.add_option("print_level", 0)
    solver.add_option("sb", "yes")
    _, info = solver.solve(problem.x0)
    return float(info["obj_val"]), getattr(callbacks, "iterations", None)


def _jax(build: Any, problem: Problem) -> Answer:
    return _through_cyipopt(_JaxCallbacks(build(), problem.x0), problem)


def _numpy(build: Any, problem: Problem) -> Answer:
    return _through_cyipopt(build(), problem)


SOLVE = {"sct_opt": _sct_opt, "casadi": _casadi, "poi": _poi, "jax": _jax, "numpy": _numpy}
"""The peers that can solve."""


if __name__ == "__main__":
    side, name, size = sys.argv[1:4]
    chosen = family(name).build(int(size))
    variant = chosen.variant(side)
    objective, iterations = SOLVE[variant.peer](variant.build, chosen)
    print(json.dumps({"objective": objective, "iterations": iterations, "inside": time.perf_counter() - _BEGAN}))
