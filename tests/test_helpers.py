"""Claims, checks, figures and the training loop: what they print, show and refuse."""

import gc
import re
from base64 import b64decode
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from ipywidgets import IntSlider
from PIL import Image

from course_utils import plots
from course_utils.checks import COLOURS, claim, exercise
from course_utils.exercises.homework import known
from course_utils.training import descent_step, fit, minibatches

PNG = re.compile('base64,([^"]+)')


def test_a_claim_that_holds_is_printed_and_one_that_fails_raises(capsys):
    claim(True, "two is even")
    assert capsys.readouterr().out == "✓ two is even\n"
    with pytest.raises(AssertionError, match="✗ three is even"):
        claim(False, "three is even")


def test_a_claim_on_tensors_and_arrays_is_judged_by_their_truth():
    claim(torch.tensor(True), "a tensor")
    with pytest.raises(AssertionError):
        claim(np.bool_(False), "an array")


DOUBLE = [(torch.tensor([1.0, 2.0]),), (torch.tensor([3.0]),)]


def say(answer, capsys) -> str:
    mistakes = {"you added two": lambda x: x + 2}
    exercise(answer, lambda x: 2 * x, mistakes, DOUBLE)
    colour, said, end = re.fullmatch(
        r"\033\[(\d+)m(.*)\033\[0m(\n)", capsys.readouterr().out
    ).groups()
    assert int(colour) == COLOURS[said[0]]
    return said + end


def change(x):
    x *= 2
    return x


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: x + x, "✓ right in all 2 cases"),
        (lambda x: x + 2, "✗ case 1: you added two"),
        (lambda x: 2.5 * x, "✗ case 1: your result is off by up to 1; the worst entry is 5"),
        (lambda x: x[:1] * 2, "✗ case 1: the shape is (1,) and should be (2,)"),
        (lambda x: x / 0, "✗ case 1: the result holds nan or infinite entries"),
        (lambda x: None, "✗ case 1: your function returned None"),
        (lambda x: [2, 4], "✗ case 1: your function returned a list, not a tensor"),
        (lambda x: 1 / 0, "✗ case 1: your function raised ZeroDivisionError"),
        (lambda: 0, "✗ case 1: your function raised TypeError"),
        (change, "✗ case 1: your function changed its inputs in place"),
    ],
)
def test_an_exercise_says_what_is_wrong(answer, said, capsys):
    assert say(answer, capsys).startswith(said)


def test_an_exercise_that_is_not_written_is_no_fault(capsys):
    def stub(x):
        raise NotImplementedError("double it")

    assert say(stub, capsys) == "○ not written yet: double it\n"


