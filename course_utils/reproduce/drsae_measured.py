"""What is measured of chapter 3's networks at full size, on images that did not train them.

Apart from their training, so that one more measure does not cost its hours again.
"""

import math
from itertools import islice, product

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

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
from course_utils.training import minibatches

TOP = 20  # so many of the most turned units are looked at together
OVERLAPS = (-0.3, -0.1, -0.03, 0.03, 0.1, 0.3)  # of two columns of Wd: bounds between bins
RIDGE = 1e-3  # of the best decoder: next to nothing beside thousands of codes
READ_AT = (1, 2, 3, 5, 11)  # iterations at which a code is measured
LONGER = 100  # iterations after which ISTA is nearly at its end
LINES_AT = {"": READ_AT, "untrained_": (1, 11), "ista_": (1, 11, LONGER)}  # for which codes, when
HIDDEN_AT = {"": (1, 11), "untrained_": (11,), "ista_": (11,)}
STRENGTHS = (10.0, 100.0, 1000.0)  # C of its logistic regression
# a reader that is not linear; its inputs have norm 1, and many entries
HIDDEN = {"units": 400, "epochs": 15, "batch": 100, "scale": 20.0}


def measures(net: Matrices, found: dict[str, Tensor], part: Labelled, s: dict) -> dict[str, float]:
    """Return single figures of net on part; what they are, each function below says.

    found: statistics_of net on part.
    """
    kinds = kinds_of(net, found["on"])
    order = angles_of(net).masked_fill(found["on"] == 0, -1).argsort()
    order = order[(found["on"] == 0).sum() :]  # from least to most turned, of units that are on
    figures = shares_of(kinds, found) | ties_of(net, found, kinds) | inked(net, kinds)
    figures |= favourites(found, order) | lateral_of(net, kinds, s)
    figures |= heard_by_overlap(net, kinds, s) | heard_by_class(net, kinds, s)
    figures |= rivals_exchanged(net, order[-TOP:], part, s) | exchanged(net, kinds, part, s)
    by_ista = kinds_by_iteration(with_ista(net, s), kinds, part, s)
    figures |= {f"ista_{key}": value for key, value in by_ista.items()}
    return figures | kinds_by_iteration(net, kinds, part, s) | moved(net, kinds, part, s)


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
    as means over each kind; the slope of S − I on each null; and their correlation in what each
    kind hears from each, without itself."""
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
            for by in ("part", "categorical"):
                pairs = kinds[kind][:, None] & kinds[by] & off
                figures[f"alike_{name}_{kind}_by_{by}"] = _correlation(lateral[pairs], null[pairs])
    for name, null in nulls.items():
        figures[f"slope_on_{name}"] = ((lateral * null).sum() / null.square().sum()).item()
    return figures


def heard_by_overlap(net: Matrices, kinds: dict[str, Tensor], s: dict) -> dict[str, float]:
    """Return the mean of S − I and of its nulls between two units, by their kinds and by where the
    overlap of their columns of Wd lies between the bounds OVERLAPS; among categorical-units also
    for those of other digits and those of the same, by their largest weights in Wc. And, for
    these, how many pairs there are."""
    lateral, digit = lateral_matrix(net), net["Wc"].argmax(0)
    overlap, off = net["Wd"].T @ net["Wd"], ~torch.eye(len(lateral), dtype=torch.bool)
    between = torch.bucketize(overlap, torch.tensor(OVERLAPS).to(overlap))
    pairs = {
        f"{to}_by_{by}": kinds[to][:, None] & kinds[by] & off
        for to, by in product(("part", "categorical"), repeat=2)
    }
    same = digit[:, None] == digit
    pairs["same"] = pairs["categorical_by_categorical"] & same
    pairs["other"] = pairs["categorical_by_categorical"] & ~same
    figures, matrices = {}, {"S": lateral, **nulls_of(net, s)}
    for (which, of), k in product(pairs.items(), range(len(OVERLAPS) + 1)):
        here = of & (between == k)
        if which in ("same", "other"):
            figures[f"pairs_{which}_{k}"] = here.sum().item()
        for name, matrix in matrices.items():
            figures[f"heard_{name}_{which}_{k}"] = matrix[here].mean().item()
    return figures


def heard_by_class(net: Matrices, kinds: dict[str, Tensor], s: dict) -> dict[str, float]:
    """Return, for S − I and its nulls, the correlation of what a categorical-unit hears from a unit
    of each kind with that unit's weight for the digit that the categorical-unit speaks for."""
    lateral, categorical = lateral_matrix(net), kinds["categorical"]
    spoken_for = net["Wc"][net["Wc"].argmax(0)]  # (m, m): of column k, for the digit of row i
    off = ~torch.eye(len(lateral), dtype=torch.bool)
    figures, matrices = {}, {"S": lateral, **nulls_of(net, s)}
    for by in ("part", "categorical"):
        pairs = categorical[:, None] & kinds[by] & off
        for name, matrix in matrices.items():
            figures[f"class_tie_{name}_{by}"] = _correlation(matrix[pairs], spoken_for[pairs])
    return figures


