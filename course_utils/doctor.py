"""Is this machine ready for the course? ``python -m course_utils.doctor`` answers, need by need.

Each line is ``ok``, ``note`` (worth knowing, the course runs) or ``BROKEN``, and names the culprit
and the cure. In a notebook: ``findings = report()``, then ``print(verdict(findings))``.
"""

# Nothing but the standard library is imported up here, and nothing newer than Python 3.9 is used:
# the doctor must be able to speak where the rest is missing.
from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse
from urllib.request import url2pathname

INSTALL_AGAIN = "run `python3 course.py lab` in the course's folder, which installs what is missing"
GIB = 1 << 30


class Finding(NamedTuple):
    """What one check found: status is "ok", "note" or "BROKEN"; the cure of what is ok is ""."""

    status: str
    what: str
    cure: str = ""


def _run(*arguments: str) -> str:
    """How to run a module with the very Python that runs this."""
    return f"run `{subprocess.list2cmdline([sys.executable, '-m', *arguments])}`"


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _reinstall(*names: str) -> str:
    """How to install packages again, at the versions they have."""
    versions = ((name, (_installed(name) or "").partition("+")[0]) for name in names)
    pinned = [f"{name}=={version}" if version else name for name, version in versions]
    return _run("pip", "install", "--force-reinstall", "--no-deps", *pinned)


def _course_folder() -> Path:
    """The folder that holds the package: a checkout, or site-packages."""
    return Path(__file__).resolve().parents[1]


def _pyproject(folder: Path) -> str:
    """The text of the course's pyproject.toml in ``folder``, "" if there is none."""
    file = folder / "pyproject.toml"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return text if 'name = "course-utils"' in text else ""


def check_python() -> Finding:
    """Hold the version of Python against ``requires-python``."""
    found = re.search(r'requires-python\s*=\s*"(.*)"', _pyproject(_course_folder()))
    metadata = importlib.metadata.metadata
    wanted = found[1] if found else metadata("course-utils")["Requires-Python"]
    low, high = re.search(r">=\s*3\.(\d+)", wanted), re.search(r"<\s*3\.(\d+)", wanted)
    major, minor = sys.version_info[:2]
    fits = major == 3 and (not low or minor >= int(low[1])) and (not high or minor < int(high[1]))
    what = f"Python {major}.{minor} at {sys.executable}"
    if fits:
        return Finding("ok", what)
    cure = "install such a Python, delete .venv and run `python3 course.py lab` with it"
    return Finding("BROKEN", f"{what}, but the course needs {wanted}", cure)


def check_course() -> Finding:
    """See that notebooks import the course from the checkout you stand in."""
    here, cwd = _course_folder(), Path.cwd().resolve()
    try:
        distribution = importlib.metadata.distribution("course-utils")
    except importlib.metadata.PackageNotFoundError:
        what = f"the course in {here} is not installed for {sys.executable}"
        return Finding("BROKEN", what, INSTALL_AGAIN)
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        installed = Path(url2pathname(urlparse(origin["url"]).path)).resolve()
    else:
        installed = Path(str(distribution.locate_file(""))).resolve()
    checkout = next((p for p in (cwd, *cwd.parents) if _pyproject(p)), installed)
    if installed == here == checkout:
        return Finding("ok", f"the course is installed from {here}")
    what = f"you are in {checkout}, but notebooks import the course from {installed}"
    if checkout == installed:
        what = f"the course was imported from {here}, but it is installed from {installed}"
    return Finding("BROKEN", what, _run("pip", "install", "-e", str(checkout)))


def _requirements() -> list:
    """What the course declares, newest word first: its pyproject.toml, else its metadata."""
    from packaging.requirements import Requirement

    text = _pyproject(_course_folder())
    if text:
        import tomllib

        lines = tomllib.loads(text)["project"]["dependencies"]
    else:
        lines = importlib.metadata.requires("course-utils") or []
    return _applicable(map(Requirement, lines))


def _constraints() -> list:
    """The exact tested versions in constraints.txt, [] where that file is not there."""
    from packaging.requirements import Requirement

    file = _course_folder() / "constraints.txt"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return _applicable(Requirement(line) for line in lines if line and not line.startswith("-"))


def _applicable(requirements) -> list:
    """Those meant for this system, without extras."""
    return [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]


def _unmet(requirements, missing_too: bool) -> list:
    """Those whose package has another version or, if ``missing_too``, is not there."""
    versions = [(r, _installed(r.name)) for r in requirements]
    return [
        r
        for r, version in versions
        if (missing_too if version is None else not r.specifier.contains(version, prereleases=True))
    ]


