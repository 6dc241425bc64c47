"""Chapter 4's pools, certificates, descent, learning, and measures of maps and of codes."""

from functools import partial
from itertools import islice

import cvxpy as cp
import numpy as np
import pytest
import torch

from course_utils.built import groups, ista
from course_utils.data import gaussian_dictionary, synthetic_codes

SOLVED = 1e-9  # with less, Clarabel warns that it cannot certify an optimum


def example(m=24, seed=0):
    """Inputs and a dictionary in float64."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((5, 12))), gaussian_dictionary(12, m, rng).double()


def torus():
    """Overlapping Gaussian pools of the 24 units, in float64."""
    return groups.torus_pools(4, 6, groups.gaussian_window(3, 1.0).double())


def optima(x, Wd, lmbd, pools):
    """The least energy of each row, (B,), found by Clarabel, an interior-point method."""
    members = [row.nonzero()[:, 0].numpy() for row in pools]
    weights = [row[row > 0].sqrt().numpy() for row in pools]
    least = []
    for row in x.numpy():
        z = cp.Variable(Wd.shape[1])
        norms = [cp.norm(cp.multiply(w, z[k])) for w, k in zip(weights, members, strict=True)]
        energy = 0.5 * cp.sum_squares(row - Wd.numpy() @ z) + lmbd * sum(norms)
        tight = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), SOLVED)
        least.append(cp.Problem(cp.Minimize(energy)).solve(solver=cp.CLARABEL, **tight))
    return torch.tensor(least, dtype=torch.float64)


def test_pools_can_be_any_lists_of_units():
    assert groups.listed_pools([[0, 2], [1]], 4).tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize("members", [[], [4], [-1, 2]])
def test_a_list_without_units_or_with_one_that_is_not_there_is_refused(members):
    with pytest.raises(ValueError, match="from 0 to 3"):
        groups.listed_pools([[0], members], 4)


def test_a_ring_closes_and_a_line_does_not():
    window = torch.ones(3)
    assert groups.line_pools(6, window, 2).tolist() == [[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 0]]
    assert groups.ring_pools(6, window, 2)[2].tolist() == [1, 0, 0, 0, 1, 1]


def test_a_pool_on_the_torus_is_a_window_that_goes_round_both_edges():
    pools = groups.torus_pools(4, 6, torch.ones(2), 1)
    last = pools[-1].reshape(4, 6)
    assert {tuple(place) for place in last.nonzero().tolist()} == {(0, 0), (0, 5), (3, 0), (3, 5)}
    assert (pools.sum(0) == 4).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: groups.line_pools(3, torch.ones(4)),
        lambda: groups.ring_pools(6, torch.ones(2), 4),
        lambda: groups.ring_pools(6, torch.ones(7)),
        lambda: groups.line_pools(6, torch.ones(2), 0),
    ],
)
def test_pools_that_cannot_be_are_refused(make):
    with pytest.raises(ValueError, match="window"):
        make()


def test_with_pools_of_one_unit_all_is_as_in_chapter_1():
    x, Wd = example()
    single = torch.eye(24).double()
    z = ista.ista(x, Wd, 0.3, 7)
    assert torch.allclose(groups.group_energy(x, z, Wd, 0.3, single), ista.energy(x, z, Wd, 0.3))
    assert torch.allclose(groups.group_shrink(z, 0.1, single), ista.shrink(z, 0.1))
    ours = groups.group_kkt_violation(x, z, Wd, 0.3, single)
    assert torch.allclose(ours, ista.kkt_violation(x, z, Wd, 0.3))


def test_the_block_threshold_shortens_a_pool_and_keeps_its_direction():
    v = torch.tensor([[3.0, 4.0, 0.3, 0.4]])
    z = groups.group_shrink(v, 1.0, groups.line_pools(4, torch.ones(2), 2))
    assert torch.allclose(z, torch.tensor([[2.4, 3.2, 0.0, 0.0]]))


@pytest.mark.parametrize("pools", [torch.ones(2, 4), 0.5 * torch.ones(1, 4), torch.eye(4)[:3]])
def test_the_block_threshold_refuses_pools_that_overlap_have_weights_or_miss_a_unit(pools):
    with pytest.raises(ValueError, match="exactly one pool"):
        groups.group_shrink(torch.ones(1, 4), 1.0, pools)


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        (torch.ones(2, 5), "column per unit"),
        (-torch.ones(1, 24), "not negative"),
        (torch.eye(24)[:3], "no pool"),
    ],
)
def test_pools_that_do_not_fit_are_refused(pools, message):
    x, Wd = example()
    with pytest.raises(ValueError, match=message):
        groups.group_energy(x, torch.zeros(5, 24).double(), Wd, 0.1, pools.double())


@pytest.mark.parametrize("eps", [1e-2, 1e-4])
@pytest.mark.parametrize("lmbd", [0.0, 0.1, 1.0])
def test_the_rounded_energy_never_rises(lmbd, eps):
    x, Wd = example()
    pools = torus()
    path = islice(groups.pooled_iterates(x, Wd, lmbd, pools, eps), 300)
    E = torch.stack([groups.rounded_energy(x, z, Wd, lmbd, pools, eps) for z in path])
    assert (E[1:] <= E[:-1] * (1 + 1e-14)).all()
    assert (E[-1] < E[0]).all()


def test_the_majorisers_weights_give_the_slope_of_the_rounded_norms():
    x, Wd = example()
    z = torch.from_numpy(np.random.default_rng(1).standard_normal((5, 24))).requires_grad_()
    pools = torus()
    groups.rounded_energy(x, z, Wd, 0.7, pools, 1e-2).sum().backward()
    with torch.no_grad():
        slope = groups.majoriser_weights(z, 0.7, pools, 1e-2) * z - (x - z @ Wd.T) @ Wd
    assert torch.allclose(z.grad, slope)


def test_momentum_comes_to_the_same_place():
    x, Wd = example()
    pools = torus()
    slow = next(islice(groups.pooled_iterates(x, Wd, 0.5, pools, 1e-2), 3000, None))
    fast = groups.pooled_codes(x, Wd, 0.5, pools, 400, eps=1e-2)
    energies = [groups.rounded_energy(x, z, Wd, 0.5, pools, 1e-2) for z in (slow, fast)]
    assert torch.allclose(*energies, rtol=1e-9)


@pytest.fixture(scope="module", params=[0.3, 0.8])
def solved(request):
    """FISTA's codes for disjoint pools, after the arguments of their energy."""
    x, Wd = example()
    pools = groups.line_pools(24, torch.ones(3).double(), 3)
    z = ista.fista(x, Wd, request.param, 5000, prox=partial(groups.group_shrink, pools=pools))
    return x, z, Wd, request.param, pools


