"""Full-size runs: `python -m course_utils.reproduce NAME` fills data/results, seed by seed.

A run has parts. Each seed of each part is stored as soon as it is done, so that a run that was
stopped goes on where it was. The chapters read only what is stored.
"""

import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

Outcome = tuple[dict[str, float], dict[str, Tensor]]  # figures and weights of one seed


class Part(NamedTuple):
    """A function of the seed that returns figures and weights, and how many seeds it wants."""

    run: Callable[[int], Outcome]
    seeds: int


def reproduce(
    name: str, parts: dict[str, Part], settings: dict, folder: Path, most: int | None = None
) -> None:
    """Run what folder/NAME.json does not hold yet, of all parts, seed 0 first; store each.

    At most `most` seeds of each part. Other settings than those stored begin anew. The weights are
    those of seed 0.
    """
    path = folder / f"{name}.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if stored is None or {**stored["settings"], "seeds": None} != {**settings, "seeds": None}:
        stored = {"settings": {**settings, "seeds": []}, "done": {}, "figures": {}}
        path.with_suffix(".npz").unlink(missing_ok=True)
    counts = {key: min(part.seeds, most or part.seeds) for key, part in parts.items()}
    for seed in range(max(counts.values())):
        for key, (run, _) in parts.items():
            if seed >= counts[key] or stored["done"].get(key, 0) > seed:
                continue
            print(f"{name} {key}: seed {seed} of {counts[key]}", flush=True)
            start = time.monotonic()
            figures, weights = run(seed)
            _note(stored, key, seed, figures, round(time.monotonic() - start, 1))
            if seed == 0 and weights:
                _add_weights(path.with_suffix(".npz"), weights)
            header = {"name": name, "command": f"python -m course_utils.reproduce {name}"}
            header |= {"commit": _commit(), "date": date.today().isoformat(), "machine": _machine()}
            text = json.dumps({**stored, **header}, indent=1, ensure_ascii=False) + "\n"
            _replace(path, lambda file, text=text: file.write(text.encode()))
    print(f"{name}: {dict(stored['done'])} seeds are stored in {path.name}")


def _note(stored: dict, key: str, seed: int, figures: dict[str, float], seconds: float) -> None:
    """Add the figures of one seed of a part to what is stored."""
    stored["done"][key] = seed + 1
    stored["settings"]["seeds"] = list(range(max(stored["done"].values())))
    for name, value in figures.items():
        figure = stored["figures"].setdefault(name, {"values": [], "seconds": []})
        figure["values"].append(_rounded(value))
        figure["seconds"].append(seconds)


def _rounded(value: float) -> float | int | None:
    """Return value to six digits, a whole number as it is, None for what is not finite."""
    if not np.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.6g}")


def _add_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Put weights, as float16, beside those that path holds already."""
    arrays = {}
    if path.is_file():
        with np.load(path) as held:
            arrays = dict(held)
    arrays |= {key: value.numpy(force=True).astype(np.float16) for key, value in weights.items()}
    _replace(path, lambda file: np.savez_compressed(file, **arrays))


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
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "torch": torch.__version__.split("+")[0],
    }
