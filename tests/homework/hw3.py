"""Right and wrong answers to homework 3, by the id of the answer's cell; see test_homework.py."""

import numpy as np
import torch

from course_utils.built.ista import energy, lipschitz, shrink_nonneg

# Task 1


def energies_by_loop(z, x, Wd, lmbd, c):
    return torch.stack([energy(x, z / k, k * Wd, lmbd).sum() for k in c])


def energies_at_once(z, x, Wd, lmbd, c):
    codes, decoders = z / c[:, None, None], c[:, None, None] * Wd
    errors = x - torch.einsum("cnm,cbm->cbn", decoders, codes)
    return 0.5 * errors.pow(2).sum((1, 2)) + lmbd * codes.abs().sum((1, 2))


def energies_in_numpy(z, x, Wd, lmbd, c):
    z, x, Wd, c = (a.double().numpy() for a in (z, x, Wd, c))
    return torch.tensor(((x - z @ Wd.T) ** 2).sum() / 2 + lmbd * np.abs(z).sum() / c)


def by_c(one):
    return lambda z, x, Wd, lmbd, c: torch.stack([one(z, x, Wd, lmbd, k) for k in c])


# Task 2


def price_by_loop(z, tau):
    total = torch.zeros((), dtype=z.dtype)
    for unit in z.T:
        s = ((unit - unit.mean()) ** 2).sum().div(len(unit) - 1).sqrt()
        if s < tau:
            total = total + (tau - s) ** 2
    return total


def price_in_numpy(z, tau):
    return torch.tensor((np.maximum(tau - z.double().numpy().std(0, ddof=1), 0) ** 2).sum())


def price_by_pairs(z, tau):
    """The variance is half the mean square of the differences of two different rows."""
    B = len(z)
    s = ((z[:, None] - z[None]) ** 2).sum((0, 1)).div(2 * B * (B - 1)).sqrt()
    return torch.relu(tau - s) @ torch.relu(tau - s)


# Task 3


def slope_by_mask(z, tau):
    s, slope = z.std(0), torch.zeros_like(z)
    low = (s > 0) & (s < tau)
    slope[:, low] = 2 * (1 - tau / s[low]) * (z - z.mean(0))[:, low] / (len(z) - 1)
    return slope


def slope_by_loop(z, tau):
    columns = []
    for unit in z.T:
        a, s = unit - unit.mean(), unit.std()
        moves = 0 < s < tau
        columns.append(-2 * (tau - s) * a / s / (len(z) - 1) if moves else 0 * a)
    return torch.stack(columns, 1)


def slope_from_squares(z, tau):
    """The variance as mean square minus squared mean, and a small number beside s."""
    B, m = len(z), z.mean(0)
    s = ((z.square().mean(0) - m.square()).clamp(min=0) * B / (B - 1)).sqrt()
    return -2 * (tau - s).relu() * (z - m) / ((s + 1e-8) * (B - 1))


def slope_beside_a_small_number(z, tau):
    """As many programs divide: 1e-8 is added, and nothing else is done about silent units."""
    return -2 * (tau - z.std(0)).relu() * (z - z.mean(0)) / ((z.std(0) + 1e-8) * (len(z) - 1))


def slope_in_numpy(z, tau):
    B = len(z)
    a = (np.eye(B) - 1 / B) @ z.double().numpy()
    s = np.sqrt((a**2).sum(0) / (B - 1))
    safe = np.where(s > 0, s, 1)
    return torch.tensor(-2 / (B - 1) * a * (s > 0) * np.maximum(tau - s, 0) / safe)


def slope_with(z, tau, factor=-2.0, less=1, centre=1, power=1):
    s = z.std(0)
    part = z - centre * z.mean(0)
    lack = (tau - s).clamp(min=0) * (s > 0)
    return factor * lack * part / (s.clamp(min=1e-20) ** power * (len(z) - less))


def slope_without_hinge(z, tau):
    s = z.std(0)
    return -2 * (tau - s) * (s > 0) * (z - z.mean(0)) / (s.clamp(min=1e-20) * (len(z) - 1))


def slope_not_safe(z, tau):
    s = z.std(0)
    return -2 * (tau - s).clamp(min=0) * (z - z.mean(0)) / s / (len(z) - 1)


def slope_by_autograd(z, tau):
    """The notebook's stand-in: torch differentiates."""
    z = z.detach().clone().requires_grad_()
    (tau - z.std(0)).clamp(min=0).square().sum().backward()
    return z.grad.nan_to_num(0.0)


