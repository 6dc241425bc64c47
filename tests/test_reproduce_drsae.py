"""DrSAE at full size, in small: stopped and gone on with, few labels, what is stored."""

import numpy as np
import pytest
import torch

from course_utils.built import drsae as built
from course_utils.built import ista
from course_utils.data import Labelled, digits, results, shared, weights
from course_utils.reproduce import (
    drsae,
    drsae_by_hand,
    drsae_measured,
    drsae_null,
    drsae_paper,
)
from course_utils.tools.mnist import Mnist

SMALL = {
    "m": 30,
    "T": 3,
    "split": [600, 200],
    "epochs": 4,
    "epochs_without_labels": 1,
    "batch": 20,
    "average": 0.05,
}


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch, tmp_path):
    """Digits of 8 x 8 in place of MNIST, and a cache of our own."""
    x, y = digits()
    parts = Mnist(Labelled(x[:1000], y[:1000]), Labelled(x[1000:], y[1000:]))
    for module in (drsae, drsae_paper):
        monkeypatch.setattr(module, "mnist", lambda: parts)
    monkeypatch.setattr(drsae.pooch, "os_cache", lambda _: tmp_path)
    return tmp_path


def test_a_run_returns_errors_shares_weights_and_statistics_and_cleans_up(small_mnist):
    figures, weights = drsae.train_on_mnist("small", drsae.PAPER | SMALL | {"epochs": 12}, 0)
    assert figures["test_error_percent.small"] < 30
    assert figures["validation_error_percent.small"] < 30
    assert 0 <= figures["part_units_percent.small"] <= 100
    assert weights["We"].shape == (30, 64)
    assert weights["means"].shape == (30, 10)
    assert weights["slopes_trained"].shape == (3,)
    assert not list((small_mnist / "runs").iterdir())


@pytest.mark.parametrize("moment", [7, 75])  # in the first epoch of 30 steps, in the third
def test_a_killed_run_goes_on_with_the_same_result_to_the_last_digit(moment, monkeypatch):
    whole, weights = drsae.train_on_mnist("small", drsae.PAPER | SMALL, 1)
    hold, calls = drsae.drsae.hold, []

    def dies(net, bounds):
        calls.append(1)
        if len(calls) == moment:
            raise KeyboardInterrupt
        hold(net, bounds)

    with monkeypatch.context() as patched:
        patched.setattr(drsae.drsae, "hold", dies)
        with pytest.raises(KeyboardInterrupt):
            drsae.train_on_mnist("small", drsae.PAPER | SMALL, 1)
    again, same = drsae.train_on_mnist("small", drsae.PAPER | SMALL, 1)
    assert again == pytest.approx(whole, rel=0, abs=0, nan_ok=True)
    assert all(torch.equal(weights[key], same[key]) for key in weights)


def test_few_labels_are_as_many_of_each_digit_and_the_other_images_come_without():
    s = drsae.PAPER | SMALL | {"labels_per_class": 5}
    images, labelled, _, _ = drsae.mnist_parts(0, s)
    assert labelled.y.bincount().tolist() == [5] * 10
    assert len(images.x) == 600
    x, y = next(drsae.pairs(images, labelled, 50, np.random.default_rng(0)))
    assert (len(x), len(y)) == (100, 50)
    images, labelled, _, _ = drsae.mnist_parts(0, s | {"unlabelled_too": False})
    assert images is labelled


@pytest.mark.parametrize(
    "changes",
    [
        {"labels_per_class": 2},
        {"labels_per_class": 2, "unlabelled_too": False},
        {"S": "zero"},
        {"S": "fixed"},
        {"S": "coupled"},
        {"S": "tied"},
        {"evidence": "code"},
        {"epochs": 2, "epochs_without_labels": 1},
        {"T": 1},
        {"weights": {"reconstruction": 0.0, "sparsity": 0.0, "classification": 1.0}},
    ],
)
def test_each_variant_runs(changes):
    figures, _ = drsae.train_on_mnist("small", drsae.PAPER | SMALL | {"epochs": 1} | changes, 0)
    assert np.isfinite(figures["test_error_percent.small"])


