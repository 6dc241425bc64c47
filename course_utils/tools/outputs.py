"""Figures and widgets among the outputs of a cell; the sentence that says what a figure shows."""

from nbformat import NotebookNode

FORMS = ("image/svg+xml", "image/png")  # what `plots.show` makes: lines, and pictures
VIEW = "application/vnd.jupyter.widget-view+json"  # a widget


def form_of(output: NotebookNode) -> str | None:
    """Return which of FORMS an output is; None if it is no figure."""
    return next((form for form in FORMS if form in output.get("data", {})), None)


def alt_of(output: NotebookNode) -> str:
    """Return the alternative text of a figure; "" if it has none, or the output is no figure."""
    return output.get("metadata", {}).get(form_of(output) or "", {}).get("alt", "")
