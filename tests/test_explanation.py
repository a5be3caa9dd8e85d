"""Explanations name the operations and lines that make an entry structurally nonzero."""

from __future__ import annotations

import numpy as np
import pytest

import sct_opt as so
from sct_opt.errors import PatternError, ProblemError


def model(x):
    angle = x[1] * x[2]
    height = np.sin(angle)
    return np.stack([x[0] + height, x[0] / x[3]])


def test_jacobian_entry_shows_the_chain_with_its_lines() -> None:
    reason = so.explain(model, np.ones(4), 0, 2)
    assert [step.operator for step in reason.chains[0]] == ["mul", "sin", "add"]
    assert "angle = x[1] * x[2]" in reason.chains[0][0].place
    assert "height = np.sin(angle)" in reason.chains[0][1].place
    assert "test_explanation.py:" in str(reason)
    assert str(reason).startswith("entry (0, 2) of the Jacobian is structurally nonzero:\n  x[2]\n  -> mul")


def test_scalar_loops_know_their_lines() -> None:
    def loop(x):
        total = 0.0
        for k in range(3):
            total = total + 2.0 * x[k] ** 2
        return total

    reason = so.explain(loop, np.ones(3), 0, 1)
    assert reason.chains[0][0].operator == "square"
    assert all("total + 2.0" in step.place for step in reason.chains[0])


def test_hessian_entry_names_the_operation_that_couples() -> None:
    reason = so.explain(lambda x: x[0] * np.exp(x[1] + x[2]), np.ones(3), 0, 2, hessian=True)
    assert reason.coupling is not None
    assert reason.coupling.operator == "mul"
    assert [[step.operator for step in chain] for chain in reason.chains] == [[], ["add", "exp"]]
    same = so.explain(lambda x: x[0] * np.exp(x[1] + x[2]), np.ones(3), 1, 2, hessian=True)
    assert same.coupling is not None
    assert same.coupling.operator == "exp"


def test_structural_zeros_have_no_explanation() -> None:
    with pytest.raises(PatternError, match=r"entry \(1, 2\) of the Jacobian is structurally zero"):
        so.explain(model, np.ones(4), 1, 2)
    with pytest.raises(PatternError, match="no nonlinear operation couples"):
        so.explain(lambda x: x[0] + x[1] ** 2, np.ones(2), 0, 1, hessian=True)


def test_every_entry_of_a_pattern_has_an_explanation_and_no_other() -> None:
    def function(x):
        return [np.maximum(x[0], x[1]) * x[2], np.where(x[0] > 0, x[1] ** 2, x[3]), np.sum(x[:2]) ** 2]

    x = np.ones(4)
    pattern = so.jacobian_sparsity(function, x).toarray()
    for i, j in np.ndindex(*pattern.shape):
        if pattern[i, j]:
            assert so.explain(function, x, i, j).chains
        else:
            with pytest.raises(PatternError):
                so.explain(function, x, i, j)
    total = so.hessian_sparsity(lambda x: sum(function(x)), x).toarray()
    for i, j in np.ndindex(*total.shape):
        if total[i, j]:
            assert so.explain(function, x, i, j, hessian=True).coupling is not None
        else:
            with pytest.raises(PatternError):
                so.explain(function, x, i, j, hessian=True)


@pytest.mark.parametrize("provenance", [True, False])
def test_problems_are_explained_by_name_or_index(provenance: bool) -> None:
    nlp = so.from_callables(
        lambda x: x[0] * x[1], np.ones(4), lambda x: model(x), constraint_bounds=(0, 0), provenance=provenance
    )
    by_index = so.explain(nlp, 0, 2)
    by_name = so.explain(nlp, nlp.constraint_names[0], nlp.variable_names[2])
    assert str(by_index) == str(by_name)
    assert ("np.sin(angle)" in str(by_index)) == provenance
    assert ("provenance=True" in str(by_index)) == (not provenance)
    assert so.explain(nlp, 0, 1, hessian=True).coupling is not None


def test_black_boxes_and_linear_problems_from_models() -> None:
    table = so.custom_op(lambda x: x.copy(), pattern=np.eye(2))
    reason = so.explain(lambda x: table(x) * 2.0, np.ones(2), 1, 1)
    assert [step.operator for step in reason.chains[0]] == ["<lambda>", "mul"]


def test_unknown_names_and_indices() -> None:
    nlp = so.from_callables(lambda x: x[0], np.ones(2), lambda x: x, constraint_bounds=(0, 1))
    with pytest.raises(ProblemError, match="there is no 'speed'"):
        so.explain(nlp, "speed", 0)
    with pytest.raises(ProblemError, match="out of range"):
        so.explain(model, np.ones(4), 9, 0)
    with pytest.raises(ProblemError, match="needs x and two indices"):
        so.explain(model, np.ones(4))
    with pytest.raises(ProblemError, match="needs a constraint and a variable"):
        so.explain(nlp, 0)
