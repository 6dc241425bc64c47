"""course.py on a folder of its own: pip is played by a small module, everything else is real.

`python -m venv --without-pip` makes the environments, so that each takes a tenth of a second. What
plays pip and venv comes by a .pth file, for course.py hands no PYTHONPATH on.
"""

import ast
import contextlib
import http.server
import importlib.metadata
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from urllib.parse import unquote

import pytest
from jupyter_core.paths import jupyter_config_path, jupyter_path
from jupyter_server.extension.config import ExtensionConfigManager
from jupyterlab_server.config import get_page_config

SECONDS = 20
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

ROOT = Path(__file__).resolve().parent.parent
SIZES = re.compile(r"first time takes minutes.*GB", re.DOTALL)

PIP = """
import os, sys, time
said = " ".join(sys.argv[1:])
if said == "config list":
    sys.exit(print(os.environ.get("PIP_SETTINGS", "")))
with open("pip.log", "a", encoding="utf-8") as log:
    print(said, file=log)
time.sleep(float(os.environ.get("PIP_TAKES", 0)))
if "--index-url" in said:
    sys.exit("NO_TORCH" in os.environ)
with open(os.environ["PIP_LOG"], "w", encoding="utf-8") as log:
    log.write(os.environ.get("PIP_NOTES", ""))
sys.stderr.write(os.environ.get("PIP_SAYS", ""))
sys.exit("PIP_SAYS" in os.environ)
"""
VENV = """
import os, subprocess, sys
from pathlib import Path
if "VENV_SAYS" in os.environ:
    sys.exit(os.environ["VENV_SAYS"])
made = subprocess.call([sys._base_executable, "-I", "-m", "venv", "--without-pip"] + sys.argv[1:])
packages = next(Path(sys.argv[-1]).glob("[Ll]ib/**/site-packages"))
(packages / "tools.pth").write_text(str(Path(__file__).parents[1]), "utf-8")
sys.exit(made)
"""
DOCTOR = """
import sys
print("doctor", sys.prefix, sys.argv[1:])
sys.exit(7)
"""


@pytest.fixture
def folder(tmp_path):
    """A checkout with nothing but course.py, what it reads, and a doctor that exits with 7."""
    home = tmp_path / "a course"
    for path, text in {
        home / "course_utils/tools/doctor.py": DOCTOR,
        tmp_path / "tools/pip/__init__.py": "",
        tmp_path / "tools/pip/__main__.py": PIP,
        tmp_path / "tools/venv/__init__.py": "",
        tmp_path / "tools/venv/__main__.py": VENV,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in ("course.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, home / name)
    base = tmp_path / "base"
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(base)], check=True)
    packages = next(base.glob("[Ll]ib/**/site-packages"))
    first = f"import sys; sys.path.insert(0, {str(tmp_path / 'tools')!r})"
    (packages / "tools.pth").write_text(first, "utf-8")
    return home


def command(folder, *arguments):
    """Return how to call course.py with a Python whose pip and venv are the small ones."""
    python = next(folder.parent.glob("base/[bS]*/python*"))
    return [str(python), str(folder / "course.py"), *arguments]