def check_packages() -> Finding:
    """Hold the installed packages against the course's bounds and against constraints.txt.

    Out of bounds is broken; within bounds but not the tested version is only worth a note.
    """
    requirements, constraints = _requirements(), _constraints()
    broken = _unmet(requirements, missing_too=True)
    untested = _unmet(constraints, missing_too=False)
    culprits = broken or untested
    names = ", ".join(f"{r.name} is {_installed(r.name) or 'missing'}" for r in culprits[:5])
    if len(culprits) > 5:
        names += f", and {len(culprits) - 5} more"
    cure = _run("pip", "install", *(f"{r.name}{r.specifier}" for r in culprits))
    if broken:
        return Finding("BROKEN", f"{names}: outside the course's bounds", cure)
    if untested:
        return Finding("note", f"{names}: within bounds, but not the tested version", cure)
    kind = "of the tested versions" if constraints else "within bounds"
    return Finding("ok", f"all {len(requirements)} packages {kind}")


def check_torch() -> Finding:
    """Import torch and compare one of its products with numpy's, in whole numbers."""
    import numpy as np

    try:
        import torch

        a = np.arange(64 * 64).reshape(64, 64) % 7
        product = (torch.from_numpy(a).float() @ torch.from_numpy(a).float()).numpy()
    except (ImportError, OSError, RuntimeError) as error:
        cure = _reinstall("torch")
        if os.name == "nt":
            cure += "; if that does not help, install the Microsoft Visual C++ Redistributable"
        return Finding("BROKEN", f"torch does not work ({error})", cure)
    if (product != a @ a).any():
        cure = _reinstall("torch")
        return Finding("BROKEN", f"torch {torch.__version__} multiplies wrongly", cure)
    return Finding("ok", f"torch {torch.__version__} multiplies correctly")


def _ask_kernel(timeout: float) -> dict[str, str]:
    """Start the kernel "python3", ask it for a sum and for who it is, and shut it down."""
    from jupyter_client.manager import run_kernel

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    questions = {
        "sum": "1 + 1",
        "prefix": "__import__('sys').prefix",
        "version": "__import__('platform').python_version()",
    }
    with run_kernel(kernel_name="python3", startup_timeout=timeout, **quiet) as client:
        reply = client.execute("", user_expressions=questions, reply=True, timeout=timeout)
    answers = reply["content"]["user_expressions"]
    return {key: answer["data"]["text/plain"] for key, answer in answers.items()}


def check_kernel(timeout: float = 30) -> Finding:
    """Start the notebooks' kernel within ``timeout`` seconds: it must be this very Python."""
    import platform

    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    cure = _run("ipykernel", "install", "--sys-prefix", "--name", "python3")
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
        answers = _ask_kernel(timeout)
    except NoSuchKernel:
        return Finding("BROKEN", "there is no kernel named python3", cure)
    except FileNotFoundError as error:
        what = f"the kernel python3 ({spec.resource_dir}) starts {error.filename}, which is gone"
        return Finding("BROKEN", what, cure)
    except (RuntimeError, TimeoutError) as error:  # it died, or it said nothing in time
        what = f"the kernel python3 ({spec.resource_dir}) does not answer ({error})"
        again = _reinstall("ipykernel")
        return Finding("BROKEN", what, f"{cure}; if that does not help, {again}")
    me = (repr(sys.prefix), repr(platform.python_version()))
    if (answers["prefix"], answers["version"]) != me:
        other = f"Python {answers['version']} of {answers['prefix']}"
        what = f"the kernel python3 ({spec.resource_dir}) is {other}, not this Python"
        return Finding("BROKEN", what, cure)
    if answers["sum"] != "2":
        return Finding("BROKEN", f"the kernel python3 answers {answers['sum']} to 1 + 1", cure)
    return Finding("ok", "the kernel python3 is this Python, and answers 1 + 1")


def check_widgets() -> Finding:
    """See that ipywidgets can be imported and that JupyterLab has its extension switched on."""
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_page_config

    extension = "@jupyter-widgets/jupyterlab-manager"
    again = _reinstall("ipywidgets", "jupyterlab_widgets")
    try:
        import ipywidgets
    except ImportError as error:
        return Finding("BROKEN", f"ipywidgets cannot be imported ({error})", again)
    page = get_page_config(jupyter_path("labextensions"))
    if extension not in [each["name"] for each in page["federated_extensions"]]:
        return Finding("BROKEN", f"JupyterLab lacks {extension}, so no slider shows", again)
    if any(each.split(":")[0] == extension for each in page["disabledExtensions"]):
        cure = _run("jupyterlab.labextensions", "enable", extension)
        return Finding("BROKEN", f"{extension} is switched off, so no slider shows", cure)
    return Finding("ok", f"ipywidgets {ipywidgets.__version__} and its JupyterLab extension")


def _failure(read) -> str:
    """What went wrong in ``read()``, "" if nothing did."""
    try:
        read()
    except Exception as error:  # noqa: BLE001  # whatever a damaged file does to its reader
        return f"{type(error).__name__}: {error}"
    return ""


def check_data() -> Finding:
    """Read the digits and the photographs, which come with installed packages."""
    from course_utils import data

    for what, read, packages in (
        ("digits", data.digits, ["scikit-learn"]),
        ("photographs", data.natural_images, ["scikit-image", "scikit-learn"]),
    ):
        failure = _failure(read)
        if failure:
            cure = _reinstall(*packages)
            return Finding("BROKEN", f"the {what} cannot be read ({failure})", cure)
    return Finding("ok", "the digits and the photographs can be read")


