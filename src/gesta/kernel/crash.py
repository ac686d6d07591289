"""Named crash points: acceptance tests kill the process exactly there. Unarmed, a point costs one comparison.

`GESTA_CRASH_POINT=name:N` kills the process (SIGKILL, nothing is flushed) the N-th time that `name` is reached.
"""

from __future__ import annotations

import os
import signal

# Every point that the code can reach, with what is and is not on disk there.
POINTS = {
    "executors.step": "a machine has decided, nothing of that is in a batch yet",
    "ledger.append.rows": "inside the transaction: rows written, counters not",
    "ledger.append.counted": "inside the transaction: everything written, nothing committed",
    "ledger.transition.row": "inside the transaction: row changed, event and counters not",
    "trading.commit.fills": "inside the transaction of a batch: its fills written, orders and positions not",
    "trading.commit.rows": "inside the transaction of a batch: everything written, nothing committed",
    "trading.committed": "a batch is on disk, the venue has not been told what it asks and nobody of what it says",
    "trading.submit": "an order is journaled, the venue has not been told",
    "trading.submitted": "the venue has an order, what it answered is not on disk",
    "storage.before_commit": "the whole group is written, nothing is committed",
    "storage.after_commit": "the group is on disk, nobody has been told",
    "workflows.advance": "inside the transaction: a wave is told, nothing is committed",
    "workflows.born.ledger": "inside the transaction: a run's execution is there, its own row is not",
    "workflows.born.rows": "inside the transaction: a run's first rows are there, nothing is committed",
    "workflows.changed": "what was decided of a run is on disk, nothing is submitted and nobody is told",
    "workflows.claim": "inside the transaction: a run is taken over, nothing is committed",
    "workflows.claimed": "a run is this process's, none of its segment is performed",
    "workflows.hook.sent": "a webhook's endpoint has answered, that is not on disk",
    "workflows.hook.taken": "a webhook's delivery is taken by this process, it is not sent",
    "workflows.key.taken": "the key of an event or a webhook stands for a run that is not there yet",
    "workflows.paid": "inside the transaction: a paid run has begun, nothing is committed",
    "workflows.performed": "a node has been performed, what it gave is not on the engine's record",
    "workflows.put": "inside the transaction: a run is over, due or parked, nothing is committed",
    "workflows.schedule.started": "the run of a schedule's moment is on disk, the schedule still says that it is due",
    "workflows.settle": "inside the transaction: what a segment came to is decided, nothing is written",
    "workflows.settling": "a segment is at its end, nothing of that is on disk",
    "workflows.stop": "inside the transaction: a stop is asked for, nothing is committed",
    "workflows.wake": "inside the transaction: what came for a run at work is kept, nothing is committed",
}

_name, _, _count = os.environ.get("GESTA_CRASH_POINT", "").partition(":")
_left = int(_count or 1)


def reach(point: str) -> None:
    """Die here if this point is armed."""
    if point != _name:
        return
    global _left
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
