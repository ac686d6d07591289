"""What changes endpoints and deliveries, each as one transaction; those of one organization run one after another."""

from __future__ import annotations

import msgspec

from gesta.kernel.errors import Conflict, NotFound
from gesta.storage.program import Fetch, Program
from gesta.workflows.hooks import rows
from gesta.workflows.hooks.rows import SQL, DeliveryRow, EndpointRow, row_of_delivery, row_of_endpoint
from gesta.workflows.hooks_face import DeliveryStatus, EndpointIn, HookEvent

MAX_ENDPOINTS = 50
# An endpoint is disabled after so many deliveries were given up in a row, over at least this time.
MAX_FAILURES = 20
FAILING_US = 3600 * 1_000_000

GIVEN_UP = "The endpoint was disabled before this was sent."


def add(row: EndpointRow) -> Program[None]:
    """Raises Conflict for one too many."""
    counted = yield Fetch(SQL["hook.count"], (row.organization,))
    if int(counted[0][0]) >= MAX_ENDPOINTS:
        raise Conflict(f"An organization has at most {MAX_ENDPOINTS} webhook endpoints; delete one first.")
    yield Fetch(SQL["hook.add"], row_of_endpoint(row))


def change(organization: int, id: str, said: EndpointIn, account: int, now_us: int) -> Program[EndpointRow]:
    """Raises NotFound."""
    before = yield from held(organization, id)
    after = msgspec.structs.replace(before, said=said, account=account, updated_at_us=now_us)
    after = yield from _enabled(after, said.is_enabled, now_us)
    yield Fetch(SQL["hook.put"], row_of_endpoint(after))
    return after


def enable(organization: int, id: str, is_enabled: bool, now_us: int) -> Program[EndpointRow]:
    """Raises NotFound."""
    before = yield from held(organization, id)
    after = yield from _enabled(msgspec.structs.replace(before, updated_at_us=now_us), is_enabled, now_us)
    yield Fetch(SQL["hook.put"], row_of_endpoint(after))
    return after


def _enabled(row: EndpointRow, is_enabled: bool, now_us: int) -> Program[EndpointRow]:
    if is_enabled and not row.is_enabled:
        return msgspec.structs.replace(row, is_enabled=True, failures=0, failing_since_us=None, disabled_reason="")
    if row.is_enabled and not is_enabled:
        yield Fetch(SQL["delivery.give_up"], (row.organization, row.id, GIVEN_UP, now_us))
    return msgspec.structs.replace(row, is_enabled=is_enabled)


def new_secret(organization: int, id: str, secret: str, now_us: int) -> Program[EndpointRow]:
    """Raises NotFound."""
    before = yield from held(organization, id)
    after = msgspec.structs.replace(before, secret=secret, updated_at_us=now_us)
    yield Fetch(SQL["hook.put"], row_of_endpoint(after))
    return after


def delete(organization: int, id: str, now_us: int) -> Program[None]:
    """With what waits for it; what was sent is forgotten in its time. Raises NotFound."""
    yield from held(organization, id)
    yield Fetch(SQL["delivery.give_up"], (organization, id, "The endpoint was deleted before this was sent.", now_us))
    yield Fetch(SQL["hook.delete"], (organization, id))


def held(organization: int, id: str) -> Program[EndpointRow]:
    found = yield from rows.endpoint(organization, id)
    if found is None:
        raise NotFound(f"No webhook endpoint {id[:64]}.", what="webhook")
    return found


def _open(organization: int, delivery: str) -> Program[tuple[DeliveryRow, EndpointRow]]:
    """A delivery whose endpoint may be sent to. Raises NotFound, Conflict."""
    found = yield from rows.delivery(organization, delivery)
    if found is None:
        raise NotFound(f"No webhook delivery {delivery[:64]}.", what="delivery")
    endpoint = yield from held(organization, found.endpoint)
    if not endpoint.is_enabled:
        raise Conflict("The endpoint is disabled; enable it first.", endpoint=endpoint.id)
    if found.event is HookEvent.ENDPOINT_DISABLED or not found.body:
        raise Conflict("This entry of the log has nothing that could be sent.", delivery=delivery)
    return found, endpoint


def retry(organization: int, delivery: str, now_us: int) -> Program[DeliveryRow]:
    """Raises NotFound; Conflict for one that was taken or still waits."""
    found, endpoint = yield from _open(organization, delivery)
    if found.status is not DeliveryStatus.FAILED:
        raise Conflict(
            f"The delivery is {found.status}; one that failed is retried. Replay it to send it again.",
            delivery=delivery,
            status=found.status.value,
        )
    after = msgspec.structs.replace(
        found,
        status=DeliveryStatus.PENDING,
        most=found.attempts + 1 + endpoint.said.max_retries,
        fence=found.fence + 1,
        next_at_us=now_us,
        error="",
        updated_at_us=now_us,
    )
    yield from rows.put(found, after)
    return after


