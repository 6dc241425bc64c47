"""Right answers to homework 2 written in other ways, likely mistakes, and what else is wrong."""

import numpy as np
import torch
from torch.func import grad, vjp
from torch.nn.functional import one_hot, softshrink

from course_utils.built.ista import shrink

# Task 1: one step of coordinate descent


def chosen(b, z, S, theta):
    """The threshold of b, the chosen units (B, 1), how far they move, and their columns of S."""
    zbar = shrink(b, theta)
    k = (zbar - z).abs().argmax(1, keepdim=True)
    return zbar, k, (zbar - z).gather(1, k), S.T[k[:, 0]]


def step(b, z, S, theta):
    zbar, k, move, column = chosen(b, z, S, theta)
    return b + column * move, z.scatter(1, k, zbar.gather(1, k))


def step_by_rows(b, z, S, theta):
    new_b, new_z = b.clone(), z.clone()
    for i in range(len(b)):
        zbar = b[i].sign() * (b[i].abs() - theta).clamp(min=0)
        k = int(torch.max((zbar - z[i]).abs(), 0).indices)
        new_b[i] += S[:, k] * (zbar[k] - z[i, k])
        new_z[i, k] = zbar[k]
    return new_b, new_z


def step_with_one_hot(b, z, S, theta):
    change = shrink(b, theta) - z
    only = change * one_hot(change.abs().argmax(1), len(S))
    return b + torch.einsum("bk,jk->bj", only, S), z + only


def step_in_numpy(b, z, S, theta):
    bn, zn, Sn, tn = (t.numpy().copy() for t in (b, z, S, theta))
    zbar = np.where(np.abs(bn) > tn, bn - np.sign(bn) * tn, 0)
    rows, k = np.arange(len(bn)), np.argsort(-np.abs(zbar - zn), axis=1, kind="stable")[:, 0]
    bn += Sn[:, k].T * (zbar - zn)[rows, k][:, None]
    zn[rows, k] = zbar[rows, k]
    return torch.from_numpy(bn), torch.from_numpy(zn)


def signed_choice(b, z, S, theta):
    zbar = shrink(b, theta)
    k = (zbar - z).argmax(1, keepdim=True)
    return b + S.T[k[:, 0]] * (zbar - z).gather(1, k), z.scatter(1, k, zbar.gather(1, k))


def largest_code(b, z, S, theta):
    zbar = shrink(b, theta)
    k = zbar.abs().argmax(1, keepdim=True)
    return b + S.T[k[:, 0]] * (zbar - z).gather(1, k), z.scatter(1, k, zbar.gather(1, k))


def row_of_S(b, z, S, theta):
    return step(b, z, S.T, theta)


def all_units(b, z, S, theta):
    zbar = shrink(b, theta)
    return b + (zbar - z) @ S.T, zbar


def one_choice_for_all(b, z, S, theta):
    change = shrink(b, theta) - z
    only = change * one_hot(change.abs().amax(0).argmax(), len(S))
    return b + only @ S.T, z + only


def wrong_way(b, z, S, theta):
    _, _, move, column = chosen(b, z, S, theta)
    return b - column * move, step(b, z, S, theta)[1]


def whole_code(b, z, S, theta):
    zbar, k, _, column = chosen(b, z, S, theta)
    return b + column * zbar.gather(1, k), step(b, z, S, theta)[1]


def code_after_the_push(b, z, S, theta):
    _, k, move, column = chosen(b, z, S, theta)
    new = b + column * move
    return new, z.scatter(1, k, shrink(new, theta).gather(1, k))


def last_of_equals(b, z, S, theta):
    change = shrink(b, theta) - z
    k = change.shape[1] - 1 - change.abs().flip(1).argmax(1)
    only = change * one_hot(k, len(S))
    return b + only @ S.T, z + only


def z_in_place(b, z, S, theta):
    zbar, k, move, column = chosen(b, z, S, theta)
    return b + column * move, z.scatter_(1, k, zbar.gather(1, k))


# Task 2: the encoder


def encode(x, We, S, theta, depth):
    b, z = x @ We.T, x.new_zeros(len(x), len(S))
    for _ in range(depth):
        b, z = step(b, z, S, theta)
    return shrink(b, theta)


def encode_with_one_hot(x, We, S, theta, depth):
    total = torch.zeros_like(x @ We.T)
    for _ in range(depth):
        change = shrink(x @ We.T + total @ S.T, theta) - total
        total = total + change * one_hot(change.abs().argmax(1), len(S))
    return shrink(x @ We.T + total @ S.T, theta)


def encode_by_rows(x, We, S, theta, depth):
    codes = []
    for one in x:
        b, z = We @ one, torch.zeros_like(theta)
        for _ in range(depth):
            zbar = b.sign() * (b.abs() - theta).clamp(min=0)
            k = (zbar - z).abs().argmax()
            b = b + S[:, k] * (zbar[k] - z[k])
            z = torch.where(torch.arange(len(z)) == k, zbar, z)
        codes.append(b.sign() * (b.abs() - theta).clamp(min=0))
    return torch.stack(codes)


def encode_recursively(x, We, S, theta, depth):
    def go(b, z, left):
        return go(*step_in_numpy(b, z, S, theta), left - 1) if left else b

    return shrink(go(x @ We.T, torch.zeros_like(x @ We.T), depth), theta)


