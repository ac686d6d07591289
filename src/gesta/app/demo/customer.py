"""Everybody outside of the demo's workflows: places orders, buys and pays runs, answers what people are asked. All of
it through the front door of workflows, and payments as a payer makes them: by the page's own button, over HTTP."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx
import msgspec
import structlog

from gesta.access.model import Account, Environment, Principal
from gesta.app.demo import shop
from gesta.app.demo.handout import Runs
from gesta.app.demo.published import OPEN_POSITION, TAKE_ORDER, WATCH_PRICES, publish
from gesta.app.demo.shop import LEAVES, PAYS, TURN_US, Asked, Pay, Unpaid
from gesta.desk.reading import MAX_PAGE, Reading
from gesta.kernel.clock import Clock
from gesta.kernel.errors import CallerError
from gesta.ledger.records import Execution, Kind, RunDetail, Status
from gesta.workflows.face import EventIn, Started, StartRun, Workflows

log = structlog.get_logger("gesta.demo")

INTERVAL_S = 1.0
ASKS = "ask"
_TIMEOUT_S = 10.0
_TOKEN = re.compile(r'name="token" value="([^"]+)"')


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer acts through. `address` is the server's own, `service` that of what workflows call."""

    workflows: Workflows
    reading: Reading
    clock: Clock
    address: str
    service: str


class Customer:
    """`begin` once, then `advance` every INTERVAL_S. Either may be repeated after an error: what is started has a key
    that follows from its turn, and who waits is found in the ledger, whatever process they met before. `buys` False:
    nobody buys what nothing here could trade."""

    def __init__(self, seed: int, account: Account, principal: Principal, doors: Doors, *, buys: bool = True) -> None:
        self._seed = seed
        # Bound to the account, as its own runs and workflows are.
        self._principal = msgspec.structs.replace(principal, account=account, environment=Environment.TEST)
        self._doors = doors
        self._buys = buys
        self._turn = doors.clock.now_us() // TURN_US
        self._take_order = ""

    async def begin(self) -> Runs:
        """Publish what is not published, and see to it that there is something of each kind."""
        published = await publish(self._doors.workflows.definitions, self._principal, self._doors.service)
        self._take_order = published[TAKE_ORDER].id
        await self._start(WATCH_PRICES, f"demo-{self._turn}")
        order = await self._place(self._turn)
        bought = to_pay = None
        if self._buys:
            bought = await self._buy(self._turn, f"{PAYS}{self._turn}")
            # Every start has its own: what an earlier one left may expire while it is looked at.
            to_pay = await self._buy(self._turn, f"{LEAVES}{self._doors.clock.now_us()}")
        return Runs(
            order_id=None if order is None else order.id,
            paid_id=None if bought is None else bought.execution.id,
            client_token=None if bought is None else bought.client_token,
            checkout_url=None if to_pay is None else to_pay.checkout_url,
        )

    async def advance(self) -> None:
        """Make the turn that it is, unless it is made, and do what people have made up their minds about."""
        now_us = self._doors.clock.now_us()
        turn = now_us // TURN_US
        if turn != self._turn:
            await self._place(turn)
            reference = shop.buyer(turn)
            if reference is not None and self._buys:
                await self._buy(turn, reference)
            self._turn = turn
        for each in shop.due(self._seed, now_us, await self._unpaid(), await self._asked()):
            if isinstance(each, Pay):
                await self._pay(each.run_id)
            else:
                await self._answer(each.run_id, each.approved)

    # -- starting

    async def _place(self, turn: int) -> Execution | None:
        """The run of the order; also of one that was placed already and whose answer was lost, if it is the newest."""
        payload = shop.order(self._seed, turn)
        event = EventIn(event="order.placed", application="shop", payload=payload)
        try:
            taken = await self._doors.workflows.triggers.event(self._principal, event)
        except CallerError as error:
            _refused(TAKE_ORDER, error)
            return None
        if taken.started:
            return taken.started[0]
        query = self._doors.reading.filter(
            self._principal, kinds=frozenset({Kind.RUN}), correlation={"workflow_id": self._take_order}
        )
        found = await self._doors.reading.page(self._principal, query, offset=0, limit=1, total=False)
        return next(iter(found.rows), None)

    async def _buy(self, turn: int, reference: str) -> Started | None:
        return await self._start(OPEN_POSITION, reference, shop.purchase(self._seed, turn))

    async def _start(self, workflow: str, reference: str, input: object = None) -> Started | None:
        request = StartRun(
            workflow=workflow,
            input=input,
            key=reference,
            attributes={
                "external_ref": reference,
                "source_system": "demo",
                "source_entity_type": "turn",
                "client_safe_metadata": {"from": "gesta demo"},
            },
        )
        try:
            return await self._doors.workflows.runs.start(self._principal, request)
        except CallerError as error:
            _refused(workflow, error)
            return None

    # -- going on

    async def _rows(self, status: Status) -> list[Execution]:
        reading = self._doors.reading
        query = reading.filter(self._principal, kinds=frozenset({Kind.RUN}), statuses=frozenset({status}))
        return list((await reading.seek(self._principal, query, after=None, limit=MAX_PAGE)).rows)

    async def _unpaid(self) -> list[Unpaid]:
        return [
            Unpaid(id=row.id, reference=row.detail.external_ref, since_us=row.created_at_us)
            for row in await self._rows(Status.AWAITING_PAYMENT)
            if isinstance(row.detail, RunDetail) and row.detail.external_ref is not None
        ]

    async def _asked(self) -> list[Asked]:
        asked = []
        for row in await self._rows(Status.WAITING):
            if row.correlation.get("workflow_id") != self._take_order:
                continue
            detail = row.detail
            if isinstance(detail, RunDetail) and isinstance(detail.request_payload, dict):
                number = str(detail.request_payload.get("number"))
                if any(node.id == ASKS and node.status == "waiting" for node in detail.nodes):
                    asked.append(Asked(id=row.id, number=number, since_us=row.updated_at_us))
        return asked

    async def _answer(self, run_id: str, approved: bool) -> None:
        try:
            await self._doors.workflows.runs.resume(self._principal, run_id, ASKS, {"approved": approved})
        except CallerError as error:
            # It has timed out meanwhile, or somebody else has answered.
            _refused(TAKE_ORDER, error)

    async def _pay(self, run_id: str) -> None:
        """Open the page and press its button. What does not come through is tried again at the next turn."""
        try:
            checkout = await self._doors.workflows.payments.checkout(self._principal, run_id)
            page = self._doors.address + urlsplit(checkout.url).path
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
                token = _TOKEN.search((await client.get(page)).text)
                if token is not None:
                    await client.post(page, data={"action": "pay", "token": token[1]})
        except CallerError as error:
            _refused(OPEN_POSITION, error)
        except httpx.HTTPError as error:
            log.warning("demo.not_paid", run=run_id, error=repr(error))


def _refused(workflow: str, error: CallerError) -> None:
    """The demo's user may have changed, paused or archived the workflow: that is his right, and no defect."""
    log.warning("demo.refused", workflow=workflow, error=error.message)
