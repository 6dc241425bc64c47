"""Right and wrong answers to what chapter 2 asks its readers to write, row by row."""

import math

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


def half_shrunk(x, z, We, S, theta):
    return torch.stack([We @ one + shrunk(S @ code, theta) for one, code in zip(x, z, strict=True)])


def jumping_layer(x, z, We, S, theta):
    v = (We @ x.T + S @ z.T).T
    return v * (torch.abs(v) > theta)


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


def jump(on=lambda a, t: a > t, value=lambda a, t: a, off=lambda t: 0.0, price=lambda theta: theta):
    def answer(v, theta):
        rows = [
            [value(a, t) if on(a, t) else off(t) for a, t in zip(row, price(theta), strict=True)]
            for row in v
        ]
        return torch.tensor(rows, dtype=v.dtype)

    return answer


def by_row(v, theta):
    return torch.stack([row * (row > t) for row, t in zip(v, theta, strict=True)])


def drawn(
    heard=lambda n, m: m / n,
    theta=lambda alpha, tau: alpha * tau,
    known=lambda error, share: error,
    noise=lambda sigma: sigma**2,
    tau_of=lambda square: square**0.5,
    scale=lambda error, share: 10 * math.log10(error / share),
    late=False,
    form=torch.tensor,
):
    """State evolution by drawing, the active units and the resting ones apart."""

    def answer(n, m, alpha, steps, generator, sigma=0.0, share=0.1, size=200_000):
        error, found = share, []
        for _ in range(steps):
            if late:
                found.append(scale(error, share))
            tau = tau_of(noise(sigma) + heard(n, m) * known(error, share))
            seen = torch.from_numpy(generator.normal(0, tau, size))
            z = torch.zeros_like(seen)
            many = round(share * size)
            z[:many] = torch.from_numpy(generator.normal(size=many))
            error = float(((shrunk(z + seen, theta(alpha, tau)) - z) ** 2).mean())
            if not late:
                found.append(scale(error, share))
        return form(found)

    return answer


def without_own(z, given, share):
    return (z - share * given) / (1 - share)


def whole(z, given, share):
    return z


def undivided(z, given, share):
    return z - share * given


def added(variance, share):
    return variance * share / (1 - share)


def lowered(variance, share):
    return variance * share


def unchanged(variance, share):
    return variance


def raised(variance, share):
    return variance * (1 - share) / share


def soft_vamp(
    messages=(without_own, without_own),
    variances=(added, added),
    ridge=lambda sigma, variance: sigma**2 / variance,
    over=lambda n, m: m,
    count=lambda z: (z != 0).double().sum(1, keepdim=True),
    deviation=torch.sqrt,
    first=lambda x, m: (x**2).sum(1, keepdim=True) / m,
    least=1,
    more=0,
    gives=0,
):
    """Vector AMP with variances for precisions, and an equation to be solved for each row."""

    def answer(x, Wd, alpha, steps, sigma):
        n, m = Wd.shape
        eye, u, variance = torch.eye(n).to(x), torch.zeros(len(x), m).to(x), first(x, m)
        for _ in range(steps + more):
            c = ridge(sigma, variance)
            gram = Wd @ Wd.T + c[:, :, None] * eye
            z = u + torch.linalg.solve(gram, x - u @ Wd.T) @ Wd
            heard = c * torch.linalg.solve(gram, eye).diagonal(dim1=1, dim2=2).sum(1, keepdim=True)
            share = 1 - (n - heard) / over(n, m)
            v, variance = messages[0](z, u, share), variances[0](variance, share)
            z = shrunk(v, alpha * deviation(variance))
            share = torch.clamp(count(z), min=least, max=m - 1) / m
            u, variance = messages[1](z, v, share), variances[1](variance, share)
        return (z, u, v)[gives]

    return answer


