"""Chapter 3 at full size: DrSAE on MNIST and its ablations."""

import hashlib
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import pooch
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils import parametrize
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from course_utils.built import drsae
from course_utils.data import Labelled, first_of_each, split
from course_utils.reproduce import Outcome, record
from course_utils.tools.files import replacing
from course_utils.tools.mnist import mnist
from course_utils.training import descent_step, fit, minibatches

Pairs = Iterator[tuple[Tensor, Tensor]]


def rates(T: int) -> dict[str, float]:
    """Return Adam's rate for each matrix; those of We, b and S are divided by how often a network
    of T iterations uses them (Rolfe & LeCun 2013)."""
    S = 5e-3 / max(T - 1, 1)
    return {"We": 2e-4 * 11 / T, "b": 2e-4 * 11 / T, "S": S, "Wd": 1e-3, "Wc": 5e-3}


PAPER = {
    "m": 400,
    "T": 11,
    "split": [50_000, 10_000],
    "labels_per_class": None,  # None: all
    "unlabelled_too": True,  # images without a label are rebuilt, too
    "weights": {"reconstruction": 1.0, "sparsity": 0.018, "classification": 0.2},
    "bounds": drsae.BOUNDS,
    "S": "learned",  # or "fixed", as it starts, or "zero", or one of MADE
    "epochs_without_labels": 12,  # of all epochs, those before classification joins
    "epochs": 30,
    "batch": 64,
    "rates": rates(11),
    "average": 5e-4,  # share of each new step in the running average of the weights
}


def adam(net: drsae.DrSAE, s: dict) -> dict:
    """Return net, its running average, Adam, and the half cosine along which the rates fall.

    Each matrix has its own rate: Adam moves every entry by about the rate, and entries of We are a
    tenth of those of Wd.
    """
    optimizer = Adam(_groups(net, s["rates"]))
    return _state(net, s, optimizer, CosineAnnealingLR(optimizer, s["epochs"] * _steps(s)))


def gradient_descent(net: drsae.DrSAE, s: dict) -> dict:
    """Return net, its running average, gradient descent with momentum 0.9, and its schedule.

    The rates, divided for each matrix by how often it is used (Rolfe & LeCun 2013), rise over a
    fifth of the steps and fall over the others along half cosines.
    """
    optimizer = SGD(_groups(net, s["rates"]), momentum=0.9)
    highest = [group["lr"] for group in optimizer.param_groups]
    rise = {"pct_start": 0.2, "cycle_momentum": False}
    return _state(
        net, s, optimizer, OneCycleLR(optimizer, highest, s["epochs"] * _steps(s), **rise)
    )


def _groups(net: drsae.DrSAE, rates: dict[str, float]) -> list[dict]:
    learned = [(name, W) for name, W in net.named_parameters() if W.requires_grad]
    return [{"params": [W], "lr": rates[name]} for name, W in learned]


def _steps(s: dict) -> int:
    """Return the steps of one epoch."""
    return s["split"][0] // s["batch"]


def _state(net: drsae.DrSAE, s: dict, optimizer: Optimizer, scheduler: LRScheduler) -> dict:
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(1 - s["average"]))
    return {"net": net, "average": average, "optimizer": optimizer, "scheduler": scheduler}


