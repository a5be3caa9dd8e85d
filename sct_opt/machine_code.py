"""Machine code: LLVM assembly compiled for the processor at hand, kept on disk, and loaded again without compiling.

Kernels (`sct_opt.kernel`) and programs (`sct_opt.programs`) both come here.  A stored file is a digest of what follows, a line of
JSON, and an object file; its name is a digest of all that it was made from, so that nothing has to be invalidated.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sct_opt.errors import MissingDependencyError

_LOGGER = logging.getLogger("sct_opt")

MAX_STORED = 1024
"""Files of a kind kept on disk; those not used for longest go first."""

_DIGEST = 32


class UnavailableError(MissingDependencyError):
    """This machine cannot compile or load code, or lacks a function that the code calls."""


@dataclass(frozen=True, slots=True)
class Host:
    """The processor that code is written for.

    Attributes:
        triple: LLVM's name for the platform.
        cpu: LLVM's name for the processor.
        features: its features as LLVM takes them.
        has: its features by name.
        identity: digest of all this and of the version of LLVM.
    """

    triple: str
    cpu: str
    features: str
    has: dict[str, bool]
    identity: bytes


@functools.cache
def host() -> Host | None:
    """The machine that this process runs on; None where llvmlite is missing or too old."""
    try:
        import llvmlite  # noqa: PLC0415
        from llvmlite import binding as llvm  # noqa: PLC0415

        if llvm.llvm_version_info[0] < 16:
            return None
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        features = llvm.get_host_cpu_features()
        triple, cpu, flat = llvm.get_process_triple(), llvm.get_host_cpu_name(), features.flatten()
    except (ImportError, RuntimeError, AttributeError):
        return None
    identity = hashlib.sha256("\0".join((triple, cpu, flat, llvmlite.__version__)).encode()).digest()
    return Host(triple, cpu, flat, dict(features), identity)


def _machine(optimise: int) -> Any:
    """A new target machine; an engine takes it over."""
    from llvmlite import binding as llvm  # noqa: PLC0415

    here = host()
    if here is None:
        raise UnavailableError("sct_opt needs llvmlite 0.45 or newer: pip install --upgrade numba llvmlite")
    target = llvm.Target.from_triple(here.triple)
    return target.create_target_machine(cpu=here.cpu, features=here.features, opt=optimise, jit=True)


def define_symbol(name: str, address: int) -> None:
    """Let code refer to what lies at an address by a name."""
    from llvmlite import binding as llvm  # noqa: PLC0415

    llvm.add_symbol(name, address)


def compile_assembly(text: str, optimise: int) -> bytes:
    """LLVM assembly to an object file.

    Args:
        text: the assembly.
        optimise: effort of the code generator, 0 to 3; the assembly itself is taken as it is.

    Raises:
        UnavailableError: LLVM refuses it.
    """
    from llvmlite import binding as llvm  # noqa: PLC0415

    try:
        module = llvm.parse_assembly(text)
        module.verify()
        return bytes(_machine(optimise).emit_object(module))
    except RuntimeError as error:
        raise UnavailableError(f"LLVM refused a program: {error}") from error


class Code:
    """A loaded object file; its functions may be called as long as this object lives.

    Args:
        data: the object file.
        externals: symbols that it refers to.

    Raises:
        UnavailableError: A symbol is not to be found in this process.
    """

    def __init__(self, data: bytes, externals: Iterable[str] = ()) -> None:
        from llvmlite import binding as llvm  # noqa: PLC0415

        # Only an engine makes LLVM look for symbols in this process, and where one is missing LLVM ends the process.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(0))
        for name in externals:
            if not llvm.address_of_symbol(name):
                raise UnavailableError(f"there is no function {name!r} here")
        try:
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(data))
            self._engine.finalize_object()
        except RuntimeError as error:
            raise UnavailableError(f"LLVM refused an object file: {error}") from error

    def address(self, name: str) -> int:
        """Address of a function."""
        return int(self._engine.get_function_address(name))


# -- on disk -------------------------------------------------------------------------------------------------------------


def directory() -> Path:
    """Where machine code is kept: ``SCT_OPT_CACHE_DIR``, or the user's folder for such things."""
    chosen = os.environ.get("SCT_OPT_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sct_opt"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sct_opt"


def digest(*parts: bytes | str) -> str:
    """A name for what is made from these parts on this machine."""
    here = host()
    found = hashlib.sha256(here.identity if here is not None else b"")
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()[:32]


def read(kind: str, name: str) -> tuple[dict[str, Any], bytes] | None:
    """What was written under this name: a header and an object file; None if nothing whole is there."""
    try:
        file = directory() / kind / name
        data = file.read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: nobody's home
        return None
    if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
        return None
    with contextlib.suppress(OSError):
        os.utime(file)
    end = data.index(b"\n", _DIGEST)
    return json.loads(data[_DIGEST:end]), data[end + 1 :]


def write(kind: str, name: str, header: dict[str, Any], data: bytes) -> None:
    """Keep an object file; says once if that cannot be done."""
    import tempfile  # noqa: PLC0415 - slow to import, and needed only after compiling

    body = json.dumps(header).encode() + b"\n" + data
    temporary = ""
    try:
        folder = directory() / kind
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".")
        with os.fdopen(handle, "wb") as stream:
            stream.write(hashlib.sha256(body).digest() + body)
        os.replace(temporary, folder / name)  # whole or not at all, whoever else writes it
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        reason = getattr(error, "strerror", None) or str(error)
        _say_once(f"compiled code cannot be kept on disk ({reason}); set SCT_OPT_CACHE_DIR to a folder where it can")
    else:
        _forget_oldest(folder)


def _forget_oldest(folder: Path) -> None:
    """Other processes may do the same at the same time."""
    with contextlib.suppress(OSError):
        paths = [entry.path for entry in os.scandir(folder)]
        if len(paths) > MAX_STORED:
            ages = []
            for path in paths:
                with contextlib.suppress(OSError):
                    ages.append((os.stat(path).st_mtime, path))
            for _, path in sorted(ages)[: max(0, len(ages) - MAX_STORED // 2)]:
                with contextlib.suppress(OSError):
                    os.unlink(path)


@functools.cache
def _say_once(text: str) -> None:
    _LOGGER.warning(text)


WORTH_KEEPING = 2e-3
"""Seconds that compiling has to take for its result to be kept: reading it again takes a third of a millisecond."""


def program(text: str, optimise: int, externals: Iterable[str]) -> Code:
    """Machine code of an assembly, from disk if it was compiled before.

    Args:
        text: the assembly.
        optimise: effort of the code generator.
        externals: symbols that it refers to.

    Raises:
        UnavailableError: It cannot be compiled or loaded.
    """
    name = digest(text, str(optimise))
    found = read("programs", name)
    if found is not None:
        return Code(found[1], externals)
    start = time.perf_counter()
    data = compile_assembly(text, optimise)
    if time.perf_counter() - start > WORTH_KEEPING:
        write("programs", name, {}, data)
    return Code(data, externals)
