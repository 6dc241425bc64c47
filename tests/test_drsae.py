"""What chapter 3 built: non-negative ISTA at the start, right slopes, bounds, measures of units."""

import numpy as np
import pytest
import torch

from course_utils.built import drsae
from course_utils.built.ista import energy, ista, lipschitz, shrink_nonneg
from course_utils.data import gaussian_dictionary


@pytest.fixture
def small():
    """Inputs (6, 20), unit filters (20, 40) and classes (6,), in float64."""
    generator = np.random.default_rng(0)
    Wd = gaussian_dictionary(20, 40, generator).double()
    x = torch.from_numpy(generator.standard_normal((6, 20)))
    return x, Wd, torch.tensor([0, 1, 2, 2, 1, 0])


@pytest.fixture
def net(small):
    """A network whose numbers are all moved a little from where they start."""
    net, generator = drsae.DrSAE(small[1], 0.1, 5, 3), np.random.default_rng(1)
    with torch.no_grad():
        for p in net.parameters():
            p += 0.1 * torch.from_numpy(generator.standard_normal(p.shape))
    return net


@pytest.mark.parametrize("T", range(1, 12))
@pytest.mark.parametrize("longer", [1.0, 1.9])
def test_untrained_it_is_nonnegative_ista(small, T, longer):
    x, Wd, _ = small
    L = lipschitz(Wd) / longer
    codes = drsae.DrSAE(Wd, 0.1, T, 3, step=1 / L).codes(x)
    assert len(codes) == T
    for k, z in enumerate(codes, 1):
        loop = ista(x, Wd, 0.1, k, L=L, prox=shrink_nonneg)
        assert torch.allclose(z, loop, atol=1e-6, rtol=0)


def test_more_iterations_than_its_own_and_an_empty_batch(small):
    x, Wd, _ = small
    net = drsae.DrSAE(Wd, 0.1, 2, 3)
    assert torch.allclose(net.codes(x, T=9)[-1], ista(x, Wd, 0.1, 9, prox=shrink_nonneg))
    assert net(x[:0]).shape == (0, 40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"T": 0}, "T must be 1 or more"),
        ({"classes": 1}, "classes 2 or more"),
        ({"lmbd": -0.1}, "not negative"),
        ({"Wd": torch.full((3, 4), np.nan)}, "finite numbers only"),
    ],
)
def test_a_network_that_cannot_be_is_refused(small, change, message):
    with pytest.raises(ValueError, match=message):
        drsae.DrSAE(**{"Wd": small[1], "lmbd": 0.1, "T": 2, "classes": 3} | change)


def test_inputs_that_do_not_fit_are_refused(small):
    net = drsae.DrSAE(small[1], 0.1, 2, 3)
    with pytest.raises(ValueError, match=r"x must be \(B, 20\)"):
        net(small[0].T)
    with pytest.raises(ValueError, match="T must be 1 or more, but it is 0"):
        net.codes(small[0], T=0)


def total(net, x, y):
    values = drsae.criteria(net, x, net(x), y)
    return values["reconstruction"] + 0.1 * values["sparsity"] + 0.7 * values["classification"]


def test_slopes_equal_finite_differences(small, net):
    x, _, y = small
    generator, change = np.random.default_rng(2), 1e-7
    for name, p in net.named_parameters():
        way = torch.from_numpy(generator.standard_normal(p.shape))
        (slope,) = torch.autograd.grad(total(net, x, y), p)
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                p += sign * change * way
                ends.append(total(net, x, y).item())
                p -= sign * change * way
        measured = (ends[0] - ends[1]) / (2 * change)
        assert measured == pytest.approx((slope * way).sum().item(), rel=1e-4), name


def test_reconstruction_and_sparsity_are_the_energy_of_chapter_1(small, net):
    x, _, y = small
    values, z = drsae.criteria(net, x, net(x), y), net(x)
    both = values["reconstruction"] + 0.3 * values["sparsity"]
    assert torch.allclose(both, energy(x, z, net.Wd.detach(), 0.3).mean())


def test_only_the_first_rows_are_classified_when_labels_are_few(small, net):
    x, _, y = small
    z = net(x)
    few, all_of_them = drsae.criteria(net, x, z, y[:2]), drsae.criteria(net, x, z, y)
    alone = drsae.criteria(net, x[:2], z[:2], y[:2])
    assert torch.equal(few["classification"], alone["classification"])
    assert torch.equal(few["reconstruction"], all_of_them["reconstruction"])


def test_evidence_is_that_of_the_direction_and_zero_without_a_code(small, net):
    z = net(small[0])
    assert torch.allclose(drsae.evidence(7 * z, net.Wc), drsae.evidence(z, net.Wc))
    by_hand = net.Wc @ (z[2] / z[2].norm())
    assert torch.allclose(drsae.evidence(z, net.Wc)[2], by_hand)
    assert not drsae.evidence(0 * z, net.Wc).any()


