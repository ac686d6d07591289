"""The shape of each dialect's errors: what a client of that dialect can rely on, whatever went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gesta.apis.b3os.errors import CODES
from gesta.apis.native.errors import PROBLEMS
from tests.integration.hardening.house import Answer

REQUEST_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
INTERNALS = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|SELECT |INSERT |asyncpg|apsw|KeyError|LookupError|secret internals"
)


def crosstrade(answer: Answer, body: Any) -> None:
    assert {"success", "error", "detail"} <= set(body) <= {"success", "error", "detail", "did_you_mean", "retryAfter"}
    assert body["success"] is False
    assert isinstance(body["error"], str)
    assert body["error"]
    assert isinstance(body["detail"], str)


def hummingbot(answer: Answer, body: Any) -> None:
    assert set(body) == {"detail"}
    if answer.status == 422:
        for defect in body["detail"]:
            assert {"type", "loc", "msg", "input"} <= set(defect) <= {"type", "loc", "msg", "input", "ctx"}
    else:
        assert isinstance(body["detail"], str)


def b3os(answer: Answer, body: Any) -> None:
    assert set(body) == {"code", "message", "data", "requestId"}
    assert body["data"] is None
    assert body["code"] in CODES
    assert body["code"] // 1000 == answer.status
    assert isinstance(body["message"], str)
    assert REQUEST_ID.fullmatch(body["requestId"])


def refold(answer: Answer, body: Any) -> None:
    assert set(body) == {"status_code", "http_error_type", "error_code", "error", "message", "request_id"}
    assert body["status_code"] == answer.status
    assert body["error"] == body["error_code"]
    assert REQUEST_ID.fullmatch(body["request_id"])
    assert answer.headers["access-control-allow-origin"] == "*"


def native(answer: Answer, body: Any) -> None:
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == answer.status
    code = body["type"].removeprefix("/problems/")
    assert PROBLEMS[code] == (answer.status, body["title"])
    assert REQUEST_ID.fullmatch(body["request_id"])
    assert body["instance"]


def operations(answer: Answer, body: Any) -> None:
    assert (
        {"type", "title", "status", "detail"} <= set(body) <= {"type", "title", "status", "detail", "prefixes", "index"}
    )
    assert body["status"] == answer.status


SHAPES: dict[str, Callable[[Answer, Any], None]] = {
    "crosstrade": crosstrade,
    "hummingbot": hummingbot,
    "b3os": b3os,
    "refold": refold,
    "native": native,
    "operations": operations,
}
PROBLEM_TYPE = "application/problem+json"


def check(dialect: str, answer: Answer) -> Any:
    """The body of an error of this dialect. What every dialect promises is asserted too."""
    said = f"{answer.status} {answer.headers} {answer.body[:500]!r}"
    assert 400 <= answer.status < 600, said
    problem = dialect in ("native", "operations")
    assert answer.headers["content-type"].partition(";")[0] == (PROBLEM_TYPE if problem else "application/json"), said
    assert REQUEST_ID.fullmatch(answer.headers["x-request-id"]), said
    assert INTERNALS.search(answer.body.decode()) is None, said
    if answer.status == 401:
        assert answer.headers["www-authenticate"].split()[0] == ("Basic" if dialect == "hummingbot" else "Bearer"), said
    if answer.status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1, said
    if answer.status == 405:
        assert answer.headers["allow"], said
    body = answer.json
    SHAPES[dialect](answer, body)
    return body
