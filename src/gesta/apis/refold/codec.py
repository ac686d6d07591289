"""Refold's execution objects and the ledger's runs, each from the other. Pure (seed 004, protocols/refold.md §3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.common.overrides import capture, restore
from gesta.apis.common.posted import MAX_NAME, PostedObject, as_recorded, plain_object
from gesta.apis.common.services import Decoded
from gesta.apis.refold.inner_nodes import Entry
from gesta.apis.refold.vocabulary import (
    MODE_IN,
    MODE_OUT,
    NODE_OPEN,
    NODE_STATUS_IN,
    NODE_TYPE_OUT,
    SOURCE_IN,
    SOURCE_OUT,
    STATUS_IN,
    STATUS_OUT,
    node_status_out,
)
from gesta.kernel.errors import InvalidInput
from gesta.kernel.slugs import slug_of
from gesta.kernel.times import format_ms
from gesta.ledger.records import Execution, Mode, Named, NewExecution, RunDetail, RunNode, Source, Status

DIALECT = "refold"
ORIGIN = "refold"
DEFAULT_ACCOUNT = "default"
MAX_NODES = 10_000
# What the ledger takes as a name.
MAX_TITLE = 1024
_NO_REFERENCE = Named()
_NAMES = ("Execution for workflow ", "Retry for workflow ")
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Whose executions are printed: what each of them repeats."""

    organization: str
    linked_account: str
    environment: str

    @classmethod
    def of(cls, account: Account, organization: str) -> Scope:
        return cls(organization=organization, linked_account=account.name, environment=account.environment.value)


def encode_item(row: Execution, scope: Scope) -> dict[str, Any]:
    """An entry of `docs`: no nodes. What a posted object said stays as long as the record still says it."""
    return restore(row.wire, DIALECT, _item(row, scope))


def encode_detail(row: Execution, scope: Scope, inner: Sequence[Entry] = ()) -> dict[str, Any]:
    """The item with `completion_percentage` and `nodes`, as `GET …/execution/{id}` gives it. `inner` are the nodes that
    stand in a group, each with the time at which it was entered."""
    return restore(row.wire, DIALECT, _item(row, scope) | _progress(row, inner))


def _item(row: Execution, scope: Scope) -> dict[str, Any]:
    detail = _detail(row)
    started_at_us = row.created_at_us if row.started_at_us is None else row.started_at_us
    finished_at_us = row.finished_at_us
    created_at = format_ms(row.created_at_us)
    trigger = detail.trigger_application
    return {
        "_id": row.external_id,
        "id": row.external_id,
        "name": _name(row, detail),
        "org_id": scope.organization,
        "associated_application": _reference(detail.application or _NO_REFERENCE),
        "status": STATUS_OUT[row.status],
        "associated_workflow": _reference(detail.workflow),
        "associated_trigger_application": None if trigger is None else _reference(trigger),
        "trigger_application_event": SOURCE_OUT[row.source],
        "linked_account_id": scope.linked_account,
        "environment": scope.environment,
        "config_id": detail.config_id,
        "associated_event_id": detail.event_id,
        "custom_trigger_id": None,
        "custom_application_id": None,
        "type_of_execution": MODE_OUT[row.mode],
        "completion_time": None if finished_at_us is None else format_ms(finished_at_us),
        "instance_execution_time": None if finished_at_us is None else max(0, finished_at_us - started_at_us) // 1000,
        "createdAt": created_at,
        "updatedAt": created_at if row.updated_at_us == row.created_at_us else format_ms(row.updated_at_us),
    }


def _name(row: Execution, detail: RunDetail) -> str:
    """Gesta's own runs are named in Refold's words; what was recorded from elsewhere is named after its workflow."""
    if row.name.startswith(_NAMES):
        return row.name
    return f"{'Execution' if row.parent_id is None else 'Retry'} for workflow {detail.workflow.id}"


def _detail(row: Execution) -> RunDetail:
    assert isinstance(row.detail, RunDetail), "the dialect reads runs only"
    return row.detail


