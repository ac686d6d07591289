"""Workflows, versions, schedules, checkouts and jobs as Gesta's own dialect prints them, and definitions as they are
posted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gesta.access.model import Account
from gesta.apis.native.codec import check_json, parse_moment
from gesta.apis.native.models import NamedModel
from gesta.apis.native.workflow_models import ScheduleModel, WorkflowModel
from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import format_us
from gesta.ledger.records import Execution, Named, RunDetail
from gesta.workflows.face import CheckoutView, Draft, ScheduleIn, ScheduleView, VersionView, WorkflowView
from gesta.workflows.forms.reading import header_of, read_definition, write_definition
from gesta.workflows.graph.definition import Definition
from gesta.workflows.graph.diff import Change, Diff
from gesta.workflows.jobs_face import JobView

# What runs were given and gave is printed with the numbers that it has.
encoder = msgspec.json.Encoder(decimal_format="number")
_ANSWER = {"status_code", "body"}


# -- definitions

MOST_RUN_NAME = 256


def decode_definition(written: Mapping[str, Any] | str, form: str) -> Definition:
    """Raises InvalidInput: `field` begins with `definition`, `problems` has everything that is wrong."""
    try:
        return read_definition(written, form)
    except InvalidInput as error:
        field = f"definition.{error.field}" if error.field else "definition"
        raise InvalidInput(error.message, field=field, problems=error.details.get("problems", [])) from None


def name_of(written: Mapping[str, Any] | str) -> str | None:
    """What a definition that was decoded calls itself, as far as a run may be called so."""
    name = header_of(written).name[:MOST_RUN_NAME].strip()
    return name if name and name.isprintable() else None


def decode_draft(posted: WorkflowModel) -> Draft:
    """Raises InvalidInput. What is not said beside the definition is taken from its own text."""
    definition = decode_definition(posted.definition, posted.form)
    header = header_of(posted.definition)
    return Draft(
        definition=definition,
        name=header.name or None if posted.name is None else posted.name,
        alias=header.alias or None if posted.alias is None else posted.alias,
        slug=header.slug or None if posted.slug is None else posted.slug,
        description=header.description or None if posted.description is None else posted.description,
        visibility=posted.visibility,
        application=decode_named(posted.application),
        expected_version=posted.expected_version,
    )


def decode_named(named: NamedModel | None) -> Named | None:
    return None if named is None else Named(id=named.id, name=named.name, icon=named.icon)


def view_workflow(view: WorkflowView, account: Account | None) -> dict[str, Any]:
    """`account` is null for one of the whole organization."""
    named = view.application
    return {
        "id": view.id,
        "name": view.name,
        "alias": view.alias,
        "slug": view.slug,
        "description": view.description,
        "status": view.status,
        "visibility": view.visibility,
        "account": None if account is None else account.name,
        "application": None if named is None else {"id": named.id, "name": named.name, "icon": named.icon},
        "newest_version": view.newest_version,
        "published_version": view.published_version,
        "hook_secret_hint": view.hook_secret_hint,
        "created_at": format_us(view.created_at_us),
        "updated_at": format_us(view.updated_at_us),
        "published_at": _moment(view.published_at_us),
    }


def view_version(view: VersionView, form: str | None = None) -> dict[str, Any]:
    """With its definition where a form is wanted."""
    definition = view.definition
    trigger = definition.trigger
    shown: dict[str, Any] = {
        "workflow_id": view.workflow_id,
        "version": view.version,
        "form": definition.source,
        "nodes": len(definition.nodes),
        "trigger": trigger.kind,
        "price": None
        if definition.price is None
        else {"amount": f"{definition.price.amount:f}", "currency": definition.price.currency},
        "created_at": format_us(view.created_at_us),
        "published_at": _moment(view.published_at_us),
    }
    if form is not None:
        shown["definition"] = write_definition(definition, form)
    return shown


def view_diff(found: Diff, before: int, after: int) -> dict[str, Any]:
    """`lines` is for people: `+` what is new, `-` what is gone, `~` what is different."""
    return {
        "from": before,
        "to": after,
        "is_empty": found.is_empty,
        "lines": list(found.lines()),
        "nodes_added": [node.id for node in found.added],
        "nodes_removed": [node.id for node in found.removed],
        "nodes_changed": [
            {"id": id, "changes": [_change(each) for each in changes]} for id, changes in found.changed.items()
        ],
        "edges_added": [_edge(each) for each in found.edges_added],
        "edges_removed": [_edge(each) for each in found.edges_removed],
        "fields": [_change(each) for each in found.fields],
    }


def _change(change: Change) -> dict[str, Any]:
    return {"field": change.field, "before": change.before, "after": change.after}


def _edge(edge: Any) -> dict[str, Any]:
    return {"source": edge.source, "target": edge.target, "branch": edge.branch}


# -- runs


def answer_of(row: Execution) -> dict[str, Any] | None:
    """What a Response node said."""
    said = row.detail.response_payload if isinstance(row.detail, RunDetail) else None
    return said if isinstance(said, dict) and set(said) == _ANSWER else None


def view_checkout(view: CheckoutView) -> dict[str, Any]:
    return {
        "id": view.id,
        "run_id": view.run_id,
        "provider": view.provider,
        "provider_id": view.provider_id,
        "amount": f"{view.amount:f}",
        "currency": view.currency,
        "status": view.status,
        "url": view.url,
        "expires_at": format_us(view.expires_at_us),
        "created_at": format_us(view.created_at_us),
    }


def view_job(job: JobView) -> dict[str, Any]:
    return {
        "id": job.id,
        "action": job.action,
        "status": job.status,
        "total": job.total,
        "done": job.done,
        "skipped": job.skipped,
        "failed": job.failed,
        "errors": [{"run_id": each.run_id, "code": each.code, "detail": each.message} for each in job.errors],
        "created_at": format_us(job.created_at_us),
        "updated_at": format_us(job.updated_at_us),
        "finished_at": _moment(job.finished_at_us),
    }


# -- schedules


def decode_schedule(posted: ScheduleModel) -> ScheduleIn:
    """Raises InvalidInput."""
    check_json(posted.input, "input")
    dates = [parse_moment(each, f"dates[{place}]") for place, each in enumerate(posted.dates)]
    starts_us, ends_us = parse_moment(posted.starts_at, "starts_at"), parse_moment(posted.ends_at, "ends_at")
    if starts_us is not None and ends_us is not None and ends_us < starts_us:
        raise InvalidInput("A schedule ends after it begins.", field="ends_at")
    return ScheduleIn(
        workflow=posted.workflow or "",
        cron=posted.cron,
        every_s=posted.every_s,
        at_us=parse_moment(posted.at, "at"),
        timezone=posted.timezone,
        input=posted.input,
        name=posted.name,
        catch_up=posted.catch_up,
        dates_us=tuple(each for each in dates if each is not None),
        from_us=starts_us,
        until_us=ends_us,
    )


def view_schedule(view: ScheduleView) -> dict[str, Any]:
    return {
        "id": view.id,
        "workflow_id": view.workflow_id,
        "name": view.name,
        "cron": view.cron,
        "every_s": view.every_s,
        "at": _moment(view.at_us),
        # The window is that of the dates, or of the rest.
        "dates": [format_us(each) for each in view.dates_us],
        "starts_at": _moment(view.from_us),
        "ends_at": _moment(view.until_us),
        "timezone": view.timezone,
        "input": view.input,
        "catch_up": view.catch_up,
        "is_paused": view.is_paused,
        "next_at": _moment(view.next_at_us),
        "last_at": _moment(view.last_at_us),
        "created_at": format_us(view.created_at_us),
        "updated_at": format_us(view.updated_at_us),
    }


def _moment(at_us: int | None) -> str | None:
    return None if at_us is None else format_us(at_us)
