"""Keep your own cyipopt code: an NLP is a `problem_obj`, so only the derivatives and their structure disappear."""

import cyipopt
import numpy as np

import sct_opt as so

n = 1000
nlp = so.from_callables(
    objective=lambda x: np.sum((x[1:] - x[:-1]) ** 4) + np.sum((x - 1.0) ** 2),
    x0=np.zeros(n),
    constraints=lambda x: x[:-2] * x[1:-1] + np.sin(x[2:]),
    bounds=(-2.0, 2.0),
    constraint_bounds=(0.5, 1.5),
)

problem = cyipopt.Problem(n=nlp.n, m=nlp.m, problem_obj=nlp, lb=nlp.lb, ub=nlp.ub, cl=nlp.cl, cu=nlp.cu)
problem.add_option("print_level", 0)
problem.add_option("sb", "yes")
x, info = problem.solve(nlp.x0)
print(f"{info['status_msg'].decode()} f = {info['obj_val']:.6f}")
