"""Every setting of the service, with its unit. A half-configured service refuses to start and names what is missing.

One subject, so one long file.
"""

import datetime as dt
import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from supatoss import key_shapes
from supatoss.data_api import DataApi, check_supabase_url, missing
from supatoss.errors import ConfigurationError
from supatoss.passwords import MIN_PASSWORD_CHARACTERS, read_users
from supatoss.urls import TOSS_API_URL, check_collector_url, check_secret_url, check_url, is_loopback

KIB = 1024

MIN_RETENTION_DAYS = 30
"""Toss re-sends for four days, and payloads are needed until a month's books are closed."""

MIN_METRICS_TOKEN_CHARACTERS = 16
"""Guesses are not throttled, so it has to be random."""


def _split(value: object) -> object:
    return [item.strip() for item in value.split(",")] if isinstance(value, str) else value


def _addresses(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        found = tuple(ipaddress.ip_network(item.strip(), strict=True) for item in value.split(",") if item.strip())
    except ValueError:
        raise ValueError("should be IP addresses or networks with commas between, such as 13.124.18.147") from None
    if value.strip() and not found:
        raise ValueError("has no address in it; should be IP addresses with commas between, or empty to allow all")
    return found


def _time_of_day(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value.strip()):
        raise ValueError("should be a time of day in Korea such as 04:30, or empty")
    return dt.time.fromisoformat(value.strip())


AddressList = Annotated[
    tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...], NoDecode, BeforeValidator(_addresses)
]
KeyList = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """Read from environment variables of the same name in upper case."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    supabase_url: str
    """URL of the Supabase project, https://<project-ref>.supabase.co; plain http only on loopback."""

    supabase_secret_key: SecretStr = Field(
        validation_alias=AliasChoices("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")
    )
    """Secret key of the project (sb_secret_…, or the older service_role key), or a token of supatoss_service."""

    supabase_publishable_key: SecretStr | None = None
    """Publishable key of the project (sb_publishable_…, or the older anon key): for `supatoss doctor`, and for the
    gateway beside a token of supatoss_service."""

    toss_secret_key: KeyList
    """Secret keys of Toss (live_sk_…, test_sk_…), newest first, separated by commas: for the hex signature."""

    toss_security_key: KeyList = ()
    """Security keys of Toss (64 hex digits), newest first: for `v1:` signatures (payout.changed, seller.changed)."""

    toss_api_url: str = TOSS_API_URL
    """URL of Toss's API; plain http only on loopback."""

    toss_unsigned: Literal["verify", "reject"] = "verify"
    """What to do with unsigned deliveries. Toss signs payouts and sellers only, so `reject` refuses every payment."""

    signature_max_age_hours: int = Field(default=102, ge=1, le=1_000_000)
    """Oldest transmission time of a signed delivery. Toss's last attempt is 3 days 19 hours after the first."""

    toss_allowed_ips: AddressList = ()
    """IP addresses that may deliver, separated by commas; empty: all. A filter, never a proof."""

    unsigned_lookups_per_minute: int = Field(default=300, ge=1, le=100_000)
    """Look-ups at Toss for unsigned deliveries from other addresses than Toss's; beyond, only of orders we know."""

    toss_timeout_seconds: float = Field(default=3.0, gt=0, lt=10)
    """Longest wait for Toss before a delivery is answered; the worker waits longer."""

    client_ip_header: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")
    """Header in which a trusted proxy puts the sender's address (Fly.io: Fly-Client-IP); empty: the peer's address."""

    public_url: str = ""
    """URL at which Toss reaches the service, https://<app>.fly.dev, without the webhook's path."""

    worker: Literal["in-process", "off"] = "in-process"
    """Whether this process also finishes events that wait for Toss."""

    reconcile_at: Annotated[dt.time | None, BeforeValidator(_time_of_day)] = None
    """Time of day in Korea, HH:MM, at which the worker compares yesterday with Toss; empty: never."""

    payload_retention_days: int = Field(default=365, ge=0)
    """Days after which the payloads of finished events are emptied, at least 30; 0: never."""

    backlog_minutes: float = Field(default=10.0, gt=0, le=1440)
    """Age at which an event that waits for Toss raises an alert, and /backlogz answers 503."""

    alert_webhook_url: SecretStr | None = None
    """Where alerts are sent: an incoming webhook of Slack or Discord, or any address; empty: nowhere from here."""

    alert_webhook_secret: SecretStr | None = None
    """Secret (whsec_…) that signs alerts as Standard Webhooks; not for Slack and Discord."""

    alert_language: Literal["both", "en", "ko"] = "both"
    """Language of the alerts that are sent."""

    alert_interval_seconds: float = Field(default=60.0, ge=5, le=3600)
    """Between two checks of the alert rules."""

    alert_silence_hours: float = Field(default=0.0, ge=0, le=720)
    """Hours without any delivery that raise an alert, if the project usually has them; 0: never."""

    ops_password: SecretStr | None = None
    """Password of the operators' page /ops, at least 12 characters; without it or OPS_USERS, there is no such page."""

    ops_users: KeyList = ()
    """Operators by name, each with the hash of a password of their own: lines of `supatoss ops add-user`."""

    host: str = "0.0.0.0"  # noqa: S104 - in a container the proxy connects from outside it
    """Address to listen on."""

    port: int = Field(default=8080, ge=1, le=65535)
    """Port to listen on."""

    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port of the Prometheus metrics, which must not be public; 0: none."""

    metrics_token: SecretStr | None = None
    """Bearer token of GET /metrics on the service's own port; without one, there is no such page."""

    otel_exporter_otlp_endpoint: str = ""
    """Base URL of the OpenTelemetry collector that gets traces; empty: none. Its SDK reads its other variables."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""

    log_format: Literal["json", "console", "auto"] = "json"
    """One JSON object a line, or lines for people; auto: for people in a terminal, else JSON."""

    max_body_bytes: int = Field(default=256 * KIB, ge=1 * KIB, le=16 * KIB * KIB)
    """Largest body that is read; Toss's largest documented one is about 4 KiB."""

    max_connections: int = Field(default=3000, ge=16, le=100_000)
    """Connections at once, as far as the limit of open files allows: more than requests, so that checks get in."""

    max_bodies_bytes: int = Field(default=0, ge=0)
    """Bytes of all bodies in hand together; 0: a sixteenth of the memory, at most 64 MiB."""

    answer_deadline_seconds: float = Field(default=8.0, gt=0, lt=10)
    """Every answer comes within this time. Toss gives up after 10 seconds."""

    supabase_timeout_seconds: float = Field(default=3.0, gt=0, lt=10)
    """Longest wait for one call of the Data API; two tries fit into the deadline."""

    @field_validator("payload_retention_days")
    @classmethod
    def _check_retention(cls, value: int) -> int:
        if 0 < value < MIN_RETENTION_DAYS:
            raise ValueError(f"should be at least {MIN_RETENTION_DAYS} days, or 0 to keep all payloads")
        return value

    @field_validator("supabase_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return check_supabase_url(value)

    @field_validator("toss_api_url")
    @classmethod
    def _check_toss_url(cls, value: str) -> str:
        return check_url(value, TOSS_API_URL)

    @field_validator("alert_webhook_url")
    @classmethod
    def _check_alert_url(cls, value: SecretStr | None) -> SecretStr | None:
        address = value.get_secret_value().strip() if value else ""
        return SecretStr(check_secret_url(address)) if address else None

    @field_validator("alert_webhook_secret")
    @classmethod
    def _check_alert_secret(cls, value: SecretStr | None) -> SecretStr | None:
        secret = value.get_secret_value().strip() if value else ""
        return SecretStr(key_shapes.webhook_secret(secret)) if secret else None

    @field_validator("supabase_secret_key")
    @classmethod
    def _check_supabase_key(cls, value: SecretStr) -> SecretStr:
        return SecretStr(key_shapes.supabase_secret_key(value.get_secret_value()))

    @field_validator("supabase_publishable_key")
    @classmethod
    def _check_publishable_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None
        return SecretStr(key_shapes.supabase_publishable_key(value.get_secret_value()))

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _check_collector_url(cls, value: str) -> str:
        return check_collector_url(value) if value.strip() else ""

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        return check_url(value, "https://<app>.fly.dev") if value.strip() else ""

    @field_validator("toss_security_key")
    @classmethod
    def _check_security_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(SecretStr(key_shapes.toss_security_key(key.get_secret_value())) for key in value)

    @field_validator("toss_secret_key")
    @classmethod
    def _check_secret_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        keys = [key_shapes.toss_secret_key(key.get_secret_value()) for key in value]
        if not keys:
            raise ValueError("should be a secret key of Toss, or several with commas between")
        if {"test_", "live_"} <= {key[:5] for key in keys}:
            raise ValueError("has test and live keys together; test payments would count as real: use one kind")
        return tuple(map(SecretStr, keys))

    @field_validator("metrics_token")
    @classmethod
    def _check_metrics_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None
        token = key_shapes.plain_key(value.get_secret_value())
        if len(token) < MIN_METRICS_TOKEN_CHARACTERS:
            raise ValueError(f"should have at least {MIN_METRICS_TOKEN_CHARACTERS} characters")
        return SecretStr(token)

    @field_validator("ops_password")
    @classmethod
    def _check_ops_password(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if len(value.get_secret_value()) < MIN_PASSWORD_CHARACTERS:
            raise ValueError(f"should have at least {MIN_PASSWORD_CHARACTERS} characters")
        return value

    @field_validator("ops_users")
    @classmethod
    def _check_ops_users(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        lines = [line.get_secret_value() for line in value]
        return value if lines != [""] and read_users(lines) else ()

    @model_validator(mode="after")
    def _check_documentation_keys(self) -> Self:
        """Toss's own address is not looked at: documentation keys are made for trying things out there."""
        is_here = all(is_loopback(urlsplit(url).hostname or "") for url in (self.supabase_url, self.public_url) if url)
        if not is_here and any(key_shapes.is_documentation_key(key.get_secret_value()) for key in self.toss_secret_key):
            raise ValueError(
                "TOSS_SECRET_KEY is a key of Toss's documentation, with which anybody can sign; should be your own, "
                "unless SUPABASE_URL and PUBLIC_URL are on this machine"
            )
        return self

    @property
    def data_api(self) -> DataApi:
        """Where the project is, and with which keys."""
        publishable_key = self.supabase_publishable_key
        return DataApi(
            self.supabase_url,
            self.supabase_secret_key.get_secret_value(),
            publishable_key.get_secret_value() if publishable_key else None,
            self.supabase_timeout_seconds,
        )

    @property
    def has_ops_page(self) -> bool:
        """Whether somebody may sign in to /ops."""
        return bool(self.ops_users or self.ops_password)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """The settings from the environment. Raises ConfigurationError with one line per problem."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise ConfigurationError([_line(item) for item in error.errors()]) from None


def _line(item: Mapping[str, Any]) -> str:
    """What is wrong with a setting, from one of pydantic's errors, in our words."""
    text = str(item["msg"]).removeprefix("Value error, ")
    if not item["loc"]:  # It is about several of them, and names them.
        return f"{text}."
    name = str(item["loc"][0]).upper()
    if item["type"] == "missing":
        return missing(name)
    return f"{name} {text if item['type'] == 'value_error' else f'should be {_expected(item)}'}."


def _expected(item: Mapping[str, Any]) -> str:
    context = item.get("ctx", {})
    match item["type"]:
        case "greater_than_equal" | "less_than_equal":
            return f"at least {_number(context['ge'])}" if "ge" in context else f"at most {_number(context['le'])}"
        case "greater_than" | "less_than":
            return f"more than {_number(context['gt'])}" if "gt" in context else f"less than {_number(context['lt'])}"
        case "literal_error":
            return str(context["expected"]).replace("'", "")
        case "string_pattern_mismatch":
            return "the name of a header, such as Fly-Client-IP"
        case "int_parsing" | "int_from_float":
            return "a whole number"
        case _:
            return "a number"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
