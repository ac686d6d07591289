"""Session tokens: what is signed comes back, what is forged does not."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.access.model import Environment
from gesta.access.tokens import SessionClaims, read_token, sign_token
from gesta.kernel.errors import Unauthenticated

KEY = bytes(range(32))
NOW_S = 1_700_000_000
CLAIMS = SessionClaims(
    org_id="org_0123456789abcdefghij",
    linked_account_id="markwood@some_email.com",
    environment=Environment.TEST,
    iat=NOW_S,
    exp=NOW_S + 60,
    jti="00ff",
)


def reason(token: str, now_s: float = NOW_S) -> str:
    with pytest.raises(Unauthenticated) as caught:
        read_token(token, KEY, now_s)
    return caught.value.reason


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def claims(**changes: object) -> dict[str, object]:
    content = {
        "org_id": CLAIMS.org_id,
        "linked_account_id": CLAIMS.linked_account_id,
        "environment": "test",
        "iat": CLAIMS.iat,
        "exp": CLAIMS.exp,
        "jti": CLAIMS.jti,
    }
    return {key: value for key, value in {**content, **changes}.items() if value is not None}


def test_the_claims_have_the_names_and_types_of_the_published_token() -> None:
    header, content = sign_token(CLAIMS, KEY).split(".")[:2]
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(base64.urlsafe_b64decode(content + "==")) == claims()


def test_a_token_is_read_back_until_it_expires() -> None:
    token = sign_token(CLAIMS, KEY)
    assert token == sign_token(CLAIMS, KEY)
    assert read_token(token, KEY, NOW_S) == CLAIMS
    assert read_token(token, KEY, NOW_S + 59.999) == CLAIMS
    assert reason(token, NOW_S + 60) == "expired"


def test_the_machine_s_clock_plays_no_part() -> None:
    old = sign_token(SessionClaims(**{**claims(), "environment": Environment.TEST, "iat": 1, "exp": 100}), KEY)  # type: ignore[arg-type]
    assert read_token(old, KEY, 99).exp == 100


def test_a_refresh_token_opens_no_session() -> None:
    assert reason(jwt.encode(claims(is_refresh=True), KEY, algorithm="HS256")) == "invalid"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS512", "RS256", "hs256", None, 5, ["HS256"]])
def test_another_algorithm_is_refused_whatever_the_header_says(algorithm: object) -> None:
    signature = sign_token(CLAIMS, KEY).split(".")[2]
    head = segment({"alg": algorithm, "typ": "JWT"})
    for tail in ("", signature):
        assert reason(f"{head}.{segment(claims())}.{tail}") == "invalid"


def test_a_valid_signature_of_another_algorithm_is_refused() -> None:
    assert reason(jwt.encode(claims(), KEY * 2, algorithm="HS512")) == "invalid"


def test_another_key_and_a_changed_claim_are_refused() -> None:
    head, _, signature = sign_token(CLAIMS, KEY).split(".")
    assert reason(sign_token(CLAIMS, b"x" * 32)) == "invalid"
    assert reason(f"{head}.{segment(claims(exp=NOW_S + 10**6))}.{signature}") == "invalid"


def test_an_expired_forgery_is_called_invalid_not_expired() -> None:
    assert reason(sign_token(CLAIMS, b"x" * 32), NOW_S + 100) == "invalid"


@pytest.mark.parametrize(
    "content",
    [
        claims(exp=None),
        claims(jti=None),
        claims(iat=None),
        claims(exp="2030-01-01"),
        claims(exp=1e300),
        claims(jti=7),
        claims(environment="staging"),
        claims(org_id=None),
        {},
    ],
)
def test_signed_claims_of_another_shape_are_refused(content: dict[str, object]) -> None:
    assert reason(jwt.encode(content, KEY, algorithm="HS256")) == "invalid"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "..",
        "a.b.c",
        "é.é.é",
        "\ud800.a.b",
        "a" * 100_000,
        base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30",
        base64.urlsafe_b64encode(b"[1]").decode() + ".e30.e30",
        segment({"alg": "HS256", "crit": ["x"], "x": 1}) + ".e30.e30",
        segment({"alg": "HS256", "b64": False}) + ".e30.e30",
    ],
)
def test_what_is_no_token_is_invalid(text: str) -> None:
    assert reason(text) == "invalid"


@given(st.text(max_size=300))
def test_any_text_gives_claims_or_the_one_error(text: str) -> None:
    assert reason(text) == "invalid"


@given(position=st.integers(0, 10_000), replacement=st.characters(codec="ascii"))
def test_no_character_can_be_changed(position: int, replacement: str) -> None:
    token = sign_token(CLAIMS, KEY)
    place = position % len(token)
    forged = token[:place] + replacement + token[place + 1 :]
    # The last letter of the signature carries four bits that base64 ignores.
    if forged != token and place != len(token) - 1:
        assert reason(forged) == "invalid"


@given(
    org=st.text(max_size=30),
    account=st.text(st.characters(exclude_categories=["Cs"]), max_size=256),
    iat=st.integers(0, 2**40),
    length=st.integers(1, 2**40),
)
def test_any_claims_survive_signing(org: str, account: str, iat: int, length: int) -> None:
    made = SessionClaims(
        org_id=org, linked_account_id=account, environment=Environment.PRODUCTION, iat=iat, exp=iat + length, jti="j"
    )
    assert read_token(sign_token(made, KEY), KEY, iat) == made
