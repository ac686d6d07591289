"""The whole server on a real socket, with three organizations that each have one of every kind of thing."""

from __future__ import annotations

import asyncio
import base64
import http.client
import threading
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import uvloop

from gesta.access.model import Account, AccountType, CredentialType, Environment, Organization, Principal, Scope
from gesta.app import http_server
from gesta.app.build import Core, Server, build
from gesta.app.settings import Settings, load_settings
from gesta.desk.trading.requests import PlaceOrder
from gesta.executors.machines.face import Leg, OrderKind, Tracked, Trade
from gesta.ledger.records import (
    ExecutorDetail,
    FillDetail,
    Kind,
    Named,
    NewEvent,
    NewExecution,
    RunDetail,
    RunNode,
    Side,
    Source,
    Status,
)
from gesta.ledger.verify import Report, verify
from gesta.trading.orders import OrderType, TimeInForce
from gesta.trading.orders import Side as OrderSide

# No test here is about rates.
UNLIMITED = {
    f"rates.{bucket}.{field}": value
    for bucket in ("crosstrade", "crosstrade_subscribe", "hummingbot", "b3os", "b3os_public", "refold", "native")
    for field, value in (("rate_per_s", 1e9), ("burst", 1_000_000_000))
}
EVERYTHING = frozenset(Scope)
JUST_READ = frozenset({Scope.READ})
PRODUCTION, TEST = Environment.PRODUCTION, Environment.TEST


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. Every text and number of it that a caller could learn carries `marker` or is `price`."""

    key: str
    kind: Kind
    marker: str
    account: Account
    id: str
    price: str = ""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A way to call: its headers, the secret in them, and which accounts it may see (None: all of its organization)."""

    name: str
    headers: dict[str, str]
    secret: str
    scheme: str
    reach: frozenset[int] | None = None
    reads_only: bool = False

    @property
    def dialects(self) -> frozenset[str]:
        """Where the credential means anything."""
        return _DIALECTS[self.scheme]


_DIALECTS = {
    "bearer": frozenset({"crosstrade", "b3os", "native"}),
    "basic": frozenset({"hummingbot"}),
    "api_key": frozenset({"refold", "native"}),
    "session": frozenset({"refold"}),
}


class House(msgspec.Struct, kw_only=True):
    """One organization and all that belongs to it."""

    tag: str
    organization: Organization
    accounts: dict[str, Account]
    things: dict[str, Thing] = {}
    credentials: dict[str, Credential] = {}

    @property
    def markers(self) -> list[str]:
        """Texts that nobody outside may see."""
        found = [self.organization.public_id]
        found += [account.name for account in self.accounts.values()]
        for thing in self.things.values():
            found += [thing.marker, thing.price] if thing.price else [thing.marker]
        return found

    def principal(self) -> Principal:
        return Principal(
            organization=self.organization,
            identity_id=0,
            identity_name="test",
            credential_id=0,
            scopes=EVERYTHING,
        )


ACCOUNTS = {
    "trading": ("{tag}-desk", AccountType.TRADING, PRODUCTION),
    "paper": ("{tag}-paper", AccountType.TRADING, TEST),
    "x": ("x-{tag}@example.com", AccountType.LINKED, PRODUCTION),
    "y": ("y-{tag}@example.com", AccountType.LINKED, PRODUCTION),
    # The name of `x` again: a test key and a production key mean different accounts by it.
    "z": ("x-{tag}@example.com", AccountType.LINKED, TEST),
}
_CREATED_US = 1_700_000_000_000_000


def rows_of(house: House) -> list[tuple[str, NewExecution]]:
    """One of every kind of thing in every account that can have it."""
    tag = house.tag
    made: list[tuple[str, NewExecution]] = []
    for number, account in enumerate(("trading", "paper")):
        marker = f"{tag}-fill-{account}"
        made.append((f"fill_{account}", fill_row(house, account, marker, price_of(tag, number))))
    marker = f"{tag}-executor"
    executor = ExecutorDetail(
        executor_type="grid_executor",
        connector=f"connector-{marker}",
        trading_pair=f"{marker}-USDT",
        side=Side.BUY,
        net_pnl_quote=Decimal(price_of(tag, 2)),
        filled_quote=Decimal(price_of(tag, 2)),
        config={"note": f"config-{marker}"},
        custom_info={"note": f"custom-{marker}"},
    )
    correlation = {"controller_id": f"controller-{marker}", "trading_pair": f"{marker}-USDT"}
    made.append(("executor", _row(house, "trading", marker, Status.RUNNING, executor, correlation)))
    for account in ("x", "y", "z"):
        made.append((f"run_{account}", run_row(house, account, f"{tag}-run-{account}")))
    return made


