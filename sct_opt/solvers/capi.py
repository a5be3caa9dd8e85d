"""IPOPT's C interface through ctypes: the class `Problem` stands in for `cyipopt.Problem`.

cyipopt copies Jacobian and Hessian entries one by one, at some 45 ns each; here each callback copies its array at once.
It drives the very library that cyipopt is linked to, and falls back to the one in CasADi's wheel.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sct_opt.errors import MissingDependencyError
from sct_opt.kernel import address as address_of

Array = np.ndarray[Any, Any]

_index, _number, _bool, _pointer = ctypes.c_int, ctypes.c_double, ctypes.c_bool, ctypes.c_void_p

_EVAL_F = ctypes.CFUNCTYPE(_bool, _index, _pointer, _bool, _pointer, _pointer)
_EVAL_GRAD_F = _EVAL_F
_EVAL_G = ctypes.CFUNCTYPE(_bool, _index, _pointer, _bool, _index, _pointer, _pointer)
_EVAL_JAC_G = ctypes.CFUNCTYPE(_bool, _index, _pointer, _bool, _index, _index, _pointer, _pointer, _pointer, _pointer)
_EVAL_H = ctypes.CFUNCTYPE(
    _bool, _index, _pointer, _bool, _number, _index, _pointer, _bool, _index, _pointer, _pointer, _pointer, _pointer
)
_INTERMEDIATE = ctypes.CFUNCTYPE(_bool, _index, _index, *[_number] * 8, _index, _pointer)

_ALGORITHM = "CreateIpoptProblem"


class EvaluationRefused(Exception):
    """Raised by a callback that has no value to give; IPOPT is told so."""


@functools.cache
def library() -> ctypes.CDLL:
    """The IPOPT library, with the signatures of its C interface.

    Raises:
        MissingDependencyError: There is neither cyipopt nor an IPOPT beside CasADi.
    """
    loaded = next((found for found in map(_opened, _candidates()) if found is not None), None)
    if loaded is None:
        raise MissingDependencyError(
            "no IPOPT library was found; `sct-opt install-ipopt` installs one, `sct-opt doctor` tells what is there"
        )
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "CreateIpoptProblem": (
            _pointer,
            [
                _index,
                _pointer,
                _pointer,
                _index,
                _pointer,
                _pointer,
                _index,
                _index,
                _index,
                _EVAL_F,
                _EVAL_G,
                _EVAL_GRAD_F,
                _EVAL_JAC_G,
                _EVAL_H,
            ],
        ),
        "FreeIpoptProblem": (None, [_pointer]),
        "AddIpoptStrOption": (_bool, [_pointer, ctypes.c_char_p, ctypes.c_char_p]),
        "AddIpoptNumOption": (_bool, [_pointer, ctypes.c_char_p, _number]),
        "AddIpoptIntOption": (_bool, [_pointer, ctypes.c_char_p, _index]),
        "SetIpoptProblemScaling": (_bool, [_pointer, _number, _pointer, _pointer]),
        "SetIntermediateCallback": (_bool, [_pointer, _INTERMEDIATE]),
        "IpoptSolve": (_index, [_pointer] * 8),
    }
    if hasattr(loaded, "GetIpoptCurrentIterate"):
        signatures["GetIpoptCurrentIterate"] = (
            _bool,
            [_pointer, _bool, _index, _pointer, _pointer, _pointer, _index, _pointer, _pointer],
        )
    for name, (result, arguments) in signatures.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def _candidates() -> list[str]:
    """Files through which IPOPT's symbols may be found, best first."""
    files: list[Path] = []
    # Found, not imported, which would take longer. An extension module shows the symbols of the libraries that it is linked to.
    for package, pattern in (("cyipopt", "ipopt_wrapper.*"), ("casadi", "libipopt.*")):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            files += [file for file in sorted(Path(folder).glob(pattern)) if file.suffix not in {".la", ".py", ".pyx"}]
    return [str(file) for file in files]


def _opened(file: str) -> ctypes.CDLL | None:
    try:
        found = ctypes.CDLL(file)
    except OSError:
        return None
    return found if hasattr(found, _ALGORITHM) else None


