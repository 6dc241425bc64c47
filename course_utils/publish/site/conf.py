"""Sphinx builds the book from the folder that `course_utils.publish.book` has laid out."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import sphinxcontrib.bibtex.plugin
from docutils import nodes
from sphinx import addnodes
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
html_favicon = "_static/favicon.svg"
html_baseurl = os.environ.get("BOOK_ADDRESS", "")  # then pages name it, and a sitemap lists them
PICTURED = {path.stem for path in Path("images").glob("0*.webp")}
if os.environ.get("BOOK_REPOSITORY"):
    html_theme_options = {
        "source_repository": os.environ["BOOK_REPOSITORY"],
        "source_branch": "main",
        "source_directory": "notebooks/",
    }
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
    ' aria-label="Toggle hidden content"': "",  # what is written there says it
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',  # scrolls by keyboard
}


def roles(_app, _page, _template, context: dict, _doctree) -> None:
    """Mend pages for readers who cannot see them, or have no mouse."""
    for name, text in context.items():
        if isinstance(text, str):
            for written, meant in ROLES.items():
                text = text.replace(written, meant)
            context[name] = text


def sections(app, _fault) -> None:
    """Write what the search page looks through: each section, with the text before the next one."""
    found = []
    for page in sorted(app.env.found_docs):
        if not page.startswith("runs/"):
            kind = "api" if page.startswith("api/") else "chapter" if page[0].isdigit() else "page"
            found += places(app.env.get_doctree(page), page, kind)
    text = f"const SECTIONS = {json.dumps(found, ensure_ascii=False)};\n"
    (Path(app.outdir) / "_static" / "sections.js").write_text(text, "utf-8")


def places(tree: nodes.document, page: str, kind: str) -> Iterator[dict[str, str]]:
    """Yield the sections of a page, and the functions that it describes."""
    for part in tree.findall(lambda node: isinstance(node, nodes.section | addnodes.desc)):
        heading = part.next_node(nodes.title) or part.next_node(addnodes.desc_signature)
        own = [c for c in part.children if not isinstance(c, nodes.section | addnodes.desc)]
        shown = [c for c in own if c is not heading and not isinstance(c, nodes.comment)]
        named = heading["ids"] if isinstance(part, addnodes.desc) else part["ids"]
        yield {
            "page": page,
            "anchor": named[0] if named else "",
            "of": re.split("[:?]", tree.next_node(nodes.title).astext())[0],
            "title": heading.get("fullname") or heading.astext(),
            "text": " ".join(" ".join(c.astext() for c in shown).split()),
            "kind": kind,
        }


def described(app, page: str, _template: str, context: dict, doctree) -> None:
    """Tell search engines, and who is sent a link, what a page is about and how it looks."""
    if doctree is None:
        return
    texts = [one for one in doctree.findall(nodes.paragraph) if not one.next_node(nodes.image)]
    about = " ".join(texts[0].astext().split())[:300] if texts else project
    meta = {"og:title": context["title"], "og:description": about, "og:type": "article"}
    if html_baseurl:
        picture = f"images/{page}.webp" if page in PICTURED else "images/map_in_four.webp"
        meta["og:image"] = f"{html_baseurl.rstrip('/')}/{picture}"
    tags = [f'<meta name="description" content="{escape(about)}">']
    tags += [f'<meta property="{key}" content="{escape(value)}">' for key, value in meta.items()]
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def sitemap(app, _fault) -> None:
    """Write the addresses of all pages, where the site's own is known."""
    if html_baseurl:
        pages = [f"{html_baseurl.rstrip('/')}/{page}.html" for page in sorted(app.env.found_docs)]
        urls = "".join(f"<url><loc>{escape(page)}</loc></url>\n" for page in pages)
        head = '<?xml version="1.0" encoding="utf-8"?>\n'
        head += '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        (Path(app.outdir) / "sitemap.xml").write_text(f"{head}{urls}</urlset>\n", "utf-8")


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("build-finished", sections)
    app.connect("build-finished", sitemap)
    app.connect("html-page-context", described)
    app.connect("autodoc-process-docstring", plain_text, priority=100)
    app.connect("html-page-context", roles, priority=900)  # after the theme's own
