"""Which function a running frame is calling, by the name it uses for it.

Compiled extensions leave no frame behind: NumPy's random generators call ``np.empty`` and the nearest frame is the user's,
who called something else.  What a frame is calling can be read off its bytecode: the source range of a call begins
where that of the called expression begins.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Collection
from types import CodeType, FrameType


@functools.lru_cache(maxsize=4096)
def _called(code: CodeType, offset: int) -> tuple[str, bool] | None:
    """Name by which the instruction at an offset calls its function, and whether that is an attribute; None if unknown."""
    instructions = list(dis.get_instructions(code))
    call = next((i.positions for i in instructions if i.offset == offset), None)
    if call is None or call.lineno is None or call.col_offset is None:
        return None
    begin, end = (call.lineno, call.col_offset), (call.end_lineno or 0, call.end_col_offset or 0)
    best: tuple[tuple[int, int], str, bool] | None = None
    for instruction in instructions:
        place = instruction.positions
        if not instruction.opname.startswith("LOAD_") or place is None or (place.lineno, place.col_offset) != begin:
            continue
        its_end = (place.end_lineno or 0, place.end_col_offset or 0)
        # the longest expression that begins where the call does and ends before it is what is called
        if its_end < end and isinstance(instruction.argval, str) and (best is None or its_end > best[0]):
            best = (its_end, instruction.argval, instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"))
    return None if best is None else best[1:]


def calls_by_name(frame: FrameType, names: Collection[str], functions: Collection[int]) -> bool:
    """Whether a frame is calling one of some functions itself.

    Args:
        frame: a frame of the user's.
        names: names that the functions have as attributes of their modules.
        functions: their ids, for code that holds them under another name.
    """
    found = _called(frame.f_code, frame.f_lasti)
    if found is None:
        # no source positions (python -X no_debug_ranges), or no plain call: does the code know such a function at all?
        return any(name in names for name in frame.f_code.co_names)
    name, is_attribute = found
    if is_attribute:
        return name in names
    value = frame.f_locals.get(name, frame.f_globals.get(name))
    return id(value) in functions
