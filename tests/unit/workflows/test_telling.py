"""What a run's payloads look like in the record."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.kernel.json import decode_json, decode_json_exact, encode_json
from gesta.workflows.runs.telling import shown


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Decimal("3517.86"), 3517.86),
        (Decimal("389.0"), 389.0),
        (Decimal("-0.1"), -0.1),
        (Decimal("0.12345678901234567890"), "0.12345678901234567890"),
        (Decimal("1E+999"), "1E+999"),
        ({"a": [Decimal("1.5"), {"b": (Decimal("2.5"), "x")}], "n": None}, {"a": [1.5, {"b": [2.5, "x"]}], "n": None}),
        ("1.5", "1.5"),
        (7, 7),
        (True, True),
    ],
)
def test_a_number_stays_a_number_where_nothing_is_lost(value: object, kept: object) -> None:
    assert shown(value) == kept
    assert type(shown(value)) is type(kept)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=20,
    )
)
def test_what_was_read_exactly_is_kept_as_it_came(value: object) -> None:
    sent = encode_json(value)
    assert decode_json(encode_json(shown(decode_json_exact(sent)))) == decode_json(sent)
