"""The oracle: what the real executors of Hummingbot reported, and how a machine's outcome is compared with it.

Money is compared at 10^-12, the unit in which it is kept: Hummingbot's 28 digits carry the rounding of its own order of
operations in the last ones. A market order has no price here; the one that Hummingbot passes along is only its
reference for the minimum notional. Timing is not owed (`gesta.testing.oracle_drive`).
"""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from gesta.executors.machines.face import Machine, OrderKind, Report, Trade
from gesta.testing.oracle_drive import Outcome
from gesta.testing.oracle_venue import Sent

__all__ = ["Case", "Difference", "compare", "has_machine", "load", "machine_of", "read_divergences"]

FILES = ("executors.json", "executors_fuzz.json.gz")
MONEY = Decimal(10) ** -12


class Case(msgspec.Struct, frozen=True):
    name: str
    type: str
    scenario: dict[str, Any]
    expected: dict[str, Any]


class Difference(msgspec.Struct, frozen=True, order=True):
    """One value that differs. `hummingbot` and `gesta` are as they are written in the list of divergences."""

    name: str
    value: str
    hummingbot: str
    gesta: str


def load(folder: Path) -> list[Case]:
    """Every scenario of the oracle's files, in their order. FileNotFoundError if one is absent.

    Hummingbot's grid lets every level out whatever `max_open_orders` says. So that its other results can be compared,
    each of its scenarios is there a second time, `<name>/uncapped`, in which the cap is the number of levels.
    """
    cases = []
    for file in FILES:
        path = folder / file
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for entry in json.loads(raw, parse_float=Decimal):
            scenario = entry["scenario"]
            cases.append(Case(scenario["name"], scenario["executor"]["type"], scenario, entry["expected"]))
            if "grid" in entry["expected"]:
                cases.append(_uncapped(cases[-1]))
    return cases


def _uncapped(case: Case) -> Case:
    levels = len(case.expected["grid"]["levels"])
    executor = {**case.scenario["executor"], "max_open_orders": levels}
    return Case(f"{case.name}/uncapped", case.type, {**case.scenario, "executor": executor}, case.expected)


def has_machine(executor_type: str) -> bool:
    return importlib.util.find_spec(_module(executor_type)) is not None


def machine_of(executor_type: str) -> Machine[Any, Any]:
    """The machine of a type. ImportError if there is none."""
    machine: Machine[Any, Any] = importlib.import_module(_module(executor_type)).MACHINE
    return machine


def _module(executor_type: str) -> str:
    return f"gesta.executors.machines.{executor_type.removesuffix('_executor')}"


# -- comparing


def compare(case: Case, outcome: Outcome) -> list[Difference]:
    """Every owed value in which a machine's outcome differs from the oracle's."""
    if outcome.report is None or "config_error" in case.expected:
        return list(_config_differences(case, outcome))
    return sorted(_differences(case, outcome, outcome.report))


def _config_differences(case: Case, outcome: Outcome) -> Iterable[Difference]:
    errors = case.expected.get("config_error", [])
    theirs = errors[0].removeprefix("Value error, ").split(" ")[0] if errors else "accepted"
    ours = "accepted" if outcome.refused is None else outcome.refused
    if theirs != ours:
        yield Difference(case.name, "config", theirs, ours)


def _differences(case: Case, outcome: Outcome, report: Report) -> Iterable[Difference]:
    expected = case.expected
    words = {"status": report.status.value, "close_type": report.close_type and report.close_type.value}
    for value, word in words.items():
        if expected[value] != word:
            yield Difference(case.name, value, str(expected[value] or "none"), str(word or "none"))
    for value in ("net_pnl_quote", "net_pnl_pct", "cum_fees_quote", "filled_amount_quote"):
        theirs, ours = Decimal(expected[value]), getattr(report, value)
        if abs(theirs - ours) >= MONEY:
            yield Difference(case.name, value, _text(theirs), _text(ours))
    yield from _order_differences(case, outcome)
    yield from _held_differences(case, report)


def _order_differences(case: Case, outcome: Outcome) -> Iterable[Difference]:
    """The first order that differs; the number of orders, if one sequence is the beginning of the other."""
    theirs = [
        Sent(
            order["connector"],
            Trade(order["side"]),
            OrderKind(order["type"]),
            Decimal(order["amount"]),
            Decimal(order["price"]) if order["type"] != "MARKET" else None,
        )
        for order in case.expected.get("orders", [])
    ]
    # In what order two venues were sent theirs is not owed; in what order one was is.
    connectors = sorted({order.connector_name for order in (*theirs, *outcome.sent)})
    for connector in connectors:
        left = [order for order in theirs if order.connector_name == connector]
        right = [order for order in outcome.sent if order.connector_name == connector]
        for number, (one, other) in enumerate(zip(left, right, strict=False), start=1):
            if one != other:
                yield Difference(case.name, "orders", f"#{number} {one}", f"#{number} {other}")
                return
        if len(left) != len(right):
            yield Difference(case.name, "orders", f"{len(left)} to {connector}", f"{len(right)} to {connector}")
            return


def _held_differences(case: Case, report: Report) -> Iterable[Difference]:
    theirs, ours = str(case.expected["held_orders"]), str(len(report.held))
    if theirs != ours:
        yield Difference(case.name, "held_orders", theirs, ours)
    hold = case.expected.get("position_hold")
    if hold is None or theirs != ours:
        return
    net = sum((order.side.sign * order.executed_base for order in report.held), Decimal(0))
    sums = {
        "amount": abs(net),
        "volume_traded_quote": sum((order.executed_quote for order in report.held), Decimal(0)),
        "cum_fees_quote": sum((order.fees_quote for order in report.held), Decimal(0)),
    }
    for value, ours_sum in sums.items():
        if abs(Decimal(hold[value]) - ours_sum) >= MONEY:
            yield Difference(case.name, f"held {value}", _text(Decimal(hold[value])), _text(ours_sum))


def _text(number: Decimal) -> str:
    text = f"{number.quantize(MONEY):f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


# -- the list of divergences


def read_divergences(page: str) -> dict[Difference, str]:
    """The rows of the page's table with the columns scenario, value, hummingbot, Gesta, rule; the rule of each."""
    rows: dict[Difference, str] = {}
    for line in page.splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        if len(cells) != 5 or cells[0] in ("scenario", "") or set(cells[0]) <= {"-", ":"}:
            continue
        difference = Difference(*cells[:4])
        if difference in rows:
            raise ValueError(f"{line}: listed twice")
        rows[difference] = cells[4]
    return rows
