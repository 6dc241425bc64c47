"""Checks of the exercises of chapter 6."""

import numpy as np
import torch
from torch.nn.functional import normalize

from course_utils.checks import Function, exercise
from course_utils.data import normal


def check_rate_of(answer: Function) -> None:
    """Check chapter 6, exercise 1: the KL divergence of a normal distribution from N(0, 1)."""

    def rate(mean, log_var, half=0.5):
        return half * (mean.square() + log_var.exp() - 1 - log_var).sum(1)

    mistakes = {
        "the sign is turned: the rate is never negative": lambda m, v: -rate(m, v),
        "the ½ is missing": lambda m, v: rate(m, v, 1.0),
        "you took log_var for the variance σ² itself: it is its logarithm": (
            lambda m, v: 0.5 * (m.square() + v - 1 - v.log()).sum(1)
        ),
        "you took log_var for ln σ: it is ln σ²": lambda m, v: rate(m, 2 * v),
        "+ ln σ² pulls σ to zero: it must be subtracted": (
            lambda m, v: 0.5 * (m.square() + v.exp() - 1 + v).sum(1)
        ),
        "the spring is ½μ²: square the mean": (lambda m, v: 0.5 * (m + v.exp() - 1 - v).sum(1)),
        "the spring is missing: where is the mean?": lambda m, v: rate(0 * m, v),
        "the −1 is missing: for μ = 0, σ = 1 the rate is 0": (
            lambda m, v: rate(m, v) + 0.5 * m.shape[1]
        ),
        "you took the mean over units: rates add": lambda m, v: rate(m, v) / m.shape[1],
        "these are bits: asked for are nats": lambda m, v: rate(m, v) / np.log(2),
    }
    generator = np.random.default_rng(18)
    cases = [tuple(normal(generator, 2, 7, m)) for m in (3, 8)]
    cases[0] = cases[0][0], cases[0][1].abs()  # so that one who takes its logarithm is told
    exercise(answer, rate, mistakes, cases)


def check_drawn_code(answer: Function) -> None:
    """Check chapter 6, exercise 2: a draw with a slope."""

    def draw(mean, log_var, noise):
        return mean + (0.5 * log_var).exp() * noise

    mistakes = {
        "the ½ is missing: exp(log_var) is σ², and the noise is multiplied by σ": (
            lambda m, v, e: m + v.exp() * e
        ),
        "you multiply by ln σ²: take half of it, then exp": lambda m, v, e: m + v * e,
        "you multiply by ln σ: σ is its exp": lambda m, v, e: m + 0.5 * v * e,
        "you divide by σ": lambda m, v, e: m + (-0.5 * v).exp() * e,
        "this is the mean alone: without noise nothing limits the code": lambda m, v, e: m,
        "σ is missing: all units get noise of variance 1": lambda m, v, e: m + e,
        "the mean is missing": lambda m, v, e: draw(0 * m, v, e),
        "you took log_var for the variance: its exp is": lambda m, v, e: m + v.sqrt() * e,
        "σ belongs to the noise, not to the mean": lambda m, v, e: m * (0.5 * v).exp() + e,
        "the mean is multiplied by σ, too": lambda m, v, e: (0.5 * v).exp() * (m + e),
        "a draw just as good, but the check adds the noise; you subtract it": (
            lambda m, v, e: draw(m, v, -e)
        ),
    }
    generator = np.random.default_rng(19)
    cases = [tuple(normal(generator, 3, 6, m)) for m in (3, 8)]
    cases[0] = cases[0][0], cases[0][1].abs(), cases[0][2]  # so that one who takes its root is told
    exercise(answer, draw, mistakes, cases)


def check_expected_error(answer: Function) -> None:
    """Check chapter 6, exercise 3: reconstruction error averaged over the noise of a code."""

    def error(x, mean, log_var, Wd, times=1.0):
        rest = 0.5 * (x - mean @ Wd.T).square().sum(1)
        return rest + 0.5 * times * log_var.exp() @ Wd.square().sum(0)

    def without_squares(x, mean, log_var, Wd):
        return error(x, mean, log_var, Wd, 0.0) + 0.5 * log_var.exp() @ Wd.norm(dim=0)

    mistakes = {
        "this is the error of the mean alone: what does the noise add?": (
            lambda x, m, v, Wd: error(x, m, v, Wd, 0.0)
        ),
        "the ½ before the noise's part is missing": lambda x, m, v, Wd: error(x, m, v, Wd, 2.0),
        "both ½ are missing": lambda x, m, v, Wd: 2 * error(x, m, v, Wd),
        "the ½ before the squared error is missing": (
            lambda x, m, v, Wd: error(x, m, v, Wd) + error(x, m, v, Wd, 0.0)
        ),
        "you took σ for σ²: exp(log_var) is the variance": (
            lambda x, m, v, Wd: error(x, m, 0.5 * v, Wd)
        ),
        "you took log_var for the variance: it is its logarithm": (
            lambda x, m, v, Wd: error(x, m, v, Wd, 0.0) + 0.5 * v @ Wd.square().sum(0)
        ),
        "noise goes through the decoder: weigh each variance with ‖d_k‖²": (
            lambda x, m, v, Wd: error(x, m, v, Wd, 0.0) + 0.5 * v.exp().sum(1)
        ),
        "‖d_k‖ must be squared": without_squares,
        "noise never makes the error smaller: its part is added": (
            lambda x, m, v, Wd: error(x, m, v, Wd, -1.0)
        ),
    }
    generator = np.random.default_rng(20)
    cases = [
        tuple(normal(generator, *s) for s in ((5, n), (5, m), (5, m), (n, m)))
        for n, m in ((4, 6), (7, 3))
    ]
    exercise(answer, error, mistakes, cases)


