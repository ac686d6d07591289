"""`gesta import` against a running server: what goes in, what a second time adds, what comes out of CrossTrade."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import msgspec
import pytest

from gesta.access.model import AccountType, CredentialType, Scope
from gesta.cli.main import main
from gesta.client import AsyncGesta, Gesta, NotFound, Unauthenticated
from tests.integration.hardening.house import Live
from tests.unit.sources.grids import HEADER, grid, row

DATA = Path(__file__).resolve().parents[3] / "shared/data/executions"


class Ended(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str

    def count(self, name: str) -> int:
        """A number of the summary table."""
        line = next(line for line in self.out.splitlines() if line.strip().startswith(name))
        return int(line.split()[-1])


Command = Callable[..., Ended]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(**{"database.url": str(tmp_path_factory.mktemp("import") / "gesta.sqlite3")}) as server:
        yield server


@pytest.fixture
def token(live: Live, request: pytest.FixtureRequest) -> str:
    """A token of an organization of the test's own."""
    organization = live.run(live.core.access.create_organization(request.node.name[:60]))
    made = live.run(
        live.core.access.create_credential(
            organization.id, type=CredentialType.BEARER, scopes=frozenset({Scope.TRADE, Scope.RUN})
        )
    )
    return str(made.secret)


@pytest.fixture
def command(live: Live, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("GESTA_URL", live.base_url)
    monkeypatch.setenv("GESTA_TOKEN", token)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["gesta", "import", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


def crosstrade(live: Live, token: str, path: str) -> dict[str, object]:
    answer = httpx.get(f"{live.base_url}/v1/api/{path}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


def test_a_grid_goes_in_once_and_crosstrade_prints_its_wall_clock(
    command: Command, live: Live, token: str, tmp_path: Path
) -> None:
    file = tmp_path / "grid.csv"
    file.write_text(grid(row(id="a1", account="Import101"), row(id="a2", account="Import101", name="Zweite")))
    first = command("nt8", file, "--timezone", "America/Chicago")
    assert (first.code, first.count("recorded"), first.count("refused")) == (0, 2, 0)
    assert "separator semicolon, decimal comma, dates dmy" in first.err
    again = command("nt8", file, "--timezone", "America/Chicago")
    assert (again.code, again.count("recorded"), again.count("already there")) == (0, 0, 2)
    printed = crosstrade(live, token, "accounts/Import101/executions/a1")
    assert printed["time"] == "2026-04-27T06:05:02.0000000"
    assert printed["epoch"] == 1777287902000
    assert (printed["price"], printed["commission"], printed["instrument"]) == (5006.25, "0.62", "ES 12-26")
    assert (printed["isEntry"], printed["isInitialEntry"], printed["position"]) == (True, True, 1)
    with Gesta(live.base_url, token) as client:
        assert client.executions.get("a1")["account_type"] == AccountType.TRADING


def test_a_bad_row_is_reported_and_the_rest_goes_in_unless_strict(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "grid.csv"
    file.write_text(grid(row(id="a1"), row(id="a2", price="5006.25"), row(id="a3")))
    strict = command("nt8", file, "--timezone", "America/Chicago", "--strict")
    assert (strict.code, strict.count("recorded"), strict.count("refused")) == (1, 0, 1)
    assert "nothing was sent" in strict.out
    lax = command("nt8", file, "--timezone", "America/Chicago")
    assert (lax.code, lax.count("rows read"), lax.count("recorded"), lax.count("refused")) == (1, 3, 2, 1)
    (line,) = [text for text in lax.err.splitlines() if "not a number" in text]
    assert line.split()[0] == "3"


def test_a_dry_run_sends_nothing(command: Command, live: Live, token: str, tmp_path: Path) -> None:
    file = tmp_path / "grid.csv"
    file.write_text(grid(row(id="a1")))
    ended = command("nt8", file, "--timezone", "America/Chicago", "--dry-run", "--token", "nonsense")
    assert (ended.code, ended.count("rows read"), "Nothing was sent" in ended.out) == (0, 1, True)
    with Gesta(live.base_url, token) as client:
        assert client.executions.count() == 0


def test_changed_content_is_a_conflict_that_is_reported(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "grid.csv"
    file.write_text(grid(row(id="a1")))
    assert command("nt8", file, "--timezone", "America/Chicago").code == 0
    other_zone = command("nt8", file, "--timezone", "America/New_York")
    assert (other_zone.code, other_zone.count("conflicts"), other_zone.count("recorded")) == (1, 1, 0)
    assert "conflict" in other_zone.err


def test_the_same_id_in_two_accounts_is_two_fills(command: Command, live: Live, token: str, tmp_path: Path) -> None:
    file = tmp_path / "grid.csv"
    file.write_text(grid(row(id="same", account="Lead"), row(id="same", account="Copy")))
    assert command("nt8", file, "--timezone", "America/Chicago").count("recorded") == 2
    for account in ("Lead", "Copy"):
        assert crosstrade(live, token, f"accounts/{account}/executions/same")["account"] == account


def test_rows_without_ids_stay_apart_and_go_in_once(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "grid.csv"
    line = "MNQZ6,Sell,9/15/2026 9:39,29441.25,Exit,TRADEIFY,6,ACCOUNT-1\n"
    file.write_text("Instrument,Action,Time,Price,E/X,Connection,Quantity,Account display name\n" + line * 3)
    first = command("nt8", file, "--timezone", "America/Chicago")
    again = command("nt8", file, "--timezone", "America/Chicago")
    assert (first.count("recorded"), again.count("already there")) == (3, 3)
    assert "no ID column" in first.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nt8", "FILE", "--timezone", "Mars/Olympus"], "not a time zone"),
        (["nt8", "FILE"], "--timezone"),
        (["nt8", "FILE.missing", "--timezone", "UTC"], "cannot be opened"),
        (["nt8", "FILE", "--timezone", "UTC", "--column", "nonsense"], "Header=column"),
        (["bitmex", "FILE"], "is it an export of BitMEX"),
        (["ndjson", "FILE", "--dialect", "fix"], "not a dialect"),
        (["nt8", "FILE", "--timezone", "UTC", "--token", "two words"], "characters that no token has"),
        (["nt8", "FILE", "--timezone", "UTC", "--token", "wrong"], "gesta keys create"),
    ],
)
def test_a_wrong_call_says_what_to_do(command: Command, tmp_path: Path, arguments: list[str], said: str) -> None:
    file = tmp_path / "grid.csv"
    file.write_text(grid(row(id="a1")))
    ended = command(*[argument.replace("FILE", str(file)) for argument in arguments])
    assert ended.code == 2
    assert said in ended.err


def test_a_server_that_is_not_there(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("gesta.cli.import_command.Gesta", _impatient)
    file = tmp_path / "grid.csv"
    file.write_text(grid(row(id="a1")))
    ended = command("nt8", file, "--timezone", "UTC", "--url", "http://127.0.0.1:9")
    assert ended.code == 1
    assert "gesta serve" in ended.err


def _impatient(url: str | None, token: str | None) -> Gesta:
    return Gesta(url, token, sleep=lambda seconds: None)


@pytest.mark.skipif(not DATA.exists(), reason="the real executions are not beside this repository")
def test_the_real_bitmex_fills_come_out_of_crosstrade_reconciling_by_order(
    command: Command, live: Live, token: str
) -> None:
    file = DATA / "bitmex_executions_slim.csv.gz"
    first = command("bitmex", file)
    assert (first.code, first.count("recorded"), first.count("refused")) == (0, 7234, 0)
    again = command("bitmex", file)
    assert (again.count("recorded"), again.count("already there")) == (0, 7234)
    filled: dict[str, Decimal] = defaultdict(Decimal)
    largest: dict[str, Decimal] = defaultdict(Decimal)
    last_id = ""
    with Gesta(live.base_url, token) as client:
        assert client.executions.count(account="BitMEX", source="import") == 7234
        for execution in client.executions.list(kind="fill", account="BitMEX", order="oldest"):
            detail = execution["detail"]
            filled[detail["order_id"]] += Decimal(detail["quantity"])
            largest[detail["order_id"]] = max(largest[detail["order_id"]], Decimal(detail["cumulative_quantity"]))
            last_id = execution["id"]
        (total,) = client.summary(by=["kind"])
        assert (total["count"], Decimal(total["quantity"])) == (7234, sum(filled.values()))
    assert len(filled) == 700
    assert filled == largest
    printed = crosstrade(live, token, f"accounts/BitMEX/executions/{last_id}")
    assert (printed["id"], printed["account"]) == (last_id, "BitMEX")


@pytest.mark.skipif(not DATA.exists(), reason="the real export is not beside this repository")
def test_the_real_tradovate_export(command: Command, live: Live, token: str) -> None:
    file = DATA / "tradovate_performance.csv"
    first = command("tradovate", file, "--timezone", "America/Chicago", "--account", "Eval-1")
    assert (first.code, first.count("recorded")) == (0, 17)
    assert command("tradovate", file, "--timezone", "America/Chicago", "--account", "Eval-1").count("recorded") == 0
    with Gesta(live.base_url, token) as client:
        (total,) = client.summary(by=["account"])
    assert (total["account"], Decimal(total["pnl"])) == ("Eval-1", Decimal("-50"))


def test_an_export_goes_in_again_elsewhere(command: Command, live: Live, token: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.ndjson"
    detail = {"kind": "fill", "order_id": "o", "instrument": "ES 12-26", "side": "buy", "quantity": "1", "price": "2"}
    lines = [
        {"id": f"r{number}", "account": "Sim", "created_at": "2026-03-10", "detail": detail} for number in range(3)
    ]
    lines = [{**line, "created_at": "2026-03-10T12:00:00Z"} for line in lines]
    rows.write_text("\n".join([*map(json.dumps, lines), "[1]", json.dumps({"id": "bad"})]))
    ended = command("ndjson", rows)
    assert (ended.code, ended.count("recorded"), ended.count("refused")) == (1, 3, 2)
    assert [text.split()[0] for text in ended.err.splitlines() if text.strip()[:1].isdigit()] == ["4", "5"]
    exported = tmp_path / "all.ndjson"
    with Gesta(live.base_url, token) as client:
        client.export(exported, kind="fill")
    again = command("ndjson", exported)
    assert (again.code, again.count("already there")) == (0, 3), again.err
    moved = command("ndjson", exported, "--account", "Elsewhere")
    assert moved.count("recorded") == 3


def test_vendor_objects_go_in(command: Command, live: Live, token: str, tmp_path: Path) -> None:
    posted = {"id": "exec-1", "account": "Sim9", "time": "2026-03-10T12:00:00.0000000", "instrument": "ES 12-26"}
    posted |= {"marketPosition": "Long", "quantity": 1, "price": 5000.25, "orderId": "o", "epoch": 1773144000000}
    file = tmp_path / "vendor.ndjson"
    file.write_text(json.dumps(posted))
    assert command("ndjson", file, "--dialect", "crosstrade").count("recorded") == 1
    assert crosstrade(live, token, "accounts/Sim9/executions/exec-1")["price"] == 5000.25


def test_the_stream_tells_what_an_import_recorded(command: Command, live: Live, token: str, tmp_path: Path) -> None:
    file = tmp_path / "grid.csv"
    file.write_text(grid(row(id="a1"), row(id="a2"), header=HEADER))
    command("nt8", file, "--timezone", "America/Chicago")
    with Gesta(live.base_url, token) as client:
        stream = client.stream(after=0)
        first, second = next(stream), next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert [item.execution["external_id"] for item in (first, second)] == ["a1", "a2"]
        assert [event["type"] for event in client.executions.events(first.execution["id"])] == ["execution.recorded"]
        with pytest.raises(NotFound):
            client.executions.get("nothing")


async def test_the_async_client_of_a_running_server(live: Live, token: str, tmp_path: Path) -> None:
    detail = {"kind": "fill", "order_id": "o", "instrument": "ES 12-26", "side": "buy", "quantity": 1, "price": 2}
    rows = [
        {"id": f"r{number}", "account": "Sim", "created_at": f"2026-03-10T12:00:{number:02d}Z", "detail": detail}
        for number in range(5)
    ]
    async with AsyncGesta(live.base_url, token) as client:
        report = await client.executions.ingest(rows)
        assert (report.recorded, report.last_seq) == (5, 5)
        assert (await client.executions.ingest(rows)).duplicates == 5
        assert [one["id"] async for one in client.executions.list(order="oldest")] == [f"r{n}" for n in range(5)]
        assert await client.export(tmp_path / "all.parquet") > 0
        async for item in client.stream(after=4):
            assert item.seq == 5
            break
    async with AsyncGesta(live.base_url, "gst_wrong") as client:
        with pytest.raises(Unauthenticated):
            await client.executions.count()
