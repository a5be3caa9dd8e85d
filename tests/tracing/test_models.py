"""Functions as people write them, from many fields, traced unchanged."""

import collections
import enum
import itertools
import math

import numpy as np
import pytest
import scipy.integrate as ig
import scipy.interpolate as si
import scipy.linalg as sl
import scipy.sparse as ss
import scipy.special as sp
from numpy import cos, pi, sin

from tests.tracing.check import assert_traces

rng = np.random.default_rng(0)


def rk4(f, y, t, h, n):
    for _ in range(n):
        k1 = f(t, y)
        k2 = f(t + h / 2, y + h / 2 * k1)
        k3 = f(t + h / 2, y + h / 2 * k2)
        k4 = f(t + h, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        t += h
    return y


def pend(t, y):
    return np.array([y[1], -np.sin(y[0]) - 0.1 * y[1]])


def cartpole(z, mc=1.0, mp=0.3, l=0.5, g=9.81, N=4):
    X = z[: 4 * N].reshape(N, 4)
    U = z[4 * N : 5 * N]

    def dyn(x, u):
        _q1, q2, dq1, dq2 = x
        d = mc + mp * (1 - cos(q2) ** 2)
        return np.array(
            [
                dq1,
                dq2,
                (l * mp * sin(q2) * dq2**2 + u + mp * g * cos(q2) * sin(q2)) / d,
                -(l * mp * cos(q2) * sin(q2) * dq2**2 + u * cos(q2) + (mc + mp) * g * sin(q2)) / (l * d),
            ]
        )

    defects = []
    for k in range(N - 1):
        defects.append(X[k + 1] - X[k] - 0.05 * (dyn(X[k], U[k]) + dyn(X[k + 1], U[k + 1])))  # noqa: PERF401 - as people write it
    return np.concatenate([*defects, X[0] - np.array([0, 0, 0, 0]), [X[-1, 1] - pi]])


def nbody(z, n=4):
    p = z.reshape(n, 2)
    d = p[:, None, :] - p[None, :, :]
    r2 = (d**2).sum(-1) + np.eye(n)
    return ((1 / np.sqrt(r2)) * (1 - np.eye(n))).sum() / 2


def nbody_loop(z, n=4):
    p = z.reshape(n, 2)
    e = 0
    for i in range(n):
        for j in range(i):
            e += 1 / np.linalg.norm(p[i] - p[j])
    return e


Xd = rng.normal(size=(10, 3))
yd = rng.integers(0, 2, 10)


def logreg(w):
    return np.sum(np.logaddexp(0, -(2 * yd - 1) * (Xd @ w))) + 0.1 * w @ w


def logreg2(w):
    p = sp.expit(Xd @ w)
    return -np.mean(yd * np.log(p) + (1 - yd) * np.log1p(-p))


def gp(th):
    l, s, n = np.exp(th)
    K = s * np.exp(-0.5 * (Xd[:, None, 0] - Xd[None, :, 0]) ** 2 / l**2) + n * np.eye(10)
    L = np.linalg.cholesky(K)
    a = sl.solve_triangular(L.T, sl.solve_triangular(L, Xd[:, 1], lower=True), lower=False)
    return 0.5 * Xd[:, 1] @ a + np.log(np.diag(L)).sum()


def mlp(w):
    W1 = w[:6].reshape(3, 2)
    b1 = w[6:8]
    W2 = w[8:10]
    h = np.maximum(Xd @ W1 + b1, 0)
    o = np.tanh(h @ W2)
    return np.mean((o - yd) ** 2)


def softmaxnet(w):
    z = Xd @ w.reshape(3, 4)
    z = z - z.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(10), yd]).mean()


def kalman(q):
    P = np.eye(2)
    x = np.zeros(2)
    A = np.array([[1, 0.1], [0, 1.0]])
    H = np.array([[1.0, 0]])
    ll = 0.0
    for y in Xd[:4, 0]:
        x = A @ x
        P = A @ P @ A.T + np.diag(q**2) + 0.01 * np.eye(2)
        S = H @ P @ H.T + 0.1
        K = P @ H.T @ np.linalg.inv(S)
        r = y - H @ x
        x = x + K @ r
        P = (np.eye(2) - K @ H) @ P
        ll += 0.5 * (np.log(np.linalg.det(S)) + r @ np.linalg.solve(S, r))
    return ll


def fem(E):
    n = len(E) + 1
    K = np.zeros((n, n))
    ke = np.array([[1, -1], [-1, 1.0]])
    for e in range(n - 1):
        idx = [e, e + 1]
        K[np.ix_(idx, idx)] += (E[e] ** 2 + 1) * ke
    f = np.ones(n - 1)
    return np.linalg.solve(K[1:, 1:], f)


def fem2(E):
    n = len(E) + 1
    K = np.zeros((n, n))
    for e in range(n - 1):
        for a in range(2):
            for b in range(2):
                K[e + a, e + b] += (1 if a == b else -1) * E[e]
    return K @ np.arange(n)


def heat(u):
    n = u.size
    D = ss.diags([np.ones(n - 1), -2 * np.ones(n), np.ones(n - 1)], [-1, 0, 1]).tocsr()
    return D @ u + np.sin(u)


class P(enum.Enum):
    A = 1
    B = 2


Pt = collections.namedtuple("Pt", "x y")


