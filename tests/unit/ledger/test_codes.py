from __future__ import annotations

import itertools
from typing import Any

from gesta.ledger import codes
from gesta.ledger.query import Filter
from gesta.ledger.records import CORRELATIONS, Kind, Mode, Severity, Source, Status


def test_the_codes_on_disk_never_move() -> None:
    assert [str(kind) for kind in codes.KINDS] == ["fill", "executor", "run"]
    assert [str(mode) for mode in codes.MODES] == ["sync", "async"]
    assert [str(level) for level in codes.SEVERITIES] == ["debug", "info", "warning", "error"]
    assert [str(source) for source in codes.SOURCES] == [
        *("api", "event", "schedule", "manual", "import", "venue", "simulated")
    ]
    assert [str(status) for status in codes.STATUSES] == [
        *("awaiting_payment", "paid", "queued", "running", "waiting", "stopping"),
        *("succeeded", "failed", "cancelled", "timed_out"),
    ]
    assert codes.REFERENCES[:8] == (
        *("parent_id", "order_id", "workflow_id", "controller_id", "external_ref", "event_id", "trading_pair"),
        "instrument",
    )


def test_every_word_has_a_code() -> None:
    assert set(codes.KINDS) == set(Kind)
    assert set(codes.STATUSES) == set(Status)
    assert set(codes.SOURCES) == set(Source)
    assert set(codes.MODES) == set(Mode)
    assert set(codes.SEVERITIES) == set(Severity)
    assert set(codes.REFERENCES) == {"parent_id", *CORRELATIONS}


def test_cells_pack_and_unpack() -> None:
    seen = set()
    for kind, status, source, mode in itertools.product(Kind, Status, Source, Mode):
        cell = codes.pack(kind, status, source, mode)
        seen.add(cell)
        assert (codes.kind_of(cell), codes.status_of(cell)) == (kind, status)
        assert (codes.source_of(cell), codes.mode_of(cell)) == (source, mode)
        for other in Status:
            assert codes.with_status(cell, other) == codes.pack(kind, other, source, mode)
    assert len(seen) == len(Kind) * len(Status) * len(Source) * len(Mode)


def test_the_fewest_counters_that_add_up() -> None:
    cells = [codes.pack(kind, status, Source.API, Mode.ASYNC) for kind in Kind for status in Status]

    def counters(**conditions: Any) -> list[int]:
        return codes.counters_for(codes.matching_cells(Filter(organization=1, **conditions), cells), cells)

    assert counters() == [codes.EVERY]
    assert counters(sources=frozenset({Source.API})) == [codes.EVERY]
    assert counters(kinds=frozenset({Kind.RUN})) == [codes.every_of_kind(2)]
    assert counters(statuses=frozenset({Status.PAID})) == [codes.every_of_status(1)]
    assert counters(statuses=frozenset({Status.PAID}), kinds=frozenset({Kind.RUN})) == [
        codes.pack(Kind.RUN, Status.PAID, Source.API, Mode.ASYNC)
    ]
    assert counters(sources=frozenset({Source.EVENT})) == []
