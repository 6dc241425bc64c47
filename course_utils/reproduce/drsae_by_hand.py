"""DrSAE as matrices, with its slopes written out by hand: chapter 3 at full size runs on these."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

Matrices = dict[str, Tensor]


def codes_of(net: Matrices, x: Tensor, T: int) -> Tensor:
    """Return the code after each iteration, (T, B, m), for x (B, n)."""
    u = torch.addmm(-net["b"], x, net["We"].T)
    codes = u.new_empty(T, *u.shape)
    torch.clamp(u, min=0, out=codes[0])
    for t in range(1, T):
        torch.addmm(u, codes[t - 1], net["S"].T, out=codes[t]).relu_()
    return codes


def ista_encoder(Wd: Tensor, step: float, threshold: float) -> Matrices:
    """Return We (m, n), S (m, m) and b (m,) of non-negative ISTA with filters Wd (n, m)."""
    m = Wd.shape[1]
    return {
        "We": step * Wd.T,
        "S": torch.eye(m) - step * Wd.T @ Wd,
        "b": Wd.new_full((m,), threshold),
    }


def factors(
    net: Matrices, x: Tensor, y: Tensor, weights: dict[str, float], T: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return for each matrix two factors (k, rows) and (k, columns): the slope of the weighted
    criteria, summed over the minibatch x (B, n), y (B,), is left.T @ right.

    By hand: each slope is a product of what comes back from above and what was sent up.
    """
    codes = codes_of(net, x, T)
    back, rest, surplus = going_back(net, codes, x, y, weights)
    direction = normalize(codes[-1])
    total = back.sum(0)
    return {
        "We": (total, x),
        "b": (total, -x.new_ones(len(x), 1)),
        "S": (back[1:].flatten(0, 1), codes[:-1].flatten(0, 1)),
        "Wd": (weights["reconstruction"] * rest, codes[-1]),
        "Wc": (weights["classification"] * surplus, direction),
    }


def going_back(
    net: Matrices, codes: Tensor, x: Tensor, y: Tensor, weights: dict[str, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the slope of the summed criteria with respect to what each unit adds up at each
    iteration, (T, B, m); Wd z − x; and by how much the softmax exceeds the truth, (B, c).

    codes (T, B, m) of x (B, n), whose classes are y (B,). Nothing goes back through a unit that
    rests: its slope is zero there.
    """
    z = codes[-1]
    rest = z @ net["Wd"].T - x
    arrives = weights["reconstruction"] * rest @ net["Wd"] + weights["sparsity"]
    length = z.norm(dim=1, keepdim=True).clamp(min=1e-12)
    direction = z / length
    surplus = (direction @ net["Wc"].T).softmax(1)
    surplus[torch.arange(len(y)), y] -= 1
    along = weights["classification"] * surplus @ net["Wc"]
    arrives += (along - direction * (direction * along).sum(1, keepdim=True)) / length
    back = torch.empty_like(codes)
    back[-1] = arrives * (z > 0)
    for t in range(len(codes) - 2, -1, -1):
        torch.mm(back[t + 1], net["S"], out=back[t]).mul_(codes[t] > 0)
    return back, rest, surplus


def last_codes(net: Matrices, x: Tensor, T: int) -> Tensor:
    """Return the code (B, m) after T iterations, for x (B, n), a block of rows at a time."""
    return torch.cat([codes_of(net, rows, T)[-1] for rows in x.split(1000)])


def angles_of(net: Matrices) -> Tensor:
    """Return the angle, in radians, between row of We and column of Wd, for each unit: (m,)."""
    cosine = (normalize(net["We"], dim=1) * normalize(net["Wd"], dim=0).T).sum(1)
    return cosine.clamp(-1, 1).acos()
