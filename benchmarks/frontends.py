"""What several problems and the cold runs need of front ends and peers; imports nothing until it is called."""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any


@functools.cache
def casadi_namespace() -> SimpleNamespace:
    """CasADi's functions under NumPy's names, for models that are written for several contenders."""
    import casadi as ca  # noqa: PLC0415

    return SimpleNamespace(
        sin=ca.sin,
        cos=ca.cos,
        exp=ca.exp,
        sqrt=ca.sqrt,
        sum=lambda x: ca.sum1(ca.vec(x)),
        concatenate=lambda parts: ca.vertcat(*parts),
    )


def ipopt_library() -> str:
    """The IPOPT in CasADi's wheel, so that every contender drives the same one."""
    spec = importlib.util.find_spec("casadi")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("PyOptInterface is run with the IPOPT of CasADi's wheel: pip install casadi")
    folder, names = Path(spec.origin).parent, ("libipopt.so", "libipopt.dylib", "libipopt.dll")
    return str(next(folder / name for name in names if (folder / name).exists()))


def nlp_of_pyomo(build: Callable[[], Any]) -> Any:
    """Build a Pyomo model and convert it.

    Args:
        build: makes the model.

    Returns:
        The `sct_opt.NLP`, with the seconds that Pyomo took as ``timings["Pyomo"]``.
    """
    import sct_opt as so  # noqa: PLC0415

    start = time.perf_counter()
    model = build()
    seconds = time.perf_counter() - start
    nlp = so.from_pyomo(model)
    nlp.timings["Pyomo"] = seconds
    return nlp
