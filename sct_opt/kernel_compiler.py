"""What Numba makes of kernels: LLVM assembly that needs neither Numba nor Python to run.

The only module that imports Numba.  Its text is Numba's, with three changes: the callback that would report errors to Python
is left out, everything but the entry is internal, and memory comes from a few functions of our own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_TYPES = {"bool": types.boolean, "int64": types.int64, "uint64": types.uint64, "float64": types.float64}

# Numba's arrays own a block that begins with a count of references and three more words, then the address of the numbers
# and their size.  Large blocks ask the system for large pages, as NumPy's do: page faults would take most of the time.
_MEMORY = """
declare ptr @malloc(i64)
declare void @free(ptr)
{madvise}
define internal ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) {{
  %wide = zext i32 %align to i64
  %head = add i64 %wide, 48
  %total = add i64 %size, %head
  %over = icmp ult i64 %total, %size
  br i1 %over, label %failed, label %ask
ask:
  %block = call ptr @malloc(i64 %total)
  %none = icmp eq ptr %block, null
  br i1 %none, label %failed, label %fill
failed:
  ret ptr null
fill:
  store i64 1, ptr %block
  %p1 = getelementptr i64, ptr %block, i64 1
  store ptr null, ptr %p1
  %p2 = getelementptr i64, ptr %block, i64 2
  store ptr null, ptr %p2
  %behind = getelementptr i64, ptr %block, i64 6
  %number = ptrtoint ptr %behind to i64
  %up = add i64 %number, %wide
  %down = add i64 %up, -1
  %mask = sub i64 0, %wide
  %place = and i64 %down, %mask
  %data = inttoptr i64 %place to ptr
  %p3 = getelementptr i64, ptr %block, i64 3
  store ptr %data, ptr %p3
  %p4 = getelementptr i64, ptr %block, i64 4
  store i64 %size, ptr %p4
  %p5 = getelementptr i64, ptr %block, i64 5
  store ptr null, ptr %p5
{advise}
}}
define internal void @NRT_MemInfo_call_dtor(ptr %block) {{
  call void @free(ptr %block)
  ret void
}}
define void @release(ptr %block) {{
  %before = atomicrmw sub ptr %block, i64 1 acq_rel
  %last = icmp eq i64 %before, 1
  br i1 %last, label %give, label %keep
give:
  call void @free(ptr %block)
  br label %keep
keep:
  ret void
}}
define i32 @entry(ptr %args, ptr %results) {{
  %value = alloca ptr
  %error = alloca ptr
  %status = call i32 @{native}(ptr %value, ptr %error, ptr %args, ptr %args, ptr %results)
  ret i32 %status
}}
"""

_ADVISE = """
  %large = icmp uge i64 %size, 4194304
  br i1 %large, label %advise, label %done
advise:
  %first = add i64 %place, 4095
  %page = and i64 %first, -4096
  %end = add i64 %place, %size
  %length = sub i64 %end, %page
  %start = inttoptr i64 %page to ptr
  %ignored = call i32 @madvise(ptr %start, i64 %length, i32 14)
  br label %done
done:
  ret ptr %block"""

_LINKAGE = r"(?:linkonce_odr|weak_odr|weak|linkonce|internal|private) "


@intrinsic
def _pointer(typing_context: Any, location: Any, like: Any) -> Any:
    """A number as a pointer to numbers of the type ``like``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.int64, like), generate


@intrinsic
def call_row(typing_context: Any, location: Any, a: Any, b: Any, v: Any, which: Any) -> Any:
    """Call ``double f(double, double, double, int64)`` at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        double, integer = ir.DoubleType(), ir.IntType(64)
        pointer = builder.inttoptr(args[0], ir.FunctionType(double, [double, double, double, integer]).as_pointer())
        return builder.call(pointer, args[1:])

    return types.float64(types.int64, types.float64, types.float64, types.float64, types.int64), generate


def external_function(symbol: str, arity: int) -> Any:
    """A C function of doubles, by its symbol."""
    return types.ExternalFunction(symbol, types.float64(*[types.float64] * arity))


@contextlib.contextmanager
def _enabled() -> Iterator[None]:
    """Numba at work even where the user has told it to leave his own functions alone (``NUMBA_DISABLE_JIT``)."""
    before = numba.config.DISABLE_JIT
    numba.config.DISABLE_JIT = 0
    try:
        yield
    finally:
        numba.config.DISABLE_JIT = before


def dispatcher(function: Any) -> Any:
    """Numba's own object of a function."""
    with _enabled():
        return numba.njit(error_model="numpy")(function)


