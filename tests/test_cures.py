"""Each thing that the doctor can name, broken for real, and its cure applied as it is printed.

Every case has an environment of its own: a venv that sees the packages of the one that runs the
tests, with what the case breaks installed into it, and a checkout of its own. What cures install
comes from a folder of wheels made from the installed packages, so no network is needed.
"""

import base64
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from course_utils.tools import doctor

ROOT = Path(doctor.__file__).parents[2]
PACKAGES = Path(sysconfig.get_path("purelib"))
BACKEND = [
    "hatchling",
    "editables",
    "pathspec",
    "pluggy",
    "tomlkit",
    "trove-classifiers",
    "packaging",
]
WIDGETS = "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager"
NEVER_AGAIN = "import os; os._exit(3)"  # what a file does that should not have been imported


def wheel(name: str, index: Path) -> Path:
    """Pack an installed package into a wheel, once, its data files included."""
    found = importlib.metadata.distribution(name)
    stem = f"{name.replace('-', '_')}-{found.version}"
    if path := next(index.glob(f"{stem}-*.whl"), None):
        return path
    tag = re.search(r"(?m)^Tag: (.*)", found.read_text("WHEEL"))[1]
    with zipfile.ZipFile(index / f"{stem}-{tag}.whl", "w") as archive:
        record = []
        for file in found.files:
            inside = file.as_posix()
            if (
                inside.startswith("../") and "/share/" in inside
            ):  # beside lib/pythonX.Y/site-packages
                inside = f"{stem}.data/data/share/{inside.partition('/share/')[2]}"
            elif inside.startswith("../") or file.name in {
                "RECORD",
                "INSTALLER",
                "direct_url.json",
            }:
                continue
            inside = re.sub(r"^[^/]*\.dist-info", f"{stem}.dist-info", inside)
            content = file.locate().read_bytes() if file.locate().is_file() else None
            if content is not None and file.suffix != ".pyc":
                archive.writestr(inside, content)
                record.append(f"{inside},{digest(content)},{len(content)}\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "".join(record))
    return index / f"{stem}-{tag}.whl"


def digest(content: bytes) -> str:
    """The hash of a file as RECORD has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().strip(
        "="
    )


class Patient(NamedTuple):
    """An environment, a checkout and the variables with which the doctor is called."""

    venv: Path
    checkout: Path
    home: Path
    index: Path
    variables: dict[str, str]

    @property
    def python(self) -> Path:
        return self.venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def packages(self) -> Path:
        folders = {"base": str(self.venv), "platbase": str(self.venv)}
        return Path(sysconfig.get_path("purelib", "venv", folders))

    def run(self, *command: str | Path) -> str:
        """The output of a command, which must end well."""
        done = subprocess.run(
            command, cwd=self.home, env=self.variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *names: str) -> None:
        """Put packages that the tests' environment has into this one, too."""
        wheels = [wheel(name, self.index) for name in names]
        self.run(
            self.python, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", *wheels
        )

    def ask(self, *checks: str, python: Path | None = None) -> dict[str, doctor.Finding]:
        """What the doctor finds, as he prints it."""
        named = "".join(f"d.check_{check}, " for check in checks)
        code = (
            f"import json; from course_utils.tools import doctor as d; found = d.report(({named}))"
        )
        command = [python or self.python, "-c", f"{code}; print(json.dumps(found))"]
        done = subprocess.run(
            command,
            cwd=self.checkout / "notebooks",
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        return {name: doctor.Finding(*finding) for name, finding in found.items()}


@pytest.fixture(scope="session")
def index(tmp_path_factory) -> Path:
    """A folder of wheels that pip installs from, filled as they are needed."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in ("ipykernel", "jupyterlab_widgets"):
        wheel(name, folder)
    return folder


@pytest.fixture(scope="session")
def healthy(tmp_path_factory, index) -> Path:
    """A folder with a checkout and an environment that lack nothing; its name needs quoting."""
    base = tmp_path_factory.mktemp("a sound") / "class of $HOME & co"
    checkout = base / "the course"
    unread = shutil.ignore_patterns("__pycache__", "build", "*.part")
    for folder in ("course_utils", "data/results"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=unread)
    (checkout / "notebooks").mkdir()
    for chapter in (ROOT / "notebooks").glob("*.ipynb"):
        (checkout / "notebooks" / chapter.name).write_text("{}", encoding="utf-8")
    for file in ("pyproject.toml", "constraints.txt", "course.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, checkout / file)
    (base / "home").mkdir()
    venv.create(base / "venv", with_pip=False, symlinks=os.name != "nt")
    patient = Patient(base / "venv", checkout, base / "home", index, variables(base, index))
    (patient.packages / "zz_base.pth").write_text(f"{PACKAGES}\n", encoding="utf-8")
    patient.install("ipykernel", "jupyterlab_widgets")
    install_course(patient, checkout)
    return base


def variables(base: Path, index: Path) -> dict[str, str]:
    """The variables of this process without those that change what is tested."""
    plain = {k: v for k, v in os.environ.items() if not re.match(f"PIP_|{doctor.SUSPECTS}", k)}
    home = str(base / "home")
    pip = {"NO_INDEX": "1", "FIND_LINKS": str(index), "NO_COMPILE": "1", "CONFIG_FILE": os.devnull}
    plain |= {f"PIP_{name}": value for name, value in pip.items()}
    return plain | {"HOME": home, "USERPROFILE": home, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}


def install_course(patient: Patient, checkout: Path) -> None:
    """Do what `pip install -e` does, without its seconds."""
    text = importlib.metadata.distribution("course-utils").read_text("METADATA")
    info = patient.packages / "course_utils-0.1.0.dist-info"
    info.mkdir(exist_ok=True)
    (patient.packages / "_editable_impl_course_utils.pth").write_text(str(checkout), "utf-8")
    origin = {"url": checkout.as_uri(), "dir_info": {"editable": True}}
    record = "".join(f"{info.name}/{n},,\n" for n in ("METADATA", "direct_url.json", "RECORD"))
    files = {"METADATA": text, "direct_url.json": json.dumps(origin), "INSTALLER": "pip\n"}
    files["RECORD"] = f"_editable_impl_course_utils.pth,,\n{record}{info.name}/INSTALLER,,\n"
    for name, content in files.items():
        (info / name).write_text(content, encoding="utf-8")


@pytest.fixture
def patient(healthy, index, tmp_path) -> Patient:
    """A copy of what is sound, for one case to break."""
    base = tmp_path / healthy.name
    shutil.copytree(healthy, base, symlinks=True)
    copy = Patient(base / "venv", base / "the course", base / "home", index, variables(base, index))
    install_course(copy, copy.checkout)
    return copy


def apply(cure: str, patient: Patient) -> list:
    """Do what a cure says: its commands in a shell, its variables, its renaming."""
    done = []
    for command in re.findall(r"`(.*?)`", cure):
        words = command if os.name == "nt" else ["sh", "-c", command]
        done.append(patient.run(*words) if os.name != "nt" else patient.run(words))
    for names in re.findall(r"remove the variable (.*?)(?:, and start again|$)", cure):
        done += [patient.variables.pop(name) for name in names.split(" and ")]
    for name, value in re.findall(r"set the variable (\w+) to (a folder|\w+)", cure):
        patient.variables[name] = str(patient.home) if value == "a folder" else value
        done.append(name)
    for path in re.findall(r"give (.*) another name", cure):
        done.append(Path(path).rename(Path(path).with_name("another name")))
    assert done, f"nothing to do in {cure!r}"
    return done


# How each thing is broken: the names are those of the cases.


def outdated_package(patient: Patient) -> None:
    wheel("tqdm", patient.index)
    distribution(patient.packages, "tqdm", "1.0")


def untested_package(patient: Patient) -> None:
    wheel("tqdm", patient.index)
    distribution(patient.packages, "tqdm", "4.66.5")


def missing_package(patient: Patient) -> None:
    pyproject = patient.checkout / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8").replace(
        '"tqdm>', '"course-test-nothing>0", "tqdm>'
    )
    pyproject.write_text(text, encoding="utf-8")
    name = "course_test_nothing-1.0"
    with zipfile.ZipFile(patient.index / f"{name}-py3-none-any.whl", "w") as archive:
        archive.writestr("course_test_nothing.py", "")
        archive.writestr(
            f"{name}.dist-info/METADATA", METADATA.format("course-test-nothing", "1.0")
        )
        archive.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}.dist-info/RECORD", "")


METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n"


def distribution(folder: Path, name: str, version: str, code: str = "") -> None:
    """Write a package of one empty module into a folder, as pip would have put it there."""
    wheel_of = f"{name}-{version}.dist-info"
    (folder / wheel_of).mkdir(parents=True)
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code, encoding="utf-8")
    (folder / wheel_of / "METADATA").write_text(METADATA.format(name, version), encoding="utf-8")
    (folder / wheel_of / "RECORD").write_text(
        f"{name}/__init__.py,,\n{wheel_of}/METADATA,,\n{wheel_of}/RECORD,,\n", encoding="utf-8"
    )


def damaged_package(patient: Patient) -> None:
    patient.install("numpy")
    (patient.packages / "numpy" / "_core" / "multiarray.py").unlink()


def foreign_library(patient: Patient) -> None:
    (patient.home / "libstdc++.so.6").write_bytes(b"of another program")
    patient.variables["LD_LIBRARY_PATH"] = str(patient.home)


def file_beside_the_chapters(patient: Patient) -> None:
    (patient.checkout / "notebooks" / "torch.py").write_text(NEVER_AGAIN, encoding="utf-8")


def file_that_the_doctor_would_import(patient: Patient) -> None:
    (patient.checkout / "notebooks" / "random.py").write_text(NEVER_AGAIN, encoding="utf-8")


def folder_beside_the_chapters(patient: Patient) -> None:
    distribution(patient.checkout / "notebooks", "scipy", "1.0")


def package_of_another_python(patient: Patient) -> None:
    distribution(patient.home / "other", "numpy", "1.0")
    patient.variables["PYTHONPATH"] = str(patient.home / "other")


def course_not_installed(patient: Patient) -> None:
    shutil.rmtree(patient.packages / "course_utils-0.1.0.dist-info")
    (patient.packages / "_editable_impl_course_utils.pth").unlink()
    others = patient.home / "other-packages"  # those of the tests, without their own course
    others.mkdir()
    for entry in PACKAGES.iterdir():
        if "course_utils" not in entry.name:
            (others / entry.name).symlink_to(entry)
    (patient.packages / "zz_base.pth").write_text(f"{others}\n", encoding="utf-8")
    patient.variables["PYTHONPATH"] = str(patient.checkout)  # as where you stand in its folder
    for name in BACKEND:
        wheel(name, patient.index)


def course_of_another_checkout(patient: Patient) -> None:
    other = patient.checkout.with_name("other course")
    shutil.copytree(patient.checkout, other)
    install_course(patient, other)
    for name in BACKEND:
        wheel(name, patient.index)


def home_that_is_no_folder(patient: Patient) -> None:
    for name in ("HOME", "USERPROFILE"):
        patient.variables[name] = os.devnull


def home_that_is_locked(patient: Patient) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes anywhere")
    patient.home.chmod(0o500)


def runtime_folder_of_another_program(patient: Patient) -> None:
    patient.variables["JUPYTER_RUNTIME_DIR"] = os.path.join(os.devnull, "runtime")


def kernel(folder: Path, *argv: str) -> None:
    """Write a kernel named python3 that starts like this."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


GONE = ("/gone/python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
OURS = "share/jupyter/kernels/python3"


def kernel_that_is_gone(patient: Patient) -> None:
    kernel(patient.venv / OURS, *GONE)


def kernel_that_dies(patient: Patient) -> None:
    kernel(patient.venv / OURS, str(patient.python), "-c", NEVER_AGAIN, "{connection_file}")


def kernel_of_another_python(patient: Patient) -> None:
    command = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    kernel(patient.venv / OURS, *command)


def kernel_of_a_variable(patient: Patient) -> None:
    kernel(patient.home / "elsewhere" / "kernels" / "python3", *GONE)
    patient.variables["JUPYTER_PATH"] = str(patient.home / "elsewhere")


def kernel_of_the_user(patient: Patient) -> None:
    code = "from jupyter_core.paths import jupyter_data_dir as d; print(d())"
    shutil.rmtree(patient.venv / OURS)
    data = Path(patient.run(patient.python, "-c", code).strip())
    kernel(data / "kernels" / "python3", *GONE)


def startup_file_of_the_user(patient: Patient) -> None:
    startup = patient.home / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text(NEVER_AGAIN, encoding="utf-8")


def figures_in_windows(patient: Patient) -> None:
    patient.variables["MPLBACKEND"] = "TkAgg"


def figures_nowhere(patient: Patient) -> None:
    patient.variables["MPLBACKEND"] = "nonsense"


def extension_missing(patient: Patient) -> None:
    shutil.rmtree(patient.venv / WIDGETS)


def extension_switched_off(patient: Patient) -> None:
    off(patient, "sys_prefix")


def extension_switched_off_by_the_user(patient: Patient) -> None:
    off(patient, "user")


def off(patient: Patient, level: str) -> None:
    """Switch the widgets' extension off, as JupyterLab itself does."""
    command = ("jupyterlab.labextensions", "disable", f"--level={level}", doctor.LAB_WIDGETS)
    patient.run(patient.python, "-m", *command)


def extension_switched_off_by_a_variable(patient: Patient) -> None:
    patient.variables["JUPYTER_CONFIG_PATH"] = str(patient.home / "config")
    switches = {"disabledExtensions": {doctor.LAB_WIDGETS: True}}
    page = patient.home / "config" / "labconfig" / "page_config.json"
    page.parent.mkdir(parents=True)
    page.write_text(json.dumps(switches), encoding="utf-8")


def digits_missing(patient: Patient) -> None:
    patient.install("scikit-learn")
    (patient.packages / "sklearn" / "datasets" / "data" / "digits.csv.gz").unlink()


def photograph_damaged(patient: Patient) -> None:
    wheel("scikit-learn", patient.index)  # which holds two of the photographs
    patient.install("scikit-image")
    (patient.packages / "skimage" / "data" / "camera.png").write_bytes(b"cut off")


def result_damaged(patient: Patient) -> None:
    if not shutil.which("git"):
        pytest.skip("there is no git on this machine")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (("init", "-q"), ("add", "data"), (*identity, "commit", "-qm", "course")):
        patient.run("git", "-C", patient.checkout, *command)
    next((patient.checkout / "data" / "results").glob("*.json")).write_text("{", encoding="utf-8")


CASES = [  # what is broken, the check that says so, its status, the culprit that it names
    (outdated_package, "packages", "BROKEN", "tqdm is 1.0"),
    (untested_package, "packages", "note", "tqdm is 4.66.5"),
    (missing_package, "packages", "BROKEN", "course-test-nothing is missing"),
    (damaged_package, "imports", "BROKEN", "because of numpy ("),
    (foreign_library, "imports", "BROKEN", "LD_LIBRARY_PATH is "),
    (file_beside_the_chapters, "names", "BROKEN", "torch.py is imported in place of"),
    (file_that_the_doctor_would_import, "names", "BROKEN", "random.py is imported in place of"),
    (folder_beside_the_chapters, "names", "BROKEN", "scipy is imported in place of"),
    (package_of_another_python, "names", "BROKEN", "PYTHONPATH is "),
    (course_not_installed, "course", "BROKEN", "is not installed"),
    (course_of_another_checkout, "course", "BROKEN", "other course"),
    (home_that_is_no_folder, "home", "BROKEN", "keep its files"),
    (home_that_is_locked, "home", "BROKEN", "keep its files"),
    (runtime_folder_of_another_program, "home", "BROKEN", "JUPYTER_RUNTIME_DIR is "),
    (kernel_that_is_gone, "kernel", "BROKEN", "which is gone"),
    (kernel_that_dies, "kernel", "BROKEN", "does not answer"),
    (kernel_of_another_python, "kernel", "BROKEN", "not this Python"),
    (kernel_of_a_variable, "kernel", "BROKEN", "JUPYTER_PATH is "),
    (kernel_of_the_user, "kernel", "BROKEN", "which is gone"),
    (startup_file_of_the_user, "kernel", "BROKEN", "does not answer"),
    (figures_in_windows, "kernel", "BROKEN", "MPLBACKEND is TkAgg"),
    (figures_nowhere, "kernel", "BROKEN", "MPLBACKEND is nonsense"),
    (extension_missing, "widgets", "BROKEN", "JupyterLab lacks"),
    (extension_switched_off, "widgets", "BROKEN", "is switched off"),
    (extension_switched_off_by_the_user, "widgets", "BROKEN", "is switched off"),
    (extension_switched_off_by_a_variable, "widgets", "BROKEN", "JUPYTER_CONFIG_PATH is "),
    (digits_missing, "data", "BROKEN", "the digits cannot be read"),
    (photograph_damaged, "data", "BROKEN", "the photographs cannot be read"),
    (result_damaged, "results", "BROKEN", ".json cannot be read"),
]
POSIX_ONLY = {
    foreign_library,
    course_not_installed,  # made with links
    home_that_is_no_folder,
    home_that_is_locked,
}


def marks(breaks: object) -> list[pytest.MarkDecorator]:
    """By default one case each runs of a file, a variable and a package that are in the way."""
    quick = (file_beside_the_chapters, package_of_another_python, outdated_package)
    return [] if breaks in quick else [pytest.mark.slow]


@pytest.mark.parametrize(
    ("breaks", "check", "status", "culprit"),
    [pytest.param(*case, id=case[0].__name__, marks=marks(case[0])) for case in CASES],
)
def test_the_cure_cures(patient, breaks, check, status, culprit):
    if os.name == "nt" and breaks in POSIX_ONLY:
        pytest.skip("of POSIX only")
    breaks(patient)
    found = patient.ask(check)[check]
    assert (found.status, culprit in found.what) == (status, True), found
    apply(found.cure, patient)
    assert patient.ask(check)[check].status == "ok", found.cure


@pytest.mark.slow
def test_what_nothing_breaks_is_ok(patient):
    names = [check.__name__.removeprefix("check_") for check in doctor.CHECKS]
    found = patient.ask(*names)
    assert list(found) == names
    assert {finding.status for finding in found.values()} == {"ok"}, found


@pytest.mark.slow
def test_a_folder_with_brackets_in_its_name_is_named_and_moving_it_cures(patient):
    before = patient.venv.parent
    there = before.rename(before.with_name("br[a]ck"))
    patient = moved(patient, there)
    found = patient.ask("folder", "widgets")
    assert list(found) == ["folder"], "what follows would only be its consequence"
    assert "holds [a]" in found["folder"].what
    assert "move the course" in found["folder"].cure
    assert patient.ask("widgets")["widgets"].status == "BROKEN", "the reason for this check is gone"
    patient = moved(patient, there.rename(before))
    assert {f.status for f in patient.ask("folder", "widgets").values()} == {"ok"}


def moved(patient: Patient, base: Path) -> Patient:
    """The patient after its folder was moved and course.py installed the course again."""
    patient = patient._replace(
        venv=base / "venv",
        checkout=base / "the course",
        home=base / "home",
        variables=variables(base, patient.index),
    )
    install_course(patient, patient.checkout)
    return patient


@pytest.mark.slow
def test_another_python_gives_way_to_one_that_fits(patient):
    """The doctor speaks in an old Python; a Python that fits and course.py are the cure."""
    old = old_python() or pytest.skip("there is no Python 3.9 or 3.10 on this machine")
    patient.variables["PYTHONPATH"] = str(patient.checkout)
    found = patient.ask("python", "packages", python=old)
    assert list(found) == ["python"]
    assert found["python"].status == "BROKEN"
    del patient.variables["PYTHONPATH"]
    if doctor.check_packages().status != "ok":
        pytest.skip("course.py would install the tested versions first")
    ours = (str(patient.python.parent), patient.variables["PATH"])
    patient.variables["PATH"] = os.pathsep.join(ours)  # now "python3" is one that fits
    assert "ok     python    Python 3." in apply(found["python"].cure, patient)[0]


def old_python() -> Path | None:
    """A Python that the doctor can speak in and the course cannot be read in."""
    for name in ("python3.9", "python3.10"):
        path = shutil.which(name)
        if (
            path
            and not subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode
        ):
            return Path(path)
    return None


@pytest.mark.slow
def test_a_package_of_the_user_gives_way_to_the_installed_one(patient):
    """Outside of a venv, as in conda, what `pip install --user` once brought comes first."""
    base = Path(sys._base_executable)
    ask = "import pip, site; print(pip.__file__); print(site.getusersitepackages())"
    mine, users = patient.run(base, "-c", ask).splitlines()
    distribution(Path(users), "pip", "1.0")
    patient.variables.pop("PYTHONNOUSERSITE", None)  # course.py sets it
    patient.variables["PYTHONPATH"] = str(patient.checkout)
    found = patient.ask("names", python=base)["names"]
    assert (found.status, "pip is imported in place of" in found.what) == ("BROKEN", True), found
    apply(found.cure, patient)
    assert patient.ask("names", python=base)["names"].status == "ok"
    assert patient.run(base, "-c", ask).startswith(mine)
