"""Session tokens: HS256 JWTs with the claims of protocols/refold.md, "Session token". Pure: time comes in."""

from __future__ import annotations

import jwt
import msgspec
from jwt.types import Options

from gesta.access.model import Environment
from gesta.kernel.errors import Unauthenticated

ALGORITHM = "HS256"
TOKEN_LIMIT = 8192
# The library reads the clock of the machine for these; `read_token` checks the expiry itself.
_OPTIONS: Options = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class SessionClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`org_id` is the public id of the organization, `linked_account_id` the account's name; times are Unix seconds."""

    org_id: str
    linked_account_id: str
    environment: Environment
    iat: int
    exp: int
    jti: str
    is_refresh: bool = False


def sign_token(claims: SessionClaims, key: bytes) -> str:
    """Equal claims give the same token, so that a session can be handed out again without storing its token."""
    return jwt.encode(msgspec.to_builtins(claims), key, algorithm=ALGORITHM)


def read_token(token: str, key: bytes, now_s: float) -> SessionClaims:
    """The claims of a token that this key signed and that has not expired. Raises Unauthenticated with `reason`
    invalid or expired; a refresh token does not open a session and is invalid here."""
    claims = _verified(token, key)
    if claims.exp <= now_s:
        raise Unauthenticated("The session token has expired.", reason="expired")
    return claims


def _verified(token: str, key: bytes) -> SessionClaims:
    if not token.isascii() or len(token) > TOKEN_LIMIT:
        raise invalid_token()
    try:
        content = jwt.decode(token, key, algorithms=[ALGORITHM], options=_OPTIONS)
        claims = msgspec.convert(content, SessionClaims)
    except (jwt.PyJWTError, msgspec.ValidationError, RecursionError, ValueError):
        raise invalid_token() from None
    if claims.is_refresh:
        raise invalid_token()
    return claims


def invalid_token() -> Unauthenticated:
    return Unauthenticated("The session token is not valid.", reason="invalid")
