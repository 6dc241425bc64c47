"""What chapter 1 built: right against scikit-learn and brute force, and clear about bad input."""

from itertools import islice

import numpy as np
import pytest
import torch
from sklearn.decomposition import sparse_encode

from course_utils.built import ista
from course_utils.data import digits, natural_images, normal, patches, weights, whiten

SECONDS = 15


@pytest.fixture(scope="module")
def photographs():
    """1,000 whitened patches and the stored filters, in float64."""
    images = [whiten(image) for image in natural_images().values()]
    x = patches(images, 12, 1000, np.random.default_rng(7)).double()
    return x, ista.unit_columns(weights("ista")["patches"].double())


@pytest.fixture
def small():
    """Inputs (4, 6) and unit filters (6, 9), in float64."""
    generator = np.random.default_rng(0)
    x, Wd = (torch.from_numpy(generator.standard_normal(s)) for s in ((4, 6), (6, 9)))
    return x, ista.unit_columns(Wd)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.3])
def test_energies_equal_those_of_scikit_learn_on_1000_patches(photographs, fraction):
    x, Wd = photographs
    lmbd = fraction * ista.lambda_max(x, Wd).median().item()
    z = ista.sparse_codes(x, Wd, lmbd, gap=1e-11)
    E = ista.energy(x, z, Wd, lmbd)
    theirs = sparse_encode(
        x.numpy(), Wd.T.numpy(), algorithm="lasso_cd", alpha=lmbd, max_iter=100_000
    )
    assert torch.allclose(E, ista.energy(x, torch.from_numpy(theirs), Wd, lmbd), rtol=1e-9, atol=0)
    assert (ista.duality_gap(x, z, Wd, lmbd) <= 1e-10 * E).all()


def test_plain_fista_reaches_the_same_codes_as_the_fast_coder(photographs):
    x, Wd = photographs[0][:50], photographs[1]
    lmbd = 0.1 * ista.lambda_max(x, Wd)
    slow, fast = ista.fista(x, Wd, lmbd, 5000), ista.sparse_codes(x, Wd, lmbd, gap=1e-12)
    assert torch.allclose(slow, fast, atol=1e-4)


def test_float32_codes_carry_the_certificate_that_was_asked_for(photographs):
    x, Wd = (tensor.float() for tensor in photographs)
    for fraction in (0.01, 0.1, 0.5):
        lmbd = fraction * ista.lambda_max(x, Wd)
        z = ista.sparse_codes(x, Wd, lmbd, gap=1e-4)
        x64, z64, Wd64, lmbd64 = (tensor.double() for tensor in (x, z, Wd, lmbd))
        gap = ista.duality_gap(x64, z64, Wd64, lmbd64) / ista.energy(x64, z64, Wd64, lmbd64)
        assert z.dtype == torch.float32
        assert gap.max() < 1.1e-4


def test_chunks_do_not_change_codes_and_an_empty_batch_is_fine(small):
    x, Wd = small
    whole, parts = (ista.sparse_codes(x, Wd, 0.1, gap=1e-9, chunk=size) for size in (4, 3))
    assert torch.allclose(whole, parts, atol=1e-12)
    assert ista.sparse_codes(x[:0], Wd, 0.1).shape == (0, 9)


def test_a_zero_input_gets_a_zero_code(small):
    x, Wd = torch.zeros_like(small[0]), small[1]
    assert (ista.sparse_codes(x, Wd, 0.1) == 0).all()
    assert (ista.duality_gap(x, torch.zeros(4, 9).to(x), Wd, 0.1) == 0).all()


def test_a_certificate_out_of_reach_is_said(small):
    x, Wd = small
    with pytest.raises(RuntimeError, match="ask for a larger gap"):
        ista.sparse_codes(x, Wd, 0.1, gap=1e-300)


