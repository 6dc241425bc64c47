"""Is this machine ready for the course? ``course.py doctor`` answers, need by need.

Each line is ``ok``, ``note`` (worth knowing, the course runs) or ``BROKEN``, and names the culprit
and the cure. In a notebook: ``findings = report()``, then ``print(verdict(findings))``.
"""

# Nothing but the standard library is imported up here, and nothing newer than Python 3.9 is used:
# the doctor must be able to speak where the rest is missing.
from __future__ import annotations

import sys

# Python's own folders first while they are read: a random.py of the reader's, in this folder, would
# silence the doctor who is to name it.
_path = sys.path[:]
try:
    sys.path.sort(key=lambda entry: not entry.startswith(sys.base_prefix))
    import importlib
    import importlib.metadata
    import json
    import os
    import platform
    import re
    import shlex
    import site
    import subprocess
    import sysconfig
    import tempfile
    import textwrap
    import traceback
    import warnings
    from functools import partial
    from importlib.machinery import PathFinder
    from pathlib import Path
    from typing import NamedTuple
    from urllib.parse import urlparse
    from urllib.request import url2pathname
finally:
    sys.path[:] = _path

UNFIT = re.compile(r"\[.*\]")  # in a path, JupyterLab and scikit-image take this for a pattern
# Variables that change what Python, Jupyter or the libraries do: see _variables_at_fault.
SUSPECTS = (
    "XDG_|IPYTHONDIR|PYTHON(?!UTF8|NOUSERSITE|UNBUFFERED|DONTWRITE)|JUPYTER|LD_|DYLD_"
    "|MPL|MATPLOTLIB|OMP_|KMP_|GOMP_|MKL_|OPENBLAS_|TORCH|PYTORCH|ATEN_"
)
# Modules that nothing in the course imports: a file of the reader's may have such a name.
HARMLESS = {"antigravity", "course_utils", "idlelib", "test", "tests", "this", "turtle"}
MODULES = {"ipykernel": "ipykernel.kernelapp", "matplotlib": "matplotlib.pyplot"}  # not the name
MODULES |= {"scikit-image": "skimage.io", "scikit-learn": "sklearn.datasets"}
LAB_WIDGETS = "@jupyter-widgets/jupyterlab-manager"


class Finding(NamedTuple):
    """What one check found: status is "ok", "note" or "BROKEN"; the cure of what is ok is ""."""

    status: str
    what: str
    cure: str = ""


def _command(*words: str) -> str:
    """Tell to run a command, written so that every shell of this system reads these words."""
    if os.name != "nt":
        return f"run `{shlex.join(words)}`"
    quoted = [word if re.fullmatch(r"[\w.:\\/=+-]+", word) else f'"{word}"' for word in words]
    hint = " (in PowerShell with & and a space before it)" if quoted[0] != words[0] else ""
    return f"run `{' '.join(quoted)}`{hint}"


def _run(*arguments: str) -> str:
    """Tell to run a module with the very Python that runs this."""
    return _command(sys.executable, "-m", *arguments)


def _pip(*arguments: str) -> str:
    """Tell to install with pip, which some environments lack at first."""
    command = _run("pip", "install", *arguments)
    return command if _installed("pip") else f"{_run('ensurepip')}, then {command}"


def _pins() -> list[str]:
    """What makes pip install the tested versions, where they are known."""
    file = _course_folder() / "constraints.txt"
    return ["-c", str(file)] if file.is_file() else []


def _course() -> str:
    """Tell to let course.py look for a Python that fits, and install everything for it."""
    folder = _course_folder()
    python = "py" if os.name == "nt" else "python3"
    return _command(python, str(folder / "course.py"), "doctor")


def _install(folder: Path) -> str:
    """Tell how to install the course from a folder, with all that it needs."""
    if not _pyproject(folder):
        return "install the wheel of the course again, with pip"
    own = sys.prefix != sys.base_prefix or Path(sys.prefix, "conda-meta").is_dir()
    return _pip(*_pins(), "-e", str(folder)) if own or _installed("course-utils") else _course()


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _reinstall(*names: str) -> str:
    """Tell to install packages again, at the versions they have."""
    versions = ((name, (_installed(name) or "").partition("+")[0]) for name in names)
    pinned = [f"{name}=={version}" if version else name for name, version in versions]
    return _pip("--force-reinstall", "--no-deps", *pinned)


