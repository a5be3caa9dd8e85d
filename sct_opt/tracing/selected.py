"""`Selected`: ``x[condition]`` of a traced condition, kept at full length together with its condition.

The number of entries of ``x[x > 0]`` depends on x, so it cannot be traced as an array; but ``x[x > 0] *= 2`` and
``np.sum(x[x > 0] ** 2)`` mean something entry by entry, and that is what this class allows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sct_opt.errors import TracingError
from sct_opt.tracing.location import where


class Selected:
    """The entries of a traced array where a traced condition holds.

    Args:
        values: the array at full length.
        condition: traced truth values of the same shape.
    """

    __slots__ = ("condition", "values")
    __array_priority__ = 1500.0

    def __init__(self, values: Any, condition: Any) -> None:
        self.values = values
        self.condition = condition

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "reduce" and ufunc.__name__ in _NEUTRAL:
            return self._reduced(ufunc)
        if method != "__call__" or kwargs:
            raise shape_error()
        return Selected(ufunc(*(self._full(value) for value in inputs)), self.condition)

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        reduction = _REDUCTIONS.get(function.__name__)
        if reduction is None or len(args) != 1 or kwargs.get("axis") is not None:
            raise shape_error()
        return reduction(args[0])

    def _full(self, value: Any) -> Any:
        if isinstance(value, Selected):
            if not np.array_equal(value.condition.ids, self.condition.ids):
                raise shape_error()
            return value.values
        if np.ndim(value) != 0:
            raise shape_error()
        return value

    def _reduced(self, ufunc: np.ufunc) -> Any:
        return ufunc.reduce(np.where(self.condition, self.values, _NEUTRAL[ufunc.__name__]), axis=None)

    def sum(self) -> Any:
        """Sum of the selected entries."""
        return self._reduced(np.add)

    def prod(self) -> Any:
        """Product of the selected entries."""
        return self._reduced(np.multiply)

    def max(self) -> Any:
        """Largest selected entry."""
        return self._reduced(np.maximum)

    def min(self) -> Any:
        """Smallest selected entry."""
        return self._reduced(np.minimum)

    def mean(self) -> Any:
        """Mean of the selected entries."""
        return self._reduced(np.add) / np.sum(np.where(self.condition, 1.0, 0.0))

    @property
    def size(self) -> Any:
        """Number of selected entries, traced."""
        return np.sum(np.where(self.condition, 1.0, 0.0))

    def __len__(self) -> int:
        raise shape_error()

    def __iter__(self) -> Any:
        raise shape_error()

    def __getitem__(self, key: Any) -> Any:
        raise shape_error()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(name)
        raise shape_error()

    def __neg__(self) -> Any:
        return np.negative(self)

    def __abs__(self) -> Any:
        return np.absolute(self)


# Values that do not count.
_NEUTRAL = {"add": 0.0, "multiply": 1.0, "maximum": -np.inf, "minimum": np.inf}

_REDUCTIONS: dict[str, Callable[[Selected], Any]] = {
    "sum": Selected.sum,
    "prod": Selected.prod,
    "max": Selected.max,
    "amax": Selected.max,
    "min": Selected.min,
    "amin": Selected.min,
    "mean": Selected.mean,
    "size": lambda selected: selected.size,
}

for _name, _ufunc in {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "pow": np.power,
    "mod": np.remainder,
}.items():
    setattr(Selected, f"__{_name}__", lambda self, other, _ufunc=_ufunc: _ufunc(self, other))
    setattr(Selected, f"__r{_name}__", lambda self, other, _ufunc=_ufunc: _ufunc(other, self))


def shape_error() -> TracingError:
    """The error for what cannot be done entry by entry."""
    return TracingError(
        f"an array is indexed by a condition on traced values, so that its shape would depend on x\n  at {where()}\n"
        "  mend: use np.where(condition, a, b), np.sum(a, where=condition) or so.where; or detect at one point with "
        "so.TracerLocalSparsityDetector()"
    )
