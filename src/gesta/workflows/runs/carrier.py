"""Carries out the segments of runs: performs what is to be performed, wave by wave, until the run is over or waits.

A segment may be carried out twice, after an interruption: it then asks for the same steps in the same order, and is
given what they gave before. Everything that could differ the second time — moments, outcomes, the variation of a
backoff — is therefore part of what a step gives; nothing is decided by the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import structlog

from gesta.kernel.clock import Clock
from gesta.kernel.crash import reach
from gesta.kernel.errors import CallerError, GestaError, Unavailable
from gesta.kernel.events import set_within
from gesta.kernel.ids import IdSource
from gesta.ledger.records import NewEvent
from gesta.storage.program import Database, Program
from gesta.workflows.graph.definition import NodeType
from gesta.workflows.graph.progress import (
    Event,
    Failed,
    NodeStatus,
    Outcome,
    Passed,
    Performed,
    Progress,
    StopAsked,
    Wait,
    WaitKind,
)
from gesta.workflows.graph.steps import begin, node_of, step, todo
from gesta.workflows.nodes.face import NodeFailed, Performance, Performer
from gesta.workflows.nodes.face import Performed as NodeDone
from gesta.workflows.runs import journal
from gesta.workflows.runs.journal import Changed, Claimed
from gesta.workflows.runs.rows import Plans, SegmentId, encoder
from gesta.workflows.runs.telling import events_between
from gesta.workflows.runtime import Step, Steps

US = 1_000_000
# What is over sooner than this is waited for in memory; what takes longer is parked.
SHORT_S = 2.0
# What the timeline shows of a run under way is at most so old: waves that are over sooner are told together.
TELL_S = 0.2
# Outputs of a node that are larger fail it.
MOST_OUTPUT_BYTES = 4 * 1024 * 1024
RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)
# Pauses between attempts to reach what a node needs of Gesta itself: its database, its engine.
OUTAGE_S = (0.5, 1.0, 2.0, 5.0, 5.0, 5.0)

log = structlog.get_logger("gesta.workflows")


class Given(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step gave. `outcome`: done, failed, interrupted (by a stop or the run's deadline), or elsewhere: another
    process must perform it."""

    outcome: str
    at_us: int
    output: Any = None
    wait: Wait | None = None
    error: str = ""
    is_final: bool = False
    jitter: float = 0.0
    retry_after_s: float = 0.0


_given_decoder = msgspec.json.Decoder(Given, float_hook=Decimal)


