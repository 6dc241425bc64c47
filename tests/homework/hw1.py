"""Homework 1: right answers written in other ways, likely mistakes, and what else is wrong."""

import numpy as np
import torch
from torch.nn.functional import softshrink

from course_utils.built.ista import shrink


def clipped(v, lmbd):
    """The soft threshold by another formula."""
    return v.sign() * (v.abs() - lmbd).clamp(min=0)


# Task 1


def one_by_residual(z, x, Wd, lmbd, j):
    rest = z.clone()
    rest[:, j] = 0
    d = Wd[:, j]
    rest[:, j] = clipped((x - rest @ Wd.T) @ d, lmbd) / d.square().sum()
    return rest


def one_by_gram(z, x, Wd, lmbd, j):
    gram = Wd.T @ Wd
    v = x @ Wd[:, j] - z @ gram[:, j] + z[:, j] * gram[j, j]
    best = softshrink(v / gram[j, j], float(lmbd / gram[j, j]))
    return torch.where(torch.arange(z.shape[1]) == j, best[:, None], z)


def one_in_numpy(z, x, Wd, lmbd, j):
    new, x, W = (a.double().numpy().copy() for a in (z, x, Wd))
    for code, row in zip(new, x, strict=True):
        r = row - sum(W[:, i] * code[i] for i in range(len(code)) if i != j)
        v, square = r @ W[:, j], W[:, j] @ W[:, j]
        code[j] = np.sign(v) * max(abs(v) - lmbd, 0) / square
    return torch.from_numpy(new)


def one_by_cases(z, x, Wd, lmbd, j):
    d = Wd[:, j : j + 1]
    v = torch.einsum("bn,nk->bk", x - z @ Wd.T + z[:, j : j + 1] * d.T, d)
    up, down = (v - lmbd) / (d * d).sum(), (v + lmbd) / (d * d).sum()
    best = torch.where(up > 0, up, torch.where(down < 0, down, 0 * v))
    return torch.cat([z[:, :j], best, z[:, j + 1 :]], 1)


def one_with(z, x, Wd, lmbd, j, by=None, own=1.0, shrunk=True, v_by=1.0):
    d = Wd[:, j]
    square = d @ d
    v = ((x - z @ Wd.T) @ d + own * square * z[:, j]) / v_by
    new = z.clone()
    new[:, j] = (shrink(v, lmbd) if shrunk else v) / (square if by is None else by)
    return new


def one_in_place(z, x, Wd, lmbd, j):
    z[:, j] = one_with(z, x, Wd, lmbd, j)[:, j]
    return z


def one_everywhere(z, x, Wd, lmbd, j):
    new = [one_with(z, x, Wd, lmbd, i)[:, i] for i in range(z.shape[1])]
    return torch.stack(new, 1)


def one_of_norm_1(z, x, Wd, lmbd, j):
    """The chapter's formulas, whose filters have norm 1."""
    new = z.clone()
    new[:, j] = shrink((x - z @ Wd.T) @ Wd[:, j] + z[:, j], lmbd)
    return new


def one_unit_own(z, x, Wd, lmbd, j):
    d = Wd[:, j]
    new = z.clone()
    new[:, j] = shrink((x - z @ Wd.T) @ d + z[:, j], lmbd) / (d @ d)
    return new


# Task 2


def step_in_rows(z, b, gram, lmbd):
    z, b = z.clone(), b.clone()
    for code, book in zip(z, b, strict=True):
        best = clipped(book, lmbd) / gram.diagonal()
        j = int((best - code).abs().argmax())
        kept = book[j].clone()
        book -= gram[j] * (best[j] - code[j])
        book[j] = kept
        code[j] = best[j]
    return torch.stack([z, b])


def step_by_indices(z, b, gram, lmbd):
    rows = torch.arange(len(z))
    off = gram - gram.diagonal().diag()
    move = shrink(b, lmbd) / gram.diagonal() - z
    j = move.abs().max(1).indices
    new = z.clone()
    new[rows, j] += move[rows, j]
    return torch.stack([new, b - move[rows, j].unsqueeze(1) * off[j]])


