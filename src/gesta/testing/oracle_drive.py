"""How a machine is driven through a scenario of the oracle, in virtual time.

`drive` compares like with like: a machine hears of everything at the instants at which Hummingbot's executor looked,
once a second, and every sixth second after a look while shutting down. Two exceptions follow Hummingbot too: `AT_ONCE`
lists what a type acts on between its looks, and cancels that go out together with a close are answered at once, because
Hummingbot sends that close in the same look.

`drive_live` drives it as a runner does: the venue's answers at once, prices and moments only if the machine watches
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.face import (
    Cancel,
    Command,
    Event,
    Machine,
    Moved,
    OrderUpdated,
    Place,
    Price,
    Report,
    RunnableStatus,
    Started,
    StopAsked,
    Tracked,
    Watches,
)
from gesta.kernel.errors import InvalidInput
from gesta.testing.oracle_venue import EPOCH_US, SECOND_US, Sent, SimulatedVenue, leg_of

__all__ = ["Outcome", "drive", "drive_live"]

SHUTDOWN_EVERY_S = 6
DEFAULT_RETRIES = 10
#: A moment that a machine goes on watching after it has passed comes again only so much later.
TIMER_EVERY_US = 100_000

#: What Hummingbot's executors do between two looks: act on a stop, send orders when they hear of a fill or a failure.
AT_ONCE = {
    "dca_executor": frozenset({"stop"}),
    "twap_executor": frozenset({"stop"}),
    "arbitrage_executor": frozenset({"stop", "orders"}),
    "xemm_executor": frozenset({"stop", "orders"}),
}


class Outcome(msgspec.Struct, frozen=True):
    """How a machine ended. `refused` is the field that `parse` refused; `unwatched` says when it acted on a price or a
    moment that its watches had not named, so that a runner would not have woken it. `orders` are
    as the venue has them at the end."""

    report: Report | None = None
    sent: tuple[Sent, ...] = ()
    refused: str | None = None
    unwatched: tuple[str, ...] = ()
    at_s: float = 0.0
    orders: tuple[Tracked, ...] = ()


def drive(machine: Machine[Any, Any], scenario: Mapping[str, Any]) -> Outcome:
    """Run a machine through a scenario, to its end or the scenario's."""
    try:
        config = machine.parse(scenario["executor"])
    except InvalidInput as error:
        return Outcome(refused=error.field or "")
    return _Drive(machine, config, scenario).run()


class _Drive:
    def __init__(self, machine: Machine[Any, Any], config: Any, scenario: Mapping[str, Any]) -> None:
        self.machine = machine
        self.habits = AT_ONCE.get(scenario["executor"]["type"], frozenset())
        legs = tuple(leg_of(leg, scenario) for leg in machine.legs(config))
        self.venue = SimulatedVenue(scenario, legs)
        self.end_us = int(Decimal(str(scenario.get("max_t", 3600))) * SECOND_US)
        self.stops = sorted(
            (int(Decimal(str(at_s)) * SECOND_US), what == "force_stop" or bool(keep and keep[0]))
            for at_s, what, *keep in scenario.get("actions", ())
        )
        self.now_us = 0
        self.unwatched: list[str] = []
        self.state = machine.begin(
            config,
            legs,
            at_us=EPOCH_US,
            prices=self.prices,
            max_retries=int(scenario.get("max_retries", DEFAULT_RETRIES)),
        )

    @property
    def prices(self) -> dict[int, Price]:
        return self.venue.prices(self.now_us)

    @property
    def report(self) -> Report:
        return self.machine.report(self.state, self.prices)

    def run(self) -> Outcome:
        self.step(Started(at_us=EPOCH_US, prices=self.prices))
        look_us, previous = SECOND_US, self.report.status
        while look_us <= self.end_us and self.report.status is not RunnableStatus.TERMINATED:
            previous = self.report.status
            self.pass_time(look_us)
            stopped = self.take_stop() if "stop" not in self.habits else False
            # After a stop it cancels at this look, and goes on at the next.
            if not stopped:
                self.tell()
            self.look()
            waits = stopped or previous is RunnableStatus.SHUTTING_DOWN
            look_us += SECOND_US * (SHUTDOWN_EVERY_S if waits else 1)
        if self.report.status is not RunnableStatus.TERMINATED:
            self.now_us = self.end_us
        return self.outcome

    @property
    def outcome(self) -> Outcome:
        return Outcome(
            report=self.report,
            sent=tuple(self.venue.sent),
            unwatched=tuple(self.unwatched),
            at_s=self.now_us / SECOND_US,
            orders=tuple(self.venue.orders.values()),
        )

    def pass_time(self, until_us: int) -> None:
        """Let the venue match up to a moment, and let the executor have what it acts on between its looks."""
        while True:
            match_us = self.venue.next_match_us(self.now_us)
            at_once = "stop" in self.habits and bool(self.stops)
            moments = [us for us in (match_us, self.stops[0][0] if at_once else None) if us is not None]
            if not moments or min(moments) > until_us:
                break
            self.now_us = max(self.now_us, min(moments))
            if match_us == self.now_us:
                self.venue.match(self.now_us)
            if at_once:
                self.take_stop()
            if "orders" in self.habits:
                self.tell_all()
        self.now_us = until_us

    def take_stop(self) -> bool:
        """Tell of a stop that is due. What was asked of one that has ended already is not told."""
        if not self.stops or self.stops[0][0] > self.now_us:
            return False
        _, keep = self.stops.pop(0)
        if self.report.status is RunnableStatus.TERMINATED:
            return False
        # What the venue did before the stop is known to the executor when it stops.
        self.tell()
        self.step(StopAsked(at_us=self.at_us, prices=self.prices, keep_position=keep))
        return True

    def tell(self) -> None:
        """Tell once of every order that has changed, as it is now. What that causes is told at the next look."""
        tags, self.venue.changed = list(self.venue.changed), {}
        for tag in tags:
            self.step(OrderUpdated(at_us=self.at_us, prices=self.prices, order=self.venue.orders[tag]))
        if "orders" in self.habits and self.venue.changed:
            self.tell_all()

    def tell_all(self) -> None:
        for _ in range(100):
            if not self.venue.changed:
                return
            tags, self.venue.changed = list(self.venue.changed), {}
            for tag in tags:
                self.step(OrderUpdated(at_us=self.at_us, prices=self.prices, order=self.venue.orders[tag]))
        raise AssertionError("an executor that answers every failure at once with another order, for ever")

    def look(self) -> None:
        watched = wakes(self.machine.watches(self.state), self.prices, self.at_us)
        commands = self.step(Moved(at_us=self.at_us, prices=self.prices))
        if not watched and any(isinstance(command, (Place, Cancel)) for command in commands):
            self.unwatched.append(f"at {self.now_us / SECOND_US:g} s: {commands}")

    @property
    def at_us(self) -> int:
        return EPOCH_US + self.now_us

    def step(self, event: Event) -> tuple[Command, ...]:
        running = self.report.status is not RunnableStatus.SHUTTING_DOWN
        self.state, commands = self.machine.step(self.state, event)
        cancelled = []
        for command in commands:
            if isinstance(command, Place):
                self.venue.place(command.order, self.now_us)
            elif isinstance(command, Cancel):
                self.venue.cancel(command.tag, self.now_us)
                cancelled.append(command.tag)
        polled_stop = isinstance(event, StopAsked) and "stop" not in self.habits
        if running and self.report.status is RunnableStatus.SHUTTING_DOWN and not polled_stop:
            for tag in cancelled:
                if tag in self.venue.changed:
                    del self.venue.changed[tag]
                    order = self.venue.orders[tag]
                    self.step(OrderUpdated(at_us=self.at_us, prices=self.prices, order=order))
        return commands


