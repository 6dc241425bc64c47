"""The nulls of what labels do to the units of chapter 3, by the paper's recipe at full size."""

import numpy as np
import torch

from course_utils.data import Labelled
from course_utils.reproduce import Outcome, record
from course_utils.reproduce.drsae import kept_at
from course_utils.reproduce.drsae_by_hand import angles_of
from course_utils.reproduce.drsae_measured import TOP, measures, statistics_of
from course_utils.reproduce.drsae_paper import (
    RECIPE,
    after_one_more_pass,
    at_the_start,
    first_matrices,
    recipe_parts,
)
from course_utils.tools.files import replacing

NULL = {key: RECIPE[key] for key in RECIPE if key not in ("passes", "patience", "nets")}
NULL |= {"m": 200, "T": 11, "passes": 200}


def null_seed(s: dict, seed: int) -> Outcome:
    """Go on, after the passes without labels, in two ways: with labels that are dealt out anew, and
    without any; return what drsae_paper measures of its networks, here of the last pass.

    The nulls are ours; the recipe is that of Rolfe & LeCun 2013, as in drsae_paper.
    """
    images, choose_on, _ = recipe_parts(seed, s)
    dealt = np.random.default_rng([seed, 10**6 + 2]).permutation(len(images.y))
    shuffled = Labelled(images.x, images.y[dealt])
    first = at_the_start(first_matrices(images.x, s, seed))
    alone = s | {"passes_without_labels": s["passes"]}
    before = gone_on(first, images, choose_on, alone | {"passes": s["passes_without_labels"]}, seed)
    figures, found = {}, {}
    for labels, known, of_state in (("shuffled", shuffled, s), ("none", images, alone)):
        state = gone_on(before, known, choose_on, of_state, seed)
        net = state["net"]
        units = statistics_of(net, choose_on, s)
        measured = measures(net, units, choose_on, s)
        figures |= {f"{key}.{labels}": value for key, value in measured.items()}
        found |= {f"history.{labels}": torch.tensor(state["history"])}
        found[f"most_turned.{labels}"] = net["Wd"][:, angles_of(net).argsort()[-TOP:]]
    return figures, found


def gone_on(state: dict, images: Labelled, choose_on: Labelled, s: dict, seed: int) -> dict:
    """Return the state after s["passes"] passes in all; it is kept in the cache after each."""
    kept = kept_at(s, seed, record.code_of(gone_on))
    if kept.is_file():
        state = torch.load(kept)
    while len(state["history"]) < s["passes"]:
        state = after_one_more_pass(state, images, choose_on, s, seed)
        with replacing(kept) as file:
            torch.save(state, file)
    return state
