"""The rules of homework, held by the checks that students see: an answer stands on its own, works
in float64, and derives by hand what is to be derived by hand."""

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.exercises.homework import without_autograd
from course_utils.grading.judge import Remote

TOP = """import torch
from torch import Tensor
import numpy as np
from course_utils.exercises.homework import known, without_autograd
from course_utils.built.ista import shrink
m, names, table = 2, ["a"], torch.ones(2)"""
CHECK = "known(double, [(torch.tensor([1.0, 2.0]),)], [[2.0, 4.0]], {})"
WRAPPED = """def wrapped(*arguments):
    return double(*arguments)


""" + CHECK.replace("double", "wrapped")
HANDS = "without_autograd(double)\nprint('passed')"
STANDS = {
    "plain": "def double(x):\n    return 2 * x",
    "a constant of its own cell": "TWO = 2\ndef double(x):\n    return TWO * x",
    "a helper beside it": "def two():\n    return 2\n\ndef double(x):\n    return two() * x",
    "a local of the same name": "def double(x):\n    m = 2\n    return m * x",
    "an argument of the same name": "def double(m):\n    return 2 * m",
    "a comprehension": "def double(x):\n    return torch.stack([2 * m for m in x])",
    "functions and modules": "def double(x):\n    return shrink(2 * x, 0) + np.zeros(1)[0]",
    "a lambda": "double = lambda x: 2 * x",
    "an import of its own cell": "from math import e\ndef double(x):\n    return 2 * x + e - e",
}
LEANS = {
    "m": "def double(x):\n    return m * x",
    "table": "def double(x):\n    return x + table * x",
    "names": "def double(x):\n    return x * (len(names) + 1)",
    "m of a helper": "def two():\n    return m\n\ndef double(x):\n    return two() * x",
    "m in a nested one": "def double(x):\n    def two():\n        return m\n    return two() * x",
}
SINGLE = {
    "zeros": "def double(x):\n    new = torch.zeros(2)\n    return torch.lerp(new, 2 * x, 1.0)",
    "eye": "def double(x):\n    return x @ (2 * torch.eye(2))",
}


BY_HAND = "def double(x):\n    return 2 * x"
DERIVED = {
    "autograd": "def double(x):\n    return torch.autograd.grad(x.square().sum(), x)[0]",
    "requires_grad_": "def double(x):\n    y = x.clone().requires_grad_()\n    return y",
    "requires_grad": "def double(x):\n    return torch.zeros(2, requires_grad=True) + x",
    "backward": "def double(x):\n    x.square().sum().backward()\n    return x.grad",
    "vjp": "def double(x):\n    return torch.func.vjp(torch.square, x)[1](x)[0]",
    "torch.func": "def double(x):\n    return torch.func.grad(len)(x)",
    "grad": "from torch.func import grad\ndef double(x):\n    return grad(len)(x)",
    "slope": "from torch.func import grad as slope\ndef double(x):\n    return slope(len)(x)",
    "F": "import torch.func as F\ndef double(x):\n    return F.grad(len)(x)",
    "jacrev": "def double(x):\n    from torch.func import jacrev\n    return jacrev(len)(x)",
    "backward of torch": "def backward(x):\n    x.sum().backward()\n    return x.grad\n"
    "def double(x):\n    return backward(x)",
    "jacobian": "def double(x):\n    return jacobian(torch.square, x)",
    "jacobian of torch": "from torch.autograd.functional import jacobian\n"
    "def double(x):\n    return jacobian(torch.square, x)",
    "hessian": "from torch.func import grad as hessian\n"
    "def double(hessian_of):\n    return hessian(hessian_of)",
    "requires_grad of torch": "def double(x, requires_grad=True):\n"
    "    return torch.zeros(2, requires_grad=requires_grad) + x",
    "autograd in a helper": "def g(x):\n    return torch.autograd.grad(x)\ndouble = lambda x: g(x)",
}
HAND = {
    "plain": BY_HAND,
    "a name that says so": "def double(x):\n    gradient = grad = 2\n    return grad * x",
    "a test beside it": f"{BY_HAND}\n\ndef mine(x):\n    return torch.autograd.grad(x, x)",
    "its own backward": "def step_backward(x):\n    return x\ndef double(x):\n"
    "    return 2 * step_backward(x)",
    "a Jacobian": "def double(x):\n    jacobian = 2 * torch.eye(2)\n    return x @ jacobian.to(x)",
    "a helper backward": "def backward(x):\n    return 2 * x\ndef double(x):\n"
    "    return backward(x)",
    "a nested one": "def double(x):\n    def vjp(v):\n        return 2 * v\n    return vjp(x)",
    "an argument": "def by(x, hessian):\n    return hessian * x\ndef double(x):\n"
    "    return by(x, hessian=2)",
    "a constant": "jacobian = 2\ndef double(x):\n    return jacobian * x",
    "a lambda backward": "backward = lambda x: 2 * x\ndouble = lambda x: backward(x)",
    "words": 'def double(x):\n    """No autograd, no backward()."""\n    return 2 * x',
}


def judged(answer: str) -> str:
    """What `without_autograd` says of an answer in the grader's sandbox."""
    try:
        without_autograd(Remote(None, "double", "task1", answer))
    except AssertionError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def told() -> dict[tuple[str, str], str]:
    """What each check says of each answer in a notebook, by their sources."""
    checks = {
        CHECK: STANDS | LEANS | SINGLE,
        WRAPPED: STANDS | LEANS | SINGLE,
        HANDS: DERIVED | HAND,
    }
    pairs = [(check, answer) for check, group in checks.items() for answer in group.values()]
    cells = [TOP, *(source for check, answer in pairs for source in (answer, check))]
    notebook = new_notebook(cells=list(map(new_code_cell, cells)))
    NotebookClient(notebook, allow_errors=True).execute()
    said = [cell.outputs[0] for cell in notebook.cells[2::2]]
    texts = [output.get("evalue", "") or output.get("text", "") for output in said]
    return dict(zip(pairs, texts, strict=True))


@pytest.mark.parametrize("answer", STANDS.values(), ids=STANDS)
def test_an_answer_that_stands_on_its_own_is_right(told, answer):
    assert told[CHECK, answer] == told[WRAPPED, answer] == "✓ right in all 1 cases\n"


@pytest.mark.parametrize(("name", "answer"), LEANS.items())
def test_an_answer_that_reads_data_of_another_cell_is_refused(told, name, answer):
    for check in (CHECK, WRAPPED):
        assert f"reads `{name.split()[0]}`, which another cell defines" in told[check, answer]


@pytest.mark.parametrize("answer", SINGLE.values(), ids=SINGLE)
def test_an_answer_for_float32_alone_is_refused(told, answer):
    for check in (CHECK, WRAPPED):
        assert "That was in float64, in which the grader calls it, too" in told[check, answer]


@pytest.mark.parametrize(("name", "answer"), DERIVED.items())
def test_what_torch_derives_is_refused(told, name, answer):
    expected = f"✗ derive the slopes by hand: your code uses `{name.split()[0]}`"
    assert judged(answer) == told[HANDS, answer] == expected


@pytest.mark.parametrize("answer", HAND.values(), ids=HAND)
def test_what_is_derived_by_hand_passes(told, answer):
    assert judged(answer) == ""
    assert told[HANDS, answer] == "passed\n"
