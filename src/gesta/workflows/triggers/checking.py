"""Whether an event, a key or a schedule can be. Pure."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from gesta.kernel.errors import InvalidInput, TooLarge
from gesta.kernel.slugs import slug_of
from gesta.kernel.times import MAX_US
from gesta.workflows.face import EventIn, ScheduleIn
from gesta.workflows.graph.definition import MOST_EVENT_NAME, Trigger, TriggerKind
from gesta.workflows.graph.expressions import ExpressionError, Scope
from gesta.workflows.graph.kinds import MOST_SECONDS
from gesta.workflows.graph.problems import shown
from gesta.workflows.graph.rendering import render
from gesta.workflows.graph.triggers import cron_problem, is_timezone
from gesta.workflows.runs.rows import encoder, sorted_encoder
from gesta.workflows.triggers.schedules import US, Timing
from gesta.workflows.triggers.settings import TriggerSettings

MOST_APPLICATION = 256
MOST_KEY = 256
MOST_NAME = 256
#: Of one schedule.
MOST_DATES = 100
MOST_PAYLOAD_BYTES = 8 * 1024 * 1024
#: It is stored once and read again each time that it is due.
MOST_SCHEDULE_INPUT_BYTES = 64 * 1024


def check_event(event: EventIn) -> str:
    """The event's application, as it is compared: nothing for any. Raises InvalidInput, TooLarge."""
    name = event.event
    if not name.strip() or len(name) > MOST_EVENT_NAME or not name.isprintable():
        message = f"`event` must be a name of up to {MOST_EVENT_NAME} printable characters, and is {shown(name)}."
        raise InvalidInput(message, field="event")
    slug = slug_of(event.application) if len(event.application) <= MOST_APPLICATION else ""
    if event.application and not slug:
        message = (
            f"`application` must be an application's slug, name or id of up to {MOST_APPLICATION} characters, and is "
            f"{shown(event.application)}."
        )
        raise InvalidInput(message, field="application")
    check_key(event.key)
    check_size(event.payload, MOST_PAYLOAD_BYTES, "payload")
    return slug


def check_key(key: str | None) -> None:
    if key is not None and (not 0 < len(key) <= MOST_KEY or not key.isprintable()):
        message = f"A de-duplication key has 1 to {MOST_KEY} printable characters, and this is {shown(key)}."
        raise InvalidInput(message, field="key")


def check_size(value: Any, most: int, field: str) -> None:
    size = len(encoder.encode(value))
    if size > most:
        raise TooLarge(f"`{field}` may have {most} bytes of JSON, and has {size}.", field=field)


def key_of(trigger: Trigger, kind: TriggerKind, given: str | None, payload: Any) -> tuple[str | None, float | None]:
    """What de-duplicates a payload, and for how many seconds (None: for good). The key that came with it goes before
    the trigger's template, of which nothing may come: then nothing is a duplicate. The window is the trigger's, if it
    says how it de-duplicates at all."""
    template = trigger.dedup_key if trigger.kind is kind else ""
    window_s = trigger.dedup_window_s if template else None
    if given is None and template:
        try:
            rendered = render(template, Scope(input=payload))
        except ExpressionError:
            rendered = None
        if rendered is not None and rendered != "":
            given = rendered if isinstance(rendered, str) else sorted_encoder.encode(rendered).decode()
    return given, window_s


def stored_key(prefix: str, key: str) -> str:
    """As it is on disk, however long it is: no caller's own idempotency key has a tab."""
    return f"{prefix}\t{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()}"


def timing_of(asked: ScheduleIn, settings: TriggerSettings, anchor_us: int) -> Timing:
    """Raises InvalidInput for a schedule that cannot be."""
    given = [bool(asked.cron), asked.every_s is not None, asked.at_us is not None, bool(asked.dates_us)]
    if sum(given) != 1:
        raise InvalidInput(
            "A schedule needs exactly one of a cron expression, a period, a moment and a list of dates.", field="cron"
        )
    _check_moments(asked)
    if not is_timezone(asked.timezone):
        message = f"`timezone` must be a name as `Europe/Berlin`, and is {shown(asked.timezone)}."
        raise InvalidInput(message, field="timezone")
    every_us = 0
    if asked.cron:
        if why := cron_problem(asked.cron):
            raise InvalidInput(why, field="cron")
        if not settings.cron_seconds and len(asked.cron.split()) == 6:
            raise InvalidInput("`cron` must have five fields: this server allows no seconds.", field="cron")
    elif asked.every_s is not None:
        if not math.isfinite(asked.every_s) or not settings.least_period_s <= asked.every_s <= MOST_SECONDS:
            message = (
                f"`every_s` must be from {settings.least_period_s:g} to {MOST_SECONDS} seconds (366 days), and is "
                f"{asked.every_s}."
            )
            raise InvalidInput(message, field="every_s")
        every_us = round(asked.every_s * US)
    return Timing(
        cron=asked.cron,
        every_us=every_us,
        at_us=asked.at_us,
        timezone=asked.timezone,
        anchor_us=anchor_us if every_us else 0,
        catch_up=asked.catch_up,
        dates_us=tuple(sorted(set(asked.dates_us))),
        from_us=asked.from_us,
        until_us=asked.until_us,
    )


def _check_moments(asked: ScheduleIn) -> None:
    if len(asked.dates_us) > MOST_DATES:
        raise InvalidInput(f"A schedule has at most {MOST_DATES} dates, not {len(asked.dates_us)}.", field="dates_us")
    if asked.from_us is not None and asked.until_us is not None and asked.until_us < asked.from_us:
        raise InvalidInput("A schedule ends after it begins.", field="until_us")
    said = {"at_us": asked.at_us, "from_us": asked.from_us, "until_us": asked.until_us}
    for name, moment_us in [*said.items(), *(("dates_us", each) for each in asked.dates_us)]:
        if moment_us is not None and not 0 <= moment_us <= MAX_US:
            raise InvalidInput(f"`{name}` must be a moment up to the year 9999.", field=name)


def check_schedule(asked: ScheduleIn) -> None:
    if len(asked.name) > MOST_NAME or not asked.name.isprintable():
        message = f"`name` may have {MOST_NAME} printable characters, and is {shown(asked.name)}."
        raise InvalidInput(message, field="name")
    check_size(asked.input, MOST_SCHEDULE_INPUT_BYTES, "input")
