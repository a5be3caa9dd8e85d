"""Problem 71 of Hock and Schittkowski as two NumPy functions: no Jacobian, no Hessian, no structures written by hand."""

import numpy as np

import sct_opt as so


def objective(x):
    return x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2]


def constraints(x):
    return [np.prod(x), np.sum(x**2)]


nlp = so.from_callables(
    objective, [1.0, 5.0, 5.0, 1.0], constraints, bounds=(1.0, 5.0), constraint_bounds=([25.0, 40.0], [np.inf, 40.0])
)
print(nlp.jacobian_pattern)
print(nlp.hessian_pattern)

result = so.solve(nlp)
print(f"{result.message} f = {result.fun:.7f} after {result.nit} iterations at x = {result.x.round(4)}")