def environment(**more):
    """Return variables under which pip has no settings but those of the test."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    return own | {"PIP_CONFIG_FILE": os.devnull} | more


def course(folder, *arguments, **more):
    """Run course.py in another folder than its own; return exit code, stdout and stderr."""
    done = subprocess.run(
        command(folder, *arguments),
        cwd=folder.parent,
        env=environment(**more),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def pip_calls(folder):
    """Return what pip was asked to install; PyTorch from its own index apart."""
    log = folder / "pip.log"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [line for line in lines if "--index-url" not in line]


@pytest.fixture
def module():
    """course.py as a module of its own."""
    spec = importlib.util.spec_from_file_location("course_under_test", ROOT / "course.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_argument_or_with_help_each_task_has_its_line(folder, module):
    code, out, err = course(folder)
    assert (code, err) == (0, "")
    assert (code, out, err) == course(folder, "help")
    for name, (what, _) in module.TASKS.items():
        assert re.search(rf"(?m)^  {name} +{re.escape(what)}$", out)
    assert not (folder / ".venv").exists()


def test_an_unknown_task_is_one_sentence_and_exit_2(folder):
    code, out, err = course(folder, "tset")
    assert (code, out) == (2, "")
    assert err.splitlines() == ["There is no task 'tset'; did you mean test?"]
    code, out, err = course(folder, "nothing-of-the-kind")
    assert (code, out) == (2, "")
    assert "the tasks are lab, test, doctor," in err


def test_help_on_a_task_installs_nothing(folder, module):
    code, out, err = course(folder, "bench", "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"bench: {module.TASKS['bench'][0]}.")
    assert not (folder / ".venv").exists()


def test_every_task_is_a_module_that_is_there(module):
    for _, line in module.TASKS.values():
        assert importlib.util.find_spec(line.split()[0]), line


def test_the_notebook_that_lab_opens_is_there(module):
    assert (ROOT / module.START.removeprefix("/lab/tree/")).is_file()


def test_first_run_installs_and_later_runs_only_run(folder):
    code, out, err = course(folder, "doctor", "-x", "two words")
    assert (code, err) == (7, "")
    assert SIZES.search(out)
    assert f"doctor {folder / '.venv'} ['-x', 'two words']" in out
    assert pip_calls(folder) == ["install -c constraints.txt -e .[test]"]

    start = time.perf_counter()
    code, out, err = course(folder, "doctor")
    assert time.perf_counter() - start < 5
    assert (code, err) == (7, "")
    assert out == f"doctor {folder / '.venv'} []\n"
    assert len(pip_calls(folder)) == 1


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_pip_is_called_again_when_what_is_asked_for_has_changed(folder, name):
    course(folder, "doctor")
    (folder / ".venv" / "mine").touch()
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert course(folder, "doctor", PIP_SAYS="ConnectionError")[0] == 1
    assert course(folder, "doctor")[0] == 7
    assert len(pip_calls(folder)) == 3
    assert pip_calls(folder)[2].endswith(" --quiet"), "or it lists all that is there already"
    assert (folder / ".venv" / "mine").exists(), "an update must not clear the environment"


def test_a_moved_checkout_is_installed_again(folder):
    course(folder, "doctor")
    moved = folder.rename(folder.with_name("elsewhere"))
    assert course(moved, "doctor")[0] == 7
    assert len(pip_calls(moved)) == 2


def unfinished(venv):
    (venv / "course-stamp").write_text("unfinished", encoding="utf-8")


def without_python(venv):
    for python in [*venv.glob("bin/python*"), *venv.glob("Scripts/python*")]:
        python.unlink()


def empty(venv):
    shutil.rmtree(venv)
    venv.mkdir()


@pytest.mark.parametrize("damage", [unfinished, without_python, empty])
def test_a_half_made_or_broken_environment_is_said_and_made_anew(folder, damage):
    course(folder, "doctor")
    (folder / ".venv" / "left over").touch()
    damage(folder / ".venv")
    code, out, _ = course(folder, "doctor")
    assert code == 7
    assert "half-made or broken: making it anew" in out
    assert not (folder / ".venv" / "left over").exists()
    assert course(folder, "doctor")[1].startswith("doctor")


def test_an_environment_without_pip_is_made_anew(folder):
    course(folder, "doctor")
    shutil.rmtree(folder.parent / "tools" / "pip")
    code, out, err = course(folder, "doctor")
    assert code == 1
    assert "making it anew" in out
    assert "for the reason above" in err


def test_a_set_up_that_failed_is_made_anew_next_time(folder):
    assert course(folder, "doctor", PIP_SAYS="what a pity")[0] == 1
    code, out, _ = course(folder, "doctor")
    assert code == 7
    assert "making it anew" in out


def test_a_working_environment_of_the_users_own_is_filled_not_cleared(folder):
    make = [command(folder)[0], "-m", "venv", str(folder / ".venv")]
    subprocess.run(make, check=True)
    (folder / ".venv" / "mine").touch()
    assert course(folder, "doctor")[0] == 7
    assert (folder / ".venv" / "mine").exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_environment_is_never_deleted(folder, kind):
    thing = folder / ".venv"
    if kind == "folder":
        thing.mkdir()
        thing = thing / "thesis.txt"
    thing.write_text("years of work", encoding="utf-8")
    code, _, err = course(folder, "doctor")
    assert code == 1
    assert "is no environment that the course has made: move it away" in err
    assert thing.read_text(encoding="utf-8") == "years of work"
    assert pip_calls(folder) == []


def test_an_environment_of_the_users_own_without_pip_is_never_cleared(folder):
    """As `uv venv` makes them; of what such a one began with, nothing is lost."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    packages = next((folder / ".venv").glob("[Ll]ib/**/site-packages"))
    (packages / "mine-1.0.dist-info").mkdir()
    code, _, err = course(folder, "doctor")
    assert code == 1
    assert "is no environment that the course has made: move it away" in err
    assert (packages / "mine-1.0.dist-info").is_dir()
    (packages / "mine-1.0.dist-info").rmdir()
    assert course(folder, "doctor")[0] == 7


