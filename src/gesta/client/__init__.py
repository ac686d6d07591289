"""The public client of a Gesta server, sync and async. It imports nothing of the server.

from gesta.client import Gesta

with Gesta() as gesta:                      # GESTA_URL and GESTA_TOKEN from the environment
    report = gesta.executions.ingest(rows)
    for execution in gesta.executions.list(kind="fill", account="Sim101"):
        ...
    for item in gesta.stream(after=report.last_seq):
        ...
"""

from gesta.client._async import AsyncExecutions, AsyncGesta
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
from gesta.client._retry import Retry
from gesta.client._shapes import IngestReport, RowResult, StreamItem
from gesta.client._sync import Executions, Gesta

__all__ = [
    "ApiError",
    "AsyncExecutions",
    "AsyncGesta",
    "BadRequest",
    "ClientError",
    "Conflict",
    "Executions",
    "Forbidden",
    "Gesta",
    "IngestReport",
    "NotConfigured",
    "NotFound",
    "ProtocolError",
    "RateLimited",
    "Retry",
    "RowResult",
    "ServerFault",
    "StreamItem",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
]
