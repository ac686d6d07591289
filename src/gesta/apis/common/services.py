"""What a dialect is given. Built once by `app`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from gesta.access.face import Access
from gesta.access.model import Account, AccountType, Environment
from gesta.desk.market.face import Market
from gesta.desk.reading import Reading
from gesta.desk.recording import Recording
from gesta.desk.trading.face import Trading
from gesta.executors.control import Executors
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Unavailable
from gesta.kernel.ids import IdSource
from gesta.ledger.records import NewExecution
from gesta.workflows.face import Workflows
from gesta.workflows.hooks_face import Webhooks


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's execution object, read: the account it names and, given that account, the row.

    `is_unnamed` says that the object names no account: it belongs to the organization's first account of this type and
    environment, and `account_name` is only the name of the one to create where there is none.
    """

    account_name: str
    is_unnamed: bool = False
    account_type: AccountType
    environment: Environment
    row: Callable[[Account], NewExecution]


class VendorCodec(Protocol):
    """How a dialect's own execution objects enter the ledger through `POST /ledger/executions?dialect=`."""

    def __call__(self, posted: Mapping[str, Any], *, now_us: int, organization: str) -> Decoded:
        """Raises InvalidInput with `field` for anything that the vendor's own shape does not allow."""
        ...


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    body_bytes: int = 16 * 1024 * 1024
    body_timeout_s: float = 30
    websocket_frame_bytes: int = 1024 * 1024
    stream_heartbeat_s: float = 15
    sync_wait_s: float = 60


class Services(msgspec.Struct, frozen=True, kw_only=True):
    reading: Reading
    recording: Recording
    access: Access
    clock: Clock
    ids: IdSource
    limits: Limits = Limits()
    vendor_codecs: Mapping[str, VendorCodec] = {}
    trading: Trading | None = None
    market: Market | None = None
    executors: Executors | None = None
    workflows: Workflows | None = None
    webhooks: Webhooks | None = None

    @property
    def trades(self) -> Trading:
        """The trading desk. Raises Unavailable where this process has none."""
        if self.trading is None:
            raise Unavailable("Trading is switched off on this server (setting `trading.enabled`).")
        return self.trading

    @property
    def runs_executors(self) -> Executors:
        """The front door of executors. Raises Unavailable where this process runs none."""
        if self.executors is None:
            raise Unavailable("Executors are switched off on this server (setting `trading.enabled`).")
        return self.executors

    @property
    def runs_workflows(self) -> Workflows:
        """The front door of workflows. Raises Unavailable where this process has none."""
        if self.workflows is None:
            raise Unavailable(
                "Workflows are switched off on this server (setting `workflows.enabled`).",
                setting="workflows.enabled",
            )
        return self.workflows

    @property
    def markets(self) -> Market:
        """The market desk. Raises Unavailable where this process has none."""
        if self.market is None:
            raise Unavailable("Market data is switched off on this server (setting `trading.enabled`).")
        return self.market
