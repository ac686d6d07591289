"""What happens in the demo's shop, as a function of a seed and of time: orders, buyers, answers, and how well the
service at its other end does. Pure.

Time is cut into turns. In each an order is placed; in every third somebody buys a run, and every third of those is left
unpaid. Names that say so ("pays", "leaves") make what is seen in a list explain itself.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gesta.app.demo.noise import below, choice, hex_token
from gesta.kernel.times import SECOND_US

TURN_US = 20 * SECOND_US
# How often a run is bought, in turns, and how many buyers there are to one who leaves.
BUYS_EVERY = 3
LEAVES_EVERY = 3
# How long a checkout may be paid: short, so that a run that expires is seen.
EXPIRES_S = 600
# So long a buyer looks at the checkout, and a person at an order.
PAYS_AFTER_US = 8 * SECOND_US
ANSWERS_AFTER_US = 6 * SECOND_US

PAYS = "demo-pays-"
LEAVES = "demo-leaves-"

# A slow answer takes longer than the workflows wait for one.
SLOW_S = 3.0
MIDDLES = {"BTC-USDT": 9_500_000, "ETH-USDT": 350_000}  # in cents
_QUOTE_US = 10 * SECOND_US
_OPEN_US = 240 * SECOND_US
_MOST_MOVED = 60  # in hundredths of a percent

_CUSTOMERS = ("Ada", "Grace", "Edsger", "Barbara", "Donald", "Radia")
_ITEMS = (("pen", 350), ("notebook", 1290), ("lamp", 4900), ("chair", 15900), ("desk", 38900))


class Mood(enum.Enum):
    """How the service takes a request."""

    WELL = "well"
    SLOW = "slow"
    BUSY = "busy"


class Unpaid(msgspec.Struct, frozen=True, kw_only=True):
    """A run that awaits its payment. `reference` is what its buyer called it."""

    id: str
    reference: str
    since_us: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A run of an order that waits for a person."""

    id: str
    number: str
    since_us: int


class Pay(msgspec.Struct, frozen=True):
    run_id: str


class Answer(msgspec.Struct, frozen=True):
    run_id: str
    approved: bool


def order(seed: int, turn: int) -> dict[str, Any]:
    """The payload of the event `order.placed` of a turn."""
    place = ("order", turn)
    lines = []
    for number in range(1 + below(3, seed, *place, "lines")):
        item, cents = choice(_ITEMS, seed, *place, number, "item")
        lines.append({"item": item, "quantity": 1 + below(3, seed, *place, number, "quantity"), "price": cents / 100})
    return {"number": f"A-{turn}", "customer": choice(_CUSTOMERS, seed, *place, "customer"), "lines": lines}


def purchase(seed: int, turn: int) -> dict[str, Any]:
    """What is bought in a turn: the payload of a run that costs something."""
    place = ("purchase", turn)
    return {
        "pair": choice(tuple(MIDDLES), seed, *place, "pair"),
        "side": choice(("BUY", "SELL"), seed, *place, "side"),
        "notional": choice((1000, 1500, 2000), seed, *place, "notional"),
    }


def buyer(turn: int) -> str | None:
    """What the buyer of a turn calls the run, by which it is known whether it will be paid. None where nobody buys."""
    if turn % BUYS_EVERY:
        return None
    return f"{LEAVES if turn // BUYS_EVERY % LEAVES_EVERY == LEAVES_EVERY - 1 else PAYS}{turn}"


def due(seed: int, now_us: int, unpaid: Sequence[Unpaid], asked: Sequence[Asked]) -> list[Pay | Answer]:
    """What people have made up their minds about. A third of the orders is never answered."""
    done: list[Pay | Answer] = [
        Pay(each.id) for each in unpaid if each.reference.startswith(PAYS) and now_us - each.since_us >= PAYS_AFTER_US
    ]
    for each in asked:
        word = choice(("yes", "no", "silence"), seed, "answer", each.number)
        if word != "silence" and now_us - each.since_us >= ANSWERS_AFTER_US:
            done.append(Answer(each.id, approved=word == "yes"))
    return done


def mood(seed: int, request: str, attempt: int) -> Mood:
    """How the service takes the n-th attempt at a request, from 1. The third always goes well."""
    drawn = below(10, seed, "mood", request, attempt)
    if attempt > 2 or drawn > 2:
        return Mood.WELL
    return Mood.SLOW if drawn == 0 else Mood.BUSY


def pairs(seed: int, now_us: int) -> dict[str, Any]:
    """The pairs that are traded. Now and then the market is closed for some minutes."""
    return {"open": below(6, seed, "open", now_us // _OPEN_US) != 0, "pairs": list(MIDDLES)}


def quote(seed: int, pair: str, now_us: int) -> dict[str, Any]:
    """A quote of one of MIDDLES, and how far it is from where it uses to be."""
    middle = MIDDLES[pair]
    moved = below(2 * _MOST_MOVED + 1, seed, "quote", pair, now_us // _QUOTE_US) - _MOST_MOVED
    cents = middle + middle * moved // 10_000
    return {"pair": pair, "bid": cents / 100, "ask": (cents + 1) / 100, "moved_percent": moved / 100}


def invoice(seed: int, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The same order has the same invoice, however often it is asked for."""
    return {
        "invoice": f"INV-{hex_token(8, seed, 'invoice', str(asked.get('order'))).upper()}",
        "order": asked.get("order"),
    }
