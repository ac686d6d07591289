"""The words in the cells: buy and sell, entry and exit, long and short, forenoon and afternoon, months."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from gesta.ledger.records import Side
from gesta.sources.nt8_grid.headers import normal
from gesta.sources.row import RowError


def _table(words: dict[str, str]) -> dict[str, str]:
    return {normal(word): meaning for meaning, listed in words.items() for word in listed.split("|")}


_ACTIONS = _table(
    {
        "buy": (
            "Buy|B|Bought|BuyToCover|Buy to cover|Buy_to_cover|Cover|BTC|Kauf|Kaufen|Gekauft|Eindecken"
            "|Kaufen zum Eindecken"
            "|Achat|Acheter|Acheté|Rachat|Compra|Comprar|Comprado|Comprar para cubrir|Comprar para cobrir|Acquisto"
            "|Acquista|Compera|Koop|Kopen|Купить|Покупка|买|买入|買入|买进"
        ),
        "sell": (
            "Sell|S|Sold|SellShort|Sell short|Sell_short|Short|Verkauf|Verkaufen|Verkauft|Leerverkauf|Leerverkaufen"
            "|Vente|Vendre|Vendu|Vente à découvert|Vendre à découvert|Venta|Vender|Vendido|Venta en corto"
            "|Vender en corto|Venda|Venda a descoberto|Vender a descoberto|Vendita|Vendi|Vendita allo scoperto|Verkoop"
            "|Verkopen|Продать|Продажа|卖|卖出|賣出|卖空"
        ),
    }
)
_ENTRIES = _table(
    {
        "entry": "Entry|E|Einstieg|Eröffnung|Entrée|Entrada|Entrata|Ingresso|Instap|Вход|进场|入场|进",
        "exit": "Exit|X|Ausstieg|Schließung|Sortie|Salida|Uscita|Saída|Uitstap|Выход|出场|离场|出",
    }
)
# Only what cannot be misread: a lone `C` is short in Spanish and long in Portuguese.
_LONG = {normal(word) for word in ["L", "Long", "Largo", "Lungo", "Лонг", "多", "多头"]}
_SHORT = {normal(word) for word in ["S", "Short", "Kurz", "Corto", "Шорт", "空", "空头"]}
_FLAT = {"", "-", "–", "—", "0", "flat"}
_POSITION = re.compile(r"(?:([+\-\u2212]?[0-9]{1,18}(?:[., '][0-9]{3}){0,5})\s*([^\W\d]*)|([^\W\d]+)\s*([0-9]{1,18}))")


_HALVES = {
    "am": "am|a.m.|a. m.|上午|午前|오전|πμ|π.μ.|de.|SA|ص|vm.|vm|dop.|fm|PD|AD",
    "pm": "pm|p.m.|p. m.|下午|午後|오후|μμ|μ.μ.|du.|CH|م|nm.|nm|odp.|em|MD|PG",
}


def _half(text: str) -> str:
    return re.sub(r"[\s.]", "", text).casefold()


HALVES: dict[str, str] = {_half(word): half for half, words in _HALVES.items() for word in words.split("|")}

MONTHS: dict[str, int] = {
    normal(name): number
    for number, names in enumerate(
        (
            "jan|january|januar|janv|janvier|ene|enero|gen|gennaio|janeiro|jänner",
            "feb|february|februar|fevr|févr|février|febrero|febbraio|fev|fevereiro",
            "mar|march|mär|märz|mrz|mars|marzo|março|maa",
            "apr|april|avr|avril|abr|abril|aprile",
            "may|mai|mayo|mag|maggio|maio|mei",
            "jun|june|juni|juin|junio|giu|giugno|junho",
            "jul|july|juli|juil|juillet|julio|lug|luglio|julho",
            "aug|august|août|aout|ago|agosto|augustus",
            "sep|sept|september|septembre|septiembre|set|settembre|setembro",
            "oct|october|okt|oktober|octobre|octubre|ott|ottobre|out|outubro",
            "nov|november|novembre|noviembre|novembro",
            "dec|december|dez|dezember|déc|décembre|dic|diciembre|dicembre|dezembro",
        ),
        start=1,
    )
    for name in names.split("|")
}


@lru_cache(maxsize=256)
def half_of_day(text: str) -> str | None:
    """`am` or `pm`, in any language of the table; None if the text is neither."""
    return HALVES.get(_half(text))


@lru_cache(maxsize=256)
def side_of(text: str) -> Side:
    """Raises RowError for a word that is neither a buy nor a sell in the table."""
    found = _ACTIONS.get(normal(text))
    if found is None:
        raise RowError(f"the action {text[:40]!r} is neither a buy nor a sell", field="action")
    return Side(found)


@lru_cache(maxsize=256)
def entry_or_exit(text: str) -> str | None:
    """`entry`, `exit`, or None for an empty cell. Raises RowError for another word."""
    if not text.strip() or text.strip() == "-":
        return None
    found = _ENTRIES.get(normal(text))
    if found is None:
        raise RowError(f"{text[:40]!r} is neither an entry nor an exit", field="entry_exit")
    return found


@lru_cache(maxsize=1024)
def position_of(text: str, direction: int | None = None) -> Decimal:
    """The signed position of `4 L`, `1 S`, `-`, `0`, `-9`.

    A word of an unknown language is signed by `direction` (1 long, -1 short), where the caller knows it from the other
    cells. Raises RowError for another form, and for an unknown word without a direction.
    """
    cell = text.strip().casefold()
    if cell in _FLAT:
        return Decimal(0)
    match = _POSITION.fullmatch(normal(cell))
    if match is None:
        raise RowError(f"the position {text[:40]!r} is not of the form `4 L`, `1 S` or `-`", field="position")
    digits, word = (match[1], match[2]) if match[1] else (match[4], match[3])
    number = Decimal(re.sub(r"[., ']", "", digits).replace("\u2212", "-"))
    if not word:
        return number
    if word in _LONG:
        return number
    if word in _SHORT:
        return -number
    if direction is None:
        raise RowError(f"the position {text[:40]!r} is neither long (L) nor short (S)", field="position")
    return number * direction
