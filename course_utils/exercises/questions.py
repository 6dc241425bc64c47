"""Questions at the end of a chapter that mark themselves.

Which choice is right is computed by the notebook and not typed, and a question of which not exactly
one choice holds is refused. In JupyterLab a click marks the choice and counts; where nothing is
computed, in the book or on GitHub, each choice unfolds its verdict.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from IPython.display import display
from ipywidgets import HTML, RadioButtons, VBox


class Choice(NamedTuple):
    """One answer to choose: its text, whether it is right, and why or why not."""

    text: str
    holds: bool
    why: str


class Question(NamedTuple):
    """What is asked, and the answers that can be chosen."""

    text: str
    choices: tuple[Choice, ...]


def question(text: str, *choices: tuple[str, bool, str]) -> Question:
    """Return a question with its choices: text, whether it holds, and why or why not.

    Raises ValueError if not exactly one choice holds, or if two have the same text.
    """
    made = tuple(Choice(said, bool(holds), why) for said, holds, why in choices)
    right = [choice.text for choice in made if choice.holds]
    if len(right) != 1:
        raise ValueError(f"{text!r} needs one right choice, but has {len(right)}: {right}")
    if len({choice.text for choice in made}) < len(made):
        raise ValueError(f"{text!r} has the same choice twice")
    return Question(text, made)


def ask(*asked: Question) -> None:
    """Display questions that mark themselves."""
    score, rows = HTML(_score(0, 0, len(asked))), []
    first: dict[int, bool] = {}  # by question, whether the first choice was right

    def mark(number: int, verdict: HTML, text: str) -> None:
        (chosen,) = (c for c in asked[number].choices if c.text == text)
        first.setdefault(number, chosen.holds)
        verdict.value = _verdict(chosen)
        score.value = _score(sum(first.values()), len(first), len(asked))

    for number, one in enumerate(asked):
        options = [choice.text for choice in one.choices]
        buttons = RadioButtons(options=options, value=None, layout={"width": "auto"})
        verdict = HTML()
        buttons.observe(
            lambda change, n=number, v=verdict: mark(n, v, change["new"]), names="value"
        )
        rows.append(VBox([HTML(f"<b>{number + 1}. {escape(one.text)}</b>"), buttons, verdict]))
    shown = VBox([*rows, score])
    bundle = shown._repr_mimebundle_()
    display({**bundle, "text/plain": as_text(asked), "text/html": as_page(asked)}, raw=True)


def _score(right: int, answered: int, count: int) -> str:
    return f"<p>{right} of {answered} right at the first try; {count} questions.</p>"


def _verdict(choice: Choice) -> str:
    return f"<p>{'✓ Right' if choice.holds else '✗ No'}: {escape(choice.why)}</p>"


def as_text(asked: Sequence[Question]) -> str:
    """Return questions and choices as lines, each choice with its mark."""
    lines = []
    for number, one in enumerate(asked, 1):
        lines.append(f"{number}. {one.text}")
        lines += [f"   {'✓' if c.holds else '✗'} {c.text}: {c.why}" for c in one.choices]
    return "\n".join(lines)


def as_page(asked: Sequence[Question]) -> str:
    """Return questions as HTML that needs no code to run: each choice unfolds its verdict."""
    parts = []
    for number, one in enumerate(asked, 1):
        parts.append(f"<p><b>{number}. {escape(one.text)}</b></p>")
        parts += [
            f"<details><summary>{escape(choice.text)}</summary>{_verdict(choice)}</details>"
            for choice in one.choices
        ]
    return "\n".join(parts)
