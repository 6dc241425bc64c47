"""Random cases on which the checks compare answers."""

import numpy as np
from torch import Tensor

from course_utils.data import normal


def cases_of(seed: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return problems (x, z, Wd) of two sizes, in float64, with unit-norm filters."""
    generator = np.random.default_rng(seed)
    cases = []
    for B, n, m in ((2, 8, 12), (5, 20, 30)):
        x, z, Wd = (normal(generator, *s) for s in ((B, n), (B, m), (n, m)))
        cases.append((x, z * (z.abs() > 1), Wd / Wd.norm(dim=0)))
    return cases
