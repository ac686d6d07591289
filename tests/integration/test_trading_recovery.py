"""What a start of the trading engine does with what the last process left half done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gesta.desk.trading.requests import ChangeOrder
from gesta.kernel.errors import Unavailable
from gesta.testing.fakes import ManualClock
from gesta.trading.orders import OrderState, OrderType, Side, TimeInForce
from gesta.trading.venue import Ack
from gesta.venues.paper.venue import PaperVenue
from tests.integration.trading_house import ES, START_US, House, check, check_ledger

PRICE = 27_600


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(str(tmp_path / "ledger.sqlite3"), ManualClock(START_US))
    await made.open()
    made.quote(ES, PRICE, PRICE + 1)
    yield made
    await made.settle()
    await check(made)
    await check_ledger(made)
    await made.close()


async def silent(_: PaperVenue, *__: Any) -> Ack:
    """A venue that takes a request and dies with it."""
    return Ack.ACCEPTED


async def crashed_after(house: House, monkeypatch: pytest.MonkeyPatch, deaf_to: str, ask: Callable[[], Any]) -> None:
    """The process ends when a request is on disk and before the venue acts on it; then another one starts."""
    with monkeypatch.context() as patched:
        patched.setattr(PaperVenue, deaf_to, silent)
        await ask()
        await house.settle()
        await house.crash()
    await house.open()


async def state_of(house: House, order_id: str) -> OrderState:
    return (await house.order(order_id)).order.state


@pytest.mark.parametrize(
    ("type_", "limit", "stop", "state"),
    [
        (OrderType.LIMIT, PRICE - 4, None, OrderState.WORKING),
        (OrderType.STOP_MARKET, None, PRICE + 8, OrderState.ACCEPTED),
    ],
)
async def test_an_order_that_never_arrived_is_sent(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    type_: OrderType,
    limit: int | None,
    stop: int | None,
    state: OrderState,
) -> None:
    placed = []

    async def place() -> None:
        placed.append(await house.place(ES, Side.BUY, 1, type_, limit=limit, stop=stop, time_in_force=TimeInForce.GTC))

    await crashed_after(house, monkeypatch, "submit", place)
    order_id = placed[0].order.id
    assert placed[0].order.state is OrderState.SUBMITTED
    assert await state_of(house, order_id) is state
    house.quote(ES, PRICE - 6 if type_ is OrderType.LIMIT else PRICE + 8, PRICE - 5 if limit else PRICE + 9)
    await house.settle()
    assert await state_of(house, order_id) is OrderState.FILLED


async def test_both_orders_of_a_pair_whose_cancels_were_under_way_end_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.place(ES, Side.BUY, 2, bracket=(8, 16))
    await house.settle()

    async def cancel() -> None:
        await house.desk.cancel_orders(house.principal, [house.account])

    await crashed_after(house, monkeypatch, "cancel", cancel)
    legs = [view.order for view in await house.orders() if view.order.oco_id is not None]
    assert [leg.state for leg in legs] == [OrderState.CANCELLED] * 2


async def test_a_change_without_an_answer_is_refused_and_can_be_asked_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await house.place(ES, Side.BUY, 2, OrderType.LIMIT, limit=PRICE - 4, time_in_force=TimeInForce.GTC)
    terms = ChangeOrder(limit_price=house.desk.resolve(ES).price(PRICE - 8))

    async def change() -> None:
        await house.desk.change(house.principal, house.account, placed.order.id, terms)

    await crashed_after(house, monkeypatch, "change", change)
    order = (await house.order(placed.order.id)).order
    assert (order.state, order.limit_ticks) == (OrderState.WORKING, PRICE - 4)
    await change()
    await house.settle()
    order = (await house.order(placed.order.id)).order
    assert (order.state, order.limit_ticks) == (OrderState.WORKING, PRICE - 8)


async def test_a_resting_limit_that_was_crossed_while_down_fills_at_what_is_there(house: House) -> None:
    placed = await house.place(ES, Side.BUY, 3, OrderType.LIMIT, limit=PRICE - 4, time_in_force=TimeInForce.GTC)
    await house.settle()
    await house.crash()
    await house.open()
    assert await state_of(house, placed.order.id) is OrderState.WORKING
    house.quote(ES, PRICE - 20, PRICE - 19, 10, 10)
    await house.settle()
    order = (await house.order(placed.order.id)).order
    assert order.state is OrderState.FILLED
    assert order.filled_ticks <= 3 * (PRICE - 4)


async def test_a_stop_that_was_crossed_while_down_fires_at_the_first_quote_and_says_so(house: House) -> None:
    await house.place(ES, Side.BUY, 2, bracket=(8, 16))
    await house.settle()
    await house.crash()
    await house.open()
    house.quote(ES, PRICE - 50, PRICE - 49)
    await house.settle()
    stop, target = (view.order for view in await house.orders() if view.order.oco_id is not None)
    assert (stop.state, stop.gap, stop.filled_ticks) == (OrderState.FILLED, True, 2 * (PRICE - 50))
    assert (target.state, target.filled) == (OrderState.CANCELLED, 0)


async def test_a_second_process_takes_over_and_the_first_trades_no_more(house: House) -> None:
    placed = await house.place(ES, Side.BUY, 1, OrderType.LIMIT, limit=PRICE - 4, time_in_force=TimeInForce.GTC)
    await house.settle()
    other = House(house.settings.database.url, house.clock)
    await other.open()
    try:
        with pytest.raises(Unavailable):
            await house.place(ES, Side.BUY, 1)
        with pytest.raises(Unavailable):
            await house.place(ES, Side.BUY, 1)
        # What only the first one saw did not happen.
        house.quote(ES, PRICE - 20, PRICE - 19)
        assert await state_of(other, placed.order.id) is OrderState.WORKING
        other.quote(ES, PRICE - 20, PRICE - 19)
        await other.settle()
        assert await state_of(other, placed.order.id) is OrderState.FILLED
        await check(other)
    finally:
        await house.close()
        await other.close()
        await house.open()


async def test_a_market_order_that_never_arrived_is_answered_and_not_left_hanging(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = []

    async def place() -> None:
        placed.append(await house.place(ES, Side.BUY, 1))

    await crashed_after(house, monkeypatch, "submit", place)
    house.quote(ES, PRICE, PRICE + 1)
    await house.settle()
    order = (await house.order(placed[0].order.id)).order
    assert order.state is OrderState.FILLED or (order.state is OrderState.REJECTED and order.reason)
