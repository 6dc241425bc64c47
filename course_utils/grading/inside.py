"""What runs in the sandbox beside the student's code: limits, the kernel, answers to calls.

Nothing here is secret, and nothing here is trusted: a student's code may change all of it. Tests
run elsewhere and believe only the values that come back.
"""

import base64
import json
import sys
from collections import namedtuple
from collections.abc import Callable

import numpy as np
import torch
from IPython import get_ipython
from torch import Tensor

Value = object
LARGEST = 64_000_000  # bytes of one array that travels


def pack(value: Value) -> object:
    """Return value as what JSON can hold: tensors, arrays, numbers, text, bytes, None, and
    tuples, named ones too, lists, sets and dictionaries of these. Anything else travels as the
    name of its type. Of a tensor's graph it is told whether there is one, as requires_grad.
    """
    match value:
        case np.generic():
            return ["scalar", *_raw(np.asarray(value))]
        case bool() | int() | str() | None:
            return ["plain", value]
        case float():
            return ["float", value.hex()]
        case bytes():
            return ["bytes", base64.b64encode(value).decode()]
        case Tensor():
            dtype = str(value.dtype).removeprefix("torch.")
            return ["tensor", *_raw(_as_array(value)), dtype, value.requires_grad]
        case complex():
            return ["complex", value.real.hex(), value.imag.hex()]
        case np.ndarray():
            return ["array", *_raw(value)]
        case tuple() if hasattr(value, "_fields"):
            items = [pack(item) for item in value]
            return ["named", type(value).__name__, [str(field) for field in value._fields], items]
        case tuple():  # torch.Size among them
            return ["tuple", [pack(item) for item in value]]
        case list():
            return ["list", [pack(item) for item in value]]
        case set() | frozenset():
            return ["set", [pack(item) for item in value]]
        case dict():
            return ["dict", [[pack(key), pack(item)] for key, item in value.items()]]
    return ["other", type(value).__name__]


def _as_array(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor, whatever it is made of; NumPy has no bfloat16."""
    dense = tensor.detach().cpu().to_dense().resolve_conj().resolve_neg()
    return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()


def _raw(array: np.ndarray) -> tuple[str, list[int], str]:
    if array.dtype.kind not in "biufc" or array.nbytes > LARGEST:
        raise ValueError(f"an array of {array.dtype} and {array.nbytes} bytes is not taken")
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return array.dtype.str, list(array.shape), data


def unpack(packed: object) -> Value:
    """Return the value that `pack` packed; an unknown one is an object of a class of that name.

    Raises ValueError, KeyError or TypeError on anything that `pack` does not write.
    """
    kind, *rest = packed
    match kind:
        case "plain":
            return rest[0]
        case "float":
            return float.fromhex(rest[0])
        case "bytes":
            return base64.b64decode(rest[0])
        case "tensor":
            *raw, dtype, has_graph = rest
            tensor = torch.from_numpy(_array(*raw))
            tensor = tensor.bfloat16() if dtype == "bfloat16" else tensor
            can_have = tensor.is_floating_point() or tensor.is_complex()
            return tensor.requires_grad_() if has_graph and can_have else tensor
        case "complex":
            return complex(*map(float.fromhex, rest))
        case "array":
            return _array(*rest)
        case "scalar":
            return _array(*rest)[()]
        case "named":
            return namedtuple(str(rest[0]), rest[1], rename=True)(*map(unpack, rest[2]))
        case "set":
            return set(map(unpack, rest[0]))
        case "tuple":
            return tuple(unpack(item) for item in rest[0])
        case "list":
            return [unpack(item) for item in rest[0]]
        case "dict":
            return {unpack(key): unpack(item) for key, item in rest[0]}
        case "other":
            return type(str(rest[0]), (), {})()
    raise ValueError(f"a value of kind {kind!r} is not known")


def _array(dtype: str, shape: list[int], data: str) -> np.ndarray:
    if np.dtype(dtype).kind not in "biufc":
        raise ValueError(f"an array of {dtype} is not taken")
    return np.frombuffer(base64.b64decode(data), dtype).reshape(shape).copy()


def answer(function: object, packed: str) -> str:
    """Call a student's function with packed arguments; return, packed, what came of it.

    That is ["value", result, arguments], the arguments as the function left them, or ["error",
    name of the exception, its text].
    """
    arguments, named = unpack(json.loads(packed))
    try:
        result = function(*arguments, **named)
        return json.dumps(["value", pack(result), pack(arguments)])
    except BaseException as error:  # noqa: BLE001 - whatever it was, it is told
        return json.dumps(["error", type(error).__name__, str(error)[:2000]])


def lent(name: str) -> Callable:
    """Return a function that asks the judge for what the author's answer of this name gives.

    The author's code is not here. Raises what the author's function raises.
    """

    def ask(*arguments: Value, **named: Value) -> Value:
        packed = json.dumps(["tuple", [pack(arguments), pack(named)]])
        reply = get_ipython().kernel.raw_input(json.dumps([name, packed]))
        kind, *rest = json.loads(reply)
        if kind == "error":
            raise RuntimeError(": ".join(rest))
        return unpack(rest[0])

    return ask


def limit(memory: int, file: int) -> None:
    """Bound this process and its children: bytes of private memory, bytes of one file.

    Windows has no such bounds; there only those of the watcher hold.
    """
    try:
        import resource
    except ImportError:
        return
    bounds = {
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_FSIZE: file,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 512,
    }
    for kind, most in bounds.items():
        resource.setrlimit(kind, (most, most))


def main(memory: str, file: str, connection: str) -> None:
    """Run an IPython kernel within the limits."""
    limit(int(memory), int(file))
    from ipykernel.kernelapp import launch_new_instance  # after the limits

    launch_new_instance(["-f", connection, "--HistoryManager.enabled=False"])


if __name__ == "__main__":
    main(*sys.argv[1:])