@pytest.mark.parametrize("kind", ["zero", "fixed"])
def test_an_S_that_is_not_learned_stays_as_it_started(kind):
    _, weights = drsae.train_on_mnist("small", drsae.PAPER | SMALL | {"S": kind}, 0)
    images, *_ = drsae.mnist_parts(0, drsae.PAPER | SMALL)
    start = drsae.first_net(images.x, drsae.PAPER | SMALL | {"S": kind}, 0)
    assert torch.equal(weights["S"], start.S)
    assert (kind == "zero") == (not start.S.any())


@pytest.mark.parametrize("kind", ["coupled", "tied"])
def test_a_matrix_that_is_made_of_others_follows_them(kind):
    s = drsae.PAPER | SMALL | {"S": kind, "epochs": 1, "epochs_without_labels": 0}
    images, labelled, _, _ = drsae.mnist_parts(0, s)
    net = drsae.first_net(images.x, s, 0)
    first = net.Wd.detach().clone()
    state = drsae.adam(net, s)
    step = drsae.averaging_step(state, s["weights"], s["bounds"])
    drsae.fit(step, net, drsae.pairs(images, labelled, 20, np.random.default_rng(0)), 5)
    for one in (net, state["average"].module):
        assert not torch.equal(one.Wd, first)
        assert torch.allclose(one.S, torch.eye(30) - one.We @ one.Wd, atol=1e-6)
        if kind == "tied":
            assert torch.allclose(one.We, 1.25 / 3 * one.Wd.T)
    learned = {name for name, p in net.named_parameters() if p.requires_grad}
    assert learned == {"Wd", "b", "Wc"} | ({"We"} if kind == "coupled" else set())


def test_a_code_with_its_length_is_classified_by_it():
    s = drsae.PAPER | SMALL
    images, *_ = drsae.mnist_parts(0, s)
    net = drsae.first_net(images.x, s, 0)
    torch.nn.init.normal_(net.Wc, generator=torch.Generator().manual_seed(0))
    pair = images.x[:9], images.y[:5]
    plain, long = (of(net, pair) for of in (built.of_pair, drsae.of_length))
    assert long["reconstruction"] == plain["reconstruction"]
    by_hand = torch.nn.functional.cross_entropy(net(pair[0])[:5] @ net.Wc.T, pair[1])
    assert long["classification"] == by_hand != plain["classification"]


@pytest.mark.parametrize("name", ["pixels", "frozen"])
def test_a_probe_sees_no_label_before_its_classifier_does(name):
    probes = {"C": [1.0, 100.0], "labels": [5, None]}
    s = drsae.PAPER | SMALL | {"probes": probes, "epochs": 2}
    figures, weights = drsae.probe_seed(name, s, 0)
    assert figures[f"ablation.{name}"] < figures[f"ablation.labels5_{name}"] < 60
    assert figures[f"C.{name}"] in probes["C"]
    assert not weights


def test_every_net_and_ablation_changes_known_settings_and_no_two_are_alike():
    changed = [*drsae.NETS.values(), *drsae.ABLATIONS.values(), drsae.SMALL, drsae.DESCENT]
    changed += drsae.DECIDING.values()
    assert all(set(changes) <= {*drsae.PAPER, "evidence"} for changes in changed)
    decided = [drsae.PAPER | changes for changes in drsae.DECIDING.values()]
    assert all(a != b for k, a in enumerate(decided) for b in decided[:k])
    # T = 11 is the network that all others differ from
    assert drsae.PAPER | drsae.ABLATIONS["T11"] == drsae.PAPER
    settings = [drsae.PAPER | drsae.ABLATIONS[name] for name in drsae.ABLATIONS]
    assert all(a != b for k, a in enumerate(settings) for b in settings[:k])


