"""The page of results and its picture: `python3 course.py results` writes them anew.

results.toml beside this file says what stands on the page; our numbers come from data/results.
"""

import argparse
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
from matplotlib.lines import Line2D

from course_utils import plots
from course_utils.tools.files import NOTEBOOKS, RESULTS, ending, write

PAGE = NOTEBOOKS / "book" / "results.md"
PICTURE = PAGE.parent / "images" / "results.svg"
PLAN = Path(__file__).with_suffix(".toml")
MIDDLES = {"median": median, "mean": mean}
PUBLISHED = "published"  # heads only what the authors of a method printed themselves
OURS, THEIRS = plots.COLOURS[:2]
MARKS = {  # of what others report: is it published?
    published: {
        "color": THEIRS,
        "linestyle": "",
        "marker": "D",
        "markerfacecolor": THEIRS if published else "none",
        "markersize": 7,
    }
    for published in (True, False)
}


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


def shown(number: float, digits: int) -> str:
    """Return a number with a minus that is one, and no "−0"."""
    return f"{number:z.{digits}f}".replace("-", "−")


def figures(path: Path) -> dict:
    """Return the figures of a stored run; OSError or ValueError if there are none."""
    try:
        return json.loads(path.read_text("utf-8"))["figures"]
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{path.name} holds no stored run: restore it with git.") from error


