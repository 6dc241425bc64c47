"""Chapter 3 at full size: DrSAE on MNIST and its ablations."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pooch
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from course_utils import live
from course_utils.built import drsae
from course_utils.data import Labelled, mnist, shared, split
from course_utils.reproduce import Outcome
from course_utils.training import fit, minibatches

Pairs = Iterator[tuple[Tensor, Tensor]]

PAPER = {
    "m": 400,
    "T": 11,
    "split": [50_000, 10_000],
    "labels_per_class": None,  # None: all
    "unlabelled_too": True,  # images without a label are rebuilt, too
    "weights": {"reconstruction": 1.0, "sparsity": 0.012, "classification": 0.5},
    "bounds": drsae.BOUNDS,
    "S": "learned",  # or "fixed", as it starts, or "zero"
    "epochs_without_labels": 0,  # of all epochs, those before classification joins
    "epochs": 60,
    "batch": 64,
    "rate": 1e-3,
    "average": 5e-4,  # share of each new step in the running average of the weights
}


def train_on_mnist(name: str, changes: dict, seed: int) -> Outcome:
    """Train one variant; return its errors and counts of units, and of 400x11 the weights.

    The running average of the weights is what counts. Its validation error chooses the epoch (a
    draw goes to the lower logistic loss); only then is the test set read, once. After each epoch
    all that is needed to go on is kept in the cache: a run that is stopped goes on from there,
    with the same result.
    """
    s = PAPER | changes
    images, labelled, choose_on, test_on = _data(seed, s)
    net = _start(images.x, s, seed)
    slopes = {"slopes_untrained": drsae.slope_norms(net, *_few(labelled), s["weights"])}
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(1 - s["average"]))
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], s["rate"])
    steps = s["split"][0] // s["batch"]
    scheduler = CosineAnnealingLR(optimizer, steps * s["epochs"])
    state = {"net": net, "average": average, "optimizer": optimizer, "scheduler": scheduler}
    kept = _kept(s, seed)
    epoch, best, chosen = _load(kept, state)
    while epoch < s["epochs"]:
        weights = dict(s["weights"])
        if epoch < s["epochs_without_labels"]:
            weights["classification"] = 0.0
        step = drsae.learning_step(optimizer, scheduler, weights, s["bounds"])
        pairs = _pairs(images, labelled, s["batch"], np.random.default_rng([seed, epoch]))
        fit(_averaged(step, average), net, pairs, steps)
        score = _score(average.module, choose_on)
        if score < best:
            best, chosen = score, {k: v.clone() for k, v in average.module.state_dict().items()}
        epoch += 1
        print(f"  epoch {epoch}: validation {score[0]:.2f} %, best {best[0]:.2f} %", flush=True)
        _save(kept, state, epoch, best, chosen)
    net.load_state_dict(chosen)
    figures = {f"validation_error_percent.{name}": best[0]}
    figures[f"test_error_percent.{name}"] = drsae.error_percent(net, *test_on)
    figures |= {f"{key}.{name}": value for key, value in drsae.unit_shares(net).items()}
    kept.unlink()
    slopes["slopes_trained"] = drsae.slope_norms(net, *_few(labelled), s["weights"])
    return figures, dict(net.named_parameters()) | slopes | _statistics(net, choose_on)


def _averaged(step: drsae.Step, average: AveragedModel) -> drsae.Step:
    """Return the step, after which the running average takes its share of the new weights."""

    def both(net: drsae.DrSAE, pair: tuple[Tensor, Tensor]) -> tuple[drsae.DrSAE, dict]:
        net, values = step(net, pair)
        average.update_parameters(net)
        return net, values

    return both


def _data(seed: int, s: dict) -> tuple[Labelled, Labelled, Labelled, Labelled]:
    """Return images to rebuild, those with labels, those to choose with, those to test on."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, test = (Labelled(normalize(x).to(device), y.to(device)) for x, y in mnist())
    images, choose_on = split(train, s["split"], np.random.default_rng([seed, 10**6]))
    labelled, few = images, s["labels_per_class"]
    if few:
        rows = torch.cat([(images.y == digit).nonzero()[:few, 0] for digit in range(10)])
        labelled = Labelled(images.x[rows], images.y[rows])
    return images if s["unlabelled_too"] else labelled, labelled, choose_on, test