RIGHT = [
    ("check_my_layer", layer()),
    ("check_my_untrained", untrained()),
    ("check_my_coupled_S", coupled()),
    ("check_my_residual", residual()),
    ("check_wrong_units", wrong_units()),
    ("check_jump_relu", jump()),
    ("check_drawn_evolution", drawn()),
    ("check_soft_vamp", soft_vamp()),
]
PLANTED = [
    ("check_my_layer", layer(plus=-1.0), "added, not subtracted"),
    ("check_my_layer", layer(flip=True), "S is transposed"),
    ("check_my_layer", layer(plus=0.0), "S z is missing"),
    ("check_my_layer", layer(drive=0.0), "x is missing"),
    ("check_my_layer", layer(theta_of=lambda theta: 0.0), "the shrink is missing"),
    ("check_my_layer", layer(outside=True), "S z belongs inside"),
    ("check_my_layer", half_shrunk, "We x belongs inside"),
    ("check_my_layer", jumping_layer, "this threshold jumps"),
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
    ("check_my_untrained", lambda x, Wd, l, depth: untrained()(x, Wd, l, 1), "a single layer"),
    (
        "check_my_untrained",
        lambda x, Wd, l, depth: untrained()(
            x * float(torch.linalg.matrix_norm(Wd, 2)) ** 2, Wd, l, depth
        ),
        "in We the factor 1/L",
    ),
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
    ("check_my_residual", lambda x, z, before, Wd: residual()(x, z, x, Wd), "not of x"),
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
    ("check_jump_relu", jump(value=lambda a, t: a - t), "this is a shifted ReLU"),
    ("check_jump_relu", jump(on=lambda a, t: abs(a) > t), "you took |v| > θ"),
    ("check_jump_relu", shrunk, "this is shrink"),
    ("check_jump_relu", jump(on=lambda a, t: a >= t), "> in place of ≥"),
    ("check_jump_relu", jump(price=lambda t: t.mean().expand_as(t)), "you took their mean"),
    ("check_jump_relu", by_row, "you gave one to each row"),
    ("check_jump_relu", jump(value=lambda a, t: 1.0), "which units are on"),
    ("check_jump_relu", jump(off=lambda t: t), "up to θ it is 0"),
    ("check_jump_relu", jump(on=lambda a, t: a > 0), "it starts at 0"),
    ("check_jump_relu", jump(on=lambda a, t: a < t), "the comparison is turned"),
    ("check_drawn_evolution", drawn(heard=lambda n, m: 1), "the factor m/n is missing"),
    ("check_drawn_evolution", drawn(heard=lambda n, m: n / m), "not n/m"),
    ("check_drawn_evolution", drawn(theta=lambda alpha, tau: alpha), "α τ, not α"),
    ("check_drawn_evolution", drawn(theta=lambda alpha, tau: tau), "α is missing"),
    ("check_drawn_evolution", drawn(known=lambda error, share: share), "you kept the first"),
    ("check_drawn_evolution", drawn(noise=lambda sigma: 0), "the noise in x is missing"),
    ("check_drawn_evolution", drawn(noise=lambda sigma: sigma), "σ must be squared"),
    ("check_drawn_evolution", drawn(tau_of=lambda square: square), "τ is the root"),
    (
        "check_drawn_evolution",
        drawn(scale=lambda error, share: 10 * math.log10(error)),
        "before the first step, the share",
    ),
    (
        "check_drawn_evolution",
        drawn(scale=lambda error, share: 20 * math.log10(error / share)),
        "10 log10, not 20",
    ),
    (
        "check_drawn_evolution",
        drawn(scale=lambda error, share: 10 * math.log(error / share)),
        "a natural logarithm",
    ),
    ("check_drawn_evolution", drawn(scale=lambda error, share: error / share), "these are no dB"),
    ("check_drawn_evolution", drawn(late=True), "not before it"),
    ("check_drawn_evolution", drawn(form=list), "returned a list"),
    ("check_drawn_evolution", drawn(form=lambda f: torch.tensor(f[-1:])), "the shape is"),
    ("check_drawn_evolution", drawn(theta=lambda alpha, tau: 1.1 * alpha * tau), "off by up to"),
    ("check_soft_vamp", soft_vamp((without_own, whole)), "the shrink hands on its whole"),
    ("check_soft_vamp", soft_vamp((whole, without_own)), "the ridge hands on its whole"),
    ("check_soft_vamp", soft_vamp((whole, whole)), "both hand on their whole"),
    ("check_soft_vamp", soft_vamp((undivided, undivided)), "not divided by 1 − ρ"),
    ("check_soft_vamp", soft_vamp(variances=(unchanged, unchanged)), "stays at its first value"),
    ("check_soft_vamp", soft_vamp(variances=(unchanged, added)), "what the ridge adds is missing"),
    ("check_soft_vamp", soft_vamp(variances=(added, unchanged)), "what the shrink adds is missing"),
    ("check_soft_vamp", soft_vamp(variances=(added, lowered)), "u has only what the shrink adds"),
    ("check_soft_vamp", soft_vamp(variances=(lowered, lowered)), "both hand on only what they add"),
    ("check_soft_vamp", soft_vamp(variances=(raised, raised)), "upside down"),
    (
        "check_soft_vamp",
        soft_vamp(count=lambda z: (z != 0).double().sum() / len(z) * torch.ones(len(z), 1)),
        "you took the mean over the batch",
    ),
    ("check_soft_vamp", soft_vamp(ridge=lambda s, var: s**2 + 0 * var), "is σ² γ, not σ²"),
    ("check_soft_vamp", soft_vamp(ridge=lambda s, var: s / var), "is σ² γ: σ must be squared"),
    ("check_soft_vamp", soft_vamp(ridge=lambda s, var: s**2 * var), "you divided by γ"),
    ("check_soft_vamp", soft_vamp(over=lambda n, m: n), "a mean over m directions"),
    ("check_soft_vamp", soft_vamp(deviation=lambda var: var), "not 1/γ_v"),
    ("check_soft_vamp", soft_vamp(deviation=lambda var: var**-0.5), "not a variance"),
    (
        "check_soft_vamp",
        soft_vamp(first=lambda x, m: torch.ones(len(x), 1).to(x)),
        "start with the precision m/‖x‖², not 1",
    ),
    (
        "check_soft_vamp",
        soft_vamp(first=lambda x, m: m / (x**2).sum(1, keepdim=True)),
        "the inverse of the variance",
    ),
    ("check_soft_vamp", soft_vamp(least=0), "case 3: the result holds nan"),
    ("check_soft_vamp", soft_vamp(gives=1), "not u"),
    ("check_soft_vamp", soft_vamp(gives=2), "not v"),
    ("check_soft_vamp", soft_vamp(more=-1), "one step too few"),
    ("check_soft_vamp", soft_vamp(more=1), "one step too many"),
]
