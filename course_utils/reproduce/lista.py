"""Chapter 2 at full size: the benchmark, photographs, and its live figures under other seeds."""

from copy import deepcopy
from itertools import islice

import numpy as np
import torch

from course_utils.built import ista, lista
from course_utils.data import gaussian_dictionary, photograph_patches, weights
from course_utils.reproduce import Outcome
from course_utils.training import minibatches

LISTA = {
    "size": [250, 500],
    "depth": 16,
    "batch": 64,
    "test": 1000,
    "grid": [0.4, 0.2, 0.1, 0.05, 0.02, 0.01],
    "scales": [0.9, 1.1],
    "floors": [0.08, 0.1, 0.12],
    "snr_db": {"noiseless": None, "snr40": 40, "snr20": 20},
    # training steps without noise, and further ones at each level of noise; rates of log and We, S
    "plan": {
        "step": [3000, 1000, 0.03, 0],
        "step_theta": [4000, 1000, 0.02, 0],
        "alista": [5000, 1000, 0.02, 0],
        "alista_ss": [2000, 1500, 0.02, 0],
        "lista": [3000, 800, 0.01, 1e-4],
        "lista_thetas": [12000, 3000, 0.01, 1e-4],
        "lista_cp": [500, 300, 0.005, 5e-6],
        "lista_cpss": [500, 300, 0.005, 5e-6],
        "lista_untied": [300, 200, 0.003, 3e-6],
    },
}


def lista_seed(s: dict, seed: int) -> Outcome:
    """Run the benchmark of chapter 2 for one dictionary; return NMSE in dB and learned numbers.

    Wider networks start from the trained narrower one that they contain; the others, with noise,
    from their training without. λ of the loops, and the start where there are several, are chosen
    on a validation set. Protocol of Chen, Liu, Wang & Yin 2018.
    """
    figures, clean = {}, {}
    Wd = gaussian_dictionary(*s["size"], np.random.default_rng(seed))
    for noise, snr in s["snr_db"].items():
        snr, nets = np.inf if snr is None else snr, {}
        valid, test = (
            next(lista.synthetic_pairs(Wd, s["test"], np.random.default_rng([kind, seed]), snr))
            for kind in (1, 4)
        )
        scores = _loops(Wd, valid, test, s["grid"], s["depth"])
        for name, (first, further, log_rate, rate) in s["plan"].items():
            trained = []
            for net in _starts(name, Wd, s, nets, clean):
                pairs = lista.synthetic_pairs(Wd, s["batch"], np.random.default_rng([3, seed]), snr)
                rates = {"log": log_rate, "We": rate, "S": rate}
                lista.train(net, lista.code_loss, pairs, further if clean else first, rates)
                trained.append(net)
            nets[name] = min(trained, key=lambda net: _nmse_db(net, *valid))
            scores[name] = _nmse_db(nets[name], *test)
            print(f"{noise} {name}: {scores[name]:.2f} dB", flush=True)
        clean = clean or nets
        figures |= {f"nmse_db.{noise}.{name}": score for name, score in scores.items()}
    counts = {f"parameters.{name}": lista.parameter_count(net) for name, net in nets.items()}
    return figures | counts, {}


def _nmse_db(net: torch.nn.Module, x: torch.Tensor, z: torch.Tensor) -> float:
    with torch.no_grad():
        return lista.nmse_db(net(x), z)


def _starts(name: str, Wd: torch.Tensor, s: dict, nets: dict, clean: dict) -> list:
    """Return the networks from which training starts; clean holds those trained without noise."""
    wider = {
        "lista_cp": lambda: lista.as_coupled(nets["alista"]),
        "lista_cpss": lambda: lista.as_coupled(nets["alista_ss"]),
        "lista_untied": lambda: lista.as_untied(nets["lista_cp"]),
    }
    if name in wider:
        return [wider[name]()]
    if not clean and name in ("alista", "alista_ss"):
        select = lista.with_selection if name == "alista_ss" else deepcopy
        loops = (lista.alista(Wd, 0.4, s["depth"]) for _ in s["scales"])
        scaled = map(lista.alternating, loops, s["scales"])
        return [select(net) for net in scaled]
    if not clean:
        return [_untrained(name, Wd, s["depth"])]
    floors = s["floors"] if name == "alista_ss" else []
    return [deepcopy(clean[name]), *(_flat(Wd, s["depth"], floor) for floor in floors)]


def _untrained(name: str, Wd: torch.Tensor, depth: int) -> torch.nn.Module:
    if name == "lista":
        return _tied(lista.Lista(Wd, 0.4, depth), torch.tensor(0.07))
    if name == "lista_thetas":  # the step must serve all layers: 1.12 did best among 1, 1.15, 1.3
        falling = 1.12 * 0.5 * 0.8 ** torch.arange(depth).unsqueeze(1)
        return _tied(lista.ListaThetas(Wd, 0.4, depth), falling, step=1.12)
    if name == "step":
        return lista.StepLista(Wd, 0.05, depth)
    return lista.alternating(lista.StepThetas(Wd, 0.4, depth), 0.5)


def _tied(net: lista.Lista, theta: torch.Tensor, step: float = 1.0) -> lista.Lista:
    """Return net started at ALISTA's steps of one length, with the thresholds theta."""
    net.We.data = step * lista.analytic_weights(net.Wd).T.contiguous()
    net.S.data = torch.eye(net.Wd.shape[1]) - net.We.data @ net.Wd
    net.log_theta.data = theta.log().expand_as(net.log_theta).clone()
    return net