def _start(x: Tensor, s: dict, seed: int) -> drsae.DrSAE:
    Wd = drsae.noisy_images(x.cpu(), s["m"], np.random.default_rng([seed, 10**6 + 1]))
    step = drsae.longest_step(Wd, s["T"])
    net = drsae.DrSAE(Wd, s["weights"]["sparsity"], s["T"], classes=10, step=step)
    if s["S"] == "zero":
        net.S.data.zero_()
    net.S.requires_grad_(s["S"] == "learned")
    return net.to(x.device)


def _pairs(images: Labelled, labelled: Labelled, size: int, generator) -> Pairs:
    """Yield for ever minibatches (x, y): size images with labels, then, if images holds others,
    as many without."""
    rows = minibatches(len(labelled.x), min(size, len(labelled.x)), generator)
    if images is labelled:
        yield from ((images.x[i], images.y[i]) for i in rows)
    for i, j in zip(rows, minibatches(len(images.x), size, generator), strict=True):
        yield torch.cat([labelled.x[i], images.x[j]]), labelled.y[i]


def _few(part: Labelled, count: int = 500) -> Labelled:
    return Labelled(part.x[:count], part.y[:count])


@torch.no_grad()
def _score(net: drsae.DrSAE, part: Labelled) -> list[float]:
    """Return error in percent and logistic loss on a part of the data."""
    logits = drsae.evidence(torch.cat([net(rows) for rows in part.x.split(5000)]), net.Wc)
    wrong = (logits.argmax(1) != part.y).double().mean().item()
    return [100 * wrong, cross_entropy(logits, part.y).item()]


@torch.no_grad()
def _statistics(net: drsae.DrSAE, part: Labelled) -> dict[str, Tensor]:
    """Return, for each unit: how often it is on at the end, how often it is on at t = 2 but not
    at t = 1, and the mean of its last code for each digit (m, 10)."""
    codes = net.codes(part.x)
    first, second = codes[0], codes[:2][-1]  # with T = 1 there is no second
    means = [codes[-1][part.y == digit].mean(0) for digit in range(10)]
    return {
        "on": (codes[-1] > 0).float().mean(0),
        "on_at_2_first": ((first == 0) & (second > 0)).float().mean(0),
        "means": torch.stack(means, 1),
    }


def _kept(s: dict, seed: int) -> Path:
    """Return where the state of this very run is kept between epochs."""
    folder = Path(pooch.os_cache("course-utils")) / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.dumps([s, seed], sort_keys=True).encode()
    return folder / f"drsae-{hashlib.sha256(settings).hexdigest()[:16]}.pt"


def _load(path: Path, state: dict) -> tuple[int, list[float], dict[str, Tensor] | None]:
    """Put what path holds, if it is there, into state; return epoch, best score and its weights."""
    if not path.is_file():
        return 0, [np.inf, np.inf], None
    held = torch.load(path)
    for key, part in state.items():
        part.load_state_dict(held[key])
    return held["epoch"], held["best"], held["chosen"]


def _save(path: Path, state: dict, epoch: int, best: list[float], chosen: dict) -> None:
    """Keep everything that is needed to go on after this epoch; never half of it."""
    held = {key: part.state_dict() for key, part in state.items()}
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        torch.save(held | {"epoch": epoch, "best": best, "chosen": chosen}, file)
    os.replace(file.name, path)


LIVE = {"notebook": "03_drsae.ipynb"}


def live_seed(seed: int) -> Outcome:
    """Run the cells of chapter 3 with other random numbers; return what its claims are about."""

    def without(names: dict) -> dict[str, float]:
        held, free = names["held"], names["seen"]
        figures = {f"over_bound.{name}": values[name] for name, values in free.items()}
        for name, criterion in (("Wd", "sparsity"), ("Wc", "classification")):
            figures[f"{criterion}_ratio"] = free[name][criterion] / held[criterion]
        swing = "last change of the code"
        return figures | {"swing_ratio": free["We"][swing] / held[swing]}

    wanted = {
        "train-claims": lambda names: {
            "test_error_percent": names["error_percent"](names["net"], *names["test_on"]),
            "active": names["active"],
        },
        "without-claims": without,
        "gradient-picture": lambda names: {f"fade.{k}": v for k, v in names["fade"].items()},
        "thread-rows": lambda names: {"thread": names["E_net"]},
    }
    return live.figures(shared("notebooks") / LIVE["notebook"], seed, wanted), {}
