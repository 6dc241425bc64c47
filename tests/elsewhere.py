"""A device that this machine does not have: real tensors that say they lie on "meta".

It computes on the CPU and refuses, as a GPU does, to work on tensors of two devices at once. What
depends on values (a guard, a loop until convergence) runs, which it does not on PyTorch's own
`meta` device or with its fake tensors.
"""

from typing import Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
# What a GPU takes from the CPU: indices in brackets, and what is copied over.
MIXING = {aten.index, aten.index_put, aten.index_put_, aten.copy_, aten._to_copy}


class Remote(torch.Tensor):
    """A tensor on the other device: `inner` holds its numbers."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Self:
        inner = inner.resolve_conj()
        remote = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device="meta",
        )
        remote.inner = inner
        return remote

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return carried_out(function, args, kwargs or {})

    @property
    def data(self) -> "Remote":
        return Remote(self.inner.detach())

    @data.setter
    def data(self, new: "Remote") -> None:
        self.inner = new.inner.detach()

    def tolist(self) -> list:
        return self.inner.tolist()

    def __repr__(self) -> str:
        return f"Remote({self.inner!r})"


class Elsewhere(TorchDispatchMode):
    """While it lasts, what is made with `device="meta"` is a Remote, too."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return carried_out(function, args, kwargs or {})


def carried_out(function, args: tuple, kwargs: dict) -> object:
    """Carry out one operation of PyTorch, on the device of what it is given, or as it is told."""
    given = [a for a in tree_leaves((args, kwargs)) if torch.is_tensor(a)]
    away = [isinstance(a, Remote) for a in given]
    if any(away) and function.overloadpacket not in MIXING:
        here = [tuple(a.shape) for a in given if not isinstance(a, Remote) and a.ndim]
        if here:
            raise RuntimeError(f"{function}: tensors {here} lie on the CPU, the others elsewhere")
    told = kwargs.get("device")
    kwargs = kwargs | ({"device": "cpu"} if told is not None else {})
    out = function(*tree_map(local, args), **tree_map(local, kwargs))
    remote = any(away) if told is None else torch.device(told).type == "meta"
    if not remote:
        return out
    own = {id(local(a)): a for a in given}  # an operation in place hands on what it was given
    return tree_map(lambda a: own.get(id(a), Remote(a)) if torch.is_tensor(a) else a, out)


def local(a: object) -> object:
    """Return what lies here: the numbers of a Remote, or what it is that was given."""
    return a.inner if isinstance(a, Remote) else a


def there(a: torch.Tensor) -> torch.Tensor:
    """Return a copy of a tensor on the other device."""
    return Remote(a.detach().clone())
