"""Full-size runs: `python -m course_utils.reproduce NAME` fills data/results, seed by seed.

A run has parts. Each seed of each part is stored as soon as it is done, so that a run that was
stopped goes on where it was. The chapters read only what is stored.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from torch import Tensor

from course_utils.reproduce import record
from course_utils.tools import cluster
from course_utils.tools.cluster import Task
from course_utils.tools.delivery import CURE, content
from course_utils.tools.files import replacing

Outcome = tuple[dict[str, float], dict[str, Tensor]]  # figures and weights of one seed


class Part(NamedTuple):
    """A function of settings and seed that returns figures and weights; how many seeds it wants;
    and code that it runs beside its own: what returns the source of a chapter's cells, and
    definitions."""

    run: Callable[[dict, int], Outcome]
    seeds: int
    cells: Callable[[], str] = str  # which returns ""
    also: tuple[record.Definition, ...] = ()


class Measured(NamedTuple):
    """What came of one seed of a part, in how many seconds, and who made it."""

    figures: dict[str, float]
    weights: dict[str, Tensor]
    seconds: float
    maker: dict


Runner = Callable[[Iterator[Task]], Iterable[tuple[tuple[str, int], Measured | Exception]]]


def run_locally(tasks: Iterator[Task]) -> Iterator[tuple[tuple[str, int], Measured]]:
    """Run one task after the other on this machine; the first that fails ends it."""
    for name, task in tasks:
        yield name, task()


def run_on_cluster(
    address: str, tasks: Iterator[Task]
) -> Iterator[tuple[tuple[str, int], Measured | Exception]]:
    """Run tasks on the workers of the Dask scheduler at `address`, several at a time.

    A worker needs this course and its data. Raises OSError if the scheduler does not answer.
    """
    for name, future in cluster.run_on_cluster(tasks, address):
        yield name, cluster.outcome(future)


def reproduce(
    name: str,
    parts: dict[str, Part],
    settings: dict,
    folder: Path,
    most: int | None = None,
    runner: Runner = run_locally,
) -> None:
    """Run what folder/NAME.json does not hold yet, of all parts, seed 0 first; store each.

    At most `most` seeds of each part, where `runner` runs them. Settings other than those stored
    begin anew; until their first seed is done, what is stored stands. The weights are those of seed
    0. Raises ValueError, before anything runs, if something of somebody's is in the place of what
    would be stored; RuntimeError, which names the seeds that failed, when all others are stored.
    """
    path = folder / f"{name}.json"
    stored = on_file(path)
    anew = stored is None or {**stored["settings"], "seeds": None} != {**settings, "seeds": None}
    if anew:
        stored = {"name": name, "command": f"python -m course_utils.reproduce {name}"}
        stored |= {"settings": {**settings, "seeds": []}, "made": [], "figures": {}}
    failed = []
    for (key, seed), measured in runner(_missing(name, parts, settings, done(stored), most)):
        if isinstance(measured, Exception):
            failed.append(f"{key}, seed {seed}: {measured!r}")
            continue
        _note(stored, key, seed, measured)
        _store(path, stored, measured.weights if seed == 0 else {}, anew)
        anew = False
    if failed:
        raise RuntimeError("\n".join([f"{name}: {len(failed)} seeds failed", *failed]))
    counts = {key: len(seeds) for key, seeds in done(stored).items()}
    print(f"{name}: {counts} seeds are stored in {path.name}")


def on_file(path: Path) -> dict | None:
    """Return what a run stored at NAME.json; None if there is nothing, nor weights beside it.

    Raises ValueError if something else is in the place of either file: it is somebody's own.
    """
    kept = path.with_suffix(".npz")
    for place in (path, kept):
        if os.path.lexists(place) and content(place) is None:
            raise ValueError(f"{place} is a link or a folder, and no stored run: {CURE}.")
    if not path.exists():
        if kept.exists():
            raise ValueError(f"{kept} lies where weights go, and no run stored it: {CURE}.")
        return None
    try:
        stored = json.loads(path.read_bytes())
        whole = stored["name"] == path.stem and {"settings", "made", "figures"} <= stored.keys()
        _arrays(kept)
    except (ValueError, LookupError, TypeError, AttributeError, OSError, BadZipFile):
        whole = False
    if not whole:
        raise ValueError(f"{path} and what is beside it are no run of {path.stem}: {CURE}.")
    return stored


def done(stored: dict) -> dict[str, list[int]]:
    """Return which seeds of each part are stored."""
    seeds: dict[str, list[int]] = {}
    for one in stored["made"]:
        seeds.setdefault(one["part"], []).append(one["seed"])
    return seeds


def _missing(
    name: str, parts: dict[str, Part], settings: dict, done: dict[str, list[int]], most: int | None
) -> Iterator[Task]:
    """Yield part and seed, and how to measure it, of all that is not done; seed 0 first."""
    counts = {key: min(part.seeds, most or part.seeds) for key, part in parts.items()}
    held = {key: list(seeds) for key, seeds in done.items()}
    for seed in range(max(counts.values())):
        for key, part in parts.items():
            if seed < counts[key] and seed not in held.get(key, []):
                print(f"{name} {key}: seed {seed} of {counts[key]}", flush=True)
                yield (key, seed), partial(_measured, part, settings, seed)


def _measured(part: Part, settings: dict, seed: int) -> Measured:
    """Run a seed where this is called; its figures, weights, seconds and maker."""
    made = record.maker(record.code_of(part.run, part.cells(), part.also))
    start = time.monotonic()
    figures, weights = part.run(settings, seed)
    made["machine"] = record.machine()  # by now it is known whether a GPU was in use
    return Measured(figures, weights, round(time.monotonic() - start, 1), made)


def _note(stored: dict, key: str, seed: int, measured: Measured) -> None:
    """Put one seed of a part among those stored: values in the order of the seeds, None where a
    seed has no such figure."""
    stored["made"].append({"part": key, "seed": seed, **measured.maker})
    stored["made"].sort(key=lambda one: (one["part"], one["seed"]))
    old, none = stored["settings"]["seeds"], (None, None)
    new = stored["settings"]["seeds"] = sorted({*old, seed})
    for name in dict.fromkeys([*stored["figures"], *measured.figures]):
        blank = {"values": [None] * len(old), "seconds": [None] * len(old)}
        figure = stored["figures"].setdefault(name, blank)
        held = dict(zip(old, zip(figure["values"], figure["seconds"], strict=True), strict=True))
        if name in measured.figures:
            held[seed] = _rounded(measured.figures[name]), measured.seconds
        pairs = [held.get(one, none) for one in new]
        figure["values"], figure["seconds"] = (list(column) for column in zip(*pairs, strict=True))


def _rounded(value: float) -> float | int | None:
    """Return value to six digits, a whole number as it is, None for what is not finite."""
    if not np.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.6g}")


def _store(path: Path, stored: dict, weights: dict[str, Tensor], anew: bool) -> None:
    """Store figures and, where there are some, weights as float16 beside those that are there.

    If the figures begin anew, no weights of the old ones stay. The files change places at the end,
    and nothing else is done then: whatever is interrupted before leaves both as they were.
    """
    kept = path.with_suffix(".npz")
    new = {key: value.numpy(force=True).astype(np.float16) for key, value in weights.items()}
    with contextlib.ExitStack() as both:  # the last that is entered takes its place first
        text = json.dumps(stored, indent=1, ensure_ascii=False) + "\n"
        both.enter_context(replacing(path)).write(text.encode())
        if new:
            arrays = new if anew else _arrays(kept) | new
            np.savez_compressed(both.enter_context(replacing(kept)), **arrays)
        elif anew:
            both.callback(kept.unlink, missing_ok=True)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays that a file of weights holds; none if it is not there."""
    if not path.is_file():
        return {}
    with np.load(path) as held:
        return dict(held)
