"""The Supabase project: its address, its secret key, and which tables it has."""

import re
from urllib.parse import urlsplit

from supatoss.cli.init.setup import Setup
from supatoss.cli.init.step import Step, Stopped
from supatoss.cli.output import ExitStatus
from supatoss.errors import SchemaMismatch, StoreError, StoreUnavailable
from supatoss.store.schema import SCHEMA_VERSION

URL, KEY = "SUPABASE_URL", "SUPABASE_SECRET_KEY"
OLDER_KEY = "SUPABASE_SERVICE_ROLE_KEY"
TABLES = ("payments", "subscriptions", "webhook_events")

_REF = re.compile(r"[a-z]{20}")
_WHERE_URL = "Project Settings > Data API"
_WHERE_KEY = "create or copy one in Project Settings > API Keys (sb_secret_…)"


class ProjectStep(Step):
    """Asks for address and key, and tries them."""

    name = "Supabase project"

    def run(self, setup: Setup) -> str:
        """The address, then the key, then what is there."""
        url = self._address(setup)
        given = setup.answer(KEY) or setup.answer(OLDER_KEY)

        def check(key: str) -> str:
            return self._try(setup, url, key)

        if given:
            try:
                return check(given)
            except Stopped as wrong:
                if not setup.asking.is_there:
                    raise
                show(wrong, KEY)
        _, said = setup.asking.until_right(
            f"Secret key of {url}", check, missing=f"{KEY} is missing", default=given, is_secret=True
        )
        return said

    def _address(self, setup: Setup) -> str:
        given = setup.answer(URL)
        if given:
            try:
                address = project_url(given)
            except ValueError as error:
                if not setup.asking.is_there:
                    raise Stopped(f"{URL} {error}", _WHERE_URL, ExitStatus.MISUSE) from None
                show(Stopped(f"{URL} {error}", _WHERE_URL), "")
            else:
                return address
        answer, _ = setup.asking.until_right(
            "Address of the Supabase project (https://<project-ref>.supabase.co)",
            _check_url,
            missing=f"{URL} is missing",
        )
        return project_url(answer)

    def _try(self, setup: Setup, url: str, key: str) -> str:
        from supatoss import key_shapes

        try:
            key = key_shapes.supabase_secret_key(key)
        except ValueError as error:
            raise Stopped(f"{KEY} {error}", _WHERE_KEY, ExitStatus.MISUSE) from None
        if other := other_project(url, key):
            raise Stopped(
                f"the key belongs to the project {other}, not to {url}",
                f"use the key of {url}, or the address https://{other}.supabase.co",
                ExitStatus.MISUSE,
            )
        setup.keep({URL: url, KEY: key})
        try:
            setup.schema_version = setup.ask_store(lambda store: store.schema_version())
        except SchemaMismatch:
            setup.schema_version = None
        except StoreError as error:
            setup.kept.clear()
            status = ExitStatus.UNREACHABLE if isinstance(error, StoreUnavailable) else ExitStatus.FOUND
            raise Stopped(f"{url}: {error}", error.remedy or _WHERE_URL, status) from None
        return f"{url} accepts the key; {describe(setup.schema_version, _tables(url, key))}"


def show(wrong: Stopped, name: str) -> None:
    """Prints what is wrong with a value from the environment, before asking for it."""
    import typer

    from supatoss.cli.output import plain

    typer.echo(f"  ✗ {plain(wrong.cause)}" + (f" ({name} is set)" if name else ""))
    for line in wrong.remedy.splitlines():
        typer.echo(f"    → {plain(line)}")


def project_url(text: str) -> str:
    """The project's address from what people paste: with a path, from the dashboard, or only the project reference.

    Raises ValueError; its message follows the setting's name: "is an address of the dashboard; …".
    """
    from supatoss.urls import check_url

    text = text.strip().strip("\"'")
    if _REF.fullmatch(text):
        return f"https://{text}.supabase.co"
    parts = urlsplit(text if "://" in text else f"https://{text}")
    host = parts.hostname or ""
    if parts.scheme.startswith("postgres"):
        raise ValueError("is a connection string of the database; should be https://<project-ref>.supabase.co")
    if host in ("supabase.com", "www.supabase.com", "app.supabase.com"):
        found = re.search(r"/project/([a-z]{20})(?![a-z])", parts.path)
        if found:
            return f"https://{found[1]}.supabase.co"
        raise ValueError("is an address of the dashboard; should be https://<project-ref>.supabase.co")
    if host.endswith((".supabase.co", ".supabase.in")):
        return f"https://{host}"
    return check_url(text, "https://<project-ref>.supabase.co")


def _check_url(text: str) -> str:
    try:
        return project_url(text)
    except ValueError as error:
        raise Stopped(f"it {error}", _WHERE_URL, ExitStatus.MISUSE) from None


def other_project(url: str, key: str) -> str | None:
    """The project that a legacy key belongs to, if it isn't the one at the address."""
    from supatoss.key_shapes import claims_of

    ref, host = claims_of(key).get("ref"), urlsplit(url).hostname or ""
    is_other = isinstance(ref, str) and host.endswith(".supabase.co") and not host.startswith(f"{ref}.")
    return str(ref) if is_other else None


def describe(version: int | None, tables: list[str]) -> str:
    """What the project has, in words."""
    if version is None:
        return (
            f"supatoss is not installed; it will adopt {', '.join(tables)}"
            if tables
            else "supatoss is not installed, and there are no tables to adopt"
        )
    if version == SCHEMA_VERSION:
        return f"supatoss is installed (schema version {version})"
    newer = "newer" if version > SCHEMA_VERSION else "older"
    return f"supatoss is installed, with a schema ({version}) {newer} than this release's ({SCHEMA_VERSION})"


def _tables(url: str, key: str) -> list[str]:
    """The tables with our names that are in the Data API."""
    import httpx

    from supatoss.store.keys import key_headers
    from supatoss.tls import tls_context

    try:
        with httpx.Client(verify=tls_context(), trust_env=False, timeout=5.0, headers=key_headers(key)) as http:
            answers = {table: http.get(f"{url}/rest/v1/{table}", params={"limit": "0"}) for table in TABLES}
    except httpx.HTTPError:
        return []
    return [table for table, answer in answers.items() if answer.is_success]
