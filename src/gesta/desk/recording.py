"""Recording: what enters the ledger from outside, and what changes in it. Every mutation names its identity."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gesta.access.model import Principal, Scope
from gesta.desk.trading.fills import ORIGIN
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.ledger.face import Ledger
from gesta.ledger.lifecycle import check_birth
from gesta.ledger.records import AppendResult, Event, Execution, Kind, NewEvent, NewExecution, Transition

SCOPE_OF_KIND = {Kind.FILL: Scope.TRADE, Kind.EXECUTOR: Scope.TRADE, Kind.RUN: Scope.RUN}


def is_engine_fill(row: Execution | NewExecution) -> bool:
    """Whether this is a fill of the trading desk, whose books stand on it: only the desk makes and changes such."""
    return row.kind is Kind.FILL and row.origin == ORIGIN


def check_origin(row: NewExecution) -> None:
    """Raise InvalidInput for a row from outside that claims to be a fill of the trading desk."""
    if is_engine_fill(row):
        raise InvalidInput(
            f"The origin `{ORIGIN}` belongs to the fills that this server's trading desk makes; give another, such as "
            f"`{ORIGIN}-import`.",
            field="origin",
        )


class Recording:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def record(self, principal: Principal, rows: Sequence[NewExecution]) -> list[AppendResult]:
        """Append rows of accounts of the caller's organization. Raises Forbidden, Conflict for an impossible birth
        status, or InvalidInput for the desk's own origin, before anything is written."""
        for kind in {row.kind for row in rows}:
            principal.require(SCOPE_OF_KIND[kind])
        for row in rows:
            check_birth(row.kind, row.status)
            check_origin(row)
            if principal.account is not None and row.account != principal.account.id:
                raise NotFound("No such account.", what="account")
        return await self._ledger.append(principal.organization.id, rows)

    async def transition(self, principal: Principal, execution: Execution, change: Transition) -> Execution:
        """Change an execution that the query door gave. Raises Forbidden or Conflict; Conflict also for a fill of the
        trading desk, whose position and money would no longer follow."""
        principal.require(SCOPE_OF_KIND[execution.kind])
        if is_engine_fill(execution):
            raise Conflict(
                f"Fill {execution.id} was made by the trading desk, whose positions and money follow from it: take it "
                "back with `POST /ledger/executions/{id}/bust`, or change it with `/correct`."
            )
        return await self._ledger.transition(
            principal.organization.id,
            execution.id,
            msgspec.structs.replace(change, event=_signed(principal, change.event)),
        )

    async def note(self, principal: Principal, execution: Execution, events: Sequence[NewEvent]) -> list[Event]:
        """Add events that change nothing else. Raises Forbidden."""
        principal.require(SCOPE_OF_KIND[execution.kind])
        return await self._ledger.note(
            principal.organization.id, execution.id, [_signed(principal, event) for event in events]
        )


def _signed(principal: Principal, event: NewEvent) -> NewEvent:
    """The audit trail: who did it stands in the event itself."""
    by = {"identity": principal.identity_name, "credential": principal.credential_id}
    return msgspec.structs.replace(event, data={**event.data, "by": by})
