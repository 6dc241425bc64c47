"""The one way into the course, on Linux, macOS and Windows: `python3 course.py TASK`.

The first task makes the environment `.venv` beside this file and installs the course into it;
each task is then one line of a real tool, run in the folder of this file. An environment of your
own, such as environment.yml makes, is used as it is. Written so that old Pythons can read it.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from urllib.parse import urlparse
from urllib.request import url2pathname

# Python 2 stops here and shows this line: it has to be the first f-string.
NEEDS = f"{__file__} needs Python 3.11, 3.12 or 3.13, from https://www.python.org/downloads"
OLDEST, TOO_NEW = (3, 11), (3, 14)

ROOT = pathlib.Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "course-stamp"  # tells what was installed, or "unfinished"
INSTALL = "pip install --disable-pip-version-check -c constraints.txt -e .[test]"
START = "/lab/tree/notebooks/00_start_here.ipynb"  # so that the address printed shows it, too

TASKS = {  # name: what it does, and the line that `python -m` runs
    "lab": ("open the course in JupyterLab", "jupyterlab --LabApp.default_url=" + START),
    "test": ("prove what you will read: every test, every notebook", "pytest"),
    "doctor": ("say if this machine is ready, and the cure if not", "course_utils.doctor"),
    "student": ("make or update your own copy of the notebooks", "course_utils.student"),
    "execute": ("run notebooks and store their outputs", "course_utils.execute"),
    "matrix": ("verify the stored outputs under other arithmetic", "course_utils.matrix"),
    "slides": ("turn chapters into slides", "course_utils.publish.slides"),
    "book": ("turn the course into a book", "course_utils.publish.book"),
    "results": ("write the page of results from the stored runs", "course_utils.publish.results"),
    "launch": ("write chapters for Colab and Binder", "course_utils.publish.launch"),
    "homework": ("write what students get of the homework", "course_utils.grading.release"),
    "grade": ("grade a class, each submission in a sandbox", "course_utils.grading"),
    "bench": ("measure speed", "course_utils.bench"),
    "reproduce": ("run an experiment at full size", "course_utils.reproduce"),
    "lint": ("look for mistakes in code and notebooks", "ruff check"),
    "format": ("lay out code and notebooks (--check: only look)", "ruff format"),
}

FULL = "No space left|not enough space|Disk quota exceeded|No usable temporary directory"
DENIED = "Permission denied|Read-only file system|Access is denied|Operation not permitted"
OFFLINE = (
    "name resolution|getaddrinfo|nodename nor servname|NameResolutionError|ConnectionError"
    "|Connection refused|Timeout|timed out|Network is unreachable|ProxyError|SSLError"
)
CURES = {  # what a failed step prints: the sentence that helps; the first that fits
    FULL: "The disk is full: make room, about 2 GB (8 GB if PyTorch brings CUDA) where {} is and"
    " 1 GB in the temporary folder, then run this again.",
    DENIED: "The environment cannot be written: move {} to a place that is yours, or mend the"
    " permissions of the path named above, then run this again.",
    OFFLINE: "No network: pip did not reach its package index; connect, or put your proxy or index"
    " into pip's own settings, then run this again.",
    "": "The set-up of {} stopped for the reason above: mend it, then run this again.",
}


def explain(output: str) -> str:
    """Return cause and cure, in one sentence, of a step that failed with this output."""
    if shutil.disk_usage(str(ROOT)).free < 50e6:  # venv hides what its own pip printed
        output = "No space left"
    return next(cure.format(ROOT) for cause, cure in CURES.items() if re.search(cause, output))


def step(command: "list[str]") -> None:
    """Run one step of the set-up, its output shown as it comes; SystemExit says what went wrong."""
    with subprocess.Popen(command, cwd=str(ROOT), stderr=subprocess.PIPE) as child:
        errors = b""
        for line in child.stderr:
            errors += line
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
    if child.returncode:
        raise SystemExit(explain(errors.decode("utf-8", "replace")))


def check_python(version: "tuple[int, int]") -> None:
    """SystemExit if an environment made with this version of Python would not run the course."""
    if not OLDEST <= version < TOO_NEW:
        age = "old" if version < OLDEST else "new"
        raise SystemExit(f"Python {version[0]}.{version[1]} is too {age}: {NEEDS}.")
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python{version[0]}.{version[1]}-venv"
        raise SystemExit(f"This Python makes no environments: `sudo apt install {package}` first.")


def tested_versions() -> "dict[str, str | None]":
    """Return {package: tested version} of the packages that pyproject.toml asks for by name."""
    import tomllib  # Python 3.11

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["test"]
    pins = dict(re.findall(r"(?m)^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text("utf-8")))
    return {name: pins.get(name) for name in (re.match(r"[\w-]+", a).group() for a in asked)}


def serves() -> bool:
    """Tell if the running Python (conda's, say) has this very folder installed, as tested."""
    if not OLDEST <= sys.version_info[:2] < TOO_NEW:
        return False
    from importlib import metadata  # Python 3.8

    try:
        origin = metadata.distribution("course-utils").read_text("direct_url.json")
        folder = url2pathname(urlparse(json.loads(origin)["url"]).path)
        if not os.path.samefile(folder, str(ROOT)):
            return False
        if VENV.exists() and os.path.samefile(sys.prefix, str(VENV)):
            return False  # .venv itself is held to its stamp
        return all(metadata.version(n).split("+")[0] == v for n, v in tested_versions().items())
    except (metadata.PackageNotFoundError, OSError, TypeError):
        return False


def works() -> bool:
    """Tell if the Python of .venv starts and has pip."""
    with contextlib.suppress(OSError), open(os.devnull, "w") as null:
        return subprocess.call([str(PYTHON), "-c", "import pip"], stdout=null, stderr=null) == 0
    return False


def stamp() -> str:
    """Return what STAMP holds once everything is installed: other files, another stamp."""
    parts = [ROOT / "pyproject.toml", ROOT / "constraints.txt", VENV / "pyvenv.cfg"]
    return hashlib.sha256(b"".join(p.read_bytes() for p in parts) + bytes(ROOT)).hexdigest()


@contextlib.contextmanager
def alone():
    """Hold the lock of this folder: two set-ups at once would spoil each other."""
    name = hashlib.sha256(f"{VENV} {os.path.expanduser('~')}".encode()).hexdigest()[:16]
    with open(os.path.join(tempfile.gettempdir(), f"course-{name}.lock"), "w") as file:
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit("Another set-up is at work here: let it end first.") from None
        yield


def make_venv() -> None:
    """Make .venv afresh; what is in its place is cleared only if it is an environment."""
    check_python(sys.version_info[:2])
    ours = (VENV / "pyvenv.cfg").is_file() or (VENV.is_dir() and not os.listdir(str(VENV)))
    if ours:
        print("The environment in .venv is half-made or broken: making it anew.", flush=True)
    elif os.path.lexists(str(VENV)):
        raise SystemExit(f"{VENV} is no environment of Python: move it away, then run this again.")
    step([sys.executable, "-m", "venv", "--clear", str(VENV)])
    STAMP.write_text("unfinished", "utf-8")


def set_up() -> None:
    """Make .venv if it is not there or broken, fill it if something else is asked for now."""
    done = STAMP.read_text("utf-8") if STAMP.is_file() else ""
    whole = done != "unfinished" and works()
    if whole and done == stamp():
        return
    with alone():
        if not whole:
            make_venv()
        print("Installing the course into .venv. The first time takes minutes: about 0.6 GB come")
        print("over the network (3 GB where PyTorch brings CUDA: see the README).", flush=True)
        step([str(PYTHON), "-m", *INSTALL.split()])
        STAMP.write_text(stamp(), "utf-8")


def run(command: "list[str]") -> int:
    """Run a task in the folder of this file and return its exit code."""
    env = dict(os.environ, PYTHONUTF8="1")  # the same text on Windows as elsewhere
    with subprocess.Popen(command, cwd=str(ROOT), env=env) as child:
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches the tool, which decides
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        code = child.wait()
    return code if code >= 0 else 128 - code


def main(arguments: "list[str]") -> int:
    """Run the task that the command line names, with its further arguments; return its exit code.

    SystemExit, with one sentence, if the environment cannot be set up.
    """
    task = arguments[0] if arguments else "help"
    if task in ("help", "-h", "--help"):
        print(f"python3 {pathlib.Path(__file__).name} TASK [what the task's tool takes]\n")
        print("\n".join(f"  {name:10} {what}" for name, (what, _) in TASKS.items()))
        return 0
    if task not in TASKS:
        print(f"There is no task {task!r}; the tasks are {', '.join(TASKS)}.", file=sys.stderr)
        return 2
    try:
        python = sys.executable if serves() else str(PYTHON)
        if python == str(PYTHON):
            set_up()
    except OSError as error:
        raise SystemExit(explain(str(error))) from None
    except KeyboardInterrupt:
        raise SystemExit("Stopped; the same command goes on from here.") from None
    return run([python, "-m", *TASKS[task][1].split(), *arguments[1:]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
