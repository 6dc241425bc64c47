"""What the solution of chapter 2's last exercise says of vector AMP, measured by that solution."""

import re
from itertools import pairwise

import nbformat
import numpy as np
import pytest
import torch
from test_exercises import NOTEBOOKS, SOLUTION, defined

from course_utils.built.lista import amp, conditioned, nmse_db, synthetic_pairs

SEEDS = [60, 61, 62]
ALPHAS = {"soft VAMP": (0.8, 1.0, 1.14, 1.3, 1.5, 1.8), "AMP": (1.0, 1.14, 1.3, 2.0, 3.0, 4.0, 6.0)}


@pytest.fixture(scope="module")
def text() -> str:
    cells = nbformat.read(NOTEBOOKS / "02_lista.ipynb", 4).cells
    return next(cell.source for cell in cells if "```python\ndef soft_vamp" in cell.source)


@pytest.fixture(scope="module")
def soft_vamp(text):
    return defined(SOLUTION.search(text).group(1), "soft_vamp")


def problem(seed):
    """Return a dictionary, σ, and inputs with codes for validation and test, in float64."""
    Wd = conditioned(250, 500, 15.0, np.random.default_rng(seed)).double()
    valid, test = (
        next(synthetic_pairs(Wd, size, np.random.default_rng([draw, 31]), 40.0))
        for size, draw in ((100, 100), (300, 101))
    )
    return Wd, (valid[1] @ Wd.T).std().item() / 100, valid, test


def best(code, alphas, valid, test) -> tuple[float, float]:
    """Return the α that is best on the validation inputs, and its score on the test inputs."""
    scores = {alpha: nmse_db(code(valid[0], alpha), valid[1]) for alpha in alphas}
    alpha = min(scores, key=lambda a: scores[a] if np.isfinite(scores[a]) else np.inf)
    return alpha, nmse_db(code(test[0], alpha), test[1])


@pytest.mark.parametrize("column", range(3), ids=SEEDS)
def test_the_scores_of_its_table_are_reached(column, text, soft_vamp):
    Wd, sigma, valid, test = problem(SEEDS[column])
    codes = {
        "AMP, 16 steps, best α up to 6": lambda x, alpha: amp(x, Wd, alpha, 16),
        "soft VAMP, 16 steps": lambda x, alpha: soft_vamp(x, Wd, alpha, 16, sigma),
        "soft VAMP, 32 steps": lambda x, alpha: soft_vamp(x, Wd, alpha, 32, sigma),
    }
    for name, code in codes.items():
        (row,) = re.findall(rf"^\| {name} \| (.+) \|$", text, re.MULTILINE)
        alpha, score = best(code, ALPHAS[name.split(",")[0]], valid, test)
        assert row.split(" | ")[column] == f"{score:.1f}".replace("-", "−")
        assert alpha == (3.0 if name.startswith("AMP") else 1.14)
    assert nmse_db(amp(test[0], Wd, 1.14, 16), test[1]) > 50  # it grows


@pytest.mark.parametrize("seed", SEEDS)
def test_where_it_settles_its_code_is_a_minimiser_and_elsewhere_a_unit_comes_and_goes(
    seed, soft_vamp
):
    Wd, sigma, _, (x, _) = problem(seed)
    x = x[:100]
    codes = [soft_vamp(x, Wd, 1.14, steps, sigma) for steps in (300, 301, 302)]
    z = codes[0]
    c, on = (x - z @ Wd.T) @ Wd, z != 0
    price = torch.where(on, c * z.sign(), torch.nan).nanmedian(1, keepdim=True).values
    breach = torch.where(on, (c - price * z.sign()).abs(), (c.abs() - price).clamp(min=0))
    settled = (breach.amax(1, keepdim=True) < 1e-6 * price)[:, 0]
    assert 0.4 < settled.double().mean() < 0.7
    moved = torch.stack([(b != 0) != (a != 0) for a, b in pairwise(codes)]).any(2).any(0)
    assert not moved[settled].any()
    assert moved[~settled].double().mean() > 0.5
    assert (codes[1] - z)[~settled].norm() < 1e-3 * z[~settled].norm()
