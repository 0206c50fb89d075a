import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from supatoss.alerts.rules import Rule
from supatoss.errors import StoreUnavailable
from supatoss.ops.i18n import CATALOGUES, Language
from supatoss.ops.listings import LISTINGS
from supatoss.ops.routes import HEADERS
from supatoss.store.client import Function
from supatoss.store.events import Action, Cursor, EventOutcome, Search
from tests.unit.fakes import LogLines
from tests.unit.ops.office import ADDRESS, AT, EVENT_ID, SECRET, Office, stored_event

pytestmark = pytest.mark.anyio

TEMPLATES = Path(__file__).parents[3] / "service" / "supatoss" / "ops" / "templates"
EVENT = f"/ops/events/{EVENT_ID}"


@pytest.fixture
async def office() -> Office:
    signed_in = Office()
    await signed_in.sign_in()
    return signed_in


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ops/", 200),
        ("/ops/events", 200),
        ("/ops/events?status=lost", 400),
        (EVENT, 200),
        ("/ops/payment?order=nobody-knows", 404),
        *((f"/ops/{listing.name}", 200) for listing in LISTINGS),
        ("/ops/payments.csv", 200),
        ("/ops/health", 200),
        ("/ops/reconciliations", 200),
        ("/ops/reconciliations?day=2026-11-24", 200),
        ("/ops/reconciliations?day=24", 404),
        ("/ops/nowhere", 404),
        ("/ops/static/ops.css", 200),
        ("/ops/static/nowhere.css", 404),
        ("/ops/sign-in", 303),
    ],
)
async def test_every_answer_has_the_security_headers(office: Office, path: str, status: int) -> None:
    response = await office.get(path)
    assert response.status_code == status
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert response.headers["cache-control"] == ("no-cache" if "/static/" in path else "no-store")


async def test_the_policy_allows_no_inline_script_or_style_and_no_other_host() -> None:
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert re.findall(r"'(\w+)'", policy).count("none") == 3
    assert "http" not in policy


@pytest.mark.parametrize("template", sorted(path.name for path in TEMPLATES.glob("*.html")))
def test_templates_hold_no_inline_script_or_style(template: str) -> None:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|<script(?![^>]*\ssrc=)", text)
    assert "| safe" not in text


async def test_what_data_hold_is_text_and_never_markup(office: Office) -> None:
    office.store.events = (
        stored_event(event_type="<script>alert(1)</script>", order_id='"><img src=x>', last_error="<b>bold</b>"),
    )
    for path in ("/ops/events", EVENT):
        text = (await office.get(path)).text
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "<b>bold" not in text


async def test_files_with_their_digest_in_the_url_may_be_cached(office: Office) -> None:
    page = await office.get("/ops/")
    addresses = re.findall(r'(?:src|href)="(/ops/static/[^"]+)"', page.text)
    assert len(addresses) == 6
    for address in addresses:
        response = await office.get(address)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]


@pytest.mark.parametrize(
    "path", ["/ops/static/../visits.py", "/ops/static/%2e%2e/visits.py", "/ops/static/..%2fvisits.py"]
)
async def test_only_static_files_are_served(office: Office, path: str) -> None:
    assert (await office.get(path)).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        *("/ops/", "/ops/events", EVENT, "/ops/payment?order=order-0001", "/ops/reconciliations", "/ops/health"),
        *(f"/ops/{listing.name}" for listing in LISTINGS),
    ],
)
async def test_a_store_that_is_away_is_said_calmly(office: Office, path: str) -> None:
    office.store.trouble = StoreUnavailable("the database is busy or unavailable: SQLSTATE 57P01")
    response = await office.get(path, headers={"accept-language": "ko"})
    assert (response.status_code, response.headers["retry-after"]) == (503, "10")
    assert "데이터베이스가 응답하지 않습니다" in response.text
    assert "57P01" in response.text


