"""Chapter 6 at full size: noise or sparsity with few labels; bits against distortion."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import normalize
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from course_utils.built import drsae, vae
from course_utils.built.ista import learn_dictionary, sparse_codes
from course_utils.data import Labelled, digits, patches, split, whitened_images
from course_utils.reproduce import Outcome
from course_utils.reproduce.drsae import mnist_parts, rates
from course_utils.training import fit

NOISE = {
    "split": [50_000, 10_000],
    "hidden": 200,  # first layer of the encoder; units of DrSAE
    "m": 200,  # outputs of the encoder: 200 units, or means and variances of 100
    "T": 5,
    "batch": 100,
    "steps": {"10": 1500, "100": 1500, "1000": 1500, "all": 4000},
    "rate": 1e-3,
    "seed_of_choice": 100,
}
LABELS = tuple(NOISE["steps"])  # of each digit

# For each model six settings: (rate, weight decay) of the classifier; of the others (weight of what
# limits the code, γ). γ, the weight of classification, is meant for images of norm 1; the limit for
# images as `scaled` hands them out: at norm 1 the λ of "sparse" would be λ/√n, the β of "vae" β/n.
# Validation chooses: with all labels among the six; with few among the first four, on images with
# labels only, and the first two again, on all images.
CHOICES = {
    "classifier": [[1e-3, 0.0], [1e-3, 0.1], [1e-3, 1.0], [3e-3, 0.1], [3e-4, 0.0], [3e-3, 1.0]],
    "autoencoder": [[0.0, 1.0], [0.0, 0.3], [0.0, 3.0], [0.0, 10.0], [0.0, 0.1], [0.0, 0.03]],
    "sparse": [[0.14, 1.0], [0.5, 1.0], [0.5, 3.0], [0.14, 0.3], [1.0, 1.0], [0.14, 0.1]],
    "vae": [[1.0, 1.0], [1.0, 10.0], [3.0, 3.0], [0.3, 1.0], [8.0, 1.0], [1.0, 0.1]],
    "drsae": [[0.02, 0.1], [0.02, 0.3], [0.01, 0.3], [0.02, 1.0], [0.03, 0.3], [0.01, 0.1]],
}
# Which of them validation chose, for each number of labels, in `noise_choice` (one run each).
CHOSEN = {
    "classifier": {"10": 5, "100": 5, "1000": 1, "all": 3},
    "autoencoder": {"10": 3, "100": 2, "1000": 0, "all": 2},
    "sparse": {"10": 0, "100": 0, "1000": 0, "all": 1},
    "vae": {"10": 0, "100": 1, "1000": 3, "all": 1},
    "drsae": {"10": 0, "100": 0, "1000": 5, "all": 1},
}
RUNS = [(model, labels) for labels in LABELS for model in CHOICES]


def choices(s: dict, model: str, labels: str) -> list[dict]:
    """Return the six settings from which validation chooses, for a model and labels of a digit."""
    names = ("rate", "decay") if model == "classifier" else ("limit", "gamma")
    six = [dict(zip(names, pair, strict=True)) | {"all": False} for pair in s["choices"][model]]
    if model == "classifier" or labels == "all":
        return six
    return six[:4] + [setting | {"all": True} for setting in six[:2]]


def scaled(model: str, part: Labelled) -> Labelled:
    """Return images of norm 1 as the model takes them: DrSAE as they are, the others with norm √n,
    a mean square of 1 for each pixel, which suits networks that start as theirs do."""
    return part if model == "drsae" else Labelled(part.x * part.x.shape[1] ** 0.5, part.y)


def first_net(
    s: dict, model: str, x: torch.Tensor, setting: dict, generator: np.random.Generator
) -> torch.nn.Module:
    """Return a model before training on images x (N, n)."""
    n, hidden, m = x.shape[1], s["hidden"], s["m"]
    if model == "drsae":
        Wd = drsae.noisy_images(x.cpu(), hidden, generator)
        step = drsae.longest_step(Wd, s["T"])
        return drsae.DrSAE(Wd, setting["limit"], s["T"], classes=10, step=step).to(x.device)
    kind, units = {"sparse": (vae.SparseAutoEncoder, m), "vae": (vae.Vae, m // 2)}.get(
        model, (vae.AutoEncoder, m)
    )
    encoder = vae.network(n, hidden, m, generator)
    net = kind(encoder, vae.network(units, hidden, n, generator), units, classes=10)
    net.hold()
    return net.to(x.device)


CRITERIA = {  # and the name of what limits the code
    "classifier": (vae.plain_criteria, None),
    "autoencoder": (vae.plain_criteria, None),
    "sparse": (vae.sparse_criteria, "sparsity"),
    "vae": (vae.vae_criteria, "rate"),
}


def train(
    s: dict, model: str, labels: str, setting: dict, seed: int
) -> tuple[torch.nn.Module, list]:
    """Train a model with one setting; return it, and the validation and the test set."""
    few = None if labels == "all" else int(labels)
    parts = {"split": s["split"], "labels_per_class": few, "unlabelled_too": setting["all"]}
    images, labelled, choose_on, test_on = map(partial(scaled, model), mnist_parts(seed, parts))
    if not setting["all"]:
        images = labelled
    net = first_net(s, model, images.x, setting, np.random.default_rng([seed, 1]))
    units = net.Wc.shape[1]
    generator = np.random.default_rng([seed, 2])
    batches = vae.batches(images, labelled, s["batch"], units, generator)
    steps = s["steps"][labels]
    if model == "drsae":
        _train_drsae(net, batches, steps, setting, rates(s["T"]))
        return net, [choose_on, test_on]
    criteria, limit = CRITERIA[model]
    weights = {"classification": 1.0}
    if model != "classifier":
        # images are √n times as long here, so their squared errors weigh n times as much
        weights = {"reconstruction": 1.0, "classification": setting["gamma"] * images.x.shape[1]}
    if limit:
        weights[limit] = setting["limit"]
    rate, decay = setting.get("rate", s["rate"]), setting.get("decay", 0.0)
    vae.learn(net, criteria, batches, steps, weights, rate, decay)
    return net, [choose_on, test_on]


def _train_drsae(net: drsae.DrSAE, batches, steps: int, setting: dict, of: dict) -> None:
    """Train DrSAE as chapter 3 does at full size: each matrix with its own rate."""
    optimizer = Adam([{"params": [W], "lr": of[name]} for name, W in net.named_parameters()])
    weights = {"reconstruction": 1.0, "sparsity": setting["limit"]}
    weights["classification"] = setting["gamma"]
    schedule = CosineAnnealingLR(optimizer, steps)
    step = drsae.learning_step(optimizer, schedule, weights, drsae.BOUNDS)
    fit(step, net, ((batch.x, batch.y) for batch in batches), steps)


def choice_seed(model: str, labels: str, s: dict, _seed: int) -> Outcome:
    """Return the validation error of each of the six settings of a model of chapter 6."""
    figures = {}
    for number, setting in enumerate(choices(s, model, labels)):
        net, (choose_on, _) = train(s, model, labels, setting, s["seed_of_choice"])
        name = f"validation_error_percent.{model}.{labels}.{number}"
        figures[name] = drsae.error_percent(net, *choose_on)
    return figures, {}


def label_seed(model: str, labels: str, s: dict, seed: int) -> Outcome:
    """Train a model with the setting that validation chose; return its errors. Chapter 6, few
    labels."""
    setting = choices(s, model, labels)[s["chosen"][model][labels]]
    return _errors(s, model, model, labels, setting, seed)


def rectified_seed(labels: str, s: dict, seed: int) -> Outcome:
    """Train the sparse auto-encoder of chapter 6 as label_seed does, but at the price 0; return its
    errors.

    What is left of it: a rectified code, columns of the decoder that are held, and the weight of
    classification that was chosen with the price.
    """
    setting = choices(s, "sparse", labels)[s["chosen"]["sparse"][labels]] | {"limit": 0.0}
    return _errors(s, "rectified", "sparse", labels, setting, seed)


def _errors(s: dict, name: str, model: str, labels: str, setting: dict, seed: int) -> Outcome:
    """Train a model with one setting; return its errors under a name."""
    net, (choose_on, test_on) = train(s, model, labels, setting, seed)
    return {
        f"validation_error_percent.{name}.{labels}": drsae.error_percent(net, *choose_on),
        f"test_error_percent.{name}.{labels}": drsae.error_percent(net, *test_on),
    }, {}


BITS = {
    "m": 128,
    "hidden": 128,
    "batch": 128,
    # [batch, rate, steps]. From "half" to "whole" bits over the line's change by 3 % or less;
    # "first" is how all of them were trained at first, which was too short for photographs. There
    # are few digits: after 30,000 steps at β = 0.2 the VAE knows them by heart, and does worse on
    # others. On photographs a rate of 4e-3 diverges for some seeds.
    "trainings": {
        "digits": {
            "first": [128, 2e-3, 3000],
            "half": [512, 4e-3, 8000],
            "whole": [512, 4e-3, 16_000],
        },
        "patches": {
            "first": [128, 2e-3, 3000],
            "half": [512, 3e-3, 30_000],
            "whole": [512, 3e-3, 60_000],
        },
    },
    "linear": [512, 4e-3, 4000],
    "dictionary_steps": [600, 3000],
    "split": [1077, 360, 360],
    "patches": [20_000, 4_000],
    "held_out": ["cat", "coffee"],
    "sparse": {"digits": [0.4, 0.8, 1.2, 2.0], "patches": [0.5, 1.0, 2.0, 3.0]},
    "noisy": {"digits": [0.06, 0.2, 0.6, 1.2], "patches": [0.1, 0.3, 1.0, 1.5]},
    "shown": {"digits": [0.8, 0.2], "patches": [1.0, 0.3]},  # prices whose weights are kept
    # where to part the patches by contrast, for the null that knows nothing else
    "cuts": [
        [],
        [0.5],
        [0.75],
        [0.9],
        [0.5, 0.75],
        [0.75, 0.9],
        [0.85, 0.95],
        [0.9, 0.97],
        [0.5, 0.75, 0.875],
        [0.75, 0.9, 0.97],
        [0.6, 0.8, 0.9, 0.95],
        [0.2, 0.4, 0.6, 0.8, 0.9, 0.95],
    ],
    "trap_steps": [300, 1200, 4800, 19_200],
}


def digits_of(s: dict, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return digits of norm 8 to learn from and to measure on, for one seed."""
    everyone = digits()
    scaled = Labelled(8 * normalize(everyone.x), everyone.y)
    fit_on, _, test_on = split(scaled, s["split"], np.random.default_rng([seed, 3]))
    return fit_on.x, test_on.x


