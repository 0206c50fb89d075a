"""The page's two languages."""

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


def choose_language(chosen: str | None, accepted: str) -> Language:
    """The language that the operator chose, else the one of ours that the browser prefers, else English."""
    if chosen in list(Language):
        return Language(chosen)
    preferred: list[tuple[float, Language]] = []
    for item in accepted[:500].split(","):
        name, _, parameter = item.strip().partition(";")
        language = name.strip().lower().split("-")[0]
        if language in list(Language) and (quality := _quality(parameter)) > 0:
            preferred.append((quality, Language(language)))
    return max(preferred, key=lambda found: found[0])[1] if preferred else Language.EN


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


@dataclass(frozen=True, slots=True)
class Translator:
    """The page's texts in one language."""

    language: Language

    def t(self, key: str, **values: object) -> str:
        """A text with its values filled in. Raises KeyError for an unknown key."""
        text = CATALOGUES[self.language][key]
        return text.format(**values) if values else text

    def named(self, kind: str, code: str | None) -> str:
        """The name of a code from data, such as a reason; the code itself if it has no name."""
        return CATALOGUES[self.language].get(f"{kind}.{code or 'none'}", code or "–")

    def advice(self, reason: str | None) -> str:
        """What to do about an event with this reason; empty if there is no advice."""
        return CATALOGUES[self.language].get(f"advice.{reason}", "")

    def duration(self, seconds: float) -> str:
        """A length of time: 3 min, 3분."""
        unit, number = formats.span(seconds)
        return self.t(f"span.{unit}", number=number)

    def for_templates(self) -> dict[str, Callable[..., Any] | str]:
        """The variables and functions of the templates."""
        return {
            "language": self.language.value,
            "t": self.t,
            "named": self.named,
            "advice": self.advice,
            "duration": self.duration,
        }
