"""Market data for many connections of one process: one listener, each quote encoded once, each reader at its own pace.

Between two frames of a connection nothing is done for it, whatever the market does: an instrument counts its changes,
and a connection whose turn it is compares that count with the one it was told (protocols/crosstrade.md §3.2: batched,
about one frame a second).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog

from gesta.apis.crosstrade.codec_market import prices, quoted_at
from gesta.apis.crosstrade.numbers import encode_reply, whole
from gesta.desk.market.face import Market, Snapshot
from gesta.kernel.errors import InvalidInput
from gesta.trading.market import MarketData

log = structlog.get_logger("gesta.crosstrade")

# The largest number of instruments that one connection may follow.
MAX_INSTRUMENTS: Final = 500


def quote_object(snapshot: Snapshot) -> dict[str, Any] | None:
    """One row of `quotes`; None while the instrument has no data at all. Prices and `volume` are those of GetQuote;
    `epoch` is the venue's time in milliseconds, as every `epoch` of this stream is in milliseconds."""
    quote, instrument = snapshot.quote, snapshot.instrument
    at_us = quoted_at(snapshot)
    if at_us is None:
        return None
    return {
        "instrument": instrument.name,
        **prices(snapshot),
        "bidSize": 0 if quote is None else whole(instrument.quantity(quote.bid_size)),
        "askSize": 0 if quote is None else whole(instrument.quantity(quote.ask_size)),
        "epoch": at_us // 1000,
        "isStale": snapshot.is_stale,
    }


class _Followed:
    """One instrument that somebody follows. `version` counts its changes; `parked` are the watches to wake at one."""

    __slots__ = ("name", "parked", "text", "text_version", "version", "watches")

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = 1
        self.watches: set[Watch] = set()
        self.parked: set[Watch] = set()
        self.text = ""
        self.text_version = 0


class MarketPushes:
    """Who follows what. It listens to the market only while somebody does."""

    def __init__(self, market: Callable[[], Market]) -> None:
        self._market = market
        self._followed: dict[str, _Followed] = {}
        self._end: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._followed)

    def resolve(self, name: str) -> str:
        """The resolved name. Raises InvalidInput, with `did_you_mean`."""
        return self._market().resolve(name).name

    def follow(self, name: str, watch: Watch) -> None:
        if self._end is None:
            self._end = self._market().listen(self._on_market)
        followed = self._followed.get(name)
        if followed is None:
            followed = self._followed[name] = _Followed(name)
        followed.watches.add(watch)

    def leave(self, name: str, watch: Watch) -> None:
        followed = self._followed.get(name)
        if followed is None:
            return
        followed.watches.discard(watch)
        followed.parked.discard(watch)
        if not followed.watches:
            del self._followed[name]
        if not self._followed and self._end is not None:
            end, self._end = self._end, None
            end()

    def version(self, name: str) -> int:
        return self._followed[name].version

    def park(self, name: str, watch: Watch) -> None:
        """Wake the watch at the next change of the instrument."""
        self._followed[name].parked.add(watch)

    def text(self, name: str) -> str:
        """The quote as JSON, empty while there is none."""
        followed = self._followed[name]
        if followed.text_version != followed.version:
            followed.text = self._encode(name)
            followed.text_version = followed.version
        return followed.text

    def _encode(self, name: str) -> str:
        try:
            row = quote_object(self._market().snapshot(name))
        except Exception:
            # What else the connections follow goes on.
            log.exception("stream.no_quote", instrument=name)
            return ""
        return "" if row is None else encode_reply(row).decode()

    def _on_market(self, data: MarketData) -> None:
        followed = self._followed.get(data.instrument)
        if followed is None:
            return
        followed.version += 1
        if followed.parked:
            parked, followed.parked = followed.parked, set()
            for watch in parked:
                watch.wake()


class Watch:
    """What one connection follows, and when it is told. `on_due` is called when there is something to tell and its
    interval has passed; whoever is called then asks `frame`, as late as it likes."""

    def __init__(self, pushes: MarketPushes, on_due: Callable[[], None]) -> None:
        self._pushes = pushes
        self._on_due = on_due
        self._told: dict[str, int] = {}
        self._asked_for: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_parked = False
        self.interval_s = 1.0

    def __len__(self) -> int:
        return len(self._told)

    def resolve(self, names: Iterable[str]) -> dict[str, str]:
        """Names to resolved ones; nothing is followed yet. Raises InvalidInput, with `did_you_mean`, for a name that is
        unknown, and where these would be too many."""
        resolved = {name: self._pushes.resolve(name) for name in names}
        if len(self._told.keys() | set(resolved.values())) > MAX_INSTRUMENTS:
            raise InvalidInput(
                f"A connection follows at most {MAX_INSTRUMENTS} instruments, and this one follows {len(self._told)}.",
                field="instruments",
            )
        return resolved

    def add(self, resolved: Mapping[str, str]) -> None:
        """Follow these too, and tell of them at once."""
        for name, instrument in resolved.items():
            self._asked_for[_plain(name)] = instrument
            self._told[instrument] = 0
            self._pushes.follow(instrument, self)
        self._stop_waiting()
        self._on_due()

    def remove(self, names: Iterable[str]) -> list[str]:
        """Follow these no more; a name means what it meant when it was added. The resolved names.

        Raises InvalidInput, and leaves all as it is, for a name that is unknown."""
        resolved = {name: self._meant(name) for name in names}
        for instrument in resolved.values():
            if self._told.pop(instrument, None) is not None:
                self._pushes.leave(instrument, self)
        self._asked_for = {name: kept for name, kept in self._asked_for.items() if kept in self._told}
        if not self._told:
            self._stop_waiting()
        return list(dict.fromkeys(resolved.values()))

    def clear(self) -> None:
        self.remove(list(self._told))

    def frame(self) -> tuple[str, str] | None:
        """`marketData` around its `seq`, of what has changed since the frame before; None when nothing has."""
        self._stop_waiting()
        rows: list[str] = []
        for name, told in self._told.items():
            version = self._pushes.version(name)
            if version != told:
                self._told[name] = version
                if text := self._pushes.text(name):
                    rows.append(text)
        if not rows:
            self._park()
            return None
        self._timer = asyncio.get_running_loop().call_later(self.interval_s, self._on_timer)
        return '{"type":"marketData","seq":', f',"quotes":[{",".join(rows)}]}}'

    def wake(self) -> None:
        """An instrument has changed after a while of quiet."""
        if self._is_parked:
            self._is_parked = False
            self._on_due()

    def _meant(self, name: str) -> str:
        if name in self._told:
            return name
        return self._asked_for.get(_plain(name)) or self._pushes.resolve(name)

    def _on_timer(self) -> None:
        self._timer = None
        if any(self._pushes.version(name) != told for name, told in self._told.items()):
            self._on_due()
        else:
            self._park()

    def _park(self) -> None:
        self._is_parked = True
        for name in self._told:
            self._pushes.park(name, self)

    def _stop_waiting(self) -> None:
        self._is_parked = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _plain(name: str) -> str:
    return name.strip().upper()


__all__ = ["MAX_INSTRUMENTS", "MarketPushes", "Watch", "quote_object"]
