"""A disk that fills up, for SQLite: the VFS through which every file of the process is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw


class FaultyDisk(apsw.VFS):
    """While `refuse(kind, file name)` returns an error, a write or sync raises it. `kind` is `write` or `sync`."""

    def __init__(self) -> None:
        self.name = f"faulty-{id(self)}"
        self.refuse: Callable[[str, str], Exception | None] = lambda _kind, _name: None
        self.refused = 0
        super().__init__(self.name, "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)

    def check(self, kind: str, name: str) -> None:
        error = self.refuse(kind, name)
        if error is not None:
            self.refused += 1
            raise error

    def fill(self, *, files: str = "", kinds: tuple[str, ...] = ("write",), after: int = 0) -> None:
        """From now on the disk has room for `after` more calls, in files whose name ends in `files`."""
        left = after

        def refuse(kind: str, name: str) -> Exception | None:
            nonlocal left
            if kind not in kinds or not name.endswith(files):
                return None
            left -= 1
            return apsw.FullError("no space left") if left < 0 else None

        self.refuse = refuse

    def fail(self) -> None:
        """From now on every write is an I/O error."""
        self.refuse = lambda kind, _name: apsw.IOError("the device does not answer") if kind == "write" else None

    def free(self) -> None:
        self.refuse = lambda _kind, _name: None


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = str(name.filename() if isinstance(name, apsw.URIFilename) else name)
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.check("write", self._name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._disk.check("sync", self._name)
        super().xSync(flags)


@contextmanager
def faulty_disk() -> Iterator[FaultyDisk]:
    """The default disk of SQLite in this process, until the end of the block."""
    disk = FaultyDisk()
    try:
        yield disk
    finally:
        disk.unregister()
        # SQLite takes the next one in its list as the default, which is not always the one that was.
        assert apsw.vfs_names()[0] == "unix", apsw.vfs_names()