def slope_by_torch_func(z, tau):
    return torch.func.grad(lambda z: (tau - z.std(0)).clamp(min=0).square().sum())(z).nan_to_num()


def slope_by_differences(z, tau, step=1e-5):
    """Central differences in float64."""
    a, slope = z.double(), torch.zeros_like(z.double())
    for index in np.ndindex(*a.shape):
        move = torch.zeros_like(a)
        move[index] = step
        slope[index] = (price_in_numpy(a + move, tau) - price_in_numpy(a - move, tau)) / (2 * step)
    return slope.to(z)


def slope_if(speaks, size=lambda s: s):
    """A right slope, but for which units are taken for silent, and for what it divides by."""

    def slope(z, tau):
        s = z.std(0)
        moves = (s < tau) & speaks(z, s)
        full = -2 * (tau - s) * (z - z.mean(0)) / (size(s) * (len(z) - 1))
        return torch.where(moves, full, torch.zeros_like(z))

    return slope


# Task 4


def codes_by_gram(x, Wd, z, lmbd, beta, tau, steps):
    G, a = Wd.T @ Wd, x @ Wd
    L = torch.linalg.eigvalsh(G)[-1] + 2 * beta / (len(x) - 1)
    for _ in range(steps):
        z = torch.relu(z - (z @ G - a + beta * slope_by_loop(z, tau) + lmbd) / L)
    return z


def codes_by_autograd(x, Wd, z, lmbd, beta, tau, steps):
    L = torch.linalg.matrix_norm(Wd, 2) ** 2 + 2 * beta / (len(x) - 1)
    for _ in range(steps):
        z = z.detach().requires_grad_()
        smooth = 0.5 * (x - z @ Wd.T).pow(2).sum() + beta * price_by_loop(z, tau)
        (slope,) = torch.autograd.grad(smooth, z)
        z = torch.maximum(z - slope / L - lmbd / L, torch.zeros_like(z))
    return z.detach()


def codes_in_numpy(x, Wd, z, lmbd, beta, tau, steps):
    x, Wd, z = (a.double().numpy().copy() for a in (x, Wd, z))
    step = 1 / (np.linalg.svd(Wd, compute_uv=False)[0] ** 2 + 2 * beta / (len(x) - 1))
    for _ in range(steps):
        pull = slope_in_numpy(torch.from_numpy(z), tau).numpy()
        z -= step * (Wd.T @ (Wd @ z.T - x.T)).T + step * beta * pull
        z = np.clip(z - step * lmbd, 0, None)
    return torch.from_numpy(z)


def codes_with(push=1.0, weigh=True, curve=1, theta=None, prox=shrink_nonneg, zero=False, more=0):
    def codes(x, Wd, z, lmbd, beta, tau, steps):
        L = lipschitz(Wd) + curve * 2 * beta / (len(x) - 1)
        z = torch.zeros_like(z) if zero else z
        for _ in range(steps + more):
            pull = (beta if weigh else 1.0) * push * slope_with(z, tau)
            z = prox(z - ((z @ Wd.T - x) @ Wd + pull) / L, lmbd if theta else lmbd / L)
        return z

    return codes


def two_sided(v, theta):
    return v.sign() * (v.abs() - theta).clamp(min=0)


def codes_stopped(small):
    """Stops as soon as no code moves by more than a little."""

    def codes(x, Wd, z, lmbd, beta, tau, steps):
        for _ in range(steps):
            new = codes_by_gram(x, Wd, z, lmbd, beta, tau, 1)
            if (new - z).abs().max() < small:
                break
            z = new
        return z

    return codes


def codes_moved(after):
    """Right steps, but something is done to z after each."""

    def codes(x, Wd, z, lmbd, beta, tau, steps):
        for _ in range(steps):
            z = after(codes_by_gram(x, Wd, z, lmbd, beta, tau, 1), z)
        return z

    return codes


def codes_in_turn(x, Wd, z, lmbd, beta, tau, steps):
    """A step for the squared error and the price, then one for R."""
    L = lipschitz(Wd) + 2 * beta / (len(x) - 1)
    for _ in range(steps):
        z = shrink_nonneg(z - (z @ Wd.T - x) @ Wd / L, lmbd / L)
        z = (z - beta * slope_by_loop(z, tau) / L).clamp(min=0)
    return z


def codes_with_momentum(x, Wd, z, lmbd, beta, tau, steps):
    y, t = z, 1.0
    for _ in range(steps):
        new, after = codes_by_gram(x, Wd, y, lmbd, beta, tau, 1), (1 + (1 + 4 * t * t) ** 0.5) / 2
        y, z, t = new + (t - 1) / after * (new - z), new, after
    return z


