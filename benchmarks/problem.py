"""What a benchmark problem is: one mathematical problem, written once for each contender.

Imports nothing but NumPy: the cold runs time the imports of the contenders.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Peer = Literal["sct_opt", "casadi", "jax", "poi", "numpy", "c", "differences"]

PEERS: dict[Peer, str | None] = {
    "sct_opt": None,
    "casadi": "casadi",
    "jax": "asdex",
    "poi": "pyoptinterface",
    "numpy": None,
    "c": None,
    "differences": None,
}
"""The contenders, and the module that must be there for each."""


@dataclass(frozen=True)
class Variant:
    """A problem as written for one contender.

    Attributes:
        name: what tables call it; unique within the problem.
        peer: who evaluates it.
        build: makes what `sides` expects of this peer (a model, expressions, functions, evaluators); for detection, a
            function that detects once and returns the number of structural nonzeros.
        limit: size beyond which it is left out unless asked for, because it takes minutes.
        source: how the model is written: "array" or "loop".
    """

    name: str
    peer: Peer
    build: Callable[[], Any]
    limit: float = np.inf
    source: str = "array"


@dataclass(frozen=True)
class Problem:
    """A problem of a given size.

    Attributes:
        title: for tables and charts.
        x0: where a solve starts.
        variants: the contenders; the first is the reference of checks and ratios.
        lower: lower bounds of the variables.
        upper: upper bounds of the variables.
        constraints_lower: lower bounds of the constraints.
        constraints_upper: upper bounds of the constraints.
        hessian: whether there is a Hessian to evaluate.
        detection: whether the comparison is about detecting a pattern, and nothing else.
    """

    title: str
    x0: Array
    variants: list[Variant]
    lower: Any = -np.inf
    upper: Any = np.inf
    constraints_lower: Any = 0.0
    constraints_upper: Any = 0.0
    hessian: bool = True
    detection: bool = False

    def variant(self, name: str) -> Variant:
        """The variant called `name`."""
        return next(variant for variant in self.variants if variant.name == name)


@dataclass(frozen=True)
class Family:
    """A problem of any size.

    Attributes:
        build: makes the problem of a size.
        size: the size that tables show.
        quick: a size that takes a moment.
        sizes: further sizes, for cost against size.
        what: what the size counts.
        cold: the size of cold runs from nothing to a solution.
    """

    build: Callable[[int], Problem]
    size: int
    quick: int
    sizes: tuple[int, ...] = field(default=())
    what: str = "n"
    cold: int = 0
