"""The trading desk: who may ask, what is asked, and the one way it takes through the engine (face.Trading)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from gesta.access.face import Access
from gesta.access.model import Account, Principal, Scope
from gesta.desk.market.face import Market
from gesta.desk.reading import Reading
from gesta.desk.trading import journal, restating
from gesta.desk.trading.engine import Engine, Listener
from gesta.desk.trading.moves import Moves
from gesta.desk.trading.requests import BracketPosition, ChangeOrder, MarketPosition, PlaceOrder
from gesta.desk.trading.terms import change_of, check_position, is_same, order_of
from gesta.desk.trading.valuing import DOLLARS, account_view, with_cash
from gesta.desk.trading.views import (
    AccountView,
    Flattened,
    OrderNote,
    OrderSlice,
    OrderView,
    PositionView,
)
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.kernel.ids import IdSource, hex_id
from gesta.ledger.records import Execution
from gesta.storage.program import Database
from gesta.trading.instruments import Instrument
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import Order
from gesta.trading.positions import Position

API = "api"
MAX_ROWS = 2000
MAX_CASH = Decimal(10) ** 12


class TradingDesk:
    """Implements `face.Trading`."""

    def __init__(
        self, engine: Engine, *, database: Database, reading: Reading, access: Access, market: Market, ids: IdSource
    ) -> None:
        self.engine = engine
        self._database = database
        self._reading = reading
        self._access = access
        self._market = market
        self._ids = ids
        self._moves = Moves(self)

    # -- orders

    async def place(self, principal: Principal, account: Account, request: PlaceOrder) -> OrderView:
        return await self.put(principal, account, request)

    async def put(
        self,
        principal: Principal,
        account: Account,
        request: PlaceOrder,
        *,
        replaces: str | None = None,
        opened_by: str | None = None,
    ) -> OrderView:
        """Place, naming the order that this one takes the place of, or what it protects."""
        self.may_trade(principal, account)
        instrument = self.resolve(request.instrument)
        wanted = self._order_of(account, request, instrument, replaces=replaces, opened_by=opened_by)
        if request.client_id is not None:
            known = await self._of_client(account, request.client_id)
            if known is not None:
                return await self._repeated(account, known, wanted)
        # From here to the journal nothing waits: what is checked is what the order meets.
        self.engine.check()
        state = self.engine.state
        held, opened = state.position(account.id, instrument.name), len(state.open_positions(account.id))
        try:
            check_position(request, held, opened)
        except Conflict:
            # The fill that the refusal tells of is on disk before it is told.
            await self.engine.committed(account.organization)
            raise
        self.engine.admit(account)
        state.numbers += 1
        order = msgspec.structs.replace(wanted, seq=state.numbers)
        self.engine.books.place(order, source=API)
        await self.engine.committed(account.organization)
        return self._view(account, state.orders.get(order.id, order))

    def _order_of(
        self,
        account: Account,
        request: PlaceOrder,
        instrument: Instrument,
        *,
        replaces: str | None = None,
        opened_by: str | None = None,
    ) -> Order:
        return order_of(
            request,
            instrument,
            id=self.new_id(),
            organization=account.organization,
            account=account.id,
            number=0,
            now_us=self.engine.clock.now_us(),
            replaces=replaces,
            opened_by=opened_by,
        )

    def check_terms(self, account: Account, request: PlaceOrder) -> Instrument:
        """Raise InvalidInput for an order that could not be placed; nothing happens otherwise."""
        instrument = self.resolve(request.instrument)
        self._order_of(account, request, instrument)
        return instrument

    async def _of_client(self, account: Account, client_id: str) -> Order | None:
        state = self.engine.state
        known = state.by_client.get((account.id, client_id))
        if known is not None:
            return state.orders[known]
        found = await self._database.read(lambda: journal.order_of_client(account.id, client_id), snapshot=False)
        # Another placement with this id may have come in during the read.
        known = state.by_client.get((account.id, client_id))
        return state.orders[known] if known is not None else found

    async def _repeated(self, account: Account, known: Order, wanted: Order) -> OrderView:
        if not is_same(known, wanted):
            raise Conflict(
                f"The order id {known.client_id!r} belongs to another order of this account, with other terms "
                f"(order {known.id}); use a new id.",
                order_id=known.id,
            )
        await self.engine.committed(account.organization)
        return self._view(account, self.engine.state.orders.get(known.id, known))

    async def cancel(self, principal: Principal, account: Account, order_id: str) -> OrderView:
        self.may_trade(principal, account)
        order = await self.find(account, order_id)
        await self.check_works(account, order, order_id)
        self.engine.check()
        self.request_cancel(account, order.id)
        await self.engine.committed(account.organization)
        return self._view(account, self.engine.state.orders.get(order.id, order))

    async def check_works(self, account: Account, order: Order, order_id: str) -> None:
        """Raise Conflict for a final order. What ended it is on disk before anybody is told."""
        if order.state in TERMINAL:
            await self.engine.committed(account.organization)
            raise Conflict(f"Order {order_id[:64]} is {order.state} already.", order_id=order.id)

    def request_cancel(self, account: Account, order_id: str) -> None:
        """Without waiting. A final order is left alone."""
        order = self.engine.state.orders.get(order_id)
        if order is not None and order.state not in TERMINAL:
            self.engine.admit(account)
            self.engine.books.request_cancel(order, at_us=self.engine.clock.now_us(), source=API)

    async def cancel_orders(
        self, principal: Principal, accounts: Sequence[Account], *, instrument: str | None = None
    ) -> list[OrderView]:
        for account in accounts:
            self.may_trade(principal, account)
        name = None if instrument is None else self._market.resolve(instrument).name
        self.engine.check()
        asked = []
        for account in accounts:
            for order in self.engine.state.working(account.id, name):
                self.request_cancel(account, order.id)
                asked.append((account, order))
        for organization in {account.organization for account in accounts}:
            await self.engine.committed(organization)
        orders = self.engine.state.orders
        return [self._view(account, orders.get(order.id, order)) for account, order in asked]

    async def change(self, principal: Principal, account: Account, order_id: str, request: ChangeOrder) -> OrderView:
        self.may_trade(principal, account)
        order = await self.find(account, order_id)
        await self.check_works(account, order, order_id)
        change = change_of(request, order, self._market.instrument(order.instrument))
        self.engine.check()
        self.engine.admit(account)
        self.engine.books.request_change(order, change, at_us=self.engine.clock.now_us(), source=API)
        await self.engine.committed(account.organization)
        # The venue has answered: a refusal is the caller's to know.
        after = self.engine.state.orders.get(order.id, order)
        await self.engine.committed(account.organization)
        return self._view(account, self.engine.state.orders.get(order.id, after))

    async def replace(self, principal: Principal, account: Account, order_id: str, request: PlaceOrder) -> OrderView:
        return await self._moves.replace(principal, account, order_id, request)

    async def order(self, principal: Principal, account: Account, order_id: str) -> OrderView:
        self._may_read(principal, account)
        found = await self._read(account, order_id)
        if found is None:
            raise _no_order(order_id)
        return self._view(account, found)

    async def orders(
        self,
        principal: Principal,
        account: Account,
        *,
        working: bool | None = None,
        after: int | None = None,
        limit: int = 500,
    ) -> OrderSlice:
        self._may_read(principal, account)
        if not 1 <= limit <= MAX_ROWS:
            raise InvalidInput(f"A page has 1 to {MAX_ROWS} rows.", field="limit")
        before = 2**62 if after is None else after
        rows = await self._database.read(lambda: journal.orders(account.id, working, before, limit + 1), snapshot=False)
        following = rows[limit - 1].seq if len(rows) > limit else None
        return OrderSlice(rows=[self._view(account, order) for order in rows[:limit]], next=following)

    async def timeline(
        self, principal: Principal, account: Account, order_id: str, *, limit: int = 200
    ) -> tuple[OrderView, list[OrderNote]]:
        view = await self.order(principal, account, order_id)
        if not 1 <= limit <= MAX_ROWS:
            raise InvalidInput(f"`limit` is 1 to {MAX_ROWS}.", field="limit")
        rows = await self._database.read(lambda: journal.notes(view.order.seq, limit), snapshot=False)
        notes = [
            OrderNote(
                number=row.note,
                at_us=row.at_us,
                source=row.source,
                event=row.event,
                state=row.state,
                message=row.message,
                data=row.data,
            )
            for row in rows
        ]
        return view, notes

    async def find(self, account: Account, order_id: str) -> Order:
        """The order as it stands, ahead of the disk if it is working. Raises NotFound."""
        state = self.engine.state
        known = state.orders.get(order_id)
        if known is None:
            known = state.orders.get(state.by_client.get((account.id, order_id), ""))
        if known is None or known.account != account.id:
            known = await self._read(account, order_id)
        if known is None:
            raise _no_order(order_id)
        return known

    async def _read(self, account: Account, order_id: str) -> Order | None:
        if "\0" in order_id or len(order_id) > 128:
            return None
        return await self._database.read(lambda: journal.order(account.id, order_id), snapshot=False)

    # -- positions

    async def positions(
        self, principal: Principal, accounts: Sequence[Account], *, include_flat: bool = False
    ) -> list[PositionView]:
        for account in accounts:
            self._may_read(principal, account)
        by_id = {account.id: account for account in accounts}
        rows = await self._database.read(lambda: journal.positions(list(by_id)), snapshot=False)
        return [
            self._position_view(by_id[account], instrument, held)
            for account, instrument, held in rows
            if held.lots or include_flat
        ]

    async def position(self, principal: Principal, account: Account, instrument: str) -> PositionView:
        self._may_read(principal, account)
        name = self._market.resolve(instrument).name
        rows = await self._database.read(lambda: journal.positions([account.id]), snapshot=False)
        held = next((held for _, owner, held in rows if owner == name), Position())
        return self._position_view(account, name, held)

    async def close(
        self, principal: Principal, account: Account, instrument: str, *, quantity: Decimal | None = None
    ) -> OrderView | None:
        return await self._moves.close(principal, account, instrument, quantity=quantity)

    async def flatten(
        self,
        principal: Principal,
        accounts: Sequence[Account],
        *,
        instrument: str | None = None,
        market_position: MarketPosition | None = None,
    ) -> Flattened:
        return await self._moves.flatten(principal, accounts, instrument=instrument, market_position=market_position)

    async def reverse(self, principal: Principal, account: Account, instrument: str) -> OrderView | None:
        return await self._moves.reverse(principal, account, instrument)

    async def reverse_position(self, principal: Principal, account: Account, request: PlaceOrder) -> OrderView:
        return await self._moves.reverse_position(principal, account, request)

    async def flat_place(self, principal: Principal, account: Account, request: PlaceOrder) -> OrderView:
        return await self._moves.flat_place(principal, account, request)

    async def cancel_and_bracket(
        self, principal: Principal, account: Account, request: BracketPosition
    ) -> list[OrderView]:
        return await self._moves.cancel_and_bracket(principal, account, request)

    # -- accounts

    async def account(self, principal: Principal, account: Account) -> AccountView:
        self._may_read(principal, account)
        rows = await self._database.read(lambda: journal.funds(account.id), snapshot=False)
        held = await self.positions(principal, [account])
        engine = self.engine
        return account_view(
            account, rows or [engine.opening_funds(account)], held, session=engine.session(), rate=self._rate
        )

    def _rate(self, currency: str, wanted: str) -> Decimal | None:
        """By the coin's own market; a dollar coin is a dollar."""
        if currency == wanted or {currency, wanted} <= DOLLARS:
            return Decimal(1)
        if wanted not in DOLLARS:
            return None
        try:
            return self._market.snapshot(f"{currency}-USDT").last
        except NotFound:
            return None

    async def configure(
        self,
        principal: Principal,
        account: Account,
        *,
        cash: Decimal | None = None,
        max_position: Decimal | None = None,
    ) -> AccountView:
        principal.require(Scope.ADMIN)
        self.may_trade(principal, account)
        for field, value, least in (("cash", cash, 0), ("max_position", max_position, 0)):
            if value is not None and not (value.is_finite() and least <= value <= MAX_CASH):
                raise InvalidInput(f"`{field}` is a number from {least} to {MAX_CASH:f}.", field=field)
        if cash is not None and cash != cash.quantize(Decimal("0.00000001")):
            raise InvalidInput("`cash` has at most eight decimals.", field="cash")
        self.engine.check()
        self.engine.admit(account)
        funds = self.engine.state.funds[account.id][account.currency]
        if max_position is not None:
            funds = msgspec.structs.replace(funds, max_position=max_position)
        self.engine.fund(funds if cash is None else with_cash(funds, cash))
        await self.engine.committed(account.organization)
        return await self.account(principal, account)

    # -- what the venue takes back

    async def bust(self, principal: Principal, execution_id: str, *, reason: str) -> Execution:
        return await restating.restate(self, self._database, principal, execution_id, restating.Bust(reason=reason))

    async def correct(
        self,
        principal: Principal,
        execution_id: str,
        *,
        price: Decimal | None = None,
        quantity: Decimal | None = None,
        commission: Decimal | None = None,
        reason: str,
    ) -> Execution:
        terms = restating.Correction(price=price, quantity=quantity, commission=commission, reason=reason)
        return await restating.restate(self, self._database, principal, execution_id, terms)

    def subscribe(self, organization: int, listener: Listener) -> Callable[[], None]:
        return self.engine.subscribe(organization, listener)

    # -- what the moves and restatements stand on

    def resolve(self, name: str) -> Instrument:
        return self._market.resolve(name)

    def instrument(self, name: str) -> Instrument:
        return self._market.instrument(name)

    def new_id(self) -> str:
        return hex_id(self._ids, 32)

    async def fill(self, principal: Principal, execution_id: str) -> Execution:
        return await self._reading.get(principal, execution_id)

    async def account_of(self, execution: Execution) -> Account:
        found = await self._access.account_by_id(execution.organization, execution.account)
        if found is None:
            raise NotFound("No such account.", what="account")
        return found

    # -- who may

    def may_trade(self, principal: Principal, account: Account) -> None:
        """Raise Forbidden or NotFound unless the caller may change what happens in the account."""
        principal.require(Scope.TRADE)
        self._reaches(principal, account)

    def _may_read(self, principal: Principal, account: Account) -> None:
        principal.require(Scope.READ)
        self._reaches(principal, account)

    def _reaches(self, principal: Principal, account: Account) -> None:
        bound = principal.account
        if account.organization != principal.organization.id or (bound is not None and bound.id != account.id):
            raise NotFound(f"Account {account.name} not found.", what="account")

    def _view(self, account: Account, order: Order) -> OrderView:
        return OrderView(account=account, instrument=self._market.instrument(order.instrument), order=order)

    def _position_view(self, account: Account, instrument: str, held: Position) -> PositionView:
        self.engine.state.accounts.setdefault(account.id, account)
        return self.engine.position_view(account.id, self._market.instrument(instrument), held)


def _no_order(order_id: str) -> NotFound:
    return NotFound(f"Order {order_id[:64]!r} not found.", what="order")
