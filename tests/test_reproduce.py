"""Full-size runs: stored seed by seed, gone on with, never half written."""

import json
import os
import threading
import time
from functools import partial

import numpy as np
import pytest
import torch
import toy_run

from course_utils import reproduce
from course_utils.built import ista
from course_utils.built.lista import conditioned, nmse_db
from course_utils.built.lista import synthetic_pairs as lista_pairs
from course_utils.data import digits, gaussian_dictionary, normal, results, weights
from course_utils.reproduce import Part, lista, lista_nulls, record
from course_utils.reproduce.__main__ import RUNS, main


def run(settings, seed):
    return {"error": seed + 0.5}, {"Wd": torch.full((2, 2), float(seed))}


def stored(folder):
    return json.loads((folder / "toy.json").read_text(encoding="utf-8"))


def test_seeds_are_stored_in_order_with_the_weights_of_the_first(tmp_path):
    reproduce.reproduce("toy", {"all": Part(run, 2)}, {"m": 2}, tmp_path)
    assert stored(tmp_path)["settings"] == {"m": 2, "seeds": [0, 1]}
    assert stored(tmp_path)["figures"]["error"]["values"] == [0.5, 1.5]
    assert len(stored(tmp_path)["figures"]["error"]["seconds"]) == 2
    assert np.load(tmp_path / "toy.npz")["Wd"].tolist() == [[0, 0], [0, 0]]


def test_a_stopped_run_goes_on_with_the_seed_that_is_missing(tmp_path):
    def stops(settings, seed):
        if seed == 1:
            raise KeyboardInterrupt
        return run(settings, seed)

    with pytest.raises(KeyboardInterrupt):
        reproduce.reproduce("toy", {"all": Part(stops, 3)}, {"m": 2}, tmp_path)
    assert stored(tmp_path)["settings"]["seeds"] == [0]
    ran = []

    def notes(settings, seed):
        ran.append(seed)
        return run(settings, seed)

    again = Part(notes, 3)
    reproduce.reproduce("toy", {"all": again}, {"m": 2}, tmp_path)
    assert ran == [1, 2]
    assert stored(tmp_path)["figures"]["error"]["values"] == [0.5, 1.5, 2.5]


def test_other_settings_begin_anew(tmp_path):
    reproduce.reproduce("toy", {"all": Part(run, 2)}, {"m": 2}, tmp_path)
    reproduce.reproduce("toy", {"all": Part(run, 2)}, {"m": 3}, tmp_path, most=1)
    assert stored(tmp_path)["settings"] == {"m": 3, "seeds": [0]}