def step_by_product(z, b, gram, lmbd):
    eye = torch.eye(len(gram)).to(z)
    move = softshrink(b, lmbd) / gram.diagonal() - z
    only = move * eye[move.square().argmax(1)]
    return torch.stack((z + only, b - only @ (gram * (1 - eye))))


def step_in_numpy(z, b, gram, lmbd):
    z, b, G = (a.double().numpy().copy() for a in (z, b, gram))
    best = np.sign(b) * np.maximum(np.abs(b) - lmbd, 0) / np.diag(G)
    j = np.abs(best - z).argmax(1)[:, None]
    new = np.take_along_axis(best, j, 1)
    change = new - np.take_along_axis(z, j, 1)
    kept = np.take_along_axis(b, j, 1)
    b -= change * G[j[:, 0]]
    np.put_along_axis(b, j, kept, 1)
    np.put_along_axis(z, j, new, 1)
    return torch.from_numpy(np.stack([z, b]))


def step_with(z, b, gram, lmbd, divide=True, score=None, keep=True, sign=1.0, weight=None):
    best = shrink(b, lmbd)
    best = best / gram.diagonal() if divide else best
    move = best - z
    j = (move.abs() if score is None else score(z, b, best, gram)).argmax(1, keepdim=True)
    change = (move if weight is None else weight(z, best)).gather(1, j)
    after = b - sign * change * gram[j[:, 0]]
    after = after.scatter(1, j, b.gather(1, j)) if keep else after
    return torch.stack([z.scatter(1, j, best.gather(1, j)), after])


def step_with_eye(z, b, gram, lmbd):
    """The right choice, but b is kept with G - I, which is right for filters of norm 1."""
    new, _ = step_with(z, b, gram, lmbd)
    return torch.stack([new, b - (new - z) @ (gram - torch.eye(len(gram)).to(gram))])


def step_chosen(score):
    return lambda *a: step_with(*a, score=score)


def step_to_the_last(z, b, gram, lmbd):
    move = shrink(b, lmbd) / gram.diagonal() - z
    j = move.shape[1] - 1 - move.abs().flip(1).argmax(1, keepdim=True)
    new = z.scatter_add(1, j, move.gather(1, j))
    return torch.stack([new, b - (new - z) @ (gram - gram.diagonal().diag())])


def step_common(z, b, gram, lmbd):
    move = shrink(b, lmbd) / gram.diagonal() - z
    j = int(move.abs().sum(0).argmax())
    z, new = z.clone(), b - move[:, j : j + 1] * gram[j]
    z[:, j] += move[:, j]
    new[:, j] = b[:, j]
    return torch.stack([z, new])


def step_all(z, b, gram, lmbd):
    best = shrink(b, lmbd) / gram.diagonal()
    move = best - z
    return torch.stack([best, b - move @ gram + move * gram.diagonal()])


# Task 3


def path_recomputed(z, x, Wd, lmbd, steps):
    square, path = Wd.square().sum(0), [z]
    for _ in range(steps):
        best = clipped((x - z @ Wd.T) @ Wd + square * z, lmbd) / square
        j = (best - z).abs().argmax(1, keepdim=True)
        z = z.scatter(1, j, best.gather(1, j))
        path.append(z)
    return torch.stack(path)


def path_filled(z, x, Wd, lmbd, steps):
    gram = Wd.T @ Wd
    off = gram.clone().fill_diagonal_(0)
    path = z.new_empty(steps + 1, *z.shape)
    path[0], b = z, x @ Wd - z @ off
    for k in range(steps):
        path[k + 1], b = step_by_product(path[k], b, gram, lmbd)
    return path


def path_of_rows(z, x, Wd, lmbd, steps):
    gram = Wd.T @ Wd
    rows = []
    for code, row in zip(z, x, strict=True):
        b = Wd.T @ row - gram @ code + gram.diagonal() * code
        state = [(code[None], b[None])]
        for _ in range(steps):
            state.append(tuple(step_in_rows(*state[-1], gram, lmbd)))
        rows.append(torch.cat([code for code, _ in state]))
    return torch.stack(rows, 1)


