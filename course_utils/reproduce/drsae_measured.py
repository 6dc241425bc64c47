"""What is measured of chapter 3's networks at full size, on images that did not train them.

Apart from their training, so that one more measure does not cost its hours again.
"""

from itertools import product

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import normalize

from course_utils.built.drsae import longest_step
from course_utils.data import Labelled
from course_utils.reproduce.drsae_by_hand import (
    Matrices,
    angles_of,
    codes_of,
    going_back,
    ista_encoder,
    last_codes,
)

TOP = 20  # so many of the most turned units are looked at together
DRAWS = 20  # of as many units at random
OVERLAPS = (-0.3, -0.1, -0.03, 0.03, 0.1, 0.3)  # of two columns of Wd: bounds between bins
RIDGE = 1e-3  # of the best decoder: next to nothing beside thousands of codes
READ_AT = (1, 2, 3, 5, 11)  # iterations at which a classifier is fitted anew
STRENGTHS = (10.0, 100.0, 1000.0)  # C of its logistic regression


def measures(
    net: Matrices, found: dict[str, Tensor], images: Labelled, part: Labelled, s: dict
) -> dict[str, float]:
    """Return all single figures of net on part; what they are, each function below says.

    found: statistics_of net on part; images: those to fit classifiers to.
    """
    z, kinds = last_codes(net, part.x, s["T"]), kinds_of(net, found["on"])
    order = angles_of(net).masked_fill(found["on"] == 0, -1).argsort()
    order = order[(found["on"] == 0).sum() :]  # from least to most turned, of units that are on
    figures = shares_of(kinds, found) | ties_of(net, found, kinds) | lateral_of(net, kinds, s)
    few = {"most_turned": order[-TOP:], "least_turned": order[:TOP]}
    few["loudest"] = found["means"].mean(1).argsort()[-TOP:]  # those whose mean code is largest
    counts = {f"as_many_as_{k}": int(kinds[k].sum()) for k in ("part", "categorical")}
    figures |= blocks_of(net, order[-TOP:], s) | drawn_by(net["Wd"], kinds | few, z, part.x)
    figures |= drawn_by_random(net["Wd"], order, counts | {"random": TOP}, z, part.x)
    figures |= without_units(net, order, part, s) | exchanged(net, images, part, s)
    figures |= read_anew(net, kinds, images, part, s) | favourites(found, order)
    figures |= heard_by_overlap(net, kinds, s) | heard_by_class(net, kinds, s)
    return figures | kinds_by_iteration(net, kinds, part, s) | inked(net, kinds)


def statistics_of(net: Matrices, part: Labelled, s: dict) -> dict[str, Tensor]:
    """Return, for each unit: how often it is on at the end, how often at t = 2 but not at t = 1,
    and the mean of its last code for each digit (m, 10)."""
    codes = codes_of(net, part.x, 2)
    z = last_codes(net, part.x, s["T"])
    return {
        "on": (z > 0).float().mean(0),
        "on_at_2_first": ((codes[0] == 0) & (codes[1] > 0)).float().mean(0),
        "means": torch.stack([z[part.y == digit].mean(0) for digit in range(10)], 1),
    }


def kinds_of(net: Matrices, on: Tensor) -> dict[str, Tensor]:
    """Return which units (m,) are ever on, and which of them are part-units, whose angle is below
    0.5, and categorical-units, above 0.7, for how often each is on (m,). Rolfe & LeCun 2013,
    section 4.1."""
    angle, alive = angles_of(net), on > 0
    return {
        "alive": alive,
        "part": alive & (angle < 0.5),
        "categorical": alive & (angle > 0.7),
    }


def shares_of(kinds: dict[str, Tensor], found: dict[str, Tensor]) -> dict[str, float]:
    """Return units never on, of all, and each kind, of those that are; and how often a unit wakes
    at t = 2, over how often it is on at the end."""
    alive = kinds["alive"]
    figures = {"never_on_percent": 100 * (~alive).double().mean().item()}
    for kind in ("part", "categorical"):
        figures[f"{kind}_units_percent"] = 100 * (kinds[kind].sum() / alive.sum()).item()
        waking = (found["on_at_2_first"] / found["on"])[kinds[kind]]
        figures[f"waking_{kind}"] = waking.mean().item()
    return figures


