"""BitMEX: the real file, running positions, refusals."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from gesta.sources import bitmex
from gesta.sources.files import bytes_opener, file_opener
from gesta.sources.row import FileError, Fill, Item, Refused

REAL = Path(__file__).resolve().parents[4] / "shared/data/executions/bitmex_executions_slim.csv.gz"
HEADER = (
    "event_time,execID,orderID,trdMatchID,symbol,side,lastQty,lastPx,cumQty,price,avgPx,execCost,homeNotional,"
    "foreignNotional\n"
)
FIRST = "2021-02-02T07:30:06.999000Z,x1,o1,,LINKUSDT,Buy,45,23.633,45,23.633,23.633,10634850,153.7,-3633.3\n"


def items(text: str, account: str = "BitMEX") -> list[Item]:
    return list(bitmex.read(bytes_opener(text.encode()), bitmex.Options(account=account)).items)


@pytest.mark.skipif(not REAL.exists(), reason="the real executions are not beside this repository")
def test_the_real_file() -> None:
    found = list(bitmex.read(file_opener(REAL), bitmex.Options()).items)
    fills = [item for item in found if isinstance(item, Fill)]
    assert len(fills) == len(found) == 7234
    assert len({fill.id for fill in fills}) == 7234
    filled: dict[str, Decimal] = defaultdict(Decimal)
    largest: dict[str, Decimal] = defaultdict(Decimal)
    last_position: dict[str, Decimal] = {}
    for fill in fills:
        detail = fill.detail
        assert detail.cumulative_quantity is not None
        filled[detail.order_id] += detail.quantity
        largest[detail.order_id] = max(largest[detail.order_id], detail.cumulative_quantity)
        before = last_position.get(detail.instrument, Decimal(0))
        change = detail.quantity if detail.side == "buy" else -detail.quantity
        assert detail.position_after == before + change
        last_position[detail.instrument] = detail.position_after
    assert len(filled) == 700
    assert filled == largest
    assert len(last_position) == 11


def test_a_fill() -> None:
    (fill,) = items(HEADER + FIRST, account="Mine")
    assert isinstance(fill, Fill)
    assert (fill.id, fill.account, fill.origin, fill.line) == ("x1", "Mine", "bitmex", 2)
    detail = fill.detail
    assert (detail.currency, detail.instrument_type, detail.commission) == ("XBT", "CryptoPerpetual", Decimal(0))
    # 45 contracts at 23.633 cost 10,634,850 satoshis.
    assert detail.price * detail.quantity * detail.point_value == Decimal("0.1063485")
    assert fill.document()["created_at"] == "2021-02-02T07:30:06.999000Z"


def test_positions_run_by_symbol_and_give_the_flags() -> None:
    rows = [
        FIRST,
        FIRST.replace("x1", "x2").replace("Buy,45", "Sell,15"),
        FIRST.replace("x1", "x3").replace("LINK", "ADA"),
        FIRST.replace("x1", "x4").replace("Buy,45", "Sell,40"),
    ]
    details = [item.detail for item in items(HEADER + "".join(rows)) if isinstance(item, Fill)]
    assert [detail.position_after for detail in details] == [45, 30, 45, -10]
    assert [(detail.is_entry, detail.is_exit) for detail in details] == [
        (True, False),
        (False, True),
        (True, False),
        (True, True),
    ]


def test_a_fill_out_of_order_is_noted() -> None:
    _, late = items(HEADER + FIRST + FIRST.replace("x1", "x2").replace("07:30", "06:30"))
    assert isinstance(late, Fill)
    assert "earlier than the one before" in late.notes[0]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Buy", "", "neither Buy nor Sell"),
        (",45,23.633,45", ",0,23.633,45", "not a number above zero"),
        (",45,23.633,45", ",NaN,23.633,45", "not a number above zero"),
        (",45,23.633,45", ",1e999,23.633,45", "not a number above zero"),
        (",45,23.633,45", ",45,x,45", "not a number"),
        ("x1", "", "execID is empty"),
        ("2021-02-02", "2021-02-30", "not a possible date"),
        (",10634850,", ",much,", "execCost"),
        (",,", ",", "fields"),
        ("x1", '"x1', "cannot be split"),
    ],
)
def test_a_bad_row_is_refused_and_moves_no_position(old: str, new: str, reason: str) -> None:
    bad, good = items(HEADER + FIRST.replace(old, new, 1) + FIRST.replace("x1", "x2"))
    assert isinstance(bad, Refused)
    assert (bad.line, reason in bad.reason) == (2, True), bad.reason
    assert isinstance(good, Fill)
    assert good.detail.position_after == Decimal(45)


def test_funding_is_no_fill() -> None:
    header = HEADER.replace("foreignNotional", "foreignNotional,execType")
    trade, funding = items(header + FIRST.replace("\n", ",Trade\n") + FIRST.replace("\n", ",Funding\n"))
    assert isinstance(trade, Fill)
    assert isinstance(funding, Refused)


@pytest.mark.parametrize("text", ["", "a,b,c\n", "\0"])
def test_another_file(text: str) -> None:
    with pytest.raises(FileError, match="no execID"):
        items(text)
