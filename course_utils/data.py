"""What goes into the systems of the course: digits, photographs, patches, synthetic codes.

Everything random is drawn from a numpy generator that you pass, so that a seed gives the same
data on every machine. Images are float32 in [0, 1]; as vectors they are flattened row by row.
Where each data set comes from, its licence and its flaws: data/README.md of the repository.
"""

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# scikit-learn and scikit-image take a second to import: the functions that need them import them.


class Labelled(NamedTuple):
    """Inputs x (N, n), float32, and their classes y (N,), int64."""

    x: Tensor
    y: Tensor


class Photograph(NamedTuple):
    """One real photograph inside an installed package, and whom to thank for it."""

    name: str
    package: str
    file: str
    author: str
    licence: str


_SKIMAGE, _SKLEARN = "skimage.data", "sklearn.datasets.images"
PHOTOGRAPHS = (
    Photograph("astronaut", _SKIMAGE, "astronaut.png", "NASA", "public domain"),
    Photograph("camera", _SKIMAGE, "camera.png", "Lav Varshney", "CC0 1.0"),
    Photograph("coffee", _SKIMAGE, "coffee.png", "Rachel Michetti", "CC0 1.0"),
    Photograph("cat", _SKIMAGE, "chelsea.png", "Stefan van der Walt", "CC0 1.0"),
    Photograph("rocket", _SKIMAGE, "rocket.jpg", "SpaceX", "public domain"),
    Photograph("grass", _SKIMAGE, "grass.png", "linolafett, DeviantArt", "CC0 1.0"),
    Photograph("gravel", _SKIMAGE, "gravel.png", "CC0Textures", "CC0 1.0"),
    Photograph("china", _SKLEARN, "china.jpg", "danielbuechele, Flickr", "CC BY 2.0"),
    Photograph("flower", _SKLEARN, "flower.jpg", "vultilion, Flickr", "CC BY 2.0"),
)


def digits() -> Labelled:
    """Return scikit-learn's 1,797 handwritten digits: x (1797, 64) in [0, 1], y (1797,)."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return Labelled(torch.from_numpy(x / 16).float(), torch.from_numpy(y).long())


def split(data: Labelled, sizes: Sequence[int], generator: np.random.Generator) -> list[Labelled]:
    """Part data at random into disjoint sets of the given sizes; what is left over is unused.

    Raises ValueError if a size is negative or if together they ask for more than there is.
    """
    if min(sizes, default=0) < 0:
        raise ValueError(f"sizes must not be negative, but they are {list(sizes)}")
    if sum(sizes) > len(data.x):
        raise ValueError(f"sizes {list(sizes)} ask for {sum(sizes)} of {len(data.x)} examples")
    order = torch.from_numpy(generator.permutation(len(data.x)))
    parts = order[: sum(sizes)].split(list(sizes))
    return [Labelled(data.x[part], data.y[part]) for part in parts]


def first_of_each(data: Labelled, count: int) -> Labelled:
    """Return the first count examples of each of the ten digits, or all where there are fewer."""
    rows = torch.cat([(data.y == digit).nonzero()[:count, 0] for digit in range(10)])
    return Labelled(data.x[rows], data.y[rows])


def natural_images() -> dict[str, Tensor]:
    """Return the photographs of PHOTOGRAPHS by name, each grey (H, W) in [0, 1]."""
    from skimage.color import rgb2gray
    from skimage.io import imread

    images = {}
    for photograph in PHOTOGRAPHS:
        file = resources.files(photograph.package) / photograph.file
        with resources.as_file(file) as path:
            pixels = imread(path) / 255
        grey = rgb2gray(pixels) if pixels.ndim == 3 else pixels
        images[photograph.name] = torch.from_numpy(grey).float()
    return images


def whiten(image: Tensor, cutoff: float = 0.4) -> Tensor:
    """Flatten the spectrum of a photograph, image (H, W): (H, W), mean 0, standard deviation 1.

    The filter is |f| exp(-(f / cutoff)^4), f in cycles per pixel (Olshausen & Field 1997, Vision
    Research 37:3311; cutoff there: 200 cycles in 512 pixels). The amplitude of natural images
    falls about as 1 / |f|, so |f| makes it flat; the second factor removes the corners of the
    spectrum, where there is mostly noise. The image is mirrored at its borders first, because the
    Fourier transform takes it for periodic, and the jump from one border to the other would
    become a bright edge.

    Raises ValueError if image is not 2-D, not finite or constant, or if cutoff leaves nothing.
    """
    if image.ndim != 2:
        raise ValueError(f"image must be (H, W), but its shape is {tuple(image.shape)}")
    if image.numel() == 0 or not image.isfinite().all():
        raise ValueError("image must hold finite numbers only")
    if image.min() == image.max():
        raise ValueError("image is constant: it has no structure to whiten")
    if not cutoff > 0:
        raise ValueError(f"cutoff must be positive, in cycles per pixel, but it is {cutoff}")
    rows, columns = image.shape
    mirrored = torch.cat([image, image.flip(0)], 0).double()
    mirrored = torch.cat([mirrored, mirrored.flip(1)], 1)
    vertical = torch.fft.fftfreq(2 * rows, dtype=torch.float64)
    f = torch.hypot(vertical[:, None], torch.fft.rfftfreq(2 * columns, dtype=torch.float64))
    spectrum = torch.fft.rfft2(mirrored) * f * torch.exp(-((f / cutoff) ** 4))
    white = torch.fft.irfft2(spectrum, s=mirrored.shape)[:rows, :columns]
    white = white - white.mean()
    if white.std() == 0:
        raise ValueError(f"cutoff {cutoff} removes every frequency of a {rows} x {columns} image")
    return (white / white.std()).float()


def whitened_images() -> dict[str, Tensor]:
    """Return natural_images by name, each whitened: (H, W)."""
    return {name: whiten(image) for name, image in natural_images().items()}


def the_patch() -> Tensor:
    """Return the patch of every chapter: (1, 144), 12 x 12 pixels of the whitened cat's eye."""
    return whiten(natural_images()["cat"])[140:152, 150:162].reshape(1, -1)


