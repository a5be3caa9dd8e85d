"""Machine code for programs: LLVM assembly written as text, loops over vectors of instances.

One kernel evaluates a list of expressions for all instances of a program and writes each result to its positions in an
output array.  Vectors are as wide as the processor allows; functions come from glibc's libmvec where it has them, else
from libm lane by lane.  Instances that do not fill a vector are evaluated together with some that were evaluated
already, whose results are not counted twice; so no table needs padding and nothing is read beyond its end.

Not all of LLVM is run: expressions are hash-consed already, so code goes straight to instruction selection.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sct_opt import machine_code, special_kernels
from sct_opt.machine_code import UnavailableError
from sct_opt.ops import OPS
from sct_opt.programs import driver, table_kernels
from sct_opt.programs.driver import TABLES
from sct_opt.programs.graph import BOOLEAN, Graph
from sct_opt.programs.parallel import Adds, schedule

Array = np.ndarray[Any, Any]

QUICK_WORK = 4_000_000
"""Instructions per evaluation up to which LLVM does not optimise: measured, its code is 5 to 15 % slower then, for a
fifth of the time to compile, because expressions are hash-consed and vectors explicit already."""

MAX_WRITTEN_OUT = 8
"""Results of a kernel at irregular positions that are stored without a loop over lanes: measured, 1.8 times as fast for the
four of the Brusselator; at regular positions the loop is faster."""

CALL = 40
"""Instructions that run in the time of a call into libmvec."""

_INTRINSICS = {"fabs", "sqrt", "floor", "ceil", "trunc", "rint", "copysign"}
_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}


@dataclass(frozen=True, slots=True)
class Output:
    """Where the values of an expression go: to ``out[positions[k]]`` for instance ``k``, stored or added."""

    node: int
    positions: Array
    add: bool


@dataclass(slots=True)
class Kernel:
    """What one function of the module is to do.

    Attributes:
        graph: expressions.
        instances: number of instances.
        outputs: what to evaluate.
        tables: index tables ``(columns, instances)`` of the leaves ``x``, ``p``, ``w``, and numbers ``d``.
        data_column: row of the table of numbers for each leaf ``d``.
        check: report whether some value is not finite.
        nowhere: the position that stands for nothing.
    """

    graph: Graph
    instances: int
    outputs: list[Output]
    tables: dict[str, Array]
    data_column: dict[int, int]
    check: bool
    nowhere: int


@dataclass(frozen=True, slots=True)
class Target:
    """The machine: LLVM's name for the platform, widest vector, functions found in libmvec by width."""

    triple: str
    width: int
    vector_functions: dict[tuple[int, str], str]


@functools.cache
def target() -> Target | None:
    """The machine that code is written for; None where llvmlite is missing or too old."""
    here = machine_code.host()
    if here is None:
        return None
    from llvmlite import binding as llvm  # noqa: PLC0415

    features, triple = here.has, here.triple
    x86 = triple.startswith("x86_64")
    width = (
        8 if x86 and features.get("avx512f") and features.get("avx512dq") else 4 if x86 and features.get("avx2") else 2
    )
    functions: dict[tuple[int, str], str] = {}
    if x86 and "linux" in triple:
        try:
            llvm.load_library_permanently("libmvec.so.1")
        except RuntimeError:
            return Target(triple, width, functions)
        for lanes, letter in ((8, "e"), (4, "d"), (2, "b")):
            if lanes <= width:
                for arity, names in ((1, _MVEC_UNARY), (2, _MVEC_BINARY)):
                    for name in names:
                        symbol = f"_ZGV{letter}N{lanes}{'v' * arity}_{name}"
                        if llvm.address_of_symbol(symbol):
                            functions[lanes, name] = symbol
    return Target(triple, width, functions)


_MVEC_UNARY = (
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "erf", "erfc",
)  # fmt: skip
_MVEC_BINARY = ("pow", "atan2", "hypot")