def test_only_the_largest_net_keeps_its_weights_and_an_ablation_has_its_own_key():
    paper = drsae.PAPER | SMALL
    s = paper | {"nets": {"400x11": {}, "200x2": {"T": 2, "rates": drsae.rates(2)}}}
    assert "We" in drsae.paper_seed("400x11", s, 0)[1]
    figures, weights = drsae.paper_seed("200x2", s, 0)
    assert "test_error_percent.200x2" in figures
    assert not weights
    s = paper | {"rates": drsae.DESCENT["rates"]} | {"nets": {"200x11": {}, "400x11": {"T": 2}}}
    assert "We" in drsae.descent_seed("200x11", s, 0)[1]
    figures, weights = drsae.descent_seed("400x11", s, 0)
    assert np.isfinite(figures["test_error_percent.400x11"])
    assert not weights
    s = paper | {"epochs": 1, "ablations": drsae.ABLATIONS}
    figures, weights = drsae.ablation_seed("T5", s, 0)
    assert {"ablation.T5", "validation_error_percent.T5"} <= set(figures)
    assert not weights


def test_each_matrix_learns_at_its_own_rate():
    s = drsae.PAPER | SMALL | {"S": "fixed"}
    images, *_ = drsae.mnist_parts(0, s)
    net = drsae.first_net(images.x, s, 0)
    groups = drsae.adam(net, s)["optimizer"].param_groups
    rates = {id(group["params"][0]): group["initial_lr"] for group in groups}
    assert rates == {id(getattr(net, name)): s["rates"][name] for name in ("We", "b", "Wd", "Wc")}


def test_the_stored_net_keeps_its_bounds_and_has_the_shares_that_were_noted():
    stored, noted = weights("drsae"), results("drsae")["figures"]
    net = built.DrSAE(stored["Wd"], 0.018, 11, 10)
    net.load_state_dict({name: stored[name] for name in net.state_dict()})
    assert net.Wd.norm(dim=0).max() < 1.001  # weights are stored in float16
    assert net.We.norm(dim=1).max() < 1.001 * 1.25 / 11
    assert net.Wc.norm(dim=1).max() < 1.001 * 5
    for name, share in built.unit_shares(net).items():
        first = noted[f"{name}.400x11"]["values"][0]
        assert share == pytest.approx(first or 0, abs=0.02) or first is None
    assert (shared("results") / "drsae.npz").stat().st_size <= 2e6


def test_errors_count_whole_digits_of_10000():
    noted = results("drsae")["figures"]
    for name in drsae.NETS:
        for kind in ("test", "validation"):
            wrong = np.array(noted[f"{kind}_error_percent.{name}"]["values"]) * 100
            assert np.allclose(wrong, wrong.round(), atol=1e-3)


@pytest.fixture
def tiny():
    """Matrices of 12 units for 9 inputs, in float64, none as it starts; inputs and digits."""
    draw = torch.Generator().manual_seed(0)
    shapes = {"We": (12, 9), "S": (12, 12), "b": (12,), "Wd": (9, 12), "Wc": (10, 12)}
    net = {k: 0.5 * torch.randn(v, generator=draw, dtype=torch.float64) for k, v in shapes.items()}
    x = torch.randn(7, 9, generator=draw, dtype=torch.float64)
    return net, x, torch.tensor([0, 3, 9, 3, 1, 1, 7])


def as_module(net, T):
    module = built.DrSAE(net["Wd"], 0.1, T, 10)
    module.load_state_dict({name: net[name] for name in module.state_dict()})
    return module


