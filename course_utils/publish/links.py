"""Do the links to the web still lead somewhere? `python3 course.py links` asks each of them once.

Links stand in texts, notebooks, the bibliography and docstrings; code is not read. A page that is
gone is a failure, one that keeps robots out is only told. Sphinx's own builder, linkcheck, sees the
book alone, calls both broken, and cannot name the cell.
"""

import argparse
import ast
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urldefrag, urlsplit

import nbformat
import requests
from urllib3.exceptions import NameResolutionError

from course_utils.tools.files import ROOT, ending
from course_utils.tools.mnist import MNIST_MIRRORS, MNIST_SHA256

TEXTS = ("*.md", ".github/**/*.md", "data/**/*.md", "course_utils/**/*.md", "notebooks/**/*.md")
TEXTS += ("notebooks/**/*.bib",)
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"https?://[^\s<>\"'`|\]}]+")
ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})")
DOI = re.compile(r"\bdoi(?: *= *[{\"]|: ?)(10\.\d{4,9}/[^\s}\"]+)", re.IGNORECASE)
AGENT = {"User-Agent": "links of a course (each asked once, one at a time from a host)"}
AT_ONCE = 8  # hosts
PAUSE = 1.0  # seconds between two questions to one host
PATIENCE = 20.0  # seconds
TOLD = {
    "gone": "gone",
    "refused": "keeps robots out, or is out of order",
    "silent": "no answer",
}


class Answer(NamedTuple):
    """What came of asking: kind is "well", "gone", "refused", "silent" or "unknown host"."""

    kind: str
    said: str


def docstrings(path: Path) -> Iterator[str]:
    """Yield the docstrings of a module and of all that it defines."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def found(root: Path, *patterns: str) -> list[Path]:
    """Return the files that fit one of the patterns, in order, without Jupyter's own copies."""
    paths = sorted(path for pattern in patterns for path in root.glob(pattern))
    return [path for path in paths if ".ipynb_checkpoints" not in path.parts]


def passages(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the place, a file and a cell, and the text of all that may hold links."""
    for path in found(root, *TEXTS):
        yield path.relative_to(root).as_posix(), path.read_text("utf-8")
    for path in found(root, "notebooks/**/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                yield f"{path.relative_to(root).as_posix()}, cell {cell.id}", cell.source
    for path in found(root, "course_utils/**/*.py"):
        yield path.relative_to(root).as_posix(), "\n".join(docstrings(path))


def trimmed(link: str) -> str:
    """Return a link without the sentence's own marks behind it, or the bracket around it."""
    while link[-1] in ".,;:!?*" or (link[-1] == ")" and link.count(")") > link.count("(")):
        link = link[:-1]
    return urldefrag(link).url


def addresses(text: str) -> set[str]:
    """Return the addresses that a text links to: links, DOIs and numbers of arXiv."""
    prose = CODE.sub("", text)
    links = {trimmed(link) for link in LINK.findall(prose)}
    links |= {f"https://arxiv.org/abs/{number}" for number in ARXIV.findall(prose)}
    return links | {f"https://doi.org/{trimmed(doi)}" for doi in DOI.findall(prose)}


def collected(root: Path) -> dict[str, list[str]]:
    """Return the places of each address that the course links to, or downloads from."""
    places = {
        f"{m}{name}.gz": ["course_utils/tools/mnist.py"]
        for m in MNIST_MIRRORS
        for name in MNIST_SHA256
    }
    for place, text in passages(root):
        for address in addresses(text):
            places.setdefault(address, []).append(place)
    return places


def ask(address: str) -> Answer:
    """Ask for an address by its head, and by the whole where that is not liked."""
    # Publishers keep robots out; whether a DOI exists, its own register knows.
    asked = re.sub(r"^https?://(?:dx\.)?doi\.org/(?=10\.)", "https://doi.org/api/handles/", address)
    try:
        for method in ("HEAD", "GET"):
            wanted = {"headers": AGENT, "timeout": PATIENCE, "stream": True}
            with requests.request(method, asked, allow_redirects=True, **wanted) as response:
                said = f"{response.status_code} {response.reason}"
                if response.ok:
                    return Answer("well", said)
    except requests.exceptions.InvalidURL as error:
        return Answer("gone", str(error))
    except requests.RequestException as error:
        cause = getattr(error.args[0], "reason", error) if error.args else error
        unknown = isinstance(cause, NameResolutionError)
        return Answer("unknown host" if unknown else "silent", type(cause).__name__)
    return Answer("gone" if response.status_code in (404, 410) else "refused", said)


def host(address: str) -> str:
    """Return whom an address asks."""
    return urlsplit(address).netloc


def in_turn(wanted: list[str]) -> list[Answer]:
    """Ask for addresses of one host, one after the other."""
    answers = []
    for address in wanted:
        answers.append(ask(address))
        time.sleep(PAUSE)
    return answers


def ask_all(wanted: list[str]) -> dict[str, Answer]:
    """Ask for all addresses, a few hosts at a time, each host one thing at a time.

    Raises OSError if most of them do not answer.
    """
    ordered = sorted(wanted, key=host)
    hosts = [list(group) for _, group in groupby(ordered, host)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = [answer for group in pool.map(in_turn, hosts) for answer in group]
    unheard = sum(answer.kind in ("silent", "unknown host") for answer in answers)
    if 2 * unheard > len(answers):  # rather this machine's network than theirs
        raise OSError(
            f"No network, or a part of it: {unheard} of {len(answers)} links do not answer here;"
            " connect, then run this again."
        )
    known = [Answer("gone", a.said) if a.kind == "unknown host" else a for a in answers]
    return dict(zip(ordered, known, strict=True))


@ending(OSError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, 1 if a link leads nowhere, 2 and a sentence without a network."""
    argparse.ArgumentParser(prog="course.py links", description=__doc__).parse_args(arguments)
    places = collected(ROOT)
    answers = ask_all(list(places))
    for kind, what in TOLD.items():
        for address, answer in answers.items():
            if answer.kind == kind:
                print(f"{what}: {address} ({answer.said}), in {'; '.join(places[address])}")
    counts = {kind: sum(a.kind == kind for a in answers.values()) for kind in ("well", *TOLD)}
    print(
        f"{len(answers)} links: {counts['well']} lead somewhere, {counts['gone']} are gone,"
        f" {counts['refused']} keep robots out, {counts['silent']} did not answer"
    )
    return int(counts["gone"] > 0)


if __name__ == "__main__":
    sys.exit(main())
