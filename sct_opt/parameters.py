"""Names of array entries, and values that have names: the parameters of a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from sct_opt.errors import ProblemError, ShapeError

Array = np.ndarray[Any, Any]
Names = Sequence[str] | Callable[[], Sequence[str]] | None
"""Names as a sequence, or as a function that makes them when they are needed."""

_SHOWN = 6  # names that a message lists before it says "and so on"


def indexed_names(name: str, shape: Sequence[int]) -> Iterator[str]:
    """Names of an array's entries in C order.

    Args:
        name: Name of the array.
        shape: Its shape.

    Returns:
        An iterator over names; the name itself for a scalar.

    >>> list(indexed_names("x", (2, 2))), list(indexed_names("k", ()))
    (['x[0,0]', 'x[0,1]', 'x[1,0]', 'x[1,1]'], ['k'])
    """
    if not shape:
        return iter((name,))
    if len(shape) == 1:
        return (f"{name}[{i}]" for i in range(shape[0]))
    return (f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape))


@final
class Parameters:
    """Values of a problem's parameters: an array whose entries also have names.

    Args:
        values: The values, one per parameter of the tape.
        names: One name per value, or a mapping of names to shapes for parameters that are arrays.

    Examples:
        >>> p = Parameters([1.0, 2.0, 3.0], {"k": (), "load": (2,)})
        >>> p["load"] = [5.0, 6.0]
        >>> p["load[1]"] += 1.0
        >>> p
        Parameters(k=1.0, load=[5.0, 7.0])
    """

    __slots__ = ("_names", "values")

    def __init__(self, values: ArrayLike, names: Names | Mapping[str, tuple[int, ...]] = None) -> None:
        self.values = np.array(values, dtype=float).ravel()
        self._names = names

    @property
    def names(self) -> list[str]:
        """One name per value."""
        return [name for block, shape in self._blocks() for name in indexed_names(block, shape)]

    def _blocks(self) -> list[tuple[str, tuple[int, ...]]]:
        names = self._names() if callable(self._names) else self._names
        if names is None:
            names = {"p": self.values.shape}
        return list(names.items()) if isinstance(names, Mapping) else [(name, ()) for name in names]

    def _position(self, key: Any) -> tuple[Any, tuple[int, ...] | None]:
        if not isinstance(key, str):
            return key, None
        start = 0
        blocks = self._blocks()
        for name, shape in blocks:
            stop = start + int(np.prod(shape, dtype=int))
            if name == key:
                return (slice(start, stop), shape) if shape else (start, None)
            if shape and key.startswith(name + "["):
                entries = list(indexed_names(name, shape))
                if key in entries:
                    return start + entries.index(key), None
            start = stop
        known = ", ".join(repr(name) for name, _ in blocks[:_SHOWN]) + (", …" if len(blocks) > _SHOWN else "")
        raise ProblemError(f"the problem has no parameter {key!r}; it has {known or 'none at all'}")

    def __getitem__(self, key: Any) -> Any:
        where, shape = self._position(key)
        return self.values[where] if shape is None else self.values[where].reshape(shape)

    def __setitem__(self, key: Any, value: ArrayLike) -> None:
        where, shape = self._position(key)
        number = np.asarray(value, dtype=float)
        if shape is not None:
            try:
                number = np.broadcast_to(number, shape).ravel()
            except ValueError:
                raise ShapeError(f"parameter {key!r} has shape {shape}, but was given shape {number.shape}") from None
        self.values[where] = number

    def __len__(self) -> int:
        return int(self.values.size)

    def __iter__(self) -> Iterator[float]:
        return iter(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.values, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        blocks = self._blocks()
        shown = [f"{name}={self[name].tolist()}" for name, _ in blocks[:_SHOWN]]
        return f"Parameters({', '.join(shown)}{', …' if len(blocks) > _SHOWN else ''})"
