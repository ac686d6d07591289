"""What the page of docs shows is read as it says."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

from gesta.workflows.forms.reading import read_definition
from gesta.workflows.payments.settings import PaymentSettings

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "payments.md"


def test_the_workflow_of_the_page() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    price = read_definition(text).price
    assert price is not None
    assert (price.amount, price.currency) == (Decimal("4.50"), "USD")


def test_the_settings_of_the_page() -> None:
    text = PAGE.read_text("utf-8")
    named = set(re.findall(r"^(\w+) = ", text, re.MULTILINE)) | {"expires_s", "stripe_tolerance_s"}
    assert named <= set(PaymentSettings.__struct_fields__)
