"""What a slider needs is found by name, without a browser."""

import pytest

from .needed import names, needed

CELLS = [
    "import numpy as np",
    "#| export\ndef late():\n    return helper()",
    "data = np.ones(3)",
    "other = data + 1",
    "#| export\ndef helper():\n    return 1",
    "def draw(k):\n    other_local = k\n    return late() * data[k], other_local",
    "print(other)",
    "sliders(draw)",
]


def test_what_is_wanted_brings_what_it_uses_and_all_that_is_exported():
    assert needed(CELLS, [7]) == [0, 1, 2, 4, 5, 7]
    assert needed(CELLS, [6]) == [0, 1, 2, 3, 4, 6]
    assert needed(CELLS, []) == [1, 4]


@pytest.mark.parametrize(
    ("source", "bound", "used"),
    [
        ("x = y", {"x"}, {"y"}),
        ("import a.b as c, d.e", {"c", "d"}, set()),
        ("x = [i for i in y]", {"x"}, {"y"}),
        ("def f(x):\n    z = x\n    return lambda: z + w", {"f"}, {"w"}),
        ("class A(B):\n    def f(self):\n        return C", {"A"}, {"B", "C"}),
        ("for i in range(n):\n    total = i", {"i", "total"}, {"range", "n"}),
        ("with a as b:\n    c.d = b", {"b"}, {"a", "c"}),
    ],
)
def test_names_are_those_that_python_sees(source, bound, used):
    assert names(source) == (bound, used)
