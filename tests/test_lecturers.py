"""What the lecturers' pages and talks quote stands where it is from, and their sums are right."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from test_homework import reference, variants
from torch import Tensor

from course_utils import data
from course_utils.built.ista import code_bits as bits_of
from course_utils.built.ista import energy, fista, ista, lambda_max
from course_utils.plots import spread
from course_utils.tools.files import NOTEBOOKS, chapters

PACK = NOTEBOOKS / "book" / "lecturers"
QUOTED = ("misconceptions.md", *(f"talks/{path.stem}.md" for path in chapters()))
NUMBER = re.compile(r"(?<![\w.^])\d+(?:,\d{3})*\.\d+|\b\d{1,3}(?:,\d{3})+\b")
CHAPTER = re.compile(r"^##? (?:The talk to chapter )?(\d) · ")


def said(path: Path) -> str:
    """All that a chapter says: its text, its code and its outputs."""
    texts = []
    for cell in nbformat.read(path, as_version=4).cells:
        texts.append(cell.source)
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *map(str, output.get("data", {}).values())]
    return "\n".join(texts)


@pytest.fixture(scope="module")
def chapter() -> dict[int, str]:
    return {int(path.stem[:2]): said(path) for path in chapters()}


def quoted(text: str) -> Iterator[tuple[str, set[int]]]:
    """The numbers of a page, and the chapters that they can be from: whose part it is, or named."""
    here = None
    for line in text.splitlines():
        found = CHAPTER.match(line)
        here = int(found[1]) if found else here
        named = {int(number) for number in re.findall(r"chapter (\d)", line)}
        yield from ((number, named | {here}) for number in NUMBER.findall(line))


def missing(text: str, chapter: dict[int, str]) -> list[str]:
    """The numbers of a page that stand in none of their chapters."""
    return [
        number
        for number, of in quoted(text)
        for form in [f"{re.escape(number)}|{number.replace(',', '')}"]
        if not any(re.search(rf"(?<![\d.])(?:{form})(?!\d)", chapter.get(n, "")) for n in of)
    ]


@pytest.mark.parametrize("name", QUOTED)
def test_a_number_that_a_page_quotes_stands_in_its_chapter(chapter, name):
    assert missing((PACK / name).read_text("utf-8"), chapter) == []


def test_a_number_of_no_chapter_is_found():
    page = "## 5 · Local\n\nIt has 3.16, 3,331 and 3.76; chapter 2 has 0.5.\n"
    assert missing(page, {5: "3.16 and 3331", 2: "0.5"}) == ["3.76"]
    assert missing("## 5 · Local\n\n1.25", {5: "11.25"}) == ["1.25"]


def test_what_is_believed_of_the_homework_is_a_planted_mistake_of_it():
    section = (PACK / "misconceptions.md").read_text("utf-8").split("## On the homework")[1]
    entries, seen = section.split("\n### ")[1:], set()
    for entry in entries:
        ((homework, task, words),) = re.findall(r"`(hw\d)`, task (\d): \*(.+)\*\.\n", entry)
        assert words in variants(homework).PLANTED[f"task{task}"], entry
        seen.add(homework)
    assert seen == {f"hw{number}" for number in range(1, 7)}


EXAM = (PACK / "exam.md").read_text("utf-8")


def question(name: str) -> str:
    """A question of the exam with its answer."""
    return re.search(rf"^### {re.escape(name)} .*?(?=^##)", EXAM, re.MULTILINE | re.DOTALL)[0]


def table(text: str) -> dict[str, list[str]]:
    """The rows of all tables in a text, by their first cell."""
    lines = [line.strip("| ") for line in text.splitlines() if line.startswith("| ")]
    return {first: rest for first, *rest in (re.split(r"\s*\|\s*", line) for line in lines)}


def stored(name: str) -> dict[str, list]:
    """The values of each figure of a stored result."""
    return {key: f["values"] for key, f in data.results(name)["figures"].items()}


def middle(values: list, digits: int) -> str:
    return f"{np.median(values):.{digits}f}"


def test_the_codes_to_read_in_1_3_are_those_of_the_patch():
    text, x, Wd = question("1.3"), data.the_patch(), data.weights("ista")["patches"]
    lmbd, whole = 0.1 * lambda_max(x, Wd), x.square().sum().item()
    assert f"{whole / 2:.2f}" in text
    for name, method, steps in [("ISTA", ista, 40), ("FISTA", fista, 30), ("FISTA", fista, 5000)]:
        z = method(x, Wd, lmbd, steps)
        missed = 100 * (x - z @ Wd.T).square().sum().item() / whole
        values = energy(x, z, Wd, lmbd).item(), missed, bits_of(z, lmbd.item()).item()
        printed = table(text)[f"{name}, {steps:,} steps"]
        assert [float(cell) for cell in printed] == pytest.approx(values, rel=5e-4)
    for E, part in [(92.98, 0.09033), (92.93, 0.09187)]:
        error = round(part * 282.87, 2)
        assert f"{part} \\cdot 282.87 = {error:.2f}" in text
        assert f"{E} - {error:.2f} = {E - error:.2f}" in text


def test_the_distances_to_read_in_2_3_are_stored():
    text, live = question("2.3"), stored("lista_live")
    rows = table(text)
    for kind in ("fresh patches", "white noise", "digits", "patches, twice the contrast"):
        assert rows[kind] == [spread(live[f"shift.{kind}.{of}"]) for of in ("lista", "fista")]
    ours, theirs = (live[f"shift.digits.{of}"] for of in ("lista", "fista"))
    assert rows["LISTA, 7 layers"] == [f"{v:.1f}" for v in ours]
    assert rows["FISTA, 7 steps"] == [f"{v:.1f}" for v in theirs]
    count = {7: "seven", 8: "eight", 9: "nine", 10: "ten"}[int(sum(np.array(ours) > theirs))]
    assert f"LISTA is behind in {count} of ten runs" in text
    assert round(10 ** (max(live["shift.patches, 4 λ.lista"]) / 10), 1) == 2.0


def test_the_errors_to_read_in_3_3_are_stored():
    text, runs = question("3.3"), stored("drsae_ablation")
    rows = {
        "nothing: T = 11": "T11",
        "T = 2": "T2",
        "T = 1, so that S is never used": "T1",
        "S zero, T = 11": "S_zero",
        "S as it starts: ISTA's, for the first Wd": "S_fixed",
        "no L1": "no_sparsity",
        "three criteria at once, no first phase": "at_once",
        "… at once, and no reconstruction": "no_reconstruction",
        "… at once, and classification only": "classification_only",
    }
    error = {key: runs[f"validation_error_percent.{key}"] for key in rows.values()}
    for row, key in rows.items():
        assert table(text)[row] == [spread(error[key], 2)], row
    together, alone = error["at_once"], error["classification_only"]
    for three in (together, alone):
        assert "{:.2f}, {:.2f} and {:.2f} %".format(*three) in text
    assert [round(b - a, 2) for a, b in zip(together, alone, strict=True)] == [0.2, -0.01, 0.2]
    nothing = np.median(error["T11"])
    assert f"costs {np.median(error['S_fixed']) - nothing:.1f} points" in text
    assert f"costs {np.median(error['no_sparsity']) - nothing:.2f} points" in text


def test_the_maps_to_read_in_4_3_are_stored():
    runs, rows = stored("groups_longer"), table(question("4.3"))
    ends = {"price_alone": 1, "map_smoothness_ratio": 2, "map_smoothness_ratio_frequency": 2}
    ends |= {"selectivity": 2, "unexplained": 2}
    keys = {f"{size} x {size}": f"pool{size}" for size in (1, 2, 4, 6)}
    keys |= {"4 x 4, stride 4: disjoint": "disjoint", "5 x 5, λ = 0.25": "lmbd0.25"}
    for row, key in (keys | {"5 x 5, white noise": "noise"}).items():
        expected = [middle(runs[f"{name}.{key}"], digits) for name, digits in ends.items()]
        assert rows[row] == [*expected, middle(runs[f"change.{key}.shift4"], 2)], row


def test_the_pinwheels_to_read_in_5_3_are_stored():
    text, runs, live = question("5.3"), stored("local_equal"), stored("local_live")
    rows, count_of = table(text), {}
    for row, key, end in [
        ("the map", "local", ""),
        ("L1, rebuilds as much", "l1_cheaper", ".l1_cheaper"),
        ("permuted pools", "permuted_control", ".permuted_control"),
        ("white noise", "noise_control", ".noise_control"),
    ]:
        smooth, chosen = runs[f"map_smoothness_ratio.{key}"], runs[f"selectivity.{key}"]
        count, density = (runs[f"pinwheels.{what}{end}"] for what in ("count", "density"))
        count_of[row] = middle(count, 0), middle(density, 2)
        assert rows[row] == [middle(smooth, 2), middle(chosen, 2), *count_of[row]], row
    for row in ("the map", "L1, rebuilds as much"):
        count, density = count_of[row]
        spacing = 47 * (float(density) / float(count)) ** 0.5
        assert f"{density}/{count}}} \\approx {spacing:.1f}$" in text
    assert rows["its surrogates"][2] == middle(live["pinwheels.surrogates"], 0)
    assert rows["its surrogates"][3] == middle(live["density.surrogates"], 2)
    assert rows["random angles"][2] == middle(live["pinwheels.random angles"], 0)
    for key in ("spacing", "spacing.l1_cheaper"):
        assert middle(runs[key], 1) in text


def test_the_errors_to_read_in_6_3_are_stored():
    text, runs = question("6.3"), stored("noise")
    of = {"classifier": "classifier", "+ reconstruction": "autoencoder", "DrSAE": "drsae"}
    of |= {"+ reconstruction, rectified code": "rectified"}
    of |= {"+ reconstruction, rectified code, L1": "sparse"}
    of |= {"+ reconstruction, noise and rate (VAE)": "vae"}
    error = {
        key: [middle(runs[f"validation_error_percent.{key}.{n}"], 2) for n in (100, 1000)]
        for key in of.values()
    }
    assert {row: error[key] for row, key in of.items()}.items() <= table(text).items()
    for control, limit in (("rectified", "sparse"), ("autoencoder", "vae")):
        for a, b in zip(error[control], error[limit], strict=True):
            assert f"{a} − {b} = {float(a) - float(b):.2f}" in text


def test_a_third_of_the_squares_of_random_angles_turn_round():
    angle = torch.from_numpy(np.random.default_rng(0).uniform(-np.pi, np.pi, (100_000, 4)))
    steps = (angle.roll(-1, 1) - angle + np.pi).remainder(2 * np.pi) - np.pi
    share = (steps.sum(1).abs() > 1).double().mean().item()
    assert share == pytest.approx(1 / 3, abs=0.01)
    assert f"{47**2:,}/3 ≈ {47**2 / 3:.0f}" in question("5.2")


def listed_so(values: Tensor) -> str:
    """Numbers as the exam writes a vector: (3, −0.5)."""
    rounded = [round(v, 6) + 0.0 for v in values.flatten().tolist()]
    return "(" + ", ".join(f"{v:g}" for v in rounded).replace("-", "−") + ")"


def numbers(*rows) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def mistaken(homework: str, task: str, message: str):
    """The planted mistake of that message."""
    return variants(homework).PLANTED[task][message]


GREEDY = numbers([0, 0, 1]), numbers([6, 4, 2]), numbers([4, 2, 0], [2, 2, 1], [0, 1, 1]), 1.0


def test_the_greedy_steps_of_h1_are_those_of_the_homework():
    text, of = question("H1"), reference("hw1")
    z, b, gram, lmbd = GREEDY
    x_by_filter = numbers([6, 5, 2])
    assert torch.equal(b, x_by_filter - z @ (gram - gram.diagonal().diag()))
    assert f"b = {listed_so(b)}" in text
    for join in (", so ", " and "):
        z, b = of["greedy_update"](z, b, gram, lmbd)
        assert f"z = {listed_so(z)}" in text
        assert f"{join}b = {listed_so(b)}" in text
    _, b = mistaken("hw1", "task2", "b_j itself must stay")(*GREEDY)
    assert f"b = {listed_so(b)} in (b)" in text
    for message in ("G_jj is missing", "the other reading"):
        z, _ = mistaken("hw1", "task2", message)(*GREEDY)
        assert f"Unit 1 goes to {z[0, 0]:g}: " in text


def test_the_slopes_of_h2_are_those_of_the_homework():
    text, of = question("H2"), reference("hw2")
    S = numbers([0.1, 0.4], [-0.5, 0.2])
    step = numbers([1.5, -0.4]), numbers([0.2, 0.3]), S, numbers(0.5, 0.2)
    slopes = numbers([1, 2]), numbers([0.5, -1])
    for given in (*step[:2], step[3], *slopes):
        assert listed_so(given) in text
    b, z = of["cod_step"](*step)
    assert f"b′ = {listed_so(b)} and z′ = {listed_so(z)}" in text
    by_b, by_z, by_S, by_theta = of["step_backward"](*step, *slopes)
    assert f"= {listed_so(by_b)} and ∂ℓ/∂θ = {listed_so(by_theta)}" in text
    assert f"∂ℓ/∂z = {listed_so(by_z)}. Column 1 of ∂ℓ/∂S is" in text
    assert f"= {listed_so(by_S[:, 0])}, and column 2 is zero" in text
    assert not by_S[:, 1].any()
    for message, part in [
        ("the old z_k matters", 1),
        ("was overwritten", 1),
        ("b_k also stays in b", 0),
        ("with the row of S", 0),
    ]:
        wrong = mistaken("hw2", "task3", message)(*step, *slopes)[part]
        assert f"∂ℓ/∂{'bz'[part]} = {listed_so(wrong)}:" in text


def test_the_floor_of_h3_is_that_of_the_homework():
    text, of = question("H3"), reference("hw3")
    z, tau = numbers([1, 4, 0], [1, 4, 0], [3, 4, 5], [5, 4, 10], [5, 4, 10]), 3.0
    for unit, codes in enumerate(z.T.tolist(), 1):
        assert table(text)[str(unit)] == [f"{code:g}" for code in codes]
    assert f"s = {listed_so(z.std(0))} and R = 1 + 9 + 0 = {of['variance_price'](z, tau):g}" in text
    slope = of["variance_slope"](z, tau)
    assert f"that is {listed_so(slope[:, 0])}" in text
    assert not slope[:, 1:].any()
    Wd = 2**0.5 * torch.eye(3).to(z)  # rebuilds exactly, and its L is 2
    new = of["infer"](z @ Wd.T, Wd, z, 0.4, 4.0, tau, 1)
    assert f"unit 1 to {listed_so(new[:, 0])}, unit 2 to 3.9 five times" in text
    assert torch.allclose(new[:, 1], torch.full_like(z[:, 1], 3.9))
    assert f"unit 3 to {listed_so(new[:, 2])}" in text
    for message in ("divide by s", "the sign is wrong"):
        assert f"{listed_so(mistaken('hw3', 'task3', message)(z, tau)[:, 0])}: " in text
    assert mistaken("hw3", "task2", "divides by B")(z, tau) > 10


def test_the_tree_of_h4_is_that_of_the_homework():
    text, of = question("H4"), reference("hw4")
    parents, L = (1, 4, 4, 1, -1), 2.0
    S = of["tree_inhibition"](parents, 0.5)
    paying = {(i, j): S[i, j].item() for i, j in S.triu().nonzero().tolist()}
    printed = re.findall(r"\$S_\{(\d)(\d)\} = ([\d.]+)\$", text.split("**Rubric.**")[0])
    assert paying == {(int(i), int(j)): float(value) for i, j, value in printed}
    z, v = torch.tensor([[1.0, 0, -2, 0, 3]]), torch.tensor([[1.2, 0.5, -1.5, 2.5, 3]])
    assert f"z = {listed_so(z)}" in text
    assert f"v = {listed_so(v)}" in text
    one = torch.eye(5)  # with it, and x = 2v − z, the gradient step from z arrives at v
    assert of["inhibition_energy"](z, z, one, S).item() == 3
    step = z, 2 * v - z, one, S, L
    assert f"S|z| = {listed_so(z.abs() @ S)}" in text
    assert f"the new code is {listed_so(of['inhibited_step'](*step))}" in text
    for message in ("divided by L", "from v, after the gradient"):
        assert f"{listed_so(mistaken('hw4', 'task3', message)(*step))}: thresholds" in text
    assert mistaken("hw4", "task2", "over the root")(parents, 0.5)[0, 3] == 2
    assert mistaken("hw4", "task2", "siblings go free")(parents, 0.5)[0, 3] == 0


def test_the_tied_fields_of_h5_are_those_of_the_homework():
    text, of = question("H5"), reference("hw5")
    slopes, tied = numbers([2, 1, 3, 0, 4, -2, 1, 4, 1]), numbers([1, -1, 2, 3])
    folded, hung = of["fold"](slopes, 2), of["wallpaper"](tied, 3)
    assert f"the slopes are {listed_so(folded)}" in text
    assert (folded * tied).sum() == (hung * slopes).sum() == 10
    assert text.count("= 10") == 2
    for message in ("are averaged", "only the first copy", "only the last copy"):
        assert listed_so(mistaken("hw5", "task2", message)(slopes, 2)) in text
    wrong = mistaken("hw5", "task2", "numbered along the whole sheet")(slopes, 2)
    assert f"{listed_so(wrong)}: units numbered" in text
    weights = torch.arange(16.0).double().reshape(4, 4)  # weight 4 · offset + filter
    units = torch.eye(9).double().reshape(9, 3, 3)
    painted = of["tied_synthesis"](units, weights + 1)[:, 2, 3]
    assert painted.nonzero().flatten().tolist() == [5, 8]  # units (1, 2) and (2, 2)
    assert painted[5] - 1 == 4 * (1 * 2 + 1) + 2  # offset (1, 1), filter (1, 0)
    assert painted[8] - 1 == 4 * (0 * 2 + 1) + 0  # offset (0, 1), filter (0, 0)


def put_in(coder, *symbols: int) -> int:
    """The number after s = 5 took these symbols: symbol 2 makes 5 out of the coder's 1."""
    q = torch.tensor([2, *symbols]).flip(0)[:, None] - 1
    return coder(q, torch.tensor([[1, 3, 2]])).item()


