"""The sub-app over the in-memory ledger, with two organizations, and a reader of event streams that can pause."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec
from fastapi import FastAPI

from gesta.access.model import Account, AccountType, Environment, Principal, Scope
from gesta.apis.common.services import Decoded, Limits, Services
from gesta.apis.native.routes import build
from gesta.desk.market.desk import MarketDesk
from gesta.desk.reading import Reading
from gesta.desk.recording import Recording
from gesta.executors.control import CreateExecutor
from gesta.kernel.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import (
    Execution,
    ExecutorDetail,
    Kind,
    NewEvent,
    NewExecution,
    RunDetail,
    Source,
    Status,
    Transition,
)
from gesta.testing.fake_access import FakeAccess, principal
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.testing.memory_jobs import MemoryJobs
from gesta.testing.memory_ledger import MemoryLedger
from gesta.testing.memory_workflows import MemoryWorkflows
from gesta.trading.catalog import Catalog
from tests.wire.native.hooks_double import MemoryWebhooks

MINE = "gst_mine"
RIVAL = "gst_rival"
READER = "gst_reader"


class Directory(FakeAccess):
    """FakeAccess with accounts by name and API keys."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, Principal] = {}

    async def account(
        self, organization: int, name: str, type: AccountType, environment: Environment = Environment.PRODUCTION
    ) -> Account | None:
        self._check()
        wanted = (organization, name.casefold(), type, environment)
        for account in self._accounts.values():
            if (account.organization, account.name.casefold(), account.type, account.environment) == wanted:
                return account
        return None

    async def accounts(self, organization: int) -> list[Account]:
        return [account for account in self._accounts.values() if account.organization == organization]

    async def api_key(self, key: str, linked_account: str | None = None) -> Principal:
        self._check()
        if key not in self.keys:
            raise Unauthenticated("Unknown API key.")
        caller = self.keys[key]
        if linked_account is None:
            return caller
        assert caller.environment is not None
        found = await self.account(caller.organization.id, linked_account, AccountType.LINKED, caller.environment)
        if found is None:
            raise InvalidInput("No such linked account.", field="linked_account_id", where="header")
        return msgspec.structs.replace(caller, account=found)


def toy_codec(posted: Mapping[str, Any], *, now_us: int, organization: str) -> Decoded:
    """A vendor whose execution is `{"ref", "who"}`: a run that succeeded at the dawn of time."""
    for name in ("ref", "who"):
        if not isinstance(posted.get(name), str):
            raise InvalidInput(f"`{name}` is required.", field=name)

    def row(account: Account) -> NewExecution:
        return NewExecution(
            id=posted["ref"],
            account=account.id,
            origin="toy",
            name=organization,
            status=Status.SUCCEEDED,
            source=Source.EVENT,
            created_at_us=0,
            detail=RunDetail(),
        )

    return Decoded(account_name=posted["who"], account_type=AccountType.LINKED, environment=Environment.TEST, row=row)


class FakeExecutors:
    """The front door of executors as the dialect sees it: what is started runs until it is stopped, and is worth
    `worth` meanwhile."""

    def __init__(self, ledger: MemoryLedger, access: Directory, clock: ManualClock) -> None:
        self._ledger, self._access, self._clock = ledger, access, clock
        self._keys: dict[tuple[int, str], tuple[CreateExecutor, str]] = {}
        self.worth = Decimal(0)

    async def create(self, principal: Principal, request: CreateExecutor) -> Execution:
        principal.require(Scope.TRADE)
        organization = principal.organization.id
        if not isinstance(request.config.get("type"), str):
            raise InvalidInput("`type` names the kind of executor.", field="type")
        if request.key is not None and (known := self._keys.get((organization, request.key))) is not None:
            if known[0] != request:
                raise Conflict("This idempotency key was used for another executor; use a new one.")
            return await self._get(principal, known[1])
        account = await self._access.ensure_account(organization, request.account_name, AccountType.TRADING)
        row = NewExecution(
            id=str(request.config.get("id") or f"executor-{len(self._keys)}"),
            account=account.id,
            origin="executor",
            name=str(request.config["type"])[:1024],
            status=Status.RUNNING,
            source=Source.API,
            created_at_us=self._clock.now_us(),
            detail=ExecutorDetail(executor_type=str(request.config["type"]), config=dict(request.config)),
            correlation={"controller_id": request.controller_id},
        )
        (made,) = await self._ledger.append(organization, [row])
        self._keys[organization, request.key or made.id] = (request, made.id)
        return await self._get(principal, made.id)

    async def _get(self, principal: Principal, executor_id: str) -> Execution:
        found = await self._ledger.get(principal.organization.id, executor_id)
        if found is None or found.kind is not Kind.EXECUTOR:
            raise NotFound(f"Execution {executor_id} not found.")
        return found

    async def stop(self, principal: Principal, executor_id: str, *, keep_position: bool = False) -> Execution:
        principal.require(Scope.TRADE)
        found = await self._get(principal, executor_id)
        if found.status in TERMINAL:
            raise Conflict(f"Executor {executor_id} is over already.", executor_id=executor_id)
        event = NewEvent(type="executor.stopped", data={"keep_position": keep_position})
        return await self._ledger.transition(
            principal.organization.id, executor_id, Transition(event=event, status=Status.CANCELLED)
        )

    def live(self, principal: Principal, execution: Execution) -> ExecutorDetail | None:
        principal.require(Scope.READ)
        if execution.status in TERMINAL:
            return None
        assert isinstance(execution.detail, ExecutorDetail)
        return msgspec.structs.replace(execution.detail, net_pnl_quote=self.worth)


