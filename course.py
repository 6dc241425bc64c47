"""The one way into the course, on Linux, macOS and Windows: `python3 course.py TASK`.

The first task makes the environment `.venv` beside this file and installs the course into it;
each task is then one line of a real tool, run in the folder of this file. An environment of your
own, such as environment.yml makes, is used as it is. Written so that old Pythons can read it.
"""

import contextlib
import difflib
import hashlib
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
NEEDS = f"{__file__} needs Python 3.11 to 3.14 (your system's, or https://www.python.org/downloads)"
OLDEST, NEWEST = (3, 11), (3, 14)

ROOT = pathlib.Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "course-stamp"  # tells what was installed, or "unfinished"
HOME = ROOT / "build" / "home"  # where programs keep their settings if the user has no home
INSTALL = "pip install -c constraints.txt -e .[test]"
# The build without CUDA comes from PyTorch's own index, which is asked once and briefly.
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
TORCH = "pip install --no-deps --timeout 8 --retries 0 -c constraints.txt torch"
START = "/lab/tree/notebooks/00_start_here.ipynb"  # so that the address printed shows it, too
PIP_LOG = VENV / "pip.log"
STUDENT_LAB = ROOT / "course_utils" / "tools" / "student_lab"  # JupyterLab's settings

# JupyterLab and scikit-image make glob patterns of paths; Python's venv refuses what splits PATH,
# and what is no text: bytes that are not UTF-8 stand as lone surrogates.
FORBIDDEN = r"\[[^/\\]*\]" if os.name == "nt" else r"\[[^/]*\]|:|[\udc80-\udcff]"

FACTS = """
import importlib.util, json, platform, sys, sysconfig
has_torch = (
    platform.python_implementation() == "CPython"
    and sys.maxsize > 2**32
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
    and "musl" not in str(sysconfig.get_config_var("SOABI"))
    and (sys.platform, platform.machine()) != ("darwin", "x86_64")
)
makes_environments = importlib.util.find_spec("ensurepip") is not None
about = platform.python_implementation() + " on " + platform.platform()
print(json.dumps([sys.version_info[:2], about, has_torch, makes_environments]))
"""

TASKS = {  # name: what it does, and the line that `python -m` runs
    "lab": ("open the course in JupyterLab, or a FOLDER (--lecturer: nbgrader, too)", "jupyterlab"),
    "test": ("prove what you will read (--all: with what takes long)", "pytest"),
    "doctor": ("say if this machine is ready, and the cure if not", "course_utils.tools.doctor"),
    "student": ("make or update FOLDER, your copy of the notebooks", "course_utils.tools.student"),
    "execute": ("run notebooks and store their outputs", "course_utils.tools.execute"),
    "matrix": ("verify the stored outputs under other arithmetic", "course_utils.tools.matrix"),
    "slides": ("turn chapters into slides", "course_utils.publish.slides"),
    "book": ("turn the course into a book", "course_utils.publish.book"),
    "launch": ("write chapters for Colab and Binder", "course_utils.publish.launch"),
    "homework": ("write what students get of the homework", "course_utils.grading.homework"),
    "grade": ("grade a class: hw1 FOLDER, each submission in a sandbox", "course_utils.grading"),
    "check": ("run the checks of a homework FILE as its grader will", "course_utils.grading.check"),
    "bench": ("measure speed", "course_utils.reproduce.bench"),
    "results": ("write the page of results from the stored runs", "course_utils.publish.results"),
    "links": ("ask if links to the web still lead somewhere", "course_utils.publish.links"),
    "reproduce": ("run an experiment at full size", "course_utils.reproduce"),
    "lint": ("look for mistakes in code and notebooks", "ruff check"),
    "format": ("lay out code and notebooks (--check: only look)", "ruff format"),
}

