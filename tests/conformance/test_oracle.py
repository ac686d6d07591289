"""Every machine against the real executors: what differs is on the list of divergences, and what is listed differs.

The oracle's files are not part of the repository; they are read from beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path

import pytest

from gesta.executors.machines.face import CloseType, RunnableStatus, Tracked
from gesta.testing.oracle import Case, Difference, compare, has_machine, load, machine_of, read_divergences
from gesta.testing.oracle_drive import Outcome, drive, drive_live

ROOT = Path(__file__).resolve().parents[2]
ORACLE = ROOT.parent / "shared/oracle"
PAGE = ROOT / "docs/dialects/hummingbot-divergences.md"

ABSENT = not (ORACLE / "executors.json").exists()
CASES = [] if ABSENT else [case for case in load(ORACLE) if has_machine(case.type)]
LISTED = read_divergences(PAGE.read_text())

pytestmark = pytest.mark.skipif(ABSENT, reason="the oracle of real executors is not beside the repository")


def listed(case: Case) -> list[Difference]:
    return sorted(difference for difference in LISTED if difference.name == case.name)


def rows(differences: list[Difference]) -> str:
    return "\n".join(f"| `{d.name}` | {d.value} | {d.hummingbot} | {d.gesta} | … |" for d in differences)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.type}-{case.name}")
def test_a_machine_does_as_the_real_executor_or_as_listed(case: Case) -> None:
    machine = machine_of(case.type)
    found = compare(case, drive(machine, case.scenario))
    new = [difference for difference in found if difference not in LISTED]
    assert not new, f"differs from the real executor:\n{rows(new)}"
    gone = [difference for difference in listed(case) if difference not in found]
    assert not gone, f"listed as different, and is not:\n{rows(gone)}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.type}-{case.name}")
def test_a_machine_watches_whatever_it_acts_on(case: Case) -> None:
    machine = machine_of(case.type)
    assert drive(machine, case.scenario).unwatched == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.type}-{case.name}")
def test_in_service_it_ends_in_the_same_way(case: Case) -> None:
    """Woken only by what it watches, and at once: prices may differ from the comparison's, the end does not."""
    machine = machine_of(case.type)
    compared, live = drive(machine, case.scenario).report, drive_live(machine, case.scenario).report
    if compared is None or live is None:
        assert compared is live
        return
    assert (live.status, live.close_type) == (compared.status, compared.close_type)


def net_base(orders: Iterable[Tracked]) -> Decimal:
    return sum((order.side.sign * order.executed_base for order in orders), Decimal(0))


@pytest.mark.parametrize("drives", [drive, drive_live], ids=["polled", "live"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.type}-{case.name}")
def test_what_has_ended_leaves_no_order_out_and_no_exposure_unreported(
    case: Case, drives: Callable[..., Outcome]
) -> None:
    outcome = drives(machine_of(case.type), case.scenario)
    if outcome.report is None:
        return
    report = outcome.report
    if report.status is not RunnableStatus.TERMINATED:
        return
    assert [order for order in outcome.orders if not order.is_done] == []
    if case.type == "twap_executor" and report.close_type is not CloseType.POSITION_HOLD:
        # What a TWAP has bought is its result, and not something left over.
        return
    # Less than an increment per order cannot be closed, nor what was taken as a fee.
    remainder = sum(Decimal("0.0001") + order.fees_base for order in outcome.orders)
    assert abs(net_base(outcome.orders) - net_base(report.held)) <= remainder


def test_the_list_names_scenarios_and_rules_that_exist() -> None:
    names = {case.name for case in load(ORACLE)}
    assert {difference.name for difference in LISTED} <= names
    text = PAGE.read_text()
    rules = {rule.strip() for cell in LISTED.values() for rule in cell.split(",")}
    missing = [rule for rule in rules if f"**{rule}**" not in text]
    assert not missing, f"rules without an explanation: {missing}"