def test_with_disjoint_pools_the_energy_is_the_least_that_another_solver_finds(solved):
    x, _, Wd, lmbd, pools = solved
    E, least = groups.group_energy(*solved), optima(x, Wd, lmbd, pools)
    assert torch.allclose(E, least, rtol=1e-8, atol=0)


def test_with_disjoint_pools_codes_keep_the_conditions_of_a_minimum(solved):
    assert groups.group_kkt_violation(*solved).max() < 1e-8


def test_other_codes_violate_the_conditions_of_a_minimum(solved):
    x, z, *rest = solved
    assert groups.group_kkt_violation(x, 0 * z, *rest).min() > 0.1
    assert groups.group_kkt_violation(x, z + 1e-3, *rest).min() > 1e-4


def test_violations_are_numbers_in_float32_too():
    x, Wd = (v.float() for v in example())
    pools = groups.line_pools(24, torch.ones(3), 3)
    z = ista.fista(x, Wd, 0.8, 500, prox=partial(groups.group_shrink, pools=pools))
    assert (groups.pool_norms(z, pools) == 0).any()
    assert groups.group_kkt_violation(x, z, Wd, 0.8, pools).max() < 1e-5


@pytest.mark.parametrize("eps", [1e-2, 1e-4])
def test_rounding_costs_no_more_energy_than_promised(eps):
    (x, Wd), pools, lmbd = example(), torus(), 1.0
    least = optima(x, Wd, lmbd, pools)
    slow = next(islice(groups.pooled_iterates(x, Wd, lmbd, pools, eps), 10000, None))
    for z in (slow, groups.pooled_codes(x, Wd, lmbd, pools, 3000, eps=eps)):
        above = groups.group_energy(x, z, Wd, lmbd, pools) - least
        assert above.min() > -SOLVED
        assert above.max() <= lmbd * len(pools) * eps