class Carrier:
    """`on_changed` is told of every transaction that was committed. `owner` is this process's name among workers.
    `elsewhere`: types of nodes that this process hands back to those that can perform them."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: IdSource,
        plans: Plans,
        performers: Mapping[NodeType, Performer],
        owner: str,
        on_changed: Callable[[int, Changed], Awaitable[None]],
        elsewhere: Collection[NodeType] = (),
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._plans = plans
        self._performers = performers
        self._owner = owner
        self._on_changed = on_changed
        self._elsewhere = frozenset(elsewhere)
        # Runs whose first segment was claimed when they were born.
        self._handed: dict[str, Claimed] = {}
        # What is under way here, to be told of a stop.
        self._stops: dict[tuple[int, str], asyncio.Event] = {}

    @property
    def under_way(self) -> int:
        return len(self._stops)

    def hand(self, claimed: Claimed) -> None:
        """A run that was born as this process's own: it need not be claimed again."""
        self._handed[claimed.run.segment_id.name] = claimed

    @property
    def handed(self) -> list[SegmentId]:
        """What was handed over and is not begun."""
        return [claimed.run.segment_id for claimed in self._handed.values()]

    def stop(self, organization: int, run_id: str) -> bool:
        """Interrupt what is being performed. False: not here."""
        event = self._stops.get((organization, run_id))
        if event is None:
            return False
        event.set()
        return True

    async def carry(self, segment: SegmentId, steps: Steps) -> None:
        """One segment, to its end."""
        claimed = self._handed.pop(segment.name, None)
        if claimed is None:
            claimed = await self._insist(lambda: journal.claim(segment, self._owner, self._plans, self._now()), segment)
        if claimed is None:
            return
        reach("workflows.claimed")
        stop = self._stops[segment.organization, segment.run] = asyncio.Event()
        if claimed.run.stop_asked:
            stop.set()
        try:
            await _Segment(self, claimed, steps, stop).carry()
        finally:
            self._stops.pop((segment.organization, segment.run), None)

    # -- for a segment

    def _now(self) -> int:
        return self._clock.now_us()

    async def _insist(self, program: Callable[[], Any], segment: SegmentId) -> Any:
        """Write, however long the database is out of reach: a segment must not end without its last word."""
        attempt = 0
        while True:
            try:
                return await self._database.write(program, key=segment.organization)
            except Unavailable as error:
                if attempt == 0:
                    log.error("workflows.stalled", run=segment.run, error=error.message)
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1

    async def write(self, program: Callable[[], Any], segment: SegmentId) -> Changed:
        changed: Changed = await self._insist(program, segment)
        await self._on_changed(segment.organization, changed)
        return changed

    @property
    def clock(self) -> Clock:
        return self._clock

    async def give(self, claimed: Claimed, path: str, progress: Progress, stop: asyncio.Event) -> str:
        """Perform one attempt of a node, and say what came of it."""
        given = await self._given(claimed, path, progress, stop)
        reach("workflows.performed")
        text = encoder.encode(given)
        if len(text) > MOST_OUTPUT_BYTES:
            message = f"The output has {len(text)} bytes; {MOST_OUTPUT_BYTES} is the most that a node may give."
            text = encoder.encode(Given(outcome="failed", at_us=given.at_us, error=message, is_final=True))
        return text.decode()

    async def _given(self, claimed: Claimed, path: str, progress: Progress, stop: asyncio.Event) -> Given:
        if node_of(claimed.plan, path).type in self._elsewhere:
            return Given(outcome="elsewhere", at_us=self._now())
        if stop.is_set():
            return Given(outcome="interrupted", at_us=self._now())
        limit_s = None
        if progress.deadline_us is not None:
            limit_s = max(0.0, (progress.deadline_us - self._now()) / US)
        work = asyncio.create_task(self._attempt(claimed, path, progress))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            return Given(outcome="interrupted", at_us=self._now())
        finally:
            # Also when this process stops: what is not over then is not on record, and is done again.
            for task in (work, stopping):
                task.cancel()
            await asyncio.gather(work, stopping, return_exceptions=True)

    async def _attempt(self, claimed: Claimed, path: str, progress: Progress) -> Given:
        run, visit, node = claimed.run, progress.runs[path], node_of(claimed.plan, path)
        performance = Performance(
            organization=run.organization,
            account=run.account,
            run_id=run.id,
            workflow_id=progress.meta.get("workflow_id", ""),
            environment=progress.meta.get("environment", ""),
            path=path,
            node=node,
            input=visit.input,
            attempt=visit.attempts + 1,
            key=f"{run.id}/{path}",
            at_us=self._now(),
        )
        try:
            async with asyncio.timeout(node.timeout_s):
                done = await self._performed(performance)
        except NodeFailed as error:
            return self._failed(
                error.message, is_final=error.is_final, output=error.output, retry_after_s=error.retry_after_s
            )
        except TimeoutError:
            return self._failed(f"It took longer than {node.timeout_s:g} s.")
        except CallerError as error:
            return self._failed(error.message, is_final=True)
        except GestaError as error:
            return self._failed(error.message)
        except Exception:
            # A defect of a performer fails its node, and the log has it.
            log.exception("workflows.node_failed", run=run.id, path=path, type=node.type)
            return self._failed("An internal error; the server's log has it.")
        return Given(outcome="done", at_us=self._now(), output=done.output, wait=done.wait)

    async def _performed(self, performance: Performance) -> NodeDone:
        """Where Gesta itself is out of reach for a while, that is no failure of the node; nor is that it stops."""
        performer = self._performers[performance.node.type]
        for pause_s in OUTAGE_S:
            try:
                return await performer(performance)
            except Unavailable:
                await asyncio.sleep(pause_s)
        return await performer(performance)

    def _failed(self, message: str, *, is_final: bool = False, output: Any = None, retry_after_s: float = 0.0) -> Given:
        jitter = int.from_bytes(self._ids.random_bytes(2), "big") / 32767.5 - 1
        return Given(
            outcome="failed",
            at_us=self._now(),
            error=message,
            is_final=is_final,
            jitter=jitter,
            retry_after_s=retry_after_s,
            output=output,
        )


