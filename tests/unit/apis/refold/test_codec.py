"""Refold's execution objects in and out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.common.posted import as_recorded
from gesta.apis.refold.codec import Scope, decode, encode_detail, encode_item
from gesta.apis.refold.vocabulary import (
    MODES_OF,
    NODE_STATUS_IN,
    NODE_STATUS_OUT,
    SOURCE_OUT,
    STATUS_IN,
    STATUS_OUT,
    STATUSES_OF,
    node_status_out,
)
from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import decode_json, encode_json
from gesta.kernel.slugs import slug_of
from gesta.ledger.records import Execution, Mode, Named, RunDetail, RunNode, Source, Status

ORGANIZATION = "org_00000000000000000001"
BASE: dict[str, Any] = {
    "_id": "65410cf6cdf931a12d7ab009",
    "createdAt": "2023-10-31T14:19:34.788Z",
    "status": "ERRORED",
}
FULL: dict[str, Any] = BASE | {
    "id": "65410cf6cdf931a12d7ab009",
    "name": "Execution for workflow 64f7258e35b72267edc02589",
    "org_id": "64aa",
    "associated_application": {"_id": "64f6", "name": "HubSpot", "icon": "https://icons/hubspot.png", "slug": "hub"},
    "associated_workflow": {"_id": "64f7258e35b72267edc02589", "name": "Create Contact", "icon": ""},
    "associated_trigger_application": {
        "_id": "64f9",
        "name": "Stripe",
        "icon": "",
        "app_type": "custom",
        "origin_trigger": {"_id": "1", "name": "charge"},
    },
    "trigger_application_event": "charge.created",
    "linked_account_id": "markwood@some_email.com",
    "environment": "test",
    "config_id": "config_12345",
    "associated_event_id": "6523dfdeffed0fb7e2c3b90e",
    "custom_trigger_id": None,
    "custom_application_id": "c1",
    "type_of_execution": "SYNC",
    "completion_time": "2023-10-31T14:19:36.000Z",
    "instance_execution_time": 1211.5,
    "updatedAt": "2023-10-31T14:19:36.001Z",
    "completion_percentage": 50,
    "nodes": [
        {
            "node_id": "1",
            "node_name": "Start",
            "node_type": "start",
            "node_status": "Success",
            "is_batch": False,
            "attempts_made": 1,
            "maximum_attempts": 1,
            "execution_time": 3,
            "input_data": {"a": [1, None]},
            "latest_output": {"b": 2},
        },
        {"node_id": "2", "node_status": "Errored", "current_status": "Errored", "execution_time": 1.5},
    ],
    "something_new": {"kept": True},
}


def account_of(name: str = "default", environment: Environment = Environment.PRODUCTION) -> Account:
    return Account(id=7, organization=1, name=name, type=AccountType.LINKED, environment=environment)


def recorded(posted: dict[str, Any]) -> tuple[Execution, Scope]:
    """The posted object as it stands in the ledger."""
    decoded = decode(posted, now_us=0, organization=ORGANIZATION)
    account = account_of(decoded.account_name, decoded.environment)
    new = decoded.row(account)
    return msgspec.structs.replace(as_recorded(new), wire=new.wire), Scope.of(account, ORGANIZATION)


def run(**fields: Any) -> Execution:
    row, _ = recorded(BASE)
    return msgspec.structs.replace(row, wire=None, **fields)


SCOPE = Scope(organization=ORGANIZATION, linked_account="default", environment="production")


def test_a_whole_object_is_read() -> None:
    decoded = decode(FULL, now_us=0, organization=ORGANIZATION)
    assert (decoded.account_name, decoded.account_type) == ("markwood@some_email.com", AccountType.LINKED)
    assert decoded.environment is Environment.TEST
    row = decoded.row(account_of())
    assert row.id == FULL["_id"]
    assert row.account == 7
    assert row.origin == "refold"
    assert row.name == "Create Contact"
    assert row.status is Status.FAILED
    assert row.source is Source.EVENT
    assert row.mode is Mode.SYNC
    assert row.created_at_us == 1_698_761_974_788_000
    assert row.finished_at_us == 1_698_761_976_000_000
    assert row.updated_at_us == 1_698_761_976_001_000
    assert row.correlation == {
        "workflow_id": "64f7258e35b72267edc02589",
        "event_id": "6523dfdeffed0fb7e2c3b90e",
        "application": "hub",
    }
    assert isinstance(row.detail, RunDetail)
    assert row.detail.trigger_application == Named(id="64f9", name="Stripe")
    assert row.detail.nodes[0] == RunNode(
        id="1", name="Start", type="start", status="succeeded", attempts=1, duration_ms=3, input={"a": [1, None]},
        output={"b": 2},
    )  # fmt: skip
    assert row.detail.nodes[1].duration_ms == 1


def test_a_whole_object_comes_out_equal() -> None:
    row, scope = recorded(FULL)
    assert encode_detail(row, scope) == FULL
    item = {key: value for key, value in FULL.items() if key not in ("nodes", "completion_percentage")}
    assert encode_item(row, scope) == item


def test_the_derived_object_has_every_published_key() -> None:
    item = encode_item(run(), SCOPE)
    assert item == {
        "_id": "65410cf6cdf931a12d7ab009",
        "id": "65410cf6cdf931a12d7ab009",
        "name": "Execution for workflow ",
        "org_id": ORGANIZATION,
        "associated_application": {"_id": "", "name": "", "icon": ""},
        "status": "ERRORED",
        "associated_workflow": {"_id": "", "name": "", "icon": ""},
        "associated_trigger_application": None,
        "trigger_application_event": "API Call",
        "linked_account_id": "default",
        "environment": "production",
        "config_id": None,
        "associated_event_id": None,
        "custom_trigger_id": None,
        "custom_application_id": None,
        "type_of_execution": "ASYNC",
        "completion_time": None,
        "instance_execution_time": None,
        "createdAt": "2023-10-31T14:19:34.788Z",
        "updatedAt": "2023-10-31T14:19:34.788Z",
    }


def test_a_rerun_says_so_and_durations_are_milliseconds() -> None:
    row = run(
        parent_id="p",
        detail=RunDetail(workflow=Named(id="w1")),
        started_at_us=1_698_761_975_000_000,
        finished_at_us=1_698_761_976_500_900,
    )
    item = encode_item(row, SCOPE)
    assert item["name"] == "Retry for workflow w1"
    assert item["completion_time"] == "2023-10-31T14:19:36.500Z"
    assert item["instance_execution_time"] == 1500


def test_nodes_stand_in_the_order_of_entry_and_give_the_progress() -> None:
    nodes = (
        RunNode(id="c", status="ready"),
        RunNode(id="b", status="running", started_at_us=2),
        RunNode(id="a", status="succeeded", started_at_us=1, max_attempts=3, attempts=2),
    )
    row = run(status=Status.RUNNING, detail=RunDetail(nodes=nodes))
    detail = encode_detail(row, SCOPE)
    assert [node["node_id"] for node in detail["nodes"]] == ["a", "b", "c"]
    assert [node["node_status"] for node in detail["nodes"]] == ["Success", "Ready", "Ready"]
    assert detail["nodes"][0]["maximum_attempts"] == 3
    assert detail["completion_percentage"] == 33
    assert encode_detail(msgspec.structs.replace(row, status=Status.SUCCEEDED), SCOPE)["completion_percentage"] == 100
    assert encode_detail(run(status=Status.SUCCEEDED), SCOPE)["completion_percentage"] == 100
    assert encode_detail(run(status=Status.FAILED), SCOPE)["completion_percentage"] == 0


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({}, Source.API),
        ({"associated_event_id": "e"}, Source.EVENT),
        ({"trigger_application_event": "Schedule", "associated_event_id": "e"}, Source.SCHEDULE),
        ({"trigger_application_event": "API Call", "associated_event_id": "e"}, Source.API),
        ({"trigger_application_event": "API_CALL"}, Source.API),
        ({"trigger_application_event": "New Contact"}, Source.EVENT),
    ],
)
def test_the_source_is_read_from_the_trigger(fields: dict[str, Any], source: Source) -> None:
    assert recorded(BASE | fields)[0].source is source


@pytest.mark.parametrize(
    ("plain", "named"),
    [("hubspot", Named(name="hubspot")), ("64f6d9f33234d3d6419cfdbc", Named(id="64f6d9f33234d3d6419cfdbc"))],
)
def test_the_obsolete_plain_references_are_read_and_given_back(plain: str, named: Named) -> None:
    row, scope = recorded(BASE | {"associated_application": plain, "associated_workflow": plain})
    assert isinstance(row.detail, RunDetail)
    assert row.detail.application == row.detail.workflow == named
    assert encode_item(row, scope)["associated_application"] == plain


def test_a_queued_execution_is_printed_as_clients_know_it() -> None:
    row, scope = recorded(BASE | {"status": "QUEUED"})
    assert row.status is Status.QUEUED
    assert encode_item(row, scope)["status"] == "RUNNING"


def test_every_word_has_a_place() -> None:
    assert set(STATUS_OUT) == set(Status)
    assert set(SOURCE_OUT) == set(Source)
    assert set(STATUSES_OF) == {"COMPLETED", "ERRORED", "RUNNING", "STOPPED", "STOPPING", "TIMED_OUT"}
    assert set(MODES_OF) == {"SYNC", "ASYNC"}
    for word, status in STATUS_IN.items():
        assert STATUS_OUT[status] == ("RUNNING" if word == "QUEUED" else word)
    for word, node_status in NODE_STATUS_IN.items():
        assert NODE_STATUS_OUT[node_status] == word
    assert node_status_out("something of tomorrow") == "Ready"


def test_slugs_are_compared_by_letters_and_digits() -> None:
    assert slug_of("Google Sheets") == slug_of("google_sheets") == slug_of("GOOGLE-SHEETS") == "googlesheets"
    assert slug_of("__") == ""
    assert len(slug_of("x" * 1000)) == 128


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"_id": None}, "_id"),
        ({"_id": ""}, "_id"),
        ({"_id": 7}, "_id"),
        ({"_id": "a\0"}, None),
        ({"_id": "a/b"}, "_id"),
        ({"_id": "x" * 129}, "_id"),
        ({"createdAt": None}, "createdAt"),
        ({"createdAt": "2023-02-30T00:00:00Z"}, "createdAt"),
        ({"createdAt": "0001-01-01T00:00:00+23:59"}, "createdAt"),
        ({"createdAt": 1_698_761_974}, "createdAt"),
        ({"status": None}, "status"),
        ({"status": "DONE"}, "status"),
        ({"status": "completed"}, "status"),
        ({"status": ["COMPLETED"]}, "status"),
        ({"environment": "staging"}, "environment"),
        ({"type_of_execution": "sync"}, "type_of_execution"),
        ({"linked_account_id": 7}, "linked_account_id"),
        ({"linked_account_id": "x" * 257}, "linked_account_id"),
        ({"config_id": 12345}, "config_id"),
        ({"name": {}}, "name"),
        ({"associated_workflow": 7}, "associated_workflow"),
        ({"associated_workflow": {"_id": 7}}, "associated_workflow._id"),
        ({"associated_application": {"slug": []}}, "associated_application.slug"),
        ({"nodes": {}}, "nodes"),
        ({"nodes": [7]}, "nodes[0]"),
        ({"nodes": [{}, {"node_status": "Running"}]}, "nodes[1].node_status"),
        ({"nodes": [{"attempts_made": -1}]}, "nodes[0].attempts_made"),
        ({"nodes": [{"execution_time": -1}]}, "nodes[0].execution_time"),
        ({"nodes": [{"is_batch": 1}]}, "nodes[0].is_batch"),
        ({"custom_trigger_id": 7}, "custom_trigger_id"),
        ({"instance_execution_time": "fast"}, "instance_execution_time"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], field: str | None) -> None:
    with pytest.raises(InvalidInput) as raised:
        decode(BASE | fields, now_us=0, organization=ORGANIZATION)
    assert field is None or raised.value.field == field


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from([*FULL, "docs", "extra"])


@given(st.dictionaries(known_keys | st.text(max_size=6), json_values, max_size=6), st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_object_gives_a_row_that_prints_or_one_error(posted: dict[str, Any], based: bool) -> None:
    whole = BASE | posted if based else posted
    try:
        row, scope = recorded(whole)
    except InvalidInput:
        return
    printed = decode_json(encode_json(encode_detail(row, scope)))
    expected = decode_json(encode_json({**whole, "status": encode_item(row, scope)["status"]}))
    expected = {"completion_percentage": 0 if row.status is not Status.SUCCEEDED else 100, "nodes": []} | expected
    assert printed == expected


accepted = st.fixed_dictionaries(
    {
        "_id": st.from_regex(r"[0-9a-f]{24}", fullmatch=True),
        "createdAt": st.datetimes().map(lambda moment: moment.strftime("%4Y-%m-%dT%H:%M:%S.%f")[:23].zfill(23) + "Z"),
        "status": st.sampled_from(sorted(set(STATUS_IN) - {"QUEUED"})),
    },
    optional={key: st.just(value) for key, value in FULL.items() if key not in BASE}
    | {"environment": st.sampled_from(["test", "production"]), "config_id": st.none() | st.text(max_size=5)},
)


@given(accepted)
@settings(max_examples=200, deadline=None)
def test_what_is_accepted_comes_out_equal(posted: dict[str, Any]) -> None:
    try:
        row, scope = recorded(posted)
    except InvalidInput:
        assert "\0" in (posted.get("config_id") or "")
        return
    assert encode_item(row, scope) == {
        key: value for key, value in posted.items() if key not in ("nodes", "completion_percentage")
    }
    assert encode_detail(row, scope).items() >= posted.items()
