"""Chapter 3 by the paper's own recipe and at its own length: DrSAE on MNIST, slopes by hand.

A module of its own, so that what else chapter 3 runs may change without making these hours old.
"""

from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from course_utils.built import drsae
from course_utils.data import Labelled, split
from course_utils.reproduce import Outcome, record
from course_utils.reproduce.drsae import few_of, kept_at
from course_utils.reproduce.drsae_by_hand import (
    Matrices,
    angles_of,
    factors,
    ista_encoder,
    last_codes,
)
from course_utils.reproduce.drsae_measured import (
    by_iteration,
    fading,
    kinds_of,
    measures,
    readers,
    statistics_of,
)
from course_utils.tools.files import replacing
from course_utils.tools.mnist import mnist
from course_utils.training import minibatches

RECIPE = {
    "split": [50_000, 10_000],
    "weights": {"reconstruction": 5.0, "sparsity": 0.09, "classification": 1.0},
    "bounds": drsae.BOUNDS,
    "b": 1e-5,  # of each unit, at first
    "batch": 10,  # with 20, a sixth of 200 units are never on after training
    "held": 5,  # after so many steps, what is too long is shortened
    "rate": 5e-3,  # on slopes summed over the minibatch
    "fall": 5e-7,  # after k images the rate is divided by 1 + fall k
    "passes_without_labels": 100,
    "passes": 1100,
    "patience": 100,  # passes with labels that bring nothing before training ends
    "average": 0.05,  # share of each new pass in the running average of the weights
    "nets": {  # units and iterations
        "200x2": {"m": 200, "T": 2},
        "200x11": {"m": 200, "T": 11},
        "400x11": {"m": 400, "T": 11},
    },
}


def recipe_seed(name: str, s: dict, seed: int) -> Outcome:
    """Train one of the nets as the paper did, as long as it did; return its figures and weights.

    Rolfe & LeCun 2013, table 1; what the paper leaves open is as in its authors' code. The
    validation error of the weights themselves chooses the pass (a draw goes to the lower logistic
    loss); only then is the test set read. A running average of the weights, which the paper does
    not have, is chosen and read alike.
    """
    s = s | s["nets"][name]
    images, choose_on, test_on = recipe_parts(seed, s)
    state = trained(s, seed)
    net = state["weights"]["net"]
    figures = {"passes_run": len(state["history"])} | before_labels(state["history"], s)
    figures |= errors_of(state["weights"], test_on, s)
    of_average = errors_of(state["average"], test_on, s)
    figures |= {f"{key}_of_average": value for key, value in of_average.items()}
    found = statistics_of(net, choose_on, s)
    figures |= measures(net, found, choose_on, s)
    found |= {"history": torch.tensor(state["history"]), "angle": angles_of(net)}
    if name == "400x11":  # the one that the chapter shows
        first, few = first_matrices(images.x, s, seed), few_of(images)
        kinds = kinds_of(net, found["on"])
        figures |= readers(net, first, kinds, images, choose_on, s)
        untrained = by_iteration(first, choose_on)
        found |= net | by_iteration(net, choose_on)
        found |= {f"untrained_{key}": value for key, value in untrained.items()}
        found |= {"slopes_untrained": fading(first, few, s), "slopes_trained": fading(net, few, s)}
        named = s["weights"] | {"reconstruction": 0.0, "sparsity": 0.0}
        unnamed = s["weights"] | {"classification": 0.0}
        found["slopes_class"] = fading(net, few, s | {"weights": named})
        found["slopes_energy"] = fading(net, few, s | {"weights": unnamed})
    return (
        {f"{key}.{name}": value for key, value in figures.items()},
        {f"{key}.{name}": value for key, value in found.items()},
    )


def trained(s: dict, seed: int) -> dict:
    """Return the state after training by plain gradient descent: 100 passes without labels, then
    with, until patience ends.

    After each pass all that is needed to go on is kept in the cache, and stays there: measuring the
    network again trains nothing.
    """
    images, choose_on, _ = recipe_parts(seed, s)
    state = at_the_start(first_matrices(images.x, s, seed))
    kept = kept_at(s, seed, record.code_of(trained))
    if kept.is_file():
        state = torch.load(kept)
    while not finished(state, s):
        state = after_one_more_pass(state, images, choose_on, s, seed)
        with replacing(kept) as file:
            torch.save(state, file)
    return state


def at_the_start(net: Matrices) -> dict:
    """Return the state before training: the network, its running average, what was watched, and
    the best pass so far of both."""
    nothing = {"best": [np.inf, np.inf], "net": net, "at": 0}
    return {"net": net, "mean": net, "history": [], "weights": nothing, "average": nothing}


def errors_of(best: dict, test_on: Labelled, s: dict) -> dict[str, float]:
    """Return errors, in percent, and number of the pass that was chosen."""
    return {
        "passes": best["at"],
        "validation_error_percent": best["best"][0],
        "test_error_percent": watched(best["net"], test_on, s)["error"],
    }


