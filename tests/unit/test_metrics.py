"""GET /metrics on the service's own port: for whoever has the token, and nobody else."""

from collections.abc import Mapping

import httpx
import pytest

from supatoss.app import create_app
from supatoss.errors import ConfigurationError
from supatoss.settings import Settings
from tests.support import SECRET_KEY

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-twenty-chars"
BASE = {
    "supabase_url": "http://127.0.0.1:1",
    "SUPABASE_SECRET_KEY": "sb_secret_for_metrics",
    "toss_secret_key": SECRET_KEY,
}


async def get(headers: Mapping[str, str], token: str | None = TOKEN) -> httpx.Response:
    app = create_app(Settings.load(**BASE, metrics_token=token))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        return await client.get("/metrics", headers=headers)


async def test_the_token_opens_them() -> None:
    answer = await get({"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert "# TYPE supatoss_deliveries_total counter" in answer.text
    assert "# TYPE supatoss_oldest_waiting_seconds gauge" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": TOKEN},
        {"authorization": f"Basic {TOKEN}"},
    ],
)
async def test_nothing_else_does(headers: dict[str, str]) -> None:
    answer = await get(headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "supatoss_" not in answer.text


@pytest.mark.parametrize("token", [None, "", "  "])
async def test_without_a_token_they_are_not_there(token: str | None) -> None:
    assert (await get({"authorization": "Bearer "}, token)).status_code == 404


async def test_a_short_token_stops_the_start_and_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(**BASE, metrics_token="short-and-hidden"[:15])
    assert caught.value.problems == ["METRICS_TOKEN should have at least 16 characters."]
