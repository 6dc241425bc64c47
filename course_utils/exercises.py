"""Checks of the exercises in the chapters: each knows a right answer and the likely mistakes.

A check prints one line. It compares the student's function with a right one on fresh random
cases; where they differ, it says which known mistake gives the same numbers.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from course_utils.built.ista import duality_gap, ista, lambda_max, shrink
from course_utils.checks import Function, exercise


def check_elastic_step(answer: Function) -> None:
    """Check chapter 1, exercise 1: one step of ISTA for the elastic net."""

    def step(z, x, Wd, lmbd, mu, L):
        return shrink(z + ((x - z @ Wd.T) @ Wd - mu * z) / L, lmbd / L)

    mistakes = {
        "you shrink by λ; one step of length 1/L shrinks by λ/L": lambda z, x, Wd, lmbd, mu, L: (
            shrink(z + ((x - z @ Wd.T) @ Wd - mu * z) / L, lmbd)
        ),
        "the gradient of (μ/2)‖z‖² is μ z, not 2 μ z: mind the factor ½": (
            lambda z, x, Wd, lmbd, mu, L: step(z, x, Wd, lmbd, 2 * mu, L)
        ),
        "the gradient of ½‖x − Wd z‖² has no factor 2: mind the ½": (
            lambda z, x, Wd, lmbd, mu, L: shrink(
                z + (2 * (x - z @ Wd.T) @ Wd - mu * z) / L, lmbd / L
            )
        ),
        "you go up the squared norm: μ z must be subtracted": (
            lambda z, x, Wd, lmbd, mu, L: step(z, x, Wd, lmbd, -mu, L)
        ),
        "you go up the error: the sign of x − Wd z is turned": lambda z, x, Wd, lmbd, mu, L: shrink(
            z - ((x - z @ Wd.T) @ Wd + mu * z) / L, lmbd / L
        ),
        "μ is missing: this is the step for λ‖z‖₁ alone": (
            lambda z, x, Wd, lmbd, mu, L: step(z, x, Wd, lmbd, 0.0, L)
        ),
        "the gradient of (μ/2)‖z‖² is μ z, not half of it": (
            lambda z, x, Wd, lmbd, mu, L: step(z, x, Wd, lmbd, mu / 2, L)
        ),
        "μ z is part of the gradient: it is divided by L, too": (
            lambda z, x, Wd, lmbd, mu, L: shrink(z + (x - z @ Wd.T) @ Wd / L - mu * z, lmbd / L)
        ),
        "this converges too, but L already contains μ: put −μ z into the gradient": (
            lambda z, x, Wd, lmbd, mu, L: (
                shrink(z + (x - z @ Wd.T) @ Wd / L, lmbd / L) / (1 + mu / L)
            )
        ),
        "the gradient step is missing its factor 1/L": lambda z, x, Wd, lmbd, mu, L: shrink(
            z + (x - z @ Wd.T) @ Wd - mu * z, lmbd / L
        ),
    }
    cases = [(z, x, Wd, 0.1, mu, 9.0) for (x, z, Wd), mu in zip(_cases(0), (0.3, 1.1), strict=True)]
    exercise(answer, step, mistakes, cases)


def check_debias(answer: Function) -> None:
    """Check chapter 1, exercise 2: fit the active coefficients again."""

    def refit(on, x, Wd):
        on = on.to(x)
        gram = on[:, :, None] * (Wd.T @ Wd) * on[:, None, :]
        return torch.linalg.solve(gram + torch.diag_embed(1 - on), on * (x @ Wd))

    mistakes = {
        "you fitted all filters: those that were zero must stay zero": (
            lambda x, z, Wd: x @ torch.linalg.pinv(Wd).T
        ),
        "you fitted all filters and then erased some: fit the active ones only": (
            lambda x, z, Wd: (z != 0) * (x @ torch.linalg.pinv(Wd).T)
        ),
        "negative coefficients are active, too: the support is z != 0": (
            lambda x, z, Wd: refit(z > 0, x, Wd)
        ),
        "this is the correction alone: add it to z, or fit x and not the residual": (
            lambda x, z, Wd: refit(z != 0, x - z @ Wd.T, Wd)
        ),
        "you took correlations for coefficients: filters are not orthogonal to each other": (
            lambda x, z, Wd: (z != 0) * (x @ Wd)
        ),
        "you returned z itself: its coefficients are still too small": lambda x, z, Wd: z,
    }
    cases = [(x, ista(x, Wd, 0.3 * lambda_max(x, Wd), 50), Wd) for x, _, Wd in _cases(1)]
    exercise(answer, lambda x, z, Wd: refit(z != 0, x, Wd), mistakes, cases)


def check_safe_to_drop(answer: Function) -> None:
    """Check chapter 1, exercise 3: the gap-safe rule."""

    def rule(x, z, Wd, lmbd, s=None, radius=None, norms=None):
        c = (x - z @ Wd.T) @ Wd
        s = _scale(x, z, Wd, lmbd) if s is None else s
        gap = duality_gap(x, z, Wd, lmbd).unsqueeze(1)
        radius = (2 * gap).sqrt() if radius is None else radius(gap)
        norms = Wd.norm(dim=0) if norms is None else norms
        return s * c.abs() + norms * radius < lmbd

    mistakes = {
        "these are the filters to keep: turn the comparison": lambda *a: ~rule(*a),
        "u is the scaled residual s r; you used r itself": lambda *a: rule(*a, s=1.0),
        "s is at most 1: the residual is never stretched": lambda *a: rule(*a, s=_stretch(*a)),
        "the 2 under the root is missing": lambda *a: rule(*a, radius=torch.sqrt),
        "the root of 2 gap is missing": lambda *a: rule(*a, radius=lambda gap: 2 * gap),
        "the radius counts in proportion to the filter's norm, which need not be 1 here": (
            lambda *a: rule(*a, norms=1.0)
        ),
        "the correlation counts by its size: take |c|": lambda x, z, Wd, lmbd: (
            _scale(x, z, Wd, lmbd) * ((x - z @ Wd.T) @ Wd)
            + Wd.norm(dim=0) * (2 * duality_gap(x, z, Wd, lmbd)).sqrt().unsqueeze(1)
            < lmbd
        ),
        "each row has its own s: you took one for the whole batch": (
            lambda *a: rule(*a, s=_scale(*a).min())
        ),
        "this drops what is zero now; it may become active later": (lambda x, z, Wd, lmbd: z == 0),
        "the radius is missing: at this u, not the best one, |c| < λ proves nothing yet": (
            lambda *a: rule(*a, radius=torch.zeros_like)
        ),
    }
    cases = []
    for x, _, Wd in _cases(2):
        scaled = Wd * torch.linspace(0.4, 1.0, Wd.shape[1]).to(Wd)
        lmbd = 0.5 * lambda_max(x, scaled)
        cases += [(x, ista(x, scaled, lmbd, steps), scaled, lmbd) for steps in (3, 10, 40)]
        cases.append((x, ista(x, scaled, 0.9 * lmbd, 500), scaled, lmbd))  # here s = 1
    exercise(answer, rule, mistakes, cases)


def check_kkt_violation_nonneg(answer: Function) -> None:
    """Check chapter 1, exercise 4: the certificate of non-negative codes."""

    def each(x, z, Wd, lmbd, on=None):
        c = (x - z @ Wd.T) @ Wd
        on = z > 0 if on is None else on
        return torch.where(on, (c - lmbd).abs(), (c - lmbd).clamp(min=0))

    mistakes = {
        "a resting unit with c < −λ is no breach: it may not become negative": (
            lambda x, z, Wd, lmbd: torch.where(
                z > 0,
                ((x - z @ Wd.T) @ Wd - lmbd).abs(),
                (((x - z @ Wd.T) @ Wd).abs() - lmbd).clamp(min=0),
            ).amax(1)
        ),
        "the sign of the residual is turned: it is x − Wd z": (
            lambda x, z, Wd, lmbd: each(z @ Wd.T - x, 0 * z, Wd, lmbd, on=z > 0).amax(1)
        ),
        "you took the sum over the units; the largest breach is asked for": (
            lambda *a: each(*a).sum(1)
        ),
        "you took the mean over the units; the largest breach is asked for": (
            lambda *a: each(*a).mean(1)
        ),
        "you looked at the active units only: a resting one may want to grow": (
            lambda x, z, Wd, lmbd: (each(x, z, Wd, lmbd) * (z > 0)).amax(1)
        ),
        "a positive unit breaches also when c is below λ: take |c − λ| there": (
            lambda x, z, Wd, lmbd: ((x - z @ Wd.T) @ Wd - lmbd).clamp(min=0).amax(1)
        ),
        "a resting unit with c < λ is content: only c > λ is a breach": (
            lambda x, z, Wd, lmbd: ((x - z @ Wd.T) @ Wd - lmbd).abs().amax(1)
        ),
        "λ is missing for the resting units: c − λ is what counts": lambda x, z, Wd, lmbd: (
            torch.where(
                z > 0,
                ((x - z @ Wd.T) @ Wd - lmbd).abs(),
                ((x - z @ Wd.T) @ Wd).clamp(min=0),
            ).amax(1)
        ),
        "you took the largest over the batch: one number per row": (
            lambda *a: each(*a).amax(1).max().expand(len(a[0]))
        ),
        "where all is well the violation is 0, never negative: clamp c − λ of resting units": (
            lambda x, z, Wd, lmbd: torch.where(
                z > 0, each(x, z, Wd, lmbd), (x - z @ Wd.T) @ Wd - lmbd
            ).amax(1)
        ),
    }
    cases = [(x, z.clamp(min=0), Wd, 0.2) for x, z, Wd in reversed(_cases(3))]
    cases += [(x, 0 * z, Wd, 1.5 * lambda_max(x, Wd)) for x, z, Wd in _cases(3)]  # all is well
    exercise(answer, lambda *a: each(*a).amax(1), mistakes, cases)


def _scale(x: Tensor, z: Tensor, Wd: Tensor, lmbd: Tensor) -> Tensor:
    """Return the s of each row that makes s r a dual point: (B, 1)."""
    return _stretch(x, z, Wd, lmbd).clamp(max=1)


def _stretch(x: Tensor, z: Tensor, Wd: Tensor, lmbd: Tensor) -> Tensor:
    """Return the factor of each row that brings the largest |Wdᵀ r| to λ: (B, 1)."""
    c = (x - z @ Wd.T) @ Wd
    return lmbd / c.abs().amax(1, keepdim=True)


def _cases(seed: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return problems (x, z, Wd) of two sizes, in float64, with unit-norm filters."""
    generator = np.random.default_rng(seed)
    cases = []
    for B, n, m in ((2, 8, 12), (5, 20, 30)):
        x, z, Wd = (
            torch.from_numpy(generator.standard_normal(s)) for s in ((B, n), (B, m), (n, m))
        )
        cases.append((x, z * (z.abs() > 1), Wd / Wd.norm(dim=0)))
    return cases