def bits_data(s: dict, name: str, seed: int) -> tuple[torch.Tensor, ...]:
    """Return x to learn from, x to measure on, both without their centre (64,); the centre; and
    the variances (64,) along the principal axes of what is measured."""
    centre = torch.zeros(64)
    if name == "digits":
        x_fit, x = digits_of(s, seed)
        centre = x_fit.mean(0)
        x_fit, x = x_fit - centre, x - centre
    else:
        generator = np.random.default_rng([seed, 4])
        images = whitened_images()
        away = [images.pop(held) for held in s["held_out"]]
        many, some = s["patches"]
        x_fit = patches(list(images.values()), 8, many, generator)
        x = patches(away, 8, some, generator)
    return x_fit, x, centre, torch.linalg.eigvalsh(torch.cov(x.T)).clamp(min=1e-9)


class Bill(NamedTuple):
    """What a code takes and gives: mean bits, and mean distortion ‖x − x̂‖²."""

    bits: float
    distortion: float

    def figures(self, key: str, variances: torch.Tensor) -> dict[str, float]:
        """Return them under a key: bits, the distortion over the sum of variances (n,), and bits
        over those of the line at this distortion."""
        return {
            f"bits.{key}": self.bits,
            f"distortion.{key}": self.distortion / variances.sum().item(),
            f"over_line.{key}": self.bits / vae.gaussian_bits(variances, self.distortion),
        }


