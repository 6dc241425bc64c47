"""Sphinx builds the book from the folder that `course_utils.publish.book` has laid out."""

import re
from dataclasses import dataclass, field

import sphinxcontrib.bibtex.plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

project = "Learned sparse coding"
author = "the course's authors"
html_title = "Learned sparse coding"
copyright = "text and figures CC BY 4.0, code MIT"
language = "en"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "jupyter_execute", "stored"]

nb_execution_mode = "off"  # the outputs stored are the ones that were verified
nb_render_markdown_format = "myst"
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
suppress_warnings = ["myst.header"]

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "round"

html_theme = "furo"
html_static_path = ["_static"]
html_extra_path = ["extra"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
templates_path = ["_templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sections.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it would fetch pages, which file:// forbids
mathjax_path = "mathjax/es5/tex-svg.js"
copybutton_exclude = ".linenos, .gp, .go"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
# Names of other packages, and type variables, have no page.
nitpick_ignore_regex = [("py:.*", r"(?!course_utils\.).*|.*\.(Item|Batch|State)")]
napoleon_use_rtype = False


@dataclass
class Round(AuthorYearReferenceStyle):
    """Gregor and LeCun (2010), not [2010]."""

    bracket_parenthetical: BracketStyle = field(default_factory=lambda: BracketStyle("(", ")"))
    bracket_textual: BracketStyle = field(default_factory=lambda: BracketStyle("(", ")"))


sphinxcontrib.bibtex.plugin.register_plugin(
    "sphinxcontrib.bibtex.style.referencing", "round", Round
)


def plain_text(_app, _what, _name, _obj, _options, lines: list[str]) -> None:
    """Docstrings are plain text: |z|, z* and `name` mean to Sphinx what they say."""
    for number, line in enumerate(lines):
        escaped = re.sub(r"([|*_])(?=\W|$)|(?<!\w)([|*])", r"\\\g<0>", line)
        lines[number] = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", escaped)


ROLES = {  # what Sphinx writes, and what its roles ask for
    'class="caption" role="heading"': 'class="caption" role="heading" aria-level="2"',
    'role="list" class="citation-list"': 'class="citation-list"',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',  # scrolls by keyboard
}


def roles(_app, _page, _template, context: dict, _doctree) -> None:
    """Mend pages for readers who cannot see them, or have no mouse."""
    for name, text in context.items():
        if isinstance(text, str):
            for written, meant in ROLES.items():
                text = text.replace(written, meant)
            context[name] = text


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", plain_text, priority=100)
    app.connect("html-page-context", roles, priority=900)  # after the theme's own
