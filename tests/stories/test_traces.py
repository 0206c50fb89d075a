"""One trace tells what became of a delivery: the answer, the look-ups at Toss, the rows, the worker's attempts."""

from tests.collector import Collector, Span
from tests.stories.conftest import World
from tests.support import raw_body

THEIRS = f"00-{'a' * 32}-{'b' * 16}-01"


def test_a_trace_leads_from_a_delivery_through_the_inbox_to_the_worker(world: World, collector: Collector) -> None:
    key = world.pay("traced", method="가상계좌")
    world.until_status("traced", "WAITING_FOR_DEPOSIT")
    world.until_sent()
    early = {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"paymentKey": key, "orderId": "traced", "status": "DONE"}}
    url = f"{world.service_url}/webhooks/toss"
    answer = world.http.post(url, content=raw_body(early), headers={"traceparent": THEIRS}).json()
    assert answer["event_status"] == "pending"
    world.play("webhooks/suppress", count=2)
    world.play(f"payments/{key}/deposit")
    world.until_processed("traced")

    def is_finish(span: Span) -> bool:
        told = span.attributes
        is_processed = told.get("supatoss.event_status") == "processed"
        return is_processed and (span.name, told["supatoss.event_id"]) == ("attempt", answer["event"])

    finish = collector.wait_for(is_finish)
    delivery = collector.wait_for(lambda span: span.id == finish.parent)
    claim = collector.wait_for(lambda span: (span.trace, span.id) in finish.links)
    assert (delivery.name, delivery.kind, delivery.parent) == ("POST /webhooks/toss", "server", "")
    assert delivery.links == [("a" * 32, "b" * 16)]
    assert delivery.attributes["supatoss.event_status"] == "pending"
    assert (claim.name, (delivery.trace, delivery.id) in claim.links) == ("claim", True)

    names = {span.id: span.name for span in collector.trace(delivery.trace)}
    assert {(names.get(span.parent, ""), span.name) for span in collector.trace(delivery.trace)} >= {
        ("", "POST /webhooks/toss"),
        ("POST /webhooks/toss", "verify"),
        ("verify", "Toss payment"),
        ("POST /webhooks/toss", "record"),
        ("record", "Data API record_webhook_events_v1"),
        ("POST /webhooks/toss", "attempt"),
        ("attempt", "Toss payment"),
        ("attempt", "Data API finish_webhook_event_v1"),
    }
    (row,) = world.rows(f"webhook_events?id=eq.{answer['event']}")
    assert row["traceparent"] == f"00-{delivery.trace}-{delivery.id}-01"
