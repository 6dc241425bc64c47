"""Run notebooks and store their outputs: `python -m course_utils.tools.execute [NOTEBOOK ...]`.

A fresh kernel runs each notebook from top to bottom. What is stored is made the same on every
run, so that running an unchanged notebook again changes no byte of it. A notebook that raises is
reported with its cell and left as it was. What chapters mark with `#| export` is then written to
`course_utils/built/`.
"""

import argparse
import ast
import asyncio
import hashlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import nbformat
import zmq
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from traitlets.config import Config

from course_utils.tools.files import ELSEWHERE, NOTEBOOKS, notebook_named, write
from course_utils.tools.folding import fold
from course_utils.tools.notebooks import read
from course_utils.tools.outputs import VIEW

HEADER = re.compile(r"(seconds to run: \*\*)(\d+)(\*\*)")
WIDGETS = "application/vnd.jupyter.widget-state+json"
MODEL = re.compile(r"[0-9a-f]{32}")
ALL = re.compile(r"^__all__ = (\[.*?\])", re.MULTILINE | re.DOTALL)
T = TypeVar("T")
CELL_LIMIT = 600  # seconds, for one cell
CLOSE = 1.5  # a time within this factor of the declared one leaves it as it is


def main(arguments: list[str]) -> int:
    """Execute the notebooks named, or all of the course; 1 if one failed, 2 from a package."""
    parser = argparse.ArgumentParser(prog="course.py execute", description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=notebook_named, metavar="NOTEBOOK")
    asked = parser.parse_args(arguments)
    if not NOTEBOOKS.is_dir():
        print(ELSEWHERE, file=sys.stderr)
        return 2
    found = asked.notebooks or sorted(NOTEBOOKS.rglob("*.ipynb"))
    notebooks = [path for path in found if ".ipynb_checkpoints" not in path.parts]
    if not notebooks:
        print(f"There is no notebook under {NOTEBOOKS}: name those to execute.", file=sys.stderr)
    went_well = [told(path) for path in notebooks]
    return int(not went_well or not all(went_well))


def told(path: Path) -> bool:
    """Execute and export one notebook, and print one line about it; whether it went well."""
    print(f"{path} ... ", end="", flush=True)
    start = time.monotonic()
    try:
        changed = execute(path)
        seconds = time.monotonic() - start
        lib = path.resolve().parents[1] / "course_utils" / "built"
        module = export(path, lib) if lib.is_dir() else None
    except (ValueError, OSError) as error:
        print(f"failed\n{error}")
        return False
    parts = [f"{seconds:.0f} s", "outputs stored" if changed else "unchanged"]
    print(", ".join(parts + ([f"exported to {module.name}"] if module else [])))
    return True


def execute(path: Path) -> bool:
    """Run a notebook on a fresh kernel and store its outputs; whether the file changed.

    Raises ValueError, and leaves the file as it was, when it is no notebook, a cell raises or
    runs into the time limit, or the kernel dies.
    """
    stored, notebook, before = read(path), read(path), path.read_text(encoding="utf-8")
    seconds = run(notebook, path.parent)
    notebook = normalised(notebook)
    if is_from_this_code(notebook):
        keep_ignored(stored, notebook)
    declare(notebook, seconds)
    fold(notebook)
    after = nbformat.writes(notebook) + "\n"
    if after != before:
        write(path, after)
    return after != before


def run(notebook: NotebookNode, folder: Path) -> float:
    """Run all cells in place, in the folder, on this interpreter; seconds with kernel start."""
    start = time.monotonic()
    notebook.metadata.pop("widgets", None)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_LIMIT,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        config=Config({"KernelSpecManager": {"kernel_dirs": []}}),  # no kernel but our own
    )
    try:
        env = {**os.environ, "OMP_NUM_THREADS": str(threads())}
        run_sync(attentive)(client, client.async_execute(env=env, stderr=subprocess.DEVNULL))
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise ValueError(f"In code cell [{client.code_cells_executed}]: {error}") from error
    for model in states(notebook).values():
        for output in model["state"].get("outputs", []):
            if output["output_type"] == "error":
                raise ValueError(f"A widget shows {output['ename']}: {output['evalue']}")
    return time.monotonic() - start


def threads() -> int:
    """Return how many threads a kernel computes with: OMP_NUM_THREADS, or else half the cores, as
    `course.py` has it, so that a browser beside it has one, too."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return int(os.environ.get("OMP_NUM_THREADS") or max(1, cores // 2))


async def attentive(client: NotebookClient, work: Awaitable[T]) -> T:
    """Await some work of a client and ask its socket each second whether a reply has come.

    jupyter_client sends past asyncio; so the wake-up of a reply that comes while a widget is told
    something can be lost, and the cell would wait until its limit (zmq_getsockopt(3), ZMQ_FD).
    """
    watch = asyncio.create_task(look_again(client))
    try:
        return await work
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def look_again(client: NotebookClient) -> None:
    """Ask a client's socket for its events each second, which wakes whoever waits for one."""
    while True:
        await asyncio.sleep(1)
        if client.kc is not None:
            client.kc.shell_channel.socket.get(zmq.EVENTS)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells of a notebook, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_hash(notebook: NotebookNode) -> str:
    """16 hexadecimal digits that change when a code cell does."""
    sources = json.dumps([cell.source for cell in code_cells(notebook)])
    return hashlib.sha256(sources.encode()).hexdigest()[:16]


