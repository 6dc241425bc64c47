"""Checks of the exercises of chapter 1."""

import numpy as np
import torch
from torch import Tensor

from course_utils.built.ista import duality_gap, fista, ista, lambda_max, shrink
from course_utils.checks import Function, exercise
from course_utils.data import normal
from course_utils.exercises.cases import cases_of


def check_my_shrink(answer: Function) -> None:
    """Check the soft threshold that the reader writes in section 2."""
    mistakes = {
        "what lies between −θ and θ becomes zero: yours stays as it is": lambda v, theta: (
            torch.where(v.abs() > theta, shrink(v, theta), v)
        ),
        "what survives is shortened by θ, too: this is the hard threshold": lambda v, theta: (
            v * (v.abs() > theta)
        ),
        "this flips the sign of small numbers: |v| − θ must not fall below zero": lambda v, theta: (
            v.sign() * (v.abs() - theta)
        ),
        "the sign of v is lost: what was negative stays negative": lambda v, theta: (
            v.abs() - theta
        ).clamp(min=0),
        "negative numbers are shrunk towards zero, too: this is max(0, v − θ)": lambda v, theta: (
            v - theta
        ).clamp(min=0),
        "negative numbers move *up* to zero, and small ones become zero: this is v − θ": (
            lambda v, theta: v - theta
        ),
        "negative numbers move *up* to zero: add θ where v < −θ": lambda v, theta: torch.where(
            v.abs() > theta, v - theta, torch.zeros_like(v)
        ),
        "this keeps what shrink takes away: v minus it is the answer": lambda v, theta: v.clamp(
            -theta, theta
        ),
        "this moves numbers away from zero: what survives becomes shorter by θ": lambda v, theta: (
            torch.where(v.abs() > theta, v + theta * v.sign(), torch.zeros_like(v))
        ),
    }
    cases = [(3 * normal(np.random.default_rng(12), 4, 6), theta) for theta in (0.7, 1.8)]
    exercise(answer, shrink, mistakes, cases)


def check_my_step(answer: Function) -> None:
    """Check the step of ISTA that the reader writes in section 3."""

    def step(z, x, Wd, lmbd, L):
        return shrink(z + (x - z @ Wd.T) @ Wd / L, lmbd / L)

    mistakes = {
        "a step of length 1/L shrinks by λ/L, not by λ": lambda z, x, Wd, lmbd, L: shrink(
            z + (x - z @ Wd.T) @ Wd / L, lmbd
        ),
        "the gradient step is missing its factor 1/L": lambda z, x, Wd, lmbd, L: shrink(
            z + (x - z @ Wd.T) @ Wd, lmbd / L
        ),
        "this climbs: the step goes along + Wdᵀ(x − Wd z)": lambda z, x, Wd, lmbd, L: shrink(
            z - (x - z @ Wd.T) @ Wd / L, lmbd / L
        ),
        "½ ‖·‖² has the gradient without a factor 2": lambda z, x, Wd, lmbd, L: shrink(
            z + 2 * (x - z @ Wd.T) @ Wd / L, lmbd / L
        ),
        "the shrink is missing: this is a step of gradient descent": lambda z, x, Wd, lmbd, L: (
            z + (x - z @ Wd.T) @ Wd / L
        ),
        "the step starts from z: yours starts from zero": lambda z, x, Wd, lmbd, L: shrink(
            (x - z @ Wd.T) @ Wd / L, lmbd / L
        ),
        "what is left is x − Wd z: you stepped towards x itself": lambda z, x, Wd, lmbd, L: shrink(
            z + x @ Wd / L, lmbd / L
        ),
        "shrink first, then step: it is the other way round": lambda z, x, Wd, lmbd, L: (
            shrink(z, lmbd / L) + (x - z @ Wd.T) @ Wd / L
        ),
        "only the gradient is shrunk: z belongs inside": lambda z, x, Wd, lmbd, L: (
            z + shrink((x - z @ Wd.T) @ Wd / L, lmbd / L)
        ),
    }
    exercise(answer, step, mistakes, [(z, x, Wd, 0.4, 9.0) for x, z, Wd in cases_of(13)])


