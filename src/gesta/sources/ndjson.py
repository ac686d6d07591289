"""One JSON object per line: Gesta's own row shape, as `POST /ledger/executions` takes and the export gives it, or a
vendor's execution objects. What the fields may hold is decided by the server, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import decode_json
from gesta.sources.files import Line, Opener, fingerprint, text_lines
from gesta.sources.row import Document, FileError, Item, Reading, Refused, RowError

DIALECTS = ("crosstrade", "hummingbot", "b3os", "refold")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`dialect` None is Gesta's own shape. `account` replaces what the rows say, in Gesta's own shape only."""

    dialect: str | None = None
    account: str | None = None


def read(opener: Opener, options: Options) -> Reading:
    """Read a file of JSON lines. Raises FileError if it cannot be read, or if an option does not fit."""
    if options.dialect is not None and options.dialect not in DIALECTS:
        raise FileError(f"`{options.dialect}` is not a dialect; they are {', '.join(DIALECTS)}.")
    if options.dialect in ("b3os", "hummingbot") and options.account is not None:
        raise FileError(f"An account cannot be given for objects of {options.dialect}: they do not name one.")
    content = fingerprint(opener)
    return Reading(notes=(), expected=content.lines, items=_items(opener, content.encoding, options))


def _items(opener: Opener, encoding: str, options: Options) -> Iterator[Item]:
    for line in text_lines(opener, encoding):
        if not line.text.strip("\ufeff \t"):
            continue
        try:
            body = _object(line)
        except InvalidInput as error:
            yield Refused(line=line.number, reason=error.message)
            continue
        if options.account is not None and options.dialect in (None, "crosstrade"):
            body["account"] = options.account
        yield Document(line=line.number, body=body)


def _object(line: Line) -> dict[str, Any]:
    if line.cut:
        raise RowError("the line is longer than one million characters")
    body = decode_json(line.text.strip("\ufeff \t"))
    if not isinstance(body, dict):
        raise RowError("the line is not a JSON object")
    return body