def codes_with_old_pull(x, Wd, z, lmbd, beta, tau, steps):
    """R's slope is taken once, before the loop."""
    L, pull = lipschitz(Wd) + 2 * beta / (len(x) - 1), beta * slope_by_loop(z, tau)
    for _ in range(steps):
        z = shrink_nonneg(z - ((z @ Wd.T - x) @ Wd + pull) / L, lmbd / L)
    return z


# Task 5


def decoder_by_outer(x, z, Wd, longest):
    slope = torch.einsum("bn,bm->nm", z @ Wd.T - x, z)
    Wd = Wd - slope / torch.linalg.eigvalsh(z.T @ z)[-1]
    if longest is not None:
        Wd = torch.where(Wd.norm(dim=0) > longest, longest * Wd / Wd.norm(dim=0), Wd)
    return Wd


def decoder_by_autograd(x, z, Wd, longest):
    Wd = Wd.clone().requires_grad_()
    (0.5 * (x - z @ Wd.T).square().sum()).backward()
    new = (Wd - Wd.grad / torch.linalg.matrix_norm(z, 2) ** 2).detach()
    return new if longest is None else torch.renorm(new, 2, 1, longest)


def decoder_in_numpy(x, z, Wd, longest):
    x, z, Wd = (a.numpy() for a in (x, z, Wd))
    Wd = Wd + (x.T @ z - Wd @ (z.T @ z)) / np.linalg.norm(z, 2) ** 2
    for j in range(Wd.shape[1]):
        length = np.linalg.norm(Wd[:, j])
        if longest is not None and length > longest:
            Wd[:, j] *= longest / length
    return torch.from_numpy(Wd)


def decoder_with(way=1.0, dim=0, every=False, lid=True, size=lambda x, z, Wd: lipschitz(z)):
    def step(x, z, Wd, longest):
        Wd = Wd + way * (x - z @ Wd.T).T @ z / size(x, z, Wd)
        if longest is None or not lid:
            return Wd
        norms = Wd.norm(dim=dim, keepdim=True)
        return longest * Wd / (norms if every else norms.clamp(min=longest))

    return step


def capped_by(cap):
    """A right step, then another lid."""

    def step(x, z, Wd, longest):
        Wd = decoder_by_outer(x, z, Wd, None)
        return Wd if longest is None else cap(Wd, longest)

    return step


def decoder_lid_first(x, z, Wd, longest):
    if longest is not None:
        Wd = Wd * (longest / Wd.norm(dim=0)).clamp(max=1)
    return Wd + (x - z @ Wd.T).T @ z / lipschitz(z)


# Task 6


def encode(V, x, T):
    z, minus = x.new_zeros(len(x), len(V)), -x.new_ones(len(x), 1)
    for _ in range(T):
        z = (torch.cat([x, z, minus], 1) @ V.T).relu()
    return z


def encoder_by_backward(x, z, V, rate, T):
    V = V.clone().requires_grad_()
    loss = ((encode(V, x, T) - z) ** 2).sum() / (2 * len(x))
    loss.backward()
    with torch.no_grad():
        return V - rate * V.grad


def encoder_by_hand(x, z, V, rate, T):
    n, m = x.shape[1], len(V)
    minus, codes, inputs = -x.new_ones(len(x), 1), [x.new_zeros(len(x), m)], []
    for _ in range(T):
        inputs.append(torch.cat([x, codes[-1], minus], 1))
        codes.append((inputs[-1] @ V.T).clamp(min=0))
    back, slope = (codes[-1] - z) / len(x), torch.zeros_like(V)
    for before, after in zip(reversed(inputs), reversed(codes), strict=False):
        back = back * (after > 0)
        slope += back.T @ before
        back = back @ V[:, n : n + m]
    return V - rate * slope


def encoder_by_func(x, z, V, rate, T):
    n, m = x.shape[1], len(V)

    def loss(V):
        We, S, b = V[:, :n], V[:, n : n + m], V[:, -1]
        code = torch.relu(x @ We.T - b)
        for _ in range(T - 1):
            code = torch.relu(x @ We.T + code @ S.T - b)
        return 0.5 * (code - z).square().sum(1).mean()

    return V - rate * torch.func.grad(loss)(V)


