"""Hostile values in every field of every dialect's rows: each row is refused in words or recorded, nothing in between,
and whatever was recorded can be read in every dialect afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gesta.apis.crosstrade.models import EXAMPLE_EXECUTION
from gesta.apis.native.openapi import EXAMPLE_EXECUTOR, EXAMPLE_FILL, EXAMPLE_NOTE, EXAMPLE_RUN, EXAMPLE_TRANSITION
from tests.integration.hardening import shapes
from tests.integration.hardening.house import Answer, House, Live, found_house

WIRE = Path(__file__).parents[2] / "wire"
HOLE = "@@hole@@"
DEEP = 10_000

# As JSON text, because much of it no encoder writes.
HOSTILE: dict[str, str] = {
    "null": "null",
    "true": "true",
    "empty": '""',
    "object": "{}",
    "array": "[]",
    "0": "0",
    "-1": "-1",
    "10^400": "1" + "0" * 400,
    "-10^400": "-1" + "0" * 400,
    "2^63": str(2**63),
    "2^64": str(2**64),
    "1e400": "1e400",
    "-1e400": "-1e400",
    "1e1000000": "1e1000000",
    "1e-1000000": "1e-1000000",
    "0e1000000": "0e1000000",
    "1e29": "1e29",
    "1e-36": "1e-36",
    "5e-324": "5e-324",
    "1.7976931348623157e308": "1.7976931348623157e308",
    "ten thousand digits": "0." + "7" * 10_000,
    "ten thousand digits before": "7" * 10_000,
    "-0.0": "-0.0",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "text 1e1000000": '"1e1000000"',
    "text 0e1000000": '"0e1000000"',
    "text NaN": '"NaN"',
    "text sNaN": '"sNaN"',
    "text Infinity": '"Infinity"',
    "text of digits": '"' + "7" * 10_000 + '"',
    "NUL": '"a\\u0000b"',
    "a lone surrogate": '"\\ud800"',
    "the other": '"\\udc00x"',
    "raw control": '"a\x01b"',
    "emoji": '"🦖"',
    "newlines": '"a\\r\\nevent: forged\\ndata: {}\\n\\n"',
    "70 kB": '"' + "x" * 70_000 + '"',
    "300 kB": '"' + "é" * 150_000 + '"',
    "formula": "\"=cmd|' /C calc'!A0\"",
    "slash": '"a/b"',
    "dots": '".."',
    "0001": '"0001-01-01T00:00:00Z"',
    "0001 east": '"0001-01-01T00:00:00+14:00"',
    "9999": '"9999-12-31T23:59:59.999999Z"',
    "9999 west": '"9999-12-31T23:59:59.999999-14:00"',
    "before 1970": '"1969-12-31T23:59:59Z"',
    "February 30": '"2026-02-30T00:00:00Z"',
    "a leap second": '"2026-06-30T23:59:60Z"',
    "hour 25": '"2026-01-01T25:00:00Z"',
    "far epoch": "99999999999999999",
    "65 deep": "[" * 65 + "]" * 65,
    "60 deep": '{"a":' * 60 + "1" + "}" * 60,
    "keys": "{" + ",".join(f'"k{n}":{n}' for n in range(2000)) + "}",
    "a NUL key": '{"a\\u0000b":1}',
    "a surrogate key": '{"\\ud800":1}',
    "the same key": '{"a":1,"a":2}',
    "bombs inside": '{"a":[1e1000000,1e400,"\\u0000"]}',
}


def examples() -> dict[str, list[dict[str, Any]]]:
    """What each dialect's rows look like: the published examples."""
    refold = json.loads((WIRE / "refold/golden/list.json").read_text("utf-8"))["docs"][0]
    b3os = json.loads((WIRE / "b3os/seed_003_list.json").read_text("utf-8"))["data"]["items"][0]
    hummingbot = json.loads((WIRE / "hummingbot/seed_002_executor.json").read_text("utf-8"))
    return {
        "": [EXAMPLE_FILL, EXAMPLE_EXECUTOR, EXAMPLE_RUN],
        "crosstrade": [EXAMPLE_EXECUTION],
        "hummingbot": [hummingbot],
        "b3os": [b3os],
        "refold": [refold],
    }


