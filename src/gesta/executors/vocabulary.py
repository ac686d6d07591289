"""Words that the executors share with the dialects that speak of them. Pure."""

from __future__ import annotations

from typing import Final

from gesta.executors.machines.face import CloseType
from gesta.ledger.records import Status

# The account of hummingbot-api when a request names none.
DEFAULT_ACCOUNT: Final = "master_account"

# The event of a recorded profit that follows the market: of the change feed, no line of a log.
MARKED: Final = "executor.marked"

# How an executor ended, by its close type. A barrier that fires is the executor doing its work, so it succeeded.
STATUS_OF_CLOSE_TYPE: Final[dict[CloseType, Status]] = {
    CloseType.TIME_LIMIT: Status.SUCCEEDED,
    CloseType.STOP_LOSS: Status.SUCCEEDED,
    CloseType.TAKE_PROFIT: Status.SUCCEEDED,
    CloseType.EXPIRED: Status.TIMED_OUT,
    CloseType.EARLY_STOP: Status.CANCELLED,
    CloseType.TRAILING_STOP: Status.SUCCEEDED,
    CloseType.INSUFFICIENT_BALANCE: Status.FAILED,
    CloseType.FAILED: Status.FAILED,
    CloseType.COMPLETED: Status.SUCCEEDED,
    CloseType.POSITION_HOLD: Status.SUCCEEDED,
}

# What stands where an id may in `/executors/{id}`: an executor of this name could not be read there.
ROUTE_WORDS = frozenset({"search", "summary", "performance", "types", "positions"})
