"""The marker of the long run, which has to be asked for: ``pytest -m sweep tests/properties``."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sweep: ten thousand random programs; runs only if selected by -m")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "sweep" in config.getoption("-m"):
        return
    long = [item for item in items if item.get_closest_marker("sweep")]
    if long:
        items[:] = [item for item in items if not item.get_closest_marker("sweep")]
        config.hook.pytest_deselected(items=long)
