"""Checks of the exercises of chapter 4."""

import numpy as np
import torch

from course_utils.built.ista import lambda_max, shrink
from course_utils.checks import Function, exercise
from course_utils.data import normal
from course_utils.exercises.cases import cases_of


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
    for (_, z, _), p in zip(cases_of(8), (4, 7), strict=True):
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
        "pool j begins with unit j · stride, which is not its middle": (
            lambda m, size, stride, j: pool(m, size, j * stride - (size - 1) // 2)
        ),
        "this is one unit too many: a pool has size units": (
            lambda m, size, stride, j: pool(m, size + 1, j * stride)
        ),
        "this is one unit too few: a pool has size units": (
            lambda m, size, stride, j: pool(m, size - 1, j * stride)
        ),
        "where it goes round the ring, this is one unit too many: a pool has size units": (
            lambda m, size, stride, j: pool(m, size + (j * stride + size > m), j * stride)
        ),
        "where it goes round the ring, this is one unit too few: a pool has size units": (
            lambda m, size, stride, j: pool(m, size - (j * stride + size > m), j * stride)
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
        "a block shorter than θ becomes zero, not only one of length 0; yours turns round": (
            lambda *a: step(*a, left=lambda norm, theta: 1 - theta / norm).nan_to_num()
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
        cases.append((normal(generator, B, m), theta, size))
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
    for (x, _, Wd), p in zip(cases_of(10), (5, 7), strict=True):
        mine = torch.from_numpy(generator.permutation(Wd.shape[1])) % p  # the pool of each unit
        cases.append((x, Wd, (mine == torch.arange(p)[:, None]).to(Wd)))
    exercise(answer, lambda *a: norms(*a).amax(1), mistakes, cases)