def is_from_this_code(notebook: NotebookNode) -> bool:
    """Whether the outputs on file came from the code cells as they are now."""
    return notebook.metadata.get("course", {}).get("code") == code_hash(notebook)


def normalised(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what differs from run to run and from machine to machine."""
    from course_utils.tools.nbval_plugin import settled  # needs pytest, which graders may lack

    for cell in code_cells(notebook):
        cell.metadata.pop("execution", None)
        cell.outputs = settled(cell.outputs)
    for model in states(notebook).values():
        if "outputs" in model["state"]:
            model["state"]["outputs"] = settled(model["state"]["outputs"])
    notebook.metadata.kernelspec = NotebookNode(
        display_name="Python 3 (ipykernel)", language="python", name="python3"
    )
    notebook.metadata.language_info.pop("version", None)
    return with_named_models(notebook)


def states(notebook: NotebookNode) -> dict:
    """The widget models stored with a notebook, by id."""
    return notebook.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})


def store_states(notebook: NotebookNode, models: dict) -> None:
    """Store widget models with a notebook in place of those it has."""
    notebook.metadata.pop("widgets", None)
    if models:
        stored = {"state": models, "version_major": 2, "version_minor": 0}
        notebook.metadata.widgets = nbformat.from_dict({WIDGETS: stored})


def with_named_models(notebook: NotebookNode) -> NotebookNode:
    """The notebook with widget models numbered within the cell that shows them first.

    Models that no cell shows are left out.
    """
    models, names = states(notebook), {}
    for cell in code_cells(notebook):
        number = itertools.count(1)
        queue = [out.data[VIEW]["model_id"] for out in cell.outputs if VIEW in out.get("data", {})]
        while queue:
            ident = queue.pop(0)
            if ident in models and ident not in names:
                names[ident] = f"{cell.execution_count:08x}{next(number):024x}"
                queue += MODEL.findall(json.dumps(models[ident], sort_keys=True))
    store_states(notebook, {ident: models[ident] for ident in names})
    text = MODEL.sub(lambda found: names.get(found[0], found[0]), nbformat.writes(notebook))
    return nbformat.reads(text, as_version=4)


def keep_ignored(stored: NotebookNode, notebook: NotebookNode) -> None:
    """Put the stored outputs of cells that nbval ignores, such as times, back into place."""
    from course_utils.tools.nbval_plugin import IGNORE

    kept = set()
    for old, new in zip(code_cells(stored), code_cells(notebook), strict=True):
        if IGNORE in new.metadata.get("tags", []):
            new.outputs = old.outputs
            kept.add(f"{new.execution_count:08x}")
    fresh = {ident: model for ident, model in states(notebook).items() if ident[:8] not in kept}
    old = {ident: model for ident, model in states(stored).items() if ident[:8] in kept}
    store_states(notebook, fresh | old)


def declare(notebook: NotebookNode, seconds: float) -> None:
    """Write the code's hash and the run's seconds into the metadata and the header.

    Seconds are rounded to 5; those on file stand while the code is the same and they are close.
    """
    on_file = notebook.metadata.get("course", {}).get("seconds", 0)
    close = on_file / CLOSE <= max(seconds, 5) <= on_file * CLOSE
    if not (close and is_from_this_code(notebook)):
        notebook.metadata.course = NotebookNode(
            code=code_hash(notebook),
            seconds=max(5, 5 * round(seconds / 5)),
            calibrated=int(float(f"{seconds / calibration():.2g}")),
        )
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = HEADER.sub(rf"\g<1>{notebook.metadata.course.seconds}\g<3>", cell.source)


def calibration() -> float:
    """Seconds for a float32 product of two 1024 x 1024 matrices, median of 15, on the threads that
    a kernel has."""
    import torch  # slow to import, and most runs have no need of it

    before = torch.get_num_threads()
    torch.set_num_threads(threads())
    matrix, times = torch.ones(1024, 1024), []
    for _ in range(15):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    torch.set_num_threads(before)
    return statistics.median(times)


def export(path: Path, lib: Path) -> Path | None:
    """Write the cells marked `#| export` as a module into the folder lib; None if there are none.

    nbdev writes into the module where its notebook lies, as seen from lib.
    Raises ValueError when cells are exported and no cell says `#| default_exp NAME`.
    """
    from nbdev.export import nb_export  # only the authors' tools need nbdev

    text = path.read_text(encoding="utf-8")
    if "#| export" not in text:
        return None
    if "#| default_exp" not in text:
        raise ValueError(f"{path} exports cells into no module: add a cell `#| default_exp NAME`.")
    with tempfile.TemporaryDirectory(dir=lib.resolve().parent) as folder:
        nb_export(path.resolve(), lib_path=folder)
        (draft,) = Path(folder).glob("*.py")
        text = ALL.sub(one_a_line, draft.read_text(encoding="utf-8"))
        write(lib / draft.name, text)
    return lib / draft.name


def one_a_line(names: re.Match) -> str:
    """The list `__all__` with a name a line, where nbdev fills lines of 120 columns."""
    return "__all__ = [\n" + "".join(f'    "{n}",\n' for n in ast.literal_eval(names[1])) + "]"


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # a λ in a traceback, a console that has none
    sys.exit(main(sys.argv[1:]))
