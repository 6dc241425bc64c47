"""Chapter 5's local layers, pools on a sheet, learning, and measures of maps."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from course_utils.built import groups, ista, local
from course_utils.built.local import Sheet, SheetPools
from course_utils.data import gaussian_dictionary

SHEETS = [
    Sheet(10, 4, 1, (1, 7)),
    Sheet(9, 9, 3, (3, 3)),
    Sheet(12, 5, 2, (4, 8)),
    Sheet(12, 5, 2, (16, 2)),
    Sheet(6, 1, 1, (3, 2)),
]


def example(sheet, batch=3, seed=0):
    """Images, codes and filters in float64."""
    rng = np.random.default_rng(seed)
    shapes = (batch, sheet.image**2), (batch, sheet.units), (sheet.field**2, sheet.units)
    return [torch.from_numpy(rng.standard_normal(shape)) for shape in shapes]


def matrix(Wd, sheet):
    """The whole matrix (pixels, units), unit by unit, from the definition of a field."""
    whole = torch.zeros(sheet.image, sheet.image, sheet.units).to(Wd)
    for k in range(sheet.units):
        row, column = divmod(k, sheet.side)
        top, left, s = row // sheet.per, column // sheet.per, sheet.field
        whole[top : top + s, left : left + s, k] = Wd[:, k].reshape(s, s)
    return whole.reshape(-1, sheet.units)


@pytest.mark.parametrize("sheet", SHEETS)
def test_the_three_operations_are_products_with_the_whole_matrix(sheet):
    x, z, Wd = example(sheet)
    whole, W = matrix(Wd, sheet), local.pack(Wd, sheet)
    assert torch.equal(local.whole_matrix(Wd, sheet), whole)
    for way in (local.analysis_by_fields, local.analysis_by_offsets):
        assert torch.allclose(way(x, Wd, sheet), x @ whole, atol=1e-12), way
    assert torch.allclose(local.analysis(x, W, sheet), x @ whole, atol=1e-12)
    for way in (local.synthesis_by_fields, local.synthesis_by_offsets):
        assert torch.allclose(way(z, Wd, sheet), z @ whole.T, atol=1e-12), way
    assert torch.allclose(local.synthesis(z, W, sheet), z @ whole.T, atol=1e-12)
    outer = matrix(torch.ones_like(Wd), sheet) * (x.T @ z)
    for way in (local.weight_gradient, local.gradient_by_fields, local.gradient_by_offsets):
        assert torch.allclose(matrix(way(x, z, sheet), sheet), outer, atol=1e-12), way


@pytest.mark.parametrize("sheet", SHEETS)
def test_the_synthesis_is_the_adjoint_of_the_analysis(sheet):
    x, z, Wd = example(sheet, seed=1)
    W = local.pack(Wd, sheet)
    left = (local.analysis(x, W, sheet) * z).sum()
    right = (x * local.synthesis(z, W, sheet)).sum()
    by_weights = (Wd * local.weight_gradient(x, z, sheet)).sum()
    assert torch.allclose(left, right, rtol=1e-12)
    assert torch.allclose(left, by_weights, rtol=1e-12)


def test_a_batch_of_one_and_inputs_in_any_layout_will_do():
    sheet = SHEETS[2]
    x, z, Wd = example(sheet)
    W = local.pack(Wd, sheet)
    assert torch.allclose(local.analysis(x, W, sheet)[:1], local.analysis(x[:1], W, sheet))
    turned = x.T.contiguous().T
    assert torch.allclose(local.analysis(turned, W, sheet), local.analysis(x, W, sheet))
    turned = z.T.contiguous().T
    assert torch.allclose(local.synthesis(turned, W, sheet), local.synthesis(z, W, sheet))


def test_equal_filters_are_a_convolution():
    sheet = Sheet(12, 5, 2, (4, 4))
    x, _, Wd = example(sheet)
    Wd = local.shared_filters(Wd, sheet)
    kernels = Wd.reshape(25, 8, 2, 8, 2)[:, 3, :, 5].reshape(25, 4).T.reshape(4, 1, 5, 5)
    maps = conv2d(x.reshape(-1, 1, 12, 12), kernels)
    for i in range(2):
        for j in range(2):
            c = local.analysis(x, local.pack(Wd, sheet), sheet).reshape(-1, 16, 16)
            assert torch.allclose(c[:, i::2, j::2], maps[:, 2 * i + j], atol=1e-6)


def test_a_field_as_large_as_the_image_is_a_linear_layer():
    sheet = Sheet(7, 7, 5, (5, 5))
    x, _, Wd = example(sheet)
    assert torch.allclose(local.analysis(x, local.pack(Wd, sheet), sheet), x @ Wd, atol=1e-6)


def test_sharing_is_a_projection_and_gives_each_place_the_mean_filter():
    sheet = SHEETS[2]
    _, _, Wd = example(sheet)
    shared = local.shared_filters(Wd, sheet)
    assert torch.allclose(local.shared_filters(shared, sheet), shared)
    assert torch.allclose(((Wd - shared) * shared).sum(), torch.tensor(0.0).double(), atol=1e-9)
    first = Wd.reshape(25, 8, 2, 8, 2)[:, :, 0, :, 1].mean((1, 2))
    assert torch.allclose(shared.reshape(25, 8, 2, 8, 2)[:, 4, 0, 2, 1], first)


@pytest.mark.parametrize(
    "arguments",
    [(5, 6, 1, (1, 1)), (5, 0, 1, (1, 1)), (5, 3, 0, (1, 1)), (5, 3, 1, (2, 1)), (5, 3, 2, (3, 2))],
)
def test_a_sheet_that_cannot_be_is_refused(arguments):
    with pytest.raises(ValueError, match=r"no field|sides of a tile"):
        Sheet(*arguments)


def test_filters_that_do_not_fit_the_sheet_are_refused():
    sheet = SHEETS[0]
    with pytest.raises(ValueError, match=r"\(16, 49\)"):
        local.pack(torch.zeros(49, 16), sheet)


def small_problem():
    sheet = SHEETS[2]
    x, z, Wd = example(sheet)
    Wd = ista.unit_columns(Wd)
    return sheet, x, z, Wd, SheetPools(sheet.side, groups.gaussian_window(3, 0.6).double())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, pools: (x[:, :100], 0.1, pools), "no other size"),
        (lambda x, pools: (x / 0, 0.1, pools), "find the nan or inf"),
        (lambda x, pools: (x, -0.1, pools), "not negative"),
        (lambda x, pools: (x, float("nan"), pools), "not negative"),
        (lambda x, pools: (x, 0.1, SheetPools(5, pools.window)), "side 16, not 5"),
        (lambda x, pools: (x, 0.1, SheetPools(16, 0 * pools.window)), "above zero"),
        (lambda x, pools: (x, 0.1, SheetPools(16, pools.window[:0])), "above zero"),
        (lambda x, pools: (x, 0.1, SheetPools(16, pools.window / 0)), "above zero"),
        (lambda x, pools: (x, 0.1, SheetPools(16, pools.window[None])), "a row of"),
        (lambda x, pools: (x, 0.1, pools._replace(order=torch.zeros(256).long())), "once"),
        (lambda x, pools: (x, 0.1, pools._replace(order=torch.arange(9))), "once"),
        (lambda x, pools: (x[:0], 0.1, pools), "no other size"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    sheet, x, z, Wd, pools = small_problem()
    W = local.pack(Wd, sheet)
    x, lmbd, pools = change(x, pools)
    with pytest.raises(ValueError, match=message):
        local.local_energy(x, z, W, sheet, lmbd, pools)
    with pytest.raises(ValueError, match=message):
        local.local_codes(x, W, sheet, lmbd, pools, 1, 10.0)


def test_eps_must_be_positive():
    sheet, x, _, Wd, pools = small_problem()
    with pytest.raises(ValueError, match="kink"):
        local.local_codes(x, local.pack(Wd, sheet), sheet, 0.1, pools, 1, 10.0, eps=0)


@pytest.mark.parametrize(
    ("L", "alpha"), [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (10.0, -1.0)]
)
def test_no_step_is_made_with_a_length_that_is_none(L, alpha):
    sheet, x, _, Wd, pools = small_problem()
    with pytest.raises(ValueError, match="L must be positive"):
        local.local_codes(x, local.pack(Wd, sheet), sheet, 0.1, pools, 1, L, alpha=alpha)


def test_codes_of_another_number_or_size_and_filters_not_packed_are_refused():
    sheet, x, z, Wd, pools = small_problem()
    W = local.pack(Wd, sheet)
    for wrong, message in ((z[:1], "1 codes for 3 images"), (z[:, :9], "codes must be")):
        with pytest.raises(ValueError, match=message):
            local.local_energy(x, wrong, W, sheet, 0.1, pools)
    with pytest.raises(ValueError, match="1 guesses for 3 images"):
        local.local_codes(x, W, sheet, 0.1, pools, 1, 10.0, z[:1])
    with pytest.raises(ValueError, match="see pack"):
        local.local_energy(x, z, Wd, sheet, 0.1, pools)


def test_the_energy_has_a_finite_slope_at_zero():
    sheet, x, z, Wd, pools = small_problem()
    zero = torch.zeros_like(z).requires_grad_()
    local.local_energy(x, zero, local.pack(Wd, sheet), sheet, 0.1, pools).sum().backward()
    assert zero.grad.isfinite().all()


def test_filters_are_unpacked_from_any_layout():
    sheet, _, _, Wd, _ = small_problem()
    W = local.pack(Wd, sheet)
    assert torch.equal(local.unpack(W.mT.contiguous().mT, sheet), Wd)


def test_the_encoder_learns_on_a_copy_of_the_filters():
    sheet, _, _, Wd, _ = small_problem()
    unpacked = local.unpack(local.pack(Wd, sheet), sheet)
    g = local.LocalPredictor(unpacked, sheet)
    with torch.no_grad():
        g.We.zero_()
    assert torch.equal(unpacked, Wd)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("order", [None, 3])
def test_pools_are_rows_of_weights_that_hang_over_and_price_all_units_alike(size, order):
    side, window = 7, torch.rand(size, generator=torch.Generator().manual_seed(size)).double() + 0.1
    if order is not None:
        order = torch.from_numpy(np.random.default_rng(order).permutation(side**2))
    pools = SheetPools(side, window, order)
    rows = local.over_pools(torch.eye(side**2).double(), pools).T
    place = torch.arange(side**2) if order is None else order
    reach = side + size - 1
    expected = torch.zeros(reach, reach, side**2).double()
    for i in range(side):
        for j in range(side):
            unit = place[i * side + j]
            block = torch.outer(window, window).flip(0, 1)
            expected[i : i + size, j : j + size, unit] = block
    assert torch.allclose(rows, expected.reshape(-1, side**2))
    price = rows.sqrt().sum(0)
    assert torch.allclose(price, price[:1].expand_as(price))
    a = torch.rand(2, reach**2).double()
    assert torch.allclose(local.over_units(a, pools), a @ rows)


def test_codes_and_energies_are_those_of_chapter_4_on_the_whole_matrix():
    sheet, x, z, Wd, pools = small_problem()
    W, whole = local.pack(Wd, sheet), local.whole_matrix(Wd, sheet)
    rows = local.over_pools(torch.eye(sheet.units).double(), pools).T
    E = groups.group_energy(x, z, whole, 0.3, rows)
    assert torch.allclose(local.local_energy(x, z, W, sheet, 0.3, pools), E)
    L = ista.lipschitz(whole)
    for guess, alpha in ((None, 0.0), (z, 0.7)):
        theirs = groups.pooled_codes(x, whole, 0.3, rows, 30, guess, alpha)
        ours = local.local_codes(x, W, sheet, 0.3, pools, 30, L, guess, alpha)
        assert torch.allclose(ours, theirs, atol=1e-9)


def test_with_pools_of_one_unit_the_energy_is_l1():
    sheet, x, z, Wd, _ = small_problem()
    single = SheetPools(sheet.side, torch.ones(1).double())
    E = local.local_energy(x, z, local.pack(Wd, sheet), sheet, 0.3, single)
    assert torch.allclose(E, ista.energy(x, z, local.whole_matrix(Wd, sheet), 0.3))


def test_the_power_method_finds_the_largest_eigenvalue():
    A = torch.diag(torch.tensor([1.0, 5.0, 3.0]).double())
    value, v = local.largest_eigenvalue(lambda v: v @ A, torch.ones(1, 3).double(), 1e-12)
    assert value == pytest.approx(5)
    assert abs(v[0, 1]) == pytest.approx(5)


@pytest.mark.parametrize("scale", [1.0, 1.972, 1e3])
def test_the_scale_of_the_first_vector_does_not_matter(scale):
    A = torch.diag(torch.tensor([1.0, 5.0, 3.0]))
    value, _ = local.largest_eigenvalue(lambda v: v @ A, scale * torch.ones(1, 3))
    assert value == pytest.approx(5, rel=0.02)
    with pytest.raises(ValueError, match="not zero"):
        local.largest_eigenvalue(lambda v: v @ A, torch.zeros(1, 3))


def test_the_lipschitz_constant_is_found_within_a_few_per_cent():
    for seed in range(20):
        sheet, _, _, Wd, _ = small_problem()
        Wd = ista.unit_columns(example(sheet, seed=seed)[2])
        start = torch.from_numpy(np.random.default_rng(seed).standard_normal((1, sheet.units)))
        L, v = local.sheet_lipschitz(local.pack(Wd, sheet), sheet, start)
        exact = ista.lipschitz(local.whole_matrix(Wd, sheet))
        assert 0.8 * exact < L < 1.021 * exact
        for _ in range(8):
            L, v = local.sheet_lipschitz(local.pack(Wd, sheet), sheet, v)
        assert 0.95 * exact < L < 1.021 * exact


def test_the_power_method_ends_on_an_operator_that_is_zero():
    assert local.largest_eigenvalue(lambda v: 0 * v, torch.ones(1, 3))[0] == 0


@pytest.mark.parametrize("sheet", [Sheet(12, 5, 2, (4, 8)), Sheet(12, 5, 1, (2, 4))])
def test_the_bound_of_the_curvature_holds_and_is_no_larger_than_that_of_all_units(sheet):
    for seed in range(5):
        _, z, Wd = example(sheet, batch=4, seed=seed)
        z = z * (torch.rand(z.shape, generator=torch.Generator().manual_seed(seed)) < 0.2)

        def curved(V, z=z):
            return local.weight_gradient(local.synthesis(z, local.pack(V, sheet), sheet), z, sheet)

        curvature, _ = local.largest_eigenvalue(curved, Wd, 1e-12, 3000)
        bound = local.neighbourhood_bound(z, sheet)
        assert curvature <= bound * (1 + 1e-9)
        assert bound <= torch.linalg.matrix_norm(z, 2).item() ** 2 * (1 + 1e-9)


def test_a_step_of_learning_lowers_the_error_of_the_same_batch():
    sheet, x, _, Wd, pools = small_problem()
    W = local.pack(Wd, sheet)
    z = local.local_codes(
        x, W, sheet, 0.3, pools, 50, ista.lipschitz(local.whole_matrix(Wd, sheet))
    )
    r = x - local.synthesis(z, W, sheet)
    step = 1.99 / local.neighbourhood_bound(z, sheet)
    better = local.pack(Wd + step * local.weight_gradient(r, z, sheet), sheet)
    assert (x - local.synthesis(z, better, sheet)).square().sum() < r.square().sum()


def test_the_encoder_has_the_slopes_of_finite_differences():
    sheet, x, z, Wd, _ = small_problem()
    g = local.LocalPredictor(Wd, sheet)
    loss = (z - g(x)).square().sum()
    loss.backward()
    rng = np.random.default_rng(5)
    for name, parameter in g.named_parameters():
        push = torch.from_numpy(rng.standard_normal(parameter.shape))
        sides = []
        for eps in (1e-6, -1e-6):
            with torch.no_grad():
                parameter += eps * push
                sides.append((z - g(x)).square().sum().item())
                parameter -= eps * push
        slope = (sides[0] - sides[1]) / 2e-6
        assert (parameter.grad * push).sum().item() == pytest.approx(slope, rel=1e-4), name


def test_autograd_reaches_the_images_too():
    sheet, x, _, Wd, _ = small_problem()
    x = x[:1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: local.Analysis.apply(x, Wd, sheet), (x,))


def images(sheet, seed=0):
    """Batches of 8 images with an edge each, for ever."""
    rng = np.random.default_rng(seed)
    at = torch.arange(sheet.image) - (sheet.image - 1) / 2
    while True:
        angle = torch.from_numpy(rng.uniform(0, np.pi, (8, 1, 1))).float()
        x = torch.tanh(2 * (angle.cos() * at[:, None] + angle.sin() * at))
        yield (x - x.mean((1, 2), keepdim=True)).flatten(1)


def learn(steps=60, tie=local.own_filters, seed=0):
    sheet = Sheet(12, 5, 2, (8, 8))
    pools = SheetPools(sheet.side, groups.gaussian_window(3, 0.6))
    rng = np.random.default_rng(seed)
    return sheet, *local.learn_local(images(sheet), sheet, pools, 0.1, steps, rng, tie=tie)


def test_learning_lowers_energy_and_prediction_and_is_the_same_each_time():
    _, Wd, g, history = learn()
    for values in history.values():
        assert values[-10:].mean() < 0.7 * values[:5].mean()
    assert torch.allclose(Wd.norm(dim=0), torch.ones(256), atol=1e-5)
    assert torch.equal(learn()[1], Wd)
    assert not any(p.requires_grad for p in g.parameters())


def test_a_step_of_learning_is_chapter_4s_on_the_whole_matrix():
    sheet, x, _, Wd, pools = small_problem()
    g = local.LocalPredictor(Wd, sheet)
    whole = local.whole_matrix(Wd, sheet)
    rows = local.over_pools(torch.eye(sheet.units).double(), pools).T
    L, v = ista.lipschitz(whole), torch.linalg.eigh(whole.T @ whole).eigenvectors[:, -1:].T
    state = local.LocalState(Wd, v, g, torch.optim.SGD(g.parameters(), 0.0))
    (after, *_), figures = local.local_step(state, x, 0.3, pools, 0.7, 9)
    guess = g(x).detach()
    z = local.local_codes(x, local.pack(Wd, sheet), sheet, 0.3, pools, 9, 1.02 * L, guess, 0.7)
    assert figures["energy"] == pytest.approx(
        groups.group_energy(x, z, whole, 0.3, rows).mean().item()
    )
    assert figures["prediction"] == pytest.approx(0.35 * (z - guess).square().sum(1).mean().item())
    slope = (x - z @ whole.T).T @ z * (whole != 0)
    moved = whole + 1.7 / local.neighbourhood_bound(z, sheet) * slope
    assert torch.allclose(local.whole_matrix(after, sheet), ista.unit_columns(moved), atol=1e-8)


def test_shared_learning_keeps_all_filters_equal_in_decoder_and_encoder():
    sheet = Sheet(12, 5, 2, (8, 8))
    _, Wd, g, _ = learn(10, partial(local.shared_filters, sheet=sheet))
    assert torch.allclose(local.shared_filters(Wd, sheet), Wd, atol=1e-6)
    for p in g.parameters():
        rows = p.reshape(-1, sheet.units)
        assert torch.allclose(local.shared_filters(rows, sheet), rows, atol=1e-6)


def test_learning_refuses_images_of_another_size():
    sheet = Sheet(12, 5, 2, (8, 8))
    pools = SheetPools(sheet.side, torch.ones(1))
    with pytest.raises(ValueError, match="no other size"):
        local.learn_local(
            iter([torch.ones(2, 100)]), sheet, pools, 0.1, 1, np.random.default_rng(0)
        )


def test_smoothness_is_high_for_a_ramp_and_chance_for_noise():
    rng = np.random.default_rng(0)
    ramp = torch.linspace(0, 1.5, 20).repeat(20)
    z, ratio = local.sheet_smoothness(ramp, 20, rng, 200)
    assert z > 10
    assert ratio < 0.2
    z, ratio = local.sheet_smoothness(torch.from_numpy(rng.uniform(0, np.pi, 400)), 20, rng, 200)
    assert abs(z) < 4
    assert ratio == pytest.approx(1, abs=0.1)


def test_smoothness_does_not_go_round_the_edges():
    theta = torch.linspace(0, np.pi / 2, 10).expand(10, 10)  # largest turn from edge to edge
    _, ratio = local.sheet_smoothness(theta.flatten(), 10, np.random.default_rng(0), 2000)
    steps = np.pi / 2 / 9 / 2  # half the pairs lie along the ramp, the others do not turn
    pairs = (theta[0][:, None] - theta[0]).abs().sum() * 100 / (100 * 99)
    assert ratio == pytest.approx(steps / pairs.item(), rel=0.02)


def test_a_zero_is_found_where_it_is_with_its_sign_and_random_angles_have_a_third():
    across, down = torch.meshgrid(torch.arange(9.0), torch.arange(7.0), indexing="xy")
    zeros = [((3.5, 2.5), 1), ((6.5, 4.5), -1)]
    F = torch.ones(7, 9, dtype=torch.cfloat)
    for (column, row), sign in zeros:
        F = F * torch.complex(across - column, sign * (down - row))
    found = local.pinwheels(F)
    assert found.shape == (6, 8)
    assert {tuple(at): int(found[tuple(at)]) for at in found.nonzero().tolist()} == {
        (2, 3): 1,
        (4, 6): -1,
    }
    angle = torch.from_numpy(np.random.default_rng(0).uniform(0, 2 * np.pi, (200, 200))).float()
    share = local.pinwheels(torch.polar(torch.ones(200, 200), angle)).abs().float().mean()
    assert share == pytest.approx(1 / 3, abs=0.01)


def test_column_spacing_is_the_period_of_a_wave_whatever_its_mean():
    place = torch.arange(64.0)
    wave = torch.polar(torch.ones(64), 2 * np.pi * place / 8).expand(64, 64)
    assert local.column_spacing(wave) == pytest.approx(8, rel=0.05)
    assert local.column_spacing(wave + 10) == pytest.approx(8, rel=0.05)


def test_a_surrogate_keeps_mean_variances_and_spacing_and_nothing_else():
    rng = np.random.default_rng(0)
    wide = torch.complex(*torch.from_numpy(rng.standard_normal((2, 160, 160))).float())
    F = local.smoothed(wide, 2.0)[30:130, 30:130]
    F = torch.complex(2 * F.real, F.imag) + (0.5 - 0.2j)
    drawn = [local.surrogate(F, rng) for _ in range(10)]
    for S in drawn:
        assert S.shape == F.shape
        assert ((S - F).abs() > 0.1 * F.std()).float().mean() > 0.9
    for part in ("real", "imag"):
        spread = np.mean([getattr(S, part).std() for S in drawn])
        assert spread == pytest.approx(getattr(F, part).std().item(), rel=0.1)
    assert abs(torch.stack(drawn).mean() - F.mean()) < 0.1
    spacing = np.mean([local.column_spacing(S) for S in drawn])
    assert spacing == pytest.approx(local.column_spacing(F), rel=0.1)


def test_surrogates_of_random_fields_have_as_many_pinwheels():
    """A null that is biased would find something in noise."""
    rng = np.random.default_rng(1)
    theirs, own = [], []
    for _ in range(10):
        wide = torch.complex(*torch.from_numpy(rng.standard_normal((2, 160, 160))).float())
        F = local.smoothed(wide, 2.0)[30:130, 30:130]
        own.append(local.pinwheels(F).abs().sum().item())
        theirs += [local.pinwheels(local.surrogate(F, rng)).abs().sum().item() for _ in range(5)]
    assert np.mean(theirs) == pytest.approx(np.mean(own), rel=0.12)


def test_random_fields_have_the_density_of_the_theorem():
    """Halperin: π ⟨f²⟩ / ⟨f⟩² for a Gaussian random field; here with a spectrum of two rings."""
    f = torch.fft.fftfreq(128)
    r = torch.hypot(f[:, None], f)
    P = ((r - 0.05).abs() < 0.008).float() + 0.4 * ((r - 0.12).abs() < 0.008).float()
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(10):
        white = torch.complex(*torch.from_numpy(rng.standard_normal((2, 128, 128))).float())
        field = torch.fft.ifft2(P.sqrt() * torch.fft.fft2(white))
        counts.append(local.pinwheel_density(field))
    mean_f, mean_f2 = (P * r).sum() / P.sum(), (P * r**2).sum() / P.sum()
    theorem = np.pi * (mean_f2 / mean_f**2).item()
    assert np.mean(counts) == pytest.approx(theorem, rel=0.08)


def test_smoothing_keeps_a_constant_and_spreads_a_point_as_a_gaussian():
    constant = torch.full((9, 11), 2 + 1j)
    assert torch.allclose(local.smoothed(constant, 1.5), constant)
    point = torch.zeros(41, 41, dtype=torch.cfloat)
    point[20, 20] = 1
    at = torch.arange(41) - 20
    gauss = (-0.5 * (at / 2.0) ** 2).exp() / (2.0 * (2 * np.pi) ** 0.5)
    assert torch.allclose(local.smoothed(point, 2.0).real, torch.outer(gauss, gauss), atol=1e-6)


def test_centres_are_where_a_filters_squares_are():
    sheet = Sheet(12, 5, 2, (4, 8))
    Wd = torch.zeros(25, 256)
    Wd[7] = 1  # row 1, column 2 of each field
    at = local.centres(Wd, sheet).reshape(16, 16, 2)
    assert at[0, 0].tolist() == [1, 2]
    assert at[5, 14].tolist() == [2 + 1, 7 + 2]


def test_the_codes_of_a_trained_sheet_end_below_the_guess():
    sheet, Wd, g, _ = learn()
    W, pools = local.pack(Wd, sheet), SheetPools(sheet.side, groups.gaussian_window(3, 0.6))
    L, _ = local.sheet_lipschitz(W, sheet, torch.ones(1, sheet.units))
    x = next(images(sheet, 1))
    energy = partial(local.local_energy, x, W=W, sheet=sheet, lmbd=0.1, pools=pools)
    z = local.local_codes(x, W, sheet, 0.1, pools, 50, L)
    assert energy(z).sum() < energy(g(x)).sum() < energy(0 * z).sum()


def test_filters_start_as_random_columns_of_norm_1():
    _, Wd, _, _ = learn(1)
    assert torch.allclose(Wd.norm(dim=0), torch.ones(256), atol=1e-5)
    first = gaussian_dictionary(25, 256, np.random.default_rng(0))
    assert (Wd * first).sum(0).mean() > 0.9
