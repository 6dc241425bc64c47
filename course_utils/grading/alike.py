"""Which students' answers are alike beyond what many have: a place to look, not a verdict.

Code is compared by its fragments, SHINGLE tokens in a row, as MOSS does it (Schleimer, Wilkerson &
Aiken 2003, *Winnowing*, SIGMOD; that keeps a sample of the fragments, here all are kept). Comments,
layout and brackets are no tokens, and all names that an answer binds are one. Fragments of the
stub, the reference, the given code and the chapters are taken out; the rarer one is in the class,
the more it weighs. Answers of five lines are alike by necessity. So what counts of two students is
by how much they are closer to each other than to a few others, added up over all tasks.

Text is compared sentence by sentence.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jinja2 import Environment
from nbformat import NotebookNode
from pygments.lexers import PythonLexer
from pygments.token import Comment, Literal, Punctuation, Text, Whitespace
from rapidfuzz import fuzz, process
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import CountVectorizer

from course_utils.grading.answers import scopes
from course_utils.grading.cells import mark
from course_utils.tools.files import PACKAGE

SHINGLE = 6  # tokens of a fragment
CLOSER = 0.15  # of what is their own, and
ENOUGH = 6.0  # fragments, by weight, from which two students are listed; chosen on hw1 to hw3
FEW = 0.03  # of a class: what a larger part shares, it has from somewhere else
RARE = 0.1  # of a class: what at most so many have is marked on the page
LITTLE = 5  # fragments; an answer with fewer of its own says nothing
PRIOR = (
    8  # students added to the class, so that in a small one, too, what two share weighs something
)
WORDS = 8  # of a sentence that is compared
QUOTED = 4  # words in a row that a text may have from the notebook
CLOSE = 90  # percent of its letters that a sentence that was hardly changed keeps
SKIPPED = (Comment, Text, Whitespace, Punctuation, Literal.String.Doc)
Marked = list[tuple[bool, str]]  # lines as written, and whether what is shared and rare is in them


class Piece(NamedTuple):
    """What two students share of one task."""

    task: str
    share: float  # of what is their own, by weight: 0 to 1
    left: Marked
    right: Marked


class Row(NamedTuple):
    """Students whose answers are alike, and the pieces of the first two, who are most alike."""

    students: list[str]
    weight: float  # in code, by how much closer than is usual, 0 to 1; in text, words shared
    pieces: list[Piece]


class Found(NamedTuple):
    """All that was found in a class."""

    code: list[Row]
    text: list[Row]
    silent: dict[str, int]  # by task, how many answers in code have next to nothing of their own


class Fragments(NamedTuple):
    """The fragments of all answers to a task: which student (row) has which (column)."""

    names: np.ndarray
    texts: np.ndarray
    matrix: csr_array
    weights: np.ndarray


class Closeness(NamedTuple):
    """How close each two students are in a task: arrays (N, N)."""

    share: np.ndarray  # of their own that both have, the cosine by weight, 0 to 1
    beyond: np.ndarray  # by how many fragments they are closer than each is to a few others
    size: np.ndarray  # fragments of their own, by weight


class Task(NamedTuple):
    """The answers to a task in code, by student, and what was found in them."""

    name: str
    answers: dict[str, str]
    found: Fragments
    close: Closeness


def look(sheets: dict[str, NotebookNode], master: NotebookNode, source: NotebookNode) -> Found:
    """Compare a class.

    Args:
        sheets: by student, the master with the student's answers.
        master: what answers are put into.
        source: the instructor's notebook, with the reference answers.
    """
    answers: dict[str, dict[str, dict[str, str]]] = {"code": {}, "markdown": {}}
    known: dict[str, list[str]] = {"code": chapters(), "markdown": []}
    for notebook in (master, source):
        for cell in notebook.cells:
            known.setdefault(cell.cell_type, []).append(cell.source)
    stubs = {c.id: c for c in master.cells if mark(c).get("solution")}
    for student, sheet in sheets.items():
        for cell in sheet.cells:
            if cell.id in stubs and cell.source != stubs[cell.id].source:
                of_task = answers[stubs[cell.id].cell_type].setdefault(cell.id, {})
                of_task[student] = cell.source
    code, silent = alike_in_code(answers["code"], known["code"], list(sheets))
    return Found(code, alike_in_words(answers["markdown"], known["markdown"], len(sheets)), silent)


def chapters() -> list[str]:
    """Return the code that the chapters built, from which students may take."""
    return [path.read_text("utf-8") for path in sorted((PACKAGE / "built").glob("*.py"))]


def page(templates: Environment, title: str, found: Found, names: dict[str, str]) -> str:
    """Return the lecturer's page; what students wrote is shown as text. names are by id."""
    sheet = templates.get_template("alike.html.j2")
    return sheet.render(title=title, found=found, names=names)


