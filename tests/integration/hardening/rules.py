"""How to call every route of every dialect, for the walks. A route without a rule fails them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

import msgspec
from starlette.routing import BaseRoute, Route, WebSocketRoute

from gesta.apis.crosstrade.commands import BY_API
from gesta.app.build import Server
from gesta.kernel.json import encode_json
from gesta.ledger.records import Kind
from tests.integration.hardening.house import House, Thing

Key = tuple[str, str, str]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request that asks for `thing`, or for whatever there is (`thing` None)."""

    target: str
    body: bytes | None = None
    content_type: str = "application/json"
    thing: str | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """`one` finds or changes a thing that the call names, `quiet` too, with an answer that shows nothing of it; `many`
    lists what the caller may see, so that 200 with nothing of a stranger's is right, `shared` what is everybody's;
    `creates` records in the caller's own organization; `open` needs no credential."""

    calls: Callable[[House], list[Call]]
    means: str = "one"


def routes_of(server: Server) -> Iterator[tuple[Key, BaseRoute]]:
    """Every (dialect, method, path template) that the server answers, and the operators' own."""
    for name, dialect in {**server.dialects, "operations": server.app.mount_of("/").app}.items():
        for route in _flat(dialect.routes):
            if isinstance(route, WebSocketRoute):
                yield (name, "WEBSOCKET", route.path), route
            elif isinstance(route, Route):
                for method in sorted((route.methods or set()) - {"HEAD"}):
                    yield (name, method, route.path), route
            else:
                # A mount or a host would hide routes from the walk.
                yield (name, type(route).__name__, str(getattr(route, "path", "?"))), route


