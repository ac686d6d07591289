"""Outgoing webhooks on each kind of database: what a run's end tells arrives at least once, signed, and on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gesta.access.model import Environment, Organization, Principal, Scope
from gesta.app.build import MIGRATIONS
from gesta.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from gesta.ledger.records import Status
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.testing.memory_engine import EngineDisk
from gesta.workflows.hooks import journal, telling
from gesta.workflows.hooks.delivering import KEEPS_US, MAX_RESPONSE, Deliverer
from gesta.workflows.hooks.desk import WebhookDesk
from gesta.workflows.hooks_face import Delivery, DeliveryStatus, EndpointIn, HookEvent, HookFormat
from gesta.workflows.nodes.addresses import networks_of
from gesta.workflows.nodes.network import GuardedTransport
from tests.conformance.hook_house import Receiver, is_signed, plain_signature
from tests.conformance.run_house import House, Remote, flow, node

S = 1_000_000
LOCAL = ("127.0.0.0/8",)
ENDS = (HookEvent.RUN_SUCCEEDED, HookEvent.RUN_FAILED, HookEvent.RUN_CANCELLED, HookEvent.RUN_TIMED_OUT)
Post = Callable[..., Deliverer]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    await migrate(database, MIGRATIONS)
    made = House(database, ManualClock(), EngineDisk(), Remote(), 0)
    await made.open()
    yield made
    await made.kill()


@pytest.fixture
def desk(house: House) -> WebhookDesk:
    return WebhookDesk(database=house.database, clock=house.clock, ids=SeededIds(7), allow_networks=LOCAL)


@pytest.fixture
async def post(house: House) -> AsyncIterator[Post]:
    """Make a process that sends."""
    opened: list[tuple[Deliverer, GuardedTransport]] = []

    def make(*, networks: tuple[str, ...] = LOCAL, timeout_s: float = 5, lease_s: float = 60) -> Deliverer:
        transport = GuardedTransport(allowed=networks_of(networks))
        ids = SeededIds(50 + len(opened))
        made = Deliverer(
            database=house.database,
            clock=house.clock,
            ids=ids,
            transport=transport,
            timeout_s=timeout_s,
            lease_s=lease_s,
        )
        opened.append((made, transport))
        return made

    yield make
    for deliverer, transport in opened:
        await deliverer.stop()
        await transport.aclose()


def to(receiver: Receiver, **changes: object) -> EndpointIn:
    return EndpointIn(**{"url": receiver.url, "events": ENDS, **changes})  # type: ignore[arg-type]


async def run(house: House, **definition: object) -> str:
    """A run that needs nobody, and is over."""
    started = await house.start(flow(node("t", "transform", value={"a": 1}), links=("start>t",), **definition))
    assert started.execution.status is Status.SUCCEEDED
    return started.execution.id


async def only(house: House, desk: WebhookDesk, endpoint: str) -> Delivery:
    (found,), total = await desk.deliveries(house.principal, endpoint)
    assert total == 1
    return found


async def test_the_end_of_a_run_arrives_signed(house: House, desk: WebhookDesk, post: Post, receiver: Receiver) -> None:
    made, secret = await desk.create(house.principal, to(receiver, headers={"X-Own": "a secret"}))
    assert secret.startswith(made.secret_hint)
    assert len(made.secret_hint) < 12
    run_id = await run(house)
    waiting = await only(house, desk, made.id)
    assert (waiting.status, waiting.attempts, waiting.next_at_us) == (DeliveryStatus.PENDING, 0, house.clock.now_us())
    assert await post().turn() == 1
    (received,) = receiver.received
    assert (received.method, received.path, received.headers["x-own"]) == ("POST", "/hooks", "a secret")
    assert received.json["event"] == "run.succeeded"
    assert received.json["execution"]["id"] == run_id
    assert received.json["execution"]["status"] == "succeeded"
    assert received.json["execution"]["detail"]["response_payload"] == {"a": 1}
    now_s = house.clock.now_us() // S
    assert is_signed(received, secret, now_s)
    assert not is_signed(received, secret + "x", now_s)
    assert not is_signed(received, secret, now_s + 301), "what somebody recorded cannot be sent again later"
    log = await only(house, desk, made.id)
    assert (log.status, log.attempts, log.next_at_us, log.response_status) == (DeliveryStatus.DELIVERED, 1, None, 200)
    assert (log.response_text, log.id) == ("hello", received.id)
    assert log.request_headers["X-Own"] == "…"
    assert log.duration_ms is not None
    assert log.payload == received.json


@pytest.mark.parametrize(
    ("format", "header"), [(HookFormat.REFOLD, "x-cobalt-signature"), (HookFormat.B3OS, "x-b3os-signature")]
)
async def test_dialects_are_told_in_their_words(
    house: House, desk: WebhookDesk, post: Post, receiver: Receiver, format: HookFormat, header: str
) -> None:
    _, secret = await desk.create(house.principal, to(receiver, format=format))
    run_id = await run(house)
    await post().turn()
    (received,) = receiver.received
    assert received.headers[header] == plain_signature(secret, received.body)
    if format is HookFormat.REFOLD:
        assert received.json == {
            "linked_account_id": (await house.runs.run(house.principal, run_id)).progress.meta["account"],
            "instance_id": run_id,
            "workflow_id": "",
            "config_id": None,
            "event": "Workflow Completed",
            "workflow_name": "",
            "status": "COMPLETED",
        }
    else:
        assert received.json["eventType"] == "run.completed"
        assert received.json["runId"] == f"run_{run_id}"
        assert received.json["organizationId"] == house.principal.organization.public_id


async def test_a_custom_body_is_filled_in(house: House, desk: WebhookDesk, post: Post, receiver: Receiver) -> None:
    body = {"text": "{{event}}: {{instance_id}}", "all": "{{input}}", "status": "{{status}}"}
    await desk.create(house.principal, to(receiver, format=HookFormat.CUSTOM, body=body, method="PUT"))
    await desk.create(house.principal, to(receiver, format=HookFormat.SLACK))
    run_id = await run(house)
    await post().turn()
    custom = next(each for each in receiver.received if each.method == "PUT")
    assert custom.json["text"] == f"Workflow Completed: {run_id}"
    assert (custom.json["status"], custom.json["all"]["instance_id"]) == ("COMPLETED", run_id)
    slack = next(each for each in receiver.received if each.method == "POST")
    assert set(slack.json) == {"text"}
    assert run_id in slack.json["text"]
    with pytest.raises(InvalidInput, match="nothing_there"):
        await desk.create(house.principal, to(receiver, format=HookFormat.CUSTOM, body="{{nothing_there}}"))


async def test_who_asked_hears(house: House, desk: WebhookDesk, post: Post, receiver: Receiver) -> None:
    asked = {
        "all": to(receiver, events=(HookEvent.ALL,)),
        "failures": to(receiver, events=(HookEvent.RUN_FAILED, HookEvent.NODE_FAILED)),
        "another workflow": to(receiver, workflow_ids=("w",)),
        "an application": to(receiver, application="Sheets"),
        "test": to(receiver, environment=Environment.TEST),
        "off": to(receiver, is_enabled=False),
    }
    ids = {name: (await desk.create(house.principal, each))[0].id for name, each in asked.items()}
    house.remote.failing["a"] = 1
    started = await house.start(flow(node("a"), links=("start>a",)))
    await house.ended(started.execution.id)
    heard = {}
    for name, id in ids.items():
        found, _ = await desk.deliveries(house.principal, id)
        heard[name] = sorted(each.event for each in found)
    assert heard == {
        "all": ["node.failed", "run.failed", "run.started"],
        "failures": ["node.failed", "run.failed"],
        "another workflow": [],
        "an application": [],
        "test": [],
        "off": [],
    }
    assert await post().turn() == 5
    failed = next(each.json for each in receiver.received if each.json["event"] == "node.failed")
    assert failed["data"] == {"nodeId": "a"}
    assert failed["message"] == "a does not work"


async def test_what_fails_is_sent_again_and_then_given_up(
    house: House, desk: WebhookDesk, post: Post, receiver: Receiver
) -> None:
    made, secret = await desk.create(house.principal, to(receiver, max_retries=2))
    await run(house)
    receiver.answers += [500, b"no answer at all", 404]
    deliverer, waits = post(), []
    for attempt in (1, 2):
        assert await deliverer.turn() == 1
        assert await deliverer.turn() == 0, "not before its time"
        log = await only(house, desk, made.id)
        assert (log.status, log.attempts) == (DeliveryStatus.RETRYING, attempt)
        assert log.next_at_us is not None
        waits.append((log.next_at_us - house.clock.now_us()) / S)
        house.clock.advance_us(log.next_at_us - house.clock.now_us())
    assert 8 <= waits[0] <= 12
    assert 32 <= waits[1] <= 48
    await deliverer.turn()
    log = await only(house, desk, made.id)
    assert (log.status, log.attempts, log.response_status) == (DeliveryStatus.FAILED, 3, 404)
    assert "answered 404" in log.error
    assert len({each.id for each in receiver.received}) == 1, "a receiver can tell that it is the same"
    assert all(is_signed(each, secret, house.clock.now_us() // S) for each in receiver.received)
    assert [each.headers["gesta-attempt"] for each in receiver.received] == ["1", "2", "3"]
    house.clock.advance_us(10**12)
    assert await deliverer.turn() == 0
    # The same again, as itself.
    again = await desk.retry(house.principal, log.id)
    assert (again.id, again.status) == (log.id, DeliveryStatus.PENDING)
    await deliverer.turn()
    log = await only(house, desk, made.id)
    assert (log.status, log.attempts) == (DeliveryStatus.DELIVERED, 4)
    with pytest.raises(Conflict, match="is delivered"):
        await desk.retry(house.principal, log.id)
    # And as another.
    replayed = await desk.replay(house.principal, made.id, log.id)
    assert (replayed.replay_of, replayed.status) == (log.id, DeliveryStatus.PENDING)
    await deliverer.turn()
    assert receiver.received[-1].body == receiver.received[0].body
    assert receiver.received[-1].id == replayed.id != log.id
    newest_first, _ = await desk.deliveries(house.principal, made.id)
    assert [each.id for each in newest_first] == [replayed.id, log.id]


async def test_a_receiver_that_hangs_and_one_that_says_too_much(
    house: House, desk: WebhookDesk, post: Post, receiver: Receiver
) -> None:
    made, _ = await desk.create(house.principal, to(receiver, max_retries=0))
    hangs, receiver.gate = post(timeout_s=0.2), asyncio.Event()
    await run(house)
    await hangs.turn()
    log = await only(house, desk, made.id)
    assert (log.status, log.error, log.response_status) == (
        DeliveryStatus.FAILED,
        "No whole answer within 0.2 s.",
        None,
    )
    receiver.gate.set()
    receiver.gate = None
    await desk.delete(house.principal, made.id)
    made, _ = await desk.create(house.principal, to(receiver, max_retries=0))
    await run(house)
    receiver.answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (MAX_RESPONSE + 4096))
    await post().turn()
    log = await only(house, desk, made.id)
    assert (log.status, log.response_text) == (DeliveryStatus.DELIVERED, "x" * MAX_RESPONSE)
    await desk.delete(house.principal, made.id)
    made, _ = await desk.create(house.principal, to(receiver, max_retries=0))
    await run(house)
    where = receiver.url.encode()
    receiver.answers.append(b"HTTP/1.1 307 Go\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n")
    count = len(receiver.received)
    await post().turn()
    log = await only(house, desk, made.id)
    assert "redirects are not followed" in log.error
    assert len(receiver.received) == count + 1


async def test_a_receiver_that_hangs_holds_up_no_other(
    house: House, desk: WebhookDesk, post: Post, receiver: Receiver
) -> None:
    slow = Receiver()
    await slow.start()
    slow.gate = asyncio.Event()
    first, _ = await desk.create(house.principal, to(slow))
    for _ in range(40):
        await run(house)
    await desk.create(house.principal, to(receiver))
    await run(house)
    deliverer = post()
    await deliverer.start()
    await receiver.came(1)
    assert slow.most_at_once <= 4
    slow.gate.set()
    await slow.came(41)
    await deliverer.stop()
    await slow.stop()
    assert first.id


async def test_a_private_address_is_refused(house: House, desk: WebhookDesk, post: Post, receiver: Receiver) -> None:
    strict = WebhookDesk(database=house.database, clock=house.clock, ids=SeededIds(9))
    with pytest.raises(InvalidInput, match="allow_networks"):
        await strict.create(house.principal, to(receiver))
    # A name is looked up when it is sent to; so is an address that was allowed before.
    made, _ = await strict.create(house.principal, to(receiver, url=f"http://localhost:{receiver.port}/"))
    await run(house)
    await post(networks=()).turn()
    log = await only(house, desk, made.id)
    assert (log.status, log.attempts) == (DeliveryStatus.FAILED, 1)
    assert "allow_networks" in log.error
    assert receiver.received == []


async def test_a_kill_between_commit_and_send_loses_nothing(
    database: Database, house: House, desk: WebhookDesk, post: Post, receiver: Receiver
) -> None:
    made, _ = await desk.create(house.principal, to(receiver))
    run_id = await run(house)
    # The process that wrote it is gone, and so is the one that took it.
    await house.kill()
    (seen,) = await _due(house)
    now_us = house.clock.now_us()
    taken = await database.write(lambda: journal.take(seen, now_us + 60 * S, now_us), key=seen.organization)
    assert taken is not None
    other = post()
    assert await other.turn() == 0, "it is in somebody's hands"
    house.clock.advance_us(60 * S)
    assert await other.turn() == 1
    assert receiver.received[0].json["execution"]["id"] == run_id
    # The dead one was only slow: what it says is not written any more.
    late = journal.msgspec.structs.replace(taken.delivery, status=DeliveryStatus.FAILED, next_at_us=None)
    await database.write(lambda: journal.settle(taken.delivery, late, "0" * 32, now_us), key=seen.organization)
    log = await only(house, desk, made.id)
    assert (log.status, log.attempts) == (DeliveryStatus.DELIVERED, 2)


async def test_a_stop_gives_back_what_is_under_way(
    house: House, desk: WebhookDesk, post: Post, receiver: Receiver
) -> None:
    made, _ = await desk.create(house.principal, to(receiver))
    await run(house)
    receiver.gate = asyncio.Event()
    first = post()
    await first.start()
    await receiver.came(1)
    await first.stop()
    receiver.gate.set()
    receiver.gate = None
    assert await post().turn() == 1
    assert receiver.received[0].id == receiver.received[1].id
    assert (await only(house, desk, made.id)).attempts == 1


async def test_two_deliverers_send_each_once(house: House, desk: WebhookDesk, post: Post, receiver: Receiver) -> None:
    await desk.create(house.principal, to(receiver))
    for _ in range(30):
        await run(house)
    one, other = post(), post()
    sent = await asyncio.gather(one.turn(), other.turn())
    assert sum(sent) >= 30
    ids = [each.id for each in receiver.received]
    assert len(ids) == len(set(ids)) == 30


async def test_an_endpoint_that_is_down_for_long_is_disabled(
    house: House, desk: WebhookDesk, post: Post, receiver: Receiver
) -> None:
    made, _ = await desk.create(house.principal, to(receiver, max_retries=0))
    deliverer = post()
    for _ in range(journal.MAX_FAILURES - 1):
        receiver.answers.append(503)
        await run(house)
        await deliverer.turn()
    assert (await desk.get(house.principal, made.id)).failures == journal.MAX_FAILURES - 1
    # Many in a short time are an outage, no dead endpoint.
    receiver.answers.append(503)
    await run(house)
    await deliverer.turn()
    assert (await desk.get(house.principal, made.id)).is_enabled
    house.clock.advance_us(journal.FAILING_US)
    receiver.answers.append(503)
    await run(house)
    await deliverer.turn()
    off = await desk.get(house.principal, made.id)
    assert not off.is_enabled
    assert "21 deliveries in a row" in off.disabled_reason
    found, _ = await desk.deliveries(house.principal, made.id, limit=100)
    (entry,) = [each for each in found if each.event is HookEvent.ENDPOINT_DISABLED]
    assert entry.error == off.disabled_reason
    with pytest.raises(Conflict):
        await desk.retry(house.principal, entry.id)
    count = len(receiver.received)
    await run(house)
    assert await deliverer.turn() == 0
    failed = next(each for each in found if each.event is not HookEvent.ENDPOINT_DISABLED)
    with pytest.raises(Conflict, match="enable it first"):
        await desk.replay(house.principal, made.id, failed.id)
    on = await desk.enable(house.principal, made.id, is_enabled=True)
    assert (on.is_enabled, on.failures, on.disabled_reason) == (True, 0, "")
    await desk.replay(house.principal, made.id, failed.id)
    await deliverer.turn()
    assert len(receiver.received) == count + 1


async def test_what_waits_is_bounded(
    house: House, desk: WebhookDesk, post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "MAX_WAITING", 2)
    monkeypatch.setattr(journal, "MAX_ENDPOINTS", 1)
    made, _ = await desk.create(house.principal, to(receiver))
    with pytest.raises(Conflict, match="at most 1"):
        await desk.create(house.principal, to(receiver))
    for _ in range(3):
        await run(house)
        house.clock.advance_us(1)
    found, _ = await desk.deliveries(house.principal, made.id)
    assert [each.status for each in found] == [DeliveryStatus.FAILED, DeliveryStatus.PENDING, DeliveryStatus.PENDING]
    assert "wait for this endpoint" in found[0].error
    await desk.enable(house.principal, made.id, is_enabled=False)
    found, _ = await desk.deliveries(house.principal, made.id)
    assert {each.status for each in found} == {DeliveryStatus.FAILED}
    deliverer = post()
    assert await deliverer.turn() == 0
    house.clock.advance_us(KEEPS_US + 1)
    await deliverer.forget()
    assert (await desk.deliveries(house.principal, made.id))[1] == 0


async def test_what_another_has_is_not_found(house: House, desk: WebhookDesk, receiver: Receiver) -> None:
    made, _ = await desk.create(house.principal, to(receiver, environment=Environment.TEST))
    await run(house)
    stranger = _with(house.principal, organization=Organization(id=99, public_id="org_x", name="X"))
    production = _with(house.principal, environment=Environment.PRODUCTION)
    for other in (stranger, production):
        for call in (desk.get, desk.deliveries, desk.delete, desk.new_secret):
            with pytest.raises(NotFound):
                await call(other, made.id)
        assert (await desk.list(other))[1] == 0
        with pytest.raises(NotFound):
            await desk.change(other, made.id, to(receiver))
    with pytest.raises(Forbidden):
        await desk.create(production, to(receiver, environment=Environment.TEST))
    with pytest.raises(Forbidden):
        await desk.create(_with(house.principal, scopes=frozenset({Scope.READ})), to(receiver))
    changed = await desk.change(house.principal, made.id, to(receiver, description="new"))
    assert (changed.description, changed.environment) == ("new", None)
    again, secret = await desk.new_secret(house.principal, made.id)
    assert again.secret_hint == secret[:10] != made.secret_hint
    await desk.delete(house.principal, made.id)
    assert (await desk.list(house.principal))[1] == 0


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("url", "ftp://a.example/x"),
        ("url", "http://user:secret@a.example/"),
        ("url", "http://169.254.169.254/latest"),
        ("url", "http://169.254.169.254./latest"),
        ("url", "http://2852039166/latest"),
        ("url", "http://0xa9fea9fe/"),
        ("url", "http://0251.0376.0251.0376/"),
        ("url", "http://0/"),
        ("url", "https://a.example/" + "x" * 3000),
        ("url", "no address"),
        ("headers", {"Host": "a"}),
        ("headers", {"Gesta-Signature": "t=1,v1=0"}),
        ("headers", {"a b": "x"}),
        ("headers", {"X": "a\r\nY: b"}),
        ("headers", {f"X-{each}": "x" for each in range(21)}),
        ("events", ()),
        ("method", "GET"),
        ("max_retries", 11),
        ("max_retries", -1),
        ("name", "a\0b"),
        ("description", "\ud800"),
        ("workflow_ids", tuple(str(each) for each in range(101))),
        ("body", {"text": "x" * 20_000}),
    ],
)
async def test_a_wrong_endpoint_is_refused_by_its_field(
    house: House, desk: WebhookDesk, receiver: Receiver, field: str, wrong: object
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await desk.create(house.principal, to(receiver, **{field: wrong}))
    assert refused.value.field == field
    assert (await desk.list(house.principal))[1] == 0


async def _due(house: House) -> list[journal.DeliveryRow]:
    now_us = house.clock.now_us()
    return await house.database.read(lambda: journal.rows.due(now_us, "[]", 10), snapshot=False)


def _with(principal: Principal, **changes: object) -> Principal:
    return journal.msgspec.structs.replace(principal, **changes)