# Code


def tokens(source: str) -> list[tuple[str, int]]:
    """Return the tokens of code that say something, each with its line, counted from 0."""
    binding = (s for scope in scopes(source) for s in scope.get_symbols() if not s.is_imported())
    own = {s.get_name() for s in binding if s.is_local() or s.is_assigned()}
    found, line, before = [], 0, ""
    for kind, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens(source):
        if not any(kind in skipped for skipped in SKIPPED):
            found.append(("a name" if text in own and before != "." else text, line))
        before = text if text.strip() else before
        line += text.count("\n")
    return found


def shingles(source: str) -> list[tuple[str, range]]:
    """Return the fragments of code, each with the lines on which it stands."""
    parts = tokens(source)
    runs = (parts[i : i + SHINGLE] for i in range(len(parts) - SHINGLE + 1))
    return [(" ".join(text for text, _ in run), range(run[0][1], run[-1][1] + 1)) for run in runs]


def fragments(answers: dict[str, str], known: set[str]) -> Fragments:
    """Return what is the students' own in the answers to a task, by student, and how rare it is."""
    names = sorted(answers)
    own = [[text for text, _ in shingles(answers[s]) if text not in known] for s in names]
    if not any(own):
        nothing = csr_array((len(names), 0))
        return Fragments(np.array(names), np.array([]), nothing, np.zeros(0))
    counts = CountVectorizer(analyzer=list, binary=True)
    matrix = csr_array(counts.fit_transform(own), dtype=float)
    weights = np.log((len(names) + PRIOR) / matrix.sum(0))
    return Fragments(np.array(names), counts.get_feature_names_out(), matrix, weights)


def closeness(found: Fragments) -> Closeness:
    """Return how close each two students are in a task."""
    common = (found.matrix * found.weights @ found.matrix.T).toarray()
    size = np.sqrt(np.outer(common.diagonal(), common.diagonal()))
    share = np.divide(common, size, out=np.zeros_like(common), where=size > 0)
    np.fill_diagonal(share, 0)
    place = few(len(share))
    usual = np.partition(share, -place, 1)[:, -place] if place < len(share) else 0 * share[0]
    beyond = (share - np.maximum.outer(usual, usual)).clip(min=0)
    return Closeness(share, beyond * size / SHINGLE, size / SHINGLE)


def few(count: int) -> int:
    """Return how many of a class may share what nobody else has, and be listed."""
    return max(4, round(FEW * count))


def alike_in_code(
    answers: dict[str, dict[str, str]], known: Iterable[str], students: list[str]
) -> tuple[list[Row], dict[str, int]]:
    """Return who is alike, most alike first, and by task how many answers say nothing.

    Args:
        answers: by task and student, the code of all that were written.
        known: code that everybody may have.
        students: all of the class.
    """
    given = {text for code in known for text, _ in shingles(code)}
    beyond, size = np.zeros((2, len(students), len(students)))
    silent, tasks = {}, []
    for task, of_task in answers.items():
        found = fragments(of_task, given)
        silent[task] = int((found.matrix.sum(1) < LITTLE).sum())
        tasks.append(Task(task, of_task, found, closeness(found)))
        at = np.ix_(*[[students.index(name) for name in found.names]] * 2)
        beyond[at] += tasks[-1].close.beyond
        size[at] += tasks[-1].close.size
    closer = np.divide(beyond, size, out=np.zeros_like(size), where=beyond >= ENOUGH)
    rows = [row(group, closer, students, tasks) for group in groups(closer >= CLOSER)]
    return sorted(rows, key=lambda row: -row.weight), silent


def row(group: list[int], closer: np.ndarray, students: list[str], tasks: list[Task]) -> Row:
    """Return what the report says of a group: the two who are closest, and in which tasks."""
    inner = closer[np.ix_(group, group)]
    first = [students[group[k]] for k in np.unravel_index(inner.argmax(), inner.shape)]
    rest = [students[k] for k in group if students[k] not in first]
    pieces = [piece for task in tasks for piece in shared(task, first)]
    return Row([*first, *rest], float(inner.max()), pieces)


