"""Every route of every dialect, asked with another organization's credential, with a credential of too short a reach,
with one that may only read, and with none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from gesta.apis.crosstrade.commands import BY_API
from gesta.ledger.records import Kind
from tests.integration.hardening.house import Answer, Client, Credential, House, Live, fill_row, run_row
from tests.integration.hardening.rules import COMMANDS, FOR_ALL, RULES, Call, Key, unruled

REFUSED = {401, 403, 404}


def ask(client: Client, key: Key, call: Call, headers: dict[str, str]) -> Answer:
    more = {} if call.body is None else {"Content-Type": call.content_type}
    return client(key[1], call.target, {**headers, **more}, call.body)


def said_in(call: Call, headers: dict[str, str]) -> str:
    return " ".join((call.target, (call.body or b"").decode(), *headers.values())).replace("%40", "@")


def leaks(body: bytes, markers: list[str], asked: str) -> list[str]:
    """What the answer tells that the request did not say itself."""
    text = body.decode("utf-8", "replace")
    return [marker for marker in markers if marker in text and marker not in asked]


def walk(house: House, *means: str) -> Iterator[tuple[Key, Call]]:
    for key, rule in RULES.items():
        if rule.means in means:
            for call in rule.calls(house):
                yield key, call


def test_every_route_has_a_rule(live: Live) -> None:
    assert unruled(live.server) == set()


def test_a_new_route_without_a_rule_fails_the_walk(live: Live) -> None:
    for name, dialect in live.server.dialects.items():
        routes = list(dialect.router.routes)
        try:
            _add_route(dialect)
            assert unruled(live.server) == {(name, "DELETE", "/new")}
        finally:
            dialect.router.routes[:] = routes
    assert unruled(live.server) == set()


def _add_route(dialect: FastAPI) -> None:
    dialect.add_api_route("/new", lambda: None, methods=["DELETE"])


def test_every_documented_operation_is_a_route(live: Live) -> None:
    walked = {(name, method, re.sub(r":path\}", "}", path)) for name, method, path in RULES}
    with live.client() as client:
        for name in live.server.dialects:
            document = client("GET", f"/openapi/{name}.json").json
            for path, operations in document["paths"].items():
                for method in operations.keys() - {"parameters", "servers", "summary", "description"}:
                    assert (name, method.upper(), path) in walked


def test_the_walk_would_see_a_leak(live: Live, alpha: House) -> None:
    """The owner's own credential: the calls are right, so that a refusal of a stranger is not a mistake of the test."""
    seen: dict[Key, int] = {}
    with live.client() as client:
        for key, call in walk(alpha, "one", "many"):
            if key[1] != "GET":
                continue
            for credential in alpha.credentials.values():
                if key[0] not in credential.dialects or credential.reads_only:
                    continue
                answer = ask(client, key, call, credential.headers)
                if answer.status == 200 and any(marker.encode() in answer.body for marker in alpha.markers):
                    seen[key] = seen.get(key, 0) + 1
    assert {key for key, rule in RULES.items() if rule.means in ("one", "many") and key[1] == "GET"} == set(seen)


@pytest.mark.parametrize("own_account", [True, False], ids=["own account", "foreign account"])
def test_another_organization(live: Live, alpha: House, beta: House, own_account: bool) -> None:
    heads = live.head(alpha), live.head(beta)
    statuses: dict[Key, set[int]] = {}
    with live.client() as client:
        for credential in beta.credentials.values():
            headers = dict(credential.headers)
            foreign = not own_account and "linked_account_id" in headers
            if foreign:
                headers["linked_account_id"] = alpha.accounts["x"].name
            elif not own_account:
                continue
            tried: set[Key] = set()
            for key, call in walk(alpha, "one", "quiet", "many", "shared", "account"):
                if key[0] not in credential.dialects and key in tried:
                    continue  # where the credential means nothing, once is enough
                tried.add(key)
                answer = ask(client, key, call, headers)
                where = f"{credential.name}: {key[1]} {call.target} → {answer.status} {answer.body[:300]!r}"
                assert leaks(answer.body, alpha.markers, said_in(call, headers)) == [], where
                statuses.setdefault(key, set()).add(answer.status)
                if RULES[key].means in ("many", "shared") and answer.status == 200:
                    # What the request itself named must not be found either.
                    assert leaks(answer.body, [f"id-{alpha.tag}", f"name {alpha.tag}"], "") == [], where
                    continue
                refused = answer.status in REFUSED or _is_crosstrades(key, answer)
                assert refused or _names_no_own_account(key, call, headers, answer, beta), where
                assert answer.status == 401 or key[0] in credential.dialects, where
    assert (live.head(alpha), live.head(beta)) == heads
    if own_account:
        # Each route was reached by a credential that it knows, not only refused at the door.
        assert all(found - {401} for found in statuses.values()), statuses