def test_other_settings_that_are_stopped_before_their_first_seed_lose_nothing(tmp_path):
    def stops(settings, seed):
        raise KeyboardInterrupt

    reproduce.reproduce("toy", {"all": Part(run, 2)}, {"m": 2}, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        reproduce.reproduce("toy", {"all": Part(stops, 2)}, {"m": 3}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("broken", ["savez_compressed", "replace"])
def test_other_settings_that_cannot_be_stored_leave_figures_and_weights_as_they_were(
    tmp_path, monkeypatch, broken
):
    def full(*_, **__):
        raise OSError("disk full")

    reproduce.reproduce("toy", {"all": Part(run, 2)}, {"m": 2}, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(np if broken == "savez_compressed" else os, broken, full)
    with pytest.raises(OSError, match="disk full"):
        reproduce.reproduce("toy", {"all": Part(run, 2)}, {"m": 3}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_weights_of_other_settings_do_not_stay_beside_new_figures(tmp_path):
    def bare(settings, seed):
        return {"error": 1.0}, {}

    reproduce.reproduce("toy", {"all": Part(run, 1)}, {"m": 2}, tmp_path)
    reproduce.reproduce("toy", {"all": Part(bare, 1)}, {"m": 3}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["toy.json"]


def a_link(path):
    path.symlink_to("nowhere")


THEIRS = {  # what lies where a run would be stored
    "other JSON": ("toy.json", '{"a": 1}'),
    "a list": ("toy.json", "[1]"),
    "a text": ("toy.json", "dear diary"),
    "another run": ("toy.json", '{"name": "other", "settings": {}, "made": [], "figures": {}}'),
    "weights alone": ("toy.npz", "my weights"),
    "a link": ("toy.json", None),
}


@pytest.mark.parametrize("kind", THEIRS)
def test_what_no_run_stored_stays_as_it_is(tmp_path, monkeypatch, capsys, kind):
    name, text = THEIRS[kind]
    place = tmp_path / name
    a_link(place) if text is None else place.write_text(text)
    monkeypatch.setattr(
        "course_utils.reproduce.__main__.RUNS", {"toy": ({"all": Part(run, 1)}, {})}
    )
    assert main(["toy", "--to", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"{place} " in said
    assert "move it away, or name another folder" in said
    assert list(tmp_path.iterdir()) == [place]
    assert place.is_symlink() or place.read_text() == text


def test_other_weights_beside_a_run_stay(tmp_path):
    reproduce.reproduce("toy", {"all": Part(run, 1)}, {"m": 2}, tmp_path)
    (tmp_path / "toy.npz").write_text("my weights")
    with pytest.raises(ValueError, match="are no run of toy"):
        reproduce.reproduce("toy", {"all": Part(run, 1)}, {"m": 3}, tmp_path)
    assert (tmp_path / "toy.npz").read_text() == "my weights"


def test_a_seed_runs_with_the_settings_that_are_stored(tmp_path):
    def shows(settings, seed):
        return {"m": settings["m"]}, {}

    reproduce.reproduce("toy", {"all": Part(shows, 1)}, {"m": 7}, tmp_path)
    assert stored(tmp_path)["figures"]["m"]["values"] == [stored(tmp_path)["settings"]["m"]] == [7]


def test_a_figure_that_a_seed_leaves_out_is_null_there_and_shifts_no_other(tmp_path):
    def some(settings, seed):
        return {"always": seed} | ({"odd": seed} if seed % 2 else {}), {}

    reproduce.reproduce("toy", {"all": Part(some, 4)}, {}, tmp_path)
    figures = stored(tmp_path)["figures"]
    assert figures["always"]["values"] == [0, 1, 2, 3]
    assert figures["odd"]["values"] == [None, 1, None, 3]
    assert [s is None for s in figures["odd"]["seconds"]] == [True, False, True, False]


def test_who_made_a_seed_is_never_rewritten(tmp_path, monkeypatch):
    for seeds, commit in ((1, "aaaaaaa"), (2, "bbbbbbb")):
        monkeypatch.setattr(record, "commit", lambda commit=commit: commit)
        reproduce.reproduce("toy", {"all": Part(run, 2)}, {}, tmp_path, most=seeds)
    made = stored(tmp_path)["made"]
    assert [(one["seed"], one["commit"]) for one in made] == [(0, "aaaaaaa"), (1, "bbbbbbb")]
    assert {"part", "seed", "commit", "code", "date", "machine"} == made[0].keys()


def test_changes_that_no_commit_holds_are_not_stored_with_the_course(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("course_utils.reproduce.__main__.shared", lambda _: tmp_path / "course")
    monkeypatch.setattr("course_utils.reproduce.__main__.commit", lambda: "abcdef0-dirty")
    toy = {"toy": ({"all": Part(run, 1)}, {})}
    monkeypatch.setattr("course_utils.reproduce.__main__.RUNS", toy)
    assert main(["toy"]) == 2
    assert "has changes that no commit holds" in capsys.readouterr().err
    assert not (tmp_path / "course").exists()
    assert main(["toy", "--to", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "toy.json").is_file()


def test_parts_have_seeds_of_their_own_and_share_a_file(tmp_path):
    def other(settings, seed):
        return {"share": seed + 10}, {"S": torch.ones(3)}

    parts = {"first": Part(run, 1), "second": Part(other, 2)}
    reproduce.reproduce("toy", parts, {}, tmp_path, most=1)
    reproduce.reproduce("toy", parts, {}, tmp_path)
    held = stored(tmp_path)
    assert reproduce.done(held) == {"first": [0], "second": [0, 1]}
    assert held["settings"]["seeds"] == [0, 1]
    assert held["figures"]["error"]["values"] == [0.5, None]
    assert held["figures"]["share"]["values"] == [10, 11]
    assert set(np.load(tmp_path / "toy.npz")) == {"Wd", "S"}


def test_seeds_that_end_in_any_order_are_stored_in_theirs(tmp_path):
    def backwards(tasks):
        for name, task in reversed(list(tasks)):
            yield name, task()
            assert reproduce.done(stored(tmp_path))["all"][-1] == 2

    reproduce.reproduce("toy", {"all": Part(run, 3)}, {}, tmp_path, runner=backwards)
    assert reproduce.done(stored(tmp_path)) == {"all": [0, 1, 2]}
    assert stored(tmp_path)["figures"]["error"]["values"] == [0.5, 1.5, 2.5]
    assert np.load(tmp_path / "toy.npz")["Wd"].tolist() == [[0, 0], [0, 0]]


def test_on_a_cluster_a_seed_that_fails_is_named_and_costs_no_other(tmp_path):
    def some(tasks):
        for (key, seed), task in tasks:
            yield (key, seed), ValueError("too steep") if seed == 1 else task()

    with pytest.raises(RuntimeError, match=r"1 seeds failed\nall, seed 1: ValueError.*too steep"):
        reproduce.reproduce("toy", {"all": Part(run, 3)}, {}, tmp_path, runner=some)
    assert reproduce.done(stored(tmp_path)) == {"all": [0, 2]}
    reproduce.reproduce("toy", {"all": Part(run, 3)}, {}, tmp_path)
    assert stored(tmp_path)["figures"]["error"]["values"] == [0.5, 1.5, 2.5]


@pytest.mark.slow
def test_two_workers_of_dask_one_killed_run_every_seed_once(tmp_path, two_workers):
    address, workers = two_workers
    (tmp_path / "results").mkdir()
    parts = {"all": Part(partial(toy_run.slow_seed, str(tmp_path / "begun")), 6)}
    runner = partial(reproduce.run_on_cluster, address)
    killer = threading.Thread(target=_kill_once, args=(workers[0], tmp_path / "results/toy.json"))
    killer.start()
    reproduce.reproduce("toy", parts, {}, tmp_path / "results", runner=runner)
    killer.join()
    held = stored(tmp_path / "results")
    assert reproduce.done(held) == {"all": [0, 1, 2, 3, 4, 5]}
    assert held["figures"]["error"]["values"] == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    begun = (tmp_path / "begun").read_text().split()
    assert len(begun) > 6, "the killed worker's seed begins anew"


def _kill_once(worker, stored):
    """Kill a worker when the first seed is stored and it is at work on another."""
    deadline = time.monotonic() + 100
    while not stored.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    worker.kill()


@pytest.mark.slow
def test_a_cluster_that_no_worker_joins_gets_one_sentence(two_workers, monkeypatch):
    address, workers = two_workers
    for worker in workers:
        worker.kill()
        worker.wait()
    monkeypatch.setattr("course_utils.tools.cluster.PATIENCE", 3)
    with pytest.raises(OSError, match="has no workers: start `dask worker` first"):
        list(reproduce.run_on_cluster(address, iter([])))


def test_a_cluster_that_does_not_answer_gets_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("course_utils.reproduce.__main__.shared", lambda _: tmp_path)
    monkeypatch.setattr("course_utils.reproduce.__main__.commit", lambda: "abcdef0")
    monkeypatch.setattr("distributed.Client.__init__", _no_answer)
    assert main(["ista", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert capsys.readouterr().err == "no answer\n"


def _no_answer(*_, **__):
    raise OSError("no answer")


# of a reader's own photographs, and of runs of many hours on which no chapter leans yet
NOT_STORED = {
    "local_own",
    "drsae_paper",
    "drsae_null",
    "drsae_deciding",
    "drsae_deciding_half",
}


@pytest.mark.parametrize("name", sorted(RUNS.keys() - NOT_STORED))
def test_what_is_stored_has_one_value_per_seed_and_the_settings_of_the_code(name):
    held = results(name)
    assert held["name"] == name
    assert {**held["settings"], "seeds": None} == {**RUNS[name][1], "seeds": None}
    for figure in held["figures"].values():
        assert len(figure["values"]) == len(figure["seconds"]) == len(held["settings"]["seeds"])
    assert reproduce.done(held) == {
        key: list(range(part.seeds)) for key, part in RUNS[name][0].items()
    }


def test_the_stored_filters_are_unit_columns_and_code_as_well_as_was_noted():
    Wd = weights("ista")["patches"]
    assert torch.allclose(Wd.norm(dim=0), torch.ones(256), atol=1e-3)
    strokes, noted = weights("ista")["digits"], results("ista")["figures"]["energy.digits"]
    x = digits().x
    z = ista.fista(x, strokes, 0.05, 1000, prox=ista.shrink_nonneg)
    E = ista.energy(x, z, strokes, 0.05).mean().item()
    assert pytest.approx(noted["values"][0], rel=5e-3) == E  # weights are stored in float16


def test_the_live_claims_of_chapter_1_hold_for_ten_seeds():
    figures = {name: f["values"] for name, f in results("ista_live")["figures"].items()}
    assert len(figures["energy_ratio"]) >= 10
    assert max(figures["energy_ratio"]) < 0.8
    assert min(figures["selectivity.photographs"]) > 0.6
    assert max(figures["selectivity.random_phases"]) < 0.35
    assert max(figures["ink_ratio"]) < 0.5


@pytest.mark.parametrize("seeds", ["0", "-1", "two"])
def test_a_number_of_seeds_that_cannot_be_is_refused(seeds, capsys):
    with pytest.raises(SystemExit):
        main(["ista", "--seeds", seeds])
    assert "--seeds" in capsys.readouterr().err


def test_figures_are_stored_to_six_digits_counts_whole_and_what_is_not_finite_as_null():
    values = (1 / 3, 2_000_016, np.nan, np.inf, np.float32(7.0))
    assert [reproduce._rounded(value) for value in values] == [0.333333, 2_000_016, None, None, 7]


@pytest.mark.parametrize("name", ["lista_live", "drsae_live", "noise_live"])
def test_every_claim_of_the_chapter_holds_for_ten_seeds(name):
    figures = results(name)["figures"]
    assert figures["broken_claims"]["values"] == [0] * 10


@pytest.mark.parametrize("matrix", lista.MATRICES.values(), ids=lista.MATRICES)
@pytest.mark.parametrize("noise", ["snr40", "snr20"])
def test_at_full_size_nothing_beats_the_oracle(matrix, noise):
    at, rows = f"nmse_db.{matrix}{noise}.", {}
    runs = ("lista", "lista_conditioned", "lista_rivals")  # the last has the oracle in float64
    for run in runs:  # seed by seed: each has a dictionary of its own
        figures = results(run)["figures"]
        rows |= {k.removeprefix(at): v["values"] for k, v in figures.items() if k.startswith(at)}
    oracle = rows.pop("oracle")
    assert len(oracle) == 3
    for values in rows.values():
        assert all(v is None or v > o for v, o in zip(values, oracle, strict=False))


def test_counts_at_full_size_are_those_of_the_networks():
    figures = results("lista")["figures"] | results("lista_rivals")["figures"]
    counts = {"alista": 32, "lista_cp": 16 * (250 * 500 + 1), "learned_amp": 80}
    for name, count in counts.items():
        assert set(figures[f"parameters.{name}"]["values"]) == {count}


def test_an_unknown_run_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["nosuch"])
    assert "nosuch" in capsys.readouterr().err


@pytest.fixture
def small_benchmark(monkeypatch):
    """The benchmark of chapter 2 in small: 40 x 80, 6 layers, one or two steps of training."""
    plan = {name: [2, 1, *rates] for name, (_, _, *rates) in lista.LISTA["plan"].items()}
    small = {"size": [40, 80], "depth": 6, "test": 200, "grid": [0.2, 0.1], "plan": plan}
    monkeypatch.setattr(lista, "LISTA", lista.LISTA | small)


def test_the_benchmark_has_every_row_at_every_noise_and_the_oracle_is_best(small_benchmark):
    figures, _ = lista.lista_seed(lista.LISTA, 0)
    loops = {"ista", "fista", "lasso_limit", "oracle"}
    for noise in ("noiseless", "snr40", "snr20"):
        rows = {k.split(".")[2]: v for k, v in figures.items() if k.startswith(f"nmse_db.{noise}.")}
        assert set(rows) == loops | set(lista.LISTA["plan"])
        assert min(rows, key=rows.get) == "oracle"
        assert rows["lasso_limit"] < rows["fista"] < rows["ista"] < 0
    assert figures["parameters.alista"] == 12


def test_the_benchmark_is_the_same_twice(small_benchmark):
    first, second = (lista.lista_seed(lista.LISTA, 1)[0] for _ in range(2))
    assert first == pytest.approx(second, abs=1e-3)


@pytest.fixture
def small_rivals():
    """The rivals' benchmark in small, and two steps of training."""
    small = {"size": [40, 80], "depth": 6, "test": 60, "valid": 30}
    return lista.RIVALS | small | {"learned_amp": {"learned_amp": 2}}


@pytest.mark.parametrize("matrix", lista.MATRICES)
def test_every_rival_is_measured_at_every_noise_and_the_oracle_is_best(small_rivals, matrix):
    figures = lista.rivals_seed(matrix, small_rivals, 0)[0]
    figures |= lista.learned_amp_seed(matrix, small_rivals, 0)[0]
    named = {"ista", "fista", "amp", "amp_bayes", "vamp_bayes", "omp", "lasso_limit", "debiased"}
    for noise in small_rivals["snr_db"]:
        at = f"nmse_db.{lista.MATRICES[matrix]}{noise}."
        rows = {k.removeprefix(at): v for k, v in figures.items() if k.startswith(at)}
        assert set(rows) == named | {"oracle", "learned_amp"}
        assert min(rows, key=rows.get) == "oracle"
        assert rows["lasso_limit"] < rows["fista"] < rows["ista"] < 0
    assert figures["parameters.learned_amp"] == 30


@pytest.mark.parametrize("tau2", [0.01, 0.3])
def test_the_posterior_mean_is_that_of_the_integral_and_its_slope_a_difference(tau2):
    v = torch.linspace(-3, 3, 13, dtype=torch.float64)[None]
    noise = torch.tensor([[tau2]], dtype=torch.float64)
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)[:, None]
    weight = 0.1 * (-(z**2) / 2 - (v - z) ** 2 / (2 * tau2)).exp() / (2 * np.pi) ** 0.5
    silent = 0.9 * (-(v**2) / (2 * tau2)).exp()
    mean = torch.trapezoid(z * weight, z, dim=0) / (torch.trapezoid(weight, z, dim=0) + silent)
    found, slope = lista.posterior_mean(v, noise)
    assert torch.allclose(found, mean, atol=1e-6)
    ahead, behind = (lista.posterior_mean(v + h, noise)[0] for h in (1e-5, -1e-5))
    assert torch.allclose(slope, (ahead - behind) / 2e-5, rtol=1e-4, atol=1e-6)


def test_vector_amp_keeps_its_lead_where_amp_fails():
    random = gaussian_dictionary(100, 200, np.random.default_rng(0))
    hard = conditioned(100, 200, 15, np.random.default_rng(0))
    for Wd, amp_holds in ((random, True), (hard, False)):
        x, z = next(lista_pairs(Wd, 200, np.random.default_rng(1), 30))
        sigma = (z @ Wd.T).std().item() * 10**-1.5
        told, vector = lista.amp_bayes(x, Wd, 16), lista.vamp_bayes(x, Wd, 16, sigma)
        assert nmse_db(vector.float(), z) < -20
        assert (nmse_db(told, z) < -20) == amp_holds


def test_the_nulls_of_chapter_2_are_measured_for_each_level_and_length():
    small = lista_nulls.NULLS | {"size": [40, 80], "test": 40, "valid": 20, "batch": 8}
    small |= {"falling": [[1.0], [0.4, 0.8], [0.8, 1.0]]}
    small |= {"along": small["along"] | {"steps": [2, 3]}}
    small |= {"targets": small["targets"] | {"size": [10, 20], "steps": [1, 2]}}
    falling, _ = lista_nulls.falling_seed(small, 0)
    assert {f"chosen.{noise}.ratio" for noise in small["snr_db"]} <= falling.keys()
    assert falling["nmse_db.noiseless.fista_falling"] < -3
    along, _ = lista_nulls.along_seed(small, 0)
    assert along.keys() == {"nmse_db.along.2", "nmse_db.along.3"}
    assert max(along.values()) < 0
    targets, _ = lista_nulls.targets_seed(small, 0)
    assert targets["targets.minimiser"] < targets["targets.c.1"]


def test_sweeps_of_coordinate_descent_go_down_to_the_minimiser():
    Wd, x = (
        gaussian_dictionary(12, 20, np.random.default_rng(0)),
        normal(np.random.default_rng(1), 5, 12).float(),
    )
    low = [ista.energy(x, lista.sweeps(x, Wd, 0.1, k), Wd, 0.1).mean().item() for k in (1, 3, 9)]
    assert low[0] > low[1] > low[2]
    exact = ista.sparse_codes(x, Wd, 0.1)
    assert torch.allclose(lista.sweeps(x, Wd, 0.1, 2000), exact, atol=1e-2)


@pytest.mark.parametrize("name", lista.SHORT_DEEP)
def test_what_a_layer_is_worth_is_measured_for_each_depth(name):
    small = lista.DEPTH | {"patches": 200, "layers": [1, 3], "test": 30, "steps": 3}
    figures, _ = lista.depth_seed(name, small, 0)
    assert figures[f"above_percent.{name}.3"] < figures[f"above_percent.{name}.1"]
    assert figures[f"worth.{name}.1"] >= 1
    learned = [key for key in figures if key.startswith("step_times_L.")]
    assert len(learned) == (4 if name.startswith("step") else 0)
    assert f"at_60.{name}.3" in figures
