"""Every venue passes the cards of the kit."""

from __future__ import annotations

import pytest

from gesta.testing.venue_conformance import CARDS, Card, VenueHouse, skips
from gesta.trading.market import Quote
from gesta.trading.venue import Venue
from gesta.venues.paper.settings import PaperSettings
from gesta.venues.paper.venue import PaperVenue
from tests.unit.venues.paper.floor import ES, INSTRUMENTS, START_US, commission, session_end_us


class PaperHouse:
    """The paper venue tells everything within the call."""

    def __init__(self, settings: PaperSettings) -> None:
        self.at_us = START_US
        self.instrument = ES.name
        self.venue: Venue = PaperVenue(
            instrument_of=INSTRUMENTS.__getitem__,
            settings=settings,
            commission=commission,
            session_end_us=session_end_us,
            now_us=lambda: 1,
        )
        self._last = (1, 2, 0)

    async def quote(self, bid: int, ask: int, size: int = 10) -> None:
        self._last = (bid, ask, size)
        self.at_us += 1
        self.venue.on_market(Quote(ES.name, bid, ask, size, size, self.at_us, 1))

    async def settle(self) -> None:
        """Time passes, for what has a latency."""
        bid, ask, size = self._last
        self.at_us += 100
        self.venue.on_market(Quote(ES.name, bid, ask, size, size, self.at_us, 1))


HOUSES = {
    "paper": lambda: PaperHouse(PaperSettings()),
    "paper, waiting": lambda: PaperHouse(PaperSettings(slip_ticks=0, queue_ahead=True)),
    "paper, late": lambda: PaperHouse(PaperSettings(latency_us=50)),
}


@pytest.mark.parametrize("name", list(HOUSES))
@pytest.mark.parametrize("card", CARDS, ids=lambda card: str(card.__name__))
async def test_a_venue_keeps_what_it_promises(name: str, card: Card) -> None:
    house: VenueHouse = HOUSES[name]()
    reason = skips(card, house.venue)
    if reason is not None:
        pytest.skip(reason)
    await card(house)
