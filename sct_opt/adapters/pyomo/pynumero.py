"""A Pyomo model as PyNumero's algorithms want it, evaluated by sct_opt instead of the AMPL solver library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyomo.common.collections import ComponentMap
from pyomo.contrib.pynumero.interfaces.nlp import ExtendedNLP
from scipy.sparse import coo_matrix

from sct_opt.adapters.pyomo import build
from sct_opt.adapters.pyomo.solution import load_variables
from sct_opt.errors import ModelError, ShapeError

Array = np.ndarray[Any, Any]


class PyomoNLP(ExtendedNLP):  # type: ignore[misc]
    """PyNumero's `ExtendedNLP` for a Pyomo model; a stand-in for its own ``PyomoNLP`` that needs no ASL.

    Values of the objective, and of its derivatives, are those of a minimisation: negated where the model maximises.

    Args:
        model: A ConcreteModel or Block with one active objective.

    Raises:
        ModelError: The model cannot be solved as it is.

    Examples:
        >>> import pyomo.environ as pyo
        >>> model = pyo.ConcreteModel()
        >>> model.x = pyo.Var([1, 2], initialize=2)
        >>> model.circle = pyo.Constraint(expr=model.x[1] ** 2 + model.x[2] ** 2 == 1)
        >>> model.cost = pyo.Objective(expr=model.x[1] * model.x[2])
        >>> nlp = PyomoNLP(model)
        >>> nlp.evaluate_jacobian_eq().toarray(), nlp.evaluate_eq_constraints()
        (array([[4., 4.]]), array([7.]))
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._nlp, self._translation = build(model)
        nlp = self._nlp
        self._model = model
        self._equality = nlp.cl == nlp.cu
        # Equalities become g(x) - bound = 0, as PyNumero expects.
        self._offset = np.where(self._equality, nlp.cl, 0.0)
        rows, cols = nlp.jacobianstructure()
        self._jacobian_structure = np.asarray(rows), np.asarray(cols)
        self._entry_is_equality = self._equality[rows]
        position = np.empty(nlp.m, dtype=np.int64)
        for mask in (self._equality, ~self._equality):
            position[mask] = np.arange(mask.sum())
        self._position = position
        lower_rows, lower_cols = (np.asarray(index) for index in nlp.hessianstructure())
        self._off_diagonal = lower_rows != lower_cols
        self._hessian_structure = (
            np.concatenate((lower_rows, lower_cols[self._off_diagonal])),
            np.concatenate((lower_cols, lower_rows[self._off_diagonal])),
        )
        self._x = nlp.x0.copy()
        self._duals = np.zeros(nlp.m)
        self._objective_factor = 1.0

    # -- sizes, names and bounds ---------------------------------------------------------------------------------

    def n_primals(self) -> int:
        """Number of variables."""
        return self._nlp.n

    def n_constraints(self) -> int:
        """Number of constraints."""
        return self._nlp.m

    def n_eq_constraints(self) -> int:
        """Number of equalities."""
        return int(self._equality.sum())

    def n_ineq_constraints(self) -> int:
        """Number of inequalities."""
        return int((~self._equality).sum())

    def nnz_jacobian(self) -> int:
        """Nonzeros of the Jacobian."""
        return int(self._entry_is_equality.size)

    def nnz_jacobian_eq(self) -> int:
        """Nonzeros of the equalities' Jacobian."""
        return int(self._entry_is_equality.sum())

    def nnz_jacobian_ineq(self) -> int:
        """Nonzeros of the inequalities' Jacobian."""
        return int((~self._entry_is_equality).sum())

    def nnz_hessian_lag(self) -> int:
        """Nonzeros of the Lagrangian's Hessian, both triangles."""
        return int(self._hessian_structure[0].size)

    def primals_names(self) -> list[str]:
        """Names of the variables."""
        return self._nlp.variable_names

    variable_names = primals_names

    def constraint_names(self) -> list[str]:
        """Names of the constraints."""
        return self._nlp.constraint_names

    def equality_constraint_names(self) -> list[str]:
        """Names of the equalities."""
        return [c.name for c in self.get_pyomo_equality_constraints()]

    def inequality_constraint_names(self) -> list[str]:
        """Names of the inequalities."""
        return [c.name for c in self.get_pyomo_inequality_constraints()]

    def primals_lb(self) -> Array:
        """Lower bounds of the variables."""
        return self._nlp.lb.copy()

    def primals_ub(self) -> Array:
        """Upper bounds of the variables."""
        return self._nlp.ub.copy()

    def constraints_lb(self) -> Array:
        """Lower bounds of the constraints; zero for equalities."""
        return np.subtract(self._nlp.cl, self._offset)

    def constraints_ub(self) -> Array:
        """Upper bounds of the constraints; zero for equalities."""
        return np.subtract(self._nlp.cu, self._offset)

    def ineq_lb(self) -> Array:
        """Lower bounds of the inequalities."""
        return np.compress(~self._equality, self._nlp.cl)

    def ineq_ub(self) -> Array:
        """Upper bounds of the inequalities."""
        return np.compress(~self._equality, self._nlp.cu)

    def init_primals(self) -> Array:
        """The model's values of the variables."""
        return self._nlp.x0.copy()

    def init_duals(self) -> Array:
        """Multipliers to start from."""
        return np.zeros(self._nlp.m)

    def init_duals_eq(self) -> Array:
        """Multipliers of the equalities to start from."""
        return np.zeros(self.n_eq_constraints())

    def init_duals_ineq(self) -> Array:
        """Multipliers of the inequalities to start from."""
        return np.zeros(self.n_ineq_constraints())

    def create_new_vector(self, vector_type: str) -> Array:
        """A vector of zeros.

        Args:
            vector_type: ``"primals"``, ``"constraints"``, ``"eq_constraints"``, ``"ineq_constraints"``, or the same with
                ``duals`` instead of ``constraints``.
        """
        kind = vector_type.replace("duals", "constraints").replace("constraints_eq", "eq_constraints")
        sizes = {
            "primals": self.n_primals,
            "constraints": self.n_constraints,
            "eq_constraints": self.n_eq_constraints,
            "ineq_constraints": self.n_ineq_constraints,
            "constraints_ineq": self.n_ineq_constraints,
        }
        if kind not in sizes:
            raise ShapeError(f"there are no vectors of type {vector_type!r}; known are {', '.join(sizes)}")
        return np.zeros(sizes[kind]())

    # -- state -------------------------------------------------------------------------------------------------------

    def set_primals(self, primals: Array) -> None:
        """Set the point at which everything is evaluated."""
        np.copyto(self._x, primals)

    def get_primals(self) -> Array:
        """The point at which everything is evaluated."""
        return self._x.copy()

    def set_duals(self, duals: Array) -> None:
        """Set the multipliers of the constraints."""
        np.copyto(self._duals, duals)

    def get_duals(self) -> Array:
        """The multipliers of the constraints."""
        return self._duals.copy()

    def set_duals_eq(self, duals_eq: Array) -> None:
        """Set the multipliers of the equalities."""
        self._duals[self._equality] = duals_eq

    def get_duals_eq(self) -> Array:
        """The multipliers of the equalities."""
        return np.compress(self._equality, self._duals)

    def set_duals_ineq(self, duals_ineq: Array) -> None:
        """Set the multipliers of the inequalities."""
        self._duals[~self._equality] = duals_ineq

    def get_duals_ineq(self) -> Array:
        """The multipliers of the inequalities."""
        return np.compress(~self._equality, self._duals)

    def set_obj_factor(self, obj_factor: float) -> None:
        """Set the objective's factor in the Lagrangian."""
        self._objective_factor = float(obj_factor)

    def get_obj_factor(self) -> float:
        """The objective's factor in the Lagrangian."""
        return self._objective_factor

    def get_obj_scaling(self) -> float | None:
        """The objective's entry in the model's suffix scaling_factor."""
        suffix = self._scaling()
        return None if suffix is None else float(suffix.get(self._translation.objective, 1.0))

    def get_primals_scaling(self) -> Array | None:
        """The variables' entries in the model's suffix scaling_factor."""
        return self._scaled(self._translation.variables)

    def get_constraints_scaling(self) -> Array | None:
        """The constraints' entries in the model's suffix scaling_factor."""
        return self._scaled(self._translation.constraints)

    def get_eq_constraints_scaling(self) -> Array | None:
        """The equalities' entries in the model's suffix scaling_factor."""
        return self._scaled(self.get_pyomo_equality_constraints())

    def get_ineq_constraints_scaling(self) -> Array | None:
        """The inequalities' entries in the model's suffix scaling_factor."""
        return self._scaled(self.get_pyomo_inequality_constraints())

    def _scaling(self) -> Any:
        return self._model.component("scaling_factor")

    def _scaled(self, components: Sequence[Any]) -> Array | None:
        suffix = self._scaling()
        return None if suffix is None else np.array([suffix.get(c, 1.0) for c in components], dtype=float)

    # -- evaluation ----------------------------------------------------------------------------------------------------

    def evaluate_objective(self) -> float:
        """The objective, negated if it is maximised."""
        return self._nlp.objective(self._x)

    def evaluate_grad_objective(self, out: Array | None = None) -> Array:
        """The objective's gradient."""
        return _filled(out, self._nlp.gradient(self._x))

    def evaluate_constraints(self, out: Array | None = None) -> Array:
        """The constraints; equalities minus their bound."""
        return _filled(out, self._nlp.constraints(self._x) - self._offset)

    def evaluate_eq_constraints(self, out: Array | None = None) -> Array:
        """The equalities minus their bounds."""
        return _filled(out, self.evaluate_constraints()[self._equality])

    def evaluate_ineq_constraints(self, out: Array | None = None) -> Array:
        """The inequalities."""
        return _filled(out, self.evaluate_constraints()[~self._equality])

    def evaluate_jacobian(self, out: coo_matrix | None = None) -> coo_matrix:
        """The constraints' Jacobian."""
        shape = (self._nlp.m, self._nlp.n)
        return _filled_matrix(out, self._nlp.jacobian(self._x), *self._jacobian_structure, shape)

    def evaluate_jacobian_eq(self, out: coo_matrix | None = None) -> coo_matrix:
        """The equalities' Jacobian."""
        return self._jacobian_of(self._entry_is_equality, self.n_eq_constraints(), out)

    def evaluate_jacobian_ineq(self, out: coo_matrix | None = None) -> coo_matrix:
        """The inequalities' Jacobian."""
        return self._jacobian_of(~self._entry_is_equality, self.n_ineq_constraints(), out)

    def _jacobian_of(self, entries: Array, count: int, out: coo_matrix | None) -> coo_matrix:
        rows, cols = self._jacobian_structure
        values = self._nlp.jacobian(self._x)[entries]
        return _filled_matrix(out, values, self._position[rows[entries]], cols[entries], (count, self._nlp.n))

    def evaluate_hessian_lag(self, out: coo_matrix | None = None) -> coo_matrix:
        """The Lagrangian's Hessian, both triangles."""
        lower = self._nlp.hessian(self._x, self._duals, self._objective_factor)
        values = np.concatenate((lower, lower[self._off_diagonal]))
        return _filled_matrix(out, values, *self._hessian_structure, (self._nlp.n, self._nlp.n))

    def report_solver_status(self, status_code: int, status_message: str) -> None:
        """Nothing to report to: PyNumero keeps the status itself."""

    # -- the model -----------------------------------------------------------------------------------------------------

    def pyomo_model(self) -> Any:
        """The model."""
        return self._model

    def get_pyomo_objective(self) -> Any:
        """The model's objective."""
        return self._translation.objective

    def get_pyomo_variables(self) -> list[Any]:
        """The variables in the order of the primals."""
        return list(self._translation.variables)

    def get_pyomo_constraints(self) -> list[Any]:
        """The constraints in their order."""
        return list(self._translation.constraints)

    def get_pyomo_equality_constraints(self) -> list[Any]:
        """The equalities in their order."""
        return [c for c, equality in zip(self._translation.constraints, self._equality, strict=True) if equality]

    def get_pyomo_inequality_constraints(self) -> list[Any]:
        """The inequalities in their order."""
        return [c for c, equality in zip(self._translation.constraints, self._equality, strict=True) if not equality]

    def get_primal_indices(self, pyomo_variables: Sequence[Any]) -> list[int]:
        """Positions of variables among the primals."""
        return _indices(self._translation.variables, pyomo_variables)

    def get_constraint_indices(self, pyomo_constraints: Sequence[Any]) -> list[int]:
        """Positions of constraints."""
        return _indices(self._translation.constraints, pyomo_constraints)

    def extract_submatrix_jacobian(
        self, pyomo_variables: Sequence[Any], pyomo_constraints: Sequence[Any]
    ) -> coo_matrix:
        """Rows of some constraints and columns of some variables of the Jacobian."""
        rows, cols = self.get_constraint_indices(pyomo_constraints), self.get_primal_indices(pyomo_variables)
        return self.evaluate_jacobian().tocsr()[rows, :][:, cols].tocoo()

    def extract_submatrix_hessian_lag(
        self, pyomo_variables_rows: Sequence[Any], pyomo_variables_cols: Sequence[Any]
    ) -> coo_matrix:
        """Rows and columns of some variables of the Lagrangian's Hessian."""
        rows, cols = self.get_primal_indices(pyomo_variables_rows), self.get_primal_indices(pyomo_variables_cols)
        return self.evaluate_hessian_lag().tocsr()[rows, :][:, cols].tocoo()

    def load_state_into_pyomo(self, bound_multipliers: Any = None) -> None:
        """Write the point into the model's variables."""
        load_variables(self._translation, self._x)


def _filled(out: Array | None, values: Array) -> Array:
    if out is None:
        return values
    np.copyto(out, values)
    return out


def _filled_matrix(
    out: coo_matrix | None, values: Array, rows: Array, cols: Array, shape: tuple[int, int]
) -> coo_matrix:
    if out is None:
        return coo_matrix((values, (rows, cols)), shape=shape)
    if out.shape != shape or out.nnz != values.size:
        raise ShapeError(f"out has shape {out.shape} and {out.nnz} entries, expected {shape} and {values.size}")
    np.copyto(out.data, values)
    return out


def _indices(known: Sequence[Any], wanted: Sequence[Any]) -> list[int]:
    position = ComponentMap((component, k) for k, component in enumerate(known))
    missing = [component.name for component in wanted if component not in position]
    if missing:
        raise ModelError(
            f"{', '.join(map(repr, missing))} are not part of the problem; they occur in nothing that is active, or are fixed"
        )
    return [position[component] for component in wanted]