def rivals_exchanged(net: Matrices, top: Tensor, part: Labelled, s: dict) -> dict[str, float]:
    """Return the share of entries below 0, in percent, of S − I and its nulls, between those of the
    units top (k,) that speak for different digits; and the error of net, in percent, when those
    entries of S − I give way to those of each null, or to zero."""
    digit = net["Wc"][:, top].argmax(0)
    rivals = torch.zeros_like(net["S"], dtype=torch.bool)
    rivals[top[:, None], top] = digit[:, None] != digit
    nulls = nulls_of(net, s) | {"zero": torch.zeros_like(net["S"])}
    figures = {}
    for name, matrix in {"S": lateral_matrix(net), **nulls}.items():
        figures[f"rivals_{name}_negative_percent"] = (
            100 * (matrix[rivals] < 0).double().mean().item()
        )
    for name, null in nulls.items():
        other = net | {"S": torch.where(rivals, null, net["S"])}
        figures[f"error_with_rivals_of_{name}"] = error_of(other, part, s["T"])
    return figures


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


def exchanged(net: Matrices, kinds: dict[str, Tensor], part: Labelled, s: dict) -> dict[str, float]:
    """Return error, rest and units on, in percent, and the L1, as learned, and when S gives way to
    I + each null, or all of the encoder to ISTA's: as many iterations, or LONGER of them. Nothing
    else learns. And the error when only what one kind of units hears gives way, to −We Wd."""
    others = {name: net | {"S": torch.eye(len(M)) + M} for name, M in nulls_of(net, s).items()}
    others |= {f"{name}_ista": with_ista(net, s) for name in ("whole", "longer")}
    figures = {}
    for name, other in ({"learned": net} | others).items():
        z = last_codes(other, part.x, LONGER if name == "longer_ista" else s["T"])
        figures[f"error_with_{name}"] = misread(net["Wc"], z, part.y)
        figures[f"rest_percent_with_{name}"] = 100 * share_left(z @ net["Wd"].T, part.x)
        figures[f"l1_with_{name}"] = z.sum(1).mean().item()
        figures[f"on_percent_with_{name}"] = 100 * (z > 0).double().mean().item()
    for kind in ("part", "categorical"):
        S = torch.where(kinds[kind][:, None], others["own"]["S"], net["S"])
        figures[f"error_with_own_to_{kind}"] = error_of(net | {"S": S}, part, s["T"])
    return figures


def with_ista(net: Matrices, s: dict) -> Matrices:
    """Return net with ISTA's encoder for its Wd, with the longest step that this Wd bears, at the
    price λ of its training."""
    step = longest_step(net["Wd"], s["T"])
    price = s["weights"]["sparsity"] / s["weights"]["reconstruction"]
    return net | ista_encoder(net["Wd"], step, step * price)


