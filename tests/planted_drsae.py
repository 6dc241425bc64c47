"""Right and wrong answers to what chapter 3 asks its readers to build, entry by entry."""

import math

import torch


def iteration(cut=lambda total, b: max(0.0, total - b), own=1, others=1, columns=False):
    """One iteration of the encoder, unit by unit, with what is planted in it."""

    def answer(z, x, We, S, b):
        out = torch.zeros_like(z)
        for row in range(len(z)):
            for i in range(len(b)):
                hears = S[:, i] if columns else S[i]
                total = own * float(We[i] @ x[row]) + others * float(hears @ z[row])
                out[row, i] = cut(total, float(b[i]))
        return out

    return answer


def apart(z, x, We, S, b):
    return torch.clamp(x @ We.mT - b, min=0) + z @ S.mT


def start(one=1.0, away=-1.0, length=lambda step: step, diagonal=True):
    """The S that ISTA has, entry by entry."""

    def answer(Wd, step):
        m = Wd.shape[1]
        out = torch.zeros(m, m).to(Wd)
        for i in range(m):
            for k in range(m):
                overlap = float(Wd[:, i] @ Wd[:, k]) if diagonal or i != k else 0.0
                out[i, k] = one * (i == k) + away * length(step) * overlap
        return out

    return answer


def three(square=lambda r: 0.5 * float(r @ r), price=sum, size=math.hypot, mean=True, sign=-1):
    """The three criteria, image by image."""

    def answer(x, z, y, Wd, Wc):
        totals = [0.0, 0.0, 0.0]
        for one, code, label in zip(x, z, y, strict=True):
            length = size(*code.tolist())
            scores = (Wc @ code / length).tolist()
            p = math.exp(scores[label]) / sum(map(math.exp, scores))
            terms = (square(one - Wd @ code), price(code.tolist()), sign * math.log(p))
            totals = [a + b for a, b in zip(totals, terms, strict=True)]
        return torch.tensor(totals).to(x) / (len(x) if mean else 1)

    return answer


def one_everywhere(Wd, step):
    return 1.0 - step * torch.einsum("ni,nk->ik", Wd, Wd)


def softmax_twice(x, z, y, Wd, Wc):
    """The softmax before PyTorch's cross-entropy, which has one of its own."""
    one = three()(x, z, y, Wd, Wc)
    p = torch.softmax((z / z.norm(dim=1, keepdim=True)) @ Wc.mT, 1)
    again = torch.log_softmax(p, 1)
    one[2] = -sum(again[row, label] for row, label in enumerate(y.tolist())) / len(y)
    return one


def columns(longest_of=lambda longest: longest, to=lambda longest: longest, nothing=1.0):
    """The bound of Wd, column by column: those longer than longest_of get the norm of to."""

    def answer(W, longest):
        out = W.clone()
        for k in range(W.shape[1]):
            size = math.sqrt(float(W[:, k] @ W[:, k]))
            if size > longest_of(longest) or (size == 0 and nothing != 1):
                out[:, k] = W[:, k] * (to(longest) / size if size else nothing)
        return out

    return answer


def clamped_at_one(W, longest):
    return W * longest / torch.maximum(W.square().sum(0).sqrt(), torch.tensor(1.0))


def seen(uses=lambda T: T, first=lambda code: code.max(), each=True):
    """What a network shows of its bounds, over what they allow."""

    def answer(first_code, last, rebuilt, evidence, T):
        sizes = [math.sqrt(float(r @ r)) for r in rebuilt]
        prices = [float(code.sum()) for code in last]
        rows = [s / p for s, p in zip(sizes, prices, strict=True)]
        Wd = max(rows) if each else max(sizes) / max(prices)
        We = float(first(first_code)) * uses(T) / 1.25
        return torch.tensor([Wd, We, float(evidence.abs().max()) / 5]).to(last)

    return answer


def whole_length(x, z, y, Wd, Wc):
    one = three(size=lambda *_: math.hypot(*z.flatten().tolist()))
    return one(x, z, y, Wd, Wc)


def scaled(scale=None, share=True, of=lambda left: left):
    """What is left at the best scale of each picture, image by image."""

    def answer(x, z, Wd):
        out = []
        for one, code in zip(x, z, strict=True):
            drawn = Wd @ code
            size = float(drawn @ drawn)
            best = float(one @ drawn) / size if size else 0.0
            s = best if scale is None else scale(one, drawn)
            left = float((one - s * drawn).square().sum())
            out.append(of(left / float(one @ one) if share else left))
        return torch.tensor(out).to(x)

    return answer


def one_scale(x, z, Wd):
    drawn = torch.einsum("nm,bm->bn", Wd, z)
    s = torch.einsum("bn,bn->", x, drawn) / torch.einsum("bn,bn->", drawn, drawn)
    return ((x - s * drawn) ** 2).sum(1) / (x**2).sum(1)


