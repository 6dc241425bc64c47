"""What nbval leaves out, as a pytest plugin: `-p course_utils.tools.nbval_plugin`. The course's own
pyproject.toml asks for it, so that other projects of this environment keep nbval as it is.

* numbers with a point or an exponent agree to a relative 1e-3; whole numbers and text agree exactly
* `clear_output`, display updates and Output widgets show what JupyterLab shows
* a cell with fewer, more or other outputs than the stored ones fails, figures included
* a stream left blank, as by a progress bar that cleared itself, is no output
* cells are numbered as JupyterLab shows them, from 1
* a dead kernel is noticed within a second or two, not at the time limit of the cell
* a notebook that cannot be read, or has a cell without an id of its own, is one failure
* a failure says how to refresh the stored outputs, and a summary closes the run

nbval talks to the kernel itself and has no public hooks for this, so its version is pinned.
"""

import math
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from queue import Empty

import pytest

from course_utils.tools.notebooks import fault
from course_utils.tools.outputs import FORMS

try:
    from nbval import __version__ as nbval_version
    from nbval.plugin import IPyNbCell, IPyNbFile
except ImportError:  # `execute` runs where the course's tests are not installed
    nbval_version, IPyNbCell, IPyNbFile = "", pytest.Item, pytest.File

NBVAL = "0.11.0"
RELATIVE, ABSOLUTE = 1e-3, 1e-6
NUMBER = re.compile(r" *(?<![\w.])[-+]?(?:\d+\.\d+|\.\d+|\d+)(?:[eE][-+]?\d+)?")
OVERWRITTEN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)
IGNORE = "nbval-ignore-output"
TALLIES = pytest.StashKey()


class Tolerant(str):
    """Text that equals other text when their numbers agree to the tolerance."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and agree(str(self), str(other))

    def __ne__(self, other: object) -> bool:
        return not self == other


def agree(stored: str, now: str) -> bool:
    """Whether two texts are equal but for rounding of their numbers with a point or exponent.

    Spaces before such a number are its padding, and follow its width.
    """
    if stored == now:
        return True
    pairs = list(zip(NUMBER.findall(stored), NUMBER.findall(now), strict=False))
    return NUMBER.sub("#", stored) == NUMBER.sub("#", now) and all(
        one == other
        or (
            bool(re.search(r"[.eE]", one + other))
            and math.isclose(float(one), float(other), rel_tol=RELATIVE, abs_tol=ABSOLUTE)
        )
        for one, other in pairs
    )


def settled(outputs: list) -> list:
    """Outputs as JupyterLab shows them in the end: streams joined, overwritten text gone.

    stderr is joined over the cell, stdout between displays; a stream that is blank is left out.
    Works on, and changes, notebook nodes in place; settling twice changes nothing more.
    """
    kept, streams = [], {}
    for output in outputs:
        if output.output_type != "stream":
            streams.pop("stdout", None)
            kept.append(output)
        elif output.name in streams:
            streams[output.name].text += output.text
        else:
            streams[output.name] = output
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            output.text = OVERWRITTEN.sub("", output.text)
    return [out for out in kept if out.output_type != "stream" or out.text.strip()]


def kinds(outputs: list) -> Counter:
    """How often each kind of output occurs: streams by name, displays by their formats."""
    return Counter(
        out["name"] if out["output_type"] == "stream" else " + ".join(sorted(out.get("data", {})))
        for out in outputs
    )


@dataclass
class Tally:
    """What one notebook's run amounted to."""

    cells: int = 0
    compared: int = 0
    ignored: int = 0
    seconds: float = 0.0
    declared: float | None = None


class Cell(IPyNbCell):
    """A code cell, run and compared with its stored outputs."""

    def runtest(self) -> None:
        tally = self.config.stash[TALLIES].setdefault(self.path, Tally())
        tally.declared = self.parent.nb.metadata.get("course", {}).get("seconds")
        tally.cells += 1
        tally.ignored += not self.options["check"]
        self.parent.running = self
        try:
            super().runtest()
        finally:
            tally.seconds = time.monotonic() - self.parent.started

    def sanitize(self, s: object) -> object:
        s = super().sanitize(s)
        return Tolerant(s) if isinstance(s, str) else s

    def compare_outputs(self, test: list, ref: list, skip_compare: tuple | None = None) -> bool:
        test, ref = settled(test), settled(ref)
        if kinds(test) != kinds(ref):
            stored, now = (dict(kinds(outputs)) or "no output" for outputs in (ref, test))
            self.comparison_traceback = [f"stored: {stored}\nnow:    {now}"]
            return False
        self.config.stash[TALLIES][self.path].compared += sum(
            out.output_type == "stream" or any(key.startswith("text/") for key in out.data)
            for out in ref
        )
        # of a figure the sentence is compared, not how it is drawn
        skip = (skip_compare or self.parent.skip_compare) + FORMS
        return super().compare_outputs(test, ref, skip)

    def repr_failure(self, excinfo: pytest.ExceptionInfo) -> str:
        path = self.path.name if self.path.parent == self.config.rootpath else self.nodeid
        path = path.split("::")[0]
        cure = (
            f"If the cell is right and its stored output is old: python3 course.py execute {path}"
        )
        return f"{super().repr_failure(excinfo)}\n{cure}"


