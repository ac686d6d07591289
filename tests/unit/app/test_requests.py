from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from gesta.apis.common.errors import BodyTimeout
from gesta.app.requests import GuardedBody, RequestIds, client_request_id, read_head
from gesta.app.settings import LimitSettings
from gesta.kernel.errors import InvalidInput, TooLarge
from gesta.testing.fakes import SeededIds


def scope_of(raw_path: bytes = b"/x", query: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> Any:
    return {"raw_path": raw_path, "path": raw_path.decode("latin-1"), "query_string": query, "headers": headers or []}


@pytest.mark.parametrize(
    "scope",
    [
        scope_of(),
        scope_of(b"/caf%C3%A9", b"name=caf%C3%A9&x=%F0%9F%98%80"),
        scope_of(query="name=café".encode()),
        scope_of(query=b"a=100%"),
        scope_of(headers=[(b"user-agent", "café".encode())]),
    ],
)
def test_readable_heads_pass(scope: Any) -> None:
    assert read_head(scope, 100).defect is None


@pytest.mark.parametrize(
    ("scope", "where"),
    [
        (scope_of(b"/%ff"), "path"),
        (scope_of(b"/%C3%28"), "path"),
        (scope_of(b"/a%00b"), "path"),
        (scope_of(query=b"a=%ff"), "query"),
        (scope_of(query=b"a=\xff"), "query"),
        (scope_of(query=b"a=%00"), "query"),
        (scope_of(query=b"a=\x00"), "query"),
        (scope_of(query=b"a" * 101), "query"),
        (scope_of(headers=[(b"authorization", b"Bearer \xff")]), "header"),
        (scope_of(headers=[(b"x-api-key", b"pk\x00")]), "header"),
        ({"path": "/a\0", "query_string": b"", "headers": []}, "path"),
    ],
)
def test_unreadable_heads_are_named(scope: Any, where: str) -> None:
    found = read_head(scope, 100).defect
    assert isinstance(found, InvalidInput)
    assert found.where == where


@pytest.mark.parametrize(
    ("headers", "body_bytes", "client_id"),
    [
        ([(b"accept", b"*/*")], -1, None),
        ([(b"content-length", b"12"), (b"x-request-id", b"mine")], 12, "mine"),
        ([(b"transfer-encoding", b"chunked")], 0, None),
        ([(b"content-length", b"12"), (b"transfer-encoding", b"chunked")], 12, None),
        ([(b"content-length", b"0")], 0, None),
        ([(b"content-length", b"9" * 400)], 1 << 62, None),
        ([(b"content-length", b"-1")], 1 << 62, None),
    ],
)
def test_what_the_head_says(headers: Any, body_bytes: int, client_id: str | None) -> None:
    head = read_head(scope_of(headers=headers), 100)
    assert (head.body_bytes, head.client_id, head.defect) == (body_bytes, client_id, None)


def test_request_ids_are_distinct_version_4_uuids() -> None:
    source = RequestIds(SeededIds())
    made = [source.next() for _ in range(1000)]
    assert len(set(made)) == 1000
    for text in made:
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)


def test_only_a_harmless_client_id_is_kept() -> None:
    assert client_request_id(b"abc-1.2:3_X") == "abc-1.2:3_X"
    for bad in (b"", b"a" * 65, b"a b", b"a\nb", b"\xff", b"<x>"):
        assert client_request_id(bad) is None


class Feed:
    """A `receive` that gives what it was told, then waits for ever."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)

    async def __call__(self) -> Any:
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)


def guarded(feed: Any, declared: int, limit: int, idle_s: float, total_s: float) -> GuardedBody:
    limits = LimitSettings(body_bytes=limit, body_idle_timeout_s=idle_s, body_timeout_s=total_s)
    return GuardedBody(feed, declared, limits)


def chunk(body: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_within_its_bounds_passes_unchanged_and_then_waits_without_a_limit() -> None:
    disconnect = {"type": "http.disconnect"}
    receive = guarded(Feed(chunk(b"abc", True), chunk(b"de", False), disconnect), 5, 5, 1, 1)
    assert await receive() == chunk(b"abc", True)
    assert await receive() == chunk(b"de", False)
    assert await receive() == disconnect


async def test_a_declared_length_above_the_bound_is_refused_before_a_byte_is_read() -> None:
    feed = Feed(chunk(b"abc", False))
    with pytest.raises(TooLarge):
        await guarded(feed, 6, 5, 1, 1)()
    assert feed.messages


async def test_an_undeclared_length_is_counted() -> None:
    receive = guarded(Feed(chunk(b"abc", True), chunk(b"def", True)), 0, 5, 1, 1)
    await receive()
    with pytest.raises(TooLarge):
        await receive()


async def test_a_body_that_stalls_is_given_up() -> None:
    receive = guarded(Feed(chunk(b"abc", True)), 10, 10, 0.01, 10)
    await receive()
    with pytest.raises(BodyTimeout):
        await receive()


async def test_a_body_that_trickles_is_given_up_at_the_total() -> None:
    async def trickle() -> Any:
        await asyncio.sleep(0.01)
        return chunk(b"a", True)

    receive = guarded(trickle, 1000, 1000, 5, 0.05)
    for _ in range(1000):
        try:
            await receive()
        except BodyTimeout:
            return
    pytest.fail("the body went on for ever")