def drive_live(machine: Machine[Any, Any], scenario: Mapping[str, Any]) -> Outcome:
    """Run a machine through a scenario as it runs in service."""
    try:
        config = machine.parse(scenario["executor"])
    except InvalidInput as error:
        return Outcome(refused=error.field or "")
    return _LiveDrive(machine, config, scenario).run()


class _LiveDrive(_Drive):
    def __init__(self, machine: Machine[Any, Any], config: Any, scenario: Mapping[str, Any]) -> None:
        # What the market was at every moment that has passed.
        self.path: list[tuple[int, Mapping[int, Price]]] = []
        self.state: Any = None
        super().__init__(machine, config, scenario)

    @property
    def prices(self) -> dict[int, Price]:
        """With the best price of the path since the machine's trail was set, if it has one."""
        prices = super().prices
        trail = None if self.state is None else self.machine.watches(self.state).trail
        if trail is None or trail.leg not in prices:
            return prices
        path = [passed[trail.leg] for at_us, passed in self.path if at_us >= trail.since_us and trail.leg in passed]
        values = [getattr(price, trail.of) for price in (*path, prices[trail.leg])]
        best = max(values) if trail.is_rising else min(values)
        return prices | {trail.leg: msgspec.structs.replace(prices[trail.leg], best=best)}

    def run(self) -> Outcome:
        self.step(Started(at_us=EPOCH_US, prices=self.prices))
        self.tell_all()
        steps = self.venue.price_steps_us
        while self.report.status is not RunnableStatus.TERMINATED:
            watches = self.machine.watches(self.state)
            timer_us = None if watches.at_us is None else watches.at_us - EPOCH_US
            match_us = self.venue.next_match_us(self.now_us)
            moments = [us for us in steps if us > self.now_us][:1]
            moments += [] if match_us is None else [match_us]
            moments += [] if timer_us is None else [max(timer_us, self.now_us + TIMER_EVERY_US)]
            moments += [us for us, _ in self.stops[:1]]
            if not moments or min(moments) > self.end_us:
                self.now_us = self.end_us
                break
            self.now_us = max(self.now_us, min(moments))
            self.path.append((self.at_us, super().prices))
            if match_us == self.now_us:
                self.venue.match(self.now_us)
            self.tell_all()
            self.take_stop()
            self.tell_all()
            if wakes(self.machine.watches(self.state), self.prices, self.at_us):
                self.step(Moved(at_us=self.at_us, prices=self.prices))
                self.tell_all()
        return self.outcome


def wakes(watches: Watches, prices: Mapping[int, Price], at_us: int) -> bool:
    """Whether a runner that goes by `watches` looks at the machine at these prices and this moment."""
    if watches.every or (watches.at_us is not None and watches.at_us <= at_us):
        return True
    trail = watches.trail
    if trail is not None and trail.leg in prices and (best := prices[trail.leg].best) is not None:
        fallen = best - getattr(prices[trail.leg], trail.of)
        if (fallen if trail.is_rising else -fallen) >= trail.distance:
            return True
    for watch in watches.prices:
        price = prices.get(watch.leg)
        value = None if price is None else getattr(price, watch.of)
        if value is None:
            continue
        if watch.at_or_below is not None and value <= watch.at_or_below:
            return True
        if watch.at_or_above is not None and value >= watch.at_or_above:
            return True
    return False
