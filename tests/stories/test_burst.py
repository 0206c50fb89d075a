"""A burst of payments against Toss's limit of 100 calls a minute: every delivery gets through in the end."""

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from scripts.local_stack import LocalSupabase
from tests.stories.conftest import World, run_world

PAYMENTS = 240
LIMIT_PER_MINUTE = 100
MINUTE_SECONDS = "0.75"
"""Re-sends then come after 0.75, 3.75, 15.75, 64, 256 and 1024 s: eighty get through at once, after 64 and
256 s: the rest of the hundred is the worker's and reconciliation's."""

END_SECONDS = 400


@pytest.fixture
def limited(lite: LocalSupabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("burst")
    yield from run_world(lite, folder, requests_per_minute=LIMIT_PER_MINUTE, minute_seconds=MINUTE_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(END_SECONDS + 60)
def test_as_many_unsigned_deliveries_at_a_hundred_calls_a_minute(limited: World) -> None:
    for number in range(PAYMENTS):
        limited.pay(f"burst-{number:06d}")
    limited.until(
        lambda: all(delivery["state"] != "sending" for delivery in limited.deliveries()),
        seconds=END_SECONDS,
        every=2.0,
    )
    deliveries = limited.deliveries()
    assert Counter(delivery["state"] for delivery in deliveries) == {"success": PAYMENTS}
    answers = Counter(attempt["status"] for delivery in deliveries for attempt in delivery["attempts"])
    assert answers.keys() <= {200, 503}
    assert answers[200] == PAYMENTS
    rows = limited.rows("payments?order_id=like.burst-*&select=payment_status")
    assert Counter(row["payment_status"] for row in rows) == {"DONE": PAYMENTS}
    calls = limited.http.get(f"{limited.emulator_url}/emulator/calls", params={"path_prefix": "/v1/payments/"})
    statuses = Counter(call["status"] for call in calls.json()["calls"])
    assert httpx.codes.INTERNAL_SERVER_ERROR not in answers
    print(  # noqa: T201 - the figures, for whoever runs it with -s
        f"answers {dict(answers)}, calls of Toss {dict(statuses)}"
    )
