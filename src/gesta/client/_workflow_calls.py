"""What the sync and the async sections for workflows, runs and schedules share: each question as a request and a way to
read its answer. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from gesta.client._requests import Call, decode_object, items_of, params_of
from gesta.client._retry import fresh_id
from gesta.client._trading_calls import Ask

FINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled", "timed_out"})
# Of one call; a longer wait is several.
WAIT_S = 20.0
_encoder = msgspec.json.Encoder(decimal_format="number")
Row = dict[str, Any]
Definition = Mapping[str, Any] | str


class _Unset:
    """Nothing was said, which is not the same as null."""


UNSET: Any = _Unset()


def _path(root: str, id: str, rest: str = "") -> str:
    if not id:
        raise ValueError("an id cannot be empty")
    return f"/ledger/{root}/{quote(id, safe='')}{rest}"


def _said(body: Mapping[str, Any]) -> Row:
    return {name: value for name, value in body.items() if value is not None and value is not UNSET}


def _send(method: str, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Ask[Row]:
    content = b"" if body is None else _encoder.encode(body)
    typed = {} if body is None else {"Content-Type": "application/json"}
    return Ask(Call(method=method, path=path, headers={**typed, **headers}, content=content), decode_object)


def _get(path: str, **filters: Any) -> Ask[Row]:
    return Ask(Call(method="GET", path=path, params=params_of(filters)), decode_object)


def _items(path: str, **filters: Any) -> Ask[list[Row]]:
    return Ask(Call(method="GET", path=path, params=params_of(filters)), lambda body: items_of(decode_object(body)))


def _gone(path: str) -> Ask[None]:
    return Ask(Call(method="DELETE", path=path), lambda _: None)


# -- workflows


def validate(definition: Definition, form: str) -> Ask[Row]:
    return _send("POST", "/ledger/workflows/validate", {"definition": definition, "form": form})


def create(definition: Definition, form: str, publish: bool, words: Mapping[str, Any]) -> Ask[Row]:
    body = {"definition": definition, "form": form, "publish": publish, **_said(words)}
    return _send("POST", "/ledger/workflows", body)


def save(workflow: str, definition: Definition, form: str, publish: bool, words: Mapping[str, Any]) -> Ask[Row]:
    body = {"definition": definition, "form": form, "publish": publish, **_said(words)}
    return _send("PUT", _path("workflows", workflow), body)


def workflows_page(offset: int, limit: int, filters: Mapping[str, Any]) -> Ask[Row]:
    return _get("/ledger/workflows", offset=offset, limit=limit, **filters)


def workflow(id: str) -> Ask[Row]:
    return _get(_path("workflows", id))


def versions(id: str) -> Ask[list[Row]]:
    return _items(_path("workflows", id, "/versions"))


def version(id: str, number: int | str, form: str) -> Ask[Row]:
    return _get(_path("workflows", id, f"/versions/{quote(str(number), safe='')}"), form=form)


def diff(id: str, before: int | None, after: int | None) -> Ask[Row]:
    return _get(_path("workflows", id, "/diff"), **_said({"from": before, "to": after}))


def publish(id: str, number: int | None) -> Ask[Row]:
    return _send("POST", _path("workflows", id, "/publish"), _said({"version": number}))


def act_on_workflow(id: str, verb: str) -> Ask[Row]:
    return _send("POST", _path("workflows", id, f"/{verb}"))


def status(id: str, word: str) -> Ask[Row]:
    return _send("POST", _path("workflows", id, "/status"), {"status": word})


def archive(id: str) -> Ask[None]:
    return _gone(_path("workflows", id))


# -- runs


def start(
    workflow: str | None, definition: Definition | None, input: Any, wait_s: float, key: str | None, said: Any
) -> Ask[Row]:
    body = {**_said({"workflow": workflow, "definition": definition, **said}), "input": input, "wait_s": wait_s}
    # With a key the same run asked for twice is one run.
    return _send("POST", "/ledger/runs", body, **{"Idempotency-Key": key or fresh_id()})


def run(id: str, account: str | None, rounds: int | None, payloads: bool | None) -> Ask[Row]:
    return _get(_path("runs", id), account=account, rounds=rounds, payloads=payloads)


def batches_page(id: str, node: str, status: str | None, offset: int, limit: int) -> Ask[Row]:
    return _get(_path("runs", id, "/batches"), node=node, status=status, offset=offset, limit=limit)


def act_on_run(id: str, verb: str) -> Ask[Row]:
    return _send("POST", _path("runs", id, f"/{verb}"))


def rerun(id: str, input: Any, from_node: str | None) -> Ask[Row]:
    body = _said({"from_node": from_node})
    if input is not UNSET:
        body["input"] = input
    return _send("POST", _path("runs", id, "/rerun"), body)


def resume(id: str, node: str, payload: Any) -> Ask[Row]:
    return _send("POST", _path("runs", id, "/resume"), {"node": node, "payload": payload})


def refund(id: str, reason: str) -> Ask[Row]:
    return _send("POST", _path("runs", id, "/refund"), {"reason": reason})


def checkout(id: str) -> Ask[Row]:
    return _get(_path("runs", id, "/checkout"))


def bulk(action: str, input: Any, from_node: str | None, filters: Mapping[str, Any]) -> Ask[Row]:
    body = {"action": action, "filter": _said(filters), **_said({"from_node": from_node})}
    if input is not UNSET:
        body["input"] = input
    return _send("POST", "/ledger/runs/bulk", body)


def job(id: str) -> Ask[Row]:
    return _get(_path("jobs", id))


def event(name: str, application: str, payload: Any, key: str | None) -> Ask[Row]:
    body = {"event": name, "application": application, "payload": payload, **_said({"key": key or fresh_id()})}
    return _send("POST", "/ledger/events", body)


def is_over(row: Mapping[str, Any]) -> bool:
    """Whether a run has ended, well or not."""
    return row.get("status") in FINAL_STATUSES


# -- schedules


def schedules(workflow: str | None) -> Ask[list[Row]]:
    return _items("/ledger/schedules", workflow=workflow)


def create_schedule(workflow: str, said: Mapping[str, Any]) -> Ask[Row]:
    return _send("POST", "/ledger/schedules", {"workflow": workflow, **_said(said)})


def change_schedule(id: str, said: Mapping[str, Any]) -> Ask[Row]:
    return _send("PUT", _path("schedules", id), _said(said))


def schedule(id: str) -> Ask[Row]:
    return _get(_path("schedules", id))


def pause_schedule(id: str, verb: str) -> Ask[Row]:
    return _send("POST", _path("schedules", id, f"/{verb}"))


def delete_schedule(id: str) -> Ask[None]:
    return _gone(_path("schedules", id))


def ids_of(ids: Iterable[str] | None) -> list[str] | None:
    return None if ids is None else list(ids)
