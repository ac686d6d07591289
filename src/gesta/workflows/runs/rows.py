"""The rows of runs, and their plans."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import msgspec

from gesta.storage.program import Fetch, Program, Row, Statement, load
from gesta.workflows.graph.definition import Definition, NodeType
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import Event, Progress

MIGRATIONS = ("workflows", "gesta.workflows.migrations")

SQL: dict[str, Statement] = load("gesta.workflows.sql", "runs.sql")

# Numbers in payloads stay what their text says, and keys stay in their order: that of a run's nodes is the order in
# which they were reached, and in which they are performed.
encoder = msgspec.json.Encoder(decimal_format="number")
# Equal values give equal bytes: for hashes.
sorted_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")


def _progress_of(data: bytes) -> Progress:
    return _progress_decoder.decode(data)


_progress_decoder = msgspec.json.Decoder(Progress, float_hook=Decimal)
_definition_decoder = msgspec.json.Decoder(Definition, float_hook=Decimal)
_event_decoder = msgspec.json.Decoder(tuple[str, Any], float_hook=Decimal)


# What is performed by the process that trades, and no other.
DESK = frozenset({NodeType.EXECUTOR_START, NodeType.ORDER_SUBMIT})
# Who is to carry out a run that is due and comes to such a node. It is nobody's name: a worker's has a colon.
AT_DESK = "desk"


class RunState:
    """Where a run's row stands; the words of `workflow_runs.state`."""

    UNPAID = "unpaid"
    DUE = "due"
    RUNNING = "running"
    PARKED = "parked"
    OVER = "over"


class SegmentId(msgspec.Struct, frozen=True):
    """A stretch of a run between two waits. What is submitted twice is carried out once."""

    organization: int
    run: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.organization}:{self.run}:{self.number}"


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    organization: int
    id: str
    account: int
    # 0: it belongs to no workflow, and `definition` is its own.
    workflow: int
    version: int
    definition: Definition | None
    state: str
    segment: int
    fence: int
    wave: int
    owner: str
    stop_asked: bool
    wake_at_us: int | None
    parent: tuple[str, str] | None
    progress: Progress
    created_at_us: int
    updated_at_us: int

    @property
    def segment_id(self) -> SegmentId:
        return SegmentId(self.organization, self.id, self.segment)


def row_of(run: RunRow) -> tuple[Any, ...]:
    return (
        run.organization,
        run.id,
        run.account,
        run.workflow,
        run.version,
        None if run.definition is None else encoder.encode(run.definition),
        run.state,
        run.segment,
        run.fence,
        run.wave,
        run.owner,
        int(run.stop_asked),
        run.wake_at_us,
        None if run.parent is None else run.parent[0],
        None if run.parent is None else run.parent[1],
        encoder.encode(run.progress),
        run.created_at_us,
        run.updated_at_us,
    )


def run_of(row: Row) -> RunRow:
    definition, parent_run, parent_path = row[5], row[13], row[14]
    return RunRow(
        organization=row[0],
        id=row[1],
        account=row[2],
        workflow=row[3],
        version=row[4],
        definition=None if definition is None else _definition_decoder.decode(bytes(definition)),
        state=row[6],
        segment=row[7],
        fence=row[8],
        wave=row[9],
        owner=row[10],
        stop_asked=bool(row[11]),
        wake_at_us=row[12],
        parent=None if parent_run is None else (parent_run, parent_path),
        progress=_progress_of(bytes(row[15])),
        created_at_us=row[16],
        updated_at_us=row[17],
    )


def put_row_of(run: RunRow) -> tuple[Any, ...]:
    return (
        run.organization,
        run.id,
        run.state,
        run.segment,
        run.fence,
        run.wave,
        run.owner,
        int(run.stop_asked),
        run.wake_at_us,
        encoder.encode(run.progress),
        run.updated_at_us,
    )


def event_text(event: Event) -> bytes:
    return encoder.encode((type(event).__name__, event))


def definition_of(data: bytes) -> Definition:
    return _definition_decoder.decode(data)


def get(organization: int, run_id: str) -> Program[RunRow | None]:
    rows = yield Fetch(SQL["run.get"], (organization, run_id))
    return run_of(rows[0]) if rows else None


class Unworked(Exception):
    """Raised out of a transaction that needs what takes long to work out. `work` gives it, anywhere."""

    def __init__(self, key: Sequence[Any], work: Callable[[], Progress]) -> None:
        super().__init__("to be worked out before its transaction")
        self.key = key
        self.work = work


class Plans:
    """Definitions as plans, the ones used last at hand. A version never changes."""

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._plans: OrderedDict[tuple[int, int, bytes], Plan] = OrderedDict()
        # What has been worked out, for transactions that are about to begin again.
        self._worked: list[tuple[Sequence[Any], Progress]] = []

    def worked(self, plan: Plan, key: Sequence[Any], work: Callable[[], Progress]) -> Progress:
        """What `work` gives, of which `key` says all that it depends on. Raises Unworked where it may take long and
        `ahead.write` has not worked it out."""
        if not plan.may_take_long:
            return work()
        for known, result in self._worked:
            if known == key:
                return result
        raise Unworked(key, work)

    @contextmanager
    def knowing(self, known: Sequence[tuple[Sequence[Any], Progress]]) -> Iterator[None]:
        self._worked.extend(known)
        try:
            yield
        finally:
            for each in known:
                self._worked.remove(each)

    def of(self, run: RunRow) -> Program[Plan]:
        """The plan of a run's version."""
        if run.definition is not None:
            own = hashlib.sha256(sorted_encoder.encode(run.definition)).digest()
            return self.made((0, 0, own), run.definition)
        key = (run.workflow, run.version, b"")
        known = self._plans.get(key)
        if known is not None:
            self._plans.move_to_end(key)
            return known
        rows = yield Fetch(_VERSION, (run.workflow, run.version))
        return self.made(key, definition_of(bytes(rows[0][0])))

    def made(self, key: tuple[int, int, bytes], definition: Definition) -> Plan:
        """The plan of a definition, which is known by its workflow's number and version, or else by its hash."""
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = Plan(definition)
            if len(self._plans) > self._most:
                self._plans.popitem(last=False)
        return plan


_VERSION = Statement(
    "version.definition",
    "SELECT definition FROM workflow_versions WHERE workflow = ?1 AND version = ?2",
    "SELECT definition FROM workflow_versions WHERE workflow = $1 AND version = $2",
)
