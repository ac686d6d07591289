"""Signatures of webhooks that come in, the secrets that they are made with, and who may require them."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from gesta.kernel.errors import InvalidInput, Unauthenticated
from gesta.testing.fakes import SeededIds
from gesta.workflows.definitions.hook_secrets import had_again, hook_hash, new_hint, secret_of
from gesta.workflows.forms.reading import FORMS, read_definition, write_definition
from gesta.workflows.graph.definition import SignaturePolicy, TriggerKind
from gesta.workflows.hooks.signing import (
    MOST_SIGNATURES,
    TOLERANCE_S,
    Claim,
    claim_of,
    gesta_signature,
    proof,
    signature,
)

NOW_S = 1_773_153_000
NOW_US = NOW_S * 1_000_000
BODY = b'{"a": 1}'
HEX = "ab" * 32


def test_what_is_sent_is_what_is_taken() -> None:
    header = gesta_signature("s3cret", BODY, NOW_S)
    expected = hmac.new(b"s3cret", f"{NOW_S}.".encode() + BODY, hashlib.sha256).hexdigest()
    assert header == f"t={NOW_S},v1={expected}"
    claim = claim_of(header, NOW_US)
    assert claim == Claim(NOW_S, (expected,))
    assert proof(claim, "s3cret", BODY) == expected
    assert proof(claim, "s3cres", BODY) == proof(claim, "s3cret", BODY + b" ") == proof(claim, "", BODY) == ""
    assert proof(Claim(NOW_S + 1, claim.signatures), "s3cret", BODY) == ""
    # That of the body alone, as dialects' outgoing ones are, says no time.
    assert proof(Claim(NOW_S, (signature("s3cret", BODY),)), "s3cret", BODY) == ""


def test_while_a_secret_is_replaced_either_is_right() -> None:
    old, new = (gesta_signature(secret, BODY, NOW_S).partition("v1=")[2] for secret in ("old", "new"))
    claim = claim_of(f"t={NOW_S}, v1={old}, v1={new.upper()}, v2=later, v0=", NOW_US)
    assert claim.signatures == (old, new)
    assert (proof(claim, "old", BODY), proof(claim, "new", BODY), proof(claim, "other", BODY)) == (old, new, "")


@pytest.mark.parametrize("late_s", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_within_the_tolerance(late_s: int) -> None:
    assert claim_of(f"t={NOW_S - late_s},v1={HEX}", NOW_US + 999_999).at_s == NOW_S - late_s


@pytest.mark.parametrize(("late_s", "word"), [(TOLERANCE_S + 1, "301 seconds before"), (-9999, "9999 seconds after")])
def test_beyond_the_tolerance(late_s: int, word: str) -> None:
    with pytest.raises(Unauthenticated, match=word) as refusal:
        claim_of(f"t={NOW_S - late_s},v1={HEX}", NOW_US)
    assert refusal.value.reason == "signature"


@pytest.mark.parametrize(
    "header",
    [
        *("", "x", ",", "t", "t=", HEX, f"v1={HEX}", f"t={NOW_S}", f"t={NOW_S},v1=", f"t={NOW_S},v1={HEX[1:]}"),
        *(f"t={NOW_S},v1={HEX}0", f"t={NOW_S},v1={'g' * 64}", f"t={NOW_S},v1= {HEX}", f"t={NOW_S},v2={HEX}"),
        *(f"t={NOW_S},t={NOW_S},v1={HEX}", f"t=0{NOW_S},v1={HEX}", f"t=-1,v1={HEX}", f"t={NOW_S}.0,v1={HEX}"),
        *(f"t=1e9,v1={HEX}", f"t={'9' * 5000},v1={HEX}", f"t=١٧٧٣١٥٣٠٠٠,v1={HEX}", f"t={NOW_S},v1={'١' * 64}"),
        *(f"t={NOW_S};v1={HEX}", f"t={NOW_S}" + f",v1={HEX}" * (MOST_SIGNATURES + 1), f"T={NOW_S},V1={HEX}"),
        f"t={NOW_S},v1={HEX}," + "x" * 2000,
    ],
)
def test_what_is_no_signature(header: str) -> None:
    with pytest.raises(Unauthenticated, match="must be `t=") as refusal:
        claim_of(header, NOW_US)
    assert refusal.value.reason == "signature"


# -- the secret


def test_a_secret_is_had_again_from_its_hint_alone() -> None:
    key, ids = b"k" * 32, SeededIds(3)
    hint = new_hint(ids)
    made = secret_of(key, 1, "w", hint)
    assert made.startswith(hint)
    assert len(made) - len(hint) == 48
    kept = hook_hash(made)
    assert had_again(key, 1, "w", hint, kept) == made
    # Another organization's, workflow's or installation's is another; and one made at random is not had again.
    for other in ((key, 2, "w", hint), (key, 1, "v", hint), (b"l" * 32, 1, "w", hint), (key, 1, "w", new_hint(ids))):
        assert secret_of(*other) != made
        assert had_again(*other, kept) is None
    assert had_again(key, 1, "w", "gwh_123456", hook_hash("gwh_1234567890")) is None
    assert had_again(key, 1, "w", "", None) is None


# -- what a trigger says of it


def _gesta(trigger: dict[str, Any]) -> dict[str, Any]:
    return {"trigger": trigger, "nodes": [{"id": "start", "type": "start"}]}


def _b3os(payload: dict[str, Any]) -> dict[str, Any]:
    return {"nodes": {"root": {"type": "webhook", "payload": payload, "children": []}}}


def _refold(data: dict[str, Any]) -> dict[str, Any]:
    node = {"id": "1", "type": "start", "data": {"trigger_type": "webhook"} | data}
    return {"nodes": [node], "edges": []}


@pytest.mark.parametrize("form", [_gesta, _b3os, _refold])
def test_every_form_may_require_a_signature(form: Any) -> None:
    trigger = read_definition(form({"signature": "required"})).trigger
    assert (trigger.kind, trigger.signature) == (TriggerKind.WEBHOOK, SignaturePolicy.REQUIRED)
    for said in ({"signature": "optional"}, {}):
        assert read_definition(form(said)).trigger.signature is SignaturePolicy.OPTIONAL
    for wrong in ("always", True, 1, ["required"]):
        with pytest.raises(InvalidInput) as refusal:
            read_definition(form({"signature": wrong}))
        (problem,) = refusal.value.details["problems"]
        assert problem["field"] == "trigger.signature"
        assert "`optional` or `required`" in problem["message"]


def test_what_was_required_is_required_in_every_form_that_it_is_written_in() -> None:
    definition = read_definition(_gesta({"event": "paid", "signature": "required"}))
    assert definition.trigger.kind is TriggerKind.EVENT
    for form in FORMS:
        assert read_definition(write_definition(definition, form)).trigger == definition.trigger