def before_labels(history: list[list[float]], s: dict) -> dict[str, float]:
    """Return the shares of part- and categorical-units, in percent of all, just before labels come;
    history: what watched returns, of each pass."""
    *_, part, categorical = history[s["passes_without_labels"] - 1]
    return {"part_before_labels_percent": part, "categorical_before_labels_percent": categorical}


def recipe_parts(seed: int, s: dict) -> tuple[Labelled, Labelled, Labelled]:
    """Return images of norm 1 to train on, to choose with, to test on, with their digits."""
    train, test = (Labelled(normalize(x), y) for x, y in mnist())
    images, choose_on = split(train, s["split"], np.random.default_rng([seed, 10**6]))
    return images, choose_on, test


def first_matrices(x: Tensor, s: dict, seed: int) -> Matrices:
    """Return the network before training on images x (N, n): ISTA's matrices, and Wc zero."""
    Wd = drsae.noisy_images(x, s["m"], np.random.default_rng([seed, 10**6 + 1]))
    encoder = ista_encoder(Wd, drsae.longest_step(Wd, s["T"]), s["b"])
    return encoder | {"Wd": Wd, "Wc": torch.zeros(10, s["m"])}


def finished(state: dict, s: dict) -> bool:
    """Return whether all passes are done, or patience is at its end."""
    passed = len(state["history"])
    waited = passed - max(state["weights"]["at"], s["passes_without_labels"])
    return passed >= s["passes"] or waited >= s["patience"]


def after_one_more_pass(
    state: dict, images: Labelled, choose_on: Labelled, s: dict, seed: int
) -> dict:
    """Return the state after one more pass over the images; its net is changed in place.

    Raises FloatingPointError if the net then gives no finite figures.
    """
    net = {key: W.clone() for key, W in state["net"].items()}
    passed = len(state["history"])
    labels = passed >= s["passes_without_labels"]
    weights = s["weights"] | ({} if labels else {"classification": 0.0})
    one_pass(net, images, weights, s, seed, passed)
    seen = watched(net, choose_on, s)
    if not np.isfinite(list(seen.values())).all():
        raise FloatingPointError(f"pass {passed}: {seen}")
    told = ", ".join(f"{key} {value:.4g}" for key, value in seen.items())
    print(f"  pass {passed + 1}: {told}", flush=True)
    share = s["average"] if labels else 1.0
    mean = {key: torch.lerp(state["mean"][key], W, share) for key, W in net.items()}
    state = state | {"net": net, "mean": mean, "history": [*state["history"], list(seen.values())]}
    if labels:
        state["weights"] = better(state["weights"], net, seen, passed + 1)
        state["average"] = better(state["average"], mean, watched(mean, choose_on, s), passed + 1)
    return state


def better(best: dict, net: Matrices, seen: dict[str, float], at: int) -> dict:
    """Return the best pass so far: best, or that of net, if what was seen of it is lower."""
    score = [seen["error"], seen["logistic"]]
    return {"best": score, "net": net, "at": at} if score < best["best"] else best


@torch.inference_mode()  # nothing is noted for autograd: an eighth faster
def one_pass(
    net: Matrices, images: Labelled, weights: dict[str, float], s: dict, seed: int, passed: int
) -> None:
    """Descend once over the images, in place; each matrix at the rate over how often it is used,
    Wc at a fifth of it."""
    uses = {"We": s["T"], "b": s["T"], "S": max(s["T"] - 1, 1), "Wd": 1, "Wc": 5}
    steps = len(images.x) // s["batch"]
    rows = minibatches(len(images.x), s["batch"], np.random.default_rng([seed, passed]))
    for k, i in enumerate(islice(rows, steps), passed * steps):
        rate = s["rate"] / (1 + s["fall"] * k * s["batch"])
        for name, (left, right) in factors(net, images.x[i], images.y[i], weights, s["T"]).items():
            net[name].view(len(net[name]), -1).addmm_(left.T, right, alpha=-rate / uses[name])
        if k % s["held"] == 0:
            hold(net, s)
    hold(net, s)


def hold(net: Matrices, s: dict) -> None:
    """Shorten, in place, what is longer than its bound; that of We is over T."""
    for name, longest in s["bounds"].items():
        longest = longest / s["T"] if name == "We" else longest
        drsae.shorten(net[name], longest, dim=0 if name == "Wd" else 1)


def watched(net: Matrices, part: Labelled, s: dict) -> dict[str, float]:
    """Return what is watched after each pass: error and units in percent, criteria as means."""
    z = last_codes(net, part.x, s["T"])
    evidence = normalize(z) @ net["Wc"].T
    angle = angles_of(net)
    return {
        "error": 100 * (evidence.argmax(1) != part.y).double().mean().item(),
        "logistic": cross_entropy(evidence, part.y).item(),
        "reconstruction": 0.5 * (part.x - z @ net["Wd"].T).square().sum(1).mean().item(),
        "sparsity": z.sum(1).mean().item(),
        "on": 100 * (z > 0).double().mean().item(),
        "never_on": 100 * (z.amax(0) == 0).double().mean().item(),
        "part": 100 * (angle < 0.5).double().mean().item(),
        "categorical": 100 * (angle > 0.7).double().mean().item(),
    }
