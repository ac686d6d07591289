"""Sends what endpoints are to be told: at least once, by one process at a time.

A delivery that is due is taken for one attempt until a moment (`LEASE_S`); no attempt takes as long. What a process
took and did not live to settle is due again then, and whoever takes it is another number of its fence.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import httpcore
import httpx
import msgspec
import structlog

from gesta.kernel.clock import Clock
from gesta.kernel.crash import reach
from gesta.kernel.errors import GestaError
from gesta.kernel.events import set_within
from gesta.kernel.ids import IdSource, hex_id
from gesta.kernel.json import encode_json
from gesta.storage.program import Database, Fetch, Program
from gesta.workflows.hooks import journal, rows
from gesta.workflows.hooks.rows import SQL, DeliveryRow
from gesta.workflows.hooks.signing import headers_of, shown
from gesta.workflows.hooks_face import DeliveryStatus
from gesta.workflows.nodes.network import AddressRefused

US = 1_000_000
TIMEOUT_S = 15.0
# Longer than an attempt can take, with what is written before and after it.
LEASE_S = 60.0
# Other processes write and lose deliveries too: they are looked for this often, at least.
LOOK_S = 5.0
# Attempts at once, and of them to one endpoint: one that hangs holds up no other.
AT_ONCE = 32
AT_ONCE_PER_ENDPOINT = 4
MAX_RESPONSE = 16 * 1024
MAX_RESPONSE_HEADERS = 50
MAX_HEADER = 1024
# After the first failure, and four times as much after each other, up to the most; a fifth more or less by chance.
RETRY_S = 10.0
MOST_RETRY_S = 3600.0
KEEPS_US = 30 * 86_400 * US
FORGOTTEN_AT_ONCE = 5000

log = structlog.get_logger("gesta.webhooks")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt came to. `status` None: no answer."""

    status: int | None = None
    headers: dict[str, str] = {}
    body: bytes = b""
    error: str = ""
    is_final: bool = False


