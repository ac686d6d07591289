"""The OpenAPI 3.1 document of Gesta's own dialect, from the tables that the code obeys: the models that bodies are read
into, the parameters that queries are read by, the problems that errors become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gesta import __version__
from gesta.apis.native import params
from gesta.apis.native.export import MEDIA_TYPES
from gesta.apis.native.openapi_parts import body_of, ok, parameters_of, problems
from gesta.apis.native.openapi_webhooks import webhook_paths, webhook_schemas
from gesta.apis.native.openapi_workflows import run_paths, workflow_paths
from gesta.apis.native.schema_parts import Schema, ref
from gesta.apis.native.schemas import posted_schemas, printed_schemas
from gesta.kernel.json import decode_json, encode_json

EXAMPLE_FILL: Schema = {
    "id": "9f2c31d0a4b84f6e8c1d2e3f4a5b6c7d",
    "account": "Sim101",
    "origin": "myapp",
    "name": "Entry",
    "created_at": "2026-03-10T14:30:00.123456Z",
    "detail": {
        "kind": "fill",
        "order_id": "order-1",
        "instrument": "ES 03-26",
        "side": "buy",
        "quantity": "2",
        "price": "5123.25",
        "commission": "4.18",
        "point_value": "50",
    },
}
EXAMPLE_EXECUTOR: Schema = {
    "id": "executor-1",
    "account": "paper",
    "origin": "myapp",
    "status": "running",
    "created_at": "2026-03-10T14:30:00Z",
    "correlation": {"controller_id": "main"},
    "detail": {
        "kind": "executor",
        "executor_type": "position_executor",
        "connector": "binance",
        "trading_pair": "BTC-USDT",
        "side": "buy",
        "is_trading": True,
        "filled_quote": "250.5",
        "config": {"leverage": 1},
    },
}
EXAMPLE_RUN: Schema = {
    "id": "65f0c2a4b8d1e3f5a7c9e0b2",
    "account": "markwood@some_email.com",
    "environment": "test",
    "origin": "myapp",
    "status": "queued",
    "name": "Sync contacts",
    "created_at": "2026-03-10T14:30:00Z",
    "detail": {
        "kind": "run",
        "workflow": {"id": "wf-1", "name": "Sync contacts"},
        "nodes": [{"id": "start", "status": "ready"}],
    },
}
EXAMPLE_TRANSITION: Schema = {"status": "running", "event": {"message": "picked up"}, "expected_version": 1}
EXAMPLE_NOTE: Schema = {"type": "node.retried", "level": "warning", "message": "attempt 2 of 3", "data": {"node": "a"}}
EXAMPLE_BUST: Schema = {"reason": "the venue cancelled the trade"}
EXAMPLE_CORRECTION: Schema = {"price": "5123.50", "reason": "the venue corrected the price"}
EXAMPLE_QUOTE: Schema = {
    "instrument": "ES 12-26",
    "bid": "6900.25",
    "ask": "6900.50",
    "bid_size": "12",
    "ask_size": "9",
    "time": "2026-03-10T14:30:00.123456Z",
}
EXAMPLE_PRINT: Schema = {"instrument": "ES 12-26", "price": "6900.50", "size": "3", "aggressor": "buy"}
EXAMPLE_NEW_EXECUTOR: Schema = {
    "account": "master_account",
    "config": {
        "type": "position_executor",
        "connector_name": "binance",
        "trading_pair": "BTC-USDT",
        "side": "BUY",
        "amount": "0.01",
        "triple_barrier_config": {"stop_loss": "0.02", "take_profit": "0.03"},
    },
}
EXAMPLE_STOP_EXECUTOR: Schema = {"keep_position": True}
EXAMPLE_FUNDS: Schema = {"cash": "100000", "max_position": "10"}

_STREAM_EVENT: Schema = {
    "type": "object",
    "description": "One Server-Sent Event. `event` is `ready`, the type of the feed's event, or `problem` at the end.",
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "retry": {"type": "integer"},
    },
    "required": ["event", "data"],
}


def _post_executions(dialects: Sequence[str]) -> Schema:
    ingest = {"results": params.RESULTS, "time_zone": params.TIME_ZONE}
    if dialects:
        ingest["dialect"] = params.word_param(dialects, "Rows are that vendor's own execution objects.")
    body = body_of(
        {"anyOf": [{"type": "array", "items": ref("RowModel"), "maxItems": 10_000}, ref("RowModel")]},
        {"array": [EXAMPLE_FILL, EXAMPLE_EXECUTOR], "one": EXAMPLE_RUN},
    )
    body["content"]["application/x-ndjson"] = {
        "schema": {"type": "string", "description": "One row per line, of at most 1 MiB; any number of lines."}
    }
    answers = ok("What became of each row.", ref("IngestResult"))
    answers["200"]["content"]["application/x-ndjson"] = {
        "schema": {"type": "string", "description": 'One result per line, then `{"summary": {…}}`.'}
    }
    return {
        "operationId": "recordExecutions",
        "summary": "Record executions",
        "description": "Idempotent: the same row again is a `duplicate`, a row with the same key and other content a "
        "`conflict`; neither changes anything. With `dialect`, rows are a vendor's own objects.",
        "parameters": parameters_of(ingest),
        "requestBody": body,
        "responses": answers | problems(408, 413, 415, 422),
    }


def _paths(dialects: Sequence[str]) -> dict[str, dict[str, Schema]]:
    path_id: Schema = {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The execution's `id`, or with `account` the id that its vendor uses.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    }
    note_body = {"anyOf": [ref("EventModel"), {"type": "array", "items": ref("EventModel"), "maxItems": 1000}]}
    return {
        "/ledger/executions": {
            "get": {
                "operationId": "listExecutions",
                "summary": "List executions",
                "parameters": parameters_of(params.LIST),
                "responses": ok("One page.", ref("ExecutionPage")) | problems(404),
            },
            "post": _post_executions(dialects),
        },
        "/ledger/executions/{id}": {
            "get": {
                "operationId": "getExecution",
                "summary": "Get one execution",
                "parameters": [path_id, *parameters_of(params.GET)],
                "responses": ok("The execution.", ref("Execution")) | problems(404),
            }
        },
        "/ledger/executions/{id}/events": {
            "get": {
                "operationId": "listEvents",
                "summary": "The timeline of an execution",
                "parameters": [path_id, *parameters_of(params.EVENTS)],
                "responses": ok("One page, oldest first.", ref("EventPage")) | problems(404),
            },
            "post": {
                "operationId": "addEvents",
                "summary": "Add events that change nothing else",
                "parameters": [path_id, *parameters_of(params.GET)],
                "requestBody": body_of(note_body, {"one": EXAMPLE_NOTE, "array": [EXAMPLE_NOTE]}),
                "responses": ok("The events.", ref("EventList"), status="201") | problems(404, 408, 413, 415),
            },
        },
        "/ledger/executions/{id}/transitions": {
            "post": {
                "operationId": "transitionExecution",
                "summary": "Change the status or the detail of an execution",
                "parameters": [path_id, *parameters_of(params.GET)],
                "requestBody": body_of(ref("TransitionModel"), {"running": EXAMPLE_TRANSITION}),
                "responses": ok("The execution as it now stands.", ref("Execution"))
                | problems(404, 408, 409, 413, 415),
            }
        },
        **_executor_paths(path_id),
        **workflow_paths(),
        **run_paths(path_id),
        **webhook_paths(),
        **_trading_paths(path_id),
        **_market_paths(),
        **_other_paths(),
    }


def _executor_paths(path_id: Schema) -> dict[str, dict[str, Schema]]:
    key: Schema = {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key with the same body is the same executor; with another body it is a 409.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 256},
    }
    of_executor = {"parameters": [path_id, *parameters_of(params.GET)]}
    return {
        "/ledger/executors": {
            "post": {
                "operationId": "startExecutor",
                "summary": "Start an executor",
                "description": "When the answer comes it is on disk and has begun.",
                "parameters": [key],
                "requestBody": body_of(ref("NewExecutorModel"), {"position": EXAMPLE_NEW_EXECUTOR}),
                "responses": ok("The executor.", ref("Execution"), status="201") | problems(404, 408, 409, 413, 415),
            }
        },
        "/ledger/executors/{id}": {
            "get": {
                "operationId": "getExecutor",
                "summary": "Get one executor at the market's prices now",
                **of_executor,
                "responses": ok("The executor; as recorded where it is over.", ref("Execution")) | problems(404),
            }
        },
        "/ledger/executors/{id}/stop": {
            "post": {
                "operationId": "stopExecutor",
                "summary": "Stop an executor",
                "description": "Its orders are cancelled, and what it holds is closed unless `keep_position`.",
                **of_executor,
                "requestBody": body_of(ref("StopExecutorModel"), {"keep": EXAMPLE_STOP_EXECUTOR}),
                "responses": ok("The executor as it now stands.", ref("Execution")) | problems(404, 408, 409, 413, 415),
            }
        },
    }


def _trading_paths(path_id: Schema) -> dict[str, dict[str, Schema]]:
    name: Schema = {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "The trading account, without case.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 256},
    }
    funds = {"parameters": [name, *parameters_of(params.FUNDS)]}
    of_fill = {"parameters": [path_id, *parameters_of(params.GET)]}
    fill = ok("The fill as it now stands.", ref("Execution")) | problems(404, 408, 409, 413, 415)
    return {
        "/ledger/executions/{id}/bust": {
            "post": {
                "operationId": "bustExecution",
                "summary": "Take back a fill of Gesta's own venue",
                "description": "It did not happen: position, money and totals are what the other fills make.",
                **of_fill,
                "requestBody": body_of(ref("BustModel"), {"error": EXAMPLE_BUST}),
                "responses": fill,
            }
        },
        "/ledger/executions/{id}/correct": {
            "post": {
                "operationId": "correctExecution",
                "summary": "Correct a fill of Gesta's own venue",
                "description": "Position, money and totals follow; the fill gets a new version.",
                **of_fill,
                "requestBody": body_of(ref("CorrectModel"), {"price": EXAMPLE_CORRECTION}),
                "responses": fill,
            }
        },
        "/ledger/accounts/{name}/funds": {
            "get": {
                "operationId": "getFunds",
                "summary": "An account's money, limits and open positions",
                **funds,
                "responses": ok("As committed.", ref("Funds")) | problems(404),
            },
            "patch": {
                "operationId": "setFunds",
                "summary": "Set the paper money of an account, or its largest position",
                "description": "Scope `admin`.",
                **funds,
                "requestBody": body_of(ref("FundsModel"), {"both": EXAMPLE_FUNDS}),
                "responses": ok("As it now stands.", ref("Funds")) | problems(404, 408, 409, 413, 415),
            },
        },
    }


def _market_paths() -> dict[str, dict[str, Schema]]:
    instrument: Schema = {
        "name": "instrument",
        "in": "path",
        "required": True,
        "description": "In any of its forms: `ES 12-26`, `ESZ6`, `ES`; `BTC-USDT`.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 64},
    }
    row: Schema = {"anyOf": [ref("MarketQuoteModel"), ref("MarketTradeModel")]}
    body = body_of(
        {"anyOf": [{"type": "array", "items": row, "maxItems": 10_000}, row]},
        {"array": [EXAMPLE_QUOTE, EXAMPLE_PRINT], "one": EXAMPLE_QUOTE},
    )
    body["content"]["application/x-ndjson"] = {
        "schema": {"type": "string", "description": "One row per line, of at most 1 MiB; any number of lines."}
    }
    return {
        "/ledger/market": {
            "get": {
                "operationId": "listMarkets",
                "summary": "Every instrument that has market data",
                "parameters": [],
                "responses": ok("By name.", ref("MarketList")) | problems(),
            }
        },
        "/ledger/market/data": {
            "post": {
                "operationId": "pushMarketData",
                "summary": "Give market data from outside",
                "description": "Scope `admin`. Rows are taken in order; a simulated feed of the instrument gives way, "
                "a recording that runs does not.",
                "parameters": parameters_of(params.PUSH),
                "requestBody": body,
                "responses": ok("What became of the rows.", ref("PushResult")) | problems(408, 409, 413, 415, 422),
            }
        },
        "/ledger/market/{instrument}": {
            "get": {
                "operationId": "getMarket",
                "summary": "One instrument's market",
                "parameters": [instrument],
                "responses": ok("As of now.", ref("Market")) | problems(404),
            }
        },
    }


def _other_paths() -> dict[str, dict[str, Schema]]:
    last_event_id: Schema = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "Resume after this event; goes before `after`.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    }
    files = {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()}
    return {
        "/ledger/stream": {
            "get": {
                "operationId": "streamEvents",
                "summary": "The change feed as Server-Sent Events, or over WebSocket",
                "description": "First `event: ready`; then one event per change, `id` its `seq`, `data` "
                "`{seq, event, execution}`; a comment as heartbeat. With a WebSocket handshake the same in text "
                "messages. `Last-Event-ID` or `after` resumes exactly.",
                "parameters": [last_event_id, *parameters_of(params.STREAM)],
                "responses": {
                    "200": {
                        "description": "The stream; it has no end.",
                        "content": {"text/event-stream": {"schema": _STREAM_EVENT}},
                    }
                }
                | problems(),
            }
        },
        "/ledger/summary": {
            "get": {
                "operationId": "summarizeExecutions",
                "summary": "Counts and exact sums",
                "parameters": parameters_of(params.SUMMARY),
                "responses": ok("The groups.", ref("Summary")) | problems(404),
            }
        },
        "/ledger/export": {
            "get": {
                "operationId": "exportExecutions",
                "summary": "Every execution that the filters admit, as a file",
                "parameters": parameters_of(params.EXPORT),
                "responses": {"200": {"description": "The file.", "content": files}} | problems(404),
            }
        },
    }


def document(dialects: Sequence[str]) -> dict[str, Any]:
    """The whole document. `dialects` are the vendor shapes that this server reads."""
    posted = posted_schemas()
    described = {
        "openapi": "3.1.0",
        "info": {
            "title": "Gesta ledger",
            "version": __version__,
            "description": "Gesta's own dialect: record, change, list, follow, sum and export executions.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"apiKey": [], "linkedAccount": []}, {"apiKey": []}],
        "paths": _paths(dialects),
        "components": {
            "schemas": {**posted, **printed_schemas(posted), **webhook_schemas()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A `gst_` or `b3sk_` token."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "linkedAccount": {"type": "apiKey", "in": "header", "name": "linked_account_id"},
                "webhookSecret": {"type": "apiKey", "in": "header", "name": "x-webhook-secret"},
            },
        },
    }
    # Defaults are values of the models; the document holds plain JSON.
    plain: dict[str, Any] = decode_json(encode_json(described))
    return plain
