"""How deliveries are signed, and how the signature of one that comes in is checked. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from gesta.kernel.errors import Unauthenticated
from gesta.workflows.hooks_face import HookFormat

SIGNATURE: Final = "Gesta-Signature"
#: How far `t` may be from this server's clock, before or after.
TOLERANCE_S: Final = 300
#: Of one header: a sender whose secret is being replaced signs with both.
MOST_SIGNATURES: Final = 8
MOST_HEADER: Final = 1024
_TIME = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FORM: Final = f"`{SIGNATURE}` must be `t=<seconds since 1970>,v1=<64 hexadecimal digits>`"
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
    return f"t={at_s},v1={_timed(secret, body, at_s)}"


def _timed(secret: str, body: bytes, at_s: int) -> str:
    return signature(secret, str(at_s).encode() + b"." + body)


class Claim(msgspec.Struct, frozen=True):
    """What a header says: when it was signed, and the signatures, each 64 lowercase hex digits."""

    at_s: int
    signatures: tuple[str, ...]


def claim_of(header: str, now_us: int) -> Claim:
    """What a `Gesta-Signature` says, whoever wrote it. Names other than `t` and `v1` are passed over, as signatures of
    a later scheme. Raises Unauthenticated (`reason` is `signature`) for one that is malformed or too far from now;
    neither says anything of the secret."""
    times: list[str] = []
    signatures: list[str] = []
    for part in header.split(",") if len(header) <= MOST_HEADER else ():
        name, _, value = part.strip().partition("=")
        if name == "t":
            times.append(value)
        elif name == "v1":
            signatures.append(value.lower())
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise refused(f"{_FORM}, with one `t`.")
    if not 0 < len(signatures) <= MOST_SIGNATURES or not all(map(_HEX.fullmatch, signatures)):
        raise refused(f"{_FORM}; `v1` may be there {MOST_SIGNATURES} times.")
    at_s, now_s = int(times[0]), now_us // 1_000_000
    if abs(now_s - at_s) > TOLERANCE_S:
        where = "before" if at_s < now_s else "after"
        raise refused(
            f"The `t` of `{SIGNATURE}` is {abs(now_s - at_s)} seconds {where} this server's clock; up to {TOLERANCE_S} "
            "are taken. Sign again with the present time."
        )
    return Claim(at_s, tuple(signatures))


def proof(claim: Claim, secret: str, body: bytes) -> str:
    """The signature that proves the secret, by which a repetition is known; nothing if none does. Takes as long for a
    wrong one as for a right one."""
    expected = _timed(secret, body, claim.at_s)
    matches = [hmac.compare_digest(expected, each) for each in claim.signatures]
    return expected if any(matches) else ""


def refused(message: str) -> Unauthenticated:
    return Unauthenticated(message, reason="signature")


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
