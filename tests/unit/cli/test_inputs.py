"""What `--input` takes, and what is said of what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesta.cli.tables import listing
from gesta.cli.workflow_files import payload_of
from gesta.kernel.errors import InvalidInput


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text('{"order": 7}', "utf-8")
    assert payload_of(str(file)) == payload_of('{"order": 7}') == {"order": 7}
    file.write_text("{order: 7}", "utf-8")
    with pytest.raises(InvalidInput, match=r"order\.json is not JSON: "):
        payload_of(str(file))
    with pytest.raises(InvalidInput, match="--input is not JSON: "):
        payload_of("{order: 7}")


def test_what_an_empty_table_says_stays_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    said = "No schedule. `gesta schedules create WORKFLOW --cron …` makes one."
    Console(width=80).print(listing("ID", "Next", empty=said))
    assert said in [line.strip() for line in capsys.readouterr().out.splitlines()]
