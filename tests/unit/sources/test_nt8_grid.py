"""The Executions grid: the samples of the protocol, headers, derivations, refusals."""

from __future__ import annotations

import gzip
from decimal import Decimal

import pytest

from gesta.ledger.records import Side
from gesta.sources.nt8_grid import DateOrder, DecimalMark
from gesta.sources.row import FileError, Fill, Refused
from tests.unit.sources.grids import HEADER, fills, grid, items, open_grid, row

COMMA_HEADER = HEADER.replace(";", ",")


def test_the_french_playback_row_of_the_protocol() -> None:
    """protocols/crosstrade.md §6, first example."""
    text = grid(
        "MES JUN26;Sell;1;7200,75;27/04/2026 6:05:02;601743f828ce41728b67d8c9ba4a56ab;Entry;1 S;"
        "0fc4852339a74a8f891d0627f37df2a6;Entry;0,62 $;1;Playback101;Playback;"
    )
    (fill,) = fills(text)
    assert fill.id == "601743f828ce41728b67d8c9ba4a56ab"
    assert (fill.account, fill.origin, fill.name, fill.line) == ("Playback101", "ninjatrader", "Entry", 2)
    detail = fill.detail
    assert (detail.instrument, detail.side, detail.quantity) == ("MES 06-26", Side.SELL, Decimal(1))
    assert (detail.price, detail.commission, detail.currency) == (Decimal("7200.75"), Decimal("0.62"), "USD")
    assert (detail.position_after, detail.point_value, detail.venue) == (Decimal(-1), Decimal(5), "Playback")
    assert (detail.is_entry, detail.is_initial_entry, detail.is_exit) == (True, True, False)
    document = fill.document()
    assert document["created_at"] == "2026-04-27T11:05:02.000000Z"
    assert document["correlation"] == {"instrument": "MES 06-26", "order_id": "0fc4852339a74a8f891d0627f37df2a6"}
    assert document["detail"]["price"] == "7200.75"


def test_the_rows_without_seconds_of_the_protocol() -> None:
    text = (
        COMMA_HEADER.rstrip(",")
        + "\nMNQ SEP25,Buy,4,22089.25,6/16/2025 21:08,151d7340c82841a9b245c942fb975c37,Entry,4 L,24901,Entry,$0.00,1,"
        "Sim101,Apex Trader Funding"
        "\nMNQ SEP25,Sell,1,22092,6/16/2025 21:09,338c5687ca07414397c6818e045c5123,Exit,5 L,24903,Target1,$0.00,1,"
        "Sim101,Apex Trader Funding\n"
    )
    first, second = fills(text)
    assert first.detail.instrument == "MNQ 09-25"
    assert (first.detail.is_initial_entry, first.detail.position_after) == (True, Decimal(4))
    assert (second.detail.is_exit, second.detail.is_last_exit, second.detail.is_entry) == (True, False, False)


def test_the_flat_row_of_the_protocol_with_two_trailing_separators() -> None:
    text = COMMA_HEADER + "\nES 12-26,Sell,1,5006.00,1/25/2026 9:07:00 AM,e3,Exit,-,o3,Target2,$1.99,1,Sim101,,\n"
    (fill,) = fills(text)
    assert (fill.detail.position_after, fill.detail.is_last_exit, fill.detail.venue) == (Decimal(0), True, "")
    assert fill.document()["created_at"] == "2026-01-25T15:07:00.000000Z"


def test_the_live_row_of_the_protocol() -> None:
    text = COMMA_HEADER + "\nNQ 09-26,Buy,1,100,7/23/2026 4:44:46 PM,execution-1,Entry,1 L,o,,$1.24,1,SIM-01,Live"
    (fill,) = fills(text)
    assert (fill.account, fill.name, fill.detail.commission) == ("SIM-01", "", Decimal("1.24"))
    assert fill.document()["created_at"] == "2026-07-23T21:44:46.000000Z"


def test_the_reordered_and_trimmed_file_of_the_protocol() -> None:
    text = (
        "Instrument,Action,Time,Price,E/X,Connection,Quantity,Account display name\n"
        "MNQZ6,Sell,9/15/2026 9:39,29441.25,Exit,TRADEIFY,6,ACCOUNT-1\n"
    )
    reading = open_grid(text)
    assert any("no ID column" in note for note in reading.notes)
    assert any("no Position column" in note for note in reading.notes)
    (fill,) = reading.items
    assert isinstance(fill, Fill)
    assert (fill.account, fill.detail.instrument, fill.detail.quantity) == ("ACCOUNT-1", "MNQ 12-26", Decimal(6))
    assert (fill.detail.is_exit, fill.detail.is_last_exit, fill.detail.position_after) == (True, False, Decimal(0))


