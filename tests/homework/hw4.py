"""Homework 4, lateral inhibition: right answers in other words, and likely mistakes."""

from itertools import combinations

import numpy as np
import torch
from scipy.optimize import linprog

from course_utils.built.ista import lipschitz, shrink, unit_columns

# Task 1: inhibition_energy(x, z, Wd, S)


def energy_by_pairs(x, z, Wd, S):
    E = 0.5 * (x - z @ Wd.T).norm(dim=1) ** 2
    for i, j in combinations(range(len(S)), 2):
        E = E + S[i, j] * z[:, i].abs() * z[:, j].abs()
    return E


def energy_by_einsum(x, z, Wd, S):
    r = x - torch.einsum("bm,nm->bn", z, Wd)
    return (torch.einsum("bn,bn->b", r, r) + torch.einsum("bi,ij,bj->b", z.abs(), S, z.abs())) / 2


def energy_in_numpy(x, z, Wd, S):
    x, z, Wd, S = (a.numpy() for a in (x, z, Wd, S))
    a = np.abs(z)
    r = x.T - Wd @ z.T
    return torch.from_numpy(0.5 * (r**2).sum(0) + 0.5 * np.diag(a @ S @ a.T))


def energy_of_upper_half(x, z, Wd, S):
    a = z.abs()[:, :, None]
    pay = (a * a.mT * S.triu(1)).sum((1, 2))
    return 0.5 * torch.linalg.vecdot(x - z @ Wd.T, x - z @ Wd.T) + pay


def rebuilt(x, z, Wd):
    return (x - z @ Wd.T).square().sum(1)


# Task 2: tree_inhibition(parents, S0)


def tree_by_floyd_warshall(parents, S0):
    m = len(parents)
    d = np.full((m, m), np.inf)
    np.fill_diagonal(d, 0)
    for i, p in enumerate(parents):
        if p >= 0:
            d[i, p] = d[p, i] = 1
    for k in range(m):
        d = np.minimum(d, d[:, k, None] + d[None, k])
    depth = d[parents.index(-1)]
    on_line = d == np.abs(depth[:, None] - depth)  # a way that never turns
    return torch.from_numpy(S0 * np.where(on_line, 0.0, d)).float()


def ancestors(parents, i):
    return [i] if parents[i] < 0 else [i, *ancestors(parents, parents[i])]


def tree_by_sets(parents, S0):
    ways = [set(ancestors(parents, i)) for i in range(len(parents))]
    S = torch.zeros(len(ways), len(ways))
    for i, j in combinations(range(len(ways)), 2):
        if i not in ways[j] and j not in ways[i]:
            S[i, j] = S[j, i] = S0 * len(ways[i] ^ ways[j])
    return S


def tree_by_inverse(parents, S0):
    m = len(parents)
    step = torch.zeros(m, m)
    for i, p in enumerate(parents):
        if p >= 0:
            step[i, p] = 1
    up = torch.linalg.inv(torch.eye(m) - step).round()
    apart = torch.cdist(up, up, p=1).round()
    return S0 * apart * (up + up.T == 0)


def tree_by_price(price):
    def tree(parents, S0):
        ways = [ancestors(parents, i) for i in range(len(parents))]
        rows = [[S0 * float(price(v, w, parents)) for w in ways] for v in ways]
        return torch.tensor(rows)

    return tree


def apart(v, w):
    return len(set(v) ^ set(w))


def on_line(v, w):
    return v[0] in w or w[0] in v


def parent_and_child(v, w, parents):
    return v[0] == w[0] or parents[v[0]] == w[0] or parents[w[0]] == v[0]


# Task 3: inhibited_step(z, x, Wd, S, L)


def step_by_clamp(z, x, Wd, S, L):
    v = z - (z @ Wd.T - x) @ Wd / L
    return v.sign() * torch.relu(v.abs() - (S @ z.abs().T).T / L)


