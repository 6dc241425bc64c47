"""Chapter 4 at full size, in small: the map, the sweeps, features of MNIST, few labels."""

import math

import numpy as np
import pytest
import torch

from course_utils.built import groups as built
from course_utils.data import Labelled
from course_utils.reproduce import groups
from course_utils.tools.mnist import Mnist


def settings():
    """The settings of the run `groups`, as small as the fixture makes them."""
    return {"map": groups.MAP, "patches": groups.PATCHES, "mnist": groups.MNIST}


def of_sweeps():
    """Those of `groups_sweep`."""
    return groups.SWEEP | {"sweeps": groups.SWEEPS, "patches": groups.PATCHES}


def of_overlaps():
    """Those of `groups_overlap`."""
    return groups.OVERLAP | {"overlaps": groups.OVERLAPS, "patches": groups.PATCHES}


PARTS = {
    "overlap": lambda seed: groups.overlap_seed("stride1.price2", of_overlaps(), seed),
    "map": lambda seed: groups.map_seed(settings(), seed),
    "sweep": lambda seed: groups.sweep_seed("noise", of_sweeps(), seed),
    "mnist": lambda seed: groups.mnist_seed(settings(), seed),
    "few_labels": lambda seed: groups.few_labels_seed(settings(), seed),
    "rivals": lambda seed: groups.rivals_seed(groups.RIVALS, seed),
}
KINDS = ("", "_frequency", "_place")
CODE = ("unexplained", "price_alone", "gap_closed_by_guess")
CODE += tuple(f"{code}_{of}" for code in ("group", "l1") for of in ("units", "pools"))
CODE += tuple(f"{code}_pools_shuffled" for code in ("group", "l1"))
CODE += tuple(
    f"{code}_{of}"
    for code in ("group", "l1")
    for of in ("norms", *(f"pools_over_{least}" for least in (0.1, 0.2, 0.5)))
)


def of_map(name):
    """The names of a map's measures."""
    smooth = [f"map_smoothness_{of}{kind}.{name}" for of in ("z", "ratio") for kind in KINDS]
    return {f"selectivity.{name}", *smooth}