def train_on_mnist(
    name: str, s: dict, seed: int, learner: Callable[[drsae.DrSAE, dict], dict] = adam
) -> Outcome:
    """Train one variant, by default with adam; return its errors, shares of the units that
    are ever on, and weights.

    The running average of the weights is what counts. Its validation error chooses the epoch (a
    draw goes to the lower logistic loss); only then is the test set read, once. After each epoch
    all that is needed to go on is kept in the cache: a run that is stopped goes on from there,
    with the same result.
    """
    images, labelled, choose_on, test_on = mnist_parts(seed, s)
    net = first_net(images.x, s, seed)
    slopes = {"slopes_untrained": drsae.slope_norms(net, *few_of(labelled), s["weights"])}
    state = learner(net, s)
    kept = kept_at(s, seed, record.code_of(train_on_mnist))
    epoch, best, chosen = _load(kept, state)
    while epoch < s["epochs"]:
        weights = dict(s["weights"])
        if epoch < s["epochs_without_labels"]:
            weights["classification"] = 0.0
        step = averaging_step(state, weights, s["bounds"], CRITERIA[s.get("evidence", "direction")])
        batches = pairs(images, labelled, s["batch"], np.random.default_rng([seed, epoch]))
        fit(step, net, batches, _steps(s))
        average = state["average"].module
        score = _score(average, choose_on)
        if score < best:
            best, chosen = score, {k: v.clone() for k, v in average.state_dict().items()}
        epoch += 1
        print(f"  epoch {epoch}: validation {score[0]:.2f} %, best {best[0]:.2f} %", flush=True)
        _save(kept, state, epoch, best, chosen)
    net.load_state_dict(chosen)
    figures = {f"validation_error_percent.{name}": best[0]}
    figures[f"test_error_percent.{name}"] = drsae.error_percent(net, *test_on)
    statistics = _statistics(net, choose_on)
    alive = statistics["on"] > 0
    figures[f"never_on_percent.{name}"] = 100 * (~alive).float().mean().item()
    figures |= {f"{key}.{name}": value for key, value in drsae.unit_shares(net, alive).items()}
    kept.unlink()
    slopes["slopes_trained"] = drsae.slope_norms(net, *few_of(labelled), s["weights"])
    return figures, dict(net.named_parameters()) | slopes | statistics


NETS = {  # units x iterations
    "400x11": {},
    "200x11": {"m": 200},
    "200x2": {"m": 200, "T": 2, "rates": rates(2)},
}


def paper_seed(name: str, s: dict, seed: int) -> Outcome:
    """Train one of NETS; return its figures, and the weights of the largest.

    Rolfe & LeCun 2013, table 1.
    """
    figures, weights = train_on_mnist(name, s | s["nets"][name], seed)
    return figures, weights if name == "400x11" else {}


SMALL = {"m": 200, "epochs": 10, "epochs_without_labels": 4}  # of all networks of the ablations
HALF = {"epochs": 5, "epochs_without_labels": 2}  # are their differences settled?


def _without(*criteria: str) -> dict:
    return {"weights": PAPER["weights"] | dict.fromkeys(criteria, 0.0)}


AT_ONCE = {"epochs_without_labels": 0}
# without reconstruction there is nothing to learn before labels come
ALONE = _without("reconstruction", "sparsity") | AT_ONCE
ABLATIONS = {f"T{T}": {"T": T, "rates": rates(T)} for T in (1, 2, 5, 11)} | {
    "at_once": AT_ONCE,
    "no_reconstruction": _without("reconstruction") | AT_ONCE,
    "classification_only": ALONE,
    "no_sparsity": _without("sparsity"),
    "S_zero": {"S": "zero"},
    "S_fixed": {"S": "fixed"},
    "We_free": {"bounds": {"Wd": 1.0, "Wc": 5.0}},
}
for few in (10, 100, 1000):  # labels of each digit
    only = {"labels_per_class": few, "unlabelled_too": False}
    ABLATIONS[f"labels{few}_classification_only"] = ALONE | only
    ABLATIONS[f"labels{few}_labelled_images"] = only
    ABLATIONS[f"labels{few}_all_images"] = {"labels_per_class": few}


def ablation_seed(name: str, s: dict, seed: int) -> Outcome:
    """Train one of ABLATIONS or DECIDING of chapter 3; return its figures.

    Rolfe & LeCun 2013 compare 11 iterations with 2; the others are ours.
    """
    figures, _ = train_on_mnist(name, s | s["ablations"][name], seed)
    figures[f"ablation.{name}"] = figures.pop(f"test_error_percent.{name}")
    return figures, {}


# What the ablations leave open, beside all of them, in the same five seeds.
DECIDING = ABLATIONS | {
    "no_sparsity_at_once": _without("sparsity") | AT_ONCE,
    "S_coupled": {"S": "coupled"},
    "S_tied": {"S": "tied"},
    "length_kept": {"evidence": "code"},  # the classifier sees z, not z / ‖z‖
}
for each in (10, 100, 1000):
    DECIDING[f"labels{each}_at_once"] = {"labels_per_class": each} | AT_ONCE
