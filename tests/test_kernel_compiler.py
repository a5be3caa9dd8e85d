"""What Numba makes of kernels needs neither Numba nor Python."""

from __future__ import annotations

import re

import numba
import numpy as np
import pytest

from sct_opt import kernel_compiler
from sct_opt.kernel import external_symbols


@numba.njit(error_model="numpy")
def sums(a, n):  # type: ignore[no-untyped-def]
    out = np.zeros(n)
    for k in range(a.size):
        out[k % n] += np.sin(a[k])
    return out, n


@numba.njit(error_model="numpy")
def every_other(a):  # type: ignore[no-untyped-def]
    return a[::2]


@numba.njit(error_model="numpy")
def words(a):  # type: ignore[no-untyped-def]
    return "words"


def test_only_entry_and_release_are_seen_from_outside() -> None:
    text, returns = kernel_compiler.assembly(sums, ("<f8:1", "int64"))
    assert returns == ["<f8:1", "int64"]
    visible = re.findall(r"^define (?!internal)[^@]*@(\w+)", text, flags=re.MULTILINE)
    assert visible == ["release", "entry"]


def test_only_the_c_library_is_called() -> None:
    text, _ = kernel_compiler.assembly(sums, ("<f8:1", "int64"))
    assert set(external_symbols(text)) <= {"malloc", "free", "madvise", "sin"}


@pytest.mark.parametrize(("function", "words"), [(every_other, "C-contiguous"), (words, "do not return")])
def test_other_results_are_refused(function: object, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        kernel_compiler.assembly(function, ("<f8:1",))


def test_a_scalar_function() -> None:
    text = kernel_compiler.scalar_assembly(lambda a, b, v, which: a + b * v if which == 0 else 0.0)
    assert "define double @entry(double %a, double %b, double %v, i64 %which)" in text
    assert external_symbols(text) == []