async def test_a_defect_is_logged_without_what_it_was_about(office: Office) -> None:
    lines = LogLines()
    office.store.trouble = RuntimeError(f"something about {SECRET}")
    response = await office.get(EVENT)
    assert response.status_code == 500
    text = lines.text()
    assert SECRET not in response.text + text
    assert json.loads(text)["event"] == "page failed"


@pytest.mark.parametrize(
    ("accepted", "language", "title"),
    [("ko-KR,ko;q=0.9", "ko", "이벤트"), ("en", "en", "Events"), ("", "en", "Events")],
)
async def test_the_language_is_the_browsers(office: Office, accepted: str, language: str, title: str) -> None:
    text = (await office.get("/ops/events", headers={"accept-language": accepted})).text
    assert f'<html lang="{language}">' in text
    assert f"<h1>{title}</h1>" in text


async def test_the_switch_of_languages_is_remembered_and_comes_back_to_the_page(office: Office) -> None:
    response = await office.post("/ops/language", language="ko", next="/ops/events?status=failed")
    assert response.headers["location"] == "/ops/events?status=failed"
    assert '<html lang="ko">' in (await office.get("/ops/events", headers={"accept-language": "en"})).text


async def test_an_unknown_language_changes_nothing(office: Office) -> None:
    await office.post("/ops/language", language="<script>", next="/ops/")
    assert '<html lang="en">' in (await office.get("/ops/")).text


async def test_an_event_shows_no_secret(office: Office) -> None:
    text = (await office.get(EVENT)).text
    assert SECRET not in text
    assert "[masked]" in text
    assert "₩990" in text


async def test_an_emptied_payload_is_said(office: Office) -> None:
    office.store.events = (stored_event(payload="{}"),)
    assert "removed after its retention period" in (await office.get(EVENT)).text


async def test_an_event_says_who_did_what_to_it(office: Office) -> None:
    action = Action(AT, "kim@desk", "ignore", "테스트 주문이라 무시함", "failed", "ignored", "198.51.100.9")
    office.store.events = (stored_event(status="ignored", reason="operator", actions=(action,)),)
    text = (await office.get(EVENT)).text
    assert "kim@desk · 198.51.100.9" in text
    assert "테스트 주문이라 무시함" in text
    assert "/replay" not in text


async def test_an_event_that_is_not_there_is_not_found(office: Office) -> None:
    office.store.events = ()
    assert (await office.get(EVENT)).status_code == 404
    assert (await office.get("/ops/events/not-an-id")).status_code == 404


async def test_what_no_key_has_is_looked_for_in_amounts_and_names(office: Office) -> None:
    office.store.events = ()
    response = await office.get("/ops/events?q=tpay0001&status=failed")
    assert [wanted.search for wanted, _ in office.store.searched] == [
        Search("tpay0001", "key"),
        Search("tpay0001", "content"),
    ]
    assert "No results" in response.text
    assert "Searched for “tpay0001” in order ids" in response.text
    assert "Other conditions: Failed" in response.text
    assert 'href="/ops/events?q=tpay0001"' in response.text


async def test_the_beginning_of_an_id_opens_the_event_and_htmx_loads_it_whole(office: Office) -> None:
    path = f"/ops/events?q={EVENT_ID[:8].upper()}"
    assert (await office.get(path)).headers["location"] == EVENT
    answer = await office.get(path, headers={"hx-request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"], answer.text) == (200, EVENT, "")
    office.store.events = (stored_event(order_id=f"order-{EVENT_ID[:8]}"),)
    assert (await office.get(f"/ops/events?q={EVENT_ID[:8]}")).status_code == 200
    office.store.events = (stored_event(), stored_event(id=EVENT_ID[:-1] + "2"))
    assert (await office.get(path)).status_code == 200


async def test_a_search_for_an_id_opens_the_event(office: Office) -> None:
    assert (await office.get(f"/ops/events?q={EVENT_ID}")).headers["location"] == EVENT


