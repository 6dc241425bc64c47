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
    "lista": lista.lista,
    "lista_thetas": lista.lista_thetas,
    "lista_untied": lista.lista_untied,
    "lista_cp": lista.lista_cp,
    "step": lista.step_lista,
    "step_theta": lista.step_thetas,
    "alista_with_Wd": lambda Wd, lmbd, depth: lista.step_thetas(Wd, lmbd, depth, W=Wd),
    "selection_of_nothing": lambda Wd, lmbd, depth: lista.with_selection(
        lista.lista_cp(Wd, lmbd, depth), share=0.0
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


def test_without_a_price_it_is_landweber_and_ends_at_the_pseudo_inverse(small):
    x, Wd = small
    codes = lista.lista(Wd, 0.0, 2).codes(x, depth=5000)
    assert torch.allclose(codes[1], ista(x, Wd, 0.0, 2), atol=1e-12)
    assert torch.allclose(codes[-1], x @ torch.linalg.pinv(Wd).T, atol=1e-6)


def test_a_coupled_layer_is_the_layer_with_the_coupled_matrix(small):
    x, Wd = small
    generator = np.random.default_rng(6)
    We, z = (torch.from_numpy(generator.standard_normal(s)) for s in ((40, 20), (5, 40)))
    theta = torch.from_numpy(generator.random(40))
    coupled = lista.coupled_layer(x, z, We, Wd, theta, keep=3)
    plain = lista.layer(x, z, We, torch.eye(40).double() - We @ Wd, theta, keep=3)
    assert torch.allclose(coupled, plain, atol=1e-12)


def test_a_layer_is_its_formula(small):
    x, Wd = small
    We, S = lista.ista_matrices(Wd)
    z, theta = ista(x, Wd, 0.1, 3), torch.linspace(0, 0.2, 40).double()
    by_hand = [shrink(We @ a + S @ b, theta) for a, b in zip(x, z, strict=True)]
    assert torch.allclose(lista.layer(x, z, We, S, theta), torch.stack(by_hand), atol=1e-12)


def test_selection_keeps_the_largest_that_are_above_the_threshold():
    v = torch.tensor([[3.0, -2.0, 1.0, 0.2], [0.3, 0.1, -0.2, 0.0]])
    kept = lista.shrink_keeping(v, torch.tensor([0.5]), 2)
    assert kept.tolist() == [[3.0, -2.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]


def test_the_schedule_of_selection_is_that_of_the_paper():
    A = gaussian_dictionary(250, 500, np.random.default_rng(0))
    net = lista.with_selection(lista.lista_cp(A, 0.1, 16))
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
        (lista.step_lista, 16),
        (lista.step_thetas, 32),
        (lista.alista, 32),
        (lista.lista, 250 * 500 + 500 * 500 + 500),
        (lista.lista_thetas, 250 * 500 + 500 * 500 + 16 * 500),
        (lista.lista_cp, 16 * (250 * 500 + 1)),
        (lista.lista_untied, 16 * (250 * 500 + 500 * 500 + 500)),
    ],
)
def test_learned_numbers_are_counted(variant, count):
    A = gaussian_dictionary(250, 500, np.random.default_rng(0))
    assert lista.parameter_count(variant(A, 0.1, 16)) == count


def test_training_lowers_both_losses(small):
    _, Wd = small
    pairs = lista.synthetic_pairs(Wd, 32, np.random.default_rng(3), snr=30)
    for loss in (lista.code_loss, lista.energy_loss(0.1)):
        net = lista.lista(Wd, 0.1, 3)
        history = lista.train(net, loss, pairs, 150, {"log": 0.02, "We": 1e-3, "S": 1e-3})
        assert history[-20:].mean() < history[:20].mean()


def test_only_what_has_a_rate_is_trained(small):
    _, Wd = small
    net = lista.lista(Wd, 0.1, 3)
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
    net = lista.lista(Wd, 0.1, 2)
    assert lista.energy_loss(0.3)(net, x, None) == energy(x, net(x), Wd, 0.3).mean()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda Wd: lista.lista(Wd, 0.1, 0), "at least 1 layer"),
        (lambda Wd: lista.lista(Wd, -0.1, 3), "not negative"),
        (lambda Wd: lista.lista(0 * Wd, 0.1, 3), "only zeros"),
        (lambda Wd: lista.lista_cp(Wd * float("nan"), 0.1, 3), "finite"),
        (lambda Wd: lista.lista(Wd, 0.1, 3)(torch.zeros(2, 3).to(Wd)), "x must be"),
        (lambda Wd: lista.lista(Wd, 0.1, 3)(torch.full((2, 20), float("nan")).to(Wd)), "finite"),
        (lambda Wd: lista.analytic_weights(Wd[:, :10]), "span all inputs"),
        (lambda Wd: lista.with_selection(lista.lista(Wd, 0.1, 3), share=2), r"lie in \[0, 1\]"),
        (lambda Wd: lista.step_lista(Wd, -0.1, 3), "not negative"),
        (lambda Wd: lista.lista(Wd, 0.1, 3).codes(Wd.T, depth=0), "at least 1 layer"),
        (lambda Wd: lista.train(lista.lista(Wd, 0.1, 3), None, iter([]), 3, {"W_e": 0.1}), "'W_e'"),
        (lambda Wd: lista.amp(Wd.T, Wd, 0.0, 3), "alpha must be positive"),
        (lambda Wd: lista.amp(Wd, Wd, 1.1, 3), "x must be"),
        (lambda Wd: lista.state_evolution(20, 40, -1.0, 3), "must be positive"),
        (lambda Wd: lista.refit(Wd.T, Wd.T, Wd), "z must be"),
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


