"""The data is what data/README.md says it is."""

import hashlib
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from course_utils import data

DATASHEET = Path(__file__).parents[1] / "data" / "README.md"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def images():
    return data.natural_images()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# Digits and split


def test_digits_are_1797_images_in_0_1_with_their_classes():
    x, y = data.digits()
    assert x.shape == (1797, 64)
    assert x.dtype == torch.float32
    assert (x.min(), x.max()) == (0, 1)
    assert y.dtype == torch.int64
    assert y.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_are_those_of_the_datasheet_and_stand_upright():
    x, y = data.digits()
    pixels = (x * 16).round().byte().numpy().tobytes()
    assert sha256(pixels) in DATASHEET.read_text(encoding="utf-8")
    one = x[y == 1].mean(0).reshape(8, 8)  # a stroke from top to bottom: columns differ, rows don't
    assert one.sum(0).std() > 3 * one.sum(1).std()


def test_split_gives_disjoint_parts_that_keep_x_with_its_y(rng):
    whole = data.Labelled(torch.arange(10.0)[:, None], torch.arange(10))
    parts = data.split(whole, [5, 3, 1], rng)
    drawn = torch.cat([part.y for part in parts])
    assert [len(part.y) for part in parts] == [5, 3, 1]
    assert drawn.unique().numel() == 9
    assert drawn.tolist() != sorted(drawn.tolist())
    assert all(torch.equal(part.x[:, 0], part.y.float()) for part in parts)


def test_split_says_when_there_are_too_few_examples(rng):
    whole = data.Labelled(torch.zeros(10, 1), torch.zeros(10, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\[8, 3\] ask for 11 of 10 examples"):
        data.split(whole, [8, 3], rng)
    with pytest.raises(ValueError, match="negative"):
        data.split(whole, [8, -3], rng)


# Photographs


@pytest.mark.parametrize("photograph", data.PHOTOGRAPHS, ids=lambda p: p.name)
def test_each_photograph_is_installed_and_is_the_file_of_the_datasheet(photograph):
    content = (resources.files(photograph.package) / photograph.file).read_bytes()
    lines = DATASHEET.read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if sha256(content) in line]
    for said in (photograph.name, photograph.file, photograph.author, photograph.licence):
        assert said in line


def test_photographs_are_grey_and_in_0_1(images):
    assert list(images) == [photograph.name for photograph in data.PHOTOGRAPHS]
    assert len(images) >= 8
    for image in images.values():
        assert image.ndim == 2
        assert image.dtype == torch.float32
        assert min(image.shape) >= 300
        assert 0 <= image.min() < 0.1
        assert 0.7 < image.max() <= 1


def spectral_slope(image: torch.Tensor) -> float:
    """Return a in power ~ f^a, fitted between 0.02 and 0.2 cycles per pixel (Hann window)."""
    pixels = image.double().numpy() - image.double().mean().item()
    rows, columns = pixels.shape
    power = np.abs(np.fft.fft2(pixels * np.outer(np.hanning(rows), np.hanning(columns)))) ** 2
    f = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns))
    edges = np.geomspace(0.02, 0.2, 13)
    ring = np.digitize(f, edges)
    radial = [power[ring == i].mean() for i in range(1, len(edges))]
    return np.polyfit(np.log(edges[1:] * edges[:-1]) / 2, np.log(radial), 1)[0]


def test_whitening_flattens_the_spectrum_of_every_photograph(images):
    before = np.array([spectral_slope(image) for image in images.values()])
    after = np.array([spectral_slope(data.whiten(image)) for image in images.values()])
    assert before.max() < -1.4  # natural images: power falls about as 1/f^2
    assert before.mean() < -2
    assert (np.abs(after) < 0.4 * np.abs(before)).all()
    assert np.abs(after).mean() < 0.7


def test_whitened_photographs_have_mean_0_deviation_1_and_no_bright_border(images):
    borders = []
    for image in images.values():
        white = data.whiten(image)
        assert white.shape == image.shape
        assert white.dtype == torch.float32
        assert abs(white.mean()) < 1e-5
        assert abs(white.std() - 1) < 1e-5
        borders.append(torch.cat([white[0], white[-1], white[:, 0], white[:, -1]]).std())
    assert np.mean(borders) < 1.2  # without mirroring: 2.2


@pytest.mark.parametrize("cutoff", [0.2, 0.4])
def test_whitening_multiplies_each_frequency_by_the_filter_of_the_formula(cutoff):
    row = torch.arange(64, dtype=torch.float64)[:, None] + 0.5
    column = torch.arange(80, dtype=torch.float64)[None, :] + 0.5
    waves = {}  # cosines that are their own mirror image: frequencies k / (2 size)
    for down, right in [(8, 0), (0, 24), (20, 30)]:
        f = float(np.hypot(down / 128, right / 160))
        wave = torch.cos(torch.pi * down * row / 64) * torch.cos(torch.pi * right * column / 80)
        waves[f] = wave
    white = data.whiten(sum(waves.values()) + 3, cutoff).double()
    amplitude = {f: (white * w).sum() / (w * w).sum() for f, w in waves.items()}
    gain = {f: f * np.exp(-((f / cutoff) ** 4)) for f in waves}
    first = next(iter(waves))
    for f in waves:
        ratio = amplitude[f] / amplitude[first]
        assert ratio == pytest.approx(gain[f] / gain[first], rel=1e-4)


