"""What the clients of a server that is killed were told of its trading, and the comparison of it with what the next
server has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

FINAL = frozenset({"Filled", "Cancelled", "Rejected"})
RESTING = frozenset({"Accepted", "Working", "PartFilled"})
ON_THE_WAY = frozenset({"Initialized", "Submitted", "CancelPending", "ChangePending"})

Object = dict[str, Any]


class TradingWitness:
    """Kept over all kills of one database. `tried` are placements without an answer, `acknowledged` those with one;
    `orders` and `fills` what was last listed or pushed, by id; `cancelled` the orders whose cancel was acknowledged."""

    def __init__(self) -> None:
        self.tried: dict[str, Object] = {}
        self.acknowledged: dict[str, str] = {}
        self.bodies: dict[str, Object] = {}
        # Sent again after a restart: a market order among them may have met no market.
        self.sent_again: set[str] = set()
        self.cancelled: set[str] = set()
        self.orders: dict[str, Object] = {}
        self.fills: dict[str, Object] = {}

    # -- what the killed server said

    def tries(self, client_id: str, body: Object) -> None:
        self.tried[client_id] = self.bodies[client_id] = body

    def placed(self, client_id: str, order_id: str) -> None:
        """Raises AssertionError where the same placement gave another order before."""
        assert self.acknowledged.setdefault(client_id, order_id) == order_id, f"{client_id} was placed twice"
        self.tried.pop(client_id, None)

    def saw_order(self, order: Object) -> None:
        """A listing may be answered after a newer push: what has got further stays."""
        known = self.orders.get(order["orderId"])
        if known is None or (known["orderState"] not in FINAL and known["filled"] <= order["filled"]):
            self.orders[order["orderId"]] = order

    def saw_fill(self, fill: Object) -> None:
        assert self.fills.setdefault(fill["id"], fill) == fill, "a fill has changed"

    # -- after the restart

    def check_orders(self, listed: Iterable[Object], *, settled: bool) -> dict[str, Object]:
        """Every acknowledged order is there once and no further back than it was said to be. Once `settled`, it works
        or is final, and what was cancelled is final. Gives the orders by id."""
        rows = list(listed)
        orders = {order["orderId"]: order for order in rows}
        assert len(orders) == len(rows)
        placements = Counter(order["originalOrderId"] for order in rows if order["originalOrderId"] is not None)
        assert [name for name, count in placements.items() if count > 1] == []
        assert placements.keys() <= self.bodies.keys()
        for client_id, order_id in self.acknowledged.items():
            assert order_id in orders, f"{client_id} was acknowledged as {order_id} and is gone"
            self._check_placed(client_id, orders[order_id], settled=settled)
        for order_id, said in self.orders.items():
            now = orders[order_id]
            assert now["filled"] >= said["filled"]
            if said["orderState"] in FINAL:
                assert (now["orderState"], now["filled"]) == (said["orderState"], said["filled"]), (said, now)
        if settled:
            assert {order["orderState"] for order in rows} <= FINAL | RESTING
            assert {orders[order_id]["orderState"] for order_id in self.cancelled} <= FINAL
        return orders

    def _check_placed(self, client_id: str, order: Object, *, settled: bool) -> None:
        assert order["originalOrderId"] == client_id
        assert order["orderState"] in FINAL | RESTING | (frozenset() if settled else ON_THE_WAY), order
        if order["orderState"] == "Rejected":
            assert client_id in self.sent_again, order
            assert order["reason"].startswith("No market data"), order

    def check_fills(self, listed: Iterable[Object], orders: dict[str, Object], positions: Iterable[Object]) -> None:
        """Every fill that was seen is there once, as it was; orders, brackets and positions are what the fills make."""
        rows = list(listed)
        fills = {fill["id"]: fill for fill in rows}
        assert len(fills) == len(rows), "a fill is listed twice"
        for id_, said in self.fills.items():
            assert fills.get(id_) == said, f"the fill {id_} was told and is {fills.get(id_)}"
        filled: defaultdict[str, Decimal] = defaultdict(Decimal)
        held: defaultdict[str, Decimal] = defaultdict(Decimal)
        opening: Counter[str] = Counter()
        for fill in rows:
            quantity = Decimal(fill["quantity"])
            filled[fill["orderId"]] += quantity
            held[fill["instrument"]] += quantity if fill["marketPosition"] == "Long" else -quantity
            opening[fill["orderId"]] += fill["isEntry"]
        assert filled == {id_: Decimal(order["filled"]) for id_, order in orders.items() if order["filled"]}
        signs = {"Long": 1, "Short": -1, "Flat": 0}
        assert {each["instrument"]: signs[each["marketPosition"]] * each["quantity"] for each in positions} == {
            instrument: lots for instrument, lots in held.items() if lots
        }
        _check_brackets(orders, opening)


def _check_brackets(orders: dict[str, Object], opening: Counter[str]) -> None:
    """Each fill that opened has brought its stop and its target, once."""
    children: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for order in orders.values():
        if order["entryOrderId"] is not None:
            children[order["entryOrderId"]][order["name"]] += 1
    assert children.keys() <= orders.keys()
    for id_, order in orders.items():
        wanted: Counter[str] = Counter()
        if opening[id_] and order["stopLossTicks"] is not None:
            wanted["Stop1"] = opening[id_]
        if opening[id_] and order["takeProfitTicks"] is not None:
            wanted["Target1"] = opening[id_]
        assert children[id_] == wanted, order