async def test_the_next_page_keeps_the_filter(office: Office) -> None:
    office.store.next = Cursor(AT, EVENT_ID)
    text = (await office.get("/ops/events?status=failed&from=2026-11-01T00:00")).text
    found = re.search(r'rel="next" href="([^"]+)"', text)
    assert found
    await office.get(found[1].replace("&amp;", "&"))
    wanted, after = office.store.searched[-1]
    assert (wanted.statuses, after) == (("failed",), Cursor(AT, EVENT_ID))
    assert wanted.created_from == dt.datetime(2026, 10, 31, 15, 0, tzinfo=dt.UTC)


async def test_an_empty_inbox_says_what_to_do(office: Office) -> None:
    office.store.events = ()
    assert "supatoss trigger" in (await office.get("/ops/events")).text
    assert "supatoss trigger" in (await office.get("/ops/")).text


@pytest.mark.parametrize(
    ("outcome", "title", "text"),
    [
        (("replayed", "processed", None), "Replayed", "Status: Processed."),
        (("replayed", "pending", "check_deposit"), "Replayed", "The worker looks it up at Toss"),
        (("replayed", "failed", "amount_mismatch"), "Replayed", "Status: Failed. Amount mismatch"),
        (("unchanged", "processed", None), "already applied", ""),
        (("in_hand", "pending", None), "A worker is processing this event", "Check again in a few minutes"),
        (("changed", "processed", None), "The event has changed in the meantime", "decide again"),
        (("missing", None, None), "no longer exists", ""),
        (("refused", "failed", "payload_emptied"), "cannot be replayed", "removed after its retention period"),
    ],
)
async def test_a_replay_shows_its_outcome_once(
    office: Office, outcome: tuple[str, str | None, str | None], title: str, text: str
) -> None:
    office.store.outcome = EventOutcome(EVENT_ID, *outcome)
    response = await office.post(f"{EVENT}/replay", mode="apply")
    assert (response.status_code, response.headers["location"]) == (303, EVENT)
    page = _notice(await office.get(EVENT))
    assert title in page
    assert text in page
    assert _notice(await office.get(EVENT)) == ""
    assert office.woken == (1 if outcome[1] == "pending" and outcome[0] == "replayed" else 0)


async def test_a_dry_run_changes_nothing(office: Office) -> None:
    await office.post(f"{EVENT}/replay", mode="dry_run")
    assert office.store.did == [("dry_run", "operator")]
    assert office.store.who == [("operator", ADDRESS)]
    assert "Dry run: nothing was changed" in _notice(await office.get(EVENT))


async def test_a_replay_without_a_mode_is_a_dry_run(office: Office) -> None:
    await office.post(f"{EVENT}/replay")
    assert office.store.did == [("dry_run", "operator")]


@pytest.mark.parametrize("reason", ["", "   ", "\r\n", "가" * 501])
async def test_ignoring_needs_a_reason(office: Office, reason: str) -> None:
    response = await office.post(f"{EVENT}/ignore", reason=reason)
    assert response.status_code == 422
    assert "Enter a reason of 1 to 500 characters." in response.text
    assert office.store.did == []


async def test_ignoring_keeps_the_reason(office: Office) -> None:
    reason = "줄이 나뉜\r\n이유 " + "가" * 480
    await office.post(f"{EVENT}/ignore", reason=reason)
    assert office.store.did == [("ignore", reason.replace("\r\n", "\n"))]
    assert "Ignored" in _notice(await office.get(EVENT))


async def test_the_overview_shows_the_counts_of_the_database(office: Office) -> None:
    answer: dict[str, Any] = office.store.answers[Function.OPS_OVERVIEW]
    answer["hours"] = [
        {"hour": "2026-11-25T03:00:00+00:00", "status": "processed", "events": 1200, "deliveries": 1300},
        {"hour": "2026-11-25T03:00:00+00:00", "status": "failed", "events": 2, "deliveries": 2},
    ]
    answer["failed"] = {"events": 1000, "oldest": None, "reasons": [{"reason": "double_charge", "events": 1000}]}
    answer["pending"] = {"events": 3, "oldest": "2026-11-25T02:00:00+00:00"}
    text = re.sub(r"\s+", " ", (await office.get("/ops/")).text)
    assert ">1,000+</a>" in text
    assert "Oldest: 90 min" in text
    assert '<dt>Events</dt> <dd><a href="/ops/events?from=2026-11-24T13%3A00">1,202</a></dd>' in text
    assert "<dt>Duplicate deliveries</dt> <dd>100</dd>" in text
    assert re.search(
        r'data-label="11-25 12:00" data-href="/ops/events\?from=2026-11-25T12%3A00&amp;until=2026-11-25T13%3A00"'
        r' data-processed="1200" data-ignored="0" data-pending="0" data-failed="2"',
        text,
    )
    assert len(re.findall("<tr data-time=", text)) == 24


