"""Recorded market data in files: what kind each is, read as one sequence in order of venue time."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import BinaryIO, cast

from gesta.kernel.errors import InvalidInput
from gesta.trading.market import MarketData
from gesta.venues.market_data import binance_capture, csv_tape
from gesta.venues.market_data.tally import Resolve, Tally

MAX_LINE_BYTES = 1 << 20
# How far into a recording to look for what it is of.
_PEEKED = 500
_GZIP_MAGIC = b"\x1f\x8b"
_CAPTURE = re.compile(rb"\d{16,20} [\[{]")
_UNNAMED = re.compile(r"[A-Za-z0-9 .!-]+")


class TapeFile:
    """One file, gzip known by its content. `position` and `size_bytes` are of the file as it is on disk."""

    def __init__(self, path: Path, instrument: str | None = None) -> None:
        self.path = path
        self.name = path.name
        self._given = instrument
        try:
            self._file = path.open("rb")
            self.size_bytes = path.stat().st_size
            self._file.seek(0)
            is_gzip = self._file.read(2) == _GZIP_MAGIC
            self._file.seek(0)
        except OSError as error:
            raise InvalidInput(f"{path} cannot be opened: {error.strerror or error}.", field="file") from None
        self._content = cast("BinaryIO", gzip.GzipFile(fileobj=self._file, mode="rb")) if is_gzip else self._file
        self._first = b""
        try:
            self._first = next(self._lines(), b"")
            self.is_capture = bool(_CAPTURE.match(self._first))
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        """Raises InvalidInput for a file of no known kind, or of an instrument that nobody names."""
        if self.is_capture:
            if self._given is not None:
                raise InvalidInput(f"{self.path}: a capture names its instruments itself.", field="file")
        elif not csv_tape.is_header(self._first):
            raise InvalidInput(
                f"{self.path} is neither a Binance capture (`<nanoseconds> <json>` on each line) nor CSV with the "
                f"columns {','.join(csv_tape.QUOTE_COLUMNS)} or {','.join(csv_tape.TRADE_COLUMNS)}.",
                field="file",
            )
        elif not self.instrument:
            raise InvalidInput(f"{self.path} does not say of which instrument: give INSTRUMENT=FILE.", field="file")

    @property
    def instrument(self) -> str:
        """The name that was given, else the file name's up to its first `_`: `ESH4` of `ESH4_quotes.csv.gz`."""
        if self._given is not None:
            return self._given
        stem = self.name.partition("_")[0] if "_" in self.name else self.name.partition(".")[0]
        return stem if _UNNAMED.fullmatch(stem) else ""

    @property
    def has_trades(self) -> bool:
        return not self.is_capture and csv_tape.has_trades(self._first)

    @property
    def position(self) -> int:
        return self.size_bytes if self._file.closed else self._file.tell()

    def read(self, resolve: Resolve, tally: Tally) -> Iterator[MarketData]:
        """What the file holds, once; it is closed at its end. Raises InvalidInput if it cannot be read to its end."""
        lines = self._all_lines()
        if self.is_capture:
            return binance_capture.read(lines, resolve, tally, source=self.name)
        return csv_tape.read(lines, self.instrument, resolve, tally, source=self.name)

    def _all_lines(self) -> Iterator[bytes]:
        try:
            yield self._first
            yield from self._lines()
        finally:
            self.close()

    def _lines(self) -> Iterator[bytes]:
        content = self._content
        try:
            while line := content.readline(MAX_LINE_BYTES):
                yield line
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidInput(f"{self.path} cannot be read to its end: {error}.", field="file") from None

    def close(self) -> None:
        self._content.close()
        self._file.close()


class Tapes:
    """Several recordings as one, in order of venue time; of equal times trades come first, because the quote of that
    moment is what they left. Each is taken to be in order itself, and given as it stands."""

    def __init__(self, specifications: Sequence[str | Path], resolve: Resolve) -> None:
        """`specifications` are `FILE` or `INSTRUMENT=FILE`. Reads far enough to know what is traded.

        Raises InvalidInput for a file that cannot be read, is of no known kind, or holds nothing of use."""
        if not specifications:
            raise InvalidInput("Name at least one file to replay.", field="file")
        self.tally = Tally()
        self._files: list[TapeFile] = []
        self._resolve = resolve
        try:
            for specification in specifications:
                path, instrument = split_specification(specification)
                self._files.append(TapeFile(path, instrument))
            self._files.sort(key=lambda file: not file.has_trades)
            self._streams = [_Peeked(file, resolve, self.tally) for file in self._files]
        except BaseException:
            self.close()
            raise
        self.size_bytes = sum(file.size_bytes for file in self._files)

    @property
    def name(self) -> str:
        first, *more = sorted(file.name for file in self._files)
        return first if not more else f"{first} and {len(more)} more"

    @property
    def instruments(self) -> tuple[str, ...]:
        """Resolved names of what the beginnings of the files hold."""
        names = {data.instrument: None for stream in self._streams for data in stream.first}
        return tuple(names)

    @property
    def begins_at_us(self) -> int:
        """The venue time of the first data."""
        return min(stream.first[0].venue_time_us for stream in self._streams)

    @property
    def position(self) -> int:
        """Bytes of the files, as they are on disk, that were read."""
        return sum(file.position for file in self._files)

    def read(self) -> Iterator[MarketData]:
        """Everything, once. Set `tally.received_at_us` before each step. Raises InvalidInput if a file breaks off."""
        if len(self._streams) == 1:
            return self._streams[0].read()
        return merge(*(stream.read() for stream in self._streams), key=_venue_time_us)

    def close(self) -> None:
        for file in self._files:
            file.close()


class _Peeked:
    """A file of which the beginning has been read."""

    def __init__(self, file: TapeFile, resolve: Resolve, tally: Tally) -> None:
        self._rest = file.read(resolve, tally)
        self.first: list[MarketData] = []
        for data in self._rest:
            self.first.append(data)
            if len(self.first) >= _PEEKED:
                break
        if not self.first:
            why = f" {tally.problems[-1].reason}" if tally.problems else ""
            raise InvalidInput(f"{file.path} holds no quote or trade that can be used.{why}", field="file")

    def read(self) -> Iterator[MarketData]:
        yield from self.first
        self.first = self.first[:1]
        yield from self._rest


def _venue_time_us(data: MarketData) -> int:
    return data.venue_time_us


def split_specification(specification: str | Path) -> tuple[Path, str | None]:
    """`ESH4=quotes.csv` → (path, "ESH4"); a name that is a file is taken as one, whatever it holds."""
    text = str(specification)
    name, found, path = text.partition("=")
    if not found or isinstance(specification, Path) or Path(text).exists() or not _UNNAMED.fullmatch(name):
        return Path(text), None
    return Path(path), name.strip()