def _told(error: Exception) -> str:
    """An error in at most two lines of text, whatever a library has to say."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 160, placeholder=" …")


def _culprit(error: Exception) -> str:
    """The package to which an error belongs: it names a module, or it was raised in a file."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    places = [Path(entry) for entry in sys.path if Path(entry).name.endswith("-packages")]
    names = [f.relative_to(p).parts[0] for f in files for p in places if p in f.parents]
    module = (getattr(error, "name", None) or (names or [""])[-1]).partition(".")[0]
    return importlib.metadata.packages_distributions().get(module, [""])[0]


def _mend(error: Exception) -> str:
    """Tell to install again what an error comes from; all of the course if that is not known."""
    culprit = _culprit(error)
    cure = _reinstall(culprit) if culprit else _install(_course_folder())
    if os.name == "nt" and culprit == "torch":
        cure += "; if that does not help, install the Microsoft Visual C++ Redistributable"
    return cure


def _course_folder() -> Path:
    """The folder that holds the package: a checkout, or site-packages. (`files.ROOT` is the same;
    but the doctor leans on no other module of the course.)"""
    return Path(__file__).resolve().parents[2]


def _pyproject(folder: Path) -> str:
    """The text of the course's pyproject.toml in ``folder``, "" if there is none."""
    file = folder / "pyproject.toml"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return text if 'name = "course-utils"' in text else ""


def check_python() -> Finding:
    """Hold the version of Python against ``requires-python``."""
    found = re.search(r'requires-python\s*=\s*"(.*)"', _pyproject(_course_folder()))
    wanted = found[1] if found else importlib.metadata.metadata("course-utils")["Requires-Python"]
    bounds = dict(re.findall(r"(>=|<)\s*3\.(\d+)", wanted))
    major, minor = sys.version_info[:2]
    what = f"Python {major}.{minor} at {sys.executable}"
    if int(bounds.get(">=", 0)) <= minor < int(bounds.get("<", 99)):
        return Finding("ok", what)
    cure = f"install a Python that is {wanted}, from https://www.python.org/downloads"
    return Finding("BROKEN", f"{what}, but the course needs {wanted}", f"{cure}, then {_course()}")


def check_folder() -> Finding:
    """See that the paths of the course and of its Python can be read as what they are."""
    unfit = [path for path in (sys.prefix, str(_course_folder())) if UNFIT.search(path)]
    if not unfit:
        return Finding("ok", f"no folder of {sys.prefix} has a name that is in the way")
    what = f"{unfit[0]} holds {UNFIT.search(unfit[0])[0]}: JupyterLab misses files, as for sliders"
    cure = "move the course to where no folder has [ or ] in its name, and run this again there"
    return Finding("BROKEN", what, cure)


