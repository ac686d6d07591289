from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.kernel.errors import InvalidInput
from gesta.ledger.cursor import decode_cursor, encode_cursor
from gesta.ledger.query import Cursor

numbers = st.integers(-(1 << 63), (1 << 63) - 1)


@given(numbers, numbers)
def test_a_cursor_reads_back(created_at_us: int, row: int) -> None:
    text = encode_cursor(Cursor(created_at_us, row))
    assert text.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor(text) == Cursor(created_at_us, row)


@given(st.text(max_size=60))
def test_any_other_text_is_invalid_input(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert decode_cursor(encode_cursor(decode_cursor(text))) == decode_cursor(text)


@pytest.mark.parametrize("text", ["", "AAAA", "MgAAAAAAAAAAAAAAAAAAAAA", "é" * 23])
def test_defects(text: str) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor(text)