def _reference(named: Named) -> dict[str, Any]:
    return {"_id": named.id, "name": named.name, "icon": named.icon}


def _progress(row: Execution, inner: Sequence[Entry] = ()) -> dict[str, Any]:
    """`nodes` by the time at which each was entered, those not entered last. The percentage is of those on the top."""
    nodes = _detail(row).nodes
    entries = [*((node.started_at_us, _node(node)) for node in nodes), *inner]
    ordered = sorted(entries, key=lambda entry: (entry[0] is None, entry[0] or 0))
    closed = sum(node.status.lower() not in NODE_OPEN for node in nodes)
    percentage = 100 if row.status is Status.SUCCEEDED else 100 * closed // len(nodes) if nodes else 0
    return {"completion_percentage": percentage, "nodes": [node for _, node in ordered]}


def _node(node: RunNode) -> dict[str, Any]:
    return {
        "node_id": node.id,
        "node_name": node.name,
        "node_type": NODE_TYPE_OUT.get(node.type, node.type),
        "node_status": node_status_out(node.status),
        "is_batch": node.is_batch,
        "attempts_made": node.attempts,
        "maximum_attempts": node.max_attempts,
        "execution_time": node.duration_ms,
        "input_data": node.input,
        "latest_output": node.output,
    }


def decode(posted: Mapping[str, Any], *, now_us: int, organization: str) -> Decoded:
    """A posted item or detail object, read. `_id`, `createdAt` and `status` are needed, the rest is optional.

    Without `linked_account_id` the account is `default`; without `environment`, production. Keys that the dialect does
    not know are kept. `now_us` is not used: the object carries its own times. Raises InvalidInput.
    """
    plain = plain_object(posted)
    fields = PostedObject(plain)
    created_at_us, status = fields.time_us("createdAt"), fields.word("status", STATUS_IN)
    if created_at_us is None or status is None:
        missing = "status" if status is None else "createdAt"
        raise InvalidInput(f"`{missing}` is required.", field=missing)
    detail = _decode_detail(plain, fields)
    execution_id, name = fields.id("_id"), fields.text("name", max_length=MAX_TITLE)
    for key in ("id", "org_id", "custom_trigger_id", "custom_application_id"):
        fields.text(key)
    fields.decimal("instance_execution_time")
    fields.decimal("completion_percentage")
    updated_at_us = fields.time_us("updatedAt")
    base = NewExecution(
        id=execution_id,
        account=0,
        origin=ORIGIN,
        # The name in the ledger is the workflow's, so that a search by name finds it; Refold's own names only repeat
        # an id and are printed from it.
        name=detail.workflow.name or name or execution_id,
        status=status,
        source=_decode_source(fields, detail),
        mode=fields.word("type_of_execution", MODE_IN) or Mode.ASYNC,
        created_at_us=created_at_us,
        finished_at_us=fields.time_us("completion_time"),
        updated_at_us=created_at_us if updated_at_us is None else updated_at_us,
        correlation=correlation_of(detail, _application_slug(plain)),
        detail=detail,
    )

    def row(account: Account) -> NewExecution:
        new = msgspec.structs.replace(base, account=account.id)
        recorded = as_recorded(new)
        derived = _item(recorded, Scope.of(account, organization))
        derived |= {key: value for key, value in _progress(recorded).items() if key in plain}
        # The status is always the record's own: a posted QUEUED is printed in the words that clients know.
        return msgspec.structs.replace(new, wire=capture(DIALECT, plain | {"status": derived["status"]}, derived))

    named = fields.text("linked_account_id", max_length=MAX_NAME)
    return Decoded(
        account_name=named or DEFAULT_ACCOUNT,
        is_unnamed=not named,
        account_type=AccountType.LINKED,
        environment=fields.word("environment", {word.value: word for word in Environment}) or Environment.PRODUCTION,
        row=row,
    )


def correlation_of(detail: RunDetail, application_slug: str | None = None) -> dict[str, str]:
    """The ids by which the list filters. `application` is the comparable form of the application's slug, taken from
    its name where no slug is known."""
    named = application_slug or (detail.application.name if detail.application else "")
    found = {"workflow_id": detail.workflow.id, "event_id": detail.event_id, "application": slug_of(named)}
    return {key: value for key, value in found.items() if value}


