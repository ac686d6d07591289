"""How deliveries are signed. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from gesta.workflows.hooks_face import HookFormat

SIGNATURE: Final = "Gesta-Signature"
USER_AGENT: Final = "gesta-webhooks"
# The dialects' own (protocols/refold.md §6, protocols/b3os.md, execution webhooks): over the raw body.
_OF_FORMAT: Final = {
    HookFormat.REFOLD: "x-cobalt-signature",
    HookFormat.CUSTOM: "x-cobalt-signature",
    HookFormat.SLACK: "x-cobalt-signature",
    HookFormat.B3OS: "x-b3os-signature",
}
#: Headers that an endpoint cannot set: the connection's, and those by which a receiver trusts a delivery.
OURS: Final = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "upgrade", "keep-alive", "te", "trailer"),
        *("expect", "proxy-authorization", "proxy-connection", "content-type", "accept-encoding", "idempotency-key"),
        *("gesta-signature", "gesta-delivery", "gesta-event", "gesta-attempt"),
        *("x-cobalt-signature", "x-b3os-signature"),
    }
)


def signature(secret: str, body: bytes) -> str:
    """Hex HMAC-SHA256 over the raw body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def gesta_signature(secret: str, body: bytes, at_s: int) -> str:
    """`t=<seconds since 1970>,v1=<hex HMAC-SHA256 over "<t>.<body>">`. A receiver refuses an old `t`: a delivery that
    somebody recorded cannot be sent again later."""
    return f"t={at_s},v1={signature(secret, str(at_s).encode() + b'.' + body)}"


def headers_of(
    format: HookFormat,
    own: Mapping[str, str],
    *,
    secret: str,
    body: bytes,
    delivery: str,
    event: str,
    attempt: int,
    at_s: int,
) -> dict[str, str]:
    """The headers of one attempt, the endpoint's own first. The delivery's id is the same in every attempt."""
    made = {
        **own,
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "Idempotency-Key": delivery,
        "Gesta-Delivery": delivery,
        "Gesta-Event": event,
        "Gesta-Attempt": str(attempt),
        SIGNATURE: gesta_signature(secret, body, at_s),
    }
    if not any(name.lower() == "user-agent" for name in own):
        made["User-Agent"] = USER_AGENT
    if format in _OF_FORMAT:
        made[_OF_FORMAT[format]] = signature(secret, body)
    return made


def shown(headers: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """As the log keeps them: the endpoint's own may be credentials, and are kept by name only."""
    return {name: "…" if name in own else value for name, value in headers.items()}
