"""Signed inbound webhooks on each kind of database: who may start a run, and that one signature starts one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from gesta.access.model import Scope
from gesta.app.build import MIGRATIONS
from gesta.kernel.errors import Conflict, InvalidInput, NotFound, TooLarge, Unauthenticated
from gesta.storage.migrate import migrate
from gesta.storage.program import Database, Fetch, Program, Statement
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_engine import EngineDisk
from gesta.workflows.definitions.hook_secrets import hook_hash
from gesta.workflows.face import Draft, Signed, Started, WorkflowStatus, WorkflowView
from gesta.workflows.graph.definition import SignaturePolicy, Trigger, TriggerKind
from gesta.workflows.hooks.signing import TOLERANCE_S, gesta_signature, signature
from gesta.workflows.runs.rows import MIGRATIONS as WORKFLOWS
from gesta.workflows.triggers.checking import MOST_PAYLOAD_BYTES
from tests.conformance.run_house import House, Remote
from tests.conformance.test_workflow_triggers import Bell, S, quick

LEGACY = "gwh_" + "5" * 64
_FORGED = "UPDATE workflows SET hook_hash = $1, hook_hint = $2"
MADE_BEFORE = Statement("test.made_before", *[_FORGED] * 2)


@pytest.fixture
async def house(database: Database, clock: ManualClock) -> AsyncIterator[House]:
    await migrate(database, list(dict.fromkeys([*MIGRATIONS, WORKFLOWS])))
    house = House(database, clock, EngineDisk(), Remote(), 0)
    await house.open()
    yield house
    await house.kill()


class Signer(Bell):
    """Who sends to webhooks, signed and not."""

    async def hooked(self, policy: SignaturePolicy, **changes: Any) -> tuple[WorkflowView, str]:
        workflow = await self.publish(quick(Trigger(kind=TriggerKind.WEBHOOK, signature=policy, **changes)))
        return workflow, await self.definitions.new_hook_secret(self.me, workflow.id)

    def signed(self, secret: str, payload: Any, *, late_s: int = 0, body: bytes | None = None) -> Signed:
        raw = json.dumps(payload).encode() if body is None else body
        return Signed(gesta_signature(secret, raw, self.clock.now_us() // S - late_s), raw)

    async def send(
        self, workflow: WorkflowView | str, signed: Signed | None, secret: str | None = None, key: str | None = None
    ) -> Started:
        payload = None if signed is None else json.loads(signed.body)
        word = workflow if isinstance(workflow, str) else workflow.id
        return await self.triggers.hook(word, secret, payload, key=key, signed=signed)

    async def refused(self, *asked: Any, word: str | None = None, **more: Any) -> str:
        with pytest.raises(Unauthenticated, match=word) as refusal:
            await self.send(*asked, **more)
        assert refusal.value.reason == "signature"
        return refusal.value.message


@pytest.fixture
def signer(house: House) -> Signer:
    return Signer(house, 78)


async def test_a_signature_is_enough_and_starts_one_run(signer: Signer) -> None:
    workflow, secret = await signer.hooked(SignaturePolicy.REQUIRED)
    signed = signer.signed(secret, {"n": 1})
    started = await signer.send(workflow, signed)
    detail: Any = started.execution.detail
    assert (started.is_new, detail.request_payload) == (True, {"n": 1})
    # Whatever else the call says, and however the same signature is written.
    upper = Signed(f"v1={'0' * 64}, {signed.header.upper().replace('T=', 't=').replace('V1=', 'v1=')}", signed.body)
    for again, key in ((signed, None), (signed, "another"), (upper, None), (upper, "third")):
        with pytest.raises(Conflict):
            await signer.send(workflow, again, key=key)
    with pytest.raises(Conflict):
        await signer.send(workflow, signed, secret)
    # A second later the same body is another delivery.
    signer.advance(1)
    await signer.send(workflow, signer.signed(secret, {"n": 1}))
    assert len(await signer.executions()) == 2


async def test_a_recorded_call_is_never_taken_again(signer: Signer) -> None:
    workflow, secret = await signer.hooked(SignaturePolicy.REQUIRED)
    ahead = signer.signed(secret, {"n": 1}, late_s=-TOLERANCE_S)
    await signer.send(workflow, ahead)
    for wait_s in (TOLERANCE_S, TOLERANCE_S):
        signer.advance(wait_s)
        with pytest.raises(Conflict):
            await signer.send(workflow, ahead)
    signer.advance(1)
    await signer.refused(workflow, ahead, word="301 seconds before")
    assert len(await signer.executions()) == 1


async def test_at_the_same_moment_one_signature_starts_one_run(signer: Signer) -> None:
    workflow, secret = await signer.hooked(SignaturePolicy.OPTIONAL)
    signed = signer.signed(secret, {"n": 1})
    asked = [signer.send(workflow, signed, key=f"key-{place % 3}") for place in range(9)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(each, Started) for each in outcomes) == 1
    assert sum(isinstance(each, Conflict) for each in outcomes) == 8
    assert len(await signer.executions()) == 1


async def test_a_retry_is_signed_anew_and_known_by_its_key(signer: Signer) -> None:
    workflow, secret = await signer.hooked(SignaturePolicy.REQUIRED)
    await signer.send(workflow, signer.signed(secret, {"n": 1}), key="delivery-1")
    signer.advance(20)
    retry = signer.signed(secret, {"n": 1})
    for key in ("delivery-1", None, "delivery-2"):
        with pytest.raises(Conflict):
            await signer.send(workflow, retry, key=key)
    assert len(await signer.executions()) == 1


async def test_wrong_missing_and_stale_signatures_start_nothing(signer: Signer) -> None:
    workflow, secret = await signer.hooked(SignaturePolicy.REQUIRED)
    other, of_other = await signer.hooked(SignaturePolicy.REQUIRED)
    right = signer.signed(secret, {"n": 1})
    assert "requires a signature" in await signer.refused(workflow, None, secret)
    wrong = [
        (workflow, Signed(right.header, b'{"n": 2}')),
        (workflow, signer.signed(of_other, {"n": 1})),
        (workflow, signer.signed(secret[:-1], {"n": 1})),
        (workflow, signer.signed("", {"n": 1})),
        (workflow, Signed(f"t={signer.clock.now_us() // S},v1={signature(secret, right.body)}", right.body)),
        (other, right),
        ("0" * 24, right),
        ("\0", right),
        ("\ud800", right),
        ("ä", signer.signed("", {"n": 1})),
    ]
    # One answer for all, so that nobody learns without the secret which workflows there are.
    told = {await signer.refused(*each) for each in wrong}
    assert told == {"The signature is not this webhook's over this body, or there is no such webhook."}
    for late_s in (TOLERANCE_S + 1, -TOLERANCE_S - 1):
        stale = {
            await signer.refused(target, signer.signed(by, {"n": 1}, late_s=late_s), word="301 seconds")
            for target, by in ((workflow, secret), (workflow, "wrong"), ("0" * 24, secret))
        }
        assert len(stale) == 1
    for target in (workflow, "0" * 24):
        await signer.refused(target, Signed("v1=nothing", b"1"), word="must be `t=")
    with pytest.raises(Unauthenticated) as nothing:
        await signer.send(workflow, None)
    assert nothing.value.reason == "missing"
    # With the secret shown it is the secret that is wrong, whatever is signed.
    for signed in (right, None):
        with pytest.raises(NotFound):
            await signer.send(workflow, signed, secret[:-1])
    await signer.refused(workflow, Signed(right.header, b"2"), secret, word="not this webhook's")
    assert await signer.executions() == []
    # None of it used the right one up.
    await signer.send(workflow, right, secret)


async def test_an_optional_signature_has_to_be_right_where_it_is(signer: Signer) -> None:
    workflow, secret = await signer.hooked(SignaturePolicy.OPTIONAL)
    await signer.triggers.hook(workflow.id, secret, 1)
    await signer.refused(workflow, signer.signed("wrong", {}), secret)
    await signer.send(workflow, signer.signed(secret, {}))
    assert len(await signer.executions()) == 2


async def test_a_secret_that_was_made_anew_signs_and_the_one_before_does_not(signer: Signer) -> None:
    workflow, old = await signer.hooked(SignaturePolicy.REQUIRED)
    new = await signer.definitions.new_hook_secret(signer.me, workflow.id)
    assert new != old
    await signer.refused(workflow, signer.signed(old, {}))
    either = signer.signed(old, {})
    both = Signed(f"{either.header},{signer.signed(new, {}).header.partition(',')[2]}", either.body)
    await signer.send(workflow, both)
    with pytest.raises(Conflict):
        await signer.send(workflow, signer.signed(new, {}))


async def test_a_secret_from_before_there_were_signatures(signer: Signer) -> None:
    """It was random, and only its hash is known: it goes on working where it is shown, and may be signed with there."""
    workflow, _ = await signer.hooked(SignaturePolicy.OPTIONAL)

    def program() -> Program[None]:
        yield Fetch(MADE_BEFORE, (hook_hash(LEGACY), LEGACY[:10]))

    await signer.house.database.write(program, key=1)
    await signer.triggers.hook(workflow.id, LEGACY, 1)
    await signer.send(workflow, signer.signed(LEGACY, {}), LEGACY)
    await signer.refused(workflow, signer.signed("wrong", {}), LEGACY)
    await signer.refused(workflow, signer.signed(LEGACY, {"n": 2}))
    made = await signer.definitions.new_hook_secret(signer.me, workflow.id)
    await signer.send(workflow, signer.signed(made, {"n": 2}))
    with pytest.raises(NotFound):
        await signer.triggers.hook(workflow.id, LEGACY, 1)


async def test_what_starts_nothing_starts_nothing_signed_either(signer: Signer) -> None:
    workflow, secret = await signer.hooked(SignaturePolicy.REQUIRED)
    for status in (WorkflowStatus.PAUSED, WorkflowStatus.ACTIVE):
        await signer.definitions.set_status(signer.me, workflow.id, status)
        if status is WorkflowStatus.PAUSED:
            with pytest.raises(Conflict, match="paused"):
                await signer.send(workflow, signer.signed(secret, {}))
    large = signer.signed(secret, "x" * MOST_PAYLOAD_BYTES)
    with pytest.raises(TooLarge):
        await signer.send(workflow, large)
    with pytest.raises(InvalidInput):
        await signer.send(workflow, signer.signed(secret, {}), key="")
    # What was refused has not used its signature up.
    await signer.send(workflow, signer.signed(secret, {}))
    await signer.definitions.delete(signer.me, workflow.id)
    await signer.refused(workflow, signer.signed(secret, {"n": 2}))
    assert len(await signer.executions()) == 1


async def test_another_organization_has_no_part_in_it(signer: Signer) -> None:
    mine, secret = await signer.hooked(SignaturePolicy.REQUIRED)
    organization = await signer.house.access.create_organization("Rival")
    rival = msgspec.structs.replace(signer.me, organization=organization, scopes=frozenset(Scope))
    theirs = await signer.definitions.create(rival, Draft(definition=quick(Trigger(kind=TriggerKind.WEBHOOK))))
    await signer.definitions.publish(rival, theirs.id)
    of_theirs = await signer.definitions.new_hook_secret(rival, theirs.id)
    with pytest.raises(NotFound):
        await signer.definitions.new_hook_secret(rival, mine.id)
    await signer.refused(mine, signer.signed(of_theirs, {}))
    await signer.refused(theirs, signer.signed(secret, {}))
    # One signature over the same body and time each: neither is the other's duplicate.
    for target, by in ((mine, secret), (theirs, of_theirs)):
        started = await signer.send(target, signer.signed(by, {}))
        assert started.execution.organization == target.organization
    assert len(await signer.executions()) == 1
