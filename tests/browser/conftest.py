"""The browser that the tests of a module share."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from course_utils.publish import slides

from .chromium import IN_CI


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium, without a window; where it is missing, tests are skipped, but not in CI."""
    with ExitStack() as stack:
        try:
            started = stack.enter_context(slides.chromium())
        except OSError as error:
            if IN_CI:
                raise
            pytest.skip(str(error))
        yield started
