"""Workflows as Refold prints them, and what it posts of one. Pure (protocols/refold.md §6, "Workflow model")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesta.apis.common.posted import MAX_NAME
from gesta.apis.refold.calls import Found, draft_id_of, text_in
from gesta.apis.refold.codec import Scope
from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import format_ms
from gesta.ledger.records import Named
from gesta.workflows.face import Draft, VersionView
from gesta.workflows.forms.reading import read_definition, write_definition
from gesta.workflows.graph.definition import Definition

UNTITLED = "Untitled Workflow"
FORM = "refold"
# What of a posted workflow is its graph, and what else of it is printed again.
GRAPH = (
    *("nodes", "edges", "json_schema", "settings", "manual_execution_payload"),
    *("trigger", "price", "timeout_s", "properties"),
)
_PRINTED = ("nodes", "edges", "settings", "json_schema", "trigger", "price", "properties")
_MAX_TEXT = 4096
# Gesta's names of what Refold calls otherwise.
_NAMES = {"timeout_s": "settings.timeout", "input_schema": "json_schema"}
_EMPTY: dict[str, Any] = {
    "nodes": [
        {"id": "1", "type": "start", "node_type": "start", "incoming_nodes": [], "outgoing_nodes": [], "data": None}
    ],
    "edges": [],
}


def encode_workflow(found: Found, scope: Scope) -> dict[str, Any]:
    """Without its graph, as in a list."""
    view = found.view
    application = view.application
    return {
        "_id": found.id,
        "name": view.name,
        "description": view.description,
        "icon": "" if application is None else application.icon,
        "slug": view.slug,
        "workflow_alias": view.alias,
        "org_id": scope.organization,
        "environment": scope.environment,
        "published": view.published_version is not None and not found.is_draft,
        "public_access_workflow": bool(view.account),
        "associated_application": None if application is None else application.id or application.name or None,
        "associated_workflow": view.id if found.is_draft and view.published_version is not None else None,
        "draft_id": draft_id_of(view.id),
        "is_v2": True,
        "version": view.published_version or view.newest_version,
        "current_version": view.newest_version,
        "createdAt": format_ms(view.created_at_us),
        "updatedAt": format_ms(view.updated_at_us),
    }


def encode_version(found: Found, version: VersionView, scope: Scope) -> dict[str, Any]:
    """With its graph in Refold's form."""
    written = write_definition(version.definition, FORM)
    graph = {name: written[name] for name in _PRINTED if name in written}
    return (
        encode_workflow(found, scope)
        | {"version": version.version, "edges": [], "settings": {}, "json_schema": None}
        | graph
        | {"manual_execution_payload": sample_of(version.definition), "data_slots": []}
    )


def sample_of(definition: Definition) -> Any:
    """The payload that was written down for trying it out; None where there is none."""
    written = definition.written
    return written.get("manual_execution_payload") if definition.source == FORM and written is not None else None


def request_structure(definition: Definition) -> dict[str, Any]:
    """What an execution expects: `schema_interpreted` says each property's type in words."""
    schema = definition.input_schema
    return {
        "payload": sample_of(definition),
        "schema": schema,
        "schema_interpreted": None if schema is None else interpreted(schema),
    }


def interpreted(schema: Mapping[str, Any]) -> dict[str, str]:
    properties, required = schema.get("properties"), schema.get("required")
    needed = required if isinstance(required, list) else []
    if not isinstance(properties, Mapping):
        return {}
    return {
        str(name): _type_of(field) + (" (required)" if name in needed else "") for name, field in properties.items()
    }


def _type_of(field: Any) -> str:
    said = field.get("type") if isinstance(field, Mapping) else None
    words = said if isinstance(said, list) else [said or "any"]
    return " | ".join(str(word) for word in words)[:MAX_NAME]


def read_draft(posted: Mapping[str, Any], *, before: Definition | None = None) -> Draft:
    """A workflow as it is created (`before` None) or saved again, when what is not said stays.

    Raises InvalidInput, naming the node, for a graph that cannot be run.
    """
    named = [name for name in GRAPH if name in posted and (name != "nodes" or posted[name] is not None)]
    if named or before is None:
        kept = _EMPTY if before is None else write_definition(before, FORM)
        graph = {name: kept[name] for name in GRAPH if name in kept and name not in named}
        # Null is nothing: what is there is taken away.
        graph |= {name: posted[name] for name in named if posted[name] is not None}
        definition = _read(graph, posted)
    else:
        definition = before
    name = text_in(posted, "name", most=MAX_NAME)
    if name is not None and not name.strip():
        raise InvalidInput("`name` must not be empty.", field="name")
    alias = text_in(posted, "workflow_alias")
    if alias is not None and (alias != alias.strip() or "/" in alias):
        raise InvalidInput("`workflow_alias` has no slash, and no space at its ends.", field="workflow_alias")
    is_new = before is None
    slug = text_in(posted, "slug")
    return Draft(
        definition=definition,
        name=name or (UNTITLED if is_new else None),
        description=text_in(posted, "description", most=_MAX_TEXT),
        alias=alias,
        slug=slug,
        application=_application(posted, slug),
        is_private=is_new,
    )


def _read(graph: Mapping[str, Any], posted: Mapping[str, Any]) -> Definition:
    """The graph, with Refold's names in what is told of a mistake."""
    try:
        return read_definition(graph, FORM)
    except InvalidInput as error:
        message = error.message
        for own, refold in _NAMES.items():
            if own not in posted:
                message = message.replace(f"`{own}`", f"`{refold}`") if not message.startswith("Node ") else message
        raise InvalidInput(message, **error.details) from None


def _application(posted: Mapping[str, Any], slug: str | None) -> Named | None:
    """The application by its id, as an object, or by its slug alone."""
    given = posted.get("associated_application")
    if isinstance(given, Mapping):
        id, name, icon = (text_in(given, word) or "" for word in ("_id", "name", "icon"))
        return Named(id=id, name=name or slug or "", icon=icon)
    id = text_in(posted, "associated_application") or ""
    return Named(id=id, name=slug or "") if id or slug else None
