"""Full-size runs: `python -m course_utils.reproduce NAME` fills data/results, seed by seed.

Each seed is stored as soon as it is done, so that a run that was stopped goes on where it was.
The chapters read only what is stored.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from course_utils import live
from course_utils.built import ista, lista
from course_utils.data import (
    digits,
    gaussian_dictionary,
    natural_images,
    patches,
    shared,
    weights,
    whiten,
)
from course_utils.training import minibatches

ISTA = {
    "patches": {"count": 100_000, "size": 12, "m": 256, "lmbd": 2.0, "steps": 4000},
    "digits": {"m": 64, "lmbd": 0.05, "steps": 6000},
}


def ista_seed(seed: int) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Learn the two dictionaries of chapter 1 from one seed; return figures and weights.

    Figures: the mean energy of 5,000 fresh patches (or of all digits), the share of their squared
    norm that is not explained, and the mean number of active units, each code certified to a
    duality gap of 1e-4 (digits: after 1,000 steps of FISTA).
    """
    generator = np.random.default_rng(seed)
    images = [whiten(image) for image in natural_images().values()]
    s = ISTA["patches"]
    x = patches(images, s["size"], s["count"], generator)
    Wd, _ = ista.learn_dictionary(x, s["m"], s["lmbd"], s["steps"], generator)
    x = patches(images, s["size"], 5000, generator)
    figures = _figures("patches", x, ista.sparse_codes(x, Wd, s["lmbd"]), Wd, s["lmbd"])
    s, x = ISTA["digits"], digits().x
    nonneg = {"prox": ista.shrink_nonneg}
    strokes, _ = ista.learn_dictionary(
        x, s["m"], s["lmbd"], s["steps"], generator, project=ista.nonneg_unit_columns, **nonneg
    )
    z = ista.fista(x, strokes, s["lmbd"], 1000, **nonneg)
    figures |= _figures("digits", x, z, strokes, s["lmbd"])
    return figures, {"patches": Wd, "digits": strokes}


LIVE = {"patches": 50_000, "m": 256, "lmbd": 2.0, "steps": 600}