def path_with(z, x, Wd, lmbd, steps, start="right", zero=False, stale=False):
    gram = Wd.T @ Wd
    z = torch.zeros_like(z) if zero else z
    off = {"right": gram - gram.diagonal().diag(), "own": gram, "cold": 0 * gram}[start]
    b, path = x @ Wd - z @ off, [z]
    for _ in range(steps):
        z, new = step_by_indices(z, b, gram, lmbd)
        b = b if stale else new
        path.append(z)
    return torch.stack(path)


def path_of_one_tensor(z, x, Wd, lmbd, steps):
    square, z = Wd.square().sum(0), z.clone()
    path, rows = [z], torch.arange(len(z))
    for _ in range(steps):
        best = shrink((x - z @ Wd.T) @ Wd + square * z, lmbd) / square
        j = (best - z).abs().argmax(1)
        z[rows, j] = best[rows, j]
        path.append(z)
    return torch.stack(path)


def path_shrunk_at_the_end(z, x, Wd, lmbd, steps):
    path, square = path_with(z, x, Wd, lmbd, steps), Wd.square().sum(0)
    b = (x - path[-1] @ Wd.T) @ Wd + square * path[-1]
    return torch.cat([path[:-1], (shrink(b, lmbd) / square)[None]])


# Task 4


def sweep_by_task_1(z, x, Wd, lmbd):
    for j in range(z.shape[1]):
        z = one_with(z, x, Wd, lmbd, j)
    return z


def sweep_by_residual(z, x, Wd, lmbd):
    z, r = z.clone(), x - z @ Wd.T
    for j, d in enumerate(Wd.T):
        r += z[:, j : j + 1] * d
        z[:, j] = clipped(r @ d, lmbd) / d.dot(d)
        r -= z[:, j : j + 1] * d
    return z


def sweep_by_gram(z, x, Wd, lmbd):
    gram, e, done = Wd.T @ Wd, x @ Wd, []
    for j in range(z.shape[1]):
        now = torch.stack([*done, *z.T[j:]])
        others = gram[j].clone()
        others[j] = 0
        done.append(shrink(e[:, j] - others @ now, lmbd) / gram[j, j])
    return torch.stack(done, 1)


def sweep_in_numpy(z, x, Wd, lmbd):
    z, x, W = (a.double().numpy().copy() for a in (z, x, Wd))
    G, e = W.T @ W, x @ W
    for code, row in zip(z, e, strict=True):
        for j in range(len(code)):
            v = row[j] - G[j] @ code + G[j, j] * code[j]
            code[j] = np.sign(v) * max(abs(v) - lmbd, 0) / G[j, j]
    return torch.from_numpy(z)


def sweep_with(z, x, Wd, lmbd, order=1, only_active=False, **how):
    start, new = z, z.clone()
    for j in list(range(z.shape[1]))[::order]:
        value = one_with(new, x, Wd, lmbd, j, **how)[:, j]
        new[:, j] = value * (start[:, j] != 0) if only_active else value
    return new


def sweep_in_place(z, x, Wd, lmbd):
    z.copy_(sweep_with(z, x, Wd, lmbd))
    return z


def sweep_divided_first(z, x, Wd, lmbd):
    for j in range(z.shape[1]):
        square = Wd[:, j].square().sum()
        z = one_with(z, x, Wd, lmbd * square, j)
    return z


# Task 5


def count_in_loops(path, n, method, skip_zeros):
    steps, rows, m = len(path) - 1, path.shape[1], path.shape[2]
    spent = torch.full((steps + 1, rows), n * m)
    for k in range(steps):
        for i in range(rows):
            old, new, before = path[k, i], path[k + 1, i], path[max(k - 1, 0), i]
            if method == "ista":
                cost = m * int((old != 0).sum() if skip_zeros else m)
            elif method == "fista":
                used = int(((old != 0) | ((before != 0) & (k > 0))).sum())
                cost = (m + 1) * (used if skip_zeros else m)
            else:
                every = 1 if method == "greedy" else m
                cost = m + m * (int((old != new).sum()) if skip_zeros else every)
            spent[k + 1, i] = spent[k, i] + cost
    return spent


