"""Freed memory is kept while a large problem is solved, and given back after that."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sct_opt import memory


class Libc:
    """Notes what it is asked for."""

    most = 1 << 31

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def mallopt(self, what: int, value: int) -> int:
        self.asked.append(("mallopt", (what, value)))
        return int(value <= self.most)

    def malloc_trim(self, pad: int) -> int:
        self.asked.append(("malloc_trim", pad))
        return 1


@pytest.fixture
def libc(monkeypatch: pytest.MonkeyPatch) -> Libc:
    libc = Libc()
    monkeypatch.setattr(memory, "_libc", lambda: libc)
    return libc


KEEP = [("mallopt", (-3, 1 << 30)), ("mallopt", (-1, 1 << 30))]
USUAL = [("mallopt", (-3, 1 << 25)), ("mallopt", (-1, 1 << 26))]


def test_large_problems(libc: Libc) -> None:
    with memory.kept(10**6, release=True):
        assert libc.asked == KEEP
    assert libc.asked == [*KEEP, *USUAL, ("malloc_trim", 0)]


def test_small_problems(libc: Libc) -> None:
    with memory.kept(100):
        pass
    assert libc.asked == []


def test_older_libraries_take_less(libc: Libc) -> None:
    libc.most = 1 << 25
    with memory.kept(10**6):
        assert libc.asked[:2] == [("mallopt", (-3, 1 << 30)), ("mallopt", (-3, 1 << 25))]


def test_nested_and_concurrent_use(libc: Libc) -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with memory.kept(10**6):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with memory.kept(10**6), memory.kept(10**6):
        thread.start()
        inside.wait(10)
    assert libc.asked == KEEP  # the other one still goes on
    leave.set()
    thread.join()
    assert libc.asked == [*KEEP, *USUAL]


def test_errors_pass_through(libc: Libc) -> None:
    with pytest.raises(KeyError), memory.kept(10**6):
        raise KeyError
    assert libc.asked == [*KEEP, *USUAL]


def test_other_c_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert memory._libc.__wrapped__() is None
    with memory.kept(10**6):
        pass