def test_bounds_shorten_what_is_too_long_and_nothing_else(net):
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    with torch.no_grad():
        net.We[:3] *= 20
        net.Wc[0] *= 50
        net.Wd[:, :2] *= 3
        net.Wd[:, 5] = 0
    long = {name: p.detach().clone() for name, p in net.named_parameters()}
    drsae.hold(net, drsae.BOUNDS)
    for name, dim, longest in [("Wd", 0, 1.0), ("We", 1, 1.25 / 5), ("Wc", 1, 5.0)]:
        was, now = long[name].norm(dim=dim), getattr(net, name).norm(dim=dim)
        assert torch.allclose(now, was.clamp(max=longest))
    assert torch.equal(net.S, before["S"])
    assert torch.equal(net.b, before["b"])
    assert not net.Wd[:, 5].any()


def test_a_bound_that_is_not_named_is_not_held(net):
    with torch.no_grad():
        net.We *= 100
    long = net.We.detach().clone()
    drsae.hold(net, {"Wd": 1.0, "Wc": 5.0})
    assert torch.equal(net.We, long)


@pytest.mark.parametrize(("count", "m"), [(300, 200), (5, 200)])
def test_the_first_decoder_has_unit_columns_that_lean_towards_images(count, m):
    x = torch.nn.functional.normalize(torch.rand(count, 400, generator=torch.manual_seed(0)))
    Wd = drsae.noisy_images(x, m, np.random.default_rng(0))
    assert torch.allclose(Wd.norm(dim=0), torch.ones(m))
    assert (x @ Wd).amax(0).median() > 0.25  # noise alone: about 0.1
    assert torch.equal(Wd, drsae.noisy_images(x, m, np.random.default_rng(0)))


def test_training_lowers_all_that_is_weighted_and_keeps_the_bounds(small):
    x, Wd, y = small
    net = drsae.DrSAE(Wd, 0.05, 4, 3)

    def pairs():
        while True:
            yield x, y

    weights = {"reconstruction": 1.0, "sparsity": 0.05, "classification": 0.5}
    history = drsae.train(net, pairs(), 200, weights)
    assert history.keys() == weights.keys()
    objective = sum(weights[name] * values for name, values in history.items())
    assert objective[-1] < 0.7 * objective[0]
    assert drsae.error_percent(net, x, y) == 0
    assert net.Wd.norm(dim=0).max() <= 1 + 1e-9
    assert net.We.norm(dim=1).max() <= 1.25 / 4 + 1e-9


def test_the_error_is_counted_over_all_rows_whatever_the_blocks(small, net):
    x, _, y = small
    wrong = sum(
        drsae.evidence(net(row[None]), net.Wc).argmax().item() != truth.item()
        for row, truth in zip(x, y, strict=True)
    )
    for rows in (1, 4, 100):
        assert drsae.error_percent(net, x, y, rows) == pytest.approx(100 * wrong / 6)


def test_slope_norms_are_those_of_differences(small, net):
    x, _, y = small
    weights = {"reconstruction": 1.0, "sparsity": 0.1, "classification": 0.7}
    norms = drsae.slope_norms(net, x, y, weights)
    assert norms.shape == (5,)
    z, u = net.codes(x)[2].detach(), torch.addmm(-net.b, x, net.We.T).detach()
    z.requires_grad_()
    later = torch.addmm(u, torch.addmm(u, z, net.S.T).relu(), net.S.T).relu()
    values = drsae.criteria(net, x, later, y)
    (slope,) = torch.autograd.grad(sum(weights[k] * v for k, v in values.items()), z)
    assert norms[2].item() == pytest.approx((slope * (z > 0)).norm().item())  # rest passes nothing
    assert all(p.grad is None for p in net.parameters())


def test_an_untrained_network_has_no_angles_and_is_like_ista(small):
    net = drsae.DrSAE(small[1], 0.1, 2, 3)
    assert drsae.unit_angles(net).max() < 1e-6
    assert torch.allclose(drsae.ista_likeness(net), torch.ones(40).double())
    shares = drsae.unit_shares(net)
    assert shares["part_units_percent"] == 100
    assert shares["categorical_units_percent"] == 0
    assert np.isnan(shares["categorical_likeness"])


def test_angles_and_likeness_of_units_that_were_turned(small):
    net = drsae.DrSAE(small[1], 0.1, 2, 3)
    with torch.no_grad():
        net.We[0] *= -1  # turned round: an angle of pi
        net.S[1] = -net.S[1]
    angle, likeness = drsae.unit_angles(net), drsae.ista_likeness(net)
    assert angle[0].item() == pytest.approx(np.pi)
    assert likeness[1].item() == pytest.approx(-1)
    assert drsae.unit_shares(net)["categorical_units_percent"] == pytest.approx(2.5)
