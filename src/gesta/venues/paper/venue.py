"""The paper venue at its face: `Venue` around the matcher, with the clock and the sink of events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gesta.kernel.errors import Unavailable
from gesta.trading.instruments import Instrument
from gesta.trading.market import MarketData
from gesta.trading.orders import Change, Order, OrderType, TimeInForce
from gesta.trading.venue import (
    AccountFunds,
    Ack,
    EventSink,
    OpenPosition,
    OrderReport,
    Resume,
    VenueCapabilities,
    VenueEvent,
)
from gesta.venues.paper.keeper import Commission
from gesta.venues.paper.matching import Matcher
from gesta.venues.paper.settings import PaperSettings

NAME: Final = "paper"
CAPABILITIES: Final = VenueCapabilities(
    order_types=frozenset(OrderType),
    times_in_force=frozenset(TimeInForce),
    native_oco=True,
    change=True,
    finds_by_id=True,
)


class PaperVenue:
    """`instrument_of` gives the instrument of a resolved name; `commission` the money units of a fill, for (order,
    instrument, lots, ticks, is_maker), the order as it was submitted; `session_end_us` the first end of a session after
    a venue time; `now_us` Gesta's clock.

    The events of one call come as one batch, inside the call, in the order in which they happened. Market data before
    `start` and after `stop` is ignored; orders are then refused with Unavailable.
    """

    name = NAME
    capabilities = CAPABILITIES

    def __init__(
        self,
        *,
        instrument_of: Callable[[str], Instrument],
        settings: PaperSettings,
        commission: Commission,
        session_end_us: Callable[[Instrument, int], int],
        now_us: Callable[[], int],
    ) -> None:
        self._instrument_of = instrument_of
        self._settings = settings
        self._commission = commission
        self._session_end_us = session_end_us
        self._now_us = now_us
        self._matcher = self._new_matcher()
        self._on_events: EventSink | None = None

    def _new_matcher(self) -> Matcher:
        return Matcher(
            instrument_of=self._instrument_of,
            settings=self._settings,
            commission=self._commission,
            session_end_us=self._session_end_us,
        )

    # -- life

    async def start(self, resume: Resume, on_events: EventSink) -> None:
        """Begin anew from what is on record: working orders rest again, nothing is told of them. The first quote of
        each instrument counts as the first after a gap."""
        self._matcher = self._new_matcher()
        self._matcher.rebuild(resume, self._now_us())
        self._on_events = on_events

    async def stop(self) -> None:
        self._on_events = None

    # -- orders

    async def submit(self, order: Order) -> Ack:
        """An id that the venue knows, working or ended, is not taken a second time: ACCEPTED, and nothing happens.

        REJECTED comes with an OrderRejected that says why.
        """
        self._check()
        ack, events = self._matcher.submit(order, self._now_us())
        self._tell(events)
        return ack

    async def cancel(self, order_id: str) -> Ack:
        """REJECTED with a CancelRefused for an id that does not work here."""
        self._check()
        ack, events = self._matcher.cancel(order_id, self._now_us())
        self._tell(events)
        return ack

    async def change(self, order_id: str, change: Change) -> Ack:
        """REJECTED with a ChangeRefused for terms that cannot be; the order then works on as it was."""
        self._check()
        ack, events = self._matcher.change(order_id, change, self._now_us())
        self._tell(events)
        return ack

    async def query(self, order_id: str) -> OrderReport | None:
        """Also of orders that ended lately."""
        return self._matcher.query(order_id)

    # -- the market, and what others know

    def on_market(self, data: MarketData) -> None:
        if self._on_events is None or self._matcher.passes(data):
            return
        self._tell(self._matcher.match(data, self._now_us()))

    def set_funds(self, account: int, funds: AccountFunds) -> None:
        self._matcher.accounts.set_funds(account, funds)

    def set_position(self, account: int, instrument: str, position: OpenPosition) -> None:
        self._matcher.accounts.set_position(account, instrument, position)

    def free(self, account: int) -> int | None:
        accounts = self._matcher.accounts
        return accounts.free(accounts.account(account))

    def reserve(self, account: int) -> int:
        """Money units that the account's working orders hold back."""
        return self._matcher.accounts.reserve(account)

    # -- inside

    def _check(self) -> None:
        if self._on_events is None:
            raise Unavailable("The paper venue is not started.")

    def _tell(self, events: list[VenueEvent]) -> None:
        if events and self._on_events is not None:
            self._on_events(events)
