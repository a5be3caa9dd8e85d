"""Kernels: functions that Numba compiles once per machine, and that later processes run without Numba.

Importing Numba and letting it load its own cache takes half a second, as long as IPOPT needs for a problem of ten thousand
variables.  So Numba only translates: what it makes of a kernel for given argument types is kept as an object file
(`sct_opt.machine_code`) and loaded by LLVM alone.  The file's name is a digest of the kernel, of all that it calls and of the
constants that it uses, so a changed kernel is a new one.

Kernels take C-contiguous arrays and numbers; they return None, a number, an array or a tuple of these, and raise nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import logging
import os
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sct_opt import machine_code

Array = np.ndarray[Any, Any]

_LOGGER = logging.getLogger("sct_opt")

_ENTRY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)  # gives up the interpreter's lock

_SCALARS: tuple[tuple[tuple[Any, ...], str], ...] = (
    ((bool, np.bool_), "bool"),
    ((int, np.signedinteger, np.uint8, np.uint16, np.uint32), "int64"),
    ((np.uint64,), "uint64"),
    ((float, np.floating), "float64"),
)


before_compiling: list[Callable[[], None]] = []
"""What has to be called before Numba is loaded."""


_PLAIN = {int: "int64", float: "float64", bool: "bool"}
_ARRAYS: dict[tuple[str, int], str] = {}


class Kernel:
    """A function that is compiled for the types of its arguments at the first call.

    Args:
        function: what Numba can compile, calling other kernels if need be.

    >>> @kernel
    ... def halves(a):
    ...     out = np.empty(a.size)
    ...     for k in range(a.size):
    ...         out[k] = a[k] / 2
    ...     return out, a.size
    >>> halves(np.array([1.0, 2.0]))
    (array([0.5, 1. ]), 2)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._loaded: dict[tuple[str, ...], _Loaded] = {}
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        """Run it."""
        return self.bind(*args)()

    def bind(self, *args: Any) -> Bound:
        """The kernel with these very arguments, for repeated calls: arrays are read where they are, at each call."""
        words: list[int | float] = []
        signature = tuple([_described(value, words) for value in args])
        loaded = self._loaded.get(signature)
        if loaded is None:
            loaded = self._loaded[signature] = self._load(signature)
        return Bound(loaded, words, args)

    @functools.cached_property
    def fingerprint(self) -> bytes:
        """Digest of the code, of the constants that it uses and of the kernels that it calls."""
        found = hashlib.sha256()
        for part in _parts(self.function):
            found.update(part + b"\0")
        return found.digest()

    @functools.cached_property
    def dispatcher(self) -> Any:
        """Numba's own object of this function, in which other kernels are their own objects, too."""
        from sct_opt import kernel_compiler  # noqa: PLC0415 - imports Numba

        function = self.function
        namespace = {
            name: value.dispatcher if isinstance(value, (Kernel, Late)) else value
            for name, value in function.__globals__.items()
            if name in function.__code__.co_names
        }
        namespace["__name__"] = function.__module__
        copy = types.FunctionType(function.__code__, namespace, function.__name__, None, function.__closure__)
        return kernel_compiler.dispatcher(copy)

    def _load(self, signature: tuple[str, ...]) -> _Loaded:
        name = f"{self.function.__name__}-{machine_code.digest(self.fingerprint, _compiler(), *signature)}"

        def translate() -> tuple[str, dict[str, Any]]:
            from sct_opt import kernel_compiler  # noqa: PLC0415 - imports Numba

            text, returns = kernel_compiler.assembly(self.dispatcher, signature)
            return text, {"returns": returns}

        return _Loaded(self.function.__name__, *_code(name, translate))


def _code(name: str, translate: Callable[[], tuple[str, dict[str, Any]]]) -> tuple[machine_code.Code, dict[str, Any]]:
    """Machine code by its name on disk, or made from what ``translate`` returns: assembly, and a header to be kept with it."""
    found = machine_code.read("kernels", name)
    if found is not None:
        header, data = found
        # A library may have changed since: then it is compiled anew.
        with contextlib.suppress(machine_code.UnavailableError):
            return machine_code.Code(data, header["externals"]), header
    announce()
    for prepare in before_compiling:
        prepare()
    text, header = translate()
    header["externals"] = external_symbols(text)
    foreign = [symbol for symbol in header["externals"] if symbol.startswith(("numba_", "NRT_", "Py"))]
    if foreign:  # it would run in this process, but not in one without Numba
        raise AssertionError(f"kernel {name} calls {', '.join(foreign)}, which only Numba has")
    data = machine_code.compile_assembly(text, 2)
    machine_code.write("kernels", name, header, data)
    return machine_code.Code(data, header["externals"]), header