def groups(linked: np.ndarray) -> Iterator[list[int]]:
    """Yield the members of each group of two or more that links hold together."""
    count, labels = connected_components(csr_array(linked), directed=False)
    for members in (np.flatnonzero(labels == label) for label in range(count)):
        if len(members) > 1:
            yield members.tolist()


def shared(task: Task, pair: list[str]) -> Iterator[Piece]:
    """Yield what a pair shares of a task, if they are closer there than others are."""
    names, texts, matrix, _ = task.found
    if not set(pair) <= set(names):
        return
    i, j = np.searchsorted(names, pair)
    if task.close.beyond[i, j] > 0:
        both = matrix[[i]].multiply(matrix[[j]]).toarray()[0] > 0
        rare = matrix.sum(0) <= max(2, RARE * len(names))
        held = set(texts[both & rare])
        sides = (marked(task.answers[name], held) for name in pair)
        yield Piece(task.name, float(task.close.share[i, j]), *sides)


def marked(source: str, texts: set[str]) -> Marked:
    """Return the lines of an answer, and which of them hold one of some fragments."""
    held = {line for text, lines in shingles(source) if text in texts for line in lines}
    return [(number in held, line) for number, line in enumerate(source.split("\n"))]


# Words


class Sentence(NamedTuple):
    """A sentence of a student's: as written, and its words without what the notebook has."""

    student: str
    written: str
    words: str


def alike_in_words(
    answers: dict[str, dict[str, str]], known: Iterable[str], count: int
) -> list[Row]:
    """Return who has the same sentences, or nearly, those with most words in common first.

    Args:
        answers: by task and student, the text of all that were written.
        known: texts that everybody has: questions, the model answer.
        count: how many are in the class; what more than a few of them wrote is left out.
    """
    quoted = {run for text in known for run in runs(words(text))}
    rows: dict[tuple[str, ...], Row] = {}
    for task, texts in answers.items():
        for group in same(
            [s for name in sorted(texts) for s in sentences(name, texts[name], quoted)]
        ):
            first = {s.student: s for s in reversed(group)}
            if not 2 <= len(first) <= few(count):
                continue
            students = tuple(sorted(first))
            left, right = (first[name] for name in students[:2])
            ratio = fuzz.ratio(left.words, right.words) / 100
            piece = Piece(task, ratio, [(True, left.written)], [(True, right.written)])
            row = rows.setdefault(students, Row(list(students), 0.0, []))
            longer = row.weight + len(left.words.split())
            rows[students] = Row(row.students, longer, [*row.pieces, piece])
    return sorted(rows.values(), key=lambda row: -row.weight)


def words(text: str) -> list[str]:
    """Return the words and numbers of a text in small letters."""
    return re.findall(r"\w+", text.lower())


def runs(found: list[str]) -> list[tuple[str, ...]]:
    """Return each few words that stand in a row."""
    return list(zip(*(found[i:] for i in range(QUOTED)), strict=False))


def sentences(student: str, text: str, quoted: set[tuple[str, ...]]) -> Iterator[Sentence]:
    """Yield the sentences of a text that, without what is quoted, are long enough to compare."""
    for written in re.split(r"(?<=[.!?:;])\s+|\n\s*", text):
        found = words(written)
        taken = {i + k for i, run in enumerate(runs(found)) if run in quoted for k in range(QUOTED)}
        own = [word for i, word in enumerate(found) if i not in taken]
        if len(own) >= WORDS:
            yield Sentence(student, written.strip(), " ".join(own))


def same(found: list[Sentence]) -> Iterator[list[Sentence]]:
    """Yield the groups of sentences that are the same, or nearly."""
    texts = sorted({s.words for s in found})
    if not texts:
        return
    bounds = {"score_cutoff": CLOSE, "dtype": np.uint8, "workers": 1}
    near = process.cdist(texts, texts, scorer=fuzz.ratio, **bounds)
    _, labels = connected_components(csr_array(near), directed=False)
    label = dict(zip(texts, labels.tolist(), strict=True))
    by_label: dict[int, list[Sentence]] = {}
    for sentence in found:
        by_label.setdefault(label[sentence.words], []).append(sentence)
    yield from by_label.values()
