"""One alert as words: in English, Korean or both, with a command and a link, without secrets or payloads. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from supatoss.alerts.korean import RULES, in_korean, named
from supatoss.alerts.texts import MORE, TEXTS, UNKNOWN, Text
from supatoss.store.alerts import UnsentAlert

MAX_VALUE_CHARACTERS = 200
"""Of a value as it is sent, escapes included: an order id comes from outside."""

MAX_LINK_CHARACTERS = 500

Language = Literal["en", "ko", "both"]
Escape = Callable[[str], str]

_PLAIN = re.compile(r"[A-Za-z0-9_=:.-]{1,100}")
"""Values that may stand in a command that somebody pastes into a shell; Toss's own order ids are like this."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one alert says. lines: escaped for its target. command: plain, None at an end."""

    title: str
    lines: list[str]
    command: str | None
    link: str | None


def describe_alert(alert: UnsentAlert, language: Language, ops_url: str, escape: Escape) -> Message:
    """The message about one alert. ops_url: address of the operators' page, or empty."""
    text = _text(alert.rule, alert.subject)
    languages: tuple[Literal["en", "ko"], ...] = ("en", "ko") if language == "both" else (language,)
    lines = [_sentence(text, alert.subject, alert.details, one, escape) for one in languages]
    is_start = alert.phase == "start"
    return Message(
        _title(alert, language, escape),
        lines,
        text.command.format_map(_Arguments(alert)) if is_start else None,
        f"{ops_url}/{page_of(alert.rule, alert.subject)}" if ops_url else None,
    )


def _title(alert: UnsentAlert, language: Language, escape: Escape) -> str:
    rule = clean(named(alert.rule, RULES) if language == "ko" else alert.rule, str)
    if alert.phase == "start":
        return f"🚨 {rule}"
    if "stopped" in alert.details:
        english, korean = "its process was stopped", "프로세스 종료됨"
        return f"☑️ {rule} {({'en': english, 'ko': korean}).get(language, f'{english} · {korean}')}"
    actor = alert.details.get("set_aside_by")
    name = clean(actor, escape)
    english, korean = ("resolved", "해결됨") if actor is None else (f"ignored by {name}", f"{name} 무시 처리")
    words = {"en": english, "ko": korean, "both": f"{english} · {korean}"}[language]
    return f"{'✅' if actor is None else '☑️'} {rule} {words}"


def page_of(rule: str, subject: str) -> str:
    """What to look at, as a path below the operators' page."""
    text = _text(rule, subject)
    quoted = quote(subject, safe="")
    return text.page.format(subject=quoted) if len(quoted) <= MAX_LINK_CHARACTERS else ""


def explain(rule: str, subject: str, details: Mapping[str, Any], language: Language) -> str:
    """What an alert says, in one language: text without markup."""
    return _sentence(_text(rule, subject), subject, details, "ko" if language == "ko" else "en", str)


def _sentence(
    text: Text, subject: str, details: Mapping[str, Any], language: Literal["en", "ko"], escape: Escape
) -> str:
    sentence, values = (text.korean, in_korean(details)) if language == "ko" else (text.english, details)
    return sentence.format_map(_Values({**values, "subject": subject}, escape))


def _text(rule: str, subject: str) -> Text:
    return MORE if subject == "more" else TEXTS.get(rule, UNKNOWN)


class _Values(dict[str, Any]):
    """Values for a text, cleaned and cut; a missing one is a dash."""

    def __init__(self, values: dict[str, Any], escape: Escape) -> None:
        super().__init__(values)
        self._escape = escape

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        return "-" if value is None else clean(value, self._escape)


class _Arguments(dict[str, str]):
    """The subject for a command, or its name where a shell would not take it as one word."""

    def __init__(self, alert: UnsentAlert) -> None:
        super().__init__(subject=alert.subject if _PLAIN.fullmatch(alert.subject) else "ORDER")


def clean(value: object, escape: Escape) -> str:
    """A value on one line, escaped, and cut before its escapes make it too long."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(value))[:MAX_VALUE_CHARACTERS]
    while len(escape(text)) > MAX_VALUE_CHARACTERS:
        text = text[:-1]
    return escape(text)
