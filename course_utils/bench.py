"""How fast is the coder of chapter 1? `python3 course.py bench`: side by side, in one run.

10,000 real 12 x 12 patches, 256 learned filters, each patch scaled so that its λ_max is 1. Every
method is asked for a relative energy gap of at most 1e-6 on the worst patch: its tolerance is
loosened by steps of 10^(1/4) on 500 other patches while that holds. Then each codes all patches
once, one after the other on the same machine. `bench million` codes a million patches and reports
the peak memory.
"""

import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from joblib import Parallel, delayed
from tabulate import tabulate
from torch import Tensor
from tqdm import tqdm

from course_utils.built.ista import energy, lambda_max, sparse_codes
from course_utils.data import natural_images, patches, weights, whiten

GOAL = 1e-6
Solver = Callable[[Tensor, float], Tensor]  # inputs and tolerance -> codes


def main(arguments: list[str]) -> int:
    """Print the table of speeds, or with "million" the memory of a million patches."""
    if arguments not in ([], ["million"]):
        print(f"usage: python3 course.py bench [million], not {' '.join(arguments)}")
        return 2
    return million() if arguments else speeds()


def speeds(count: int = 10_000) -> int:
    """Print seconds and energy gaps of all methods on count patches; return 0."""
    torch.set_num_threads(2)
    Wd = weights("ista")["patches"]
    x = torch.cat(list(_scaled_patches(count + 500, Wd)))
    tuning, x = x[:500], x[500:]
    print(f"{platform.machine()}, 2 threads, torch {torch.__version__}, {count} patches")
    for lmbd in (0.1, 0.3):
        best = energy(x, sparse_codes(x, Wd, lmbd, gap=1e-5), Wd, lmbd)  # noqa: F841 - warms up
        rows = [_row(name, solver, tuning, x, Wd, lmbd) for name, solver in _solvers(Wd, lmbd)]
        fista = rows[0][2]
        rows = [[*row, row[2] / fista] for row in rows]
        headers = ["method", "tolerance", "seconds", "largest gap", "times FISTA"]
        print(f"\nλ = {lmbd} λ_max\n{tabulate(rows, headers, floatfmt='.3g')}", flush=True)
    return 0


def _row(name: str, solver: Solver, tuning: Tensor, x: Tensor, Wd: Tensor, lmbd: float) -> list:
    tolerance = 1e-2
    while _gaps(solver(tuning, tolerance), tuning, Wd, lmbd).max() > GOAL and tolerance > 1e-9:
        tolerance /= 10**0.25
    start = time.perf_counter()
    z = solver(x, tolerance)
    seconds = time.perf_counter() - start
    return [name, tolerance, seconds, _gaps(z, x, Wd, lmbd).max().item()]


def _gaps(z: Tensor, x: Tensor, Wd: Tensor, lmbd: float) -> Tensor:
    """Return the relative energy gap of each row's code to a certified one, in float64."""
    x, z, Wd = x.double(), z.double(), Wd.double()
    best = energy(x, sparse_codes(x, Wd, lmbd, gap=1e-9), Wd, lmbd)
    return energy(x, z, Wd, lmbd) / best - 1


def _solvers(Wd: Tensor, lmbd: float) -> list[tuple[str, Solver]]:
    """Return the methods by name; those of scikit-learn work in float64, as they always do."""
    from sklearn.decomposition import sparse_encode
    from sklearn.linear_model import Lasso

    n = len(Wd)
    filters = np.asfortranarray(Wd.double().numpy())
    gram = np.ascontiguousarray(filters.T @ filters)

    def lasso(x: Tensor, tolerance: float) -> Tensor:
        model = Lasso(lmbd / n, fit_intercept=False, precompute=gram, tol=tolerance, max_iter=10**5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a loose tolerance is not worth a warning per patch
            return torch.from_numpy(model.fit(filters, x.double().numpy().T).coef_)

    def lasso_twice(x: Tensor, tolerance: float) -> Tensor:
        with Parallel(n_jobs=2) as pool:
            return torch.cat(pool(delayed(lasso)(half, tolerance) for half in x.chunk(2)))

    def encode(algorithm: str) -> Solver:
        def solver(x: Tensor, _: float) -> Tensor:
            x, atoms = x.double().numpy(), filters.T
            return torch.from_numpy(
                sparse_encode(x, atoms, algorithm=algorithm, alpha=lmbd, n_jobs=2)
            )

        return solver

    return [
        ("sparse_codes (FISTA, float32)", lambda x, gap: sparse_codes(x, Wd, lmbd, gap)),
        ("Lasso(precompute=...)", lasso),
        ("Lasso(precompute=...), n_jobs=2", lasso_twice),
        ("sparse_encode lasso_cd, n_jobs=2", encode("lasso_cd")),
        ("sparse_encode lasso_lars, n_jobs=2", encode("lasso_lars")),
    ]


def million(count: int = 1_000_000, block: int = 20_000) -> int:
    """Code count patches in blocks, keep the codes sparse, print time and peak memory."""
    Wd = weights("ista")["patches"]
    kept, start = [], time.perf_counter()
    for x in tqdm(_scaled_patches(count, Wd, block), total=count // block, unit="block"):
        kept.append(sparse_codes(x, Wd, 0.1).to_sparse())
    active = sum(codes.values().numel() for codes in kept) / count
    print(f"{count} patches in {time.perf_counter() - start:.0f} s, {active:.1f} active units each")
    print(f"peak memory of the whole process: {_peak_gib():.2f} GiB")
    return 0


def _scaled_patches(count: int, Wd: Tensor, block: int = 20_000) -> Iterator[Tensor]:
    """Yield count patches in blocks, each patch scaled so that its λ_max is 1."""
    images = [whiten(image) for image in natural_images().values()]
    generator = np.random.default_rng(0)
    for done in range(0, count, block):
        x = patches(images, 12, min(block, count - done), generator)
        yield x / lambda_max(x, Wd).clamp(min=1e-12)


def _peak_gib() -> float:
    """Return the largest memory this process has held, in GiB; nan where the system hides it."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    sys.exit(main(sys.argv[1:]))
