"""Chapter 5 at full size, in small: the map, its nulls, its controls, the reader's photographs."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.io import imsave

from course_utils import data
from course_utils.built import local as built
from course_utils.built.ista import unit_columns
from course_utils.reproduce import local

PARTS = {"map": lambda seed: local.map_seed(local.LOCAL, seed)} | {
    name: lambda seed, name=name: local.control_seed(name, local.LOCAL, seed)
    for name in local.CONTROLS
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few steps on small sheets over pictures of noise."""
    rng = np.random.default_rng(0)
    pictures = {name: torch.from_numpy(rng.random((40, 40), np.float32)) for name in "abcd"}
    monkeypatch.setattr(data, "natural_images", lambda: pictures)
    changes = {"image": 15, "field": 4, "tile": [6, 4], "batch": 4, "pool": 3, "steps": 4}
    for key, value in {**changes, "shuffle": 4, "held_out": ["c"]}.items():
        monkeypatch.setitem(local.LOCAL, key, value)
        monkeypatch.setitem(local.EQUAL, key, value)
    monkeypatch.setitem(local.EQUAL, "per", 2)
    monkeypatch.setattr(local, "FILM", local.LOCAL | {"watched": [0, 1, 4]})


def but_time(figures):
    return {name: value for name, value in figures.items() if name != "seconds_per_step"}


@pytest.mark.parametrize("name", PARTS)
def test_figures_are_finite_and_the_same_for_the_same_seed(name):
    (figures, weights), (again, same) = PARTS[name](0), PARTS[name](0)
    assert but_time(figures) == but_time(again)
    assert all(math.isfinite(value) for value in figures.values())
    assert weights.keys() == same.keys()
    assert all(torch.equal(weights[key], same[key]) for key in weights)
    other = PARTS[name](1)[1]
    assert not any(torch.equal(weights[key], other[key]) for key in weights)


def test_the_map_has_the_keys_of_the_design_its_nulls_and_each_photograph():
    figures, weights = local.map_seed(local.LOCAL, 0)
    wanted = {f"{kind}.{of}" for kind in ("pinwheels", "surrogate") for of in ("count", "density")}
    wanted |= {"map_smoothness_z.local", "map_smoothness_ratio.local", "seconds_per_step"}
    assert wanted <= figures.keys()
    for name in "abcd":
        assert figures[f"energy.{name}"] > 0
        assert 0 < figures[f"unexplained.{name}"] < 1.5
    assert weights["filters"].shape == (16, 144)
    assert set((16 * weights["filters"]).unique().tolist()) <= set(range(-16, 17))
    assert weights["theta_local"].shape == weights["selectivity_local"].shape == (144,)
    assert weights["curve_energy"].shape == (4,)


def test_controls_have_keys_of_their_own():
    for name in local.CONTROLS:
        figures, weights = local.control_seed(name, local.LOCAL, 0)
        assert all(key.endswith(f".{name}") for key in figures)
        assert set(weights) == {f"theta_{name}", f"selectivity_{name}"}


def test_the_film_begins_with_noise_and_ends_as_the_map_of_the_same_seed():
    figures, film = local.film_seed(local.FILM, 0)
    assert list(figures) == [f"map_smoothness_ratio.{step}" for step in (0, 1, 4)]
    begun = np.random.default_rng([0, 5])
    Wd = unit_columns(data.gaussian_dictionary(16, 144, begun))
    for frame, looks in [
        (0, local.looks(Wd, local.LOCAL, "local")),
        (2, local.map_seed(local.LOCAL, 0)[1]),
    ]:
        assert near(film["theta"][frame], looks["theta_local"], np.pi / 128, np.pi)
        assert near(film["selectivity"][frame], looks["selectivity_local"], 1 / 64)
    assert not torch.equal(film["theta"][1], film["theta"][2])


def near(a, b, most, period=math.inf):
    """Whether a and b, which may go round, are nowhere further apart than most."""
    apart = (a - b).abs()
    return bool((torch.minimum(apart, (period - apart).abs()) < most + 1e-6).all())


