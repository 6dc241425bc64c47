"""Slides and book in a real browser: they load without a network, fit, and can be read by all."""

import re
import subprocess
import sys

import nbformat
import pytest
from marks import slow_but

from course_utils.publish import assets, slides
from course_utils.tools.execute import NOTEBOOKS
from course_utils.tools.outputs import alt_of, form_of

from .chromium import listen, look, needs_npm, seen

pytestmark = needs_npm
SECONDS = 120
ADDRESS, REPOSITORY = "https://course.example/book", "https://github.com/somebody/course"
DECKS = [path.stem for path in slides.chapters()]
FIRST = ("00_start_here",)
SAMPLE = ("index.html", "00_start_here.html", "bibliography.html", "api/checks.html")
OFF = {"enabled": False}
AT_ONCE = 3  # pages that axe-core looks at
LEFTMOST, RIGHTMOST, LOWEST = 70, 1240, 700  # pixels of a slide of 1280 x 720 that may be used
GO = """number => {
  const at = Reveal.getIndices(Reveal.getSlides()[number]);
  Reveal.slide(at.h, at.v, 99);  // with all its fragments
}"""
MEASURE = """slide => {
  const paper = (slide.closest(".pdf-page") || document.body).getBoundingClientRect();
  let left = 9999, bottom = 0, right = 0, small = 99;
  for (const e of slide.querySelectorAll("*")) {
    if (e.closest("aside, mjx-assistive-mml") || (e.closest("svg") && e.tagName != "svg")) continue;
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    if (!box.width) continue;
    left = Math.min(left, box.left - paper.left);
    bottom = Math.max(bottom, box.bottom - paper.top);
    right = Math.max(right, box.right - paper.left);
    if (style.display != "inline" && e.scrollWidth > e.clientWidth + 1) right = 9999;
    if (e.innerText) small = Math.min(small, parseFloat(style.fontSize));
  }
  const text = slide.cloneNode(true);
  text.querySelectorAll("aside, pre, svg, table, figure, mjx-container").forEach(e => e.remove());
  return [left, right, bottom, small, text.innerText.trim().split(/\\s+/).length];
}"""