PROBES = {"C": [1.0, 10.0, 100.0, 1000.0], "labels": [10, 100, 1000, None]}


def probe_seed(name: str, s: dict, seed: int) -> Outcome:
    """Put a linear classifier on what nothing with a label has touched; return its errors, for few
    labels of each digit and for all.

    name: "pixels", or "frozen", for directions of codes of a network trained without labels for as
    many passes as the ablations. Few labels are as in ablation_seed; the rival is ours, since Rolfe
    & LeCun 2013 have none. The validation error chooses C; then the test set is read, once.
    """
    images, _, choose_on, test_on = mnist_parts(seed, s)
    of = (lambda x: x) if name == "pixels" else codes_without_labels(images, s, seed)
    figures = {}
    for few in s["probes"]["labels"]:
        key = name if few is None else f"labels{few}_{name}"
        part = images if few is None else first_of_each(images, few)
        fits = [linear(of(part.x), part.y, C) for C in s["probes"]["C"]]
        errors = [wrong_percent(fit, of(choose_on.x), choose_on.y) for fit in fits]
        best = int(np.argmin(errors))
        figures[f"validation_error_percent.{key}"] = errors[best]
        figures[f"C.{key}"] = s["probes"]["C"][best]
        figures[f"ablation.{key}"] = wrong_percent(fits[best], of(test_on.x), test_on.y)
    return figures, {}


def codes_without_labels(images: Labelled, s: dict, seed: int) -> Callable[[Tensor], Tensor]:
    """Return a function of x (B, n): the direction (B, m) of its code, by the running average of a
    network that was trained on images without their labels."""
    state = adam(first_net(images.x, s, seed), s)
    weights = s["weights"] | {"classification": 0.0}
    step = averaging_step(state, weights, s["bounds"])
    for epoch in range(s["epochs"]):
        batches = pairs(images, images, s["batch"], np.random.default_rng([seed, epoch]))
        fit(step, state["net"], batches, _steps(s))
    net = state["average"].module.requires_grad_(False)
    return lambda x: normalize(torch.cat([net(rows) for rows in x.split(5000)]))


def linear(x: Tensor, y: Tensor, C: float) -> LogisticRegression:
    """Return a logistic regression of strength C, fitted to x (N, n) and its classes y (N,)."""
    return LogisticRegression(C=C, max_iter=1000).fit(x.numpy(force=True), y.numpy(force=True))


def wrong_percent(fitted: LogisticRegression, x: Tensor, y: Tensor) -> float:
    """Return the share of x (N, n), in percent, whose classes y (N,) it names wrongly."""
    return 100 * (1 - fitted.score(x.numpy(force=True), y.numpy(force=True)))


DESCENT = {
    "epochs": 16,
    "epochs_without_labels": 4,
    "rates": {"We": 0.15 / 11, "b": 0.03 / 11, "S": 0.15 / 10, "Wd": 0.15, "Wc": 0.3},
}


def descent_seed(name: str, s: dict, seed: int) -> Outcome:
    """Train one of NETS as the paper did, by gradient descent; return also the smaller weights.

    Rolfe & LeCun 2013, table 1, with the schedule of their code.
    """
    figures, weights = train_on_mnist(name, s | s["nets"][name], seed, gradient_descent)
    return figures, weights if name == "200x11" else {}


def averaging_step(
    state: dict,
    weights: dict,
    bounds: dict,
    of_pair: Callable[[drsae.DrSAE, tuple[Tensor, Tensor]], drsae.Criteria] = drsae.of_pair,
) -> drsae.Step:
    """Return a step for fit, after which the running average takes its share of the weights."""

    def after(net: drsae.DrSAE) -> None:
        drsae.hold(net, bounds)
        state["average"].update_parameters(net)

    def criteria(net: drsae.DrSAE, pair: tuple[Tensor, Tensor]) -> drsae.Criteria:
        with parametrize.cached():  # a matrix that is made of others is made once a step
            return of_pair(net, pair)

    return descent_step(criteria, weights, state["optimizer"], state["scheduler"], after)


