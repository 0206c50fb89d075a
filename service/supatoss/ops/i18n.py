"""The page's texts in its two languages, and what templates call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from supatoss.ops import formats
from supatoss.ops.texts import en, ko


class Language(StrEnum):
    """A language of the page."""

    EN = "en"
    KO = "ko"


CATALOGUES: Mapping[Language, Mapping[str, str]] = {Language.EN: en.TEXTS, Language.KO: ko.TEXTS}


def choose(chosen: str | None, accepted: str) -> Language:
    """The language somebody switched to, else the one that the browser likes best of ours, else English."""
    if chosen in list(Language):
        return Language(chosen)
    liked: list[tuple[float, Language]] = []
    for item in accepted[:500].split(","):
        name, _, parameter = item.strip().partition(";")
        language = name.strip().lower().split("-")[0]
        if language in list(Language) and (quality := _quality(parameter)) > 0:
            liked.append((quality, Language(language)))
    return max(liked, key=lambda found: found[0])[1] if liked else Language.EN


def say(language: Language, key: str, **values: object) -> str:
    """A text with its values filled in. Raises KeyError for a key that is in no catalogue."""
    text = CATALOGUES[language][key]
    return text.format(**values) if values else text


def named(language: Language, kind: str, code: str | None) -> str:
    """The name of a code that comes from data, such as a reason; the code itself where it has none."""
    return CATALOGUES[language].get(f"{kind}.{code or 'none'}", code or "–")


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


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