def scalar_function(function: Callable[..., float]) -> int:
    """Address of ``double f(double, double, double, int64)``, compiled from a function as kernels are; it stays for good."""
    own = Kernel(function)
    name = f"{function.__name__}-{machine_code.digest(own.fingerprint, _compiler(), 'scalar')}"

    def translate() -> tuple[str, dict[str, Any]]:
        from sct_opt import kernel_compiler  # noqa: PLC0415 - imports Numba

        return kernel_compiler.scalar_assembly(own.dispatcher.py_func), {}

    code, _ = _code(name, translate)
    _KEPT.append(code)
    return code.address("entry")


_KEPT: list[machine_code.Code] = []


def kernel(function: Callable[..., Any]) -> Kernel:
    """Decorate a function that Numba is to compile; see `Kernel`."""
    return Kernel(function)


class Late:
    """Something in a kernel's namespace that only Numba can make, such as an intrinsic.

    Args:
        name: what it is, for the fingerprint of kernels that use it.
        make: makes it.
    """

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self.name = name
        self._make = make

    @functools.cached_property
    def dispatcher(self) -> Any:
        """What Numba is to see."""
        return self._make()


class _Loaded:
    """Machine code of one kernel for one signature."""

    def __init__(self, name: str, code: machine_code.Code, header: dict[str, Any]) -> None:
        self.name = name
        self.returns: list[str] | str = header["returns"]
        # An array is its block, its data and its shape.
        kinds = [self.returns] if isinstance(self.returns, str) else self.returns
        self.words = 1 + sum(2 + int(kind.partition(":")[2]) if ":" in kind else 1 for kind in kinds)
        self._code = code
        self.run = _ENTRY(self._code.address("entry"))
        self.free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._code.address("release"))


class Bound:
    """A kernel with its arguments."""

    __slots__ = ("_addresses", "_kept", "_loaded", "_results", "_words")

    def __init__(self, loaded: _Loaded, words: list[int | float], kept: tuple[Any, ...]) -> None:
        self._loaded = loaded
        self._kept = kept
        self._words = np.empty(len(words) + 1, dtype=np.int64)
        if float in map(type, words):
            as_float = self._words.view(np.float64)
            for k, word in enumerate(words):
                (as_float if type(word) is float else self._words)[k] = word
        else:
            self._words[:-1] = words
        self._results = np.empty(loaded.words, dtype=np.int64)
        self._addresses = address(self._words), address(self._results)

    def __call__(self) -> Any:
        """Run it."""
        loaded = self._loaded
        if loaded.run(*self._addresses):
            raise MemoryError(f"kernel {loaded.name!r} ran out of memory")
        if loaded.returns == "":
            return None
        words = iter(self._results)
        if isinstance(loaded.returns, str):
            return self._taken(loaded.returns, words)
        return tuple([self._taken(kind, words) for kind in loaded.returns])

    def _taken(self, kind: str, words: Iterator[Any]) -> Any:
        if kind == "int64":
            return int(next(words))
        if kind == "uint64":
            return np.uint64(next(words).view(np.uint64))
        if kind == "bool":
            return bool(next(words))
        if kind == "float64":
            return float(next(words).view(np.float64))
        dtype, dimensions = kind.split(":")
        block, data = int(next(words)), int(next(words))
        shape = tuple([int(next(words)) for _ in range(int(dimensions))])
        # An array that is part of an argument has no block of its own: it is the argument that has to stay.
        return np.asarray(_Memory(block, data, shape, dtype, self._loaded if block else self._kept))


