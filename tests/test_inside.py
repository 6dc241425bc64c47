"""What a student's function returns comes out of the sandbox as it was, or under its own name."""

import json
from collections import Counter, OrderedDict, namedtuple

import numpy as np
import pytest
import torch

from course_utils.grading.inside import answer, pack, unpack

Point = namedtuple("Point", "x y")


def travelled(value: object) -> object:
    return unpack(json.loads(json.dumps(pack(value))))


PLAIN = {
    "none": None,
    "number": 3,
    "large": 10**40,
    "bool": True,
    "float": 0.1,
    "infinity": float("-inf"),
    "complex": 1 - 2j,
    "text": "λ · \u2028 'quoted'",
    "bytes": b"\0\xff",
    "size": torch.ones(2, 3).shape,
    "tuple": (1, (2.5, "a"), [None]),
    "named": Point(1, 2),
    "empty": (),
    "set": {1, 2},
    "dictionary": {"a": [1], (1, 2): {"b": 2.5}},
    "ordered": OrderedDict(b=1, a=2),
    "counter": Counter("abba"),
    "numpy-number": np.float32(0.1),
    "numpy-bool": np.bool_(True),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_value_comes_back_equal(kind):
    value = PLAIN[kind]
    assert travelled(value) == value


def test_nan_and_minus_zero_come_back():
    assert np.isnan(travelled(float("nan")))
    assert np.signbit(travelled(-0.0))


def test_the_fields_of_a_named_tuple_come_back():
    back = travelled(Point(torch.arange(2.0), "b"))
    assert (type(back).__name__, back._fields, back.y) == ("Point", ("x", "y"), "b")
    assert torch.equal(back.x, torch.arange(2.0))


DTYPES = [torch.float64, torch.float32, torch.float16, torch.int64, torch.uint8, torch.bool]
DTYPES += [torch.complex64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_a_tensor_and_an_array_keep_kind_and_shape(dtype, shape):
    value = torch.arange(6)[: int(np.prod(shape))].reshape(shape).to(dtype)
    back = travelled([value, value.numpy(), value.mT if value.ndim else value])
    assert back[0].dtype == dtype
    assert torch.equal(back[0], value)
    assert torch.equal(back[2], value.mT if value.ndim else value)
    assert isinstance(back[1], np.ndarray)


@pytest.mark.parametrize("has_graph", [False, True])
def test_a_tensor_says_whether_it_carries_a_graph(has_graph):
    value = 2 * torch.ones(2, requires_grad=has_graph)
    for back in (travelled(value), travelled((value, 1))[0], travelled(value.bfloat16())):
        assert back.requires_grad == has_graph
        assert torch.equal(back.detach().float(), 2 * torch.ones(2))


def test_whole_numbers_that_claim_a_graph_come_back_without_one():
    *packed, _ = pack(torch.arange(2))
    assert torch.equal(unpack([*packed, True]), torch.arange(2))


def test_tensors_that_numpy_does_not_know_come_back():
    assert torch.equal(travelled(torch.ones(2).bfloat16()), torch.ones(2).bfloat16())
    assert torch.equal(travelled(torch.eye(2).to_sparse()), torch.eye(2))
    assert torch.equal(travelled(torch.tensor([1j]).conj()), torch.tensor([-1j]))
    assert torch.equal(travelled(torch.ones(2).expand(3, 2)), torch.ones(3, 2))


@pytest.mark.parametrize(
    "value", [len, object(), (i for i in [1]), Point], ids=lambda v: type(v).__name__
)
def test_what_cannot_travel_is_said_by_its_name(value):
    assert type(travelled(value)).__name__ == type(value).__name__


def test_an_array_of_objects_is_refused_with_its_reason():
    kind, name, said = json.loads(answer(lambda: np.array([object()]), json.dumps(call())))
    assert (kind, name) == ("error", "ValueError")
    assert "object" in said


def call() -> list:
    return ["tuple", [pack(()), pack({})]]


def test_a_function_that_returns_itself_or_never_ends_is_an_error_and_no_crash():
    loop: list = []
    loop.append(loop)
    kind, name, _ = json.loads(answer(lambda: loop, json.dumps(call())))
    assert (kind, name) == ("error", "RecursionError")
