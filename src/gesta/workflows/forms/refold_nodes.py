"""What the `data` of Refold's nodes holds, as configurations of Gesta's, and back.

Its shape is not published (protocols/refold.md §6 has the types): every name is read under which its editor's field may
stand, Gesta's own first. What is not known is an editor's, and is left alone.
"""

from __future__ import annotations

import re
from typing import Any, Final

from gesta.workflows.forms.building import Building, first_of
from gesta.workflows.graph.configs import SPECS
from gesta.workflows.graph.definition import DEFAULT_CASE, Node, NodeType
from gesta.workflows.graph.kinds import is_template

#: Refold's types and Gesta's own, written small with hyphens. The first of a type is the one that is written back.
TYPES: Final[dict[str, NodeType]] = {
    "start": NodeType.START,
    "http": NodeType.HTTP,
    "http-request": NodeType.HTTP,
    "rule": NodeType.IF,
    "if": NodeType.IF,
    "switch": NodeType.SWITCH,
    "group": NodeType.FOR_EACH,
    "loop": NodeType.FOR_EACH,
    "for-each": NodeType.FOR_EACH,
    "delay": NodeType.DELAY,
    "transform": NodeType.TRANSFORM,
    "response": NodeType.RESPONSE,
    "terminate": NodeType.TERMINATE,
    "try-catch": NodeType.TRY,
    "try": NodeType.TRY,
    "sub-flow": NodeType.SUB_FLOW,
    "subflow": NodeType.SUB_FLOW,
    "wait-for-webhook": NodeType.WAIT_WEBHOOK,
    "wait-webhook": NodeType.WAIT_WEBHOOK,
    "wait-for-event": NodeType.WAIT_EVENT,
    "wait-event": NodeType.WAIT_EVENT,
    "human-task": NodeType.HUMAN,
    "human": NodeType.HUMAN,
    "log": NodeType.LOG,
    "merge": NodeType.MERGE,
    "executor.start": NodeType.EXECUTOR_START,
    "executor.await": NodeType.EXECUTOR_AWAIT,
    "order.submit": NodeType.ORDER_SUBMIT,
    "python": NodeType.PYTHON,
}

#: What an editor calls a way out.
BRANCH_WORDS: Final[dict[str, str]] = {
    "true": "then", "yes": "then", "if": "then", "matched": "then", "false": "else", "no": "else", "unmatched": "else",
    "success": "done", "try": "done", "completed": "done", "error": "catch", "failed": "catch", "failure": "catch",
    "timeout": "timed_out", "timed-out": "timed_out", "received": "resumed", "submitted": "resumed",
    "otherwise": DEFAULT_CASE,
}  # fmt: skip

#: Names of the editor for a field, by type; the field's own name counts first.
_NAMES: Final[dict[NodeType, dict[str, tuple[str, ...]]]] = {
    NodeType.HTTP: {
        "query": ("query_params", "queryParams", "params"),
        "body": ("payload",),
        "timeout_s": ("timeout",),
        "accepts_status": ("success_status_codes",),
    },
    NodeType.FOR_EACH: {
        "items": ("array", "list", "source"),
        "at_once": ("concurrency", "batch_concurrency", "parallel"),
        "continue_on_error": ("skip_on_error",),
    },
    NodeType.WAIT_WEBHOOK: {"timeout_s": ("timeout",)},
    NodeType.WAIT_EVENT: {"event": ("event_name",), "timeout_s": ("timeout",)},
    NodeType.HUMAN: {"title": ("name", "label"), "form": ("json_schema", "schema"), "timeout_s": ("timeout",)},
    NodeType.SUB_FLOW: {"workflow": ("workflow_id", "workflowId"), "input": ("payload", "data"), "waits": ("wait",)},
    NodeType.RESPONSE: {"status_code": ("statusCode", "code"), "body": ("response", "data")},
    NodeType.LOG: {"message": ("text", "value")},
}
_UNIT_SECONDS: Final = {"ms": 0.001, "millisecond": 0.001, "s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600,
                        "hour": 3600, "d": 86_400, "day": 86_400, "week": 604_800}  # fmt: skip


