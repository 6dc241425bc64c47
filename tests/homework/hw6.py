"""Right answers to homework 6 written in other ways, and the mistakes its tests have to name."""

import math
import operator
from collections import Counter

import numpy as np
import torch

LN2 = math.log(2)


# Task 1 · quantise
def by_counting(z, step, r, levels):
    """Count how many borders (k − r) step the size of z has passed."""
    borders = (torch.arange(1, levels + 1) - r) * step
    return (z.abs()[..., None] >= borders).sum(-1) * torch.sign(z).long()


def both_sides(z, step, r, levels):
    up, down = torch.floor(z / step + r), torch.ceil(z / step - r)
    return torch.where(z > 0, up, down).clamp(-levels, levels).to(torch.int64)


def in_numpy(z, step, r, levels):
    z = z.numpy()
    q = np.trunc(np.abs(z) / step + r).astype(np.int64)
    return torch.from_numpy(np.where(z < 0, -1, 1) * np.minimum(q, levels))


def sized(z, step, r, levels):
    return (z.sign() * (z.abs() / step + r).floor().clamp(max=levels)).long()


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


def coder(q, freq, symbols=None, shift=None, inclusive=False, low=None):
    """Encode with one thing wrong."""
    K, M, s = freq.shape[1] // 2 if shift is None else shift, int(freq[0].sum()), 1
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
    "task1": [by_counting, both_sides, in_numpy],
    "task2": [entry_by_entry, by_one_hot, by_histogram],
    "task3": [by_loops, by_einsum, by_gather],
    "task4": [by_divmod, by_owned_remainders, by_gathering],
    "task5": [value_by_value, by_difference, by_kl_div],
    "task6": [envelope, smaller_move, on_a_copy],
}

PLANTED = {
    "task1": {
        "round |z|, then give the sign back": (
            lambda z, s, r, K: torch.floor(z / s + r).clamp(-K, K).long()
        ),
        "r plays no part": lambda z, s, r, K: torch.round(z / s).clamp(-K, K),
        "should be (1 − r) δ": lambda z, s, r, K: sized(z, s, 1 - r, K),
        "the coder needs the whole numbers q": lambda z, s, r, K: s * sized(z, s, r, K),
        "not cut off at ±levels": lambda z, s, r, K: sized(z, s, r, 10**9),
        "codes below zero are gone": lambda z, s, r, K: sized(z.relu(), s, r, K),
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
        "they, too, move towards zero": piecewise(sum_of, shrunk, lambda v, t: v - t),
    },
}
