"""The browser that the tests of a module share."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from course_utils.publish import slides


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium, without a window."""
    with slides.chromium() as started:
        yield started