AGAIN = ", then run this again."
CURES = {  # what a failed step prints: the sentence that helps; the first that fits
    "No space left|not enough space|Disk quota exceeded|No usable temporary directory": "The disk"
    " is full: make room, about 2 GB (8 GB if PyTorch brings CUDA) where {root} is and 1 GB in the"
    " temporary folder",
    "requires a different Python": "The environment in .venv is of another Python than the course"
    " needs: delete the folder .venv in {root}",
    "CERTIFICATE_VERIFY_FAILED|certificate verify failed|confirming the ssl certificate": "A"
    " certificate on the way is not trusted here, because the network waits for a log-in, or"
    " because a company reads what passes. Log in with a browser; or get the company's root"
    " certificate as a file and name it to pip, `{python} -m pip config set global.cert FILE`",
    r"\b40[137] (?:Client Error|Forbidden|Unauthorized|Proxy)|HTTP error 40[137]": "A server"
    " refuses to give packages (its number, 401, 403 or 407, is in {log}): a proxy or an index that"
    " wants a name and a password, or forbids them; put what it wants into pip's own settings",
    r"too many 5\d\d error responses|\b5\d\d Server Error": "The package index does not work at"
    " the moment: wait a little",
    "name resolution|getaddrinfo|nodename nor servname|NameResolutionError|ConnectionError"
    "|Failed to establish|Connection refused|Connection aborted|Timeout|timed out"
    "|Network is unreachable|ProxyError|SSLError": "No network: pip did not reach its package"
    " index; connect, or put your proxy or index into pip's own settings",
    r"\(from versions: none\)": "Something answers in the place of pip's package index, and has"
    " no packages: a page to log in (open any page in a browser, and do), or an index that pip's"
    " settings name and that lacks what the course needs",
    "WinError 206|path too long|Long Path": "A path became too long for Windows: move {root} nearer"
    r" to the drive, to C:\course for example",
    r"WinError (?:5|32)\b|Access is denied|used by another process": "A program has files of .venv"
    " open, JupyterLab or VS Code perhaps: close it. If that does not help, move {root} to a place"
    " that is yours",
    "Permission denied|Read-only file system|Operation not permitted": "The"
    " environment cannot be written: move {root} to a place that is yours, or mend the permissions"
    " of the path named above",
    "": "The set-up of {root} stopped for the reason above: mend it",
}


def explain(output: str) -> str:
    """Return cause and cure, in one sentence, of a step that failed with this output."""
    if shutil.disk_usage(str(ROOT)).free < 50e6:  # venv hides what its own pip printed
        output = "No space left"
    if not re.search("No matching distribution|from versions: none", output):
        output = re.sub("(?m)^WARNING: Retrying.*$", "", output)  # in the end it was reached
    cure = next(cure for cause, cure in CURES.items() if re.search(cause, output))
    return cure.format(root=ROOT, python=PYTHON, log=PIP_LOG) + AGAIN


def unfetched() -> str:
    """Return what pip's log, which says more than its stderr, tells of what it could not fetch."""
    with contextlib.suppress(OSError):
        log = PIP_LOG.read_text("utf-8", "replace")
        return "\n".join(re.findall("(?m)^.*(?:Could not fetch URL|from versions:).*$", log))
    return ""


def step(command: "list[str]", env: "dict[str, str]") -> None:
    """Run one step of the set-up, its output shown as it comes; SystemExit says what went wrong."""
    with contextlib.suppress(OSError):
        PIP_LOG.unlink()
    env = dict(env, PIP_LOG=str(PIP_LOG))
    with subprocess.Popen(command, cwd=str(ROOT), env=env, stderr=subprocess.PIPE) as child:
        errors = b""
        for line in child.stderr:
            errors += line
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
    if child.returncode:
        raise SystemExit(explain(errors.decode("utf-8", "replace") + "\n" + unfetched()))


def ask(command: "list[str]", env: "dict[str, str]") -> str:
    """Return what a command prints; "" if it fails or is not there."""
    with contextlib.suppress(OSError), open(os.devnull, "w") as null:
        child = subprocess.Popen(
            command, cwd=str(ROOT), env=env, stdout=subprocess.PIPE, stderr=null
        )
        said = child.communicate()[0].decode("utf-8", "replace")
        return "" if child.returncode else said
    return ""