@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("classification", [0.0, 0.7])
def test_slopes_by_hand_are_those_of_autograd(tiny, T, classification):
    net, x, y = tiny
    weights = {"reconstruction": 5.0, "sparsity": 0.3, "classification": classification}
    module = as_module(net, T)
    values = built.criteria(module, x, module(x), y)
    (len(x) * sum(weights[name] * value for name, value in values.items())).backward()
    for name, (left, right) in drsae_by_hand.factors(net, x, y, weights, T).items():
        slope = (left.T @ right).view_as(net[name])
        known = getattr(module, name).grad
        known = torch.zeros_like(slope) if known is None else known  # with T = 1, S is not used
        assert torch.allclose(slope, known, rtol=1e-12, atol=1e-13), name


def test_slopes_of_an_input_that_wakes_no_unit_are_finite(tiny):
    net, x, y = tiny
    net["b"] += 100
    weights = {"reconstruction": 5.0, "sparsity": 0.3, "classification": 1.0}
    for left, right in drsae_by_hand.factors(net, x, y, weights, 3).values():
        assert not (left.T @ right).any()


def test_codes_and_angles_by_hand_are_those_of_the_chapter(tiny):
    net, x, y = tiny
    module = as_module(net, 4)
    assert torch.allclose(drsae_by_hand.codes_of(net, x, 4), torch.stack(module.codes(x)))
    assert torch.allclose(drsae_by_hand.angles_of(net), built.unit_angles(module))
    seen = drsae_paper.watched(net, Labelled(x, y), {"T": 4})
    assert seen["error"] == pytest.approx(built.error_percent(module, x, y))


def test_a_network_whose_S_is_its_own_null_is_found_to_be_so(tiny):
    net, x, y = tiny
    net["S"] = torch.eye(len(net["S"])) - net["We"] @ net["Wd"]
    s = {"T": 3, "weights": {"sparsity": 0.3, "reconstruction": 5.0}}
    part = Labelled(x, y)
    kinds = drsae_measured.kinds_of(net, torch.ones(len(net["S"])))
    kinds |= dict.fromkeys(("part", "categorical"), kinds["alive"])
    lateral = drsae_measured.lateral_of(net, kinds, s)
    assert lateral["slope_on_own"] == pytest.approx(1)
    assert abs(lateral["slope_on_ista"] - 1) > 0.05
    other = drsae_measured.exchanged(net, kinds, part, s)
    for name in ("with_own", "with_learned", "with_own_to_categorical"):
        assert other[f"error_{name}"] == drsae_measured.error_of(net, part, 3)
    assert lateral["alike_own_part_by_categorical"] == pytest.approx(1)
    assert lateral["alike_ista_part_by_categorical"] < 1
    units = torch.arange(len(net["S"]))
    rivals = drsae_measured.rivals_exchanged(net, units, part, s)
    assert rivals["rivals_S_negative_percent"] == rivals["rivals_own_negative_percent"]
    assert rivals["error_with_rivals_of_own"] == other["error_with_learned"]


def test_a_network_that_is_ista_is_not_changed_by_it(tiny):
    net, x, y = tiny
    s = {"T": 3, "weights": {"sparsity": 0.3, "reconstruction": 5.0}}
    step = built.longest_step(net["Wd"], 3)
    net |= drsae_by_hand.ista_encoder(net["Wd"], step, 0.06 * step)
    z = ista.ista(x, net["Wd"], 0.06, 3, L=1 / step, prox=ista.shrink_nonneg)
    assert torch.allclose(drsae_by_hand.last_codes(net, x, 3), z, atol=1e-6)
    kinds = dict.fromkeys(("part", "categorical"), torch.ones(12, dtype=torch.bool))
    other = drsae_measured.exchanged(net, kinds, Labelled(x, y), s)
    rest = 100 * drsae_measured.share_left(z @ net["Wd"].T, x)
    for name in ("learned", "whole_ista", "ista", "own"):
        assert other[f"rest_percent_with_{name}"] == pytest.approx(rest, rel=1e-4)
    loss = {
        name: other[f"rest_percent_with_{name}"] / 200 * x.square().sum() / len(x)
        + 0.06 * other[f"l1_with_{name}"]
        for name in ("whole_ista", "longer_ista")
    }
    assert loss["longer_ista"] < loss["whole_ista"]


