"""Tapes that remember which line of the user's code each node comes from."""

from __future__ import annotations

import numpy as np

from sct_opt.tape import ConstantsPolicy, Sources, TapeBuilder
from sct_opt.tracing.location import user_frame, where


class SourceBuilder(TapeBuilder):
    """A builder that notes the user's line at every emission; ordinary builders spend nothing on it.

    Args:
        constants: as for `TapeBuilder`.

    >>> from sct_opt.tracing.trace import trace_function
    >>> tape = trace_function(lambda x: x[0] * x[1], [1.0, 2.0], builder=SourceBuilder()).tape
    >>> tape.sources is not None
    True
    """

    __slots__ = ("_first", "_place", "_places")

    def __init__(self, constants: ConstantsPolicy = "exact") -> None:
        super().__init__(constants)
        self._places: dict[tuple[str, int], tuple[int, str]] = {}
        # node ids at which another place begins, and these places
        self._first: list[int] = []
        self._place: list[int] = []

    def emit1(self, code: int, a: int) -> int:
        """Append one one-argument node and return its id."""
        self._note()
        return super().emit1(code, a)

    def emit2(self, code: int, a: int, b: int) -> int:
        """Append one two-argument node and return its id."""
        self._note()
        return super().emit2(code, a, b)

    def emit_right(self, code: int, a: int, number: float) -> int:
        """Append a node whose second argument is a number."""
        self._note()
        return super().emit_right(code, a, number)

    def emit_left(self, code: int, number: float, b: int) -> int:
        """Append a node whose first argument is a number."""
        self._note()
        return super().emit_left(code, number, b)

    def _advance(self, count: int) -> int:
        self._note()
        return super()._advance(count)

    def _note(self) -> None:
        frame = user_frame()
        if frame is None:
            return
        key = (frame.f_code.co_filename, frame.f_lineno)
        if key not in self._places:
            self._places[key] = (len(self._places), where())
        place = self._places[key][0]
        if not self._place or self._place[-1] != place:
            self._first.append(self.size)
            self._place.append(place)

    def sources(self) -> Sources:
        """The place of every node emitted so far."""
        bounds = np.diff([*self._first, self.size])
        index = np.repeat(np.array(self._place, dtype=np.int32), bounds)
        unknown = np.full(self.size - index.size, -1, dtype=np.int32)
        return Sources(np.concatenate([unknown, index]), tuple(text for _, text in self._places.values()))
