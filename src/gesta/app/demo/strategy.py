"""What the demo's strategy does: a look at one instrument in, orders and cancels out. Pure, seeded, of no merit.

It does a bit of everything that a trader's screen shows: entries with and without a bracket, resting limits, scale-ins,
partial and whole exits, reversals, cancels. What it may hold is bounded.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gesta.app.demo.noise import below, choice
from gesta.desk.trading.requests import PlaceOrder
from gesta.trading.orders import Bracket, OrderType, Side, TimeInForce

ROOTS = ("ES", "NQ")
# One instrument is looked at in each turn, one after the other.
TURN_US = 2_500_000
# The largest position in one instrument, with everything filled that rests.
MOST = 4
# So long an entry may rest before it is given up.
PATIENCE_US = 15_000_000
STRATEGY = "Simulated strategy"


class Working(msgspec.Struct, frozen=True, kw_only=True):
    """An order that works. `is_exit`: it can only close."""

    id: str
    quantity: int
    is_exit: bool
    since_us: int


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument, as it stands: the market, the signed position, and what works."""

    root: str
    now_us: int
    tick: Decimal
    bid: Decimal
    ask: Decimal
    position: int
    working: tuple[Working, ...] = ()


class Cancel(msgspec.Struct, frozen=True):
    order_id: str


Request = PlaceOrder | Cancel

# (weight, move); from flat only the first group can be made, in a position only the second. What waits for its price
# is left out of every other turn, so that something fills.
_OPENING = ((4, "bracketed entry"), (3, "entry"), (3, "resting entry"))
_HOLDING = (
    (3, "scale-in"),
    (3, "resting scale-in"),
    (3, "part exit"),
    (2, "exit"),
    (2, "reversal"),
)


def decide(seed: int, turn: int, look: Look, *, at_once: bool = False) -> list[Request]:
    """The requests of one turn, in order: cancels, then one order at most. The same seed, turn and look give the same.
    `at_once`: nothing that waits."""
    place = ("strategy", look.root, turn)
    requests: list[Request] = [
        Cancel(order.id) for order in look.working if not order.is_exit and look.now_us - order.since_us >= PATIENCE_US
    ]
    given_up = {request.order_id for request in requests if isinstance(request, Cancel)}
    resting = sum(order.quantity for order in look.working if not order.is_exit)
    room = MOST - abs(look.position) - resting
    at_once = at_once or turn // len(ROOTS) % 2 == 0
    moves = [
        move
        for weight, move in (_HOLDING if look.position else _OPENING)
        for _ in range(weight)
        if _is_possible(move, look, room, at_once=at_once)
    ]
    if not moves:
        return requests
    move = choice(moves, seed, *place, "move")
    if move == "reversal":
        # What protected the old position, or would have added to it, has no place in the new one.
        requests += [Cancel(order.id) for order in look.working if order.id not in given_up]
    requests.append(_order(seed, place, look, move, room))
    return requests


def _is_possible(move: str, look: Look, room: int, *, at_once: bool) -> bool:
    if move.startswith("resting"):
        return room > 0 and not at_once
    if move in ("part exit", "exit"):
        return True
    if move == "reversal":
        return abs(look.position) <= MOST
    return room > 0


def _order(seed: int, place: tuple[str | int, ...], look: Look, move: str, room: int) -> PlaceOrder:
    held = abs(look.position)
    with_it = Side.BUY if look.position > 0 else Side.SELL
    either = choice((Side.BUY, Side.SELL), seed, *place, "side")
    some = 1 + below(max(1, min(2, room)), seed, *place, "quantity")
    plain = PlaceOrder(
        instrument=look.root,
        side=either if not held else with_it,
        quantity=Decimal(some),
        time_in_force=TimeInForce.GTC,
        name="Entry",
        strategy=STRATEGY,
    )
    if move == "bracketed entry":
        stop, target = 6 + below(11, seed, *place, "stop"), 6 + below(19, seed, *place, "target")
        return msgspec.structs.replace(plain, bracket=Bracket(stop_ticks=stop, target_ticks=target))
    if move.startswith("resting"):
        behind = below(3, seed, *place, "behind") * look.tick
        return msgspec.structs.replace(
            plain,
            type=OrderType.LIMIT,
            limit_price=look.bid - behind if plain.side is Side.BUY else look.ask + behind,
            bracket=Bracket(stop_ticks=12, target_ticks=12) if not held else None,
        )
    if move in ("part exit", "exit"):
        lots = held if move == "exit" else 1 + below(held, seed, *place, "part")
        return msgspec.structs.replace(
            plain, side=with_it.opposite, quantity=Decimal(lots), reduce_only=True, name="Exit"
        )
    if move == "reversal":
        return msgspec.structs.replace(plain, side=with_it.opposite, quantity=Decimal(2 * held), name="Reverse")
    return plain
