"""Chapter 1 at full size, and its live figures under other seeds."""

import numpy as np

from course_utils.built import ista
from course_utils.data import digits, photograph_patches
from course_utils.reproduce import Outcome

ISTA = {
    "patches": {"count": 100_000, "size": 12, "m": 256, "lmbd": 2.0, "steps": 4000},
    "digits": {"m": 64, "lmbd": 0.05, "steps": 6000},
}


def ista_seed(settings: dict, seed: int) -> Outcome:
    """Learn the two dictionaries of chapter 1 from one seed; return figures and weights.

    Figures: the mean energy of 5,000 fresh patches (or of all digits), the share of their squared
    norm that is not explained, and the mean number of active units, each code certified to a
    duality gap of 1e-4 (digits: after 1,000 steps of FISTA).
    """
    generator = np.random.default_rng(seed)
    s = settings["patches"]
    x = photograph_patches(s["size"], s["count"], generator)
    Wd, _ = ista.learn_dictionary(x, s["m"], s["lmbd"], s["steps"], generator)
    x = photograph_patches(s["size"], 5000, generator)
    figures = _figures("patches", x, ista.sparse_codes(x, Wd, s["lmbd"]), Wd, s["lmbd"])
    s, x = settings["digits"], digits().x
    nonneg = {"prox": ista.shrink_nonneg}
    strokes, _ = ista.learn_dictionary(
        x, s["m"], s["lmbd"], s["steps"], generator, project=ista.nonneg_unit_columns, **nonneg
    )
    z = ista.fista(x, strokes, s["lmbd"], 1000, **nonneg)
    figures |= _figures("digits", x, z, strokes, s["lmbd"])
    return figures, {"patches": Wd, "digits": strokes}


WANTED = {  # of the chapter's live run: what its claims are about
    "edges-claims": lambda names: {
        "energy_ratio": names["history"][-50:].mean() / names["history"][:10].mean(),
        "energy_ratio.random_phases": names["nothing"][-50:].mean() / names["nothing"][:10].mean(),
        "selectivity.photographs": names["oriented"],
        "selectivity.random_phases": names["plain"],
    },
    "strokes-picture": lambda names: {"ink_ratio": names["ink"][0] / names["ink"][1]},
}


def _figures(name: str, x, z, Wd, lmbd: float) -> dict[str, float]:
    error = (x - z @ Wd.T).square().sum() / x.square().sum()
    return {
        f"energy.{name}": ista.energy(x, z, Wd, lmbd).mean().item(),
        f"error_percent.{name}": 100 * error.item(),
        f"active_units.{name}": (z != 0).sum(1).float().mean().item(),
    }
