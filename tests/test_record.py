"""Who made a stored result: the hash of its code, and the list of what is older than its code."""

import importlib
import itertools
import json
import sys

import nbformat
import pytest
from making import notebook_of

from course_utils.reproduce import Part, live, record, reproduce, stale
from course_utils.reproduce.__main__ import RUNS, STALE
from course_utils.tools import files

LOW = '''
"""What stands below."""
RATE = 0.1
UNUSED = 5


def used(x):
    """Return x, made smaller."""
    return RATE * x


def unused(x):
    return x


class Net:
    """A network."""

    def forward(self, x):
        return used(x)
'''
HIGH = '''
from functools import partial

from toycourse import low
from toycourse.low import Net as Network

NETS = {"small": Network}


def seed_of(name, settings, seed):
    """Return nothing much."""
    return {"error": low.used(seed)}, {}


def by_table(settings, seed):
    return {"error": NETS["small"]().forward(seed)}, {}


WANTED = {"claims": lambda names: {"x": low.used(names["x"])}}
'''


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A package of two modules; call it with what to replace in them for the module on top."""
    number = itertools.count()
    monkeypatch.setattr(record, "COURSE", "toycourse")
    monkeypatch.syspath_prepend(tmp_path / "now")

    def built(*changes):
        texts = {"low": LOW, "high": HIGH}
        for old, new in changes:
            assert any(old in text for text in texts.values())
            texts = {name: text.replace(old, new) for name, text in texts.items()}
        folder = tmp_path / f"state{next(number)}"
        (folder / "toycourse").mkdir(parents=True)
        for name, text in {**texts, "__init__": ""}.items():
            (folder / "toycourse" / f"{name}.py").write_text(text, encoding="utf-8")
        (tmp_path / "now").unlink(missing_ok=True)
        (tmp_path / "now").symlink_to(folder)
        for name in [name for name in sys.modules if name.startswith("toycourse")]:
            del sys.modules[name]
        for cached in (record._hash, record.source_of, record.is_module):
            cached.cache_clear()
        importlib.invalidate_caches()
        return importlib.import_module("toycourse.high")

    yield built
    for cached in (record._hash, record.source_of, record.is_module):
        cached.cache_clear()


SAME = {
    "a comment": ("    return RATE * x", "    return RATE * x  # a tenth"),
    "a line of comment": ("def unused(x):", "# not used\ndef unused(x):"),
    "a docstring": ("Return x, made smaller.", "Return a tenth of x."),
    "a function that is not reached": (
        "def unused(x):\n    return x",
        "def unused(x):\n    return -x",
    ),
    "a constant that is not reached": ("UNUSED = 5", "UNUSED = 6"),
    "a function beside it": ('NETS["small"]()', 'NETS["small"](  )'),
}
OTHER = {
    "its own body": ('{"error": low.used(seed)}', '{"error": -low.used(seed)}'),
    "a function of another module": ("return RATE * x", "return RATE / x"),
    "a constant that this one uses": ("RATE = 0.1", "RATE = 0.2"),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_does_not_run_leaves_the_hash(house, change):
    before = record.code_of(house().seed_of)
    assert record.code_of(house(change).seed_of) == before


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_runs_changes_the_hash(house, change):
    before = record.code_of(house().seed_of)
    assert record.code_of(house(change).seed_of) != before


@pytest.mark.parametrize(
    "change", [("return used(x)", "return 2 * used(x)"), ("RATE = 0.1", "RATE = 0.2")]
)
def test_what_a_table_and_a_class_lead_to_counts(house, change):
    before = record.code_of(house().by_table)
    assert record.code_of(house(change).by_table) != before


def test_cells_and_what_they_import_count_and_so_does_what_is_handed_over(house):
    cells = "from toycourse.low import used\ny = used(3)  # so"
    high = house()
    also = (record.Definition("toycourse.high", "WANTED"),)
    before = record.code_of(high.seed_of, cells, also)
    assert record.code_of(high.seed_of, cells.replace("  # so", ""), also) == before
    assert record.code_of(high.seed_of, cells.replace("3", "4"), also) != before
    assert record.code_of(house(('{"x": low', '{"y": low')).seed_of, cells, also) != before


def test_how_a_figure_looks_and_the_checks_of_exercises_leave_the_hash(house, monkeypatch):
    assert record.ASIDE == ("course_utils.plots", "course_utils.exercises")
    monkeypatch.setattr(record, "ASIDE", ("toycourse.low",))
    before = record.code_of(house().seed_of)
    assert record.code_of(house(("RATE = 0.1", "RATE = 0.2")).seed_of) == before


def test_every_definition_of_the_course_that_a_run_reaches_is_found():
    """By name, of one run: the step of the dictionary, the training loop, the loader."""
    texts = []
    keep = record.text_of
    try:
        record.text_of = lambda source, node: (
            texts.append(getattr(node, "name", "")) or keep(source, node)
        )
        record._hash.cache_clear()
        record.code_of(importlib.import_module("course_utils.reproduce.ista").ista_seed)
    finally:
        record.text_of = keep
        record._hash.cache_clear()
    assert {"ista_seed", "learn_dictionary", "dictionary_step", "fista", "fit", "patches"} <= set(
        texts
    )
    assert "pooled_codes" not in texts


def run(settings, seed):
    return {"error": 0.5}, {}


def test_a_run_is_stale_if_its_code_was_not_noted_or_has_changed(tmp_path, monkeypatch):
    runs = {"toy": ({"all": Part(run, 1), "more": Part(run, 1)}, {})}
    monkeypatch.setattr(stale, "chapters", list)
    reproduce("toy", *runs["toy"], tmp_path)
    assert stale.stale(runs, tmp_path) == []
    held = json.loads((tmp_path / "toy.json").read_text(encoding="utf-8"))
    held["made"][0]["code"] = "0" * 16
    (tmp_path / "toy.json").write_text(json.dumps(held), encoding="utf-8")
    (one,) = stale.stale(runs, tmp_path)
    assert one.why == "its code has changed since: all"
    held["made"][0]["code"] = held["made"][1]["code"] = None
    (tmp_path / "toy.json").write_text(json.dumps(held), encoding="utf-8")
    assert stale.stale(runs, tmp_path)[0].why == "its code was not noted: all of it"


def test_cells_that_lean_on_a_run_are_found_through_names_and_functions(tmp_path):
    cells = [
        'full = data.results("groups")["figures"]',
        "def figure_of(key):\n    return full[key]",
        'claim(figure_of("x") > 1, "so")',
        'other = data.weights("local")["map"]',
        "plots.show(fig, f'{other.mean()}')",
        'claim(True, "of nothing")',
    ]
    path = tmp_path / "04_small.ipynb"
    nbformat.write(notebook_of(*cells), path)
    ids = [cell.id for cell in nbformat.read(path, 4).cells]
    assert stale.lean(path) == {"groups": [ids[-4]], "local": [ids[-2]]}


def test_the_list_in_the_book_is_that_of_today():
    now = stale.page(stale.stale(RUNS, files.RESULTS))
    assert STALE.read_text(encoding="utf-8") == now, "python3 course.py reproduce --stale"


def test_a_live_run_counts_the_cells_that_it_runs():
    first, settings = live.part(
        importlib.import_module("course_utils.reproduce.ista"), "01_ista.ipynb"
    )
    assert settings == {"notebook": "01_ista.ipynb"}
    assert "learn_dictionary(train" in first["all"].cells()
    assert first["all"].also[0].name == "WANTED"


def test_variables_of_a_comprehension_or_a_lambda_are_no_names_of_a_module():
    text = "A = {k: v for k, v in B}\nC = lambda d: [x for x in d]\nfor e in A:\n    F = e"
    assert set(record.parsed(text).defined) == {"A", "C", "e", "F"}