def check_evidence_at_test(answer: Function) -> None:
    """Check chapter 6, exercise 4: the classifier of a VAE at test time."""

    def mean_of(outputs, Wc):
        return outputs[:, : Wc.shape[1]]

    def log_var_of(outputs, Wc):
        return outputs[:, Wc.shape[1] :]

    def drawn(outputs, noise, Wc):
        return mean_of(outputs, Wc) + (0.5 * log_var_of(outputs, Wc)).exp() * noise

    mistakes = {
        "you drew the code: asked twice, it answers twice; at test time read the mean": (
            lambda o, e, Wc: normalize(drawn(o, e, Wc)) @ Wc.T
        ),
        "you drew the code, and its length is not divided out": (
            lambda o, e, Wc: drawn(o, e, Wc) @ Wc.T
        ),
        "the length of the code is not divided out: evidence is Wc z / ‖z‖": (
            lambda o, e, Wc: mean_of(o, Wc) @ Wc.T
        ),
        "you read ln σ²: the first half of the outputs are the means": (
            lambda o, e, Wc: normalize(log_var_of(o, Wc)) @ Wc.T
        ),
        "means are the first half of the outputs, not every second": (
            lambda o, e, Wc: normalize(o[:, ::2]) @ Wc.T
        ),
        "you divided by the length of all outputs: the code is the first half": (
            lambda o, e, Wc: mean_of(normalize(o), Wc) @ Wc.T
        ),
        "you took the softmax: asked for is the evidence before it": (
            lambda o, e, Wc: (normalize(mean_of(o, Wc)) @ Wc.T).softmax(1)
        ),
        "you divided by the norm of the whole batch: each row has its own": (
            lambda o, e, Wc: mean_of(o, Wc) / mean_of(o, Wc).norm() @ Wc.T
        ),
    }
    generator = np.random.default_rng(21)
    cases = [
        tuple(normal(generator, *s) for s in ((5, 2 * m), (5, m), (c, m)))
        for m, c in ((4, 3), (6, 10))
    ]
    exercise(answer, lambda o, e, Wc: normalize(mean_of(o, Wc)) @ Wc.T, mistakes, cases)


def check_water_bits(answer: Function) -> None:
    """Check chapter 6, exercise 5: the rate of reverse water-filling."""

    def bits(v, level):
        return 0.5 * (v / level).clamp(min=1).log2().sum(1)

    mistakes = {
        "these are nats: bits take the logarithm to the base 2": (
            lambda v, level: bits(v, level) * np.log(2)
        ),
        "the ½ is missing: variances are squares": lambda v, level: 2 * bits(v, level),
        "axes under water give no bits back: leave them out": (
            lambda v, level: 0.5 * (v / level).log2().sum(1)
        ),
        "the ratio is upside down: an axis needs more bits, the higher it stands": (
            lambda v, level: 0.5 * (level / v).clamp(min=1).log2().sum(1)
        ),
        "the sign is turned: bits are not negative": lambda v, level: -bits(v, level),
        "this is the distortion; asked for are the bits": (
            lambda v, level: v.clamp(max=level).sum(1)
        ),
        "you took the mean over axes: bits add": lambda v, level: bits(v, level) / v.shape[1],
        "½ log2 v says nothing of the level: divide by it": (
            lambda v, level: 0.5 * v.clamp(min=level).log2().sum(1)
        ),
        "½ log2(1 + v/θ) is another formula, that of a channel; here it is ½ log2(v/θ)": (
            lambda v, level: 0.5 * (1 + v / level).log2().sum(1)
        ),
    }
    generator = np.random.default_rng(22)
    cases = [
        (torch.from_numpy(generator.gamma(1.0, 2.0, (4, n))), level)
        for n, level in ((6, 0.5), (9, 1.7))
    ]
    exercise(answer, bits, mistakes, cases)
