"""The pytest plugin passes what JupyterLab would show the same, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from making import notebook_of
from nbformat.v4 import new_code_cell, new_output

from course_utils.tools import execute, matrix
from course_utils.tools.nbval_plugin import Tolerant
from course_utils.tools.outputs import VIEW

SECONDS = 15

FIGURE = """from IPython.display import display
display({"image/png": "iVBORw0KGgo=", "text/plain": "A line from 0.10 to 0.20."}, raw=True)"""
SLIDER = (
    "interactive(children=(IntSlider(value=3, description='k', max=5), Output()), "
    "_dom_classes=('widget-interact',))"
)
PNG = {"image/png": "AAAA", "text/plain": "A line from 0.10 to 0.20."}


def stream(text: str, name: str = "stdout") -> nbformat.NotebookNode:
    return new_output("stream", name=name, text=text)


def shown(data: dict) -> nbformat.NotebookNode:
    return new_output("display_data", data=data)


LIKE_JUPYTERLAB = {
    "interact": "from ipywidgets import interact\n\n@interact(k=(0, 5))\n"
    "def draw(k=3):\n    print('k is', k)",
    "an_output_widget": "import ipywidgets\nout = ipywidgets.Output()\nwith out:\n"
    "    print('inside')\nprint('outside')\nout",
    "a_bar": "from tqdm import tqdm\nfor step in tqdm(range(30), leave=False):\n    print(step)",
    "a_line_written_over": "for step in range(9):\n    print('\\rstep', step, end='')",
    "clear_output": "from IPython.display import clear_output, display\nprint('old')\n"
    "clear_output()\nprint('older')\nclear_output(wait=True)\nprint('new')",
    "display_update": "handle = display('first', display_id=True)\nhandle.update('second')",
}
THIRTY = "".join(f"{step}\n" for step in range(30))
# name: (what the cell says, what is stored, whether they agree)
CASES = {
    "the_same_text": ("print('so be it')", [stream("so be it\n")], True),
    "a_number_off_by_1e-5": ("print(f'{0.283641:.6f}')", [stream("0.283643\n")], True),
    "a_number_off_by_1e-2": ("print('gap 0.2836')", [stream("gap 0.2864\n")], False),
    "a_tiny_number": ("print('gap 3.1e-12')", [stream("gap 7.9e-13\n")], True),
    "padding_of_a_number": ("print('|  9.9999|')", [stream("| 10.0001|\n")], True),
    "a_changed_integer": ("print('5001 of 10000')", [stream("5000 of 10000\n")], False),
    "an_integer_before_a_full_stop": ("print('It took 5001.')", [stream("It took 5000.\n")], False),
    "changed_text": ("print('the energy rises')", [stream("the energy falls\n")], False),
    "a_changed_sign": ("print(-0.5)", [stream("0.5\n")], False),
    "a_missing_output": ("silent = 1", [stream("a line\n")], False),
    "an_extra_output": ("print('a line')", [], False),
    "an_extra_figure": (FIGURE, [], False),
    "a_missing_figure": ("silent = 1", [shown(PNG)], False),
    "another_picture_of_the_same": (FIGURE, [shown(PNG)], True),
    "a_figure_that_says_other_things": (
        FIGURE,
        [shown(PNG | {"text/plain": "A line from 0.10 to 0.30."})],
        False,
    ),
    "a_missing_picture_without_text": ("silent = 1", [shown({"image/png": "AAAA"})], False),
    "a_picture_without_its_sentence": (FIGURE, [shown({"image/png": "AAAA"})], False),
    "a_bar_that_clears_itself": (LIKE_JUPYTERLAB["a_bar"], [stream(THIRTY)], True),
    "a_new_warning": ("import warnings; warnings.warn('odd')", [], False),
    "an_error": ("1 / 0", [], False),
    "an_error_in_a_widget": (
        "from ipywidgets import interact\n\n@interact(k=(0, 5))\ndef bad(k=3):\n    1 / 0",
        [shown({VIEW: {"model_id": "1"}, "text/plain": SLIDER})],
        False,
    ),
}


BARE = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": ""}
NOTEBOOK = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5}
DAMAGED = {  # files that stop nbval, and with it all other tests, before anything runs
    "no_id": json.dumps(NOTEBOOK | {"cells": [BARE, BARE | {"id": "a"}]}),
    "id_twice": json.dumps(NOTEBOOK | {"cells": [BARE | {"id": "a"}] * 2}),
    "a_list": "[1]",
    "no_cells": "{}",
    "no_json": "{'a': 1}",
    "not_text": "\udcff",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ElementTree.Element]:
    """The report on each cell, by notebook and number, of one run over three notebooks."""
    folder = tmp_path_factory.mktemp("notebooks")
    cells = [new_code_cell(s, outputs=o, execution_count=1) for s, o, _ in CASES.values()]
    saved = notebook_of(*LIKE_JUPYTERLAB.values())
    execute.run(saved, folder)
    dying = notebook_of("import os", "os._exit(1)", "print('never')")
    for name, notebook in ("cases", notebook_of(*cells)), ("saved", saved), ("dying", dying):
        nbformat.write(notebook, folder / f"{name}.ipynb")
    for name, text in DAMAGED.items():
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8", errors="surrogateescape")
    workers = ["-n", "2", "--dist", "loadfile"]  # so that what they count has to come together
    run = nbval(folder, *workers, "--junitxml=report.xml", *sorted(folder.glob("*.ipynb")))
    found = {
        f"{case.get('classname')} {case.get('name')}": case
        for case in ElementTree.parse(folder / "report.xml").iter("testcase")
    }
    return found | {"summary": run.stdout}


def nbval(
    folder: Path, *arguments: object, plugin: tuple = ("-p", "course_utils.tools.nbval_plugin")
) -> subprocess.CompletedProcess:
    """Run pytest over notebooks in another process, with warnings raised."""
    options = ["-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=30"]
    options += ["-W", "error", "-p", "no:cacheprovider", *plugin]
    return subprocess.run(
        [sys.executable, *options, *map(str, arguments)],
        check=False,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )


def failure(case: ElementTree.Element) -> str | None:
    """What was said about a cell that failed, None about one that passed."""
    problems = [*case.findall("failure"), *case.findall("error")]
    return problems[0].text if problems else None


@pytest.mark.parametrize("name", CASES)
def test_a_cell_passes_only_if_its_output_agrees_with_what_is_stored(name, outcomes):
    case = outcomes[f"cases.ipynb Cell {list(CASES).index(name) + 1}"]
    assert (failure(case) is None) == CASES[name][2], failure(case)


@pytest.mark.parametrize("name", LIKE_JUPYTERLAB)
def test_what_jupyterlab_would_show_the_same_passes(name, outcomes):
    case = outcomes[f"saved.ipynb Cell {list(LIKE_JUPYTERLAB).index(name) + 1}"]
    assert failure(case) is None


def test_an_error_in_a_widget_is_told_as_such(outcomes):
    case = outcomes[f"cases.ipynb Cell {list(CASES).index('an_error_in_a_widget') + 1}"]
    assert "ZeroDivisionError" in failure(case)


def test_a_failure_says_how_to_refresh_the_stored_output(outcomes):
    case = outcomes[f"cases.ipynb Cell {list(CASES).index('changed_text') + 1}"]
    assert "python3 course.py execute cases.ipynb" in failure(case)


def test_a_dead_kernel_is_told_within_ten_seconds(outcomes):
    case = outcomes["dying.ipynb Cell 2"]
    assert "kernel died" in failure(case)
    assert float(case.get("time")) < 10
    assert failure(outcomes["dying.ipynb Cell 3"])


def test_the_summary_counts_cells_and_seconds(outcomes):
    cells = len(CASES) + len(LIKE_JUPYTERLAB) + 3
    assert f"notebooks: 3, code cells: {cells}, text outputs compared: " in outcomes["summary"]
    assert "dying.ipynb: " in outcomes["summary"]
    assert "(none declared)" in outcomes["summary"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_id", "no_id.ipynb has cells without an id: 1. JupyterLab gives"),
        ("id_twice", "id_twice.ipynb has cells with the same id: a. JupyterLab gives"),
        ("a_list", "a_list.ipynb is JSON, but no notebook: it has no cells"),
        ("no_cells", "no_cells.ipynb is JSON, but no notebook: it has no cells"),
        ("no_json", "no_json.ipynb is no whole notebook: its JSON breaks at line 1"),
        ("not_text", "not_text.ipynb is no notebook: it holds what is no text in UTF-8"),
    ],
)
def test_a_damaged_notebook_is_one_failure_with_its_reason(name, said, outcomes):
    assert failure(outcomes[f"{name}.ipynb the file"]).startswith(said)


@pytest.mark.slow
def test_in_another_project_of_this_environment_nbval_is_as_it_was(tmp_path):
    cell = new_code_cell("print('1.0005')", outputs=[stream("1.0000\n")], execution_count=1)
    nbformat.write(notebook_of(cell), tmp_path / "theirs.ipynb")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n", "utf-8")
    theirs, ours = nbval(tmp_path, plugin=()), nbval(tmp_path)
    assert "1 failed" in theirs.stdout
    assert "Cell 0" in theirs.stdout, "nbval counts from 0"
    assert "1 passed" in ours.stdout


def test_text_does_not_agree_with_what_is_not_text():
    assert Tolerant("1.0") != 1.0
    assert Tolerant("0.10001") == "0.1"
    assert Tolerant("W0.10001") != "W0.1"  # part of a name


def test_the_plugin_is_idle_without_nbval(tmp_path, make_notebook):
    nbformat.write(make_notebook("1 / 0"), tmp_path / "bad.ipynb")
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n", encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "course_utils.tools.nbval_plugin", "-p", "no:nbval"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
    )
    assert "1 passed" in run.stdout
    assert "notebooks" not in run.stdout


def test_another_version_of_nbval_is_refused_in_one_sentence(pytestconfig, monkeypatch):
    from course_utils.tools import nbval_plugin

    monkeypatch.setattr(nbval_plugin, "nbval_version", "0.12.0")
    with pytest.raises(pytest.UsageError, match=r"nbval 0\.11\.0, and 0\.12\.0 is installed"):
        nbval_plugin.pytest_configure(pytestconfig)


@pytest.mark.slow
def test_the_matrix_runs_each_corner_with_its_threads_and_instruction_set(tmp_path, capsys):
    source = "import os\nprint(os.environ['OMP_NUM_THREADS'], os.environ['ATEN_CPU_CAPABILITY'])"
    cell = new_code_cell(source, outputs=[stream("1 default\n")], execution_count=1)
    nbformat.write(notebook_of(cell), tmp_path / "corner.ipynb")
    path = str(tmp_path / "corner.ipynb")
    assert matrix.main(["--corner", "default-1", path]) == 0
    assert matrix.main(["--corner", "default-2", path]) == 1
    lines = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert ["default-1", "1", "0"] in lines
    assert ["default-2", "0", "1"] in lines


def test_corners_without_avx2_are_left_out_and_said_so(monkeypatch, capsys):
    monkeypatch.setattr(matrix, "has_avx2", lambda: False)
    assert matrix.main(["--corner", "avx2-1"]) == 0
    assert "no AVX2" in capsys.readouterr().out
