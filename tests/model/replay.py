"""Plays a story again from its text, as it was printed: what went wrong once stays in known_stories.txt."""

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from tests.model.bench import Bench
from tests.model.stories import Plan, Story
from tests.model.telling import PRICES, Telling
from tests.model.truth import BOTH, Kind

KNOWN = Path(__file__).with_name("known_stories.txt")

_OPENING = re.compile(r"(order-\d+)-p\d+ \((card|account), ([0-9.]+) ([A-Z]+)\)")
_OUTCOME = re.compile(r" -> \w+$")
_WEBHOOK = re.compile(r"\bw(\d+) \(")
_ATTEMPT = re.compile(r"a look-up by order answers with attempt (\d+)")
_ONLY = re.compile(r"accounts send (\w+) only")


def known_stories(file: Path = KNOWN) -> dict[str, list[str]]:
    """The stories of a file, by their titles: lines that begin with #."""
    found: dict[str, list[str]] = {}
    for line in file.read_text().splitlines():
        if line.startswith("# "):
            found[line[2:]] = []
        elif line.strip():
            found[list(found)[-1]].append(line)
    return found


def replay(bench: Bench, lines: Sequence[str]) -> list[str]:
    """Plays a story from its lines. Raises Wrong as `play` does, and ValueError for a line that cannot happen."""
    lines = [line for line in lines if not line.startswith(("=>", "end "))]
    return Telling(bench, _decided(lines)).play_from(lambda telling: _take_all(telling, lines))


async def _take_all(telling: Telling, lines: Sequence[str]) -> None:
    for line in lines[len(telling.lines) :]:
        about, text = line[:9].rstrip(), _OUTCOME.sub("", line[9:])
        numbers = [int(number) - 1 for number in _WEBHOOK.findall(text)] if about == "deliver" else []
        for option in telling.options(about, numbers, by_number=True):
            if option[0] == text:
                await telling.take(about, option)
                break
        else:
            raise ValueError(f"cannot happen now: {line}")


def _decided(lines: Sequence[str]) -> Story:
    """What was decided before the story began, read from its text."""
    text = "\n".join(lines)
    attempts: dict[str, list[tuple[Kind, bool]]] = {}
    currencies: dict[str, str] = {}
    for order, kind, price, currency in _OPENING.findall(text):
        currencies[order] = currency
        attempts.setdefault(order, []).append((Kind[kind.upper()], Decimal(price) != PRICES[currency]))
    plans = [Plan(currencies[order], tuple(attempts[order])) for order in sorted(attempts)]
    attempt, only = _ATTEMPT.search(text), _ONLY.search(text)
    return Story(
        plans=tuple(plans),
        by_order=int(attempt[1]) - 1 if attempt else -1,
        of_accounts=(only[1],) if only else BOTH,
        is_signed="deliveries are signed" in text,
        steps=(),
    )
