"""Chapter 1 beside SPAMS: for which prices and dictionaries is which the faster? Seconds are
compared within one run, on one thread; the extra `bench` brings SPAMS (Mairal, Bach, Ponce &
Sapiro 2010)."""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor

from course_utils.built.ista import (
    duality_gap,
    energy,
    lambda_max,
    learn_dictionary,
    sparse_codes,
)
from course_utils.data import photograph_patches
from course_utils.reproduce import Outcome

SPEED = {
    "atoms": [64, 128, 256, 512, 1024],
    "lmbd": [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5],  # in units of each patch's λ_max
    "gaps": [1e-3, 1e-4],
    "size": 12,
    "count": 1000,
    "repeats": 1,  # the median of the seeds counts
    "learn": {"count": 20_000, "lmbd": 2.0, "steps": 200},
}

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}  # of SPAMS


def speed_seed(settings: dict, seed: int) -> Outcome:
    """Return, for each number of atoms and each λ, how many times as long as SPAMS' LARS
    `sparse_codes` takes for each gap, SPAMS working in float32 and in float64; and the largest
    relative duality gap that SPAMS leaves in either precision.

    SPAMS is by Mairal, Bach, Ponce & Sapiro 2010. Raises ModuleNotFoundError where SPAMS is not
    installed.
    """
    s, generator, figures = settings, np.random.default_rng(seed), {}
    train = photograph_patches(s["size"], s["learn"]["count"], generator)
    fresh = photograph_patches(s["size"], s["count"], generator)
    threads = torch.get_num_threads()
    for m in s["atoms"]:
        Wd, _ = learn_dictionary(train, m, s["learn"]["lmbd"], s["learn"]["steps"], generator)
        x = fresh / lambda_max(fresh, Wd)  # so that one λ is the same share of λ_max for all
        torch.set_num_threads(1)
        for lmbd in s["lmbd"]:
            compared = _side_by_side(x, Wd, lmbd, s["gaps"], s["repeats"])
            figures |= {f"{key}.{m}.{lmbd}": value for key, value in compared.items()}
            print(f"  {m} atoms, λ = {lmbd}: {compared}", flush=True)
        torch.set_num_threads(threads)
    return figures, {}


def _side_by_side(x: Tensor, Wd: Tensor, lmbd: float, gaps: list[float], repeats: int) -> dict:
    """Return the figures of one dictionary and one λ, medians of repeats taken in turn."""
    ways = {
        kind: lambda like=like: spams_codes(x.to(like), Wd.to(like), lmbd)
        for kind, like in PRECISIONS.items()
    } | {gap: lambda gap=gap: sparse_codes(x, Wd, lmbd, gap) for gap in gaps}
    spent = {way: [] for way in ways}
    for _ in range(repeats):
        for way, code in ways.items():
            spent[way].append(_seconds(code))
    seconds = {way: median(each) for way, each in spent.items()}
    return {f"spams_gap.{kind}": _largest_gap(ways[kind](), x, Wd, lmbd) for kind in PRECISIONS} | {
        f"times_spams_{kind}.{gap:g}": seconds[gap] / seconds[kind]
        for gap in gaps
        for kind in PRECISIONS
    }


def _largest_gap(z: Tensor, x: Tensor, Wd: Tensor, lmbd: float) -> float:
    """Return the largest duality gap of codes z (B, m), each over its energy, by float64."""
    z, x, Wd = z.double(), x.double(), Wd.double()
    return (duality_gap(x, z, Wd, lmbd) / energy(x, z, Wd, lmbd)).max().item()


def _seconds(code: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    code()
    return time.perf_counter() - start


def spams_codes(x: Tensor, Wd: Tensor, lmbd: float) -> Tensor:
    """Return codes (B, m) of x (B, n) for Wd (n, m), found by SPAMS' LARS on one thread."""
    import spams

    rows, filters = (np.asfortranarray(each.numpy()) for each in (x.T, Wd))
    found = spams.lasso(rows, filters, lambda1=lmbd, mode=2, numThreads=1)
    return torch.from_numpy(found.toarray().T.copy())