def sparse_seed(name: str, s: dict, seed: int) -> Outcome:
    """Return what sparse coding takes at each price, its dictionary trained at two lengths; and
    what the null that knows contrast alone takes at the same distortions. Chapter 6, bits."""
    x_fit, x, centre, variances = bits_data(s, name, seed)
    figures, weights = {}, {f"{name}.centre": centre}
    for price in s["sparse"][name]:
        for steps in s["dictionary_steps"]:
            generator = np.random.default_rng([seed, 5])
            Wd, _ = learn_dictionary(x_fit, s["m"], price, steps, generator)
            z_fit, z = (sparse_codes(part, Wd, price, 1e-3) for part in (x_fit[:4000], x))
            bill = Bill(*vae.sparse_point(z_fit, z, x, Wd, 2 * price))
            suffix = "" if steps == max(s["dictionary_steps"]) else ".first"
            figures |= bill.figures(f"{name}.sparse.{price}{suffix}", variances)
        null = contrast_bill(x_fit, x, bill.distortion, s["cuts"])
        figures |= null.figures(f"{name}.contrast_null.{price}", variances)
        seen, measured = (x_fit[: len(z_fit)], z_fit), (x, z)
        told = Bill(told_bits(seen, measured, 2 * price, s["cuts"]), bill.distortion)
        figures |= told.figures(f"{name}.sparse_told.{price}", variances)
        if price == s["shown"][name][0]:
            weights[f"{name}.Wd"] = Wd
            weights[f"{name}.on"], weights[f"{name}.value"] = vae.code_tables(
                vae.rounded(z_fit, 2 * price)
            )
    return figures, weights