OFFLINE = """WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by
'NewConnectionError("HTTPSConnection: Failed to establish a new connection: [Errno -3]
Temporary failure in name resolution")': /simple/hatchling/
ERROR: No matching distribution found for hatchling>=1.25
"""


@pytest.mark.parametrize(
    ("says", "cure"),
    [
        (
            "ERROR: Could not install: [Errno 28] No space left on device",
            "disk is full",
        ),
        ("OSError: [WinError 112] There is not enough space on the disk", "disk is full"),
        (OFFLINE, "No network: pip did not reach its package index; connect"),
        ("ProxyError('Cannot connect to proxy.')", "proxy"),
        ("ERROR: [Errno 13] Permission denied: '/opt/course/.venv/lib'", "cannot be written"),
        ("[Errno 30] Read-only file system: '/media/course/.venv'", "cannot be written"),
        ("ERROR: ResolutionImpossible", "for the reason above"),
        ("ERROR: Package 'x' requires a different Python: 3.10 not in", "delete the folder .venv"),
        (
            "WARNING: Retrying after ReadTimeoutError\nERROR: Failed building wheel for x",
            "for the reason above",
        ),
        ("[WinError 32] The process cannot access the file, used by another", "close it"),
        ("OSError: [WinError 206] The filename or extension is too long", "nearer to the drive"),
    ],
)
@pytest.mark.parametrize("tool", ["PIP_SAYS", "VENV_SAYS"])
def test_a_failed_step_is_shown_and_told_in_one_sentence_with_its_cure(folder, tool, says, cure):
    code, _, err = course(folder, "doctor", **{tool: says + "\n"})
    assert code == 1
    assert says in err, "the tool's own words are shown"
    last = err.splitlines()[-1]
    assert cure in last
    assert last.endswith("run this again.")


def test_a_stamp_that_cannot_be_written_is_told_in_one_sentence(folder):
    course(folder, "doctor")
    (folder / ".venv" / "course-stamp").unlink()
    (folder / ".venv" / "course-stamp").mkdir()
    code, _, err = course(folder, "doctor")
    assert code == 1
    assert "Traceback" not in err
    assert len(err.splitlines()) == 2, "what the system says, and the cure"


def test_a_nearly_full_disk_is_seen_even_where_venv_hides_what_went_wrong(module, monkeypatch):
    usage = shutil.disk_usage(ROOT)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    assert "disk is full" in module.explain("Error: Command 'ensurepip' returned exit status 1.")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=10**10))
    assert "disk is full" not in module.explain("Error: Command 'ensurepip' returned 1.")


FACTS = [[3, 12], "CPython on Linux", True, True]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ([[3, 8], *FACTS[1:]], "Python 3.8 is too old for this course"),
        ([[3, 10], *FACTS[1:]], "Python 3.10 is too old for this course"),
        ([[3, 15], *FACTS[1:]], "Python 3.15 is too new for this course"),
        (
            [[3, 12], "PyPy on Linux", False, True],
            "PyTorch has no build for this Python 3.12 (PyPy on Linux)",
        ),
        ([[3, 12], "", True, False], "`sudo apt install python3.12-venv` mends that"),
    ],
)
def test_a_python_that_does_not_serve_is_told_why(module, monkeypatch, facts, why):
    monkeypatch.setattr(module, "ask", lambda *_: json.dumps(facts))
    assert why in module.fault(["python3"], {})
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match=r"no other Python on the PATH serves: .* 3\.11 to 3\.14"):
        module.suitable_python({})


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_the_supported_pythons_pass(module, monkeypatch, minor):
    monkeypatch.setattr(module, "ask", lambda *_: json.dumps([[3, minor], *FACTS[1:]]))
    assert module.suitable_python({}) == [sys.executable]


