from __future__ import annotations

import re

from gesta.kernel import ids
from gesta.testing.fakes import SeededIds


def test_forms() -> None:
    source = SeededIds()
    assert re.fullmatch(r"[0-9a-f]{24}", ids.hex_id(source, 24))
    assert re.fullmatch(r"[0-9a-f]{7}", ids.hex_id(source, 7))
    assert re.fullmatch(r"org_[0-9a-v]{20}", ids.xid(source, "org"))
    assert re.fullmatch(r"b3sk_[0-9a-f]{64}", ids.secret(source, "b3sk_"))
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", ids.request_id(source))


def test_the_system_source_does_not_repeat() -> None:
    source = ids.SystemIds()
    assert len({ids.hex_id(source, 32) for _ in range(1000)}) == 1000
