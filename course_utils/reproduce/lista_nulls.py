"""What chapter 2 must be measured against beside its rivals: FISTA whose λ falls, learned AMP that
steps along Wd, and Experiment 1 trained for longer."""

import math
from itertools import product

import numpy as np
import torch

from course_utils.built import ista, lista
from course_utils.data import gaussian_dictionary
from course_utils.reproduce import Outcome
from course_utils.reproduce.lista import MATRICES, RIVALS, levels
from course_utils.training import minibatches

NULLS = {key: RIVALS[key] for key in ("size", "depth", "condition", "snr_db", "test")} | {
    "valid": 200,
    # the step times L, the first λ, and the ratio of each λ to the one before
    "falling": [[1.0, 1.4, 1.8, 2.2], [0.2, 0.4, 0.8, 1.2], [0.95, 0.9, 0.85, 0.8, 0.75, 0.7]],
    # a start at which codes do not grow, where AMP's do
    "along": {"start": {"alpha": 0.48, "step": 0.2, "echo": 0.1}, "steps": [750, 1500]},
    "targets": {"size": [64, 128], "depth": 8, "lmbd": 0.05, "snr": 15, "steps": [1000, 8000]},
    "batch": 64,
    "rate": 0.04,
}


def falling_seed(s: dict, seed: int) -> Outcome:
    """Return NMSE in dB of FISTA whose λ falls, for two dictionaries and each level of noise, with
    the three numbers that are best on the validation set. Hale, Yin & Zhang 2008."""
    figures = {}
    for matrix, at in MATRICES.items():
        for noise, Wd, _, valid, test in levels(matrix, s, seed):
            tried = {
                three: lista.nmse_db(
                    lista.fista_falling(valid[0], Wd, *three, s["depth"]), valid[1]
                )
                for three in product(*s["falling"])
            }
            best = min(tried, key=lambda three, tried=tried: np.nan_to_num(tried[three], nan=99))
            z = lista.fista_falling(test[0], Wd, *best, s["depth"])
            figures[f"nmse_db.{at}{noise}.fista_falling"] = lista.nmse_db(z, test[1])
            for name, value in zip(("step", "first", "ratio"), best, strict=True):
                figures[f"chosen.{at}{noise}.{name}"] = value
    return figures, {}


def along_seed(s: dict, seed: int) -> Outcome:
    """Train the learned AMP of chapter 2 along Wd at the condition number of the settings, 40 dB,
    from a start at which codes do not grow; return NMSE in dB for each length of training."""
    figures, plan = {}, s["along"]
    _, Wd, snr, _, test = next(one for one in levels("illconditioned", s, seed) if one[2] == 40)
    for steps in plan["steps"]:
        net = lista.LearnedAmp(Wd, s["depth"])
        for name, value in (plan["start"] | {"ridge": 1e4}).items():  # then W is Wd, up to length
            getattr(net, f"log_{name}").data.fill_(math.log(value))
        pairs = lista.synthetic_pairs(Wd, s["batch"], np.random.default_rng([3, seed]), snr)
        learned = ("log_alpha", "log_width", "log_step", "log_echo")
        lista.train(net, lista.code_loss, pairs, steps, dict.fromkeys(learned, s["rate"]))
        with torch.no_grad():
            figures[f"nmse_db.along.{steps}"] = lista.nmse_db(net(test[0]), test[1])
    return figures, {}


def targets_seed(s: dict, seed: int) -> Outcome:
    """Train Experiment 1 of chapter 2 for two lengths, for the best code (a) and for the true one
    (c); return distances to the truth in dB, of the minimiser too."""
    plan = s["targets"]
    Wd = gaussian_dictionary(*plan["size"], np.random.default_rng([5, seed]))
    X, true = next(lista.synthetic_pairs(Wd, 8000, np.random.default_rng([6, seed]), plan["snr"]))
    best = ista.sparse_codes(X, Wd, plan["lmbd"])
    figures = {"targets.minimiser": lista.nmse_db(best[7000:], true[7000:])}
    for steps in plan["steps"]:
        for name, target in (("a", best), ("c", true)):
            net = lista.lista(Wd, plan["lmbd"], plan["depth"])
            rows = minibatches(7000, 128, np.random.default_rng([7, seed]))
            pairs = ((X[i], target[i]) for i in rows)
            rates = {"log": 0.02, "We": 1e-3, "S": 1e-3}
            lista.train(net, lista.code_loss, pairs, steps, rates)
            with torch.no_grad():
                figures[f"targets.{name}.{steps}"] = lista.nmse_db(net(X[7000:]), true[7000:])
    return figures, {}
