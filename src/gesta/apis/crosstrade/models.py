"""The wire shapes, for the OpenAPI document. What is sent is built by `codec` and `errors`; tests hold the two equal.

Names and order of the Execution keys are seed 000's; meanings are protocols/crosstrade.md §5.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

NINJATRADER_EXECUTION = "NinjaTrader.Cbi.Execution"

EXAMPLE_EXECUTION: dict[str, Any] = {
    "id": "550837ff9e784c2895ef6dab22d06be0",
    "type": NINJATRADER_EXECUTION,
    "time": "2025-09-26T18:09:38.3736787",
    "epoch": 1727399378373,
    "name": "Exit",
    "orderId": "d99b2043460849ddae409d1b15cb92ff",
    "account": "Sim101",
    "serverName": "DESKTOP-200Q1V3",
    "instrument": "ES 12-25",
    "instrumentType": "Future",
    "position": 0,
    "marketPosition": "Short",
    "positionStrategy": 0,
    "price": 5804.5,
    "quantity": 1,
    "rate": 1.0,
    "commission": "0.00",
    "slippage": 0.0,
    "lotSize": 1.0,
    "isEntry": False,
    "isEntryStrategy": False,
    "isExit": True,
    "isExitStrategy": True,
    "isInitialEntry": False,
    "isLastExit": True,
    "isSod": False,
    "barsInProgress": 0,
    "exchange": "Default",
}


class Execution(msgspec.Struct, kw_only=True, rename="camel"):
    """One trade fill, as NinjaTrader reports it."""

    id: Annotated[str, Meta(description="Opaque; unique in the account. The key for de-duplication.")]
    type: Literal["NinjaTrader.Cbi.Execution"]
    time: Annotated[
        str,
        Meta(description="Wall clock in the account's configured time zone, seven fractional digits, no zone suffix."),
    ]
    epoch: Annotated[int, Meta(description="Unix milliseconds, UTC; sub-millisecond digits are cut.")]
    name: Annotated[str, Meta(description="Name of the order or signal; may be empty.")]
    order_id: str
    account: Annotated[str, Meta(description="Account name in its canonical case.")]
    server_name: str
    instrument: str
    instrument_type: str
    position: Annotated[int | float, Meta(description="Signed position of the account after the fill.")]
    market_position: Annotated[
        Literal["Long", "Short"], Meta(description="Direction of the fill: Long for a buy, Short for a sell.")
    ]
    position_strategy: int
    price: float
    quantity: Annotated[
        Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)],
        Meta(description="Unsigned. Whole for futures; a fraction where the venue fills fractions."),
    ]
    rate: Annotated[float, Meta(description="Currency conversion rate; 1.0 if none applies.")]
    commission: Annotated[str, Meta(description="For the whole fill, two decimals, as text.")]
    slippage: Annotated[float, Meta(description="Ticks between the last trade price and the fill price.")]
    lot_size: float
    is_entry: bool
    is_entry_strategy: bool
    is_exit: bool
    is_exit_strategy: bool
    is_initial_entry: bool
    is_last_exit: bool
    is_sod: bool
    bars_in_progress: int
    exchange: str


class ExecutionReply(Execution, kw_only=True, rename="camel"):
    """One execution, flattened, beside `success` (seed 001)."""

    success: Literal[True]


class ExecutionList(msgspec.Struct, kw_only=True, rename="camel"):
    """Newest first. `nextCursor` appears only where Gesta's paging was asked for or a window was cut at its cap."""

    executions: list[Execution]
    success: Literal[True]
    next_cursor: (
        Annotated[str, Meta(description="Pass it as `cursor` for the next page; null at the end.")]
        | msgspec.UnsetType
        | None
    ) = msgspec.UNSET


class EndpointArgument(msgspec.Struct, kw_only=True):
    name: str
    where: Annotated[
        Literal["path", "query", "body"], Meta(description="Over the WebSocket every argument stands in `args`.")
    ]
    required: bool
    description: str


class Endpoint(msgspec.Struct, kw_only=True):
    """One command: its REST spelling and its WebSocket spelling."""

    method: str
    path: str
    api: Annotated[str, Meta(description="The `api` of a WebSocket `rpc` frame.")]
    aliases: Annotated[list[str], Meta(description="Other names that mean the same there.")]
    summary: str
    arguments: list[EndpointArgument]


class EndpointList(msgspec.Struct, kw_only=True):
    endpoints: list[Endpoint]
    success: Literal[True]


class Error(msgspec.Struct, kw_only=True):
    """The older contract's `error` and the newer one's `success` and `detail`, in one object."""

    success: Literal[False]
    error: Annotated[str, Meta(description="A fixed text to branch on.")]
    detail: Annotated[str, Meta(description="A sentence for a person.")]


class RouteError(Error, kw_only=True):
    """No such path or command."""

    did_you_mean: Annotated[str, Meta(description="The closest known path, or command name over the WebSocket.")]


class RateError(Error, kw_only=True, rename="camel"):
    """Over the limit; the header `Retry-After` says the same number."""

    retry_after: Annotated[int, Meta(description="Seconds until a call will be admitted.")]
