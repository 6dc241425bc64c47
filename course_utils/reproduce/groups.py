"""Chapter 4 at full size: the paper's map, sweeps over pools, and pooled features of MNIST."""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor
from torch.nn.functional import interpolate

from course_utils import data
from course_utils.built import groups, ista
from course_utils.data import Labelled
from course_utils.reproduce import Outcome
from course_utils.tools.mnist import mnist

Features = Callable[[Tensor], Tensor]

# Patches and pools are those of Kavukcuoglu et al. 2009, figure 2. Their λ = 3 belongs to patches
# of another, unknown scale; here one unit alone pays about what it pays in the chapter.
MAP = {"side": 20, "pool": 6, "stride": 2, "lmbd": 4.0, "steps": 2000}
PATCHES = {"size": 12, "count": 60_000}

SWEEP = {"side": 16, "pool": 5, "stride": 1, "lmbd": 1.0, "steps": 500}
SWEEPS = {f"pool{size}": {"pool": size} for size in (1, 2, 3, 4, 5, 6, 8)}
# λ grows with the stride, so that one unit alone pays the same
SWEEPS |= {f"stride{stride}": {"pool": 6, "stride": stride, "lmbd": stride**2} for stride in (2, 4)}
SWEEPS |= {f"lmbd{lmbd}": {"lmbd": lmbd} for lmbd in (0.25, 0.5, 2.0, 4.0)}
SWEEPS |= {"noise": {"noise": True}, "disjoint": {"pool": 4, "stride": 4, "lmbd": 16}}


def window(size: int) -> Tensor:
    """Return the weights (size,) along one side of a pool: a Gaussian, a fifth of size wide."""
    return groups.gaussian_window(size, size / 5)


def torus(s: dict) -> Tensor:
    """Return the pools of a square torus with settings s."""
    return groups.torus_pools(s["side"], s["side"], window(s["pool"]), s["stride"])


def patches(rng: np.random.Generator, count: int, noise: bool = False) -> Tensor:
    """Return patches (count, 144) of the whitened photographs, or of white noise."""
    size = PATCHES["size"]
    if noise:
        return torch.from_numpy(rng.standard_normal((count, size**2), np.float32))
    return data.photograph_patches(size, count, rng)


def with_contrast(x: Tensor) -> Tensor:
    """Return the half of the rows of x (B, n) with the larger norms: flat patches hold nothing."""
    size = x.norm(dim=1)
    return x[size > size.median()]


def map_seed(settings: dict, seed: int) -> Outcome:
    """Learn the paper's map, and the control by L1; return their measures and weights.

    Kavukcuoglu, Ranzato, Fergus & LeCun 2009, figure 2.
    """
    s, rng = settings["map"], np.random.default_rng(seed)
    x, pools = patches(rng, settings["patches"]["count"]), torus(s)
    Wd, g, _ = groups.learn_predictive(x, pools, s["lmbd"], s["steps"], rng)
    by_l1, _ = ista.learn_dictionary(x, len(Wd.T), 1.0, s["steps"], rng)
    figures = measures(Wd, s, "pools", rng) | measures(by_l1, s, "l1_control", rng)
    figures |= code_measures(x[:2000], Wd, g, pools, s["lmbd"], "map", rng)
    weights = {"map": Wd, "map_l1": by_l1} | {f"map_{k}": v for k, v in g.state_dict().items()}
    return figures, weights


# Has it settled? The same again, four times as long.
LONGER = SWEEP | {"steps": 4 * SWEEP["steps"]}


def sweep_seed(name: str, settings: dict, seed: int) -> Outcome:
    """Learn one of the sweeps of chapter 4, section 7; return the measures of its map and its code,
    and its filters."""
    s, rng = settings | settings["sweeps"][name], np.random.default_rng([seed, 1])
    x, pools = patches(rng, s["patches"]["count"], s.get("noise", False)), torus(s)
    Wd, g, _ = groups.learn_predictive(x, pools, s["lmbd"], s["steps"], rng)
    figures = measures(Wd, s, name, rng)
    figures |= code_measures(x[:2000], Wd, g, pools, s["lmbd"], name, rng)
    figures |= invariance(lambda x: groups.pool_norms(g(x), pools), rng, name)
    return figures, {name: Wd}


# Is it the overlap that keeps neighbours from turning into copies? Windows of 2 x 2, at stride 2,
# which is disjoint, and at stride 1; all else alike, a lone unit's price, too.
OVERLAP = SWEEP | {"pool": 2}
OVERLAPS = {
    f"stride{stride}.price{price}": {"stride": stride, "price": price}
    for stride in (2, 1)
    for price in (2, 4, 8)
}


