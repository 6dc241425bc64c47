"""How the course's own tests run: several at a time, long ones first, slow ones when asked for.

`python3 course.py test` leaves out what is marked `slow`, `--all` runs everything, and whoever
names files, marks or words (`-m`, `-k`) gets all that they name. Each worker of pytest-xdist, with
the kernels it starts, computes on one thread; a notebook stays with one worker.
"""

import os
from collections import Counter
from pathlib import Path

import psutil
import pytest

MEMORY = 2.5e9  # bytes that a worker with its kernel may need
LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `--all` run everything."""
    parser.addoption("--all", action="store_true", help="run what is marked slow, too")


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is left out yet; and no file is named in vain, of which workers would say nothing."""
    for name in config.args:
        if not (config.invocation_params.dir / name.partition("::")[0]).exists():
            raise pytest.UsageError(f"file or directory not found: {name}")
    config.stash[LEFT_OUT] = 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many as cores and memory allow; 0, which is no worker, for a single file or core."""
    if len(config.args) == 1 and Path(config.args[0].partition("::")[0]).is_file():
        return 0
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    workers = min(cores, int(psutil.virtual_memory().available / MEMORY))
    return workers if workers > 1 else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """One thread for each worker and its kernels: two at once with two each wait for each other."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def pytest_itemcollected(item: pytest.Item) -> None:
    """The sources of homework, which lecturers alone see, are run with what is slow."""
    if item.path.parent == item.config.rootpath / "notebooks" / "homework":
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is slow, unless asked for, and put long files first, whole."""
    named = config.args_source is config.ArgsSource.ARGS
    if not (config.option.all or named or config.option.markexpr or config.option.keyword):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        config.stash[LEFT_OUT] = len(slow)
    items.sort(key=seconds, reverse=True)


def seconds(item: pytest.Item) -> float:
    """What the file of a test takes, as far as that is declared: notebooks do, long modules do."""
    notebook = getattr(item.parent, "nb", None)
    if notebook is not None:
        return notebook.metadata.get("course", {}).get("seconds", 0)
    return getattr(getattr(item, "module", None), "SECONDS", 0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that reports how much a worker left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[__name__] = session.config.stash[LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Hear it; all workers say the same."""
    left_out = getattr(node, "workeroutput", {}).get(__name__, 0)
    node.config.stash[LEFT_OUT] = max(left_out, node.config.stash[LEFT_OUT])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what this run did not prove, and what would."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    left_out = terminalreporter.config.stash[LEFT_OUT]
    if reasons or left_out:
        terminalreporter.section("not run")
    for reason, count in reasons.items():
        terminalreporter.line(f"{count} skipped: {reason}")
    if left_out:
        terminalreporter.line(
            f"{left_out} slow, deselected: `python3 course.py test --all` runs them"
        )