@pytest.mark.parametrize("theta", [0.0, 0.3, 2.0])
def test_both_shrinks_find_the_lowest_point_of_a_fine_grid(theta):
    v, grid = torch.linspace(-3, 3, 61).double(), torch.linspace(-4, 4, 8001).double()
    cost = 0.5 * (v[:, None] - grid) ** 2 + theta * grid.abs()
    assert torch.allclose(grid[cost.argmin(1)], ista.shrink(v, theta), atol=1e-3)
    cost[:, grid < 0] = torch.inf
    assert torch.allclose(grid[cost.argmin(1)], ista.shrink_nonneg(v, theta), atol=1e-3)


def test_energy_is_its_formula_written_out(small):
    x, Wd = small
    z = torch.from_numpy(np.random.default_rng(1).standard_normal((4, 9)))
    for b in range(4):
        rest = x[b].numpy() - Wd.numpy() @ z[b].numpy()
        by_hand = 0.5 * (rest**2).sum() + 0.3 * np.abs(z[b].numpy()).sum()
        assert ista.energy(x, z, Wd, 0.3)[b].item() == pytest.approx(by_hand, rel=1e-12)


def test_lipschitz_is_the_squared_spectral_norm_for_tall_and_wide(small):
    Wd = small[1]
    for matrix in (Wd, Wd.T):
        assert ista.lipschitz(matrix) == pytest.approx(np.linalg.norm(matrix.numpy(), 2) ** 2)


def test_a_lambda_per_row_is_as_good_as_row_by_row(small):
    x, Wd = small
    lmbd = torch.tensor([[0.05], [0.1], [0.2], [0.4]]).double()
    together = ista.fista(x, Wd, lmbd, 50)
    alone = torch.cat([ista.fista(x[b : b + 1], Wd, lmbd[b].item(), 50) for b in range(4)])
    assert torch.allclose(together, alone, atol=1e-12)


def test_the_certificates_see_a_code_that_is_not_finished(small):
    x, Wd = small
    z = ista.sparse_codes(x, Wd, 0.2, gap=1e-12)
    assert (ista.kkt_violation(x, z, Wd, 0.2) < 1e-5).all()
    off = z + 0.01
    assert (ista.kkt_violation(x, off, Wd, 0.2) > 1e-3).all()
    above = ista.energy(x, off, Wd, 0.2) - ista.energy(x, z, Wd, 0.2)
    assert (ista.duality_gap(x, off, Wd, 0.2) >= above).all()


def test_ista_never_rises_and_both_stay_under_their_bounds(photographs):
    x, Wd = photographs[0][:100], photographs[1]
    lmbd, L = 0.05 * ista.lambda_max(x, Wd), ista.lipschitz(Wd)
    z_star = ista.sparse_codes(x, Wd, lmbd, gap=1e-12)
    size, best = z_star.square().sum(1), ista.energy(x, z_star, Wd, lmbd)
    k = torch.arange(1, 201).double().unsqueeze(1)
    for iterates, bound in [
        (ista.ista_iterates, L * size / (2 * k)),
        (ista.fista_iterates, 2 * L * size / (k + 1) ** 2),
    ]:
        path = islice(iterates(x, Wd, lmbd), 1, 201)
        above = torch.stack([ista.energy(x, z, Wd, lmbd) for z in path]) - best
        assert (above <= bound).all()
        if iterates is ista.ista_iterates:
            assert (above.diff(dim=0) <= 1e-12 * best).all()


def test_learning_lowers_the_energy_and_keeps_unit_columns():
    x = digits().x
    Wd, history = ista.learn_dictionary(
        x, 32, 0.1, 150, np.random.default_rng(0), ista.shrink_nonneg, ista.nonneg_unit_columns
    )
    assert history[-10:].mean() < 0.7 * history[:5].mean()
    assert (Wd >= 0).all()
    assert torch.allclose(Wd.norm(dim=0), torch.ones(32), atol=1e-5)


def test_a_dictionary_step_without_any_active_code_changes_nothing(small):
    x, Wd = small
    same, _ = ista.dictionary_step(Wd, x, 1e6)
    assert torch.allclose(same, Wd)