def overlap_seed(name: str, settings: dict, seed: int) -> Outcome:
    """Learn one of OVERLAPS of chapter 4; return which share of the pairs of units that share a
    pool are copies: |cosine| above 0.99."""
    s, rng = settings | settings["overlaps"][name], np.random.default_rng([seed, 1])
    x, pools = patches(rng, s["patches"]["count"]), torus(s)
    lmbd = s["price"] / lone_norms(pools)
    Wd, _, _ = groups.learn_predictive(x, pools, lmbd, s["steps"], rng)
    together = (pools.T @ pools > 0).triu(1)
    copies = (Wd.T @ Wd).abs()[together] > 0.99
    return {f"copies.{name}": copies.float().mean().item()}, {}


def lone_norms(pools: Tensor) -> float:
    """Return what a unit of size 1 that is alone adds to the norms of pools (p, m), mean over
    units."""
    return pools.sqrt().sum(0).mean().item()


def measures(Wd: Tensor, s: dict, name: str, rng: np.random.Generator) -> dict[str, float]:
    """Return the mean selectivity of Wd (n, m), and how smooth a map it is."""
    side, size = s["side"], PATCHES["size"]
    figures = {f"selectivity.{name}": ista.orientation_selectivity(Wd, size).mean().item()}
    for kind, D in groups.differences(Wd, size).items():
        z, ratio = groups.map_smoothness(D, side, side, rng)
        of = "" if kind == "orientation" else f"_{kind}"
        figures |= {f"map_smoothness_z{of}.{name}": z, f"map_smoothness_ratio{of}.{name}": ratio}
    return figures


