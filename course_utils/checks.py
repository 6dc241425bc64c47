"""What you believe: claims under the text, and checks of exercises that name the likely mistake."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Function = Callable[..., Tensor]
COLOURS = {"✓": 32, "✗": 31, "○": 34}  # green, red, blue, as terminals and notebooks number them


class FormError(ValueError):
    """A result has the wrong form. Raised by what looks at it beside a student's function, which
    raised nothing: `exercise` tells the text as it is.
    """


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
    text = verdict(answer, solution, mistakes, cases)
    print(f"\033[{COLOURS[text[0]]}m{text}\033[0m")


def verdict(
    answer: Function, solution: Function, mistakes: dict[str, Function], cases: Sequence[tuple]
) -> str:
    """Return what `exercise` prints: it begins with ✓ if the answer is right, with ○ if there is
    none yet, else with ✗. A mistake is named only if it gives the answer's results in every case.
    """

    def numbered(function: Function) -> Function:
        return lambda _, *arguments: function(*arguments)

    wrong = {message: numbered(mistake) for message, mistake in mistakes.items()}
    return verdict_by_number(answer, numbered(solution), wrong, cases)


def verdict_by_number(
    answer: Function, solution: Function, mistakes: dict[str, Function], cases: Sequence[tuple]
) -> str:
    """Like `verdict`, with a solution and mistakes that take the number of the case first."""
    made = [_outcome(answer, case) for case in cases]
    for number, (case, (got, mine)) in enumerate(zip(cases, made, strict=True)):
        if isinstance(got, NotImplementedError):
            return f"○ not written yet: {got}"
        if isinstance(got, FormError):
            return f"✗ case {number + 1}: {got}"
        if isinstance(got, Exception):
            return f"✗ case {number + 1}: your function raised {type(got).__name__}: {got}"
        expected = solution(number, *_copies(case))
        complaint = _form(got, expected) or _changed(mine, case)
        if not complaint and not _equal(got, expected):
            values = [value for value, _ in made]
            complaint = _named(values, cases, mistakes) or _difference(got, expected)
        if complaint:
            return f"✗ case {number + 1}: {complaint}"
    return f"✓ right in all {len(cases)} cases"


def _outcome(answer: Function, case: tuple) -> tuple[object, tuple]:
    """Return what a function makes of a case, or what it raises, and what became of its inputs."""
    mine = _copies(case)
    try:
        return answer(*mine), mine
    except Exception as error:  # noqa: BLE001 - whatever the student raises must be told
        return error, mine


def _named(values: Sequence, cases: Sequence[tuple], mistakes: dict[str, Function]) -> str:
    """Return the message of the mistake that made these values in every case, or an empty text."""
    for message, wrong in mistakes.items():
        if all(
            isinstance(value, Tensor) and _equal(value, wrong(number, *_copies(case)), nan=True)
            for number, (value, case) in enumerate(zip(values, cases, strict=True))
        ):
            return message
    return ""


def _difference(got: Tensor, expected: Tensor) -> str:
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


def _equal(a: Tensor, b: Tensor, nan: bool = False) -> bool:
    """Return whether a and b have one shape and agree to rounding; nan agrees with nan if nan."""
    near = {"rtol": 1e-5, "atol": 1e-7, "equal_nan": nan}
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), **near)
