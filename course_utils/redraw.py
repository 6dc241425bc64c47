"""One figure drawn again and again, as sliders move, fast enough to follow the hand.

Nine tenths of the time that matplotlib takes for a small figure go into its axes: ticks, numbers,
grid. Under a slider they seldom change. So the figure is kept, its axes are drawn once, and each
move draws only what is in them.
"""

import struct
import zlib
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure

Kept = dict[Hashable, Figure]  # the figures of one widget, by what they were asked for
_open: list[Kept] = []  # the last one is in use


@contextmanager
def keeping(kept: Kept) -> Iterator[None]:
    """While this lasts, `figure` hands out the figures of kept, and adds those it lacks."""
    _open.append(kept)
    try:
        yield
    finally:
        _open.pop()


def figure(key: Hashable, make: Callable[[], Figure]) -> Figure:
    """Return a new figure, or within `keeping` that of the last time, emptied."""
    if not _open:
        return make()
    kept = _open[-1]
    if key in kept and _is_plain(kept[key]):
        for ax in kept[key].axes:
            _empty(ax)
    else:
        kept[key] = make()
    return kept[key]


def _is_plain(fig: Figure) -> bool:
    """Whether nothing but the axes of its grid lies on a figure: no colour bar, no title."""
    rows, columns = fig.axes[0].get_gridspec().get_geometry()
    return len(fig.axes) == rows * columns and len(fig.get_children()) == 1 + len(fig.axes)


def _empty(ax: Axes) -> None:
    """Remove what was drawn in ax, and let its limits follow what comes, as in a new one."""
    legend = ax.get_legend()
    drawn = (*ax.lines, *ax.collections, *ax.patches, *ax.images, *ax.texts, *ax.artists)
    for artist in drawn if legend is None else (*drawn, legend):
        artist.remove()
    ax.containers.clear()
    ax.set_prop_cycle(None)
    ax.relim()
    ax.set(title="", xscale="linear", yscale="linear")  # usual ticks, too
    ax.set_xlim(0, 1, auto=True)
    ax.set_ylim(0, 1, auto=True)


class Painter:
    """Draws a figure as PNG, its axes only when they have changed."""

    def __init__(self, fig: Figure) -> None:
        """Lay fig out; it stays so, and its axes lie behind what is drawn in them."""
        plt.close(fig)  # which takes its canvas and its resolution away
        self.canvas = FigureCanvasAgg(fig)
        fig.set_dpi(90)
        fig.draw_without_rendering()
        fig.set_layout_engine("none")
        for ax in fig.axes:
            ax.set_axisbelow(True)
            ax.patch.set_visible(False)  # it would hide the grid
        self.looks = None

    def png(self) -> bytes:
        """Return the figure as it is now."""
        fig, renderer = self.canvas.figure, self.canvas.get_renderer()
        looks = [[_look(axis) for axis in _axes(ax)] for ax in fig.axes]
        if looks != self.looks:
            self.looks = looks
            renderer.clear()
            fig.patch.draw(renderer)
            for ax in fig.axes:
                _draw_axes(ax, renderer)
            self.behind = self.canvas.copy_from_bbox(fig.bbox)
        self.canvas.restore_region(self.behind)
        for ax in fig.axes:
            _draw_inside(ax, renderer)
        for artist in fig.get_children():
            if artist not in (*fig.axes, fig.patch):
                artist.draw(renderer)
        return _png(np.asarray(self.canvas.buffer_rgba())[:, :, :3])


def _draw_axes(ax: Axes, renderer: RendererAgg) -> None:
    """Draw ticks, numbers and grid: all of ax that seldom changes."""
    ax.apply_aspect()
    for axis in _axes(ax):
        axis.label.set_visible(False)
        axis.draw(renderer)
        axis.label.set_visible(True)


def _draw_inside(ax: Axes, renderer: RendererAgg) -> None:
    """Draw the rest of ax: what is in it, its title, the names of its axes."""
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_visible(False)
    ax.draw(renderer)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_visible(True)
    for axis in _axes(ax):
        axis.label.draw(renderer)


def _png(image: np.ndarray) -> bytes:
    """Return an image (rows, columns, 3) of bytes as PNG, in under half of Pillow's time.

    Pillow tries five filters on each row; figures are flat, and need none (PNG, section 12.7).
    """
    rows, columns, _ = image.shape
    lines = np.zeros((rows, 1 + 3 * columns), np.uint8)  # each begins with its filter: 0, none
    lines[:, 1:] = image.reshape(rows, -1)
    header = struct.pack(">2I5B", columns, rows, 8, 2, 0, 0, 0)  # 8 bits each of red, green, blue
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def _axes(ax: Axes) -> list[Axis]:
    """Return the x and the y axis of ax, if they are seen."""
    return [ax.xaxis, ax.yaxis] if ax.axison else []


def _look(axis: Axis) -> tuple:
    """Return what of an axis is seen beside its name: limits, ticks and their numbers."""
    ticks = axis.get_majorticklocs()
    numbers = axis.get_major_formatter().format_ticks(ticks)
    return axis.get_scale(), *axis.get_view_interval(), *ticks, *numbers