@pytest.mark.parametrize(
    ("image", "cutoff", "message"),
    [
        (torch.zeros(2, 8, 8), 0.4, r"\(H, W\), but its shape is \(2, 8, 8\)"),
        (torch.ones(8, 8), 0.4, "constant"),
        (torch.tensor([[1.0, 2.0], [3.0, float("nan")]]), 0.4, "finite"),
        (torch.zeros(0, 8), 0.4, "finite"),
        (torch.eye(8), -0.4, "positive"),
        (torch.eye(8), 1e-3, "removes every frequency"),
    ],
)
def test_whitening_refuses_what_it_cannot_whiten(image, cutoff, message):
    with pytest.raises(ValueError, match=message):
        data.whiten(image, cutoff)


# Patches


def test_patches_are_exact_windows_drawn_uniformly_over_all_positions(rng):
    first, second = torch.arange(7 * 9.0).reshape(7, 9), 100 + torch.arange(5 * 6.0).reshape(5, 6)
    count = 70_000  # more than two blocks of work
    drawn = data.patches([first, second], 4, count, rng)
    corners, times = drawn[:, 0].unique(return_counts=True)
    windows = {}
    for image in (first, second):
        for i in range(image.shape[0] - 3):
            for j in range(image.shape[1] - 3):
                windows[image[i, j].item()] = image[i : i + 4, j : j + 4].flatten()
    assert corners.tolist() == sorted(windows)
    assert torch.equal(drawn, torch.stack([windows[corner.item()] for corner in drawn[:, 0]]))
    expected = count / len(windows)
    assert (times - expected).abs().max() < 5 * expected**0.5


def test_patches_are_the_same_for_the_same_generator_only(images):
    def draw(seed):
        return data.patches(list(images.values()), 12, 100, np.random.default_rng(seed))

    assert draw(1).shape == (100, 144)
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_patches_refuse_images_that_are_too_small(rng):
    with pytest.raises(ValueError, match=r"size 4 need images \(H, W\) as large.*\(3, 9\)"):
        data.patches([torch.zeros(9, 9), torch.zeros(3, 9)], 4, 1, rng)
    with pytest.raises(ValueError, match="size 4"):
        data.patches([], 4, 1, rng)


# Synthetic codes


def test_dictionary_columns_have_norm_1_and_every_direction(rng):
    Wd = data.gaussian_dictionary(20, 5000, rng)
    assert Wd.shape == (20, 5000)
    torch.testing.assert_close(Wd.norm(dim=0), torch.ones(5000))
    torch.testing.assert_close(Wd @ Wd.T / 5000, torch.eye(20) / 20, atol=5e-3, rtol=0)


def test_codes_have_the_asked_density_and_variance(rng):
    z = data.synthetic_codes(2000, 100, 0.1, rng)
    active = z[z != 0]
    assert z.shape == (2000, 100)
    assert z.dtype == torch.float32
    assert active.numel() / z.numel() == pytest.approx(0.1, abs=0.004)  # six standard errors
    assert active.mean() == pytest.approx(0, abs=0.045)
    assert active.var() == pytest.approx(1, abs=0.06)
    assert not torch.signbit(z[z == 0]).any()


def test_codes_refuse_a_density_that_is_no_probability(rng):
    with pytest.raises(ValueError, match=r"\[0, 1\], but it is 10"):
        data.synthetic_codes(1, 1, 10, rng)


def test_draws_repeat_with_the_seed():
    for draw in (
        partial(data.gaussian_dictionary, 3, 4),
        partial(data.synthetic_codes, 3, 4, 0.5),
    ):
        one, same, other = (draw(generator=np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


# What the repository stores


def test_shared_finds_the_folders_of_a_clone_and_of_a_wheel(tmp_path, monkeypatch):
    clone, wheel = tmp_path / "clone", tmp_path / "site-packages"
    for folder in (clone / "data/results", clone / "notebooks", wheel / "notebooks"):
        folder.mkdir(parents=True)  # the last is somebody else's
    for kind in ("results", "notebooks"):
        (wheel / "course_utils/_share" / kind).mkdir(parents=True)
    monkeypatch.setattr(data, "__file__", str(clone / "course_utils/data.py"))
    assert data.shared("results") == clone / "data/results"
    assert data.shared("notebooks") == clone / "notebooks"
    monkeypatch.setattr(data, "__file__", str(wheel / "course_utils/data.py"))
    assert data.shared("notebooks") == wheel / "course_utils/_share/notebooks"
    assert data.shared("results") == wheel / "course_utils/_share/results"


def test_shared_says_what_it_does_not_find(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="notebooks, results, not 'slides'"):
        data.shared("slides")
    monkeypatch.setattr(data, "__file__", str(tmp_path / "course_utils/data.py"))
    with pytest.raises(FileNotFoundError, match="without its results"):
        data.shared("results")


def test_results_and_weights_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "shared", lambda kind: tmp_path)
    (tmp_path / "run.json").write_text('{"figures": {"λ": 1}}', encoding="utf-8")
    np.savez(tmp_path / "run.npz", Wd=np.eye(2))
    assert data.results("run") == {"figures": {"λ": 1}}
    assert data.weights("run")["Wd"].dtype == torch.float32
    assert torch.equal(data.weights("run")["Wd"], torch.eye(2))


def test_missing_results_name_the_command_that_makes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "shared", lambda kind: tmp_path)
    for read in (data.results, data.weights):
        with pytest.raises(FileNotFoundError, match=r"`python -m course_utils.reproduce lista`"):
            read("lista")