def test_code_bits_counts_a_code_by_hand():
    z = torch.tensor([[0.0, 0, 0, 0], [1, 0, 0, 0], [1, 2, 0, 0]])
    entropy = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))  # the values 1, 1 and 2
    by_hand = [np.log2(5) + np.log2(ways) + k * entropy for k, ways in ((0, 1), (1, 4), (2, 6))]
    assert ista.code_bits(z, 1.0).tolist() == pytest.approx(by_hand, rel=1e-5)
    assert ista.code_bits(torch.zeros(2, 4), 1.0).tolist() == pytest.approx([np.log2(5)] * 2)


def test_orientation_selectivity_tells_a_grating_from_a_spot():
    rows = torch.arange(12.0)
    grating = (rows[None, :] * 2 * torch.pi / 4).cos().expand(12, 12)
    spot = torch.zeros(12, 12)
    spot[6, 6] = 1
    selectivity = ista.orientation_selectivity(torch.stack([grating, spot], 2).reshape(144, 2), 12)
    assert selectivity[0] > 0.99
    assert selectivity[1] < 0.1


BAD = {
    "x must be (B, n)": lambda x, Wd: (x[0], Wd, 0.1),
    "and Wd (6, 9)": lambda x, Wd: (x[:, :5], Wd, 0.1),
    "find the nan or inf": lambda x, Wd: (x.fill_(torch.nan), Wd, 0.1),
    "not negative": lambda x, Wd: (x, Wd, -0.1),
    "finite": lambda x, Wd: (x, Wd, float("nan")),
    "lmbd must be a number or (4, 1)": lambda x, Wd: (x, Wd, torch.ones(4)),
}


@pytest.mark.parametrize("message", BAD)
@pytest.mark.parametrize("solver", ["ista", "fista", "sparse_codes"])
def test_bad_input_gets_one_clear_sentence(small, message, solver):
    x, Wd, lmbd = BAD[message](*small)
    arguments = () if solver == "sparse_codes" else (5,)
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is compared below
        getattr(ista, solver)(x, Wd, lmbd, *arguments)
    assert message in str(error.value)


def test_other_bad_arguments_are_refused(small):
    x, Wd = small
    with pytest.raises(ValueError, match="gap and lmbd must be positive"):
        ista.sparse_codes(x, Wd, 0.1, gap=0)
    with pytest.raises(ValueError, match="step must be positive"):
        ista.code_bits(x, 0)
    with pytest.raises(ValueError, match="minibatch of 256"):
        ista.learn_dictionary(x, 9, 0.1, 1, np.random.default_rng(0))


@pytest.mark.parametrize("way", ["error", "nan"])
def test_the_largest_eigenvalue_is_found_where_single_precision_fails(way, monkeypatch):
    """LAPACK may fail on a float32 matrix that is nearly all zero, as codes are: both ways seen."""
    plain = torch.linalg.eigvalsh

    def fails(gram):
        if gram.dtype == torch.float32 and way == "error":
            raise torch.linalg.LinAlgError("failed to converge")
        return plain(gram) if gram.dtype == torch.float64 else torch.full((len(gram),), torch.nan)

    monkeypatch.setattr(torch.linalg, "eigvalsh", fails)
    z = torch.zeros(256, 128)
    z[:2, 5] = torch.tensor([3.0, 4.0])
    assert ista.lipschitz(z) == pytest.approx(25)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.bfloat16])
def test_numbers_that_cannot_be_coded_are_refused_by_their_name(dtype):
    x, Wd = torch.ones(2, 3, dtype=dtype), torch.ones(3, 4)
    name = str(dtype).removeprefix("torch.")
    for function in (ista.energy, ista.kkt_violation, ista.duality_gap):
        with pytest.raises(ValueError, match=f"x is {name} and Wd float32"):
            function(x, torch.zeros(2, 4), Wd, 0.1)
    with pytest.raises(ValueError, match=f"x is {name} and Wd {name}"):
        ista.sparse_codes(x, Wd.to(dtype), 0.1)