Seen = Sequence[torch.Tensor]  # inputs (N, n) and their codes (N, m)


def told_bits(seen: Seen, measured: Seen, step: float, parted: list[list[float]]) -> float:
    """Return the mean bits of measured codes, rounded to multiples of step, where each class of
    contrast has tables of its own, made of the codes that were seen, and the class is sent first.
    The classes are those of `parted` that serve best if one half of what was seen writes down the
    other."""
    half = len(seen[0]) // 2
    first, second = [part[:half] for part in seen], [part[half:] for part in seen]
    best = min(parted, key=partial(class_bits, first, second, step))
    return class_bits(seen, measured, step, best)


def class_bits(seen: Seen, measured: Seen, step: float, cuts: list[float]) -> float:
    """Return the bits of told_bits for classes that are parted at the quantiles cuts."""
    (x_fit, z_fit), (x, z) = seen, measured
    q_fit, q = vae.rounded(z_fit, step), vae.rounded(z, step)
    squares = x_fit.square().sum(1)
    edges = squares.quantile(torch.tensor(cuts)) if cuts else squares[:0]
    which, its = torch.bucketize(squares, edges), torch.bucketize(x.square().sum(1), edges)
    share = which.bincount(minlength=len(cuts) + 1) / len(which)
    bits = -share.log2()[its]
    for k in its.unique():
        bits[its == k] += vae.table_bits(q[its == k], vae.code_tables(q_fit[which == k]))
    return bits.mean().item()


