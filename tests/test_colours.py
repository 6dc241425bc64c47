"""Orientations are told apart in colour, by colour-blind readers too, and lie as their key says."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from course_utils import plots
from course_utils.built.ista import orientation_moment


@pytest.fixture(autouse=True)
def closed():
    """Leave no figure open for other tests."""
    yield
    plt.close("all")


EIGHT = torch.arange(8) * torch.pi / 8
# How light in red, green and blue is seen where one kind of cone is missing: Machado, Oliveira &
# Fernandes 2009, severity 1.
SIGHT = {
    "all cones": np.eye(3),
    "no long ones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no middle ones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no short ones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(rgb, sight="all cones"):
    """Colours (k, 3) in CIELAB, as they are seen."""
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(light @ np.transpose(SIGHT[sight]), 0, 1)
    encoded = np.where(seen < 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    return rgb2lab(encoded[None])[0]


@pytest.mark.parametrize("sight", SIGHT)
def test_eight_orientations_are_told_apart(sight):
    colours = lab(plots.orientation_colours(EIGHT), sight)
    apart = deltaE_ciede2000(colours[:, None], colours[None]) + 99 * np.eye(8)
    assert apart.min() > (15 if sight == "all cones" else 5)  # about 1 can be seen


def test_the_colours_are_of_nearly_even_lightness_and_go_round_once_in_pi():
    theta = torch.linspace(0, torch.pi, 181)
    colours = plots.orientation_colours(theta)
    assert np.ptp(lab(colours)[:, 0]) < 25  # black to white is 100; "twilight" takes 76
    assert np.abs(colours - plots.orientation_colours(theta - torch.pi)).max() < 0.02
    assert np.abs(np.diff(colours, axis=0)).max() < 0.04


def test_units_without_an_orientation_are_grey():
    grey = plots.orientation_colours(EIGHT, torch.zeros(8))
    assert (grey == plots.GREY).all()
    full = plots.orientation_colours(EIGHT, torch.full((8,), plots.FULL))
    assert np.allclose(full, plots.orientation_colours(EIGHT))


def test_a_bar_of_the_key_lies_as_the_edges_do_that_have_its_colour():
    _, (ax,) = plots.figure()
    plots.orientation_map(ax, EIGHT[None])
    plots.orientation_key(ax)
    bars = ax.child_axes[0].lines
    for bar, theta in zip(bars, EIGHT, strict=True):
        assert np.allclose(bar.get_color()[:3], plots.orientation_colours(theta))
        (x0, x1), (y0, y1) = bar.get_data()
        right, down = x1 - x0, y1 - y0
        assert ax.child_axes[0].yaxis_inverted()  # what grows goes down
        j, i = np.meshgrid(np.arange(32) - 16, np.arange(32) - 16)
        stripe = np.abs(right * i - down * j) / np.hypot(right, down) < 2  # along the bar
        moment = orientation_moment(torch.from_numpy(stripe).float().reshape(-1, 1), 32)
        apart = torch.polar(torch.ones(1), moment.angle() - 2 * theta).angle()
        assert abs(apart.item()) < 0.15


def test_black_stands_out_from_the_map_of_an_energy_and_its_lowest_place_is_the_darkest():
    lightness = lab(plots.VALLEY(np.linspace(0, 1, 9))[:, :3])[:, 0]
    assert lightness.min() > 60
    assert (np.diff(lightness) > 0).all()


def test_a_place_of_an_energy_map_is_where_its_axes_say():
    _, (ax,) = plots.figure()
    E = torch.ones(5, 5)
    E[4, 0] = 0  # far right, at the bottom
    plots.energy_map(ax, E, 2.0, 1.0)
    shown = ax.images[0].get_array()
    assert shown[0, 4] == 0
    assert ax.get_ylim() == (-2, 2)