def test_the_stored_film_comes_close_to_the_stored_map():
    """Not to the last digit: when that map was learned, filters and encoder began in one memory."""
    film, stored = data.weights("local_film"), data.weights("local")
    steps = data.results("local_film")["settings"]["watched"]
    assert film["theta"].shape == film["selectivity"].shape == (len(steps), 10_000)
    a = torch.polar(film["selectivity"][-1], 2 * film["theta"][-1])
    b = torch.polar(stored["selectivity_local"], 2 * stored["theta_local"])
    assert torch.vdot(a, b).abs() > 0.95 * a.norm() * b.norm()
    ratios, known = (data.results(name)["figures"] for name in ("local_film", "local"))
    assert ratios["map_smoothness_ratio.0"]["values"][0] > 0.95
    last = ratios["map_smoothness_ratio.1000"]["values"][0]
    assert last == pytest.approx(known["map_smoothness_ratio.local"]["values"][0], rel=0.01)


def test_each_control_takes_away_one_cause():
    rng, images = np.random.default_rng(0), local.photographs(local.LOCAL)[0]
    _, pools, lmbd = local.as_it_is(images, local.LOCAL, rng)
    _, single, price = local.WITHOUT["l1_control"](images, local.LOCAL, rng)
    assert single.window.tolist() == [1.0]
    one = torch.zeros(1, 144)
    one[0, 70] = 1.0
    alone = lmbd * built.over_pools(one, pools).sqrt().sum().item()
    assert price == pytest.approx(alone, rel=1e-5)
    _, permuted, price = local.WITHOUT["permuted_control"](images, local.LOCAL, rng)
    assert (permuted.order != torch.arange(144)).float().mean() > 0.7
    assert torch.equal(permuted.window, pools.window)
    assert price == lmbd
    x, same, price = local.WITHOUT["noise_control"](images, local.LOCAL, rng)
    assert torch.equal(same.window, pools.window)
    assert same.order is None
    assert price == lmbd
    x = next(x)
    assert x.shape == (4, 225)
    assert abs(x.std() - 1) < 0.1
    assert (
        local.CONTROLS.keys() <= local.WITHOUT.keys() <= local.CONTROLS.keys() | set(local.EQUALS)
    )


@pytest.mark.parametrize("name", local.EQUALS)
def test_runs_of_equal_length_have_their_measures(name):
    figures, weights = local.equal_seed(name, local.EQUAL, 0)
    looks = {f"theta_{name}", f"selectivity_{name}"}
    assert set(weights) == looks | ({f"filters_{name}"} if name.startswith("shared") else set())
    units = local.sheet_of(local.EQUAL).units
    assert all(len(weights[key]) == units for key in looks)
    assert figures == local.equal_seed(name, local.EQUAL, 0)[0]
    assert all(math.isfinite(value) for value in figures.values())
    assert 0 <= figures[f"near_axes.{name}"] <= 1
    if name != "permuted_control":
        same = figures[f"ratio_in_pools.{name}"], figures[f"map_smoothness_ratio.{name}"]
        assert same[0] == pytest.approx(same[1], rel=0.05)


def test_turned_images_are_turned_whole_and_upright():
    turned = local.turned_images(local.LOCAL)
    assert set(turned) == set("abd")
    assert all(image.shape == (24, 24) for image in turned.values())


