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
    "workflows.key.taken": "the key of an event or a webhook stands for a run that is not there yet",
    "workflows.schedule.started": "the run of a schedule's moment is on disk, the schedule still says that it is due",
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