def check_lista_forward(answer: Function) -> None:
    """Check chapter 2, exercise 1: the forward pass of LISTA."""

    def forward(x, We, S, theta, depth, sign=1.0, every=1.0, first=1.0):
        z = x.new_zeros(len(x), len(S))
        for layer in range(depth):
            v = (every if layer else 1.0) * (x @ We.T) + sign * z @ S.T
            z = shrink(v, theta) if layer or first else v
        return z

    mistakes = {
        "S z is added, not subtracted": lambda *a: forward(*a, sign=-1.0),
        "x enters every layer, not only the first": lambda *a: forward(*a, every=0.0),
        "you shrink one time too few: the first layer, from z = 0, is shrunk as well": (
            lambda *a: forward(*a, first=0.0)
        ),
        "this is one layer too many": lambda *a: forward(*a[:-1], a[-1] + 1),
        "this is one layer too few": lambda *a: forward(*a[:-1], a[-1] - 1),
        "S is transposed: each row z of the batch is multiplied as z @ S.T": (
            lambda x, We, S, theta, depth: forward(x, We, S.T, theta, depth)
        ),
        "each unit has a θ of its own: you took their mean": (
            lambda x, We, S, theta, depth: forward(x, We, S, theta.mean(), depth)
        ),
        "the shrink is missing": lambda x, We, S, theta, depth: forward(x, We, S, 0 * theta, depth),
    }
    generator, cases = np.random.default_rng(4), []
    for (x, _, Wd), depth in zip(_cases(4), (3, 5), strict=True):
        shapes = (Wd.shape[1], Wd.shape[0]), (Wd.shape[1],) * 2, (Wd.shape[1],)
        We, S, theta = (torch.from_numpy(generator.standard_normal(s)) for s in shapes)
        cases.append((x, We, S / Wd.shape[1] ** 0.5, theta.abs(), depth))
    exercise(answer, forward, mistakes, cases)