def encoder_with(loss, way=1.0, more=0, detach=True):
    def step(x, z, V, rate, T):
        V = V.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(encode(V, x, T + more) - z), V)
        V = V - way * rate * slope
        return V.detach() if detach else V

    return step


def encoder_last_only(x, z, V, rate, T):
    inputs = torch.cat([x, encode(V, x, T - 1), -torch.ones_like(x[:, :1])], 1)
    code = torch.relu(inputs @ V.T)
    return V - rate * ((code - z) * (code > 0)).T @ inputs / len(x)


def half(a):
    return 0.5 * a.square().sum(1).mean()


def encoder_of(T):
    return lambda x, z, V, rate, _: encoder_by_func(x, z, V, rate, T)


def encoder_of_part(part):
    """Only some columns of V learn."""

    def step(x, z, V, rate, T):
        learns = torch.zeros_like(V)
        learns[:, part(x.shape[1], len(V))] = 1.0
        return V + learns * (encoder_by_func(x, z, V, rate, T) - V)

    return step


def encoder_normalised(x, z, V, rate, T):
    change = encoder_by_func(x, z, V, rate, T) - V
    return V + rate * change / change.norm()


RIGHT = {
    "task1": [energies_by_loop, energies_at_once, energies_in_numpy],
    "task2": [price_by_loop, price_in_numpy, price_by_pairs],
    "task3": [
        slope_by_mask,
        slope_by_loop,
        slope_in_numpy,
        slope_from_squares,
        slope_beside_a_small_number,
    ],
    "task4": [codes_by_gram, codes_by_autograd, codes_in_numpy],
    "task5": [decoder_by_outer, decoder_by_autograd, decoder_in_numpy],
    "task6": [encoder_by_backward, encoder_by_hand, encoder_by_func],
}

PLANTED = {
    "task1": {
        "only the code was divided": by_c(lambda z, x, Wd, lm, k: energy(x, z / k, Wd, lm).sum()),
        "only the decoder was multiplied": by_c(
            lambda z, x, Wd, lm, k: energy(x, z, k * Wd, lm).sum()
        ),
        "the wrong way round": by_c(lambda z, x, Wd, lm, k: energy(x, k * z, Wd / k, lm).sum()),
        "the price is that of z": by_c(lambda z, x, Wd, lm, k: energy(x, z, Wd, lm).sum()),
        "½ on the squared error is missing": by_c(
            lambda z, x, Wd, lm, k: (x - z @ Wd.T).square().sum() + lm * z.abs().sum() / k
        ),
        "take the sum": by_c(lambda z, x, Wd, lm, k: energy(x, z / k, k * Wd, lm).mean()),
        "the price is on |z|": by_c(
            lambda z, x, Wd, lm, k: (x - z @ Wd.T).square().sum() / 2 + lm * z.sum() / k
        ),
        "None: is the `return` missing": lambda *_: None,
    },
    "task2": {
        "divides by B": lambda z, tau: torch.relu(tau - z.var(0, correction=0).sqrt()).pow(2).sum(),
        "that is the variance": lambda z, tau: torch.relu(tau - z.std(0) ** 2).pow(2).sum(),
        "the hinge is not squared": lambda z, tau: torch.relu(tau - z.std(0)).sum(),
        "mean over the units": lambda z, tau: torch.relu(tau - z.std(0)).pow(2).mean(),
        "deviation of each code": lambda z, tau: torch.relu(tau - z.std(1)).pow(2).sum(),
        "hinge is the wrong way round": lambda z, tau: torch.relu(z.std(0) - tau).pow(2).sum(),
        "without max(0, ·)": lambda z, tau: (z.std(0) - tau).pow(2).sum(),
        "mean was not taken away": lambda z, tau: (
            torch.relu(tau - (z * z).mean(0).sqrt()).pow(2).sum()
        ),
        "the shape is": lambda z, tau: torch.relu(tau - z.std(0)).pow(2),
    },
    "task4": {
        "R is missing from the slope": codes_with(push=0.0),
        "the slope of R goes the wrong way": codes_with(push=-1.0),
        "R adds 2 beta/(B - 1) to L": codes_with(curve=0),
        "it takes lmbd / L": codes_with(theta=True),
        "codes must not be negative": codes_with(prox=two_sided),
        "begin at the z that was given": codes_with(zero=True),
        "one step too many": codes_with(more=1),
        "R enters without beta": codes_with(weigh=False),
    },
    "task5": {
        "the lid is missing": decoder_with(lid=False),
        "every column was scaled to longest": decoder_with(every=True),
        "the lid is longest, not 1": capped_by(lambda W, _: W / W.norm(dim=0).clamp(min=1)),
        "the rows were shortened": decoder_with(dim=1),
        "that step goes uphill": decoder_with(way=-1.0),
        "the lid comes after the step": decoder_lid_first,
        "the roles of Wd and z are exchanged": decoder_with(size=lambda x, z, Wd: lipschitz(Wd)),
        "not 1/B": decoder_with(size=lambda x, z, Wd: len(x)),
    },
    "task6": {
        "that is the sum over the batch": encoder_with(lambda a: a.square().sum() / 2),
        "the ½ is missing": encoder_with(lambda a: a.square().sum(1).mean()),
        "mean over the batch only": encoder_with(lambda a: a.square().mean() / 2),
        "that step goes uphill": encoder_with(half, way=-1.0),
        "not the last alone": encoder_last_only,
        "not in absolute values": encoder_with(lambda a: a.abs().sum(1).mean()),
        "one iteration too many": encoder_with(half, more=1),
        "still carries its graph": encoder_with(half, detach=False),
    },
}

