"""How a run stands: every node that has been reached, by its path.

A path names one visit of a node: `pay` on the top, `loop[2]/pay` in the third round of the container `loop`.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class NodeStatus(enum.StrEnum):
    READY = "ready"  # to be performed now
    RETRYING = "retrying"  # to be performed again at `due_at_us`
    RUNNING = "running"  # a container whose body goes on
    WAITING = "waiting"  # for `wait`
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FAILED_SKIPPED = "failed_skipped"  # failed, and the run goes on without it
    SKIPPED = "skipped"  # no edge led to it
    STOPPED = "stopped"
    TIMED_OUT = "timed_out"

    @property
    def is_over(self) -> bool:
        return self not in (NodeStatus.READY, NodeStatus.RETRYING, NodeStatus.RUNNING, NodeStatus.WAITING)


class WaitKind(enum.StrEnum):
    TIMER = "timer"
    WEBHOOK = "webhook"
    EVENT = "event"
    HUMAN = "human"
    EXECUTOR = "executor"
    RUN = "run"


class Wait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What wakes a node. `key` is the event's name, the executor's id, the run's id; nothing for the others, which are
    woken by the path and a secret. `until_us`: when it gives up, or, for a timer, when it is over."""

    kind: WaitKind
    key: str = ""
    until_us: int | None = None


class NodeRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One visit of a node. `input` is its configuration with every template filled in, as it was performed; `branch`
    what it decided for. A container's are `items`, `active` (the rounds that go on), `begun` (how many have begun) and,
    while it runs, the outputs of the rounds that are over in `output`."""

    status: NodeStatus
    attempts: int = 0
    started_at_us: int | None = None
    finished_at_us: int | None = None
    due_at_us: int | None = None
    wait: Wait | None = None
    input: Any = None
    output: Any = None
    error: str = ""
    branch: str = ""
    items: list[Any] | None = None
    active: tuple[int, ...] = ()
    begun: int = 0


class Outcome(enum.StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a Response node says: a caller that waits is answered with it."""

    status_code: int = 200
    body: Any = None


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the run's log."""

    path: str
    level: str
    message: str
    at_us: int


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`input` is what it was started with. `meta` are the words that templates may use: `run_id`, `workflow_id`,
    `account`. `lines` are those of the last step only."""

    input: Any = None
    meta: dict[str, str] = {}
    begun_at_us: int
    deadline_us: int | None = None
    runs: dict[str, NodeRun] = {}
    outcome: Outcome | None = None
    output: Any = None
    answer: Answer | None = None
    error: str = ""
    error_path: str = ""
    lines: tuple[Line, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.outcome is not None


# -- events


class Performed(msgspec.Struct, frozen=True, kw_only=True):
    """A node was performed. With `wait`, what it began is not over: it waits for the end of it (an executor, a run)."""

    path: str
    output: Any = None
    wait: Wait | None = None
    at_us: int


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt failed. `is_final`: another would fail in the same way. `jitter` in [-1, 1] varies the backoff, which
    is at least `retry_after_s`, as far as the node's `retry.most_s` allows it."""

    path: str
    error: str
    is_final: bool = False
    jitter: float = 0.0
    retry_after_s: float = 0.0
    output: Any = None
    at_us: int


class Woken(msgspec.Struct, frozen=True, kw_only=True):
    """What a node waited for has come. Told twice, the second changes nothing."""

    path: str
    payload: Any = None
    error: str = ""
    at_us: int


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A moment that the run waited for has come."""

    at_us: int


class StopAsked(msgspec.Struct, frozen=True, kw_only=True):
    at_us: int


Event = Performed | Failed | Woken | Passed | StopAsked


class Todo(msgspec.Struct, frozen=True, kw_only=True):
    """What a run needs next: paths to perform now, in this order; what it waits for; the next moment that concerns
    it. Nothing of these and no outcome cannot be."""

    performs: tuple[str, ...] = ()
    waits: dict[str, Wait] = {}
    next_us: int | None = None
