"""The page of results and its picture: `python3 course.py results` writes them anew.

results.toml beside this file says what stands on the page; our numbers come from data/results.
"""

import json
import sys
import tomllib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from io import BytesIO
from itertools import groupby
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_utils import plots
from course_utils.execute import NOTEBOOKS

PAGE = NOTEBOOKS / "book" / "results.md"
PICTURE = PAGE.parent / "images" / "results.svg"
STORED = NOTEBOOKS.parent / "data" / "results"
PLAN = Path(__file__).with_suffix(".toml")
MIDDLES = {"median": median, "mean": mean}
PUBLISHED = "published"  # heads only what the authors of a method printed themselves
OURS, THEIRS = plots.COLOURS[:2]


class Row(NamedTuple):
    """A quantity: middle, lowest and highest of our runs, as shown, and what others report."""

    what: str
    ours: tuple[str, str, str]
    runs: int
    known: Decimal | None
    source: str
    short: str


def plan() -> dict:
    """Return what stands on the page; numbers with the digits they are written with."""
    return tomllib.loads(PLAN.read_text("utf-8"), parse_float=Decimal)


def shown(number: float, digits: int = 0) -> str:
    """Return a number with a minus that is one, and no "−0"."""
    return f"{number:z.{digits}f}".replace("-", "−")


