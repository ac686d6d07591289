"""Triggers and payments of workflows in memory: what the front door says of them."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from gesta.access.model import Principal, Scope
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Conflict, NotFound, Unauthenticated
from gesta.kernel.ids import IdSource, hex_id
from gesta.ledger.records import Execution, Source, Status
from gesta.testing.memory_definitions import MemoryDefinitions
from gesta.workflows.face import (
    CheckoutView,
    EventIn,
    EventTaken,
    RunView,
    ScheduleIn,
    ScheduleView,
    Signed,
    Started,
    WorkflowStatus,
    WorkflowView,
)
from gesta.workflows.graph.definition import SignaturePolicy, TriggerKind
from gesta.workflows.hooks.signing import SIGNATURE, claim_of, proof, refused

Start = Callable[[WorkflowView, Any, Source, str | None], Awaitable[Started]]


class MemoryTriggers:
    """`Triggers`. Schedules are kept, and never come due."""

    def __init__(self, definitions: MemoryDefinitions, start: Start, clock: Clock, ids: IdSource) -> None:
        self._definitions = definitions
        self._start = start
        self._clock = clock
        self._ids = ids
        self._seen: set[tuple[str, str]] = set()
        self._schedules: dict[str, ScheduleView] = {}

    async def event(self, principal: Principal, event: EventIn) -> EventTaken:
        principal.require(Scope.RUN)
        started: list[Execution] = []
        duplicates: list[str] = []
        views, _ = await self._definitions.list(principal, limit=1000)
        for view in views:
            if view.published_version is None or view.status is not WorkflowStatus.ACTIVE:
                continue
            trigger = self._definitions.version_of(view, view.published_version).definition.trigger
            named = "" if trigger.application is None else trigger.application.id or trigger.application.name
            if (trigger.kind, trigger.event) != (TriggerKind.EVENT, event.event):
                continue
            if named and event.application and named != event.application:
                continue
            if event.key is not None and (view.id, event.key) in self._seen:
                duplicates.append(view.id)
                continue
            if event.key is not None:
                self._seen.add((view.id, event.key))
            started.append((await self._start(view, event.payload, Source.EVENT, None)).execution)
        return EventTaken(event_id=hex_id(self._ids, 24), started=started, duplicates=duplicates)

    async def hook(
        self, workflow: str, secret: str | None, payload: Any, *, key: str | None = None, signed: Signed | None = None
    ) -> Started:
        if secret is None and signed is None:
            raise Unauthenticated("Send the webhook's secret, or sign with it.", reason="missing")
        view = self._definitions.anywhere(workflow)
        expected = self._definitions.hook_secrets.get(workflow, "")
        if secret is not None and (
            view is None or not hmac.compare_digest(expected.encode() or b"-", secret.encode("utf-8", "replace"))
        ):
            raise NotFound("There is no such webhook.", what="workflow")
        proved = ""
        if signed is not None:
            proved = proof(claim_of(signed.header, self._clock.now_us()), expected, signed.body)
            if view is None or not expected or not proved:
                raise refused("The signature is not this webhook's, or there is no such webhook.")
        assert view is not None
        if not proved and self._policy(view) is SignaturePolicy.REQUIRED:
            raise refused(f"This webhook requires a signature: send `{SIGNATURE}`.")
        if proved and (view.id, proved) in self._seen:
            raise Conflict("This webhook was delivered before.")
        started = await self._start(view, payload, Source.API, key)
        self._seen.add((view.id, proved))
        if not started.is_new:
            raise Conflict("This webhook was delivered before.", run_id=started.execution.id)
        return started

    def _policy(self, view: WorkflowView) -> SignaturePolicy:
        if view.published_version is None:
            return SignaturePolicy.OPTIONAL
        return self._definitions.version_of(view, view.published_version).definition.trigger.signature

    async def create_schedule(self, principal: Principal, schedule: ScheduleIn) -> ScheduleView:
        principal.require(Scope.RUN)
        view = await self._definitions.get(principal, schedule.workflow)
        now_us = self._clock.now_us()
        made = ScheduleView(
            id=hex_id(self._ids, 24),
            organization=view.organization,
            account=view.account,
            workflow_id=view.id,
            is_paused=False,
            last_at_us=None,
            created_at_us=now_us,
            updated_at_us=now_us,
            **_said(schedule),
        )
        self._schedules[made.id] = made
        return made

    async def change_schedule(self, principal: Principal, id: str, schedule: ScheduleIn) -> ScheduleView:
        return self._change(principal, id, **_said(schedule))

    async def pause_schedule(self, principal: Principal, id: str, *, paused: bool) -> ScheduleView:
        return self._change(principal, id, is_paused=paused)

    def _change(self, principal: Principal, id: str, **fields: Any) -> ScheduleView:
        principal.require(Scope.RUN)
        now_us = self._clock.now_us()
        changed = msgspec.structs.replace(self._mine(principal, id), updated_at_us=now_us, **fields)
        self._schedules[id] = changed
        return changed

    async def delete_schedule(self, principal: Principal, id: str) -> None:
        principal.require(Scope.RUN)
        del self._schedules[self._mine(principal, id).id]

    async def schedules(self, principal: Principal, *, workflow: str = "") -> Sequence[ScheduleView]:
        principal.require(Scope.READ)
        wanted = (await self._definitions.get(principal, workflow)).id if workflow else ""
        mine = [each for each in self._schedules.values() if each.organization == principal.organization.id]
        return [each for each in mine if not wanted or each.workflow_id == wanted]

    def _mine(self, principal: Principal, id: str) -> ScheduleView:
        found = self._schedules.get(id)
        if found is None or found.organization != principal.organization.id:
            raise NotFound(f"Schedule {id[:128]} not found.", what="schedule")
        return found


def _said(schedule: ScheduleIn) -> dict[str, Any]:
    words = ("name", "cron", "every_s", "at_us", "timezone", "input", "catch_up", "dates_us", "from_us", "until_us")
    next_at_us = min(schedule.dates_us, default=schedule.at_us)
    return {**{word: getattr(schedule, word) for word in words}, "next_at_us": next_at_us}


class _Running(Protocol):
    async def run(self, principal: Principal, run_id: str) -> RunView: ...


class MemoryPayments:
    """`Payments`, of what the definitions say that runs cost."""

    def __init__(self, runs: _Running, clock: Clock) -> None:
        self._runs = runs
        self._clock = clock
        self._refunded: set[tuple[int, str]] = set()

    async def checkout(self, principal: Principal, run_id: str) -> CheckoutView:
        view = await self._runs.run(principal, run_id)
        price, execution = view.definition.price, view.execution
        if price is None:
            raise NotFound(f"Run {run_id[:128]} costs nothing.", what="checkout")
        status = "open" if execution.status is Status.AWAITING_PAYMENT else "complete"
        if (principal.organization.id, run_id) in self._refunded:
            status = "refunded"
        return CheckoutView(
            id=f"checkout-{run_id}",
            run_id=run_id,
            provider="test",
            provider_id=f"test-{run_id}",
            amount=Decimal(price.amount),
            currency=price.currency,
            status=status,
            url=f"http://checkout.test/{run_id}",
            expires_at_us=execution.created_at_us + 1_800_000_000,
            created_at_us=execution.created_at_us,
        )

    async def refund(self, principal: Principal, run_id: str, *, reason: str = "") -> CheckoutView:
        principal.require(Scope.RUN)
        found = await self.checkout(principal, run_id)
        if found.status != "complete":
            raise Conflict(f"The checkout session of run {run_id} is {found.status}; it cannot be refunded.")
        self._refunded.add((principal.organization.id, run_id))
        return await self.checkout(principal, run_id)