def readers(
    net: Matrices,
    first: Matrices,
    kinds: dict[str, Tensor],
    images: Labelled,
    part: Labelled,
    s: dict,
) -> dict[str, float]:
    """Return errors on part, in percent, of readers that are fitted anew to codes of images: linear
    ones for net after t iterations, for first, which is net before training, for ISTA's encoder
    with the columns of net; for groups of units alone; and ones with a hidden layer, for some of
    these codes and for the pixels."""
    encoders = {"": net, "untrained_": first, "ista_": with_ista(net, s)}
    figures = {"error_hidden_pixels": error_of_hidden(images, part)}
    for kind, fitted, read_at in (
        ("anew", error_anew, LINES_AT),
        ("hidden", error_of_hidden, HIDDEN_AT),
    ):
        for name, at in read_at.items():
            for t in at:
                coded = codes_to_read(encoders[name], images, part, t)
                figures[f"{name}error_{kind}_at_{t}"] = fitted(*coded)
    known, read = codes_to_read(net, images, part, s["T"])
    for name, units in groups_to_read(kinds, read.x).items():
        few = (Labelled(each.x[:, units], each.y) for each in (known, read))
        figures[f"error_anew_{name}"] = error_anew(*few)
    return figures


def groups_to_read(kinds: dict[str, Tensor], z: Tensor) -> dict[str, Tensor]:
    """Return part-units, categorical-units, all others; and as many as are categorical, at random
    and with the largest means of their codes z (B, m)."""
    alive = kinds["alive"].nonzero().flatten()
    count = int(kinds["categorical"].sum())
    return {
        "part": kinds["part"],
        "categorical": kinds["categorical"],
        "not_categorical": kinds["alive"] & ~kinds["categorical"],
        "as_many_at_random": alive[np.random.default_rng(0).permutation(len(alive))[:count]],
        "as_many_loudest": z.mean(0).argsort(descending=True)[:count],
    }


def codes_to_read(
    net: Matrices, images: Labelled, part: Labelled, t: int
) -> tuple[Labelled, Labelled]:
    """Return the directions of the codes of images and of part after t iterations of net, with
    their classes."""
    known, read = (Labelled(normalize(last_codes(net, one.x, t)), one.y) for one in (images, part))
    return known, read


def error_anew(known: Labelled, read: Labelled) -> float:
    """Return the error, in percent, of a logistic regression fitted to known.x (B, k), on read: its
    strength is chosen on one half of read, which the other half is read with. nan without units."""
    if not known.x.shape[1]:
        return np.nan
    right, (x, z) = [], (one.x.numpy() for one in (known, read))
    # each strength goes on from the last; at the library's own tolerance it would stop there
    fitted = LogisticRegression(max_iter=3000, tol=1e-5, warm_start=True)
    for C in STRENGTHS:
        hits = fitted.set_params(C=C).fit(x, known.y.numpy()).predict(z) == read.y.numpy()
        right.append([half.mean() for half in np.array_split(hits, 2)])
    halves = np.array(right)  # a row for each strength
    chosen = halves.argmax(0)[::-1]
    return 100 * (1 - halves[chosen, [0, 1]].mean()).item()


def error_of_hidden(known: Labelled, read: Labelled) -> float:
    """Return the error on read, in percent, of a network with one hidden layer, half of it dropped
    at each step, that Adam trains on known.x (B, k) for HIDDEN["epochs"] passes."""
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(0)
        layers = nn.LazyLinear(HIDDEN["units"]), nn.ReLU(), nn.Dropout(), nn.LazyLinear(10)
        net = nn.Sequential(*layers)
        steps = HIDDEN["epochs"] * len(known.x) // HIDDEN["batch"]
        rows = minibatches(len(known.x), HIDDEN["batch"], np.random.default_rng(0))
        net(known.x[:1])
        optimizer = Adam(net.parameters())
        scheduler = CosineAnnealingLR(optimizer, steps)
        for i in islice(rows, steps):
            optimizer.zero_grad()
            cross_entropy(net(known.x[i] * HIDDEN["scale"]), known.y[i]).backward()
            optimizer.step()
            scheduler.step()
    guessed = net.eval().requires_grad_(False)(read.x * HIDDEN["scale"]).argmax(1)
    return 100 * (guessed != read.y).double().mean().item()


def favourites(found: dict[str, Tensor], order: Tensor) -> dict[str, float]:
    """Return the favourite digit's share of a unit's mean code, in percent: the median of the TOP
    least turned units and of the TOP most turned; order (k,) holds units by angle."""
    share = found["means"].amax(1) / found["means"].sum(1)
    groups = {"least": order[:TOP], "most": order[-TOP:]}
    return {f"favourite_{name}": 100 * share[g].median().item() for name, g in groups.items()}


