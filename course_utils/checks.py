"""What you believe: claims under the text, and checks of exercises that name the likely mistake."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Function = Callable[..., Tensor]
COLOURS = {"✓": 32, "✗": 31, "○": 34}  # green, red, blue, as terminals and notebooks number them


def claim(holds: bool, text: str) -> None:
    """Print a tick and the text if it holds; raise AssertionError with the text if it does not."""
    if not holds:
        raise AssertionError(f"✗ {text}")
    print(f"✓ {text}")


def exercise(
    answer: Function, solution: Function, mistakes: dict[str, Function], cases: Sequence[tuple]
) -> None:
    """Print whether a student's function is right on all cases, and if not, what is likely wrong.

    Args:
        answer: the student's function. NotImplementedError from it means "not written yet".
        solution: a right one, to compare with.
        mistakes: wrong functions by the message that tells a student who made that mistake.
        cases: the inputs, a tuple of arguments each; tensors are handed out as copies.
    """
    verdict = _verdict(answer, cases, *_both(solution, mistakes))
    print(f"\033[{COLOURS[verdict[0]]}m{verdict}\033[0m")


def require(
    answer: Function, solution: Function, mistakes: dict[str, Function], cases: Sequence[tuple]
) -> None:
    """Like `exercise`, for hidden tests of homework: raise AssertionError if answer is not right.

    The error's text says what is likely wrong, as `exercise` would print it.
    """
    _demand(_verdict(answer, cases, *_both(solution, mistakes)))


def known(
    answer: Function,
    cases: Sequence[tuple],
    results: Sequence[Sequence],
    mistakes: dict[str, Sequence[Sequence]],
) -> None:
    """Like `require`, for checks that students may read: it holds results, and no solution.

    Args:
        answer: the student's function.
        cases: the inputs, a tuple of arguments each.
        results: the right result of each case, as nested lists with seven digits.
        mistakes: by message, the results of that mistake, one for each case.

    Raises ValueError if there is not one result for each case.
    """
    for message, values in [("the right answer", results), *mistakes.items()]:
        if len(values) != len(cases):
            raise ValueError(f"{len(values)} results for {len(cases)} cases: {message}")

    def recorded(values: Sequence) -> Function:
        return lambda number, *_: torch.tensor(values[number])

    wrong = {message: recorded(values) for message, values in mistakes.items()}
    _demand(_verdict(answer, cases, recorded(results), wrong))


def _demand(verdict: str) -> None:
    """Print a verdict that is good; raise AssertionError with one that is not."""
    if not verdict.startswith("✓"):
        raise AssertionError(verdict)
    print(verdict)


def _both(solution: Function, mistakes: dict[str, Function]):
    """Return solution and mistakes as functions that also take the number of the case first."""

    def numbered(function: Function) -> Function:
        return lambda _, *arguments: function(*arguments)

    return numbered(solution), {message: numbered(wrong) for message, wrong in mistakes.items()}


def _verdict(answer, cases, solution, mistakes) -> str:
    for number, case in enumerate(cases):
        expected = solution(number, *_copies(case))
        mine = _copies(case)
        try:
            got = answer(*mine)
        except NotImplementedError as unwritten:
            return f"○ not written yet: {unwritten}"
        except Exception as error:  # noqa: BLE001 - whatever the student raises must be told
            return f"✗ case {number + 1}: your function raised {type(error).__name__}: {error}"
        complaint = _form(got, expected) or _changed(mine, case)
        if complaint:
            return f"✗ case {number + 1}: {complaint}"
        if not _equal(got, expected):
            return f"✗ case {number + 1}: " + _diagnosis(got, expected, mistakes, number, case)
    return f"✓ right in all {len(cases)} cases"


def _diagnosis(got: Tensor, expected: Tensor, mistakes: dict[str, Function], number, case) -> str:
    for message, wrong in mistakes.items():
        if _equal(got, wrong(number, *_copies(case))):
            return message
    if expected.dtype == torch.bool:
        many, few = (got.bool() & ~expected).sum(), (expected & ~got.bool()).sum()
        return f"{many} entries are True and should be False, {few} the other way round"
    got, expected = got.double(), expected.double()
    worst = int((got - expected).abs().argmax())
    return (
        f"your result is off by up to {(got - expected).abs().max():.3g}; the worst entry is "
        f"{got.flatten()[worst]:.8g} and should be {expected.flatten()[worst]:.8g}"
    )


def _form(got, expected: Tensor) -> str:
    """Return what is wrong with the form of a result, or an empty text."""
    if got is None:
        return "your function returned None: is the `return` missing?"
    if not isinstance(got, Tensor):
        return f"your function returned a {type(got).__name__}, not a tensor"
    if got.shape != expected.shape:
        return f"the shape is {tuple(got.shape)} and should be {tuple(expected.shape)}"
    if expected.dtype == torch.bool != got.dtype:
        return f"the result should be True or False (torch.bool), not {got.dtype}"
    if not got.isfinite().all():
        return "the result holds nan or infinite entries: what is divided by what?"
    return ""


def _changed(mine: tuple, case: tuple) -> str:
    """Return a complaint if the student's function changed its inputs, or an empty text."""
    pairs = zip(mine, case, strict=True)
    if all(a.equal(b) for a, b in pairs if isinstance(a, Tensor)):
        return ""
    return "your function changed its inputs in place: the caller still needs them"


def _copies(case: tuple) -> tuple:
    return tuple(a.clone() if isinstance(a, Tensor) else a for a in case)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Return whether a and b have one shape and agree to rounding."""
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-5, atol=1e-7)
