"""The command line of the full-size runs."""

import argparse
import sys
from functools import partial
from pathlib import Path

from course_utils.data import shared
from course_utils.reproduce import (
    Part,
    __doc__,
    drsae,
    drsae_null,
    drsae_paper,
    groups,
    ista,
    lista,
    lista_nulls,
    live,
    local,
    noise,
    on_file,
    reproduce,
    run_locally,
    run_on_cluster,
    speed,
)
from course_utils.reproduce.record import commit
from course_utils.reproduce.stale import page, stale
from course_utils.tools.delivery import resolved
from course_utils.tools.files import NOTEBOOKS, RESULTS, write

# chapter 3's ablations, and linear classifiers beside them
_DECIDING = {name: Part(partial(drsae.ablation_seed, name), 5) for name in drsae.DECIDING} | {
    name: Part(partial(drsae.probe_seed, name), 5) for name in ("pixels", "frozen")
}
_DECIDED = drsae.PAPER | drsae.SMALL | {"ablations": drsae.DECIDING, "probes": drsae.PROBES}
# name: its parts, and the settings whose change makes stored figures worthless
RUNS = {
    "ista": ({"all": Part(ista.ista_seed, 3)}, ista.ISTA),
    "ista_live": live.part(ista, "01_ista.ipynb"),
    "speed": ({"all": Part(speed.speed_seed, 3)}, speed.SPEED),
    "lista": ({"all": Part(lista.lista_seed, 3)}, lista.LISTA),
    "lista_half": ({"all": Part(lista.lista_seed, 3)}, lista.LISTA_HALF),
    "lista_conditioned": ({"all": Part(lista.lista_seed, 3)}, lista.LISTA_CONDITIONED),
    "lista_conditioned_half": (
        {"all": Part(lista.lista_seed, 3)},
        lista.LISTA_CONDITIONED_HALF,
    ),
    "lista_rivals": (
        {f"learned_amp.{at}": Part(partial(lista.learned_amp_seed, at), 3) for at in lista.MATRICES}
        | {f"rivals.{at}": Part(partial(lista.rivals_seed, at), 3) for at in lista.MATRICES},
        lista.RIVALS,
    ),
    "lista_nulls": (
        {
            "falling": Part(lista_nulls.falling_seed, 3),
            "along": Part(lista_nulls.along_seed, 3),
            "targets": Part(lista_nulls.targets_seed, 3),
        },
        lista_nulls.NULLS,
    ),
    "lista_depth": (
        {name: Part(partial(lista.depth_seed, name), 3) for name in lista.SHORT_DEEP},
        lista.DEPTH,
    ),
    "lista_tuned": ({"all": Part(lista.tuned_seed, 3)}, lista.DEPTH | {"tuned": lista.TUNED}),
    "lista_depth_longer": (
        {name: Part(partial(lista.depth_seed, name), 3) for name in lista.DEEP},
        lista.DEPTH_LONGER,
    ),
    "lista_live": live.part(lista, "02_lista.ipynb"),
    "drsae": (
        {name: Part(partial(drsae.paper_seed, name), 5) for name in drsae.NETS},
        drsae.PAPER | {"nets": drsae.NETS},
    ),
    "drsae_paper": (
        {
            name: Part(partial(drsae_paper.recipe_seed, name), 5)
            for name in drsae_paper.RECIPE["nets"]
        },
        drsae_paper.RECIPE,
    ),
    "drsae_null": ({"200x11": Part(drsae_null.null_seed, 3)}, drsae_null.NULL),
    "drsae_ablation": (
        {name: Part(partial(drsae.ablation_seed, name), 3) for name in drsae.ABLATIONS},
        drsae.PAPER | drsae.SMALL | {"ablations": drsae.ABLATIONS},
    ),
    "drsae_deciding": (_DECIDING, _DECIDED),
    "drsae_deciding_half": (_DECIDING, _DECIDED | drsae.HALF),
    "drsae_descent": (
        {name: Part(partial(drsae.descent_seed, name), 3) for name in ("200x11", "400x11")},
        drsae.PAPER | drsae.DESCENT | {"nets": drsae.NETS},
    ),
    "drsae_live": live.part(drsae, "03_drsae.ipynb"),
    "groups": (
        {
            "map": Part(groups.map_seed, 3),
            "mnist": Part(groups.mnist_seed, 3),
            "few_labels": Part(groups.few_labels_seed, 3),
        },
        {"map": groups.MAP, "patches": groups.PATCHES, "mnist": groups.MNIST},
    ),
    "groups_live": live.part(groups, "04_group_sparsity.ipynb"),
    "groups_sweep": (
        {name: Part(partial(groups.sweep_seed, name), 3) for name in groups.SWEEPS},
        groups.SWEEP | {"sweeps": groups.SWEEPS, "patches": groups.PATCHES},
    ),
    "groups_longer": (
        {name: Part(partial(groups.sweep_seed, name), 3) for name in groups.SWEEPS},
        groups.LONGER | {"sweeps": groups.SWEEPS, "patches": groups.PATCHES},
    ),
    "groups_overlap": (
        {name: Part(partial(groups.overlap_seed, name), 3) for name in groups.OVERLAPS},
        groups.OVERLAP | {"overlaps": groups.OVERLAPS, "patches": groups.PATCHES},
    ),
    "groups_rivals": ({"all": Part(groups.rivals_seed, 3)}, groups.RIVALS),
    "local": (
        {"map": Part(local.map_seed, 3)}
        | {name: Part(partial(local.control_seed, name), 3) for name in local.CONTROLS},
        local.LOCAL | {"controls": local.CONTROLS},
    ),
    "local_film": ({"all": Part(local.film_seed, 1)}, local.FILM),
    "local_equal": (
        {name: Part(partial(local.equal_seed, name), 3) for name in local.EQUALS},
        local.EQUAL,
    ),
    "local_live": live.part(local, "05_local_filters.ipynb"),
    "noise": (
        {
            f"{model}.{labels}": Part(partial(noise.label_seed, model, labels), 5)
            for model, labels in noise.RUNS
        }
        | {
            f"rectified.{labels}": Part(partial(noise.rectified_seed, labels), 5)
            for labels in noise.LABELS
        },
        noise.NOISE | {"choices": noise.CHOICES, "chosen": noise.CHOSEN},
    ),
    "noise_choice": (
        {
            f"{model}.{labels}": Part(partial(noise.choice_seed, model, labels), 1)
            for model, labels in noise.RUNS
        },
        noise.NOISE | {"choices": noise.CHOICES},
    ),
    "noise_bits": (
        {"trap": Part(noise.trap_seed, 3)}
        | {name: Part(partial(noise.sparse_seed, name), 3) for name in noise.BITS["sparse"]}
        | {
            f"{name}.{way}.{beta}": Part(partial(noise.noisy_seed, name, way, beta), 3)
            for name, way, beta in noise.BILLS
        },
        noise.BITS,
    ),
    "noise_live": live.part(noise, "06_noise_or_sparsity.ipynb"),
    # learns from the reader's photographs, so there is nothing to store with the course
    "local_own": (
        {"map": Part(partial(local.map_seed, source=local.own_photographs), 1)},
        local.LOCAL,
    ),
}


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; 0 when its seeds are stored; 2, and why, if not."""
    parser = argparse.ArgumentParser(prog="course.py reproduce", description=__doc__)
    parser.add_argument("name", nargs="?", choices=RUNS, help="which full-size run")
    parser.add_argument(
        "--stale", action="store_true", help="write the list of what is older than its code"
    )
    parser.add_argument("--seeds", type=int, help="at most so many seeds, counted from 0")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="store in this folder instead")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run on this Dask cluster")
    options = parser.parse_args(arguments)
    if options.stale:
        write(STALE, page(stale(RUNS, RESULTS)))
        print(STALE)
        return 0
    if options.name is None:
        parser.error(f"name a run: {', '.join(RUNS)}")
    if options.seeds is not None and options.seeds < 1:
        parser.error(f"--seeds must be 1 or more, not {options.seeds}")
    if options.to is None and commit().endswith("-dirty"):
        print(DIRTY, file=sys.stderr)
        return 2
    parts, settings = RUNS[options.name]
    runner = partial(run_on_cluster, options.scheduler) if options.scheduler else run_locally
    try:
        folder = resolved(options.to or shared("results"))
        folder.mkdir(parents=True, exist_ok=True)
        on_file(folder / f"{options.name}.json")
    except (OSError, ValueError) as in_the_way:
        print(in_the_way, file=sys.stderr)
        return 2
    try:
        reproduce(options.name, parts, settings, folder, options.seeds, runner)
    except (OSError, RuntimeError) as stopped:
        if not options.scheduler:
            raise
        print(stopped, file=sys.stderr)
        return 2
    return 0


STALE = NOTEBOOKS / "book" / "stale.md"
DIRTY = (
    "The course's code has changes that no commit holds, so nobody could tell later what made these"
    " results: commit them first, or name a folder of your own with --to FOLDER."
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
