"""Stand-ins: functions that are replaced while a trace runs, how they get into place and out again.

`sct_opt.tracing.idioms` says which functions of NumPy and math need one, the modules of `sct_opt.tracing.functions` which of
SciPy.  They are set in the functions' modules and wherever the user's modules hold them by name, and the originals
come back when the last trace ends.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import sysconfig
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from sct_opt import kernel
from sct_opt.tape import TapeBuilder
from sct_opt.tracing.base import TracedBase, find_builder
from sct_opt.tracing.callsite import calls_by_name
from sct_opt.tracing.location import INSIDE

StandIn = tuple[Any, str, Callable[..., Any]]
"""Module or class, attribute, what to put there."""

STAND_INS: list[StandIn] = []
"""Stand-ins for functions of modules that are always loaded."""

_OPTIONAL: dict[tuple[str, str], Callable[..., Any]] = {}
"""Implementations of SciPy functions by module and name, which may be ``Class.method``."""

_MADE: dict[tuple[str, str], StandIn] = {}


_ITERATORS = (types.GeneratorType, map, filter, zip)
"""What may yield traced values, once."""


def by_arguments(original: Callable[..., Any], implementation: Callable[..., Any]) -> Callable[..., Any]:
    """A stand-in that turns to the implementation if an argument is traced."""

    @functools.wraps(original)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], _ITERATORS):
            args = (list(args[0]), *args[1:])
        for value in (*args, *kwargs.values()):
            if isinstance(value, TracedBase) or (
                isinstance(value, (list, tuple, np.ndarray)) and find_builder(value) is not None
            ):
                return implementation(*args, **kwargs)
        return original(*args, **kwargs)

    return dispatch


def replaces(module: str, *names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what a function of an optional module means for traced arguments.

    Only modules that are loaded already are touched: a function that the user calls comes from a loaded module.

    Args:
        module: name of the module.
        names: names of functions, or ``Class.method``.
    """

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            _OPTIONAL[module, name] = implementation
        return implementation

    return register


def _of_loaded_modules() -> list[StandIn]:
    for key, implementation in _OPTIONAL.items():
        if key in _MADE or key[0] not in sys.modules:
            continue
        owner: Any = sys.modules[key[0]]
        *classes, name = key[1].split(".")
        for part in classes:
            owner = getattr(owner, part, None)
        original = None if owner is None else vars(owner).get(name)
        if original is not None:
            _MADE[key] = owner, name, by_arguments(original, implementation)
    return list(_MADE.values())


def untraced(owner: Any, name: str) -> Callable[..., Any]:
    """The original of a method that has a stand-in."""
    method = getattr(owner, name)
    return getattr(method, "__wrapped__", method)  # type: ignore[no-any-return]


_LOCK = threading.RLock()
_CHANGED = threading.Condition(_LOCK)

PATIENCE = 60.0
"""Seconds to wait for the traces of other threads."""


class _Active(threading.local):
    """The builders of the traces that run in this thread, innermost last."""

    def __init__(self) -> None:
        self.builders: list[TapeBuilder] = []


_ACTIVE = _Active()


def builder_for_caller() -> TapeBuilder | None:
    """The running trace if the stand-in was called by user code of its thread."""
    if not _ACTIVE.builders:
        return None
    frame = sys._getframe(2)
    if frame.f_code.co_filename.startswith(INSIDE) or not calls_by_name(frame, *_known()):
        return None
    return _ACTIVE.builders[-1]


@functools.cache
def _known() -> tuple[frozenset[str], frozenset[int]]:
    """Names and ids of the stand-ins for NumPy's functions."""
    found = [(name, stand_in) for owner, name, stand_in in STAND_INS if owner is np]
    return frozenset(name for name, _ in found), frozenset(id(stand_in) for _, stand_in in found)


def _introduce_to_numba() -> None:
    """Let functions that Numba compiles during a trace know the stand-ins as what they stand for."""
    registry = sys.modules.get("numba.core.registry")
    if registry is None or _INTRODUCED:
        return
    target = registry.cpu_target
    if "numba.np.arrayobj" not in sys.modules:
        # before anything is replaced: it registers NumPy's functions by identity
        target.typing_context.refresh()
        target.target_context.refresh()
    context = target.typing_context
    for owner, name, stand_in in STAND_INS:
        numba_type = context._lookup_global(vars(owner).get(name))
        if numba_type is not None and id(stand_in) not in _INTRODUCED:
            context.insert_global(stand_in, numba_type)
            _INTRODUCED.add(id(stand_in))


_INTRODUCED: set[int] = set()