def test_what_is_heard_is_told_by_overlap_and_by_class(tiny):
    net, _, _ = tiny
    kinds = {"part": torch.arange(12) < 7, "categorical": torch.arange(12) >= 7}
    s = {"T": 3}
    net["S"] = torch.eye(12) + net["Wc"][net["Wc"].argmax(0)]
    tie = drsae_measured.heard_by_class(net, kinds, s)
    assert tie["class_tie_S_part"] == pytest.approx(1)
    assert tie["class_tie_S_categorical"] == pytest.approx(1)
    assert abs(tie["class_tie_own_part"]) < 0.9
    net["S"] = torch.eye(12) - net["Wd"].T @ net["Wd"]
    heard = drsae_measured.heard_by_overlap(net, kinds, s)
    of_ista = [heard[f"heard_S_part_by_part_{k}"] for k in range(7)]
    of_ista = [value for value in of_ista if not np.isnan(value)]
    assert len(of_ista) > 3
    assert of_ista == sorted(of_ista, reverse=True)
    assert heard["heard_own_part_by_part_3"] != heard["heard_S_part_by_part_3"]


def test_rivals_alone_are_exchanged_and_pairs_are_counted_by_class(tiny):
    net, x, y = tiny
    s = {"T": 3, "weights": {"sparsity": 0.3, "reconstruction": 5.0}}
    net["Wc"] = torch.zeros(10, 12).double()
    net["Wc"][2, :5] = net["Wc"][7, 5:] = 1.0
    top = torch.tensor([0, 1, 5])
    expected = net["S"].clone()
    for a, b in ((0, 5), (1, 5), (5, 0), (5, 1)):
        expected[a, b] = 0
    z = drsae_by_hand.last_codes(net | {"S": expected}, x, 3)
    found = drsae_measured.rivals_exchanged(net, top, Labelled(x, y), s)
    assert found["error_with_rivals_of_zero"] == drsae_measured.misread(net["Wc"], z, y)
    kinds = dict.fromkeys(("part", "categorical"), torch.ones(12, dtype=torch.bool))
    heard = drsae_measured.heard_by_overlap(net, kinds, s)
    assert sum(heard[f"pairs_other_{k}"] for k in range(7)) == 2 * 5 * 7
    assert sum(heard[f"pairs_same_{k}"] for k in range(7)) == 5 * 4 + 7 * 6


def test_the_best_decoder_of_a_code_that_holds_the_picture_leaves_nothing():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    mix = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    assert drsae_measured.best_rest(x @ mix, x) < 1e-9
    rare = torch.cat([x @ mix, torch.zeros(60, 1)], 1)
    rare[0, -1], rare[40, -1] = 1e-6, 1.0  # hardly on when the decoder is made
    assert drsae_measured.best_rest(rare, x) < 1e-9
    assert drsae_measured.best_rest(x[:, :2], x) > 0.3


@pytest.fixture
def classes():
    """Inputs of three classes that a line tells apart, but for noise, to learn from and to read."""
    y = torch.arange(240) % 3
    noise = torch.randn(240, 9, generator=torch.Generator().manual_seed(1))
    x = 0.3 * noise + torch.eye(9)[y]
    return Labelled(x[:120], y[:120]), Labelled(x[120:], y[120:])


def test_a_classifier_fitted_anew_reads_what_a_line_tells_apart(classes):
    known, read = classes
    assert drsae_measured.error_anew(known, read) < 10
    same = [Labelled(torch.ones(len(one.y), 1), one.y) for one in classes]
    assert drsae_measured.error_anew(*same) > 60
    assert np.isnan(drsae_measured.error_anew(*(Labelled(one.x[:, :0], one.y) for one in classes)))