def without_last_shrink(x, We, S, theta, depth, what=0):
    state = x @ We.T, x.new_zeros(len(x), len(S))
    for _ in range(depth):
        state = step(*state, S, theta)
    return state[what]


def z_of_the_steps(x, We, S, theta, depth):
    return without_last_shrink(x, We, S, theta, depth, 1)


def lista_instead(x, We, S, theta, depth):
    z = shrink(x @ We.T, theta)
    for _ in range(depth):
        z = shrink(x @ We.T + z @ S.T, theta)
    return z


def start_full(x, We, S, theta, depth):
    b = x @ We.T
    z = shrink(b, theta)
    for _ in range(depth):
        b, z = step(b, z, S, theta)
    return shrink(b, theta)


def input_in_each_step(x, We, S, theta, depth):
    b, z = x @ We.T, x.new_zeros(len(x), len(S))
    for t in range(depth):
        b, z = step(b + x @ We.T if t else b, z, S, theta)
    return shrink(b, theta)


def S_from_We(x, We, S, theta, depth):
    return encode(x, We, torch.eye(len(S)).to(S) - We @ We.T, theta, depth)


def one_step_more(x, We, S, theta, depth):
    return encode(x, We, S, theta, depth + 1)


# Task 3: backwards through one step


def back(b, z, S, theta, slope_b, slope_z):
    zbar, k, move, column = chosen(b, z, S, theta)
    zk = zbar.gather(1, k)
    to_move = (slope_b * column).sum(1, keepdim=True)
    to_zk = slope_z.gather(1, k) + to_move
    to_S = torch.zeros_like(S).index_add(1, k[:, 0], (slope_b * move).T)
    to_theta = torch.zeros_like(theta).index_add(0, k[:, 0], -(to_zk * zk.sign())[:, 0])
    to_b = slope_b.scatter_add(1, k, to_zk * (zk != 0))
    return to_b, slope_z.scatter(1, k, -to_move), to_S, to_theta


def back_by_autograd(b, z, S, theta, slope_b, slope_z):
    _, pull = vjp(step, b, z, S, theta)
    return pull((slope_b, slope_z))


def back_by_rows(b, z, S, theta, slope_b, slope_z):
    to_b, to_z, to_S, to_theta = slope_b.clone(), slope_z.clone(), 0 * S, 0 * theta
    for i in range(len(b)):
        zbar = softshrink(b[i].abs() - theta, 0).clamp(min=0) * b[i].sign()
        k = int((zbar - z[i]).abs().argmax())
        to_S[:, k] += slope_b[i] * (zbar[k] - z[i, k])
        to_move = slope_b[i] @ S[:, k]
        to_z[i, k] = -to_move
        if zbar[k] != 0:
            to_b[i, k] += slope_z[i, k] + to_move
            to_theta[k] -= zbar[k].sign() * (slope_z[i, k] + to_move)
    return to_b, to_z, to_S, to_theta


def back_with_one_hot(b, z, S, theta, slope_b, slope_z):
    zbar = shrink(b, theta)
    on = one_hot((zbar - z).abs().argmax(1), len(S)).to(b)
    through_S = on * (slope_b @ S)
    to_zbar = (on * slope_z + through_S) * (zbar != 0)
    to_S = torch.einsum("bj,bk->jk", slope_b, on * (zbar - z))
    return (
        slope_b + to_zbar,
        (1 - on) * slope_z - through_S,
        to_S,
        -(to_zbar * b.sign()).sum(0),
    )


def changed(part, change):
    """The right slopes with one part changed: change(right, chosen..., slopes)."""

    def wrong(b, z, S, theta, slope_b, slope_z):
        right = list(back(b, z, S, theta, slope_b, slope_z))
        right[part] = change(right[part], (b, z, S, theta), slope_b, slope_z)
        return tuple(right)

    return wrong


def to_zk_of(state, slope_b, slope_z):
    _, k, _, column = chosen(*state)
    return k, slope_z.gather(1, k) + (slope_b * column).sum(1, keepdim=True)


def z_forgotten(right, state, slope_b, slope_z):
    return slope_z.scatter(1, chosen(*state)[1], 0.0)


def z_kept(right, state, slope_b, slope_z):
    k = chosen(*state)[1]
    return slope_z.scatter_add(1, k, right.gather(1, k))


def z_pushed(right, state, slope_b, slope_z):
    k = chosen(*state)[1]
    return right.scatter(1, k, -right.gather(1, k))


def open_gate(right, state, slope_b, slope_z):
    return slope_b.scatter_add(1, *to_zk_of(state, slope_b, slope_z))


def b_replaced(right, state, slope_b, slope_z):
    k = chosen(*state)[1]
    return right.scatter_add(1, k, -slope_b.gather(1, k))


def last_row_wins(right, state, slope_b, slope_z):
    _, k, move, _ = chosen(*state)
    to_S = torch.zeros_like(right)
    for i in range(len(k)):
        to_S[:, k[i, 0]] = slope_b[i] * move[i]
    return to_S


