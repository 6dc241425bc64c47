"""One loop and one step for all training of the course: minibatches, a progress bar, a history.

A step is a function of the state and a minibatch; it returns the new state and the figures worth
watching. The loop knows nothing of what is trained.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import SimpleNamespace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

State = TypeVar("State")
Batch = TypeVar("Batch")
Item = TypeVar("Item")


def minibatches(count: int, size: int, generator: np.random.Generator) -> Iterator[Tensor]:
    """Yield indices (size,) of minibatches out of count examples, for ever.

    Each pass over the examples is in a fresh random order; the rest that does not fill a minibatch
    is left out of that pass. Raises ValueError if size is not in 1..count.
    """
    if not 1 <= size <= count:
        raise ValueError(f"a minibatch of {size} cannot be drawn from {count} examples")
    while True:
        order = torch.from_numpy(generator.permutation(count))
        yield from order[: count - count % size].split(size)


def progress(items: Iterable[Item], total: int) -> Iterable[Item]:
    """Hand out items behind a progress bar, which shows after two seconds and goes at the end.

    In a notebook the bar never flushes: what is printed there is sent several times a second
    anyway, while a flush may wait ten seconds for the kernel's sending thread.
    """
    quiet = SimpleNamespace(write=sys.stdout.write, flush=lambda: None, encoding="utf-8")
    out = sys.stdout if sys.stdout.isatty() else quiet
    return tqdm(items, total=total, leave=False, file=out, mininterval=0.5, delay=2)


def fit(
    step: Callable[[State, Batch], tuple[State, dict[str, float]]],
    state: State,
    batches: Iterator[Batch],
    steps: int,
) -> tuple[State, dict[str, np.ndarray]]:
    """Take steps steps, each on the next batch, with a progress bar that goes when it is done.

    Returns the last state and, for each figure that step names, its history (steps,).
    Raises FloatingPointError, with the step's number, as soon as a figure is not finite.
    """
    history: dict[str, list[float]] = {}
    for k, batch in enumerate(progress(islice(batches, steps), steps)):
        state, figures = step(state, batch)
        for name, value in figures.items():
            if not np.isfinite(value):
                cure = (
                    "try a smaller step size" if k else "look at what comes in: nan, huge, or all 0"
                )
                raise FloatingPointError(f"step {k}: {name} is {value}; {cure}")
            history.setdefault(name, []).append(float(value))
    return state, {name: np.array(values) for name, values in history.items()}


def descent_step(
    criteria: Callable[[Module, Batch], dict[str, Tensor]],
    weights: dict[str, float],
    optimizer: Optimizer,
    scheduler: LRScheduler,
    after: Callable[[Module], None] = lambda net: None,
) -> Callable[[Module, Batch], tuple[Module, dict[str, float]]]:
    """Return a step for `fit`: one of the optimizer down the weighted criteria, then `after`.

    criteria: of a network and a minibatch, by name, each a number; one without a weight is only
    watched. The step returns the network, and the criteria before it. Raises KeyError if a weight
    names no criterion.
    """

    def step(net: Module, batch: Batch) -> tuple[Module, dict[str, float]]:
        values = criteria(net, batch)
        optimizer.zero_grad()
        sum(weight * values[name] for name, weight in weights.items()).backward()
        optimizer.step()
        scheduler.step()
        after(net)
        return net, {name: value.item() for name, value in values.items()}

    return step
