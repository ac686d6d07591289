"""The front door of runs: started, watched, stopped, resumed, run again."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gesta.access.face import Access
from gesta.access.model import Account, AccountType, Environment, Organization, Principal, Scope
from gesta.desk.reading import Reading
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from gesta.kernel.ids import IdSource, hex_id
from gesta.ledger import appending
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Execution, Kind, Named, NewEvent, NewExecution, Outcome, RunDetail, Status
from gesta.storage.program import Database, Fetch, Op, Program
from gesta.workflows.definitions import rows as definitions
from gesta.workflows.definitions.rows import WorkflowRow
from gesta.workflows.face import (
    BatchPage,
    RunView,
    Started,
    StartRun,
    Visibility,
    WorkflowStatus,
)
from gesta.workflows.graph.answers import check_answer
from gesta.workflows.graph.checking import check
from gesta.workflows.graph.definition import CONTAINERS, WAITS
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import Progress, Woken
from gesta.workflows.graph.rounds import rounds_of
from gesta.workflows.graph.schemas import check_input
from gesta.workflows.graph.steps import begin, todo
from gesta.workflows.payments.face import Till
from gesta.workflows.payments.standing import is_paid
from gesta.workflows.runs import journal
from gesta.workflows.runs.again import from_failure, from_node
from gesta.workflows.runs.rows import SQL, Plans, RunRow, RunState, encoder, get, run_of, sorted_encoder
from gesta.workflows.runs.service import RunService
from gesta.workflows.runs.telling import WORDS, detail_of, shown

ORIGIN = "workflow"
RUN_ID_DIGITS = 24
MOST_INPUT_BYTES = 8 * 1024 * 1024
MAX_ID = 128
MAX_KEY = 256
FOR_CLIENTS = "workflows.client_token"
FOR_WAITS = "workflows.wait_secret"
# What an attribute of a request may be.
_DETAIL_FIELDS = frozenset(RunDetail.__struct_fields__)


class RunDesk:
    def __init__(
        self,
        *,
        database: Database,
        reading: Reading,
        access: Access,
        clock: Clock,
        ids: IdSource,
        plans: Plans,
        service: RunService,
        payments: Till | None = None,
    ) -> None:
        self._database = database
        self._reading = reading
        self._access = access
        self._clock = clock
        self._ids = ids
        self._plans = plans
        self._service = service
        self._payments = payments

    # -- starting

    async def start(self, principal: Principal, request: StartRun) -> Started:
        principal.require(Scope.RUN)
        if request.definition is not None:
            account = await self._account(principal, request.environment)
            await asyncio.to_thread(check, request.definition)
            plan = Plan(request.definition)
            return await self._begin(principal.organization, account, None, 0, plan, request, principal)
        workflow = await self._workflow(principal, request.workflow)
        account = await self._account(principal, request.environment)
        if workflow.view.account not in (0, account.id):
            if principal.account is not None:
                raise Forbidden("The workflow is private to another linked account.", workflow=workflow.view.id)
            account = await self._account_of(workflow)
        version, plan = await self._version(workflow, request)
        return await self._begin(principal.organization, account, workflow, version, plan, request, principal)

    async def start_public(self, workflow: str, request: StartRun) -> Started:
        found = await self._database.read(lambda: definitions.find_anywhere(workflow), snapshot=False)
        if found is None or found.view.visibility in (Visibility.PRIVATE, Visibility.ORGANIZATION):
            raise NotFound(f"Workflow {workflow[:128]} not found.", what="workflow")
        if found.view.visibility is not Visibility.PUBLIC_EXECUTE:
            raise Forbidden("This workflow may be seen by everybody, but not be started.", workflow=workflow)
        return await self.start_workflow(found, request)

    async def start_workflow(self, workflow: WorkflowRow, request: StartRun) -> Started:
        """Without a caller: for triggers, which were checked when they were set up."""
        version, plan = await self._version(workflow, request)
        organizations = await self._access.organizations()
        organization = next(each for each in organizations if each.id == workflow.view.organization)
        account = await self._account_of(workflow)
        return await self._begin(organization, account, workflow, version, plan, request, None)

    async def _workflow(self, principal: Principal, word: str) -> WorkflowRow:
        organization = principal.organization.id
        found = await self._database.read(lambda: definitions.find(organization, word), snapshot=False)
        if found is None:
            raise NotFound(f"Workflow {word[:128]} not found.", what="workflow")
        return found

    async def _version(self, workflow: WorkflowRow, request: StartRun) -> tuple[int, Plan]:
        view = workflow.view
        if view.status is WorkflowStatus.ARCHIVED:
            raise Conflict(f"Workflow {view.id} is archived; nothing starts it.", workflow=view.id, problem="archived")
        version = request.version
        if version is None:
            version = view.published_version
        if version is None and request.drafts:
            version = view.newest_version
        if version is None:
            raise Conflict(f"Workflow {view.id} is not published; publish it first.", workflow=view.id)
        wanted = version
        row = await self._database.read(lambda: definitions.version(workflow.number, wanted), snapshot=False)
        if row is None:
            raise NotFound(f"Workflow {view.id} has no version {wanted}.", what="version")
        return wanted, self._plans.made((workflow.number, wanted, b""), row.definition)

    async def _account(self, principal: Principal, environment: str) -> Account:
        """The caller's own account, or the organization's oldest linked account of the environment."""
        if principal.account is not None:
            return principal.account
        wanted = principal.environment or Environment(environment or Environment.PRODUCTION)
        organization = principal.organization.id
        oldest = await self._access.oldest_account(organization, AccountType.LINKED, wanted)
        if oldest is not None:
            return oldest
        return await self._access.ensure_account(
            organization, "default", AccountType.LINKED, wanted, actor=principal.identity_name
        )

    async def _account_of(self, workflow: WorkflowRow) -> Account:
        view = workflow.view
        if view.account:
            found = await self._access.account_by_id(view.organization, view.account)
            if found is not None:
                return found
        for environment in Environment:
            oldest = await self._access.oldest_account(view.organization, AccountType.LINKED, environment)
            if oldest is not None:
                return oldest
        return await self._access.ensure_account(view.organization, "default", AccountType.LINKED)

    async def _begin(
        self,
        organization: Organization,
        account: Account,
        workflow: WorkflowRow | None,
        version: int,
        plan: Plan,
        request: StartRun,
        principal: Principal | None,
    ) -> Started:
        if plan.definition.input_schema is not None:
            # A schema may take long, and others have not asked for it.
            await asyncio.to_thread(check_input, plan.definition.input_schema, request.input)
        if len(encoder.encode(request.input)) > MOST_INPUT_BYTES:
            raise InvalidInput(f"The payload may have {MOST_INPUT_BYTES} bytes.", field="payload")
        number = 0 if workflow is None else workflow.number
        content = _content(request, version)
        if request.key is not None:
            known = await self._known(organization, number, request.key, content)
            if known is not None:
                return known
        self._service.check()
        run_id = self._run_id(request)
        now_us = self._clock.now_us()
        asked = (organization, account, workflow, version, plan, request, run_id, now_us, principal)
        run, row = await asyncio.to_thread(self._rows, *asked) if plan.may_take_long else self._rows(*asked)
        if self._service.hands_over and run.state == RunState.DUE:
            run = self._service.own(run)
            row = msgspec.structs.replace(row, status=Status.RUNNING, started_at_us=now_us)
        key = None if request.key is None else journal.Key(number, request.key, content)
        also: Sequence[Op] = ()
        price = plan.definition.price
        if run.state == RunState.UNPAID and price is not None and self._payments is not None:
            title = row.name if workflow is None else workflow.view.name
            also = self._payments.opens(run, title, price, request, now_us)
        try:
            result, changed = await self._database.write(
                lambda: journal.born(run, appending.encode(row), plan, key, now_us, also=also), key=organization.id
            )
        except journal.Known as known:
            return await self._repeated(organization, known.run_id, known.content, content)
        if result.outcome is not Outcome.RECORDED or result.id != run_id:
            raise Conflict(f"Run {run_id} exists.", run_id=run_id, problem="run_id_taken")
        if run.state == RunState.RUNNING:
            self._service.hand(run, plan)
        await self._service.changed(run.organization, changed)
        return await self._started(organization, run_id, is_new=True, made=changed.made)

    def _rows(
        self,
        organization: Organization,
        account: Account,
        workflow: WorkflowRow | None,
        version: int,
        plan: Plan,
        request: StartRun,
        run_id: str,
        now_us: int,
        principal: Principal | None,
    ) -> tuple[RunRow, NewExecution]:
        view = None if workflow is None else workflow.view
        workflow_id = "" if view is None else view.id
        meta = {
            "run_id": run_id,
            "workflow_id": workflow_id,
            "account": account.name,
            "environment": account.environment.value,
            "organization": organization.public_id,
        }
        owed = plan.definition.price is not None and request.from_run is None
        # Its caller does not wait for that: it begins with its first segment.
        begins_later = plan.may_take_very_long and not owed
        if owed or begins_later:
            progress = Progress(input=request.input, meta=meta, begun_at_us=now_us)
        else:
            progress = begin(plan, input=request.input, meta=meta, at_us=now_us)
        run = RunRow(
            organization=organization.id,
            id=run_id,
            account=account.id,
            workflow=0 if workflow is None else workflow.number,
            version=version,
            definition=plan.definition if workflow is None else None,
            state=RunState.UNPAID if owed else RunState.DUE if begins_later else _state(progress),
            segment=1,
            fence=0,
            wave=0,
            owner="",
            stop_asked=False,
            wake_at_us=None if owed else todo(progress).next_us,
            parent=request.parent,
            progress=progress,
            created_at_us=now_us,
            updated_at_us=now_us,
        )
        detail = _detail(workflow_id, view.name if view is not None else "", version, request, principal)
        if view is not None and view.application is not None:
            detail = msgspec.structs.replace(detail, application=view.application)
        if owed:
            detail = msgspec.structs.replace(detail, payment_status="unpaid", order_id=None, checkout_session_id=None)
        correlation = {"workflow_id": workflow_id, **request.correlation}
        for word in ("external_ref", "event_id"):
            value = getattr(detail, word)
            if isinstance(value, str):
                correlation[word] = value
        row = NewExecution(
            id=run_id,
            account=account.id,
            origin=ORIGIN,
            name=request.name or f"Execution for workflow {workflow_id or run_id}",
            status=Status.AWAITING_PAYMENT if owed else Status.QUEUED,
            source=request.source,
            mode=request.mode,
            created_at_us=now_us,
            detail=detail_of(plan, progress, detail) if not owed else detail,
            parent_id=None if request.parent is None else request.parent[0],
            correlation={key: value for key, value in correlation.items() if value},
        )
        return run, row

    def _run_id(self, request: StartRun) -> str:
        wanted = request.run_id
        if wanted is None:
            return hex_id(self._ids, RUN_ID_DIGITS)
        if not 0 < len(wanted) <= MAX_ID or not wanted.isprintable() or "/" in wanted:
            raise InvalidInput(f"A run's id has 1 to {MAX_ID} printable characters and no slash.", field="runId")
        return wanted

    async def _known(self, organization: Organization, workflow: int, key: str, content: bytes) -> Started | None:
        """The run that the key made before. Raises Conflict if it was another request."""
        if not 0 < len(key) <= MAX_KEY or not key.isprintable():
            raise InvalidInput(f"An idempotency key has 1 to {MAX_KEY} printable characters.", field="idempotencyKey")
        found = await self._database.read(lambda: _key(organization.id, workflow, key), snapshot=False)
        if found is None:
            return None
        return await self._repeated(organization, *found, content)

    async def _repeated(self, organization: Organization, run_id: str, known: bytes, content: bytes) -> Started:
        if known != content:
            raise Conflict(
                "This idempotency key was used for another execution; use a new one.",
                run_id=run_id,
                problem="idempotency",
            )
        return await self._started(organization, run_id, is_new=False)

    async def _started(
        self, organization: Organization, run_id: str, *, is_new: bool, made: Execution | None = None
    ) -> Started:
        execution = made or await self._execution(organization.id, run_id)
        url = None
        if execution.status is Status.AWAITING_PAYMENT and self._payments is not None:
            url = await self._payments.opened(organization.id, run_id)
            execution = await self._execution(organization.id, run_id)
        token = await self._sign(FOR_CLIENTS, organization.id, run_id)
        return Started(execution=execution, client_token=token, checkout_url=url, is_new=is_new)

    async def _execution(self, organization: int, run_id: str) -> Execution:
        found = await self._service.ledger.get(organization, run_id)
        if found is None:
            raise NotFound(f"Execution {run_id[:128]} not found.")
        return found

    # -- watching

    async def finished(self, principal: Principal, run_id: str, *, timeout_s: float) -> Execution | None:
        organization = principal.organization.id
        return await self._service.finished(
            organization, run_id, timeout_s, lambda: self._reading.get(principal, run_id, kind=Kind.RUN)
        )

    async def run(self, principal: Principal, run_id: str) -> RunView:
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        row, plan = await self._row(execution)
        workflow = "" if not isinstance(execution.detail, RunDetail) else execution.detail.workflow.id
        return RunView(
            execution=execution,
            workflow_id=workflow,
            version=row.version,
            definition=plan.definition,
            progress=row.progress,
            waits={path: wait.kind.value for path, wait in todo(row.progress).waits.items()},
        )

    async def _row(self, execution: Execution) -> tuple[RunRow, Plan]:
        row = await self._database.read(lambda: get(execution.organization, execution.id), snapshot=False)
        if row is None:
            raise Conflict(
                f"Run {execution.id} was recorded from elsewhere: this server does not carry it out.",
                run_id=execution.id,
            )
        return row, await self._database.read(lambda: self._plans.of(row), snapshot=False)

    async def run_of_token(self, run_id: str, client_token: str) -> Execution:
        rows = await self._database.read(lambda: _of_id(run_id), snapshot=False)
        for row in rows:
            expected = await self._sign(FOR_CLIENTS, row.organization, row.id)
            if hmac.compare_digest(expected.encode(), client_token.encode("utf-8", "replace")):
                return await self._execution(row.organization, row.id)
        raise Unauthenticated("The token is not this execution's.", reason="invalid")

    async def batches(
        self, principal: Principal, run_id: str, node: str, *, status: str = "", offset: int, limit: int
    ) -> BatchPage:
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        row, plan = await self._row(execution)
        found = plan.nodes.get(node.rsplit("/", 1)[-1])
        if found is None:
            raise NotFound(f"Run {run_id} has no node {node[:128]}.", what="node")
        if found.type not in CONTAINERS:
            raise Conflict(f"Node {node} has no batches.", node=node)
        rounds = rounds_of(row.progress, node)
        if status:
            rounds = [each for each in rounds if WORDS[each[1].status] == status]
        return BatchPage(rounds=rounds[offset : offset + limit], total=len(rounds))

    # -- acting on

    async def stop(self, principal: Principal, run_id: str) -> Execution:
        principal.require(Scope.RUN)
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        if execution.status in TERMINAL:
            raise Conflict(f"Run {run_id} is over already.", run_id=run_id, status=execution.status.value)
        await self._row(execution)
        by = {"identity": principal.identity_name, "credential": principal.credential_id}
        await self._service.stop_run(execution.organization, run_id, by)
        return await self._execution(execution.organization, run_id)

    async def retry(self, principal: Principal, run_id: str) -> Execution:
        principal.require(Scope.RUN)
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        row, plan = await self._row(execution)
        if execution.status not in TERMINAL or execution.status is Status.SUCCEEDED:
            raise Conflict(
                f"Run {run_id} is {execution.status}; only one that failed, was stopped or timed out is retried.",
                run_id=run_id,
                status=execution.status.value,
            )
        _check_was_paid(execution)
        now_us = self._clock.now_us()
        progress = from_failure(plan, row.progress, now_us)
        event = NewEvent(type="run.retried", title="Retried", at_us=now_us, data={"by": principal.identity_name})
        changed = await self._database.write(
            lambda: journal.again(execution.organization, run_id, progress, self._plans, now_us, event),
            key=execution.organization,
        )
        await self._service.changed(execution.organization, changed)
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
        row, plan = await self._row(execution)
        _check_was_paid(execution)
        payload = row.progress.input if input is msgspec.UNSET else input
        request = StartRun(
            input=payload,
            source=execution.source,
            mode=execution.mode,
            run_id=new_id,
            name=f"Retry for workflow {row.progress.meta.get('workflow_id') or run_id}",
            from_run=run_id,
            from_node=from_node,
            attributes=_carried(execution),
        )
        workflow = None
        if row.workflow:
            workflow = await self._database.read(lambda: definitions.find_number(row.workflow), snapshot=False)
        account = await self._access.account_by_id(execution.organization, execution.account)
        assert account is not None
        if from_node is not None:
            return await self._rerun_from(principal, account, workflow, row, plan, request, from_node)
        return await self._begin(principal.organization, account, workflow, row.version, plan, request, principal)

    async def _rerun_from(
        self,
        principal: Principal,
        account: Account,
        workflow: WorkflowRow | None,
        old: RunRow,
        plan: Plan,
        request: StartRun,
        node: str,
    ) -> Started:
        """A new run that has done already what the old one did before the node."""
        now_us, run_id = self._clock.now_us(), self._run_id(request)
        run, row = self._rows(
            principal.organization, account, workflow, old.version, plan, request, run_id, now_us, principal
        )
        progress = from_node(plan, old.progress, node, input=request.input, meta=run.progress.meta, at_us=now_us)
        run = msgspec.structs.replace(run, progress=progress, state=_state(progress), wake_at_us=todo(progress).next_us)
        result, changed = await self._database.write(
            lambda: journal.born(run, appending.encode(row), plan, None, now_us), key=principal.organization.id
        )
        if result.outcome is not Outcome.RECORDED:
            raise Conflict(f"Run {run_id} exists.", run_id=run_id, problem="run_id_taken")
        await self._service.changed(run.organization, changed)
        return await self._started(principal.organization, run_id, is_new=True)

    # -- waking

    async def resume(self, principal: Principal, run_id: str, node: str, payload: Any) -> bool:
        principal.require(Scope.RUN)
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        await self._check_waits(execution, node, payload)
        return await self._service.wake(execution.organization, run_id, self._woken(node, payload))

    async def resume_by_secret(self, run_id: str, node: str, secret: str, payload: Any) -> bool:
        rows = await self._database.read(lambda: _of_id(run_id), snapshot=False)
        for row in rows:
            expected = await self._sign(FOR_WAITS, row.organization, row.id)
            if hmac.compare_digest(expected.encode(), secret.encode("utf-8", "replace")):
                await self._check_waits(await self._execution(row.organization, row.id), node, payload)
                return await self._service.wake(row.organization, row.id, self._woken(node, payload))
        if not rows:
            raise NotFound(f"Run {run_id[:128]} not found.", what="run")
        raise Unauthenticated("The secret is not this run's.", reason="invalid")

    async def wait_secret(self, principal: Principal, run_id: str) -> str:
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        return await self._sign(FOR_WAITS, execution.organization, execution.id)

    async def _check_waits(self, execution: Execution, node: str, payload: Any) -> None:
        row, plan = await self._row(execution)
        if not plan.has_place(node):
            raise NotFound(f"Run {execution.id} has no node {node[:128]}.", what="node")
        if plan.nodes[node.rsplit("/", 1)[-1]].type not in WAITS:
            raise NotFound(f"Node {node[:128]} of run {execution.id} is one that never waits.", what="node")
        await asyncio.to_thread(check_answer, row.progress, node, payload)

    def _woken(self, node: str, payload: Any) -> Woken:
        return Woken(path=node, payload=payload, at_us=self._clock.now_us())

    async def _sign(self, purpose: str, organization: int, run_id: str) -> str:
        key = await self._access.derived_key(purpose)
        return hmac.new(key, f"{organization}:{run_id}".encode(), "sha256").hexdigest()


def _state(progress: Progress) -> str:
    if progress.is_over:
        return RunState.OVER
    return RunState.DUE if todo(progress).performs else RunState.PARKED


def _detail(workflow_id: str, name: str, version: int, request: StartRun, principal: Principal | None) -> RunDetail:
    attributes = {key: value for key, value in request.attributes.items() if key in _DETAIL_FIELDS}
    said: dict[str, Any] = {
        "workflow": Named(id=workflow_id, name=name),
        "request_payload": shown(request.input),
        "idempotency_key": request.key,
        "initiated_by_type": "user" if principal is not None else "system",
        "initiated_by_id": None if principal is None else principal.identity_name,
        "workflow_version": version or None,
        "source_run_id": request.from_run,
    }
    return RunDetail(**{**said, **attributes})


def _carried(execution: Execution) -> Mapping[str, Any]:
    """What a run again says as the first one did."""
    detail = execution.detail
    if not isinstance(detail, RunDetail):
        return {}
    words = ("application", "trigger_application", "config_id", "event_id", "external_ref", "source_system")
    return {word: value for word in words if (value := getattr(detail, word)) is not None}


def _check_was_paid(execution: Execution) -> None:
    """What was never paid, or paid back, is not run for nothing."""
    detail = execution.detail
    if isinstance(detail, RunDetail) and not is_paid(detail):
        raise Conflict(
            f"Run {execution.id} is not paid ({detail.payment_status}); start a new execution.", run_id=execution.id
        )


def _content(request: StartRun, version: int) -> bytes:
    """What two requests with one key must agree in."""
    said = {"input": request.input, "version": request.version and version, "attributes": dict(request.attributes)}
    return hashlib.sha256(sorted_encoder.encode(said)).digest()


def _key(organization: int, workflow: int, key: str) -> Program[tuple[str, bytes] | None]:
    rows = yield Fetch(SQL["key.get"], (organization, workflow, key))
    return (rows[0][0], bytes(rows[0][1])) if rows else None


def _of_id(run_id: str) -> Program[list[RunRow]]:
    rows = yield Fetch(SQL["run.of_id"], (run_id,))
    return [run_of(row) for row in rows]
