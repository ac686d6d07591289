"""The part of a trading server that the commands speak to, as a transport of httpx: orders fill at one price."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httpx

NOW_MS = 1_760_000_000_000


class FakeServer:
    """State is what a test says; `outcomes` are the states of the next orders. `requests` keeps what came in."""

    def __init__(self) -> None:
        self.accounts = ["Sim101"]
        self.orders: list[dict[str, Any]] = []
        self.positions: list[dict[str, Any]] = []
        self.fills: list[dict[str, Any]] = []
        self.outcomes: list[dict[str, Any]] = []
        self.closes = True
        self.executors: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.ends_after: int | None = None
        line = {"at": "2025-10-09T08:53:20.123456Z", "level": "info", "type": "executor.log", "title": ""}
        self.events = [
            {**line, "seq": 1, "message": "Open order placed."},
            {**line, "seq": 2, "level": "error", "message": "Refused."},
            {**line, "seq": 3, "type": "executor.filled", "title": "Filled", "message": ""},
        ]
        self.refusals: list[httpx.Response | Exception] = []
        self.requests: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, body = unquote(request.url.path), json.loads(request.read() or b"null")
        self.requests.append((request.method, request.url.raw_path.decode(), body))
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Exception):
                raise refusal
            return refusal
        parts = path.strip("/").split("/")
        handler: Callable[..., httpx.Response] = self._ledger if parts[0] == "ledger" else self._crosstrade
        return handler(request, parts, body)

    def _executors(self, request: httpx.Request, parts: list[str], body: Any) -> httpx.Response:
        if len(parts) == 2:
            self.keys.append(request.headers["Idempotency-Key"])
            row = self.execute(f"made{len(self.executors)}", config=body["config"], account=body.get("account"))
            return httpx.Response(201, json=row)
        found = [row for row in self.executors if row["id"] == parts[2]]
        if not found:
            said = {"type": "/problems/not_found", "status": 404, "detail": f"Execution {parts[2]} not found."}
            return httpx.Response(404, json=said)
        if parts[3:] == ["stop"]:
            found[0] |= {"status": "cancelled"}
            found[0]["detail"]["close_type"] = "EARLY_STOP"
            self.events.append({**self.events[-1], "seq": len(self.events) + 1, "title": "Early stop"})
        elif self.ends_after is not None:
            self.ends_after -= 1
            if self.ends_after <= 0:
                found[0]["status"] = "succeeded"
        return httpx.Response(200, json=found[0])

    def execute(self, identifier: str, **fields: Any) -> dict[str, Any]:
        """A position executor that runs."""
        config = fields.pop("config", {"type": "position_executor", "connector_name": "binance"})
        detail = {
            "kind": "executor",
            "executor_type": config["type"],
            "connector": config.get("connector_name"),
            "trading_pair": "BTC-USDT",
            "side": "buy",
            "net_pnl_quote": "12.5",
            "net_pnl_pct": "0.0042",
            "fees_quote": "0.31",
            "filled_quote": "300.1",
            "close_type": None,
            "error_count": 0,
            "last_error": None,
            "config": config,
            "custom_info": {"current_retries": 0, "entry": "97000.500000", "order_ids": [], "note": None},
        }
        row = {
            "id": identifier,
            "account": fields.pop("account", None) or "master_account",
            "status": "running",
            "created_at": "2025-10-09T08:53:20.123456Z",
            "finished_at": None,
            "correlation": {"controller_id": "main"},
            "detail": detail | fields.pop("detail", {}),
            **fields,
        }
        self.executors.insert(0, row)
        return row

    def _ledger(self, request: httpx.Request, parts: list[str], body: Any) -> httpx.Response:
        if parts[1] == "executors":
            return self._executors(request, parts, body)
        if parts[-1] == "events":
            items = [event for event in self.events if event["seq"] > int(request.url.params["after_seq"])]
            return httpx.Response(200, json={"items": items, "has_more": False, "next_after_seq": None})
        if request.url.params.get("kind") == "executor":
            rows = self.executors[: int(request.url.params["limit"])]
            return httpx.Response(200, json={"items": rows, "total": None, "next_cursor": None, "has_more": False})
        if parts[-1] == "funds":
            money = {"cash": "100000", "net_liquidation": "100000.5", "currency": "USD", "max_position": None}
            return httpx.Response(200, json={"account": parts[2], **money, **(body or {})})
        if parts[-1] in ("bust", "correct"):
            (row,) = [fill for fill in self.fills if fill["id"] == parts[2]]
            row["version"] += 1
            if parts[-1] == "bust":
                row["status"] = "cancelled"
            row["detail"] |= {key: value for key, value in body.items() if key != "reason"}
            return httpx.Response(200, json=row)
        rows = self.fills[: int(request.url.params["limit"])]
        return httpx.Response(200, json={"items": rows, "total": None, "next_cursor": None, "has_more": False})

    def _crosstrade(self, request: httpx.Request, parts: list[str], body: Any) -> httpx.Response:
        tail = parts[2:]
        if tail == ["accounts"]:
            return ok(accounts=[{"name": name} for name in self.accounts])
        if tail == ["accounts", "snapshot"]:
            return ok(accounts=[self._snapshot(name) for name in self.accounts])
        if tail == ["positions"]:
            return ok(positions=self.positions, count=len(self.positions))
        if tail == ["positions", "flatten"]:
            return self._flatten(body)
        account, rest = tail[1], tail[2:]
        if rest == ["positions"]:
            return ok(positions=[row for row in self.positions if row["account"] == account])
        if rest == ["orders", "place"]:
            return self._place(account, body)
        if rest == ["orders"]:
            rows = [row for row in self.orders if row["account"] == account]
            if request.url.params.get("working"):
                rows = [row for row in rows if row["orderState"] in ("Working", "Accepted")]
            return ok(orders=rows[: int(request.url.params["limit"])])
        return self._one(account, rest[1], rest[2:], body)

    def _snapshot(self, name: str) -> dict[str, Any]:
        item = {"cashValue": 100012.5, "netLiquidation": 99987.5, "realizedProfitLoss": 12.5}
        held = [row for row in self.positions if row["account"] == name]
        return {"account": {"name": name, "item": {**item, "unrealizedProfitLoss": -25.0}}, "positions": held}

    def _place(self, account: str, body: dict[str, Any]) -> httpx.Response:
        identifier = f"{len(self.orders) + 1:08x}" + "0" * 24
        kinds = {"MARKET": "Market", "LIMIT": "Limit", "STOPMARKET": "StopMarket", "STOPLIMIT": "StopLimit"}
        row = {
            "account": account,
            "orderId": identifier,
            "instrument": "ES 12-26",
            "orderType": kinds.get(body["orderType"], body["orderType"]),
            "orderState": "Filled",
            "quantity": body["quantity"],
            "averageFillPrice": 5804.25,
            "filled": body["quantity"],
            "limitPrice": body.get("limitPrice", 0),
            "name": body.get("name") or "",
            "oco": body.get("ocoId") or "",
            "orderAction": body["action"].capitalize(),
            "stopPrice": body.get("stopPrice", 0),
            "epoch": NOW_MS + len(self.orders),
            "timeInForce": body["timeInForce"].capitalize(),
            "originalOrderId": body["orderId"],
            "reduceOnly": body.get("reduceOnly", False),
            "stopLossTicks": body.get("stopLossTicks"),
            "takeProfitTicks": body.get("takeProfitTicks"),
            "entryOrderId": None,
            "reason": None,
            **(self.outcomes.pop(0) if self.outcomes else {}),
        }
        self.orders.insert(0, row)
        for name, kind, key in (("Stop1", "StopMarket", "stopLossTicks"), ("Target1", "Limit", "takeProfitTicks")):
            if row[key] and row["filled"]:
                self.add(account=account, name=name, orderType=kind, entryOrderId=identifier)
        return ok(orderId=identifier)

    def add(self, **fields: Any) -> dict[str, Any]:
        """An order that works."""
        row = {
            "account": "Sim101",
            "orderId": f"{len(self.orders) + 1:08x}" + "f" * 24,
            "instrument": "ES 12-26",
            "orderType": "Limit",
            "orderState": "Working",
            "quantity": 2,
            "averageFillPrice": 0.0,
            "filled": 0,
            "limitPrice": 5808.25,
            "stopPrice": 5802.25,
            "name": "",
            "orderAction": "Sell",
            "epoch": NOW_MS + len(self.orders),
            "timeInForce": "Gtc",
            "originalOrderId": None,
            **fields,
        }
        self.orders.insert(0, row)
        return row

    def _one(self, account: str, identifier: str, rest: list[str], body: Any) -> httpx.Response:
        found = [row for row in self.orders if identifier in (row["orderId"], row.get("originalOrderId"))]
        if not found:
            if rest == ["cancel"]:
                return refused(400, f"Order linked to '{identifier}' not found or already terminal.")
            return refused(404, "invalid_order", detail=f"Order {identifier} not found")
        (row,) = found
        if rest == ["cancel"]:
            row |= {"orderState": "Cancelled", "reason": "Cancelled by the caller."}
        elif rest == ["change"]:
            row |= body
        elif rest == ["lifecycle"]:
            first = {"epoch": float(row["epoch"]), "source": "api_received", "event": "PlaceOrder", "orderState": None}
            fill = {"epoch": float(row["epoch"]), "source": "execution", "event": "Fill", "price": 5804.25}
            events = [{**first, "message": None}, {**fill, "quantity": 2, "orderState": None, "message": None}]
            return ok(events=events)
        else:
            return ok(**row)
        return ok(orderId=identifier)

    def _flatten(self, body: dict[str, Any]) -> httpx.Response:
        wanted = body.get("account")
        closed = [row for row in self.positions if wanted in (None, row["account"])]
        if self.closes:
            self.positions = [row for row in self.positions if row not in closed]
        answer: dict[str, Any] = {"orderIds": ["c" * 32 for _ in closed], "closedPositions": closed}
        return ok(**answer, **({} if closed else {"warning": "No open positions to flatten."}))

    def hold(self, account: str, side: str, quantity: int, instrument: str = "ES 12-26") -> None:
        self.positions.append(
            {
                "account": account,
                "instrument": instrument,
                "marketPosition": side,
                "quantity": quantity,
                "averagePrice": 6615.178571428572,
                "marketPrice": 6610.25,
                "unrealizedProfitLoss": -32.50000000000455,
            }
        )

    def fill(self, identifier: str, **fields: Any) -> None:
        detail = {
            "kind": "fill",
            "instrument": "ES 12-26",
            "side": "buy",
            "quantity": "2",
            "price": "5804.25",
            "commission": "4.18",
            "position_after": "2",
            "realized_pnl": None,
        }
        self.fills.insert(
            0,
            {
                "id": identifier,
                "account": "Sim101",
                "name": "Entry",
                "status": "succeeded",
                "version": 1,
                "created_at": "2025-10-09T08:53:20.123456Z",
                "detail": detail,
                **fields,
            },
        )


def ok(**body: Any) -> httpx.Response:
    return httpx.Response(200, json={**body, "success": True})


def refused(status: int, error: str, **members: Any) -> httpx.Response:
    return httpx.Response(status, json={"success": False, "error": error, **members})
