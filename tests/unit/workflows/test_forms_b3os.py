"""B3OS's form (protocols/b3os.md §7, "Workflow definition"): each built-in, loops, branches, schedules, and back."""

from __future__ import annotations

from typing import Any

import pytest

from gesta.kernel.errors import InvalidInput
from gesta.workflows.forms import recurrence
from gesta.workflows.forms.reading import form_of, parse_definition, read_definition, write_definition
from gesta.workflows.graph.definition import Definition, Node, NodeType, Trigger, TriggerKind
from gesta.workflows.graph.diff import diff
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import Outcome
from gesta.workflows.graph.steps import begin

RRULE = "DTSTART:20260105T093000Z\nRRULE:FREQ=MINUTELY;INTERVAL=5"


def watch() -> dict[str, Any]:
    return {
        "nodes": {
            "root": {"type": "cronjob", "payload": {"rrule": RRULE}, "children": ["price"]},
            "price": {
                "type": "http",
                "payload": {"url": "https://example.com/{{$props.coin}}"},
                "connector": {"type": "http"},
                "children": ["drop"],
            },
            "drop": {
                "type": "if",
                "payload": {"condition": {"$and": [{"{{price.result.body.usd}}": {"$lte": 2000}}]}},
                "children": ["each", "fine"],
            },
            "each": {
                "type": "for-each",
                "branch": "then",
                "payload": {"array": "{{root.result.inputs.people}}"},
                "loopBody": ["tell"],
                "children": ["answered"],
            },
            "tell": {"type": "send-webhook", "payload": {"url": "{{$item.url}}"}, "children": ["pause"]},
            "pause": {"type": "delay", "payload": {"delayMs": 1500}, "children": []},
            "answered": {
                "type": "wait",
                "payload": {"triggerType": "webhook", "triggerConfig": {}, "timeoutMs": 60_000},
                "children": ["late"],
            },
            "late": {"type": "trigger-workflow", "branch": "timed_out", "payload": {"workflowId": "abc", "wait": True}},
            "fine": {
                "type": "log",
                "branch": "else",
                "payload": {"message": "{{price.result.body.usd}}"},
                "children": [],
            },
        },
        "inputSchema": [
            {"key": "people", "type": "array", "required": True, "description": "Who is told."},
            {"key": "wallet", "type": "address"},
        ],
        "variableDefs": [{"key": "coin", "default": "ethereum"}],
    }


def node_of(type: str, payload: dict[str, Any], **more: Any) -> list[Node]:
    document = {
        "nodes": {"root": {"type": "manual", "children": ["n"]}, "n": {"type": type, "payload": payload} | more}
    }
    return [node for node in read_definition(document, "b3os").nodes if node.type is not NodeType.START]


def problems_of(document: Any) -> list[dict[str, str]]:
    with pytest.raises(InvalidInput) as error:
        parse_definition(document, "b3os")
    problems: list[dict[str, str]] = error.value.details["problems"]
    return problems


def test_a_definition_is_read() -> None:
    document = watch()
    definition = read_definition(document)
    nodes = {node.id: node for node in definition.nodes}
    assert definition.source == "b3os"
    assert definition.written == document
    assert {id: node.type.value for id, node in nodes.items()} == {
        "root": "start",
        "price": "http",
        "drop": "if",
        "each": "for_each",
        "tell": "http",
        "pause": "delay",
        "answered": "wait_webhook",
        "late": "sub_flow",
        "fine": "log",
    }
    assert {id for id, node in nodes.items() if node.scope == "each"} == {"tell", "pause"}
    assert nodes["tell"].config == {"method": "POST", "url": "{{$item.url}}"}
    assert nodes["pause"].config == {"seconds": 1.5}
    assert nodes["answered"].config == {"timeout_s": 60}
    assert nodes["late"].config == {"workflow": "abc", "waits": True}
    assert {(edge.source, edge.target, edge.branch) for edge in definition.edges} == {
        ("root", "price", ""),
        ("price", "drop", ""),
        ("drop", "each", "then"),
        ("drop", "fine", "else"),
        ("each", "answered", ""),
        ("tell", "pause", ""),
        ("answered", "late", "timed_out"),
    }
    assert definition.trigger == Trigger(kind=TriggerKind.SCHEDULE, cron="*/5 * * * *")
    assert definition.properties == {"coin": "ethereum"}
    assert definition.input_schema == {
        "type": "object",
        "properties": {"people": {"type": "array", "description": "Who is told."}, "wallet": {}},
        "required": ["people"],
    }


def test_it_is_shown_as_it_was_written() -> None:
    assert write_definition(read_definition(watch()), "b3os") == watch()


