"""The front door of executors: every dialect, workflow and command acts through it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from gesta.access.face import Access
from gesta.access.model import Account, AccountType, Principal, Scope
from gesta.desk.market.face import Market
from gesta.desk.reading import Reading
from gesta.desk.trading.engine import Engine
from gesta.executors import journal, legs
from gesta.executors.detail import detail_of
from gesta.executors.holdings import Positions
from gesta.executors.journal import SQL, Stored
from gesta.executors.machines.face import Command, Machine, Place, Price, Started, StopAsked, Trade
from gesta.executors.registry import machine_of
from gesta.executors.runner import Live, Runner
from gesta.executors.vocabulary import DEFAULT_ACCOUNT, ROUTE_WORDS
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.kernel.ids import IdSource
from gesta.kernel.json import encode_json_sorted
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Execution, ExecutorDetail, Kind, NewExecution, Source, Status
from gesta.storage.program import Database
from gesta.trading.instruments import Instrument, InstrumentKind

ORIGIN = "executor"
MAX_RETRIES = 10
MAX_ID = 128
MAX_KEY = 256
# Active executors of one organization.
MOST_ACTIVE = 200_000

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class CreateExecutor(msgspec.Struct, frozen=True, kw_only=True):
    """`config` as hummingbot.md §2-§8 has it, with its `type`. `key` is the request's idempotency key."""

    config: Mapping[str, Any]
    account_name: str = DEFAULT_ACCOUNT
    controller_id: str = "main"
    key: str | None = None


