"""Checks of the exercises of chapter 1."""

import torch
from torch import Tensor

from course_utils.built.ista import duality_gap, ista, lambda_max, shrink
from course_utils.checks import Function, exercise
from course_utils.exercises.cases import cases_of


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
    cases = [
        (z, x, Wd, 0.1, mu, 9.0) for (x, z, Wd), mu in zip(cases_of(0), (0.3, 1.1), strict=True)
    ]
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
    cases = [(x, ista(x, Wd, 0.3 * lambda_max(x, Wd), 50), Wd) for x, _, Wd in cases_of(1)]
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
    for x, _, Wd in cases_of(2):
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