def replay(organization: int, delivery: str, id: str, now_us: int) -> Program[DeliveryRow]:
    """The same body as a delivery of its own. Raises NotFound, Conflict."""
    found, endpoint = yield from _open(organization, delivery)
    made = DeliveryRow(
        organization=organization,
        id=id,
        endpoint=found.endpoint,
        event=found.event,
        run=found.run,
        workflow=found.workflow,
        status=DeliveryStatus.PENDING,
        most=1 + endpoint.said.max_retries,
        next_at_us=now_us,
        body=found.body,
        replay_of=found.id,
        created_at_us=now_us,
        updated_at_us=now_us,
    )
    yield Fetch(SQL["delivery.add"], row_of_delivery(made))
    return made


# -- sending


class Taken(msgspec.Struct, frozen=True):
    """A delivery that this process sends until `delivery.next_at_us`, and where to."""

    delivery: DeliveryRow
    endpoint: EndpointRow


def take(seen: DeliveryRow, until_us: int, now_us: int) -> Program[Taken | None]:
    """Take a delivery that is due, for one attempt; None if another was faster, or there is nowhere to send it."""
    found = yield from rows.delivery(seen.organization, seen.id)
    if found is None or found.fence != seen.fence or found.next_at_us is None or found.next_at_us > now_us:
        return None
    endpoint = yield from rows.endpoint(seen.organization, seen.endpoint)
    if endpoint is None or not endpoint.is_enabled:
        over = msgspec.structs.replace(
            found, status=DeliveryStatus.FAILED, next_at_us=None, error=GIVEN_UP, updated_at_us=now_us
        )
        yield from rows.put(found, over)
        return None
    mine = msgspec.structs.replace(
        found, fence=found.fence + 1, attempts=found.attempts + 1, next_at_us=until_us, updated_at_us=now_us
    )
    yield from rows.put(found, mine)
    return Taken(mine, endpoint)


def give_back(taken: DeliveryRow, now_us: int) -> Program[None]:
    """What is not known to have arrived when this process stops is sent again by the next."""
    after = msgspec.structs.replace(taken, attempts=taken.attempts - 1, next_at_us=now_us, updated_at_us=now_us)
    yield from rows.put(taken, after)


def settle(taken: DeliveryRow, after: DeliveryRow, entry: str, now_us: int) -> Program[str]:
    """What became of an attempt. `entry`: the id of the log's entry, if this disables the endpoint. Returns why it was
    disabled, or nothing; nothing is written by one that lost the delivery."""
    is_mine = yield from rows.put(taken, after)
    if not is_mine or after.status is DeliveryStatus.RETRYING:
        return ""
    endpoint = yield from rows.endpoint(taken.organization, taken.endpoint)
    if endpoint is None:
        return ""
    if after.status is DeliveryStatus.DELIVERED:
        if endpoint.failures:
            well = msgspec.structs.replace(endpoint, failures=0, failing_since_us=None)
            yield Fetch(SQL["hook.put"], row_of_endpoint(well))
        return ""
    return (yield from _failed(endpoint, after, entry, now_us))


def _failed(endpoint: EndpointRow, delivery: DeliveryRow, entry: str, now_us: int) -> Program[str]:
    since_us = endpoint.failing_since_us or now_us
    failing = msgspec.structs.replace(endpoint, failures=endpoint.failures + 1, failing_since_us=since_us)
    if not endpoint.is_enabled or failing.failures < MAX_FAILURES or now_us - since_us < FAILING_US:
        yield Fetch(SQL["hook.put"], row_of_endpoint(failing))
        return ""
    reason = f"{failing.failures} deliveries in a row were given up; the last one: {delivery.error}"[:1000]
    yield Fetch(SQL["delivery.give_up"], (endpoint.organization, endpoint.id, GIVEN_UP, now_us))
    off = msgspec.structs.replace(failing, is_enabled=False, disabled_reason=reason, updated_at_us=now_us)
    yield Fetch(SQL["hook.put"], row_of_endpoint(off))
    told = DeliveryRow(
        organization=endpoint.organization,
        id=entry,
        endpoint=endpoint.id,
        event=HookEvent.ENDPOINT_DISABLED,
        run="",
        workflow="",
        status=DeliveryStatus.FAILED,
        most=0,
        next_at_us=None,
        body=b"",
        error=reason,
        created_at_us=now_us,
        updated_at_us=now_us,
    )
    yield Fetch(SQL["delivery.add"], row_of_delivery(told))
    return reason


def forget(before_us: int, most: int) -> Program[None]:
    """Deliveries that were over before a moment."""
    yield Fetch(SQL["delivery.forget"], (before_us, most))