def kinds_by_iteration(
    net: Matrices, kinds: dict[str, Tensor], part: Labelled, s: dict
) -> dict[str, float]:
    """Return, after t iterations, for each t of READ_AT that T has, in percent: the error of net;
    what each kind of units alone leaves of ‖x‖² by Wd, and its share of the L1 of the codes. And
    how often a unit is on at t = 1, of the images for which it is on at the end."""
    figures, last = {}, last_codes(net, part.x, s["T"]) > 0
    for t in (t for t in READ_AT if t <= s["T"]):
        z = last_codes(net, part.x, t)
        figures[f"error_of_Wc_at_{t}"] = misread(net["Wc"], z, part.y)
        for kind in ("part", "categorical"):
            units = kinds[kind]
            drawn = z[:, units] @ net["Wd"][:, units].T
            figures[f"rest_percent_{kind}_at_{t}"] = 100 * share_left(drawn, part.x)
            figures[f"l1_percent_{kind}_at_{t}"] = 100 * (z[:, units].sum() / z.sum()).item()
            if t == 1:
                both = (last & (z > 0))[:, units].sum() / last[:, units].sum()
                figures[f"on_at_once_percent_{kind}"] = 100 * both.item()
    return figures


def moved(net: Matrices, kinds: dict[str, Tensor], part: Labelled, s: dict) -> dict[str, float]:
    """Return by how much the code of each kind changes, ‖Δz‖ over ‖z‖ in percent, median, when the
    images of part are moved; for net and for ISTA's encoder. And the errors of net on the moved.

    Rolfe & LeCun 2013 read part-units as tangents of a surface of images of one class, and
    categorical-units as points on it; this test of it is ours.
    """
    figures, moves, y = {}, moves_of(part), part.y.repeat(4)
    for name, encoder in (("", net), ("ista_", with_ista(net, s))):
        z = last_codes(encoder, part.x, s["T"]).repeat(4, 1)
        for which, images in moves.items():
            after = last_codes(encoder, images, s["T"])
            rightly = (normalize(after) @ net["Wc"].T).argmax(1) == y
            for kind in ("part", "categorical"):
                change = (after - z)[:, kinds[kind]].norm(dim=1)
                share = 100 * change / z[:, kinds[kind]].norm(dim=1).clamp(min=1e-9)
                key = f"moved_percent_{kind}_by_{which}"
                figures[f"{name}{key}"] = share.median().item()
                if encoder is net:
                    figures[f"{key}_read_rightly"] = share[rightly].median().item()
            if encoder is net:
                figures[f"error_by_{which}"] = 100 * (~rightly).double().mean().item()
    return figures


def moves_of(part: Labelled) -> dict[str, Tensor]:
    """Return the images of part, (4 B, n) each, shifted by a pixel in four directions; and moved as
    far towards another image of their class, towards one of another class, and at random. The norm
    of all is that of part."""
    side = math.isqrt(part.x.shape[1])
    pictures = part.x.view(-1, side, side)
    shifted = torch.cat([pictures.roll(by, way) for way in (1, 2) for by in (-1, 1)]).flatten(1)
    by_class, (partner, rival) = part.y.argsort(stable=True), torch.empty(2, len(part.y)).long()
    rival[by_class] = by_class.roll(len(by_class) // 2)  # far from it in the order of classes
    partner[by_class] = by_class.roll(1)  # its neighbour in this order
    draw = torch.randn(part.x.shape, generator=torch.Generator().manual_seed(0)).to(part.x)
    ways = {"same": part.x[partner] - part.x, "mixing": part.x[rival] - part.x, "noise": draw}
    x = part.x.repeat(4, 1)
    far, long = ((x - one).norm(dim=1, keepdim=True) for one in (shifted, 0))
    moved_by = {
        which: long * normalize(x + far * normalize(way).repeat(4, 1))
        for which, way in ways.items()
    }
    return {"shift": shifted} | moved_by


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