def count_by_padding(path, n, method, skip_zeros):
    m, used = path.shape[2], (path != 0).long()
    last = torch.cat([used[:1] * 0, used[:-1]])
    columns = {"ista": used, "fista": used.maximum(last)}.get(method, used * 0)[:-1].sum(2)
    if method in ("greedy", "cyclic"):
        columns = (path.diff(dim=0) != 0).sum(2)
    if not skip_zeros:
        columns = columns * 0 + (1 if method == "greedy" else m)
    cost = {"ista": m * columns, "fista": columns + m * columns}.get(method, m * (1 + columns))
    return n * m + torch.nn.functional.pad(cost.cumsum(0), (0, 0, 1, 0))


def count_in_numpy(path, n, method, skip_zeros):
    p = path.numpy()
    m = p.shape[2]
    on = p != 0
    before = np.concatenate([np.zeros_like(on[:1]), on[:-1]])
    if not skip_zeros:
        per_step = {"ista": m**2, "fista": m**2 + m, "greedy": 2 * m, "cyclic": m**2 + m}[method]
        return n * m + torch.arange(len(p))[:, None].expand(-1, p.shape[1]) * per_step
    if method == "ista":
        cost = m * on[:-1].sum(2)
    elif method == "fista":
        cost = (m + 1) * np.logical_or(on, before)[:-1].sum(2)
    else:
        cost = m * (1 + (p[1:] != p[:-1]).sum(2))
    first = np.full((1, p.shape[1]), n * m)
    return torch.from_numpy(np.concatenate([first, cost]).cumsum(0))


def count_alone(*arguments):
    spent = count_by_padding(*arguments)
    return torch.cat([spent[:1], spent.diff(dim=0)])


def count_early(*arguments):
    spent = count_by_padding(*arguments)
    return torch.cat([spent[1:], spent[-1:]])


def count_without_start(*arguments):
    return count_by_padding(*arguments)[1:]


def count_from_zero(path, n, *kind):
    return count_by_padding(path, 0, *kind)


def count_product_each_step(path, n, *kind):
    return count_by_padding(path, n, *kind) + n * path.shape[2] * torch.arange(len(path))[:, None]


def count_fista_as(columns, single=1):
    def count(path, n, method, skip_zeros):
        if method != "fista" or not skip_zeros:
            spent = count_by_padding(path, n, method, skip_zeros)
            if method == "fista":
                spent = spent - (1 - single) * path.shape[2] * torch.arange(len(path))[:, None]
            return spent
        on = (path != 0).long()
        last = torch.cat([0 * on[:1], on[:-1]])
        used = columns(on, last)[:-1].sum(2) * (path.shape[2] + single)
        return n * path.shape[2] + torch.cat([0 * used[:1], used]).cumsum(0)

    return count


def count_no_values(path, n, method, skip_zeros):
    spent = count_by_padding(path, n, method, skip_zeros)
    free = path.shape[2] * torch.arange(len(path))[:, None]
    return spent - free if method in ("greedy", "cyclic") else spent


def count_after(path, n, method, skip_zeros):
    if method != "ista" or not skip_zeros:
        return count_by_padding(path, n, method, skip_zeros)
    used = (path != 0).sum(2) * path.shape[2]
    return n * path.shape[2] + torch.cat([0 * used[:1], used[1:]]).cumsum(0)


def count_rounded(path, *more):
    return count_by_padding((path * 1e6).round() / 1e6, *more)


RIGHT = {
    "task1": [one_by_residual, one_by_gram, one_in_numpy, one_by_cases],
    "task2": [step_in_rows, step_by_indices, step_by_product, step_in_numpy],
    "task3": [path_recomputed, path_filled, path_of_rows],
    "task4": [sweep_by_task_1, sweep_by_residual, sweep_by_gram, sweep_in_numpy],
    "task5": [count_in_loops, count_by_padding, count_in_numpy],
}

