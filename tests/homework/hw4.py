"""Homework 4, lateral inhibition: right answers in other words, and likely mistakes."""

from itertools import combinations

import numpy as np
import torch
from scipy.optimize import linprog, minimize
from scipy.sparse import coo_array

from course_utils.built.ista import decoder_step, lipschitz, shrink, unit_columns

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


def tree_by_ways(ways_of):
    """A tree's S from the ways up as somebody finds them."""

    def tree(parents, S0):
        ways = ways_of(parents)
        rows = [[0.0 if on_line(v, w) else S0 * float(apart(v, w)) for w in ways] for v in ways]
        return torch.tensor(rows)

    return tree


def ways_to_unit_0(parents):
    """Climb while the number is above 0, then add unit 0."""
    ways = []
    for i in range(len(parents)):
        way = []
        while i > 0:
            way.append(i)
            i = parents[i]
        ways.append([*way, 0])
    return ways


def ways_without_unit_0(parents):
    """Only units 1 and above climb."""
    return [ancestors(parents, i) if i else [0] for i in range(len(parents))]


def ways_that_stop_at_0(parents):
    """Climb while the last unit of the way is above 0, so that -1 is a unit, too."""
    ways = []
    for i in range(len(parents)):
        way = [i]
        while way[-1] > 0:
            way.append(parents[way[-1]])
        ways.append(way)
    ways[0] = [0, -1] if len(parents) > 1 and parents[0] < 0 else [0]
    return [[0] if way == [0, -1] else way for way in ways]


def ways_in_one_pass(parents):
    """The parent's way is looked up, ready or not."""
    ways = {}
    for i, parent in enumerate(parents):
        ways[i] = [i, *ways.get(parent, [])]
    return list(ways.values())


def common_ancestor_by_number(choose):
    """The way over the common ancestor of the least or the greatest number."""

    def price(v, w, parents):
        if on_line(v, w):
            return 0
        meet = choose(set(v) & set(w))
        return v.index(meet) + w.index(meet)

    return price


def at_most(steps):
    """Only so many steps up are looked at."""
    return tree_by_ways(lambda p: [ancestors(p, i)[:steps] for i in range(len(p))])


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


def step_without_zero(z, x, Wd, S, L):
    v = gradient_step(z, x, Wd, L)
    return v - v.sign() * (z.abs() @ S) / L


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


def refit_carefully(Wd, x, z):
    """A short direction is taken for none."""
    new, r = Wd.clone(), x - z @ Wd.T
    for j in range(Wd.shape[1]):
        v = (r + torch.outer(z[:, j], new[:, j])).T @ z[:, j]
        if v.norm() > 1e-10:
            r = r - torch.outer(z[:, j], v / v.norm() - new[:, j])
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


def refit_if(speaks, twice=False, same_sign=False):
    """A right refit, but for who is taken for silent, for a second round, or for a sign."""

    def refit(Wd, x, z):
        new = Wd.clone()
        for j in [*range(Wd.shape[1])] * (1 + twice):
            v = (x - z @ new.T).T @ z[:, j] + new[:, j] * z[:, j].square().sum()
            if same_sign and v @ Wd[:, j] < 0:
                v = -v
            if speaks(z[:, j], v):
                new[:, j] = v / v.norm()
        return new

    return refit


def short_steps(Wd, x, z):
    for _ in range(20):
        Wd = unit_columns(decoder_step(Wd, x, z))
    return Wd


def refit_by_solver(Wd, x, z):
    """The stand-in of the notebook: right to three digits."""
    W, A, B = Wd.double(), (z.T @ z).double(), (x.T @ z).double()

    def error(w, j):
        w = torch.from_numpy(w).requires_grad_()
        new = torch.cat([W[:, :j], (w / w.norm())[:, None], W[:, j + 1 :]], 1)
        miss = ((new @ A - 2 * B) * new).sum() / A[j, j].clamp(min=1e-30).sqrt()
        return miss.item(), torch.autograd.grad(miss, w)[0].numpy()

    for j in range(W.shape[1]):
        w = minimize(error, W[:, j], j, jac=True, method="L-BFGS-B", options={"ftol": 1e-8}).x
        w = torch.from_numpy(w / np.linalg.norm(w))[:, None]
        W = torch.cat([W[:, :j], w, W[:, j + 1 :]], 1)
    return W.to(Wd)


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


def on(z):
    return (z != 0).to(z)


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
    return torch.from_numpy(found.x.reshape(m, m)).to(C)


def relax_by_own_programme(S, z, alpha, beta, rate):
    return S + rate * (programme(together(z), alpha, beta) - S)