def price_of(tag: str, number: int) -> str:
    """A number that only this thing of this organization has."""
    return f"{sum(tag.encode()) * 977 % 90000 + 10000}.{number}7193"


def fill_row(house: House, account: str, marker: str, price: str) -> NewExecution:
    detail = FillDetail(
        order_id=f"order-{marker}",
        instrument=f"instrument-{marker}",
        side=Side.BUY,
        quantity=Decimal(2),
        price=Decimal(price),
        commission=Decimal(price),
        currency="USD",
        server_name=f"server-{marker}",
        position_after=Decimal(2),
    )
    correlation = {"order_id": detail.order_id, "instrument": detail.instrument}
    return _row(house, account, marker, Status.SUCCEEDED, detail, correlation)


def run_row(house: House, account: str, marker: str) -> NewExecution:
    detail = RunDetail(
        workflow=Named(id=f"workflow-{marker}", name=f"workflow name {marker}"),
        application=Named(id=f"app-{marker}", name=f"application {marker}"),
        external_ref=f"ref-{marker}",
        order_id=f"order-{marker}",
        request_payload={"note": f"request-{marker}"},
        response_payload={"note": f"response-{marker}"},
        client_safe_metadata={"note": f"metadata-{marker}"},
        error=f"error-{marker}",
        nodes=(RunNode(id=f"node-{marker}", name=f"node {marker}", output={"note": marker}),),
    )
    correlation = {
        "workflow_id": detail.workflow.id,
        "external_ref": f"ref-{marker}",
        "order_id": f"order-{marker}",
        "application": "application" + "".join(filter(str.isalnum, marker)),
    }
    return _row(house, account, marker, Status.FAILED, detail, correlation)


def _row(house: House, account: str, marker: str, status: Status, detail: Any, correlation: Any) -> NewExecution:
    return NewExecution(
        id=f"id-{marker}",
        account=house.accounts[account].id,
        origin="hardening",
        name=f"name {marker}",
        status=status,
        source=Source.API,
        created_at_us=_CREATED_US,
        started_at_us=_CREATED_US,
        detail=detail,
        parent_id=f"parent-{marker}",
        correlation=correlation,
    )


async def found_house(core: Core, tag: str) -> House:
    """An organization with its accounts, its things with an event each, and a credential of every type."""
    organization = await core.access.create_organization(f"organization {tag}")
    accounts = {
        key: await core.access.ensure_account(organization.id, name.format(tag=tag), type_, environment)
        for key, (name, type_, environment) in ACCOUNTS.items()
    }
    house = House(tag=tag, organization=organization, accounts=accounts)
    by_id = {account.id: account for account in accounts.values()}
    made = rows_of(house)
    results = await core.ledger.append(organization.id, [row for _, row in made])
    for (key, row), result in zip(made, results, strict=True):
        price = str(getattr(row.detail, "price", "") or getattr(row.detail, "net_pnl_quote", ""))
        house.things[key] = Thing(
            key=key,
            kind=row.kind,
            marker=row.id.removeprefix("id-"),
            account=by_id[row.account],
            id=result.id,
            price=price,
        )
        event = NewEvent(type="note.added", title=f"title-{row.id}", message=f"message-{row.id}", data={"id": row.id})
        await core.ledger.note(organization.id, result.id, [event])
    for made_credential in await _credentials(core, house):
        house.credentials[made_credential.name] = made_credential
    return house


async def rest_an_order(server: Server, house: House) -> None:
    """An order far below the market, with the caller's id that the fill of the same account names."""
    assert server.trading is not None
    thing = house.things["fill_trading"]
    request = PlaceOrder(
        instrument="ES",
        side=OrderSide.BUY,
        quantity=Decimal(1),
        type=OrderType.LIMIT,
        limit_price=Decimal(1),
        time_in_force=TimeInForce.GTC,
        client_id=f"order-{thing.marker}",
        name=f"name {thing.marker}",
    )
    await server.trading.desk.place(house.principal(), thing.account, request)


async def hold_a_position(server: Server, house: House) -> None:
    """What the executor has left open, as its end would have recorded it."""
    assert server.trading is not None
    thing, engine = house.things["executor"], server.trading.engine
    leg = Leg(connector_name=f"connector-{thing.marker}", trading_pair=f"{thing.marker}-USDT")
    order = Tracked(
        tag=1,
        side=Trade.BUY,
        kind=OrderKind.MARKET,
        amount=Decimal(1),
        executed_base=Decimal(1),
        executed_quote=Decimal(thing.price or 1),
    )
    batch = engine.open_batch(house.organization.id)
    holdings = server.trading.runner.holdings
    holdings.end(batch, thing.id, thing.account.id, "main", [leg], [order], engine.clock.now_us())
    await engine.committed(house.organization.id)


