"""Executed notebooks are stored without noise, and what fails leaves them as they were."""

import asyncio
import os
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
import zmq
import zmq.asyncio
from making import notebook_of
from nbformat.v4 import new_code_cell, new_output

from course_utils.tools import execute
from course_utils.tools.nbval_plugin import IGNORE, settled

SECONDS = 10

CALIBRATION = execute.calibration  # the real one: tests use a quick one
HEADER = "# A title\n\nseconds to run: **0**"
NOISY = [
    "import time\n\ntime.perf_counter()",
    "from ipywidgets import interact\n\n@interact(k=(0, 5))\ndef draw(k=3):\n    print('k is', k)",
    "import ipywidgets\nnever_shown = ipywidgets.IntSlider()",
    "from tqdm import tqdm\nfor step in tqdm(range(30), leave=False):\n    print(step)",
    "from tqdm.notebook import tqdm\nfor step in tqdm(range(30)):\n    pass",
    "#| default_exp built_here",
    "#| export\ndef double(x: float) -> float:\n    return 2 * x",
]


@pytest.fixture
def course(tmp_path) -> Path:
    """A notebook full of what differs from run to run, beside a folder for what it exports."""
    (tmp_path / "course_utils" / "built").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    noisy = [new_code_cell(source) for source in NOISY]
    noisy[0].metadata.tags = noisy[4].metadata.tags = [IGNORE]
    path = tmp_path / "notebooks" / "01_noisy.ipynb"
    noisy[1].metadata.execution = {"iopub.status.busy": "2020-01-01T00:00:00Z"}
    nbformat.write(notebook_of(*noisy, header=HEADER), path)
    return path


@pytest.fixture(autouse=True)
def quick_calibration(monkeypatch):
    monkeypatch.setattr(execute, "calibration", lambda: 0.02)


def test_a_reply_whose_wake_up_is_lost_is_heard():
    """A deaf socket as jupyter_client makes them: it sends while a reply is there, unheard."""

    async def exchange(kernel: zmq.Socket, port: int) -> tuple[bool, list[bytes]]:
        with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as shell:
            shell.connect(f"tcp://127.0.0.1:{port}")
            await shell.send_multipart([b"run this cell"])
            peer, _ = await asyncio.to_thread(kernel.recv_multipart)
            reply = asyncio.ensure_future(shell.recv_multipart())
            await asyncio.sleep(0.1)
            kernel.send_multipart([peer, b"done"])
            time.sleep(0.1)  # noqa: ASYNC251 - the loop does not see that the reply has come
            zmq.Socket.shadow(shell.underlying).send(b"a widget moved")
            done, _ = await asyncio.wait([reply], timeout=0.5)
            channel = SimpleNamespace(socket=shell)
            client = SimpleNamespace(kc=SimpleNamespace(shell_channel=channel))
            heard = execute.attentive(client, asyncio.wait_for(reply, 10))
            return bool(done), await heard

    with zmq.Context() as context, context.socket(zmq.ROUTER) as kernel:
        port = kernel.bind_to_random_port("tcp://127.0.0.1")
        heard_alone, reply = asyncio.run(exchange(kernel, port))
    assert not heard_alone  # if it is one day, execute.attentive can go
    assert reply == [b"done"]


def test_running_an_unchanged_notebook_again_changes_no_byte(course, capsys, monkeypatch):
    run = execute.run  # its seconds: a machine that stalls would declare new ones
    monkeypatch.setattr(execute, "run", lambda *given: run(*given) and 5.0)
    assert execute.main([str(course)]) == 0
    assert "outputs stored, exported to built_here.py" in capsys.readouterr().out
    first = course.read_bytes()
    assert execute.main([str(course)]) == 0
    again = course.read_bytes()
    assert (len(again), again == first) == (len(first), True)  # a diff of pictures takes minutes
    assert "unchanged" in capsys.readouterr().out

    notebook = nbformat.read(course, as_version=4)
    time, interact, _, bar, *_ = execute.code_cells(notebook)
    assert [cell.execution_count for cell in execute.code_cells(notebook)] == [1, 2, 3, 4, 5, 6, 7]
    assert "execution" not in interact.metadata
    assert [out.name for out in bar.outputs] == ["stdout"]
    assert interact.outputs[0].data[execute.VIEW].model_id == f"{2:08x}{1:024x}"
    assert {ident[:8] for ident in execute.states(notebook)} == {f"{2:08x}", f"{5:08x}"}
    assert notebook.metadata.language_info.name == "python"
    assert "version" not in notebook.metadata.language_info
    assert f"seconds to run: **{notebook.metadata.course.seconds}**" in notebook.cells[0].source

    execute.code_cells(notebook)[6].source += "  # a change"
    nbformat.write(notebook, course)
    execute.execute(course)
    renewed = nbformat.read(course, as_version=4)
    assert execute.code_cells(renewed)[0].outputs != time.outputs
    assert execute.is_from_this_code(renewed)


