"""All faults, in the order of the table."""

from tests.faults.crashes import CRASHES
from tests.faults.outages import OUTAGES

FAULTS = (*CRASHES, *OUTAGES)
