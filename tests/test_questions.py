"""Questions mark themselves: by a click where there is a kernel, else by unfolding."""

import re

import pytest
from ipywidgets import HTML, RadioButtons

from course_utils.exercises import questions
from course_utils.exercises.questions import ask, question

TWO = question(
    "What is 1 + 1?",
    ("2", 1 + 1 == 2, "one and one"),
    ("1 < 2", 1 + 1 == 1, "that is one alone"),
)
ODD = question("Is 3 odd?", ("no", 3 % 2 == 0, "3 = 2 · 1 + 1"), ("yes", 3 % 2 == 1, "it is"))


@pytest.fixture
def shown(monkeypatch):
    """What `ask` displays, and the widget behind it."""
    bundles, boxes = [], []
    monkeypatch.setattr(questions, "display", lambda data, raw: bundles.append(data))
    made = questions.VBox
    monkeypatch.setattr(questions, "VBox", lambda parts: boxes.append(made(parts)) or boxes[-1])
    ask(TWO, ODD)
    return bundles[0], boxes[-1]


def inside(widget, kind) -> list:
    children = getattr(widget, "children", ())
    return [w for child in children for w in inside(child, kind)] + [widget] * isinstance(
        widget, kind
    )


def test_a_click_is_marked_and_the_first_try_counts(shown):
    _, box = shown
    first, second = inside(box, RadioButtons)
    texts = inside(box, HTML)
    assert (first.value, second.value) == (None, None)
    first.value = "1 < 2"
    assert "✗ No: that is one alone" in [w.value for w in texts][1]
    assert "0 of 1 right" in texts[-1].value
    first.value = "2"
    assert "✓ Right: one and one" in [w.value for w in texts][1]
    second.value = "yes"
    assert "1 of 2 right at the first try; 2 questions" in texts[-1].value


def test_without_a_kernel_each_choice_unfolds_its_verdict(shown):
    bundle, _ = shown
    page = bundle["text/html"]
    assert "<summary>1 &lt; 2</summary><p>✗ No: that is one alone</p>" in page
    assert page.count("<details>") == page.count("</details>") == 4
    assert not re.search("<script|onclick", page)


def test_what_is_compared_holds_each_choice_with_its_mark(shown):
    bundle, _ = shown
    assert "1. What is 1 + 1?\n   ✓ 2: one and one\n   ✗ 1 < 2" in bundle["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ([("a", False, ""), ("b", False, "")], "needs one right choice, but has 0"),
        ([("a", True, ""), ("b", True, "")], "has 2: ['a', 'b']"),
        ([("a", True, ""), ("a", False, "")], "the same choice twice"),
    ],
)
def test_a_question_without_exactly_one_right_choice_is_refused(choices, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        question("Which?", *choices)
