"""Any fill, written in any culture, reads back as itself; any bytes give items or one FileError."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gesta.kernel.times import from_datetime
from gesta.ledger.records import Side
from gesta.sources import bitmex, ndjson, nt8_grid, tradovate
from gesta.sources.files import bytes_opener
from gesta.sources.nt8_grid import DateOrder, DecimalMark
from gesta.sources.positions import signed
from gesta.sources.row import Document, FileError, Fill, Refused

ZONES = [ZoneInfo(name) for name in ("America/Chicago", "Europe/Berlin", "Asia/Kolkata", "UTC")]


class Culture(msgspec.Struct, frozen=True, kw_only=True):
    """How a Windows writes: everything that a person can set there."""

    separator: str
    decimal: DecimalMark
    group: str
    order: DateOrder
    date_mark: str
    pad: bool
    hours: str
    money: str
    negative: str
    symbology: str
    encoding: str
    newline: str
    trailing: bool

    def number(self, value: Decimal, digits: int) -> str:
        text = f"{abs(value):,.{digits}f}"
        text = text.replace(",", "\0").replace(".", self.decimal.mark).replace("\0", self.group)
        return "-" + text if value < 0 else text

    def amount(self, value: Decimal) -> str:
        text = self.money.format(self.number(abs(value), 2))
        return self.negative.format(text) if value < 0 else text

    def moment(self, local: datetime) -> str:
        day, month = (f"{local.day:02d}", f"{local.month:02d}") if self.pad else (str(local.day), str(local.month))
        year = f"{local.year:04d}"
        parts = {"mdy": (month, day, year), "dmy": (day, month, year), "ymd": (year, month, day)}[self.order]
        date = self.date_mark.join(parts)
        if self.hours == "24":
            return f"{date} {local.hour}:{local.minute:02d}:{local.second:02d}"
        half = self.hours.split("|")[local.hour >= 12]
        return f"{date} {local.hour % 12 or 12}:{local.minute:02d}:{local.second:02d} {half}"


@st.composite
def cultures(draw: st.DrawFn) -> Culture:
    decimal = draw(st.sampled_from(list(DecimalMark)))
    groups = ["", "'", "\u2019", " ", "\u00a0", "\u202f", "." if decimal is DecimalMark.COMMA else ","]
    return Culture(
        separator=draw(st.sampled_from(";,\t")),
        decimal=decimal,
        group=draw(st.sampled_from(groups)),
        order=draw(st.sampled_from(list(DateOrder))),
        date_mark=draw(st.sampled_from("/-")),
        pad=draw(st.booleans()),
        hours=draw(st.sampled_from(["24", "AM|PM", "a.\u00a0m.|p.\u00a0m.", "上午|下午", "πμ|μμ"])),
        money=draw(st.sampled_from(["${}", "{} $", "{}\u00a0$", "$ {}", "{}"])),
        negative=draw(st.sampled_from(["({})", "-{}"])),
        symbology=draw(st.sampled_from(["dated", "month"])),
        encoding=draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
        newline=draw(st.sampled_from(["\r\n", "\n"])),
        trailing=draw(st.booleans()),
    )


class Written(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    account: str
    name: str
    order_id: str
    side: Side
    quantity: int
    price: Decimal
    digits: int
    position: int
    commission: Decimal
    local: datetime


_WORDS = st.text(st.sampled_from("abcXYZ 0123_|.äé€-"), max_size=12).map(str.strip)


@st.composite
def written(draw: st.DrawFn) -> Written:
    digits = draw(st.sampled_from([0, 1, 2, 4, 5]))
    local = datetime.fromisoformat("2010-01-01") + timedelta(seconds=draw(st.integers(0, 631_000_000)))
    return Written(
        id=draw(st.text("0123456789abcdef_|", min_size=1, max_size=32)),
        account=draw(_WORDS.filter(bool)),
        name=draw(_WORDS),
        order_id=draw(_WORDS),
        side=draw(st.sampled_from(list(Side))),
        quantity=draw(st.integers(1, 100_000)),
        price=Decimal(draw(st.integers(1, 10**9))).scaleb(-digits),
        digits=digits,
        position=draw(st.integers(-100_000, 100_000)),
        commission=Decimal(draw(st.integers(-(10**7), 10**7))).scaleb(-2),
        local=local,
    )


def spelled(rows: list[Written], culture: Culture) -> bytes:
    names = (
        "Instrument;Action;Quantity;Price;Time;ID;E/X;Position;Order ID;Name;Commission;Rate;"
        "Account display name;Connection"
    )
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=culture.separator, lineterminator=culture.newline)
    tail = [""] if culture.trailing else []
    writer.writerow(names.split(";") + tail)
    for one in rows:
        letter = "L" if one.position > 0 else "S"
        position = "-" if one.position == 0 else f"{abs(one.position)} {letter}"
        instrument = "ES 12-26" if culture.symbology == "dated" else "ES DEC26"
        cells = [
            *(instrument, one.side.capitalize(), str(one.quantity), culture.number(one.price, one.digits)),
            *(culture.moment(one.local), one.id, "", position, one.order_id, one.name),
            *(culture.amount(one.commission), "1", one.account, "Live"),
        ]
        writer.writerow(cells + tail)
    return text.getvalue().encode(culture.encoding)


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(written(), min_size=1, max_size=5), culture=cultures(), zone=st.sampled_from(ZONES))
def test_a_fill_in_any_culture_reads_back(rows: list[Written], culture: Culture, zone: ZoneInfo) -> None:
    for one in rows:
        there = one.local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None)
        assume(there == one.local)
    options = nt8_grid.Options(zone=zone, date_order=culture.order, decimal=culture.decimal)
    found = list(nt8_grid.read(bytes_opener(spelled(rows, culture)), options).items)
    assert [type(item) for item in found] == [Fill] * len(rows), found
    for one, fill in zip(rows, found, strict=True):
        assert isinstance(fill, Fill)
        detail = fill.detail
        assert (fill.id, fill.account, fill.name, detail.order_id) == (one.id, one.account, one.name, one.order_id)
        assert (detail.side, detail.quantity, detail.price) == (one.side, one.quantity, one.price)
        assert (detail.position_after, detail.commission) == (one.position, one.commission)
        assert detail.instrument == "ES 12-26"
        assert fill.at_us == from_datetime(one.local.replace(tzinfo=zone).astimezone(UTC))
        before = one.position - signed(one.side, Decimal(one.quantity))
        assert detail.is_last_exit == (one.position == 0)
        assert detail.is_initial_entry == (detail.is_entry and (before == 0 or detail.is_exit))
        assert detail.is_entry or detail.is_exit


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(written(), min_size=1, max_size=5), culture=cultures())
def test_the_culture_is_found_out_wherever_the_file_proves_it(rows: list[Written], culture: Culture) -> None:
    # Two witnesses: a day above 12, and cents, which no reading can take for a group.
    witness = msgspec.structs.replace(
        rows[0], price=Decimal("5006.25"), digits=2, local=datetime.fromisoformat("2026-04-27 16:05:02")
    )
    content = spelled([witness, witness, *rows], culture)
    zone = ZoneInfo("UTC")
    alone = nt8_grid.read(bytes_opener(content), nt8_grid.Options(zone=zone))
    told = nt8_grid.read(
        bytes_opener(content), nt8_grid.Options(zone=zone, date_order=culture.order, decimal=culture.decimal)
    )
    assert list(alone.items) == list(told.items)


_LINES = st.lists(
    st.sampled_from(
        [
            "Instrument;Action;Quantity;Price;Time;ID;E/X;Position;Order ID;Name;Commission;Rate;Account;Connection;",
            "ES 12-26;Buy;1;5006,25;27/04/2026 6:05:02;e1;Entry;1 L;o1;;0,62 $;1;Sim101;;",
            "event_time,execID,orderID,symbol,side,lastQty,lastPx,cumQty,execCost",
            "2021-02-02T07:30:06.999000Z,x,o,LINKUSDT,Buy,45,23.633,45,10634850",
            "symbol,buyFillId,sellFillId,qty,buyPrice,sellPrice,pnl,boughtTimestamp,soldTimestamp",
            "MESH5,1,2,1,6117.75,6130.25,$62.50,01/22/2025 23:02:03,01/23/2025 00:30:16",
            '{"id": "a"}',
        ]
    )
    | st.text(max_size=60),
    max_size=8,
)


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """Bytes that begin like a file and go wrong somewhere."""
    content = bytearray("\n".join(draw(_LINES)).encode("utf-8", "replace"))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(content)))
        content[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(content)


SOURCES: dict[str, Any] = {
    "nt8": lambda opener: nt8_grid.read(opener, nt8_grid.Options(zone=ZONES[0])),
    "bitmex": lambda opener: bitmex.read(opener, bitmex.Options()),
    "tradovate": lambda opener: tradovate.read(opener, tradovate.Options(zone=ZONES[0])),
    "ndjson": lambda opener: ndjson.read(opener, ndjson.Options()),
}


@settings(max_examples=400, deadline=None)
@given(content=hostile() | st.binary(max_size=300), name=st.sampled_from(list(SOURCES)))
@example(content=b"\x1f\x8b\x08broken", name="nt8")
@example(content=b"\xff\xfe\x00", name="nt8")
@example(content=b"\xff\xfe\x00\x00\x01", name="bitmex")
@example(content=b'{"a":' * 10_000, name="ndjson")
def test_any_bytes_give_items_or_one_file_error(content: bytes, name: str) -> None:
    try:
        found = list(SOURCES[name](bytes_opener(content)).items)
    except FileError:
        return
    for item in found:
        assert isinstance(item, (Fill, Document, Refused))
        assert item.line >= 1
        if not isinstance(item, Refused):
            assert isinstance(item.document(), dict)
