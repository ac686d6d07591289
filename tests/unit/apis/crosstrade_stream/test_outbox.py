"""The outbox against a plain model: replies never go missing, `seq` has no holes, what is dropped is counted."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.crosstrade.outbox import MAX_REPLIES, MAX_REPLY_CHARACTERS, Outbox, Pushed, Topic

ACCOUNT = Account(id=1, organization=1, name="Sim101", type=AccountType.TRADING, environment=Environment.PRODUCTION)


def event(number: int, topic: Topic = Topic.ORDERS, padding: str = "") -> Pushed:
    return Pushed(topic, ACCOUNT, '{"seq":', f',"number":{number},"padding":"{padding}"}}')


def drained(outbox: Outbox) -> list[dict[str, Any]]:
    frames = []
    while (text := outbox.next()) is not None:
        frames.append(json.loads(text))
    assert len(outbox) == 0
    return frames


def test_events_and_replies_leave_in_order() -> None:
    outbox = Outbox()
    outbox.push(event(1))
    outbox.reply('{"id":1}')
    outbox.push(event(2))
    frames = drained(outbox)
    assert [frame.get("number") for frame in frames] == [1, None, 2]
    assert [frame.get("seq") for frame in frames] == [1, None, 2]


def test_too_many_events_give_way_to_one_resync() -> None:
    outbox = Outbox(max_events=3)
    for number in range(3):
        outbox.push(event(number))
    outbox.reply('{"id":1}')
    outbox.push(event(3))
    outbox.push(event(4))
    assert drained(outbox) == [{"id": 1}, {"type": "resync", "seq": 1, "dropped": 5}]
    outbox.push(event(5))
    assert [frame["number"] for frame in drained(outbox)] == [5]


def test_too_many_characters_do_as_well() -> None:
    outbox = Outbox(max_characters=1000)
    outbox.push(event(1, padding="x" * 600))
    outbox.push(event(2, padding="x" * 600))
    assert drained(outbox) == [{"type": "resync", "seq": 1, "dropped": 2}]
    outbox.push(event(3, padding="x" * 1001))
    assert drained(outbox) == [{"type": "resync", "seq": 2, "dropped": 1}]


def test_a_source_waits_once_and_is_asked_when_it_is_its_turn() -> None:
    outbox = Outbox()
    newest = [1]

    def source() -> tuple[str, str] | None:
        return ('{"seq":', f',"value":{newest[0]}}}') if newest[0] else None

    for value in (1, 2, 3):
        newest[0] = value
        outbox.due(source)
    assert drained(outbox) == [{"seq": 1, "value": 3}]
    newest[0] = 0
    outbox.due(source)
    assert outbox.next() is None
    newest[0] = 4
    outbox.due(source)
    assert drained(outbox) == [{"seq": 2, "value": 4}]


def test_forgotten_topics_leave_the_others() -> None:
    outbox = Outbox(max_events=2)
    outbox.push(event(1))
    outbox.push(event(2, Topic.POSITIONS))
    outbox.forget(frozenset({Topic.ORDERS}))
    outbox.push(event(3, Topic.EXECUTIONS))
    assert [frame["number"] for frame in drained(outbox)] == [2, 3]


def test_silence_keeps_replies() -> None:
    outbox = Outbox(max_events=1)
    outbox.push(event(1))
    outbox.reply('{"id":1}')
    outbox.push(event(2))
    outbox.due(lambda: ("", ""))
    outbox.silence()
    assert drained(outbox) == [{"id": 1}]


def test_it_says_when_replies_are_not_taken() -> None:
    outbox = Outbox()
    said = []
    for _ in range(MAX_REPLIES):
        said.append(outbox.is_full_of_replies)
        outbox.reply("{}")
    said.append(outbox.is_full_of_replies)
    outbox.next()
    said.append(outbox.is_full_of_replies)
    outbox.reply("x" * MAX_REPLY_CHARACTERS)
    said.append(outbox.is_full_of_replies)
    assert said == [False] * MAX_REPLIES + [True, False, True]


def test_one_large_reply_is_enough() -> None:
    outbox = Outbox()
    outbox.reply("x" * MAX_REPLY_CHARACTERS)
    assert outbox.is_full_of_replies


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 40)),
        st.tuples(st.just("reply"), st.just(0)),
        st.tuples(st.just("write"), st.integers(1, 4)),
        st.tuples(st.just("lose"), st.integers(1, 3)),
    ),
    max_size=60,
)


@given(steps=STEPS, most=st.integers(1, 5))
def test_everything_is_written_or_counted(steps: list[tuple[str, int]], most: int) -> None:
    outbox = Outbox(max_events=most, max_characters=200)
    put = replies = 0
    frames: list[dict[str, Any]] = []
    for step, amount in steps:
        if step == "push":
            put += 1
            outbox.push(event(put, padding="x" * amount))
        elif step == "lose":
            put += amount
            outbox.lose(amount)
        elif step == "reply":
            replies += 1
            outbox.reply(f'{{"id":{replies}}}')
        else:
            frames += [json.loads(text) for _ in range(amount) if (text := outbox.next()) is not None]
        assert len(outbox) <= most + replies + 1
    frames += drained(outbox)
    pushes = [frame for frame in frames if "seq" in frame]
    assert [frame["id"] for frame in frames if "id" in frame] == list(range(1, replies + 1))
    assert [frame["seq"] for frame in pushes] == list(range(1, len(pushes) + 1))
    told = [frame["number"] for frame in pushes if "number" in frame]
    assert told == sorted(set(told))
    assert len(told) + sum(frame.get("dropped", 0) for frame in pushes) == put
