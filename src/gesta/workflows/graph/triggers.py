"""What starts a workflow and what it costs: whether both can be."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.definition import Price, Trigger, TriggerKind
from gesta.workflows.graph.kinds import MOST_SECONDS, moment_us
from gesta.workflows.graph.problems import Problem, shown
from gesta.workflows.graph.rendering import references

MOST_AMOUNT: Final = Decimal(1_000_000)
_CURRENCY = re.compile(r"[A-Z]{3,5}", re.ASCII)
#: ISO 4217: currencies whose smallest unit is not a hundredth.
_DIGITS: Final = dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
#: Of a currency that is no state's, as USDC.
_COIN_DIGITS: Final = 6
_CRON = re.compile(r"[0-9A-Za-z*/,#? -]{1,200}", re.ASCII)
#: Hashed and random fields, which mean another moment every time.
_UNSURE = re.compile(r"(?<![A-Za-z])[RrHh](?![A-Za-z])", re.ASCII)
#: From which moment a cron expression is asked for its next: whether there is one at all does not depend on it.
_ASKED_FROM: Final = datetime(2024, 1, 1, tzinfo=UTC)


def price_problems(price: Price) -> Iterator[Problem]:
    if not _CURRENCY.fullmatch(price.currency):
        message = f"`currency` must be a code as `USD`, and is {shown(price.currency)}."
        yield Problem(node="", field="price.currency", message=message)
        return
    digits = digits_of(price.currency)
    amount = price.amount
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or not 0 < amount <= MOST_AMOUNT:
        message = f"`amount` must be above 0 and at most {MOST_AMOUNT}, and is {str(amount)[:60]}."
        yield Problem(node="", field="price.amount", message=message)
    elif amount != round(amount, digits):
        message = f"`amount` may have {digits} decimal places in {price.currency}, and is {str(amount)[:60]}."
        yield Problem(node="", field="price.amount", message=message)


def digits_of(currency: str) -> int:
    """How many decimal places an amount of the currency may have."""
    return _DIGITS.get(currency, 2) if len(currency) == 3 else _COIN_DIGITS


def trigger_problems(trigger: Trigger) -> Iterator[Problem]:
    for field, message in _problems(trigger):
        yield Problem(node="", field=f"trigger.{field}", message=message)


def _problems(trigger: Trigger) -> Iterator[tuple[str, str]]:
    if trigger.kind is TriggerKind.EVENT and not trigger.event.strip():
        yield "event", "A trigger by an event needs the `event`'s name."
    if trigger.kind is not TriggerKind.EVENT and trigger.event:
        yield "event", f"A trigger of the kind `{trigger.kind}` has no `event`."
    if len(trigger.event) > 200:
        yield "event", "An event's name may have 200 characters."
    if trigger.kind is TriggerKind.SCHEDULE and bool(trigger.cron) == bool(trigger.at):
        yield "cron", "A schedule needs exactly one of `cron` and `at`."
    if trigger.kind is not TriggerKind.SCHEDULE and (trigger.cron or trigger.at):
        yield "cron", f"A trigger of the kind `{trigger.kind}` has no `cron` and no `at`."
    if trigger.cron and (why := cron_problem(trigger.cron)):
        yield "cron", why
    if trigger.at:
        try:
            moment_us(trigger.at, "at")
        except InvalidInput as error:
            yield "at", error.message
    if not is_timezone(trigger.timezone):
        yield "timezone", f"`timezone` must be a name as `Europe/Berlin`, and is {shown(trigger.timezone)}."
    window_s = trigger.dedup_window_s
    if not math.isfinite(window_s) or not 0 < window_s <= MOST_SECONDS:
        yield "dedup_window_s", f"`dedup_window_s` must be above 0 and at most {MOST_SECONDS}, and is {window_s}."
    try:
        named = sorted(references(trigger.dedup_key))
    except InvalidInput as error:
        yield "dedup_key", error.message
    else:
        if named:
            yield "dedup_key", f"`dedup_key` may name what came in (`input`), and names the node `{named[0][:100]}`."


@lru_cache(maxsize=1024)
def cron_problem(expression: str) -> str:
    """What is wrong with a cron expression of five fields, or six with seconds last; nothing if it is right."""
    right = "`cron` must have five fields as `0 9 * * 1-5`, or a sixth for the seconds"
    if not _CRON.fullmatch(expression) or _UNSURE.search(expression) or len(expression.split()) not in (5, 6):
        return f"{right}, and is {shown(expression)}."
    try:
        croniter(expression, _ASKED_FROM, max_years_between_matches=30).get_next(datetime)
    except CroniterBadDateError:
        return f"`cron` must name a date that there is, and {shown(expression)} never comes."
    except CroniterError as error:
        return f"{right}, and {shown(expression)} is no such: {str(error)[:150]}."
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError):
        return f"{right}, and {shown(expression)} is no such."
    return ""


@lru_cache(maxsize=1024)
def is_timezone(name: str) -> bool:
    """Whether it is a zone of the IANA database."""
    if not re.fullmatch(r"[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,2}", name, re.ASCII):
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