def relax_by_lerp(S, z, alpha, beta, rate):
    return torch.lerp(S, programme(z.abs().T @ z.abs(), alpha, beta), rate)


def relax_by_pieces(S, z, alpha, beta, rate):
    C = torch.einsum("bi,bj->bij", z, z).abs().mean(0).fill_diagonal_(0)
    new = S.clone()
    new.mul_(1 - rate).add_(programme(C, alpha, beta), alpha=rate)
    return new


def spread(z):
    a = z.abs() - z.abs().mean(0)
    return a.T @ a / len(z)


def scaled(z):
    C = together(z)
    return C / (C.diagonal()[:, None] * C.diagonal()).sqrt()


def cheapest(C, alpha, beta):
    """The programme as the notebook's cell writes it: where C has ties, this one decides."""
    m = len(C)
    i, j = np.triu_indices(m, 1)
    pair = np.arange(len(i))
    where = (np.concatenate([i, j]), np.concatenate([pair, pair]))
    rows = coo_array((np.ones(2 * len(i)), where), shape=(m, len(i))).tocsr()
    price = C.double().numpy()[i, j]
    found = linprog(price, A_eq=rows, b_eq=np.full(m, alpha), bounds=(0, beta), method="highs")
    S = C.new_zeros(m, m)
    S[i, j] = S[j, i] = torch.from_numpy(found.x).to(C)
    return S


def relax_mixed(S, z, alpha, beta, old, new, C=None):
    return old * S + new * cheapest(together(z) if C is None else C, alpha, beta)


def scaled_to_alpha(S, z, alpha, beta, rate):
    new = relax_mixed(S, z, alpha, beta, 1 - rate, rate)
    return new / new.sum(1, keepdim=True) * alpha


RIGHT = {
    "task1": [energy_by_pairs, energy_by_einsum, energy_in_numpy, energy_of_upper_half],
    "task2": [tree_by_floyd_warshall, tree_by_sets, tree_by_inverse],
    "task3": [step_by_clamp, step_by_gram, step_by_autograd, step_in_numpy],
    "task4": [refit_by_others, refit_by_gram, refit_in_numpy, refit_carefully],
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
        "units on one branch pay, too": tree_by_price(lambda v, w, p: apart(v, w)),
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
        "climb until a parent is -1": tree_by_ways(ways_to_unit_0),
        "it has ancestors": tree_by_ways(ways_without_unit_0),
        "a way ends there only if its parent": tree_by_ways(ways_that_stop_at_0),
        "that parent has no way up yet": tree_by_ways(ways_in_one_pass),
        "siblings go free": tree_by_price(
            lambda v, w, p: 0 if on_line(v, w) or p[v[0]] == p[w[0]] else apart(v, w)
        ),
    },
    "task3": {
        "divided by L": lambda z, x, Wd, S, L: shrink(gradient_step(z, x, Wd, L), z.abs() @ S),
        "S z, with signs": signed_step,
        "sizes come first": lambda z, x, Wd, S, L: shrink(
            gradient_step(z, x, Wd, L), (z @ S).abs() / L
        ),
        "may not change its sign": step_without_zero,
        "half of it": lambda z, x, Wd, S, L: step_by_clamp(z, x, Wd, S / 2, L),
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
        "R is x itself": lambda Wd, x, z: torch.where(z.any(0), unit_columns(x.T @ z), Wd),
        "the old sign is kept": refit_if(lambda zj, v: zj.any(), same_sign=True),
        "faint, and not silent": refit_if(lambda zj, v: v.norm() > 1e-3),
        "this is one gradient step": lambda Wd, x, z: unit_columns(
            Wd + (x - z @ Wd.T).T @ z / lipschitz(z)
        ),
        "not backwards": refit_wrongly(order=-1),
        "even if they sum to zero": refit_if(lambda zj, v: zj.sum() != 0),
        "changed its inputs in place": refit_in_place,
    },
    "task5": {
        "this is descent": lambda S, z, F, eta: raise_by_pairs(S, z, F, -eta),
        "sum over the batch": lambda S, z, F, eta: raise_by_pairs(S, z, F, eta * len(z)),
        "opposite signs cancel": lambda S, z, F, eta: S + eta * F * (z.T @ z) / len(z),
        "every pair is raised": lambda S, z, F, eta: S + eta * together(z),
        "the step is half as long": lambda S, z, F, eta: raise_by_pairs(S, z, F, eta / 2),
        "became zero": lambda S, z, F, eta: F * (S + eta * together(z)),
        "how often a pair fires together": lambda S, z, F, eta: raise_by_pairs(S, on(z), F, eta),
        "a price of zero must be able to rise": lambda S, z, F, eta: raise_by_pairs(
            S, z, F & (S > 0), eta
        ),
        "sizes come first": lambda S, z, F, eta: S + eta * F * (z.T @ z / len(z)).abs(),
        "multiplies mean activities": lambda S, z, F, eta: (
            S + eta * F * torch.outer(z.abs().mean(0), z.abs().mean(0))
        ),
        "the old price is forgotten": lambda S, z, F, eta: eta * F * together(z),
    },
    "task6": {
        "the most expensive S": lambda S, z, a, b, r: relax_mixed(
            S, z, a, b, 1 - r, r, -together(z)
        ),
        "mixed the wrong way round": lambda S, z, a, b, r: relax_mixed(S, z, a, b, r, 1 - r),
        "jumps to the cheapest S at once": lambda S, z, a, b, r: relax_mixed(S, z, a, b, 0, 1),
        "no longer sum to alpha": lambda S, z, a, b, r: relax_mixed(S, z, a, b, 1, r),
        "opposite signs cancel": lambda S, z, a, b, r: relax_mixed(
            S, z, a, b, 1 - r, r, z.T @ z / len(z)
        ),
        "how often a pair fires together": lambda S, z, a, b, r: relax_mixed(
            S, z, a, b, 1 - r, r, together(on(z))
        ),
        "multiplies mean activities": lambda S, z, a, b, r: relax_mixed(
            S, z, a, b, 1 - r, r, torch.outer(z.abs().mean(0), z.abs().mean(0))
        ),
        "sizes come first": lambda S, z, a, b, r: relax_mixed(
            S, z, a, b, 1 - r, r, (z.T @ z / len(z)).abs()
        ),
        "rows are scaled to alpha": scaled_to_alpha,
        "gradient descent, which leaves the budget": lambda S, z, a, b, r: (
            S - r * together(z).fill_diagonal_(0)
        ).clamp(0, b),
    },
}

