"""Groups of orders of which one cancels the others. A group is of one account; its orders may be of any instrument."""

from __future__ import annotations

from gesta.venues.paper.recent import Recent
from gesta.venues.paper.working import Working


class Group:
    """`filled` lots of any of its orders: what an order that joins later has to do without."""

    __slots__ = ("filled", "key", "members")

    def __init__(self, key: tuple[int, str]) -> None:
        self.key = key
        self.members: dict[str, Working] = {}
        self.filled = 0

    def others(self, order: Working) -> list[Working]:
        """In time priority."""
        return sorted((other for other in self.members.values() if other is not order), key=_serial)


class Groups:
    def __init__(self) -> None:
        self._living: dict[tuple[int, str], Group] = {}
        # A name is not used again: an order that comes late must not outlive the group that it was meant for.
        self._ended: Recent[tuple[int, str], bool] = Recent()

    def has_ended(self, account: int, name: str) -> bool:
        return self._ended.get((account, name)) is not None

    def find(self, account: int, name: str) -> Group | None:
        return self._living.get((account, name))

    def join(self, order: Working, account: int, name: str) -> Group:
        group = self._living.get((account, name))
        if group is None:
            group = self._living[account, name] = Group((account, name))
        group.members[order.id] = order
        order.group = group
        return group

    def leave(self, order: Working) -> None:
        group = order.group
        if group is None:
            return
        order.group = None
        del group.members[order.id]
        if not group.members:
            del self._living[group.key]
            self._ended.put(group.key, True)


def _serial(order: Working) -> int:
    return order.serial
