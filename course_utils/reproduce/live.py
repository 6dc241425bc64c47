"""A chapter's own cells under other random numbers: how far do its live figures spread?

The chapters claim what they see with one seed. `figures` runs the very cells that the reader runs,
with every random number generator moved by a seed, and reads off what is asked for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import ipywidgets
import matplotlib.pyplot as plt
import nbformat
import numpy as np
from matplotlib.figure import Figure

from course_utils import checks, plots

Wanted = dict[str, Callable[[dict], dict[str, float]]]
default_rng = np.random.default_rng


def figures(notebook: Path, seed: int, wanted: Wanted) -> dict[str, float]:
    """Run the code cells of a chapter up to the last wanted one; return the figures wanted.

    wanted: for the id of a cell, what to read from the notebook's names after that cell. Seed 0 is
    the chapter as it stands. Cells tagged "stored" only show results like these, and are left out.
    A claim that does not hold stops nothing: `broken_claims` counts those, and each is printed.
    Figures are not drawn. Raises KeyError if no cell has a wanted id, and whatever a cell raises.
    """
    cells = [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
    unknown = wanted.keys() - {cell.id for cell in cells}
    if unknown:
        raise KeyError(f"{notebook.name} has no code cell {', '.join(sorted(unknown))}")
    last = max(index for index, cell in enumerate(cells) if cell.id in wanted)
    found, broken = {}, []
    names = {"__name__": "__main__"}
    with _instead(seed, broken):
        for cell in cells[: last + 1]:
            if "stored" in cell.metadata.get("tags", ()):
                continue
            code = compile(cell.source, f"{notebook.name}, cell {cell.id}", "exec")
            exec(code, names)  # noqa: S102 - the code of our own chapter
            found |= wanted[cell.id](names) if cell.id in wanted else {}
    for text in broken:
        print(f"{notebook.name}, seed {seed}: does not hold: {text}")
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
        patch.object(ipywidgets, "interact", lambda *_, **__: None),
    ):
        yield
