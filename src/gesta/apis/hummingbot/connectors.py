"""What a client asks before it trades: its accounts, the connectors, their trading rules, prices (hummingbot-api's
`/accounts/`, `/connectors/`, `/connectors/{connector_name}/trading-rules`, `/market-data/prices`).

Every connector name is answered by the paper venue; the list names the two markets that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import AccountType, Environment, Scope
from gesta.apis.common.services import Services
from gesta.apis.hummingbot.calls import MAX_NAME, add, caller_of, inlined, parameter, refused, responses
from gesta.apis.hummingbot.codec import double
from gesta.desk.market.face import Market
from gesta.executors import legs
from gesta.executors.machines.common import is_perpetual
from gesta.executors.machines.face import Leg
from gesta.executors.vocabulary import DEFAULT_ACCOUNT
from gesta.kernel.errors import InvalidInput, NotFound, TooLarge
from gesta.kernel.json import decode_json
from gesta.trading.instruments import Instrument, InstrumentKind

CONNECTORS = ("binance", "binance_perpetual")
# Said with every list of connectors: their orders go to no exchange.
PAPER = {"Gesta-Venue": "paper"}
MAX_PAIRS = 1000
MAX_BODY_BYTES = 256 * 1024
_PERPETUAL = "-PERP"

_encoder = msgspec.json.Encoder()


class TradingRule(msgspec.Struct, kw_only=True):
    """What an order in a pair must keep to."""

    min_order_size: float
    max_order_size: float | None
    min_price_increment: float
    min_base_amount_increment: float
    min_quote_amount_increment: float
    min_notional_size: float
    min_order_value: float
    max_price_significant_digits: float | None
    supports_limit_orders: bool
    supports_market_orders: bool
    buy_order_collateral_token: str
    sell_order_collateral_token: str
    is_paper: bool


def rule_of(instrument: Instrument, pair: str) -> TradingRule:
    """Pure."""
    rules = legs.rules_of(instrument)
    base, _, quote = pair.partition("-")
    step = double(rules.min_base_increment)
    is_spot = instrument.kind is InstrumentKind.SPOT
    return TradingRule(
        min_order_size=double(rules.min_order_size),
        max_order_size=None,
        min_price_increment=double(rules.min_price_increment),
        min_base_amount_increment=step,
        min_quote_amount_increment=double(rules.min_price_increment * rules.min_base_increment),
        min_notional_size=double(rules.min_notional),
        min_order_value=double(rules.min_notional),
        max_price_significant_digits=None,
        supports_limit_orders=True,
        supports_market_orders=True,
        buy_order_collateral_token=quote,
        sell_order_collateral_token=base if is_spot else quote,
        is_paper=True,
    )


def pairs_of(market: Market, connector: str) -> dict[str, Instrument]:
    """The pairs of a connector that have market data now."""
    kind = InstrumentKind.LINEAR_PERPETUAL if is_perpetual(connector) else InstrumentKind.SPOT
    found = [each for each in market.instruments() if each.kind is kind and each.point_value == 1]
    return {each.name.removesuffix(_PERPETUAL): each for each in found}


def instrument_of(market: Market, connector: str, pair: str) -> Instrument | None:
    """None for a pair that the connector does not have."""
    if not pair.isprintable() or len(pair) > MAX_NAME:
        return None
    leg = Leg(connector_name=connector, trading_pair=pair, is_perpetual=is_perpetual(connector))
    try:
        return legs.instrument_of(leg, market.resolve)
    except InvalidInput:
        return None


class Connectors:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def accounts(self, request: Request) -> Response:
        """The names of the accounts that executors may use. `master_account` comes to be with its first executor."""
        principal = await caller_of(self._services, request)
        principal.require(Scope.READ)
        if principal.account is not None:
            return _json([principal.account.name])
        names = {DEFAULT_ACCOUNT} | {
            account.name
            for account in await self._services.access.accounts(principal.organization.id)
            if account.type is AccountType.TRADING and account.environment is Environment.PRODUCTION
        }
        return _json(sorted(names, key=lambda name: (name != DEFAULT_ACCOUNT, name)))

    async def connectors(self, request: Request) -> Response:
        """The names of the connectors. All are the paper venue: the header `Gesta-Venue` says so."""
        (await caller_of(self._services, request)).require(Scope.READ)
        return _json(CONNECTORS, headers=PAPER)

    async def rules(self, request: Request) -> Response:
        """The trading rules of a connector, of the pairs that are named or of all that have market data."""
        (await caller_of(self._services, request)).require(Scope.READ)
        connector, named = request.path_params["connector_name"], request.query_params.getlist("trading_pairs")
        if len(named) > MAX_PAIRS:
            raise refused("trading_pairs", "too_long", f"List should have at most {MAX_PAIRS} items", None)
        market = self._services.markets
        if not named:
            rules = {pair: rule_of(each, pair) for pair, each in sorted(pairs_of(market, connector).items())}
            return _json(rules, headers=PAPER)
        found: dict[str, Any] = {}
        for pair in named:
            instrument = instrument_of(market, connector, pair)
            shown = pair[:MAX_NAME]
            found[shown] = (
                {"error": f"Trading pair {shown} not found"} if instrument is None else rule_of(instrument, shown)
            )
        return _json(found, headers=PAPER)

    async def prices(self, request: Request) -> Response:
        """The middle of the market now, null where one side of it is empty."""
        (await caller_of(self._services, request)).require(Scope.READ)
        connector, pairs = asked_of(await _posted(request))
        market = self._services.markets
        prices: dict[str, float | None] = {}
        for pair in pairs:
            instrument = instrument_of(market, connector, pair)
            if instrument is None:
                raise NotFound(f"{connector} has no trading pair {pair}", what="trading pair")
            price = legs.price_of(instrument, market.snapshot(instrument.name).quote)
            prices[pair] = None if price is None else double(price.mid)
        return _json(
            {"connector": connector, "prices": prices, "timestamp": self._services.clock.now_us() / 1_000_000},
            headers=PAPER,
        )


def asked_of(posted: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Connector and pairs of a request for prices. Raises InvalidInput."""
    connector, pairs = posted.get("connector_name"), posted.get("trading_pairs")
    if not _is_name(connector):
        raise _defect("connector_name", f"Input should be a text of 1 to {MAX_NAME} printable characters")
    if not isinstance(pairs, list) or len(pairs) > MAX_PAIRS or not all(_is_name(pair) for pair in pairs):
        raise _defect("trading_pairs", f"Input should be a list of at most {MAX_PAIRS} trading pairs")
    return str(connector), pairs


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def _defect(name: str, message: str) -> InvalidInput:
    return refused(name, "value_error", message, None, where="body")