def _flat(Wd: torch.Tensor, depth: int, floor: float) -> torch.nn.Module:
    """Return ALISTA with selection, steps of 1, and thresholds that fall to a floor and stay.

    A unit that is handed on leaves its threshold without a slope, so training hardly moves the
    last thresholds: where they start matters.
    """
    net = lista.with_selection(lista.alista(Wd, 0.4, depth))
    net.log_step.data.zero_()
    theta = (0.5 * 0.85 ** torch.arange(depth)).clamp(min=floor)
    net.log_theta.data = theta.log().unsqueeze(1).to(Wd)
    return net


def _loops(Wd, valid: tuple, test: tuple, grid: list[float], depth: int) -> dict[str, float]:
    """Return NMSE in dB of ISTA, FISTA and the minimiser at their best λ, and of the oracle."""
    scores = {}
    for name, code in {
        "ista": lambda x, lmbd: ista.ista(x, Wd, lmbd, depth),
        "fista": lambda x, lmbd: ista.fista(x, Wd, lmbd, depth),
        "lasso_limit": lambda x, lmbd: ista.sparse_codes(x, Wd, lmbd),
    }.items():
        best = min(grid, key=lambda lmbd, code=code: lista.nmse_db(code(valid[0], lmbd), valid[1]))
        scores[name] = lista.nmse_db(code(test[0], best), test[1])
    return scores | {"oracle": lista.nmse_db(_least_squares(*test, Wd), test[1].double())}


def _least_squares(x: torch.Tensor, z: torch.Tensor, Wd: torch.Tensor) -> torch.Tensor:
    """Return the codes on the support of z that explain x best, in float64."""
    x, Wd, codes = x.double(), Wd.double(), []
    for rows in torch.arange(len(x)).split(50):  # a matrix (m, m) for each row
        on = (z[rows] != 0).double()
        gram = on[:, :, None] * (Wd.T @ Wd) * on[:, None, :] + torch.diag_embed(1 - on)
        codes.append(torch.linalg.solve(gram, on * (x[rows] @ Wd)))
    return torch.cat(codes)


LISTA_PATCHES = {"patches": 100_000, "layers": [1, 2, 4, 7, 14], "steps": 10_000, "lmbd": 2.0}
LISTA_PATCHES |= {"batch": 128, "test": 2000, "rates": {"log": 0.02, "We": 1e-3, "S": 1e-3}}


def lista_patches_seed(s: dict, seed: int) -> Outcome:
    """Train section 5 of chapter 2 for ten times as long: one LISTA on photographs for each depth.

    Figures, on fresh patches: mean energy above the minimum in percent, for LISTA and for FISTA
    with as many steps, and `worth`, how many steps of FISTA have as low an energy. No weights.
    """
    figures, generator = {}, np.random.default_rng([5, seed])
    Wd, lmbd = weights("ista")["patches"], s["lmbd"]
    X = photograph_patches(12, s["patches"], generator)
    x = photograph_patches(12, s["test"], generator)
    least = ista.energy(x, ista.sparse_codes(x, Wd, lmbd, gap=1e-4), Wd, lmbd).mean()

    def above(z: torch.Tensor) -> float:
        return 100 * (ista.energy(x, z, Wd, lmbd).mean() / least - 1).item()

    loop = [above(z) for z in islice(ista.fista_iterates(x, Wd, lmbd), 1, 101)]
    for K in s["layers"]:
        net = lista.Lista(Wd, lmbd, K)
        rows = minibatches(len(X), s["batch"], generator)
        pairs = ((X[i], X[i]) for i in rows)  # the energy needs no target
        lista.train(net, lista.energy_loss(lmbd), pairs, s["steps"], s["rates"])
        with torch.no_grad():
            error = above(torch.cat([net(part) for part in x.split(500)]))
        figures |= {f"above_percent.lista.{K}": error, f"above_percent.fista.{K}": loop[K - 1]}
        figures[f"worth.{K}"] = 1 + sum(e > error for e in loop)
        print(f"{K} layers: {error:.2f} % above, worth {figures[f'worth.{K}']} steps", flush=True)
    return figures, {}


def _targets(names: dict) -> dict[str, float]:
    columns = ("best_db", "above_percent", "truth_db")
    return {
        f"targets.{row}.{column}": value
        for row, values in zip("abcfe", names["scores"].values(), strict=True)
        for column, value in zip(columns, values, strict=True)
        if np.isfinite(value)
    }


def _worth(names: dict) -> dict[str, float]:
    return {f"worth.{K}": w for K, w in zip(names["layers"], names["worth"], strict=True)}


def _benchmark(names: dict) -> dict[str, float]:
    scores = names["scores"] | {"FISTA": names["fista_best"]}
    return {f"benchmark.{name}": score for name, score in scores.items()}


def _shift(names: dict) -> dict[str, float]:
    return {
        f"shift.{inputs}.{method}": score
        for inputs, scores in names["rows"].items()
        for method, score in zip(("lista", "fista"), scores, strict=True)
    }


WANTED = {  # of the chapter's live run: what its claims are about
    "targets-claims": _targets,
    "patches-claims": _worth,
    "benchmark-claims": _benchmark,
    "shift-claims": _shift,
    "deeper": lambda names: {"deeper.lista": names["longer"][59] - names["longer"][6]},
    "coherent-claims": lambda names: dict(
        zip((f"behind_fista.{key}" for key in names["cases"]), names["fail"], strict=True)
    ),
    "thread-rows": lambda names: {"thread.lista": names["E_lista"]},
}