def test_its_looks_give_the_form_away() -> None:
    assert form_of(watch()) == "b3os"
    assert form_of({"nodes": {"root": {"type": "manual", "children": []}}}) == "b3os"
    assert form_of({"nodes": {"root": {"type": "manual"}}}) == "b3os"


def test_another_forms_definition_is_shown_in_this_one() -> None:
    from_refold = write_definition(read_definition(watch()), "refold")
    shown = write_definition(read_definition(from_refold, "refold"), "b3os")
    again = read_definition(shown)
    assert diff(read_definition(watch()), again).is_empty


def test_branches_that_differ_by_parent() -> None:
    document = {
        "nodes": {
            "start": {"next": "a"},
            "a": {"type": "if", "condition": True, "then": "b", "else": "end"},
            "b": {"type": "wait_webhook", "timed_out": "end"},
            "end": {"type": "merge"},
        }
    }
    definition = read_definition(document)
    shown = write_definition(definition, "b3os")
    assert shown["triggerNodeIds"] == ["start"]
    assert shown["nodes"]["end"]["branches"] == {"a": "else", "b": "timed_out"}
    assert diff(definition, read_definition(shown, "b3os")).is_empty


@pytest.mark.parametrize(
    ("type", "payload", "meant", "config"),
    [
        ("format", {"template": "Hi {{root.result.name}}"}, "transform", {"value": "Hi {{root.result.name}}"}),
        ("code-transform", {"jsonata": "input.a + 1"}, "transform", {"jsonata": "input.a + 1"}),
        ("wait", {"triggerType": "order.paid", "triggerConfig": {"application": "shop"}}, "wait_event",
         {"event": "order.paid", "application": "shop"}),
        ("delay", {"delayMs": "2000"}, "delay", {"seconds": 2}),
        ("executor.start", {"config": {"type": "position_executor"}}, "executor.start",
         {"config": {"type": "position_executor"}}),
        ("response", {"status_code": 201}, "response", {"status_code": 201}),
    ],
)  # fmt: skip
def test_a_node(type: str, payload: dict[str, Any], meant: str, config: dict[str, Any]) -> None:
    (node,) = node_of(type, payload)
    assert (node.type.value, node.config) == (meant, config)


@pytest.mark.parametrize(
    ("type", "payload", "output"),
    [
        (
            "filter",
            {"array": "{{root.result.list}}", "condition": {"$and": [{"{{$item.n}}": {"$gt": 1}}]}},
            [{"n": 2, "a": "x", "b": 1}, {"n": 3, "a": "y", "b": 2}],
        ),
        ("pluck", {"array": "{{root.result.list}}", "fields": ["a"]}, ["w", "x", "y"]),
        (
            "pluck",
            {"array": "{{root.result.list}}", "fields": ["a", "b"]},
            [{"a": "w", "b": 0}, {"a": "x", "b": 1}, {"a": "y", "b": 2}],
        ),
        (
            "regex",
            {"input": "{{root.result.text}}", "pattern": r"(\d+)/(\w+)"},
            {"matched": True, "matches": {"0": "12/ab", "1": "12", "2": "ab"}},
        ),
        ("regex", {"input": "{{root.result.text}}", "pattern": "zzz"}, {"matched": False, "matches": {}}),
    ],
)
def test_what_becomes_a_transform_gives_what_was_meant(type: str, payload: dict[str, Any], output: Any) -> None:
    document = {
        "nodes": {
            "root": {"type": "manual", "children": ["n"]},
            "n": {"type": type, "payload": payload, "children": ["done"]},
            "done": {"type": "log", "payload": {"message": "{{n.result}}"}},
        }
    }
    definition: Definition = read_definition(document)
    entries = [{"n": n, "a": a, "b": b} for n, a, b in ((1, "w", 0), (2, "x", 1), (3, "y", 2))]
    payload = {"list": entries, "text": "see 12/ab here"}
    progress = begin(Plan(definition), input=payload, meta={}, at_us=0)
    assert progress.outcome is Outcome.SUCCEEDED, progress.error
    assert progress.runs["n"].output == output


