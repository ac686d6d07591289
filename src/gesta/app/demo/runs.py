"""Simulated workflow runs: each follows one of a few plots through the life cycle. Pure."""

from __future__ import annotations

import msgspec

from gesta.app.demo.noise import below, choice, hex_token
from gesta.app.demo.story import ORIGIN, SECOND_US, Accounts, Step, Story
from gesta.ledger.records import (
    Mode,
    Named,
    NewEvent,
    NewExecution,
    RunDetail,
    RunNode,
    Severity,
    Source,
    Status,
    Transition,
)

SLOT_US = 120 * SECOND_US

S = Status


class _Workflow(msgspec.Struct, frozen=True):
    workflow: Named
    application: Named
    nodes: tuple[tuple[str, str], ...]


def _workflow(number: int, name: str, application: str, nodes: tuple[tuple[str, str], ...]) -> _Workflow:
    return _Workflow(
        Named(id=f"5e0000000000000000000{number:03x}", name=f"Simulated: {name}"),
        Named(id=f"5e1000000000000000000{number:03x}", name=application),
        nodes,
    )


_WORKFLOWS = (
    _workflow(1, "post fills to a channel", "Slack", (("Fill recorded", "start"), ("Post message", "action"))),
    _workflow(
        2, "new customer to CRM", "HubSpot", (("Webhook", "start"), ("Map fields", "transform"), ("Upsert", "action"))
    ),
    _workflow(3, "daily statement", "Gmail", (("Schedule", "start"), ("Collect", "http"), ("Send", "action"))),
    _workflow(
        4,
        "token swap",
        "Wallet",
        (("Request", "start"), ("Quote", "http"), ("Approve", "human_task"), ("Swap", "action")),
    ),
)


class _Turn(msgspec.Struct, frozen=True):
    """One change of a plot: the status it leads to, the most seconds it is waited for, and what the event says.

    `done` is how many nodes have succeeded by then, as a share of all in quarters.
    """

    status: Status
    within_s: int
    title: str
    done: int = 0
    reason: str | None = None
    payment: str | None = None


_QUEUED = _Turn(S.QUEUED, 2, "Queued")
_STARTED = _Turn(S.RUNNING, 3, "Started", 1)
_ENDED = _Turn(S.SUCCEEDED, 40, "Succeeded", 4)
_PAID = (_Turn(S.PAID, 60, "Payment confirmed", payment="succeeded"), _QUEUED)

# (weight, the status at birth, the turns that follow)
_PLOTS: tuple[tuple[int, Status, tuple[_Turn, ...]], ...] = (
    (8, S.QUEUED, (_STARTED, _ENDED)),
    (
        3,
        S.QUEUED,
        (_STARTED, _Turn(S.WAITING, 10, "Waits for an answer", 2), _Turn(S.RUNNING, 300, "Resumed", 2), _ENDED),
    ),
    (2, S.AWAITING_PAYMENT, (*_PAID, _STARTED, _ENDED)),
    (2, S.QUEUED, (_STARTED, _Turn(S.FAILED, 30, "Failed", 2, "Simulated: the last node answered 500"))),
    (
        1,
        S.QUEUED,
        (_STARTED, _Turn(S.STOPPING, 30, "Stop requested", 2), _Turn(S.CANCELLED, 5, "Stopped", 2, "stopped")),
    ),
    (1, S.QUEUED, (_STARTED, _Turn(S.TIMED_OUT, 600, "Timed out", 2, "Simulated: the time limit has passed"))),
    (1, S.AWAITING_PAYMENT, (_Turn(S.CANCELLED, 600, "Checkout expired", 0, "checkout_expired", "expired"),)),
)
_DRAWN = tuple(plot for plot in _PLOTS for _ in range(plot[0]))


