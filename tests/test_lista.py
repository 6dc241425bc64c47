"""What chapter 2 built: ISTA at the start, right slopes, variants that contain each other."""

import numpy as np
import pytest
import torch

from course_utils.built import lista
from course_utils.built.ista import energy, ista, shrink
from course_utils.data import gaussian_dictionary, synthetic_codes


@pytest.fixture
def small():
    """Inputs (5, 20) and unit filters (20, 40), in float64."""
    generator = np.random.default_rng(0)
    Wd = gaussian_dictionary(20, 40, generator).double()
    return torch.from_numpy(generator.standard_normal((5, 20))), Wd


VARIANTS = {
    "lista": lista.Lista,
    "lista_thetas": lista.ListaThetas,
    "lista_untied": lista.ListaUntied,
    "lista_cp": lista.ListaCP,
    "step": lista.StepLista,
    "step_theta": lista.StepThetas,
    "alista_with_Wd": lambda Wd, lmbd, depth: lista.StepThetas(Wd, lmbd, depth, W=Wd),
    "selection_of_nothing": lambda Wd, lmbd, depth: lista.with_selection(
        lista.ListaCP(Wd, lmbd, depth), share=0.0
    ),
}


@pytest.mark.parametrize("depth", range(1, 11))
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_untrained_each_variant_is_ista(small, variant, depth):
    x, Wd = small
    codes = variant(Wd, 0.1, depth).codes(x)
    assert len(codes) == depth
    for k, z in enumerate(codes, 1):
        assert torch.allclose(z, ista(x, Wd, 0.1, k), atol=1e-6, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_an_empty_batch_and_a_depth_beyond_the_last_layer(small, variant):
    x, Wd = small
    net = variant(Wd, 0.1, 3)
    assert net(x[:0]).shape == (0, 40)
    assert torch.allclose(net.codes(x, depth=9)[-1], ista(x, Wd, 0.1, 9), atol=1e-6, rtol=0)


@pytest.mark.parametrize("loss", [lista.code_loss, lista.energy_loss(0.1)], ids=["code", "energy"])
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_slopes_equal_finite_differences(small, variant, loss):
    x, Wd = small
    net, target = variant(Wd, 0.1, 4), ista(x, Wd, 0.1, 500)
    generator, change = np.random.default_rng(1), 1e-7  # too small to cross a threshold
    parameters = list(net.parameters())
    way = [torch.from_numpy(generator.standard_normal(p.shape)) for p in parameters]
    slopes = torch.autograd.grad(loss(net, x, target), parameters)
    by_backprop = sum((s * w).sum() for s, w in zip(slopes, way, strict=True)).item()
    start, ends = [p.data.clone() for p in parameters], []
    for sign in (1, -1):
        for p, s, w in zip(parameters, start, way, strict=True):
            p.data = s + sign * change * w
        ends.append(loss(net, x, target).item())
    assert (ends[0] - ends[1]) / (2 * change) == pytest.approx(by_backprop, rel=1e-5)


@pytest.mark.parametrize("shape", [(), (1,), (7,)])
def test_the_slope_of_shrink_passes_gradcheck(shape):
    generator = np.random.default_rng(2)
    v = torch.from_numpy(generator.standard_normal((4, 7))).requires_grad_()
    theta = torch.from_numpy(np.asarray(generator.random(shape))).requires_grad_()
    assert torch.autograd.gradcheck(lista.SoftThreshold.apply, (v, theta))
    assert torch.equal(lista.SoftThreshold.apply(v, theta), shrink(v, theta))


def test_without_a_price_it_is_landweber_and_ends_at_the_pseudo_inverse(small):
    x, Wd = small
    codes = lista.Lista(Wd, 0.0, 2).codes(x, depth=5000)
    assert torch.allclose(codes[1], ista(x, Wd, 0.0, 2), atol=1e-12)
    assert torch.allclose(codes[-1], x @ torch.linalg.pinv(Wd).T, atol=1e-6)


def test_selection_keeps_the_largest_that_are_above_the_threshold():
    v = torch.tensor([[3.0, -2.0, 1.0, 0.2], [0.3, 0.1, -0.2, 0.0]])
    kept = lista.shrink_keeping(v, torch.tensor([0.5]), 2)
    assert kept.tolist() == [[3.0, -2.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]


def test_the_schedule_of_selection_is_that_of_the_paper():
    A = gaussian_dictionary(250, 500, np.random.default_rng(0))
    net = lista.with_selection(lista.ListaCP(A, 0.1, 16))
    assert net.keep == [6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 65, 65, 65, 65, 65, 65]


def test_analytic_weights_solve_their_problem(small):
    _, Wd = small
    W = lista.analytic_weights(Wd)
    assert torch.allclose((W * Wd).sum(0), torch.ones(40).to(Wd))
    slope = 2 * Wd @ (Wd.T @ W)  # of ‖Wᵀ Wd‖²: at the minimum along d_i alone, by Lagrange
    along = (slope * Wd).sum(0) / Wd.square().sum(0) * Wd
    assert torch.allclose(slope, along, atol=1e-9)


def test_wider_variants_compute_what_the_narrower_one_does(small):
    x, Wd = small
    net = lista.with_selection(lista.alista(Wd, 0.2, 5), share=0.05)
    net.log_step.data += torch.linspace(-0.5, 0.5, 5).to(Wd)
    coupled = lista.as_coupled(net)
    untied = lista.as_untied(coupled)
    assert torch.allclose(net(x), coupled(x), atol=1e-12)
    assert torch.allclose(net(x), untied(x), atol=1e-12)


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        (lista.StepLista, 16),
        (lista.StepThetas, 32),
        (lista.alista, 32),
        (lista.Lista, 250 * 500 + 500 * 500 + 500),
        (lista.ListaThetas, 250 * 500 + 500 * 500 + 16 * 500),
        (lista.ListaCP, 16 * (250 * 500 + 1)),
        (lista.ListaUntied, 16 * (250 * 500 + 500 * 500 + 500)),
    ],
)
def test_learned_numbers_are_counted(variant, count):
    A = gaussian_dictionary(250, 500, np.random.default_rng(0))
    assert lista.parameter_count(variant(A, 0.1, 16)) == count


