"""Right answers to homework 6 written in other ways, and the mistakes its tests have to name."""

import math
import operator
from collections import Counter

import numpy as np
import torch
from scipy.optimize import minimize

LN2 = math.log(2)


# Task 1 · two_numbers
def pictures(q, step, Wd):
    return [step * c.double() @ Wd.double().T for c in (q, q.sign())]


def by_normal_equations(q, step, x, Wd):
    """Solve two equations with two unknowns by Cramer's rule."""
    P, S = pictures(q, step, Wd)
    pp, ps, ss = (P * P).sum(), (P * S).sum(), (S * S).sum()
    px, sx = (P * x.double()).sum(), (S * x.double()).sum()
    return torch.stack([px * ss - sx * ps, sx * pp - px * ps]) / (pp * ss - ps**2)


def by_grams(q, step, x, Wd):
    """Never rebuild a tile: products of codes and of filters are enough."""
    gram, Wd = Wd.double().T @ Wd.double(), Wd.double()
    C = step * torch.stack([q, q.sign()]).double()
    A = torch.einsum("abm,cbk,mk->ac", C, C, gram)
    return torch.linalg.solve(A, torch.einsum("abm,bn,nm->a", C, x.double(), Wd))


def by_numpy(q, step, x, Wd):
    q, W = q.numpy().astype(float), Wd.numpy().astype(float)
    A = np.stack([(step * c @ W.T).ravel() for c in (q, np.sign(q))], 1)
    return torch.from_numpy(np.linalg.lstsq(A, x.numpy().astype(float).ravel(), rcond=None)[0])


def one_after_the_other(q, step, x, Wd):
    """Fit the gain to what the offset's picture cannot explain, then the offset to the rest."""
    P, S = (p.flatten() for p in pictures(q, step, Wd))
    x = x.double().flatten()
    alone = P - S * (P @ S) / (S @ S)
    gain = alone @ x / (alone @ alone)
    return torch.stack([gain, S @ (x - gain * P) / (S @ S)])


def fitted(P, S, x):
    A = torch.stack([P.double().flatten(), S.double().flatten()], 1)
    return torch.linalg.lstsq(A, x.double().reshape(-1, 1)).solution[:, 0]


def good_two(q, step, x, Wd):
    return fitted(*pictures(q, step, Wd), x)


def alone(P, x):
    return (P * x.double()).sum() / (P * P).sum()


def each_alone(q, step, x, Wd):
    return torch.stack([alone(P, x) for P in pictures(q, step, Wd)])


def gain_of_one(q, step, x, Wd):
    P, S = pictures(q, step, Wd)
    return torch.stack([torch.tensor(1.0).double(), alone(S, x.double() - P)])


def offset_to_all(q, step, x, Wd):
    P, _ = pictures(q, step, Wd)
    return fitted(P, step * torch.ones_like(q).double() @ Wd.double().T, x)


def tile_by_tile(q, step, x, Wd):
    P, S = pictures(q, step, Wd)
    return torch.stack([fitted(*three) for three in zip(P, S, x, strict=True)]).mean(0)


def ridge(q, step, x, Wd):
    A = torch.stack([P.flatten() for P in pictures(q, step, Wd)], 1)
    return torch.linalg.solve(A.T @ A + torch.eye(2), A.T @ x.double().flatten())


def a_few_steps_down(q, step, x, Wd):
    A = torch.stack([P.flatten() for P in pictures(q, step, Wd)], 1)
    two, L = torch.tensor([1.0, 0.0]).double(), torch.linalg.matrix_norm(A, 2) ** 2
    for _ in range(20):
        two = two - A.T @ (A @ two - x.double().flatten()) / L
    return two


# Task 2 · symbol_table
def entry_by_entry(q, levels, a):
    """Count with Python's own counter, and write down each entry."""
    N, m = q.shape
    seen = Counter(q.flatten().tolist())
    ks = range(-levels, levels + 1)
    total = sum(seen[k] + a for k in ks if k)
    table = torch.zeros(m, len(ks), dtype=torch.float64)
    for i in range(m):
        pi = (sum(k != 0 for k in q[:, i].tolist()) + a) / (N + 2 * a)
        for k in ks:
            table[i, k + levels] = pi * (seen[k] + a) / total if k else 1 - pi
    return table