def test_shuffled_blocks_keep_units_in_their_block():
    order = local.shuffled_blocks(12, 4, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(144))
    row, column = torch.arange(144) // 12, torch.arange(144) % 12
    assert torch.equal(order // 12 // 4, row // 4)
    assert torch.equal(order % 12 // 4, column // 4)
    assert (order != torch.arange(144)).float().mean() > 0.7


def test_whitened_images_are_the_photographs_by_name_each_whitened():
    images = data.natural_images()
    whitened = data.whitened_images()
    assert list(whitened) == list(images)
    assert all(torch.equal(whitened[name], data.whiten(images[name])) for name in images)


def test_held_out_photographs_are_not_learned_from():
    images, held_out = local.photographs(local.LOCAL)
    assert set(images) == set("abd")
    assert set(held_out) == {"c"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for the reader's own photographs, which COURSE_DATA names."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def put(path, shape=(40, 30), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    imsave(path, pixels, check_contrast=False)
    return pixels


def test_own_images_are_read_grey_or_coloured(folder):
    grey = put(folder / "a.png")
    put(folder / "b.JPG", (50, 40, 3))
    put(folder / "c.png", (50, 40, 4))
    (folder / "notes.txt").write_text("no picture")
    images = local.own_images()
    assert list(images) == ["a.png", "b.JPG", "c.png"]
    assert torch.allclose(images["a.png"], torch.from_numpy(grey / 255).float())
    assert images["b.JPG"].shape == images["c.png"].shape == (50, 40)
    assert all(0 <= image.min() <= image.max() <= 1 for image in images.values())


def test_without_own_images_it_says_where_to_put_them(folder, monkeypatch):
    with pytest.raises(FileNotFoundError, match="put your photographs there"):
        local.own_images()
    monkeypatch.delenv("COURSE_DATA")
    with pytest.raises(FileNotFoundError, match="COURSE_DATA is not set"):
        local.own_images()


def test_a_file_that_is_no_picture_is_named(folder):
    (folder / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read"):
        local.own_images()


def test_a_photograph_is_turned_as_the_camera_was_held(folder):
    picture = Image.fromarray(np.zeros((40, 30), np.uint8))
    exif = picture.getexif()
    exif[274] = 6  # Orientation: turn by 90 degrees
    picture.save(folder / "a.jpg", exif=exif)
    assert local.own_images()["a.jpg"].shape == (30, 40)


def test_a_picture_with_16_bits_is_refused_by_name(folder):
    Image.fromarray(np.full((40, 30), 40_000, np.uint16)).save(folder / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png .* 8 bits"):
        local.own_images()


def test_files_of_one_name_and_two_kinds_are_two_pictures(folder):
    put(folder / "a.png")
    put(folder / "a.jpg")
    assert len(local.own_images()) == 2


def test_the_map_can_be_learned_from_own_photographs(folder):
    for k, name in enumerate(("x", "y", "z")):
        put(folder / f"{name}.png", seed=k)
    figures, _ = local.map_seed(local.LOCAL, 0, local.own_photographs)
    assert {f"energy.{name}.png" for name in "xyz"} <= figures.keys()


def test_own_photographs_that_will_not_do_are_refused(folder):
    put(folder / "a.png")
    with pytest.raises(ValueError, match="too few"):
        local.own_photographs(local.LOCAL)
    put(folder / "small.png", (10, 40))
    with pytest.raises(ValueError, match=r"smaller than 15 x 15: small\.png"):
        local.own_photographs(local.LOCAL)


def test_the_live_claims_of_chapter_5_hold_for_ten_seeds():
    figures = {name: f["values"] for name, f in data.results("local_live")["figures"].items()}
    assert len(figures["ratio"]) == 10
    assert max(figures["ratio"]) < 0.5
    assert min(figures["selectivity"]) > 0.5
    assert min(figures["near"]) > 1.5
    assert 0.5 < min(figures["use_of_blobs"]) < max(figures["use_of_blobs"]) < 2
    # When the ten ran, the claim on blobs had the bound 0.8, and three runs broke it; and the
    # guess of seed 8 had 0.84 of the error of a rule with two numbers, where 0.8 was claimed.
    broken = [int(value < 0.8) for value in figures["use_of_blobs"]]
    assert figures["broken_claims"] == [a + (seed == 8) for seed, a in enumerate(broken)]


def test_the_stored_map_is_smooth_beside_its_controls():
    figures = {name: f["values"] for name, f in data.results("local")["figures"].items()}
    assert max(figures["map_smoothness_ratio.local"]) < 0.5
    for name in ("l1_control", "permuted_control"):
        assert min(figures[f"map_smoothness_ratio.{name}"]) > 0.9
    stored = data.weights("local")
    moment = torch.polar(stored["selectivity_local"], 2 * stored["theta_local"])
    F = built.smoothed(moment.reshape(100, 100), 1.0)
    count = built.pinwheels(F).abs().sum().item()
    assert count == pytest.approx(figures["pinwheels.count"][0], rel=0.03)  # stored in float16
