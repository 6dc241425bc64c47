"""The command line of the full-size runs."""

import argparse
import sys
from functools import partial

from course_utils.data import shared
from course_utils.reproduce import (
    Part,
    __doc__,
    drsae,
    groups,
    here,
    ista,
    lista,
    local,
    noise,
    on_cluster,
    reproduce,
)

# name: its parts, and the settings whose change makes stored figures worthless
RUNS = {
    "ista": ({"all": Part(ista.ista_seed, 3)}, ista.ISTA),
    "ista_live": ({"all": Part(ista.ista_live_seed, 10)}, ista.LIVE),
    "lista": ({"all": Part(lista.lista_seed, 3)}, lista.LISTA),
    "lista_patches": ({"all": Part(lista.lista_patches_seed, 3)}, lista.LISTA_PATCHES),
    "lista_live": ({"all": Part(lista.lista_live_seed, 10)}, lista.LISTA_LIVE),
    "drsae": (
        {name: Part(partial(drsae.paper_seed, name), 5) for name in drsae.NETS},
        drsae.PAPER | {"nets": drsae.NETS},
    ),
    "drsae_ablation": (
        {name: Part(partial(drsae.ablation_seed, name), 3) for name in drsae.ABLATIONS},
        drsae.PAPER | drsae.SMALL | {"ablations": drsae.ABLATIONS},
    ),
    "drsae_descent": (
        {name: Part(partial(drsae.descent_seed, name), 3) for name in ("200x11", "400x11")},
        drsae.PAPER | drsae.DESCENT,
    ),
    "drsae_live": ({"all": Part(drsae.live_seed, 10)}, drsae.LIVE),
    "groups": (
        {
            "map": Part(groups.map_seed, 3),
            "mnist": Part(groups.mnist_seed, 3),
            "few_labels": Part(groups.few_labels_seed, 3),
        },
        {"map": groups.MAP, "patches": groups.PATCHES, "mnist": groups.MNIST},
    ),
    "groups_live": ({"all": Part(groups.live_seed, 10)}, groups.LIVE),
    "groups_sweep": (
        {name: Part(partial(groups.sweep_seed, groups.SWEEP, name), 3) for name in groups.SWEEPS},
        groups.SWEEP | {"sweeps": groups.SWEEPS, "patches": groups.PATCHES},
    ),
    "groups_longer": (
        {name: Part(partial(groups.sweep_seed, groups.LONGER, name), 3) for name in groups.SWEEPS},
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
    "local_live": ({"all": Part(local.live_seed, 10)}, local.LIVE),
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
        {
            "trap": Part(noise.trap_seed, 3),
            "digits": Part(partial(noise.bits_seed, "digits"), 3),
            "patches": Part(partial(noise.bits_seed, "patches"), 3),
        },
        noise.BITS,
    ),
    "noise_live": ({"all": Part(noise.live_seed, 10)}, noise.LIVE),
    # learns from the reader's photographs, so there is nothing to store with the course
    "local_own": (
        {"map": Part(partial(local.map_seed, source=local.own_photographs), 1)},
        local.LOCAL,
    ),
}


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; 0 when its seeds are stored; 2, and why, if not."""
    parser = argparse.ArgumentParser(prog="course.py reproduce", description=__doc__)
    parser.add_argument("name", choices=RUNS, help="which full-size run")
    parser.add_argument("--seeds", type=int, help="at most so many seeds, counted from 0")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run on this Dask cluster")
    options = parser.parse_args(arguments)
    if options.seeds is not None and options.seeds < 1:
        parser.error(f"--seeds must be 1 or more, not {options.seeds}")
    parts, settings = RUNS[options.name]
    ran = partial(on_cluster, options.scheduler) if options.scheduler else here
    try:
        reproduce(options.name, parts, settings, shared("results"), options.seeds, ran)
    except (OSError, RuntimeError) as stopped:
        if not options.scheduler:
            raise
        print(stopped, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