def test_the_rounded_energy_lies_above_the_exact_one_by_no_more_than_promised():
    (x, Wd), pools = example(), torus()
    for z in (x @ Wd, 1e-3 * x @ Wd, 0 * x @ Wd):
        exact = groups.group_energy(x, z, Wd, 0.5, pools)
        above = groups.rounded_energy(x, z, Wd, 0.5, pools, 1e-2) - exact
        assert above.min() > 0
        assert above.max() <= 0.5 * len(pools) * 1e-2 * (1 + 1e-12)


def test_a_pool_of_zeros_has_norm_zero_and_slope_zero():
    z = torch.tensor([[3.0, 4.0, 0.0, 0.0]], requires_grad=True)
    norms = groups.pool_norms(z, groups.line_pools(4, torch.ones(2), 2))
    norms.sum().backward()
    assert norms.tolist() == [[5, 0]]
    assert torch.allclose(z.grad, torch.tensor([[0.6, 0.8, 0.0, 0.0]]))


@pytest.mark.parametrize("eps", [0.0, -1e-2])
def test_a_norm_that_is_not_rounded_is_refused(eps):
    (x, Wd), pools = example(), torus()
    for descend in (
        lambda: groups.majoriser_weights(x @ Wd, 0.5, pools, eps),
        lambda: groups.pooled_codes(x, Wd, 0.5, pools, 1, eps=eps),
        lambda: list(islice(groups.pooled_iterates(x, Wd, 0.5, pools, eps), 2)),
    ):
        with pytest.raises(ValueError, match="eps must be positive"):
            descend()


def test_codes_start_at_the_guess():
    (x, Wd), pools = example(), torus()
    guess = torch.ones(5, 24).double()
    assert torch.equal(groups.pooled_codes(x, Wd, 0.5, pools, 0, guess), guess)


def test_the_pull_to_the_guess_is_that_of_more_rows_of_the_dictionary():
    (x, Wd), pools, alpha = example(), torus(), 0.7
    guess = torch.from_numpy(np.random.default_rng(1).standard_normal((5, 24)))
    pulled = groups.pooled_codes(x, Wd, 0.5, pools, 20, guess, alpha)
    longer_x = torch.cat([x, alpha**0.5 * guess], 1)
    longer_Wd = torch.cat([Wd, alpha**0.5 * torch.eye(24).double()])
    assert torch.allclose(pulled, groups.pooled_codes(longer_x, longer_Wd, 0.5, pools, 20, guess))


def test_a_strong_pull_holds_codes_at_the_guess():
    (x, Wd), pools = example(), torus()
    guess = torch.from_numpy(np.random.default_rng(1).standard_normal((5, 24)))
    free, held = (groups.pooled_codes(x, Wd, 0.5, pools, 20, guess, alpha) for alpha in (0, 1e9))
    assert torch.allclose(held, guess, atol=1e-6)
    assert not torch.allclose(free, guess, atol=1e-1)


def test_the_encoder_starts_at_tanh_of_the_filters_answers():
    x, Wd = example()
    assert torch.allclose(groups.Predictor(Wd)(x), torch.tanh(x @ Wd))


def test_the_encoder_is_gain_times_tanh():
    x, Wd = example()
    g = groups.Predictor(Wd)
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for weights in g.parameters():
            weights.copy_(torch.from_numpy(rng.standard_normal(weights.shape)))
    assert torch.allclose(g(x), g.gain * torch.tanh(x @ g.We.T + g.b))


def test_the_encoder_leaves_the_filters_alone():
    _, Wd = example()
    g = groups.Predictor(Wd)
    with torch.no_grad():
        g.We.zero_()
    assert Wd.any()