def check_my_dual_point(answer: Function) -> None:
    """Check the dual point that the reader writes in section 5."""

    def residual(x, z, Wd):
        return x - z @ Wd.T

    def scaled(x, z, Wd, lmbd, most=1.0):
        r = residual(x, z, Wd)
        return r * (lmbd / (r @ Wd).abs().amax(1, keepdim=True)).clamp(max=most)

    mistakes = {
        "this is the residual itself: scale it until |Wdᵀ u| <= λ": lambda x, z, Wd, lmbd: residual(
            x, z, Wd
        ),
        "s is at most 1: a residual that obeys already stays as it is": lambda x, z, Wd, lmbd: (
            scaled(x, z, Wd, lmbd, float("inf"))
        ),
        "s is at most 1, not at least: clamp from above": lambda x, z, Wd, lmbd: (
            residual(x, z, Wd)
            * (lmbd / (residual(x, z, Wd) @ Wd).abs().amax(1, keepdim=True)).clamp(min=1)
        ),
        "each row has its own s: you took one for the batch": lambda x, z, Wd, lmbd: (
            residual(x, z, Wd) * (lmbd / (residual(x, z, Wd) @ Wd).abs().max()).clamp(max=1)
        ),
        "filters of negative correlation count, too: take |c|": lambda x, z, Wd, lmbd: (
            residual(x, z, Wd)
            * (lmbd / (residual(x, z, Wd) @ Wd).amax(1, keepdim=True)).clamp(max=1)
        ),
        "this is x, scaled: take what is left, x − Wd z": lambda x, z, Wd, lmbd: scaled(
            x, 0 * z, Wd, lmbd
        ),
        "s is λ over the largest |c|, and not the other way round": lambda x, z, Wd, lmbd: (
            residual(x, z, Wd)
            * ((residual(x, z, Wd) @ Wd).abs().amax(1, keepdim=True) / lmbd).clamp(max=1)
        ),
        "λ is missing: s is λ over the largest |c|": lambda x, z, Wd, lmbd: scaled(x, z, Wd, 1.0),
        "scale the whole row by one s: you cut its entries off": lambda x, z, Wd, lmbd: residual(
            x, z, Wd
        ).clamp(-lmbd, lmbd),
    }
    cases = [(x, z, Wd, lmbd) for (x, z, Wd), lmbd in zip(cases_of(14), (1.7, 3.5), strict=True)]
    cases.append((0.1 * cases[0][0], 0 * cases[0][1], *cases[0][2:]))  # its residual obeys already
    exercise(answer, scaled, mistakes, cases)


def check_elastic_shrink(answer: Function) -> None:
    """Check chapter 1, exercise 1: the proximal step of the elastic net's price."""
    mistakes = {
        "this is for θ|z| alone: where is μ?": lambda v, theta, mu: shrink(v, theta),
        "shrink by θ first, then divide all by 1 + μ: only v was divided": lambda v, theta, mu: (
            shrink(v / (1 + mu), theta)
        ),
        "the slope of (μ/2) z² is μ z: divide by 1 + μ, not by 1 + 2 μ": lambda v, theta, mu: (
            shrink(v, theta) / (1 + 2 * mu)
        ),
        "the slope of (μ/2) z² is μ z: divide by 1 + μ, not by 1 + μ/2": lambda v, theta, mu: (
            shrink(v, theta) / (1 + mu / 2)
        ),
        "divide by 1 + μ: the bowl ½ (z − v)² has a slope, too": lambda v, theta, mu: (
            shrink(v, theta) / mu
        ),
        "μ z depends on z: it divides, and does not lengthen θ": lambda v, theta, mu: shrink(
            v, theta + mu
        ),
        "multiply by 1 / (1 + μ): a price on z² makes z smaller": lambda v, theta, mu: (
            shrink(v, theta) * (1 + mu)
        ),
        "subtracting μ v is only right for small μ": lambda v, theta, mu: (
            shrink(v, theta) * (1 - mu)
        ),
    }
    cases = [
        (3 * normal(np.random.default_rng(15), 3, 5), t, mu) for t, mu in ((0.6, 0.3), (1.1, 2.0))
    ]

    def step(v, theta, mu):
        return shrink(v, theta) / (1 + mu)

    exercise(answer, step, mistakes, cases)


