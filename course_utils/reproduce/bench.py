"""How fast is what the chapters build? `python3 course.py bench`.

All that is compared is measured side by side, in one run.

10,000 real 12 x 12 patches, 256 learned filters, each patch scaled so that its λ_max is 1. Each
method must bring the relative energy gap, over all patches or of the worst one, to 1e-6: from
1e-3, its tolerance is tightened by steps of 10^(1/4) until that holds, and that call's seconds
count. `bench million` codes a million patches and reports the peak memory. `bench training` sets a
training step of each network of chapter 2 beside the bare matrix products of the same shapes,
`bench mnist` an epoch of chapter 3's full-size run. `bench encoder` sets the guess of chapter 4's
encoder beside inference. `bench local` sets chapter 5's tiles beside its readable code, its loop
and the bare arithmetic, and tells how a training step grows with the image.
"""

import argparse
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from joblib import Parallel, delayed
from tabulate import tabulate
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from course_utils.built import groups, lista, local
from course_utils.built.ista import energy, lambda_max, sparse_codes
from course_utils.data import (
    Labelled,
    gaussian_dictionary,
    patches,
    weights,
    whitened_images,
)
from course_utils.reproduce import drsae
from course_utils.reproduce import groups as reproduced
from course_utils.reproduce import local as reproduced_local

GOAL = 1e-6
THREADS = 2
FULL_SIZE = reproduced_local.sheet_of(reproduced_local.LOCAL)
Solver = Callable[[Tensor, float], Tensor]  # inputs and tolerance -> codes


