"""How fast chapter 1's coder is beside SPAMS, over prices and numbers of atoms."""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor

from course_utils.built import ista
from course_utils.data import photograph_patches
from course_utils.reproduce import Outcome

SPEED = {
    "size": 12,
    "train": 20_000,
    "steps": 300,
    "learned_at": 2.0,
    "count": 500,
    "m": [64, 128, 256, 512, 1024],
    "lmbd": [0.01, 0.03, 0.1, 0.3, 0.5],  # parts of each patch's λ_max
    "gap": [1e-3, 1e-4],
    "repeats": 3,
}


def speed_seed(settings: dict, seed: int) -> Outcome:
    """Code fresh patches by `sparse_codes` and by SPAMS' LARS, one thread each; return ratios.
    (SPAMS: Mairal, Bach, Ponce & Sapiro 2010.)

    Figures: `seconds_ratio.{gap}.{m}.{λ}`, the seconds of `sparse_codes` at that gap over those of
    SPAMS, medians of a few repeats side by side; `spams_gap.{m}.{λ}`, the worst duality gap of
    SPAMS' codes over their energy. Raises RuntimeError without SPAMS.
    """
    torch.set_num_threads(1)
    lars, s, figures = spams_lasso(), settings, {}
    generator = np.random.default_rng(seed)
    train = photograph_patches(s["size"], s["train"], generator)
    fresh = photograph_patches(s["size"], s["count"], generator)
    for m in s["m"]:
        Wd, _ = ista.learn_dictionary(train, m, s["learned_at"], s["steps"], generator)
        x = fresh / ista.lambda_max(fresh, Wd)
        for lmbd in s["lmbd"]:
            seconds = [
                [
                    _seconds(lambda g=g, W=Wd, p=lmbd, x=x: ista.sparse_codes(x, W, p, g))
                    for g in s["gap"]
                ]
                + [_seconds(lambda W=Wd, p=lmbd, x=x: lars(x, W, p))]
                for _ in range(s["repeats"])
            ]
            *ours, theirs = (median(column) for column in zip(*seconds, strict=True))
            for gap, spent in zip(s["gap"], ours, strict=True):
                figures[f"seconds_ratio.{gap:g}.{m}.{lmbd:g}"] = spent / theirs
            x64, W64 = x.double(), Wd.double()
            z = lars(x, Wd, lmbd).double()
            gaps = ista.duality_gap(x64, z, W64, lmbd) / ista.energy(x64, z, W64, lmbd)
            figures[f"spams_gap.{m}.{lmbd:g}"] = gaps.max().item()
    return figures, {}


def spams_lasso() -> Callable[[Tensor, Tensor, float], Tensor]:
    """Return SPAMS' Lasso by LARS as a function of x (B, n), Wd (n, m) and λ: codes (B, m).

    One thread. Mairal, Bach, Ponce & Sapiro 2010. Raises RuntimeError if SPAMS is not installed.
    """
    try:
        import spams
    except ImportError:
        raise RuntimeError(
            "SPAMS is not installed: pip install -c constraints.txt -e .[bench]"
        ) from None

    def solve(x: Tensor, Wd: Tensor, lmbd: float) -> Tensor:
        rows, atoms = (np.asfortranarray(a.numpy()) for a in (x.T, Wd))
        found = spams.lasso(rows, atoms, lambda1=lmbd, mode=2, numThreads=1)
        return torch.from_numpy(found.toarray().T.copy())

    return solve


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