def step_by_gram(z, x, Wd, S, L):
    v = z + (x @ Wd - z @ (Wd.T @ Wd)) / L
    h = torch.einsum("ij,bj->bi", S, z.abs()) / L
    return torch.where(v > h, v - h, torch.where(v < -h, v + h, torch.zeros_like(v)))


def step_by_autograd(z, x, Wd, S, L):
    with torch.enable_grad():
        u = z.clone().requires_grad_()
        (slope,) = torch.autograd.grad(0.5 * (x - u @ Wd.T).square().sum(), u)
    return shrink(z - slope / L, z.abs() @ S / L)


def step_in_numpy(z, x, Wd, S, L):
    z, x, Wd, S = (a.numpy() for a in (z, x, Wd, S))
    v = L * z + (x - z @ Wd.T) @ Wd
    h = np.abs(z) @ S
    return torch.from_numpy((np.maximum(v - h, 0) + np.minimum(v + h, 0)) / L)


def gradient_step(z, x, Wd, L):
    return z + (x - z @ Wd.T) @ Wd / L


def relu_step(z, x, Wd, S, L):
    return (gradient_step(z, x, Wd, L) - z.abs() @ S / L).clamp(min=0)


def late_step(z, x, Wd, S, L):
    v = gradient_step(z, x, Wd, L)
    return shrink(v, v.abs() @ S / L)


def signed_step(z, x, Wd, S, L):
    v = gradient_step(z, x, Wd, L)
    return v.sign() * (v.abs() - z @ S / L).clamp(min=0)


# Task 4: refit_filters(Wd, x, z)


def refit_by_others(Wd, x, z):
    new = Wd.clone()
    for j in range(Wd.shape[1]):
        others = [k for k in range(Wd.shape[1]) if k != j]
        R = x - z[:, others] @ new[:, others].T
        v = R.T @ z[:, j]
        if v.norm() > 0:
            new[:, j] = v / v.norm()
    return new


def refit_by_gram(Wd, x, z):
    A, B, new = z.T @ z, x.T @ z, Wd.clone()
    for j in range(Wd.shape[1]):
        v = B[:, j] - new @ A[:, j] + new[:, j] * A[j, j]
        if A[j, j] > 0:
            new[:, j] = v / v.norm()
    return new


def refit_in_numpy(Wd, x, z):
    W, x, z = Wd.numpy().copy(), x.numpy(), z.numpy()
    r = x - z @ W.T
    for j in range(W.shape[1]):
        r = r + np.outer(z[:, j], W[:, j])
        v = r.T @ z[:, j]
        if np.any(v):
            W[:, j] = v / np.sqrt((v**2).sum())
        r = r - np.outer(z[:, j], W[:, j])
    return torch.from_numpy(W)


def refit_wrongly(own=1.0, fresh=True, norm=True, keep=True, order=1):
    def refit(Wd, x, z):
        new = Wd.clone()
        for j in list(range(Wd.shape[1]))[::order]:
            r = x - z @ (new if fresh else Wd).T
            v = r.T @ z[:, j] + own * Wd[:, j] * z[:, j].square().sum()
            if v.any() or not keep:
                size = v.norm() if norm else z[:, j].square().sum()
                new[:, j] = v / size.clamp(min=1e-12)
        return new

    return refit


def refit_to_nan(Wd, x, z):
    new = Wd.clone()
    for j in range(Wd.shape[1]):
        v = (x - z @ new.T).T @ z[:, j] + new[:, j] * z[:, j].square().sum()
        new[:, j] = v / v.norm()
    return new


def refit_in_place(Wd, x, z):
    Wd.copy_(refit_by_others(Wd, x, z))
    return Wd


# Tasks 5 and 6: raise_inhibition(S, z, forbidden, eta), relax_inhibition(S, z, alpha, beta, rate)


def together(z):
    return z.abs().T @ z.abs() / len(z)


def raise_by_pairs(S, z, forbidden, eta):
    new = S.clone()
    for i, j in forbidden.nonzero().tolist():
        new[i, j] += eta * (z[:, i] * z[:, j]).abs().mean()
    return new


