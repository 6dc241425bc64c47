"""A Jupyter kernel in a sandbox: `python -m course_utils.grading.sandbox` makes it known.

The kernel runs in bubblewrap (https://github.com/containers/bubblewrap): no network; a file system
that is read-only and holds Python, its packages and nothing of the lecturer's; a scratch folder in
memory; bounds on memory, processes and files. It is a kernel provisioner, jupyter_client's own
extension point, so that nbgrader, nbclient and nbval can use it as the kernel `course-sandbox`.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

import matplotlib
import psutil
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Integer, Unicode

from course_utils.tools.files import PACKAGE, RESULTS

NAME = "course-sandbox"
UNFENCED = "course-unfenced"
# Sockets that are files reach through the walls; Windows has none of either.
TRANSPORT = "tcp" if sys.platform == "win32" else "ipc"
MB = 1_000_000
MANY = 1000  # files
DEEP = 30  # folders in folders
# What a Linux needs to run a dynamically linked program and to know the time zone and fonts.
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime", "/etc/passwd")
CURES = {
    "Permission denied": "the system forbids user namespaces to unprivileged programs. On Ubuntu"
    " 24.04 or later give bubblewrap its AppArmor profile (`sudo apt install apparmor-profiles`,"
    " then `sudo apparmor_parser -r /usr/share/apparmor/extra-profiles/bwrap-userns-restrict`)",
    "Operation not permitted": "the system, often a container, forbids new namespaces. Run the"
    " grading outside of the container, or start the container with `--security-opt"
    " seccomp=unconfined` (Docker)",
    "No permissions to create": "the system has user namespaces switched off; `sudo sysctl"
    " kernel.unprivileged_userns_clone=1` switches them on",
    "": "bubblewrap does not start",
}


class UnavailableError(RuntimeError):
    """There is no sandbox on this machine; the text names cause and cure."""


@cache
def check() -> None:
    """Raise UnavailableError, with cause and cure, if no sandboxed process starts here."""
    if sys.platform != "linux":
        raise UnavailableError(
            "The sandbox needs Linux, for bubblewrap: grade on a Linux machine (WSL 2 on Windows"
            " is one)."
        )
    if shutil.which("bwrap") is None:
        raise UnavailableError(
            "bubblewrap is not installed: `sudo apt install bubblewrap` (Debian, Ubuntu) or"
            " `sudo dnf install bubblewrap` (Fedora)."
        )
    with tempfile.TemporaryDirectory(prefix="course-") as private:
        command = [*walls(Path(private), MB), "--", sys.executable, "-c", ""]
        run = subprocess.run(command, check=False, capture_output=True, text=True)
    if run.returncode:
        cure = next(cure for cause, cure in CURES.items() if cause in run.stderr)
        raise UnavailableError(f"No sandbox: {cure}. It said: {run.stderr.strip()[-300:]}")


def visible() -> list[Path]:
    """The folders of Python and of its packages: all that the sandbox shows of this machine.

    Of an editable install it is the package alone, not the repository around it, whose
    homework holds the solutions.
    """
    places = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent}
    places |= {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib", "stdlib")}
    places |= {PACKAGE, RESULTS}
    found = {place.resolve() for place in places if place.is_dir()} | {Path(sys.prefix)}
    return sorted(p for p in found if not p.is_relative_to("/usr"))


def walls(private: Path, scratch: int) -> list[str]:
    """Return the bubblewrap command, up to the program to run.

    Args:
        private: a folder of this machine that stays writable, for the kernel's sockets.
        scratch: bytes that fit into each of /tmp, /dev/shm and the home folder, which are memory.
    """
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    command += ["--unshare-user", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox"]
    command += ["--cap-drop", "ALL", "--ro-bind", "/usr", "/usr", "--proc", "/proc"]
    for place in SYSTEM:
        if os.path.islink(place):
            command += ["--symlink", os.readlink(place), place]
        elif os.path.isdir(place):
            command += ["--ro-bind", place, place]
    for place in ETC:
        command += ["--ro-bind-try", place, place]
    command += ["--dev", "/dev"]
    for place in ("/dev/shm", "/tmp", "/home/student"):
        command += ["--size", str(scratch), "--tmpfs", place]
    for place in map(str, visible()):
        command += ["--ro-bind", place, place]
    command += ["--bind", str(private), str(private), "--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in environment(private).items():
        command += ["--setenv", name, value]
    return [*command, "--chdir", "/home/student"]


def environment(private: Path) -> dict[str, str]:
    """The environment of a sandboxed process: nothing of the lecturer's."""
    return {
        "HOME": "/home/student",
        "LANG": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": str(private),
    }


def spec(provisioner: str) -> dict:
    """Return what a kernel.json holds for the kernel that a provisioner starts."""
    return {
        "argv": [sys.executable, "-m", "course_utils.grading.inside", "{connection_file}"],
        "display_name": "Python 3 (sandbox of the course)",
        "language": "python",
        "interrupt_mode": "message",
        "metadata": {"kernel_provisioner": {"provisioner_name": provisioner}},
    }


