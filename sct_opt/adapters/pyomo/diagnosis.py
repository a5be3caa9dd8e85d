"""What can be said about a Pyomo model and its current point, in the model's own names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from sct_opt.adapters.pyomo.model import Translation
from sct_opt.errors import EvaluationError
from sct_opt.nlp import NLP
from sct_opt.pattern import SparsityPattern

Array = np.ndarray[Any, Any]

_SHOWN, _NAMED = 8, 3
_EXPRESSION_LENGTH = 300
# Numerical rank is found with dense linear algebra, so only for problems of at most this many matrix entries.
_DENSE_LIMIT = 1_000_000
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Report:
    """A model seen as an NLP, and what is remarkable about it at its current point.

    Attributes:
        model: name of the model.
        sizes: numbers of variables, constraints, equalities, parameters, nonzeros, tape nodes.
        structures: number of expressions of each distinct structure with an example, largest first.
        undefined: constraints (or the objective) that are not finite at the current point, with their expressions.
        infeasible: violated constraints and by how much, largest violation first.
        at_bounds: variables at a bound, with the bound.
        empty: constraints whose derivatives are structurally zero.
        dependent: equalities that are redundant or contradict others: their Jacobian rows depend on the rest.
        jacobian_pattern: pattern of the constraints' Jacobian.
        hessian_pattern: pattern of the Lagrangian's Hessian.
    """

    model: str
    sizes: dict[str, int]
    structures: list[tuple[int, str]]
    undefined: list[str]
    infeasible: list[tuple[str, float]]
    at_bounds: list[tuple[str, float]]
    empty: list[str]
    dependent: list[str]
    jacobian_pattern: SparsityPattern
    hessian_pattern: SparsityPattern

    def __str__(self) -> str:
        lines = [f"Model {self.model!r}"]
        lines += [f"  {what:<22}{count:>12}" for what, count in self.sizes.items()]
        lines.append(
            f"Structures: {len(self.structures)} distinct ones in {sum(count for count, _ in self.structures)} expressions"
        )
        lines += [f"  {count:>9} like {example}" for count, example in self.structures[:_SHOWN]]
        blocks = (
            ("Undefined at the current point", self.undefined),
            ("Violated constraints", [f"{name}: by {amount:.3g}" for name, amount in self.infeasible]),
            ("Variables at a bound", [f"{name} = {bound:.6g}" for name, bound in self.at_bounds]),
            ("Constraints without derivatives", self.empty),
            ("Equalities that depend on others", self.dependent),
        )
        for title, entries in blocks:
            if entries:
                lines.append(f"{title}: {len(entries)}")
                lines += [f"  {entry}" for entry in entries[:_SHOWN]] + ["  ..."] * (len(entries) > _SHOWN)
        lines += [
            "Jacobian of the constraints",
            str(self.jacobian_pattern),
            "Hessian of the Lagrangian",
            str(self.hessian_pattern),
        ]
        return "\n".join(lines)


def diagnose(nlp: NLP, translation: Translation) -> Report:
    """Look at a model at its current point.

    Args:
        nlp: the model's NLP.
        translation: what connects it with the model.
    """
    x = translation.start()
    lower, upper = translation.variable_bounds()
    values = nlp.constraints(x)
    violation = np.maximum(np.maximum(nlp.cl - values, values - nlp.cu), 0.0)
    scale = np.maximum(1.0, np.abs(np.where(np.isfinite(nlp.cl), nlp.cl, nlp.cu)))
    broken = np.flatnonzero(violation > _TOLERANCE * scale)
    broken = broken[np.argsort(-violation[broken], kind="stable")]
    pattern = nlp.jacobian_pattern
    near = _TOLERANCE * np.maximum(1.0, np.abs(x))
    bounds = np.where(np.abs(x - lower) <= near, lower, np.where(np.abs(x - upper) <= near, upper, np.nan))
    undefined = [expression_of(translation.constraints[i]) for i in np.flatnonzero(~np.isfinite(values))]
    if not np.isfinite(nlp.objective(x)):
        undefined.insert(0, expression_of(translation.objective))
    empty = np.flatnonzero(np.diff(pattern.indptr) == 0)
    return Report(
        model=translation.model.name,
        sizes={
            "variables": nlp.n,
            "constraints": nlp.m,
            "of these equalities": int((nlp.cl == nlp.cu).sum()),
            "parameters": len(translation.parameters),
            "nonzeros of Jacobian": pattern.nnz,
            "nonzeros of Hessian": nlp.hessian_pattern.nnz,
            "nodes of the tape": nlp.tape.size,
        },
        structures=translation.structures,
        undefined=undefined,
        infeasible=[(translation.constraints[i].name, float(violation[i])) for i in broken],
        at_bounds=[(translation.variables[i].name, float(bounds[i])) for i in np.flatnonzero(~np.isnan(bounds))],
        empty=[translation.constraints[i].name for i in empty],
        dependent=[translation.constraints[i].name for i in dependent_rows(nlp, x)],
        jacobian_pattern=pattern,
        hessian_pattern=nlp.hessian_pattern,
    )


def worst_violations(nlp: NLP, translation: Translation, result: Any) -> str:
    """A sentence on the constraints that a result violates most; empty if there are none.

    Args:
        nlp: the problem.
        translation: what connects it with the model.
        result: what the solver returned.
    """
    violation = np.maximum(nlp.cl - result.constraints, result.constraints - nlp.cu)
    worst = np.argsort(-violation, kind="stable")[:_NAMED]
    named = [f"{translation.constraints[i].name} by {violation[i]:.3g}" for i in worst if violation[i] > _TOLERANCE]
    return f"Violated most: {', '.join(named)}." if named else ""


def dependent_rows(nlp: NLP, x: Array) -> list[int]:
    """Equalities whose Jacobian rows depend on those of other equalities.

    Structural dependence is found by a maximum matching of rows and free variables; numerical dependence at ``x`` by a pivoted QR
    factorisation where the problem is small enough for dense linear algebra.

    Args:
        nlp: the problem.
        x: where to look at the Jacobian.
    """
    from scipy.linalg import qr  # noqa: PLC0415
    from scipy.sparse.csgraph import maximum_bipartite_matching  # noqa: PLC0415

    rows = np.flatnonzero(nlp.cl == nlp.cu)
    free = np.flatnonzero(nlp.lb < nlp.ub)
    if rows.size == 0:
        return []
    jacobian = nlp.jacobian_pattern.tocsr().astype(float)
    jacobian.data = nlp.jacobian(x)
    block = jacobian[rows][:, free]
    matched = maximum_bipartite_matching(block, perm_type="column")
    unmatched: list[int] = rows[matched < 0].tolist()
    if unmatched or block.shape[0] * block.shape[1] > _DENSE_LIMIT or not np.isfinite(block.data).all():
        return unmatched
    dense = block.toarray()
    norms = np.linalg.norm(dense, axis=1)
    dense /= np.where(norms > 0.0, norms, 1.0)[:, None]
    _, r, order = qr(dense.T, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(r))
    rank = int((diagonal > 1e-10 * max(1.0, diagonal.max(initial=0.0))).sum())
    return sorted(int(row) for row in rows[order[rank:]])


def expression_of(component: Any) -> str:
    """The name of a constraint or objective, with its expression."""
    if component is None:
        return "the objective"
    text = str(component.expr)
    return f"{component.name}: {text if len(text) <= _EXPRESSION_LENGTH else text[:_EXPRESSION_LENGTH] + ' ...'}"


def with_expression(error: EvaluationError, translation: Translation) -> EvaluationError:
    """The same error with the expression that is undefined added to its message.

    Args:
        error: names a constraint, or the objective.
        translation: the model that it is about.
    """
    message = str(error)
    named = re.search(r"constraint '([^']*)'", message)
    component = translation.objective
    if named is not None:
        component = next((c for c in translation.constraints if c.name == named[1]), None)
    if component is None:
        return error
    return EvaluationError(f"{message}\n{expression_of(component)}")
