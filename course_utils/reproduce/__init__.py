"""Full-size runs: `python -m course_utils.reproduce NAME` fills data/results, seed by seed.

A run has parts. Each seed of each part is stored as soon as it is done, so that a run that was
stopped goes on where it was. The chapters read only what is stored.
"""

import json
import platform
import subprocess
import time
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from course_utils.tools import cluster
from course_utils.tools.cluster import Task
from course_utils.tools.files import replacing, write

Outcome = tuple[dict[str, float], dict[str, Tensor]]  # figures and weights of one seed


class Part(NamedTuple):
    """A function of the seed that returns figures and weights, and how many seeds it wants."""

    run: Callable[[int], Outcome]
    seeds: int


class Measured(NamedTuple):
    """What came of one seed of a part, in how many seconds, on what machine."""

    figures: dict[str, float]
    weights: dict[str, Tensor]
    seconds: float
    machine: dict[str, str | int]


Runner = Callable[[Iterator[Task]], Iterable[tuple[tuple[str, int], Measured | Exception]]]


def here(tasks: Iterator[Task]) -> Iterator[tuple[tuple[str, int], Measured]]:
    """Run one task after the other on this machine; the first that fails ends it."""
    for name, task in tasks:
        yield name, task()


def on_cluster(
    address: str, tasks: Iterator[Task]
) -> Iterator[tuple[tuple[str, int], Measured | Exception]]:
    """Run tasks on the workers of the Dask scheduler at `address`, several at a time.

    A worker needs this course and its data. Raises OSError if the scheduler does not answer.
    """
    for name, future in cluster.on_cluster(tasks, address):
        yield name, cluster.outcome(future)


def reproduce(
    name: str,
    parts: dict[str, Part],
    settings: dict,
    folder: Path,
    most: int | None = None,
    ran: Runner = here,
) -> None:
    """Run what folder/NAME.json does not hold yet, of all parts, seed 0 first; store each.

    At most `most` seeds of each part, where `ran` runs them. Other settings than those stored begin
    anew. The weights are those of seed 0. Seeds that fail are named when all others are stored:
    RuntimeError.
    """
    path = folder / f"{name}.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if stored is None or {**stored["settings"], "seeds": None} != {**settings, "seeds": None}:
        stored = {"settings": {**settings, "seeds": []}, "done": {}, "figures": {}}
        path.with_suffix(".npz").unlink(missing_ok=True)
    failed = []
    for (key, seed), measured in ran(_missing(name, parts, stored["done"], most)):
        if isinstance(measured, Exception):
            failed.append(f"{key}, seed {seed}: {measured!r}")
            continue
        _note(stored, key, seed, measured)
        if seed == 0 and measured.weights:
            _add_weights(path.with_suffix(".npz"), measured.weights)
        header = {"name": name, "command": f"python -m course_utils.reproduce {name}"}
        header |= {"commit": _commit(), "date": date.today().isoformat()}
        header |= {"machine": measured.machine}
        text = json.dumps({**stored, **header}, indent=1, ensure_ascii=False) + "\n"
        write(path, text)
    if failed:
        raise RuntimeError("\n".join([f"{name}: {len(failed)} seeds failed", *failed]))
    counts = {key: len(seeds) for key, seeds in stored["done"].items()}
    print(f"{name}: {counts} seeds are stored in {path.name}")


def _missing(
    name: str, parts: dict[str, Part], done: dict[str, list[int]], most: int | None
) -> Iterator[Task]:
    """Yield part and seed, and how to measure it, of all that is not done; seed 0 first."""
    counts = {key: min(part.seeds, most or part.seeds) for key, part in parts.items()}
    held = {key: list(seeds) for key, seeds in done.items()}
    for seed in range(max(counts.values())):
        for key, (run, _) in parts.items():
            if seed < counts[key] and seed not in held.get(key, []):
                print(f"{name} {key}: seed {seed} of {counts[key]}", flush=True)
                yield (key, seed), partial(_measured, run, seed)


def _measured(run: Callable[[int], Outcome], seed: int) -> Measured:
    """Run a seed where this is called; its figures, weights, seconds and machine."""
    start = time.monotonic()
    figures, weights = run(seed)
    return Measured(figures, weights, round(time.monotonic() - start, 1), _machine())


def _note(stored: dict, key: str, seed: int, measured: Measured) -> None:
    """Put the figures of one seed of a part in its place among those stored."""
    seeds = stored["done"].setdefault(key, [])
    place = bisect(seeds, seed)
    seeds.insert(place, seed)
    stored["settings"]["seeds"] = sorted(set().union(*stored["done"].values()))
    for name, value in measured.figures.items():
        figure = stored["figures"].setdefault(name, {"values": [], "seconds": []})
        figure["values"].insert(place, _rounded(value))
        figure["seconds"].insert(place, measured.seconds)


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
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)


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
