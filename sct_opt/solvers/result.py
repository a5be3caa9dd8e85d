"""What a solver returns."""

from __future__ import annotations

import sys
from typing import Any


class Result(dict[str, Any]):
    """A `scipy.optimize.OptimizeResult` that does not wait for SciPy.

    Importing ``scipy.optimize`` takes as long as solving a problem of a few thousand variables, and most processes that solve
    a problem need nothing else of it.  So this is a dictionary with attributes, as SciPy's class is, and passes for one: whoever
    asks ``isinstance(result, OptimizeResult)`` has loaded SciPy and is told yes.

    >>> result = Result(x=[1.0], success=True)
    >>> result.success, result["x"]
    (True, [1.0])
    >>> from scipy.optimize import OptimizeResult
    >>> isinstance(result, OptimizeResult)
    True
    """

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        module = sys.modules.get("scipy.optimize")
        # While SciPy is being imported the module is there, but not yet the class.
        return getattr(module, "OptimizeResult", Result)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        from scipy.optimize import OptimizeResult  # noqa: PLC0415 - shown as SciPy shows it

        shown = OptimizeResult()
        shown.update(self)
        return repr(shown)

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return Result, (dict(self),)
