"""What `import sct_opt` gives, and what it does not drag in."""

import subprocess
import sys

import pytest

import sct_opt

HEAVY = ("numba", "llvmlite", "casadi", "pyomo", "cyipopt", "scipy.optimize", "matplotlib")

PUBLIC = {
    "EngineOptions",
    "NLP",
    "SctOptError",
    "SparseHessian",
    "SparseJacobian",
    "SparsityPattern",
    "TracerLocalSparsityDetector",
    "TracerSparsityDetector",
    "color",
    "custom_op",
    "explain",
    "from_callables",
    "from_casadi",
    "from_pyomo",
    "hessian_sparsity",
    "ifelse",
    "ignore_derivatives",
    "jacobian_sparsity",
    "minimize",
    "solve",
    "where",
}


def modules_after(statements: str) -> set[str]:
    script = f"import sys\n{statements}\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_import_is_light():
    loaded = modules_after("import sct_opt")
    assert not loaded.intersection(HEAVY)
    assert "numpy" not in loaded


def test_the_public_interface_is_light_until_it_works():
    loaded = modules_after(
        "import sct_opt as so\nso.jacobian_sparsity, so.minimize, so.from_callables, so.color, so.NLP, so.where"
    )
    assert not loaded.intersection(HEAVY)


def test_public_names():
    assert set(sct_opt.__all__) == PUBLIC
    assert set(dir(sct_opt)) >= PUBLIC
    for name in PUBLIC:
        assert getattr(sct_opt, name).__name__ == name


def test_star_import_gives_the_public_names():
    names: dict[str, object] = {}
    exec("from sct_opt import *", names)
    assert names.keys() - {"__builtins__"} == PUBLIC


def test_unknown_names():
    with pytest.raises(AttributeError, match="module 'sct_opt' has no attribute 'jacobain_sparsity'"):
        _ = sct_opt.jacobain_sparsity


def test_version():
    assert sct_opt.__version__.count(".") == 2


@pytest.mark.parametrize("backend", ["cyipopt", "ctypes"])
def test_solving_needs_neither_numba_nor_scipy(backend):
    script = (
        "import numpy as np, sct_opt as so\n"
        "nlp = so.from_callables(lambda x: np.sum((x - 1) ** 4), np.zeros(50), lambda x: x[1:] * x[:-1],"
        " constraint_bounds=(None, 0.5))\n"
        f"assert so.solve(nlp, backend={backend!r}).success"
    )
    modules_after(script)  # compiles kernels if need be
    loaded = modules_after(script)
    assert not {name.partition(".")[0] for name in loaded} & {"numba", "scipy", "matplotlib", "pyomo"}


def test_cyipopt_is_whole_after_a_solve():
    modules_after(
        "import sct_opt as so\n"
        "so.solve(so.from_callables(lambda x: x[0] ** 2, [1.0]))\n"
        "import cyipopt\n"
        "from cyipopt.ipopt_wrapper import Problem\n"
        "assert cyipopt.Problem is Problem and callable(cyipopt.minimize_ipopt)"
    )
