"""A chapter's own cells under other random numbers: how far do its live figures spread?

The chapters claim what they see with one seed. `figures` runs the very cells that the reader runs,
with every random number generator moved by a seed, and reads off what is asked for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from unittest.mock import patch

import matplotlib.pyplot as plt
import nbformat
import numpy as np
from matplotlib.figure import Figure
from nbformat import NotebookNode

from course_utils import checks, plots
from course_utils.data import shared
from course_utils.reproduce import Outcome, Part
from course_utils.reproduce.record import Definition

Wanted = dict[str, Callable[[dict], dict[str, float]]]
default_rng = np.random.default_rng


def part(chapter: ModuleType, notebook: str) -> tuple[dict[str, Part], dict]:
    """Return the parts and settings of a run of a notebook's cells under ten seeds; what it wants
    stands in a module of this package as WANTED. The notebook is read when it is needed."""
    run = partial(seed_of, chapter.WANTED)
    ran = partial(source_of, notebook, chapter.WANTED)
    also = (Definition(chapter.__name__, "WANTED"),)
    return {"all": Part(run, 10, ran, also)}, {"notebook": notebook}


def source_of(notebook: str, wanted: Wanted) -> str:
    """Return the source of the cells that `figures` runs. Raises KeyError as `cells` does."""
    return "\n".join(cell.source for cell in cells(notebook, wanted))


def seed_of(wanted: Wanted, settings: dict, seed: int) -> Outcome:
    """Return the figures wanted of one seed; there are no weights."""
    return figures(settings["notebook"], seed, wanted), {}


def cells(notebook: str, wanted: Wanted) -> list[NotebookNode]:
    """Return the code cells of a chapter up to the last wanted one, but for those tagged "stored",
    which only show results like these. Raises KeyError if no cell has a wanted id."""
    found = nbformat.read(shared("notebooks") / notebook, 4).cells
    found = [cell for cell in found if cell.cell_type == "code"]
    unknown = wanted.keys() - {cell.id for cell in found}
    if unknown:
        raise KeyError(f"{notebook} has no code cell {', '.join(sorted(unknown))}")
    last = max(index for index, cell in enumerate(found) if cell.id in wanted)
    return [c for c in found[: last + 1] if "stored" not in c.metadata.get("tags", ())]


def figures(notebook: str, seed: int, wanted: Wanted) -> dict[str, float]:
    """Run the code cells of a chapter up to the last wanted one; return the figures wanted.

    wanted: for the id of a cell, what to read from the notebook's names after that cell. Seed 0 is
    the chapter as it stands. A claim that does not hold stops nothing: each is printed, and
    `broken_claims` counts them. Nothing is drawn. Raises KeyError if no cell has a wanted id, and
    whatever a cell raises.
    """
    found, broken = {}, []
    names = {"__name__": "__main__"}
    with _instead(seed, broken):
        for cell in cells(notebook, wanted):
            code = compile(cell.source, f"{notebook}, cell {cell.id}", "exec")
            exec(code, names)  # noqa: S102 - the code of our own chapter
            found |= wanted[cell.id](names) if cell.id in wanted else {}
    for text in broken:
        print(f"{notebook}, seed {seed}: does not hold: {text}")
    return {key: float(value) for key, value in found.items()} | {"broken_claims": len(broken)}


def shifted(seed: int) -> Callable[..., np.random.Generator]:
    """Return a default_rng whose generators differ from NumPy's own, except for seed 0."""

    def generator(key: int | list[int]) -> np.random.Generator:
        if not seed or not isinstance(key, int | list):  # a generator, say, is handed through
            return default_rng(key)
        return default_rng([*np.atleast_1d(key).tolist(), seed])

    return generator


@contextmanager
def _instead(seed: int, broken: list[str]) -> Iterator[None]:
    """Shift the generators, show no figure and no widget, note claims that do not hold."""

    def claim(holds: bool, text: str) -> None:
        if not holds:
            broken.append(text)

    def show(fig: Figure, _alt: str) -> None:
        plt.close(fig)

    with (
        patch.object(np.random, "default_rng", shifted(seed)),
        patch.object(checks, "claim", claim),
        patch.object(plots, "show", show),
        patch.object(plots, "table", lambda *_: None),
        patch.object(plots, "sliders", lambda *_, **__: None),
    ):
        yield