def test_this_very_python_serves(module):
    assert module.fault([sys.executable], dict(os.environ)) == ""


def test_the_versions_named_are_those_of_the_package(module):
    asked = re.search(r'requires-python = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    (old, new) = (module.OLDEST, module.NEWEST)
    assert asked.group(1) == f">={old[0]}.{old[1]},<{new[0]}.{new[1] + 1}"
    named = re.findall(r"3\.\d+", module.NEEDS.replace(str(ROOT), ""))
    assert named == [f"{old[0]}.{old[1]}", f"{new[0]}.{new[1]}"]


def edited(folder, old, new):
    """Change a line of course.py in a folder."""
    text = (folder / "course.py").read_text("utf-8")
    assert old in text
    (folder / "course.py").write_text(text.replace(old, new), "utf-8")


needs_scripts = pytest.mark.skipif(os.name == "nt", reason="Windows runs no script without suffix")


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The only folder on the PATH, and a function that puts programs there."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def put(name, script):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        (programs / name).chmod(0o755)

    return put


@needs_scripts
def test_another_python_on_the_path_that_serves_is_used_in_one_line(folder, path):
    low, high = sys.version_info[1] + 1, sys.version_info[1] + 2
    edited(folder, "OLDEST, NEWEST = (3, 11), (3, 14)", f"OLDEST, NEWEST = (3, {low}), (3, {high})")
    code, out, err = course(folder, "doctor")
    assert (code, out) == (1, "")
    assert "is too old for this course, and no other Python on the PATH serves" in err
    assert len(err.splitlines()) == 1
    assert not (folder / ".venv").exists()

    path(f"python3.{high}", "exit 127")  # as pyenv's does where it is not switched on
    facts = json.dumps([[3, low], *FACTS[1:]])
    path(
        f"python3.{low}",
        f"case \"$1\" in -c) echo '{facts}';; *) exec '{command(folder)[0]}' \"$@\";; esac",
    )
    code, out, err = course(folder, "doctor")
    assert (code, err) == (7, "")
    assert f"too old for this course: python3.{low} makes the environment in its place" in out
    assert course(folder, "doctor") == (7, f"doctor {folder / '.venv'} []\n", ""), "once only"


# Where PyTorch comes from


def calls(folder):
    return (folder / "pip.log").read_text("utf-8").splitlines()


@pytest.fixture
def linux(path):
    if sys.platform != "linux":
        pytest.skip("elsewhere PyTorch's usual build has no CUDA")


@pytest.mark.usefixtures("linux")
def test_linux_without_a_driver_asks_pytorchs_own_index_first(folder, module):
    code, out, _ = course(folder, "doctor")
    assert code == 7
    first, then = calls(folder)
    assert first == f"{module.TORCH.removeprefix('pip ')} --index-url {module.TORCH_INDEX}"
    assert then == "install -c constraints.txt -e .[test]"
    assert "PyTorch without CUDA" in out


@pytest.mark.usefixtures("linux")
def test_pips_usual_index_serves_where_pytorchs_is_out_of_reach(folder):
    code, out, err = course(folder, "doctor", NO_TORCH="1")
    assert (code, err) == (7, "")
    assert "So PyTorch comes from pip's usual one, with CUDA" in out
    assert len(pip_calls(folder)) == 1


@pytest.mark.usefixtures("linux")
@pytest.mark.parametrize(
    "setting",
    [
        "global.index-url='https://mirror/simple'",
        ":env:.extra-index-url='x'",
        "install.no-index='1'",
        "global.find-links='/wheels'",
    ],
)
def test_a_source_of_the_users_own_is_asked_alone(folder, setting):
    assert course(folder, "doctor", PIP_SETTINGS=f"global.timeout='9'\n{setting}")[0] == 7
    assert calls(folder) == pip_calls(folder)


@pytest.mark.usefixtures("linux")
def test_a_machine_with_nvidias_driver_gets_cuda(folder, path):
    path("nvidia-smi", "exit 0")
    assert course(folder, "doctor")[0] == 7
    assert calls(folder) == pip_calls(folder)


def test_other_systems_ask_pips_index_alone(module, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "ask", lambda *_: "")
    monkeypatch.setattr(module, "step", lambda command, env: asked.append(command))
    monkeypatch.setattr(module.subprocess, "call", lambda *_, **__: pytest.fail("asked"))
    for system in ("darwin", "win32"):
        monkeypatch.setattr(module.sys, "platform", system)
        module.install({})
    assert len(asked) == 2


def test_settings_that_send_packages_elsewhere_are_named(folder):
    code, _, err = course(folder, "doctor", PIP_SETTINGS="install.target='/opt/mine'")
    assert code == 1
    assert "install.target='/opt/mine'" in err
    assert pip_calls(folder) == []


class Index(http.server.BaseHTTPRequestHandler):
    """A package index that answers each request in one way, "nothing" included."""

    def do_GET(self):
        if self.server.answer == "nothing":
            time.sleep(30)
        elif isinstance(self.server.answer, int):
            self.send_error(self.server.answer)
        else:
            body = self.server.answer.get(unquote(self.path).rstrip("/"), b"<p>Log in</p>")
            self.send_response(200)
            is_page = not self.path.endswith(".whl")
            self.send_header("Content-Type", "text/html" if is_page else "application/zip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    do_CONNECT = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def index(answer, certificate=None):
    """The address of a package index on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        server.daemon_threads = True
        server.block_on_close = False
        server.answer = answer
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scheme = "https" if certificate else "http"
        yield f"{scheme}://localhost:{server.server_port}"
        server.shutdown()


def real_pip(folder):
    """Let the environment of a folder use the pip of this Python."""
    shutil.rmtree(folder.parent / "tools" / "pip")
    # not by importing it, after which setuptools is another
    here = importlib.metadata.distribution("pip").locate_file("pip")
    shutil.copytree(here, folder.parent / "tools" / "pip")


TORCH = {
    "torch/__init__.py": "",
    "torch-{}.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: {}\n",
    "torch-{}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "torch-{}.dist-info/RECORD": "",
}


def wheel(version):
    """Return a wheel that claims to be PyTorch."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in TORCH.items():
            archive.writestr(name.format(version), text.format(version))
    return file.getvalue()


@pytest.mark.usefixtures("linux")
def test_pytorchs_own_index_gives_the_tested_version_without_cuda(folder, module):
    version = module.tested_versions()["torch"]
    name = f"torch-{version}+cpu-py3-none-any.whl"
    links = f'<a href="/{name}">{name}</a><a href="/torch-99-py3-none-any.whl">torch-99</a>'
    real_pip(folder)
    edited(folder, '"pip install -c constraints.txt -e .[test]"', '"pip list"')
    with index({"/torch": links.encode(), f"/{name}": wheel(f"{version}+cpu")}) as address:
        edited(folder, module.TORCH_INDEX, address)
        code, out, _ = course(folder, "doctor")
    assert code == 7
    assert re.search(rf"(?m)^torch +{re.escape(version)}\+cpu$", out), out


@pytest.mark.slow
@pytest.mark.usefixtures("linux")
@pytest.mark.parametrize("answer", ["nothing", 403, {}])
def test_an_index_of_pytorchs_that_gives_nothing_is_left_within_seconds(folder, module, answer):
    real_pip(folder)
    edited(folder, '"pip install -c constraints.txt -e .[test]"', '"pip list"')
    with index(answer) as address:
        edited(folder, module.TORCH_INDEX, address)
        start = time.monotonic()
        code, out, err = course(folder, "doctor")
    assert time.monotonic() - start < 20
    assert (code, err) == (7, "")
    assert "So PyTorch comes from pip's usual one, with CUDA" in out


@pytest.fixture
def certificate(tmp_path):
    """A file with a key and a certificate that nobody has signed but itself."""
    openssl = shutil.which("openssl")
    if openssl is None and "CI" not in os.environ:
        pytest.skip("openssl, which makes a certificate, is missing")
    file = str(tmp_path / "certificate.pem")
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*make, "-keyout", file, "-out", file], check=True, capture_output=True)
    return file