def test_a_figure_is_shown_with_its_sentence_as_text_and_as_alt_and_then_closed(monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", lambda data, **more: shown.append((data, more)))
    fig, (ax,) = plots.figure()
    plots.curves(ax, {"a": [1, 2], "b": [2, 1]}, xlabel="k")
    plots.show(fig, "Two lines cross.")
    ((data, more),) = shown
    assert data["text/plain"] == more["metadata"]["image/svg+xml"]["alt"] == "Two lines cross."
    assert '<svg role="img" aria-label="Two lines cross." ' in data["image/svg+xml"]
    assert not plt.get_fignums()


def test_a_figure_without_a_sentence_is_refused():
    fig, _ = plots.figure()
    with pytest.raises(ValueError, match="needs a sentence"):
        plots.show(fig, " ")
    plt.close(fig)


def test_filters_stand_in_reading_order_each_on_its_own_scale():
    fig, (ax,) = plots.figure()
    Wd = torch.stack([torch.eye(3).flatten(), -5 * torch.eye(3).flatten(), torch.zeros(9)], 1)
    plots.filters(ax, Wd, (3, 3), columns=2)
    mosaic = ax.images[0].get_array()
    assert mosaic.shape == (8, 8)  # two rows and columns of 3 x 3, each with a white line
    assert np.array_equal(mosaic[:3, :3], np.eye(3))
    assert np.array_equal(mosaic[:3, 4:7], -np.eye(3))
    assert np.array_equal(mosaic[4:7, :3], np.zeros((3, 3)))
    assert (mosaic[4:7, 4:] == 1).all()  # nothing there: paper
    plt.close(fig)


def test_a_picture_has_zero_in_the_middle_of_its_greys():
    fig, (ax,) = plots.figure()
    plots.picture(ax, torch.tensor([0.0, -3, 1, 2]), (2, 2))
    assert ax.images[0].get_clim() == (-3, 3)
    plt.close(fig)


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(plt.rcParams)
    fig, (ax,) = plots.figure()
    plots.curves(ax, {"a": [1, 2]})
    plt.close(fig)
    assert dict(plt.rcParams) == before


def test_a_pass_of_minibatches_shows_each_example_at_most_once_and_passes_differ():
    batches = minibatches(10, 3, np.random.default_rng(0))
    first, second = (torch.cat([next(batches) for _ in range(3)]) for _ in range(2))
    assert len(first.unique()) == len(second.unique()) == 9
    assert not torch.equal(first, second)


@pytest.mark.parametrize("size", [0, 11])
def test_a_minibatch_larger_than_the_data_is_refused(size):
    with pytest.raises(ValueError, match="cannot be drawn from 10"):
        next(minibatches(10, size, np.random.default_rng(0)))


def test_fit_hands_the_state_on_and_keeps_the_history():
    state, history = fit(lambda s, b: (s + b, {"sum": s + b}), 0, iter([1, 2, 3, 4]), 3)
    assert state == 6
    assert history["sum"].tolist() == [1, 3, 6]


def test_fit_stops_at_the_first_figure_that_is_not_finite():
    with pytest.raises(FloatingPointError, match="step 1: loss is nan"):
        fit(lambda s, b: (s, {"loss": b}), 0, iter([1.0, float("nan"), 2.0]), 3)


def test_a_step_goes_down_the_weighted_criteria_and_then_does_what_is_asked():
    net = torch.nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(2.0)
    optimizer = torch.optim.SGD(net.parameters(), 0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)

    def criteria(net, batch):
        return {"near": net.weight.sum(), "far": 3 * net.weight.sum(), "watched": batch.sum()}

    held = []
    step = descent_step(criteria, {"near": 1.0, "far": 2.0}, optimizer, scheduler, held.append)
    again, values = step(net, torch.ones(3))
    assert again is net is held[0]
    assert net.weight.item() == 2 - 0.5 * (1 + 2 * 3)
    assert values == {"near": 2, "far": 6, "watched": 3}, "as they were before the step"
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    with pytest.raises(KeyError, match="nosuch"):
        descent_step(criteria, {"nosuch": 1.0}, optimizer, scheduler)(net, torch.ones(3))


def test_a_network_that_stops_before_its_first_step_is_told_to_look_at_the_data():
    with pytest.raises(FloatingPointError, match="step 0: loss is nan; look at what comes in"):
        fit(lambda s, b: (s, {"loss": b}), 0, iter([float("nan")]), 1)


def test_a_spread_names_median_lowest_and_highest():
    assert plots.spread([3.14, -1.0, 2.0]) == "2.0 (-1.0 to 3.1)"
    assert plots.spread([4, 3, 3, 4], digits=0) == "4 (3 to 4)"


def test_known_results_have_to_be_there_for_each_case():
    cases = [(torch.ones(1),), (torch.zeros(1),)]
    with pytest.raises(ValueError, match="1 results for 2 cases: forgot"):
        known(lambda x: x, cases, [[1.0], [0.0]], {"forgot": [[2.0]]})


def frame(box):
    """The pixels (height, width) that a box of sliders shows."""
    png = b64decode(PNG.search(box.children[-1].value)[1])
    return np.asarray(Image.open(BytesIO(png)).convert("L"), int)


@pytest.fixture
def shown(monkeypatch):
    """The boxes of sliders that are displayed."""
    made = []
    monkeypatch.setattr(plots, "display", made.append)
    return made


def test_a_slider_redraws_its_figure_which_keeps_its_layout(shown):
    def draw(axes, k):
        axes[0].plot([0, 10**k])  # labels of another width would move the axes
        axes[1].set_xlabel("below")
        return f"a line up to <{10**k}>"

    slider = IntSlider(1, 0, 9)
    plots.sliders(draw, 2, k=slider)
    (box,) = shown
    assert box.children[0] is slider
    assert slider.description == "k"
    assert "a line up to &lt;10&gt;" in box.children[1].value
    before = frame(box)
    slider.value = 8
    assert "a line up to &lt;100000000&gt;" in box.children[1].value
    after = frame(box)
    assert before.shape == after.shape
    same = before[:, 400:] == after[:, 400:]
    assert same.mean() > 0.99, "the second panel stays where it was"
    assert before[-15:, 400:].min() == after[-15:, 400:].min() < 50, "and so does its label"
    assert plt.get_fignums() == []


@pytest.mark.parametrize("kind", ["picture", "curves", "filters", "log", "equal", "ticks"])
def test_axes_remember_nothing_of_the_last_move(shown, kind):
    """Whatever was drawn before, a line looks as it does in axes that are new."""

    def draw(axes, k):
        (ax,) = axes
        if k == 0:
            ax.plot([0, 1, 4, 9])
            return "a line"
        match kind:
            case "picture":
                plots.picture(ax, torch.ones(12), (3, 4), title="grey")
            case "curves":
                plots.curves(ax, {"one": [1, 2], "two": [3, 1]}, xlabel="x", ylabel="y")
            case "filters":
                plots.filters(ax, torch.eye(9), (3, 3), columns=3, title="nine")
            case "log":
                ax.set(xscale="log", yscale="log", xlim=(1, 1e6), ylim=(1, 1e9))
            case "equal":
                ax.add_patch(plt.Circle((3, 3), 2))
                ax.set(aspect="equal", xlim=(-8, 8), ylim=(-8, 8))
            case "ticks":
                ax.bar(range(3), [1, 2, 3])
                ax.set_xticks(range(3), ["a", "b", "c"], rotation=0)
        return "something else"

    slider = IntSlider(0, 0, 1)
    plots.sliders(draw, k=slider)
    (box,) = shown
    slider.value = 1
    other = frame(box)
    slider.value = 0
    again = frame(box)
    assert not np.array_equal(other, again)
    plots.sliders(draw, k=IntSlider(0, 0, 1))
    assert (again == frame(shown[1])).mean() > 0.995


def test_two_widgets_have_figures_of_their_own(shown):
    def draw(axes, k):
        axes[0].plot([0, k])
        return f"up to {k}"

    first, second = IntSlider(1, 0, 9), IntSlider(5, 0, 9)
    for slider in (first, second):
        plots.sliders(draw, k=slider)
    before = frame(shown[1])
    first.value = 7
    assert np.array_equal(before, frame(shown[1]))


def test_an_error_in_a_move_is_shown_and_the_next_move_draws_again(shown):
    def draw(axes, k):
        axes[0].plot([0, 1 / k])
        return f"1/{k}"

    slider = IntSlider(1, 0, 9)
    plots.sliders(draw, k=slider)
    slider.value = 0
    assert "ZeroDivisionError: division by zero" in shown[0].children[1].value
    slider.value = 2
    assert "1/2" in shown[0].children[1].value
    assert gc.isenabled()


def test_the_collector_of_the_readers_kernel_is_left_as_it_was(shown):
    held = gc.get_freeze_count()
    plots.sliders(lambda axes, k: f"{k}", k=IntSlider(1, 0, 9))
    assert gc.get_freeze_count() == held


def test_a_still_is_what_the_slider_shows_first(monkeypatch):
    made = []
    monkeypatch.setattr(plots, "show", lambda fig, alt: made.append((len(fig.axes), alt)))
    plots.still(lambda axes, k: f"{len(axes)} axes, k = {k}", 3, height=2.0, k=4)
    assert made == [(3, "3 axes, k = 4")]


def test_a_figure_that_cannot_be_drawn_is_an_error_at_once():
    with pytest.raises(ZeroDivisionError):
        plots.sliders(lambda axes, k: 1 / k, k=IntSlider(0, 0, 9))