@functools.cache
def _scalar_symbol(name: str) -> str:
    """Symbol of a function of libm."""
    from llvmlite import binding as llvm  # noqa: PLC0415

    if name not in (*_MVEC_UNARY, *_MVEC_BINARY, "fmod") or not llvm.address_of_symbol(name):
        raise UnavailableError(name)  # by C's name alone "gamma" would be the logarithm of the gamma function
    return name


@functools.cache
def _row_symbol(code: int) -> str:
    """Symbol of the compiled row of a special function; see `sct_opt.special_kernels`."""
    symbol = f"sct_opt_row_{code}"
    machine_code.define_symbol(symbol, special_kernels.row_address(OPS[code]))
    return symbol


class Compiled:
    """Kernels as machine code; the code lives as long as this object.

    Args:
        kernels: what to compile.
        strict: use libm lane by lane even where libmvec has a function.
        threads: how many may run at the same time, where that pays.

    Attributes:
        work: instructions per evaluation, calls weighted.
        parts: how many threads are used.
    """

    def __init__(self, kernels: Sequence[Kernel], strict: bool = False, threads: int = 1) -> None:
        machine = target()
        if machine is None:
            raise UnavailableError("llvmlite")
        declarations: dict[str, str] = {}
        writers = [_Writer(kernel, f"kernel{k}", machine, strict, declarations) for k, kernel in enumerate(kernels)]
        texts = [writer.text() for writer in writers]
        self.work = sum(writer.work for writer in writers)
        scheduled = schedule([writer.adds() for writer in writers], threads) if threads > 1 else None
        self.parts = 1
        if scheduled is None:
            run = driver.serial([[(0, kernel.instances)] for kernel in kernels])
        else:
            self.parts = len(scheduled[0])
            run = driver.parallel(*scheduled)
            declarations |= driver.PTHREADS
        lines = [f'target triple = "{machine.triple}"', *declarations.values(), *texts, *run]
        lines.append('attributes #0 = { nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512" }')
        externals = [name for name in declarations if not name.startswith("llvm.")]
        instructions = sum(writer.instructions * -(-writer.kernel.instances // writer.width) for writer in writers)
        self._code = machine_code.program("\n".join(lines), 2 if instructions > QUICK_WORK else 0, externals)
        pointers = [ctypes.c_void_p] * 5
        self.run = ctypes.CFUNCTYPE(ctypes.c_int, *pointers)(self._code.address("run"))
        # tables are referred to by address: keep them
        self._keep = [[np.ascontiguousarray(kernel.tables[name]) for name in TABLES] for kernel in kernels]
        self._context = np.array([table.ctypes.data for tables in self._keep for table in tables], dtype=np.int64)
        self.context = int(self._context.ctypes.data)


def _steps(table: Array) -> list[int]:
    return table_kernels.strides(table).tolist()  # type: ignore[no-any-return]


class _Writer:
    """Writes one kernel."""

    def __init__(self, kernel: Kernel, name: str, machine: Target, strict: bool, declarations: dict[str, str]) -> None:
        self.kernel = kernel
        self.name = name
        self.vector_functions = {} if strict else machine.vector_functions
        self.declarations = declarations
        self.width = machine.width
        while self.width > kernel.instances:
            self.width //= 2
        self.type = "double" if self.width == 1 else f"<{self.width} x double>"
        self.bits = "i1" if self.width == 1 else f"<{self.width} x i1>"
        self.head: list[str] = []
        self.body: list[str] = []
        self.names: dict[int, str] = {}
        self.fresh = 0
        self.instructions = 0
        self.calls = 0
        kernel.tables["position"] = np.array([output.positions for output in kernel.outputs], dtype=np.int32).reshape(
            len(kernel.outputs), kernel.instances
        )
        self.steps = {kind: _steps(np.ascontiguousarray(kernel.tables[kind])) for kind in ("x", "p", "w", "position")}

    @property
    def work(self) -> int:
        """Instructions of all instances, a call of a function counted as ``CALL``; each takes 0.2 to 0.35 ns."""
        return (self.instructions + CALL * self.calls) * -(-self.kernel.instances // self.width)

    def adds(self) -> Adds:
        """What has to be known to run instances at the same time."""
        adding = [e for e, output in enumerate(self.kernel.outputs) if output.add]
        return Adds(
            self.kernel.instances,
            self.width,
            self.work,
            np.ascontiguousarray(self.kernel.tables["position"][adding]),
            self.kernel.nowhere,
            self.kernel.instances > 1 and any(self.steps["position"][e] == 0 for e in adding),
        )

    def new(self) -> str:
        self.fresh += 1
        return f"%t{self.fresh}"

    def put(self, text: str) -> str:
        name = self.new()
        self.body.append(f"  {name} = {text}")
        return name

    def literal(self, value: float) -> str:
        number = "0x" + struct.pack(">d", value).hex().upper()
        return number if self.width == 1 else "<" + ", ".join([f"double {number}"] * self.width) + ">"

    def text(self) -> str:
        """The function as LLVM assembly."""
        kernel, width = self.kernel, self.width
        outputs = kernel.outputs
        vector, lanes, totals = [], [], []
        for e, output in enumerate(outputs):
            step = self.steps["position"][e]
            if width == 1 or step not in (0, 1):
                lanes.append(e)
            elif step == 0 and output.add:
                totals.append(e)
            elif step == 1:
                vector.append(e)
            else:
                lanes.append(e)
        # A few irregular stores are written out lane by lane; more would take long to compile.
        alone = [e for e in lanes if width > 1 and not outputs[e].add and self.steps["position"][e] < 0]
        apart = alone if len(alone) <= MAX_WRITTEN_OUT else []
        lanes = [e for e in lanes if e not in apart]
        self._values(lanes, vector, totals)
        if kernel.check:
            self._check()
        self.instructions = len(self.body)
        self.calls = sum(" call " in line and "@llvm." not in line for line in self.body)
        index = [
            f"define internal i32 @{self.name}(ptr noalias %ctx, ptr noalias %x, ptr noalias %p, ptr noalias %w, ptr noalias %out, "
            "i64 %start, i64 %stop) #0 {",
            "entry:",
            f"  %last = sub i64 %stop, {width}",
        ]
        for k, table in enumerate(TABLES):
            index += [f"  %q{k} = getelementptr i64, ptr %ctx, i64 {k}", f"  %table_{table} = load ptr, ptr %q{k}"]
        if lanes and width > 1:
            index.append(f"  %scratch = alloca [{len(lanes)} x {self.type}], align 64")
        index += self.head
        index += ["  br label %loop", "loop:"]
        last = "%lanes_done" if lanes and width > 1 else "%loop"
        index.append(f"  %k = phi i64 [ %start, %entry ], [ %next, {last} ]")
        for e in totals:
            index.append(f"  %sum{e} = phi {self.type} [ {self.literal(0.0)}, %entry ], [ %newsum{e}, {last} ]")
        if kernel.check:
            index.append(f"  %finite = phi {self.type} [ {self.literal(0.0)}, %entry ], [ %newfinite, {last} ]")
        index += [
            "  %next = add i64 %k, " + str(width),
            "  %late = icmp sgt i64 %k, %last",
            "  %kk = select i1 %late, i64 %last, i64 %k",
            "  %first = sub i64 %k, %kk",
        ]
        if width > 1 and (totals or any(outputs[e].add for e in vector)):
            ramp = "<" + ", ".join(f"i64 {lane}" for lane in range(width)) + ">"
            index += [
                f"  %firsts0 = insertelement <{width} x i64> poison, i64 %first, i64 0",
                f"  %firsts = shufflevector <{width} x i64> %firsts0, <{width} x i64> poison, <{width} x i32> zeroinitializer",
                f"  %valid = icmp sge <{width} x i64> {ramp}, %firsts",
            ]
        index += self.body
        if lanes and width > 1:
            index += self._lane_loop(lanes)
        index += [
            "  %more = icmp slt i64 %next, %stop",
            "  br i1 %more, label %loop, label %done",
            "done:",
        ]
        index += self._finish(totals)
        return "\n".join([*index, "}"])

    # -- expressions ---------------------------------------------------------------------------------------------

    def _values(self, lanes: list[int], vector: list[int], totals: list[int]) -> None:
        outputs = self.kernel.outputs
        scratch = {e: k for k, e in enumerate(lanes)}
        order = sorted(range(len(outputs)), key=lambda e: outputs[e].node)
        finite: list[str] = []
        for e in order:
            output = outputs[e]
            for i in self.kernel.graph.reachable_from(output.node, self.names):
                self.names[i] = self._emit(i)
            value = self.names[output.node]
            if self.kernel.check and value not in finite:
                finite.append(value)
            if e in scratch and self.width > 1:
                place = self.put(f"getelementptr {self.type}, ptr %scratch, i64 {scratch[e]}")
                self.body.append(f"  store {self.type} {value}, ptr {place}")
            elif e in scratch:
                self._deliver(e, self._place(e, "%kk"), value)
            elif e not in vector and e not in totals:
                for lane in range(self.width):
                    place = self._place(e, self.put(f"add i64 %kk, {lane}"))
                    element = self.put(f"extractelement {self.type} {value}, i64 {lane}")
                    self.body.append(f"  store double {element}, ptr {place}")
            elif e in totals:
                counted = self.put(f"select {self.bits} %valid, {self.type} {value}, {self.type} {self.literal(0.0)}")
                self.body.append(f"  %newsum{e} = fadd {self.type} %sum{e}, {counted}")
            else:
                base = int(output.positions[0])
                at = self.put(f"add i64 %kk, {base}")
                place = self.put(f"getelementptr double, ptr %out, i64 {at}")
                if output.add:
                    counted = self.put(
                        f"select {self.bits} %valid, {self.type} {value}, {self.type} {self.literal(0.0)}"
                    )
                    old = self.put(f"load {self.type}, ptr {place}, align 8")
                    value = self.put(f"fadd {self.type} {old}, {counted}")
                self.body.append(f"  store {self.type} {value}, ptr {place}, align 8")
        self.finite = finite

    def _check(self) -> None:
        total = "%finite"
        for value in self.finite:
            nothing = self.put(f"fsub {self.type} {value}, {value}")
            total = self.put(f"fadd {self.type} {total}, {nothing}")
        self.body.append(f"  %newfinite = fadd {self.type} {total}, {self.literal(0.0)}")

    def _emit(self, i: int) -> str:
        node = self.kernel.graph.nodes[i]
        name, args = node[0], node[1:]
        if name == "lit":
            return self.literal(args[0])
        if name in ("x", "p", "w", "d"):
            return self._load(name, args[0])
        values = [self.names[a] for a in args]
        if name in _ARITHMETIC:
            return self.put(f"{_ARITHMETIC[name]} {self.type} {values[0]}, {values[1]}")
        if name == "neg":
            return self.put(f"fneg {self.type} {values[0]}")
        if name in _COMPARE:
            return self.put(f"fcmp {_COMPARE[name]} {self.type} {values[0]}, {values[1]}")
        if name in ("and", "or"):
            return self.put(f"{name} {self.bits} {values[0]}, {values[1]}")
        if name == "not":
            ones = "true" if self.width == 1 else "<" + ", ".join(["i1 true"] * self.width) + ">"
            return self.put(f"xor {self.bits} {values[0]}, {ones}")
        if name == "select":
            kind = self.bits if self.kernel.graph.nodes[args[1]][0] in BOOLEAN else self.type
            return self.put(f"select {self.bits} {values[0]}, {kind} {values[1]}, {kind} {values[2]}")
        if name.startswith("row:"):
            _, code, which = name.split(":")
            return self._by_lanes(_row_symbol(int(code)), values, int(which))
        return self._function(name, values)

    def _function(self, name: str, values: list[str]) -> str:
        if name == "sign":
            return self._sign(values[0])
        if name == "remainder":
            return self._remainder(*values)
        if name in _INTRINSICS:
            suffix = "f64" if self.width == 1 else f"v{self.width}f64"
            return self._call(f"llvm.{name}.{suffix}", self.type, values)
        symbol = self.vector_functions.get((self.width, name))
        if symbol is not None and self.width > 1:
            return self._call(symbol, self.type, values)
        return self._by_lanes(_scalar_symbol(name), values)

    def _by_lanes(self, symbol: str, values: list[str], which: int | None = None) -> str:
        """Call a scalar function for each lane; rows of special functions take ``which`` besides."""
        extra, kind = ("", "") if which is None else (f", i64 {which}", ", i64")
        self.declarations[symbol] = f"declare double @{symbol}({', '.join(['double'] * len(values))}{kind}) nounwind"

        def call(scalars: list[str]) -> str:
            return self.put(f"call double @{symbol}({', '.join(f'double {scalar}' for scalar in scalars)}{extra})")

        if self.width == 1:
            return call(values)
        out = "poison"
        for lane in range(self.width):
            scalars = [self.put(f"extractelement {self.type} {value}, i64 {lane}") for value in values]
            out = self.put(f"insertelement {self.type} {out}, double {call(scalars)}, i64 {lane}")
        return out

    def _call(self, symbol: str, kind: str, values: list[str]) -> str:
        self.declarations[symbol] = f"declare {kind} @{symbol}({', '.join([kind] * len(values))}) nounwind"
        return self.put(f"call {kind} @{symbol}({', '.join(f'{kind} {value}' for value in values)})")

    def _sign(self, a: str) -> str:
        zero, one, minus = self.literal(0.0), self.literal(1.0), self.literal(-1.0)
        positive = self.put(f"fcmp ogt {self.type} {a}, {zero}")
        negative = self.put(f"fcmp olt {self.type} {a}, {zero}")
        unordered = self.put(f"fcmp uno {self.type} {a}, {a}")
        out = self.put(f"select {self.bits} {negative}, {self.type} {minus}, {self.type} {zero}")
        out = self.put(f"select {self.bits} {positive}, {self.type} {one}, {self.type} {out}")
        return self.put(f"select {self.bits} {unordered}, {self.type} {a}, {self.type} {out}")

    def _remainder(self, a: str, b: str) -> str:
        """Python's and NumPy's remainder: the sign is the divisor's."""
        zero = self.literal(0.0)
        rest = self._function("fmod", [a, b])
        nonzero = self.put(f"fcmp une {self.type} {rest}, {zero}")
        below = self.put(f"fcmp olt {self.type} {b}, {zero}")
        negative = self.put(f"fcmp olt {self.type} {rest}, {zero}")
        differs = self.put(f"xor {self.bits} {below}, {negative}")
        moved = self.put(f"fadd {self.type} {rest}, {b}")
        adjusted = self.put(f"select {self.bits} {differs}, {self.type} {moved}, {self.type} {rest}")
        signed = self._function("copysign", [zero, b])
        return self.put(f"select {self.bits} {nonzero}, {self.type} {adjusted}, {self.type} {signed}")

    # -- leaves ----------------------------------------------------------------------------------------------------

    def _load(self, kind: str, column: int) -> str:
        instances = self.kernel.instances
        if kind == "d":
            at = self.put(f"add i64 %kk, {self.kernel.data_column[column] * instances}")
            place = self.put(f"getelementptr double, ptr %table_d, i64 {at}")
            return self.put(f"load {self.type}, ptr {place}, align 8")
        step = self.steps[kind][column]
        base = int(self.kernel.tables[kind][column, 0])
        if step == 0:
            name = self.new()
            self.head += [
                f"  {name}p = getelementptr double, ptr %{kind}, i64 {base}",
                f"  {name}s = load double, ptr {name}p",
            ]
            if self.width == 1:
                return f"{name}s"
            self.head += [
                f"  {name}i = insertelement {self.type} poison, double {name}s, i64 0",
                f"  {name} = shufflevector {self.type} {name}i, {self.type} poison, <{self.width} x i32> zeroinitializer",
            ]
            return name
        if step == 1:
            at = self.put(f"add i64 %kk, {base}")
            place = self.put(f"getelementptr double, ptr %{kind}, i64 {at}")
            return self.put(f"load {self.type}, ptr {place}, align 8")
        out = "poison"
        if step > 1:
            scaled = self.put(f"mul i64 %kk, {step}")
            start = self.put(f"getelementptr double, ptr %{kind}, i64 {scaled}")
        else:
            at = self.put(f"add i64 %kk, {column * instances}")
            start = self.put(f"getelementptr i32, ptr %table_{kind}, i64 {at}")
        for lane in range(self.width):
            if step > 1:
                place = self.put(f"getelementptr double, ptr {start}, i64 {base + step * lane}")
            else:
                entry = self.put(f"getelementptr i32, ptr {start}, i64 {lane}")
                index = self.put(f"load i32, ptr {entry}")
                wide = self.put(f"sext i32 {index} to i64")
                place = self.put(f"getelementptr double, ptr %{kind}, i64 {wide}")
            value = self.put(f"load double, ptr {place}")
            if self.width == 1:
                return value
            out = self.put(f"insertelement {self.type} {out}, double {value}, i64 {lane}")
        return out

    # -- results -----------------------------------------------------------------------------------------------------

    def _place(self, e: int, instance: str) -> str:
        """Address of a result; instructions go to the body."""
        step = self.steps["position"][e]
        base = int(self.kernel.outputs[e].positions[0])
        if step >= 0:
            at = self.put(f"mul i64 {instance}, {step}")
            at = self.put(f"add i64 {at}, {base}")
        else:
            at = self.put(f"add i64 {instance}, {e * self.kernel.instances}")
            entry = self.put(f"getelementptr i32, ptr %table_position, i64 {at}")
            index = self.put(f"load i32, ptr {entry}")
            at = self.put(f"sext i32 {index} to i64")
        return self.put(f"getelementptr double, ptr %out, i64 {at}")

    def _deliver(self, e: int, place: str, value: str) -> None:
        if self.kernel.outputs[e].add:
            old = self.put(f"load double, ptr {place}")
            value = self.put(f"fadd double {old}, {value}")
        self.body.append(f"  store double {value}, ptr {place}")

    def _lane_loop(self, lanes: list[int]) -> list[str]:
        """Deliver lane by lane what was left in the scratch array."""
        self.body = []
        for k, e in enumerate(lanes):
            at = self.put(f"add i64 %lane, {k * self.width}")
            entry = self.put(f"getelementptr double, ptr %scratch, i64 {at}")
            value = self.put(f"load double, ptr {entry}")
            self._deliver(e, self._place(e, "%instance"), value)
        return [
            "  br label %lanes",
            "lanes:",
            "  %lane = phi i64 [ %first, %loop ], [ %nextlane, %lanes ]",
            "  %instance = add i64 %kk, %lane",
            *self.body,
            "  %nextlane = add i64 %lane, 1",
            f"  %morelanes = icmp slt i64 %nextlane, {self.width}",
            "  br i1 %morelanes, label %lanes, label %lanes_done",
            "lanes_done:",
        ]

    def _finish(self, totals: list[int]) -> list[str]:
        self.body = []
        for e in totals:
            value = self.put(f"extractelement {self.type} %newsum{e}, i64 0")
            for lane in range(1, self.width):
                other = self.put(f"extractelement {self.type} %newsum{e}, i64 {lane}")
                value = self.put(f"fadd double {value}, {other}")
            self._deliver(e, self._place(e, "0"), value)
        if not self.kernel.check:
            return [*self.body, "  ret i32 0"]
        bad = self.put(f"fcmp uno {self.type} %newfinite, {self.literal(0.0)}")
        if self.width > 1:
            word = self.put(f"bitcast {self.bits} {bad} to i{self.width}")
            bad = self.put(f"icmp ne i{self.width} {word}, 0")
        flag = self.put(f"zext i1 {bad} to i32")
        return [*self.body, f"  ret i32 {flag}"]
