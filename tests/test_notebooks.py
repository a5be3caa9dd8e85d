"""The notebooks run, and are stored without output."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_notebook(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs, "stored with output; clear it"
            assert cell.execution_count is None
    with warnings.catch_warnings():
        # Kernels warn about event loops and sockets of their own.
        warnings.simplefilter("ignore")
        asyncio.run(NotebookClient(notebook, timeout=300, kernel_name="python3").async_execute())
    pictures = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert pictures
