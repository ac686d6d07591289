"""Pages of other origins read what is public, and nothing else."""

from __future__ import annotations

import pytest

from tests.wire.b3os.test_streams import opened, waiting
from tests.wire.b3os.workflow_house import House

ORIGIN = "https://shop.example"
ASKING = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,traceparent",
}


@pytest.fixture
def house() -> House:
    return House()


async def test_a_page_creates_and_reads_with_its_token(house: House) -> None:
    workflow = await house.workflow(visibility="public_execute")
    async with house.client(None) as page:
        url = f"/v1/public/workflows/{workflow}/executions"
        asked = await page.options(url, headers=ASKING)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "*")
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert "traceparent" in asked.headers["access-control-allow-headers"]
        body = {"sourceSystem": "page", "sourceEntityType": "button"}
        made = await page.post(url, json=body, headers={"Origin": ORIGIN})
        assert (made.status_code, made.headers["access-control-allow-origin"]) == (200, "*")
        data = made.json()["data"]
        for token, status in ((data["clientToken"], 200), ("wrong", 401)):
            target = f"/v1/public/executions/{data['execution']['id']}?token={token}"
            read = await page.get(target, headers={"Origin": ORIGIN})
            assert (read.status_code, read.headers["access-control-allow-origin"]) == (status, "*")
            assert "access-control-allow-credentials" not in read.headers


async def test_a_page_follows_a_stream(house: House) -> None:
    id, token = await waiting(house)
    async with opened(house, f"/v1/public/executions/{id}/stream?token={token}", origin=ORIGIN) as stream:
        await stream.at_least(1)
        assert stream.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/v1/executions", "/v1/runs", "/v1/workflows", "/v1/activity/stream"])
async def test_what_needs_an_api_key_is_for_no_page(house: House, path: str) -> None:
    async with house.client(None) as page:
        asked = await page.options(path, headers=ASKING | {"Access-Control-Request-Method": "GET"})
        assert asked.status_code == 405
        read = await page.get(path, headers={"Origin": ORIGIN})
        for answer in (asked, read):
            assert "access-control-allow-origin" not in answer.headers