class Executors:
    def __init__(
        self,
        *,
        runner: Runner,
        engine: Engine,
        market: Market,
        database: Database,
        reading: Reading,
        access: Access,
        ids: IdSource,
    ) -> None:
        self._runner = runner
        self._engine = engine
        self._market = market
        self._database = database
        self._reading = reading
        self._access = access
        self._ids = ids
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.positions = Positions(runner.holdings, engine=engine, market=market, access=access)

    async def create(self, principal: Principal, request: CreateExecutor) -> Execution:
        """On return the executor is on disk and has begun. The same key with the same content is the same executor.

        Raises InvalidInput for a configuration that cannot be, Conflict for an id that is taken or a key that was used
        with another content, Unavailable where this process does not trade.
        """
        principal.require(Scope.TRADE)
        type_ = request.config.get("type")
        if not isinstance(type_, str):
            raise InvalidInput("`type` names the kind of executor.", field="type")
        machine = machine_of(type_)
        config = machine.parse(request.config)
        instruments = tuple(legs.instrument_of(leg, self._market.resolve) for leg in machine.legs(config))
        account = await self._account(principal, request.account_name)
        organization = principal.organization.id
        wanted = request.config.get("id")
        async with AsyncExitStack() as turns:
            # Who comes second with the same key or id finds what the first has made.
            if request.key is not None:
                await turns.enter_async_context(self._turn(f"{organization} key {request.key}"))
            if wanted is not None:
                await turns.enter_async_context(self._turn(f"{organization} id {wanted}"))
            content = _content(request)
            if request.key is not None:
                known = await self._of_key(principal, request.key, content)
                if known is not None:
                    return known
            executor_id = await self._id(principal, request.config)
            self._admit(organization, account, executor_id)
            stored = self._stored(principal, account, executor_id, type_, machine, config, request, instruments)
            self._begin(stored, instruments, request, content)
            batch = self._engine.open_batch(organization)
            await self._engine.committed(organization)
        made = batch.became.get(executor_id)
        return made or await self._reading.get(principal, executor_id, kind=Kind.EXECUTOR)

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """One at a time of those who act under one name."""
        turn = self._turns.setdefault(name, asyncio.Lock())
        async with turn:
            yield

    def _admit(self, organization: int, account: Account, executor_id: str) -> None:
        self._engine.check()
        if self._runner.count_of(organization) >= MOST_ACTIVE:
            raise Conflict(f"At most {MOST_ACTIVE} executors may be active; stop some first.")
        if self._runner.find(organization, executor_id) is not None:
            raise Conflict(f"Executor {executor_id} exists.", executor_id=executor_id)
        self._engine.admit(account)

    def _stored(
        self,
        principal: Principal,
        account: Account,
        executor_id: str,
        type_: str,
        machine: Machine[Any, Any],
        config: Any,
        request: CreateExecutor,
        instruments: tuple[Instrument, ...],
    ) -> Stored:
        now_us = self._engine.clock.now_us()
        ruled = tuple(
            msgspec.structs.replace(leg, rules=legs.rules_of(instrument))
            for leg, instrument in zip(machine.legs(config), instruments, strict=True)
        )
        state = machine.begin(config, ruled, at_us=now_us, prices=self._prices(instruments), max_retries=MAX_RETRIES)
        self._runner.numbers += 1
        return Stored(
            number=self._runner.numbers,
            organization=principal.organization.id,
            account=account.id,
            id=executor_id,
            type=type_,
            is_active=True,
            created_at_us=now_us,
            config={**request.config, "id": executor_id, "controller_id": request.controller_id},
            state=state,
        )

    def _prices(self, instruments: tuple[Instrument, ...]) -> dict[int, Price]:
        quoted = (
            (leg, legs.price_of(instrument, self._market.snapshot(instrument.name).quote))
            for leg, instrument in enumerate(instruments)
        )
        return {leg: price for leg, price in quoted if price is not None}

    def _begin(
        self, stored: Stored, instruments: tuple[Instrument, ...], request: CreateExecutor, content: bytes
    ) -> None:
        """Its birth, its key, its state and its first step: one batch."""
        prices = self._prices(instruments)
        machine = machine_of(stored.type)
        # What could fail comes first: a batch that holds a birth must hold the first step too.
        detail = detail_of(stored, machine.report(stored.state, prices))
        started = Started(at_us=stored.created_at_us, prices=prices)
        _, commands = machine.step(stored.state, started)
        started = msgspec.structs.replace(started, affordable=self._affordable(stored, instruments, commands))
        batch = self._engine.open_batch(stored.organization)
        correlation = {"controller_id": request.controller_id, "trading_pair": detail.trading_pair or ""}
        batch.fills.append(
            NewExecution(
                id=stored.id,
                account=stored.account,
                origin=ORIGIN,
                name=stored.type,
                status=Status.RUNNING,
                source=Source.API,
                created_at_us=stored.created_at_us,
                started_at_us=stored.created_at_us,
                detail=detail,
                correlation={name: value for name, value in correlation.items() if value},
            )
        )
        batch.also["executor", stored.number] = (SQL["state.put"], journal.row_of(stored))
        if request.key is not None:
            row = (stored.organization, request.key, stored.id, content)
            batch.also["executor key", request.key] = (SQL["key.add"], row)
        self._runner.add(stored, instruments, started, controller=request.controller_id)

    def _affordable(self, stored: Stored, instruments: tuple[Instrument, ...], commands: Sequence[Command]) -> bool:
        """Whether the account can pay for what the machine would place first."""
        state, needed = self._engine.state, 0
        for command in commands:
            if not isinstance(command, Place):
                continue
            instrument, order = instruments[command.order.leg], command.order
            if instrument.kind is InstrumentKind.SPOT and order.side is Trade.SELL:
                if instrument.quantity(state.position(stored.account, instrument.name).lots) < order.amount:
                    return False
                continue
            quote = self._market.snapshot(instrument.name).quote
            price = order.price or (None if quote is None else instrument.price(quote.ask))
            if price is not None:
                needed += instrument.margin(int(price / instrument.tick_size), int(order.amount / instrument.lot_size))
        free = self._engine.free(stored.account)
        return free is None or needed <= free

    async def _account(self, principal: Principal, name: str) -> Account:
        organization = principal.organization.id
        found = await self._access.account(organization, name, AccountType.TRADING)
        if found is None and name == DEFAULT_ACCOUNT:
            found = await self._access.ensure_account(
                organization, name, AccountType.TRADING, actor=principal.identity_name
            )
        if found is None or (principal.account is not None and principal.account.id != found.id):
            raise InvalidInput(f"Account {name[:128]} not found.", field="account_name")
        return found

    async def _of_key(self, principal: Principal, key: str, content: bytes) -> Execution | None:
        if not 0 < len(key) <= MAX_KEY or not key.isprintable():
            raise InvalidInput(f"An idempotency key has 1 to {MAX_KEY} printable characters.", field="Idempotency-Key")
        organization = principal.organization.id
        # One that is on its way to disk is there after this.
        await self._engine.committed(organization)
        found = await self._database.read(lambda: journal.key(organization, key), snapshot=False)
        if found is None:
            return None
        executor_id, known = found
        if known != content:
            raise Conflict(
                "This idempotency key was used for another executor; use a new one.", executor_id=executor_id
            )
        return await self._reading.get(principal, executor_id, kind=Kind.EXECUTOR)

    async def _id(self, principal: Principal, config: Mapping[str, Any]) -> str:
        wanted = config.get("id")
        if wanted is None:
            return base58(hashlib.sha256(self._ids.random_bytes(32)).digest())
        if not isinstance(wanted, str) or not 0 < len(wanted) <= MAX_ID or not wanted.isprintable() or "/" in wanted:
            raise InvalidInput(f"`id` has 1 to {MAX_ID} printable characters and no slash.", field="id")
        if wanted in ROUTE_WORDS:
            raise InvalidInput(f"`{wanted}` is a word of the API's own and cannot be an id.", field="id")
        try:
            await self._reading.get(principal, wanted)
        except NotFound:
            return wanted
        raise Conflict(f"Executor {wanted} exists.", executor_id=wanted)

    async def stop(self, principal: Principal, executor_id: str, *, keep_position: bool = False) -> Execution:
        """Ask it to stop. Raises NotFound, Conflict for one that is over."""
        principal.require(Scope.TRADE)
        found = await self._reading.get(principal, executor_id, kind=Kind.EXECUTOR)
        live = self._runner.find(principal.organization.id, executor_id)
        if live is None:
            if found.status in TERMINAL:
                raise Conflict(f"Executor {executor_id} is over already.", executor_id=executor_id)
            raise Conflict(f"Executor {executor_id} is not run by this server.", executor_id=executor_id)
        self._engine.check()
        self._runner.tell(
            live,
            StopAsked(at_us=self._engine.clock.now_us(), prices=self._runner.prices(live), keep_position=keep_position),
        )
        await self._engine.committed(principal.organization.id)
        return await self._reading.get(principal, executor_id, kind=Kind.EXECUTOR)

    def live(self, principal: Principal, execution: Execution) -> ExecutorDetail | None:
        """The detail of a running executor at the market's prices now; None where it does not run here."""
        principal.require(Scope.READ)
        live: Live | None = self._runner.find(principal.organization.id, execution.id)
        if live is None or live.stored.account != execution.account:
            return None
        return detail_of(live.stored, self._runner.report(live), (), live.detail)


def base58(data: bytes) -> str:
    """The form of Hummingbot's own executor ids."""
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def _content(request: CreateExecutor) -> bytes:
    """What two requests with one key must agree in."""
    said = {"config": dict(request.config), "account": request.account_name, "controller": request.controller_id}
    return hashlib.sha256(encode_json_sorted(said)).digest()
