"""The position holds of this process: on disk in the batch that ends an executor, in memory as they will be on disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from gesta.access.face import Access
from gesta.access.model import Account, AccountType, Principal, Scope
from gesta.desk.market.face import Market
from gesta.desk.trading.batch import Batch
from gesta.desk.trading.engine import Engine
from gesta.executors import legs
from gesta.executors.holds import ZERO, Hold, HoldKey
from gesta.executors.journal import SQL
from gesta.executors.machines.common import is_perpetual
from gesta.executors.machines.face import Leg, Tracked
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.storage.program import Fetch, Program

_encoder = msgspec.json.Encoder(order="deterministic")


def stored() -> Program[dict[HoldKey, Hold]]:
    """Every hold on record."""
    rows = yield Fetch(SQL["hold.all"])
    return {HoldKey(*row[:5]): msgspec.json.decode(bytes(row[5]), type=Hold) for row in rows}


class Holdings:
    """What the runner writes to and the front door reads."""

    def __init__(self) -> None:
        self._of: defaultdict[int, dict[HoldKey, Hold]] = defaultdict(dict)

    def load(self, holds: dict[HoldKey, Hold]) -> None:
        self._of.clear()
        for key, hold in holds.items():
            self._of[key.organization][key] = hold

    def get(self, key: HoldKey) -> Hold | None:
        return self._of[key.organization].get(key)

    def all(self, organization: int) -> dict[HoldKey, Hold]:
        return self._of[organization]

    def end(
        self,
        batch: Batch,
        executor_id: str,
        account: int,
        controller: str,
        of_legs: Iterable[Leg],
        held: Iterable[Tracked],
        at_us: int,
        counted_quote: Decimal = ZERO,
    ) -> None:
        """An executor has ended and left `held`: into the batch that says so. `counted_quote` is the profit of these
        orders, marked at its end, if the executor reports it as its own."""
        left: defaultdict[int, list[Tracked]] = defaultdict(list)
        for order in held:
            if order.executed_base:
                left[order.leg].append(order)
        if counted_quote:
            # What they have realised among themselves stays the executor's.
            counted_quote -= sum((Hold().ended("", orders, at_us=0).realized_quote for orders in left.values()), ZERO)
        for number, leg in enumerate(of_legs):
            if number not in left:
                continue
            key = HoldKey(batch.organization, account, leg.connector_name, leg.trading_pair, controller)
            hold = (self.get(key) or Hold()).ended(executor_id, left[number], at_us=at_us, counted_quote=counted_quote)
            # Once, however many markets it was in: sums over holds are what it is for.
            counted_quote = ZERO
            self._of[key.organization][key] = hold
            batch.also["hold", key] = (SQL["hold.put"], (*msgspec.structs.astuple(key), _encoder.encode(hold)))

    def clear(self, batch: Batch, key: HoldKey) -> None:
        del self._of[key.organization][key]
        batch.also["hold", key] = (SQL["hold.clear"], msgspec.structs.astuple(key))


class HeldPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A hold with the account's name and what it is worth now; `unrealized` is None without a market."""

    key: HoldKey
    account_name: str
    hold: Hold
    unrealized: Decimal | None

    @property
    def open_pnl_quote(self) -> Decimal:
        """What it adds to what the executors report: its worth above cost and fees, less what one of them has counted
        already. Without a market that it is worth anything is not known."""
        if self.unrealized is None and self.hold.counted_quote:
            return ZERO
        return (self.unrealized or ZERO) - self.hold.fees_quote - self.hold.counted_quote


class Positions:
    """The front door of position holds. It confines a caller to its organization, and to its account if it has one."""

    def __init__(self, holdings: Holdings, *, engine: Engine, market: Market, access: Access) -> None:
        self._holdings = holdings
        self._engine = engine
        self._market = market
        self._access = access

    async def every(self, principal: Principal, *, controller: str | None = None) -> list[HeldPosition]:
        """Every hold, of one controller or of all, in the order of account, connector, pair."""
        principal.require(Scope.READ)
        await self._engine.committed(principal.organization.id)
        mine = None if principal.account is None else principal.account.id
        holds = self._holdings.all(principal.organization.id)
        wanted = (key for key in holds if controller in (None, key.controller) and mine in (None, key.account))
        found = [(key, holds[key]) for key in sorted(wanted)]
        names: dict[int, str] = {}
        for key, _ in found:
            if key.account not in names:
                account = await self._access.account_by_id(key.organization, key.account)
                names[key.account] = str(key.account) if account is None else account.name
        return [self._shown(key, hold, names[key.account]) for key, hold in found]

    async def get(
        self, principal: Principal, connector: str, pair: str, *, account_name: str, controller: str
    ) -> HeldPosition:
        """Raises NotFound."""
        principal.require(Scope.READ)
        key, account = await self._key(principal, connector, pair, account_name, controller)
        await self._engine.committed(principal.organization.id)
        hold = self._holdings.get(key)
        if hold is None:
            raise _missing(connector, pair)
        return self._shown(key, hold, account.name)

    async def clear(
        self, principal: Principal, connector: str, pair: str, *, account_name: str, controller: str
    ) -> None:
        """Forget a hold; what an executor leaves later makes a new one. On return it is off the disk.

        Raises NotFound, Unavailable where this process does not trade or the disk does not answer."""
        principal.require(Scope.TRADE)
        key, _ = await self._key(principal, connector, pair, account_name, controller)
        self._engine.check()
        if self._holdings.get(key) is None:
            raise _missing(connector, pair)
        self._holdings.clear(self._engine.open_batch(key.organization), key)
        await self._engine.committed(key.organization)

    async def _key(
        self, principal: Principal, connector: str, pair: str, account_name: str, controller: str
    ) -> tuple[HoldKey, Account]:
        organization = principal.organization.id
        account = await self._access.account(organization, account_name, AccountType.TRADING)
        if account is None or (principal.account is not None and principal.account.id != account.id):
            raise _missing(connector, pair)
        return HoldKey(organization, account.id, connector, pair, controller), account

    def _shown(self, key: HoldKey, hold: Hold, account_name: str) -> HeldPosition:
        middle = self._middle(key)
        unrealized = hold.unrealized(middle) if middle is not None else Decimal(0) if not hold.net_base else None
        return HeldPosition(key=key, account_name=account_name, hold=hold, unrealized=unrealized)

    def _middle(self, key: HoldKey) -> Decimal | None:
        leg = Leg(connector_name=key.connector, trading_pair=key.pair, is_perpetual=is_perpetual(key.connector))
        try:
            instrument = legs.instrument_of(leg, self._market.resolve)
        except InvalidInput:
            return None  # a pair that this server no longer knows has no price
        price = legs.price_of(instrument, self._market.snapshot(instrument.name).quote)
        return None if price is None else price.mid


def _missing(connector: str, pair: str) -> NotFound:
    return NotFound(f"No position hold found for {connector[:128]}/{pair[:128]}", what="position")
