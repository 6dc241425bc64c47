"""Work on many machines: the workers of a Dask cluster, which `--scheduler ADDRESS` names."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client, Future

Task = tuple[Any, Callable[[], Any]]  # a name, and what is to be done

PATIENCE = 20  # seconds until a scheduler answers and a worker has joined it


def run_on_cluster(tasks: Iterator[Task], address: str, retries: int = 0) -> Iterator[tuple]:
    """Yield name and future of each task as it ends, done or failed, on a worker of the cluster.

    A task is taken from `tasks` only when a worker will soon be free, so memory stays bounded.
    The task of a worker that dies is given to another.

    Args:
        tasks: names, each once, and functions that can be pickled.
        address: of the scheduler, "tcp://host:8786".
        retries: how often a task that raises is tried again.

    Raises:
        OSError: nothing answers at the address, or no worker waits there.
        RuntimeError: the package distributed is not installed.
    """
    try:
        from distributed import Client, as_completed
    except ModuleNotFoundError as missing:
        raise RuntimeError("a cluster needs Dask: `pip install distributed`") from missing
    with Client(address, timeout=PATIENCE) as client:
        threads = _wait_for_threads(client, address)
        names: dict[str, Any] = {}
        queue = as_completed()

        def give(count: int) -> None:
            for name, task in islice(tasks, count):
                future = client.submit(task, pure=False, retries=retries)
                names[future.key] = name
                queue.add(future)

        give(3 * threads)
        for future in queue:
            yield names.pop(future.key), future
            give(1)


def _wait_for_threads(client: "Client", address: str) -> int:
    """Return the threads of the workers; those that are just being started get time to join."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        none = f"the scheduler at {address} has no workers: start `dask worker` first"
        raise OSError(none) from None
    return sum(client.nthreads().values())


def outcome(future: "Future") -> Any:
    """Return a future's result, or the exception in its place."""
    error = future.exception()
    return future.result() if error is None else error