def rows_of(table: dict, folder: Path) -> list[Row]:
    """Return the rows of a table under "stored", their numbers from folder.

    Raises FileNotFoundError if the run is not stored, ValueError if it lacks a figure.
    """
    name = table["run"]
    figures = json.loads((folder / f"{name}.json").read_text("utf-8"))["figures"]
    rows = []
    for row in table["rows"]:
        if row["key"] not in figures:
            raise ValueError(f"{PLAN.name} asks for {row['key']}, but {name}.json holds none.")
        values = figures[row["key"]]["values"]
        ours = (MIDDLES[table["middle"]](values), min(values), max(values))
        ours = tuple(shown(value, table["digits"]) for value in ours)
        others = row.get("known"), row.get("source", ""), row.get("short", "")
        rows.append(Row(row["what"], ours, len(values), *others))
    return rows


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[int]) -> str:
    """Return a table in Markdown; columns are for numbers, but those in texts."""
    rule = ["---" if column in texts else "---:" for column in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def stored(table: dict, folder: Path) -> str:
    """Return a table under "stored" in Markdown."""
    beside = table.get("beside")
    heads = [table["unit"], table["middle"], "lowest", "highest", "runs"]
    heads += [*([beside, "source"] if beside else []), "command"]
    lines = []
    for row in rows_of(table, folder):
        known = str(row.known).replace("-", "−") if row.known is not None else "–"
        others = [known, row.source or "–"] if beside else []
        command = f"`reproduce {table['run']}`"
        lines.append([row.what, *row.ours, str(row.runs), *others, command])
    return grid(heads, lines, (0, *range(6, len(heads)), len(heads) - 1))


def measured(table: dict) -> str:
    """Return a table under "measured" in Markdown, as it is written."""
    return grid(table["heads"], table["rows"], (0, len(table["heads"]) - 1))


def parts(folder: Path) -> Iterator[str]:
    """Yield the parts of the page, one after the other."""
    said = plan()
    yield "# Results beside the papers"
    yield said["opening"].strip()
    yield f"![{alternative(folder)}](images/{PICTURE.name})"
    yield said["reading"].strip()
    for section in said["section"]:
        yield f"## {section['heading']}"
        yield section["about"].strip()
        tables = [(table, stored(table, folder)) for table in section.get("stored", [])]
        tables += [(table, measured(table)) for table in section.get("measured", [])]
        for table, text in tables:
            yield from filter(None, [table.get("text", "").strip(), text])


def page(folder: Path = STORED) -> str:
    """Return the page of results in Markdown, its numbers from folder."""
    return "\n\n".join(parts(folder)) + "\n"


def panels(folder: Path) -> dict[str, list[tuple[dict, Row]]]:
    """Return what the picture shows: rows, each with its table, by the title of their panel."""
    tables = [t for section in plan()["section"] for t in section.get("stored", []) if "panel" in t]
    found = [(table, row) for table in tables for row in rows_of(table, folder) if row.short]
    found.sort(key=lambda pair: [t["panel"] for t in tables].index(pair[0]["panel"]))
    return {title: list(rows) for title, rows in groupby(found, lambda pair: pair[0]["panel"])}


def sentence(table: dict, row: Row) -> str:
    """Return what the picture shows of a row."""
    middle, low, high = row.ours
    known = f", {table['beside']} {row.known}" if row.known is not None else ""
    return f"{row.short} {middle} ({low} to {high}){known}".replace("-", "−")


def described(folder: Path) -> str:
    """Return all numbers of the picture; it is kept in its file, and tells if that is of today."""
    return ". ".join(
        f"{title}: {'; '.join(sentence(*pair) for pair in rows)}"
        for title, rows in panels(folder).items()
    )


def alternative(folder: Path) -> str:
    """Return the alternative text of the picture: what was published beside ours."""
    pairs = [pair for rows in panels(folder).values() for pair in rows]
    pairs = [(t, row) for t, row in pairs if row.known is not None and t["beside"] == PUBLISHED]
    said = "; ".join(f"{table['unit']}, {sentence(table, row)}" for table, row in pairs)
    return (
        "Dots with bars, ours from the lowest run to the highest, in a panel for each experiment, and"
        f" diamonds, what others report. Where authors published a number: {said}. All numbers stand"
        " in the tables below."
    )


def draw(ax: Axes, title: str, pairs: list[tuple[dict, Row]]) -> None:
    """Draw the rows of a panel, from top to bottom."""
    ax.set_title(title, loc="left", fontweight="bold")
    for place, (table, row) in enumerate(pairs):
        middle, low, high = (float(text.replace("−", "-")) for text in row.ours)
        ax.plot([low, high], [place, place], color=OURS, linewidth=5, alpha=0.35)
        ax.plot(middle, place, "o", color=OURS, markersize=7)
        if row.known is not None:
            inside = THEIRS if table["beside"] == PUBLISHED else "none"
            ax.plot(float(row.known), place, "D", color=THEIRS, markersize=7, markerfacecolor=inside)
        if "goal" in table:
            ax.axvline(float(table["goal"]), color="black", linestyle="--", linewidth=1)
    if any(table.get("scale") == "log" for table, _ in pairs):
        ax.set_xscale("log")
        ax.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        ax.minorticks_off()
    ax.set(ylim=(len(pairs) - 0.4, -0.6), yticks=range(len(pairs)))
    ax.set_yticklabels([row.short for _, row in pairs])


def key(ax: Axes) -> None:
    """Say in a legend above the first panel what the marks mean."""
    marks = {
        "ours, lowest to highest run": {"color": OURS, "marker": "o"},
        "published by the authors": {"color": THEIRS, "marker": "D", "linestyle": ""},
        "reported by others": {"color": THEIRS, "marker": "D", "linestyle": "", "mfc": "none"},
    }
    lines = [mpl.lines.Line2D([], [], label=text, **mark) for text, mark in marks.items()]
    ax.figure.legend(handles=lines, loc="outside upper left", ncols=2)


@mpl.rc_context({**plots.STYLE, "svg.hashsalt": "results"})
def picture(folder: Path = STORED) -> bytes:
    """Return the picture as SVG, its numbers from folder: a panel for each experiment."""
    shown_of = panels(folder)
    heights = [len(rows) + 1.5 for rows in shown_of.values()]
    fig = Figure(figsize=(6.4, 0.29 * sum(heights) + 0.6))
    axes = fig.subplots(len(heights), 1, height_ratios=heights)
    for ax, (title, rows) in zip(axes, shown_of.items(), strict=True):
        draw(ax, title, rows)
    fig.align_ylabels()
    key(axes[0])
    file = BytesIO()
    told = {"Date": None, "Creator": None, "Description": described(folder)}
    fig.savefig(file, format="svg", metadata=told)
    return file.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Write page and picture; 0, or 2 and a sentence if a number is missing."""
    if arguments:
        print("usage: python3 course.py results", file=sys.stderr)
        return 2
    try:
        made = {PICTURE: picture(), PAGE: page().encode()}
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for path, content in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