def check_threshold_slope(answer: Function) -> None:
    """Check chapter 2, exercise 2: the slope with respect to the threshold of a shifted ReLU."""
    mistakes = {
        "the sign is turned: as b grows, an active unit loses": (
            lambda v, b, slope: (slope * (v > b)).sum(0)
        ),
        "b serves the whole batch: sum over it, do not average": (
            lambda v, b, slope: -(slope * (v > b)).mean(0)
        ),
        "a unit that is off does not depend on b": lambda v, b, slope: -slope.sum(0),
        "a unit is on where v > b, not where v > 0": lambda v, b, slope: -(slope * (v > 0)).sum(0),
        "this is for shrink; here a unit with v < −b is off, too": (
            lambda v, b, slope: -(slope * v.sign() * (v.abs() > b)).sum(0)
        ),
        "you multiplied by z: the slope is −1 where a unit is on, whatever z is": (
            lambda v, b, slope: -(slope * (v - b).clamp(min=0)).sum(0)
        ),
    }
    generator, cases = np.random.default_rng(5), []
    for B, m in ((3, 5), (20, 8)):
        v, slope, b = (
            torch.from_numpy(generator.standard_normal(s)) for s in ((B, m), (B, m), (m,))
        )
        cases.append((v, b.abs() / 2, slope))
    exercise(answer, lambda v, b, slope: -(slope * (v > b)).sum(0), mistakes, cases)


def check_support_step(answer: Function) -> None:
    """Check chapter 2, exercise 3: the step that the support of each row allows."""

    def step(z, Wd, on=None):
        on = (z != 0 if on is None else on).to(Wd)
        on = torch.where(on.any(1, keepdim=True), on, 1.0)
        gram = on[:, :, None] * (Wd.T @ Wd) * on[:, None, :]
        return 1 / torch.linalg.eigvalsh(gram)[:, -1:]

    mistakes = {
        "this is 1/L of all filters: leave the resting ones out": (
            lambda z, Wd: step(z, Wd, on=torch.ones_like(z))
        ),
        "negative coefficients are active, too: the support is z != 0": (
            lambda z, Wd: step(z, Wd, on=z > 0)
        ),
        "these are the resting filters": lambda z, Wd: step(z, Wd, on=z == 0),
        "this is L_S; the step is 1/L_S": lambda z, Wd: 1 / step(z, Wd),
        "the largest singular value must be squared": lambda z, Wd: step(z, Wd).sqrt(),
        "each row has its own support: you took all together": (
            lambda z, Wd: step(z, Wd, on=(z != 0).any(0).expand_as(z))
        ),
        "this is the Frobenius norm, safe but too short: the largest eigenvalue is asked for": (
            lambda z, Wd: 1 / ((z != 0).to(Wd) @ Wd.square().sum(0)).unsqueeze(1)
        ),
    }
    cases = [(z, Wd) for _, z, Wd in _cases(6)]
    z, Wd = cases[1]
    cases.append((torch.cat([z[:2], 0 * z[:1]]), Wd))  # the last row has no active unit
    exercise(answer, step, mistakes, cases)


def check_bounded_columns(answer: Function) -> None:
    """Check chapter 3, exercise 1: columns are scaled only where they are too long."""

    def scaled(W, longest, dim=0):
        return W * (longest / W.norm(dim=dim, keepdim=True).clamp(min=longest))

    mistakes = {
        "every column has the longest norm now: shorter ones must be left alone": (
            lambda W, longest: W * (longest / W.norm(dim=0).clamp(min=1e-12))
        ),
        "you scaled rows; a column is W[:, j]": lambda W, longest: scaled(W, longest, dim=1),
        "you scaled the whole matrix by one number: each column has its own": (
            lambda W, longest: W * (longest / W.norm().clamp(min=longest))
        ),
        "this bounds each entry, not the norm of each column": (
            lambda W, longest: W.clamp(-longest, longest)
        ),
        "a column that is too long is divided by its norm, then scaled to longest": (
            lambda W, longest: W / W.norm(dim=0).clamp(min=longest)
        ),
        "this is the L1 of each column; the norm is the root of the sum of squares": (
            lambda W, longest: W * (longest / W.abs().sum(0).clamp(min=longest))
        ),
    }
    generator = torch.Generator().manual_seed(7)
    Ws = [torch.randn(6, m, generator=generator) * torch.linspace(0, 1.5, m) for m in (9, 5)]
    exercise(answer, scaled, mistakes, [(Ws[0], 1.3), (Ws[1], 0.7)])