@pytest.mark.parametrize("hours", ["", "1", "-1", "٢٤", "168x", "9" * 50])
async def test_an_unknown_period_is_a_day(office: Office, hours: str) -> None:
    assert 'aria-current="true">Last 24 hours' in (await office.get("/ops/", params={"hours": hours})).text


def _notice(page: httpx.Response) -> str:
    found = re.search(r'<div class="notice .*?</div>', page.text, re.DOTALL)
    return found[0] if found else ""


@pytest.mark.parametrize("rule", Rule)
async def test_open_alerts_are_named_and_lead_to_what_they_are_about(office: Office, rule: Rule) -> None:
    alert = {"rule": rule.value, "subject": "order-1<b>", "started_at": AT}
    office.store.answers[Function.OPS_OVERVIEW]["alerts"] = [alert]
    for language in Language:
        page = (await office.get("/ops/", headers={"accept-language": language.value})).text
        assert "order-1&lt;b&gt;" in page
        name = CATALOGUES[language][f"rule.{rule.value}"]
        (link,) = re.findall(rf'<a href="(/ops/[^"]*)">{re.escape(name)}</a>', page)
        assert (await office.get(link.replace("&amp;", "&"))).status_code in (200, 404)
        if rule in (Rule.DOUBLE_CHARGE, Rule.REFUND_FAILED):
            assert link == "/ops/payment?order=order-1%3Cb%3E"


async def test_without_open_alerts_nothing_is_said_of_them(office: Office) -> None:
    assert "alerts-title" not in (await office.get("/ops/")).text


FINDING: dict[str, Any] = {
    "id": "5e9f2d5a-0000-4000-8000-000000000009",
    "scope": "payments",
    "subject": "pay-1",
    "kind": "status",
    "day": "2026-11-24",
    "payment_key": "pay-1",
    "order_id": "order-0001",
    "transaction_key": None,
    "ours": {"status": "PENDING", "amount": "9900", "approved_at": None, "balance": "12.34", "currency": "USD"},
    "theirs": {
        "status": "<b>DONE</b>",
        "amount": "9900",
        "approved_at": "2026-11-24T03:30:00+00:00",
        "balance": "0",
        "currency": "USD",
        "cancels": ["tx-1", "tx-2"],
    },
    "outcome": "found",
    "reason": None,
    "event_id": None,
}
RUN: dict[str, Any] = {
    "kind": "payments",
    "started_by": "schedule",
    "first_day": "2026-11-24",
    "last_day": "2026-11-24",
    "status": "finished",
    "applies": False,
    "created_at": "2026-11-25T03:30:00+00:00",
    "finished_at": "2026-11-25T03:30:00+00:00",
    "compared": 1200,
    "orders_asked": 0,
    "incomplete": {},
    "problem": None,
    "found": 13,
    "repaired": 0,
    "open": 13,
}


async def shown_with(office: Office, **answer: Any) -> str:
    office.store.answers[Function.OPS_RECONCILIATIONS] = {
        **office.store.answers[Function.OPS_RECONCILIATIONS],
        **answer,
    }
    return (await office.get("/ops/reconciliations")).text


