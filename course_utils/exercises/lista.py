"""Checks of the exercises of chapter 2."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from course_utils.built.ista import shrink
from course_utils.built.lista import conditioned, shrink_risk, synthetic_pairs
from course_utils.checks import Function, exercise
from course_utils.data import normal
from course_utils.exercises.cases import cases_of

DRAWN_DB = 0.35  # five standard deviations of what 200,000 draws give, over 60 seeds


def check_my_layer(answer: Function) -> None:
    """Check the layer of LISTA that the reader writes in section 1."""

    def layer(x, z, We, S, theta, plus=1.0):
        return shrink(x @ We.T + plus * z @ S.T, theta)

    mistakes = {
        "S z is added, not subtracted": lambda *a: layer(*a, plus=-1.0),
        "S is transposed: each row z of the batch is multiplied as z @ S.T": (
            lambda x, z, We, S, theta: layer(x, z, We, S.T, theta)
        ),
        "S z is missing: what the active units say to the others": lambda *a: layer(*a, plus=0.0),
        "x is missing: We x enters every layer": (
            lambda x, z, We, S, theta: layer(0 * x, z, We, S, theta)
        ),
        "the shrink is missing": lambda x, z, We, S, theta: layer(x, z, We, S, 0 * theta),
        "only We x is shrunk: S z belongs inside": (
            lambda x, z, We, S, theta: shrink(x @ We.T, theta) + z @ S.T
        ),
        "only S z is shrunk: We x belongs inside": (
            lambda x, z, We, S, theta: x @ We.T + shrink(z @ S.T, theta)
        ),
        "this threshold jumps: shrink makes what it keeps smaller by θ": _jumping,
        "each unit has a θ of its own: you took their mean": (
            lambda x, z, We, S, theta: layer(x, z, We, S, theta.mean())
        ),
        "z comes in once, through S: you added it a second time": (
            lambda x, z, We, S, theta: shrink(z + x @ We.T + z @ S.T, theta)
        ),
        "negative coefficients are lost: this is a ReLU, shrink keeps the sign": (
            lambda x, z, We, S, theta: (x @ We.T + z @ S.T - theta).relu()
        ),
        "theta is the threshold itself here, not its logarithm": (
            lambda x, z, We, S, theta: layer(x, z, We, S, theta.exp())
        ),
    }
    generator, cases = np.random.default_rng(4), []
    for x, z, Wd in cases_of(4):
        n, m = Wd.shape
        We, S, theta = (normal(generator, *s) for s in ((m, n), (m, m), (m,)))
        cases.append((x, z, We, S / m**0.5, theta.abs()))
    exercise(answer, layer, mistakes, cases)


def _jumping(x: Tensor, z: Tensor, We: Tensor, S: Tensor, theta: Tensor) -> Tensor:
    v = x @ We.T + z @ S.T
    return torch.where(v.abs() > theta, v, 0.0)


def check_my_untrained(answer: Function) -> None:
    """Check the start of LISTA that the reader writes in section 1: it must be ISTA."""

    def untrained(x, Wd, lmbd, depth, price=None, sign=1.0, every=1.0, **planted):
        L = planted.get("L", torch.linalg.eigvalsh(Wd.T @ Wd)[-1])
        step = planted.get("step", lambda L: 1 / L)
        We = step(L) * Wd.T
        z = planted.get("start", 0.0) * x @ We.T
        S = torch.eye(Wd.shape[1]).to(Wd) - planted.get("coupling", lambda L: 1.0)(L) * We @ Wd
        for k in range(depth):
            v = (every if k else 1.0) * (x @ We.T) + sign * z @ S.T
            z = shrink(v, lmbd * step(L) if price is None else price(lmbd, L))
        return z

    mistakes = {
        "θ is λ/L, not λ": lambda *a: untrained(*a, price=lambda lmbd, L: lmbd),
        "the factor 1/L is missing: We is Wdᵀ/L": lambda *a: untrained(*a, step=lambda L: 1.0),
        "L is the largest eigenvalue of WdᵀWd: square the singular value": (
            lambda *a: untrained(*a, step=lambda L: L**-0.5)
        ),
        "S z is added, not subtracted": lambda *a: untrained(*a, sign=-1.0),
        "x enters every layer, not only the first": lambda *a: untrained(*a, every=0.0),
        "this is one layer too many": lambda x, Wd, l, depth: untrained(x, Wd, l, depth + 1),
        "this is one layer too few": lambda x, Wd, l, depth: untrained(x, Wd, l, depth - 1),
        "the shrink is missing": lambda x, Wd, l, depth: untrained(x, Wd, 0.0, depth),
        "this is a single layer: call it depth times": lambda x, Wd, l, _: untrained(x, Wd, l, 1),
        "in We the factor 1/L is missing: We = Wdᵀ/L": (
            lambda x, Wd, l, depth: untrained(
                torch.linalg.eigvalsh(Wd.T @ Wd)[-1] * x, Wd, l, depth
            )
        ),
        "S has lost its I: S = I − Wdᵀ Wd/L": lambda *a: _without_eye(*a),
        "start at z = 0, not at We x": lambda *a: untrained(*a, start=1.0),
        "in S the factor 1/L is missing: S = I − Wdᵀ Wd/L": (
            lambda *a: untrained(*a, coupling=lambda L: L)
        ),
        "this L is the Frobenius norm squared, safe but too large: the largest eigenvalue is L": (
            lambda x, Wd, l, depth: untrained(x, Wd, l, depth, L=Wd.square().sum())
        ),
    }
    cases = [(x, Wd, 0.3, depth) for (x, _, Wd), depth in zip(cases_of(21), (3, 5), strict=True)]
    exercise(answer, untrained, mistakes, cases)


def _without_eye(x: Tensor, Wd: Tensor, lmbd: float, depth: int) -> Tensor:
    L = torch.linalg.eigvalsh(Wd.T @ Wd)[-1]
    z = x.new_zeros(len(x), Wd.shape[1])
    for _ in range(depth):
        z = shrink((x - z @ Wd.T) @ Wd / L, lmbd / L)
    return z


def check_my_coupled_S(answer: Function) -> None:
    """Check the coupling that the reader writes in section 2: S = I − We Wd."""

    def coupled(We, Wd):
        return torch.eye(len(We)).to(We) - We @ Wd

    mistakes = {
        "this is its negative": lambda We, Wd: -coupled(We, Wd),
        "the sign before We Wd is turned": lambda We, Wd: torch.eye(len(We)).to(We) + We @ Wd,
        "I is missing: without it no code stays": lambda We, Wd: -We @ Wd,
        "this is We Wd itself": lambda We, Wd: We @ Wd,
        "this is its transpose: units hear each other the wrong way round": (
            lambda We, Wd: coupled(We, Wd).T
        ),
        "this is the S of ISTA, from Wd alone: We need not be Wdᵀ/L": (
            lambda We, Wd: coupled(Wd.T / torch.linalg.eigvalsh(Wd.T @ Wd)[-1], Wd)
        ),
        "this is I − Wdᵀ Wd, from Wd alone: We was not used": lambda We, Wd: coupled(Wd.T, Wd),
    }
    generator, cases = np.random.default_rng(22), []
    for _, _, Wd in cases_of(22):
        cases.append((normal(generator, *Wd.T.shape), Wd))
    exercise(answer, coupled, mistakes, cases)


def check_my_residual(answer: Function) -> None:
    """Check the residual of AMP that the reader writes in section 6."""

    def residual(x, z, before, Wd, plus=1.0, over=None, many=None):
        active = (z != 0).sum(1, keepdim=True) if many is None else many(z)
        return x - z @ Wd.T + plus * active / (over or len(Wd)) * before

    mistakes = {
        "the echo is added back, not subtracted": lambda *a: residual(*a, plus=-1.0),
        "the echo is missing": lambda *a: residual(*a, plus=0.0),
        "divide by n, the numbers in x, not by m": (
            lambda x, z, before, Wd: residual(x, z, before, Wd, over=Wd.shape[1])
        ),
        "negative coefficients are active, too": (
            lambda *a: residual(*a, many=lambda z: (z > 0).sum(1, keepdim=True))
        ),
        "each row counts its own active units: you took their mean": (
            lambda *a: residual(*a, many=lambda z: (z != 0).sum() / len(z))
        ),
        "count the active units: you added their sizes": (
            lambda *a: residual(*a, many=lambda z: z.abs().sum(1, keepdim=True))
        ),
        "count the active units: every unit was counted": (
            lambda *a: residual(*a, many=lambda z: z.shape[1])
        ),
        "a part a/n of the residual before, not all of it": (
            lambda *a: residual(*a, many=lambda z: len(a[3]))
        ),
        "x is missing": lambda x, z, before, Wd: residual(0 * x, z, before, Wd),
        "each row counts its own active units: you counted the whole batch": (
            lambda *a: residual(*a, many=lambda z: (z != 0).sum())
        ),
        "the echo is of the residual before, not of the new one": (
            lambda x, z, before, Wd: residual(x, z, x - z @ Wd.T, Wd)
        ),
        "the echo is of the residual before, not of x": (
            lambda x, z, before, Wd: residual(x, z, x, Wd)
        ),
        "divide by n, the numbers in x, not by how many rows there are": (
            lambda x, z, before, Wd: residual(x, z, before, Wd, over=len(x))
        ),
    }
    generator, cases = np.random.default_rng(23), []
    for x, z, Wd in cases_of(23):
        cases.append((x, z, normal(generator, *x.shape), Wd))
    exercise(answer, residual, mistakes, cases)


def check_jump_relu(answer: Function) -> None:
    """Check chapter 2, exercise 1: the hard threshold of codes that cannot be negative."""
    mistakes = {
        "what is kept is kept whole: this is a shifted ReLU": lambda v, theta: (v - theta).relu(),
        "large negative values are zero, too: you took |v| > θ": (
            lambda v, theta: v * (v.abs() > theta)
        ),
        "what is kept is kept whole, and nothing is negative: this is shrink": shrink,
        "at v = θ itself it is 0: > in place of ≥": lambda v, theta: v * (v >= theta),
        "each unit has a θ of its own: you took their mean": (
            lambda v, theta: v * (v > theta.mean())
        ),
        "θ belongs to the units, the columns of v: you gave one to each row": (
            lambda v, theta: v * (v > theta[:, None])
        ),
        "this says which units are on: v itself is asked for there": (
            lambda v, theta: (v > theta).to(v)
        ),
        "up to θ it is 0, not θ": torch.maximum,
        "this is a ReLU: it starts at 0, not at θ": lambda v, theta: v.relu(),
        "the comparison is turned: you kept what is below θ": lambda v, theta: v * (v < theta),
    }
    generator, cases = np.random.default_rng(25), []
    for m in (4, 7):  # as many rows as units, or θ given to the rows would raise, not be named
        v, theta = normal(generator, m, m), normal(generator, m).abs()
        cases.append((v, theta))
    v, theta = cases[1]
    v[3] = theta  # ties
    exercise(answer, lambda v, theta: v * (v > theta), mistakes, cases)


def check_wrong_units(answer: Function) -> None:
    """Check chapter 2, exercise 2: how many units are falsely active, and how many are missed."""

    def both(false, missed):
        return torch.stack([false.sum(1), missed.sum(1)], 1)

    mistakes = {
        "the two columns are exchanged: false ones first": (
            lambda z, true: both((z == 0) & (true != 0), (z != 0) & (true == 0))
        ),
        "negative coefficients are active, too": (
            lambda z, true: both((z > 0) & (true <= 0), (z <= 0) & (true > 0))
        ),
        "a negative coefficient is active, too: a unit is active where it is not 0": (
            lambda z, true: both((z > 0) & (true == 0), (z == 0) & (true > 0))
        ),
        "in z negative coefficients are active, too": (
            lambda z, true: both((z > 0) & (true == 0), (z <= 0) & (true != 0))
        ),
        "each row is counted by itself: you counted the batch": (
            lambda z, true: (
                both((z != 0) & (true == 0), (z == 0) & (true != 0)).sum(0).expand(len(z), 2)
            )
        ),
        "a unit is wrong if it is active in one code only: you compared their values": (
            lambda z, true: both((z != true) & (z != 0), (z != true) & (true != 0))
        ),
        "these are shares; numbers are asked for": (
            lambda z, true: both((z != 0) & (true == 0), (z == 0) & (true != 0)) / z.shape[1]
        ),
    }
    generator, cases = np.random.default_rng(24), []
    for B, m in ((3, 12), (5, 30)):  # not 2 rows, or an answer (2, B) would have the right shape
        z, other = normal(generator, B, m), normal(generator, B, m)
        z = z * (z.abs() > 1)
        cases.append((torch.where(other.abs() > 0.8, z, other * (other > 0.3)), z))
    exercise(
        answer,
        lambda z, true: both((z != 0) & (true == 0), (z == 0) & (true != 0)),
        mistakes,
        cases,
    )


def check_threshold_slope(answer: Function) -> None:
    """Check chapter 2, exercise 3: the slope with respect to the threshold of a shifted ReLU."""
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
        "a unit with v < −b is off, too: you took |v| > b": (
            lambda v, b, slope: -(slope * (v.abs() > b)).sum(0)
        ),
        "you multiplied by z: the slope is −1 where a unit is on, whatever z is": (
            lambda v, b, slope: -(slope * (v - b).clamp(min=0)).sum(0)
        ),
    }
    generator, cases = np.random.default_rng(5), []
    for B, m in ((3, 5), (20, 8)):
        v, slope, b = (normal(generator, *s) for s in ((B, m), (B, m), (m,)))
        cases.append((v, b.abs() / 2, slope))
    exercise(answer, lambda v, b, slope: -(slope * (v > b)).sum(0), mistakes, cases)


def check_drawn_evolution(answer: Function) -> None:
    """Check chapter 2, exercise 4: state evolution by drawing.

    What is drawn is never quite the mean: an answer within DRAWN_DB of the solution counts as
    equal to it. So does one within that of a mistake, and 3 % of how far the mistake lies off.
    """
    mistakes = {
        "the factor m/n is missing: each unit hears m others": (
            lambda *a: _evolution(*a, heard=lambda n, m: 1.0)
        ),
        "the factor is m/n, not n/m": lambda *a: _evolution(*a, heard=lambda n, m: n / m),
        "the threshold is α τ, not α": lambda *a: _evolution(*a, theta=lambda alpha, tau: alpha),
        "α is missing: the threshold is α τ": lambda *a: _evolution(
            *a, theta=lambda alpha, tau: tau
        ),
        "τ falls from step to step: you kept the first": lambda *a: _evolution(*a, follow=0.0),
        "the noise in x is missing: τ² begins with σ²": lambda *a: _evolution(*a, noise=0.0),
        "σ must be squared": lambda *a: _evolution(*a, noise=0.5),
        "τ is the root of τ²": lambda *a: _evolution(*a, root=1.0),
        "divide the error by what it is before the first step, the share": (
            lambda n, m, alpha, steps, seed, sigma, share: (
                _evolution(n, m, alpha, steps, seed, sigma, share) + 10 * np.log10(share)
            )
        ),
        "the error is a square already: 10 log10, not 20": lambda *a: 2 * _evolution(*a),
        "a natural logarithm was taken: dB are 10 log10": (
            lambda *a: _evolution(*a) * float(np.log(10))
        ),
        "these are no dB: take 10 log10": lambda *a: 10 ** (_evolution(*a) / 10),
        "the first number is the error after the first step, not before it": (
            lambda *a: torch.cat([torch.zeros(1).double(), _evolution(*a)[:-1]])
        ),
    }

    def snapped(n, m, alpha, steps, seed, sigma, share):
        draws = np.random.default_rng(seed)
        got = answer(n, m, alpha, steps, draws, sigma=sigma, share=share)
        if not isinstance(got, Tensor) or got.shape != (steps,):
            return got
        exact = _evolution(n, m, alpha, steps, seed, sigma, share)
        for near in (_evolution, *mistakes.values()):
            value = near(n, m, alpha, steps, seed, sigma, share)
            if torch.allclose(got - exact, value - exact, rtol=0.03, atol=DRAWN_DB):
                return value
        return got

    cases = [(250, 500, 1.14, 6, 1, 0.0, 0.1), (300, 500, 1.5, 4, 2, 0.0, 0.2)]
    cases.append((250, 500, 1.3, 5, 3, 0.15, 0.1))
    exercise(snapped, _evolution, mistakes, cases)


def _evolution(
    n: int,
    m: int,
    alpha: float,
    steps: int,
    seed: int,
    sigma: float,
    share: float,
    heard: Callable = lambda n, m: m / n,
    theta: Callable = lambda alpha, tau: alpha * tau,
    follow: float = 1.0,
    noise: float = 1.0,
    root: float = 0.5,
) -> Tensor:
    """Return NMSE in dB (steps,) in closed form, with what is planted; the seed is not used."""
    error, found = share, []
    for _ in range(steps):
        known = error if follow else share
        tau = ((sigma ** (2 * noise) if noise else 0.0) + heard(n, m) * known) ** root
        s, threshold = (1 + tau**2) ** 0.5, theta(alpha, tau)
        active = shrink_risk(s, threshold, 1 / s**2) + (tau / s) ** 2
        error = share * active + (1 - share) * shrink_risk(tau, threshold)
        found.append(10 * np.log10(error / share))
    return torch.tensor(found)


def check_support_step(answer: Function) -> None:
    """Check chapter 2, exercise 5: the step that the support of each row allows."""

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
        "this is L_A; the step is 1/L_A": lambda z, Wd: 1 / step(z, Wd),
        "this is L_A, not 1/L_A, and a row with no active unit gets 1/L": (
            lambda z, Wd: (z != 0).any(1, keepdim=True) / step(z, Wd)
        ),
        "this is 2/L_A, the limit; the step is 1/L_A": lambda z, Wd: 2 * step(z, Wd),
        "the largest singular value must be squared": lambda z, Wd: step(z, Wd).sqrt(),
        "each row has its own support: you took all together": (
            lambda z, Wd: step(z, Wd, on=(z != 0).any(0).expand_as(z))
        ),
        "this is the Frobenius norm, safe but too short: the largest eigenvalue is asked for": (
            lambda z, Wd: 1 / ((z != 0).to(Wd) @ Wd.square().sum(0)).unsqueeze(1)
        ),
    }
    for least in (1e-6, 1e-8, 1e-9, 1e-12):  # what eigenvalues are often clamped to
        mistakes[f"a row with no active unit gets 1/L, not 1/{least:g}"] = (
            lambda z, Wd, least=least: torch.where(
                (z != 0).any(1, keepdim=True), step(z, Wd), 1 / least
            )
        )
    cases = [(z, Wd) for _, z, Wd in cases_of(6)]
    z, Wd = cases[1]
    cases.append((torch.cat([z[:2], 0 * z[:1]]), Wd))  # the last row has no active unit
    exercise(answer, step, mistakes, cases)


def check_soft_vamp(answer: Function) -> None:
    """Check chapter 2, exercise 6: vector AMP with the soft threshold.

    Rangan, Schniter & Fletcher 2019, algorithm 3.
    """
    mistakes = {
        "the shrink hands on its whole output: take its own share out": (
            lambda *a: _vamp(*a, own=(1, 0))
        ),
        "the ridge hands on its whole output: take its own share out": (
            lambda *a: _vamp(*a, own=(0, 1))
        ),
        "both hand on their whole output: take their own share out": (
            lambda *a: _vamp(*a, own=(0, 0))
        ),
        "own shares are taken out, but what is left is not divided by 1 − ρ": (
            lambda *a: _vamp(*a, left=0)
        ),
        "the precision stays at its first value: both steps hand on a new one": (
            lambda *a: _vamp(*a, told=(lambda g, r: g, lambda g, r: g))
        ),
        "the precision of v is not that of u: what the ridge adds is missing": (
            lambda *a: _vamp(*a, told=(lambda g, r: g, _added))
        ),
        "the precision of u is not that of v: what the shrink adds is missing": (
            lambda *a: _vamp(*a, told=(_added, lambda g, r: g))
        ),
        "γ/ρ is the precision of z: u has only what the shrink adds, γ/ρ − γ": (
            lambda *a: _vamp(*a, told=(_added, lambda g, r: g / r))
        ),
        "γ/ρ is the precision of z: both hand on only what they add, γ/ρ − γ": (
            lambda *a: _vamp(*a, told=(lambda g, r: g / r, lambda g, r: g / r))
        ),
        "the precisions are upside down: (1 − ρ)/ρ, not ρ/(1 − ρ)": (
            lambda *a: _vamp(*a, told=(lambda g, r: g * r / (1 - r), lambda g, r: g * r / (1 - r)))
        ),
        "each row counts its own active units: you took the mean over the batch": (
            lambda *a: _vamp(*a, row=lambda active: active.mean(0, keepdim=True).expand_as(active))
        ),
        "the ridge is σ² γ, not σ²": lambda *a: _vamp(*a, ridge=lambda sigma, g: sigma**2 + 0 * g),
        "the ridge is σ² γ: σ must be squared": (
            lambda *a: _vamp(*a, ridge=lambda sigma, g: sigma * g)
        ),
        "the ridge is σ² γ: you divided by γ": (
            lambda *a: _vamp(*a, ridge=lambda sigma, g: sigma**2 / g)
        ),
        "the share of the ridge is a mean over m directions, not over n": (
            lambda *a: _vamp(*a, over=lambda n, m: n)
        ),
        "γ_v is a precision: the deviation is 1/√γ_v, not 1/γ_v": (
            lambda *a: _vamp(*a, deviation=lambda g: 1 / g)
        ),
        "γ_v is a precision, not a variance: the deviation is 1/√γ_v": (
            lambda *a: _vamp(*a, deviation=lambda g: g**0.5)
        ),
        "start with the precision m/‖x‖², not 1": lambda *a: _vamp(*a, first=lambda x, m: 1.0),
        "the first precision is the inverse of the variance ‖x‖²/m": (
            lambda *a: _vamp(*a, first=lambda x, m: x.square().sum(1, keepdim=True) / m)
        ),
        "return z after the shrink, not u": lambda *a: _vamp(*a, which=1),
        "return z after the shrink, not v": lambda *a: _vamp(*a, which=2),
        "this is one step too few": lambda x, Wd, alpha, k, sigma: _vamp(
            x, Wd, alpha, k - 1, sigma
        ),
        "this is one step too many": (
            lambda x, Wd, alpha, k, sigma: _vamp(x, Wd, alpha, k + 1, sigma)
        ),
    }
    cases = []
    for seed, (B, n, m, alpha, steps) in enumerate(
        ((1, 24, 40, 1.14, 2), (4, 30, 50, 1.14, 5), (3, 30, 40, 3.0, 4))
    ):
        generator = np.random.default_rng([26, seed])
        Wd = conditioned(n, m, 15.0, generator).double()
        x, _ = next(synthetic_pairs(Wd, B, generator, 30.0))
        cases.append((x, Wd, alpha, steps, 0.02))
    cases[2][0][0] *= 0.03  # so weak that no unit passes at first
    exercise(answer, _vamp, mistakes, cases)


def _added(gamma: Tensor, share: Tensor) -> Tensor:
    return gamma * (1 - share) / share


def _vamp(
    x: Tensor,
    Wd: Tensor,
    alpha: float,
    steps: int,
    sigma: float,
    own: tuple = (1, 1),
    left: int = 1,
    told: tuple = (_added, _added),
    row: Callable = lambda active: active,
    ridge: Callable = lambda sigma, gamma: sigma**2 * gamma,
    over: Callable = lambda n, m: m,
    deviation: Callable = lambda gamma: 1 / gamma.sqrt(),
    first: Callable = lambda x, m: m / x.square().sum(1, keepdim=True),
    which: int = 0,
) -> Tensor:
    """Return the codes (B, m) of vector AMP with the soft threshold, with what is planted."""
    n, m = Wd.shape
    U, s, Vt = torch.linalg.svd(Wd, full_matrices=False)
    z = u = v = x.new_zeros(len(x), m)
    gamma = first(x, m) * x.new_ones(len(x), 1)

    def news(z: Tensor, given: Tensor, share: Tensor) -> Tensor:
        return (z - share * given) / ((1 - share) if left else 1)

    for _ in range(steps):
        c = ridge(sigma, gamma)
        z = u + ((x - u @ Wd.T) @ U * s / (s.square() + c)) @ Vt
        share = 1 - (s.square() / (s.square() + c)).sum(1, keepdim=True) / over(n, m)
        v = news(z, u, share) if own[0] else z
        gamma = told[0](gamma, share)
        z = shrink(v, alpha * deviation(gamma))
        share = row((z != 0).sum(1, keepdim=True).to(x)).clamp(1, m - 1) / m
        u = news(z, v, share) if own[1] else z
        gamma = told[1](gamma, share)
    return (z, u, v)[which]