def _is_crosstrades(key: Key, answer: Answer) -> bool:
    """What is not there, or not the caller's, is a 400 in that dialect."""
    if key[0] != "crosstrade" or answer.status != 400:
        return False
    error = answer.json["error"]
    return error in ("invalid_account", "invalid_order", "invalid_execution") or error.startswith("Order linked to")


def _names_no_own_account(key: Key, call: Call, headers: dict[str, str], answer: Answer, house: House) -> bool:
    """The published 400 of Refold for a key whose linked account is missing or unknown, and its like."""
    if answer.status != 400 or "x-api-key" not in headers:
        return False
    if key[0] == "refold":
        return answer.json["message"] in ("linked_account_id or org_id is required", "Invalid linked_account_id")
    return answer.json["field"] == "linked_account_id" and house.tag not in headers["linked_account_id"]


def test_a_stranger_cannot_tell_what_exists(live: Live, alpha: House, beta: House) -> None:
    """The answer for another organization's id is that for an id that nobody has."""
    with live.client() as client:
        for key, call in walk(alpha, "one", "quiet"):
            for credential in beta.credentials.values():
                if key[0] not in credential.dialects:
                    continue
                unknown = Call(
                    target=call.target.replace(alpha.tag, "nobody7"),
                    body=None if call.body is None else call.body.replace(alpha.tag.encode(), b"nobody7"),
                    content_type=call.content_type,
                )
                known = _shape(ask(client, key, call, credential.headers), alpha.tag)
                assert known == _shape(ask(client, key, unknown, credential.headers), "nobody7"), call.target


def _shape(answer: Answer, tag: str) -> tuple[int, bytes]:
    body = answer.body.replace(tag.encode(), b"*")
    return answer.status, re.sub(rb'"(request_?[iI]d)":"[^"]*"', b"", body)


def test_a_credential_of_shorter_reach(live: Live, alpha: House) -> None:
    """A bound key, a session, a test key: within its own organization too, only what it reaches."""
    seen: dict[str, set[str]] = {}
    with live.client() as client:
        for credential in alpha.credentials.values():
            if credential.reach is None:
                continue
            outside = {key: thing for key, thing in alpha.things.items() if thing.account.id not in credential.reach}
            markers = [thing.marker for thing in outside.values()] + [t.price for t in outside.values() if t.price]
            found = seen.setdefault(credential.name, set())
            for key, call in walk(alpha, "one", "many"):
                if key[1] != "GET" and call.thing not in outside:
                    continue  # it may, and would
                if key[0] not in credential.dialects:
                    continue
                answer = ask(client, key, call, credential.headers)
                where = f"{credential.name}: {key[1]} {call.target} → {answer.status} {answer.body[:300]!r}"
                assert answer.status < 500, where
                assert leaks(answer.body, markers, said_in(call, credential.headers)) == [], where
                if answer.status == 200:
                    hidden = [f"name {marker}" for marker in markers]
                    assert leaks(answer.body, hidden, "") == [], where
                    assert call.thing not in outside or RULES[key].means == "many", where
                    found |= {name for name, thing in alpha.things.items() if thing.marker.encode() in answer.body}
    for name, things in seen.items():
        reach = alpha.credentials[name].reach or frozenset()
        reachable = {key for key, thing in alpha.things.items() if thing.account.id in reach}
        if name.removesuffix("_read") in ("pk", "tk"):
            assert things >= reachable, name
        else:
            assert things & set(alpha.things) >= {f"run_{'x' if 'pk' in name else 'z'}"}, name


def test_reading_is_all_that_a_reader_may(live: Live, alpha: House) -> None:
    head = live.head(alpha)
    writes = 0
    with live.client() as client:
        for key, call in walk(alpha, "one", "creates"):
            if key[1] == "GET":
                continue
            for credential in alpha.credentials.values():
                if not credential.reads_only:
                    continue
                answer = ask(client, key, call, credential.headers)
                reached = key[0] in credential.dialects
                where = f"{credential.name}: {key[1]} {call.target} → {answer.status} {answer.body[:300]!r}"
                # What it cannot see it cannot be told about; a broken body may be told before the scope.
                expected = {403, 404, 400} if reached else {401}
                assert answer.status in expected, where
                assert answer.status != 400 or call.body not in (None, b'{"status": "cancelled"}'), where
                writes += reached
    assert writes > 50
    assert live.head(alpha) == head


