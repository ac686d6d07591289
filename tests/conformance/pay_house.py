"""A house whose runs may cost something: the runs' house with a till, and a provider that can be down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gesta.kernel.errors import InvalidInput, Unavailable
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.testing.memory_engine import EngineDisk
from gesta.workflows.face import Started
from gesta.workflows.graph.definition import Definition, Price
from gesta.workflows.payments.desk import PaymentDesk
from gesta.workflows.payments.face import Order, Session, Taken, Verdict, VerdictKind
from gesta.workflows.payments.test_provider import BuiltInProvider
from gesta.workflows.runs.desk import RunDesk
from gesta.workflows.runs.rows import Plans
from tests.conformance.run_house import House, Remote, detail, flow, node

PUBLIC = "http://pay.test"
US = 1_000_000


class FrailProvider(BuiltInProvider):
    """The test provider, which can be out of reach, refuse, or have been paid in the last moment."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.is_down = False
        self.refuses = ""
        self.is_paid_there = False
        self.refunds: Counter[str] = Counter()
        self.refund_fails: dict[str, Exception] = {}
        self.ended: list[str] = []
        self.opened: Counter[str] = Counter()

    async def open(self, order: Order) -> Session:
        if self.is_down:
            raise Unavailable("The provider does not answer.")
        if self.refuses:
            raise InvalidInput(self.refuses)
        self.opened[order.key] += 1
        return await super().open(order)

    async def expire(self, provider_id: str) -> bool:
        if self.is_down:
            raise Unavailable("The provider does not answer.")
        self.ended.append(provider_id)
        return not self.is_paid_there

    async def refund(self, payment_id: str, *, key: str, reason: str) -> None:
        failure = self.refund_fails.pop(payment_id, None)
        if failure is not None:
            raise failure
        self.refunds[key] += 1


class PayHouse(House):
    def __init__(self, database: Database, clock: ManualClock, disk: EngineDisk, remote: Remote, seed: int) -> None:
        super().__init__(database, clock, disk, remote, seed)
        ids, plans = SeededIds(1000 + seed), Plans()
        self.provider = FrailProvider(key=self.access.derived_key, public_url=PUBLIC)
        given: dict[str, Any] = {"database": database, "reading": self.reading, "clock": clock, "ids": ids}
        self.payments = PaymentDesk(
            **given, plans=plans, service=self.service, providers={"test": self.provider}, provider="test"
        )
        self.runs = RunDesk(**given, access=self.access, plans=plans, service=self.service, payments=self.payments)

    async def bought(self, price: str = "4.50", currency: str = "USD", **asked: Any) -> Started:
        return await self.start(costing(price, currency), {"n": 1}, **asked)

    async def order(self, run_id: str) -> Order:
        view = await self.payments.checkout(self.principal, run_id)
        return Order(
            checkout=view.id,
            run_id=run_id,
            title="",
            amount=view.amount,
            currency=view.currency,
            created_at_us=view.created_at_us,
            expires_at_us=view.expires_at_us,
            success_url="",
            cancel_url="",
            email="",
            key="",
        )

    async def says(self, run_id: str, kind: VerdictKind, **changes: Any) -> Taken:
        """A genuine callback."""
        verdict = self.provider.verdict(kind, await self.order(run_id), self.clock.now_us())
        fields = {name: getattr(verdict, name) for name in Verdict.__struct_fields__} | changes
        return await self.send(*await self.provider.signed(Verdict(**fields), self.clock.now_us()))

    async def send(self, body: bytes, headers: Mapping[str, str]) -> Taken:
        return await self.payments.callback("test", body, headers)

    async def words(self, run_id: str, prefix: str = "payment.") -> list[str]:
        return [event.type for event in await self.events(run_id) if event.type.startswith(prefix)]

    async def money(self, run_id: str) -> tuple[str, str | None, str | None]:
        """The execution's status, its payment's word, and the reason."""
        execution = await self.get(run_id)
        said = detail(execution)
        return execution.status.value, said.payment_status, said.status_reason

    async def checkout_status(self, run_id: str) -> str:
        return (await self.payments.checkout(self.principal, run_id)).status


def costing(price: str = "4.50", currency: str = "USD") -> Definition:
    return flow(node("a"), links=("start>a",), price=Price(amount=Decimal(price), currency=currency))