def _hidden(entries: list[str]) -> list[tuple[str, str, str]]:
    """Modules of Python or of installed packages that another file hides: name, file, entry."""
    paths = sysconfig.get_paths()
    own = tuple(paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    hidden = []
    for place, entry in enumerate(entries):
        if entry.startswith(own) or not os.path.isdir(entry):
            continue
        for name in sorted({file.partition(".")[0] for file in os.listdir(entry)} - HARMLESS):
            mine, other = (PathFinder.find_spec(name, p) for p in ([entry], entries[place + 1 :]))
            if mine and other and mine.origin and other.origin not in (None, mine.origin):
                hidden.append((name, mine.origin, entry))
    return hidden


def check_names() -> Finding:
    """See that no file stands in for a module of Python or of an installed package.

    Looked at are the folder you stand in, where a notebook imports from first, the folder of the
    chapters, and whatever else precedes the packages of this Python.
    """
    notebooks = str(_course_folder() / "notebooks")
    hidden = _hidden([notebooks, *(entry or os.getcwd() for entry in sys.path)])
    if not hidden:
        return Finding("ok", "every module is imported from where it was installed")
    name, file, entry = hidden[0]
    more = f", and {len(hidden) - 1} more" if len(hidden) > 1 else ""
    culprit = Path(file).parent if Path(file).stem == "__init__" else Path(file)
    what = f"{culprit} is imported in place of the installed {name}{more}"
    if entry == site.getusersitepackages():
        return Finding("BROKEN", what, "set the variable PYTHONNOUSERSITE to 1")
    return Finding("BROKEN", what, f"give {culprit} another name")


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
    cure = _pip(*_pins(), *(f"{r.name}{r.specifier}" for r in culprits))
    if broken:
        return Finding("BROKEN", f"{names}: outside the course's bounds", cure)
    if untested:
        return Finding("note", f"{names}: within bounds, but not the tested version", cure)
    kind = "of the tested versions" if constraints else "within bounds"
    return Finding("ok", f"all {len(requirements)} packages {kind}")


def check_imports() -> Finding:
    """Import what the course declares: a damaged package is named, be it one that another needs."""
    modules = [MODULES.get(r.name, r.name) for r in _requirements()]
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001  # whatever a damaged package raises
            culprit = _culprit(error) or "a package that is missing"
            what = f"{module} cannot be imported, because of {culprit} ({_told(error)})"
            return Finding("BROKEN", what, _mend(error))
    return Finding("ok", f"{', '.join(m.partition('.')[0] for m in modules)} can be imported")


def check_course() -> Finding:
    """See that notebooks import the course from the checkout you stand in."""
    here, cwd = _course_folder(), Path.cwd().resolve()
    try:
        distribution = importlib.metadata.distribution("course-utils")
    except importlib.metadata.PackageNotFoundError:
        what = f"the course in {here} is not installed for {sys.executable}"
        return Finding("BROKEN", what, _install(here))
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
    return Finding("BROKEN", what, _install(checkout if _pyproject(checkout) else here))


def check_home() -> Finding:
    """Write where JupyterLab keeps its files, or will: folders that are not there are not made."""
    from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir, jupyter_runtime_dir

    home = "USERPROFILE" if os.name == "nt" else "HOME"
    for folder in (jupyter_config_dir, jupyter_data_dir, jupyter_runtime_dir):
        try:
            path = Path(folder())
            there = next(p for p in (path, *path.parents) if os.path.lexists(p))
            with tempfile.TemporaryFile(dir=there) as file:
                file.write(bytes(1 << 16))
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home at all
            cure = f"make room there, or set the variable {home} to a folder that is yours"
            return Finding("BROKEN", f"JupyterLab cannot keep its files ({error})", cure)
    return Finding("ok", f"JupyterLab can keep its files in {path.parent}")


def _ask_kernel(timeout: float, **variables: str) -> dict[str, str]:
    """Start the kernel "python3", ask it who it is and where it draws, and shut it down."""
    from jupyter_client.manager import run_kernel

    how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    questions = {
        "prefix": "__import__('sys').prefix",
        "version": "__import__('platform').python_version()",
        "backend": "__import__('matplotlib').get_backend()",
    }
    how |= {"kernel_name": "python3", "env": {**os.environ, **variables}}
    with run_kernel(startup_timeout=timeout, **how) as client:
        reply = client.execute("", user_expressions=questions, reply=True, timeout=timeout)
    answers = reply["content"]["user_expressions"]
    return {k: a["data"]["text/plain"] if "data" in a else a["ename"] for k, a in answers.items()}


def check_kernel(timeout: float = 30) -> Finding:
    """Start the notebooks' kernel within ``timeout`` seconds: it must be this very Python."""
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")  # there is one wherever ipykernel is
    what = f"the kernel python3 ({spec.resource_dir})"
    if Path(sys.prefix) in Path(spec.resource_dir).parents:
        cure = _run("ipykernel", "install", "--sys-prefix", "--name", "python3")
    else:  # it goes before ours
        cure = _run("jupyter_client.kernelspecapp", "remove", "-f", "python3")
    try:
        answers = _ask_kernel(timeout)
    except FileNotFoundError as error:
        return Finding("BROKEN", f"{what} starts {error.filename}, which is gone", cure)
    except (RuntimeError, TimeoutError) as error:  # it died, or it said nothing in time
        cure = _profile_at_fault(timeout) or cure
        return Finding("BROKEN", f"{what} does not answer ({error})", cure)
    if (answers["prefix"], answers["version"]) != (
        repr(sys.prefix),
        repr(platform.python_version()),
    ):
        other = f"Python {answers['version']} of {answers['prefix']}"
        return Finding("BROKEN", f"{what} is {other}, not this Python", cure)
    if "inline" not in answers["backend"]:
        what = f"figures do not come to stand in the notebook ({answers['backend']})"
        return Finding("BROKEN", what, "remove the variable MPLBACKEND")
    return Finding("ok", "the kernel python3 is this Python, and draws in the notebook")


def _profile_at_fault(timeout: float) -> str:
    """How to put the user's settings of IPython aside, if a kernel without them answers."""
    from IPython.paths import get_ipython_dir

    with tempfile.TemporaryDirectory() as empty:
        if _failure(lambda: _ask_kernel(timeout, IPYTHONDIR=empty)):
            return ""
    return f"give {Path(get_ipython_dir(), 'profile_default')} another name"


def check_widgets() -> Finding:
    """See that JupyterLab has the extension that shows sliders, and has it switched on."""
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_page_config

    page = get_page_config(jupyter_path("labextensions"))
    if LAB_WIDGETS not in [each["name"] for each in page["federated_extensions"]]:
        cure = _reinstall("jupyterlab_widgets")
        return Finding("BROKEN", f"JupyterLab lacks {LAB_WIDGETS}, so no slider shows", cure)
    if any(each.split(":")[0] == LAB_WIDGETS for each in page["disabledExtensions"]):
        what = f"{LAB_WIDGETS} is switched off, so no slider shows"
        return Finding("BROKEN", what, _run("jupyterlab.labextensions", "enable", LAB_WIDGETS))
    return Finding("ok", f"JupyterLab has {LAB_WIDGETS}")


def _failure(read) -> str:
    """What went wrong in ``read()``, "" if nothing did."""
    try:
        read()
    except Exception as error:  # noqa: BLE001  # whatever a damaged file does to its reader
        return _told(error)
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

    folder = data.shared("results")
    readers = {".json": data.results, ".npz": data.weights}
    files = [file for file in sorted(folder.iterdir()) if file.suffix in readers]
    for file in files:
        failure = _failure(partial(readers[file.suffix], file.stem))
        if failure:
            cure = _command("git", "-C", str(folder), "checkout", "--", file.name)
            cure += ", or unpack the course's ZIP again"
            return Finding("BROKEN", f"{file} cannot be read ({failure})", cure)
    return Finding("ok", f"{len(files)} files with the results of full-size runs")


ROOTS = (check_python, check_folder, check_names, check_packages, check_imports)
CHECKS = (
    *ROOTS,
    check_course,
    check_home,
    check_kernel,
    check_widgets,
    check_data,
    check_results,
)


def _examine(check) -> Finding:
    """Run one check; its own failure is a finding too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a package's grumbling is not for this table
            return check()
    except Exception as error:  # noqa: BLE001  # the other checks still have something to say
        return Finding("BROKEN", _told(error), _mend(error))


def _passes_without(variables: list[str], check) -> bool:
    """Whether a check is ok in a process that lacks these environment variables."""
    code = (
        f"from course_utils.tools import doctor as d; print(d._examine(d.{check.__name__}).status)"
    )
    rest = {name: value for name, value in os.environ.items() if name not in variables}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=rest, capture_output=True, text=True, check=False)
    return done.stdout.strip() == "ok"


def _variables_at_fault(check) -> list[str]:
    """The environment variables without which a check would be ok; tried, not guessed."""
    guilty = [name for name in os.environ if re.match(SUSPECTS, name)]
    if not guilty or not _passes_without(guilty, check):
        return []
    for name in list(guilty):
        rest = [other for other in guilty if other != name]
        if _passes_without(rest, check):
            guilty = rest
    return guilty


def _diagnosed(check) -> Finding:
    """Run one check; where an environment variable is at fault, that is the culprit."""
    finding = _examine(check)
    guilty = _variables_at_fault(check) if finding.status != "ok" else []
    if not guilty:
        return finding
    named = " and ".join(f"{name} is {os.environ[name]}" for name in guilty)
    cure = f"remove the variable {' and '.join(guilty)}, and start again"
    return finding._replace(what=f"{named}, so {finding.what}", cure=cure)


def _line(name: str, finding: Finding) -> str:
    """One line, whatever line breaks an error message brought along."""
    text = f"{finding.what}; {finding.cure}" if finding.cure else finding.what
    return f"{finding.status:6} {name:9} {' '.join(text.split())}"


def report(checks=CHECKS) -> dict[str, Finding]:
    """Print one line per need, as it is checked, and return the findings by name.

    The last line is the first of ROOTS that is broken: what follows would only be its consequence.
    """
    findings = {}
    for check in checks:
        name = check.__name__.replace("check_", "", 1)
        findings[name] = _diagnosed(check)
        print(_line(name, findings[name]), flush=True)
        if check in ROOTS and findings[name].status == "BROKEN":
            break
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
    if sys.argv[1:]:
        sys.exit("usage: course.py doctor, without anything behind it")
    sys.exit(main())