def test_without_a_credential(live: Live, alpha: House) -> None:
    with live.client() as client:
        for key, call in walk(alpha, "one", "quiet", "many", "shared", "account", "creates"):
            for headers in ({}, {"Authorization": "Bearer gst_" + "0" * 64}, {"x-api-key": "pk_" + "0" * 64}):
                answer = ask(client, key, call, headers)
                assert answer.status == 401, f"{key} {call.target} {headers}"
                assert "www-authenticate" in answer.headers
                assert leaks(answer.body, alpha.markers, said_in(call, headers)) == []
        for method, target in (("POST", "/api/v2/public/session-token/revoke"), ("GET", "/ledger/stream")):
            assert client(method, target, {}).status == 401
        for key, call in walk(alpha, "open"):
            answer = ask(client, key, call, {})
            assert answer.status == 200, call.target
            assert leaks(answer.body, alpha.markers, "") == [], call.target


def test_sessions_of_another_organization(live: Live, alpha: House, beta: House) -> None:
    """A key opens no session of a foreign account, and a stranger ends none."""
    session = alpha.credentials["session_pk"]
    with live.client() as client:
        for credential in beta.credentials.values():
            for target in ("/api/v2/public/session-token", "/api/v2/public/session-token?force_refresh=true"):
                body = json.dumps({"linked_account_id": alpha.accounts["x"].name}).encode()
                answer = client("POST", target, credential.headers, body)
                assert answer.status in (400, 401), answer
                assert b"token" not in answer.body.replace(b"Authorization Token Missing", b"").lower() or (
                    answer.status == 401
                )
            if credential.scheme != "session":
                answer = client("POST", "/api/v2/public/session-token/revoke", credential.headers, b"{}")
                assert answer.status == 401
        forged = session.secret.rpartition(".")[0] + ".AAAA"
        for headers in ({"Authorization": f"Bearer {forged}"}, {**beta.credentials["pk"].headers}):
            assert client("POST", "/api/v2/public/session-token/revoke", headers).status == 401
        assert client("GET", "/api/v2/public/execution", session.headers).status == 200


def test_writing_what_is_named_like_anothers(live: Live, alpha: House, gamma: House) -> None:
    """The same ids and account names recorded by another organization are its own, and reveal nothing."""
    before = live.head(alpha)
    key = ("native", "POST", "/ledger/executions")
    with live.client() as client:
        first = {call.thing: ask(client, key, call, gamma.credentials["bearer"].headers) for call in _arrays(alpha)}
        assert {answer.json["recorded"] for answer in first.values()} == {1}
        for name, answer in first.items():
            assert answer.json["results"][0]["id"] == alpha.things[name or ""].id
        for thing in alpha.things.values():
            answer = client("GET", f"/ledger/executions/{thing.id}", gamma.credentials["bearer"].headers)
            assert answer.status == 200
            assert leaks(answer.body, [f"name {thing.marker}", thing.price or "?"], "") == []
        mine = client("GET", "/ledger/executions?total=true", alpha.credentials["bearer"].headers).json
        assert mine["total"] == len(alpha.things)
    assert live.head(alpha) == before


def _arrays(house: House) -> list[Call]:
    calls = RULES["native", "POST", "/ledger/executions"].calls(house)
    return [call for call in calls if call.content_type == "application/json"]


# -- streams and sockets


def test_commands_of_the_websocket(live: Live, alpha: House, beta: House) -> None:
    for house in (beta, alpha):
        answered = 0
        for credential in house.credentials.values():
            if "crosstrade" not in credential.dialects or credential.scheme != "bearer":
                continue
            url = f"ws://127.0.0.1:{live.port}/ws/stream"
            with connect(url, additional_headers=credential.headers) as peer:
                for api in BY_API:
                    for thing in alpha.things.values():
                        for args in COMMANDS[api](thing):
                            frame = json.dumps({"action": "rpc", "id": 7, "api": api, "args": args})
                            peer.send(frame)
                            reply = peer.recv(timeout=10)
                            assert isinstance(reply, str)
                            answered += "error" not in json.loads(reply) and thing.marker in reply
                            if house is beta:
                                assert leaks(reply.encode(), alpha.markers, frame) == [], (api, args, reply)
                                ok = api in FOR_ALL
                                assert ("error" in json.loads(reply)) is not ok, (api, args, reply)
        assert bool(answered) is (house is alpha)


def _watching(house: House) -> list[dict[str, Any]]:
    """Every subscription of Hummingbot's WebSocket, with every field that may name a thing."""
    asked: list[dict[str, Any]] = [
        {"type": name} for name in ("executors", "executor_summary", "performance", "positions")
    ]
    for thing in house.things.values():
        controller = f"controller-{thing.marker}"
        asked += [{"type": name, "executor_id": thing.id} for name in ("executor_detail", "executor_logs")]
        asked += [{"type": name, "controller_id": controller} for name in ("performance", "positions")]
        asked += [
            {"type": "executors", "filters": {name: value}}
            for name, value in (("account_name", thing.account.name), ("controller_id", controller))
        ]
    return asked


