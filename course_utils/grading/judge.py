"""One submission: its answers run in the sandbox, the tests outside of it.

The master notebook with the student's answers is gone through from top to bottom. Given cells and
answers run in a sandboxed kernel, and so do cells that only import and define functions, which an
answer may use. Given cells run once more in this process, and so does every graded cell: it holds
hidden tests, and it judges. Figures and whatever else no test needs are not run: that would take
most of the time. When it calls a student's function, the call travels into the sandbox and only
values come back. So a student's code sees no test, and whatever it replaces, numpy, torch or the
checks, is replaced in the sandbox alone. In tests of later tasks the author's functions stand for
those that failed (see `lending`).
"""

import ast
import contextlib
import io
import json
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

import nbformat
import torch
import zmq
import zmq.asyncio
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from torch import Tensor
from traitlets.config import Config

from course_utils.grading.answers import DEFINED, Answers, answers, asked, only_defines
from course_utils.grading.cells import UnreadableError, mark
from course_utils.grading.inside import pack, unpack
from course_utils.grading.lending import Lender
from course_utils.grading.sandbox import MB, NAME, UNFENCED, Specs
from course_utils.tools.execute import attentive

LEND = "{0} = __import__('course_utils.grading.inside', fromlist=['']).lent({0!r})"
CALL = "__import__('course_utils.grading.inside', fromlist=['']).answer({}, {!r})"
SHOWN = 10_000  # characters of an output that are kept


class Limits(NamedTuple):
    """What one submission may use; seconds, megabytes."""

    cell: float = 60  # for a cell, and for one call of a function by a test
    total: float = 600
    memory: int = 3000
    processes: int = 64
    output: int = 10  # all that is printed
    scratch: int = 100


class Job(NamedTuple):
    """All that grading one submission needs; it can travel to another machine."""

    master: str  # the notebook with stubs and hidden tests
    content: bytes | None  # what was handed in, None if nothing can count
    limits: Limits
    sandboxed: bool
    author: tuple[tuple[str, str], ...] = ()  # id and code of given cells and the author's answers


class Verdict(NamedTuple):
    """What came of it."""

    notebook: str  # the master with the student's answers and all outputs
    notes: list[str]
    seconds: float


class Ended(Exception):  # noqa: N818 - the word for it
    """The student's kernel is gone; the text says why."""


class StartError(Ended):
    """The student's kernel did not start: no fault of the submission."""


class Talker(NotebookClient):
    """A notebook client that ends a kernel which talks without end."""

    received = 0

    def process_message(self, msg, cell, cell_index):
        """Count what the kernel sends."""
        self.received += sum(map(len, _texts(msg["content"])))
        if self.received > self.most:
            self.km.provisioner.end(f"it printed more than {self.most / MB:.0f} MB")
            return None
        return super().process_message(msg, cell, cell_index)


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for item in content.values() if isinstance(content, dict) else content:
            yield from _texts(item)


