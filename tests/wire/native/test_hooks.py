"""The inbound webhooks of Gesta's own dialect: who starts a run without a credential, and how the others are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gesta.apis.common.services import Limits
from gesta.apis.native.openapi_workflows import EXAMPLE_WORKFLOW
from gesta.workflows.hooks.signing import gesta_signature
from tests.wire.native.house import House
from tests.wire.native.test_openapi import fits, schema_of
from tests.wire.native.test_recording import problem
from tests.wire.native.test_workflows import ROOT, RUNS

BODY = b'{"name": "Ada"}'
JSON = {"Content-Type": "application/json"}


class Hook:
    def __init__(self, http: httpx.AsyncClient, house: House, path: str, secret: str) -> None:
        self.http, self.house, self.path, self.secret = http, house, path, secret

    def signature(self, body: bytes = BODY, *, secret: str | None = None, late_s: int = 0) -> dict[str, str]:
        at_s = self.house.clock.now_us() // 1_000_000 - late_s
        return {"Gesta-Signature": gesta_signature(self.secret if secret is None else secret, body, at_s)}

    async def __call__(self, headers: dict[str, str], body: bytes = BODY, path: str = "") -> httpx.Response:
        return await self.http.post(path or self.path, content=body, headers=JSON | headers)


@pytest.fixture
async def stranger(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(house.app), base_url="http://gesta.test") as http:
        yield http


async def made(client: httpx.AsyncClient, stranger: httpx.AsyncClient, house: House, **trigger: Any) -> Hook:
    definition = EXAMPLE_WORKFLOW["definition"] | {"trigger": {"webhook": True} | trigger}
    reply = await client.post(ROOT, json=EXAMPLE_WORKFLOW | {"definition": definition})
    assert reply.status_code == 201, reply.text
    workflow = reply.json()["id"]
    secret = (await client.post(f"{ROOT}/{workflow}/hook-secret")).json()
    fits(schema_of(f"{ROOT}/{{id}}/hook-secret", "post", 200), secret)
    assert secret["path"] == f"/ledger/hooks/{workflow}"
    return Hook(stranger, house, secret["path"], secret["secret"])


async def test_the_secret_or_a_signature_under_it(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, house: House
) -> None:
    hook = await made(client, stranger, house)
    for headers in ({"x-webhook-secret": hook.secret}, hook.signature()):
        started = await hook(headers)
        assert started.status_code == 201, started.text
        fits(schema_of("/ledger/hooks/{workflow_id}", "post", 201), started.json())
        run = (await client.get(f"/ledger/executions/{started.json()['run_id']}")).json()
        assert run["detail"]["request_payload"] == {"name": "Ada"}
    problem(await hook(hook.signature()), 409, "conflict")
    once = {"x-webhook-secret": hook.secret, "Idempotency-Key": "delivery-1"}
    assert (await hook(once)).status_code == 201
    problem(await hook(once), 409, "conflict")
    empty = await stranger.post(hook.path, headers={"x-webhook-secret": hook.secret})
    assert empty.status_code == 201, empty.text


async def test_what_is_not_authorised_starts_nothing(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, house: House
) -> None:
    hook = await made(client, stranger, house, signature="required")
    nothing = problem(await hook({}), 401, "unauthenticated")
    assert "sign with it" in nothing["detail"]
    unsigned = await hook({"x-webhook-secret": hook.secret})
    assert "requires a signature" in problem(unsigned, 401, "unauthenticated")["detail"]
    assert unsigned.headers["www-authenticate"] == 'Gesta-Signature realm="gesta"'
    nowhere = f"/ledger/hooks/{'0' * 24}"
    for headers, word in (
        (hook.signature(late_s=301), "301 seconds before"),
        (hook.signature(late_s=-301), "301 seconds after"),
        ({"Gesta-Signature": "sha256=abc"}, "must be `t="),
        (hook.signature(secret="wrong"), "or there is no such webhook"),
        (hook.signature(b'{"name": "Eve"}'), "or there is no such webhook"),
        ({"x-webhook-secret": "wrong"}, "or there is no such webhook"),
        ({"x-webhook-secret": "w" * 300}, "or there is no such webhook"),
    ):
        here = problem(await hook(headers), 401, "unauthenticated")
        assert word in here["detail"]
        # The same as where there is no such workflow.
        assert problem(await hook(headers, path=nowhere), 401, "unauthenticated")["detail"] == here["detail"]
    assert (await client.get("/ledger/executions?kind=run")).json()["items"] == []
    assert (await hook(hook.signature() | {"x-webhook-secret": hook.secret})).status_code == 201


async def test_what_cannot_be_is_told(client: httpx.AsyncClient, stranger: httpx.AsyncClient, house: House) -> None:
    hook = await made(client, stranger, house)
    shown = {"x-webhook-secret": hook.secret}
    for body, said in ((b"{", {}), (b'{"a": "\\u0000"}', {}), (b"[" * 100 + b"]" * 100, {}), (b"NaN", {})):
        problem(await hook(shown | said, body), 400, "invalid_input")
    problem(await hook(shown | {"Content-Type": "text/xml"}), 415, "unsupported_media_type")
    problem(await hook(shown | {"Content-Encoding": "gzip"}), 415, "unsupported_media_type")
    problem(await hook(shown | {"Idempotency-Key": "x" * 257}), 400, "invalid_input")
    problem(await hook(shown, path=f"{hook.path}?secret=x"), 400, "invalid_input")
    problem(await hook(shown, b'"' + b"x" * Limits().body_bytes + b'"'), 413, "too_large")
    twice = [("x-webhook-secret", hook.secret), ("x-webhook-secret", "other")]
    problem(await stranger.post(hook.path, headers=twice), 400, "invalid_input")
    for path in ("%00", "%ff", "..%2f", "a" * 5000):
        problem(await hook(shown, path=f"/ledger/hooks/{path}"), *((404, "not_found") if "2f" in path else _UNKNOWN))
    problem(await stranger.get(hook.path), 405, "method_not_allowed")
    assert (await client.get(f"{RUNS}/none")).status_code == 404
    assert (await client.get("/ledger/executions?kind=run")).json()["items"] == []


_UNKNOWN = (401, "unauthenticated")