def of_length(net: drsae.DrSAE, pair: tuple[Tensor, Tensor]) -> drsae.Criteria:
    """Return the criteria of a minibatch, classified by Wc z, whose length is not divided out."""
    (x, y), z = pair, net(pair[0])
    loss = cross_entropy(z[: len(y)] @ net.Wc.T, y)
    return drsae.criteria(net, x, z, y) | {"classification": loss}


CRITERIA = {"direction": drsae.of_pair, "code": of_length}


def transposed(net: drsae.DrSAE) -> Tensor:
    """Return ISTA's encoder (m, n) for net's decoder, with the longest step that We may have."""
    return drsae.BOUNDS["We"] / net.T * net.Wd.T


def explaining_away(net: drsae.DrSAE) -> Tensor:
    """Return I − We Wd (m, m), of net as it is now."""
    return torch.eye(len(net.b)).to(net.b) - net.We @ net.Wd


class Made(nn.Module):
    """What stands for a matrix that is not learned, but made of a net's others at every use."""

    def __init__(self, net: drsae.DrSAE, make: Callable[[drsae.DrSAE], Tensor]) -> None:
        super().__init__()
        self.of, self.make = [net], make  # in a list, since the net is no part of this

    def forward(self, _: Tensor) -> Tensor:
        """Return the matrix that is made; what is parametrised, _ (a, b), says nothing."""
        return self.make(*self.of)


MADE = {"coupled": {"S": explaining_away}, "tied": {"We": transposed, "S": explaining_away}}