def pushed_by_code(right, state, slope_b, slope_z):
    zbar, k, *_ = chosen(*state)
    return torch.zeros_like(right).index_add(1, k[:, 0], (slope_b * zbar.gather(1, k)).T)


def theta_unsigned(right, state, slope_b, slope_z):
    k, to_zk = to_zk_of(state, slope_b, slope_z)
    on = state[0].gather(1, k).abs() > state[3][k]
    return torch.zeros_like(right).index_add(0, k[:, 0], -(to_zk * on)[:, 0])


def back_row_of_S(b, z, S, theta, slope_b, slope_z):
    _, k, *_ = chosen(b, z, S, theta)
    extra = (slope_b * (S[k[:, 0]] - S.T[k[:, 0]])).sum(1, keepdim=True)
    right = back(b, z, S, theta, slope_b, slope_z)
    more = back(b, z, S, theta, slope_b, slope_z.scatter_add(1, k, extra))
    return more[0], right[1].scatter_add(1, k, -extra), right[2], more[3]


def only_through_b(b, z, S, theta, slope_b, slope_z):
    _, k, *_ = chosen(b, z, S, theta)
    less = back(b, z, S, theta, slope_b, slope_z.scatter(1, k, 0.0))
    right = back(b, z, S, theta, slope_b, slope_z)
    return less[0], right[1], right[2], less[3]


# Task 4: backwards through the encoder


def slopes(x, target, We, S, theta, depth, step_back=back, share=None, last=True):
    states = [(x @ We.T, torch.zeros_like(target))]
    for _ in range(depth):
        states.append(step(*states[-1], S, theta))
    z = shrink(states.pop()[0], theta)
    slope = (z - target) / (share or len(x))
    to_b, to_z, to_S = slope * (z != 0), torch.zeros_like(z), torch.zeros_like(S)
    to_theta = -(slope * z.sign()).sum(0) if last else torch.zeros_like(theta)
    for state in reversed(states):
        to_b, to_z, more_S, more_theta = step_back(*state, S, theta, to_b, to_z)
        to_S, to_theta = to_S + more_S, to_theta + more_theta
    return to_b.T @ x, to_S, to_theta


def slopes_by_autograd(x, target, We, S, theta, depth):
    def loss(We, S, theta):
        return 0.5 * (encode(x, We, S, theta, depth) - target).square().sum(1).mean()

    return grad(loss, (0, 1, 2))(We, S, theta)


def slopes_recursively(x, target, We, S, theta, depth):
    def go(b, z, left):
        if not left:
            code = shrink(b, theta)
            slope = (code - target) * (code != 0) / len(x)
            return slope, torch.zeros_like(z), torch.zeros_like(S), -(slope * b.sign()).sum(0)
        to_b, to_z, to_S, to_theta = go(*step_with_one_hot(b, z, S, theta), left - 1)
        to_b, to_z, more_S, more_theta = back_with_one_hot(b, z, S, theta, to_b, to_z)
        return to_b, to_z, to_S + more_S, to_theta + more_theta

    to_b, _, to_S, to_theta = go(x @ We.T, torch.zeros_like(target), depth)
    return torch.einsum("bm,bn->mn", to_b, x), to_S, to_theta


def slopes_row_by_row(x, target, We, S, theta, depth):
    parts = [
        slopes(x[i : i + 1], target[i : i + 1], We, S, theta, depth, back_by_rows)
        for i in range(len(x))
    ]
    return tuple(torch.stack(part).mean(0) for part in zip(*parts, strict=True))


def slopes_of_a_sum(x, target, We, S, theta, depth):
    return slopes(x, target, We, S, theta, depth, share=1)


def slopes_over_entries(x, target, We, S, theta, depth):
    return slopes(x, target, We, S, theta, depth, share=target.numel())


def slopes_doubled(x, target, We, S, theta, depth):
    return tuple(2 * s for s in slopes(x, target, We, S, theta, depth))


def no_last_theta(x, target, We, S, theta, depth):
    return slopes(x, target, We, S, theta, depth, last=False)


def no_last_gate(x, target, We, S, theta, depth):
    states = [(x @ We.T, torch.zeros_like(target))]
    for _ in range(depth):
        states.append(step(*states[-1], S, theta))
    z = shrink(states.pop()[0], theta)
    to_b, to_z, to_S = (z - target) / len(x), torch.zeros_like(z), torch.zeros_like(S)
    to_theta = -(to_b * z.sign()).sum(0)
    for state in reversed(states):
        to_b, to_z, more_S, more_theta = back(*state, S, theta, to_b, to_z)
        to_S, to_theta = to_S + more_S, to_theta + more_theta
    return to_b.T @ x, to_S, to_theta


def slope_z_dropped(x, target, We, S, theta, depth):
    def step_back(b, z, S, theta, slope_b, slope_z):
        return back(b, z, S, theta, slope_b, torch.zeros_like(slope_z))

    return slopes(x, target, We, S, theta, depth, step_back)


def only_the_first_step_counts(x, target, We, S, theta, depth):
    latest = {}

    def step_back(*state):
        found = back(*state)
        latest["S"] = found[2]
        return found

    to_We, to_S, to_theta = slopes(x, target, We, S, theta, depth, step_back)
    return to_We, latest.get("S", to_S), to_theta


