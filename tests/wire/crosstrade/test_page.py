"""docs/dialects/crosstrade.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from gesta.apis.crosstrade import arguments, errors, markets, orders, reading, stream
from gesta.apis.crosstrade.commands import COMMANDS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "dialects" / "crosstrade.md").read_text("utf-8")


def test_every_command_is_on_the_page() -> None:
    for command in COMMANDS:
        assert f"{command.method} {command.path}" in PAGE
        assert f"RPC `{command.api}`" in PAGE
        for alias in command.aliases:
            assert f"also `{alias}`" in PAGE


def test_the_error_table_is_the_codes() -> None:
    section = PAGE.split("### Errors")[1].split("\n## ")[0]
    documented = set()
    for statuses, words in re.findall(r"^\| ([0-9, ]+) \| (.*?) \|", section, re.M):
        pairs = re.findall(r"`([^`]+)`", words)
        codes = [int(status) for status in statuses.split(",")]
        # `408, 413` with two words is one of each; `404` with two words is both of the one.
        documented |= set(zip(codes, pairs, strict=True)) if len(codes) > 1 else {(codes[0], word) for word in pairs}
    served = {(status, word) for _, status, word in errors.TABLE} | set(errors.NOT_FOUND.values())
    served |= {(400, word) for word in (*errors.INVALID.values(), *errors.CONFLICTS.values())}
    assert documented == served


def test_every_term_of_an_order_is_on_the_page() -> None:
    section = PAGE.split("## Orders")[1].split("\n## ")[0]
    for command in COMMANDS:
        if command.tag == "orders":
            for argument in command.body_arguments:
                assert f"`{argument.name}`" in section or argument.name == "account", argument.name


def test_the_numbers_are_the_codes() -> None:
    assert f"defaults to {arguments.DEFAULT_LOOKBACK_S} seconds" in PAGE
    assert f"more than {arguments.MAX_LOOKBACK_S} counts as {arguments.MAX_LOOKBACK_S}" in PAGE
    assert f"at most {reading.MAX_REPLY_ROWS} executions" in PAGE
    assert f"at most {orders.MAX_REPLY_ORDERS} orders" in PAGE
    assert f"`limit` ({markets.MAX_BARS})" in PAGE
    assert f"1 to {arguments.MAX_PAGE}, {arguments.DEFAULT_LIMIT} if left out" in PAGE
    assert stream.REPLACED in PAGE
