"""The providers that the settings ask for."""

from __future__ import annotations

import msgspec
import structlog

from gesta.kernel.errors import InvalidInput
from gesta.workflows.payments import stripe_provider, test_provider
from gesta.workflows.payments.face import Provider
from gesta.workflows.payments.settings import PaymentSettings
from gesta.workflows.payments.stripe_provider import StripeProvider
from gesta.workflows.payments.test_provider import BuiltInProvider, Key

# Stripe's keys of live mode: https://docs.stripe.com/keys
_LIVE = ("sk_live_", "rk_live_")

log = structlog.get_logger("gesta.payments")


class Providers(msgspec.Struct, frozen=True, kw_only=True):
    """`default` is the one that checkouts are opened with, "" where the server takes no payments."""

    by_name: dict[str, Provider]
    default: str

    async def close(self) -> None:
        for provider in self.by_name.values():
            if isinstance(provider, StripeProvider):
                await provider.close()


def warn(settings: PaymentSettings) -> None:
    """Say in the log what a server that is no demonstration had better not have by accident."""
    if settings.test:
        log.warning("payments.test_provider", message="Payments are only played: anybody may press the button.")


def providers_of(settings: PaymentSettings, *, key: Key, own_url: str) -> Providers:
    """`key` is `Access.derived_key`; `own_url` is where this server answers, for want of a `public_url`. Raises
    InvalidInput for settings that do not fit together."""
    public_url = (settings.public_url or own_url).rstrip("/")
    by_name: dict[str, Provider] = {}
    if settings.stripe_api_key or settings.stripe_webhook_secret:
        by_name[stripe_provider.NAME] = StripeProvider(
            api_key=settings.stripe_api_key,
            webhook_secret=settings.stripe_webhook_secret,
            return_url=f"{public_url}/pay/checkouts/{{checkout}}",
            api_base=settings.stripe_api_base,
            tolerance_s=settings.stripe_tolerance_s,
            timeout_s=settings.stripe_timeout_s,
        )
    if settings.test:
        if settings.stripe_api_key.startswith(_LIVE):
            raise InvalidInput(
                "workflows.payments.test is on beside a live key of Stripe: with real money, nothing is paid in play. "
                "Set `test = false`, or a key that begins with sk_test_.",
                field="workflows.payments.test",
            )
        by_name[test_provider.NAME] = BuiltInProvider(key=key, public_url=public_url)
    default = settings.provider or next(iter(by_name), "")
    if default and default not in by_name:
        raise InvalidInput(
            f"workflows.payments.provider is `{default}`, which is not set up: "
            "`stripe` needs its key and signing secret, `test` needs `test = true`.",
            field="workflows.payments.provider",
        )
    return Providers(by_name=by_name, default=default)
