"""Where in the user's code an error happened, and the messages that say so."""

from __future__ import annotations

import linecache
import os
import re
import sys
import sysconfig
import threading
from types import FrameType
from typing import TypeVar

import numpy as np

from sct_opt.errors import MissingPrimalError, TracingError, UnsupportedOperatorError

_SITE = os.path.dirname(os.path.dirname(np.__file__))
INSIDE = (
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep,
    os.path.join(_SITE, "numpy") + os.sep,
    os.path.join(_SITE, "scipy") + os.sep,
    os.path.dirname(os.__file__) + os.sep + "functools.py",
    "<operator table",
    "<__array_function__",
)
"""Beginnings of file names whose frames are not the user's."""


_LIBRARIES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_E = TypeVar("_E", bound=TracingError)


class _Raised(threading.local):
    """Errors raised at something that the user's own code did, in this thread."""

    def __init__(self) -> None:
        self.errors: list[TracingError] = []


RAISED = _Raised()


def remembered(error: _E) -> _E:
    """The error, kept in mind if the user's own code caused it: should that code catch it, the trace is not sound.

    Args:
        error: what is about to be raised.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(INSIDE[0]):
        frame = frame.f_back
    if frame is not None and not frame.f_code.co_filename.startswith((*INSIDE, *_LIBRARIES)):
        RAISED.errors.append(error)
    return error


def user_frame() -> FrameType | None:
    """The innermost frame outside this package, NumPy and SciPy."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(INSIDE):
        frame = frame.f_back
    return frame


def source_line() -> str:
    """The source line of the user's frame, empty if there is no source."""
    frame = user_frame()
    return "" if frame is None else linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()


def where() -> str:
    """The place in the user's code, as ``file:line`` and the line itself."""
    frame = user_frame()
    if frame is None:
        return "outside of any user code"
    text = source_line()
    place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    return f"{place}: `{text}`" if text else place


_BRANCH = (
    "use so.where(condition, a, b) (np.where does the same) or so.ifelse in place of the branch, or np.minimum, "
    "np.maximum, np.clip; to follow the branch taken at one point, detect with so.TracerLocalSparsityDetector()"
)


def missing_primal(needed: str, local: bool = False) -> MissingPrimalError:
    """The error for a traced value that was used where a number is needed.

    Args:
        needed: what was asked for: ``bool``, ``float``, ``int``, ``index``, ``complex``, ``array``.
        local: whether the trace knows primal values and only the derivatives would be lost.
    """
    line = source_line()
    if needed == "bool":
        what, mend = (
            "the truth value of a traced value is needed (if, while, and, or, not, min, max, sorted …)",
            _BRANCH,
        )
    elif needed in ("int", "index"):
        what = "an integer is needed (int, index, range, slice …) and the value depends on x"
        mend = "choose with so.where or interpolate with np.interp; at one point, detect with so.TracerLocalSparsityDetector()"
    else:
        what = f"a plain {'array of numbers' if needed == 'array' else f'{needed} number'} is needed"
        called = re.search(r"\bmath\.(\w+)\s*\(", line)
        if called:
            mend = f"use np.{_NUMPY_NAMES.get(called[1], called[1])} instead of math.{called[1]}"
        elif re.match(r"[^=]*\[[^=]*\]\s*[-+*/]?=[^=]", line):
            mend = "the buffer holds plain floats: make it with np.zeros_like(x, shape=…), or build a list and return np.array(list) or np.stack(list)"
        else:
            mend = "use np.* functions instead of math.* ones, drop float(…), and make buffers with np.zeros_like(x, shape=…)"
        if local:
            mend += "; if the derivatives are meant to be dropped, say so.ignore_derivatives(x)"
    return remembered(MissingPrimalError(f"{what}\n  at {where()}\n  mend: {mend}"))


_NUMPY_NAMES = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "fsum": "sum",
    "dist": "linalg.norm",
    "pow": "power",
}


def unsupported(name: str, mend: str = "") -> UnsupportedOperatorError:
    """The error for a function that tracing does not know."""
    mend = mend or "write it with supported NumPy functions, or wrap the part that cannot be traced with so.custom_op"
    return remembered(UnsupportedOperatorError(f"{name} cannot be traced\n  at {where()}\n  mend: {mend}"))


def foreign() -> TracingError:
    """The error for a traced value of another trace."""
    return TracingError(
        f"a traced value of another trace was used\n  at {where()}\n  mend: the function keeps a traced value between calls "
        "(global, closure, cache, attribute) or traces another function inside itself; make it compute from its arguments alone"
    )
