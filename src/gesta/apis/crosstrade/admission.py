"""Who is calling, and whether the call fits the rate: the same token and bucket for REST and the WebSocket."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers

from gesta.access.face import Access
from gesta.access.model import Principal
from gesta.kernel.errors import Unauthenticated

BUCKET: Final = "crosstrade"
# What changes a subscription of the WebSocket (protocols/crosstrade.md §3.3).
SUBSCRIBE_BUCKET: Final = "crosstrade_subscribe"
_LONGEST_TOKEN: Final = 512


def bearer_of(headers: Headers) -> str:
    """The token of `Authorization: Bearer <token>`. Raises Unauthenticated if it is missing or not such a header."""
    given = headers.getlist("authorization")
    if not given:
        raise Unauthenticated("Send the header `Authorization: Bearer <token>`.", reason="missing")
    scheme, _, token = given[0].partition(" ")
    token = token.strip()
    if len(given) > 1 or scheme.lower() != "bearer" or not token:
        raise Unauthenticated("The header must be `Authorization: Bearer <token>`, once.", reason="invalid")
    if len(token) > _LONGEST_TOKEN or not token.isascii() or not token.isprintable():
        raise Unauthenticated("This token is not valid.", reason="invalid")
    return token


async def admitted(access: Access, token: str, bucket: str = BUCKET) -> Principal:
    """The caller, with one call taken from its bucket. Raises Unauthenticated or RateLimited."""
    principal = await access.bearer(token)
    access.admit(bucket, principal.credential_id)
    return principal
