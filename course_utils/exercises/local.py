"""Checks of the exercises of chapter 5."""

import numpy as np
import torch

from course_utils.checks import Function, exercise
from course_utils.data import normal


def check_units_along(answer: Function) -> None:
    """Check chapter 5, exercise 1: how many units stand along a side of the sheet."""

    def along(image, field, per):
        return torch.tensor((image - field + 1) * per)

    def as_tensor(*case):
        number = answer(*case)
        return torch.tensor(number) if isinstance(number, int | float) else number

    mistakes = {
        "off by one: the last place counts, too": lambda image, field, per: (
            along(image, field, per) - per
        ),
        "this is one place too many: there the field would leave the image": (
            lambda image, field, per: along(image, field, per) + per
        ),
        "off by one: add the last place before you multiply by per": lambda image, field, per: (
            along(image, field, per) - per + 1
        ),
        "these are the places; each has per units along a side": lambda image, field, per: along(
            image, field, 1
        ),
        "a place has per² units, but only per of them along a side": lambda image, field, per: (
            along(image, field, per) * per
        ),
        "these are the pixels: a field needs room, it cannot begin at the last": (
            lambda image, field, per: along(image, 1, per)
        ),
        "fields overlap: a new place begins at every pixel, not only where the last field ended": (
            lambda image, field, per: torch.tensor(image // field * per)
        ),
    }
    exercise(as_tensor, along, mistakes, [(32, 9, 2), (119, 20, 1), (12, 5, 3), (7, 7, 2)])


def check_seen_by_unit(answer: Function) -> None:
    """Check chapter 5, exercise 2: the field of one unit."""

    def seen(x, field, top, left):
        return x[:, top : top + field, left : left + field]

    mistakes = {
        "you forgot per: units of one place look at the same field": (
            lambda x, field, per, row, column: seen(x, field, row, column)
        ),
        "row and column are exchanged: the row goes down": (
            lambda x, field, per, row, column: seen(x, field, column // per, row // per)
        ),
        "off by one: the first place begins at pixel 0": (
            lambda x, field, per, row, column: seen(x, field, row // per + 1, column // per + 1)
        ),
        "the place is the field's first pixel, not its middle": (
            lambda x, field, per, row, column: seen(
                x, field, max(row // per - field // 2, 0), max(column // per - field // 2, 0)
            )
        ),
        "places are one pixel apart: divide by per, do not multiply": (
            lambda x, field, per, row, column: seen(x, field, row * per, column * per)
        ),
        "fields overlap: the next place is one pixel further, not a whole field": (
            lambda x, field, per, row, column: seen(
                x, field, row // per * field, column // per * field
            )
        ),
        "the field is mirrored: rows and columns of the picture are exchanged": (
            lambda x, field, per, row, column: seen(x, field, row // per, column // per).mT
        ),
    }
    x = normal(np.random.default_rng(14), 3, 40, 40)
    cases = [(x, 4, 2, 11, 6), (x, 5, 3, 9, 2), (x, 3, 2, 5, 10), (x, 6, 1, 3, 5)]
    exercise(
        answer,
        lambda x, field, per, row, column: seen(x, field, row // per, column // per),
        mistakes,
        cases,
    )


def check_line_synthesis(answer: Function) -> None:
    """Check chapter 5, exercise 3: the adjoint of a local layer on a line."""

    def paint(z, Wd):
        field, m = Wd.shape
        x = z.new_zeros(len(z), m + field - 1)
        for i in range(field):
            x[:, i : i + m] += z * Wd[i]
        return x

    def overwritten(z, Wd):
        field, m = Wd.shape
        x = z.new_zeros(len(z), m + field - 1)
        for k in range(m):
            x[:, k : k + field] = z[:, k : k + 1] * Wd[:, k]
        return x

    def overwritten_by_offset(z, Wd):
        x = z.new_zeros(len(z), Wd.shape[1] + len(Wd) - 1)
        for i, row in enumerate(Wd):
            x[:, i : i + len(row)] = z * row
        return x

    mistakes = {
        "fields overlap, and the later one overwrites the earlier: add": overwritten,
        "offsets overlap, and the later one overwrites the earlier: add": overwritten_by_offset,
        "you took the mean where fields overlap: the adjoint adds": (
            lambda z, Wd: paint(z, Wd) / paint(torch.ones_like(z[:1]), torch.ones_like(Wd))
        ),
        "each filter is painted back to front: offset i of the filter goes to offset i": (
            lambda z, Wd: paint(z, Wd.flip(0))
        ),
        "you used one filter for all units: column k of Wd is unit k's own": (
            lambda z, Wd: paint(z, Wd[:, :1].expand_as(Wd))
        ),
        "the codes are missing: each filter is painted as strongly as its unit is on": (
            lambda z, Wd: paint(torch.ones_like(z), Wd)
        ),
        "the filters are missing: you painted the codes alone": (
            lambda z, Wd: paint(z, torch.ones_like(Wd))
        ),
    }
    generator = np.random.default_rng(15)
    cases = [
        (
            normal(generator, 4, m),
            normal(generator, field, m),
        )
        for m, field in ((9, 3), (5, 7))
    ]
    exercise(answer, paint, mistakes, cases)


def check_tile_by_tile(answer: Function) -> None:
    """Check chapter 5, exercise 4: codes in the order of tiles."""

    def tiled(z, side, t, u, order=(0, 1, 3, 2, 4)):
        blocks = z.reshape(len(z), side // t, t, side // u, u).permute(order)
        return blocks.reshape(len(z), -1, t * u)

    mistakes = {
        "you only cut the row of numbers in pieces: a tile is a block of t rows and u columns": (
            lambda z, side, t, u: z.reshape(len(z), -1, t * u)
        ),
        "tiles are in the wrong order: first go along the row of tiles": (
            lambda z, side, t, u: tiled(z, side, t, u, (0, 3, 1, 2, 4))
        ),
        "units inside a tile are in the wrong order: first go along the row of units": (
            lambda z, side, t, u: tiled(z, side, t, u, (0, 1, 3, 4, 2))
        ),
        "tiles and units go down first; reading order goes along the rows": (
            lambda z, side, t, u: tiled(z, side, t, u, (0, 3, 1, 4, 2))
        ),
        "the axes of tile and unit are exchanged: tiles take every (side / t)-th unit": (
            lambda z, side, t, u: (
                z.reshape(len(z), t, side // t, u, side // u)
                .permute(0, 2, 4, 1, 3)
                .reshape(len(z), -1, t * u)
            )
        ),
        "t and u are exchanged: a tile has t rows and u columns": (
            lambda z, side, t, u: tiled(z, side, u, t)
        ),
    }
    generator = np.random.default_rng(16)
    cases = [
        (normal(generator, 3, side**2), side, t, u)
        for side, t, u in ((12, 4, 3), (12, 2, 6), (6, 3, 2))
    ]
    exercise(answer, tiled, mistakes, cases)


def check_turns_round(answer: Function) -> None:
    """Check chapter 5, exercise 5: how often orientations turn round a square."""

    def round_(theta, period=np.pi, shift=-1):
        ahead = theta.roll(shift, dims=1) - theta
        ahead = (ahead + period / 2) % period - period / 2
        return (ahead.sum(1) / period).round()

    def open_end(theta):
        ahead = theta.diff(dim=1)
        return ((ahead + np.pi / 2) % np.pi - np.pi / 2).sum(1) / np.pi

    mistakes = {
        "the sign is turned: +1 is where orientations turn through +π in the given order": (
            lambda theta: -round_(theta)
        ),
        "orientations are angles mod π, not mod 2π: bring differences into −π/2 … π/2": (
            lambda theta: round_(theta, 2 * np.pi)
        ),
        "you brought differences into −π … π and divided by π: orientations are angles mod π": (
            lambda theta: 2 * round_(theta, 2 * np.pi)
        ),
        "the way back to the first corner is missing: four corners, four turns": open_end,
        "without bringing differences into −π/2 … π/2 they always add up to 0": (
            lambda theta: 0 * round_(theta)
        ),
        "divide by π, not by 2π: orientation turns through π round a pinwheel": (
            lambda theta: round_(theta) / 2
        ),
        "you took the size: the sign tells two kinds of pinwheels apart": (
            lambda theta: round_(theta).abs()
        ),
        "this is the sum of the turns; divide it by π": lambda theta: np.pi * round_(theta),
    }
    generator = np.random.default_rng(17)
    # Any angles will do: they count mod π.
    theta = torch.from_numpy(generator.uniform(-5, 5, (2, 200, 4)))
    exercise(answer, round_, mistakes, [(one,) for one in theta])
