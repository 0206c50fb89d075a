"""The emulator's options and command line."""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8090
HIGHEST_PORT = 65535
TEST_LIMIT_PER_MINUTE = 100
"""Toss's limit for each API with test keys."""

_SECRET_KEY = re.compile(r"(test|live)_g?sk_[A-Za-z0-9_]+")
_SECURITY_KEY = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Options:
    """All options. `requests_per_minute` is for each API and test key; 0 means no limit."""

    secret_keys: Sequence[str] = field(repr=False)
    security_keys: Sequence[str] = field(default=(), repr=False)
    decode_security_key: bool = False
    webhook_urls: Sequence[str] = ()
    minute_seconds: float = 60.0
    answer_seconds: float = 10.0
    requests_per_minute: int = TEST_LIMIT_PER_MINUTE
    seed: int | None = None
    host: str = LOOPBACK
    port: int = DEFAULT_PORT
    m_id: str = "temulator01"
    state: Path | None = None


def check_url(text: str) -> str:
    """Accepts a URL for webhooks. Raises ValueError that says what is wrong."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} should be a URL like http://{LOOPBACK}:8080/webhooks/toss")
    if parts.port == 0:  # reading it raises ValueError if it is not a number
        raise ValueError(f"{text!r} has no usable port")
    return text


def read_options(arguments: Sequence[str] | None, environment: Mapping[str, str] = os.environ) -> Options:
    """Parses the command line; like argparse, exits with status 2 and a message if it is wrong."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    secret_keys = _keys(chosen.secret_key, environment.get("TOSS_SECRET_KEY", ""))
    security_keys = _keys(chosen.security_key, environment.get("TOSS_SECURITY_KEY", ""))
    if not secret_keys:
        parser.error("no secret key: give --secret-key test_sk_… or set TOSS_SECRET_KEY")
    # Never show the keys: they may be real ones, given by mistake.
    if not all(_SECRET_KEY.fullmatch(key) for key in secret_keys):
        parser.error("--secret-key (TOSS_SECRET_KEY) should look like test_sk_… or test_gsk_…")
    if not all(_SECURITY_KEY.fullmatch(key) for key in security_keys):
        parser.error("--security-key (TOSS_SECURITY_KEY) should be 64 hex digits")
    return Options(
        secret_keys=secret_keys,
        security_keys=security_keys,
        decode_security_key=chosen.decode_security_key,
        webhook_urls=chosen.webhook_url,
        minute_seconds=chosen.minute_seconds,
        requests_per_minute=chosen.requests_per_minute,
        seed=chosen.seed,
        host=chosen.host,
        port=chosen.port,
        state=chosen.state,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toss_emulator.py",
        description="Emulates Toss Payments on this machine: its API and its webhooks.",
    )
    add = parser.add_argument
    add("--host", default=LOOPBACK, help=f"address to listen on (default {LOOPBACK})")
    add("--port", type=_port, default=DEFAULT_PORT, help=f"0 takes a free one (default {DEFAULT_PORT})")
    add("--secret-key", action="append", default=[], metavar="KEY", help="repeatable; default TOSS_SECRET_KEY")
    add("--security-key", action="append", default=[], metavar="HEX", help="signs payouts; default TOSS_SECURITY_KEY")
    add("--decode-security-key", action="store_true", help="sign with the 32 bytes that the 64 hex digits encode")
    add("--webhook-url", action="append", default=[], type=_url, metavar="URL", help="where webhooks go; repeatable")
    add("--minute-seconds", type=_seconds, default=60.0, help="length of a minute between retries (default 60)")
    add(
        "--requests-per-minute",
        type=_count,
        default=TEST_LIMIT_PER_MINUTE,
        help=f"limit for each API with test keys; 0 is none (default {TEST_LIMIT_PER_MINUTE})",
    )
    add("--state", type=Path, metavar="FILE", help="keeps payments in this file while the emulator is stopped")
    add("--seed", type=int, help="the same number gives the same keys")
    return parser


def _keys(given: Sequence[str], otherwise: str) -> list[str]:
    return [key.strip() for text in (given or [otherwise]) for key in text.split(",") if key.strip()]


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} should be a port from 0 to {HIGHEST_PORT}")
    return int(text)


def _url(text: str) -> str:
    try:
        return check_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number of seconds above 0, at most 3600")
    return seconds


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number, 0 for no limit")
    return int(text)