@pytest.mark.parametrize(
    ("raw", "field", "right"),
    [
        (
            {"type": "slack-send-message", "connector": {"type": "slack"}},
            "connector",
            "Gesta has nothing for the connector",
        ),
        ({"type": "0x-swap"}, "type", "a service is called with `http`"),
        ({}, "type", "a node without a type"),
        ({"connector": []}, "connector", ""),
        ({"connector": {"type": ["http"]}}, "connector", ""),
        (
            {"type": "code-transform", "payload": {"code": "function transform() {}"}},
            "payload.code",
            "runs no code",
        ),
        ({"type": "delay", "payload": {"delayMs": "{{a}}"}}, "payload.delayMs", "must be a number"),
        ({"type": "delay", "payload": {"delayms": 5}}, "payload.delayms", "Did you mean `delayMs`?"),
        ({"type": "log", "payload": []}, "payload", "must be an object"),
        ({"type": "log", "payload": {"message": "a"}, "childs": []}, "childs", "Did you mean `children`?"),
        ({"type": "log", "payload": {"message": "a"}, "loopBody": ["root"]}, "loopBody", "`for-each` has one"),
        ({"type": "for-each", "payload": {"array": []}, "loopBody": ["x"]}, "loopBody", "no such node"),
        ({"type": "regex", "payload": {"input": "a", "pattern": "a\nb"}}, "payload.pattern", "one line"),
        ({"type": "pluck", "payload": {"array": []}}, "payload.fields", "needs its `fields`"),
    ],
)
def test_what_cannot_be_is_told_by_node(raw: dict[str, Any], field: str, right: str) -> None:
    document = {"nodes": {"root": {"type": "manual", "children": ["n"]}, "n": raw}}
    assert [(each["node"], each["field"]) for each in problems_of(document)] == [("n", field)]
    assert right in problems_of(document)[0]["message"]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"nodes": []}, "nodes"),
        ({"nodes": {"first": {"type": "manual"}}}, "nodes.root"),
        ({"nodes": {"root": {"type": "erc20-receive"}}}, "type"),
        ({"nodes": {"root": {"type": "cronjob", "payload": {"rrule": "RRULE:FREQ=DAILY"}}}}, "payload.rrule"),
        ({"nodes": {"root": {"type": "cronjob", "payload": {"timezone": "UTC"}}}}, "payload.rrule"),
        ({"nodes": {"root": {"type": "cronjob"}}}, "payload.rrule"),
        ({"nodes": {"root": {"type": "manual"}}, "triggerNodeIds": ["root", "other"]}, "triggerNodeIds"),
        ({"nodes": {"root": {"type": "manual"}}, "inputSchema": ["a"]}, "inputSchema[0]"),
    ],
)
def test_what_is_wrong_with_the_whole(document: dict[str, Any], field: str) -> None:
    assert field in [each["field"] for each in problems_of(document)]


@pytest.mark.parametrize(
    ("start", "rule", "cron"),
    [
        ("DTSTART:20260105T093000Z", "FREQ=DAILY", "30 9 * * *"),
        ("DTSTART:20260105T093000Z", "FREQ=HOURLY", "30 * * * *"),
        ("DTSTART:20260105T093000Z", "FREQ=HOURLY;INTERVAL=6", "30 3-23/6 * * *"),
        ("DTSTART:20260105T090300Z", "FREQ=MINUTELY;INTERVAL=5", "3-59/5 * * * *"),
        ("DTSTART:20260105T093000Z", "FREQ=WEEKLY", "30 9 * * 1"),
        ("DTSTART:20260105T093000Z", "FREQ=WEEKLY;BYDAY=MO,WE,FR", "30 9 * * 1,3,5"),
        ("DTSTART:20260105T093000Z", "FREQ=MONTHLY;INTERVAL=3", "30 9 5 */3 *"),
        ("DTSTART:20260305T093000Z", "FREQ=YEARLY", "30 9 5 3 *"),
        ("DTSTART:20260105T093000Z", "FREQ=DAILY;BYHOUR=8,20;BYMINUTE=0", "0 8,20 * * *"),
    ],
)
def test_a_schedule_becomes_cron(start: str, rule: str, cron: str) -> None:
    assert recurrence.trigger_of(f"{start}\nRRULE:{rule}") == {"kind": "schedule", "cron": cron, "timezone": "UTC"}


def test_a_schedule_has_its_time_zone() -> None:
    rrule = "DTSTART;TZID=Europe/Berlin:20260105T093000\\nRRULE:FREQ=DAILY"
    assert recurrence.trigger_of(rrule)["timezone"] == "Europe/Berlin"


@pytest.mark.parametrize(
    "rule",
    ["FREQ=SECONDLY", "FREQ=DAILY;INTERVAL=2", "FREQ=DAILY;COUNT=3", "FREQ=MONTHLY;BYDAY=1MO",
     "FREQ=MINUTELY;INTERVAL=7", "FREQ=DAILY;BYHOUR=25", "FREQ=MONTHLY;BYDAY=MO",
     "FREQ=WEEKLY;BYDAY=MO;BYMONTHDAY=1", "INTERVAL=1", ""],
)  # fmt: skip
def test_a_schedule_that_cron_cannot_say(rule: str) -> None:
    with pytest.raises(ValueError, match="`rrule` must be two lines"):
        recurrence.trigger_of(f"DTSTART:20260105T093000Z\nRRULE:{rule}")
