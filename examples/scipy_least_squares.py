"""Only the sparsity: `jac_sparsity` for SciPy, or the exact sparse Jacobian in place of finite differences."""

import numpy as np
from scipy.optimize import least_squares

import sct_opt as so


def residuals(x):
    """Broyden's tridiagonal function."""
    r = (3.0 - 2.0 * x) * x + 1.0
    r[1:] -= x[:-1]
    r[:-1] -= 2.0 * x[1:]
    return r


x0 = -np.ones(500)
sparsity = so.jacobian_sparsity(residuals, x0).tocsr()
differences = least_squares(residuals, x0, jac_sparsity=sparsity)
exact = least_squares(residuals, x0, jac=so.SparseJacobian(residuals, x0))
print(f"finite differences: cost {differences.cost:.1e} after {differences.nfev} Jacobians")
print(f"exact derivatives:  cost {exact.cost:.1e} after {exact.nfev} Jacobians")