_SITE_PACKAGES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class _Installed:
    """What is replaced at the moment, and how often it was asked for."""

    def __init__(self) -> None:
        self.depth = 0
        self.undo: list[Callable[[], None]] = []
        self.by_id: dict[int, Callable[..., Any]] = {}
        self.traced: list[types.FunctionType] = []

    def enter(self, functions: Iterable[types.FunctionType]) -> None:
        self.depth += 1
        if self.depth == 1:
            self.install()
        for function in functions:
            self.traced.append(function)
            self.rebind_function(function)

    def load_numba(self) -> None:
        """Numba looks NumPy's functions up when it is loaded, which compiling a kernel makes it do: let it see the originals.

        A trace in another thread needs the stand-ins: it may end first.
        """
        with _CHANGED:
            if "numba" in sys.modules:
                return
            own = len(_ACTIVE.builders)
            _CHANGED.wait_for(lambda: self.depth <= own, timeout=PATIENCE)
            self.restore()
            import numba  # noqa: F401, PLC0415

            if self.depth:
                self.install()
            for function in self.traced:
                self.rebind_function(function)

    def install(self) -> None:
        """Put the stand-ins in place."""
        _introduce_to_numba()
        for owner, name, stand_in in [*STAND_INS, *_of_loaded_modules()]:
            original = vars(owner).get(name)
            if original is None or original is stand_in:
                continue
            self.by_id[id(original)] = stand_in
            setattr(owner, name, stand_in)
            self.undo.append(functools.partial(setattr, owner, name, original))
        for name in sys.modules.keys() - _FOREIGN:
            module = sys.modules[name]
            if isinstance(module, types.ModuleType) and _is_users(module):
                self.rebind(vars(module))
            else:
                _FOREIGN.add(name)

    def rebind(self, names: dict[str, Any]) -> None:
        """Replace the originals that a namespace holds by name."""
        by_id = self.by_id
        found = [(name, value) for name, value in list(names.items()) if id(value) in by_id]
        for name, value in found:
            names[name] = by_id[id(value)]
            self.undo.append(functools.partial(names.__setitem__, name, value))

    def rebind_function(self, function: types.FunctionType) -> None:
        """Replace the originals that a function reaches by name."""
        self.rebind(function.__globals__)
        self.rebind_cells(function)

    def rebind_cells(self, function: Any) -> None:
        """Replace the originals that a function closes over."""
        for cell in getattr(function, "__closure__", None) or ():
            try:
                value = cell.cell_contents
            except ValueError:  # not yet filled
                continue
            if id(value) in self.by_id:
                cell.cell_contents = self.by_id[id(value)]
                self.undo.append(functools.partial(setattr, cell, "cell_contents", value))
            elif isinstance(value, types.FunctionType) and value.__globals__ is not function.__globals__:
                self.rebind(value.__globals__)

    def leave(self) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.restore()
            self.traced.clear()
        _CHANGED.notify_all()

    def restore(self) -> None:
        """Put the originals back."""
        for undo in reversed(self.undo):
            undo()
        self.undo.clear()
        self.by_id.clear()


_FOREIGN: set[str] = set()
"""Names of loaded modules that are not the user's."""


def _is_users(module: types.ModuleType) -> bool:
    # vars: modules that load lazily would do so if asked for an attribute
    file = vars(module).get("__file__")
    if file is None:
        return vars(module).get("__name__") == "__main__"
    return file.endswith(".py") and not file.startswith(INSIDE) and not file.startswith(_SITE_PACKAGES)


_INSTALLED = _Installed()
kernel.before_compiling.append(_INSTALLED.load_numba)


@contextlib.contextmanager
def tracing(builder: TapeBuilder, *functions: Any) -> Iterator[None]:
    """Let unchanged NumPy code run traced in this thread until the block ends.

    Args:
        builder: the builder of the trace.
        functions: the functions to be traced, whose modules may hold NumPy's and math's functions by name.
    """
    with _LOCK:
        _INSTALLED.enter(plain for plain in map(_underlying, functions) if plain is not None)
    _ACTIVE.builders.append(builder)
    try:
        yield
    finally:
        _ACTIVE.builders.pop()
        with _LOCK:
            _INSTALLED.leave()


def _underlying(function: Any) -> types.FunctionType | None:
    """The Python function behind methods, partials, decorated functions and callable objects."""
    for _ in range(20):
        if isinstance(function, types.FunctionType):
            wrapped = getattr(function, "__wrapped__", None)
            if wrapped is None:
                return function
            function = wrapped
        elif isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        else:
            function = getattr(type(function), "__call__", None) if function is not None else None  # noqa: B004 - its function is wanted
    return None
