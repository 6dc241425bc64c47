"""Every notebook is stored as a reader should find it.

Each rule is a function from a notebook to what it finds wrong; each is shown to find something.
"""

import ast
import re
import statistics
import subprocess
import symtable
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from making import notebook_of
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils.tools import notebooks
from course_utils.tools.execute import HEADER, code_cells, code_hash, is_from_this_code, states
from course_utils.tools.files import chapters
from course_utils.tools.nbval_plugin import IGNORE
from course_utils.tools.outputs import alt_of, form_of

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = [
    path
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb"))
    if ".ipynb_checkpoints" not in path.parts
]
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*$", re.MULTILINE)
IMAGE_WITHOUT_ALT = re.compile(r"!\[\s*\]\(|<img(?![^>]*\balt=\"[^\"]+\")[^>]*>")
LINK = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|\b(?:href|src)=\"([^\"]+)\"")
ANCHOR = re.compile(r"\b(?:id|name)=\"([^\"]+)\"")
OUTSIDE = re.compile(r"^(?:[a-z]+:|//)", re.IGNORECASE)
MACHINE = re.compile(r"(?:^|[\s\"'(=:])/(?:home|Users|root|tmp|work|mnt|var|opt)/|\b[A-Z]:\\\w+\\")
SIZE = re.compile(r"\b(?:fontsize|labelsize)=(\d+(?:\.\d+)?)")
INTERACT = re.compile(r"\binteract(?:ive|ive_output|_manual)?\(|\bplots\.sliders\(")
UNWANTED = {"nbval-skip", "nbval-raises-exception", "raises-exception", "skip-execution"}
AT_ONCE = {"listcomp", "setcomp", "dictcomp", "genexpr"}  # what symtable calls a function, too
SLIDES = {"slide", "subslide", "fragment", "skip", "-"}  # what a speaker says lies beside: talks


read = cache(notebooks.read)


def tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def prose(notebook: NotebookNode) -> list[str]:
    """The markdown cells, without blocks of code."""
    return [FENCE.sub("", cell.source) for cell in notebook.cells if cell.cell_type == "markdown"]


