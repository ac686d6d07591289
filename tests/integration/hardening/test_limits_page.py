"""docs/reference/limits.md says what the code does: every number in it comes from here."""

from __future__ import annotations

import math
import re
from pathlib import Path

from gesta.access import authentication
from gesta.access import service as access_service
from gesta.apis.b3os import bodies as b3os_bodies
from gesta.apis.b3os import parameters as b3os
from gesta.apis.b3os import runs as b3os_runs
from gesta.apis.b3os import stream as b3os_stream
from gesta.apis.b3os import watching as b3os_watching
from gesta.apis.common import posted
from gesta.apis.crosstrade import arguments, frames, market_pushes, outbox, reading, stream, stream_session
from gesta.apis.crosstrade import bodies as crosstrade_bodies
from gesta.apis.hummingbot import bodies as hummingbot_bodies
from gesta.apis.hummingbot import parameters as hummingbot
from gesta.apis.hummingbot import ws_frames, ws_session, ws_stream
from gesta.apis.native import bodies, codec, hub, ingest, params, routes
from gesta.apis.native import webhooks as native_webhooks
from gesta.apis.refold import accounts, calls, listing, paging, schedules, triggering
from gesta.apis.refold import webhooks as refold_webhooks
from gesta.app.settings import Settings
from gesta.desk.reading import MAX_PAGE
from gesta.desk.trading import terms
from gesta.executors import control
from gesta.ledger import bounds, daily
from gesta.workflows.hooks import checking as hook_checking
from gesta.workflows.hooks import delivering, payloads, signing, telling
from gesta.workflows.hooks import journal as hooks
from gesta.workflows.triggers import checking