def check_learned_numbers(answer: Function) -> None:
    """Check chapter 3, exercise 2: the count of learned numbers, given as a number."""

    def count(n, m, c, T, S_times=1, Wd=1, b=1, Wc=1):
        return torch.tensor((1 + Wd) * n * m + S_times * m * m + b * m + Wc * c * m)

    mistakes = {
        "S is used T − 1 times, but learned once": (
            lambda n, m, c, T: count(n, m, c, T, S_times=T - 1)
        ),
        "S is used again and again, but learned once": (
            lambda n, m, c, T: count(n, m, c, T, S_times=T)
        ),
        "you left out b": lambda n, m, c, T: count(n, m, c, T, b=0),
        "you left out the decoder Wd: in DrSAE it is not We transposed": (
            lambda n, m, c, T: count(n, m, c, T, Wd=0)
        ),
        "you left out the classifier Wc": lambda n, m, c, T: count(n, m, c, T, Wc=0),
        "you left out S": lambda n, m, c, T: count(n, m, c, T, S_times=0),
        "all iterations share one We and one S": (
            lambda n, m, c, T: torch.tensor(T * (n * m + m * m + m) + n * m + c * m)
        ),
        "this classifier has no threshold of its own: Wc has c m numbers": (
            lambda n, m, c, T: count(n, m, c, T) + c
        ),
    }

    def as_tensor(*case):
        number = answer(*case)
        return torch.tensor(number) if isinstance(number, int | float) else number

    exercise(as_tensor, count, mistakes, [(784, 400, 10, 11), (64, 100, 7, 5)])


def check_missing_bound(answer: Function) -> None:
    """Check chapter 3, exercise 3: what a network does betrays the bound that it lacks."""

    def ratios(first, last, rebuilt, evidence, T, largest=torch.max):
        norms = rebuilt.norm(dim=1) / last.sum(1)
        return torch.stack([largest(r) for r in (norms, first * T / 1.25, evidence.abs() / 5)])

    mistakes = {
        "the bound on We is 1.25 / T: mind T": (
            lambda first, last, rebuilt, evidence, T: ratios(first, last, rebuilt, evidence, 1)
        ),
        "evidence may be negative: take its size": (
            lambda first, last, rebuilt, evidence, T: ratios(
                first, last, rebuilt, evidence.clamp(min=0), T
            )
        ),
        "‖rebuilt‖ may exceed the norm of the code; it is its L1 that it may not exceed": (
            lambda first, last, rebuilt, evidence, T: ratios(
                first, normalize(last, p=1) * last.norm(dim=1, keepdim=True), rebuilt, evidence, T
            )
        ),
        "1.25 / T bounds the first code; the last one may be larger": (
            lambda first, last, rebuilt, evidence, T: ratios(last, last, rebuilt, evidence, T)
        ),
        "one row of the batch may betray it: take the largest, not the mean": (
            lambda *case: ratios(*case, largest=torch.mean)
        ),
        "these are the bounds over what was seen: turn the ratios over": (
            lambda *case: 1 / ratios(*case)
        ),
    }
    exercise(answer, ratios, mistakes, [_behaviour(k) for k in range(3)])


def _behaviour(k: int, T: int = 7) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """Return what a random network without bound k does with 12 inputs of norm 1.

    Only one input betrays it; negative evidence does, not positive.
    """
    generator = torch.Generator().manual_seed(20 + k)

    def positive(*shape):
        return torch.rand(shape, generator=generator)

    first = 0.8 * 1.25 / T * positive(12, 20)
    last = first + 0.5 * positive(12, 20) * (positive(12, 20) < 0.4)
    Wd = normalize(positive(30, 20), dim=0)
    Wc = normalize(positive(4, 20) - 0.5, dim=1)
    rebuilt = last @ Wd.T
    evidence = 5 * normalize(last) @ Wc.T
    evidence = evidence - evidence.amax(1, keepdim=True).clamp(min=0)
    if k == 0:
        rebuilt[k] *= 1.4 * last[k].sum() / rebuilt[k].norm()
    elif k == 1:
        first[k, k] = 2 * 1.25 / T
    else:
        evidence[k] = torch.tensor([-9.0, 0.3, -0.2, 0.1])
    return first, last, rebuilt, evidence, T


def check_norms_of_pools(answer: Function) -> None:
    """Check chapter 4, exercise 1: the norms of pools with weights."""

    def norms(z, pools):
        return (z.square() @ pools.T).sqrt()

    mistakes = {
        "the root is missing: these are squared norms": lambda z, pools: norms(z, pools).square(),
        "you summed over the batch: each row has its own norms": (
            lambda z, pools: norms(z.square().sum(0, keepdim=True).sqrt(), pools).expand(len(z), -1)
        ),
        "you squared the weights: under the root stands w z², not (w z)²": (
            lambda z, pools: norms(z, pools.square())
        ),
        "you left out the weights: z² of each unit counts w times": (
            lambda z, pools: norms(z, (pools > 0).to(z))
        ),
        "this is an L1, the sum of w |z|; the norm is the root of the sum of w z²": (
            lambda z, pools: z.abs() @ pools.T
        ),
        "you took the mean: do not divide by the pool's total weight": (
            lambda z, pools: norms(z, pools / pools.sum(1, keepdim=True))
        ),
    }
    generator, cases = np.random.default_rng(8), []
    for (_, z, _), p in zip(_cases(8), (4, 7), strict=True):
        w, kept = torch.from_numpy(generator.random((2, p, z.shape[1])))
        cases.append((z, 2 * w * (kept < 0.6)))
    exercise(answer, norms, mistakes, cases)


