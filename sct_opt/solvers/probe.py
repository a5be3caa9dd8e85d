"""A program of its own that solves a tiny problem with IPOPT and says how that went.

`sct-opt install-ipopt` and `sct-opt doctor` run this file in a fresh interpreter, so that a library that crashes takes
only the probe with it.  It therefore imports nothing of sct_opt.  The last line of its output is a JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Structure = tuple[NDArray[np.int64], NDArray[np.int64]]


class Nearest:
    """The point of x + y = 1 that is nearest to the origin, as cyipopt's `problem_obj`."""

    def objective(self, x: Vector) -> float:
        """Return the squared distance to the origin."""
        return float(x @ x)

    def gradient(self, x: Vector) -> Vector:
        """Return the gradient of the objective."""
        return 2.0 * x

    def constraints(self, x: Vector) -> Vector:
        """Return the left-hand side of x + y = 1."""
        return np.array([x.sum()])

    def jacobianstructure(self) -> Structure:
        """Return rows and columns of the dense 1 x 2 Jacobian."""
        return np.array([0, 0]), np.array([0, 1])

    def jacobian(self, x: Vector) -> Vector:
        """Return the Jacobian's values."""
        return np.ones_like(x)

    def hessianstructure(self) -> Structure:
        """Return rows and columns of the diagonal Hessian."""
        return np.array([0, 1]), np.array([0, 1])

    def hessian(self, x: Vector, multipliers: Vector, objective_factor: float) -> Vector:
        """Return the values of the Lagrangian Hessian's lower triangle."""
        return np.full_like(x, 2.0 * objective_factor)


def loaded_library(name: str) -> str | None:
    """Return the file of a shared library of this process, where the system tells (Linux)."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return None
    for line in maps.read_text().splitlines():
        file = line.partition("/")[2]
        if Path(file).name.startswith(name):
            return str(Path("/" + file))
    return None


def solve(linear_solver: str | None) -> dict[str, Any]:
    """Solve the tiny problem, with the given linear solver or the default one."""
    import cyipopt  # noqa: PLC0415 - its failure to load is one of the answers

    found: dict[str, Any] = {
        "cyipopt": cyipopt.__version__,
        "ipopt": ".".join(map(str, cyipopt.IPOPT_VERSION)),
        "library": loaded_library("libipopt"),
    }
    problem = cyipopt.Problem(
        n=2, m=1, problem_obj=Nearest(), lb=np.full(2, -1e20), ub=np.full(2, 1e20), cl=np.ones(1), cu=np.ones(1)
    )
    problem.add_option("print_level", 0)
    problem.add_option("sb", "yes")
    if linear_solver is not None:
        problem.add_option("linear_solver", linear_solver)
    x, info = problem.solve(np.zeros(2))
    solved = info["status"] == 0 and np.allclose(x, 0.5, atol=1e-6)
    return {**found, "solved": bool(solved), "status": int(info["status"])}


def main() -> None:
    """Run the probe and print what it found."""
    try:
        answer = solve(sys.argv[1] if len(sys.argv) > 1 else None)
    except Exception as error:
        answer = {"solved": False, "error": f"{type(error).__name__}: {error}"}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    # Some libraries crash while they unload: the answer must be out by then.
    sys.stdout.flush()


if __name__ == "__main__":
    main()
