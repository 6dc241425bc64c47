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
from course_utils.tools.files import replacing
from course_utils.tools.mnist import mnist
from course_utils.training import minibatches

RECIPE = {
    "split": [50_000, 10_000],
    "weights": {"reconstruction": 5.0, "sparsity": 0.09, "classification": 1.0},
    "bounds": drsae.BOUNDS,
    "b": 1e-5,  # of each unit, at first
    "batch": 20,
    "held": 2,  # after so many steps, what is too long is shortened
    "rate": 5e-3,  # on slopes summed over the minibatch
    "fall": 5e-7,  # after k images the rate is divided by 1 + fall k
    "passes_without_labels": 100,
    "passes": 1100,
    "patience": 100,  # passes with labels that bring nothing before training ends
    "nets": {  # units and iterations
        "200x2": {"m": 200, "T": 2},
        "200x11": {"m": 200, "T": 11},
        "400x11": {"m": 400, "T": 11},
    },
}
Matrices = dict[str, Tensor]


def recipe_seed(name: str, s: dict, seed: int) -> Outcome:
    """Train one of the nets as the paper did, as long as it did; return its figures and weights.

    Rolfe & LeCun 2013, table 1; what the paper leaves open is as in its authors' code: 100 passes
    without labels, then with, by plain gradient descent. The validation error of the weights
    themselves chooses the pass (a draw goes to the lower logistic loss); only then is the test set
    read, once. Minibatches hold 20 images, not 10, whose slopes are summed. After each pass all
    that is needed to go on is kept in the cache.
    """
    s = s | s["nets"][name]
    images, choose_on, test_on = recipe_parts(seed, s)
    first = first_matrices(images.x, s, seed)
    state = {"net": first, "history": [], "best": [np.inf, np.inf], "chosen": first, "at": 0}
    kept = kept_at(s, seed, record.code_of(recipe_seed))
    if kept.is_file():
        state = torch.load(kept)
    while not finished(state, s):
        state = after_one_more_pass(state, images, choose_on, s, seed)
        with replacing(kept) as file:
            torch.save(state, file)
    net, passed = state["chosen"], len(state["history"])
    figures = {"validation_error_percent": state["best"][0], "passes": state["at"]}
    figures |= {"passes_run": passed, "test_error_percent": watched(net, test_on, s)["error"]}
    found = statistics_of(net, choose_on, s)
    figures |= kinds_of(net, choose_on, found, s)
    found |= {"history": torch.tensor(state["history"]), "angle": angles_of(net)}
    if name != "200x2":
        few = few_of(images)
        found |= net | by_iteration(net, choose_on) | {"slopes_untrained": fading(first, few, s)}
        found["slopes_trained"] = fading(net, few, s)
    kept.unlink()
    return (
        {f"{key}.{name}": value for key, value in figures.items()},
        {f"{key}.{name}": value for key, value in found.items()},
    )


def recipe_parts(seed: int, s: dict) -> tuple[Labelled, Labelled, Labelled]:
    """Return images of norm 1 to train on, to choose with, to test on, with their digits."""
    train, test = (Labelled(normalize(x), y) for x, y in mnist())
    images, choose_on = split(train, s["split"], np.random.default_rng([seed, 10**6]))
    return images, choose_on, test


def first_matrices(x: Tensor, s: dict, seed: int) -> Matrices:
    """Return the network before training on images x (N, n): ISTA's matrices, and Wc zero."""
    Wd = drsae.noisy_images(x, s["m"], np.random.default_rng([seed, 10**6 + 1]))
    step = drsae.longest_step(Wd, s["T"])
    return {
        "We": step * Wd.T,
        "S": torch.eye(s["m"]) - step * Wd.T @ Wd,
        "b": torch.full((s["m"],), s["b"]),
        "Wd": Wd,
        "Wc": torch.zeros(10, s["m"]),
    }


