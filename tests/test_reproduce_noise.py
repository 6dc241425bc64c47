"""Chapter 6 at full size, in small: models, budgets, choices, bits."""

import math

import numpy as np
import pytest
import torch

from course_utils import data
from course_utils.built import drsae, vae
from course_utils.data import Labelled
from course_utils.reproduce import drsae as drsae_run
from course_utils.reproduce import noise
from course_utils.tools.mnist import Mnist


def settings():
    """The settings of the run `noise`, as small as the fixture makes them."""
    return noise.NOISE | {"choices": noise.CHOICES, "chosen": noise.CHOSEN}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few steps on few small pictures of noise; no point so bad that the line takes no bits."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.random((300, 64), np.float32))
    parts = [Labelled(x[:200], torch.arange(200) % 10), Labelled(x[200:], torch.arange(100) % 10)]
    monkeypatch.setattr(drsae_run, "mnist", lambda: Mnist(*parts))
    steps = dict.fromkeys(noise.LABELS, 3)
    for key, value in {
        "split": [150, 50],
        "hidden": 8,
        "m": 8,
        "batch": 20,
        "steps": steps,
    }.items():
        monkeypatch.setitem(noise.NOISE, key, value)
    monkeypatch.setattr(vae, "gaussian_bits", lambda variances, distortion: 1.0)
    short = {"first": [20, 1e-3, 2], "half": [20, 1e-3, 2], "whole": [20, 1e-3, 4]}
    changes = {
        "trainings": dict.fromkeys(noise.BITS["sparse"], short),
        "linear": [20, 1e-3, 2],
        "dictionary_steps": [1, 2],
    }
    changes |= {"patches": [300, 60], "trap_steps": [2, 4], "cuts": [[], [0.5]]}
    for key, value in changes.items():
        monkeypatch.setitem(noise.BITS, key, value)


@pytest.mark.parametrize(("model", "labels"), noise.RUNS, ids="-".join)
def test_each_model_has_six_settings_and_no_setting_twice(model, labels):
    six = noise.choices(settings(), model, labels)
    assert len(six) == 6
    assert len({tuple(sorted(setting.items())) for setting in six}) == 6
    wants_all = {setting["all"] for setting in six}
    assert wants_all == ({False} if model == "classifier" or labels == "all" else {False, True})
    assert 0 <= noise.CHOSEN[model][labels] < 6


@pytest.mark.parametrize("model", noise.CHOICES)
def test_figures_are_those_of_the_design_and_repeat(model):
    figures, weights = noise.label_seed(model, "10", settings(), 0)
    assert set(figures) == {f"{part}_error_percent.{model}.10" for part in ("test", "validation")}
    assert all(0 <= value <= 100 for value in figures.values())
    assert weights == {}
    assert noise.label_seed(model, "10", settings(), 0)[0] == figures
    chosen, _ = noise.choice_seed(model, "10", settings(), 0)
    assert set(chosen) == {f"validation_error_percent.{model}.10.{k}" for k in range(6)}


def test_the_rectified_code_is_the_sparse_one_at_no_price():
    figures, _ = noise.rectified_seed("10", settings(), 0)
    assert set(figures) == {f"{part}_error_percent.rectified.10" for part in ("test", "validation")}
    setting = noise.choices(settings(), "sparse", "10")[noise.CHOSEN["sparse"]["10"]] | {
        "limit": 0.0
    }
    net, (_, test_on) = noise.train(settings(), "sparse", "10", setting, 0)
    assert figures["test_error_percent.rectified.10"] == drsae.error_percent(net, *test_on)


WEIGHTS = {  # of the first setting, for images of 64 pixels
    "classifier": {"classification": 1.0},
    "autoencoder": {"reconstruction": 1.0, "classification": 64.0},
    "sparse": {"reconstruction": 1.0, "classification": 64.0, "sparsity": 0.14},
    "vae": {"reconstruction": 1.0, "classification": 64.0, "rate": 1.0},
}


