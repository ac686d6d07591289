"""The execution codec: tables, placeholders, refusals, and laws that hold for any object."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.b3os import codec
from gesta.apis.common.posted import as_recorded
from gesta.kernel.errors import InvalidInput
from gesta.ledger.lifecycle import check_birth
from gesta.ledger.records import Execution, Kind, Named, NewExecution, RunDetail, Source, Status

NOW_US = 1_760_000_000_000_000
ORGANIZATION = "org_1"
ACCOUNT = Account(id=7, organization=1, name="default", type=AccountType.LINKED, environment=Environment.PRODUCTION)
BARE = {"id": "e1", "status": "workflow_running"}
TEXTS = (
    "checkoutSessionId externalRef idempotencyKey initiatedById initiatedByType orderId organizationId paymentStatus "
    "runId sourceEntityId sourceEntityType sourceSystem statusReason workflowId"
)
OBJECTS = ("clientSafeMetadata", "requestPayload", "responsePayload")
TIMES = ("createdAt", "startedAt", "finishedAt", "updatedAt")


def recorded(posted: Any) -> Execution:
    decoded = codec.decode(posted, now_us=NOW_US, organization=ORGANIZATION)
    stored = msgspec.json.decode(msgspec.json.encode(decoded.row(ACCOUNT)), type=NewExecution)
    check_birth(stored.kind, stored.status)
    return msgspec.structs.replace(as_recorded(stored), wire=stored.wire)


def derived(execution: Execution) -> dict[str, Any]:
    return codec.encode(msgspec.structs.replace(execution, wire=None), organization=ORGANIZATION)


def test_every_canonical_status_has_a_published_one() -> None:
    assert set(codec.STATUS_NAMES) == set(codec.MESSAGES) == set(Status)
    assert set(codec.STATUS_OF_NAME) == set(codec.STATUSES_OF_NAME)
    for name, statuses in codec.STATUSES_OF_NAME.items():
        assert codec.STATUS_OF_NAME[name] in statuses
    assert frozenset().union(*codec.STATUSES_OF_NAME.values()) == set(Status)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.STOPPING])
def test_a_status_comes_back_from_what_is_printed(status: Status) -> None:
    printed = derived(msgspec.structs.replace(recorded(BARE), status=status))
    assert recorded(printed).status is status


def test_a_timed_out_run_says_so() -> None:
    execution = msgspec.structs.replace(recorded(BARE), status=Status.TIMED_OUT)
    assert (derived(execution)["status"], derived(execution)["statusReason"]) == ("workflow_failed", "timed_out")


def test_runs_of_other_dialects_are_shown_with_what_they_have() -> None:
    detail = RunDetail(workflow=Named(id="wf_1", name="Sync"), error="node x failed", request_payload=[1, 2])
    shown = derived(msgspec.structs.replace(recorded(BARE), status=Status.FAILED, detail=detail))
    assert (shown["workflowId"], shown["statusReason"]) == ("wf_1", "node x failed")
    assert (shown["requestPayload"], shown["responsePayload"]) == ({"value": [1, 2]}, None)


def test_placeholders_are_unset_in_the_record() -> None:
    posted = BARE | dict.fromkeys(TEXTS.split(), "<string>") | dict.fromkeys(OBJECTS, "<object>")
    decoded = codec.decode(posted | dict.fromkeys(TIMES, "<string>"), now_us=NOW_US, organization=ORGANIZATION)
    assert (decoded.account_name, decoded.account_type) == ("default", AccountType.LINKED)
    row = decoded.row(ACCOUNT)
    assert row.detail == RunDetail()
    assert (row.created_at_us, row.started_at_us, row.finished_at_us) == (NOW_US, None, None)
    assert (row.correlation, row.kind, row.source, row.origin) == ({}, Kind.RUN, Source.API, "b3os")


def test_what_the_record_keeps() -> None:
    posted = {"workflowId": "wf_1", "externalRef": "ref", "orderId": "ord", "requestPayload": {"a": 1}}
    row = codec.decode(BARE | posted, now_us=NOW_US, organization=ORGANIZATION).row(ACCOUNT)
    assert row.correlation == {"workflow_id": "wf_1", "external_ref": "ref", "order_id": "ord"}
    assert isinstance(row.detail, RunDetail)
    assert (row.detail.workflow.id, row.detail.request_payload) == ("wf_1", {"a": 1})


@pytest.mark.parametrize(
    ("times", "created_at_us"),
    [
        ({}, NOW_US),
        ({"updatedAt": "1970-01-01T00:00:05Z", "startedAt": "1970-01-01T00:00:04Z"}, 4_000_000),
        ({"createdAt": "1970-01-01T00:00:09Z", "startedAt": "1970-01-01T00:00:04Z"}, 9_000_000),
        ({"createdAt": None, "finishedAt": "1970-01-01T01:00:04+01:00"}, 4_000_000),
    ],
)
def test_when_it_was_created(times: dict[str, Any], created_at_us: int) -> None:
    assert recorded(BARE | times).created_at_us == created_at_us


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", None),
        ("id", ""),
        ("id", 7),
        ("id", "a/b"),
        ("id", "a\tb"),
        ("id", "x" * 129),
        ("status", None),
        ("status", "<string>"),
        ("status", "running"),
        ("status", ["workflow_running"]),
        ("createdAt", "yesterday"),
        ("createdAt", 1705315800),
        ("createdAt", "<a string>"),
        ("startedAt", "2024-02-30T00:00:00Z"),
        ("finishedAt", "9999-12-31T23:59:59-14:00"),
        ("updatedAt", ""),
        ("workflowId", 5),
        ("workflowId", "x" * 257),
        ("externalRef", {}),
        ("organizationId", 1),
        ("paymentStatus", True),
        ("requestPayload", []),
        ("responsePayload", "text"),
        ("clientSafeMetadata", 0),
        ("requestPayload", {"a": ["\0"]}),
        ("requestPayload", {"a": -(2**70)}),
        ("requestPayload", {"a": float("inf")}),
    ],
)
def test_what_the_shape_does_not_allow_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        codec.decode(BARE | {field: value}, now_us=NOW_US, organization=ORGANIZATION)
    assert refused.value.field == field


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["<string>", "<object>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["id", "status", *TEXTS.split(), *OBJECTS, *TIMES]
anything = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), json_values)

plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
texts = st.none() | plain | st.just("<string>")
moments = st.none() | st.just("<string>") | st.datetimes().map(lambda moment: moment.isoformat() + "Z")
documents = st.none() | st.just("<object>") | st.dictionaries(plain, plain | st.booleans() | st.integers(-9, 9))
executions = st.fixed_dictionaries(
    {"id": st.from_regex(r"[A-Za-z0-9.<>_-]{1,20}", fullmatch=True)}
    | {"status": st.sampled_from(sorted(codec.STATUS_OF_NAME))},
    optional=dict.fromkeys(TEXTS.split(), texts)
    | dict.fromkeys(TIMES, moments)
    | dict.fromkeys(OBJECTS, documents)
    | {"unheardOf": plain},
)


@given(anything)
def test_any_object_gives_a_row_or_one_kind_of_error(posted: Any) -> None:
    try:
        execution = recorded(posted)
    except InvalidInput:
        return
    codec.encode(execution, organization=ORGANIZATION)


@given(executions)
def test_an_execution_comes_out_as_it_was_posted(posted: Any) -> None:
    assert codec.encode(recorded(posted), organization=ORGANIZATION) == posted


@given(executions)
def test_what_is_printed_reads_back_as_the_same_record(posted: Any) -> None:
    printed = derived(recorded(posted))
    again = recorded(printed)
    assert derived(again) == printed
    assert again.wire is None
