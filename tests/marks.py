"""Which cases of a test run by default."""

from collections.abc import Collection, Iterable

import pytest


def slow_but(quick: Collection[str], names: Iterable[str]) -> list:
    """Names for `parametrize`, of which all but the quick ones are marked slow."""
    slow = pytest.mark.slow
    return [name if name in quick else pytest.param(name, marks=slow) for name in names]