def the_digit() -> Tensor:
    """Return the digit that every chapter comes back to: (1, 64), a handwritten 3."""
    return digits().x[3:4]


def patches(
    images: Sequence[Tensor], size: int, count: int, generator: np.random.Generator
) -> Tensor:
    """Cut count square patches, uniformly over all positions in all images: (count, size * size).

    Each row is one patch, flattened row by row. Beside the result, memory holds a few tens of
    thousands of patches at a time. Raises ValueError if an image is not 2-D or smaller than size.
    """
    if size < 1 or not images or any(im.ndim != 2 or min(im.shape) < size for im in images):
        shapes = [tuple(image.shape) for image in images]
        raise ValueError(f"patches of size {size} need images (H, W) as large, not {shapes}")
    windows = [image.unfold(0, size, 1).unfold(1, size, 1) for image in images]  # views, no copy
    positions = np.array([w.shape[0] * w.shape[1] for w in windows])
    ends = positions.cumsum()
    draws = generator.integers(ends[-1], size=count)
    out = torch.empty(count, size * size)
    for start in range(0, count, 1 << 15):
        draw = draws[start : start + (1 << 15)]
        image = np.searchsorted(ends, draw, side="right")
        for i in np.unique(image):
            mine = np.flatnonzero(image == i)
            row, column = np.divmod(draw[mine] - ends[i] + positions[i], windows[i].shape[1])
            out[start + mine] = windows[i][row, column].reshape(len(mine), -1).float()
    return out


def photograph_patches(size: int, count: int, generator: np.random.Generator) -> Tensor:
    """Return patches (count, size * size) of the whitened photographs; see `patches`."""
    return patches(list(whitened_images().values()), size, count, generator)


def normal(generator: np.random.Generator, *shape: int) -> Tensor:
    """Return numbers of N(0, 1), of the given shape and in float64: those of NumPy, since torch's
    own differ from one processor to another."""
    return torch.from_numpy(generator.standard_normal(shape))


def gaussian_dictionary(n: int, m: int, generator: np.random.Generator) -> Tensor:
    """Draw a dictionary (n, m) with columns of norm 1, uniform over all directions."""
    Wd = generator.standard_normal((n, m))
    return torch.from_numpy(Wd / np.linalg.norm(Wd, axis=0)).float()


def synthetic_codes(count: int, m: int, density: float, generator: np.random.Generator) -> Tensor:
    """Draw codes (count, m): each entry is N(0, 1) with probability density, else zero.

    Raises ValueError if density is not in [0, 1].
    """
    if not 0 <= density <= 1:
        raise ValueError(f"density is a probability, in [0, 1], but it is {density}")
    active = generator.random((count, m)) < density
    return torch.from_numpy(np.where(active, generator.standard_normal((count, m)), 0)).float()


def shared(kind: str) -> Path:
    """Return the folder of the course's "notebooks" or stored "results", wherever it is installed.

    A wheel carries them inside the package, a clone at its root. Raises ValueError for another
    kind, FileNotFoundError if the package was installed without them.
    """
    package = Path(__file__).parent
    places = {"notebooks": ("notebooks",), "results": ("data", "results")}
    if kind not in places:
        raise ValueError(f"kind is one of {', '.join(places)}, not {kind!r}")
    for folder in (package / "_share" / kind, package.parent.joinpath(*places[kind])):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"course_utils was installed without its {kind}: install it again")


def results(name: str) -> dict:
    """Return the stored numbers of a full-size run; FileNotFoundError if it was never run."""
    return json.loads(_stored(name, ".json").read_text(encoding="utf-8"))


def weights(name: str) -> dict[str, Tensor]:
    """Return the stored weights of a full-size run by name; FileNotFoundError if never run."""
    with np.load(_stored(name, ".npz")) as arrays:
        return {key: torch.from_numpy(arrays[key]).float() for key in arrays}


def _stored(name: str, suffix: str) -> Path:
    path = shared("results") / f"{name}{suffix}"
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path.name} among the stored results: "
            f"make it with `python -m course_utils.reproduce {name}`"
        )
    return path