PLANTED = {
    "task1": {
        "‖Wd_j‖² is missing": lambda *a: one_with(*a, by=1.0),
        "λ was not divided": lambda z, x, Wd, lmbd, j: one_with(
            z, x, Wd, lmbd * (Wd[:, j] @ Wd[:, j]), j
        ),
        "the share of filter j is missing": lambda *a: one_with(*a, own=0.0),
        "no shrink": lambda *a: one_with(*a, shrunk=False),
        "changed its inputs in place": one_in_place,
        "divided by the filter's norm": lambda z, x, Wd, lmbd, j: one_with(
            z, x, Wd, lmbd, j, by=Wd[:, j].norm()
        ),
        "the old z_j has the weight": one_unit_own,
        "formulas for filters of norm 1": one_of_norm_1,
        "other columns than j": one_everywhere,
    },
    "task2": {
        "G_jj is missing": lambda *a: step_with(*a, divide=False),
        "b_j itself must stay": lambda *a: step_with(*a, keep=False),
        "take out G's diagonal, not 1": step_with_eye,
        "b moved the wrong way": lambda *a: step_with(*a, sign=-1.0),
        "b is still the old one": lambda *a: step_with(*a, sign=0.0),
        "every row chooses its own": step_common,
        "the largest move upwards": step_chosen(lambda z, b, best, gram: best - z),
        "the largest new value": step_chosen(lambda z, b, best, gram: best.abs()),
        "not by its new value": lambda *a: step_with(*a, weight=lambda z, best: best),
        "the other reading": step_chosen(
            lambda z, b, best, gram: (best - z).square() * gram.diagonal()
        ),
        "all coordinates have moved": step_all,
        "that chooses by the gradient": step_chosen(
            lambda z, b, best, gram: (b - gram.diagonal() * z).abs()
        ),
        "take the first": step_to_the_last,
    },
    "task3": {
        "b begins as if the start were zero": lambda *a: path_with(*a, start="cold"),
        "b holds each filter's own share": lambda *a: path_with(*a, start="own"),
        "all entries are the same": path_of_one_tensor,
        "you began at zero": lambda *a: path_with(*a, zero=True),
        "b was made once": lambda *a: path_with(*a, stale=True),
        "the shape is": lambda *a: path_with(*a)[1:],
        "you are one step ahead": lambda *a: path_with(*a[:-1], a[-1] + 1)[1:],
        "shrunk in all coordinates": path_shrunk_at_the_end,
    },
    "task4": {
        "every coordinate used the old code": lambda *a: one_everywhere(*a, 0),
        "from the last coordinate": lambda *a: sweep_with(*a, order=-1),
        "‖Wd_j‖² is missing": lambda *a: sweep_with(*a, by=1.0),
        "the old share of filter j": lambda *a: sweep_with(*a, own=0.0),
        "changed its inputs in place": sweep_in_place,
        "λ was not divided": sweep_divided_first,
        "coordinates at zero were left out": lambda *a: sweep_with(*a, only_active=True),
        "more than one sweep": lambda z, *a: sweep_with(sweep_with(z, *a), *a),
    },
    "task5": {
        "no running sum": count_alone,
        "one step early": count_early,
        "the shape is": count_without_start,
        "you counted z^k alone": count_fista_as(lambda on, last: on),
        "the value of each coordinate costs": count_no_values,
        "what to skip is turned round": lambda path, n, method, skip: count_by_padding(
            path, n, method, not skip
        ),
        "zeros are never skipped": lambda path, n, method, _: count_by_padding(
            path, n, method, False
        ),
        "zeros are always skipped": lambda path, n, method, _: count_by_padding(
            path, n, method, True
        ),
        "y counts once": count_fista_as(lambda on, last: on + last),
        "making FISTA's y": count_fista_as(torch.maximum, single=0),
        "the code it has": count_after,
        "come first, in every method": count_from_zero,
        "small is not zero": count_rounded,
    },
}

# What else is wrong: each must lose a point


def one_if_it_moves_far(z, x, Wd, lmbd, j):
    new = one_with(z, x, Wd, lmbd, j)
    return torch.where((new - z).abs() < 1e-3, z, new)


def one_above_zero(z, x, Wd, lmbd, j):
    return torch.cat(
        [z[:, :j], one_with(z, x, Wd, lmbd, j)[:, j : j + 1].clamp(min=0), z[:, j + 1 :]], 1
    )


def one_of_the_first_row(z, x, Wd, lmbd, j):
    new = z.clone()
    new[:, j] = one_with(z, x, Wd, lmbd, j)[0, j]
    return new


def one_never_zero(z, x, Wd, lmbd, j):
    new = one_with(z, x, Wd, lmbd, j)
    return torch.where(new == 0, z, new)


def one_within(z, x, Wd, lmbd, j):
    return one_with(z, x, Wd, lmbd, j).clamp(-3, 3)