PAGE = Path(__file__).parents[3] / "docs/reference/limits.md"
SETTINGS = Settings()
# What the page says → the number in the code. Settings are found by the last column.
FIXED: dict[str, float] = {
    "query string, CrossTrade": arguments.MAX_QUERY_BYTES,
    "body of a CrossTrade call": crosstrade_bodies.MAX_BODY_BYTES,
    "body of a Hummingbot call": hummingbot_bodies.MAX_BODY_BYTES,
    "`limit` of a Hummingbot search": hummingbot_bodies.MAX_LIMIT,
    "active executors of one organization": control.MOST_ACTIVE,
    "lots of an order": terms.MAX_LOTS,
    "ticks of a bracket's offsets": terms.MAX_BRACKET_TICKS,
    "body of a B3OS call": b3os_bodies.MAX_BODY_BYTES,
    "streams of B3OS executions and runs": b3os_watching.MAX_STREAMS,
    "streams of one B3OS execution": b3os_watching.MAX_STREAMS_OF_EXECUTION,
    "a reader of a B3OS stream that takes nothing of what is sent": b3os_stream.STALLED_S,
    "a B3OS stream of a run that is not there yet": b3os_stream.PATIENCE_S,
    "`clientSafeMetadata` of B3OS, as JSON": b3os_bodies.MAX_METADATA_BYTES,
    "nodes of a B3OS run that is waited for": b3os_runs.SYNC_NODES,
    "time of a B3OS run that is waited for": b3os_runs.SYNC_S,
    "nodes or fields named in one B3OS parameter": b3os.MAX_NODES,
    "rows of a JSON array": ingest.MAX_ARRAY_ROWS,
    "values of a JSON array, counted by commas": ingest.MAX_ARRAY_COMMAS,
    "line of an NDJSON stream, which has no end of its own": bodies.MAX_LINE_BYTES,
    "events posted at once": routes.MAX_NOTES,
    "nesting of free JSON: configurations, payloads, event data": codec.MAX_DEPTH,
    "calls above the rate in a row, CrossTrade": stream_session.MAX_VIOLATIONS,
    "instruments that one CrossTrade connection follows": market_pushes.MAX_INSTRUMENTS,
    "shortest `interval` of CrossTrade's pushes": frames.MIN_INTERVAL_MS,
    "longest `interval` of CrossTrade's pushes": frames.MAX_INTERVAL_MS,
    "account events that wait for a CrossTrade reader": outbox.MAX_EVENTS,
    "account events that wait for a CrossTrade reader, in size": outbox.MAX_EVENT_CHARACTERS,
    "replies that wait for a CrossTrade reader": outbox.MAX_REPLIES,
    "a CrossTrade reader that takes nothing of what waits": stream.STALLED_S,
    "message to `/ws/executors`": ws_session.MAX_MESSAGE_BYTES,
    "connections of one user to `/ws/executors`": ws_stream.MAX_CONNECTIONS,
    "subscriptions of one connection to `/ws/executors`": ws_session.MAX_SUBSCRIPTIONS,
    "shortest `update_interval` of `/ws/executors`": ws_frames.MIN_INTERVAL_S,
    "longest `update_interval` of `/ws/executors`": ws_frames.MAX_INTERVAL_S,
    "executors in one frame of `/ws/executors`": hummingbot_bodies.MAX_LIMIT,
    "log entries in one frame of `/ws/executors`": hummingbot.MAX_LOGS,
    "messages to `/ws/executors` above the rate in a row": ws_session.MAX_VIOLATIONS,
    "answers that wait for a reader of `/ws/executors`": ws_session.MAX_REPLIES,
    "a reader of `/ws/executors` that takes nothing of what waits": ws_stream.STALLED_S,
    "feed held in memory per organization": hub.RING_ITEMS,
    "feed held in memory per organization, in size": hub.RING_BYTES,
    "`limit` of a CrossTrade page": MAX_PAGE,
    "rows of a CrossTrade reply that is not paged": reading.MAX_REPLY_ROWS,
    "`lookbackTime`": arguments.MAX_LOOKBACK_S,
    "`limit` of Hummingbot logs": hummingbot.MAX_LOGS,
    "`limit` of B3OS": b3os.MAX_LIMIT,
    "`offset` of B3OS": b3os.MAX_OFFSET,
    "`limit` of Refold": paging.MAX_LIMIT,
    "applications in `slug`, Refold": listing.MAX_SLUGS,
    "body of a webhook trigger, Refold": triggering.MAX_HOOK_BYTES,
    "age of an inbound webhook's signature": signing.TOLERANCE_S,
    "`Gesta-Signature` of an inbound webhook": signing.MOST_HEADER,
    "`v1` within one `Gesta-Signature`": signing.MOST_SIGNATURES,
    "parts of an event's form, Refold": triggering.MAX_PARTS,
    "header of a call, or parameter of its name, Refold": calls.MAX_WORD,
    "two starts of a schedule, apart by at least, Refold": schedules.MIN_GAP_S,
    "dates of one schedule, Refold": checking.MOST_DATES,
    "`udf` fields of a linked account, Refold": accounts.MAX_FIELDS,
    "`udf` of a linked account, as JSON": access_service.MOST_FIELD_BYTES,
    "headers of an outgoing webhook, Refold": refold_webhooks.MAX_HEADERS,
    "workflows that an outgoing webhook names, Refold": refold_webhooks.MAX_WORKFLOWS,
    "webhook endpoints of one organization": hooks.MAX_ENDPOINTS,
    "address of a webhook endpoint": hook_checking.MAX_URL,
    "headers of a webhook endpoint": hook_checking.MAX_HEADERS,
    "value of a webhook endpoint's header": hook_checking.MAX_HEADER,
    "template of a webhook's body, as JSON": hook_checking.MAX_TEMPLATE,
    "workflows that a webhook endpoint names": hook_checking.MAX_WORKFLOWS,
    "retries of a webhook's delivery": hook_checking.MAX_RETRIES,
    "deliveries that wait for one webhook endpoint": telling.MAX_WAITING,
    "body of a webhook's delivery": payloads.MAX_BODY,
    "a run's response within a webhook's body": payloads.MAX_RESPONSE,
    "failures of nodes that one step of a run tells": telling.MAX_EVENTS,
    "time for one attempt of a webhook's delivery": delivering.TIMEOUT_S,
    "answer of a webhook's receiver that is kept": delivering.MAX_RESPONSE,
    "attempts of webhooks' deliveries at once in one process": delivering.AT_ONCE,
    "attempts at once to one webhook endpoint": delivering.AT_ONCE_PER_ENDPOINT,
    "deliveries given up in a row, over at least an hour": hooks.MAX_FAILURES,
    "days that a webhook's delivery stays in the log": delivering.KEEPS_US / 86_400_000_000,
    "`offset` of `/ledger/webhooks`": native_webhooks.MAX_OFFSET,
    "`limit` of `/ledger`": params.LIST["limit"].schema["maximum"],
    "`offset` of `/ledger`": params.MAX_OFFSET,
    "digits of a number": bounds.MAX_DIGITS,
    "magnitude of a number, as a power of ten": bounds.MAX_MAGNITUDE,
    "finest part of a number, as a power of ten": bounds.MIN_EXPONENT,
    "digits of a number in Gesta's own rows": codec._MAX_DIGITS,
    "magnitude of a number in a vendor's row, as a power of ten": math.log10(posted.MAX_NUMBER),
    "text of a vendor's row": posted.MAX_TEXT,
    "token or key as sent": authentication.SECRET_LIMIT,
}
# Bounds that the ledger states in a sentence only; tests of the ledger hold them.
STATED = {
    "id": 256,
    "name": 1024,
    "correlation id and parent id": 512,
    "title and message of an event": 65536,
}
_ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def rows() -> list[tuple[str, ...]]:
    return [row for row in _ROW.findall(PAGE.read_text("utf-8")) if row[0] != "what"]


def number_of(text: str) -> float | None:
    found = re.match(r"-?[0-9]+(\.[0-9]+)?", text)
    return float(found[0]) if found else None


def test_every_number_is_that_of_the_code() -> None:
    told = set()
    for what, bound, _, where in rows():
        told.add(what)
        setting = re.fullmatch(r"`(\w+)\.(\w+)`", where)
        if setting:
            assert number_of(bound) == getattr(getattr(SETTINGS, setting[1]), setting[2]), what
        elif what == "requests per credential":
            assert where == "`rates.<dialect>`"
        else:
            assert where == "fixed", what
            assert number_of(bound) == {**FIXED, **STATED}[what], what
    assert set(FIXED) | set(STATED) <= told


def test_every_bounding_setting_is_told() -> None:
    told = {where.strip("`") for *_, where in rows()}
    for section in ("server", "limits"):
        for name in getattr(SETTINGS, section).__struct_fields__:
            if name in ("host", "port", "backlog", "shutdown_deadline_s", "stream_heartbeat_s"):
                continue  # they bound nothing that a caller sends
            assert f"{section}.{name}" in told


def test_sums_are_as_exact_as_the_page_says() -> None:
    assert f"adds with {daily.EXACT.prec} digits" in PAGE.read_text("utf-8")
    # Three factors at their finest against three at their greatest, and as many rows as 64 bits can count.
    assert daily.EXACT.prec >= 3 * (bounds.MAX_MAGNITUDE + 1) - 3 * bounds.MIN_EXPONENT + 20
