"""Homework 5, tied fields: right answers written in other ways, and likely mistakes."""

from math import isqrt

import numpy as np
import torch
from torch.nn.functional import conv_transpose2d, fold, one_hot, pad

from course_utils.built.groups import orientation_difference
from course_utils.built.local import Sheet, fields


def sizes(tied):
    return isqrt(len(tied)), isqrt(tied.shape[1])


# Task 1: wallpaper


def wallpaper_by_loop(tied, side):
    _, p = sizes(tied)
    units = [(i % p) * p + j % p for i in range(side) for j in range(side)]
    return torch.stack([tied[:, k] for k in units], 1)


def wallpaper_by_repeat(tied, side):
    _, p = sizes(tied)
    often = -(-side // p)
    grid = tied.reshape(-1, p, p).repeat(1, often, often)
    return grid[:, :side, :side].reshape(len(tied), -1)


def wallpaper_by_numpy(tied, side):
    _, p = sizes(tied)
    grid = tied.numpy().reshape(-1, p, p)
    grown = grid.take(range(side), 1, mode="wrap").take(range(side), 2, mode="wrap")
    return torch.from_numpy(grown.reshape(len(tied), -1))


def hung(tied, side, rule, turned=False):
    _, p = sizes(tied)
    rows = [rule(i, p, side) for i in range(side)]
    units = [b * p + a if turned else a * p + b for a in rows for b in rows]
    return tied[:, units]


# Task 2: fold


def fold_by_slices(slopes, period):
    grid = slopes.reshape(len(slopes), isqrt(slopes.shape[1]), -1)
    places = [(a, b) for a in range(period) for b in range(period)]
    return torch.stack([grid[:, a::period, b::period].sum((1, 2)) for a, b in places], 1)


def fold_by_matrix(slopes, period):
    i = torch.arange(isqrt(slopes.shape[1])) % period
    one = one_hot(i, period).to(slopes)
    grid = slopes.reshape(len(slopes), len(i), len(i))
    return torch.einsum("oij,ia,jb->oab", grid, one, one).flatten(1)


def fold_by_autograd(slopes, period):
    tied = torch.zeros(len(slopes), period**2, requires_grad=True)
    hung_up = wallpaper_by_repeat(tied, isqrt(slopes.shape[1]))
    return torch.autograd.grad((hung_up * slopes).sum(), tied)[0]


def fold_by_numpy(slopes, period):
    side = isqrt(slopes.shape[1])
    out = np.zeros((len(slopes), period, period), np.float32)
    row, column = np.divmod(np.arange(side**2), side)
    np.add.at(out, (slice(None), row % period, column % period), slopes.numpy())
    return torch.from_numpy(out.reshape(len(slopes), -1))


def gathered(slopes, period, rule, mean=False):
    """Add, or average, the columns of slopes under the number that rule gives to unit (i, j)."""
    side = isqrt(slopes.shape[1])
    out, copies = torch.zeros(len(slopes), period**2), torch.zeros(period**2)
    for i in range(side):
        for j in range(side):
            k = rule(i, j, side)
            if k is not None:
                out[:, k] += slopes[:, i * side + j]
                copies[k] += 1
    return out / copies.clamp(min=1) if mean else out


def fold_once(slopes, period):
    """Plain += at numbers that repeat: each is written once."""
    i = torch.arange(isqrt(slopes.shape[1])) % period
    out = slopes.new_zeros(len(slopes), period**2)
    out[:, (i[:, None] * period + i).flatten()] += slopes
    return out


def fold_as(rule, mean=False):
    return lambda slopes, p: gathered(slopes, p, lambda i, j, side: rule(i, j, side, p), mean)


def unit(i, j, side, p):
    return i % p * p + j % p


# Task 3: tied_synthesis


def synthesis_by_offsets(z, tied):
    (s, p), (B, R, C) = sizes(tied), z.shape
    x = z.new_zeros(B, R + s - 1, C + s - 1)
    for o, row in enumerate(tied):
        weights = row.reshape(p, p).repeat(-(-R // p), -(-C // p))[:R, :C]
        x[:, o // s : o // s + R, o % s : o % s + C] += z * weights
    return x


def synthesis_by_filters(z, tied):
    (s, p), (B, R, C) = sizes(tied), z.shape
    x = z.new_zeros(B, R + s - 1 + p, C + s - 1 + p)
    for k, kernel in enumerate(tied.T):
        a, b = divmod(k, p)
        if a < R and b < C:
            part = z[:, None, a::p, b::p]
            painted = conv_transpose2d(part, kernel.reshape(1, 1, s, s), stride=p)[:, 0]
            x[:, a : a + painted.shape[1], b : b + painted.shape[2]] += painted
    return x[:, : R + s - 1, : C + s - 1]


def synthesis_by_fold(z, tied):
    (s, p), (_, R, C) = sizes(tied), z.shape
    i, j = torch.arange(R) % p, torch.arange(C) % p
    weights = tied.reshape(-1, p, p)[:, i[:, None], j]
    columns = (weights * z[:, None]).flatten(2)
    return fold(columns, (R + s - 1, C + s - 1), s)[:, 0]


def synthesis_by_numpy(z, tied):
    (s, p), (B, R, C) = sizes(tied), z.shape
    x = np.zeros((B, R + s - 1, C + s - 1), z.numpy().dtype)
    for i in range(R):
        for j in range(C):
            kernel = tied[:, i % p * p + j % p].numpy().reshape(s, s)
            x[:, i : i + s, j : j + s] += z[:, i, j].numpy()[:, None, None] * kernel
    return torch.from_numpy(x)


def painted(z, tied, rule=unit, kernel=lambda k: k):
    """Paint unit by unit; rule gives a unit's number on the torus, None if it stays silent."""
    (s, p), (B, R, C) = sizes(tied), z.shape
    x = torch.zeros(B, R + s - 1, C + s - 1)
    for i in range(R):
        for j in range(C):
            k = rule(i, j, C, p)
            if k is not None:
                x[:, i : i + s, j : j + s] += z[:, i, j, None, None] * kernel(
                    tied[:, k].reshape(s, s)
                )
    return x


def last_wins(z, tied):
    (s, p), (B, R, C) = sizes(tied), z.shape
    x = z.new_zeros(B, R + s - 1, C + s - 1)
    for o, row in enumerate(tied):
        weights = row.reshape(p, p).repeat(-(-R // p), -(-C // p))[:R, :C]
        x[:, o // s : o // s + R, o % s : o % s + C] = z * weights
    return x


def silent_edge(z, tied):
    p, (_, R, C) = isqrt(tied.shape[1]), z.shape
    inside = [n // p * p for n in (R, C)]
    return painted(
        z, tied, lambda i, j, C, p: unit(i, j, C, p) if i < inside[0] and j < inside[1] else None
    )


def blocks(z, tied):
    p, (_, R, C) = isqrt(tied.shape[1]), z.shape
    down, across = -(-R // p), -(-C // p)
    return painted(z, tied, lambda i, j, C, p: i // down * p + j // across)


def weights_of_pixels(z, tied):
    """The filter of the pixel's place, and not of the unit's."""
    (s, p), (B, R, C) = sizes(tied), z.shape
    x = z.new_zeros(B, R + s - 1, C + s - 1)
    for o, row in enumerate(tied):
        a, b = divmod(o, s)
        i, j = (torch.arange(R) + a) % p, (torch.arange(C) + b) % p
        x[:, a : a + R, b : b + C] += z * row.reshape(p, p)[i[:, None], j]
    return x


def all_at_the_corner(z, tied):
    (s, p), (B, R, C) = sizes(tied), z.shape
    x = z.new_zeros(B, R + s - 1, C + s - 1)
    for a in range(min(p, R)):
        for b in range(min(p, C)):
            kernel = tied[:, a * p + b].reshape(1, 1, s, s)
            part = conv_transpose2d(z[:, None, a::p, b::p], kernel, stride=p)[:, 0]
            x[:, : part.shape[1], : part.shape[2]] += part
    return x


# Task 4: pixel_grams


def seen(z, s):
    """What each pixel sees, (B, rows, columns, s²), by shifted copies."""
    B, R, C = z.shape
    u = z.new_zeros(B, R + s - 1, C + s - 1, s * s)
    for o in range(s * s):
        u[:, o // s : o // s + R, o % s : o % s + C, o] = z
    return u


def grams_by_shifts(z, field, period):
    u = seen(z, field)
    parts = [u[:, a::period, b::period] for a in range(period) for b in range(period)]
    return torch.stack([torch.einsum("bijo,bijn->on", part, part) for part in parts])


def grams_by_numpy(z, field, period):
    u = seen(z, field).numpy()
    G = np.zeros((period**2, field**2, field**2), np.float32)
    for i in range(u.shape[1]):
        for j in range(u.shape[2]):
            G[i % period * period + j % period] += u[:, i, j].T @ u[:, i, j]
    return torch.from_numpy(G)


def grams_by_mask(z, field, period):
    u = seen(z, field)
    row, column = (torch.arange(n) % period for n in u.shape[1:3])
    u, r = u.flatten(0, 2), (row[:, None] * period + column).flatten().repeat(len(z))
    return torch.stack([(u * (r == k)[:, None]).T @ u for k in range(period**2)])


def grams_by_chapter_5(z, field, period):
    """By writing down the whole matrix, an image and a pixel at a time."""
    B, R, C = z.shape
    side = max(R, C)
    sheet = Sheet(side + field - 1, field, 1, (1, 1))
    square = pad(z, (0, side - C, 0, side - R)).flatten(1)
    u = z.new_zeros(B, sheet.image**2, field**2)
    for o, pixels in enumerate(fields(sheet)):
        u[:, pixels, o] = square
    i = torch.arange(sheet.image) % period
    r = (i[:, None] * period + i).flatten()
    parts = [u[:, r == k].flatten(0, 1) for k in range(period**2)]
    return torch.stack([part.T @ part for part in parts])


def class_of(u, rule):
    rows, columns = range(u.shape[1]), range(u.shape[2])
    return torch.tensor([[rule(i, j, u.shape) for j in columns] for i in rows])


def grams_as(rule=None, look=seen, scale=lambda G, z: G):
    def wrong(z, s, p):
        u = look(z, s)
        r = class_of(u, lambda i, j, shape: rule(i, j, shape, s, p) if rule else i % p * p + j % p)
        parts = [u[:, r == k].flatten(0, 1) for k in range(p * p)]
        return scale(torch.stack([part.T @ part for part in parts]), z)

    return wrong


def whole_only(i, j, shape, s, p):
    inside = s - 1 <= i <= shape[1] - s and s - 1 <= j <= shape[2] - s
    return i % p * p + j % p if inside else -1


def grams_transposed(z, field, period):
    """Offsets run down first."""
    u = seen(z, field).unflatten(3, (field, field)).mT.flatten(3)
    parts = [u[:, a::period, b::period] for a in range(period) for b in range(period)]
    return torch.stack([torch.einsum("bijo,bijn->on", part, part) for part in parts])


def grams_of_whole_periods(z, field, period):
    u = seen(z, field)
    u = u[:, : u.shape[1] // period * period, : u.shape[2] // period * period]
    parts = [u[:, a::period, b::period] for a in range(period) for b in range(period)]
    return torch.stack([torch.einsum("bijo,bijn->on", part, part) for part in parts])


# Task 5: torus_ratio


def ratio_by_pairs(theta):
    p, found = isqrt(theta.shape[1]), []
    for angles in theta:
        D = orientation_difference(angles[:, None], angles)
        m = torch.arange(p * p)
        right, below = m // p * p + (m % p + 1) % p, (m + p) % (p * p)
        beside = torch.cat([D[m, right], D[m, below]])
        found.append(beside.mean() / D[~torch.eye(p * p, dtype=torch.bool)].mean())
    return torch.stack(found)


def ratio_by_padding(theta):
    p = isqrt(theta.shape[1])
    maps = pad(theta.reshape(-1, 1, p, p), (0, 1, 0, 1), mode="circular")[:, 0]
    across, down = maps[:, :p, 1:] - maps[:, :p, :p], maps[:, 1:, :p] - maps[:, :p, :p]
    beside = [torch.asin(torch.sin(d).abs().clamp(max=1)).mean((1, 2)) for d in (across, down)]
    a, b = torch.triu_indices(p * p, p * p, 1)
    return (beside[0] + beside[1]) / 2 / orientation_difference(theta[:, a], theta[:, b]).mean(1)


def ratio_by_numpy(theta):
    t, p = theta.double().numpy(), isqrt(theta.shape[1])

    def apart(d):
        return np.minimum(d % np.pi, np.pi - d % np.pi)

    maps = t.reshape(-1, p, p)
    beside = sum(apart(maps - np.roll(maps, 1, k)).mean((1, 2)) for k in (1, 2)) / 2
    pairs = apart(t[:, :, None] - t[:, None]).mean((1, 2)) * p**2 / (p**2 - 1)
    return torch.from_numpy(beside / pairs)


def ratio(theta, apart=orientation_difference, axes=(1, 2), corners=False, same=0):
    m, p = theta.shape[1], isqrt(theta.shape[1])
    maps = theta.reshape(-1, p, p)
    there = [maps.roll(1, k) for k in axes]
    there += [maps.roll((1, k), (1, 2)) for k in (1, -1)] if corners else []
    beside = torch.stack([apart(maps, other).mean((1, 2)) for other in there]).mean(0)
    pairs = apart(theta[:, :, None], theta[:, None]).sum((1, 2))
    return beside / (pairs / (m * (m - 1 + same)))


def rim(theta):
    m, p = theta.shape[1], isqrt(theta.shape[1])
    maps = theta.reshape(-1, p, p)
    turns = [
        orientation_difference(maps[:, 1:], maps[:, :-1]),
        orientation_difference(maps[:, :, 1:], maps[:, :, :-1]),
    ]
    beside = sum(t.sum((1, 2)) for t in turns) / (2 * p * (p - 1))
    return beside / (
        orientation_difference(theta[:, :, None], theta[:, None]).sum((1, 2)) / (m * (m - 1))
    )


RIGHT = {
    "task1": [wallpaper_by_loop, wallpaper_by_repeat, wallpaper_by_numpy],
    "task2": [fold_by_slices, fold_by_matrix, fold_by_autograd, fold_by_numpy],
    "task3": [synthesis_by_offsets, synthesis_by_filters, synthesis_by_fold, synthesis_by_numpy],
    "task4": [grams_by_shifts, grams_by_numpy, grams_by_mask, grams_by_chapter_5],
    "task5": [ratio_by_pairs, ratio_by_padding, ratio_by_numpy],
}
PLANTED = {
    "task1": {
        "numbered along the whole sheet": lambda tied, side: tied.repeat(1, side**2)[:, : side**2],
        "each filter fills a block": lambda tied, side: hung(
            tied, side, lambda i, p, side: i * p // side
        ),
        "rows and columns of the torus": lambda tied, side: hung(
            tied, side, lambda i, p, side: i % p, turned=True
        ),
        "mirrored at the seam": lambda tied, side: hung(
            tied, side, lambda i, p, side: p - 1 - i % p if i // p % 2 else i % p
        ),
        "all units beyond the first period": lambda tied, side: hung(
            tied, side, lambda i, p, side: min(i, p - 1)
        ),
        "the pattern is shifted": lambda tied, side: hung(
            tied, side, lambda i, p, side: (i + 1) % p
        ),
    },
    "task2": {
        "are averaged": fold_as(unit, mean=True),
        "only the first copy": fold_as(
            lambda i, j, side, p: unit(i, j, side, p) if i < p and j < p else None
        ),
        "only the last copy": fold_once,
        "numbered along the whole sheet": fold_as(lambda i, j, side, p: (i * side + j) % p**2),
        "cut off at the edge are left out": fold_as(
            lambda i, j, side, p: unit(i, j, side, p) if max(i, j) < side // p * p else None
        ),
        "blocks of neighbours": fold_as(lambda i, j, side, p: i * p // side * p + j * p // side),
        "rows and columns of the torus": fold_as(lambda i, j, side, p: unit(j, i, side, p)),
    },
    "task3": {
        "the last one wins": last_wins,
        "upside down": lambda z, tied: painted(z, tied, kernel=lambda k: k.flip(0, 1)),
        "rows and columns of the torus": lambda z, tied: painted(
            z, tied, lambda i, j, C, p: unit(j, i, C, p)
        ),
        "rows and columns of the field": lambda z, tied: painted(z, tied, kernel=lambda k: k.T),
        "numbered along the whole sheet": lambda z, tied: painted(
            z, tied, lambda i, j, C, p: (i * C + j) % p**2
        ),
        "cut off at the edge paint nothing": silent_edge,
        "not on the pixel q": weights_of_pixels,
        "laid at the corner": all_at_the_corner,
        "fills a block": blocks,
        "the shape is": lambda z, tied: painted(z, tied)[:, : z.shape[1], : z.shape[2]],
    },
    "task4": {
        "the offsets run backwards": grams_as(look=lambda z, s: seen(z, s).flip(3)),
        "pixels near the rim": grams_as(whole_only),
        "those of corner units": grams_as(
            lambda i, j, shape, s, p: (i - s + 1) % p * p + (j - s + 1) % p
        ),
        "rows and columns of the classes": grams_as(lambda i, j, shape, s, p: j % p * p + i % p),
        "has become a mean": grams_as(scale=lambda G, z: G / len(z)),
        "beyond the last whole period": grams_of_whole_periods,
        "rows and columns of the field": grams_transposed,
        "only squares": grams_as(scale=lambda G, z: torch.diag_embed(G.diagonal(0, 1, 2))),
        "classes are blocks": grams_as(
            lambda i, j, shape, s, p: i * p // shape[1] * p + j * p // shape[2]
        ),
        "the shape is": lambda z, s, p: grams_by_shifts(z, s, p).reshape(p, p, s * s, s * s),
    },
    "task5": {
        "stop at the rim": rim,
        "angles mod π": lambda theta: ratio(theta, apart=lambda a, b: (a - b).abs()),
        "paired with itself": lambda theta: ratio(theta, same=1),
        "only neighbours across": lambda theta: ratio(theta, axes=(2,)),
        "only neighbours below": lambda theta: ratio(theta, axes=(1,)),
        "each pair is there twice": lambda theta: ratio(theta) / 2,
        "upside down": lambda theta: 1 / ratio(theta),
        "diagonal": lambda theta: ratio(theta, corners=True),
    },
}

# Likely mistakes that the check which students see names, too
SEEN = {
    "task3": ["cut off at the edge paint nothing", "not on the pixel q", "laid at the corner"],
    "task4": ["beyond the last whole period", "rows and columns of the field", "only squares"],
}


# Further wrong answers, which have no message of their own


def by_columns(tied, side):
    return hung(tied, side, lambda i, p, side: i % p).reshape(-1, side, side).mT.flatten(1).flip(1)


def zeros_beyond(tied, side):
    """Only whole periods are hung."""
    p = isqrt(tied.shape[1])
    out, whole = wallpaper_by_repeat(tied, side).reshape(-1, side, side).clone(), side // p * p
    out[:, whole:] = out[:, :, whole:] = 0
    return out.flatten(1)


def twice_at_most(tied, side):
    return hung(tied, side, lambda i, p, side: min(i, 2 * p - 1) % p)


def fold_largest(slopes, period):
    """Divide by the number of copies that most filters have."""
    return fold_as(unit)(slopes, period) / max(isqrt(slopes.shape[1]) // period, 1) ** 2


def fold_what_is_there(slopes, period):
    """A period larger than the sheet is cut to it."""
    return fold_as(unit)(slopes, min(period, isqrt(slopes.shape[1])))


def fold_sizes(slopes, period):
    return fold_as(unit)(slopes.abs(), period)


def fold_twice_at_most(slopes, period):
    return gathered(
        slopes,
        period,
        lambda i, j, side: unit(i, j, side, period) if max(i, j) < 2 * period else None,
    )


def synthesis_by_autograd(z, tied):
    """The stand-in of the notebook, written again."""
    s, (B, R, C) = isqrt(len(tied)), z.shape
    filters = wallpaper_by_repeat(tied, max(R, C)).reshape(s, s, max(R, C), -1)[:, :, :R, :C]
    image = z.new_zeros(B, R + s - 1, C + s - 1, requires_grad=True)
    seen = (image.unfold(1, s, 1).unfold(2, s, 1) * filters.permute(2, 3, 0, 1)).sum((3, 4))
    return torch.autograd.grad((seen * z).sum(), image)[0]


def round_the_edge(z, tied):
    """What is painted beyond the sheet comes in again on the other side."""
    full, (_, R, C) = synthesis_by_offsets(z, tied), z.shape
    out = torch.zeros_like(full)
    out[:, :R, :C] = full[:, :R, :C]
    out[:, : full.shape[1] - R, :C] += full[:, R:, :C]
    out[:, :R, : full.shape[2] - C] += full[:, :R, C:]
    return out


def first_image(z, tied):
    return synthesis_by_offsets(z[:1], tied).expand(len(z), -1, -1)


def square_sheets(z, tied):
    """A sheet is hung as wide as it is high."""
    s, (_, R, C) = isqrt(len(tied)), z.shape
    square = pad(z, (0, max(R - C, 0)))[:, :, :R]
    return pad(synthesis_by_offsets(square, tied), (0, max(C - R, 0)))[:, :, : C + s - 1]


def in_float32(z, tied):
    return synthesis_by_offsets(z, tied).float()


def with_biases(z, tied):
    return synthesis_by_offsets(z, tied) + 1e-3


def period_within_the_sheet(z, tied):
    p = isqrt(tied.shape[1])
    q = min(p, *z.shape[1:])
    return synthesis_by_offsets(z, tied.reshape(-1, p, p)[:, :q, :q].flatten(1))


def grams_by_autograd(z, field, period):
    """The stand-in of the notebook, by another function that paints."""
    columns, s = [], field
    for o in range(s * s):
        v = z.new_zeros(s * s, period**2)
        v[o] = 1
        v.requires_grad_()
        u = seen(z, s)
        i, j = (torch.arange(n) % period for n in u.shape[1:3])
        weights = v[:, i[:, None] * period + j].permute(1, 2, 0)
        error = 0.5 * (u * weights).sum(3).square().sum()
        columns.append(torch.autograd.grad(error, v)[0].T)
    return torch.stack(columns, 2)


def grams_upper(z, field, period):
    return grams_by_shifts(z, field, period).triu()


def grams_centred(z, field, period):
    u = seen(z, field)
    return grams_by_shifts(z - u.mean(), field, period)


def grams_of_the_mean(z, field, period):
    return grams_by_shifts(z.mean(0, keepdim=True), field, period) * len(z)


def grams_normed(z, field, period):
    G = grams_by_shifts(z, field, period)
    return G / max(1, z.shape[1] * z.shape[2] // period**2)


def ratio_by_rows(theta):
    """The mean of two ratios, one to the right and one below, over half of the pairs."""
    a, b = torch.triu_indices(theta.shape[1], theta.shape[1], 1)
    pairs = orientation_difference(theta[:, a], theta[:, b]).median(1).values
    return ratio(theta) * orientation_difference(theta[:, a], theta[:, b]).mean(1) / pairs


def one_ratio(theta):
    return ratio(theta).mean().repeat(len(theta))


def positive_turns(theta):
    return ratio(theta, apart=lambda a, b: (a - b) % torch.pi)


def chords(theta):
    return ratio(theta, apart=lambda a, b: torch.sin(a - b).abs())


def squares(theta):
    return ratio(theta, apart=lambda a, b: orientation_difference(a, b) ** 2) ** 0.5


TRIED = {
    "task1": {
        "column by column, from the end": by_columns,
        "zeros beyond the last whole period": zeros_beyond,
        "two periods at most": twice_at_most,
        "the field turned over": lambda tied, side: wallpaper_by_repeat(tied.flip(0), side),
        "columns of norm 1": lambda tied, side: wallpaper_by_repeat(
            tied / tied.norm(dim=0).clamp(min=1e-9), side
        ),
        "as many units as filters": lambda tied, side: wallpaper_by_repeat(
            tied, isqrt(tied.shape[1])
        ),
    },
    "task2": {
        "divided by what most filters have": fold_largest,
        "the period cut to the sheet": fold_what_is_there,
        "sizes of slopes": fold_sizes,
        "two copies a side at most": fold_twice_at_most,
        "the mean over the sheet, times copies": lambda slopes, p: (
            slopes.mean(1, keepdim=True).repeat(1, p * p) * slopes.shape[1] / p**2
        ),
        "the root of the number of copies": lambda slopes, p: (
            fold_as(unit)(slopes, p) / max(isqrt(slopes.shape[1]) // p, 1)
        ),
    },
    "task3": {
        "the stand-in": synthesis_by_autograd,
        "paint beyond the sheet comes in again": round_the_edge,
        "the first image for all": first_image,
        "square sheets alone": square_sheets,
        "float32": in_float32,
        "a thousandth too much": with_biases,
        "a period within the sheet": period_within_the_sheet,
        "only codes above 0": lambda z, tied: synthesis_by_offsets(z.clamp(min=0), tied),
        "sizes of weights": lambda z, tied: synthesis_by_offsets(z, tied.abs()),
    },
    "task4": {
        "the stand-in": grams_by_autograd,
        "half of each matrix": grams_upper,
        "the mean taken off": grams_centred,
        "of the mean image": grams_of_the_mean,
        "divided by the pixels of a class": grams_normed,
        "the first image alone": lambda z, s, p: grams_by_shifts(z[:1], s, p),
        "only codes above 0": lambda z, s, p: grams_by_shifts(z.clamp(min=0), s, p),
        "the period at most the field": lambda z, s, p: pad(
            grams_by_shifts(z, s, min(p, s)), (0, 0, 0, 0, 0, p * p - min(p, s) ** 2)
        ),
    },
    "task5": {
        "the median of all pairs": ratio_by_rows,
        "one ratio for all maps": one_ratio,
        "turns one way": positive_turns,
        "sines of turns": chords,
        "roots of squares": squares,
        "a single map loses its axis": lambda theta: ratio(theta).squeeze(),
        "two digits": lambda theta: ratio(theta).round(decimals=2),
        "at most 1": lambda theta: ratio(theta).clamp(max=1),
    },
}
