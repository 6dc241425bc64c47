"""Chapter 2 at full size: the benchmark, photographs, and its live figures under other seeds."""

import math
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import islice

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso
from torch import Tensor, nn

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


def _halved(plan: dict[str, list]) -> dict[str, list]:
    """Return the plan with half the training: is the order of the rows settled?"""
    return {name: [first // 2, more // 2, *rates] for name, (first, more, *rates) in plan.items()}


LISTA_HALF = LISTA | {"plan": _halved(LISTA["plan"])}
LISTA_CONDITIONED = LISTA | {"condition": 15}
LISTA_CONDITIONED_HALF = LISTA_HALF | {"condition": 15}


def lista_seed(s: dict, seed: int) -> Outcome:
    """Run the benchmark of chapter 2 for one dictionary; return NMSE in dB and learned numbers.

    With a condition among the settings the filters have that condition number.

    Wider networks start from the trained narrower one that they contain; the others, with noise,
    from their training without. λ of the loops, and the start where there are several, are chosen
    on a validation set. Protocol of Chen, Liu, Wang & Yin 2018.
    """
    figures, clean, generator = {}, {}, np.random.default_rng(seed)
    conditioned, at = "condition" in s, "illconditioned." if "condition" in s else ""
    Wd = (
        lista.conditioned(*s["size"], s["condition"], generator)
        if conditioned
        else gaussian_dictionary(*s["size"], generator)
    )
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
                rates = {"log": log_rate} | {at: rate for at in ("We", "S") if _learns(net, at)}
                lista.train(net, lista.code_loss, pairs, further if clean else first, rates)
                trained.append(net)
            nets[name] = min(trained, key=lambda net: _nmse_db(net, *valid))
            scores[name] = _nmse_db(nets[name], *test)
            print(f"{noise} {name}: {scores[name]:.2f} dB", flush=True)
        clean = clean or nets
        figures |= {f"nmse_db.{at}{noise}.{name}": score for name, score in scores.items()}
    counts = {f"parameters.{name}": lista.parameter_count(net) for name, net in nets.items()}
    return figures | counts, {}


def _learns(net: nn.Module, begin: str) -> bool:
    return any(name.startswith(begin) for name, _ in net.named_parameters())


def _nmse_db(net: nn.Module, x: Tensor, z: Tensor) -> float:
    with torch.no_grad():
        return lista.nmse_db(net(x), z)


def _starts(name: str, Wd: Tensor, s: dict, nets: dict, clean: dict) -> list:
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


def _untrained(name: str, Wd: Tensor, depth: int) -> nn.Module:
    if name == "lista":
        return _tied(lista.lista(Wd, 0.4, depth), torch.tensor(0.07))
    if name == "lista_thetas":  # the step must serve all layers: 1.12 did best among 1, 1.15, 1.3
        falling = 1.12 * 0.5 * 0.8 ** torch.arange(depth).unsqueeze(1)
        return _tied(lista.lista_thetas(Wd, 0.4, depth), falling, step=1.12)
    if name == "step":
        return lista.step_lista(Wd, 0.05, depth)
    return lista.alternating(lista.step_thetas(Wd, 0.4, depth), 2.8 / ista.lipschitz(Wd))


def _tied(net: nn.Module, theta: Tensor, step: float = 1.0) -> nn.Module:
    """Return net started at ALISTA's steps of one length, with the thresholds theta."""
    net.We.data = step * lista.analytic_weights(net.Wd).T.contiguous()
    net.S.data = torch.eye(net.Wd.shape[1]) - net.We.data @ net.Wd
    net.log_theta.data = theta.log().expand_as(net.log_theta).clone()
    return net


def _flat(Wd: Tensor, depth: int, floor: float) -> nn.Module:
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
    return scores | {
        "oracle": lista.nmse_db(lista.refit(*(v.double() for v in (*test, Wd))), test[1].double())
    }


MATRICES = {"random": "", "illconditioned": "illconditioned."}  # each with its place in the keys
RIVALS = {
    "size": [250, 500],
    "depth": 16,
    "condition": 15,  # of the ill-conditioned dictionary, before its columns are scaled
    "snr_db": {"noiseless": None, "snr40": 40, "snr20": 20},
    "valid": 200,
    "test": 1000,
    # what is chosen from on the validation set; omp: the largest correlation that it leaves, in
    # standard deviations of the noise (without noise, in millionths)
    "grid": {
        "loops": [0.4, 0.2, 0.1, 0.05, 0.02, 0.01],
        "alpha": [0.9, 1.0, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 6.0],
        "omp": [2.0, 2.5, 3.0, 3.5, 4.0, 5.0],
        "minimiser": {
            "noiseless": [0.02, 0.01, 0.005],
            "snr40": [0.01, 0.005, 0.003, 0.002],
            "snr20": [0.07, 0.05, 0.035, 0.02, 0.01],
        },
        "debiased": {
            "noiseless": [0.02, 0.01, 0.005],
            "snr40": [0.03, 0.02, 0.01, 0.007],
            "snr20": [0.2, 0.15, 0.1, 0.07, 0.05],
        },
    },
    # training steps from each start, at each level of noise
    "learned_amp": {"learned_amp_half": 250, "learned_amp": 500},
    "ridges": [10.0, 1.0],
    "batch": 64,
    "rate": 0.02,
}


def learned_amp_seed(matrix: str, s: dict, seed: int) -> Outcome:
    """Train the learned AMP of chapter 2 for one dictionary, anew at each level of noise, for two
    lengths. After Borgerding, Schniter & Rangan 2017.

    Where its directions start is chosen on the validation set. Returns NMSE in dB, and how many
    numbers are learned.
    """
    figures = {}
    for noise, Wd, snr, valid, test in levels(matrix, s, seed):
        for name, steps in s["learned_amp"].items():
            starts = [lista.LearnedAmp(Wd, s["depth"]) for _ in s["ridges"]]
            for net, ridge in zip(starts, s["ridges"], strict=True):
                net.log_ridge.data.fill_(math.log(ridge))
                pairs = lista.synthetic_pairs(Wd, s["batch"], np.random.default_rng([3, seed]), snr)
                lista.train(net, lista.code_loss, pairs, steps, {"log": s["rate"]})
            score = _nmse_db(min(starts, key=lambda net: _nmse_db(net, *valid)), *test)
            figures[f"nmse_db.{MATRICES[matrix]}{noise}.{name}"] = score
            print(f"{noise} {name}: {score:.2f} dB", flush=True)
    return figures | {"parameters.learned_amp": lista.parameter_count(starts[0])}, {}


def levels(matrix: str, s: dict, seed: int) -> Iterator[tuple]:
    """Yield for each level of noise its name, the dictionary, the SNR, a validation and a test
    set."""
    (n, m), generator = s["size"], np.random.default_rng(seed)
    if matrix == "illconditioned":
        Wd = lista.conditioned(n, m, s["condition"], generator)
    else:
        Wd = gaussian_dictionary(n, m, generator)
    for noise, snr in s["snr_db"].items():
        snr = np.inf if snr is None else snr
        valid, test = (
            next(lista.synthetic_pairs(Wd, count, np.random.default_rng([kind, seed]), snr))
            for kind, count in ((1, s["valid"]), (4, s["test"]))
        )
        yield noise, Wd, snr, valid, test


def rivals_seed(matrix: str, s: dict, seed: int) -> Outcome:
    """Return NMSE in dB of what is not learned, for one dictionary: each at the λ, α or stop that
    is best on the validation set, and that choice; how many steps OMP takes; and the oracle.

    The rows of chapter 2's benchmark that learn nothing. Two are told more than the rest:
    `amp_bayes` how codes are drawn, `vamp_bayes` the noise too. Protocol of Chen, Liu, Wang & Yin
    2018.
    """
    figures, at, depth = {}, MATRICES[matrix], s["depth"]
    for noise, Wd, snr, valid, test in levels(matrix, s, seed):
        sigma = (test[1] @ Wd.T).std().item() * 10 ** (-snr / 20)
        for name, (code, grid) in _rivals(Wd, s["grid"], noise, sigma, depth).items():
            best = min(grid, key=lambda value, code=code: _score(code(valid[0], value), valid[1]))
            z = code(test[0], best)
            figures[f"nmse_db.{at}{noise}.{name}"] = _score(z, test[1])
            figures[f"chosen.{at}{noise}.{name}"] = best
            if name == "omp":
                figures[f"steps.{at}{noise}.omp"] = (z != 0).sum(1).double().mean().item()
            print(f"{noise} {name}: {_score(z, test[1]):.2f} dB at {best}", flush=True)
        told = {
            "amp_bayes": amp_bayes(test[0], Wd, depth),
            "vamp_bayes": vamp_bayes(test[0], Wd, depth, sigma),
            "oracle": lista.refit(test[0].double(), test[1].double(), Wd.double()),
        }
        for name, z in told.items():
            figures[f"nmse_db.{at}{noise}.{name}"] = _score(z, test[1])
    return figures, {}


def _score(z: Tensor, target: Tensor) -> float:
    """Return NMSE in dB; infinity where a loop grew without end."""
    score = lista.nmse_db(z.double(), target.double())
    return score if math.isfinite(score) else math.inf


def _rivals(
    Wd: Tensor, grid: dict, noise: str, sigma: float, depth: int
) -> dict[str, tuple[Callable, list]]:
    """Return, by name, a function of inputs and of what is chosen, and what to choose from."""
    solved = {}

    def minimiser(x: Tensor, lmbd: float) -> Tensor:
        key = x.data_ptr(), lmbd
        if key not in solved:  # the debiased minimiser wants some of them again
            solved[key] = ista.sparse_codes(x, Wd, lmbd)
        return solved[key]

    def debiased(x: Tensor, lmbd: float) -> Tensor:
        return lista.refit(x.double(), minimiser(x, lmbd).double(), Wd.double())

    def omp(x: Tensor, deviations: float) -> Tensor:
        return ista.omp(x.double(), Wd.double(), len(Wd) // 2, deviations * (sigma or 1e-6))

    return {
        "ista": (lambda x, lmbd: ista.ista(x, Wd, lmbd, depth), grid["loops"]),
        "fista": (lambda x, lmbd: ista.fista(x, Wd, lmbd, depth), grid["loops"]),
        "amp": (lambda x, alpha: lista.amp(x, Wd, alpha, depth), grid["alpha"]),
        "omp": (omp, grid["omp"]),
        "lasso_limit": (minimiser, grid["minimiser"][noise]),
        "debiased": (debiased, grid["debiased"][noise]),
    }


def posterior_mean(v: Tensor, tau2: Tensor, share: float = 0.1) -> tuple[Tensor, Tensor]:
    """Return the mean of a code given v = code + noise of variance tau2, and its slope: (B, m).

    The code's entries are N(0, 1) with probability share, else zero; v (B, m), tau2 (B, 1).
    """
    keep = 1 / (1 + tau2)  # of v, if the unit is active
    evidence = keep * v.square() / (2 * tau2)
    odds = evidence - math.log((1 - share) / share) - 0.5 * (1 / tau2).log1p()
    active = odds.sigmoid()
    return keep * v * active, keep * active * (1 + 2 * evidence * (1 - active))


def amp_bayes(x: Tensor, Wd: Tensor, steps: int) -> Tensor:
    """Return the codes (B, m) of AMP that shrinks by the posterior mean; x (B, n), Wd (n, m).

    Donoho, Maleki & Montanari 2010.
    """
    n, z, r = len(Wd), x.new_zeros(len(x), Wd.shape[1]), x
    for _ in range(steps):
        tau2 = (r.square().sum(1, keepdim=True) / n).clamp(min=1e-14)
        z, slope = posterior_mean(z + r @ Wd, tau2)
        r = x - z @ Wd.T + slope.sum(1, keepdim=True) / n * r
    return z


def vamp_bayes(x: Tensor, Wd: Tensor, steps: int, sigma: float) -> Tensor:
    """Return the codes (B, m) of vector AMP, in float64, for noise of standard deviation sigma.

    x (B, n), Wd (n, m). Each step estimates the code by ridge regression around u, then by the
    posterior mean, and hands on what either adds to what it was given, with its precision. Rangan,
    Schniter & Fletcher 2019, algorithm 3.
    """
    x, Wd = x.double(), Wd.double()
    _, s, Vt = torch.linalg.svd(Wd, full_matrices=False)
    seen = x @ Wd @ Vt.T  # s times x in the coordinates of the singular vectors
    u, precision = x.new_zeros(len(x), Wd.shape[1]), x.new_full((len(x), 1), 10.0)
    for _ in range(steps):
        ridge = max(sigma**2, 1e-12) * precision
        z = u + ((seen - s.square() * (u @ Vt.T)) / (s.square() + ridge)) @ Vt
        share = 1 - (s.square() / (s.square() + ridge)).sum(1, keepdim=True) / Wd.shape[1]
        v, precision = (z - share * u) / (1 - share), precision * (1 - share) / share
        precision = precision.clamp(1e-6, 1e12)
        z, slope = posterior_mean(v, 1 / precision)
        share = slope.mean(1, keepdim=True).clamp(1e-9, 1 - 1e-6)
        u, precision = (z - share * v) / (1 - share), precision * (1 - share) / share
        precision = precision.clamp(1e-6, 1e12)
    return z


DEPTH = {
    "patches": 100_000,
    "layers": [1, 2, 4, 7, 14],
    "steps": 1000,
    "lmbd": 2.0,
    "batch": 128,
    "test": 2000,
    "rates": {"log": 0.02, "We": 1e-3, "S": 1e-3},
}
DEPTH_LONGER = DEPTH | {"steps": 10_000}
DEEP = {"lista": lista.lista, "step": lista.step_lista, "step_theta": lista.step_thetas}
SHORT_DEEP = DEEP | {"untied": lista.lista_untied}


def depth_seed(name: str, s: dict, seed: int) -> Outcome:
    """Train section 5 of chapter 2 on photographs: one network of one kind for each depth.

    Figures, on fresh patches: mean energy above the minimum in percent, for the network and for
    FISTA with as many steps; `worth`, how many steps of FISTA have as low an energy; the same
    percent `at_60`, where the last layer is repeated until there are 60; the learned steps times L,
    where steps are learned; and for LISTA how far its matrices stayed coupled. No weights.
    """
    figures, generator = {}, np.random.default_rng([5, seed])
    Wd, lmbd = weights("ista")["patches"], s["lmbd"]
    X = photograph_patches(12, s["patches"], generator)
    x = photograph_patches(12, s["test"], generator)
    least = ista.energy(x, ista.sparse_codes(x, Wd, lmbd, gap=1e-4), Wd, lmbd).mean()

    def above(z: Tensor) -> float:
        return 100 * (ista.energy(x, z, Wd, lmbd).mean() / least - 1).item()

    loop = [above(z) for z in islice(ista.fista_iterates(x, Wd, lmbd), 1, 101)]
    for K in s["layers"]:
        net, at = SHORT_DEEP[name](Wd, lmbd, K), f"{name}.{K}"
        rows = minibatches(len(X), s["batch"], np.random.default_rng([6, seed, K]))
        rates = {begin: rate for begin, rate in s["rates"].items() if _learns(net, begin)}
        pairs = ((X[i], X[i]) for i in rows)  # the energy needs no target
        lista.train(net, lista.energy_loss(lmbd), pairs, s["steps"], rates)
        with torch.no_grad():
            codes = [net.codes(part, depth=60) for part in x.split(500)]
            error, at_60 = (above(torch.cat([z[k - 1] for z in codes])) for k in (K, 60))
        figures |= {f"above_percent.{at}": error, f"above_percent.fista.{K}": loop[K - 1]}
        figures[f"worth.{at}"] = 1 + sum(e > error for e in loop)
        figures[f"at_60.{at}"] = at_60
        if name == "lista":
            figures |= {
                f"{key}.{at}": value
                for key, value in lista.coupling(Wd, net.We.detach(), net.S.detach()).items()
            }
        elif name in ("step", "step_theta"):
            steps = net.log_step.detach().exp() * ista.lipschitz(Wd)
            figures |= {f"step_times_L.{at}.{k + 1}": step.item() for k, step in enumerate(steps)}
        print(f"{at}: {error:.2f} % above, worth {figures[f'worth.{at}']} steps", flush=True)
    return figures, {}


TUNED = {"times_L": [1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0], "choose_on": 10_000}


def tuned_seed(s: dict, seed: int) -> Outcome:
    """Run the rivals of depth_seed that learn nothing: ISTA and FISTA with one step, chosen for
    each depth on patches that are not tested on, where Beck & Teboulle 2009 take 1/L; and as many
    sweeps of coordinate descent, each of which takes as many multiply-adds as a layer.

    Figures as there, on the same fresh patches; the step chosen, times L; `grown`, how many codes
    have a higher energy than the empty code, and `above_percent` without them, as `kept_percent`.
    No weights.
    """
    figures, generator = {}, np.random.default_rng([5, seed])
    Wd, lmbd, L = weights("ista")["patches"], s["lmbd"], ista.lipschitz(weights("ista")["patches"])
    choose_on = photograph_patches(12, s["patches"], generator)[: s["tuned"]["choose_on"]]
    x = photograph_patches(12, s["test"], generator)

    def energies(x: Tensor, iterates: Callable, factor: float, steps: int) -> Tensor:
        codes = islice(iterates(x, Wd, lmbd, L / factor), 1, 1 + steps)
        return torch.stack([ista.energy(x, z, Wd, lmbd) for z in codes])

    least = ista.energy(x, ista.sparse_codes(x, Wd, lmbd, gap=1e-4), Wd, lmbd)
    loop, empty = energies(x, ista.fista_iterates, 1.0, 100).mean(1), x.square().sum(1) / 2

    def compared(at: str, reached: Tensor) -> dict[str, float]:
        kept = reached <= empty
        return {
            f"above_percent.{at}": 100 * (reached.mean() / least.mean() - 1).item(),
            f"kept_percent.{at}": 100 * (reached[kept].mean() / least[kept].mean() - 1).item(),
            f"grown.{at}": (~kept).sum().item(),
            f"worth.{at}": 1 + (loop > reached.mean()).sum().item(),
        }

    for name, iterates in (("ista", ista.ista_iterates), ("fista", ista.fista_iterates)):
        tried = {f: energies(choose_on, iterates, f, 14).mean(1) for f in s["tuned"]["times_L"]}
        for K in s["layers"]:
            best = min(tried, key=lambda f, K=K, tried=tried: tried[f][K - 1].nan_to_num(np.inf))
            at = f"tuned_{name}.{K}"
            figures |= compared(at, energies(x, iterates, best, K)[-1])
            figures[f"step_times_L.{at}"] = best
    for K in s["layers"]:
        figures |= compared(f"sweeps.{K}", ista.energy(x, sweeps(x, Wd, lmbd, K), Wd, lmbd))
    return figures, {}


def sweeps(x: Tensor, Wd: Tensor, lmbd: float, count: int) -> Tensor:
    """Return the codes (B, m) after some sweeps of coordinate descent over all units, from z = 0;
    x (B, n), Wd (n, m). By scikit-learn."""
    filters = Wd.double().numpy()
    solver = Lasso(
        lmbd / len(Wd), fit_intercept=False, precompute=filters.T @ filters, max_iter=count, tol=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped early on purpose
        return torch.from_numpy(solver.fit(filters, x.double().numpy().T).coef_).to(x)


def _targets(names: dict) -> dict[str, float]:
    columns = ("best_db", "above_db", "truth_db")
    measured = {
        f"targets.{row}.{column}": value
        for row, values in zip("abcfe", names["scores"].values(), strict=True)
        for column, value in zip(columns, values, strict=True)
        if np.isfinite(value)
    }
    false = zip("abcfe", names["false"].values(), strict=True)
    return measured | {f"targets.{row}.false_units": value for row, value in false}


def _worth(names: dict) -> dict[str, float]:
    return {f"worth.{kind}.{K}": steps for (kind, K), steps in names["worth"].items()}


def _steps(names: dict) -> dict[str, float]:
    return {f"steps_L.{k + 1}": float(step) for k, step in enumerate(names["steps_L"])}


def _coupling(names: dict) -> dict[str, float]:
    return {
        f"coupling.{net}.{kind}": value
        for net, entry in names["found"].items()
        for kind, value in entry.items()
    }


def _benchmark(names: dict) -> dict[str, float]:
    return {f"benchmark.{name}": score for name, score in names["reached"].items()}


def _sureness(names: dict) -> dict[str, float]:
    found = {}
    for kind, key in zip(("usual", "ones", "dense"), names["kinds_of_code"], strict=True):
        found |= {f"sure_db.{kind}.learned": names["by_learned"][key]}
        found |= {f"sure_lost.{kind}.learned": names["lost_learned"][key]}
        for who, pair in zip(("liked", "wary"), names["pairs_of"], strict=True):
            found |= {f"sure_db.{kind}.{who}": names["by_two"][key, pair]}
            found |= {f"sure_lost.{kind}.{who}": names["lost_two"][key, pair]}
    return found


def _in_part(names: dict) -> dict[str, float]:
    return {f"in_part.{name}": score for name, score in names["in_part"].items()}


def _shift(names: dict) -> dict[str, float]:
    loops = {"steps": names["by_steps"], "fista_tuned": names["by_tuned"]}
    of_shifted = {
        f"shift.{inputs}.{method}": score
        for inputs, scores in names["shifted"].items()
        for method, score in zip(("lista", "fista"), scores, strict=True)
    }
    return of_shifted | {
        f"shift.{inputs}.{method}": score
        for method, scores in loops.items()
        for inputs, score in scores.items()
    }


def _psd(names: dict) -> dict[str, float]:
    return {
        f"psd.{weight}.{k}": value
        for weight, values in names["psd"].items()
        for k, value in enumerate(values)
    }


def _thread(names: dict) -> dict[str, float]:
    """Train the LISTA whose row the table of the patch shows: 7 layers, on other patches."""
    Wd, price, patch = names["Wd"], names["price_7"], names["patch"]
    X = photograph_patches(12, 6000, np.random.default_rng(11))
    net = lista.lista(Wd, price, 7)
    pairs = ((X[i], X[i]) for i in minibatches(len(X), 128, np.random.default_rng(0)))
    rates = {"log": 0.02, "We": 5e-4, "S": 5e-4}
    lista.train(net, lista.energy_loss(price), pairs, 500, rates)
    with torch.no_grad():
        return {"thread.lista": ista.energy(patch, net(patch), Wd, price).item()}


WANTED = {  # of the chapter's live run: what its claims are about
    "targets-claims": _targets,
    "patches-claims": _worth,
    "steps-claims": _steps,
    "learned-table": _coupling,
    "benchmark-claims": _benchmark,
    "firm-amp-ones": _sureness,
    "condition-ablation": _in_part,
    "shift-claims": _shift,
    "deeper": lambda names: {"deeper.lista": names["longer_dB"][59] - names["longer_dB"][6]},
    "psd-claims": _psd,
    "psd-fixed": lambda names: (
        {f"psd_fixed.{k}": v for k, v in names["afterwards"].items()}
        | {f"psd_gap.{k}": v for k, v in names["new_gaps"].items()}
    ),
    "thread-loops": _thread,
}
