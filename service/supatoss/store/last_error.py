"""Figures of webhook_events.last_error, as the migrations and the worker write it. Pure."""

import re

DIFFERING = re.compile(r"Toss reports (\S+)(?: (\S+))?, the application stored (\S+)(?: (\S+))? for this order")
"""Toss's amount and its currency, the stored amount and its currency; no currency where the worker compared."""

TWICE = re.compile(r"is paid twice: this is payment (\S+), the first was (\S+)")
"""Both payment keys."""