def made_of(m=16, count=300, seed=0):
    """Inputs (count, 12) that few of m filters made."""
    rng = np.random.default_rng(seed)
    return synthetic_codes(count, m, 0.1, rng) @ gaussian_dictionary(12, m, rng).T


def start(m=16, seed=1):
    """What predictive_step takes first: filters, encoder, optimizer."""
    Wd = gaussian_dictionary(12, m, np.random.default_rng(seed))
    g = groups.Predictor(Wd)
    return Wd, g, torch.optim.Adam(g.parameters(), 5e-3)


def test_learning_lowers_the_energy_and_the_error_of_the_guess():
    x, state, pools = made_of(), start(), groups.ring_pools(16, torch.ones(3) / 3)
    history = []
    for _ in range(50):
        state, figures = groups.predictive_step(state, x, 0.1, pools)
        history.append(figures)
    assert history[-1]["energy"] < 0.8 * history[0]["energy"]
    assert history[-1]["prediction"] < 0.5 * history[0]["prediction"]


def test_learning_keeps_filters_at_norm_1():
    state, pools = start(), groups.ring_pools(16, torch.ones(3) / 3)
    (Wd, *_), _ = groups.predictive_step(state, made_of(), 0.1, pools)
    assert not torch.allclose(Wd, state[0], atol=1e-3)
    assert torch.allclose(Wd.norm(dim=0), torch.ones(16))


def test_the_figures_of_a_step_are_those_before_it():
    x, (Wd, g, optimizer), pools = made_of(), start(), groups.ring_pools(16, torch.ones(3) / 3)
    guess = g(x).detach()
    z = groups.pooled_codes(x, Wd, 0.1, pools, 10, guess, 2.0)
    _, figures = groups.predictive_step((Wd, g, optimizer), x, 0.1, pools, alpha=2.0)
    assert figures["energy"] == pytest.approx(groups.group_energy(x, z, Wd, 0.1, pools).mean())
    assert figures["prediction"] == pytest.approx((z - guess).square().sum(1).mean())