@pytest.mark.parametrize("model", WEIGHTS)
def test_the_learner_is_handed_what_the_setting_says(model, monkeypatch):
    asked = []
    monkeypatch.setattr(noise.vae, "learn", lambda *given: asked.append(given[3:]))
    for number in (0, 5):
        noise.train(settings(), model, "all", noise.choices(settings(), model, "all")[number], 0)
    steps = noise.NOISE["steps"]["all"]
    assert asked[0] == (steps, WEIGHTS[model], 1e-3, 0.0)
    if model == "classifier":
        assert asked[1] == (steps, WEIGHTS[model], 3e-3, 1.0)


def test_drsae_takes_as_many_steps_with_its_own_weights(monkeypatch):
    asked, plain = [], drsae.learning_step

    def noted(optimizer, schedule, weights, bounds):
        asked.append((weights, bounds))
        return plain(optimizer, schedule, weights, bounds)

    monkeypatch.setattr(drsae, "learning_step", noted)
    monkeypatch.setattr(noise, "fit", lambda step, net, stream, steps: asked.append(steps))
    noise.train(settings(), "drsae", "100", noise.choices(settings(), "drsae", "100")[0], 0)
    weights = {"reconstruction": 1.0, "sparsity": 0.02, "classification": 0.1}
    assert asked == [(weights, drsae.BOUNDS), noise.NOISE["steps"]["100"]]


def test_choosing_never_reads_the_test_set(monkeypatch):
    seen = []
    monkeypatch.setattr(drsae, "error_percent", lambda net, x, y: seen.append(len(x)) or 0.0)
    noise.choice_seed("classifier", "10", settings(), 0)
    assert set(seen) == {50}  # of 100 to test on, none


def test_encoders_are_of_equal_size():
    sizes = {}
    for model in noise.CHOICES:
        setting = noise.choices(settings(), model, "all")[0]
        net = noise.first_net(
            settings(), model, torch.rand(30, 64), setting, np.random.default_rng(0)
        )
        parts = [net.We, net.S, net.b] if model == "drsae" else net.encoder.parameters()
        sizes[model] = sum(part.numel() for part in parts)
    assert max(sizes.values()) <= 1.02 * min(sizes.values())


def test_only_the_classifier_leaves_the_decoder_as_it_was():
    for model in ("classifier", "autoencoder"):
        setting = noise.choices(settings(), model, "10")[0] | {"decay": 0.0}
        net, _ = noise.train(settings(), model, "10", setting, 0)
        torch.manual_seed(0)
        rng = np.random.default_rng([0, 1])
        before = noise.first_net(settings(), model, torch.rand(30, 64), setting, rng)
        same = torch.equal(net.decode[0].weight, before.decode[0].weight)
        assert same == (model == "classifier")


def test_images_are_scaled_for_networks_and_left_at_norm_1_for_drsae():
    part = Labelled(torch.ones(2, 4) / 2, torch.zeros(2).long())
    assert torch.equal(noise.scaled("drsae", part).x, part.x)
    assert noise.scaled("vae", part).x.norm(dim=1).tolist() == [2, 2]


@pytest.mark.parametrize("name", ["digits", "patches"])
def test_bits_have_a_figure_for_each_way_and_price_and_weights_to_show(name):
    figures, weights = noise.sparse_seed(name, noise.BITS, 0)
    for way, beta in [(way, beta) for at, way, beta in noise.BILLS if at == name]:
        more, of_net = noise.noisy_seed(name, way, beta, noise.BITS, 0)
        figures, weights = figures | more, weights | of_net
    prices = dict.fromkeys(("sparse", "sparse_told", "contrast_null"), noise.BITS["sparse"][name])
    prices |= dict.fromkeys([*noise.NOISY, "best_linear"], noise.BITS["noisy"][name])
    wanted = {f"{name}.{way}.{price}" for way, these in prices.items() for price in these}
    wanted |= {f"{name}.sparse.{price}.first" for price in noise.BITS["sparse"][name]}
    lengths = ("first", "half")
    wanted |= {f"{name}.noisy.{b}.{at}" for b in noise.BITS["noisy"][name] for at in lengths}
    kinds = ("bits", "distortion", "over_line")
    assert set(figures) == {f"{kind}.{key}" for kind in kinds for key in wanted}
    assert all(value > 0 for key, value in figures.items() if "contrast_null" not in key)
    assert {f"{name}.{key}" for key in ("Wd", "on", "value", "centre")} <= set(weights)
    net = noise.noisy_net(noise.BITS, "noisy", torch.rand(300, 64), 0.3, [20, 1e-3, 2], 0)
    assert {f"{name}.{key}" for key in net.state_dict()} <= set(weights)


