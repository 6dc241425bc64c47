"""Checks of the exercises of chapter 2."""

import numpy as np
import torch

from course_utils.built.ista import shrink
from course_utils.checks import Function, exercise
from course_utils.data import normal
from course_utils.exercises.cases import cases_of


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
    for (x, _, Wd), depth in zip(cases_of(4), (3, 5), strict=True):
        shapes = (Wd.shape[1], Wd.shape[0]), (Wd.shape[1],) * 2, (Wd.shape[1],)
        We, S, theta = (normal(generator, *s) for s in shapes)
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
        v, slope, b = (normal(generator, *s) for s in ((B, m), (B, m), (m,)))
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
    cases = [(z, Wd) for _, z, Wd in cases_of(6)]
    z, Wd = cases[1]
    cases.append((torch.cat([z[:2], 0 * z[:1]]), Wd))  # the last row has no active unit
    exercise(answer, step, mistakes, cases)
