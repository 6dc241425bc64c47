"""Chapter 1 at full size, and its live figures under other seeds."""

import numpy as np
import torch

from course_utils.built import ista
from course_utils.data import digits, patches, whitened_images

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
    images = list(whitened_images().values())
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
    images = list(whitened_images().values())
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
