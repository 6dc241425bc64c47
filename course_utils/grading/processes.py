"""Many submissions, each in a process of its own: on this machine, or on a Dask cluster.

A process that is killed, here or with a whole machine, costs no more than its submission's time:
the submission is given out again, and what came of it is taken once.
"""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from multiprocessing import current_process, get_all_start_methods, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext

from course_utils.grading.judge import Job, Verdict, judge
from course_utils.tools import cluster

TRIES = 3  # for a submission whose process is killed
SPARE = 120  # seconds beyond a submission's own limit, for the start and the end of its process
PRELOADED = [  # what tests import; a fork has it for nothing
    "course_utils.grading.judge",
    "course_utils.checks",
    "course_utils.data",
    "course_utils.plots",
    "course_utils.built.ista",
    "matplotlib.pyplot",
]
Loaded = Callable[[], Job]
Outcome = Verdict | Exception


class LostError(RuntimeError):
    """The process that judged a submission did not come back."""


def run_locally(loads: dict[str, Loaded], workers: int) -> Iterator[tuple[str, Outcome]]:
    """Yield name and outcome of each submission as it is done, several at a time.

    Args:
        loads: by name, a function that reads a submission; called when its turn has come.
        workers: how many are judged at a time.
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting, running = iter(loads.items()), {}
        try:
            while True:
                for name, load in islice(waiting, 2 * workers - len(running)):
                    running[pool.submit(in_a_fork, load)] = name
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                yield from ((running.pop(future), cluster.outcome(future)) for future in done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def fresh_processes() -> BaseContext:
    """Return how processes are started here: forked with all loaded, or, on Windows, anew."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def in_a_fork(load: Loaded) -> Verdict:
    """Judge a submission in a fresh process; LostError if it is killed every time."""
    context = fresh_processes()
    job = load()
    for _ in range(TRIES):
        mine, theirs = context.Pipe(duplex=False)
        with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as scratch:
            process = context.Process(target=serve, args=(theirs, job, scratch), daemon=True)
            process.start()
            theirs.close()
            try:
                if mine.poll(job.limits.total + SPARE):
                    return _unless_error(mine.recv())
            except (EOFError, OSError):
                pass  # it was killed before it could answer
            finally:
                process.kill()
                process.join()
                mine.close()
    raise LostError(f"the process that judged it was ended from outside {TRIES} times")


def serve(answer: Connection, job: Job, scratch: str) -> None:
    """Judge a submission and send what came of it."""
    tempfile.tempdir = scratch
    answer.send(_guarded(job))


def _guarded(job: Job) -> Outcome:
    try:
        return judge(job)
    except Exception as error:  # noqa: BLE001 - travels to the process that collects
        return error


def _unless_error(result: Outcome) -> Verdict:
    if isinstance(result, Exception):
        raise result
    return result


def run_on_cluster(loads: dict[str, Loaded], address: str) -> Iterator[tuple[str, Outcome]]:
    """Like `here`, on the workers of a Dask scheduler; OSError if it does not answer."""
    tasks = ((name, partial(on_a_worker, load())) for name, load in loads.items())
    for name, future in cluster.run_on_cluster(tasks, address, TRIES):
        yield name, cluster.outcome(future)


def on_a_worker(job: Job) -> Verdict:
    """Judge a submission in a fresh process of a worker of Dask."""
    current_process().daemon = False  # what Dask's nanny starts is one, and may have no children
    return in_a_fork(lambda: job)
