"""What waits to be written on one WebSocket, in order and bounded. Pure: no socket, no clock.

Replies are never dropped. Account events are, all that wait at once, when there are too many: `resync` then stands in
their place and says how many. What only its newest value is worth (market data, PnL) waits as a source that is asked
when its turn comes, so that it never waits twice and is never old.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Final

from gesta.access.model import Account

# Account events that may wait for one reader, by number and by characters of JSON.
MAX_EVENTS: Final = 1000
MAX_EVENT_CHARACTERS: Final = 1024 * 1024
# Replies that may wait before no further frame of this reader is looked at.
MAX_REPLIES: Final = 16
MAX_REPLY_CHARACTERS: Final = 1024 * 1024


class Topic(enum.StrEnum):
    """What a client subscribes to by `events`."""

    ORDERS = "orders"
    EXECUTIONS = "executions"
    POSITIONS = "positions"


class Pushed:
    """One account event, encoded once for every connection: `seq`, which each has its own of, goes between the two."""

    __slots__ = ("account", "head", "tail", "topic")

    def __init__(self, topic: Topic, account: Account, head: str, tail: str) -> None:
        self.topic = topic
        self.account = account
        self.head = head
        self.tail = tail

    @property
    def characters(self) -> int:
        return len(self.head) + len(self.tail)


# The two halves of a frame around its `seq`, made when it is its turn; None when there is nothing to say after all.
Source = Callable[[], tuple[str, str] | None]


class Outbox:
    def __init__(self, *, max_events: int = MAX_EVENTS, max_characters: int = MAX_EVENT_CHARACTERS) -> None:
        self._max_events = max_events
        self._max_characters = max_characters
        self._waiting: deque[str | Pushed | Source] = deque()
        self._sources: set[Source] = set()
        self._events = 0
        self._event_characters = 0
        self._replies = 0
        self._reply_characters = 0
        self._dropped = 0
        self._seq = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full_of_replies(self) -> bool:
        return self._replies >= MAX_REPLIES or self._reply_characters >= MAX_REPLY_CHARACTERS

    def reply(self, text: str) -> None:
        self._replies += 1
        self._reply_characters += len(text)
        self._waiting.append(text)

    def push(self, event: Pushed) -> None:
        """Let it wait, or drop it and every other one that waits."""
        if self._dropped:  # the reader is told to read everything anew, this included
            self._dropped += 1
            return
        characters = self._event_characters + event.characters
        if self._events >= self._max_events or characters > self._max_characters:
            self.lose(1)
            return
        self._events += 1
        self._event_characters = characters
        self._waiting.append(event)

    def lose(self, count: int) -> None:
        """So many events could not be put in: the reader is told, instead of what waits for it."""
        if not self._dropped:
            self._dropped = self._events
            self.forget(frozenset(Topic))
            self._waiting.append(self._resync)
        self._dropped += count

    def due(self, source: Source) -> None:
        """Ask the source when its turn comes. Nothing happens if it waits already."""
        if source not in self._sources:
            self._sources.add(source)
            self._waiting.append(source)

    def forget(self, topics: frozenset[Topic]) -> None:
        """Take out the events of these topics."""
        kept = [each for each in self._waiting if not (isinstance(each, Pushed) and each.topic in topics)]
        self._waiting = deque(kept)
        events = [each for each in kept if isinstance(each, Pushed)]
        self._events = len(events)
        self._event_characters = sum(event.characters for event in events)

    def silence(self) -> None:
        """Take out everything but replies."""
        self._waiting = deque(each for each in self._waiting if isinstance(each, str))
        self._sources.clear()
        self._events = self._event_characters = self._dropped = 0

    def next(self) -> str | None:
        """The next frame to write, with its `seq` if it is a push; None when nothing waits."""
        while self._waiting:
            first = self._waiting.popleft()
            if isinstance(first, Pushed):
                self._events -= 1
                self._event_characters -= first.characters
                self._seq += 1
                return f"{first.head}{self._seq}{first.tail}"
            if isinstance(first, str):
                self._replies -= 1
                self._reply_characters -= len(first)
                return first
            self._sources.discard(first)
            halves = first()
            if halves is not None:
                self._seq += 1
                return f"{halves[0]}{self._seq}{halves[1]}"
        return None

    def _resync(self) -> tuple[str, str]:
        dropped, self._dropped = self._dropped, 0
        return '{"type":"resync","seq":', f',"dropped":{dropped}}}'


__all__ = [
    "MAX_EVENTS",
    "MAX_EVENT_CHARACTERS",
    "MAX_REPLIES",
    "MAX_REPLY_CHARACTERS",
    "Outbox",
    "Pushed",
    "Source",
    "Topic",
]
