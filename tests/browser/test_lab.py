"""JupyterLab in a real browser: every chapter runs, and every slider moves its figure in time."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from statistics import quantiles

import nbformat
import pytest

from course_utils.publish import slides

from .chromium import listen, needs_chromium

pytestmark = [
    needs_chromium,
    pytest.mark.skipif("COURSE_LAB" not in os.environ, reason="takes ten minutes: set COURSE_LAB"),
]
CHAPTERS = {path.stem: path for path in slides.chapters()}
MOVES = 10  # of each slider
SOON = 150  # milliseconds from a key to the figure, at the 95th percentile
READY = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;  // before it, run-all is lost
}"""
RUN = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"
OUTPUTS = """() => {
  const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells];
  return cells.filter(cell => cell.type === "code").map(cell => [
    cell.executionCount,
    cell.sharedModel.getOutputs().flatMap(o => o.output_type === "error" ? [o.evalue] : []),
  ]);
}"""
SLIDERS = """() => {
  const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells];
  const view = "application/vnd.jupyter.widget-view+json";
  return cells.flatMap((cell, n) => cell.type === "code" &&
    cell.sharedModel.getOutputs().some(o => o.data && view in o.data) ? [n] : []);
}"""
SHOW = """async number => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  await notebook.scrollToItem(number, "center");
  window.watched = notebook.widgets[number].node;
}"""
INWARDS = """() => {
  const handle = document.activeElement, value = name => +handle.getAttribute("aria-value" + name);
  window.turn = value("now") >= value("max") ? "ArrowLeft"
    : value("now") <= value("min") ? "ArrowRight" : window.turn || "ArrowRight";
  return window.turn;  // on, and back again from the end
}"""
WATCH = """() => {
  const picture = () => window.watched.querySelector(".course-sliders img");
  let pressed = null, last = picture();
  window.delays = [];
  window.pictures = new Set([last.src]);
  document.addEventListener("keydown", () => { pressed = performance.now(); }, true);
  new MutationObserver(() => {
    const now = picture();
    if (!now || now === last) return;
    last = now;
    now.decode().then(() => {
      window.delays.push(performance.now() - pressed);
      window.pictures.add(now.src);
    });
  }).observe(window.watched, {childList: true, subtree: true});
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that shows copies of the chapters."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("course")
    for path in CHAPTERS.values():
        shutil.copy(path, folder)
    (home / "config" / "labconfig").mkdir(parents=True)
    (home / "config" / "labconfig" / "page_config.json").write_text(
        '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'
    )
    own = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
    beside = os.environ | {f"JUPYTER_{name}": str(home / place) for name, place in own.items()}
    beside |= {f"JUPYTERLAB_{name}_DIR": str(home / name) for name in ("SETTINGS", "WORKSPACES")}
    beside |= {"OMP_NUM_THREADS": "2"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
    command += ["--IdentityProvider.token=course", "--expose-app-in-browser"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, env=beside, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/lab/tree/{{}}.ipynb?reset&token=course"
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_and_its_sliders_move_their_figures(chromium, lab, name, record_property):
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(20_000)
    faults = listen(page)
    page.goto(lab.format(name))
    page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell")
    page.evaluate(READY)
    page.evaluate(RUN)
    counts, errors = zip(*page.evaluate(OUTPUTS), strict=True)
    assert not any(errors)
    assert list(counts) == list(range(1, len(counts) + 1))
    delays = []
    for number in page.evaluate(SLIDERS):
        page.evaluate(SHOW, number)
        cell = page.locator(f".jp-Cell[data-windowed-list-index='{number}']")
        cell.locator(".course-sliders img").wait_for()
        page.evaluate(WATCH)
        for handle in cell.locator(".noUi-handle").all():
            seen = page.evaluate("window.pictures.size")
            handle.focus()
            for _ in range(MOVES):
                before = page.evaluate("window.delays.length")
                page.keyboard.press(page.evaluate(INWARDS))
                page.wait_for_function("n => window.delays.length > n", arg=before)
            assert page.evaluate("window.pictures.size") > seen, "the slider moves no picture"
        delays += page.evaluate("window.delays")
        assert cell.locator(".jp-OutputArea img").count() == 1
    sliders = sum(c.source.count("plots.sliders(") for c in nbformat.read(CHAPTERS[name], 4).cells)
    assert bool(delays) == bool(sliders)
    if delays:
        late = quantiles(delays, n=20)[-1]
        record_property("slider milliseconds", f"{quantiles(delays, n=2)[0]:.0f}, {late:.0f}")
        print(f"{len(delays)} moves: median {quantiles(delays, n=2)[0]:.0f} ms, 95 % {late:.0f} ms")
        assert late <= SOON, f"{late:.0f} ms"
    assert not [fault for fault in faults if "favicon" not in fault]
    page.context.close()