def raise_in_place_on_a_copy(S, z, forbidden, eta):
    new = S.clone()
    new[forbidden] += eta * torch.einsum("bi,bj->ij", z.abs(), z.abs())[forbidden] / z.shape[0]
    return new


def raise_in_numpy(S, z, forbidden, eta):
    a = np.abs(z.numpy())
    C = (a[:, :, None] * a[:, None, :]).mean(0)
    return torch.from_numpy(S.numpy() + np.where(forbidden.numpy(), np.float32(eta) * C, 0))


def programme(C, alpha, beta):
    """The programme once more, over all m² entries, with symmetry as a constraint."""
    m = len(C)
    rows, right = [], []
    for i in range(m):
        row = np.zeros((m, m))
        row[i] = 1
        rows.append(row.ravel())
        right.append(alpha)
        for j in range(i):
            row = np.zeros((m, m))
            row[i, j], row[j, i] = 1, -1
            rows.append(row.ravel())
            right.append(0)
    bounds = [(0, 0 if i == j else beta) for i in range(m) for j in range(m)]
    cost = C.double().numpy().ravel()
    found = linprog(cost, A_eq=np.array(rows), b_eq=right, bounds=bounds)
    return torch.from_numpy(found.x.reshape(m, m)).float()


def relax_by_own_programme(S, z, alpha, beta, rate):
    return S + rate * (programme(together(z), alpha, beta) - S)


def relax_by_lerp(S, z, alpha, beta, rate):
    return torch.lerp(S, programme(z.abs().T @ z.abs(), alpha, beta), rate)


def relax_by_pieces(S, z, alpha, beta, rate):
    C = torch.einsum("bi,bj->bij", z, z).abs().mean(0).fill_diagonal_(0)
    new = S.clone()
    new.mul_(1 - rate).add_(programme(C, alpha, beta), alpha=rate)
    return new


def relax_mixed(S, z, alpha, beta, old, new, C=None):
    return old * S + new * programme(together(z) if C is None else C, alpha, beta)


RIGHT = {
    "task1": [energy_by_pairs, energy_by_einsum, energy_in_numpy, energy_of_upper_half],
    "task2": [tree_by_floyd_warshall, tree_by_sets, tree_by_inverse],
    "task3": [step_by_clamp, step_by_gram, step_by_autograd, step_in_numpy],
    "task4": [refit_by_others, refit_by_gram, refit_in_numpy],
    "task5": [raise_by_pairs, raise_in_place_on_a_copy, raise_in_numpy],
    "task6": [relax_by_own_programme, relax_by_lerp, relax_by_pieces],
}

