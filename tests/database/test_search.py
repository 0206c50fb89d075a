"""The search box: by a part of an order id, keys, amounts and names; each by an index or bounded."""

import asyncio

import pytest

from supatoss.store.events import Cursor, EventFilter, EventPage, Search
from tests.database.store import DatabaseStore
from tests.database.support import Database, cancel, payment_event

ACCOUNT = {"accountNumber": "X1", "customerName": "김토스", "dueDate": "2026-03-20T23:59:59+09:00"}


def find(database: Database, search: Search, *, after: Cursor | None = None, **more: object) -> EventPage:
    wanted = EventFilter(search=search, **more)  # type: ignore[arg-type]
    return asyncio.run(DatabaseStore(database).find_events(wanted, limit=50, after=after))


def orders(page: EventPage) -> list[str | None]:
    return sorted({event.order_id for event in page.events}, key=str)


def by_key(database: Database, text: str) -> list[str | None]:
    return orders(find(database, Search(text)))


def by_content(database: Database, text: str, amount: str | None = None) -> list[str | None]:
    return orders(find(database, Search(text, "content", amount)))


@pytest.fixture
def inbox(database: Database) -> Database:
    database.insert_payment(order_id="order-c_3", payment_key="placeholder-3", amount=99000, order_name="캠핑 의자")
    database.record(
        payment_event("DONE", 1, order="order-a%1", key="pay-1", orderName="무선 이어폰"),
        payment_event(
            "WAITING_FOR_DEPOSIT", 2, order="order-ab1", key="pay-2", virtualAccount=ACCOUNT, totalAmount=37400
        ),
        payment_event("DONE", 3, order="order-c_3", key="pay-3", totalAmount=9900),
        payment_event("DONE", 4, order="order-cx3", key="pay-4", currency="USD", totalAmount=12.30),
        payment_event(
            "PARTIAL_CANCELED", 9, order="order-ab1", key="pay-2", totalAmount=37400, cancels=[cancel("c", 1200, 9)]
        ),
        {"eventType": "BILLING_KEY_ISSUED", "data": {"billingKey": "bk-1", "customerKey": "customer-7"}},
        {
            "eventType": "SETTLEMENT_COMPLETED",
            "data": {"orderId": "order-cx3", "payOutAmount": 8245, "settlementKey": "s"},
        },
    )
    return database


def test_an_order_is_found_by_any_part_of_its_id(inbox: Database) -> None:
    assert by_key(inbox, "order-ab1") == ["order-ab1"]
    assert by_key(inbox, "r-c") == ["order-c_3", "order-cx3"]
    assert by_key(inbox, "ab1") == ["order-ab1"]
    assert by_key(inbox, "nobody") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("a%1", ["order-a%1"]), ("c_3", ["order-c_3"]), ("%", ["order-a%1"]), ("_", ["order-c_3"]), ("\\", []), ("'", [])],
)
def test_wildcards_are_plain_characters(inbox: Database, text: str, found: list[str | None]) -> None:
    assert by_key(inbox, text) == found


def test_a_whole_order_id_hides_those_that_contain_it(inbox: Database) -> None:
    inbox.record(payment_event("DONE", 5, order="order-ab10", key="pay-9"))
    assert by_key(inbox, "order-ab1") == ["order-ab1"]
    assert by_key(inbox, "order-ab") == ["order-ab1", "order-ab10"]


def test_events_are_found_by_payment_key_customer_key_and_the_beginning_of_their_id(inbox: Database) -> None:
    assert by_key(inbox, "pay-3") == ["order-c_3"]
    assert [event.event_type for event in find(inbox, Search("customer-7")).events] == ["BILLING_KEY_ISSUED"]
    (event,) = inbox.rows("select id::text as id from webhook_events where order_id = %s", "order-a%1")
    for text in (event["id"], event["id"][:13], event["id"][:8].upper(), event["id"].replace("-", "")):
        assert event["id"] in [found.id for found in find(inbox, Search(text)).events]
    assert event["id"] not in [found.id for found in find(inbox, Search(event["id"][:3])).events]


def test_amounts_are_found_as_toss_and_as_the_application_say_them(inbox: Database) -> None:
    assert by_content(inbox, "9,900", "9900") == ["order-c_3"]
    assert by_content(inbox, "37400", "37400") == ["order-ab1"]
    assert by_content(inbox, "12.30", "12.3") == ["order-cx3"]
    assert by_content(inbox, "8245", "8245") == ["order-cx3"]
    assert by_content(inbox, "1,200", "1200") == ["order-ab1"]
    assert by_content(inbox, "1", "1") == []


def test_an_event_without_an_amount_has_that_of_its_order(inbox: Database) -> None:
    deposit = {"paymentKey": "pay-3", "orderId": "order-c_3", "secret": "s", "depositedAt": "2026-03-14T10:00:00+09:00"}
    inbox.record({"eventType": "VIRTUAL_ACCOUNT_DEPOSIT", "data": deposit})
    (event,) = find(inbox, Search("99,000", "content", "99000")).events
    assert (event.event_type, event.amount, event.order_name) == ("VIRTUAL_ACCOUNT_DEPOSIT", "99000", "캠핑 의자")
    assert event.payment_status is None


def test_names_of_orders_and_customers_are_found_by_a_part(inbox: Database) -> None:
    assert by_content(inbox, "이어폰") == ["order-a%1"]
    assert by_content(inbox, "김토스") == ["order-ab1"]
    assert [event.event_type for event in find(inbox, Search("CUSTOMER", "content")).events] == ["BILLING_KEY_ISSUED"]
    assert by_content(inbox, "%") == []


def test_the_list_says_what_was_paid_for(inbox: Database) -> None:
    (event,) = find(inbox, Search("order-a%1")).events
    assert (event.order_name, event.amount, event.currency, event.payment_status) == (
        "무선 이어폰",
        "10000",
        "KRW",
        "DONE",
    )


def test_other_conditions_hold_too(inbox: Database) -> None:
    assert orders(find(inbox, Search("order-"), statuses=("failed",))) == ["order-c_3"]
    assert orders(find(inbox, Search("9900", "content", "9900"), statuses=("processed",))) == []


def fill(database: Database, events: int) -> None:
    database.connection.execute(
        """insert into webhook_events (event_type, payload, status, order_id, change, created_at)
           select 'X', '{}', 'ignored', 'many-' || n, jsonb_build_object('kind', 'payment', 'amount', n::text),
                  now() - n * interval '1 second'
           from generate_series(1, %s) n""",
        [events],
    )


def test_a_part_of_many_orders_is_paged_through_newest_first(database: Database) -> None:
    fill(database, 700)
    page = find(database, Search("many-"))
    assert [event.order_id for event in page.events] == [f"many-{number}" for number in range(1, 51)]
    page = find(database, Search("many-"), after=page.next)
    assert page.events[0].order_id == "many-51"
    assert page.looked_back_to is None


def test_what_no_index_has_is_looked_for_in_the_newest_20000_events_a_page(database: Database) -> None:
    fill(database, 20_500)
    page = find(database, Search("20400", "content", "20400"))
    assert page.events == ()
    assert page.looked_back_to is not None
    assert page.next is not None
    page = find(database, Search("20400", "content", "20400"), after=page.next)
    assert orders(page) == ["many-20400"]
    assert (page.next, page.looked_back_to) == (None, None)


def test_a_page_says_when_it_was_read(database: Database) -> None:
    page = asyncio.run(DatabaseStore(database).find_events(EventFilter(), limit=1))
    assert page.as_of is not None
    assert page.as_of.utcoffset() is not None