def one_not_below(z, x, Wd, lmbd, j):
    return one_with(z, x, Wd, max(lmbd, 1e-2), j)


def step_if_far(z, b, gram, lmbd):
    new = step_with(z, b, gram, lmbd)
    still = (new[0] - z).abs().amax(1, keepdim=True) < 1e-3
    return torch.stack([torch.where(still, z, new[0]), torch.where(still, b, new[1])])


def step_of_sleepers(z, b, gram, lmbd):
    return step_with(z, b, gram, lmbd, score=lambda z, b, best, gram: (best - z).abs() * (z == 0))


def step_of_the_awake(z, b, gram, lmbd):
    return step_with(
        z, b, gram, lmbd, score=lambda z, b, best, gram: (best - z).abs() * (best != 0)
    )


def step_by_fall(z, b, gram, lmbd):
    def fall(z, b, best, gram):
        def one(t):
            return gram.diagonal() / 2 * t.square() - b * t + lmbd * t.abs()

        return one(z) - one(best)

    return step_with(z, b, gram, lmbd, score=fall)


def step_by_b(z, b, gram, lmbd):
    return step_with(z, b, gram, lmbd, score=lambda z, b, best, gram: b.abs())


def step_relative(z, b, gram, lmbd):
    return step_with(
        z, b, gram, lmbd, score=lambda z, b, best, gram: (best - z).abs() / (1e-9 + z.abs())
    )


def step_half(z, b, gram, lmbd):
    """The row of G below the diagonal alone."""
    z, after = step_with(z, b, gram, lmbd)[0], step_with(z, b, gram.tril(), lmbd)[1]
    return torch.stack([z, after])


def path_stopped(z, x, Wd, lmbd, steps, least=1e-2):
    gram = Wd.T @ Wd
    b, path = x @ Wd - z @ (gram - gram.diagonal().diag()), [z]
    for _ in range(steps):
        new, b = step_by_indices(z, b, gram, lmbd)
        z = z if (new - z).abs().max() < least else new
        path.append(z)
    return torch.stack(path)


def path_of_few(z, x, Wd, lmbd, steps):
    path = path_with(z, x, Wd, lmbd, min(steps, 100))
    return torch.cat([path, path[-1:].expand(steps + 1 - len(path), -1, -1)])


def path_each_once(z, x, Wd, lmbd, steps):
    gram, done = Wd.T @ Wd, torch.zeros_like(z)
    b, path = x @ Wd - z @ (gram - gram.diagonal().diag()), [z]
    for _ in range(steps):
        far = lambda z, b, best, gram, done=done: (best - z).abs() - 1e9 * done  # noqa: E731
        new, b = step_with(z, b, gram, lmbd, score=far)
        done, z = done.maximum((new != z).double()), new
        path.append(z)
    return torch.stack(path)


def path_of_at_least_one(z, x, Wd, lmbd, steps):
    return path_with(z, x, Wd, lmbd, max(steps, 1))


def path_by_search(z, x, Wd, lmbd, steps):
    """As the stand-in does: to about three digits."""
    path = [z]
    for _ in range(steps):
        z, rest = path[-1].clone(), x - path[-1] @ Wd.T
        high = rest.norm(dim=1, keepdim=True) / Wd.norm(dim=0) + z.abs()
        low = -high
        for _ in range(24):
            ends = torch.stack([low + (high - low) / 3, high - (high - low) / 3])
            misses = rest[None, :, :, None] + Wd * (z - ends)[:, :, None, :]
            left = (0.5 * misses.square().sum(2) + lmbd * ends.abs()).diff(dim=0)[0] > 0
            low, high = low.where(left, ends[0]), high.where(~left, ends[1])
        best = (low + high) / 2
        j = (best - z).abs().argmax(1, keepdim=True)
        path.append(z.scatter(1, j, best.gather(1, j)))
    return torch.stack(path)


def path_clipped(z, x, Wd, lmbd, steps):
    return path_with(z.clamp(min=0), x, Wd, lmbd, steps)


def sweep_to_the_last_but_one(z, x, Wd, lmbd):
    return torch.cat([sweep_with(z, x, Wd, lmbd)[:, :-1], z[:, -1:]], 1)


