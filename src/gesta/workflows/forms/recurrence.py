"""B3OS's schedules, `DTSTART` and `RRULE` (RFC 5545), as cron: what cron can say, and nothing else."""

from __future__ import annotations

import re
from typing import Any, Final

_START = re.compile(r"DTSTART(?:;TZID=([\w/+-]+))?:(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})(Z?))?", re.ASCII)
_DAYS: Final = {"SU": 0, "MO": 1, "TU": 2, "WE": 3, "TH": 4, "FR": 5, "SA": 6}
_KNOWN: Final = frozenset({"FREQ", "INTERVAL", "BYMINUTE", "BYHOUR", "BYDAY", "BYMONTHDAY", "BYMONTH"})
_CAN: Final = (
    "`rrule` must be two lines, as `DTSTART:20260101T090000Z` and `RRULE:FREQ=DAILY`, with FREQ from MINUTELY to "
    "YEARLY, an INTERVAL that divides the hour, the day or the year, and BYMINUTE, BYHOUR, BYDAY, BYMONTHDAY, BYMONTH"
)


def trigger_of(rrule: Any) -> dict[str, Any]:
    """`{cron, timezone}`. Raises ValueError for what cron cannot say.

    The minute, the hour and the day come from DTSTART, as B3OS's guide has it, unless the rule says them.
    """
    text = rrule.replace("\\n", "\n") if isinstance(rrule, str) else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()][:3]
    start = next((match for line in lines if (match := _START.fullmatch(line))), None)
    rule = next((line.removeprefix("RRULE:") for line in lines if line.startswith(("RRULE:", "FREQ="))), None)
    if start is None or rule is None or len(lines) != 2:
        raise ValueError(f"{_CAN}.")
    parts = dict(part.split("=", 1) for part in rule.upper().split(";") if "=" in part)
    if unknown := sorted(set(parts) - _KNOWN):
        raise ValueError(f"{_CAN}; {unknown[0][:40]} cannot be.")
    minute, hour = int(start[6] or 0), int(start[5] or 0)
    cron = _cron(parts, minute, hour, int(start[4]), int(start[3]), _weekday(start))
    return {"kind": "schedule", "cron": cron, "timezone": start[1] or "UTC"}


def _weekday(start: re.Match[str]) -> int:
    """0 is Sunday (Zeller)."""
    year, month, day = int(start[2]), int(start[3]), int(start[4])
    year, month = (year - 1, month + 12) if month < 3 else (year, month)
    return (day + 13 * (month + 1) // 5 + year + year // 4 - year // 100 + year // 400 + 6) % 7


def _cron(parts: dict[str, str], minute: int, hour: int, day: int, month: int, weekday: int) -> str:
    frequency, interval = parts.get("FREQ", ""), _number(parts.get("INTERVAL", "1"), 1, 60)
    minutes, hours = _numbers(parts, "BYMINUTE", 0, 59), _numbers(parts, "BYHOUR", 0, 23)
    days, months = _numbers(parts, "BYMONTHDAY", 1, 31), _numbers(parts, "BYMONTH", 1, 12)
    weekdays = ",".join(str(_day(word)) for word in parts["BYDAY"].split(",")) if "BYDAY" in parts else None
    match frequency:
        case "MINUTELY":
            fields = [minutes or _every(interval, 60, minute), hours or "*", days or "*", months or "*"]
        case "HOURLY":
            fields = [minutes or str(minute), hours or _every(interval, 24, hour), days or "*", months or "*"]
        case "DAILY" | "WEEKLY" if interval == 1:
            weekdays = weekdays if frequency == "DAILY" or weekdays else str(weekday)
            fields = [minutes or str(minute), hours or str(hour), days or "*", months or "*"]
        case "MONTHLY":
            by_day = days or ("*" if weekdays else str(day))
            fields = [minutes or str(minute), hours or str(hour), by_day, months or _every(interval, 12, month, 1)]
        case "YEARLY" if interval == 1:
            by_day = days or ("*" if weekdays else str(day))
            fields = [minutes or str(minute), hours or str(hour), by_day, months or str(month)]
        case _:
            raise ValueError(f"{_CAN}; FREQ={frequency[:20]} with INTERVAL={interval} cannot be.")
    if days and weekdays:
        raise ValueError(f"{_CAN}; BYDAY and BYMONTHDAY together mean something else in cron.")
    if weekdays and frequency in ("MONTHLY", "YEARLY") and not days:
        raise ValueError(f"{_CAN}; BYDAY goes with FREQ up to WEEKLY.")
    return " ".join([*fields, weekdays or "*"])


def _every(interval: int, size: int, first: int, low: int = 0) -> str:
    if size % interval:
        raise ValueError(f"{_CAN}; INTERVAL={interval} does not divide {size}.")
    if interval == 1:
        return "*"
    offset = low + (first - low) % interval
    return f"{offset}-{size - 1 + low}/{interval}" if offset > low else f"*/{interval}"


def _number(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or not low <= int(text) <= high:
        raise ValueError(f"{_CAN}; {text[:20]} is not from {low} to {high}.")
    return int(text)


def _numbers(parts: dict[str, str], name: str, low: int, high: int) -> str | None:
    if name not in parts:
        return None
    return ",".join(str(_number(each, low, high)) for each in parts[name].split(",")[:100])


def _day(word: str) -> int:
    if word not in _DAYS:
        raise ValueError(f"{_CAN}; {word[:20]} is no day as MO.")
    return _DAYS[word]