# Statements of their own: `without_autograd` reads all of the statement that a lambda stands in.
PLANTED["task3"] = {
    "the sign is wrong": lambda z, tau: slope_with(z, tau, factor=2.0),
    "the 2 of the square is missing": lambda z, tau: slope_with(z, tau, factor=-1.0),
    "slope has B - 1, not B": lambda z, tau: slope_with(z, tau, less=0),
    "B - 1 is missing": lambda z, tau: slope_with(z, tau, less=len(z) - 1),
    "the ½ from the root takes away the 2": lambda z, tau: slope_with(z, tau, factor=-4.0),
    "divide by s": lambda z, tau: slope_with(z, tau, power=0),
    "take the batch's mean away": lambda z, tau: slope_with(z, tau, centre=0),
    "units above the floor must have slope zero": slope_without_hinge,
    "the hinge is missing from the slope": lambda z, tau: (
        torch.where(z.std(0) < tau, -2 * (z - z.mean(0)), torch.zeros_like(z))
        / z.std(0).clamp(min=1e-20)
        / (len(z) - 1)
    ),
    "nan or infinite": slope_not_safe,
    "derive the slopes by hand": slope_by_autograd,
}

TRIED = {
    "task1": {
        "the first row alone": by_c(lambda z, x, Wd, lm, k: energy(x, z / k, k * Wd, lm)[0]),
        "positive codes alone": by_c(
            lambda z, x, Wd, lm, k: (
                (x - z @ Wd.T).square().sum() / 2 + lm * z.clamp(min=0).sum() / k
            )
        ),
        "c squared in the price": by_c(
            lambda z, x, Wd, lm, k: energy(x, z / k**2, k**2 * Wd, lm).sum()
        ),
        "the price is not scaled": by_c(lambda z, x, Wd, lm, k: energy(x, z, Wd, lm).sum()),
        "the first c for all": lambda z, x, Wd, lm, c: energies_by_loop(z, x, Wd, lm, c[:1]).expand(
            len(c)
        ),
        "c in order": lambda z, x, Wd, lm, c: energies_by_loop(z, x, Wd, lm, c.sort().values),
        "c below 1 is taken for 1": lambda z, x, Wd, lm, c: energies_by_loop(
            z, x, Wd, lm, c.clamp(min=1)
        ),
        "the norm, not its square": by_c(
            lambda z, x, Wd, lm, k: (x - z @ Wd.T).norm() / 2 + lm * z.abs().sum() / k
        ),
    },
    "task2": {
        "silent units do not pay": lambda z, tau: (
            (torch.relu(tau - z.std(0)) * (z.std(0) > 0)).pow(2).sum()
        ),
        "the square of the sum": lambda z, tau: torch.relu(tau - z.std(0)).sum() ** 2,
        "of the mean deviation": lambda z, tau: torch.relu(tau - z.std(0).mean()) ** 2,
        "mean absolute deviation": lambda z, tau: (
            torch.relu(tau - (z - z.mean(0)).abs().mean(0)).pow(2).sum()
        ),
        "hinge of the squares": lambda z, tau: torch.relu(tau**2 - z.var(0)).sum(),
        "of all entries": lambda z, tau: torch.relu(tau - z.std()) ** 2 * z.shape[1],
        "the worst unit alone": lambda z, tau: torch.relu(tau - z.std(0)).max() ** 2,
        "a small number under the root": lambda z, tau: (
            torch.relu(tau - (z.var(0) + 1e-4).sqrt()).pow(2).sum()
        ),
        "half of it": lambda z, tau: torch.relu(tau - z.std(0)).pow(2).sum() / 2,
    },
    "task4": {
        "stops at 0.01": codes_stopped(1e-2),
        "stops at 0.001": codes_stopped(1e-3),
        "silent entries stay silent": codes_moved(lambda new, z: new * (z > 0)),
        "small codes are cut off": codes_moved(lambda new, z: new * (new > 1e-2)),
        "one step after the other": codes_in_turn,
        "with momentum": codes_with_momentum,
        "R's slope is taken once": codes_with_old_pull,
        "one step only": lambda *a: codes_by_gram(*a[:-1], 1),
        "the step of one image": lambda x, Wd, z, lm, beta, tau, steps: codes_by_gram(
            x, Wd, z, lm, beta / (len(x) - 1), tau, steps
        ),
        "at most 100 steps": lambda *a: codes_by_gram(*a[:-1], min(a[-1], 100)),
    },
    "task5": {
        "None is a lid of 1": lambda x, z, Wd, longest: decoder_by_outer(x, z, Wd, longest or 1.0),
        "the longest column decides for all": capped_by(
            lambda W, longest: W * min(1.0, longest / float(W.norm(dim=0).max()))
        ),
        "entries are cut": capped_by(lambda W, longest: W.clamp(-longest, longest)),
        "the whole matrix is shortened": capped_by(
            lambda W, longest: W * min(1.0, longest / float(W.norm()))
        ),
        "longest squared": capped_by(
            lambda W, longest: W / (W.norm(dim=0) / longest**2).clamp(min=1)
        ),
        "the lid is at most 1": capped_by(
            lambda W, longest: W / (W.norm(dim=0) / min(1.0, longest)).clamp(min=1)
        ),
        "the lid is at least 1": capped_by(
            lambda W, longest: W / (W.norm(dim=0) / max(1.0, longest)).clamp(min=1)
        ),
        "the sum of squares as step": decoder_with(size=lambda x, z, Wd: z.square().sum()),
        "half of the step": decoder_with(way=0.5),
        "sum of absolute values": capped_by(
            lambda W, longest: W / (W.abs().sum(0) / longest).clamp(min=1)
        ),
    },
    "task6": {
        "always three iterations": encoder_of(3),
        "one iteration": encoder_of(1),
        "a step of length rate": encoder_normalised,
        "We alone learns": encoder_of_part(lambda n, m: slice(0, n)),
        "b does not learn": encoder_of_part(lambda n, m: slice(0, n + m)),
        "S does not learn": encoder_of_part(lambda n, m: [*range(n), n + m]),
        "always a rate of 0.1": lambda x, z, V, rate, T: encoder_by_func(x, z, V, 0.1, T),
        "the first image alone": lambda x, z, V, rate, T: encoder_by_func(x[:1], z[:1], V, rate, T),
        "two small steps": lambda x, z, V, rate, T: encoder_by_func(
            x, z, encoder_by_func(x, z, V, rate / 2, T), rate / 2, T
        ),
        "where the target is active": encoder_with(lambda a: half(a.clamp(max=0))),
    },
}