def fault(python: "list[str]", env: "dict[str, str]") -> str:
    """Return why a Python cannot make the course's environment; "" if it can."""
    said = ask([*python, "-c", FACTS], env)
    if not said:
        return f"{' '.join(python)} does not start"
    version, platform, has_torch, makes_environments = json.loads(said)
    name = f"Python {version[0]}.{version[1]}"
    if not OLDEST <= tuple(version) <= NEWEST:
        return f"{name} is too {'old' if tuple(version) < OLDEST else 'new'} for this course"
    if not has_torch:
        return f"PyTorch has no build for this {name} ({platform})"
    if not makes_environments:
        package = f"python{version[0]}.{version[1]}-venv"
        return f"This {name} makes no environments (`sudo apt install {package}` mends that)"
    return ""


def suitable_python(env: "dict[str, str]") -> "list[str]":
    """Return how to call a Python that serves: this one, or one on the PATH; SystemExit if none."""
    why = fault([sys.executable], env)
    if not why:
        return [sys.executable]
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        other = ["py", f"-3.{minor}"] if os.name == "nt" else [f"python3.{minor}"]
        if shutil.which(other[0]) and not fault(other, env):
            print(f"{why}: {' '.join(other)} makes the environment in its place.", flush=True)
            return other
    raise SystemExit(f"{why}, and no other Python on the PATH serves: {NEEDS}.")


def check_folder() -> None:
    """SystemExit if the course cannot work in the folder in which it lies."""
    if not all((ROOT / name).is_file() for name in ("pyproject.toml", "constraints.txt")):
        raise SystemExit(f"course.py needs the files beside it, and {ROOT} lacks some: fetch all.")
    found = re.search(FORBIDDEN, str(ROOT))
    if found:
        what = f"{found.group()} in its path" if found.group().isascii() else "such a name"
        named = str(ROOT).encode("utf-8", "replace").decode("utf-8")
        raise SystemExit(
            f"Python or JupyterLab cannot work in a folder with {what}, and this is one:"
            f" {named}. Rename or move it{AGAIN}"
        )


