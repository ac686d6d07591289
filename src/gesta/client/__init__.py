"""The public client of a Gesta server, sync and async. It imports nothing of the server.

from gesta.client import Gesta

with Gesta() as gesta:                      # GESTA_URL and GESTA_TOKEN from the environment
    report = gesta.executions.ingest(rows)
    for execution in gesta.executions.list(kind="fill", account="Sim101"):
        ...
    for item in gesta.stream(after=report.last_seq):
        ...
    placed = gesta.trading.place("Sim101", "ES", "buy", 2, limit_price="5804.25", stop_ticks=8, target_ticks=16)
    order = gesta.trading.wait("Sim101", placed["orderId"])
    started = gesta.runs.start("greet", {"name": "Ada"}, wait_s=10)
    executor = gesta.executors.create({"type": "position_executor", "connector_name": "binance", ...})
"""

from gesta.client._async import AsyncExecutions, AsyncGesta
from gesta.client._async_executors import AsyncExecutors
from gesta.client._async_trading import AsyncTrading
from gesta.client._async_workflows import AsyncRuns, AsyncSchedules, AsyncWorkflows
from gesta.client._errors import (
    ApiError,
    BadRequest,
    ClientError,
    Conflict,
    Forbidden,
    NotConfigured,
    NotFound,
    ProtocolError,
    RateLimited,
    ServerFault,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from gesta.client._executors import Executors
from gesta.client._market import AsyncMarket, Market, PushReport
from gesta.client._retry import Retry
from gesta.client._shapes import IngestReport, RowResult, StreamItem
from gesta.client._sync import Executions, Gesta
from gesta.client._trading import Trading
from gesta.client._trading_calls import OrderTerms
from gesta.client._workflow_calls import UNSET
from gesta.client._workflows import Runs, Schedules, Workflows

__all__ = [
    "UNSET",
    "ApiError",
    "AsyncExecutions",
    "AsyncExecutors",
    "AsyncGesta",
    "AsyncMarket",
    "AsyncRuns",
    "AsyncSchedules",
    "AsyncTrading",
    "AsyncWorkflows",
    "BadRequest",
    "ClientError",
    "Conflict",
    "Executions",
    "Executors",
    "Forbidden",
    "Gesta",
    "IngestReport",
    "Market",
    "NotConfigured",
    "NotFound",
    "OrderTerms",
    "ProtocolError",
    "PushReport",
    "RateLimited",
    "Retry",
    "RowResult",
    "Runs",
    "Schedules",
    "ServerFault",
    "StreamItem",
    "TooLarge",
    "Trading",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "Workflows",
]
