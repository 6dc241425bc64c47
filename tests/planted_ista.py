"""Right and wrong answers to what chapter 1 asks its readers to build, entry by entry."""

import math

import torch


def each(rule):
    """A function of v and more numbers that treats one entry at a time."""

    def answer(v, *numbers):
        return torch.tensor([[rule(one, *numbers) for one in row] for row in v.tolist()]).to(v)

    return answer


def soft(v, theta):
    return math.copysign(max(abs(v) - theta, 0), v)


def hard(v, theta):
    return v if abs(v) > theta else 0.0


def step(length=None, price=None, pull=1.0, start=1.0, left=1.0, rule=soft):
    """ISTA's step with what is planted in it, row by row."""

    def answer(z, x, Wd, lmbd, L):
        rows = []
        for code, one in zip(z, x, strict=True):
            c = Wd.T @ (one - left * (Wd @ code))
            v = start * code + pull * c * (1 / L if length is None else length)
            rows.append([rule(a, lmbd / L if price is None else lmbd) for a in v.tolist()])
        return torch.tensor(rows).to(z)

    return answer


def dual(scale, what=lambda x, z, Wd: x - torch.einsum("nm,bm->bn", Wd, z)):
    """What scale makes of the residual r of a row, its largest |c|, its largest c, λ, all |c|."""

    def answer(x, z, Wd, lmbd):
        r = what(x, z, Wd)
        largest = torch.tensor([(Wd.T @ row).abs().max() for row in r]).to(x)
        signed = torch.tensor([(Wd.T @ row).max() for row in r]).to(x)
        rows = [
            scale(row, a.item(), b.item(), lmbd, largest.max().item())
            for row, a, b in zip(r, largest, signed, strict=True)
        ]
        return torch.stack(rows)

    return answer


def factor(R, W_S, w, corner=lambda ww, aa: math.sqrt(ww - aa), solve=True, lower=True):
    """The grown factor, by forward substitution with lists."""
    k, b = len(R), [float(c @ w) for c in W_S.T]
    a = list(b)
    if solve and lower:
        for i in range(k):
            a[i] = (b[i] - sum(float(R[i, j]) * a[j] for j in range(i))) / float(R[i, i])
    if not lower:  # backwards, with the transpose
        for i in reversed(range(k)):
            later = sum(float(R[j, i]) * a[j] for j in range(i + 1, k))
            a[i] = (b[i] - later) / float(R[i, i])
    right = torch.linalg.solve_triangular(R, (W_S.T @ w)[:, None], upper=False)
    last = corner(float(w @ w), float((right**2).sum()))
    rows = [[*map(float, row), 0.0] for row in R] + [[*a, last]]
    return torch.tensor(rows).to(R)


def own_corner(R, w):
    """A grown factor whose corner fits the row beside it, be that right or wrong."""
    R = R.clone()
    R[-1, -1] = math.sqrt(max(0.0, float(w @ w - R[-1, :-1] @ R[-1, :-1])))
    return R


def priced(prices, start=lambda W, w: W, end=lambda z, w: z, steps=4000):
    """Codes of λ Σ w_i |z_i| by plain steps, a threshold for each unit, with what is planted."""

    def answer(x, Wd, lmbd, w):
        W, theta = start(Wd, w), lmbd * prices(w)
        L = float(torch.linalg.svdvals(W)[0]) ** 2
        z = torch.zeros(len(x), W.shape[1]).to(x)
        for _ in range(steps):
            v = z + torch.einsum("bn,nm->bm", x - torch.einsum("nm,bm->bn", W, z), W) / L
            z = v.sign() * (v.abs() - theta / L).clamp(min=0)
        return end(z, w)

    return answer


