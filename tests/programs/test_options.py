"""What can be asked of the engine, and that it is done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sct_opt as so


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "fast"}, "no mode 'fast'"),
        ({"threads": 0}, "positive number"),
        ({"threads": True}, "positive number"),
        ({"threads": 2.5}, "positive number"),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(so.SctOptError, match=words):
        so.EngineOptions(**options)


def problem() -> so.NLP:
    return so.from_callables(
        lambda x: np.sum(np.sin(x[1:] * x[:-1])),
        np.linspace(0.1, 1.0, 50),
        constraints=lambda x: np.exp(x[1:]) - x[:-1],
        constraint_bounds=(0.0, None),
    )


def test_all_modes_of_a_problem_agree_and_show() -> None:
    nlp = problem()
    weights = np.cos(np.arange(nlp.m))
    reports, values = [], []
    for options in (
        so.EngineOptions(),
        so.EngineOptions(mode="programs", strict=True),
        so.EngineOptions(mode="compressed"),
        so.EngineOptions(threads=1),
    ):
        nlp.engine = options
        assert nlp.engine is options
        values.append(np.concatenate([nlp.jacobian(nlp.x0), nlp.hessian(nlp.x0, weights, 2.0), nlp.gradient(nlp.x0)]))
        reports.append(nlp.report())
    for other in values[1:]:
        np.testing.assert_allclose(other, values[0], rtol=1e-12, atol=1e-14)
    assert "compiled" in reports[0]
    assert reports[2].startswith("compressed form: 50 outputs")
    assert "colors of the Hessian" in reports[2]


def test_an_engine_is_options() -> None:
    nlp = problem()
    with pytest.raises(so.SctOptError, match="EngineOptions"):
        nlp.engine = "compressed"  # type: ignore[assignment]


def test_options_of_single_derivatives() -> None:
    def f(x: Any) -> Any:
        return np.sin(x[1:] * x[:-1])

    x0 = np.linspace(0.1, 1.0, 30)
    plain = so.SparseJacobian(f, x0)(x0).toarray()
    np.testing.assert_allclose(
        so.SparseJacobian(f, x0, engine=so.EngineOptions(mode="compressed"))(x0).toarray(), plain, rtol=1e-13
    )
    hessian = so.SparseHessian(lambda x: np.sum(f(x)), x0, engine=so.EngineOptions(mode="compressed"))
    np.testing.assert_allclose(
        hessian(x0).toarray(), so.SparseHessian(lambda x: np.sum(f(x)), x0)(x0).toarray(), rtol=1e-12, atol=1e-14
    )


def test_the_report_says_why_something_is_not_compiled() -> None:
    def long(x: Any) -> Any:
        y = x[0]
        for k in range(300):
            y = np.sin(y + x[k % 20])
        return y

    nlp = so.from_callables(long, np.linspace(0.1, 1.0, 20))
    report = nlp.report()
    assert "compressed" in report
    assert "colors of the Hessian" in report