def test_two_precisions_are_refused_and_either_is_kept():
    x, Wd = torch.randn(300, 9).double(), torch.randn(9, 12)
    with pytest.raises(ValueError, match="x is float64 and Wd float32"):
        ista.sparse_codes(x, Wd, 0.5)
    for dtype in (torch.float32, torch.float64):
        of_this = x.to(dtype)
        learned, _ = ista.learn_dictionary(of_this, 12, 0.3, 2, np.random.default_rng(0))
        codes = ista.sparse_codes(of_this, learned, 0.5)
        assert learned.dtype == codes.dtype == dtype


@pytest.mark.parametrize("shape", [(2, 7), (4,), (1, 4), (2, 4, 1)])
def test_a_code_of_another_shape_is_refused(shape):
    x, Wd = torch.ones(2, 3), torch.ones(3, 4)
    for function in (ista.energy, ista.kkt_violation, ista.duality_gap):
        with pytest.raises(ValueError, match=r"z must be \(2, 4\), a code for each x"):
            function(x, torch.zeros(shape), Wd, 0.1)


@pytest.mark.parametrize("lmbd", [1e-25, 1e-40])
def test_a_price_that_float32_cannot_weigh_is_refused(lmbd):
    generator = np.random.default_rng(0)
    x, Wd = (torch.from_numpy(generator.standard_normal(s)) for s in ((5, 6), (6, 9)))
    with pytest.raises(ValueError, match="lmbd is too small beside x for float32"):
        ista.sparse_codes(x.float(), Wd.float(), lmbd)


def pursuit_by_hand(x, Wd, most, tolerance):
    """OMP of one input, unit by unit, with a pseudo-inverse."""
    chosen, z = [], torch.zeros(Wd.shape[1]).to(x)
    while len(chosen) < most:
        c = Wd.T @ (x - Wd @ z)
        if c.abs().max() <= tolerance:
            break
        chosen.append(int(c.abs().argmax()))
        z = torch.zeros_like(z)
        z[chosen] = torch.linalg.pinv(Wd[:, chosen]) @ x
    return z


@pytest.mark.parametrize(("most", "tolerance"), [(0, 0.0), (1, 0.0), (5, 0.0), (30, 0.9), (3, 0.9)])
def test_pursuit_chooses_and_fits_as_by_hand(most, tolerance):
    rng = np.random.default_rng(20)
    x, Wd = normal(rng, 7, 20), ista.unit_columns(normal(rng, 20, 40))
    expected = torch.stack([pursuit_by_hand(row, Wd, most, tolerance) for row in x])
    assert torch.allclose(ista.omp(x, Wd, most, tolerance), expected, atol=1e-10)


def test_pursuit_finds_a_sparse_code_and_then_has_nothing_to_choose():
    rng = np.random.default_rng(21)
    Wd = ista.unit_columns(normal(rng, 50, 60))
    z = torch.zeros(4, 60).double()
    z[torch.arange(4)[:, None], torch.tensor([[1, 20, 33], [2, 3, 4], [59, 0, 5], [7, 8, 40]])] = (
        2.0
    )
    for most in (3, 40):
        assert torch.allclose(ista.omp(z @ Wd.T, Wd, most, 1e-8), z, atol=1e-8)
    assert torch.allclose(ista.omp(z @ Wd.T, Wd, 40) @ Wd.T, z @ Wd.T, atol=1e-8)


def test_pursuit_of_nothing_is_nothing_and_a_batch_changes_no_row():
    rng = np.random.default_rng(22)
    x, Wd = normal(rng, 5, 12).float(), ista.unit_columns(normal(rng, 12, 30)).float()
    x[2] = 0
    codes = ista.omp(x, Wd, 6, 1e-6)
    assert not codes[2].any()
    alone = torch.cat([ista.omp(row[None], Wd, 6, 1e-6) for row in x])
    assert torch.allclose(codes, alone, atol=1e-5)
    assert ista.omp(x[:0], Wd, 6).shape == (0, 30)