async def test_open_differences_say_what_differs_and_offer_a_dry_run(office: Office) -> None:
    text = await shown_with(office, findings=[FINDING], open=1)
    assert "Status: PENDING" in text
    assert "Status: &lt;b&gt;DONE&lt;/b&gt;" in text
    assert "Amount: " not in text
    assert "Approved: 2026-11-24 12:30:00" in text
    assert "Remaining: US$12.34" in text
    assert "Remaining: US$0.00" in text
    assert f'<input type="hidden" name="ids" value="{FINDING["id"]}">' in text
    assert text.count('name="mode" value="dry_run"') == 2  # of this one, and of all
    assert "/ops/payment?order=order-0001" in text
    text = await shown_with(office, findings=[FINDING | {"scope": "settlements", "theirs": {}}], open=1)
    assert "Not repaired yet." in text


async def test_what_needs_a_person_says_why(office: Office) -> None:
    finding = FINDING | {"outcome": "needs_person", "reason": "double_charge"}
    text = await shown_with(office, findings=[finding], open=1)
    assert "Cancel one of the two payments" in text
    assert "--apply</code>" not in text


async def test_what_was_set_aside_says_by_whom_and_why(office: Office) -> None:
    aside = {"subject": "pay-1", "kind": "extra", "day": "2026-11-24", "order_id": None}
    did = {"actor": "anna", "why": "<b>bank transfer</b>", "since": "2026-11-25T03:30:00+00:00"}
    text = await shown_with(office, set_aside=[aside | did])
    assert "Ignored differences" in text
    assert "anna" in text
    assert "&lt;b&gt;bank transfer" in text
    assert "Ignored differences" not in await shown_with(office, set_aside=[])


async def test_runs_say_what_they_lack(office: Office) -> None:
    assert "have not been compared" in await shown_with(office)
    text = await shown_with(office, runs=[RUN])
    assert "1,200" in text
    assert "Finished" in text
    text = await shown_with(office, runs=[RUN | {"incomplete": {"key 2 (…wxyz)": "UNAUTHORIZED_KEY"}}])
    assert "Incomplete" in text
    assert "key 2 (…wxyz): UNAUTHORIZED_KEY" in text
    text = await shown_with(office, runs=[RUN | {"status": "running", "problem": "Toss, transactions: HTTP 500"}])
    assert "Interrupted" in text
    assert "Toss, transactions: HTTP 500" in text


async def test_days_that_were_never_compared_are_offered(office: Office) -> None:
    text = await shown_with(office, uncompared={"total": 12, "days": ["2026-11-24", "2026-11-23"]})
    assert "never compared since the first event: 12" in text
    assert "2026-11-24, 2026-11-23, …" in text
    assert "supatoss reconcile --since-last" in text
    assert "--since-last" not in await shown_with(office, uncompared={"total": 0, "days": []})


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ({"open": 13, "needs_person": 0}, "Open differences: 13</a></p>"),
        ({"open": 13, "needs_person": 2}, "Open differences: 13</a> Needs review: 2."),
        ({"open": 0, "needs_person": 0}, "No open differences</a></p>"),
    ],
)
async def test_the_overview_says_what_is_left_to_do(office: Office, differences: dict[str, int], said: str) -> None:
    overview = office.store.answers[Function.OPS_OVERVIEW]
    overview["reconciliation"] = RUN
    overview["differences"] = differences
    text = (await office.get("/ops/")).text
    assert said in text
    assert 'href="/ops/reconciliations"' in text
    assert "0 of them" not in text


async def test_a_list_that_stays_fresh_says_when_it_was_read(office: Office) -> None:
    office.store.as_of = AT
    text = (await office.get("/ops/events?status=failed")).text
    assert "2026-11-25 12:30:00" in text.split("<table")[0]
    assert 'data-live="10"' in text
    assert 'hx-get="/ops/events?status=failed"' in text
    assert 'data-live="30"' in (await office.get("/ops/events?q=order")).text
    older = (await office.get(f"/ops/events?after=2026-11-25T00:00:00%2B00:00~{EVENT_ID}")).text
    assert "data-live=" not in older


