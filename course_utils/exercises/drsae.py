"""Checks of the exercises of chapter 3."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, normalize

from course_utils.built.ista import shrink
from course_utils.checks import Function, exercise
from course_utils.data import normal


def check_my_iteration(answer: Function) -> None:
    """Check the iteration of the encoder that the reader writes in section 1."""

    def iteration(z, x, We, S, b):
        return (x @ We.T + z @ S.T - b).relu()

    mistakes = {
        "S is added here, with a plus: what it takes away stands in its own signs": (
            lambda z, x, We, S, b: (x @ We.T - z @ S.T - b).relu()
        ),
        "b is a threshold: it is taken away before what is negative is cut off": (
            lambda z, x, We, S, b: (x @ We.T + z @ S.T + b).relu()
        ),
        "no code is negative: max(0, ·) is missing": lambda z, x, We, S, b: x @ We.T + z @ S.T - b,
        "z stands in rows, so S z is z @ S.T, and S is not symmetric": lambda z, x, We, S, b: (
            x @ We.T + z @ S - b
        ).relu(),
        "max(0, ·) comes last, around the whole sum": lambda z, x, We, S, b: (
            (x @ We.T - b).relu() + z @ S.T
        ),
        "the threshold is inside max(0, ·), not behind it": lambda z, x, We, S, b: (
            (x @ We.T + z @ S.T).relu() - b
        ),
        "this is chapter 2's two-sided shrink: here codes are not negative": (
            lambda z, x, We, S, b: shrink(x @ We.T + z @ S.T, b)
        ),
        "what the input says is missing: We x enters at every iteration": lambda z, x, We, S, b: (
            z @ S.T - b
        ).relu(),
        "S is missing: every iteration would give the same code": lambda z, x, We, S, b: (
            x @ We.T - b
        ).relu(),
    }
    exercise(_with_rows(answer), iteration, mistakes, [_encoder(k) for k in range(2)])


def _with_rows(answer: Function) -> Function:
    """Return answer, whose error says how matrices meet rows if it is about shapes that do not."""

    def told(*case):
        try:
            return answer(*case)
        except RuntimeError as error:
            if not any(word in str(error) for word in ("shapes", "size of tensor", "mat")):
                raise
            rows = "inputs and codes stand in rows: We x is x @ We.T, and S z is z @ S.T"
            raise ValueError(f"{rows} ({error})") from error

    return told


def check_my_S(answer: Function) -> None:
    """Check the S with which the encoder is ISTA, which the reader writes in section 1."""

    def start(Wd, step):
        return torch.eye(Wd.shape[1]).to(Wd) - step * Wd.T @ Wd

    mistakes = {
        "z itself stays, so the identity is missing": lambda Wd, step: -step * Wd.T @ Wd,
        "1 − … takes from 1 everywhere; the identity, torch.eye, is 1 on its diagonal only": (
            lambda Wd, step: 1 - step * Wd.T @ Wd
        ),
        "what others have explained is taken away: minus step · WdᵀWd": lambda Wd, step: (
            torch.eye(Wd.shape[1]).to(Wd) + step * Wd.T @ Wd
        ),
        "the signs are the other way round: I stays, step · WdᵀWd goes": lambda Wd, step: (
            step * Wd.T @ Wd - torch.eye(Wd.shape[1]).to(Wd)
        ),
        "the step is missing before WdᵀWd": lambda Wd, step: (
            torch.eye(Wd.shape[1]).to(Wd) - Wd.T @ Wd
        ),
        "you divided by the step: it multiplies": lambda Wd, step: (
            torch.eye(Wd.shape[1]).to(Wd) - Wd.T @ Wd / step
        ),
        "step multiplies WdᵀWd only, not the identity": lambda Wd, step: (
            step * (torch.eye(Wd.shape[1]).to(Wd) - Wd.T @ Wd)
        ),
        "units explain themselves away, too: the diagonal of WdᵀWd belongs in": lambda Wd, step: (
            start(Wd, step) + step * torch.diag((Wd * Wd).sum(0))
        ),
    }
    cases = [(_encoder(k)[2].T.clone(), step) for k, step in enumerate((0.3, 0.05))]
    exercise(answer, start, mistakes, cases)


def check_my_criteria(answer: Function) -> None:
    """Check the three criteria that the reader writes in section 2."""

    def three(
        x, z, y, Wd, Wc, half=0.5, over=torch.mean, sparsity=Tensor.sum, length=normalize, sign=1
    ):
        rest = x - z @ Wd.T
        loss = cross_entropy(length(z) @ Wc.T, y, reduction="none")
        values = (half * rest.square().sum(1), sparsity(z, 1), sign * loss)
        return torch.stack([over(value) for value in values])

    def parted(**changes):
        return lambda *case: three(*case, **changes)

    mistakes = {
        "the ½ before the square is missing": parted(half=1.0),
        "these are sums over the batch: take means": parted(over=torch.sum),
        "L1 is the sum over units; you took their mean": parted(sparsity=Tensor.mean),
        "this is the length of the code; its L1 is the sum of its entries": parted(
            sparsity=lambda z, dim: z.norm(dim=dim)
        ),
        "the evidence is that of z / ‖z‖: divide the length out": parted(length=lambda z: z),
        "‖z‖ is the root of a sum of squares; you divided by the L1": parted(
            length=lambda z: normalize(z, p=1)
        ),
        "each code has its own length; you divided by that of the whole batch": parted(
            length=lambda z: z / z.norm()
        ),
        "cross-entropy is minus the logarithm": parted(sign=-1),
        "cross_entropy does the softmax itself: give it the evidence": lambda x, z, y, Wd, Wc: (
            torch.cat(
                [
                    three(x, z, y, Wd, Wc)[:2],
                    cross_entropy((normalize(z) @ Wc.T).softmax(1), y)[None],
                ]
            )
        ),
        "the three are right, but in another order: reconstruction, sparsity, classification": (
            lambda *case: three(*case).flip(0)
        ),
        "sparsity comes second, classification third": lambda *case: three(*case)[[0, 2, 1]],
        "reconstruction has the square of the norm, not the norm": lambda x, z, y, Wd, Wc: (
            torch.cat([0.5 * (x - z @ Wd.T).norm(dim=1).mean()[None], three(x, z, y, Wd, Wc)[1:]])
        ),
        "sum over the pixels: yours is a mean over them": lambda x, z, y, Wd, Wc: torch.cat(
            [0.5 * (x - z @ Wd.T).square().mean()[None], three(x, z, y, Wd, Wc)[1:]]
        ),
    }
    exercise(answer, three, mistakes, [_read(k) for k in range(2)])


def _encoder(k: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return z, x, We, S and b of a random encoder, in float64."""
    generator = np.random.default_rng([31, k])
    B, n, m = ((3, 6, 9), (5, 8, 11))[k]
    x, We, S = normal(generator, B, n), normal(generator, m, n), normal(generator, m, m)
    return normal(generator, B, m).relu(), x, We, S, 0.5 * normal(generator, m).abs()


