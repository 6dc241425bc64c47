"""The author's answers, lent to tests of later tasks where a student's own are wrong or missing.

So that an answer costs its own points alone. They run here, beside the tests and never in the
sandbox: a student's code that needs one asks for its result. What is asked comes from a student, so
it is bounded in size, time and memory.
"""

import contextlib
import io
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from torch import Tensor

from course_utils.grading.inside import answer, unpack

LARGEST = 4_000_000  # bytes of the tensors in one question
MOST = 100_000  # of a whole number in it: sizes and counts
SPARE = 4_000_000_000  # bytes of memory for one answer


class Lender:
    """The author's functions, made when the first is lent; `lent` holds what was, by name."""

    def __init__(self, cells: Sequence[tuple[str, str]]) -> None:
        self.cells = cells
        self.lent: dict[str, Callable] = {}

    @cached_property
    def namespace(self) -> dict:
        """What the given cells and the author's answers define."""
        found: dict = {"__name__": "homework"}
        with contextlib.redirect_stdout(io.StringIO()):
            for ident, source in self.cells:
                exec(compile(source, ident, "exec"), found)  # noqa: S102 - the author's
        return found

    def has(self, name: str) -> bool:
        """Tell if there is an author's function of this name."""
        return bool(self.cells) and callable(self.namespace.get(name))

    def lend(self, name: str) -> Callable:
        """Return the author's function; from now on it is answered for, too."""
        self.lent[name] = self.namespace[name]
        return self.lent[name]

    def reply(self, question: str, until: float) -> str:
        """Return, packed, what a lent function gives, or why it gives nothing.

        question is the name and the packed arguments, as `inside.lent` writes them; until is the
        time, in seconds of the monotonic clock, after which nobody waits for it.
        """
        try:
            name, packed = json.loads(question)
            if not small(unpack(json.loads(packed))):
                raise ValueError(f"{name} was called with more than it can be asked for")
            with bounded(until - time.monotonic()):
                return answer(self.lent[name], packed)
        except Exception as error:  # noqa: BLE001 - it is told to who asked
            return json.dumps(["error", type(error).__name__, str(error)[:200]])


def small(value: object) -> bool:
    """Tell if arguments are such as a function of a homework is called with."""
    if isinstance(value, Tensor):
        return value.nbytes <= LARGEST
    if isinstance(value, dict):
        return small([*value, *value.values()])
    if isinstance(value, list | tuple | set):
        return all(map(small, value))
    return not isinstance(value, int) or abs(value) <= MOST


@contextlib.contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after some seconds, and MemoryError beyond `SPARE`.

    On Windows, which has no such bounds, and after the last second nothing is bounded.
    """
    if not hasattr(signal, "setitimer") or seconds <= 0:
        yield
        return
    import resource  # not there on Windows

    def late(*_) -> None:
        raise TimeoutError("it took too long")

    before, bound = signal.signal(signal.SIGALRM, late), resource.getrlimit(resource.RLIMIT_DATA)
    most = min((b for b in (SPARE, bound[1]) if b != resource.RLIM_INFINITY), default=SPARE)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (most, bound[1]))
        signal.setitimer(signal.ITIMER_REAL, math.ceil(seconds))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_DATA, bound)
