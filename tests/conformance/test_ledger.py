"""What every ledger promises, on each database."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.kernel.times import DAY_US
from gesta.ledger.query import Filter
from gesta.ledger.records import (
    Execution,
    FillDetail,
    Kind,
    NewEvent,
    Outcome,
    Severity,
    Source,
    Status,
    Transition,
)
from gesta.ledger.store import StoredLedger
from gesta.testing.fakes import ManualClock
from gesta.testing.rows import executor, fill, run

ORG = 1
ALL = Filter(organization=ORG)


def change(status: Status | None = None, **fields: Any) -> Transition:
    return Transition(status=status, event=NewEvent(type=f"execution.{status}"), **fields)


def ids(rows: list[Execution]) -> list[str]:
    return [row.id for row in rows]


async def test_a_recorded_row_reads_back_whole(ledger: StoredLedger, clock: ManualClock) -> None:
    row = run(1, parent_id="p", started_at_us=5, finished_at_us=6)
    (result,) = await ledger.append(ORG, [row])
    assert (result.outcome, result.id, result.seq) == (Outcome.RECORDED, row.id, 1)
    read = await ledger.get(ORG, row.id)
    assert read == Execution(
        id=row.id,
        organization=ORG,
        account=1,
        kind=Kind.RUN,
        name=row.name,
        status=Status.QUEUED,
        source=Source.EVENT,
        mode=row.mode,
        origin="test",
        external_id=row.id,
        parent_id="p",
        correlation={"workflow_id": "wf1"},
        created_at_us=row.created_at_us,
        started_at_us=5,
        finished_at_us=6,
        updated_at_us=row.created_at_us,
        recorded_at_us=clock.now_us(),
        version=1,
        seq=1,
        detail=row.detail,
    )


async def test_an_unknown_id_and_another_organizations_id_are_the_same(ledger: StoredLedger) -> None:
    await ledger.append(ORG, [fill(1)])
    assert await ledger.get(ORG, "nothing") is None
    assert await ledger.get(ORG, "nul\0byte") is None
    assert await ledger.get(2, fill(1).id) is None


async def test_a_repeated_row_is_a_duplicate_and_adds_nothing(ledger: StoredLedger, clock: ManualClock) -> None:
    first = await ledger.append(ORG, [fill(1), fill(2)])
    clock.advance_us(5)
    again = await ledger.append(ORG, [fill(2), fill(3), fill(3)])
    assert [result.outcome for result in again] == [Outcome.DUPLICATE, Outcome.RECORDED, Outcome.DUPLICATE]
    assert again[0].seq == first[1].seq
    assert await ledger.count(ALL) == 3
    assert await ledger.head(ORG) == 3


async def test_a_repeated_row_with_other_content_is_a_conflict_and_changes_nothing(ledger: StoredLedger) -> None:
    await ledger.append(ORG, [fill(1)])
    (result,) = await ledger.append(ORG, [fill(1, name="another")])
    assert result.outcome is Outcome.CONFLICT
    assert "different content" in result.message
    read = await ledger.get(ORG, fill(1).id)
    assert read is not None
    assert read.name == fill(1).name


async def test_a_row_is_a_duplicate_after_its_execution_has_moved_on(ledger: StoredLedger) -> None:
    await ledger.append(ORG, [run(1)])
    await ledger.transition(ORG, run(1).id, change(Status.RUNNING))
    (result,) = await ledger.append(ORG, [run(1)])
    assert result.outcome is Outcome.DUPLICATE


async def test_content_is_compared_by_what_was_posted_when_that_is_given(ledger: StoredLedger) -> None:
    await ledger.append(ORG, [fill(1, content=b"posted")])
    (result,) = await ledger.append(ORG, [fill(1, created_at_us=9, content=b"posted")])
    assert result.outcome is Outcome.DUPLICATE


async def test_one_vendor_id_in_two_accounts_is_two_rows(ledger: StoredLedger) -> None:
    results = await ledger.append(ORG, [fill(1), fill(1, account=2), fill(1, account=3)])
    assert [result.outcome for result in results] == [Outcome.RECORDED] * 3
    assert len({result.id for result in results}) == 3
    again = await ledger.append(ORG, [fill(1, account=2), fill(1, account=3), fill(1)])
    assert [result.outcome for result in again] == [Outcome.DUPLICATE] * 3
    for account in (1, 2, 3):
        read = await ledger.get(ORG, fill(1).id, account=account)
        assert read is not None
        assert (read.account, read.external_id) == (account, fill(1).id)


async def test_text_that_cannot_be_stored_is_refused_before_anything_is_written(ledger: StoredLedger) -> None:
    for bad in (
        fill(2, id=""),
        fill(2, id="a\0b"),
        fill(2, name="x" * 2000),
        fill(2, parent_id="\0"),
        fill(2, id="\ud800"),
    ):
        with pytest.raises(InvalidInput):
            await ledger.append(ORG, [fill(1), bad])
    assert await ledger.head(ORG) == 0


async def test_a_transition_changes_row_event_totals_and_feed_together(
    ledger: StoredLedger, clock: ManualClock
) -> None:
    await ledger.append(ORG, [run(1), run(2)])
    clock.advance_us(7)
    after = await ledger.transition(ORG, run(1).id, change(Status.RUNNING))
    assert (after.status, after.version, after.seq) == (Status.RUNNING, 2, 3)
    assert after.started_at_us == after.updated_at_us == clock.now_us()
    assert after == await ledger.get(ORG, run(1).id)
    assert await ledger.count(Filter(organization=ORG, statuses=frozenset({Status.RUNNING}))) == 1
    assert await ledger.count(Filter(organization=ORG, account=1, statuses=frozenset({Status.QUEUED}))) == 1
    timeline = (await ledger.events(ORG, run(1).id)).events
    assert [(event.seq, event.from_status, event.to_status) for event in timeline] == [
        (1, None, Status.QUEUED),
        (3, Status.QUEUED, Status.RUNNING),
    ]
    clock.advance_us(1)
    done = await ledger.transition(ORG, run(1).id, change(Status.SUCCEEDED))
    assert done.finished_at_us == clock.now_us()
    assert done.started_at_us == after.started_at_us


async def test_a_refused_transition_changes_nothing(ledger: StoredLedger) -> None:
    await ledger.append(ORG, [fill(1)])
    with pytest.raises(Conflict, match="what may follow is cancelled"):
        await ledger.transition(ORG, fill(1).id, change(Status.RUNNING))
    with pytest.raises(Conflict, match="version 1"):
        await ledger.transition(ORG, fill(1).id, change(Status.CANCELLED, expected_version=4))
    with pytest.raises(InvalidInput):
        await ledger.transition(ORG, fill(1).id, change(detail=run(1).detail))
    with pytest.raises(NotFound):
        await ledger.transition(ORG, "nothing", change(Status.CANCELLED))
    with pytest.raises(NotFound):
        await ledger.transition(2, fill(1).id, change(Status.CANCELLED))
    assert await ledger.head(ORG) == 1


async def test_a_corrected_and_a_busted_fill_move_the_sums(ledger: StoredLedger) -> None:
    await ledger.append(ORG, [fill(1)])
    detail = fill(1).detail
    assert isinstance(detail, FillDetail)
    corrected = msgspec.structs.replace(detail, price=Decimal(6000), commission=Decimal("0.5"))
    await ledger.transition(ORG, fill(1).id, change(detail=corrected))
    (row,) = await ledger.summary(ALL, by=frozenset({"status"}))
    assert (row.count, row.quantity, row.volume, row.fees) == (1, "2", "600000", "0.5")
    await ledger.transition(ORG, fill(1).id, change(Status.CANCELLED))
    (row,) = await ledger.summary(ALL, by=frozenset({"status"}))
    assert (row.status, row.count) == (Status.CANCELLED, 1)


async def test_notes_change_nothing_but_the_timeline_and_the_feed(ledger: StoredLedger) -> None:
    await ledger.append(ORG, [executor(1)])
    made = await ledger.note(
        ORG,
        "executor1",
        [NewEvent(type="log", level=Severity.ERROR, message="no balance", data={"x": [1]}), NewEvent(type="log")],
    )
    assert [event.seq for event in made] == [2, 3]
    events = (await ledger.events(ORG, "executor1", after_seq=1)).events
    assert events == made
    sliced = await ledger.events(ORG, "executor1", limit=1)
    assert sliced.has_more
    assert len(sliced.events) == 1
    read = await ledger.get(ORG, "executor1")
    assert read is not None
    assert (read.version, read.seq) == (1, 3)
    with pytest.raises(NotFound):
        await ledger.note(ORG, "nothing", [NewEvent(type="log")])
    with pytest.raises(NotFound):
        await ledger.events(2, "executor1")


async def test_the_feed_is_complete_in_order_and_resumable_anywhere(ledger: StoredLedger) -> None:
    await ledger.append(ORG, [run(n) for n in range(5)])
    await ledger.append(2, [run(n) for n in range(3)])
    await ledger.transition(ORG, run(2).id, change(Status.RUNNING))
    whole = await ledger.feed(ORG, after_seq=0, limit=100)
    assert [item.event.seq for item in whole] == [1, 2, 3, 4, 5, 6]
    assert whole[-1].event.execution_id == whole[-1].execution.id == run(2).id
    for cut in range(7):
        assert await ledger.feed(ORG, after_seq=cut, limit=100) == whole[cut:]
    assert await ledger.feed(ORG, after_seq=10**18, limit=5) == []
    assert await ledger.feed(3, after_seq=0, limit=5) == []


async def test_who_waits_is_woken_by_a_commit(ledger: StoredLedger) -> None:
    waiter = asyncio.create_task(ledger.wait(ORG, after_seq=0, timeout_s=20))
    await asyncio.sleep(0)
    await ledger.append(ORG, [fill(1)])
    assert await waiter
    assert not await ledger.wait(ORG, after_seq=1, timeout_s=0)


async def test_concurrent_appends_each_get_their_own_results(ledger: StoredLedger) -> None:
    batches = [[fill(n), fill(n + 1)] for n in range(60)]
    results = await asyncio.gather(*(ledger.append(ORG, batch) for batch in batches))
    for batch, result in zip(batches, results, strict=True):
        assert [row.id for row in batch] == [each.id for each in result]
    assert await ledger.count(ALL) == 61
    assert await ledger.head(ORG) == 61
    outcomes = [each.outcome for result in results for each in result]
    assert outcomes.count(Outcome.RECORDED) == 61


async def test_every_filter_and_any_combination(ledger: StoredLedger) -> None:
    rows = [fill(n) for n in range(10)] + [executor(n, account=2) for n in range(5)] + [run(n) for n in range(9)]
    await ledger.append(ORG, rows)
    await ledger.append(ORG, [run(100, parent_id="parent")])

    async def count(**conditions: Any) -> int:
        query = Filter(organization=ORG, **conditions)
        page = await ledger.page(query, offset=0, limit=1000)
        assert page.total == len(page.rows) == await ledger.count(query)
        return page.total

    assert await count() == 25
    assert await count(account=2) == 5
    assert await count(kinds=frozenset({Kind.RUN})) == 10
    assert await count(kinds=frozenset({Kind.RUN, Kind.FILL}), account=1) == 20
    assert await count(sources=frozenset({Source.SCHEDULE})) == 3
    assert await count(statuses=frozenset({Status.SUCCEEDED, Status.RUNNING})) == 15
    assert await count(parent_id="parent") == 1
    assert await count(correlation={"order_id": "order1"}) == 3
    assert await count(correlation={"workflow_id": "wf1"}, sources=frozenset({Source.EVENT})) == 1
    assert await count(accounts=frozenset({1, 2}), kinds=frozenset({Kind.EXECUTOR})) == 5
    assert await count(name_contains="EXECUTION 1") == 4
    assert await count(name_contains="rebalance 3") == 1
    assert await count(name_contains="100%") == 0
    assert await count(created_from_us=fill(3).created_at_us, created_to_us=fill(5).created_at_us) == 6
    assert await count(created_from_us=5, created_to_us=5) == 0
    assert await count(name_contains="nul\0") == 0
    assert await count(account=99) == 0


async def test_pages_and_seeks_cover_everything_once(ledger: StoredLedger) -> None:
    await ledger.append(ORG, [run(n) for n in range(50)])
    for newest_first in (True, False):
        expected = ids((await ledger.page(ALL, offset=0, limit=100, newest_first=newest_first)).rows)
        paged: list[str] = []
        for offset in range(0, 60, 7):
            page = await ledger.page(ALL, offset=offset, limit=7, newest_first=newest_first, total=False)
            assert page.total is None
            assert page.has_more == (offset + 7 < 50)
            paged += ids(page.rows)
        sought: list[str] = []
        after = None
        while True:
            piece = await ledger.seek(ALL, after=after, limit=7, newest_first=newest_first)
            sought += ids(piece.rows)
            after = piece.next
            if after is None:
                break
        assert paged == sought == expected
    empty = await ledger.page(ALL, offset=10**12, limit=10)
    assert (empty.rows, empty.total, empty.has_more) == ([], 50, False)


async def test_summary_groups_by_what_is_asked(ledger: StoredLedger) -> None:
    day = 1_700_000_000_000_000 // DAY_US * DAY_US
    await ledger.append(ORG, [fill(n) for n in range(4)])
    await ledger.append(ORG, [fill(9, account=2, created_at_us=day + DAY_US)])
    await ledger.append(ORG, [executor(1)])
    rows = await ledger.summary(ALL, by=frozenset({"day", "kind"}))
    assert [(row.day, row.kind, row.currency, row.count) for row in rows] == [
        ("2023-11-14", Kind.EXECUTOR, "USDT", 1),
        ("2023-11-14", Kind.FILL, "USD", 4),
        ("2023-11-15", Kind.FILL, "USD", 1),
    ]
    assert rows[1].quantity == "10"
    assert rows[1].volume == str(
        sum((n % 5 + 1) * (Decimal("5800.25") + n) * 50 for n in range(4)).normalize().to_integral()
    )
    assert rows[1].fees == "4.96"
    (only,) = await ledger.summary(Filter(organization=ORG, account=2), by=frozenset())
    assert only.count == 1
    with pytest.raises(InvalidInput):
        await ledger.summary(Filter(organization=ORG, created_from_us=5), by=frozenset())
    with pytest.raises(InvalidInput):
        await ledger.summary(Filter(organization=ORG, name_contains="x"), by=frozenset())
