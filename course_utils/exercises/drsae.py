"""Checks of the exercises of chapter 3."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from course_utils.checks import Function, exercise


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
