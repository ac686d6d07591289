"""What the sync and the async trading section share: each question as a request and a way to read its answer. No I/O.

Orders, positions and account snapshots speak the CrossTrade dialect of the server; fills that are taken back or
corrected, and an account's money, its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

import msgspec

from gesta.client._errors import ProtocolError
from gesta.client._requests import Call, decode_object, params_of
from gesta.client._retry import fresh_id

Number = Decimal | int | float | str
T = TypeVar("T")

# An order is over in these states, and not yet judged in those.
FINAL_STATES = frozenset({"Filled", "Cancelled", "Rejected"})
UNANSWERED_STATES = frozenset({"Initialized", "Submitted"})

_JSON = {"Content-Type": "application/json"}
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class Ask(msgspec.Struct, Generic[T], frozen=True):
    """One question."""

    call: Call
    read: Callable[[bytes], T]


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What an order says beyond side, quantity and instrument.

    Without `order_type` it follows from the prices: market, limit, stop-market or stop-limit; `MIT` is named. With
    `stop_ticks` or `target_ticks`, each fill brings a protective stop, a target or both, so many ticks from its price.
    """

    order_type: str | None = None
    time_in_force: str = "DAY"
    limit_price: Number | None = None
    stop_price: Number | None = None
    oco_id: str | None = None
    reduce_only: bool = False
    stop_ticks: int | None = None
    target_ticks: int | None = None
    client_id: str | None = None
    name: str | None = None
    require_market_position: str | None = None

    @property
    def type(self) -> str:
        if self.order_type is not None:
            return self.order_type.upper()
        if self.limit_price is None:
            return "MARKET" if self.stop_price is None else "STOPMARKET"
        return "LIMIT" if self.stop_price is None else "STOPLIMIT"


class Terms(TypedDict, total=False):
    """The fields of OrderTerms as keywords."""

    order_type: str | None
    time_in_force: str
    limit_price: Number | None
    stop_price: Number | None
    oco_id: str | None
    reduce_only: bool
    stop_ticks: int | None
    target_ticks: int | None
    client_id: str | None
    name: str | None
    require_market_position: str | None