# Likely mistakes that the check which students see names, too
SEEN = {
    "task2": ["units on one branch pay, too"],
    "task3": [
        "the gradient is not divided by L",
        "sizes come first",
        "may not change its sign",
        "half of it",
    ],
    "task4": ["R is x itself", "the old sign is kept"],
    "task5": ["sizes come first", "multiplies mean activities"],
    "task6": ["sizes come first", "rows are scaled to alpha"],
}

TRIED = {
    "task1": {
        "the batch's mean price": lambda x, z, Wd, S: (
            0.5 * rebuilt(x, z, Wd) + 0.5 * ((z.abs() @ S) * z.abs()).sum(1).mean()
        ),
        "negative codes are cut off": lambda x, z, Wd, S: (
            0.5 * rebuilt(x, z, Wd) + 0.5 * ((z.relu() @ S) * z.relu()).sum(1)
        ),
        "norms are not squared": lambda x, z, Wd, S: (
            0.5 * rebuilt(x, z, Wd).sqrt() + 0.5 * ((z.abs() @ S) * z.abs()).sum(1)
        ),
        "active or not": lambda x, z, Wd, S: (
            0.5 * rebuilt(x, z, Wd) + 0.5 * ((on(z) @ S) * on(z)).sum(1)
        ),
        "one row is no batch": lambda *a: energy_by_pairs(*a).squeeze(),
        "neighbours only": lambda x, z, Wd, S: (
            0.5 * rebuilt(x, z, Wd) + (z[:, 1:] * z[:, :-1]).abs() @ S.diagonal(1)
        ),
        "z outer z": lambda x, z, Wd, S: 0.5 * rebuilt(x, z, Wd) + 0.5 * (z @ S * z).sum(1).abs(),
    },
    "task2": {
        "children have larger numbers": tree_by_price(
            lambda v, w, p: 0 if max(v[0], w[0]) in (*v, *w)[1:] else apart(v, w)
        ),
        "the common ancestor of the least number": tree_by_price(common_ancestor_by_number(min)),
        "the common ancestor of the greatest number": tree_by_price(common_ancestor_by_number(max)),
        "three levels are enough": at_most(3),
        "six levels are enough": at_most(6),
        "S0 squared": lambda parents, S0: tree_by_sets(parents, S0 * S0),
        "S0 forgotten": lambda parents, S0: tree_by_sets(parents, 1.0),
        "upper half alone": lambda parents, S0: tree_by_sets(parents, S0).triu(),
        "the root inhibits itself": lambda parents, S0: (
            tree_by_sets(parents, S0)
            + S0 * (torch.arange(len(parents)) == parents.index(-1)).diag()
        ),
        "half of the edges": tree_by_price(
            lambda v, w, p: 0 if on_line(v, w) else (apart(v, w) + 1) // 2
        ),
        "a parent pays for its grandchildren": tree_by_price(
            lambda v, w, p: 0 if on_line(v, w) and abs(len(v) - len(w)) < 2 else apart(v, w)
        ),
    },
    "task3": {
        "silent units stay silent": lambda z, x, Wd, S, L: step_by_clamp(z, x, Wd, S, L) * (z != 0),
        "its own L": lambda z, x, Wd, S, L: step_by_clamp(z, x, Wd, S, lipschitz(Wd)),
        "a safe L of its own": lambda z, x, Wd, S, L: step_by_clamp(
            z, x, Wd, S, lipschitz(Wd) + float(torch.linalg.eigvalsh(S)[-1])
        ),
        "the batch's threshold": lambda z, x, Wd, S, L: shrink(
            gradient_step(z, x, Wd, L), z.abs().mean(0) @ S / L
        ),
        "the old sign": lambda z, x, Wd, S, L: step_by_clamp(z, x, Wd, S, L).abs() * z.sign(),
        "no sign": lambda z, x, Wd, S, L: step_by_clamp(z, x, Wd, S, L).abs(),
        "cut, not shrunk": lambda z, x, Wd, S, L: (
            gradient_step(z, x, Wd, L) * (gradient_step(z, x, Wd, L).abs() > z.abs() @ S / L)
        ),
        "one row is no batch": lambda *a: step_by_clamp(*a).squeeze(0),
        "price of z squared": lambda z, x, Wd, S, L: shrink(
            gradient_step(z, x, Wd, L), z.square() @ S / L
        ),
        "small steps are left out": lambda z, x, Wd, S, L: torch.where(
            (step_by_clamp(z, x, Wd, S, L) - z).abs() < 1e-2, z, step_by_clamp(z, x, Wd, S, L)
        ),
    },
    "task4": {
        "silent if never positive": refit_if(lambda zj, v: zj.max() > 0),
        "silent if its mean is not positive": refit_if(lambda zj, v: zj.mean() > 0),
        "silent if its codes are small": refit_if(lambda zj, v: (zj.abs() > 1e-4).any()),
        "twice round": refit_if(lambda zj, v: zj.any(), twice=True),
        "the first row speaks for all": refit_if(lambda zj, v: zj[0] != 0),
        "least squares at once": lambda Wd, x, z: torch.where(
            z.any(0), unit_columns(torch.linalg.lstsq(z, x, driver="gelsd").solution.T), Wd
        ),
        "twenty short steps of all columns": short_steps,
        "the stand-in": refit_by_solver,
    },
    "task5": {
        "the upper half alone": lambda S, z, F, eta: raise_by_pairs(S, z, F.triu(), eta),
        "over m in place of B": lambda S, z, F, eta: raise_by_pairs(S, z, F, eta * len(z) / len(S)),
        "the mean over rows in which both are active": lambda S, z, F, eta: (
            S + eta * F * together(z) * len(z) / (on(z).T @ on(z)).clamp(min=1)
        ),
        "forbidden is what has a price": lambda S, z, F, eta: raise_by_pairs(S, z, S > 0, eta),
        "prices are at most 1": lambda *a: raise_by_pairs(*a).clamp(max=1),
        "squares": lambda S, z, F, eta: raise_by_pairs(S, z.square(), F, eta),
        "deviations from the mean": lambda S, z, F, eta: S + eta * F * spread(z),
        "positive codes alone": lambda S, z, F, eta: raise_by_pairs(S, z.relu(), F, eta),
    },
    "task6": {
        "alpha from S": lambda S, z, a, b, r: relax_by_lerp(S, z, float(S.sum(1).mean()), b, r),
        "no bound on one pair": lambda S, z, a, b, r: relax_by_lerp(S, z, a, a, r),
        "pairs without a price stay without": lambda S, z, a, b, r: (
            relax_by_lerp(S, z, a, b, r) * (S > 0)
        ),
        "squares": lambda S, z, a, b, r: relax_by_lerp(S, z.square(), a, b, r),
        "deviations from the mean": lambda S, z, a, b, r: relax_mixed(
            S, z, a, b, 1 - r, r, spread(z)
        ),
        "correlations": lambda S, z, a, b, r: relax_mixed(S, z, a, b, 1 - r, r, scaled(z)),
        "weighed by the present prices": lambda S, z, a, b, r: relax_mixed(
            S, z, a, b, 1 - r, r, S * together(z)
        ),
        "always five per cent": lambda S, z, a, b, r: relax_by_lerp(S, z, a, b, 0.05),
        "positive codes alone": lambda S, z, a, b, r: relax_by_lerp(S, z.relu(), a, b, r),
    },
}
