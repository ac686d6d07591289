"""Account events for many connections of one process: one listener per organization, each event encoded once.

Frames: `{"type": "orderUpdate", "epoch", "seq", "account", "accountId", "order": {…}}`, `executionUpdate` with
`execution` and `operation`, `positionUpdate` with `position` (protocols/crosstrade.md §3.2; NinjaTrader's own events
have an operation, too).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import structlog

from gesta.access.model import Account
from gesta.apis.common.printed import Printed
from gesta.apis.common.services import Services
from gesta.apis.crosstrade.codec import encode
from gesta.apis.crosstrade.codec_trading import order_object, position_object
from gesta.apis.crosstrade.numbers import encode_reply
from gesta.apis.crosstrade.outbox import Pushed, Topic
from gesta.desk.trading.views import FillUpdate, OrderUpdate, Update
from gesta.ledger.records import Execution, Status

log = structlog.get_logger("gesta.crosstrade")

_TYPES: Final = {
    Topic.ORDERS: ("orderUpdate", "order"),
    Topic.EXECUTIONS: ("executionUpdate", "execution"),
    Topic.POSITIONS: ("positionUpdate", "position"),
}


class Hearer(Protocol):
    """A connection. Neither call may block."""

    topics: frozenset[Topic]

    def hear(self, event: Pushed) -> None:
        """It judges by itself whether the event is within its reach."""
        ...

    def miss(self, account: Account) -> None:
        """There was an event that could not be told."""
        ...


def topic_of(update: Update) -> Topic:
    if isinstance(update, OrderUpdate):
        return Topic.ORDERS
    return Topic.EXECUTIONS if isinstance(update, FillUpdate) else Topic.POSITIONS


def operation_of(execution: Execution) -> str:
    """`Remove` for a fill that was taken back, `Update` for one that was corrected, else `Add`."""
    if execution.status is Status.CANCELLED:
        return "Remove"
    return "Add" if execution.version == 1 else "Update"


def event_of(update: Update, printed: Printed, *, now_us: int) -> Pushed:
    """The frame around its `seq`."""
    topic = topic_of(update)
    kind, key = _TYPES[topic]
    more = ""
    body: Any
    if isinstance(update, OrderUpdate):
        account, body = update.order.account, order_object(update.order)
    elif isinstance(update, FillUpdate):
        account, execution = update.account, update.execution
        more = f'"operation":"{operation_of(execution)}",'
        body = printed.of(execution, partial(encode, execution, account))
    else:
        account, body = update.position.account, position_object(update.position)
    name, said = encode_reply(account.name).decode(), encode_reply(body).decode()
    return Pushed(
        topic,
        account,
        f'{{"type":"{kind}","epoch":{now_us // 1000},"seq":',
        f',"account":{name},"accountId":{account.id},{more}"{key}":{said}}}',
    )


class AccountPushes:
    """Who hears what happens to which organization. It listens to the trading desk only while somebody does."""

    def __init__(self, services: Services, printed: Printed) -> None:
        self._services = services
        self._printed = printed
        self._hearers: dict[int, set[Hearer]] = {}
        self._ends: dict[int, Callable[[], None]] = {}

    def __len__(self) -> int:
        return sum(len(hearers) for hearers in self._hearers.values())

    def join(self, organization: int, hearer: Hearer) -> None:
        """Raises Unavailable where this process does not trade."""
        if organization not in self._hearers:
            self._ends[organization] = self._services.trades.subscribe(organization, partial(self._tell, organization))
            self._hearers[organization] = set()
        self._hearers[organization].add(hearer)

    def leave(self, organization: int, hearer: Hearer) -> None:
        hearers = self._hearers.get(organization)
        if hearers is None:
            return
        hearers.discard(hearer)
        if not hearers:
            del self._hearers[organization]
            self._ends.pop(organization)()

    def _tell(self, organization: int, updates: Sequence[Update]) -> None:
        now_us = self._services.clock.now_us()
        for update in updates:
            topic = topic_of(update)
            hearers = [hearer for hearer in self._hearers.get(organization, ()) if topic in hearer.topics]
            if not hearers:
                continue
            try:
                event = event_of(update, self._printed, now_us=now_us)
            except Exception:
                # The desk has committed, and must go on; who listens is told that something is missing.
                log.exception("stream.unprintable", topic=topic)
                account = account_of(update)
                for hearer in hearers:
                    hearer.miss(account)
                continue
            for hearer in hearers:
                hearer.hear(event)


def account_of(update: Update) -> Account:
    if isinstance(update, FillUpdate):
        return update.account
    return update.order.account if isinstance(update, OrderUpdate) else update.position.account


__all__ = ["AccountPushes", "Hearer", "account_of", "event_of", "operation_of", "topic_of"]
