"""How each contender evaluates a problem's derivatives: from its own objects to `measure.Evaluators`."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from measure import Evaluators
from problem import PEERS, Array, Peer, Problem, Variant


def installed(peer: Peer) -> bool:
    """Whether the module that a contender needs is there."""
    module = PEERS[peer]
    return module is None or importlib.util.find_spec(module) is not None


def evaluators(variant: Variant, problem: Problem) -> Evaluators:
    """Everything from the model's source to derivatives that have been called once."""
    if variant.peer == "poi":
        _ipopt_stub()  # models cannot be made without a library
    return _SIDES[variant.peer](variant.build(), problem)


def _sct_opt(nlp: Any, problem: Problem) -> Evaluators:
    """sct_opt: the callbacks that IPOPT calls; `nlp` is an `sct_opt.NLP`."""
    x, multipliers = nlp.x0, np.ones(nlp.m)
    nlp.prepare(hessian=problem.hessian)
    nlp.objective(x), nlp.gradient(x), nlp.constraints(x), nlp.jacobian(x)
    side = Evaluators(
        jacobian=nlp.jacobian,
        jacobian_product=_product(nlp.jacobianstructure, nlp.jacobian, (nlp.m, nlp.n)),
        facts={
            "n": nlp.n,
            "m": nlp.m,
            "nnz J": nlp.jacobian_pattern.nnz,
            "nodes": nlp.tape.size,
            "stages": dict(nlp.timings),
        },
    )
    if problem.hessian:
        nlp.hessian(x, multipliers, 1.0)
        side.hessian = functools.partial(nlp.hessian, obj_factor=1.0)
        side.hessian_product = _symmetric_product(nlp.hessianstructure, side.hessian, nlp.n)
        side.facts["nnz H"] = nlp.hessianstructure()[0].size
    return side


def _product(
    structure: Callable[[], Any], values: Callable[..., Array], shape: tuple[int, int]
) -> Callable[..., Array]:
    def product(x: Array, vector: Array) -> Array:
        return sp.coo_array((values(x), structure()), shape=shape) @ vector

    return product


def _symmetric_product(structure: Callable[[], Any], values: Callable[..., Array], n: int) -> Callable[..., Array]:
    """Product with a symmetric matrix of which one triangle is given."""

    def product(x: Array, multipliers: Array, vector: Array) -> Array:
        rows, cols = structure()
        triangle = sp.coo_array((values(x, multipliers), (rows, cols)), shape=(n, n)).tocsr()
        return triangle @ vector + triangle.T @ vector - triangle.diagonal() * vector

    return product


# -- CasADi ----------------------------------------------------------------------------------------------------------


def _casadi(model: dict[str, Any], problem: Problem) -> Evaluators:
    """CasADi: the functions that nlpsol makes, called through buffers, which is the cheapest way in."""
    import casadi as ca  # noqa: PLC0415

    solver = ca.nlpsol("peer", "ipopt", model, {"ipopt.print_level": 0, "print_time": 0})
    n, m = model["x"].numel(), model["g"].numel()
    no_parameters = np.zeros(0)
    jacobian = solver.get_function("nlp_jac_g")
    jacobian_values = _buffered(jacobian, [no_parameters], 1)
    jacobian_entries = _triplet(jacobian.sparsity_out(1))
    side = Evaluators(
        jacobian=jacobian_values, jacobian_product=_product(lambda: jacobian_entries, jacobian_values, (m, n))
    )
    if problem.hessian:
        hessian = solver.get_function("nlp_hess_l")
        values = _buffered(hessian, [no_parameters, np.ones(1)], 0)
        hessian_entries = _triplet(hessian.sparsity_out(0))
        side.hessian = values
        side.hessian_product = _symmetric_product(lambda: hessian_entries, values, n)
    return side


def _triplet(sparsity: Any) -> tuple[Array, Array]:
    rows, cols = sparsity.get_triplet()
    return np.array(rows), np.array(cols)