class Notebook(IPyNbFile):
    """A notebook with its kernel, seen as JupyterLab would show it."""

    def setup(self) -> None:
        self.started = time.monotonic()
        self.captured: dict[str, str] = {}  # Output widget -> the cell run whose output it takes
        self.displayed: dict[str, list] = {}  # display id -> the data shown under it
        self.clear_at_next = False
        super().setup()
        wait = self.kernel.await_reply
        self.kernel.await_reply = lambda msg_id, timeout=None: patiently(
            wait, self.kernel.is_alive, msg_id, timeout
        )

    def collect(self) -> list[Cell]:
        """The code cells, numbered as JupyterLab shows them: from 1."""
        return [
            Cell.from_parent(
                self,
                name=f"Cell {found.cell_num + 1}",
                cell_num=found.cell_num + 1,
                cell=found.cell,
                options=found.options,
            )
            for found in super().collect()
        ]

    def get_kernel_message(self, timeout: float | None = None, stream: str = "iopub") -> dict:
        """The next message that is shown under the running cell."""
        while True:
            message = super().get_kernel_message(timeout, stream)
            if not self.absorbed(message):
                return message

    def absorbed(self, message: dict) -> bool:
        """Whether a message changes what is shown already, or is shown in an Output widget."""
        kind, content = message["msg_type"], message["content"]
        shows = kind in ("stream", "display_data", "execute_result")
        if kind == "comm_msg" and "msg_id" in content["data"].get("state", {}):
            self.captured[content["comm_id"]] = content["data"]["state"]["msg_id"]
        if (shows or kind == "clear_output") and self.is_captured(message):
            return True
        if (shows and self.clear_at_next) or (kind == "clear_output" and not content["wait"]):
            self.running.test_outputs.clear()
            self.clear_at_next = False
        if kind == "clear_output":
            self.clear_at_next = content["wait"]
        ident = content.get("transient", {}).get("display_id")
        if kind == "update_display_data":
            for data in self.displayed.get(ident, []):
                data.clear()
                data.update(content["data"])
        elif kind == "display_data" and ident:
            # nbval keeps this very node, so that a later update reaches what it compares
            content["data"] = type(self.nb)(content["data"])
            self.displayed.setdefault(ident, []).append(content["data"])
        return kind in (
            "clear_output",
            "update_display_data",
            "comm_msg",
            "comm_open",
            "comm_close",
        )

    def is_captured(self, message: dict) -> bool:
        """Whether the run that sent the message writes into an Output widget."""
        run = message["parent_header"].get("msg_id")
        return bool(run) and run in self.captured.values()


class Damaged(pytest.File):
    """A file that is no notebook with which nbval could begin."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item, which fails: an error of collection would stop all other tests."""
        yield Fault.from_parent(self, name="the file")


class Fault(pytest.Item):
    """What is wrong with a notebook, told as its failure."""

    def runtest(self) -> None:
        pytest.fail(f"{self.path.name} {fault(self.path)}", pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.path.name


def patiently(wait: callable, alive: callable, msg_id: str, timeout: float | None) -> None:
    """Wait for the reply to a cell, and raise at once when the kernel has died."""
    end = time.monotonic() + (math.inf if timeout is None else timeout)
    while True:
        try:
            return wait(msg_id, timeout=max(0, min(1, end - time.monotonic())))
        except Empty:
            if not alive():
                raise RuntimeError(
                    "The kernel died: out of memory, or code that ended it."
                ) from None
            if time.monotonic() >= end:
                raise


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a version of nbval whose inner workings the plugin was not written for."""
    if config.getoption("nbval", False) and nbval_version != NBVAL:
        raise pytest.UsageError(
            f"The course compares notebooks with nbval {NBVAL}, and {nbval_version} is installed: "
            f"pip install nbval=={NBVAL}"
        )
    config.stash[TALLIES] = {}


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: object, parent: pytest.Collector):
    """Put our notebook in the place of nbval's."""
    collectors = yield
    if not parent.config.getoption("nbval", False):
        return collectors
    return [
        (Damaged if fault(file_path) else Notebook).from_parent(parent, path=file_path)
        if type(collector) is IPyNbFile
        else collector
        for collector in collectors
    ]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the tallies of a worker of pytest-xdist to the process that reports."""
    tallies = session.config.stash[TALLIES].items()
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[__name__] = {str(p): astuple(tally) for p, tally in tallies}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take the tallies of a worker; one that died has none."""
    for path, counts in getattr(node, "workeroutput", {}).get(__name__, {}).items():
        node.config.stash[TALLIES][Path(path)] = Tally(*counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was compared, and each notebook's seconds beside the declared ones."""
    tallies = terminalreporter.config.stash[TALLIES]
    if not tallies:
        return
    cells, compared, ignored = (
        sum(getattr(tally, name) for tally in tallies.values())
        for name in ("cells", "compared", "ignored")
    )
    terminalreporter.section("notebooks")
    terminalreporter.line(
        f"notebooks: {len(tallies)}, code cells: {cells}, text outputs compared: {compared}, "
        f"cells ignored: {ignored} ({ignored / cells:.1%})"
    )
    for path, tally in tallies.items():
        declared = "none declared" if tally.declared is None else f"declared {tally.declared} s"
        terminalreporter.line(f"{path.name}: {tally.seconds:.0f} s ({declared})")
