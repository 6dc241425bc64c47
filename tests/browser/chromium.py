"""Debian's Chromium, driven by Playwright, and what a page must not do."""

import os
import shutil

import pytest
from playwright.sync_api import Page

from course_utils.publish import assets

IN_CI = bool(os.environ.get("CI"))
needs_npm = pytest.mark.skipif(
    not (assets.MODULES.is_dir() or shutil.which("npm")) and not IN_CI,
    reason="npm, which brings what pages need, is missing: install Node.js",
)

# MathJax draws formulas by the hundred, in one way: they are left out.
START = """options => {
  const look = () => axe.run({exclude: [["mjx-container"]]}, options);
  window.looked = new Promise((yes, no) => setTimeout(() => look().then(yes, no)));
}"""


def listen(page: Page) -> list[str]:
    """A list that grows by each error of the page and each request that leaves the machine."""
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda r: faults.append(f"failed: {r.url[:200]}"))
    page.on("request", lambda r: None if is_here(r.url) else faults.append(f"left: {r.url[:200]}"))
    return faults


def is_here(url: str) -> bool:
    """Whether an address is on this machine."""
    here = ("file:", "data:", "blob:", "http://127.0.0.1", "ws://127.0.0.1", "http://localhost")
    return url.startswith(here)


def look(page: Page, script: str, rules: dict | None = None) -> None:
    """Let axe-core begin to look at a page, and do not wait for it."""
    page.evaluate(script)
    page.evaluate(START, {"rules": rules or {}, "preload": False})


def seen(page: Page) -> list[str]:
    """The serious and critical faults of accessibility that axe-core finds on a page."""
    return [
        f"{fault['id']} ({len(fault['nodes'])}): {fault['nodes'][0]['html'][:200]}"
        for fault in page.evaluate("window.looked")["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
