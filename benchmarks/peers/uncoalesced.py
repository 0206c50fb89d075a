"""supatoss as it would be without coalescing: one event a call, and no limit to the calls in flight."""

import os

from supatoss.cli.processes import serve
from supatoss.inbox import recorder


def main() -> None:
    """Serves. AttributeError when the recorder has no such limits any more: then this row would measure nothing."""
    for name, limit in (("MAX_BATCH_EVENTS", 1), ("MIN_CONCURRENT_EVENTS", 1), ("MAX_IN_FLIGHT", recorder.MAX_WAITING)):
        getattr(recorder, name)
        setattr(recorder, name, limit)
    # Under load its calls take longer than the usual limit, and one that is tried again counts as another delivery.
    os.environ["SUPABASE_TIMEOUT_SECONDS"] = "7"
    serve()


if __name__ == "__main__":
    main()
