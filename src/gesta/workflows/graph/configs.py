"""What each type of node is configured with: one table, and the check by it.

A value may be a template (`{{node.path}}`) wherever the table does not say that it is fixed; what it comes to is
checked when the node is reached. Everything else is checked at saving.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from gesta.workflows.graph.definition import Node, NodeType
from gesta.workflows.graph.kinds import (
    MOST_SECONDS,
    MOST_TEXT,
    Field,
    check_literal,
    in_words,
    is_template,
    moment_us,
    seconds,
)
from gesta.workflows.graph.problems import Problem, nearest, shown

__all__ = ["SPECS", "Spec", "check_config", "moment_us", "normal", "seconds"]

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
LEVELS: Final = ("debug", "info", "warning", "error")


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """`one_of`: exactly one of these fields is there."""

    meaning: str
    fields: tuple[Field, ...] = ()
    one_of: tuple[str, ...] = ()

    def field(self, name: str) -> Field | None:
        return next((field for field in self.fields if field.name == name), None)


def _text(name: str, meaning: str, **more: Any) -> Field:
    return Field(name=name, kind="text", meaning=meaning, **more)


def _duration(name: str, meaning: str, **more: Any) -> Field:
    return Field(name=name, kind="seconds", meaning=meaning, **{"low": 0, "high": MOST_SECONDS} | more)


def _flag(name: str, meaning: str, **more: Any) -> Field:
    return Field(name=name, kind="boolean", meaning=meaning, **{"default": "false"} | more)


def _choice(name: str, meaning: str, *choices: str, **more: Any) -> Field:
    return Field(name=name, kind="choice", meaning=meaning, choices=choices, **more)


_GIVES_UP = "Gives up after it: the branch `timed_out` if there is one, else the node has timed out."

SPECS: Final[dict[NodeType, Spec]] = {
    NodeType.START: Spec(meaning="Where the run begins. Its output is what the run was started with."),
    NodeType.HTTP: Spec(
        meaning="An HTTP request, sent with the same `Idempotency-Key` in every attempt. Its output is "
        "`{status_code, headers, body}`, at most 2 MiB: JSON as JSON, a text as a text, anything else in base64. A "
        "failure with 408, 425, 429 or 5xx, or without an answer, may be tried again, any other may not.",
        fields=(
            _choice("method", "In capital or small letters.", *METHODS, default="GET"),
            _text("url", "An `http` or `https` address.", required=True),
            Field(name="headers", kind="object", meaning="Header names and their texts."),
            Field(name="query", kind="object", meaning="Query parameters; a list repeats its name."),
            Field(
                name="body",
                kind="any",
                meaning="A text is sent as it is, anything else as JSON, or as a form if a header says `application/"
                "x-www-form-urlencoded`.",
            ),
            _duration("timeout_s", "For the whole answer of one attempt.", low=0.001, high=3600, default="30"),
            _flag("follow_redirects", "Whether redirects are followed, at most five."),
            Field(
                name="accepts_status",
                kind="statuses",
                meaning="Which answers are a success: numbers, or classes as `2xx`.",
                default="2xx",
            ),
        ),
    ),
    NodeType.TRANSFORM: Spec(
        meaning="Makes a value of what the run knows. Its output is that value.",
        fields=(
            Field(name="value", kind="any", meaning="Any JSON with templates in it."),
            Field(name="jsonata", kind="jsonata", meaning="A JSONata expression."),
        ),
        one_of=("value", "jsonata"),
    ),
    NodeType.IF: Spec(
        meaning="Goes on along `then` or `else`. Its output is true or false.",
        fields=(
            Field(name="condition", kind="condition", meaning="What has to hold."),
            Field(name="jsonata", kind="jsonata", meaning="Short for the condition `{jsonata: …}`."),
        ),
        one_of=("condition", "jsonata"),
    ),
    NodeType.SWITCH: Spec(
        meaning="Goes on along the branch of the first case that holds, else along `default`. Its output is the "
        "branch's name.",
        fields=(Field(name="cases", kind="cases", meaning="`{branch, condition}` each.", required=True),),
    ),
    NodeType.FOR_EACH: Spec(
        meaning="Runs its body once for every item. Its output is the list of the bodies' results, in order.",
        fields=(
            Field(name="items", kind="list", meaning="At most 10000 entries.", required=True),
            Field(
                name="at_once",
                kind="integer",
                meaning="How many rounds go on at a time.",
                is_fixed=True,
                low=1,
                high=1000,
                default="1",
            ),
            _flag("continue_on_error", "A round that fails does not end the others.", is_fixed=True),
        ),
    ),
    NodeType.MERGE: Spec(
        meaning="Waits for every branch that leads to it. Its output is the outputs of those that were taken, by node."
    ),
    NodeType.DELAY: Spec(
        meaning="Waits for a while, or until a moment.",
        fields=(
            _duration("seconds", "For how long."),
            Field(name="until", kind="moment", meaning="ISO 8601 with a time zone, or epoch seconds or milliseconds."),
        ),
        one_of=("seconds", "until"),
    ),
    NodeType.WAIT_WEBHOOK: Spec(
        meaning="Waits until the run's own webhook address is called. Its output is what was sent there.",
        fields=(_duration("timeout_s", _GIVES_UP),),
    ),
    NodeType.WAIT_EVENT: Spec(
        meaning="Waits for a named event. Its output is the event's payload.",
        fields=(
            _text("event", "The event's name.", required=True),
            _text("application", "The application that it comes from; any, if empty."),
            _duration("timeout_s", _GIVES_UP),
        ),
    ),
    NodeType.HUMAN: Spec(
        meaning="Waits for a person. Its output is what the person answered.",
        fields=(
            _text("title", "What the person is asked.", required=True),
            _text("description", "More about it."),
            _text("assignee", "Who is asked."),
            Field(
                name="form",
                kind="object",
                meaning="A JSON Schema of the answer; one that does not fit is refused, and the node waits on.",
            ),
            _duration("timeout_s", _GIVES_UP),
        ),
    ),
    NodeType.SUB_FLOW: Spec(
        meaning="Starts a run of another workflow. Its output is that run's, or `{run_id}` if it does not wait.",
        fields=(
            _text("workflow", "Its id or alias.", required=True),
            Field(name="version", kind="integer", meaning="The published one, if left out.", low=1, high=2**31 - 1),
            Field(name="input", kind="any", meaning="What it is started with."),
            _flag("waits", "Whether the end of that run is waited for.", default="true"),
        ),
    ),
    NodeType.RESPONSE: Spec(
        meaning="What a caller that waits is answered with. The run goes on.",
        fields=(
            Field(name="status_code", kind="integer", meaning="HTTP status.", low=200, high=599, default="200"),
            Field(name="body", kind="any", meaning="The body, and the node's output."),
        ),
    ),
    NodeType.TERMINATE: Spec(
        meaning="Ends the run here and now.",
        fields=(
            _choice("outcome", "How it ends.", "succeeded", "failed", is_fixed=True, default="succeeded"),
            _text("message", "Why: the run's error, or its output."),
        ),
    ),
    NodeType.TRY: Spec(
        meaning="Runs its body. Goes on along `done` with the body's result, or, if something in it failed, along "
        "`catch` with `{error, node}`."
    ),
    NodeType.LOG: Spec(
        meaning="Writes a line to the run's log. Its output is the line.",
        fields=(
            _choice("level", "", *LEVELS, is_fixed=True, default="info"),
            Field(name="message", kind="any", meaning="A text, or any JSON.", required=True),
        ),
    ),
    NodeType.EXECUTOR_START: Spec(
        meaning="Starts an executor. Its output is `{executor_id}`.",
        fields=(
            Field(name="config", kind="object", meaning="As the Hummingbot dialect writes it.", required=True),
            _text("account", "The trading account.", default="master_account"),
            _text("controller_id", "What the executor belongs to.", default="main"),
        ),
    ),
    NodeType.EXECUTOR_AWAIT: Spec(
        meaning="Waits until an executor is over. Its output is how it ended.",
        fields=(_text("executor_id", "Which.", required=True), _duration("timeout_s", _GIVES_UP)),
    ),
    NodeType.ORDER_SUBMIT: Spec(
        meaning="Submits one order. Its output is the order.",
        fields=(
            _text("account", "The trading account.", required=True),
            _text("instrument", "By any of its names.", required=True),
            _choice("side", "", "buy", "sell", required=True),
            Field(name="quantity", kind="decimal", meaning="Above zero.", required=True),
            _choice(
                "order_type",
                "",
                "market",
                "limit",
                "stop_market",
                "stop_limit",
                "market_if_touched",
                default="market",
            ),
            Field(name="limit_price", kind="decimal", meaning="Of a `limit` and a `stop_limit`."),
            Field(name="stop_price", kind="decimal", meaning="Of what waits for a trigger."),
            _choice("time_in_force", "", "day", "gtc", "ioc", "fok", default="day"),
            _choice("waits_for", "`filled` waits until the order is over.", "accepted", "filled", default="accepted"),
        ),
    ),
    NodeType.PYTHON: Spec(
        meaning="Calls a function that the operator has registered. Its output is what that returns.",
        fields=(
            _text("function", "Its registered name.", required=True, is_fixed=True),
            Field(name="arguments", kind="object", meaning="Passed by name."),
        ),
    ),
}


def normal(type: NodeType, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as the interpreter reads it: the short form of `if` is written out, and null is left out where
    it means nothing."""
    plain = {
        name: value
        for name, value in config.items()
        if value is not None or (field := SPECS[type].field(name)) is None or field.kind == "any"
    }
    if type is NodeType.IF and "jsonata" in plain and "condition" not in plain:
        return {name: value for name, value in plain.items() if name != "jsonata"} | {
            "condition": {"jsonata": plain["jsonata"]}
        }
    return plain