def refused(folder, address, **more):
    """Return what course.py says in the end when the real pip asks an index at this address."""
    real_pip(folder)
    more |= {"PIP_RETRIES": "0", "PIP_TIMEOUT": "2", "PIP_INDEX_URL": address}
    code, _, err = course(folder, "doctor", **more)
    print(err)
    assert code == 1
    return err.splitlines()[-1]


@pytest.mark.slow
def test_a_certificate_that_is_not_trusted_is_named(folder, certificate):
    with index({}, certificate) as address:
        assert "A certificate on the way is not trusted here" in refused(folder, address)


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 403])
def test_an_index_that_refuses_is_named(folder, status):
    with index(status) as address:
        assert "A server refuses to give packages" in refused(folder, address)


@pytest.mark.slow
def test_a_proxy_that_wants_a_password_is_named(folder):
    with index(407) as address:
        said = refused(folder, "https://elsewhere.invalid", PIP_PROXY=address)
    assert "A server refuses to give packages" in said


@pytest.mark.slow
def test_an_index_that_is_ill_is_named(folder):
    with index(503) as address:
        assert "does not work at the moment" in refused(folder, address)


@pytest.mark.slow
def test_a_page_to_log_in_where_the_index_should_be_is_named(folder):
    with index({}) as address:
        said = refused(folder, address)
    assert "Something answers in the place of pip's package index" in said
    assert "log in" in said