def _application_slug(plain: Mapping[str, Any]) -> str | None:
    application = plain.get("associated_application")
    if not isinstance(application, Mapping):
        return None
    return _within("associated_application", application).text("associated_application.slug", max_length=MAX_NAME)


def _within(name: str, inner: Mapping[str, Any]) -> PostedObject:
    """The fields of an inner object by their whole path, so that an error names it."""
    return PostedObject({f"{name}.{key}": value for key, value in inner.items()})


def _decode_detail(plain: Mapping[str, Any], fields: PostedObject) -> RunDetail:
    return RunDetail(
        workflow=_decode_reference(plain, "associated_workflow") or _NO_REFERENCE,
        application=_decode_reference(plain, "associated_application"),
        trigger_application=_decode_reference(plain, "associated_trigger_application"),
        config_id=fields.text("config_id"),
        event_id=fields.text("associated_event_id", max_length=MAX_NAME),
        nodes=_decode_nodes(plain.get("nodes")),
    )


def _decode_reference(plain: Mapping[str, Any], key: str) -> Named | None:
    """`{_id, name, icon}`, or the plain text of an obsolete page: an id if it looks like one, else a name."""
    value = plain.get(key)
    if value is None:
        return None
    if isinstance(value, str):
        name = PostedObject(plain).text(key, max_length=MAX_NAME) or ""
        return Named(id=name) if _OBJECT_ID.fullmatch(name) else Named(name=name)
    if not isinstance(value, dict):
        raise InvalidInput(f"`{key}` must be an object with `_id`, `name` and `icon`, or null.", field=key)
    inner = _within(key, value)
    return Named(
        id=inner.text(f"{key}._id", max_length=MAX_NAME) or "",
        name=inner.text(f"{key}.name", max_length=MAX_TITLE) or "",
        icon=inner.text(f"{key}.icon") or "",
    )


def _decode_source(fields: PostedObject, detail: RunDetail) -> Source:
    """`trigger_application_event` is `Schedule`, `API Call`, or the name of an application's event; without it, an
    execution with an event came from that event."""
    trigger = fields.text("trigger_application_event")
    if trigger:
        return SOURCE_IN.get(trigger.casefold(), Source.EVENT)
    return Source.EVENT if detail.event_id else Source.API


def _decode_nodes(nodes: Any) -> tuple[RunNode, ...]:
    if nodes is None:
        return ()
    if not isinstance(nodes, list) or len(nodes) > MAX_NODES:
        raise InvalidInput(f"`nodes` must be a list of at most {MAX_NODES} nodes.", field="nodes")
    return tuple(_decode_node(node, f"nodes[{place}]") for place, node in enumerate(nodes))


def _decode_node(node: Any, path: str) -> RunNode:
    if not isinstance(node, dict):
        raise InvalidInput(f"`{path}` must be an object.", field=path)
    fields = _within(path, node)
    maximum = fields.count(f"{path}.maximum_attempts")
    return RunNode(
        id=fields.text(f"{path}.node_id", max_length=MAX_NAME) or "",
        name=fields.text(f"{path}.node_name") or "",
        type=fields.text(f"{path}.node_type") or "",
        status=fields.word(f"{path}.node_status", NODE_STATUS_IN) or "ready",
        is_batch=bool(fields.flag(f"{path}.is_batch")),
        attempts=fields.count(f"{path}.attempts_made") or 0,
        max_attempts=1 if maximum is None else maximum,
        duration_ms=_whole(fields, f"{path}.execution_time"),
        input=node.get("input_data"),
        output=node.get("latest_output"),
    )


def _whole(fields: PostedObject, path: str) -> int:
    """Milliseconds that may come with a fraction, which is cut."""
    value = fields.decimal(path)
    if value is None:
        return 0
    if not 0 <= value < 2**53:
        raise InvalidInput(f"`{path}` must be a number of milliseconds from 0.", field=path)
    return int(value)
