"""Every scenario, in the order in which they are played."""

from tests.drill import events, outages, payments, processes

SCENARIOS = (
    *events.EVENTS,
    *payments.AMOUNTS,
    *payments.ROWS,
    *outages.KEYS,
    *outages.DATABASE,
    *outages.TOSS,
    *processes.PROCESSES,
)
