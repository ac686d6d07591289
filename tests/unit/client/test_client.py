"""The client against scripted answers: chunks, retries, pages, errors; sync and async alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

import gesta.client
from gesta.client import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Gesta,
    NotConfigured,
    NotFound,
    ProtocolError,
    RateLimited,
    Retry,
    ServerFault,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from tests.unit.client.doubles import Scripted, problem, results


def test_exports_are_these() -> None:
    assert sorted(gesta.client.__all__) == [
        *("ApiError", "AsyncExecutions", "AsyncExecutors", "AsyncGesta", "AsyncMarket", "AsyncRuns", "AsyncSchedules"),
        *("AsyncTrading", "AsyncWorkflows", "BadRequest", "ClientError", "Conflict", "Executions", "Executors"),
        *("Forbidden", "Gesta", "IngestReport", "Market", "NotConfigured", "NotFound", "OrderTerms", "ProtocolError"),
        *("PushReport", "RateLimited", "Retry", "RowResult", "Runs", "Schedules", "ServerFault", "StreamItem"),
        *("TooLarge", "Trading", "UNSET", "Unauthenticated", "Unavailable", "Unreachable", "Workflows"),
    ]


def test_url_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GESTA_TOKEN", raising=False)
    monkeypatch.setenv("GESTA_URL", "http://ledger.example:9000/")
    with pytest.raises(NotConfigured, match="GESTA_TOKEN"):
        Gesta()
    monkeypatch.setenv("GESTA_TOKEN", "gst_secret")
    with Gesta() as client:
        assert client.url == "http://ledger.example:9000"


@pytest.mark.parametrize("url", ["ledger.example", "ftp://x", "http://", "http://x:port"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(NotConfigured):
        Gesta(url, "gst_x")


@pytest.mark.parametrize("token", ["two words", "ümlaut", "a\nb"])
def test_a_token_that_is_none(token: str) -> None:
    with pytest.raises(NotConfigured):
        Gesta("http://x", token)


def test_ingest_sends_a_thousand_rows_at_a_time_and_sums_up() -> None:
    server = Scripted([results, lambda request: results(request, "duplicate")])
    with server.client() as client:
        report = client.executions.ingest(
            ({"id": str(number), "price": Decimal("1.50")} for number in range(1500)), time_zone="America/Chicago"
        )
    assert (report.recorded, report.duplicates, report.rows, report.last_seq) == (1000, 500, 1500, 1000)
    first, second = server.requests
    assert len(first.content.splitlines()) == 1000
    assert json.loads(second.content.splitlines()[0]) == {"id": "1000", "price": "1.50"}
    assert first.url.params["time_zone"] == "America/Chicago"
    assert first.headers["content-type"] == "application/x-ndjson"
    assert first.headers["authorization"] == "Bearer gst_x"


def test_ingest_repeats_what_failed_and_obeys_retry_after() -> None:
    broken = httpx.Response(200, text='{"line": 1, "outcome": "recorded"}\n')
    server = Scripted(
        [problem(503, "unavailable", {"Retry-After": "7"}), broken, results],
    )
    with server.client() as client:
        report = client.executions.ingest([{"id": "a"}])
    assert report.recorded == 1
    assert server.slept == [7.0, 0.5]
    assert len({request.content for request in server.requests}) == 1


def test_ingest_gives_up_after_its_attempts() -> None:
    server = Scripted([httpx.ConnectError("refused")] * 3)
    with server.client() as client, pytest.raises(Unreachable, match=r"gesta\.test does not answer"):
        client.executions.ingest([{"id": "a"}])
    assert server.slept == [0.25, 0.5]


def test_results_keep_the_index_of_their_row() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        lines = [
            {"line": 1, "outcome": "recorded", "id": "a", "seq": 5},
            {"line": 2, "outcome": "invalid", "error": {"code": "invalid_input", "detail": "no", "field": "price"}},
            {"line": 3, "outcome": "conflict", "id": "c", "seq": 1, "error": {"code": "conflict", "detail": "other"}},
            {"summary": {}},
        ]
        return httpx.Response(200, text="\n".join(map(json.dumps, lines)))

    huge = {"id": "x" * 1_100_000}
    with Scripted([answer]).client() as client:
        found = list(client.executions.ingest_each([huge, {"id": "a"}, b'{"id":\n"b"}', {"id": "c"}]))
    assert [(result.index, result.outcome) for result in found] == [
        (0, "invalid"),
        (1, "recorded"),
        (2, "invalid"),
        (3, "conflict"),
    ]
    assert found[2].reason == "price: no"
    assert "more than" in found[0].reason


def test_a_chunk_of_which_every_row_is_invalid_is_told_row_by_row() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        count = len(request.content.splitlines())
        shown = [
            {"line": line, "outcome": "invalid", "error": {"detail": f"row {line}"}}
            for line in range(1, min(count, 100) + 1)
        ]
        return problem(422, "rows_invalid", results=shown)

    server = Scripted([refuse] * 4)
    with server.client() as client:
        found = list(client.executions.ingest_each({"id": str(number)} for number in range(250)))
    assert [result.index for result in found] == list(range(250))
    assert [len(request.content.splitlines()) for request in server.requests] == [250, 100, 100, 50]


def test_results_that_do_not_fit() -> None:
    answer = httpx.Response(200, text='{"line": 9, "outcome": "recorded"}\n{"summary": {}}')
    with Scripted([answer]).client() as client, pytest.raises(ProtocolError):
        client.executions.ingest([{"id": "a"}])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, Unauthenticated),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (413, TooLarge),
        (415, BadRequest),
        (422, BadRequest),
        (500, ServerFault),
    ],
)
def test_problems_become_errors(status: int, kind: type[ApiError]) -> None:
    server = Scripted([problem(status, "some_code", field="price", request_id="r1")])
    with server.client() as client, pytest.raises(kind) as caught:
        client.executions.get("a")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.field, error.request_id) == (status, "some_code", "price", "r1")
    assert str(error) == "said some_code"


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, Unavailable)])
def test_passing_problems_are_raised_when_they_do_not_pass(status: int, kind: type[ApiError]) -> None:
    server = Scripted([problem(status, "later", {"Retry-After": "3"})] * 3)
    with server.client() as client, pytest.raises(kind) as caught:
        client.executions.get("a")
    assert caught.value.retry_after_s == 3.0
    assert server.slept == [3.0, 3.0]


def test_an_error_that_is_no_problem_is_quoted() -> None:
    with Scripted([httpx.Response(418, text="I am a teapot")]).client() as client, pytest.raises(BadRequest) as caught:
        client.executions.get("a")
    assert "teapot" in str(caught.value)


def test_an_answer_that_is_not_json() -> None:
    with Scripted([httpx.Response(200, text="<html>")]).client() as client, pytest.raises(ProtocolError):
        client.executions.get("a")


def test_list_goes_on_by_cursor_and_stops_at_the_limit() -> None:
    pages = [
        httpx.Response(200, json={"items": [{"id": "1"}, {"id": "2"}], "next_cursor": "c1"}),
        httpx.Response(200, json={"items": [{"id": "3"}], "next_cursor": "c2"}),
    ]
    server = Scripted(pages)
    when = datetime(2026, 3, 10, tzinfo=UTC)
    with server.client() as client:
        found = list(client.executions.list(limit=3, kind=["fill", "run"], account="Sim101", created_from=when))
    assert [row["id"] for row in found] == ["1", "2", "3"]
    first, second = (request.url.params for request in server.requests)
    assert first.get_list("kind") == ["fill", "run"]
    assert (first["limit"], first["total"], first["created_from"]) == ("3", "false", "2026-03-10T00:00:00+00:00")
    assert "cursor" not in first
    assert (second["cursor"], second["limit"]) == ("c1", "1")


def test_times_without_a_zone_are_refused() -> None:
    naive = datetime.fromisoformat("2026-03-10")
    with Scripted([]).client() as client, pytest.raises(ValueError, match="time zone"):
        list(client.executions.list(created_from=naive))


def test_count_get_events_and_summary() -> None:
    server = Scripted(
        [
            httpx.Response(200, json={"items": [], "total": 7, "next_cursor": None}),
            httpx.Response(200, json={"id": "a/b|c"}),
            httpx.Response(200, json={"items": [{"seq": 1}], "next_after_seq": 1}),
            httpx.Response(200, json={"items": [{"seq": 2}], "next_after_seq": None}),
            httpx.Response(200, json={"items": [{"count": 7}]}),
        ]
    )
    with server.client() as client:
        assert client.executions.count(kind="fill") == 7
        assert client.executions.get("a/b|c", account="A")["id"] == "a/b|c"
        assert [event["seq"] for event in client.executions.events("a")] == [1, 2]
        assert client.summary(by=["day", "kind"]) == [{"count": 7}]
    assert server.requests[1].url.raw_path == b"/ledger/executions/a%2Fb%7Cc?account=A"
    assert server.requests[3].url.params["after_seq"] == "1"
    assert server.requests[4].url.params.get_list("by") == ["day", "kind"]


def test_export_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "all.csv"
    server = Scripted([httpx.Response(200, content=b"id\r\n1\r\n"), problem(403, "forbidden")])
    with server.client() as client:
        assert client.export(target, kind="fill") == 7
        assert target.read_bytes() == b"id\r\n1\r\n"
        with pytest.raises(Forbidden):
            client.export(tmp_path / "none.parquet")
        with pytest.raises(ValueError, match="an export is one of"):
            client.export(tmp_path / "none.xlsx")
    assert server.requests[0].url.params["format"] == "csv"
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]


def frames(*items: str) -> httpx.Response:
    return httpx.Response(200, text="".join(items), headers={"Content-Type": "text/event-stream"})


def frame(seq: int) -> str:
    data = json.dumps({"seq": seq, "event": {"seq": seq}, "execution": {"id": "a"}})
    return f"id: {seq}\nevent: execution.recorded\ndata: {data}\n\n"


READY = "retry: 2000\nid: 4\nevent: ready\ndata: {}\n\n"


def test_the_stream_resumes_where_it_broke() -> None:
    server = Scripted(
        [frames(READY, frame(5), ": heartbeat\n\n"), httpx.ReadError("gone"), frames(READY, frame(6), frame(7))]
    )
    with server.client() as client:
        stream = client.stream(kind="fill")
        assert [next(stream).seq for _ in range(3)] == [5, 6, 7]
        stream.close()  # type: ignore[attr-defined]
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, "5", "5"]
    assert server.requests[0].url.params["kind"] == "fill"
    assert len(server.slept) == 2


def test_the_stream_starts_after_a_position_and_resumes_before_the_first_event() -> None:
    server = Scripted([frames(READY), frames(READY, frame(5))])
    with server.client() as client:
        stream = client.stream(after=4)
        assert next(stream).seq == 5
        stream.close()  # type: ignore[attr-defined]
    assert [request.headers["last-event-id"] for request in server.requests] == ["4", "4"]


def test_a_problem_in_the_stream_is_raised() -> None:
    said = 'event: problem\ndata: {"type": "/problems/unauthenticated", "status": 401, "detail": "revoked"}\n\n'
    with Scripted([frames(READY, said)]).client() as client, pytest.raises(Unauthenticated, match="revoked"):
        next(client.stream())


def test_waits_double_to_a_bound_and_jitter_takes_at_most_half() -> None:
    longest = Retry(jitter=lambda: 0.0)
    shortest = Retry(jitter=lambda: 1.0)
    assert [longest.pause_s(attempt) for attempt in (1, 2, 6, 7, 99)] == [0.25, 0.5, 8.0, 8.0, 8.0]
    assert shortest.pause_s(6) == 4.0
    assert longest.wait_s(6, Unreachable("x")) is None
    assert longest.wait_s(1, ProtocolError("x")) is None


async def test_the_async_client_does_the_same(tmp_path: Path) -> None:
    server = Scripted(
        [
            problem(429, "rate_limited", {"Retry-After": "1"}),
            results,
            httpx.Response(200, json={"items": [{"id": "1"}], "next_cursor": "c"}),
            httpx.Response(200, json={"items": [{"id": "2"}], "next_cursor": None}),
            httpx.Response(200, json={"items": [{"seq": 1}], "next_after_seq": None}),
            httpx.Response(200, json={"items": [], "total": 2}),
            httpx.Response(200, json={"items": []}),
            httpx.Response(200, content=b"{}\n"),
            frames(READY, frame(5)),
            frames(frame(6)),
        ]
    )
    async with server.async_client() as client:
        report = await client.executions.ingest([{"id": "a"}, {"id": "b"}])
        assert report.recorded == 2
        assert [row["id"] async for row in client.executions.list()] == ["1", "2"]
        assert [event["seq"] async for event in client.executions.events("a")] == [1]
        assert await client.executions.count() == 2
        assert await client.summary() == []
        assert await client.export(tmp_path / "all.ndjson") == 3
        seen = []
        async for item in client.stream(after=0):
            seen.append(item.seq)
            if len(seen) == 2:
                break
    assert seen == [5, 6]
    assert server.requests[-1].headers["last-event-id"] == "5"
    assert server.slept[0] == 1.0


async def test_the_async_client_raises_the_same_errors() -> None:
    server = Scripted([problem(404, "not_found")])
    async with server.async_client() as client:
        with pytest.raises(NotFound):
            await client.executions.get("a")