def test_a_cell_that_raises_is_named_and_the_file_stays_as_it_was(tmp_path, capsys):
    path = tmp_path / "bad.ipynb"
    nbformat.write(notebook_of("fine = 1", "1 / 0", "never = 1"), path)
    before = path.read_bytes()
    assert execute.main([str(path)]) == 1
    assert path.read_bytes() == before
    said = capsys.readouterr().out
    assert "In code cell [2]" in said
    assert "ZeroDivisionError" in said
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_inside_a_widget_and_a_dead_kernel_are_errors(tmp_path):
    raising = "from ipywidgets import interact\n\n@interact(k=3)\ndef bad(k):\n    1 / 0"
    with pytest.raises(ValueError, match="A widget shows ZeroDivisionError"):
        execute.run(notebook_of(raising), tmp_path)
    with pytest.raises(ValueError, match=r"In code cell \[1\]: Kernel died"):
        execute.run(notebook_of("import os\nos._exit(1)"), tmp_path)


def test_a_notebook_is_named_by_its_path_or_its_chapter_and_nothing_runs_if_one_is_not_there(
    tmp_path, capsys
):
    path = tmp_path / "notes.ipynb"
    path.write_text("some notes", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        execute.main([str(path), "10_nosuch"])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "there is no notebook '10_nosuch'; the chapters are 00_start_here, 01_ista" in err
    assert execute.notebook_named(str(path)) == path
    for name in ("01_ista", "01_ista.ipynb", "homework/hw1_coordinate_descent"):
        assert execute.notebook_named(name).is_file()


def test_no_notebooks_at_all_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(execute, "NOTEBOOKS", tmp_path)
    assert execute.main([]) == 1
    assert "There is no notebook under" in capsys.readouterr().err


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    path.write_text("old", encoding="utf-8")

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(execute.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        execute.write(path, "new")
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["old"]


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def test_streams_are_joined_written_over_and_dropped_when_blank():
    figure = new_output("display_data", data={"text/plain": "a figure"})
    outputs = [
        stream("one\n"),
        stream("\r 50%", "stderr"),
        stream("two\n"),
        figure,
        stream("\r     \r", "stderr"),
        stream("3 %\r99 %\n"),
    ]
    assert settled(outputs) == [stream("one\ntwo\n"), figure, stream("99 %\n")]


@pytest.mark.parametrize(
    ("measured", "declared"),
    [(1, 5), (41, 60), (89, 60), (39, 40), (93, 95)],
)
def test_declared_seconds_change_only_when_measured_far_from_them(measured, declared):
    notebook = notebook_of("x = 1", header=HEADER)
    on_file = 5 if measured == 1 else 60
    notebook.metadata.course = nbformat.from_dict(
        {"code": execute.code_hash(notebook), "seconds": on_file, "calibrated": 7}
    )
    execute.declare(notebook, measured)
    assert notebook.metadata.course.seconds == declared
    assert notebook.cells[0].source.endswith(f"seconds to run: **{declared}**")
    assert (notebook.metadata.course.calibrated == 7) == (declared == on_file)


def test_declared_seconds_are_measured_anew_when_code_changed():
    notebook = notebook_of("x = 1", header=HEADER)
    notebook.metadata.course = nbformat.from_dict({"code": "old", "seconds": 60, "calibrated": 7})
    execute.declare(notebook, 52)
    assert notebook.metadata.course == {
        "code": execute.code_hash(notebook),
        "seconds": 50,
        "calibrated": 2600,
    }


def test_the_hash_follows_code_and_not_text():
    one, other = notebook_of("x = 1", header="# One"), notebook_of("x = 1", header="# Other")
    assert execute.code_hash(one) == execute.code_hash(other)
    assert execute.code_hash(one) != execute.code_hash(notebook_of("x = 2"))
    assert execute.code_hash(notebook_of("x", "y")) != execute.code_hash(notebook_of("x\ny"))


def test_an_export_needs_no_git_and_no_configuration(course, monkeypatch):
    lib = course.parents[1] / "course_utils" / "built"
    here = execute.export(course, lib).read_bytes()
    monkeypatch.chdir(course.parent)
    monkeypatch.setenv("PATH", "")
    assert execute.export(course, lib).read_bytes() == here
    assert [file.name for file in lib.iterdir()] == ["built_here.py"]
    assert b"File to edit: ../../notebooks/01_noisy.ipynb" in here
    assert b'__all__ = [\n    "double",\n]' in here


def test_an_export_into_no_module_says_what_is_missing(tmp_path):
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook_of("#| export\nx = 1"), path)
    with pytest.raises(ValueError, match=r"add a cell `#\| default_exp NAME`"):
        execute.export(path, tmp_path)
    nbformat.write(notebook_of("x = 1"), path)
    assert execute.export(path, tmp_path) is None


def test_calibration_is_a_time_and_leaves_threads_alone():
    threads = torch.get_num_threads()
    assert 0 < CALIBRATION() < 10
    assert torch.get_num_threads() == threads


def test_the_kernel_leaves_half_of_the_cores_to_others_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    notebook = notebook_of("import os\nprint(os.environ['OMP_NUM_THREADS'])")
    execute.run(notebook, tmp_path)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert notebook.cells[1].outputs[0].text == f"{max(1, cores // 2)}\n"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    execute.run(notebook, tmp_path)
    assert notebook.cells[1].outputs[0].text == "3\n"
