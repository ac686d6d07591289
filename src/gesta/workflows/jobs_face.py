"""What dialects ask of jobs: one action on many runs, with its progress on record."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from gesta.access.model import Principal

MOST_RUNS: Final = 10_000
MOST_ERRORS: Final = 100


class JobAction(enum.StrEnum):
    STOP = "stop"
    RETRY = "retry"  # go on with the same run from where it failed
    RERUN = "rerun"  # a new run of the same version


class JobStatus(enum.StrEnum):
    """A job that its process left behind is taken up by the next, where it had come to."""

    RUNNING = "running"
    FINISHED = "finished"  # whatever became of each run
    CANCELLED = "cancelled"  # what was not done by then is not done


class JobIn(msgspec.Struct, frozen=True, kw_only=True):
    """`input` is another payload for every new run, and `from_node` where it begins; for `rerun` only."""

    action: JobAction
    runs: tuple[str, ...]
    input: Any = msgspec.UNSET
    from_node: str | None = None


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing came of one run."""

    run_id: str
    code: str
    message: str


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """`done` + `skipped` + `failed` of `total` are over. `skipped`: there was nothing to stop, or to
    retry, any more. `errors` are the first MOST_ERRORS of those that failed."""

    id: str
    organization: int
    account: int
    action: JobAction
    status: JobStatus
    total: int
    done: int
    skipped: int
    failed: int
    errors: Sequence[JobError] = ()
    created_at_us: int
    updated_at_us: int
    finished_at_us: int | None


class Jobs(Protocol):
    """The front door. As everywhere, what another organization or account has is not found."""

    async def create(self, principal: Principal, job: JobIn) -> JobView:
        """On return the job is on disk, and begins. Raises InvalidInput for more than MOST_RUNS, Conflict for one job
        too many at once, Forbidden."""
        ...

    async def get(self, principal: Principal, id: str) -> JobView:
        """Raises NotFound."""
        ...

    async def list(self, principal: Principal, *, limit: int = 50) -> Sequence[JobView]:
        """Newest first."""
        ...

    async def cancel(self, principal: Principal, id: str) -> JobView:
        """What it has done stays done. Raises NotFound, Conflict for one that is over."""
        ...
