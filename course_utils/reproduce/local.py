"""Chapter 5 at full size: a sheet of 100 x 100 units over images of 119 x 119, and its controls."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from skimage.color import rgb2gray
from skimage.transform import rotate
from torch import Tensor

from course_utils import data
from course_utils.built import groups, ista, local
from course_utils.reproduce import Outcome
from course_utils.reproduce.groups import window

# Image, field and sheet are those on a slide of LeCun's (119 = 100 + 20 - 1); pools, price and
# steps are ours: with fewer units than pixels it takes a higher price than in the chapter.
LOCAL = {
    "image": 119,
    "field": 20,
    "per": 1,
    "tile": [10, 5],
    "batch": 32,
    "pool": 5,
    "lmbd": 2.0,
    "steps": 1000,
    "inner": 5,
    "shuffle": 20,
    "smooth": 1.0,
    "held_out": ["cat", "china"],
}
# What each control takes away; they run for half as long.
CONTROLS = {"l1_control": "pools", "permuted_control": "order", "noise_control": "images"}

Images = dict[str, Tensor]
Source = Callable[[dict], tuple[Images, Images]]
Setting = tuple[Iterator[Tensor], local.SheetPools, float]


def sheet_of(s: dict) -> local.Sheet:
    """Return the sheet with settings s."""
    return local.Sheet(s["image"], s["field"], s["per"], tuple(s["tile"]))


def batches(images: Images, s: dict, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield batches of flat images cut out of the given ones, for ever."""
    while True:
        yield data.patches(list(images.values()), s["image"], s["batch"], rng)


