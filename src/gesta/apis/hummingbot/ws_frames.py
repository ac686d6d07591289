"""What a client of `/ws/executors` says, read field by field (protocols/hummingbot.md §11.4). Pure."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gesta.apis.hummingbot.bodies import MAX_LIMIT, Search, search_of
from gesta.apis.hummingbot.codec import SEVERITY_OF_LEVEL
from gesta.apis.hummingbot.parameters import MAX_LOGS, LogsQuery
from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import decode_json

MIN_INTERVAL_S: Final = 0.5
MAX_INTERVAL_S: Final = 60.0
DEFAULT_INTERVAL_S: Final = 2.0
DEFAULT_LOGS: Final = 100
MAX_TEXT: Final = 256


class Topic(enum.StrEnum):
    """What a client may subscribe to."""

    EXECUTORS = "executors"
    EXECUTOR_DETAIL = "executor_detail"
    EXECUTOR_SUMMARY = "executor_summary"
    PERFORMANCE = "performance"
    POSITIONS = "positions"
    EXECUTOR_LOGS = "executor_logs"


# hummingbot-api has them; there are no bots here.
BOT_TOPICS: Final = ("bot_status", "all_bots_status")
ACTIONS: Final = ("subscribe", "unsubscribe", "ping")
# Each filter of a subscription, and what a search calls it.
_FILTERS: Final = {
    "account_name": "account_names",
    "connector_name": "connector_names",
    "trading_pair": "trading_pairs",
    "executor_type": "executor_types",
    "controller_id": "controller_ids",
    "status": "status",
    "limit": "limit",
}
_LISTS: Final = frozenset(_FILTERS) - {"status", "limit"}


class What(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown, whoever looks: two subscriptions of equal `What` and equal reach see the same."""

    topic: Topic
    search: Search | None = None
    executor_id: str = ""
    controller_id: str | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription. `id` is as hummingbot-api makes it; the same one again takes the place of the first. `logs` of
    EXECUTOR_LOGS only."""

    id: str
    what: What
    interval_s: float
    logs: LogsQuery | None = None


def read_frame(text: str | None) -> dict[str, Any]:
    """The JSON object of a message; None stands for a binary one. Raises InvalidInput."""
    if text is None:
        raise InvalidInput("Messages are JSON text.")
    try:
        frame = decode_json(text)
    except InvalidInput:
        raise InvalidInput("The message is not valid JSON.") from None
    if not isinstance(frame, dict):
        raise InvalidInput('A message is a JSON object, such as {"action": "ping"}.')
    return frame


def subscription_of(frame: Mapping[str, Any]) -> Asked:
    """Raises InvalidInput, which says what would be right."""
    name = frame.get("type")
    if name in BOT_TOPICS:
        raise InvalidInput(f"{name} is not served: this server runs executors, and no bots.")
    if not isinstance(name, str) or name not in set(Topic):
        shown = name[:64] if isinstance(name, str) else type(name).__name__
        raise InvalidInput(f"Unknown subscription type: {shown}. Valid types: {sorted(Topic)}")
    topic, interval_s = Topic(name), _interval_s(frame.get("update_interval"))
    match topic:
        case Topic.EXECUTORS:
            filters = frame.get("filters")
            what = What(topic=topic, search=_search(filters))
            text = json.dumps({} if filters is None else filters, sort_keys=True)
            # As hummingbot-api derives it; it protects nothing.
            suffix = "_" + hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8]
        case Topic.EXECUTOR_DETAIL | Topic.EXECUTOR_LOGS:
            executor_id = _text(frame, "executor_id")
            if executor_id is None:
                raise InvalidInput(f"{topic} requires 'executor_id'")
            what, suffix = What(topic=topic, executor_id=executor_id), f"_{executor_id}"
        case Topic.PERFORMANCE | Topic.POSITIONS:
            controller_id = _text(frame, "controller_id")
            what, suffix = What(topic=topic, controller_id=controller_id), f"_{controller_id or 'all'}"
        case Topic.EXECUTOR_SUMMARY:
            what, suffix = What(topic=topic), ""
    logs = _logs(frame) if topic is Topic.EXECUTOR_LOGS else None
    return Asked(id=f"{topic}{suffix}", what=what, interval_s=interval_s, logs=logs)


def subscription_id_of(frame: Mapping[str, Any]) -> str:
    """Of an `unsubscribe`. Raises InvalidInput."""
    given = frame.get("subscription_id")
    if not isinstance(given, str) or not given:
        raise InvalidInput("unsubscribe requires 'subscription_id'")
    return given


def _interval_s(given: Any) -> float:
    """Within its bounds, whatever was asked: the reply says which it is."""
    if given is None:
        return DEFAULT_INTERVAL_S
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise InvalidInput("update_interval is a number of seconds", field="update_interval")
    return float(max(MIN_INTERVAL_S, min(MAX_INTERVAL_S, given)))


def _text(frame: Mapping[str, Any], name: str) -> str | None:
    """None for what is absent, null or empty."""
    given = frame.get(name)
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > MAX_TEXT or not given.isprintable():
        raise InvalidInput(f"{name} is a text of at most {MAX_TEXT} printable characters", field=name)
    return given


def _search(filters: Any) -> Search:
    if filters is None:
        filters = {}
    if not isinstance(filters, dict):
        raise InvalidInput("filters is an object", field="filters")
    for name in filters:
        if name not in _FILTERS:
            raise InvalidInput(f"Unknown filter: {name[:64]}. Valid filters: {sorted(_FILTERS)}", field="filters")
    given = {name: value for name, value in filters.items() if value not in (None, "")}
    posted = {_FILTERS[name]: [value] if name in _LISTS else value for name, value in given.items()}
    try:
        return search_of({"limit": MAX_LIMIT, **posted})
    except InvalidInput as error:
        defect = error.details["errors"][0]
        name = next(name for name, searched in _FILTERS.items() if searched == defect["loc"][1])
        raise InvalidInput(f"filters.{name}: {defect['msg']}", field="filters") from None


def _logs(frame: Mapping[str, Any]) -> LogsQuery:
    level, limit = frame.get("level"), frame.get("limit")
    severity = None
    if level not in (None, ""):
        severity = SEVERITY_OF_LEVEL.get(level.upper()) if isinstance(level, str) else None
        if severity is None:
            raise InvalidInput(f"level is one of {', '.join(SEVERITY_OF_LEVEL)}", field="level")
    if limit is None:
        limit = DEFAULT_LOGS
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LOGS:
        raise InvalidInput(f"limit is an integer from 1 to {MAX_LOGS}", field="limit")
    return LogsQuery(level=severity, limit=limit)


__all__ = ["ACTIONS", "Asked", "Topic", "What", "read_frame", "subscription_id_of", "subscription_of"]
