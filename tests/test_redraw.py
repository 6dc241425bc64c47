"""A figure drawn again looks as if it had been drawn for the first time."""

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from course_utils import plots, redraw


def lines(ax, k):
    ax.plot(np.arange(10) ** k, label="a")
    ax.set(title=f"power {k}", xlabel="i", ylabel=f"up to {9**k}")
    ax.legend(loc="upper left")


def in_limits(ax, k):
    ax.plot(k * np.linspace(0, 0.1, 5))
    ax.set(xlim=(0, 1), ylim=(0, 1))


def bars(ax, k):
    ax.bar(range(3), [k, 1, 2])
    ax.set_xticks(range(3), [f"{k}{name}" for name in "abc"])


def picture(ax, k):
    plots.picture(ax, torch.arange(16.0).roll(k), (4, 4), f"rolled by {k}")


def sometimes_a_logarithm(ax, k):
    ax.plot([1, 10, 100])
    if k == 1:
        ax.set(yscale="log", xticks=[0, 2])


def stems(ax, k):
    ax.stem(np.arange(5) * k, markerfmt=" ")
    ax.axhline(k, linestyle=":")
    ax.text(1, 1, f"k = {k}")


KINDS = [lines, in_limits, bars, picture, sometimes_a_logarithm, stems]


def painted(painter):
    return np.asarray(Image.open(BytesIO(painter.png())), int)


def drawn(draw, k):
    fig, axes = plots.figure(2, height=2.0)
    for ax in axes:
        draw(ax, k)
    return fig


@pytest.mark.parametrize("draw", KINDS)
@pytest.mark.parametrize("last", [1, 2])
def test_a_figure_drawn_again_is_the_one_drawn_for_the_first_time(draw, last):
    kept = {}
    with redraw.keeping(kept):
        fig = drawn(draw, 1)
    again = redraw.Painter(fig)
    painted(again)
    for k in (3, last):
        with redraw.keeping(kept):
            assert drawn(draw, k) is fig
        seen = painted(again)
    first = drawn(draw, last)
    new = redraw.Painter(first)
    for ax, old in zip(first.axes, fig.axes, strict=True):
        ax.set_position(old.get_position(original=True))
    assert (painted(new) == seen).all()


@pytest.mark.parametrize("draw", KINDS)
def test_all_is_there_that_matplotlib_draws(draw):
    with redraw.keeping({}):
        painter = redraw.Painter(drawn(draw, 2))
    painted(painter)
    seen = painted(painter)
    painter.canvas.draw()
    whole = np.asarray(painter.canvas.buffer_rgba())[:, :, :3]
    assert seen.shape == (180, 810, 3)
    assert (abs(seen - whole).max(2) > 40).mean() < 0.001, "but for ticks over or under a spine"


def test_what_is_drawn_lies_over_the_grid_and_the_same_place_each_time():
    kept = {}
    with redraw.keeping(kept):
        painter = redraw.Painter(drawn(bars, 1))
    assert (painted(painter) == painted(painter)).all()
    colours = painted(painter).reshape(-1, 3)
    blue = [int(plots.COLOURS[0][i : i + 2], 16) for i in (1, 3, 5)]
    assert (colours == blue).all(1).mean() > 0.2, "bars are not crossed by the grid"


def test_what_is_shown_are_the_pixels_of_the_canvas():
    with redraw.keeping({}):
        painter = redraw.Painter(drawn(lines, 2))
    seen = painted(painter)
    assert (seen == np.asarray(painter.canvas.buffer_rgba())[:, :, :3]).all()


def test_a_figure_with_a_colour_bar_or_of_another_shape_is_not_kept():
    kept = {}
    with redraw.keeping(kept):
        fig, (ax,) = plots.figure()
        fig.colorbar(ax.imshow(np.eye(3)))
        assert plots.figure()[0] is not fig
        assert plots.figure(2)[0] is not plots.figure()[0]
    assert plots.figure()[0] not in kept.values()
    plt.close("all")


def test_a_draw_that_fails_leaves_nothing_behind():
    kept = {}
    with redraw.keeping(kept):
        painter = redraw.Painter(drawn(stems, 2))
    right = painted(painter)
    with pytest.raises(TypeError), redraw.keeping(kept):
        drawn(stems, None)
    with redraw.keeping(kept):
        drawn(stems, 2)
    assert (painted(painter) == right).all()
    assert plots.figure()[0] not in kept.values()
    plt.close("all")