def by_one_hot(q, levels, a):
    hot = torch.nn.functional.one_hot(q.long() + levels, 2 * levels + 1).double()
    off = hot[:, :, levels].mean(0)
    pi = ((1 - off) * len(q) + a) / (len(q) + 2 * a)
    v = hot.sum((0, 1)) + a
    v[levels] = 0
    table = torch.einsum("i,k->ik", pi, v / v.sum())
    table[:, levels] += 1 - pi
    return table


def by_histogram(q, levels, a):
    edges = np.arange(-levels, levels + 2) - 0.5
    v = np.histogram(q.numpy(), edges)[0].astype(float) + a
    nonzero = np.arange(2 * levels + 1) != levels
    v = v * nonzero / v[nonzero].sum()
    off = ((q == 0).sum(0).numpy() + a) / (len(q) + 2 * a)
    return torch.from_numpy(np.where(nonzero, (1 - off)[:, None] * v, off[:, None]))


def rates(q, a, others):
    return ((q != 0).sum(0).double() + a) / (len(q) + others)


def law(q, levels, a, zero=0.0):
    counts = torch.bincount(q.flatten() + levels, minlength=2 * levels + 1).double() + a
    counts[levels] *= zero
    return counts / counts.sum()


def joined(pi, v, levels):
    table = pi[:, None] * v
    table[:, levels] = 1 - pi
    return table


def good_rates(q, a):
    return rates(q, a, 2 * a)


def largest(q):
    return int(q.abs().max())


def fair_table(q, levels, a):
    return joined(good_rates(q, a), law(q, levels, a), levels)


# Task 3 · code_bits
def by_loops(q, table):
    K = table.shape[1] // 2
    bits = [
        -sum(math.log2(table[i, k + K].item()) for i, k in enumerate(row)) for row in q.tolist()
    ]
    return torch.tensor(bits, dtype=torch.float64)


def by_einsum(q, table):
    K = table.shape[1] // 2
    hot = (q[:, :, None] == torch.arange(-K, K + 1)).double()
    return -torch.einsum("bmk,mk->b", hot, table.double().log()) / LN2


def by_gather(q, table):
    chosen = torch.take_along_dim(table.expand(len(q), -1, -1), at(q, table)[..., None], 2)
    return -chosen.squeeze(2).log2().sum(1)


def at(q, table):
    return q + table.shape[1] // 2


def of_columns(columns, table):
    return -table[torch.arange(len(table)), columns].log2()