def ties_of(net: Matrices, found: dict[str, Tensor], kinds: dict[str, Tensor]) -> dict[str, float]:
    """Return the correlation of a unit's angle with the norm of its row of S − I, the norm of its
    column of Wc, and how often it wakes at t = 2: of all that are ever on, and of part-units."""
    angle, lateral = angles_of(net), lateral_matrix(net)
    properties = {
        "row": lateral.norm(dim=1),
        "Wc": net["Wc"].norm(dim=0),
        "waking": found["on_at_2_first"] / found["on"].clamp(min=1e-9),
    }
    return {
        f"tie_{name}_{kind}": _correlation(angle[kinds[kind]], values[kinds[kind]])
        for name, values in properties.items()
        for kind in ("alive", "part")
    }


def _correlation(a: Tensor, b: Tensor) -> float:
    """Return the correlation of two vectors; nan where there are fewer than two different numbers
    in one of them."""
    varies = all((values != values[:1]).any() for values in (a, b))
    return np.corrcoef(a, b)[0, 1] if varies else np.nan


def lateral_matrix(net: Matrices) -> Tensor:
    """Return S − I (m, m): what units say to each other, and to themselves."""
    return net["S"] - torch.eye(len(net["S"]))


def nulls_of(net: Matrices, s: dict) -> dict[str, Tensor]:
    """Return what S − I (m, m) is held against: ISTA's −step Wdᵀ Wd, with the longest step that
    this Wd bears; and −We Wd, by which S would take away just what is explained already, for the
    encoder that the network has."""
    return {
        "ista": -longest_step(net["Wd"], s["T"]) * net["Wd"].T @ net["Wd"],
        "own": -net["We"] @ net["Wd"],
    }


def lateral_of(net: Matrices, kinds: dict[str, Tensor], s: dict) -> dict[str, float]:
    """Return, of S − I and of each null, what a unit says to itself and the norm of what it hears,
    as means over each kind; the slope of S − I on each null; and their correlation, in what each
    kind hears from all, itself included, and, without itself, from each kind."""
    lateral = lateral_matrix(net)
    nulls, off = nulls_of(net, s), ~torch.eye(len(lateral), dtype=torch.bool)
    figures = {"largest_row_of_S": net["S"].norm(dim=1).max().item()}
    figures["largest_to_itself"] = lateral.diagonal().max().item()
    for kind in ("part", "categorical"):
        for name, matrix in {"S": lateral, **nulls}.items():
            units = kinds[kind]
            figures[f"diagonal_{name}_{kind}"] = matrix.diagonal()[units].mean().item()
            figures[f"row_{name}_{kind}"] = matrix[units].norm(dim=1).mean().item()
        for name, null in nulls.items():
            figures[f"alike_{name}_{kind}"] = _correlation(
                lateral[kinds[kind]].flatten(), null[kinds[kind]].flatten()
            )
            for by in ("part", "categorical"):
                pairs = kinds[kind][:, None] & kinds[by] & off
                figures[f"alike_{name}_{kind}_by_{by}"] = _correlation(lateral[pairs], null[pairs])
    for name, null in nulls.items():
        figures[f"slope_on_{name}"] = ((lateral * null).sum() / null.square().sum()).item()
    return figures


def heard_by_overlap(net: Matrices, kinds: dict[str, Tensor], s: dict) -> dict[str, float]:
    """Return the mean of S − I and of −We Wd between two units, by their kinds and by where the
    overlap of their columns of Wd lies between the bounds OVERLAPS."""
    lateral = lateral_matrix(net)
    overlap, off = net["Wd"].T @ net["Wd"], ~torch.eye(len(lateral), dtype=torch.bool)
    between = torch.bucketize(overlap, torch.tensor(OVERLAPS).to(overlap))
    figures = {}
    for to, by in product(("part", "categorical"), repeat=2):
        pairs = kinds[to][:, None] & kinds[by] & off
        for name, matrix in {"S": lateral, "own": nulls_of(net, s)["own"]}.items():
            for k in range(len(OVERLAPS) + 1):
                mean = matrix[pairs & (between == k)].mean().item()
                figures[f"heard_{name}_{to}_by_{by}_{k}"] = mean
    return figures


