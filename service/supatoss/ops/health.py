"""The health page: processes, settings, and whether the database and Toss answer. No secret is shown."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from starlette.responses import Response

from supatoss import __version__
from supatoss.inbox.event import EventStatus
from supatoss.key_shapes import role_of
from supatoss.ops.formats import capped_count, korean_time, parse_moment
from supatoss.ops.i18n import Translator
from supatoss.ops.key_checks import KeyHealth
from supatoss.ops.page import PageRequest
from supatoss.settings import Settings
from supatoss.store.schema import SCHEMA_VERSION, sentence

WELL, LOOK, BAD = EventStatus.PROCESSED, EventStatus.PENDING, EventStatus.FAILED
"""How a line looks: like an event with that status."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name (health.<name> in the texts), its tone, its message and its link."""

    name: str
    tone: str
    text: str
    link: str = ""


async def show_health(request: PageRequest) -> Response:
    """GET /ops/health."""
    context = request.context
    version, health, keys = await asyncio.gather(
        request.store.schema_version(), request.store.read_health(), context.key_checks.look()
    )
    return request.render(
        "health.html",
        section="health",
        checks=_checks(context.settings, version, health, keys, request.texts),
        keys=keys,
        processes=[_process(process) for process in health["processes"]],
        settings=shown_settings(context.settings),
        now=health["now"],
        version=__version__,
        schema={"service": SCHEMA_VERSION, "database": version},
        started_at=context.started_at,
    )


def _checks(
    settings: Settings, version: int, health: Mapping[str, Any], keys: Sequence[KeyHealth], texts: Translator
) -> list[Check]:
    return [
        Check("schema", WELL if version == SCHEMA_VERSION else BAD, sentence(version) or texts.t("health.ok")),
        _toss(keys, texts),
        _backlog(settings, health["oldest_waiting_seconds"], texts),
        _number("failed", "health.events", health["failed"], "/ops/events?status=failed", texts),
        _number("alerts", "health.open", health["open_alerts"], "/ops/alerts", texts),
        _sending(settings, health["untold_alerts"], texts),
        _processes(health["processes"], texts),
        _newest(parse_moment(health["newest_event_at"]), texts),
        _reconciled(settings, parse_moment(health["reconciled_at"]), texts),
    ]


def _number(name: str, text: str, number: int, link: str, texts: Translator) -> Check:
    return Check(name, BAD if number else WELL, texts.t(text, number=capped_count(number)), link)


def _toss(keys: Sequence[KeyHealth], texts: Translator) -> Check:
    states = {key.state for key in keys}
    if "refused" in states:
        return Check("toss", BAD, texts.t("health.toss_refused"))
    return (
        Check("toss", LOOK, texts.t("health.toss_silent"))
        if "silent" in states
        else Check("toss", WELL, texts.t("health.ok"))
    )


def _backlog(settings: Settings, seconds: float | None, texts: Translator) -> Check:
    link = "/ops/events?status=pending"
    if seconds is None:
        return Check("backlog", WELL, texts.t("health.idle"), link)
    tone = BAD if seconds > settings.backlog_minutes * 60 else WELL
    return Check("backlog", tone, texts.t("health.waiting", span=texts.duration(seconds)), link)


def _sending(settings: Settings, untold: int, texts: Translator) -> Check:
    if settings.alert_webhook_url is None:
        return Check("sending", LOOK, texts.t("health.not_sent"))
    if untold:
        return Check("sending", LOOK, texts.t("health.untold", number=capped_count(untold)))
    return Check("sending", WELL, texts.t("health.sent"))


def _processes(processes: Sequence[Mapping[str, Any]], texts: Translator) -> Check:
    if gone := sum(process["is_gone"] for process in processes):
        return Check("processes", BAD, texts.t("health.gone", number=gone))
    return Check("processes", WELL if processes else LOOK, texts.t("health.alive", number=len(processes)))


def _newest(at: dt.datetime | None, texts: Translator) -> Check:
    return Check(
        "newest", WELL if at else LOOK, f"{korean_time(at)} KST" if at else texts.t("health.never"), "/ops/events"
    )


def _reconciled(settings: Settings, at: dt.datetime | None, texts: Translator) -> Check:
    last = f"{korean_time(at)} KST" if at else texts.t("health.never")
    if settings.reconcile_at is None:
        return Check("reconciled", LOOK, texts.t("health.no_schedule", last=last), "/ops/reconciliations")
    return Check("reconciled", WELL if at else LOOK, last, "/ops/reconciliations")


def _process(process: Mapping[str, Any]) -> dict[str, Any]:
    """A process by its name, machine:role:process id."""
    machine, role, number = [*process["name"].rsplit(":", 2), "", ""][:3]
    return {**process, "machine": machine, "role": role, "number": number}


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """A setting. value: as it may be shown; for a secret, only whether it is set, and a hint."""

    name: str
    value: str
    secret: str
    hint: str
    is_default: bool


def shown_settings(settings: Settings) -> list[ShownSetting]:
    """Every setting by name. For a secret, only whether it is set, and how many keys there are."""
    return [
        _shown(name, getattr(settings, name), field.get_default(call_default_factory=True))
        for name, field in sorted(type(settings).model_fields.items())
    ]


def _shown(name: str, value: Any, default: Any) -> ShownSetting:
    variable, is_default = name.upper(), value == default
    secrets = [item for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, SecretStr)]
    if secrets or name in _SECRETS:
        number = str(len(secrets)) if isinstance(value, tuple) and secrets else ""
        role = (role_of(secrets[0].get_secret_value()) or "") if name == "supabase_secret_key" else ""
        return ShownSetting(variable, "", "set" if secrets else "unset", role or number, is_default)
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    elif isinstance(value, dt.time):
        value = f"{value:%H:%M}"
    return ShownSetting(variable, "" if value is None else str(value), "", "", is_default)


_SECRETS = frozenset(name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation))