def check_grown_factor(answer: Function) -> None:
    """Check chapter 1, exercise 6: a Cholesky factor of the chosen filters grows by a row."""

    def grown(R, W_A, w):
        return by_row(R, solved(R, W_A.T @ w), w)

    def by_row(R, a, w):
        return joined(R, a, (w @ w - a @ a).clamp(min=0).sqrt())

    def joined(R, a, corner):
        new = torch.zeros(len(R) + 1, len(R) + 1).to(R)
        new[:-1, :-1], new[-1, :-1], new[-1, -1] = R, a, corner
        return new

    def solved(R, b, upper=False):
        return torch.linalg.solve_triangular(R, b[:, None], upper=upper)[:, 0]

    mistakes = {
        "this is the upper factor: its transpose is asked for": lambda R, W_A, w: (
            grown(R, W_A, w).T
        ),
        "the new row must be solved for: R a = W_Aᵀ w": lambda R, W_A, w: joined(
            R, W_A.T @ w, grown(R, W_A, w)[-1, -1]
        ),
        "solve with R, which is lower: you took its transpose": lambda R, W_A, w: joined(
            R, solved(R.T, W_A.T @ w, upper=True), grown(R, W_A, w)[-1, -1]
        ),
        "the new row is not W_Aᵀ w itself: solve R a = W_Aᵀ w for it": lambda R, W_A, w: by_row(
            R, W_A.T @ w, w
        ),
        "R is lower: the new row solves R a = W_Aᵀ w, and yours solves Rᵀ a": (
            lambda R, W_A, w: by_row(R, solved(R.T, W_A.T @ w, upper=True), w)
        ),
        "the corner is the root of wᵀw − aᵀa: the root is missing": lambda R, W_A, w: joined(
            R, solved(R, W_A.T @ w), grown(R, W_A, w)[-1, -1].square()
        ),
        "the corner is the root of wᵀw − aᵀa: you left aᵀa out": lambda R, W_A, w: joined(
            R, solved(R, W_A.T @ w), w.norm()
        ),
        "w may have any norm: wᵀw is not 1": lambda R, W_A, w: joined(
            R,
            solved(R, W_A.T @ w),
            (1 - solved(R, W_A.T @ w).square().sum()).abs().sqrt(),
        ),
        "you started over: the first rows must be R as it was given": lambda R, W_A, w: (
            torch.linalg.cholesky(
                torch.cat([W_A, w[:, None]], 1).T @ torch.cat([W_A, w[:, None]], 1)
            )
        ),
        "this is the matrix W_Aᵀ W_A itself, not its factor": lambda R, W_A, w: (
            torch.cat([W_A, w[:, None]], 1).T @ torch.cat([W_A, w[:, None]], 1)
        ),
    }
    generator, cases = np.random.default_rng(16), []
    for n, k in ((8, 3), (12, 5), (6, 1)):
        W = normal(generator, n, k + 1)
        W_A, w = W[:, :k] / W[:, :k].norm(dim=0), 1.3 * W[:, k] / W[:, k].norm()
        R = torch.linalg.cholesky(W_A.T @ W_A)
        R[:, 0] *= -1  # a factor, too, but not the one that a new factorisation finds
        cases.append((R, W_A, w))
    exercise(answer, grown, mistakes, cases)


