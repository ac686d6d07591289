"""Waiting for the end of a run, and telling what it does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.text import Text

from gesta.cli.common import err, is_terminal
from gesta.cli.tables import REFRESH_S
from gesta.client import Gesta, RateLimited, Unavailable, Unreachable

OVER = ("succeeded", "failed", "cancelled", "timed_out")
FIRST_PAUSE_S = 0.05
_DONE = ("succeeded", "failed", "skipped", "rejected")


def waited(gesta: Gesta, run: dict[str, Any], timeout_s: float | None) -> dict[str, Any]:
    """The run once it is over, or as it stands after `timeout_s`; what it does meanwhile is told on standard error."""
    left_s, pause_s = timeout_s, FIRST_PAUSE_S
    with _Progress() as tell:
        while run["status"] not in OVER:
            tell(_standing(run))
            if left_s is not None:
                pause_s = min(pause_s, left_s)
                left_s -= pause_s
            if pause_s <= 0:
                err.print(Text(f"It goes on; `gesta runs show {run['id']}` tells how it stands."))
                break
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, REFRESH_S)
            try:
                run = gesta.executions.get(run["id"])
            except (Unreachable, Unavailable, RateLimited):
                tell("The server does not answer; trying again.")
    return run


class _Progress:
    """Tells what goes on: in place where a person watches, else a line for each change."""

    def __init__(self) -> None:
        self._status = err.status("Starting …") if is_terminal() else None
        self._last = ""

    def __enter__(self) -> Callable[[str], None]:
        if self._status is not None:
            self._status.start()
        return self._tell

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def _tell(self, text: str) -> None:
        if self._status is not None:
            self._status.update(Text(text))
        elif text != self._last:
            err.print(Text(text))
        self._last = text


def _standing(run: dict[str, Any]) -> str:
    """`running: fetch (2 of 5 nodes)`"""
    nodes = run["detail"]["nodes"]
    done = sum(node["status"] in _DONE for node in nodes)
    now = [node["name"] or node["id"] for node in nodes if node["status"] in ("running", "waiting")]
    word = run["status"].replace("_", " ")
    return f"{word}{': ' + ', '.join(now[:3]) if now else ''} ({done} of {len(nodes)} nodes)"