def amp_by_hand(x, A, alpha, steps):
    """AMP for one input, as Donoho, Maleki & Montanari 2009 print it."""
    n, m = A.shape
    z, r = np.zeros(m), x.copy()
    for _ in range(steps):
        v = z + A.T @ r
        theta = alpha * np.sqrt(r @ r / n)
        z = np.sign(v) * np.maximum(np.abs(v) - theta, 0)
        r = x - A @ z + r * np.mean(z != 0) * m / n
    return z


def test_amp_is_its_formula_row_by_row(small):
    x, Wd = small
    codes = lista.amp(x, Wd, 1.1, 7)
    for one, code in zip(x, codes, strict=True):
        assert np.allclose(code, amp_by_hand(one.numpy(), Wd.numpy(), 1.1, 7), atol=1e-12)
    assert not lista.amp(x, Wd, 1.1, 0).any()


def test_the_risk_of_shrink_is_its_mean_over_draws():
    generator = np.random.default_rng(7)
    for s, theta, c in ((1.0, 0.7, 0.0), (1.3, 0.4, 0.6), (0.2, 0.5, 0.0), (2.0, 0.0, 1.0)):
        v = torch.from_numpy(s * generator.standard_normal(2_000_000))
        mean = (shrink(v, theta) - c * v).square().mean().item()
        assert lista.shrink_risk(s, theta, c) == pytest.approx(mean, rel=0.02, abs=1e-6)


@pytest.mark.parametrize("snr", [np.inf, 20.0])
def test_state_evolution_foretells_amp_on_a_large_problem(snr):
    A = gaussian_dictionary(2000, 4000, np.random.default_rng(8))
    x, z = next(lista.synthetic_pairs(A, 20, np.random.default_rng(9), snr))
    foretold = lista.state_evolution(2000, 4000, 1.2, 8, snr)
    for steps in range(1, 9):
        seen = lista.nmse_db(lista.amp(x, A, 1.2, steps), z)
        assert foretold[steps - 1] == pytest.approx(seen, abs=0.5)


def test_refitting_is_least_squares_on_the_support(small):
    x, Wd = small
    z = ista(x, Wd, 0.8, 200)
    fitted = lista.refit(x, z, Wd)
    assert ((fitted != 0) == (z != 0)).all()
    left = (x - fitted @ Wd.T) @ Wd
    assert left[z != 0].abs().max() < 1e-10  # at right angles to every active filter


def test_firm_shrinkage_is_three_straight_pieces():
    v = torch.linspace(-4, 4, 81).double()[None]
    z, slope = lista.firm(v, torch.tensor([[1.0]]).double(), torch.tensor(1.5).double())
    for a, b, s in zip(v[0].tolist(), z[0].tolist(), slope[0].tolist(), strict=True):
        size = 0 if abs(a) <= 1 else abs(a) if abs(a) >= 2.5 else (abs(a) - 1) * 2.5 / 1.5
        assert b == pytest.approx(np.copysign(size, a) if size else 0, abs=1e-12)
        kinks = min(abs(abs(a) - 1), abs(abs(a) - 2.5))
        if kinks > 1e-6:
            assert s == pytest.approx(0 if abs(a) < 1 else 1 if abs(a) > 2.5 else 2.5 / 1.5)


def test_learned_amp_with_a_wide_shrinkage_and_a_large_ridge_is_amp(small):
    x, Wd = small
    net = lista.LearnedAmp(Wd, 5)
    net.log_width.data.fill_(25.0)  # the line from θ on has slope 1: the soft threshold
    net.log_ridge.data.fill_(25.0)  # W is Wd, up to its length
    net.log_alpha.data.fill_(np.log(1.3))
    for k, z in enumerate(net.codes(x), 1):
        assert torch.allclose(z, lista.amp(x, Wd, 1.3, k), atol=1e-6)


def test_learned_amp_steps_along_its_matrix(small):
    x, Wd = small
    net = lista.LearnedAmp(Wd, 1)
    net.log_ridge.data.fill_(np.log(0.3))
    net.log_alpha.data.fill_(-40.0)  # no threshold: the code is Wᵀ x
    W = torch.linalg.solve(Wd @ Wd.T + 0.3 * torch.eye(20).double(), Wd)
    W = W * 40 / (W * Wd).sum()
    assert torch.allclose(net(x), x @ W, atol=1e-9)


def test_learned_amp_has_right_slopes_and_five_numbers_a_layer(small):
    x, Wd = small
    net = lista.LearnedAmp(Wd, 3)
    assert lista.parameter_count(net) == 15
    assert len(net.codes(x)) == 3
    target = ista(x, Wd, 0.1, 500)
    slopes = torch.autograd.grad(lista.code_loss(net, x, target), list(net.parameters()))
    for p, slope in zip(net.parameters(), slopes, strict=True):
        for k in range(3):
            ends = []
            for change in (1e-6, -2e-6):
                p.data[k] += change
                ends.append(lista.code_loss(net, x, target).item())
            p.data[k] += 1e-6
            assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope[k].item(), rel=1e-4, abs=1e-7)


def test_conditioned_filters_have_norm_1_and_spread_singular_values():
    B = lista.conditioned(60, 120, 15.0, np.random.default_rng(0))
    assert torch.allclose(B.norm(dim=0), torch.ones(120))
    s = torch.linalg.svdvals(B)
    assert 8 < (s[0] / s[-1]).item() < 30
    with pytest.raises(ValueError, match="condition >= 1"):
        lista.conditioned(60, 120, 0.5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 1 layer"):
        lista.LearnedAmp(B, 0)