def contrast_bill(
    x_fit: torch.Tensor, x: torch.Tensor, distortion: float, parted: list[list[float]]
) -> Bill:
    """Return what x (B, n) takes by the Gaussian scale mixture of x_fit (N, n), at a distortion,
    its classes parted where x_fit itself takes fewest bits."""
    top = x_fit.square().sum(1).max().item()

    def bits(of: torch.Tensor, cuts: list[float]) -> float:
        return vae.bits_at(partial(vae.contrast_point, x_fit, of, cuts), distortion, top)

    best = min(parted, key=partial(bits, x_fit))
    return Bill(bits(x, best), distortion)


def noisy_seed(name: str, way: str, beta: float, s: dict, seed: int) -> Outcome:
    """Return what one of NOISY takes at a price β, after a training of each of its lengths.

    Chapter 6, bits; the models: Kingma & Welling 2014; Geadah et al. 2024.
    """
    x_fit, x, _, variances = bits_data(s, name, seed)
    draws = np.random.default_rng([seed, 6]).standard_normal((len(x), s["m"]))
    noise = torch.from_numpy(draws).float()
    _, rate, linear = NOISY[way]
    figures = {}
    for length, training in ({"whole": s["linear"]} if linear else s["trainings"][name]).items():
        net, halved = settled_net(s, way, x_fit, beta, training, seed)
        bill = Bill(*vae.noisy_point(net, rate, x, noise))
        key = f"{name}.{way}.{beta}" + ("" if length == "whole" else f".{length}")
        figures |= bill.figures(key, variances)
        if halved:
            figures[f"halved.{key}"] = halved
    if way == "noisy_linear":
        best = Bill(*vae.contrast_point(x_fit, x, (), beta))
        figures |= best.figures(f"{name}.best_linear.{beta}", variances)
    kept = way == "noisy" and beta == s["shown"][name][1]
    return figures, {f"{name}.{key}": W for key, W in net.state_dict().items()} if kept else {}


NOISY = {  # criteria, rate, and whether the decoder is linear
    "noisy": (vae.vae_criteria, vae.gaussian_rate, False),
    "noisy_linear": (vae.vae_criteria, vae.gaussian_rate, True),
    "laplace_linear": (vae.laplace_criteria, vae.laplace_rate, True),
}
BILLS = [
    (name, way, beta) for name in BITS["noisy"] for way in NOISY for beta in BITS["noisy"][name]
]


def settled_net(
    s: dict, way: str, x: torch.Tensor, beta: float, training: list, seed: int, most: int = 4
) -> tuple[vae.Vae, int]:
    """Return noisy_net for x (N, n), and how often its rate was halved: as often as training came
    to numbers that are not finite, each time from the start. A variance is the exponential of what
    a network says, without a bound, and one patch of extreme contrast can make it overflow.

    Raises FloatingPointError if `most` halvings do not help.
    """
    (batch, pace, steps), halved = training, 0
    while True:
        try:
            return noisy_net(s, way, x, beta, [batch, pace, steps], seed), halved
        except FloatingPointError:
            if halved == most:
                raise
        halved, pace = halved + 1, pace / 2


def noisy_net(
    s: dict, way: str, x: torch.Tensor, beta: float, training: list, seed: int
) -> vae.Vae:
    """Return one of NOISY, trained on x (N, n) at the price β of a nat; training: minibatch, rate,
    steps."""
    batch, pace, steps = training
    criteria, _, linear = NOISY[way]
    n, m, hidden = x.shape[1], s["m"], s["hidden"]
    generator = np.random.default_rng([seed, 7])
    encoder = vae.network(n, hidden, 2 * m, generator)
    decoder = vae.affine(m, n, generator) if linear else vae.network(m, hidden, n, generator)
    net = vae.Vae(encoder, decoder, m)
    weights = {"reconstruction": 1, "rate": beta}
    vae.learn(net, criteria, _unlabelled(x, batch, m, seed), steps, weights, pace)
    return net


