"""The canonical life cycle as one table. A missing row is the error; a refused change changes nothing."""

from __future__ import annotations

from gesta.kernel.errors import Conflict
from gesta.ledger.records import Kind, Status

S = Status

TERMINAL = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.TIMED_OUT})
ACTIVE = frozenset(Status) - TERMINAL

# from → the states that may follow. Who enters and leaves each is said on its row.
_WORK: dict[Status, frozenset[Status]] = {
    # Entered at creation when payment is owed; left by the payment provider's verdict or an expiry.
    S.AWAITING_PAYMENT: frozenset({S.PAID, S.FAILED, S.CANCELLED, S.TIMED_OUT}),
    # Entered by a verified payment; left by the queue. A refund cancels.
    S.PAID: frozenset({S.QUEUED, S.RUNNING, S.FAILED, S.CANCELLED}),
    # Entered at creation; left by a worker that claims it.
    S.QUEUED: frozenset({S.RUNNING, S.WAITING, S.STOPPING, S.SUCCEEDED, S.FAILED, S.CANCELLED, S.TIMED_OUT}),
    S.RUNNING: frozenset({S.QUEUED, S.WAITING, S.STOPPING, S.SUCCEEDED, S.FAILED, S.CANCELLED, S.TIMED_OUT}),
    # A parked run holds no worker; what wakes it may queue it or run it at once.
    S.WAITING: frozenset({S.QUEUED, S.RUNNING, S.STOPPING, S.SUCCEEDED, S.FAILED, S.CANCELLED, S.TIMED_OUT}),
    # Stopping may still end in success or failure: the work can win the race against the stop.
    S.STOPPING: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.TIMED_OUT}),
    S.SUCCEEDED: frozenset(),
    # A retry of a failed, cancelled or timed-out run continues the same execution (protocols/b3os.md §5).
    S.FAILED: frozenset({S.QUEUED, S.RUNNING}),
    S.CANCELLED: frozenset({S.QUEUED, S.RUNNING}),
    S.TIMED_OUT: frozenset({S.QUEUED, S.RUNNING}),
}

# A fill is born succeeded; the venue may bust it. A busted fill stays busted.
_FILL: dict[Status, frozenset[Status]] = {S.SUCCEEDED: frozenset({S.CANCELLED}), S.CANCELLED: frozenset()}

# An executor never waits for payment and is never retried: a new one is created instead.
_EXECUTOR: dict[Status, frozenset[Status]] = {
    state: following - {S.PAID, S.AWAITING_PAYMENT} if state not in TERMINAL else frozenset()
    for state, following in _WORK.items()
    if state not in (S.AWAITING_PAYMENT, S.PAID)
}

TRANSITIONS: dict[Kind, dict[Status, frozenset[Status]]] = {
    Kind.FILL: _FILL,
    Kind.EXECUTOR: _EXECUTOR,
    Kind.RUN: _WORK,
}


def check(kind: Kind, current: Status, wanted: Status) -> None:
    """Raise Conflict, saying what is allowed, unless `wanted` may follow `current`."""
    allowed = TRANSITIONS[kind].get(current, frozenset())
    if wanted in allowed:
        return
    following = ", ".join(sorted(allowed)) or "nothing: it is final"
    raise Conflict(
        f"A {kind} that is {current} cannot become {wanted}; what may follow is {following}.",
        current=current.value,
        wanted=wanted.value,
    )


def check_birth(kind: Kind, status: Status) -> None:
    """Raise Conflict if an execution of this kind is never in `status`."""
    if status not in TRANSITIONS[kind]:
        known = ", ".join(sorted(TRANSITIONS[kind]))
        raise Conflict(f"A {kind} cannot be {status}; it is one of {known}.", wanted=status.value)
