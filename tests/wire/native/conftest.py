"""Fixtures of the native dialect's tests."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gesta.apis.common.services import Limits
from gesta.apis.native.openapi import EXAMPLE_EXECUTOR, EXAMPLE_FILL, EXAMPLE_RUN
from tests.wire.native.house import MINE, House


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
async def house(limits: Limits) -> AsyncIterator[House]:
    made = House(limits)
    yield made
    await made.app.state.close()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(house.app)
    headers = {"Authorization": f"Bearer {MINE}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=headers) as made:
        yield made


@pytest.fixture
def fill() -> dict[str, Any]:
    return copy.deepcopy(EXAMPLE_FILL)


@pytest.fixture
def executor() -> dict[str, Any]:
    return copy.deepcopy(EXAMPLE_EXECUTOR)


@pytest.fixture
def run() -> dict[str, Any]:
    return copy.deepcopy(EXAMPLE_RUN)
