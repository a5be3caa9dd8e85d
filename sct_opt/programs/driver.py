"""LLVM assembly of the function that runs a module's kernels, in one thread or in several."""

from __future__ import annotations

from collections.abc import Sequence

from sct_opt.programs.parallel import Range

TABLES = ("x", "p", "w", "d", "position")
"""Tables of a kernel, in the order of their pointers in the context."""

PTHREADS = {
    "pthread_create": "declare i32 @pthread_create(ptr, ptr, ptr, ptr)",
    "pthread_join": "declare i32 @pthread_join(i64, ptr)",
}


def _calls(ranges: Sequence[Sequence[Range]], name: str) -> tuple[list[str], str]:
    """Calls of all kernels for some ranges of their instances, and the value that is not zero if a result is not finite."""
    lines = []
    flag = "0"
    for k, own in enumerate(ranges):
        lines.append(f"  %{name}_c{k} = getelementptr i64, ptr %ctx, i64 {k * len(TABLES)}")
        for start, stop in own:
            if start < stop:
                call = f"%{name}_r{k}_{start}"
                lines += [
                    f"  {call} = call i32 @kernel{k}(ptr %{name}_c{k}, ptr %x, ptr %p, ptr %w, ptr %out, i64 {start}, i64 {stop})",
                    f"  %{name}_f{k}_{start} = or i32 {flag}, {call}",
                ]
                flag = f"%{name}_f{k}_{start}"
    return lines, flag


def serial(ranges: Sequence[Sequence[Range]]) -> list[str]:
    """A function ``run`` that runs these instances of each kernel."""
    lines, flag = _calls(ranges, "all")
    return ["define i32 @run(ptr %ctx, ptr %x, ptr %p, ptr %w, ptr %out) #0 {", *lines, f"  ret i32 {flag}", "}"]


def parallel(parts: Sequence[Sequence[Range]], seams: Sequence[Sequence[Range]]) -> list[str]:
    """A function ``run`` that runs a part in each thread, the first in its own, and the seams when all are done.

    Threads live no longer than the evaluation: starting one takes 20 us, and nothing has to be known of forks, pools or
    interpreters.  Where none can be started its part runs here.
    """
    names = ("ctx", "x", "p", "w", "out")
    functions: list[str] = []
    begin: list[str] = []
    end: list[str] = []
    flags = []
    for j in range(1, len(parts)):
        lines, flag = _calls([[own] for own in parts[j]], "part")
        functions += [f"define internal ptr @part{j}(ptr %args) #0 {{"]
        for k, name in enumerate(names):
            functions += [f"  %q{k} = getelementptr i64, ptr %args, i64 {k}", f"  %{name} = load ptr, ptr %q{k}"]
        functions += [
            *lines,
            "  %answer = getelementptr i64, ptr %args, i64 5",
            f"  store i32 {flag}, ptr %answer",
            "  ret ptr null",
            "}",
        ]
        begin += [f"  %args{j} = alloca [6 x i64]", f"  %thread{j} = alloca i64"]
        for k, name in enumerate(names):
            begin += [f"  %p{j}_{k} = getelementptr i64, ptr %args{j}, i64 {k}", f"  store ptr %{name}, ptr %p{j}_{k}"]
        begin += [
            f"  %created{j} = call i32 @pthread_create(ptr %thread{j}, ptr null, ptr @part{j}, ptr %args{j})",
            f"  %none{j} = icmp ne i32 %created{j}, 0",
            f"  br i1 %none{j}, label %here{j}, label %started{j}",
            f"here{j}:",
            f"  %ignored{j} = call ptr @part{j}(ptr %args{j})",
            f"  br label %started{j}",
            f"started{j}:",
        ]
        end += [
            f"  br i1 %none{j}, label %joined{j}, label %join{j}",
            f"join{j}:",
            f"  %id{j} = load i64, ptr %thread{j}",
            f"  %done{j} = call i32 @pthread_join(i64 %id{j}, ptr null)",
            f"  br label %joined{j}",
            f"joined{j}:",
            f"  %answer{j} = getelementptr i64, ptr %args{j}, i64 5",
            f"  %flag{j} = load i32, ptr %answer{j}",
        ]
        flags.append(f"%flag{j}")
    own, own_flag = _calls([[mine] for mine in parts[0]], "own")
    last, last_flag = _calls(seams, "seam")
    total = own_flag
    for k, other in enumerate([*flags, last_flag]):
        last.append(f"  %sum{k} = or i32 {total}, {other}")
        total = f"%sum{k}"
    return [
        *functions, "define i32 @run(ptr %ctx, ptr %x, ptr %p, ptr %w, ptr %out) #0 {",
        *begin, *own, *end, *last, f"  ret i32 {total}", "}",
    ]  # fmt: skip