def _read(k: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return inputs x, codes z, classes y, Wd and Wc, in float64."""
    z, x, We, _, _ = _encoder(k)
    generator = np.random.default_rng([32, k])
    y = torch.from_numpy(generator.integers(4, size=len(x)))
    return x, z + 0.1, y, We.T.clone(), normal(generator, 4, z.shape[1])


def check_bounded_columns(answer: Function) -> None:
    """Check chapter 3, exercise 1: columns are scaled only where they are too long."""

    def scaled(W, longest, dim=0):
        return W * (longest / W.norm(dim=dim, keepdim=True).clamp(min=longest))

    mistakes = {
        "every column has the longest norm now: shorter ones must be left alone": (
            lambda W, longest: W * (longest / W.norm(dim=0).clamp(min=1e-12))
        ),
        "every column has the longest norm now, and one of norm 0 is nan: leave short ones alone": (
            lambda W, longest: W * (longest / W.norm(dim=0))
        ),
        "norms are compared with longest, not with 1: clamp there": (
            lambda W, longest: W * (longest / W.norm(dim=0).clamp(min=1))
        ),
        "this holds columns to a norm of 1; the bound is longest": (
            lambda W, longest: W / W.norm(dim=0).clamp(min=1)
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
    Ws = [
        torch.randn(6, m, generator=generator) * torch.linspace(least, 1.5, m)
        for m, least in ((9, 0.1), (5, 0))  # a column of zeros comes second: a mistake has its name
    ]
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
        "1.25 / (T − 1) is the paper's bound; here, as in its authors' code, it is 1.25 / T": (
            lambda first, last, rebuilt, evidence, T: torch.cat(
                [
                    ratios(first, last, rebuilt, evidence, T)[:1],
                    ratios(first, last, rebuilt, evidence, T - 1)[1:],
                ]
            )
        ),
        "divide ‖rebuilt‖ by the L1 row by row, then take the largest": (
            lambda first, last, rebuilt, evidence, T: torch.cat(
                [
                    (rebuilt.norm(dim=1).max() / last.sum(1).max())[None],
                    ratios(first, last, rebuilt, evidence, T)[1:],
                ]
            )
        ),
        "the bound on We is one for each unit of the first code, not for its norm": (
            lambda first, last, rebuilt, evidence, T: ratios(
                first.norm(dim=1, keepdim=True), last, rebuilt, evidence, T
            )
        ),
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


def check_rest_at_best_scale(answer: Function) -> None:
    """Check chapter 3, exercise 4: what a code leaves when its picture may be scaled."""

    def rest(x, z, Wd):
        return 1 - cosine_similarity(x, z @ Wd.T) ** 2

    def at(scale):
        def left(x, z, Wd):
            drawn = z @ Wd.T
            return (x - scale(x, drawn) * drawn).square().sum(1) / x.square().sum(1)

        return left

    mistakes = {
        "this is what is left without a scale: s = 1": at(lambda x, drawn: 1),
        "each image has its own s; you took one for the whole batch": at(
            lambda x, drawn: (x * drawn).sum() / drawn.square().sum()
        ),
        "this is the share that is explained; what is left is 1 minus it": (
            lambda x, z, Wd: cosine_similarity(x, z @ Wd.T) ** 2
        ),
        "the sine squared is 1 minus the *square* of the cosine": (
            lambda x, z, Wd: 1 - cosine_similarity(x, z @ Wd.T)
        ),
        "this is ‖x − s Wd z‖², not yet divided by ‖x‖²": (
            lambda x, z, Wd: rest(x, z, Wd) * x.square().sum(1)
        ),
        "equal norms are not the best scale: Wd z need not point along x": at(
            lambda x, drawn: (x.norm(dim=1) / drawn.norm(dim=1).clamp(min=1e-12))[:, None]
        ),
        "the best s is xᵀ(Wd z) over ‖Wd z‖²; you divided by ‖x‖²": at(
            lambda x, drawn: ((x * drawn).sum(1) / x.square().sum(1))[:, None]
        ),
    }
    cases = [_read(k) for k in range(2)]
    cases = [(x, z.index_fill(0, torch.tensor([1]), 0), Wd) for x, z, _, Wd, _ in cases]
    exercise(answer, rest, mistakes, cases)


def check_left_after(answer: Function) -> None:
    """Check chapter 3, exercise 5: what is left of each image while units are added."""

    def left(x, z, Wd, order, start=True):
        drawn = (z[:, None, :] * Wd)[:, :, order].cumsum(2)
        if start:
            drawn = torch.cat([torch.zeros_like(drawn[:, :, :1]), drawn], 2)
        return (x[:, :, None] - drawn).square().sum(1) / x.square().sum(1, keepdim=True)

    mistakes = {
        "units are added in the given order; yours come as they stand": (
            lambda x, z, Wd, order: left(x, z, Wd, order.sort().values)
        ),
        "order says which unit comes first, not where a unit stands": (
            lambda x, z, Wd, order: left(x, z, Wd, order.argsort())
        ),
        "the order is upside down": lambda x, z, Wd, order: left(x, z, Wd, order.flip(0)),
        "each image by itself: divide by its own ‖x‖²": lambda x, z, Wd, order: (
            left(x, z, Wd, order) * x.square().sum(1, keepdim=True) / x.square().sum()
        ),
        "this is what is left, not its share of ‖x‖²": lambda x, z, Wd, order: (
            left(x, z, Wd, order) * x.square().sum(1, keepdim=True)
        ),
        "the square root is too much: a share of ‖x‖²": lambda x, z, Wd, order: left(
            x, z, Wd, order
        ).sqrt(),
        "this is what is explained; return what is left": lambda x, z, Wd, order: (
            1 - left(x, z, Wd, order)
        ),
    }
    generator = np.random.default_rng(33)
    cases = []
    for k in range(2):
        x, z, _, Wd, _ = _read(k)
        order = torch.from_numpy(generator.permutation(z.shape[1]))
        cases.append((x, z, Wd, order))
    exercise(answer, left, mistakes, cases)


def check_slopes_back(answer: Function) -> None:
    """Check chapter 3, exercise 6: back-propagation through time, by hand."""

    def earlier(codes):
        return torch.cat([torch.zeros_like(codes[:1]), codes[:-1]])

    def not_earlier(codes):
        return torch.cat([torch.zeros_like(codes[:1]), codes[1:]])

    def slopes(
        codes, arrives, x, S, masked=range(99), through=Tensor.t, last=0, sign=-1, other=earlier
    ):
        back = torch.zeros_like(codes)
        for t in range(len(codes) - 1, last - 1, -1):
            back[t] = arrives * (codes[t] > 0) if t in masked else arrives
            arrives = back[t] @ through(S).t()
        before = other(codes)
        We, lateral = (
            torch.einsum("tbi,tbj->ij", back, u) for u in (x.expand(len(codes), -1, -1), before)
        )
        return torch.cat([We, lateral, sign * back.sum((0, 1))[:, None]], 1)

    def parted(**changes):
        return lambda *case: slopes(*case, **changes)

    mistakes = {
        "a unit that rests passes nothing back, at every iteration: mask before S": (
            lambda codes, *rest: slopes(codes, *rest, masked=[len(codes) - 1])
        ),
        "a unit that rests passes nothing back: the mask (codes[t] > 0) is missing": parted(
            masked=[]
        ),
        "the mask is missing at the last iteration, where the slope arrives": (
            lambda codes, *rest: slopes(codes, *rest, masked=range(len(codes) - 1))
        ),
        "rows are examples: going back is times S, not times its transpose": parted(
            through=lambda S: S
        ),
        "We and b are used at every iteration, S at all but the first: go on to the first": (
            lambda codes, *rest: slopes(codes, *rest, last=1)
        ),
        "this is the slope of the last iteration only: sum over all": (
            lambda codes, *rest: slopes(codes, *rest, last=len(codes) - 1)
        ),
        "b is taken away: its slope has a minus": parted(sign=1),
        "S z at iteration t has the code of the iteration *before*": parted(other=lambda z: z),
        "at iteration t, S meets codes[t − 1]; yours has codes[t]": parted(other=not_earlier),
        "slopes are summed over the batch; yours are means": lambda codes, arrives, x, S: (
            slopes(codes, arrives, x, S) / len(x)
        ),
    }
    exercise(answer, slopes, mistakes, [_unrolled(k) for k in range(2)])


def _unrolled(k: int, T: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return codes (T, B, m) of a random encoder, a slope that arrives, x and S, in float64."""
    z, x, We, S, b = _encoder(k)
    S = 0.3 * S
    codes = [(x @ We.T - b).relu()]
    for _ in range(T - 1):
        codes.append((x @ We.T + codes[-1] @ S.T - b).relu())
    return torch.stack(codes), normal(np.random.default_rng([34, k]), *z.shape), x, S