def tested_versions() -> "dict[str, str | None]":
    """Return {package: tested version} of the packages that pyproject.toml asks for by name."""
    import tomllib  # Python 3.11

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["test"]
    pins = dict(re.findall(r"(?m)^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text("utf-8")))
    return {name: pins.get(name) for name in (re.match(r"[\w-]+", a).group() for a in asked)}


def serves() -> bool:
    """Tell if the running Python (conda's, say) has this very folder installed, as tested."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return False
    from importlib import metadata  # Python 3.8

    try:
        origin = metadata.distribution("course-utils").read_text("direct_url.json")
        folder = url2pathname(urlparse(json.loads(origin)["url"]).path)
        if not os.path.samefile(folder, str(ROOT)):
            return False
        if VENV.exists() and os.path.samefile(sys.prefix, str(VENV)):
            return False  # .venv itself is held to its stamp
        for name, version in tested_versions().items():
            found = metadata.version(name).split("+")[0]
            if found != version:
                print(
                    f"This Python's {name} is {found}, {version} is tested: .venv is used instead."
                )
                return False
        return True
    except (metadata.PackageNotFoundError, OSError, TypeError, ValueError):
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


def is_ours() -> bool:
    """Tell if .venv holds nothing of anybody's: a set-up of ours, or what such a one began with."""
    if not VENV.is_dir():
        return False
    places = ("lib/*/site-packages/*.dist-info", "Lib/site-packages/*.dist-info")
    packages = {path.name.partition("-")[0] for place in places for path in VENV.glob(place)}
    is_bare = (VENV / "pyvenv.cfg").is_file() and packages <= {"pip", "setuptools"}
    return STAMP.exists() or is_bare or not os.listdir(str(VENV))


def make_venv(env: "dict[str, str]") -> None:
    """Make .venv afresh; what is in its place is cleared only if it is the course's own."""
    python = suitable_python(env)
    if is_ours():
        print("The environment in .venv is half-made or broken: making it anew.", flush=True)
    elif os.path.lexists(str(VENV)):
        raise SystemExit(f"{VENV} is no environment that the course has made: move it away{AGAIN}")
    step([*python, "-m", "venv", "--clear", str(VENV)], env)
    STAMP.write_text("unfinished", "utf-8")


def has_nvidia() -> bool:
    """Tell if this machine has NVIDIA's driver, so that PyTorch's build with CUDA is of use."""
    places = ("/proc/driver/nvidia/version", "/usr/lib/wsl/lib/nvidia-smi")
    return bool(shutil.which("nvidia-smi")) or any(map(os.path.exists, places))


def torch_without_cuda(env: "dict[str, str]") -> None:
    """Ask PyTorch's own index for the build without CUDA; if it gives none, say what that means."""
    print(f"PyTorch without CUDA, which nothing here can use, from {TORCH_INDEX}:", flush=True)
    command = [str(PYTHON), "-m", *TORCH.split(), "--index-url", TORCH_INDEX]
    with subprocess.Popen(command, cwd=str(ROOT), env=env, stderr=subprocess.PIPE) as child:
        errors = child.stderr.read().decode("utf-8", "replace").strip()
    if child.returncode:
        why = errors.splitlines()[-1] if errors else "no reason is given"
        print(f"That index gave nothing ({why}). So PyTorch comes from pip's usual one, with CUDA:")
        print("3 GB over the network, 8 GB on the disk. Ctrl-C stops this.", flush=True)


def install(env: "dict[str, str]", *options: str) -> None:
    """Fill .venv; on Linux without NVIDIA's driver PyTorch's own index is asked first, for its
    build without CUDA. Where the user's pip settings name a source, that one alone is asked.
    """
    module = [str(PYTHON), "-m"]
    settings = ask([*module, "pip", "config", "list"], env)
    misplaced = re.findall(r"(?m)^\S+\.(?:target|prefix|root)=.*$", settings)
    if misplaced:
        raise SystemExit(
            f"pip's settings send packages elsewhere ({', '.join(misplaced)}): take that out"
            f" (`pip config debug` names the file){AGAIN}"
        )
    own_source = re.search(r"(?m)^\S+\.(?:(?:extra-)?index-url|find-links|no-index)=", settings)
    if sys.platform == "linux" and not has_nvidia() and not own_source:
        torch_without_cuda(env)
    step([*module, *INSTALL.split(), *options], env)


def is_whole(env: "dict[str, str]") -> bool:
    """Tell if .venv starts and has pip, and no set-up of it was interrupted."""
    unfinished = STAMP.is_file() and STAMP.read_text("utf-8") == "unfinished"
    return not unfinished and bool(ask([str(PYTHON), "-c", "import pip; print(1)"], env))


def is_up_to_date(env: "dict[str, str]") -> bool:
    """Tell if .venv is whole and holds what is asked for now."""
    return STAMP.is_file() and is_whole(env) and STAMP.read_text("utf-8") == stamp()


def set_up(env: "dict[str, str]") -> None:
    """Make .venv if it is not there or broken, fill it if something else is asked for now."""
    if is_up_to_date(env):
        return
    with alone():
        if is_up_to_date(env):  # another set-up has just ended
            return
        whole = is_whole(env)
        if whole and STAMP.is_file():
            print("Bringing .venv up to date; this takes a minute.", flush=True)
            install(env, "--quiet")  # or pip tells of all that is there already
        else:
            if not whole:
                make_venv(env)
            print("Installing the course into .venv. The first time takes minutes: about 0.6 GB")
            print("come over the network (3 GB where PyTorch brings CUDA).", flush=True)
            install(env)
        STAMP.write_text(stamp(), "utf-8")


def has_home() -> bool:
    """Tell if the user has a home folder that can be written to, which programs need."""
    home = os.path.expanduser("~")
    try:
        with tempfile.TemporaryFile(dir=home):
            return os.path.isabs(home) and bool(os.environ.get("HOME", home))
    except OSError:
        return False


def environment() -> "dict[str, str]":
    """Return the variables of a task: what other Pythons were told does not reach the course's."""
    foreign = re.compile("PYTHON|__PYVENV|MPLBACKEND$|PIP_(TARGET|PREFIX|ROOT|PYTHON)$")
    env = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    env.update(PYTHONUTF8="1", PYTHONNOUSERSITE="1")  # the same text on Windows as elsewhere
    env.update(JUPYTER_PREFER_ENV_PATH="1")  # a kernel of the user's own does not go before ours
    env.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1")
    env["OMP_NUM_THREADS"] = env.get("OMP_NUM_THREADS") or str(threads())
    if not sys.stdin or not sys.stdin.isatty():
        env["PIP_NO_INPUT"] = "1"
    if not has_home():
        HOME.mkdir(parents=True, exist_ok=True)
        print(f"Your home folder cannot be written to: {HOME} serves instead.", file=sys.stderr)
        env.update(HOME=str(HOME), USERPROFILE=str(HOME), APPDATA=str(HOME), PIP_NO_CACHE_DIR="1")
    return env


def threads() -> int:
    """Return how many threads shall compute: half the cores. A thread whose core somebody else has,
    a browser or a call, makes all others wait for it, several times as long as they compute."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // 2)


def lab(arguments: "list[str]", env: "dict[str, str]") -> "list[str]":
    """Return JupyterLab's further arguments; without --lecturer, variables that quieten it, too."""
    if "--lecturer" in arguments:
        arguments = [argument for argument in arguments if argument != "--lecturer"]
    else:
        paths = [str(STUDENT_LAB), env.get("JUPYTER_CONFIG_PATH")]
        env["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    only = arguments[0] if len(arguments) == 1 else "-"  # of several one may be an option's value
    if not only.startswith("-") and not (ROOT / only).exists():
        raise SystemExit(f"There is no {ROOT / only} to open.")
    if all(argument.startswith("-") for argument in arguments):  # no folder or file of the user's
        arguments = ["--LabApp.default_url=" + START, *arguments]
    if os.name != "nt" and os.geteuid() == 0:
        print("You are root: JupyterLab opens for this machine alone, on 127.0.0.1.", flush=True)
        arguments = ["--allow-root", "--ServerApp.ip=127.0.0.1", *arguments]
    return arguments


def run(command: "list[str]", env: "dict[str, str]") -> int:
    """Run a task in the folder of this file and return its exit code."""
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
        print(
            f"\nPaths are taken from {ROOT}; `TASK --help` says more, once the course is installed."
        )
        return 0
    if task not in TASKS:
        near = difflib.get_close_matches(task, TASKS, 1)
        meant = f"did you mean {near[0]}?" if near else f"the tasks are {', '.join(TASKS)}."
        print(f"There is no task {task!r}; {meant}", file=sys.stderr)
        return 2
    if {"-h", "--help"}.intersection(arguments[1:]) and not (STAMP.is_file() or serves()):
        print(f"{task}: {TASKS[task][0]}.\nIt says more once the course is installed, which the")
        print("first task does: python3 course.py doctor, for example.")
        return 0
    try:
        check_folder()
        env = environment()
        python = sys.executable if serves() else str(PYTHON)
        if python == str(PYTHON):
            set_up(env)
    except OSError as error:
        raise SystemExit(f"{error}\n{explain(str(error))}") from None
    except KeyboardInterrupt:
        raise SystemExit("Stopped; the same command goes on from here.") from None
    rest = lab(arguments[1:], env) if task == "lab" else arguments[1:]
    return run([python, "-m", *TASKS[task][1].split(), *rest], env)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
