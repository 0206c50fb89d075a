"""Many events at once on the page: the dry run, the password, and what became of each."""

import json
from typing import Any

import httpx
import pytest

from supatoss.store.client import Function
from supatoss.store.events import EventOutcome
from tests.unit.ops.office import ADDRESS, EVENT_ID, PASSWORD, Office, stored_event

pytestmark = pytest.mark.anyio

BULK = "/ops/events/bulk"
BATCH_ID = "6f6e6c79-0000-4000-8000-000000000007"
BATCH = f"{BULK}/{BATCH_ID}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def office() -> Office:
    office = Office()
    await office.sign_in()
    office.store.answers |= {Function.OPEN_BATCH: None, Function.NOTE_BATCH: None}
    office.store.answers[Function.READ_BATCH] = office.store.answers[Function.CLAIM_BATCH] = batch()
    return office


def batch(**changes: Any) -> dict[str, Any]:
    """supatoss_read_batch_v1's answer."""
    facts = {"event_type": "PAYMENT_STATUS_CHANGED", "order_id": "order-0001", "amount": "9900", "currency": "KRW"}
    outcome = {"event": EVENT_ID, "outcome": "replayed", "status": "processed", "reason": None}
    return {
        "id": BATCH_ID,
        "created_at": "2026-11-25T03:30:00+00:00",
        "actor": "anna",
        "action": "replay",
        "chosen": {"status": "failed"},
        "dry_run": [facts | {"status_before": "failed"} | outcome],
        "has_more": False,
        "confirmed_at": None,
        "confirmed_by": None,
        "reason": None,
        "outcomes": [],
        "finished_at": None,
        "is_leased": False,
        **changes,
    }


def finished(outcome: str, status: str | None, reason: str | None, **changes: Any) -> dict[str, Any]:
    done = {"event": EVENT_ID, "outcome": outcome, "status": status, "reason": reason}
    at = "2026-11-25T03:31:00+00:00"
    return batch(outcomes=[done], confirmed_at=at, finished_at=at, confirmed_by="bert", **changes)


def opened(office: Office) -> dict[str, Any]:
    """What the database was asked to keep."""
    (found,) = [arguments for function, arguments in office.store.asked if function is Function.OPEN_BATCH]
    return dict(json.loads(found["batch"]))


async def post(office: Office, path: str, **fields: Any) -> httpx.Response:
    return await office.post(path, **fields)


async def test_the_list_offers_to_tick_what_is_open(office: Office) -> None:
    text = (await office.get("/ops/events?status=failed&q=order-0001")).text
    assert f'name="id" value="{EVENT_ID}"' in text
    assert '<input type="hidden" name="q" value="order-0001">' in text
    office.store.events = (stored_event(status="processed", reason=None),)
    text = (await office.get("/ops/events")).text
    assert 'name="id"' not in text
    assert 'name="scope"' not in text


async def test_ticked_events_are_tried_and_kept(office: Office) -> None:
    response = await post(office, BULK, action="replay", scope="ticked", id=EVENT_ID, status="failed")
    assert response.status_code == 303
    kept = opened(office)
    assert response.headers["location"] == f"{BULK}/{kept['id']}"
    assert office.store.did == [("dry_run", "operator")]
    assert (kept["event_ids"], kept["chosen"], kept["has_more"]) == ([EVENT_ID], {}, False)
    assert kept["dry_run"][0]["status"] == "processed"


@pytest.mark.parametrize(
    ("fields", "statuses"),
    [({}, ("failed", "pending")), ({"status": "failed"}, ("failed",)), ({"status": "pending"}, ("pending",))],
)
async def test_all_that_the_filter_shows_are_its_open_events(
    office: Office, fields: dict[str, str], statuses: tuple[str, ...]
) -> None:
    office.store.events = (stored_event(status=statuses[0]),)
    await post(office, BULK, action="ignore", scope="all", q="₩9,900", reason="amount_mismatch", **fields)
    wanted, _ = office.store.searched[-1]
    assert (tuple(wanted.statuses), tuple(wanted.reasons)) == (statuses, ("amount_mismatch",))
    assert wanted.search
    assert wanted.search.amount == "9900"
    assert opened(office)["chosen"] == {"q": "₩9,900", "reason": "amount_mismatch", **fields}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scope": "ticked"}, "Select at least one event"),
        ({"scope": "all", "status": "processed"}, "No failed or pending event matches"),
        ({"scope": "all", "status": "failed", "none": "x"}, "No failed or pending event matches"),
        ({"scope": "all", "from": "soon"}, "Enter times like"),
    ],
)
async def test_nothing_to_do_is_said_on_the_list(office: Office, fields: dict[str, str], said: str) -> None:
    if fields.pop("none", ""):
        office.store.events = ()
    response = await post(office, BULK, action="replay", **fields)
    assert response.status_code == 303
    office.store.events = (stored_event(),)
    assert said in (await office.get(response.headers["location"])).text