def _deliverer(returns: list[Any]) -> Any:
    """An intrinsic that writes a kernel's results to an array of words, and notes what they are."""

    @intrinsic
    def deliver(typing_context: Any, results: Any, value: Any) -> Any:
        kinds = list(value.types) if isinstance(value, types.BaseTuple) else [value]
        names = [] if value == types.none else [_name(kind) for kind in kinds]
        returns[:] = [names if isinstance(value, types.BaseTuple) else "".join(names)]

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = ir.IntType(64)
            place = 0

            def put(number: Any) -> None:
                nonlocal place
                builder.store(number, builder.gep(args[0], [ir.Constant(word, place)]))
                place += 1

            for k, kind in enumerate(kinds if names else ()):
                item = builder.extract_value(args[1], k) if isinstance(value, types.BaseTuple) else args[1]
                if isinstance(kind, types.Array):
                    context.nrt.incref(builder, kind, item)
                    array = context.make_array(kind)(context, builder, item)
                    put(builder.ptrtoint(array.meminfo, word))
                    put(builder.ptrtoint(array.data, word))
                    for length in numba.core.cgutils.unpack_tuple(builder, array.shape, kind.ndim):
                        put(length)
                elif isinstance(kind, types.Float):
                    put(builder.bitcast(context.cast(builder, item, kind, types.float64), word))
                else:
                    put(
                        builder.zext(item, word)
                        if kind == types.boolean
                        else context.cast(builder, item, kind, types.int64)
                    )
            return context.get_dummy_value()

        return types.none(results, value), generate

    return deliver


def _name(kind: Any) -> str:
    if isinstance(kind, types.Array):
        if kind.layout != "C":
            raise TypeError("kernels return C-contiguous arrays")
        return f"{np.dtype(numba.np.numpy_support.as_dtype(kind.dtype)).str}:{kind.ndim}"
    if isinstance(kind, types.Integer):
        return "int64" if kind.signed or kind.bitwidth < 64 else "uint64"
    if isinstance(kind, types.Float):
        return "float64"
    if kind == types.boolean:
        return "bool"
    raise TypeError(f"kernels do not return {kind}")


def assembly(function: Any, signature: tuple[str, ...]) -> tuple[str, list[str] | str]:
    """A kernel for given arguments as assembly that defines ``entry(arguments, results)`` and ``release(block)``.

    Args:
        function: Numba's object of the kernel.
        signature: ``"int64"``, ``"uint64"``, ``"float64"``, ``"bool"``, or type and dimensions of an array, as ``"<f8:1"``.

    Returns:
        The assembly, and what the kernel returns: a list for a tuple, ``""`` for None.
    """
    arguments = []
    place = 0
    for kind in signature:
        if ":" in kind:
            dtype, dimensions = kind.split(":")
            shape = "".join(f"words[{place + 1 + k}], " for k in range(int(dimensions)))
            arguments.append(f"carray(pointer(words[{place}], {np.dtype(dtype).name}_), ({shape}))")
            place += 1 + int(dimensions)
            continue
        arguments.append(
            {"bool": f"words[{place}] != 0", "float64": f"numbers[{place}]", "uint64": f"uint64(words[{place}])"}.get(
                kind, f"words[{place}]"
            )
        )
        place += 1
    returns: list[Any] = []
    source = f"def entry(words, numbers, results):\n    deliver(results, function({', '.join(arguments)}))\n"
    namespace: dict[str, Any] = {
        "carray": numba.carray, "pointer": _pointer, "uint64": np.uint64, "function": function, "deliver": _deliverer(returns),
    }  # fmt: skip
    namespace |= {f"{np.dtype(kind.split(':')[0]).name}_": np.dtype(kind.split(":")[0]).type for kind in signature}
    exec(source, namespace)
    pointers = [types.CPointer(kind) for kind in (types.int64, types.float64, types.int64)]
    with _enabled():
        compiled = numba.cfunc(types.void(*pointers), error_model="numpy")(namespace["entry"])
    text, native = _alone(compiled.inspect_llvm())
    linux = "linux" in numba.core.codegen.ll.get_process_triple()
    memory = _MEMORY.format(
        native=native,
        madvise="declare i32 @madvise(ptr, i64, i32)" if linux else "",
        advise=_ADVISE if linux else "  ret ptr %block",
    )
    return text + memory, returns[0]


def scalar_assembly(function: Any) -> str:
    """A function ``float64(float64, float64, float64, int64)`` as assembly that defines ``entry`` with these arguments."""
    with _enabled():
        compiled = numba.cfunc("float64(float64, float64, float64, int64)", error_model="numpy")(function)
    text, native = _alone(compiled.inspect_llvm())
    return (
        text
        + f"""
define double @entry(double %a, double %b, double %v, i64 %which) {{
  %value = alloca double
  %error = alloca ptr
  %status = call i32 @{native}(ptr %value, ptr %error, double %a, double %b, double %v, i64 %which)
  %out = load double, ptr %value
  ret double %out
}}
"""
    )


def _alone(text: str) -> tuple[str, str]:
    """Numba's assembly without the callback for Python and without declarations of what we define; and the native function."""
    begin = text.index("@cfunc.")
    native = re.match(r"@cfunc\.([\w.$]+)\(", text[begin:])
    if native is None:
        raise AssertionError("Numba names its functions in another way than this was written for")
    begin = text.rindex("\ndefine ", 0, begin) + 1
    end = text.index("\n}", begin) + 3
    text = text[:begin] + text[end:]
    text = re.sub(rf"^define (?:{_LINKAGE})?(?:dso_local )?", "define internal ", text, flags=re.MULTILINE)
    text = re.sub(r"^(@\S+ = )(?:common|linkonce_odr|weak) ", r"\1internal ", text, flags=re.MULTILINE)
    text = re.sub(r"^declare [^@]*@(?:NRT_MemInfo_\w+|malloc|free)\(.*$", "", text, flags=re.MULTILINE)
    return text, native[1]