def test_training_lowers_both_losses(small):
    _, Wd = small
    pairs = lista.synthetic_pairs(Wd, 32, np.random.default_rng(3), snr=30)
    for loss in (lista.code_loss, lista.energy_loss(0.1)):
        net = lista.Lista(Wd, 0.1, 3)
        history = lista.train(net, loss, pairs, 150, {"log": 0.02, "We": 1e-3, "S": 1e-3})
        assert history[-20:].mean() < history[:20].mean()


def test_only_what_has_a_rate_is_trained(small):
    _, Wd = small
    net = lista.Lista(Wd, 0.1, 3)
    We, theta = net.We.detach().clone(), net.log_theta.detach().clone()
    pairs = lista.synthetic_pairs(Wd, 8, np.random.default_rng(4))
    lista.train(net, lista.code_loss, pairs, 3, {"log": 0.02})
    assert torch.equal(net.We, We)
    assert not torch.equal(net.log_theta, theta)


def test_the_benchmark_is_as_it_says():
    A = gaussian_dictionary(50, 100, np.random.default_rng(0))
    x, z = next(lista.synthetic_pairs(A, 5000, np.random.default_rng(1), snr=20))
    assert (z != 0).double().mean().item() == pytest.approx(0.1, abs=0.005)
    assert lista.nmse_db(x, z @ A.T) == pytest.approx(-20, abs=0.2)
    again = [next(lista.synthetic_pairs(A, 3, np.random.default_rng(2)))[0] for _ in range(2)]
    assert torch.equal(*again)


def test_nmse_is_its_formula():
    z, target = torch.tensor([[1.0, 2.0], [0.0, 4.0]]), torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    assert lista.nmse_db(z, target) == pytest.approx(10 * np.log10(13 / 26), rel=1e-6)


def test_energy_loss_is_the_mean_energy(small):
    x, Wd = small
    net = lista.Lista(Wd, 0.1, 2)
    assert lista.energy_loss(0.3)(net, x, None) == energy(x, net(x), Wd, 0.3).mean()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda Wd: lista.Lista(Wd, 0.1, 0), "at least 1 layer"),
        (lambda Wd: lista.Lista(Wd, -0.1, 3), "not negative"),
        (lambda Wd: lista.Lista(0 * Wd, 0.1, 3), "only zeros"),
        (lambda Wd: lista.ListaCP(Wd * float("nan"), 0.1, 3), "finite"),
        (lambda Wd: lista.Lista(Wd, 0.1, 3)(torch.zeros(2, 3).to(Wd)), "x must be"),
        (lambda Wd: lista.Lista(Wd, 0.1, 3)(torch.full((2, 20), float("nan")).to(Wd)), "finite"),
        (lambda Wd: lista.analytic_weights(Wd[:, :10]), "span all inputs"),
        (lambda Wd: lista.with_selection(lista.Lista(Wd, 0.1, 3), share=2), r"lie in \[0, 1\]"),
    ],
)
def test_bad_input_gets_a_sentence(small, build, message):
    with pytest.raises(ValueError, match=message):
        build(small[1])


def test_support_codes_are_recovered_by_a_short_training():
    A = gaussian_dictionary(64, 128, np.random.default_rng(0))
    net = lista.alista(A, 0.2, 8)
    net.log_step.data.zero_()
    pairs = lista.synthetic_pairs(A, 64, np.random.default_rng(1))
    lista.train(net, lista.code_loss, pairs, 200, {"log": 0.03})
    z = synthetic_codes(500, 128, 0.1, np.random.default_rng(2))
    assert lista.nmse_db(net(z @ A.T).detach(), z) < lista.nmse_db(ista(z @ A.T, A, 0.1, 8), z) - 3