def _buffered(function: Any, fixed: list[Array], output: int) -> Callable[..., Array]:
    """Call a CasADi function as ``call(x, *more)``, its inputs being x, then `fixed`, then `more`."""
    buffer, run = function.buffer()
    values = np.zeros(function.nnz_out(output))
    buffer.set_res(output, memoryview(values))
    for k, argument in enumerate(fixed, 1):
        buffer.set_arg(k, memoryview(argument))

    def call(x: Array, *more: Array) -> Array:
        buffer.set_arg(0, memoryview(x))
        for k, argument in enumerate(more, 1 + len(fixed)):
            buffer.set_arg(k, memoryview(argument))
        run()
        return values

    return call


# -- JAX and asdex ---------------------------------------------------------------------------------------------------


def _jax(functions: tuple[Callable[..., Any] | None, Callable[..., Any]], problem: Problem) -> Evaluators:
    """JAX with asdex: pattern, coloring and compressed derivatives, jitted; `functions` take ``(jax.numpy, x)``."""
    import asdex  # noqa: PLC0415
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415

    jax.config.update("jax_enable_x64", True)
    objective, constraints = (None if f is None else functools.partial(f, jnp) for f in functions)
    point = jnp.asarray(problem.x0)
    jacobian = jax.jit(asdex.jacobian(constraints, point))
    jacobian(point).block_until_ready()

    def as_matrix(bcoo: Any) -> sp.coo_array:
        indices = np.asarray(bcoo.indices)
        return sp.coo_array((np.asarray(bcoo.data), (indices[:, 0], indices[:, 1])), shape=bcoo.shape)

    side = Evaluators(
        jacobian=lambda x: jacobian(jnp.asarray(x)).block_until_ready(),
        jacobian_product=lambda x, vector: as_matrix(jacobian(jnp.asarray(x))) @ vector,
    )
    if problem.hessian:

        def lagrangian(x: Any, multipliers: Any) -> Any:
            return objective(x) + jnp.vdot(multipliers, constraints(x))

        multipliers = jnp.ones(jax.eval_shape(constraints, point).shape)
        hessian = jax.jit(asdex.hessian(lagrangian, point, multipliers))
        hessian(point, multipliers).block_until_ready()
        side.hessian = lambda x, w: hessian(jnp.asarray(x), jnp.asarray(w)).block_until_ready()
        side.hessian_product = lambda x, w, v: as_matrix(hessian(jnp.asarray(x), jnp.asarray(w))) @ v
    return side


# -- PyOptInterface --------------------------------------------------------------------------------------------------


@functools.cache
def _ipopt_stub() -> ctypes.CDLL:
    """A library in IPOPT's place that keeps the callbacks; every PyOptInterface model of this process uses it."""
    from pyoptinterface import ipopt  # noqa: PLC0415

    stub = compiled(Path(__file__).with_name("ipopt_stub.c"))
    if not ipopt.load_library(stub._name):
        raise OSError(f"PyOptInterface cannot load {stub._name}")
    return stub


def _poi(model: Any, problem: Problem) -> Evaluators:
    """PyOptInterface, which shows its evaluators to IPOPT only."""
    stub = _ipopt_stub()
    model.optimize()
    n, m, jacobian_size, hessian_size = (ctypes.c_int * 4).in_dll(stub, "kept")
    jacobian, hessian = np.zeros(jacobian_size), np.zeros(hessian_size)
    structure = {}
    for what, size in (("jacobian", jacobian_size), ("hessian", hessian_size)):
        structure[what] = np.zeros(size, dtype=np.intc), np.zeros(size, dtype=np.intc)
        getattr(stub, f"{what}_structure")(*(_pointer(indices) for indices in structure[what]))
    jacobian_at, hessian_at = _pointer(jacobian), _pointer(hessian)

    def jacobian_values(x: Array) -> Array:
        stub.jacobian_values(_pointer(x), jacobian_at)
        return jacobian

    def hessian_values(x: Array, multipliers: Array) -> Array:
        stub.hessian_values(_pointer(x), _pointer(multipliers), hessian_at)
        return hessian

    side = Evaluators(
        jacobian=jacobian_values,
        jacobian_product=_product(lambda: structure["jacobian"], jacobian_values, (m, n)),
        constraint_order=True,
    )
    # The stub keeps addresses only: whoever calls must keep the model.
    jacobian_values.model = model  # type: ignore[attr-defined]
    if problem.hessian:
        side.hessian = hessian_values
        side.hessian_product = _symmetric_product(lambda: structure["hessian"], hessian_values, n)
    return side


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