def test_each_strength_of_a_classifier_fitted_anew_is_fitted(classes, monkeypatch):
    known, read = classes
    iterations, plain = [], drsae_measured.LogisticRegression.predict

    def predict(fitted, x):
        iterations.append(fitted.n_iter_[0])
        return plain(fitted, x)

    monkeypatch.setattr(drsae_measured.LogisticRegression, "predict", predict)
    drsae_measured.error_anew(known, read)
    assert min(iterations) > 3


def test_a_reader_with_a_hidden_layer_reads_what_no_line_tells_apart():
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    y = (x.prod(1) > 0).long()  # as in exclusive or
    known, read = Labelled(x[:1500], y[:1500]), Labelled(x[1500:], y[1500:])
    assert drsae_measured.error_of_hidden(known, read) < 10
    assert drsae_measured.error_anew(known, read) > 35


def test_groups_to_read_are_as_large_as_they_say():
    alive = torch.ones(12, dtype=torch.bool)
    kinds = {"alive": alive, "part": torch.arange(12) < 7, "categorical": torch.arange(12) >= 8}
    z = torch.arange(12.0).expand(3, 12)
    groups = drsae_measured.groups_to_read(kinds, z)
    assert sorted(groups["as_many_loudest"].tolist()) == [8, 9, 10, 11]
    assert len(set(groups["as_many_at_random"].tolist())) == 4
    assert groups["not_categorical"].tolist() == [True] * 8 + [False] * 4


def test_kinds_share_the_code_of_each_iteration_and_draw_what_their_columns_hold(tiny):
    net, x, y = tiny
    kinds = {"part": torch.arange(12) < 7, "categorical": torch.arange(12) >= 7}
    net["Wd"][:, :7], net["Wd"][:, 7:] = net["Wd"][:, :7].abs(), -net["Wd"][:, 7:].abs()
    ink = drsae_measured.inked(net, kinds)
    assert ink == pytest.approx({"inked_part": 1, "inked_categorical": -1})
    found = drsae_measured.kinds_by_iteration(net, kinds, Labelled(x, y), {"T": 3})
    assert 0 <= found["on_at_once_percent_part"] <= 100
    for t in (1, 2, 3):
        shares = [found[f"l1_percent_{kind}_at_{t}"] for kind in kinds]
        assert sum(shares) == pytest.approx(100)
        assert min(shares) > 0
    z = drsae_by_hand.last_codes(net, x, 2)
    z[:, 7:] = 0
    left = 100 * drsae_measured.share_left(z @ net["Wd"].T, x)
    assert found["rest_percent_part_at_2"] == pytest.approx(left)
    assert "l1_percent_part_at_5" not in found


def test_a_code_that_is_the_image_moves_as_far_as_the_image_does(tiny):
    _, x, y = tiny
    x = torch.nn.functional.normalize(x.abs()).repeat(2, 1)
    part = Labelled(x, torch.cat([y, y]))
    eye = torch.eye(9).double()
    net = {"We": eye, "S": 0 * eye, "b": 0 * eye[0], "Wd": eye, "Wc": torch.eye(10, 9).double()}
    kinds = dict.fromkeys(("part", "categorical"), torch.ones(9, dtype=torch.bool))
    s = {"T": 1, "weights": {"sparsity": 0.3, "reconstruction": 5.0}}
    found = drsae_measured.moved(net, kinds, part, s)
    moves = drsae_measured.moves_of(part)
    far = (moves["shift"] - x.repeat(4, 1)).norm(dim=1)
    assert found["moved_percent_part_by_shift"] == pytest.approx(100 * far.median().item())
    assert {"ista_moved_percent_categorical_by_noise", "error_by_same"} <= found.keys()


def test_moves_are_alike_in_length_and_go_where_they_say(small_mnist):
    part = Labelled(*drsae.mnist()[1])
    moves = drsae_measured.moves_of(part)
    x, pictures = part.x.repeat(4, 1), part.x.view(-1, 8, 8)
    assert torch.equal(moves["shift"][: len(part.x)].view(-1, 8, 8)[:, :-1], pictures[:, 1:])
    for images in moves.values():
        assert torch.allclose(images.norm(dim=1), x.norm(dim=1), rtol=1e-4)
    nearest = {which: own_class_nearest(images, part) for which, images in moves.items()}
    assert nearest["same"] > nearest["noise"] > 0.5
    assert nearest["mixing"] < nearest["same"] - 0.2


