"""The rows of jobs, and the transactions that change them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gesta.kernel.errors import Conflict, NotFound
from gesta.storage.program import Fetch, Program, Row, Statement, load
from gesta.workflows.jobs_face import JobAction, JobError, JobStatus, JobView
from gesta.workflows.runs.rows import encoder

SQL: dict[str, Statement] = load("gesta.workflows.sql", "bulk.sql")

MOST_OPEN: Final = 4
KEEPS_US: Final = 30 * 86_400 * 1_000_000


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a job does, and on whose behalf: a caller's reach outlives its process."""

    action: JobAction
    input: Any = msgspec.UNSET
    from_node: str | None = None
    environment: str = ""
    identity: str = ""


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is on disk; the runs themselves are read apart."""

    organization: int
    id: str
    account: int
    request: Request
    status: JobStatus
    total: int
    position: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    errors: tuple[JobError, ...] = ()
    owner: str
    fence: int = 1
    created_at_us: int
    updated_at_us: int
    finished_at_us: int | None = None


_request_decoder = msgspec.json.Decoder(Request)
_errors_decoder = msgspec.json.Decoder(tuple[JobError, ...])
_runs_decoder = msgspec.json.Decoder(tuple[str, ...])


def job_of(row: Row) -> JobRow:
    return JobRow(
        organization=row[0],
        id=row[1],
        account=row[2],
        request=_request_decoder.decode(bytes(row[3])),
        status=JobStatus(row[4]),
        total=row[5],
        position=row[6],
        done=row[7],
        skipped=row[8],
        failed=row[9],
        errors=_errors_decoder.decode(bytes(row[10])),
        owner=row[11],
        fence=row[12],
        created_at_us=row[13],
        updated_at_us=row[14],
        finished_at_us=row[15],
    )


def view_of(job: JobRow) -> JobView:
    return JobView(
        id=job.id,
        organization=job.organization,
        account=job.account,
        action=job.request.action,
        status=job.status,
        total=job.total,
        done=job.done,
        skipped=job.skipped,
        failed=job.failed,
        errors=job.errors,
        created_at_us=job.created_at_us,
        updated_at_us=job.updated_at_us,
        finished_at_us=job.finished_at_us,
    )


def added(job: JobRow, runs: Sequence[str], look_at_us: int) -> Program[None]:
    """Raises Conflict where an organization has as many under way as it may. What ended long ago is forgotten."""
    yield Fetch(SQL["job.expire"], (job.organization, job.created_at_us - KEEPS_US))
    ((count,),) = yield Fetch(SQL["job.open_count"], (job.organization,))
    if count >= MOST_OPEN:
        raise Conflict(f"{count} jobs are under way; wait for one of them to end, or cancel it.")
    is_over = job.finished_at_us is not None
    yield Fetch(
        SQL["job.add"],
        (
            job.organization,
            job.id,
            job.account,
            encoder.encode(job.request),
            encoder.encode(list(runs)),
            job.status.value,
            job.total,
            encoder.encode(job.errors),
            job.owner,
            job.fence,
            None if is_over else look_at_us,
            job.created_at_us,
            job.finished_at_us,
        ),
    )


def put(job: JobRow, look_at_us: int | None) -> Program[bool]:
    """False: it is another's now, or cancelled. What was done of a cancelled one until then is counted still."""
    rows = yield Fetch(
        SQL["job.put"],
        (
            job.organization,
            job.id,
            job.fence,
            job.status.value,
            job.position,
            job.done,
            job.skipped,
            job.failed,
            encoder.encode(job.errors),
            look_at_us,
            job.updated_at_us,
            job.finished_at_us,
        ),
    )
    if not rows:
        counts = (job.position, job.done, job.skipped, job.failed, encoder.encode(job.errors), job.updated_at_us)
        yield Fetch(SQL["job.count"], (job.organization, job.id, job.fence, *counts))
    return bool(rows)


def claimed(organization: int, id: str, fence: int, owner: str, look_at_us: int) -> Program[JobRow | None]:
    """None: another process was faster, or it is over."""
    rows = yield Fetch(SQL["job.claim"], (organization, id, fence, owner, look_at_us))
    return job_of(rows[0]) if rows else None


def find(organization: int, account: int, id: str) -> Program[JobRow]:
    """`account` -1 sees all of the organization's. Raises NotFound."""
    rows: list[Row] = []
    if "\0" not in id:
        rows = yield Fetch(SQL["job.get"], (organization, id))
    job = job_of(rows[0]) if rows else None
    if job is None or account not in (-1, job.account):
        raise NotFound(f"Job {id[:128]} not found.", what="job")
    return job


def stopped(organization: int, account: int, id: str, now_us: int) -> Program[JobRow]:
    """Raises NotFound, Conflict for one that is over."""
    job = yield from find(organization, account, id)
    rows = yield Fetch(SQL["job.stop"], (organization, job.id, now_us))
    if not rows:
        raise Conflict(f"Job {job.id} is over already.", job_id=job.id)
    return (yield from find(organization, account, id))


def listed(organization: int, account: int, limit: int) -> Program[list[JobRow]]:
    rows = yield Fetch(SQL["job.list"], (organization, account, limit))
    return [job_of(row) for row in rows]


def runs_of(organization: int, id: str) -> Program[tuple[str, ...]]:
    ((runs,),) = yield Fetch(SQL["job.runs"], (organization, id))
    return _runs_decoder.decode(bytes(runs))
