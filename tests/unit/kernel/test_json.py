from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import decode_json, decode_json_exact, encode_json, encode_json_sorted


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


def test_exact_numbers_keep_their_digits() -> None:
    text = b'{"a": 5804.250000000000000000001, "b": 1, "c": 1e3, "d": [0.10]}'
    assert decode_json_exact(text) == {
        "a": Decimal("5804.250000000000000000001"),
        "b": 1,
        "c": Decimal("1E+3"),
        "d": [Decimal("0.10")],
    }


@pytest.mark.parametrize("text", [b"1e99999999999999999999", b"NaN", b"[Infinity]", b"{", b"", b"[" * 10_000])
def test_what_is_no_exact_number_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_json_exact(text)
