"""The recordings of releases that still have to run on the newest schema."""

import json
from collections.abc import Iterator
from typing import Any

from scripts.release import Checkout


def recordings() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Version and calls. A release whose recording is deleted may no longer run on the newest schema."""
    for file in sorted(Checkout().calls("any").parent.glob("*.json")):
        yield file.stem, json.loads(file.read_text(encoding="utf-8"))


def functions_of_kept_releases() -> set[str]:
    """What they call."""
    return {call["function"] for _, calls in recordings() for call in calls}