def check_ring_pool(answer: Function) -> None:
    """Check chapter 4, exercise 2: one pool of a ring."""

    def pool(m, size, begin):
        return ((torch.arange(m) - begin) % m < size).float()

    mistakes = {
        "the pool is cut off at the end: on a ring it goes on at unit 0": (
            lambda m, size, stride, j: pool(m, min(size, m - j * stride), j * stride)
        ),
        "you left out the stride: pool j begins at unit j · stride, not at j": (
            lambda m, size, stride, j: pool(m, size, j)
        ),
        "pool j begins at unit j · stride, not at j · size": (
            lambda m, size, stride, j: pool(m, size, j * size)
        ),
        "unit j · stride is the first of the pool, not its middle": (
            lambda m, size, stride, j: pool(m, size, j * stride - size // 2)
        ),
        "this is one unit too many: a pool has size units": (
            lambda m, size, stride, j: pool(m, size + 1, j * stride)
        ),
        "this is one unit too few: a pool has size units": (
            lambda m, size, stride, j: pool(m, size - 1, j * stride)
        ),
    }
    # The first pool does not go round; the last ends just where the ring does.
    cases = [(18, 5, 3, 2), (9, 4, 1, 7), (12, 5, 3, 3), (20, 7, 2, 8), (12, 3, 3, 3)]
    exercise(answer, lambda m, size, stride, j: pool(m, size, j * stride), mistakes, cases)


def check_block_shrink(answer: Function) -> None:
    """Check chapter 4, exercise 3: each block's norm is shortened."""

    def step(v, theta, size, left=lambda norm, theta: (1 - theta / norm).clamp(min=0)):
        blocks = v.unflatten(1, (-1, size))
        return (blocks * left(blocks.norm(dim=2, keepdim=True), theta)).flatten(1)

    mistakes = {
        "you shortened each component by θ; it is the norm of each block that loses θ": (
            lambda v, theta, size: shrink(v, theta)
        ),
        "you took the whole row as one block: a block has size units": (
            lambda v, theta, size: step(v, theta, v.shape[1])
        ),
        "a block shorter than θ becomes zero; yours turns round": (
            lambda *a: step(*a, left=lambda norm, theta: 1 - theta / norm)
        ),
        "you took every (m / size)-th unit: a block is size units side by side": (
            lambda v, theta, size: (
                step(v.unflatten(1, (size, -1)).mT.flatten(1), theta, size)
                .unflatten(1, (-1, size))
                .mT.flatten(1)
            )
        ),
        "you made size blocks; a block has size units, so there are m / size": (
            lambda v, theta, size: step(v, theta, v.shape[1] // size)
        ),
        "a block longer than θ is shortened, too: you kept its full length": (
            lambda *a: step(*a, left=lambda norm, theta: norm > theta)
        ),
        "you multiplied θ by √size: here it is θ itself that each norm loses": (
            lambda v, theta, size: step(v, theta * size**0.5, size)
        ),
        "you multiplied by norm − θ: divide by the norm, too, or that is not the new length": (
            lambda *a: step(*a, left=lambda norm, theta: (norm - theta).clamp(min=0))
        ),
    }
    generator, cases = np.random.default_rng(9), []
    for B, m, theta, size in ((4, 12, 1.3, 3), (3, 20, 1.6, 4), (3, 12, 1.1, 2)):
        cases.append((torch.from_numpy(generator.standard_normal((B, m))), theta, size))
    cases[-1][0][1, 2:4] = 0  # a block without a direction, last: what else is wrong is told first
    exercise(answer, step, mistakes, cases)


def check_group_lambda_max(answer: Function) -> None:
    """Check chapter 4, exercise 4: the smallest λ that leaves all pools at zero."""

    def norms(x, Wd, pools):
        return ((x @ Wd).square() @ pools.T).sqrt()

    mistakes = {
        "this is the λ_max of L1, the largest |c| of a unit: take the norm of c in each pool": (
            lambda x, Wd, pools: lambda_max(x, Wd).flatten()
        ),
        "you took the norm over all units: each pool has its own": (
            lambda x, Wd, pools: (x @ Wd).norm(dim=1)
        ),
        "you took the smallest of the pools: the others would not stay at zero": (
            lambda *a: norms(*a).amin(1)
        ),
        "you took the mean over the pools: those above it would not stay at zero": (
            lambda *a: norms(*a).mean(1)
        ),
        "you took one λ for the whole batch: each row has its own": (
            lambda *a: norms(*a).max().expand(len(a[0]))
        ),
        "this is the square of the largest norm: take the root": (
            lambda *a: norms(*a).amax(1).square()
        ),
        "this is the largest L1 of a pool; its norm is the root of the sum of c²": (
            lambda x, Wd, pools: ((x @ Wd).abs() @ pools.T).amax(1)
        ),
        "you summed c itself over each pool; its norm is the root of the sum of c²": (
            lambda x, Wd, pools: (x @ Wd @ pools.T).amax(1)
        ),
    }
    generator, cases = np.random.default_rng(10), []
    for (x, _, Wd), p in zip(_cases(10), (5, 7), strict=True):
        mine = torch.from_numpy(generator.permutation(Wd.shape[1])) % p  # the pool of each unit
        cases.append((x, Wd, (mine == torch.arange(p)[:, None]).to(Wd)))
    exercise(answer, lambda *a: norms(*a).amax(1), mistakes, cases)


def check_units_along(answer: Function) -> None:
    """Check chapter 5, exercise 1: how many units stand along a side of the sheet."""

    def along(image, field, per):
        return torch.tensor((image - field + 1) * per)

    def as_tensor(*case):
        number = answer(*case)
        return torch.tensor(number) if isinstance(number, int | float) else number

    mistakes = {
        "off by one: the last place counts, too": lambda image, field, per: (
            along(image, field, per) - per
        ),
        "this is one place too many: there the field would leave the image": (
            lambda image, field, per: along(image, field, per) + per
        ),
        "off by one: add the last place before you multiply by per": lambda image, field, per: (
            along(image, field, per) - per + 1
        ),
        "these are the places; each has per units along a side": lambda image, field, per: along(
            image, field, 1
        ),
        "a place has per² units, but only per of them along a side": lambda image, field, per: (
            along(image, field, per) * per
        ),
        "these are the pixels: a field needs room, it cannot begin at the last": (
            lambda image, field, per: along(image, 1, per)
        ),
        "fields overlap: a new place begins at every pixel, not only where the last field ended": (
            lambda image, field, per: torch.tensor(image // field * per)
        ),
    }
    exercise(as_tensor, along, mistakes, [(32, 9, 2), (119, 20, 1), (12, 5, 3), (7, 7, 2)])


def check_seen_by_unit(answer: Function) -> None:
    """Check chapter 5, exercise 2: the field of one unit."""

    def seen(x, field, top, left):
        return x[:, top : top + field, left : left + field]

    mistakes = {
        "you forgot per: units of one place look at the same field": (
            lambda x, field, per, row, column: seen(x, field, row, column)
        ),
        "row and column are exchanged: the row goes down": (
            lambda x, field, per, row, column: seen(x, field, column // per, row // per)
        ),
        "off by one: the first place begins at pixel 0": (
            lambda x, field, per, row, column: seen(x, field, row // per + 1, column // per + 1)
        ),
        "the place is the field's first pixel, not its middle": (
            lambda x, field, per, row, column: seen(
                x, field, max(row // per - field // 2, 0), max(column // per - field // 2, 0)
            )
        ),
        "places are one pixel apart: divide by per, do not multiply": (
            lambda x, field, per, row, column: seen(x, field, row * per, column * per)
        ),
        "fields overlap: the next place is one pixel further, not a whole field": (
            lambda x, field, per, row, column: seen(
                x, field, row // per * field, column // per * field
            )
        ),
        "the field is mirrored: rows and columns of the picture are exchanged": (
            lambda x, field, per, row, column: seen(x, field, row // per, column // per).mT
        ),
    }
    x = torch.from_numpy(np.random.default_rng(14).standard_normal((3, 40, 40)))
    cases = [(x, 4, 2, 11, 6), (x, 5, 3, 9, 2), (x, 3, 2, 5, 10), (x, 6, 1, 3, 5)]
    exercise(
        answer,
        lambda x, field, per, row, column: seen(x, field, row // per, column // per),
        mistakes,
        cases,
    )


def check_line_synthesis(answer: Function) -> None:
    """Check chapter 5, exercise 3: the adjoint of a local layer on a line."""

    def paint(z, Wd):
        field, m = Wd.shape
        x = z.new_zeros(len(z), m + field - 1)
        for i in range(field):
            x[:, i : i + m] += z * Wd[i]
        return x

    def overwritten(z, Wd):
        field, m = Wd.shape
        x = z.new_zeros(len(z), m + field - 1)
        for k in range(m):
            x[:, k : k + field] = z[:, k : k + 1] * Wd[:, k]
        return x

    def overwritten_by_offset(z, Wd):
        x = z.new_zeros(len(z), Wd.shape[1] + len(Wd) - 1)
        for i, row in enumerate(Wd):
            x[:, i : i + len(row)] = z * row
        return x

    mistakes = {
        "fields overlap, and the later one overwrites the earlier: add": overwritten,
        "offsets overlap, and the later one overwrites the earlier: add": overwritten_by_offset,
        "you took the mean where fields overlap: the adjoint adds": (
            lambda z, Wd: paint(z, Wd) / paint(torch.ones_like(z[:1]), torch.ones_like(Wd))
        ),
        "each filter is painted back to front: offset i of the filter goes to offset i": (
            lambda z, Wd: paint(z, Wd.flip(0))
        ),
        "you used one filter for all units: column k of Wd is unit k's own": (
            lambda z, Wd: paint(z, Wd[:, :1].expand_as(Wd))
        ),
        "the codes are missing: each filter is painted as strongly as its unit is on": (
            lambda z, Wd: paint(torch.ones_like(z), Wd)
        ),
        "the filters are missing: you painted the codes alone": (
            lambda z, Wd: paint(z, torch.ones_like(Wd))
        ),
    }
    generator = np.random.default_rng(15)
    cases = [
        (
            torch.from_numpy(generator.standard_normal((4, m))),
            torch.from_numpy(generator.standard_normal((field, m))),
        )
        for m, field in ((9, 3), (5, 7))
    ]
    exercise(answer, paint, mistakes, cases)


def check_tile_by_tile(answer: Function) -> None:
    """Check chapter 5, exercise 4: codes in the order of tiles."""

    def tiled(z, side, t, u, order=(0, 1, 3, 2, 4)):
        blocks = z.reshape(len(z), side // t, t, side // u, u).permute(order)
        return blocks.reshape(len(z), -1, t * u)

    mistakes = {
        "you only cut the row of numbers in pieces: a tile is a block of t rows and u columns": (
            lambda z, side, t, u: z.reshape(len(z), -1, t * u)
        ),
        "tiles are in the wrong order: first go along the row of tiles": (
            lambda z, side, t, u: tiled(z, side, t, u, (0, 3, 1, 2, 4))
        ),
        "units inside a tile are in the wrong order: first go along the row of units": (
            lambda z, side, t, u: tiled(z, side, t, u, (0, 1, 3, 4, 2))
        ),
        "tiles and units go down first; reading order goes along the rows": (
            lambda z, side, t, u: tiled(z, side, t, u, (0, 3, 1, 4, 2))
        ),
        "the axes of tile and unit are exchanged: tiles take every (side / t)-th unit": (
            lambda z, side, t, u: (
                z.reshape(len(z), t, side // t, u, side // u)
                .permute(0, 2, 4, 1, 3)
                .reshape(len(z), -1, t * u)
            )
        ),
        "t and u are exchanged: a tile has t rows and u columns": (
            lambda z, side, t, u: tiled(z, side, u, t)
        ),
    }
    generator = np.random.default_rng(16)
    cases = [
        (torch.from_numpy(generator.standard_normal((3, side**2))), side, t, u)
        for side, t, u in ((12, 4, 3), (12, 2, 6), (6, 3, 2))
    ]
    exercise(answer, tiled, mistakes, cases)


def check_turns_round(answer: Function) -> None:
    """Check chapter 5, exercise 5: how often orientations turn round a square."""

    def round_(theta, period=np.pi, shift=-1):
        ahead = theta.roll(shift, dims=1) - theta
        ahead = (ahead + period / 2) % period - period / 2
        return (ahead.sum(1) / period).round()

    def open_end(theta):
        ahead = theta.diff(dim=1)
        return ((ahead + np.pi / 2) % np.pi - np.pi / 2).sum(1) / np.pi

    mistakes = {
        "the sign is turned: +1 is where orientations turn through +π in the given order": (
            lambda theta: -round_(theta)
        ),
        "orientations are angles mod π, not mod 2π: bring differences into −π/2 … π/2": (
            lambda theta: round_(theta, 2 * np.pi)
        ),
        "you brought differences into −π … π and divided by π: orientations are angles mod π": (
            lambda theta: 2 * round_(theta, 2 * np.pi)
        ),
        "the way back to the first corner is missing: four corners, four turns": open_end,
        "without bringing differences into −π/2 … π/2 they always add up to 0": (
            lambda theta: 0 * round_(theta)
        ),
        "divide by π, not by 2π: orientation turns through π round a pinwheel": (
            lambda theta: round_(theta) / 2
        ),
        "you took the size: the sign tells two kinds of pinwheels apart": (
            lambda theta: round_(theta).abs()
        ),
        "this is the sum of the turns; divide it by π": lambda theta: np.pi * round_(theta),
    }
    generator = np.random.default_rng(17)
    # Any angles will do: they count mod π.
    theta = torch.from_numpy(generator.uniform(-5, 5, (2, 200, 4)))
    exercise(answer, round_, mistakes, [(one,) for one in theta])


def check_rate_of(answer: Function) -> None:
    """Check chapter 6, exercise 1: the KL divergence of a normal distribution from N(0, 1)."""

    def rate(mean, log_var, half=0.5):
        return half * (mean.square() + log_var.exp() - 1 - log_var).sum(1)

    mistakes = {
        "the sign is turned: the rate is never negative": lambda m, v: -rate(m, v),
        "the ½ is missing": lambda m, v: rate(m, v, 1.0),
        "you took log_var for the variance σ² itself: it is its logarithm": (
            lambda m, v: 0.5 * (m.square() + v - 1 - v.log()).sum(1)
        ),
        "you took log_var for ln σ: it is ln σ²": lambda m, v: rate(m, 2 * v),
        "+ ln σ² pulls σ to zero: it must be subtracted": (
            lambda m, v: 0.5 * (m.square() + v.exp() - 1 + v).sum(1)
        ),
        "the spring is ½μ²: square the mean": (lambda m, v: 0.5 * (m + v.exp() - 1 - v).sum(1)),
        "the spring is missing: where is the mean?": lambda m, v: rate(0 * m, v),
        "the −1 is missing: for μ = 0, σ = 1 the rate is 0": (
            lambda m, v: rate(m, v) + 0.5 * m.shape[1]
        ),
        "you took the mean over units: rates add": lambda m, v: rate(m, v) / m.shape[1],
        "these are bits: asked for are nats": lambda m, v: rate(m, v) / np.log(2),
    }
    generator = np.random.default_rng(18)
    cases = [tuple(torch.from_numpy(generator.standard_normal((2, 7, m)))) for m in (3, 8)]
    cases[0] = cases[0][0], cases[0][1].abs()  # so that one who takes its logarithm is told
    exercise(answer, rate, mistakes, cases)


def check_drawn_code(answer: Function) -> None:
    """Check chapter 6, exercise 2: a draw with a slope."""

    def draw(mean, log_var, noise):
        return mean + (0.5 * log_var).exp() * noise

    mistakes = {
        "the ½ is missing: exp(log_var) is σ², and the noise is multiplied by σ": (
            lambda m, v, e: m + v.exp() * e
        ),
        "you multiply by ln σ²: take half of it, then exp": lambda m, v, e: m + v * e,
        "you multiply by ln σ: σ is its exp": lambda m, v, e: m + 0.5 * v * e,
        "you divide by σ": lambda m, v, e: m + (-0.5 * v).exp() * e,
        "this is the mean alone: without noise nothing limits the code": lambda m, v, e: m,
        "σ is missing: all units get noise of variance 1": lambda m, v, e: m + e,
        "the mean is missing": lambda m, v, e: draw(0 * m, v, e),
        "you took log_var for the variance: its exp is": lambda m, v, e: m + v.sqrt() * e,
        "σ belongs to the noise, not to the mean": lambda m, v, e: m * (0.5 * v).exp() + e,
        "the mean is multiplied by σ, too": lambda m, v, e: (0.5 * v).exp() * (m + e),
        "a draw just as good, but the check adds the noise; you subtract it": (
            lambda m, v, e: draw(m, v, -e)
        ),
    }
    generator = np.random.default_rng(19)
    cases = [tuple(torch.from_numpy(generator.standard_normal((3, 6, m)))) for m in (3, 8)]
    cases[0] = cases[0][0], cases[0][1].abs(), cases[0][2]  # so that one who takes its root is told
    exercise(answer, draw, mistakes, cases)


def check_expected_error(answer: Function) -> None:
    """Check chapter 6, exercise 3: reconstruction error averaged over the noise of a code."""

    def error(x, mean, log_var, Wd, times=1.0):
        rest = 0.5 * (x - mean @ Wd.T).square().sum(1)
        return rest + 0.5 * times * log_var.exp() @ Wd.square().sum(0)

    def without_squares(x, mean, log_var, Wd):
        return error(x, mean, log_var, Wd, 0.0) + 0.5 * log_var.exp() @ Wd.norm(dim=0)

    mistakes = {
        "this is the error of the mean alone: what does the noise add?": (
            lambda x, m, v, Wd: error(x, m, v, Wd, 0.0)
        ),
        "the ½ before the noise's part is missing": lambda x, m, v, Wd: error(x, m, v, Wd, 2.0),
        "both ½ are missing": lambda x, m, v, Wd: 2 * error(x, m, v, Wd),
        "the ½ before the squared error is missing": (
            lambda x, m, v, Wd: error(x, m, v, Wd) + error(x, m, v, Wd, 0.0)
        ),
        "you took σ for σ²: exp(log_var) is the variance": (
            lambda x, m, v, Wd: error(x, m, 0.5 * v, Wd)
        ),
        "you took log_var for the variance: it is its logarithm": (
            lambda x, m, v, Wd: error(x, m, v, Wd, 0.0) + 0.5 * v @ Wd.square().sum(0)
        ),
        "noise goes through the decoder: weigh each variance with ‖d_k‖²": (
            lambda x, m, v, Wd: error(x, m, v, Wd, 0.0) + 0.5 * v.exp().sum(1)
        ),
        "‖d_k‖ must be squared": without_squares,
        "noise never makes the error smaller: its part is added": (
            lambda x, m, v, Wd: error(x, m, v, Wd, -1.0)
        ),
    }
    generator = np.random.default_rng(20)
    cases = [
        tuple(
            torch.from_numpy(generator.standard_normal(s)) for s in ((5, n), (5, m), (5, m), (n, m))
        )
        for n, m in ((4, 6), (7, 3))
    ]
    exercise(answer, error, mistakes, cases)


def check_evidence_at_test(answer: Function) -> None:
    """Check chapter 6, exercise 4: the classifier of a VAE at test time."""

    def mean_of(outputs, Wc):
        return outputs[:, : Wc.shape[1]]

    def log_var_of(outputs, Wc):
        return outputs[:, Wc.shape[1] :]

    def drawn(outputs, noise, Wc):
        return mean_of(outputs, Wc) + (0.5 * log_var_of(outputs, Wc)).exp() * noise

    mistakes = {
        "you drew the code: asked twice, it answers twice; at test time read the mean": (
            lambda o, e, Wc: normalize(drawn(o, e, Wc)) @ Wc.T
        ),
        "you drew the code, and its length is not divided out": (
            lambda o, e, Wc: drawn(o, e, Wc) @ Wc.T
        ),
        "the length of the code is not divided out: evidence is Wc z / ‖z‖": (
            lambda o, e, Wc: mean_of(o, Wc) @ Wc.T
        ),
        "you read ln σ²: the first half of the outputs are the means": (
            lambda o, e, Wc: normalize(log_var_of(o, Wc)) @ Wc.T
        ),
        "means are the first half of the outputs, not every second": (
            lambda o, e, Wc: normalize(o[:, ::2]) @ Wc.T
        ),
        "you divided by the length of all outputs: the code is the first half": (
            lambda o, e, Wc: mean_of(normalize(o), Wc) @ Wc.T
        ),
        "you took the softmax: asked for is the evidence before it": (
            lambda o, e, Wc: (normalize(mean_of(o, Wc)) @ Wc.T).softmax(1)
        ),
        "you divided by the norm of the whole batch: each row has its own": (
            lambda o, e, Wc: mean_of(o, Wc) / mean_of(o, Wc).norm() @ Wc.T
        ),
    }
    generator = np.random.default_rng(21)
    cases = [
        tuple(torch.from_numpy(generator.standard_normal(s)) for s in ((5, 2 * m), (5, m), (c, m)))
        for m, c in ((4, 3), (6, 10))
    ]
    exercise(answer, lambda o, e, Wc: normalize(mean_of(o, Wc)) @ Wc.T, mistakes, cases)


def check_water_bits(answer: Function) -> None:
    """Check chapter 6, exercise 5: the rate of reverse water-filling."""

    def bits(v, level):
        return 0.5 * (v / level).clamp(min=1).log2().sum(1)

    mistakes = {
        "these are nats: bits take the logarithm to the base 2": (
            lambda v, level: bits(v, level) * np.log(2)
        ),
        "the ½ is missing: variances are squares": lambda v, level: 2 * bits(v, level),
        "axes under water give no bits back: leave them out": (
            lambda v, level: 0.5 * (v / level).log2().sum(1)
        ),
        "the ratio is upside down: an axis needs more bits, the higher it stands": (
            lambda v, level: 0.5 * (level / v).clamp(min=1).log2().sum(1)
        ),
        "the sign is turned: bits are not negative": lambda v, level: -bits(v, level),
        "this is the distortion; asked for are the bits": (
            lambda v, level: v.clamp(max=level).sum(1)
        ),
        "you took the mean over axes: bits add": lambda v, level: bits(v, level) / v.shape[1],
        "½ log2 v says nothing of the level: divide by it": (
            lambda v, level: 0.5 * v.clamp(min=level).log2().sum(1)
        ),
        "½ log2(1 + v/θ) is another formula, that of a channel; here it is ½ log2(v/θ)": (
            lambda v, level: 0.5 * (1 + v / level).log2().sum(1)
        ),
    }
    generator = np.random.default_rng(22)
    cases = [
        (torch.from_numpy(generator.gamma(1.0, 2.0, (4, n))), level)
        for n, level in ((6, 0.5), (9, 1.7))
    ]
    exercise(answer, bits, mistakes, cases)