def holes(value: Any) -> Iterator[Any]:
    """The example with a hole in place of each of its values, one at a time."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield {**value, key: HOLE}
            for changed in holes(member):
                yield {**value, key: changed}
        yield {**value, "unforeseen": HOLE}
    elif isinstance(value, list) and value:
        for changed in holes(value[0]):
            yield [changed, *value[1:]]


def with_id(row: Any, number: int) -> Any:
    """A row of its own, unless the hole is its id."""
    key = "executor_id" if "executor_id" in row else "id"
    changed = dict(row)
    if changed.get(key) != HOLE:
        changed[key] = f"hostile{number}"
    if "_id" in changed and changed["_id"] != HOLE:
        changed["_id"] = f"hostile{number}"
    return changed


def hostile_lines(dialect: str) -> list[bytes]:
    lines = []
    for example in examples()[dialect]:
        for holed in holes(example):
            for value in HOSTILE.values():
                text = json.dumps(with_id(holed, len(lines)), ensure_ascii=False)
                lines.append(text.replace(f'"{HOLE}"', value).encode("utf-8", "surrogatepass"))
    return lines


@pytest.fixture(scope="session")
def delta(live: Live) -> House:
    """The organization into which all of this goes."""
    house: House = live.run(found_house(live.core, "delta7q"))
    return house


@pytest.mark.parametrize("dialect", list(examples()))
def test_hostile_values(live: Live, delta: House, dialect: str) -> None:
    lines = hostile_lines(dialect)
    query = f"?dialect={dialect}" if dialect else ""
    headers = {**delta.credentials["bearer"].headers, "Content-Type": "application/x-ndjson"}
    recorded = 0
    with live.client() as client:
        for start in range(0, len(lines), 500):
            part = lines[start : start + 500]
            before = live.head(delta)
            answer = client("POST", f"/ledger/executions{query}", headers, b"\n".join(part))
            results = _results(answer)
            assert len(results) == len(part), answer.status
            for line, result in zip(part, results, strict=True):
                where = f"{line[:300]!r} → {result}"
                assert result["outcome"] in ("recorded", "duplicate", "conflict", "invalid"), where
                if result["outcome"] == "invalid":
                    assert result["error"]["code"] in ("invalid_input", "not_found", "conflict"), where
                    assert len(result["error"]["detail"]) < 4000, where
                    assert shapes.INTERNALS.search(json.dumps(result)) is None, where
            new = sum(result["outcome"] == "recorded" for result in results)
            assert live.head(delta) - before == new
            recorded += new
    assert recorded > 20, "the example itself must be acceptable"


def _results(answer: Answer) -> list[dict[str, Any]]:
    if answer.status == 422:
        found: list[dict[str, Any]] = shapes.check("native", answer)["results"]
        return found
    assert answer.status == 200, answer.body[:500]
    *results, summary = [json.loads(line) for line in answer.body.splitlines()]
    assert "summary" in summary
    return results


def test_a_batch_with_one_bad_row_keeps_the_others(live: Live, delta: House) -> None:
    good = [json.dumps({**EXAMPLE_FILL, "id": f"good{n}"}) for n in range(3)]
    bad = json.dumps({**EXAMPLE_FILL, "id": "bad", "name": HOLE}).replace(f'"{HOLE}"', '"\\ud800"')
    with live.client() as client:
        body = ("[" + ",".join([good[0], bad, *good[1:]]) + "]").encode()
        answer = client("POST", "/ledger/executions", delta.credentials["bearer"].headers, body)
    outcomes = [result["outcome"] for result in answer.json["results"]] if answer.status == 200 else []
    # A lone surrogate is no JSON text: it may condemn the whole array, but then nothing of it is recorded.
    assert outcomes == ["recorded", "invalid", "recorded", "recorded"] or answer.status == 400


BROKEN_BODIES = {
    "empty": b"",
    "space": b"  \n ",
    "not JSON": b"hello",
    "half": b'[{"id":',
    "not UTF-8": b'[{"id":"\xff"}]',
    "UTF-16": json.dumps([EXAMPLE_FILL]).encode("utf-16"),
    "BOM": b"\xef\xbb\xbf" + json.dumps([EXAMPLE_FILL]).encode(),
    "NUL": b"[\0]",
    "deep arrays": b"[" * DEEP,
    "deep arrays, closed": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "deep objects, closed": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep inside": b'[{"id":"a","account":"b","created_at":"2026-01-01","detail":'
    + b'{"a":[' * DEEP
    + b"]}" * DEEP
    + b"}]",
    "a number": b"1",
    "text": b'"x"',
    "null": b"null",
    "an array of nothing": b'[null,1,"x",[],{}]',
    "an array in an array": json.dumps([[EXAMPLE_FILL]]).encode(),
    "many commas": b"[" + b"0," * 3_000_000 + b"0]",
    "many rows": b"[" + b"{}," * 20_000 + b"{}]",
    "10^400": b"1" + b"0" * 400,
    "five million digits": b"1" * 5_000_000,
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_broken_bodies(live: Live, delta: House, name: str) -> None:
    """Of every route that takes a body, in both forms, and in a vendor's dialect."""
    body = BROKEN_BODIES[name]
    head = live.head(delta)
    bearer, key = delta.credentials["bearer"].headers, delta.credentials["pk"].headers
    id_ = delta.things["executor"].id
    with live.client() as client:
        for target, form in (
            ("/ledger/executions", "application/json"),
            ("/ledger/executions", "application/x-ndjson"),
            ("/ledger/executions?dialect=refold", "application/json"),
            ("/ledger/executions?dialect=crosstrade", "application/x-ndjson"),
            (f"/ledger/executions/{id_}/events", "application/json"),
            (f"/ledger/executions/{id_}/transitions", "application/json"),
        ):
            answer = client("POST", target, {**bearer, "Content-Type": form}, body)
            if answer.status == 200:
                assert name in ("empty", "space"), answer
                assert "ndjson" in form
            else:
                assert answer.status in (400, 413, 422), (target, answer.body[:300])
                shapes.check("native", answer)
        answer = client("POST", "/api/v2/public/session-token", key, body)
        assert answer.status in (400, 413), answer
        shapes.check("refold", answer)
    assert live.head(delta) == head