def outputs(notebook: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Each output with the name of its place: under a cell, or inside a widget."""
    for cell in code_cells(notebook):
        yield from ((f"[{cell.execution_count}]", out) for out in cell.outputs)
    for model in states(notebook).values():
        yield from (("in a widget", out) for out in model["state"].get("outputs", []))


def said(output: NotebookNode) -> str:
    """All text of an output."""
    texts = [text for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join([output.get("text", ""), *texts])


# The rules


def it_ran_from_top_to_bottom(notebook: NotebookNode) -> list[str]:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    expected = list(range(1, len(counts) + 1))
    return [] if counts == expected and counts else [f"execution counts are {counts}"]


def outputs_are_of_this_code(notebook: NotebookNode) -> list[str]:
    return [] if is_from_this_code(notebook) else ["code changed since: python3 course.py execute"]


def nothing_raised(notebook: NotebookNode) -> list[str]:
    return [f"{at} {out.ename}" for at, out in outputs(notebook) if out.output_type == "error"]


def nothing_was_written_to_stderr(notebook: NotebookNode) -> list[str]:
    return [f"{at} {out.text}" for at, out in outputs(notebook) if out.get("name") == "stderr"]


def no_code_cell_is_empty(notebook: NotebookNode) -> list[str]:
    return [cell.id for cell in code_cells(notebook) if not cell.source.strip()]


def the_kernel_is_python3(notebook: NotebookNode) -> list[str]:
    name = notebook.metadata.get("kernelspec", {}).get("name")
    return [] if name == "python3" else [f"the kernel is {name}"]


def no_path_of_a_machine(notebook: NotebookNode) -> list[str]:
    texts = [cell.source for cell in notebook.cells] + [said(out) for _, out in outputs(notebook)]
    return [line for text in texts for line in text.splitlines() if MACHINE.search(line)]


def figures_say_what_they_show(notebook: NotebookNode) -> list[str]:
    wrong = []
    for at, out in outputs(notebook):
        if form_of(out):
            alt = alt_of(out)
            if len(alt) < 30:
                wrong.append(f"{at} alt text is too short: {alt!r}")
            if alt != out.data.get("text/plain"):
                wrong.append(f"{at} alt text is not its text/plain")
    return wrong


def sentences_of_figures_are_computed(notebook: NotebookNode) -> list[str]:
    """A sentence that is typed and not computed may say what the figure does not show."""
    typed = []
    for cell in code_cells(notebook):
        calls = (node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call))
        for call in calls:
            if ast.unparse(call.func) == "plots.show" and not any(
                isinstance(part, ast.Name | ast.FormattedValue) for part in ast.walk(call.args[1])
            ):
                typed.append(f"{cell.id}: {ast.unparse(call.args[1])}")
    return typed


def widgets_have_a_figure_that_stands_for_them(notebook: NotebookNode) -> list[str]:
    cells = code_cells(notebook)
    widgets = sum(bool(INTERACT.search(cell.source)) for cell in cells)
    figures = sum(bool(form_of(out)) for cell in cells for out in cell.outputs)
    return [f"{widgets} widgets, {figures} figures"] if widgets > figures else []


def letters_of_figures_can_be_read(notebook: NotebookNode) -> list[str]:
    """On a slide of 1,080 lines a letter of 9 points is 2 % of its height."""
    sizes = (SIZE.findall(cell.source) for cell in code_cells(notebook))
    return [f"letters of {size} points" for found in sizes for size in found if float(size) < 9]


def captions_are_numbered(notebook: NotebookNode, chapter: int) -> list[str]:
    """What is wrong with the captions of a chapter: a text cell below each figure, 1 to n, of
    which another text speaks."""
    wrong, number = [], 0
    after = [*notebook.cells[1:], new_markdown_cell()]
    for cell, below in zip(notebook.cells, after, strict=True):
        drawn = sum(bool(form_of(out)) for out in cell.get("outputs", []))
        number += bool(drawn)
        if drawn > 1:
            wrong.append(f"{cell.id} shows {drawn} figures")
        begins = f"**Figure {chapter}.{number}.** "
        if drawn and not (below.cell_type == "markdown" and below.source.startswith(begins)):
            wrong.append(f"below {cell.id} no text begins with {begins}")
    said = Counter(re.findall(r"\bFigure (\d+\.\d+)\b", "\n".join(prose(notebook))))
    figures = [f"{chapter}.{k}" for k in range(1, number + 1)]
    return wrong + [f"no text speaks of Figure {figure}" for figure in figures if said[figure] < 2]


def headings_form_one_tree(notebook: NotebookNode) -> list[str]:
    levels = [len(mark) for text in prose(notebook) for mark, _ in HEADING.findall(text)]
    wrong = [] if levels.count(1) == 1 and levels[0] == 1 else [f"levels of headings: {levels}"]
    return wrong + [f"h{b} after h{a}" for a, b in pairwise(levels) if b > a + 1]


def images_in_the_text_have_alt_text(notebook: NotebookNode) -> list[str]:
    return [found for text in prose(notebook) for found in IMAGE_WITHOUT_ALT.findall(text)]


def each_cell_is_placed_on_a_slide(notebook: NotebookNode) -> list[str]:
    kinds = {c.id: c.metadata.get("slideshow", {}).get("slide_type") for c in notebook.cells}
    return [f"{ident}: {kind}" for ident, kind in kinds.items() if kind not in SLIDES]


def each_cell_has_an_id_of_its_own(notebook: NotebookNode) -> list[str]:
    ids = Counter(cell.get("id", "") for cell in notebook.cells)
    return [i for i, count in ids.items() if count > 1 or not re.fullmatch(r"[\w-]{1,64}", i)]


def code_cells_are_short(notebook: NotebookNode) -> list[str]:
    lines = {cell.id: cell.source.splitlines() for cell in code_cells(notebook)}
    median = statistics.median(map(len, lines.values())) if lines else 0
    wrong = [f"the median cell has {median} lines"] if median >= 10 else []
    wrong += [f"{i} has {len(cell)} lines" for i, cell in lines.items() if len(cell) > 60]
    return wrong + [line for cell in lines.values() for line in cell if len(line) > 100]


def few_cells_are_ignored(notebook: NotebookNode) -> list[str]:
    """At most one cell, or under 5 % of them."""
    cells = code_cells(notebook)
    ignored = sum(IGNORE in tags(cell) for cell in cells)
    return [f"{ignored} of {len(cells)} ignored"] if ignored > max(1, 0.05 * len(cells)) else []


def no_cell_evades_comparison(notebook: NotebookNode) -> list[str]:
    wrong = [f"{cell.id}: {tag}" for cell in notebook.cells for tag in tags(cell) & UNWANTED]
    return wrong + [
        f"{c.id}: a tag, no comment" for c in code_cells(notebook) if "NBVAL" in c.source
    ]


def no_value_is_shown_by_accident(notebook: NotebookNode) -> list[str]:
    """A cell prints, tables or draws what it shows; a bare value differs in its last digits."""
    outputs = [(cell.id, output) for cell in code_cells(notebook) for output in cell.outputs]
    return [i for i, output in outputs if output.output_type == "execute_result"]


def seconds_are_declared(notebook: NotebookNode) -> list[str]:
    declared = notebook.metadata.get("course", {}).get("seconds", 0)
    header = [int(seconds) for text in prose(notebook) for _, seconds, _ in HEADER.findall(text)]
    wrong = [] if header == [declared] else [f"header: {header}, metadata: {declared}"]
    return wrong + ([] if 0 < declared <= 150 else [f"{declared} s declared"])


def binds(source: str) -> set[str]:
    """The names that a cell binds for all that runs after it."""
    symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    return {symbol.get_name() for symbol in symbols if symbol.is_assigned()}


def functions_read(source: str) -> set[str]:
    """The names of the notebook that functions of a cell look up when they are called."""
    found, todo = set(), symtable.symtable(source, "cell", "exec").get_children()
    todo = [table for table in todo if table.get_name().strip("<>") not in AT_ONCE]
    while todo:
        table = todo.pop()
        found |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        todo += table.get_children()
    return found


def stored_cells_change_no_function(notebook: NotebookNode) -> list[str]:
    """A live run leaves stored cells out: what it calls must be what the reader calls."""
    found, bound, read = [], set(), set()
    for cell in code_cells(notebook):
        if "stored" in tags(cell):
            found += sorted(binds(cell.source) & bound & read)
        else:
            bound |= binds(cell.source)
            read |= functions_read(cell.source)
    return found


RULES = [
    stored_cells_change_no_function,
    it_ran_from_top_to_bottom,
    outputs_are_of_this_code,
    nothing_raised,
    nothing_was_written_to_stderr,
    no_code_cell_is_empty,
    the_kernel_is_python3,
    no_path_of_a_machine,
    figures_say_what_they_show,
    sentences_of_figures_are_computed,
    widgets_have_a_figure_that_stands_for_them,
    letters_of_figures_can_be_read,
    headings_form_one_tree,
    images_in_the_text_have_alt_text,
    each_cell_is_placed_on_a_slide,
    each_cell_has_an_id_of_its_own,
    code_cells_are_short,
    few_cells_are_ignored,
    no_cell_evades_comparison,
    no_value_is_shown_by_accident,
    seconds_are_declared,
]


def broken_links(notebook: NotebookNode, path: Path) -> list[str]:
    """Links to files that are not there, and to headings that the file does not have."""
    found = [a or b for text in prose(notebook) for a, b in LINK.findall(text)]
    inside = [link for link in found if not OUTSIDE.match(link)]
    return [link for link in inside if not resolves(link, notebook, path)]


def resolves(link: str, notebook: NotebookNode, path: Path) -> bool:
    name, _, anchor = unquote(link).partition("#")
    target = path.parent / name
    if not target.exists():
        return False
    if not name:
        texts = prose(notebook)
    elif target.suffix == ".ipynb":
        texts = prose(read(target))
    else:
        texts = [FENCE.sub("", target.read_text(encoding="utf-8"))] if anchor else []
    return not anchor or plain(anchor) in {plain(a) for text in texts for a in anchors(text)}


def anchors(text: str) -> list[str]:
    return [heading for _, heading in HEADING.findall(text)] + ANCHOR.findall(text)


def plain(heading: str) -> str:
    """An anchor as JupyterLab, GitHub and the book agree on it: case and punctuation apart."""
    return re.sub(r"[\W_]+", "-", heading).strip("-").casefold()


# The rules, held to the course


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "notebooks").as_posix()


def test_the_course_has_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_keeps_the_rule(path, rule):
    assert rule(read(path)) == []


@pytest.mark.parametrize("path", chapters(), ids=name_of)
def test_the_figures_of_a_chapter_have_numbered_captions(path):
    assert captions_are_numbered(read(path), int(path.stem[:2])) == []


def test_a_missing_caption_and_a_wrong_number_are_found():
    drawn = {"output_type": "display_data", "data": {"image/png": ""}, "metadata": {}}
    figures = [new_code_cell("plot()", outputs=[dict(drawn)]) for _ in range(2)]
    texts = [new_markdown_cell(f"**Figure 3.{k}.** A line.") for k in (1, 3)]
    told = new_markdown_cell("Figure 3.1 and Figure 3.2 are lines.")
    good = new_notebook(cells=[told, figures[0], texts[0]])
    assert captions_are_numbered(good, 3) == []
    assert captions_are_numbered(good, 4)
    for cells in ([*good.cells, figures[1], texts[1]], good.cells[:2], good.cells[1:]):
        assert captions_are_numbered(new_notebook(cells=cells), 3)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_links_lead_somewhere(path):
    assert broken_links(read(path), path) == []


def test_under_5_percent_of_all_code_cells_are_ignored():
    cells = [cell for path in NOTEBOOKS for cell in code_cells(read(path))]
    assert sum(IGNORE in tags(cell) for cell in cells) < 0.05 * len(cells)


@pytest.mark.parametrize("task", [["check"], ["format", "--check"]], ids=" ".join)
def test_code_in_notebooks_is_clean_for_ruff(task):
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *task, "--no-cache", "notebooks"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stdout + run.stderr


# The rules, shown to find what they are for

ALT = "Energy against step: it falls from 1.00 to 0.25."
TEXT = "# A title\n\nseconds to run: **5**\n\n## Part\n\n![a sketch of a patch](sketch.png)"


def good_notebook() -> NotebookNode:
    """A notebook, not from a run, that keeps all the rules."""
    data = {"image/png": "AAAA", "text/plain": ALT}
    figure = new_output("display_data", data=data, metadata={"image/png": {"alt": ALT}})
    cells = [new_code_cell("show(fig)", outputs=[figure]), new_code_cell("interact(draw, k=3)")]
    for count, cell in enumerate(cells, 1):
        cell.execution_count = count
    notebook = notebook_of(*cells, header=TEXT)
    notebook.metadata.kernelspec = {"name": "python3"}
    notebook.metadata.course = NotebookNode(code=code_hash(notebook), seconds=5)
    return notebook


def put(cell: int, **fields: object) -> Callable[[NotebookNode], None]:
    """A change of one cell's fields."""
    return lambda notebook: notebook.cells[cell].update(nbformat.from_dict(fields))


def printed(**fields: str) -> Callable[[NotebookNode], None]:
    """A change that puts an output under the last cell."""
    return lambda notebook: notebook.cells[2].outputs.append(nbformat.from_dict(fields))


def tagged(tag: str) -> Callable[[NotebookNode], None]:
    """A change that tags every code cell."""
    return lambda notebook: [c.metadata.update(tags=[tag]) for c in code_cells(notebook)]


def in_a_widget(output: dict) -> Callable[[NotebookNode], None]:
    """A change that puts an output into a widget."""
    state = {"state": {"1": {"state": {"outputs": [output]}}}}
    name = "application/vnd.jupyter.widget-state+json"
    return lambda notebook: notebook.metadata.update(widgets=nbformat.from_dict({name: state}))


def alt(text: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells[1].outputs[0].metadata["image/png"].update(alt=text)


def rebound(notebook: NotebookNode) -> None:
    """The number of steps that a function reads is bound again by a stored cell's loop."""
    notebook.cells[1].source = "steps = 3\ndef train():\n    return steps"
    notebook.cells[2].update(
        source="for steps in (1, 2):\n    steps", metadata={"tags": ["stored"]}
    )


ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}
BREACHES = [
    (stored_cells_change_no_function, rebound),
    (it_ran_from_top_to_bottom, put(2, execution_count=None)),
    (it_ran_from_top_to_bottom, put(2, execution_count=3)),
    (it_ran_from_top_to_bottom, lambda notebook: notebook.update(cells=notebook.cells[:1])),
    (outputs_are_of_this_code, put(2, source="interact(draw, k=4)")),
    (outputs_are_of_this_code, lambda notebook: notebook.metadata.pop("course")),
    (nothing_raised, printed(**ERROR)),
    (nothing_raised, in_a_widget(ERROR)),
    (nothing_was_written_to_stderr, printed(output_type="stream", name="stderr", text="odd")),
    (no_code_cell_is_empty, put(2, source=" \n")),
    (the_kernel_is_python3, lambda notebook: notebook.metadata.kernelspec.update(name="mine")),
    (the_kernel_is_python3, lambda notebook: notebook.metadata.pop("kernelspec")),
    (no_path_of_a_machine, put(2, source="open('/home/me/a.txt')")),
    (no_path_of_a_machine, put(0, source="see /Users/me")),
    (no_path_of_a_machine, printed(output_type="stream", name="stdout", text="in /tmp/x")),
    (no_path_of_a_machine, put(2, source=r"open('C:\Users\me')")),
    (figures_say_what_they_show, alt("")),
    (figures_say_what_they_show, alt("Another sentence of a sufficient length.")),
    (
        figures_say_what_they_show,
        lambda notebook: notebook.cells[1].outputs[0].data.pop("text/plain"),
    ),
    (sentences_of_figures_are_computed, put(1, source='plots.show(fig, "Edges " "turn.")')),
    (widgets_have_a_figure_that_stands_for_them, put(1, outputs=[])),
    (letters_of_figures_can_be_read, put(1, source="show(ax.legend(fontsize=7))")),
    (headings_form_one_tree, put(0, source="## No title")),
    (headings_form_one_tree, put(0, source="# One\n\n# Two")),
    (headings_form_one_tree, put(0, source="# One\n\n### Three")),
    (images_in_the_text_have_alt_text, put(0, source="![](a.png)")),
    (images_in_the_text_have_alt_text, put(0, source='<img src="a.png">')),
    (each_cell_is_placed_on_a_slide, put(2, metadata={})),
    (each_cell_is_placed_on_a_slide, put(2, metadata={"slideshow": {"slide_type": "page"}})),
    (each_cell_has_an_id_of_its_own, put(2, id="cell-1")),
    (each_cell_has_an_id_of_its_own, put(2, id="a cell")),
    (code_cells_are_short, put(2, source="x\n" * 61)),
    (code_cells_are_short, put(2, source="x\n" * 20)),
    (code_cells_are_short, put(2, source="x" * 101)),
    (few_cells_are_ignored, tagged(IGNORE)),
    (no_cell_evades_comparison, tagged("nbval-skip")),
    (no_cell_evades_comparison, tagged("raises-exception")),
    (no_cell_evades_comparison, put(2, source="# NBVAL_IGNORE_OUTPUT\nx")),
    (
        no_value_is_shown_by_accident,
        printed(output_type="execute_result", data={"text/plain": "3"}, execution_count=1),
    ),
    (seconds_are_declared, put(0, source="seconds to run: **10**")),
    (seconds_are_declared, put(0, source="no seconds")),
    (seconds_are_declared, lambda notebook: notebook.metadata.course.update(seconds=155)),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_finds_nothing_in_a_good_notebook(rule):
    assert rule(good_notebook()) == []


@pytest.mark.parametrize(("rule", "breach"), BREACHES, ids=lambda value: value.__name__)
def test_a_rule_finds_its_breach(rule, breach):
    notebook = good_notebook()
    breach(notebook)
    assert rule(notebook)


def test_each_rule_is_shown_a_breach():
    assert {rule for rule, _ in BREACHES} == set(RULES)


def test_headings_in_blocks_of_code_are_no_headings():
    notebook = good_notebook()
    notebook.cells[0].source += "\n\n```python\n# a comment\n```\n"
    assert headings_form_one_tree(notebook) == []


def test_links_are_followed_into_files_and_headings(tmp_path):
    path = tmp_path / "a.ipynb"
    other = notebook_of(header="# Other\n\n## The 2/L edge")
    nbformat.write(other, tmp_path / "b.ipynb")
    (tmp_path / "c.md").write_text("# Data\n\n<a id='x'></a><a id=\"y\"></a>", encoding="utf-8")
    good = "[1](#a-title) [2](b.ipynb) [3](b.ipynb#The-2/L-edge) [4](c.md#y) [5](https://a.b/c)"
    bad = "[1](#b-title) [2](d.ipynb) [3](b.ipynb#edge) [4](c.md#z) ![5](none.png)"
    notebook = notebook_of(header="# A title")
    notebook.cells.append(new_markdown_cell(good))
    assert broken_links(notebook, path) == []
    notebook.cells.append(new_markdown_cell(bad))
    assert len(broken_links(notebook, path)) == 5