def slope_of_We_turned(*arguments):
    to_We, *more = slopes(*arguments)
    return to_We.T, *more


def slope_of_theta_not_summed(*arguments):
    *matrices, to_theta = slopes(*arguments)
    return *matrices, to_theta.expand(len(arguments[0]), -1)


def steps_in_forward_order(x, target, We, S, theta, depth):
    states = [(x @ We.T, torch.zeros_like(target))]
    for _ in range(depth):
        states.append(step(*states[-1], S, theta))
    z = shrink(states.pop()[0], theta)
    slope = (z - target) / len(x)
    to_b, to_z, to_S = slope * (z != 0), torch.zeros_like(z), torch.zeros_like(S)
    to_theta = -(slope * z.sign()).sum(0)
    for state in states:
        to_b, to_z, more_S, more_theta = back(*state, S, theta, to_b, to_z)
        to_S, to_theta = to_S + more_S, to_theta + more_theta
    return to_b.T @ x, to_S, to_theta


# Task 5: training


def trained(x, target, We, S, theta, depth, rate, rows, **wrong):
    """The right training, or with what `wrong` names."""
    learned = [We, S, theta]
    for t, row in enumerate(rows):
        if wrong.get("all_rows"):
            row = torch.arange(len(x))
        length = rate * (1 - (t + wrong.get("early", 0)) / len(rows))
        length = rate if wrong.get("constant") else length
        length = -length if wrong.get("uphill") else length
        found = slopes(x[row], target[row], *learned, depth)
        norms = [s.norm().clamp(min=1e-12) for s in found]
        if wrong.get("together"):
            norms = [torch.stack(norms).norm()] * 3
        if wrong.get("raw"):
            norms = [1.0] * 3
        learned = [p - length * s / n for p, s, n in zip(learned, found, norms, strict=True)]
        if not (wrong.get("free") or wrong.get("at_the_end")):
            learned[2] = learned[2].clamp(min=0)
    if wrong.get("free"):
        return tuple(learned)
    learned[2] = learned[2].clamp(min=0)
    return tuple(learned)


def mistaken(**wrong):
    return lambda *arguments: trained(*arguments, **wrong)


def trained_by_autograd(x, target, We, S, theta, depth, rate, rows):
    steps = len(rows)
    for t in range(steps):
        found = slopes_by_autograd(x[rows[t]], target[rows[t]], We, S, theta, depth)
        length = rate * (steps - t) / steps
        moved = []
        for p, s in zip((We, S, theta), found, strict=True):
            moved.append(p - length * s / s.norm() if s.any() else p)
        We, S, theta = moved
        theta = torch.relu(theta)
    return We, S, theta


def beside_the_length(small):
    """A small number is added to the length, as programs often do it."""

    def trained(x, target, We, S, theta, depth, rate, rows):
        for t, row in enumerate(rows):
            found = slopes(x[row], target[row], We, S, theta, depth)
            part = rate * (1 - t / len(rows))
            moved = zip((We, S, theta), found, strict=True)
            We, S, theta = (p - part * s / (s.norm() + small) for p, s in moved)
            theta = theta.clamp(min=0)
        return We, S, theta

    return trained


def trained_in_place(x, target, We, S, theta, depth, rate, rows):
    We, S, theta = We.clone(), S.clone(), theta.clone()
    for length, row in zip(
        np.linspace(rate, 0, len(rows), endpoint=False), rows.tolist(), strict=True
    ):
        found = slopes_row_by_row(x[row], target[row], We, S, theta, depth)
        for p, s in zip((We, S, theta), found, strict=True):
            size = float(s.square().sum()) ** 0.5
            if size > 0:
                p -= s * (float(length) / size)
        theta.clamp_(min=0)
    return We, S, theta


# Task 6: what a budget of multiplications buys


def score(z, best):
    return (z - best).square().sum() / best.square().sum()