def test_hostile_changes_and_events(live: Live, delta: House) -> None:
    said = {**EXAMPLE_NOTE, "title": "t", "at": "2026-01-01T00:00:00Z"}
    posted = {"transitions": {**EXAMPLE_TRANSITION, "event": said}, "events": said}
    posted["transitions"]["detail"] = {**EXAMPLE_EXECUTOR["detail"], "custom_info": {"a": 1}, "net_pnl_pct": "0.1"}
    target = f"/ledger/executions/{delta.things['executor'].id}"
    with live.client() as client:
        for route, body in posted.items():
            for holed in holes(body):
                for value in HOSTILE.values():
                    text = json.dumps(holed).replace(f'"{HOLE}"', value).encode()
                    before = live.head(delta)
                    answer = client("POST", f"{target}/{route}", delta.credentials["bearer"].headers, text)
                    if answer.status in (200, 201):
                        assert live.head(delta) == before + 1
                    else:
                        assert answer.status in (400, 409, 413), (text[:300], answer)
                        shapes.check("native", answer)
                        assert live.head(delta) == before


def test_whatever_was_recorded_can_be_read(live: Live, delta: House) -> None:
    """Every list, every detail, the sums, the exports and the feed, over what the tests before this one left."""
    bearer, basic = delta.credentials["bearer"].headers, delta.credentials["basic"].headers
    with live.client() as client:
        ids: list[tuple[str, str, str]] = []
        target = "/ledger/executions?limit=1000"
        cursor = ""
        while cursor is not None:
            page = client("GET", target + (f"&cursor={cursor}" if cursor else ""), bearer)
            assert page.status == 200, page
            ids += [(row["id"], row["kind"], row["account"]) for row in page.json["items"]]
            cursor = page.json["next_cursor"]
        assert len(ids) > 100
        for by in ("day", "kind,status", "account"):
            assert client("GET", f"/ledger/summary?by={by}", bearer).status == 200
        for form in ("csv", "ndjson", "parquet"):
            answer = client("GET", f"/ledger/export?format={form}", bearer)
            assert answer.status == 200
            assert len(answer.body) > 1000
        accounts = client("GET", "/v1/api/accounts", bearer).json["accounts"]
        for name in (_quoted(account["name"]) for account in accounts if "/" not in account["name"]):
            answer = client("GET", f"/v1/api/accounts/{name}/executions?limit=1000&from=0001-01-01", bearer)
            assert answer.status == 200, answer
        assert client("GET", "/v1/executions?limit=100", bearer).status == 200
        for name in ("pk", "tk"):
            key = delta.credentials[name].headers
            for account in live.run(live.core.access.accounts(delta.organization.id)):
                if account.name.isascii():
                    got = client(
                        "GET", "/api/v2/public/execution?limit=100", {**key, "linked_account_id": account.name}
                    )
                    assert got.status in (200, 400), got
        for id_, kind, account_name in ids[:: max(1, len(ids) // 300)]:
            answer = client("GET", f"/ledger/executions/{_quoted(id_)}?account={_quoted(account_name)}", bearer)
            assert answer.status == 200, answer
            if kind == "executor" and "/" not in id_:
                assert client("GET", f"/executors/{_quoted(id_)}", basic).status in (200, 404)
                assert client("GET", f"/executors/{_quoted(id_)}/logs", basic).status in (200, 404)
            if kind == "run" and "/" not in id_:
                assert client("GET", f"/v1/executions/{_quoted(id_)}", bearer).status in (200, 400)
        stream = client.stream("/ledger/stream?after=0", bearer)
        last = f"id: {live.head(delta)}\n".encode()
        while stream.readline() != last:
            pass
    assert live.verify().faults == []


def _quoted(text: str) -> str:
    return quote(text, safe="")