def mnist_parts(seed: int, s: dict) -> tuple[Labelled, Labelled, Labelled, Labelled]:
    """Return images to rebuild, those with labels, those to choose with, those to test on."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, test = (Labelled(normalize(x).to(device), y.to(device)) for x, y in mnist())
    images, choose_on = split(train, s["split"], np.random.default_rng([seed, 10**6]))
    labelled, few = images, s["labels_per_class"]
    if few:
        labelled = first_of_each(images, few)
    return images if s["unlabelled_too"] else labelled, labelled, choose_on, test


def first_net(x: Tensor, s: dict, seed: int) -> drsae.DrSAE:
    """Return the network before training on images x (N, n)."""
    Wd = drsae.noisy_images(x.cpu(), s["m"], np.random.default_rng([seed, 10**6 + 1]))
    step = drsae.longest_step(Wd, s["T"])
    net = drsae.DrSAE(Wd, s["weights"]["sparsity"], s["T"], classes=10, step=step)
    if s["S"] == "zero":
        net.S.data.zero_()
    net.S.requires_grad_(s["S"] == "learned")
    net = net.to(x.device)
    for matrix, make in MADE.get(s["S"], {}).items():
        getattr(net, matrix).requires_grad_(False)
        parametrize.register_parametrization(net, matrix, Made(net, make))
    return net


def pairs(images: Labelled, labelled: Labelled, size: int, generator) -> Pairs:
    """Yield for ever minibatches (x, y): size images with labels, then, if images holds others,
    as many without."""
    rows = minibatches(len(labelled.x), min(size, len(labelled.x)), generator)
    if images is labelled:
        yield from ((images.x[i], images.y[i]) for i in rows)
    for i, j in zip(rows, minibatches(len(images.x), size, generator), strict=True):
        yield torch.cat([labelled.x[i], images.x[j]]), labelled.y[i]


def few_of(part: Labelled, count: int = 500) -> Labelled:
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


def kept_at(s: dict, seed: int, code: str) -> Path:
    """Return where the state of this very run, by this very code, is kept between epochs."""
    folder = Path(pooch.os_cache("course-utils")) / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.dumps([s, seed, code], sort_keys=True).encode()
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
    with replacing(path) as file:
        torch.save(held | {"epoch": epoch, "best": best, "chosen": chosen}, file)


def _without_bounds(names: dict) -> dict[str, float]:
    held, free = names["held"], names["seen"]
    figures = {f"over_bound.{name}": values[name] for name, values in free.items()}
    for name, criterion in (("Wd", "sparsity"), ("Wc", "classification")):
        figures[f"{criterion}_ratio"] = free[name][criterion] / held[criterion]
    figures["reconstruction_ratio"] = free["Wd"]["reconstruction"] / held["reconstruction"]
    figures |= {f"shows.{name}": value for name, value in names["betrayed"].items()}
    figures |= {f"misread_free.{name}": value for name, value in names["misread_free"].items()}
    swing = "last change of the code"
    return figures | {"swing_ratio": free["We"][swing] / held[swing]}


def _criteria_at_the_end(names: dict) -> dict[str, float]:
    figures = {f"over_untrained.{name}": value for name, value in names["share"].items()}
    figures["test_error_percent"] = names["error_percent"](names["net"], *names["test_on"])
    rises = dict(zip(("rises_again", "rises_unnamed", "rises_priced"), names["humps"], strict=True))
    return figures | {"highest_over_untrained": names["highest"]} | rises


def _costs(names: dict) -> dict[str, float]:
    runs = {"all": "after", "unnamed": "never_named", "priced": "at_a_price"}
    figures = {f"active.{run}": share for run, share in names["active"].items()}
    for run, name in runs.items():
        for criterion in ("reconstruction", "sparsity"):
            figures[f"{criterion}.{run}"] = names[name][criterion]
    return figures | {"cost": names["cost"], "cost_alike": names["cost_alike"]}


def _by_iteration(names: dict) -> dict[str, float]:
    at = (1, 2, 3, 5, 7, 11, 20, 30)
    found = dict(names["by_t"])
    for null, values in names["by_t_null"].items():
        found |= {f"{key}, {null}": values[key] for key in ("best rest", "L1", "on")}
    for which, values in names["refitted"].items():
        found["refitted" if which == "trained" else f"refitted, {which}"] = values
    figures = {f"best_at.{key}": t for key, t in names["best_at"].items()}
    return figures | {
        f"{key} at t = {t}": values[t - 1]
        for key, values in found.items()
        for t in at
        if t <= len(values)
    }


def _slopes(names: dict) -> dict[str, float]:
    figures = {f"arrives.{name}": value for name, value in names["arrives"].items()}
    for name, value in names["for_each"].items():
        figures[f"arrives.{name}, per unit that is on"] = value
    return figures


def _kinds(names: dict) -> dict[str, float]:
    return {f"{kind}_percent": share for kind, share in names["kinds_live"].items()}


def _angles(names: dict) -> dict[str, float]:
    figures = {f"weight_and.{name}": tie for name, tie in names["ties_live"].items()}
    figures["categorical_percent, shuffled labels"] = names["rote_live"]
    return figures | {"part_percent, no classes": names["unnamed_live"]}


def _longer(names: dict, which: str, weights: dict[str, float]) -> drsae.DrSAE:
    """Return the chapter's network of this name after three times as many steps."""
    net = deepcopy(names[which])
    names["descend"](net, names["batches_of"](names["fit_on"], 5), 3200, weights)
    return net


@torch.no_grad()
def _costs_longer(names: dict, longer: drsae.DrSAE) -> dict[str, float]:
    """Return, after 4,800 steps, reconstruction, L1, units on in percent, and what the best linear
    decoder leaves, with classification and without, at two prices."""
    null, dear = names["no_classes"], names["dearer"]
    with torch.enable_grad():
        nets = {
            "unnamed": _longer(names, "unnamed", null),
            "priced": _longer(names, "priced", dear),
        }
    figures, (fit_on, test_on) = {}, (names["fit_on"], names["test_on"])
    for run, net in ({"all": longer} | nets).items():
        values = drsae.criteria(net, fit_on.x, net(fit_on.x), fit_on.y)
        for criterion in ("reconstruction", "sparsity"):
            figures[f"{criterion}.{run}, 4,800 steps"] = values[criterion]
        on = (net(test_on.x) > 0).double().mean()
        figures[f"active.{run}, 4,800 steps"] = 100 * on
        left = names["by_iteration"](net, test_on, fit_on, most=11)["best rest"][10]
        figures[f"best rest.{run}, 4,800 steps"] = left
    for cost, null in (("cost", "unnamed"), ("cost_alike", "priced")):
        rests = (figures[f"reconstruction.{run}, 4,800 steps"] for run in ("all", null))
        figures[f"{cost}, 4,800 steps"] = next(rests) / next(rests)
    return figures


