"""What hands a problem to IPOPT: cyipopt, or IPOPT's own C interface."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

from sct_opt.errors import MissingDependencyError, SolverError

Backend = Literal["cyipopt", "ctypes"]

_IMPORTING = threading.Lock()


def backend_classes(name: str) -> tuple[Callable[..., Any], type[Exception]]:
    """The class of problems, and the exception by which a callback says that it has no value."""
    if name == "ctypes":
        from sct_opt.solvers.capi import EvaluationRefused, Problem  # noqa: PLC0415 - ctypes and IPOPT's library

        return Problem, EvaluationRefused
    if name != "cyipopt":
        raise SolverError(f"there is no back end {name!r}; choose 'cyipopt' or 'ctypes'")
    try:
        wrapper = cyipopt_wrapper()
    except ImportError as error:
        raise MissingDependencyError(
            f"solving needs cyipopt, which cannot be imported ({error}); `sct-opt install-ipopt` installs it, `sct-opt doctor` tells what is there"
        ) from error
    return wrapper.Problem, wrapper.CyIpoptEvaluationError


def cyipopt_wrapper() -> ModuleType:
    """The compiled module of cyipopt, without the package around it if that is not imported yet.

    The package imports SciPy's optimizers for functions that are not used here, which takes 0.2 s.
    """
    name = "cyipopt"
    loaded = sys.modules.get(f"{name}.ipopt_wrapper")
    if loaded is not None and sys.modules.get(name, loaded) is not None:
        return loaded
    with _IMPORTING:
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is not None:
            # An empty package with cyipopt's path lets the module import its siblings; a later `import cyipopt` finds them loaded.
            sys.modules[name] = importlib.util.module_from_spec(spec)
            try:
                return importlib.import_module(f"{name}.ipopt_wrapper")
            except ImportError:
                pass  # an older cyipopt, whose compiled module is not part of the package
            finally:
                sys.modules.pop(name, None)
        import cyipopt  # noqa: PLC0415

        return cyipopt  # type: ignore[no-any-return]