# -- by hand ---------------------------------------------------------------------------------------------------------


def compiled(source: Path, *flags: str) -> ctypes.CDLL:
    """A C file of the benchmarks as a library, compiled once per content and flags."""
    key = hashlib.sha256(source.read_bytes() + repr(flags).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / "sct-opt-benchmarks"
    folder.mkdir(exist_ok=True)
    library = folder / f"{source.stem}-{key}.so"
    if not library.exists():
        command = ["cc", "-O3", "-march=native", "-shared", "-fPIC", *flags, str(source), "-o", str(library), "-lm"]
        subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def _c(
    spec: tuple[str, tuple[str, ...], int, tuple[Array, Array], tuple[Array, Array]], problem: Problem
) -> Evaluators:
    """Derivatives written by hand in C: ``name_jacobian(size, x, values)`` and ``name_hessian(size, x, w, values)``."""
    name, flags, size, (rows, cols), hessian_entries = spec
    library = compiled(Path(__file__).with_name("by_hand.c"), *flags)
    n, jacobian = problem.x0.size, np.zeros(rows.size)
    at = _pointer(jacobian)
    evaluate = getattr(library, f"{name}_jacobian")

    def jacobian_values(x: Array) -> Array:
        evaluate(ctypes.c_long(size), _pointer(x), at)
        return jacobian

    side = Evaluators(
        jacobian=jacobian_values,
        jacobian_product=_product(lambda: (rows, cols), jacobian_values, (int(rows.max()) + 1, n)),
    )
    if problem.hessian:
        hessian = np.zeros(hessian_entries[0].size)
        hessian_at = _pointer(hessian)
        second = getattr(library, f"{name}_hessian")

        def hessian_values(x: Array, multipliers: Array) -> Array:
            second(ctypes.c_long(size), _pointer(x), _pointer(multipliers), hessian_at)
            return hessian

        side.hessian = hessian_values
        side.hessian_product = _symmetric_product(lambda: hessian_entries, hessian_values, n)
    return side


def _numpy(model: Any, problem: Problem) -> Evaluators:
    """Derivatives written by hand in NumPy for plain cyipopt: an object with cyipopt's callbacks."""
    n, m = problem.x0.size, model.m
    side = Evaluators(
        jacobian=model.jacobian, jacobian_product=_product(model.jacobianstructure, model.jacobian, (m, n))
    )
    if problem.hessian:
        side.hessian = functools.partial(model.hessian, obj_factor=1.0)
        side.hessian_product = _symmetric_product(model.hessianstructure, side.hessian, n)
    return side


def _differences(model: tuple[Callable[[Array], Array], sp.sparray], problem: Problem) -> Evaluators:
    """Forward differences on a known pattern, columns grouped by SciPy: a function and the pattern."""
    from scipy.optimize._numdiff import approx_derivative, group_columns  # noqa: PLC0415

    function, pattern = model
    sparsity = (sp.csr_matrix(pattern), group_columns(pattern))

    def jacobian(x: Array) -> Any:
        return approx_derivative(function, x, method="2-point", sparsity=sparsity)

    return Evaluators(jacobian=jacobian, jacobian_product=lambda x, v: jacobian(x) @ v, tolerance=1e-4)


_SIDES: dict[Peer, Callable[[Any, Problem], Evaluators]] = {
    "sct_opt": _sct_opt,
    "casadi": _casadi,
    "jax": _jax,
    "poi": _poi,
    "numpy": _numpy,
    "c": _c,
    "differences": _differences,
}