def _ways_to_learn(names: dict) -> dict[str, float]:
    """Return what units that are ever on are like, and the error, by the way to learn, with three
    times as many steps, and of the nulls."""
    learned = {way: net for way, (net, _) in names["ways_to_learn"].items()}
    longer = _longer(names, "net", names["weights"])
    learned["gradient descent, 4,800 steps"] = longer
    figures = _costs_longer(names, longer)
    figures |= {
        f"error.{way}": drsae.error_percent(net, *names["test_on"]) for way, net in learned.items()
    }
    nulls = {"shuffled labels": "by_rote", "no classification": "unnamed"}
    nulls["no classification, Adam"] = "unnamed_by_adam"
    for way, net in (learned | {way: names[null] for way, null in nulls.items()}).items():
        on = names["ever_on"](net, names["fit_on"].x)
        figures[f"never_on.{way}"] = 100 * (~on).double().mean()
        for key, value in drsae.unit_shares(net, on).items():
            figures[f"{key.replace('_units', '')}.{way}"] = value
    for steps, net in (("1,600", names["net"]), ("4,800", longer)):
        figures[f"largest_diagonal.{steps}"] = net.S.diagonal().max() - 1
    return figures


def _progress(names: dict) -> dict[str, float]:
    """Return what groups of units leave of the image, by Wd and by a decoder of their own, and what
    as many at random leave."""
    figures = {"left.random_least": min(row[20] for row in names["shuffled"])}
    for name in names["groups"]:
        for (by_Wd, own), pair in (
            (("left", "own"), names["alone"][name]),
            (("chance", "own_chance"), names["chance_left"][name]),
        ):
            figures |= {f"{by_Wd}.{name}": pair[0], f"{own}.{name}": pair[1]}
    return figures


def _against(names: dict) -> dict[str, float]:
    found = dict(names["small_net"])
    for null, of in (("by Adam", "by_adam"), ("shuffled labels", "rote_net")):
        found |= {f"{null}, {what}": v for what, v in names[of].items() if "digit" in what}
    return {
        f"{which}: {what}": value
        for what, values in found.items()
        for which, value in zip(("S", "own", "null"), values, strict=True)
    }


def _swapped(names: dict) -> dict[str, float]:
    return {
        f"swapped_{key}.{which}": value
        for which, values in names["swapped"].items()
        for key, value in values.items()
    }


WANTED = {  # of the chapter's live run: what its claims are about
    "train-claims": _criteria_at_the_end,
    "cost-claims": _costs,
    "pixels-claims": lambda names: {
        f"by_pixels.{how}": error for how, error in names["by_pixels"].items()
    },
    "learned-claims": lambda names: {
        "alike.classes": names["classes"],
        "alike.parts": names["parts"],
        "negative_thresholds_percent": 100 * (names["net"].b < 0).double().mean(),
    },
    "without-claims": _without_bounds,
    "recurrent-claims": _by_iteration,
    "decoder-claims": lambda names: {
        f"best rest over {null}": share for null, share in names["left_11"].items()
    },
    "units-on-claims": lambda names: {"woken_percent": names["woken"]},
    "gradient-claims": _slopes,
    "units-claims": _kinds,
    "angles-claims": _angles,
    "shares-claims": _ways_to_learn,
    "against-claims": _against,
    "swap-claims": _swapped,
    "progress-claims": _progress,
    "thread-rows": lambda names: {
        "thread": names["E_net"],
        "thread, coordinate descent": names["E"]["coordinate descent, 11 sweeps"],
    },
}