def test_without_ids_equal_rows_stay_apart_and_the_same_file_gives_the_same_ids() -> None:
    line = "MNQZ6,Sell,9/15/2026 9:39,29441.25,Exit,TRADEIFY,6,ACCOUNT-1\n"
    text = "Instrument,Action,Time,Price,E/X,Connection,Quantity,Account display name\n" + line * 3
    first, again = [fill.id for fill in fills(text)], [fill.id for fill in fills(text)]
    assert first == again
    assert len(set(first)) == 3
    assert [fill.id for fill in fills(text, account="Other")] != first
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in first)


def test_a_cell_without_an_id_gets_one_too() -> None:
    one, other = fills(grid(row(id=""), row(id="")))
    assert one.id != other.id


@pytest.mark.parametrize(
    ("action", "quantity", "position", "flags"),
    [
        # entry, exit, initial entry, last exit
        ("Buy", "1", "1 L", (True, False, True, False)),
        ("Buy", "1", "4 L", (True, False, False, False)),
        ("Sell", "1", "3 L", (False, True, False, False)),
        ("Sell", "3", "-", (False, True, False, True)),
        ("Sell", "3", "0", (False, True, False, True)),
        ("SellShort", "2", "2 S", (True, False, True, False)),
        ("BuyToCover", "1", "1 S", (False, True, False, False)),
        ("Sell", "2", "1 S", (True, True, True, False)),  # a reversal is both
        ("Buy", "9", "4 L", (True, True, True, False)),
        ("Sell", "1", "-9", (True, False, False, False)),
    ],
)
def test_flags(action: str, quantity: str, position: str, flags: tuple[bool, ...]) -> None:
    (fill,) = fills(grid(row(action=action, quantity=quantity, position=position, entry_exit="")))
    detail = fill.detail
    assert (detail.is_entry, detail.is_exit, detail.is_initial_entry, detail.is_last_exit) == flags
    assert (detail.is_entry_strategy, detail.is_exit_strategy) == flags[:2]
    assert fill.notes == ()


def test_a_contradiction_of_the_grid_is_noted() -> None:
    (fill,) = fills(grid(row(entry_exit="Exit", position="1 L")))
    assert fill.detail.is_entry
    assert "the grid calls it exit" in fill.notes[0]


def test_a_position_in_an_unknown_language_is_signed_by_entry_and_exit() -> None:
    first, second = fills(
        grid(
            row(action="Sell", position="2 Q", entry_exit="Entry"),
            row(action="Sell", position="2 Q", entry_exit="Exit", id="e2"),
        )
    )
    assert first.detail.position_after == Decimal(-2)
    assert second.detail.position_after == Decimal(2)


HEADERS = {
    "english": HEADER,
    "account": HEADER.replace("Account display name", "Account"),
    "account name": HEADER.replace("Account display name", "Account Name"),
    "german": "Instrument;Aktion;Menge;Preis;Zeit;ID;Einstieg/Ausstieg;Position;Auftrags-ID;Name;Provision;Rate;"
    "Anzeigename des Kontos;Verbindung;",
    "french": "Instrument;Action;Quantité;Prix;Heure;ID;Entrée/Sortie;Position;ID d\u2019ordre;Nom;Commission;Taux;"
    "Nom d'affichage du compte;Connexion;",
    "spanish": "Instrumento;Acción;Cantidad;Precio;Hora;ID;Entrada/Salida;Posición;ID de orden;Nombre;Comisión;Tasa;"
    "Cuenta;Conexión;",
    "italian": "Strumento;Azione;Quantità;Prezzo;Ora;ID;Entrata/Uscita;Posizione;ID ordine;Nome;Commissione;Tasso;"
    "Conto;Connessione;",
    "portuguese": "Instrumento;Ação;Quantidade;Preço;Hora;ID;Entrada/Saída;Posição;ID da ordem;Nome;Comissão;Taxa;"
    "Conta;Conexão;",
    "shouting": HEADER.upper(),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_headers_by_language(header: str) -> None:
    (fill,) = fills(grid(row(), header=header))
    assert fill == fills(grid(row()))[0]


@pytest.mark.parametrize(
    ("action", "entry_exit", "side"),
    [
        ("Kaufen", "Einstieg", Side.BUY),
        ("Verkauf", "Ausstieg", Side.SELL),
        ("Acheter", "Entrée", Side.BUY),
        ("Vente à découvert", "Entrée", Side.SELL),
        ("COMPRA", "entrada", Side.BUY),
        ("Venta", "Salida", Side.SELL),
        ("Sell short", "Entry", Side.SELL),
        ("Buy to cover", "Exit", Side.BUY),
    ],
)
def test_words_by_language(action: str, entry_exit: str, side: Side) -> None:
    (fill,) = fills(grid(row(action=action, entry_exit=entry_exit)))
    assert fill.detail.side is side


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("cp1252"),
        lambda text: gzip.compress(text.encode()),
        lambda text: text.replace("\r\n", "\n").encode(),
        lambda text: text.replace("\r\n", "\r").encode(),
        lambda text: ("\r\n\r\n" + text + "\r\n;;;;\r\n").encode(),
        lambda text: ("sep=;\r\n" + text).encode(),
        lambda text: text.replace(";", "\t").encode(),
        lambda text: text.replace(";\r\n", "\r\n").encode(),
    ],
    ids=[
        *("utf-8", "bom", "utf-16", "utf-16-be", "utf-16-bare", "cp1252", "gzip"),
        *("lf", "cr", "blank", "sep", "tab", "tail"),
    ],
)
def test_the_same_file_in_every_encoding(encode: object) -> None:
    text = grid(row(name="Käufe €", commission="1\u00a0250,50 €"))
    assert callable(encode)
    (fill,) = fills(encode(text))
    assert (fill.name, fill.detail.commission, fill.detail.currency) == ("Käufe €", Decimal("1250.5"), "EUR")


