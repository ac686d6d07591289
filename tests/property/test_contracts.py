"""Whatever the contract, whatever the moment: names, rolls and sessions agree with themselves."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import from_datetime, to_datetime
from gesta.trading.catalog import Catalog
from gesta.trading.contracts import MONTH_CODES, MONTH_NAMES, Contract, parse_contract
from gesta.trading.fees import DEFAULT_FEES
from gesta.trading.futures import FUTURES
from gesta.trading.instruments import Instrument
from gesta.trading.pairs import PAIRS
from gesta.trading.rolls import expiry_date, roll_date
from gesta.trading.sessions import RULES, is_open, session_at, session_date, session_end_us, session_start_us

_DAY_US = 86_400_000_000
_FIRST_US, _LAST_US = 946_684_800_000_000, 4_070_908_800_000_000  # 2000 to 2099

CATALOG = Catalog()
CALENDARS = st.sampled_from(sorted(RULES))
MOMENTS = st.integers(_FIRST_US, _LAST_US - 1)
ROOTS = st.sampled_from(sorted(FUTURES))


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    root = draw(ROOTS)
    month = MONTH_CODES.index(draw(st.sampled_from(FUTURES[root].cycle.months))) + 1
    return Contract(root, draw(st.integers(2000, 2099)), month)


def outcome(name: str, at_us: int) -> Instrument | InvalidInput:
    try:
        return CATALOG.resolve(name, at_us)
    except InvalidInput as error:
        return error


def spellings(contract: Contract, at_year: int) -> list[str]:
    root, code, name = contract.root, MONTH_CODES[contract.month - 1], MONTH_NAMES[contract.month - 1]
    short = contract.year % 100
    found = [
        contract.name,
        contract.code,
        f"{root} {contract.month:02d}-{contract.year}",
        f"{root} {name}{short:02d}",
        f"{root} {name} {short:02d}",
        f"{root}{code}{contract.year}",
    ]
    if at_year - 1 <= contract.year <= at_year + 8:
        found.append(f"{root}{code}{contract.year % 10}")
    return found


@given(contract=contracts(), offset=st.integers(-8, 1), blanks=st.text(" \t\n\r", max_size=3))
def test_every_spelling_is_one_instrument(contract: Contract, offset: int, blanks: str) -> None:
    at_year = min(max(contract.year + offset, 2000), 2099)
    at_us = from_datetime(to_datetime(0).replace(year=at_year, month=7))
    instrument = CATALOG.get(contract.name)
    assert instrument is not None
    assert instrument.name == contract.name
    for name in spellings(contract, at_year):
        for text in (name, name.lower(), f"{blanks}{name.title()}{blanks}", name.replace(" ", f" {blanks}")):
            assert CATALOG.resolve(text, at_us) is instrument
    assert parse_contract(contract.name, at_year) == contract


@given(instrument=st.sampled_from(PAIRS), at_us=MOMENTS)
def test_every_spelling_of_a_pair_is_one_instrument(instrument: Instrument, at_us: int) -> None:
    name = instrument.name
    for text in (name, name.lower(), name.replace("-", ""), name.replace("-", "/", 1), name.replace("-", "_")):
        assert CATALOG.resolve(text, at_us) is instrument


@given(root=ROOTS, at_us=MOMENTS, position=st.integers(1, 4))
def test_a_front_month_is_printed_and_read_as_itself(root: str, at_us: int, position: int) -> None:
    instrument = outcome(f"{root}{position}!", at_us)
    if isinstance(instrument, InvalidInput):
        assert "no active contract" in instrument.message
        assert to_datetime(at_us).year >= 2098
        return
    assert CATALOG.resolve(instrument.name, at_us) is CATALOG.get(instrument.name) is instrument
    assert instrument.expiry is not None
    assert instrument.expiry > to_datetime(at_us).date()


@given(text=st.text(max_size=100), at_us=st.integers(-(10**18), 10**18))
def test_any_text_is_an_instrument_or_a_refusal_of_that_field(text: str, at_us: int) -> None:
    found = outcome(text, at_us)
    if isinstance(found, InvalidInput):
        assert found.field == "instrument"
        assert len(found.message) < 1000
    else:
        assert CATALOG.get(found.name) is found


@given(text=st.from_regex(r"[A-Z0-9]{1,3}( ?[A-Z0-9]{1,3}[-!0-9]{0,4})?", fullmatch=True), at_us=MOMENTS)
def test_what_looks_like_a_name_is_one_or_is_refused_with_one_that_is(text: str, at_us: int) -> None:
    found = outcome(text, at_us)
    if isinstance(found, InvalidInput):
        assert found.field == "instrument"
        meant = found.details.get("did_you_mean", "ES 12-26")
        assert isinstance(outcome(meant, at_us), Instrument) or to_datetime(at_us).year >= 2098
    else:
        assert CATALOG.get(found.name) is found


@given(contract=contracts())
def test_a_contract_expires_after_its_roll_and_on_a_weekday(contract: Contract) -> None:
    cycle = FUTURES[contract.root].cycle
    expiry = expiry_date(cycle, contract)
    assert expiry.weekday() < 5
    assert roll_date(cycle, contract) < expiry
    month = date(contract.year, contract.month, 1)
    assert timedelta(days=-45) < expiry - month < timedelta(days=31)


@given(calendar=CALENDARS, at_us=MOMENTS)
def test_a_session_holds_its_moment_or_is_the_next(calendar: str, at_us: int) -> None:
    session = session_at(calendar, at_us)
    assert session.start_us < session.end_us
    assert at_us < session.end_us == session_end_us(calendar, at_us)
    assert session.start_us == session_start_us(calendar, at_us)
    assert session.day == session_date(calendar, at_us)
    assert is_open(calendar, session.end_us - 1)
    assert is_open(calendar, session.start_us)
    assert session_at(calendar, session.end_us - 1) == session
    assert session_at(calendar, session.start_us) == session
    assert session.end_us - at_us <= 6 * _DAY_US
    if is_open(calendar, at_us):
        assert session.start_us <= at_us
    elif not session.pause_start_us <= at_us < session.pause_end_us:
        assert at_us < session.start_us
    after = session_at(calendar, session.end_us)
    assert after.day > session.day
    assert after.start_us >= session.end_us
    assert is_open(calendar, session.end_us) is (after.start_us == session.end_us)


@given(calendar=CALENDARS, at_us=MOMENTS, later_us=st.integers(0, 30 * _DAY_US))
def test_trading_days_follow_time(calendar: str, at_us: int, later_us: int) -> None:
    assert session_date(calendar, at_us) <= session_date(calendar, at_us + later_us)


@given(
    instrument=st.sampled_from([*PAIRS, *(CATALOG.resolve(f"{root}Z26", 0) for root in ("ES", "MNQ", "GC", "6J"))]),
    lots=st.lists(st.integers(1, 10**9), min_size=1, max_size=5),
    ticks=st.integers(1, 10**9),
    is_maker=st.booleans(),
)
def test_fees_of_parts_are_the_fee_of_the_whole_to_the_unit(
    instrument: Instrument, lots: list[int], ticks: int, is_maker: bool
) -> None:
    parts = [DEFAULT_FEES.commission(instrument, part, ticks, is_maker) for part in lots]
    whole = DEFAULT_FEES.commission(instrument, sum(lots), ticks, is_maker)
    assert min(parts) >= 0
    assert abs(sum(parts) - whole) <= len(lots)
