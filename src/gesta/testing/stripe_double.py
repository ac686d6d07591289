"""A small Stripe on this machine: checkout sessions, refunds, idempotency keys and signed callbacks, as far as payments
use them, with Stripe's own checks of what it is sent (docs.stripe.com/api)."""

from __future__ import annotations

import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

KEY = "sk_test_double"
SECRET = "whsec_double"  # noqa: S105 — of this double only
LEAST_EXPIRES_S = 30 * 60
MOST_EXPIRES_S = 24 * 3600


class StripeDouble:
    """`url` is its API base. `now_s` is its clock. `fail` is the status of the next answers, one for each entry; 0
    closes the connection without one. `requests` are (path, parameters, idempotency key)."""

    def __init__(self, now_s: int) -> None:
        self.now_s = now_s
        self.fail: list[int] = []
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.sessions: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self._known: dict[str, tuple[dict[str, str], int, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._answer(dict(parse_qsl(body.decode())))

            def _answer(self, parameters: dict[str, str]) -> None:
                key = self.headers.get("Idempotency-Key", "")
                authorized = self.headers.get("Authorization") == f"Bearer {KEY}"
                status, said = double._answer(self.command, self.path, parameters, key, authorized)
                if status == 0:
                    self.close_connection = True
                    return
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Tests have their own output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # -- what the payer does

    def pay(self, session_id: str, *, delayed: bool = False, **changes: Any) -> tuple[bytes, dict[str, str]]:
        """The payer pays: the callback that tells it. `delayed`: the money comes later, see `settle`."""
        session = self.sessions[session_id]
        session["status"] = "complete"
        session["payment_status"] = "unpaid" if delayed else "paid"
        session["payment_intent"] = f"pi_{session_id.removeprefix('cs_test_')}"
        return self.event("checkout.session.completed", {**session, **changes})

    def settle(self, session_id: str, *, succeeds: bool = True) -> tuple[bytes, dict[str, str]]:
        session = self.sessions[session_id]
        session["payment_status"] = "paid" if succeeds else "unpaid"
        return self.event(f"checkout.session.async_payment_{'succeeded' if succeeds else 'failed'}", session)

    def charge_of(self, session_id: str, refunded: int) -> dict[str, Any]:
        session = self.sessions[session_id]
        return {
            "id": f"ch_{session_id}",
            "object": "charge",
            "payment_intent": session["payment_intent"],
            "amount": session["amount_total"],
            "amount_refunded": refunded,
            "refunded": refunded >= session["amount_total"],
            "currency": session["currency"],
            "metadata": session["metadata"],
        }

    def event(self, type_: str, object_: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        event = {
            "id": f"evt_{type_}_{object_['id']}",
            "object": "event",
            "type": type_,
            "created": self.now_s,
            "data": {"object": object_},
        }
        body = json.dumps(event).encode()
        return body, self.signed(body)

    def signed(self, body: bytes, *, secret: str = SECRET, at_s: int | None = None) -> dict[str, str]:
        stamp = self.now_s if at_s is None else at_s
        signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
        return {"stripe-signature": f"t={stamp},v1={signature},v0=unused"}

    # -- its API

    def _answer(
        self, method: str, path: str, parameters: dict[str, str], key: str, authorized: bool
    ) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.requests.append((path, parameters, key))
            failure = self.fail.pop(0) if self.fail else None
            if failure is not None:
                return failure, _error("api_error", "It does not work now.")
            if not authorized:
                return 401, _error("invalid_request_error", "Invalid API Key provided.")
            if key in self._known:
                known, status, said = self._known[key]
                if known != parameters:
                    return 400, _error("idempotency_error", "The key was used with other parameters.")
                return status, said
            status, said = self._route(method, path, parameters)
            if key and status < 400:
                self._known[key] = (parameters, status, said)
            return status, said

    def _route(self, method: str, path: str, parameters: dict[str, str]) -> tuple[int, dict[str, Any]]:
        parts = path.strip("/").split("/")
        if parts[:2] == ["v1", "refunds"] and method == "POST":
            return self._refund(parameters)
        if parts[:3] != ["v1", "checkout", "sessions"]:
            return 404, _error("invalid_request_error", f"Unrecognized request URL {path}.")
        if len(parts) == 3:
            return self._create(parameters)
        session = self.sessions.get(parts[3])
        if session is None:
            return 404, _error("invalid_request_error", "No such checkout.session", "resource_missing")
        if parts[4:] == ["expire"]:
            if session["status"] != "open":
                return 400, _error("invalid_request_error", "Only Checkout Sessions that are open can be expired.")
            session["status"] = "expired"
        return 200, session

    def _create(self, parameters: dict[str, str]) -> tuple[int, dict[str, Any]]:
        price = "line_items[0][price_data]"
        amount, currency = int(parameters[f"{price}[unit_amount]"]), parameters[f"{price}[currency]"]
        lives_s = int(parameters["expires_at"]) - self.now_s
        if not LEAST_EXPIRES_S <= lives_s <= MOST_EXPIRES_S:
            return 400, _error("invalid_request_error", "The `expires_at` timestamp must be 30 minutes to 24 hours on.")
        if amount < 50 and currency == "usd":
            return 400, _error("invalid_request_error", "The total must be at least $0.50.", "amount_too_small")
        if not parameters["success_url"].startswith(("http://", "https://")):
            return 400, _error("invalid_request_error", "Not a valid URL", "url_invalid")
        id_ = f"cs_test_{len(self.sessions) + 1:04d}"
        metadata = {name[9:-1]: value for name, value in parameters.items() if name.startswith("metadata[")}
        session = {
            "id": id_,
            "object": "checkout.session",
            "status": "open",
            "payment_status": "unpaid",
            "payment_intent": None,
            "amount_total": amount,
            "currency": currency,
            "metadata": metadata,
            "client_reference_id": parameters.get("client_reference_id"),
            "url": f"{self.url}/pay/{id_}",
        }
        self.sessions[id_] = session
        return 200, session

    def _refund(self, parameters: dict[str, str]) -> tuple[int, dict[str, Any]]:
        intent = parameters["payment_intent"]
        if not any(each["payment_intent"] == intent for each in self.sessions.values()):
            return 404, _error("invalid_request_error", "No such payment_intent", "resource_missing")
        if intent in self.refunds:
            return 400, _error("invalid_request_error", "The charge has been refunded.", "charge_already_refunded")
        self.refunds[intent] = {
            "id": f"re_{intent}",
            "object": "refund",
            "status": "succeeded",
            "payment_intent": intent,
        }
        return 200, self.refunds[intent]


def _error(type_: str, message: str, code: str = "") -> dict[str, Any]:
    return {"error": {"type": type_, "message": message, **({"code": code} if code else {})}}