class _Memory:
    """Memory that a kernel has allocated, freed with the last array that looks at it.

    Args:
        block: what is to be freed, 0 for nothing.
        data: where the numbers lie.
        shape: how many.
        dtype: their type.
        owner: the kernel that frees the block, or what the memory belongs to.
    """

    __slots__ = ("__array_interface__", "_block", "_owner")

    def __init__(self, block: int, data: int, shape: tuple[int, ...], dtype: str, owner: Any) -> None:
        self._block, self._owner = block, owner
        self.__array_interface__ = {"version": 3, "data": (data, False), "shape": shape, "typestr": dtype}

    def __del__(self) -> None:
        if self._block:
            self._owner.free(self._block)


def address(array: Array) -> int:
    """Where an array's numbers lie."""
    return int(array.__array_interface__["data"][0])


def _described(value: Any, words: list[int | float]) -> str:
    """The type of an argument; what machine code is to know of it goes to ``words``."""
    if isinstance(value, np.ndarray):
        dtype = value.dtype
        if not value.flags.c_contiguous or not dtype.isnative:
            raise TypeError("kernels take C-contiguous arrays of the machine's own byte order")
        words.append(address(value))
        words += value.shape
        key = dtype.char, value.ndim
        return _ARRAYS.get(key) or _ARRAYS.setdefault(key, f"{dtype.str}:{value.ndim}")
    plain = _PLAIN.get(type(value))
    if plain is not None:
        words.append(value)
        return plain
    for kinds, name in _SCALARS:
        if isinstance(value, kinds):
            if name == "float64":
                words.append(float(value))
            else:
                number = int(value)
                words.append(number - (1 << 64) if number >= 1 << 63 else number)
            return name
    raise TypeError(f"kernels take arrays and numbers, not {type(value).__name__}")


def _parts(function: Any) -> Iterator[bytes]:
    code = function.__code__
    yield code.co_code
    constants = [value for value in code.co_consts if value is not function.__doc__]
    if any(isinstance(value, types.CodeType) for value in constants):
        raise TypeError(f"kernel {function.__name__!r} holds a function, of which no fingerprint can be taken")
    yield repr(constants).encode()
    yield repr((code.co_names, code.co_varnames, code.co_argcount)).encode()
    for cell in function.__closure__ or ():
        yield _value(cell.cell_contents)
    for name in code.co_names:
        if name in function.__globals__:
            yield _value(function.__globals__[name])


def _value(value: Any) -> bytes:
    if isinstance(value, Kernel):
        return value.fingerprint
    if isinstance(value, Late):
        return value.name.encode()
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}".encode() + bytes(value.tobytes())
    if isinstance(value, (int, float, str, bytes, tuple, np.generic)):
        return repr(value).encode()
    name = getattr(value, "__name__", None)
    if name is None:
        raise TypeError(f"a kernel uses {value!r}, of which no fingerprint can be taken")
    return f"{getattr(value, '__module__', '')}.{name}".encode()


_HARMLESS = {"NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER"}
"""Settings of Numba that change nothing about its code."""


@functools.cache
def _compiler() -> bytes:
    """What identifies the compiler, without importing it: Numba's version and settings, and what we make of its output."""
    here = Path(__file__)
    parts = [here.with_name(name).read_bytes() for name in ("kernel.py", "kernel_compiler.py", "machine_code.py")]
    spec = importlib.util.find_spec("numba")
    files = [Path(".numba_config.yaml")]
    if spec is not None and spec.origin is not None:
        files.append(Path(spec.origin).with_name("_version.py"))
    for file in files:
        with contextlib.suppress(OSError):
            parts.append(file.read_bytes())
    parts += [
        f"{name}={value}".encode()
        for name, value in sorted(os.environ.items())
        if name.startswith("NUMBA_") and name not in _HARMLESS
    ]
    return hashlib.sha256(b"\0".join(parts)).digest()


def external_symbols(text: str) -> list[str]:
    """Symbols that an assembly refers to and does not define, LLVM's own apart."""
    names = re.findall(r'^declare [^@]*@"?([\w.$]+)"?\(', text, flags=re.MULTILINE)
    return [
        name
        for name in names
        if not name.startswith("llvm.") and len(re.findall(rf'@"?{re.escape(name)}"?\b', text)) > 1
    ]


@functools.cache
def announce() -> None:
    """Say once that kernels are about to be compiled.

    The word is a warning of the logger ``sct_opt``, which Python prints to standard error unless told otherwise.
    """
    _LOGGER.warning(
        "sct_opt compiles its kernels at their first use, once for this machine; that takes about half a minute."
    )