def structs(z):
    pts = [Pt(*p) for p in z.reshape(3, 2)]
    d = collections.defaultdict(float)
    for i, p in enumerate(pts):
        d[P.A if i % 2 else P.B] += p.x * p.y
    acc = 0
    for a, b in itertools.combinations(pts, 2):
        acc += math.hypot(a.x - b.x, a.y - b.y)
    return [d[P.A], d[P.B], acc, sum(p.x for p in pts)]


def horner(x):
    return sum(c * x[0] ** i for i, c in enumerate([1, 2, 3])) + np.polyval([1.0, 2.0], x[1])


def cumul(x):
    s = [x[0]]
    for v in x[1:]:
        s.append(s[-1] * 0.9 + v)
    return np.array(s)


def state(x):
    y = x.copy()
    y[::2] = np.sin(y[::2])
    y[1::2] *= y[::2]
    y[[0, -1]] = y[[-1, 0]]
    return y


def fibers(x):
    A = np.zeros((3, 3))
    A[np.tril_indices(3)] = x
    return A @ A.T


def rotm(a):
    c, s = np.cos(a[0]), np.sin(a[0])
    R = np.array([[c, -s], [s, c]])
    return R @ a[1:3]


def quat(q):
    q = q / np.linalg.norm(q)
    w, x, y, z = q
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w)], [2 * (x * y + z * w), 1 - 2 * (x * x + z * z)]])


def penal(x):
    return (
        np.sum(np.maximum(0, x - 1) ** 2)
        + np.sum(np.clip(x, -1, 1) ** 2)
        + np.where(np.abs(x) < 1, 0.5 * x**2, np.abs(x) - 0.5).sum()
    )


def mat(x):
    X = np.array([[x[0], x[1]], [x[2], x[3]]])
    return np.trace(X @ X.T) + np.linalg.det(X) + X.sum(axis=0).prod()


def strm(x):
    return np.array([v**2 for v in x]).reshape(2, -1).sum(1)


def dictp(x, p=None):
    if p is None:
        p = {"a": 2.0}
    p = dict(p, b=x[1])
    return p["a"] * x[0] + p["b"]


def meshd(x):
    X, Y = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 3))
    return (x[0] * X + x[1] * Y**2).ravel()


def broydn(x):
    n = len(x)
    f = np.empty(n)
    for i in range(n):
        f[i] = (3 - 2 * x[i]) * x[i] + 1
        if i > 0:
            f[i] -= x[i - 1]
        if i < n - 1:
            f[i] -= 2 * x[i + 1]
    return f


def inter(x):
    cs = si.CubicSpline(np.arange(5.0), np.sin(np.arange(5.0)))
    return cs(x).sum()


def trap(x):
    return ig.simpson(np.exp(-(x**2)), x=np.linspace(0, 1, len(x)))


def ind(x):
    idx = np.argsort([3, 1, 2])
    return x[:3][idx] * np.arange(3)


def svdm(x):
    return np.sum(np.abs(np.fft.rfft(x)) ** 2)


def haver(x):
    return 2 * np.arcsin(np.sqrt(np.sin((x[0] - x[1]) / 2) ** 2 * 0.3 + 0.1 * np.cos(x[0]) ** 2))


def varr(x):
    return np.array([x.mean(), x.std(), np.sqrt(((x - x.mean()) ** 2).mean()), x.max() - x.min()])


def rosenl(x):
    return sum(100.0 * (x[1:] - x[:-1] ** 2.0) ** 2.0 + (1 - x[:-1]) ** 2.0)


def objcol(x):
    return [x[i] ** 2 if i % 2 else -x[i] for i in range(len(x))]


def nested(x):
    def inner(v):
        nonlocal_c = v * 2
        return nonlocal_c + x[0]

    return [inner(v) for v in x]


MODELS = {
    "rk4": (lambda y: rk4(pend, y, 0.0, 0.1, 3), 2),
    "cartpole": (cartpole, 20),
    "nbody": (nbody, 8),
    "nbody_loop": (nbody_loop, 8),
    "logreg": (logreg, 3),
    "logreg2": (logreg2, 3),
    "gp": (lambda t: gp(t * 0.3), 3),
    "mlp": (mlp, 10),
    "softmaxnet": (softmaxnet, 12),
    "kalman": (kalman, 2),
    "fem": (fem, 4),
    "fem2": (fem2, 4),
    "heat": (heat, 5),
    "structs": (structs, 6),
    "horner": (horner, 2),
    "cumul": (cumul, 5),
    "state": (state, 6),
    "fibers": (fibers, 6),
    "rotm": (rotm, 3),
    "quat": (quat, 4),
    "penal": (penal, 5),
    "mat": (mat, 4),
    "strm": (strm, 6),
    "dictp": (dictp, 2),
    "meshd": (meshd, 2),
    "broydn": (broydn, 5),
    "inter": (inter, 4),
    "trap": (trap, 5),
    "ind": (ind, 4),
    "svdm": (svdm, 6),
    "haver": (haver, 2),
    "varr": (varr, 5),
    "rosenl": (rosenl, 5),
    "objcol": (objcol, 4),
    "nested": (nested, 3),
}


@pytest.mark.parametrize("name", MODELS)
def test_model(name):
    f, n = MODELS[name]
    assert_traces(f, np.zeros(n), rtol=1e-8)