class Deliverer:
    """`transport` refuses addresses that must not be reached. `start` and `stop` run it; `turn` sends what is due now
    and returns when that is done."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: IdSource,
        transport: httpx.AsyncBaseTransport,
        timeout_s: float = TIMEOUT_S,
        lease_s: float = LEASE_S,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._transport = transport
        self._timeout_s = timeout_s
        self._lease_us = round(lease_s * US)
        self._kick = asyncio.Event()
        self._busy: Counter[str] = Counter()
        self._in_hand: set[str] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="webhook deliveries")

    async def stop(self) -> None:
        """What is being sent is given back: the next process sends it again."""
        tasks = [*self._sending, *([self._loop] if self._loop is not None else [])]
        self._loop = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def kick(self) -> None:
        """There is something to send."""
        self._kick.set()

    async def turn(self) -> int:
        """Send what is due now; how many attempts that were."""
        count = 0
        while tasks := await self._begin():
            count += len(tasks)
            await asyncio.gather(*tasks)
        return count

    async def forget(self) -> None:
        """Deliveries that were over long ago."""
        before_us = self._clock.now_us() - KEEPS_US
        await self._database.write(lambda: journal.forget(before_us, FORGOTTEN_AT_ONCE))

    # -- the loop

    async def _run(self) -> None:
        while True:
            self._kick.clear()
            wait_s = LOOK_S
            try:
                if await self._begin():
                    continue
                wait_s = await self._wait_s()
            except GestaError as error:
                log.warning("webhooks.postponed", error=error.message)
            except Exception:
                # It must outlive a defect that one delivery shows.
                log.exception("webhooks.failed")
            await set_within(self._kick, wait_s)

    async def _wait_s(self) -> float:
        busy = self._full()
        next_us = await self._database.read(lambda: _next(busy), snapshot=False)
        # While everything is taken, the end of an attempt is what is waited for.
        if next_us is None or len(self._sending) >= AT_ONCE:
            return LOOK_S
        return min(LOOK_S, max(0.05, (next_us - self._clock.now_us()) / US))

    def _full(self) -> str:
        return encode_json([each for each, count in self._busy.items() if count >= AT_ONCE_PER_ENDPOINT]).decode()

    async def _begin(self) -> list[asyncio.Task[None]]:
        """Take what is due, as far as there is room, and begin to send it."""
        room = AT_ONCE - len(self._sending)
        if room <= 0:
            return []
        now_us, busy = self._clock.now_us(), self._full()
        due = await self._database.read(lambda: rows.due(now_us, busy, room), snapshot=False)
        begun = []
        for delivery in due:
            # It is due until its task has written that it is taken.
            if delivery.id in self._in_hand or self._busy[delivery.endpoint] >= AT_ONCE_PER_ENDPOINT:
                continue
            self._in_hand.add(delivery.id)
            self._busy[delivery.endpoint] += 1
            task = asyncio.create_task(self._send(delivery), name=f"webhook delivery {delivery.id}")
            self._sending.add(task)
            task.add_done_callback(partial(self._done, delivery))
            begun.append(task)
        return begun

    def _done(self, delivery: DeliveryRow, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._in_hand.discard(delivery.id)
        self._busy[delivery.endpoint] -= 1
        if not self._busy[delivery.endpoint]:
            del self._busy[delivery.endpoint]
        self._kick.set()

    # -- one attempt

    async def _send(self, seen: DeliveryRow) -> None:
        try:
            now_us = self._clock.now_us()
            taken = await self._database.write(
                lambda: journal.take(seen, now_us + self._lease_us, now_us), key=seen.organization
            )
            if taken is not None:
                await self._attempt(taken)
        except GestaError as error:
            log.warning("webhooks.postponed", delivery=seen.id, error=error.message)
        except Exception:
            log.exception("webhooks.failed", delivery=seen.id)

    async def _attempt(self, taken: journal.Taken) -> None:
        mine, endpoint = taken.delivery, taken.endpoint
        own = endpoint.said.headers
        headers = headers_of(
            endpoint.said.format,
            own,
            secret=endpoint.secret,
            body=mine.body,
            delivery=mine.id,
            event=mine.event.value,
            attempt=mine.attempts,
            at_s=self._clock.now_us() // US,
        )
        reach("workflows.hook.taken")
        began_s = asyncio.get_running_loop().time()
        try:
            answer = await self._post(endpoint.said.method, endpoint.said.url, headers, mine.body)
        except asyncio.CancelledError:
            await self._database.write(lambda: journal.give_back(mine, self._clock.now_us()), key=mine.organization)
            raise
        reach("workflows.hook.sent")
        duration_ms = round((asyncio.get_running_loop().time() - began_s) * 1000)
        now_us = self._clock.now_us()
        after = outcome(mine, answer, now_us, self._chance())
        after = msgspec.structs.replace(after, duration_ms=duration_ms, request_headers=shown(headers, own))
        entry = hex_id(self._ids, 32)
        reason = await self._database.write(lambda: journal.settle(mine, after, entry, now_us), key=mine.organization)
        if reason:
            log.warning("webhooks.disabled", endpoint=endpoint.id, organization=endpoint.organization, reason=reason)

    def _chance(self) -> float:
        return int.from_bytes(self._ids.random_bytes(4)) / 2**32

    async def _post(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s)
        try:
            request = httpx.Request(method, url, headers=headers, content=body, extensions={"timeout": limits})
            async with asyncio.timeout(self._timeout_s):
                response = await self._transport.handle_async_request(request)
                try:
                    return _answer(response, await _bounded(response))
                finally:
                    await response.aclose()
        except (TimeoutError, httpcore.TimeoutException):
            return Answer(error=f"No whole answer within {self._timeout_s:g} s.")
        except AddressRefused as error:
            return Answer(
                error=f"{error.host[:253]} is not on the public network; the operator may allow its network by the "
                "setting `workflows.allow_networks`.",
                is_final=True,
            )
        except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol) as error:
            return Answer(error=f"The request cannot be sent: {error}"[:1000], is_final=True)
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            return Answer(error=(str(error).replace("\0", "") or type(error).__name__)[:1000])


async def _bounded(response: httpx.Response) -> bytes:
    """The beginning of an answer; the rest is not read."""
    data = bytearray()
    async for part in response.aiter_raw():
        data += part
        if len(data) >= MAX_RESPONSE:
            break
    return bytes(data[:MAX_RESPONSE])


def _answer(response: httpx.Response, body: bytes) -> Answer:
    status = response.status_code
    headers = {
        name[:MAX_HEADER]: value[:MAX_HEADER] for name, value in list(response.headers.items())[:MAX_RESPONSE_HEADERS]
    }
    error = "" if 200 <= status < 300 else f"The endpoint answered {status}."
    if 300 <= status < 400:
        error = f"The endpoint answered {status}; redirects are not followed."
    return Answer(status=status, headers=headers, body=body, error=error)


def outcome(delivery: DeliveryRow, answer: Answer, now_us: int, chance: float) -> DeliveryRow:
    """A delivery after an attempt. `chance` (0 to 1) moves the next one. Pure."""
    said = msgspec.structs.replace(
        delivery,
        response_status=answer.status,
        response_headers=answer.headers,
        response_body=answer.body,
        error=answer.error,
        updated_at_us=now_us,
        next_at_us=None,
    )
    if not answer.error:
        return msgspec.structs.replace(said, status=DeliveryStatus.DELIVERED, delivered_at_us=now_us)
    if answer.is_final or delivery.attempts >= delivery.most:
        return msgspec.structs.replace(said, status=DeliveryStatus.FAILED)
    wait_us = round(pause_s(delivery.attempts, chance) * US)
    return msgspec.structs.replace(said, status=DeliveryStatus.RETRYING, next_at_us=now_us + wait_us)


def pause_s(attempts: int, chance: float) -> float:
    """How long after so many attempts the next one is."""
    return min(MOST_RETRY_S, RETRY_S * 4.0 ** min(attempts - 1, 8)) * (0.8 + 0.4 * chance)


def _next(busy: str) -> Program[int | None]:
    ((next_us,),) = yield Fetch(SQL["delivery.next"], (busy,))
    return None if next_us is None else int(next_us)