def _unlabelled(x: torch.Tensor, batch: int, m: int, seed: int) -> Iterator[vae.Batch]:
    """Yield minibatches (batch, n) of x (N, n); their classes, all 0, count for nothing."""
    some = Labelled(x, torch.zeros(len(x)).long())
    return vae.batches(some, some, batch, m, np.random.default_rng([seed, 8]))


def trap_seed(s: dict, seed: int) -> Outcome:
    """Return what three auto-encoders leave unexplained of test digits and of noise, after a
    training of each length. Chapter 6, strangers."""
    x_fit, x = digits_of(s, seed)
    noise = torch.from_numpy(np.random.default_rng([seed, 9]).random(x.shape)).float()
    shown = {"digits": x, "noise": 8 * normalize(noise)}
    figures = {}
    for steps in s["trap_steps"]:
        for name in ("plain", "sparse", "vae"):
            net = trap_net(s, name, x_fit, steps, seed)
            for kind, pictures in shown.items():
                with torch.no_grad():
                    rest = (pictures - net.rebuild(pictures)).square().sum(1).mean() / 64
                figures[f"trap.{name}.{kind}.{steps}"] = rest.item()
        figures |= loudness(net, x, steps, seed)  # of the last, which is the VAE
    return figures, {}


@torch.no_grad()
def loudness(net: vae.Vae, x: torch.Tensor, steps: int, seed: int) -> dict[str, float]:
    """Return how many units of a VAE say more than a tenth of a bit about x (B, 64), the bits of
    all and of the others, and its distortion and bits against the line."""
    mean, log_var = net.posterior(x)
    bits = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).mean(0) / math.log(2)
    draws = np.random.default_rng([seed, 11]).standard_normal(mean.shape)
    noise = torch.from_numpy(draws).float()
    variances = torch.linalg.eigvalsh(torch.cov(x.T)).clamp(min=1e-9)
    bill = Bill(*vae.noisy_point(net, vae.gaussian_rate, x, noise))
    return {
        f"loud_units.{steps}": (bits > 0.1).sum().item(),
        f"quiet_bits.{steps}": bits[bits <= 0.1].sum().item(),
    } | bill.figures(f"trap.{steps}", variances)


def trap_net(s: dict, name: str, x: torch.Tensor, steps: int, seed: int) -> vae.AutoEncoder:
    """Return one of the auto-encoders of the chapter's section 5, trained on x (N, 64)."""
    m, hidden = s["m"], s["hidden"]
    generator = np.random.default_rng([seed, 10])
    encoder = vae.network(64, hidden, 2 * m if name == "vae" else m, generator)
    if name == "sparse":
        net = vae.SparseAutoEncoder(encoder, vae.affine(m, 64, generator), m)
    else:
        kind = vae.Vae if name == "vae" else vae.AutoEncoder
        net = kind(encoder, vae.network(m, hidden, 64, generator), m)
    net.hold()
    limit = {"plain": {}, "sparse": {"sparsity": 0.16}, "vae": {"rate": 0.2}}[name]
    criteria, _ = CRITERIA.get(name, CRITERIA["autoencoder"])
    vae.learn(
        net, criteria, _unlabelled(x, s["batch"], m, seed), steps, {"reconstruction": 1} | limit
    )
    return net


def _trap(names: dict) -> dict[str, float]:
    tables = {"off": names["off"], "told": names["told"]}
    return {
        f"{key}.{name}.{kind}": value
        for key, table in tables.items()
        for (name, kind), value in table.items()
    }


def _plane(names: dict) -> dict[str, float]:
    return {
        f"plane.{name}.{place}": value
        for name, pair in names["heights"].items()
        for place, value in zip(("near", "between"), pair, strict=True)
    }


WANTED = {  # of the chapter's live run: what its claims are about
    "trap-run": _trap,
    "plane-map": _plane,
    "labels-run": lambda names: {
        f"error.{model}.{few}": e for (model, few), e in names["errors"].items()
    },
    "labels-claims": lambda _: {},
}