def test_the_number_of_h6_is_that_of_the_homework():
    text, of = question("H6"), reference("hw6")
    coder = of["into_one_number"]
    assert put_in(coder) == 5
    assert f"= **{put_in(coder, 1)}**" in text
    assert f"= **{put_in(coder, 1, 2)}**" in text
    decoded = of["out_of_one_number"](torch.tensor([48]), torch.tensor([[1, 3, 2]]), 2) + 1
    assert decoded.flatten().tolist() == [0, 1]
    assert f"{put_in(coder, 2)} and {put_in(coder, 2, 1)}: the order" in text
    for message in ("s mod f is taken of the new s", "s mod f is missing"):
        wrong = mistaken("hw6", "task4", message)
        assert f"{put_in(wrong, 1)} and {put_in(wrong, 1, 2)}: s mod f" in text


def test_points_and_minutes_of_the_papers_add_up():
    points = {
        name: int(worth)
        for name, worth in re.findall(r"^### (\S+) .+\n\n\*.*?(\d) points[;.]", EXAM, re.MULTILINE)
    }
    assert len(points) == 30
    assert {points[f"H{n}"] for n in range(1, 7)} == {4}
    papers, used = table(EXAM.split("## Two sample papers")[1]), []
    for name, (questions, sum_of, minutes) in papers.items():
        if name == "paper" or set(name) == {"-"}:
            continue
        chosen = questions.split(", ")
        used += chosen
        terms, total = sum_of.split(" = ")
        assert [points[q] for q in chosen] == [int(term) for term in terms.split(" + ")]
        assert sum(points[q] for q in chosen) == int(total)
        whole, (write, read) = int(re.match(r"\d+", name)[0]), map(int, minutes.split(" and "))
        assert whole == write + read
        assert 1.8 < write / int(total) < 2
    assert len(used) == len(set(used))


