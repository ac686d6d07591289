"""Which providers the settings set up."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gesta.kernel.errors import InvalidInput
from gesta.workflows.payments.providers import providers_of, warn
from gesta.workflows.payments.settings import PaymentSettings

STRIPE = {"stripe_api_key": "sk_test_a", "stripe_webhook_secret": "whsec_a"}


async def key(purpose: str) -> bytes:
    return purpose.encode()


@pytest.mark.parametrize(
    ("given", "names", "default"),
    [
        ({}, [], ""),
        ({"test": True}, ["test"], "test"),
        (STRIPE, ["stripe"], "stripe"),
        ({**STRIPE, "test": True}, ["stripe", "test"], "stripe"),
        ({**STRIPE, "test": True, "provider": "test"}, ["stripe", "test"], "test"),
    ],
)
async def test_what_is_asked_for_is_set_up(given: dict[str, object], names: list[str], default: str) -> None:
    providers = providers_of(PaymentSettings(**given), key=key, own_url="http://127.0.0.1:1")  # type: ignore[arg-type]
    assert (sorted(providers.by_name), providers.default) == (names, default)
    await providers.close()


@pytest.mark.parametrize(
    "given",
    [
        {"provider": "test"},
        {"provider": "stripe"},
        {"provider": "else"},
        {"stripe_api_key": "sk_test_a"},
        {"stripe_webhook_secret": "whsec_a"},
        {**STRIPE, "stripe_api_key": "sk_live_a", "test": True},
        {**STRIPE, "stripe_api_key": "rk_live_a", "test": True, "provider": "stripe"},
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        providers_of(PaymentSettings(**given), key=key, own_url="http://127.0.0.1:1")  # type: ignore[arg-type]


def test_the_test_provider_is_told_of_in_the_log() -> None:
    with capture_logs() as lines:
        warn(PaymentSettings())
        warn(PaymentSettings(test=True))
    assert [(line["event"], line["log_level"]) for line in lines] == [("payments.test_provider", "warning")]


def test_no_key_is_shown() -> None:
    shown = repr(PaymentSettings(**STRIPE))  # type: ignore[arg-type]
    assert "sk_test_a" not in shown
    assert "whsec_a" not in shown
