"""JSON lines: objects as they stand, refusals, options that do not fit."""

from __future__ import annotations

import gzip

import pytest

from gesta.sources import ndjson
from gesta.sources.files import MAX_LINE_CHARACTERS, bytes_opener
from gesta.sources.row import Document, FileError, Item, Refused


def items(content: bytes, **options: str) -> list[Item]:
    return list(ndjson.read(bytes_opener(content), ndjson.Options(**options)).items)


def test_objects_pass_as_they_stand() -> None:
    content = b'\xef\xbb\xbf{"id": "a", "n": 1.50}\r\n\n  {"id": "b"}'
    assert items(content) == [
        Document(line=1, body={"id": "a", "n": 1.5}),
        Document(line=3, body={"id": "b"}),
    ]
    assert items(gzip.compress(content)) == items(content)


@pytest.mark.parametrize("line", [b"[1]", b"nonsense", b'{"a": ', b"null", b'"x"', b"[" * 100_000])
def test_what_is_no_object_is_refused_with_its_line(line: bytes) -> None:
    first, second = items(line + b'\n{"id": "b"}\n')
    assert isinstance(first, Refused)
    assert first.line == 1
    assert second == Document(line=2, body={"id": "b"})


def test_a_line_without_end_is_refused_in_bounded_memory() -> None:
    first, second = items(b"x" * (3 * MAX_LINE_CHARACTERS) + b'\n{"id": "b"}\n')
    assert isinstance(first, Refused)
    assert isinstance(second, Document)


def test_the_account_of_every_row() -> None:
    assert items(b'{"account": "A"}', account="B") == [Document(line=1, body={"account": "B"})]
    assert items(b'{"id": "x"}', account="B", dialect="crosstrade") == [
        Document(line=1, body={"id": "x", "account": "B"})
    ]


def test_options_that_do_not_fit() -> None:
    with pytest.raises(FileError, match="not a dialect"):
        items(b"{}", dialect="fix")
    with pytest.raises(FileError, match="do not name one"):
        items(b"{}", dialect="b3os", account="A")