def test_a_seed_gives_the_same_filters_and_encoder_and_another_seed_others():
    x, pools = made_of(), groups.ring_pools(16, torch.ones(3) / 3)
    (Wd, g, history), (same, g_same, again), (other, *_) = (
        groups.learn_predictive(x, pools, 0.1, 5, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(Wd, same)
    assert torch.equal(g(x), g_same(x))
    assert history["energy"].tolist() == again["energy"].tolist()
    assert not torch.allclose(Wd, other, atol=1e-1)


def test_too_few_patches_are_refused():
    x, pools = made_of(count=255), groups.ring_pools(16, torch.ones(3))
    with pytest.raises(ValueError, match="minibatch of 256"):
        groups.learn_predictive(x, pools, 0.1, 1, np.random.default_rng(0))


@pytest.mark.parametrize(
    "pools",
    [
        -torch.ones(2, 16),
        torch.eye(16)[:3],
        torch.ones(16),
    ],
)
def test_nothing_is_learned_under_pools_that_do_not_fit(pools):
    with pytest.raises(ValueError, match="pool"):
        groups.learn_predictive(made_of(), pools, 0.1, 1, np.random.default_rng(0))


def grating(down, right, size=12, phase=0.3):
    """A wave (size²,) with so many cycles down and to the right of a picture."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.cos(2 * torch.pi * (down * rows + right * columns) / size + phase).flatten()


def spot(row, column, size=12):
    """A picture (size²,) with one bright pixel."""
    picture = torch.zeros(size, size)
    picture[row, column] = 1
    return picture.flatten()


def test_gratings_have_the_orientation_they_were_made_with():
    made = torch.tensor([0.0, 0.5, 1.0, -1.2])
    cycles = 1.5 * 12 / (2 * torch.pi)
    waves = [grating(cycles * a.sin(), cycles * a.cos()) for a in made]
    seen = groups.orientations(torch.stack(waves, 1), 12)
    assert groups.orientation_difference(seen, made).max() < 0.1


def test_gratings_have_the_frequency_they_were_made_with():
    waves = torch.stack([grating(0, 2), grating(3, 0), grating(-3, 4)], 1)
    assert torch.allclose(groups.frequencies(waves, 12), torch.tensor([2.0, 3.0, 5.0]) / 12)


def test_spots_are_where_they_were_made():
    spots = torch.stack([spot(0, 0), spot(3, 7), -2 * spot(11, 4)], 1)
    assert torch.allclose(groups.places(spots, 12), torch.tensor([[0.0, 0], [3, 7], [11, 4]]))


def test_a_turn_is_never_more_than_a_right_angle():
    a = torch.tensor([0.1, 3.1, 0.0, 2.0])
    b = torch.tensor([3.1, 0.1, torch.pi / 2, 2.0])
    made = torch.tensor([torch.pi - 3, torch.pi - 3, torch.pi / 2, 0])
    assert torch.allclose(groups.orientation_difference(a, b), made, atol=1e-6)


def test_gratings_differ_by_their_turn_and_by_the_ratio_of_their_frequencies():
    D = groups.differences(torch.stack([grating(0, 2), grating(4, 0), grating(2, 2)], 1), 12)
    quarter, octave = torch.pi / 4, np.log(2)
    turns = [[0, 2 * quarter, quarter], [2 * quarter, 0, quarter], [quarter, quarter, 0]]
    ratios = [[0, octave, octave / 2], [octave, 0, octave / 2], [octave / 2, octave / 2, 0]]
    assert torch.allclose(D["orientation"], torch.tensor(turns), atol=1e-3)
    assert torch.allclose(D["frequency"], torch.tensor(ratios, dtype=torch.float32), atol=1e-3)


def test_spots_differ_by_their_distance():
    D = groups.differences(torch.stack([spot(2, 3), spot(5, 7)], 1), 12)
    assert torch.allclose(D["place"], torch.tensor([[0.0, 5.0], [5.0, 0.0]]))


def turns_on_torus():
    """How far orientations differ that turn once round a torus of 16 x 16: (256, 256)."""
    wave = torch.pi * torch.arange(16) / 16
    theta = (wave[:, None] + wave).flatten()
    return groups.orientation_difference(theta[:, None], theta)


def test_a_map_that_turns_slowly_is_smooth():
    z, ratio = groups.map_smoothness(turns_on_torus(), 16, 16, np.random.default_rng(0))
    assert z > 20
    assert ratio < 0.3


def test_a_shuffled_map_is_as_smooth_as_chance():
    rng = np.random.default_rng(0)
    order = torch.from_numpy(rng.permutation(256))
    z, ratio = groups.map_smoothness(turns_on_torus()[order][:, order], 16, 16, rng)
    assert abs(z) < 4
    assert 0.9 < ratio < 1.1


def test_the_smoothness_ratio_of_a_map_is_that_of_neighbours_to_all_pairs():
    """Units differ by their steps on a torus of 4 x 4: 1 between neighbours, 32/15 on average."""
    k = torch.arange(4)
    ring = torch.minimum((k[:, None] - k) % 4, (k - k[:, None]) % 4)
    D = (ring[:, None, :, None] + ring[None, :, None, :]).reshape(16, 16).float()
    _, ratio = groups.map_smoothness(D, 4, 4, np.random.default_rng(0), 10)
    assert ratio == pytest.approx(15 / 32)


def test_carriers_count_the_largest_entries():
    assert groups.count_for_share(torch.tensor([[3.0, 0, 4, 0], [0, 0, -5, 0]])).tolist() == [2, 1]
    assert groups.count_for_share(torch.tensor([[3.0, 0, 4, 0]]), 0.6).tolist() == [1]


def test_a_row_of_zeros_needs_one_carrier():
    assert groups.count_for_share(torch.zeros(2, 4)).tolist() == [1, 1]


def test_a_perfect_code_leaves_nothing_unexplained_and_no_code_all():
    x, Wd = example()
    z = x @ torch.linalg.pinv(Wd).T
    assert groups.unexplained(x, z, Wd) == pytest.approx(0, abs=1e-20)
    assert groups.unexplained(x, 0 * z, Wd) == 1


@pytest.mark.parametrize("rest", [0.05, 0.3, 0.9])
def test_l1_codes_leave_the_share_unexplained_that_was_asked_for(rest):
    x, Wd = example()
    z = groups.l1_codes_at(x, Wd, rest)
    assert groups.unexplained(x, z, Wd) == pytest.approx(rest, abs=1e-3)


@pytest.mark.parametrize("rest", [0.0, 1.0])
def test_no_share_and_the_whole_are_refused(rest):
    with pytest.raises(ValueError, match="between 0 and 1"):
        groups.l1_codes_at(*example(), rest)


def test_another_layout_does_not_matter_to_pools_of_one_unit():
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 24)))
    spread = groups.spread_of(z, torch.eye(24).double(), np.random.default_rng(1))
    assert spread["units"] == spread["pools"] == spread["pools_shuffled"]


def test_units_that_are_on_together_take_more_pools_in_another_layout():
    pools = groups.line_pools(24, torch.ones(4), 4)
    z = pools.clone()  # in each row, one whole pool is on
    spread = groups.spread_of(z, pools, np.random.default_rng(1))
    assert (spread["units"], spread["pools"]) == (4, 1)
    assert spread["pools_shuffled"] > 2


def pictures(side=20):
    """Three pictures (3, side²) of noise."""
    return torch.from_numpy(np.random.default_rng(0).random((3, side**2), np.float32))


def middle(x, side=20, size=12, right=0):
    """The middle windows (3, size, size) of pictures, or so many pixels to the right of them."""
    first = (side - size) // 2
    window = slice(first, first + size), slice(first + right, first + right + size)
    return x.reshape(-1, side, side)[:, *window]


@pytest.mark.parametrize("pixels", [0, 1, 4])
def test_a_picture_shifted_to_the_left_shows_what_was_to_the_right(pixels):
    x = pictures()
    seen = groups.shifted_and_turned(x, 20, 12, pixels, 0.0).reshape(3, 12, 12)
    assert torch.allclose(seen, middle(x, right=pixels), atol=1e-5)


def test_half_a_pixel_is_the_mean_of_two():
    x = pictures()
    seen = groups.shifted_and_turned(x, 20, 12, 0.5, 0.0).reshape(3, 12, 12)
    assert torch.allclose(seen, (middle(x) + middle(x, right=1)) / 2, atol=1e-5)


def test_a_picture_is_turned_anticlockwise():
    x = pictures()
    seen = groups.shifted_and_turned(x, 20, 12, 0.0, 90.0).reshape(3, 12, 12)
    assert torch.allclose(seen, torch.rot90(middle(x), 1, (1, 2)), atol=1e-5)


def test_half_a_turn_puts_a_picture_upside_down():
    x = pictures()
    seen = groups.shifted_and_turned(x, 20, 12, 0.0, 180.0).reshape(3, 12, 12)
    assert torch.allclose(seen, middle(x).flip(1, 2), atol=1e-5)


def test_what_is_above_the_middle_goes_to_the_left_of_it():
    picture = spot(6, 10, 21).reshape(1, -1)  # the middle is (10, 10)
    seen = groups.shifted_and_turned(picture, 21, 13, 0.0, 90.0).reshape(13, 13)
    assert (seen > 0.5).nonzero().tolist() == [[6, 2]]


def test_a_picture_is_shifted_before_it_is_turned():
    picture = spot(10, 13, 21).reshape(1, -1)
    seen = groups.shifted_and_turned(picture, 21, 13, 3.0, 90.0).reshape(13, 13)
    assert (seen > 0.5).nonzero().tolist() == [[6, 6]]


@pytest.mark.parametrize(
    ("pixels", "degrees"),
    [
        (4.5, 0.0),
        (2.0, 45.0),
        (-4.5, 0.0),
    ],
)
def test_a_window_that_would_leave_the_picture_is_refused(pixels, degrees):
    with pytest.raises(ValueError, match="leaves a side of 20"):
        groups.shifted_and_turned(pictures(), 20, 12, pixels, degrees)


def test_features_that_stay_do_not_change():
    a = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 8)))
    assert groups.relative_change(a, a) == 0


def test_unrelated_features_change_by_about_1():
    a, b = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 2000, 8)))
    assert groups.relative_change(a, b) == pytest.approx(1, abs=0.05)


def test_contrast_does_not_count_as_a_change():
    rng = np.random.default_rng(0)
    a, b = torch.from_numpy(rng.standard_normal((2, 50, 8)))
    contrast = torch.from_numpy(rng.uniform(0.1, 10, (50, 1)))
    assert groups.relative_change(a, contrast * a) == pytest.approx(0, abs=1e-12)
    assert groups.relative_change(a, contrast * b) == pytest.approx(groups.relative_change(a, b))


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_an_untrained_group_lista_is_ista_with_the_block_threshold(depth):
    x, Wd = example()
    pools = groups.line_pools(24, torch.ones(3).double(), 3)
    z = ista.ista(x, Wd, 0.3, depth, prox=partial(groups.group_shrink, pools=pools))
    seen = groups.GroupLista(Wd, 0.3, pools, depth)(x)
    assert z.any()
    assert torch.allclose(seen, z, rtol=0, atol=1e-6)


def test_each_pool_of_group_lista_has_a_threshold_of_its_own():
    x, Wd = example()
    net = groups.GroupLista(Wd, 0.3, groups.line_pools(24, torch.ones(3).double(), 3), 4)
    with torch.no_grad():
        net.log_theta[2] = 10
    on = groups.pool_norms(net(x), net.pools).any(0)
    assert on.tolist() == [True, True, False, True, True, True, True, True]


def test_layers_of_group_lista_share_their_weights():
    _, Wd = example()
    pools = groups.line_pools(24, torch.ones(3).double(), 3)
    sizes = {
        sum(weights.numel() for weights in groups.GroupLista(Wd, 0.3, pools, depth).parameters())
        for depth in (1, 5)
    }
    assert sizes == {24 * 12 + 24 * 24 + 8}


def test_group_lista_has_finite_slopes_where_pools_are_off():
    _, Wd = example()
    net = groups.GroupLista(Wd.float(), 0.3, groups.line_pools(24, torch.ones(3), 3), 3)
    net(torch.cat([torch.zeros(1, 12), torch.ones(1, 12)])).square().sum().backward()
    assert all(weights.grad.isfinite().all() and weights.grad.any() for weights in net.parameters())


@pytest.mark.parametrize(
    ("pools", "depth", "message"),
    [
        (torch.eye(24), 0, "at least 1 layer"),
        (groups.ring_pools(24, torch.ones(3)), 2, "exactly one pool"),
    ],
)
def test_a_group_lista_that_cannot_be_is_refused(pools, depth, message):
    with pytest.raises(ValueError, match=message):
        groups.GroupLista(example()[1].float(), 0.3, pools, depth)


def test_guesses_and_prices_that_cannot_be_are_refused():
    generator = np.random.default_rng(0)
    x, Wd = (torch.from_numpy(generator.standard_normal(s)) for s in ((3, 5), (5, 8)))
    pools = groups.torus_pools(2, 4, torch.ones(2))
    for more, message in [
        ({"alpha": -1.0}, "alpha must be finite and not negative"),
        ({"alpha": float("nan")}, "alpha must be finite and not negative"),
        ({"guess": torch.full((3, 8), torch.nan).double()}, "the guess must hold finite numbers"),
        ({"guess": torch.zeros(8).double()}, r"z must be \(3, 8\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            groups.pooled_codes(x, Wd, 0.5, pools, 3, **more)


def test_float64_stays_float64_with_pools_as_they_are_made():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((300, 9)))
    pools = groups.torus_pools(4, 4, groups.gaussian_window(3, 1.0))
    Wd, g, _ = groups.learn_predictive(x, pools, 0.3, 2, np.random.default_rng(1))
    z = groups.pooled_codes(x, Wd, 0.3, pools, 3)
    assert {t.dtype for t in (Wd, g(x), z, groups.group_energy(x, z, Wd, 0.3, pools))} == {x.dtype}
