"""Every example runs as a script and prints what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PRINTED = {
    "casadi_opti": "lap time 1.9046",
    "hs071": "f = 17.01401",
    "parameters": "target -2.5: f = 7.912",
    "plain_cyipopt": "f = 19.2956",
    "pyomo_dae": "effort 12.0000",
    "scalar_loop": "Optimal solution found. energy",
    "scipy_least_squares": "exact derivatives:  cost",
}


def test_every_example_is_listed() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(PRINTED)


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_example_prints_its_result(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert PRINTED[name] in done.stdout
    said = [line for line in done.stderr.splitlines() if not line.startswith("sct_opt compiles its kernels")]
    assert said == []