def own_class_nearest(images, part):
    """Return the share of moved images whose nearest one of part, but for their own, is of their
    class."""
    far = torch.cdist(images, part.x)
    own = torch.arange(len(images)) % len(part.x)
    far[torch.arange(len(images)), own] = torch.inf
    return (part.y[far.argmin(1)] == part.y[own]).double().mean().item()


QUICK = {
    "split": [600, 200],
    "passes_without_labels": 2,
    "passes": 6,
    "patience": 2,
    "nets": {"200x2": {"m": 20, "T": 2}, "400x11": {"m": 20, "T": 4}},
}


def test_the_recipe_returns_figures_weights_and_history_and_keeps_its_training(small_mnist):
    figures, found = drsae_paper.recipe_seed(
        "400x11", drsae_paper.RECIPE | QUICK | {"passes": 20}, 0
    )
    assert figures["test_error_percent.400x11"] < 40
    assert 3 <= figures["passes.400x11"] <= figures["passes_run.400x11"] <= 20
    history = found["history.400x11"]
    assert len(history) == figures["passes_run.400x11"]
    assert history[2:, 0].min() == pytest.approx(figures["validation_error_percent.400x11"])
    assert history[1, 6] == pytest.approx(figures["part_before_labels_percent.400x11"])
    assert history[1, 7] == pytest.approx(figures["categorical_before_labels_percent.400x11"])
    assert found["error_at.400x11"].shape == (30,)
    assert figures["error_of_Wc_at_3.400x11"] < 100
    assert figures["untrained_error_anew_at_11.400x11"] < 100
    at_end = found["error_at.400x11"][3].item()
    assert at_end == pytest.approx(figures["validation_error_percent.400x11"], abs=1e-4)
    assert found["We.400x11"].norm(dim=1).max() <= 1.25 / 4 + 1e-6
    assert found["Wd.400x11"].norm(dim=0).max() <= 1 + 1e-6
    assert found["slopes_trained.400x11"].shape == (4,)
    assert len(list((small_mnist / "runs").iterdir())) == 1


def test_measuring_again_trains_nothing(monkeypatch):
    s = drsae_paper.RECIPE | QUICK
    before, _ = drsae_paper.recipe_seed("400x11", s, 0)
    monkeypatch.setattr(drsae_paper, "one_pass", None)
    again, _ = drsae_paper.recipe_seed("400x11", s, 0)
    assert again == pytest.approx(before, nan_ok=True)


def test_the_smallest_net_of_the_recipe_keeps_its_history_only():
    _, found = drsae_paper.recipe_seed("200x2", drsae_paper.RECIPE | QUICK, 0)
    assert {"history.200x2", "angle.200x2", "means.200x2"} <= found.keys()
    assert "We.200x2" not in found


