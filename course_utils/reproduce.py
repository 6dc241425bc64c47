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
from datetime import date
from pathlib import Path

import numpy as np
import torch

from course_utils.built import ista
from course_utils.data import digits, natural_images, patches, shared, whiten

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


# name: (run of one seed, its settings, seeds by default); weights are those of the first seed
RUNS = {"ista": (ista_seed, ISTA, 3), "ista_live": (ista_live_seed, LIVE, 10)}


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