def run_story(seed: int, accounts: Accounts, index: int) -> Story:
    """The run of the slot that begins at `index` · SLOT_US, from birth to end."""
    place = ("run", index)
    born_us = index * SLOT_US + below(SLOT_US, seed, *place, "born")
    chosen = choice(_WORKFLOWS, seed, *place, "workflow")
    _, status, turns = choice(_DRAWN, seed, *place, "plot")
    run_id = hex_token(24, seed, *place)
    paid = status is S.AWAITING_PAYMENT
    detail = RunDetail(
        workflow=chosen.workflow,
        application=chosen.application,
        config_id="simulated",
        event_id=hex_token(24, seed, *place, "event"),
        run_id=f"run_{hex_token(20, seed, *place, 'run id')}",
        payment_status="pending" if paid else "not_required",
        order_id=f"simulated_order_{index}" if paid else None,
        checkout_session_id=f"simulated_checkout_{index}" if paid else None,
        external_ref=f"simulated-{index}",
        source_system="simulated",
        source_entity_type="demo",
        source_entity_id=str(index),
        initiated_by_id="simulated",
        initiated_by_type="system",
        request_payload={"simulated": True, "number": index},
        client_safe_metadata={"simulated": True},
        nodes=tuple(
            RunNode(id=str(number), name=name, type=type) for number, (name, type) in enumerate(chosen.nodes, 1)
        ),
    )
    return Story(
        birth=NewExecution(
            id=run_id,
            account=accounts.linked,
            origin=ORIGIN,
            name=chosen.workflow.name,
            status=status,
            source=Source.SIMULATED,
            mode=choice((Mode.ASYNC, Mode.ASYNC, Mode.SYNC), seed, *place, "mode"),
            created_at_us=born_us,
            correlation={"workflow_id": chosen.workflow.id, "external_ref": f"simulated-{index}"},
            detail=detail,
        ),
        steps=tuple(_steps(seed, index, born_us, detail, turns)),
    )


def _steps(seed: int, index: int, born_us: int, detail: RunDetail, turns: tuple[_Turn, ...]) -> list[Step]:
    steps = []
    at_us = born_us
    for number, turn in enumerate(turns):
        at_us += SECOND_US + below(turn.within_s * SECOND_US, seed, "run", index, "turn", number)
        detail = _turned(detail, turn, at_us)
        level = Severity.ERROR if turn.status in (S.FAILED, S.TIMED_OUT) else Severity.INFO
        event = NewEvent(
            type=f"execution.{turn.status}",
            level=level,
            title=turn.title,
            message=turn.reason or f"Simulated: {turn.title.lower()}",
            at_us=at_us,
        )
        steps.append(Step(at_us, Transition(event=event, status=turn.status, detail=detail)))
    return steps


def _turned(detail: RunDetail, turn: _Turn, at_us: int) -> RunDetail:
    done = len(detail.nodes) * turn.done // 4
    nodes = tuple(_node(node, number, done, turn, at_us) for number, node in enumerate(detail.nodes))
    ended = turn.status is S.SUCCEEDED
    return msgspec.structs.replace(
        detail,
        nodes=nodes,
        status_reason=turn.reason,
        payment_status=turn.payment or detail.payment_status,
        response_payload={"simulated": True, "ok": True} if ended else detail.response_payload,
        error=turn.reason if turn.status is S.FAILED else None,
    )


def _node(node: RunNode, number: int, done: int, turn: _Turn, at_us: int) -> RunNode:
    """Nodes run one after another: those before `done` have succeeded, the next shows what the run does."""
    if number < done:
        if node.status == "succeeded":
            return node
        started_at_us = node.started_at_us or at_us
        duration_ms = (at_us - started_at_us) // 1000
        return msgspec.structs.replace(
            node,
            status="succeeded",
            attempts=1,
            started_at_us=started_at_us,
            duration_ms=duration_ms,
            output={"ok": True},
        )
    shown = {S.RUNNING: "running", S.WAITING: "waiting", S.FAILED: "errored"}.get(turn.status)
    if number > done or shown is None:
        return node
    return msgspec.structs.replace(node, status=shown, attempts=1, started_at_us=node.started_at_us or at_us)
