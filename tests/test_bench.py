"""Each kind of `course.py bench` runs, at a tiny size, and its table has the rows it promises."""

import math
import re

import pytest
import torch

from course_utils.built.local import Sheet
from course_utils.reproduce import bench, drsae

NUMBER = re.compile(r"(?<![\w.²])\d+(?:\.\d+)?(?:e[+-]\d+)?(?![\w.])|\bnan\b")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Other tests may be at work, and two threads of two processes wait for each other."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(bench, "THREADS", 1)
    yield
    torch.set_num_threads(threads)


def rows(printed: str, *names: str) -> list[list[float]]:
    """The numbers in the first line that begins with each name; all finite and above zero."""
    lines = [next(li for li in printed.splitlines() if li.strip().startswith(n)) for n in names]
    found = [
        [float(number) for number in NUMBER.findall(line.strip().removeprefix(name))]
        for line, name in zip(lines, names, strict=True)
    ]
    assert all(math.isfinite(number) and number > 0 for row in found for number in row), lines
    return found


@pytest.mark.slow
def test_speeds_brings_every_method_to_the_goal_but_lars_which_has_no_tolerance(capsys):
    assert bench.speeds(20) == 0
    printed = capsys.readouterr().out
    for part in printed.split("λ = ")[1:]:
        methods = ("sparse_codes (greedy FISTA, float32)", "Lasso(precompute=...) ")
        for tolerance, seconds, gap, times in rows(part, *methods):
            assert gap <= bench.GOAL
            assert 1e-9 <= tolerance <= 1e-3
            assert times * rows(part, methods[0])[0][1] == pytest.approx(seconds, rel=0.02)
        assert part.count("n_jobs=2") == 3
    assert printed.count("λ = ") == 4


def test_million_counts_patches_and_active_units(capsys):
    assert bench.million(400, block=100) == 0
    printed = capsys.readouterr().out
    active, peak = re.search(
        r"400 patches in \d+ s, ([\d.]+) active units each\n.*: ([\d.]+) GiB", printed
    ).groups()
    assert 1 < float(active) < 256
    assert 0.05 < float(peak) < 64


def test_training_has_every_network_beside_its_bare_products(capsys):
    assert bench.training(batch=4, depth=2) == 0
    names = ("lista ", "lista_thetas", "lista_untied", "lista_cp")
    for step, bare, ratio in rows(capsys.readouterr().out, *names):
        assert ratio == pytest.approx(step / bare, rel=0.02)


def test_mnist_has_an_epoch_of_every_network(capsys):
    assert bench.mnist_epoch(count=240, repeats=1) == 0
    for epoch, bare, ratio in rows(capsys.readouterr().out, *drsae.NETS):
        assert ratio == pytest.approx(epoch / bare, rel=0.02)


def test_encoder_saves_less_than_many_steps_and_more_than_none(capsys):
    assert bench.encoder(count=60) == 0
    names = [f"inference, {steps} steps" for steps in (1, 2, 3, 5, 10)]
    guess, *steps = rows(capsys.readouterr().out, "the guess ", *names)
    saved = [row[-1] for row in steps]
    assert saved == sorted(saved)
    assert 10 < guess[-1] < saved[-1] < 100.1


def test_local_has_every_operation_three_ways_and_how_a_step_grows(capsys):
    sheet = Sheet(image=24, field=9, per=1, tile=(4, 4))
    assert bench.local_layers(2, sheet, images=(16, 24), side=60) == 0
    printed = capsys.readouterr().out
    operations = rows(printed, "analysis", "synthesis", "gradient")
    (together,) = rows(printed, "together")
    assert together[0] == pytest.approx(sum(row[0] for row in operations), rel=0.02)
    assert re.match(r"full size: [\d.e-]+ s per training step, peak memory", printed)
    assert len(rows(printed, "64 ", "256 ")) == 2
    assert "seconds grow as units to the power" in printed


def test_an_unknown_kind_is_told_what_there_is(capsys):
    with pytest.raises(SystemExit) as stopped:
        bench.main(["nosuch"])
    assert stopped.value.code == 2
    assert "million, training, mnist, encoder, local" in capsys.readouterr().err.replace("'", "")