class Room:
    """A student's kernel in its sandbox."""

    def __init__(self, limits: Limits, sandboxed: bool, deadline: float, lender: Lender) -> None:
        config = Config()
        for bound in ("memory", "processes", "scratch"):
            config.Watched[bound] = getattr(limits, bound)
        specs = Specs(provisioner=NAME if sandboxed else UNFENCED)
        manager = AsyncKernelManager(kernel_name=NAME, kernel_spec_manager=specs, config=config)
        manager.context.maxmsgsize = 4 * limits.output * MB
        self.limits, self.deadline, self.manager = limits, deadline, manager
        self.lender = lender
        self.client = Talker(
            new_notebook(),
            km=manager,
            allow_errors=True,
            record_timing=False,
            shutdown_kernel="immediate",
            store_widget_state=False,
        )
        self.client.most = limits.output * MB
        self.stack = contextlib.ExitStack()
        try:
            self.stack.enter_context(self.client.setup_kernel(cleanup_kc=True))
        except RuntimeError as error:
            raise StartError(f"its kernel did not start: {error}") from error

    def seconds(self) -> float:
        """Return how long the next cell or call may take; Ended if no time is left."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Ended(f"all its answers together took longer than {self.limits.total:g} s")
        return min(left, self.limits.cell)

    def run(self, source: str) -> list[NotebookNode]:
        """Run a cell and return its outputs, bounded; Ended if the kernel did not survive it."""
        cell = new_code_cell(source)
        self.client.nb.cells = [cell]
        self.client.timeout = max(1, round(self.seconds()))
        try:
            run_sync(attentive)(self.client, self.client.async_execute_cell(cell, 0))
        except CellTimeoutError:
            raise Ended(f"it ran longer than {self.client.timeout} s") from None
        except DeadKernelError:
            raise Ended(self.why()) from None
        return [kept for output in cell.outputs if (kept := bounded(output))]

    def call(self, name: str, arguments: tuple, named: dict) -> object:
        """Call the student's function; what it raises is raised here under the same name."""
        packed = json.dumps(["tuple", [pack(arguments), pack(named)]])
        client, wait = self.client.kc, self.seconds()
        expression = {"value": CALL.format(name, packed)}
        lends = bool(self.lender.lent)
        sent = client.execute("", silent=True, user_expressions=expression, allow_stdin=lends)
        reply = self.reply(sent, time.monotonic() + wait, wait)
        try:
            value = reply["content"]["user_expressions"]["value"]
            if value["status"] == "error" and value["ename"] == "NameError":
                raise _named(
                    "NameError",
                    f"there is no function `{name}`: the answer's cell raised"
                    " an error before it, or it has another name",
                )
            if value["status"] == "error":
                raise _named(value["ename"], value["evalue"])
            kind, *rest = json.loads(ast.literal_eval(value["data"]["text/plain"]))
            if kind == "error":
                raise _named(*rest)
            result, after = map(unpack, rest)
        except (KeyError, TypeError, ValueError, SyntaxError, MemoryError, RecursionError):
            raise _named("ValueError", "its result cannot be read") from None
        for mine, theirs in zip(arguments, after, strict=False):
            tensors = isinstance(mine, Tensor) and isinstance(theirs, Tensor)
            if tensors and mine.shape == theirs.shape:
                mine.detach().copy_(theirs.detach())  # a test sees inputs that were changed
        return result

    def reply(self, sent: str, until: float, wait: float) -> dict:
        """Wait for the reply to a message; Ended if it does not come."""
        while time.monotonic() < until:
            channel, message = run_sync(self.heard)()
            if message is None and not run_sync(self.manager.is_alive)():
                raise Ended(self.why())
            if channel == "stdin":
                self.client.kc.input(self.lender.reply(message["content"]["prompt"], until))
            elif message and message["parent_header"].get("msg_id") == sent:
                return message
        raise Ended(f"it ran longer than {wait:.0f} s")

    async def heard(self, seconds: float = 0.5) -> tuple[str, dict | None]:
        """Return what the kernel says next, and on which channel; ("", None) if it is silent."""
        client = self.client.kc
        channels = {"shell": client.shell_channel, "stdin": client.stdin_channel}
        poller = zmq.asyncio.Poller()
        for channel in channels.values():
            poller.register(channel.socket, zmq.POLLIN)
        ready = dict(await poller.poll(1000 * seconds))
        for name, channel in channels.items():
            if channel.socket in ready:
                return name, await channel.get_msg(timeout=0)
        return "", None

    def why(self) -> str:
        """Say why the kernel died, as far as is known."""
        return self.manager.provisioner.ended or "it ended the kernel"

    def close(self) -> None:
        """End the kernel and everything in it."""
        with contextlib.suppress(Exception):  # it may be dead already
            self.stack.close()


def _named(name: str, text: str) -> Exception:
    """Return an exception whose class has a given name."""
    if name == "NotImplementedError":
        return NotImplementedError(text)
    return type(re.sub(r"\W", "", str(name))[:60] or "Exception", (Exception,), {})(str(text))