def noise(s: dict, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield batches of flat images of white noise, for ever."""
    while True:
        size = (s["batch"], s["image"] ** 2)
        yield torch.from_numpy(rng.standard_normal(size, np.float32))


def shuffled_blocks(side: int, block: int, rng: np.random.Generator) -> Tensor:
    """Return an order (side²,) of units, shuffled within blocks of block * block."""
    count = side // block
    units = torch.arange(side**2).reshape(count, block, count, block).transpose(1, 2)
    order = torch.empty(side**2, dtype=torch.long)
    for one in units.reshape(-1, block**2):
        order[one] = one[rng.permutation(len(one))]
    return order


def as_it_is(images: Images, s: dict, rng: np.random.Generator) -> Setting:
    """Return the batches, the pools and the price of the map."""
    pools = local.SheetPools(sheet_of(s).side, window(s["pool"]))
    return batches(images, s, rng), pools, s["lmbd"]


def without_pools(images: Images, s: dict, rng: np.random.Generator) -> Setting:
    """Return what as_it_is does, but pools of one unit: L1, at the price of a unit alone there."""
    x, pools, lmbd = as_it_is(images, s, rng)
    lone = pools.window.sqrt().sum().item() ** 2
    return x, local.SheetPools(pools.side, torch.ones(1)), lmbd * lone


def without_order(images: Images, s: dict, rng: np.random.Generator) -> Setting:
    """Return what as_it_is does, but units shuffled within blocks, as far as pools go."""
    x, pools, lmbd = as_it_is(images, s, rng)
    return x, pools._replace(order=shuffled_blocks(pools.side, s["shuffle"], rng)), lmbd


def without_images(images: Images, s: dict, rng: np.random.Generator) -> Setting:
    """Return what as_it_is does, but white noise in place of images."""
    return noise(s, rng), *as_it_is(images, s, rng)[1:]


def cheaper_l1(images: Images, s: dict, rng: np.random.Generator) -> Setting:
    """Return what without_pools does, at the price at which L1 rebuilds as much as the map."""
    return *without_pools(images, s, rng)[:2], s["lmbd_l1"]


WITHOUT = {
    "l1_control": without_pools,
    "shared_l1": without_pools,
    "l1_cheaper": cheaper_l1,
    "shared_l1_cheaper": cheaper_l1,
    "permuted_control": without_order,
    "noise_control": without_images,
}


def photographs(s: dict) -> tuple[Images, Images]:
    """Return the whitened photographs to learn from, and those held out."""
    images = data.whitened_images()
    return images, {name: images.pop(name) for name in s["held_out"]}


PICTURES = (".png", ".jpg", ".jpeg")


def own_images() -> dict[str, Tensor]:
    """Return your own photographs by file name, each grey (H, W) in [0, 1]: every PNG and JPEG in
    the folder `images` of the folder named by the environment variable COURSE_DATA.

    Raises FileNotFoundError if COURSE_DATA is not set or there is no such file, ValueError with
    its name if one cannot be read.
    """
    where = os.environ.get("COURSE_DATA")
    if not where:
        raise FileNotFoundError("COURSE_DATA is not set: name a folder that has a folder `images`")
    folder = Path(where).expanduser() / "images"
    files = [path for path in sorted(folder.glob("*")) if path.suffix.lower() in PICTURES]
    if not files:
        raise FileNotFoundError(f"{folder} holds no PNG or JPEG: put your photographs there")
    images = {}
    for path in files:
        try:
            with Image.open(path) as picture:
                if picture.mode.startswith(("I", "F")):
                    raise ValueError("it has more than 8 bits a colour; save it with 8")
                upright = ImageOps.exif_transpose(picture)  # as the camera was held
                pixels = np.asarray(upright.convert("RGB")) / 255
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path} cannot be read as a picture: {error}") from error
        images[path.name] = torch.from_numpy(rgb2gray(pixels)).float()
    return images


def own_photographs(s: dict) -> tuple[Images, Images]:
    """Return the reader's own photographs, whitened: all but the last to learn from, and that one.

    Raises ValueError if there are fewer than two, or one is smaller than the sheet's image.
    """
    images = own_images()
    small = [name for name, image in images.items() if min(image.shape) < s["image"]]
    if small:
        raise ValueError(f"smaller than {s['image']} x {s['image']}: {', '.join(small)}")
    if len(images) < 2:
        raise ValueError("one photograph is too few: put more into the folder `images`")
    images = {name: data.whiten(image) for name, image in images.items()}
    last = list(images)[-1]
    return images, {last: images.pop(last)}


def map_seed(s: dict, seed: int, source: Source = photographs) -> Outcome:
    """Learn the map of chapter 5; return its measures and those of its nulls, energies on
    photographs that it learned from and on others, and filters, orientations and curves.

    After Kavukcuoglu, Ranzato, Fergus & LeCun 2009 (the pools) and Gregor & LeCun 2010, arXiv
    1006.0448 (filters that are local and not shared).
    """
    rng = np.random.default_rng([seed, 5])
    images, held_out = source(s)
    stream, pools, lmbd = as_it_is(images, s, rng)
    start = time.monotonic()
    Wd, g, history = local.learn_local(
        stream, sheet_of(s), pools, lmbd, s["steps"], rng, inner=s["inner"]
    )
    seconds = (time.monotonic() - start) / s["steps"]
    figures = {"seconds_per_step": seconds} | measures(Wd, s, "local", rng)
    figures |= nulls(Wd, s, rng)
    for name, image in (images | held_out).items():
        x = data.patches([image], s["image"], s["batch"], rng)
        figures |= energies(x, Wd, g, pools, lmbd, name)
    weights = {f"curve_{name}": torch.from_numpy(values) for name, values in history.items()}
    return figures, weights | looks(Wd, s, "local") | {"filters": coarse(Wd)}


# The map on its way, at steps that lie close together at first, when it forms.
FILM = LOCAL | {"watched": sorted({round(LOCAL["steps"] * (k / 63) ** 2.5) for k in range(64)})}
Tie = Callable[[Tensor], Tensor]


def film_seed(s: dict, seed: int) -> Outcome:
    """Learn the map of map_seed, with its random numbers, and look at it at the steps watched;
    return how smooth it was, and orientation and selectivity of each unit: (watched, units). For
    the film of chapter 5."""
    rng = np.random.default_rng([seed, 5])
    stream, pools, lmbd = as_it_is(photographs(s)[0], s, rng)
    seen: dict[int, Tensor] = {}

    def look(step: int, Wd: Tensor) -> None:
        if step in s["watched"]:
            seen[step] = ista.orientation_moment(Wd, s["field"])

    x, tie = watching(stream, look)
    local.learn_local(x, sheet_of(s), pools, lmbd, s["steps"], rng, inner=s["inner"], tie=tie)
    side, figures = sheet_of(s).side, {}
    for step, moment in seen.items():
        _, ratio = local.sheet_smoothness(moment.angle() / 2, side, rng)
        figures[f"map_smoothness_ratio.{step}"] = ratio
    moments = torch.stack(list(seen.values()))
    coarsely = {"theta": (moments.angle() / 2, np.pi / 64), "selectivity": (moments.abs(), 1 / 32)}
    return figures, {name: (x / unit).round() * unit for name, (x, unit) in coarsely.items()}


def watching(
    batches: Iterator[Tensor], look: Callable[[int, Tensor], None]
) -> tuple[Iterator[Tensor], Tie]:
    """Return batches, and a tie that changes nothing: with both, learn_local calls look(step, Wd)
    with the random filters that it starts from and with those after each step."""
    due = [0]

    def counted() -> Iterator[Tensor]:
        for step, x in enumerate(batches, 1):
            due.append(step)
            yield x

    def tie(filters: Tensor) -> Tensor:
        if due:  # what is tied first after a batch was drawn is Wd, then comes the encoder
            look(due.pop(), ista.unit_columns(filters))
        return filters

    return counted(), tie


def control_seed(name: str, s: dict, seed: int) -> Outcome:
    """Learn what is left when the named cause is taken away; return measures and orientations. The
    controls of chapter 5, "At full size"."""
    rng = np.random.default_rng([seed, 6, list(CONTROLS).index(name)])
    x, pools, lmbd = WITHOUT[name](photographs(s)[0], s, rng)
    steps = s["steps"] // 2
    Wd, *_ = local.learn_local(x, sheet_of(s), pools, lmbd, steps, rng, inner=s["inner"])
    return measures(Wd, s, name, rng), looks(Wd, s, name)


def looks(Wd: Tensor, s: dict, name: str) -> dict[str, Tensor]:
    """Return orientation and selectivity of each unit (units,) of filters Wd (field², units)."""
    moment = ista.orientation_moment(Wd, s["field"])
    return {f"theta_{name}": moment.angle() / 2, f"selectivity_{name}": moment.abs()}


def coarse(Wd: Tensor) -> Tensor:
    """Return filters Wd (field², units) in sixteenths of their largest entry: to look at, in a
    small file."""
    return (16 * Wd / Wd.abs().amax(0)).round() / 16


def measures(Wd: Tensor, s: dict, name: str, rng: np.random.Generator) -> dict[str, float]:
    """Return how smooth a map the filters Wd (field², units) are, how selective its units, its
    pinwheels and their spacing."""
    side = sheet_of(s).side
    moment = ista.orientation_moment(Wd, s["field"])
    z, ratio = local.sheet_smoothness(moment.angle() / 2, side, rng)
    figures = {f"map_smoothness_z.{name}": z, f"map_smoothness_ratio.{name}": ratio}
    figures |= {f"selectivity.{name}": moment.abs().mean().item()}
    of = "" if name == "local" else f".{name}"
    F = smooth_field(Wd, s)
    return figures | counted(F, "pinwheels", of) | {f"spacing{of}": local.column_spacing(F)}


def smooth_field(Wd: Tensor, s: dict) -> Tensor:
    """Return selectivity · exp(2iθ) of each unit, of filters Wd (field², units), on the sheet,
    smoothed: (side, side)."""
    side = sheet_of(s).side
    return local.smoothed(ista.orientation_moment(Wd, s["field"]).reshape(side, side), s["smooth"])


def counted(F: Tensor, kind: str, of: str = "") -> dict[str, float]:
    """Return count and density of the pinwheels of a field F (side, side)."""
    count = local.pinwheels(F).abs().sum().item()
    return {f"{kind}.count{of}": count, f"{kind}.density{of}": local.pinwheel_density(F)}


def nulls(Wd: Tensor, s: dict, rng: np.random.Generator) -> dict[str, float]:
    """Return count and density of pinwheels of surrogates of the map of Wd (field², units), mean of
    100 and the range of the middle 90, and of random angles."""
    F = smooth_field(Wd, s)
    drawn = [counted(local.surrogate(F, rng), "surrogate") for _ in range(100)]
    figures = {}
    for key in drawn[0]:
        values = [one[key] for one in drawn]
        low, high = np.quantile(values, (0.05, 0.95))
        figures |= {
            key: float(np.mean(values)),
            f"{key}.low": float(low),
            f"{key}.high": float(high),
        }
    angle = torch.from_numpy(rng.uniform(0, 2 * np.pi, F.shape)).float()
    return figures | counted(torch.polar(torch.ones(F.shape), angle), "random")


def energies(
    x: Tensor, Wd: Tensor, g: local.LocalPredictor, pools: local.SheetPools, lmbd: float, name: str
) -> dict[str, float]:
    """Return, for images x (B, image²) of the named photograph and filters Wd (field², units):
    their energy over that of the zero code, after 50 steps of inference, by the guess, and what is
    left unexplained; and the encoder's error."""
    sheet, W = g.sheet, local.pack(Wd, g.sheet)
    L, _ = local.sheet_lipschitz(W, sheet, torch.ones(1, sheet.units))
    z, guess = local.local_codes(x, W, sheet, lmbd, pools, 50, L), g(x)
    energy = partial(local.local_energy, W=W, sheet=sheet, lmbd=lmbd, pools=pools)
    zero, by_guess, least = (energy(x, code).sum() for code in (0 * z, guess, z))
    rest = (x - local.synthesis(z, W, sheet)).square().sum() / x.square().sum()
    figures = {"energy": least / zero, "energy_guess": by_guess / zero, "unexplained": rest}
    figures["prediction"] = (z - guess).square().sum() / z.square().sum()
    return {f"{key}.{name}": value.item() for key, value in figures.items()}


# The chapter's sheet, all for as many steps: the map, its controls, shared filters, turned images.
EQUAL = LOCAL | {
    "image": 32,
    "field": 9,
    "per": 2,
    "tile": [8, 8],
    "batch": 64,
    "lmbd": 1.5,
    "steps": 800,
    "inner": 8,
    "shuffle": 12,
    # at the price of a lone unit L1 hardly codes; at this one it rebuilds as much as the map does
    "lmbd_l1": 3.25,
}
EQUALS = ("local", *CONTROLS, "shared", "turned", "l1_cheaper", "shared_l1", "shared_l1_cheaper")


def equal_seed(name: str, s: dict, seed: int) -> Outcome:
    """Learn one of EQUALS of chapter 5; return the measures of its map, how many of its units
    prefer horizontal or vertical, and its energies on the photographs held out; and, to look at,
    orientations, and the filters of one place where they are the same at all."""
    rng = np.random.default_rng([seed, 7, EQUALS.index(name)])
    images, held_out = photographs(s)
    if name == "turned":
        images = turned_images(s)
    sheet, (x, pools, lmbd) = sheet_of(s), WITHOUT.get(name, as_it_is)(images, s, rng)
    shared = name.startswith("shared")
    tie = partial(local.shared_filters, sheet=sheet) if shared else local.own_filters
    Wd, g, _ = local.learn_local(x, sheet, pools, lmbd, s["steps"], rng, inner=s["inner"], tie=tie)
    figures = measures(Wd, s, name, rng)
    theta = groups.orientations(Wd, s["field"])
    order = torch.arange(sheet.units) if pools.order is None else pools.order
    _, ratio = local.sheet_smoothness(theta[order], sheet.side, rng)
    near = ((theta + np.pi / 8) % (np.pi / 2)) < np.pi / 4
    figures |= {f"ratio_in_pools.{name}": ratio, f"near_axes.{name}": near.float().mean().item()}
    x = data.patches(list(held_out.values()), s["image"], 100, rng)
    figures |= energies(x, Wd, g, pools, lmbd, name)
    seen = looks(Wd, s, name)
    if shared:
        seen[f"filters_{name}"] = local.at_places(Wd, sheet)[:, 0, :, 0].flatten(1)
    return figures, seen


def turned_images(s: dict) -> Images:
    """Return the photographs to learn from, turned by 45 degrees before they are whitened; of each
    the largest upright square that lies inside."""
    turned = {}
    for name, image in data.natural_images().items():
        if name in s["held_out"]:
            continue
        side = int(min(image.shape) / 2**0.5) - 4
        wide = rotate(image.numpy(), 45, order=3)
        top, left = ((size - side) // 2 for size in wide.shape)
        square = wide[top : top + side, left : left + side]
        turned[name] = data.whiten(torch.from_numpy(square).float())
    return turned


def _nulls(names: dict) -> dict[str, float]:
    figures = {f"pinwheels.{name}": count for name, count in names["count"].items()}
    return figures | {f"density.{name}": value for name, value in names["density"].items()}


def _eye(names: dict) -> dict[str, float]:
    pairs = (("eye_rest", "rest"), ("eye_units", "units"), ("eye_energy", "E_eye"))
    return {f"{key}.{name}": value for key, held in pairs for name, value in names[held].items()}


WANTED = {  # of the chapter's live run: what its claims are about
    "blobs-claims": lambda names: {
        "blobs": names["blobs"].float().mean(),
        "use_of_blobs": names["use"][names["blobs"]].mean(),
    },
    "null-claims": _nulls,
    "controls-measure": lambda names: {
        "z": names["z_score"],
        "ratio": names["ratio"],
        "selectivity": names["has"],
    },
    "place-claims": lambda names: {"net": names["net"], "tangle": names["tangle"]},
    "data-claims": lambda names: {f"left.{name}": E for name, E in names["left"].items()},
    "bias-claims": lambda names: {
        "near_axes.map": names["on_axes"],
        "near_axes.power": names["in_photographs"],
    },
    "guess-claims": lambda names: (
        {"off": names["off"]} | {f"saved.{name}": share for name, share in names["saved"].items()}
    ),
    "shared-claims": lambda names: {f"relative.{name}": E for name, E in names["relative"].items()},
    "edge-claims": lambda names: {"near": names["near"].min()},
    "thread-claims": _eye,
}
