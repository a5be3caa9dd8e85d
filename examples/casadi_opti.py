"""CasADi's race car (Opti, multiple shooting with Runge-Kutta 4): change the last line, keep everything else."""

import casadi as ca

import sct_opt as so

N = 100
opti = ca.Opti()
X, U, T = opti.variable(2, N + 1), opti.variable(1, N), opti.variable()
position, speed = X[0, :], X[1, :]


def f(x, u):
    return ca.vertcat(x[1], u - x[1])


opti.minimize(T)
dt = T / N
for k in range(N):
    k1 = f(X[:, k], U[:, k])
    k2 = f(X[:, k] + dt / 2 * k1, U[:, k])
    k3 = f(X[:, k] + dt / 2 * k2, U[:, k])
    k4 = f(X[:, k] + dt * k3, U[:, k])
    opti.subject_to(X[:, k + 1] == X[:, k] + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
opti.subject_to(speed <= 1 - ca.sin(2 * ca.pi * position) / 2)
opti.subject_to(opti.bounded(0, U, 1))
opti.subject_to(position[0] == 0)
opti.subject_to(speed[0] == 0)
opti.subject_to(position[-1] == 1)
opti.subject_to(T >= 0)
opti.set_initial(speed, 1)
opti.set_initial(T, 1)

result = so.solve(opti)  # instead of opti.solver("ipopt") and opti.solve()
print(f"{result.message} lap time {result.fun:.6f} after {result.nit} iterations")
