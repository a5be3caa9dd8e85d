"""A result is SciPy's, without SciPy."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

from sct_opt.solvers.result import Result

SCRIPT = """
import sys
from sct_opt.solvers.result import Result
result = Result(x=1.0)
assert "scipy.optimize" not in sys.modules
assert isinstance(result, Result) and type(result) is result.__class__ is Result
from scipy.optimize import OptimizeResult
assert isinstance(result, OptimizeResult)
"""


def test_scipy_is_not_loaded_and_recognises_it_later() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)


def test_attributes_are_items() -> None:
    result = Result(x=np.ones(2))
    result.fun = 3.0
    assert result["fun"] == 3.0
    assert "fun" in dir(result)
    del result.fun
    assert "fun" not in result
    with pytest.raises(AttributeError, match="fun"):
        _ = result.fun
    with pytest.raises(AttributeError, match="fun"):
        del result.fun


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda result: pickle.loads(pickle.dumps(result))])
def test_copies(duplicate: object) -> None:
    import scipy.optimize  # noqa: F401, PLC0415 - from here on it passes for SciPy's

    result = duplicate(Result(success=True, message="done"))  # type: ignore[operator]
    assert type(result) is Result
    assert result == {"success": True, "message": "done"}


def test_it_is_shown_as_scipy_shows_it() -> None:
    assert repr(Result(success=True, nit=3)).split() == ["success:", "True", "nit:", "3"]