def bounded(output: NotebookNode) -> NotebookNode | None:
    """Return an output without what may harm who looks at it: long texts, HTML, scripts."""
    if output.output_type == "stream":
        return new_output("stream", name=output.name, text=_short(output.text))
    if output.output_type == "error":
        lines = [_short(line) for line in output.traceback[-3:]]
        return new_output(
            "error", ename=output.ename[:100], evalue=_short(output.evalue), traceback=lines
        )
    data = {"text/plain": _short(str(output.get("data", {}).get("text/plain", "")))}
    return new_output("display_data", data=data) if any(data.values()) else None


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "\n… (cut)"


class Court:
    """The process that judges: its namespace, and the student's functions as calls into a room."""

    def __init__(self, job: Job, solved: list[NotebookNode]) -> None:
        self.job = job
        self.names = {cell.id: asked(cell) for cell in solved}  # what each answer has to define
        self.functions = {cell.id: DEFINED.findall(cell.source) for cell in solved}
        self.values = {i: names for i, names in self.names.items() if not self.functions[i]}
        self.deadline = time.monotonic() + job.limits.total
        self.room: Room | None = None
        self.lender = Lender(job.author)
        self.wrong: set[str] = set()  # answers that failed a test, whose names are not lent yet
        self.locked: StartError | None = None  # why there is no room
        self.ran: list[tuple[str, str]] = []  # id and source of what the room has run
        self.guilty: dict[str, str] = {}  # answers that ended a room, and how
        self.namespace: dict = {"__name__": "homework"}

    def enter(self) -> Room:
        """Return the student's room, made anew, without the guilty answers, if it is gone."""
        if self.locked:
            raise self.locked
        if self.room is None:
            try:
                bounds = self.job.limits, self.job.sandboxed, self.deadline
                self.room = Room(*bounds, self.lender)
            except StartError as error:
                self.locked = error
                raise
            for ident, source in self.ran:
                self.room.run(self.without_guilt(ident, source))
        return self.room

    def leave(self) -> None:
        """Close the room."""
        if self.room is not None:
            self.room.close()
        self.room = None

    def without_guilt(self, ident: str, source: str) -> str:
        """Return a cell's code, or, of an answer that ended a kernel, a function that says so."""
        if ident not in self.guilty:
            return source
        text = f"an earlier run of it was stopped: {self.guilty[ident]}"
        stopped = "def {}(*_, **__):\n    raise RuntimeError({!r})\n"
        return "\n".join(stopped.format(name, text) for name in self.names[ident])

    def run(self, cell: NotebookNode) -> list[NotebookNode]:
        """Run a cell in the room; an output that says so if the room did not survive."""
        answer = mark(cell).get("solution")
        for name in self.functions.get(cell.id, ()):
            self.namespace[name] = Remote(self, name, cell.id, cell.source)
        try:
            outputs = self.enter().run(cell.source)
            for name in self.values.get(cell.id, ()):
                self.fetch(name)
        except Ended as end:
            self.leave()
            if answer:
                self.guilty[cell.id] = str(end)
                self.ran.append((cell.id, cell.source))
            return [failure("Stopped", f"This cell was stopped: {end}.")]
        self.ran.append((cell.id, cell.source))
        return outputs

    def fetch(self, name: str) -> None:
        """Bring a value that an answer defines here, for the tests; without it there is none."""
        self.namespace.pop(name, None)
        try:
            self.namespace[name] = self.enter().call(f"(lambda: {name})", (), {})
        except Ended:
            raise
        except Exception:  # noqa: BLE001 - whatever it is: the test will miss the name
            return

    def lend(self) -> None:
        """Put the author's functions in the place of answers that failed a test, from here on.

        Here, the tests call them. In the room stands what asks for their results: no line of the
        author's code enters it.
        """
        for ident in sorted(self.wrong):
            for name in self.functions.get(ident, ()):
                if self.lender.has(name):
                    self.namespace[name] = self.lender.lend(name)
                    self.run(new_code_cell(LEND.format(name), id=f"lent-{name}"))
        self.wrong.clear()

    def judge(self, cell: NotebookNode, ident: str) -> list[NotebookNode]:
        """Run a graded cell, a test of the answer in cell ident, here and return its outputs."""
        said = io.StringIO()
        outputs = []
        try:
            with contextlib.redirect_stdout(said):
                exec(compile(cell.source, cell.id, "exec"), self.namespace)  # noqa: S102 - ours
        except AssertionError as error:
            outputs = [failure("AssertionError", str(error))]
        except Exception as error:  # noqa: BLE001 - a result that no test foresaw
            text = f"✗ the test cannot use what your function returned: {error}"
            outputs = [failure("AssertionError", text)]
        if said.getvalue():
            outputs.insert(0, new_output("stream", name="stdout", text=said.getvalue()))
        if any(one.output_type == "error" for one in outputs):
            self.wrong.add(ident)
        return outputs

    def give(self, cell: NotebookNode) -> None:
        """Run a given cell here, for the tests."""
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(cell.source, cell.id, "exec"), self.namespace)  # noqa: S102 - ours