def test_a_training_that_overflows_begins_anew_at_half_the_rate(monkeypatch):
    paces = []

    def fragile(s, way, x, beta, training, seed):
        paces.append(training[1])
        if training[1] > 0.3:
            raise FloatingPointError("step 7: reconstruction is inf")
        return "net"

    monkeypatch.setattr(noise, "noisy_net", fragile)
    x = torch.rand(10, 64)
    assert noise.settled_net(noise.BITS, "noisy", x, 0.3, [20, 1.0, 9], 0) == ("net", 2)
    assert paces == [1.0, 0.5, 0.25]
    with pytest.raises(FloatingPointError):
        noise.settled_net(noise.BITS, "noisy", x, 0.3, [20, 100.0, 9], 0)


def test_the_null_of_contrast_takes_the_parting_that_is_best_where_it_was_fitted():
    """A part of the patches is ten times as strong: to say which saves bits; one class does not."""
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32))
    x[::2] *= 10
    both = noise.contrast_bill(x, x, 40.0, [[], [0.5]])
    assert both.bits < noise.contrast_bill(x, x, 40.0, [[]]).bits - 1
    assert both.distortion == 40.0


def test_tables_that_are_told_the_contrast_save_what_it_tells():
    """Every other input is strong, and only there are units on, each in half of the cases."""
    rng = np.random.default_rng(0)
    x = torch.ones(4000, 2)
    z = torch.from_numpy(rng.integers(2, size=(4000, 8)).astype(np.float32))
    x[::2], z[1::2] = 10, 0
    seen, measured = (x[:2000], z[:2000]), (x[2000:], z[2000:])
    told = noise.told_bits(seen, measured, 1.0, [[], [0.5], [0.25, 0.5, 0.75]])
    assert told == pytest.approx(1 + 8 / 2, abs=0.05)  # the class; half of the time, eight coins
    untold = noise.told_bits(seen, measured, 1.0, [[]])
    quarter = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert untold == pytest.approx(8 * quarter, abs=0.05)


def test_held_out_photographs_are_held_out(monkeypatch):
    dark = {name: torch.zeros(20, 20) for name in data.natural_images()}
    bright = {name: torch.ones(20, 20) for name in noise.BITS["held_out"]}
    monkeypatch.setattr(noise, "whitened_images", lambda: dark | bright)
    x_fit, x, _, _ = noise.bits_data(noise.BITS, "patches", 0)
    assert not x_fit.any()
    assert (x == 1).all()


def test_the_trap_is_measured_after_each_length():
    figures, _ = noise.trap_seed(noise.BITS, 0)
    lengths = noise.BITS["trap_steps"]
    wanted = {
        f"trap.{name}.{kind}.{steps}"
        for name in ("plain", "sparse", "vae")
        for kind in ("digits", "noise")
        for steps in lengths
    }
    for steps in lengths:
        wanted |= {f"{key}.{steps}" for key in ("loud_units", "quiet_bits")}
        wanted |= {f"{kind}.trap.{steps}" for kind in ("bits", "distortion", "over_line")}
    assert set(figures) == wanted
    assert all(math.isfinite(value) for value in figures.values())


def test_what_was_chosen_is_what_validation_found_best():
    stored = data.results("noise_choice")["figures"]
    for model, labels in noise.RUNS:
        errors = [
            stored[f"validation_error_percent.{model}.{labels}.{k}"]["values"][0] for k in range(6)
        ]
        assert noise.CHOSEN[model][labels] == errors.index(min(errors))


def test_prices_whose_weights_are_kept_are_among_the_prices():
    for name, (lmbd, beta) in noise.BITS["shown"].items():
        assert lmbd in noise.BITS["sparse"][name]
        assert beta in noise.BITS["noisy"][name]
    assert noise.NOISY["noisy"][1] is vae.gaussian_rate
