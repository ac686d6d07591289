"""Keeps runs going in this process: submits what is due, wakes what has waited long enough or for the end of something,
tells of stops, and lets callers wait for the end of a run.

Nothing here is the truth: what was missed, by a kill or because another process did it, is found in the tables again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog

from gesta.kernel.clock import Clock
from gesta.kernel.crash import reach
from gesta.kernel.errors import GestaError, Unavailable
from gesta.kernel.events import set_within
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Execution, Kind, RunDetail
from gesta.ledger.store import StoredLedger
from gesta.storage.program import Database, Fetch, Program, Row
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import WaitKind, Woken
from gesta.workflows.runs import ahead, journal
from gesta.workflows.runs.carrier import Carrier
from gesta.workflows.runs.endings import ending_of
from gesta.workflows.runs.journal import ENDED_KINDS, Changed, Claimed
from gesta.workflows.runs.rows import AT_DESK, SQL, Plans, RunRow, RunState, SegmentId
from gesta.workflows.runtime import Engine

US = 1_000_000
# Other processes park and stop runs too: their rows are looked at this often, at least.
LOOK_S = 5.0
STOPS_S = 0.5
# Pauses of a caller between looks at a run that another process carries out.
PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5)
# While the timers are looked at, every new one has them looked at again.
AWAKE_US = 2**63
AT_ONCE = 200
FEED = 500
_KINDS = (Kind.EXECUTOR, Kind.RUN)

log = structlog.get_logger("gesta.workflows")


class RunService:
    def __init__(
        self, *, database: Database, ledger: StoredLedger, clock: Clock, plans: Plans, engine: Engine, owner: str
    ) -> None:
        self.ledger = ledger
        self._database = database
        self._clock = clock
        self._plans = plans
        self._engine = engine
        self._owner = owner
        # Set where this process carries runs out itself.
        self.carrier: Carrier | None = None
        # Whether no other process carries out what this one takes.
        self.is_alone = False
        # Called when endpoints are to be sent something.
        self.on_told: Callable[[], None] | None = None
        # Whether other processes may have died over this database.
        self.may_take_over = False
        self._kick = asyncio.Event()
        self._awaited = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        # Until when the loop of the timers sleeps.
        self._sleeps_until_us = AWAKE_US
        self._waiting: defaultdict[tuple[int, str], list[asyncio.Future[Execution]]] = defaultdict(list)
        self._is_started = False
        self._handed_before: frozenset[SegmentId] = frozenset()
        self._handed_at_s = 0.0

    # -- life

    async def start(self) -> None:
        """Go on with everything that is under way."""
        carrier = self.carrier
        if carrier is not None:
            await self._engine.start(carrier.carry)
            rows = await self._read("run.running_of", (self._owner,))
            # Whether the engine knows them or not: what it has under way is not begun twice.
            await self._engine.submit([SegmentId(*row) for row in rows])
        await self._submit_due()
        self._is_started = True
        loops = {"run timers": self._wake_forever, "ends of executors and runs": self._follow_forever}
        if carrier is not None:
            loops["stops of runs"] = self._stop_forever
        for name, loop in loops.items():
            self._tasks.append(asyncio.create_task(self._for_ever(name, loop), name=name))

    async def stop(self, *, timeout_s: float = 10.0) -> None:
        """What is under way goes on at the next start."""
        self._is_started = False
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._engine.stop(timeout_s=timeout_s)
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(Unavailable("The server is stopping."))

    @property
    def hands_over(self) -> bool:
        """Whether a run that is born here is carried out here, and nowhere else: it need not be claimed then."""
        return self.is_alone and self.carrier is not None

    def own(self, run: RunRow) -> RunRow:
        """A due run, to be born as this process's own."""
        return msgspec.structs.replace(run, state=RunState.RUNNING, owner=self._owner, fence=1)

    def hand(self, run: RunRow, plan: Plan) -> None:
        """One that was: it is on disk now."""
        if self.carrier is not None:
            self.carrier.hand(Claimed(run=run, plan=plan, is_new=True))

    def check(self) -> None:
        """Raise Unavailable unless runs can be taken now."""
        if not self._is_started:
            raise Unavailable("Workflows are not running on this server now; try again.", retry_after_s=2)

    @property
    def under_way(self) -> int:
        return 0 if self.carrier is None else self.carrier.under_way

    # -- what transactions lead to

    async def changed(self, organization: int, changed: Changed) -> None:
        """After a commit: submit, tell, look again."""
        if changed.seq:
            self.ledger.passed(organization, changed.seq)
        reach("workflows.changed")
        if changed.due:
            await self._engine.submit(changed.due)
        if changed.at_desk:
            await self._engine.submit(changed.at_desk, needs_desk=True)
        for over in changed.over:
            for future in self._waiting.pop((over.organization, over.id), ()):
                if not future.done():
                    future.set_result(over)
        if changed.is_told and self.on_told is not None:
            self.on_told()
        if changed.awaits:
            self._awaited.set()
            await self._look_at(changed.awaits)
        if changed.wake_at_us is not None and changed.wake_at_us < self._sleeps_until_us:
            self._kick.set()

    async def wake(self, organization: int, run_id: str, event: Woken) -> bool:
        """What a node waited for. False: it did not wait (any more)."""
        now_us = self._clock.now_us()
        changed = await self._write(
            organization, lambda: journal.woken(organization, run_id, event, self._plans, now_us)
        )
        await self.changed(organization, changed)
        return changed.is_done

    async def stop_run(self, organization: int, run_id: str, by: dict[str, Any]) -> bool:
        now_us = self._clock.now_us()
        changed = await self._write(
            organization, lambda: journal.asked_to_stop(organization, run_id, self._plans, now_us, by)
        )
        await self.changed(organization, changed)
        if self.carrier is not None:
            self.carrier.stop(organization, run_id)
        return changed.is_done

    async def finished(
        self, organization: int, run_id: str, timeout_s: float, look: Callable[[], Awaitable[Execution]]
    ) -> Execution | None:
        """The run once it is over or has answered, or None at the timeout. Also one that another process carries out.
        `look`: the run as it stands, for whoever asks."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        # Before the look: what is over after it is told here.
        news: asyncio.Future[Execution] = loop.create_future()
        pauses = itertools.chain(PAUSES_S, itertools.repeat(PAUSES_S[-1]))
        self._waiting[organization, run_id].append(news)
        try:
            while True:
                seq = 0 if self.hands_over else await self.ledger.head(organization)
                now = news.result() if news.done() else await look()
                if now.status in TERMINAL or (isinstance(now.detail, RunDetail) and _has_answered(now.detail)):
                    return now
                left_s = deadline - loop.time()
                if left_s <= 0:
                    return None
                if self.hands_over:
                    # Nobody else carries it out.
                    await asyncio.wait({news}, timeout=min(left_s, LOOK_S))
                else:
                    await self._news_or_feed(news, organization, seq, left_s)
                    # The feed tells of everything; what is carried out here is told as news.
                    await asyncio.wait({news}, timeout=min(left_s, next(pauses)))
        finally:
            futures = self._waiting.get((organization, run_id))
            if futures is not None and news in futures:
                futures.remove(news)
                if not futures:
                    self._waiting.pop((organization, run_id), None)
            news.cancel()

    async def _news_or_feed(
        self, news: asyncio.Future[Execution], organization: int, seq: int, timeout_s: float
    ) -> None:
        follow = asyncio.create_task(self.ledger.wait(organization, after_seq=seq, timeout_s=timeout_s))
        waits: set[asyncio.Future[Any]] = {news, follow}
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        follow.cancel()
        await asyncio.gather(follow, return_exceptions=True)

    # -- loops

    async def _for_ever(self, name: str, loop: Any) -> None:
        """A loop must outlive an outage of the database, and a defect that one run shows."""
        while True:
            try:
                await loop()
            except GestaError as error:
                log.warning("workflows.loop", loop=name, error=error.message)
            except Exception:
                log.exception("workflows.loop_failed", loop=name)
            await asyncio.sleep(1.0)

    async def _wake_forever(self) -> None:
        while True:
            self._kick.clear()
            self._sleeps_until_us = AWAKE_US
            now_us = self._clock.now_us()
            rows = await self._read("run.wakeable", (now_us, AT_ONCE))
            await asyncio.gather(*(self._passed(organization, run_id) for organization, run_id in rows))
            if len(rows) == AT_ONCE:
                continue
            await self._submit_due()
            ((next_us,),) = await self._read("run.next_wake", ())
            now_us = self._clock.now_us()
            self._sleeps_until_us = min(now_us + int(LOOK_S * US), AWAKE_US if next_us is None else next_us)
            await set_within(self._kick, max(0.0, (self._sleeps_until_us - now_us) / US))

    async def _passed(self, organization: int, run_id: str) -> None:
        now_us = self._clock.now_us()
        changed = await self._write(organization, lambda: journal.passed(organization, run_id, self._plans, now_us))
        await self.changed(organization, changed)

    async def _write(self, organization: int, program: Callable[[], Program[Changed]]) -> Changed:
        return await ahead.write(self._database, self._plans, program, key=organization)

    async def _submit_due(self) -> None:
        """What was decided and, by a kill or an outage in between, not submitted."""
        await self._submit_handed()
        rows = await self._read("run.due", (AT_ONCE,))
        for needs_desk in (False, True):
            due = [SegmentId(*row[:3]) for row in rows if (row[3] == AT_DESK) is needs_desk]
            if due:
                await self._engine.submit(due, needs_desk=needs_desk)
        if self.may_take_over and not rows and await self._read("run.running_elsewhere", (self._owner,)):
            # Should they be dead, it takes them over.
            await self._engine.wake()

    async def _submit_handed(self) -> None:
        """What was born as this process's own, and not begun since the last look."""
        now_s = asyncio.get_running_loop().time()
        if self.carrier is None or now_s - self._handed_at_s < LOOK_S:
            return
        handed = self.carrier.handed
        late = [segment for segment in handed if segment in self._handed_before]
        self._handed_at_s, self._handed_before = now_s, frozenset(handed)
        if late:
            await self._engine.submit(late)

    async def _stop_forever(self) -> None:
        """Stops that another process took."""
        while True:
            await asyncio.sleep(STOPS_S)
            carrier = self.carrier
            if carrier is None or not carrier.under_way:
                continue
            for organization, run_id in await self._read("run.stopping", (self._owner,)):
                carrier.stop(organization, run_id)

    async def _follow_forever(self) -> None:
        """Ends that runs wait for, as the change feeds tell them: one follower for each organization that has any."""
        followed: dict[int, asyncio.Task[None]] = {}
        known: set[tuple[int, WaitKind, str]] = set()
        try:
            while True:
                self._awaited.clear()
                awaited = await self._ends_awaited()
                # Of one that another process parked, and died before it looked, the end may have passed in the feed.
                await self._look_at([each for each in awaited if each not in known])
                known = set(awaited)
                for organization in {each[0] for each in awaited} - set(followed):
                    name = f"ends of organization {organization}"
                    follow = partial(self._follow, organization)
                    followed[organization] = asyncio.create_task(self._for_ever(name, follow), name=name)
                await set_within(self._awaited, LOOK_S)
        finally:
            for task in followed.values():
                task.cancel()
            await asyncio.gather(*followed.values(), return_exceptions=True)

    async def _follow(self, organization: int) -> None:
        # What ended before this looked is in the tables; what ends from here on is in the feed.
        seq = await self.ledger.head(organization)
        await self._look_at(await self._ends_awaited(organization))
        while True:
            items = await self.ledger.feed(organization, after_seq=seq, limit=FEED)
            for item in items:
                seq = item.event.seq
                if item.execution.kind in _KINDS and item.execution.status in TERMINAL:
                    await self._ended(item.execution)
            if not items:
                await self.ledger.wait(organization, after_seq=seq, timeout_s=LOOK_S)

    async def _ends_awaited(self, organization: int | None = None) -> list[tuple[int, WaitKind, str]]:
        found = []
        for kind in ENDED_KINDS:
            rows = await self._read("wait.of_kind", (kind.value,))
            found += [(owner, kind, key) for owner, key in rows if organization in (None, owner)]
        return found

    async def _look_at(self, awaited: Sequence[tuple[int, WaitKind, str]]) -> None:
        """Whether what a run waits for is over already."""
        for organization, _, key in awaited:
            ended = await self.ledger.get(organization, key)
            if ended is not None and ended.status in TERMINAL:
                await self._ended(ended)

    async def _ended(self, execution: Execution) -> None:
        kind = WaitKind.EXECUTOR if execution.kind is Kind.EXECUTOR else WaitKind.RUN
        organization = execution.organization
        for run_id, path, _ in await self._read("wait.of_key", (organization, kind.value, execution.id)):
            await self.wake(organization, run_id, ending_of(execution, path, self._clock.now_us()))

    async def _read(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        def program() -> Program[list[Row]]:
            rows = yield Fetch(SQL[statement], parameters)
            return rows

        return await self._database.read(program, snapshot=False)


def _has_answered(detail: RunDetail) -> bool:
    return isinstance(detail.response_payload, dict) and set(detail.response_payload) == {"status_code", "body"}