def check_config(node: Node) -> list[Problem]:
    """What is wrong with a node's configuration, by the table."""
    return [
        Problem(node=node.id, field=f"config.{field}" if field else "config", message=message)
        for field, message in _problems(SPECS[node.type], node)
    ]


def _problems(spec: Spec, node: Node) -> Iterator[tuple[str, str]]:
    config = node.config
    if node.type is NodeType.IF and set(config) == {"jsonata"}:
        yield "jsonata", "Write `jsonata` of an `if` as `condition: {jsonata: …}`."
        return
    known = [field.name for field in spec.fields]
    for name in config:
        if name not in known:
            has = f"it has {', '.join(f'`{each}`' for each in known)}" if known else "it has none"
            yield str(name)[:60], f"`{node.type}` has no field {shown(name)}; {has}.{nearest(str(name), known)}"
    present = [name for name in spec.one_of if config.get(name) is not None]
    if spec.one_of and len(present) != 1 and not (node.type is NodeType.TRANSFORM and "value" in config):
        words = " and ".join(f"`{name}`" for name in spec.one_of)
        yield spec.one_of[0], f"`{node.type}` needs exactly one of {words}."
    elif node.type is NodeType.TRANSFORM and set(spec.one_of) <= set(config):
        yield "value", "`transform` needs exactly one of `value` and `jsonata`."
    for field in spec.fields:
        value = config.get(field.name)
        if value is None:
            if field.required:
                yield field.name, f"`{node.type}` needs `{field.name}`."
            continue
        if is_template(value) and field.kind != "jsonata":
            if field.is_fixed:
                yield field.name, f"`{field.name}` cannot be a template; it is {in_words(field)}."
            elif field.kind == "text" and len(value) > MOST_TEXT:
                yield field.name, f"`{field.name}` may have {MOST_TEXT} characters."
            continue
        yield from ((field.name, message) for message in check_literal(field, value))