def fake_digits(count, rng):
    """Digits (count, 784): each a blurred blob of its class, with noise."""
    y = torch.arange(count) % 10
    blobs = torch.from_numpy(np.random.default_rng(0).random((10, 1, 7, 7), np.float32))
    blobs = torch.nn.functional.interpolate(blobs, (28, 28), mode="bilinear").reshape(10, 784)
    noise = torch.from_numpy(rng.random((count, 784), np.float32))
    return Labelled(0.8 * blobs[y] + 0.2 * noise, y)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few steps on few patches of small pictures, and made-up digits in place of MNIST."""
    rng = np.random.default_rng(0)
    pictures = {k: torch.from_numpy(rng.random((64, 64), np.float32)) for k in "ab"}
    digits = Mnist(fake_digits(400, rng), fake_digits(60, rng))
    monkeypatch.setattr(groups.data, "natural_images", lambda: pictures)
    monkeypatch.setattr(groups, "mnist", lambda: digits)
    changes = {
        "MAP": {"side": 8, "pool": 4, "steps": 5},
        "PATCHES": {"count": 300},
        "SWEEP": {"side": 6, "steps": 5},
        "OVERLAP": {"side": 6, "steps": 5},
        "MNIST": {
            "patches": 260 * 25,
            "steps": 3,
            "split": [300, 60],
            "C": {"pooled_5x5": [1e-3, 1e-2], "pooled_single": [1e-2]},
            "C_few": [1e-3],
            "labels": [1, 3],
        },
    }
    changes["RIVALS"] = changes["MNIST"] | {"few": 3}
    for name, values in changes.items():
        for key, value in values.items():
            monkeypatch.setitem(getattr(groups, name), key, value)


@pytest.mark.parametrize("name", PARTS)
def test_figures_are_finite_and_the_same_for_the_same_seed(name):
    figures, weights = PARTS[name](0)
    again, same = PARTS[name](0)
    assert figures == again
    assert all(math.isfinite(value) for value in figures.values())
    assert weights.keys() == same.keys()
    assert all(torch.equal(weights[key], same[key]) for key in weights)


def test_another_seed_gives_another_map():
    assert not torch.allclose(
        groups.map_seed(settings(), 0)[1]["map"], groups.map_seed(settings(), 1)[1]["map"], atol=0.1
    )


def test_the_map_has_its_measures_those_of_the_control_and_its_weights():
    figures, weights = groups.map_seed(settings(), 0)
    assert figures.keys() == of_map("pools") | of_map("l1_control") | {f"{k}.map" for k in CODE}
    shapes = {key: tuple(value.shape) for key, value in weights.items()}
    filters = {"map": (144, 64), "map_l1": (144, 64)}
    assert shapes == filters | {"map_We": (64, 144), "map_b": (64,), "map_gain": (64,)}


def test_a_sweep_has_the_measures_of_its_map_its_code_and_its_invariance():
    figures, weights = groups.sweep_seed("noise", of_sweeps(), 0)
    moves = [f"shift{k}" for k in (0, 1, 2, 3, 4, 6, 8)]
    moves += [f"turn{k}" for k in (5, 10, 15, 25, 35, 45, 60, 90)]
    expected = {f"{k}.noise" for k in CODE} | {f"change.noise.{move}" for move in moves}
    assert figures.keys() == of_map("noise") | expected
    assert figures["change.noise.shift0"] == 0
    assert figures["change.noise.shift1"] > 0.1
    assert weights["noise"].shape == (144, 36)


def test_l1_is_compared_where_it_rebuilds_as_much():
    rng = np.random.default_rng(0)
    x, pools = groups.patches(rng, 300), groups.torus(groups.MAP)
    Wd, g, _ = built.learn_predictive(x, pools, 4.0, 5, rng)
    figures = groups.code_measures(x, Wd, g, pools, 4.0, "it", rng)
    strong = x[x.norm(dim=1) > x.norm(dim=1).median()]
    z = built.l1_codes_at(strong, Wd, figures["unexplained.it"])
    assert figures["l1_units.it"] == pytest.approx(built.count_for_share(z).float().mean())


def test_noise_is_learned_from_noise():
    x = groups.patches(np.random.default_rng(0), 2000, noise=True)
    assert torch.cov(x.T).diag().mean() == pytest.approx(1, abs=0.05)
    assert x[:, 0] @ x[:, 1] / len(x) == pytest.approx(0, abs=0.1)


def test_every_sweep_changes_known_settings_and_its_pools_fit():
    for changes in groups.SWEEPS.values():
        assert changes.keys() <= groups.SWEEP.keys() | {"noise"}
        pools = groups.torus({**groups.SWEEP, "side": 16} | changes)
        assert pools.any(0).all()


def test_a_unit_alone_pays_the_same_at_any_stride():
    prices = []
    for name in ("pool6", "stride2", "stride4"):
        s = groups.SWEEP | {"side": 16} | groups.SWEEPS[name]
        prices.append(s["lmbd"] * groups.torus(s).sqrt().sum(0).mean().item())
    assert prices == pytest.approx(prices[:1] * 3, rel=1e-5)


def test_mnist_has_the_errors_of_both_features():
    figures, weights = groups.mnist_seed(settings(), 0)
    kinds = ("mnist_error_percent", "mnist_validation_percent", "mnist_C")
    names = ("pooled_5x5", "pooled_single")
    assert figures.keys() == {f"{kind}.{name}" for kind in kinds for name in names}
    assert figures["mnist_error_percent.pooled_5x5"] < 20  # by chance, 90
    assert not weights


def test_few_labels_have_the_errors_of_each_feature_and_number():
    figures, _ = groups.few_labels_seed(settings(), 0)
    kinds = ("mnist_error_percent", "mnist_validation_percent", "mnist_C")
    names = ("pixels", "l1", "pooled")
    expected = {f"{kind}.{name}.{few}" for kind in kinds for name in names for few in (1, 3)}
    assert figures.keys() == expected


def test_rivals_have_the_errors_of_each_feature():
    figures, _ = groups.rivals_seed(groups.RIVALS, 0)
    kinds = ("mnist_error_percent", "mnist_validation_percent", "mnist_C")
    names = ("pooled", "random_pools", "units", "l1_0.5", "l1_1.0", "l1_2.0", "l1_4.0")
    assert figures.keys() == {f"{kind}.{name}.3" for kind in kinds for name in names}


def test_random_pools_are_as_many_and_as_large_but_of_other_units(monkeypatch):
    seen = {}

    def keep(fit_on, choose_on, test_on, Cs, name):
        """Keep the features of the few digits that are learned from."""
        seen[name.removesuffix(".3")] = fit_on[0]
        return {}

    monkeypatch.setattr(groups, "best_svm", keep)
    groups.rivals_seed(groups.RIVALS, 0)
    units, pooled, at_random = (seen[name] for name in ("units", "pooled", "random_pools"))
    assert units.shape == (30, 25 * 512)
    assert pooled.shape == at_random.shape == (30, 25 * 128)
    assert not np.allclose(pooled, at_random, rtol=0.1)
    # a pool's weights sum to one number, so as long as units are alike, so are all pools
    squares = [(x.reshape(30, 25, -1) ** 2).sum((0, 1, 2)) for x in (pooled, at_random)]
    assert squares[0] == pytest.approx(squares[1], rel=0.2)


def test_windows_are_cut_row_by_row_and_centred():
    images = torch.from_numpy(np.random.default_rng(0).random((2, 784), np.float32))
    seen = groups.windows_of(images, groups.MNIST).reshape(2, 5, 5, 256)
    for i, top in enumerate(groups.MNIST["places"]):
        for j, left in enumerate(groups.MNIST["places"]):
            cut = images.reshape(2, 28, 28)[:, top : top + 16, left : left + 16].reshape(2, 256)
            assert torch.equal(seen[:, i, j], groups.centred(cut))


def test_centred_rows_have_mean_0_and_keep_their_contrasts():
    x = torch.tensor([[1.0, 3.0], [5.0, 6.0]])
    assert torch.allclose(groups.centred(x), torch.tensor([[-1.0, 1], [-0.5, 0.5]]) / 0.3)


def test_a_digit_is_shrunk_to_the_means_of_its_parts():
    images = torch.from_numpy(np.random.default_rng(0).random((3, 784), np.float32))
    s = groups.MNIST | {"window": 14}
    means = images.reshape(3, 14, 2, 14, 2).mean((2, 4)).reshape(3, 196)
    assert torch.allclose(groups.shrunk(images, s), groups.centred(means), atol=1e-6)


def test_128_pools_hold_512_units_each_in_9_of_them():
    pools = groups.mnist_pools(groups.MNIST)
    assert pools.shape == (128, 512)
    assert ((pools > 0).sum(0) == 9).all()
    assert ((pools > 0).sum(1) == 36).all()


def test_the_svm_is_chosen_by_its_validation_error():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=(3, 60))
    parts = [(rng.standard_normal((60, 20)) + label[:, None], label) for label in y]
    alone = {C: groups.best_svm(*parts, [C], "it") for C in (1e-5, 1e-3, 1e1)}
    best = min(alone.values(), key=lambda figures: figures["mnist_validation_percent.it"])
    assert len({figures["mnist_validation_percent.it"] for figures in alone.values()}) > 1
    assert groups.best_svm(*parts, list(alone), "it") == best
