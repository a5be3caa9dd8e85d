"""Where Numba keeps compiled kernels, and the word about it when there are none yet."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_LOGGER = logging.getLogger("sct_opt")
_announced = False


def cache_directories(source: Path) -> Iterator[tuple[Path, str]]:
    """Where Numba may cache the kernels of a file.

    Args:
        source: The file.

    Yields:
        Directories, each with a glob prefix for what is below it.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        yield Path(chosen), "**/"
        return
    yield source.parent / "__pycache__", ""
    if sys.platform == "darwin":
        yield Path.home() / "Library" / "Caches" / "numba", "**/"
    else:
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba", "**/"


def announce(source: str) -> None:
    """Say once that kernels are about to be compiled, if none of a module's kernels are cached.

    The word is a warning of the logger ``sct_opt``, which Python prints to standard error unless told otherwise.

    Args:
        source: File of the module.
    """
    global _announced
    if _announced:
        return
    path = Path(source)
    if not any(
        next(directory.glob(f"{prefix}{path.stem}.*.nbi"), None) for directory, prefix in cache_directories(path)
    ):
        _announced = True
        _LOGGER.warning(
            "sct_opt compiles its kernels at their first use, once for this machine; that takes about half a minute."
        )
