"""What several tests share: a homework, workers of a cluster, and no network."""

import ipaddress
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from homework import tiny
from making import notebook_of
from nbformat import NotebookNode


@pytest.fixture
def make_notebook() -> Callable[..., NotebookNode]:
    """A function from code cells to a notebook that has not run; strings are their sources."""
    return notebook_of


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lecturer's folder with the tiny homework, released."""
    from course_utils.grading import release

    base = tmp_path_factory.mktemp("course")
    tiny.put(base / "homework")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "HOMEWORK", base / "homework")
        release.renew(base / "course")
    return base / "course"


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """The address of a Dask scheduler on this machine and its two workers; the log is in log."""
    from distributed import Client

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}"]
    worker += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
    beside = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with (tmp_path / "log").open("a") as log:
        commands = [[*dask, "--port", str(port), "--no-dashboard"], worker, worker]
        started = [
            subprocess.Popen(c, cwd=tmp_path, stdout=log, stderr=log, env=beside) for c in commands
        ]
    try:
        with Client(f"tcp://127.0.0.1:{port}", timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
        yield f"tcp://127.0.0.1:{port}", started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections reach this machine only: a test that needs another one fails everywhere."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not is_local(address[0]):
            raise OSError(f"tests have no network, and {address[0]} was asked for")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def is_local(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
