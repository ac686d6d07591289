"""Which column a header names. One table; a file whose headers are not in it is read with `--column HEADER=NAME`."""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Mapping, Sequence

from gesta.sources.row import FileError


class Column(enum.StrEnum):
    """The columns of the grid (protocols/crosstrade.md §6). The values are the names that `--column` takes."""

    INSTRUMENT = "instrument"
    ACTION = "action"
    QUANTITY = "quantity"
    PRICE = "price"
    TIME = "time"
    ID = "id"
    ENTRY_EXIT = "entry_exit"
    POSITION = "position"
    ORDER_ID = "order_id"
    NAME = "name"
    COMMISSION = "commission"
    RATE = "rate"
    ACCOUNT = "account"
    ACCOUNT_DISPLAY = "account_display"
    CONNECTION = "connection"


REQUIRED = (Column.INSTRUMENT, Column.ACTION, Column.QUANTITY, Column.PRICE, Column.TIME)

# English is NinjaTrader's own wording. The other languages are listed with the terms of each platform language that
# such a grid can carry; several words may name one column, one word never names two.
_NAMES: dict[Column, str] = {
    Column.INSTRUMENT: "Instrument|Symbol|Instrumento|Strumento|Инструмент|合约|商品|工具",
    Column.ACTION: "Action|Side|B/S|Aktion|Acción|Azione|Ação|Actie|Действие|操作|动作|Seite",
    Column.QUANTITY: (
        "Quantity|Qty|Menge|Anzahl|Stückzahl|Quantité|Qté|Cantidad|Cant|Quantità|Qtà|Quantidade|Qtd|Hoeveelheid|Aantal"
        "|Количество|Кол-во|数量"
    ),
    Column.PRICE: "Price|Preis|Kurs|Prix|Precio|Prezzo|Preço|Prijs|Цена|价格",
    Column.TIME: (
        "Time|Date/Time|Zeit|Uhrzeit|Datum/Uhrzeit|Zeitpunkt|Heure|Temps|Date/Heure|Horodatage|Hora|Tiempo|Fecha/Hora"
        "|Ora|Data/Ora|Tempo|Data/Hora|Horário|Tijd|Время|时间"
    ),
    Column.ID: (
        "ID|Execution ID|Exec ID|Ausführungs-ID|ID d'exécution|ID exécution|ID de ejecución|ID esecuzione"
        "|ID da execução|标识|编号"
    ),
    Column.ENTRY_EXIT: (
        "E/X|Entry/Exit|E/A|Ein/Aus|Einstieg/Ausstieg|E/S|Entrée/Sortie|Entrada/Salida|E/U|Entrata/Uscita|Entrada/Saída"
        "|In/Uit|Вход/Выход|В/В|进/出|进场/出场"
    ),
    Column.POSITION: "Position|Posición|Posizione|Posição|Positie|Позиция|仓位|持仓",
    Column.ORDER_ID: (
        "Order ID|Auftrags-ID|Order-ID|Auftragsnummer|ID d'ordre|ID de l'ordre|ID ordre|N° d'ordre|ID de orden"
        "|ID de la orden|ID orden|ID ordine|ID da ordem|ID de ordem|ID ordem"
        "|Ордер ID|ID ордера|ID заявки|订单ID|订单编号|委托编号"
    ),
    Column.NAME: "Name|Bezeichnung|Nom|Nombre|Nome|Naam|Имя|Название|名称",
    Column.COMMISSION: (
        "Commission|Comm|Kommission|Provision|Gebühr|Comisión|Commissione|Commissioni|Comissão|Commissie|Комиссия|手续费|佣金"
    ),
    Column.RATE: "Rate|Umrechnungskurs|Wechselkurs|Taux|Tasa|Tipo de cambio|Tasso|Taxa|Koers|Курс|汇率|费率",
    Column.ACCOUNT: (
        "Account|Account Name|Konto|Kontoname|Compte|Nom du compte|Nom de compte|Cuenta|Nombre de cuenta"
        "|Nombre de la cuenta|Conto|Nome conto|Nome del conto|Conta|Nome da conta|Rekening"
        "|Счет|Счёт|账户|帐户|账户名称|帐户名称"
    ),
    Column.ACCOUNT_DISPLAY: (
        "Account display name|Display name|Konto-Anzeigename|Kontoanzeigename|Anzeigename des Kontos|Anzeigename"
        "|Nom d'affichage du compte|Nom affiché du compte|Nombre para mostrar de la cuenta|Nombre visible de la cuenta"
        "|Nome visualizzato del conto|Nome visualizzato conto|Nome de exibição da conta|Weergavenaam rekening"
        "|Отображаемое имя счета|账户显示名称|帐户显示名称"
    ),
    Column.CONNECTION: (
        "Connection|Verbindung|Connexion|Conexión|Connessione|Conexão|Verbinding|Подключение|Соединение|连接"
    ),
}


def normal(text: str) -> str:
    """The form in which words are compared: no case, no accents, no marks at the ends, single spaces."""
    decomposed = unicodedata.normalize("NFKD", text.replace("\ufeff", "").replace("’", "'"))
    plain = "".join(mark for mark in decomposed if not unicodedata.combining(mark)).casefold()
    return re.sub(r"\s+", " ", plain).strip(" .:\"'")


TABLE: dict[str, Column] = {normal(name): column for column, names in _NAMES.items() for name in names.split("|")}


def recognized(header: Sequence[str]) -> int:
    """How many fields of a line are headers of the table: how likely it is the header, split by the right separator."""
    return len({TABLE[name] for name in map(normal, header) if name in TABLE})


def columns_of(header: Sequence[str], named: Mapping[str, str] | None = None) -> dict[Column, int]:
    """Where each column stands. `named` maps a header of the file to a Column value, and comes first.

    Raises FileError when a required column is missing, or two headers name the same one.
    """
    table = dict(TABLE)
    for text, wanted in (named or {}).items():
        try:
            table[normal(text)] = Column(wanted)
        except ValueError:
            raise FileError(f"`{wanted}` is not a column; the columns are {', '.join(Column)}.") from None
    places: dict[Column, int] = {}
    unknown: list[str] = []
    for place, text in enumerate(header):
        name = normal(text)
        column = table.get(name)
        if column is None:
            unknown += [text.strip()] if name else []
        elif column not in places:
            places[column] = place
        elif column is not Column.ACCOUNT:
            raise FileError(f"Two headers of the file name the column `{column}`; remove one of them.")
    missing = [column.value for column in REQUIRED if column not in places]
    if missing:
        hint = f" Not recognized: {', '.join(repr(text[:40]) for text in unknown[:20])}." if unknown else ""
        raise FileError(
            f"The file has no column for {', '.join(missing)}.{hint} "
            f"If it has one under another name, say so: --column 'Its header={missing[0]}'."
        )
    return places