def read_data(reading: Building, id: str, type: NodeType, data: dict[str, Any]) -> dict[str, Any]:
    """The configuration that a node's data says."""
    names = _NAMES.get(type, {})
    config = {
        field.name: value
        for field in SPECS[type].fields
        if (value := first_of(data, (field.name, *names.get(field.name, ())))) is not None
        # Null is a value, too, where any JSON is.
        or (field.kind == "any" and field.name in data)
    }
    match type:
        case NodeType.HTTP:
            return config | _pairs(config)
        case NodeType.IF:
            return _rule(config, data)
        case NodeType.SWITCH:
            return _switch(config, data)
        case NodeType.DELAY:
            return config or _delay(reading, id, data)
        case NodeType.TRANSFORM:
            return config or _transform(data)
        case NodeType.TERMINATE:
            return _terminate(config, data)
        case _:
            return config


def _pairs(config: dict[str, Any]) -> dict[str, Any]:
    """Headers and query parameters that an editor keeps as a list of `{key, value}`."""
    made: dict[str, Any] = {}
    for name in ("headers", "query"):
        listed = config.get(name)
        if isinstance(listed, list) and all(isinstance(each, dict) and "key" in each for each in listed):
            made[name] = {str(each["key"]): each.get("value", "") for each in listed}
    return made


def _rule(config: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Refold's rules are a condition as they are: a list of them with their logic."""
    if config:
        return config
    rules = first_of(data, ("conditions", "rules"))
    if isinstance(rules, list):
        logic = first_of(data, ("logic", "operator", "match"))
        return {"condition": {"conditions": rules} | ({"logic": logic} if logic is not None else {})}
    return {"condition": rules} if rules is not None else {}


def _switch(config: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Cases with a condition each, or with a value that what is switched on has to equal."""
    cases = first_of(config or data, ("cases", "branches"))
    on = first_of(data, ("value", "variable", "expression"))
    if not isinstance(cases, list):
        return config
    made: list[Any] = []
    for case in cases:
        if not isinstance(case, dict):
            made.append(case)
            continue
        branch = first_of(case, ("branch", "id", "name", "label", "value"))
        condition = case.get("condition")
        if condition is None and isinstance(first_of(case, ("conditions", "rules")), list):
            condition = _rule({}, case).get("condition")
        if condition is None and on is not None and "value" in case:
            condition = {"left": on, "op": "eq", "right": case["value"]}
        made.append({"branch": branch if branch is None else str(branch), "condition": condition})
    return {"cases": [case for case in made if not isinstance(case, dict) or case.get("branch") != DEFAULT_CASE]}


def _delay(reading: Building, id: str, data: dict[str, Any]) -> dict[str, Any]:
    """A number with its unit; seconds, if it has none."""
    value = first_of(data, ("delay", "duration", "value", "time"))
    if value is None:
        return {}
    unit = str(first_of(data, ("unit", "delay_unit", "time_unit")) or "s").strip().lower()
    factor = _UNIT_SECONDS.get(unit) or _UNIT_SECONDS.get(unit.removesuffix("s"))
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value.strip(), re.ASCII):
        value = int(value)
    if factor == 1 or (factor is not None and is_template(value) and factor == 1):
        return {"seconds": value}
    if factor is None:
        reading.tell("`unit` must be seconds, minutes, hours, days or weeks.", node=id, field="data.unit")
        return {}
    number = reading.number(value, node=id, field="data.delay")
    return {} if number is None else {"seconds": number * factor}


def _transform(data: dict[str, Any]) -> dict[str, Any]:
    """Refold's transform is JSONata."""
    expression = first_of(data, ("expression", "transformation", "code", "query"))
    return {} if expression is None else {"jsonata": expression}


def _terminate(config: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    word = first_of(data, ("status", "type"))
    if "outcome" not in config and isinstance(word, str):
        is_bad = word.strip().lower() in ("errored", "error", "failed", "failure", "terminated")
        config["outcome"] = "failed" if is_bad else "succeeded"
    return config


def data_of(node: Node) -> dict[str, Any]:
    """A node's configuration as data: Gesta's own names, which are read back."""
    return dict(node.config) | ({"expression": node.config["jsonata"]} if "jsonata" in node.config else {})
