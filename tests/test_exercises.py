"""The checks of exercises: solutions pass, stubs are told so, each planted mistake is named."""

import math
import re
from pathlib import Path

import nbformat
import planted_drsae
import planted_ista
import planted_lista
import pytest
import torch

from course_utils import exercises
from course_utils.built.ista import duality_gap, fista, shrink

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SOLUTION = re.compile(r"<summary>Solution</summary>\s*```python\n(.*?)```", re.DOTALL)
STUB = re.compile(r"^def (\w+)\(", re.MULTILINE)
CHECKS = [name for name in dir(exercises) if name.startswith("check_")]


def cells(kind: str) -> list[str]:
    notebooks = [nbformat.read(path, 4) for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
    return [cell.source for nb in notebooks for cell in nb.cells if cell.cell_type == kind]


def defined(source: str, name: str):
    """Run the source of a solution or stub and return the function it defines."""
    scope = {"torch": torch, "fista": fista, "shrink": shrink, "duality_gap": duality_gap}
    exec(source, scope)  # noqa: S102 - what our own notebooks hold
    return scope[name]


def verdict(check: str, answer, capsys) -> str:
    getattr(exercises, check)(answer)
    return re.sub(r"\033\[\d+m", "", capsys.readouterr().out)


@pytest.mark.parametrize("check", CHECKS)
def test_the_unfolding_solution_of_the_notebook_passes(check, capsys):
    name = check.removeprefix("check_")
    solutions = [s for text in cells("markdown") for s in SOLUTION.findall(text)]
    mine = [s for s in solutions if STUB.search(s).group(1) == name]
    assert len(mine) == 1
    assert verdict(check, defined(mine[0], name), capsys).startswith("✓ right in all")


@pytest.mark.parametrize("check", CHECKS)
def test_the_stub_of_the_notebook_is_told_that_it_is_not_written_yet(check, capsys):
    name = check.removeprefix("check_")
    stubs = [s for s in cells("code") if f"def {name}(" in s and "NotImplementedError" in s]
    assert len(stubs) == 1
    assert verdict(check, defined(stubs[0], name), capsys).startswith("○ not written yet: ")


def residual_correlation(x, z, Wd):
    return torch.einsum("bn,nm->bm", x - torch.einsum("nm,bm->bn", Wd, z), Wd)


def lstsq(x, z, Wd, support):
    """Fit the supported coefficients row by row with a library's least squares."""
    out = torch.zeros_like(z)
    for b, on in enumerate(support):
        out[b, on] = torch.linalg.lstsq(Wd[:, on], x[b]).solution
    return out


def ridge(x, z, Wd):
    """Fit the active coefficients with a small ridge, which is nearly right."""
    on = (z != 0).to(z)
    some = torch.einsum("nm,bm->bnm", Wd, on)
    gram = some.mT @ some + torch.diag_embed(1 - on) + 1e-4 * torch.eye(z.shape[1]).to(z)
    return torch.linalg.solve(gram, on * (x @ Wd))


def drop(
    x,
    z,
    Wd,
    lmbd,
    root=True,
    two=2.0,
    scaled=True,
    norms=True,
    size=torch.abs,
    one=False,
    clamped=True,
):
    c = residual_correlation(x, z, Wd)
    s = lmbd / c.abs().max(1, keepdim=True).values
    s = torch.minimum(torch.ones(len(x), 1).to(x), s) if clamped else s
    s, c = s.amin() if one else s, size(c)
    radius = two * duality_gap(x, z, Wd, lmbd)[:, None]
    radius = radius**0.5 if root else radius
    norm = Wd.square().sum(0).sqrt() if norms else 1
    return (s if scaled else 1) * c + norm * radius < lmbd


def breach(x, z, Wd, lmbd):
    c = residual_correlation(x, z, Wd)
    return torch.stack([(c - lmbd), (lmbd - c) * (z > 0)]).clamp(min=0).amax(0)


def shrink_by_hand(v, theta):
    return v.sign() * (v.abs() - theta).clamp(min=0)


def slope_by_autograd(v, b, slope, of=lambda v, b: torch.relu(v - b)):
    b = b.clone().requires_grad_()
    return torch.autograd.grad((of(v, b) * slope).sum(), b)[0]


def row_steps(z, Wd, support):
    """Return 1 / ‖active columns‖² row by row, by a singular value decomposition."""
    rows = [
        support(row) if support(row).any() else torch.ones_like(row, dtype=torch.bool) for row in z
    ]
    return torch.stack([1 / torch.linalg.matrix_norm(Wd[:, on], 2)[None] ** 2 for on in rows])


def bounded(W, longest, norm=lambda column: column.norm(), short=True):
    """Return bounded columns, one after the other, with what is planted in it."""
    columns = []
    for column in W.unbind(1):
        size = norm(column)
        columns.append(column * longest / size if size > longest or not short else column)
    return torch.stack(columns, 1)


def numbers(n, m, c, T, **times):
    kinds = {"We": n * m, "S": m * m, "b": m, "Wd": n * m, "Wc": c * m}
    return sum(times.get(kind, 1) * count for kind, count in kinds.items())


def betrayed(first, last, rebuilt, evidence, T, over=lambda row: row.max()):
    """Return seen over allowed, as a student might compute it."""
    wd = over(torch.stack([r.norm() / code.sum() for r, code in zip(rebuilt, last, strict=True)]))
    return torch.tensor([wd, over(first) / (1.25 / T), over(evidence.abs()) / 5])


def norms_by_hand(z, pools, of=lambda w, row: sum(w * row**2) ** 0.5):
    """Return what is asked of each row and pool, one after the other, with what is planted."""
    return torch.stack([torch.stack([of(w, row) for w in pools]) for row in z])


def ring_by_hand(m, size, begin, goes_round=True):
    row = torch.zeros(m)
    for k in range(begin, begin + size):
        if goes_round or k < m:
            row[k % m] = 1
    return row


def cut(x, field, top, left):
    """Return a window, pixel by pixel."""
    rows = [x[:, top + i, left : left + field] for i in range(field)]
    return torch.stack(rows, 1)


def painted(z, Wd, place=lambda k, i: k + i, add=lambda old, new: old + new):
    """Return what a line of units paints, unit by unit and pixel by pixel."""
    field, m = Wd.shape
    x = torch.zeros(len(z), m + field - 1).to(z)
    for k in range(m):
        for i in range(field):
            x[:, place(k, i)] = add(x[:, place(k, i)].clone(), z[:, k] * Wd[i, k])
    return x


def by_offset(z, Wd):
    x = torch.zeros(len(z), Wd.shape[1] + len(Wd) - 1).to(z)
    for i in range(len(Wd)):
        x[:, i : i + Wd.shape[1]] = z * Wd[i]
    return x


def numbered(z, side, t, u, unit):
    """Return codes in tiles: unit names the row and column of unit (i, j) in tile (a, b)."""
    tiles = [(a, b) for a in range(side // t) for b in range(side // u)]
    units = [[unit(*tile, *divmod(k, u)) for k in range(t * u)] for tile in tiles]
    order = torch.tensor([[row * side + column for row, column in tile] for tile in units])
    return z[:, order]


def in_reading_order(z, side, t, u):
    return numbered(z, side, t, u, lambda a, b, i, j: (a * t + i, b * u + j))


def winding(theta, period=math.pi, legs=(0, 1, 2, 3), sign=1, whole=round):
    """Return how often orientations go round, row by row and corner by corner."""
    out = torch.zeros(len(theta)).to(theta)
    for b, row in enumerate(theta.tolist()):
        total = sum(math.remainder(row[(k + 1) % 4] - row[k], period) for k in legs)
        out[b] = sign * whole(total / period)
    return out


def side_by_side(m, size):
    return [range(begin, begin + size) for begin in range(0, m, size)]


def blocks(v, theta, size, of=side_by_side, length=lambda norm, theta: max(norm - theta, 0)):
    """Return shortened blocks, one after the other, with what is planted in them."""
    out = torch.zeros_like(v)
    for row, new in zip(v, out, strict=True):
        for units in map(list, of(len(row), size)):
            norm = sum(row[k] ** 2 for k in units) ** 0.5
            if norm > 0:
                new[units] = row[units] / norm * length(norm, theta)
    return out


def pulls(x, Wd, pools, of=torch.linalg.vector_norm):
    """Return what is asked of c = Wdᵀ x in each pool, row by row: (B, p)."""
    c = torch.einsum("bn,nm->bm", x, Wd)
    return torch.stack([torch.stack([of(row[on == 1]) for on in pools]) for row in c])


def rate_by_hand(mean, log_var, term=lambda m, var, v: (m**2 + var - 1 - v) / 2, log=math.exp):
    """Return the rate, unit by unit; term of the mean, the variance and its logarithm."""
    total = 0
    for m, v in zip(mean.T, log_var.T, strict=True):
        total = total + term(m, torch.tensor([log(a) for a in v]).double(), v)
    return total


def known_rate(mean, log_var):
    of = torch.distributions.Normal(mean, log_var.exp().sqrt())
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    return torch.distributions.kl_divergence(of, standard).sum(1)


def error_by_unit(x, mean, log_var, Wd, add=lambda d, var: (d**2).sum() * var / 2, half=0.5):
    """Return the mean error of a noisy code, with what add says for each unit."""
    total = half * torch.linalg.vector_norm(x - torch.einsum("bm,nm->bn", mean, Wd), dim=1) ** 2
    for k in range(Wd.shape[1]):
        total = total + add(Wd[:, k], torch.exp(log_var[:, k]))
    return total


def told(code, Wc):
    """Return the evidence of codes, row by row."""
    return torch.stack([Wc @ (row / (row @ row).sqrt()) for row in code])


def halves(outputs, Wc):
    return outputs.reshape(len(outputs), 2, Wc.shape[1]).unbind(1)


def poured(variances, level, bits=lambda v, level: math.log2(v / level) / 2, over=None):
    """Return the sum of bits over axes, one by one; over: which axes count, those above water."""
    over = over or (lambda v, level: v > level)
    rows = [[bits(v, level) for v in row if over(v, level)] for row in variances.tolist()]
    return torch.tensor([sum(row) for row in rows]).double()


RIGHT = [
    *planted_drsae.RIGHT,
    *planted_ista.RIGHT,
    *planted_lista.RIGHT,
    ("check_debias", lambda x, z, Wd: lstsq(x, z, Wd, z != 0)),
    ("check_safe_to_drop", drop),
    ("check_kkt_violation_nonneg", lambda *a: breach(*a).max(1).values),
    ("check_threshold_slope", slope_by_autograd),
    ("check_support_step", lambda z, Wd: row_steps(z, Wd, lambda row: row != 0)),
    ("check_bounded_columns", bounded),
    ("check_learned_numbers", numbers),
    ("check_missing_bound", betrayed),
    ("check_norms_of_pools", norms_by_hand),
    ("check_ring_pool", lambda m, size, stride, j: ring_by_hand(m, size, j * stride)),
    ("check_block_shrink", blocks),
    ("check_group_lambda_max", lambda *a: pulls(*a).max(1).values),
    ("check_units_along", lambda image, field, per: len(range(image - field + 1)) * per),
    (
        "check_seen_by_unit",
        lambda x, field, per, row, column: cut(x, field, row // per, column // per),
    ),
    ("check_line_synthesis", painted),
    ("check_tile_by_tile", in_reading_order),
    ("check_turns_round", winding),
    ("check_rate_of", known_rate),
    ("check_drawn_code", lambda m, v, e: torch.addcmul(m, v.exp().sqrt(), e)),
    ("check_expected_error", error_by_unit),
    ("check_evidence_at_test", lambda o, e, Wc: told(halves(o, Wc)[0], Wc)),
    ("check_water_bits", poured),
]
PLANTED = [
    *planted_drsae.PLANTED,
    *planted_ista.PLANTED,
    *planted_lista.PLANTED,
    ("check_debias", lambda x, z, Wd: x @ torch.linalg.pinv(Wd.T), "fitted all filters: those"),
    (
        "check_debias",
        lambda x, z, Wd: torch.where(z != 0, x @ torch.linalg.pinv(Wd.T), 0.0),
        "then erased some",
    ),
    ("check_debias", lambda x, z, Wd: lstsq(x, z, Wd, z > 0), "negative coefficients are active"),
    (
        "check_debias",
        lambda x, z, Wd: lstsq(x - z @ Wd.T, z, Wd, z != 0),
        "this is the correction alone",
    ),
    ("check_debias", lambda x, z, Wd: x @ Wd * (z != 0), "correlations for coefficients"),
    ("check_debias", lambda x, z, Wd: z.clone(), "you returned z itself"),
    ("check_debias", lambda x, z, Wd: lstsq(x, z, Wd, z != 0).T, "the shape is"),
    ("check_debias", ridge, "off by up to"),
    ("check_safe_to_drop", lambda *a: ~drop(*a), "turn the comparison"),
    ("check_safe_to_drop", lambda *a: drop(*a, scaled=False), "u is the scaled residual"),
    ("check_safe_to_drop", lambda *a: drop(*a, clamped=False), "s is at most 1"),
    ("check_safe_to_drop", lambda *a: drop(*a).float(), "should be True or False"),
    ("check_safe_to_drop", lambda *a: drop(*a, two=1), "the 2 under the root is missing"),
    ("check_safe_to_drop", lambda *a: drop(*a, root=False), "the root of 2 gap is missing"),
    ("check_safe_to_drop", lambda *a: drop(*a, norms=False), "in proportion to the filter's norm"),
    ("check_safe_to_drop", lambda *a: drop(*a, size=lambda c: c), "take |c|"),
    ("check_safe_to_drop", lambda *a: drop(*a, one=True), "each row has its own s"),
    ("check_safe_to_drop", lambda x, z, Wd, lmbd: (x @ Wd).abs() < lmbd, "the other way round"),
    ("check_safe_to_drop", lambda x, z, Wd, lmbd: z == 0, "may become active later"),
    ("check_safe_to_drop", lambda *a: drop(*a, two=0.0), "the radius is missing"),
    (
        "check_kkt_violation_nonneg",
        lambda x, z, Wd, lmbd: torch.where(
            z > 0,
            (residual_correlation(x, z, Wd) - lmbd).abs(),
            (residual_correlation(x, z, Wd).abs() - lmbd).clamp(min=0),
        ).amax(1),
        "it may not become negative",
    ),
    (
        "check_kkt_violation_nonneg",
        lambda x, z, Wd, lmbd: torch.where(
            z > 0,
            (-residual_correlation(x, z, Wd) - lmbd).abs(),
            (-residual_correlation(x, z, Wd) - lmbd).clamp(min=0),
        ).amax(1),
        "sign of the residual is turned",
    ),
    ("check_kkt_violation_nonneg", lambda *a: breach(*a).sum(1), "you took the sum"),
    ("check_kkt_violation_nonneg", lambda *a: breach(*a).mean(1), "you took the mean"),
    (
        "check_kkt_violation_nonneg",
        lambda x, z, Wd, lmbd: (breach(x, z, Wd, lmbd) * (z > 0)).amax(1),
        "the active units only",
    ),
    (
        "check_kkt_violation_nonneg",
        lambda x, z, Wd, lmbd: (residual_correlation(x, z, Wd) - lmbd).clamp(min=0).amax(1),
        "take |c − λ| there",
    ),
    (
        "check_kkt_violation_nonneg",
        lambda *a: breach(*a).max() * torch.ones(len(a[0])).double(),
        "one number per row",
    ),
    (
        "check_kkt_violation_nonneg",
        lambda x, z, Wd, lmbd: (residual_correlation(x, z, Wd) - lmbd).abs().amax(1),
        "only c > λ is a breach",
    ),
    (
        "check_kkt_violation_nonneg",
        lambda x, z, Wd, lmbd: torch.maximum(
            (residual_correlation(x, z, Wd) - lmbd).abs() * (z > 0),
            residual_correlation(x, z, Wd) * (z <= 0),
        ).amax(1),
        "λ is missing for the resting units",
    ),
    (
        "check_kkt_violation_nonneg",
        lambda x, z, Wd, lmbd: torch.where(
            z > 0,
            (residual_correlation(x, z, Wd) - lmbd).abs(),
            residual_correlation(x, z, Wd) - lmbd,
        ).amax(1),
        "never negative",
    ),
    ("check_kkt_violation_nonneg", lambda *a: None, "is the `return` missing"),
    ("check_kkt_violation_nonneg", lambda *a: 0.0, "returned a float"),
    ("check_threshold_slope", lambda *a: -slope_by_autograd(*a), "the sign is turned"),
    (
        "check_threshold_slope",
        lambda *a: slope_by_autograd(*a) / len(a[0]),
        "do not average",
    ),
    (
        "check_threshold_slope",
        lambda *a: slope_by_autograd(*a, of=lambda v, b: v - b),
        "does not depend on b",
    ),
    (
        "check_threshold_slope",
        lambda *a: slope_by_autograd(*a, of=lambda v, b: (v - b) * (v > 0)),
        "not where v > 0",
    ),
    (
        "check_threshold_slope",
        lambda *a: slope_by_autograd(*a, of=shrink_by_hand),
        "this is for shrink",
    ),
    (
        "check_threshold_slope",
        lambda v, b, slope: -torch.einsum("bm,bm->m", slope, (v.abs() > b).to(slope)),
        "you took |v| > b",
    ),
    (
        "check_threshold_slope",
        lambda v, b, slope: -torch.einsum("bm,bm->m", slope, torch.relu(v - b)),
        "you multiplied by z",
    ),
    ("check_support_step", lambda z, Wd: row_steps(z, Wd, torch.isfinite), "1/L of all"),
    ("check_support_step", lambda z, Wd: row_steps(z, Wd, lambda row: row > 0), "negative coeff"),
    ("check_support_step", lambda z, Wd: row_steps(z, Wd, lambda row: row == 0), "the resting fil"),
    ("check_support_step", lambda z, Wd: 1 / row_steps(z, Wd, lambda r: r != 0), "this is L_A"),
    (
        "check_support_step",
        lambda z, Wd: (z != 0).any(1, keepdim=True) / row_steps(z, Wd, lambda r: r != 0),
        "this is L_A, not 1/L_A",
    ),
    (
        "check_support_step",
        lambda z, Wd: torch.where(
            (z != 0).any(1, keepdim=True), row_steps(z, Wd, lambda r: r != 0), 1e12
        ),
        "not 1/1e-12",
    ),
    ("check_support_step", lambda z, Wd: 2 * row_steps(z, Wd, lambda r: r != 0), "this is 2/L_A"),
    ("check_support_step", lambda z, Wd: row_steps(z, Wd, lambda r: r != 0) ** 0.5, "be squared"),
    (
        "check_support_step",
        lambda z, Wd: row_steps(z, Wd, lambda row: (z != 0).any(0)),
        "all together",
    ),
    (
        "check_support_step",
        lambda z, Wd: 1 / torch.stack([Wd[:, row != 0].square().sum()[None] for row in z]),
        "the Frobenius norm",
    ),
    ("check_bounded_columns", lambda W, c: W / W.norm(dim=0).clamp(min=1e-9) * c, "left alone"),
    ("check_bounded_columns", lambda W, c: bounded(W.T, c).T, "you scaled rows"),
    ("check_bounded_columns", lambda W, c: W * min(1, c / W.norm()), "by one number"),
    ("check_bounded_columns", lambda W, c: W.clamp(-c, c), "bounds each entry"),
    ("check_bounded_columns", lambda W, c: bounded(W, c) / c * (W.norm(dim=0) > c), "off by up"),
    (
        "check_bounded_columns",
        lambda W, c: torch.where(W.norm(dim=0) > c, W / W.norm(dim=0), W / c),
        "then scaled to longest",
    ),
    ("check_bounded_columns", lambda W, c: bounded(W, c, lambda w: w.abs().sum()), "is the L1"),
    ("check_bounded_columns", lambda W, c: W / W.norm(dim=0) * c, "nan"),
    ("check_learned_numbers", lambda n, m, c, T: numbers(n, m, c, T, S=T - 1), "used T − 1 times"),
    ("check_learned_numbers", lambda n, m, c, T: numbers(n, m, c, T, S=T), "again and again"),
    ("check_learned_numbers", lambda n, m, c, T: numbers(n, m, c, T, b=0), "left out b"),
    ("check_learned_numbers", lambda n, m, c, T: numbers(n, m, c, T, Wd=0), "out the decoder"),
    ("check_learned_numbers", lambda n, m, c, T: numbers(n, m, c, T, Wc=0), "out the classif"),
    ("check_learned_numbers", lambda n, m, c, T: numbers(n, m, c, T, S=0), "left out S"),
    (
        "check_learned_numbers",
        lambda n, m, c, T: numbers(n, m, c, T, S=T, We=T, b=T),
        "share one We",
    ),
    ("check_learned_numbers", lambda n, m, c, T: numbers(n, m, c, T) + c, "threshold of its own"),
    ("check_learned_numbers", lambda n, m, c, T: None, "returned None"),
    ("check_missing_bound", lambda f, l, r, e, T: betrayed(f, l, r, e, 1), "mind T"),
    ("check_missing_bound", lambda f, l, r, e, T: betrayed(f, l, r, e.relu(), T), "take its size"),
    (
        "check_missing_bound",
        lambda f, l, r, e, T: torch.cat(
            [(r.norm(dim=1) / l.norm(dim=1)).max()[None], betrayed(f, l, r, e, T)[1:]]
        ),
        "its L1",
    ),
    ("check_missing_bound", lambda f, l, r, e, T: betrayed(l, l, r, e, T), "the first code"),
    ("check_missing_bound", lambda *a: betrayed(*a, over=torch.mean), "not the mean"),
    ("check_missing_bound", lambda *a: 1 / betrayed(*a), "turn the ratios"),
    ("check_missing_bound", lambda *a: betrayed(*a).argmax(), "the shape is"),
    (
        "check_norms_of_pools",
        lambda z, pools: norms_by_hand(z, pools, lambda w, row: sum(w * row**2)),
        "these are squared norms",
    ),
    (
        "check_norms_of_pools",
        lambda z, pools: norms_by_hand(torch.linalg.vector_norm(z, dim=0).expand_as(z), pools),
        "summed over the batch",
    ),
    (
        "check_norms_of_pools",
        lambda z, pools: norms_by_hand(z, pools, lambda w, row: (w * row).norm()),
        "you squared the weights",
    ),
    (
        "check_norms_of_pools",
        lambda z, pools: norms_by_hand(z, pools, lambda w, row: row[w > 0].norm()),
        "left out the weights",
    ),
    (
        "check_norms_of_pools",
        lambda z, pools: norms_by_hand(z, pools, lambda w, row: sum(w * abs(row))),
        "this is an L1",
    ),
    (
        "check_norms_of_pools",
        lambda z, pools: norms_by_hand(z, pools, lambda w, row: (w @ row**2 / sum(w)) ** 0.5),
        "by the pool's total weight",
    ),
    ("check_norms_of_pools", lambda z, pools: norms_by_hand(z, pools).T, "the shape is"),
    ("check_ring_pool", lambda m, s, d, j: ring_by_hand(m, s, j * d, False), "is cut off"),
    ("check_ring_pool", lambda m, s, d, j: ring_by_hand(m, s, j), "left out the stride"),
    ("check_ring_pool", lambda m, s, d, j: ring_by_hand(m, s, j * s), "not at j · size"),
    (
        "check_ring_pool",
        lambda m, s, d, j: ring_by_hand(m, s, j * d - (s - 1) // 2),
        "not its middle",
    ),
    ("check_ring_pool", lambda m, s, d, j: ring_by_hand(m, s + 1, j * d), "one unit too many"),
    ("check_ring_pool", lambda m, s, d, j: ring_by_hand(m, s - 1, j * d), "one unit too few"),
    (
        "check_ring_pool",
        lambda m, s, d, j: ring_by_hand(m, s + (j * d + s > m), j * d),  # only where it goes round
        "one unit too many",
    ),
    (
        "check_ring_pool",
        lambda m, s, d, j: ring_by_hand(m, s - (j * d + s > m), j * d),
        "one unit too few",
    ),
    ("check_ring_pool", lambda m, s, d, j: [1.0] * m, "returned a list"),
    ("check_block_shrink", lambda v, theta, size: shrink_by_hand(v, theta), "each component by θ"),
    ("check_block_shrink", lambda v, theta, size: blocks(v, theta, len(v.T)), "row as one block"),
    (
        "check_block_shrink",
        lambda *a: blocks(*a, length=lambda norm, theta: norm - theta),
        "yours turns round",
    ),
    (
        "check_block_shrink",
        lambda *a: blocks(*a, of=lambda m, s: [range(k, m, m // s) for k in range(m // s)]),
        "units side by side",
    ),
    (
        "check_block_shrink",
        lambda v, theta, size: blocks(v, theta, len(v.T) // size),
        "you made size blocks",
    ),
    (
        "check_block_shrink",
        lambda *a: blocks(*a, length=lambda norm, theta: norm if norm > theta else 0),
        "kept its full length",
    ),
    (
        "check_block_shrink",
        lambda v, theta, size: blocks(v, theta * size**0.5, size),
        "multiplied θ by √size",
    ),
    (
        "check_block_shrink",
        lambda *a: blocks(*a, length=lambda norm, theta: norm * max(norm - theta, 0)),
        "divide by the norm, too",
    ),
    (
        "check_block_shrink",
        lambda v, theta, size: torch.cat(
            [
                b / b.norm(dim=1)[:, None] * b.norm(dim=1)[:, None].sub(theta).relu()
                for b in v.split(size, 1)
            ],
            1,
        ),
        "case 3: the result holds nan",
    ),
    (
        "check_group_lambda_max",
        lambda *a: pulls(*a, of=lambda c: max(abs(c))).amax(1),
        "the λ_max of L1",
    ),
    (
        "check_group_lambda_max",
        lambda *a: pulls(*a).square().sum(1).sqrt(),
        "the norm over all units",
    ),
    ("check_group_lambda_max", lambda *a: pulls(*a).min(1).values, "the smallest of the pools"),
    (
        "check_group_lambda_max",
        lambda *a: pulls(*a).sum(1) / len(a[2]),
        "the mean over the pools",
    ),
    (
        "check_group_lambda_max",
        lambda *a: pulls(*a).amax() * torch.ones(len(a[0])).double(),
        "one λ for the whole batch",
    ),
    (
        "check_group_lambda_max",
        lambda *a: pulls(*a, of=lambda c: sum(c**2)).amax(1),
        "the square of the largest norm",
    ),
    (
        "check_group_lambda_max",
        lambda *a: pulls(*a, of=lambda c: sum(abs(c))).amax(1),
        "the largest L1 of a pool",
    ),
    ("check_group_lambda_max", lambda *a: pulls(*a, of=sum).amax(1), "you summed c itself"),
    ("check_group_lambda_max", lambda *a: pulls(*a).amax(1, keepdim=True), "the shape is"),
    ("check_units_along", lambda image, field, per: (image - field) * per, "the last place counts"),
    ("check_units_along", lambda image, field, per: (image - field + 2) * per, "too many"),
    (
        "check_units_along",
        lambda image, field, per: (image - field) * per + 1,
        "before you multiply",
    ),
    ("check_units_along", lambda image, field, per: image - field + 1, "each has per units"),
    ("check_units_along", lambda image, field, per: (image - field + 1) * per**2, "per² units"),
    ("check_units_along", lambda image, field, per: image * per, "a field needs room"),
    ("check_units_along", lambda image, field, per: image // field * per, "fields overlap"),
    ("check_seen_by_unit", lambda x, s, per, r, c: cut(x, s, r, c), "you forgot per"),
    ("check_seen_by_unit", lambda x, s, per, r, c: cut(x, s, c // per, r // per), "are exchanged"),
    ("check_seen_by_unit", lambda x, s, p, r, c: cut(x, s, r // p + 1, c // p + 1), "off by one"),
    (
        "check_seen_by_unit",
        lambda x, s, p, r, c: cut(x, s, max(r // p - s // 2, 0), max(c // p - s // 2, 0)),
        "not its middle",
    ),
    ("check_seen_by_unit", lambda x, s, p, r, c: cut(x, s, r * p, c * p), "do not multiply"),
    ("check_seen_by_unit", lambda x, s, p, r, c: cut(x, s, r // p * s, c // p * s), "whole field"),
    ("check_seen_by_unit", lambda x, s, p, r, c: cut(x, s, r // p, c // p).mT, "is mirrored"),
    ("check_seen_by_unit", lambda x, s, p, r, c: x[:, r // p :, c // p :], "the shape is"),
    (
        "check_line_synthesis",
        lambda z, Wd: painted(z, Wd, add=lambda old, new: new),
        "and the later one overwrites the earlier: add",
    ),
    (
        "check_line_synthesis",
        lambda z, Wd: painted(z, Wd, place=lambda k, i: k + len(Wd) - 1 - i),
        "back to front",
    ),
    (
        "check_line_synthesis",
        lambda z, Wd: painted(z, torch.stack([Wd[:, 0]] * Wd.shape[1], 1)),
        "one filter for all units",
    ),
    ("check_line_synthesis", lambda z, Wd: painted(z / z, Wd), "the codes are missing"),
    ("check_line_synthesis", lambda z, Wd: painted(z, Wd / Wd), "the filters are missing"),
    (
        "check_line_synthesis",
        lambda z, Wd: painted(z, Wd) / painted(z[:1] / z[:1], Wd / Wd),
        "you took the mean",
    ),
    ("check_line_synthesis", lambda z, Wd: painted(z, Wd)[:, : Wd.shape[1]], "the shape is"),
    ("check_line_synthesis", by_offset, "offsets overlap"),
    ("check_tile_by_tile", lambda z, side, t, u: z.reshape(len(z), -1, t * u), "in pieces"),
    (
        "check_tile_by_tile",
        lambda z, side, t, u: torch.cat(
            [in_reading_order(z, side, t, u)[:, b :: side // u] for b in range(side // u)],
            1,
        ),
        "tiles are in the wrong order",
    ),
    (
        "check_tile_by_tile",
        lambda z, side, t, u: in_reading_order(z, side, t, u)[
            :, :, [i * u + j for j in range(u) for i in range(t)]
        ],
        "units inside a tile",
    ),
    (
        "check_tile_by_tile",
        lambda z, side, t, u: numbered(
            z, side, t, u, lambda a, b, i, j: (i * (side // t) + a, j * (side // u) + b)
        ),
        "every (side / t)-th unit",
    ),
    (
        "check_tile_by_tile",
        lambda z, s, t, u: in_reading_order(z, s, u, t),
        "t and u are exchanged",
    ),
    (
        "check_tile_by_tile",
        lambda z, side, t, u: torch.cat(
            [
                in_reading_order(z, side, t, u)[
                    :, b :: side // u, [i * u + j for j in range(u) for i in range(t)]
                ]
                for b in range(side // u)
            ],
            1,
        ),
        "go down first",
    ),
    ("check_turns_round", lambda theta: winding(theta, sign=-1), "the sign is turned"),
    ("check_turns_round", lambda theta: winding(theta, 2 * math.pi), "not mod 2π"),
    ("check_turns_round", lambda theta: 2 * winding(theta, 2 * math.pi), "and divided by π"),
    (
        "check_turns_round",
        lambda theta: winding(theta, legs=(0, 1, 2), whole=float),
        "the way back",
    ),
    ("check_turns_round", lambda theta: winding(theta, 1e9), "always add up to 0"),
    ("check_turns_round", lambda theta: winding(theta) / 2, "not by 2π"),
    ("check_turns_round", lambda theta: winding(theta).abs(), "you took the size"),
    ("check_turns_round", lambda theta: math.pi * winding(theta), "divide it by π"),
    ("check_rate_of", lambda m, v: -known_rate(m, v), "the sign is turned"),
    ("check_rate_of", lambda m, v: 2 * known_rate(m, v), "the ½ is missing"),
    (
        "check_rate_of",
        lambda m, v: 0.5 * (m**2 + v - 1 - torch.log(v)).sum(1),
        "you took log_var for the variance",
    ),
    ("check_rate_of", lambda m, v: known_rate(m, v + v), "you took log_var for ln σ: it is"),
    (
        "check_rate_of",
        lambda m, v: rate_by_hand(m, v, lambda m, var, v: (m**2 + var - 1 + v) / 2),
        "+ ln σ² pulls",
    ),
    (
        "check_rate_of",
        lambda m, v: rate_by_hand(m, v, lambda m, var, v: (m + var - 1 - v) / 2),
        "square the mean",
    ),
    (
        "check_rate_of",
        lambda m, v: rate_by_hand(m, v, lambda m, var, v: (var - 1 - v) / 2),
        "the spring is missing",
    ),
    (
        "check_rate_of",
        lambda m, v: rate_by_hand(m, v, lambda m, var, v: (m**2 + var - v) / 2),
        "the −1 is missing",
    ),
    ("check_rate_of", lambda m, v: known_rate(m, v) / len(m.T), "you took the mean over units"),
    ("check_rate_of", lambda m, v: known_rate(m, v) / math.log(2), "these are bits"),
    ("check_rate_of", lambda m, v: known_rate(m, v)[:, None], "the shape is"),
    ("check_drawn_code", lambda m, v, e: m + torch.exp(v) * e, "the ½ is missing: exp(log_var)"),
    ("check_drawn_code", lambda m, v, e: m + v * e, "you multiply by ln σ²"),
    ("check_drawn_code", lambda m, v, e: m + v / 2 * e, "you multiply by ln σ: σ is its exp"),
    ("check_drawn_code", lambda m, v, e: m + e / v.exp().sqrt(), "you divide by σ"),
    ("check_drawn_code", lambda m, v, e: 1 * m, "this is the mean alone"),
    ("check_drawn_code", lambda m, v, e: m + e, "σ is missing"),
    ("check_drawn_code", lambda m, v, e: v.exp().sqrt() * e, "the mean is missing"),
    ("check_drawn_code", lambda m, v, e: m + v**0.5 * e, "you took log_var for the variance: its"),
    ("check_drawn_code", lambda m, v, e: e + v.exp().sqrt() * m, "σ belongs to the noise"),
    ("check_drawn_code", lambda m, v, e: v.exp().sqrt() * (e + m), "the mean is multiplied"),
    ("check_drawn_code", lambda m, v, e: m - v.exp().sqrt() * e, "you subtract it"),
    (
        "check_expected_error",
        lambda *a: error_by_unit(*a, add=lambda d, var: 0 * var),
        "the error of the mean alone",
    ),
    (
        "check_expected_error",
        lambda *a: error_by_unit(*a, add=lambda d, var: (d**2).sum() * var),
        "the ½ before the noise's part",
    ),
    ("check_expected_error", lambda *a: 2 * error_by_unit(*a), "both ½ are missing"),
    (
        "check_expected_error",
        lambda *a: error_by_unit(*a, half=1.0),
        "the ½ before the squared error",
    ),
    (
        "check_expected_error",
        lambda *a: error_by_unit(*a, add=lambda d, var: (d**2).sum() * var.sqrt() / 2),
        "you took σ for σ²",
    ),
    (
        "check_expected_error",
        lambda *a: error_by_unit(*a, add=lambda d, var: (d**2).sum() * var.log() / 2),
        "you took log_var for the variance: it is its logarithm",
    ),
    (
        "check_expected_error",
        lambda *a: error_by_unit(*a, add=lambda d, var: var / 2),
        "noise goes through the decoder",
    ),
    (
        "check_expected_error",
        lambda *a: error_by_unit(*a, add=lambda d, var: (d**2).sum().sqrt() * var / 2),
        "must be squared",
    ),
    (
        "check_expected_error",
        lambda *a: error_by_unit(*a, add=lambda d, var: -(d**2).sum() * var / 2),
        "noise never makes the error smaller",
    ),
    (
        "check_evidence_at_test",
        lambda o, e, Wc: told(halves(o, Wc)[0] + halves(o, Wc)[1].exp().sqrt() * e, Wc),
        "asked twice, it answers twice",
    ),
    (
        "check_evidence_at_test",
        lambda o, e, Wc: (halves(o, Wc)[0] + halves(o, Wc)[1].exp().sqrt() * e) @ Wc.T,
        "you drew the code, and its length",
    ),
    (
        "check_evidence_at_test",
        lambda o, e, Wc: halves(o, Wc)[0] @ Wc.T,
        "the length of the code is not divided out: evidence",
    ),
    ("check_evidence_at_test", lambda o, e, Wc: told(halves(o, Wc)[1], Wc), "you read ln σ²"),
    (
        "check_evidence_at_test",
        lambda o, e, Wc: told(o.reshape(len(o), -1, 2)[:, :, 0], Wc),
        "not every second",
    ),
    (
        "check_evidence_at_test",
        lambda o, e, Wc: halves(o, Wc)[0] @ Wc.T / o.norm(dim=1)[:, None],
        "the length of all outputs",
    ),
    (
        "check_evidence_at_test",
        lambda o, e, Wc: torch.softmax(told(halves(o, Wc)[0], Wc), 1),
        "you took the softmax",
    ),
    (
        "check_evidence_at_test",
        lambda o, e, Wc: halves(o, Wc)[0] @ Wc.T / halves(o, Wc)[0].norm(),
        "the norm of the whole batch",
    ),
    ("check_water_bits", lambda v, level: poured(v, level) * math.log(2), "these are nats"),
    (
        "check_water_bits",
        lambda v, level: poured(v, level, lambda v, level: math.log2(v / level)),
        "the ½ is missing: variances",
    ),
    (
        "check_water_bits",
        lambda v, level: poured(v, level, over=lambda *_: True),
        "axes under water give no bits back",
    ),
    (
        "check_water_bits",
        lambda v, level: poured(
            v, level, lambda v, level: math.log2(level / v) / 2, lambda v, level: v < level
        ),
        "upside down",
    ),
    ("check_water_bits", lambda v, level: -poured(v, level), "bits are not negative"),
    (
        "check_water_bits",
        lambda v, level: poured(v, level, min, lambda *_: True),
        "this is the distortion",
    ),
    ("check_water_bits", lambda v, level: poured(v, level) / len(v.T), "the mean over axes"),
    (
        "check_water_bits",
        lambda v, level: poured(
            v, level, lambda v, level: math.log2(max(v, level)) / 2, lambda *_: True
        ),
        "says nothing of the level",
    ),
    (
        "check_water_bits",
        lambda v, level: poured(
            v, level, lambda v, level: math.log2(1 + v / level) / 2, lambda *_: True
        ),
        "that of a channel",
    ),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_a_right_answer_written_another_way_passes(check, answer, capsys):
    assert verdict(check, answer, capsys).startswith("✓ right in all")


@pytest.mark.parametrize(("check", "answer", "message"), PLANTED)
def test_a_planted_mistake_is_named(check, answer, message, capsys):
    said = verdict(check, answer, capsys)
    assert said.startswith("✗")
    assert message in said


def test_every_known_mistake_is_planted_here():
    modules = Path(exercises.__file__).parent.glob("*.py")
    sources = [module.read_text(encoding="utf-8") for module in modules]
    known = re.findall(r'^        "([^"]+)": ', "\n".join(sources), re.MULTILINE)
    assert len(known) >= 25
    for message in known:
        assert any(part in message for _, _, part in PLANTED), message