async def test_a_list_row_says_what_was_paid_for(office: Office) -> None:
    office.store.events = (
        stored_event(order_name="무선 이어폰", amount="9900", currency="KRW", payment_status="DONE"),
        stored_event(order_id=None, reason=None, status="processed"),
    )
    text = (await office.get("/ops/events")).text
    for said in ("무선 이어폰", "₩9,900", "Paid", EVENT_ID[:8]):
        assert said in text


async def test_the_way_out_of_a_search_that_finds_nothing(office: Office) -> None:
    office.store.events = ()
    office.store.looked_back_to, office.store.next = AT, Cursor(AT, EVENT_ID)
    text = (await office.get("/ops/events?q=9900&by=content&status=failed")).text
    assert "Amounts and names were searched back to 2026-11-25 12:30:00" in text
    found = re.search(r'rel="next" href="([^"]+)"', text)
    assert found
    assert "by=content" in found[1]
    assert "Searched events for the amount ₩9,900" in (await office.get("/ops/events?q=₩9,900")).text


async def test_digits_may_mean_an_order_or_an_amount(office: Office) -> None:
    assert 'href="/ops/events?q=9900&amp;by=content"' in (await office.get("/ops/events?q=9900")).text
    assert "by=content" not in (await office.get("/ops/events?q=order-9900")).text


async def test_the_advised_action_is_the_primary_button(office: Office) -> None:
    text = (await office.get(EVENT)).text
    assert "Toss ₩990</span>" in text
    assert "difference ₩8,910" in text
    assert re.search(r'<a class="button" href="https://app.tosspayments.com/"', text)
    assert re.search(r'<button class="button button--plain" name="mode" value="dry_run">', text)
    office.store.events = (stored_event(reason="hook_failed", last_error="x (SQLSTATE P0001)"),)
    text = (await office.get(EVENT)).text
    assert re.search(r'<button class="button" name="mode" value="dry_run">', text)
    await office.post(f"{EVENT}/replay", mode="dry_run")
    text = (await office.get(EVENT)).text
    assert re.search(r'<button class="button" name="mode" value="apply">', text)


async def test_an_ignored_event_can_be_taken_back(office: Office) -> None:
    office.store.events = (stored_event(status="ignored", reason="operator"),)
    assert f'action="{EVENT}/unignore"' in (await office.get(EVENT)).text
    office.store.answers[Function.UNIGNORE_EVENTS] = [
        {"event": EVENT_ID, "outcome": "unignored", "status": "pending", "reason": "check_deposit"}
    ]
    response = await office.post(f"{EVENT}/unignore")
    assert (response.status_code, response.headers["location"]) == (303, EVENT)
    (arguments,) = [told for function, told in office.store.asked if function is Function.UNIGNORE_EVENTS]
    assert (arguments["actor"], arguments["address"], arguments["dry_run"]) == ("operator", ADDRESS, False)
    assert office.woken == 1
    assert "No longer ignored" in _notice(await office.get(EVENT))


async def test_every_delivery_is_shown_with_its_headers(office: Office) -> None:
    office.store.answers[Function.OPS_ROWS]["deliveries"] = [
        {"at": "2026-11-25T03:30:00+00:00", "id": "t-1", "user_agent": "<b>Toss</b>", "effect": "create"},
        {
            "at": "2026-11-25T03:34:00+00:00",
            "id": "t-2",
            "sent_at": "2026-11-25T03:34:00Z",
            "retried": 0,
            "effect": "count",
        },
        {"at": "2026-11-25T03:38:00+00:00", "effect": "move"},
    ]
    text = re.sub(r"\s+", " ", (await office.get(EVENT)).text)
    assert "Delivered 3 times." in text
    assert "The first and the newest 20" not in text
    assert "&lt;b&gt;Toss&lt;/b&gt;" in text
    assert "Retries by Toss 0" in text
    assert text.index("t-2") < text.index("t-1")
    assert "recorded from a look-up at Toss" in text
    office.store.events = (stored_event(delivery_count=40),)
    assert "The first and the newest 20 are shown." in (await office.get(EVENT)).text
