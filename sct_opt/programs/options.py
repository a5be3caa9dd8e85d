"""What can be asked of the derivative engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sct_opt.errors import ProblemError

Mode = Literal["auto", "programs", "compressed"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How derivatives are evaluated; what is chosen shows in `NLP.report`.

    Attributes:
        mode: ``"auto"`` compiles the programs that pay by predicted cost, ``"programs"`` whatever can be compiled,
            ``"compressed"`` nothing: colorings and sweeps evaluate everything.
        strict: Functions of libm throughout, correct to 1 ulp or so, instead of vector functions that are good to 4 ulp.
        threads: Most threads that an evaluation may use, each with a tenth of a millisecond of work at least; None for
            what the environment variable ``SCT_OPT_NUM_THREADS`` says, or as many as there are processors.

    Raises:
        ProblemError: If there is no such mode, or not a positive number of threads.

    Examples:
        >>> import numpy as np
        >>> import sct_opt as so
        >>> nlp = so.from_callables(lambda x: np.sum(np.sin(x) ** 2), np.ones(100))
        >>> nlp.engine = so.EngineOptions(mode="compressed")
        >>> print(nlp.report())
        compressed form: 1 outputs, 301 nodes, 1 colors of the Jacobian (301 operations), 1 colors of the Hessian (602 operations)
    """

    mode: Mode = "auto"
    strict: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ProblemError(
                f"there is no mode {self.mode!r} of the engine; choose one of {', '.join(get_args(Mode))}"
            )
        if self.threads is not None and (type(self.threads) is not int or self.threads < 1):
            raise ProblemError(f"threads must be a positive number or None, not {self.threads!r}")