RIGHT = [
    ("check_my_shrink", each(soft)),
    ("check_my_step", step()),
    ("check_my_dual_point", dual(lambda r, a, b, lmbd, top: r * min(1, lmbd / a))),
    ("check_elastic_shrink", each(lambda v, theta, mu: soft(v, theta) / (1 + mu))),
    ("check_grown_factor", factor),
    ("check_weighted_codes", priced(lambda w: w)),
]
PLANTED = [
    ("check_my_shrink", each(lambda v, t: soft(v, t) if abs(v) > t else v), "yours stays as it is"),
    ("check_my_shrink", each(hard), "this is the hard threshold"),
    (
        "check_my_shrink",
        each(lambda v, t: v - math.copysign(t, v)),
        "flips the sign of small numbers",
    ),
    ("check_my_shrink", each(lambda v, t: max(abs(v) - t, 0)), "the sign of v is lost"),
    ("check_my_shrink", each(lambda v, t: max(v - t, 0)), "this is max(0, v − θ)"),
    ("check_my_shrink", each(lambda v, t: v - t if abs(v) > t else 0.0), "add θ where v < −θ"),
    ("check_my_shrink", each(lambda v, t: v - t), "this is v − θ"),
    ("check_my_shrink", each(lambda v, t: min(max(v, -t), t)), "keeps what shrink takes away"),
    (
        "check_my_shrink",
        each(lambda v, t: v + math.copysign(t, v) if abs(v) > t else 0.0),
        "away from zero",
    ),
    ("check_my_shrink", lambda v, theta: v.clamp_(min=theta), "changed its inputs"),
    ("check_my_step", step(price="λ"), "shrinks by λ/L, not by λ"),
    ("check_my_step", step(length=1.0), "missing its factor 1/L"),
    ("check_my_step", step(pull=-1.0), "this climbs"),
    ("check_my_step", step(pull=2.0), "without a factor 2"),
    ("check_my_step", step(rule=lambda v, theta: v), "a step of gradient descent"),
    ("check_my_step", step(start=0.0), "yours starts from zero"),
    ("check_my_step", step(left=0.0), "you stepped towards x itself"),
    (
        "check_my_step",
        lambda z, x, Wd, lmbd, L: each(soft)(z, lmbd / L) + (x - z @ Wd.T) @ Wd / L,
        "it is the other way round",
    ),
    (
        "check_my_step",
        lambda z, x, Wd, lmbd, L: z + step(start=0.0)(z, x, Wd, lmbd, L),
        "z belongs inside",
    ),
    ("check_my_dual_point", dual(lambda r, *_: r), "this is the residual itself"),
    ("check_my_dual_point", dual(lambda r, a, b, lmbd, top: r * lmbd / a), "s is at most 1"),
    (
        "check_my_dual_point",
        dual(lambda r, a, b, lmbd, top: r * max(1, lmbd / a)),
        "clamp from above",
    ),
    (
        "check_my_dual_point",
        dual(lambda r, a, b, lmbd, top: r * min(1, lmbd / top)),
        "one for the batch",
    ),
    ("check_my_dual_point", dual(lambda r, a, b, lmbd, top: r * min(1, lmbd / b)), "take |c|"),
    (
        "check_my_dual_point",
        dual(lambda r, a, b, lmbd, top: r * min(1, lmbd / a), lambda x, z, Wd: x),
        "take what is left",
    ),
    (
        "check_my_dual_point",
        dual(lambda r, a, b, lmbd, top: r * min(1, a / lmbd)),
        "not the other way round",
    ),
    ("check_my_dual_point", dual(lambda r, a, b, lmbd, top: r * min(1, 1 / a)), "λ is missing"),
    (
        "check_my_dual_point",
        dual(lambda r, a, b, lmbd, top: torch.minimum(r.abs(), r.new_tensor(lmbd)) * r.sign()),
        "you cut its entries off",
    ),
    ("check_elastic_shrink", each(lambda v, t, mu: soft(v, t)), "where is μ?"),
    ("check_elastic_shrink", each(lambda v, t, mu: soft(v / (1 + mu), t)), "only v was divided"),
    ("check_elastic_shrink", each(lambda v, t, mu: soft(v, t) / (1 + 2 * mu)), "not by 1 + 2 μ"),
    ("check_elastic_shrink", each(lambda v, t, mu: soft(v, t) / mu), "has a slope, too"),
    ("check_elastic_shrink", each(lambda v, t, mu: soft(v, t + mu)), "does not lengthen θ"),
    ("check_elastic_shrink", each(lambda v, t, mu: soft(v, t) * (1 + mu)), "makes z smaller"),
    (
        "check_elastic_shrink",
        each(lambda v, t, mu: soft(v, t) * (1 - mu)),
        "only right for small μ",
    ),
    ("check_grown_factor", lambda *a: factor(*a).T.contiguous(), "this is the upper factor"),
    ("check_grown_factor", lambda *a: factor(*a, solve=False), "must be solved for"),
    ("check_grown_factor", lambda *a: factor(*a, lower=False), "you took its transpose"),
    ("check_grown_factor", lambda *a: factor(*a, lambda ww, aa: ww - aa), "the root is missing"),
    ("check_grown_factor", lambda *a: factor(*a, lambda ww, aa: math.sqrt(ww)), "left aᵀa out"),
    (
        "check_grown_factor",
        lambda *a: factor(*a, lambda ww, aa: math.sqrt(abs(1 - aa))),
        "wᵀw is not 1",
    ),
    (
        "check_grown_factor",
        lambda R, W_S, w: torch.tensor(
            [[float(a @ b) for b in [*W_S.T, w]] for a in [*W_S.T, w]]
        ).to(R),
        "not its factor",
    ),
    (
        "check_grown_factor",
        lambda R, W_S, w: (
            torch.linalg.qr(torch.column_stack([W_S, w])).R.T.abs()
            * torch.sign(factor(torch.linalg.cholesky(W_S.T @ W_S), W_S, w))
        ),
        "you started over",
    ),
    ("check_weighted_codes", priced(torch.ones_like), "where is w?"),
    ("check_weighted_codes", priced(lambda w: w, end=lambda z, w: z * w), "divide by w"),
    ("check_weighted_codes", priced(lambda w: w, end=lambda z, w: z * w * w), "you multiplied"),
    (
        "check_weighted_codes",
        priced(lambda w: 1 / w),
        "costs more gets shorter",
    ),
    (
        "check_weighted_codes",
        priced(torch.ones_like, end=lambda z, w: z / w),
        "only the code was divided",
    ),
    ("check_weighted_codes", priced(lambda w: w.mean()), "you took their mean"),
    ("check_weighted_codes", priced(lambda w: w.norm()), "belongs to the columns"),
    ("check_weighted_codes", lambda x, Wd, lmbd, w: x @ Wd.T, "raised RuntimeError"),
    ("check_elastic_shrink", each(lambda v, t, mu: soft(v, t) / (1 + mu / 2)), "not by 1 + μ/2"),
    (
        "check_weighted_codes",
        priced(lambda w: 1 / w, end=lambda z, w: z / w),
        "what returns is w z",
    ),
    (
        "check_weighted_codes",
        priced(lambda w: 1 / w, end=lambda z, w: z / w / w),
        "multiplied by w, and must be divided",
    ),
    ("check_grown_factor", lambda *a: own_corner(factor(*a, solve=False), a[2]), "W_Aᵀ w itself"),
    (
        "check_grown_factor",
        lambda *a: own_corner(factor(*a, lower=False), a[2]),
        "yours solves Rᵀ a",
    ),
]