def heard_by_class(net: Matrices, kinds: dict[str, Tensor], s: dict) -> dict[str, float]:
    """Return, for S − I and its nulls, the correlation of what a categorical-unit hears from a unit
    of each kind with that unit's weight for the digit that the categorical-unit speaks for."""
    lateral, categorical = lateral_matrix(net), kinds["categorical"]
    spoken_for = net["Wc"][net["Wc"].argmax(0)]  # (m, m): of column k, for the digit of row i
    off = ~torch.eye(len(lateral), dtype=torch.bool)
    figures = {}
    for by in ("part", "categorical"):
        pairs = categorical[:, None] & kinds[by] & off
        for name, matrix in {"S": lateral, **nulls_of(net, s)}.items():
            figures[f"class_tie_{name}_{by}"] = _correlation(matrix[pairs], spoken_for[pairs])
    return figures


def blocks_of(net: Matrices, top: Tensor, s: dict) -> dict[str, float]:
    """Return, among the units top (k,), the mean of S − I and of its nulls between those whose
    largest weight in Wc is for the same digit (friends) and for others (rivals), and the share
    below 0."""
    lateral = lateral_matrix(net)
    digit = net["Wc"][:, top].argmax(0)
    same = digit[:, None] == digit
    pairs = {"rivals": ~same, "friends": same & ~torch.eye(len(top), dtype=torch.bool)}
    figures = {"pairs_of_friends": pairs["friends"].sum().item() / 2}
    for who, mask in pairs.items():
        for what, matrix in {"S": lateral, **nulls_of(net, s)}.items():
            entries = matrix[top][:, top][mask]
            figures[f"{who}_{what}"] = entries.mean().item()
            figures[f"{who}_{what}_negative_percent"] = 100 * (entries < 0).double().mean().item()
    return figures


def drawn_by(Wd: Tensor, groups: dict[str, Tensor], z: Tensor, x: Tensor) -> dict[str, float]:
    """Return what share of ‖x‖², in percent, each group of units alone leaves of x (B, n), whose
    codes are z (B, m), drawn by Wd (n, m) and by the best linear decoder of its own."""
    figures = {}
    for name, units in groups.items():
        drawn = z[:, units] @ Wd[:, units].T
        figures[f"rest_percent_{name}"] = 100 * share_left(drawn, x)
        figures[f"rest_best_decoder_percent_{name}"] = 100 * best_rest(z[:, units], x)
    return figures


def drawn_by_random(
    Wd: Tensor, order: Tensor, counts: dict[str, int], z: Tensor, x: Tensor
) -> dict[str, float]:
    """Return drawn_by, for Wd (n, m), z (B, m) and x (B, n), of so many units of order (k,) at
    random: the mean of DRAWS draws."""
    figures = {}
    for name, count in counts.items():
        drawn = drawn_by(Wd, dict(enumerate(_random_units(order, count))), z, x)
        for key in ("rest_percent", "rest_best_decoder_percent"):
            figures[f"{key}_{name}"] = np.mean([drawn[f"{key}_{k}"] for k in range(DRAWS)]).item()
    return figures


def _random_units(order: Tensor, count: int = TOP) -> list[Tensor]:
    """Return DRAWS draws of count units at random, of those in order (k,)."""
    draw = np.random.default_rng(0)
    return [order[torch.from_numpy(draw.permutation(len(order))[:count])] for _ in range(DRAWS)]


def best_rest(z: Tensor, x: Tensor) -> float:
    """Return the share of ‖x‖² of the second half of x (B, n) that the linear decoder of z (B, k)
    leaves which is best on the first half."""
    half, x = len(z) // 2, x.double()
    fit, held_out = z.double().split([half, len(z) - half])
    # RIDGE, since a unit that is hardly ever on in the first half would else run wild
    gram = fit.T @ fit + RIDGE * torch.eye(fit.shape[1], dtype=fit.dtype)
    return share_left(held_out @ torch.linalg.solve(gram, fit.T @ x[:half]), x[half:])