def _guarded(function: Callable[..., None]) -> Callable[..., bool]:
    """Turn an exception into the answer "no"; `problem_obj` has kept the exception by then."""

    @functools.wraps(function)
    def answer(*args: Any) -> bool:
        try:
            function(*args)
        except BaseException:
            return False
        return True

    return answer


class Problem:
    """A problem in IPOPT's C interface, with the methods of `cyipopt.Problem` that `solve` uses.

    Args:
        n: Number of variables.
        m: Number of constraints.
        problem_obj: Callbacks, by the names that cyipopt wants. An exception that one raises counts as "no value here".
        lb: Lower bounds of the variables.
        ub: Upper bounds of the variables.
        cl: Lower bounds of the constraints.
        cu: Upper bounds of the constraints.
    """

    def __init__(self, n: int, m: int, problem_obj: Any, lb: Array, ub: Array, cl: Array, cu: Array) -> None:
        self._library = library()
        self.n, self.m = n, m
        self._callbacks = problem_obj
        self._jacobian_structure = _structure(problem_obj.jacobianstructure())
        exact = problem_obj.hessianstructure is not None
        self._hessian_structure = _structure(problem_obj.hessianstructure() if exact else ((), ()))
        # IPOPT calls these as long as it lives: they must not be collected before.
        self._functions = (
            _EVAL_F(_guarded(self._eval_f)),
            _EVAL_G(_guarded(self._eval_g)),
            _EVAL_GRAD_F(_guarded(self._eval_grad_f)),
            _EVAL_JAC_G(_guarded(self._eval_jac_g)),
            _EVAL_H(_guarded(self._eval_h)),
        )
        self._intermediate = _INTERMEDIATE(self._report)
        bounds = [np.ascontiguousarray(np.nan_to_num(b, posinf=1e300, neginf=-1e300)) for b in (lb, ub, cl, cu)]
        self._handle = self._library.CreateIpoptProblem(
            n, address_of(bounds[0]), address_of(bounds[1]), m, address_of(bounds[2]), address_of(bounds[3]),
            self._jacobian_structure[0].size, self._hessian_structure[0].size, 0, *self._functions,
        )  # fmt: skip
        if not self._handle:
            raise ValueError("IPOPT does not accept the problem")
        self._library.SetIntermediateCallback(self._handle, self._intermediate)
        if not exact:
            self.add_option("hessian_approximation", "limited-memory")

    def add_option(self, name: str, value: str | int | float) -> None:
        """Set an option.

        Raises:
            TypeError: IPOPT refuses it.
        """
        keyword = name.encode()
        if isinstance(value, str):
            accepted = self._library.AddIpoptStrOption(self._handle, keyword, value.encode())
        elif isinstance(value, int):
            accepted = self._library.AddIpoptIntOption(self._handle, keyword, value)
        else:
            accepted = self._library.AddIpoptNumOption(self._handle, keyword, value)
        if not accepted:
            raise TypeError(f"IPOPT refuses {value!r} for its option {name!r}")

    def set_problem_scaling(
        self, objective: float, variables: Array | None = None, constraints: Array | None = None
    ) -> None:
        """Give scaling factors, which IPOPT uses if ``nlp_scaling_method`` is ``user-scaling``."""
        addresses = (None if factors is None else address_of(factors) for factors in (variables, constraints))
        self._library.SetIpoptProblemScaling(self._handle, objective, *addresses)

    def solve(
        self, x: Array, lagrange: Array | None = None, zl: Array | None = None, zu: Array | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Run IPOPT.

        Args:
            x: The start.
            lagrange: Multipliers of the constraints to start from.
            zl: Multipliers of the lower bounds.
            zu: Multipliers of the upper bounds.

        Returns:
            The last point and a dictionary as cyipopt's.
        """
        point, values = np.array(x, dtype=float), np.zeros(self.m)
        objective = np.zeros(1)
        multipliers = [
            np.zeros(size) if given is None else np.array(given, dtype=float)
            for given, size in ((lagrange, self.m), (zl, self.n), (zu, self.n))
        ]
        status = self._library.IpoptSolve(
            self._handle,
            address_of(point),
            address_of(values),
            address_of(objective),
            *map(address_of, multipliers),
            None,
        )
        mult_g, mult_x_L, mult_x_U = multipliers
        return point, {
            "status": status, "obj_val": float(objective[0]), "g": values, "mult_g": mult_g, "mult_x_L": mult_x_L, "mult_x_U": mult_x_U,
        }  # fmt: skip

    def get_current_iterate(self) -> dict[str, Array]:
        """The iterate, while IPOPT runs.

        Raises:
            RuntimeError: This IPOPT cannot tell.
        """
        x, lower, upper = (np.empty(self.n) for _ in range(3))
        values, multipliers = np.empty(self.m), np.empty(self.m)
        ask = getattr(self._library, "GetIpoptCurrentIterate", None)
        sides = (self.n, *map(address_of, (x, lower, upper)), self.m, *map(address_of, (values, multipliers)))
        if ask is None or not ask(self._handle, False, *sides):
            raise RuntimeError("this IPOPT does not hand out iterates")
        return {"x": x, "mult_x_L": lower, "mult_x_U": upper, "g": values, "mult_g": multipliers}

    def close(self) -> None:
        """Free IPOPT's memory; the problem cannot be used after that."""
        if self._handle:
            self._library.FreeIpoptProblem(self._handle)
            self._handle = None

    # -- callbacks ---------------------------------------------------------------------------------------------------

    def _vector(self, address: int, size: int) -> Array:
        vector = np.empty(size)
        ctypes.memmove(address_of(vector), address, 8 * size)
        return vector

    def _store(self, values: Any, address: int, size: int) -> None:
        array = np.ascontiguousarray(values, dtype=float)
        if array.size != size:
            raise ValueError(f"a callback returned {array.size} numbers instead of {size}")
        ctypes.memmove(address, address_of(array), 8 * size)

    def _eval_f(self, n: int, x: int, new_x: bool, value: int, data: int) -> None:
        self._store(self._callbacks.objective(self._vector(x, n)), value, 1)

    def _eval_grad_f(self, n: int, x: int, new_x: bool, gradient: int, data: int) -> None:
        self._store(self._callbacks.gradient(self._vector(x, n)), gradient, n)

    def _eval_g(self, n: int, x: int, new_x: bool, m: int, values: int, data: int) -> None:
        if m:
            self._store(self._callbacks.constraints(self._vector(x, n)), values, m)

    def _eval_jac_g(
        self,
        n: int,
        x: int | None,
        new_x: bool,
        m: int,
        size: int,
        rows: int | None,
        cols: int | None,
        values: int | None,
        data: int,
    ) -> None:
        if values is None:
            self._store_structure(self._jacobian_structure, rows, cols)
        elif size and x is not None:
            self._store(self._callbacks.jacobian(self._vector(x, n)), values, size)

    def _eval_h(
        self, n: int, x: int | None, new_x: bool, factor: float, m: int, multipliers: int | None, new_multipliers: bool,
        size: int, rows: int | None, cols: int | None, values: int | None, data: int,
    ) -> None:  # fmt: skip
        if values is None:
            self._store_structure(self._hessian_structure, rows, cols)
        elif size and x is not None:
            lagrange = self._vector(multipliers, m) if m and multipliers is not None else np.zeros(m)
            self._store(self._callbacks.hessian(self._vector(x, n), lagrange, factor), values, size)

    @staticmethod
    def _store_structure(structure: tuple[Array, Array], rows: int | None, cols: int | None) -> None:
        for address, indices in zip((rows, cols), structure, strict=True):
            if address is not None and indices.size:
                ctypes.memmove(address, address_of(indices), 4 * indices.size)

    def _report(self, *args: Any) -> bool:
        try:
            return bool(self._callbacks.intermediate(*args[:-1]))
        except BaseException:
            return False


def _structure(structure: Any) -> tuple[Array, Array]:
    rows, cols = (np.ascontiguousarray(indices, dtype=np.int32) for indices in structure)
    return rows, cols
