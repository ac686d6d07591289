"""The schemas of the OpenAPI document: what is posted, from the models; what is printed, field by field from them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import msgspec

from gesta.access.model import AccountType, Environment
from gesta.apis.native.errors import PROBLEMS
from gesta.apis.native.models import (
    BustModel,
    CorrectModel,
    EventModel,
    FundsModel,
    MarketQuoteModel,
    MarketTradeModel,
    NewExecutorModel,
    RowModel,
    StopExecutorModel,
    TransitionModel,
)
from gesta.apis.native.schema_parts import MAYBE_MOMENT, MAYBE_TEXT, MOMENT, Schema, enum_of, object_of, ref
from gesta.apis.native.webhook_models import POSTED as WEBHOOKS_POSTED
from gesta.apis.native.workflow_models import POSTED
from gesta.apis.native.workflow_schemas import workflow_schemas
from gesta.ledger.records import Kind, Mode, Severity, Source, Status

DECIMAL_PATTERN = r"^-?(0|[1-9][0-9]{0,23})(\.[0-9]{1,12})?$"


def posted_schemas() -> dict[str, Schema]:
    """The schemas of the models, decimals as text or number with their bounds."""
    _, components = msgspec.json.schema_components(
        [
            RowModel,
            TransitionModel,
            EventModel,
            BustModel,
            CorrectModel,
            FundsModel,
            NewExecutorModel,
            StopExecutorModel,
            MarketQuoteModel,
            MarketTradeModel,
            *WEBHOOKS_POSTED,
            *POSTED,
        ],
        ref_template="#/components/schemas/{name}",
    )
    return {name: _decimals(schema) for name, schema in components.items()}


def _decimals(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_decimals(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        said = {key: value for key, value in schema.items() if key not in ("type", "format")}
        return said | {
            "anyOf": [
                {"type": "string", "pattern": DECIMAL_PATTERN},
                {"type": "integer", "minimum": -(10**15), "maximum": 10**15},
                {"type": "number", "minimum": -1e15, "maximum": 1e15},
            ]
        }
    return {
        key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _decimals(value)
        for key, value in schema.items()
    }


def _printed_detail(model: str, posted: Mapping[str, Schema]) -> Schema:
    """A posted detail as it is printed: every field present, decimals as text."""
    schema = posted[model]
    properties = {}
    for name, field in schema["properties"].items():
        properties[name] = _printed_field(field)
    return {
        "type": "object",
        "description": schema.get("description", ""),
        "properties": properties,
        "required": list(properties),
    }


def _printed_field(field: Any) -> Any:
    text: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
    if not isinstance(field, dict):
        return field
    options = field.get("anyOf", [])
    if any(option.get("pattern") == DECIMAL_PATTERN for option in options):
        return {"anyOf": [text, {"type": "null"}]} if {"type": "null"} in options else text
    # What vendors' own objects hold is not bound by what may be posted here.
    bounds = ("default", "minLength", "maxLength", "maxItems", "minimum", "maximum")
    kept = {key: value for key, value in field.items() if key not in bounds}
    if options:
        kept["anyOf"] = [_printed_field(option) for option in options]
    return kept


def printed_schemas(posted: Mapping[str, Schema]) -> dict[str, Schema]:
    details = {name: _printed_detail(f"{name}Model", posted) for name in ("Fill", "Executor", "Run")}
    execution = object_of(
        "One execution. `seq` is the feed position of its newest event; `version` starts at 1.",
        id={"type": "string"},
        account={"type": "string"},
        account_type=enum_of(AccountType),
        environment=enum_of(Environment),
        kind=enum_of(Kind),
        name={"type": "string"},
        status=enum_of(Status),
        source=enum_of(Source),
        mode=enum_of(Mode),
        origin={"type": "string"},
        external_id={"type": "string"},
        parent_id=MAYBE_TEXT,
        correlation={"type": "object", "additionalProperties": {"type": "string"}},
        created_at=MOMENT,
        started_at=MAYBE_MOMENT,
        finished_at=MAYBE_MOMENT,
        updated_at=MOMENT,
        recorded_at=MOMENT,
        version={"type": "integer", "minimum": 1},
        seq={"type": "integer", "minimum": 1},
        detail={
            "oneOf": [ref(name) for name in details],
            "discriminator": {
                "propertyName": "kind",
                "mapping": {name.lower(): f"#/components/schemas/{name}" for name in details},
            },
        },
    )
    execution["properties"]["wire"] = ref("WireModel")
    event = object_of(
        "One entry of a timeline. `from_status` and `to_status` are set by a birth or a transition.",
        seq={"type": "integer", "minimum": 1},
        execution_id={"type": "string"},
        at=MOMENT,
        recorded_at=MOMENT,
        type={"type": "string"},
        level=enum_of(Severity),
        from_status={"anyOf": [enum_of(Status), {"type": "null"}]},
        to_status={"anyOf": [enum_of(Status), {"type": "null"}]},
        title={"type": "string"},
        message={"type": "string"},
        data={"type": "object"},
    )
    return {**details, "Execution": execution, "Event": event, **_answers(), **workflow_schemas()}


def _answers() -> dict[str, Schema]:
    count: Schema = {"type": "integer", "minimum": 0}
    result: Schema = {
        "type": "object",
        "description": "What became of one row. `index` counts the rows of an array from 0, `line` lines from 1.",
        "properties": {
            "index": count,
            "line": {"type": "integer", "minimum": 1},
            "outcome": {"type": "string", "enum": ["recorded", "duplicate", "conflict", "invalid"]},
            "id": {"type": "string"},
            "seq": count,
            "error": {
                "type": "object",
                "properties": {"code": {"type": "string"}, "detail": {"type": "string"}, "field": {"type": "string"}},
                "required": ["code", "detail"],
            },
        },
        "required": ["outcome"],
    }
    counts = dict.fromkeys(("recorded", "duplicates", "conflicts", "invalid"), count)
    amount: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
    row = object_of(
        "Counts and exact sums of one group and currency. Fields that were not grouped by are null.",
        day={"type": ["string", "null"], "format": "date"},
        account=MAYBE_TEXT,
        account_type={"anyOf": [enum_of(AccountType), {"type": "null"}]},
        environment={"anyOf": [enum_of(Environment), {"type": "null"}]},
        kind={"anyOf": [enum_of(Kind), {"type": "null"}]},
        status={"anyOf": [enum_of(Status), {"type": "null"}]},
        currency={"type": "string"},
        count=count,
        quantity=amount,
        volume=amount,
        fees=amount,
        pnl=amount,
    )
    return {
        "RowResult": result,
        "IngestResult": object_of(
            "Counts and one result per row.", **counts, results={"type": "array", "items": ref("RowResult")}
        ),
        "ExecutionPage": object_of(
            "One page. `next_cursor` is null at the end, and when `offset` was used.",
            items={"type": "array", "items": ref("Execution")},
            total={"type": ["integer", "null"], "minimum": 0},
            next_cursor=MAYBE_TEXT,
            has_more={"type": "boolean"},
        ),
        "EventPage": object_of(
            "One page of a timeline, oldest first.",
            items={"type": "array", "items": ref("Event")},
            has_more={"type": "boolean"},
            next_after_seq={"type": ["integer", "null"]},
        ),
        "EventList": object_of("The events as recorded.", items={"type": "array", "items": ref("Event")}),
        "SummaryRow": row,
        "Funds": _funds(amount),
        "Market": _market(amount),
        "MarketList": object_of("By name.", items={"type": "array", "items": ref("Market")}),
        "PushResult": object_of(
            "How many rows were taken, and what was wrong with the first hundred of the others.",
            **dict.fromkeys(("taken", "conflicts", "invalid"), count),
            results={"type": "array", "items": ref("RowResult")},
        ),
        "Summary": object_of("The groups.", items={"type": "array", "items": ref("SummaryRow")}),
        "Problem": _problem(counts),
    }


def _funds(amount: Schema) -> Schema:
    maybe: Schema = {"anyOf": [amount, {"type": "null"}]}
    position = object_of(
        "`quantity` is unsigned; `market_price` and `unrealized` are null without market data.",
        instrument={"type": "string"},
        market_position={"type": "string", "enum": ["long", "short", "flat"]},
        quantity=amount,
        average_price=amount,
        market_price=maybe,
        unrealized=maybe,
        realized=amount,
        commission=amount,
    )
    money = ("cash", "starting_cash", "session_cash", "net_liquidation", "buying_power", "initial_margin")
    results = ("realized", "session_realized", "unrealized", "commission", "session_commission")
    return object_of(
        "An account's money in `currency`. `realized` is before commissions; `session_…` counts from the start of the "
        "trading day.",
        account={"type": "string"},
        environment=enum_of(Environment),
        venue={"type": "string"},
        currency={"type": "string"},
        **dict.fromkeys((*money, *results), amount),
        max_position=maybe,
        positions={"type": "array", "items": position},
    )


def _market(amount: Schema) -> Schema:
    maybe: Schema = {"anyOf": [amount, {"type": "null"}]}
    flag: Schema = {"type": "boolean"}
    prices = ("bid", "ask", "bid_size", "ask_size", "last", "last_size", "open", "high", "low", "previous_close")
    market = object_of(
        "One instrument's market. `open` to `volume` are of the session; `source` is the feed; `is_stale` says that it "
        "has ended, is silent, or that the newest quote is crossed.",
        instrument={"type": "string"},
        **dict.fromkeys(("tick_size", "lot_size", "point_value"), amount),
        currency={"type": "string"},
        **dict.fromkeys(prices, maybe),
        last_aggressor={"enum": ["buy", "sell", None]},
        time=MAYBE_MOMENT,
        received_at=MAYBE_MOMENT,
        volume=amount,
        source={"type": "string"},
        **dict.fromkeys(("is_simulated", "is_open", "is_stale", "is_crossed"), flag),
        gaps={"type": "integer", "minimum": 0},
    )
    # A name that `object_of` takes for itself.
    market["properties"]["description"] = {"type": "string"}
    market["required"].append("description")
    return market


def _problem(counts: Mapping[str, Schema]) -> Schema:
    schema = object_of(
        "RFC 9457 problem details. `type` is `/problems/` and one of the codes of the dialect's page.",
        type={"type": "string", "enum": [f"/problems/{code}" for code in PROBLEMS]},
        title={"type": "string"},
        status={"type": "integer"},
        detail={"type": "string"},
    )
    schema["properties"] |= {
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "field": {"type": "string"},
        "where": {"type": "string", "enum": ["query", "path", "header", "body"]},
        "what": {"type": "string"},
        "current": enum_of(Status),
        "wanted": enum_of(Status),
        "allowed": {"type": "array", "items": enum_of(Status)},
        "retry_after_s": {"type": "number"},
        "results": {"type": "array", "items": ref("RowResult")},
        "problems": {"type": "array", "items": ref("DefinitionProblem")},
        "taken": counts["recorded"],
        **counts,
    }
    return schema
