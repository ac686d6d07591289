"""The front door of workflows in memory: for tests of what stands in front of it.

The interpreter is the real one, the ledger is the one that a test gives. Nodes that are decided at once are; a node
that would be performed waits for the test, which says `perform` or `fail`. Nothing wakes by itself: `now` steps runs
whose moment has come.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from gesta.access.model import Account, AccountType, Environment, Principal, Scope
from gesta.desk.reading import Reading
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from gesta.kernel.ids import IdSource, hex_id
from gesta.kernel.json import encode_json, encode_json_sorted
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import (
    Execution,
    Kind,
    Mode,
    Named,
    NewEvent,
    NewExecution,
    Outcome,
    RunDetail,
    Source,
    Status,
    Transition,
)
from gesta.testing.memory_definitions import MemoryDefinitions
from gesta.testing.memory_triggers import MemoryPayments, MemoryTriggers
from gesta.workflows.face import (
    BatchPage,
    RunView,
    Started,
    StartRun,
    Visibility,
    Workflows,
    WorkflowStatus,
    WorkflowView,
)
from gesta.workflows.graph.answers import check_answer
from gesta.workflows.graph.checking import check
from gesta.workflows.graph.definition import CONTAINERS, WAITS, Definition
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import (
    Event,
    Failed,
    Passed,
    Performed,
    Progress,
    StopAsked,
    Woken,
)
from gesta.workflows.graph.rounds import rounds_of
from gesta.workflows.graph.schemas import check_input
from gesta.workflows.graph.steps import begin, step, todo
from gesta.workflows.runs.again import from_failure, from_node
from gesta.workflows.runs.desk import MAX_ID, MOST_INPUT_BYTES
from gesta.workflows.runs.telling import STATUS_OF_OUTCOME, WORDS, detail_of, events_between

ORIGIN = "workflow"


class _Kept(msgspec.Struct):
    """A run as the double has it. `progress` None: it awaits its payment."""

    organization: int
    plan: Plan
    version: int
    workflow_id: str
    input: Any
    meta: dict[str, str]
    progress: Progress | None = None


class MemoryRuns:
    """`Runs`, over any ledger and any access."""

    def __init__(self, ledger: Any, access: Any, definitions: MemoryDefinitions, clock: Clock, ids: IdSource) -> None:
        self._ledger = ledger
        self._reading = Reading(ledger)
        self._access = access
        self._definitions = definitions
        self._clock = clock
        self._ids = ids
        self._kept: dict[tuple[int, str], _Kept] = {}
        self._keys: dict[tuple[int, str, str], tuple[str, bytes]] = {}

    # -- starting

    async def start(self, principal: Principal, request: StartRun) -> Started:
        principal.require(Scope.RUN)
        if request.definition is not None:
            check(request.definition)
            account = await self._account(principal.organization.id, principal, request)
            return await self._begin(principal.organization.id, account, None, 0, request.definition, request)
        view = await self._definitions.get(principal, request.workflow)
        return await self.start_view(view, request, principal)

    async def start_public(self, workflow: str, request: StartRun) -> Started:
        view = self._definitions.anywhere(workflow)
        if view is None or view.visibility in (Visibility.PRIVATE, Visibility.ORGANIZATION):
            raise NotFound(f"Workflow {workflow[:128]} not found.", what="workflow")
        if view.visibility is not Visibility.PUBLIC_EXECUTE:
            raise Forbidden("This workflow may be seen by everybody, but not be started.", workflow=workflow)
        return await self.start_view(view, request, None)

    async def start_view(self, view: WorkflowView, request: StartRun, principal: Principal | None) -> Started:
        if view.status is WorkflowStatus.ARCHIVED:
            raise Conflict(f"Workflow {view.id} is archived; nothing starts it.", workflow=view.id, problem="archived")
        version = request.version or view.published_version or (view.newest_version if request.drafts else None)
        if version is None:
            raise Conflict(f"Workflow {view.id} is not published; publish it first.", workflow=view.id)
        found = self._definitions.version_of(view, version)
        account = await self._account(view.organization, principal, request)
        return await self._begin(view.organization, account, view, version, found.definition, request)

    async def _account(self, organization: int, principal: Principal | None, request: StartRun) -> Account:
        if principal is not None and principal.account is not None:
            return principal.account
        own = None if principal is None else principal.environment
        wanted = own or Environment(request.environment or Environment.PRODUCTION)
        made: Account = await self._access.ensure_account(organization, "default", AccountType.LINKED, wanted)
        return made

    async def _begin(
        self,
        organization: int,
        account: Account,
        view: WorkflowView | None,
        version: int,
        definition: Definition,
        request: StartRun,
    ) -> Started:
        if definition.input_schema is not None:
            check_input(definition.input_schema, request.input)
        if len(encode_json(request.input)) > MOST_INPUT_BYTES:
            raise InvalidInput(f"The payload may have {MOST_INPUT_BYTES} bytes.", field="payload")
        workflow_id = "" if view is None else view.id
        if request.key is not None:
            content = hashlib.sha256(encode_json_sorted([request.input, dict(request.attributes)])).digest()
            known = self._keys.get((organization, workflow_id, request.key))
            if known is not None and known[1] != content:
                raise Conflict(
                    "This idempotency key was used for another execution; use a new one.", problem="idempotency"
                )
            if known is not None:
                return await self._started(organization, known[0], is_new=False)
        run_id = hex_id(self._ids, 24) if request.run_id is None else request.run_id
        if not 0 < len(run_id) <= MAX_ID or not run_id.isprintable() or "/" in run_id:
            raise InvalidInput(f"A run's id has 1 to {MAX_ID} printable characters and no slash.", field="runId")
        if (organization, run_id) in self._kept:
            raise Conflict(f"Run {run_id} exists.", run_id=run_id, problem="run_id_taken")
        if request.key is not None:
            self._keys[organization, workflow_id, request.key] = (run_id, content)
        plan, owed = Plan(definition), definition.price is not None and request.from_run is None
        kept = _Kept(
            organization=organization,
            plan=plan,
            version=version,
            workflow_id=workflow_id,
            input=request.input,
            meta={"run_id": run_id, "workflow_id": workflow_id, "account": account.name},
        )
        detail = _detail(view, request, version, owed=owed)
        row = NewExecution(
            id=run_id,
            account=account.id,
            origin=ORIGIN,
            name=request.name or f"Execution for workflow {workflow_id or run_id}",
            status=Status.AWAITING_PAYMENT if owed else Status.QUEUED,
            source=request.source,
            mode=request.mode,
            created_at_us=self._clock.now_us(),
            detail=detail,
            parent_id=None if request.parent is None else request.parent[0],
            correlation=_correlation(workflow_id, detail, request.correlation),
        )
        (result,) = await self._ledger.append(organization, [row])
        if result.outcome is not Outcome.RECORDED or result.id != run_id:
            raise Conflict(f"Run {run_id} exists.", run_id=run_id, problem="run_id_taken")
        self._kept[organization, run_id] = kept
        if not owed:
            await self._open(organization, run_id, request)
        return await self._started(organization, run_id, is_new=True)

    async def _open(self, organization: int, run_id: str, request: StartRun | None = None) -> None:
        kept, now_us = self._kept[organization, run_id], self._clock.now_us()
        old = None if request is None or request.from_node is None else self._kept[organization, request.from_run or ""]
        if old is not None and request is not None and old.progress is not None:
            progress = from_node(
                kept.plan, old.progress, request.from_node or "", input=kept.input, meta=kept.meta, at_us=now_us
            )
        else:
            progress = begin(kept.plan, input=kept.input, meta=kept.meta, at_us=now_us)
        await self._became(organization, run_id, progress)

    async def _started(self, organization: int, run_id: str, *, is_new: bool) -> Started:
        execution = await self._execution(organization, run_id)
        url = f"http://checkout.test/{run_id}" if execution.status is Status.AWAITING_PAYMENT else None
        token = _signed("client", organization, run_id)
        return Started(execution=execution, client_token=token, checkout_url=url, is_new=is_new)

    async def _execution(self, organization: int, run_id: str) -> Execution:
        found: Execution | None = await self._ledger.get(organization, run_id)
        if found is None:
            raise NotFound(f"Execution {run_id[:128]} not found.")
        return found

    # -- what a test lets happen

    async def perform(self, run_id: str, path: str, output: Any = None) -> None:
        """A node that is to be performed was, with this output."""
        await self._step(run_id, Performed(path=path, output=output, at_us=self._clock.now_us()))

    async def fail(self, run_id: str, path: str, error: str = "It broke.") -> None:
        """An attempt at a node failed for good."""
        await self._step(run_id, Failed(path=path, error=error, is_final=True, at_us=self._clock.now_us()))

    async def now(self, run_id: str) -> None:
        """What the run waited for until now has come."""
        await self._step(run_id, Passed(at_us=self._clock.now_us()))

    async def pay(self, run_id: str) -> None:
        """The checkout session of the run was paid."""
        organization = self._organization(run_id)
        execution = await self._execution(organization, run_id)
        detail = msgspec.structs.replace(_run_detail(execution), payment_status="paid")
        paid = NewEvent(type="execution.paid", title="Payment confirmed", at_us=self._clock.now_us())
        await self._ledger.transition(organization, run_id, Transition(event=paid, status=Status.PAID, detail=detail))
        await self._open(organization, run_id)

    def _organization(self, run_id: str) -> int:
        return next(organization for organization, id in self._kept if id == run_id)

    async def _step(self, run_id: str, event: Event) -> None:
        organization = self._organization(run_id)
        kept = self._kept[organization, run_id]
        assert kept.progress is not None, "the run awaits its payment"
        await self._became(organization, run_id, step(kept.plan, kept.progress, event))

    async def _became(self, organization: int, run_id: str, progress: Progress) -> None:
        kept = self._kept[organization, run_id]
        told = events_between(kept.plan, kept.progress, progress)
        kept.progress = progress
        execution = await self._execution(organization, run_id)
        if told:
            await self._ledger.note(organization, run_id, told)
        status = _status(progress)
        if execution.status not in (status, Status.RUNNING) and status is not Status.CANCELLED:
            event = NewEvent(type="execution.running", at_us=self._clock.now_us())
            execution = await self._ledger.transition(
                organization, run_id, Transition(event=event, status=Status.RUNNING)
            )
        detail = detail_of(kept.plan, progress, _run_detail(execution))
        changed = status if status is not execution.status else None
        kind = f"execution.{status.value}" if changed is not None else "execution.changed"
        event = NewEvent(type=kind, at_us=self._clock.now_us())
        await self._ledger.transition(organization, run_id, Transition(event=event, status=changed, detail=detail))

    # -- watching

    async def finished(self, principal: Principal, run_id: str, *, timeout_s: float) -> Execution | None:
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        while True:
            execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
            kept = self._kept.get((principal.organization.id, run_id))
            answered = kept is not None and kept.progress is not None and kept.progress.answer is not None
            if execution.status in TERMINAL or answered:
                return execution
            left_s = deadline_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                return None
            head = await self._reading.head(principal)
            await self._reading.wait(principal, after_seq=head, timeout_s=left_s)

    async def run(self, principal: Principal, run_id: str) -> RunView:
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        kept = self._row(execution)
        waits = {} if kept.progress is None else todo(kept.progress).waits
        return RunView(
            execution=execution,
            workflow_id=kept.workflow_id,
            version=kept.version,
            definition=kept.plan.definition,
            progress=kept.progress,
            waits={path: wait.kind.value for path, wait in waits.items()},
        )

    def _row(self, execution: Execution) -> _Kept:
        kept = self._kept.get((execution.organization, execution.id))
        if kept is None:
            raise Conflict(f"Run {execution.id} was recorded from elsewhere: this server does not carry it out.")
        return kept

    async def run_of_token(self, run_id: str, client_token: str) -> Execution:
        for organization, id in list(self._kept):
            expected = _signed("client", organization, id).encode()
            if id == run_id and hmac.compare_digest(expected, client_token.encode("utf-8", "replace")):
                return await self._execution(organization, id)
        raise Unauthenticated("The token is not this execution's.", reason="invalid")

    async def batches(
        self, principal: Principal, run_id: str, node: str, *, status: str = "", offset: int, limit: int
    ) -> BatchPage:
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        kept = self._row(execution)
        if node not in kept.plan.nodes:
            raise NotFound(f"Run {run_id} has no node {node[:128]}.", what="node")
        if kept.plan.nodes[node].type not in CONTAINERS:
            raise Conflict(f"Node {node} has no batches.", node=node)
        rounds = [] if kept.progress is None else rounds_of(kept.progress, node)
        rounds = [each for each in rounds if not status or WORDS[each[1].status] == status]
        return BatchPage(rounds=rounds[offset : offset + limit], total=len(rounds))

    # -- acting on

    async def stop(self, principal: Principal, run_id: str) -> Execution:
        principal.require(Scope.RUN)
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        if execution.status in TERMINAL:
            raise Conflict(f"Run {run_id} is over already.", run_id=run_id)
        kept = self._row(execution)
        if kept.progress is None:
            event = NewEvent(type="execution.cancelled", at_us=self._clock.now_us())
            change = Transition(event=event, status=Status.CANCELLED)
            await self._ledger.transition(execution.organization, run_id, change)
        else:
            asked = StopAsked(at_us=self._clock.now_us())
            await self._became(execution.organization, run_id, step(kept.plan, kept.progress, asked))
        return await self._execution(execution.organization, run_id)

    async def retry(self, principal: Principal, run_id: str) -> Execution:
        principal.require(Scope.RUN)
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        kept = self._row(execution)
        if execution.status not in TERMINAL or execution.status is Status.SUCCEEDED or kept.progress is None:
            raise Conflict(f"Run {run_id} is {execution.status}; only one that failed or was stopped is retried.")
        progress = from_failure(kept.plan, kept.progress, self._clock.now_us())
        await self._became(execution.organization, run_id, progress)
        return await self._execution(execution.organization, run_id)

    async def rerun(
        self,
        principal: Principal,
        run_id: str,
        *,
        input: Any = msgspec.UNSET,
        from_node: str | None = None,
        new_id: str | None = None,
    ) -> Started:
        principal.require(Scope.RUN)
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        kept = self._row(execution)
        request = StartRun(
            input=kept.input if input is msgspec.UNSET else input,
            mode=execution.mode,
            source=execution.source,
            from_run=run_id,
            from_node=from_node,
            run_id=new_id,
        )
        account = await self._account(execution.organization, principal, request)
        view = self._definitions.anywhere(kept.workflow_id)
        definition = kept.plan.definition
        return await self._begin(execution.organization, account, view, kept.version, definition, request)

    # -- waking

    async def resume(self, principal: Principal, run_id: str, node: str, payload: Any) -> bool:
        principal.require(Scope.RUN)
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        return await self._wake(execution, node, payload)

    async def resume_by_secret(self, run_id: str, node: str, secret: str, payload: Any) -> bool:
        found = [organization for organization, id in self._kept if id == run_id]
        if not found:
            raise NotFound(f"Run {run_id[:128]} not found.", what="run")
        for organization in found:
            if hmac.compare_digest(_signed("wait", organization, run_id).encode(), secret.encode("utf-8", "replace")):
                return await self._wake(await self._execution(organization, run_id), node, payload)
        raise Unauthenticated("The secret is not this run's.", reason="invalid")

    async def wait_secret(self, principal: Principal, run_id: str) -> str:
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        return _signed("wait", execution.organization, execution.id)

    async def _wake(self, execution: Execution, node: str, payload: Any) -> bool:
        kept = self._row(execution)
        if not kept.plan.has_place(node):
            raise NotFound(f"Run {execution.id} has no node {node[:128]}.", what="node")
        if kept.plan.nodes[node.rsplit("/", 1)[-1]].type not in WAITS:
            raise NotFound(f"Node {node[:128]} of run {execution.id} is one that never waits.", what="node")
        if kept.progress is None or node not in todo(kept.progress).waits:
            return False
        check_answer(kept.progress, node, payload)
        woken = Woken(path=node, payload=payload, at_us=self._clock.now_us())
        await self._became(execution.organization, execution.id, step(kept.plan, kept.progress, woken))
        return True


def _signed(purpose: str, organization: int, run_id: str) -> str:
    return hmac.new(b"memory", f"{purpose}:{organization}:{run_id}".encode(), "sha256").hexdigest()


def _status(progress: Progress) -> Status:
    if progress.outcome is not None:
        return STATUS_OF_OUTCOME[progress.outcome]
    return Status.RUNNING if todo(progress).performs else Status.WAITING


def _run_detail(execution: Execution) -> RunDetail:
    detail = execution.detail
    assert isinstance(detail, RunDetail)
    return detail


def _detail(view: WorkflowView | None, request: StartRun, version: int, *, owed: bool) -> RunDetail:
    said: dict[str, Any] = {
        "workflow": Named(id="" if view is None else view.id, name="" if view is None else view.name),
        "application": None if view is None else view.application,
        "request_payload": request.input,
        "idempotency_key": request.key,
        "payment_status": "unpaid" if owed else None,
        "workflow_version": version or None,
        "source_run_id": request.from_run,
    }
    return RunDetail(**{**said, **request.attributes})


def _correlation(workflow_id: str, detail: RunDetail, given: Mapping[str, str]) -> dict[str, str]:
    all_ = {"workflow_id": workflow_id, **given}
    all_ |= {"external_ref": detail.external_ref or "", "event_id": detail.event_id or ""}
    return {key: value for key, value in all_.items() if value}


class MemoryWorkflows:
    """The four parts, and the front door that they make: `face`."""

    def __init__(self, ledger: Any, access: Any, clock: Clock, ids: IdSource) -> None:
        self.definitions = MemoryDefinitions(clock, ids)
        self.runs = MemoryRuns(ledger, access, self.definitions, clock, ids)
        self.triggers = MemoryTriggers(self.definitions, self.start_triggered, clock, ids)
        self.payments = MemoryPayments(self.runs, clock)
        self.face = Workflows(
            definitions=self.definitions, runs=self.runs, triggers=self.triggers, payments=self.payments
        )

    async def start_triggered(self, view: WorkflowView, payload: Any, source: Source, key: str | None) -> Started:
        """A run that a trigger starts."""
        request = StartRun(workflow=view.id, input=payload, source=source, key=key, mode=Mode.ASYNC)
        return await self.runs.start_view(view, request, None)


__all__ = ["MemoryRuns", "MemoryWorkflows"]