PLANTED = {
    "task1": {
        "signs let pairs earn money": lambda x, z, Wd, S: (
            0.5 * rebuilt(x, z, Wd) + 0.5 * (z @ S * z).sum(1)
        ),
        "this is the paper's energy": lambda *a: 2 * energy_by_pairs(*a),
        "every pair pays twice": lambda x, z, Wd, S: energy_by_pairs(x, z, Wd, 2 * S),
        "the ½ of the first term is missing": lambda x, z, Wd, S: (
            energy_by_pairs(x, z, Wd, S) + 0.5 * rebuilt(x, z, Wd)
        ),
        "S|z| is summed, but not multiplied": lambda x, z, Wd, S: (
            0.5 * rebuilt(x, z, Wd) + 0.5 * (z.abs() @ S).sum(1)
        ),
        "should be": lambda *a: energy_by_pairs(*a).mean(),
    },
    "task2": {
        "parent and child are free, but all": tree_by_price(
            lambda v, w, p: 0 if parent_and_child(v, w, p) else apart(v, w)
        ),
        "every forbidden pair costs the same": tree_by_price(lambda v, w, p: not on_line(v, w)),
        "difference of depths": tree_by_price(
            lambda v, w, p: 0 if on_line(v, w) else abs(len(v) - len(w))
        ),
        "only the way up": tree_by_price(
            lambda v, w, p: 0 if on_line(v, w) else len(set(v) - set(w))
        ),
        "descendants still pay": tree_by_price(lambda v, w, p: 0 if w[0] in v else apart(v, w)),
        "one edge too few": tree_by_price(lambda v, w, p: 0 if on_line(v, w) else apart(v, w) - 1),
        "the units on the way are counted": tree_by_price(
            lambda v, w, p: 0 if on_line(v, w) else apart(v, w) + 1
        ),
        "over the root": tree_by_price(lambda v, w, p: 0 if on_line(v, w) else len(v) + len(w) - 2),
        "siblings go free": tree_by_price(
            lambda v, w, p: 0 if on_line(v, w) or p[v[0]] == p[w[0]] else apart(v, w)
        ),
    },
    "task3": {
        "divided by L": lambda z, x, Wd, S, L: shrink(gradient_step(z, x, Wd, L), z.abs() @ S),
        "S z, with signs": signed_step,
        "from v, after the gradient": late_step,
        "uphill": lambda z, x, Wd, S, L: shrink(
            2 * z - gradient_step(z, x, Wd, L), z.abs() @ S / L
        ),
        "does not depend on z": lambda z, x, Wd, S, L: shrink(
            gradient_step(z, x, Wd, L), S.sum(1) / L
        ),
        "negative codes are cut off": relu_step,
        "twice too large": lambda z, x, Wd, S, L: step_by_clamp(z, x, Wd, 2 * S, L),
        "the gradient is not divided by L": lambda z, x, Wd, S, L: shrink(
            gradient_step(z, x, Wd, 1.0), z.abs() @ S / L
        ),
    },
    "task4": {
        "refitted to the old residual": refit_wrongly(fresh=False),
        "own part is missing in R": refit_wrongly(own=0.0),
        "must have norm 1": refit_wrongly(norm=False),
        "has lost its filter": refit_wrongly(keep=False),
        "nan or infinite": refit_to_nan,
        "this is one gradient step": lambda Wd, x, z: unit_columns(
            Wd + (x - z @ Wd.T).T @ z / lipschitz(z)
        ),
        "not backwards": refit_wrongly(order=-1),
        "changed its inputs in place": refit_in_place,
    },
    "task5": {
        "this is descent": lambda S, z, F, eta: raise_by_pairs(S, z, F, -eta),
        "sum over the batch": lambda S, z, F, eta: raise_by_pairs(S, z, F, eta * len(z)),
        "opposite signs cancel": lambda S, z, F, eta: S + eta * F * (z.T @ z) / len(z),
        "every pair is raised": lambda S, z, F, eta: S + eta * together(z),
        "the step is half as long": lambda S, z, F, eta: raise_by_pairs(S, z, F, eta / 2),
        "became zero": lambda S, z, F, eta: F * (S + eta * together(z)),
        "the old price is forgotten": lambda S, z, F, eta: eta * F * together(z),
    },
    "task6": {
        "the dearest S": lambda S, z, a, b, r: relax_mixed(S, z, a, b, 1 - r, r, -together(z)),
        "mixed the wrong way round": lambda S, z, a, b, r: relax_mixed(S, z, a, b, r, 1 - r),
        "jumps to the cheapest S at once": lambda S, z, a, b, r: relax_mixed(S, z, a, b, 0, 1),
        "no longer sum to alpha": lambda S, z, a, b, r: relax_mixed(S, z, a, b, 1, r),
        "opposite signs cancel": lambda S, z, a, b, r: relax_mixed(
            S, z, a, b, 1 - r, r, z.T @ z / len(z)
        ),
        "multiplies mean activities": lambda S, z, a, b, r: relax_mixed(
            S, z, a, b, 1 - r, r, torch.outer(z.abs().mean(0), z.abs().mean(0))
        ),
        "gradient descent, which leaves the budget": lambda S, z, a, b, r: (
            S - r * together(z).fill_diagonal_(0)
        ).clamp(0, b),
    },
}