async def _posted(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"The body of this request has at most {MAX_BODY_BYTES} bytes.")
    try:
        posted = decode_json(bytes(body))
    except InvalidInput as error:
        raise InvalidInput(error.message, where="body") from None
    if not isinstance(posted, dict):
        raise InvalidInput("Input should be a JSON object", where="body")
    return posted


def _json(value: Any, *, headers: dict[str, str] | None = None) -> Response:
    return Response(_encoder.encode(value), media_type="application/json", headers=headers)


def register(router: APIRouter, services: Services) -> None:
    connectors = Connectors(services)
    names = {"type": "array", "items": {"type": "string"}}
    said = {"description": "`paper`: no order leaves this server.", "schema": {"const": "paper"}}
    paper: dict[str, Any] = {"Gesta-Venue": said}
    add(
        router,
        "/accounts/",
        connectors.accounts,
        "GET",
        "List Accounts",
        "list_accounts",
        {"responses": responses(names)},
    )
    listed = responses(names)
    listed["200"]["headers"] = paper
    add(
        router,
        "/connectors/",
        connectors.connectors,
        "GET",
        "Available Connectors",
        "available_connectors",
        {"responses": listed},
    )
    missing = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    ruled = responses(
        {"type": "object", "additionalProperties": {"anyOf": [inlined(TradingRule), missing]}}, invalid=True
    )
    ruled["200"]["headers"] = paper
    pairs = parameter("trading_pairs", "Only these pairs; may be given often.") | {"schema": names}
    path = "/connectors/{connector_name}/trading-rules"
    extra = {"parameters": [parameter("connector_name", "Connector name", where="path"), pairs], "responses": ruled}
    add(router, path, connectors.rules, "GET", "Get Trading Rules", "get_trading_rules", extra)
    _register_prices(router, connectors, paper)


def _register_prices(router: APIRouter, connectors: Connectors, paper: dict[str, Any]) -> None:
    price = {"type": ["number", "null"]}
    properties = {
        "connector": {"type": "string"},
        "prices": {"type": "object", "additionalProperties": price},
        "timestamp": {"type": "number"},
    }
    answer = {"type": "object", "properties": properties, "required": list(properties)}
    name = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}
    asked = {
        "type": "object",
        "properties": {
            "connector_name": name,
            "trading_pairs": {"type": "array", "items": name, "maxItems": MAX_PAIRS},
        },
        "required": ["connector_name", "trading_pairs"],
    }
    told = responses(answer, missing="The connector has no such trading pair.", invalid=True)
    told["200"]["headers"] = paper
    told["408"] = told["403"] | {"description": "The body did not arrive in time."}
    told["413"] = told["403"] | {"description": "The body is too large."}
    body = {"required": True, "content": {"application/json": {"schema": asked}}}
    extra = {"requestBody": body, "responses": told}
    add(router, "/market-data/prices", connectors.prices, "POST", "Get Prices", "get_prices", extra)