def exact(body: bytes) -> dict[str, Any]:
    """A JSON object whose fractions are Decimal, with all their digits. Raises ProtocolError for another answer."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"The answer is not a JSON object: {error}") from None


def rows_of(name: str) -> Callable[[bytes], list[dict[str, Any]]]:
    """The list of that name in the answer."""
    return lambda body: rows_in(exact(body), name)


def rows_in(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = answer.get(name)
    if not isinstance(rows, list):
        raise ProtocolError(f"The answer has no `{name}`.")
    return rows


def number(value: Number) -> Decimal | int:
    """A number as JSON will have it, digit by digit; a float as it prints. Raises ValueError for text that is none."""
    if isinstance(value, int):
        return value
    try:
        made = Decimal(str(value))
    except ArithmeticError:
        raise ValueError(f"{value!r} is not a number") from None
    if not made.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return made


def _get(path: str, **filters: Any) -> Call:
    return Call(method="GET", path=path, params=params_of(filters))


def _send(path: str, body: Mapping[str, Any], *, method: str = "POST") -> Call:
    """A request with a JSON body; what is None is left out."""
    said = {name: value for name, value in body.items() if value is not None}
    return Call(method=method, path=path, headers=_JSON, content=_encoder.encode(said))


def _account(account: str, rest: str = "") -> str:
    return f"/v1/api/accounts/{_part(account, 'account')}{rest}"


def _part(text: str, what: str) -> str:
    if not text:
        raise ValueError(f"{what} cannot be empty")
    return quote(text, safe="")


def _order(account: str, order_id: str, rest: str = "") -> str:
    return _account(account, f"/orders/{_part(order_id, 'order id')}{rest}")


# -- accounts


def accounts() -> Ask[list[dict[str, Any]]]:
    return Ask(_get("/v1/api/accounts"), rows_of("accounts"))


def snapshot() -> Ask[list[dict[str, Any]]]:
    return Ask(_get("/v1/api/accounts/snapshot"), rows_of("accounts"))


def funds(account: str) -> Ask[dict[str, Any]]:
    return Ask(_get(f"/ledger/accounts/{_part(account, 'account')}/funds"), decode_object)


def configure(account: str, cash: Number | None, max_position: Number | None) -> Ask[dict[str, Any]]:
    wanted = {"cash": cash, "max_position": max_position}
    body = {name: str(number(value)) for name, value in wanted.items() if value is not None}
    path = f"/ledger/accounts/{_part(account, 'account')}/funds"
    return Ask(_send(path, body, method="PATCH"), decode_object)


# -- orders


def place(account: str, instrument: str, action: str, quantity: Number, terms: OrderTerms) -> Ask[dict[str, Any]]:
    # With a client id the same order sent twice is one order.
    body = _terms(instrument, action, quantity, terms) | {"orderId": terms.client_id or fresh_id()}
    return Ask(_send(_account(account, "/orders/place"), body), exact)


def replace(
    account: str, order_id: str, instrument: str, action: str, quantity: Number, terms: OrderTerms
) -> Ask[dict[str, Any]]:
    body = _terms(instrument, action, quantity, terms)
    return Ask(_send(_order(account, order_id, "/replace"), body), exact)


def _terms(instrument: str, action: str, quantity: Number, terms: OrderTerms) -> dict[str, Any]:
    return {
        "instrument": instrument,
        "action": action.upper(),
        "quantity": number(quantity),
        "orderType": terms.type,
        "timeInForce": terms.time_in_force.upper(),
        "limitPrice": None if terms.limit_price is None else number(terms.limit_price),
        "stopPrice": None if terms.stop_price is None else number(terms.stop_price),
        "ocoId": terms.oco_id,
        "reduceOnly": terms.reduce_only or None,
        "stopLossTicks": terms.stop_ticks,
        "takeProfitTicks": terms.target_ticks,
        "name": terms.name,
        "requireMarketPosition": terms.require_market_position,
    }


def change(
    account: str, order_id: str, quantity: Number | None, limit_price: Number | None, stop_price: Number | None
) -> Ask[dict[str, Any]]:
    wanted = {"quantity": quantity, "limitPrice": limit_price, "stopPrice": stop_price}
    body = {name: number(value) for name, value in wanted.items() if value is not None}
    return Ask(_send(_order(account, order_id, "/change"), body), exact)


def cancel(account: str, order_id: str) -> Ask[dict[str, Any]]:
    return Ask(_send(_order(account, order_id, "/cancel"), {}), exact)


def cancel_orders(account: str, instrument: str | None) -> Ask[dict[str, Any]]:
    return Ask(_send(_account(account, "/orders/cancel"), {"instrument": instrument}), exact)


def order(account: str, order_id: str) -> Ask[dict[str, Any]]:
    return Ask(_get(_order(account, order_id)), exact)


def orders(account: str, *, working: bool, limit: int, cursor: str | None) -> Ask[dict[str, Any]]:
    return Ask(_get(_account(account, "/orders"), working=working or None, limit=limit, cursor=cursor), exact)


def lifecycle(account: str, order_id: str, limit: int) -> Ask[list[dict[str, Any]]]:
    return Ask(_get(_order(account, order_id, "/lifecycle"), limit=limit), rows_of("events"))


def pauses(timeout_s: float) -> Iterator[float]:
    """Seconds to wait between one look at an order and the next: soon at first, a second later on."""
    left, pause_s = timeout_s, 0.05
    while left > 0:
        yield min(pause_s, left)
        left -= pause_s
        pause_s = min(pause_s * 2, 1.0)


def is_settled(order: Mapping[str, Any], *, final: bool) -> bool:
    """Whether the venue has had its word on it, or with `final` its last word."""
    state = order.get("orderState")
    return state in FINAL_STATES if final else state not in UNANSWERED_STATES


# -- positions


def positions(account: str | None) -> Ask[list[dict[str, Any]]]:
    return Ask(_get("/v1/api/positions" if account is None else _account(account, "/positions")), rows_of("positions"))


def flatten(account: str | None, instrument: str | None) -> Ask[dict[str, Any]]:
    return Ask(_send("/v1/api/positions/flatten", {"account": account, "instrument": instrument}), exact)


# -- what the venue takes back


def _execution(execution_id: str, rest: str) -> str:
    return f"/ledger/executions/{_part(execution_id, 'execution id')}{rest}"


def bust(execution_id: str, reason: str) -> Ask[dict[str, Any]]:
    return Ask(_send(_execution(execution_id, "/bust"), {"reason": reason}), decode_object)


def correct(
    execution_id: str, reason: str, price: Number | None, quantity: Number | None, commission: Number | None
) -> Ask[dict[str, Any]]:
    wanted = {"price": price, "quantity": quantity, "commission": commission}
    body = {name: str(number(value)) for name, value in wanted.items() if value is not None}
    return Ask(_send(_execution(execution_id, "/correct"), {"reason": reason, **body}), decode_object)