def ista_live_seed(seed: int) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Train what chapter 1 trains live, from one seed; return what its claims are about.

    Figures: mean energy of the last 50 steps over that of the first 10; median orientation
    selectivity of filters learned from photographs and from white noise; inked pixels of the
    median stroke over those of the median digit. No weights.
    """
    images = [whiten(image) for image in natural_images().values()]
    x = patches(images, 12, LIVE["patches"], np.random.default_rng(seed))
    learn = (LIVE["m"], LIVE["lmbd"])
    Wd, history = ista.learn_dictionary(x, *learn, LIVE["steps"], np.random.default_rng(seed))
    x = torch.from_numpy(np.random.default_rng(seed + 1000).standard_normal(x.shape)).float()
    specks, _ = ista.learn_dictionary(x, *learn, LIVE["steps"], np.random.default_rng(seed))
    x = digits().x
    nonneg = {"prox": ista.shrink_nonneg, "project": ista.nonneg_unit_columns}
    strokes, _ = ista.learn_dictionary(x, 64, 0.05, 1500, np.random.default_rng(seed), **nonneg)
    ink = [(pixels > 0.2).sum(0).double().median().item() for pixels in (strokes, x.T)]
    return {
        "energy_ratio": history[-50:].mean() / history[:10].mean(),
        "selectivity.photographs": ista.orientation_selectivity(Wd, 12).median().item(),
        "selectivity.noise": ista.orientation_selectivity(specks, 12).median().item(),
        "ink_ratio": ink[0] / ink[1],
    }, {}


def _figures(name: str, x, z, Wd, lmbd: float) -> dict[str, float]:
    error = (x - z @ Wd.T).square().sum() / x.square().sum()
    return {
        f"energy.{name}": ista.energy(x, z, Wd, lmbd).mean().item(),
        f"error_percent.{name}": 100 * error.item(),
        f"active_units.{name}": (z != 0).sum(1).float().mean().item(),
    }


LISTA = {
    "size": [250, 500],
    "depth": 16,
    "batch": 64,
    "test": 1000,
    "grid": [0.4, 0.2, 0.1, 0.05, 0.02, 0.01],
    "floors": [0.08, 0.1, 0.12],
    "snr_db": {"noiseless": None, "snr40": 40, "snr20": 20},
    # training steps without noise, and further ones at each level of noise; rates of log and We, S
    "plan": {
        "step": [3000, 1000, 0.03, 0],
        "step_theta": [4000, 1000, 0.02, 0],
        "alista": [5000, 1000, 0.03, 0],
        "alista_ss": [2000, 1500, 0.02, 0],
        "lista": [3000, 800, 0.01, 1e-4],
        "lista_thetas": [20000, 3000, 0.01, 1e-4],
        "lista_cp": [500, 300, 0.005, 5e-6],
        "lista_cpss": [500, 300, 0.005, 5e-6],
        "lista_untied": [300, 200, 0.003, 3e-6],
    },
}


def lista_seed(seed: int) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Run the benchmark of chapter 2 for one dictionary; return NMSE in dB and learned numbers.

    Wider networks start from the trained narrower one that they contain; the others, with noise,
    from their training without. λ of the loops, and the start where there are several, are chosen
    on a validation set.
    """
    s, figures, clean = LISTA, {}, {}
    Wd = gaussian_dictionary(*s["size"], np.random.default_rng(seed))
    for noise, snr in s["snr_db"].items():
        snr, nets = np.inf if snr is None else snr, {}
        valid, test = (
            next(lista.synthetic_pairs(Wd, s["test"], np.random.default_rng([kind, seed]), snr))
            for kind in (1, 2)
        )
        scores = _loops(Wd, valid, test, s["grid"], s["depth"])
        for name, (first, further, log_rate, rate) in s["plan"].items():
            trained = []
            for net in _starts(name, Wd, s["depth"], nets, clean):
                pairs = lista.synthetic_pairs(Wd, s["batch"], np.random.default_rng([3, seed]), snr)
                rates = {"log": log_rate, "We": rate, "S": rate}
                lista.train(net, lista.code_loss, pairs, further if clean else first, rates)
                trained.append(net)
            nets[name] = min(trained, key=lambda net: _nmse_db(net, *valid))
            scores[name] = _nmse_db(nets[name], *test)
            print(f"{noise} {name}: {scores[name]:.2f} dB", flush=True)
        clean = clean or nets
        figures |= {f"nmse_db.{noise}.{name}": score for name, score in scores.items()}
    counts = {f"parameters.{name}": lista.parameter_count(net) for name, net in nets.items()}
    return figures | counts, {}


def _nmse_db(net: torch.nn.Module, x: torch.Tensor, z: torch.Tensor) -> float:
    with torch.no_grad():
        return lista.nmse_db(net(x), z)


def _starts(name: str, Wd: torch.Tensor, depth: int, nets: dict, clean: dict) -> list:
    """Return the networks from which training starts; clean holds those trained without noise."""
    wider = {
        "lista_cp": lambda: lista.as_coupled(nets["alista"]),
        "lista_cpss": lambda: lista.as_coupled(nets["alista_ss"]),
        "lista_untied": lambda: lista.as_untied(nets["lista_cp"]),
    }
    if name in wider:
        return [wider[name]()]
    if not clean:
        return [_untrained(name, Wd, depth)]
    flat = [_flat(Wd, depth, floor) for floor in LISTA["floors"]] if name == "alista_ss" else []
    return [deepcopy(clean[name]), *flat]


def _untrained(name: str, Wd: torch.Tensor, depth: int) -> torch.nn.Module:
    if name in ("lista", "lista_thetas"):
        net = lista.Lista(Wd, 0.4, depth) if name == "lista" else lista.ListaThetas(Wd, 0.4, depth)
        net.We.data = lista.analytic_weights(Wd).T.contiguous()
        net.S.data = torch.eye(Wd.shape[1]) - net.We.data @ Wd
        falling = torch.tensor([0.5 * 0.8**k for k in range(depth)]).log().unsqueeze(1)
        start = np.log(0.07) if name == "lista" else falling
        net.log_theta.data = torch.zeros_like(net.log_theta) + start
        return net
    narrow = {
        "step": lambda: lista.StepLista(Wd, 0.05, depth),
        "step_theta": lambda: lista.alternating(lista.StepThetas(Wd, 0.4, depth), 0.5),
        "alista": lambda: lista.alternating(lista.alista(Wd, 0.4, depth)),
        "alista_ss": lambda: lista.with_selection(lista.alternating(lista.alista(Wd, 0.4, depth))),
    }
    return narrow[name]()


