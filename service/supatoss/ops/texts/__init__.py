"""The words of the page in its two languages: one catalogue each, with the same keys."""

from collections.abc import Mapping
from enum import StrEnum

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