# Task 4 · into_one_number
def words_of(s):
    """Cut s into words of 32 bits by its bytes, the lowest first."""
    size = max(1, -(-s.bit_length() // 32))
    words = np.frombuffer(s.to_bytes(4 * size, "little"), "<u4")
    return torch.from_numpy(words.astype(np.int64))


def by_divmod(q, freq):
    """Walk over a flat list from the end."""
    (B, m), K, M = q.shape, freq.shape[1] // 2, int(freq[0].sum())
    symbols, f = (q + K).flatten().tolist(), freq.tolist()
    s = 1
    for t in range(B * m - 1, -1, -1):
        row, j = f[t % m], symbols[t]
        high, low = divmod(s, row[j])
        s = high * M + low + sum(row[:j])
    return words_of(s)


def by_owned_remainders(q, freq):
    """Find the new s as that number of the owned ones which comes s-th."""
    K, M = freq.shape[1] // 2, int(freq[0].sum())
    before = np.cumsum(freq.numpy(), 1) - freq.numpy()
    s = 1
    for row in q.flip(0).tolist():
        for i, k in reversed(list(enumerate(row))):
            f, c = int(freq[i, k + K]), int(before[i, k + K])
            laps = s // f
            s = laps * M + c + (s - laps * f)
    return words_of(s)


def by_gathering(q, freq):
    K, M = freq.shape[1] // 2, int(freq[0].sum())
    ends = freq.cumsum(1)
    f = freq[torch.arange(len(freq)), q + K].flip(0, 1).flatten().tolist()
    c = (ends[torch.arange(len(freq)), q + K]).flip(0, 1).flatten().tolist()
    s = 1
    for count, end in zip(f, c, strict=True):
        s = M * (s // count) + (end - count) + s % count
    return words_of(s)


def from_zero(q, freq):
    """Begin with another number: the decoder undoes the steps, whatever lies below."""
    return coder(q, freq, start=0)


def from_a_large_number(q, freq):
    return coder(q, freq, start=2**500 + 1)


def coder(q, freq, symbols=None, shift=None, inclusive=False, low=None, start=1):
    """Encode, with one thing wrong or another start."""
    K, M, s = freq.shape[1] // 2 if shift is None else shift, int(freq[0].sum()), start
    if symbols is None:
        symbols = [(i, k) for row in q.tolist() for i, k in enumerate(row)][::-1]
    for i, k in symbols:
        f = int(freq[i, k + K])
        c = int(freq[i].cumsum(0)[k + K]) - (0 if inclusive else f)
        rest = s % f if low is None else low(s // f * M + c, f)
        s = s // f * M + c + rest
    return words_of(s)


def forwards(q, freq):
    return coder(q, freq, [(i, k) for row in q.tolist() for i, k in enumerate(row)])


def rows_back_units_on(q, freq):
    return coder(q, freq, [(i, k) for row in q.tolist()[::-1] for i, k in enumerate(row)])


def row_by_row_from_the_front(q, freq):
    units = range(q.shape[1])
    return coder(q, freq, [(i, row[i]) for row in q.tolist() for i in units[::-1]])


def unit_by_unit(q, freq):
    return coder(q, freq, [(i, k) for i, c in enumerate(q.T.tolist()) for k in c][::-1])


# Task 5 · price
def value_by_value(q, table):
    K = table.shape[1] // 2
    kl = []
    for i, column in enumerate(q.T.tolist()):
        shares = {k: n / len(column) for k, n in Counter(column).items()}
        kl.append(sum(p * math.log2(p / table[i, k + K].item()) for k, p in shares.items()))
    return torch.tensor(kl, dtype=torch.float64)


def by_difference(q, table):
    """Subtract the entropy from the cross entropy."""
    K = table.shape[1] // 2
    cross = of_columns(q + K, table).mean(0)
    return cross - torch.special.entr(shares(q, table)).sum(1) / LN2


def by_kl_div(q, table):
    p = shares(q, table)
    return torch.nn.functional.kl_div(table.log(), p, reduction="none").sum(1) / LN2


def shares(q, table, a=0.0):
    K = table.shape[1] // 2
    counts = torch.stack([torch.bincount(c + K, minlength=2 * K + 1) for c in q.T]).double() + a
    return counts / counts.sum(1, keepdim=True)


def divergence(p, table):
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, table)).sum(1) / LN2


def without_zero(q, table):
    p = shares(q, table)
    p[:, table.shape[1] // 2] = 0
    return divergence(p, table)


# Task 6 · huber_shrink
def envelope(v, theta, width):
    """Mix v and the soft threshold of v with a larger θ: Moreau's rule for an envelope."""
    soft = v.sign() * (v.abs() - theta - width).clamp(min=0)
    return (width * v + theta * soft) / (width + theta)


def smaller_move(v, theta, width):
    return v - v.sign() * torch.minimum(v.abs() * theta / (theta + width), torch.tensor(theta))


def on_a_copy(v, theta, width):
    u = v * width / (width + theta)
    far = v.abs() > width + theta
    u[far] = v[far] - theta * v[far].sign()
    return u


def piecewise(border, inside, outside=lambda v, t: v - t * v.sign()):
    return lambda v, t, w: torch.where(v.abs() <= border(t, w), inside(v, t, w), outside(v, t))


def sum_of(t, w):
    return w + t


def shrunk(v, t, w):
    return v * w / (w + t)


RIGHT = {
    "task1": [by_normal_equations, by_grams, by_numpy, one_after_the_other],
    "task2": [entry_by_entry, by_one_hot, by_histogram],
    "task3": [by_loops, by_einsum, by_gather],
    "task4": [by_divmod, by_owned_remainders, by_gathering, from_zero, from_a_large_number],
    "task5": [value_by_value, by_difference, by_kl_div],
    "task6": [envelope, smaller_move, on_a_copy],
}

PLANTED = {
    "task1": {
        "a 0 stays 0": offset_to_all,
        "δ is missing": lambda q, s, x, W: s * good_two(q, s, x, W),
        "first the gain, then the offset": lambda q, s, x, W: good_two(q, s, x, W).flip(0),
        "each number is fitted alone": each_alone,
        "you compared codes": lambda q, s, x, W: fitted(
            s * q, s * q.sign(), x.double() @ W.double()
        ),
        "you left it at 1": gain_of_one,
        "the sign of q is lost": lambda q, s, x, W: good_two(q.abs(), s, x, W),
    },
    "task2": {
        "nothing is added to the counts": lambda q, K, a: joined(rates(q, 0, 0), law(q, K, 0), K),
        "the zeros count among the values v": (
            lambda q, K, a: joined(good_rates(q, a), law(q, K, a, 1.0), K)
        ),
        "all units have one rate here": (
            lambda q, K, a: joined(good_rates(q, a).mean().expand(q.shape[1]), law(q, K, a), K)
        ),
        "so that is N + 2a": lambda q, K, a: joined(rates(q, a, 0), law(q, K, a), K),
        "a is missing in the rates": lambda q, K, a: joined(rates(q, 0, 0), law(q, K, a), K),
        "a is missing in the values": lambda q, K, a: joined(good_rates(q, a), law(q, K, 0), K),
        "each unit has its own law of values here": (
            lambda q, K, a: joined(good_rates(q, a), torch.stack([law(c, K, a) for c in q.T]), K)
        ),
        "the shape is": lambda q, K, a: fair_table(q, largest(q), a),
        "π and 1 − π are exchanged": (
            lambda q, K, a: joined(1 - good_rates(q, a), law(q, K, a), K)
        ),
    },
    "task3": {
        "these are nats": lambda q, P: of_columns(at(q, P), P).sum(1) * LN2,
        "the mean over units": lambda q, P: of_columns(at(q, P), P).mean(1),
        "bits are not negative": lambda q, P: -of_columns(at(q, P), P).sum(1),
        "you took column k": lambda q, P: of_columns(q, P).sum(1),
        "all units are coded by one row of the table": lambda q, P: -P[0][at(q, P)].log2().sum(1),
        "you looked up |k|": lambda q, P: of_columns(at(q.abs(), P), P).sum(1),
        "something is added inside the logarithm": lambda q, P: of_columns(at(q, P), P + 1e-9).sum(
            1
        ),
        "raised to a smallest value": lambda q, P: of_columns(at(q, P), P.clamp(min=1e-12)).sum(1),
        "to be off takes bits, too": lambda q, P: (of_columns(at(q, P), P) * (q != 0)).sum(1),
        "nan or infinite": lambda q, P: -P[torch.arange(len(P)), at(q, P)].prod(1).log2(),
    },
    "task4": {
        "the last symbol goes in first": forwards,
        "the units within a row do not": rows_back_units_on,
        "the rows do not": row_by_row_from_the_front,
        "unit by unit": unit_by_unit,
        "you took column k": lambda q, f: coder(q, f, shift=0),
        "c counts the symbol itself": lambda q, f: coder(q, f, inclusive=True),
        "s mod f is missing": lambda q, f: coder(q, f, low=lambda new, count: 0),
        "s mod f is taken of the new s": lambda q, f: coder(q, f, low=operator.mod),
        "all units are coded with row 0": lambda q, f: coder(q, f[:1].expand_as(f)),
    },
    "task5": {
        "nan or infinite": (lambda q, P: (shares(q, P) * (shares(q, P).log2() - P.log2())).sum(1)),
        "these are nats": lambda q, P: divergence(shares(q, P), P) * LN2,
        "take off what the best table needs": (
            lambda q, P: of_columns(q + P.shape[1] // 2, P).mean(0)
        ),
        "p̂ and P have changed places": (lambda q, P: divergence(P, shares(q, P).clamp(min=1e-12))),
        "p̂ is counted over all units together": (
            lambda q, P: divergence(shares(q.reshape(-1, 1), P).expand(len(P), -1), P)
        ),
        "something is added to the counts": lambda q, P: divergence(shares(q, P, 0.5), P),
        "the number 0 is left out": without_zero,
        "a wrong table never saves bits": lambda q, P: -divergence(shares(q, P), P),
    },
    "task6": {
        "this is the soft threshold": lambda v, t, w: torch.nn.functional.softshrink(v, t),
        "it is u, and not v, that is compared with w": piecewise(lambda t, w: w, shrunk),
        "there your two formulas do not meet": piecewise(lambda t, w: t, shrunk),
        "a step down the slope at v": lambda v, t, w: v - t * (v / max(w, 1e-9)).clamp(-1, 1),
        "must go to 0 for w → 0": piecewise(sum_of, lambda v, t, w: v * t / (w + t)),
        "you took w u": piecewise(sum_of, lambda v, t, w: v / (1 + w * t)),
        "and not at w": piecewise(lambda t, w: w, shrunk, torch.nn.functional.softshrink),
        "you took u/2w": piecewise(sum_of, lambda v, t, w: v * 2 * w / (2 * w + t)),
        "they, too, move towards zero": piecewise(sum_of, shrunk, lambda v, t: v - t),
    },
}

# Likely mistakes that the check which students see names, too
SEEN = {
    "task2": ["each unit has its own law of values here"],
    "task3": ["raised to a smallest value"],
    "task4": [
        "s mod f is missing",
        "s mod f is taken of the new s",
        "all units are coded with row 0",
    ],
    "task5": ["a wrong table never saves bits"],
    "task6": ["and not at w", "you took u/2w", "they, too, move towards zero"],
}


# Further wrong answers, which have no message of their own


def pad_table(table, levels):
    """A table of fewer numbers, the missing ones at probability 0."""
    less = levels - table.shape[1] // 2
    return torch.nn.functional.pad(table, (less, less))


def rows_to_one(q, levels, a):
    """Let zeros count among the values, then mend the sums of the rows."""
    table = joined(good_rates(q, a), law(q, levels, a, 1.0), levels)
    return table / table.sum(1, keepdim=True)


def known_values_only(q, levels, a):
    v = torch.bincount(q.flatten() + levels, minlength=2 * levels + 1).double()
    v = torch.where(v > 0, v + a, 0)
    v[levels] = 0
    return joined(good_rates(q, a), v / v.sum(), levels)


def signs_alike(q, levels, a):
    v = law(q, levels, a)
    return joined(good_rates(q, a), (v + v.flip(0)) / 2, levels)


def off_units_left_alone(q, levels, a):
    """A unit that was never on gets no a."""
    rate = good_rates(q, a).where((q != 0).any(0), 0.0)
    return joined(rate, law(q, levels, a), levels)


def in_64_bits(q, freq):
    """The number s as numpy's int64, which overflows in silence."""
    M, K, f = int(freq[0].sum()), freq.shape[1] // 2, freq.numpy()
    c, s = np.cumsum(f, 1) - f, np.int64(1)
    with np.errstate(over="ignore"):
        for row in q.tolist()[::-1]:
            for i in range(len(row))[::-1]:
                j = row[i] + K
                s = s // f[i, j] * M + c[i, j] + s % f[i, j]
    return words_of(abs(int(s)))


def in_floats(q, freq):
    M, K, s = int(freq[0].sum()), freq.shape[1] // 2, 1
    ends = freq.cumsum(1)
    for row in q.tolist()[::-1]:
        for i, k in list(enumerate(row))[::-1]:
            f = int(freq[i, k + K])
            s = int(s / f) * M + int(ends[i, k + K]) - f + s % f if s < 1e300 else s
    return words_of(s)


def in_floats_throughout(q, freq):
    M, K, s = float(freq[0].sum()), freq.shape[1] // 2, 1.0
    before = freq.cumsum(1) - freq
    for row in q.tolist()[::-1]:
        for i, k in list(enumerate(row))[::-1]:
            f = int(freq[i, k + K])
            s = min(s // f * M + int(before[i, k + K]) + s % f, 1e300)
    return words_of(int(s))


def padded(q, freq):
    return torch.cat([coder(q, freq), torch.zeros(64, dtype=torch.int64)])


def total_of_24_bits(q, freq):
    return coder(q, torch.cat([freq, 2**24 - freq.sum(1, keepdim=True)], 1), shift=largest(freq))


def eager(q, freq):
    """Of each row only what differs from the row below goes in."""
    return coder(q - torch.cat([q[1:], q[:1] * 0]).clamp(-largest(q), 0), freq)


def smoothed(q, table, eps):
    p = shares(q, table) + eps
    return divergence(p / p.sum(1, keepdim=True), table)


def never_below_zero(q, table):
    p = shares(q, table)
    return (torch.special.xlogy(p, p / table)).clamp(min=0).sum(1) / LN2


def table_of_what_is_there(q, table):
    p = shares(q, table)
    P = table * (p > 0)
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, P / P.sum(1, True))).sum(1) / LN2


def on_a_grid(v, theta, width):
    u = torch.linspace(-20, 20, 20001, dtype=torch.float64)
    h = torch.where(u.abs() <= width, u**2 / max(2 * width, 1e-9), u.abs() - width / 2)
    cost = 0.5 * (u - v[..., None].double()) ** 2 + theta * h
    return u[cost.argmin(-1)].to(v)


def by_steps(v, theta, width):
    u = v.clone()
    for _ in range(50):
        u = u - 0.5 * (u - v + theta * (u / max(width, 1e-3)).clamp(-1, 1))
    return u


def by_trial(q, step, x, Wd):
    """The stand-in of the notebook, written again."""

    def error(two):
        values = step * (two[0] * q + two[1] * q.sign()).double()
        return (x - values @ Wd.double().T).square().sum().item()

    search = {"xatol": 5e-4, "fatol": np.inf}
    return torch.from_numpy(minimize(error, [1, 0.5], method="Nelder-Mead", options=search).x)


def by_thirds(v, theta, width):
    """The stand-in of the notebook, written again."""

    def cost(u):
        h = torch.where(u <= width, u**2 / max(2 * width, 1e-9), u - width / 2)
        return 0.5 * (u - v.abs()) ** 2 + theta * h

    low, high = torch.zeros_like(v), v.abs()
    for _ in range(21):
        one, two = low + (high - low) / 3, high - (high - low) / 3
        left = cost(one) < cost(two)
        low, high = low.where(left, one), high.where(~left, two)
    return v.sign() * (low + high) / 2


TRIED = {
    "task1": {
        "the stand-in": by_trial,
        "shrunk by a ridge": ridge,
        "tile by tile, then the mean": tile_by_tile,
        "twenty steps of gradient descent": a_few_steps_down,
        "no offset below 0": lambda q, s, x, W: good_two(q, s, x, W).clamp(min=0),
        "two digits": lambda q, s, x, W: good_two(q, s, x, W).round(decimals=2),
        "the mean of x taken off": lambda q, s, x, W: good_two(q, s, x - x.mean(0), W),
        "values of 1 and −1 alone": lambda q, s, x, W: good_two(q.clamp(-1, 1) + q * 1e-3, s, x, W),
        "rounded once more": lambda q, s, x, W: good_two(q.round(), s, x, W),
        "the first half of the tiles": lambda q, s, x, W: good_two(
            q[: -(-len(q) // 2)], s, x[: -(-len(q) // 2)], W
        ),
        "offset in the units of z": lambda q, s, x, W: (
            good_two(q, s, x, W) * torch.tensor([1.0, s]).double()
        ),
    },
    "task2": {
        "K is the largest |q|, padded": lambda q, K, a: pad_table(fair_table(q, largest(q), a), K),
        "a is ½": lambda q, K, a: fair_table(q, K, 0.5),
        "rows divided by their sums": rows_to_one,
        "only values seen get a": known_values_only,
        "v is symmetric": signs_alike,
        "a unit never on gets no a": off_units_left_alone,
        "N − 1": lambda q, K, a: joined(
            (good_rates(q, a) * (len(q) + 2 * a) / max(len(q) + 2 * a - 1, a)), law(q, K, a), K
        ),
    },
    "task3": {
        "whole bits": lambda q, P: of_columns(at(q, P), P).sum(1).ceil(),
        "no symbol over 20 bits": lambda q, P: of_columns(at(q, P), P).clamp(max=20).sum(1),
        "the table upside down": lambda q, P: of_columns(at(-q, P), P).sum(1),
        "one number for all rows": lambda q, P: of_columns(at(q, P), P).sum().repeat(len(q)),
        "a single row loses its axis": lambda q, P: of_columns(at(q, P), P).sum(1).squeeze(),
        "K is the largest |q|": lambda q, P: of_columns(q + largest(q), P).sum(1),
        "divided by m": lambda q, P: of_columns(at(q, P), P).mean(1) * P.shape[1],
        "a product, then its logarithm": lambda q, P: (
            of_columns(at(q, P), P).neg().exp2().prod(1).log2().neg()
        ),
        "no probability below 0.02": lambda q, P: of_columns(at(q, P), P.clamp(min=0.02)).sum(1),
        "no probability below 1e-9": lambda q, P: of_columns(at(q, P), P.clamp(min=1e-9)).sum(1),
    },
    "task4": {
        "K is the largest |q|": lambda q, f: coder(q, f, shift=largest(q)),
        "int64 overflows": in_64_bits,
        "division in floats": in_floats,
        "64 words of zeros behind it": padded,
        "a product of floats": in_floats_throughout,
        "the first row alone": lambda q, f: coder(q[:1], f),
        "M is 2 ** 24": lambda q, f: coder(q, f * (2**24 // int(f[0].sum()))),
        "all symbols equally likely": lambda q, f: coder(q, torch.ones_like(f) * 7),
    },
    "task5": {
        "K is the largest |q|": lambda q, P: (
            divergence(pad_table(shares(q, P[:, : 2 * largest(q) + 1]), P.shape[1] // 2), P)
            + (largest(q) < P.shape[1] // 2)
        ),
        "1e-6 in each share": lambda q, P: smoothed(q, P, 1e-6),
        "no term below 0": never_below_zero,
        "the table made of what is there": table_of_what_is_there,
        "signs alike": lambda q, P: divergence(shares(q.abs(), P), P),
        "a sum over rows": lambda q, P: divergence(shares(q, P), P) * len(q),
        "the mean over units": lambda q, P: divergence(shares(q, P), P).mean().repeat(len(P)),
    },
    "task6": {
        "the stand-in": by_thirds,
        "a grid of 0.002": on_a_grid,
        "fifty steps down the slope": by_steps,
        "w below 0.01 is 0.01": lambda v, t, w: piecewise(sum_of, shrunk)(v, t, max(w, 0.01)),
        "never beyond 2": lambda v, t, w: piecewise(sum_of, shrunk)(v.clamp(-2, 2), t, w),
        "θ of at most 1": lambda v, t, w: piecewise(sum_of, shrunk)(v, min(t, 1), w),
        "only v above 0": lambda v, t, w: piecewise(sum_of, shrunk)(v.clamp(min=0), t, w),
        "the width w / 2": lambda v, t, w: piecewise(sum_of, shrunk)(v, t, w / 2),
        "thrown to 0 below θ": lambda v, t, w: (
            piecewise(sum_of, shrunk)(v, t, w) * (v.abs() > t / 2)
        ),
    },
}