def same_norm(one, drawn):
    return float(one.norm() / drawn.norm()) if drawn.any() else 0.0


def one_by_one(units=lambda order: order, of=lambda left, own, all_of_them: left / own):
    """What is left of each image while units are added, one after the other."""

    def answer(x, z, Wd, order):
        rows = []
        for one, code in zip(x, z, strict=True):
            left, row = one.clone(), []
            for unit in [None, *units(order).tolist()]:
                left = left if unit is None else left - code[unit] * Wd[:, unit]
                row.append(of(float(left @ left), float(one @ one), float(x.square().sum())))
            rows.append(row)
        return torch.tensor(rows).to(x)

    return answer


def where_they_stand(order):
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order))
    return places


def by_autograd(codes, arrives, x, S):
    """The slopes of We, S and b by autograd: of an encoder that has these very codes."""
    T, B, m = codes.shape
    on = (codes > 0).to(x)
    We = torch.zeros(m, x.shape[1]).to(x).requires_grad_()
    b = torch.zeros(m).to(x).requires_grad_()
    lateral = S.clone().requires_grad_()
    z = torch.zeros(B, m).to(x)
    for t in range(T):
        given = codes[t] - (codes[t - 1] @ S.mT if t else 0)  # so that z is codes[t] where it is on
        z = on[t] * (given + x @ We.mT + z @ lateral.mT - b)
    slopes = torch.autograd.grad((z * arrives).sum(), (We, lateral, b))
    return torch.cat([slopes[0], slopes[1], slopes[2][:, None]], 1)


def back(
    masks=lambda t, T: True,
    times=lambda S: S,
    until=0,
    sign=-1.0,
    late=0,
    over=lambda B: 1,
    begins=0,
):
    """The slopes by hand, with what is planted in them; until: the first iteration of the sum."""

    def answer(codes, arrives, x, S):
        T, B, m = codes.shape
        We, lateral, b = torch.zeros(m, x.shape[1]).to(x), torch.zeros_like(S), torch.zeros(m).to(x)
        for t in reversed(range(T)):
            if masks(t, T):
                arrives = torch.where(codes[t] > 0, arrives, torch.zeros_like(arrives))
            if t >= (until if until >= 0 else T + until):
                We = We + torch.einsum("bi,bj->ij", arrives, x)
                b = b + sign * arrives.sum(0)
                if t - 1 + late >= 0 and t >= begins:
                    lateral = lateral + torch.einsum("bi,bj->ij", arrives, codes[t - 1 + late])
            arrives = torch.einsum("bi,ij->bj", arrives, times(S))
        return torch.cat([We, lateral, b[:, None]], 1) / over(B)

    return answer


def two_sided(total, b):
    return math.copysign(max(abs(total) - b, 0.0), total)


