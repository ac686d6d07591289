"""The pages of checkouts: one plain document, its style within it, no script and nothing from elsewhere. Pure."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlsplit

from gesta.workflows.payments.face import CheckoutPage, CheckoutStatus
from gesta.workflows.payments.money import printed

STYLE = """
:root{color-scheme:light dark;--ink:#14171f;--soft:#5d6473;--line:#dfe3ea;--page:#f4f5f8;--card:#fff;--go:#1f5eff;\
--on:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#eef0f5;--soft:#9aa3b5;--line:#2c3240;--page:#0f1117;--card:#181b24;\
--go:#6d95ff;--on:#0b1020}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.25rem;background:var(--page);color:var(--ink);\
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:26rem;background:var(--card);border:1px solid var(--line);border-radius:1rem;padding:2rem}
.note{display:inline-block;margin:0 0 1.25rem;padding:.2rem .6rem;border:1px solid var(--line);border-radius:1rem;\
color:var(--soft);font-size:.8rem}
h1{margin:0;font-size:1.1rem;font-weight:600;overflow-wrap:anywhere}
p.amount{margin:.35rem 0 1.25rem;color:var(--ink);font-size:2.25rem;line-height:1.2;font-weight:700;\
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
p{margin:0 0 1rem;color:var(--soft)}
form{display:grid;gap:.75rem;margin-top:1.5rem}
button,a.button{display:block;width:100%;padding:.85rem 1rem;border:1px solid var(--line);border-radius:.65rem;\
background:none;color:inherit;font:inherit;font-weight:600;text-align:center;text-decoration:none;cursor:pointer}
button.go{background:var(--go);border-color:var(--go);color:var(--on)}
button:focus-visible,a:focus-visible{outline:3px solid var(--go);outline-offset:2px}
small{color:var(--soft);overflow-wrap:anywhere}
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

_SAID = {
    CheckoutStatus.OPEN: ("To be paid", "This checkout is open."),
    CheckoutStatus.PROCESSING: ("On its way", "The payment is on its way. The execution begins when it has arrived."),
    CheckoutStatus.COMPLETE: ("Paid", "The payment is confirmed and the execution has begun. You may close this page."),
    CheckoutStatus.EXPIRED: ("Expired", "This checkout was not paid in time, or was cancelled. Nothing was charged."),
    CheckoutStatus.FAILED: ("Failed", "The payment failed. The execution did not begin."),
    CheckoutStatus.REFUNDED: ("Refunded", "What was paid here has been given back."),
}


def headers(*targets: str) -> dict[str, str]:
    """What every page is sent with. `targets` are where its form leads on to: a browser checks them too."""
    origins = " ".join(dict.fromkeys(["'self'", *(_origin(each) for each in targets if each)]))
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {origins}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex",
    }


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def checkout_html(page: CheckoutPage) -> str:
    """With its two buttons where there is something to press, or else how it stands."""
    amount = printed(page.amount, page.currency)
    head = f'<h1>{escape(page.title)}</h1>\n<p class="amount">{escape(amount)}</p>'
    if not page.token:
        word, said = _SAID[page.status]
        links = "".join(
            f'<form><a class="button" href="{escape(address)}">{label}</a></form>' for address, label in _ways_on(page)
        )
        return _document(word, f'<span class="note">{word}</span>\n{head}\n<p>{said}</p>\n{links}')
    body = f"""<span class="note">Test checkout: no money is charged</span>
{head}
<p>To be paid until {escape(_minute(page.expires_at_us))}.</p>
<form method="post" action="/pay/test/{escape(page.id)}">
<input type="hidden" name="token" value="{escape(page.token)}">
<button class="go" name="action" value="pay">Pay {escape(amount)}</button>
<button name="action" value="cancel">Cancel</button>
</form>"""
    return _document("Pay", body)


def _ways_on(page: CheckoutPage) -> list[tuple[str, str]]:
    if page.status is CheckoutStatus.COMPLETE and page.success_url:
        return [(page.success_url, "Continue")]
    if page.status in (CheckoutStatus.EXPIRED, CheckoutStatus.FAILED) and page.cancel_url:
        return [(page.cancel_url, "Back")]
    return []


def error_html(title: str, message: str, request_id: str) -> str:
    number = f"<p><small>Request {escape(request_id)}</small></p>" if request_id else ""
    return _document(title, f"<h1>{escape(title)}</h1>\n<p>{escape(message)}</p>\n{number}")


def _document(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · Gesta</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _minute(at_us: int) -> str:
    """A moment as people read it, no later than it is."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