def _flat(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """FastAPI keeps an included router as one route; what is in it counts."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            assert route.include_context.prefix == "", "a prefix of its own would be missing from the paths"
            yield from _flat(included.routes)


def rule(*templates: str, means: str = "one", kinds: Sequence[Kind] = tuple(Kind)) -> Rule:
    """Targets with `{id}`, `{account}`, `{order}` … of each thing; without any, as they stand."""

    def calls(house: House) -> list[Call]:
        made: dict[str, Call] = {}
        for template in templates:
            for thing in house.things.values():
                if "{" not in template:
                    made[template] = Call(target=template)
                elif thing.kind in kinds:
                    target = template.format_map(_values(thing))
                    made[target] = Call(target=target, thing=thing.key)
        return list(made.values())

    return Rule(calls=calls, means=means)


def posts(template: str, *bodies: str, means: str = "one", content_type: str = "application/json") -> Rule:
    """As `rule`, with a body that may name the thing too."""

    def calls(house: House) -> list[Call]:
        return [
            Call(
                target=template.format_map(_values(thing)),
                body=(body % {name: json.dumps(value)[1:-1] for name, value in _plain(thing).items()}).encode(),
                content_type=content_type,
                thing=thing.key,
            )
            for thing in house.things.values()
            for body in bodies
        ]

    return Rule(calls=calls, means=means)


def _plain(thing: Thing) -> dict[str, str]:
    return {
        "id": thing.id,
        "account": thing.account.name,
        "order": f"order-{thing.marker}",
        "marker": thing.marker,
        "workflow": f"workflow-{thing.marker}",
        "environment": thing.account.environment.value,
        "kind": thing.kind.value,
    }


def _values(thing: Thing) -> dict[str, str]:
    return {name: quote(value, safe="") for name, value in _plain(thing).items()}


def _creating(house: House) -> list[Call]:
    made = []
    for thing in house.things.values():
        row = {
            "id": thing.id,
            "account": thing.account.name,
            "origin": "hardening",
            "created_at": "2026-01-02T03:04:05Z",
        }
        row |= {"status": "succeeded", "environment": thing.account.environment, "account_type": thing.account.type}
        row["detail"] = {
            Kind.FILL: {"kind": "fill", "order_id": "o", "instrument": "i", "side": "buy", "quantity": 1, "price": 1},
            Kind.EXECUTOR: {"kind": "executor"},
            Kind.RUN: {"kind": "run"},
        }[thing.kind]
        made.append(Call(target="/ledger/executions", body=encode_json([row]), thing=thing.key))
        made.append(
            Call(
                target="/ledger/executions?results=errors",
                body=encode_json(row) + b"\n",
                content_type="application/x-ndjson",
                thing=thing.key,
            )
        )
    return made


# An order that is refused after the account has been looked at, and before anything is done.
_ORDER = (
    '{"instrument": "ES", "action": "BUY", "quantity": 1, "orderType": "MARKET", "requireMarketPosition": "long,short"}'
)
_EXECUTOR = (
    '"executor_config": {"type": "position_executor", "connector_name": "binance", "trading_pair": "BTC-USDT", '
    '"side": "BUY", "amount": "1"}}'
)
_IN_ACCOUNT = "/v1/api/accounts/{account}"
_WORKFLOW, _SCHEDULED = "/api/v2/public/workflow", "/api/v1/workflow/public/scheduled"
_LINKED = "/api/v2/public/linked-account"
_FILTERS = (
    "parent_id=parent-{marker}",
    "name={marker}",
    "order_id={order}",
    "workflow_id={workflow}",
    "account={account}",
)
OPEN = {"means": "open"}
RULES: dict[Key, Rule] = {
    ("crosstrade", "GET", "/v1/api/accounts"): rule("/v1/api/accounts", means="many"),
    ("crosstrade", "GET", "/v1/api/accounts/{account}/executions"): rule(
        "/v1/api/accounts/{account}/executions",
        "/v1/api/accounts/{account}/executions?lookbackTime=900",
        "/v1/api/accounts/{account}/executions?from=2000-01-01&limit=1000",
    ),
    ("crosstrade", "GET", "/v1/api/accounts/{account}/executions/{executionId:path}"): rule(
        "/v1/api/accounts/{account}/executions/{id}"
    ),
    ("crosstrade", "GET", "/v1/api/accounts/{account}/orders/{orderId:path}/executions"): rule(
        "/v1/api/accounts/{account}/orders/{order}/executions"
    ),
    ("crosstrade", "GET", _IN_ACCOUNT): rule(_IN_ACCOUNT),
    ("crosstrade", "GET", "/v1/api/accounts/snapshot"): rule("/v1/api/accounts/snapshot", means="many"),
    ("crosstrade", "GET", f"{_IN_ACCOUNT}/orders"): rule(
        f"{_IN_ACCOUNT}/orders", f"{_IN_ACCOUNT}/orders?activeOnly=true", f"{_IN_ACCOUNT}/orders?limit=1000"
    ),
    ("crosstrade", "GET", f"{_IN_ACCOUNT}/orders/{{orderId:path}}"): rule(f"{_IN_ACCOUNT}/orders/{{order}}"),
    ("crosstrade", "GET", f"{_IN_ACCOUNT}/orders/{{orderId:path}}/status"): rule(
        f"{_IN_ACCOUNT}/orders/{{order}}/status", means="quiet"
    ),
    ("crosstrade", "GET", f"{_IN_ACCOUNT}/orders/{{orderId:path}}/lifecycle"): rule(
        f"{_IN_ACCOUNT}/orders/{{order}}/lifecycle", f"{_IN_ACCOUNT}/orders/{{order}}/lifecycle?includeRaw=true"
    ),
    **{
        ("crosstrade", "POST", f"{_IN_ACCOUNT}/{path}"): posts(f"{_IN_ACCOUNT}/{path}", _ORDER)
        for path in ("orders/place", "orders/flatplace", "positions/reverseposition")
    },
    ("crosstrade", "POST", f"{_IN_ACCOUNT}/orders/{{orderId:path}}/replace"): posts(
        f"{_IN_ACCOUNT}/orders/{{order}}/replace", _ORDER
    ),
    **{
        ("crosstrade", method, f"{_IN_ACCOUNT}/orders/{{orderId:path}}/change"): posts(
            f"{_IN_ACCOUNT}/orders/{{order}}/change", '{"quantity": 2}'
        )
        for method in ("PUT", "POST")
    },
    ("crosstrade", "POST", f"{_IN_ACCOUNT}/orders/{{orderId:path}}/cancel"): posts(
        f"{_IN_ACCOUNT}/orders/{{order}}/cancel", "{}"
    ),
    ("crosstrade", "POST", f"{_IN_ACCOUNT}/orders/cancel_and_bracket"): posts(
        f"{_IN_ACCOUNT}/orders/cancel_and_bracket", '{"instrument": "ES", "stopLoss": 1000}'
    ),
    ("crosstrade", "POST", f"{_IN_ACCOUNT}/orders/cancel"): posts(
        f"{_IN_ACCOUNT}/orders/cancel", "{}", '{"instrument": "ES"}'
    ),
    ("crosstrade", "POST", "/v1/api/orders/cancelall"): posts("/v1/api/orders/cancelall", '{"account": "%(account)s"}'),
    ("crosstrade", "GET", f"{_IN_ACCOUNT}/positions"): rule(f"{_IN_ACCOUNT}/positions", means="quiet"),
    ("crosstrade", "GET", f"{_IN_ACCOUNT}/position"): rule(f"{_IN_ACCOUNT}/position?instrument=ES"),
    ("crosstrade", "GET", "/v1/api/positions"): rule("/v1/api/positions?includeFlat=true", means="shared"),
    **{
        ("crosstrade", "POST", f"{_IN_ACCOUNT}/positions/{path}"): posts(
            f"{_IN_ACCOUNT}/positions/{path}", '{"instrument": "ES"}'
        )
        for path in ("close", "flatten", "reverse")
    },
    ("crosstrade", "POST", "/v1/api/positions/flatten"): posts(
        "/v1/api/positions/flatten", '{"account": "%(account)s"}', '{"account": "%(account)s", "instrument": "ES"}'
    ),
    ("crosstrade", "GET", "/v1/api/market/quote"): rule("/v1/api/market/quote?instrument=ES,NQ", means="shared"),
    ("crosstrade", "GET", f"{_IN_ACCOUNT}/quote"): rule(f"{_IN_ACCOUNT}/quote?instrument=ES", means="quiet"),
    ("crosstrade", "GET", "/v1/api/market/info"): rule("/v1/api/market/info?instrument=ES", means="shared"),
    ("crosstrade", "POST", "/v1/api/market/bars"): posts("/v1/api/market/bars", '{"instrument": "ES"}', means="shared"),
    ("crosstrade", "GET", "/v1/api/_endpoints"): rule("/v1/api/_endpoints", **OPEN),
    ("crosstrade", "GET", "/v1/api/openapi.json"): rule("/v1/api/openapi.json", **OPEN),
    ("crosstrade", "WEBSOCKET", "/ws/stream"): Rule(calls=lambda house: [], means="websocket"),
    ("hummingbot", "WEBSOCKET", "/ws/executors"): Rule(calls=lambda house: [], means="websocket"),
    ("hummingbot", "GET", "/executors/{executor_id}"): rule("/executors/{id}"),
    ("hummingbot", "GET", "/executors/{executor_id}/logs"): rule(
        "/executors/{id}/logs", "/executors/{id}/logs?limit=1000&level=INFO"
    ),
    # Another organization's account is none: nothing is created.
    ("hummingbot", "POST", "/executors/"): posts("/executors/", '{"account_name": "%(account)s", ' + _EXECUTOR),
    ("hummingbot", "POST", "/executors/search"): posts(
        "/executors/search",
        "{}",
        '{"account_names": ["%(account)s"]}',
        '{"connector_names": ["connector-%(marker)s"], "limit": 1000}',
        '{"trading_pairs": ["%(marker)s-USDT", "BTC-USDT"]}',
        '{"controller_ids": ["controller-%(marker)s"], "status": "RUNNING"}',
        means="many",
    ),
    ("hummingbot", "GET", "/executors/summary"): rule("/executors/summary", means="many"),
    ("hummingbot", "GET", "/executors/performance"): rule(
        "/executors/performance", "/executors/performance?controller_id=controller-{marker}", means="many"
    ),
    ("hummingbot", "POST", "/executors/{executor_id}/stop"): posts("/executors/{id}/stop", '{"keep_position": true}'),
    ("hummingbot", "GET", "/executors/types/available"): rule("/executors/types/available", means="shared"),
    ("hummingbot", "GET", "/executors/types/{executor_type}/config"): rule(
        "/executors/types/grid_executor/config", means="shared"
    ),
    ("hummingbot", "GET", "/accounts/"): rule("/accounts/", means="many"),
    ("hummingbot", "GET", "/connectors/"): rule("/connectors/", means="shared"),
    ("hummingbot", "GET", "/connectors/{connector_name}/trading-rules"): rule(
        "/connectors/binance/trading-rules", means="shared"
    ),
    ("hummingbot", "POST", "/market-data/prices"): posts(
        "/market-data/prices", '{"connector_name": "binance", "trading_pairs": []}', means="shared"
    ),
    ("hummingbot", "GET", "/executors/positions/summary"): rule("/executors/positions/summary", means="many"),
    **{
        ("hummingbot", method, "/executors/positions/{connector_name}/{trading_pair}"): rule(
            "/executors/positions/connector-{marker}/{marker}-USDT?account_name={account}", means="quiet"
        )
        for method in ("GET", "DELETE")
    },
    ("b3os", "GET", "/v1/executions"): rule(
        "/v1/executions",
        "/v1/executions?limit=100&offset=0",
        "/v1/executions?cursor=",
        "/v1/executions?workflowId={workflow}",
        "/v1/executions?externalRef=ref-{marker}",
        "/v1/executions?orderId={order}&status=workflow_failed",
        means="many",
    ),
    ("b3os", "GET", "/v1/executions/{id}"): rule("/v1/executions/{id}"),
    ("b3os", "GET", "/v1/executions/{id}/events"): rule("/v1/executions/{id}/events"),
    ("b3os", "POST", "/v1/executions"): posts(
        "/v1/executions",
        '{"workflowId": "%(workflow)s", "sourceSystem": "s", "sourceEntityType": "t"}',
        means="quiet",
    ),
    ("b3os", "GET", "/v1/runs"): rule(
        "/v1/runs", "/v1/runs?status=failure", "/v1/runs?workflowId={workflow}", means="many"
    ),
    ("b3os", "GET", "/v1/runs/{id}"): rule(
        "/v1/runs/{id}", "/v1/runs/run_{id}", "/v1/runs/{id}?summary=true", "/v1/runs/{id}?nodeIds=node-{marker}"
    ),
    ("b3os", "GET", "/v1/runs/{id}/stream"): rule("/v1/runs/run_{id}/stream"),
    # tests/wire/b3os/test_activity.py has what others see of it.
    ("b3os", "GET", "/v1/activity/stream"): Rule(calls=lambda house: [], means="stream"),
    **{
        ("b3os", "POST", f"/v1/runs/{{id}}/{verb}"): rule(f"/v1/runs/run_{{id}}/{verb}") for verb in ("cancel", "retry")
    },
    ("b3os", "POST", "/v1/runs/{id}/nodes/{nodeId}/resume"): posts(
        "/v1/runs/run_{id}/nodes/node-{marker}/resume", '{"data": 1}', '{"payload": 1}'
    ),
    **{
        ("b3os", "POST", path): posts(
            path, '{"definition": {"nodes": {"root": {"type": "manual", "children": []}}}}', means="creates"
        )
        for path in ("/v1/runs", "/v1/runs/sync")
    },
    ("b3os", "GET", "/v1/workflows"): rule("/v1/workflows", "/v1/workflows?search={marker}", means="shared"),
    ("b3os", "POST", "/v1/workflows"): posts(
        "/v1/workflows",
        '{"name": "%(marker)s", "definition": {"nodes": {"root": {"type": "manual", "children": []}}}}',
        means="creates",
    ),
    ("b3os", "POST", "/v1/workflows/validate"): posts("/v1/workflows/validate", '{"definition": {}}', means="shared"),
    # Of workflows the house has none, so that nobody's calls find any; tests/wire/b3os has those of others.
    **{
        ("b3os", method, path): rule(path.format(id="{workflow}", version=1), means="quiet")
        for method, path in (
            *((method, "/v1/workflows/{id}") for method in ("GET", "DELETE")),
            *(("GET", f"/v1/workflows/{{id}}/{word}") for word in ("runs", "schedule", "versions")),
            ("GET", "/v1/workflows/{id}/versions/{version}"),
            *(
                ("POST", f"/v1/workflows/{{id}}/{verb}")
                for verb in ("run", "publish", "pause", "resume", "webhook-secret")
            ),
        )
    },
    # Of webhooks the house has none either; tests/conformance/test_webhooks.py has those of others.
    ("b3os", "GET", "/v1/execution-webhooks"): rule("/v1/execution-webhooks", means="shared"),
    ("b3os", "POST", "/v1/execution-webhooks"): posts(
        "/v1/execution-webhooks", '{"url": "https://example.com/%(id)s", "events": ["run.failed"]}', means="creates"
    ),
    ("b3os", "GET", "/v1/execution-webhooks/deliveries"): rule("/v1/execution-webhooks/deliveries", means="shared"),
    **{
        ("b3os", method, f"/v1/execution-webhooks/{path}"): rule(
            f"/v1/execution-webhooks/{path}".format(id="{marker}"), means="quiet"
        )
        for method, path in (
            *(("GET", "{id}"), ("DELETE", "{id}"), ("GET", "deliveries/{id}")),
            *(("POST", f"{{id}}/{verb}") for verb in ("enable", "disable", "regenerate-secret")),
            *(("POST", f"deliveries/{{id}}/{verb}") for verb in ("retry", "replay")),
        )
    },
    ("b3os", "PUT", "/v1/execution-webhooks/{id}"): posts(
        "/v1/execution-webhooks/{marker}", '{"name": "x"}', means="quiet"
    ),
    ("b3os", "PUT", "/v1/workflows/{id}"): posts("/v1/workflows/{workflow}", '{"name": "x"}', means="quiet"),
    ("b3os", "POST", "/v1/workflows/{id}/rollback"): posts(
        "/v1/workflows/{workflow}/rollback", '{"versionNumber": 1}', means="quiet"
    ),
    # Open to whoever has the token or the secret, or where a workflow is for everybody.
    **{
        ("b3os", method, path): Rule(calls=lambda house: [], means="secret")
        for method, path in (
            ("GET", "/v1/public/workflows/{id}"),
            ("POST", "/v1/public/workflows/{id}/executions"),
            ("GET", "/v1/public/executions/{id}"),
            ("GET", "/v1/public/executions/{id}/stream"),
            ("POST", "/v1/webhooks/{workflowSecret}"),
        )
    },
    **{
        ("refold", "GET", f"/api/v2/public/execution{plural}"): rule(
            f"/api/v2/public/execution{plural}",
            f"/api/v2/public/execution{plural}?limit=100&sortAsc=true",
            f"/api/v2/public/execution{plural}?execution_id={{id}}",
            f"/api/v2/public/execution{plural}?workflow_id={{workflow}}",
            f"/api/v2/public/execution{plural}?workflow_name={{marker}}",
            f"/api/v2/public/execution{plural}?slug=application%20{{marker}},other",
            f"/api/v2/public/execution{plural}?linked_account_id={{account}}",
            means="many",
        )
        for plural in ("", "s")
    },
    **{
        ("refold", "GET", f"/api/v2/public/execution{plural}/{{execution_id}}"): rule(
            f"/api/v2/public/execution{plural}/{{id}}",
            f"/api/v2/public/execution{plural}/{{id}}?linked_account_id={{account}}",
        )
        for plural in ("", "s")
    },
    ("refold", "POST", "/api/v2/public/session-token"): posts(
        "/api/v2/public/session-token", '{"linked_account_id": "%(account)s"}', means="account"
    ),
    # A stranger has no session of another organization to end: whatever is sent, it is the caller's own.
    ("refold", "POST", "/api/v2/public/session-token/revoke"): Rule(calls=lambda house: [], means="own session"),
    ("refold", "GET", "/api/v2/public/session/active-linked-account"): rule(
        "/api/v2/public/session/active-linked-account",
        "/api/v2/public/session/active-linked-account?linked_account_id={account}",
        means="many",
    ),
    **{
        ("refold", "POST", f"/api/v2/public/execution/{{execution_id}}/{verb}"): posts(
            f"/api/v2/public/execution/{{id}}/{verb}", "{}"
        )
        for verb in ("stop", "rerun")
    },
    ("refold", "GET", "/api/v2/public/execution/{execution_id}/nodes/{node_id}/batches"): rule(
        "/api/v2/public/execution/{id}/nodes/1/batches", means="quiet"
    ),
    ("refold", "GET", "/api/v1/execution/{execution_id}/response"): rule(
        "/api/v1/execution/{id}/response", means="quiet"
    ),
    # Of workflows the house has none, so that nobody's calls find any; tests/wire/refold has those of other accounts.
    **{
        ("refold", method, path): rule(path.format(workflow_id="{workflow}", schedule_id="{id}"), means="quiet")
        for method, path in (
            ("POST", "/api/v1/workflow/{workflow_id}/execute"),
            ("POST", f"{_WORKFLOW}/{{workflow_id}}/execute"),
            *((method, f"{_WORKFLOW}/{{workflow_id}}") for method in ("GET", "PUT", "DELETE")),
            ("GET", f"{_WORKFLOW}/{{workflow_id}}/edit"),
            ("PUT", f"{_WORKFLOW}/{{workflow_id}}/publish"),
            ("POST", f"{_WORKFLOW}/{{workflow_id}}/webhook"),
            *(("GET", f"{_WORKFLOW}/{word}/{{workflow_id}}") for word in ("request-structure", "versions")),
            *((method, f"{_SCHEDULED}/{{schedule_id}}") for method in ("GET", "PUT", "DELETE")),
            *(("PUT", f"{_SCHEDULED}/{{schedule_id}}/{verb}") for verb in ("pause", "resume")),
        )
    },
    **{("refold", "GET", path): rule(path, means="shared") for path in (_WORKFLOW, _SCHEDULED, _LINKED)},
    ("refold", "POST", _WORKFLOW): posts(_WORKFLOW, '{"name": "name %(marker)s"}', means="creates"),
    ("refold", "POST", _SCHEDULED): posts(
        f"{_SCHEDULED}?workflow_id_alias={{workflow}}", '{"trigger_type": "cron", "regex": "0 9 * * 1"}', means="quiet"
    ),
    **{
        ("refold", "POST", f"/api/v2/public/{path}"): posts(
            f"/api/v2/public/{path}".replace("{slug}", "application-{marker}"), '{"event": "x"}', means="quiet"
        )
        for path in ("event/trigger", "event/{slug}")
    },
    # The secret in the address is the credential.
    **{
        ("refold", "POST", f"/api/v2/public/hook/{path}"): Rule(calls=lambda house: [], means="secret")
        for path in ("{workflow_id}", "{workflow_id}/{secret}")
    },
    **{
        ("refold", method, _LINKED): posts(_LINKED, '{"account_id": "%(account)s"}', means="creates")
        for method in ("POST", "PUT")
    },
    # Endpoints of another organization: tests/wire/refold/test_webhooks.py.
    **{
        ("refold", method, f"/api/v2/public/webhook{path}"): Rule(calls=lambda house: [], means="webhooks")
        for path, methods in (
            ("", ("GET", "POST")),
            ("/{webhook_id}", ("GET", "PUT", "DELETE")),
            ("/{webhook_id}/deliveries", ("GET",)),
            ("/{webhook_id}/deliveries/{delivery_id}/replay", ("POST",)),
        )
        for method in methods
    },
    # It would take the house's accounts away; whose accounts are deleted: tests/wire/refold/test_linked_accounts.py.
    ("refold", "DELETE", f"{_LINKED}/{{linked_account_id}}"): Rule(calls=lambda house: [], means="accounts"),
    ("refold", "GET", f"{_LINKED}/{{linked_account_id}}"): rule(f"{_LINKED}/{{account}}", means="quiet"),
    ("native", "GET", "/ledger/executions"): rule(
        "/ledger/executions",
        "/ledger/executions?limit=1000&order=oldest&total=true",
        "/ledger/executions?offset=0&limit=1000",
        "/ledger/executions?kind={kind}&environment={environment}",
        *(f"/ledger/executions?{each}" for each in _FILTERS),
        means="many",
    ),
    ("native", "POST", "/ledger/executions"): Rule(calls=_creating, means="creates"),
    ("native", "GET", "/ledger/executions/{id:path}"): rule(
        "/ledger/executions/{id}", "/ledger/executions/{id}?account={account}"
    ),
    ("native", "GET", "/ledger/executions/{id:path}/events"): rule("/ledger/executions/{id}/events"),
    ("native", "POST", "/ledger/executions/{id:path}/events"): posts(
        "/ledger/executions/{id}/events", '{"type": "note.added"}', "not even JSON"
    ),
    ("native", "POST", "/ledger/executions/{id:path}/transitions"): posts(
        "/ledger/executions/{id}/transitions", '{"status": "cancelled"}', '{"status": "queued"}', "[["
    ),
    ("native", "POST", "/ledger/executions/{id:path}/bust"): posts(
        "/ledger/executions/{id}/bust", '{"reason": "x"}', "[["
    ),
    ("native", "POST", "/ledger/executions/{id:path}/correct"): posts(
        "/ledger/executions/{id}/correct", '{"reason": "x", "price": "1"}', "{"
    ),
    ("native", "POST", "/ledger/executors"): posts(
        "/ledger/executors",
        '{"account": "%(account)s", "config": {"type": "position_executor"}}',
        '{"account": "%(account)s", "config": {}}',
    ),
    ("native", "GET", "/ledger/executors/{id:path}"): rule(
        "/ledger/executors/{id}", "/ledger/executors/{id}?account={account}", kinds=[Kind.EXECUTOR]
    ),
    ("native", "POST", "/ledger/executors/{id:path}/stop"): posts(
        "/ledger/executors/{id}/stop", "{}", '{"keep_position": true}', "[["
    ),
    # Of workflows and jobs the house has none, so that nobody's calls find any; tests/wire/native has those of others.
    ("native", "GET", "/ledger/workflows"): rule(
        "/ledger/workflows", "/ledger/workflows?search={marker}", means="shared"
    ),
    # The secret, or a signature under it, is the credential.
    ("native", "POST", "/ledger/hooks/{workflow_id}"): Rule(calls=lambda house: [], means="secret"),
    ("native", "POST", "/ledger/workflows"): Rule(calls=lambda house: [], means="own workflow"),
    ("native", "POST", "/ledger/workflows/validate"): posts(
        "/ledger/workflows/validate", '{"definition": {"nodes": []}}', means="shared"
    ),
    **{
        ("native", method, path): rule(path.format(id="{workflow}", version=1), means="quiet")
        for method, path in (
            *((method, "/ledger/workflows/{id}") for method in ("GET", "DELETE")),
            *(("GET", f"/ledger/workflows/{{id}}/{word}") for word in ("versions", "diff", "versions/{version}")),
            *(("POST", f"/ledger/workflows/{{id}}/{verb}") for verb in ("unpublish", "hook-secret")),
        )
    },
    **{
        ("native", method, path): posts(path.format(id="{workflow}"), body, "[[", means="quiet")
        for method, path, body in (
            ("PUT", "/ledger/workflows/{id}", '{"definition": {"nodes": []}}'),
            ("POST", "/ledger/workflows/{id}/publish", "{}"),
            ("POST", "/ledger/workflows/{id}/status", '{"status": "paused"}'),
        )
    },
    ("native", "POST", "/ledger/runs"): posts("/ledger/runs", '{"workflow": "%(workflow)s"}', means="quiet"),
    ("native", "POST", "/ledger/runs/bulk"): posts(
        "/ledger/runs/bulk", '{"action": "stop", "filter": {"ids": ["%(id)s"]}}'
    ),
    ("native", "GET", "/ledger/runs/{id:path}"): rule(
        "/ledger/runs/{id}", "/ledger/runs/{id}?account={account}", kinds=[Kind.RUN]
    ),
    **{
        ("native", "GET", f"/ledger/runs/{{id:path}}/{word}"): rule(f"/ledger/runs/{{id}}/{word}{query}", means="quiet")
        for word, query in (("batches", "?node=node-{marker}"), ("checkout", ""))
    },
    **{
        ("native", "POST", f"/ledger/runs/{{id:path}}/{verb}"): rule(f"/ledger/runs/{{id}}/{verb}")
        for verb in ("stop", "retry")
    },
    **{
        ("native", "POST", f"/ledger/runs/{{id:path}}/{verb}"): posts(f"/ledger/runs/{{id}}/{verb}", body, "[[")
        for verb, body in (("rerun", "{}"), ("resume", '{"node": "node-%(marker)s"}'), ("refund", "{}"))
    },
    ("native", "GET", "/ledger/jobs"): rule("/ledger/jobs", means="shared"),
    ("native", "GET", "/ledger/jobs/{id}"): rule("/ledger/jobs/{id}", means="quiet"),
    ("native", "POST", "/ledger/jobs/{id}/cancel"): rule("/ledger/jobs/{id}/cancel", means="quiet"),
    ("native", "GET", "/ledger/schedules"): rule(
        "/ledger/schedules", "/ledger/schedules?workflow={workflow}", means="shared"
    ),
    ("native", "POST", "/ledger/schedules"): posts(
        "/ledger/schedules", '{"workflow": "%(workflow)s", "cron": "0 9 * * 1"}', means="quiet"
    ),
    **{
        ("native", method, "/ledger/schedules/{id}"): rule("/ledger/schedules/{id}", means="quiet")
        for method in ("GET", "DELETE")
    },
    ("native", "PUT", "/ledger/schedules/{id}"): posts(
        "/ledger/schedules/{id}", '{"cron": "0 9 * * 1"}', "[[", means="quiet"
    ),
    **{
        ("native", "POST", f"/ledger/schedules/{{id}}/{verb}"): rule(f"/ledger/schedules/{{id}}/{verb}", means="quiet")
        for verb in ("pause", "resume")
    },
    ("native", "POST", "/ledger/events"): posts("/ledger/events", '{"event": "%(marker)s"}', means="shared"),
    ("native", "GET", "/ledger/webhooks"): rule("/ledger/webhooks", means="shared"),
    ("native", "POST", "/ledger/webhooks"): posts(
        "/ledger/webhooks", '{"url": "https://example.com/%(id)s", "events": ["run.failed"]}', means="creates"
    ),
    **{
        ("native", method, f"/ledger/webhooks/{path}"): rule(
            f"/ledger/webhooks/{path}".format(id="{marker}", delivery="{marker}"), means="quiet"
        )
        for method, path in (
            *(("GET", "{id}"), ("DELETE", "{id}")),
            *(("POST", f"{{id}}/{verb}") for verb in ("enable", "disable", "secret")),
            *(("GET", f"{{id}}/deliveries{one}") for one in ("", "/{delivery}")),
            *(("POST", f"{{id}}/deliveries/{{delivery}}/{verb}") for verb in ("retry", "replay")),
        )
    },
    ("native", "PATCH", "/ledger/webhooks/{id}"): posts(
        "/ledger/webhooks/{marker}", '{"name": "x"}', "[[", means="quiet"
    ),
    # The market is the server's own and everybody's: there is nothing of an organization in it.
    ("native", "GET", "/ledger/market"): rule("/ledger/market", means="market"),
    ("native", "GET", "/ledger/market/{instrument:path}"): rule("/ledger/market/ES", means="market"),
    ("native", "POST", "/ledger/market/data"): posts(
        "/ledger/market/data",
        '{"instrument": "BTC-USDT", "bid": "1", "ask": "2", "bid_size": "1", "ask_size": "1"}',
        "[[",
        means="market",
    ),
    ("native", "GET", "/ledger/accounts/{name:path}/funds"): rule("/ledger/accounts/{account}/funds"),
    ("native", "PATCH", "/ledger/accounts/{name:path}/funds"): posts(
        "/ledger/accounts/{account}/funds", '{"cash": "1"}', "[["
    ),
    ("native", "GET", "/ledger/stream"): Rule(calls=lambda house: [], means="stream"),
    ("native", "WEBSOCKET", "/ledger/stream"): Rule(calls=lambda house: [], means="websocket"),
    ("native", "GET", "/ledger/summary"): rule(
        "/ledger/summary",
        "/ledger/summary?by=day,kind,status,account",
        "/ledger/summary?account={account}",
        means="many",
    ),
    ("native", "GET", "/ledger/export"): rule(
        *(f"/ledger/export?format={form}" for form in ("csv", "ndjson", "parquet")),
        *(f"/ledger/export?format=ndjson&{each}" for each in _FILTERS),
        means="many",
    ),
    **{("operations", "GET", path): rule(path, **OPEN) for path in ("/", "/healthz", "/readyz", "/metrics")},
    ("operations", "GET", "/openapi/{dialect}.json"): rule(
        *(f"/openapi/{name}.json" for name in ("crosstrade", "hummingbot", "b3os", "refold", "native")), **OPEN
    ),
}

# The commands of CrossTrade's WebSocket, and the arguments that name a thing.
_TERMS: dict[str, object] = json.loads(_ORDER)


def _in_account(**args: object) -> Callable[[Thing], list[dict[str, object]]]:
    return lambda thing: [{"account": thing.account.name, **args}]


def _of_order(**args: object) -> Callable[[Thing], list[dict[str, object]]]:
    return lambda thing: [{"account": thing.account.name, "orderId": f"order-{thing.marker}", **args}]


# What is answered whoever asks, with what is the caller's own or everybody's.
FOR_ALL = {"ListAccounts", "GetAccountSummary", "GetAllPositions", "GetQuote", "GetMarketInfo", "GetBars"}
COMMANDS: dict[str, Callable[[Thing], list[dict[str, object]]]] = {
    **{api: lambda thing: [{}] for api in ("ListAccounts", "GetAccountSummary", "GetAllPositions")},
    **{api: lambda thing: [{"instrument": "ES"}] for api in ("GetQuote", "GetMarketInfo", "GetBars")},
    "ListExecutions": lambda thing: [
        {"account": thing.account.name},
        {"account": thing.account.name, "from": "2000-01-01", "limit": 1000},
    ],
    "GetExecution": lambda thing: [{"account": thing.account.name, "executionId": thing.id}],
    **{
        api: _of_order()
        for api in (
            *("GetExecutionsByOrderId", "GetOrder", "GetOrderStatus", "GetOrderLifecycle", "Cancel", "CancelOrder"),
        )
    },
    "Change": _of_order(quantity=2),
    "CancelReplace": _of_order(**_TERMS),
    **{api: _in_account(**_TERMS) for api in ("PlaceOrder", "FlatPlace", "ReversePosition")},
    **{
        api: _in_account()
        for api in (
            *("GetAccount", "ListOrders", "GetAllOrders", "ListPositions"),
            *("CancelOrders", "CancelAllOrders", "Flatten", "FlattenEverything"),
        )
    },
    **{api: _in_account(instrument="ES") for api in ("GetPosition", "ClosePosition", "Reverse")},
    "CancelAndBracket": _in_account(instrument="ES", stopLoss=1000),
}


def unruled(server: Server) -> set[Key]:
    """Routes and commands that no rule says how to call, and rules that no route has."""
    found = {key for key, _ in routes_of(server)}
    commands = {("crosstrade", "command", api) for api in set(BY_API) ^ set(COMMANDS)}
    # A server may be without outgoing webhooks.
    absent = {key for key, each in RULES.items() if each.means == "webhooks" and server.services.webhooks is None}
    return (found ^ (set(RULES) - absent)) | commands