def main(arguments: list[str]) -> int:
    """Print the table of speeds, or of what is named."""
    kinds = {"speeds": speeds, "million": million, "training": training}
    kinds |= {"mnist": mnist_epoch, "encoder": encoder, "local": local_layers}
    parser = argparse.ArgumentParser(
        prog="course.py bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("kind", nargs="?", default="speeds", choices=kinds, metavar="|".join(kinds))
    kind = parser.parse_args(arguments).kind
    print(f"measuring {kind}: this takes minutes", file=sys.stderr, flush=True)
    return kinds[kind]()


def speeds(count: int = 10_000) -> int:
    """Print seconds and energy gaps of all methods on count patches; return 0."""
    torch.set_num_threads(THREADS)
    Wd = weights("ista")["patches"]
    x = next(_scaled_patches(count, Wd, count))
    print(f"{platform.machine()}, {THREADS} threads, torch {torch.__version__}, {count} patches")
    if not find_spec("spams"):
        print("SPAMS is not measured, for it is not installed: the extra `bench` brings it")
    for lmbd in (0.1, 0.3):
        certified = sparse_codes(x.double(), Wd.double(), lmbd, gap=1e-9)
        best = _energy(certified, x, Wd, lmbd)
        for whose, gap_of in (("all patches together", _together), ("the worst patch", _worst)):
            rows = [_row(*named, x, Wd, lmbd, best, gap_of) for named in _solvers(Wd, lmbd)]
            rows = [[*row, row[2] / rows[0][2]] for row in rows]
            headers = ["method", "tolerance", "seconds", "gap", "times sparse_codes"]
            print(f"\nλ = {lmbd} λ_max, energy gap of {whose} at most {GOAL}")
            print(tabulate(rows, headers, floatfmt=".3g"), flush=True)
    return 0


def _together(E: Tensor, best: Tensor) -> float:
    return (E.sum() / best.sum() - 1).item()


def _worst(E: Tensor, best: Tensor) -> float:
    return (E / best - 1).max().item()


def _row(name: str, solver: Solver, x: Tensor, Wd: Tensor, lmbd: float, best: Tensor, gap_of):
    """Return name, the loosest tolerance that meets the goal, and seconds and gap with it."""
    for tolerance in np.logspace(-3, -9, 25):
        start = time.perf_counter()
        z = solver(x, tolerance)
        seconds = time.perf_counter() - start
        gap = gap_of(_energy(z, x, Wd, lmbd), best)
        if gap <= GOAL:
            return [name, tolerance, seconds, gap]
    return [name, tolerance, float("nan"), gap]


def _energy(z: Tensor, x: Tensor, Wd: Tensor, lmbd: float) -> Tensor:
    return energy(x.double(), z.double(), Wd.double(), lmbd)


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

    def lars(x: Tensor, _: float) -> Tensor:  # SPAMS: Mairal, Bach, Ponce & Sapiro 2010
        import spams

        rows = np.asfortranarray(x.double().numpy().T)  # in float32 its path goes wrong unnoticed
        found = spams.lasso(rows, filters, lambda1=lmbd, mode=2, numThreads=THREADS)
        return torch.from_numpy(found.toarray().T.copy())

    others = [("SPAMS lasso (LARS, float64)", lars)] if find_spec("spams") else []
    return [
        ("sparse_codes (greedy FISTA, float32)", lambda x, gap: sparse_codes(x, Wd, lmbd, gap)),
        ("Lasso(precompute=...)", lasso),
        ("Lasso(precompute=...), n_jobs=2", lasso_twice),
        ("sparse_encode lasso_cd, n_jobs=2", encode("lasso_cd")),
        ("sparse_encode lasso_lars, n_jobs=2", encode("lasso_lars")),
        *others,
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


def training(batch: int = 128, depth: int = 16) -> int:
    """Print milliseconds of training steps on the benchmark, forward and backward, beside bare
    products of the same shapes; return 0."""
    torch.set_num_threads(THREADS)
    Wd = gaussian_dictionary(250, 500, np.random.default_rng(0))
    x, z = next(lista.synthetic_pairs(Wd, batch, np.random.default_rng(1)))
    wide, square = (batch, 250, 500, 2), (batch, 500, 500, 3)  # x needs no slope
    plan = {
        lista.lista: [wide] + [square] * depth,
        lista.lista_thetas: [wide] + [square] * depth,
        lista.lista_untied: [wide, square] * depth,
        lista.lista_cp: [(batch, 500, 250, 2), (batch, 250, 500, 3)] * depth,  # nor does Wd
    }
    rows = []
    for network, products in plan.items():
        net = network(Wd, 0.1, depth)
        step = _milliseconds(lambda net=net: lista.code_loss(net, x, z).backward())
        bare = _milliseconds(_products(products))
        rows.append([network.__name__, step, bare, step / bare])
    print(tabulate(rows, ["network", "step, ms", "bare products, ms", "ratio"], floatfmt=".3g"))
    return 0


def mnist_epoch(count: int = 50_000, repeats: int = 100) -> int:
    """Print seconds of an epoch of each net of `reproduce drsae`, with all that a step does there,
    beside the bare products, and the peak memory; return 0. Random numbers take MNIST's place.
    repeats: of a step, whose median time counts."""
    torch.set_num_threads(THREADS)
    generator = np.random.default_rng(0)
    x = normalize(torch.from_numpy(generator.random((count, 784), np.float32)))
    part = Labelled(x, torch.from_numpy(generator.integers(0, 10, count)))
    rows = []
    for name, changes in drsae.NETS.items():
        s = drsae.PAPER | changes
        m, T, batch = s["m"], s["T"], s["batch"]
        steps = count // batch
        net = drsae.first_net(x, s, 0)
        pairs = drsae.pairs(part, part, batch, generator)
        wide, square = (batch, 784, m, 2), (batch, m, m, 3)  # x needs no slope
        plan = [wide, (batch, m, 784, 3), (batch, m, 10, 3)] + [square] * (T - 1)
        step = drsae.averaging_step(drsae.adam(net, s), s["weights"], s["bounds"])
        whole = _milliseconds(lambda step=step, net=net, p=pairs: step(net, next(p)), repeats)
        bare = _milliseconds(_products(plan), repeats)
        rows.append([name, steps * whole / 1e3, steps * bare / 1e3, whole / bare])
    headers = ["network", "epoch, s", "bare products, s", "ratio"]
    print(tabulate(rows, headers, floatfmt=".3g"))
    print(f"peak memory of the whole process: {_peak_gib():.2f} GiB")
    return 0


def encoder(count: int = 10_000) -> int:
    """Print, for the full-size map of chapter 4, milliseconds of the encoder's guess and of
    inference in so many steps, and how much of the energy each saves, of what 300 steps save;
    return 0."""
    torch.set_num_threads(THREADS)
    stored = weights("groups")
    Wd, pools, lmbd = stored["map"], reproduced.torus(reproduced.MAP), reproduced.MAP["lmbd"]
    g = groups.Predictor(Wd).requires_grad_(False)
    g.load_state_dict({name: stored[f"map_{name}"] for name in g.state_dict()})
    x = reproduced.patches(np.random.default_rng(100), count)
    ways = {"the guess": g}
    for steps in (1, 2, 3, 5, 10):
        coder = partial(groups.pooled_codes, Wd=Wd, lmbd=lmbd, pools=pools, steps=steps)
        ways[f"inference, {steps} steps"] = coder
        ways[f"the guess, then {steps} steps"] = lambda x, coder=coder: coder(x, guess=g(x))

    def saved(z: Tensor) -> float:
        E = [groups.group_energy(x, code, Wd, lmbd, pools).mean() for code in (0 * z, z)]
        return (E[0] - E[1]).item()

    most = saved(groups.pooled_codes(x, Wd, lmbd, pools, 300))
    guess = _milliseconds(lambda: g(x))
    rows = []
    for name, code in ways.items():
        spent = _milliseconds(lambda code=code: code(x))
        rows.append([name, spent, spent / guess, 100 * saved(code(x)) / most])
    headers = [f"{count} patches", "ms", "times the guess", "energy saved, %"]
    print(tabulate(rows, headers, floatfmt=".3g"))
    return 0


def local_layers(
    batch: int = 32,
    sheet: local.Sheet = FULL_SIZE,
    images: Sequence[int] = (40, 80, 160, 320),
    side: int = 1500,
) -> int:
    """Print seconds and peak memory of a training step of chapter 5 at full size, how a step grows
    with the image, and milliseconds of each operation, three ways, beside bare arithmetic; return
    0. side: of the square matrices whose product tells how fast bare arithmetic is."""
    torch.set_num_threads(THREADS)
    seconds = _milliseconds(_step_of(sheet, batch), 5) / 1e3
    print(f"full size: {seconds:.3g} s per training step, peak memory {_peak_gib():.2f} GiB")
    _growth(images)
    _operations(sheet, batch, side)
    return 0


def _operations(sheet: local.Sheet, batch: int, side: int) -> None:
    """Print milliseconds of each operation of chapter 5, three ways, beside bare arithmetic."""
    generator = np.random.default_rng(0)
    x, z, Wd, square = (
        torch.from_numpy(generator.standard_normal(shape, np.float32))
        for shape in (
            (batch, sheet.image**2),
            (batch, sheet.units),
            (sheet.field**2, sheet.units),
            (side, side),
        )
    )
    W, weights_used = local.pack(Wd, sheet), sheet.field**2 * sheet.units
    ways = {
        "analysis": (
            lambda: local.analysis_by_fields(x, Wd, sheet),
            lambda: local.analysis_by_offsets(x, Wd, sheet),
            lambda: local.analysis(x, W, sheet),
        ),
        "synthesis": (
            lambda: local.synthesis_by_fields(z, Wd, sheet),
            lambda: local.synthesis_by_offsets(z, Wd, sheet),
            lambda: local.synthesis(z, W, sheet),
        ),
        "gradient": (
            lambda: local.gradient_by_fields(x, z, sheet),
            lambda: local.gradient_by_offsets(x, z, sheet),
            lambda: local.weight_gradient(x, z, sheet),
        ),
    }
    rows = []
    for name, (by_fields, by_offsets, tiled) in ways.items():
        bare = batch * weights_used / side**3 * _milliseconds(lambda: square @ square)
        tiles, loop = _milliseconds(tiled), _milliseconds(by_offsets, 3)
        fields = _milliseconds(by_fields, 1)
        rows.append([name, fields, loop, tiles, bare])
    rows.append(["together", *np.sum([row[1:] for row in rows], 0)])
    rows = [[*row, row[1] / row[3], row[2] / row[3], row[3] / row[4]] for row in rows]
    headers = ["", "fields, ms", "offsets, ms", "tiles, ms", "bare, ms", "fields / tiles"]
    print(tabulate(rows, [*headers, "offsets / tiles", "tiles / bare"], floatfmt=".3g"))


def _growth(images: Sequence[int], batch: int = 8) -> None:
    """Print seconds of a training step for images of these sides in pixels, fields of 9."""
    units, seconds = [], []
    for image in images:
        sheet = local.Sheet(image, 9, 1, (8, 8))
        step = _step_of(sheet, batch)
        units.append(sheet.units)
        seconds.append(_milliseconds(step, 9 if image < 200 else 3) / 1e3)
    exponent, _ = np.polyfit(np.log(units), np.log(seconds), 1)
    print(tabulate(zip(units, seconds, strict=True), ["units", "s per step"], floatfmt=".3g"))
    print(f"seconds grow as units to the power {exponent:.2f}")


def _step_of(sheet: local.Sheet, batch: int) -> Callable[[], object]:
    """Return a function that goes on learning by one step, always from the same images of noise."""
    s, generator = reproduced_local.LOCAL, np.random.default_rng(0)
    size = (batch, sheet.image**2)
    x = torch.from_numpy(generator.standard_normal(size, np.float32))
    pools = local.SheetPools(sheet.side, reproduced.window(s["pool"]))
    Wd = gaussian_dictionary(sheet.field**2, sheet.units, generator)
    g = local.LocalPredictor(Wd, sheet)
    optimizer = torch.optim.Adam(g.parameters(), 5e-3)
    state = [local.LocalState(Wd, torch.ones(1, sheet.units), g, optimizer)]

    def step() -> None:
        state[0], _ = local.local_step(state[0], x, s["lmbd"], pools, inner=s["inner"])

    return step


def _products(plan: list[tuple[int, int, int, int]]) -> Callable[[], None]:
    """Return a function that forms, for each (a, b, c, count), count products of a · b · c."""
    pairs = [(torch.ones(a, b), torch.ones(b, c), count) for a, b, c, count in plan]

    def form() -> None:
        for A, B, count in pairs:
            slope = A @ B
            slope @ B.T
            if count == 3:
                A.T @ slope

    return form


def _milliseconds(f: Callable[[], object], repeats: int = 15) -> float:
    """Return the median time of a call, after three to warm up."""
    times = []
    for _ in range(repeats + 3):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times[3:]))


def _scaled_patches(count: int, Wd: Tensor, block: int = 20_000) -> Iterator[Tensor]:
    """Yield count patches in blocks, each patch scaled so that its λ_max is 1."""
    images = list(whitened_images().values())
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