@pytest.mark.parametrize("fields", [{"action": "delete"}, {}, {"action": "replay", "scope": "ticked", "id": "no-id"}])
async def test_what_no_form_of_ours_sends_is_refused(office: Office, fields: dict[str, str]) -> None:
    assert (await post(office, BULK, **fields)).status_code == 403
    assert (await office.ask("POST", BULK, data={"action": "replay", "scope": "all", "csrf": "0"})).status_code == 403
    assert office.store.did == []


async def test_the_dry_run_is_shown_before_the_password(office: Office) -> None:
    text = (await office.get(BATCH)).text
    assert "Dry run: nothing was changed." in text
    assert "Replay 1 events" in text
    assert 'href="/ops/events?status=failed"' in text
    assert "order-0001" in text
    assert "₩9,900" in text


async def test_more_than_a_batch_takes_is_said(office: Office) -> None:
    office.store.answers[Function.READ_BATCH] = batch(has_more=True)
    assert "More than 500 events match" in (await office.get(BATCH)).text


async def test_confirming_needs_the_password_again(office: Office) -> None:
    office.store.sessions.age(11 * 60)
    response = await post(office, f"{BATCH}/apply")
    assert (response.status_code, 'id="password-again"' in response.text) == (403, True)
    assert (await post(office, f"{BATCH}/apply", password="wrong")).status_code == 403
    assert [function for function, _ in office.store.asked if function is Function.CLAIM_BATCH] == []
    response = await post(office, f"{BATCH}/apply", password=PASSWORD)
    assert (response.status_code, response.headers["location"]) == (303, BATCH)
    assert office.store.did == [("replay", "operator")]
    assert office.store.who == [("operator", ADDRESS)]


async def test_ignoring_many_needs_a_reason(office: Office) -> None:
    office.store.answers[Function.READ_BATCH] = office.store.answers[Function.CLAIM_BATCH] = batch(action="ignore")
    response = await post(office, f"{BATCH}/apply", reason=" ")
    assert (response.status_code, "Enter a reason of 1 to 500 characters." in response.text) == (422, True)
    office.store.answers[Function.CLAIM_BATCH] = batch(action="ignore", reason="a test")
    assert (await post(office, f"{BATCH}/apply", reason="a test")).status_code == 303
    assert office.store.did == [("ignore", "a test")]


async def test_one_that_is_done_shows_what_became_of_each(office: Office) -> None:
    office.store.answers[Function.CLAIM_BATCH] = None
    assert (await post(office, f"{BATCH}/apply")).status_code == 303
    assert office.store.did == []
    for outcome, said in (
        (("replayed", "failed", "amount_mismatch"), "Amount mismatch"),
        (("refused", "processed", "status_not_asked_for"), "Already finished"),
        (("in_hand", "pending", "check_deposit"), "A worker is processing this event"),
        (("missing", None, None), "The event no longer exists"),
    ):
        office.store.answers[Function.READ_BATCH] = finished(*outcome)
        text = (await office.get(BATCH)).text
        assert said in text
        assert "Finished." in text
        assert "bert" in text
        assert f'action="{BATCH}/apply"' not in text


async def test_one_that_runs_refreshes_itself_and_an_interrupted_one_can_go_on(office: Office) -> None:
    at = "2026-11-25T03:31:00+00:00"
    office.store.answers[Function.READ_BATCH] = batch(confirmed_at=at, confirmed_by="bert", is_leased=True)
    text = (await office.get(BATCH)).text
    assert "data-live" in text
    assert "not done yet" in text
    assert f'action="{BATCH}/apply"' not in text
    office.store.answers[Function.READ_BATCH] = batch(
        confirmed_at=at, confirmed_by="bert", action="ignore", reason="why"
    )
    text = (await office.get(BATCH)).text
    assert "Interrupted" in text
    assert f'action="{BATCH}/apply"' in text
    assert 'name="reason"' not in text


async def test_the_worker_is_told_of_what_waits_for_it(office: Office) -> None:
    office.store.answers[Function.READ_BATCH] = finished("replayed", "pending", "check_deposit")
    office.store.outcome = EventOutcome(EVENT_ID, "replayed", "pending", "check_deposit")
    await post(office, f"{BATCH}/apply")
    assert office.woken == 1


async def test_a_batch_that_is_not_there_is_no_page(office: Office) -> None:
    office.store.answers[Function.READ_BATCH] = None
    assert (await office.get(BATCH)).status_code == 404
    assert (await office.get(f"{BULK}/x")).status_code == 404
    assert (await post(office, f"{BATCH}/apply")).status_code == 404
