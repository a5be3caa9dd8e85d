"""Memory that is freed while a problem is set up or solved stays with the process until that is done.

The C library of Linux gives large blocks back to the system as soon as they are freed, and pages that are asked for again come
one by one, zeroed.  Arrays of a large problem and the vectors of IPOPT come and go hundreds of times; measured on
Lukšan–Vlček 5.1 with 100 000 variables, a sixth of IPOPT's own time goes into that.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from collections.abc import Iterator
from typing import Any

LARGE = 50_000
"""Numbers in the arrays of a problem from which on it is worth it."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 1 << 30
# What glibc arrives at by itself when a block of 32 MiB has been freed: blocks up to there come from the heap, whose
# end is given back when 64 MiB of it are free.
_USUAL_MMAP, _USUAL_TRIM = 1 << 25, 1 << 26

_lock = threading.Lock()
_depth = 0


@functools.cache
def _libc() -> Any:
    """The C library, if it is glibc."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version") else None


def _thresholds(libc: Any, mmap: int, trim: int) -> None:
    if not libc.mallopt(_MMAP_THRESHOLD, mmap):  # glibc before 2.35 takes no more than this
        libc.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP)
    libc.mallopt(_TRIM_THRESHOLD, trim)


@contextlib.contextmanager
def kept(size: int, release: bool = False) -> Iterator[None]:
    """Keep freed memory until the block ends.

    Args:
        size: numbers in the arrays at hand; for few nothing is done.
        release: give back all of it at the end, rather than leave it to what comes next.

    >>> with kept(10_000_000):
    ...     total = sum(range(10))
    """
    global _depth
    libc = _libc() if size >= LARGE else None
    if libc is None:
        yield
        return
    with _lock:
        _depth += 1
        if _depth == 1:
            _thresholds(libc, _NEVER, _NEVER)
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _thresholds(libc, _USUAL_MMAP, _USUAL_TRIM)
                if release:
                    libc.malloc_trim(0)