class _Segment:
    """One segment on its way."""

    def __init__(self, carrier: Carrier, claimed: Claimed, steps: Steps, stop: asyncio.Event) -> None:
        self.carrier = carrier
        self.claimed = claimed
        self.steps = steps
        self.stop = stop
        self.progress = claimed.run.progress
        # What happened up to `told`, after so many waves, and is not on the timeline yet.
        self.told = claimed.run.progress
        self.waves = 0
        self.untold: list[NewEvent] = []
        self.telling: asyncio.Task[None] | None = None
        self.hurries = asyncio.Event()
        self.is_ending = False
        self.is_handed_back = False

    async def carry(self) -> None:
        try:
            await self._go_on()
        except asyncio.CancelledError:
            if self.telling is not None:
                self.telling.cancel()
            raise
        except Exception:
            # The run's record says so; nothing would take it up again otherwise.
            log.exception("workflows.run_failed", run=self.claimed.run.id)
            self.progress = _broken(self.progress, self.carrier.clock.now_us())
        await self._tell_no_more()
        events, told, progress, segment = self.untold, self.told, self.progress, self.claimed.run.segment_id
        reach("workflows.settling")
        await self.carrier.write(
            lambda: journal.settle(self.claimed, events, told, progress, self.carrier.clock.now_us()), segment
        )

    async def _go_on(self) -> None:
        if not self.progress.runs and not self.progress.is_over:
            begins = partial(begin, self.claimed.plan, input=self.progress.input, meta=self.progress.meta)
            self.progress = await asyncio.to_thread(begins, at_us=self.progress.begun_at_us)
        # Also after a stop was asked for: what was done before a kill is on the engine's record, and is the run's; what
        # was not, is not begun.
        while not self.progress.is_over and not self.is_handed_back:
            needs = todo(self.progress)
            if needs.performs:
                await self._perform(needs.performs)
            elif self._is_short(needs.next_us, needs.waits):
                assert needs.next_us is not None
                await self._until(needs.next_us)
                if self.stop.is_set() and self.carrier.clock.now_us() < needs.next_us:
                    return
                await self._step(Passed(at_us=needs.next_us))
            else:
                return

    def _is_short(self, next_us: int | None, waits: Mapping[str, Wait]) -> bool:
        if next_us is None or any(wait.kind is not WaitKind.TIMER for wait in waits.values()):
            return False
        return next_us - self.carrier.clock.now_us() <= SHORT_S * US

    async def _until(self, at_us: int) -> None:
        await set_within(self.stop, max(0.0, (at_us - self.carrier.clock.now_us()) / US))

    async def _perform(self, paths: tuple[str, ...]) -> None:
        claimed, progress = self.claimed, self.progress
        wave = [self._step_of(claimed, path, progress) for path in paths]
        # One that nobody has begun need not be looked up on the engine's record; and what it gave need not be kept
        # there if the segment ends with it, since its end is kept at once.
        is_direct = claimed.is_new and len(wave) == 1 and not claimed.plan.may_take_long
        texts = [await self.steps.attempt(wave[0])] if is_direct else await self.steps.perform(wave)
        given = [(path, _given_decoder.decode(text)) for path, text in zip(paths, texts, strict=True)]
        # What was done counts, also beside something that ends the run; and time goes on from one to the next, so that
        # nothing ends before what it waited for.
        latest_us = 0
        for path, each in sorted(given, key=lambda pair: (pair[1].outcome != "done", pair[1].at_us)):
            latest_us = max(latest_us, each.at_us)
            event = self._event(path, msgspec.structs.replace(each, at_us=latest_us))
            if event is not None:
                await self._step(event)
        self.is_handed_back = any(each.outcome == "elsewhere" for _, each in given)
        if self._ends():
            return
        if is_direct:
            await self.steps.perform([_kept(wave[0], texts[0])])
        self._tell()

    def _ends(self) -> bool:
        """Whether nothing more is done in this segment."""
        if self.progress.is_over or self.is_handed_back:
            return True
        needs = todo(self.progress)
        return not needs.performs and not self._is_short(needs.next_us, needs.waits)

    def _step_of(self, claimed: Claimed, path: str, progress: Progress) -> Step:
        async def body() -> str:
            return await self.carrier.give(claimed, path, progress, self.stop)

        return Step(f"{path}#{progress.runs[path].attempts + 1}", body)

    def _event(self, path: str, given: Given) -> Event | None:
        if given.outcome == "done":
            return Performed(path=path, output=given.output, wait=given.wait, at_us=given.at_us)
        if given.outcome == "failed":
            return Failed(
                path=path,
                error=given.error,
                is_final=given.is_final,
                jitter=given.jitter,
                retry_after_s=given.retry_after_s,
                output=given.output,
                at_us=given.at_us,
            )
        if given.outcome == "elsewhere":
            return None
        deadline_us = self.progress.deadline_us
        if deadline_us is not None and deadline_us <= given.at_us:
            return Passed(at_us=given.at_us)
        return StopAsked(at_us=given.at_us)

    async def _step(self, event: Event) -> None:
        lines, plan = self.progress.lines, self.claimed.plan
        if plan.may_take_long:
            self.progress = await asyncio.to_thread(step, plan, self.progress, event)
        else:
            self.progress = step(plan, self.progress, event)
        if lines and self.progress.lines != lines:
            # What was logged and is not told yet.
            self.progress = msgspec.structs.replace(self.progress, lines=(*lines, *self.progress.lines))

    def _tell(self) -> None:
        """Have what has happened put on the timeline soon, while the next wave is performed."""
        self.waves += 1
        events = events_between(self.claimed.plan, self.told, self.progress)
        has_answered = self.told.answer is None and self.progress.answer is not None
        self.told = self.progress = msgspec.structs.replace(self.progress, lines=())
        if self.waves <= self.claimed.run.wave:
            # It was told before an interruption.
            return
        self.untold += events
        if has_answered:
            # Somebody may wait for that.
            self.hurries.set()
        if self.telling is None or self.telling.done():
            self.telling = asyncio.create_task(self._tell_soon())

    async def _tell_soon(self) -> None:
        while self.untold:
            await set_within(self.hurries, TELL_S)
            if self.is_ending:
                return
            self.hurries.clear()
            claimed, wave, events, told = self.claimed, self.waves, self.untold, self.told
            self.untold = []
            await self.carrier.write(partial(self._advance, claimed, wave, events, told), claimed.run.segment_id)

    def _advance(self, claimed: Claimed, wave: int, events: list[NewEvent], told: Progress) -> Program[Changed]:
        return journal.advance(claimed, wave, events, told, self.carrier.clock.now_us())

    async def _tell_no_more(self) -> None:
        """The segment's end tells what is not being told now."""
        self.is_ending = True
        self.hurries.set()
        if self.telling is not None:
            await self.telling


def _kept(step: Step, text: str) -> Step:
    """The step, when it has given its text."""

    async def body() -> str:
        return text

    return Step(step.name, body)


def _broken(progress: Progress, at_us: int) -> Progress:
    """Over as failed, whatever was under way."""
    runs = {
        path: visit
        if visit.status.is_over
        else msgspec.structs.replace(visit, status=NodeStatus.STOPPED, wait=None, finished_at_us=at_us)
        for path, visit in progress.runs.items()
    }
    error = "An internal error ended this run; the server's log has it."
    return msgspec.structs.replace(progress, runs=runs, outcome=Outcome.FAILED, error=error)
