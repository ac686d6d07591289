from __future__ import annotations

import contextlib
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import decode_json, encode_json, encode_json_sorted


class Shape(msgspec.Struct):
    items: list[int]


class Word(msgspec.Struct):
    name: Literal["a", "b"]


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b'"\xed\xa0\x80"', b"[1,]", b"nul", b"[" * 100_000, b'{"a":' * 50_000, b"\x00", b"1e400x"],
)
def test_defective_json_is_invalid_input(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_json(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_invalid_input(data: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        assert decode_json(encode_json(decode_json(data))) == decode_json(data)


def test_the_path_of_a_wrong_value_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_json(b'{"items":[1,"x"]}', Shape)
    assert caught.value.field == "items[1]"


def test_sorted_encoding_does_not_depend_on_order() -> None:
    assert encode_json_sorted({"b": 1, "a": {"d": 1, "c": 2}}) == encode_json_sorted({"a": {"c": 2, "d": 1}, "b": 1})


def test_a_message_never_repeats_a_whole_value() -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_json(b'{"name": "' + b"7" * 100_000 + b'"}', Word)
    assert len(refused.value.message) < 500
    assert refused.value.message.endswith("at `$.name`")
    assert refused.value.field == "name"
