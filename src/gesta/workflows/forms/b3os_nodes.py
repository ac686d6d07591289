"""B3OS's built-in nodes as Gesta's, and back (protocols/b3os.md §7)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from gesta.workflows.forms.building import Building, first_of
from gesta.workflows.graph.definition import Node, NodeType
from gesta.workflows.graph.kinds import is_template
from gesta.workflows.graph.problems import nearest, shown

Typed = tuple[NodeType | None, dict[str, Any]]

#: Plain HTTP is the one connector that needs nobody's account.
CONNECTED: Final = frozenset({"http", "http-request", "https"})
_HTTP: Final = ("method", "url", "headers", "query", "body", "timeout_s", "follow_redirects", "accepts_status")


def _only(reading: Building, id: str, payload: dict[str, Any], *known: str) -> None:
    for name in payload:
        if name not in known:
            has = ", ".join(f"`{each}`" for each in known)
            message = f"The payload has no field {shown(name)}; it has {has}.{nearest(name, known)}"
            reading.tell(message, node=id, field=f"payload.{name[:60]}")


def _seconds(reading: Building, id: str, payload: dict[str, Any], name: str) -> float | None:
    value = payload.get(name)
    if is_template(value):
        message = f"`{name}` must be a number; Gesta's own type has `seconds` and `timeout_s`, which may be templates."
        reading.tell(message, node=id, field=f"payload.{name}")
        return None
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        value = int(value)
    number = reading.number(value, node=id, field=f"payload.{name}")
    seconds = None if number is None else number / 1000
    return int(seconds) if seconds is not None and seconds == int(seconds) else seconds


def _if(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    _only(reading, id, payload, "condition", "jsonata")
    return NodeType.IF, dict(payload)


def _for_each(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    _only(reading, id, payload, "array", "items", "at_once", "concurrency", "continue_on_error", "continueOnError")
    config = {
        "items": first_of(payload, ("array", "items")),
        "at_once": first_of(payload, ("at_once", "concurrency")),
        "continue_on_error": first_of(payload, ("continue_on_error", "continueOnError")),
    }
    return NodeType.FOR_EACH, {name: value for name, value in config.items() if value is not None}


def _delay(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    _only(reading, id, payload, "delayMs", "seconds", "until")
    if "delayMs" not in payload:
        return NodeType.DELAY, dict(payload)
    seconds = _seconds(reading, id, payload, "delayMs")
    return NodeType.DELAY, {} if seconds is None else {"seconds": seconds}


def _log(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    _only(reading, id, payload, "message", "level")
    return NodeType.LOG, dict(payload)


def _format(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    _only(reading, id, payload, "template", "value", "text")
    return NodeType.TRANSFORM, {"value": first_of(payload, ("template", "value", "text"))}


def _wait(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    """A wait for a webhook or a person's click is one for the run's own address; any other is for an event."""
    _only(reading, id, payload, "triggerType", "triggerConfig", "timeoutMs")
    word = reading.text(payload.get("triggerType"), node=id, field="payload.triggerType")
    given = reading.object(payload.get("triggerConfig"), node=id, field="payload.triggerConfig")
    timeout_s = _seconds(reading, id, payload, "timeoutMs")
    limit = {} if timeout_s is None else {"timeout_s": timeout_s}
    if word in ("", "manual", "webhook", "approval"):
        return NodeType.WAIT_WEBHOOK, limit
    event = {name: given[name] for name in ("event", "application") if name in given}
    return NodeType.WAIT_EVENT, {"event": word} | event | limit


def _send(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    return http(reading, id, {"method": "POST"} | payload)


def http(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    _only(reading, id, payload, *_HTTP, "timeoutMs")
    config = {name: value for name, value in payload.items() if name in _HTTP}
    timeout_s = _seconds(reading, id, payload, "timeoutMs")
    return NodeType.HTTP, config | ({} if timeout_s is None else {"timeout_s": timeout_s})


def _start_workflow(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    _only(reading, id, payload, "workflowId", "workflow", "version", "payload", "inputs", "input", "wait", "waits")
    config = {
        "workflow": first_of(payload, ("workflowId", "workflow")),
        "version": payload.get("version"),
        "input": first_of(payload, ("payload", "inputs", "input")),
        "waits": bool(first_of(payload, ("wait", "waits"))),
    }
    return NodeType.SUB_FLOW, {name: value for name, value in config.items() if value is not None}


def _code(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    """Code comes from the operator, never from a definition; JSONata is data."""
    if isinstance(payload.get("jsonata"), str):
        _only(reading, id, payload, "jsonata")
        return NodeType.TRANSFORM, {"jsonata": payload["jsonata"]}
    message = (
        "Gesta runs no code that a definition brings. Write the transform in JSONata, as the payload's `jsonata`, or "
        "have the operator register a function and call it with a `python` node."
    )
    reading.tell(message, node=id, field="payload.code")
    return None, {}


def _filter(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    _only(reading, id, payload, "array", "items", "condition")
    return NodeType.TRANSFORM, {
        "jsonata": f"[nodes.{_quoted(head_of(id))}[{_quoted(id + '.keep')}].{_quoted(id + '.item')}]"
    }


def _pluck(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    """One field gives the list of its values, several a list of objects."""
    _only(reading, id, payload, "array", "items", "fields", "field")
    fields = reading.names(first_of(payload, ("fields", "field")), node=id, field="payload.fields")
    if not fields:
        reading.tell("`pluck` needs its `fields`.", node=id, field="payload.fields")
        return None, {}
    pairs = ", ".join(f"{json.dumps(name)}: $lookup($each, {json.dumps(name)})" for name in fields)
    made = f"{{{pairs}}}" if len(fields) > 1 else f"$lookup($each, {json.dumps(fields[0])})"
    return NodeType.TRANSFORM, {"jsonata": f"[$map(nodes.{_quoted(head_of(id))}, function($each) {{ {made} }})]"}


def _regex(reading: Building, id: str, payload: dict[str, Any]) -> Typed:
    """`matches` by number as texts: 0 is all of it, then the groups."""
    _only(reading, id, payload, "input", "pattern")
    pattern = reading.text(payload.get("pattern"), node=id, field="payload.pattern")
    if not pattern or "\n" in pattern or pattern.endswith("\\"):
        reading.tell("`regex` needs a `pattern` of one line.", node=id, field="payload.pattern")
        return None, {}
    unescaped = pattern.replace("\\/", "/").replace("/", "\\/")
    found = f"$match(nodes.{_quoted(head_of(id))}, /{unescaped}/, 1)"
    matches = '$merge([{"0": $found.match}, $map($found.groups, function($g, $i) { {$string($i + 1): $g} })])'
    made = f'( $found := {found}; {{"matched": $exists($found), "matches": $exists($found) ? {matches} : {{}}}} )'
    return NodeType.TRANSFORM, {"jsonata": made}


def head_of(id: str) -> str:
    """What precedes a filter, a pluck or a regex: the node that holds what it works on."""
    return f"{id}.input"


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '')}`"


def filtering(reading: Building, id: str, word: str, payload: dict[str, Any], more: dict[str, Any]) -> str:
    """Add what precedes the node; its id."""
    head, common = head_of(id), {"scope": more["scope"]}
    if word == "filter":
        reading.add(head, NodeType.FOR_EACH, {"items": first_of(payload, ("array", "items"))}, **common)
        reading.add(f"{id}.item", NodeType.TRANSFORM, {"value": "{{item}}"}, scope=head)
        condition = payload.get("condition")
        reading.add(f"{id}.keep", NodeType.IF, {"condition": condition}, scope=head)
    else:
        value = payload.get("input") if word == "regex" else first_of(payload, ("array", "items"))
        reading.add(head, NodeType.TRANSFORM, {"value": value}, **common)
    reading.link(head, id)
    return head


BUILT_IN: Final[dict[str, Callable[[Building, str, dict[str, Any]], Typed]]] = {
    "if": _if,
    "for-each": _for_each,
    "filter": _filter,
    "pluck": _pluck,
    "delay": _delay,
    "log": _log,
    "code-transform": _code,
    "regex": _regex,
    "wait": _wait,
    "format": _format,
    "send-webhook": _send,
    "trigger-workflow": _start_workflow,
}


def payload_of(node: Node) -> tuple[str, dict[str, Any]]:
    """What B3OS calls a node, and its payload there."""
    config = dict(node.config)
    match node.type:
        case NodeType.FOR_EACH:
            items = config.pop("items", None)
            return "for-each", {"array": items} | config
        case NodeType.DELAY if isinstance(config.get("seconds"), int | float):
            return "delay", {"delayMs": round(config["seconds"] * 1000)}
        case NodeType.WAIT_WEBHOOK if not is_template(config.get("timeout_s")):
            return "wait", {"triggerType": "webhook"} | _milliseconds(config)
        case NodeType.WAIT_EVENT if not is_template(config.get("timeout_s")):
            given = {name: value for name, value in config.items() if name in ("event", "application")}
            return "wait", {"triggerType": "event", "triggerConfig": given} | _milliseconds(config)
        case NodeType.SUB_FLOW:
            named = {"workflow": "workflowId", "input": "payload", "waits": "wait"}
            payload = {named.get(name, name): value for name, value in config.items()}
            return "trigger-workflow", payload | {"wait": config.get("waits", True)}
        case _:
            return node.type.value, config


def _milliseconds(config: dict[str, Any]) -> dict[str, Any]:
    timeout_s = config.get("timeout_s")
    return {"timeoutMs": round(timeout_s * 1000)} if isinstance(timeout_s, int | float) else {}