def _flat(Wd: torch.Tensor, depth: int, floor: float) -> torch.nn.Module:
    """Return ALISTA with selection, steps of 1, and thresholds that fall to a floor and stay.

    A unit that is handed on leaves its threshold without a slope, so training hardly moves the
    last thresholds: where they start matters.
    """
    net = lista.with_selection(lista.alista(Wd, 0.4, depth))
    net.log_step.data.zero_()
    theta = (0.5 * 0.85 ** torch.arange(depth)).clamp(min=floor)
    net.log_theta.data = theta.log().unsqueeze(1).to(Wd)
    return net


def _loops(Wd, valid: tuple, test: tuple, grid: list[float], depth: int) -> dict[str, float]:
    """Return NMSE in dB of ISTA, FISTA and the minimiser at their best λ, and of the oracle."""
    scores = {}
    for name, code in {
        "ista": lambda x, lmbd: ista.ista(x, Wd, lmbd, depth),
        "fista": lambda x, lmbd: ista.fista(x, Wd, lmbd, depth),
        "lasso_limit": lambda x, lmbd: ista.sparse_codes(x, Wd, lmbd),
    }.items():
        best = min(grid, key=lambda lmbd, code=code: lista.nmse_db(code(valid[0], lmbd), valid[1]))
        scores[name] = lista.nmse_db(code(test[0], best), test[1])
    return scores | {"oracle": lista.nmse_db(_least_squares(*test, Wd), test[1].double())}


def _least_squares(x: torch.Tensor, z: torch.Tensor, Wd: torch.Tensor) -> torch.Tensor:
    """Return the codes on the support of z that explain x best, in float64."""
    x, Wd, codes = x.double(), Wd.double(), []
    for rows in torch.arange(len(x)).split(50):  # a matrix (m, m) for each row
        on = (z[rows] != 0).double()
        gram = on[:, :, None] * (Wd.T @ Wd) * on[:, None, :] + torch.diag_embed(1 - on)
        codes.append(torch.linalg.solve(gram, on * (x[rows] @ Wd)))
    return torch.cat(codes)


LISTA_PATCHES = {"patches": 100_000, "layers": [1, 2, 4, 7, 14], "steps": 10_000, "lmbd": 2.0}
LISTA_PATCHES |= {"batch": 128, "test": 2000, "rates": {"log": 0.02, "We": 1e-3, "S": 1e-3}}


def lista_patches_seed(seed: int) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Train section 5 of chapter 2 for ten times as long: one LISTA on photographs for each depth.

    Figures, on fresh patches: mean energy above the minimum in percent, for LISTA and for FISTA
    with as many steps, and `worth`, how many steps of FISTA have as low an energy. No weights.
    """
    s, figures, generator = LISTA_PATCHES, {}, np.random.default_rng([5, seed])
    Wd, lmbd = weights("ista")["patches"], s["lmbd"]
    images = [whiten(image) for image in natural_images().values()]
    X = patches(images, 12, s["patches"], generator)
    x = patches(images, 12, s["test"], generator)
    least = ista.energy(x, ista.sparse_codes(x, Wd, lmbd, gap=1e-4), Wd, lmbd).mean()

    def above(z: torch.Tensor) -> float:
        return 100 * (ista.energy(x, z, Wd, lmbd).mean() / least - 1).item()

    loop = [above(z) for z in islice(ista.fista_iterates(x, Wd, lmbd), 1, 101)]
    for K in s["layers"]:
        net = lista.Lista(Wd, lmbd, K)
        rows = minibatches(len(X), s["batch"], generator)
        pairs = ((X[i], X[i]) for i in rows)  # the energy needs no target
        lista.train(net, lista.energy_loss(lmbd), pairs, s["steps"], s["rates"])
        with torch.no_grad():
            error = above(torch.cat([net(part) for part in x.split(500)]))
        figures |= {f"above_percent.lista.{K}": error, f"above_percent.fista.{K}": loop[K - 1]}
        figures[f"worth.{K}"] = 1 + sum(e > error for e in loop)
        print(f"{K} layers: {error:.2f} % above, worth {figures[f'worth.{K}']} steps", flush=True)
    return figures, {}


LISTA_LIVE = {"notebook": "02_lista.ipynb"}


def lista_live_seed(seed: int) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Run the cells of chapter 2 with other random numbers; return what its claims are about."""

    def table(names: dict) -> dict[str, float]:
        columns = ("best_db", "above_percent", "truth_db")
        return {
            f"targets.{row}.{column}": value
            for row, values in zip("abcfe", names["scores"].values(), strict=True)
            for column, value in zip(columns, values, strict=True)
            if np.isfinite(value)
        }

    def worth(names: dict) -> dict[str, float]:
        return {f"worth.{K}": w for K, w in zip(names["layers"], names["worth"], strict=True)}

    def benchmark(names: dict) -> dict[str, float]:
        scores = names["scores"] | {"FISTA": names["fista_best"]}
        return {f"benchmark.{name}": score for name, score in scores.items()}

    def shift(names: dict) -> dict[str, float]:
        return {
            f"shift.{inputs}.{method}": score
            for inputs, scores in names["rows"].items()
            for method, score in zip(("lista", "fista"), scores, strict=True)
        }

    wanted = {
        "targets-claims": table,
        "patches-claims": worth,
        "benchmark-claims": benchmark,
        "shift-claims": shift,
        "deeper": lambda names: {"deeper.lista": names["longer"][59] - names["longer"][6]},
        "coherent-claims": lambda names: dict(
            zip((f"behind_fista.{key}" for key in names["cases"]), names["fail"], strict=True)
        ),
        "thread-rows": lambda names: {"thread.lista": names["E_lista"]},
    }
    return live.figures(live.NOTEBOOKS / LISTA_LIVE["notebook"], seed, wanted), {}