def sweep_in_two_blocks(z, x, Wd, lmbd):
    half = z.shape[1] // 2
    first = one_everywhere(z, x, Wd, lmbd, 0)[:, :half]
    return torch.cat(
        [first, one_everywhere(torch.cat([first, z[:, half:]], 1), x, Wd, lmbd, 0)[:, half:]], 1
    )


def sweep_by_size(z, x, Wd, lmbd):
    new = z
    for j in Wd.norm(dim=0).argsort(descending=True).tolist():
        new = one_with(new, x, Wd, lmbd, j)
    return new


def sweep_without_small_moves(z, x, Wd, lmbd):
    new = sweep_with(z, x, Wd, lmbd)
    return torch.where((new - z).abs() < 1e-2, z, new)


def sweep_from_zero(z, x, Wd, lmbd):
    return sweep_with(torch.zeros_like(z), x, Wd, lmbd)


def count_changed_of_first_row(path, n, method, skip_zeros):
    return count_by_padding(path[:, :1], n, method, skip_zeros).expand(-1, path.shape[1])


def count_close(path, n, method, skip_zeros):
    """Changes by torch.isclose."""
    if method in ("ista", "fista") or not skip_zeros:
        return count_by_padding(path, n, method, skip_zeros)
    m = path.shape[2]
    moved = (~torch.isclose(path[1:], path[:-1])).sum(2)
    return n * m + torch.nn.functional.pad((m * (1 + moved)).cumsum(0), (0, 0, 1, 0))


def count_positive(path, *more):
    return count_by_padding(path.clamp(min=0), *more)


def count_greedy_moves_always(path, n, method, skip_zeros):
    return count_by_padding(path, n, method, skip_zeros and method != "greedy")


def count_column_without_diagonal(path, n, method, skip_zeros):
    spent = count_by_padding(path, n, method, skip_zeros)
    if method not in ("greedy", "cyclic"):
        return spent
    m, start = path.shape[2], n * path.shape[2]
    steps = m * torch.arange(len(path))[:, None]
    return start + steps + (spent - start - steps) // m * (m - 1)


def count_first_step_free(path, n, method, skip_zeros):
    """FISTA's first step without the products with a_0 = 0."""
    spent = count_by_padding(path, n, method, skip_zeros)
    if method != "fista":
        return spent
    used = (path[0] != 0).sum(1) if skip_zeros else path.shape[2]
    return spent - used * (torch.arange(len(path)) > 0)[:, None]


TRIED = {
    "task1": {
        "small moves are left out": one_if_it_moves_far,
        "codes above zero only": one_above_zero,
        "the first row's value for all": one_of_the_first_row,
        "never to zero": one_never_zero,
        "clipped to 3": one_within,
        "lambda at least 0.01": one_not_below,
    },
    "task2": {
        "moves below 1e-3 are left out": step_if_far,
        "coordinates at zero alone": step_of_sleepers,
        "never to zero": step_of_the_awake,
        "by the fall of energy": step_by_fall,
        "by the largest b": step_by_b,
        "by the relative move": step_relative,
        "half of the row of G": step_half,
    },
    "task3": {
        "keeps z where it changes by less than 0.01": path_stopped,
        "keeps z where it changes by less than 1e-4": lambda *a: path_stopped(*a, least=1e-4),
        "stops after 100 steps": path_of_few,
        "a coordinate moves once": path_each_once,
        "one step at least": path_of_at_least_one,
        "starts above zero": path_clipped,
        "by search, to three digits": path_by_search,
    },
    "task4": {
        "the last coordinate is left out": sweep_to_the_last_but_one,
        "two blocks at once": sweep_in_two_blocks,
        "the largest filter first": sweep_by_size,
        "moves below 0.01 are left out": sweep_without_small_moves,
        "starts at zero": sweep_from_zero,
    },
    "task5": {
        "the first row's count for all": count_changed_of_first_row,
        "changes by isclose": count_close,
        "codes above zero alone": count_positive,
        "a greedy step always moves": count_greedy_moves_always,
        "the diagonal of a column is free": count_column_without_diagonal,
        "a_0 is free": count_first_step_free,
        "W_d^T x in each step": count_product_each_step,
    },
}
