"""Jobs in memory: carried out before `create` answers, unless a test holds them with `is_held`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gesta.access.model import Principal, Scope
from gesta.kernel.clock import Clock
from gesta.kernel.errors import CallerError, Conflict, NotFound
from gesta.kernel.ids import IdSource, hex_id
from gesta.workflows.face import Runs
from gesta.workflows.jobs_face import JobAction, JobError, JobIn, JobStatus, JobView


class MemoryJobs:
    """`gesta.workflows.jobs_face.Jobs`."""

    def __init__(self, runs: Runs, clock: Clock, ids: IdSource) -> None:
        self._runs = runs
        self._clock = clock
        self._ids = ids
        self._jobs: dict[tuple[int, str], JobView] = {}
        self.is_held = False

    async def create(self, principal: Principal, job: JobIn) -> JobView:
        principal.require(Scope.RUN)
        now_us = self._clock.now_us()
        view = JobView(
            id=hex_id(self._ids, 24),
            organization=principal.organization.id,
            account=0 if principal.account is None else principal.account.id,
            action=job.action,
            status=JobStatus.RUNNING,
            total=len(job.runs),
            done=0,
            skipped=0,
            failed=0,
            created_at_us=now_us,
            updated_at_us=now_us,
            finished_at_us=None,
        )
        if not self.is_held:
            for run_id in job.runs:
                view = await self._act(principal, job, run_id, view)
            view = msgspec.structs.replace(view, status=JobStatus.FINISHED, finished_at_us=now_us)
        self._jobs[view.organization, view.id] = view
        return view

    async def _act(self, principal: Principal, job: JobIn, run_id: str, view: JobView) -> JobView:
        try:
            if job.action is JobAction.STOP:
                await self._runs.stop(principal, run_id)
            elif job.action is JobAction.RETRY:
                await self._runs.retry(principal, run_id)
            else:
                await self._runs.rerun(principal, run_id, input=job.input, from_node=job.from_node)
        except CallerError as error:
            told = JobError(run_id=run_id, code=error.code, message=error.message)
            return msgspec.structs.replace(view, failed=view.failed + 1, errors=(*view.errors, told))
        return msgspec.structs.replace(view, done=view.done + 1)

    async def get(self, principal: Principal, id: str) -> JobView:
        principal.require(Scope.READ)
        view = self._jobs.get((principal.organization.id, id))
        if view is None or (principal.account is not None and principal.account.id != view.account):
            raise NotFound(f"Job {id[:128]} not found.", what="job")
        return view

    async def list(self, principal: Principal, *, limit: int = 50) -> Sequence[JobView]:
        principal.require(Scope.READ)
        mine = [view for (owner, _), view in self._jobs.items() if owner == principal.organization.id]
        return mine[::-1][:limit]

    async def cancel(self, principal: Principal, id: str) -> JobView:
        principal.require(Scope.RUN)
        view = await self.get(principal, id)
        if view.finished_at_us is not None:
            raise Conflict(f"Job {id} is over already.", job_id=id)
        now_us = self._clock.now_us()
        ended = msgspec.structs.replace(view, status=JobStatus.CANCELLED, updated_at_us=now_us, finished_at_us=now_us)
        self._jobs[view.organization, id] = ended
        return ended