@pytest.mark.slow
def test_an_index_that_is_not_there_is_no_network(folder):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "No network" in refused(folder, f"http://localhost:{port}")


# What must not reach the course, and where it cannot work


TELLS = """
import os, sys
print(sorted(os.environ.keys() & {"PYTHONPATH", "PYTHONHOME", "PYTHONOPTIMIZE", "MPLBACKEND"}))
print(*sys.argv[1:])
print(os.path.expanduser("~"))
print(os.environ.get("JUPYTER_CONFIG_PATH"), os.environ.get("PYTHONUTF8"))
"""


@pytest.mark.parametrize(("told", "has"), [({}, max(1, CORES // 2)), ({"OMP_NUM_THREADS": "7"}, 7)])
def test_a_task_leaves_half_of_the_cores_to_others_unless_told_otherwise(folder, told, has):
    said = 'import os; print("threads", os.environ["OMP_NUM_THREADS"])'
    (folder / "course_utils" / "tools" / "doctor.py").write_text(said, "utf-8")
    unset = {"OMP_NUM_THREADS": ""} if not told else {}
    assert f"threads {has}" in course(folder, "doctor", **told, **unset)[1]


def test_variables_of_other_pythons_do_not_reach_the_course(folder):
    (folder / "course_utils" / "tools" / "doctor.py").write_text(TELLS, "utf-8")
    (folder / "other" / "numpy").mkdir(parents=True)
    (folder / "other" / "numpy" / "__init__.py").write_text("raise SystemExit('foreign')", "utf-8")
    more = {"PYTHONPATH": str(folder / "other"), "PYTHONOPTIMIZE": "1", "MPLBACKEND": "nonsense"}
    code, out, err = course(folder, "doctor", **more)
    assert (code, err) == (0, "")
    assert out.splitlines()[-4] == "[]"
    assert out.splitlines()[-1].endswith(" 1")


@pytest.mark.slow
@pytest.mark.parametrize("setting", [{"PIP_USER": "1"}, {"PIP_TARGET": "elsewhere"}, {}])
def test_pips_habits_of_elsewhere_do_not_reach_the_environment(folder, setting):
    """The real pip, which refuses --user in an environment, installs a package of nothing."""
    real_pip(folder)
    (folder / "pip.conf").write_text("[global]\nuser = yes\n", "utf-8")
    setting = setting | {"PIP_CONFIG_FILE": str(folder / "pip.conf")}
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n', "utf-8")
    edited(
        folder, '"pip install -c constraints.txt -e .[test]"', '"pip install --no-index ./x.whl"'
    )
    (folder / "torch-1-py3-none-any.whl").write_bytes(wheel("1"))
    edited(folder, "./x.whl", "./torch-1-py3-none-any.whl")
    assert course(folder, "doctor", PIP_NO_INDEX="1", **setting)[0] == 7
    assert [*(folder / ".venv").glob("[Ll]ib/**/site-packages/torch")]


BROKEN_NAMES = ["my [new] course"] if os.name == "nt" else ["my [new] course", "a:b", "b\udcff"]


@pytest.mark.parametrize("name", BROKEN_NAMES)
def test_a_folder_that_cannot_work_is_refused_before_anything_is_installed(folder, name):
    moved = folder.rename(folder.with_name(name))
    code, out, err = course(moved, "doctor")
    assert (code, out) == (1, "")
    assert "cannot work in a folder with" in err
    assert len(err.splitlines()) == 1
    assert not (moved / ".venv").exists()


@pytest.mark.parametrize("name", ["one [ alone", "ümlaut & 'quote' #1 (copy)"])
def test_other_odd_names_of_a_folder_serve(folder, name):
    moved = folder.rename(folder.with_name(name))
    assert course(moved, "doctor")[0] == 7


def test_course_py_alone_says_that_the_rest_is_missing(folder):
    (folder / "constraints.txt").unlink()
    code, _, err = course(folder, "doctor")
    assert code == 1
    assert "needs the files beside it" in err
    assert not (folder / ".venv").exists()


@needs_scripts
@pytest.mark.parametrize("home", ["", "/dev/null", "/dev/null/nobody", "/nonexistent/nobody"])
def test_a_home_that_cannot_be_written_is_replaced(folder, home):
    (folder / "course_utils" / "tools" / "doctor.py").write_text(TELLS, "utf-8")
    code, out, err = course(folder, "doctor", HOME=home)
    assert code == 0
    assert err.splitlines() == [
        f"Your home folder cannot be written to: {folder / 'build' / 'home'} serves instead."
    ]
    assert out.splitlines()[-2] == str(folder / "build" / "home")
    assert (folder / "build" / "home").is_dir()


def test_a_home_is_left_alone(folder, tmp_path):
    (folder / "course_utils" / "tools" / "doctor.py").write_text(TELLS, "utf-8")
    code, out, err = course(folder, "doctor", HOME=str(tmp_path), USERPROFILE=str(tmp_path))
    assert (code, err) == (0, "")
    assert out.splitlines()[-2] == str(tmp_path)


# JupyterLab


@pytest.fixture
def lab(folder):
    """A function that runs `course.py lab` where a small module plays JupyterLab."""
    (folder / "jupyterlab.py").write_text(TELLS, "utf-8")
    course(folder, "doctor")
    return lambda *arguments, **more: course(folder, "lab", *arguments, **more)[1].splitlines()[-4:]


def test_lab_is_a_students_unless_a_lecturer_asks(folder, lab):
    settings = folder / "course_utils" / "tools" / "student_lab"
    _, said, _, paths = lab("--port=9")
    assert said.endswith("--port=9")
    assert "00_start_here" in said
    assert paths == f"{settings} 1"
    assert lab(JUPYTER_CONFIG_PATH="mine")[3] == f"{settings}{os.pathsep}mine 1"
    _, said, _, paths = lab("--lecturer", "--port=9")
    assert "--lecturer" not in said
    assert said.endswith("--port=9")
    assert paths == "None 1"


def test_lab_refuses_what_is_not_there(folder):
    course(folder, "doctor")
    code, _, err = course(folder, "lab", "my_cuorse")
    assert code == 1
    assert err == f"There is no {folder / 'my_cuorse'} to open.\n"


def test_lab_opens_a_folder_of_the_readers_own(folder, lab):
    _, said, *_ = lab("my_course", "--port=9")
    assert "00_start_here" not in said
    assert said.endswith("my_course --port=9")


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no root")
@pytest.mark.parametrize("user", [0, 1000])
def test_root_gets_a_jupyterlab_for_this_machine_alone(module, monkeypatch, capsys, user):
    monkeypatch.setattr(module.os, "geteuid", lambda: user)
    arguments = module.lab(["mine", "--port=9"], {})
    if user:
        assert arguments == ["mine", "--port=9"]
        assert capsys.readouterr().out == ""
    else:
        assert arguments == ["--allow-root", "--ServerApp.ip=127.0.0.1", "mine", "--port=9"]
        assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_students_jupyterlab_has_no_panel_of_the_grader_and_asks_nothing(module, monkeypatch):
    """JupyterLab's own reading of the settings; and without them nbgrader's extension is there."""

    def switched_off(*paths):
        monkeypatch.setenv("JUPYTER_CONFIG_PATH", os.pathsep.join(paths))
        page = get_page_config(jupyter_path("labextensions"))
        assert "@jupyter/nbgrader" in [each["name"] for each in page["federated_extensions"]]
        return set(page["disabledExtensions"])

    wanted = {"@jupyter/nbgrader", "@jupyterlab/apputils-extension:announcements"}
    assert wanted <= switched_off(str(module.STUDENT_LAB))
    assert not wanted & switched_off()

    folders = jupyter_config_path()
    servers = ExtensionConfigManager(read_config_path=[str(module.STUDENT_LAB), *folders])
    held = servers.get_jpserver_extensions()
    assert [n for n, is_on in held.items() if n.startswith("nbgrader") and is_on] == []
    held = ExtensionConfigManager(read_config_path=folders).get_jpserver_extensions()
    assert [n for n, is_on in held.items() if n.startswith("nbgrader") and is_on]


def test_old_pythons_can_read_the_file():
    source = (ROOT / "course.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    f_strings = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.JoinedStr)]
    first = min(node.lineno for node in f_strings)
    annotated = [n.lineno for n in ast.walk(ast.parse(source)) if isinstance(n, ast.arg)]
    assert source.splitlines()[first - 1].startswith("NEEDS = ")
    assert first < min(annotated), "Python 2 has to stop at the line that says what is needed"


@pytest.mark.slow
def test_two_set_ups_at_once_are_kept_apart(folder):
    first = subprocess.Popen(
        command(folder, "doctor"),
        env=environment(PIP_TAKES="3"),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    with first:
        assert first.stdout.readline().startswith("Installing")
        code, _, err = course(folder, "doctor")
        assert code == 1
        assert "Another set-up is at work here" in err
        assert "doctor" in first.stdout.read()
    assert first.returncode == 7
    assert course(folder, "doctor")[0] == 7


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without telling it")
def test_a_task_that_is_ended_takes_its_tool_with_it(folder):
    course(folder, "doctor")
    slow = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    (folder / "course_utils" / "tools" / "doctor.py").write_text(slow, encoding="utf-8")
    call = command(folder, "doctor")
    with subprocess.Popen(call, env=environment(), stdout=subprocess.PIPE) as task:
        tool = int(task.stdout.readline())
        task.send_signal(signal.SIGTERM)
        assert task.wait(10) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(tool, 0)


def installed(monkeypatch, module, origin, versions):
    """Let the running Python have these packages, course-utils from the URL `origin`."""
    from importlib import metadata

    class Distribution:
        def read_text(self, name):
            return f'{{"url": "{origin}", "dir_info": {{"editable": true}}}}'

    monkeypatch.setattr(metadata, "distribution", lambda _: Distribution())
    monkeypatch.setattr(metadata, "version", versions.__getitem__)
    monkeypatch.setattr(module, "VENV", Path(sys.prefix).parent / "not this one")


def test_an_environment_that_has_this_folder_installed_as_tested_is_used(
    module, monkeypatch, capsys
):
    pins = module.tested_versions()
    assert {"torch", "numpy", "nbval", "pytest"} <= pins.keys()
    versions = pins | {"torch": pins["torch"] + "+cpu"}
    installed(monkeypatch, module, ROOT.as_uri(), versions)
    assert module.serves()
    for other in (versions | {"torch": "2.12.0"}, versions | {"numpy": "2.1.0"}):
        installed(monkeypatch, module, ROOT.as_uri(), other)
        assert not module.serves()
    assert "This Python's numpy is 2.1.0, " in capsys.readouterr().out
    installed(monkeypatch, module, ROOT.parent.as_uri(), versions)
    assert not module.serves(), "another checkout"
    installed(monkeypatch, module, ROOT.as_uri(), versions)
    monkeypatch.setattr(module, "VENV", Path(sys.prefix))
    assert not module.serves(), ".venv itself is held to its stamp"