def code_measures(
    x: Tensor,
    Wd: Tensor,
    g: groups.Predictor,
    pools: Tensor,
    lmbd: float,
    name: str,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Return, for the half of x (B, n) with most contrast: the share of its squares that the code
    by filters Wd (n, m) does not rebuild, how many units and pools carry 95 % of it (pools also
    with units shuffled), the same for L1 on the same filters at equal reconstruction, and how well
    g guesses."""
    x = with_contrast(x)
    z = groups.pooled_codes(x, Wd, lmbd, pools, 150)
    rest = groups.unexplained(x, z, Wd)
    by_l1 = groups.l1_codes_at(x, Wd, rest)
    figures = {"unexplained": rest, "price_alone": lmbd * lone_norms(pools)}
    for kind, code in (("group", z), ("l1", by_l1)):
        carried = groups.spread_of(code, pools, rng)
        figures |= {f"{kind}_{key}": count for key, count in carried.items()}
        norms = groups.pool_norms(code, pools)  # what the price counts, and does not scale away
        figures[f"{kind}_norms"] = norms.sum(1).mean().item()
        for least in (0.1, 0.2, 0.5):
            figures[f"{kind}_pools_over_{least}"] = (norms > least).sum(1).float().mean().item()
    rows = [groups.group_energy(x, code, Wd, lmbd, pools).mean() for code in (0 * z, g(x), z)]
    figures["gap_closed_by_guess"] = ((rows[0] - rows[1]) / (rows[0] - rows[2])).item()
    return {f"{key}.{name}": value for key, value in figures.items()}


def invariance(features: Features, rng: np.random.Generator, name: str) -> dict[str, float]:
    """Return how far features move when photographs are shifted or turned."""
    wide = with_contrast(data.photograph_patches(36, 2000, rng))
    still = features(groups.shifted_and_turned(wide, 36, PATCHES["size"], 0.0, 0.0))
    figures = {}
    for pixels in (0, 1, 2, 3, 4, 6, 8):
        moved = features(groups.shifted_and_turned(wide, 36, PATCHES["size"], pixels, 0.0))
        figures[f"change.{name}.shift{pixels}"] = groups.relative_change(still, moved)
    for degrees in (5, 10, 15, 25, 35, 45, 60, 90):
        moved = features(groups.shifted_and_turned(wide, 36, PATCHES["size"], 0.0, degrees))
        figures[f"change.{name}.turn{degrees}"] = groups.relative_change(still, moved)
    return figures


# The recognition model of Kavukcuoglu et al. 2009: 512 units on a torus, 128 pooled features of a
# window of 16 x 16, at 5 x 5 places of a digit, a linear SVM.
MNIST = {
    "window": 16,
    "places": [0, 3, 6, 9, 12],
    "torus": [32, 16],
    "pool": 6,
    "stride": 2,
    "lmbd": 4.0,
    "patches": 60_000,
    "steps": 2000,
    "split": [50_000, 10_000],
    "C": {"pooled_5x5": [1e-3, 3e-3, 1e-2], "pooled_single": [1e-2, 1e-1, 1]},
    "C_few": [1e-4, 1e-3, 1e-2],
    "labels": [10, 100, 1000],
}


def windows_of(images: Tensor, s: dict) -> Tensor:
    """Cut the windows at 5 x 5 places out of images (B, 784): (B * 25, 256), centred."""
    size, (first, second, *_) = s["window"], s["places"]
    squares = images.reshape(-1, 28, 28).unfold(1, size, second - first)
    squares = squares.unfold(2, size, second - first)
    return centred(squares.reshape(-1, size**2))


def shrunk(images: Tensor, s: dict) -> Tensor:
    """Shrink images (B, 784) to one window each: (B, 256), centred."""
    small = interpolate(images.reshape(-1, 1, 28, 28), (s["window"],) * 2, mode="area")
    return centred(small.flatten(1))


def centred(x: Tensor) -> Tensor:
    """Take its mean from each row of x (B, n), and scale all by one number, MNIST's contrast."""
    return (x - x.mean(1, keepdim=True)) / 0.3


def mnist_encoder(x: Tensor, pools: Tensor, rng: np.random.Generator, s: dict) -> groups.Predictor:
    """Return the encoder learned from windows x (N, 256) under pools (p, m)."""
    return groups.learn_predictive(x, pools, s["lmbd"], s["steps"], rng)[1]


def mnist_windows(images: Tensor, rng: np.random.Generator, s: dict) -> Tensor:
    """Return windows (about s["patches"], 256) of images drawn from (N, 784), to learn from."""
    rows = torch.from_numpy(rng.integers(len(images), size=s["patches"] // len(s["places"]) ** 2))
    return windows_of(images[rows], s)


def at_all_places(features: Features, s: dict) -> Features:
    """Return a function from digits (B, 784) to the features of all their windows, in one row."""
    return lambda images: features(windows_of(images, s)).reshape(len(images), -1)


def mnist_pools(s: dict) -> Tensor:
    """Return the 128 pools of 512 units."""
    return groups.torus_pools(*s["torus"], window(s["pool"]), s["stride"])


def coded(features: Features, part: Labelled, rows: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of images, computed so many rows at a time."""
    return torch.cat([features(x) for x in part.x.split(rows)]).numpy(), part.y.numpy()


def mnist_seed(settings: dict, seed: int) -> Outcome:
    """Train both features of the paper and a linear SVM on each; return their errors.

    Kavukcuoglu, Ranzato, Fergus & LeCun 2009.
    """
    s, rng = settings["mnist"], np.random.default_rng([seed, 2])
    train, test = mnist()
    fit_on, choose_on = data.split(train, s["split"], rng)
    pools = mnist_pools(s)
    grid = mnist_encoder(mnist_windows(fit_on.x, rng, s), pools, rng, s)
    whole = mnist_encoder(shrunk(fit_on.x, s), pools, rng, s)
    features = {
        "pooled_5x5": at_all_places(lambda x: groups.pool_norms(grid(x), pools), s),
        "pooled_single": lambda x: groups.pool_norms(whole(shrunk(x, s)), pools),
    }
    figures = {}
    for name, of in features.items():
        parts = [coded(of, part) for part in (fit_on, choose_on, test)]
        figures |= best_svm(*parts, s["C"][name], name)
    return figures, {}


def best_svm(fit_on, choose_on, test_on, Cs: list[float], name: str) -> dict[str, float]:
    """Fit linear SVMs, choose C by the errors on choose_on, then test; errors in percent."""
    best = None
    for C in Cs:
        svm = make_pipeline(StandardScaler(), LinearSVC(C=C, tol=0.1, dual="auto", random_state=0))
        svm.fit(*fit_on)
        error = 100 * (1 - svm.score(*choose_on))
        print(f"  {name}, C = {C}: validation {error:.2f} %", flush=True)
        if best is None or error < best[0]:
            best = error, C, svm
    error, C, svm = best
    return {
        f"mnist_validation_percent.{name}": error,
        f"mnist_C.{name}": C,
        f"mnist_error_percent.{name}": 100 * (1 - svm.score(*test_on)),
    }


def few_labels_seed(settings: dict, seed: int) -> Outcome:
    """Compare pixels, L1 features and pooled features of MNIST with few labels of each digit, for
    chapter 4."""
    s, rng = settings["mnist"], np.random.default_rng([seed, 3])
    train, test = mnist()
    fit_on, choose_on = data.split(train, s["split"], rng)
    x, pools, single = mnist_windows(fit_on.x, rng, s), mnist_pools(s), torch.eye(512)
    pooled = mnist_encoder(x, pools, rng, s)
    by_l1 = mnist_encoder(x, single, rng, s)
    features = {
        "pixels": lambda x: x,
        "l1": at_all_places(lambda x: by_l1(x).abs(), s),
        "pooled": at_all_places(lambda x: groups.pool_norms(pooled(x), pools), s),
    }
    figures = {}
    for name, of in features.items():
        rest = [coded(of, part) for part in (choose_on, test)]
        for few in s["labels"]:
            fit_few = coded(of, data.first_of_each(fit_on, few))
            figures |= best_svm(fit_few, *rest, s["C_few"], f"{name}.{few}")
    return figures, {}


# What of the gain with few labels is the pools' own? Rivals: L1 at four prices; the units of the
# pooled encoder, not pooled; and the same units in pools whose members are drawn at random.
RIVALS = MNIST | {"lmbd_l1": [0.5, 1.0, 2.0, 4.0], "few": 100}


def rivals_seed(s: dict, seed: int) -> Outcome:
    """Compare pooled features of MNIST and their rivals with few labels of each digit, for
    chapter 4."""
    rng = np.random.default_rng([seed, 4])
    train, test = mnist()
    fit_on, choose_on = data.split(train, s["split"], rng)
    x, pools = mnist_windows(fit_on.x, rng, s), mnist_pools(s)
    g = mnist_encoder(x, pools, rng, s)
    at_random = pools[:, torch.from_numpy(rng.permutation(len(pools.T)))]
    features = {
        "pooled": lambda x: groups.pool_norms(g(x), pools),
        "random_pools": lambda x: groups.pool_norms(g(x), at_random),
        "units": lambda x: g(x).abs(),
    }
    for lmbd in s["lmbd_l1"]:
        by_l1 = mnist_encoder(x, torch.eye(len(pools.T)), rng, s | {"lmbd": lmbd})
        features[f"l1_{lmbd}"] = lambda x, of=by_l1: of(x).abs()
    figures, fit_few = {}, data.first_of_each(fit_on, s["few"])
    for name, of in features.items():
        of = at_all_places(of, s)
        parts = [coded(of, part) for part in (fit_few, choose_on, test)]
        figures |= best_svm(*parts, s["C_few"], f"{name}.{s['few']}")
    return figures, {}


def _map(names: dict) -> dict[str, float]:
    figures = {f"z.{name}": z for name, z in names["z"].items()}
    figures |= {f"ratio.{name}": ratio for name, ratio in names["ratio"].items()}
    return figures | {f"selectivity.{name}": value for name, value in names["has"].items()}


def _invariance(names: dict) -> dict[str, float]:
    figures = {f"shift2.{name}": value for name, value in names["shift"].items()}
    return figures | {f"turn15.{name}": value for name, value in names["turned"].items()}


WANTED = {  # of the chapter's live run: what its claims are about
    "trap-claims": lambda names: {
        f"{kind}_{lmbd:.0f}": value
        for kind in ("within", "between", "copies")
        for lmbd, value in names[kind].items()
    },
    "guess-claims": lambda names: {f"saved.{name}": v for name, v in names["saved"].items()},
    "map-claims-3": _map,
    "similar-claims": lambda names: {
        f"neighbours.{name}": value for name, value in names["is_alike"].items()
    },
    "cure-claims": lambda names: {"copies_torus": names["rare"]},
    "sparse-claims": lambda names: {
        f"carry.{code}.{key}": count
        for code, counts in names["carry"].items()
        for key, count in counts.items()
    },
    "sheet-claims": lambda names: {"rim_share": names["work"][names["rim"]].sum()},
    "change-claims": _invariance,
    "labels-claims": lambda names: {
        f"few.{few}.{name}": error for (few, name), error in names["middle"].items()
    },
    "group-lista-claims-2": lambda names: {
        f"lista_gain_on_fista{k}": E.mean() - names["E_lista"]
        for k, E in zip((3, 4, 5), names["E_fista"], strict=True)
    },
}