def rows_of(table: dict, folder: Path) -> list[Row]:
    """Return the rows of a table under "stored", their numbers from folder.

    Raises OSError if the run is not stored, ValueError if it lacks a figure.
    """
    name, rows = f"{table['run']}.json", []
    held = figures(folder / name)
    for row in table["rows"]:
        values = held.get(row["key"], {}).get("values", [])
        values = [value for value in values if value is not None]
        if not values:
            raise ValueError(f"{PLAN.name} asks for {row['key']}, but {name} holds none.")
        ours = (MIDDLES[table["middle"]](values), min(values), max(values))
        ours = tuple(shown(value, table["digits"]) for value in ours)
        others = row.get("known"), row.get("source", ""), row.get("short", "")
        rows.append(Row(row["what"], ours, len(values), *others))
    return rows


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[int]) -> str:
    """Return a table in Markdown; columns are for numbers, but those in texts."""
    rule = ["---" if column in texts else "---:" for column in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def as_known(row: Row) -> str:
    """Return what others report, with the digits they give, or a dash."""
    return "–" if row.known is None else str(row.known).replace("-", "−")


def stored(table: dict, folder: Path) -> str:
    """Return a table under "stored" in Markdown."""
    beside = table.get("beside")
    heads = [table["unit"], table["middle"], "lowest", "highest", "runs"]
    heads += [*([beside, "source"] if beside else []), "command"]
    lines = []
    for row in rows_of(table, folder):
        others = [as_known(row), row.source or "–"] if beside else []
        command = f"`reproduce {table['run']}`"
        lines.append([row.what, *row.ours, str(row.runs), *others, command])
    return grid(heads, lines, (0, 6, 7) if beside else (0, 5))


def verdict(table: dict, folder: Path) -> str:
    """Return how ours stand beside published errors, in a sentence; "" if none are published."""
    if table.get("beside") != PUBLISHED:
        return ""
    rows = [row for row in rows_of(table, folder) if row.known is not None]
    middles, lowest = ([float(row.ours[n]) for row in rows] for n in (0, 1))
    worse = sum(ours > row.known for ours, row in zip(middles, rows, strict=True))
    all_runs = sum(ours > row.known for ours, row in zip(lowest, rows, strict=True))
    return (
        f"Our {table['middle']} is higher than the published error in {worse} of these {len(rows)}"
        f" rows; in {all_runs} of them, each of our runs is."
    )


def measured(table: dict) -> str:
    """Return a table under "measured" in Markdown, as it is written."""
    return grid(table["heads"], table["rows"], (0, len(table["heads"]) - 1))


def parts(folder: Path) -> Iterator[str]:
    """Yield the parts of the page, one after the other."""
    told = plan()
    yield "# Results beside the papers"
    yield told["opening"].strip()
    yield f"![{alternative(folder)}](images/{PICTURE.name})"
    yield told["reading"].strip()
    for section in told["section"]:
        yield f"## {section['heading']}"
        yield section["about"].strip()
        for table in section.get("stored", []):
            said = table.get("text", "").strip(), stored(table, folder), verdict(table, folder)
            yield from filter(None, said)
        for table in section.get("measured", []):
            yield from filter(None, [table.get("text", "").strip(), measured(table)])


def page(folder: Path) -> str:
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
    known = f", {table['beside']} {as_known(row)}" if row.known is not None else ""
    return f"{row.short} {middle} ({low} to {high}){known}"


def described(found: dict[str, list[tuple[dict, Row]]]) -> str:
    """Return the numbers of panels, in words."""
    return ". ".join(
        f"{title}: {'; '.join(sentence(*pair) for pair in rows)}" for title, rows in found.items()
    )


def alternative(folder: Path) -> str:
    """Return the alternative text of the picture: what was published, beside ours."""
    published = {
        title: [pair for pair in rows if pair[0].get("beside") == PUBLISHED]
        for title, rows in panels(folder).items()
    }
    said = described({title: rows for title, rows in published.items() if rows})
    return (
        "A panel for each experiment, with our results as dots, bars from the lowest run to the"
        " highest, and diamonds for what others report. Where the authors published a number,"
        f" this is what it shows. {said}. The tables below hold all numbers."
    )


def draw(ax: Axes, title: str, pairs: list[tuple[dict, Row]]) -> None:
    """Draw the rows of a panel, from top to bottom."""
    table = pairs[0][0]
    for place, (row_of, row) in enumerate(pairs):
        middle, low, high = (float(text.replace("−", "-")) for text in row.ours)
        ax.plot(
            [low, high], [place, place], color=OURS, linewidth=5, alpha=0.35, solid_capstyle="butt"
        )
        ax.plot(middle, place, "o", color=OURS, markersize=7)
        if row.known is not None:
            ax.plot(float(row.known), place, **MARKS[row_of["beside"] == PUBLISHED])
    if "null" in table:
        ax.axvline(table["null"], color="black", linestyle="--", linewidth=1)
    if table.get("scale") == "log":
        ax.set_xscale("log")
        ax.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        ax.minorticks_off()
    ax.set(ylim=(len(pairs) - 0.4, -0.6), yticks=range(len(pairs)), xlabel=table["axis"])
    ax.set_yticklabels([row.short for _, row in pairs])
    ax.set_title(title, loc="left", x=-0.5, fontweight="bold")  # above the names, too


def legend(fig: Figure) -> None:
    """Say above the panels what the marks mean."""
    ours = {"color": OURS, "marker": "o", "markersize": 7}
    marks = {"ours": ours, "published by the authors": MARKS[True], "by others": MARKS[False]}
    lines = [Line2D([], [], label=text, **mark) for text, mark in marks.items()]
    fig.legend(handles=lines, loc="outside upper center", ncols=3, columnspacing=1)


@mpl.rc_context({**plots.STYLE, "svg.hashsalt": "results"})
def picture(folder: Path) -> bytes:
    """Return the picture as SVG, its numbers from folder: a panel for each experiment."""
    found = panels(folder)
    heights = [len(rows) + 2 for rows in found.values()]
    fig = Figure(figsize=(5.8, 0.28 * sum(heights) + 0.5))
    axes = fig.subplots(len(found), 1, height_ratios=heights)
    for ax, (title, rows) in zip(axes, found.items(), strict=True):
        draw(ax, title, rows)
    legend(fig)
    file = BytesIO()
    told = {"Date": None, "Creator": None, "Description": described(found)}
    fig.savefig(file, format="svg", metadata=told)
    return file.getvalue()


@ending(OSError, ValueError)
def main(arguments: list[str] | None = None) -> int:
    """Write page and picture; 0, or 2 and a sentence if a number is missing."""
    argparse.ArgumentParser(prog="course.py results", description=__doc__).parse_args(arguments)
    made = {PAGE: page(RESULTS).encode(), PICTURE: picture(RESULTS)}
    for path, content in made.items():
        path.parent.mkdir(exist_ok=True)
        write(path, content)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
