"""Right and wrong answers to what chapter 2 asks its readers to write, row by row."""

import torch


def shrunk(v, theta):
    return torch.sign(v) * torch.relu(torch.abs(v) - theta)


def layer(plus=1.0, drive=1.0, flip=False, theta_of=lambda theta: theta, again=0.0, outside=False):
    """A layer as a student might write it, with what is planted in it."""

    def answer(x, z, We, S, theta):
        rows = []
        for one, code in zip(x, z, strict=True):
            heard = plus * ((S.T if flip else S) @ code) + again * code
            inside = drive * (We @ one)
            t = theta_of(theta)
            rows.append(shrunk(inside, t) + heard if outside else shrunk(inside + heard, t))
        return torch.stack(rows)

    return answer


def untrained(scale=None, price=None, plus=1.0, late=1.0, more=0, eye=1.0, start=0.0, within=None):
    """The loop of an untrained LISTA, written as ISTA, row by row."""

    def answer(x, Wd, lmbd, depth):
        L = float(torch.linalg.matrix_norm(Wd, 2)) ** 2
        a = 1 / L if scale is None else scale(L)
        theta = lmbd * a if price is None else price(lmbd, L)
        rows = []
        for one in x:
            code = start * a * (Wd.T @ one)
            for k in range(depth + more):
                drive = a * (Wd.T @ one) * (late if k else 1.0)
                heard = eye * code - (within or a) * (Wd.T @ (Wd @ code))
                code = shrunk(drive + plus * heard, theta)
            rows.append(code)
        return torch.stack(rows)

    return answer


def coupled(eye=1.0, times=-1.0, of=lambda We, Wd: torch.einsum("mn,nk->mk", We, Wd)):
    def answer(We, Wd):
        product = of(We, Wd)
        return eye * torch.diag(torch.ones(len(product)).to(We)) + times * product

    return answer


def residual(sign=1.0, count=lambda code: int((code != 0).sum()), over=len, target=1.0):
    def answer(x, z, before, Wd):
        rows = []
        for one, code, old in zip(x, z, before, strict=True):
            rows.append(target * one - Wd @ code + sign * count(code) / over(Wd) * old)
        return torch.stack(rows)

    return answer


def wrong_units(active=lambda a: a != 0, order=(0, 1), over=1):
    def answer(z, true):
        rows = []
        for mine, right in zip(z.tolist(), true.tolist(), strict=True):
            pairs = [(active(a), active(b)) for a, b in zip(mine, right, strict=True)]
            found = [sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)]
            rows.append([found[k] / over if over > 1 else found[k] for k in order])
        return torch.tensor(rows)

    return answer