class Remote:
    """A student's function, as the tests see it."""

    def __init__(self, court: Court, name: str, ident: str, source: str) -> None:
        self.court, self.name, self.ident = court, name, ident
        self.__name__, self.source = name, source  # what `without_autograd` reads

    def __call__(self, *arguments, **named):
        """Call it in the room. If the room does not survive, later calls find it stopped."""
        try:
            return self.court.enter().call(self.name, arguments, named)
        except Ended as end:
            self.court.leave()
            self.court.guilty[self.ident] = str(end)
            raise RuntimeError(f"it was stopped: {end}") from None


def failure(name: str, text: str) -> NotebookNode:
    """Return an output that tells of an error."""
    return new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def judge(job: Job) -> Verdict:
    """Grade one submission: the master with its answers, run and judged.

    Whatever the submission is, there is a verdict: what cannot be read has no answers. Only a
    kernel that does not start is this machine's fault: StartError.
    """
    start = time.monotonic()
    torch.set_num_threads(1)
    master = nbformat.reads(job.master, as_version=4)
    found = Answers({}, {}, [])
    if job.content is not None:
        try:
            found = answers(job.content, master)
        except UnreadableError as reason:
            found = Answers({}, {}, [str(reason)])
    sources, notes = found.sources, found.notes
    code = [c for c in master.cells if c.cell_type == "code"]
    court = Court(job, [c for c in code if mark(c).get("solution")])
    for cell in master.cells:
        cell.source = sources.get(cell.id, cell.source)
        if found.attachments.get(cell.id):
            cell.attachments = found.attachments[cell.id]
        if cell in code and mark(cell).get("grade"):
            cell.outputs = [failure("AssertionError", "✗ there was nothing to grade")]
    if sources:
        hear(court, master)
    if court.locked:
        raise court.locked
    notes += [f"{ident}: stopped, {reason}." for ident, reason in court.guilty.items()]
    return Verdict(nbformat.writes(master), notes, time.monotonic() - start)


def hear(court: Court, master: NotebookNode) -> None:
    """Go through the notebook from top to bottom."""
    count, answer = 0, ""
    try:
        for cell in master.cells:
            if cell.cell_type != "code":
                continue
            given = "given" in cell.metadata.get("tags", [])
            if given:
                court.give(cell)
            if mark(cell).get("solution"):
                court.lend()
                answer = cell.id
            if mark(cell).get("grade"):
                cell.outputs = court.judge(cell, answer)
            elif given or mark(cell).get("solution") or only_defines(cell.source):
                cell.outputs = court.run(cell)
            else:
                continue  # a figure, or another cell that no test needs
            count += 1
            cell.execution_count = count
    finally:
        court.leave()