def test_executors_over_the_websocket(live: Live, alpha: House, beta: House) -> None:
    url = f"ws://127.0.0.1:{live.port}/ws/executors"
    for house in (beta, alpha):
        shown = 0
        for credential in house.credentials.values():
            if "hummingbot" not in credential.dialects:
                continue
            for asked in _watching(alpha):
                with connect(url, additional_headers=credential.headers) as peer:
                    assert '"connected"' in str(peer.recv(timeout=10))
                    peer.send(json.dumps({"action": "subscribe", **asked}))
                    assert '"subscribed"' in str(peer.recv(timeout=10)), asked
                    told = str(peer.recv(timeout=10))
                    leaked = leaks(told.encode(), alpha.markers, json.dumps(asked))
                    shown += bool(leaked)
                    if house is beta:
                        assert leaked == [], (asked, told)
        assert bool(shown) is (house is alpha)


def test_executors_over_the_websocket_with_other_credentials(live: Live, alpha: House) -> None:
    """It is accepted first, and says so."""
    foreign = [each.headers for each in alpha.credentials.values() if "hummingbot" not in each.dialects]
    for headers in ({}, {"Authorization": "Basic"}, {"Authorization": "Basic YTpi"}, *foreign):
        with connect(f"ws://127.0.0.1:{live.port}/ws/executors", additional_headers=headers) as peer:
            assert json.loads(peer.recv(timeout=10)) == {"type": "error", "message": "Authentication failed"}
            with pytest.raises(ConnectionClosed) as closed:
                peer.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4001


@pytest.mark.parametrize("path", ["/ws/stream", "/ledger/stream"])
def test_websockets_without_a_valid_credential(live: Live, alpha: House, path: str) -> None:
    dialect = "crosstrade" if path == "/ws/stream" else "native"
    foreign = [each.headers for each in alpha.credentials.values() if dialect not in each.dialects]
    wrong = {"Authorization": "Bearer gst_" + "1" * 64}
    for headers in ({}, wrong, {"Authorization": "Bearer"}, *foreign):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{live.port}{path}", additional_headers=headers)
        assert refused.value.response.status_code == 401


def test_the_feed_of_another_organization(live: Live, alpha: House, beta: House) -> None:
    """Everything from the beginning, and what happens while it is open: none of it alpha's."""
    listen(live, alpha, beta)


def test_the_feed_within_its_reach(live: Live, alpha: House) -> None:
    listen(live, alpha, alpha)


def listen(live: Live, alpha: House, caller: House) -> None:
    for number, credential in enumerate(caller.credentials.values()):
        if "native" not in credential.dialects:
            continue
        reach = credential.reach or frozenset(account.id for account in caller.accounts.values())
        last = f"{caller.tag}-live-{number}-last"
        hidden = alpha.markers if caller is not alpha else []
        hidden += [f"name {t.marker}" for t in caller.things.values() if t.account.id not in reach]
        url = f"ws://127.0.0.1:{live.port}/ledger/stream?after=0"
        with live.client() as client, connect(url, additional_headers=credential.headers) as peer:
            stream = client.stream("/ledger/stream?after=0", credential.headers)
            hidden += _happen(live, alpha, caller, reach, number, last)
            told = b""
            while f"id-{last}".encode() not in told:
                told += stream.readline()
            assert leaks(told, hidden, "") == [], credential.name
            heard = ""
            while f"id-{last}" not in heard:
                heard += str(peer.recv(timeout=10))
            assert leaks(heard.encode(), hidden, "") == [], credential.name
            seen = [t for t in caller.things.values() if t.account.id in reach]
            assert all(f"name {t.marker}" in heard and f"name {t.marker}".encode() in told for t in seen)


def _happen(live: Live, alpha: House, caller: House, reach: frozenset[int], number: int, last: str) -> list[str]:
    """Rows of alpha's and of the caller's beyond its reach, then one that it must see; what it must not see."""
    hidden = []
    for house in {alpha.tag: alpha, caller.tag: caller}.values():
        for account in house.accounts:
            if house.accounts[account].id in reach and house is caller:
                continue
            marker = f"{house.tag}-live-{number}-{account}-hidden"
            made = fill_row(house, account, marker, "1") if "@" not in account else run_row(house, account, marker)
            live.run(live.core.ledger.append(house.organization.id, [made]))
            hidden.append(f"id-{marker}")
    account = next(key for key, each in caller.accounts.items() if each.id in reach)
    live.run(live.core.ledger.append(caller.organization.id, [run_row(caller, account, last)]))
    return hidden


def test_the_ledger_is_whole(live: Live) -> None:
    assert live.verify().faults == []


def test_kinds_are_covered(alpha: House) -> None:
    assert {thing.kind for thing in alpha.things.values()} == set(Kind)
    assert isinstance(next(iter(alpha.credentials.values())), Credential)
    names: Any = set(alpha.credentials)
    assert len(names) == 18
