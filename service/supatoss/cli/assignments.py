"""`--set` of `supatoss trigger`: a value at one place of a body."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Self

from supatoss.cli.choices import closest


@dataclass(frozen=True, slots=True)
class Assignment:
    """A `--set`: one value at one place of a body, such as data.cancels.0.cancelAmount=100."""

    path: Sequence[str]
    value: Any

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads path=value; a value that is not JSON is text. Raises ValueError that says what was expected."""
        path, equals, value = text.partition("=")
        names = path.split(".")
        if not equals or not all(names):
            raise ValueError(f"{text!r} should be path=value, such as data.totalAmount=100")
        return cls(names, _value(value))

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body with this value; missing objects on the way are created. Raises ValueError."""
        changed: dict[str, Any] = copy.deepcopy(dict(body))
        place: Any = changed
        for depth, name in enumerate(self.path[:-1]):
            inner = _get(place, name, self.path[: depth + 1])
            if inner is None:
                inner = {}
                _put(place, name, inner, self.path[: depth + 1])
            place = inner
        _put(place, self.path[-1], self.value, self.path)
        return changed


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _get(place: Any, name: str, path: Sequence[str]) -> Any:
    if isinstance(place, list):
        return place[_index(place, name, path)]
    _check_object(place, path)
    _check_name(place, name, path)
    return place.get(name)


def _put(place: Any, name: str, value: Any, path: Sequence[str]) -> None:
    if isinstance(place, list):
        place[_index(place, name, path)] = value
    else:
        _check_object(place, path)
        _check_name(place, name, path)
        place[name] = value


def _check_name(place: Mapping[str, Any], name: str, path: Sequence[str]) -> None:
    """A new field is welcome, unless it looks like one that is there."""
    meant = None if name in place else closest(name, list(place))
    if meant and (meant.casefold() == name.casefold() or name in get_close_matches(meant, [name], cutoff=0.85)):
        raise ValueError(f"{'.'.join(path)}: there is no such field; did you mean {'.'.join((*path[:-1], meant))}?")


def _index(place: list[Any], name: str, path: Sequence[str]) -> int:
    if not name.isdecimal() or int(name) >= len(place):
        raise ValueError(
            f"{'.'.join(path)}: {'.'.join(path[:-1])} is a list of {len(place)}; {name!r} is not one of its indexes"
        )
    return int(name)


def _check_object(place: Any, path: Sequence[str]) -> None:
    if not isinstance(place, dict):
        raise ValueError(
            f"{'.'.join(path)}: {'.'.join(path[:-1])} is {json.dumps(place, ensure_ascii=False)}, not an object"
        )
