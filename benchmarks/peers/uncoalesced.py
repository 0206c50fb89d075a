"""supatoss without coalescing: one event for each call, and no limit on calls in flight."""

import os

from supatoss.cli.processes import serve
from supatoss.inbox import recorder


def main() -> None:
    """Serves. AttributeError if the recorder has lost these limits: this row would measure nothing."""
    for name, limit in (("MAX_BATCH_EVENTS", 1), ("MIN_CONCURRENT_EVENTS", 1), ("MAX_IN_FLIGHT", recorder.MAX_WAITING)):
        getattr(recorder, name)
        setattr(recorder, name, limit)
    # Under load its calls exceed the usual time-out, and a retry would count as another delivery.
    os.environ["SUPABASE_TIMEOUT_SECONDS"] = "7"
    serve()


if __name__ == "__main__":
    main()