# name: (run of one seed, its settings, seeds by default); weights are those of the first seed
RUNS = {
    "ista": (ista_seed, ISTA, 3),
    "ista_live": (ista_live_seed, LIVE, 10),
    "lista": (lista_seed, LISTA, 3),
    "lista_patches": (lista_patches_seed, LISTA_PATCHES, 3),
    "lista_live": (lista_live_seed, LISTA_LIVE, 10),
}


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; 0 when all of its seeds are stored."""
    parser = argparse.ArgumentParser(prog="python -m course_utils.reproduce", description=__doc__)
    parser.add_argument("name", choices=RUNS, help="which full-size run")
    parser.add_argument("--seeds", type=int, help="how many seeds, counted from 0")
    options = parser.parse_args(arguments)
    run, settings, seeds = RUNS[options.name]
    reproduce(options.name, run, settings, options.seeds or seeds, shared("results"))
    return 0


def reproduce(name: str, run: Callable, settings: dict, seeds: int, folder: Path) -> None:
    """Run the seeds 0 … seeds − 1 that folder/NAME.json does not hold yet, storing each one."""
    path = folder / f"{name}.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if stored is None or {**stored["settings"], "seeds": None} != {**settings, "seeds": None}:
        stored = {"settings": {**settings, "seeds": []}, "figures": {}}  # other settings: anew
    for seed in range(seeds):
        if seed in stored["settings"]["seeds"]:
            continue
        print(f"{name}: seed {seed} of {seeds}", flush=True)
        start = time.monotonic()
        figures, weights = run(seed)
        seconds = round(time.monotonic() - start, 1)
        stored["settings"]["seeds"].append(seed)
        for key, value in figures.items():
            figure = stored["figures"].setdefault(key, {"values": [], "seconds": []})
            figure["values"].append(float(f"{value:.6g}"))
            figure["seconds"].append(seconds)
        header = {"name": name, "command": f"python -m course_utils.reproduce {name}"}
        header |= {"commit": _commit(), "date": date.today().isoformat(), "machine": _machine()}
        if seed == 0 and weights:
            arrays = {key: value.numpy().astype(np.float16) for key, value in weights.items()}
            _replace(
                path.with_suffix(".npz"),
                lambda file, arrays=arrays: np.savez_compressed(file, **arrays),
            )
        text = json.dumps(header | stored, indent=1, ensure_ascii=False) + "\n"
        _replace(path, lambda file, text=text: file.write(text.encode()))
    print(f"{name}: seeds {stored['settings']['seeds']} are stored in {path.name}")


def _replace(path: Path, write: Callable) -> None:
    """Write a file beside path, then put it in path's place: never half a file."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def _commit() -> str:
    """Return the commit of the code that ran, or "unknown" outside a clone."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _machine() -> dict[str, str | int]:
    return {
        "cpu": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "torch": torch.__version__.split("+")[0],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