def minutes_of(heading: str) -> list[str]:
    """The lines of the syllabus's first table below a heading, split into cells."""
    text = (PACK / "syllabus.md").read_text("utf-8").split(f"## {heading}\n")[1]
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()[2:]
    return [re.split(r"\s*\|\s*", row.strip("| ")) for row in rows]


def added(cell: str) -> int:
    """The sum of the numbers in a cell."""
    return sum(map(int, re.findall(r"\d+", cell)))


def test_the_minutes_of_the_syllabus_add_up():
    assert sum(added(m) for m, *_ in minutes_of("One day") if "Block" not in m) == 360
    assert sum(added(m) for m, *_ in minutes_of("A guest lecture of sixty minutes")) == 60
    three = minutes_of("Three lectures in a course on machine learning")
    assert [added(row[2]) for row in three] == [55] * 4


def test_of_the_last_two_homeworks_a_student_does_one():
    *alone, (_, together, *_) = minutes_of("Minutes for each homework")
    minutes = [int(row[1]) for row in alone]
    titles = [
        nbformat.read(path, 4).cells[0].source
        for path in sorted((NOTEBOOKS / "homework").glob("hw*.ipynb"))
    ]
    assert minutes == [int(re.search(r"\*\*(\d+) to \d+ minutes", one)[1]) for one in titles]
    assert sum(minutes[:4]) + minutes[-1] == int(together)


def test_no_student_has_two_homeworks_at_once():
    out, due = {}, {}
    for week, *_, homework in minutes_of("A term of twelve weeks"):
        for name in re.findall(r"`(hw\d)`", homework):
            (out if name not in out else due)[name] = int(week)
    assert list(out) == list(due) == [f"hw{number}" for number in range(1, 7)]
    starts = {row[0][1:4]: row[3] for row in minutes_of("Minutes for each homework")[:-1]}
    assert {name: int(re.match(r"\d+", at)[0]) for name, at in starts.items()} == out
    for earlier, later in [*pairwise(f"hw{n}" for n in range(1, 6)), ("hw4", "hw6")]:
        assert due[earlier] <= out[later]
    assert due["hw5"] == due["hw6"]
