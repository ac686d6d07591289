"""What fills cost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gesta.kernel.errors import InvalidInput
from gesta.trading.catalog import Catalog
from gesta.trading.fees import DEFAULT_FEES, ZERO_FEES, FeeRule, FeeSchedule, fee_schedule_of_table
from gesta.trading.futures import FUTURES
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.money import from_units
from gesta.trading.pairs import PAIRS

_CATALOG = Catalog()


def _instrument(name: str) -> Instrument:
    found = _CATALOG.get(name)
    assert found is not None
    return found


_ES, _SPOT, _PERPETUAL = _instrument("ES 12-26"), _instrument("BTC-USDT"), _instrument("BTC-USDT-PERP")


@pytest.mark.parametrize(
    ("name", "lots", "ticks", "is_maker", "fee"),
    [
        ("ES 12-26", 2, 20_000, False, "4.5"),
        ("ES 12-26", 2, 20_000, True, "4.5"),
        ("MES 12-26", 3, 20_000, False, "1.86"),
        ("FDAX 12-26", 1, 20_000, False, "1.5"),
        ("BTC-USDT", 1_000, 6_000_000, False, "0.6"),  # 0.01 at 60,000
        ("BTC-USDT-PERP", 10, 600_000, True, "0.12"),
        ("BTC-USDT-PERP", 10, 600_000, False, "0.3"),
        ("BTC-USD-PERP", 60_000, 120_000, False, "0.0005"),  # 1 BTC, in BTC
    ],
)
def test_the_default_schedule(name: str, lots: int, ticks: int, is_maker: bool, fee: str) -> None:
    assert from_units(DEFAULT_FEES.commission(_instrument(name), lots, ticks, is_maker)) == Decimal(fee)


def test_every_known_instrument_has_a_default_fee_and_none_with_the_empty_schedule() -> None:
    instruments = [*PAIRS, *(_CATALOG.resolve(root, 1_700_000_000_000_000) for root in FUTURES)]
    for instrument in instruments:
        assert DEFAULT_FEES.commission(instrument, 1_000_000, 1_000_000, False) > 0
        assert ZERO_FEES.commission(instrument, 1_000_000, 1_000_000, False) == 0
    with_own_row = {rule.root for rule in DEFAULT_FEES.rules if rule.root}
    assert with_own_row == set(FUTURES)


def test_the_most_particular_rule_decides_alone() -> None:
    schedule = FeeSchedule(
        (
            FeeRule(per_contract=Decimal(1)),
            FeeRule(venue="paper", per_contract=Decimal(2)),
            FeeRule(kind=InstrumentKind.FUTURE, per_contract=Decimal(3)),
            FeeRule(root="ES", per_contract=Decimal(4)),
            FeeRule(root="ES", venue="paper", per_contract=Decimal(5)),
            FeeRule(account=7, per_contract=Decimal(6)),
            FeeRule(account=7, root="NQ", per_contract=Decimal(7)),
        )
    )

    def fee(name: str, account: int | None, venue: str) -> Decimal:
        return from_units(schedule.commission(_instrument(name), 1, 1, False, account=account, venue=venue))

    assert fee("ES 12-26", None, "paper") == 5
    assert fee("ES 12-26", None, "elsewhere") == 4
    assert fee("NQ 12-26", 1, "paper") == 3
    assert fee("ES 12-26", 7, "paper") == 6
    assert fee("NQ 12-26", 7, "elsewhere") == 7
    assert from_units(schedule.commission(_PERPETUAL, 1000, 1, False, venue="elsewhere")) == 1
    assert from_units(schedule.commission(_PERPETUAL, 1000, 1, False)) == 2


def test_a_later_rule_takes_the_place_of_one_for_the_same() -> None:
    schedule = DEFAULT_FEES.with_rules([FeeRule(root="ES", per_contract=Decimal("1.29"))])
    assert from_units(schedule.commission(_ES, 1, 1, False)) == Decimal("1.29")
    assert from_units(DEFAULT_FEES.commission(_ES, 1, 1, False)) == Decimal("2.25")


def test_rebates_are_negative_and_halves_go_to_the_even_unit() -> None:
    rebate = FeeSchedule((FeeRule(maker_rate=Decimal("-0.0001"), taker_rate=Decimal("0.0004")),))
    assert from_units(rebate.commission(_PERPETUAL, 1000, 600_000, True)) == -6
    tiny = FeeSchedule((FeeRule(taker_rate=Decimal("0.000005")),))  # one tick of one lot is 10^5 units
    assert [tiny.commission(_SPOT, 1, ticks, False) for ticks in (1, 2, 3, 4, 5)] == [0, 1, 2, 2, 2]


def test_a_schedule_of_a_table() -> None:
    schedule = fee_schedule_of_table(
        {
            "base": "zero",
            "rule": [
                {"root": "es", "per_contract": "1.29"},
                {"account": "Sim101", "kind": "linear_perpetual", "maker_rate": 0.0001, "taker_rate": "0.0004"},
            ],
        },
        {"Sim101": 3},
    )
    assert schedule.rules == (
        FeeRule(root="ES", per_contract=Decimal("1.29")),
        FeeRule(
            account=3,
            kind=InstrumentKind.LINEAR_PERPETUAL,
            maker_rate=Decimal("0.0001"),
            taker_rate=Decimal("0.0004"),
        ),
    )
    assert fee_schedule_of_table({}) == DEFAULT_FEES


@pytest.mark.parametrize(
    ("table", "field", "message"),
    [
        ({"base": "cheap"}, "base", "default, zero"),
        ({"rules": []}, "rules", "unknown; the fields are base, rule"),
        ({"rule": {}}, "rule", r"\[\[rule\]\]"),
        ({"rule": [3]}, "rule 1", "must be a table"),
        ({"rule": [{"per_contract": "many"}]}, "per_contract", "must be a number"),
        ({"rule": [{"per_contract": "NaN"}]}, "per_contract", "must be a number"),
        ({"rule": [{"per_contract": float("inf")}]}, "per_contract", "must be a number"),
        ({"rule": [{"per_contract": True}]}, "per_contract", "must be a number"),
        ({"rule": [{"taker_rate": "1.5"}]}, "taker_rate", "at most 1"),
        ({"rule": [{"taker_rate": "0.0000000000001"}]}, "taker_rate", "12 digits"),
        ({"rule": [{"account": "Nobody"}]}, "account", "no account is called 'Nobody'"),
        ({"rule": [{"account": 3}]}, "account", "text"),
        ({"rule": [{"kind": "stock"}]}, "kind", "future, spot"),
        ({"rule": [{}, {"commission": 1}]}, "commission", "rule 2: `commission`: is unknown"),
    ],
)
def test_a_wrong_table_is_refused_by_field(table: dict[str, object], field: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        fee_schedule_of_table(table)
    assert caught.value.field == field