@pytest.mark.parametrize("moment", [5, 100])  # in the first pass of 30 steps, in the fourth
def test_a_killed_recipe_goes_on_with_the_same_result_to_the_last_digit(
    moment, monkeypatch, small_mnist
):
    s = drsae_paper.RECIPE | QUICK
    whole, found = drsae_paper.recipe_seed("400x11", s, 1)
    next((small_mnist / "runs").iterdir()).unlink()
    plain, calls = drsae_paper.factors, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == moment:
            raise KeyboardInterrupt
        return plain(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(drsae_paper, "factors", dies)
        with pytest.raises(KeyboardInterrupt):
            drsae_paper.recipe_seed("400x11", s, 1)
    again, same = drsae_paper.recipe_seed("400x11", s, 1)
    assert again == pytest.approx(whole, rel=0, abs=0, nan_ok=True)
    assert all(torch.equal(found[key], same[key]) for key in found)


@pytest.mark.parametrize(
    ("passed", "at", "ends"),
    [(101, 101, False), (199, 0, False), (200, 0, True), (259, 160, False), (260, 160, True)],
)
def test_training_ends_when_patience_does_and_never_without_labels(passed, at, ends):
    state = {"history": [None] * passed, "weights": {"at": at}}
    assert drsae_paper.finished(state, drsae_paper.RECIPE) == ends
    assert drsae_paper.finished(state, drsae_paper.RECIPE | {"passes": passed})


def test_the_nulls_share_their_beginning_and_differ_by_the_labels(small_mnist):
    s = drsae_null.NULL | {key: QUICK[key] for key in ("split", "passes_without_labels")}
    s |= {"m": 20, "T": 4, "passes": 4}
    figures, found = drsae_null.null_seed(s, 0)
    shuffled, none = found["history.shuffled"], found["history.none"]
    assert shuffled.shape == none.shape == (4, 8)
    assert torch.equal(shuffled[:2], none[:2])
    assert not torch.equal(shuffled[2:], none[2:])
    assert none[:, 1] == pytest.approx(np.log(10), rel=1e-4)  # its Wc stays at zero
    assert shuffled[-1, 0] > 70  # nothing is to be learned from them
    assert {"never_on_percent.none", "heard_S_other_4.shuffled"} <= figures.keys()
    assert found["most_turned.none"].shape == (64, 20)
    before = len(list((small_mnist / "runs").iterdir()))
    assert before == 3
    again, _ = drsae_null.null_seed(s, 0)
    assert again == pytest.approx(figures, nan_ok=True)


def test_without_labels_the_classifier_stays_at_zero():
    s = drsae_paper.RECIPE | QUICK | QUICK["nets"]["400x11"]
    images, choose_on, _ = drsae_paper.recipe_parts(0, s)
    net = drsae_paper.first_matrices(images.x, s, 0)
    state = drsae_paper.at_the_start(net)
    after = drsae_paper.after_one_more_pass(state, images, choose_on, s, 0)
    assert not after["net"]["Wc"].any()
    assert not torch.equal(after["net"]["Wd"], net["Wd"])
    assert after["weights"]["at"] == after["average"]["at"] == 0
    assert torch.equal(after["mean"]["Wd"], after["net"]["Wd"])


def test_the_average_of_the_weights_follows_them_once_labels_are_there():
    s = drsae_paper.RECIPE | QUICK | QUICK["nets"]["400x11"] | {"passes_without_labels": 0}
    images, choose_on, _ = drsae_paper.recipe_parts(0, s)
    first = drsae_paper.first_matrices(images.x, s, 0)
    state = drsae_paper.at_the_start(first)
    for _ in range(2):
        before = state
        state = drsae_paper.after_one_more_pass(state, images, choose_on, s, 0)
        by_hand = 0.95 * before["mean"]["We"] + 0.05 * state["net"]["We"]
        assert torch.allclose(state["mean"]["We"], by_hand, atol=1e-7)
    seen = drsae_paper.watched(state["mean"], choose_on, s)
    assert drsae_paper.better(before["average"], state["mean"], seen, 2)["at"] in (1, 2)
    worse = seen | {"error": 101.0}
    assert drsae_paper.better(state["average"], first, worse, 3) is state["average"]


def test_figures_that_are_not_finite_end_the_run():
    s = drsae_paper.RECIPE | QUICK | QUICK["nets"]["400x11"] | {"rate": 1e6}
    images, choose_on, _ = drsae_paper.recipe_parts(0, s)
    net = drsae_paper.first_matrices(images.x, s, 0)
    state = drsae_paper.at_the_start(net)
    with pytest.raises(FloatingPointError, match="pass 0"):
        drsae_paper.after_one_more_pass(state, images, choose_on, s, 0)
