"""Chapter 6's functions: noise, rates, tables of codes, water, and what each refuses."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Laplace, Normal, kl_divergence

from course_utils.built import vae
from course_utils.built.ista import energy, fista
from course_utils.data import Labelled, gaussian_dictionary


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def nets(seed=0, n=6, m=5, classes=3):
    """One of each kind, in float64, with its criteria."""
    rng = np.random.default_rng(seed)
    plain = vae.AutoEncoder(vae.network(n, 8, m, rng), vae.affine(m, n, rng), m, classes)
    sparse = vae.SparseAutoEncoder(vae.network(n, 8, m, rng), vae.network(m, 8, n, rng), m, classes)
    noisy = vae.Vae(vae.network(n, 8, 2 * m, rng), vae.network(m, 8, n, rng), m, classes)
    kinds = [(plain, vae.plain_criteria), (sparse, vae.sparse_criteria)]
    kinds += [(noisy, vae.vae_criteria), (noisy, vae.laplace_criteria)]
    return [(net.double(), criteria) for net, criteria in kinds]


def batch(rows=4, labels=3, n=6, m=5):
    return vae.Batch(normal(rows, n), torch.tensor([0, 1, 2])[:labels], normal(rows, m, seed=1))


LIMITS = {"reconstruction", "classification", "sparsity", "rate"}


@pytest.mark.parametrize("kind", range(4))
def test_slopes_of_each_criterion_are_those_of_differences(kind):
    net, criteria = nets()[kind]
    torch.nn.init.normal_(net.Wc, generator=torch.Generator().manual_seed(0))
    some = batch()
    for name in criteria(net, some):
        net.zero_grad()
        criteria(net, some)[name].backward()
        for parameter in net.parameters():
            if parameter.grad is None:
                continue
            way = normal(*parameter.shape, seed=2) * 1e-6
            with torch.no_grad():
                parameter += way
                up = criteria(net, some)[name]
                parameter -= 2 * way
                down = criteria(net, some)[name]
                parameter += way
            slope = (parameter.grad * way).sum()
            assert slope.item() == pytest.approx((up - down).item() / 2, rel=1e-4, abs=1e-13)


def test_criteria_are_what_they_are_called():
    for net, criteria in nets():
        values = criteria(net, batch())
        assert set(values) <= LIMITS
        assert {"reconstruction", "classification"} <= set(values)
        assert values["classification"].item() == pytest.approx(math.log(3))  # Wc is zero


def test_only_rows_with_a_class_count_for_classification():
    net, criteria = nets()[0]
    torch.nn.init.normal_(net.Wc, generator=torch.Generator().manual_seed(0))
    all_rows, some = batch(), batch(labels=2)
    first = vae.Batch(*(part[:2] for part in some))
    assert criteria(net, some)["classification"] == criteria(net, first)["classification"]
    assert criteria(net, some)["reconstruction"] == criteria(net, all_rows)["reconstruction"]


def test_rates_are_those_of_torch():
    mean, log_var = normal(2, 50, 7)
    q = Normal(mean, (0.5 * log_var).exp())
    zero, one = torch.zeros(()).double(), torch.ones(()).double()
    for rate, prior in ((vae.gaussian_rate, Normal), (vae.laplace_rate, Laplace)):
        known = kl_divergence(q, prior(zero, one)).sum(1)
        assert torch.allclose(rate(mean, log_var), known, rtol=0, atol=1e-6)
        assert (rate(mean, log_var) >= 0).all()


def test_expected_l1_lies_in_its_bounds_and_is_a_mean():
    mean, s = 3 * normal(400), normal(400, seed=1).abs() + 0.01
    value = vae.expected_l1(mean, s)
    assert (value >= mean.abs() - 1e-12).all()
    assert (value <= mean.abs() + s * math.sqrt(2 / math.pi) + 1e-12).all()
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    draws = (mean[:, None] + s[:, None] * torch.from_numpy(nodes)).abs()
    quadrature = draws @ torch.from_numpy(weights) / math.sqrt(2 * math.pi)
    assert torch.allclose(value, quadrature, rtol=0, atol=0.02)  # |z| has a kink


def test_a_sure_code_has_chapter_1s_energy():
    Wd = gaussian_dictionary(8, 12, np.random.default_rng(0)).double()
    x, z = normal(5, 8), normal(5, 12, seed=1)
    z[z.abs() < 0.5] = 0
    marginal = vae.marginal_energy(x, z, torch.full_like(z, 1e-9), Wd, 0.3)
    assert torch.allclose(marginal, energy(x, z, Wd, 0.3), rtol=0, atol=1e-7)


def test_a_spread_that_cannot_be_is_refused():
    Wd = gaussian_dictionary(8, 12, np.random.default_rng(0)).double()
    for s in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="s must be positive"):
            vae.marginal_energy(normal(5, 8), normal(5, 12), torch.full((5, 12), s), Wd, 0.3)


def test_noise_rounds_off_so_that_no_mean_is_zero():
    Wd = gaussian_dictionary(8, 12, np.random.default_rng(0)).double()
    x = normal(3, 8)
    z = fista(x, Wd, 0.3, 2000)
    mean = z.clone().requires_grad_()
    vae.marginal_energy(x, mean, torch.full_like(z, 0.5), Wd, 0.3).sum().backward()
    assert (mean.grad[z == 0].abs() > 0).all()


def test_a_draw_has_the_mean_and_the_variance_it_should():
    mean, log_var = torch.full((100_000, 1), 0.7).double(), torch.full((100_000, 1), -1.0).double()
    z = vae.reparametrise(mean, log_var, normal(100_000, 1))
    assert z.mean().item() == pytest.approx(0.7, abs=0.01)
    assert z.var().item() == pytest.approx(math.exp(-1), abs=0.01)


def test_the_code_of_a_vae_has_no_noise_and_no_sparse_code_is_negative():
    (_, _), (sparse, _), (noisy, _), _ = nets()
    x = normal(4, 6)
    assert torch.equal(noisy(x), noisy.posterior(x)[0])
    assert torch.equal(noisy.rebuild(x), noisy.decode(noisy(x)))
    assert (sparse(x) >= 0).all()


def test_columns_of_a_sparse_decoder_are_held_and_others_left_alone():
    for net, _ in nets():
        layers = [layer for layer in net.decode.modules() if isinstance(layer, torch.nn.Linear)]
        for layer in layers:
            layer.weight.data *= 100
        net.hold()
        longest = max(layer.weight.norm(dim=0).max().item() for layer in layers)
        assert (longest <= 1 + 1e-9) == isinstance(net, vae.SparseAutoEncoder)


def some_data(count=40):
    return Labelled(normal(count, 6).float(), torch.arange(count) % 3)


def test_minibatches_bring_images_without_classes_and_noise_along():
    images = some_data()
    few = Labelled(images.x[:5], images.y[:5])
    alone = next(vae.batches(few, few, 8, 5, np.random.default_rng(0)))
    assert (len(alone.x), len(alone.y), alone.noise.shape) == (5, 5, (5, 5))
    both = next(vae.batches(images, few, 8, 5, np.random.default_rng(0)))
    assert (len(both.x), len(both.y), both.noise.shape) == (13, 5, (13, 5))
    assert torch.equal(both.x[:5], alone.x)


@pytest.mark.parametrize("kind", range(4))
def test_learning_lowers_what_it_should_and_repeats(kind):
    data, ends = some_data(), []
    for _ in range(2):
        net, criteria = nets()[kind]
        net.float()
        names = criteria(net, vae.Batch(data.x, data.y, torch.zeros(40, 5)))
        weights = dict.fromkeys(names, 0.1) | {"reconstruction": 1.0, "classification": 1.0}
        stream = vae.batches(data, data, 20, 5, np.random.default_rng(0))
        history = vae.learn(net, criteria, stream, 150, weights, rate=1e-2)
        total = sum(weights[name] * values for name, values in history.items())
        assert total[-20:].mean() < total[:20].mean()
        ends.append(total)
    assert np.array_equal(*ends)


def test_a_criterion_without_a_weight_does_not_count():
    net, criteria = nets()[0]
    net.float()
    data = some_data()
    stream = vae.batches(data, data, 20, 5, np.random.default_rng(0))
    vae.learn(net, criteria, stream, 5, {"reconstruction": 1.0})
    assert not net.Wc.any()


def test_divergence_is_told():
    net, criteria = nets()[0]
    net.float()
    data = Labelled(torch.full((40, 6), torch.nan), torch.zeros(40).long())
    stream = vae.batches(data, data, 20, 5, np.random.default_rng(0))
    with pytest.raises(FloatingPointError, match="step 0"):
        vae.learn(net, criteria, stream, 5, {"reconstruction": 1.0})


def test_table_bits_are_a_code_length():
    """A code of all rounded codes is possible: 2^-bits sums to 1 over all of them."""
    q = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0], [-1.0, 1.0]])
    tables = vae.code_tables(q)
    values = torch.arange(-vae.LEVELS, vae.LEVELS + 1.0)
    everything = torch.cartesian_prod(values, values)
    kraft = (2.0 ** -vae.table_bits(everything, tables).double()).sum()
    assert kraft.item() == pytest.approx(1, abs=1e-4)


def entropy(counts):
    p = counts[counts > 0] / counts.sum()
    return -(p * p.log2()).sum().item()


def test_table_bits_are_not_below_the_entropy_and_near_it_for_independent_units():
    rng = np.random.default_rng(0)
    on = rng.random((20_000, 4)) < np.array([0.5, 0.1, 0.02, 0.9])
    q = torch.from_numpy(np.where(on, rng.choice([-1.0, 1.0, 2.0], on.shape), 0.0))
    fit, fresh = q[:10_000], q[10_000:]
    active = (fresh != 0).double()
    of_units = sum(entropy(torch.stack([k.sum(), (1 - k).sum()])) for k in active.T)
    of_values = entropy(fresh[fresh != 0].unique(return_counts=True)[1])
    least = of_units + active.sum(1).mean().item() * of_values
    assert least <= vae.table_bits(fresh, vae.code_tables(fit)).mean() <= least + 0.05


def test_rounding_cuts_off_and_refuses():
    z = torch.tensor([[0.24, -0.26, 100.0, -100.0]])
    assert vae.rounded(z, 0.5).tolist() == [[0, -1, vae.LEVELS, -vae.LEVELS]]
    for step in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="step must be positive"):
            vae.rounded(z, step)


def test_water_filling_falls_and_is_undone():
    variances = torch.tensor([5.0, 2.0, 0.5, 1e-9]).double()
    last = math.inf
    for level in (0.01, 0.1, 1.0, 4.0):
        bits, distortion = vae.water_filling(variances, level)
        assert bits < last
        assert vae.gaussian_bits(variances, distortion) == pytest.approx(bits, abs=1e-9)
        last = bits
    assert vae.water_filling(variances, 5.0)[0] == 0
    assert vae.gaussian_bits(variances, 100.0) == 0
    assert vae.gaussian_bits(0 * variances, 1.0) == 0
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="level must be positive"):
            vae.water_filling(variances, wrong)
        with pytest.raises(ValueError, match="distortion must be positive"):
            vae.gaussian_bits(variances, wrong)


def test_slope_of_the_line_is_the_water_level():
    """dD/dR = −2 ln 2 θ: what a bit more buys."""
    variances = torch.tensor([5.0, 2.0, 0.5]).double()
    (r1, d1), (r2, d2) = (vae.water_filling(variances, level) for level in (0.3, 0.3001))
    assert (d2 - d1) / (r1 - r2) == pytest.approx(2 * math.log(2) * 0.3, rel=1e-3)


def test_points_of_the_plot_are_mean_bits_and_mean_squared_error():
    noisy = nets()[2][0]
    x, noise = normal(30, 6), normal(30, 5, seed=3)
    bits, distortion = vae.noisy_point(noisy, vae.gaussian_rate, x, noise)
    mean, log_var = noisy.posterior(x)
    assert bits == pytest.approx(vae.gaussian_rate(mean, log_var).mean().item() / math.log(2))
    rebuilt = noisy.decode(vae.reparametrise(mean, log_var, noise))
    assert distortion == pytest.approx((x - rebuilt).square().sum(1).mean().item())
    Wd = gaussian_dictionary(6, 9, np.random.default_rng(0)).double()
    z = fista(x, Wd, 0.2, 100)
    fine, coarse = (vae.sparse_point(z, z, x, Wd, step) for step in (0.2, 3.0))
    assert fine[0] > coarse[0]
    assert fine[1] < coarse[1]
    assert fine[1] == pytest.approx((x - z @ Wd.T).square().sum(1).mean().item(), rel=0.05)