def private_memory(process: psutil.Process) -> int:
    """Return the bytes that a process holds for itself: pages that forks share count once."""
    try:
        used = process.memory_info()
    except psutil.NoSuchProcess:
        return 0
    return used.rss - getattr(used, "shared", 0)


def overfull(folder: Path, most: int) -> str:
    """Say which bound the files in a folder exceed, or nothing; most is in MB.

    It is a student's folder: no recursion, and an end in breadth and in depth. What cannot be read
    raises OSError; what has gone since is passed over.
    """
    count, size, left = 0, 0, [(folder, 0)]
    while left:
        place, depth = left.pop()
        if depth > DEEP:
            return f"it nested folders more than {DEEP} deep"
        with contextlib.suppress(FileNotFoundError), os.scandir(place) as entries:
            for entry in entries:
                count, size = count + 1, size + entry.stat(follow_symlinks=False).st_size
                if count > MANY or size > most * MB:
                    return f"it wrote more than {most} MB or {MANY} files"
                if entry.is_dir(follow_symlinks=False):
                    left.append((entry.path, depth + 1))
    return ""


def remove(folder: Path) -> None:
    """Remove a student's folder, however deep it is nested and whatever may not be read in it."""
    if sys.platform == "win32":
        shutil.rmtree(folder, ignore_errors=True)
        return
    for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        subprocess.run([*command, "--", str(folder)], check=False, stderr=subprocess.DEVNULL)


class Watched(LocalProvisioner):
    """Starts a kernel with sockets in a folder of its own; ends it when it grows too large."""

    memory = Integer(3000, help="MB that all processes together may hold").tag(config=True)
    processes = Integer(64, help="how many processes there may be").tag(config=True)
    scratch = Integer(100, help="MB of files").tag(config=True)
    ended = ""  # why the kernel was ended, if it was

    def fence(self) -> list[str]:
        """Return the command that the kernel's own command is put behind."""
        return []

    async def pre_launch(self, **kwargs):
        """Put the kernel behind its fence, with its limits."""
        self.private = Path(tempfile.mkdtemp(prefix="course-"))
        for fonts in Path(matplotlib.get_cachedir()).glob("fontlist*.json"):
            shutil.copy(fonts, self.private)  # looking for fonts takes seconds
        manager = self.parent
        if TRANSPORT == "ipc":
            manager.transport, manager.ip = "ipc", str(self.private / "k")
        manager.connection_file = str(self.private / "connection.json")
        kwargs = await super().pre_launch(**kwargs)
        *python, connection = kwargs.pop("cmd")
        bounds = [str(self.memory * MB), str(self.scratch * MB)]
        null = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return kwargs | {"cmd": [*self.fence(), *python, *bounds, connection]} | null

    async def launch_kernel(self, cmd, **kwargs):
        """Start the kernel and the thread that watches over it."""
        info = await super().launch_kernel(cmd, **kwargs)
        threading.Thread(target=self.watch, args=(self.process,), daemon=True).start()
        return info

    def watch(self, process: subprocess.Popen) -> None:
        """End the kernel as soon as its processes, their memory or its files are too many.

        A kernel that cannot be watched is ended, too: no bound holds without the watcher.
        """
        while process.poll() is None:
            try:
                reason = self.excess(process.pid)
            except Exception as error:  # noqa: BLE001 - whatever a student found to stop us
                reason = f"it could not be watched ({type(error).__name__})"
            if reason:
                self.end(reason)
            time.sleep(0.1)

    def excess(self, pid: int) -> str:
        """Say which bound the process and its children exceed, or nothing."""
        try:
            process = psutil.Process(pid)  # bubblewrap, or without a fence the kernel itself
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return ""  # it ended while we looked
        if len(family) - 1 > self.processes:
            return f"it started more than {self.processes} processes"
        if sum(map(private_memory, family)) > self.memory * MB:
            return f"its {len(family)} processes held more than {self.memory} MB of memory"
        return overfull(self.private, self.scratch)

    def end(self, reason: str) -> None:
        """Kill the kernel and its children for a reason."""
        self.ended = self.ended or reason
        with contextlib.suppress(psutil.Error):
            kernel = psutil.Process(self.pid)
            for process in [kernel, *kernel.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    process.kill()

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the folder of the sockets."""
        await super().cleanup(restart)
        remove(self.private)


class Sandbox(Watched):
    """A watched kernel behind the walls of bubblewrap, whose end takes its children along."""

    def fence(self) -> list[str]:
        """Return the command of bubblewrap. Raises UnavailableError if there is no sandbox here."""
        check()
        return [*walls(self.private, self.scratch * MB), "--"]


class Specs(KernelSpecManager):
    """Knows one kernel, without an installed kernel spec."""

    provisioner = Unicode(NAME)

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return that kernel, whatever a notebook asks for."""
        return KernelSpec(resource_dir="", **spec(self.provisioner))


def main() -> int:
    """Install the kernel spec `course-sandbox` into this environment; 1 if there is no sandbox."""
    try:
        check()
    except UnavailableError as missing:
        print(missing, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernel.json").write_text(json.dumps(spec(NAME), indent=1), "utf-8")
        place = KernelSpecManager().install_kernel_spec(folder, NAME, prefix=sys.prefix)
    print(f"The kernel {NAME} is in {place}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
