"""What may be a name, and when two are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.access.names import checked_label, checked_name, checked_time_zone, checked_username, name_key, possible
from gesta.kernel.errors import InvalidInput


@pytest.mark.parametrize(
    ("left", "right"),
    [("Sim101", "sIM101"), ("Straße", "STRASSE"), ("é", "e\u0301"), ("É", "e\u0301"), ("Ω", "ω"), ("ﬃ", "FFI")],
)
def test_names_that_differ_in_case_or_composition_are_one(left: str, right: str) -> None:
    assert name_key(left) == name_key(right)


@pytest.mark.parametrize(("left", "right"), [("Sim101", "Sim102"), ("e", "é"), ("a b", "a  b")])
def test_other_names_are_not(left: str, right: str) -> None:
    assert name_key(left) != name_key(right)


@given(st.text(max_size=60))
def test_a_key_is_its_own_key_and_case_does_not_change_it(name: str) -> None:
    assert name_key(name_key(name)) == name_key(name)
    assert name_key(name.casefold()) == name_key(name)


@pytest.mark.parametrize(
    "name", ["", " ", "\t", "\u2003", "a\x00b", "a\nb", "\x7f", "\x85", "\ud800", "a\u2028", "x" * 257]
)
def test_impossible_names_are_refused(name: str) -> None:
    assert not possible(name)
    with pytest.raises(InvalidInput) as caught:
        checked_name(name, field="account")
    assert caught.value.field == "account"


@pytest.mark.parametrize("name", ["x", "Sim101", "x" * 256, "markwood@some_email.com", "日本 口座", "👍", "a\u200db"])
def test_names_are_kept_as_they_are(name: str) -> None:
    assert checked_name(name, field="account") == name


@given(st.text(max_size=300))
def test_what_is_possible_can_be_stored(name: str) -> None:
    if possible(name):
        assert b"\x00" not in name.encode("utf-8")
        assert len(name_key(name).encode()) <= 2000


def test_a_username_has_no_colon() -> None:
    assert checked_username("admin") == "admin"
    with pytest.raises(InvalidInput, match="colon"):
        checked_username("ad:min")
    with pytest.raises(InvalidInput):
        checked_username("x" * 129)


def test_a_label_may_be_empty() -> None:
    assert checked_label("") == ""
    with pytest.raises(InvalidInput):
        checked_label("\n")


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "America", "UTC\x00", "a" * 65]
)
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_time_zone(zone)
    assert caught.value.field == "time_zone"


def test_time_zones_are_iana_names() -> None:
    assert checked_time_zone("America/Chicago") == "America/Chicago"
