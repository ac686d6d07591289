"""Rows in: idempotency, conflicts, invalid rows, NDJSON, vendors' shapes, transitions and notes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gesta.access.model import AccountType
from gesta.apis.common.services import Limits
from tests.wire.native.house import House

PATH = "/ledger/executions"
NDJSON = {"Content-Type": "application/x-ndjson"}


def lines(*rows: Any) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def problem(reply: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = reply.json()
    assert body["type"] == f"/problems/{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


async def test_golden_fill(client: httpx.AsyncClient, house: Any, fill: dict[str, Any]) -> None:
    reply = await client.post(PATH, json=[fill])
    assert reply.status_code == 200
    assert reply.json() == {
        "recorded": 1,
        "duplicates": 0,
        "conflicts": 0,
        "invalid": 0,
        "results": [{"index": 0, "outcome": "recorded", "id": fill["id"], "seq": 1}],
    }
    body = (await client.get(f"{PATH}/{fill['id']}")).json()
    assert body == {
        "id": "9f2c31d0a4b84f6e8c1d2e3f4a5b6c7d",
        "account": "Sim101",
        "account_type": "trading",
        "environment": "production",
        "kind": "fill",
        "name": "Entry",
        "status": "succeeded",
        "source": "api",
        "mode": "async",
        "origin": "myapp",
        "external_id": "9f2c31d0a4b84f6e8c1d2e3f4a5b6c7d",
        "parent_id": None,
        "correlation": {"order_id": "order-1", "instrument": "ES 03-26"},
        "created_at": "2026-03-10T14:30:00.123456Z",
        "started_at": None,
        "finished_at": None,
        "updated_at": "2026-03-10T14:30:00.123456Z",
        "recorded_at": "2025-10-09T08:53:20.000000Z",
        "version": 1,
        "seq": 1,
        "detail": {
            "kind": "fill",
            "order_id": "order-1",
            "instrument": "ES 03-26",
            "side": "buy",
            "quantity": "2",
            "price": "5123.25",
            "commission": "4.18",
            "currency": "USD",
            "point_value": "50",
            "instrument_type": "Future",
            "venue": "",
            "exchange": "Default",
            "server_name": "",
            "position_after": "0",
            "position_strategy": 0,
            "rate": "1",
            "lot_size": "1",
            "slippage_ticks": "0",
            "is_entry": False,
            "is_entry_strategy": False,
            "is_exit": False,
            "is_exit_strategy": False,
            "is_initial_entry": False,
            "is_last_exit": False,
            "is_start_of_day": False,
            "bars_in_progress": 0,
            "realized_pnl": None,
            "cumulative_quantity": None,
        },
    }


async def test_again_is_a_duplicate_and_a_change_a_conflict(client: httpx.AsyncClient, fill: dict[str, Any]) -> None:
    await client.post(PATH, json=[fill])
    fill["detail"]["price"] = 5123.250
    same = (await client.post(PATH, json=fill)).json()
    assert same["results"] == [{"index": 0, "outcome": "duplicate", "id": fill["id"], "seq": 1}]
    fill["detail"]["price"] = "5123.50"
    other = (await client.post(PATH, json=[fill])).json()
    assert (other["recorded"], other["conflicts"]) == (0, 1)
    assert other["results"][0]["outcome"] == "conflict"
    assert other["results"][0]["error"]["code"] == "conflict"
    assert (await client.get(f"{PATH}/{fill['id']}")).json()["detail"]["price"] == "5123.25"


async def test_an_exported_row_goes_in_again_as_it_stands(
    client: httpx.AsyncClient, fill: dict[str, Any], executor: dict[str, Any], run: dict[str, Any]
) -> None:
    await client.post(PATH, json=[fill, executor, run])
    items = (await client.get(PATH)).json()["items"]
    assert [item["kind"] for item in items] == ["fill", "run", "executor"]
    items[2]["detail"]["custom_info"] = None
    again = (await client.post(PATH, json=items, headers={"Authorization": "Bearer gst_rival"})).json()
    assert again["recorded"] == 3


async def test_a_bad_row_does_not_keep_the_rest_out(client: httpx.AsyncClient, fill: dict[str, Any]) -> None:
    def changed(place: int, **fields: Any) -> dict[str, Any]:
        detail = {**fill["detail"], **fields.pop("detail", {})}
        return {**fill, "id": f"row{place}", "detail": detail, **fields}

    cases: list[tuple[Any, str | None]] = [
        (changed(0), None),
        (changed(1, detail={"price": "NaN"}), "detail.price"),
        (changed(2, detail={"price": "1e400"}), "detail.price"),
        (changed(3, created_at="2026-02-30T00:00:00Z"), "created_at"),
        (changed(4, status="running"), "status"),
        (changed(5, id="a\nb"), "id"),
        (changed(6, name="a\0b"), "name"),
        (changed(7, detail={"side": "up"}), "detail.side"),
        (changed(8, colour="red"), None),
        (changed(9, created_at="1969-12-31T23:59:59Z"), "created_at"),
        (changed(10, kind="run"), "kind"),
        ("nothing", None),
        ({}, None),
        (changed(13, account="\t"), "account"),
        (changed(14, correlation={"order_id": 3}), "correlation.order_id"),
        (changed(15), None),
    ]
    reply = await client.post(PATH, json=[row for row, _ in cases])
    body = reply.json()
    assert reply.status_code == 200
    assert (body["recorded"], body["invalid"]) == (2, len(cases) - 2)
    assert [result["index"] for result in body["results"]] == list(range(len(cases)))
    for (_, field), result in zip(cases, body["results"], strict=True):
        assert result.get("error", {}).get("field") == field, result
    assert [result["outcome"] for result in body["results"]].count("invalid") == len(cases) - 2


async def test_nothing_valid_is_a_422_with_the_results(client: httpx.AsyncClient, fill: dict[str, Any]) -> None:
    del fill["detail"]
    body = problem(await client.post(PATH, json=[fill, 7]), 422, "rows_invalid")
    assert body["invalid"] == 2
    assert [result["outcome"] for result in body["results"]] == ["invalid", "invalid"]


async def test_only_errors(client: httpx.AsyncClient, fill: dict[str, Any]) -> None:
    body = (await client.post(PATH, params={"results": "errors"}, json=[fill, 7])).json()
    assert body["recorded"] == 1
    assert [result["index"] for result in body["results"]] == [1]


async def test_an_empty_array_records_nothing(client: httpx.AsyncClient) -> None:
    assert (await client.post(PATH, json=[])).json()["results"] == []


async def test_ndjson_with_bad_lines(client: httpx.AsyncClient, fill: dict[str, Any], run: dict[str, Any]) -> None:
    body = lines(fill, b"", b"{not json", b"\xff\xfe", b"[" * 10_000 + b"]" * 10_000, run)
    reply = await client.post(PATH, content=body + lines(fill).rstrip(), headers=NDJSON)
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("application/x-ndjson")
    *results, summary = [json.loads(line) for line in reply.content.splitlines()]
    assert [(result["line"], result["outcome"]) for result in results] == [
        (1, "recorded"),
        (3, "invalid"),
        (4, "invalid"),
        (5, "invalid"),
        (6, "recorded"),
        (7, "duplicate"),
    ]
    assert summary == {"summary": {"recorded": 2, "duplicates": 1, "conflicts": 0, "invalid": 3}}


@pytest.mark.parametrize("size", [1, 7, 333])
async def test_ndjson_cut_anywhere(client: httpx.AsyncClient, fill: dict[str, Any], size: int) -> None:
    body = lines(*({**fill, "id": f"row{number}"} for number in range(20)))

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    reply = await client.post(PATH, content=parts(), headers=NDJSON)
    assert json.loads(reply.content.splitlines()[-1])["summary"]["recorded"] == 20


async def test_more_rows_than_one_batch(client: httpx.AsyncClient, house: Any, fill: dict[str, Any]) -> None:
    body = lines(*({**fill, "id": f"row{number}"} for number in range(2500)))
    reply = await client.post(PATH, content=body, headers=NDJSON)
    assert reply.content.count(b'"recorded"') == 2501
    assert await house.ledger.head(1) == 2500


async def test_rows_are_recorded_while_a_stream_pauses(house: Any, fill: dict[str, Any]) -> None:
    recorded = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield lines(fill)
        await house.ledger.wait(1, after_seq=0, timeout_s=5)
        recorded.set()
        yield lines({**fill, "id": "second"})

    transport = httpx.ASGITransport(house.app)
    headers = {"Authorization": "Bearer gst_mine", **NDJSON}
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=headers) as client:
        reply = await client.post(PATH, content=parts())
    assert recorded.is_set()
    assert json.loads(reply.content.splitlines()[-1])["summary"]["recorded"] == 2


async def test_a_line_without_bound_is_refused(client: httpx.AsyncClient, fill: dict[str, Any]) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield lines(*({**fill, "id": f"row{number}"} for number in range(1000)))
        for _ in range(1000):
            yield b"x" * 65_536

    body = problem(await client.post(PATH, content=parts(), headers=NDJSON), 413, "too_large")
    assert body["recorded"] == 1000


async def test_a_vendors_own_shape(client: httpx.AsyncClient, house: Any) -> None:
    posted = [{"ref": "r1", "who": "a@b.c"}, {"ref": 1}, {"ref": "r2", "who": "a\0"}, "x"]
    body = (await client.post(PATH, params={"dialect": "toy"}, json=posted)).json()
    assert [result["outcome"] for result in body["results"]] == ["recorded", "invalid", "invalid", "invalid"]
    found = (await client.get(f"{PATH}/r1")).json()
    assert (found["account"], found["account_type"], found["environment"]) == ("a@b.c", "linked", "test")
    assert problem(await client.post(PATH, params={"dialect": "other"}, json=posted), 400, "invalid_input")[
        "field"
    ] == ("dialect")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        (b"{", 422),
        (b"[1,", 400),
        (b'[{"a":"\x00"}]', 400),
        (b"null", 400),
        (b"[" * 10_000 + b"]" * 10_000, 400),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 422),
        (b"[" + b"0," * 10_000 + b"0]", 413),
        (b"[" + b"0," * 3_000_000 + b"0]", 413),
        (b"[" + b" " * 20_000_000 + b"]", 413),
    ],
)
async def test_bodies_that_are_no_rows(client: httpx.AsyncClient, house: Any, content: bytes, status: int) -> None:
    reply = await client.post(PATH, content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert await house.ledger.head(1) == 0


async def test_other_content_types(client: httpx.AsyncClient) -> None:
    problem(await client.post(PATH, content=b"[]"), 415, "unsupported_media_type")
    problem(await client.post(PATH, data={"a": "b"}), 415, "unsupported_media_type")
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    problem(await client.post(PATH, content=b"[]", headers=headers), 415, "unsupported_media_type")


class TestSlow:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(body_timeout_s=0.05)

    @pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
    async def test_a_slow_body_is_a_408(self, client: httpx.AsyncClient, content_type: str) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"["
            await asyncio.Event().wait()

        headers = {"Content-Type": content_type}
        reply = await asyncio.wait_for(client.post(PATH, content=parts(), headers=headers), 5)
        problem(reply, 408, "request_timeout")


async def test_transitions(client: httpx.AsyncClient, executor: dict[str, Any]) -> None:
    await client.post(PATH, json=executor)
    path = f"{PATH}/{executor['id']}/transitions"
    reply = await client.post(path, json={"status": "stopping", "expected_version": 1, "event": {"message": "enough"}})
    assert reply.status_code == 200
    assert (reply.json()["status"], reply.json()["version"]) == ("stopping", 2)
    stale = problem(await client.post(path, json={"status": "failed", "expected_version": 1}), 409, "conflict")
    assert "version 2" in stale["detail"]
    body = problem(await client.post(path, json={"status": "running"}), 409, "conflict")
    assert body["allowed"] == ["cancelled", "failed", "succeeded", "timed_out"]
    assert (body["current"], body["wanted"]) == ("stopping", "running")
    detail = {**executor["detail"], "net_pnl_quote": "-1.50"}
    changed = (await client.post(path, json={"status": "succeeded", "detail": detail})).json()
    assert changed["detail"]["net_pnl_quote"] == "-1.5"
    assert changed["finished_at"]
    events = (await client.get(f"{PATH}/{executor['id']}/events")).json()
    assert [event["type"] for event in events["items"]] == [
        "execution.recorded",
        "execution.stopping",
        "execution.succeeded",
    ]
    assert events["items"][1]["data"]["by"]["identity"] == "owner"
    assert events["items"][1]["message"] == "enough"


async def test_a_change_that_changes_nothing(client: httpx.AsyncClient, executor: dict[str, Any], run: Any) -> None:
    await client.post(PATH, json=executor)
    path = f"{PATH}/{executor['id']}/transitions"
    for body in ({}, {"status": "gone"}, {"detail": run["detail"]}, {"status": None}, [], {"expected_version": 0}):
        problem(await client.post(path, json=body), 400, "invalid_input")
    problem(await client.post(f"{PATH}/none/transitions", json={"status": "failed"}), 404, "not_found")


async def test_notes(client: httpx.AsyncClient, run: dict[str, Any]) -> None:
    await client.post(PATH, json=run)
    path = f"{PATH}/{run['id']}/events"
    note = {"type": "node.retried", "level": "warning", "at": "2026-03-10T15:00:00+01:00", "data": {"n": [1, None]}}
    reply = await client.post(path, json=note)
    assert reply.status_code == 201
    made = reply.json()["items"][0]
    assert (made["seq"], made["at"], made["level"]) == (2, "2026-03-10T14:00:00.000000Z", "warning")
    assert made["data"]["n"] == [1, None]
    assert len((await client.post(path, json=[note, note])).json()["items"]) == 2
    page = (await client.get(path, params={"limit": 2, "after_seq": 1})).json()
    assert [event["seq"] for event in page["items"]] == [2, 3]
    assert (page["has_more"], page["next_after_seq"]) == (True, 3)
    for body in ([], [note, {}], {"type": "a b"}, {"type": "x", "data": {"a": "\0"}}, {"type": "x", "level": "loud"}):
        problem(await client.post(path, json=body), 400, "invalid_input")
    assert (await client.get(path, params={"after_seq": 4})).json()["items"] == []


@pytest.mark.parametrize("depth", [63, 64, 65, 10_000])
async def test_depth(client: httpx.AsyncClient, run: dict[str, Any], depth: int) -> None:
    await client.post(PATH, json=run)
    deep = b'{"type":"x","data":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    headers = {"Content-Type": "application/json"}
    reply = await client.post(f"{PATH}/{run['id']}/events", content=deep, headers=headers)
    assert reply.status_code == (201 if depth <= 64 else 400)


async def test_large_numbers(client: httpx.AsyncClient, run: dict[str, Any]) -> None:
    run["detail"]["request_payload"] = {"a": 2**64}
    problem(await client.post(PATH, json=run), 422, "rows_invalid")
    run["detail"]["request_payload"] = {"a": 2**64 - 1, "b": -(2**63), "c": 1.5}
    assert (await client.post(PATH, json=run)).json()["recorded"] == 1
    assert (await client.get(f"{PATH}/{run['id']}")).json()["detail"]["request_payload"] == {
        "a": 2**64 - 1,
        "b": -(2**63),
        "c": 1.5,
    }


async def test_accounts_that_a_request_creates_get_its_time_zone(
    house: House, client: httpx.AsyncClient, fill: dict[str, Any]
) -> None:
    fill["account"] = "Chicago-1"
    zone = {"time_zone": "America/Chicago"}
    assert (await client.post("/ledger/executions", json=[fill], params=zone)).status_code == 200
    account = await house.access.account(1, "Chicago-1", AccountType.TRADING)
    assert account is not None
    assert account.time_zone == "America/Chicago"
    for wrong in ("Mars/Olympus", "../etc/passwd", "x" * 100, ""):
        answer = await client.post("/ledger/executions", json=[fill], params={"time_zone": wrong})
        assert (answer.status_code, answer.json()["field"]) == (400, "time_zone"), wrong


async def test_a_default_that_is_said_is_the_same_content(client: httpx.AsyncClient, fill: dict[str, Any]) -> None:
    del fill["detail"]["point_value"]
    assert (await client.post("/ledger/executions", json=[fill])).json()["recorded"] == 1
    exported = (await client.get(f"/ledger/executions/{fill['id']}")).json()
    assert exported["detail"]["currency"] == "USD"
    assert (await client.post("/ledger/executions", json=[exported])).json()["duplicates"] == 1
