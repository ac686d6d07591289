"""Tradovate's Performance export: the real layout, fills put together again, refusals."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gesta.sources import tradovate
from gesta.sources.files import bytes_opener, file_opener
from gesta.sources.row import FileError, Fill, Item, Refused, RowError

REAL = Path(__file__).resolve().parents[4] / "shared/data/executions/tradovate_performance.csv"
HEADER = (
    "symbol,_priceFormat,_priceFormatType,_tickSize,buyFillId,sellFillId,qty,buyPrice,sellPrice,pnl,boughtTimestamp,"
    "soldTimestamp,duration\n"
)
LONG = "MESH5,-2,0,0.25,101,103,1,6117.75,6130.25,$62.50,01/22/2025 23:02:03,01/23/2025 00:30:16,1h\n"
CHICAGO = ZoneInfo("America/Chicago")


def items(text: str, **options: str) -> list[Item]:
    return list(tradovate.read(bytes_opener(text.encode()), tradovate.Options(zone=CHICAGO, **options)).items)


@pytest.mark.skipif(not REAL.exists(), reason="the real export is not beside this repository")
def test_the_real_file() -> None:
    found = list(tradovate.read(file_opener(REAL), tradovate.Options(zone=CHICAGO)).items)
    fills = {item.id: item for item in found if isinstance(item, Fill)}
    # Ten pairs of seventeen fills: one buy closed two sells, one sell closed three buys.
    assert len(fills) == len(found) == 17
    closing = fills["6008481385"].detail
    assert (closing.quantity, closing.realized_pnl, closing.is_last_exit) == (Decimal(3), Decimal("-45.00"), True)
    short = fills["6008479906"].detail
    assert (short.side, short.quantity, short.realized_pnl) == ("buy", Decimal(2), Decimal("-50.00"))
    assert fills["6008481316"].detail.position_after == Decimal(3)
    positions = {item.detail.instrument: item.detail.position_after for item in fills.values()}
    assert positions == {"MES 03-25": 0, "MES 06-25": 0, "MES 09-25": 0}
    cash = Decimal(0)
    for fill in fills.values():
        sign = 1 if fill.detail.side == "sell" else -1
        cash += sign * fill.detail.price * fill.detail.quantity * fill.detail.point_value
    assert cash == sum(fill.detail.realized_pnl or 0 for fill in fills.values())


def test_a_pair() -> None:
    bought, sold = items(HEADER + LONG, account="Mine")
    assert isinstance(bought, Fill)
    assert isinstance(sold, Fill)
    assert (bought.id, bought.account, bought.detail.instrument) == ("101", "Mine", "MES 03-25")
    assert (bought.detail.is_initial_entry, bought.detail.realized_pnl) == (True, None)
    assert (sold.detail.is_last_exit, sold.detail.realized_pnl) == (True, Decimal("62.50"))
    assert bought.document()["created_at"] == "2025-01-23T05:02:03.000000Z"
    assert bought.time_zone == "America/Chicago"


def test_of_two_fills_in_one_second_the_higher_id_closes() -> None:
    line = LONG.replace("01/23/2025 00:30:16", "01/22/2025 23:02:03")
    first, second = items(HEADER + line.replace("101,103", "105,104"))
    assert isinstance(first, Fill)
    assert isinstance(second, Fill)
    assert (first.id, second.id, second.detail.realized_pnl) == ("104", "105", Decimal("62.50"))


def test_a_pair_that_contradicts_an_earlier_line_is_refused_whole() -> None:
    refused, *fills = items(HEADER + LONG + LONG.replace("6117.75", "6000.00").replace("103", "107"))
    assert isinstance(refused, Refused)
    assert (refused.line, "line 2" in refused.reason) == (3, True)
    assert [item.id for item in fills if isinstance(item, Fill)] == ["101", "103"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (",1,6117", ",0,6117", "above zero"),
        (",1,6117", ",x,6117", "not a number"),
        ("$62.50", "62.50 $", "not an amount"),
        ("01/22/2025", "13/22/2025", "impossible"),
        ("01/22/2025 23:02:03", "03/09/2025 02:30:00", "did not exist"),
        ("01/22/2025", "2025-01-22", "not a time"),
        ("101", "abc", "not a fill id"),
        ("101", "103", "the same fill id"),
        ("MESH5", "", "symbol is empty"),
        (",1h", "", "fields"),
    ],
)
def test_a_bad_row_is_refused(old: str, new: str, reason: str) -> None:
    (refused,) = items(HEADER + LONG.replace(old, new, 1))
    assert isinstance(refused, Refused)
    assert (refused.line, reason in refused.reason) == (2, True), refused.reason


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("$62.50", "62.50"),
        ("$(41.25)", "-41.25"),
        ("($41.25)", "-41.25"),
        ("$-41.25", "-41.25"),
        ("-$1,041.25", "-1041.25"),
        ("$0.00", "0"),
        ("12", "12"),
    ],
)
def test_money(text: str, amount: str) -> None:
    assert tradovate.parse_money(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "$", "$(41.25", "41.25)", "-$(41.25)", "--1", "$1.2.3", "€5", "1,23"])
def test_not_money(text: str) -> None:
    with pytest.raises(RowError):
        tradovate.parse_money(text)


def test_another_file() -> None:
    with pytest.raises(FileError, match="buyFillId"):
        items("a,b,c\n1,2,3\n")