def check_weighted_codes(answer: Function) -> None:
    """Check chapter 1, exercise 2: a price for each filter, by the change of what FISTA is given.

    Candès, Wakin & Boyd 2008.
    """

    def coded(x, Wd, lmbd):
        return fista(x, Wd, lmbd, 1500)

    mistakes = {
        "this is the code for one price λ: where is w?": lambda x, Wd, lmbd, w: coded(x, Wd, lmbd),
        "FISTA returned a = w z here, and z is asked for: divide by w": lambda x, Wd, lmbd, w: (
            coded(x, Wd / w, lmbd)
        ),
        "z is a / w, for a = w z: you multiplied": lambda x, Wd, lmbd, w: (
            coded(x, Wd / w, lmbd) * w
        ),
        "a filter that costs more gets shorter: divide the filters by w": lambda x, Wd, lmbd, w: (
            coded(x, Wd * w, lmbd) * w
        ),
        "filters that cost more get shorter, not longer: Wd / w, and what returns is w z": (
            lambda x, Wd, lmbd, w: coded(x, Wd * w, lmbd)
        ),
        "the filters were multiplied by w, and must be divided": lambda x, Wd, lmbd, w: (
            coded(x, Wd * w, lmbd) / w
        ),
        "only the code was divided: divide the filters by w as well, and leave them so": (
            lambda x, Wd, lmbd, w: coded(x, Wd, lmbd) / w
        ),
        "each filter has its own weight: you took their mean": lambda x, Wd, lmbd, w: coded(
            x, Wd, lmbd * w.mean().item()
        ),
        "the weight belongs to the columns of Wd, a filter each": lambda x, Wd, lmbd, w: (
            coded(x, Wd / w.norm(), lmbd) / w.norm()
        ),
    }
    cases = [
        (x, Wd, 0.5 * lambda_max(x, Wd).min().item(), 0.5 + normal(generator, Wd.shape[1]).abs())
        for generator in [np.random.default_rng(17)]
        for x, _, Wd in cases_of(18)
    ]
    exercise(answer, lambda x, Wd, lmbd, w: coded(x, Wd / w, lmbd) / w, mistakes, cases)


def check_debias(answer: Function) -> None:
    """Check chapter 1, exercise 3: fit the active coefficients again."""

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
    cases = [(x, ista(x, Wd, 0.3 * lambda_max(x, Wd), 50), Wd) for x, _, Wd in cases_of(1)]
    exercise(answer, lambda x, z, Wd: refit(z != 0, x, Wd), mistakes, cases)


def check_safe_to_drop(answer: Function) -> None:
    """Check chapter 1, exercise 4: the gap-safe rule."""

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
    for x, _, Wd in cases_of(2):
        scaled = Wd * torch.linspace(0.4, 1.0, Wd.shape[1]).to(Wd)
        lmbd = 0.5 * lambda_max(x, scaled)
        cases += [(x, ista(x, scaled, lmbd, steps), scaled, lmbd) for steps in (3, 10, 40)]
        cases.append((x, ista(x, scaled, 0.9 * lmbd, 500), scaled, lmbd))  # here s = 1
    exercise(answer, rule, mistakes, cases)


def check_kkt_violation_nonneg(answer: Function) -> None:
    """Check chapter 1, exercise 5: the certificate of non-negative codes."""

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
    cases = [(x, z.clamp(min=0), Wd, 0.2) for x, z, Wd in reversed(cases_of(3))]
    cases += [(x, 0 * z, Wd, 1.5 * lambda_max(x, Wd)) for x, z, Wd in cases_of(3)]  # all is well
    exercise(answer, lambda *a: each(*a).amax(1), mistakes, cases)


def _scale(x: Tensor, z: Tensor, Wd: Tensor, lmbd: Tensor) -> Tensor:
    """Return the s of each row that makes s r a dual point: (B, 1)."""
    return _stretch(x, z, Wd, lmbd).clamp(max=1)


def _stretch(x: Tensor, z: Tensor, Wd: Tensor, lmbd: Tensor) -> Tensor:
    """Return the factor of each row that brings the largest |Wdᵀ r| to λ: (B, 1)."""
    c = (x - z @ Wd.T) @ Wd
    return lmbd / c.abs().amax(1, keepdim=True)
