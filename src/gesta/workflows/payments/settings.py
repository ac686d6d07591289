"""The settings of payments."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class PaymentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Workflows that cost something. Without a provider, such a workflow cannot be started."""

    test: Annotated[
        bool,
        Meta(description="The built-in test provider: a page with one button that pays nothing. Never in production."),
    ] = False
    provider: Annotated[
        str, Meta(description="`stripe` or `test`; empty takes Stripe where it has a key, or else the test provider.")
    ] = ""
    public_url: Annotated[
        str,
        Meta(description="Where payers reach this server, such as `https://runs.example.com`. Empty: its own address."),
    ] = ""
    expires_s: Annotated[
        int, Meta(ge=300, le=79_200, description="How long a checkout may be paid; then the execution is cancelled.")
    ] = 1800
    stripe_api_key: Annotated[str, Meta(description="Stripe's secret key (`sk_…`); a restricted key will do.")] = ""
    stripe_webhook_secret: Annotated[
        str, Meta(description="The signing secret (`whsec_…`) of the endpoint `/pay/callbacks/stripe`.")
    ] = ""
    stripe_api_base: Annotated[str, Meta(description="Where Stripe's API is; empty is Stripe's own address.")] = ""
    stripe_tolerance_s: Annotated[
        int, Meta(ge=1, le=3600, description="A callback of Stripe that was signed longer ago is refused.")
    ] = 300
    stripe_timeout_s: Annotated[float, Meta(gt=0, le=120, description="How long Stripe may take for an answer.")] = 15.0

    def __repr__(self) -> str:
        """Without the keys, so that no log or traceback shows them."""
        return f"PaymentSettings(test={self.test}, provider={self.provider!r}, public_url={self.public_url!r})"
