"""Every page of the operators, by name, in a shop's day."""

from tests.browser.scene import Shop


def pages_of(shop: Shop) -> dict[str, str]:
    """Name and path of each; of the kinds that have several looks, each look."""
    failed = shop.row("webhook_events?order_id=eq.order-amount-0001")["id"]
    done = shop.row("webhook_events?event_type=eq.SETTLEMENT_COMPLETED")["id"]
    (refused,) = shop.api("GET", "peek_refused_deliveries?order=id.desc&limit=1").json()
    return {
        "overview": "/ops/",
        "week": "/ops/?hours=168",
        "events": "/ops/events",
        "events-nothing": "/ops/events?q=nobody",
        "events-problem": "/ops/events?status=lost",
        "event-failed": f"/ops/events/{failed}",
        "event-done": f"/ops/events/{done}",
        "order": "/ops/payment?order=order-parts-0001",
        "order-twice": "/ops/payment?order=order-twice-0001",
        "payments": "/ops/payments",
        "payments-nothing": "/ops/payments?q=nobody",
        "payments-problem": "/ops/payments?from=tomorrow",
        "subscriptions": "/ops/subscriptions",
        "settlements": "/ops/settlements",
        "reconciliations": "/ops/reconciliations",
        "alerts": "/ops/alerts",
        "alerts-past": "/ops/alerts?status=",
        "runbook": "/ops/runbook",
        "refused": "/ops/refused",
        "refused-one": f"/ops/refused/{refused['id']}",
        "health": "/ops/health",
        "sessions": "/ops/sessions",
        "missing": "/ops/nowhere",
    }
