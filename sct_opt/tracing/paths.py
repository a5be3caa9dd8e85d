"""Branches on traced conditions, followed both ways: one trace for every path through a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sct_opt.errors import SctOptError, TracingError
from sct_opt.tape import ConstantsPolicy, TapeBuilder
from sct_opt.tracing.location import where

_T = TypeVar("_T")


class _PathBuilder(TapeBuilder):
    """A builder that answers the questions of ``if`` and ``while`` by a list of decisions, then always by yes."""

    __slots__ = ("decisions", "max_paths", "prefix")

    def __init__(self, constants: ConstantsPolicy, prefix: list[bool], max_paths: int) -> None:
        super().__init__(constants)
        self.prefix = prefix
        self.decisions: list[bool] = []
        self.max_paths = max_paths

    def truth(self, node: int) -> bool:
        """The decision for the next branch on this path."""
        k = len(self.decisions)
        if k >= self.max_paths:
            raise _too_many(self.max_paths)
        self.decisions.append(self.prefix[k] if k < len(self.prefix) else True)
        return self.decisions[-1]


def _too_many(max_paths: int) -> TracingError:
    return TracingError(
        f"the function has more than {max_paths} paths through its branches\n  at {where()}\n"
        "  mend: replace branches in loops by so.where or np.minimum and np.maximum, raise max_paths if their number is "
        "bounded, or detect at one point with so.TracerLocalSparsityDetector()"
    )


def follow_paths(trace: Callable[[TapeBuilder], _T], constants: ConstantsPolicy, max_paths: int) -> list[_T]:
    """Trace a function once for every path through its branches on traced conditions.

    Both outcomes of each condition are followed, whether or not some input leads there.  A path on which the function
    raises an exception of its own has no output and counts for nothing, unless all paths are like that.

    Args:
        trace: traces the function with the builder it gets.
        constants: the builders' policy.
        max_paths: more paths than that are refused.

    Returns:
        What `trace` returned for each path.

    Raises:
        TracingError: there are too many paths, or the function cannot be traced for another reason.

    >>> from sct_opt.tracing.trace import trace_function
    >>> f = lambda x: x[0] if x[1] > 0 else x[2]
    >>> len(follow_paths(lambda builder: trace_function(f, [1.0, 2.0, 3.0], builder=builder), "exact", 10))
    2
    """
    results: list[_T] = []
    prefix: list[bool] = []
    failure: Exception | None = None
    paths = 0
    while True:
        paths += 1
        if paths > max_paths:
            raise _too_many(max_paths)
        builder = _PathBuilder(constants, prefix, max_paths)
        try:
            results.append(trace(builder))
        except SctOptError:
            raise
        except Exception as error:
            failure = error
        prefix = builder.decisions
        while prefix and not prefix[-1]:
            prefix.pop()
        if not prefix:
            break
        prefix[-1] = False
    if not results and failure is not None:
        raise failure
    return results