def share_left(drawn: Tensor, x: Tensor) -> float:
    """Return what share of ‖x‖², over all rows of x (B, n), the picture drawn (B, n) leaves."""
    return ((x - drawn).square().sum() / x.square().sum()).item()


def error_of(net: Matrices, part: Labelled, T: int) -> float:
    """Return the share of part, in percent, that net names wrongly after T iterations."""
    return misread(net["Wc"], last_codes(net, part.x, T), part.y)


def misread(Wc: Tensor, z: Tensor, y: Tensor) -> float:
    """Return the share of codes z (B, m), in percent, whose classes y (B,) Wc (c, m) does not
    name."""
    return 100 * ((normalize(z) @ Wc.T).argmax(1) != y).double().mean().item()


def without_units(net: Matrices, order: Tensor, part: Labelled, s: dict) -> dict[str, float]:
    """Return the error, in percent, of net without the TOP most turned units, without as many of
    the least turned, and without as many at random; order (k,) holds units by angle."""
    figures = {
        "error_without_most_turned": error_of(_silenced(net, order[-TOP:]), part, s["T"]),
        "error_without_least_turned": error_of(_silenced(net, order[:TOP]), part, s["T"]),
    }
    drawn = _random_units(order)
    errors = [error_of(_silenced(net, units), part, s["T"]) for units in drawn]
    return figures | {"error_without_random": float(np.mean(errors))}


def _silenced(net: Matrices, units: Tensor) -> Matrices:
    """Return a copy of net in which the given units are never on."""
    net = {name: matrix.clone() for name, matrix in net.items()}
    net["We"][units], net["S"][units], net["b"][units] = 0, 0, 1
    return net


def exchanged(net: Matrices, images: Labelled, part: Labelled, s: dict) -> dict[str, float]:
    """Return error, rest, and the error of a classifier fitted anew, in percent, when S gives way
    to I + each null, or all of the encoder to ISTA's, and nothing else learns; and the first two as
    learned."""
    others = {name: net | {"S": torch.eye(len(M)) + M} for name, M in nulls_of(net, s).items()}
    step = longest_step(net["Wd"], s["T"])
    price = s["weights"]["sparsity"] / s["weights"]["reconstruction"]
    others["whole_ista"] = net | ista_encoder(net["Wd"], step, step * price)
    figures = {}
    for name, other in {"learned": net, **others}.items():
        z = last_codes(other, part.x, s["T"])
        figures[f"error_with_{name}"] = misread(net["Wc"], z, part.y)
        figures[f"rest_percent_with_{name}"] = 100 * share_left(z @ net["Wd"].T, part.x)
        if name in others:  # read_anew has the other
            coded = Labelled(last_codes(other, images.x, s["T"]), images.y)
            figures[f"error_anew_with_{name}"] = error_anew(coded, Labelled(z, part.y))
    return figures


def read_anew(
    net: Matrices, kinds: dict[str, Tensor], images: Labelled, part: Labelled, s: dict
) -> dict[str, float]:
    """Return the error, in percent, of a classifier fitted anew to the codes of images after t
    iterations, beside that of Wc, on the second half of part; of one for each kind of units alone,
    in the last codes; and of one for the pixels."""
    half, figures = len(part.x) // 2, anew_by_iteration(net, images, part, s)
    for t in read_at(s):
        at_t = last_codes(net, part.x[half:], t)
        figures[f"error_of_Wc_at_{t}"] = misread(net["Wc"], at_t, part.y[half:])
    z, known = last_codes(net, part.x, s["T"]), last_codes(net, images.x, s["T"])
    for kind in ("part", "categorical"):
        few = (Labelled(each[:, kinds[kind]], y) for each, y in ((known, images.y), (z, part.y)))
        figures[f"error_anew_{kind}"] = error_anew(*few)
    return figures | {"error_anew_pixels": error_anew(images, part)}


def read_at(s: dict) -> list[int]:
    """Return those of the iterations READ_AT that a network of T iterations has."""
    return [t for t in READ_AT if t <= s["T"]]


def anew_by_iteration(net: Matrices, images: Labelled, part: Labelled, s: dict) -> dict[str, float]:
    """Return error_anew of the codes of images and part after t iterations."""
    figures = {}
    for t in read_at(s):
        coded = (Labelled(last_codes(net, each.x, t), each.y) for each in (images, part))
        figures[f"error_anew_at_{t}"] = error_anew(*coded)
    return figures