def check_results() -> Finding:
    """Read the stored numbers and weights of all full-size runs."""
    from course_utils import data

    files = sorted(data.shared("results").glob("*.*"))
    readers = {".json": data.results, ".npz": data.weights}
    files = [file for file in files if file.suffix in readers]
    for file in files:
        failure = _failure(partial(readers[file.suffix], file.stem))
        if failure:
            cure = f"fetch it again (`git checkout -- {file.name}` in {file.parent})"
            return Finding("BROKEN", f"{file} cannot be read ({failure})", cure)
    return Finding("ok", f"{len(files)} files with the results of full-size runs")


def check_mnist() -> Finding:
    """Look for MNIST, which only the full-size runs need; never fetch it."""
    from course_utils import data

    named = os.environ.get("COURSE_DATA")
    if named:
        try:
            data.mnist()
        except (OSError, ValueError) as error:
            cure = "put the four files of MNIST there, or unset COURSE_DATA to use the cache"
            return Finding("BROKEN", f"MNIST cannot be read: {error}", cure)
        return Finding("ok", f"MNIST is in {named}")
    cache = data.mnist_cache()
    if all((cache / name).is_file() for name in data.MNIST_SHA256):
        return Finding("ok", f"MNIST is in {cache}")
    cure = "no notebook needs it; a full-size run fetches it, or reads the folder COURSE_DATA names"
    return Finding("note", "MNIST is not on this machine", cure)


def _room(free: float, kind: str, least: float, wanted: float, cure: str) -> Finding:
    """Judge ``free`` GiB: under ``least`` is broken, under ``wanted`` is worth a note."""
    status = "BROKEN" if free < least else "note" if free < wanted else "ok"
    what = f"{free:.1f} GiB of {kind} free"
    return Finding(status, what, f"{cure}: a chapter wants {wanted} GiB" if free < wanted else "")


def check_memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> Finding:
    """Measure free memory, no more than what a container is allowed (its ``limit`` file)."""
    try:
        import psutil  # comes with ipykernel
    except ImportError:
        cure = _run("pip", "install", "psutil")
        return Finding("note", "free memory is not known, because psutil is missing", cure)
    free = psutil.virtual_memory().available
    allowed = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
    if allowed.isdigit():
        free = min(free, int(allowed))
    return _room(free / GIB, "memory", 0.5, 2, "close other programs or notebooks")


def check_disk() -> Finding:
    """Measure the free space where you stand."""
    free = shutil.disk_usage(Path.cwd()).free
    return _room(free / GIB, f"the disk of {Path.cwd()}", 0.1, 1, "delete what you do not need")


def check_threads() -> Finding:
    """Compare torch's threads, and OMP_NUM_THREADS, with the cores this process may use."""
    import torch

    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    threads, asked = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > cores:
        what = f"OMP_NUM_THREADS is {asked}, but there are {cores} cores: that slows torch down"
        return Finding("note", what, f"set OMP_NUM_THREADS to {cores} or unset it")
    if threads > cores:
        what = f"torch uses {threads} threads, but there are {cores} cores: that slows it down"
        return Finding("note", what, f"set OMP_NUM_THREADS to {cores}")
    return Finding("ok", f"torch uses {threads} threads on {cores} cores")


CHECKS = (
    check_python,
    check_course,
    check_packages,
    check_torch,
    check_kernel,
    check_widgets,
    check_data,
    check_results,
    check_mnist,
    check_memory,
    check_disk,
    check_threads,
)


def _examine(check) -> Finding:
    """Run one check; its own failure is a finding too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a package's grumbling is not for this table
            return check()
    except Exception as error:  # noqa: BLE001  # the other checks still have something to say
        return Finding("BROKEN", f"{type(error).__name__}: {error}", INSTALL_AGAIN)


def _line(name: str, finding: Finding) -> str:
    """One line, whatever line breaks an error message brought along."""
    text = f"{finding.what}; {finding.cure}" if finding.cure else finding.what
    return f"{finding.status:6} {name:9} {' '.join(text.split())}"


def report(checks=CHECKS) -> dict[str, Finding]:
    """Print one line per need, as it is checked, and return the findings by name."""
    findings = {}
    for check in checks:
        name = check.__name__.replace("check_", "", 1)
        findings[name] = _examine(check)
        print(_line(name, findings[name]), flush=True)
    return findings


def verdict(findings: dict[str, Finding]) -> str:
    """One sentence, the same on every sound machine; else the lines of what is broken."""
    broken = [_line(*item) for item in findings.items() if item[1].status == "BROKEN"]
    return "\n".join(broken) or "✓ this machine is ready"


def main(checks=CHECKS) -> int:
    """Run the command; return 1 if something is broken, else 0."""
    findings = report(checks)
    return int(any(finding.status == "BROKEN" for finding in findings.values()))


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # consoles that lack a letter of a path
    sys.exit(main())
