"""Input schemas: errors name the fields, schemas are checked when they are saved, nothing is fetched or runs away."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.schemas import check_input, check_schema

ORDER = {
    "type": "object",
    "required": ["qty"],
    "properties": {
        "qty": {"type": "integer", "minimum": 1},
        "price": {"type": "number", "multipleOf": 0.01},
        "legs": {"type": "array", "items": {"$ref": "#/$defs/leg"}},
    },
    "additionalProperties": False,
    "$defs": {"leg": {"type": "object", "properties": {"side": {"enum": ["buy", "sell"]}}}},
}


def errors_of(schema: Any, payload: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as failure:
        check_input(schema, payload)
    return {error["path"]: error["message"] for error in failure.value.details["errors"]}


def test_what_fits() -> None:
    check_schema(ORDER)
    for payload in ({"qty": 1}, {"qty": 1.0, "price": 0.07, "legs": [{"side": "buy"}]}):
        check_input(ORDER, payload)
    schemas: list[Any] = [None, True, {}]
    for schema in schemas:
        check_schema(schema)
        check_input(schema, {"anything": [None]})


def test_each_field_that_does_not_fit_is_named() -> None:
    payload = {"qty": 0, "price": 0.071, "legs": [{}, {"side": "hold"}]}
    assert errors_of(ORDER, payload) == {
        "qty": "0 is less than the minimum of 1",
        "price": "0.071 is not a multiple of 0.01",
        "legs[1].side": "'hold' is not one of ['buy', 'sell']",
    }
    assert errors_of(ORDER, {}) == {"": "'qty' is a required property"}


def test_the_first_ten_errors_are_told_and_long_values_are_shortened() -> None:
    with pytest.raises(InvalidInput) as failure:
        check_input({"items": {"type": "string"}}, [{"x": "y" * 100_000}, *range(50)])
    assert len(failure.value.details["errors"]) == 10
    assert failure.value.field == "[0]"
    assert len(failure.value.message) < 500


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"type": "nope"}, "type"),
        ({"properties": {"a": {"minimum": "x"}}}, "properties.a.minimum"),
        ({"pattern": "("}, "pattern"),
        ({"patternProperties": {"(": {}}}, "patternProperties"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "$ref"),
        ({"$ref": "ftp://example.com/schema"}, "$ref"),
        ({"anyOf": [{"$ref": "other.json"}]}, "anyOf[0].$ref"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "properties.a.$ref"),
        ({"$schema": "http://example.com/mine"}, "input_schema"),
        ({"$schema": 5}, "input_schema"),
        ({"$id": 5}, "$id"),
        ([], "input_schema"),
        ("object", "input_schema"),
        ({"const": object()}, "input_schema"),
    ],
)
def test_a_schema_is_checked_when_it_is_saved(schema: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as failure:
        check_schema(schema)
    assert failure.value.field == field


def test_words_of_a_schema_may_be_names_and_data() -> None:
    check_schema({"properties": {"$ref": {"type": "string"}, "pattern": {}}, "const": {"$ref": "http://x"}})
    check_schema(
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}, "$ref": "#/definitions/a"}
    )


def test_a_reference_is_never_fetched_even_if_it_was_not_checked() -> None:
    with pytest.raises(InvalidInput, match="is not in it"):
        check_input({"$ref": "http://127.0.0.1:9/schema"}, 1)


DOUBLING = {
    "$ref": "#/$defs/d0",
    "$defs": {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)} | {"d40": {}},
}


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ({"pattern": "^(x+)+$"}, "x" * 50 + "!"),
        ({"patternProperties": {"^(x+)+$": {}}}, {"x" * 50 + "!": 1}),
        (DOUBLING, 1),
        ({"$ref": "#"}, 1),
        ({"uniqueItems": True}, [{"a": number} for number in range(20_000)]),
    ],
)
def test_what_explodes_is_stopped(schema: Any, payload: Any) -> None:
    check_schema(schema)
    begun = time.monotonic()
    with pytest.raises(InvalidInput, match="could not be checked"):
        check_input(schema, payload)
    assert time.monotonic() - begun < 26
    check_input(ORDER, {"qty": 1})


def test_values_that_are_too_deep_or_no_json() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    for payload in (deep, "\ud800", object(), 1e300):
        with pytest.raises(InvalidInput):
            check_input({"type": "null", "multipleOf": 1e-300}, payload)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", ["2024-02-29"], ["2023-02-29", "2024-2-9", "20240229", "2024-02-29T00:00:00Z", ""]),
        ("time", ["23:59:60Z", "08:30:06.5+02:00"], ["24:00:00Z", "08:30", "08:30:06", "8:30:06Z"]),
        (
            "date-time",
            ["2024-02-29T23:59:59.123456789Z"],
            ["2023-02-29T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00"],
        ),
        ("duration", ["P1Y2M3DT4H", "P4W", "PT36H"], ["P", "PT", "P1H", "1D", "P1WT1H"]),
        ("email", ["ada.l@example.com", "a@b"], ["ada", "@b.c", "a@", "a b@c.d", "a@b..c", "a@-b.c"]),
        ("hostname", ["a.example.com", "localhost"], ["", "a..b", "-a", "a_b", "a." + "b" * 64]),
        ("ipv4", ["10.0.0.255"], ["10.0.0.256", "10.0.0", "::1"]),
        ("ipv6", ["::1", "2001:db8::7"], ["10.0.0.1", "::g", "fe80::1%eth0"]),
        (
            "uri",
            ["https://example.com/a?b=%20#c", "urn:x:y", "http://[::1]:80/"],
            ["example.com", "http://a b", "http://[", "x:é"],
        ),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000", "x" * 36]),
        ("regex", ["^a+$"], ["(", "[z-a]"]),
    ],
)
def test_well_known_formats_are_checked(name: str, good: list[str], bad: list[str]) -> None:
    schema = {"properties": {"at": {"format": name}}}
    for text in [*good, 7, None, ["x"]]:
        check_input(schema, {"at": text})
    for text in bad:
        assert errors_of(schema, {"at": text}) == {"at": f"{text!r} is not a {name!r}"}


def test_a_format_that_nobody_knows_is_a_remark() -> None:
    check_input({"format": "colour-of-the-day"}, "mauve")