RIGHT = [
    ("check_my_iteration", iteration()),
    ("check_my_S", start()),
    ("check_my_criteria", three()),
    ("check_rest_at_best_scale", scaled()),
    ("check_left_after", one_by_one()),
    ("check_bounded_columns", columns()),
    ("check_missing_bound", seen()),
    ("check_slopes_back", by_autograd),
    ("check_slopes_back", back()),
]
PLANTED = [
    ("check_my_iteration", iteration(others=-1), "S is added here"),
    ("check_my_iteration", iteration(lambda v, b: max(0.0, v + b)), "b is a threshold"),
    ("check_my_iteration", iteration(lambda v, b: v - b), "max(0, ·) is missing"),
    ("check_my_iteration", iteration(columns=True), "S is not symmetric"),
    ("check_my_iteration", apart, "max(0, ·) comes last"),
    ("check_my_iteration", iteration(lambda v, b: max(0.0, v) - b), "not behind it"),
    ("check_my_iteration", iteration(two_sided), "two-sided shrink"),
    ("check_my_iteration", iteration(own=0), "what the input says is missing"),
    ("check_my_iteration", iteration(others=0), "S is missing"),
    ("check_my_iteration", lambda z, x, We, S, b: We @ x + S @ z - b, "x @ We.T, and S z is"),
    ("check_my_iteration", lambda z, x, We, S, b: We @ x.T + z @ S.T - b, "x @ We.T, and S z is"),
    ("check_my_S", start(one=0), "the identity is missing"),
    ("check_my_S", one_everywhere, "on its diagonal only"),
    ("check_my_S", start(away=1), "is taken away: minus step"),
    ("check_my_S", start(one=-1, away=1), "the other way round"),
    ("check_my_S", start(length=lambda step: 1), "the step is missing"),
    ("check_my_S", start(length=lambda step: 1 / step), "divided by the step"),
    ("check_my_S", lambda Wd, step: step * start()(Wd, 1.0), "not the identity"),
    ("check_my_S", start(diagonal=False), "explain themselves away"),
    ("check_my_criteria", three(square=lambda r: float(r @ r)), "the ½ before"),
    ("check_my_criteria", three(mean=False), "take means"),
    ("check_my_criteria", three(price=lambda z: sum(z) / len(z)), "you took their mean"),
    ("check_my_criteria", three(price=lambda z: math.hypot(*z)), "the length of the code"),
    ("check_my_criteria", three(size=lambda *_: 1.0), "divide the length out"),
    ("check_my_criteria", three(size=lambda *z: sum(z)), "divided by the L1"),
    ("check_my_criteria", whole_length, "that of the whole batch"),
    ("check_my_criteria", three(sign=1), "minus the logarithm"),
    ("check_my_criteria", softmax_twice, "does the softmax itself"),
    ("check_my_criteria", lambda *case: three()(*case).flip(0), "in another order"),
    ("check_my_criteria", lambda *case: three()(*case)[[0, 2, 1]], "classification third"),
    ("check_my_criteria", three(square=lambda r: 0.5 * math.sqrt(float(r @ r))), "not the norm"),
    (
        "check_my_criteria",
        three(square=lambda r: 0.5 * float(r @ r) / len(r)),
        "sum over the pixels",
    ),
    (
        "check_bounded_columns",
        columns(longest_of=lambda _: 0.0, nothing=math.nan),
        "one of norm 0 is nan",
    ),
    ("check_bounded_columns", columns(longest_of=lambda _: 0.0), "shorter ones must be left alone"),
    ("check_bounded_columns", clamped_at_one, "not with 1"),
    ("check_bounded_columns", columns(lambda _: 1.0, lambda _: 1.0), "the bound is longest"),
    ("check_missing_bound", seen(lambda T: T - 1), "is the paper's bound"),
    ("check_missing_bound", seen(each=False), "row by row"),
    (
        "check_missing_bound",
        seen(first=lambda code: code.norm(dim=1).max()),
        "not for its norm",
    ),
    ("check_rest_at_best_scale", scaled(lambda *_: 1.0), "without a scale"),
    ("check_rest_at_best_scale", one_scale, "for the whole batch"),
    ("check_rest_at_best_scale", scaled(of=lambda left: 1 - left), "that is explained"),
    (
        "check_rest_at_best_scale",
        lambda x, z, Wd: (
            1
            - torch.einsum("bn,bn->b", x, z @ Wd.mT)
            / (x.norm(dim=1) * (z @ Wd.mT).norm(dim=1)).clamp(min=1e-9)
        ),
        "the *square* of the cosine",
    ),
    ("check_rest_at_best_scale", scaled(share=False), "not yet divided"),
    ("check_rest_at_best_scale", scaled(same_norm), "equal norms"),
    (
        "check_rest_at_best_scale",
        scaled(lambda one, drawn: float(one @ drawn) / float(one @ one)),
        "you divided by ‖x‖²",
    ),
    ("check_left_after", one_by_one(lambda order: torch.arange(len(order))), "as they stand"),
    ("check_left_after", one_by_one(where_they_stand), "not where a unit stands"),
    ("check_left_after", one_by_one(lambda order: order.flip(0)), "upside down"),
    (
        "check_left_after",
        one_by_one(of=lambda left, own, whole: left / whole),
        "divide by its own",
    ),
    ("check_left_after", one_by_one(of=lambda left, *_: left), "not its share"),
    (
        "check_left_after",
        one_by_one(of=lambda left, own, _: math.sqrt(left / own)),
        "the square root is too much",
    ),
    ("check_left_after", one_by_one(of=lambda left, own, _: 1 - left / own), "what is explained"),
    ("check_left_after", lambda *case: one_by_one()(*case)[:, 1:], "the shape is"),
    ("check_slopes_back", back(masks=lambda t, T: t == T - 1), "mask before S"),
    ("check_slopes_back", back(masks=lambda t, T: False), "(codes[t] > 0) is missing"),
    ("check_slopes_back", back(masks=lambda t, T: t < T - 1), "missing at the last iteration"),
    ("check_slopes_back", back(late=1, begins=1), "yours has codes[t]"),
    ("check_slopes_back", back(times=lambda S: S.mT), "not times its transpose"),
    ("check_slopes_back", back(until=1), "go on to the first"),
    ("check_slopes_back", back(until=-1), "the last iteration only"),
    ("check_slopes_back", back(sign=1.0), "its slope has a minus"),
    ("check_slopes_back", back(late=1), "the iteration *before*"),
    ("check_slopes_back", back(over=lambda B: B), "yours are means"),
]
