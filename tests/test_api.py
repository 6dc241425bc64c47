"""What holds for every function that a notebook exported: one precision and one device, the
caller's; and the results of one are those of the other."""

import sys

import pytest
import torch
from calls import CALLS
from elsewhere import Elsewhere, Remote, local, there
from torch.utils._pytree import tree_leaves

# Plain words, not tensors, go in and come out: constants and types.
NOT_CALLED = {"Prox", "Step", "Criteria", "Criterion", "Pairs", "Loss", "BOUNDS", "LEVELS"}


def leaves(result):
    """The tensors and numbers of a result, in order."""
    return [a for a in tree_leaves(result) if torch.is_tensor(a) or isinstance(a, float)]


CASES = [
    pytest.param(module, name, id=f"{module.__name__.rsplit('.', 1)[1]}.{name}")
    for module, calls in CALLS.items()
    for name in calls(lambda a: a)
]


@pytest.mark.parametrize("module", CALLS, ids=lambda module: module.__name__)
def test_every_exported_name_is_called(module):
    assert set(CALLS[module](lambda a: a)) == set(module.__all__) - NOT_CALLED


@pytest.mark.parametrize(("module", "name"), CASES)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64], ids=str)
def test_one_precision_the_callers(module, name, kind):
    result = CALLS[module](lambda a: a.to(kind) if a.is_floating_point() else a)[name]()
    kinds = {a.dtype.to_real() for a in tree_leaves(result) if torch.is_tensor(a)}
    assert {k for k in kinds if k.is_floating_point} <= {kind}


@pytest.mark.parametrize(("module", "name"), CASES)
def test_one_device_the_callers_and_the_same_numbers(module, name, monkeypatch):
    module_of_optimizers = sys.modules["torch.optim.optimizer"]
    supported = "_get_fused_kernels_supported_devices"
    monkeypatch.setattr(module_of_optimizers, supported, lambda: ["cpu", "meta"])
    here = leaves(CALLS[module](lambda a: a)[name]())
    with Elsewhere():
        result = leaves(CALLS[module](there)[name]())
    assert all(isinstance(a, Remote) for a in result if torch.is_tensor(a))
    assert len(here) == len(result)
    for a, b in zip(here, result, strict=True):
        if torch.is_tensor(a):
            assert torch.allclose(a.to(local(b)), local(b).detach(), atol=1e-6, equal_nan=True)
        else:
            assert b == pytest.approx(a, nan_ok=True)


@pytest.mark.parametrize("careless", [lambda a: a + torch.ones(2), lambda a: a @ torch.eye(2)])
def test_a_function_that_makes_a_tensor_on_the_cpu_by_itself_is_caught(careless):
    with Elsewhere(), pytest.raises(RuntimeError, match="lie on the CPU"):
        careless(there(torch.ones(2, 2)))