def error_anew(images: Labelled, part: Labelled) -> float:
    """Return the error, in percent, of a logistic regression fitted to the directions of the codes
    images.x (B, k), on the second half of part; the first half chooses its strength. nan without
    units."""
    if not images.x.shape[1]:
        return np.nan
    x, half = normalize(images.x).numpy(), len(part.x) // 2
    z, y = normalize(part.x).numpy(), part.y.numpy()
    fitted = LogisticRegression(
        max_iter=1000, warm_start=True
    )  # each strength goes on from the last
    scores = []
    for C in STRENGTHS:
        fitted.set_params(C=C).fit(x, images.y.numpy())
        right = fitted.predict(z) == y
        scores.append((right[:half].mean(), right[half:].mean()))
    return 100 * (1 - max(scores, key=lambda score: score[0])[1]).item()


def favourites(found: dict[str, Tensor], order: Tensor) -> dict[str, float]:
    """Return the favourite digit's share of a unit's mean code, in percent: the median of the TOP
    least turned units and of the TOP most turned; order (k,) holds units by angle."""
    share = found["means"].amax(1) / found["means"].sum(1)
    groups = {"least": order[:TOP], "most": order[-TOP:]}
    return {f"favourite_{name}": 100 * share[g].median().item() for name, g in groups.items()}


def kinds_by_iteration(
    net: Matrices, kinds: dict[str, Tensor], part: Labelled, s: dict
) -> dict[str, float]:
    """Return, after t iterations, in percent: what each kind of units alone leaves of ‖x‖² by Wd,
    and its share of the L1 of the codes; of part, for each t of READ_AT that T has."""
    figures = {}
    for t in read_at(s):
        z = last_codes(net, part.x, t)
        for kind in ("part", "categorical"):
            units = kinds[kind]
            drawn = z[:, units] @ net["Wd"][:, units].T
            figures[f"rest_percent_{kind}_at_{t}"] = 100 * share_left(drawn, part.x)
            figures[f"l1_percent_{kind}_at_{t}"] = 100 * (z[:, units].sum() / z.sum()).item()
    return figures


def inked(net: Matrices, kinds: dict[str, Tensor]) -> dict[str, float]:
    """Return for each kind the mean over units of a column's sum over the sum of its sizes: 1 if it
    only draws, 0 if it takes away as much as it draws."""
    ink = net["Wd"].sum(0) / net["Wd"].abs().sum(0).clamp(min=1e-12)
    return {f"inked_{kind}": ink[kinds[kind]].mean().item() for kind in ("part", "categorical")}


def by_iteration(net: Matrices, part: Labelled, most: int = 30) -> dict[str, Tensor]:
    """Return for t = 1 … most, each (most,): error in percent, the share of ‖x‖² that Wd z leaves
    as it is and at the best scale for each image, ‖z‖₁, units on in percent, and the share that the
    best linear decoder leaves of the second half of part, when it is fitted to the first."""
    names = ("error_at", "rest_at", "rest_best_scale_at", "l1_at", "on_at", "rest_best_decoder_at")
    rows = []
    for t in range(1, most + 1):
        z = last_codes(net, part.x, t)
        drawn = z @ net["Wd"].T
        cosine = (normalize(drawn) * normalize(part.x)).sum(1)
        rest = [share_left(drawn, part.x), (1 - cosine.square()).mean().item()]
        on = 100 * (z > 0).float().mean().item()
        found = [*rest, z.sum(1).mean().item(), on, best_rest(z, part.x)]
        rows.append([misread(net["Wc"], z, part.y), *found])
    return dict(zip(names, torch.tensor(rows).T, strict=True))


def fading(net: Matrices, part: Labelled, s: dict) -> Tensor:
    """Return the norm of the slope of the criteria, at each iteration: (T,). It is that of what
    each unit adds up, so that units at rest, through which nothing flows, do not count."""
    codes = codes_of(net, part.x, s["T"])
    return going_back(net, codes, part.x, part.y, s["weights"])[0].flatten(1).norm(dim=1)