class House:
    def __init__(self, limits: Limits) -> None:
        self.clock = ManualClock()
        self.access = Directory()
        self.ledger = MemoryLedger(self.clock)
        self.executors = FakeExecutors(self.ledger, self.access, self.clock)
        self.workflows = MemoryWorkflows(self.ledger, self.access, self.clock, SeededIds(7))
        self.jobs = MemoryJobs(self.workflows.runs, self.clock, SeededIds(8))
        self.services = Services(
            reading=Reading(self.ledger),
            recording=Recording(self.ledger),
            access=self.access,  # type: ignore[arg-type]
            clock=self.clock,
            ids=SeededIds(),
            limits=limits,
            vendor_codecs={"toy": toy_codec},
            market=MarketDesk(Catalog(), self.clock),
            executors=self.executors,  # type: ignore[arg-type]
            workflows=msgspec.structs.replace(self.workflows.face, jobs=self.jobs),
            webhooks=MemoryWebhooks(),
        )
        self.access.bearers[MINE] = principal(1, credential_id=1)
        self.access.bearers[RIVAL] = principal(2, credential_id=2)
        self.access.bearers[READER] = principal(1, Scope.READ, credential_id=3)
        for key, environment in (("pk_live", Environment.PRODUCTION), ("tk_test", Environment.TEST)):
            caller = principal(1, Scope.RUN, Scope.TRADE, credential_id=4)
            self.access.keys[key] = msgspec.structs.replace(caller, environment=environment)
        self.app: FastAPI = build(self.services)

    def stream(self, **query: Any) -> Stream:
        return Stream(self.app, query)


class Stream:
    """An SSE client at the ASGI level. While `reading` is clear, it takes nothing: a caller with a full buffer."""

    def __init__(self, app: FastAPI, query: dict[str, Any]) -> None:
        headers = query.pop("headers", {})
        if not query.pop("anonymous", False):
            headers = {"authorization": f"Bearer {MINE}", **headers}
        self._app = app
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/ledger/stream",
            "raw_path": b"/ledger/stream",
            "root_path": "",
            "scheme": "http",
            "query_string": urlencode(query, doseq=True).encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("gesta.test", 80),
            "state": {},
        }
        self.reading = asyncio.Event()
        self.reading.set()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self._buffer = b""
        self._blocks: asyncio.Queue[bytes] = asyncio.Queue()
        self._left = asyncio.Event()

    async def __aenter__(self) -> Stream:
        self._task = asyncio.create_task(self._app(self._scope, self._receive, self._send))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._left.set()
        self.reading.set()
        await asyncio.wait_for(self._task, 5)

    async def _receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reading.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self._buffer += message.get("body", b"")
        *blocks, self._buffer = self._buffer.split(b"\n\n")
        for block in blocks:
            self._blocks.put_nowait(block)
        if not message.get("more_body", False):
            self.ended = True
            self._blocks.put_nowait(b"")

    async def block(self) -> dict[str, str]:
        """The next block as its fields; {} at the end. A comment is under the empty name."""
        text = (await asyncio.wait_for(self._blocks.get(), 5)).decode()
        return dict(line.split(": ", 1) if line[0] != ":" else ("", line[2:]) for line in text.splitlines())

    async def finished(self) -> None:
        await asyncio.wait_for(asyncio.shield(self._task), 5)

    async def event(self) -> tuple[int, dict[str, Any]]:
        """The id and the data of the next feed item, past `ready` and heartbeats."""
        while True:
            block = await self.block()
            assert block, "the stream ended"
            if block.get("event") not in (None, "ready", "problem"):
                return int(block["id"]), json.loads(block["data"])
