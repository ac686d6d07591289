"""The front door of jobs, and what carries them out: a few runs at a time, each part on record before the next.

A job that its process leaves behind, by a kill or at its end, goes on where it had come to: at the next start of the
same process, or in another one once nobody has looked after it for LEFT_S. What was done of the last part is asked for
again, and changes nothing the second time: there is nothing to stop or to retry any more, and a new run has an id that
follows from the job.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import msgspec
import structlog

from gesta.access.face import Access
from gesta.access.model import Environment, Principal, Scope
from gesta.kernel.clock import Clock
from gesta.kernel.errors import CallerError, Conflict, GestaError, InvalidInput
from gesta.kernel.ids import IdSource, hex_id
from gesta.storage.program import Database, Fetch, Program, Row
from gesta.workflows.bulk import rows
from gesta.workflows.bulk.rows import SQL, JobRow, Request, view_of
from gesta.workflows.face import Runs
from gesta.workflows.jobs_face import MOST_ERRORS, MOST_RUNS, JobAction, JobError, JobIn, JobStatus, JobView
from gesta.workflows.runs.rows import encoder

JOB_ID_DIGITS = 24
RUN_ID_DIGITS = 24
AT_ONCE = 20
LOOK_S = 10.0
LEFT_S = 60.0
MOST_PAGE = 200
MOST_INPUT_BYTES = 1024 * 1024
US = 1_000_000

log = structlog.get_logger("gesta.workflows")


class JobDesk:
    """`gesta.workflows.jobs_face.Jobs`. Start it twice, stop it twice, or stop it unstarted: nothing happens twice."""

    def __init__(
        self, *, database: Database, access: Access, clock: Clock, ids: IdSource, runs: Runs, owner: str
    ) -> None:
        self._database = database
        self._access = access
        self._clock = clock
        self._ids = ids
        self._runs = runs
        self._owner = owner
        self._sweeper: asyncio.Task[None] | None = None
        self._tasks: dict[tuple[int, str], asyncio.Task[None]] = {}

    # -- the front door

    async def create(self, principal: Principal, job: JobIn) -> JobView:
        principal.require(Scope.RUN)
        if len(job.runs) > MOST_RUNS:
            raise InvalidInput(f"A job has at most {MOST_RUNS} runs, and these are {len(job.runs)}.", field="filter")
        is_said = job.input is not msgspec.UNSET
        if job.action is not JobAction.RERUN and (is_said or job.from_node is not None):
            raise InvalidInput("Only a `rerun` takes another `input` or `from_node`.", field="action")
        if is_said and len(encoder.encode(job.input)) > MOST_INPUT_BYTES:
            raise InvalidInput(f"The payload of a job may have {MOST_INPUT_BYTES} bytes.", field="input")
        now_us = self._clock.now_us()
        runs = tuple(dict.fromkeys(job.runs))
        made = JobRow(
            organization=principal.organization.id,
            id=hex_id(self._ids, JOB_ID_DIGITS),
            account=0 if principal.account is None else principal.account.id,
            request=Request(
                action=job.action,
                input=job.input,
                from_node=job.from_node,
                environment="" if principal.environment is None else principal.environment.value,
                identity=principal.identity_name,
            ),
            status=JobStatus.RUNNING if runs else JobStatus.FINISHED,
            total=len(runs),
            owner=self._owner,
            created_at_us=now_us,
            updated_at_us=now_us,
            finished_at_us=None if runs else now_us,
        )
        await self._database.write(lambda: rows.added(made, runs, self._look_at_us()), key=made.organization)
        if runs:
            self._begin(made)
        return view_of(made)

    async def get(self, principal: Principal, id: str) -> JobView:
        principal.require(Scope.READ)
        organization, account = principal.organization.id, _account(principal)
        return view_of(await self._database.read(lambda: rows.find(organization, account, id), snapshot=False))

    async def list(self, principal: Principal, *, limit: int = 50) -> Sequence[JobView]:
        principal.require(Scope.READ)
        organization, account = principal.organization.id, _account(principal)
        most = max(0, min(limit, MOST_PAGE))
        found = await self._database.read(lambda: rows.listed(organization, account, most), snapshot=False)
        return [view_of(job) for job in found]

    async def cancel(self, principal: Principal, id: str) -> JobView:
        principal.require(Scope.RUN)
        organization, account, now_us = principal.organization.id, _account(principal), self._clock.now_us()
        job = await self._database.write(lambda: rows.stopped(organization, account, id, now_us), key=organization)
        return view_of(job)

    # -- life

    async def start(self) -> None:
        """Go on with what this process had when it ended."""
        if self._sweeper is None:
            await self._take_up(await self._read("job.owned", (self._owner,)))
            self._sweeper = asyncio.create_task(self._sweep(), name="jobs")

    async def stop(self) -> None:
        """What is under way goes on at the next start."""
        sweeper, self._sweeper = self._sweeper, None
        tasks = [*self._tasks.values(), *([sweeper] if sweeper is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._take_up(await self._read("job.left", (self._clock.now_us(), AT_ONCE)))
            except GestaError as error:
                log.warning("workflows.jobs", error=error.message)
            except Exception:
                # It must outlive a defect that one job shows.
                log.exception("workflows.jobs_failed")

    async def _take_up(self, left: Sequence[Row]) -> None:
        for organization, id, fence in left:
            if (organization, id) in self._tasks:
                continue
            job = await self._database.write(
                lambda organization=organization, id=id, fence=fence: rows.claimed(  # type: ignore[misc]
                    organization, id, fence, self._owner, self._look_at_us()
                ),
                key=organization,
            )
            if job is not None:
                self._begin(job)

    def _begin(self, job: JobRow) -> None:
        key = (job.organization, job.id)
        task = asyncio.create_task(self._carry(job), name=f"job {job.id}")
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    # -- carrying out

    async def _carry(self, job: JobRow) -> None:
        try:
            principal = await self._principal(job)
            runs = await self._database.read(lambda: rows.runs_of(job.organization, job.id), snapshot=False)
            is_mine = True
            while is_mine and job.position < job.total:
                part = runs[job.position : job.position + AT_ONCE]
                outcomes = await asyncio.gather(*(self._act(principal, job, run_id) for run_id in part))
                job = self._counted(job, outcomes)
                is_over = job.position >= job.total
                at_us = None if is_over else self._look_at_us()
                is_mine = await self._database.write(
                    lambda job=job, at_us=at_us: rows.put(job, at_us),  # type: ignore[misc]
                    key=job.organization,
                )
        except GestaError as error:
            # The database or the engine is out of reach: whoever looks next goes on.
            log.warning("workflows.job_interrupted", job=job.id, error=error.message)
        except Exception:
            log.exception("workflows.job_failed", job=job.id)

    async def _act(self, principal: Principal | None, job: JobRow, run_id: str) -> JobError | str:
        """`done`, `skipped`, or why not. What is not the caller's fault is raised: it is tried again."""
        if principal is None:
            return JobError(run_id=run_id, code="not_found", message="The account of this job does not exist any more.")
        asked = job.request
        try:
            match asked.action:
                case JobAction.STOP:
                    await self._runs.stop(principal, run_id)
                case JobAction.RETRY:
                    await self._runs.retry(principal, run_id)
                case JobAction.RERUN:
                    await self._runs.rerun(
                        principal,
                        run_id,
                        input=asked.input,
                        from_node=asked.from_node,
                        new_id=_new_id(job, run_id),
                    )
        except Conflict as error:
            if asked.action is not JobAction.RERUN and "status" in error.details:
                return "skipped"
            if asked.action is JobAction.RERUN and error.details.get("problem") == "run_id_taken":
                return "done"
            return JobError(run_id=run_id, code=error.code, message=error.message)
        except CallerError as error:
            return JobError(run_id=run_id, code=error.code, message=error.message)
        return "done"

    def _counted(self, job: JobRow, outcomes: Sequence[JobError | str]) -> JobRow:
        errors = [each for each in outcomes if isinstance(each, JobError)]
        position, now_us = job.position + len(outcomes), self._clock.now_us()
        is_over = position >= job.total
        return msgspec.structs.replace(
            job,
            status=JobStatus.FINISHED if is_over else JobStatus.RUNNING,
            position=position,
            done=job.done + outcomes.count("done"),
            skipped=job.skipped + outcomes.count("skipped"),
            failed=job.failed + len(errors),
            errors=(*job.errors, *errors)[:MOST_ERRORS],
            updated_at_us=now_us,
            finished_at_us=now_us if is_over else None,
        )

    async def _principal(self, job: JobRow) -> Principal | None:
        """The caller once more, without a credential; None where there is no such organization or account."""
        organizations = {each.id: each for each in await self._access.organizations()}
        account = await self._access.account_by_id(job.organization, job.account) if job.account else None
        if job.organization not in organizations or (job.account and account is None):
            return None
        asked = job.request
        return Principal(
            organization=organizations[job.organization],
            identity_id=0,
            identity_name=asked.identity,
            credential_id=0,
            scopes=frozenset({Scope.RUN}),
            account=account,
            environment=Environment(asked.environment) if asked.environment else None,
        )

    def _look_at_us(self) -> int:
        return self._clock.now_us() + int(LEFT_S * US)

    async def _read(self, statement: str, parameters: tuple[object, ...]) -> Sequence[Row]:
        def program() -> Program[Sequence[Row]]:
            return (yield Fetch(SQL[statement], parameters))

        return await self._database.read(program, snapshot=False)


def _account(principal: Principal) -> int:
    """Whose jobs a caller sees; -1: all of the organization's."""
    return -1 if principal.account is None else principal.account.id


def _new_id(job: JobRow, run_id: str) -> str:
    """The same for the same run of the same job, however often it is asked for."""
    return hashlib.sha256(f"{job.id}\t{run_id}".encode()).hexdigest()[:RUN_ID_DIGITS]
