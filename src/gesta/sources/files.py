"""Bytes of a file as numbered lines of bounded length, whatever the encoding, gzip or not."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from gesta.sources.row import FileError

# A source that needs two passes opens the file twice.
Opener = Callable[[], BinaryIO]

MAX_LINE_CHARACTERS = 1_000_000
_CHUNK_BYTES = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Line(msgspec.Struct, frozen=True):
    """One physical line without its end. `cut` says that it was longer than MAX_LINE_CHARACTERS."""

    number: int
    text: str
    cut: bool = False


class Fingerprint(msgspec.Struct, frozen=True):
    """What one pass over the (decompressed) bytes tells. `lines` is near enough for a progress bar."""

    encoding: str
    sha256: str
    lines: int


def file_opener(path: Path) -> Opener:
    """An opener of the file, decompressing gzip (known by its first bytes, not by its name)."""

    def opened() -> BinaryIO:
        try:
            file = path.open("rb")
        except OSError as error:
            raise FileError(f"{path} cannot be opened: {error.strerror or error}") from None
        magic = file.read(2)
        file.seek(0)
        return cast("BinaryIO", _Gzip(file)) if magic == _GZIP_MAGIC else file

    return opened


class _Gzip(gzip.GzipFile):
    """Closes the file under it, too."""

    def __init__(self, below: BinaryIO) -> None:
        super().__init__(fileobj=below, mode="rb")
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()


def bytes_opener(content: bytes) -> Opener:
    """An opener of bytes in memory, decompressing gzip."""

    def opened() -> BinaryIO:
        file = io.BytesIO(content)
        return cast("BinaryIO", gzip.GzipFile(fileobj=file)) if content[:2] == _GZIP_MAGIC else file

    return opened


def fingerprint(opener: Opener) -> Fingerprint:
    """Read the whole content once. Raises FileError if it cannot be read.

    Without a byte order mark the text is UTF-16 if its first bytes alternate with NUL, UTF-8 if every byte of the file
    fits, else Windows-1252, which is what Western European Windows writes.
    """
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    head, is_utf8, lines = b"", True, 0
    for chunk in _chunks(opener):
        digest.update(chunk)
        lines += chunk.count(b"\n")
        head = head or chunk[:512]
        if is_utf8:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                is_utf8 = False
    if is_utf8:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            is_utf8 = False
    return Fingerprint(_encoding(head, is_utf8), digest.hexdigest(), lines)


def _encoding(head: bytes, is_utf8: bool) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    even, odd = head[0::2], head[1::2]
    if odd and odd.count(0) > len(odd) * 0.6 and even.count(0) < len(even) * 0.2:
        return "utf-16-le"
    if even and even.count(0) > len(even) * 0.6 and odd.count(0) < len(odd) * 0.2:
        return "utf-16-be"
    return "utf-8" if is_utf8 else "cp1252"


def _chunks(opener: Opener) -> Iterator[bytes]:
    with opener() as file:
        try:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
        except (OSError, EOFError, zlib.error) as error:
            raise FileError(f"The file cannot be read to its end: {error}") from None


def text_lines(opener: Opener, encoding: str) -> Iterator[Line]:
    """Numbered lines, ends cut, whichever of LF, CRLF and CR they are. A line beyond the bound is cut and marked.

    Raises FileError if the file cannot be read.
    """
    with opener() as file, io.TextIOWrapper(file, encoding=encoding, errors="replace", newline=None) as text:
        number = 0
        while True:
            try:
                line = text.readline(MAX_LINE_CHARACTERS)
                if not line:
                    return
                cut = len(line) == MAX_LINE_CHARACTERS and not line.endswith("\n")
                rest = cut
                while rest:
                    tail = text.readline(MAX_LINE_CHARACTERS)
                    rest = bool(tail) and not tail.endswith("\n")
            except (OSError, EOFError, zlib.error, UnicodeError) as error:
                raise FileError(f"The file cannot be read to its end: {error}") from None
            number += 1
            yield Line(number, line.rstrip("\n"), cut)
