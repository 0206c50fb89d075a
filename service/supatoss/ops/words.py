"""What templates call: texts of one language, and formats that depend on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supatoss.ops import formats
from supatoss.ops.texts import CATALOGUES, Language, named, say

MOST_COUNTED = 1000
"""Unfinished events are counted no further (supatoss_ops_overview_v1)."""


@dataclass(frozen=True, slots=True)
class Words:
    """The page's texts in one language."""

    language: Language

    def t(self, key: str, **values: object) -> str:
        """A text of the catalogue."""
        return say(self.language, key, **values)

    def named(self, kind: str, code: str | None) -> str:
        """The name of a code that comes from data."""
        return named(self.language, kind, code)

    def advised(self, reason: str | None) -> str:
        """What to do about an event with this reason; empty where there is nothing to say."""
        return CATALOGUES[self.language].get(f"advice.{reason}", "")

    def lasting(self, seconds: float) -> str:
        """A length of time: 3 min, 3분."""
        unit, number = formats.span(seconds)
        return self.t(f"span.{unit}", number=number)

    def for_templates(self) -> dict[str, Callable[..., Any] | str]:
        """Names under which templates find these."""
        return {
            "language": self.language.value,
            "t": self.t,
            "named": self.named,
            "advised": self.advised,
            "lasting": self.lasting,
        }


def capped(number: int) -> str:
    """A number that is counted up to a limit: 12, 1,000+."""
    return f"{formats.count(number)}+" if number >= MOST_COUNTED else formats.count(number)