def finished(state: dict, s: dict) -> bool:
    """Return whether all passes are done, or patience is at its end."""
    passed = len(state["history"])
    waited = passed - max(state["at"], s["passes_without_labels"])
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
    state = state | {"net": net, "history": [*state["history"], list(seen.values())]}
    if labels and [seen["error"], seen["logistic"]] < state["best"]:
        state |= {"best": [seen["error"], seen["logistic"]], "chosen": net, "at": passed + 1}
    return state


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


def codes_of(net: Matrices, x: Tensor, T: int) -> Tensor:
    """Return the code after each iteration, (T, B, m), for x (B, n)."""
    u = torch.addmm(-net["b"], x, net["We"].T)
    codes = u.new_empty(T, *u.shape)
    torch.clamp(u, min=0, out=codes[0])
    for t in range(1, T):
        torch.addmm(u, codes[t - 1], net["S"].T, out=codes[t]).relu_()
    return codes


def factors(
    net: Matrices, x: Tensor, y: Tensor, weights: dict[str, float], T: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return for each matrix two factors (k, rows) and (k, columns): the slope of the weighted
    criteria, summed over the minibatch x (B, n), y (B,), is left.T @ right.

    By hand: each slope is a product of what comes back from above and what was sent up.
    """
    codes = codes_of(net, x, T)
    back, rest, surplus = going_back(net, codes, x, y, weights)
    direction = normalize(codes[-1])
    total = back.sum(0)
    return {
        "We": (total, x),
        "b": (total, -x.new_ones(len(x), 1)),
        "S": (back[1:].flatten(0, 1), codes[:-1].flatten(0, 1)),
        "Wd": (weights["reconstruction"] * rest, codes[-1]),
        "Wc": (weights["classification"] * surplus, direction),
    }


def going_back(
    net: Matrices, codes: Tensor, x: Tensor, y: Tensor, weights: dict[str, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the slope of the summed criteria with respect to what each unit adds up at each
    iteration, (T, B, m); Wd z − x; and by how much the softmax exceeds the truth, (B, c).

    codes (T, B, m) of x (B, n), whose classes are y (B,). Nothing goes back through a unit that
    rests: its slope is zero there.
    """
    z = codes[-1]
    rest = z @ net["Wd"].T - x
    arrives = weights["reconstruction"] * rest @ net["Wd"] + weights["sparsity"]
    length = z.norm(dim=1, keepdim=True).clamp(min=1e-12)
    direction = z / length
    surplus = (direction @ net["Wc"].T).softmax(1)
    surplus[torch.arange(len(y)), y] -= 1
    along = weights["classification"] * surplus @ net["Wc"]
    arrives += (along - direction * (direction * along).sum(1, keepdim=True)) / length
    back = torch.empty_like(codes)
    back[-1] = arrives * (z > 0)
    for t in range(len(codes) - 2, -1, -1):
        torch.mm(back[t + 1], net["S"], out=back[t]).mul_(codes[t] > 0)
    return back, rest, surplus


def last_codes(net: Matrices, x: Tensor, T: int) -> Tensor:
    """Return the code (B, m) after T iterations, for x (B, n), a block of rows at a time."""
    return torch.cat([codes_of(net, rows, T)[-1] for rows in x.split(1000)])


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


def angles_of(net: Matrices) -> Tensor:
    """Return the angle, in radians, between row of We and column of Wd, for each unit: (m,)."""
    cosine = (normalize(net["We"], dim=1) * normalize(net["Wd"], dim=0).T).sum(1)
    return cosine.clamp(-1, 1).acos()


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


def kinds_of(net: Matrices, part: Labelled, found: dict[str, Tensor], s: dict) -> dict[str, float]:
    """Return what tells part-units (angle < 0.5) from categorical-units (> 0.7), and what S says
    beside ISTA's −(1.25 / T) Wdᵀ Wd; nan where a kind has no unit.

    Units that are never on for the images of part are left out.
    """
    angle, alive = angles_of(net), found["on"] > 0
    lateral = net["S"] - torch.eye(len(angle))
    null = -s["bounds"]["We"] / s["T"] * net["Wd"].T @ net["Wd"]
    z = last_codes(net, part.x, s["T"])
    figures = {"never_on_percent": 100 * (~alive).double().mean().item()}
    figures["largest_row_of_S"] = net["S"].norm(dim=1).max().item()
    for kind, units in {
        "part": alive & (angle < 0.5),
        "categorical": alive & (angle > 0.7),
    }.items():
        figures[f"{kind}_units_percent"] = 100 * (units.sum() / alive.sum()).item()
        figures[f"diagonal_{kind}"] = lateral.diagonal()[units].mean().item()
        figures[f"diagonal_null_{kind}"] = null.diagonal()[units].mean().item()
        figures[f"row_{kind}"] = lateral[units].norm(dim=1).mean().item()
        figures[f"row_null_{kind}"] = null[units].norm(dim=1).mean().item()
        waking = (found["on_at_2_first"] / found["on"])[units]
        figures[f"waking_{kind}"] = waking.mean().item()
        rest = part.x - (z * units) @ net["Wd"].T
        figures[f"rest_percent_{kind}"] = 100 * (rest.square().sum() / part.x.square().sum()).item()
    rest = part.x - z @ net["Wd"].T
    figures["rest_percent"] = 100 * (rest.square().sum() / part.x.square().sum()).item()
    return figures | blocks_of(net, lateral, null, angle.masked_fill(~alive, 0).argsort()[-20:])


def blocks_of(net: Matrices, lateral: Tensor, null: Tensor, top: Tensor) -> dict[str, float]:
    """Return, among the units top, the mean of S − I and of its null between those whose largest
    weight in Wc is for the same digit (friends) and for others (rivals), and the share below 0.

    lateral and null (m, m), top (k,).
    """
    digit = net["Wc"][:, top].argmax(0)
    same = digit[:, None] == digit
    pairs = {"rivals": ~same, "friends": same & ~torch.eye(len(top), dtype=torch.bool)}
    figures = {}
    for who, mask in pairs.items():
        for what, matrix in {"S": lateral, "null": null}.items():
            entries = matrix[top][:, top][mask]
            figures[f"{who}_{what}"] = entries.mean().item()
            figures[f"{who}_{what}_negative_percent"] = 100 * (entries < 0).double().mean().item()
    return figures


def by_iteration(net: Matrices, part: Labelled, most: int = 30) -> dict[str, Tensor]:
    """Return for t = 1 … most, each (most,): error in percent, the share of ‖x‖² that Wd z leaves
    at the best scale for each image, ‖z‖₁, units on in percent, and the share that the best linear
    decoder leaves of the second half of part, when it is fitted to the first."""
    names = ("error_at", "rest_at", "l1_at", "on_at", "rest_best_decoder_at")
    rows = []
    for t in range(1, most + 1):
        z = last_codes(net, part.x, t)
        wrong = (normalize(z) @ net["Wc"].T).argmax(1) != part.y
        cosine = (normalize(z @ net["Wd"].T) * normalize(part.x)).sum(1)
        half = len(z) // 2
        best = torch.linalg.lstsq(z[:half].double(), part.x[:half].double(), driver="gelsd")
        rest = part.x[half:] - z[half:].double() @ best.solution
        left = rest.square().sum() / part.x[half:].square().sum()
        shares = (wrong.double().mean(), (1 - cosine.square()).mean())
        rows.append(
            [100 * shares[0], shares[1], z.sum(1).mean(), 100 * (z > 0).float().mean(), left]
        )
    return dict(zip(names, torch.tensor(rows).T, strict=True))


def fading(net: Matrices, part: Labelled, s: dict) -> Tensor:
    """Return the norm of the slope of the criteria, at each iteration: (T,). It is that of what
    each unit adds up, so that units at rest, through which nothing flows, do not count."""
    codes = codes_of(net, part.x, s["T"])
    return going_back(net, codes, part.x, part.y, s["weights"])[0].flatten(1).norm(dim=1)
