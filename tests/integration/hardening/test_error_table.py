"""Every kind of error in every dialect, through the whole server: status, shape, headers, and nothing of the inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.sync.client import connect

from gesta.kernel.errors import (
    Conflict,
    Forbidden,
    GestaError,
    InvalidInput,
    NotFound,
    RateLimited,
    StorageFull,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from tests.integration.hardening import shapes
from tests.integration.hardening.house import Answer, House, Live
from tests.integration.hardening.test_bad_requests import CREDENTIAL, DIALECTS, ONE, target_of

# What the ledger may say while it is asked, and the status that the dialects make of it.
RAISED: dict[str, tuple[Callable[[], GestaError], int]] = {
    "invalid": (lambda: InvalidInput("This does not fit.", field="limit", where="query"), 400),
    "forbidden": (lambda: Forbidden("This credential lacks the scope `read`."), 403),
    "not found": (lambda: NotFound("Execution x not found."), 404),
    "conflict": (lambda: Conflict("It is final."), 409),
    "too large": (lambda: TooLarge("The body is larger than 5 bytes."), 413),
    "rate limited": (lambda: RateLimited("Rate limit exceeded.", retry_after_s=0.2), 429),
    "unavailable": (lambda: Unavailable("The database at 10.1.2.3 does not answer.", retry_after_s=3), 503),
    "full": (lambda: StorageFull("The disk is full."), 503),
    "revoked": (lambda: Unauthenticated("The credential was revoked.", reason="revoked"), 401),
    "expired": (lambda: Unauthenticated("The session has expired.", reason="expired"), 401),
}


class Defect(Exception):
    """What nobody foresaw."""


def ask(live: Live, house: House, dialect: str, method: str = "GET", target: str | None = None) -> Answer:
    with live.client() as client:
        wanted = target_of(dialect, ONE[dialect], house) if target is None else target
        return client(method, wanted, house.credentials[CREDENTIAL[dialect]].headers)


@pytest.fixture
def breaking(live: Live, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Exception]], None]:
    """Let every question to the ledger fail."""

    def breaks(make: Callable[[], Exception]) -> None:
        async def fails(*_: Any, **__: Any) -> Any:
            raise make()

        for verb in ("get", "page", "seek", "count", "summary", "events", "head"):
            monkeypatch.setattr(live.core.ledger, verb, fails)

    return breaks


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", RAISED)
def test_raised(live: Live, alpha: House, breaking: Any, dialect: str, name: str) -> None:
    make, status = RAISED[name]
    breaking(make)
    answer = ask(live, alpha, dialect)
    if name in ("not found", "conflict") and dialect == "crosstrade":
        assert answer.status == 400  # what is not there, or cannot be, is a 400 at that vendor
    elif name == "not found" or dialect != "hummingbot" or status != 400:
        assert answer.status == status, answer
    else:
        assert answer.status == 422  # FastAPI's word for a request that does not fit
    shapes.check(dialect, answer)
    if name == "unavailable":
        assert answer.headers["retry-after"] == "3"
    if name == "rate limited":
        assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_defect_is_a_500_without_internals_and_one_line_in_the_log(
    live: Live, alpha: House, breaking: Any, dialect: str
) -> None:
    breaking(lambda: Defect("secret internals of /etc/passwd"))
    with capture_logs() as lines:
        answer = ask(live, alpha, dialect)
    assert answer.status == 500
    shapes.check(dialect, answer)
    for inside in (b"Defect", b"internals", b"passwd", b"test_error_table"):
        assert inside not in answer.body
    told = [line for line in lines if line["log_level"] == "error"]
    assert len(told) == 1, told
    assert told[0]["request_id"] == answer.headers["x-request-id"]
    assert isinstance(told[0]["exc_info"], Defect)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["unavailable", "full"])
def test_an_outage_is_one_line_in_the_log(live: Live, alpha: House, breaking: Any, dialect: str, name: str) -> None:
    breaking(RAISED[name][0])
    with capture_logs() as lines:
        answer = ask(live, alpha, dialect)
    (told,) = [line for line in lines if line["log_level"] == "error"]
    assert told["request_id"] == answer.headers["x-request-id"]
    assert "exc_info" not in told


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_a_cause_in_the_ledger(live: Live, alpha: House, dialect: str) -> None:
    """401, 404 of a route and 405, as they come."""
    prefix = ONE[dialect].partition("{")[0]
    with live.client() as client:
        target = target_of(dialect, ONE[dialect], alpha)
        shapes.check(dialect, missing := client("GET", target))
        assert missing.status == 401
        shapes.check(dialect, wrong := client("GET", target, {"Authorization": "Bearer wrong", "x-api-key": "wrong"}))
        assert wrong.status == 401
        nowhere = client("GET", prefix + "a/b/c/d/e/f", alpha.credentials[CREDENTIAL[dialect]].headers)
        shapes.check(dialect, nowhere)
        assert nowhere.status == 404
        shapes.check(dialect, other := client("DELETE", target))
        assert other.status == 405
        assert "GET" in other.headers["allow"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_above_the_rate(live: Live, alpha: House, dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(bucket: str, credential_id: int) -> None:
        raise RateLimited("Rate limit exceeded.", retry_after_s=1.5, bucket=bucket)

    monkeypatch.setattr(live.core.access, "admit", refuses)
    answer = ask(live, alpha, dialect)
    assert answer.status == 429
    shapes.check(dialect, answer)
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize("path", ["/ws/stream", "/ledger/stream"])
def test_a_defect_behind_a_websocket(live: Live, alpha: House, breaking: Any, path: str) -> None:
    """CrossTrade answers the frame; the stream of the ledger refuses the handshake. Neither tells why."""
    headers = alpha.credentials["bearer"].headers
    args = {"account": alpha.accounts["trading"].name}
    frame = json.dumps({"action": "rpc", "id": 1, "api": "ListExecutions", "args": args})
    breaking(lambda: Defect("secret internals"))
    with capture_logs() as lines:
        said = ""
        try:
            with connect(f"ws://127.0.0.1:{live.port}{path}", additional_headers=headers) as peer:
                peer.send(frame)
                said = str(peer.recv(timeout=10))
                assert '"internal_error"' in said
        except Exception as error:
            assert path == "/ledger/stream"
            said = repr(error)
    assert "internals" not in said
    assert len([line for line in lines if line["log_level"] == "error"]) == 1


@pytest.mark.parametrize("target", ["/nowhere", "/v2", "/openapi/nobody.json", "/readyz/x", "//", "/%2F"])
def test_paths_that_no_dialect_owns(live: Live, target: str) -> None:
    with live.client() as client:
        answer = client("GET", target)
        assert answer.status == 404
        shapes.check("operations", answer)
        answer = client("POST", "/healthz")
        assert answer.status == 405
        shapes.check("operations", answer)
