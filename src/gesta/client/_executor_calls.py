"""What the sync and the async executors section share: each question as a request and a way to read its answer. No I/O.

Starting, watching and stopping have routes of their own in Gesta's dialect; lists and timelines are those of every
execution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from gesta.client._requests import Call, decode_object, params_of
from gesta.client._retry import fresh_id
from gesta.client._trading_calls import Ask

FINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled", "timed_out"})
_encoder = msgspec.json.Encoder(decimal_format="string")


def _path(executor_id: str, rest: str = "") -> str:
    if not executor_id:
        raise ValueError("an executor id cannot be empty")
    return f"/ledger/executors/{quote(executor_id, safe='')}{rest}"


def _post(path: str, body: Mapping[str, Any], **headers: str) -> Call:
    return Call(
        method="POST",
        path=path,
        headers={"Content-Type": "application/json", **headers},
        content=_encoder.encode({name: value for name, value in body.items() if value is not None}),
    )


def create(config: Mapping[str, Any], account: str | None, controller_id: str, key: str | None) -> Ask[dict[str, Any]]:
    body = {"config": dict(config), "account": account, "controller_id": controller_id}
    # With a key the same executor asked for twice is one executor.
    return Ask(_post("/ledger/executors", body, **{"Idempotency-Key": key or fresh_id()}), decode_object)


def get(executor_id: str, account: str | None) -> Ask[dict[str, Any]]:
    return Ask(Call(method="GET", path=_path(executor_id), params=params_of({"account": account})), decode_object)


def stop(executor_id: str, keep_position: bool) -> Ask[dict[str, Any]]:
    return Ask(_post(_path(executor_id, "/stop"), {"keep_position": keep_position}), decode_object)


def is_over(executor: Mapping[str, Any]) -> bool:
    """Whether it has ended, well or not."""
    return executor.get("status") in FINAL_STATUSES
