"""Chapter 4's pools, block soft threshold, certificates, descent and measure of maps."""

from itertools import islice

import numpy as np
import pytest
import torch

from course_utils.built import groups, ista
from course_utils.data import gaussian_dictionary


def example(m=24, seed=0):
    """Inputs and a dictionary in float64."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((5, 12))), gaussian_dictionary(12, m, rng).double()


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
    pools = groups.torus_pools(4, 6, groups.gaussian_window(3, 1.0).double())
    path = islice(groups.pooled_iterates(x, Wd, lmbd, pools, eps), 300)
    E = torch.stack([groups.rounded_energy(x, z, Wd, lmbd, pools, eps) for z in path])
    assert (E[1:] <= E[:-1] * (1 + 1e-14)).all()
    assert (E[-1] < E[0]).all()


def test_the_steepness_gives_the_slope_of_the_rounded_norms():
    x, Wd = example()
    z = torch.from_numpy(np.random.default_rng(1).standard_normal((5, 24))).requires_grad_()
    pools = groups.torus_pools(4, 6, groups.gaussian_window(3, 1.0).double())
    groups.rounded_energy(x, z, Wd, 0.7, pools, 1e-2).sum().backward()
    with torch.no_grad():
        slope = groups.steepness(z, 0.7, pools, 1e-2) * z - (x - z @ Wd.T) @ Wd
    assert torch.allclose(z.grad, slope)


def test_momentum_comes_to_the_same_place():
    x, Wd = example()
    pools = groups.torus_pools(4, 6, groups.gaussian_window(3, 1.0).double())
    slow = next(islice(groups.pooled_iterates(x, Wd, 0.5, pools, 1e-2), 3000, None))
    fast = groups.pooled_codes(x, Wd, 0.5, pools, 400, eps=1e-2)
    energies = [groups.rounded_energy(x, z, Wd, 0.5, pools, 1e-2) for z in (slow, fast)]
    assert torch.allclose(*energies, rtol=1e-9)


def test_gratings_have_the_orientation_they_were_made_with():
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    made = torch.tensor([0.0, 0.5, 1.0, -1.2])
    waves = [torch.cos(1.5 * (a.sin() * rows + a.cos() * columns)).flatten() for a in made]
    seen = groups.orientations(torch.stack(waves, 1), 12)
    assert groups.turn(seen, made).max() < 0.1


def test_a_map_that_turns_slowly_is_smooth_and_a_shuffled_one_is_not():
    rng = np.random.default_rng(0)
    wave = torch.pi * torch.arange(16) / 16
    smooth = (wave[:, None] + wave).flatten()
    z, ratio = groups.map_smoothness(smooth, 16, 16, rng)
    assert z > 20
    assert ratio < 0.3
    shuffled = smooth[torch.from_numpy(rng.permutation(256))]
    z, ratio = groups.map_smoothness(shuffled, 16, 16, rng)
    assert abs(z) < 4
    assert 0.9 < ratio < 1.1