TRIED["task3"] = {
    "by torch.func": slope_by_torch_func,
    "differences of 0.001": lambda z, tau: slope_by_differences(z, tau, 1e-3),
    "differences of 0.0003": lambda z, tau: slope_by_differences(z, tau, 3e-4),
    "differences of 1e-5": slope_by_differences,
    "differences of 1e-7": lambda z, tau: slope_by_differences(z, tau, 1e-7),
    "silent is what is zero": slope_if(lambda z, s: (z != 0).any(0)),
    "silent is what begins with zero": slope_if(lambda z, s: z[0] != 0),
    "silent is what hardly varies": slope_if(lambda z, s: s > 1e-2),
    "divides by at least 0.01": slope_if(lambda z, s: s > 0, lambda s: s.clamp(min=1e-2)),
    "a small number beside s": slope_if(lambda z, s: s > 0, lambda s: s + 1e-4),
    "a small number under the root": slope_if(lambda z, s: s > 0, lambda s: (s**2 + 1e-4).sqrt()),
    "active entries alone": lambda z, tau: slope_by_mask(z, tau) * (z != 0),
    "pushes up alone": lambda z, tau: slope_by_mask(z, tau).clamp(max=0),
    "the mean of the absolute values": lambda z, tau: slope_with(z, tau, centre=0.5),
    "the stand-in": slope_by_autograd,
}
