"""The demo's shop is a function of seed and time; what it places is what its workflows take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gesta.app.demo import shop
from gesta.app.demo.published import ALIASES, OPEN_POSITION, TAKE_ORDER, document
from gesta.app.demo.shop import LEAVES, MIDDLES, PAYS, Answer, Asked, Mood, Pay, Unpaid
from gesta.kernel.times import SECOND_US, parse_rfc3339
from gesta.workflows.forms.reading import header_of, read_definition
from gesta.workflows.graph.definition import NodeType, TriggerKind
from gesta.workflows.graph.schemas import check_input

NOW_US = parse_rfc3339("2026-11-20T15:30:00Z")
TURN = NOW_US // shop.TURN_US
TURNS = range(TURN, TURN + 200)


def test_the_same_seed_gives_the_same_and_another_something_else() -> None:
    assert [shop.order(1, turn) for turn in TURNS] == [shop.order(1, turn) for turn in TURNS]
    assert [shop.order(1, turn) for turn in TURNS] != [shop.order(2, turn) for turn in TURNS]
    assert [shop.purchase(1, turn) for turn in TURNS] != [shop.purchase(2, turn) for turn in TURNS]


def test_the_workflows_are_as_they_say_and_take_what_the_shop_gives() -> None:
    definitions = {alias: read_definition(document(alias)) for alias in ALIASES}
    assert [header_of(document(alias)).alias for alias in ALIASES] == list(ALIASES)
    assert {each.trigger.kind for each in definitions.values()} == {
        TriggerKind.SCHEDULE,
        TriggerKind.EVENT,
        TriggerKind.MANUAL,
    }
    assert [alias for alias, each in definitions.items() if each.price is not None] == [OPEN_POSITION]
    types = {node.type for each in definitions.values() for node in each.nodes}
    assert types >= {NodeType.FOR_EACH, NodeType.HUMAN, NodeType.EXECUTOR_START, NodeType.EXECUTOR_AWAIT, NodeType.TRY}
    orders, positions = definitions[TAKE_ORDER].input_schema, definitions[OPEN_POSITION].input_schema
    assert orders is not None
    assert positions is not None
    for turn in TURNS[:20]:
        check_input(orders, shop.order(1, turn))
        check_input(positions, shop.purchase(1, turn))


def test_orders_are_small_and_large_and_every_number_is_another() -> None:
    orders = [shop.order(1, turn) for turn in TURNS]
    assert len({each["number"] for each in orders}) == len(orders)
    totals = [sum(line["quantity"] * line["price"] for line in each["lines"]) for each in orders]
    large = sum(total > 500 for total in totals)
    assert len(orders) // 10 < large < len(orders) * 9 // 10


def test_somebody_buys_in_every_third_turn_and_every_third_leaves() -> None:
    buyers = [shop.buyer(turn) for turn in TURNS]
    found = [each for each in buyers if each is not None]
    assert len(found) in (len(TURNS) // 3, len(TURNS) // 3 + 1)
    assert len(set(found)) == len(found)
    assert abs(sum(each.startswith(LEAVES) for each in found) - len(found) / 3) < 1
    assert all(each.startswith((LEAVES, PAYS)) for each in found)


def test_people_take_their_time_and_some_say_nothing() -> None:
    unpaid = [
        Unpaid(id="pays", reference=f"{PAYS}1", since_us=NOW_US),
        Unpaid(id="leaves", reference=f"{LEAVES}1", since_us=NOW_US),
        Unpaid(id="mine", reference="whatever", since_us=NOW_US),
    ]
    asked = [Asked(id=str(number), number=f"A-{number}", since_us=NOW_US) for number in range(60)]
    assert shop.due(1, NOW_US + SECOND_US, unpaid, asked) == []
    later = shop.due(1, NOW_US + 3600 * SECOND_US, unpaid, asked)
    assert [each for each in later if isinstance(each, Pay)] == [Pay("pays")]
    answers = [each for each in later if isinstance(each, Answer)]
    assert {each.approved for each in answers} == {True, False}
    assert 20 < len(answers) < 55


@given(st.integers(0, 2**31), st.text(max_size=40))
def test_the_third_attempt_goes_well(seed: int, request: str) -> None:
    assert [shop.mood(seed, request, attempt) for attempt in (3, 4)] == [Mood.WELL] * 2


def test_every_mood_is_seen() -> None:
    assert {shop.mood(1, f"/invoice {turn}", 1) for turn in TURNS} == set(Mood)


def test_quotes_stay_near_and_pairs_are_mostly_traded() -> None:
    moments = [NOW_US + minute * 60 * SECOND_US for minute in range(400)]
    for pair, middle in MIDDLES.items():
        quotes = [shop.quote(1, pair, moment) for moment in moments]
        assert all(abs(each["ask"] * 100 - middle) <= middle / 100 for each in quotes)
        assert all(each["bid"] < each["ask"] for each in quotes)
        assert any(abs(each["moved_percent"]) >= 0.3 for each in quotes)
        assert any(abs(each["moved_percent"]) < 0.3 for each in quotes)
    opened = sum(shop.pairs(1, moment)["open"] for moment in moments)
    assert len(moments) // 2 < opened < len(moments)


def test_an_order_has_one_invoice() -> None:
    assert shop.invoice(1, {"order": "A-1"}) == shop.invoice(1, {"order": "A-1"}) != shop.invoice(1, {"order": "A-2"})
    assert shop.invoice(1, {})["order"] is None