async def _credentials(core: Core, house: House) -> list[Credential]:
    made: list[Credential] = []
    environments = {
        environment: frozenset(a.id for a in house.accounts.values() if a.environment is environment)
        for environment in Environment
    }
    for suffix, scopes in (("", EVERYTHING), ("_read", JUST_READ)):

        async def create(type_: CredentialType, scopes: frozenset[Scope] = scopes, **more: Any) -> str:
            return (
                await core.access.create_credential(house.organization.id, type=type_, scopes=scopes, **more)
            ).secret

        common: dict[str, Any] = {"reads_only": bool(suffix)}
        for name, type_ in (("bearer", CredentialType.BEARER), ("b3os", CredentialType.B3OS)):
            secret = await create(type_)
            headers = {"Authorization": f"Bearer {secret}"}
            made.append(Credential(name=name + suffix, headers=headers, secret=secret, scheme="bearer", **common))
        username = f"user-{house.tag}{suffix}"
        secret = await create(CredentialType.BASIC, username=username)
        made.append(
            Credential(name=f"basic{suffix}", headers=basic(username, secret), secret=secret, scheme="basic", **common)
        )
        for environment, key, account in ((PRODUCTION, "pk", "x"), (TEST, "tk", "z")):
            secret = await create(CredentialType.API_KEY, environment=environment)
            bound = house.accounts[account]
            headers = {"x-api-key": secret}
            made.append(
                Credential(
                    name=key + suffix,
                    headers=headers,
                    secret=secret,
                    scheme="api_key",
                    reach=environments[environment],
                    **common,
                )
            )
            made.append(
                Credential(
                    name=f"{key}_bound{suffix}",
                    headers={**headers, "linked_account_id": bound.name},
                    secret=secret,
                    scheme="api_key",
                    reach=frozenset({bound.id}),
                    **common,
                )
            )
            caller = await core.access.api_key(secret, bound.name)
            token = (await core.access.issue_session(caller, bound, force_refresh=False)).token
            made.append(
                Credential(
                    name=f"session_{key}{suffix}",
                    headers={"Authorization": f"Bearer {token}"},
                    secret=token,
                    scheme="session",
                    reach=frozenset({bound.id}),
                    **common,
                )
            )
    return made


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


class Answer(msgspec.Struct, kw_only=True):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Live:
    """A server of this process, in a thread with its own loop. `run` does something in that loop."""

    def __init__(self, **overrides: Any) -> None:
        self.settings: Settings = load_settings(
            overrides={"server.port": 0, "log.requests": False, **UNLIMITED, **overrides}, environ={}
        )
        self._thread = threading.Thread(target=self._main, name="gesta")
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop
        self.server: Server
        self.port = 0

    def __enter__(self) -> Live:
        self._thread.start()
        assert self._ready.wait(30), "the server did not start"
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the server did not stop"
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # handed to the test's own thread
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        listener = http_server.listen(self.settings.server)
        self.port = listener.getsockname()[1]
        async with build(self.settings) as self.server:
            await http_server.run(
                self.server.app,
                self.server.supervisor,
                self.settings,
                listener,
                on_ready=lambda _: self._ready.set(),
                handle_signals=False,
                stop=self._stop,
            )

    def run(self, action: Awaitable[Any]) -> Any:
        async def act() -> Any:
            return await action

        return asyncio.run_coroutine_threadsafe(act(), self.loop).result(60)

    @property
    def core(self) -> Core:
        return self.server.core

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def head(self, house: House) -> int:
        head: int = self.run(self.core.ledger.head(house.organization.id))
        return head

    def verify(self) -> Report:
        report: Report = self.run(verify(self.core.database))
        return report

    def client(self) -> Client:
        return Client(self.port)


class Client:
    """One kept connection. Targets are sent as they stand: nothing is normalized or encoded."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __call__(
        self, method: str, target: str, headers: Mapping[str, str | bytes] | None = None, body: bytes | None = None
    ) -> Answer:
        given = dict(headers or {})
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        self._connection.request(method, target, body=body, headers=given)
        response = self._connection.getresponse()
        answer = Answer(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=response.read(),
        )
        if response.will_close:
            self._connection.close()
        return answer

    def stream(self, target: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """An answer whose body is read as it comes."""
        self._connection.request("GET", target, headers=dict(headers))
        response = self._connection.getresponse()
        assert response.status == 200, response.read()
        return response