def test_quoted_fields() -> None:
    text = COMMA_HEADER + '\nES 12-26,Buy,2,"5,006.25",7/23/2026 4:44:46 PM,e1,Entry,2 L,o1,"a, b","$1,025.00",1,S,L,\n'
    (fill,) = fills(text)
    assert (fill.detail.price, fill.detail.commission, fill.name) == (Decimal("5006.25"), Decimal(1025), "a, b")


def test_a_comma_that_splits_a_number_is_refused_and_explained() -> None:
    text = COMMA_HEADER + (
        "\nES 12-26,Buy,2,5006,25,7/23/2026 4:44:46 PM,e1,Entry,2 L,o1,a,$1.00,1,S,L,"
        "\nES 12-26,Buy,2,5006.25,7/23/2026 4:44:46 PM,e1,Entry,2 L,o1,a,$1.00,1,S,L,\n"
    )
    refused, fill = items(text)
    assert isinstance(refused, Refused)
    assert (refused.line, "not in quotes" in refused.reason) == (2, True)
    assert isinstance(fill, Fill)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"action": "Hold"}, "neither a buy nor a sell"),
        ({"quantity": "0"}, "not above zero"),
        ({"quantity": "-1"}, "not above zero"),
        ({"quantity": "many"}, "not a number"),
        ({"price": "x"}, "not a number"),
        ({"price": ""}, "price is empty"),
        ({"price": "5006.25"}, "not a number with a decimal comma"),
        ({"time": "31/02/2026 6:05:02"}, "impossible"),
        ({"time": "08/03/2026 2:30:00"}, "did not exist"),
        ({"time": "soon"}, "not a date"),
        ({"position": "4 apples and pears"}, "position"),
        ({"commission": "free"}, "not an amount"),
        ({"account": ""}, "account is empty"),
        ({"instrument": ""}, "instrument is empty"),
        ({"name": "x" * 300}, "more than 256"),
        ({"name": "a\0b"}, "NUL"),
        ({"name": '"open'}, "cannot be split"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_the_rest_goes_in(cells: dict[str, str], reason: str) -> None:
    first, refused, last = items(grid(row(), row(**cells), row(id="e3")))
    assert isinstance(first, Fill)
    assert isinstance(last, Fill)
    assert isinstance(refused, Refused)
    assert refused.line == 3
    assert reason in refused.reason


def test_the_order_of_day_and_month_is_decided_by_any_date_of_the_file() -> None:
    early = row(time="03/04/2026 6:05:02", id="a")
    assert fills(grid(early, row()))[0].document()["created_at"] == "2026-04-03T11:05:02.000000Z"
    late = row(time="04/27/2026 6:05:02", id="b")
    assert fills(grid(early, late))[0].document()["created_at"] == "2026-03-04T12:05:02.000000Z"


def test_dates_that_can_be_read_in_two_ways_are_refused_with_what_to_do() -> None:
    text = grid(row(time="3/4/2026 6:05:02 AM", price="5006.25", commission="$1.00"))
    with pytest.raises(FileError, match="--date-order mdy or --date-order dmy"):
        open_grid(text)
    (mdy,) = fills(text, date_order=DateOrder.MDY)
    (dmy,) = fills(text, date_order=DateOrder.DMY)
    assert mdy.document()["created_at"] == "2026-03-04T12:05:02.000000Z"
    assert dmy.document()["created_at"] == "2026-04-03T11:05:02.000000Z"


def test_a_decimal_comma_puts_the_day_first_and_says_so() -> None:
    reading = open_grid(grid(row(time="3/4/2026 6:05:02")))
    assert any("the day was taken to come first" in note for note in reading.notes)


def test_dates_that_contradict_each_other_are_refused() -> None:
    text = grid(row(), row(time="04/27/2026 6:05:02", id="b"))
    with pytest.raises(FileError, match="contradict"):
        open_grid(text)
    fill, refused = items(text, date_order=DateOrder.DMY)
    assert isinstance(fill, Fill)
    assert isinstance(refused, Refused)


def test_numbers_that_can_be_read_in_two_ways_are_noted() -> None:
    text = grid(row(price="2,345", commission=""))
    reading = open_grid(text)
    assert any("--decimal" in note for note in reading.notes)
    assert fills(text)[0].detail.price == Decimal("2.345")
    assert fills(text, decimal=DecimalMark.POINT)[0].detail.price == Decimal(2345)


def test_numbers_of_both_forms_are_noted_and_the_rarer_refused() -> None:
    text = grid(row(), row(id="b"), row(id="c", price="5006.25", commission=""))
    reading = open_grid(text)
    assert any("Some numbers have a decimal point" in note for note in reading.notes)
    assert [type(item) for item in reading.items] == [Fill, Fill, Refused]


def test_an_unknown_header_can_be_named() -> None:
    text = grid(row(), header=HEADER.replace("Price", "Kontraktwert"))
    with pytest.raises(FileError, match=r"no column for price.*'Kontraktwert'.*--column"):
        open_grid(text)
    assert fills(text, columns={"Kontraktwert": "price"})[0].detail.price == Decimal("5006.25")
    with pytest.raises(FileError, match="is not a column"):
        open_grid(text, columns={"Kontraktwert": "value"})


@pytest.mark.parametrize("text", ["", "\n\n", "hello", "a;b;c\n1;2;3\n", "\0" * 100])
def test_a_file_that_is_no_grid(text: str) -> None:
    with pytest.raises(FileError):
        open_grid(text)


def test_a_broken_gzip() -> None:
    with pytest.raises(FileError, match="cannot be read to its end"):
        open_grid(gzip.compress(grid(row()).encode())[:-12])


def test_a_header_in_the_middle_is_passed_over() -> None:
    assert len(fills(grid(row(), HEADER, row(id="b")))) == 2


def test_a_file_without_accounts_needs_one() -> None:
    text = grid(row(), header=HEADER.replace("Account display name", "Whatever"))
    with pytest.raises(FileError, match="--account"):
        open_grid(text)
    assert fills(text, account="Mine")[0].account == "Mine"


def test_the_account_name_comes_before_its_display_name() -> None:
    text = grid(row().rstrip(";") + ";REAL-1;", header=HEADER + "Account;")
    assert fills(text)[0].account == "REAL-1"
    assert fills(text, account="Mine")[0].account == "Mine"


def test_a_repeated_hour_is_noted_on_its_row() -> None:
    (fill,) = fills(grid(row(time="01/11/2026 1:30:00")), date_order=DateOrder.DMY)
    assert "happened twice" in fill.notes[0]


@pytest.mark.parametrize(
    ("instrument", "name", "type", "point_value"),
    [
        ("ES 12-26", "ES 12-26", "Future", 50),
        ("es dec26", "ES 12-26", "Future", 50),
        ("ESZ6", "ES 12-26", "Future", 50),
        ("ESZ26", "ES 12-26", "Future", 50),
        ("ESH6", "ES 03-26", "Future", 50),
        ("ESH5", "ES 03-35", "Future", 50),
        ("6EU6", "6E 09-26", "Future", 125000),
        ("XYZ 12-26", "XYZ 12-26", "Future", 1),
        ("AAPL", "AAPL", "Stock", 1),
        ("EURUSD", "EURUSD", "Forex", 1),
        ("BTCUSD", "BTCUSD", "CryptoCurrency", 1),
        ("^SPX", "^SPX", "Index", 1),
        ("FOOZ6", "FOOZ6", "Stock", 1),
    ],
)
def test_instruments(instrument: str, name: str, type: str, point_value: int) -> None:
    detail = fills(grid(row(instrument=instrument)))[0].detail
    assert (detail.instrument, detail.instrument_type, detail.point_value) == (name, type, Decimal(point_value))