@pytest.fixture(scope="module")
def script() -> str:
    return (assets.installed() / "axe-core" / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    slides.write(slides.chapters(), folder)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    command = [sys.executable, "-m", "course_utils.publish.book", "--lecturer", "--to", str(folder)]
    command += ["--address", ADDRESS, "--repository", REPOSITORY]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder / "html"


def shown(chromium, place, query="", **context):
    page = chromium.new_context(viewport={"width": 1280, "height": 720}, **context).new_page()
    faults = listen(page)
    page.goto(place.as_uri() + query)
    return page, faults


def fits(slide, number):
    """Assert that a slide stays within its rims and can be read from the last row."""
    left, right, bottom, small, words = slide.evaluate(MEASURE)
    assert left >= LEFTMOST, f"slide {number} begins at {left}"
    assert right <= RIGHTMOST, f"slide {number} reaches to {right}"
    assert bottom <= LOWEST, f"slide {number} ends at {bottom}"
    assert small >= 14, f"slide {number} has letters of {small} pixels"
    assert words <= 90, f"slide {number} has {words} words"


@pytest.mark.parametrize("name", slow_but(FIRST, DECKS))
def test_a_deck_fits_its_slides_and_needs_no_network(chromium, decks, script, name):
    page, faults = shown(chromium, decks / f"{name}.html")
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    count = page.evaluate("Reveal.getTotalSlides()")
    assert 8 <= count <= 40 if name.startswith("00") else 25 <= count <= 42
    for number in range(count):
        page.evaluate(GO, number)
        fits(page.evaluate_handle("Reveal.getCurrentSlide()"), number + 1)
        if number % 6 == 0:  # axe looks at what is shown; it takes a quarter of a second
            look(page, script)
            assert not seen(page), f"slide {number + 1}"
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    notes = page.evaluate("[...document.querySelectorAll('aside.notes')].map(e => e.innerText)")
    assert sum(bool(re.search(r"\d+ min(utes)?\b", text)) for text in notes) >= 3
    assert not faults
    page.context.close()


@pytest.mark.parametrize("name", slow_but(FIRST, DECKS))
def test_a_deck_prints_one_page_for_each_slide_and_fits_it(chromium, decks, name):
    deck = decks / f"{name}.html"
    page, faults = shown(chromium, deck, "?print-pdf")
    page.emulate_media(media="print")
    page.wait_for_selector(".pdf-page")
    papers = page.locator(".pdf-page section:not(.stack)").element_handles()
    for number, paper in enumerate(papers, 1):
        fits(paper, number)
    assert len(papers) == page.evaluate("Reveal.getTotalSlides()")
    printed = slides.printed(chromium, deck).read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == len(papers)
    assert not faults
    page.context.close()


@pytest.mark.slow
def test_every_page_of_the_book_loads_alone_and_can_be_read_by_all(chromium, site, script):
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    runs = [name for name in pages if name.startswith("runs/")]
    pages = [name for name in pages if name not in runs[2:]]  # tables of one make, by the dozen
    assert len(pages) > 20
    assert len(runs) > 10
    todo = [(name, "light") for name in pages] + [(name, "dark") for name in SAMPLE]
    wrong = []
    while todo:
        batch, todo = todo[:AT_ONCE], todo[AT_ONCE:]
        opened = [shown(chromium, site / name, color_scheme=scheme) for name, scheme in batch]
        for (name, _), (page, _) in zip(batch, opened, strict=True):
            page.evaluate("window.MathJax ? MathJax.startup.promise.then(() => 0) : 0")
            # Contrast is slow to measure in a chapter's thousands of words, and all have one style.
            look(page, script, {} if name in SAMPLE else {"color-contrast": OFF})
        for (name, scheme), (page, faults) in zip(batch, opened, strict=True):
            faults += seen(page)
            if page.locator("img:not([alt]), img[alt='']").count():
                faults.append("an image without text")
            if page.locator("h1").count() != 1:
                faults.append("not one title")
            wrong += [(name, scheme, fault) for fault in faults]
            page.context.close()
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", DECKS)
def test_a_chapter_of_the_book_shows_all_that_is_stored_and_offers_it(chromium, site, name):
    stored = NOTEBOOKS / f"{name}.ipynb"
    page, _ = shown(chromium, site / f"{name}.html")
    outputs = [o for cell in nbformat.read(stored, 4).cells for o in cell.get("outputs", [])]
    alts = [alt_of(output) for output in outputs if form_of(output)]
    assert page.locator(".cell_output img").evaluate_all("all => all.map(e => e.alt)") == alts
    assert page.locator(".cell_output figure:has(img) figcaption").count() == len(alts)
    captions = page.locator(".cell_output figcaption").all_inner_texts()
    numbers = [f"Figure {int(name[:2])}.{number}. " for number in range(1, len(alts) + 1)]
    assert all(text.startswith(one) for text, one in zip(captions, numbers, strict=True))
    tables = sum("text/markdown" in o.get("data", {}) for o in outputs)
    assert page.locator(".cell_output table").count() == tables > 0
    link = page.locator("a.reference.download").get_attribute("href")
    assert (site / link).read_bytes() == stored.read_bytes()
    page.context.close()


@pytest.mark.slow
def test_a_page_says_what_it_is_about_where_it_is_and_where_it_comes_from(site):
    page = (site / "04_group_sparsity.html").read_text("utf-8")
    meta = dict(re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', page))
    assert meta["description"] == meta["og:description"]
    assert "let units pay by the group" in meta["description"]
    assert meta["og:title"].startswith("4 · Group sparsity")
    assert meta["og:image"] == f"{ADDRESS}/images/04_group_sparsity.webp"
    assert (site / "images" / "04_group_sparsity.webp").is_file()
    assert f'<link rel="canonical" href="{ADDRESS}/04_group_sparsity.html"' in page
    assert f"{REPOSITORY}/blob/main/notebooks/04_group_sparsity.ipynb" in page
    listed = re.findall("<loc>([^<]+)</loc>", (site / "sitemap.xml").read_text("utf-8"))
    assert all((site / one.removeprefix(f"{ADDRESS}/")).is_file() for one in listed)
    assert len(listed) > 40


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("pinwheel", "05_local_filters.html#"),
        ("soft threshold", "01_ista.html#"),
        ("duality gap", "01_ista.html#"),
        ("sparse_codes", "01_ista.html#"),
        ("unknwonword", None),
    ],
)
def test_search_opens_at_the_section_without_a_server(chromium, site, asked, first):
    page, faults = shown(chromium, site / "search.html", f"?q={asked.replace(' ', '+')}")
    page.wait_for_function("document.querySelector('#search-count').textContent.includes('“')")
    links = page.locator("#search-results a").evaluate_all("all => all.map(e => e.href)")
    assert bool(links) == bool(first)
    if first:
        assert first in links[0]
        assert page.locator("#search-results mark").first.inner_text()
        page.goto(links[0])
        assert page.locator(f"[id='{links[0].partition('#')[2]}']").count() == 1
    assert not faults
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 768, 1280, 1366, 1920])
def test_no_page_is_wider_than_the_screen(chromium, site, width):
    context = chromium.new_context(viewport={"width": width, "height": 768})
    page, wide = context.new_page(), {}
    for place in sorted(site.rglob("*.html")):
        page.goto(place.as_uri())
        reach = page.evaluate("document.documentElement.scrollWidth")
        if reach > width:
            wide[place.relative_to(site).as_posix()] = reach
    context.close()
    assert wide == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["01_ista", "lecturers/exam"])
def test_on_paper_all_is_open_and_nothing_lies_over_the_text(chromium, site, name):
    page, _ = shown(chromium, site / f"{name}.html")
    folded = "all => all.filter(e => !e.open).length"
    assert page.locator("details").evaluate_all(folded) >= 24  # on the screen
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its rims, in CSS pixels
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details").evaluate_all(folded) == 0
    for what in (".skip-to-content", ".back-to-top", ".sidebar-drawer", ".headerlink"):
        assert not any(one.is_visible() for one in page.locator(what).all()), what
    cut = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).length"
    assert page.locator("pre").evaluate_all(cut) == 0
    page.context.close()


@pytest.mark.slow
def test_a_tap_shows_a_figure_in_a_size_that_can_be_read(chromium, site):
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto((site / "03_drsae.html").as_uri())
    assert page.locator(".cell_output img").first.bounding_box()["width"] < 390
    page.locator("button.enlarge").first.click()
    shown = page.locator("dialog.large[open] img")
    assert shown.bounding_box()["width"] >= 900
    assert shown.get_attribute("alt")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.large", state="hidden")
    context.close()


@pytest.mark.slow
def test_on_a_telephone_only_tables_are_wider_than_the_page_and_scroll(chromium, site, script):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = context.new_page()
    page.goto((site / "results.html").as_uri())
    wide = "all => all.filter(e => e.scrollWidth > e.clientWidth).length"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator(".table-wrapper").evaluate_all(wide) > 5
    look(page, script)
    assert not seen(page)
    context.close()