RIGHT = [
    ("check_my_layer", layer()),
    ("check_my_untrained", untrained()),
    ("check_my_coupled_S", coupled()),
    ("check_my_residual", residual()),
    ("check_wrong_units", wrong_units()),
]
PLANTED = [
    ("check_my_layer", layer(plus=-1.0), "added, not subtracted"),
    ("check_my_layer", layer(flip=True), "S is transposed"),
    ("check_my_layer", layer(plus=0.0), "S z is missing"),
    ("check_my_layer", layer(drive=0.0), "x is missing"),
    ("check_my_layer", layer(theta_of=lambda theta: 0.0), "the shrink is missing"),
    ("check_my_layer", layer(outside=True), "S z belongs inside"),
    ("check_my_layer", layer(theta_of=lambda t: t.sum() / len(t)), "you took their mean"),
    ("check_my_layer", layer(again=1.0), "a second time"),
    (
        "check_my_layer",
        lambda x, z, We, S, theta: torch.clamp(x @ We.T + z @ S.T - theta, min=0),
        "this is a ReLU",
    ),
    ("check_my_layer", layer(theta_of=torch.exp), "not its logarithm"),
    ("check_my_untrained", untrained(price=lambda lmbd, L: lmbd), "θ is λ/L, not λ"),
    ("check_my_untrained", untrained(scale=lambda L: 1.0), "the factor 1/L is missing"),
    ("check_my_untrained", untrained(scale=lambda L: L**-0.5), "square the singular value"),
    ("check_my_untrained", untrained(plus=-1.0), "added, not subtracted"),
    ("check_my_untrained", untrained(late=0.0), "x enters every layer"),
    ("check_my_untrained", untrained(more=1), "one layer too many"),
    ("check_my_untrained", untrained(more=-1), "one layer too few"),
    ("check_my_untrained", untrained(price=lambda lmbd, L: 0.0), "the shrink is missing"),
    ("check_my_untrained", untrained(eye=0.0), "S has lost its I"),
    ("check_my_untrained", untrained(start=1.0), "start at z = 0"),
    ("check_my_untrained", untrained(within=1.0), "in S the factor 1/L"),
    (
        "check_my_untrained",
        lambda x, Wd, lmbd, depth: untrained(scale=lambda L: 1 / float(Wd.norm()) ** 2)(
            x, Wd, lmbd, depth
        ),
        "the Frobenius norm squared",
    ),
    (
        "check_my_coupled_S",
        coupled(of=lambda We, Wd: torch.einsum("nm,mk->nk", Wd, We)),
        "the shape is",
    ),
    ("check_my_coupled_S", coupled(eye=-1.0, times=1.0), "this is its negative"),
    ("check_my_coupled_S", coupled(times=1.0), "before We Wd is turned"),
    ("check_my_coupled_S", coupled(eye=0.0), "I is missing"),
    ("check_my_coupled_S", coupled(eye=0.0, times=1.0), "this is We Wd itself"),
    ("check_my_coupled_S", lambda *a: coupled()(*a).T, "this is its transpose"),
    (
        "check_my_coupled_S",
        coupled(of=lambda We, Wd: torch.einsum("nm,nk->mk", Wd, Wd)),
        "We was not used",
    ),
    (
        "check_my_coupled_S",
        coupled(of=lambda We, Wd: Wd.T @ Wd / torch.linalg.matrix_norm(Wd, 2) ** 2),
        "the S of ISTA",
    ),
    ("check_my_residual", residual(sign=-1.0), "added back, not subtracted"),
    ("check_my_residual", residual(sign=0.0), "the echo is missing"),
    ("check_my_residual", residual(over=lambda Wd: len(Wd.T)), "not by m"),
    ("check_my_residual", residual(count=lambda c: int((c > 0).sum())), "negative coefficients"),
    (
        "check_my_residual",
        lambda x, z, r, Wd: x - z @ Wd.T + (z != 0).double().sum(1).mean() / len(Wd) * r,
        "you took their mean",
    ),
    ("check_my_residual", residual(count=lambda c: float(c.abs().sum())), "added their sizes"),
    ("check_my_residual", residual(count=len), "every unit was counted"),
    ("check_my_residual", residual(count=lambda c: 1, over=lambda Wd: 1), "not all of it"),
    ("check_my_residual", residual(target=0.0), "x is missing"),
    (
        "check_my_residual",
        lambda x, z, r, Wd: x - z @ Wd.T + int((z != 0).sum()) / len(Wd) * r,
        "the whole batch",
    ),
    (
        "check_my_residual",
        lambda x, z, r, Wd: (x - z @ Wd.T) * (1 + (z != 0).sum(1, keepdim=True) / len(Wd)),
        "not of the new one",
    ),
    (
        "check_my_residual",
        lambda x, z, r, Wd: x - z @ Wd.T + (z != 0).sum(1, keepdim=True) / len(x) * r,
        "how many rows",
    ),
    ("check_wrong_units", wrong_units(order=(1, 0)), "exchanged"),
    ("check_wrong_units", wrong_units(active=lambda a: a > 0), "negative coefficients"),
    (
        "check_wrong_units",
        lambda z, true: torch.stack(
            [((z > 0) & (true == 0)).sum(1), ((z == 0) & (true > 0)).sum(1)], 1
        ),
        "a negative coefficient is active",
    ),
    (
        "check_wrong_units",
        lambda z, true: torch.stack(
            [((z > 0) & (true == 0)).sum(1), ((z <= 0) & (true != 0)).sum(1)], 1
        ),
        "in z negative",
    ),
    ("check_wrong_units", lambda z, true: wrong_units()(z, true).T, "the shape is"),
    (
        "check_wrong_units",
        lambda z, true: wrong_units()(z, true).sum(0, keepdim=True).repeat(len(z), 1),
        "you counted the batch",
    ),
    (
        "check_wrong_units",
        lambda z, true: torch.stack(
            [((z != true) & (z != 0)).sum(1), ((z != true) & (true != 0)).sum(1)], 1
        ),
        "you compared their values",
    ),
    (
        "check_wrong_units",
        lambda z, true: wrong_units()(z, true) / z.shape[1],
        "these are shares",
    ),
]
