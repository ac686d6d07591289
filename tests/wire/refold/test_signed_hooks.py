"""Signed inbound webhooks over the Refold dialect: an addition, refused in the dialect's own shape."""

from __future__ import annotations

from typing import Any

import httpx

from gesta.access.model import AccountType
from gesta.ledger.query import Filter
from gesta.ledger.records import Kind
from gesta.workflows.hooks.signing import gesta_signature
from tests.wire.refold.test_triggers import PUBLIC, WORKFLOW, published


async def test_a_signed_webhook(world: Any, client: httpx.AsyncClient) -> None:
    """With the secret in the address, in the header, or nowhere; every refusal is JSON in the dialect's envelope."""
    await world.access.ensure_account(1, "mark", AccountType.LINKED)
    mark = {"x-api-key": "pk_1", "linked_account_id": "mark"}
    workflow = await published(client, mark, {"trigger_type": "webhook", "signature": "required"})
    made = (await client.post(f"{WORKFLOW}/{workflow}/webhook", headers=mark)).json()
    alone, secret = f"{PUBLIC}/hook/{workflow}", made["secret"]
    now_s, body = world.clock.now_us() // 1_000_000, b'{"a": 1}'

    def signed(key: str = secret, *, at_s: int = now_s) -> dict[str, str]:
        return {"content-type": "application/json", "gesta-signature": gesta_signature(key, body, at_s)}

    for path, headers, told in (
        (made["path"], {"content-type": "application/json"}, "requires a signature"),
        (made["path"], signed("wrong"), "not this webhook's"),
        (alone, signed("wrong"), "not this webhook's"),
        (f"{PUBLIC}/hook/{'0' * 24}", signed(), "not this webhook's"),
        (alone, signed(at_s=now_s + 301), "301 seconds after"),
        (alone, {"content-type": "application/json", "gesta-signature": "t=1,v1=x"}, "must be `t="),
        (alone, {"content-type": "application/json"}, "Invalid webhook address or secret"),
    ):
        refused = await client.post(path, content=body, headers=headers)
        assert refused.status_code == 401, (path, refused.text)
        said = refused.json()
        assert (said["http_error_type"], said["error_code"], said["error"]) == ("UNAUTHORIZED", *["SERVER_ERROR"] * 2)
        assert told in said["message"]
    assert (await client.post(alone, content=b'{"a": 2}', headers=signed())).status_code == 401
    fired = await client.post(alone, content=body, headers=signed())
    assert fired.status_code == 200, fired.text
    for path in (made["path"], alone):
        assert (await client.post(path, content=body, headers=signed())).status_code == 409
    by_header = signed(at_s=now_s - 1) | {"x-webhook-secret": secret}
    assert (await client.post(alone, content=body, headers=by_header)).status_code == 200
    asked = Filter(organization=1, kinds=frozenset({Kind.RUN}))
    assert len((await world.ledger.seek(asked, after=None, limit=10)).rows) == 2