def at_cost(x, best, We, S, theta, budget, kind):
    m, n = We.shape
    if budget < n * m:
        return score(torch.zeros_like(best), best)
    if kind == "coordinates":
        return score(encode(x, We, S, theta, (budget - n * m) // m), best)
    return score(lista_instead(x, We, S, theta, (budget - n * m) // m**2), best)


def at_cost_by_spending(x, best, We, S, theta, budget, kind):
    b, z, code = x @ We.T, torch.zeros_like(best), torch.zeros_like(best)
    price = {"coordinates": S.shape[0], "layers": S.numel()}[kind]
    left = budget - We.numel()
    while left >= 0:
        if kind == "layers":
            code = shrink(x @ We.T + code @ S.T, theta)
        else:
            code = shrink(b, theta)
            b, z = step_with_one_hot(b, z, S, theta)
        left -= price
    return ((code - best) ** 2).sum() / (best**2).sum()


def at_cost_in_numpy(x, best, We, S, theta, budget, kind):
    spare = (budget - We.numel()) / len(S)
    if spare < 0:
        return torch.ones((), dtype=best.dtype)
    if kind == "coordinates":
        z = encode_recursively(x, We, S, theta, int(np.floor(spare)))
    else:
        z = torch.zeros_like(best)
        for _ in range(1 + int(np.floor(spare / len(S)))):
            z = shrink(torch.addmm(x @ We.T, z, S.T), theta)
    return torch.tensor(np.linalg.norm(z - best) ** 2 / np.linalg.norm(best) ** 2)


def charged(steps, layers, measure=score):
    """at_cost with other counts: steps and layers are functions of budget, n and m."""

    def wrong(x, best, We, S, theta, budget, kind):
        m, n = We.shape
        if budget < n * m:
            return measure(torch.zeros_like(best), best)
        if kind == "coordinates":
            return measure(encode(x, We, S, theta, max(0, steps(budget, n, m))), best)
        return measure(lista_instead(x, We, S, theta, max(0, layers(budget, n, m))), best)

    return wrong


def first_layer_paid_twice(x, best, We, S, theta, budget, kind):
    m, n = We.shape
    if kind == "layers" and budget < n * m + m * m:
        return score(torch.zeros_like(best), best)
    return at_cost(x, best, We, S, theta, budget - (m * m if kind == "layers" else 0), kind)


def right_steps(budget, n, m):
    return (budget - n * m) // m


def right_layers(budget, n, m):
    return (budget - n * m) // m**2


def broke(x, best, We, S, theta, budget, kind):
    m, n = We.shape
    return at_cost(x, best, We, S, theta, max(budget, n * m), kind)


def mean_of_ratios(z, best):
    return ((z - best).square().sum(1) / best.square().sum(1)).mean()


RIGHT = {
    "task1": [step, step_by_rows, step_with_one_hot, step_in_numpy],
    "task2": [encode, encode_with_one_hot, encode_by_rows, encode_recursively],
    "task3": [back, back_by_rows, back_with_one_hot],
    "task4": [slopes, slopes_recursively, slopes_row_by_row],
    "task5": [trained, trained_by_autograd, trained_in_place, beside_the_length(1e-8)],
    "task6": [at_cost, at_cost_by_spending, at_cost_in_numpy],
}

PLANTED = {
    "task1": {
        "the largest change in size": signed_choice,
        "largest code instead of": largest_code,
        "the row of S": row_of_S,
        "every unit moved": all_units,
        "one unit for the whole batch": one_choice_for_all,
        "b went the wrong way": wrong_way,
        "by its whole new code": whole_code,
        "from the b after the push": code_after_the_push,
        "changed its inputs in place": z_in_place,
        "a tie goes to the first unit": last_of_equals,
    },
    "task2": {
        "the z of the steps": z_of_the_steps,
        "b itself": without_last_shrink,
        "this is LISTA": lista_instead,
        "start from z = 0": start_full,
        "into every step": input_in_each_step,
        "not the S that you were given": S_from_We,
        "one step too many": one_step_more,
    },
    "task3": {
        "the old z_k matters": changed(1, z_forgotten),
        "was overwritten": changed(1, z_kept),
        "a minus sign in it": changed(1, z_pushed),
        "the gate of the threshold": changed(0, open_gate),
        "b_k also stays in b": changed(0, b_replaced),
        "with the row of S": back_row_of_S,
        "two ways lead": only_through_b,
        "chose the same unit": changed(2, last_row_wins),
        "to a row of S": changed(2, lambda right, *_: right.T.clone()),
        "S takes the change": changed(2, pushed_by_code),
        "case 1: the shape of result 4 is (": changed(3, lambda right, *_: right.expand(3, -1)),
        "case 1: your function should return 4 tensors": lambda *a: torch.stack(back(*a)[:2]),
        "it has the wrong sign": changed(3, lambda right, *_: -right),
        "sign of the code": changed(3, theta_unsigned),
    },
    "task4": {
        "divided by the number of inputs": slopes_of_a_sum,
        "over all entries": slopes_over_entries,
        "all slopes are twice": slopes_doubled,
        "gate of the last threshold": no_last_gate,
        "last threshold depends on theta": no_last_theta,
        "slope of z from step to step": slope_z_dropped,
        "all steps share one S": only_the_first_step_counts,
        "from the last to the first": steps_in_forward_order,
        "case 1: the shape of result 1 is (": slope_of_We_turned,
        "case 1: the shape of result 3 is (": slope_of_theta_not_summed,
        "case 1: your function should return 3 tensors": lambda *a: slopes(*a)[:2],
    },
    "task5": {
        "not divided by their length": mistaken(raw=True),
        "length of its own": mistaken(together=True),
        "does not fall": mistaken(constant=True),
        "falls one step too early": mistaken(early=1),
        "uphill": mistaken(uphill=True),
        "below zero": mistaken(free=True),
        "clamped once, at the end": mistaken(at_the_end=True),
        "all inputs": mistaken(all_rows=True),
    },
    "task6": {
        "first layer has no product with S": first_layer_paid_twice,
        "We x costs n m": charged(lambda B, n, m: B // m, lambda B, n, m: B // m**2),
        "one column of S": charged(lambda B, n, m: (B - n * m) // m**2, right_layers),
        "less than We x": broke,
        "a layer multiplies by S": charged(right_steps, lambda B, n, m: (B - n * m) // (n * m)),
        "mean of the ratios": charged(right_steps, right_layers, mean_of_ratios),
        "not squared": charged(right_steps, right_layers, lambda z, t: score(z, t).sqrt()),
    },
}

# What else is wrong: each must lose a point


def skipping_small_moves(b, z, S, theta):
    new_b, new_z = step(b, z, S, theta)
    small = (new_z - z).abs().amax(1, keepdim=True) < 1e-3
    return torch.where(small, b, new_b), torch.where(small, z, new_z)


def never_again(b, z, S, theta):
    change = (shrink(b, theta) - z) * (z == 0)
    only = change * one_hot(change.abs().argmax(1), len(S))
    return b + only @ S.T, z + only


def without_diagonal(b, z, S, theta):
    return step(b, z, S - S.diagonal().diag(), theta)


def one_threshold(b, z, S, theta):
    return step(b, z, S, theta.mean().expand_as(theta))


def by_the_gradient(b, z, S, theta):
    zbar, k = shrink(b, theta), (b - z).abs().argmax(1, keepdim=True)
    return b + S.T[k[:, 0]] * (zbar - z).gather(1, k), z.scatter(1, k, zbar.gather(1, k))


def by_relative_change(b, z, S, theta):
    zbar = shrink(b, theta)
    k = ((zbar - z).abs() / theta.clamp(min=1e-9)).argmax(1, keepdim=True)
    return b + S.T[k[:, 0]] * (zbar - z).gather(1, k), z.scatter(1, k, zbar.gather(1, k))


def symmetric(b, z, S, theta):
    return step(b, z, (S + S.T) / 2, theta)


def positive_codes(b, z, S, theta):
    zbar = (b - theta).clamp(min=0)
    only = (zbar - z) * one_hot((zbar - z).abs().argmax(1), len(S))
    return b + only @ S.T, z + only


def encode_with(one_step, x, We, S, theta, depth):
    b, z = x @ We.T, x.new_zeros(len(x), len(S))
    for _ in range(depth):
        b, z = one_step(b, z, S, theta)
    return shrink(b, theta)


def stopping_early(x, We, S, theta, depth):
    b, z = x @ We.T, x.new_zeros(len(x), len(S))
    for _ in range(depth):
        new, after = step(b, z, S, theta)
        if (after - z).abs().max() < 1e-2:
            break
        b, z = new, after
    return shrink(b, theta)


def empty_without_steps(x, We, S, theta, depth):
    return encode(x, We, S, theta, depth) if depth else x.new_zeros(len(x), len(S))


def only_the_chosen(x, We, S, theta, depth):
    code = encode(x, We, S, theta, depth)
    return code * (z_of_the_steps(x, We, S, theta, depth) != 0)


def each_unit_once(x, We, S, theta, depth):
    return encode_with(never_again, x, We, S, theta, depth)


def at_most_m_steps(x, We, S, theta, depth):
    return encode(x, We, S, theta, min(depth, len(S)))


def shrunk_twice(x, We, S, theta, depth):
    return shrink(encode(x, We, S, theta, depth), theta)


def on_a_zero_diagonal(x, We, S, theta, depth):
    return encode(x, We, S - S.diagonal().diag(), theta, depth)


def nudged(ell, state, size):
    """The slopes of a number by each entry of a state, by central differences."""
    found = []
    for number, part in enumerate(state):
        slope = torch.zeros_like(part).flatten()
        for i in range(part.numel()):
            up, down = part.clone().flatten(), part.clone().flatten()
            up[i] += size
            down[i] -= size
            ends = (
                ell(*state[:number], end.reshape(part.shape), *state[number + 1 :])
                for end in (up, down)
            )
            slope[i] = (next(ends) - next(ends)) / (2 * size)
        found.append(slope.reshape(part.shape))
    return tuple(found)


def back_by_nudges(b, z, S, theta, slope_b, slope_z, size=1e-6):
    def ell(*state):
        new_b, new_z = step(*state)
        return (new_b * slope_b + new_z * slope_z).sum()

    return nudged(ell, [b, z, S, theta], size)


def back_by_leaves(b, z, S, theta, slope_b, slope_z):
    state = [part.clone().requires_grad_() for part in (b, z, S, theta)]
    new_b, new_z = step(*state)
    (new_b * slope_b + new_z * slope_z).sum().backward()
    return tuple(part.grad for part in state)


def mean_of_rows(number):
    return changed(number, lambda right, state, *_: right / len(state[0]))


def outer_of_sums(right, state, slope_b, slope_z):
    _, k, move, _ = chosen(*state)
    pushes = torch.zeros_like(slope_b).scatter(1, k, move).sum(0)
    return torch.outer(slope_b.sum(0), pushes) / len(k)


def pushed_by_size(right, state, slope_b, slope_z):
    _, k, move, _ = chosen(*state)
    return torch.zeros_like(right).index_add(1, k[:, 0], (slope_b * move.abs()).T)


def theta_without_gate(right, state, slope_b, slope_z):
    k, to_zk = to_zk_of(state, slope_b, slope_z)
    return torch.zeros_like(right).index_add(
        0, k[:, 0], -(to_zk * state[0].gather(1, k).sign())[:, 0]
    )


def theta_last_row_wins(right, state, slope_b, slope_z):
    k, to_zk = to_zk_of(state, slope_b, slope_z)
    new = torch.zeros_like(right)
    for i in range(len(k)):
        code = shrink(state[0], state[3])[i, k[i, 0]]
        new[k[i, 0]] = -(to_zk[i, 0] * code.sign())
    return new


def b_of_all_units(right, state, slope_b, slope_z):
    b, _, S, theta = state
    return slope_b + (slope_z + slope_b @ S) * (shrink(b, theta) != 0)


def z_of_all_units(right, state, slope_b, slope_z):
    return -slope_b @ state[2]


def slopes_by_nudges(x, target, We, S, theta, depth, size=1e-6):
    def loss(*learned):
        return 0.5 * (encode(x, *learned, depth) - target).square().sum(1).mean()

    return nudged(loss, [We, S, theta], size)


def slopes_by_leaves(x, target, We, S, theta, depth):
    learned = [part.clone().requires_grad_() for part in (We, S, theta)]
    (0.5 * (encode(x, *learned, depth) - target).square().sum(1).mean()).backward()
    return tuple(torch.zeros_like(p) if p.grad is None else p.grad for p in learned)


def one_state_late(x, target, We, S, theta, depth):
    """Each step goes back from the state after it."""
    states = [(x @ We.T, torch.zeros_like(target))]
    for _ in range(depth):
        states.append(step(*states[-1], S, theta))
    z = shrink(states[-1][0], theta)
    slope = (z - target) / len(x)
    to_b, to_z, to_S = slope * (z != 0), torch.zeros_like(z), torch.zeros_like(S)
    to_theta = -(slope * z.sign()).sum(0)
    for state in reversed(states[1:]):
        to_b, to_z, more_S, more_theta = back(*state, S, theta, to_b, to_z)
        to_S, to_theta = to_S + more_S, to_theta + more_theta
    return to_b.T @ x, to_S, to_theta


def last_step_alone(x, target, We, S, theta, depth):
    count = iter(range(depth))

    def step_back(b, z, S, theta, slope_b, slope_z):
        found = back(b, z, S, theta, slope_b, slope_z)
        return found if next(count) == 0 else (*found[:2], 0 * S, 0 * theta)

    return slopes(x, target, We, S, theta, depth, step_back)


def code_of_the_steps(x, target, We, S, theta, depth):
    """z of the steps in place of the last shrink."""
    states = [(x @ We.T, torch.zeros_like(target))]
    for _ in range(depth):
        states.append(step(*states[-1], S, theta))
    _, z = states.pop()
    to_b, to_z = torch.zeros_like(z), (z - target) / len(x)
    to_S, to_theta = torch.zeros_like(S), torch.zeros_like(theta)
    for state in reversed(states):
        to_b, to_z, more_S, more_theta = back(*state, S, theta, to_b, to_z)
        to_S, to_theta = to_S + more_S, to_theta + more_theta
    return to_b.T @ x, to_S, to_theta


def gate_of_the_target(x, target, We, S, theta, depth):
    states = [(x @ We.T, torch.zeros_like(target))]
    for _ in range(depth):
        states.append(step(*states[-1], S, theta))
    z = shrink(states.pop()[0], theta)
    slope = (z - target) / len(x) * (target != 0)
    to_b, to_z, to_S = slope * (z != 0), torch.zeros_like(z), torch.zeros_like(S)
    to_theta = -(slope * z.sign()).sum(0)
    for state in reversed(states):
        to_b, to_z, more_S, more_theta = back(*state, S, theta, to_b, to_z)
        to_S, to_theta = to_S + more_S, to_theta + more_theta
    return to_b.T @ x, to_S, to_theta


def batches_of_64(x, target, We, S, theta, depth):
    return slopes(x, target, We, S, theta, depth, share=64)


def diagonal_held(x, target, We, S, theta, depth):
    to_We, to_S, to_theta = slopes(x, target, We, S, theta, depth)
    return to_We, to_S - to_S.diagonal().diag(), to_theta


def train_with(move, x, target, We, S, theta, depth, rate, rows):
    """Training in which move(parameter, length, slope) makes the new parameter."""
    learned = [We, S, theta]
    for t, row in enumerate(rows):
        length = rate * (1 - t / len(rows))
        found = slopes(x[row], target[row], *learned, depth)
        learned = [move(p, length, s) for p, s in zip(learned, found, strict=True)]
        learned[2] = learned[2].clamp(min=0)
    return tuple(learned)


def clipped_only(p, length, s):
    return p - length * s / s.norm().clamp(min=1)


def by_the_largest(p, length, s):
    return p - length * s / s.abs().max().clamp(min=1e-12)


def by_signs(p, length, s):
    return p - length * s.sign()


def row_by_row(p, length, s):
    return p - length * s / s.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def still_when_small(p, length, s):
    return p - length * s / s.norm() if s.norm() > 1e-2 else p


def training(move):
    return lambda *arguments: train_with(move, *arguments)


def one_after_the_other(x, target, We, S, theta, depth, rate, rows):
    """Each parameter sees those that have already moved in the same step."""
    learned = [We, S, theta]
    for t, row in enumerate(rows):
        length = rate * (1 - t / len(rows))
        for number in range(3):
            s = slopes(x[row], target[row], *learned, depth)[number]
            learned[number] = learned[number] - length * s / s.norm().clamp(min=1e-12)
        learned[2] = learned[2].clamp(min=0)
    return tuple(learned)


def never_quite_zero(x, target, We, S, theta, depth, rate, rows):
    *matrices, theta = trained(x, target, We, S, theta, depth, rate, rows)
    return *matrices, theta.clamp(min=1e-3)


def to_zero_at_the_end(x, target, We, S, theta, depth, rate, rows):
    learned = [We, S, theta]
    for t, row in enumerate(rows):
        length = rate * (1 - t / max(1, len(rows) - 1))
        found = slopes(x[row], target[row], *learned, depth)
        learned = [
            p - length * s / s.norm().clamp(min=1e-12) for p, s in zip(learned, found, strict=True)
        ]
        learned[2] = learned[2].clamp(min=0)
    return tuple(learned)


def fixed_batches(x, target, We, S, theta, depth, rate, rows):
    return trained(x, target, We, S, theta, depth, rate, rows[:1].expand_as(rows))


def folded_at_zero(x, target, We, S, theta, depth, rate, rows):
    """A negative threshold is turned round instead of clamped."""
    learned = [We, S, theta]
    for t, row in enumerate(rows):
        length = rate * (1 - t / len(rows))
        found = slopes(x[row], target[row], *learned, depth)
        learned = [
            p - length * s / s.norm().clamp(min=1e-12) for p, s in zip(learned, found, strict=True)
        ]
        learned[2] = learned[2].abs()
    return tuple(learned)


def rounded_up(budget, n, m):
    return -((n * m - budget) // m)


def nothing_at_the_border(x, best, We, S, theta, budget, kind):
    m, n = We.shape
    if budget <= n * m:
        return score(torch.zeros_like(best), best)
    return at_cost(x, best, We, S, theta, budget, kind)


def steps_without_the_shrink(x, best, We, S, theta, budget, kind):
    m, n = We.shape
    if kind == "layers" or budget < n * m:
        return at_cost(x, best, We, S, theta, budget, kind)
    return score(z_of_the_steps(x, We, S, theta, (budget - n * m) // m), best)


def over_entries(z, best):
    return (z - best).square().mean()


TRIED = {
    "task1": {
        "a move below 1e-3 is left out": skipping_small_moves,
        "a unit moves once": never_again,
        "S without its diagonal": without_diagonal,
        "one threshold for all": one_threshold,
        "chosen by the gradient": by_the_gradient,
        "chosen by the change over theta": by_relative_change,
        "S made symmetric": symmetric,
        "codes above zero only": positive_codes,
    },
    "task2": {
        "stops when changes are below 0.01": stopping_early,
        "no steps, no code": empty_without_steps,
        "the last shrink for chosen units alone": only_the_chosen,
        "a unit moves once": each_unit_once,
        "at most m steps": at_most_m_steps,
        "shrunk twice": shrunk_twice,
        "S without its diagonal": on_a_zero_diagonal,
    },
    "task3": {
        "by vjp": back_by_autograd,
        "by backward": back_by_leaves,
        "by nudges": back_by_nudges,
        "mean over the batch in S": mean_of_rows(2),
        "mean over the batch in theta": mean_of_rows(3),
        "S from sums over the batch": changed(2, outer_of_sums),
        "S by the size of the change": changed(2, pushed_by_size),
        "no gate in theta": changed(3, theta_without_gate),
        "the last row wins in theta": changed(3, theta_last_row_wins),
        "b as if all units had moved": changed(0, b_of_all_units),
        "z as if all units had moved": changed(1, z_of_all_units),
    },
    "task4": {
        "by grad": slopes_by_autograd,
        "by backward": slopes_by_leaves,
        "by nudges": slopes_by_nudges,
        "back from the state after each step": one_state_late,
        "S and theta of the last step alone": last_step_alone,
        "z of the steps is the code": code_of_the_steps,
        "gate of the target": gate_of_the_target,
        "divided by 64": batches_of_64,
        "the diagonal of S does not learn": diagonal_held,
    },
    "task5": {
        "slopes are cut to length 1, not scaled to it": training(clipped_only),
        "divided by the largest entry": training(by_the_largest),
        "signs alone": training(by_signs),
        "each row of its own length": training(row_by_row),
        "1e-5 is added to the length": beside_the_length(1e-5),
        "small slopes are left out": training(still_when_small),
        "one parameter after the other": one_after_the_other,
        "theta at least 0.001": never_quite_zero,
        "the last step has length 0": to_zero_at_the_end,
        "the first minibatch, always": fixed_batches,
        "a negative theta is turned round": folded_at_zero,
    },
    "task6": {
        "rounded up": charged(rounded_up, right_layers),
        "nothing at exactly n m": nothing_at_the_border,
        "no last shrink": steps_without_the_shrink,
        "We x again in each layer": charged(
            right_steps, lambda B, n, m: (B - n * m) // (m * m + n * m)
        ),
        "at most one layer more": charged(
            right_steps, lambda B, n, m: min(1, right_layers(B, n, m))
        ),
        "at most m steps": charged(lambda B, n, m: min(m, right_steps(B, n, m)), right_layers),
        "a mean over entries": charged(right_steps, right_layers, over_entries),
        "one step too few": charged(lambda B, n, m: right_steps(B, n, m) - 1, right_layers),
    },
}
